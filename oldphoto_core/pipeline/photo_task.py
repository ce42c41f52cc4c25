"""One photo on its way through the stages, and what a stage is: data that engine, clocks and records go by."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from oldphoto_core.errors import OldPhotoError, TimedOut
from oldphoto_core.pipeline.photo_files import PhotoFiles
from oldphoto_core.scans.isolation.decoders import FILE_SECONDS

if TYPE_CHECKING:
    from oldphoto_core.detection.finding import Finding
    from oldphoto_core.inference.blending import Difference
    from oldphoto_core.inference.contracts import FindsDamage
    from oldphoto_core.pipeline.buffers import PhotoBuffer
    from oldphoto_core.pipeline.multipage import MultipageMaster
    from oldphoto_core.pipeline.photo import Photo
    from oldphoto_core.pipeline.run_context import RunContext
    from oldphoto_core.reviews.decision import Region
    from oldphoto_core.scans import Scan, SpooledScan, TechnicalMetadata
    from oldphoto_core.storage import Bucket, ObjectInfo
    from oldphoto_core.tone import ToneMeasures, ToneOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One step. `stages.STAGES` has them in order."""

    name: str
    """In records and on Dask's pages."""

    run: Callable[[PhotoTask], None]
    """Does it; what it raises becomes the error of this photo."""

    thread: Literal["dask", "network"] = "dask"
    """`network`: on the thread that called the engine, which has the network, one photo after another."""

    opens: Literal["file", "pixels"] | None = None
    """What the photo takes up from this stage on, so that it waits here until that much is free: bytes of its file, or
    megapixels. None: nothing more than before."""

    priority: int = 0
    """Among stages that wait for a thread of Dask the highest is next: what is nearly done makes room."""


