"""Metrics of one screening order: pure functions of its 0/1 relevance, in screening order.

Notation: N records after the priors, R relevant among them, k(r) the number screened when
ceil(r R) relevant records are found. Every function takes the whole order (all N records).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def relevant_needed(relevant: int, recall: float) -> int:
    """Return ceil(recall x relevant), safe against 0.95 x 20 = 19.000000000000004."""
    return math.ceil(recall * relevant - 1e-9)


def _positions(y: ArrayLike) -> tuple[int, np.ndarray]:
    y = np.asarray(y)
    return len(y), np.flatnonzero(y) + 1


def work_to_recall(y: ArrayLike, recall: float) -> float | None:
    """Return k(recall) / N, the share screened when `recall` is reached; None when R = 0."""
    n, found_at = _positions(y)
    needed = relevant_needed(len(found_at), recall)
    if not len(found_at):
        return None
    return float(found_at[needed - 1] / n) if needed else 0.0


def wss(y: ArrayLike, recall: float) -> float | None:
    """Return work saved over sampling, (N - k(r)) / N - (1 - r); None when R = 0.

    References
    ----------
    Cohen, Hersh, Peterson, Yen 2006, J Am Med Inform Assoc 13(2), 206-219.
    """
    work = work_to_recall(y, recall)
    return None if work is None else 1.0 - work - (1.0 - recall)


def average_time_to_discovery(y: ArrayLike) -> float | None:
    """Return the mean over relevant records of (position, from 1) / N; None when R = 0."""
    n, found_at = _positions(y)
    return float(found_at.mean() / n) if len(found_at) else None


def recall_at(y: ArrayLike, fraction: float) -> float | None:
    """Return the share of R in the first floor(fraction N) records, one at least; None when R = 0."""
    n, found_at = _positions(y)
    if not len(found_at):
        return None
    first = max(1, math.floor(fraction * n + 1e-9))
    return float((found_at <= first).mean())


def summary(y: ArrayLike) -> dict[str, float | None]:
    """Return the metrics that `triage simulate` prints, under its names."""
    return {
        "work@0.95": work_to_recall(y, 0.95),
        "work@1.0": work_to_recall(y, 1.0),
        "wss@0.95": wss(y, 0.95),
        "atd": average_time_to_discovery(y),
        "recall@0.1": recall_at(y, 0.1),
        "recall@0.2": recall_at(y, 0.2),
    }
