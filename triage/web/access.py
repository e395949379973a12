"""Who is let in: people, sessions, tokens, invitations."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import re
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
from ..project import NOBODY, AccessKind, By, Person, Project, Role, Scope, Snapshot
from .gate import SAFE, ServerOrigin
from .limits import PER_ADDRESS, PER_NAME, PER_NAME_AND_ADDRESS, Attempts, Limit, Ration, Refused, network_of, too_many

LEAST_PASSWORD = 12  # characters
MOST_PASSWORD = 1_000  # a longer one would only cost time to hash
INVITATION_DAYS = 7
_IDLE = timedelta(hours=12)  # without a request, after which a session ends
_LONGEST = timedelta(days=7)  # after which it ends in any case
_TOUCH = timedelta(minutes=1)
_AT_ONCE = 24  # passwords that are looked at or wait for it, so that threads are left for others
_RANKS = list(Role)
_OF_PROGRAMS = ("/api/", "/metrics")  # where a token lets a program in
_LEAST_GUESSES = 1e8
_LOOKED_AT = 72  # characters of a password of which it is told how easy they are to guess: it takes long for more
_NOTED_AN_HOUR = 1_000  # log-ins that failed, in the access log: who tries on and on must not fill the disk
_MOST_KNOWN = 100  # characters of a name that are counted, and written to a file: no person's is longer
_NO_SECRET = "A" * 32  # looked at where there is none
_log = logging.getLogger("triage.access")  # what `triage serve --access-log` writes
_log.addHandler(logging.NullHandler())  # without that option the terminal is not told


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
    address : str
        Where the request came from.
    reads_only : bool
        Whether it is a program whose token changes nothing, and has no record put before its person.
    """

    name: str
    role: Role
    csrf: str
    session: str = ""
    address: str = ""
    reads_only: bool = False

    @property
    def by(self) -> By:
        """Who the access log says did something."""
        return By(self.name, self.address)

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
        self.failures = Ration(_NOTED_AN_HOUR)
        # By which a browser keeps apart what it holds of several reviews under one address.
        self.key = hashlib.sha256(str(project.path).encode("utf-8")).hexdigest()[:12]
        self.cookie = f"{door.cookie}-{self.key}"
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
            if known is None or not known.in_use or known.person.withdrawn_at is not None:
                raise Refused(401, "This token is not known, was revoked, or has expired.")
            if not request.scope["path"].startswith(_OF_PROGRAMS):
                # On the pages who has it could invite somebody, who would still be there once it is revoked.
                raise Refused(
                    403, "A token is for /metrics and what is under /api/; the pages are for people who log in."
                )
            reads_only = known.scope is Scope.READ
            if reads_only and request.method not in SAFE:
                raise _only_reads()
            role = Role.REVIEWER if known.scope is Scope.SCREEN else known.person.role
            return Visitor(known.person.name, role, "", address=address_of(request), reads_only=reads_only)
        if not self.must_log_in(review_of(request)):
            if self.entrance is not None and not self.entrance.knows(request):
                return None
            return Visitor(self._only_user, Role.OWNER, self.csrf("only user"), address=address_of(request))
        token = request.cookies.get(self.cookie, "")
        session = self.project.people.session(token) if token else None
        if session is None or session.ended_at is not None or session.person.withdrawn_at is not None:
            return None
        now = datetime.now(UTC)
        if now - session.last_seen > _IDLE or now - session.created_at > _LONGEST:
            self.project.people.end_session(token)
            return None
        if now - session.last_seen > _TOUCH:
            self.project.people.touch_session(token)
        return Visitor(session.person.name, session.person.role, self.csrf(token), token, address_of(request))

    def csrf(self, of: str) -> str:
        """Return what a change must bring along to come from a page that was made for this session."""
        return hmac.new(self._secret, of.encode("utf-8"), hashlib.sha256).hexdigest()

    def check_csrf(self, given: str, expected: str) -> None:
        """Refuse a change that does not bring along what its page was given."""
        if not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8")):
            raise Refused(403, "This page is too old to change anything; load it again.", code="csrf")

    # -- passwords ----------------------------------------------------------------------------

    def hashed(self, password: str, name: str) -> str:
        """Return the hash of a password that a person chooses.

        Raises
        ------
        InputError
            When it is too short to be one, too long, or easy to guess.
        """
        if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
            raise InputError(f"A password has {LEAST_PASSWORD} to {MOST_PASSWORD:,} characters; choose another.")
        if why := _easy_to_guess(password, name):
            raise InputError(f"This password is easy to guess. {why} Four words that nothing joins are a good one.")
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

    def log_in(self, name: str, password: str, address: str, device: str = "", code: str = "") -> tuple[str, str]:
        """Let a person in who gives the right password.

        Parameters
        ----------
        name, password : str
        address : str
            From where.
        device : str
            What the browser kept of an earlier log-in.
        code : str
            Of the second factor, where the person has one.

        Returns
        -------
        tuple of str
            The token of the new session, and what the browser is to keep so that it is known the next time.

        Raises
        ------
        Refused
            When the name, the password or the code is wrong, too many attempts failed, or the person's access was
            withdrawn.
        """
        person, folded = self.project.people.named(name), name.casefold()[:_MOST_KNOWN]
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
        wrong = "The name, the password or the code is wrong." if code else "The name or the password is wrong."

        secret = (person.totp_secret if person is not None else None) or _NO_SECRET

        def is_right() -> bool:
            # Both are looked at in any case: how long it takes does not tell which of them was wrong.
            right, step = self.is_password(person, password), step_of(secret, code)
            return right and person is not None and self._uses(person, step)

        try:
            self.check(counted, is_right, wrong, 401)
        except Refused as refused:
            if refused.status == 401:
                self.note_failure(By(name, address))
            raise
        if person is None:  # nobody's password is right
            raise Refused(401, wrong)
        if person.withdrawn_at is not None:
            self.note_failure(By(name, address), "the access is withdrawn")
            raise Refused(403, "Your access to this review was withdrawn; ask one of its owners.")
        session = self.project.people.start_session(person.name, address=address, seen=person)
        _log.info("log-in of %r from %s", person.name, address)
        return session, self.device_of(person)

    def note_failure(self, by: By, note: str = "") -> None:
        """Write into the access log that somebody did not get in; so many an hour, and then how many more there were."""
        _log.warning("failed log-in for %r from %s", by.name[:_MOST_KNOWN], by.address or "an unknown address")
        more = self.failures.take()
        if more is not None:
            notes = [note, f"and {more:,} before it that are not listed" if more else ""]
            by = By(by.name[:_MOST_KNOWN], by.address)
            self.project.people.note(AccessKind.FAILED, by, note="; ".join(one for one in notes if one))

    def confirm(self, who: Visitor, password: str, code: str | None = None) -> Person:
        """Return the person who is logged in, if the password is theirs, and so is the code, where one is asked for.

        Raises
        ------
        Refused
            When they are not, or too many were tried. They are counted apart from the log-in: who is in is not slowed by
            who tries to get in.
        """
        person = self.project.people.named(who.name)
        wrong = "The present password is another." if code is None else "The present password or the code is another."

        def is_right() -> bool:
            if not self.is_password(person, password) or person is None:
                return False
            return code is None or self._uses(person, step_of(person.totp_secret or _NO_SECRET, code))

        try:
            self.check({("session", who.name): PER_NAME_AND_ADDRESS}, is_right, wrong, 422)
        except Refused as refused:
            if refused.status == 422:
                self.note_failure(who.by, "on the page Account")
            raise
        if person is None:
            raise Refused(403, "This needs a person who has logged in.")
        return person

    def _uses(self, person: Person, step: int | None) -> bool:
        if person.totp_secret is None:
            return True
        return step is not None and self.project.people.use_second_factor(person.name, step)

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

    def invite(self, name: str, role: Role, base: str, by: By = NOBODY) -> str:
        """Return the address by which a person can come in once."""
        token = self.project.people.invite(name, role, datetime.now(UTC) + timedelta(days=INVITATION_DAYS), by=by)
        return f"{base.rstrip('/')}/join/{quote(token, safe='')}"


