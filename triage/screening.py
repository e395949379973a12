"""The screening loop: next, decide, undo, retrain. One loop for live reviews and simulations.

`Session` holds the loop and knows neither files nor SQL nor models: it is given a pool of records,
a scorer and a journal. `open_session` builds it over a project, `simulate` over a labelled table.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol as Interface

import numpy as np

from . import metrics
from .decisions import Event, History, Kind, Label, Origin, Ranking
from .errors import InputError
from .project import Project, Stage
from .protocol import Protocol
from .records import Record

Progress = Callable[[int, int], None]
_log = logging.getLogger(__name__)

SKIP_DISTANCE = 20       # a skipped record comes back after so many decisions
_HELD_OUT_GROWTH = 1.2   # held-out scores are made anew when so many times as many labels are there
_HELD_OUT_FOLDS = 3


class Pool:
    """The records of one stage in memory: what was shown, in which order, and judged how.

    Parameters
    ----------
    n : int
        Records, known by their rows 0 to n - 1.
    strata : sequence of ndarray
        The audit permutations: each a stratum's rows in the order of its draws.
    """

    def __init__(self, n: int, strata: Sequence[np.ndarray]) -> None:
        self.n = n
        self.strata = list(strata)
        self.stratum_of = np.zeros(n, np.int64)
        for number, rows in enumerate(self.strata):
            self.stratum_of[rows] = number
        self.shown = np.zeros(n, bool)
        self.y = np.full(n, -1, np.int8)
        self._left = np.array([len(rows) for rows in self.strata] or [0])
        self._cursor = [0] * len(self.strata)
        self._order = np.empty(n, np.int64)
        self._origin = np.empty(n, "<U8")
        self._pool_size = np.empty(n, np.int64)
        self._n_shown = 0

    @classmethod
    def of(cls, stage: Stage) -> Pool:
        """Build the pool of a project's stage as its log has it."""
        pool = cls(len(stage.record_ids), stage.strata)
        history = stage.history()
        for row, y, origin, size in zip(history.rows, history.y, history.origin, history.pool_size, strict=True):
            pool._append(int(row), str(origin), int(size))
            pool.y[row] = y
        return pool

    @property
    def n_shown(self) -> int:
        """Records shown."""
        return self._n_shown

    def left(self, row: int) -> int:
        """Return how many records of the row's stratum have not been shown."""
        return int(self._left[self.stratum_of[row]])

    def show(self, row: int, origin: Origin) -> None:
        """Mark a record as shown."""
        self._append(row, origin, self.left(row))

    def _append(self, row: int, origin: str, size: int) -> None:
        at = self._n_shown
        self._order[at], self._origin[at], self._pool_size[at] = row, origin, size
        self._left[self.stratum_of[row]] -= 1
        self.shown[row] = True
        self._n_shown += 1

    def audit_row(self) -> int:
        """Return the next audit draw: the next record not yet shown in the committed permutation.

        With several strata the one with most records left is drawn from: the choice depends on
        the past alone, so each draw is uniform on what its stratum has left.
        """
        stratum = int(self._left.argmax())
        rows, cursor = self.strata[stratum], self._cursor[stratum]
        while self.shown[rows[cursor]]:
            cursor += 1
        self._cursor[stratum] = cursor
        return int(rows[cursor])

    def labelled(self) -> np.ndarray:
        """Return the judged rows in the order of first showing."""
        order = self._order[: self._n_shown]
        return order[self.y[order] >= 0]

    def outstanding(self) -> list[int]:
        """Return the rows shown and not judged, in the order of first showing."""
        order = self._order[: self._n_shown]
        return order[self.y[order] < 0].tolist()

    def history(self) -> History:
        """Return what the mathematics may see."""
        end = self._n_shown
        order = self._order[:end]
        sizes = np.array([len(rows) for rows in self.strata] or [0])
        return History(
            order.view(), self.y[order], self._origin[:end].view(), self._pool_size[:end].view(),
            self.stratum_of[order], sizes,
        )


@dataclass(frozen=True, slots=True)
class Showing:
    """One record put before the reviewer.

    Attributes
    ----------
    row : int
        Position in the pool.
    origin : Origin
        How it came; a reviewer is never told.
    rank : int or None
        Its place among the records not yet shown; None before there is a ranking.
    """

    row: int
    origin: Origin
    rank: int | None


