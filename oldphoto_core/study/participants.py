"""Who may answer: each participant has a secret token, of which only a digest is kept."""

from __future__ import annotations

import hashlib
import secrets
import threading
from datetime import UTC, datetime
from pathlib import Path

from oldphoto_core.errors import StudyError
from oldphoto_core.study.log import AppendLog, read_rows

PARTICIPANTS = "participants.jsonl"
MOST = 5000
"""Participants of a study: whoever may begin by themselves cannot fill the disk."""


def participant_of(token: str) -> str:
    """Return the name under which the answers of a token's holder are kept: 16 hex digits that do not give it away."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def invite(folder: Path, count: int = 1) -> list[str]:
    """Add participants to the study of a folder, also while it is served; returns their tokens, kept nowhere else.

    Raises:
        StudyError: there would be too many.
        WriteFailed: they cannot be kept; those that were are in the file, without harm.
    """
    log = AppendLog(folder / PARTICIPANTS, wait=True)
    try:
        if len(log.rows) + count > MOST:
            raise StudyError(f"{folder} has {len(log.rows)} participants, and {MOST} is the bound; make another study")
        tokens = [secrets.token_urlsafe(24) for _ in range(count)]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for token in tokens:
            log.append({"participant": participant_of(token), "since": now})
    finally:
        log.close()
    return tokens


class Participants:
    """Those of a study that is served; those who are invited meanwhile are found, too. Safe for several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / PARTICIPANTS
        self._known: set[str] = set()
        self._size = -1
        self._lock = threading.Lock()

    def find(self, token: str) -> str | None:
        """Return the participant of a token; None if nobody has it."""
        participant = participant_of(token)
        with self._lock:
            if participant not in self._known:
                self._look_again()
            return participant if participant in self._known else None

    def begin(self) -> str:
        """Add a participant, who is not invited; returns the token. Raises as `invite`."""
        return invite(self._folder)[0]

    def _look_again(self) -> None:
        # only if something was added: strangers with wrong tokens must not cost a reading each
        size = self._path.stat().st_size if self._path.exists() else 0
        if size != self._size:
            self._known = {str(row["participant"]) for row in read_rows(self._path)}
            self._size = size
