"""audit-e: the running certificate, which may be looked at any time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...log import History
from ...wording import floor_percent, is_are, percent, plural
from ..evidence import AuditE, certificate
from ..verdict import Verdict
from .base import Rule
from .policy import Policy


@dataclass(frozen=True, slots=True)
class AuditRule(Rule):
    """audit-e: stop when the certificate's bound reaches the target."""

    name: ClassVar[str] = "audit-e"
    promise: ClassVar[str] = "certificate"
    target: float
    confidence: float
    parameters: AuditE = AuditE()

    def look(self, history: History, *_: object) -> Verdict:
        c = certificate(history, self.target, self.confidence, self.parameters)
        if c.recall_lower is None:
            most = plural(c.relevant_upper, "record")
            why = f"Nothing relevant is found yet; at most {most} {is_are(c.relevant_upper)} relevant."
        else:
            why = (
                f"At least {floor_percent(c.recall_lower)} of the relevant records are found, "
                f"at most {c.missed_upper:,} missed; the target is {percent(self.target)}."
            )
        return self.verdict(c.certified, why)

    def policy(self) -> Policy:
        """Audit after a plateau."""
        return Policy(self.target, self.confidence)
