"""What is current in the log: folded event by event, agreed among reviewers, and as far as one of them may know it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np

from .events import Event, Kind, Origin
from .labels import Label

_JUDGING = (Kind.DECISION, Kind.SUGGESTION)  # of these the newest on a record counts, for each reviewer or machine
# Of these all that are in force are kept, in their order, by what each is about.
_LISTED_BY: Mapping[Kind, Callable[[Event], object]] = {
    Kind.SETTLED: lambda e: (e.stage, e.about),
    Kind.ATTACHED: lambda e: e.about,
    Kind.CORRECTED: lambda e: e.about,
    Kind.ASSIGNED: lambda e: (e.stage, e.about),
    Kind.STOP: lambda e: e.stage,
    Kind.SOURCE: lambda e: json.loads(e.note)["file"],
}
Key = TypeVar("Key")  # what is shown: a record, or a record at a stage


@dataclass(frozen=True, slots=True)
class CurrentState:
    """What is current after folding the log: nothing undone, nothing superseded.

    Attributes
    ----------
    decisions : dict of (stage, record_id, reviewer) to Event
        The newest decision that is not undone, for each key. One made on a duplicate group takes the
        place of what the same reviewer had said of its members before they were linked.
    duplicates : dict of int to int
        The copy's record id to the id of the record kept (the lowest of its group).
    removals : dict of int to Event
        The removal in force for each removed record.
    tags : dict of (stage, record_id, reviewer) to tuple of Event
        The tags in force, in the order in which they were given.
    shown : dict of (stage, record_id) to Event
        The event by which a record was first put before anyone at a stage: a `shown` event,
        or a decision on a record that nobody handed out, unless it was excluded unread. See `Showings` for what was
        taken back.
    last_seq : int
        The newest event seen; 0 for an empty log.
    groups : mapping of int to sequence of int
        For each linked record all members of its group, itself among them.
    settled : dict of (stage, record_id) to Event
        The newest settlement of each record that has one.
    attached : dict of int to tuple of Event
        The files attached to each record, in the order in which they came.
    returned : frozenset of (stage, record_id)
        Audit draws whose batches were all taken back, and that nobody has been shown or has judged since.
    suggestions : dict of (stage, record_id, machine) to Event
        The newest suggestion that is not undone, for each key, folded as decisions are. None of it is a decision:
        what a machine says of a record changes nothing that is counted or proved.
    machines : dict of str to tuple of Event
        Every declaration of each machine, by its name, in the order of the log.
    stops : dict of str to Event
        The newest stop of each stage whose screening a person has ended.
    sources : dict of int to str
        The sources of imported files that a person named anew, by the file's number.
    corrections : dict of int to tuple of Event
        The corrections of each record's fields, in the order in which they were made.
    assigned : dict of (stage, record_id) to tuple of Event
        The assignments in force, in the order of the log.
    """

    decisions: dict[tuple[str, int, str], Event]
    duplicates: dict[int, int]
    removals: dict[int, Event]
    tags: dict[tuple[str, int, str], tuple[Event, ...]]
    shown: dict[tuple[str, int], Event]
    last_seq: int
    groups: Mapping[int, Sequence[int]] = field(default_factory=dict, compare=False, repr=False)
    settled: dict[tuple[str, int], Event] = field(default_factory=dict)
    attached: dict[int, tuple[Event, ...]] = field(default_factory=dict)
    returned: frozenset[tuple[str, int]] = frozenset()
    suggestions: dict[tuple[str, int, str], Event] = field(default_factory=dict)
    machines: dict[str, tuple[Event, ...]] = field(default_factory=dict)
    stops: Mapping[str, Event] = field(default_factory=dict)
    sources: Mapping[int, str] = field(default_factory=dict)
    corrections: Mapping[int, tuple[Event, ...]] = field(default_factory=dict)
    assigned: Mapping[tuple[str, int], tuple[Event, ...]] = field(default_factory=dict)

    def kept(self, record_id: int) -> int:
        """Return the record that `record_id` is shown under: itself, unless it is a copy."""
        return self.duplicates.get(record_id, record_id)

    def members(self, record_id: int) -> tuple[int, ...]:
        """Return a record and its copies: first the one that all are shown under, the others ascending."""
        kept = self.kept(record_id)
        return kept, *sorted(set(self.groups.get(kept, ())) - {kept})

    def copies_of(self, record_ids: Iterable[int]) -> dict[int, list[int]]:
        """Return the copies of each of these kept records that has any, ascending."""
        return {i: sorted(set(self.groups[i]) - {i}) for i in map(int, record_ids) if i in self.groups}

    def attachments(self, record_id: int) -> list[Event]:
        """Return the files attached to a record or to any copy of it, in the order in which they came."""
        given = (e for member in self.members(record_id) for e in self.attached.get(member, ()))
        return sorted(given, key=lambda e: e.seq)

    def tagged(self, stage: str, reviewer: str | None = None) -> dict[int, list[Event]]:
        """Return the tags that records have at a stage, over duplicate groups, in the order of the log.

        Those of one reviewer, or of all; each record under the id that it is shown under.
        """
        found: dict[int, list[Event]] = {}
        for (name, record_id, who), events in self.tags.items():
            if name == stage and reviewer in (None, who):
                found.setdefault(self.kept(record_id), []).extend(events)
        return {record_id: sorted(events, key=lambda e: e.seq) for record_id, events in found.items()}

    def assigned_at(self, stage: str) -> dict[int, dict[str, Event]]:
        """Return to whom records are assigned at a stage, by record and name; each under the id that it is shown under."""
        found: dict[int, dict[str, Event]] = {}
        for (name, record_id), events in self.assigned.items():
            if name == stage:
                found.setdefault(self.kept(record_id), {}).update((e.reason, e) for e in events)
        return found

    def assigned_and_open(self, name: str, stage: str | None = None) -> list[Event]:
        """Return the assignments to a person of records that they have not judged, at a stage or at all."""
        judged = {(at, self.kept(record_id)) for at, record_id, who in self.decisions if who == name}
        return [
            e
            for (at, record_id), given in self.assigned.items()
            for e in given
            if stage in (None, at) and e.reason == name and (at, self.kept(record_id)) not in judged
        ]

    def suggestions_on(self, stage: str, record_id: int) -> list[Event]:
        """Return the newest suggestion of each machine on a record or any copy of it, in the order of the log."""
        members = self.members(record_id)
        newest: dict[str, Event] = {}
        for machine in self.machines:
            for member in members:
                e = self.suggestions.get((stage, member, machine))
                if e is not None and (machine not in newest or newest[machine].seq < e.seq):
                    newest[machine] = e
        return sorted(newest.values(), key=lambda e: e.seq)

    def suggested(self, stage: str) -> dict[str, dict[int, Event]]:
        """Return the newest suggestion of each machine at a stage, by machine and record, over duplicate groups."""
        found: dict[str, dict[int, Event]] = {}
        for (name, record_id, machine), event in self.suggestions.items():
            if name == stage:
                given, kept = found.setdefault(machine, {}), self.kept(record_id)
                if kept not in given or given[kept].seq < event.seq:
                    given[kept] = event
        return found

    def machine_named(self, name: str) -> str | None:
        """Return the machine of that name, ignoring case and spacing; None if there is no such machine."""
        wanted = folded_name(name)
        return next((machine for machine in self.machines if folded_name(machine) == wanted), None)


def folded_name(name: str) -> str:
    """Return the name of a person or a machine as it is compared: without case or extra spaces."""
    return " ".join(name.casefold().split())


def fold(events: Iterable[Event]) -> CurrentState:
    """Fold the log into what is current. The one definition of "current".

    An undo takes its event out of the log as if it had never been written, except that a
    record once shown stays shown: its place in the order never changes. Only a batch that is taken back
    returns records to the pool (see `Showings`).
    """
    return LogFold(events).live


class Showings(Generic[Key]):
    """By which event each record was first put before anyone, as the events come in.

    A batch that is taken back returns those of its records to the pool that only it had put before anyone and
    that nobody has ever judged. An audit draw is no such record: it was drawn, and may have been read. It keeps
    its place, its pool and its weight in the evidence no matter who judges it and when. Were it drawn anew, somebody
    who has read it could choose the moment, and with it what an irrelevant one counts for.

    Attributes
    ----------
    first : dict of key to Event
    """

    def __init__(self) -> None:
        self.first: dict[Key, Event] = {}
        # The hand-outs in force of each record that has never been on a screen nor judged.
        self._in_files: dict[Key, set[int]] = {}

    @property
    def returned(self) -> Iterator[Key]:
        """The audit draws that were taken back and put before nobody since."""
        return (key for key, showings in self._in_files.items() if not showings)

    def take(self, key: Key, e: Event) -> Event | None:
        """Take one event of a record: a showing, a decision or an undo.

        Returns
        -------
        Event or None
            The first showing, when this event returns the record to the pool.
        """
        if e.is_unread:
            return None
        showings = self._in_files.get(key)
        if e.kind is Kind.UNDO:
            if showings is None or e.undoes not in showings:
                return None
            showings.remove(e.undoes)
            if showings or self.first[key].origin is Origin.AUDIT:
                return None
            del self._in_files[key]
            return self.first.pop(key)
        is_new = self.first.setdefault(key, e) is e
        if e.kind is Kind.SHOWN and e.note:
            if is_new:
                self._in_files[key] = {e.seq}
            elif showings is not None:
                showings.add(e.seq)
        elif showings is not None:
            del self._in_files[key]
        return None


class LogFold:
    """The log folded so far, to be folded on: see `fold`.

    Going on costs no more than the newer events, unless they link records, or take a link or a removal
    back: then all is folded anew.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.last_seq = 0
        self._events: list[Event] = []
        self._undone: set[int] = set()
        # What was said of each record at a stage, by whom: decisions, and what machines suggest.
        self._judged: dict[Kind, dict[tuple[str, int, str], Event]] = {kind: {} for kind in _JUDGING}
        self._machines: dict[str, list[Event]] = {}
        self._groups: dict[int, list[int]] = {}  # for each linked record, the members of its group so far
        self._duplicates: dict[int, int] = {}
        self._removals: dict[int, Event] = {}
        self._tags: dict[tuple[str, int, str], list[Event]] = {}
        self._listed: dict[Kind, dict[Any, list[Event]]] = {kind: {} for kind in _LISTED_BY}
        self._showings: Showings[tuple[str, int]] = Showings()
        self.apply(events)

    @property
    def live(self) -> CurrentState:
        """What is current; what is folded later does not change it."""
        return CurrentState(
            dict(self._judged[Kind.DECISION]),
            self._duplicates,
            dict(self._removals),
            {key: tuple(given) for key, given in self._tags.items()},
            dict(self._showings.first),
            self.last_seq,
            self._groups,
            {key: given[-1] for key, given in self._listed[Kind.SETTLED].items()},
            {key: tuple(given) for key, given in self._listed[Kind.ATTACHED].items()},
            frozenset(self._showings.returned),
            dict(self._judged[Kind.SUGGESTION]),
            {name: tuple(given) for name, given in self._machines.items()},
            {stage: stops[-1] for stage, stops in self._listed[Kind.STOP].items()},
            {file: str(json.loads(given[-1].note)["source"]) for file, given in self._listed[Kind.SOURCE].items()},
            {key: tuple(given) for key, given in self._listed[Kind.CORRECTED].items()},
            {key: tuple(given) for key, given in self._listed[Kind.ASSIGNED].items()},
        )

    def apply(self, events: Iterable[Event]) -> None:
        """Fold the events in that follow those taken so far."""
        newer = list(events)
        undone = {e.undoes for e in newer if e.undoes is not None}
        taken_back = [e for e in self._events if e.seq in undone] if undone else []
        anew = any(e.kind is Kind.DUPLICATE for e in newer) or any(
            e.kind in (Kind.DUPLICATE, Kind.REMOVAL) for e in taken_back
        )
        self._events += newer
        self._undone |= undone
        self.last_seq = max((e.seq for e in newer), default=self.last_seq)
        if anew:
            newer, taken_back = self._events, []
            self._judged = {kind: {} for kind in _JUDGING}
            self._groups, self._removals, self._tags, self._machines = {}, {}, {}, {}
            self._listed, self._showings = {kind: {} for kind in _LISTED_BY}, Showings()
        self._fold_in(newer, self._judged, self._groups, self._removals, self._tags)
        if anew:
            lowest = {id(members): min(members) for members in self._groups.values()}
            self._duplicates = {i: root for i, members in self._groups.items() if (root := lowest[id(members)]) != i}
        for e in newer:
            if e.kind in _LISTED_BY and e.seq not in self._undone:
                self._listed[e.kind].setdefault(_LISTED_BY[e.kind](e), []).append(e)
            elif e.kind is Kind.MACHINE:
                self._machines.setdefault(e.reviewer, []).append(e)
            if e.record_id is not None and e.kind in (Kind.SHOWN, Kind.DECISION, Kind.UNDO):
                self._showings.take((e.stage, self._duplicates.get(e.record_id, e.record_id)), e)
        for e in taken_back:
            if e.kind is Kind.TAG:
                _take_out(self._tags, (e.stage, e.about, e.reviewer), e)
            elif e.kind in _LISTED_BY:
                _take_out(self._listed[e.kind], _LISTED_BY[e.kind](e), e)
        # All at once, however many were taken back together: what is left of each is found by one pass over the log.
        for event_kind in _JUDGING:
            gone = [e for e in taken_back if e.kind is event_kind]
            for e in gone:
                for member in self._groups.get(e.about, (e.about,)):
                    self._judged[event_kind].pop((e.stage, member, e.reviewer), None)
            if gone:
                self._judged[event_kind].update(self._without(gone))

    def without(self, event: Event) -> dict[tuple[str, int, str], Event]:
        """Return what its reviewer has decided on its duplicate group at its stage but for a decision.

        Of a suggestion: what the machine suggests but for it.
        """
        return self._without([event])

    def _without(self, gone: Sequence[Event]) -> dict[tuple[str, int, str], Event]:
        """Do so for several events of one kind."""
        kind, seqs = gone[0].kind, {e.seq for e in gone}
        members, wanted = set(), set()
        for event in gone:
            for member in self._groups.get(event.about, (event.about,)):
                members.add(member)
                wanted.add((event.stage, member, event.reviewer))
        judged: dict[Kind, dict[tuple[str, int, str], Event]] = {kind: {}}
        self._fold_in(
            (
                e
                for e in self._events
                if e.record_id in members
                and e.seq not in seqs
                and (e.kind is Kind.DUPLICATE or (e.kind is kind and (e.stage, e.record_id, e.reviewer) in wanted))
            ),
            judged,
            {},
            {},
            {},
        )
        return judged[kind]

    def _fold_in(
        self,
        events: Iterable[Event],
        judged: Mapping[Kind, dict[tuple[str, int, str], Event]],
        groups: dict[int, list[int]],
        removals: dict[int, Event],
        tags: dict[tuple[str, int, str], list[Event]],
    ) -> None:
        for e in events:
            if e.seq in self._undone or e.record_id is None:
                continue
            if e.kind in _JUDGING:
                given = judged[e.kind]
                for member in groups.get(e.record_id, ()):
                    given.pop((e.stage, member, e.reviewer), None)
                given[e.stage, e.record_id, e.reviewer] = e
            elif e.kind is Kind.DUPLICATE and e.other_id is not None:
                _join(groups, e.record_id, e.other_id)
            elif e.kind is Kind.REMOVAL:
                removals[e.record_id] = e
            elif e.kind is Kind.TAG:
                tags.setdefault((e.stage, e.record_id, e.reviewer), []).append(e)


