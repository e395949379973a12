"""Who may work on a review, and how they come in."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from ..errors import InputError
from ..log import taken_back
from .database import Database, next_id, now, storable
from .schema import (
    access_log as _access_log,
    api_tokens as _api_tokens,
    invitations as _invitations,
    people as _people,
    web_sessions as _web_sessions,
)

if TYPE_CHECKING:
    from .reading import Reader


_MOST_NOTED = 200  # characters of each field of the access log: anybody can try to log in by any name


class Role(StrEnum):
    """What a person may do in a review: each role may all that those before it may."""

    REVIEWER = "reviewer"  # decides, blind to the others
    ADJUDICATOR = "adjudicator"  # sees all decisions of a record in conflict, and settles it
    OWNER = "owner"  # sees and changes all, invites


class Scope(StrEnum):
    """What a program may do with a token, of what its person may."""

    READ = "read"  # asks, and changes nothing
    SCREEN = "screen"  # works as a reviewer does
    OWNER = "owner"  # all that its person may


class AccessKind(StrEnum):
    """What an event of the access log says."""

    LOGGED_IN = "logged in"
    FAILED = "log-in failed"
    LOGGED_OUT = "logged out"
    INVITED = "invited"
    JOINED = "joined"
    CANCELLED = "invitation cancelled"
    ROLE = "role changed"
    PASSWORD = "password changed"
    SECOND_FACTOR = "second factor"
    SESSIONS_ENDED = "sessions ended"
    WITHDRAWN = "access withdrawn"
    GIVEN_BACK = "access given back"
    REMOVED = "removed"
    TOKEN_MADE = "token made"
    TOKEN_REVOKED = "token revoked"
    EXPORTED = "exported"


@dataclass(frozen=True, slots=True)
class By:
    """Who does something about access, and from which address; both empty where nobody knows."""

    name: str = ""
    address: str = ""


NOBODY = By()


@dataclass(frozen=True, slots=True)
class AccessEvent:
    """One line of the access log: what a person did about another, or themselves, and from which address."""

    seq: int
    at: datetime
    kind: AccessKind
    person: str
    about: str
    address: str
    note: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may work on the review; `name` is the reviewer's in the log.

    From `withdrawn_at` on they cannot come in, until their access is given back; their decisions stay.
    """

    name: str
    role: Role
    password_hash: str | None
    created_at: datetime
    withdrawn_at: datetime | None = None
    totp_secret: str | None = None  # of the second factor, where there is one (RFC 6238)


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link by which a person of that name and role may come in once, until it expires."""

    name: str
    role: Role
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    cancelled_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether it can still be used."""
        return self.used_at is None and self.cancelled_at is None and datetime.now(UTC) < self.expires_at


