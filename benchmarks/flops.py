"""Parameters and operations of both presets, as a Markdown table (the one in docs/networks.md).

    python benchmarks/flops.py

Operations come from torch's FlopCounterMode, a multiply-add counting as two; nothing is computed, so it takes seconds.
With the block, every position is asked and every key kept: the most that it can cost. In use, preset `compact` asks
only under the mask, and a photo without a mask skips the block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from oldphoto_core.nets import PRESETS, Triplet, count_flops, count_parameters
from oldphoto_core.nets.vae import LATENT_STRIDE

LATENT_CHANNELS = 64
CROP, MEGAPIXEL = 256, 1000
HEADER = (
    "| preset | part | parameters (M) | GFLOP, 256 x 256 | GFLOP, 1000 x 1000 |",
    "|---|---|---|---|---|",
)


class Part(nn.Module):
    """One part of a triplet behind the call that `count_flops` makes: picture and mask."""

    def __init__(self, network: nn.Module, call: Callable[[Tensor, Tensor | None], Tensor]) -> None:
        super().__init__()
        self.network = network
        self.call = call

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """N3HW -> whatever the part makes of it, or of a latent for it."""
        return self.call(image, mask)


def latent_for(image: Tensor) -> Tensor:
    """N3HW -> an empty latent of its size."""
    height, width = (side // LATENT_STRIDE for side in image.shape[2:])
    return torch.empty(len(image), LATENT_CHANNELS, height, width, device=image.device)


def parts_of(triplet: Triplet) -> dict[str, Part]:
    """What a restoration runs, in order."""
    encoder, decoder = triplet.vae_old.encoder, triplet.vae_clean.decoder
    return {
        "encoder": Part(encoder, lambda image, mask: encoder(image)),
        "mapping": Part(triplet.mapping, lambda image, mask: triplet.mapping(latent_for(image), mask)),
        "decoder": Part(decoder, lambda image, mask: decoder(latent_for(image))),
    }


def row(preset: str, name: str, part: nn.Module, *, masked: bool) -> str:
    """One line of the table."""
    crop, whole = (count_flops(part, side, side, masked=masked) / 1e9 for side in (CROP, MEGAPIXEL))
    parameters = count_parameters(part.network if isinstance(part, Part) else part) / 1e6
    return f"| {preset} | {name} | {parameters:.2f} | {crop:,.1f} | {whole:,.0f} |"


def rows(preset: str) -> Iterator[str]:
    """Encoder, mapping and decoder, then the whole; without and with the block and the detail path."""
    plain = PRESETS[preset].triplet(partial_nonlocal=False)
    block = PRESETS[preset].triplet(partial_nonlocal=True)
    parts, with_block = parts_of(plain), parts_of(block)
    yield row(preset, "encoder", parts["encoder"], masked=False)
    yield row(preset, "mapping, no block", parts["mapping"], masked=False)
    yield row(preset, "mapping, with the block", with_block["mapping"], masked=True)
    yield row(preset, "decoder", parts["decoder"], masked=False)
    yield row(preset, "all, no block", plain, masked=False)
    yield row(preset, "all, with the block", block, masked=True)
    if PRESETS[preset].detail is not None:
        whole = PRESETS[preset].triplet(partial_nonlocal=True, detail=True)
        yield row(preset, "all, with block and detail path", whole, masked=True)


def table() -> str:
    """The whole table."""
    return "\n".join([*HEADER, *(line for preset in sorted(PRESETS) for line in rows(preset))])


if __name__ == "__main__":
    print(table())
