"""Buckets by URL, and the two tables of a run: the manifest (what came in) and the ledger (what became of it)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oldphoto_core.storage.bucket import Bucket
    from oldphoto_core.storage.journal import Journal
    from oldphoto_core.storage.key_list import read_key_list, write_key_list
    from oldphoto_core.storage.keys import is_image_key, safe_key
    from oldphoto_core.storage.ledger import (
        LEDGER_COLUMNS,
        LedgerRow,
        LedgerWriter,
        merge_ledger,
        previous_results,
        read_ledger,
    )
    from oldphoto_core.storage.manifest import MANIFEST_COLUMNS, look_up, read_manifest, take_inventory, write_manifest
    from oldphoto_core.storage.store import ObjectInfo

__all__ = [
    "LEDGER_COLUMNS",
    "MANIFEST_COLUMNS",
    "Bucket",
    "Journal",
    "LedgerRow",
    "LedgerWriter",
    "ObjectInfo",
    "is_image_key",
    "look_up",
    "merge_ledger",
    "previous_results",
    "read_key_list",
    "read_ledger",
    "read_manifest",
    "safe_key",
    "take_inventory",
    "write_key_list",
    "write_manifest",
]

_HOMES = {
    "bucket": ("Bucket",),
    "journal": ("Journal",),
    "key_list": ("read_key_list", "write_key_list"),
    "keys": ("is_image_key", "safe_key"),
    "ledger": ("LEDGER_COLUMNS", "LedgerRow", "LedgerWriter", "merge_ledger", "previous_results", "read_ledger"),
    "manifest": ("MANIFEST_COLUMNS", "look_up", "read_manifest", "take_inventory", "write_manifest"),
    "store": ("ObjectInfo",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
