"""fixed-audit: one random sample of a size set beforehand, looked at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...log import History, Origin
from ...wording import floor_percent, is_are, plural
from ..evidence import SLACK
from ..verdict import Verdict
from .base import Rule
from .exact import draws_needed, elusion_upper
from .policy import Policy, first_audit


@dataclass(frozen=True, slots=True)
class Sample:
    """The one sample of a fixed audit.

    Attributes
    ----------
    y : ndarray of int8, shape (n_drawn,)
        Labels of its draws so far, `size` at most; -1 for no label yet.
    size : int
        The draws planned.
    left : int
        Records of its stratum not shown when it began.
    aside : int
        Records of its stratum, relevant or without a label, that were shown between its draws.
    outside : int
        Relevant records, or such without a label, that it could not have drawn.
    """

    y: np.ndarray
    size: int
    left: int
    aside: int
    outside: int


@dataclass(frozen=True, slots=True)
class FixedAuditRule(Rule):
    """fixed-audit: the exact hypergeometric elusion test, its size set before its first draw, one look.

    The look bounds the number of relevant records once and for all; relevant records found later count
    against that same bound, with no second look at the sample. Records that somebody chose between two
    draws do not spoil it: the sample holds all of the first draws of the permutation but those, so with
    them as hits it has no fewer hits than a sample that nobody touched.

    Attributes
    ----------
    target, confidence : float
    size : int or None
        Draws. Left out it is the number that would certify if none hits, from what is found when the
        audit begins; that moves if a label from before the audit is changed, so a review names its own.
    """

    name: ClassVar[str] = "fixed-audit"
    promise: ClassVar[str] = "certificate"
    target: float
    confidence: float
    size: int | None = None

    def look(self, history: History, *_: object) -> Verdict:
        sample = self.sample(history)
        if sample is None:
            return self.verdict(False, "The audit has not begun; it does after a plateau of the ranking.")
        judged = int((sample.y >= 0).sum())
        if judged < sample.size:
            return self.verdict(
                False,
                f"{judged:,} of {plural(sample.size, 'audit draw')} {is_are(judged)} judged; there is one "
                "look, at the end.",
            )
        hits, found = int((sample.y == 1).sum()), history.n_found
        most_hits = min(hits + sample.aside, sample.size)
        upper = sample.outside + elusion_upper(sample.left, sample.size, most_hits, 1 - self.confidence)
        upper = min(max(upper, found), found + history.n_unscreened)
        passed = found > 0 and found / upper >= self.target - SLACK
        found_in_words = f"recall is at least {floor_percent(found / upper)}" if found else "nothing relevant is found"
        return self.verdict(
            passed,
            f"The one look: {plural(hits, 'hit')} in {plural(sample.size, 'draw')} from "
            f"{plural(sample.left, 'record')}, so {found_in_words}; "
            "the test is spent.",
        )

    def policy(self) -> Policy:
        """Draw the one sample after a plateau."""
        return Policy(self.target, self.confidence, fixed=self)

    def sample(self, history: History) -> Sample | None:
        """Return the sample so far; None before its first draw."""
        shown = history.sequence()
        first = first_audit(shown.origin)
        if first is None:
            return None
        stratum = shown.stratum[first]
        mine, open_or_relevant = shown.stratum == stratum, shown.y != 0
        left, found = int(shown.pool_size[first]), int(((shown.y == 1) & shown.here)[:first].sum())
        size = min(left, self.size or max(1, draws_needed(found, left, self.target, self.confidence)))
        later = np.arange(len(mine)) >= first
        draws = np.flatnonzero(mine & later & (shown.origin == Origin.AUDIT))
        # Where so many were shown between the draws that none is left, these are all there will be.
        size = min(size, len(draws) + int(history.n_records[stratum]) - int((mine & shown.here).sum()))
        draws = draws[:size]
        between = mine & later & shown.here
        between[draws] = False
        between[draws[-1] :] = False
        before = mine & ~later & shown.here
        cleared = int((~mine & shown.here & ~open_or_relevant).sum())
        others = history.n_total - int(history.n_records[stratum]) - cleared
        return Sample(
            shown.y[draws],
            size,
            left,
            aside=int((between & open_or_relevant).sum()),
            outside=int((before & open_or_relevant).sum()) + others,
        )
