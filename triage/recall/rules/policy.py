"""When to audit: after a plateau of the ranking, until an audit draw hits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ...log import History, Origin
from .exact import draws_needed

if TYPE_CHECKING:
    from .fixed_audit import FixedAuditRule


@dataclass(frozen=True, slots=True)
class Policy:
    """When to audit: after a plateau of the ranking, until an audit draw hits.

    It moves the cost of a certificate and never its validity. An audit that hits has to begin again, so it
    pays to rank on while the ranking still finds something; how long depends on what is at stake. The
    plateau is a share of the audit that would certify without a hit: long where that audit is long, as for
    a high target or few relevant records, and short where it is short. The numbers were chosen on reviews
    that no result is reported on (docs/calibration.md).

    Attributes
    ----------
    target, confidence : float
        What is to be certified.
    share : float
        The plateau, in irrelevant ranked records in a row, as a share of the zero-hit audit.
    again : float
        The plateau after an audit draw has hit, as a share of the first.
    least : int
        No plateau but one after a hit is shorter.
    mix : int
        After so many audit draws in a row comes one ranked record, so that no reviewer has long stretches in which
        nothing is relevant, and tires. It says nothing of the ranking, and is not evidence. 0 for none.
    fixed : FixedAuditRule or None
        The audit is one sample of the rule's size, and no more.
    """

    target: float = 0.95
    confidence: float = 0.95
    share: float = 0.2
    again: float = 0.5
    least: int = 20
    mix: int = 20
    fixed: FixedAuditRule | None = None

    def plateau(self, found: int, left: int, total: int) -> int:
        """Return the length of the first plateau.

        Parameters
        ----------
        found, left : int
            Relevant records found, and records left when the last of them was.
        total : int
            Records; the plateau is 5 % of them while nothing is found.
        """
        if not found:
            return max(50, math.ceil(total / 20))
        return max(self.least, math.ceil(self.share * _zero_hit_audit(found, left, self.target, self.confidence)))

    def wanted(self, history: History) -> int:
        """Return the length of the plateau that the next audit waits for."""
        left = history.n_total - after_last_relevant(history)
        full = self.plateau(history.n_found, left, history.n_total)
        return full if first_audit(history.origin) is None else math.ceil(self.again * full)

    def next_origin(self, history: History) -> Origin:
        """Tell whether the next record is the best ranked or an audit draw.

        One pass over the labels, and one over the origins since the last relevant record.
        """
        if self.fixed is not None and (sample := self.fixed.sample(history)) is not None:
            return Origin.AUDIT if len(sample.y) < sample.size else Origin.RANKED
        if not self.is_auditing(history):
            return Origin.RANKED
        in_a_row = self.draws_in_a_row(history)
        return Origin.RANKED if self.mix and in_a_row and in_a_row % self.mix == 0 else Origin.AUDIT

    def is_auditing(self, history: History) -> bool:
        """Tell whether an audit is under way, or begins with the next record."""
        first, since = first_audit(history.origin), after_last_relevant(history)
        if first is not None and (history.origin[max(first, since) :] == Origin.AUDIT).any():
            return True
        return self.run(history) >= self.wanted(history)

    def draws_in_a_row(self, history: History) -> int:
        """Return how many audit draws there were since the last record of another kind; `mix` at most."""
        newest = history.origin[-self.mix :] == Origin.AUDIT if self.mix else np.zeros(0, bool)
        return len(newest) if newest.all() else int(np.argmin(newest[::-1]))

    @staticmethod
    def run(history: History) -> int:
        """Return how many ranked records in a row were irrelevant, to the last one."""
        since = after_last_relevant(history)
        return int(((history.origin[since:] == Origin.RANKED) & (history.y[since:] == 0)).sum())


@lru_cache(maxsize=64)
def _zero_hit_audit(found: int, left: int, target: float, confidence: float) -> int:
    return min(left, draws_needed(found, left, target, confidence))


def after_last_relevant(history: History) -> int:
    """Return how many were screened up to the last relevant record; 0 without one."""
    relevant = np.flatnonzero(history.y == 1)
    return int(relevant[-1]) + 1 if len(relevant) else 0


def first_audit(origin: np.ndarray) -> int | None:
    """Return the place of the first audit draw after a ranked record; those before it are a random start."""
    audit = origin == Origin.AUDIT
    if not audit.any():
        return None
    ranked = np.flatnonzero(origin == Origin.RANKED)
    later = np.flatnonzero(audit[ranked[0] :]) if len(ranked) else ranked
    return int(ranked[0] + later[0]) if len(later) else None
