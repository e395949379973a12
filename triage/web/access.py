"""Who is asking, and what they may: names of the host, log-in, sessions, tokens, limits, headers.

Nothing in here knows a page. `Gate` stands before every request, `visitor` before all but the log-in.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import fulltext
from ..errors import InputError
from ..project import Person, Project, Role, Snapshot
from ..wording import plural

LEAST_PASSWORD = 12  # characters
MOST_PASSWORD = 1_000  # a longer one would only cost time to hash
INVITATION_DAYS = 7
_IDLE = timedelta(hours=12)  # without a request, after which a session ends
_LONGEST = timedelta(days=7)  # after which it ends in any case
_TOUCH = timedelta(minutes=1)
_FORGET_SECONDS = 60 * 60  # after the last failed attempt
_AT_ONCE = 24  # passwords that are looked at or wait for it, so that threads are left for others
_BODY = 1_000_000  # bytes of a request that brings no file
# What brings files: who may send them, and how many bytes at once, the form around them included.
_UPLOADS = {
    "/api/import": (Role.OWNER, 2_000_000_000),
    "/api/attachments": (Role.REVIEWER, fulltext.MOST_BYTES + 100_000),
}
_FRAMED = "/api/attachments/"  # what our own pages show in a frame
_SAFE = ("GET", "HEAD", "OPTIONS")
_RANKS = list(Role)

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


class Refused(Exception):
    """A request that is not carried out: what to say, and the status of the answer."""

    def __init__(self, status: int, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class Door:
    """Under which addresses the pages are offered, and whether anybody gets in without logging in.

    Attributes
    ----------
    hosts : frozenset of str
        Values of the Host header that are answered, with their port where it is not the usual one.
    login : bool
    secure : bool
        Whether visitors come over TLS: then cookies go nowhere else.
    """

    hosts: frozenset[str]
    login: bool
    secure: bool

    @classmethod
    def of(cls, host: str, port: int, *, tls: bool, public: str = "") -> Door:
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
            When `public` is no address.
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
                    f"{public} is no address such as https://review.example.org; give one, without a path."
                )
            secure = parts.scheme == "https"
            hosts.add(parts.netloc.lower())
        if not hosts:
            raise InputError(
                f"{host} stands for every address of this machine; say by --public under which one the page is reached, "
                f"such as --public http://192.168.1.20:{port}."
            )
        return cls(frozenset(hosts), not local or bool(public), secure)

    @property
    def cookie(self) -> str:
        """The name of the session's cookie; the prefix makes a browser keep it to this host and to TLS."""
        return "__Host-triage" if self.secure else "triage"

    @property
    def device_cookie(self) -> str:
        """The name of the cookie by which a browser is known that somebody has logged in with."""
        return f"{self.cookie}-device"


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen on can be reached from this machine alone."""
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

    def __init__(self, app: ASGIApp, door: Door, may: Callable[[Request, Role], bool]) -> None:
        self._app = app
        self._door = door
        self._may = may

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

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
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._door.hosts:
            return PlainTextResponse("This page is not offered under that name.", 421)
        if scope["method"] in _SAFE:
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and urlsplit(origin).netloc.lower() not in self._door.hosts:
            return PlainTextResponse("A change may come from these pages alone.", 403)
        if site not in (None, "same-origin", "none"):
            return PlainTextResponse("A change may come from these pages alone.", 403)
        return None


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is asking.

    Attributes
    ----------
    name : str
        The reviewer's in the log.
    role : Role
    csrf : str
        What every change must bring along; empty for a program with a token, whose requests no page can make.
    session : str
        The token of the session; empty where nobody logs in.
    """

    name: str
    role: Role
    csrf: str
    session: str = ""

    @property
    def viewer(self) -> str | None:
        """Who is to stay blind to what others decide (see `Snapshot.stage`); None for an owner, who sees all."""
        return None if self.may(Role.OWNER) else self.name

    def may(self, role: Role) -> bool:
        """Tell whether the visitor's role allows what `role` does."""
        return _RANKS.index(self.role) >= _RANKS.index(role)


@dataclass(frozen=True, slots=True)
class Limit:
    """How many attempts may fail, and how long at most is waited for the next after that.

    The first wait is a second, and each failure doubles it.
    """

    free: int
    longest: float

    def wait(self, failed: int) -> float:
        """Return the seconds from the last failure to the next attempt."""
        return 0.0 if failed < self.free else min(self.longest, 2.0 ** min(failed - self.free, 30))


OF_ONE_FROM_ONE = Limit(5, 15 * 60)  # under one name, from one address or one browser
FROM_ONE = Limit(30, 15 * 60)  # from one address
# Anybody can spend the attempts of any name: it is slowed, not locked, and not at all in a browser of the person's own.
OF_ONE = Limit(50, 60)


