"""Two runs into one target: the second one changes nothing, and says who is at work there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakes import fill

from oldphoto_core.runs.run_lock import sole_coordinator

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_a_second_run_into_a_target_says_who_is_at_work_there(
    tmp_path: Path, oldphoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "old", ["a.png"])
    monkeypatch.setitem(sole_coordinator.__wrapped__.__kwdefaults__, "seconds", 3.0)  # type: ignore[attr-defined]
    with sole_coordinator(str(tmp_path / "new")) as check:
        ended = oldphoto("restore", tmp_path / "old", tmp_path / "new", "--model", "invert")
        check()
    assert ended.code == 1
    assert f"is held by process {os.getpid()} on" in ended.err.splitlines()[-1]
    assert sorted(os.listdir(tmp_path / "new")) == ["lease"]
    assert oldphoto("restore", tmp_path / "old", tmp_path / "new", "--model", "invert").code == 0
    assert sorted(path.name for path in (tmp_path / "new/photos").iterdir()) == ["a.png"]
