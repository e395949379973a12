"""quant: recall from the calibrated probabilities of all records."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

import numpy as np

from ...log import History
from ...wording import floor_percent, is_are
from ..estimates import calibrated
from ..evidence import SLACK
from ..verdict import Estimate, Verdict
from .base import Rule


@dataclass(frozen=True, slots=True)
class QuantRule(Rule):
    """quant: Yang, Lewis & Frieder 2021 (arXiv 2106.09871), recall from the probabilities of all records.

    With A the sum of the probabilities of the records screened and T that of all, recall is put at
    A / T with the variance A^2 / T^4 sum_all p (1 - p) + sum_screened p (1 - p) / T^2; it stops when the
    lower end of the normal interval reaches the target (the paper takes two standard deviations). The
    probabilities are calibrated first, and a screened record's comes from a model that had not seen its
    label.
    """

    name: ClassVar[str] = "quant"
    promise: ClassVar[str] = "estimate"
    needs_scores: ClassVar[bool] = True
    is_costly: ClassVar[bool] = True
    target: float
    confidence: float

    def look(
        self, history: History, scores: np.ndarray | None = None, held_out: np.ndarray | None = None, *_: object
    ) -> Verdict:
        p = None if scores is None or held_out is None else calibrated(history, scores, held_out)
        if p is None:
            why = f"There is no model estimate yet: {_lacking(history, scores)}."
            return self.verdict(False, why)
        screened = np.zeros(len(p), bool)
        screened[history.rows[history.judged]] = True
        known, total, spread = p[screened].sum(), p.sum(), p * (1 - p)
        recall = float(known / total)
        deviation = math.sqrt(recall**2 * spread.sum() + spread[screened].sum()) / total
        reach = NormalDist().inv_cdf((1 + self.confidence) / 2) * deviation
        estimate = Estimate(
            "quant",
            recall,
            max(0.0, recall - reach),
            min(1.0, recall + reach),
            float(total),
            self.confidence,
            "that the model's probabilities are right and independent of each other",
        )
        return self.verdict(
            estimate.lower >= self.target - SLACK,
            f"The model puts recall at {floor_percent(recall)}, at least {floor_percent(estimate.lower)} "
            "if its probabilities are right.",
            estimate,
        )


def _lacking(history: History, scores: np.ndarray | None) -> str:
    """Say why there are no probabilities: too few labels, or no ranking that learned from those there are."""
    relevant = history.n_found
    irrelevant = history.n_screened - relevant
    if min(relevant, irrelevant) < 2:
        return (
            f"two relevant and two irrelevant records are needed, and {relevant:,} and {irrelevant:,} "
            f"{is_are(relevant + irrelevant)} judged so"
        )
    if scores is None:
        return "no ranking covers the records as they are now; `triage rank` or a screening session makes one"
    return "the newest ranking is older than the labels; `triage rank` or a screening session makes a new one"
