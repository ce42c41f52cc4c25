"""A study on disk: which photos, which methods, and which picture is whose.

    study.json              everything below, and a key that hides it from participants; written last
    pictures/<sha256>.png   photos as they are, and what each method made of them
    participants.jsonl      who may answer (`participants`)
    answers.jsonl           rankings (`answers`)
    results/                what `oldphoto study results` counted

A picture's file is named by its content, so neither its name nor its order tells a method. What a page shows is named
anew for each participant (`blinding`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oldphoto_core.errors import SourceMissing, StudyError, UsageError
from oldphoto_core.storage import Bucket

STUDY, PICTURES = "study.json", "pictures"
FORMAT = 1
"""Of study.json; other versions are refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyPhoto:
    """One photo and what the methods made of it."""

    key: str
    """In the collection."""
    width: int
    """In pixels, of all its pictures."""
    height: int
    """In pixels, of all its pictures."""
    shown: str
    """Name of the picture of the photo as it is, in `pictures/`."""
    results: tuple[str, ...]
    """Names of the pictures that the methods made, in the order of the methods."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What study.json says."""

    id: str
    """Sixteen hex digits, different for each study."""
    blinding_key: str
    """Decides orders and names of pictures on pages; participants must not know it."""
    made: str
    """When, as ISO 8601 in UTC."""
    source: str
    """URL of the collection."""
    seed: int
    """By which the photos were drawn."""
    side: int
    """Pixels of a longer side that photos were shrunk to before they were restored."""
    detector: str
    """Model that found the damage; empty: no damage was filled."""
    methods: tuple[str, ...]
    """Names, in the order of the command line."""
    photos: tuple[StudyPhoto, ...]
    """Those that are ranked."""

    def __post_init__(self) -> None:
        """Refuses studies in which there is nothing to rank."""
        if len(self.methods) < 2 or len(set(self.methods)) < len(self.methods):
            raise UsageError(
                f"a study compares methods, and these are {', '.join(self.methods) or 'none'}; name two or more, each"
                " once"
            )
        if not self.photos:
            raise SourceMissing(f"no photo of {self.source} can be read; a study needs one or more")


def write_study(folder: Bucket, study: Study) -> None:
    """Write study.json; from then on the folder is a study."""
    folder.write(STUDY, json.dumps({"format": FORMAT, **asdict(study)}, indent=1).encode())


def read_study(folder: Path) -> Study:
    """Return the study of a folder.

    Raises:
        SourceMissing: there is none.
        StudyError: study.json is not what `write_study` wrote.
    """
    bucket = Bucket(folder)
    if bucket.info(STUDY) is None:
        raise SourceMissing(f"{folder} is no study; make one with oldphoto study make --out {folder}")
    try:
        return _parsed(json.loads(bucket.read(STUDY)), folder)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StudyError(f"{folder / STUDY} is not what was written ({error}); restore it from a copy") from error


def _parsed(content: Any, folder: Path) -> Study:
    """The study of study.json; what Python raises of it for what `write_study` never writes."""
    if content.pop("format") != FORMAT:
        raise StudyError(f"{folder / STUDY} is of another version; count it with the version that made it")
    methods = tuple(content.pop("methods"))
    photos = tuple(
        StudyPhoto(**{**photo, "results": tuple(photo["results"])}) for photo in content.pop("photos")
    )  # fmt: skip
    if any(len(photo.results) != len(methods) for photo in photos):
        raise StudyError(f"{folder / STUDY} is not what was written: results are missing; restore it from a copy")
    return Study(**content, methods=methods, photos=photos)
