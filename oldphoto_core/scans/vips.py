"""The seam to libvips: its calls go through here, and its errors leave as ScanErrors."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import pyvips

from oldphoto_core.errors import ScanError, ScanTooLarge, TruncatedScan, UnreadableScan, UnsupportedScan
from oldphoto_core.scans.scan import Format

# libvips remembers its last operations, and with them whole scans: in a batch nothing is ever asked twice
pyvips.cache_set_max(0)
logging.getLogger("pyvips").setLevel(logging.ERROR)

_CUT_SHORT = (
    "premature end",
    "truncated",
    "unexpected end",
    "end of file",
    "end-of-file",
    "not enough data",
    "short read",
)
_NOT_BUILT_IN = ("not configured", "not implemented", "unsupported")


def open_image(data: bytes, format: Format, *, strict: bool = False) -> Any:  # noqa: A002
    """A pyvips image whose header has been read and whose pixels have not. `strict` fails on warnings, too."""
    load = getattr(pyvips.Image, f"{format}load_buffer")
    with translated("read"):
        return load(data, fail_on="warning" if strict else "error", access="sequential")


@contextlib.contextmanager
def translated(done: str) -> Iterator[None]:
    """Raises what goes wrong inside as a ScanError.

    Pillow and the parsers of this room answer damaged files with errors of half a dozen kinds: all of them mean that
    the file is not what it says.
    """
    try:
        yield
    except ScanError:
        raise
    except MemoryError as error:
        raise ScanTooLarge("the machine has not enough memory for this scan: lower the bound on megapixels") from error
    except Exception as error:
        message = _one_line(error)
        if "out of memory" in message.lower():
            raise ScanTooLarge(f"cannot be {done}: {message}: lower the bound on megapixels") from error
        if any(phrase in message.lower() for phrase in _NOT_BUILT_IN):
            raise UnsupportedScan(f"cannot be {done}: {message}: save it again with another compression") from error
        kind = TruncatedScan if any(phrase in message.lower() for phrase in _CUT_SHORT) else UnreadableScan
        way_out = ": open it in another program, or copy it again" if done != "written" else ""
        raise kind(f"cannot be {done}: {message}{way_out}") from error


def _one_line(error: Exception) -> str:
    text = error.detail if isinstance(error, pyvips.Error) and error.detail else str(error)
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return "; ".join(dict.fromkeys(lines)) or type(error).__name__
