"""`Writer`: how the files of one format are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oldphoto_core.scans.container_metadata import ContainerMetadata, Encoding
    from oldphoto_core.scans.scan import Scan, SpooledScan
    from oldphoto_core.scans.views import Data

LOSSLESS = 0
"""Stands for a quality where there is none."""

Metadata = Mapping[str, bytes]
"""As `ContainerMetadata.metadata`."""


def _lossless(_encoding: Encoding) -> int:
    return LOSSLESS


def _unchanged(metadata: Metadata, _warn: Callable[[str], None]) -> Metadata:
    return metadata


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """How the files of one format are written: pixels by libvips, then the container metadata byte for byte."""

    saver: str
    """libvips' name of its saver."""
    options: Callable[[Scan | SpooledScan, Any, int], dict[str, Any]]
    """Options of the saver for a scan, the pyvips image of its file and a quality."""
    insert: Callable[[Data, Scan | SpooledScan], Iterator[bytes]]
    """The encoder's file with the container metadata of a scan, in pieces."""
    insert_in_place: Callable[[str, ContainerMetadata], None] | None = None
    """The same to a file at a path, without moving its pixels."""
    quality: Callable[[Encoding], int] = _lossless
    """1 to 100 for a scan that was encoded so, or LOSSLESS."""
    fitted: Callable[[Metadata, Callable[[str], None]], Metadata] = _unchanged
    """The metadata so that the format can hold each piece; warns of what does not fit."""
    holds_16_bits: bool = True
    """Whether a channel may have 16 bits; else they are rounded to 8."""
    holds_alpha: bool = True
    """Whether there may be transparency."""
    holds_unspecified: bool = False
    """Whether a channel beside the colours may be something else than alpha."""
    holds_pyramid: bool = False
    """Whether smaller copies of the picture can be kept."""
    mask_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the saver for masks of damage; empty: they are not written in this format."""
