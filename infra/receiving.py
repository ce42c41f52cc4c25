"""What the HTTP receiver and the SQS poller share: settings, and one gathering thread over one spool."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from flows.session.logs import OneLine
from flows.session.surroundings import prepare_process
from infra.prefect_events import PrefectEvents
from oldphoto_core.arrivals import ArrivalSpool, Dispatcher, Gathering, Sorted, read_notification, sort_arrivals
from oldphoto_core.errors import OldPhotoError
from oldphoto_core.storage import Bucket

LOG = logging.getLogger("oldphoto.arrivals")
_EXAMPLES = 3

Source = Annotated[str, typer.Option(envvar="OLDPHOTO_SOURCE", help="Collection whose arrivals are taken.")]
Target = Annotated[str, typer.Option(envvar="OLDPHOTO_TARGET", help="Where it is restored to; gets lists of keys.")]
SpoolFolder = Annotated[Path, typer.Option("--spool", envvar="OLDPHOTO_SPOOL", help="Folder that outlives processes.")]
Quiet = Annotated[
    float, typer.Option(envvar="OLDPHOTO_QUIET_SECONDS", min=0, help="A burst is over when nothing came for so long.")
]
Longest = Annotated[
    float, typer.Option(envvar="OLDPHOTO_LONGEST_SECONDS", min=0, help="And at the latest so long after it began.")
]


@dataclass(frozen=True, slots=True)
class Door:
    """Where notifications come in."""

    source: Bucket
    spool: ArrivalSpool
    gatherer: threading.Thread
    dispatcher: Dispatcher

    def take(self, body: bytes) -> Sorted:
        """Keep what a notification announces; when this returns, it is on disk. Raises BadNotification, WriteFailed."""
        found = sort_arrivals(read_notification(body), self.source)
        self.spool.accept(found.keys)
        if found.refused_count:
            examples = "; ".join(found.refused[:_EXAMPLES])
            LOG.warning("refused %d keys, the first of them: %s", found.refused_count, examples)
        if found.keys:
            LOG.info("accepted %d keys", len(found.keys))
        return found

    def state(self) -> dict[str, bool | int]:
        """What `GET /health` answers: whether accepted notifications are gathered, and batches announced."""
        spool, dispatcher = self.spool, self.dispatcher
        try:
            waiting = spool.waiting
        except OldPhotoError:
            waiting = -1
        gathering = self.gatherer.is_alive() and dispatcher.gathers and waiting >= 0
        return {
            "gathering": gathering, "announcing": dispatcher.announces, "waiting": waiting, "damaged": spool.damaged
        }  # fmt: skip


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for chatty in ("httpx", "botocore", "aiobotocore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


@contextmanager
def opened(source: str, target: str, folder: Path, gathering: Gathering) -> Iterator[Door]:
    """A door with its gathering thread, until the end of the block."""
    prepare_process()
    _log_to_stderr()
    spool = ArrivalSpool(folder, gathering)
    bucket = Bucket(source)
    over = threading.Event()
    dispatcher = Dispatcher(spool, Bucket(target), PrefectEvents(source))
    gatherer = threading.Thread(target=dispatcher.run, args=(over.wait,), name="gatherer", daemon=True)
    gatherer.start()
    try:
        yield Door(bucket, spool, gatherer, dispatcher)
    finally:
        over.set()
        spool.close()


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    return stopping
