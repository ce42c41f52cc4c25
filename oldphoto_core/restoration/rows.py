"""Between the ledger's table and its rows."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from oldphoto_core.storage import LedgerRow

if TYPE_CHECKING:
    import pandas as pd

_REPEATED = ("status", "reason", "detail", "model", "options")


def rows_by_key(ledger: pd.DataFrame) -> dict[str, LedgerRow]:
    """A ledger table as rows; columns that rows do not have are left out."""
    names = [column.name for column in fields(LedgerRow)]
    columns = [_shared(ledger[name]) if name in _REPEATED else ledger[name].tolist() for name in names]
    rows = (LedgerRow(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True))
    return {row.key: row for row in rows}


def _shared(column: pd.Series[Any]) -> list[Any]:
    """Its values, equal ones as one object: a million rows are of few models."""
    numbers, values = column.factorize()
    known = values.tolist()
    return [known[number] for number in numbers.tolist()]
