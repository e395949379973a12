"""The database of a review: its transactions, and what every table needs."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
            with engine.begin() as connection:
                yield connection
        except IntegrityError:  # a rule of the schema was broken: a fault of ours, not of the disk
            raise
        except DataError as error:
            raise InputError(self.place.what_failed(error)) from error
        except DBAPIError as error:
            raise Unavailable(self.place.what_failed(error)) from error


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
