"""The interface to programs, which the pages use too: JSON, described at /api."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, File, Form, Query, Request, UploadFile
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from .. import dedupe, fulltext, intake, report, status, team
from .. import __version__
from ..decisions import Event, Kind, Label, Live, batches
from ..errors import InputError
from ..project import Project, Role, Snapshot
from ..reading import plain
from ..report import doi_link, pmid_link
from .access import Visitor, adjudicator, owner, review_of, visitor
from .desks import Desk, Desks, as_read, line, words_of

router = APIRouter(
    prefix="/api",
    responses={
        401: {"description": "Nobody is logged in, or the token is not known."},
        403: {"description": "The role does not allow this, or the change comes from elsewhere."},
        409: {"description": "The session is being opened; ask again."},
        422: {"description": "What was sent is not right; `detail` says what."},
    },
)

_SEARCHED, _LISTED = 50, 200
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

Review = Annotated[Snapshot, Depends(review_of)]
Anyone = Annotated[Visitor, Depends(visitor)]
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
StageName = Annotated[str, Query(max_length=200, description="A stage of the protocol; the first when left out.")]


class _Change(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: Key
    stage: str = Field("", max_length=200)


class Decision(_Change):
    """A judgement of one record."""

    record_id: RecordId
    label: Label
    reason: str = Field("", max_length=1_000)
    note: str = Field("", max_length=20_000)
    tags: list[Annotated[str, Field(max_length=200)]] | None = Field(None, max_length=200)
    next: bool = Field(True, description="Whether the next records are to be put before the reviewer, too.")


class Skip(_Change):
    """A record to be set aside."""

    record_id: RecordId


class Undo(_Change):
    """The last decision, to be taken back; only if it is the one on `record_id`, where that is given."""

    record_id: RecordId | None = None


class Answer(BaseModel):
    """Whether two records are one."""

    model_config = ConfigDict(extra="forbid")

    kept_id: RecordId
    copy_id: RecordId
    same: bool | None = Field(description="true links the copy, false tells the two apart, null takes the answer back.")


def project_of(request: Request) -> Project:
    """Return the review of this server, to write to."""
    return request.app.state.project


def desk_of(request: Request, review: Snapshot, who: Visitor, stage: str = "") -> Desk:
    """Return the visitor's desk at a stage."""
    desks: Desks = request.app.state.desks
    return desks.desk(review, who.name, stage)


# -- screening ----------------------------------------------------------------------------------


@router.get("/session", tags=["screening"])
def session(request: Request, review: Review, who: Anyone, stage: StageName = "") -> dict:
    """Say who is asking, and what the protocol asks at a stage: reasons, criteria, tags."""
    protocol, now = review.protocol, review.asked(stage or None)
    return {
        "reviewer": who.name,
        "role": str(who.role),
        "csrf": who.csrf,
        "stage": now.name,
        "stages": [s.name for s in protocol.stages],
        "reasons": [{"code": line(c.code), "text": plain(c.text)} for c in now.reasons],
        "include": [plain(c.text) for c in protocol.include],
        "exclude": [plain(c.text) for c in protocol.exclude],
        "question": plain(protocol.question),
        "tags": list(protocol.tags),
    }


@router.get("/queue", tags=["screening"])
def queue(request: Request, review: Review, who: Anyone, stage: StageName = "") -> dict:
    """Put the next records before the reviewer: the one to judge now, and those to come after it.

    `counts` says what is screened, found relevant and left by now, as far as the reviewer's own decisions and records
    that are done tell; `recall` what was certified so many decisions ago; `state` both in one line. While the session
    is opened, `preparing` says how far it is.
    """
    return queue_of(desk_of(request, review, who, stage))


def queue_of(desk: Desk) -> dict:
    """Return the records before the reviewer, each with its PDFs, and the reviewer's own decision where there is one."""
    found = desk.queue()
    live = desk.project.live()
    files = attachments_of(desk.project, live, [one["record_id"] for one in found["records"]])
    return {
        **found,
        "records": [
            {**one, "files": files[one["record_id"]], "decision": decision_as_json(desk.mine(live, one["record_id"]))}
            for one in found["records"]
        ],
    }


