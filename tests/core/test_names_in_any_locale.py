"""Keys are UTF-8, whatever encoding the locale gives file names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import python_path
from runs import put, restore

from oldphoto_core.custody import audit
from oldphoto_core.storage import Bucket, read_ledger

RESTORED = """
import json, sys
from runs import restore
from oldphoto_core.custody import audit
from oldphoto_core.storage import Bucket
source, target = Bucket(sys.argv[1]), Bucket(sys.argv[2])
summary = restore(source, target, isolate=True)
print(json.dumps([sys.getfilesystemencoding(), summary["restored"], summary["failed"], summary["skipped"],
                  audit(target).is_clean]))
"""
KEYS = ["caf\u00e9.jpg", "\u6771\u4eac/\u00fc.png", "plain.jpg"]


@pytest.fixture(scope="module", params=["C", "ISO-8859-1"])
def locale(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a process that takes file names for ASCII, or for Latin-1."""
    common = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    if request.param == "C":
        return {**common, "LC_ALL": "C"}
    place = tmp_path_factory.mktemp("locales")
    made = shutil.which("localedef") and subprocess.run(
        ["localedef", "-i", "en_US", "-f", "ISO-8859-1", place / "en_US.ISO-8859-1"], capture_output=True
    )
    if not made or not (place / "en_US.ISO-8859-1").is_dir():
        pytest.skip("no Latin-1 locale can be made here (apt-get install locales)")
    return {**common, "LOCPATH": str(place), "LC_ALL": "en_US.ISO-8859-1"}


def restored_in(locale: dict[str, str], source: Path, target: Path) -> list[object]:
    """What a process in that locale says of a restoration."""
    child = subprocess.run(
        [sys.executable, "-c", RESTORED, source, target],
        env={**os.environ, **locale, "PYTHONPATH": python_path()},
        capture_output=True,
        timeout=300,
    )
    assert child.returncode == 0, child.stderr.decode(errors="replace")
    answer: list[object] = json.loads(child.stdout)
    return answer


@pytest.fixture(params=[pytest.param("new", marks=pytest.mark.long), "n\u00e9w"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param


def test_keys_are_utf8_in_any_locale(locale: dict[str, str], target: Path, tmp_path: Path) -> None:
    source = tmp_path / "sc\u00e4ns"
    put(Bucket(source), KEYS)
    encoding, *counts, clean = restored_in(locale, source, target)
    assert encoding not in ("utf-8", None)
    assert (counts, clean) == ([3, 0, 0], True)
    assert {info.key for info in Bucket(target).list("records")} == {f"records/{key}.json" for key in KEYS}
    assert audit(Bucket(target)).is_clean
    assert restore(Bucket(source), Bucket(target))["skipped_reasons"] == {"already restored": 3}
    assert restored_in(locale, source, target)[1:4] == [0, 0, 3]


def test_a_name_that_is_not_utf8_is_a_failed_row_with_an_escaped_name(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "scans"), Bucket(tmp_path / "new")
    put(source, ["a.jpg"])
    Path(os.fsdecode(os.fsencode(source.url) + b"/caf\xe9.jpg")).write_bytes(b"x")
    summary = restore(source, target, isolate=True)
    ledger = read_ledger(target.join("runs", summary["run_id"])).set_index("key")
    assert ledger.loc["caf\\udce9.jpg", "reason"] == "unsafe key"


def test_folders_that_are_not_utf8_are_named_so_that_others_find_them(tmp_path: Path) -> None:
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    put(Bucket(place / "scans"), ["a.jpg"])
    target = Bucket(place / "new")
    assert target.url == f"file://{tmp_path}/caf%E9/new"
    assert Bucket(target.url) == target
    assert restore(Bucket(place / "scans"), target, isolate=True)["restored"] == 1
    assert audit(target).is_clean
