"""What it costs to decode in processes of their own: the same files read here and by `Decoders`, in turn.

    python benchmarks/isolation.py [--megapixels 0.25 2 12] [--seconds 4] [--threads 2]

Both ways read a header and then the pixels, as the pipeline does with each photo. Rates are of `--threads` threads that
read one file after another; the two ways take turns, since machines are seldom quiet, and the median of each is told.
The CPU time of a photo, that of the decoder processes included, tells more on a busy machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import psutil
import pyvips

from oldphoto_core.scans import Decoders

TURNS = 5
SAVED = {
    "jpeg": ("jpegsave_buffer", {"Q": 90}),
    "png": ("pngsave_buffer", {"compression": 6}),
    "tiff lzw": ("tiffsave_buffer", {"compression": "lzw", "predictor": "horizontal"}),
    "tiff 16 bits": ("tiffsave_buffer", {}),
    "webp": ("webpsave_buffer", {"Q": 90}),
}


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--megapixels", type=float, nargs="+", default=[0.25, 2, 12])
    arguments.add_argument("--seconds", type=float, default=4.0, help="for each file and way")
    arguments.add_argument("--threads", type=int, default=2)
    chosen = arguments.parse_args()
    started = time.perf_counter()
    with Decoders(chosen.threads) as isolated, Decoders(isolated=False) as here:
        isolated.read_header(file("png", 0.01))
        print(f"the first file was read {time.perf_counter() - started:.2f} s after the start\n")
        print(
            "| file | MP | here (MP/s) | isolated (MP/s) | here (CPU ms a photo) | isolated (CPU ms) | ratio of CPU |"
        )
        print("|---|---|---|---|---|---|---|")
        for kind in SAVED:
            for megapixels in chosen.megapixels:
                data = file(kind, megapixels)
                turns: dict[Decoders, list[Cost]] = {here: [], isolated: []}
                for _ in range(TURNS):
                    for decoders, costs in turns.items():
                        costs.append(cost(decoders, data, chosen.seconds / TURNS, chosen.threads))
                ours, theirs = (Cost(*map(statistics.median, zip(*costs, strict=True))) for costs in turns.values())
                print(
                    f"| {kind} | {megapixels:g} | {ours.rate * megapixels:.1f} | {theirs.rate * megapixels:.1f} |"
                    f" {1000 * ours.cpu:.1f} | {1000 * theirs.cpu:.1f} | {theirs.cpu / ours.cpu:.2f} |",
                    flush=True,
                )


class Cost(NamedTuple):
    """Photos a second, and seconds of CPU time a photo."""

    rate: float
    cpu: float


def file(kind: str, megapixels: float) -> bytes:
    """A scan of that size: smooth, with grain, in colour."""
    side = round((megapixels * 1e6) ** 0.5)
    wide = kind.endswith("16 bits")
    waves = pyvips.Image.sines(side, side, hfreq=3, vfreq=2) * 80 + 128
    grain = pyvips.Image.gaussnoise(side, side, mean=0, sigma=3, seed=1)
    grey = (waves + grain) * (257 if wide else 1)
    image = grey.bandjoin([grey * 0.9, grey * 0.7]).cast("ushort" if wide else "uchar")
    saved, options = SAVED[kind]
    return bytes(getattr(image.copy(interpretation="rgb16" if wide else "srgb"), saved)(**options))


def cost(decoders: Decoders, data: bytes, seconds: float, threads: int) -> Cost:
    """Of reading the file again and again."""
    end = time.perf_counter() + seconds

    def read(_number: int) -> int:
        count = 0
        while count == 0 or time.perf_counter() < end:
            decoders.read_header(data)
            # every page is looked at, as the network would
            np.add.reduce(decoders.read_scan(data).pixels[:, ::512], axis=None)
            count += 1
        return count

    decoders.read_header(data)
    started, used = time.perf_counter(), cpu_seconds(decoders)
    with ThreadPoolExecutor(threads) as pool:
        count = sum(pool.map(read, range(threads)))
    return Cost(count / (time.perf_counter() - started), (cpu_seconds(decoders) - used) / count)


def cpu_seconds(decoders: Decoders) -> float:
    """Of this process and the decoders."""
    return sum(sum(psutil.Process(number).cpu_times()[:2]) for number in (psutil.Process().pid, *decoders.processes))


if __name__ == "__main__":
    main()
