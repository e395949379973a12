"""Who is let in: people, sessions, tokens, invitations."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import quote

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from fastapi import Request
from starlette.responses import JSONResponse

from ..errors import InputError
from ..project import Person, Project, Role, Snapshot
from .gate import SAFE, ServerOrigin
from .limits import PER_ADDRESS, PER_NAME, PER_NAME_AND_ADDRESS, Attempts, Limit, Refused, network_of, too_many

LEAST_PASSWORD = 12  # characters
MOST_PASSWORD = 1_000  # a longer one would only cost time to hash
INVITATION_DAYS = 7
_IDLE = timedelta(hours=12)  # without a request, after which a session ends
_LONGEST = timedelta(days=7)  # after which it ends in any case
_TOUCH = timedelta(minutes=1)
_AT_ONCE = 24  # passwords that are looked at or wait for it, so that threads are left for others
_RANKS = list(Role)


class Entrance(Protocol):
    """Knows the browsers that were let in by the address in the terminal (see `front.Entrance`)."""

    def knows(self, request: Request) -> bool:
        """Tell whether a request comes from one of them."""


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


class Access:
    """Lets people into one review.

    Parameters
    ----------
    project : Project
    door : ServerOrigin
    only_user : str
        The reviewer's name where nobody has to log in.
    entrance : Entrance, optional
        Who may come in where nobody has to log in; everybody when left out.
    """

    def __init__(self, project: Project, door: ServerOrigin, only_user: str, entrance: Entrance | None = None) -> None:
        self.project = project
        self.door = door
        self.entrance = entrance
        self.attempts = Attempts()
        self._only_user = only_user
        self._secret = secrets.token_bytes(32)
        self._hasher = PasswordHasher()
        self._hashing = threading.Semaphore(2)  # each takes 64 MB
        self._waiting = threading.Semaphore(_AT_ONCE)
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    def must_log_in(self, review: Snapshot) -> bool:
        """Whether a session is needed to get in: one person alone on their own machine needs none."""
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
            if self.entrance is not None and not self.entrance.knows(request):
                return None
            return Visitor(self._only_user, Role.OWNER, self.csrf("only user"))
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
            raise Refused(503, "Too many log in at this moment; try again in a few seconds.")
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
            When the name or the password is wrong, or too many attempts failed.
        """
        person, folded = self.project.people.named(name), name.casefold()
        counted: dict[tuple[str, ...], Limit]
        if person is not None and self._is_device_of(person, device):
            counted = {("device", folded, device): PER_NAME_AND_ADDRESS}
        else:
            source = network_of(address)
            counted = {
                ("pair", folded, source): PER_NAME_AND_ADDRESS,
                ("from", source): PER_ADDRESS,
                ("name", folded): PER_NAME,
            }
        self.check(counted, lambda: self.is_password(person, password), "The name or the password is wrong.", 401)
        if person is None:  # nobody's password is right
            raise Refused(401, "The name or the password is wrong.")
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
    """Return the review as it was when the request came in: all that one answer says is of the same moment."""
    if not hasattr(request.state, "review"):
        request.state.review = request.app.state.project.snapshot()
    review: Snapshot = request.state.review
    return review


def visitor(request: Request) -> Visitor:
    """Return who is asking, and refuse anyone who has to log in first; a change must bring its token along."""
    access: Access = request.app.state.access
    found = access.visitor(request)
    if found is None:
        raise Refused(401, "Log in first.", code="login")
    if request.method not in SAFE and found.csrf:
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
