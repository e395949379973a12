"""Files attached to records: their bytes are kept in the review, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from sqlalchemy import func, insert, select

from ..errors import InputError
from ..log import Event, Kind, taken_back
from .database import PAGE, Database, pages
from .reading import Reader
from .schema import attachments as _attachments, records as _records


class Attachments:
    """The files attached to the records of a review.

    Parameters
    ----------
    database : Database
    reader : Reader
    """

    def __init__(self, database: Database, reader: Reader) -> None:
        self._database = database
        self._reader = reader

    def attach(
        self, record_id: int, name: str, content: bytes, *, reviewer: str, replaces: Iterable[int] = ()
    ) -> tuple[Event, bool]:
        """Attach a file to a record; its bytes are kept in the review, once however often they are attached.

        Parameters
        ----------
        record_id : int
        name : str
            The file's.
        content : bytes
        reviewer : str
        replaces : iterable of int
            Events of the record's attachments that it takes the place of; they are taken back, and stay in the log.

        Returns
        -------
        Event
            By which it is attached.
        bool
            Whether it is new; a record that has a file of these bytes already keeps it under its name.

        Raises
        ------
        InputError
            When there is no such record, or nothing to replace.
        """
        sha256, replaces = hashlib.sha256(content).hexdigest(), set(replaces)
        with self._database.write() as connection:
            if connection.execute(select(_records.c.id).where(_records.c.id == record_id)).first() is None:
                raise InputError(f"There is no record {record_id} in {self._database.place}.")
            there = {e.seq: e for e in self._reader.live().attachments(record_id)}
            if wrong := replaces - there.keys():
                raise InputError(
                    f"Event {min(wrong)} attached no file that record {record_id} has, so it cannot be "
                    "replaced; look at the record again."
                )
            before = next((e for e in there.values() if e.reason == sha256), None)
            rows = [taken_back(there[seq], reviewer) for seq in sorted(replaces - {before and before.seq})]
            if before is not None:
                self._reader.append(connection, rows)
                return before, False
            same = select(_attachments.c.sha256).where(_attachments.c.sha256 == sha256)
            if connection.execute(same).first() is None:
                connection.execute(insert(_attachments).values(sha256=sha256, content=content))
            rows.append(
                {"kind": Kind.ATTACHED, "record_id": record_id, "reviewer": reviewer, "reason": sha256, "note": name}
            )
            return self._reader.append(connection, rows)[-1], True

    def content(self, sha256: str) -> bytes | None:
        """Return the bytes of an attached file, or None where no file has that digest."""
        with self._database.read() as connection:
            return connection.execute(select(_attachments.c.content).where(_attachments.c.sha256 == sha256)).scalar()

    def sizes(self, digests: Collection[str]) -> dict[str, int]:
        """Return the length in bytes of each attached file of these digests."""
        query = select(_attachments.c.sha256, func.length(_attachments.c.content))
        sizes: dict[str, int] = {}
        for page in pages(sorted(digests), PAGE):
            with self._database.read() as connection:
                found = connection.execute(query.where(_attachments.c.sha256.in_(page)))
                sizes.update((sha256, size) for sha256, size in found)
        return sizes
