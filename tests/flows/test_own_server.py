"""The temporary server of a command, where machine and folder do their worst, and what strangers may ask it."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from flows.session.own_server import PrefectUnavailable, TemporaryServer, _home, cause_in
from flows.session.surroundings import prepare_process

FOREIGN = {"Origin": "https://a-page-in-the-browser.example"}
HOSTILE = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "PREFECT_SERVER_API_AUTH_STRING": "",
    "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": "*",
    "PREFECT_API_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:////nowhere/prefect.db",
    "PREFECT_LOGGING_LEVEL": "loud",
    "PREFECT_PROFILE": "no such profile",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the server's state."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporaryServer]:
    """Started in the folder of another Prefect project, with the settings and proxies of a user who has both."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("flows/__init__.py", "secrets.py", "random.py", "uvicorn.py", "prefect.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("raise RuntimeError('imported from the working folder')")
    for name in ("prefect.toml", "pyproject.toml", ".env"):
        (folder / name).write_bytes(b"no settings \xff")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in HOSTILE.items():
            patch.setenv(name, value)
        for name in ("HOME", "NO_PROXY", "no_proxy", "PYTHONSAFEPATH", "LOGNAME"):
            patch.setenv(name, os.environ.get(name, ""))  # prepare_process changes them, and this puts them back
        prepare_process()
        server = TemporaryServer(home, None)
        server.wait_until_ready()
        yield server
        server._process.kill()
        server._process.wait()


@pytest.fixture
def api(server: TemporaryServer) -> Iterator[httpx.Client]:
    """Somebody on this machine without the secret."""
    with httpx.Client(base_url=server.wait_until_ready(), timeout=60, trust_env=False) as client:
        yield client


def owner(server: TemporaryServer) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(server.auth_string.encode()).decode()}"}


def test_a_stranger_can_neither_read_a_run_nor_cancel_it(server: TemporaryServer, api: httpx.Client) -> None:
    flow = api.post("/flows/", json={"name": "restore"}, headers=owner(server)).json()
    run = api.post("/flow_runs/", json={"flow_id": flow["id"]}, headers=owner(server)).json()
    cancelling = {"state": {"type": "CANCELLED"}, "force": True}
    path = f"/flow_runs/{run['id']}"
    for headers in ({}, {"Authorization": "Basic b2xkcGhvdG86"}, {"Authorization": "Bearer x"}):
        assert api.get(path, headers=headers).status_code == 401
        assert api.post("/flow_runs/filter", json={}, headers=headers).status_code == 401
        assert api.post(f"{path}/set_state", json=cancelling, headers=headers).status_code == 401
    assert api.get(path, headers=owner(server)).json()["state"]["type"] != "CANCELLED"


def test_a_page_of_another_site_is_allowed_nothing(api: httpx.Client) -> None:
    asked = {**FOREIGN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for path in ("/flow_runs/", "/flow_runs/filter", "/admin/settings"):
        answer = api.options(path, headers=asked)
        assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in api.get("/health", headers=FOREIGN).headers


def test_the_secret_is_in_no_argument_log_or_file(server: TemporaryServer, api: httpx.Client, home: Path) -> None:
    api.get("/flow_runs/count", headers=owner(server))
    secret = server.auth_string.partition(":")[2]
    assert len(secret) > 40
    assert secret not in " ".join(psutil.Process(server._process.pid).cmdline())
    assert not [path for path in home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_two_servers_have_two_secrets(server: TemporaryServer, tmp_path: Path) -> None:
    other = TemporaryServer(tmp_path, None)
    other._process.kill()
    other._process.wait()
    assert other.auth_string != server.auth_string


def test_nobody_else_reads_the_servers_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = tmp_path / "prefect"
    older.mkdir(mode=0o755)
    monkeypatch.setattr("flows.session.own_server.own_home", lambda: older)
    home, lock = _home()
    assert lock is not None
    lock.close()
    assert home == older
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_server_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/uvicorn.py").write_text("raise RuntimeError('this uvicorn is broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    server = TemporaryServer(tmp_path, None)
    with pytest.raises(PrefectUnavailable, match=r"did not start \(RuntimeError: this uvicorn is broken\); see "):
        server.wait_until_ready()


def test_the_cause_is_not_the_last_line_of_a_log() -> None:
    log = """INFO: starting
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    import flows
ModuleNotFoundError: No module named 'flows.session.temporary_server'

ERROR:    Application startup failed. Exiting.
"""
    assert cause_in(log) == "ModuleNotFoundError: No module named 'flows.session.temporary_server'"
    assert cause_in("one\nthe last line\n") == "the last line"
    assert cause_in("") == ""
