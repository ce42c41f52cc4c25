"""One step of the stage `joint`: what was trained one by one is trained together, on the same pairs and loop."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.devices import place
from oldphoto_core.nets.noise_level import added_noise_level
from oldphoto_core.nets.presets import Triplet
from oldphoto_core.training.compiling import compile_in_place
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.photos.batches import Batch
from oldphoto_core.training.process_group import ALONE, ProcessGroup
from oldphoto_core.training.stages import Losses, Stage


class Restoration(nn.Module):
    """The part of a triplet that restores: encoder E_RX, mapping T, decoder G_Y and, if it has one, the detail path."""

    def __init__(self, triplet: Triplet) -> None:
        super().__init__()
        self.encoder, self.mapping, self.decoder = triplet.path(masked=True)
        self.detail = triplet.detail


KNEE = 0.004
"""Distance in [-1, 1], half a level of 8 bits, below which a crop is as good as restored."""
USUAL = 0.04
"""Distance at which the balanced term pulls about as strongly as the plain one: that of most crops in training."""


def balanced(made: Tensor, clean: Tensor) -> Tensor:
    """Return the mean over crops N3HW in [-1, 1] of the logarithm of their mean absolute distance, at least 0.

    Its slope is relative: a tenth less of a crop's distance is worth as much whether the crop was ruined or well kept.
    """
    distance = (made - clean).abs().mean(dim=(1, 2, 3))
    return USUAL * torch.log1p(distance / KNEE).mean()


MISJUDGED = (-0.5, 0.5)
"""Mean and deviation of the logarithm by which the noise level given in training is wrong: as much as `noise_level` of
a whole photo differs from what was added at one place of it (benchmarks/noise_level.py)."""
LEAST = 0.5
"""Levels added to both before they are compared: a difference of less is none."""


def judged_noise(batch: Batch, noise: torch.Generator) -> Tensor:
    """The noise of each crop, N x 2 in levels of 255, as wrong as one that was measured on a whole photo."""
    true = added_noise_level(batch.degraded, batch.clean, batch.mask)
    bias, deviation = MISJUDGED
    # one error for both scales: it comes from where the photo was flattest
    wrong = torch.randn(len(true), 1, generator=noise, device=true.device).mul_(deviation).add_(bias).exp_()
    return ((true + LEAST) * wrong - LEAST).clamp_(min=0.0)


class JointStage(Stage):
    """`joint`: E_RX, T and G_Y together on pairs, after they were trained one by one; E_Y is frozen, G_RX left out.

    The latent terms stay: translated latents near those of the targets, and real old photos' latents indistinguishable
    from those of degraded photos, so that what is learned on pairs holds for real photos.
    """

    def __init__(
        self, config: StageConfig, triplet: Triplet, device: str = "cpu", workers: int = 1, group: ProcessGroup = ALONE
    ) -> None:
        """Trains encoder, mapping, decoder and detail path of `triplet`."""
        self.triplet = triplet
        self._truth = place(cast(nn.Module, triplet.vae_clean.encoder).requires_grad_(False), device)
        super().__init__(config, Restoration(triplet), device, workers, group)
        if config.compiled:
            compile_in_place(self._truth)

    def losses(self, batch: Batch, step: int, noise: torch.Generator) -> tuple[Losses, Losses]:
        """pixel * |G_Y(T(z_x)) - y| + lambda1 * |T(z_x) - z_y|_1 + KL + image terms + the latent term.

        The pixel term is `balanced` where the config says so.
        """
        config, networks = self.config, cast(Restoration, self.networks["generator"])
        images = batch.degraded if batch.old is None else torch.cat([batch.old, batch.degraded])
        old = 0 if batch.old is None else len(batch.old)
        latents = networks.encoder(images)
        translated = networks.mapping(latents[old:], batch.mask).float()
        made = networks.decoder(translated).float()
        if networks.detail is not None:
            level = judged_noise(batch, noise) if networks.detail.noise is not None else None
            made = networks.detail(batch.degraded, made, batch.mask, level).float()
        terms = {"l1": F.l1_loss(made, batch.clean), "kl": latents.float().square().mean()}
        pixel = balanced(made, batch.clean) if config.balanced else terms["l1"]
        loss = config.pixel * pixel + config.kl.at(step) * terms["kl"]
        if weight := config.latent_distance.at(step):
            with torch.no_grad():
                wanted = self._truth(batch.clean).float()
            terms["latent"] = F.l1_loss(translated, wanted)
            loss = loss + weight * terms["latent"]
        minimised = {"generator": loss}
        self._image_game(made, batch.clean, step, minimised, terms)
        if batch.old is not None:
            self._latent_game(latents.float(), old, step, minimised, terms)
        return minimised, terms | {"loss": minimised["generator"]}

    def restore(self, image: Tensor, mask: Tensor | None) -> Tensor:
        """The restoration of `image`, whose damaged pixels are white."""
        restored: Tensor = self.triplet(image, mask)
        return restored
