"""One review in one database: records, the append-only log, rankings, people. The only package with SQL."""

from __future__ import annotations

import hashlib
import json
import math
import secrets
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from .. import protocol as protocols
from ..decisions import (
    Consensus,
    Event,
    Folding,
    History,
    Kind,
    Label,
    Live,
    Origin,
    PastDraws,
    Ranking,
    audited,
    batches,
    consensus,
    entered,
    fold,
    seen_by,
)
from ..errors import InputError, Unavailable
from ..records import Record, content_hash, filled
from ..wording import plural
from . import schema
from .places import File, Server, place_of, shown
from .schema import (
    api_tokens as _api_tokens,
    attachments as _attachments,
    events as _events,
    files as _files,
    invitations as _invitations,
    meta as _meta,
    people as _people,
    plans as _plans,
    protocols as _protocols,
    rankings as _rankings,
    records as _records,
    web_sessions as _web_sessions,
)

__all__ = [
    "SCHEMA_VERSION",
    "ApiToken",
    "File",
    "Invitation",
    "Person",
    "Project",
    "Role",
    "Server",
    "SourceFile",
    "Stage",
    "WebSession",
    "copy",
    "place_of",
    "shown",
    "stage_of",
]

SCHEMA_VERSION = schema.VERSION
_PAGE = 5_000  # records read at a time, so that no read holds the file for long
_PAGE_OF_FILES = 1  # attached files, which may be of any size


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


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One import: a file's name, its source, and what became of the records that it announced."""

    id: int
    name: str
    source: str
    format: str
    sha256: str
    announced: int
    kept: int
    problems: tuple[tuple[int, str], ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the review as the log has it now.

    Attributes
    ----------
    name : str
    record_ids : ndarray of int, shape (n,)
        The records that entered the stage, ascending; a History's rows are positions in it.
    live : Live
        What is current in the log.
    consensus : Consensus
        The agreed labels of the stage.
    strata : list of ndarray
        For each audit permutation committed, its records (positions in `record_ids`) in the order
        in which they are to be drawn; a last one, not yet committed, for records that are in none.
    committed : int
        How many of the strata have a committed permutation.
    draws : list of (Event, int)
        Each audit draw, and the permutation that it came from.
    """

    name: str
    record_ids: np.ndarray
    live: Live
    consensus: Consensus
    strata: list[np.ndarray]
    committed: int
    draws: list[tuple[Event, int]]

    def rows_of(self, record_ids: Iterable[int]) -> np.ndarray:
        """Return each record's row, its position in `record_ids`; -1 for those that are not in the stage."""
        wanted = np.fromiter(record_ids, np.int64)
        rows = np.searchsorted(self.record_ids, wanted)
        rows[rows == len(self.record_ids)] = -1
        if len(self.record_ids):
            rows[self.record_ids[rows] != wanted] = -1
        return rows

    @property
    def stratum_of(self) -> np.ndarray:
        """The stratum of each record, shape (n,)."""
        owner = np.zeros(len(self.record_ids), np.int64)
        for number, rows in enumerate(self.strata):
            owner[rows] = number
        return owner

    @property
    def to_commit(self) -> np.ndarray:
        """The records, ascending, that a new permutation is to hold; none while all are in one.

        With those that are in none go those of the permutations that nobody has drawn from yet: the
        fewer permutations, the more a draw tells.
        """
        if self.committed == len(self.strata):
            return self.record_ids[:0]
        drawn = {number for _, number in self.draws}
        return self.record_ids[
            np.sort(np.concatenate([rows for number, rows in enumerate(self.strata) if number not in drawn]))
        ]

    def calibration(self, size: int) -> np.ndarray:
        """Return the rows of the random sample, in its order, that every reviewer judges first.

        It is the beginning of the committed audit permutation: as random as that, fixed before anything was
        shown, and each of its records is a draw of the audit, too.
        """
        committed = self.strata[: self.committed]
        return np.concatenate(committed)[:size] if committed else np.empty(0, np.int64)

    def to_judge_again(self, share: float) -> np.ndarray:
        """Return the rows of the random sample, in its order, of which another reviewer judges the excluded again.

        It is the end of each audit permutation: what is drawn last is what the audit itself is least likely to have had.
        """
        ends = [rows[::-1][: math.ceil(share * len(rows))] for rows in self.strata]
        return np.concatenate(ends) if ends else np.empty(0, np.int64)

    def history(self) -> History:
        """Return what the mathematics may see: the shown records in the order of first showing."""
        owner = self.stratum_of
        left = [len(rows) for rows in self.strata] or [0]
        sizes = list(left)
        drawn_from = {e.seq: number for e, number in self.draws}
        relevant = self.consensus.relevant
        first = sorted((e.seq, r, e) for (stage, r), e in self.live.shown.items() if stage == self.name)
        row_of = self.rows_of(r for _, r, _ in first).tolist()
        shown = [(*one, row) for one, row in zip(first, row_of, strict=True) if row >= 0]
        rows, y, origin, pool_size, strata = [], [], [], [], []
        for seq, record_id, e, row in shown:
            stratum = int(owner[row])
            rows.append(row)
            strata.append(stratum)
            judged = relevant(record_id)
            y.append(-1 if judged is None else int(judged))
            if drawn_from.get(seq) == stratum:
                del drawn_from[seq]
                origin.append(Origin.AUDIT)
                pool_size.append(e.pool_size)
            else:
                # A decision alone never makes its record a draw or a ranked one, whatever it says: it
                # may have that from a copy that it was linked to then.
                how = e.origin or Origin.CHOSEN
                told = e.kind is Kind.SHOWN or how in (Origin.PRIOR, Origin.IMPORTED)
                origin.append(how if told and how is not Origin.AUDIT else Origin.CHOSEN)
                pool_size.append(left[stratum])
            left[stratum] -= 1
        seqs = [seq for seq, *_ in shown]
        past = PastDraws.of(
            [
                (bisect_left(seqs, e.seq), relevant(self.live.kept(e.record_id)) is not False, e.pool_size, number)
                for e, number in self.draws
                if e.seq in drawn_from
            ]
        )
        return History.of(rows, y, origin, n_records=sizes, pool_size=pool_size, stratum=strata, past=past)


def stage_of(
    name: str,
    earlier: Sequence[str],
    ids: np.ndarray,
    events: Sequence[Event],
    plans: Sequence[tuple[int, np.ndarray]],
    live: Live | None = None,
) -> Stage:
    """Return a stage as a log has it.

    The records of a permutation are drawn in its order, but for those that were out of the stage, or in a batch
    that was taken back later, when it was drawn from: they are in none until the next is committed. Had such a
    record kept its place, the draws made meanwhile would have said nothing of it and yet counted for it; and its
    place would most likely lie before theirs, so that the next draws were not uniform but took it first.

    Parameters
    ----------
    name : str
    earlier : sequence of str
        The stages before it.
    ids : ndarray of int
        Every record of the review, ascending.
    events : sequence of Event
    plans : sequence of (seq, record ids)
        The stage's permutations and the events that committed them; the last that holds a record counts.
    live : Live, optional
        The fold of the events, where it is there already.
    """
    live = fold(events) if live is None else live
    ids = entered(ids, live, earlier)
    draws, passed_by = audited(events, name, earlier, plans)
    home = np.full(len(ids), -1)
    places = []
    for number, (_, permutation) in enumerate(plans):
        rows = np.searchsorted(ids, permutation)
        inside = rows < len(ids)
        inside[inside] = ids[rows[inside]] == permutation[inside]
        places.append(rows[inside])
        home[rows[inside]] = number
    for number, absent in enumerate(passed_by):
        if absent:
            home[(home == number) & np.isin(ids, np.fromiter(absent, np.int64))] = -1
    strata = [rows[home[rows] == number] for number, rows in enumerate(places)]
    if (home < 0).any():
        strata.append(np.flatnonzero(home < 0))
    return Stage(name, ids, live, consensus(live, name), strata, len(plans), draws)


class Project:
    """A review in its database.

    Use as a context manager, or call `close`. Every method that writes is one transaction, on the
    disk before it returns.
    """

    def __init__(self, place: File | Server) -> None:
        self.path = place.path if isinstance(place, File) else place
        self._place = place
        self._engine = place.engine()
        # The log only grows, so what was read once is not read again, nor folded again while nothing is new.
        self._known_events: list[Event] = []
        self._folding = Folding()
        self._live: Live | None = None
        self._parsed: tuple[str, protocols.Protocol] | None = None
        self._folding_on = threading.Lock()
        self._turn = threading.local()
        # Threads wait here and not with a connection in their hands, which whoever writes may need to read.
        self._writing = threading.RLock()

    # -- life ---------------------------------------------------------------------------------

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
        with _made(place_of(path)) as (place, connection):
            connection.execute(insert(_meta), [{"key": "created", "value": _now()}])
            connection.execute(insert(_protocols), [{"id": 1, "text": protocol_text, "at": _now()}])
            if protocol_path is not None:
                _set_meta(connection, "protocol_path", place.noted(Path(protocol_path)))
        return cls(place)

    @classmethod
    def open(cls, path: str | Path | Server) -> Project:
        """Open a review, bringing an older one up to date.

        Raises
        ------
        InputError
            When there is none, it is no review, a newer version made it, or the server cannot be reached.
        """
        project = cls(place_of(path))
        try:
            version = project._version()
            if version > SCHEMA_VERSION:
                raise InputError(
                    f"{project.path} was made by a newer version of triage (file version {version}, this one "
                    f"reads up to {SCHEMA_VERSION}); update triage to open it."
                )
            if version < SCHEMA_VERSION:
                with project._write() as connection:
                    schema.migrate(connection, version)
                    project._place.set_version(connection, SCHEMA_VERSION)
            project.protocol_text()  # a file that was cut off is told here, not in the midst of some work
        except BaseException:
            project.close()
            raise
        return project

    def _version(self) -> int:
        try:
            return self._place.version(self._engine)
        except DBAPIError as error:
            raise Unavailable(self._place.what_failed(error)) from error

    def close(self) -> None:
        """Close every connection to the database."""
        self._engine.dispose()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def cache_dir(self) -> Path:
        """The folder of the vectors' cache (beside a file); it may be deleted at any time."""
        return self._place.cache_dir

    def _read(self) -> AbstractContextManager[Connection]:
        return self._transaction(self._engine)

    def _write(self) -> AbstractContextManager[Connection]:
        if (connection := getattr(self._turn, "connection", None)) is not None:
            return nullcontext(connection)
        return self._alone()

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        with self._writing, self._transaction(self._engine.execution_options(write=True)) as connection:
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
        with self._write() as connection:
            self._turn.connection = connection
            try:
                yield
            finally:
                self._turn.connection = None

    @contextmanager
    def _transaction(self, engine) -> Iterator[Connection]:
        try:
            with engine.begin() as connection:
                yield connection
        except IntegrityError:  # a rule of the schema was broken: a fault of ours, not of the disk
            raise
        except DataError as error:
            raise InputError(self._place.what_failed(error)) from error
        except DBAPIError as error:
            raise Unavailable(self._place.what_failed(error)) from error

    # -- protocol -----------------------------------------------------------------------------

    def protocol(self) -> protocols.Protocol:
        """Return the protocol in force."""
        toml = self.protocol_text()
        if self._parsed is None or self._parsed[0] != toml:
            self._parsed = toml, protocols.parse(toml, "the review's protocol")
        return self._parsed[1]

    def protocol_text(self) -> str:
        """Return the protocol in force as TOML."""
        with self._read() as connection:
            return connection.execute(select(_protocols.c.text).order_by(_protocols.c.id.desc()).limit(1)).scalar_one()

    def protocol_versions(self) -> list[tuple[datetime, str]]:
        """Return every protocol that was in force, the oldest first, with the time it was taken over."""
        with self._read() as connection:
            rows = connection.execute(select(_protocols.c.at, _protocols.c.text).order_by(_protocols.c.id))
            return [(datetime.fromisoformat(at), toml) for at, toml in rows]

    def protocol_file(self) -> str:
        """Return what to call the protocol's file in a message, also where it is missing or on another machine."""
        noted = self._noted_protocol()
        return "The review's protocol" if noted is None else self._place.named(noted)

    def _noted_protocol(self) -> str | None:
        with self._read() as connection:
            return connection.execute(select(_meta.c.value).where(_meta.c.key == "protocol_path")).scalar()

    def refresh_protocol(self) -> bool:
        """Take over the protocol file named at creation when it has changed; tell whether it had.

        Raises
        ------
        InputError
            When the changed file is no right protocol; the one in force stays.
        """
        if (name := self._noted_protocol()) is None:
            return False
        if (path := self._place.found(name)) is None:
            return False
        try:
            changed = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read as UTF-8 text ({error}); save it as UTF-8.") from error
        if changed == self.protocol_text():
            return False
        protocols.parse(changed, str(path))
        with self._write() as connection:
            connection.execute(
                insert(_protocols).values(id=_next_id(connection, _protocols.c.id), text=changed, at=_now())
            )
        return True

    # -- records ------------------------------------------------------------------------------

    def imported(self, sha256: str, source: str | None) -> SourceFile | None:
        """Return the import of a file with these bytes: under `source`, or under any when None."""
        for file in self.files():
            if file.sha256 == sha256 and source in (None, file.source):
                return file
        return None

    def files(self) -> list[SourceFile]:
        """Return every import, in its order."""
        with self._read() as connection:
            return [
                SourceFile(
                    row.id,
                    row.name,
                    row.source,
                    row.format,
                    row.sha256,
                    row.announced,
                    row.kept,
                    tuple((line, message) for line, message in json.loads(row.problems)),
                    datetime.fromisoformat(row.at),
                )
                for row in connection.execute(select(_files).order_by(_files.c.id))
            ]

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
        with self._write() as connection:
            same = select(_files.c.id).where(_files.c.sha256 == sha256, _files.c.source == source)
            if connection.execute(same).first() is not None:  # another program was faster than the caller's look
                raise InputError(f"{name} was imported as {source!r} already; nothing of it was added.")
            file_id = _next_id(connection, _files.c.id)
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
                    at=_now(),
                )
            )
            first = _next_id(connection, _records.c.id)
            rows = (
                _to_row(record, first + i, file_id, line)
                for i, (record, line) in enumerate(zip(records, lines, strict=True))
            )
            for page in _pages(rows, _PAGE):
                connection.execute(insert(_records), page)
        return range(first, first + len(lines))

    def records(self, ids: Iterable[int] | None = None) -> Iterator[Record]:
        """Yield records in the order of their ids: all, or those of `ids`.

        The records are read in pages, so that a long loop over them never keeps a decision waiting.
        """
        query = select(_records, _files.c.source).join(_files).order_by(_records.c.id).limit(_PAGE)
        if ids is None:
            last = 0
            while True:
                with self._read() as connection:
                    page = connection.execute(query.where(_records.c.id > last)).all()
                yield from map(_to_record, page)
                if len(page) < _PAGE:
                    return
                last = page[-1].id
        for row in self._rows_of(query, ids):
            yield _to_record(row)

    def _rows_of(self, query, ids: Iterable[int]) -> Iterator:
        """Yield what a query gives of the records of these ids, in pages, in the order of the ids."""
        # SQLite takes at most 32,766 variables in one statement.
        for wanted in _pages(sorted(set(map(int, ids))), _PAGE):
            dense = wanted[-1] - wanted[0] < len(wanted)
            some = _records.c.id.between(wanted[0], wanted[-1]) if dense else _records.c.id.in_(wanted)
            with self._read() as connection:
                page = connection.execute(query.where(some)).all()
            yield from page

    def record(self, record_id: int) -> Record:
        """Return one record.

        Raises
        ------
        InputError
            When there is none of that id.
        """
        for record in self.records([record_id]):
            return record
        raise InputError(f"There is no record {record_id} in {self.path}; ids run from 1 to {self.n_records()}.")

    def n_records(self) -> int:
        """Return how many records were imported."""
        with self._read() as connection:
            return connection.execute(select(func.max(_records.c.id))).scalar() or 0

    def record_files(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of all records and, in the same order, the id of the file each came in."""
        # A file's records have the ids that follow those of the file before: no record need be read.
        with self._read() as connection:
            files = connection.execute(select(_files.c.id, _files.c.kept).order_by(_files.c.id)).all()
        kept = np.array([row.kept for row in files], np.int64)
        ids = np.arange(1, kept.sum() + 1)
        file_ids = np.repeat(np.array([row.id for row in files], np.int64), kept)
        return ids, file_ids

    def text_hashes(self, record_ids: np.ndarray) -> np.ndarray:
        """Return the content hash of each record's title and abstract, as imported.

        Parameters
        ----------
        record_ids : ndarray of int, shape (n,)
            Ascending.

        Returns
        -------
        ndarray of uint8, shape (n, 16)
        """
        hashes = np.empty((len(record_ids), 16), np.uint8)
        query = select(_records.c.id, _records.c.content_hash).order_by(_records.c.id).limit(_PAGE)
        done, last = 0, int(record_ids[-1]) if len(record_ids) else 0
        while done < len(record_ids):
            # From the next that is wanted, so that long gaps are not read.
            with self._read() as connection:
                page = connection.execute(query.where(_records.c.id.between(int(record_ids[done]), last))).all()
            ids, texts = zip(*page, strict=True)
            wanted = record_ids[done : np.searchsorted(record_ids, ids[-1], side="right")]
            rows = np.searchsorted(np.array(ids), wanted)
            hashes[done : done + len(wanted)] = np.frombuffer(b"".join(texts), np.uint8).reshape(-1, 16)[rows]
            done += len(wanted)
        return hashes

    def shown_records(self, stage: Stage, rows: Iterable[int] | None = None) -> list[Record]:
        """Return a stage's records as a list (see `iter_shown_records`)."""
        return list(self.iter_shown_records(stage, rows))

    def iter_shown_records(self, stage: Stage, rows: Iterable[int] | None = None) -> Iterator[Record]:
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
            members = {r.id: r for r in self.records(chain(page, *copies.values()))}
            for i in page:
                yield filled(members[i], [members[c] for c in copies.get(i, ())])

    def iter_texts(self, stage: Stage) -> Iterator[tuple[str, str]]:
        """Yield the title and the abstract of each of a stage's records as a reviewer sees them."""
        query = select(_records.c.id, _records.c.title, _records.c.abstract).order_by(_records.c.id)
        for page, copies in _with_copies(stage, stage.record_ids):
            texts = {i: (title, abstract) for i, title, abstract in self._rows_of(query, chain(page, *copies.values()))}
            for i in page:
                members = [texts[i], *(texts[c] for c in copies.get(i, ()))]
                yield next((t for t, _ in members if t), ""), next((a for _, a in members if a), "")

    # -- the log ------------------------------------------------------------------------------

    def events(self, since: int = 0, until: int | None = None) -> list[Event]:
        """Return the log in its order: the events after number `since`, up to `until`."""
        known = self._known_events
        query = select(_events).where(_events.c.seq > (known[-1].seq if known else 0)).order_by(_events.c.seq)
        with self._read() as connection:
            newer = [_to_event(row) for page in connection.execute(query).partitions(_PAGE) for row in page]
        if newer:
            self._known_events = known = known + newer
        first = bisect_right(known, since, key=_seq)
        return known[first:] if until is None else known[first : bisect_right(known, until, key=_seq)]

    def live(self, until: int | None = None) -> Live:
        """Return what is current in the log, all of it or up to event `until`; it is shared, and not to be changed."""
        if until is not None:
            return fold(self.events(until=until))
        with self._folding_on:
            newer = self.events(since=self._folding.last_seq)
            if newer or self._live is None:
                self._folding.take(newer)
                self._live = self._folding.live
            return self._live

    def show(
        self,
        stage: str,
        record_ids: Sequence[int],
        origins: Sequence[Origin],
        pool_sizes: Sequence[int],
        *,
        reviewer: str,
        ranking_id: int | None = None,
        file: str = "",
        after: int | None = None,
    ) -> list[Event]:
        """Log that records were put before a reviewer, in this order, and how they came there.

        Parameters
        ----------
        stage : str
        record_ids, origins, pool_sizes : sequences of one length
        reviewer : str
        ranking_id : int, optional
        file : str
            The file in which they were handed out; empty on a screen.
        after : int, optional
            The newest event that the choice of the records took into account.

        Returns
        -------
        list of Event
            Empty, and nothing is logged, when the log holds an event newer than `after`.
        """
        return self._append(
            [
                {
                    "kind": Kind.SHOWN,
                    "stage": stage,
                    "record_id": int(r),
                    "reviewer": reviewer,
                    "origin": o,
                    "pool_size": int(p),
                    "ranking_id": ranking_id,
                    "note": file,
                }
                for r, o, p in zip(record_ids, origins, pool_sizes, strict=True)
            ],
            after,
        )

    def decide(
        self,
        stage: str,
        decisions: Sequence[Mapping[str, object]],
        *,
        reviewer: str,
        tags: Mapping[int, Sequence[str]] | None = None,
    ) -> list[Event]:
        """Log decisions and tags, all in one transaction, and return their events.

        Parameters
        ----------
        stage : str
        decisions : sequence of mappings
            Each with `record_id` and `label`, and optionally `reason`, `note`, `origin`,
            `pool_size` and `ranking_id`.
        reviewer : str
        tags : mapping of int to sequence of str, optional
            By record, all the tags that it is to have of this reviewer at this stage: they take the place
            of those it has. Nothing is written of a tag that stays.
        """
        rows = [
            {"kind": Kind.DECISION, "stage": stage, "reviewer": reviewer, "origin": Origin.CHOSEN, **d}
            for d in decisions
        ]
        if not tags:
            return self._append(rows)
        with self._write() as connection:
            # Read while nobody else can write, so that no tag is taken back twice.
            rows += _retagged(self.live(), stage, reviewer, tags)
            return _insert_events(connection, rows) if rows else []

    def settle(
        self, stage: str, record_id: int, label: Label, *, reviewer: str, reason: str = "", note: str = ""
    ) -> Event:
        """Log how a person settles what the reviewers of a record disagree on; a settlement may be settled anew.

        Raises
        ------
        InputError
            When the record is in no conflict at the stage, or the person is there and is no adjudicator or owner.
        """
        with self._write() as connection:
            settler = connection.execute(select(_people.c.role).where(_people.c.name == reviewer)).scalar()
            if settler == Role.REVIEWER:
                raise InputError(f"{reviewer} is a reviewer; an adjudicator or an owner settles conflicts.")
            live = self.live()
            kept, agreed = live.kept(record_id), consensus(live, stage)
            if kept not in agreed.conflicts and kept not in agreed.settled:
                raise InputError(
                    f"Record {record_id} is in no conflict at the stage {stage!r}; `triage conflicts` lists those "
                    "that are."
                )
            return _insert_events(
                connection,
                [
                    {
                        "kind": Kind.SETTLED,
                        "stage": stage,
                        "record_id": kept,
                        "reviewer": reviewer,
                        "label": label,
                        "reason": reason,
                        "note": note,
                    }
                ],
            )[0]

    def link(self, links: Iterable[tuple[int, int, str]], *, reviewer: str) -> list[Event]:
        """Log duplicates: (the copy's id, the kept record's id, why)."""
        return self._append(
            {"kind": Kind.DUPLICATE, "record_id": copy, "other_id": kept, "reason": why, "reviewer": reviewer}
            for copy, kept, why in links
        )

    def remove(self, removals: Iterable[tuple[int, str, str]], *, reviewer: str) -> list[Event]:
        """Log removals before screening: (record id, kind of limit, reason)."""
        return self._append(
            {
                "kind": Kind.REMOVAL,
                "record_id": record_id,
                "label": None,
                "reason": kind,
                "note": why,
                "reviewer": reviewer,
            }
            for record_id, kind, why in removals
        )

    def tell_apart(self, one: int, other: int, *, reviewer: str) -> Event:
        """Log that a person told two records apart that looked like copies."""
        return self._append([{"kind": Kind.APART, "record_id": one, "other_id": other, "reviewer": reviewer}])[0]

    def let_stay(self, record_id: int, kind: str, *, reviewer: str) -> Event:
        """Log that a person kept a record whose removal by a kind of limit was proposed."""
        return self._append([{"kind": Kind.STAYS, "record_id": record_id, "reason": kind, "reviewer": reviewer}])[0]

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
        with self._write() as connection:
            if connection.execute(select(_records.c.id).where(_records.c.id == record_id)).first() is None:
                raise InputError(f"There is no record {record_id} in {self.path}.")
            there = {e.seq: e for e in self.live().attachments(record_id)}
            if wrong := replaces - there.keys():
                raise InputError(
                    f"Event {min(wrong)} attached no file that record {record_id} has, so it cannot be "
                    "replaced; look at the record again."
                )
            before = next((e for e in there.values() if e.reason == sha256), None)
            rows = [_taken_back(there[seq], reviewer) for seq in sorted(replaces - {before and before.seq})]
            if before is not None:
                _insert_events(connection, rows)
                return before, False
            same = select(_attachments.c.sha256).where(_attachments.c.sha256 == sha256)
            if connection.execute(same).first() is None:
                connection.execute(insert(_attachments).values(sha256=sha256, content=content))
            rows.append(
                {"kind": Kind.ATTACHED, "record_id": record_id, "reviewer": reviewer, "reason": sha256, "note": name}
            )
            return _insert_events(connection, rows)[-1], True

    def attachment(self, sha256: str) -> bytes | None:
        """Return the bytes of an attached file, or None where there is none of that digest."""
        with self._read() as connection:
            return connection.execute(select(_attachments.c.content).where(_attachments.c.sha256 == sha256)).scalar()

    def attachment_sizes(self, digests: Collection[str]) -> dict[str, int]:
        """Return the length in bytes of each attached file of these digests."""
        query = select(_attachments.c.sha256, func.length(_attachments.c.content))
        sizes: dict[str, int] = {}
        for page in _pages(sorted(digests), _PAGE):
            with self._read() as connection:
                sizes |= {
                    sha256: size for sha256, size in connection.execute(query.where(_attachments.c.sha256.in_(page)))
                }
        return sizes

    def undo(self, seq: int, *, reviewer: str) -> Event:
        """Log that a decision, a tag, a duplicate link, a removal, an answer or an attachment is taken back.

        With the last decision that a reviewer has on a record at a stage, the tags go that the reviewer
        gave it there.

        Raises
        ------
        InputError
            When there is no such event, it cannot be undone, or it is undone already.
        """
        with self._write() as connection:
            row = connection.execute(select(_events).where(_events.c.seq == seq)).one_or_none()
            if row is None:
                raise InputError(
                    f"Event {seq} is not in the log, so it cannot be undone; `triage log` lists the events."
                )
            if row.kind == Kind.UNDO:
                raise InputError(
                    f"Event {seq} took event {row.undoes} back, and that stays in the log; to have it again, decide "
                    f"again."
                )
            if row.kind == Kind.SHOWN and row.note:
                raise InputError(
                    f"Event {seq} handed a record out, which is taken back with its whole batch: triage undo --batch "
                    f"--reviewer {row.reviewer}."
                )
            if row.kind in (Kind.SHOWN, Kind.PLAN):
                raise InputError(f"Event {seq} is no decision, tag, duplicate link or removal, so it cannot be undone.")
            if (by := connection.execute(select(_events.c.seq).where(_events.c.undoes == seq)).scalar()) is not None:
                raise InputError(f"Event {seq} is undone already, by event {by}.")
            undone = _to_event(row)
            live = self.live()
            undo = _insert_events(connection, [_taken_back(undone, reviewer)])[0]
            if undone.kind is Kind.DECISION and not self._folding.without(undone):
                left = live.tagged(undone.stage, undone.reviewer).get(live.kept(undone.record_id), ())
                _insert_events(connection, [_taken_back(e, reviewer) for e in left])
            return undo

    def take_back(self, batch: int, *, reviewer: str) -> list[Event]:
        """Log that a batch is taken back, and return the showings that were.

        What its reviewer has decided on stays; the other records return to the pool, or, where they are audit
        draws, are the next to be shown (see `decisions.Showings`).

        Parameters
        ----------
        batch : int
            The number of its first event (see `decisions.batches`).
        reviewer : str
            Who takes it back.

        Raises
        ------
        InputError
            When nothing of such a batch can be taken back.
        """
        with self._write() as connection:
            found = next((one for one in batches(self.events(), self.live()) if one.first.seq == batch), None)
            if found is None:
                raise InputError(f"Event {batch} begins no batch of which anything can be taken back.")
            _insert_events(connection, (_taken_back(e, reviewer) for e in found.left))
        return list(found.left)

    def commit_plan(self, stage: Stage, seed: int, parameters: Mapping[str, object]) -> Event | None:
        """Commit an audit permutation of a stage's records that are in none yet (see `Stage.to_commit`).

        The permutation, its hash and the weights of the evidence go to the log before the first draw
        from it, and never change: the certificate's validity rests on it.

        Parameters
        ----------
        stage : Stage
        seed : int
            Seed of the permutation.
        parameters : mapping
            The evidence's bets and weights.

        Returns
        -------
        Event or None
            None when every record is in a committed permutation already, or the log has moved on since
            the stage was read.
        """
        fresh = stage.to_commit
        if not len(fresh):
            return None
        permutation = np.random.default_rng(seed).permutation(fresh).astype("<i8")
        note = json.dumps(
            {
                "stratum": stage.committed,
                "records": len(fresh),
                "seed": seed,
                "sha256": hashlib.sha256(permutation.tobytes()).hexdigest(),
                **parameters,
            }
        )
        with self._write() as connection:
            if _newest(connection) > stage.live.last_seq:  # perhaps another session was first: its permutation holds
                return None
            plan = _insert_events(connection, [{"kind": Kind.PLAN, "stage": stage.name, "note": note}])[0]
            connection.execute(
                insert(_plans),
                [
                    {
                        "seq": plan.seq,
                        "stage": stage.name,
                        "stratum": stage.committed,
                        "permutation": permutation.tobytes(),
                    }
                ],
            )
        return plan

    def stage(self, name: str | None = None, until: int | None = None, *, viewer: str | None = None) -> Stage:
        """Return a stage as the log has it, or as one reviewer may know it.

        Parameters
        ----------
        name : str, optional
            The first of the protocol when left out.
        until : int, optional
            The newest event to be seen; the whole log when left out.
        viewer : str, optional
            A reviewer who is to stay blind to what others decide on the same records, where more than one is
            to judge each (see `decisions.seen_by`); everything is seen when left out.

        Raises
        ------
        InputError
            When the protocol has no stage of that name.
        """
        protocol = self.protocol()
        names = [s.name for s in protocol.stages]
        name = names[0] if name is None else name
        if name not in names:
            raise InputError(f"The protocol has no stage {name!r}; its stages are: {', '.join(names)}.")
        query = select(_plans.c.seq, _plans.c.permutation).where(_plans.c.stage == name).order_by(_plans.c.stratum)
        if until is not None:
            query = query.where(_plans.c.seq <= until)
        with self._read() as connection:
            plans = [(seq, np.frombuffer(ids, "<i8")) for seq, ids in connection.execute(query)]
        earlier, live = names[: names.index(name)], self.live(until)
        if viewer is not None and protocol.reviewers_per_record > 1:
            rounds = {one: self._calibration(one, protocol.calibration, until) for one in (*earlier, name)}
            live = seen_by(viewer, live, self.events(until=live.last_seq), protocol.reviewers_per_record, names, rounds)
            plans = [(seq, ids) for seq, ids in plans if seq <= live.last_seq]
        return stage_of(name, earlier, self.record_files()[0], self.events(until=live.last_seq), plans, live)

    def _calibration(self, stage_name: str, size: int, until: int | None) -> Collection[int]:
        if not size:
            return ()
        stage = self.stage(stage_name, until)
        return stage.record_ids[stage.calibration(size)].tolist()

    def history(self, stage: str | None = None, until: int | None = None) -> History:
        """Return what the mathematics may see of a stage (see `stage`)."""
        return self.stage(stage, until).history()

    def _append(self, rows: Iterable[dict], after: int | None = None) -> list[Event]:
        rows = iter(rows)
        first = list(islice(rows, 1))
        if not first:
            return []
        with self._write() as connection:
            if after is not None and _newest(connection) > after:
                return []
            return _insert_events(connection, chain(first, rows))

    # -- people -------------------------------------------------------------------------------

    def people(self) -> list[Person]:
        """Return everybody who may come in, by name; none in a review of one person on one machine."""
        with self._read() as connection:
            found = [_to_person(row) for row in connection.execute(select(_people))]
        return sorted(found, key=lambda person: person.name)  # by us: servers sort by their language

    def person(self, name: str) -> Person | None:
        """Return the person of that name, or None."""
        with self._read() as connection:
            row = connection.execute(select(_people).where(_people.c.name == name)).one_or_none()
        return None if row is None else _to_person(row)

    def add_person(self, name: str, role: Role | str, password_hash: str | None = None) -> Person:
        """Add a person.

        Raises
        ------
        InputError
            When the name is empty or too long, somebody has it (in whatever case), or the role is none.
        """
        with self._write() as connection:
            return _insert_person(connection, name, role, password_hash)

    def set_role(self, name: str, role: Role | str) -> None:
        """Give a person another role.

        Raises
        ------
        InputError
            When there is no such person or role, or the review would be left without an owner.
        """
        role = _role(role)
        with self._write() as connection:
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
        with self._write() as connection:
            _changed(connection, name, {"password_hash": text})
            _end_sessions(connection, _web_sessions.c.person == name)

    def invite(self, name: str, role: Role | str, expires_at: datetime) -> str:
        """Make an invitation and return its token, which is told this once and kept as a hash alone.

        Who is there already may be invited, to choose a new password; the role then stays theirs.

        Raises
        ------
        InputError
            When the name or the role is wrong.
        """
        name, role, token = _name(name), _role(role), _new_token()
        with self._write() as connection:
            taken = _named(connection, name)
            if taken not in (None, name):
                raise InputError(f"There is a {taken!r} already; choose a name that differs by more than its case.")
            connection.execute(
                insert(_invitations).values(
                    token_hash=_token_hash(token),
                    name=name,
                    role=str(role),
                    created_at=_now(),
                    expires_at=expires_at.astimezone(UTC).isoformat(),
                    used_at=None,
                )
            )
        return token

    def invitations(self) -> list[Invitation]:
        """Return every invitation, the oldest first."""
        query = select(_invitations).order_by(_invitations.c.created_at, _invitations.c.token_hash)
        with self._read() as connection:
            return [_to_invitation(row) for row in connection.execute(query)]

    def invitation(self, token: str) -> Invitation | None:
        """Return the invitation of a token, or None; see `Invitation.open`."""
        with self._read() as connection:
            row = connection.execute(
                select(_invitations).where(_invitations.c.token_hash == _token_hash(token))
            ).one_or_none()
        return None if row is None else _to_invitation(row)

    def accept(self, token: str, password_hash: str) -> Person:
        """Use an invitation up: add its person, or give one who is there the new password.

        Raises
        ------
        InputError
            When the invitation is none, was used, or has expired.
        """
        here = _invitations.c.token_hash == _token_hash(token)
        with self._write() as connection:
            row = connection.execute(select(_invitations).where(here)).one_or_none()
            if row is None or not _to_invitation(row).open:
                raise InputError("This invitation was used or has expired; ask for a new one.")
            connection.execute(update(_invitations).where(here).values(used_at=_now()))
            there = connection.execute(select(_people).where(_people.c.name == row.name)).one_or_none()
            if there is None:
                return _insert_person(connection, row.name, row.role, password_hash)
            _changed(connection, row.name, {"password_hash": password_hash})
            _end_sessions(connection, _web_sessions.c.person == row.name)
            return replace(_to_person(there), password_hash=password_hash)

    def start_web_session(self, person: str) -> str:
        """Log a person in and return the session's token, which is kept as a hash alone."""
        token = _new_token()
        with self._write() as connection:
            connection.execute(
                insert(_web_sessions).values(
                    token_hash=_token_hash(token), person=person, created_at=_now(), last_seen=_now(), ended_at=None
                )
            )
        return token

    def web_session(self, token: str) -> WebSession | None:
        """Return the session of a token, ended or not, or None."""
        with self._read() as connection:
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

    def touch_web_session(self, token: str) -> None:
        """Note that a session was seen now."""
        with self._write() as connection:
            connection.execute(
                update(_web_sessions).where(_web_sessions.c.token_hash == _token_hash(token)).values(last_seen=_now())
            )

    def end_web_session(self, token: str) -> None:
        """End one session."""
        with self._write() as connection:
            _end_sessions(connection, _web_sessions.c.token_hash == _token_hash(token))

    def end_web_sessions(self, person: str) -> None:
        """End all sessions of a person."""
        with self._write() as connection:
            _end_sessions(connection, _web_sessions.c.person == person)

    def create_api_token(self, person: str, name: str) -> str:
        """Make a token for a person's program and return it; it is kept as a hash alone.

        Raises
        ------
        InputError
            When the name is wrong, or the person has a token of that name.
        """
        name, token = _name(name), _new_token()
        with self._write() as connection:
            same = select(_api_tokens.c.name).where(_api_tokens.c.person == person, _api_tokens.c.name == name)
            if connection.execute(same).first() is not None:
                raise InputError(f"{person} has or had a token named {name!r}; choose another name.")
            connection.execute(
                insert(_api_tokens).values(
                    token_hash=_token_hash(token), person=person, name=name, created_at=_now(), revoked_at=None
                )
            )
        return token

    def api_tokens(self, person: str | None = None) -> list[ApiToken]:
        """Return the tokens of a person, or of all, the oldest first."""
        query = select(_api_tokens, _people).join(_people).order_by(_api_tokens.c.created_at, _api_tokens.c.name)
        if person is not None:
            query = query.where(_api_tokens.c.person == person)
        with self._read() as connection:
            return [_to_api_token(row) for row in connection.execute(query)]

    def api_token(self, token: str) -> ApiToken | None:
        """Return what is known of a token, revoked or not, or None."""
        query = select(_api_tokens, _people).join(_people).where(_api_tokens.c.token_hash == _token_hash(token))
        with self._read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _to_api_token(row)

    def revoke_api_token(self, person: str, name: str) -> None:
        """Make a token useless.

        Raises
        ------
        InputError
            When the person has no such token, or it is revoked already.
        """
        with self._write() as connection:
            done = connection.execute(
                update(_api_tokens)
                .where(_api_tokens.c.person == person, _api_tokens.c.name == name, _api_tokens.c.revoked_at.is_(None))
                .values(revoked_at=_now())
            )
            if not done.rowcount:
                raise InputError(f"{person} has no token named {name!r} that is in use.")

    # -- rankings -----------------------------------------------------------------------------

    def save(self, stage: str, ranking: Ranking) -> int:
        """Save a ranking and return its id.

        Of older rankings the parameters stay and the scores go: they can be made again from the log
        up to `as_of`, and a review makes thousands.
        """
        blob = b"".join(
            (
                ranking.record_ids.astype("<i8").tobytes(),
                ranking.scores.astype("<f4").tobytes(),
                ranking.held_out.astype("<f4").tobytes(),
            )
        )
        with self._write() as connection:
            connection.execute(
                update(_rankings).where(_rankings.c.stage == stage, _rankings.c.scores.is_not(None)).values(scores=None)
            )
            ranking_id = _next_id(connection, _rankings.c.id)
            connection.execute(
                insert(_rankings).values(
                    id=ranking_id,
                    stage=stage,
                    as_of=ranking.as_of,
                    model=json.dumps(ranking.model),
                    at=_now(),
                    scores=blob,
                )
            )
            return ranking_id

    def ranking_models(self, stage: str) -> list[dict]:
        """Return the models, name and parameters, that ever ranked a stage."""
        with self._read() as connection:
            models = connection.execute(
                select(_rankings.c.model).where(_rankings.c.stage == stage).distinct()
            ).scalars()
            return [json.loads(model) for model in models]

    def ranking(self, stage: str) -> Ranking | None:
        """Return the newest ranking of a stage, or None."""
        query = (
            select(_rankings)
            .where(_rankings.c.stage == stage, _rankings.c.scores.is_not(None))
            .order_by(_rankings.c.id.desc())
            .limit(1)
        )
        with self._read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        n = len(row.scores) // 16
        return Ranking(
            row.as_of,
            json.loads(row.model),
            np.frombuffer(row.scores, "<i8", n),
            np.frombuffer(row.scores, "<f4", n, offset=8 * n),
            np.frombuffer(row.scores, "<f4", n, offset=12 * n),
            row.id,
        )


def _with_copies(stage: Stage, ids: np.ndarray) -> Iterator[tuple[list[int], dict[int, list[int]]]]:
    """Yield ids page by page, and the copies of each record of the page that has any."""
    for first in range(0, len(ids), _PAGE):
        page = ids[first : first + _PAGE].tolist()
        yield page, stage.live.copies_of(page)


@contextmanager
def _made(place: File | Server) -> Iterator[tuple[File | Server, Connection]]:
    """Make the tables of a new review, and give a transaction to fill it in; without an end there is none."""
    unfinished = place.unfinished()
    project = Project(unfinished)
    try:
        with project._write() as connection:
            unfinished.begin(connection)
            schema.migrate(connection, 0)
            unfinished.set_version(connection, SCHEMA_VERSION)
            yield place, connection
        project.close()
        place.finish(unfinished)
    except BaseException:
        project.close()
        unfinished.discard()
        raise


def copy(source: str | Path | Server, target: str | Path | Server) -> dict[str, int]:
    """Copy a review to a place where there is none, whole or not at all; return the rows of each table.

    Between files and servers, either way. All is copied: records, log, protocols, audit permutations, rankings,
    attached files and people, with their numbers and times.

    Raises
    ------
    InputError
        When there is no review at `source`, or anything at `target`.
    """
    counts: dict[str, int] = {}
    with Project.open(source) as project, project._read() as origin, _made(place_of(target)) as (place, connection):
        for table in schema.metadata.sorted_tables:
            counts[table.name] = 0
            key = list(table.primary_key)
            page_size = _PAGE_OF_FILES if table is _attachments else _PAGE
            rows = origin.execution_options(yield_per=page_size).execute(select(table).order_by(*key))
            for page in rows.mappings().partitions():
                page = [dict(row) for row in page]
                if table is _meta:
                    page = [row for row in page if row["key"] != "schema_version"]
                    for row in page:
                        if row["key"] == "protocol_path" and (path := project._place.found(row["value"])) is not None:
                            row["value"] = place.noted(path)
                if page:
                    connection.execute(insert(table), page)
                counts[table.name] += len(page)
        for table in schema.metadata.sorted_tables:
            there = connection.execute(select(func.count()).select_from(table)).scalar()
            of_ours = int(table is _meta and isinstance(place, Server))  # its own schema version
            if there != counts[table.name] + of_ours:
                raise InputError(
                    f"Of the table {table.name} {plural(there, 'row')} came through, not "
                    f"{counts[table.name]:,}; nothing was copied."
                )
    return counts


def _set_meta(connection: Connection, key: str, value: str) -> None:
    connection.execute(insert(_meta), [{"key": key, "value": value}])


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _role(role: Role | str) -> Role:
    if role not in list(Role):
        raise InputError(f"{str(role)!r} is no role; the roles are: {', '.join(Role)}.")
    return Role(role)


def _name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise InputError("A name has 1 to 100 letters, and nothing that cannot be printed.")
    return name


def _named(connection: Connection, name: str) -> str | None:
    """Return the name of the person whose name is this one but for its case."""
    return next(
        (one for one in connection.execute(select(_people.c.name)).scalars() if one.casefold() == name.casefold()), None
    )


def _insert_person(connection: Connection, name: str, role: Role | str, password_hash: str | None) -> Person:
    name = _name(name)
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


def _end_sessions(connection: Connection, which) -> None:
    connection.execute(update(_web_sessions).where(which, _web_sessions.c.ended_at.is_(None)).values(ended_at=_now()))


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _token_hash(token: str) -> str:
    # A token is 256 random bits, which nobody guesses: it needs no slow hash, as a password does.
    return hashlib.sha256(token.encode("utf-8", "backslashreplace")).hexdigest()


def _time_or_none(at: str | None) -> datetime | None:
    return None if at is None else datetime.fromisoformat(at)


def _to_person(row) -> Person:
    at = row._mapping
    return Person(
        at[_people.c.name],
        Role(at[_people.c.role]),
        at[_people.c.password_hash],
        datetime.fromisoformat(at[_people.c.created_at]),
    )


def _to_invitation(row) -> Invitation:
    return Invitation(
        row.name,
        Role(row.role),
        datetime.fromisoformat(row.created_at),
        datetime.fromisoformat(row.expires_at),
        _time_or_none(row.used_at),
    )


def _to_api_token(row) -> ApiToken:
    at = row._mapping
    return ApiToken(
        _to_person(row),
        at[_api_tokens.c.name],
        datetime.fromisoformat(at[_api_tokens.c.created_at]),
        _time_or_none(row.revoked_at),
    )


def _pages(items: Iterable, size: int) -> Iterator[list]:
    page: list = []
    for item in items:
        page.append(item)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


def _storable(value: str) -> str:
    # A lone surrogate cannot be stored as UTF-8, nor a NUL on a server; they are escaped rather than lost.
    return value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def _to_row(record: Record, record_id: int, file_id: int, line: int) -> dict:
    extra = {key: list(values) for key, values in record.extra.items()}
    return {
        "id": record_id,
        "file_id": file_id,
        "line": line,
        "title": _storable(record.title),
        "abstract": _storable(record.abstract),
        "authors": json.dumps(record.authors),
        "year": record.year,
        "journal": _storable(record.journal),
        "doi": _storable(record.doi),
        "pmid": _storable(record.pmid),
        "language": _storable(record.language),
        "type": _storable(record.type),
        "keywords": json.dumps(record.keywords),
        "extra": json.dumps(extra),
        "content_hash": content_hash(record.text),
    }


def _to_record(row) -> Record:
    return Record(
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
        source=row.source,
        extra={key: tuple(values) for key, values in json.loads(row.extra).items()},
        id=row.id,
    )


_EVENT_DEFAULTS = {
    "stage": "",
    "record_id": None,
    "reviewer": "",
    "label": None,
    "reason": "",
    "note": "",
    "origin": None,
    "pool_size": None,
    "ranking_id": None,
    "other_id": None,
    "undoes": None,
}


_EVENT_COLUMNS = tuple(column.name for column in _events.c)


def _next_id(connection: Connection, column) -> int:
    return (connection.execute(select(func.max(column))).scalar() or 0) + 1


def _newest(connection: Connection) -> int:
    return connection.execute(select(func.max(_events.c.seq))).scalar() or 0


def _insert_events(connection: Connection, rows: Iterable[dict]) -> list[Event]:
    next_seq = _newest(connection) + 1
    at = _now()
    events: list[Event] = []
    for page in _pages(rows, _PAGE):
        full = [{**_EVENT_DEFAULTS, "at": at, "seq": next_seq + i, **row} for i, row in enumerate(page)]
        full = [{k: _storable(str(v)) if isinstance(v, str) else v for k, v in row.items()} for row in full]
        connection.execute(insert(_events), full)
        events += [_to_event([row[name] for name in _EVENT_COLUMNS]) for row in full]
        next_seq += len(page)
    return events


def _taken_back(event: Event, reviewer: str) -> dict:
    return {
        "kind": Kind.UNDO,
        "stage": event.stage,
        "record_id": event.record_id,
        "reviewer": reviewer,
        "undoes": event.seq,
    }


def _retagged(live: Live, stage: str, reviewer: str, wanted: Mapping[int, Sequence[str]]) -> list[dict]:
    """Return the events after which each record has the tags wanted of a reviewer, and no other."""
    before = live.tagged(stage, reviewer)
    rows = []
    for record_id, tags in wanted.items():
        has: dict[str, Event] = {}
        for e in before.get(live.kept(record_id), ()):
            if e.reason in tags and e.reason not in has:
                has[e.reason] = e
            else:
                rows.append(_taken_back(e, reviewer))
        rows += [
            {"kind": Kind.TAG, "stage": stage, "record_id": record_id, "reviewer": reviewer, "reason": tag}
            for tag in dict.fromkeys(tags)
            if tag not in has
        ]
    return rows


def _seq(e: Event) -> int:
    return e.seq


_KINDS, _LABELS, _ORIGINS = ({None: None, **{str(one): one for one in kind}} for kind in (Kind, Label, Origin))
_time = lru_cache(1)(datetime.fromisoformat)  # what was written at once has one time


def _to_event(row: Sequence) -> Event:
    seq, kind, at, stage, record_id, reviewer, label, reason, note, origin, pool_size, ranking_id, other_id, undoes = (
        row
    )
    return Event(
        seq,
        _KINDS[kind],
        _time(at),
        stage,
        record_id,
        reviewer,
        _LABELS[label],
        reason,
        note,
        _ORIGINS[origin],
        pool_size,
        ranking_id,
        other_id,
        undoes,
    )
