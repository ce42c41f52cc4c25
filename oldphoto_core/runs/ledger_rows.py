"""Rows of a run's ledger: from its table, and as they are written by many processes."""

from __future__ import annotations

import contextlib
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from oldphoto_core.errors import SourceMissing
from oldphoto_core.storage import Bucket, LedgerRow
from oldphoto_core.storage.ledger import part_keys, read_part

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


class LedgerTail:
    """Follows the ledger of a run that grows; reads each part once, as parts are written whole and never changed."""

    def __init__(self, run: Bucket, part: str = "shard-") -> None:
        """`part`: prefix of the names of the writers to follow."""
        self._run, self._part = run, part
        self._read: set[str] = set()
        self._pending: list[LedgerRow] = []

    def new_rows(self) -> list[LedgerRow]:
        """Rows of the parts that were written since the last call."""
        for key in part_keys(self._run, self._part):
            if key not in self._read:
                with contextlib.suppress(SourceMissing):
                    self._pending += rows_by_key(read_part(self._run, key)).values()
                self._read.add(key)
        # only now: where the store fails on the way, what was read is returned the next time
        rows, self._pending = self._pending, []
        return rows
