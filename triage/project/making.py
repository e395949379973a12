"""How a review comes about: made new, opened and brought up to date, or copied between files and servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import Connection, func, insert, select

from ..errors import InputError
from ..wording import plural
from . import schema
from .database import PAGE, Database
from .location import File, Server, place_of

_PAGE_OF_FILES = 1  # attached files, which may be of any size


@contextmanager
def made(place: File | Server) -> Iterator[tuple[File | Server, Connection]]:
    """Make the tables of a new review, and give a transaction to fill it in; if that fails, nothing is made."""
    unfinished = place.unfinished()
    database = Database(unfinished)
    try:
        with database.write() as connection:
            unfinished.begin(connection)
            schema.migrate(connection, 0)
            unfinished.set_version(connection, schema.VERSION)
            yield place, connection
        database.close()
        place.finish(unfinished)
    except BaseException:
        database.close()
        unfinished.discard()
        raise


def opened(place: File | Server) -> Database:
    """Return the database of a review, an older one brought up to date.

    Raises
    ------
    InputError
        When it does not exist, is not a review, was made by a newer version, or the server cannot be reached.
    """
    database = Database(place)
    try:
        version = database.version()
        if version > schema.VERSION:
            raise InputError(
                f"{place} was made by a newer version of triage (file version {version}, this one "
                f"reads up to {schema.VERSION}); update triage to open it."
            )
        if version < schema.VERSION:
            with database.write() as connection:
                place.check(connection)
                schema.migrate(connection, version)
                place.set_version(connection, schema.VERSION)
    except BaseException:
        database.close()
        raise
    return database


def copy(source: str | Path | Server, target: str | Path | Server) -> dict[str, int]:
    """Copy a review to a place that has none, whole or not at all; return the rows of each table.

    Between files and servers, either way. All is copied: records, log, protocols, audit permutations, rankings,
    attached files and people, with their numbers and times.

    Raises
    ------
    InputError
        When there is no review at `source`, or anything at `target`.
    """
    counts: dict[str, int] = {}
    with opened(place_of(source)) as old, old.read() as origin, made(place_of(target)) as (place, connection):
        old.place.check(origin)
        for table in schema.metadata.sorted_tables:
            counts[table.name] = 0
            key = list(table.primary_key)
            page_size = _PAGE_OF_FILES if table is schema.attachments else PAGE
            rows = origin.execution_options(yield_per=page_size).execute(select(table).order_by(*key))
            for some in rows.mappings().partitions():
                page = [dict(row) for row in some]
                if table is schema.meta:
                    page = [row for row in page if row["key"] != "schema_version"]
                    for row in page:
                        if row["key"] == "protocol_path" and (path := old.place.resolve_path(row["value"])) is not None:
                            row["value"] = place.store_path(path)
                if page:
                    with schema.events_as_they_are(connection) if table is schema.events else nullcontext():
                        connection.execute(insert(table), page)
                counts[table.name] += len(page)
        for table in schema.metadata.sorted_tables:
            there = connection.execute(select(func.count()).select_from(table)).scalar_one()
            of_ours = int(table is schema.meta and isinstance(place, Server))  # its own schema version
            if there != counts[table.name] + of_ours:
                raise InputError(
                    f"Of the table {table.name} {plural(there, 'row')} came through, not "
                    f"{counts[table.name]:,}; nothing was copied."
                )
    return counts
