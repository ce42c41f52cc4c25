"""ICC profiles that the tests make from published numbers."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import pyvips

D50 = (0.9642, 1.0, 0.8249)
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
PROPHOTO = ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249))
"""XYZ of red, green and blue, adapted to D50."""
SRGB_PARAMETERS = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def gamma(exponent: float) -> bytes:
    """A `curv` tag of one number, which profiles round to 1/256."""
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256)) + b"\0\0"


def table(values: Sequence[float] | np.ndarray) -> bytes:
    """A `curv` tag of values from 0 to 1; of none it is the identity."""
    levels = np.rint(np.asarray(values) * 65535).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", len(levels) // 2) + levels


def parametric(kind: int, *numbers: float) -> bytes:
    """A `para` tag."""
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + _fixed(*numbers)


def rgb_profile(colourants: Sequence[Sequence[float]], *curves: bytes) -> bytes:
    """For RGB; one curve serves all channels."""
    names = zip((b"rXYZ", b"gXYZ", b"bXYZ"), colourants, strict=True)
    tags = {name: b"XYZ \0\0\0\0" + _fixed(*numbers) for name, numbers in names}
    three = curves if len(curves) == 3 else curves * 3
    return _profile(b"RGB ", tags | dict(zip((b"rTRC", b"gTRC", b"bTRC"), three, strict=True)))


def grey_profile(curve: bytes) -> bytes:
    """For grey."""
    return _profile(b"GRAY", {b"kTRC": curve})


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(79)
    tags = {b"desc": name, b"wtpt": b"XYZ \0\0\0\0" + _fixed(*D50), b"cprt": b"text\0\0\0\0none\0", **tags}
    entries, body, start = b"", b"", 132 + 12 * len(tags)
    for tag, value in tags.items():
        entries += tag + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">IIII4s4s12s4s", start + len(body), 0, 0x02400000, 0x6D6E7472, space, b"XYZ ", b"", b"acsp")
    return head.ljust(68, b"\0") + _fixed(*D50) + bytes(48) + struct.pack(">I", len(tags)) + entries + body


def _fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(number * 65_536) for number in numbers))


ADOBE_RGB = rgb_profile(ADOBE, gamma(563 / 256))
PROPHOTO_RGB = rgb_profile(PROPHOTO, gamma(1.8))
GREY_GAMMA = grey_profile(gamma(2.2))
LIBVIPS_SRGB = bytes(pyvips.Operation.call("profile_load", "srgb"))
LIBVIPS_CMYK = bytes(pyvips.Operation.call("profile_load", "cmyk"))
