"""Peak memory of what examines a scan, and of what makes a pair of it: 16-bit RGB TIFFs of some megapixels.

    python benchmarks/inventory_memory.py [--megapixels 1 25 100]

Each scan is examined (`inventory`), and cropped and degraded (`synthesize`), in a process of its own, as a Dask worker
would; the process that decodes for it counts, too. High-water marks of resident memory, as Linux tells them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from oldphoto_core.scans import RawPixels

EXAMINE = """
import os, sys
from oldphoto_core.inventory import examine
from oldphoto_core.inventory.objects import _decoders
from oldphoto_core.storage import Bucket
source = Bucket(sys.argv[1])
assert examine(source, next(source.list())).status == "examined"
processes = ("self", *_decoders(os.getpid()).processes)
"""
CROP = """
import sys
from oldphoto_core.degradation.pairs import PairShard, write_pair_shard
from oldphoto_core.storage import Bucket
shard = PairShard(index=0, first=0, keys=("scan.tif",))
assert write_pair_shard(shard, Bucket(sys.argv[1]), Bucket(sys.argv[1] + "/../pairs"))["items"] == 1
processes = ("self",)
"""
PEAK = """
marks = [open(f"/proc/{process}/status").read().split("VmHWM:")[1].split()[0] for process in processes]
print(sum(map(int, marks)) / 1024)
"""


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--megapixels", type=float, nargs="+", default=[1, 25, 100])
    print("| megapixels | file (MiB) | inventory: peak (MiB) | synthesize: peak (MiB) |\n|---|---|---|---|")
    for megapixels in arguments.parse_args().megapixels:
        with tempfile.TemporaryDirectory(prefix="oldphoto-benchmark-") as folder:
            size = write_scan(Path(folder) / "scans", round((megapixels * 1e6) ** 0.5))
            peaks = [peak(what, f"{folder}/scans") for what in (EXAMINE, CROP)]
            print(f"| {megapixels:g} | {size / 2**20:,.0f} | {peaks[0]:,.0f} | {peaks[1]:,.0f} |", flush=True)


def write_scan(folder: Path, side: int) -> int:
    """A square of waves, uncompressed; returns its bytes."""
    folder.mkdir()
    pixels = RawPixels.create(folder / "scan.tif", side, side, 3, np.uint16)
    across = np.arange(side, dtype=np.float32)[None, :, None] / np.array([31, 37, 41], np.float32)
    for top, bottom in pixels.slabs():
        down = np.arange(top, bottom, dtype=np.float32)[:, None, None] / 53
        pixels.write(top, (32767 + 20000 * np.sin(across + down)).astype(np.uint16))
    pixels.close()
    return (folder / "scan.tif").stat().st_size


def peak(code: str, folder: str) -> float:
    """MiB."""
    command = [sys.executable, "-c", code + PEAK, folder]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


if __name__ == "__main__":
    main()