def _take_out(given: dict[Key, list[Event]], key: Key, e: Event) -> None:
    given[key].remove(e)
    if not given[key]:
        del given[key]


def _join(groups: dict[int, list[int]], a: int, b: int) -> None:
    """Make one group of those of two records (links may form chains)."""
    one, other = (groups.setdefault(i, [i]) for i in (a, b))
    if one is not other:
        large, small = (one, other) if len(one) >= len(other) else (other, one)
        large += small
        groups.update(dict.fromkeys(small, large))


@dataclass(frozen=True, slots=True)
class Consensus:
    """The agreed label of every judged record of a stage, and the records in conflict.

    What was settled has the label of the settlement, `settled`, whatever the reviewers said or say. `unread` are the
    records that are excluded, and that nobody who decided on them has read.
    """

    labels: dict[int, Label]
    conflicts: frozenset[int]
    settled: Mapping[int, Event] = field(default_factory=dict)
    unread: frozenset[int] = frozenset()

    def relevant(self, record_id: int) -> bool | None:
        """Tell whether a record counts as relevant; None where nobody who has read it has decided.

        MAYBE and an open conflict count as relevant: the safe side for every estimate. So is it that a record which
        was excluded unread has no label: no estimate and no bound may take it for irrelevant.
        """
        if record_id in self.unread:
            return None
        if record_id in self.conflicts:
            return True
        label = self.labels.get(record_id)
        return None if label is None else label is not Label.EXCLUDE