@router.post("/decisions", tags=["screening"])
def decide(request: Request, review: Review, who: Anyone, decision: Decision) -> dict:
    """Judge a record; the decision is on the disk when this answers. The next records come with it, unless not wanted."""
    desk = desk_of(request, review, who, decision.stage)
    done = desk.decide(decision.key, decision.record_id, decision.label, decision.reason, decision.note, decision.tags)
    return {"done": done, **(queue_of(desk) if decision.next else {})}


@router.post("/skips", tags=["screening"])
def skip(request: Request, review: Review, who: Anyone, change: Skip) -> dict:
    """Set a record aside; it comes back after some decisions."""
    desk = desk_of(request, review, who, change.stage)
    return {"done": desk.skip(change.key, change.record_id), **queue_of(desk)}


@router.post("/undo", tags=["screening"])
def undo(request: Request, review: Review, who: Anyone, change: Undo) -> dict:
    """Take the reviewer's last decision back; the log keeps both."""
    desk = desk_of(request, review, who, change.stage)
    return {"done": desk.undo(change.key, change.record_id), **queue_of(desk)}


@router.get("/why/{record_id}", tags=["screening"])
def why(request: Request, review: Review, who: Anyone, record_id: RecordId, stage: StageName = "") -> dict:
    """Say what speaks for and against a record: terms, criteria, records judged before."""
    return desk_of(request, review, who, stage).why(record_id)


# -- records ------------------------------------------------------------------------------------


def decision_as_json(event: Event | None) -> dict | None:
    """Return a decision as the reviewer sees their own."""
    if event is None:
        return None
    return {
        "label": str(event.label),
        "reason": event.reason,
        "note": event.note,
        "at": event.at.isoformat(timespec="seconds"),
    }


@router.get("/records/{record_id}", tags=["records"])
def record(request: Request, review: Review, who: Anyone, record_id: RecordId, stage: StageName = "") -> dict:
    """Return a record as reviewers see it, and the reviewer's own decision on it."""
    desk = desk_of(request, review, who, stage)
    here = review.stage(desk.stage_name, viewer=who.viewer)
    kept = here.live.kept(record_id)
    row = int(here.rows_of([kept])[0])
    found = review.records.shown(here, [row])[0] if row >= 0 else review.records.one(kept)
    tags = here.live.tagged(desk.stage_name, who.name).get(kept, ())
    return {
        **as_read(found, words_of(review.protocol)),
        "at_stage": row >= 0,
        "tags": [e.reason for e in tags],
        "files": attachments_of(project_of(request), review.live, [kept])[kept],
        "decision": decision_as_json(desk.mine(review.live, kept)),
    }


def found_records(review: Snapshot, wanted: str) -> Iterator[int]:
    """Yield the ids under which the records are shown that hold every word wanted."""
    words = [word.casefold() for word in wanted.split()]
    live = review.live
    seen = set()
    for one in review.records.read():
        text = " ".join(
            (one.title, one.abstract, *one.authors, one.journal, str(one.year or ""), one.doi, one.pmid, *one.keywords)
        ).casefold()
        kept = live.kept(one.id)
        if kept not in seen and all(word in text for word in words):
            seen.add(kept)
            yield kept


def search_results(review: Snapshot, desk: Desk, wanted: str, most: int = _SEARCHED) -> tuple[list[dict], bool]:
    """Return the first records found, and whether there are more."""
    ids: list[int] = []
    if wanted.split():
        for kept in found_records(review, wanted):
            if len(ids) == most:
                return _listed(review, desk, ids), True
            ids.append(kept)
    return _listed(review, desk, ids), False


def _listed(review: Snapshot, desk: Desk, ids: list[int]) -> list[dict]:
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


@router.get("/search", tags=["records"])
def search(
    request: Request,
    review: Review,
    who: Anyone,
    q: Annotated[str, Query(min_length=1, max_length=300)],
    stage: StageName = "",
) -> dict:
    """Find records that hold every word: in title, abstract, authors, journal, year, DOI, PMID and keywords."""
    found, more = search_results(review, desk_of(request, review, who, stage), q)
    return {"records": found, "more": more}


