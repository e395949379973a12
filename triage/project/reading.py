"""Reading a review: its tables only grow, so each row is read once and each event folded once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, func, insert, select

from .. import protocol as protocols
from ..errors import InputError
from ..log import CurrentState, Event, Kind, Label, LogFold, Origin
from .database import PAGE, Database, now, pages, storable
from .people import read_people
from .rankings import Rankings
from .records import Records
from .schema import (
    events as _events,
    files as _files,
    meta as _meta,
    plans as _plans,
    protocols as _protocols,
    second_look_plans as _second_look_plans,
)
from .snapshot import Plans, Snapshot, SourceFile, between


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of the tables that only grow; an attribute is another object when something new was read of it.

    Attributes
    ----------
    protocols : sequence of (datetime, str)
    files : sequence of SourceFile
    events : sequence of Event
    plans : mapping of str to sequence of (int, ndarray)
        By stage, its audit permutations, each with the event that committed it.
    second_look_plans : mapping of str to sequence of (int, ndarray)
        By stage, the orders in which excluded records are judged again, likewise.
    """

    protocols: Sequence[tuple[datetime, str]] = ()
    files: Sequence[SourceFile] = ()
    events: Sequence[Event] = field(default_factory=list)
    plans: Plans = field(default_factory=dict)
    second_look_plans: Plans = field(default_factory=dict)

    def on(self, connection: Connection) -> Read:
        """Read on; itself when nothing is new."""
        return self.protocols_on(connection)._files_on(connection).events_on(connection)._plans_on(connection)

    def protocols_on(self, connection: Connection) -> Read:
        """Read on in the protocols only."""
        query = select(_protocols.c.at, _protocols.c.text).order_by(_protocols.c.id).offset(len(self.protocols))
        newer = [(datetime.fromisoformat(at), toml) for at, toml in connection.execute(query)]
        return replace(self, protocols=(*self.protocols, *newer)) if newer else self

    def _files_on(self, connection: Connection) -> Read:
        last = self.files[-1].id if self.files else 0
        newer = [
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
                row.source,
            )
            for row in connection.execute(select(_files).where(_files.c.id > last).order_by(_files.c.id))
        ]
        return replace(self, files=(*self.files, *newer)) if newer else self

    def events_on(self, connection: Connection) -> Read:
        """Read on in the log only."""
        last = self.events[-1].seq if self.events else 0
        query = select(_events).where(_events.c.seq > last).order_by(_events.c.seq)
        newer = [to_event(row) for page in connection.execute(query).partitions(PAGE) for row in page]
        return replace(self, events=[*self.events, *newer]) if newer else self

    def _plans_on(self, connection: Connection) -> Read:
        plans = _read_on(connection, _plans, self.plans)
        looks = _read_on(connection, _second_look_plans, self.second_look_plans)
        if plans is self.plans and looks is self.second_look_plans:
            return self
        return replace(self, plans=plans, second_look_plans=looks)


def _read_on(connection: Connection, table: Table, known: Plans) -> Plans:
    """Read on in a table of permutations; what is known itself when nothing is new."""
    last = max((seq for plans in known.values() for seq, _ in plans), default=0)
    newer: dict[str, list[tuple[int, np.ndarray]]] = {}
    for row in connection.execute(select(table).where(table.c.seq > last).order_by(table.c.seq)):
        newer.setdefault(row.stage, []).append((row.seq, np.frombuffer(row.permutation, "<i8")))
    if not newer:
        return known
    return MappingProxyType({name: [*known.get(name, ()), *newer.get(name, ())] for name in {*known, *newer}})


