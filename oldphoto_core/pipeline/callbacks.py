"""What the engine calls while it restores the photos of a shard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from oldphoto_core.pipeline.telemetry import Telemetry
from oldphoto_core.storage import LedgerRow

OnRow = Callable[[LedgerRow], None]
OnPart = Callable[[str, int, int], None]
OnBegin = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardCallbacks:
    """Called on the thread that restores, unless stated otherwise."""

    on_row: OnRow = lambda _row: None
    """A photo is done with; once per photo. What it raises ends the shard."""

    on_begin: OnBegin = lambda _key: None
    """A photo is started."""

    on_part: OnPart = lambda _key, _done, _total: None
    """So many parts, of how many, of a photo that is restored from disk are done: first those of the search for damage,
    if there is a detector, then those of the restoration."""

    check: Callable[[], None] = lambda: None
    """Called before each write to the target, on any thread. Raises Occupied once another process may be writing
    there, which ends the shard."""

    telemetry: Telemetry = field(default_factory=Telemetry)
    """Filled on the way."""