class Attempts:
    """Counts failed attempts, each under several keys that have a limit each.

    Parameters
    ----------
    clock : callable
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[tuple[str, ...], tuple[int, float]] = OrderedDict()  # the newest failure last
        self._lock = threading.Lock()

    def begin(self, counted: Mapping[tuple[str, ...], Limit]) -> int:
        """Count an attempt as failed until it has succeeded: many at once are no way round a limit.

        Returns
        -------
        int
            0, or the seconds until the next attempt is looked at: then this one is not, nor counted.
        """
        now = self._clock()
        with self._lock:
            while self._failed and next(iter(self._failed.values()))[1] < now - _FORGET_SECONDS:
                self._failed.popitem(last=False)
            waits = [
                last + limit.wait(failed) - now
                for key, limit in counted.items()
                for failed, last in [self._failed.get(key, (0, now))]
            ]
            if (wait := max(waits)) > 0:
                return math.ceil(wait)
            for key in counted:
                self._failed[key] = self._failed.pop(key, (0, now))[0] + 1, now
        return 0

    def succeed(self, counted: Mapping[tuple[str, ...], Limit]) -> None:
        """Forget the failures under the first key, and that this attempt was counted under the others."""
        first, *others = counted
        with self._lock:
            self._failed.pop(first, None)
            for key in others:
                if key in self._failed:
                    failed, last = self._failed[key]
                    self._failed[key] = max(failed - 1, 0), last


def too_many(wait: int) -> Refused:
    """Return what is said to somebody who has to wait for the next attempt."""
    said = plural(wait, "second") if wait < 100 else plural(-(-wait // 60), "minute")
    return Refused(429, f"Too many attempts failed; try again in {said}.")


def _network(address: str) -> str:
    """Return whom an address stands for: of IPv6 each has a network of their own, not one address."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((known, 64), strict=False)) if known.version == 6 else str(known)


