"""JPEGs given to libvips: decoded so that damage inside the picture is an error, and stray bytes are a remark."""

from __future__ import annotations

import re
from typing import Any

from oldphoto_core.errors import ScanError
from oldphoto_core.scans.formats.reading import Take
from oldphoto_core.scans.views import Data
from oldphoto_core.scans.vips import open_image

_JPEG = "vipsjpeg"
"""What the JPEG decoder's own messages hold."""
_HARMLESS = re.compile(r"extraneous bytes before marker 0x(?!d[0-7])")
"""Stray bytes behind the pixels of a scan. Before a restart marker they show that the pixels before it are garbled."""


def decode(data: Data, image: Any, take: Take) -> tuple[Any, tuple[str, ...]]:
    """What `take` makes of an image, and what its decoder said that is no damage, for people."""
    try:
        # of damage inside the picture libjpeg only warns, and goes on with grey
        return take(open_image(data, "jpeg", strict=True)), ()
    except ScanError as error:
        if not _is_harmless(str(error)):
            raise
    return take(image), ("there are stray bytes behind the pixels of a scan",)


def _is_harmless(message: str) -> bool:
    # libvips has one list of messages for all images and threads: a line of another photo excuses nothing in this one
    lines = [line for line in message.lower().split("; ") if _JPEG in line]
    return bool(lines) and all(_HARMLESS.search(line) for line in lines)
