"""Taking back what was logged: a decision, an answer, a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..as_json import key
from ..errors import InputError
from ..log import Batch, Event, batches, exclusions
from ..project import Project, Snapshot


def undo_answer(project: Project, is_answer: Callable[[Event], bool], reviewer: str) -> None:
    """Undo the newest event of a kind that is not undone."""
    events = project.log.events()
    undone = {e.undoes for e in events}
    for event in reversed(events):
        if event.seq not in undone and is_answer(event):
            project.log.undo(event.seq, reviewer=reviewer)
            return


@dataclass(frozen=True, slots=True)
class Undone:
    """The event that was taken back; what `triage undo --json` prints."""

    seq: int = field(metadata=key("undone"))
    kind: str
    record_id: int | None
    label: str | None
    reason: str
    reviewer: str


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The batch that was taken back; what `triage undo --batch --json` prints."""

    kind: str
    file: str
    stage: str
    reviewer: str
    handed_out: int
    record_ids: list[int]


@dataclass(frozen=True, slots=True)
class ExclusionBack:
    """What had been excluded unread and was taken back; what `triage undo --bulk --json` prints."""

    kind: str
    query: str
    stage: str
    reviewer: str
    record_ids: list[int]


def undo(project: Project, *, reviewer: str, seq: int | None = None) -> Undone:
    """Take back the reviewer's last decision in force, or the event `seq`.

    Raises
    ------
    InputError
        When the reviewer has no decision to take back, or the event cannot be undone.
    """
    if seq is None:
        review = project.snapshot()
        mine = [e for e in review.live.decisions.values() if e.reviewer == reviewer and not e.is_unread]
        if not mine:
            out = _batches_of(review, reviewer)
            raise InputError(
                f"{reviewer} has no decision in {project.path} to take back; "
                + (
                    f"--batch takes back the batch handed out as {out[-1].first.note}."
                    if out
                    else "name the --reviewer who has."
                )
            )
        seq = max(e.seq for e in mine)
    project.log.undo(seq, reviewer=reviewer)
    undone = next(e for e in project.log.events(since=seq - 1, until=seq))
    return Undone(
        seq=seq,
        kind=str(undone.kind),
        record_id=undone.record_id,
        label=None if undone.label is None else str(undone.label),
        reason=undone.reason,
        reviewer=undone.reviewer,
    )


def take_back(project: Project, *, reviewer: str) -> TakenBack:
    """Take back the newest batch handed out to a reviewer of which anything is left to take back.

    Raises
    ------
    InputError
        When there is no such batch.
    """
    out = _batches_of(project.snapshot(), reviewer)
    if not out:
        raise InputError(
            f"No batch handed out to {reviewer} can be taken back: there is none, or {reviewer} has judged all of it; "
            "--reviewer NAME names somebody else."
        )
    batch = out[-1]
    left = project.log.take_back(batch.first.seq, reviewer=reviewer)
    return TakenBack(
        kind="batch",
        file=batch.first.note,
        stage=batch.first.stage,
        reviewer=reviewer,
        handed_out=batch.size,
        record_ids=[e.about for e in left],
    )


def take_exclusion_back(project: Project, *, reviewer: str) -> ExclusionBack:
    """Take back the reviewer's newest exclusion of a search's result of which anything is in force.

    Raises
    ------
    InputError
        When there is none.
    """
    review = project.snapshot()
    made = [one for one in exclusions(review.events, review.live) if one.left and one.first.reviewer == reviewer]
    if not made:
        raise InputError(
            f"{reviewer} has excluded nothing unread that could be taken back; --reviewer NAME names somebody else."
        )
    first = made[-1].first
    left = project.log.take_exclusion_back(first.seq, reviewer=reviewer)
    return ExclusionBack("bulk", first.note, first.stage, reviewer, [e.about for e in left])


def _batches_of(review: Snapshot, reviewer: str) -> list[Batch]:
    """Return the batches handed out to a reviewer that can be taken back, the oldest first."""
    return [one for one in batches(review.events, review.live) if one.first.reviewer == reviewer]
