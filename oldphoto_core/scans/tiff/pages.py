"""Pages of a TIFF: which directories are pictures of their own, and which are only smaller copies of one."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from oldphoto_core.errors import TruncatedScan, UnreadableScan, UnsupportedScan
from oldphoto_core.scans.container_metadata import ContainerMetadata, Pyramid
from oldphoto_core.scans.metadata.ifd import BrokenIfdError, Entry, Layout, first_integer, read_ifd
from oldphoto_core.scans.scan import ScanHeader
from oldphoto_core.scans.selection import PageSelection
from oldphoto_core.scans.tiff.chain import chain_of, leads_nowhere
from oldphoto_core.scans.tiff.faults import corrected, inspect
from oldphoto_core.scans.views import AssembledView, Data, PageView

_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _CHANNELS = 254, 255, 256, 257, 258, 262, 277
_TILE_WIDTH, _TILE_HEIGHT, _SUB_IFDS, _RAW = 322, 323, 330, 50706
_TAGS = (
    *(_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _CHANNELS),
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
    is_mask: bool = False
    """Whether it says that it is no photo, but a mask of one: infrared, transparency."""
    faults: tuple[str, ...] = ()
    """Errors around it that touch no pixel, for people."""

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
        UnreadableScan: none holds a picture, one was overwritten, or they form a ring.
        UnsupportedScan: a camera's raw file, or nothing but thumbnails.
        ScanTooLarge: more than MOST directories.
    """
    layout = Layout.of(data)
    pages: list[Page] = []
    smaller: list[Page] = []
    offsets, faults = chain_of(data, layout)
    for index, offset in enumerate(offsets):
        entries = _read(data, layout, offset)
        if index == 0 and (_RAW in entries or data[8:10] == b"CR"):
            raise UnsupportedScan("a camera's raw file: develop it, and save the picture as TIFF")
        level = _level(entries)
        if level is None:
            continue
        below, lost = _levels_below(data, layout, entries)
        page = Page(offset, index, level, below=below, is_mask=_says_mask(entries), faults=lost)
        if _says_smaller(entries) or (pages and level.is_half_of((pages[-1].level, *pages[-1].copies)[-1])):
            if pages:
                pages[-1] = replace(pages[-1], copies=(*pages[-1].copies, level))
            else:
                smaller.append(page)
            continue
        pages.append(page if pages else replace(page, others=len(smaller)))
    pages = pages or _only(smaller)
    pages[-1] = replace(pages[-1], faults=(*pages[-1].faults, *faults))
    return tuple(pages) if not all(page.is_mask for page in pages) else tuple(map(_no_mask, pages))


def photos_of(pages: Sequence[Page] | Sequence[ScanHeader], selection: PageSelection) -> tuple[int, ...]:
    """The numbers of the pages of a file that are selected and are photos, not masks or the like."""
    return tuple(number for number in selection.of(len(pages)) if not pages[number - 1].is_mask)


def _only(smaller: list[Page]) -> list[Page]:
    """Of a file in which everything calls itself a smaller copy: its only picture. Raises ScanError."""
    if not smaller:
        raise UnreadableScan("a TIFF directory without a picture: open it in another program and save it again")
    if len(smaller) > 1 or smaller[0].below:
        raise UnsupportedScan("nothing but a thumbnail, as in camera raw files: save the picture itself as TIFF")
    fault = "its only picture is marked as a smaller copy of another one"
    return [replace(smaller[0], faults=(*smaller[0].faults, fault))]


def _no_mask(page: Page) -> Page:
    return replace(page, is_mask=False, faults=(*page.faults, "it is marked as a mask, and of no other picture"))


def page_view(data: Data, number: int | None) -> tuple[Data, Page, int]:
    """A TIFF as if this page came first, the page, and how many there are; None: the only one.

    Raises as `pages_of` and `inspect`, and UnsupportedScan where there are several and none is named, or there is no
    such page.
    """
    pages = pages_of(data)
    if number is None and len(pages) > 1:
        raise UnsupportedScan(f"a TIFF of {len(pages)} pages: name the one that is meant")
    if number is not None and not 1 <= number <= len(pages):
        raise UnsupportedScan(f"page {number} of a TIFF of {len(pages)}: there is none")
    page = pages[(number or 1) - 1]
    view, faults = _sound(data, page)
    return view, replace(page, faults=faults), len(pages)


