"""One photo's pixels between its file and its derivative's, in memory or on disk: what both have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oldphoto_core.canvas import Canvas
from oldphoto_core.errors import MaskMismatch
from oldphoto_core.inference import blending
from oldphoto_core.inference.canvas import OnProgress
from oldphoto_core.inference.contracts import JudgesColours, JudgesDamage, RestoresCanvases, SaysArithmetic
from oldphoto_core.inference.strength import MixedWith
from oldphoto_core.scans import UnusableProfileError, working_space
from oldphoto_core.tone.colours import is_neutral
from oldphoto_core.tone.measures import measure

if TYPE_CHECKING:
    from oldphoto_core.detection.finding import Finding
    from oldphoto_core.detection.options import DetectionOptions
    from oldphoto_core.inference.blending import Difference
    from oldphoto_core.inference.contracts import FindsDamage, RestoresPhotos
    from oldphoto_core.pipeline.photo_files import PhotoFiles
    from oldphoto_core.reviews.decision import Region
    from oldphoto_core.scans import Label, OutputFormat, Scan, ScanHeader, SpooledScan, TechnicalMetadata, WorkingSpace
    from oldphoto_core.scans.masks import MaskFormat
    from oldphoto_core.storage import Bucket, ObjectInfo
    from oldphoto_core.tone import Colours, ToneMeasures, ToneOptions


@dataclass(frozen=True, slots=True)
class PageOf:
    """A page of a file on this machine."""

    file: Path
    number: int
    header: ScanHeader
    """Of the page."""


class PhotoBuffer(ABC):
    """A photo that is being worked on. Its stages call these in the order in which they stand here."""

    scan: Scan | SpooledScan | None = None
    mask: Canvas | None = None
    """A plane of damage (see `blending`); None: nothing is damaged."""
    restored: Canvas | None = None
    space: WorkingSpace | None = None
    """What its pixels go through to the network and back; None: they are sRGB, or count as such."""
    about_colours: str = ""
    """What its record must say of that, for people."""
    stated: ScanHeader | None = None
    """What the master, or its page, says of itself, once that was read."""
    facts: TechnicalMetadata | None = None
    """Of the master's file, once it is decoded."""

    colours: Colours | None = None
    """What was decided about its colours, once it is restored; None: nothing was."""
    strength: float = 1.0
    """How much of the restoration is taken where nothing is damaged."""
    equal_channels: bool = False
    """Whether the derivative's channels are equal in the levels of its own profile."""

    of: PageOf | None = None
    """What it is a page of, as its mask is of a file of masks; None: a photo by itself."""

    @property
    @abstractmethod
    def file(self) -> bytes | Path:
        """The master's, until it is decoded."""

    def header(self, files: PhotoFiles) -> ScanHeader:
        """What the master, or its page, says of itself; its file is asked once."""
        if self.stated is None:
            self.stated = self.of.header if self.of else files.header(self.file)
        return self.stated

    @abstractmethod
    def decode(self, files: PhotoFiles) -> None:
        """The master's pixels; its file is not needed any more."""

    @abstractmethod
    def take_mask(self, masks: Bucket, given: ObjectInfo, files: PhotoFiles) -> None:
        """Makes the given file the mask. Raises MaskMismatch when it has another size."""

    def find_damage(self, detector: FindsDamage, options: DetectionOptions, on_part: OnProgress) -> Finding | None:
        """Adds what the detector finds to the mask; returns what it says of that, if it is one that does."""
        found, given = self._new_plane("found"), self.mask
        finding = None
        if isinstance(detector, JudgesDamage):
            finding = detector.judge_damage(self.shown, found, options, on_part)
        else:
            detector.find_damage(self.shown, found, on_part)
        blending.add_damage(found, given)
        self._let_go(given)
        self.mask = found
        return finding

    def settle_mask(self, margin: int, protected: Sequence[Region] = ()) -> float:
        """Widens the mask by so many pixels with a soft edge; returns the share of the photo that it now covers.

        Nothing is damaged in `protected` regions.
        """
        if self.mask is None:
            return 0.0
        if margin:
            narrow, self.mask = self.mask, self._new_plane("widened")
            blending.widen(narrow, self.mask, margin)
            self._let_go(narrow)
        blending.clear_regions(self.mask, protected)
        covered = blending.coverage(self.mask)
        if not covered:
            self._let_go(self.mask)
            self.mask = None
        return covered

    def judge_colours(self, restorer: RestoresPhotos, options: ToneOptions) -> None:
        """Decides whether it is monochrome, for networks that ask for it, and takes the strength over."""
        self.strength = options.strength
        if not isinstance(restorer, JudgesColours):
            return
        self.colours = restorer.colours_of(self.shown, self.mask, options)
        if self.space is not None and self.colours is not None and self.colours.is_monochrome:
            self.equal_channels = options.tint == "neutral" or is_neutral(self.photo)

    @abstractmethod
    def restore(self, restorer: RestoresPhotos, on_part: OnProgress) -> None:
        """The network, on the whole picture."""

    def _restore_canvas(self, restorer: RestoresCanvases, photo: Canvas, result: Canvas, on_part: OnProgress) -> None:
        """The same by rows, for networks that can; `photo` is what they see."""
        if self.strength < 1 and self.colours is None:  # else it is mixed with tone and tint
            result = MixedWith(result, photo, self.mask, self.strength)
        if isinstance(restorer, JudgesColours):
            restorer.restore_canvas(photo, result, self.mask, on_part, self.colours)
        else:
            restorer.restore_canvas(photo, result, self.mask, on_part)

    def arithmetic(self, restorer: RestoresPhotos) -> str | None:
        """What the network computes it in, if it says that."""
        return restorer.arithmetic(self.shown.dtype) if isinstance(restorer, SaysArithmetic) else None

    @abstractmethod
    def bring_back(self) -> None:
        """The network's result, where it is not yet, into the master's profile."""

    def keep_master(self) -> None:
        """Nothing is to be filled: the derivative gets the master's own pixels."""
        self._let_go(self.restored)
        self.restored = self.photo

    def keep_intact(self) -> None:
        """Puts the master's pixels back wherever the mask is not."""
        if self.mask is not None:
            blending.blend(self.photo, self.result, self.mask)

    def keep_regions(self, protected: Sequence[Region]) -> None:
        """Puts the master's pixels back in these regions."""
        blending.copy_regions(self.photo, self.result, protected)

    def difference(self) -> Difference:
        """How far the derivative's pixels, before they are encoded, are from the master's."""
        return blending.difference(self.photo, self.result)

    def measures(self) -> ToneMeasures:
        """How even the derivative's colours and tones are, beside the master's."""
        return measure(self.photo, self.result, self.mask, self.space.shown if self.space is not None else None)

    @abstractmethod
    def encode(
        self,
        format: OutputFormat,  # noqa: A002 - the name users give
        label: Label | None,
        max_bytes: int | None,
        warn: Callable[[str], None],
    ) -> bytes | Path:
        """The derivative's file, as `write_scan` makes it."""

    @abstractmethod
    def encode_mask(self, format: MaskFormat = "png") -> bytes | Path:  # noqa: A002 - the name users give
        """The mask's file: white whatever is not wholly the master's, all black where nothing is damaged."""

    def check_pages(self, mask: bytes | Path, files: PhotoFiles) -> None:
        """Raises MaskMismatch when a given mask has another number of pages than the master."""
        check_mask_pages(files.header(mask).pages, self.of.header.pages if self.of else 1)

    @property
    def page(self) -> int | None:
        """Its number; None: its file is its own."""
        return self.of.number if self.of else None

    @abstractmethod
    def discard(self) -> None:
        """Lets go of everything."""

    @property
    @abstractmethod
    def photo(self) -> Canvas:
        """The decoded master's pixels."""

    @property
    @abstractmethod
    def shown(self) -> Canvas:
        """The same in sRGB, as networks see them."""

    @property
    def result(self) -> Canvas:
        """The derivative's pixels."""
        assert self.restored is not None
        return self.restored

    def _choose_space(self) -> None:
        """Once it is decoded."""
        assert self.scan is not None
        try:
            self.space = working_space(self.scan)
        except UnusableProfileError as error:
            self.about_colours = (
                f"the master's ICC profile {error}: its colours counted as sRGB, and it was kept as it is"
            )
        if self.space is not None:
            self.about_colours = (
                "the network saw the colours in sRGB; its changes were put into the master's ICC profile"
            )

    @abstractmethod
    def _new_plane(self, name: str) -> Canvas:
        """Of the photo's size, all zeros; a name is given once."""

    @abstractmethod
    def _let_go(self, canvas: Canvas | None) -> None:
        """Makes room."""


def check_mask_pages(found: int, wanted: int) -> None:
    """Raises MaskMismatch when a mask of `found` pages is given for a photo of `wanted`."""
    if found != wanted:
        raise MaskMismatch(f"the mask has {found} pages, its photo {wanted}: make a TIFF of one for each page")
