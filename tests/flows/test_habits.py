"""Users' habits that reach into a run: settings of their Prefect, files of the working folder, no home."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import fill
from strangers import as_a_user_nobody_knows

ROOT = Path(__file__).parents[2]
HABITS = {
    "PREFECT_TASKS_DEFAULT_RETRIES": "2",
    "PREFECT_FLOWS_DEFAULT_RETRIES": "2",
    "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": "true",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "no such serializer",
    "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": "s3-bucket/no-such-block",
    "PREFECT_LOCAL_STORAGE_PATH": "/proc/nowhere",
    "PREFECT_LOGGING_LOG_PRINTS": "true",
    "PREFECT_TASKS_REFRESH_CACHE": "true",
}
OF_ANOTHER_SERVER = {
    "PREFECT_API_KEY": "a key of a server elsewhere",
    "PREFECT_API_AUTH_STRING": "some:body",
    "PREFECT_API_SSL_CERT_FILE": "/nowhere",
    "PREFECT_SERVER_API_AUTH_STRING": "some:body",
}


def oldphoto(folder: Path, *arguments: str, ahead: list[str] | None = None, **settings: str) -> Any:
    """The command in a process of its own, without a server that is named."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = ours | {"XDG_CACHE_HOME": str(folder.parent / "cache"), "DO_NOT_TRACK": "1"} | settings
    command = [*(ahead or []), sys.executable, "-P", str(ROOT / "tests/support/fakes.py"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def flows_and_tasks() -> dict[str, Any]:
    from prefect import Flow, Task

    found = {}
    for room in ("flows", "tasks"):
        for path in sorted((ROOT / room).glob("*.py")):
            module = importlib.import_module(f"{room}.{path.stem}")
            found |= {f"{room}.{n}": v for n, v in vars(module).items() if isinstance(v, Flow | Task)}
    return found


def test_flows_and_tasks_state_what_a_profile_would_otherwise_choose() -> None:
    found = flows_and_tasks()
    assert len(found) > 15
    for name, each in found.items():
        assert (each.persist_result, each.log_prints) == (False, False), name
        assert each.retries == 0 or each.retry_condition_fn is not None, name


def test_a_session_takes_back_what_is_said_of_runs_and_keeps_where_the_server_is() -> None:
    code = """
from flows.session.prefect_settings import import_prefect, taken_back
from prefect.settings import temporary_settings
settings = import_prefect()
for named in (True, False):
    with temporary_settings({**taken_back(settings, named_server=named), "api.url": "http://127.0.0.1:1/api"}) as ours:
        print(ours.tasks.default_retries, ours.flows.default_retries, ours.results.default_serializer, end=" ")
        print(ours.results.default_storage_block, ours.api.key is not None)
"""
    environment = {**os.environ, **HABITS, **OF_ANOTHER_SERVER}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["0 0 pickle None True", "0 0 pickle None False"]


def test_a_users_prefect_and_folder_change_nothing_about_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    for name in ("flows/__init__.py", "secrets.py", "random.py", "torch.py", "prefect.py", "oldphoto_core.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("raise RuntimeError('imported from the working folder')")
    fill(tmp_path / "old", ["1.png", "2.png"])
    (tmp_path / "old/broken.png").write_bytes(b"no image")
    habits = {**HABITS, **OF_ANOTHER_SERVER, "HTTP_PROXY": "http://127.0.0.1:9", "all_proxy": "socks5://127.0.0.1:9"}
    ended = oldphoto(folder, "restore", str(tmp_path / "old"), str(tmp_path / "new"), "--model", "invert", **habits)
    assert ended.returncode == 3, ended.stderr
    assert "3 files found: 2 restored, 0 skipped, 1 failed" in ended.stdout
    assert "Traceback" not in ended.stderr
    assert len(list((tmp_path / "new/runs").iterdir())) == 1


BROKEN = {
    "prefect.toml": b"this is [ no TOML",
    "pyproject.toml": b"[tool.prefect]\ntasks = 3\n",
    ".env": b"\xff\xfe=1",
}


@pytest.mark.parametrize("name", BROKEN)
def test_settings_that_cannot_be_read_are_one_line_with_the_file(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / name).write_bytes(BROKEN[name])
    fill(tmp_path / "old", ["1.png"])
    ended = oldphoto(folder, "restore", str(tmp_path / "old"), str(tmp_path / "new"), "--model", "invert")
    assert ended.returncode == 1
    assert ended.stderr.startswith("oldphoto: Prefect's settings cannot be read: "), ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "new/photos").exists()


def test_a_value_that_is_wrong_is_named_and_not_shown(tmp_path: Path) -> None:
    wrong = {"PREFECT_TASKS_DEFAULT_RETRIES": "planted-secret"}
    fill(tmp_path / "old", ["1.png"])
    ended = oldphoto(tmp_path, "restore", str(tmp_path / "old"), str(tmp_path / "new"), "--model", "invert", **wrong)
    assert ended.returncode == 1
    assert "default_retries: Input should be a valid integer" in ended.stderr
    assert (ended.stderr.count("\n"), "planted" in ended.stderr) == (1, False)


@pytest.mark.long
def test_a_user_without_name_and_home_restores_and_leaves_nothing_elsewhere(tmp_path: Path) -> None:
    folder, temporary = tmp_path / "work", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    fill(tmp_path / "old", ["1.png"])
    places = [str(tmp_path / "old"), str(tmp_path / "new")]
    nothing = {"HOME": "/proc/nowhere", "XDG_CACHE_HOME": "", "USER": "", "LOGNAME": "", "TMPDIR": str(temporary)}
    ended = oldphoto(folder, "restore", *places, "--model", "invert", ahead=as_a_user_nobody_knows(), **nothing)
    assert ended.returncode == 0, ended.stderr
    assert "note: no home folder can be read" in ended.stderr
    assert list((tmp_path / "new/photos").iterdir())
    assert list(folder.iterdir()) == []
    assert list(temporary.iterdir()) == [], "the state of the run is gone with it"
