"""What every stopping rule is, and what several of them say alike."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

from ...decisions import History, Verdict
from ..evidence import SLACK
from .policy import Policy


class Rule(ABC):
    """A stopping rule: a small frozen object that is asked with a history, and sees nothing else.

    Attributes
    ----------
    target, confidence : float
        The recall to reach, and the confidence of what the rule says of it.
    needs_scores : bool
        It is asked with the model's scores too, as `scores` and `held_out` (see `estimates.calibrated`).
    is_costly : bool
        A simulation asks it after each training, and not after each record.
    """

    __slots__ = ()
    needs_scores: ClassVar[bool] = False
    is_costly: ClassVar[bool] = False
    target: float
    confidence: float

    @abstractmethod
    def __call__(self, history: History) -> Verdict:
        """Say whether screening can stop, on which promise, and why."""

    def policy(self) -> Policy | None:
        """Return when the rule wants audit draws; None for a rule that wants none."""
        return None


def percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def floor_percent(bound: float) -> str:
    """A lower bound is cut, never rounded up."""
    return f"{math.floor(1000 * bound + SLACK) / 10:g} %"


def exhausted(name: str, promise: str, history: History, certified: bool) -> Verdict | None:
    if history.n_unscreened or not history.n_total:
        return None
    return Verdict(name, True, certified and history.n_found > 0, promise, "Every record is screened.")
