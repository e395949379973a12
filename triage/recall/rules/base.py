"""What every stopping rule is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from ...log import History
from ..verdict import Estimate, Verdict
from .policy import Policy


class Rule(ABC):
    """A stopping rule: a small frozen object that is asked with a history, and sees nothing else.

    Attributes
    ----------
    name, promise : str
        As in its row of the catalogue.
    target, confidence : float
        The recall to reach, and the confidence of what the rule says of it.
    needs_scores : bool
        It is asked with the model's scores too, as `scores` and `held_out` (see `estimates.calibrated`).
    is_costly : bool
        A simulation asks it after each training, and not after each record.
    """

    __slots__ = ()
    name: ClassVar[str]
    promise: ClassVar[str]
    needs_scores: ClassVar[bool] = False
    is_costly: ClassVar[bool] = False
    target: float
    confidence: float

    def __call__(self, history: History, *scores: np.ndarray | None) -> Verdict:
        """Say whether screening can stop, on which promise, and why."""
        if history.n_total and not history.n_unscreened:
            certified = self.promise == "certificate" and history.n_found > 0
            return Verdict(self.name, True, certified, self.promise, "Every record is screened.")
        return self.look(history, *scores)

    @abstractmethod
    def look(self, history: History, *scores: np.ndarray | None) -> Verdict:
        """Say so while there are records that are not screened; most rules ignore the scores."""

    def policy(self) -> Policy | None:
        """Return when the rule wants audit draws; None for a rule that wants none."""
        return None

    def verdict(self, stop: bool, why: str, estimate: Estimate | None = None) -> Verdict:
        """Return what the rule says, under its name and promise; a certificate's stop is certified."""
        stop = bool(stop)
        return Verdict(self.name, stop, stop and self.promise == "certificate", self.promise, why, estimate)
