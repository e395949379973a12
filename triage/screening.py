"""The screening loop: next, decide, undo, retrain. One loop for live reviews and simulations.

`Session` holds the loop and knows neither files nor SQL nor models: it is given a pool of records,
a scorer and a journal. `open_session` builds it over a project, `simulate` over a labelled table.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol as Interface

import numpy as np

from .decisions import Counts, Event, History, Kind, Label, Origin, PastDraws, Ranking, awaits_second_look, consensus
from .errors import InputError
from .project import Project, Records, Snapshot, Stage
from .protocol import Protocol, has_word
from .records import Record


SKIP_DISTANCE = 20  # a skipped record comes back after so many decisions
_HELD_OUT_GROWTH = 1.2  # held-out scores are made anew when so many times as many labels are there
_HELD_OUT_FOLDS = 3
_AWAY_SECONDS = 1800  # who has written nothing for so long leaves what waits for them to others,
_AWAY_WITH_FILE_SECONDS = 7 * 24 * 3600  # and what they have in a file
_NOT_KNOWN_OF = -2  # a record of which a reviewer may not know that it is at the stage
_TERMS_TOLD, _KNOWN_TOLD = 20, 5  # what explains a record
# Thai, Lao, Burmese, Khmer, kana, Han: scripts without blanks between words.
_UNSPACED_LETTERS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_SPACED_WORD = re.compile(rf"[^\W{_UNSPACED_LETTERS}]{{3,}}")
_UNSPACED = re.compile(rf"[{_UNSPACED_LETTERS}]{{2}}")
_FEW_WORDS = 12  # criteria of fewer different words are hardly more than a title, and find little


class Pool:
    """The records of one stage in memory: what was shown, in which order, and judged how.

    Parameters
    ----------
    n : int
        Records, known by their rows 0 to n - 1.
    strata : sequence of ndarray
        The audit permutations: each a stratum's rows in the order of its draws.
    past : PastDraws
        Audit draws of records that have left.
    """

    def __init__(self, n: int, strata: Sequence[np.ndarray], past: PastDraws = PastDraws.of()) -> None:
        self.n = n
        self.strata = list(strata)
        self.stratum_of = np.zeros(n, np.int64)
        for number, rows in enumerate(self.strata):
            self.stratum_of[rows] = number
        self.shown = np.zeros(n, bool)
        self.y = np.full(n, -1, np.int8)
        self._past = past
        self._left = np.array([len(rows) for rows in self.strata] or [0])
        self._drawn = np.bincount(past.stratum, minlength=len(self._left))
        self._cursor = [0] * len(self.strata)
        self._order = np.empty(n, np.int64)
        self._origin = np.empty(n, "<U8")
        self._pool_size = np.empty(n, np.int64)
        self._n_shown = 0

    @classmethod
    def of(cls, stage: Stage, history: History | None = None) -> Pool:
        """Build the pool of a review's stage as its log has it; `history` is the stage's, where it is there already."""
        history = stage.history() if history is None else history
        pool = cls(len(stage.record_ids), stage.strata, history.past)
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

    def show_as(self, row: int, event: Event) -> None:
        """Mark a record as shown the way an event of the log says (see `Stage.history`)."""
        origin, size = event.origin or Origin.CHOSEN, self.left(row)
        if origin is Origin.AUDIT and event.kind is Kind.SHOWN:
            size = event.pool_size
        elif origin is Origin.AUDIT or (event.kind is Kind.DECISION and origin is Origin.RANKED):
            origin = Origin.CHOSEN
        self._append(row, origin, size)

    def _append(self, row: int, origin: str, size: int) -> None:
        at = self._n_shown
        self._order[at], self._origin[at], self._pool_size[at] = row, origin, size
        self._left[self.stratum_of[row]] -= 1
        self._drawn[self.stratum_of[row]] += origin == Origin.AUDIT
        self.shown[row] = True
        self._n_shown += 1

    def audit_row(self) -> int:
        """Return the next audit draw: the next record not yet shown in the committed permutation.

        With several strata `recall.next_stratum` chooses, by the past alone, so that each draw is
        uniform on what its stratum has left.
        """
        from . import recall

        stratum = recall.next_stratum(self._left, self._drawn)
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

    def in_order(self, which: np.ndarray) -> np.ndarray:
        """Return the rows of a mask over all records that were shown, in the order of first showing."""
        order = self._order[: self._n_shown]
        return order[which[order]]

    def history(self) -> History:
        """Return what the mathematics may see."""
        end = self._n_shown
        order = self._order[:end]
        sizes = np.array([len(rows) for rows in self.strata] or [0])
        return History(
            order.view(),
            self.y[order],
            self._origin[:end].view(),
            self._pool_size[:end].view(),
            self.stratum_of[order],
            sizes,
            self._past,
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
        Records that others have on their screens or have judged, and that need this reviewer's decision too.
    first : sequence of int
        Rows of the calibration round that this reviewer is to see before all else, in their order.
    known : ndarray of int8, shape (n,), optional
        What this reviewer may know of each record: 1 relevant, 0 not, -1 nothing yet, -2 not that it is there. It
        changes with the journal; what the pool holds when left out.
    returned : sequence of int
        Rows of audit draws that came back from a batch, in the order of the draws: the next draws are these.
    """

    pool: Pool
    mine: list[int]
    elsewhere: list[int]
    second: np.ndarray
    first: Sequence[int] = ()
    known: np.ndarray | None = None
    returned: Sequence[int] = ()


