"""Seconds a megapixel that a master's ICC profile costs: into sRGB, and what the network changed back.

    python benchmarks/colour.py [--megapixels 4]

Masters without a profile, or with that of sRGB, cost nothing: they are not in the table. One thread,
the best of five, in seconds of a core: unlike the wall's, they hardly mind what else the machine does.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.scans.colour import WorkingSpace
from oldphoto_core.scans.metadata.icc import read_profile

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/support"))


def best(work: Callable[[], object]) -> float:
    """Seconds of a core, of five runs."""
    seconds = []
    for _ in range(5):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


def costs(profile: bytes, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> tuple[float, float]:
    """Seconds (to sRGB, back)."""
    space = WorkingSpace(read_profile(profile, pixels.shape[2]))
    shown = space.shown(pixels)
    restored = (shown // 2 + 10_000).astype(np.uint16)
    return best(lambda: space.shown(pixels)), best(lambda: space.brought_back(pixels, shown, restored, None))


def main() -> None:
    """Prints a table."""
    from icc_files import ADOBE_RGB, GREY_GAMMA, PROPHOTO_RGB

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=4.0)
    megapixels = parser.parse_args().megapixels
    side = round((megapixels * 1e6) ** 0.5)
    print("| profile | bits | into sRGB (ms/MP) | back (ms/MP) |\n|---|---|---|---|")
    profiles = (("Adobe RGB", ADOBE_RGB, 3), ("ProPhoto", PROPHOTO_RGB, 3), ("grey, gamma 2.2", GREY_GAMMA, 1))
    for name, profile, channels in profiles:
        for bits in (8, 16):
            noise = np.random.default_rng(0).integers(0, 2**bits, (side, side, channels))
            to, back = costs(profile, noise.astype(np.uint16 if bits == 16 else np.uint8))
            print(f"| {name} | {bits} | {1e9 * to / side**2:.0f} | {1e9 * back / side**2:.0f} |")


if __name__ == "__main__":
    main()
