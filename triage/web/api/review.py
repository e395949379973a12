"""The state of the review, and what is written out of it."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import ceil
from pathlib import Path
from statistics import median
from typing import Annotated, Literal

from fastapi import Query, Request
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from ... import intake, report, status, stopping, stops
from ...as_json import as_json
from ...errors import InputError
from ...flow import flow
from ...log import Kind
from ...log.printing import event_as_json
from ...project import AccessKind, Role, Snapshot
from ..access import Visitor
from .common import Anyone, Owner, Review, StageName, project_of, router

_RECENT, _LEAST_A_DAY = 28, 5  # days that a pace is taken from, and decisions that make a day one of work
_LATEST = 3_650  # days to which a date is named
_EXPORTS = {
    "ris": "application/x-research-info-systems",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "bib": "application/x-bibtex",
}
_FIGURES = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "pdf": "application/pdf",
    "csv": "text/csv",
    "html": "text/html",
}


class Statuses:
    """What `triage status` says, kept while nothing is new in the log."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None], tuple[tuple[object, ...], status.Status]] = {}
        self._lock = threading.Lock()

    def of(self, review: Snapshot, stage_name: str, viewer: str | None = None) -> status.Status:
        """Return the status of a stage, to a viewer who is to stay blind as they may know it."""
        key = stage_name, viewer if review.protocol.reviewers_per_record > 1 else None
        with self._lock:
            at = (review.live.last_seq, review.n_records, review.protocol_versions[-1])
            known = self._known.get(key)
            if known is None or known[0] != at:
                known = self._known[key] = (at, status.status(review, stage_name, viewer=viewer))
            return known[1]


def paces(review: Snapshot, stage_name: str, who: Visitor) -> list[dict[str, object]]:
    """Return decisions and pace of each reviewer; to a reviewer, only their own."""
    events = review.events
    read = ((stage, name) for (stage, _, name), e in review.live.decisions.items() if not e.is_unread)
    decided = Counter(name for stage, name in read if stage == stage_name)
    names = sorted(decided) if who.may(Role.ADJUDICATOR) else [who.name]
    return [
        {
            "reviewer": name,
            "decisions": decided[name],
            "seconds_per_record": status.seconds_per_record((e for e in events if e.reviewer == name), stage_name),
        }
        for name in names
    ]


@dataclass(frozen=True, slots=True)
class Outlook:
    """When screening may end, at the pace of who asks.

    Attributes
    ----------
    a_day : float or None
        Records that they decided on, on a day with decisions, in the last 28 days; None before five on any day.
    until : date or None
        When the median forecast is reached at that pace, by all who screen alike; None without a pace.
    """

    a_day: float | None
    until: date | None


def outlook(review: Snapshot, stage_name: str, who: Visitor, facts: status.Status) -> Outlook:
    """Return when screening may end at the visitor's own pace."""
    now = datetime.now(UTC)
    days = Counter(
        e.at.date()
        for e in review.events
        if e.kind is Kind.DECISION
        and not e.is_unread
        and e.reviewer == who.name
        and e.stage == stage_name
        and (now - e.at).days < _RECENT
    )
    busy = [n for n in days.values() if n >= _LEAST_A_DAY]
    if not busy:
        return Outlook(None, None)
    a_day = median(busy)
    left = facts.workload.records_to_certificate.p50
    return Outlook(a_day, (now + timedelta(days=min(ceil(left / a_day), _LATEST))).date() if left else None)


@router.get("/status", tags=["review"])
def review_status(request: Request, review: Review, who: Anyone, stage: StageName = "") -> dict[str, object]:
    """Return the state of the stage; the keys are those of `triage status --json`.

    Where two judge each record it says to all but owners what is so of their own decisions and of the records that
    are done. So do the flow, the conflicts, what has no PDF and the second looks.
    """
    name = review.stage_name(stage or None)
    facts: status.Status = request.app.state.statuses.of(review, name, who.viewer)
    return {**as_json(facts), "pace": paces(review, name, who)}


class StopRequest(BaseModel):
    """That the screening of a stage ends."""

    model_config = ConfigDict(extra="forbid")

    stage: str = Field("", max_length=200, description="By default the first stage.")
    note: str = Field("", max_length=2000)
    anyway: bool = Field(False, description="Stop although the stopping rule says to go on.")