@dataclass(slots=True)
class PhotoTask:
    """One photo on its way through the stages."""

    photo: Photo
    place: RunContext
    buffer: PhotoBuffer | None = None
    """Its file, pixels and mask, or those of one of its pages, in memory or on disk."""
    multipage: MultipageMaster | None = None
    """Its pages, where there are several."""
    source_sha256: str = ""
    source_facts: TechnicalMetadata | None = None
    derivative_facts: TechnicalMetadata | None = None
    """Of the file, or of that of a page, that was encoded last."""
    mask_file: dict[str, Any] | None = None
    """Key, sha256 and bytes of the mask that was put into the target; None: the given one lies there."""
    megapixels: float = 0.0
    """Of the page that is worked on."""
    seconds: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    margin: int = 0
    """Pixels by which its mask was widened."""
    mask_coverage: float = math.nan
    finding: Finding | None = None
    """What the detector says of its mask of the page that is worked on; None: it says nothing, or nobody looked."""
    doubtful: tuple[str, ...] = ()
    """Why the method will not do the page that is worked on well."""
    arithmetic: str | None = None
    """In which the network restored it; None: no network did, or one that does not say."""
    difference: Difference | None = None
    """Between master and derivative, once that is made."""
    colour: dict[str, Any] | None = None
    """What was decided about the colours of the page that is worked on; None: nothing was."""
    toning: dict[str, Any] = field(default_factory=dict)
    """What became of its tone; empty: nothing was decided."""
    measures: ToneMeasures | None = None
    """How even its tones came out, once its derivative is made."""
    output: str = ""
    output_sha256: str = ""
    notes: list[str] = field(default_factory=list)
    """What its derivative could not keep, for people."""
    error: Exception | None = None
    not_copied: str = ""
    """Why its original was not put in its place, although that was asked for; empty: it was, or was not asked for."""
    _stage_began: float = 0.0

    @property
    def files(self) -> PhotoFiles:
        """Reads this photo's files, within its bounds."""
        most = round(self.place.options.max_megapixels * 1e6)
        return PhotoFiles(self.place.decoders, most, min(FILE_SECONDS, self.seconds_left))

    @property
    def seconds_left(self) -> float:
        """Of the time that work on this photo may take."""
        allowed = self.place.options.photo_timeout or math.inf
        return allowed - self.seconds - (time.perf_counter() - self._stage_began)

    def check_time(self) -> None:
        """Raises TimedOut when none is left."""
        if self.seconds_left < 0:
            raise TimedOut(
                f"{self.photo.key} took longer than the {self.place.options.photo_timeout:g} s that a photo may take;"
                " raise --photo-timeout, or restore it by itself"
            )

    @property
    def scan(self) -> Scan | SpooledScan | None:
        """The decoded master, as long as it is held."""
        return self.buffer.scan if self.buffer is not None else None

    @property
    def given_mask(self) -> ObjectInfo | None:
        """The mask that the user gave for it, or that a curator corrected."""
        return self.photo.masks[0] if len(self.photo.masks) == 1 and self.mask_bucket is not None else None

    @property
    def mask_bucket(self) -> Bucket | None:
        """Where its mask lies; None: no masks were given."""
        return self.place.target if self.photo.is_corrected else self.place.masks

    @property
    def mask_is_output(self) -> bool:
        """Whether its mask already lies where this run would write it."""
        return bool(self.photo.masks) and self.place.mask_is_output and not self.photo.is_corrected

    @property
    def detector(self) -> FindsDamage | None:
        """What looks for damage in it; None: nobody does, or a mask counts alone."""
        return None if self.photo.is_corrected else self.place.detector

    @property
    def protected(self) -> tuple[Region, ...]:
        """Regions that stay the master's; of several pages they are on the first one, which is shown to curators."""
        if self.photo.review is None or (self.multipage is not None and self.multipage.number != 1):
            return ()
        return self.photo.review.protected

    @property
    def tone_options(self) -> ToneOptions:
        """How colour and tone are treated, in mode full with the strength that a curator asked for."""
        options, review = self.place.options, self.photo.review
        if review is None or review.strength is None or options.mode == "scratches":
            return options.tone_options
        return replace(options.tone_options, strength=review.strength)

    def run(self, stage: Stage) -> None:
        """Do one stage; what goes wrong becomes this photo's error and nobody else's."""
        self._stage_began = time.perf_counter()
        try:
            # what failed is out of time no more: its original may still be copied
            if self.error is None:
                self.check_time()
            stage.run(self)
        except Exception as error:
            self.error = self.error or error
        spent = time.perf_counter() - self._stage_began
        self.stage_seconds[stage.name] = self.stage_seconds.get(stage.name, 0.0) + spent
        self.seconds += spent

    def let_go(self) -> None:
        """Drop pixels and bytes: after this the photo weighs nothing."""
        if self.buffer is not None:
            self.buffer.discard()
            self.buffer = None
        if self.multipage is not None:
            self.multipage.discard()

    @property
    def is_unfinished(self) -> bool:
        """Whether there are pages left to do."""
        return self.multipage is not None and self.error is None and bool(self.multipage.number)

    @property
    def is_left_alone(self) -> bool:
        """Whether what is worked on is a page that only goes along."""
        return self.multipage is not None and not self.multipage.is_chosen

    @property
    def complaint(self) -> str:
        """What went wrong, in one line for people."""
        if self.error is None:
            return ""
        text = " ".join(str(self.error).split())
        if not isinstance(self.error, OldPhotoError):
            text = f"{type(self.error).__name__}: {text}"
        text = f"{text}; {self.not_copied}" if self.not_copied else text
        return f"page {self.multipage.number}: {text}" if self.multipage is not None and self.multipage.number else text

    @property
    def doubt(self) -> float:
        """How unsure the detector was, at most of all pages; not a number where it does not say."""
        if self.finding is not None:
            return self.finding.doubt
        doubt = self.multipage.doubt if self.multipage is not None else None
        return math.nan if doubt is None else doubt

    @property
    def doubtful_pages(self) -> tuple[str, ...]:
        """Why the method will not do it well, of any of its pages."""
        pages = [page.doubtful for page in self.multipage.done] if self.multipage is not None else []
        return tuple(dict.fromkeys(reason for reasons in (self.doubtful, *pages) for reason in reasons))

    @property
    def changed_share(self) -> float:
        """Of all pixels that were restored; not a number where none were."""
        if self.multipage is not None and self.output:
            return self.multipage.changed_share
        return self.difference.changed_share if self.difference else math.nan
