"""The web application of a study. `flows/commands/study.py` serves it.

    GET  /                                 what this is; with open access a button that begins
    POST /begin                            open access only: a new participant; {"link": "/p/TOKEN"}
    GET  /p/TOKEN                          the page of a participant; the link is the way back to it
    GET  /p/TOKEN/state                    where the participant is, and what is shown there
    GET  /p/TOKEN/pictures/PLACE/NAME      one picture
    POST /p/TOKEN/answers                  {"place": 0, "ranking": [NAME, ...]}; answered once it is on the disk
    GET  /assets/NAME                      scripts and styles of this package

Everything of a participant lies below the token, and no cookie is set: two links open in one browser stay two people.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from oldphoto_core.errors import RefusedAnswer, StorageError, StudyError
from oldphoto_core.study.answers import Answers
from oldphoto_core.study.blinding import shown
from oldphoto_core.study.headers import SecurityHeaders
from oldphoto_core.study.participants import Participants
from oldphoto_core.study.study import PICTURES, Study, read_study

MAX_BYTES = 2**14
"""Of a request's body; an answer has some hundred."""
LOOPBACK_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
"""Names of this server with open access: a page elsewhere cannot reach it under a name of its own (DNS rebinding)."""
ASSETS = {
    "study.css": "text/css",
    "begin.js": "text/javascript",
    "ranking.js": "text/javascript",
    "study.js": "text/javascript",
    "zoom.js": "text/javascript",
}
KEPT = {"Cache-Control": "private, max-age=86400, immutable"}
FRESH = {"Cache-Control": "no-store"}
Handler = Callable[[Request, str], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class StudyServer:
    """A study that is served: what requests are answered from."""

    folder: Path
    study: Study
    answers: Answers
    participants: Participants
    run_by: str
    """Who runs the study, as the page says; may be empty with open access."""
    open_access: bool
    """Whether anybody may begin; otherwise only those who have a link."""

    def application(self) -> Starlette:
        """Return the routes."""
        routes = [
            Route("/", self.welcome),
            Route("/begin", self.begin, methods=["POST"]),
            Route("/p/{token}", self._of(self.page)),
            Route("/p/{token}/state", self._of(self.state)),
            Route("/p/{token}/pictures/{place:int}/{name}", self._of(self.picture)),
            Route("/p/{token}/answers", self._of(self.answer), methods=["POST"]),
            Route("/assets/{name}", self.asset),
            # browsers ask for it by themselves
            Route("/favicon.ico", _no_icon),
        ]
        middleware = [Middleware(SecurityHeaders)]
        if self.open_access:
            middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK_HOSTS, www_redirect=False))
        return Starlette(routes=routes, middleware=middleware)

    async def welcome(self, _request: Request) -> Response:
        """What this is."""
        return self._html("welcome.html", status=200)

    async def begin(self, request: Request) -> Response:
        """A new participant."""
        # a form of another site cannot send this type without asking this server first
        if not self.open_access or request.headers.get("content-type") != "application/json":
            return _refused("this study is for those who were invited; open your own link", 403)
        try:
            token = await run_in_threadpool(self.participants.begin)
        except StorageError:
            return _cannot_now()
        except StudyError:
            return _refused("this study has as many participants as it can have", 403)
        return JSONResponse({"link": f"/p/{token}"}, 201, FRESH)

    async def page(self, _request: Request, _participant: str) -> Response:
        """The page of a participant."""
        return self._html("participant.html", status=200)

    async def state(self, _request: Request, participant: str) -> Response:
        """Where the participant is."""
        return JSONResponse(self._state(participant), headers=FRESH)

    async def picture(self, request: Request, participant: str) -> Response:
        """One picture, of a photo that the participant has reached, or of the next one."""
        place, name = request.path_params["place"], request.path_params["name"]
        if not 0 <= place <= min(self.answers.done(participant) + 1, len(self.study.photos) - 1):
            return _refused("there is no such picture", 404)
        file = shown(self.study, participant, place).file(self.study, name)
        if file is None:
            return _refused("there is no such picture", 404)
        try:
            data = await run_in_threadpool((self.folder / PICTURES / file).read_bytes)
        except OSError:
            return _cannot_now()
        return Response(data, media_type="image/png", headers=KEPT)

    async def answer(self, request: Request, participant: str) -> Response:
        """Keep a ranking."""
        content = await _json(request)
        place, ranking = content.get("place"), content.get("ranking")
        if type(place) is not int or not isinstance(ranking, list) or not all(isinstance(n, str) for n in ranking):
            return _refused("this is no answer; reload the page", 400)
        try:
            await run_in_threadpool(self.answers.keep, participant, place, ranking)
        except RefusedAnswer as error:
            return JSONResponse({"error": str(error), "state": self._state(participant)}, 409, FRESH)
        except StorageError:
            return _cannot_now()
        return JSONResponse(self._state(participant), headers=FRESH)

    async def asset(self, request: Request) -> Response:
        """A script or style."""
        name = request.path_params["name"]
        if name not in ASSETS:
            return _refused("there is no such file", 404)
        return Response(page_file(name), media_type=ASSETS[name], headers=FRESH)

    def _of(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """The handler, given the participant whose token the path names."""

        async def handled(request: Request) -> Response:
            participant = await run_in_threadpool(self.participants.find, request.path_params["token"])
            if participant is None:
                return self._html("unknown.html", status=404)
            return await handler(request, participant)

        return handled

    def _state(self, participant: str) -> dict[str, Any]:
        done, total = self.answers.done(participant), len(self.study.photos)
        if done == total:
            return {"done": done, "total": total}
        seen = shown(self.study, participant, done)
        photo = self.study.photos[seen.photo]
        state: dict[str, Any] = {
            "done": done,
            "total": total,
            "place": done,
            "width": photo.width,
            "height": photo.height,
        }
        state |= {"original": seen.original, "results": list(seen.results)}
        if done + 1 < total:
            following = shown(self.study, participant, done + 1)
            state["next"] = [following.original, *following.results]
        return state

    def _html(self, name: str, status: int) -> Response:
        facts = {"run_by": self.run_by, "open_access": self.open_access, "photos": len(self.study.photos)}
        text = _PAGES.get_template(name).render(facts, methods=len(self.study.methods))
        return HTMLResponse(text, status, FRESH)


@contextmanager
def opened(folder: Path, run_by: str, *, open_access: bool) -> Iterator[StudyServer]:
    """Open the study of a folder for serving, until the end of the block.

    Raises:
        SourceMissing: there is no study.
        Occupied: another process serves it.
        StudyError, WriteFailed: its answers are damaged, or none can be kept there.
    """
    study = read_study(folder)
    answers = Answers(folder, study)
    try:
        yield StudyServer(folder, study, answers, Participants(folder), run_by, open_access)
    finally:
        answers.close()


def page_file(name: str) -> bytes:
    """Return a file of the page as it is shipped."""
    return files("oldphoto_core.study").joinpath("page", name).read_bytes()


_PAGES = Environment(
    loader=FunctionLoader(lambda name: page_file(name).decode()),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


async def _json(request: Request) -> dict[str, Any]:
    """The object in the body; empty if there is none, or if it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            return {}
    try:
        content = json.loads(bytes(body))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


async def _no_icon(_request: Request) -> Response:
    return Response(status_code=204)


def _refused(why: str, status: int) -> Response:
    return JSONResponse({"error": why}, status, FRESH)


def _cannot_now() -> Response:
    why = "this cannot be kept now, and nothing is lost: leave the page open and send it again later"
    return JSONResponse({"error": why}, 503, {**FRESH, "Retry-After": "30"})
