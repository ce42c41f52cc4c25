"""Local defects without a shape of their own: blur, noise, low resolution, compression.

Every function takes and returns `image_HWC uint8` (RGB, or grey as three equal channels) and draws all it needs from
`rng`, so that a recipe's result depends on its seed alone. Source: section 4.1 of the paper and its published recipe.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Record = dict[str, float | int | str]
"""What one operation drew, for the recipe that is stored beside a pair."""


def _to_uint8(values: NDArray[np.float32]) -> Image:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def gaussian_blur(
    image: Image, rng: np.random.Generator, kernels: tuple[int, ...], sigma: tuple[float, float]
) -> tuple[Image, Record]:
    """Out-of-focus lens: a Gaussian of `kernel` pixels (odd) and `sigma` pixels."""
    kernel = int(rng.choice(kernels))
    drawn = float(rng.uniform(*sigma))
    blurred = cv2.GaussianBlur(image, (kernel, kernel), drawn, borderType=cv2.BORDER_REFLECT_101)
    return blurred.astype(np.uint8, copy=False), {"operation": "gaussian_blur", "kernel": kernel, "sigma": drawn}


def gaussian_noise(image: Image, rng: np.random.Generator, sigma: tuple[float, float]) -> tuple[Image, Record]:
    """Additive noise, independent per pixel and channel; `sigma` in levels of 255."""
    drawn = float(rng.uniform(*sigma))
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(drawn)
    return _to_uint8(image.astype(np.float32) + noise), {"operation": "gaussian_noise", "sigma": drawn}


def speckle_noise(image: Image, rng: np.random.Generator, sigma: tuple[float, float]) -> tuple[Image, Record]:
    """Multiplicative noise, as of developed grain: brighter is noisier; `sigma` in levels of 255 at white."""
    drawn = float(rng.uniform(*sigma))
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(drawn / 255.0)
    values = image.astype(np.float32)
    return _to_uint8(values + values * noise), {"operation": "speckle_noise", "sigma": drawn}


def salt_and_pepper(image: Image, rng: np.random.Generator, most: float) -> tuple[Image, Record]:
    """Dead pixels and dust: up to the share `most` of pixels turned white or black, half and half."""
    share = float(rng.uniform(0.0, most))
    drawn = rng.random(image.shape[:2], dtype=np.float32)
    spoiled = image.copy()
    spoiled[drawn < share / 2] = 255
    spoiled[drawn > 1 - share / 2] = 0
    return spoiled, {"operation": "salt_and_pepper", "share": share}


def low_resolution(image: Image, rng: np.random.Generator, scale: tuple[float, float]) -> tuple[Image, Record]:
    """Each side shrunk to its own share of its length (bicubic) and enlarged again (nearest or bilinear)."""
    height, width = image.shape[:2]
    small_height = max(1, round(height * float(rng.uniform(*scale))))
    small_width = max(1, round(width * float(rng.uniform(*scale))))
    up = str(rng.choice(("nearest", "bilinear")))
    small = cv2.resize(image, (small_width, small_height), interpolation=cv2.INTER_CUBIC)
    mode = cv2.INTER_NEAREST if up == "nearest" else cv2.INTER_LINEAR
    enlarged = cv2.resize(small, (width, height), interpolation=mode)
    return enlarged.astype(np.uint8, copy=False), {
        "operation": "low_resolution", "height": small_height, "width": small_width, "up": up,
    }  # fmt: skip


def jpeg(image: Image, rng: np.random.Generator, quality: tuple[int, int]) -> tuple[Image, Record]:
    """One generation of JPEG at `quality` (inclusive bounds)."""
    drawn = int(rng.integers(quality[0], quality[1] + 1))
    # OpenCV writes BGR: the channels are swapped so that chroma subsampling hits what it would hit in a real file
    _, coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, drawn])
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded a line above
    return np.ascontiguousarray(decoded[..., ::-1]).astype(np.uint8, copy=False), {
        "operation": "jpeg",
        "quality": drawn,
    }
