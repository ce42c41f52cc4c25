"""Kinds of pixels beyond grey and RGB of 8 and 16 bits, made into these: CMYK into sRGB, float into 16 bits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyvips

from oldphoto_core.errors import UnsupportedScan
from oldphoto_core.scans.carried import Carried
from oldphoto_core.scans.vips import slabs_of

Kind = Literal["CMYK", "float"]

_FLOAT_KINDS = ("b-w", "grey16", "scrgb", "srgb", "rgb16", "rgb")


def kind_of(image: Any) -> Kind | None:
    """What the pixels of an image, as its file was opened, must be converted from; None: read as it is, or refused."""
    if image.interpretation == "cmyk" and image.bands == 4 and image.format in ("uchar", "ushort"):
        return "CMYK"
    if image.format == "float" and image.interpretation in _FLOAT_KINDS and _colours(image) in (1, 3):
        return "float"
    return None


def as_grey_or_rgb(image: Any) -> Any:
    """The image itself or, of a kind above, one of grey or RGB of 8 or 16 bits, computed as its pixels are fetched."""
    kind = kind_of(image)
    if kind == "CMYK":
        # without a profile of its own, or with one that is not for CMYK, by the generic one of libvips
        return image.icc_transform(
            "srgb",
            embedded=True,
            input_profile="cmyk",
            intent="relative",
            black_point_compensation=True,
            depth=16 if image.format == "ushort" else 8,
        )
    if kind == "float":
        levels = (image * 65_535).rint().cast("ushort")
        return levels.copy(interpretation="grey16" if _colours(image) == 1 else "rgb16")
    return image


def check_values(image: Any) -> None:
    """Raises UnsupportedScan when a float image has values that are not from 0 to 1; reads all of its pixels."""
    least, most = np.inf, -np.inf
    for _, rows in slabs_of(image):
        # of one that is no number both are none
        least, most = np.minimum(least, rows.min()), np.maximum(most, rows.max())
    if not (least >= 0 and most <= 1):
        raise UnsupportedScan(
            f"a float TIFF with values from {least:.6g} to {most:.6g}: scale them to 0 to 1, or save it with 16 bits"
        )


def carried_by(carried: Carried, kind: Kind | None) -> Carried:
    """What goes along with pixels that were of this kind: those of CMYK are sRGB now, and say so."""
    if kind != "CMYK":
        return replace(carried, converted=kind)
    return replace(carried, converted=kind, icc_profile=bytes(pyvips.Operation.call("profile_load", "srgb")))


def _colours(image: Any) -> int:
    return int(image.bands - image.hasalpha())
