"""Names that the target does not take: known to `--check`, and refused before any work."""

from __future__ import annotations

from pathlib import Path

import pytest
from drives import exfat_drive
from runs import put, restore

from oldphoto_core.custody import audit
from oldphoto_core.restoration import job_of
from oldphoto_core.runs.dry_run import check
from oldphoto_core.storage import Bucket, read_ledger

# of 255 bytes at most on most file systems; results have up to 5 bytes more than their masters
LENGTHS = (240, 246, 249, 250, 251, 252, 255)


def named(length: int, letter: str = "n") -> str:
    """A file name of so many bytes."""
    letters, rest = divmod(length - 4, len(letter.encode()))
    return letter * letters + "x" * rest + ".jpg"


def outcomes(source: Bucket, target: Bucket) -> dict[str, str]:
    """What became of each key; the outlook is held against it."""
    looked = check(job_of(source=source.url, target=target.url, model="invert"))
    summary = restore(source, target)
    rows = read_ledger(target.join("runs", summary["run_id"])).to_dict("records")
    became = {row["key"]: row["reason"] or row["status"] for row in rows}
    assert {file.key: file.reason or file.status for file in looked.files} == became
    return became


@pytest.mark.parametrize("letter", ["n", "\u00e9", "\u6771"])
def test_names_near_the_bound_are_restored_or_refused_before_any_work(tmp_path: Path, letter: str) -> None:
    source, target = Bucket(tmp_path / "scans"), Bucket(tmp_path / "deep/new")
    put(source, [f"box/{named(length, letter)}" for length in LENGTHS])
    became = outcomes(source, target)
    assert became == {
        f"box/{named(length, letter)}": "restored" if length <= 250 else "unsafe key" for length in LENGTHS
    }
    assert len(list(target.list("masks"))) + len(list(target.list("records"))) <= 2 * 4
    assert audit(target).is_clean


def test_the_detail_names_what_is_too_long(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "scans"), Bucket(tmp_path / "new")
    put(source, [named(252)])
    (file,) = check(job_of(source=source.url, target=target.url, model="invert")).files
    assert "is a name of 257 bytes" in file.detail
    assert "rename the photo" in file.detail


def test_a_drive_that_counts_letters_takes_more_bytes(tmp_path: Path) -> None:
    source = Bucket(tmp_path / "scans")
    put(source, [named(250, "\u6771"), "a.jpg"])
    with exfat_drive(tmp_path) as place:
        assert set(outcomes(source, Bucket(place / "new")).values()) == {"restored"}


def test_keys_beyond_what_s3_takes_are_refused_before_any_work(tmp_path: Path, s3_bucket_url: str) -> None:
    source, target = Bucket(tmp_path / "scans"), Bucket(f"{s3_bucket_url}/{'p' * 200}/{'q' * 200}")
    folder = "/".join("f" * 100 for _ in range(5))
    keys = [f"{folder}/{named(length)}" for length in (60, 150)]
    put(source, keys)
    assert outcomes(source, target) == {keys[0]: "restored", keys[1]: "unsafe key"}


def test_a_path_that_is_too_long_is_refused_before_any_work(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "s"), Bucket(tmp_path / "t" / "/".join("t" * 200 for _ in range(16)))
    folder = "/".join("f" * 200 for _ in range(2))
    keys = [f"{folder}/{named(30)}", f"{folder}/{'g' * 200}/{'h' * 200}/a.jpg"]
    put(source, keys)
    assert outcomes(source, target) == {keys[0]: "restored", keys[1]: "unsafe key"}


AWKWARD = ["12:30.jpg", "why?/1.jpg", "a*b.jpg", "dot./1.jpg", "plain.jpg"]


def test_characters_that_a_drive_takes_in_no_name_are_refused_before_any_work(tmp_path: Path) -> None:
    source = Bucket(tmp_path / "scans")
    put(source, AWKWARD)
    with exfat_drive(tmp_path) as place:
        target = Bucket(place / "new")
        summary = restore(source, target)
        ledger = read_ledger(target.join("runs", summary["run_id"])).set_index("key")
        assert audit(target).is_clean
    assert summary["restored"] >= 1
    assert ledger.loc["plain.jpg", "status"] == "restored"
    assert {ledger.loc[key, "reason"] for key in AWKWARD[:3]} == {"unsafe key"}
    assert "takes no name with ':'" in ledger.loc["12:30.jpg", "detail"]


def test_a_target_that_takes_them_gets_them(bucket_url: str, tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "scans"), Bucket(bucket_url)
    put(source, AWKWARD)
    assert restore(source, target)["restored"] == len(AWKWARD)
    assert list(target.unfinished(())) == []
