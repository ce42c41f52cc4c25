"""An HTTP/1.1 server for strangers: bounds on connections, time and log lines that hold before any token is compared.

uvicorn bounds what a request may be, not how long its head may take nor how many connections may wait for one, and
asyncio logs a failed accept once for each place in the backlog, every second.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

LOG = logging.getLogger("oldphoto.http")
HEAD_BYTES = 2**14
"""Of a request's line and headers; a notification's head has some hundred."""
BACKLOG = 128
"""Connections that the kernel keeps until they are accepted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpLimits:
    """What connections may take."""

    connections: int = 256
    """Open connections, and at most half the files that the process may open."""
    per_client: int = 64
    """Open connections of one address; behind a proxy that is the proxy's."""
    head_seconds: float = 10.0
    """From the connection, or the last response, until the head of a request is complete."""
    request_seconds: float = 60.0
    """From there until the response is sent."""


class ConnectionGate:
    """The open connections of a server. At a limit, the oldest one that has sent no complete head is closed.

    So connections that only wait keep out nobody, however many there are.
    """

    def __init__(self, limits: HttpLimits) -> None:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.limits = limits
        self._most = limits.connections if files < 0 else max(1, min(limits.connections, files // 2))
        self._clients: dict[GuardedProtocol, str] = {}
        self._counts: Counter[str] = Counter()
        self._waiting: dict[GuardedProtocol, None] = {}

    def enter(self, connection: GuardedProtocol, client: str) -> bool:
        """Count a new connection; False if there is no room, as all others are being answered."""
        if self._counts[client] >= self.limits.per_client and not self._make_room(client):
            return False
        if len(self._clients) >= self._most and not self._make_room(None):
            return False
        self._clients[connection] = client
        self._counts[client] += 1
        self.wait(connection)
        return True

    def wait(self, connection: GuardedProtocol) -> None:
        """Note that the connection has no complete request head from now on."""
        self._waiting.pop(connection, None)
        if connection in self._clients:
            self._waiting[connection] = None

    def answer(self, connection: GuardedProtocol) -> None:
        """Note that the head of a request is complete."""
        self._waiting.pop(connection, None)

    def leave(self, connection: GuardedProtocol) -> None:
        """Forget a connection; more than once does nothing."""
        self._waiting.pop(connection, None)
        client = self._clients.pop(connection, None)
        if client is not None:
            self._counts[client] -= 1
            if not self._counts[client]:
                del self._counts[client]

    def _make_room(self, client: str | None) -> bool:
        oldest = next((each for each in self._waiting if client in (None, self._clients[each])), None)
        LOG.warning("too many connections: %s is closed", "the newest" if oldest is None else "the oldest that waits")
        if oldest is None:
            return False
        self.leave(oldest)
        oldest.transport.abort()
        return True


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a deadline in every state of a connection. `serving` makes subclasses with a gate."""

    gate: ConnectionGate
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Admit it, or close it at once."""
        super().connection_made(transport)
        if self.gate.enter(self, self.client[0] if self.client else ""):
            self._close_after(self.gate.limits.head_seconds)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another."""
        self._close_after(None)
        self.gate.leave(self)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Once the head of a request is complete, the deadline is that of its response."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self.gate.answer(self)
            self._close_after(self.gate.limits.request_seconds)

    def on_response_complete(self) -> None:
        """The deadline is that of the next head; what is left of an unread body does not move it."""
        self.gate.wait(self)
        self._close_after(self.gate.limits.head_seconds)
        super().on_response_complete()

    def _close_after(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        # abort, not close: a response that nobody reads would keep a closing connection for good
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)


class Throttled(logging.Filter):
    """One line of a kind in `seconds`, with the number of those left out; a kind is the first line of the message."""

    KINDS = 100
    """Kinds that are remembered."""

    def __init__(self, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds, self._clock = seconds, clock
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        kind, now = str(record.msg).partition("\n")[0], self._clock()
        written, left_out = self._seen.get(kind, (None, 0))
        if written is not None and now - written < self._seconds:
            self._seen[kind] = (written, left_out + 1)
            return False
        if len(self._seen) >= self.KINDS:
            self._seen.clear()
        self._seen[kind] = (now, 0)
        if left_out:
            record.msg = f"{record.msg} ({left_out} more like this were not logged)"
        return True


def throttle_logs() -> None:
    """Throttle what anybody who can connect could fill the log with; once."""
    for name in ("uvicorn.error", "asyncio", LOG.name):
        logger = logging.getLogger(name)
        if not any(isinstance(each, Throttled) for each in logger.filters):
            logger.addFilter(Throttled())


def server(
    app: Any, host: str, port: int, limits: HttpLimits | None = None, *, certificate: str = "", key: str = ""
) -> uvicorn.Server:
    """A server of `app` within limits: HTTP/1.1 alone, no WebSockets, no access log.

    `certificate` and `key` are PEM files for TLS; empty: none.
    """
    throttle_logs()
    protocol = type("Guarded", (GuardedProtocol,), {"gate": ConnectionGate(limits or HttpLimits())})
    # no access log: it would be the only place where what others send is written down unread
    config = uvicorn.Config(
        app, host=host, port=port, http=protocol, ws="none", loop="asyncio", backlog=BACKLOG,
        access_log=False, log_config=None, log_level="warning", timeout_keep_alive=5,
        h11_max_incomplete_event_size=HEAD_BYTES, ssl_certfile=certificate or None, ssl_keyfile=key or None,
    )  # fmt: skip
    return uvicorn.Server(config)
