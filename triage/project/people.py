"""Who may work on a review, and how they come in."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from ..errors import InputError
from .database import Database, now
from .schema import (
    api_tokens as _api_tokens,
    invitations as _invitations,
    people as _people,
    web_sessions as _web_sessions,
)

if TYPE_CHECKING:
    from .reading import Reader


class Role(StrEnum):
    """What a person may do in a review: each role may all that those before it may."""

    REVIEWER = "reviewer"  # decides, blind to the others
    ADJUDICATOR = "adjudicator"  # sees all decisions of a record in conflict, and settles it
    OWNER = "owner"  # sees and changes all, invites


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may work on the review; `name` is the reviewer's in the log."""

    name: str
    role: Role
    password_hash: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link by which a person of that name and role may come in once, until it expires."""

    name: str
    role: Role
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None

    @property
    def open(self) -> bool:
        """Whether it can still be used."""
        return self.used_at is None and datetime.now(UTC) < self.expires_at


@dataclass(frozen=True, slots=True)
class WebSession:
    """One person logged in with one browser."""

    person: Person
    created_at: datetime
    last_seen: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A program's key to the review, with the rights of its person."""

    person: Person
    name: str
    created_at: datetime
    revoked_at: datetime | None


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
        """Return everybody who may come in, by name; none in a review of one person on one machine."""
        with self._database.read() as connection:
            return list(read_people(connection))

    def named(self, name: str) -> Person | None:
        """Return the person of that name, or None."""
        with self._database.read() as connection:
            row = connection.execute(select(_people).where(_people.c.name == name)).one_or_none()
        return None if row is None else _to_person(row)

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

    def set_role(self, name: str, role: Role | str) -> None:
        """Give a person another role.

        Raises
        ------
        InputError
            When there is no such person or role, or the review would be left without an owner.
        """
        role = _role(role)
        with self._database.write() as connection:
            before = connection.execute(select(_people.c.role).where(_people.c.name == name)).scalar()
            _changed(connection, name, {"role": str(role)})
            owners = connection.execute(select(func.count()).where(_people.c.role == str(Role.OWNER))).scalar()
            if before == Role.OWNER and not owners:
                raise InputError(f"{name} is the only owner; make somebody else an owner first.")

    def set_password_hash(self, name: str, text: str | None) -> None:
        """Keep the hash of a person's password (None: nobody can log in by that name); end all their sessions.

        Raises
        ------
        InputError
            When there is no such person.
        """
        with self._database.write() as connection:
            _changed(connection, name, {"password_hash": text})
            _end_sessions(connection, _web_sessions.c.person == name)

    def invite(self, name: str, role: Role | str, expires_at: datetime) -> str:
        """Make an invitation and return its token, which is shown only this once; only its hash is kept.

        Who is there already may be invited, to choose a new password; the role then stays theirs.

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

    def accept(self, token: str, password_hash: str) -> Person:
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
            if there is None:
                return _insert_person(connection, row.name, row.role, password_hash)
            _changed(connection, row.name, {"password_hash": password_hash})
            _end_sessions(connection, _web_sessions.c.person == row.name)
            return replace(_to_person(there), password_hash=password_hash)

    def start_session(self, person: str) -> str:
        """Log a person in and return the session's token, of which only a hash is kept."""
        token = _new_token()
        with self._database.write() as connection:
            connection.execute(
                insert(_web_sessions).values(
                    token_hash=_token_hash(token), person=person, created_at=now(), last_seen=now(), ended_at=None
                )
            )
        return token

    def session(self, token: str) -> WebSession | None:
        """Return the session of a token, ended or not, or None."""
        with self._database.read() as connection:
            row = connection.execute(
                select(_web_sessions, _people).join(_people).where(_web_sessions.c.token_hash == _token_hash(token))
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

    def end_session(self, token: str) -> None:
        """End one session."""
        with self._database.write() as connection:
            _end_sessions(connection, _web_sessions.c.token_hash == _token_hash(token))

    def create_api_token(self, person: str, name: str) -> str:
        """Make a token for a person's program and return it; only a hash of it is kept.

        Raises
        ------
        InputError
            When the name is wrong, or the person has a token of that name.
        """
        name, token = checked_name(name), _new_token()
        with self._database.write() as connection:
            same = select(_api_tokens.c.name).where(_api_tokens.c.person == person, _api_tokens.c.name == name)
            if connection.execute(same).first() is not None:
                raise InputError(f"{person} has or had a token named {name!r}; choose another name.")
            connection.execute(
                insert(_api_tokens).values(
                    token_hash=_token_hash(token), person=person, name=name, created_at=now(), revoked_at=None
                )
            )
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
        query = select(_api_tokens, _people).join(_people).where(_api_tokens.c.token_hash == _token_hash(token))
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _to_api_token(row)

    def revoke_api_token(self, person: str, name: str) -> None:
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


def read_people(connection: Connection) -> tuple[Person, ...]:
    """Return everybody who may come in, by name."""
    found = [_to_person(row) for row in connection.execute(select(_people))]
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
    )


def _to_invitation(row: Row[tuple[Any, ...]]) -> Invitation:
    return Invitation(
        row.name,
        Role(row.role),
        datetime.fromisoformat(row.created_at),
        datetime.fromisoformat(row.expires_at),
        _time_or_none(row.used_at),
    )


def _to_api_token(row: Row[tuple[Any, ...]]) -> ApiToken:
    at = row._mapping
    return ApiToken(
        _to_person(row),
        at[_api_tokens.c.name],
        datetime.fromisoformat(at[_api_tokens.c.created_at]),
        _time_or_none(row.revoked_at),
    )
