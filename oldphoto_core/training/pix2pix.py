"""One step of the stages `pix2pix` and `attention`: baselines trained on the same pairs by the same loop."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.nets.discriminators import ImageDiscriminator
from oldphoto_core.nets.presets import preset_named
from oldphoto_core.training.photos.batches import Batch
from oldphoto_core.training.stages import Losses, Stage


class Pix2PixStage(Stage):
    """A generator, and, where that term is on, a PatchGAN (70 x 70) that sees what it was given beside what it made."""

    def _critics(self) -> dict[str, nn.Module]:
        if not (self.config.adversarial.value or self.config.feature_matching.value):
            return {}
        width = preset_named(self.config.preset).pix2pix.width
        return {"critic_image": ImageDiscriminator(channels=6, width=width, layers=4, scales=1)}

    def losses(self, batch: Batch, step: int, noise: torch.Generator) -> tuple[Losses, Losses]:
        """pixel * |G(x) - y| + image terms, conditioned on x."""
        made = self.networks["generator"](batch.degraded).float()
        terms = {"l1": F.l1_loss(made, batch.clean)}
        minimised = {"generator": self.config.pixel * terms["l1"]}
        given = batch.degraded
        self._image_game(torch.cat([given, made], 1), torch.cat([given, batch.clean], 1), step, minimised, terms)
        return minimised, terms | {"loss": minimised["generator"]}

    def restore(self, image: Tensor, mask: Tensor | None) -> Tensor:
        """What the generator makes of `image`, whose damaged pixels are white."""
        restored: Tensor = self.networks["generator"](image)
        return restored
