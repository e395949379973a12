"""The log of a review as one reviewer sees it: what a session writes, and what it is told of others."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime

import numpy as np

from ..errors import InputError
from ..log import Event, Kind, Label, Origin, Stage, awaits_second_look
from ..project import Project, Snapshot
from ..ranking.scores import Ranking
from .pool import Pool
from .session import NOT_KNOWN_OF, Assignment

_AWAY_SECONDS = 1800  # who has written nothing for so long leaves what waits for them to others,
_AWAY_WITH_FILE_SECONDS = 7 * 24 * 3600  # and what they have in a file


def commit_audit(project: Project, stage_name: str | None = None) -> Snapshot:
    """Commit an audit permutation for the stage's records that have none yet; return the review as it is then.

    Called before anything of the stage is shown or decided: the certificate's validity rests on a
    permutation, and on weights of the evidence, that were fixed before the first decision.

    Raises
    ------
    InputError
        When the stage was stopped and its seeds were revealed.
    """
    from .. import recall

    while len((stage := (review := project.snapshot()).stage(stage_name)).to_commit):
        # Later permutations of a stage keep the weights of its first.
        weights = recall.logged_parameters(review.events, stage.name)
        project.log.commit_plan(stage, secrets.randbits(128), weights.parameters())
    if stage.revealed and (stop := review.live.stops.get(stage.name)) is not None:
        raise InputError(
            f"{stop.reviewer} stopped the stage {stage.name!r}, and the seeds of its random draws are public since: whoever "
            "screens on could read the draws to come. Take the stop back first (on the overview, or by triage undo "
            f"--event {stop.seq}); what is left is then drawn anew."
        )
    return review


def log_decisions(
    project: Project,
    stage: Stage,
    decisions: Sequence[Mapping[str, object]],
    *,
    reviewer: str,
    tags: Mapping[int, Sequence[str]] | None = None,
    tags_by: Mapping[str, Mapping[int, Sequence[str]]] | None = None,
) -> list[Event]:
    """Log decisions made elsewhere, and commit an audit permutation of the stage's records that have none, as one.

    In one transaction, which tells that whoever made the decisions cannot have known the permutation
    (see `Stage.history`).

    Parameters
    ----------
    project : Project
    stage : Stage
    decisions, reviewer, tags, tags_by
        See `Log.decide`.
    """
    from .. import recall

    uncommitted = bool(decisions) and len(stage.to_commit) > 0
    review = project.snapshot()
    weights = recall.logged_parameters(review.events, stage.name) if uncommitted else recall.AuditE()
    unread: list[Event] = []
    if stage.consensus.unread and review.protocol.reviewers_per_record == 1:
        by = {stage.live.kept(int(str(d["record_id"]))): d.get("reviewer", reviewer) for d in decisions}
        given = (e for e in stage.live.decisions.values() if e.is_unread and e.stage == stage.name)
        unread = [e for e in given if by.get(stage.live.kept(e.about), e.reviewer) != e.reviewer]
    with project.turn():
        if uncommitted:
            project.log.commit_plan(stage, secrets.randbits(128), weights.parameters())
        return project.log.decide(
            stage.name, decisions, reviewer=reviewer, tags=tags, tags_by=tags_by, in_place_of=unread
        )


class ProjectJournal:
    """One reviewer's log over a project: each call is one transaction, durable when it returns.

    Whoever has a record on their screen, in a file or judged it has taken it. As many take a record as the
    protocol asks for, each the best that they have not taken, so nobody waits for anybody; one more comes in
    only for somebody who is away. A record of the calibration round is for everybody.

    What others write is followed event by event; only what moves records into the stage or out of it, or returns
    them from a batch to the pool, makes it necessary to read the stage anew.
    """

    def __init__(
        self, project: Project, review: Snapshot, stage_name: str, reviewer: str, parameters: Mapping[str, object]
    ) -> None:
        self._project = project
        self._reviewer = reviewer
        self._parameters = dict(parameters)
        protocol = review.protocol
        self._per_record = protocol.reviewers_per_record
        self._calibration = protocol.calibration
        self._earlier = review.earlier(stage_name)
        self._take(review, stage_name)

    def _take(self, review: Snapshot, stage_name: str) -> None:
        self.stage = stage = review.stage(stage_name)
        self._pool = Pool.of(stage, review.history(stage_name))
        self._live = stage.live
        n = self._pool.n
        self._sample = stage.calibration(self._calibration)
        self._for_all = np.zeros(n, bool)
        self._for_all[self._sample] = True
        self._takers: dict[int, dict[str, bool]] = {}  # for each row who took it; True: on a screen
        ids = [record_id for name, record_id in stage.live.shown if name == stage.name]
        self._first = {  # by which it was first shown
            row: stage.live.shown[stage.name, record_id]
            for record_id, row in zip(ids, stage.rows_of(ids).tolist(), strict=True)
            if row >= 0
        }
        returned = stage.rows_of(record_id for name, record_id in stage.live.returned if name == stage.name)
        self._returned = self._pool.in_order(np.isin(np.arange(n), returned)).tolist()
        self._handed_out: set[int] = set()  # events
        # Others who have taken a record or excluded it unread, and these with whom it is assigned to.
        self._taken, self._reserved, self._votes = (np.zeros(n, np.int64) for _ in range(3))
        self._i_took, self._on_my_screen, self._i_judged = (np.zeros(n, bool) for _ in range(3))
        self._known = np.full(n, -1, np.int8)
        if self._per_record > 1 and self._earlier:
            # One include lets a record in here; that it is in would tell of it before this reviewer has decided there.
            seen = review.stage(stage.name, viewer=self._reviewer).record_ids
            self._known[~np.isin(stage.record_ids, seen)] = NOT_KNOWN_OF
        self._i_excluded, self._unread = np.zeros(n, bool), np.zeros(n, bool)  # without having read them
        self._unread_by: dict[int, dict[str, Event]] = {}  # by row, who excluded it unread
        self._assigned_to: dict[int, dict[str, Event]] = {}
        self._judges: set[str] = set()
        self._last_at: dict[str, datetime] = {}
        self._n_records = review.n_records
        self._anew = False
        self._untold = False  # whether others wrote what `news` has not told yet
        events = review.events
        taken_back = {e.undoes for e in events if e.kind is Kind.UNDO}
        for e, row in zip(events, self._rows_of(events), strict=True):
            if e.kind is not Kind.SHOWN or e.seq not in taken_back:
                self._follow(e, row)
        judged = {row for row in (*self._takers, *self._unread_by) if row >= 0}
        for row in judged:
            self._count_votes(row)
        self._assign()
        self._seq = stage.live.last_seq

    def _rows_of(self, events: Sequence[Event]) -> list[int]:
        ids = (0 if e.record_id is None else self._live.kept(e.record_id) for e in events)
        rows: list[int] = self.stage.rows_of(ids).tolist()
        return rows

    def _follow(self, e: Event, row: int) -> None:
        """Note who is at work, and who took a record."""
        if e.reviewer:
            self._last_at[e.reviewer] = e.at
        if row < 0 or e.stage != self.stage.name or e.kind not in (Kind.SHOWN, Kind.DECISION):
            return
        if e.is_unread:
            self._judges.add(e.reviewer)
            self._unread_by.setdefault(row, {})  # filled by `_count_votes`
            return
        self._first.setdefault(row, e)
        takers = self._takers.setdefault(row, {})
        on_screen = e.kind is Kind.DECISION or not e.note
        takers[e.reviewer] = takers.get(e.reviewer, False) or on_screen
        if not on_screen:
            self._handed_out.add(e.seq)
        if row in self._returned:
            self._returned.remove(row)
        self._count_takers(row)
        if e.kind is Kind.DECISION:
            self._judges.add(e.reviewer)
        if e.reviewer == self._reviewer:
            self._i_took[row] = True
            self._known[row] = max(self._known[row], -1)
            self._on_my_screen[row] |= on_screen

    def _judgements(self, row: int) -> list[Event]:
        """Return the decisions on a record (its copies apart, before they were linked, too), in the order of the log."""
        record_id = int(self.stage.record_ids[row])
        found = (
            self._live.decisions.get((self.stage.name, member, who))
            for member in self._live.groups.get(record_id, (record_id,))
            for who in self._judges
        )
        return sorted((e for e in found if e is not None), key=lambda e: e.seq)

    def _voters(self, row: int) -> dict[str, set[Label]]:
        """Return who has read and judged a record, and how."""
        found: dict[str, set[Label]] = {}
        for e in self._judgements(row):
            if e.label is not None and not e.is_unread:
                found.setdefault(e.reviewer, set()).add(e.label)
        return found

    def _count_votes(self, row: int) -> None:
        voters = self._voters(row)
        if row in self._unread_by:
            self._unread_by[row] = {e.reviewer: e for e in self._judgements(row) if e.is_unread}
        unread = self._unread_by.get(row, {})
        # A vote of somebody who has not read the record makes it done only beside one of somebody who has.
        self._votes[row] = len(voters | unread) if voters else 0
        self._i_judged[row], self._i_excluded[row] = self._reviewer in voters, self._reviewer in unread
        self._unread[row] = len(unread) >= self._per_record and not voters
        self._count_takers(row)
        # What others said of a record counts only once it is done and this reviewer has not judged it: else their
        # count would tell them how the others decided.
        known = min(self._known[row], -1)
        if (settled := self._settled(row)) is not None:
            known = int(settled.label is not Label.EXCLUDE)
        elif self._reviewer in voters:
            known = int(voters[self._reviewer] != {Label.EXCLUDE})
        elif self._votes[row] >= self._per_record and not (
            self._for_all[row] or (self._per_record > 1 and self._i_took[row])
        ):
            known = int(set().union(*voters.values()) != {Label.EXCLUDE})
        self._known[row] = known

    def _assign(self) -> None:
        """Take over to whom the records are assigned."""
        given = self._live.assigned_at(self.stage.name)
        rows = self.stage.rows_of(given).tolist()
        before = self._assigned_to
        self._assigned_to = {row: to for row, to in zip(rows, given.values(), strict=True) if row >= 0}
        for row in {*before, *self._assigned_to}:
            self._count_takers(row)

    def _count_takers(self, row: int) -> None:
        others = {*self._takers.get(row, ()), *self._unread_by.get(row, ())} - {self._reviewer}
        self._taken[row] = len(others)
        self._reserved[row] = len({*others, *self._assigned_to.get(row, ())} - {self._reviewer})

    def desk(self) -> Assignment:
        """Return what this reviewer has to do, as the log has it."""
        pool = self._pool
        done = (self._votes >= self._per_record) & ~self._for_all
        own = np.zeros(pool.n, bool)
        own[[row for row, to in self._assigned_to.items() if self._reviewer in to]] = True
        full = (np.where(own, self._taken, self._reserved) >= self._per_record) & ~self._for_all
        left_out = self._i_excluded & ~self._for_all
        second = pool.shown & ~self._i_took & ~left_out & ~done & ~full
        closed = ~pool.shown & (full | left_out)
        waiting = pool.shown & ~self._i_judged & ~done & ~second
        rows = pool.in_order(waiting)
        mine = rows[self._on_my_screen[rows]].tolist()
        elsewhere = rows[~self._on_my_screen[rows]].tolist()
        first = self._sample[~self._i_took[self._sample]].tolist()
        assigned = {
            row: self._assigned_to[row][self._reviewer].origin or Origin.ASSIGNED
            for row in np.flatnonzero(own & ~self._i_took & ~left_out).tolist()
        }
        return Assignment(
            pool,
            mine,
            elsewhere,
            second,
            first,
            self._known,
            list(self._returned),
            closed,
            assigned,
            self._unread,
            self._i_excluded,
        )

    def free(self) -> np.ndarray:
        """Return which records this reviewer has not taken or judged, and could be one of those who judge, shape (n,)."""
        done = (self._votes >= self._per_record) | self._for_all
        rows: np.ndarray = ~self._i_took & ~self._i_excluded & ~done & (self._taken < self._per_record)
        return rows

    def holds(self, row: int) -> bool:
        """Tell whether the reviewer has taken a record."""
        return bool(self._i_took[row])

    def left_behind(self, row: int) -> bool:
        now = datetime.now(UTC)
        judged, takers = self._voters(row), self._takers.get(row, {})
        if set(self._assigned_to.get(row, ())) - takers.keys() - {self._reviewer}:
            return False  # it waits for those to whom it is assigned
        return all(
            who in judged
            or who == self._reviewer
            or (now - self._last_at[who]).total_seconds() > (_AWAY_SECONDS if on_screen else _AWAY_WITH_FILE_SECONDS)
            for who, on_screen in takers.items()
        )

    def news(self) -> Assignment | None:
        desk, untold, self._untold = self._catch_up(), self._untold, False
        if not self._anew:
            return self.desk() if desk is None and untold else desk
        before = self.stage
        review = commit_audit(self._project, before.name)
        fresh = review.stage(before.name)
        if len(fresh.record_ids) != len(before.record_ids) or (fresh.record_ids != before.record_ids).any():
            raise InputError(
                "Records were added to or removed from this stage while you screened; every decision is kept: "
                "start the session again to go on with them."
            )
        self._take(review, before.name)
        return self.desk()

    @contextmanager
    def turn(self) -> Iterator[tuple[bool, Assignment | None]]:
        before = self._seq
        try:
            with self._project.turn():
                desk = self._catch_up()
                yield not self._anew, desk
        except BaseException:
            if self._seq != before:  # what was logged in the turn may be none
                self._anew = True
            raise

    def _catch_up(self) -> Assignment | None:
        """Follow what is new in the log; `_anew` is set when that does not do."""
        review = self._project.snapshot()
        others = review.events_between(since=self._seq)
        self._anew = self._anew or review.n_records != self._n_records
        if self._anew or not others:
            return None
        name = self.stage.name
        here: set[int] = set()
        self._live = review.live
        if any(e.kind in (Kind.ASSIGNED, Kind.UNDO) for e in others):
            self._assign()
        for e, row in zip(others, self._rows_of(others), strict=True):
            moves = e.kind in (Kind.DUPLICATE, Kind.REMOVAL) or (
                e.stage in self._earlier and e.kind not in (Kind.SHOWN, Kind.SUGGESTION, Kind.CHECK)
            )
            taken_back = e.kind is Kind.UNDO and (e.stage != name or e.undoes in self._handed_out)
            if moves or (e.kind is Kind.PLAN and e.stage == name) or taken_back:
                self._anew = True
                return None
            self._follow(e, row)
            if e.stage != name or row < 0:
                continue
            if not self._pool.shown[row] and e.kind in (Kind.SHOWN, Kind.DECISION) and not e.is_unread:
                self._pool.show_as(row, e)
            here.add(row)
        for row in here:
            self._count_votes(row)
            self._pool.y[row] = self._relevance(row)
        self._seq = others[-1].seq
        return self.desk()

    def show(self, row: int, origin: Origin, pool_size: int, ranking_id: int | None) -> bool:
        events = self._project.log.show(
            self.stage.name,
            [int(self.stage.record_ids[row])],
            [origin],
            [pool_size],
            reviewer=self._reviewer,
            ranking_id=ranking_id,
            after=self._seq,
        )
        for event in events:
            self._note(event, row)
        return not events

    def tags(self, row: int) -> list[str]:
        given = self._live.tagged(self.stage.name, self._reviewer).get(int(self.stage.record_ids[row]), ())
        return [e.reason for e in given]

    def decide(self, row: int, label: Label, reason: str, note: str, tags: Sequence[str] | None) -> int:
        record_id = int(self.stage.record_ids[row])
        with nullcontext() if self._i_took[row] else self._taking(row):
            first = self._first.get(row)
            origin = Origin.CHOSEN if first is None or first.origin is None else first.origin
            unread = self._unread_by.get(row, {}).values() if self._per_record == 1 else ()
            decided, *tagged = self._project.log.decide(
                self.stage.name,
                [{"record_id": record_id, "label": label, "reason": reason, "note": note, "origin": origin}],
                reviewer=self._reviewer,
                tags=None if tags is None else {record_id: tags},
                in_place_of=[e for e in unread if e.reviewer != self._reviewer],
            )
        if first is None and decided.seq != self._seq + 1:
            self._anew = True  # its place among what others showed meanwhile, the log says
        for event in (decided, *tagged):
            self._note(event, row)
        self._live = self._project.live()
        self._count_votes(row)
        return self._relevance(row)

    def check(self, row: int, label: Label, reason: str, note: str) -> None:
        record_id = int(self.stage.record_ids[row])
        event = self._project.log.check(
            self.stage.name, record_id, label, reviewer=self._reviewer, reason=reason, note=note
        )
        self._note(event, row)

    @contextmanager
    def _taking(self, row: int) -> Iterator[None]:
        """Keep everybody else from writing while a record is judged that was not put before the reviewer.

        Raises
        ------
        InputError
            When as many as are to judge it have taken it.
        """
        with self._project.turn():
            self._untold |= self._catch_up() is not None
            if not self._has_room(row):
                raise InputError("As many reviewers as the protocol asks for have taken this record.")
            yield

    def _has_room(self, row: int) -> bool:
        """Tell whether one more may judge a record; a second look makes room for a second reviewer."""
        most = max(2, self._per_record) if self._awaits_second_look(row) else self._per_record
        if self._for_all[row] or len(self._takers.get(row, {})) < most:
            return True
        return self._votes[row] < most and self.left_behind(row)

    def _awaits_second_look(self, row: int) -> bool:
        return awaits_second_look(self._judgements(row))

    def may_look_again(self, row: int) -> bool:
        """Tell whether a record awaits a second look that this reviewer can give it."""
        if self._i_judged[row] or not self._awaits_second_look(row):
            return False
        return bool(self._i_took[row]) or self._has_room(row)

    def last(self) -> tuple[Event, int] | None:
        """Return the reviewer's last decision that can be taken back, and its row."""
        mine = [
            e
            for (name, _, who), e in self._live.decisions.items()
            if name == self.stage.name and who == self._reviewer and not e.is_unread
        ]
        rows: list[int] = self.stage.rows_of(self._live.kept(e.about) for e in mine).tolist()
        here = ((e, row) for e, row in zip(mine, rows, strict=True) if row >= 0)
        return max(here, key=lambda one: one[0].seq, default=None)

    def undo(self) -> tuple[int, int] | None:
        if (found := self.last()) is None:
            return None
        last, row = found
        tags = {e.seq for given in self._live.tags.values() for e in given}
        undo = self._project.log.undo(last.seq, reviewer=self._reviewer)
        self._note(undo, row)
        for event in self._project.log.events(since=undo.seq):
            if event.undoes in tags:  # they went with the decision
                self._note(event, row)
        self._live = self._project.live()  # what comes back in its place, the log says
        self._count_votes(row)
        return row, self._relevance(row)

    def _settled(self, row: int) -> Event | None:
        """Return what a conflict was settled by."""
        record_id = int(self.stage.record_ids[row])
        members = self._live.groups.get(record_id, (record_id,))
        settled = [e for i in members if (e := self._live.settled.get((self.stage.name, i))) is not None]
        return max(settled, key=lambda e: e.seq, default=None)

    def _relevance(self, row: int) -> int:
        if (settled := self._settled(row)) is not None:
            return int(settled.label is not Label.EXCLUDE)
        votes = set().union(*self._voters(row).values())
        return -1 if not votes else int(votes != {Label.EXCLUDE})

    def _note(self, event: Event, row: int) -> None:
        if event.seq == self._seq + 1:  # otherwise somebody wrote in between: news() must see it
            self._seq = event.seq
        self._follow(event, row)

    def mark(self) -> int:
        return self._seq

    def save(self, scores: np.ndarray, held_out: np.ndarray, as_of: int) -> int:
        return self._project.rankings.save(
            self.stage.name,
            Ranking(as_of, self._parameters, self.stage.record_ids, scores.astype(np.float32), held_out),
        )


