"""What the benchmarks of speed share: photos to work on, models with random weights, clocks, this machine's peak.

Imported by the scripts beside it; running it prints the machine and its peak.

    python benchmarks/measuring.py
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyvips
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from torch import nn

from oldphoto_core import Restorer
from oldphoto_core.checkpoints import Model, ModelCard
from oldphoto_core.nets import preset_named
from oldphoto_core.samples.collection import SAMPLES, read_clean

SEED = 0
PEAK_CHANNELS, PEAK_SIDE = 512, 128
NOT_MEASURED = "not measured"
Result = TypeVar("Result")


def machine(device: str) -> str:
    """The processor or the GPU by name."""
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")]
    vectors = ", AVX-512" if "avx512f" in info else ""
    return f"{(names or [platform.processor()])[0]}, {os.cpu_count()} cores{vectors}"


def random_model(preset: str, *, block: bool = True) -> Model:
    """Weights of a fixed seed: neither time nor memory depend on them. `block`: with the partial nonlocal block."""
    torch.manual_seed(SEED)
    networks = preset_named(preset).triplet(partial_nonlocal=block)
    card = ModelCard(name="random", preset=preset, partial_nonlocal=block, weights_sha256="", created="")
    return Model(networks.eval(), card)


def networks_of(restorer: Restorer) -> Any:
    """The networks as the restorer runs them: placed, and with what makes them faster."""
    return restorer._runner._networks


def enlarged(megapixels: float, photo: Path | None = None) -> pyvips.Image:
    """A photograph at another size, 16-bit RGB, computed in rows as they are asked for: a file, or a sample's."""
    if photo is not None:
        image = pyvips.Image.new_from_file(str(photo)).icc_transform("srgb", depth=16, embedded=True)
        image = image.flatten() if image.hasalpha() else image
    else:
        pixels = read_clean(SAMPLES[0])
        height, width = pixels.shape[:2]
        image = pyvips.Image.new_from_memory(pixels.tobytes(), width, height, 3, "uchar") * 257
    scale = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
    return image.resize(scale, kernel="cubic").cast("ushort").copy(interpretation="rgb16")


def pixels_of(image: pyvips.Image) -> NDArray[np.uint16]:
    """HWC."""
    return np.frombuffer(image.write_to_memory(), np.uint16).reshape(image.height, image.width, 3)


def synchronise(device: str) -> None:
    """Waits until a GPU has done what it was told; a CPU has."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def seconds(call: Callable[[], object], device: str = "cpu") -> float:
    """Of one call, until the device has done it."""
    synchronise(device)
    started = time.perf_counter()
    call()
    synchronise(device)
    return time.perf_counter() - started


def convolution_peak(device: str, precision: str, runs: int = 5) -> float:
    """Operations a second of the best of some 3x3 convolutions, 512 to 512 channels at 128 x 128, channels_last."""
    memory = {"device": device, "dtype": getattr(torch, precision)}
    image = torch.randn(1, PEAK_CHANNELS, PEAK_SIDE, PEAK_SIDE, **memory).to(memory_format=torch.channels_last)
    weight = torch.randn(PEAK_CHANNELS, PEAK_CHANNELS, 3, 3, **memory).to(memory_format=torch.channels_last)
    operations = 2 * 9 * PEAK_CHANNELS**2 * PEAK_SIDE**2
    with torch.inference_mode():
        nn.functional.conv2d(image, weight, padding=1)
        return operations / min(
            seconds(lambda: nn.functional.conv2d(image, weight, padding=1), device) for _ in range(runs)
        )


def each(jobs: Sequence[tuple[str, Callable[[], Result]]]) -> Iterator[Result]:
    """Does one after the other, with a bar on stderr that says which."""
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=len(jobs))
        for name, job in jobs:
            bar.update(task, description=name)
            yield job()
            bar.advance(task)


if __name__ == "__main__":
    for one in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        for kind in ["float32", *(["float16", "bfloat16"] if one == "cuda" else [])]:
            print(f"{machine(one)}, {kind}: {convolution_peak(one, kind) / 1e9:,.0f} GFLOP/s")
