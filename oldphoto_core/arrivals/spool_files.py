"""The files of one folder of a spool, each read with suspicion: what is damaged is put aside, and the others go on."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from oldphoto_core.errors import StorageError
from oldphoto_core.names import visible
from oldphoto_core.storage.keys import is_temporary

LOG = logging.getLogger(__name__)
QUARANTINE = "quarantine"
"""Folder of the spool for what no receiver could have written, as it was found."""
MAX_BYTES = 2**28
"""Of a file: 10,000 keys of 1 KiB are a tenth of that."""
_SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EINTR, errno.EAGAIN}


class SpoolFiles:
    """JSON files of one kind in a folder of the spool."""

    def __init__(self, spool: Path, folder: str, name: re.Pattern[str], parse: Callable[[str, Any], Any]) -> None:
        """`name` is the form of a file's name; `parse(name, content)` raises ValueError, TypeError or KeyError."""
        self._folder, self._quarantine = spool / folder, spool / QUARANTINE
        self._name, self._parse = name, parse
        self._stuck: set[str] = set()

    def names(self) -> list[str]:
        """Names of the files, sorted; anything else that lies there is put aside."""
        try:
            found = sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"{self._folder} cannot be listed ({error.strerror}); check it") from error
        return [name for name in found if self._is_ours(name)]

    def read(self) -> Iterator[tuple[str, Any]]:
        """Name and content of each file, sorted by name; a damaged one is put aside.

        Raises:
            StorageError: this process or machine lacks what it takes to read; nothing is wrong with the file.
        """
        for name in self.names():
            try:
                yield name, self._parse(name, json.loads(self._bytes(name)))
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno in _SHORTAGES:
                    raise StorageError(f"{self._folder / name} cannot be read now ({error.strerror})") from error
                self._put_aside(name, f"it cannot be read ({error.strerror})")
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                self._put_aside(name, f"it is not what was written ({type(error).__name__})")

    def _is_ours(self, name: str) -> bool:
        if name in self._stuck or is_temporary(name):
            return False
        if not self._name.fullmatch(name):
            self._put_aside(name, "no receiver gives such a name")
            return False
        return True

    def _bytes(self, name: str) -> bytes:
        # neither a link nor a pipe, which would be waited for
        descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
                raise ValueError("no file of a spool")
            return file.read()

    def _put_aside(self, name: str, why: str) -> None:
        aside = self._quarantine / f"{self._folder.name}-{secrets.token_hex(4)}-{name[:60]}"
        try:
            self._quarantine.mkdir(exist_ok=True)
            os.rename(self._folder / name, aside)
            LOG.error("damaged: %s of the spool: %s; it lies in %s now", visible(name), why, visible(str(aside)))
        except FileNotFoundError:
            return
        except OSError as error:
            self._stuck.add(name)
            LOG.error("damaged: %s of the spool: %s; it stays (%s)", visible(name), why, error.strerror)


def damaged(spool: Path) -> int:
    """How many files were put aside and lie there still."""
    try:
        return len(os.listdir(spool / QUARANTINE))
    except OSError:
        return 0
