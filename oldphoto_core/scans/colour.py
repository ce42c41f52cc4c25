"""The space in which networks see photos: sRGB, whatever the master's profile is, and the way back.

What goes back is the change, not the picture: derivative = master + back(restored) - back(shown), in the master's own
levels. So what the network leaves alone keeps the master's level, and colours outside sRGB, which are shown as the
nearest that each channel can hold, stay outside. Where there is damage nothing of the master is kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.scans.metadata.icc import CURVE_POINTS, Profile, read_profile
from oldphoto_core.scans.scan import Pixels, Scan, SpooledScan

_SRGB_TO_XYZ = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
"""Linear sRGB (IEC 61966-2-1) -> XYZ, adapted to D50 by Bradford's matrix, as profiles are."""
_NOTHING_TO_DO = 257
"""Levels of 16 bits, one level of 8: a profile that moves no colour further is that of sRGB."""
_AT_ONCE = 2**13
"""Pixels that are computed together: what lies between stays in the processor's cache, and each piece of it is too
small to be fetched from the kernel and given back, which costs ten times what is computed."""
_TOP = CURVE_POINTS - 1


class WorkingSpace:
    """Between the levels of one profile and those of sRGB: exact to a level of 16 bits inside sRGB's gamut."""

    def __init__(self, profile: Profile) -> None:
        srgb = _srgb_curve(np.linspace(0.0, 1.0, CURVE_POINTS))
        first, *others = profile.curves
        curves = profile.curves if any((curve != first).any() for curve in others) else (first,)
        self._to_light = [curve.astype(np.float32) for curve in curves]
        self._from_light = [_inverse(curve) for curve in curves]
        self._srgb_to_light, self._srgb_from_light = srgb.astype(np.float32), _inverse(srgb)
        self._forward: NDArray[np.float32] | None = None
        self._back: NDArray[np.float32] | None = None
        if profile.to_xyz is not None:
            forward = np.linalg.inv(_SRGB_TO_XYZ) @ profile.to_xyz
            self._forward, self._back = (m.astype(np.float32).T for m in (forward, np.linalg.inv(forward)))

    def shown(self, pixels: Pixels) -> NDArray[np.uint16]:
        """HWC uint8 or uint16 of the profile -> HWC uint16 of sRGB; colours outside are clipped by channel."""
        flat = pixels.reshape(-1, pixels.shape[2])
        result = np.empty(flat.shape, np.uint16)
        for part in _parts(len(flat)):
            levels = flat[part] if flat.dtype == np.uint16 else flat[part] * np.uint16(257)
            light = _looked_up(self._to_light, levels)
            result[part] = _encoded(light, self._forward, [self._srgb_from_light]) + np.float32(0.5)
        return result.reshape(pixels.shape)

    def brought_back(
        self, master: Pixels, shown: Pixels, restored: Pixels, damaged: NDArray[np.bool_] | None
    ) -> Pixels:
        """What the network made of `shown`, in the master's profile.

        Args:
            master: HWC uint8 or uint16.
            shown: What `shown` gives for it: HWC uint16.
            restored: What became of that: HWC uint16.
            damaged: HW, True where nothing of the master counts; None: nowhere.

        Returns:
            HWC of the master's dtype: the master's own level wherever `restored` is `shown` and nothing is damaged.
        """
        top = np.iinfo(master.dtype).max
        result = np.empty_like(master).reshape(-1, master.shape[2])
        old, seen, new = (pixels.reshape(result.shape) for pixels in (master, shown, restored))
        lost = None if damaged is None else damaged.reshape(-1, 1)
        for part in _parts(len(result)):
            made, base = self._in_profile(new[part]), old[part].astype(np.float32)
            if top != _TOP:
                base *= 257
            change = made - self._in_profile(seen[part])
            levels = base + change if lost is None else np.where(lost[part], made, base + change)
            result[part] = np.rint(levels * np.float32(top / _TOP)).clip(0, top)
        return result.reshape(master.shape)

    def _in_profile(self, pixels: NDArray[np.uint16]) -> NDArray[np.float32]:
        light = _looked_up([self._srgb_to_light], pixels)
        return _encoded(light, self._back, self._from_light)


def working_space(scan: Scan | SpooledScan) -> WorkingSpace | None:
    """What a scan's pixels must go through, to and from a network; None: they are sRGB, or have no profile.

    Raises:
        UnusableProfileError: nobody can say what its colours are, so they count as sRGB.
    """
    return _space_of(scan.icc_profile, scan.channels) if scan.icc_profile else None


@lru_cache(maxsize=4)
def _space_of(profile: bytes, channels: int) -> WorkingSpace | None:
    space = WorkingSpace(read_profile(profile, channels))
    steps = np.linspace(0, _TOP, 17).astype(np.uint16)
    probe = np.stack(np.meshgrid(*[steps] * channels), axis=-1).reshape(1, -1, channels)
    moved = np.abs(space.shown(probe).astype(np.int32) - probe).max()
    return space if moved > _NOTHING_TO_DO else None


def _srgb_curve(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    bent: NDArray[np.float64] = ((levels + 0.055) / 1.055) ** 2.4
    return np.where(levels <= 0.04045, levels / 12.92, bent)


def _inverse(curve: NDArray[np.float64]) -> NDArray[np.float32]:
    """Levels (0 to 65535) for the squares of CURVE_POINTS numbers from 0 to 1: dark tones lie close together."""
    roots = np.linspace(0.0, 1.0, CURVE_POINTS)
    return np.interp(roots**2, curve, np.arange(CURVE_POINTS)).astype(np.float32)


def _looked_up(tables: list[NDArray[np.float32]], places: NDArray[Any]) -> NDArray[np.float32]:
    """Of each channel in its own table, or of all in the only one."""
    if len(tables) == 1:
        return tables[0].take(places)
    return np.stack([table.take(places[:, channel]) for channel, table in enumerate(tables)], axis=1)


def _encoded(
    light: NDArray[np.float32], matrix: NDArray[np.float32] | None, tables: list[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Light -> levels, 0 to 65535, after the matrix."""
    if matrix is not None:
        light = light @ matrix
    roots = np.sqrt(light.clip(0.0, 1.0))
    return _looked_up(tables, (roots * _TOP + np.float32(0.5)).astype(np.uint16))


def _parts(count: int) -> list[slice]:
    return [slice(start, start + _AT_ONCE) for start in range(0, count, _AT_ONCE)]
