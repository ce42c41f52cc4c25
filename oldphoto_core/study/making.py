"""A study made: photos drawn at random, restored by each method, written without a sign of who made what."""

from __future__ import annotations

import hashlib
import io
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oldphoto_core.errors import ConfigError, UsageError
from oldphoto_core.evaluation.named import NamedMethods
from oldphoto_core.evaluation.sampling import read_drawn
from oldphoto_core.storage import Bucket
from oldphoto_core.study.study import PICTURES, STUDY, Study, StudyPhoto, write_study

LOG = logging.getLogger(__name__)
FEWEST = 2
"""Methods: with one there is nothing to rank."""
MOST = 12
"""Methods that a page shows; people cannot rank more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """Which photos a study shows."""

    count: int = 25
    """Photos; fewer if the collection has fewer."""
    seed: int = 7
    """By which they are drawn."""
    side: int = 1024
    """Photos are shrunk to this many pixels of their longer side before they are restored."""

    def __post_init__(self) -> None:
        """Refuses studies of nothing."""
        if self.count < 1:
            raise ConfigError(f"StudyConfig.count is {self.count}; give at least 1 photo")
        if not 32 <= self.side <= 4096:
            raise ConfigError(f"StudyConfig.side is {self.side}; give 32 to 4096 pixels")


def check_methods(names: list[str]) -> None:
    """Raise UsageError unless these methods can be ranked."""
    if not FEWEST <= len(set(names)) == len(names) <= MOST:
        raise UsageError(
            f"a study ranks {FEWEST} to {MOST} methods, and these are {', '.join(names) or 'none'}; name each once"
        )


def check_place(out: Bucket) -> Path:
    """Return the folder that a study is made in.

    Raises:
        UsageError: it is no folder of this machine, or holds a study already.
    """
    if out.folder is None:
        raise UsageError(f"{out.url} is no folder of this machine, and answers are kept on a disk; name a folder")
    if out.info(STUDY) is not None:
        raise UsageError(f"{out.url} holds a study already, maybe with answers; name another folder")
    return out.folder


def make_study(
    photos: Bucket,
    out: Bucket,
    methods: NamedMethods,
    config: StudyConfig | None = None,
    on_photo: Callable[[], None] = lambda: None,
) -> Study:
    """Restore drawn photos by each method and write the study into `out`; a run that was killed can be repeated.

    Raises:
        UsageError: there are fewer than two methods, or `out` holds a study already.
        SourceMissing: there is no photo.
        ScanError: a method made a picture of another size.
    """
    config = config or StudyConfig()
    check_methods(list(methods.methods))
    check_place(out)
    made = []
    for key, image in read_drawn(photos, config.seed, config.count, config.side, _left_out):
        mask = methods.find(image)
        results = tuple(_write(out, methods.restore(name, image, mask)) for name in methods.methods)
        height, width = image.shape[:2]
        made.append(StudyPhoto(key=key, width=width, height=height, shown=_write(out, image), results=results))
        on_photo()
    study = Study(
        id=secrets.token_hex(8), blinding_key=secrets.token_hex(32),
        made=datetime.now(UTC).isoformat(timespec="seconds"), source=photos.url, seed=config.seed, side=config.side,
        detector=methods.detector, methods=tuple(methods.methods), photos=tuple(made),
    )  # fmt: skip
    write_study(out, study)
    return study


def _left_out(key: str, reason: str) -> None:
    LOG.warning("left out: %s: %s", key, reason)


def _write(out: Bucket, image: NDArray[np.uint8]) -> str:
    """Write a picture under the digest of its file; returns its name."""
    data = as_png(image)
    name = f"{hashlib.sha256(data).hexdigest()}.png"
    out.write(f"{PICTURES}/{name}", data)
    return name


def as_png(image: NDArray[np.uint8]) -> bytes:
    """Return `image_HWC` as PNG: one encoder and no metadata, whoever made it."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()