class Journal(Interface):
    """Where a session's events become durable before they count."""

    def news(self) -> Desk | None:
        """Return the desk anew when somebody else wrote to the log since the last call."""

    def turn(self) -> AbstractContextManager[tuple[bool, Desk | None]]:
        """Keep everybody else from writing, so that a record can be chosen and logged.

        Gives whether the log is known to its end, and the desk where that has changed; where it is not known,
        `news` must be asked first.
        """

    def left_behind(self, row: int) -> bool:
        """Tell whether those who are to decide on a record that waits are away."""

    def show(self, row: int, origin: Origin, pool_size: int, ranking_id: int | None) -> bool | None:
        """Log that a record is put before the reviewer, and by which ranking.

        True, and nothing is logged, when somebody else has written since the last `news`: then the
        record was chosen from a pool that is no longer so.
        """

    def decide(self, row: int, label: Label, reason: str, note: str, tags: Sequence[str] | None) -> int:
        """Log a decision, and the tags unless None; return the record's agreed relevance (1 or 0) with it."""

    def tags(self, row: int) -> list[str]:
        """Return the tags that the reviewer has given a record."""

    def undo(self) -> tuple[int, int] | None:
        """Take the reviewer's last decision back; return its row and the relevance left (-1: none)."""

    def mark(self) -> int:
        """Return the number of the newest event."""

    def save(self, scores: np.ndarray, held_out: np.ndarray, as_of: int) -> int:
        """Keep a ranking; return its id."""


