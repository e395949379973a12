"""Where a review can live: in a file (SQLite), or on a server (PostgreSQL), for a team.

On a server each review is a schema of its own in a database that may hold several: a team needs one database
and no right to make others, and one backup holds all its reviews.
"""

from __future__ import annotations

import glob
import hashlib
import os
import platform
import re
import secrets
import sqlite3
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, select, text
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, DisconnectionError, NoSuchModuleError

from .. import bundled
from ..errors import ExtraNeeded, InputError, Unavailable
from ..whole import put_in_place
from ..wording import printable
from . import schema

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy.pool import ConnectionPoolEntry

_APPLICATION_ID = 0x74524941  # "tRIA" in the file's header: how a review is distinguished from any other SQLite file
# As `schema` has always written it.
_TRIGGER = (
    r"CREATE TRIGGER {table}_no_\w+ BEFORE \w+ ON {table} [^;]{{0,200}}BEGIN SELECT RAISE\(ABORT, "
    r"'the table {table} is append-only'\); END"
)
_BUSY_SECONDS = 30
_LEFT_BEHIND_SECONDS = 86_400
_KEPT = "nothing of this step was written, and everything decided before is kept"
_FORM = "postgresql://USER@HOST/DATABASE?review=NAME"
_ADDRESS = re.compile(r"postgres(ql)?(\+\w+)?://")


def place_of(review: str | Path | File | Server) -> File | Server:
    """Return the place that a review's file name or address means.

    Raises
    ------
    InputError
        When it is an address of another kind, or a wrong one.
    """
    if isinstance(review, (File, Server)):
        return review
    if isinstance(review, Path) or "://" not in review:
        return File(Path(review))
    if not _ADDRESS.match(review):
        raise InputError(f"{shown(review)} is not an address of a review; give a file name, or {_FORM}.")
    if re.match(r"[^:]*://[^/?]*@[^/?]*@", review):
        raise InputError(f"{shown(review)} has two @; write one that belongs to the password as %40.")
    try:
        url = make_url(re.sub(_ADDRESS, "postgresql+psycopg://", review, count=1))
    except (ArgumentError, ValueError) as error:
        raise InputError(f"{shown(review)} is not a valid address; write {_FORM}.") from error
    name = url.query.get("review", "review")
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]{1,40}", name, re.ASCII):
        raise InputError("The name of a review in an address has 1 to 40 letters, digits, - and _.")
    return Server(url.difference_update_query(["review"]), name)


def shown(review: str | Path) -> str:
    """Return a review's file name or address as it may be printed: without a password."""
    review = str(review)
    if "://" not in review:
        return review
    review = re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", review)
    return re.sub(r"((?:^|[?&])(?:password|sslpassword)=)[^&]*", r"\1***", review)


