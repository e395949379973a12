"""knee: the bend of the gain curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...log import History
from ...wording import is_are, plural
from ..verdict import Verdict
from .base import Rule


@dataclass(frozen=True, slots=True)
class KneeRule(Rule):
    """knee: the gain curve bends (Cormack & Grossman 2016): slope ratio 156 - min(found, 150)."""

    name: ClassVar[str] = "knee"
    promise: ClassVar[str] = "heuristic"
    target: float
    confidence: float
    least: int = 1000

    def look(self, history: History, *_: object) -> Verdict:
        y = history.y[history.judged]
        n, found = len(y), int(y.sum())
        if n < self.least or not found:
            return self.verdict(
                False,
                f"{plural(n, 'record')} {is_are(n)} screened and {found:,} {is_are(found)} relevant; it looks "
                f"from {self.least:,} screened records and one relevant on.",
            )
        gain = np.cumsum(y)
        i = np.arange(1, n + 1)
        knee = int(np.argmax(gain / found - i / n))
        if knee + 1 >= n:
            return self.verdict(False, "The curve has not bent yet.")
        ratio = (gain[knee] / (knee + 1)) / ((1 + found - gain[knee]) / (n - knee - 1))
        bound = 156 - min(found, 150)
        return self.verdict(
            ratio >= bound, f"The curve is {ratio:.1f} times flatter after its bend; the rule asks for {bound}."
        )
