"""Peak memory of restoring one photo on a CPU, per pixel, for both presets.

    python benchmarks/memory.py [--preset compact|paper]

Each size runs in a process of its own, which restores one 16-bit RGB photo without scratches and reports its largest
resident size (getrusage). What a pixel costs is the slope between the two largest: what Python, torch and weights take
falls out of it, and so do small tensors, which the C library keeps after use. The weights are random: memory does not
depend on them. `bytes_per_pixel` in
oldphoto_core/nets/presets.py is this slope and about a fifth more.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import numpy as np

MEGAPIXELS = {"compact": (2.0, 4.0, 8.0), "paper": (0.5, 1.0, 2.0)}
MARGIN = 1.2


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--preset", choices=sorted(MEGAPIXELS), action="append")
    arguments.add_argument("--one", type=float, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    presets = chosen.preset or sorted(MEGAPIXELS)
    if chosen.one:
        print(peak_bytes(presets[0], chosen.one))
        return
    print("| preset | megapixels | peak resident (MiB) |\n|---|---|---|")
    slopes = {}
    for preset in presets:
        peaks = [in_a_process(preset, megapixels) for megapixels in MEGAPIXELS[preset]]
        for megapixels, peak in zip(MEGAPIXELS[preset], peaks, strict=True):
            print(f"| {preset} | {megapixels:g} | {peak / 2**20:,.0f} |", flush=True)
        small, large = MEGAPIXELS[preset][-2:]
        slopes[preset] = (peaks[-1] - peaks[-2]) / (large - small) / 1e6
    print()
    for preset, slope in slopes.items():
        print(f"{preset}: {slope:.0f} bytes per pixel; with a margin of a fifth {slope * MARGIN:.0f}")


def in_a_process(preset: str, megapixels: float) -> int:
    """Bytes."""
    command = [sys.executable, __file__, "--preset", preset, "--one", str(megapixels)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def peak_bytes(preset: str, megapixels: float) -> int:
    """Restores one photo and returns the largest resident size of this process so far."""
    from oldphoto_core.checkpoints import Model, ModelCard
    from oldphoto_core.nets import preset_named
    from oldphoto_core.restoration import Restorer

    card = ModelCard(name="random", preset=preset, partial_nonlocal=True, weights_sha256="", created="")
    model = Model(preset_named(preset).triplet().eval(), card)
    restorer = Restorer(model, device="cpu", max_megapixels=1000.0)
    side = round((megapixels * 1e6) ** 0.5)
    restorer.restore(np.full((side, side, 3), 30_000, np.uint16))
    # Linux counts in KiB, macOS in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
