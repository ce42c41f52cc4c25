"""Kinds of pixels that are not grey or RGB of 8 or 16 bits, made so: CMYK and CIELab into sRGB, float into 16 bits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyvips

from oldphoto_core.errors import UnsupportedScan
from oldphoto_core.scans.container_metadata import ContainerMetadata
from oldphoto_core.scans.vips import slabs_of

Kind = Literal["CMYK", "CIELab", "float"]

_FLOAT_KINDS = ("b-w", "grey16", "scrgb", "srgb", "rgb16", "rgb")


def kind_of(image: Any) -> Kind | None:
    """What the pixels of an image, as its file was opened, must be converted from; None: read as it is, or refused."""
    if image.interpretation == "cmyk" and image.bands in (4, 5) and image.format in ("uchar", "ushort"):
        return "CMYK"
    if (image.interpretation, image.format, image.bands) in (("lab", "uchar", 3), ("labs", "short", 3)):
        return "CIELab"
    if image.format == "float" and image.interpretation in _FLOAT_KINDS and _colours(image) in (1, 3):
        return "float"
    return None


def as_grey_or_rgb(image: Any) -> Any:
    """The image itself or, of a kind above, one of grey or RGB of 8 or 16 bits, computed as its pixels are fetched."""
    kind = kind_of(image)
    if kind == "CMYK":
        # without a profile of its own, or with one that is not for CMYK, by the generic one of libvips
        inks = image if image.bands == 4 else image.extract_band(0, n=4)
        colours = inks.icc_transform(
            "srgb",
            embedded=True,
            input_profile="cmyk",
            intent="relative",
            black_point_compensation=True,
            depth=16 if image.format == "ushort" else 8,
        )
        return colours if image.bands == 4 else colours.bandjoin(image[4])
    if kind == "CIELab":
        wide = image.format == "short"
        # of D50, as in profiles
        lab = image.colourspace("lab") if wide else _signed(image)
        how = {"output_profile": "srgb", "intent": "relative", "black_point_compensation": True}
        return lab.icc_export(pcs="lab", depth=16 if wide else 8, **how)
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


def container_of(container: ContainerMetadata, kind: Kind | None) -> ContainerMetadata:
    """What goes along with pixels that were of this kind: those of CMYK and CIELab are sRGB now, and say so."""
    if kind not in ("CMYK", "CIELab"):
        return replace(container, converted=kind)
    return replace(container, converted=kind, icc_profile=bytes(pyvips.Operation.call("profile_load", "srgb")))


def _signed(image: Any) -> Any:
    """8-bit CIELab as a TIFF stores it -> float CIELab."""
    light = image[0] * (100 / 255)
    return light.bandjoin([image[1].copy(format="char"), image[2].copy(format="char")]).copy(interpretation="lab")


def _colours(image: Any) -> int:
    return int(image.bands - image.hasalpha())
