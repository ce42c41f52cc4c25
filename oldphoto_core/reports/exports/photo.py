"""One photo as the forms see it: its record, what lies beside it, and the names that it has on the web."""

from __future__ import annotations

import mimetypes
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from oldphoto_core.reviews.states import State, last_statement, state_of
from oldphoto_core.scans.formats import FORMATS

if TYPE_CHECKING:
    from oldphoto_core.reviews.decision import Decision
    from oldphoto_core.storage import Bucket


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An object of the target that belongs to a photo."""

    key: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class RecordedPhoto:
    """A photo with everything that a run left of it."""

    record: dict[str, Any]
    """Of version 1 or 2."""
    files: tuple[StoredFile, ...]
    """Derivative, mask, record, decisions and corrected masks, as far as there are any."""
    decisions: tuple[Decision, ...] = ()
    """Those of curators, the first one first; also those that were made after the record was written."""

    @property
    def key(self) -> str:
        """The master's, in its bucket."""
        return str(self.record["source"]["key"])

    @property
    def is_restored(self) -> bool:
        """Or a copy of its master."""
        return bool(self.record["status"] == "restored")

    @property
    def review_state(self) -> State:
        """What was decided about the derivative."""
        return state_of(self.decisions[-1] if self.decisions else None, self.record["derivative"]["sha256"])

    @property
    def review(self) -> str:
        """The decision that counts, for people; empty: there is none."""
        return last_statement(self.decisions, self.record["derivative"]["sha256"])

    def media_type(self, part: str) -> str:
        """Of its "source" or "derivative"; by the name, where an older record does not say."""
        facts = self.record[part]
        if "format" in facts:
            return FORMATS[facts["format"]].media_type
        return mimetypes.guess_type(PurePosixPath(facts["key"]).name)[0] or "application/octet-stream"


class Form(ABC):
    """A way to write down many photos."""

    @abstractmethod
    def add(self, photo: RecordedPhoto) -> None:
        """Photos come in the order of their keys."""

    @abstractmethod
    def write(self, place: Bucket) -> list[str]:
        """Puts it into a folder; returns the keys that people should look at."""


def object_url(bucket: str, key: str) -> str:
    """The URL of an object, fit for XML, manifests and browsers; `bucket` as records name it, a path or a URL."""
    scheme, mark, root = bucket.partition("://")
    folder = f"{scheme}://{quote(root)}" if mark else Path(bucket).as_uri()
    return f"{folder.rstrip('/')}/{quote(key)}"