class Scorer(Interface):
    """Scores every record from the labels of some: what ranks the pool."""

    def __call__(self, rows: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        """Return a score for every record, shape (n,), higher first; None when nothing is known."""


class Training:
    """Ranks a pool by what it learns from labels; sessions beside each other, of one stage, share one.

    It learns from one set of labels at a time. Whoever asks with labels that are older than those it has
    learned from, or the same, is answered by what it learned from those: of many reviewers' decisions at once
    the last alone costs a training.

    Parameters
    ----------
    scorer : Scorer
    held_out_by : Scorer, optional
        What makes the scores for the estimates; the scorer itself when left out.

    Attributes
    ----------
    newest : tuple of (ndarray or None, int or None)
        The newest ranking: the score of every record, shape (n,), and its id; None before there is one.
    """

    def __init__(self, scorer: Scorer, held_out_by: Scorer | None = None) -> None:
        self.scorer = scorer
        self.newest: tuple[np.ndarray | None, int | None] = None, None
        self._held_out_by = held_out_by or scorer
        self._held_out: np.ndarray | None = None
        self._held_out_on = 0
        self._learned_from: tuple[np.ndarray, np.ndarray, int] | None = None
        self._turn = threading.Lock()

    def learn(self, n: int, rows: np.ndarray, y: np.ndarray, seen: int, save: Callable[..., int] | None = None) -> None:
        """Rank n records by the labels of some, and keep the ranking.

        Parameters
        ----------
        n : int
        rows : ndarray of int, shape (n_judged,)
        y : ndarray of int, shape (n_judged,)
            1 relevant, 0 not.
        seen : int
            The newest event of the log that the labels take into account.
        save : callable, optional
            See `Journal.save`; nothing is kept, and no held-out scores are made, without one.
        """
        with self._turn:
            if self._knows(rows, y, seen):
                return
            scores, ranking_id = self.scorer(rows, y), None
            if save is not None and scores is not None:
                if self._held_out is None or len(y) >= _HELD_OUT_GROWTH * self._held_out_on:
                    self._held_out = held_out_scores(self._held_out_by, n, rows, y)
                    self._held_out_on = len(y)
                ranking_id = save(scores, self._held_out, seen)
            self.newest = scores, ranking_id
            self._learned_from = rows, y, seen

    def _knows(self, rows: np.ndarray, y: np.ndarray, seen: int) -> bool:
        if self._learned_from is None:
            return False
        known_rows, known_y, known = self._learned_from
        # By their number too: a session's own last decision may be newer than the last event that it knows of.
        older = seen < known and len(rows) <= len(known_rows)
        return older or (np.array_equal(rows, known_rows) and np.array_equal(y, known_y))


class Session:
    """One reviewer's loop over one pool.

    Parameters
    ----------
    desk : Desk
    scorer : Scorer or Training
        A training may be that of another session beside this one.
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

    Attributes
    ----------
    changes : int
        Decisions made in this session, and taken back.
    """

    def __init__(
        self,
        desk: Desk,
        scorer: Scorer | Training,
        *,
        next_origin: Callable[[History], Origin] | None = None,
        start: np.ndarray | None = None,
        journal: Journal | None = None,
        retrain_after: Callable[[int], int] = lambda labelled: 1,
        background: bool = False,
    ) -> None:
        n = desk.pool.n
        self.scores: np.ndarray | None = None
        self.ranking_id: int | None = None
        self.trained_on = 0  # labels that the last training saw
        self.training = scorer if isinstance(scorer, Training) else Training(scorer)
        self._next_origin = next_origin
        self._place = np.arange(n)
        if start is not None:
            self._place[start] = np.arange(n)
        self._journal = journal
        self._retrain_after = retrain_after
        self._changed = 0  # labels changed since the last training began
        self._saw_both = False  # whether it saw relevant and irrelevant ones
        self._decisions = 0
        self.changes = 0
        self._set_aside: dict[int, int] = {}  # row -> the number of decisions at which it comes back
        self._worker = ThreadPoolExecutor(1, "retrain") if background else None
        self._under_way: Future | None = None
        self._sit_at(desk)

    def _sit_at(self, desk: Desk) -> None:
        self.pool = desk.pool
        self._known = desk.pool.y if desk.known is None else desk.known
        self._y_seen = desk.pool.y.copy()
        self._set_aside = {
            row: back for row, back in self._set_aside.items() if desk.pool.y[row] < 0 or desk.second[row]
        }
        self._mine = [row for row in desk.mine if row not in self._set_aside]
        self._elsewhere = desk.elsewhere
        self._first = [row for row in desk.first if row not in self._set_aside]
        self._returned = [row for row in desk.returned if row not in self._set_aside]
        self._second = desk.second
        self._second[list(self._set_aside)] = False

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
            aside = [row for row in sorted(self._set_aside, key=self._set_aside.__getitem__) if row not in but]
            if aside and self._set_aside[aside[0]] <= self._decisions:
                return self._again(aside[0])
            if self.pool.shown.all() and not self._second.any():
                if not self._waiting(but):
                    return next(map(self._again, aside), None)
            if (showing := self._show_next(but)) is not None:
                return showing

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

    def _look_up_at(self, desk: Desk | None) -> None:
        if desk is not None:
            before = self._y_seen
            self._sit_at(desk)
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
        return Showing(row, origin, rank)

    def _choose(self, but: Collection[int]) -> tuple[int, Origin, int | None] | None:
        """Choose the next record: its row, how it comes, and its rank; None when none is open any more."""
        open_rows = ~self.pool.shown | self._second
        if not open_rows.any():
            waiting = self._waiting(but)
            return (waiting[0], Origin.RANKED, None) if waiting else None
        origin = Origin.RANKED
        if self._first:
            row = self._first[0]
            if not self.pool.shown[row]:
                origin = Origin.AUDIT if row == self.pool.audit_row() else Origin.CHOSEN
            return row, origin, None
        if self._next_origin is not None and (self._returned or not self.pool.shown.all()):
            origin = self._next_origin(self.pool.history())
        if origin is Origin.AUDIT:
            row = self._returned[0] if self._returned else self.pool.audit_row()
        elif self.scores is None:
            row = int(np.where(open_rows, self._place, self.pool.n).argmin())
        else:
            row = int(np.where(open_rows, self.scores, -np.inf).argmax())
        rank = None if self.scores is None else int((self.scores[open_rows] > self.scores[row]).sum()) + 1
        return row, origin, rank

    def tags(self, row: int) -> list[str]:
        """Return the tags that the reviewer has given a record."""
        return [] if self._journal is None else self._journal.tags(row)

    def decide(
        self, row: int, label: Label, reason: str = "", note: str = "", tags: Sequence[str] | None = None
    ) -> None:
        """Judge a record. The decision is durable when this returns.

        `tags` take the place of those that the reviewer has given it; they stay as they are when None.
        """
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
        """Take the reviewer's last decision back and return its row, shown next; None: there is none."""
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
        which = self._known > _NOT_KNOWN_OF, self._known >= 0, self._known == 1
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


# -- over a project ---------------------------------------------------------------------------


class ReviewModel:
    """The ranking model over one set of records: its views are made once, its labels vary.

    Parameters
    ----------
    texts : features.Texts
    preset : str
        A preset's name, or a model's folder, or both as NAME:FOLDER.
    criteria : ranking.Criteria or None
    device : str
    cache_dir : Path or None
        Where vectors and views are kept.
    final : ndarray of int8, shape (n,), optional
        Labels that take the place of those learned from; -1 where there is none.
    progress : callable or None
        Called as progress(description), gives a context manager of a callback (done, total).
    """

    def __init__(
        self,
        texts,
        preset: str,
        criteria,
        *,
        device: str = "auto",
        cache_dir: Path | None = None,
        progress=None,
        final: np.ndarray | None = None,
    ) -> None:
        from . import features, ranking

        self._final = final
        self.preset = ranking.load_preset(preset)
        criteria = criteria or ranking.Criteria()
        self._queries = asdict(criteria)
        self._fingerprint = texts.fingerprint
        self.views = features.build_views(
            texts,
            self.preset.views,
            encoder=self.preset.encoder,
            include=criteria.include,
            exclude=criteria.exclude,
            question=criteria.question,
            device=self.preset.device if device == "auto" else device,
            cache_dir=cache_dir,
            progress=progress,
        )
        self._learner = ranking.Learner(self.preset, self.views)

    @property
    def parameters(self) -> dict:
        """The preset's name and full parameters."""
        return _parameters(self.preset, self._queries, "stage" if self._final is None else "final")

    def __call__(self, rows: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        return self._learner(rows, _taught(self._final, rows, y))

    def explain(self, rows: np.ndarray, y: np.ndarray, row: int):
        """Take the score of one record apart (see `ranking.Learner.explain`); the model stays where it was."""
        from . import ranking

        return ranking.Learner(self.preset, self.views).explain(rows, _taught(self._final, rows, y), row)

    def anew(self) -> Scorer:
        """Return a scorer that has learned nothing, over the same views.

        What is asked of it leaves the model where it was: held-out scores, or another replay.
        """
        from . import ranking

        learner = ranking.Learner(self.preset, self.views)
        return lambda rows, y: learner(rows, _taught(self._final, rows, y))

    def is_of(self, fingerprint: str, criteria, preset) -> bool:
        """Tell whether this is the model of a preset over texts with this fingerprint, and of these criteria."""
        mine = self._fingerprint, self._queries, self.preset.parameters()
        return mine == (fingerprint, asdict(criteria), preset.parameters())

    def learns_from(self, final: np.ndarray | None) -> bool:
        """Tell whether these labels take the place of those learned from."""
        return (final is None) == (self._final is None) and (final is None or np.array_equal(final, self._final))

    def over_its_views(self, final: np.ndarray | None) -> ReviewModel:
        """Return a model that has learned nothing and shares the views, which are most of what one takes."""
        from . import ranking

        other = copy.copy(self)
        other._final = final
        other._learner = ranking.Learner(self.preset, self.views)
        return other


def _taught(final: np.ndarray | None, rows: np.ndarray, y: np.ndarray) -> np.ndarray:
    return y if final is None else np.where(final[rows] >= 0, final[rows], y)


def _parameters(preset, queries: Mapping[str, object], learn_from: str) -> dict:
    return {**preset.parameters(), "queries": queries, "learn_from": learn_from}


def criteria_of(protocol: Protocol):
    """Return what the ranking reads of a protocol: question, inclusion and exclusion criteria."""
    from . import ranking

    # A text without a word is as near to one record as to any other, and would only seem to rank them.
    return ranking.Criteria(
        protocol.question if has_word(protocol.question) else "",
        tuple(c.text for c in protocol.include if has_word(c.text)),
        tuple(c.text for c in protocol.exclude if has_word(c.text)),
    )


def nothing_to_rank_by(review: Snapshot, stage_name: str | None = None, *, viewer: str | None = None) -> str:
    """Say that the protocol gives the ranking of a stage nothing to go by, and what to do; "" where it does.

    To a `viewer` who is to stay blind it is said by what they may know (see `Snapshot.stage`).
    """
    if review.protocol.queries:
        return ""
    stage, history = review.stage(stage_name, viewer=viewer), review.history(stage_name, viewer=viewer)
    learns = _has_both(_taught_labels(review.protocol, stage, history))
    return review.protocol.nothing_to_rank_by(review.protocol_file, learns)


def _taught_labels(protocol: Protocol, stage: Stage, history: History) -> np.ndarray:
    """Return the labels that the ranking of a stage learns from."""
    return _taught(_final_labels(protocol, stage), *_labels(history))


def _has_both(y: np.ndarray) -> bool:
    """Tell whether there are relevant and irrelevant labels, so that the ranking learns from them."""
    return bool(0 < y.sum() < len(y))


def commit_audit(project: Project, stage_name: str | None = None) -> Snapshot:
    """Commit an audit permutation for the stage's records that have none yet; return the review as it is then.

    Called before anything of the stage is shown or decided: the certificate's validity rests on a
    permutation, and on weights of the evidence, that were fixed before the first decision.
    """
    from . import recall

    while len((stage := (review := project.snapshot()).stage(stage_name)).to_commit):
        # Later permutations of a stage keep the weights of its first.
        plans = (e for e in review.events if e.kind is Kind.PLAN and e.stage == stage.name)
        first = next(plans, None)
        weights = recall.AuditE() if first is None else recall.AuditE.logged(json.loads(first.note))
        project.log.commit_plan(stage, secrets.randbits(63), weights.parameters())
    return review


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
        from . import recall

        self.stage = stage = review.stage(stage_name)
        self._pool = Pool.of(stage, review.history(stage_name))
        self._live = stage.live
        n = self._pool.n
        self._sample = stage.calibration(self._calibration)
        self._for_all = np.zeros(n, bool)
        self._for_all[self._sample] = True
        self._to_judge_again = np.zeros(n, bool)
        self._to_judge_again[stage.to_judge_again(recall.SAMPLE_SHARE)] = True
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
        self._taken, self._votes = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._i_took, self._on_my_screen, self._i_judged = (np.zeros(n, bool) for _ in range(3))
        self._known = np.full(n, -1, np.int8)
        if self._per_record > 1 and self._earlier:
            # One include lets a record in here; that it is in would tell of it before this reviewer has decided there.
            seen = review.stage(stage.name, viewer=self._reviewer).record_ids
            self._known[~np.isin(stage.record_ids, seen)] = _NOT_KNOWN_OF
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
        judged = {row for row in self._takers if row >= 0}
        for row in judged:
            self._count_votes(row)
        self._seq = stage.live.last_seq

    def _rows_of(self, events: Sequence[Event]) -> list[int]:
        return self.stage.rows_of(0 if e.record_id is None else self._live.kept(e.record_id) for e in events).tolist()

    def _follow(self, e: Event, row: int) -> None:
        """Note who is at work, and who took a record."""
        if e.reviewer:
            self._last_at[e.reviewer] = e.at
        if row < 0 or e.stage != self.stage.name or e.kind not in (Kind.SHOWN, Kind.DECISION):
            return
        self._first.setdefault(row, e)
        takers = self._takers.setdefault(row, {})
        on_screen = e.kind is Kind.DECISION or not e.note
        takers[e.reviewer] = takers.get(e.reviewer, False) or on_screen
        self._taken[row] = len(takers)
        if not on_screen:
            self._handed_out.add(e.seq)
        if row in self._returned:
            self._returned.remove(row)
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
        """Return who has judged a record, and how."""
        found: dict[str, set[Label]] = {}
        for e in self._judgements(row):
            found.setdefault(e.reviewer, set()).add(e.label)
        return found

    def _count_votes(self, row: int) -> None:
        voters = self._voters(row)
        self._votes[row] = len(voters)
        self._i_judged[row] = self._reviewer in voters
        # What others said of a record counts only once it is done and this reviewer has not judged it: else their
        # count would tell them how the others decided.
        known = min(self._known[row], -1)
        if (settled := self._settled(row)) is not None:
            known = int(settled.label is not Label.EXCLUDE)
        elif self._reviewer in voters:
            known = int(voters[self._reviewer] != {Label.EXCLUDE})
        elif len(voters) >= self._per_record and not (
            self._for_all[row] or (self._per_record > 1 and self._i_took[row])
        ):
            known = int(set().union(*voters.values()) != {Label.EXCLUDE})
        self._known[row] = known

    def desk(self) -> Desk:
        """Return what this reviewer has to do, as the log has it."""
        pool = self._pool
        done = (self._votes >= self._per_record) & ~self._for_all
        full = (self._taken >= self._per_record) & ~self._for_all
        second = pool.shown & ~self._i_took & ~done & ~full
        waiting = pool.shown & ~self._i_judged & ~done & ~second
        rows = pool.in_order(waiting)
        mine = rows[self._on_my_screen[rows]].tolist()
        elsewhere = rows[~self._on_my_screen[rows]].tolist()
        first = self._sample[~self._i_took[self._sample]].tolist()
        return Desk(pool, mine, elsewhere, second, first, self._known, list(self._returned))

    def holds(self, row: int) -> bool:
        """Tell whether the reviewer has taken a record."""
        return bool(self._i_took[row])

    def left_behind(self, row: int) -> bool:
        now = datetime.now(UTC)
        judged = self._voters(row)
        return all(
            who in judged
            or who == self._reviewer
            or (now - self._last_at[who]).total_seconds() > (_AWAY_SECONDS if on_screen else _AWAY_WITH_FILE_SECONDS)
            for who, on_screen in self._takers.get(row, {}).items()
        )

    def news(self) -> Desk | None:
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
    def turn(self) -> Iterator[tuple[bool, Desk | None]]:
        before = self._seq
        try:
            with self._project.turn():
                desk = self._catch_up()
                yield not self._anew, desk
        except BaseException:
            if self._seq != before:  # what was logged in the turn may be none
                self._anew = True
            raise

    def _catch_up(self) -> Desk | None:
        """Follow what is new in the log; `_anew` is set when that does not do."""
        review = self._project.snapshot()
        others = review.events_between(since=self._seq)
        self._anew = self._anew or review.n_records != self._n_records
        if self._anew or not others:
            return None
        name = self.stage.name
        here: set[int] = set()
        self._live = review.live
        for e, row in zip(others, self._rows_of(others), strict=True):
            moves = e.kind in (Kind.DUPLICATE, Kind.REMOVAL) or (e.stage in self._earlier and e.kind is not Kind.SHOWN)
            taken_back = e.kind is Kind.UNDO and (e.stage != name or e.undoes in self._handed_out)
            if moves or (e.kind is Kind.PLAN and e.stage == name) or taken_back:
                self._anew = True
                return None
            self._follow(e, row)
            if e.stage != name or row < 0:
                continue
            if not self._pool.shown[row] and e.kind in (Kind.SHOWN, Kind.DECISION):
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
            decided, *tagged = self._project.log.decide(
                self.stage.name,
                [{"record_id": record_id, "label": label, "reason": reason, "note": note, "origin": origin}],
                reviewer=self._reviewer,
                tags=None if tags is None else {record_id: tags},
            )
        if first is None and decided.seq != self._seq + 1:
            self._anew = True  # its place among what others showed meanwhile, the log says
        for event in (decided, *tagged):
            self._note(event, row)
        self._live = self._project.live()
        self._count_votes(row)
        return self._relevance(row)

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
        return bool(self._to_judge_again[row]) and awaits_second_look(self._judgements(row))

    def may_look_again(self, row: int) -> bool:
        """Tell whether a record awaits a second look that this reviewer can give it."""
        if self._i_judged[row] or not self._awaits_second_look(row):
            return False
        return bool(self._i_took[row]) or self._has_room(row)

    def last(self) -> tuple[Event, int] | None:
        """Return the reviewer's last decision that can be taken back, and its row."""
        mine = [
            e for (name, _, who), e in self._live.decisions.items() if name == self.stage.name and who == self._reviewer
        ]
        rows = self.stage.rows_of(self._live.kept(e.record_id) for e in mine).tolist()
        last, row = max(zip(mine, rows, strict=True), key=lambda one: (one[1] >= 0, one[0].seq), default=(None, -1))
        return None if row < 0 else (last, row)

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


class _SecondLookJournal:
    """The journal of a session over the records that await a second look, its rows those of `rows`.

    All of them were shown and judged long ago, so nothing is logged but the decisions.
    """

    save = None  # nothing is ranked

    def __init__(self, journal: ProjectJournal, rows: Sequence[int]) -> None:
        self._journal = journal
        self._rows = list(rows)

    def desk(self) -> Desk:
        """Return what of the records still awaits this reviewer, in their order."""
        n = len(self._rows)
        pool = Pool(n, [np.arange(n)])
        for row in range(n):
            pool.show(row, Origin.CHOSEN)
        mine = [row for row, of_stage in enumerate(self._rows) if self._journal.may_look_again(of_stage)]
        pool.y[:] = 0
        pool.y[mine] = -1
        return Desk(pool, mine, [], np.zeros(n, bool))

    def news(self) -> Desk | None:
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


class StageRecords(Sequence):
    """A stage's records by row, as a reviewer sees them, each read when it is asked for.

    Parameters
    ----------
    records : Records
    stage : Stage
    rows : sequence of int, optional
        Some of the stage's rows, to be counted anew in this order.
    """

    def __init__(self, records: Records, stage: Stage, rows: Sequence[int] | None = None) -> None:
        self._records = records
        self.stage = stage
        self._rows = range(len(stage.record_ids)) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> Record:
        return self._records.shown(self.stage, [self._rows[row]])[0]


def _fingerprint(records: Records, stage: Stage) -> str:
    """Return what differs whenever a text of the stage does, those of the copies that fill gaps among them."""
    ids, copies = stage.record_ids, stage.live.copies_of(stage.record_ids)
    digest = hashlib.blake2b(records.text_hashes(ids), digest_size=16)
    if copies:
        pairs = np.array([(kept, copy) for kept in sorted(copies) for copy in copies[kept]])
        digest.update(np.searchsorted(ids, pairs[:, 0]))
        digest.update(records.text_hashes(np.unique(pairs[:, 1])))
    return digest.hexdigest()


def _model_of(
    review: Snapshot, stage: Stage, preset: str | None, device: str, cache_dir: Path, progress
) -> ReviewModel:
    from . import features

    protocol, records = review.protocol, review.records
    texts = features.Texts(len(stage.record_ids), lambda: records.iter_texts(stage), _fingerprint(records, stage))
    return ReviewModel(
        texts,
        preset or protocol.model,
        criteria_of(protocol),
        device=device,
        cache_dir=cache_dir,
        progress=progress,
        final=_final_labels(protocol, stage),
    )


def _training_of(
    review: Snapshot, stage: Stage, preset: str | None, device: str, cache_dir: Path, progress, beside: Session | None
) -> tuple[Training, ReviewModel]:
    """Return what ranks a stage, and its model: those of a session beside it, as far as they are right here, too."""
    model, final = None, _final_labels(review.protocol, stage)
    if beside is not None and isinstance(beside.training.scorer, ReviewModel):
        from . import ranking

        protocol, there = review.protocol, beside.training.scorer
        wanted = ranking.load_preset(preset or protocol.model)
        if there.is_of(_fingerprint(review.records, stage), criteria_of(protocol), wanted):
            if there.learns_from(final):
                return beside.training, there
            model = there.over_its_views(final)
    model = model or _model_of(review, stage, preset, device, cache_dir, progress)
    return Training(model, model.anew()), model


def _final_labels(protocol: Protocol, stage: Stage) -> np.ndarray | None:
    """Return what later stages say of each record, shape (n,): 1 included to the end, 0 excluded, -1 not yet known.

    None where the protocol does not want the ranking to learn from them.
    """
    if protocol.learn_from == "stage":
        return None
    names = [s.name for s in protocol.stages]
    later = names[names.index(stage.name) + 1 :]
    final = np.full(len(stage.record_ids), -1, np.int8)
    for name in later:
        agreed = consensus(stage.live, name)
        for record_id, label in agreed.labels.items():
            row = int(np.searchsorted(stage.record_ids, record_id))
            is_final = label is Label.EXCLUDE or name == later[-1]
            if is_final and row < len(final) and stage.record_ids[row] == record_id:
                final[row] = label is not Label.EXCLUDE
    return final


def _no_records(review: Snapshot, stage: Stage) -> InputError:
    """Return the error that a stage has no records, with what to do about it."""
    before = review.earlier(stage.name)
    if not review.n_records:
        why = "import some first"
    elif before and len(review.stage(before[0]).record_ids):
        why = f"none has passed the stage {before[-1]!r}"
    else:
        why = "every record imported is linked to another or was removed; `triage undo --event` takes that back"
    return InputError(f"The stage {stage.name!r} of {review.path} holds no records yet: {why}.")


@contextmanager
def open_session(
    project: Project,
    *,
    reviewer: str,
    stage_name: str | None = None,
    preset: str | None = None,
    device: str = "auto",
    progress=None,
    background: bool = True,
    retrain_after: Callable[[int], int] = lambda _: 1,
    beside: Session | None = None,
) -> Iterator[tuple[Session, Sequence[Record]]]:
    """Open a screening session; give it and the stage's records by row.

    The audit permutation is committed, and the first ranking made, before anything is shown.

    Parameters
    ----------
    project : Project
    reviewer : str
    stage_name, preset, device : str, optional
        The first stage, the protocol's preset and the fastest device when left out.
    progress : callable, optional
        See `ReviewModel`.
    background, retrain_after
        See `Session`.
    beside : Session, optional
        Another reviewer's, of the same review and stage, opened with the same preset: while nothing that the views
        are made of has changed since, they are shared, and both learn as one.

    Raises
    ------
    InputError
        When the stage has no records, or a name is wrong.
    """
    review = commit_audit(project, stage_name)
    stage = review.stage(stage_name)
    if not len(stage.record_ids):
        raise _no_records(review, stage)
    training, model = _training_of(review, stage, preset, device, project.cache_dir, progress, beside)
    journal = ProjectJournal(project, review, stage.name, reviewer, model.parameters)
    session = Session(
        journal.desk(),
        training,
        next_origin=_policy(review),
        journal=journal,
        background=background,
        retrain_after=retrain_after,
    )
    try:
        session.retrain()
        if training.newest[0] is None:  # else there is a ranking to begin with, that of the session beside this one
            session.wait()
        yield session, StageRecords(review.records, stage)
    finally:
        session.close()


@contextmanager
def open_second_look(
    project: Project, record_ids: Sequence[int], *, reviewer: str, stage_name: str | None = None
) -> Iterator[tuple[Session, Sequence[Record]]]:
    """Open a session over the records that await a second look; give it and the records by row.

    They come in their order: nothing is ranked, and none is drawn for the audit.

    Parameters
    ----------
    project : Project
    record_ids : sequence of int
        See `status.second_look`.
    reviewer : str
    stage_name : str, optional
        The first stage when left out.
    """
    review = project.snapshot()
    stage = review.stage(stage_name)
    rows = [row for row in stage.rows_of(record_ids).tolist() if row >= 0]
    journal = _SecondLookJournal(ProjectJournal(project, review, stage.name, reviewer, {}), rows)
    yield Session(journal.desk(), lambda rows, y: None, journal=journal), StageRecords(review.records, stage, rows)


def _policy(review: Snapshot) -> Callable[[History], Origin] | None:
    from . import recall

    stopping = review.protocol.stopping
    policy = recall.policy_of(stopping.rule, stopping.target, stopping.confidence, audit_size=stopping.audit_size)
    return None if policy is None else policy.next_origin


def hand_out(
    project: Project,
    count: int,
    *,
    file: str | Path,
    reviewer: str,
    write: Callable[[list[int]], object] | None = None,
    stage_name: str | None = None,
    preset: str | None = None,
    device: str = "auto",
    progress=None,
) -> list[int]:
    """Hand out a reviewer's next batch to be screened outside, audit draws among it; return its ids.

    It holds what a session would put before the reviewer one after the other: where two are to judge each
    record, those come in that one other has taken, and none that is others' already.

    The file is there before the log says that it was handed out: were it the other way round, a full disk
    would leave records that wait for an answer from nobody.

    Parameters
    ----------
    project : Project
    count : int
    file : path
        The file of the batch, whose name the log tells.
    reviewer : str
    write : callable, optional
        Writes the file: the records of these ids in the order in which they are to be screened. Those that the
        reviewer has already and has not judged come only when no others are left.
    stage_name, preset, device, progress : optional
        See `open_session`.

    Raises
    ------
    InputError
        When no record of the stage is left for the reviewer to judge.
    """
    while True:
        ranked = _ranked(project, stage_name, preset, device, progress)
        stage, ranking = ranked.stage, ranked.ranking
        committed = commit_audit(project, stage.name)
        if not np.array_equal(committed.stage(stage.name).record_ids, stage.record_ids):
            continue
        journal = ProjectJournal(project, committed, stage.name, reviewer, {})
        desk, batch = journal.desk(), _Batch(journal)
        has, training = desk.mine, Training(lambda rows, y: None)
        training.newest = ranking.scores, ranking.id
        session = Session(
            replace(desk, mine=[], elsewhere=[*has, *desk.elsewhere]),
            training,
            next_origin=_policy(committed),
            journal=batch,
        )
        ids = stage.record_ids[[showing.row for showing in session.ahead(count)]].tolist()
        if not ids:
            raise InputError(
                f"Every record of the stage {stage.name!r} is judged; there is no next batch."
                if (desk.pool.y >= 0).all()
                else f"No record of the stage {stage.name!r} is left for {reviewer}; others have those that are not judged."
            )
        if write is not None:
            write(ids)
        logged = False
        try:
            logged = not batch.taken or project.log.show(
                stage.name,
                stage.record_ids[[row for row, *_ in batch.taken]].tolist(),
                [origin for _, origin, _ in batch.taken],
                [size for *_, size in batch.taken],
                reviewer=reviewer,
                ranking_id=ranking.id,
                file=Path(file).name,
                after=committed.live.last_seq,
            )
        finally:
            if write is not None and not logged:  # or somebody wrote meanwhile, and the batch is chosen anew
                Path(file).unlink(missing_ok=True)
        if logged:
            return ids


class _Batch:
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


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A stage and its ranking; the model that made it, where it was made just now."""

    review: Snapshot
    stage: Stage
    ranking: Ranking
    model: ReviewModel | None = None


def _ranked(project: Project, stage_name: str | None, preset: str | None, device: str, progress) -> _Ranked:
    """Rank a stage: by its saved ranking, or anew when that is stale."""
    from . import ranking as models

    review = project.snapshot()
    stage, protocol = review.stage(stage_name), review.protocol
    if not len(stage.record_ids):
        raise _no_records(review, stage)
    saved = review.rankings.newest(stage.name)
    wanted = _parameters(
        models.load_preset(preset or protocol.model), asdict(criteria_of(protocol)), protocol.learn_from
    )
    newest = max(
        (e.seq for e in review.events if e.kind not in (Kind.SHOWN, Kind.PLAN, Kind.TAG, Kind.ATTACHED)), default=0
    )
    if (
        saved is not None
        and saved.as_of >= newest
        and saved.model == json.loads(json.dumps(wanted))
        and np.array_equal(saved.record_ids, stage.record_ids)
    ):
        return _Ranked(review, stage, saved)
    model = _model_of(review, stage, preset, device, project.cache_dir, progress)
    rows, y = _labels(review.history(stage.name))
    scores = model(rows, y)
    if scores is None:
        scores = -np.arange(len(stage.record_ids), dtype=np.float32)
    fresh = Ranking(
        stage.live.last_seq,
        model.parameters,
        stage.record_ids,
        scores.astype(np.float32),
        held_out_scores(model.anew(), len(scores), rows, y),
    )
    return _Ranked(review, stage, replace(fresh, id=project.rankings.save(stage.name, fresh)), model)


def _labels(history: History) -> tuple[np.ndarray, np.ndarray]:
    return history.rows[history.judged], history.y[history.judged]


def rank(
    project: Project,
    *,
    top: int,
    stage_name: str | None = None,
    preset: str | None = None,
    device: str = "auto",
    progress=None,
) -> dict[str, object]:
    """Rank the unscreened records; return what `triage rank --json` prints.

    `basis` says what ranked them: labels, criteria, or the order of import where there is neither. While it
    is the criteria, `criteria` says whether they are too few words to find much by, and what each matches.
    """
    ranked = _ranked(project, stage_name, preset, device, progress)
    review, stage, ranking = ranked.review, ranked.stage, ranked.ranking
    protocol, scores, history = review.protocol, ranking.scores, review.history(stage.name)
    rows, _ = _labels(history)
    unscreened = np.ones(len(scores), bool)
    unscreened[rows] = False
    order = np.argsort(-scores, kind="stable")
    best = order[unscreened[order]][:top]
    records = dict(zip(np.sort(best).tolist(), review.records.shown(stage, np.sort(best)), strict=True))
    basis = "order"
    if _has_both(_taught_labels(protocol, stage, history)):
        basis = "labels"
    elif protocol.queries and ranking.model["criteria_weight"]:
        basis = "criteria"
    facts = {
        "records": [
            {"record_id": records[row].id, "rank": place, "score": float(scores[row]), "title": records[row].title}
            for place, row in enumerate(best.tolist(), 1)
        ],
        "model": ranking.model,
        "as_of": ranking.as_of,
        "basis": basis,
        "stage": stage.name,
    }
    if basis == "criteria":
        model = ranked.model or _model_of(review, stage, preset, device, project.cache_dir, progress)
        facts["criteria"] = _matches(review, stage, model)
    return facts


def _matches(review: Snapshot, stage: Stage, model: ReviewModel) -> dict[str, object]:
    """Say what the criteria, which alone rank the records, match among them."""
    texts = review.protocol.queries
    # Scripts that put no blanks between words are taken two characters for a word, and not looked up.
    words = {word for text in texts for word in [*_SPACED_WORD.findall(text.lower()), *_UNSPACED.findall(text)]}
    views, records = model.views, StageRecords(review.records, stage)
    near = views.nearness(texts)
    known_by = next(iter(views.names.values()))
    matches = []
    for i, text in enumerate(texts):
        known = {word for name in known_by(text).values() for word in name.split(", ")}
        best = int(near[:, i].argmax())
        matches.append(
            {
                "text": text,
                "record_id": int(stage.record_ids[best]),
                "title": records[best].title,
                "nearness": float(near[best, i]),
                "unknown": [word for word in dict.fromkeys(_SPACED_WORD.findall(text.lower())) if word not in known],
            }
        )
    return {"words": len(words), "poor": len(words) < _FEW_WORDS, "matches": matches}


def explain(
    project: Project,
    record_id: int,
    *,
    stage_name: str | None = None,
    preset: str | None = None,
    device: str = "auto",
    progress=None,
    session: Session | None = None,
    viewer: str | None = None,
) -> dict[str, object]:
    """Return why a record has its score; what `triage rank --explain` prints.

    To a `viewer` who is to stay blind it is explained by what they may know (see `Snapshot.stage`), though the
    ranking has learned from everybody.

    With an open `session` of the stage the views need not be made: its own are used.

    `parts` sum to the score: what each term of the blend adds. `terms` are those of the record that add most
    to the linear views' parts, `known` the judged records that do, `criteria` how near the record is to each
    criterion, and the share of all records that are less near.

    Raises
    ------
    InputError
        When the stage has no such record.
    """
    review = project.snapshot()
    stage = review.stage(stage_name, viewer=viewer)
    row = int(np.searchsorted(stage.record_ids, stage.live.kept(record_id)))
    if row == len(stage.record_ids) or stage.record_ids[row] != stage.live.kept(record_id):
        raise InputError(f"The stage {stage.name!r} of {review.path} has no record {record_id}.")
    if (
        session is not None
        and isinstance(session.training.scorer, ReviewModel)
        and session.pool.n == len(stage.record_ids)
    ):
        model = session.training.scorer
        if viewer is not None:
            model = model.over_its_views(_final_labels(review.protocol, stage))
    else:
        model = _model_of(review, stage, preset, device, project.cache_dir, progress)
    records = StageRecords(review.records, stage)
    record = records[row]
    rows, y = _labels(review.history(stage_name, viewer=viewer))
    facts: dict[str, object] = {
        "record_id": int(stage.record_ids[row]),
        "title": record.title,
        "score": None,
        "parts": {},
        "terms": [],
        "known": [],
        "criteria": [],
    }
    if (told := model.explain(rows, y, row)) is None:
        return facts
    by_name: dict[str, float] = {}
    for view, found in told.terms.items():
        if view in model.views.names:
            names = model.views.names[view](record.text)
            for column, adds in found:
                name = names.get(column, "(what no other record says)")
                name = f"{name} (title)" if view == "titles" else name
                by_name[name] = by_name.get(name, 0.0) + adds
    label_of = dict(zip(rows.tolist(), _taught(_final_labels(review.protocol, stage), rows, y).tolist()))
    known = sorted(told.known, key=lambda found: -abs(found[1]))[:_KNOWN_TOLD]
    criteria = criteria_of(review.protocol)
    texts = [("question", criteria.question)] * bool(criteria.question) + [
        *(("include", text) for text in criteria.include),
        *(("exclude", text) for text in criteria.exclude),
    ]
    near = model.views.nearness([text for _, text in texts])
    return facts | {
        "score": told.score,
        "parts": told.parts,
        "terms": [
            {"term": term, "weight": adds}
            for term, adds in sorted(by_name.items(), key=lambda item: -abs(item[1]))[:_TERMS_TOLD]
            if adds
        ],
        "known": [
            {
                "record_id": int(stage.record_ids[other]),
                "title": records[other].title,
                "relevant": bool(label_of[other]),
                "weight": adds,
            }
            for other, adds in known
        ],
        "criteria": [
            {
                "kind": kind,
                "text": text,
                "nearness": float(near[row, i]),
                "less_near": float((near[:, i] < near[row, i]).mean()),
            }
            for i, (kind, text) in enumerate(texts)
        ],
    }
