"""How many photos a process may work on at once.

Every decoded photo holds a descriptor (its pixels are anonymous memory), one on disk several. A process that has none
left fails at whatever it does next, so the engine bounds photos by number as well as by megapixels.
"""

from __future__ import annotations

import os

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

PHOTOS = 64
"""Photos in flight, at most, unless there are more threads than a quarter of that: more only wait for the network."""
DESCRIPTORS_PER_PHOTO = 8
"""Of a photo on disk that is read and written; one in memory holds two."""
_RESERVE, _RESERVE_PER_THREAD = 16, 4
"""Descriptors for everything else: the ledger, and a decoder process and a connection for each thread."""


def photos_at_once(threads: int) -> int:
    """Photos that may be in flight in this process, by number of threads and by the descriptors it has left."""
    most = max(PHOTOS, 4 * threads)
    if (left := _descriptors_left()) is None:
        return most
    return max(1, min(most, (left - _RESERVE - _RESERVE_PER_THREAD * threads) // DESCRIPTORS_PER_PHOTO))


def _descriptors_left() -> int | None:
    """Of this process's limit; None where there is none, or nobody tells."""
    if resource is None:
        return None
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        return None if limit == resource.RLIM_INFINITY else limit - len(os.listdir("/dev/fd"))
    except OSError:
        return limit // 2
