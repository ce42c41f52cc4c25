"""`python -m infra.receiver`: bucket notifications over HTTP, each on disk before it is answered.

    POST /arrivals    Authorization: Bearer TOKEN; a notification, or a list of keys (oldphoto_core.arrivals)
    GET /health       no token; 200 while notifications are taken and gathered, else 503; what waits, what was damaged

Answers: 202 kept, 400 no notification, 401 wrong token, 413 too large, 503 cannot be kept now, send it again.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Annotated

import typer
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from infra.receiving import LOG, Door, Longest, Quiet, Source, SpoolFolder, Target, opened
from oldphoto_core.arrivals import BadNotification, Gathering
from oldphoto_core.errors import OldPhotoError, StorageError, UsageError
from oldphoto_core.http_guard import server

MAX_BYTES = 2**20
"""Of a body: S3 sends one record a message, EventBridge 256 KiB at most."""
LEAST_TOKEN = 16
"""Characters; `openssl rand -hex 32` gives 64."""


def application(door: Door, token: str, max_bytes: int = MAX_BYTES) -> Starlette:
    """The two routes. Raises UsageError for a token that can be guessed."""
    if len(token) < LEAST_TOKEN:
        raise UsageError(f"the receiver's token has {len(token)} characters; give {LEAST_TOKEN} or more")
    expected = f"Bearer {token}".encode()

    async def arrivals(request: Request) -> JSONResponse:
        # in constant time: how long a wrong token takes must not tell how much of it is right
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected):
            return JSONResponse({"error": "wrong token"}, 401, {"WWW-Authenticate": "Bearer"})
        body = await _body(request, max_bytes)
        if body is None:
            return JSONResponse({"error": f"more than {max_bytes} bytes"}, 413, {"Connection": "close"})
        try:
            found = await run_in_threadpool(door.take, body)
        except BadNotification as error:
            return JSONResponse({"error": str(error)}, 400)
        except StorageError as error:
            LOG.error("cannot keep a notification: %s", error)
            return JSONResponse({"error": "cannot be kept now; send it again"}, 503, {"Retry-After": "60"})
        answer = {"accepted": len(found.keys), "elsewhere": found.elsewhere, "refused": found.refused}
        return JSONResponse({**answer, "refused_count": found.refused_count}, 202)

    async def health(_request: Request) -> JSONResponse:
        state = await run_in_threadpool(door.state)
        return JSONResponse(state, 200 if state["gathering"] else 503)

    return Starlette(routes=[Route("/arrivals", arrivals, methods=["POST"]), Route("/health", health, methods=["GET"])])


async def _body(request: Request, max_bytes: int) -> bytes | None:
    """The body, or None as soon as it is known to be too large, whatever its length was said to be."""
    said = request.headers.get("content-length", "0")
    if not said.isdigit() or int(said) > max_bytes:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            return None
    return bytes(body)


def _token(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"the token cannot be read from {path}: {type(error).__name__}") from error


def main(
    source: Source,
    target: Target,
    spool: SpoolFolder,
    token_file: Annotated[Path, typer.Option(envvar="OLDPHOTO_TOKEN_FILE", help="File that holds the token.")],
    host: Annotated[str, typer.Option(envvar="OLDPHOTO_RECEIVER_HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="OLDPHOTO_RECEIVER_PORT", help="Port to listen on.")] = 8090,
    quiet: Quiet = 60.0,
    longest: Longest = 900.0,
) -> None:
    """Take bucket notifications over HTTP and hand them to Prefect in batches."""
    gathering = Gathering(quiet_seconds=quiet, longest_seconds=longest)
    with opened(source, target, spool, gathering) as door:
        served = application(door, _token(token_file))
        server(served, host, port).run()


if __name__ == "__main__":
    try:
        typer.run(main)
    except OldPhotoError as error:
        raise SystemExit(f"receiver: {error}") from None
