"""What a user may decide about a restoration, typed and checked on construction."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from oldphoto_core.detection.options import DetectionOptions, FrameChoice, Sensitivity
from oldphoto_core.errors import ConfigError
from oldphoto_core.scans.formats import (
    FORMATS,
    FileFormat,
    Format,
    OutputFormat,
    extensions_of,
    file_extension,
    named_by,
)
from oldphoto_core.scans.selection import PageSelection
from oldphoto_core.tone.options import ColourChoice, Tint, ToneOptions

Mode = Literal["full", "scratches"]
ExistingPolicy = Literal["skip", "overwrite", "abort"]
FailurePolicy = Literal["skip", "copy", "abort"]


def _names_of(which: Callable[[FileFormat], bool], derivative: Format) -> re.Pattern[str]:
    """Names of masters of some formats, and of those that look like their derivatives of another format."""
    masters = "|".join(extensions_of(which))
    return re.compile(rf"\.({masters})(\.{file_extension(derivative)})*$", re.IGNORECASE)


_NAMED_LOSSY = _names_of(lambda row: row.is_lossy, "png")
"""Names of masters that cannot be written again as they are."""
_NAMED_ONLY_READ = _names_of(lambda row: row.writer is None, "tiff")
"""Names of masters of formats that are only read."""
_LOSSLESS_CHOICES = sorted(
    choice for choice in get_args(OutputFormat) if choice == "keep" or not FORMATS[choice].is_lossy
)

_CUSTOMARY_GROWTH = 1.5
_DETECTION, _TONE = DetectionOptions(), ToneOptions()


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreOptions:
    """How a collection is restored. Only what changes the derivative's bytes enters the digest."""

    mode: Mode = "full"
    """The whole picture translated, or only what is damaged filled and every other pixel left the master's."""

    format: OutputFormat = "keep"
    """File format of the derivatives; `keep` is each source's own (TIFF for formats that are only read; PNG for JPEG
    and WebP in mode scratches)."""

    pages: str = ""
    """Which pages of a TIFF of several are restored, as "1,3-5" or "2-"; the others are taken over unchanged. "": all.
    A file of one page is restored whatever this says."""

    max_growth: float = _CUSTOMARY_GROWTH
    """A JPEG or lossy WebP becomes no more than this times the size of its master's file, its label apart: quality
    gives way, down to 50. 0: any size, and quality is kept."""

    detect: bool = True
    """Whether the model's detector, if it has one, looks for damage; False: given masks alone say what is damaged."""

    sensitivity: Sensitivity = _DETECTION.sensitivity
    """How readily the detector calls a pixel damaged: `low` spares what may be content, `high` marks faint damage, too.
    """

    frame: FrameChoice = _DETECTION.frame
    """Whether the frame of the picture is looked for, outside of which the detector finds nothing."""

    max_damage: float = 0.5
    """A photo of which more than this share (0 to 1) is damaged fails as `too damaged`; 1: never."""

    colour: ColourChoice = _TONE.colour
    """Whether a photo is monochrome, and so restored in lightness alone: judged from the photo, or stated. Published
    weights treat no photo so unless `colour` or `tint` is given."""

    tint: Tint = _TONE.tint
    """What a monochrome photo is tinted with: its own tint, or nothing (R = G = B)."""

    tone: float | None = _TONE.tone
    """How much of the tone map that the model's tone network predicts is applied, from 0 (tone is left alone) to 1.
    None: 0 in mode scratches, else `tone.options.DEFAULT_TONE`; models without a tone network leave tone alone."""

    strength: float = 1.0
    """How much of the restoration is taken where nothing is damaged, from 0 to 1; the rest is the photo itself, with
    tone and tint applied. What is damaged is always restored."""

    denoise: float = _TONE.denoise
    """How much of a photo's measured noise counts as noise, from 0 (fine texture is kept, and grain with it) to 1.
    Models that take no noise level restore as they were trained."""

    existing: ExistingPolicy = "skip"
    """A derivative that is there already: leave it if up to date or not ours, do it again, or stop at once."""

    on_failure: FailurePolicy = "skip"
    """A photo that fails: leave it out, put a copy of the original in its place, or stop the run."""

    copy_linked: bool = False
    """Whether `on_failure` "copy" copies, too, what a link in the source leads to outside of it. Such photos are
    restored either way."""

    max_failure_rate: float = 1.0
    """The run stops once more than this share (0 to 1) of the photos it set out to restore has failed; 1: never."""

    in_flight_megapixels: float = 64.0
    """Decoded megapixels held in memory at once; a larger photo goes alone, from disk to disk."""

    max_megapixels: float = 500.0
    """Larger photos fail as `too large`, judged from the header before a pixel is decoded."""

    photo_timeout: float | None = None
    """Seconds that work on one photo may take, waiting left out; over that it fails as `timed out`. None: no bound but
    that of 10 minutes for decoding one file."""

    isolate: bool = True
    """Decode in processes of their own, so that a file that crashes the decoder costs one photo and not the run."""

    threads: int = 0
    """Dask threads that read, decode, encode and write around the network; 0 takes one per core, two at least."""

    report: bool = True
    """Whether thumbnails are made of every photo, and a report of them at the end."""

    def __post_init__(self) -> None:
        _check_choice("mode", self.mode, get_args(Mode))
        _check_choice("format", self.format, get_args(OutputFormat))
        _check_choice("existing", self.existing, get_args(ExistingPolicy))
        _check_choice("on_failure", self.on_failure, get_args(FailurePolicy))
        if self.mode == "scratches" and self.format not in _LOSSLESS_CHOICES:
            title, (*choices, last) = FORMATS[self.format].title, _LOSSLESS_CHOICES
            raise ConfigError(
                f"format is {self.format!r} in mode scratches, where writing a {title} would change pixels that are not"
                f" damaged; choose {', '.join(choices)} or {last}"
            )
        _check_choice("sensitivity", self.sensitivity, get_args(Sensitivity))
        _check_choice("frame", self.frame, get_args(FrameChoice))
        _check_choice("colour", self.colour, get_args(ColourChoice))
        _check_choice("tint", self.tint, get_args(Tint))
        if self.mode == "scratches" and self.tint == "neutral":
            raise ConfigError(
                "tint is 'neutral' in mode scratches, where all that is not damaged stays the master's; choose keep"
            )
        if self.tone is not None:
            _check_share("tone", self.tone)
        if self.mode == "scratches" and self.tone:
            raise ConfigError(
                f"tone is {self.tone} in mode scratches, where all that is not damaged stays the master's; give 0"
            )
        _check_share("strength", self.strength)
        _check_share("denoise", self.denoise)
        if self.mode == "scratches" and self.strength != 1:
            raise ConfigError(
                f"strength is {self.strength} in mode scratches, where all that is not damaged stays the master's; give"
                " 1"
            )
        PageSelection.parse(self.pages)
        if self.max_growth != 0 and not 1 <= self.max_growth < math.inf:
            raise ConfigError(f"max_growth is {self.max_growth}; give a number from 1, or 0 for any size")
        _check_share("max_damage", self.max_damage)
        _check_share("max_failure_rate", self.max_failure_rate)
        if not self.in_flight_megapixels > 0:
            raise ConfigError(f"in_flight_megapixels is {self.in_flight_megapixels}; give a number above 0")
        if not self.max_megapixels > 0:
            raise ConfigError(f"max_megapixels is {self.max_megapixels}; give a number above 0")
        if self.photo_timeout is not None and not self.photo_timeout > 0:
            raise ConfigError(f"photo_timeout is {self.photo_timeout}; give seconds above 0, or leave it out")
        if self.threads < 0:
            raise ConfigError(f"threads is {self.threads}; give 0 (one per core) or more")

    def digest(self, mask_version: str = "", detector_digest: str = "") -> str:
        """Of what changes a derivative besides its master and the network: 16 hex digits of a sha256.

        That is the format, the mode, the pages, the growth allowed, colour, tint, tone, strength, denoise, the version
        of its mask, and, where one is used, the detector, its sensitivity and whether frames are looked for. Nobody
        knows yet how many pages the master has, so the pages count for every file. A photo is either refused by
        `max_damage` or not, so that changes no derivative.
        """
        relevant: dict[str, str | float] = {"format": self.format, "mask": mask_version}
        # left out where they are not used, so that what older versions made counts as made
        if self.mode != "full":
            relevant["mode"] = self.mode
        if self.pages:
            relevant["pages"] = str(self.selection)
        if self.max_growth != _CUSTOMARY_GROWTH:
            relevant["max_growth"] = self.max_growth
        if self.colour != "auto":
            relevant["colour"] = self.colour
        if self.tint != "keep":
            relevant["tint"] = self.tint
        if self.tone is not None:
            relevant["tone"] = self.tone
        if self.strength != 1:
            relevant["strength"] = self.strength
        if self.denoise != _TONE.denoise:
            relevant["denoise"] = self.denoise
        if self.detect and detector_digest:
            relevant["detector"] = detector_digest
            if self.sensitivity != "normal":
                relevant["sensitivity"] = self.sensitivity
            if self.frame != "auto":
                relevant["frame"] = self.frame
        return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def detection_options(self) -> DetectionOptions:
        """How the detector's probabilities become a mask."""
        return DetectionOptions(sensitivity=self.sensitivity, frame=self.frame)

    @property
    def tone_options(self) -> ToneOptions:
        """How colour and tone are treated."""
        return ToneOptions(
            colour=self.colour,
            tint=self.tint,
            tone=self.tone,
            strength=self.strength,
            denoise=self.denoise,
            own_tone=self.mode == "scratches",
        )

    @property
    def selection(self) -> PageSelection:
        """The pages as numbers."""
        return PageSelection.parse(self.pages)

    def output_key(self, key: str) -> str:
        """Key of the derivative below `photos/`, by the master's name alone.

        The extension is always added, never replaced, so no two keys meet. In mode scratches JPEG and WebP get `.png`,
        and so does what is called `.jpg.png` already, which would meet them. Formats that are only read
        get `.tif` in any mode likewise.
        """
        if self._becomes_tiff(key):
            return f"{key}.tif"
        if self._becomes_png(key):
            return f"{key}.png"
        return key if self.format == "keep" else f"{key}.{file_extension(self.format)}"

    def output_format(self, key: str, content: Format) -> OutputFormat:
        """How the derivative of a master with that name and that content is encoded; lossless in mode scratches."""
        if self._becomes_tiff(key):
            return "tiff"
        if self._becomes_png(key):
            return "png"
        named = named_by(key)
        if self.format == "keep" and FORMATS[content].writer is None:
            return "png" if named is FORMATS["png"] else "tiff"
        if self._keeps_pixels and FORMATS[content].is_lossy:
            # a JPEG under a lossless name: the derivative becomes what the name says
            return "tiff" if named is FORMATS["tiff"] else "png"
        return self.format

    @property
    def _keeps_pixels(self) -> bool:
        return self.mode == "scratches" and self.format == "keep"

    def _becomes_tiff(self, key: str) -> bool:
        return self.format == "keep" and _NAMED_ONLY_READ.search(key) is not None

    def _becomes_png(self, key: str) -> bool:
        return self._keeps_pixels and _NAMED_LOSSY.search(key) is not None


def _check_choice(field: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{field} is {value!r}; choose one of {', '.join(allowed)}")


def _check_share(field: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f"{field} is {value}; give a share between 0 and 1")
