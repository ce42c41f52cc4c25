"""What record and ledger say of a photo's colours and tones: what was decided, and how even they came out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from oldphoto_core.tone.measures import ToneMeasures

if TYPE_CHECKING:
    from oldphoto_core.tone import Colours

MUCH = 0.002
"""Share of a monochrome photo with colours of its own from which a warning says that they are lost."""


def decision_of(colours: Colours | None) -> dict[str, Any] | None:
    """What was decided, as a record says it; None: nothing was."""
    if colours is None:
        return None
    return {
        "restored_as": colours.kind,
        "asked": colours.options.colour,
        "residual": round(colours.residual, 4),
        "off_curve": round(colours.far, 6),
        "neutral": colours.is_neutral,
        "tint": colours.options.tint if colours.is_monochrome else None,
    }


def toning_of(colours: Colours | None) -> dict[str, Any]:
    """What became of the tone, as a record says it; empty: nothing was decided."""
    if colours is None:
        return {}
    asked, toning = colours.options.tone, colours.toning
    if toning is None:
        return {"network": False, "asked": asked, "amount": 0.0, "map": None}
    return {"network": True, "asked": asked, "amount": toning.amount, "map": toning.map.record()}


def tone_of(measures: ToneMeasures | None, toning: dict[str, Any]) -> dict[str, Any] | None:
    """How even the tones came out, as a record says it, and what `toning_of` says."""
    if measures is None:
        return None
    return {
        "chroma_residual_master": round(measures.chroma_before, 4),
        "chroma_residual": round(measures.chroma_after, 4),
        "blotch": round(measures.blotch, 4),
        **toning,
    }


def columns(decisions: list[dict[str, Any] | None], tones: list[dict[str, Any] | None]) -> dict[str, Any]:
    """Columns of a ledger row, from what records say of a photo or of all its pages: their kind, the worst numbers."""
    kinds = {one["restored_as"] for one in decisions if one is not None}
    found = [one for one in tones if one is not None]
    warned = dict.fromkeys(warning for one in found for warning in _measured(one).warnings)
    return {
        "colour": kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "",
        "colour_residual": max((one["residual"] for one in decisions if one is not None), default=math.nan),
        "chroma_residual": max((one["chroma_residual"] for one in found), default=math.nan),
        "blotch": max((one["blotch"] for one in found), default=math.nan),
        "tone_warning": "; ".join(warned),
    }


def colour_warnings(
    colour: dict[str, Any] | None, toning: dict[str, Any], measures: ToneMeasures | None
) -> tuple[str, ...]:
    """What people must know of a page's colours, from what was decided; nothing where the network's own are kept."""
    if colour is None:
        return ()
    lost: tuple[str, ...] = ()
    if colour["restored_as"] == "monochrome" and colour["off_curve"] > MUCH:
        lost = (
            f"restored as a monochrome photo: {colour['off_curve']:.1%} of it had other colours (a stamp, a target, a"
            " border, a stain), which are lost; --colour colour keeps them",
        )
    if toning.get("asked") and not toning["network"]:
        lost = (*lost, f"--tone {toning['asked']:g} changed nothing: the model has no tone network")
    return (*lost, *(measures.warnings if measures is not None else ()))


def _measured(tone: dict[str, Any]) -> ToneMeasures:
    return ToneMeasures(tone["chroma_residual_master"], tone["chroma_residual"], tone["blotch"])
