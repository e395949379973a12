"""ranked-e: a run of irrelevant records, ranked or drawn at random, valid at every look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...log import History, Origin
from ...wording import agree, is_are, percent, plural
from ..evidence import least_missed
from ..verdict import Verdict
from .base import Rule
from .exact import least_run, log_factorials, log_no_hit
from .policy import Policy


@dataclass(frozen=True, slots=True)
class Run:
    """The draws since a relevant record, and how many of them without another rule out a broken target.

    Attributes
    ----------
    misses : int
        Irrelevant draws in a row, to the next relevant record, the first draw without a label, or the end.
    needed : int or None
        None where not even all that was left would do.
    """

    misses: int
    needed: int | None


@dataclass(frozen=True, slots=True)
class RankedERule(Rule):
    """ranked-e: a run of irrelevant records, valid at every look if no ranked record is worse than a random one.

    Every total R that breaks the target has alpha to spend. At the k-th relevant record, with r_k found and
    m_k left, the rule fixes a run of T_k irrelevant draws, ranked or random, after which it will stop. If each
    draw is at least as likely relevant as a random one of what is left, such a run comes by chance with
    probability C(m_k - (R - r_k), T_k) / C(m_k, T_k) at most, whatever came before: so much of the alpha of R
    is spent. T_k is the least run that the totals still in question can all pay for. Stops while R breaks the
    target then have probability alpha at most, by adding up: at any number of looks, whatever the rule for
    going from the ranking to random draws, in the finite population.

    The total that has spent most is the least that breaks the target, R_k = floor(r_k / target) + 1: what the
    k-th run or an earlier one costs a larger total is less. So that total is enough to find a run.

    What is found by choice or beforehand is found and no draw; a record without a label counts as relevant, and
    the draws end at the first of them. Where records were added, it begins when the first of them is shown.

    Attributes
    ----------
    target, confidence : float
    """

    name: ClassVar[str] = "ranked-e"
    promise: ClassVar[str] = "conditional"
    is_costly: ClassVar[bool] = True
    target: float
    confidence: float

    def look(self, history: History, *_: object) -> Verdict:
        found = history.n_found
        if not found:
            return self.verdict(False, "Nothing relevant is found yet.")
        if least_missed(found, self.target) > history.n_unscreened:
            left = history.n_unscreened
            every = agree(left, "the one record", f"all {plural(left, 'record')}")
            return self.verdict(
                True, f"Were {every} left relevant, recall would still be at least {percent(self.target)}."
            )
        runs = self.runs(history)
        if any(run.needed is not None and run.misses >= run.needed for run in runs):
            return self.verdict(
                True,
                "A run of irrelevant records is long enough that recall is at least "
                f"{percent(self.target)}, at any look, {_NO_WORSE}.",
            )
        if not runs or runs[-1].needed is None:
            return self.verdict(False, f"No run of irrelevant records would do yet, {_NO_WORSE}.")
        needed = runs[-1].needed
        return self.verdict(
            False,
            f"{plural(runs[-1].misses, 'irrelevant record')} in a row; {needed:,} "
            f"{is_are(needed)} needed, {_NO_WORSE}.",
        )

    def policy(self) -> Policy:
        """Audit after a plateau that counts towards the run, too, and so may be longer."""
        return Policy(self.target, self.confidence, share=0.3, again=0.75)

    def runs(self, history: History) -> list[Run]:
        """Return the run after each relevant record."""
        shown = history.sequence()
        draw = (shown.origin == Origin.RANKED) | (shown.origin == Origin.AUDIT)
        waiting = np.flatnonzero(draw & (shown.y < 0))
        n = waiting[0] if len(waiting) else len(draw)
        y, draw, here, stratum = (a[:n] for a in (shown.y, draw, shown.here, shown.stratum))
        begin = _begun(stratum, history.n_records)
        known = np.cumsum((y == 1) & here)
        most = np.cumsum((y != 0) & here)  # without a label counts as relevant, the safe side
        left = _left_after(shown.pool_size[:n], stratum, history.n_records)
        misses = np.cumsum(draw & (y == 0))
        starts = np.flatnonzero((y != 0) & (known > 0))
        if begin and begin < n and known[begin - 1]:
            starts = np.append(begin - 1, starts[starts >= begin])
        starts = starts[starts >= begin - 1]
        ends = np.append(starts[1:], n - 1)[: len(starts)]
        alpha, log_factorial = 1 - self.confidence, log_factorials(int(left.max(initial=0)))
        runs, pools, before, lengths = [], left[starts], most[starts], np.zeros(len(starts), np.int64)
        for k, (at, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            total = int(known[at]) + least_missed(int(known[at]), self.target)
            spent = np.exp(log_no_hit(pools[:k], total - before[:k], lengths[:k], log_factorial)).sum()
            needed = least_run(int(pools[k]), total - int(before[k]), alpha - spent)
            # A run that cannot come costs nothing.
            lengths[k] = pools[k] if needed is None else needed
            runs.append(Run(int(misses[end] - misses[at]), needed))
        return runs


_NO_WORSE = "if no ranked record is less likely relevant than a random one of those left"


def _begun(stratum: np.ndarray, sizes: np.ndarray) -> int:
    """Return from where on the records of all strata were there: the first shown of the last stratum."""
    filled = np.flatnonzero(sizes)
    last = int(filled[-1]) if len(filled) else 0
    if not last:
        return 0
    mine = np.flatnonzero(stratum == last)
    return int(mine[0]) if len(mine) else len(stratum)


def _left_after(pool_size: np.ndarray, stratum: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return how many records of all strata were left after each one shown, by the log."""
    left = np.zeros(len(stratum), np.int64)
    for s, size in enumerate(sizes.tolist()):
        newest = np.maximum.accumulate(np.where(stratum == s, np.arange(len(stratum)), -1))
        left += np.where(newest >= 0, pool_size[newest] - 1, size)
    return left
