"""The append-only log of a review: what may be written to it, and when it is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice

import numpy as np
from sqlalchemy import Connection, Table, insert, select

from ..errors import InputError
from ..log import CurrentState, Event, Kind, Label, Origin, batches, consensus, exclusions, folded_name, taken_back
from ..log.stage import Stage
from .database import Database, storable
from .people import Role, checked_name, names_of_people
from .reading import Reader, newest_event, to_event
from .schema import (
    events as _events,
    files as _files,
    people as _people,
    plans as _plans,
    second_look_plans as _second_look_plans,
    seeds as _seeds,
)
from .snapshot import between

_CAN_BE_UNDONE = frozenset(
    (
        Kind.DECISION,
        Kind.SETTLED,
        Kind.TAG,
        Kind.DUPLICATE,
        Kind.APART,
        Kind.SAME_STUDY,
        Kind.OTHER_STUDY,
        Kind.REMOVAL,
        Kind.STAYS,
        Kind.ATTACHED,
        Kind.CORRECTED,
        Kind.SUGGESTION,
        Kind.STOP,
        Kind.SOURCE,
        Kind.ASSIGNED,
    )
)


class Log:
    """The log of a review. Every method that writes is one transaction, on the disk before it returns.

    Parameters
    ----------
    database : Database
    reader : Reader
    """

    def __init__(self, database: Database, reader: Reader) -> None:
        self._database = database
        self._reader = reader

    def events(self, since: int = 0, until: int | None = None) -> Sequence[Event]:
        """Return the log as it is now, in its order: the events after number `since`, up to `until`."""
        return between(self._reader.events(), since, until)

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
        tags_by: Mapping[str, Mapping[int, Sequence[str]]] | None = None,
        in_place_of: Sequence[Event] = (),
    ) -> list[Event]:
        """Log decisions and tags, all in one transaction, and return their events.

        Parameters
        ----------
        stage : str
        decisions : sequence of mappings
            Each with `record_id` and `label`, and optionally `reason`, `note`, `origin`,
            `pool_size` and `ranking_id`, and `reviewer` where somebody else made it.
        reviewer : str
        tags : mapping of int to sequence of str, optional
            By record, all the tags that it is to have of this reviewer at this stage: they take the place
            of those it has. Nothing is written of a tag that stays.
        tags_by : mapping of str to mapping, optional
            The same for others, by their names.
        in_place_of : sequence of Event
            Others' exclusions of these records, which nobody has read until now; they are taken back.
        """
        rows = [
            {"kind": Kind.DECISION, "stage": stage, "reviewer": reviewer, "origin": Origin.CHOSEN, **d}
            for d in decisions
        ]
        wanted = {reviewer: tags or {}, **(tags_by or {})}
        if not any(wanted.values()) and not in_place_of:
            return self._append(rows)
        with self._database.write() as connection:
            # Read while nobody else can write, so that nothing is taken back twice.
            live = self._reader.live()
            rows += [
                taken_back(e, reviewer) for e in in_place_of if live.decisions.get((e.stage, e.about, e.reviewer)) == e
            ]
            for person, theirs in wanted.items():
                rows += _retagged(live, stage, person, theirs)
            return self._reader.append(connection, rows) if rows else []

    def check(
        self, stage: str, record_id: int, label: Label, *, reviewer: str, reason: str = "", note: str = ""
    ) -> Event:
        """Log how a reviewer judged a record that is known to be relevant, shown once more: no decision."""
        row = {
            "kind": Kind.CHECK,
            "stage": stage,
            "record_id": record_id,
            "label": label,
            "reviewer": reviewer,
            "reason": reason,
            "note": note,
        }
        return self._append([row])[0]

    def settle(
        self, stage: str, record_id: int, label: Label, *, reviewer: str, reason: str = "", note: str = ""
    ) -> Event:
        """Log how a person settles what the reviewers of a record disagree on; a settlement may be settled again.

        Raises
        ------
        InputError
            When the record is in no conflict at the stage, or the person is known but may not settle.
        """
        return self.settle_all(stage, {record_id: label}, reviewer=reviewer, reason=reason, note=note)[0]

    def settle_all(
        self, stage: str, labels: Mapping[int, Label], *, reviewer: str, reason: str = "", note: str = ""
    ) -> list[Event]:
        """Log how a person settles several conflicts, all in one transaction; see `settle`."""
        with self._database.write() as connection:
            settler = connection.execute(select(_people.c.role).where(_people.c.name == reviewer)).scalar()
            if settler == Role.REVIEWER:
                raise InputError(f"{reviewer} is a reviewer; an adjudicator or an owner settles conflicts.")
            live = self._reader.live()
            agreed = consensus(live, stage)
            for record_id in labels:
                kept = live.kept(record_id)
                if kept not in agreed.conflicts and kept not in agreed.settled:
                    raise InputError(
                        f"Record {record_id} is in no conflict at the stage {stage!r}; `triage conflicts` lists those "
                        "that are."
                    )
            return self._reader.append(
                connection,
                (
                    {
                        "kind": Kind.SETTLED,
                        "stage": stage,
                        "record_id": live.kept(record_id),
                        "reviewer": reviewer,
                        "label": label,
                        "reason": reason,
                        "note": note,
                    }
                    for record_id, label in labels.items()
                ),
            )

    def suggest(
        self, stage: str, suggestions: Sequence[Mapping[str, object]], *, machine: str, known: Mapping[str, object]
    ) -> list[Event]:
        """Log what a machine suggests, all in one transaction, and the machine where anything new is known of it.

        Parameters
        ----------
        stage : str
        suggestions : sequence of mappings
            Each with `record_id` and `label` (or None), and optionally `reason` and `note`.
        machine : str
            Its name and version. From then on nobody decides under this name.
        known : mapping
            What is known of the machine, fit for JSON, such as its prompt.

        Returns
        -------
        list of Event
            The suggestions.

        Raises
        ------
        InputError
            When the name is wrong, or a person has it.
        """
        with self._database.write() as connection:
            machine = self._machine(connection, machine)
            note = storable(json.dumps(known, ensure_ascii=False))
            before = self._reader.live().machines.get(machine, ())
            if not before or before[-1].note != note:
                self._reader.append(connection, [{"kind": Kind.MACHINE, "reviewer": machine, "note": note}])
            rows = ({"kind": Kind.SUGGESTION, "stage": stage, "reviewer": machine, **one} for one in suggestions)
            return self._reader.append(connection, rows)

    def name_source(self, file: int, source: str, *, reviewer: str) -> Event:
        """Log what an imported file's source is to be called from now on.

        Raises
        ------
        InputError
            When the name is empty, or there is no such file.
        """
        if not (source := " ".join(source.split())):
            raise InputError("A source needs a name, such as PubMed.")
        with self._database.read() as connection:
            known = connection.execute(select(_files.c.id).where(_files.c.id == file)).scalar()
        if known is None:
            raise InputError(f"There is no imported file {file}.")
        note = storable(json.dumps({"file": file, "source": source}, ensure_ascii=False))
        return self._append([{"kind": Kind.SOURCE, "reviewer": reviewer, "note": note}])[0]

    def correct(self, fields: Mapping[int, Mapping[str, object]], *, reviewer: str) -> list[Event]:
        """Log what fields of records are to hold from now on, all in one transaction; what was imported stays.

        Parameters
        ----------
        fields : mapping of int to mapping
            By record, the values of some of `records.CORRECTABLE`, fit for JSON.
        reviewer : str
        """
        written = self._append(
            {
                "kind": Kind.CORRECTED,
                "record_id": record_id,
                "reviewer": reviewer,
                "note": storable(json.dumps(dict(values), ensure_ascii=False)),
            }
            for record_id, values in fields.items()
        )
        self._reader.live()  # so that records are read as corrected from now on
        return written

    def name_columns(self, header: Sequence[str], columns: Mapping[str, str], *, reviewer: str) -> Event:
        """Log which columns of a table hold which fields of a record, for this file and others of the same header."""
        note = storable(json.dumps({"header": list(header), "columns": dict(columns)}, ensure_ascii=False))
        return self._append([{"kind": Kind.COLUMNS, "reviewer": reviewer, "note": note}])[0]

    def _machine(self, connection: Connection, name: str) -> str:
        """Return the name under which a machine is known or is to be."""
        if (known := self._reader.live().machine_named(name)) is not None:
            return known
        name = checked_name(name)
        wanted = folded_name(name)
        worked = next((e for e in self._reader.events() if e.reviewer and folded_name(e.reviewer) == wanted), None)
        if worked is not None:
            raise InputError(
                f"{worked.reviewer!r} has worked on this review as a person (event {worked.seq}), so no machine can have "
                "that name; give the machine another one, with its version."
            )
        if any(folded_name(person) == wanted for person in names_of_people(connection)):
            raise InputError(
                f"{name!r} is a person of this review, so no machine can have that name; give the machine another one, "
                "with its version."
            )
        return name

    def check_machine(self, name: str) -> None:
        """Refuse a name that no machine can have: a person's, or one that cannot be printed.

        Raises
        ------
        InputError
        """
        with self._database.read() as connection:
            self._machine(connection, name)

    def check_person(self, name: str) -> None:
        """Refuse the name of a machine where a person is meant (see `Reader.check_person`)."""
        self._reader.check_person(name)

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
        """Log that a person judged two records distinct that looked like copies."""
        return self._append([{"kind": Kind.APART, "record_id": one, "other_id": other, "reviewer": reviewer}])[0]

    def tell_studies(self, said: Iterable[tuple[int, int, bool]], *, why: str = "", reviewer: str) -> list[Event]:
        """Log of pairs of records whether a person judged them reports of one study: (one, other, True or False)."""
        return self._append(
            {
                "kind": Kind.SAME_STUDY if same else Kind.OTHER_STUDY,
                "record_id": one,
                "other_id": other,
                "reason": why,
                "reviewer": reviewer,
            }
            for one, other, same in said
        )

    def let_stay(self, record_id: int, kind: str, *, reviewer: str) -> Event:
        """Log that a person kept a record whose removal by a kind of limit was proposed."""
        return self._append([{"kind": Kind.STAYS, "record_id": record_id, "reason": kind, "reviewer": reviewer}])[0]

    def undo(self, seq: int, *, reviewer: str) -> Event:
        """Log that a decision, a tag, a duplicate link, a removal, an answer or an attachment is taken back.

        With the last decision that a reviewer has on a record at a stage, the tags go that the reviewer
        gave it there.

        Raises
        ------
        InputError
            When there is no such event, it cannot be undone, or it is undone already.
        """
        with self._database.write() as connection:
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
            if row.kind not in _CAN_BE_UNDONE:
                raise InputError(
                    f"Event {seq} is not a decision, tag, duplicate link, removal or assignment, so it cannot be undone."
                )
            if (by := connection.execute(select(_events.c.seq).where(_events.c.undoes == seq)).scalar()) is not None:
                raise InputError(f"Event {seq} was undone already, by event {by}.")
            undone = to_event(row)
            live = self._reader.live()
            undo = self._reader.append(connection, [taken_back(undone, reviewer)])[0]
            if undone.kind is Kind.DECISION and not self._reader.without(undone):
                left = live.tagged(undone.stage, undone.reviewer).get(live.kept(undone.about), ())
                self._reader.append(connection, [taken_back(e, reviewer) for e in left])
            return undo

    def take_back(self, batch: int, *, reviewer: str) -> list[Event]:
        """Log that a batch is taken back, and return the showings that were.

        What its reviewer has decided on stays; the other records return to the pool, or, where they are audit
        draws, are the next to be shown (see `log.state.Showings`).

        Parameters
        ----------
        batch : int
            The number of its first event (see `log.batches`).
        reviewer : str
            Who takes it back.

        Raises
        ------
        InputError
            When nothing of such a batch can be taken back.
        """
        with self._database.write() as connection:
            found = next(
                (one for one in batches(self._reader.events(), self._reader.live()) if one.first.seq == batch), None
            )
            if found is None:
                raise InputError(f"Event {batch} begins no batch of which anything can be taken back.")
            self._reader.append(connection, (taken_back(e, reviewer) for e in found.left))
        return list(found.left)

    def take_exclusion_back(self, exclusion: int, *, reviewer: str) -> list[Event]:
        """Log that what was excluded unread at once is taken back, as far as it is in force, and return those decisions.

        Parameters
        ----------
        exclusion : int
            The number of its first event (see `log.exclusions`).
        reviewer : str
            Who takes it back.

        Raises
        ------
        InputError
            When nothing of such an exclusion is in force.
        """
        with self._database.write() as connection:
            made = exclusions(self._reader.events(), self._reader.live())
            left = next((one.left for one in made if one.first.seq == exclusion), ())
            if not left:
                raise InputError(
                    f"Event {exclusion} begins no exclusion of a search's result of which anything is in force."
                )
            self._reader.append(connection, (taken_back(e, reviewer) for e in left))
        return list(left)

    def assign(self, stage: str, given: Sequence[tuple[int, str, Origin]], *, note: str, reviewer: str) -> list[Event]:
        """Log to whom records are assigned at a stage, all in one transaction.

        Parameters
        ----------
        stage : str
        given : sequence of (record id, name, origin)
            The origin with which the record will be shown to that person: `ranked` or `assigned`.
        note : str
            How they were chosen.
        reviewer : str
            Who assigns them.

        Raises
        ------
        InputError
            When a name is a machine's or none, or whoever assigns is known and is no owner.
        """
        for name in dict.fromkeys(name for _, name, _ in given):
            checked_name(name)
            self.check_person(name)
        with self._database.write() as connection:
            self._check_may_assign(connection, reviewer)
            return self._reader.append(
                connection,
                (
                    {
                        "kind": Kind.ASSIGNED,
                        "stage": stage,
                        "record_id": record_id,
                        "reviewer": reviewer,
                        "reason": name,
                        "note": note,
                        "origin": origin,
                    }
                    for record_id, name, origin in given
                ),
            )

    def take_assignments_back(self, stage: str, name: str, *, reviewer: str) -> list[Event]:
        """Log that the records assigned to a person that they have not judged are free again; return the assignments."""
        with self._database.write() as connection:
            self._check_may_assign(connection, reviewer)
            left = self._reader.live().assigned_and_open(name, stage)
            self._reader.append(connection, (taken_back(e, reviewer) for e in left))
        return left

    def _check_may_assign(self, connection: Connection, name: str) -> None:
        role = connection.execute(select(_people.c.role).where(_people.c.name == name)).scalar()
        if role is not None and role != Role.OWNER:
            raise InputError(f"{name} is no owner of this review; an owner assigns records.")

    def stop(self, stage: str, facts: Mapping[str, object], *, reviewer: str, after: int) -> Event | None:
        """Log that a person ends the screening of a stage.

        Parameters
        ----------
        stage : str
        facts : mapping
            On which evidence, fit for JSON (see `stops.Stop`).
        reviewer : str
        after : int
            The newest event that the evidence takes into account.

        Returns
        -------
        Event or None
            None, and nothing is logged, when the log holds an event newer than `after`.
        """
        row = {"kind": Kind.STOP, "stage": stage, "reviewer": reviewer, "note": json.dumps(facts)}
        return next(iter(self._append([row], after)), None)

    def reveal(self, stage: str, *, reviewer: str) -> Event:
        """Log the seeds of a stage's audit permutations, so that anybody can check what was committed.

        From then on the permutations could be read ahead: `Stage.to_commit` has what they have left drawn again.

        Raises
        ------
        InputError
            While nobody has stopped the stage, or when there is nothing to reveal.
        """
        with self._database.write() as connection:
            if stage not in self._reader.live().stops:
                raise InputError(
                    f"Screening of the stage {stage!r} goes on, so its seeds stay secret: anyone who knew them could "
                    "predict the random draws to come. Stop it first (triage stop)."
                )
            query = (
                select(_plans.c.seq, _seeds.c.seed)
                .join(_seeds, _seeds.c.seq == _plans.c.seq)
                .where(_plans.c.stage == stage)
                .order_by(_plans.c.seq)
            )
            found = {str(seq): seed for seq, seed in connection.execute(query)}
            # Older versions wrote the seed into the event itself.
            for seq, note in connection.execute(
                select(_events.c.seq, _events.c.note).where(_events.c.kind == Kind.PLAN, _events.c.stage == stage)
            ):
                if "seed" in (plan := json.loads(note)):
                    found[str(seq)] = str(plan["seed"])
            if not found:
                raise InputError(f"Nothing was drawn at random at the stage {stage!r}, so there is no seed to reveal.")
            row = {"kind": Kind.REVEAL, "stage": stage, "reviewer": reviewer, "note": json.dumps({"seeds": found})}
            return self._reader.append(connection, [row])[0]

    def commit_plan(self, stage: Stage, seed: int, parameters: Mapping[str, object]) -> Event | None:
        """Commit an audit permutation of a stage's records that are in none yet (see `Stage.to_commit`).

        A commitment to the permutation and its seed, and the weights of the evidence, go to the log before the
        first draw from it, and never change: the certificate's validity rests on it. The seed is kept apart, where
        no command prints it before the stage is closed: anyone who knew it could predict the draws to come.

        Parameters
        ----------
        stage : Stage
        seed : int
            Seed of the permutation, drawn at random and long enough that nobody finds it by trying.
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
                "commitment": commitment(seed, permutation),
                **parameters,
            }
        )
        row = {"kind": Kind.PLAN, "stage": stage.name, "note": note}
        return self._commit(stage, row, _plans, {"stratum": stage.committed}, permutation, seed)

    def commit_second_look(
        self, stage: Stage, number: int, order: np.ndarray, seed: int, *, size: int, draws: int, reviewer: str
    ) -> Event | None:
        """Commit which excluded records of a stage are judged again next, and in which order.

        A commitment to the order and its seed goes to the log, and how far along it the second look is to go; the
        seed is kept apart, as an audit's is.

        Parameters
        ----------
        stage : Stage
        number : int
            How many were committed before, at this stage.
        order : ndarray of int, shape (n,)
            Every record that could be sampled, in an order drawn with the seed (see `recall.fresh_order`).
        seed : int
        size : int
            The sample is the first so many.
        draws : int
            So many of the excluded audit draws, from the first of all, are judged again besides.
        reviewer : str
            Who asked for it.

        Returns
        -------
        Event or None
            None when the log has moved on since the stage was read.
        """
        order = order.astype("<i8")
        note = json.dumps(
            {
                "number": number,
                "records": len(order),
                "size": size,
                "draws": draws,
                "commitment": commitment(seed, order),
            }
        )
        row = {"kind": Kind.SECOND_LOOK_PLAN, "stage": stage.name, "note": note, "reviewer": reviewer}
        return self._commit(stage, row, _second_look_plans, {"number": number}, order, seed)

    def _commit(
        self,
        stage: Stage,
        row: Mapping[str, object],
        table: Table,
        place: Mapping[str, int],
        order: np.ndarray,
        seed: int,
    ) -> Event | None:
        """Log that an order was committed, and keep it and, apart from the log, its seed.

        None, and nothing is kept, when the log has moved on since the stage was read: perhaps another session was
        first, and its order holds.
        """
        with self._database.write() as connection:
            if newest_event(connection) > stage.live.last_seq:
                return None
            plan = self._reader.append(connection, [row])[0]
            kept = {"seq": plan.seq, "stage": stage.name, **place, "permutation": order.tobytes()}
            connection.execute(insert(table), [kept])
            connection.execute(insert(_seeds), [{"seq": plan.seq, "seed": str(seed)}])
        return plan

    def _append(self, rows: Iterable[Mapping[str, object]], after: int | None = None) -> list[Event]:
        rows = iter(rows)
        first = list(islice(rows, 1))
        if not first:
            return []
        with self._database.write() as connection:
            if after is not None and newest_event(connection) > after:
                return []
            return self._reader.append(connection, chain(first, rows))


def commitment(seed: int, permutation: np.ndarray) -> str:
    """Return what the log says of a permutation before its seed is known: the SHA-256 of "seed:" and its records.

    Parameters
    ----------
    seed : int
    permutation : ndarray of int, shape (n,)
        Record ids in the order of the draws; they enter as 64-bit little-endian numbers.
    """
    return hashlib.sha256(f"{seed}:".encode() + permutation.astype("<i8").tobytes()).hexdigest()


def _retagged(
    live: CurrentState, stage: str, reviewer: str, wanted: Mapping[int, Sequence[str]]
) -> list[dict[str, object]]:
    """Return the events after which each record has the tags wanted of a reviewer, and no other."""
    before = live.tagged(stage, reviewer)
    rows: list[dict[str, object]] = []
    for record_id, tags in wanted.items():
        has: dict[str, Event] = {}
        for e in before.get(live.kept(record_id), ()):
            if e.reason in tags and e.reason not in has:
                has[e.reason] = e
            else:
                rows.append(taken_back(e, reviewer))
        rows += [
            {"kind": Kind.TAG, "stage": stage, "record_id": record_id, "reviewer": reviewer, "reason": tag}
            for tag in dict.fromkeys(tags)
            if tag not in has
        ]
    return rows
