"""Full-reference metrics, by torchmetrics. Images are N3HW float32 in [0, 1]; results are one number an image."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure


def psnr(made: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, N; 100 dB where the images are equal (instead of infinity)."""
    error = (made - truth).square().flatten(1).mean(dim=1).clamp_min(1e-10)
    return -10.0 * torch.log10(error)


def ssim(made: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity (Gaussian window of 11, sigma 1.5), N, mean over RGB."""
    values = structural_similarity_index_measure(made, truth, data_range=1.0, reduction="none")
    assert isinstance(values, Tensor)  # without `return_full_image` torchmetrics returns one tensor
    return values.reshape(len(made))
