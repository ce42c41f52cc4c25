"""What an answer of a decoder must be: of a kind that was asked for, and pixels within their bounds."""

from __future__ import annotations

from typing import Any

from oldphoto_core.scans.formats import FORMATS
from oldphoto_core.scans.header_probe import HeaderProbe
from oldphoto_core.scans.headers import DEFAULT_MAX_PIXELS
from oldphoto_core.scans.isolation.memory import Plane
from oldphoto_core.scans.isolation.messages import Headers, Missing, Reply, Request
from oldphoto_core.scans.isolation.wire import BadMessage
from oldphoto_core.scans.scan import ScanHeader
from oldphoto_core.scans.technical_metadata import TechnicalMetadata

BYTES_PER_PIXEL = 8
"""Bytes that a decoded pixel takes at most: four channels of 16 bits."""
_DTYPES = ("|u1", "<u2")


def check_planes(pixels: Plane, alpha: Plane | None, max_pixels: int | None) -> None:
    """Raises BadMessage for planes that are none of a photo, or have more pixels than the bound."""
    most = DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels
    fits = len(pixels.shape) == 3 and min(pixels.shape) > 0 and pixels.shape[2] in (1, 3)
    fits = fits and pixels.dtype in _DTYPES and pixels.shape[0] * pixels.shape[1] <= most
    if fits and alpha is not None:
        fits = alpha.dtype == pixels.dtype and alpha.shape in (pixels.shape[:2], (*pixels.shape[:2], 1))
    if not fits:
        raise BadMessage(f"pixels of {pixels.shape} {pixels.dtype}, alpha of {alpha and alpha.shape}: none of a photo")


def check_answer(request: Request, answer: Any) -> None:
    """Raises BadMessage for an answer to something else."""
    if isinstance(answer, Exception):
        return
    if isinstance(answer, _ANSWERS[request.what]) and _is_plausible(answer) and _has_facts(answer) == request.facts:
        return
    raise BadMessage(f"{type(answer).__name__} to {request.what!r}")


_ANSWERS: dict[str, tuple[type, ...]] = {
    "header": (ScanHeader,),
    "pages": (Headers,),
    "probe": (HeaderProbe, Missing),
    "facts": (TechnicalMetadata,),
    "scan": (Reply,),
    "spool": (Reply,),
}


def _has_facts(answer: Any) -> bool:
    """Whether facts come with pixels."""
    return isinstance(answer, Reply) and answer.facts is not None


def _is_plausible(answer: Any) -> bool:
    if isinstance(answer, Missing):
        return True
    if isinstance(answer, Reply):
        return answer.format in FORMATS and (answer.facts is None or _is_plausible_header(answer.facts))
    headers = answer.pages if isinstance(answer, (Headers, HeaderProbe)) else (answer,)
    return bool(headers) and all(map(_is_plausible_header, headers))


def _is_plausible_header(header: ScanHeader | TechnicalMetadata) -> bool:
    return header.format in FORMATS and 0 < header.width < 2**31 and 0 < header.height < 2**31
