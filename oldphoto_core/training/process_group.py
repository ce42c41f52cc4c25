"""The processes that train one stage together, one for each device: what they tell each other.

Plain `torch.distributed`, without `DistributedDataParallel` or a library around it: both wait for `backward()` to fill
`.grad`, and here every network's gradients are asked for by themselves (`Stage._gradients`), so that all there is to do
is to add them up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from oldphoto_core.errors import UsageError

STORE = "OLDPHOTO_TRAINING_STORE"
"""Environment: a file by which processes of one machine find each other, in place of torchrun's port."""
PATIENCE = timedelta(hours=2)
"""Others wait for the first while it validates and writes."""


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """Rank and number of the processes; of one alone nothing is sent and no number changes."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """The first validates, writes, and speaks for all."""
        return self.rank == 0

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each by its sum over all processes, in one message."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].view(tensor.shape))
            start += tensor.numel()

    def total(self, value: float) -> float:
        """Sum over all processes."""
        summed = torch.tensor([value], dtype=torch.float64)
        self.add_up([summed])
        return float(summed)

    def shared(self, data: bytes) -> bytes:
        """The first's bytes, for all; never pickled."""
        if self.size == 1:
            return data
        length = torch.tensor([len(data)])
        dist.broadcast(length, 0)
        buffer = torch.frombuffer(bytearray(data or b"\0"), dtype=torch.uint8)
        if not self.is_first:
            buffer = torch.empty(max(1, int(length)), dtype=torch.uint8)
        dist.broadcast(buffer, 0)
        return buffer.numpy().tobytes()[: int(length)]

    def wait(self) -> None:
        """Until all have come here."""
        self.total(0.0)  # on the CPU, whatever device computes


ALONE = ProcessGroup()


@contextmanager
def joined() -> Iterator[ProcessGroup]:
    """The group of this process as torchrun or `oldphoto train --processes` describe it in the environment."""
    if "WORLD_SIZE" not in os.environ:
        yield ALONE
        return
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = os.environ.get(STORE)
    # numbers on a CPU go by gloo, those on GPUs by NCCL
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(
        backend, init_method=f"file://{store}" if store else "env://", rank=rank, world_size=size, timeout=PATIENCE
    )
    try:
        yield ProcessGroup(rank, size)
    finally:
        dist.destroy_process_group()


def own_device(device: str) -> str:
    """Of the CUDA devices the one that is this process's own; UsageError if there is none for it."""
    if "WORLD_SIZE" not in os.environ or not device.startswith("cuda"):
        return device
    if device != "cuda":
        raise UsageError(f"device is {device}, and several processes need one each; give cuda")
    rank, devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if rank >= devices:
        raise UsageError(f"there are more processes on this machine than its {devices} CUDA devices; give as many")
    return f"cuda:{rank}"
