"""The ledger of a run as it grows under many writers."""

from __future__ import annotations

import contextlib

from oldphoto_core.errors import SourceMissing
from oldphoto_core.restoration.rows import rows_by_key
from oldphoto_core.storage import Bucket, LedgerRow
from oldphoto_core.storage.ledger import part_keys, read_part


class LedgerFollower:
    """Reads each part once; parts are written whole and never changed."""

    def __init__(self, run: Bucket, part: str = "shard-") -> None:
        """`part`: how the names of the writers begin that are followed."""
        self._run, self._part = run, part
        self._read: set[str] = set()
        self._untold: list[LedgerRow] = []

    def new_rows(self) -> list[LedgerRow]:
        """Of the parts that were put down since the last call."""
        for key in part_keys(self._run, self._part):
            if key not in self._read:
                with contextlib.suppress(SourceMissing):
                    self._untold += rows_by_key(read_part(self._run, key)).values()
                self._read.add(key)
        # only now: where the store fails on the way, what was read is told the next time
        rows, self._untold = self._untold, []
        return rows