class Reader:
    """Reads a review; threads may share one.

    Parameters
    ----------
    database : Database
    records : Records
    rankings : Rankings

    Attributes
    ----------
    protocol_path : str or None
        The protocol's file, as the review keeps its name.
    """

    def __init__(self, database: Database, records: Records, rankings: Rankings) -> None:
        self._database = database
        self._records = records
        self._rankings = rankings
        self._read = Read()
        self.protocol_path: str | None = None
        self._folding = LogFold()
        self._folded: CurrentState | None = None
        self._newest: tuple[Read, Snapshot] | None = None
        self._turn = threading.RLock()

    def snapshot(self) -> Snapshot:
        """Return the review as it is now, read in one transaction; while nothing is new it is the same object."""
        with self._turn:
            with self._database.read() as connection:
                self._read = read = self._read.on(connection)
                people = read_people(connection)
            before = self._newest
            if before is not None and before[0] is read and before[1].people == people:
                return before[1]
            if before is not None and before[0].protocols is read.protocols:
                protocol = before[1].protocol
            else:
                protocol = protocols.parse(read.protocols[-1][1], "the review's protocol")
            found = Snapshot(
                self._database.path,
                self._records,
                self._rankings,
                protocol,
                "The review's protocol"
                if self.protocol_path is None
                else self._database.place.named(self.protocol_path),
                read.protocols,
                read.events,
                self._live(),
                _as_named(read.files, self._live().sources),
                read.plans,
                people,
                read.second_look_plans,
            )
            self._newest = read, found
            return found

    def begin(self, connection: Connection) -> None:
        """Read the protocol in force, and where its file is."""
        with self._turn:
            self._read = self._read.protocols_on(connection)
        self.protocol_path = connection.execute(select(_meta.c.value).where(_meta.c.key == "protocol_path")).scalar()

    @property
    def protocol_known(self) -> str:
        """The protocol in force, as TOML, when it was read last."""
        return self._read.protocols[-1][1]

    def events(self) -> Sequence[Event]:
        """Return the log as it is now, in its order."""
        with self._turn, self._database.read() as connection:
            self._read = self._read.events_on(connection)
            return self._read.events

    def live(self) -> CurrentState:
        """Return what is current in the log as it is now; it is shared, and not to be changed."""
        with self._turn:
            self.events()
            return self._live()

    def known(self) -> CurrentState:
        """Return what is current in the log as far as it was read; it is shared, and not to be changed."""
        with self._turn:
            return self._live()

    def _live(self) -> CurrentState:
        newer = between(self._read.events, self._folding.last_seq)
        if newer or self._folded is None:
            self._folding.apply(newer)
            self._folded = self._folding.live
        return self._folded

    def without(self, decision: Event) -> Mapping[tuple[str, int, str], Event]:
        """Return what its reviewer's decisions would be without a decision (see `LogFold.without`)."""
        with self._turn:
            self.live()
            return self._folding.without(decision)

    def append(self, connection: Connection, rows: Iterable[Mapping[str, object]]) -> list[Event]:
        """Append events to the log in an open transaction, and return them with their numbers and times.

        Raises
        ------
        InputError
            When one of them, other than a machine's own, is in the name of a machine.
        """
        with self._turn:
            known = self._read.events[-1].seq if self._read.events else 0
            live = self._live() if newest_event(connection) == known else self.live()
        return insert_events(connection, (_by_a_person(live, row) for row in rows) if live.machines else rows)

    def check_person(self, name: str) -> None:
        """Refuse the name of a machine where a person is meant.

        Raises
        ------
        InputError
        """
        _check_person(self.live(), name)


def _as_named(files: Sequence[SourceFile], sources: Mapping[int, str]) -> Sequence[SourceFile]:
    """Return files with the sources that people gave them since."""
    return tuple(replace(f, source=sources.get(f.id, f.source)) for f in files) if sources else files


def _by_a_person(live: CurrentState, row: Mapping[str, object]) -> Mapping[str, object]:
    if row["kind"] not in (Kind.MACHINE, Kind.SUGGESTION):
        _check_person(live, str(row.get("reviewer", "")))
    return row


def _check_person(live: CurrentState, name: str) -> None:
    if (machine := live.machine_named(name)) is not None:
        raise InputError(
            f"{machine!r} is a machine in this review, and a machine decides nothing; give the name of the person who "
            "does."
        )


def newest_event(connection: Connection) -> int:
    """Return the number of the newest event, 0 for an empty log."""
    return connection.execute(select(func.max(_events.c.seq))).scalar() or 0


def to_event(row: Sequence[Any]) -> Event:
    """Make an event of a row of the table."""
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


_KINDS, _LABELS, _ORIGINS = ({None: None, **{str(one): one for one in kind}} for kind in (Kind, Label, Origin))
_time = lru_cache(1)(datetime.fromisoformat)  # what was written at once has one time


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


def insert_events(connection: Connection, rows: Iterable[Mapping[str, object]]) -> list[Event]:
    """Append events to the log, and return them with their numbers and their time: one for all of a transaction."""
    next_seq = newest_event(connection) + 1
    transaction = connection.get_transaction()
    if (known := connection.info.get("time")) is None or known[0] is not transaction:
        known = connection.info["time"] = transaction, now()
    at = known[1]
    events: list[Event] = []
    for page in pages(rows, PAGE):
        full = [{**_EVENT_DEFAULTS, "at": at, "seq": next_seq + i, **row} for i, row in enumerate(page)]
        full = [{k: storable(str(v)) if isinstance(v, str) else v for k, v in row.items()} for row in full]
        connection.execute(insert(_events), full)
        events += [to_event([row[name] for name in _EVENT_COLUMNS]) for row in full]
        next_seq += len(page)
    return events
