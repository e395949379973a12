"""What a team has to know of itself: where its members disagree, and how well they agree."""

from __future__ import annotations

from .decisions import Event, Label, visible
from .errors import InputError
from .project import Project, Role, Stage


def conflicts(project: Project, stage_name: str | None = None, *, viewer: str | None = None) -> dict[str, object]:
    """Return the records whose reviewers disagree, as `triage conflicts --json` prints them.

    Parameters
    ----------
    project : Project
    stage_name : str, optional
        The first stage when left out.
    viewer : str, optional
        Who asks: a reviewer sees the conflicts of records that they have judged too, and no decision before
        all that the protocol asks for are there; everything when left out.
    """
    stage = project.stage(stage_name)
    seen = _decisions(project, stage, viewer)
    agreed = stage.consensus

    def listed(record_ids) -> list[dict[str, object]]:
        here = [r for r, row in zip(record_ids, stage.rows_of(record_ids).tolist(), strict=True) if row >= 0]
        titles = {r.id: r.title for r in project.shown_records(stage, stage.rows_of(here))}
        return [{
            "record_id": r, "title": titles[r], "stage": stage.name, "decisions": [_as_json(e) for e in seen[r]],
            **({"settled": _as_json(agreed.settled[r])} if r in agreed.settled else {}),
        } for r in here]

    return {
        "stage": stage.name, "conflicts": listed(sorted(agreed.conflicts & seen.keys())),
        "settled": listed(sorted(agreed.settled.keys() & seen.keys())),
    }


def _decisions(project: Project, stage: Stage, viewer: str | None) -> dict[int, list[Event]]:
    if viewer is None:
        return visible(stage.live, stage.name, "", reviewers_per_record=1)
    person = project.person(viewer)
    return visible(
        stage.live, stage.name, viewer, reviewers_per_record=project.protocol().reviewers_per_record,
        settles=person is not None and person.role is not Role.REVIEWER,
    )


def _as_json(event: Event) -> dict[str, object]:
    return {"seq": event.seq, "reviewer": event.reviewer, "label": str(event.label), "reason": event.reason,
            "note": event.note, "decided_at": event.at.isoformat(timespec="seconds")}


def settle(
    project: Project, record_id: int, label: str, *, reviewer: str, stage_name: str | None = None, reason: str = "",
    note: str = "",
) -> Event:
    """Settle what the reviewers of a record disagree on.

    Raises
    ------
    InputError
        When the record is in no conflict, the label is none, or the person may not settle.
    """
    if label not in list(Label):
        raise InputError(f"{label!r} is no label; the labels are: {', '.join(Label)}.")
    stage = project.stage(stage_name)
    return project.settle(stage.name, record_id, Label(label), reviewer=reviewer, reason=reason, note=note)
