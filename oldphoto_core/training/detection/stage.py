"""One step of the stage `scratches`: focal loss with class balance (section 3.4), and soft Dice beside it."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.errors import UsageError
from oldphoto_core.nets.luminance import luminance
from oldphoto_core.nets.presets import preset_named
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.photos.batches import Batch
from oldphoto_core.training.process_group import ALONE, ProcessGroup
from oldphoto_core.training.stages import Losses, Stage


class DetectionStage(Stage):
    """The detector alone."""

    def __init__(
        self,
        config: StageConfig,
        detector: nn.Module,
        device: str = "cpu",
        workers: int = 1,
        group: ProcessGroup = ALONE,
    ) -> None:
        """Trains `detector`, which is called as `detector(grey_N1HW in [-1, 1])` and returns scores.

        Without `config.accumulation` the batch of a process is computed in one turn, whatever `workers`: the Dice loss
        is over the crops of a turn, and what is learnt must not depend on the number of cores.
        """
        if group.size > 1 and preset_named(config.preset).detector.norms_over_batch:
            raise UsageError(
                f"the detector of preset {config.preset} has norms over the whole batch, and trains in one process;"
                " give --processes 1"
            )
        super().__init__(config, detector, device, workers=1, group=group)

    def losses(self, batch: Batch, step: int, noise: torch.Generator) -> tuple[Losses, Losses]:
        """focal + dice * (1 - soft Dice)."""
        assert batch.mask is not None
        assert batch.weight is not None
        scores = self.networks["generator"](batch.degraded).float()
        terms = {
            "focal": focal_loss(
                scores, batch.mask, batch.weight, gamma=self.config.focal_gamma, damaged=self.config.damaged_weight
            ),
            "dice": dice_loss(scores, batch.mask, batch.weight),
        }
        # focal losses are small numbers: in tens they are as large as the Dice loss when training begins
        loss = 10.0 * terms["focal"] + self.config.dice * terms["dice"]
        return {"generator": loss}, terms | {"loss": loss}

    def restore(self, image: Tensor, mask: Tensor | None) -> Tensor:
        """Probability of damage, N1HW in [0, 1]; `mask` is not looked at."""
        detector = self.networks["generator"].eval()  # batch norms, if any, by what they have learnt
        try:
            return torch.sigmoid(cast(Tensor, detector(luminance(image))))
        finally:
            detector.train()


def focal_loss(scores: Tensor, mask: Tensor, weight: Tensor, *, gamma: float, damaged: float) -> Tensor:
    """ "Focal Loss for Dense Object Detection" (arXiv 1708.02002), the mean over pixels.

    Args:
        scores: N1HW logits.
        mask: N1HW, 1 = damaged.
        weight: N1HW, how much each pixel counts.
        gamma: 0 is cross entropy; the larger, the less count pixels that are right already.
        damaged: alpha, the weight of damaged pixels; intact ones have 1 - alpha.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(scores, mask, reduction="none")
    wrong = torch.abs(mask - torch.sigmoid(scores))
    balance = damaged * mask + (1.0 - damaged) * (1.0 - mask)
    return (weight * balance * wrong.pow(gamma) * cross_entropy).mean()


def dice_loss(scores: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """1 - F1 of the soft decisions, over all pixels of a turn together: crops without damage have no F1."""
    soft = torch.sigmoid(scores) * weight
    shared = (soft * mask).sum()
    return 1.0 - (2.0 * shared + 1.0) / (soft.sum() + mask.sum() + 1.0)
