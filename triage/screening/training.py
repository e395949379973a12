"""What ranks a pool by what it learns from labels."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from ..ranking.held_out import Scorer, held_out_scores

_HELD_OUT_GROWTH = 1.2  # held-out scores are made again once there are this many times as many labels


class Training:
    """Ranks a pool by what it learns from labels; sessions beside each other, of one stage, share one.

    It learns from one set of labels at a time. A caller whose labels are older than those it has learned from,
    or the same, gets what it learned from those: of many reviewers' decisions at once only the last costs a
    training.

    Parameters
    ----------
    scorer : Scorer
    held_out : callable, optional
        Called as held_out(rows, y), gives the scores for the estimates, shape (n,) (see `held_out_scores`, by
        models of the scorer when left out).

    Attributes
    ----------
    newest : tuple of (ndarray or None, int or None)
        The newest ranking: the score of every record, shape (n,), and its id; None before there is one.
    """

    def __init__(self, scorer: Scorer, held_out: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None) -> None:
        self.scorer = scorer
        self.newest: tuple[np.ndarray | None, int | None] = None, None
        self._made_held_out = held_out
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
                    made = self._made_held_out
                    self._held_out = held_out_scores(self.scorer, n, rows, y) if made is None else made(rows, y)
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
