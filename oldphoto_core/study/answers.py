"""The answers of a study: one ranking per participant and photo, in order, on the disk before it is acknowledged."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oldphoto_core.errors import RefusedAnswer, StudyError
from oldphoto_core.study.blinding import photo_order, shown
from oldphoto_core.study.log import AppendLog, read_rows
from oldphoto_core.study.study import Study

ANSWERS = "answers.jsonl"


@dataclass(frozen=True, slots=True)
class Answer:
    """One ranking."""

    participant: str
    """Name of the participant."""
    photo: int
    """Number of the photo in the study."""
    ranking: tuple[int, ...]
    """Numbers of the methods, the best first."""


class Answers:
    """The answers of a study that is served, by one process at a time; safe for several threads.

    Raises:
        Occupied: another process serves the study.
        StudyError: the answers on disk are damaged, or are not of this study.
    """

    def __init__(self, folder: Path, study: Study) -> None:
        self._study = study
        self._log = AppendLog(folder / ANSWERS)
        self._lock = threading.Lock()
        try:
            self._given: dict[str, list[Answer]] = {}
            for answer in counted(self._log.rows, study):
                self._given.setdefault(answer.participant, []).append(answer)
        except StudyError:
            self._log.close()
            raise

    def done(self, participant: str) -> int:
        """Return how many photos the participant has ranked."""
        with self._lock:
            return len(self._given.get(participant, ()))

    def keep(self, participant: str, place: int, ranking: Sequence[str]) -> int:
        """Keep a ranking of the photo at `place` of the participant's order; returns how many are ranked now.

        The same answer once more, as after a lost reply, changes nothing.

        Args:
            participant: Name of the participant.
            place: 0 = the first photo.
            ranking: What the page calls the results, the best first.

        Raises:
            RefusedAnswer: photos before it are not ranked yet, it is ranked otherwise already, or this is no ranking.
            WriteFailed: it cannot be kept now; nothing changed.
        """
        if not 0 <= place < len(self._study.photos):
            raise RefusedAnswer("there is no such photo; reload the page")
        seen = shown(self._study, participant, place)
        if sorted(ranking) != sorted(seen.results):
            raise RefusedAnswer("this does not rank each result once; reload the page")
        answer = Answer(participant, seen.photo, tuple(seen.results[name] for name in ranking))
        with self._lock:
            given = self._given.setdefault(participant, [])
            if place < len(given):
                if given[place] != answer:
                    raise RefusedAnswer("this photo is ranked already, and the first answer counts")
            elif place > len(given):
                raise RefusedAnswer("a photo before this one is not ranked yet; reload the page")
            else:
                self._log.append(_row(answer))
                given.append(answer)
            return len(given)

    def close(self) -> None:
        """Let another process serve the study."""
        self._log.close()


def read_answers(folder: Path, study: Study) -> list[Answer]:
    """Return all answers, also while the study is served. Raises StudyError if they are damaged or of another study."""
    return list(counted(read_rows(folder / ANSWERS), study))


def counted(rows: Iterable[dict[str, Any]], study: Study) -> Iterable[Answer]:
    """Yield the answers of rows, of each participant the first one for each photo and in the participant's order.

    Raises:
        StudyError: a row is no answer of this study.
    """
    expected: dict[str, list[int]] = {}
    for number, row in enumerate(rows, 1):
        answer = _answer(row, study)
        if answer is None:
            raise StudyError(f"answer {number} is not of this study; restore {ANSWERS} from the study's own copy")
        left = expected.setdefault(answer.participant, photo_order(study, answer.participant))
        if left and left[0] == answer.photo:
            left.pop(0)
            yield answer


def _row(answer: Answer) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {
        "participant": answer.participant, "photo": answer.photo, "ranking": list(answer.ranking), "at": now
    }  # fmt: skip


def _answer(row: dict[str, Any], study: Study) -> Answer | None:
    try:
        answer = Answer(str(row["participant"]), int(row["photo"]), tuple(int(each) for each in row["ranking"]))
    except (KeyError, TypeError, ValueError):
        return None
    whole = sorted(answer.ranking) == list(range(len(study.methods)))
    return answer if whole and 0 <= answer.photo < len(study.photos) else None
