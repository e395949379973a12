"""A review as it was at one moment: read once, in one transaction, and asked from then on in place of the database."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ..errors import InputError
from ..log import CurrentState, Event, History, fold, seen_by
from ..log.stage import Stage, stage_of
from ..protocol.model import Protocol, Stage as AskedStage
from .location import Server
from .people import Person
from .rankings import Rankings
from .records import Records

Plans = Mapping[str, Sequence[tuple[int, np.ndarray]]]  # by stage: the event that committed it, and its records


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One import: a file's name, its source, and what became of the records that it announced.

    `source` is what it is called now, `imported_as` what it was called when it was imported.
    """

    id: int
    name: str
    source: str
    format: str
    sha256: str
    announced: int
    kept: int
    problems: tuple[tuple[int, str], ...]
    at: datetime
    imported_as: str = ""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A review as it was at one moment.

    It is made once for a command or a request and passed on, so that all that is reported is of one moment. What is too
    large to be held, the text of the records and the scores of rankings, is read when it is asked for.

    Attributes
    ----------
    path : Path or Server
        Where it was read.
    records : Records
    rankings : Rankings
    protocol : Protocol
        The one in force.
    protocol_file : str
        What to call its file in a message, also where that is missing or on another machine.
    protocol_versions : sequence of (datetime, str)
        Every protocol that was in force, as TOML, the oldest first, with the time at which it was taken over.
    events : sequence of Event
        The log.
    live : CurrentState
        What is current in it.
    files : sequence of SourceFile
        Every import, in its order.
    plans : mapping of str to sequence of (int, ndarray)
        By stage, its audit permutations, each with the event that committed it.
    people : sequence of Person
        Everybody who may come in, by name; none in a review of one person on one machine.
    second_look_plans : mapping of str to sequence of (int, ndarray)
        By stage, the orders in which excluded records are judged again, each with the event that committed it.
    """

    path: Path | Server
    records: Records
    rankings: Rankings
    protocol: Protocol
    protocol_file: str
    protocol_versions: Sequence[tuple[datetime, str]]
    events: Sequence[Event]
    live: CurrentState
    files: Sequence[SourceFile]
    plans: Plans
    people: Sequence[Person] = ()
    second_look_plans: Plans = field(default_factory=dict)
    _stages: dict[tuple[str, str | None], Stage] = field(default_factory=dict, repr=False)
    _histories: dict[tuple[str, str | None], History] = field(default_factory=dict, repr=False)
    _past: dict[tuple[int, int | None], Snapshot] = field(default_factory=dict, repr=False)

    @property
    def n_records(self) -> int:
        """Records imported; their ids run from 1 to this."""
        return sum(file.kept for file in self.files)

    def imported(self, sha256: str, source: str | None) -> SourceFile | None:
        """Return the import of a file with these bytes: under `source`, or under any when None."""
        return next((f for f in self.files if f.sha256 == sha256 and source in (None, f.source, f.imported_as)), None)

    def record_files(self) -> np.ndarray:
        """Return the id of the file that each record came in, shape (n_records,), in the order of the record ids."""
        return np.repeat(np.array([f.id for f in self.files], np.int64), np.array([f.kept for f in self.files], int))

    def person(self, name: str) -> Person | None:
        """Return the person of that name, or None."""
        return next((one for one in self.people if one.name == name), None)

    def events_between(self, since: int = 0, until: int | None = None) -> Sequence[Event]:
        """Return the events after number `since`, up to `until`."""
        return between(self.events, since, until)

    def as_of(self, seq: int, n_records: int | None = None) -> Snapshot:
        """Return the review as it was when event `seq` was the newest; the protocol stays the present one.

        Parameters
        ----------
        seq : int
        n_records : int, optional
            How many records there were then; the present number when left out.
        """
        if (known := self._past.get((seq, n_records))) is not None:
            return known
        events = between(self.events, 0, seq)
        files, so_far = list(self.files), self.n_records
        while n_records is not None and files and so_far > n_records:
            so_far -= files.pop().kept
        self._past[seq, n_records] = replace(
            self,
            files=files,
            events=events,
            live=fold(events),
            plans=_up_to(self.plans, seq),
            second_look_plans=_up_to(self.second_look_plans, seq),
            _stages={},
            _histories={},
            _past={},
        )
        return self._past[seq, n_records]

    # -- stages -------------------------------------------------------------------------------

    def stage_name(self, name: str | None = None) -> str:
        """Return the name of a stage, the first of the protocol when left out.

        Raises
        ------
        InputError
            When the protocol has no stage of that name.
        """
        names = [s.name for s in self.protocol.stages]
        name = names[0] if name is None else name
        if name not in names:
            raise InputError(f"The protocol has no stage {name!r}; its stages are: {', '.join(names)}.")
        return name

    def asked(self, name: str | None = None) -> AskedStage:
        """Return what the protocol says of a stage."""
        name = self.stage_name(name)
        return next(s for s in self.protocol.stages if s.name == name)

    def earlier(self, name: str) -> list[str]:
        """Return the names of the stages before one."""
        names = [s.name for s in self.protocol.stages]
        return names[: names.index(name)]

    def stage(self, name: str | None = None, *, viewer: str | None = None) -> Stage:
        """Return a stage as the log has it, or as one reviewer may know it.

        Parameters
        ----------
        name : str, optional
            The first of the protocol when left out.
        viewer : str, optional
            A reviewer who is to stay blind to what others decide on the same records, where more than one is
            to judge each (see `log.state.seen_by`); everything is seen when left out.

        Raises
        ------
        InputError
            When the protocol has no stage of that name.
        """
        key = self._key(name, viewer)
        if key not in self._stages:
            self._stages[key] = self._stage(*key)
        return self._stages[key]

    def history(self, name: str | None = None, *, viewer: str | None = None) -> History:
        """Return what the mathematics may see of a stage (see `stage`)."""
        key = self._key(name, viewer)
        if key not in self._histories:
            self._histories[key] = self.stage(name, viewer=viewer).history()
        return self._histories[key]

    def _key(self, name: str | None, viewer: str | None) -> tuple[str, str | None]:
        return self.stage_name(name), viewer if self.protocol.reviewers_per_record > 1 else None

    def _stage(self, name: str, viewer: str | None) -> Stage:
        earlier, live, events, plans = self.earlier(name), self.live, self.events, self.plans.get(name, ())
        if viewer is not None:
            rounds = {one: self._calibration_round(one) for one in (*earlier, name)}
            names = [s.name for s in self.protocol.stages]
            live = seen_by(viewer, live, events, self.protocol.reviewers_per_record, names, rounds)
            events = between(events, 0, live.last_seq)
            plans = [(seq, ids) for seq, ids in plans if seq <= live.last_seq]
        return stage_of(name, earlier, np.arange(1, self.n_records + 1), events, plans, live)

    def _calibration_round(self, stage_name: str) -> Collection[int]:
        if not self.protocol.calibration:
            return ()
        stage = self.stage(stage_name)
        ids: list[int] = stage.record_ids[stage.calibration(self.protocol.calibration)].tolist()
        return ids


def _up_to(plans: Plans, seq: int) -> Plans:
    return MappingProxyType({name: [(at, ids) for at, ids in some if at <= seq] for name, some in plans.items()})


def between(events: Sequence[Event], since: int, until: int | None = None) -> Sequence[Event]:
    """Return the events after number `since`, up to `until`."""
    first = bisect_right(events, since, key=_seq)
    return events[first:] if until is None else events[first : bisect_right(events, until, key=_seq)]


def _seq(event: Event) -> int:
    return event.seq
