"""One step of the stage `tone`: how different mapped toned photos look from the clean ones."""

from __future__ import annotations

import torch
from torch import Tensor

from oldphoto_core.nets.tone import ToneNet, through_curves, through_matrix
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.photos.batches import Batch
from oldphoto_core.training.process_group import ALONE, ProcessGroup
from oldphoto_core.training.stages import Losses, Stage
from oldphoto_core.training.tone.data import is_grey
from oldphoto_core.training.tone.distance import colour_distance


class ToneStage(Stage):
    """The tone network alone: it needs none of the others."""

    def __init__(
        self, config: StageConfig, network: ToneNet, device: str = "cpu", workers: int = 1, group: ProcessGroup = ALONE
    ) -> None:
        """Trains `network`."""
        super().__init__(config, network, device, workers, group)

    def losses(self, batch: Batch, step: int, noise: torch.Generator) -> tuple[Losses, Losses]:
        """pixel * the colour distance of map(y') from y, where the map is the network's of x or of y'."""
        assert batch.mask is not None
        assert batch.toned is not None
        made = self.mapped(batch.toned, batch.degraded, batch.mask, is_grey(batch.clean))
        distance = colour_distance((made + 1) / 2, (batch.clean + 1) / 2)
        loss = self.config.pixel * distance
        return {"generator": loss}, {"colour_distance": distance, "loss": loss}

    def mapped(self, toned: Tensor, shown: Tensor, mask: Tensor, grey: Tensor) -> Tensor:
        """`toned_N3HW` in [-1, 1] through the maps of what is `shown`; those that are `grey` (N) by lightness."""
        # a photo of which nothing is intact has no map of its own: it is shown as if all were
        intact = torch.where(mask.flatten(1).amin(dim=1)[:, None, None, None] > 0, 1.0, 1.0 - mask)
        curves, matrices, lightness = self.networks["generator"]((shown + 1) / 2, intact)
        levels = (toned + 1) / 2
        coloured = through_matrix(through_curves(levels, curves), matrices)
        light = through_curves(levels, lightness.expand(-1, 3, -1))
        # not clipped: what is beyond black or white must still learn the way back
        return torch.where(grey[:, None, None, None], light, coloured) * 2 - 1

    def restore(self, image: Tensor, mask: Tensor | None) -> Tensor:
        """`image_N3HW` through its own map."""
        damaged = torch.zeros_like(image[:, :1]) if mask is None else mask
        return self.mapped(image, image, damaged, is_grey(image))
