"""What the routes share: who asks, which review, how a record is listed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from ...log import Event
from ...project import Project, Snapshot
from ...studies import Beside
from ..access import Visitor, adjudicator, owner, review_of, screener, visitor
from ..reading import line
from ..sessions import Desk, Desks

router = APIRouter(
    prefix="/api",
    responses={
        401: {"description": "Nobody is logged in, or the token is not known."},
        403: {"description": "The role does not allow this, or the change comes from elsewhere."},
        409: {"description": "The session is being opened; ask again."},
        422: {"description": "The request is not valid; `detail` says why."},
    },
)
SEARCHED, LISTED = 50, 200
Review = Annotated[Snapshot, Depends(review_of)]
Anyone = Annotated[Visitor, Depends(visitor)]
Screener = Annotated[Visitor, Depends(screener)]  # whose screening session is opened, which writes to the log
Adjudicator = Annotated[Visitor, Depends(adjudicator)]
Owner = Annotated[Visitor, Depends(owner)]
RecordId = Annotated[int, Field(ge=1, le=2**31)]
Key = Annotated[
    str,
    Field(
        min_length=8,
        max_length=100,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Made by the client, one for each change: sent again, the change is made once.",
    ),
]
StageName = Annotated[str, Query(max_length=200, description="A stage of the protocol; by default the first.")]


def project_of(request: Request) -> Project:
    """Return the review of this server, to write to."""
    project: Project = request.app.state.project
    return project


def desks_of(request: Request) -> Desks:
    """Return the screening sessions of this server."""
    desks: Desks = request.app.state.desks
    return desks


def desk_of(request: Request, review: Snapshot, who: Visitor, stage: str = "") -> Desk:
    """Return the visitor's desk at a stage."""
    return desks_of(request).desk(review, who.name, stage)


def beside(request: Request, review: Snapshot, who: Visitor, stage: str, record_id: int) -> list[dict[str, object]]:
    """Return the other reports of a record's study that are to be read beside it, in lines; none at the first stage."""
    found: Beside | None = request.app.state.studies.of(review, stage, record_id, viewer=who.viewer)
    return [] if found is None else [{"text": text, "record_ids": list(ids)} for text, ids in found.lines]


def decision_as_json(event: Event | None) -> dict[str, object] | None:
    """Return a decision as the reviewer sees their own."""
    if event is None:
        return None
    return {
        "label": str(event.label),
        "reason": event.reason,
        "note": event.note,
        "at": event.at.isoformat(timespec="seconds"),
        "unread": event.is_unread,
    }


def read_by(event: Event | None) -> Event | None:
    """Return a decision if its reviewer had read the record: who is to read it now is not told of another."""
    return None if event is None or event.is_unread else event


def listed(review: Snapshot, desk: Desk, ids: list[int]) -> list[dict[str, object]]:
    """Return records as a list shows them, each with the decision of the person who asks."""
    records = {r.id: r for r in review.records.read(ids)} if ids else {}
    return [
        {
            "record_id": i,
            "title": line(records[i].title) or "(no title)",
            "year": records[i].year,
            "journal": line(records[i].journal),
            "decision": decision_as_json(desk.mine(review.live, i)),
        }
        for i in ids
    ]
