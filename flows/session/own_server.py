"""The temporary Prefect server of this process: `flows/session/temporary_server.py` from the outside.

Its database lies in the user's cache folder (never in `~/.prefect`), so that only the first run pays for creating it. A
second command at the same time gets a throw-away database. Nobody without this process's secret gets an answer.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from flows.session.prefect_settings import own_home
from oldphoto_core.errors import OldPhotoError
from oldphoto_core.folders import private_folder

SECONDS_TO_START = 180.0
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(:.*)?")


class PrefectUnavailable(OldPhotoError):
    """No Prefect server answers: the named one is away, or a temporary one did not start."""


class TemporaryServer:
    """One per process, started at its first session; it ends with the process."""

    _running: TemporaryServer | None = None

    def __init__(self, home: Path, lock: IO[bytes] | None) -> None:
        self.home = home
        self.auth_string = f"oldphoto:{secrets.token_urlsafe(32)}"
        self._log = home / "server.log"
        self._lock = lock
        self._url = ""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "flows.session.temporary_server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment(),
                cwd=home,  # whose settings of Prefect are none
                start_new_session=True,  # Ctrl-C is for the run, which still has to report to this server
                pass_fds=(lock.fileno(),) if lock else (),
            )

    def _environment(self) -> dict[str, str]:
        # what the user's Prefect is like is no matter of this server
        ours = {name: value for name, value in os.environ.items() if not name.upper().startswith("PREFECT_")}
        return {
            **ours,
            "PYTHONSAFEPATH": "1",
            "TMPDIR": str(private_folder()),
            "PREFECT_HOME": str(self.home),
            "PREFECT_PROFILES_PATH": str(self.home / "profiles.toml"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": os.environ.get("PREFECT_SERVER_ANALYTICS_ENABLED", "false"),
            "PREFECT_SERVER_API_AUTH_STRING": self.auth_string,
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{self.home / 'prefect.db'}",
            "PREFECT_UI_ENABLED": "0",
            "PREFECT__SERVER_EPHEMERAL": "1",
            "PREFECT__SERVER_FINAL": "1",
        }

    @classmethod
    def start(cls, say: Callable[[str], None]) -> TemporaryServer:
        """The one of this process, which is started if there is none; `say` gets a line on how long that takes."""
        if cls._running is None or cls._running._process.poll() is not None:
            home, lock = _home()
            seconds = 10 if (home / "prefect.db").exists() else 20
            say(f"starting Prefect's temporary server, about {seconds} s (PREFECT_API_URL names a running one) ...")
            cls._running = cls(home, lock)
        return cls._running

    def wait_until_ready(self) -> str:
        """The API's URL, once it answers. Raises PrefectUnavailable."""
        if not self._url:
            deadline = time.monotonic() + SECONDS_TO_START
            port = self._port(deadline)
            url = f"http://127.0.0.1:{port}/api"
            while not answers(url):
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
        cause = cause_in(self._log.read_text(errors="replace"))
        return PrefectUnavailable(
            f"Prefect's temporary server did not start ({cause or 'no answer'}); see {self._log},"
            " or start one with `prefect server start` and name it in PREFECT_API_URL"
        )


def cause_in(log: str) -> str:
    """What a log says went wrong: the line of its last exception, which is not always its last line."""
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    of_exceptions = [
        line for before, line in itertools.pairwise(lines) if before.startswith("  ") and _EXCEPTION.fullmatch(line)
    ]
    return (of_exceptions or lines or [""])[-1]


def answers(url: str) -> bool:
    """Whether an API answers there."""
    import httpx

    try:
        return httpx.get(f"{url}/health", timeout=10.0).status_code < 500
    except httpx.HTTPError:
        return False


def _home() -> tuple[Path, IO[bytes] | None]:
    """A folder for the server's database that no other process uses now."""
    home = own_home()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)  # its database names what runs restore; older versions made it readable for all
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
    return Path(tempfile.mkdtemp(prefix="prefect-", dir=private_folder()))
