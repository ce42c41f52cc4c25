"""Why `paper` does not go in tiles: instance norm with statistics of a sample of tiles, against the whole picture's.

    python benchmarks/sampled_statistics.py [--megapixels 1] [--tile 256] [--counts 1 4 8 16]

Tiles spread evenly over the photo go through the network as one batch, every norm taking its statistics over all of
them together; these are kept, and the whole photo is restored with them. What is left is the error of the statistics
alone, without any border's. Random weights of a fixed seed, no mask; PSNR is of the result against that with the
whole's statistics.
"""

from __future__ import annotations

import argparse
from math import sqrt

import numpy as np
import torch
from measuring import each, enlarged, pixels_of, random_model
from torch import Tensor, nn

from oldphoto_core.nets.norms import EPSILON, SpatialNorm
from oldphoto_core.nets.tiles import spread


class SampledNorm(nn.Module):
    """Instance norm by the statistics of what it was shown before."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: tuple[Tensor, ...] = ()
        self.gathering = True

    def forward(self, x: Tensor) -> Tensor:
        """NCHW -> NCHW; gathering, over all of the batch together."""
        if self.gathering:
            variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
            self.kept = mean, variance
        return nn.functional.batch_norm(x, *self.kept, training=False, eps=EPSILON)


def sampled_form(network: nn.Module) -> list[SampledNorm]:
    """Puts them in the places of the network's norms."""
    norms = []
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, SpatialNorm):
                norms.append(SampledNorm())
                setattr(module, name, norms[-1])
    return norms


def windows(image: Tensor, side: int, count: int) -> Tensor:
    """Some squares spread evenly over a picture, as a batch."""
    height, width = image.shape[2:]
    down = min(count, max(1, round(sqrt(count * height / width))))
    places = [(top, left) for top in spread(height, side, down, 4) for left in spread(width, side, count // down, 4)]
    return torch.cat([image[:, :, top : top + side, left : left + side] for top, left in places])


def psnr(ours: Tensor, theirs: Tensor) -> float:
    """Of pictures in [-1, 1]."""
    return float(10 * torch.log10(4 / (ours - theirs).square().mean()))


def row(image: Tensor, whole: Tensor, side: int, count: int) -> str:
    """Statistics of so many tiles."""
    network = random_model("paper").networks
    norms = sampled_form(network)
    tiles = windows(image, side, count)
    with torch.inference_mode():
        network(tiles)
        for one in norms:
            one.gathering = False
        found = psnr(network(image), whole)
    share = tiles.shape[0] * side * side / image[0, 0].numel()
    return f"| {len(tiles)} of {side} x {side} | {share:.0%} | {found:.1f} |"


def main() -> None:
    """Prints one row a sample."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=1.0)
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 4, 8, 16])
    options = parser.parse_args()
    values = pixels_of(enlarged(options.megapixels)).astype(np.float32) / 32767.5 - 1
    height, width = (side // 4 * 4 for side in values.shape[:2])
    image = torch.from_numpy(values[:height, :width]).permute(2, 0, 1)[None]
    with torch.inference_mode():
        whole = random_model("paper").networks(image)
    jobs = [(f"{count} tiles", lambda count=count: row(image, whole, options.tile, count)) for count in options.counts]
    print(
        f"{height * width / 1e6:.2f} megapixels\n| sample | area over the picture's | PSNR (dB) |\n|---|---|---|",
        flush=True,
    )
    for printed in each(jobs):
        print(printed, flush=True)


if __name__ == "__main__":
    main()
