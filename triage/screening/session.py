"""The screening loop: next, decide, undo, retrain. One loop for live reviews and simulations.

`Session` holds the loop and knows neither files nor SQL nor models: it is given a pool of records,
a scorer and a journal. `open_session` builds it over a project, `simulate` over a labelled table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol as Interface

import numpy as np

from ..log import Counts, History, Label, Origin
from ..ranking.held_out import Scorer
from .pool import Pool
from .training import Training

SKIP_DISTANCE = 20  # a skipped record comes back after so many decisions
NOT_KNOWN_OF = -2  # a record of which a reviewer may not know that it is at the stage


@dataclass(frozen=True, slots=True)
class Showing:
    """One record put before the reviewer.

    Attributes
    ----------
    row : int
        Position in the pool.
    origin : Origin
        How it came; never shown to a reviewer.
    rank : int or None
        Its place among the records not yet shown; None before there is a ranking.
    """

    row: int
    origin: Origin
    rank: int | None


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one reviewer has to do with a pool.

    Attributes
    ----------
    pool : Pool
    mine : list of int
        Rows that were put before this reviewer and await the decision.
    elsewhere : list of int
        Rows that await a decision from a file or from somebody else's screen.
    second : ndarray of bool, shape (n,)
        Records that others have on their screens or have judged, and that need this reviewer's decision too.
    first : sequence of int
        Rows of the calibration round that this reviewer is to see before all else, in their order.
    known : ndarray of int8, shape (n,), optional
        What this reviewer may know of each record: 1 relevant, 0 not, -1 nothing yet, -2 not that it is there. It
        changes with the journal; what the pool holds when left out.
    returned : sequence of int
        Rows of audit draws that came back from a batch, in the order of the draws: the next draws are these.
    closed : ndarray of bool, shape (n,), optional
        Records that were not shown, and that the ranking does not put before this reviewer: excluded unread, or assigned
        to others. An audit draw may be any of them.
    assigned : mapping of int to Origin
        Rows assigned to this reviewer, which come before others, and how they come.
    unread : ndarray of bool, shape (n,), optional
        Records that as many as are to judge them have excluded, and that nobody has read.
    own_unread : ndarray of bool, shape (n,), optional
        Records that this reviewer has excluded without having read them.
    """

    pool: Pool
    mine: list[int]
    elsewhere: list[int]
    second: np.ndarray
    first: Sequence[int] = ()
    known: np.ndarray | None = None
    returned: Sequence[int] = ()
    closed: np.ndarray | None = None
    assigned: Mapping[int, Origin] = field(default_factory=dict)
    unread: np.ndarray | None = None
    own_unread: np.ndarray | None = None


class Journal(Interface):
    """Where a session's events become durable before they count."""

    def news(self) -> Assignment | None:
        """Return a new desk when somebody else wrote to the log since the last call."""

    def turn(self) -> AbstractContextManager[tuple[bool, Assignment | None]]:
        """Keep everybody else from writing, so that a record can be chosen and logged.

        Gives whether the log is known to its end, and the desk where that has changed; where it is not known,
        `news` must be asked first.
        """

    def left_behind(self, row: int) -> bool:
        """Tell whether those who are to decide on a record that waits are away."""

    def show(self, row: int, origin: Origin, pool_size: int, ranking_id: int | None) -> bool | None:
        """Log that a record is put before the reviewer, and by which ranking.

        True, and nothing is logged, when somebody else has written since the last `news`: then the
        record was chosen from a pool that has changed.
        """

    def decide(self, row: int, label: Label, reason: str, note: str, tags: Sequence[str] | None) -> int:
        """Log a decision, and the tags unless None; return the record's agreed relevance (1 or 0) with it."""

    def check(self, row: int, label: Label, reason: str, note: str) -> None:
        """Log what the reviewer said of a known relevant record that was shown once more."""

    def tags(self, row: int) -> list[str]:
        """Return the tags that the reviewer has given a record."""

    def undo(self) -> tuple[int, int] | None:
        """Take the reviewer's last decision back; return its row and the relevance left (-1: none)."""

    def mark(self) -> int:
        """Return the number of the newest event."""

    def save(self, scores: np.ndarray, held_out: np.ndarray, as_of: int) -> int:
        """Keep a ranking; return its id."""


