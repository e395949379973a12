"""consecutive: so many irrelevant ranked records in a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...log import History
from ...wording import plural
from ..verdict import Verdict
from .base import Rule
from .policy import Policy


@dataclass(frozen=True, slots=True)
class ConsecutiveRule(Rule):
    """consecutive: so many irrelevant ranked records in a row."""

    name: ClassVar[str] = "consecutive"
    promise: ClassVar[str] = "heuristic"
    target: float
    confidence: float
    length: int = 50

    def look(self, history: History, *_: object) -> Verdict:
        run = Policy.run(history)
        return self.verdict(
            history.n_found > 0 and run >= self.length,
            f"{plural(run, 'irrelevant record')} in a row; the rule asks for {self.length:,}"
            + ("." if history.n_found else " once something relevant is found."),
        )
