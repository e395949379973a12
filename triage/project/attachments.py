"""Files attached to records: their bytes are kept in the review, each once."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable

from sqlalchemy import Connection, func, insert, select

from ..errors import InputError
from ..log import Event, Kind, taken_back
from ..wording import plural
from .database import PAGE, Database, pages
from .location import File
from .reading import Reader
from .schema import attachments as _attachments, records as _records

MOST_OF_RECORD = 50  # files
MOST_GIGABYTES = 20.0  # of all files of a review, unless `_SETTING` says another number
_SETTING = "TRIAGE_ATTACHMENTS_GB"
_LEFT_FREE = 500_000_000  # bytes of the disk, which decisions need


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
            When there is no such record, or nothing to replace, or the record or the review has as many as it may.
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
            if len(there) - len(replaces) >= MOST_OF_RECORD:
                raise InputError(
                    f"Record {record_id} has {plural(len(there), 'file')}, and at most {MOST_OF_RECORD} can be attached to "
                    "one; take one off first."
                )
            same = select(_attachments.c.sha256).where(_attachments.c.sha256 == sha256)
            if connection.execute(same).first() is None:
                self._check_room(connection, len(content))
                connection.execute(insert(_attachments).values(sha256=sha256, content=content))
            rows.append(
                {"kind": Kind.ATTACHED, "record_id": record_id, "reviewer": reviewer, "reason": sha256, "note": name}
            )
            return self._reader.append(connection, rows)[-1], True

    def _check_room(self, connection: Connection, size: int) -> None:
        """Refuse a file for which the review has no room, or the disk."""
        most = _most_bytes()
        there = connection.execute(select(func.coalesce(func.sum(func.length(_attachments.c.content)), 0))).scalar_one()
        if there + size > most:
            raise InputError(
                f"The files attached to this review have {int(there):,} bytes, with this one {int(there) + size:,}, and at "
                f"most {most:,} are kept; whoever runs it can set another limit ({_SETTING}). Files that were taken off are "
                "kept too."
            )
        place = self._database.place
        if isinstance(place, File) and (free := shutil.disk_usage(place.folder).free) < _LEFT_FREE + 2 * size:
            raise InputError(
                f"The disk of the review has {free:,} bytes left, which are kept for decisions; nothing was attached: make "
                "room, and attach it again."
            )

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


def _most_bytes() -> int:
    given = os.environ.get(_SETTING, "")
    try:
        gigabytes = float(given or MOST_GIGABYTES)
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes <= 1e6:
        raise InputError(f"{_SETTING} is {given!r}; give a number of gigabytes, such as {MOST_GIGABYTES:g}.")
    return int(gigabytes * 1_000_000_000)