def consensus(live: CurrentState, stage: str) -> Consensus:
    """Combine the live decisions of all reviewers, over duplicate groups, at one stage."""
    votes: dict[int, set[Label]] = {}
    unread: dict[int, bool] = {}
    for (at_stage, record_id, _), event in live.decisions.items():
        if at_stage == stage and event.label is not None:
            kept = live.kept(record_id)
            votes.setdefault(kept, set()).add(event.label)
            unread[kept] = unread.get(kept, True) and event.is_unread
    settled: dict[int, Event] = {}
    for (at_stage, record_id), event in live.settled.items():
        kept = live.kept(record_id)
        if at_stage == stage and (kept not in settled or settled[kept].seq < event.seq):
            settled[kept] = event
    labels = {r: next(iter(v)) for r, v in votes.items() if len(v) == 1}
    labels |= {r: e.label for r, e in settled.items() if e.label is not None}
    return Consensus(
        labels,
        frozenset(r for r, v in votes.items() if len(v) > 1 and r not in settled),
        settled,
        frozenset(r for r, is_unread in unread.items() if is_unread and r not in settled),
    )


def awaits_second_look(events: Sequence[Event]) -> bool:
    """Tell of the decisions on a record, in the order of the log, whether they are one reviewer's, who excluded it.

    One that was excluded unread has had no first look.
    """
    events = [e for e in events if not e.is_unread]
    return bool(events) and events[0].label is Label.EXCLUDE and len({e.reviewer for e in events}) == 1


