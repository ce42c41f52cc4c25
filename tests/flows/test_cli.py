from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "prefect", "pandas", "distributed", "pyvips", "cv2", "matplotlib", "s3fs", "skimage")


def in_a_fresh_process(code: str, **environment: str) -> str:
    command = [sys.executable, "-c", code]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, capture_output=True, text=True, env=env, check=True, timeout=120).stdout


def test_the_command_comes_up_without_anything_heavy() -> None:
    loaded = in_a_fresh_process(f"import flows.cli, sys; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded.strip() == "[]"


@pytest.mark.parametrize("command", [[], ["restore"], ["demo"], ["models"], ["models", "list"], ["models", "show"]])
def test_every_command_explains_itself(oldphoto, command: list[str]) -> None:
    ended = oldphoto(*command, "--help")
    assert ended.code == 0
    assert "Usage: oldphoto" in ended.out


def test_the_help_of_restore_names_every_exit_code(oldphoto) -> None:
    text = " ".join(oldphoto("restore", "--help").out.split())
    for phrase in ("0 every photo restored or skipped", "1 could not be done", "2 wrong usage", "3 done but some"):
        assert phrase in text


def test_a_command_that_does_not_exist_is_wrong_usage(oldphoto) -> None:
    assert oldphoto("restroe").code == 2


def test_models_are_listed_without_a_prefect_server(oldphoto) -> None:
    ended = oldphoto("models", "list")
    assert ended.code == 0
    assert "Prefect" not in ended.err


def test_a_model_that_does_not_exist_is_told_with_those_that_do(oldphoto) -> None:
    ended = oldphoto("models", "show", "nonesuch")
    assert ended.code == 1
    assert ended.err.startswith("oldphoto: no model is called 'nonesuch'; there are: ")
    assert ended.err.count("\n") == 1


def test_the_temporary_server_ends_with_its_parent() -> None:
    code = """
import subprocess, sys
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
server = subprocess.Popen([sys.executable, "-m", "flows.session.temporary_server"], **pipes)
assert int(server.stdout.readline()) > 1024
server.stdin.close()
print(server.wait(timeout=60))
"""
    assert in_a_fresh_process(code).strip() == "0"


def test_two_commands_at_once_do_not_share_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.session.own_server import _home

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first, lock = _home()
    second, no_lock = _home()
    assert lock is not None
    assert (first.is_relative_to(tmp_path), second.is_relative_to(tmp_path), no_lock) == (True, False, None)
    lock.close()
    assert _home()[0] == first


def test_a_command_without_a_server_starts_its_own_and_says_so(tmp_path: Path) -> None:
    code = """
from flows.session.prefect_session import prefect_session
with prefect_session(print, meanwhile=lambda: print("meanwhile")):
    from prefect import flow, get_client
    answer = flow(lambda: 42, name="answer")()
    with get_client(sync_client=True) as client:
        print(answer, [run.state_name for run in client.read_flow_runs()])
"""
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PREFECT_API_URL": ""}
    first, *rest = in_a_fresh_process(code, **home).splitlines()
    assert first.startswith("starting Prefect's temporary server, about 20 s")
    assert rest == ["meanwhile", "42 ['Completed']"]
    assert not (tmp_path / ".prefect").exists()
    assert list((tmp_path / "cache/oldphoto").glob("prefect-*/prefect.db"))
