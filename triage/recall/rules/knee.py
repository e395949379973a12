"""knee: the bend of the gain curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...decisions import History, Verdict
from ...wording import is_are, plural
from .base import Rule, exhausted


@dataclass(frozen=True, slots=True)
class KneeRule(Rule):
    """knee: the gain curve bends (Cormack & Grossman 2016): slope ratio 156 - min(found, 150)."""

    target: float
    confidence: float
    least: int = 1000

    def __call__(self, history: History) -> Verdict:
        done = exhausted("knee", "heuristic", history, False)
        if done is not None:
            return done
        y = history.y[history.judged]
        n, found = len(y), int(y.sum())
        if n < self.least or not found:
            return self._not_yet(f"{plural(n, 'record')} {is_are(n)} screened and {found:,} {is_are(found)} relevant; it looks "
                                 f"from {self.least:,} screened records and one relevant on.")
        gain = np.cumsum(y)
        i = np.arange(1, n + 1)
        knee = int(np.argmax(gain / found - i / n))
        if knee + 1 >= n:
            return self._not_yet("The curve has not bent yet.")
        ratio = (gain[knee] / (knee + 1)) / ((1 + found - gain[knee]) / (n - knee - 1))
        bound = 156 - min(found, 150)
        return Verdict("knee", bool(ratio >= bound), False, "heuristic",
                       f"The curve is {ratio:.1f} times flatter after its bend; the rule asks for {bound}.")

    @staticmethod
    def _not_yet(why: str) -> Verdict:
        return Verdict("knee", False, False, "heuristic", why)
