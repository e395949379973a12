"""ip-p: a point process fitted to the discovery curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...log import History
from ...wording import about, floor_percent
from ..estimates import curve_of, poisson_quantile
from ..evidence import SLACK
from ..verdict import Estimate, Verdict
from .base import Rule


@dataclass(frozen=True, slots=True)
class IpPRule(Rule):
    """ip-p: a power-law point process fitted to the discovery curve (10.1145/3631990).

    It stops when the target is met even if as many are missed as the fitted process exceeds with
    probability 1 - confidence only.
    """

    name: ClassVar[str] = "ip-p"
    promise: ClassVar[str] = "estimate"
    is_costly: ClassVar[bool] = True
    target: float
    confidence: float

    def look(self, history: History, *_: object) -> Verdict:
        curve = curve_of(history)
        if curve is None:
            return self.verdict(False, "Too few relevant records are found to fit the curve.")
        found, most = history.n_found, history.n_unscreened
        fewest, largest = (
            min(poisson_quantile(q, curve.missed, most), most) for q in (1 - self.confidence, self.confidence)
        )
        expected = min(curve.missed, most)
        estimate = Estimate(
            "ip-p",
            found / (found + expected),
            found / (found + largest),
            found / (found + fewest),
            found + expected,
            self.confidence,
            "that relevant records go on becoming rarer by the fitted power law",
        )
        return self.verdict(
            estimate.lower >= self.target - SLACK,
            f"The discovery curve leaves {about(expected, 'relevant record')}, at most {largest:,}: recall "
            f"of at least {floor_percent(estimate.lower)} if it goes on as it did.",
            estimate,
        )
