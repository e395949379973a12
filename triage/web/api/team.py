"""The team: conflicts, second looks, agreement, batches."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ... import assigning, team
from ...as_json import as_json
from ...errors import InputError
from ...found import Wanted
from ...log import Label, batches
from ...project import Role, Snapshot
from ...second_look import ask_for_second_looks, price_of_second_looks, second_looks
from ..access import Visitor
from ..reading import line
from .common import LISTED, Adjudicator, Anyone, Owner, RecordId, Review, StageName, desk_of, listed, project_of, router


class Settlement(BaseModel):
    """What a record in conflict is to be."""

    model_config = ConfigDict(extra="forbid")

    stage: str = Field("", max_length=200)
    record_id: RecordId
    label: Label
    reason: str = Field("", max_length=1_000)
    note: str = Field("", max_length=20_000)


def viewer_of(review: Snapshot, who: Visitor) -> str | None:
    """Return who asks for conflicts; None where nobody has an account, and one person sees all."""
    return who.name if review.people else None


def conflicts_of(review: Snapshot, stage_name: str, who: Visitor) -> team.Conflicts:
    """Return the conflicts that a visitor may see, by the role that they have here: a token may leave less of it."""
    return team.conflicts(review, stage_name or None, viewer=viewer_of(review, who), settles=who.may(Role.ADJUDICATOR))


@router.get("/access", tags=["team"])
def access(
    request: Request,
    who: Owner,
    since: Annotated[int, Query(ge=0, le=2**31)] = 0,
    most: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> dict[str, object]:
    """Return the access log, after line `since`: who came in or tried to, and what was done about access."""
    return as_json({"access": project_of(request).people.access_log(since, most)})


@router.get("/second-look", tags=["team"])
def second_look(request: Request, review: Review, who: Anyone, stage: StageName = "") -> dict[str, object]:
    """List the records that await the visitor's second look, at most 200, in the order in which they count.

    They are excluded records drawn at random, and were excluded by somebody else: judged again by
    `POST /api/decisions` they show what is proven of recall when wrong exclusions are counted. `price` says what so
    many more prove if none overturns an exclusion; `POST /api/second-look` asks for more. Where two judge each record
    none is listed: each is judged twice anyway, and the list would reveal what the first has decided.
    """
    desk = desk_of(request, review, who, stage)
    looks = second_looks(review, who.name, desk.stage_name)
    return {
        "stage": looks.stage,
        "sample": looks.sample,
        "judged": looks.judged,
        "waiting": len(looks.waiting),
        "own": looks.own,
        "more": looks.more,
        "price": [
            {"looks": one.looks, "recall_lower": one.recall_lower} for one in price_of_second_looks(review, looks.stage)
        ],
        "records": [
            {key: one[key] for key in ("record_id", "title", "year", "journal")}
            for one in listed(review, desk, list(looks.waiting[:LISTED]))
        ],
    }


class Asked(BaseModel):
    """How many second looks the visitor wants to take."""

    model_config = ConfigDict(extra="forbid")

    stage: str = Field("", max_length=200)
    size: int = Field(
        ge=1, le=100_000, description="How many should await the visitor, including those that already do."
    )


@router.post("/second-look", tags=["team"])
def ask_for_second_look(request: Request, review: Review, who: Anyone, asked: Asked) -> dict[str, object]:
    """Ask for second looks: a further sample of the excluded records is committed when too few await the visitor."""
    name = review.stage_name(asked.stage or None)
    return {"waiting": len(ask_for_second_looks(project_of(request), who.name, asked.size, name))}


@router.get("/conflicts", tags=["team"])
def conflicts(request: Request, review: Review, who: Anyone, stage: StageName = "") -> dict[str, object]:
    """List the records that reviewers disagree on, and those settled; to a reviewer, of records that they judged."""
    return as_json(conflicts_of(review, stage, who))


@router.post("/settlements", tags=["team"])
def settle(request: Request, review: Review, who: Adjudicator, given: Settlement) -> dict[str, object]:
    """Settle a conflict; sent again, it is written once."""
    project, stage = project_of(request), review.stage(given.stage or None)
    settled = stage.consensus.settled.get(stage.live.kept(given.record_id))
    if settled is None or (settled.label, settled.reason, settled.note) != (given.label, given.reason, given.note):
        team.settle(
            project,
            given.record_id,
            str(given.label),
            reviewer=who.name,
            stage_name=stage.name,
            reason=given.reason,
            note=given.note,
        )
    return as_json(conflicts_of(project.snapshot(), stage.name, who))


@router.get("/agreement", tags=["team"])
def agreement(request: Request, review: Review, who: Adjudicator, stage: StageName = "") -> dict[str, object]:
    """Say how well the reviewers agree, each coefficient with its interval."""
    return as_json(team.agreement(review, stage or None))


class Batch(BaseModel):
    """A batch that was handed out."""

    model_config = ConfigDict(extra="forbid")

    event: RecordId = Field(description="The first event of the batch, as `GET /api/batches` gives it.")


def batches_of(review: Snapshot, who: Visitor) -> list[dict[str, object]]:
    """Return the batches that a visitor can take back, the newest first: an owner everybody's, others their own."""
    found = [
        one for one in batches(review.events, review.live) if who.may(Role.OWNER) or one.first.reviewer == who.name
    ]
    return [
        {
            "event": one.first.seq,
            "stage": one.first.stage,
            "reviewer": one.first.reviewer,
            "file": line(one.first.note),
            "at": one.first.at.isoformat(timespec="seconds"),
            "handed_out": one.size,
            "left": len(one.left),
        }
        for one in reversed(found)
    ]


