"""The latent domain gap (section 3.1): how far real old photos lie from synthetic ones in the encoder's latents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oldphoto_core.nets.presets import VAE

DIRECTIONS = 256
"""Random directions over which the distance is averaged."""
POSITIONS = 64
"""Latent positions drawn of each photo: neighbours say the same thing again."""


def sliced_wasserstein(first: Tensor, second: Tensor, *, seed: int = 0) -> float:
    """Wasserstein-1 distance of two clouds of points NC and MC, averaged over random directions (Rabin et al., 2011).

    In many dimensions the distance itself needs more points than there are; along a line it is the area between the two
    distribution functions. Unit: that of the coordinates. 0 for equal clouds, symmetric.
    """
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(first.shape[1], DIRECTIONS, generator=generator, dtype=torch.float64)
    directions /= directions.norm(dim=0)
    levels = torch.linspace(0.0, 1.0, min(len(first), len(second)), dtype=torch.float64)
    quantiles = [torch.quantile(cloud.double() @ directions, levels, dim=0) for cloud in (first, second)]
    return float((quantiles[0] - quantiles[1]).abs().mean())


def latents(encoder: VAE, photos: Iterable[NDArray[np.uint8]], *, seed: int = 0) -> Tensor:
    """Positions of the latents of photos HWC uint8 as points NC, `POSITIONS` of each photo, drawn by its number."""
    points = []
    with torch.inference_mode():
        for number, photo in enumerate(photos):
            image = torch.from_numpy(np.ascontiguousarray(photo)).permute(2, 0, 1)[None].float() / 127.5 - 1.0
            positions = encoder.encode(image)[0].flatten(1).T
            drawn = torch.randperm(len(positions), generator=torch.Generator().manual_seed(seed + number))
            points.append(positions[drawn[:POSITIONS]])
    return torch.cat(points)


def gap_gain(
    encoders: tuple[VAE, VAE],
    real: Sequence[NDArray[np.uint8]],
    synthetic: Sequence[NDArray[np.uint8]],
    *,
    level: float,
    resamples: int,
    seed: int = 0,
) -> tuple[float, float, tuple[float, float]]:
    """How much narrower the gap of the second encoder is: (first gap, second gap, (low, high) of their difference).

    A gap is of all photos together and has no value for one, so the bootstrap draws photos of both domains, the same
    ones for both encoders, and measures again.
    """
    rng = np.random.default_rng(seed)
    draws = [(rng.integers(0, len(real), len(real)), rng.integers(0, len(synthetic), len(synthetic)))
             for _ in range(resamples)]  # fmt: skip
    gaps, drawn = [], []
    for encoder in encoders:
        domains = [[latents(encoder, [photo], seed=number) for number, photo in enumerate(photos)]
                   for photos in (real, synthetic)]  # fmt: skip
        scale = torch.cat([*domains[0], *domains[1]]).std(dim=0).clamp_min(1e-6)
        scaled = [[points / scale for points in domain] for domain in domains]
        gaps.append(sliced_wasserstein(torch.cat(scaled[0]), torch.cat(scaled[1])))
        drawn.append([
            sliced_wasserstein(*(torch.cat([domain[number] for number in numbers])
                                 for domain, numbers in zip(scaled, draw, strict=True)))
            for draw in draws
        ])  # fmt: skip
    gains = np.array(drawn[0]) - np.array(drawn[1])
    low, high = np.quantile(gains, [(1 - level) / 2, (1 + level) / 2])
    return gaps[0], gaps[1], (float(low), float(high))


def domain_gap(encoder: VAE, real: Iterable[NDArray[np.uint8]], synthetic: Iterable[NDArray[np.uint8]]) -> float:
    """Distance between the latents of real old photos and of synthetic ones, in standard deviations of all of them.

    Scaled channel by channel, or an encoder with small latents would look better than one with large ones.
    """
    clouds = [latents(encoder, photos) for photos in (real, synthetic)]
    scale = torch.cat(clouds).std(dim=0).clamp_min(1e-6)
    return sliced_wasserstein(clouds[0] / scale, clouds[1] / scale)
