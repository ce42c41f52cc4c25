"""The recipe `archive`: how photographs of real collections came to look as they do, in the order in which they did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import cv2
import numpy as np

from oldphoto_core.degradation.archive.blending import LOST, change, stands_out
from oldphoto_core.degradation.archive.film_damage import FilmDamage
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
from oldphoto_core.degradation.recipe import Degraded, NamedSeeds
from oldphoto_core.degradation.unstructured import Image, Record
from oldphoto_core.errors import ConfigError

PHASES = ("making", "ageing", "damage", "scanning")
"""Fields of the recipe in the order in which they happen."""
SMEAR = 9
"""Width in pixels of the square over which scanning spreads a pixel noticeably: a JPEG block and its neighbour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """A part of a photograph's life: operations in the order in which they happen."""

    def operations(self) -> tuple[Operation, ...]:
        """In order."""
        return tuple(self.by_name().values())

    def by_name(self) -> dict[str, Operation]:
        """The same by the names of their fields."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def well_kept(self) -> Self:
        """The same phase of the life of a well kept photo."""
        less: dict[str, Any] = {name: each.well_kept() for name, each in self.by_name().items()}
        return replace(self, **less)

    def never(self) -> Self:
        """The same phase of a life in which none of it happens."""
        off: dict[str, Any] = {name: replace(each, probability=0.0) for name, each in self.by_name().items()}
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
    film_damage: FilmDamage = field(default_factory=FilmDamage)
    """Real shapes, where the user gives a library of outlines."""


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
    """Taken, aged, damaged, scanned: 27 operations in that order, most of them mild, each with its own severity."""

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

    def well_kept(self) -> ArchiveRecipe:
        """Photos as many in a collection are: faded as others, but little of their detail is lost."""
        return replace(self, making=self.making.well_kept(), scanning=self.scanning.well_kept())

    def operations(self) -> tuple[Operation, ...]:
        """All operations in the order in which they happen."""
        return tuple(operation for phase in PHASES for operation in getattr(self, phase).operations())

    def degrade(self, clean: Image, rng: np.random.Generator) -> Degraded:
        """Degrades `clean_HWC`. The mask is what opaque damage visibly changed in the scan, and what it hides."""
        seeds = NamedSeeds(rng)
        before = self._drawn("making", seeds) + self._drawn("ageing", seeds)
        damage = self._drawn("damage", seeds, at_least_one=True)
        scanning = self._drawn("scanning", seeds)
        is_damaged = seeds.rng("damaged").random() < self.damaged
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
        return Degraded(clean, _applied(before + scanning, clean), image, lost, visible, record)

    def toned(self, clean: Image, rng: np.random.Generator) -> Image:
        """`clean_HWC` with the tone operations of that life alone."""
        seeds = NamedSeeds(rng)
        return _applied([each for phase in PHASES for each in self._drawn(phase, seeds)], clean)

    def _drawn(self, phase: str, seeds: NamedSeeds, *, at_least_one: bool = False) -> list[_Occurrence]:
        """The operations of a phase that happen to one photo, in order; none depends on what another drew."""
        operations: dict[str, Operation] = getattr(self, phase).by_name()
        drawn = [self._occurrence(each, seeds.rng(phase, name)) for name, each in operations.items()]
        happening = [each for each in drawn if each.chance < each.operation.probability]
        if happening or not at_least_one:
            return happening
        possible = [each for each in drawn if each.operation.probability > 0]
        return [min(possible, key=lambda each: each.chance / each.operation.probability)] if possible else []

    def _occurrence(self, operation: Operation, rng: np.random.Generator) -> _Occurrence:
        return _Occurrence(operation, float(rng.random()), float(rng.beta(*self.severity)), int(rng.integers(2**63)))


@dataclass(frozen=True, slots=True)
class _Occurrence:
    """An operation that happens to a photo, with all it takes to happen in the same way again."""

    operation: Operation
    chance: float
    """From 0 to 1: it happens where this is below its probability."""
    severity: float
    seed: int

    def on(self, image: Image, record: list[Record]) -> Outcome:
        """The outcome; what was drawn is added to `record`."""
        outcome, drawn = self.operation.occur(image, np.random.default_rng(self.seed), self.severity)
        record.append(drawn)
        return outcome


def _applied(occurrences: Sequence[_Occurrence], clean: Image) -> Image:
    """`clean_HWC` with those of the occurrences that are tone."""
    for occurrence in occurrences:
        if occurrence.operation.is_tone:
            clean = occurrence.on(clean, []).image
    return clean


def _nearby(mask: Mask) -> Mask:
    """HW bool: within reach of what enlarging and compressing smear."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((SMEAR, SMEAR), np.uint8)).astype(bool)
