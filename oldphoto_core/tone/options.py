"""What a user may decide about colour, tone and grain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from oldphoto_core.errors import ConfigError

ColourChoice = Literal["auto", "monochrome", "colour"]
Tint = Literal["keep", "neutral"]

DEFAULT_TONE = 0.5
"""How much of the tone map is applied where nobody says."""
DEFAULT_DENOISE = 0.5
"""How much of a photo's noise counts as noise where nobody says: on held-out photos more gained next to nothing in
structure PSNR and cost fine texture (`benchmarks/denoise.py`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToneOptions:
    """How colour and tone of a photo are treated."""

    colour: ColourChoice = "auto"
    """Whether the photo is monochrome: judged from the photo itself, or stated."""

    tint: Tint = "keep"
    """What a monochrome photo is tinted with: its own tint, or nothing (R = G = B)."""

    tone: float | None = None
    """How much of the tone map that the model's tone network predicts is applied, from 0 to 1; None: `DEFAULT_TONE`.
    Models without such a network leave tone alone."""

    strength: float = 1.0
    """How much of the restoration is taken where nothing is damaged, from 0 to 1; the rest is the photo itself, with
    tone and tint applied."""

    denoise: float = DEFAULT_DENOISE
    """Share of the measured noise level that the network is given, from 0 to 1. A smaller one keeps fine texture, and
    grain with it. Networks without that input (`Triplet.sees_noise`) restore as they were trained."""

    own_tone: bool = False
    """Whether the low frequencies of what is restored are held to the photo's own, and not to a map of them: what is
    filled must fit to pixels that stay the master's."""

    def __post_init__(self) -> None:
        for name, allowed in (("colour", get_args(ColourChoice)), ("tint", get_args(Tint))):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}")

        if self.tone is not None and not 0 <= self.tone <= 1:
            raise ConfigError(f"tone is {self.tone}; give a number from 0 (left alone) to 1")
        if not 0 <= self.strength <= 1:
            raise ConfigError(f"strength is {self.strength}; give a number from 0 (the photo itself) to 1")
        if not 0 <= self.denoise <= 1:
            raise ConfigError(f"denoise is {self.denoise}; give a number from 0 (grain is kept) to 1")

    @property
    def tone_amount(self) -> float:
        """How much of a tone map is applied."""
        if self.own_tone:
            return 0.0
        return DEFAULT_TONE if self.tone is None else self.tone

    @property
    def is_asked(self) -> bool:
        """Whether anything about colour and tone is not the default: the published networks are treated like others
        only then."""
        rest = ToneOptions(own_tone=self.own_tone, tone=self.tone, strength=self.strength, denoise=self.denoise)
        return bool(self.tone) or self != rest
