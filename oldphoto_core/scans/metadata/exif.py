"""EXIF blocks: kept byte for byte; only what the pixels need is read."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from oldphoto_core.scans.container_metadata import MM_PER_UNIT, Resolution, Unit
from oldphoto_core.scans.metadata.ifd import (
    EXIF_IFD,
    GPS_IFD,
    BrokenIfdError,
    Entry,
    Layout,
    as_exif,
    first_integer,
    next_ifd_position,
    read_ifd,
    shorts,
)

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 274, 282, 283, 296
_NAMES = {EXIF_IFD: "the directory of the exposure", GPS_IFD: "the GPS directory", ORIENTATION: "the orientation"}
_UNITS: dict[int, Unit] = {1: "none", 2: "in", 3: "cm"}


def entries_of(exif: bytes) -> dict[int, Entry]:
    """The first directory of an EXIF block; empty when it is broken."""
    try:
        return read_ifd(exif)
    except BrokenIfdError:
        return {}


def settle(metadata: MutableMapping[str, bytes]) -> tuple[str, ...]:
    """What is wrong with the EXIF block among what a file carries, for people; its orientation is corrected in place.

    The rest of it is kept as it is: other programs may make something of it, and maker notes depend on their place.
    """
    if not (exif := metadata.get("exif", b"")):
        return ()
    dropped: list[int] = []
    try:
        entries = read_ifd(exif, dropped=dropped)
    except BrokenIfdError:
        return ("its EXIF is cut or makes no sense, and was kept as it is",)
    names = dict.fromkeys(_NAMES.get(tag, f"tag {tag}") for tag in dropped)
    faults = [f"in its EXIF, {name} lies outside or makes no sense, and was kept as it is" for name in names]
    if ORIENTATION in entries and not 1 <= (value := first_integer(entries, ORIENTATION, 0)) <= 8:
        faults.append(f"its orientation is {value}, which does not exist: taken as 1")
        metadata["exif"] = as_exif({**entries, ORIENTATION: shorts(1)})
    return tuple(faults)


def without_thumbnail(exif: bytes) -> bytes:
    """The block with its second directory unlinked: it shows the photo as it was before restoration."""
    try:
        layout = Layout.of(exif)
        at = next_ifd_position(exif, layout, layout.first)
    except BrokenIfdError:
        return exif
    end = at + (8 if layout.big else 4)
    return exif[:at] + b"\0" * (end - at) + exif[end:] if end <= len(exif) else exif


def orientation_of(entries: Mapping[int, Entry]) -> int:
    """1 to 8; 1 when there is none, or none that makes sense."""
    value = first_integer(entries, ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def resolution_of(entries: Mapping[int, Entry]) -> Resolution | None:
    """The resolution that a TIFF or EXIF directory states."""
    x, y = (entries[tag].rational() if tag in entries else None for tag in (X_RESOLUTION, Y_RESOLUTION))
    if not x or not y:
        return None
    unit = _UNITS.get(first_integer(entries, RESOLUTION_UNIT, 2), "none")
    return Resolution(x / MM_PER_UNIT[unit], y / MM_PER_UNIT[unit], unit)


def with_orientation(exif: bytes | None, orientation: int) -> bytes | None:
    """A block that states this orientation; the same bytes when it does so already. None stays None for upright."""
    if exif is None and orientation == 1:
        return None
    if exif is not None and orientation_of(entries_of(exif)) == orientation:
        return exif
    return as_exif({**entries_of(exif or b""), ORIENTATION: shorts(orientation)})
