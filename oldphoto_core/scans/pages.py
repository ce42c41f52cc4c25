"""Pages of a TIFF: which directories are pictures of their own, and which are only smaller copies of one."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace

from oldphoto_core.errors import ScanTooLarge, TruncatedScan, UnreadableScan, UnsupportedScan
from oldphoto_core.scans import tiff
from oldphoto_core.scans.carried import Carried, Pyramid
from oldphoto_core.scans.ifd import BrokenIfdError, Entry, Layout, first_integer, next_ifd, read_ifd
from oldphoto_core.scans.scan import ScanHeader
from oldphoto_core.scans.views import Data, PageView

MOST = 4000
"""Directories of a file; each is looked at for every page that is read."""
_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _CHANNELS = 254, 255, 256, 257, 258, 277
_TILE_WIDTH, _TILE_HEIGHT, _SUB_IFDS, _RAW = 322, 323, 330, 50706
_TAGS = (
    *(_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _CHANNELS),
    *(_TILE_WIDTH, _TILE_HEIGHT, _SUB_IFDS, _RAW),
)
_SHARED = 16
"""Times the file's size that the tags of all pages may hold: pages may share a profile."""
_MOST_LEVELS = 64
"""Directories below one page."""


@dataclass(frozen=True, slots=True)
class Level:
    """What a directory says of its picture."""

    width: int
    height: int
    bits: int
    channels: int
    tile: tuple[int, int] | None
    """Width and height; None: strips."""

    def is_half_of(self, larger: Level) -> bool:
        """Whether both are tiled and this one has half the sides, as levels of a pyramid have."""
        if self.tile is None or larger.tile is None:
            return False
        pairs = ((self.width, larger.width), (self.height, larger.height))
        return all(abs(2 * small - large) <= 2 or small == 1 for small, large in pairs) and self.width < larger.width


@dataclass(frozen=True, slots=True)
class Page:
    """A picture of its own."""

    offset: int
    """Of its directory."""
    index: int
    """Of its directory among all of the chain, from 0."""
    level: Level
    copies: tuple[Level, ...] = ()
    """Smaller ones, in directories of the chain."""
    below: tuple[Level, ...] = ()
    """What lies in directories below its own."""
    others: int = 0
    """Smaller copies in front of the first page, which are nobody's."""

    @property
    def pyramid(self) -> Pyramid | None:
        """Where the levels of a pyramid lie; None: this is none, though there may be a thumbnail."""
        if self.copies and self.copies[0].is_half_of(self.level):
            return "pages"
        return "subifds" if self.below and self.below[0].is_half_of(self.level) else None

    @property
    def left_out(self) -> tuple[str, ...]:
        """What of it nobody reads, for people."""
        pyramid = self.pyramid
        count = self.others + len(self.copies) * (pyramid != "pages") + len(self.below) * (pyramid != "subifds")
        return (f"{count} smaller or other pictures inside the master's file were left out",) if count else ()


def pages_of(data: Data) -> tuple[Page, ...]:
    """The pages of a TIFF in their order, one at least.

    Smaller copies are what says so of itself, and the tiled directories behind a tiled one that have half the sides
    each. Directories without a picture do not count.

    Raises:
        TruncatedScan: a directory lies behind the end.
        UnreadableScan: the directories form a ring, or none holds a picture.
        UnsupportedScan: a camera's raw file, or nothing but thumbnails.
        ScanTooLarge: more than MOST directories.
    """
    layout = Layout.of(data)
    pages: list[Page] = []
    others = 0
    for index, offset in enumerate(_chain(data, layout)):
        entries = _read(data, layout, offset)
        if index == 0 and (_RAW in entries or data[8:10] == b"CR"):
            raise UnsupportedScan("a camera's raw file: develop it, and save the picture as TIFF")
        level = _level(entries)
        if level is None:
            continue
        if _says_smaller(entries) or (pages and level.is_half_of((pages[-1].level, *pages[-1].copies)[-1])):
            others += not pages
            if pages:
                pages[-1] = replace(pages[-1], copies=(*pages[-1].copies, level))
            continue
        below = tuple(_levels_below(data, layout, entries))
        pages.append(Page(offset, index, level, below=below, others=0 if pages else others))
    if not pages and others:
        raise UnsupportedScan("nothing but a thumbnail, as in camera raw files: save the picture itself as TIFF")
    if not pages:
        raise UnreadableScan("a TIFF directory without a picture: open it in another program and save it again")
    return tuple(pages)


