"""Rights to files and network that this process gives up for good (Landlock, Linux 5.13 and later)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import sys
from collections.abc import Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446
"""Numbers of the system calls, the same on every processor that matters here."""
_ONLY_VERSION, _BENEATH = 1, 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""Rights that each version knows, counted from bit 0; a version that is missing knows those of the one before."""
_NET_RIGHTS, _NET_SINCE = 0b11, 4
"""Binding and connecting TCP sockets."""
_SCOPES, _SCOPES_SINCE = 0b11, 6
"""Abstract sockets and signals of processes that are not confined with this one."""


class _Rules(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Of Landlock in this kernel; 0: there is none, or it is switched off."""
    if sys.platform != "linux":
        return 0
    return max(0, _call(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_ONLY_VERSION)))


def read_only_beneath(paths: Iterable[str]) -> int:
    """Gives up all of this thread's rights to files but reading below `paths`; returns the version, 0: nothing done.

    Threads that exist already keep theirs; those to come have none. The process must have given up new privileges
    before (PR_SET_NO_NEW_PRIVS).
    """
    if not (found := version()):
        return 0
    rules = _Rules((1 << max(count for since, count in _FILE_RIGHTS.items() if since <= found)) - 1, 0, 0)
    rules.network = _NET_RIGHTS if found >= _NET_SINCE else 0
    rules.scopes = _SCOPES if found >= _SCOPES_SINCE else 0
    size = 24 if found >= _SCOPES_SINCE else 16 if found >= _NET_SINCE else 8
    ruleset = _call(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        return 0
    try:
        for path in paths:
            with contextlib.suppress(OSError):
                _allow_reading(ruleset, path)
        return found if _call(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0)) == 0 else 0
    finally:
        os.close(ruleset)


def _allow_reading(ruleset: int, path: str) -> None:
    """Of a file, or of everything below a folder. Raises OSError when there is none."""
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = _READ_FILE | (_READ_FOLDER if stat.S_ISDIR(os.fstat(place).st_mode) else 0)
        _call(
            _ADD, ctypes.c_int(ruleset), ctypes.c_int(_BENEATH), ctypes.byref(_Beneath(rights, place)), ctypes.c_int(0)
        )
    finally:
        os.close(place)


def _call(number: int, *arguments: object) -> int:
    return int(ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *arguments))
