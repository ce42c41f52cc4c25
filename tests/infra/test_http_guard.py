"""What strangers can do to the receiver's HTTP server: hold connections, open too many, fill the log."""

from __future__ import annotations

import logging
import os
import resource
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from test_receivers import Receiver, start
from waiting import wait_until

from oldphoto_core.http_guard import HttpLimits, Throttled, server

UNFINISHED = b"POST /arrivals HTTP/1.1\r\nHost: a\r\n"


@contextmanager
def serving(limits: HttpLimits) -> Iterator[int]:
    """The port of a server in this process that answers a body with its length, and /big with 1 MB."""

    async def length(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    async def big(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("x" * 10**6)

    app = Starlette(routes=[Route("/", length, methods=["GET", "POST"]), Route("/big", big)])
    running = server(app, "127.0.0.1", 0, limits)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        wait_until(lambda: running.started or not thread.is_alive(), "the server", every=0.01)
        assert thread.is_alive()
        yield running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.should_exit = running.force_exit = True
        thread.join()


def connected(port: int, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(sent)
    return connection


def ended(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    try:
        while more := connection.recv(65536):
            found += more
    except ConnectionResetError:
        pass
    return found


def sent(connection: socket.socket, data: bytes) -> bool:
    """Whether the other side is still there."""
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True


def test_an_unfinished_head_is_cut_off() -> None:
    with serving(HttpLimits(head_seconds=0.2)) as port:
        assert ended(connected(port, UNFINISHED)) == b""
        assert ended(connected(port)) == b""


def test_an_unfinished_body_is_cut_off() -> None:
    with serving(HttpLimits(request_seconds=0.2)) as port:
        assert ended(connected(port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1234")) == b""


def test_a_body_that_goes_on_after_its_answer_is_cut_off() -> None:
    with serving(HttpLimits(head_seconds=0.2)) as port:
        connection = connected(port, b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 404")
        while sent(connection, b"x"):
            pass


def test_an_answer_that_nobody_reads_is_cut_off() -> None:
    with serving(HttpLimits(head_seconds=0.2, request_seconds=0.2)) as port:
        process = psutil.Process()
        connection = connected(port, b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
        assert connection.recv(1)

        def is_open() -> bool:
            return any(each.raddr and each.laddr.port == port for each in process.net_connections())

        wait_until(lambda: not is_open(), "the end of the connection")
        connection.close()


def test_requests_one_after_another_are_answered_on_one_connection() -> None:
    with serving(HttpLimits()) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert [client.post("/", content=b"x" * size).text for size in (0, 5, 10**6)] == ["0", "5", "1000000"]


@pytest.mark.parametrize("limits", [HttpLimits(connections=4), HttpLimits(per_client=4)], ids=["total", "per client"])
def test_connections_that_only_wait_keep_out_nobody(limits: HttpLimits) -> None:
    with serving(limits) as port, ExitStack() as held:
        waiting = [held.enter_context(connected(port, UNFINISHED)) for _ in range(20)]
        assert httpx.post(f"http://127.0.0.1:{port}/", content=b"12345").text == "5"
        assert [ended(each) for each in waiting[:16]] == [b""] * 16


def test_beyond_the_limit_the_newest_is_closed_where_all_are_being_answered() -> None:
    with serving(HttpLimits(connections=2)) as port, ExitStack() as held:
        begun = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        busy = [held.enter_context(connected(port, begun)) for _ in range(2)]
        assert all(each.recv(100).startswith(b"HTTP/1.1 100") for each in busy)
        assert ended(connected(port)) == b""
        busy[0].sendall(b"ab")
        assert busy[0].recv(1000).startswith(b"HTTP/1.1 200")


def test_a_line_of_a_kind_is_written_once_in_a_while() -> None:
    now = [0.0]
    throttled = Throttled(60.0, lambda: now[0])
    written = []
    for second in range(130):
        now[0] = float(second)
        record = logging.LogRecord("a", logging.ERROR, "", 0, f"accept failed\nsocket {second}", None, None)
        if throttled.filter(record):
            written.append(record.getMessage())
    assert [line.splitlines()[0] for line in written] == ["accept failed"] * 3
    assert written[1].endswith("(59 more like this were not logged)")


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    running = start(tmp_path)
    yield running
    running.kill()


def port_of(receiver: Receiver) -> int:
    return int(receiver.url.rpartition(":")[2])


def limit_files(receiver: Receiver, most: int) -> None:
    resource.prlimit(
        receiver.process.pid, resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )


def test_300_unfinished_heads_do_not_hold_the_receiver(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1024), hard))
    receiver = start(tmp_path)
    limit_files(receiver, 128 + 256)  # fewer than the attack wants
    try:
        with ExitStack() as held:
            for _ in range(600):
                held.enter_context(connected(port_of(receiver), UNFINISHED))
            assert receiver.post(["a.tif"]).status_code == 202
        assert receiver.log.stat().st_size < 20_000
    finally:
        receiver.kill()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="sets the limits of another process")
def test_a_process_without_descriptors_says_so_once_and_recovers(receiver: Receiver) -> None:
    before = resource.prlimit(receiver.process.pid, resource.RLIMIT_NOFILE)[0]
    limit_files(receiver, len(os.listdir(f"/proc/{receiver.process.pid}/fd")))
    with ExitStack() as held:
        for _ in range(50):
            held.enter_context(connected(port_of(receiver), UNFINISHED))
        wait_until(lambda: "out of system resource" in receiver.log.read_text(), "the line of the log")
    limit_files(receiver, before)
    assert receiver.post(["a.tif"]).status_code == 202
    assert receiver.log.read_text().count("out of system resource") == 1


def test_invalid_requests_do_not_fill_the_log(receiver: Receiver) -> None:
    for _ in range(200):
        ended(connected(port_of(receiver), b"\0\r\n\r\n"))
    assert receiver.log.stat().st_size < 5_000