def page_view(data: Data, number: int | None) -> tuple[Data, Page, int]:
    """A TIFF as if this page came first, the page, and how many there are; None: the only one.

    Raises as `pages_of`, and UnsupportedScan where there are several and none is named, or there is no such page.
    """
    pages = pages_of(data)
    if number is None and len(pages) > 1:
        raise UnsupportedScan(f"a TIFF of {len(pages)} pages: name the one that is meant")
    if number is not None and not 1 <= number <= len(pages):
        raise UnsupportedScan(f"page {number} of a TIFF of {len(pages)}: there is none")
    page = pages[(number or 1) - 1]
    return viewed(data, page), page, len(pages)


def viewed(data: Data, page: Page) -> Data:
    """The file as if this page came first."""
    if page.index == 0 or isinstance(data, PageView):
        return data
    layout = Layout.of(data)
    at, word = (8, "Q") if layout.big else (4, "I")
    return PageView(data, page.index, data[:at] + struct.pack(layout.order + word, page.offset))


def check_whole(data: Data) -> None:
    """Looks at every page as `tiff.whole_directory` does. Raises TruncatedScan that names it, or as `pages_of`."""
    tiff.whole_directory(data)
    pages, claimed = pages_of(data), 0
    for number, page in enumerate(pages, start=1):
        try:
            entries = tiff.whole_directory(viewed(data, page))
            # thousands of pages that all claim the whole file would take hours to copy
            claimed += sum(len(entry.data) for entry in entries.values())
            if claimed > _SHARED * len(data):
                raise UnreadableScan("the tags of its pages claim many times what the file holds: save it again")
        except TruncatedScan as error:
            raise TruncatedScan(f"page {number} of {len(pages)}: {error}" if len(pages) > 1 else str(error)) from error


def stated_header(page: Page, pages: int) -> ScanHeader:
    """What the directory of a page says of it; whether it can be read is not tried."""
    level = page.level
    return ScanHeader("tiff", level.width, level.height, level.channels, max(8, level.bits), pages)


def with_pages(carried: Carried, page: Page) -> Carried:
    """What a page carries, with what lies around it."""
    encoding = replace(carried.encoding, pyramid=page.pyramid, tile=page.level.tile if page.pyramid else None)
    return replace(carried, encoding=encoding, left_out=page.left_out)


def _chain(data: Data, layout: Layout) -> list[int]:
    """Offsets of the directories; one that names itself as the next is the last."""
    offsets: dict[int, None] = {}
    at = layout.first
    while at and at not in offsets:
        if len(offsets) == MOST:
            raise ScanTooLarge(f"a TIFF of more than {MOST} directories: split it into several files")
        offsets[at] = None
        try:
            following = next_ifd(data, layout, at)
        except BrokenIfdError as error:
            raise TruncatedScan(f"{error}: the file ends at byte {len(data)}; copy it again") from error
        if following in offsets and following != at:
            raise UnreadableScan(f"the directories of this TIFF form a ring at byte {following}: copy it again")
        at = following
    return list(offsets)


def _read(data: Data, layout: Layout, offset: int) -> Mapping[int, Entry]:
    try:
        return read_ifd(data, layout, offset, only=_TAGS)
    except BrokenIfdError as error:
        raise TruncatedScan(f"{error}: the file ends at byte {len(data)}; copy it again") from error


def _levels_below(data: Data, layout: Layout, entries: Mapping[int, Entry]) -> list[Level]:
    offsets = entries[_SUB_IFDS].integers()[:_MOST_LEVELS] if _SUB_IFDS in entries else ()
    levels = (_level(_read(data, layout, offset)) for offset in offsets)
    return [level for level in levels if level is not None]


def _level(entries: Mapping[int, Entry]) -> Level | None:
    width, height = (first_integer(entries, tag, 0) for tag in (_WIDTH, _HEIGHT))
    if not width or not height:
        return None
    tile = (first_integer(entries, _TILE_WIDTH, 0), first_integer(entries, _TILE_HEIGHT, 0))
    bits, channels = (first_integer(entries, tag, 1) for tag in (_BITS, _CHANNELS))
    return Level(width, height, bits, channels, tile if all(tile) else None)


def _says_smaller(entries: Mapping[int, Entry]) -> bool:
    return bool(first_integer(entries, _SUBFILE, 0) & 1) or first_integer(entries, _OLD_SUBFILE, 0) == 2
