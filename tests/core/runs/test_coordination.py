"""Two coordinators of one target: one works, the other one says who that is, or goes on after it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from oldphoto_core.errors import Occupied
from oldphoto_core.runs.run_lock import sole_coordinator
from oldphoto_core.storage import Bucket

HOLDER = """
import sys, time
from oldphoto_core.runs.run_lock import sole_coordinator
from oldphoto_core.storage import lease_entry
if sys.argv[2] == "elsewhere":
    lease_entry.kernel = lambda: "of another machine"
with sole_coordinator(sys.argv[1], seconds=3):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holder(target: str, where: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", HOLDER, target, where]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_second_coordinator_says_who_the_first_one_is(kind: str, request: pytest.FixtureRequest, tmp_path) -> None:
    target = request.getfixturevalue("s3_bucket_url") if kind == "s3" else str(tmp_path)
    said: list[str] = []
    with holder(target, "elsewhere") as first:
        with pytest.raises(Occupied, match=f"process {first.pid} on"), sole_coordinator(target, said.append, seconds=3):
            pass
        first.communicate(b"\n")
    assert f"is held by process {first.pid} on" in said[0]
    with sole_coordinator(target, said.append) as check:
        check()
    assert len(said) == 1


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_the_lease_of_a_killed_coordinator_is_taken_over(where: str, tmp_path) -> None:
    said: list[str] = []
    with holder(str(tmp_path), where) as first:
        first.kill()
    with sole_coordinator(str(tmp_path), said.append, seconds=3) as check:
        check()
    # on its own machine it is known to be dead; from elsewhere it has to be waited for
    assert bool(said) == (where == "elsewhere")


def test_a_store_without_conditions_keeps_nobody_out_and_says_so(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(Bucket, "create", lambda bucket, key, data: bool(bucket.write(key, data)))
    with sole_coordinator(str(tmp_path), said.append) as check:
        check()
    assert "If-None-Match" in said[0]


def test_a_lease_is_no_part_of_the_results(tmp_path) -> None:
    with sole_coordinator(str(tmp_path)):
        assert os.listdir(tmp_path) == ["lease"]
    assert list(Bucket(tmp_path).folders("runs")) == []