def own_decisions(review: Snapshot, desk: Desk, label: str = "", reason: str = "", words: str = "") -> list[Event]:
    """Return the reviewer's decisions in force at a stage, the newest first."""
    live = review.live
    mine = [e for (stage, _, who), e in live.decisions.items() if stage == desk.stage_name and who == desk.reviewer]
    mine = [e for e in mine if label in ("", str(e.label)) and reason in ("", e.reason)]
    if words.split():
        ids = set(found_records(review, words))
        mine = [e for e in mine if live.kept(e.record_id) in ids or words.casefold() in e.note.casefold()]
    return sorted(mine, key=lambda e: -e.seq)


@router.get("/history", tags=["records"])
def history(
    request: Request,
    review: Review,
    who: Anyone,
    stage: StageName = "",
    label: Literal["", "include", "exclude", "maybe"] = "",
    reason: Annotated[str, Query(max_length=1_000)] = "",
    q: Annotated[str, Query(max_length=300)] = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> dict:
    """List the reviewer's own decisions that are in force, the newest first."""
    desk = desk_of(request, review, who, stage)
    mine = own_decisions(review, desk, label, reason, q)
    here = mine[(page - 1) * _LISTED : page * _LISTED]
    return {
        "total": len(mine),
        "page": page,
        "pages": -(-len(mine) // _LISTED),
        "decisions": _listed(review, desk, [review.live.kept(e.record_id) for e in here]),
    }


# -- full texts ---------------------------------------------------------------------------------


class FileNames:
    """Tells by a PDF's name which record it is of; what that needs of the records is kept while none is new."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: fulltext.Names | None = None
        self._lock = threading.Lock()

    def match(self, review: Snapshot, name: str) -> fulltext.Attached:
        """Return the record, or why there is none."""
        with self._lock:
            if self._known is None or self._known.n_records != review.n_records:
                self._known = fulltext.Names(self._project)
            return fulltext.match(name, self._known)


def attachments_of(project: Project, live: Live, record_ids: list[int]) -> dict[int, list[dict]]:
    """Return what is attached to each of these records."""
    given = {i: live.attachments(i) for i in record_ids}
    sizes = project.attachments.sizes({e.reason for events in given.values() for e in events})
    return {
        i: [{**one, "name": line(one["name"])} for one in fulltext.as_json(events, sizes)]
        for i, events in given.items()
    }


@router.post("/attachments", tags=["full texts"])
def attach(
    request: Request,
    review: Review,
    who: Anyone,
    file: Annotated[UploadFile, File()],
    record_id: Annotated[
        int | None,
        Form(ge=1, le=2**31, description="Told by the file's name when left out: our number, DOI, PMID or title."),
    ] = None,
    replaces: Annotated[
        list[int] | None, Form(max_length=100, description="Events of attachments that it takes the place of.")
    ] = None,
) -> dict:
    """Attach a PDF to a record. It is on the disk when this answers; sent again, it is attached once.

    Where the file's name does not tell the record, nothing is written, and `message` says so.
    """
    project, name = project_of(request), file_name(file.filename)
    if record_id is None:
        found: fulltext.Attached = request.app.state.names.match(review, name)
        if found.record_id is None:
            return {"file": name, "record_id": None, "message": found.message, "files": []}
        record_id = found.record_id
    record_id = review.live.kept(record_id)
    fulltext.check_pdf(name, file.file.read(1_024), file.size or 0)
    file.file.seek(0)
    _, is_new = fulltext.attach(project, record_id, name, file.file.read(), reviewer=who.name, replaces=replaces or ())
    return {
        "file": name,
        "record_id": record_id,
        "message": "" if is_new else "It was attached already.",
        "files": attachments_of(project, project.live(), [record_id])[record_id],
    }


@router.get("/attachments", tags=["full texts"])
def attachments(
    request: Request, review: Review, who: Anyone, record_id: Annotated[int, Query(ge=1, le=2**31)]
) -> dict:
    """List the PDFs of a record."""
    kept = review.live.kept(record_id)
    return {"record_id": kept, "files": attachments_of(project_of(request), review.live, [kept])[kept]}


@router.get(
    "/attachments/{event}",
    tags=["full texts"],
    response_class=Response,
    responses={
        200: {"content": {"application/pdf": {}}, "description": "The PDF."},
        404: {"description": "There is no such PDF."},
    },
)
def attachment(
    request: Request,
    review: Review,
    who: Anyone,
    event: RecordId,
    save: Annotated[bool, Query(description="To be saved, not shown.")] = False,
) -> Response:
    """Return an attached PDF, also one that was taken off since: the log tells of it."""
    found = next((e for e in review.events_between(event - 1, event) if e.kind is Kind.ATTACHED), None)
    content = project_of(request).attachments.content(found.reason) if found is not None else None
    if content is None:
        raise HTTPException(404, "There is no such PDF.")
    how = "attachment" if save else "inline"
    return Response(
        content,
        media_type="application/pdf",
        headers={"content-disposition": f"{how}; filename*=UTF-8''{quote(found.note, safe='')}"},
    )


@router.delete("/attachments/{event}", tags=["full texts"])
def detach(request: Request, review: Review, who: Anyone, event: RecordId) -> dict:
    """Take a PDF off its record; the log keeps both. Sent again, it is taken off once."""
    project = project_of(request)
    found = next((e for e in review.events_between(event - 1, event) if e.kind is Kind.ATTACHED), None)
    if found is None:
        raise InputError(f"Event {event} attached no file.")
    if fulltext.attached_by(review.live, event) is not None:
        fulltext.detach(project, event, reviewer=who.name)
    kept = review.live.kept(found.record_id)
    return {"record_id": kept, "files": attachments_of(project, project.live(), [kept])[kept]}


@router.get("/missing", tags=["full texts"])
def missing(request: Request, review: Review, who: Anyone, stage: StageName = "") -> dict:
    """List the records of a stage, the last when none is named, that have no PDF: at most 200 of them."""
    return missing_full_texts(review, who, stage)


def missing_full_texts(review: Snapshot, who: Visitor, stage_name: str = "") -> dict:
    """Return how many records of a stage have a PDF, and those that have none."""
    stage = fulltext.stage_of_full_texts(review, stage_name or None, viewer=who.viewer)
    ids = fulltext.without(stage)
    records = review.records.shown(stage, stage.rows_of(ids[:_LISTED])) if ids else []
    return {
        "stage": stage.name,
        "records": len(stage.record_ids),
        "missing": len(ids),
        "list": [
            {
                "record_id": r.id,
                "title": line(r.title) or "(no title)",
                "year": r.year,
                "journal": line(r.journal),
                "doi_link": doi_link(r.doi),
                "pmid_link": pmid_link(r.pmid),
            }
            for r in records
        ],
    }


# -- where the review stands --------------------------------------------------------------------


class Statuses:
    """What `triage status` says, kept while nothing is new in the log."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None], tuple[tuple, dict]] = {}
        self._lock = threading.Lock()

    def of(self, review: Snapshot, stage_name: str, viewer: str | None = None) -> dict:
        """Return the status of a stage, to a viewer who is to stay blind as they may know it."""
        key = stage_name, viewer if review.protocol.reviewers_per_record > 1 else None
        with self._lock:
            at = (review.live.last_seq, review.n_records, review.protocol_versions[-1])
            if self._known.get(key, (None,))[0] != at:
                self._known[key] = (at, status.status(review, stage_name, viewer=viewer))
            return self._known[key][1]


def paces(review: Snapshot, stage_name: str, who: Visitor) -> list[dict]:
    """Return decisions and pace of each reviewer; of the visitor alone to a reviewer."""
    events = review.events
    decided = Counter(name for (stage, _, name) in review.live.decisions if stage == stage_name)
    names = sorted(decided) if who.may(Role.ADJUDICATOR) else [who.name]
    return [
        {
            "reviewer": name,
            "decisions": decided[name],
            "seconds_per_record": status.seconds_per_record((e for e in events if e.reviewer == name), stage_name),
        }
        for name in names
    ]


@router.get("/status", tags=["review"])
def review_status(request: Request, review: Review, who: Anyone, stage: StageName = "") -> dict:
    """Say where the stage stands; the keys are those of `triage status --json`.

    Where two judge each record it says to all but owners what is so of their own decisions and of the records that
    are done. So do the flow, the conflicts, what has no PDF and the second looks.
    """
    name = review.stage_name(stage or None)
    facts = request.app.state.statuses.of(review, name, who.viewer)
    return {**facts, "pace": paces(review, name, who)}


@router.get("/flow", tags=["review"])
def review_flow(request: Request, review: Review, who: Anyone) -> dict:
    """Count the way of the records through the review."""
    counted = status.flow(review, viewer=who.viewer)
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
            }
            for s in counted.stages
        ],
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
    return _made(
        lambda path: report.write_report(review, path, request.app.state.statuses.of(review, stage_name)),
        name,
        _FIGURES[format],
    )


