"""What a machine, a user's habits and a working folder may do to a process of ours, and what is set against it."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable

from flows.session.logs import log_safely
from oldphoto_core.folders import home_folder, private_folder
from oldphoto_core.proxies import bypass_loopback


def prepare_process(say: Callable[[str], None] = lambda _line: None) -> None:
    """Prepare the environment of this process, which its children inherit; `say` gets a line on what is unusual.

    Python processes that it starts import nothing from the working folder. Loopback is reached without a proxy.
    Names in log lines cannot act on the terminal. Without a home folder that can be read, libraries find an empty one
    in the private folder of this process.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    bypass_loopback()
    log_safely()
    home = home_folder()
    if home is None or not os.access(home, os.R_OK | os.X_OK):
        stand_in = private_folder() / "home"
        stand_in.mkdir(mode=0o700, exist_ok=True)
        os.environ["HOME"] = str(stand_in)
        if not (os.environ.get("XDG_CACHE_HOME") and os.environ.get("XDG_DATA_HOME")):
            say("note: no home folder can be read: what would be kept there is lost at the end; set HOME")
    try:
        getpass.getuser()
    except (KeyError, OSError):  # a number that the system has no name for
        os.environ["LOGNAME"] = f"uid-{os.getuid()}"
