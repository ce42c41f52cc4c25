"""Paired shards: clean and degraded photos in plain tar files (the WebDataset convention), one sidecar each.

    shard-000003.tar    000096.clean.png 000096.toned.png 000096.degraded.png 000096.mask.png 000096.visible.png
                        000096.recipe.json ...
    shard-000003.json   what it holds and of which photos, its sha256 and the digest of the request that made it

A shard is a pure function of its request, so a rerun compares sidecars and makes only what is missing.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.degradation.published import PublishedRecipe
from oldphoto_core.degradation.recipe import Degraded, Recipe, degrade, item_rng
from oldphoto_core.degradation.registry import recipe_record
from oldphoto_core.errors import ConfigError, ScanError, UnsafeKey
from oldphoto_core.folders import temporary_folder
from oldphoto_core.scans import RawPixels, read_header, read_scan, spool_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket

FORMAT = 3
"""Of shards and sidecars that are written: a pair without `toned.png` is one whose tone nothing has changed."""
READ_FORMATS = (2, FORMAT)
"""Formats that are read. Shards of 2 do not hold toned photos. Those of 1, which say no format, do not tell which
photos they were made of, nor what of the damage can be seen; they are made again."""
IN_MEMORY_BYTES, IN_MEMORY_MEGAPIXELS = 64 * 2**20, 16.0
"""Files and pictures over one of these are decoded on disk, and only the crop is read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairShard:
    """The request for one shard."""

    index: int
    """Number of the shard, from 0."""
    first: int
    """Number of its first item over the whole set."""
    keys: tuple[str, ...]
    """Clean photo of each item, in order; a photo may serve several items."""
    seed: int = 1
    """With the item's number it decides everything drawn for that item."""
    crop: int = 256
    """Side of the crop taken from each photo, in pixels; smaller photos are used whole."""
    recipe: Recipe = field(default_factory=PublishedRecipe)
    """How the photo is degraded."""

    def __post_init__(self) -> None:
        """Refuses empty shards and crops below 16 pixels."""
        if not self.keys or self.index < 0 or self.first < 0:
            raise ConfigError(
                f"PairShard {self.index} from item {self.first} has {len(self.keys)} keys; give at least one"
            )
        if self.crop < 16:
            raise ConfigError(f"PairShard.crop is {self.crop}; give at least 16 pixels")

    @property
    def name(self) -> str:
        """Object name without its ending."""
        return f"shard-{self.index:06d}"

    @property
    def digest(self) -> str:
        """Identity of what is asked for."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def write_pair_shard(shard: PairShard, clean: Bucket, target: Bucket) -> dict[str, Any]:
    """Makes one shard unless `target` has it already; returns its sidecar, with `made` telling which it was."""
    sidecar = f"{shard.name}.json"
    if target.info(sidecar) and target.info(f"{shard.name}.tar"):
        try:
            known: dict[str, Any] = json.loads(target.read(sidecar))
        except ValueError:
            known = {}  # a damaged sidecar is as good as none: the shard is made again
        if (known.get("format"), known.get("digest")) == (FORMAT, shard.digest):
            return known | {"made": False}
    cv2.setNumThreads(1)  # shards are made in parallel already: OpenCV's own threads would only wait for each other
    data, photos, failed = _tar(shard, clean)
    record = {
        "format": FORMAT, "shard": shard.name, "digest": shard.digest, "items": len(photos), "first": shard.first,
        "failed": failed, "seed": shard.seed, "crop": shard.crop, "recipe": recipe_record(shard.recipe),
        "source": clean.url, "photos": photos, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    target.write(f"{shard.name}.tar", data)
    target.write(sidecar, json.dumps(record, indent=2).encode())
    return record | {"made": True}


def make_item(
    clean: NDArray[np.uint8] | RawPixels, shard: PairShard, number: int, key: str
) -> tuple[NDArray[np.uint8], Degraded]:
    """The crop and its degraded version; the same whatever shard or worker makes it, in memory or from disk."""
    rng = item_rng(shard.seed, number, key)
    height, width = (min(shard.crop, side) for side in clean.shape[:2])
    top = int(rng.integers(clean.shape[0] - height + 1))
    left = int(rng.integers(clean.shape[1] - width + 1))
    rows = clean.read(top, top + height) if isinstance(clean, RawPixels) else clean[top : top + height]
    crop = np.ascontiguousarray(to_rgb8(rows[:, left : left + width]))
    return crop, degrade(crop, shard.recipe, rng)


def _tar(shard: PairShard, clean: Bucket) -> tuple[bytes, list[tuple[int, str, str, str]], dict[str, str]]:
    """The tar, (item, key, version, sha256) of the photo of each of its pairs, and those that could not be read."""
    buffer = io.BytesIO()
    photos: list[tuple[int, str, str, str]] = []
    failed: dict[str, str] = {}
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, key in enumerate(shard.keys, start=shard.first):
            try:
                with temporary_folder("pairs") as folder:
                    photo, version, sha256 = _photo(clean, key, Path(folder))
                    crop, aged = make_item(photo, shard, number, key)
                    if isinstance(photo, RawPixels):
                        photo.close()
            except (ScanError, UnsafeKey) as error:
                failed[key] = str(error)
                continue
            photos.append((number, key, version, sha256))
            _add(tar, f"{number:06d}.clean.png", _png(crop))
            if not np.array_equal(aged.toned, crop):
                _add(tar, f"{number:06d}.toned.png", _png(aged.toned))
            _add(tar, f"{number:06d}.degraded.png", _png(aged.image))
            _add(tar, f"{number:06d}.mask.png", _png(aged.mask.astype(np.uint8) * 255))
            _add(tar, f"{number:06d}.visible.png", _png(aged.visible.astype(np.uint8) * 255))
            recipe = {"key": key, "item": number, "seed": shard.seed, "operations": aged.record}
            _add(tar, f"{number:06d}.recipe.json", json.dumps(recipe).encode())
    return buffer.getvalue(), photos, failed


def _photo(clean: Bucket, key: str, folder: Path) -> tuple[NDArray[np.uint8] | RawPixels, str, str]:
    """Its pixels, in memory or, of a large one, in `folder`; its version and its sha256."""
    info = clean.info(key)
    version = info.version if info else None
    if info is None or info.size <= IN_MEMORY_BYTES:
        data = clean.read(key, version=version)
        if read_header(data).megapixels <= IN_MEMORY_MEGAPIXELS:
            return to_rgb8(read_scan(data).pixels), version or "", hashlib.sha256(data).hexdigest()
    sha256 = clean.download(key, folder / "photo", version=version)
    return spool_scan(folder / "photo", folder).pixels, version or "", sha256


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    # owner, mode and time stay at their fixed defaults: the same request gives the same bytes
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _png(pixels: NDArray[np.uint8]) -> bytes:
    image = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    # level 1: pairs are read once or twice by a training, so time matters more than a few percent of size
    _, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return data.tobytes()
