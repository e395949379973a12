"""The records of a review, as they were imported and as a reviewer sees them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
from sqlalchemy import Row, Select, func, insert, select

from ..errors import InputError
from ..log import CurrentState, Event
from ..log.stage import Stage
from ..records import Record, content_hash, filled
from .database import PAGE, Database, next_id, now, pages, storable
from .schema import files as _files, records as _records


class Records:
    """The records of a review.

    Parameters
    ----------
    database : Database
    live : callable
        Returns what is current in the log: sources that were named anew, and fields that were corrected.
    """

    def __init__(self, database: Database, live: Callable[[], CurrentState]) -> None:
        self._database, self._live = database, live

    def add(
        self,
        records: Iterable[Record],
        lines: Sequence[int],
        *,
        name: str,
        source: str,
        format: str,
        sha256: str,
        announced: int,
        problems: Sequence[tuple[int, str]],
    ) -> range:
        """Add the records of one file, whole or not at all, and return their new ids.

        Parameters
        ----------
        records : iterable of Record
            What was read: taken page by page, so that a file of any length fits.
        lines : sequence of int, one for each record
            The line of the file where it begins.
        name, source, format, sha256, announced, problems
            What is kept of the file itself (see `SourceFile`).
        """
        with self._database.write() as connection:
            same = select(_files.c.id).where(_files.c.sha256 == sha256, _files.c.source == source)
            if connection.execute(same).first() is not None:  # another program was faster than the caller's look
                raise InputError(f"{name} was imported as {source!r} already; nothing of it was added.")
            file_id = next_id(connection, _files.c.id)
            connection.execute(
                insert(_files).values(
                    id=file_id,
                    name=name,
                    source=source,
                    format=format,
                    sha256=sha256,
                    announced=announced,
                    kept=len(lines),
                    problems=json.dumps([list(p) for p in problems]),
                    at=now(),
                )
            )
            first = next_id(connection, _records.c.id)
            rows = (
                _to_row(record, first + i, file_id, line)
                for i, (record, line) in enumerate(zip(records, lines, strict=True))
            )
            for page in pages(rows, PAGE):
                connection.execute(insert(_records), page)
        return range(first, first + len(lines))

    def read(self, ids: Iterable[int] | None = None, *, as_imported: bool = False) -> Iterator[Record]:
        """Yield records in the order of their ids: all, or those of `ids`; corrected, if not `as_imported`.

        The records are read in pages, so that a long loop over them never keeps a decision waiting.
        """
        query = select(_records, _files.c.source).join(_files).order_by(_records.c.id).limit(PAGE)
        if ids is None:
            last = 0
            while True:
                with self._database.read() as connection:
                    page = connection.execute(query.where(_records.c.id > last)).all()
                live = self._live()
                yield from (_to_record(row, live, as_imported) for row in page)
                if len(page) < PAGE:
                    return
                last = page[-1].id
        live = self._live()
        for row in self._rows_of(query, ids):
            yield _to_record(row, live, as_imported)

    def _rows_of(self, query: Select[tuple[Any, ...]], ids: Iterable[int]) -> Iterator[Row[tuple[Any, ...]]]:
        """Yield what a query gives of the records of these ids, in pages, in the order of the ids."""
        # SQLite takes at most 32,766 variables in one statement.
        for wanted in pages(sorted(set(map(int, ids))), PAGE):
            dense = wanted[-1] - wanted[0] < len(wanted)
            some = _records.c.id.between(wanted[0], wanted[-1]) if dense else _records.c.id.in_(wanted)
            with self._database.read() as connection:
                page = connection.execute(query.where(some)).all()
            yield from page

    def one(self, record_id: int) -> Record:
        """Return one record.

        Raises
        ------
        InputError
            When no record has that id.
        """
        for record in self.read([record_id]):
            return record
        raise InputError(f"There is no record {record_id} in {self._database.place}; ids run from 1 to {self.count()}.")

    def count(self) -> int:
        """Return how many records were imported."""
        with self._database.read() as connection:
            return connection.execute(select(func.max(_records.c.id))).scalar() or 0

    def identifiers(self) -> Iterator[tuple[int, str, str, str]]:
        """Yield id, DOI, PMID and title of each record, in the order of the ids; nothing else is read."""
        query = select(_records.c.id, _records.c.doi, _records.c.pmid, _records.c.title).order_by(_records.c.id)
        corrections, last = self._live().corrections, 0
        while True:
            with self._database.read() as connection:
                page = connection.execute(query.where(_records.c.id > last).limit(PAGE)).all()
            for row in page:
                now = corrected_fields(corrections[row.id]) if row.id in corrections else {}
                yield row.id, now.get("doi", row.doi), now.get("pmid", row.pmid), now.get("title", row.title)
            if len(page) < PAGE:
                return
            last = page[-1].id

    def text_hashes(self, record_ids: np.ndarray) -> np.ndarray:
        """Return the content hash of each record's title and abstract.

        Parameters
        ----------
        record_ids : ndarray of int, shape (n,)
            Ascending.

        Returns
        -------
        ndarray of uint8, shape (n, 16)
        """
        hashes = np.empty((len(record_ids), 16), np.uint8)
        query = select(_records.c.id, _records.c.content_hash).order_by(_records.c.id).limit(PAGE)
        done, last = 0, int(record_ids[-1]) if len(record_ids) else 0
        while done < len(record_ids):
            # From the next that is wanted, so that long gaps are not read.
            with self._database.read() as connection:
                page = connection.execute(query.where(_records.c.id.between(int(record_ids[done]), last))).all()
            ids, texts = zip(*page, strict=True)
            wanted = record_ids[done : np.searchsorted(record_ids, ids[-1], side="right")]
            rows = np.searchsorted(np.array(ids), wanted)
            hashes[done : done + len(wanted)] = np.frombuffer(b"".join(texts), np.uint8).reshape(-1, 16)[rows]
            done += len(wanted)
        corrected = np.intersect1d(record_ids, np.fromiter(self._live().corrections, np.int64))
        for record in self.read(corrected.tolist()):
            hashes[np.searchsorted(record_ids, record.number)] = np.frombuffer(content_hash(record.text), np.uint8)
        return hashes

    def shown(self, stage: Stage, rows: Iterable[int] | None = None) -> list[Record]:
        """Return a stage's records as a list (see `iter_shown`)."""
        return list(self.iter_shown(stage, rows))

    def iter_shown(self, stage: Stage, rows: Iterable[int] | None = None) -> Iterator[Record]:
        """Yield a stage's records as a reviewer sees them: gaps filled from their copies.

        They are read in pages, so that no more than a page of them is in memory at a time.

        Parameters
        ----------
        stage : Stage
        rows : iterable of int, optional
            Positions in the stage, in the order in which the records are wanted; all when left out.
        """
        ids = stage.record_ids if rows is None else stage.record_ids[np.fromiter(rows, np.int64)]
        for page, copies in _with_copies(stage, ids):
            members = {r.id: r for r in self.read(chain(page, *copies.values()))}
            for i in page:
                yield filled(members[i], [members[c] for c in copies.get(i, ())])

    def iter_texts(self, stage: Stage) -> Iterator[tuple[str, str]]:
        """Yield the title and the abstract of each of a stage's records as a reviewer sees them."""
        query = select(_records.c.id, _records.c.title, _records.c.abstract).order_by(_records.c.id)
        corrections = self._live().corrections
        for page, copies in _with_copies(stage, stage.record_ids):
            texts = {row.id: (row.title, row.abstract) for row in self._rows_of(query, chain(page, *copies.values()))}
            for i in texts.keys() & corrections.keys():
                now = corrected_fields(corrections[i])
                texts[i] = now.get("title", texts[i][0]), now.get("abstract", texts[i][1])
            for i in page:
                members = [texts[i], *(texts[c] for c in copies.get(i, ()))]
                yield next((t for t, _ in members if t), ""), next((a for _, a in members if a), "")