def viewed(data: Data, page: Page) -> Data:
    """The file as if this page came first, and its directory had no faults. Raises as `inspect`."""
    return _sound(data, page)[0]


def _sound(data: Data, page: Page) -> tuple[Data, tuple[str, ...]]:
    found = inspect(data, page.offset)
    if faults := (*page.faults, *found.faults):
        return corrected(data, found.entries), faults
    if page.index == 0 or isinstance(data, PageView | AssembledView):
        return data, ()
    layout = Layout.of(data)
    at, word = (8, "Q") if layout.big else (4, "I")
    return PageView(data, page.index, data[:at] + struct.pack(layout.order + word, page.offset)), ()


def check_whole(data: Data) -> None:
    """Looks at every page as `inspect` does. Raises TruncatedScan that names it, or as `pages_of`."""
    pages, claimed = pages_of(data), 0
    for number, page in enumerate(pages, start=1):
        try:
            entries = inspect(data, page.offset).entries
            # thousands of pages that all claim the whole file would take hours to copy
            claimed += sum(len(entry.data) for entry in entries.values())
            if claimed > _SHARED * len(data):
                raise UnreadableScan("the tags of its pages claim many times what the file holds: save it again")
        except TruncatedScan as error:
            raise TruncatedScan(f"page {number} of {len(pages)}: {error}" if len(pages) > 1 else str(error)) from error


def stated_header(page: Page, pages: int) -> ScanHeader:
    """What the directory of a page says of it; whether it can be read is not tried."""
    level = page.level
    bits = max(8, level.bits)
    return ScanHeader("tiff", level.width, level.height, level.channels, bits, pages, is_mask=page.is_mask)


def with_pages(container: ContainerMetadata, page: Page) -> ContainerMetadata:
    """What a page carries, with what lies around it."""
    encoding = replace(container.encoding, pyramid=page.pyramid, tile=page.level.tile if page.pyramid else None)
    return replace(
        container,
        encoding=encoding,
        left_out=(*container.left_out, *page.left_out),
        remarks=(*container.remarks, *page.faults),
    )


def _read(data: Data, layout: Layout, offset: int) -> Mapping[int, Entry]:
    try:
        return read_ifd(data, layout, offset, only=_TAGS)
    except BrokenIfdError as error:
        raise TruncatedScan(f"{error}: the file ends at byte {len(data)}; copy it again") from error


def _levels_below(
    data: Data, layout: Layout, entries: Mapping[int, Entry]
) -> tuple[tuple[Level, ...], tuple[str, ...]]:
    """What lies in directories below one, and what is wrong with it: copies that are missing cost no pixel."""
    offsets = entries[_SUB_IFDS].integers()[:_MOST_LEVELS] if _SUB_IFDS in entries else ()
    found, lost = [], 0
    for offset in offsets:
        try:
            nowhere = leads_nowhere(data, layout, offset)
            found.append(None if nowhere else _level(read_ifd(data, layout, offset, only=_TAGS)))
            lost += nowhere
        except BrokenIfdError:
            lost += 1
    levels = tuple(level for level in found if level is not None)
    return levels, (f"{lost} of its {len(offsets)} SubIFDs lead nowhere, and were left out",) if lost else ()


def _level(entries: Mapping[int, Entry]) -> Level | None:
    width, height = (first_integer(entries, tag, 0) for tag in (_WIDTH, _HEIGHT))
    if not width or not height:
        return None
    tile = (first_integer(entries, _TILE_WIDTH, 0), first_integer(entries, _TILE_HEIGHT, 0))
    bits, channels = (first_integer(entries, tag, 1) for tag in (_BITS, _CHANNELS))
    return Level(width, height, bits, channels, tile if all(tile) else None)


def _says_smaller(entries: Mapping[int, Entry]) -> bool:
    return bool(first_integer(entries, _SUBFILE, 0) & 1) or first_integer(entries, _OLD_SUBFILE, 0) == 2


def _says_mask(entries: Mapping[int, Entry]) -> bool:
    return bool(first_integer(entries, _SUBFILE, 0) & 4) or first_integer(entries, _PHOTOMETRIC, 0) == 4
