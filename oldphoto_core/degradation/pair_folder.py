"""What `oldphoto synthesize` wrote, read again: which pairs there are and of which photos, then one shard at a time."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.degradation.pairs import FORMAT, READ_FORMATS
from oldphoto_core.degradation.published import PublishedRecipe
from oldphoto_core.errors import SourceMissing, StorageError
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.parallel import map_objects

INDEX = "index.json"
"""Written last: shard, items and sha256 of every shard."""
AGAIN = "run `oldphoto synthesize` again, which makes it anew"


@dataclass(frozen=True, slots=True)
class PairPhoto:
    """One pair by its number, with the clean photo that it was made of as that was read."""

    number: int
    key: str
    version: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardRecord:
    """One shard as its sidecar tells it."""

    name: str
    format: int
    """One of `READ_FORMATS`."""
    sha256: str
    size: int
    """Of the tar, in bytes."""
    crop: int
    """Side of its pairs, in pixels; those of smaller photos are smaller."""
    recipe: dict[str, Any]
    """As `recipe_record` has it."""
    source: str
    """URL of the bucket of its photos."""
    pairs: tuple[PairPhoto, ...]


@dataclass(frozen=True, slots=True)
class PairFolder:
    """Shards that were made together."""

    bucket: Bucket
    shards: tuple[ShardRecord, ...]

    @property
    def crop(self) -> int:
        """Side of the pairs, in pixels."""
        return self.shards[0].crop

    @property
    def recipe(self) -> dict[str, Any]:
        """How the photos were degraded, as `recipe_record` has it."""
        return self.shards[0].recipe

    @property
    def has_toned(self) -> bool:
        """Whether the toned photo of each pair is known: kept from format 3 on, and no other than the clean one in the
        recipe `published`."""
        untouched = self.recipe.get("recipe") == PublishedRecipe.name
        return untouched or all(shard.format >= FORMAT for shard in self.shards)

    @property
    def sha256(self) -> str:
        """Names the pairs, wherever they lie: that of the output of `sha256sum shard-*.tar`."""
        lines = (f"{shard.sha256}  {shard.name}.tar\n" for shard in self.shards)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def open_pairs(bucket: Bucket) -> PairFolder:
    """The shards in a bucket; their tars are looked for, not read.

    Raises:
        SourceMissing: nothing is there.
        StorageError: it is no whole folder of `oldphoto synthesize`; the message says what is wrong.
    """
    sizes = {entry.key: entry.size for entry in bucket.list()}
    if not sizes:
        raise SourceMissing(f"{bucket.url} holds nothing; give a folder or bucket that `oldphoto synthesize` wrote")
    if INDEX not in sizes:
        raise StorageError(
            f"{bucket.url} has no {INDEX}: `oldphoto synthesize` has not written it, or not come to its end there; run"
            " it again, or give the folder that it wrote"
        )
    try:
        listed = [(str(row["shard"]), str(row["sha256"])) for row in json.loads(bucket.read(INDEX))["shards"]]
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(f"{bucket.url}/{INDEX} is no list of shards ({error}); {AGAIN}") from error
    shards = tuple(map_objects(partial(_record, bucket, sizes), listed))
    _refuse_odd(bucket, shards)
    return PairFolder(bucket, shards)


def _record(bucket: Bucket, sizes: dict[str, int], listed: tuple[str, str]) -> ShardRecord:
    """A shard that is there as a whole, as far as names and sizes tell; StorageError."""
    name, sha256 = listed
    for file in (f"{name}.json", f"{name}.tar"):
        if file not in sizes:
            raise StorageError(f"{bucket.url}/{file} is missing, which {INDEX} names; {AGAIN}")
    record = _sidecar(bucket, name)
    if record.sha256 != sha256:
        raise StorageError(
            f"{bucket.url}/{name}.tar was made again after {INDEX} was written; run `oldphoto synthesize` to its end"
        )
    if record.size != sizes[f"{name}.tar"]:
        raise StorageError(
            f"{bucket.url}/{name}.tar has {sizes[f'{name}.tar']} bytes of {record.size}; remove it and {AGAIN}"
        )
    return record


def _sidecar(bucket: Bucket, name: str) -> ShardRecord:
    try:
        found = json.loads(bucket.read(f"{name}.json"))
        if found.get("format") not in READ_FORMATS:
            readable = " or ".join(map(str, READ_FORMATS))
            raise StorageError(
                f"{bucket.url}/{name}.json has the format {found.get('format', 1)}, and this version reads {readable};"
                f" {AGAIN}"
            )
        return ShardRecord(
            name=name, format=found["format"], sha256=found["sha256"], size=found["bytes"], crop=found["crop"],
            recipe=found["recipe"], source=found["source"], pairs=tuple(PairPhoto(*photo) for photo in found["photos"]),
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StorageError(f"{bucket.url}/{name}.json is no sidecar of a shard ({error}); {AGAIN}") from error


def _refuse_odd(bucket: Bucket, shards: Sequence[ShardRecord]) -> None:
    if not any(shard.pairs for shard in shards):
        raise SourceMissing(
            f"{bucket.url} has no pairs in {len(shards)} shards; synthesize from photos that can be read"
        )
    for shard in shards[1:]:
        if (shard.crop, shard.recipe) != (shards[0].crop, shards[0].recipe):
            raise StorageError(
                f"{shard.name} in {bucket.url} was made with another recipe or crop than {shards[0].name}; synthesize"
                " each into a folder of its own"
            )


class ShardFile:
    """A shard in memory as it is on disk; pictures are decoded when they are asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._places: dict[int, dict[str, tuple[int, int]]] = {}
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for entry in tar:
                number, kind, _ = entry.name.split(".")
                place = (entry.offset_data, entry.offset_data + entry.size)
                self._places.setdefault(int(number), {})[kind] = place

    @property
    def numbers(self) -> list[int]:
        """Of its pairs."""
        return list(self._places)

    def picture(self, number: int, kind: str) -> NDArray[Any]:
        """`clean`, `toned` or `degraded` of a pair, HWC uint8 RGB; `mask` or `visible`, HW bool.

        `toned` is known of shards whose folder `has_toned`; one that is not there is the clean photo.
        """
        if kind == "toned" and kind not in self._places[number]:
            kind = "clean"
        pixels = cv2.imdecode(np.frombuffer(self._bytes(number, kind), np.uint8), cv2.IMREAD_UNCHANGED)
        assert pixels is not None  # the shard's digest says that these are the bytes that were written
        return pixels > 127 if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., ::-1])

    def recipe(self, number: int) -> dict[str, Any]:
        """What was done to the photo."""
        found: dict[str, Any] = json.loads(self._bytes(number, "recipe"))
        return found

    def _bytes(self, number: int, kind: str) -> bytes:
        start, end = self._places[number][kind]
        return self._data[start:end]


def read_shard(bucket: Bucket, name: str, sha256: str) -> ShardFile:
    """A shard of that digest. StorageError for another one."""
    data = bucket.read(f"{name}.tar")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise StorageError(f"{bucket.url}/{name}.tar does not match its sidecar; remove it and {AGAIN}")
    return ShardFile(data)


def read_pairs(target: Bucket, name: str) -> Iterator[dict[str, Any]]:
    """Items of a shard: clean, toned, degraded (HWC uint8 RGB), mask, visible (HW bool), recipe.

    `toned` is left out where the shard does not tell it. StorageError on a wrong digest, or an unknown format.
    """
    record = _sidecar(target, name)
    shard = read_shard(target, name, record.sha256)
    kinds = ["clean", "degraded", "mask", "visible"]
    if PairFolder(target, (record,)).has_toned:
        kinds.append("toned")
    for number in shard.numbers:
        pictures = {kind: shard.picture(number, kind) for kind in kinds}
        yield pictures | {"recipe": shard.recipe(number)}