def visible(
    live: CurrentState, stage: str, viewer: str, *, reviewers_per_record: int = 1, settles: bool = False
) -> dict[int, list[Event]]:
    """Return by record, over duplicate groups, the decisions at a stage that a person may see.

    One's own always. Those of others, where more than one is to judge each record, not before all of them
    have; and then only on records that one has read and judged too, or when one is to settle what they disagree on.

    Parameters
    ----------
    live : CurrentState
    stage : str
    viewer : str
    reviewers_per_record : int
    settles : bool
        Whether the viewer is an adjudicator or an owner.
    """
    given: dict[int, list[Event]] = {}
    for (name, record_id, _), event in live.decisions.items():
        if name == stage:
            given.setdefault(live.kept(record_id), []).append(event)
    seen = {}
    for record_id, events in given.items():
        mine = [e for e in events if e.reviewer == viewer]
        complete = len({e.reviewer for e in events}) >= reviewers_per_record
        has_read = any(not e.is_unread for e in mine)
        if reviewers_per_record == 1 or (complete and (has_read or settles)):
            mine = events
        if mine:
            seen[record_id] = sorted(mine, key=lambda e: e.seq)
    return seen


def independent(
    live: CurrentState, events: Iterable[Event], stage: str, *, needed: int = 2
) -> dict[int, dict[str, Label]]:
    """Return by record, over duplicate groups, each reviewer's label as it stood before they could see another's.

    That is until as many have judged the record as are to; what they change from then on they may have talked about.
    Where fewer have, it is their newest label.

    Parameters
    ----------
    live : CurrentState
    events : iterable of Event
        The log that it was folded from.
    stage : str
    needed : int
        How many decide on each record before any of them sees the others'.
    """
    said: dict[
        int, dict[str, dict[int, Label]]
    ] = {}  # by record and reviewer, what is in force, by the events' numbers
    told: dict[int, dict[str, Label]] = {}
    of: dict[int, dict[int, Label]] = {}  # by an event's number, what an undo of it takes it from

    def newest(record_id: int) -> dict[str, Label]:
        return {who: labels[max(labels)] for who, labels in said[record_id].items() if labels}

    for e in events:
        if e.kind is Kind.DECISION and e.stage == stage and e.label is not None and not e.is_unread:
            record_id = live.kept(e.about)
            of[e.seq] = said.setdefault(record_id, {}).setdefault(e.reviewer, {})
            of[e.seq][e.seq] = e.label
            if len(judges := newest(record_id)) >= needed:
                told[record_id] = judges | told.get(record_id, {})
        elif e.undoes in of:
            del of[e.undoes][e.undoes]
    return {record_id: told.get(record_id) or newest(record_id) for record_id in said}


