"""One review in one database: records, the append-only log, rankings, people. The only package with SQL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection, insert, select

from .. import protocol as protocols
from ..errors import InputError
from ..log import CurrentState, Kind
from ..log.stage import Stage, stage_of
from ..whole import written_whole
from . import schema
from .attachments import Attachments
from .database import Database, next_id, now
from .location import File, Server, place_of, shown
from .log import Log, commitment
from .making import copy, made, opened
from .people import NOBODY, AccessEvent, AccessKind, ApiToken, By, Invitation, People, Person, Role, Scope, WebSession
from .rankings import Rankings
from .reading import Reader
from .records import Records
from .snapshot import Snapshot, SourceFile

__all__ = [
    "commitment",
    "protocol_digest",
    "SCHEMA_VERSION",
    "NOBODY",
    "AccessEvent",
    "AccessKind",
    "ApiToken",
    "By",
    "File",
    "Invitation",
    "Log",
    "Person",
    "Project",
    "Rankings",
    "Records",
    "Role",
    "Scope",
    "Server",
    "Snapshot",
    "SourceFile",
    "Stage",
    "WebSession",
    "copy",
    "place_of",
    "shown",
    "stage_of",
]

SCHEMA_VERSION = schema.VERSION


class Project:
    """A review in its database. What it holds is read from a snapshot, and written by its parts.

    Use as a context manager, or call `close`. Every method that writes is one transaction, on the
    disk before it returns.

    Attributes
    ----------
    path : Path or Server
        Where it is.
    records : Records
    log : Log
    attachments : Attachments
    rankings : Rankings
    people : People
    """

    def __init__(self, database: Database) -> None:
        self.path = database.path
        self.records = Records(database, lambda: self._reader.known())
        self.rankings = Rankings(database)
        self._reader = Reader(database, self.records, self.rankings)
        self.log = Log(database, self._reader)
        self.attachments = Attachments(database, self._reader)
        self.people = People(database, self._reader)
        self._database = database

    @classmethod
    def create(cls, path: str | Path | Server, protocol_text: str, protocol_path: Path | None = None) -> Project:
        """Make a review at `path`.

        Parameters
        ----------
        path : path or address
            The file to make, or the address of a review on a server; it must not exist.
        protocol_text : str
            The protocol as TOML.
        protocol_path : Path, optional
            The file that holds the protocol; `refresh_protocol` takes its later changes over.

        Raises
        ------
        InputError
            When it exists or cannot be made there, or the protocol is wrong.
        """
        protocols.parse(protocol_text, str(protocol_path or "protocol.toml"))
        with made(place_of(path)) as (place, connection):
            connection.execute(insert(schema.meta), [{"key": "created", "value": now()}])
            connection.execute(insert(schema.protocols), [{"id": 1, "text": protocol_text, "at": now()}])
            if protocol_path is not None:
                kept = place.store_path(Path(protocol_path))
                connection.execute(insert(schema.meta), [{"key": "protocol_path", "value": kept}])
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path | Server) -> Project:
        """Open a review, bringing an older one up to date.

        Raises
        ------
        InputError
            When it does not exist, is not a review, was made by a newer version, or the server cannot be reached.
        """
        project = cls(opened(place_of(path)))
        try:
            project._begin()
        except BaseException:
            project.close()
            raise
        return project

    def _begin(self) -> None:
        # A file that was cut off is reported here, not in the middle of some work.
        with self._database.read() as connection:
            self._database.place.check(connection)
            self._reader.begin(connection)
            self._database.watch(connection)

    def close(self) -> None:
        """Close every connection to the database."""
        self._database.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def cache_dir(self) -> Path:
        """The folder of the vectors' cache (beside a file); it may be deleted at any time."""
        return self._database.place.cache_dir

    def turn(self) -> AbstractContextManager[None]:
        """Keep everybody else from writing until the block ends (see `Database.turn`)."""
        return self._database.turn()

    # -- reading ------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return the review as it is now, read in one transaction; while nothing is new it is the same object."""
        return self._reader.snapshot()

    def protocol(self) -> protocols.Protocol:
        """Return the protocol in force."""
        return self.snapshot().protocol

    def live(self) -> CurrentState:
        """Return what is current in the log as it is now; it is shared, and not to be changed."""
        return self._reader.live()

    def stage(self, name: str | None = None, *, viewer: str | None = None) -> Stage:
        """Return a stage as it is now (see `Snapshot.stage`)."""
        return self.snapshot().stage(name, viewer=viewer)

    # -- protocol -----------------------------------------------------------------------------

    @property
    def protocol_file(self) -> Path | None:
        """The protocol's file, which `refresh_protocol` reads; None where the review has none that is known here."""
        noted = self._reader.protocol_path
        return None if noted is None else self._database.place.resolve_path(noted)

    def refresh_protocol(self) -> bool:
        """Take over the protocol file named at creation when it has changed; return whether it had.

        Raises
        ------
        InputError
            When the changed file is not a valid protocol; the one in force stays.
        """
        if (path := self.protocol_file) is None:
            return False
        try:
            changed = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read as UTF-8 text ({error}); save it as UTF-8.") from error
        if changed == self._reader.protocol_known:
            return False
        protocols.parse(changed, str(path))
        with self._database.write() as connection:
            self._reader.begin(connection)
            if changed == self._reader.protocol_known:  # somebody else was faster
                return False
            self._put_in_force(connection, changed, "")
        return True

    def _put_in_force(self, connection: Connection, text: str, reviewer: str) -> None:
        number = next_id(connection, schema.protocols.c.id)
        connection.execute(insert(schema.protocols).values({"id": number, "text": text, "at": now()}))
        note = json.dumps({"version": number, "sha256": protocol_digest(text)})
        self._reader.append(connection, [{"kind": Kind.PROTOCOL, "reviewer": reviewer, "note": note}])

    def change_protocol(self, wanted: protocols.Protocol, *, reviewer: str, seen: str | None = None) -> bool:
        """Put a protocol in force: a new version in the review, and its file rewritten where it has one.

        Comments in the file, and the order of what does not change, are kept.

        Parameters
        ----------
        wanted : Protocol
        reviewer : str
            Who changes it.
        seen : str, optional
            The `protocol_digest` of the TOML that the change was made from.

        Returns
        -------
        bool
            Whether anything changed.

        Raises
        ------
        InputError
            When it is no valid protocol, the file cannot be written, or the protocol is no longer the one that was seen.
        """
        self.refresh_protocol()
        with self.turn():
            self.snapshot()
            known = self._reader.protocol_known
            if seen is not None and seen != protocol_digest(known):
                raise InputError(
                    "The protocol was changed meanwhile, in its file or by somebody else; load the page again, and make "
                    "your change in what is in force now."
                )
            changed = protocols.write(known, wanted)
            if changed == known:
                return False
            if (path := self.protocol_file) is not None:
                _replace_text(path, changed)
            with self._database.write() as connection:
                self._put_in_force(connection, changed, reviewer)
        return True

    # -- word lists ---------------------------------------------------------------------------

    def own_highlights(self, reviewer: str) -> tuple[protocols.WordList, ...]:
        """Return a reviewer's own word lists, which nobody else sees; those for all are in the protocol."""
        query = select(schema.meta.c.value).where(schema.meta.c.key == _highlights_key(reviewer))
        with self._database.read() as connection:
            kept = connection.execute(query).scalar()
        return () if kept is None else protocols.parse(kept, "your word lists").highlights

    def keep_own_highlights(self, lists: Sequence[protocols.WordList], *, reviewer: str) -> None:
        """Keep a reviewer's own word lists in place of those before.

        Raises
        ------
        InputError
            When one of them is no word list.
        """
        text = protocols.write("", protocols.Protocol(highlights=tuple(lists)))
        here = schema.meta.c.key == _highlights_key(reviewer)
        with self._database.write() as connection:
            if not connection.execute(schema.meta.update().where(here).values(value=text)).rowcount:
                connection.execute(insert(schema.meta), [{"key": _highlights_key(reviewer), "value": text}])


def _highlights_key(reviewer: str) -> str:
    # Beside the log, which is exported and read by owners.
    return f"highlights of {reviewer}"


def protocol_digest(text: str) -> str:
    """Return the SHA-256 by which a version of the protocol is known."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _replace_text(path: Path, text: str) -> None:
    """Write a file anew, whole or not at all."""
    try:
        with written_whole(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); the protocol stays as it was.") from error