@dataclass(frozen=True, slots=True)
class File:
    """A review in one SQLite file.

    The journal mode is DELETE, so that a plain copy of the file made while no write is under way holds every
    acknowledged decision (a WAL database keeps some of them in a side file), and `synchronous` is EXTRA, so that
    a commit is on the disk, its directory entry included, before a call returns.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def cache_dir(self) -> Path:
        """Where vectors are kept."""
        return self.path.with_name(self.path.stem + ".cache")

    @property
    def folder(self) -> Path:
        """What a relative file name in the review starts from."""
        return self.path.parent

    def unfinished(self) -> File:
        """Return where the review is made: a crash half-way must not leave a file that looks like a review."""
        self.check_free()
        for left in self.path.parent.glob(f"{glob.escape(self.path.name)}.*.new*"):
            with suppress(OSError):  # what made it was stopped; another program may remove it too
                if time.time() - left.stat().st_mtime > _LEFT_BEHIND_SECONDS:
                    left.unlink()
        place = File(self.path.with_name(f"{self.path.name}.{secrets.token_hex(8)}.new"))
        try:
            # For its owner alone: it holds the hashes of passwords.
            os.close(os.open(place.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            raise InputError(f"{self} cannot be made ({error.strerror}); choose another place.") from error
        return place

    def check_free(self) -> None:
        """Refuse a place where something is already, or where nothing can be.

        Raises
        ------
        InputError
        """
        if self.path.exists():
            raise InputError(f"{self} exists already; choose another name, or go on with the review it holds.")
        if not self.path.parent.is_dir():
            raise InputError(f"The folder {self.path.parent} does not exist; make it first, or choose another place.")
        if (journal := _journal_of(self.path)).exists():
            raise InputError(
                f"{journal} belongs to a review that was at {self} and was not closed; put both together again, or choose "
                "another name."
            )

    def discard(self) -> None:
        """Remove what is unfinished."""
        self.path.unlink(missing_ok=True)
        _journal_of(self.path).unlink(missing_ok=True)

    def finish(self, unfinished: File | Server) -> None:
        """Put what is finished in its place, unless something came there meanwhile."""
        if isinstance(unfinished, File):
            try:
                put_in_place(unfinished.path, self.path)
            except FileExistsError as error:
                raise InputError(
                    f"{self} was made by another program meanwhile, and stays as it is; choose another name, or go on "
                    "with the review it holds."
                ) from error
            except OSError as error:
                raise InputError(f"{self} cannot be made ({error.strerror}); choose another place.") from error

    def begin(self, connection: Connection) -> None:
        """Prepare for the tables of a new review."""

    def check(self, connection: Connection) -> None:
        """Refuse a file that holds what runs by itself and is not ours: views, and triggers but for those of the log.

        Raises
        ------
        InputError
        """
        found = connection.exec_driver_sql(
            "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type IN ('view', 'trigger')"
        ).fetchall()
        for kind, name, table, sql in found:
            if kind == "view" or not re.fullmatch(_TRIGGER.format(table=re.escape(table)), sql):
                raise InputError(
                    f"{self} holds a {kind} that triage did not make ({printable(name)[:60]}), which could change or hide "
                    "decisions, or never end; it is not opened. Go on with your last copy from before that."
                )

    def version(self, engine: Engine) -> int:
        """Return the schema version of the review.

        Raises
        ------
        InputError
            When it does not exist.
        """
        if not self.path.exists():
            raise InputError(f"There is no review at {self}; make one with `triage new {self}`.")
        # Read from the bytes: connecting can already change a file that is somebody else's database.
        header = b""
        if self.path.is_file():
            with self.path.open("rb") as file:
                header = file.read(100)
        if len(header) == 100 and header.startswith(b"SQLite format 3\0"):
            version: int
            application_id: int
            version, application_id = struct.unpack_from(">i4xi", header, 60)
            if application_id == _APPLICATION_ID:
                return version
        raise InputError(f"{self} is not a triage review; give the file that `triage new` made.")

    def set_version(self, connection: Connection, version: int) -> None:
        """Write the schema version."""
        connection.exec_driver_sql(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version = {version}")

    def store_path(self, path: Path) -> str:
        """Return a file's name as the review keeps it: relative where it can be, so that a folder may be moved."""
        path, folder = path.resolve(), self.folder.resolve()
        return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)

    def resolve_path(self, stored: str) -> Path | None:
        """Return the file of a stored name, or None."""
        path = self.folder / stored
        return path if path.is_file() else None

    def named(self, stored: str) -> str:
        """Return a stored file's name as a message gives it."""
        return str(self.folder / stored)

    def check_there(self, connection: Connection | None = None) -> None:
        """Refuse to go on where the file is no longer at its place, or no longer the one that a connection is open to.

        Raises
        ------
        Unavailable
        """
        there = _identity(self.path)
        if there is None:
            raise Unavailable(
                f"{self} is no longer there: it was moved, renamed or deleted while it was open; {_KEPT} in that file: "
                "put it back, or open it where it is now."
            )
        if connection is not None and connection.info.get("file") != there:
            raise Unavailable(self.replaced())

    def replaced(self) -> str:
        """Say that another file is where the review was, and what to do."""
        return (
            f"{self} is not as it was left: another file is in its place, or an older copy was put back, which lacks what "
            "was decided since; nothing of this step was written: put the former file back, or end triage and start it "
            "again to go on with this one."
        )

    def engine(self) -> Engine:
        """Return a way to the database."""
        # Not as text: "?" and "%" are letters of a file's name, but not of an address.
        engine = create_engine(URL.create("sqlite", database=str(self.path)), connect_args={"timeout": _BUSY_SECONDS})

        @event.listens_for(engine, "connect")
        def _configure(connection: sqlite3.Connection, kept: ConnectionPoolEntry) -> None:
            kept.info["file"] = _identity(self.path)
            connection.isolation_level = None  # the driver must not begin transactions of its own
            connection.execute("PRAGMA trusted_schema = OFF")  # a review may come from somebody else
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA recursive_triggers = ON")

        @event.listens_for(engine, "checkout")
        def _same_file(connection: sqlite3.Connection, kept: ConnectionPoolEntry, _: object) -> None:
            # A connection stays open to the file that was there, wherever that is now.
            if kept.info.get("file") != (there := _identity(self.path)) and there is not None:
                raise DisconnectionError("the file was replaced")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            # IMMEDIATE takes the write lock at once: a transaction that reads first and writes later
            # would fail, not wait, when another session wrote in between.
            options = connection.get_execution_options()
            write = options.get("write", False)
            # What no longer fits the cache is written out before the end, and then nobody can read the file, not even
            # this process's other connections.
            spill = "OFF" if options.get("read_meanwhile", False) else "ON"
            connection.exec_driver_sql(f"PRAGMA cache_spill = {spill}")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

        return engine

    def what_failed(self, error: DBAPIError) -> str:
        """Say in one sentence why the file could not be read or written, and what to do."""
        code = getattr(error.orig, "sqlite_errorname", "")
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return (
                f"{self} is locked: another program has been writing to it for {_BUSY_SECONDS} seconds; "
                f"{_KEPT}: try again when that program is done."
            )
        if code.startswith("SQLITE_FULL"):
            return f"There is no room left on the disk of {self}; {_KEPT}: make room and try again."
        if code == "SQLITE_READONLY_DBMOVED":
            return self.replaced()
        if code.startswith("SQLITE_READONLY"):
            return f"{self} or its folder is read-only; {_KEPT}: change that, or work on a copy."
        if code.startswith("SQLITE_CANTOPEN"):
            return f"{self} cannot be opened or made: you are not allowed to write to its folder; choose another place."
        if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return (
                f"{self} is damaged ({error.orig}), perhaps cut off in a copy; go on with your last intact copy of it."
            )
        return f"{self} could not be read or written ({error.orig}); {_KEPT}: check the disk and try again."


