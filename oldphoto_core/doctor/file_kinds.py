"""Which files can be read and written here: one of each kind is made in memory, read, written and read again.

They are read in a decoder process, as a run's are: a decoder that crashes is a finding, and not the doctor's end.
"""

from __future__ import annotations

import base64
import importlib.util
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oldphoto_core.doctor.finding import Finding
from oldphoto_core.scans import Decoders, Scan, write_scan
from oldphoto_core.scans.isolation.confinement import Confinement

_HEIC = (
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ACJpbG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAACwAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt"
    "AAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNs"
    "eAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAEAAAAAEAAAAQAAAAAf///9AAAAAC////0AAAAAIAAAAQcGl4"
    "aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAANG1kYXQAAAAoKAGvGSEyku4iXV+0M2PeC6/oE6C8Zue/3BvbiuLq"
    "oLMioxmQsg8S4Q=="
)
"""16 x 16 pixels, in base64: nothing that is always there makes such a file."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file, and how a small one is made."""

    name: str
    encode: Callable[[], bytes]
    exact: bool = True
    """Whether the pixels come back as they were."""
    written: bool = True
    """Whether derivatives of this format are made."""
    big: bool = False
    """Whether they are written as BigTIFF."""
    wants: str = ""
    """Module that is not always there, and the extra of oldphoto that brings it, as "module extra"."""


def formats() -> Iterator[Finding]:
    """One finding for each kind of file, and two for the processes that read them."""
    with Decoders(1) as decoders:
        yield from _of_kinds(decoders)
        # none, where none could be started
        if decoders.processes:
            yield Finding("formats", "decoder processes", "ok", "a file that crashes its decoder costs one photo")
            if decoders.confinement is not None:
                yield _confinement(decoders.confinement)
        else:
            text = "none can be started: a file that crashes its decoder would end the run"
            yield Finding("formats", "decoder processes", "note", text)


def _confinement(found: Confinement) -> Finding:
    """What this machine holds a decoder to that a file has taken over."""
    held = [
        (found.calls, "no network, programs or changes to files (seccomp)"),
        (found.landlock > 0, f"nothing read but libraries and what it is given (Landlock {found.landlock})"),
    ]
    holds, lacks = ("; ".join(what for there, what in held if there is wanted) for wanted in (True, False))
    if not lacks:
        return Finding("formats", "decoder rights", "ok", holds)
    lacks = lacks.replace("Landlock 0", "Landlock")
    text = f"{holds or 'none is given up'}; this system cannot enforce: {lacks}"
    return Finding("formats", "decoder rights", "note", text)


def _of_kinds(decoders: Decoders) -> Iterator[Finding]:
    for kind in KINDS:
        module, _, extra = kind.wants.partition(" ")
        if module and importlib.util.find_spec(module) is None:
            yield Finding("formats", kind.name, "note", f"not read here: pip install 'oldphoto[{extra}]'")
            continue
        try:
            done = _tried(kind, decoders)
        except Exception as error:  # whatever a broken build of a decoder answers is what is asked for here
            problem = " ".join(str(error).split()) or type(error).__name__
            yield Finding("formats", kind.name, "bad", f"{problem}; install pyvips-binary, opencv and pillow again")
        else:
            yield Finding("formats", kind.name, "ok", done)


def _tried(kind: Kind, decoders: Decoders) -> str:
    scan = decoders.read_scan(kind.encode())
    if not kind.written:
        return "read; converted into sRGB" if kind.name.endswith("CMYK") else "read; derivatives are TIFF"
    back = decoders.read_scan(written(kind, scan))
    if back.pixels.shape != scan.pixels.shape or back.pixels.dtype != scan.pixels.dtype:
        raise ValueError(f"written as {scan.pixels.shape}, read as {back.pixels.shape}")
    if kind.exact and not np.array_equal(back.pixels, scan.pixels):
        raise ValueError("other pixels come back than were written")
    return "read and written"


def written(kind: Kind, scan: Scan) -> bytes:
    """A file of this kind as derivatives are written."""
    if kind.big:
        scan = replace(scan, encoding=replace(scan.encoding, bigtiff=True))
    return write_scan(scan, scan.pixels)


def _picture(depth: type[np.uint8] | type[np.uint16], channels: int = 3) -> NDArray[np.uint8 | np.uint16]:
    most = np.iinfo(depth).max
    ramp = np.linspace(0, most, 96 * 64 * channels).reshape(64, 96, channels)
    return ramp.astype(depth)


def _encoded(extension: str, depth: type[np.uint8] | type[np.uint16] = np.uint8, channels: int = 3) -> bytes:
    done, data = cv2.imencode(extension, _picture(depth, channels))
    if not done:
        raise ValueError(f"OpenCV makes no {extension}")
    return bytes(data)


def _cmyk() -> bytes:
    buffer = io.BytesIO()
    Image.new("CMYK", (32, 24), (10, 20, 30, 40)).save(buffer, "JPEG")
    return buffer.getvalue()


def _avif() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_picture(np.uint8)).save(buffer, "AVIF")
    return buffer.getvalue()


KINDS: tuple[Kind, ...] = (
    Kind("TIFF, 8 bits", lambda: _encoded(".tif")),
    Kind("TIFF, 16 bits", lambda: _encoded(".tif", np.uint16)),
    Kind("TIFF, grey", lambda: _encoded(".tif", channels=1)),
    Kind("BigTIFF", lambda: _encoded(".tif"), big=True),
    Kind("PNG, 8 bits", lambda: _encoded(".png")),
    Kind("PNG, 16 bits", lambda: _encoded(".png", np.uint16)),
    Kind("JPEG", lambda: _encoded(".jpg"), exact=False),
    Kind("JPEG, CMYK", _cmyk, exact=False, written=False),
    Kind("WebP", lambda: _encoded(".webp"), exact=False),
    Kind("JPEG 2000, 8 bits", lambda: _encoded(".jp2"), written=False),
    Kind("JPEG 2000, 16 bits", lambda: _encoded(".jp2", np.uint16), written=False),
    Kind("AVIF", _avif, written=False),
    Kind("HEIC", lambda: base64.b64decode(_HEIC), written=False, wants="pi_heif heif"),
)
