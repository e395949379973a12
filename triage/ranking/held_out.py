"""Scores of judged records by models that have not seen their labels."""

from __future__ import annotations

from typing import Protocol as Interface

import numpy as np

_HELD_OUT_FOLDS = 3


class Scorer(Interface):
    """Scores every record from the labels of some: what ranks the pool."""

    def __call__(self, rows: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        """Return a score for every record, shape (n,), higher first; None when nothing is known."""


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