def seen_by(
    viewer: str,
    live: CurrentState,
    events: Sequence[Event],
    reviewers_per_record: int,
    stages: Sequence[str],
    rounds: Mapping[str, Collection[int]],
) -> CurrentState:
    """Return what is current in the log as far as a reviewer may know it who judges the same records as others.

    They know their own decisions, and everybody's on records that are done: that as many have judged as are to,
    or that were settled. A record is not done for a reviewer who is still to judge it, because they have been shown it
    or because it is of the calibration round; one that they were shown at a later stage has passed on, and
    they know it.

    What others do with records that are not done changes nothing at all in what is returned, until the viewer
    or somebody who completes a record has written the next event: up to that one, the records that others were
    shown are known as shown and not judged. So the certificate, which counts those as relevant, is valid.

    Parameters
    ----------
    viewer : str
    live : CurrentState
    events : sequence of Event
        The log that it was folded from.
    reviewers_per_record : int
    stages : sequence of str
        The stages of the protocol, in their order.
    rounds : mapping of str to collection of int
        The records of each stage's calibration round.
    """
    kept, place = live.kept, {name: at for at, name in enumerate(stages)}
    judges: dict[tuple[str, int], set[str]] = {}
    read: set[tuple[str, int]] = set()  # what the viewer has read and judged
    for (name, record_id, who), event in live.decisions.items():
        judges.setdefault((name, kept(record_id)), set()).add(who)
        if who == viewer and not event.is_unread:
            read.add((name, kept(record_id)))
    settled = {(name, kept(record_id)) for name, record_id in live.settled}
    taken_back = {e.undoes for e in events if e.kind is Kind.UNDO}
    last_shown: dict[int, int] = {}  # the last stage at which the viewer was shown a record
    to_judge = {(name, kept(record_id)) for name, ids in rounds.items() for record_id in ids}
    for e in events:
        if e.kind is Kind.SHOWN and e.reviewer == viewer and e.seq not in taken_back:
            record_id = kept(e.about)
            to_judge.add((e.stage, record_id))
            last_shown[record_id] = max(last_shown.get(record_id, 0), place.get(e.stage, 0))

    def is_done(name: str, record_id: int) -> bool:
        key = name, kept(record_id)
        if place.get(name, 0) < last_shown.get(key[1], 0):
            return True
        by = judges.get(key, ())
        if len(by) < reviewers_per_record and key not in settled:
            return False
        return key in read or key not in to_judge

    def is_known(e: Event) -> bool:
        if e.kind in (Kind.MACHINE, Kind.SUGGESTION, Kind.ASSIGNED):
            return False
        if not e.stage or e.reviewer == viewer:
            return True
        # A permutation is committed when somebody's decision lets a record into a later stage.
        if e.record_id is None:
            return e.kind in (Kind.STOP, Kind.REVEAL)
        return is_done(e.stage, e.record_id)

    newest = next((e.seq for e in reversed(events) if is_known(e)), 0)
    shown = {key: e for key, e in live.shown.items() if e.seq <= newest}
    return replace(
        live,
        last_seq=newest,
        shown=shown,
        returned=frozenset(live.returned & shown.keys()),
        decisions={key: e for key, e in live.decisions.items() if key[2] == viewer or is_done(*key[:2])},
        tags={key: given for key, given in live.tags.items() if key[2] == viewer or is_done(*key[:2])},
        settled={key: e for key, e in live.settled.items() if is_done(*key)},
    )


