"""Photographs that are aged on purpose, in the mixture of files that archives hold: grey and colour, 8 and 16 bits."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.degradation import ArchiveRecipe, degrade, item_rng
from oldphoto_core.degradation.archive import Damage
from oldphoto_core.errors import OldPhotoError
from oldphoto_core.scans import read_scan, write_mask
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket


@dataclass(frozen=True, slots=True)
class Sample:
    """One photograph of the collection."""

    name: str
    """File in scikit-image's data folder that it is made from."""
    key: str
    """Where it lies in the collection; the extension decides the format."""
    bits: Literal[8, 16] = 8
    grey: bool = False
    damage: tuple[str, ...] = ()
    """What happened to it, by the names of `Damage` in the recipe `archive`."""
    seed: int = 1
    """Chosen so that the damage can be seen: with some, the dice leave a photo nearly as it was."""

    def recipe(self) -> ArchiveRecipe:
        """The recipe `archive` with exactly this damage."""
        none = Damage().never()
        some = {name: replace(getattr(none, name), probability=1.0) for name in self.damage}
        return ArchiveRecipe(damaged=1.0 if self.damage else 0.0, damage=replace(none, **some))


SAMPLES = (
    Sample("astronaut.png", "portraits/astronaut.jpg", damage=("folds", "scratches")),
    Sample("camera.png", "portraits/cameraman.png", grey=True, damage=("scratches", "dust", "missing_corners")),
    Sample("chelsea.png", "animals/cat.png", damage=("stains", "foxing"), seed=5),
    Sample("coffee.png", "things/coffee.tif", bits=16),
    Sample("rocket.jpg", "places/rocket.jpg", damage=("cracks",), seed=4),
    Sample("motorcycle_left.png", "places/motorcycle.png", damage=("tears", "water_marks")),
    Sample("coins.png", "things/coins.jpg", grey=True),
    Sample("moon.png", "places/moon.tif", bits=16, grey=True, damage=("hairs", "dust")),
)


class SamplesMissing(OldPhotoError):
    """scikit-image, whose photographs the collection is made of, is not installed."""


def make_collection(source: Bucket, masks: Bucket) -> list[Sample]:
    """Put the aged photographs into `source` and the masks of the damaged ones into `masks`.

    The bytes are the same every time, and what lies there already is left alone. Raises SamplesMissing.
    """
    for sample in SAMPLES:
        clean = read_clean(sample)
        aged = degrade(clean, sample.recipe(), item_rng(sample.seed, sample.key))
        _put(source, sample.key, _encode(sample, aged.image))
        if aged.mask.any():
            _put(masks, f"{sample.key}.png", write_mask(aged.mask))
    return list(SAMPLES)


def read_clean(sample: Sample) -> NDArray[np.uint8]:
    """The photograph before it was aged: HWC uint8, three channels also where it is grey."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SamplesMissing(
            "the demo is made of scikit-image's photographs, and scikit-image is not installed;"
            " get it with: pip install 'oldphoto[demo]'"
        )
    scan = read_scan((Path(spec.origin).parent / "data" / sample.name).read_bytes())
    return to_rgb8(scan.pixels)


def _encode(sample: Sample, image: NDArray[np.uint8]) -> bytes:
    grey = np.rint(image.mean(axis=2, keepdims=True)).astype(np.uint8)
    pixels: NDArray[np.integer[Any]] = grey if sample.grey else image[:, :, ::-1]
    if sample.bits == 16:
        below = item_rng(sample.seed, sample.key, "low byte").integers(0, 256, pixels.shape, np.uint16)
        pixels = (pixels.astype(np.uint16) << 8) | below
    extension = Path(sample.key).suffix
    quality = [cv2.IMWRITE_JPEG_QUALITY, 92] if extension == ".jpg" else []
    done, data = cv2.imencode(extension, pixels, quality)
    assert done, f"OpenCV does not write {extension}"
    return bytes(data)


def _put(bucket: Bucket, key: str, data: bytes) -> None:
    if bucket.info(key) is None or bucket.read(key) != data:
        bucket.write(key, data)
