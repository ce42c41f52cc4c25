"""What a user may decide about the search for damage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from oldphoto_core.errors import ConfigError

Sensitivity = Literal["low", "normal", "high"]
FrameChoice = Literal["auto", "off"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionOptions:
    """How a detector's probabilities become a mask."""

    sensitivity: Sensitivity = "normal"
    """How readily a pixel counts as damaged: `low` marks only what cannot well be content, `high` also faint damage."""

    frame: FrameChoice = "auto"
    """Whether the picture's frame is looked for, outside of which nothing counts as damaged: a mount, the scanner's
    bed. `off`: the whole scan is searched."""

    def __post_init__(self) -> None:
        for name, allowed in (("sensitivity", get_args(Sensitivity)), ("frame", get_args(FrameChoice))):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}")
