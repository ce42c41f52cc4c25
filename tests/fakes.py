"""Restorers that cost nothing, and pictures to feed them.

They come in through `register_restorer`, the door for networks of one's own. `python tests/fakes.py restore ...` is the
`oldphoto` command with them inside, for tests that kill it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np


@dataclass
class InvertingRestorer:
    """Turns a picture into its negative and remembers the masks it was handed."""

    name: str = "invert"
    digest: str = "a" * 64
    device: str = "cpu"
    max_megapixels: float = 4.0
    seconds: float = 0.0
    breaks_at: int = -1
    """Width of the pictures that it fails on."""
    masks: list[np.ndarray | None] = field(default_factory=list)

    def restore(self, pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        time.sleep(self.seconds)
        if pixels.shape[1] == self.breaks_at:
            raise RuntimeError("the network met a picture it cannot take")
        self.masks.append(mask)
        return np.iinfo(pixels.dtype).max - pixels


def register() -> None:
    from oldphoto_core.restoration import register_restorer

    register_restorer("invert", lambda device: InvertingRestorer())
    register_restorer("another", lambda device: InvertingRestorer(name="another", digest="b" * 64))
    register_restorer("slow", lambda device: InvertingRestorer(name="slow", seconds=0.25))


def picture(height: int = 40, width: int = 60, *, channels: int = 3, bits: int = 8, seed: int = 0) -> np.ndarray:
    """HWC (HW for one channel), uint8 or uint16: smooth, so that JPEG keeps it nearly as it is."""
    rng = np.random.default_rng(seed)
    small = rng.integers(30, 220, (4, 6, channels)).astype(np.float32)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    return (large * 257).astype(np.uint16) if bits == 16 else large.astype(np.uint8)


def encoded(pixels: np.ndarray, extension: str) -> bytes:
    done, data = cv2.imencode(extension, pixels)
    assert done
    return bytes(data)


def fill(folder: Path, keys: list[str], **look: int) -> Path:
    """A picture under each key; every one differs."""
    for seed, key in enumerate(keys):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(seed=seed, **look), path.suffix))
    return folder


def decoded(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


if __name__ == "__main__":
    from flows.cli import main

    register()
    main()