@dataclass(frozen=True, slots=True)
class Desk:
    """What one reviewer has to do with a pool.

    Attributes
    ----------
    pool : Pool
    mine : list of int
        Rows that were put before this reviewer and await the decision.
    elsewhere : list of int
        Rows that await a decision from a file or from somebody else's screen.
    second : ndarray of bool, shape (n,)
        Records that others have judged and that need this reviewer's decision too.
    """

    pool: Pool
    mine: list[int]
    elsewhere: list[int]
    second: np.ndarray


class Journal(Interface):
    """Where a session's events become durable before they count."""

    def news(self) -> Desk | None:
        """Return the desk anew when somebody else wrote to the log since the last call."""

    def show(self, row: int, origin: Origin, pool_size: int) -> None:
        """Log that a record is put before the reviewer."""

    def decide(self, row: int, label: Label, reason: str, note: str) -> int:
        """Log a decision; return the record's agreed relevance (1 or 0) with it."""

    def undo(self) -> tuple[int, int] | None:
        """Take the reviewer's last decision back; return its row and the relevance left (-1: none)."""

    def mark(self) -> int:
        """Return the number of the newest event."""

    def save(self, scores: np.ndarray, held_out: np.ndarray, as_of: int) -> None:
        """Keep a ranking."""


class Scorer(Interface):
    """Scores every record from the labels of some: what ranks the pool."""

    def __call__(self, rows: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        """Return a score for every record, shape (n,), higher first; None when nothing is known."""


class Session:
    """One reviewer's loop over one pool.

    Parameters
    ----------
    desk : Desk
    scorer : Scorer
    next_origin : callable of History to Origin, optional
        The policy: whether the next record is the best ranked or an audit draw. Without one every
        record is ranked.
    start : ndarray of int, shape (n,), optional
        Order in which records are shown while the scorer knows nothing; file order when left out.
    journal : Journal, optional
        None in a simulation.
    retrain_after : callable of int to int
        From the number of labels at the last training, how many new ones call for the next.
    background : bool
        Train in a thread, so that the next record never waits.
    """

    def __init__(
        self, desk: Desk, scorer: Scorer, *, next_origin: Callable[[History], Origin] | None = None,
        start: np.ndarray | None = None, journal: Journal | None = None,
        retrain_after: Callable[[int], int] = lambda labelled: 1, background: bool = False,
    ) -> None:
        n = desk.pool.n
        self.scores: np.ndarray | None = None
        self.held_out = np.full(n, np.nan, np.float32)
        self._scorer = scorer
        self._next_origin = next_origin
        self._place = np.arange(n)
        if start is not None:
            self._place[start] = np.arange(n)
        self._journal = journal
        self._retrain_after = retrain_after
        self._changed = 0          # labels changed since the last training began
        self._trained_on = 0       # labels that the last training saw
        self._held_out_on = 0
        self._decisions = 0
        self._set_aside: dict[int, int] = {}   # row -> the number of decisions at which it comes back
        self._worker = ThreadPoolExecutor(1, "retrain") if background else None
        self._training: Future | None = None
        self._sit_at(desk)

    def _sit_at(self, desk: Desk) -> None:
        self.pool = desk.pool
        self._mine = [row for row in desk.mine if row not in self._set_aside]
        self._elsewhere = desk.elsewhere
        self._second = desk.second

    # -- the loop -----------------------------------------------------------------------------

    def next(self) -> Showing | None:
        """Put the next record before the reviewer; None when nothing is left to judge.

        A record that was shown and not judged comes first, so that nothing shown is ever dropped.
        """
        if self._journal is not None and (desk := self._journal.news()) is not None:
            self._sit_at(desk)
            self._label_changed()
        self._take_ranking()
        if self._mine:
            return self._again(self._mine[0])
        for row, back in self._set_aside.items():
            if back <= self._decisions:
                return self._again(row)
        if not self.pool.shown.all() or self._second.any():
            return self._show_next()
        for row in (*self._set_aside, *self._elsewhere):
            if self.pool.y[row] < 0:
                return self._again(row)
        return None

    def _again(self, row: int) -> Showing:
        history = self.pool.history()
        origin = history.origin[np.flatnonzero(history.rows == row)[0]]
        return Showing(row, Origin(str(origin)), None)

    def _show_next(self) -> Showing:
        open_rows = ~self.pool.shown | self._second
        origin, row = Origin.RANKED, None
        if self._next_origin is not None and not self.pool.shown.all():
            origin = self._next_origin(self.pool.history())
        if origin is Origin.AUDIT:
            row = self.pool.audit_row()
        elif self.scores is None:
            row = int(np.where(open_rows, self._place, self.pool.n).argmin())
        else:
            row = int(np.where(open_rows, self.scores, -np.inf).argmax())
        rank = None
        if self.scores is not None:
            rank = int((self.scores[open_rows] > self.scores[row]).sum()) + 1
        if self._journal is not None:
            self._journal.show(row, origin, self.pool.left(row))
        if self._second[row]:
            self._second[row] = False
        else:
            self.pool.show(row, origin)
        self._mine.append(row)
        return Showing(row, origin, rank)

    def decide(self, row: int, label: Label, reason: str = "", note: str = "") -> None:
        """Judge a record. The decision is durable when this returns."""
        y = int(label is not Label.EXCLUDE)
        if self._journal is not None:
            y = self._journal.decide(row, label, reason, note)
        if row in self._mine:
            self._mine.remove(row)
        if row in self._elsewhere:
            self._elsewhere.remove(row)
        self._set_aside.pop(row, None)
        self.pool.y[row] = y
        self._decisions += 1
        self._label_changed()

    def skip(self, row: int) -> None:
        """Set a record aside: it comes back after some decisions, and is never dropped."""
        if row in self._mine:
            self._mine.remove(row)
        self._set_aside[row] = self._decisions + SKIP_DISTANCE

    def undo(self) -> int | None:
        """Take the reviewer's last decision back and return its row, shown next; None: there is none."""
        undone = self._journal.undo() if self._journal is not None else None
        if undone is None:
            return None
        row, y = undone
        self.pool.y[row] = y
        self._mine.insert(0, row)
        self._label_changed()
        return row

    # -- training -----------------------------------------------------------------------------

    def _label_changed(self) -> None:
        self._changed += 1
        if self._changed >= self._retrain_after(self._trained_on):
            self.retrain()

    def retrain(self) -> None:
        """Train on the labels so far: at once, or in the background when the session has a thread."""
        if self._worker is None:
            self._finish(self._train(*self._training_set()))
        elif self._training is None:
            self._training = self._worker.submit(self._train, *self._training_set())

    def _training_set(self) -> tuple[np.ndarray, np.ndarray, int]:
        rows = self.pool.labelled()
        self._changed = 0
        self._trained_on = len(rows)
        return rows, self.pool.y[rows].copy(), self._journal.mark() if self._journal is not None else 0

    def _train(self, rows: np.ndarray, y: np.ndarray, seen: int) -> np.ndarray | None:
        scores = self._scorer(rows, y)
        if self._journal is not None and scores is not None:
            if len(y) >= _HELD_OUT_GROWTH * self._held_out_on:
                self.held_out = held_out_scores(self._scorer, self.pool.n, rows, y)
                self._held_out_on = len(y)
            self._journal.save(scores, self.held_out, seen)
        return scores

    def _finish(self, scores: np.ndarray | None) -> None:
        self.scores = scores

    def _take_ranking(self) -> None:
        if self._training is not None and self._training.done():
            training, self._training = self._training, None
            self._finish(training.result())
            if self._changed:
                self.retrain()

    def wait(self) -> None:
        """Wait for a training that is under way."""
        while self._training is not None:
            self._training.result()
            self._take_ranking()

    def close(self) -> None:
        """End the session's thread, after the training that is under way."""
        if self._worker is not None:
            self._worker.shutdown(wait=True, cancel_futures=True)


def held_out_scores(scorer: Scorer, n: int, rows: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Score judged records by models that have not seen their labels (stratified folds).

    Parameters
    ----------
    scorer : Scorer
    n : int
        Records of the pool.
    rows : ndarray of int, shape (n_judged,)
    y : ndarray of int, shape (n_judged,)
        1 relevant, 0 not.

    Returns
    -------
    ndarray of float32, shape (n,)
        NaN where no score could be made: records not judged, and all of them while a class has
        fewer than two labels.
    """
    scores = np.full(n, np.nan, np.float32)
    folds = min(_HELD_OUT_FOLDS, int(y.sum()), int((1 - y).sum()))
    if folds < 2:
        return scores
    # Within each class the k-th label goes to fold k mod folds: no shuffling, so the same labels
    # give the same scores, and early and late decisions spread evenly.
    fold = np.empty(len(y), np.int64)
    for label in (0, 1):
        members = np.flatnonzero(y == label)
        fold[members] = np.arange(len(members)) % folds
    for held in range(folds):
        out = fold == held
        made = scorer(rows[~out], y[~out])
        if made is not None:
            scores[rows[out]] = made[rows[out]]
    return scores
