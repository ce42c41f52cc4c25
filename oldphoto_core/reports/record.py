"""The provenance record of one derivative: what it was made from, by what, and how much was changed."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from typing import Any, get_args

from oldphoto_core.scans.formats import FORMATS, OutputFormat

SCHEMA = "oldphoto-record/2"
KNOWN_SCHEMAS = (SCHEMA, "oldphoto-record/1")
"""Of records that are read; /1 lacks most facts of the files, the difference and the operator."""


def build_record(
    *,
    run_id: str,
    source: Mapping[str, Any],
    derivative: Mapping[str, Any],
    model: Mapping[str, Any],
    options: Mapping[str, Any],
    mask: Mapping[str, Any] | None,
    mask_file: Mapping[str, Any] | None,
    difference: Mapping[str, Any] | None,
    seconds: float,
    device: str,
    status: str = "restored",
    operator: str = "",
    stage_seconds: Mapping[str, float] | None = None,
    warnings: tuple[str, ...] = (),
    pages: Sequence[Mapping[str, Any]] = (),
    changed_share: float | None = None,
    colour: Mapping[str, Any] | None = None,
    tone: Mapping[str, Any] | None = None,
    review: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A record as plain values, as `schemas/record-2.json` describes them.

    `status` is `restored`, or `copied` for an original that could not be restored. `pages` are those of a master of
    several, and `changed_share` is over all of them; else it is that of `difference`. `review` is what a curator had
    decided about the photo before.
    """
    if changed_share is None and difference:
        changed_share = difference["changed_share"]
    reviewed = {"review": dict(review)} if review else {}
    paged = {"pages": [dict(page) for page in pages]} if pages else {}
    return {
        "schema": SCHEMA,
        "status": status,
        "source": dict(source),
        "derivative": dict(derivative),
        "model": dict(model),
        "options": dict(options),
        "mask": dict(mask) if mask else None,
        "mask_file": dict(mask_file) if mask_file else None,
        "changed_share": changed_share,
        "difference": {name: value for name, value in difference.items() if name != "changed_share"}
        if difference
        else None,
        "colour": dict(colour) if colour else None,
        "tone": dict(tone) if tone else None,
        "seconds": round(seconds, 3),
        "stage_seconds": {stage: round(spent, 4) for stage, spent in (stage_seconds or {}).items()},
        "device": device,
        "software": software_versions(),
        "run_id": run_id,
        "operator": operator or None,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "warnings": list(warnings),
        **reviewed,
        **paged,
    }


def mask_key(key: str, *, paged: bool) -> str:
    """Where the mask of a photo lies in a target: a PNG or, of several pages, a TIFF with a mask for each."""
    return f"masks/{key}.{'tif' if paged else 'png'}"


def encode_record(record: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON for people and programs alike."""
    return (json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def decode_record(data: bytes) -> dict[str, Any] | None:
    """The record in these bytes, of any version that is known, or None where they are no record of ours."""
    try:
        record = json.loads(data)
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.get("schema") in KNOWN_SCHEMAS else None


def record_schema() -> dict[str, Any]:
    """The JSON Schema of the records that are written, with the formats that there are."""
    text = (resources.files("oldphoto_core.reports") / "schemas/record-2.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    schema["properties"]["options"]["properties"]["format"]["enum"] = list(get_args(OutputFormat))
    schema["$defs"]["facts"]["properties"]["format"]["enum"] = list(FORMATS)
    return schema


@lru_cache(maxsize=1)
def software_versions() -> dict[str, str]:
    """Versions of what took part in making the pixels."""
    packages = ("oldphoto", "torch", "numpy", "pyvips", "pyvips-binary")
    return {**{package: _version(package) for package in packages}, "python": platform.python_version()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
