"""Peak memory of restoring one photo on a CPU: per pixel for both presets, and of whole processes with --parts.

    python benchmarks/memory.py [--preset compact|paper]
    python benchmarks/memory.py --parts [MEGAPIXELS ...] [--memory 2e9] [--photo FILE] [--model starter]

Without --parts each size runs in a process of its own, which restores one 16-bit RGB photo whole, without scratches,
and reports its largest resident size (getrusage). What a pixel costs is the slope between the two largest: what Python,
torch and weights take falls out of it, and so do small tensors, which the C library keeps after use. The weights are
random: memory does not depend on them. `bytes_per_pixel` in oldphoto_core/nets/presets.py is this slope and about a
fifth more.

With --parts a process of its own restores one uncompressed 16-bit RGB TIFF of each size (20, 100 and 200 megapixels
unless given; a sample enlarged, or --photo) from file to file, as a run does, and is allowed --memory bytes. Its
largest resident size counts everything: Python, Dask, weights, decoding, the network, encoding.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MEGAPIXELS = {"compact": (2.0, 4.0, 8.0), "paper": (0.5, 1.0, 2.0)}
LARGE = (20.0, 100.0, 200.0)
MARGIN = 1.2


def main() -> None:
    """Measure and print."""
    chosen = parsed()
    if chosen.one and chosen.folder:
        from_file_to_file(chosen.folder, chosen.model, chosen.memory)
    elif chosen.one:
        print(peak_bytes(chosen.preset[0], chosen.one))
    elif chosen.make:
        make_scan(chosen.folder, chosen.make, chosen.photo)
    elif chosen.parts is not None:
        in_parts(chosen)
    else:
        per_pixel(chosen.preset or sorted(MEGAPIXELS))


def parsed() -> argparse.Namespace:
    """Options; those of child processes are not shown."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--preset", choices=sorted(MEGAPIXELS), action="append")
    arguments.add_argument("--parts", type=float, nargs="*", metavar="MEGAPIXELS")
    arguments.add_argument("--memory", type=float, default=2e9)
    arguments.add_argument("--photo", type=Path)
    arguments.add_argument("--model", default="starter")
    arguments.add_argument("--one", type=float, help=argparse.SUPPRESS)
    arguments.add_argument("--make", type=float, help=argparse.SUPPRESS)
    arguments.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return arguments.parse_args()


def per_pixel(presets: list[str]) -> None:
    """Whole photos: a row for each size, a slope for each preset."""
    print("| preset | megapixels | peak resident (MiB) |\n|---|---|---|")
    slopes = {}
    for preset in presets:
        peaks = [int(in_a_process("--preset", preset, "--one", str(size))) for size in MEGAPIXELS[preset]]
        for megapixels, peak in zip(MEGAPIXELS[preset], peaks, strict=True):
            print(f"| {preset} | {megapixels:g} | {peak / 2**20:,.0f} |", flush=True)
        small, large = MEGAPIXELS[preset][-2:]
        slopes[preset] = (peaks[-1] - peaks[-2]) / (large - small) / 1e6
    print()
    for preset, slope in slopes.items():
        print(f"{preset}: {slope:.0f} bytes per pixel; with a margin of a fifth {slope * MARGIN:.0f}")


def in_parts(chosen: argparse.Namespace) -> None:
    """From file to file: a row for each size."""
    from rich.console import Console
    from rich.progress import track

    print(f"model {chosen.model}, {chosen.memory / 1e9:g} GB allowed")
    print("| megapixels | peak resident (MiB) | seconds | MP/s |\n|---|---|---|---|")
    for size in track(chosen.parts or LARGE, "scans", console=Console(stderr=True)):
        with tempfile.TemporaryDirectory(prefix="oldphoto-benchmark-") as folder:
            shared = ("--folder", folder, "--model", chosen.model, "--memory", str(chosen.memory))
            photo = ("--photo", str(chosen.photo)) if chosen.photo else ()
            # in a process of its own: what a parent has taken counts for its children
            in_a_process(*shared, *photo, "--make", str(size))
            peak, seconds, megapixels = in_a_process(*shared, "--one", str(size)).split()[-3:]
        rate = float(megapixels) / float(seconds)
        print(f"| {float(megapixels):.1f} | {int(peak) / 2**20:,.0f} | {float(seconds):.0f} | {rate:.3f} |", flush=True)


def in_a_process(*options: str) -> str:
    """What this script prints when called so."""
    return subprocess.run([sys.executable, __file__, *options], stdout=subprocess.PIPE, text=True, check=True).stdout


def largest() -> int:
    """Bytes of this process's largest resident size so far."""
    # Linux counts in KiB, macOS in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peak_bytes(preset: str, megapixels: float) -> int:
    """Restores one photo whole."""
    from measuring import random_model

    from oldphoto_core.restoration import NetworkOptions, Restorer

    restorer = Restorer(random_model(preset), NetworkOptions(device="cpu", memory=1e12))
    side = round((megapixels * 1e6) ** 0.5)
    restorer.restore(np.full((side, side, 3), 30_000, np.uint16))
    return largest()


def make_scan(folder: Path, megapixels: float, photo: Path | None) -> None:
    """Puts one TIFF into folder/source."""
    from measuring import enlarged

    (folder / "source").mkdir()
    enlarged(megapixels, photo).tiffsave(str(folder / "source/scan.tif"))


def from_file_to_file(folder: Path, model: str, memory: float) -> None:
    """Restores what lies in folder/source; prints peak, seconds and megapixels."""
    from oldphoto_core import Restorer
    from oldphoto_core.restoration import Photo, RestoreOptions, ShardCallbacks, restore_photos
    from oldphoto_core.storage import Bucket, LedgerRow

    restorer = Restorer.load(model, device="cpu", memory=memory)
    source, rows = Bucket(folder / "source"), list[LedgerRow]()
    photos = [Photo(one.key, one.version, one.size) for one in source.list()]
    started = time.perf_counter()
    restore_photos(
        restorer, source, Bucket(folder / "target"), photos, RestoreOptions(), ShardCallbacks(on_row=rows.append)
    )
    spent = time.perf_counter() - started
    if rows[0].status != "restored":
        sys.exit(f"{rows[0].reason}: {rows[0].detail}")
    print(largest(), spent, rows[0].megapixels)


if __name__ == "__main__":
    main()
