"""Photos that are grey, sepia or coloured by hand, and a network that would tint and cloud them."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from photos import photo

from oldphoto_core import Restorer
from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.checkpoints import Model, ModelCard
from oldphoto_core.restoration import NetworkOptions
from oldphoto_core.tone import ToneOptions, colours_of

Pixels = NDArray[np.uint8]


SIZE = (240, 320)


class Clouding(torch.nn.Module):
    """Reddens a photo and brightens places with much detail; fills damage with grey."""

    def forward(self, image: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        around = torch.nn.functional.avg_pool2d(image, 25, 1, 12, count_include_pad=False)
        detail = torch.nn.functional.avg_pool2d((image - around).abs(), 25, 1, 12, count_include_pad=False)
        made = image + 2.0 * detail
        made[:, 0] += 0.2
        return made if mask is None else torch.where(mask > 0, 0.1, made)


def restorer(network: torch.nn.Module | None = None, preset: str = "compact", memory: float | None = None) -> Restorer:
    card = ModelCard(name="test", preset=preset, partial_nonlocal=True, weights_sha256="0" * 64, created="2026-11-23")
    return Restorer(Model(network or Clouding(), card), NetworkOptions(device="cpu", memory=memory))


def grey_photo(number: int = 1, size: tuple[int, int] = SIZE) -> Pixels:
    grain = np.random.default_rng(number).normal(0, 4, size)
    grey = 30 + 0.75 * cv2.cvtColor(photo(number, *size), cv2.COLOR_RGB2GRAY) + grain
    return grey.clip(0, 255).astype(np.uint8)


def neutral(number: int = 1, size: tuple[int, int] = SIZE) -> Pixels:
    return np.repeat(grey_photo(number, size)[..., None], 3, axis=2)


def sepia(number: int = 1, size: tuple[int, int] = SIZE) -> Pixels:
    grey = neutral(number, size) / 255.0
    tint = np.array([0.10, 0.0, -0.16]) * np.sin(np.pi * grey[..., :1])
    return ((grey + tint).clip(0, 1) * 255).round().astype(np.uint8)


def painted(pixels: Pixels) -> Pixels:
    """A studio portrait with a painted face, dress and background."""
    picture, (height, width) = pixels.astype(np.float32), pixels.shape[:2]
    for (x, y), radius, offset in (
        ((0.5, 0.3), 0.14, (28, -8, -14)), ((0.5, 0.75), 0.25, (-22, -6, 34)), ((0.15, 0.4), 0.15, (-16, 16, -14)),
    ):  # fmt: skip
        weight = np.zeros((height, width), np.float32)
        cv2.circle(weight, (int(x * width), int(y * height)), int(radius * height), 1.0, -1)
        picture += cv2.GaussianBlur(weight, (0, 0), 3)[..., None] * np.array(offset, np.float32)
    return picture.clip(0, 255).round().astype(np.uint8)


def kind_of(pixels: Pixels, mask: NDArray[np.bool_] | None = None, **options: str) -> str:
    damaged = None if mask is None else ArrayCanvas(mask[..., None].astype(np.uint8))
    return colours_of(ArrayCanvas(pixels), damaged, ToneOptions(**options)).kind  # type: ignore[arg-type]


def is_neutral(pixels: NDArray[np.generic]) -> bool:
    return bool((pixels == pixels[..., :1]).all())


def scratch(size: tuple[int, int] = SIZE) -> NDArray[np.bool_]:
    mask = np.zeros(size, bool)
    mask[60:84, 30:200] = True
    return mask
