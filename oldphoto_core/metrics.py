"""Full-reference metrics, by torchmetrics. Images are N3HW float32 in [0, 1]; results are one number an image."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.image import structural_similarity_index_measure

from oldphoto_core.colour_difference import ciede2000, lab_of

THUMBNAIL = 32
"""Side in pixels of the thumbnails by which tone is compared."""


def psnr(made: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, N; 100 dB where the images are equal (instead of infinity)."""
    error = (made - truth).square().flatten(1).mean(dim=1).clamp_min(1e-10)
    return -10.0 * torch.log10(error)


def ssim(made: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity (Gaussian window of 11, sigma 1.5), N, mean over RGB."""
    values = structural_similarity_index_measure(made, truth, data_range=1.0, reduction="none")
    assert isinstance(values, Tensor)  # without `return_full_image` torchmetrics returns one tensor
    return values.reshape(len(made))


def structure_psnr(made: Tensor, toned: Tensor) -> Tensor:
    """PSNR in dB against the toned photo y' after the best map of the output's colours to it, N.

    The map is that of least squares, per pixel from r, g, b, their squares and 1: a restoration is neither rewarded nor
    punished for tone, which is another's task. `toned` is `Degraded.toned`.
    """
    return torch.stack([psnr(_recoloured(one, wanted)[None], wanted[None])[0] for one, wanted in _pairs(made, toned)])


def tone_error(made: Tensor, clean: Tensor) -> Tensor:
    """Mean CIEDE2000 between thumbnails of 32 x 32 pixels of output and clean photo, N: what tone is left wrong."""
    thumbnails = [functional.interpolate(image, (THUMBNAIL, THUMBNAIL), mode="area") for image in (made, clean)]
    return torch.stack([ciede2000(lab_of(one), lab_of(wanted)).mean() for one, wanted in _pairs(*thumbnails)])


def _pairs(made: Tensor, truth: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(made, truth, strict=True)


def _recoloured(made: Tensor, wanted: Tensor) -> Tensor:
    """`made_3HW` through the quadratic map of colours that brings it nearest to `wanted_3HW`."""
    colours = made.flatten(1).T.double()
    features = torch.cat([colours, colours.square(), torch.ones_like(colours[:, :1])], dim=1)
    # of a grey photo the channels are equal, so the map is not unique: the pseudoinverse takes the smallest
    weights = torch.linalg.pinv(features.T @ features, rtol=1e-10, hermitian=True) @ (
        features.T @ wanted.flatten(1).T.double()
    )
    mapped: Tensor = features @ weights
    return mapped.T.reshape(made.shape).to(made.dtype)


class DetectionCounts:
    """How probabilities of damage fall on damaged and on intact pixels, counted in bins: any number of photos in 16 kB.

    Thresholds are multiples of 1 / `BINS`; a pixel counts as found where its probability is at least the threshold.
    """

    BINS = 1000

    def __init__(self) -> None:
        self.damaged = torch.zeros(self.BINS + 1, dtype=torch.int64)
        """Pixels that are damaged, by bin of their probability."""
        self.intact = torch.zeros(self.BINS + 1, dtype=torch.int64)
        """Pixels that are not."""

    def add(self, probabilities: Tensor, mask: Tensor) -> None:
        """Counts pixels: probabilities in [0, 1], and True where they are damaged, of the same shape."""
        bins = (probabilities * self.BINS).long().clamp_(0, self.BINS)
        self.damaged += torch.bincount(bins[mask], minlength=self.BINS + 1)
        self.intact += torch.bincount(bins[~mask], minlength=self.BINS + 1)

    def auc(self) -> float:
        """Area under the ROC curve by the trapezoid rule; nan without damaged or without intact pixels."""
        true, false = self._found()
        return float(torch.trapezoid(_share(true), _share(false)).abs())

    def f1(self, threshold: float) -> float:
        """2 * found / (marked + damaged); 0 where nothing is damaged."""
        true, false = self._found()
        index = round(threshold * self.BINS)
        return float(2 * true[index] / max(1, int(true[index] + false[index] + true[0])))

    def best_threshold(self, most_false: float = 1.0, unharmed: DetectionCounts | None = None) -> float:
        """Where F1 is highest among the thresholds that mark at most the share `most_false` of the intact pixels, or of
        those of other photos, which are `unharmed`."""
        true, false = (counts[:-1] for counts in self._found())
        f1 = 2 * true / (true + false + true[0]).clamp_min(1)
        judged = false if unharmed is None else unharmed._found()[1][:-1]
        allowed = judged <= most_false * judged[0]
        allowed[-1] = True  # the strictest threshold, should even that mark more
        return int(torch.where(allowed, f1, -1.0).argmax()) / self.BINS

    def false_positive_rate(self, threshold: float) -> float:
        """Share of the intact pixels that are marked."""
        _, false = self._found()
        return float(false[round(threshold * self.BINS)] / max(1, int(false[0])))

    def recall(self, threshold: float) -> float:
        """Share of the damaged pixels that are marked."""
        true, _ = self._found()
        return float(true[round(threshold * self.BINS)] / max(1, int(true[0])))

    def _found(self) -> tuple[Tensor, Tensor]:
        """(damaged, intact) pixels marked at each threshold, from all at 0 to none beyond 1."""
        return tuple(_from_above(counts) for counts in (self.damaged, self.intact))  # type: ignore[return-value]


def _from_above(counts: Tensor) -> Tensor:
    summed = counts.flip(0).cumsum(0).flip(0)
    return torch.cat([summed, torch.zeros(1, dtype=torch.int64)])


def _share(counts: Tensor) -> Tensor:
    return counts.double() / counts[0]
