"""What a photo leaves behind in the memory of the process that restores it: tiny photos through the `restore` flow.

    python benchmarks/memory_growth.py [--photos 20000] [--from 5000] [--report] [--no-isolate] [--trace]

The network hands its photos back, so that nothing but the pipeline is left. Memory is what this process has allocated
and the system holds for it (anonymous resident pages; libraries, which come and go with other processes that use the
same ones, are left out), after garbage was collected and freed memory was given back to the system, every thousand
photos; the slope is that of the line through the values from `--from` on.

What is allocated from the C library and not freed is printed beside it: resident memory also moves in steps of
megabytes that no photo causes, as when Python's table of interned strings, in which names of files come and go,
doubles once.
`--trace` names the lines of code whose memory grew, and makes everything several times slower.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import re
import tempfile
import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import psutil

from oldphoto_core.restoration import register_restorer

EVERY = 1000
BAR = 0.5
"""KB a photo."""


@dataclass
class Nothing:
    """A network that hands the photo back, and notes the memory at every thousandth."""

    trace: bool
    first: int
    name: str = "nothing"
    digest: str = "0" * 64
    device: str = "cpu"
    max_megapixels: float = 1000.0
    photos: int = 0
    points: list[tuple[int, float, float]] = field(default_factory=list)
    snapshots: list[tracemalloc.Snapshot] = field(default_factory=list)

    def restore(self, pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The photo, one level brighter, so that something differs."""
        del mask
        self.photos += 1
        if self.photos % EVERY == 0:
            resident, held = own_memory(), held_memory()
            self.points.append((self.photos, resident, held))
            print(f"| {self.photos} | {resident / 1e6:.1f} | {held / 1e6:.1f} |", flush=True)
            if self.trace and self.photos >= self.first:
                self.snapshots.append(tracemalloc.take_snapshot())
        return pixels + (pixels < np.iinfo(pixels.dtype).max)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--photos", type=int, default=20_000)
    arguments.add_argument("--from", type=int, default=5_000, dest="first")
    arguments.add_argument("--report", action="store_true")
    arguments.add_argument("--no-isolate", action="store_false", dest="isolate")
    arguments.add_argument("--trace", action="store_true")
    chosen = arguments.parse_args()
    restorer = Nothing(chosen.trace, chosen.first)
    register_restorer("nothing", lambda device: restorer)
    with tempfile.TemporaryDirectory(prefix="oldphoto-benchmark-") as folder:
        source = collect(Path(folder) / "old", chosen.photos)
        if chosen.trace:
            tracemalloc.start(12)
        print("| photos | MB resident | MB held |\n|---|---|---|")
        run(source, Path(folder) / "new", report=chosen.report, isolate=chosen.isolate)
    counts, *sizes = np.array([point for point in restorer.points if point[0] >= chosen.first]).T
    resident, held = (np.polyfit(counts, size / 1e3, 1)[0] for size in sizes)
    print(f"\n{resident:.2f} KB resident and {held:.2f} KB held a photo from photo {chosen.first} on; the bar is {BAR}")
    if chosen.trace:
        show(*restorer.snapshots[:: len(restorer.snapshots) - 1], restorer.photos - chosen.first)


def run(source: Path, target: Path, *, report: bool, isolate: bool) -> None:
    """The flow, with a temporary server."""
    from flows.session.prefect_session import prefect_session

    with prefect_session(print):
        from flows.restore import restore

        restore(str(source), str(target), model="nothing", report=report, isolate=isolate)


def collect(folder: Path, photos: int) -> Path:
    """A collection of one tiny photo under many names."""
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 200, (16, 16, 3), np.uint8)
    (folder / "000000.png").write_bytes(bytes(cv2.imencode(".png", pixels)[1]))
    for number in range(1, photos):
        os.link(folder / "000000.png", folder / f"{number:06}.png")
    return folder


def own_memory() -> float:
    """Bytes of this process alone, without libraries where the system tells them apart."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    status = Path("/proc/self/status")
    anonymous = re.search(r"^RssAnon:\s*(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
    return 1024.0 * int(anonymous[1]) if anonymous else float(psutil.Process().memory_full_info().uss)


class _Mallinfo(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = (
        ("arena", ctypes.c_size_t), ("ordblks", ctypes.c_size_t), ("smblks", ctypes.c_size_t),
        ("hblks", ctypes.c_size_t), ("hblkhd", ctypes.c_size_t), ("usmblks", ctypes.c_size_t),
        ("fsmblks", ctypes.c_size_t), ("uordblks", ctypes.c_size_t), ("fordblks", ctypes.c_size_t),
        ("keepcost", ctypes.c_size_t),
    )  # fmt: skip


def held_memory() -> float:
    """Bytes that are allocated from glibc and not freed, small Python objects aside; nan with another C library."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return float("nan")
    libc.mallinfo2.restype = _Mallinfo
    found = libc.mallinfo2()
    return float(found.uordblks + found.hblkhd)


def show(before: tracemalloc.Snapshot, after: tracemalloc.Snapshot, photos: int) -> None:
    """Print the lines whose memory grew most in so many photos."""
    for difference in after.compare_to(before, "traceback")[:25]:
        frames = [
            f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno}" for frame in difference.traceback[::-1]
        ]
        size = difference.size_diff / photos
        print(f"{size:7.1f} bytes a photo, {difference.count_diff:7} objects: {' < '.join(frames[:7])}")


if __name__ == "__main__":
    main()