def entered(ids: np.ndarray, live: CurrentState, earlier: Sequence[str]) -> np.ndarray:
    """Return those records, in their order, that have entered the stage after the `earlier` ones.

    They are not copies, nothing removed them, and every earlier stage passed them on.
    """
    out = set(live.duplicates) | set(live.removals)
    if out:
        ids = ids[~np.isin(ids, np.fromiter(out, np.int64))]
    for stage in earlier:
        agreed = consensus(live, stage)
        passed = [r for r, label in agreed.labels.items() if label is not Label.EXCLUDE]
        ids = ids[np.isin(ids, np.array(passed, np.int64))]
    return ids


def audited(
    events: Iterable[Event], stage: str, earlier: Sequence[str], plans: Sequence[tuple[int, np.ndarray]]
) -> tuple[list[tuple[Event, int]], list[set[int]]]:
    """Tell from which permutation each audit draw of a stage came, and which records a draw passed by.

    Parameters
    ----------
    events : iterable of Event
        The log, in its order.
    stage : str
    earlier : sequence of str
        The stages before it.
    plans : sequence of (seq, record ids)
        The audit permutations of the stage, and the events that committed them.

    Returns
    -------
    draws : list of (Event, int)
        The event that showed the record drawn, and the permutation, counted from 0.
    passed_by : list of set of int
        For each permutation, its records that could not be drawn when it was drawn from: they were out of the
        stage (a copy, removed, not passed on), or in a batch that was taken back since.
    """
    if not plans:
        return [], []
    home: dict[int, int] = {}  # the newest permutation of each record
    draws: list[tuple[Event, int]] = []
    passed_by: list[set[int]] = [set() for _ in plans]
    showings: Showings[int] = Showings()
    drawn_at = [0] * len(plans)  # the newest draw from each
    changes: dict[int, Event] = {}  # what moves records into the stage or out of it
    linked: set[int] = set()
    away: list[int] = []
    stale = False
    committed = 0
    for e in events:
        while committed < len(plans) and plans[committed][0] <= e.seq:
            home.update(dict.fromkeys(plans[committed][1].tolist(), committed))
            committed += 1
        if (
            e.kind in (Kind.DUPLICATE, Kind.REMOVAL)
            or e.undoes in changes
            or (e.kind in (Kind.DECISION, Kind.SETTLED) and e.stage in earlier)
        ):
            changes[e.seq] = e
            if e.kind is Kind.DUPLICATE and e.other_id is not None:
                linked.update((e.about, e.other_id))
            stale = stale or e.record_id in home or e.record_id in linked
        if e.stage != stage or e.record_id is None or e.kind not in (Kind.SHOWN, Kind.DECISION, Kind.UNDO):
            continue
        is_new = e.record_id not in showings.first
        back = showings.take(e.record_id, e)
        if back is not None and e.record_id in home and drawn_at[home[e.record_id]] > back.seq:
            passed_by[home[e.record_id]].add(e.record_id)
        if not is_new or e.kind is not Kind.SHOWN or e.origin is not Origin.AUDIT or e.record_id not in home:
            continue
        if stale:
            known = np.array(sorted(home), np.int64)
            away = np.setdiff1d(known, entered(known, fold(changes.values()), earlier), assume_unique=True).tolist()
            stale = False
        number = home[e.record_id]
        draws.append((e, number))
        drawn_at[number] = e.seq
        passed_by[number].update(record_id for record_id in away if home[record_id] == number)
    return draws, passed_by
