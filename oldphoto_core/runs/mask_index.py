"""Finding the mask that belongs to a photo."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from oldphoto_core.storage import is_image_key

if TYPE_CHECKING:
    from oldphoto_core.storage import ObjectInfo


class MaskIndex:
    """The masks of a bucket, by the photo they belong to.

    The mask of key K is `K.png` or, of several pages, `K.tif` (as this product writes them), K itself, or K's path with
    another image extension.
    """

    def __init__(self, masks: Iterable[ObjectInfo]) -> None:
        self._by_stem: dict[str, list[ObjectInfo]] = defaultdict(list)
        self._keys: set[str] = set()
        for mask in masks:
            if is_image_key(mask.key):
                self._by_stem[_stem(mask.key)].append(mask)
                self._keys.add(mask.key)
        self._claimed: set[str] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def candidates(self, key: str) -> tuple[ObjectInfo, ...]:
        """Every mask that could be the one of `key`; the caller refuses more than one."""
        appended = [mask for mask in self._by_stem.get(key, ()) if mask.key.lower().endswith((".png", ".tif"))]
        found = tuple(appended + self._by_stem.get(_stem(key), []))
        self._claimed.update(mask.key for mask in found)
        return found

    def unclaimed(self) -> list[str]:
        """Masks that no photo asked for so far: usually a name that was mistyped."""
        return sorted(self._keys - self._claimed)


def _stem(key: str) -> str:
    return str(PurePosixPath(key).with_suffix(""))
