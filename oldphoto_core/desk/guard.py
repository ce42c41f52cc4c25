"""Who may use the page: checks that hold before a request reaches it, and headers of every answer."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from oldphoto_core.errors import UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST_TOKEN = 16
"""Characters; `openssl rand -hex 32` gives 64."""
COOKIE = "oldphoto-desk"
_HEADERS = {
    # nothing from elsewhere and nothing inline: a key that were taken for markup could still do nothing
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # with no-referrer browsers call the origin of our own form null
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_LOGIN = 4096
"""Bytes of the form that carries the token."""
_OPEN = ("/login", "/assets/desk.css", "/assets/login.html")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address to listen on."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Who may use the page. Raises UsageError for an address that others reach without a token."""

    host: str = "127.0.0.1"
    """Address that the server listens on."""
    token: str = ""
    """What a browser must show once; empty: nobody asks, which loopback alone allows."""
    secure: bool = False
    """Whether the server speaks TLS."""

    def __post_init__(self) -> None:
        if not self.token and not is_loopback(self.host):
            raise UsageError(f"{self.host} can be reached by others: give --token-file, or listen on 127.0.0.1")
        if self.token and len(self.token) < LEAST_TOKEN:
            raise UsageError(f"the token has {len(self.token)} characters; give {LEAST_TOKEN} or more")

    @property
    def cookie(self) -> str:
        """What a browser keeps instead of the token; it outlives the server."""
        return hmac.new(self.token.encode(), b"oldphoto desk", hashlib.sha256).hexdigest()


class Guard:
    """ASGI middleware: names of this server alone, requests of its own page alone, and the token where there is one."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is refused, pass on the rest."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        answer: ASGIApp = self._app
        if problem := self._problem(scope, headers):
            answer = PlainTextResponse(problem, 403)
        elif scope["path"] == "/login" and scope["method"] == "POST":
            answer = await self._login(Request(scope, receive))
        elif not self._may_enter(scope):
            is_page = scope["path"] == "/" and scope["method"] == "GET"
            answer = RedirectResponse("/login", 303) if is_page else PlainTextResponse("give the token first", 401)
        await answer(scope, receive, with_headers)

    def _problem(self, scope: Scope, headers: Headers) -> str:
        """Why a request does not come from our own page; empty where it may."""
        host = headers.get("host", "")
        # another site's name that leads here (DNS rebinding) is that site's origin to a browser
        if is_loopback(self._access.host) and not is_loopback(_name_of(host)):
            return "this server is called 127.0.0.1 or localhost"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") and scope["path"] != "/":
            return "a page of another site asks"
        if scope["method"] not in ("GET", "HEAD"):
            scheme = "https" if self._access.secure else "http"
            if headers.get("origin", "") != f"{scheme}://{host}":
                return "a page of another site asks"
        return ""

    def _may_enter(self, scope: Scope) -> bool:
        if not self._access.token or scope["path"] in _OPEN:
            return True
        shown = Request(scope).cookies.get(COOKIE, "")
        return hmac.compare_digest(shown.encode(), self._access.cookie.encode())

    async def _login(self, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LOGIN:
                return PlainTextResponse("too long", 413)
        given = parse_qs(bytes(body).decode("utf-8", "replace")).get("token", [""])[0].strip()
        # in constant time: how long a wrong token takes must not tell how much of it is right
        if not self._access.token or not hmac.compare_digest(given.encode(), self._access.token.encode()):
            return RedirectResponse("/login?wrong", 303)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, self._access.cookie, httponly=True, secure=self._access.secure, samesite="strict")
        return answer


def _name_of(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