class Session:
    """One reviewer's loop over one pool.

    Parameters
    ----------
    desk : Assignment
    scorer : Scorer or Training
        A training may be that of another session beside this one.
    next_origin : callable of History to Origin, optional
        The policy: whether the next record is the best ranked or an audit draw. Without one every
        record is ranked.
    is_proven : callable of History to bool, optional
        Whether the audit has shown what it was to show. Once all that is left was excluded unread, the policy has
        nothing to rank, and records are drawn until it has.
    start : ndarray of int, shape (n,), optional
        Order in which records are shown while the scorer knows nothing; file order when left out.
    journal : Journal, optional
        None in a simulation.
    retrain_after : callable of int to int
        From the number of labels at the last training, how many new ones call for the next.
    check_after : int
        After so many audit draws a record that is known to be relevant is put before the reviewer once more; 0 never.
    background : bool
        Train in a thread, so that the next record never waits.

    Attributes
    ----------
    changes : int
        Decisions made in this session, and taken back.
    """

    def __init__(
        self,
        desk: Assignment,
        scorer: Scorer | Training,
        *,
        next_origin: Callable[[History], Origin] | None = None,
        is_proven: Callable[[History], bool] = lambda history: False,
        start: np.ndarray | None = None,
        journal: Journal | None = None,
        retrain_after: Callable[[int], int] = lambda labelled: 1,
        check_after: int = 0,
        background: bool = False,
    ) -> None:
        n = desk.pool.n
        self.scores: np.ndarray | None = None
        self.ranking_id: int | None = None
        self.trained_on = 0  # labels that the last training saw
        self.training = scorer if isinstance(scorer, Training) else Training(scorer)
        self._next_origin = next_origin
        self._is_proven = is_proven
        self._place = np.arange(n)
        if start is not None:
            self._place[start] = np.arange(n)
        self._journal = journal
        self._retrain_after = retrain_after
        self._changed = 0  # labels changed since the last training began
        self._saw_both = False  # whether it saw relevant and irrelevant ones
        self._decisions = 0
        self.changes = 0
        self._mine: list[int] = []
        self._check_after = check_after
        self._draws = 0  # put before the reviewer since the last check of attention
        self._checked: dict[int, bool] = {}  # rows of checks, and whether each is answered
        self._set_aside: dict[int, int] = {}  # row -> the number of decisions at which it comes back
        self._worker = ThreadPoolExecutor(1, "retrain") if background else None
        self._under_way: Future[None] | None = None
        self._adopt(desk)

    def _adopt(self, desk: Assignment) -> None:
        self.pool = desk.pool
        self._known = desk.pool.y if desk.known is None else desk.known
        self._y_seen = desk.pool.y.copy()
        self._set_aside = {
            row: back for row, back in self._set_aside.items() if desk.pool.y[row] < 0 or desk.second[row]
        }
        awaited = [row for row, answered in self._checked.items() if not answered and row in self._mine]
        self._mine = [row for row in desk.mine if row not in self._set_aside] + awaited
        self._elsewhere = desk.elsewhere
        self._first = [row for row in desk.first if row not in self._set_aside]
        self._returned = [row for row in desk.returned if row not in self._set_aside]
        self._second = desk.second
        self._second[list(self._set_aside)] = False
        nothing = np.zeros(desk.pool.n, bool)
        self._closed = nothing if desk.closed is None else desk.closed
        self._unread = nothing if desk.unread is None else desk.unread
        self._own_unread = nothing if desk.own_unread is None else desk.own_unread
        self._assigned = desk.assigned

    # -- the loop -----------------------------------------------------------------------------

    def next(self) -> Showing | None:
        """Put the next record before the reviewer; None when nothing is left to judge.

        A record that was shown and not judged comes first, so that nothing shown is ever dropped.
        """
        return self._next_but(())

    def ahead(self, count: int) -> list[Showing]:
        """Put the next records before the reviewer, so that one is there as soon as another is judged.

        They are those that so many calls of `next` would give while nothing is decided; fewer when no more are left.
        """
        found: list[Showing] = []
        while (
            len(found) < count
            and (showing := self._next_but([one.row for one in found], looked=bool(found))) is not None
        ):
            found.append(showing)
        return found

    def _next_but(self, but: Collection[int], looked: bool = False) -> Showing | None:
        while True:
            if not looked:
                self._catch_up()
            looked = False
            self._take_ranking()
            if mine := [row for row in self._mine if row not in but]:
                return self._again(mine[0])
            if (row := self._check_due()) is not None:
                self._mine.append(row)
                return self._again(row)
            aside = [row for row in sorted(self._set_aside, key=self._set_aside.__getitem__) if row not in but]
            if aside and self._set_aside[aside[0]] <= self._decisions:
                return self._again(aside[0])
            if not self._open().any() and self._origin() is Origin.RANKED:
                if not self._waiting(but):
                    return next(map(self._again, aside), None)
            if (showing := self._show_next(but)) is not None:
                return showing

    def _check_due(self) -> int | None:
        """Return a known relevant record to be shown once more, where a check of attention is due."""
        if not self._check_after or self._journal is None or self._draws < self._check_after:
            return None
        known = self.pool.in_order((self._known == 1) & self.pool.shown)
        fresh = [row for row in known.tolist() if row not in self._checked]
        if not fresh:
            return None
        # The one found longest ago: least fresh in anybody's memory.
        self._draws, self._checked[fresh[0]] = 0, False
        return int(fresh[0])

    def is_check(self, row: int) -> bool:
        """Tell whether a record awaits the reviewer as a check of attention."""
        return self._checked.get(row) is False and (row in self._mine or row in self._set_aside)

    def _waiting(self, but: Collection[int]) -> list[int]:
        """Return the rows that waited for somebody else for too long, or that the reviewer has in a file."""
        return [
            row
            for row in self._elsewhere
            if row not in self._set_aside
            and row not in but
            and (self._journal is None or self._journal.left_behind(row))
        ]

    def _catch_up(self) -> None:
        if self._journal is not None:
            self._look_up_at(self._journal.news())

    def _look_up_at(self, desk: Assignment | None) -> None:
        if desk is not None:
            before = self._y_seen
            self._adopt(desk)
            if not np.array_equal(before, self._y_seen):
                self._label_changed()

    def _again(self, row: int) -> Showing:
        history = self.pool.history()
        origin = history.origin[np.flatnonzero(history.rows == row)[0]]
        return Showing(row, Origin(str(origin)), None)

    def _show_next(self, but: Collection[int] = ()) -> Showing | None:
        """Choose a record and log it; None when the log has moved on meanwhile."""
        with nullcontext((True, None)) if self._journal is None else self._journal.turn() as (known, desk):
            if not known:
                return None
            self._look_up_at(desk)
            if (chosen := self._choose(but)) is None:
                return None
            row, origin, rank = chosen
            if self._journal is not None and self._journal.show(row, origin, self.pool.left(row), self.ranking_id):
                return None
        if not self.pool.shown[row]:
            self.pool.show(row, origin)
        self._second[row] = False
        self._first = [other for other in self._first if other != row]
        self._returned = [other for other in self._returned if other != row]
        self._elsewhere = [other for other in self._elsewhere if other != row]
        self._mine.append(row)
        self._draws += origin is Origin.AUDIT
        return Showing(row, origin, rank)

    def _choose(self, but: Collection[int]) -> tuple[int, Origin, int | None] | None:
        """Choose the next record: its row, how it comes, and its rank; None when none is open any more."""
        open_rows, origin = self._open(), Origin.RANKED
        if self._first:
            row = self._first[0]
            if not self.pool.shown[row]:
                origin = Origin.AUDIT if row == self.pool.audit_row() else Origin.CHOSEN
            return row, origin, None
        if mine := [row for row in self._assigned if open_rows[row]]:
            row = max(mine, key=lambda row: -self._place[row] if self.scores is None else self.scores[row])
            return row, self._assigned[row], self._rank(row, open_rows)
        origin = self._origin()
        if origin is Origin.RANKED and not open_rows.any():
            waiting = self._waiting(but)
            return (waiting[0], Origin.RANKED, None) if waiting else None
        if origin is Origin.AUDIT:
            row = self._returned[0] if self._returned else self.pool.audit_row()
        elif self.scores is None:
            row = int(np.where(open_rows, self._place, self.pool.n).argmin())
        else:
            row = int(np.where(open_rows, self.scores, -np.inf).argmax())
        return row, origin, self._rank(row, open_rows)

    def _rank(self, row: int, open_rows: np.ndarray) -> int | None:
        return None if self.scores is None else int((self.scores[open_rows] > self.scores[row]).sum()) + 1

    def _open(self) -> np.ndarray:
        """Return which records the ranking may put before this reviewer, shape (n,)."""
        rows: np.ndarray = (~self.pool.shown & ~self._closed) | self._second
        return rows

    def _origin(self) -> Origin:
        """Return how the next record is to come, by the policy."""
        left = ~self.pool.shown
        if self._next_origin is None or not (self._returned or left.any()):
            return Origin.RANKED
        history = self.pool.history()
        origin = self._next_origin(history)
        if left.any() and self._unread[left].all() and not self._second.any():
            # What was excluded unread is not ranked, so that no plateau of the ranking can come: it is drawn.
            return Origin.RANKED if self._is_proven(history) and not self._returned else Origin.AUDIT
        return origin

    def tags(self, row: int) -> list[str]:
        """Return the tags that the reviewer has given a record."""
        return [] if self._journal is None else self._journal.tags(row)

    def decide(
        self, row: int, label: Label, reason: str = "", note: str = "", tags: Sequence[str] | None = None
    ) -> None:
        """Judge a record. The decision is durable when this returns.

        `tags` take the place of those that the reviewer has given it; they stay as they are when None. What is said of a
        record shown as a check of attention is not a decision: it goes to the log, and changes nothing else.
        """
        if self._journal is not None and self.is_check(row):
            self._journal.check(row, label, reason, note)
            self._mine = [other for other in self._mine if other != row]
            self._set_aside.pop(row, None)
            self._checked[row] = True
            return
        y = int(label is not Label.EXCLUDE)
        if self._journal is not None:
            y = self._journal.decide(row, label, reason, note, tags)
        if row in self._mine:
            self._mine.remove(row)
        if row in self._elsewhere:
            self._elsewhere.remove(row)
        self._set_aside.pop(row, None)
        self._second[row] = False
        self._returned = [other for other in self._returned if other != row]
        if not self.pool.shown[row]:  # somebody chose it
            self.pool.show(row, Origin.CHOSEN)
        self.pool.y[row] = self._y_seen[row] = y
        self._decisions += 1
        self.changes += 1
        self._label_changed()

    def skip(self, row: int) -> None:
        """Set a record aside: it comes back after some decisions, and is never dropped."""
        if row in self._mine:
            self._mine.remove(row)
        self._set_aside.pop(row, None)  # to the end of those that come back at the same time
        self._set_aside[row] = self._decisions + SKIP_DISTANCE

    def undo(self) -> int | None:
        """Take the reviewer's last decision back and return its row, shown next; None if there was no decision."""
        self._catch_up()
        undone = self._journal.undo() if self._journal is not None else None
        if undone is None:
            return None
        row, y = undone
        self.pool.y[row] = self._y_seen[row] = y
        self._mine.insert(0, row)
        self.changes += 1
        self._label_changed()
        return row

    def counts(self) -> Counts:
        """Count what is screened and found by now; nothing is read again for it."""
        unread = (self._known == -1) & (self._unread | self._own_unread)
        which = self._known > NOT_KNOWN_OF, self._known >= 0, self._known == 1, unread
        return Counts(*(int(np.count_nonzero(one)) for one in which))

    # -- training -----------------------------------------------------------------------------

    def _label_changed(self) -> None:
        self._changed += 1
        # The first label of the other kind is what turns an order of the criteria into a ranking learned.
        if self._changed >= self._retrain_after(self.trained_on) or (not self._saw_both and self._both_labels()):
            self.retrain()

    def _both_labels(self) -> bool:
        return bool((self.pool.y == 0).any() and (self.pool.y == 1).any())

    def retrain(self) -> None:
        """Train on the labels so far: at once, or in the background when the session has a thread."""
        if self._worker is None:
            self._train(*self._training_set())
            self.scores, self.ranking_id = self.training.newest
        elif self._under_way is None:
            self._under_way = self._worker.submit(self._train, *self._training_set())

    def _training_set(self) -> tuple[np.ndarray, np.ndarray, int]:
        rows = self.pool.labelled()
        self._changed = 0
        self.trained_on = len(rows)
        self._saw_both = self._both_labels()
        return rows, self.pool.y[rows].copy(), self._journal.mark() if self._journal is not None else 0

    def _train(self, rows: np.ndarray, y: np.ndarray, seen: int) -> None:
        self.training.learn(self.pool.n, rows, y, seen, None if self._journal is None else self._journal.save)

    def _take_ranking(self) -> None:
        if self._under_way is not None and self._under_way.done():
            done, self._under_way = self._under_way, None
            done.result()
            if self._changed:
                self.retrain()
        self.scores, self.ranking_id = self.training.newest

    def wait(self) -> None:
        """Wait for a training that is under way."""
        while self._under_way is not None:
            self._under_way.result()
            self._take_ranking()

    def close(self) -> None:
        """End the session's thread, after the training that is under way."""
        if self._worker is not None:
            self._worker.shutdown(wait=True, cancel_futures=True)