def _made(write, name: str, media_type: str) -> FileResponse:
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
) -> dict:
    """Return events of the log, in its order, after number `since`."""
    return {"events": [intake.event_as_json(e) for e in review.events_between(since)[:most]]}


# -- the team -----------------------------------------------------------------------------------


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


@router.get("/second-look", tags=["team"])
def second_look(request: Request, review: Review, who: Anyone, stage: StageName = "") -> dict:
    """List the records that await the visitor's second look, at most 200, in the order in which they count.

    They are of a random sample of the excluded records, and were excluded by somebody else: judged again by
    `POST /api/decisions` they tell how often a relevant record is excluded by mistake. Where two judge each record
    none is listed: each is judged twice anyway, and the list would tell what the first has decided.
    """
    desk = desk_of(request, review, who, stage)
    looks = status.second_looks(review, who.name, desk.stage_name)
    return {
        "stage": looks.stage,
        "sample": looks.sample,
        "judged": looks.judged,
        "waiting": len(looks.waiting),
        "own": looks.own,
        "records": [
            {key: one[key] for key in ("record_id", "title", "year", "journal")}
            for one in _listed(review, desk, list(looks.waiting[:_LISTED]))
        ],
    }


@router.get("/conflicts", tags=["team"])
def conflicts(request: Request, review: Review, who: Anyone, stage: StageName = "") -> dict:
    """List the records that reviewers disagree on, and those settled; to a reviewer, of records that they judged."""
    return team.conflicts(review, stage or None, viewer=viewer_of(review, who))


