"""PostgreSQL for a fleet on this machine: a database of its own, on loopback, gone when the fleet is."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from infra.processes import NotStarted, Processes, free_port

_PACKAGED = Path("/usr/lib/postgresql")
"""Where Debian keeps PostgreSQL's programs, a folder a version, in nobody's PATH."""
_USER = "postgres"
"""Who runs it where we are root: PostgreSQL refuses root."""


class Postgres:
    """Its data lie in a folder that `start` makes, and `remove` removes."""

    def __init__(self, programs: Path) -> None:
        """`programs`: the folder of `initdb` and `postgres`, as `programs_of_postgres` finds it."""
        self.programs = programs
        self._port, self._password = free_port(), secrets.token_hex(16)
        self._folder = Path()

    @property
    def url(self) -> str:
        """For PREFECT_SERVER_DATABASE_CONNECTION_URL; holds the password."""
        return f"postgresql+asyncpg://prefect:{self._password}@127.0.0.1:{self._port}/postgres"

    def start(self, processes: Processes) -> None:
        """Make the database and start it as the process `postgres`. Raises NotStarted."""
        # not in the private folder of this process, which the user who runs it cannot enter
        self._folder = Path(tempfile.mkdtemp(prefix="oldphoto-postgres-"))
        password = self._folder / "password"
        password.touch(mode=0o600)
        password.write_text(self._password)
        if os.geteuid() == 0:
            for path in (self._folder, password):
                shutil.chown(path, _USER, _USER)
        owner = ("-U", "prefect", "-A", "scram-sha-256", "--pwfile", password)
        made = subprocess.run(
            [self.programs / "initdb", "-D", self._data, *owner, "-E", "UTF8", "--no-sync"],
            capture_output=True,
            text=True,
            **_as_nobody_special(),
        )
        if made.returncode != 0:
            raise NotStarted(f"initdb ended with {made.returncode}: {' '.join(made.stderr.split()[-30:])}")
        places = ["-D", str(self._data), "-k", str(self._folder), "-h", "127.0.0.1", "-p", str(self._port)]
        processes.start_program("postgres", str(self.programs / "postgres"), *places, **_as_nobody_special())
        processes.wait("postgres", self._answers, seconds=60)

    def remove(self) -> None:
        """Once it is stopped."""
        if self._folder.name:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _answers(self) -> bool:
        asked = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(asked, check=False).returncode == 0


def programs_of_postgres() -> Path | None:
    """The folder of PostgreSQL's programs; None where it is not installed, or root has nobody to run it as."""
    import pwd

    if os.geteuid() == 0 and _USER not in {user.pw_name for user in pwd.getpwall()}:
        return None
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    packaged = sorted(_PACKAGED.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return packaged[-1].parent if packaged else None


def _as_nobody_special() -> dict[str, Any]:
    return {"user": _USER, "group": _USER, "extra_groups": [], "cwd": "/"} if os.geteuid() == 0 else {}
