"""Outlines of real damage that a user gives: polygons that somebody has drawn around dust, dirt, hairs and scratches.

A library is a folder or bucket of `*.json` or `*.json.gz` files, one for each scan. Each file is a list of
`{"class": "Dust", "points": [[x, y], ...]}` in pixels of that scan, as FilmDamageSimulator publishes them (Ivanova et
al., "Simulating analogue film damage", arXiv 2302.10004).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.errors import ConfigError, SourceMissing, StorageError
from oldphoto_core.storage import Bucket

Part = Literal["training", "held_out"]
"""Outlines that training draws, and those that only tables of results draw."""
PARTS: tuple[Part, ...] = get_args(Part)
HELD_OUT_SHARE = 0.2
"""Of the outlines, about. Which ones, their digests decide: the same ones whatever else the library holds."""
ENDINGS = (".json", ".json.gz")
MOST_BYTES = 256 * 2**20
"""Of one file, decompressed."""
FEWEST_CORNERS = 3


@dataclass(frozen=True, slots=True)
class Outlines:
    """One part of a library."""

    by_class: dict[str, tuple[NDArray[np.float32], ...]]
    """Outlines of each class, N2 for N corners, in long sides of their scan, with the mean corner at (0, 0)."""

    def __len__(self) -> int:
        return sum(map(len, self.by_class.values()))


def outlines_digest(library: Bucket) -> str:
    """The sha256 that names the outlines, wherever they lie: that of the output of `sha256sum` over the files.

    Raises SourceMissing where no such file lies, StorageError where one cannot be read.
    """
    lines = (f"{library.sha256(key)}  {key}\n" for key in _keys(library))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@cache
def load_outlines(url: str, sha256: str, part: Part) -> Outlines:
    """One part of the library at `url`, kept for the life of the process.

    Raises:
        SourceMissing: no such file lies there.
        StorageError: the files are not those that `sha256` names.
        ConfigError: a file is no list of outlines, or no outline belongs to that part.
    """
    library = Bucket(url)
    if outlines_digest(library) != sha256:
        raise StorageError(f"the outlines in {url} are not those with the sha256 {sha256}; give those again")
    by_class: dict[str, list[NDArray[np.float32]]] = {}
    for key in _keys(library):
        for kind, outline in _read(library, key, part):
            by_class.setdefault(kind, []).append(outline)
    if not by_class:
        raise ConfigError(f"{url} holds no outline for the part {part!r}; give more outlines")
    return Outlines({kind: tuple(found) for kind, found in sorted(by_class.items())})


def _keys(library: Bucket) -> list[str]:
    keys = sorted(entry.key for entry in library.list() if entry.key.endswith(ENDINGS))
    if not keys:
        raise SourceMissing(f"{library.url} holds no outlines ({' or '.join(ENDINGS)}); give a folder that does")
    return keys


class _NoOutlines(ConfigError):
    """Why a file is no list of outlines."""


def _read(library: Bucket, key: str, part: Part) -> list[tuple[str, NDArray[np.float32]]]:
    """Class and outline of each polygon of one scan that belongs to `part`; what encloses no area is left out."""
    place = f"{library.url}/{key}"
    try:
        polygons = [(str(each["class"]), _corners(each["points"])) for each in json.loads(_unpacked(library, key))]
    except (_NoOutlines, ValueError, TypeError, KeyError, OSError, EOFError, zlib.error, RecursionError) as error:
        raise ConfigError(f"{place} is no list of outlines ({error}); give [{{class, points}}, ...]") from error
    polygons = [(kind, corners) for kind, corners in polygons if len(corners) >= FEWEST_CORNERS]
    if not polygons:
        return []
    # the files do not say how large the scans are; annotated scans have damage up to their edges
    long_side = max(1.0, max(float(corners.max()) for _, corners in polygons))
    return [
        (kind, ((corners - corners.mean(axis=0)) / long_side).astype(np.float32))
        for kind, corners in polygons
        if _part_of(corners) == part
    ]


def _unpacked(library: Bucket, key: str) -> bytes:
    data = library.read(key)
    if key.endswith(".gz"):
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise _NoOutlines(f"more than {MOST_BYTES} bytes")
    return data


def _corners(points: Any) -> NDArray[np.float64]:
    corners = np.asarray(points, np.float64).reshape(-1, 2)
    if not np.isfinite(corners).all() or (corners.size and float(np.abs(corners).max()) > 1e6):
        raise _NoOutlines("a corner is no pixel of a scan")
    return corners


def _part_of(corners: NDArray[np.float64]) -> Part:
    """By the digest of its corners: an outline that a library has twice is in one part only."""
    digest = hashlib.sha256(np.rint(corners).astype("<i8").tobytes()).digest()
    return "held_out" if digest[0] < 256 * HELD_OUT_SHARE else "training"