@router.post("/settlements", tags=["team"])
def settle(request: Request, review: Review, who: Adjudicator, given: Settlement) -> dict:
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
    return team.conflicts(project.snapshot(), stage.name, viewer=viewer_of(review, who))


@router.get("/agreement", tags=["team"])
def agreement(request: Request, review: Review, who: Adjudicator, stage: StageName = "") -> dict:
    """Say how well the reviewers agree, each coefficient with its interval."""
    return team.agreement(review, stage or None)


class Batch(BaseModel):
    """A batch that was handed out."""

    model_config = ConfigDict(extra="forbid")

    event: RecordId = Field(description="The first event of the batch, as `GET /api/batches` tells it.")


def batches_of(review: Snapshot, who: Visitor) -> list[dict]:
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
def handed_out(request: Request, review: Review, who: Anyone) -> dict:
    """List the batches handed out in files that can be taken back: to an owner everybody's, to others their own."""
    return {"batches": batches_of(review, who)}


@router.post("/batches/take-back", tags=["team"])
def take_batch_back(request: Request, review: Review, who: Anyone, batch: Batch) -> dict:
    """Take a batch back: what its reviewer has decided on stays decided, and the other records return to the pool.

    Random draws among them are the next to be shown.
    """
    project = project_of(request)
    if batch.event not in [one["event"] for one in batches_of(review, who)]:
        raise InputError(f"Event {batch.event} begins no batch that you can take back.")
    return {"taken_back": [e.record_id for e in project.log.take_back(batch.event, reviewer=who.name)]}


# -- files --------------------------------------------------------------------------------------


def file_name(given: str | None) -> str:
    """Return a file's name as one that can be written anywhere, with its ending."""
    name = unicodedata.normalize("NFC", (given or "").replace("\\", "/").rsplit("/", 1)[-1])
    name = re.sub(r"[^\w .()+-]", "_", name).strip(" .")
    stem, dot, ending = name.rpartition(".")
    return f"{stem[:100]}{dot}{ending[:20]}" if stem else (name[:100] or "file")