class SecondLookJournal:
    """The journal of a session over the records that await a second look, its rows those of `rows`.

    All of them were shown and judged long ago, so nothing is logged but the decisions.
    """

    save = None  # nothing is ranked

    def __init__(self, journal: ProjectJournal, rows: Sequence[int]) -> None:
        self._journal = journal
        self._rows = list(rows)

    def desk(self) -> Assignment:
        """Return what of the records still awaits this reviewer, in their order."""
        n = len(self._rows)
        pool = Pool(n, [np.arange(n)])
        for row in range(n):
            pool.show(row, Origin.CHOSEN)
        mine = [row for row, of_stage in enumerate(self._rows) if self._journal.may_look_again(of_stage)]
        pool.y[:] = 0
        pool.y[mine] = -1
        return Assignment(pool, mine, [], np.zeros(n, bool))

    def news(self) -> Assignment | None:
        return None if self._journal.news() is None else self.desk()

    def decide(self, row: int, label: Label, reason: str, note: str, tags: Sequence[str] | None) -> int:
        return self._journal.decide(self._rows[row], label, reason, note, tags)

    def tags(self, row: int) -> list[str]:
        return self._journal.tags(self._rows[row])

    def undo(self) -> tuple[int, int] | None:
        last = self._journal.last()
        if last is None or last[1] not in self._rows or self._journal.undo() is None:
            return None
        return self._rows.index(last[1]), -1

    def mark(self) -> int:
        return self._journal.mark()


class BatchJournal:
    """The journal of a session that puts records into a file: what it takes is logged once the file is there."""

    def __init__(self, journal: ProjectJournal) -> None:
        self.taken: list[tuple[int, Origin, int]] = []  # row, origin, pool size
        self.left_behind = journal.left_behind
        self._holds = journal.holds

    def news(self) -> None:
        return None

    def turn(self) -> AbstractContextManager[tuple[bool, None]]:
        return nullcontext((True, None))

    def show(self, row: int, origin: Origin, pool_size: int, ranking_id: int | None) -> None:
        if not self._holds(row):
            self.taken.append((row, origin, pool_size))
