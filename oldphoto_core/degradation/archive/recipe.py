"""The recipe `archive`: how photographs of real collections came to look as they do, in the order in which they did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar, Self

import cv2
import numpy as np

from oldphoto_core.degradation.archive.blending import LOST, change, stands_out
from oldphoto_core.degradation.archive.losses import Holes, MissingCorners, Tape, Tears
from oldphoto_core.degradation.archive.operation import Mask, Operation, Outcome
from oldphoto_core.degradation.archive.optics import AnisotropicBlur, Defocus, Jpeg, LowResolution, MotionBlur
from oldphoto_core.degradation.archive.scratches import Dust, Hairs, Scratches
from oldphoto_core.degradation.archive.stains import Foxing, Stains, WaterMarks
from oldphoto_core.degradation.archive.surface import Cracks, Folds
from oldphoto_core.degradation.archive.texture import Grain, Halftone, PaperTexture
from oldphoto_core.degradation.archive.tone import (
    Fading,
    SilverMirroring,
    Toning,
    UnevenLight,
    Vignette,
    Yellowing,
)
from oldphoto_core.degradation.recipe import Degraded
from oldphoto_core.degradation.unstructured import Image, Record
from oldphoto_core.errors import ConfigError

SMEAR = 9
"""Width in pixels of the square over which scanning spreads a pixel noticeably: a JPEG block and its neighbour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """A part of a photograph's life: operations in the order in which they happen."""

    def operations(self) -> tuple[Operation, ...]:
        """In order."""
        return tuple(getattr(self, each.name) for each in fields(self))

    def never(self) -> Self:
        """The same phase of a life in which none of it happens."""
        off = {each.name: replace(getattr(self, each.name), probability=0.0) for each in fields(self)}
        return replace(self, **off)


