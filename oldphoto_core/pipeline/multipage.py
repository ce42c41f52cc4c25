"""Masters of several pages: what is done with each of them, and the derivative that grows page by page.

A page goes through the stages like a photo of its own. `MultipageMaster` holds what outlives it: the master's file, the
files of derivative and masks as far as they are, and the facts of each page for the record.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oldphoto_core.detection.finding import found_of
from oldphoto_core.errors import ScanError, UnsupportedScan
from oldphoto_core.folders import temporary_folder
from oldphoto_core.inference import blending
from oldphoto_core.pipeline.colour_facts import tone_of
from oldphoto_core.scans import FileView, TiffBook, can_copy, write_empty_mask
from oldphoto_core.scans.formats import FORMATS

if TYPE_CHECKING:
    from oldphoto_core.detection.finding import Finding
    from oldphoto_core.inference.blending import Difference
    from oldphoto_core.pipeline.photo_files import PhotoFiles
    from oldphoto_core.scans import ScanHeader
    from oldphoto_core.tone import ToneMeasures

_LARGE = 3_900_000_000
"""Bytes from which the places in a file may not fit into 32 bits."""
_WORST = 2
"""Bytes of a file per byte of pixels, at most: LZW of what cannot be compressed, and the levels of pyramids."""
MASK_PAGE = "it is marked as a mask of another page (infrared, perhaps), and was carried through as it is"
"""What a record says of such a page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DonePage:
    """What became of a page."""

    number: int
    restored: bool
    """Or taken over from the master as it is."""
    megapixels: float
    source: dict[str, Any]
    """Facts; none of a page that was taken over and that nobody here can read."""
    derivative: dict[str, Any]
    """The same of the derivative's page."""
    mask_coverage: float | None = None
    finding: Finding | None = None
    """What the detector says of its mask."""
    doubtful: tuple[str, ...] = ()
    """Why the method will not do it well."""
    difference: Difference | None = None
    colour: dict[str, Any] | None = None
    """What was decided about its colours."""
    measures: ToneMeasures | None = None
    toning: dict[str, Any] = field(default_factory=dict)
    """What became of its tone, as `colour_facts.toning_of` says it."""
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class MultipageMaster:
    """A master of several pages under way. `discard` it."""

    headers: tuple[ScanHeader, ...]
    """Of every page."""
    chosen: tuple[int, ...]
    """Numbers, from 1, of the pages that are to be restored."""
    with_masks: bool
    """Whether masks are to be written."""
    done: list[DonePage] = field(default_factory=list)
    _folder: tempfile.TemporaryDirectory[str] = field(default_factory=lambda: temporary_folder("multipage"))
    _files: ExitStack = field(default_factory=ExitStack)
    _pages: TiffBook | None = None
    _masks: TiffBook | None = None

    @property
    def master(self) -> Path:
        """Where its file is to be put before anything else is done."""
        return Path(self._folder.name) / "master"

    @property
    def derivative(self) -> Path:
        """The file of all pages, once they are done."""
        return Path(self._folder.name) / "derivative"

    @property
    def masks(self) -> Path:
        """The file of all masks, page by page."""
        return Path(self._folder.name) / "masks"

    @property
    def number(self) -> int:
        """Of the page that is next, or being worked on; 0: all are done."""
        return len(self.done) + 1 if len(self.done) < len(self.headers) else 0

    @property
    def is_chosen(self) -> bool:
        """Whether the page that is next is to be restored."""
        return self.number in self.chosen

    @property
    def header(self) -> ScanHeader:
        """Of the page that is next."""
        return self.headers[self.number - 1]

    def take_over(self, files: PhotoFiles) -> None:
        """Copies the pages that come next, as they are coded, as far as they are to be left alone and can be copied.

        The others must be decoded: those to be restored, and some that another order of bytes would change.
        """
        with FileView(self.master) as data:
            while self.number and not self.is_chosen and can_copy(data, self.number):
                self._derivative_book().add_copy(data, self.number)
                self._add_no_mask()
                facts = _facts_of(files, self.master, self.number)
                self.done.append(
                    DonePage(
                        number=self.number,
                        restored=False,
                        megapixels=self.header.megapixels,
                        source=facts,
                        derivative=facts,  # the page is a copy
                        warnings=(MASK_PAGE,) if self.header.is_mask else (),
                    )
                )

    def keep(self, page: DonePage, content: bytes | Path, mask: bytes | Path | None) -> None:
        """Adds a page that is done: its file, and that of its mask if there is one, both TIFFs of one page."""
        self._add(self._derivative_book(), content)
        if mask is not None:
            self._add(self._mask_book(), mask)
        else:
            self._add_no_mask()
        self.done.append(page)

    def close_files(self) -> None:
        """Derivative and masks are whole."""
        self._files.close()

    def discard(self) -> None:
        """Lets go of everything."""
        self._files.close()
        self._folder.cleanup()

    @property
    def megapixels(self) -> float:
        """Restored so far."""
        return sum(page.megapixels for page in self.done if page.restored)

    @property
    def mask_coverage(self) -> float | None:
        """Share of the restored pages that their masks cover; None: nobody looked for damage."""
        looked = [page for page in self.done if page.restored and page.mask_coverage is not None]
        whole = sum(page.megapixels for page in looked)
        return sum((page.mask_coverage or 0) * page.megapixels for page in looked) / whole if whole else None

    @property
    def doubt(self) -> float | None:
        """How unsure the detector was, at most of all restored pages; None: it does not say."""
        return max((page.finding.doubt for page in self.done if page.finding is not None), default=None)

    @property
    def changed_share(self) -> float:
        """Share of the restored pages' pixels that differ from the master's."""
        found = [page.difference for page in self.done if page.restored and page.difference]
        return sum(one.changed for one in found) / sum(one.pixels for one in found)

    @property
    def difference(self) -> Difference | None:
        """Over all restored pages; None where they have not the same depth and channels."""
        return blending.summed([page.difference for page in self.done if page.restored and page.difference])

    def _derivative_book(self) -> TiffBook:
        if self._pages is None:
            pixels = sum(one.width * one.height * one.bands * max(1, one.bits // 8) for one in self.headers)
            size = self.master.stat().st_size
            with self.master.open("rb") as file:
                is_big = file.read(4) in (b"II+\0", b"MM\0+")
            big = is_big or _WORST * pixels + size > _LARGE
            self._pages = self._files.enter_context(TiffBook(self.derivative, big=big))
        return self._pages

    def _mask_book(self) -> TiffBook:
        if self._masks is None:
            pixels = sum(one.width * one.height for one in self.headers)
            self._masks = self._files.enter_context(TiffBook(self.masks, big=_WORST * pixels > _LARGE))
        return self._masks

    def _add(self, book: TiffBook, content: bytes | Path) -> None:
        path = content if isinstance(content, Path) else Path(self._folder.name) / "page"
        if isinstance(content, bytes):
            path.write_bytes(content)
        book.add_file(path)
        path.unlink()

    def _add_no_mask(self) -> None:
        if self.with_masks:
            path = Path(self._folder.name) / "no-mask"
            write_empty_mask(path, (self.header.height, self.header.width))
            self._add(self._mask_book(), path)


def check_holds(pages: int, format_: str) -> None:
    """Raises UnsupportedScan where a format of derivatives ("keep" is a TIFF's own) cannot hold so many pages."""
    if format_ != "keep" and not FORMATS[format_].has_pages:
        raise UnsupportedScan(f"a TIFF of {pages} pages, and {format_} holds one: choose --format keep or tiff")


def pages_of_record(book: MultipageMaster) -> list[dict[str, Any]]:
    """What a record says of each page."""
    return [
        {
            "page": page.number,
            "status": "restored" if page.restored else "copied",
            "source": page.source,
            "derivative": page.derivative,
            "mask_coverage": page.mask_coverage,
            **found_of(page.finding),
            "changed_share": page.difference.changed_share if page.difference else 0.0,
            "colour": page.colour,
            "tone": tone_of(page.measures, page.toning),
            "warnings": list(page.warnings),
        }
        for page in book.done
    ]


def _facts_of(files: PhotoFiles, file: bytes | Path, page: int) -> dict[str, Any]:
    """As far as a page that is left alone tells: it may be one that cannot be read here."""
    try:
        return asdict(files.facts(file, page))
    except ScanError:
        return {}
