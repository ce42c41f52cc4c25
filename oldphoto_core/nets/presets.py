"""Presets: which networks make a model, and the contract they carry for whoever runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol, cast

import torch
from torch import Tensor, nn

from oldphoto_core.errors import ConfigError, UsageError
from oldphoto_core.nets.compact_detector import CompactDetector
from oldphoto_core.nets.detail import DetailConfig, DetailPath
from oldphoto_core.nets.discriminators import ImageDiscriminator, LatentDiscriminator
from oldphoto_core.nets.mapping import CompactMapping, CompactMappingConfig, PaperMapping, PaperScratchMapping
from oldphoto_core.nets.rivals.cyclegan import CycleGanConfig
from oldphoto_core.nets.rivals.operation_attention import OperationAttentionConfig
from oldphoto_core.nets.rivals.pix2pix import Pix2PixConfig
from oldphoto_core.nets.scratch_unet import ScratchUNet
from oldphoto_core.nets.vae import CompactVAE, CompactVAEConfig, PaperVAE

PresetName = Literal["compact", "dense", "paper"]
BeyondMemory = Literal["tiles", "layers"]
"""In tiles with a halo, for networks that look only so far; layer by layer, for those with statistics over space."""


class VAE(Protocol):
    """What the triplet needs of an autoencoder."""

    def encode(self, image: Tensor) -> Tensor:
        """N3HW -> latent."""

    def decode(self, latent: Tensor) -> Tensor:
        """Latent -> N3HW."""


class HasPath(Protocol):
    """A network that restores in three steps, each of which can be run by itself."""

    def path(self, *, masked: bool) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Encoder, mapping and decoder of a picture with a mask or without."""