@dataclass(frozen=True, slots=True)
class WebSession:
    """One person logged in with one browser."""

    person: Person
    created_at: datetime
    last_seen: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A program's key to the review, with those of its person's rights that its scope leaves."""

    person: Person
    name: str
    created_at: datetime
    revoked_at: datetime | None
    scope: Scope = Scope.OWNER
    expires_at: datetime | None = None

    @property
    def in_use(self) -> bool:
        """Whether it lets its program in, as far as its person may come in."""
        return self.revoked_at is None and (self.expires_at is None or datetime.now(UTC) < self.expires_at)


class People:
    """Who may work on a review: people, invitations, sessions in browsers, and tokens of programs.

    Parameters
    ----------
    database : Database
    reader : Reader
    """

    def __init__(self, database: Database, reader: Reader) -> None:
        self._database = database
        self._reader = reader

    def all(self) -> list[Person]:
        """Return everybody who was let in and not removed, by name; none in a review of one person on one machine."""
        with self._database.read() as connection:
            return list(read_people(connection))

    def named(self, name: str) -> Person | None:
        """Return the person of that name, or None."""
        with self._database.read() as connection:
            return _person(connection, name)

    def access_log(self, since: int = 0, most: int | None = None, *, newest_first: bool = False) -> list[AccessEvent]:
        """Return who came in or tried to, and what was done about access, after line `since`."""
        seq = _access_log.c.seq
        query = select(_access_log).where(seq > since).order_by(seq.desc() if newest_first else seq).limit(most)
        with self._database.read() as connection:
            return [
                AccessEvent(
                    row.seq,
                    datetime.fromisoformat(row.at),
                    AccessKind(row.kind),
                    row.person,
                    row.about,
                    row.address,
                    row.note,
                )
                for row in connection.execute(query)
            ]

    def note(self, kind: AccessKind, by: By, *, about: str = "", note: str = "") -> None:
        """Write a line of the access log."""
        with self._database.write() as connection:
            _noted(connection, kind, by, about, note)

    def add(self, name: str, role: Role | str, password_hash: str | None = None) -> Person:
        """Add a person.

        Raises
        ------
        InputError
            When the name is empty or too long, somebody or a machine has it (in any case), or the role is not one.
        """
        with self._database.write() as connection:
            self._reader.check_person(name)
            return _insert_person(connection, name, role, password_hash)

    def set_role(self, name: str, role: Role | str, *, by: By = NOBODY) -> None:
        """Give a person another role.

        Raises
        ------
        InputError
            When there is no such person or role, or the review would be left without an owner.
        """
        role = _role(role)
        with self._database.write() as connection:
            before = _known(connection, name)
            _changed(connection, name, {"role": str(role)})
            _check_owners(connection, before)
            _noted(connection, AccessKind.ROLE, by, name, f"{before.role} to {role}")

    def withdraw(self, name: str, *, by: By = NOBODY) -> None:
        """Let a person in no more: their sessions end, their tokens and invitations are void; their decisions stay.

        What is assigned to them and that they have not judged is free for others.

        Raises
        ------
        InputError
            When there is no such person, or the review would be left without an owner.
        """
        with self._database.write() as connection:
            person = _known(connection, name)
            if person.withdrawn_at is None:
                self._shut_out(connection, person, {"withdrawn_at": now()}, by)
                _noted(connection, AccessKind.WITHDRAWN, by, name)

    def give_back(self, name: str, *, by: By = NOBODY) -> None:
        """Let a person in again whose access was withdrawn, with the password that they have.

        Raises
        ------
        InputError
            When there is no such person.
        """
        with self._database.write() as connection:
            if _known(connection, name).withdrawn_at is not None:
                _changed(connection, name, {"withdrawn_at": None})
                _noted(connection, AccessKind.GIVEN_BACK, by, name)

    def remove(self, name: str, *, by: By = NOBODY) -> None:
        """Take a person off the list; only a new invitation lets them in again. Their decisions stay, under their name.

        Otherwise as `withdraw`.

        Raises
        ------
        InputError
            When there is no such person, or the review would be left without an owner.
        """
        with self._database.write() as connection:
            values = {"removed_at": now(), "password_hash": None, "totp_secret": None}
            self._shut_out(connection, _known(connection, name), values, by)
            _noted(connection, AccessKind.REMOVED, by, name)

    def _shut_out(self, connection: Connection, person: Person, values: Mapping[str, object], by: By) -> None:
        _changed(connection, person.name, values)
        _check_owners(connection, person)
        _end_what_lets_in(connection, person.name)
        _cancel_invitations(connection, person.name)
        left = self._reader.live().assigned_and_open(person.name)
        self._reader.append(connection, [taken_back(event, by.name) for event in left])

    def end_sessions(self, name: str, *, by: By = NOBODY) -> None:
        """Log a person out of every browser.

        Raises
        ------
        InputError
            When there is no such person.
        """
        with self._database.write() as connection:
            _known(connection, name)
            _end_sessions(connection, _web_sessions.c.person == name)
            _noted(connection, AccessKind.SESSIONS_ENDED, by, name)

    def cancel_invitations(self, name: str, *, by: By = NOBODY) -> None:
        """Make the open invitations of a name void.

        Raises
        ------
        InputError
            When it has none.
        """
        with self._database.write() as connection:
            if not _cancel_invitations(connection, name):
                raise InputError(f"{name!r} has no open invitation; `triage people` lists those that are.")
            _noted(connection, AccessKind.CANCELLED, by, name)

    def set_password_hash(self, name: str, text: str | None, *, by: By = NOBODY) -> None:
        """Keep the hash of a person's password (None: nobody can log in by that name); sessions and tokens end.

        Raises
        ------
        InputError
            When there is no such person.
        """
        with self._database.write() as connection:
            _known(connection, name)
            _changed(connection, name, {"password_hash": text})
            _end_what_lets_in(connection, name)
            _noted(connection, AccessKind.PASSWORD, by, name)

    def set_second_factor(self, name: str, secret: str | None, *, step: int | None = None, by: By = NOBODY) -> None:
        """Keep the secret of a person's second factor, None for none; `step` is of the code that proved it, now used.

        Raises
        ------
        InputError
            When there is no such person.
        """
        with self._database.write() as connection:
            _known(connection, name)
            _changed(connection, name, {"totp_secret": secret, "totp_used": step})
            _noted(connection, AccessKind.SECOND_FACTOR, by, name, "set up" if secret else "taken away")

    def use_second_factor(self, name: str, step: int) -> bool:
        """Use the code of a step of time up; False where it or a later one was used before."""
        with self._database.write() as connection:
            unused = (_people.c.name == name) & (_people.c.totp_used.is_(None) | (_people.c.totp_used < step))
            return bool(connection.execute(update(_people).where(unused).values(totp_used=step)).rowcount)

    def invite(self, name: str, role: Role | str, expires_at: datetime, *, by: By = NOBODY) -> str:
        """Make an invitation and return its token, which is shown only this once; only its hash is kept.

        Who is there already may be invited, to choose a new password: the role stays theirs, and their sessions and
        tokens end. An earlier invitation of the name is void from then on.

        Raises
        ------
        InputError
            When the name or the role is wrong, or the name is a machine's.
        """
        name, role, token = checked_name(name), _role(role), _new_token()
        with self._database.write() as connection:
            self._reader.check_person(name)
            taken = _named(connection, name)
            if taken not in (None, name):
                raise InputError(f"There is a {taken!r} already; choose a name that differs by more than its case.")
            _cancel_invitations(connection, name)
            _end_what_lets_in(connection, name)
            _noted(connection, AccessKind.INVITED, by, name, f"as {role}")
            connection.execute(
                insert(_invitations).values(
                    token_hash=_token_hash(token),
                    name=name,
                    role=str(role),
                    created_at=now(),
                    expires_at=expires_at.astimezone(UTC).isoformat(),
                    used_at=None,
                )
            )
        return token

    def invitations(self) -> list[Invitation]:
        """Return every invitation, the oldest first."""
        query = select(_invitations).order_by(_invitations.c.created_at, _invitations.c.token_hash)
        with self._database.read() as connection:
            return [_to_invitation(row) for row in connection.execute(query)]

    def invitation(self, token: str) -> Invitation | None:
        """Return the invitation of a token, or None; see `Invitation.open`."""
        with self._database.read() as connection:
            row = connection.execute(
                select(_invitations).where(_invitations.c.token_hash == _token_hash(token))
            ).one_or_none()
        return None if row is None else _to_invitation(row)

    def accept(self, token: str, password_hash: str, *, address: str = "") -> Person:
        """Use an invitation up: add its person, or give one who is there the new password.

        Raises
        ------
        InputError
            When there is no such invitation, or it was used or has expired.
        """
        here = _invitations.c.token_hash == _token_hash(token)
        with self._database.write() as connection:
            row = connection.execute(select(_invitations).where(here)).one_or_none()
            if row is None or not _to_invitation(row).open:
                raise InputError("This invitation was used or has expired; ask for a new one.")
            connection.execute(update(_invitations).where(here).values(used_at=now()))
            there = connection.execute(select(_people).where(_people.c.name == row.name)).one_or_none()
            lost = "the second factor is taken away" if there is not None and there.totp_secret else ""
            _noted(connection, AccessKind.JOINED, By(row.name, address), row.name, lost)
            if there is None:
                return _insert_person(connection, row.name, row.role, password_hash)
            values = {"password_hash": password_hash, "withdrawn_at": None, "removed_at": None, "totp_secret": None}
            if there.removed_at is not None:  # a new beginning, in the role of the invitation
                values["role"] = row.role
            _changed(connection, row.name, values)
            # Until now the old password let in, and made tokens.
            _end_what_lets_in(connection, row.name)
            return _known(connection, row.name)

    def start_session(self, person: str, *, address: str = "", seen: Person | None = None) -> str:
        """Log a person in and return the session's token, of which only a hash is kept.

        Parameters
        ----------
        person : str
        address : str
            From where.
        seen : Person, optional
            The person as they were when the password was looked at.

        Raises
        ------
        InputError
            When there is no such person, their access is withdrawn, or the password has changed since it was looked at.
        """
        token = _new_token()
        with self._database.write() as connection:
            there = _let_in(connection, person)
            if seen is not None and (there.password_hash, there.totp_secret) != (seen.password_hash, seen.totp_secret):
                raise InputError(f"The way in of {person} has changed at this moment; log in again.")
            connection.execute(
                insert(_web_sessions).values(
                    token_hash=_token_hash(token), person=person, created_at=now(), last_seen=now(), ended_at=None
                )
            )
            _noted(connection, AccessKind.LOGGED_IN, By(person, address))
        return token

    def session(self, token: str) -> WebSession | None:
        """Return the session of a token, ended or not, or None."""
        with self._database.read() as connection:
            row = connection.execute(
                select(_web_sessions, _people)
                .join(_people)
                .where(_web_sessions.c.token_hash == _token_hash(token), _people.c.removed_at.is_(None))
            ).one_or_none()
        if row is None:
            return None
        at = row._mapping
        return WebSession(
            _to_person(row),
            datetime.fromisoformat(at[_web_sessions.c.created_at]),
            datetime.fromisoformat(row.last_seen),
            _time_or_none(row.ended_at),
        )

    def touch_session(self, token: str) -> None:
        """Note that a session was seen now."""
        with self._database.write() as connection:
            connection.execute(
                update(_web_sessions).where(_web_sessions.c.token_hash == _token_hash(token)).values(last_seen=now())
            )

    def end_session(self, token: str, *, by: By | None = None) -> None:
        """End one session; `by` whom where its person logs out."""
        with self._database.write() as connection:
            _end_sessions(connection, _web_sessions.c.token_hash == _token_hash(token))
            if by is not None:
                _noted(connection, AccessKind.LOGGED_OUT, by)

    def create_api_token(
        self,
        person: str,
        name: str,
        scope: Scope | str = Scope.OWNER,
        expires_at: datetime | None = None,
        *,
        by: By = NOBODY,
    ) -> str:
        """Make a token for a person's program and return it; only a hash of it is kept.

        Raises
        ------
        InputError
            When the name or the scope is wrong, the person may not come in, or has a token of that name.
        """
        name, token = checked_name(name), _new_token()
        if scope not in list(Scope):
            raise InputError(f"{str(scope)!r} is not a scope; the scopes are: {', '.join(Scope)}.")
        with self._database.write() as connection:
            _let_in(connection, person)
            same = select(_api_tokens.c.name).where(_api_tokens.c.person == person, _api_tokens.c.name == name)
            if connection.execute(same).first() is not None:
                raise InputError(f"{person} has or had a token named {name!r}; choose another name.")
            connection.execute(
                insert(_api_tokens).values(
                    token_hash=_token_hash(token),
                    person=person,
                    name=name,
                    created_at=now(),
                    revoked_at=None,
                    scope=str(scope),
                    expires_at=None if expires_at is None else expires_at.astimezone(UTC).isoformat(),
                )
            )
            _noted(connection, AccessKind.TOKEN_MADE, by, person, f"{name}, to {scope}")
        return token

    def api_tokens(self, person: str | None = None) -> list[ApiToken]:
        """Return the tokens of a person, or of all, the oldest first."""
        query = select(_api_tokens, _people).join(_people).order_by(_api_tokens.c.created_at, _api_tokens.c.name)
        if person is not None:
            query = query.where(_api_tokens.c.person == person)
        with self._database.read() as connection:
            return [_to_api_token(row) for row in connection.execute(query)]

    def api_token(self, token: str) -> ApiToken | None:
        """Return what is known of a token, revoked or not, or None."""
        query = select(_api_tokens, _people).join(_people).where(_people.c.removed_at.is_(None))
        with self._database.read() as connection:
            row = connection.execute(query.where(_api_tokens.c.token_hash == _token_hash(token))).one_or_none()
        return None if row is None else _to_api_token(row)

    def revoke_api_token(self, person: str, name: str, *, by: By = NOBODY) -> None:
        """Make a token useless.

        Raises
        ------
        InputError
            When the person has no such token, or it is revoked already.
        """
        with self._database.write() as connection:
            done = connection.execute(
                update(_api_tokens)
                .where(_api_tokens.c.person == person, _api_tokens.c.name == name, _api_tokens.c.revoked_at.is_(None))
                .values(revoked_at=now())
            )
            if not done.rowcount:
                raise InputError(f"{person} has no token named {name!r} that is in use.")
            _noted(connection, AccessKind.TOKEN_REVOKED, by, person, name)


def read_people(connection: Connection) -> tuple[Person, ...]:
    """Return everybody who was let in and not removed, by name."""
    found = [_to_person(row) for row in connection.execute(select(_people).where(_people.c.removed_at.is_(None)))]
    return tuple(sorted(found, key=lambda person: person.name))  # by us: servers sort by their language


def names_of_people(connection: Connection) -> set[str]:
    """Return the names of everybody who may come in or was invited."""
    return {name for table in (_people, _invitations) for name in connection.execute(select(table.c.name)).scalars()}


def _role(role: Role | str) -> Role:
    if role not in list(Role):
        raise InputError(f"{str(role)!r} is not a role; the roles are: {', '.join(Role)}.")
    return Role(role)


def checked_name(name: str) -> str:
    """Return a name without the blanks around it.

    Raises
    ------
    InputError
        When it is empty, too long, or holds what cannot be printed.
    """
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise InputError("A name has 1 to 100 letters, all of which can be printed.")
    return name


def _named(connection: Connection, name: str) -> str | None:
    """Return the name of the person whose name is this one but for its case."""
    return next(
        (one for one in connection.execute(select(_people.c.name)).scalars() if one.casefold() == name.casefold()), None
    )


def _insert_person(connection: Connection, name: str, role: Role | str, password_hash: str | None) -> Person:
    name = checked_name(name)
    if (taken := _named(connection, name)) is not None:
        raise InputError(f"There is a {taken!r} already; choose another name.")
    person = Person(name, _role(role), password_hash, datetime.now(UTC))
    connection.execute(
        insert(_people).values(
            name=name, role=str(person.role), password_hash=password_hash, created_at=person.created_at.isoformat()
        )
    )
    return person


def _changed(connection: Connection, name: str, values: Mapping[str, object]) -> None:
    if not connection.execute(update(_people).where(_people.c.name == name).values(values)).rowcount:
        raise InputError(f"There is nobody named {name!r} in this review; `triage people` lists who is.")


def _person(connection: Connection, name: str) -> Person | None:
    here = (_people.c.name == name, _people.c.removed_at.is_(None))
    row = connection.execute(select(_people).where(*here)).one_or_none()
    return None if row is None else _to_person(row)


def _known(connection: Connection, name: str) -> Person:
    person = _person(connection, name)
    if person is None:
        raise InputError(f"There is nobody named {name!r} in this review; `triage people` lists who is.")
    return person


def _let_in(connection: Connection, name: str) -> Person:
    person = _known(connection, name)
    if person.withdrawn_at is not None:
        raise InputError(f"The access of {name} is withdrawn; an owner can give it back.")
    return person


def _check_owners(connection: Connection, before: Person) -> None:
    """Refuse what leaves a review without an owner who can come in, by what was changed of one of them."""
    if before.role is not Role.OWNER or before.withdrawn_at is not None:
        return
    can_come = (_people.c.role == str(Role.OWNER), _people.c.withdrawn_at.is_(None), _people.c.removed_at.is_(None))
    if not connection.execute(select(func.count()).select_from(_people).where(*can_come)).scalar():
        raise InputError(f"{before.name} is the only owner; make somebody else an owner first.")


def _noted(connection: Connection, kind: AccessKind, by: By, about: str = "", note: str = "") -> None:
    connection.execute(
        insert(_access_log).values(
            seq=next_id(connection, _access_log.c.seq),
            at=now(),
            kind=str(kind),
            person=storable(by.name[:_MOST_NOTED]),
            about=storable(about[:_MOST_NOTED]),
            address=storable(by.address[:_MOST_NOTED]),
            note=storable(note[:_MOST_NOTED]),
        )
    )


def _end_what_lets_in(connection: Connection, name: str) -> None:
    """End a person's sessions, and make the tokens of their programs void."""
    _end_sessions(connection, _web_sessions.c.person == name)
    in_use = (_api_tokens.c.person == name, _api_tokens.c.revoked_at.is_(None))
    connection.execute(update(_api_tokens).where(*in_use).values(revoked_at=now()))


