"""Preset `paper` as a restorer runs it on a CPU beside the plain eager forward of the same network, in one run.

    python benchmarks/plain_forward.py [--megapixels 0.5] [--runs 3] [--quick]

Plain: the modules in evaluation and inference mode, one picture at a time, contiguous memory, padding layers of their
own, torch's instance norm. Both take turns, the best of each counts. Memory that is freed stays with the process for
both (`keep_freed_memory`), which makes the plain one faster than it is by itself. Random weights of a fixed seed, no
mask; with the nonlocal block the convolutions before it are left as they are, without it (and in the published quality
mapping) none need be.
"""

from __future__ import annotations

import argparse
import copy
from typing import Any

import torch
from measuring import each, enlarged, networks_of, pixels_of, random_model, seconds
from torch import Tensor, nn

from oldphoto_core import Restorer
from oldphoto_core.nets.norms import EPSILON, SpatialNorm
from oldphoto_core.restoration import NetworkOptions

HEADER = (
    "| mapping | megapixels | plain (MP/s) | restorer (MP/s) | ratio | relative difference |",
    "|---|---|---|---|---|---|",
)
BARS = "Bars: ratio 1.25 or more, relative difference (norm over norm) 1e-4 or less."


class PlainNorm(nn.Module):
    """What nn.InstanceNorm2d calls."""

    def forward(self, x: Tensor) -> Tensor:
        """NCHW -> NCHW."""
        return nn.functional.instance_norm(x, eps=EPSILON)


def plain_form(network: nn.Module) -> nn.Module:
    """A copy with torch's own instance norm."""
    plain = copy.deepcopy(network)
    for module in list(plain.modules()):
        for name, child in module.named_children():
            if isinstance(child, SpatialNorm):
                setattr(module, name, PlainNorm())
    return plain.to(memory_format=torch.contiguous_format)


def compare(megapixels: float, runs: int, *, block: bool) -> dict[str, Any]:
    """Best of `runs` of both, and how far their outputs are from one another."""
    model = random_model("paper", block=block)
    plain = plain_form(model.networks)
    fast = networks_of(Restorer(model, NetworkOptions(device="cpu", precision="float32", memory=1e12)))
    values = torch.from_numpy(pixels_of(enlarged(megapixels)).astype("float32")).permute(2, 0, 1)[None]
    height, width = (side // 4 * 4 for side in values.shape[2:])
    image = (values[:, :, :height, :width] / 32767.5 - 1).contiguous()
    ours = image.to(memory_format=torch.channels_last)
    times: dict[str, list[float]] = {"plain": [], "fast": []}
    with torch.inference_mode():
        theirs = plain(image)
        difference = float((fast(ours).double() - theirs.double()).norm() / theirs.double().norm())
        for _ in range(runs):
            times["plain"].append(seconds(lambda: plain(image)))
            times["fast"].append(seconds(lambda: fast(ours)))
    size = height * width / 1e6
    best = {name: min(taken) for name, taken in times.items()}
    return {
        "mapping": "with the block" if block else "without the block",
        "megapixels": size,
        "plain_mp_per_second": size / best["plain"],
        "mp_per_second": size / best["fast"],
        "ratio": best["plain"] / best["fast"],
        "relative_difference": difference,
    }


def table(results: list[dict[str, Any]]) -> str:
    """As Markdown."""
    rows = [
        f"| {one['mapping']} | {one['megapixels']:.2f} | {one['plain_mp_per_second']:.4f} |"
        f" {one['mp_per_second']:.4f} | {one['ratio']:.2f} | {one['relative_difference']:.1e} |"
        for one in results
    ]
    return "\n".join([*HEADER, *rows, "", BARS])


def main() -> None:
    """Prints one row a mapping."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=0.5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="0.05 megapixels, one run: to try the script")
    options = parser.parse_args()
    megapixels, runs = (0.05, 1) if options.quick else (options.megapixels, options.runs)
    jobs = [(f"block: {block}", lambda block=block: compare(megapixels, runs, block=block)) for block in (True, False)]
    print(table(list(each(jobs))))


if __name__ == "__main__":
    main()
