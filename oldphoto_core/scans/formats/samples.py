"""Pixels and files of the samples that `oldphoto doctor` tries."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONLY_READ = "derivatives are TIFF"
"""What the doctor says of a sample whose format is only read."""


def by_opencv(extension: str, *, bits: Literal[8, 16] = 8, channels: Literal[1, 3] = 3) -> bytes:
    """A file of 96 x 64 pixels, encoded by OpenCV in the format of this extension (".tif")."""
    import cv2

    done, data = cv2.imencode(extension, _ramp(bits, channels))
    if not done:
        raise ValueError(f"OpenCV makes no {extension}")
    return bytes(data)


def by_pillow(format_: str, *, cmyk: bool = False) -> bytes:
    """A file encoded by Pillow in the format of this name, of RGB or of CMYK, 8 bits a channel."""
    from PIL import Image

    buffer = io.BytesIO()
    image = Image.new("CMYK", (32, 24), (10, 20, 30, 40)) if cmyk else Image.fromarray(_ramp(8, 3))
    image.save(buffer, format_)
    return buffer.getvalue()


def _ramp(bits: int, channels: int) -> NDArray[Any]:
    import numpy as np

    ramp = np.linspace(0, 2**bits - 1, 96 * 64 * channels).reshape(64, 96, channels)
    return ramp.astype(np.uint16 if bits == 16 else np.uint8)
