"""Where networks run."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

from oldphoto_core.errors import UsageError

Network = TypeVar("Network", bound=nn.Module)


def place(network: Network, device: str) -> Network:
    """The network on `device`, its weights in channels_last, which convolutions on CPUs and tensor cores want."""
    placed: Network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


@contextmanager
def all_cores() -> Iterator[None]:
    """Torch computes on every core within, and as before after it: how many threads add up decides about last digits,
    so a training must go on with as many as it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resolve_device(device: str) -> str:
    """`auto`, `cpu`, `cuda` or `cuda:N` -> what torch calls it; UsageError if this machine does not have it."""
    cuda = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if cuda else "cpu"
    kind, _, number = device.partition(":")
    if device != "cpu" and (kind != "cuda" or (number and not number.isdigit())):
        raise UsageError(f"no device is called {device!r}; give auto, cpu, cuda or cuda:N")
    if kind == "cuda" and (not cuda or int(number or 0) >= torch.cuda.device_count()):
        found = f"{torch.cuda.device_count()} CUDA devices are" if cuda else "no CUDA device is"
        raise UsageError(f"device {device} was asked for, but {found} available here; give --device cpu")
    return device


def multiplies_bfloat16(device: str) -> bool:
    """Whether `device` (as `resolve_device` returns it) has instructions for products of bfloat16."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def local_devices(device: str) -> list[str]:
    """What `auto` or `cuda` mean where there are several GPUs: all of them; any other device is itself."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [f"cuda:{number}" for number in range(count)] if device in ("auto", "cuda") and count > 1 else [device]


def keep_freed_memory() -> None:
    """Tells glibc to keep freed blocks instead of returning them to the kernel after every operation.

    Activations of tens of megabytes are freed and taken again hundreds of times a forward pass; the page faults on them
    cost half of a CPU's time and more. The price is memory that stays with the process. Elsewhere than on glibc this
    does nothing.
    """
    if sys.platform != "linux":
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    m_trim_threshold, m_mmap_max = -1, -4
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)