def _journal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-journal")


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what distinguishes the file at a path from any other that is put there; None where there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


@dataclass(frozen=True, slots=True)
class Server:
    """A review on a PostgreSQL server: the schema `triage_NAME` of a database.

    Writes take a lock of the review and so come one after another, as they do in a file; a commit is on the
    server's disk before a call returns.
    """

    url: URL = field(repr=False)
    name: str

    def __str__(self) -> str:
        address = self.url.set(drivername="postgresql").update_query_dict({"review": self.name})
        return shown(address.render_as_string(hide_password=True))

    @property
    def schema(self) -> str:
        """The schema of the database that holds the review."""
        return f"triage_{self.name}"

    @property
    def cache_dir(self) -> Path:
        """Where vectors are kept."""
        where = (self.url.host or "", str(self.url.port or ""), self.url.database or "", self.name)
        key = hashlib.sha256("\0".join(where).encode()).hexdigest()[:16]
        return bundled.user_cache_dir() / f"{self.name}-{key}"

    @property
    def folder(self) -> Path:
        """What a relative file name starts from."""
        return Path.cwd()

    def unfinished(self) -> Server:
        """Return where the review is made: in its place, in one transaction."""
        return self

    def check_free(self) -> None:
        """Accept the place: whether something is there is seen in the transaction that makes it."""

    def check_there(self, connection: Connection | None = None) -> None:
        """Accept what is on the server: a schema has no other in its place."""

    def discard(self) -> None:
        """Remove what is unfinished: the transaction has done so."""

    def finish(self, unfinished: File | Server) -> None:
        """Put what is finished in its place: the transaction has done so."""

    def check(self, connection: Connection) -> None:
        """Accept what is on the server: only its owner can change the tables."""

    def begin(self, connection: Connection) -> None:
        """Make the schema of a new review."""
        if self._there(connection):
            raise InputError(f"{self} exists already; choose another name, or go on with the review it holds.")
        connection.exec_driver_sql(f'CREATE SCHEMA "{self.schema}"')

    def _there(self, connection: Connection) -> bool:
        wanted = text("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :name")
        return connection.execute(wanted, {"name": self.schema}).first() is not None

    def version(self, engine: Engine) -> int:
        """Return the schema version of the review.

        Raises
        ------
        InputError
            When it does not exist.
        """
        with engine.begin() as connection:
            if not self._there(connection):
                raise InputError(f"There is no review at {self}; make one with `triage new`, or copy one there.")
            wanted = select(schema.meta.c.value).where(schema.meta.c.key == "schema_version")
            kept = connection.execute(wanted).scalar_one()
        return int(kept)

    def set_version(self, connection: Connection, version: int) -> None:
        """Write the schema version."""
        here = schema.meta.c.key == "schema_version"
        if not connection.execute(schema.meta.update().where(here).values(value=str(version))).rowcount:
            connection.execute(schema.meta.insert().values(key="schema_version", value=str(version)))

    def store_path(self, path: Path) -> str:
        """Return a file's name as the review keeps it: with the machine that it is a file of."""
        return f"{platform.node()}:{path.resolve()}"

    def resolve_path(self, stored: str) -> Path | None:
        """Return the file of a stored name, or None, as on any other machine than the one it was kept on."""
        machine, _, path = stored.partition(":")
        return Path(path) if machine == platform.node() and Path(path).is_file() else None

    def named(self, stored: str) -> str:
        """Return a stored file's name as a message gives it: with its machine where that is another one."""
        machine, _, path = stored.partition(":")
        return path if machine == platform.node() else stored

    def engine(self) -> Engine:
        """Return a way to the database."""
        try:
            # A connection that the server has closed meanwhile, as when it was restarted, is made again. Of a
            # team's pages twenty are kept: to make one costs more than what it is made for.
            engine = create_engine(self.url, pool_size=20, pool_pre_ping=True, connect_args={"connect_timeout": 10})
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            raise ExtraNeeded("A review on a server", "team") from error

        @event.listens_for(engine, "connect")
        def _configure(connection: psycopg.Connection, _: object) -> None:
            connection.autocommit = True
            connection.execute(f'SET search_path = "{self.schema}"')
            connection.execute("SET synchronous_commit = on")
            connection.execute(f"SET lock_timeout = '{_BUSY_SECONDS}s'")
            connection.autocommit = False

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            if connection.get_execution_options().get("write", False):
                # Taken before anything is read, and each statement sees what was committed before it began.
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:us, hashtext(:schema))"),
                    {"us": _APPLICATION_ID, "schema": self.schema},
                )
            else:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

        return engine

    def what_failed(self, error: DBAPIError) -> str:
        """Say in one sentence why the server could not do something, and what to do."""
        state = getattr(error.orig, "sqlstate", None) or ""
        why = " ".join(str(error.orig).split()) or type(error.orig).__name__
        if state == "55P03":
            return (
                f"{self} is locked: another program has been writing to it for {_BUSY_SECONDS} seconds; {_KEPT}: "
                "try again when that program is done."
            )
        if state in ("42501", "42P01"):  # without the right to a schema, its tables are as if not there
            return f"{self}: you may not do this on the server ({why}); {_KEPT}: ask its administrator for permission."
        if state.startswith("22") or isinstance(error, DataError):
            return f"{self} cannot keep a text or number as it is ({why}); {_KEPT}."
        if state.startswith("53"):
            return f"The server of {self} has no room left ({why}); {_KEPT}: make room and try again."
        return (
            f"The server of {self} cannot be reached, or broke off ({why}); everything acknowledged before is "
            "kept: check that it is running and go on."
        )
