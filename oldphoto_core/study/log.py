"""A file of JSON lines to which one process appends; a line that was acknowledged is on the disk, whole or not at all.

Each line carries a checksum. A line that a kill or a full disk cut off was never acknowledged: it is not read, and the
next one is written over it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from oldphoto_core.errors import Occupied, StudyError, WriteFailed

Row = dict[str, Any]


class AppendLog:
    """The log of one path, opened for appending until `close`; not for several threads at once.

    Raises:
        Occupied: another process appends to it.
        StudyError: a line in it is damaged.
        WriteFailed: it cannot be opened.
    """

    def __init__(self, path: Path, *, wait: bool = False) -> None:
        """Open the log, made if it is missing; with `wait`, when others have closed it."""
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise WriteFailed(f"{path} cannot be opened ({error.strerror}); name a folder to write in") from error
        try:
            self._lock(wait)
            _sync_folder(path.parent)
            self.rows, self._end = _read(path)
        except BaseException:
            self.close()
            raise

    def _lock(self, wait: bool) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            raise Occupied(f"another process serves {self._path.parent}; end it, or serve a copy of it") from error

    def append(self, row: Row) -> None:
        """Keep a row; when this returns, it is on the disk.

        Raises:
            WriteFailed: it cannot be kept now, and the log is as it was.
        """
        line = _line(row)
        try:
            # what a failed write left behind the end is overwritten, so a line is never glued to it
            os.ftruncate(self._file, self._end)
            written = 0
            while written < len(line):
                written += os.pwrite(self._file, line[written:], self._end + written)
            os.fsync(self._file)
        except OSError as error:
            raise WriteFailed(f"{self._path} takes no more ({error.strerror}); make room, then go on") from error
        self._end += len(line)
        self.rows.append(row)

    def close(self) -> None:
        """Let another process append."""
        os.close(self._file)


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a log that may be appended to meanwhile; none if there is no such file.

    Raises:
        StudyError: a line is damaged.
    """
    return _read(path)[0] if path.exists() else []


def _read(path: Path) -> tuple[list[Row], int]:
    """Rows, and the byte behind the last whole line."""
    lines = path.read_bytes().splitlines(keepends=True)
    rows = []
    end = 0
    for number, line in enumerate(lines, 1):
        row = _row(line)
        if row is None:
            if number == len(lines):
                break  # cut off: never acknowledged
            raise StudyError(f"line {number} of {path} is damaged; restore the file from a copy, or remove that line")
        rows.append(row)
        end += len(line)
    return rows, end


def _line(row: Row) -> bytes:
    return json.dumps({**row, "check": _check(row)}, separators=(",", ":")).encode("ascii") + b"\n"


def _row(line: bytes) -> Row | None:
    """The row of a line; None for one that is not whole."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or row.pop("check", None) != _check(row):
        return None
    return row


def _check(row: Row) -> str:
    return hashlib.sha256(json.dumps(row, separators=(",", ":"), sort_keys=True).encode("ascii")).hexdigest()[:16]


def _sync_folder(folder: Path) -> None:
    """A new file's name is on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