@router.get("/batches", tags=["team"])
def handed_out(request: Request, review: Review, who: Anyone) -> dict[str, object]:
    """List the batches handed out in files that can be taken back: to an owner everybody's, to others their own."""
    return {"batches": batches_of(review, who)}


@router.post("/batches/take-back", tags=["team"])
def take_batch_back(request: Request, review: Review, who: Anyone, batch: Batch) -> dict[str, object]:
    """Take a batch back: what its reviewer has decided on stays decided, and the other records return to the pool.

    Random draws among them are the next to be shown.
    """
    project = project_of(request)
    if batch.event not in [one["event"] for one in batches_of(review, who)]:
        raise InputError(f"Event {batch.event} begins no batch that you can take back.")
    return {"taken_back": [e.record_id for e in project.log.take_back(batch.event, reviewer=who.name)]}


class Assigned(BaseModel):
    """Records to be assigned to people: the ranking's next, or what a search finds."""

    model_config = ConfigDict(extra="forbid")

    stage: str = Field(default="", max_length=200)
    people: list[Annotated[str, Field(max_length=200)]] = Field(min_length=1, max_length=100)
    top: int | None = Field(
        default=None,
        ge=1,
        le=assigning.MOST_AT_ONCE,
        description="So many of the ranking's next; with a search, of what it finds.",
    )
    q: str = Field(default="", max_length=300)
    source: str = Field(default="", max_length=300)
    tag: str = Field(default="", max_length=200)
    each: int = Field(default=1, ge=1, le=10, description="To how many of them each record is assigned.")


class AssignmentsBack(BaseModel):
    """Whose records are to be free again."""

    model_config = ConfigDict(extra="forbid")

    stage: str = Field(default="", max_length=200)
    reviewer: str = Field(min_length=1, max_length=200)


@router.get("/assignments", tags=["team"])
def assignments(request: Request, review: Review, who: Anyone, stage: StageName = "") -> dict[str, object]:
    """Say how many records are assigned to each person, and how many of them they have judged.

    Where two judge each record, everybody but an owner learns this of themselves.
    """
    return {"assigned": [as_json(one) for one in assigning.assigned(review, stage or None, viewer=who.viewer)]}


@router.post("/assignments", tags=["team"])
def assign(request: Request, review: Review, who: Owner, given: Assigned) -> dict[str, object]:
    """Assign records to people in turn; they get them first, and nobody else does while enough people have them.

    Random draws come from all records, no matter to whom they are assigned.
    """
    wanted = Wanted(given.q, given.source, given.tag)
    return as_json(
        assigning.assign(
            project_of(request),
            given.people,
            reviewer=who.name,
            wanted=wanted if given.q or given.source or given.tag else None,
            top=given.top,
            each=given.each,
            stage_name=given.stage or None,
        )
    )


@router.post("/assignments/take-back", tags=["team"])
def take_assignments_back(request: Request, review: Review, who: Owner, given: AssignmentsBack) -> dict[str, object]:
    """Free the records that are assigned to a person and that they have not judged."""
    left = assigning.take_back(project_of(request), given.reviewer, reviewer=who.name, stage_name=given.stage or None)
    return {"taken_back": [e.record_id for e in left]}
