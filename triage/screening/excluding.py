"""Records excluded unread: what a search found, each by a decision of its own."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from ..found import Wanted, excludable
from ..log import Label, Origin
from ..project import Project
from ..wording import is_are, plural
from .journal import ProjectJournal, commit_audit

MOST_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Excluded:
    """What was excluded unread; what `triage exclude --json` prints.

    Attributes
    ----------
    event : int or None
        The first of its events, by which it is taken back; None where nothing was excluded.
    stage, reviewer, read_as : str
    found : int
        Records of the stage that the search finds.
    excluded : int
    record_ids : tuple of int
        The records excluded.
    """

    event: int | None
    stage: str
    reviewer: str
    read_as: str
    found: int
    excluded: int
    record_ids: tuple[int, ...]


def exclude_found(
    project: Project,
    wanted: Wanted,
    *,
    reviewer: str,
    stage_name: str | None = None,
    reason: str = "",
    confirmed: int | None = None,
) -> Excluded:
    """Exclude what a search finds and a person is still to judge, without anybody having read it.

    All in one transaction. These decisions are told apart wherever decisions are counted, no bound on recall takes their
    records for irrelevant, and the ranking does not learn from them: that a search found a record says little of it.
    The audit permutation is committed before, as it is before any decision.

    Parameters
    ----------
    project : Project
    wanted : Wanted
    reviewer : str
    stage_name : str, optional
        The first stage when left out.
    reason : str
        The code of a reason, where the stage has some.
    confirmed : int, optional
        How many records whoever asks has agreed to exclude: no more are.

    Raises
    ------
    InputError
        When the search says nothing, the stage has no such reason, there are more records than were confirmed or than
        may be excluded at once, or the reviewer is a machine.
    """
    project.log.check_person(reviewer)
    asked = project.snapshot().asked(stage_name)
    codes = [one.code for one in asked.reasons]
    if reason and codes and reason not in codes:
        raise InputError(f"{reason!r} is not a reason to exclude at this stage; choose one of {', '.join(codes)}.")
    wanted.check()  # before anything is committed
    commit_audit(project, stage_name)
    with project.turn():
        review = project.snapshot()
        found = excludable(review, wanted, reviewer=reviewer, stage_name=stage_name)
        n = len(found.record_ids)
        if n > (MOST_AT_ONCE if confirmed is None else min(confirmed, MOST_AT_ONCE)):
            raise InputError(
                f"{plural(n, 'record')} would be excluded, and {MOST_AT_ONCE:,} at once are the most; narrow the search."
                if n > MOST_AT_ONCE
                else f"{plural(n, 'record')} {is_are(n)} found to be excluded by now, more than the {confirmed:,} that were "
                "confirmed; search again."
            )
        journal = ProjectJournal(project, review, found.stage, reviewer, {})
        rows = journal.stage.rows_of(found.record_ids)
        free = journal.free()
        ids = [i for i, row in zip(found.record_ids, rows.tolist(), strict=True) if row >= 0 and free[row]]
        events = project.log.decide(
            found.stage,
            [
                {"record_id": i, "label": Label.EXCLUDE, "reason": reason, "note": found.read_as, "origin": Origin.BULK}
                for i in ids
            ],
            reviewer=reviewer,
        )
    return Excluded(
        events[0].seq if events else None, found.stage, reviewer, found.read_as, found.found, len(ids), tuple(ids)
    )