def _cancel_invitations(connection: Connection, name: str) -> int:
    can_be_used = (_invitations.c.name == name, _invitations.c.used_at.is_(None), _invitations.c.cancelled_at.is_(None))
    still = _invitations.c.expires_at > now()
    return connection.execute(update(_invitations).where(*can_be_used, still).values(cancelled_at=now())).rowcount


def _end_sessions(connection: Connection, which: ColumnElement[bool]) -> None:
    connection.execute(update(_web_sessions).where(which, _web_sessions.c.ended_at.is_(None)).values(ended_at=now()))


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _token_hash(token: str) -> str:
    # A token is 256 random bits, which nobody guesses: it needs no slow hash, as a password does.
    return hashlib.sha256(token.encode("utf-8", "backslashreplace")).hexdigest()


def _time_or_none(at: str | None) -> datetime | None:
    return None if at is None else datetime.fromisoformat(at)


def _to_person(row: Row[tuple[Any, ...]]) -> Person:
    at = row._mapping
    return Person(
        at[_people.c.name],
        Role(at[_people.c.role]),
        at[_people.c.password_hash],
        datetime.fromisoformat(at[_people.c.created_at]),
        _time_or_none(at[_people.c.withdrawn_at]),
        at[_people.c.totp_secret],
    )


def _to_invitation(row: Row[tuple[Any, ...]]) -> Invitation:
    return Invitation(
        row.name,
        Role(row.role),
        datetime.fromisoformat(row.created_at),
        datetime.fromisoformat(row.expires_at),
        _time_or_none(row.used_at),
        _time_or_none(row.cancelled_at),
    )


def _to_api_token(row: Row[tuple[Any, ...]]) -> ApiToken:
    at = row._mapping
    return ApiToken(
        _to_person(row),
        at[_api_tokens.c.name],
        datetime.fromisoformat(at[_api_tokens.c.created_at]),
        _time_or_none(row.revoked_at),
        Scope(row.scope),
        _time_or_none(row.expires_at),
    )
