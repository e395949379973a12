"""How far a session is: what is counted, and what is certified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import recall
from .log import Counts, History
from .project import Snapshot
from .protocol.model import Protocol, Stopping
from .second_look import corrected_recall
from .wording import floor_percent, plural

if TYPE_CHECKING:
    from .screening.session import Session

_RECALL_EVERY = 10  # decisions after which a session's recall is worked out again


def rule_says_stop(history: History, stopping: Stopping, parameters: recall.AuditE) -> bool:
    """Tell whether the protocol's rule says that screening can stop; `parameters` are those of the log."""
    rule = recall.rule_of(
        stopping.rule, stopping.target, stopping.confidence, audit_size=stopping.audit_size, parameters=parameters
    )
    evidence, _ = history.among(stopping.recall_among)
    return rule(evidence).stop


def recall_in_words(history: History, protocol: Protocol, parameters: recall.AuditE) -> str:
    """Return what is certified, for the screening session, "" before anything is; `parameters` are those of the log."""
    stopping = protocol.stopping
    history, _ = history.among(stopping.recall_among)
    certificate = recall.certificate(history, stopping.target, stopping.confidence, parameters)
    if certificate.recall_lower is None:
        return ""
    reached = "CERTIFIED" if certificate.certified else f"target {100 * stopping.target:g} %"
    return f"recall at least {floor_percent(certificate.recall_lower)}, {reached}"


@dataclass(frozen=True, slots=True)
class State:
    """Where the review is, for the screening session; as a string, in one line.

    Attributes
    ----------
    counts : Counts
        The present counts.
    recall : str
        What is certified, in words; empty while nothing is.
    decisions_ago : int
        How old `recall` is.
    """

    counts: Counts
    recall: str
    decisions_ago: int

    def __str__(self) -> str:
        counts = (
            f"{self.counts.screened:,} of {self.counts.records:,} screened | {self.counts.relevant:,} relevant found"
        )
        age = f" ({plural(self.decisions_ago, 'decision')} ago)" if self.decisions_ago else ""
        if self.counts.unread:
            counts += f" | {self.counts.unread:,} excluded unread"
        return f"{counts} | {self.counts.left:,} left" + (f" | {self.recall}{age}" if self.recall else "")


class StateOf:
    """The state of a session at each call: counts are current, recall is from at most ten decisions ago.

    The certificate moves with audit draws: renewed after each decision it would reveal which records were such.

    Parameters
    ----------
    session : Session
    in_words : callable of History to str
        See `recall_in_words`.
    """

    def __init__(self, session: Session, in_words: Callable[[History], str]) -> None:
        self._session = session
        self._in_words = in_words
        self._renew()

    def _renew(self) -> None:
        self._recall, self._at = self._in_words(self._session.pool.history()), self._session.changes

    def __call__(self) -> State:
        if self._session.changes - self._at >= _RECALL_EVERY:
            self._renew()
        return State(self._session.counts(), self._recall, self._session.changes - self._at)


def recall_for(review: Snapshot, stage_name: str, reviewer: str, history: History, parameters: recall.AuditE) -> str:
    """Return what is certified, for a reviewer's session; as they may know it where two judge each record."""
    protocol = review.protocol
    if protocol.stopping.recall_of == "corrected":
        told = corrected_recall(review, stage_name, viewer=reviewer)
        if told.recall_lower is None:
            return ""
        reached = "CERTIFIED" if told.certified else f"target {100 * protocol.stopping.target:g} %"
        return f"recall of corrected labels at least {floor_percent(told.recall_lower)}, {reached}"
    if protocol.reviewers_per_record > 1:
        history = review.history(stage_name, viewer=reviewer)
    return recall_in_words(history, protocol, parameters)