@router.post("/stop", tags=["review"])
def stop(request: Request, review: Review, who: Owner, given: StopRequest) -> dict[str, object]:
    """End the screening of a stage: the log says who did, by which rule and on which evidence."""
    made = stopping.stop(
        project_of(request), reviewer=who.name, stage_name=given.stage or None, note=given.note, anyway=given.anyway
    )
    return {**as_json(made), "stands": made.stands}


@router.delete("/stop", tags=["review"])
def take_stop_back(request: Request, review: Review, who: Owner, stage: StageName = "") -> dict[str, object]:
    """Take the stop of a stage back."""
    name = review.stage_name(stage or None)
    if (standing := stops.newest(review, name)) is None:
        raise InputError(f"Nobody has stopped the stage {name!r}.")
    project_of(request).log.undo(standing.event, reviewer=who.name)
    return {"undone": standing.event}


@router.get("/flow", tags=["review"])
def review_flow(request: Request, review: Review, who: Anyone) -> dict[str, object]:
    """Count the way of the records through the review."""
    counted = flow(review, viewer=who.viewer, known=request.app.state.studies.known)
    return {
        "retrieved": counted.retrieved,
        "duplicates": counted.duplicates,
        "removed": counted.removed,
        "stages": [
            {
                "name": s.name,
                "entered": s.entered,
                "unscreened": s.unscreened,
                "conflicts": s.conflicts,
                "excluded": s.excluded,
                "included": s.included,
                "maybe": s.maybe,
                "not_retrieved": s.n_not_retrieved,
                "marked": s.marked,
                "unread": s.unread,
            }
            for s in counted.stages
        ],
        "included": {"studies": counted.n_studies, "reports": counted.stages[-1].included},
    }


@router.get("/export", tags=["review"], response_class=FileResponse)
def export(
    request: Request,
    review: Review,
    who: Owner,
    format: Literal["ris", "csv", "tsv", "xlsx", "bib"] = "csv",
    stage: StageName = "",
    only: Annotated[list[Literal["included", "excluded", "maybe", "unscreened"]] | None, Query()] = None,
) -> Response:
    """Write records with every imported field and the decisions of all reviewers."""
    stage_name = review.stage_name(stage or None)
    name = f"{'-'.join(only or ['all'])}.{format}"
    _note_export(request, review, who, name)
    return _made(
        lambda path: intake.export(review, path, only=only or (), stage_name=stage_name), name, _EXPORTS[format]
    )


@router.get("/report", tags=["review"], response_class=FileResponse)
def report_file(
    request: Request,
    review: Review,
    who: Owner,
    format: Literal["html", "svg", "png", "pdf", "csv"] = "html",
    stage: StageName = "",
) -> Response:
    """Write the report (html), the flow figure (svg, png, pdf) or its counts for PRISMA2020 (csv)."""
    stage_name = review.stage_name(stage or None)
    name = {"html": "report.html", "csv": "prisma.csv"}.get(format, f"flow.{format}")
    _note_export(request, review, who, name)
    return _made(
        lambda path: report.write_report(review, path, request.app.state.statuses.of(review, stage_name)),
        name,
        _FIGURES[format],
    )


def _note_export(request: Request, review: Snapshot, who: Visitor, name: str) -> None:
    """Write into the access log who took what out, where people log in."""
    if review.people:
        project_of(request).people.note(AccessKind.EXPORTED, who.by, note=name)


def _made(write: Callable[[Path], object], name: str, media_type: str) -> FileResponse:
    folder = Path(tempfile.mkdtemp(prefix="triage-"))
    try:
        write(folder / name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # Always to be saved, never shown: a page of records in this address's name could act in it.
    return FileResponse(
        folder / name,
        media_type=media_type,
        filename=name,
        content_disposition_type="attachment",
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )


@router.get("/log", tags=["review"])
def log(
    request: Request,
    review: Review,
    who: Owner,
    since: Annotated[int, Query(ge=0, le=2**31)] = 0,
    most: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> dict[str, object]:
    """Return events of the log, in its order, after number `since`."""
    found = review.events_between(since)[:most]
    if found:  # a program that asks again and again whether there is more takes nothing out
        _note_export(request, review, who, f"log, after event {since}")
    return {"events": [event_as_json(e) for e in found]}
