"""The chain of a TIFF's directories, followed as far as it leads to any."""

from __future__ import annotations

from oldphoto_core.errors import ScanTooLarge, TruncatedScan, UnreadableScan
from oldphoto_core.scans.metadata.ifd import BrokenIfdError, Layout, extents_of_ifd, looks_like_ifd, next_ifd, read_ifd
from oldphoto_core.scans.tiff.parts import OFFSETS_AND_COUNTS
from oldphoto_core.scans.views import Data

MOST = 4000
"""Directories of a file; each is looked at for every page that is read."""
_FAR = 16
"""Times the file's size: no file of whole pages is cut to so little of itself exactly at the end of a page."""
_SLACK = 16
"""Bytes at the end of a file that may be nobody's: padding."""


def chain_of(data: Data, layout: Layout) -> tuple[list[int], tuple[str, ...]]:
    """Offsets of the directories, and what is wrong with the chain, for people.

    An offset that cannot be one ends the chain: it costs no pixel.

    Raises:
        TruncatedScan: a directory lies behind the end.
        UnreadableScan: one was overwritten, or they form a ring.
        ScanTooLarge: more than MOST directories.
    """
    offsets: dict[int, None] = {}
    at = layout.first
    while at:
        if len(offsets) == MOST:
            raise ScanTooLarge(f"a TIFF of more than {MOST} directories: split it into several files")
        offsets[at] = None
        try:
            following = next_ifd(data, layout, at)
        except BrokenIfdError as error:
            raise TruncatedScan(f"{error}: the file ends at byte {len(data)}; copy it again") from error
        if following == at:
            return list(offsets), ("its last directory names itself as the next one",)
        if following in offsets:
            # the link was another one, to pages that nobody finds any more
            raise UnreadableScan(f"the directories of this TIFF form a ring at byte {following}: copy it again")
        if following and _is_nowhere(data, layout, list(offsets), following):
            return list(offsets), (f"its last directory names one at byte {following}, where there is none",)
        at = following
    return list(offsets), ()


def leads_nowhere(data: Data, layout: Layout, offset: int) -> bool:
    """Whether no directory stands at this offset, of one that holds smaller copies at most."""
    return offset < 8 or offset + 2 > len(data) or not looks_like_ifd(data, layout, offset)


def _is_nowhere(data: Data, layout: Layout, offsets: list[int], following: int) -> bool:
    """Whether an offset was never that of a directory, in this file or before it was cut. Raises UnreadableScan."""
    if following < 8 or following >= (2**63 if layout.big else 2**32 - 8):
        return True
    if following >= len(data):
        return following > _FAR * len(data) and _end_of(data, layout, offsets) + _SLACK >= len(data)
    if looks_like_ifd(data, layout, following):
        return False
    if following >= _end_of(data, layout, offsets):
        raise UnreadableScan(f"damaged: a directory should stand at byte {following}, and does not: copy it again")
    return True


def _end_of(data: Data, layout: Layout, offsets: list[int]) -> int:
    """Where the last of these directories, their values and their pictures ends."""
    end = 0
    for offset in offsets:
        end = max(end, *(stop for _, stop in extents_of_ifd(data, layout, offset)))
        entries = read_ifd(data, layout, offset, only=[tag for pair in OFFSETS_AND_COUNTS for tag in pair])
        for places, counts in OFFSETS_AND_COUNTS:
            if places in entries and counts in entries:
                pairs = zip(entries[places].integers(), entries[counts].integers(), strict=False)
                end = max(end, *(at + count for at, count in pairs), 0)
    return end
