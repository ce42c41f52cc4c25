"""One coordinator at a time in a target: two would plan the same photos, and finalise each other's runs.

Who coordinates a run holds a lease, `TARGET/lease`, from before the plan until the run is finalised. Those who only
restore shards that a coordinator hands them need none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from oldphoto_core.errors import NoConditions
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.lease import Lease
from oldphoto_core.storage.lease_entry import SECONDS

LEASE = "lease"

UNKEPT = "nobody keeps a second run out of this target"
"""How the line begins that says so."""

log = logging.getLogger("oldphoto.coordination")


@contextmanager
def sole_coordinator(
    target: str, say: Callable[[str], None] = log.warning, *, seconds: float = SECONDS
) -> Iterator[Callable[[], None]]:
    """Keeps other coordinators out of `target`; gives a function that raises Occupied once that has failed.

    Where somebody else holds the lease, `say` is called with who, and it is watched for as long as it holds: who does
    not renew it loses it, who renews it keeps it. A process that died on this machine loses it at once.
    Stores that know no conditional writes keep nobody out; `say` is called with that.

    Raises:
        Occupied: another coordinator is at work there; the message says on which machine.
        NoCredentials, WriteFailed, StorageError: the target cannot be written.
    """
    with ExitStack() as held:
        lease = Lease(Bucket(target).join(LEASE), seconds=seconds, on_wait=say)
        try:
            held.enter_context(lease)
        except NoConditions as error:
            say(f"{UNKEPT}: {error}")
            yield lambda: None
        else:
            yield lease.check
