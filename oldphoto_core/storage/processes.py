"""Whether a process of this machine still runs: its number alone does not tell, since numbers are used again."""

from __future__ import annotations

import os
from pathlib import Path


def kernel() -> str:
    """Names this boot of this machine and the numbering of its processes; empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def began(pid: int) -> str:
    """When the process began, in ticks since boot; empty if there is none of that number, or only a dead one."""
    state, ticks = _stat(pid)
    return "" if state in ("Z", "X") else ticks


def is_gone(pid: int, ticks: str) -> bool:
    """Whether the process of this kernel that began at these ticks is no more; False where nobody can tell."""
    state, now = _stat(pid)
    if not now:
        return not _is_there(pid)
    return state in ("Z", "X") or now != ticks


def _stat(pid: int) -> tuple[str, str]:
    try:
        # what stands before the last bracket is the program's name, which may hold anything
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", ""
    return fields[0], fields[19]


def _is_there(pid: int) -> bool:
    # /proc may hide the processes of other people (hidepid), a signal does not
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
