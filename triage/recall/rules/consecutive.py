"""consecutive: so many irrelevant ranked records in a row."""

from __future__ import annotations

from dataclasses import dataclass

from ...decisions import History, Verdict
from ...wording import plural
from .base import Rule, exhausted
from .policy import Policy


@dataclass(frozen=True, slots=True)
class ConsecutiveRule(Rule):
    """consecutive: so many irrelevant ranked records in a row."""

    target: float
    confidence: float
    length: int = 50

    def __call__(self, history: History) -> Verdict:
        done = exhausted("consecutive", "heuristic", history, False)
        if done is not None:
            return done
        run = Policy.run(history)
        return Verdict("consecutive", bool(history.n_found) and run >= self.length, False, "heuristic",
                       f"{plural(run, 'irrelevant record')} in a row; the rule asks for {self.length:,}"
                       + ("." if history.n_found else " once something relevant is found."))
