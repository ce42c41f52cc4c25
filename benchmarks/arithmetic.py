"""What the fast arithmetic of preset `paper` gains and costs on a CPU: convolutions with fewer products, and norms.

    python benchmarks/arithmetic.py [--side 128] [--runs 5] [--megapixels 4]

Convolutions: 3x3 of random numbers at --side x --side, float32, plain and as WinogradConv2d; relative errors (norm over
norm) against float64, for the points in use and for the customary ones. Norms: a plane of 8 channels of --megapixels,
uniform between 3 and 4, whose variance is small beside its mean, so that a sum's rounding shows.
"""

from __future__ import annotations

import argparse
from unittest.mock import patch

import torch
from measuring import each, seconds
from torch import Tensor, nn

from oldphoto_core.devices import keep_freed_memory
from oldphoto_core.nets import winograd
from oldphoto_core.nets.norms import EPSILON, SpatialNorm
from oldphoto_core.nets.winograd import WinogradConv2d

WIDTHS = (64, 128, 256, 512)
CUSTOMARY = (0.0, 1.0, -1.0, 2.0, -2.0)
PLANE_CHANNELS = 8


def distance(ours: Tensor, theirs: Tensor) -> float:
    """Relative, as norms."""
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())


def convolution(channels: int, side: int, runs: int) -> str:
    """A row: seconds and errors at one width."""
    torch.manual_seed(0)
    plain = nn.Conv2d(channels, channels, 3, padding=1).to(memory_format=torch.channels_last)
    image = torch.randn(1, channels, side, side).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        fast = WinogradConv2d(plain)
        with patch.object(winograd, "POINTS", CUSTOMARY):
            customary = WinogradConv2d(plain)
        outputs = [network(image) for network in (plain, fast, customary)]
        taken = [min(seconds(lambda n=network: n(image)) for _ in range(runs)) for network in (plain, fast)]
        exact = plain.double()(image.double())
    errors = " | ".join(f"{distance(output, exact):.1e}" for output in outputs)
    milliseconds = " | ".join(f"{1000 * one:.1f}" for one in taken)
    return f"| {channels} | {milliseconds} | {taken[0] / taken[1]:.2f} | {errors} |"


def norm(megapixels: float) -> str:
    """Rows: how far norms of a large plane are from float64."""
    torch.manual_seed(0)
    side = round((megapixels * 1e6) ** 0.5)
    plane = (torch.rand(1, PLANE_CHANNELS, side, side) + 3).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        exact = nn.functional.instance_norm(plane.double(), eps=EPSILON)
        ways = {
            "batch norm's statistics, channels_last, in one go": nn.functional.batch_norm(
                plane, None, None, training=True, eps=EPSILON
            ),
            "instance norm, contiguous": nn.functional.instance_norm(plane.contiguous(), eps=EPSILON),
            "SpatialNorm, blocks of 8,192 positions": SpatialNorm()(plane),
        }
    return "\n".join(f"| {name} | {side**2 / 1e6:.2f} | {distance(given, exact):.1e} |" for name, given in ways.items())


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--megapixels", type=float, default=4.0)
    options = parser.parse_args()
    keep_freed_memory()
    jobs = [
        (f"{width} channels", lambda width=width: convolution(width, options.side, options.runs)) for width in WIDTHS
    ]
    rows = list(each([*jobs, ("norms", lambda: norm(options.megapixels))]))
    print(f"3x3 convolutions at {options.side} x {options.side}")
    print("| channels | plain (ms) | fewer products (ms) | ratio | error, plain | error | error, customary points |")
    print("|---" * 7 + "|", *rows[:-1], sep="\n")
    print(f"\n| norm of {PLANE_CHANNELS} channels | megapixels | error |\n|---|---|---|\n{rows[-1]}")


if __name__ == "__main__":
    main()