@dataclass(frozen=True, kw_only=True, slots=True)
class Making(Phase):
    """How the photograph was taken and printed."""

    defocus: Defocus = field(default_factory=Defocus)
    """Lens out of focus."""
    motion_blur: MotionBlur = field(default_factory=MotionBlur)
    """Movement during the exposure."""
    anisotropic_blur: AnisotropicBlur = field(default_factory=AnisotropicBlur)
    """Astigmatism."""
    vignette: Vignette = field(default_factory=Vignette)
    """Dark corners."""
    grain: Grain = field(default_factory=Grain)
    """Film grain."""
    toning: Toning = field(default_factory=Toning)
    """Sepia and other toners."""
    halftone: Halftone = field(default_factory=Halftone)
    """Dots of a printing press."""
    paper_texture: PaperTexture = field(default_factory=PaperTexture)
    """Relief of the paper."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ageing(Phase):
    """What time did to all of it."""

    fading: Fading = field(default_factory=Fading)
    """Lost density."""
    yellowing: Yellowing = field(default_factory=Yellowing)
    """Yellow paper."""
    silver_mirroring: SilverMirroring = field(default_factory=SilverMirroring)
    """Metal sheen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage(Phase):
    """What happened to a part of it. Probabilities are those of a damaged photo."""

    water_marks: WaterMarks = field(default_factory=WaterMarks)
    """Tide lines."""
    foxing: Foxing = field(default_factory=Foxing)
    """Rust spots."""
    stains: Stains = field(default_factory=Stains)
    """Patches."""
    cracks: Cracks = field(default_factory=Cracks)
    """Networks in the emulsion."""
    scratches: Scratches = field(default_factory=Scratches)
    """Strokes."""
    folds: Folds = field(default_factory=Folds)
    """Folds and creases."""
    tape: Tape = field(default_factory=Tape)
    """Adhesive tape."""
    holes: Holes = field(default_factory=Holes)
    """Losses within the picture."""
    tears: Tears = field(default_factory=Tears)
    """Tears from an edge."""
    missing_corners: MissingCorners = field(default_factory=MissingCorners)
    """Corners broken off."""
    dust: Dust = field(default_factory=Dust)
    """Specks."""
    hairs: Hairs = field(default_factory=Hairs)
    """Hairs and fibres."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scanning(Phase):
    """How it became a file."""

    uneven_light: UnevenLight = field(default_factory=UnevenLight)
    """Light from one side."""
    low_resolution: LowResolution = field(default_factory=LowResolution)
    """Too few pixels."""
    jpeg: Jpeg = field(default_factory=Jpeg)
    """Compression."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveRecipe:
    """Taken, aged, damaged, scanned: 26 operations in that order, most of them mild, each with its own severity."""

    name: ClassVar[str] = "archive"

    damaged: float = 0.65
    """Share of photos with damage of some kind."""
    severity: tuple[float, float] = (1.6, 1.8)
    """Parameters of the Beta distribution from which each operation's severity is drawn, 0 weakest, 1 strongest."""
    making: Making = field(default_factory=Making)
    """First."""
    ageing: Ageing = field(default_factory=Ageing)
    """Second."""
    damage: Damage = field(default_factory=Damage)
    """Third, in damaged photos."""
    scanning: Scanning = field(default_factory=Scanning)
    """Last."""

    def __post_init__(self) -> None:
        """Refuses a share outside [0, 1] and a Beta distribution that is none."""
        if not 0.0 <= self.damaged <= 1.0:
            raise ConfigError(f"ArchiveRecipe.damaged is {self.damaged}; give a share from 0 to 1")
        if len(self.severity) != 2 or not all(0.0 < value <= 1000.0 for value in self.severity):
            raise ConfigError(f"ArchiveRecipe.severity is {self.severity}; give two numbers above 0, at most 1000")
        if self.damaged > 0 and not any(operation.probability for operation in self.damage.operations()):
            raise ConfigError(
                f"ArchiveRecipe.damaged is {self.damaged}, but no damage has a probability; give one, or damaged=0"
            )

    def undamaged(self) -> ArchiveRecipe:
        """The same without damage: taken, aged and scanned."""
        return replace(self, damaged=0.0)

    def only_damage(self, *, scanned: bool = False) -> ArchiveRecipe:
        """Always damaged, neither taken nor aged; scanned only if asked."""
        return replace(
            self,
            damaged=1.0,
            making=self.making.never(),
            ageing=self.ageing.never(),
            scanning=self.scanning if scanned else self.scanning.never(),
        )

    def operations(self) -> tuple[Operation, ...]:
        """All operations in the order in which they happen."""
        phases = (self.making, self.ageing, self.damage, self.scanning)
        return tuple(operation for phase in phases for operation in phase.operations())

    def degrade(self, clean: Image, rng: np.random.Generator) -> Degraded:
        """Ages `clean_HWC`. The mask is what opaque damage visibly changed in the finished scan, and what it hides."""
        before = self._drawn((*self.making.operations(), *self.ageing.operations()), rng)
        damage = self._drawn(self.damage.operations(), rng, at_least_one=True)
        scanning = self._drawn(self.scanning.operations(), rng)
        is_damaged = rng.random() < self.damaged
        record: list[Record] = []
        image = clean
        for occurrence in before:
            image = occurrence.on(image, record).image
        whole, lost = image, np.zeros(clean.shape[:2], bool)  # `whole`: the same photograph with nothing lost
        for occurrence in damage if is_damaged else ():
            outcome = occurrence.on(image, record)
            lost = lost if outcome.lost is None else lost | outcome.lost
            image = outcome.image
            whole = np.where(lost[..., None], whole, image)
        for occurrence in scanning:
            image = occurrence.on(image, record).image
            whole = occurrence.on(whole, []).image if lost.any() else image
        visible = lost
        if lost.any():
            changed = change(whole, image)
            lost |= _nearby(lost) & (changed > LOST)
            visible = lost & stands_out(whole, changed)
        return Degraded(image, lost, visible, record)

    def _drawn(
        self, operations: Sequence[Operation], rng: np.random.Generator, *, at_least_one: bool = False
    ) -> list[_Occurrence]:
        """Those that happen to one photo. Each gets a seed of its own, so that none depends on another's draws."""
        count = len(operations)
        chances, severities = rng.random(count), rng.beta(*self.severity, count)
        seeds = rng.integers(2**63, size=count)
        often = np.array([operation.probability for operation in operations])
        happens = chances < often
        if at_least_one and not happens.any():
            happens[np.argmin(chances / np.maximum(often, 1e-9))] = True
        return [
            _Occurrence(operation, float(severity), int(seed))
            for operation, severity, seed, does in zip(operations, severities, seeds, happens, strict=True)
            if does
        ]


@dataclass(frozen=True, slots=True)
class _Occurrence:
    """An operation that happens to a photo, with all it takes to happen in the same way again."""

    operation: Operation
    severity: float
    seed: int

    def on(self, image: Image, record: list[Record]) -> Outcome:
        """The outcome; what was drawn is added to `record`."""
        outcome, drawn = self.operation.occur(image, np.random.default_rng(self.seed), self.severity)
        record.append(drawn)
        return outcome


def _nearby(mask: Mask) -> Mask:
    """HW bool: within reach of what enlarging and compressing smear."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((SMEAR, SMEAR), np.uint8)).astype(bool)