@router.post("/import", tags=["files"])
def import_files(
    request: Request,
    review: Review,
    who: Owner,
    files: Annotated[list[UploadFile], File(max_length=100)],
    source: Annotated[str, Form(max_length=200)] = "",
) -> dict:
    """Read exports into the review, all of them or none; say per file what was announced, kept and at fault."""
    project = project_of(request)
    with tempfile.TemporaryDirectory(prefix="triage-") as folder:
        paths = []
        for number, file in enumerate(files):
            place = Path(folder, str(number))
            place.mkdir()
            path = place / file_name(file.filename)
            with path.open("wb") as written:
                shutil.copyfileobj(file.file, written, 1 << 20)
            paths.append(path)
        try:
            done = intake.import_files(project, paths, reviewer=who.name, source=source or None)
        except InputError as error:
            raise InputError(str(error).replace(folder, "").lstrip("/0123456789/")) from error
    return {
        "files": [{**intake.as_json(one), "file": Path(one.file).name} for one in done],
        "records": project.snapshot().n_records,
    }


class Questions:
    """The pairs of records that may be one, as they were last looked for."""

    def __init__(self) -> None:
        self.found: intake.Deduped | None = None
        self.answers: dict[tuple[int, int], bool] = {}
        self.lock = threading.Lock()

    def as_json(self, first: int = 0, most: int = 20) -> dict:
        """Return the open questions, each pair's fields side by side."""
        if self.found is None:
            return {"looked": False, "open": 0, "pairs": []}
        pairs = [m for m in self.found.maybes if (m.kept.id, m.copy.id) not in self.answers]
        return {
            "looked": True,
            "records": self.found.records,
            "linked": self.found.linked,
            "duplicates": self.found.duplicates,
            "open": len(pairs),
            "pairs": [
                {
                    "kept_id": m.kept.id,
                    "copy_id": m.copy.id,
                    "why": line(m.why),
                    "fields": [
                        {"name": f.name, "kept": line(f.kept), "copy": line(f.copy), "agreement": str(f.agreement)}
                        for f in dedupe.side_by_side(m.kept, m.copy)
                    ],
                }
                for m in pairs[first : first + most]
            ],
        }


@router.get("/duplicates", tags=["files"])
def duplicates(request: Request, review: Review, who: Owner) -> dict:
    """List pairs of records that may be one, side by side, as they were last looked for."""
    return request.app.state.questions.as_json()


@router.post("/duplicates", tags=["files"])
def find_duplicates(request: Request, review: Review, who: Owner) -> dict:
    """Link the records that are surely duplicates, and look for those that may be."""
    questions: Questions = request.app.state.questions
    with questions.lock:
        questions.found, questions.answers = intake.find_duplicates(project_of(request), reviewer=who.name), {}
        return questions.as_json()


@router.post("/duplicates/answers", tags=["files"])
def answer(request: Request, review: Review, who: Owner, given: Answer) -> dict:
    """Say whether two records are one; sent again, it is written once."""
    questions: Questions = request.app.state.questions
    with questions.lock:
        pair = given.kept_id, given.copy_id
        maybe = (
            next((m for m in questions.found.maybes if (m.kept.id, m.copy.id) == pair), None)
            if questions.found
            else None
        )
        if maybe is None:
            raise InputError("This pair is no open question; look for duplicates again.")
        if questions.answers.get(pair) != given.same:
            if pair in questions.answers:
                intake.settle_maybe(project_of(request), maybe, None, reviewer=who.name)
                del questions.answers[pair]
            if given.same is not None:
                intake.settle_maybe(project_of(request), maybe, given.same, reviewer=who.name)
                questions.answers[pair] = given.same
        return questions.as_json()


# -- the description ----------------------------------------------------------------------------


@router.get("/openapi.json", tags=["this interface"])
def description(request: Request, review: Review, who: Anyone) -> dict:
    """Return this interface's description as OpenAPI."""
    return request.app.openapi()


@router.get("/version", tags=["this interface"])
def version(who: Anyone) -> dict:
    """Return the version of triage."""
    return {"version": __version__}