class Triplet(nn.Module):
    """Restoration r -> G_Y(T(E_RX(r))): the old photos' encoder, the mapping, the clean photos' decoder.

    With a detail path, its result is refined with what is intact of r.
    """

    def __init__(
        self, vae_old: nn.Module, vae_clean: nn.Module, mapping: nn.Module, detail: DetailPath | None = None
    ) -> None:
        super().__init__()
        self.vae_old = vae_old
        self.vae_clean = vae_clean
        self.mapping = mapping
        self.detail = detail

    @property
    def sees_noise(self) -> bool:
        """Whether the noise level of the whole photo is asked for."""
        return self.detail is not None and self.detail.noise is not None

    def forward(self, image: Tensor, mask: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """`image_N3HW` in [-1, 1] with damaged pixels white, `mask_N1HW` 1 = damaged or None -> N3HW in [-1, 1].

        `noise`: N2 or 12, the `noise_level` of the whole photo where `image` is a part of it.
        """
        latent = cast(VAE, self.vae_old).encode(image)
        made = cast(VAE, self.vae_clean).decode(self.mapping(latent, mask))
        return made if self.detail is None else cast(Tensor, self.detail(image, made, mask, noise))

    def path(self, *, masked: bool) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Encoder, mapping and decoder of a picture, the same with a mask and without."""
        return cast(nn.Module, self.vae_old.encoder), self.mapping, cast(nn.Module, self.vae_clean.decoder)


@dataclass(frozen=True, slots=True)
class Preset:
    """How to build each network of a model, and what it asks of its input."""

    name: PresetName
    vae: Callable[[], nn.Module]
    mapping: Callable[[bool], nn.Module]
    """Called with whether the partial nonlocal block is wanted."""
    detector: type[CompactDetector | ScratchUNet]
    """Finds damage: called with N1HW luminance, returns scores; has `multiple`, `minimum` and `halo` of its own."""
    image_discriminator: Callable[[], nn.Module]
    latent_discriminator: Callable[[], nn.Module]
    pix2pix: Pix2PixConfig
    """Of the baseline that is trained beside it."""
    cyclegan: CycleGanConfig
    """Of the unpaired rival; in `compact` of about as many operations as the triplet."""
    attention: OperationAttentionConfig
    """Of the rival with operation-wise attention, likewise."""
    multiple: int
    """Sides of the input must be multiples of this; the restorer pads by reflection."""
    minimum: int
    """Shortest side that the networks can work on, a multiple of `multiple`."""
    bytes_per_pixel: int
    """Peak memory of one forward pass without scratches on a CPU, per pixel (benchmarks/memory.py prints it)."""
    detail: Callable[[], DetailPath] | None
    """The path past the latent that the stage `joint` trains; None: the preset has none."""
    halo: int
    """Pixels of context with which a tile equals the whole, a multiple of `multiple`; 0: none is enough."""
    beyond_memory: BeyondMemory
    """How a picture is restored that does not fit."""
    bears_bfloat16: bool
    """Whether bfloat16 stays near float32 in models with a detail path: PSNR of at least 55 dB, no pixel off by more
    than 4 levels of 255 (benchmarks/precision.py). Without one every pixel goes through the latent, and is off by up to
    5 levels near what is filled."""

    def triplet(self, *, partial_nonlocal: bool = True, detail: bool = False) -> Triplet:
        """A model with fresh weights; `detail`: with the detail path, ConfigError if the preset has none."""
        if detail and self.detail is None:
            raise ConfigError(f"preset {self.name} has no detail path; set detail to false")
        path = self.detail() if detail and self.detail is not None else None
        return Triplet(self.vae(), self.vae(), self.mapping(partial_nonlocal), path)


_COMPACT = Preset(
    "compact",
    vae=CompactVAE,
    mapping=lambda block: CompactMapping(CompactMappingConfig(partial_nonlocal=block)),
    detector=CompactDetector,
    image_discriminator=lambda: ImageDiscriminator(width=32, layers=3),
    latent_discriminator=lambda: LatentDiscriminator(width=32),
    pix2pix=Pix2PixConfig(width=32, depth=5),
    cyclegan=CycleGanConfig(width=24, blocks=6),
    attention=OperationAttentionConfig(groups=3, blocks=2),
    multiple=8,
    minimum=8,
    bytes_per_pixel=750,
    detail=DetailPath,
    halo=120,
    beyond_memory="tiles",
    bears_bfloat16=True,
)
_DENSE_VAE = CompactVAEConfig(half_width=32, quarter_width=64, block="dense")
_DENSE_MAPPING = CompactMappingConfig(
    width=64, blocks=2, deep_width=128, deep_blocks=4, nonlocal_width=64, block="dense"
)
PRESETS: dict[str, Preset] = {
    "compact": _COMPACT,
    "dense": replace(
        _COMPACT,
        name="dense",
        vae=lambda: CompactVAE(_DENSE_VAE),
        mapping=lambda block: CompactMapping(replace(_DENSE_MAPPING, partial_nonlocal=block)),
        detail=lambda: DetailPath(DetailConfig(width=48, blocks=4, block="dense", noise_width=32)),
        halo=192,
    ),
    "paper": Preset(
        "paper",
        vae=PaperVAE,
        mapping=lambda block: PaperScratchMapping() if block else PaperMapping(),
        detector=ScratchUNet,
        image_discriminator=ImageDiscriminator,
        latent_discriminator=LatentDiscriminator,
        pix2pix=Pix2PixConfig(),
        cyclegan=CycleGanConfig(),
        attention=OperationAttentionConfig(),
        multiple=4,
        minimum=32,
        bytes_per_pixel=1600,
        detail=None,
        halo=0,
        beyond_memory="layers",
        bears_bfloat16=False,
    ),
}
"""`compact`: a thirtieth of the operations (docs/networks.md), trains on a CPU. `dense`: as many, in fewer and larger
products, which a CPU does faster. `paper`: the published shapes."""


def preset_named(name: str) -> Preset:
    """The preset called `name`; UsageError lists those there are."""
    if name not in PRESETS:
        raise UsageError(f"no preset is called {name!r}; there are: {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def count_parameters(module: nn.Module) -> int:
    """Number of trainable numbers."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_flops(module: nn.Module, height: int, width: int, *, masked: bool = False) -> int:
    """Operations (a multiply-add is two) of one forward pass on a picture of this size, by torch's FlopCounterMode.

    Runs on the meta device, so it costs neither time nor memory. `masked`: with every position asked and every key
    kept, the most that the nonlocal block can cost.
    """
    from torch.utils.flop_counter import FlopCounterMode

    shadow = module.to("meta")
    # two pictures: the shortcut for a single one looks at the mask, which has no values here
    image = torch.empty(2, 3, height, width, device="meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        shadow(image, torch.empty(2, 1, height, width, device="meta") if masked else None)
    return int(counter.get_total_flops()) // 2
