"""Masks at the desk: the one that counts for a page, and corrected ones stored, those of all pages in one file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oldphoto_core.desk.bits import unpacked_each
from oldphoto_core.errors import DecidedMeanwhile, MaskMismatch, ScanTooLarge, UsageError
from oldphoto_core.folders import temporary_folder
from oldphoto_core.pipeline.buffers import check_mask_pages
from oldphoto_core.reports.record import mask_key
from oldphoto_core.reviews.corrected import store_mask, store_mask_file
from oldphoto_core.reviews.store import mask_in_history
from oldphoto_core.scans import TiffBook, damage_of, write_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from oldphoto_core.desk.opened import OpenPhoto
    from oldphoto_core.desk.queue import Queue
    from oldphoto_core.reviews.decision import Decision
    from oldphoto_core.scans import Decoders

_NUMBERS = re.compile(r"[1-9][0-9]{0,5}(,[1-9][0-9]{0,5})*")
_LARGE = 2_000_000_000
"""Pixels of all masks from which the places in their file may not fit into 32 bits."""


class Masks:
    """The masks of one target's photos. Safe between threads."""

    def __init__(self, queue: Queue, decoders: Decoders) -> None:
        self._queue, self._decoders = queue, decoders

    def of(self, opened: OpenPhoto) -> NDArray[np.bool_]:
        """The mask of the page that counts now, HW in stored order: the corrected one, else what the run took.

        Raises:
            ScanError, StorageError: it cannot be read, or has another size or number of pages.
        """
        assert opened.size is not None
        width, height = opened.size
        data = self._file(opened, self._queue.decision(opened.photo.key))
        return np.zeros((height, width), bool) if data is None else self._page(data, opened, opened.page, opened.size)

    def exist(self, opened: OpenPhoto) -> bool:
        """Whether there is a mask, corrected or of the run; if not, nothing counts as damaged on pages not painted."""
        decision = self._queue.decision(opened.photo.key)
        return bool(decision and decision.mask) or self._queue.target.info(_of_run(opened)) is not None

    def store(self, opened: OpenPhoto, painted: bytes, pages: str, base: str) -> str:
        """Store corrected masks; returns the sha256 of their file for the decision that follows.

        Args:
            opened: The photo, or any page of it.
            painted: A mask for each of `pages`, in their order, as `bits.packed` makes them.
            pages: Page numbers, rising, as "1,3".
            base: sha256 of the corrected mask that counted when these were painted, which the other pages keep; empty:
                none did, and they keep the run's.

        Raises:
            UsageError: there is no such page, or masks are not of their sizes; nothing is stored.
            DecidedMeanwhile: another mask counts by now; nothing is stored.
            ScanError, StorageError: the other pages' masks cannot be read, or the file cannot be stored.
        """
        key, target = opened.photo.key, self._queue.target
        if opened.size is None or not opened.sizes:
            raise UsageError(f"the mask of {key} cannot be corrected here, as its pictures or pages cannot be read")
        numbers = _numbers(pages, opened)
        sizes = [(height, width) for width, height in (opened.sizes[number - 1] for number in numbers)]
        masks = unpacked_each(painted, sizes)
        if opened.pages == 1:
            (mask,) = masks
            return store_mask(target, key, mask)
        last = self._queue.look_again(key)
        if base != (last.mask if last else ""):
            raise DecidedMeanwhile(f"{last.reviewer if last else 'somebody'} decided about {key} meanwhile: look again")
        with temporary_folder("masks") as folder:
            self._write(Path(folder), opened, frozenset(numbers), masks, self._file(opened, last))
            return store_mask_file(target, key, (Path(folder) / "all").read_bytes())

    def _write(
        self,
        folder: Path,
        opened: OpenPhoto,
        numbers: frozenset[int],
        masks: Iterator[NDArray[np.bool_]],
        before: bytes | None,
    ) -> None:
        """Writes the TIFF of all pages' masks: those that were painted, the others as they are in the file `before`."""
        big = sum(width * height for width, height in opened.sizes) > _LARGE
        with TiffBook(folder / "all", big=big) as book:
            for number, size in enumerate(opened.sizes, start=1):
                if number in numbers:
                    mask = next(masks)
                elif before is not None:
                    mask = self._page(before, opened, number, size)
                else:
                    mask = np.zeros(size[::-1], bool)
                (folder / "page").write_bytes(write_mask(mask, "tiff"))
                book.add_file(folder / "page")
        next(masks, None)  # looks behind the last one

    def _file(self, opened: OpenPhoto, decision: Decision | None) -> bytes | None:
        """The file of the mask, or masks, that count; None: there is none."""
        target = self._queue.target
        if decision is not None and decision.mask:
            return target.read(mask_in_history(opened.photo.key, decision.mask))
        place = _of_run(opened)
        return None if target.info(place) is None else target.read_inside(place)

    def _page(self, data: bytes, opened: OpenPhoto, number: int, size: tuple[int, int]) -> NDArray[np.bool_]:
        """One mask of a file; `size` is (width, height) of its page."""
        width, height = size
        check_mask_pages(max(self._decoders.read_header(data).pages, 1), opened.pages)
        page = number if opened.pages > 1 else None
        try:
            return damage_of(self._decoders.read_scan(data, max_pixels=width * height, page=page), (height, width))
        except ScanTooLarge as error:
            raise MaskMismatch(
                f"the mask has more than the {width} x {height} pixels of its photo: make it the same size"
            ) from error


def _of_run(opened: OpenPhoto) -> str:
    return mask_key(opened.photo.key, paged=opened.pages > 1)


def _numbers(pages: str, opened: OpenPhoto) -> Sequence[int]:
    """The page numbers of a request; raises UsageError unless they rise and there are such pages."""
    found = [int(each) for each in pages.split(",")] if _NUMBERS.fullmatch(pages) else []
    if not found or found != sorted(set(found)) or found[-1] > opened.pages:
        raise UsageError(f"pages is {pages[:40]!r}; give rising numbers from 1 to {opened.pages}, as 1,3")
    return found