def _with_copies(stage: Stage, ids: np.ndarray) -> Iterator[tuple[list[int], dict[int, list[int]]]]:
    """Yield ids page by page, and the copies of each record of the page that has any."""
    for first in range(0, len(ids), PAGE):
        page = ids[first : first + PAGE].tolist()
        yield page, stage.live.copies_of(page)


def _to_row(record: Record, record_id: int, file_id: int, line: int) -> dict[str, object]:
    extra = {key: list(values) for key, values in record.extra.items()}
    return {
        "id": record_id,
        "file_id": file_id,
        "line": line,
        "title": storable(record.title),
        "abstract": storable(record.abstract),
        "authors": json.dumps(record.authors),
        "year": record.year,
        "journal": storable(record.journal),
        "doi": storable(record.doi),
        "pmid": storable(record.pmid),
        "language": storable(record.language),
        "type": storable(record.type),
        "keywords": json.dumps(record.keywords),
        "extra": json.dumps(extra),
        "content_hash": content_hash(record.text),
    }


def corrected_fields(corrections: Sequence[Event]) -> dict[str, Any]:
    """Return what the fields of a record hold after its corrections, of those that were corrected; texts as tuples."""
    fields: dict[str, Any] = {}
    for event in corrections:
        fields |= json.loads(event.note)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def _to_record(row: Row[tuple[Any, ...]], live: CurrentState, as_imported: bool) -> Record:
    corrections = () if as_imported else live.corrections.get(row.id, ())
    record = Record(
        title=row.title,
        abstract=row.abstract,
        authors=tuple(json.loads(row.authors)),
        year=row.year,
        journal=row.journal,
        doi=row.doi,
        pmid=row.pmid,
        language=row.language,
        type=row.type,
        keywords=tuple(json.loads(row.keywords)),
        source=live.sources.get(row.file_id, row.source),
        extra={key: tuple(values) for key, values in json.loads(row.extra).items()},
        id=row.id,
    )
    return replace(record, **corrected_fields(corrections)) if corrections else record