class Access:
    """Lets people into one review.

    Parameters
    ----------
    project : Project
    door : Door
    alone : str
        The reviewer's name where nobody has to log in.
    """

    def __init__(self, project: Project, door: Door, alone: str) -> None:
        self.project = project
        self.door = door
        self.attempts = Attempts()
        self._alone = alone
        self._secret = secrets.token_bytes(32)
        self._hasher = PasswordHasher()
        self._hashing = threading.Semaphore(2)  # each takes 64 MB
        self._waiting = threading.Semaphore(_AT_ONCE)
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    def must_log_in(self, review: Snapshot) -> bool:
        """Tell whether somebody without a session gets in: one person alone on their own machine does."""
        return self.door.login or bool(review.people)

    # -- who is it ----------------------------------------------------------------------------

    def visitor(self, request: Request) -> Visitor | None:
        """Return who is asking; None when they have to log in first."""
        given = request.headers.get("authorization", "")
        if given:
            scheme, _, token = given.partition(" ")
            known = self.project.people.api_token(token.strip()) if scheme.lower() == "bearer" else None
            if known is None or known.revoked_at is not None:
                raise Refused(401, "This token is not known, or was revoked.")
            return Visitor(known.person.name, known.person.role, "")
        if not self.must_log_in(review_of(request)):
            return Visitor(self._alone, Role.OWNER, self.csrf("alone"))
        token = request.cookies.get(self.door.cookie, "")
        session = self.project.people.session(token) if token else None
        if session is None or session.ended_at is not None:
            return None
        now = datetime.now(UTC)
        if now - session.last_seen > _IDLE or now - session.created_at > _LONGEST:
            self.project.people.end_session(token)
            return None
        if now - session.last_seen > _TOUCH:
            self.project.people.touch_session(token)
        return Visitor(session.person.name, session.person.role, self.csrf(token), token)

    def csrf(self, of: str) -> str:
        """Return what a change must bring along to come from a page that was made for this session."""
        return hmac.new(self._secret, of.encode("utf-8"), hashlib.sha256).hexdigest()

    def check_csrf(self, given: str, expected: str) -> None:
        """Refuse a change that does not bring along what its page was given."""
        if not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8")):
            raise Refused(403, "This page is too old to change anything; load it again.", code="csrf")

    # -- passwords ----------------------------------------------------------------------------

    def hashed(self, password: str) -> str:
        """Return a password's hash.

        Raises
        ------
        InputError
            When it is too short to be one, or too long.
        """
        if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
            raise InputError(f"A password has {LEAST_PASSWORD} to {MOST_PASSWORD:,} characters; choose another.")
        with self._looking():
            return self._hasher.hash(password)

    @contextmanager
    def _looking(self) -> Iterator[None]:
        if not self._waiting.acquire(blocking=False):
            raise Refused(503, "Too many log in at this moment; try again in some seconds.")
        try:
            with self._hashing:
                yield
        finally:
            self._waiting.release()

    def is_password(self, person: Person | None, password: str) -> bool:
        """Check a password; it takes as long for a name that nobody has."""
        known = person.password_hash if person is not None and person.password_hash else None
        with self._looking():
            try:
                right = self._hasher.verify(known or self._nobody, password[:MOST_PASSWORD])
            except (VerificationError, InvalidHashError):
                return False
        return right and known is not None

    def log_in(self, name: str, password: str, address: str, device: str = "") -> tuple[str, str]:
        """Let a person in who gives the right password.

        Parameters
        ----------
        name, password : str
        address : str
            From where.
        device : str
            What the browser kept of an earlier log-in.

        Returns
        -------
        tuple of str
            The token of the new session, and what the browser is to keep so that it is known the next time.

        Raises
        ------
        Refused
            When name and password do not belong together, or too many attempts failed.
        """
        person, folded = self.project.people.named(name), name.casefold()
        if person is not None and self._is_device_of(person, device):
            counted = {("device", folded, device): OF_ONE_FROM_ONE}
        else:
            source = _network(address)
            counted = {("pair", folded, source): OF_ONE_FROM_ONE, ("from", source): FROM_ONE, ("name", folded): OF_ONE}
        self.check(
            counted, lambda: self.is_password(person, password), "Name and password do not belong together.", 401
        )
        return self.project.people.start_session(person.name), self.device_of(person)

    def check(
        self, counted: Mapping[tuple[str, ...], Limit], is_right: Callable[[], bool], wrong: str, status: int
    ) -> None:
        """Look at a secret that was given, unless too many wrong ones were before it.

        Raises
        ------
        Refused
            With `wrong` and `status` when it is not right, with 429 when it is not looked at yet.
        """
        if wait := self.attempts.begin(counted):
            raise too_many(wait)
        if not is_right():
            raise Refused(status, wrong)
        self.attempts.succeed(counted)

    def device_of(self, person: Person) -> str:
        """Return what makes a browser known as one that the person has logged in with; a new password ends it."""
        return self._signed(person, secrets.token_urlsafe(16))

    def _is_device_of(self, person: Person, device: str) -> bool:
        nonce = device.partition(".")[0]
        return bool(nonce and person.password_hash) and hmac.compare_digest(
            device.encode("utf-8", "replace"), self._signed(person, nonce).encode("utf-8", "replace")
        )

    def _signed(self, person: Person, nonce: str) -> str:
        # The hash, which nobody outside the review knows, is the key: so there is no other secret to keep.
        key = (person.password_hash or "").encode()
        return f"{nonce}.{hmac.new(key, f'device {nonce}'.encode('utf-8', 'replace'), hashlib.sha256).hexdigest()}"

    def invite(self, name: str, role: Role, base: str) -> str:
        """Return the address by which a person can come in once."""
        token = self.project.people.invite(name, role, datetime.now(UTC) + timedelta(days=INVITATION_DAYS))
        return f"{base.rstrip('/')}/join/{quote(token, safe='')}"


def review_of(request: Request) -> Snapshot:
    """Return the review as it was when the request came in: what one answer tells belongs together."""
    if not hasattr(request.state, "review"):
        request.state.review = request.app.state.project.snapshot()
    return request.state.review


def visitor(request: Request) -> Visitor:
    """Return who is asking, and refuse whoever has to log in first; a change must bring its token along."""
    access: Access = request.app.state.access
    found = access.visitor(request)
    if found is None:
        raise Refused(401, "Log in first.", code="login")
    if request.method not in _SAFE and found.csrf:
        access.check_csrf(request.headers.get("x-csrf-token", ""), found.csrf)
    return found


def adjudicator(request: Request) -> Visitor:
    """Return who is asking, and refuse reviewers."""
    return _at_least(request, Role.ADJUDICATOR)


def owner(request: Request) -> Visitor:
    """Return who is asking, and refuse all but owners."""
    return _at_least(request, Role.OWNER)


def _at_least(request: Request, role: Role) -> Visitor:
    found = visitor(request)
    if not found.may(role):
        raise Refused(403, f"This needs the role {role}; yours is {found.role}.")
    return found


def refusal_as_json(refused: Refused) -> JSONResponse:
    """Return the answer of the interface to programs."""
    return JSONResponse({"detail": refused.message, "code": refused.code}, refused.status)
