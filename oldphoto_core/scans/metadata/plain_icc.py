"""A master's ICC profile written anew from the numbers that were read of it.

Whoever shows pictures in its colours hands a profile to littlecms, in this process. The master's own may be made to
break that; this one holds nothing but three primaries and three tables of ours.
"""

from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.scans.metadata.icc import CURVE_POINTS, Profile, UnusableProfileError, read_profile
from oldphoto_core.scans.scan import Scan, SpooledScan

_POINTS = 4096
"""Of a curve in it: more than levels of 8 bits need."""
_D50 = (0.9642, 1.0, 0.8249)


def plain_profile(scan: Scan | SpooledScan) -> bytes | None:
    """A profile of the scan's colours; None where it has none, is grey, or its profile is not applied (`icc`)."""
    return _written_anew(scan.icc_profile) if scan.icc_profile and not scan.is_grey else None


@lru_cache(maxsize=4)
def _written_anew(data: bytes) -> bytes | None:
    try:
        return _encoded(read_profile(data, 3))
    except UnusableProfileError:
        return None


def _encoded(profile: Profile) -> bytes:
    assert profile.to_xyz is not None
    three = [profile.curves[min(channel, len(profile.curves) - 1)] for channel in range(3)]
    tags = {f"{name}XYZ".encode(): _xyz(tuple(profile.to_xyz[:, at])) for at, name in enumerate("rgb")}
    tags |= {f"{name}TRC".encode(): _curve(curve) for name, curve in zip("rgb", three, strict=True)}
    tags[b"wtpt"] = _xyz(_D50)
    start = 128 + 4 + 12 * len(tags)
    table, body = b"", b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    head = struct.pack(">IIIII", start + len(body), 0, 0x02400000, 0x6D6E7472, 0x52474220) + b"XYZ " + bytes(12)
    head += b"acsp" + bytes(28) + _numbers(_D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + _numbers(values)


def _numbers(values: tuple[float, ...]) -> bytes:
    return struct.pack(">3i", *(round(float(value) * 65_536) for value in values))


def _curve(light: NDArray[np.float64]) -> bytes:
    places = np.linspace(0, CURVE_POINTS - 1, _POINTS)
    values = np.rint(np.interp(places, np.arange(CURVE_POINTS), light) * 65_535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", _POINTS) + values.tobytes()
