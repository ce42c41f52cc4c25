"""A picture of any size through a network that looks at all of it: layer by layer instead of tile by tile.

Instance norm ties every pixel to the whole picture, so a tile does not equal the whole, whatever its context is, and
deep in the network the differences multiply (benchmarks/sampled_statistics.py). Here each layer is computed for the
whole picture, some rows at a time, and stored on disk with its statistics before the next one begins. The result is the
whole picture's, no position is computed twice, and memory holds a few rows. The disk holds about 1,000 bytes per pixel:
six planes of 512 channels at a quarter of the picture's sides, and what is on its way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from oldphoto_core.inference.planes import Convolved, Derived, Doubled, Padded, Plane, Rows, Size
from oldphoto_core.nets.blocks import ResnetBlock
from oldphoto_core.nets.mapping import PaperMapping, PaperNonlocal, PaperScratchMapping
from oldphoto_core.nets.nonlocal_attention import MOST_KEYS, Evidence, drawn
from oldphoto_core.nets.norms import SpatialNorm
from oldphoto_core.nets.vae import LATENT_STRIDE
from oldphoto_core.nets.winograd import WinogradConv2d

WORKING_COPIES = 6
"""Rows that an operation holds at once: its input with and without padding, its output, what lies between."""

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, WinogradConv2d)


class LayerByLayer:
    """Runs networks made of the layers of preset `paper`."""

    MAPPINGS = (PaperMapping, PaperScratchMapping)
    """That it knows how to run."""

    def __init__(self, device: str, memory: float, on_layer: Callable[[int, int], None]) -> None:
        """`memory`: bytes that the rows in work may take. `on_layer` is called with how many layers are stored, of how
        many."""
        self._device = device
        self._memory = memory
        self._on_layer = on_layer
        self._layers = self._done = 0

    def translated(
        self, encoder: nn.Module, mapping: nn.Module, decoder: nn.Module, picture: Rows, mask: Rows | None
    ) -> Rows:
        """The restored picture of `picture` (3 channels in [-1, 1]) and `mask` (1 channel, 1 = damaged)."""
        parts = (encoder, mapping, decoder)
        self._layers, self._done = sum(isinstance(m, _CONVOLUTIONS) for part in parts for m in part.modules()), 0
        latent = self._through(encoder, picture)
        if isinstance(mapping, PaperScratchMapping):
            features = self._through(mapping.before_NL, latent)
            if mask is not None:
                features = self._filled(mapping.NL, features, self._damage(mapping, mask))
            latent = self._through(mapping.after_NL, features)
        else:
            latent = self._through(cast(PaperMapping, mapping).model, latent)
        return self._through(decoder, latent)

    def _through(self, network: nn.Module, source: Rows) -> Rows:
        for layer in network.children():
            if isinstance(source, Convolved | Doubled) and not isinstance(layer, SpatialNorm):
                source = self._stored(source)
            source = self._after(layer, source)
        return source

    def _after(self, layer: nn.Module, source: Rows) -> Rows:
        match layer:
            case nn.Identity():
                return source
            case nn.ReLU():
                return Derived(torch.relu_, (source,))
            case nn.Tanh():
                return Derived(torch.tanh_, (source,))
            case nn.ReflectionPad2d():
                return Padded(source, layer.padding[0], reflect=True)
            case SpatialNorm():
                stored = self._stored(source, moments=True)
                return Derived(stored.moments.normalised, (stored,))
            case WinogradConv2d():
                padded = Padded(source, layer.padding, reflect=layer.reflect)
                return Convolved(padded, layer.filtered, layer.outputs, 3, 1)
            case nn.ConvTranspose2d():
                spread = partial(F.conv_transpose2d, weight=layer.weight, bias=layer.bias, stride=2, padding=(0, 1))
                return Doubled(source, spread, layer.out_channels)
            case nn.Conv2d():
                amount = int(layer.padding[0])
                whole: Rows = Padded(source, amount, reflect=False) if amount else source
                filtered = partial(F.conv2d, weight=layer.weight, bias=layer.bias, stride=layer.stride)
                return Convolved(whole, filtered, layer.out_channels, layer.kernel_size[0], layer.stride[0])
            case ResnetBlock():
                source = self._stored(source)
                return self._stored(Derived(torch.add, (source, self._through(layer.conv_block, source))))
            case nn.Sequential():
                return self._through(layer, source)
        raise TypeError(f"a {type(layer).__name__} cannot be computed row by row")

    def _stored(self, source: Rows, *, moments: bool = False) -> Plane:
        if isinstance(source, Plane):
            return source
        plane = Plane(source.size, self._device)
        for top, bottom in self.slabs(source.size):
            rows = source.rows(top, bottom)
            if moments:
                plane.moments.add(rows)
            plane.put(top, rows)
        if isinstance(source, Convolved | Doubled):
            self._done += 1
            self._on_layer(self._done, self._layers)
        return plane

    def slabs(self, size: Size) -> list[tuple[int, int]]:
        """First and last row, exclusive, of what is computed at once."""
        widest = 4 * size.width * max(size.channels, 64) * WORKING_COPIES
        # as Winograd's tiles
        step = max(4, int(self._memory / widest) // 4 * 4)
        return [(top, min(top + step, size.height)) for top in range(0, size.height, step)]

    def _damage(self, mapping: PaperScratchMapping, mask: Rows) -> Plane:
        """The mask at the latent's size."""
        height, width = mask.size.height // LATENT_STRIDE, mask.size.width // LATENT_STRIDE
        plane = Plane(Size(height, width, 1), self._device)
        for top, bottom in self.slabs(Size(height, width, LATENT_STRIDE**2)):
            rows = mask.rows(LATENT_STRIDE * top, LATENT_STRIDE * bottom)
            plane.put(top, mapping.resize_mask(rows, (bottom - top, width)))
        return plane

    def _filled(self, block: PaperNonlocal, source: Rows, damage: Plane) -> Plane:
        features = self._stored(source)
        evidence = self._evidence(block, features, damage)
        answer = Derived(lambda rows, mask: block.fill(rows, mask, evidence), (features, damage))
        refined = self._through(block.res_block, self._stored(answer))
        return self._stored(Derived(block.fused, (features, damage, refined)))

    def _evidence(self, block: PaperNonlocal, features: Plane, damage: Plane) -> Evidence:
        """The sample of positions that the whole picture would give."""
        slabs = self.slabs(features.size)
        counts = [block.candidates(damage.rows(*slab)) for slab in slabs]
        kept = drawn(sum(counts), MOST_KEYS)
        parts, before = [], 0
        for slab, count in zip(slabs, counts, strict=True):
            mine = kept[(kept >= before) & (kept < before + count)] - before
            if len(mine):
                parts.append(block.evidence(features.rows(*slab), damage.rows(*slab)).at(mine))
            before += count
        return Evidence.joined(parts) if parts else block.evidence(features.rows(0, 1), damage.rows(0, 1))
