"""Places of real photos whose thin or bright things belong to the picture, and the photos they are in.

Imported by content.py; running it lists what it knows, and what of it FOLDERS hold.

    python benchmarks/content_places.py [FOLDER ...]
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8

PLACES = Path(__file__).parent / "data" / "content_places.csv"


@dataclass(frozen=True, slots=True)
class Place:
    """A rectangle of one photo, in pixels of a photo of `width` x `height`."""

    file: str
    """Name of the photo's file."""
    left: int
    top: int
    right: int
    """The first column beside it."""
    bottom: int
    """The first row below it."""
    width: int
    height: int
    what: str
    """What is there, in words."""

    def within(self, photo: NDArray[np.uint8]) -> tuple[slice, slice]:
        """Rows and columns of the place in a copy of its photo of any size."""
        down, right = photo.shape[0] / self.height, photo.shape[1] / self.width
        return (
            slice(round(self.top * down), round(self.bottom * down)),
            slice(round(self.left * right), round(self.right * right)),
        )


def places(file: Path = PLACES) -> list[Place]:
    """All places, in the order of the file; lines that begin with # are notes."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [
        Place(**{name: value if name in ("file", "what") else int(value) for name, value in row.items()})
        for row in csv.DictReader(lines)
    ]


def photos_with_places(folders: Sequence[Path]) -> Iterator[tuple[NDArray[np.uint8], list[Place]]]:
    """Each photo that one of the folders holds, HWC, with its places. What no folder holds is left out."""
    for name, group in groupby(places(), lambda place: place.file):
        path = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if path is not None:
            yield to_rgb8(read_scan(path.read_bytes()).pixels), list(group)


def main() -> None:
    """Prints the list."""
    folders = [Path(name) for name in sys.argv[1:]]
    for place in places():
        there = any((folder / place.file).is_file() for folder in folders)
        print(f"{'+' if there else '-'} {place.file}: {place.what} ({place.left}, {place.top})")


if __name__ == "__main__":
    main()
