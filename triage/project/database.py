"""The database of a review: its transactions, and what every table needs."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, func, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from ..errors import InputError, Unavailable
from .location import File, Server

T = TypeVar("T")
PAGE = 5_000  # rows read at a time, so that no read holds the file for long


class Database:
    """The transactions of one review.

    Parameters
    ----------
    place : File or Server

    Attributes
    ----------
    path : Path or Server
        Where it is.
    """

    def __init__(self, place: File | Server) -> None:
        self.place = place
        self.path = place.path if isinstance(place, File) else place
        self.engine = place.engine()
        self._turn = threading.local()
        # Threads wait here and not with a connection in their hands, which the writing thread may need to read.
        self._writing = threading.RLock()
        self._watched: _Watched | None = None

    def watch(self, connection: Connection) -> None:
        """From now on refuse a file whose log does not go on from what was read of it: an older copy, or another review."""
        if isinstance(self.place, File):
            self._watched = _Watched(self.place, connection)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def version(self) -> int:
        """Return the schema version of the review.

        Raises
        ------
        InputError
            When there is no review.
        """
        try:
            return self.place.version(self.engine)
        except DBAPIError as error:
            raise Unavailable(self.place.what_failed(error)) from error

    def read(self) -> AbstractContextManager[Connection]:
        """Begin a transaction that only reads."""
        return self._transaction(self.engine)

    def write(self) -> AbstractContextManager[Connection]:
        """Begin a transaction that keeps everybody else from writing, on the disk when it ends; or go on with a turn."""
        if (connection := getattr(self._turn, "connection", None)) is not None:
            return nullcontext(connection)
        return self._alone()

    @contextmanager
    def _alone(self, *, read_meanwhile: bool = False) -> Iterator[Connection]:
        engine = self.engine.execution_options(write=True, read_meanwhile=read_meanwhile)
        with self._writing, self._transaction(engine) as connection:
            yield connection

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep everybody else from writing until the block ends; what is written in it is one transaction.

        So that what is read in the block still holds when the block writes. What it wrote itself is read only
        after it. Another turn in it is part of it.
        """
        if getattr(self._turn, "connection", None) is not None:
            yield
            return
        with self._alone(read_meanwhile=True) as connection:
            self._turn.connection = connection
            try:
                yield
            finally:
                self._turn.connection = None

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        try:
            self.place.check_there()
            with engine.begin() as connection:
                if self._watched is not None:
                    self._watched.check(connection)
                yield connection
                if engine is not self.engine:  # it was to write
                    self.place.check_there(connection)
                    written = _last_rows(connection) if self._watched is not None else None
            if engine is not self.engine and self._watched is not None and written is not None:
                self._watched.know(written)
        except IntegrityError:  # a rule of the schema was broken: a fault of ours, not of the disk
            raise
        except DataError as error:
            raise InputError(self.place.what_failed(error)) from error
        except DBAPIError as error:
            raise Unavailable(self.place.what_failed(error)) from error


# Tables that only grow, by the number of a row; each row has its time.
_GROWING = (("events", "seq"), ("files", "id"), ("protocols", "id"), ("access_log", "seq"))
_LAST_ROWS = "SELECT (SELECT value FROM meta WHERE key = 'created')" + "".join(
    f", (SELECT max({n}) FROM {table}), (SELECT at FROM {table} ORDER BY {n} DESC LIMIT 1)" for table, n in _GROWING
)
_ROWS = "SELECT (SELECT value FROM meta WHERE key = 'created')" + "".join(
    f", (SELECT at FROM {table} WHERE {n} = ?)" for table, n in _GROWING
)


@dataclass(frozen=True, slots=True)
class _LastRows:
    """When a review was made, and of each table that only grows the number and the time of the last row."""

    created: str | None
    numbers: tuple[int | None, ...]
    times: tuple[str | None, ...]


def _last_rows(connection: Connection) -> _LastRows:
    created, *found = connection.exec_driver_sql(_LAST_ROWS).one()
    return _LastRows(created, tuple(found[::2]), tuple(found[1::2]))


class _Watched:
    """Tells a file that goes on from what was read of it from an older copy, or another review, that took its place."""

    def __init__(self, place: File, connection: Connection) -> None:
        self._place = place
        self._known = _last_rows(connection)
        self._turn = threading.Lock()

    def check(self, connection: Connection) -> None:
        """Refuse a file that does not hold the last rows that are known.

        Raises
        ------
        Unavailable
        """
        known = self._known  # before the query, which may see more but never less
        created, *times = connection.exec_driver_sql(_ROWS, known.numbers).one()
        if (created, tuple(times)) != (known.created, known.times):
            raise Unavailable(self._place.replaced())
        self.know(_last_rows(connection))

    def know(self, newer: _LastRows) -> None:
        """Take in what is in the file now."""
        with self._turn:
            if newer.numbers != self._known.numbers and all(
                (one or 0) >= (before or 0) for one, before in zip(newer.numbers, self._known.numbers, strict=True)
            ):
                self._known = newer


def now() -> str:
    """Return the time in UTC, as events hold it."""
    return datetime.now(UTC).isoformat()


def next_id(connection: Connection, column: ColumnElement[int]) -> int:
    """Return one more than the highest number in a column."""
    return (connection.execute(select(func.max(column))).scalar() or 0) + 1


def pages(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of at most `size`, as many as one statement takes."""
    page: list[T] = []
    for item in items:
        page.append(item)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


def storable(value: str) -> str:
    """Return text that every database can store."""
    # A lone surrogate cannot be stored as UTF-8, nor a NUL on a server; they are escaped rather than lost.
    return value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
