"""What runs left in a target, held against their ledgers and records: audited, and rolled back."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oldphoto_core.custody.findings import AuditReport, Finding
    from oldphoto_core.custody.fixity import audit
    from oldphoto_core.custody.rollback import Rollback, plan_rollback, roll_back

__all__ = ["AuditReport", "Finding", "Rollback", "audit", "plan_rollback", "roll_back"]

_HOMES = {
    "findings": ("AuditReport", "Finding"),
    "fixity": ("audit",),
    "rollback": ("Rollback", "plan_rollback", "roll_back"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
