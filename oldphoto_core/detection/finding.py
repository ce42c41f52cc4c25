"""What became of the search for damage in one photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oldphoto_core.detection.frame import Frame
    from oldphoto_core.detection.options import Sensitivity


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector says of its own mask."""

    sensitivity: Sensitivity
    frame: Frame | None
    """Inside of which damage was looked for; None: in the whole scan, or the frame is the whole scan."""
    marked: int
    """Pixels that count as damaged."""
    doubt: float
    """Mean over these of 1 less the detector's probability, 0 to 1; 0 where nothing is marked."""


def found_of(finding: Finding | None) -> dict[str, Any]:
    """The same as a record says it; empty where no detector says anything."""
    if finding is None:
        return {}
    return {"frame": finding.frame.box if finding.frame else None, "doubt": round(finding.doubt, 4)}
