"""Provenance records as files: their schema and their encoding. `pipeline.provenance` says what is in one."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from typing import Any, get_args

from oldphoto_core.scans.formats import FORMATS, OutputFormat

SCHEMA = "oldphoto-record/2"
KNOWN_SCHEMAS = (SCHEMA, "oldphoto-record/1")
"""Of records that are read; /1 lacks most facts of the files, the difference and the operator."""


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
