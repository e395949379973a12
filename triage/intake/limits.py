"""The protocol's limits applied to a review, and a person's answers to what is only proposed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .. import eligibility
from ..log import Kind
from ..project import Project
from ..records import Record
from .undoing import undo_answer


@dataclass(frozen=True, slots=True)
class Filtered:
    """What `apply_limits` did: removals by kind, proposals that wait for a person, records left."""

    checked: int
    removed: dict[str, int]
    proposed: list[tuple[Record, eligibility.Proposal]]
    left: int


def apply_limits(project: Project, *, reviewer: str, accept_proposals: bool = False) -> Filtered:
    """Apply the protocol's language, date and type limits to the records not yet removed.

    Parameters
    ----------
    project : Project
    reviewer : str
    accept_proposals : bool
        Remove what only a language detector speaks against, too.
    """
    review = project.snapshot()
    limits, stage, events = review.protocol.limits, review.stage(), review.events
    undone = {e.undoes for e in events}
    stays = {(e.record_id, e.reason) for e in events if e.kind is Kind.STAYS and e.seq not in undone}
    removals, proposals = [], []
    for record in project.records.iter_shown(stage):
        found = eligibility.check(record, limits)
        if isinstance(found, eligibility.Removal):
            removals.append((record.number, found.kind, found.reason))
        elif isinstance(found, eligibility.Proposal) and (record.id, found.kind) not in stays:
            proposals.append((record, found))
    if accept_proposals:
        removals += [(record.number, found.kind, found.reason) for record, found in proposals]
        proposals = []
    project.log.remove(removals, reviewer=reviewer)
    return Filtered(
        checked=len(stage.record_ids),
        removed=dict(Counter(kind for _, kind, _ in removals)),
        proposed=proposals,
        left=len(stage.record_ids) - len(removals),
    )


def settle(
    project: Project, proposal: tuple[Record, eligibility.Proposal], answer: bool | None, *, reviewer: str
) -> None:
    """Write a person's answer to a proposal: True removes the record, False keeps it for good, None takes it back."""
    record, found = proposal
    if answer:
        project.log.remove([(record.number, found.kind, found.reason)], reviewer=reviewer)
    elif answer is False:
        project.log.let_stay(record.number, found.kind, reviewer=reviewer)
    else:
        undo_answer(project, lambda e: e.kind in (Kind.REMOVAL, Kind.STAYS) and e.record_id == record.id, reviewer)


def accept(filtered: Filtered, answers: Sequence[bool | None]) -> Filtered:
    """Return what was filtered once the answers to its proposals are settled; None left one open."""
    pairs = list(zip(filtered.proposed, answers, strict=True))
    agreed = [found.kind for (_, found), answer in pairs if answer]
    removed = Counter(filtered.removed) + Counter(agreed)
    return Filtered(
        checked=filtered.checked,
        removed=dict(removed),
        left=filtered.left - len(agreed),
        proposed=[proposal for proposal, answer in pairs if answer is None],
    )
