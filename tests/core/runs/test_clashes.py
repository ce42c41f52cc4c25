"""Names that a drive takes for one, tried on exFAT, as on the disk that an archive is sent by post."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from drives import exfat_drive
from runs import put, restore

from oldphoto_core.custody import audit
from oldphoto_core.storage import Bucket, read_ledger
from oldphoto_core.storage.keys import FOLDINGS, folded
from oldphoto_core.storage.local.store import LocalStore

KEYS = ["Box/1.png", "box/1.png", "IMG_1.JPG", "img_1.jpg", "\u00e9.png", "e\u0301.png", "other.png"]


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Bucket]:
    """A folder of a real exFAT drive."""
    with exfat_drive(tmp_path) as place:
        yield Bucket(place / "restored")


def outcomes(run: Bucket) -> dict[str, str]:
    return {row["key"]: row["reason"] or row["status"] for row in read_ledger(run).to_dict("records")}


def test_of_names_that_a_drive_takes_for_one_only_one_is_restored(drive: Bucket, tmp_path: Path) -> None:
    source = Bucket(tmp_path / "scans")
    put(source, KEYS)
    first = restore(source, drive)
    assert outcomes(drive.join("runs", first["run_id"])) == {
        "Box/1.png": "restored", "box/1.png": "unsafe key",
        "IMG_1.JPG": "restored", "img_1.jpg": "unsafe key",
        "\u00e9.png": "restored", "e\u0301.png": "restored",  # which exFAT tells apart
        "other.png": "restored",
    }  # fmt: skip
    assert audit(drive).is_clean


def test_a_photo_restored_before_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalStore, "folds_names", lambda self: FOLDINGS)
    source, target = Bucket(tmp_path / "scans"), Bucket(tmp_path / "restored")
    put(source, ["img.jpg", "e\u0301.png"])
    restore(source, target)
    put(source, ["IMG.jpg", "\u00e9.png"])
    only = restore(source, target, keys=("IMG.jpg",))
    assert outcomes(target.join("runs", only["run_id"])) == {"IMG.jpg": "unsafe key"}
    again = restore(source, target)
    assert outcomes(target.join("runs", again["run_id"])) == {
        "img.jpg": "already restored", "IMG.jpg": "unsafe key",
        "e\u0301.png": "already restored", "\u00e9.png": "unsafe key",
    }  # fmt: skip
    assert again["found"] == again["skipped"] + again["failed"] == 4


def test_a_target_that_tells_names_apart_keeps_them_all(bucket_url: str) -> None:
    source, target = Bucket(bucket_url).join("scans"), Bucket(bucket_url).join("restored")
    put(source, KEYS)
    assert restore(source, target)["restored"] == len(KEYS)
    assert target.folds_names() == ()
    assert list(target.unfinished(())) == []


@pytest.mark.parametrize(("one", "other"), [("A/b.JPG", "a/B.jpg"), ("\u00c9", "e\u0301"), ("stra\u00dfe", "STRASSE")])
def test_keys_fold_to_one(one: str, other: str) -> None:
    assert folded(one) == folded(other)
