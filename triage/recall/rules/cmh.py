"""cmh: a hypergeometric test that takes ranked records for random draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...log import History
from ...wording import percent, plural
from ..evidence import least_missed
from ..verdict import Verdict
from .base import Rule
from .exact import hypergeometric


@dataclass(frozen=True, slots=True)
class CmhRule(Rule):
    """cmh: Callaghan & Mueller-Hansen 2020 (10.1186/s13643-020-01521-4).

    For every i the last i records screened are taken as a random sample of themselves and all
    unscreened ones; the smallest p-value of "the target is missed" is reported. That is the smallest
    of many tests, and nothing corrects for it.

    Attributes
    ----------
    target, confidence : float
    look_every : int or None
        Looks are made after so many judged records each, the k-th at the level alpha / (k (k + 1)),
        which sum to alpha. Left out, every look is at alpha: as published, not corrected for looking
        again and again.
    """

    name: ClassVar[str] = "cmh"
    promise: ClassVar[str] = "conditional"
    is_costly: ClassVar[bool] = True
    target: float
    confidence: float
    look_every: int | None = None

    def look(self, history: History, *_: object) -> Verdict:
        y = history.y[history.judged]
        level, correction = 1 - self.confidence, "not corrected for repeated looks"
        if self.look_every is not None:
            look = len(y) // self.look_every
            if not look:
                return self.verdict(False, f"It looks after every {plural(self.look_every, 'record')} screened.")
            y, level = y[: look * self.look_every], level / (look * (look + 1))
            correction = f"look {look}, at the level {level:.2g} for repeated looks"
        if not y.any():
            return self.verdict(False, "Nothing relevant is found yet.")
        p = self._smallest_p(y, history.n_total)
        return self.verdict(
            p < level,
            f"p = {p:.3g} that recall is below {percent(self.target)}, if the ranking is no worse than "
            f"random; {correction}.",
        )

    def p_value(self, history: History) -> float:
        """Return the smallest p-value over all i; 0 where the target is met by arithmetic, 1 with nothing found."""
        return self._smallest_p(history.y[history.judged], history.n_total)

    def _smallest_p(self, y: np.ndarray, total: int) -> float:
        n, found = len(y), int(y.sum())
        if not found:
            return 1.0
        missed = least_missed(found, self.target)
        if missed > total - n:
            return 0.0
        # With the number of hits in the sample fixed, a longer sample gives a smaller p: only the
        # samples that end just short of the next hit matter, one for each relevant record.
        sample = np.append(n - 1 - np.flatnonzero(y)[::-1], n)
        hits = np.arange(len(sample))
        use = sample > 0
        return float(hypergeometric(hits[use], (total - n + sample)[use], (missed + hits)[use], sample[use]).min())
