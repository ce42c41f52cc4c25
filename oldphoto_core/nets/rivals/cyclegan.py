"""The rival "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks" (Zhu et al., ICCV 2017).

A residual generator from old photos straight to clean ones, and one back, which training alone needs. No latent spaces,
no mask, and no pairs: it learns from real old photos and clean ones that show other things.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from oldphoto_core.errors import ConfigError
from oldphoto_core.nets.blocks import ResnetBlock, norm_and_relu


@dataclass(frozen=True, kw_only=True, slots=True)
class CycleGanConfig:
    """Width and depth of a generator."""

    width: int = 64
    """Channels at the picture's size; twice and four times as many at a half and a quarter of it."""
    blocks: int = 9
    """Residual blocks at a quarter of the picture's size."""

    def __post_init__(self) -> None:
        """Refuses generators without channels, and a negative number of blocks."""
        if self.width < 1 or self.blocks < 0:
            raise ConfigError(
                f"CycleGanConfig is width={self.width}, blocks={self.blocks}; give at least 1 channel and 0 blocks"
            )

    @property
    def multiple(self) -> int:
        """What the sides of a picture must be multiples of: it is halved twice."""
        return 4

    @property
    def minimum(self) -> int:
        """Shortest side, in pixels: blocks reflect the border, and their norms need several positions."""
        return 16

    @property
    def halo(self) -> int:
        """Pixels around a tile: how far the convolutions look. Norms look at the whole picture, so a tile never equals
        it."""
        return 8 * self.blocks + 16

    @property
    def bytes_per_pixel(self) -> int:
        """Peak memory of a forward pass in float32: input and output of a layer at the picture's size, padded, normed,
        and spread out for the 7 x 7 convolution."""
        return 32 * self.width

    def network(self) -> CycleGan:
        """A model with fresh weights."""
        return CycleGan(self)


class ResidualGenerator(nn.Module):
    """7x7 convolution, two halvings, residual blocks, two doublings, 7x7 convolution; instance norm throughout."""

    def __init__(self, config: CycleGanConfig) -> None:
        super().__init__()
        width = config.width
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), *norm_and_relu()]
        for inside in (width, 2 * width):
            layers += [nn.Conv2d(inside, 2 * inside, 3, stride=2, padding=1), *norm_and_relu()]
        layers += [ResnetBlock(4 * width) for _ in range(config.blocks)]
        for inside in (4 * width, 2 * width):
            up = nn.ConvTranspose2d(inside, inside // 2, 3, stride=2, padding=1, output_padding=1)
            layers += [up, *norm_and_relu()]
        self.layers = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())

    def forward(self, image: Tensor) -> Tensor:
        """N3HW in [-1, 1] -> N3HW in [-1, 1]; sides are multiples of 4."""
        made: Tensor = self.layers(image)
        return made


class CycleGan(nn.Module):
    """What restores: the generator from old photos to clean ones, called like every model; no mask is looked at."""

    def __init__(self, config: CycleGanConfig) -> None:
        super().__init__()
        self.generator = ResidualGenerator(config)

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """`image_N3HW` in [-1, 1] -> N3HW in [-1, 1]."""
        restored: Tensor = self.generator(image)
        return restored


class BothWays(nn.Module):
    """Both generators, which are trained together: G from old photos to clean ones, and F back."""

    def __init__(self, config: CycleGanConfig) -> None:
        super().__init__()
        self.restore = ResidualGenerator(config)
        self.age = ResidualGenerator(config)

    def forward(self, image: Tensor) -> Tensor:
        """What G makes of N3HW."""
        restored: Tensor = self.restore(image)
        return restored
