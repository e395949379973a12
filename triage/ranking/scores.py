"""A ranking: the scores of records, and all that it takes to make them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Ranking:
    """Scores of a stage's records, and all it takes to make them again.

    Attributes
    ----------
    as_of : int
        The newest event of the log that the ranking saw: it is stale when a newer decision
        or undo exists.
    model : dict
        The preset's name and full parameters.
    record_ids : ndarray of int, shape (n,)
    scores : ndarray of float32, shape (n,)
        Higher is more likely relevant.
    held_out : ndarray of float32, shape (n,)
        For judged records and key papers, the score given by a model that had not seen their label; NaN elsewhere.
        Estimates are calibrated on those of judged records.
    id : int or None
        The project's number of the ranking; None before it is saved.
    """

    as_of: int
    model: dict[str, Any]
    record_ids: np.ndarray
    scores: np.ndarray
    held_out: np.ndarray
    id: int | None = None