def address_of(request: Request) -> str:
    """Return the address that a request came from, as far as the server knows it; "" where it is no address.

    A proxy's header may name anything, and what is written to a file is read by programs.
    """
    try:
        known = ipaddress.ip_address((request.client.host if request.client else "").partition("%")[0])
    except ValueError:
        return ""
    mapped = known.ipv4_mapped if isinstance(known, ipaddress.IPv6Address) else None
    return str(known if mapped is None else mapped)


def _only_reads() -> Refused:
    return Refused(403, "This token only reads; make one whose scope is screen or owner.")


def _easy_to_guess(password: str, name: str) -> str:
    """Say why a password is easy to guess; "" where it is not."""
    from zxcvbn import zxcvbn

    found = zxcvbn(password[:_LOOKED_AT], user_inputs=[name, "triage"])
    if found["guesses"] >= _LEAST_GUESSES:
        return ""
    return str(found["feedback"]["warning"]) or "It is made of few common parts."


def step_of(secret: str, code: str) -> int | None:
    """Return the half minute that a code of a second factor is of: the present one, or the one before or after."""
    import pyotp

    totp, given = pyotp.TOTP(secret), "".join(code.split()).encode("utf-8", "replace")
    now = totp.timecode(datetime.now(UTC))
    found = [step for step in (now - 1, now, now + 1) if hmac.compare_digest(totp.generate_otp(step).encode(), given)]
    return found[0] if found else None


def new_secret() -> str:
    """Return a new secret of a second factor."""
    import pyotp

    return pyotp.random_base32()


def is_secret(text: str) -> bool:
    """Tell whether a text may be the secret of a second factor: 160 bits or more in base 32."""
    return re.fullmatch("[A-Z2-7]{32,64}", text) is not None


def code_address(secret: str, name: str, review: str) -> str:
    """Return the address by which an app on a phone takes a second factor in."""
    import pyotp

    return str(pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=f"triage {review}"))


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


def screener(request: Request) -> Visitor:
    """Return who is asking for a record to be put before them, and refuse a token that only reads."""
    found = visitor(request)
    if found.reads_only:
        raise _only_reads()
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
