"""Before every request: the host's name, where a change comes from, its size; after it the headers."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import fulltext
from ..errors import InputError
from ..project import Role

_BODY = 1_000_000  # bytes of a request that brings no file
# What brings files: who may send them, and how many bytes at once, the form around them included.
_UPLOADS = {
    "/api/import": (Role.OWNER, 2_000_000_000),
    "/api/criteria": (Role.OWNER, 20_000_000),
    "/api/attachments": (Role.REVIEWER, fulltext.MOST_BYTES + 100_000),
}
_FRAMED = "/api/attachments/"  # what our own pages show in a frame
SAFE = ("GET", "HEAD", "OPTIONS")
HEALTH = "/health"  # what tells anybody that the server answers
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With "no-referrer" a browser calls the origin of its own forms "null", and they would be refused.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
}
# Without "sandbox": Safari then shows no PDF, and Chromium's viewer, a process of its own, heeds none.
_HEADERS_FRAMED = {
    **_HEADERS,
    "content-security-policy": (
        "default-src 'none'; object-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "x-frame-options": "SAMEORIGIN",
}


@dataclass(frozen=True, slots=True)
class ServerOrigin:
    """Under which addresses the pages are offered, and whether anybody gets in without logging in.

    Attributes
    ----------
    hosts : frozenset of str
        Values of the Host header that are answered, with their port where it is not the usual one.
    login : bool
    secure : bool
        Whether visitors come over TLS: then cookies go nowhere else.
    port : int
        Where it listens.
    """

    hosts: frozenset[str]
    login: bool
    secure: bool
    port: int

    @classmethod
    def of(cls, host: str, port: int, *, tls: bool, public: str = "") -> ServerOrigin:
        """Return the door of a server.

        Parameters
        ----------
        host, port
            Where it listens.
        tls : bool
            Whether it speaks TLS itself.
        public : str
            The address under which a proxy, or another name of the machine, offers it.

        Raises
        ------
        InputError
            When `public` is not an address.
        """
        local = is_loopback(host)
        hosts = {"localhost", "127.0.0.1", "[::1]"} if local else set()
        if not local and host not in ("0.0.0.0", "::"):
            hosts.add(f"[{host}]" if ":" in host else host)
        secure = tls
        hosts = {f"{name}:{port}" for name in hosts} | (hosts if port == (443 if tls else 80) else set())
        if public:
            parts = urlsplit(public)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
                raise InputError(
                    f"{public} is not an address such as https://review.example.org; give one, without a path."
                )
            secure = parts.scheme == "https"
            hosts.add(parts.netloc.lower())
        if not hosts:
            raise InputError(
                f"{host} means every address of this machine; say with --public which one the page is reached at, "
                f"such as --public http://192.168.1.20:{port}."
            )
        return cls(frozenset(hosts), not local or bool(public), secure, port)

    @property
    def cookie(self) -> str:
        """What the names of cookies begin with: a browser gives those of a host to every port of it.

        The prefix makes it keep them to this host and to TLS.
        """
        return f"{'__Host-' if self.secure else ''}triage-{self.port}"


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached only from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _TooMuch(Exception):
    """More was sent than is taken in."""


class Gate:
    """Before every request: the host's name, where a change comes from, its size; after it the headers."""

    def __init__(
        self,
        app: ASGIApp,
        door: ServerOrigin,
        may: Callable[[Request, Role], bool],
        answered: Callable[[str, str, int, float], None] = lambda method, path, status, seconds: None,
    ) -> None:
        self._app = app
        self._door = door
        self._may = may
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._guard(scope, receive, noted)
        finally:
            self._answered(scope["method"], scope["path"], status, time.monotonic() - began)

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                framed = scope["path"].startswith(_FRAMED)
                for name, value in (_HEADERS_FRAMED if framed else _HEADERS).items():
                    headers[name] = value
                headers["cache-control"] = "no-cache" if scope["path"].startswith("/static/") else "no-store"
                if self._door.secure:
                    headers["strict-transport-security"] = "max-age=31536000"
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        limit = _BODY
        role, most = _UPLOADS.get(scope["path"], (Role.OWNER, _BODY))
        if most > limit and await run_in_threadpool(self._may, Request(scope), role):
            limit = most  # a file is taken in before a route is asked who sent it
        taken = 0

        async def measured() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _TooMuch
            return message

        if int(length) > limit if (length := headers.get("content-length", "0")).isdecimal() else True:
            await PlainTextResponse(f"More than {limit:,} bytes were sent; send less at a time.", 413)(
                scope, receive, guarded
            )
            return
        try:
            await self._app(scope, measured, guarded)
        except _TooMuch:
            await PlainTextResponse(f"More than {limit:,} bytes were sent; send less at a time.", 413)(
                scope, receive, guarded
            )

    def _refusal(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        if scope["path"] == HEALTH and scope["method"] in SAFE:
            return None  # what asks whether a server lives may know it by another name, and learns nothing
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._door.hosts:
            return PlainTextResponse("This page is not offered under that name.", 421)
        if scope["method"] in SAFE:
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and urlsplit(origin).netloc.lower() not in self._door.hosts:
            return PlainTextResponse("A change may come only from these pages.", 403)
        if site not in (None, "same-origin", "none"):
            return PlainTextResponse("A change may come only from these pages.", 403)
        return None
