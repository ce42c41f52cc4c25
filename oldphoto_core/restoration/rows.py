"""Between the ledger's table and its rows."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from oldphoto_core.storage import LedgerRow

if TYPE_CHECKING:
    import pandas as pd


def rows_by_key(ledger: pd.DataFrame) -> dict[str, LedgerRow]:
    """A ledger table as rows; columns that rows do not have are left out."""
    columns = [column.name for column in fields(LedgerRow)]
    records: Any = ledger[columns].to_dict("records")
    return {record["key"]: LedgerRow(**record) for record in records}
