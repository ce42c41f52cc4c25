"""Prefect for a command: the server that the user named, or a temporary one of our own.

A temporary server keeps its database in the user's cache folder (never in `~/.prefect`), so that only the first run
pays for creating it. A second command at the same time gets a throw-away database.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from oldphoto_core.errors import OldPhotoError

SECONDS_TO_START = 180.0
SECONDS_TO_ANSWER = 90.0
_QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # what the tag WATCHED of flows.server promises
    "DASK_LOGGING__DISTRIBUTED": "error",
}


class PrefectUnavailable(OldPhotoError):
    """No Prefect server answers: the named one is away, or a temporary one did not start."""


@contextmanager
def prefect_session(say: Callable[[str], None], meanwhile: Callable[[], object] | None = None) -> Iterator[None]:
    """Run flows inside; `say` gets one line for the terminal, `meanwhile` is done while a temporary server starts."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if not (Path.home() / ".prefect").exists():  # importing Prefect would create it
        os.environ.setdefault("PREFECT_HOME", str(_cache()))
    from prefect.settings import PREFECT_API_URL, get_current_settings

    if named := get_current_settings().api.url:
        say(f"using the Prefect server at {_without_password(named)}")
        if meanwhile:
            meanwhile()
        _wait_for(named, say)
        yield
        return
    server = _TemporaryServer.start(say)
    if meanwhile:
        meanwhile()
    url = server.wait_until_ready()
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

    # heartbeats tell a lasting server which runs died; a server that dies with the run has no use for them, and
    # joining their thread costs a second
    updates: dict[Any, Any] = {
        PREFECT_API_URL: url,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_LOGGING_TO_API_ENABLED: False,
    }
    with temporary_settings(updates):
        yield


def named_server() -> tuple[str, bool]:
    """The URL that the user's settings name, without a password, and whether it answers; "" for a temporary server."""
    from prefect.settings import get_current_settings

    named = get_current_settings().api.url
    return (_without_password(named), _answers(named)) if named else ("", False)


class _TemporaryServer:
    """One per process, started at its first session; it ends with the process."""

    _running: _TemporaryServer | None = None

    def __init__(self, home: Path, lock: IO[bytes] | None) -> None:
        self.home = home
        self._log = home / "server.log"
        self._lock = lock
        self._url = ""
        environment = {
            **os.environ,
            "PREFECT_HOME": str(home),
            "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
            "PREFECT_UI_ENABLED": "0",
            "PREFECT__SERVER_EPHEMERAL": "1",
            "PREFECT__SERVER_FINAL": "1",
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flows.temporary_server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the run, which still has to report to this server
                pass_fds=(lock.fileno(),) if lock else (),
            )

    @classmethod
    def start(cls, say: Callable[[str], None]) -> _TemporaryServer:
        if cls._running is None or cls._running._process.poll() is not None:
            home, lock = _home()
            seconds = 10 if (home / "prefect.db").exists() else 20
            say(f"starting Prefect's temporary server, about {seconds} s (PREFECT_API_URL names a running one) ...")
            cls._running = cls(home, lock)
        return cls._running

    def wait_until_ready(self) -> str:
        """The API's URL, once it answers."""
        if not self._url:
            deadline = time.monotonic() + SECONDS_TO_START
            port = self._port(deadline)
            url = f"http://127.0.0.1:{port}/api"
            while not _answers(url):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise self._failure()
                time.sleep(0.1)
            self._url = url
        return self._url

    def _port(self, deadline: float) -> int:
        lines: list[bytes] = []
        assert self._process.stdout is not None
        out = self._process.stdout
        reader = threading.Thread(target=lambda: lines.append(out.readline()), daemon=True)
        reader.start()
        reader.join(max(0.0, deadline - time.monotonic()))
        if not lines or not lines[0].strip().isdigit():
            raise self._failure()
        return int(lines[0])

    def _failure(self) -> PrefectUnavailable:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return PrefectUnavailable(
            f"Prefect's temporary server did not start ({lines[-1] if lines else 'no answer'}); see {self._log},"
            " or start one with `prefect server start` and name it in PREFECT_API_URL"
        )


def _cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "oldphoto" / f"prefect-{version('prefect')}"


def _home() -> tuple[Path, IO[bytes] | None]:
    """A folder for the server's database that no other process uses now."""
    home = _cache()
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "lock").open("ab")
    except OSError:
        return _throw_away_home(), None
    if _locked(lock):
        return home, lock
    lock.close()
    return _throw_away_home(), None


def _locked(lock: IO[bytes]) -> bool:
    try:
        import fcntl
    except ImportError:  # no such lock on this system: share nothing
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _throw_away_home() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="oldphoto-prefect-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _wait_for(url: str, say: Callable[[str], None]) -> None:
    """A scheduled run should not be lost to a server that is being restarted."""
    deadline = time.monotonic() + SECONDS_TO_ANSWER
    told = False
    while not _answers(url):
        if time.monotonic() > deadline:
            raise PrefectUnavailable(
                f"the Prefect server at {_without_password(url)} has not answered for {SECONDS_TO_ANSWER:.0f} s; start"
                " it, or unset PREFECT_API_URL to run with a temporary one"
            )
        if not told:
            say(f"it does not answer; waiting up to {SECONDS_TO_ANSWER:.0f} s for it ...")
            told = True
        time.sleep(1.0)


def _answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{url}/health", timeout=10.0).status_code < 500
    except httpx.HTTPError:
        return False


def _without_password(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    return scheme + mark + rest.rpartition("@")[2]
