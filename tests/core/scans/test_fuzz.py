"""Mutated files of every kind through the decoders: each is read or refused, and nothing else ever happens.

They are read in decoder processes, so that a crash or a hang is an error like any other, and Hypothesis can shrink it.
A small number runs with the suite; `make fuzz` sets OLDPHOTO_FUZZ to a large one and starts anywhere.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scan_kinds import KINDS

from oldphoto_core.errors import CrashesDecoder, ScanError, TimedOut
from oldphoto_core.scans import Decoders, Scan, read_scan, write_scan

INPUTS = int(os.environ.get("OLDPHOTO_FUZZ", "0"))
NUMBERS = count(1)
SECONDS = 60.0
"""A file of a few kilobytes that takes longer hangs; beside other work a process may wait for seconds."""

ODD = [0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]
MUTATIONS = ("bit", "byte", "number", "cut", "drop", "double", "move", "splice", "zeros")


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real file with a few mutations, half of them among its first bytes, where headers and directories stand."""
    data = bytearray(KINDS[draw(st.sampled_from(sorted(KINDS)))])
    for how in draw(st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=6)):
        near = draw(st.booleans())
        at = draw(st.integers(0, max(0, min(len(data), 300) if near else len(data))))
        length = draw(st.integers(1, 64))
        if how == "bit" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "byte" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif how == "number":
            code = draw(st.sampled_from((">H", "<H", ">I", "<I", "<Q")))
            number = draw(st.sampled_from(ODD)) & (2 ** (8 * struct.calcsize(code)) - 1)
            data[at : at + struct.calcsize(code)] = struct.pack(code, number)
        elif how == "cut":
            del data[at:]
        elif how == "drop":
            del data[at : at + length]
        elif how == "double":
            data[at:at] = data[at : at + length]
        elif how == "move":
            piece = data[at : at + length]
            del data[at : at + length]
            to = draw(st.integers(0, len(data)))
            data[to:to] = piece
        elif how == "splice":
            other = KINDS[draw(st.sampled_from(sorted(KINDS)))]
            begin = draw(st.integers(0, len(other)))
            data[at : at + length] = other[begin : begin + length]
        elif how == "zeros":
            data[at : at + length] = bytes(length)
    return bytes(data)


def with_sides(width: int, height: int) -> bytes:
    """A JPEG 2000 whose codestream states these sides."""
    data = KINDS["bare jpeg2000"]
    return data[:8] + struct.pack(">II", width, height) + data[16:]


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with Decoders(1) as decoders:
        yield decoders


@settings(
    max_examples=INPUTS or 400,
    derandomize=not INPUTS,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
@example(data=b"")
@example(data=with_sides(2**32 - 1, 64))
@example(data=with_sides(2**31 - 1, 2**31 - 1))
@given(data=mutated())
def test_a_mutated_file_is_read_or_refused(decoders: Decoders, tmp_path: Path, data: bytes) -> None:
    if INPUTS and (number := next(NUMBERS)) % 1000 == 0:
        sys.stderr.write(f"{number:,} inputs\n")
    try:
        header = decoders.read_header(data, seconds=SECONDS)
    except (CrashesDecoder, TimedOut):
        raise
    except ScanError:
        header = None
    try:
        scan = decoders.read_scan(data, max_pixels=1_000_000, seconds=SECONDS)
    except (CrashesDecoder, TimedOut):
        raise
    except ScanError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert "\n" not in refusal
        return
    assert header is not None
    assert (scan.width, scan.height) == (header.width, header.height)
    check_written(scan)
    (tmp_path / "file").write_bytes(data)
    with decoders.spool_scan(tmp_path / "file", tmp_path, max_pixels=1_000_000, seconds=SECONDS) as spooled:
        assert (spooled.pixels.read(0, scan.height) == scan.pixels).all()
    spooled.discard()


def check_written(scan: Scan) -> None:
    """What was carried over from a mutated file gives a file that can be read, or none."""
    try:
        written = write_scan(scan, scan.pixels)
    except ScanError:
        return
    assert read_scan(written).pixels.shape == scan.pixels.shape
