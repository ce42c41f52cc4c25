"""An HTTP proxy in front of an S3 server that does to requests what networks and stores do to them on bad days.

Which request is hit depends on the seed, the request and how often it was made, never on the order of threads.
"""

from __future__ import annotations

import http.client
import http.server
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["slow down", "error", "expired", "reset", "lost reply", "stall", "truncate", "corrupt", "stale"]
ANY: tuple[Fault, ...] = (
    "slow down",
    "error",
    "expired",
    "reset",
    "lost reply",
    "stall",
    "truncate",
    "corrupt",
    "stale",
)
ANSWERS = {"slow down": (503, "SlowDown"), "error": (500, "InternalError"), "expired": (400, "ExpiredToken")}


@dataclass
class Request:
    """What a client asks for."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def lists(self) -> bool:
        return self.method == "GET" and "list-type=2" in self.path

    @property
    def reads(self) -> bool:
        """An object, or a part of one."""
        return self.method == "GET" and not self.lists and "uploads" not in self.path

    def takes(self, fault: Fault) -> bool:
        """Whether the fault can be done to it."""
        if fault == "stale":
            return self.lists
        if fault == "truncate":
            return self.method == "GET"
        return fault != "corrupt" or ((self.reads or self.method == "PUT") and "uploads" not in self.path)


@dataclass
class Reply:
    """What the store says."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    length: int


@dataclass
class Storm:
    """Goes on as long as the proxy runs: at `rate` of all requests, and where `strike` says so."""

    upstream: str
    rate: float = 0.0
    seed: int = 0
    kinds: tuple[Fault, ...] = ANY
    stall_seconds: float = 2.0
    hits: Counter[str] = field(default_factory=Counter)
    seen: list[Request] = field(default_factory=list)
    _ordered: list[tuple[Fault, Callable[[Request], bool], int]] = field(default_factory=list)
    _refused: list[tuple[Callable[[Request], bool], int, str]] = field(default_factory=list)
    _before: list[tuple[Callable[[Request], bool], Callable[[], object]]] = field(default_factory=list)
    _asked: Counter[str] = field(default_factory=Counter)
    _listings: dict[str, Reply] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def strike(self, fault: Fault, when: Callable[[Request], bool] = lambda request: True, times: int = 1) -> None:
        """The next `times` requests that `when` is true of are hit."""
        self._ordered.append((fault, when, times))

    def before(self, when: Callable[[Request], bool], do: Callable[[], object]) -> None:
        """`do` it once, before the store hears of the first such request."""
        self._before.append((when, do))

    def refuse(self, when: Callable[[Request], bool], status: int, code: str) -> None:
        """Requests that `when` is true of are always answered so, and the store does not hear of them."""
        self._refused.append((when, status, code))

    def refusal_of(self, request: Request) -> Reply | None:
        """What it is answered; None: it goes its way."""
        return next((_refusal(status, code) for when, status, code in self._refused if when(request)), None)

    def calm(self) -> None:
        """Forgets what was ordered, and what was seen."""
        for memory in (self.hits, self.seen, self._ordered, self._before, self._asked, self._listings):
            memory.clear()

    def fault_of(self, request: Request) -> Fault | None:
        """What happens to it."""
        with self._lock:
            self.seen.append(request)
            name = f"{request.method} {request.path}"
            self._asked[name] += 1
            fault = self._ordered_fault(request) or self._random_fault(request, f"{name} {self._asked[name]}")
            if fault:
                self.hits[fault] += 1
            return fault

    def _ordered_fault(self, request: Request) -> Fault | None:
        for number, (fault, when, times) in enumerate(self._ordered):
            if times and request.takes(fault) and when(request):
                self._ordered[number] = (fault, when, times - 1)
                return fault
        return None

    def _random_fault(self, request: Request, name: str) -> Fault | None:
        dice = random.Random(f"{self.seed} {name}")
        if dice.random() >= self.rate:
            return None
        return dice.choice([fault for fault in self.kinds if request.takes(fault)])

    def prepare(self, request: Request) -> None:
        """Does what is to be done before."""
        with self._lock:
            due = [pair for pair in self._before if pair[0](request)]
            self._before = [pair for pair in self._before if pair not in due]
        for _, do in due:
            do()

    def listed(self, request: Request, reply: Reply, *, stale: bool) -> Reply:
        """The listing, or what it was when it was first asked for."""
        first = self._listings.setdefault(request.path, reply)
        return first if stale else reply


@contextmanager
def storm_before(endpoint: str, **weather: object) -> Iterator[tuple[Storm, str]]:
    """A proxy to the S3 server at `endpoint`, on loopback; gives its storm and its own URL."""
    storm = Storm(endpoint, **weather)  # type: ignore[arg-type]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"storm": storm}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield storm, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    storm: Storm
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self._store = http.client.HTTPConnection(urlsplit(self.storm.upstream).netloc, timeout=60)

    def finish(self) -> None:
        self._store.close()
        super().finish()

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:  # the client has given up, which is what it is tested for
            self.close_connection = True

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, dict(self.headers.items()), body)
        self.storm.prepare(request)
        if refusal := self.storm.refusal_of(request):
            return self._answer(refusal)
        fault = self.storm.fault_of(request)
        if fault in ANSWERS:
            return self._answer(_refusal(*ANSWERS[fault]))
        if fault == "reset" or (fault == "stall" and not request.reads):
            return self._break_off(self.storm.stall_seconds if fault == "stall" else 0)
        if fault == "corrupt" and request.method == "PUT":
            request.body = _with_a_wrong_byte(request.body)
        reply = self._forward(request)
        if fault == "lost reply":
            return self._break_off()
        if request.lists and reply.status == 200:
            reply = self.storm.listed(request, reply, stale=fault == "stale")
        if fault in ("truncate", "stall"):
            self._answer(Reply(reply.status, reply.headers, reply.body[: len(reply.body) // 2], reply.length))
            return self._break_off(self.storm.stall_seconds if fault == "stall" else 0)
        if fault == "corrupt" and request.method == "GET" and reply.status < 300:
            reply.body = _with_a_wrong_byte(reply.body)
        return self._answer(reply)

    do_PUT = do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815

    def _forward(self, request: Request) -> Reply:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN}
        self._store.request(request.method, request.path, request.body or None, headers)
        response = self._store.getresponse()
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in _OWN]
        return Reply(response.status, kept, response.read(), int(response.headers.get("Content-Length") or 0))

    def _answer(self, reply: Reply) -> None:
        self.send_response_only(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(reply.length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
        self.wfile.flush()

    def _break_off(self, after: float = 0.0) -> None:
        time.sleep(after)
        # no orderly end, but a reset
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        raise ConnectionAbortedError

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


_OWN = {"connection", "keep-alive", "content-length", "transfer-encoding", "expect", "host"}
"""Headers that are the affair of each of the two connections."""


def _refusal(status: int, code: str) -> Reply:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
    return Reply(status, [("Content-Type", "application/xml")], body, len(body))


def _with_a_wrong_byte(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 0x55]) + body[middle + 1 :] if body else body
