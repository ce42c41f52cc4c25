"""Restorers that cost nothing, and pictures to feed them.

They come in through `register_restorer`, the way in for networks of one's own.
`python tests/support/fakes.py restore ...` is the `oldphoto` command with them inside, for tests that kill it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from oldphoto_core.canvas import Canvas


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


@dataclass
class DeadlyRestorer(InvertingRestorer):
    """Some pictures kill its process, on others it sits for ever."""

    name: str = "deadly"
    digest: str = "e" * 64
    kills_at: int = 61
    hangs_at: int = 62

    def restore(self, pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        if pixels.shape[1] == self.kills_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if pixels.shape[1] == self.hangs_at:
            time.sleep(3600)
        return super().restore(pixels, mask)


@dataclass
class DetectingRestorer(InvertingRestorer):
    """Calls what is nearly white damaged; makes a negative of the picture, grey where it was told of damage."""

    name: str = "detect"
    digest: str = "c" * 64
    detector_digest: str = "d" * 64
    max_megapixels: float = 1000.0
    memory: float = 1e12
    blind_at: int = -1
    """Width of the pictures that its detector fails on."""
    looked: int = 0
    """Pictures that its detector was shown."""

    def find_damage(self, photo: Canvas, result: Canvas, on_progress: Callable[[int, int], None]) -> None:
        self.looked += 1
        height, width, _ = photo.shape
        if width == self.blind_at:
            raise RuntimeError("the detector met a picture it cannot take")
        for top in range(0, height, 16):
            rows = photo.read(top, min(top + 16, height))
            result.write(top, (rows.min(axis=2, keepdims=True) >= 0.87 * np.iinfo(rows.dtype).max).astype(np.uint8))
            on_progress(top // 16 + 1, -(-height // 16))

    def restore(self, pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        restored = super().restore(pixels, mask)
        if mask is not None:
            restored[mask] = np.iinfo(pixels.dtype).max // 2
        return restored

    def restore_canvas(
        self, photo: Canvas, result: Canvas, mask: Canvas | None, on_progress: Callable[[int, int], None]
    ) -> None:
        height = photo.shape[0]
        damaged = None if mask is None else mask.read(0, height)[..., 0] != 0
        result.write(0, self.restore(photo.read(0, height), damaged))
        on_progress(1, 1)


def register() -> None:
    from oldphoto_core.restoration import register_restorer

    register_restorer("invert", lambda device: InvertingRestorer())
    register_restorer("another", lambda device: InvertingRestorer(name="another", digest="b" * 64))
    register_restorer("detect", lambda device: DetectingRestorer())
    register_restorer("deadly", lambda device: DeadlyRestorer())
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


def scratched(pixels: np.ndarray, top: int = 12, bottom: int = 16) -> np.ndarray:
    """With white rows, which `DetectingRestorer` finds; no other pixel is as bright."""
    white = np.iinfo(pixels.dtype).max
    marked = np.minimum(pixels, pixels.dtype.type(0.7 * white))
    marked[top:bottom] = white
    return marked


def mark(folder: Path, keys: list[str], height: int = 40, width: int = 60, *, rows: slice = slice(4, 8)) -> Path:
    """A mask under each key, white in these rows."""
    mask = np.zeros((height, width), np.uint8)
    mask[rows] = 255
    for key in keys:
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(mask, path.suffix))
    return folder


def decoded(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


if __name__ == "__main__":
    from flows.cli import main

    register()
    main()
