"""Prefect's settings in a process of ours: which of the user's count, and what is said when they cannot be read.

Where Prefect is, and how it is reached, is the user's choice; what a run does is not a matter of a profile. Flows and
tasks state their own retries and results, and what they cannot state is taken back here.
"""

from __future__ import annotations

import io
import os
import sys
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stderr
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oldphoto_core.errors import OldPhotoError
from oldphoto_core.folders import cache_folder, home_folder

if TYPE_CHECKING:
    from prefect.settings import Settings
    from pydantic import BaseModel

_QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # what the tag WATCHED of flows.session.server promises
    "DASK_LOGGING__DISTRIBUTED": "error",
}
_OF_A_RUN = frozenset({"debug_mode", "deployments", "experiments", "flows", "results", "runner", "tasks", "testing"})
"""Groups of settings that change what a run does, and not where Prefect is."""
_OF_A_MACHINE = frozenset({"cli", "home", "logging", "profiles_path", "server", "telemetry"})
"""Groups that stay the user's even with a server of our own."""


class PrefectMisconfigured(OldPhotoError):
    """Prefect's settings, in the environment, a profile or a file of the working folder, cannot be read."""


def import_prefect() -> Settings:
    """Import Prefect, quietly, and return the settings that it found.

    Raises:
        PrefectMisconfigured: with the file, or the setting, and what is wrong with it.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if "PREFECT_HOME" not in os.environ and not _has_prefect_home():  # importing Prefect would create it
        os.environ["PREFECT_HOME"] = str(own_home())
    said = io.StringIO()
    try:
        with redirect_stderr(said):  # where it reports at length what is one line below
            from prefect.settings import get_current_settings

            settings = get_current_settings()
    except ImportError:
        raise
    except Exception as error:  # a file of another shape ends in whatever its values lead to
        raise PrefectMisconfigured(f"Prefect's settings cannot be read: {_in_one_line(error)}") from error
    sys.stderr.write(said.getvalue())
    return settings


def own_home() -> Path:
    """The folder in which commands keep Prefect's state: never `~/.prefect`."""
    return cache_folder() / f"prefect-{version('prefect')}"


def taken_back(settings: Settings, *, named_server: bool) -> dict[str, Any]:
    """Defaults, by paths as `tasks.default_retries`, in place of the user's settings that must not count.

    With a server that the user named, those of a run; with one of our own, all that lead elsewhere, too.
    """
    defaults = dict(_defaults_of_set(settings))
    if named_server:
        return {path: value for path, value in defaults.items() if path.partition(".")[0] in _OF_A_RUN}
    return {path: value for path, value in defaults.items() if path.partition(".")[0] not in _OF_A_MACHINE}


def _defaults_of_set(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    from pydantic import BaseModel
    from pydantic_core import PydanticUndefined

    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from _defaults_of_set(value, f"{prefix}{name}.")
        elif name not in settings.model_fields_set:
            continue
        elif field.default is not PydanticUndefined:
            yield f"{prefix}{name}", field.default
        elif not field.default_factory_takes_validated_data:  # else a place in PREFECT_HOME
            yield f"{prefix}{name}", field.get_default(call_default_factory=True)


def _has_prefect_home() -> bool:
    home = home_folder()
    return home is not None and os.access(home / ".prefect", os.R_OK | os.W_OK | os.X_OK)


def _in_one_line(error: Exception) -> str:
    """Without the value of a setting, which may be a secret."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first: Any = error.errors(include_url=False, include_input=False)[0]
        return f"{error.title}.{'.'.join(map(str, first['loc']))}: {first['msg']}; mend it, or unset it"
    return f"{_broken_file()}{' '.join(str(error).split())}; mend the file, or move it away"


def _broken_file() -> str:
    """The first of the files with settings that is not what it should be, else all there are, for whoever looks."""
    home = Path(os.environ.get("PREFECT_HOME") or (home_folder() or Path()) / ".prefect")
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml")
    found = []
    for path in (Path(".env"), Path("prefect.toml"), Path("pyproject.toml"), profiles):
        try:
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".toml":
                tomllib.loads(text)
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            return f"{path}: "
        found.append(str(path))
    return f"{' or '.join(found)}: " if found else ""
