"""What runs left in a target, without what names the run: equal for equal work, whoever did it and however often."""

from __future__ import annotations

import json
import re
import struct
from typing import Any

from oldphoto_core.storage import Bucket

RUN_ID = re.compile(rb"\d{8}-\d{6}-[0-9a-f]{4}")
OF_THE_RUN = ("run_id", "time", "seconds", "stage_seconds")


def fingerprints(target: Bucket) -> dict[str, Any]:
    """What lies in a target, without what names the run."""
    found: dict[str, Any] = {}
    for folder, of in (("photos", png_chunks), ("masks", bytes), ("records", plain_record)):
        found |= {item.key: of(target.read(item.key)) for item in target.list(folder)}
    return found


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of each chunk; the run that its label names left out, and so the checksums."""
    chunks, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], RUN_ID.sub(b"", data[at + 8 : at + 8 + length])))
        at += 12 + length
    return chunks


def plain_record(data: bytes) -> dict[str, Any]:
    record = json.loads(data)
    for name in OF_THE_RUN:
        record.pop(name, None)
    for name in ("sha256", "bytes"):
        record["derivative"].pop(name)
    return dict(record)
