"""The page's server: what a browser asks of the desk, as a Starlette application.

    GET  /, /login, /assets/...                            the page
    GET  /api/queue?filter=&search=&after=                 rows of the queue
    GET  /api/activity                                     what others decided and look at
    GET  /api/photo?key=&page=                             one photo, or a page of it, cut into tiles
    GET  /api/thumbnail?key=
    GET  /tiles/<id>/<before|after>/<level>/<column>_<row>.jpg
    GET  /api/mask?id=, PUT /api/mask?id=&pages=1,3&base=  a bit a pixel (`bits`), of one page and of several
    POST /api/decide                                       JSON
    POST /api/preview?id=&left=&...                        bits of the mask in, PNG out

Answers of errors: {"error": one line, "kind": name of the class}.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from oldphoto_core.desk.bits import MOST_BYTES
from oldphoto_core.desk.desk import Desk
from oldphoto_core.desk.guard import Access, Guard
from oldphoto_core.errors import (
    DecidedMeanwhile,
    NotWhatWasSeen,
    OldPhotoError,
    ScanError,
    SourceMissing,
    StorageError,
    UsageError,
)

MOST_JSON = 2**16
"""Bytes of a decision."""
_TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
_STATUS: tuple[tuple[type[OldPhotoError], int], ...] = (
    (UsageError, 400),
    (SourceMissing, 404),
    (DecidedMeanwhile, 409),
    (NotWhatWasSeen, 409),
    (ScanError, 422),
    (StorageError, 503),
)
_FOR_GOOD = "private, max-age=86400, immutable"

Answer = Callable[[Request], Awaitable[Response]]


class TooLarge(UsageError):
    """A body over its bound."""


def application(desk: Desk, access: Access) -> Starlette:
    """The routes of one target's desk, behind its guard."""
    routes = _Routes(desk)
    page = [Route("/", _asset("index.html")), Route("/login", _asset("login.html"))]
    assets = [Route(f"/assets/{name}", _asset(name)) for name in _asset_names()]
    api = [
        Route("/api/queue", routes.queue),
        Route("/api/activity", routes.activity),
        Route("/api/photo", routes.photo),
        Route("/api/thumbnail", routes.thumbnail),
        Route("/api/mask", routes.mask),
        Route("/api/mask", routes.put_mask, methods=["PUT"]),
        Route("/api/decide", routes.decide, methods=["POST"]),
        Route("/api/preview", routes.preview, methods=["POST"]),
        Route("/tiles/{id}/{which}/{level:int}/{column:int}_{row:int}.jpg", routes.tile),
    ]
    return Starlette(
        routes=[*page, *assets, *api],
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={OldPhotoError: _refused},
    )


class _Routes:
    """Requests to calls of the desk, which work in threads."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def queue(self, request: Request) -> Response:
        asked = request.query_params
        page = await run_in_threadpool(
            self._desk.page, asked.get("filter", "open"), asked.get("search", ""), asked.get("after", "")
        )
        return JSONResponse(page)

    async def activity(self, request: Request) -> Response:
        asked = request.query_params
        return JSONResponse(
            await run_in_threadpool(
                self._desk.activity, asked.get("key", ""), asked.get("who", ""), asked.get("reviewer", "")
            )
        )

    async def photo(self, request: Request) -> Response:
        asked = request.query_params
        return JSONResponse(await run_in_threadpool(self._desk.photo, asked.get("key", ""), asked.get("page", "1")))

    async def thumbnail(self, request: Request) -> Response:
        data = await run_in_threadpool(self._desk.thumbnail, request.query_params.get("key", ""))
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=60"})

    async def tile(self, request: Request) -> Response:
        where = request.path_params
        data = await run_in_threadpool(
            self._desk.tile, where["id"], where["which"], where["level"], where["column"], where["row"]
        )
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": _FOR_GOOD})

    async def mask(self, request: Request) -> Response:
        data = await run_in_threadpool(self._desk.mask, request.query_params.get("id", ""))
        return Response(data, media_type="application/octet-stream", headers={"Content-Encoding": "gzip"})

    async def put_mask(self, request: Request) -> Response:
        asked = request.query_params
        data = await _body(request, MOST_BYTES)
        sha256 = await run_in_threadpool(
            self._desk.put_mask, asked.get("id", ""), data, asked.get("pages", "1"), asked.get("base", "")
        )
        return JSONResponse({"sha256": sha256})

    async def decide(self, request: Request) -> Response:
        plain = _json(await _body(request, MOST_JSON))
        return JSONResponse(await run_in_threadpool(self._desk.decide, plain))

    async def preview(self, request: Request) -> Response:
        data = await _body(request, MOST_BYTES)
        made = await run_in_threadpool(self._desk.preview, dict(request.query_params), data)
        return Response(made, media_type="image/png")


def _asset_names() -> list[str]:
    folder = resources.files("oldphoto_core.desk") / "assets"
    return sorted(entry.name for entry in folder.iterdir() if entry.name.rpartition(".")[2] in _TYPES)


def _asset(name: str) -> Answer:
    """The answer with a file of the package, read once."""
    data = (resources.files("oldphoto_core.desk") / "assets" / name).read_bytes()

    async def answer(_request: Request) -> Response:
        return Response(data, headers={"Content-Type": _TYPES[name.rpartition(".")[2]]})

    return answer


async def _refused(_request: Request, error: Exception) -> Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return JSONResponse({"error": str(error), "kind": type(error).__name__}, 413 if type(error) is TooLarge else status)


async def _body(request: Request, most: int) -> bytes:
    """The body; raises TooLarge as soon as it is known to be, whatever its length was said to be."""
    said = request.headers.get("content-length", "0")
    body = bytearray()
    if said.isdigit() and int(said) <= most:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                break
        else:
            return bytes(body)
    raise TooLarge(f"the request has more than {most} bytes")


def _json(data: bytes) -> dict[str, Any]:
    try:
        plain = json.loads(data)
    except ValueError as error:
        raise UsageError("the request is no JSON") from error
    if not isinstance(plain, dict):
        raise UsageError("the request is no JSON object")
    return plain
