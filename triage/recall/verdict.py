"""What an estimate and a stopping rule say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate of recall with its interval, and what it assumes.

    `interval_holds` is False where the interval was measured to hold the truth far less often than it says
    (docs/calibration.md): such a one is shown to nobody.
    """

    method: str
    recall: float
    lower: float
    upper: float
    relevant_total: float
    confidence: float
    assumes: str
    interval_holds: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one stopping rule says of one history.

    Attributes
    ----------
    name : str
        The rule.
    stop : bool
        Whether the rule says that screening can stop.
    certified : bool
        Whether the stop carries a guarantee that needs no assumption about the ranking.
    promise : str
        "certificate", "conditional", "estimate" or "heuristic".
    why : str
        One sentence for the reviewer.
    estimate : Estimate or None
        None for a heuristic, which estimates nothing.
    """

    name: str
    stop: bool
    certified: bool
    promise: str
    why: str
    estimate: Estimate | None = None
