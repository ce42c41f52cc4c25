"""ICC profiles of matrices and curves, read into numbers (ICC.1:2022, sections 7, 8.3, 8.4, 10.6 and 10.18).

For 16-bit pixels libvips' littlecms evaluates profiles from a grid that is too coarse for dark and saturated colours,
and Pillow's knows 8 bits of RGB only; matrices and curves are simple enough to be exact.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.errors import ScanError

CURVE_POINTS = 65_536
"""At which a curve is evaluated: every level of 16 bits."""
_HEADER, _MOST_TAGS = 128, 200
_COLOURANTS, _CURVES = (b"rXYZ", b"gXYZ", b"bXYZ"), (b"rTRC", b"gTRC", b"bTRC")
_PARAMETERS = (1, 3, 4, 5, 7)
"""Of a parametric curve, by its type."""


class UnusableProfileError(ScanError):
    """The profile cannot be applied; says why, as the end of a sentence about it. No photo fails of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """From levels of a picture to light."""

    curves: tuple[NDArray[np.float64], ...]
    """Of each channel: light, 0 to 1, for CURVE_POINTS levels; never falls."""
    to_xyz: NDArray[np.float64] | None
    """3x3, linear RGB -> XYZ of D50; None for grey."""


def read_profile(data: bytes, channels: int) -> Profile:
    """Reads the profile of a picture of 1 (grey) or 3 (RGB) channels.

    Raises:
        UnusableProfileError: garbage, a profile for other channels, or one that has tables in place of a matrix.
    """
    try:
        tags = _tags(data)
        space, wanted = data[16:20], {1: b"GRAY", 3: b"RGB "}[channels]
        if space != wanted:
            names = [name.decode("ascii", "replace").strip() for name in (space, wanted)]
            raise UnusableProfileError(f"is for {names[0]}, and its pixels are {names[1]}")
        if data[20:24] != b"XYZ " or not {*(_CURVES if channels == 3 else (b"kTRC",))} <= tags.keys():
            raise UnusableProfileError("is made of tables instead of a matrix and curves")
        if channels == 1:
            return Profile((_curve(tags[b"kTRC"]),), None)
        to_xyz = np.array([struct.unpack(">3i", tags[name][8:20]) for name in _COLOURANTS]).T / 65_536
        if abs(np.linalg.det(to_xyz)) < 1e-4:
            raise UnusableProfileError("has primaries that span no space")
        return Profile(tuple(_curve(tags[name]) for name in _CURVES), to_xyz)
    except (struct.error, KeyError) as error:
        raise UnusableProfileError("is damaged") from error


def _tags(data: bytes) -> Mapping[bytes, bytes]:
    if data[36:40] != b"acsp":
        raise UnusableProfileError("is no ICC profile")
    count = struct.unpack_from(">I", data, _HEADER)[0]
    if count > _MOST_TAGS:
        raise UnusableProfileError("is damaged")
    places = (struct.unpack_from(">4sII", data, _HEADER + 4 + 12 * index) for index in range(count))
    return {name: data[at : at + size] for name, at, size in places}


def _curve(tag: bytes) -> NDArray[np.float64]:
    levels = np.linspace(0.0, 1.0, CURVE_POINTS)
    with np.errstate(all="ignore"):
        light = _function(tag)(levels)
    # of what is no number both comparisons are false
    if not (light[-1] > light[0] and (np.diff(light) >= 0).all()):
        raise UnusableProfileError("has a curve that does not rise")
    clipped: NDArray[np.float64] = light.clip(0.0, 1.0)
    return clipped


def _function(tag: bytes) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    if tag[:4] == b"curv":
        count = struct.unpack_from(">I", tag, 8)[0]
        if count == 0:
            return lambda x: x
        if count == 1:
            exponent = struct.unpack_from(">H", tag, 12)[0] / 256
            return lambda x: x**exponent
        values = np.array(struct.unpack_from(f">{count}H", tag, 12)) / 65_535
        return lambda x: np.interp(x, np.linspace(0.0, 1.0, count), values)
    if tag[:4] == b"para" and (kind := struct.unpack_from(">H", tag, 8)[0]) < len(_PARAMETERS):
        numbers = [number / 65_536 for number in struct.unpack_from(f">{_PARAMETERS[kind]}i", tag, 12)]
        return _parametric(kind, numbers)
    raise UnusableProfileError("has a curve of a kind that is not known")


def _parametric(kind: int, numbers: list[float]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Table 70 of ICC.1:2022: (ax + b)^g + e from d on, cx + f below; what a type does not name is 0, or 1 for a."""
    g, a, b, c, d, e, f = (*numbers, *[0.0] * (7 - len(numbers)))
    if kind == 0:
        return lambda x: x**g
    if kind in (1, 2):
        # type 2 adds its c everywhere
        c, d, e, f = 0.0, -b / a if a else 0.0, c, c
    return lambda x: np.where(x >= d, np.maximum(a * x + b, 0.0) ** g + e, c * x + f)
