"""A stage of a review as its log has it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .events import Event, Kind, Origin
from .history import History, PastDraws
from .state import Consensus, CurrentState, audited, consensus, entered, fold


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the review as the log has it now.

    Attributes
    ----------
    name : str
    record_ids : ndarray of int, shape (n,)
        The records that entered the stage, ascending; a History's rows are positions in it.
    live : CurrentState
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
    plans : sequence of (Event, record ids)
        The permutations as they were committed, and by which events.
    revealed : int
        The permutations committed before this event can be read by anybody; 0 for none.
    """

    name: str
    record_ids: np.ndarray
    live: CurrentState
    consensus: Consensus
    strata: list[np.ndarray]
    committed: int
    draws: list[tuple[Event, int]]
    plans: Sequence[tuple[Event, np.ndarray]] = ()
    revealed: int = 0

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
    def position(self) -> np.ndarray:
        """The place of each record in its permutation, shape (n,)."""
        place = np.zeros(len(self.record_ids), np.int64)
        for rows in self.strata:
            place[rows] = np.arange(len(rows))
        return place

    @property
    def to_commit(self) -> np.ndarray:
        """The records, ascending, that a new permutation is to hold; none while all are in one.

        With those that are in none go those of the permutations that nobody has drawn from yet: the
        fewer permutations, the more a draw reveals. So does what is left of permutations whose seed was revealed, once
        the stop that allowed it is taken back: anybody can read them ahead.
        """
        public = [
            number
            for number, (plan, _) in enumerate(self.plans)
            if plan.seq < self.revealed and self.name not in self.live.stops
        ]
        unseen = [rows[self._unseen(rows)] for rows in (self.strata[number] for number in public)]
        if self.committed == len(self.strata) and not any(map(len, unseen)):
            return self.record_ids[:0]
        drawn = {number for _, number in self.draws} | set(public)
        fresh = [rows for number, rows in enumerate(self.strata) if number not in drawn]
        waiting: np.ndarray = self.record_ids[np.sort(np.concatenate([*fresh, *unseen]))]
        return waiting

    def _unseen(self, rows: np.ndarray) -> np.ndarray:
        ids = self.record_ids[rows].tolist()
        return np.array([(self.name, i) not in self.live.shown for i in ids], bool)

    def calibration(self, size: int) -> np.ndarray:
        """Return the rows of the random sample, in its order, that every reviewer judges first.

        It is the beginning of the committed audit permutation: as random as that, fixed before anything was
        shown, and each of its records is a draw of the audit, too.
        """
        committed = self.strata[: self.committed]
        return np.concatenate(committed)[:size] if committed else np.empty(0, np.int64)

    @property
    def past_draws(self) -> list[tuple[Event, int]]:
        """The audit draws of records that are no longer in the permutation they were drawn from, in their order."""
        first = [(e.seq, r) for (stage, r), e in self.live.shown.items() if stage == self.name]
        rows = self.rows_of(r for _, r in first).tolist()
        owner = self.stratum_of
        here = {seq: int(owner[row]) for (seq, _), row in zip(first, rows, strict=True) if row >= 0}
        return [(e, number) for e, number in self.draws if here.get(e.seq) != number]

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
        rows, y, origin, pool_size, strata, guarded = [], [], [], [], [], []
        for seq, record_id, e, row in shown:
            stratum = int(owner[row])
            rows.append(row)
            strata.append(stratum)
            judged = relevant(record_id)
            y.append(-1 if judged is None else int(judged))
            if drawn_from.get(seq) == stratum:
                origin.append(Origin.AUDIT)
                pool_size.append(e.pool)
            else:
                # A decision by itself never makes its record a draw or a ranked one, whatever it says: it
                # may have that from a copy that it was linked to then.
                how = e.origin or Origin.CHOSEN
                is_known = e.kind is Kind.SHOWN or how in (Origin.PRIOR, Origin.IMPORTED)
                origin.append(how if is_known and how is not Origin.AUDIT else Origin.CHOSEN)
                pool_size.append(left[stratum])
            # What was logged in one transaction with the permutation was chosen by nobody who knew it.
            plan = self.plans[stratum][0] if stratum < self.committed else None
            is_late = plan is not None and seq > plan.seq and e.at != plan.at
            # Who assigns records to somebody chooses by what a search or the ranking shows, as a ranking does.
            guarded.append(is_late and origin[-1] not in (Origin.AUDIT, Origin.RANKED, Origin.ASSIGNED))
            left[stratum] -= 1
        seqs = [seq for seq, *_ in shown]
        left_behind = self.past_draws
        past = PastDraws.of(
            [
                (bisect_left(seqs, e.seq), relevant(self.live.kept(e.about)) is not False, e.pool, number)
                for e, number in left_behind
            ],
            [self._cursor(e.about, number) for e, number in left_behind],
        )
        history = History.of(rows, y, origin, n_records=sizes, pool_size=pool_size, stratum=strata, past=past)
        return history.guarded(np.array(guarded, bool), self.position)

    def _cursor(self, record_id: int, number: int) -> int:
        """Return how many records that are in a permutation now come before one that has left it."""
        permutation = self.plans[number][1]
        before = permutation[: int(np.flatnonzero(permutation == record_id)[0])]
        return int(np.isin(self.record_ids[self.strata[number]], before).sum())


def stage_of(
    name: str,
    earlier: Sequence[str],
    ids: np.ndarray,
    events: Sequence[Event],
    plans: Sequence[tuple[int, np.ndarray]],
    live: CurrentState | None = None,
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
    live : CurrentState, optional
        The fold of the events, where it is there already.
    """
    live = fold(events) if live is None else live
    wanted = {seq for seq, _ in plans}
    committed_by = {e.seq: e for e in events if e.kind is Kind.PLAN and e.seq in wanted}
    revealed = max((e.seq for e in events if e.kind is Kind.REVEAL and e.stage == name), default=0)
    by_event = [(committed_by[seq], permutation) for seq, permutation in plans]
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
    return Stage(name, ids, live, consensus(live, name), strata, len(plans), draws, by_event, revealed)
