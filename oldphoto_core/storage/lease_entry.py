"""One entry of a lease: who holds it and for how long. It is read from a store, where anybody may have written it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from dataclasses import asdict, dataclass
from typing import Any

from oldphoto_core.storage.processes import began, is_gone, kernel

SECONDS = 60.0
"""How long a lease holds that nobody renews."""
MOST_SECONDS = 600.0
"""What an entry may ask for; one that asks for more is malformed."""
LONGEST_HOST = 255
"""Characters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseEntry:
    """Who holds a lease, as its newest entry says."""

    host: str = ""
    """Name of the machine; empty where the entry cannot be read."""
    pid: int = 0
    """Number of the process there."""
    kernel: str = ""
    """Names that boot of that machine, as `processes.kernel`."""
    started: str = ""
    """When that process began, as `processes.began`."""
    holder: str = ""
    """Random name of the lease object."""
    seconds: float = SECONDS
    """How long the entry holds after it was written, unless a newer one follows. No clock time: clocks differ."""
    released: bool = False
    """Whether the holder gave it up."""

    @property
    def is_over(self) -> bool:
        """Whether nobody need wait: it was released, or its process ran under this very kernel and has ended."""
        return self.released or (bool(self.kernel) and self.kernel == kernel() and is_gone(self.pid, self.started))

    @property
    def who(self) -> str:
        """The holder, for messages."""
        if not self.host:
            return "a process whose entry cannot be read"
        return f"process {self.pid} on {ascii(self.host)[1:-1]}"

    def to_bytes(self) -> bytes:
        """JSON; two entries are never the same bytes."""
        # `until` is for older versions of this program, which compare it with their own clocks
        extra = {"until": time.time() + self.seconds, "token": secrets.token_hex(8)}
        return json.dumps({**asdict(self), **extra}).encode()


def own_entry(holder: str, seconds: float, *, released: bool = False) -> LeaseEntry:
    """The entry by which this process holds, or releases, a lease."""
    return LeaseEntry(
        host=socket.gethostname() or "unknown",
        pid=os.getpid(),
        kernel=kernel(),
        started=began(os.getpid()),
        holder=holder,
        seconds=seconds,
        released=released,
    )


def read_entry(data: bytes) -> LeaseEntry:
    """The entry of these bytes. A malformed one counts as held for SECONDS by somebody unknown; nothing is raised."""
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        return LeaseEntry()
    entry = _entry_of(plain) if isinstance(plain, dict) else None
    return entry if entry is not None else LeaseEntry()


def _entry_of(plain: dict[str, Any]) -> LeaseEntry | None:
    # entries of older versions have no `seconds`
    fields = {"seconds": SECONDS} | {name: plain[name] for name in LeaseEntry.__slots__ if name in plain}
    texts = all(isinstance(fields.get(name), str) for name in ("host", "kernel", "started", "holder"))
    seconds, pid = fields["seconds"], fields.get("pid")
    numbers = type(pid) is int and 0 < pid < 2**31 and type(seconds) in (int, float)
    if not (texts and numbers and isinstance(fields.get("released"), bool)):
        return None
    sensible = 0 < len(fields["host"]) <= LONGEST_HOST and 0 < seconds <= MOST_SECONDS
    return LeaseEntry(**fields) if sensible else None
