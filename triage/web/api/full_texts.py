"""Full texts: PDFs attached to records."""

from __future__ import annotations

import shutil
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Annotated, BinaryIO
from urllib.parse import quote

from fastapi import File, Form, Query, Request, UploadFile
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from ... import fulltext
from ...as_json import as_json
from ...errors import InputError
from ...formats import apart
from ...fulltext.known import Known
from ...fulltext.matching import Match, match
from ...log import CurrentState, Kind
from ...project import Project, Snapshot
from ...report import doi_link, pmid_link
from ..access import Visitor
from ..reading import line
from .common import LISTED, Anyone, RecordId, Review, StageName, project_of, router
from .files import file_name


class Matching:
    """Tells which record a PDF is of; what that needs of the records is kept while none is new."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: Known | None = None
        self._lock = threading.Lock()
        self._readers = threading.BoundedSemaphore(fulltext.READERS)

    def match(self, review: Snapshot, name: str, content: BinaryIO) -> Match:
        """Return the record, or why none matches."""
        with self._readers, tempfile.TemporaryDirectory(prefix="triage-") as folder:
            path = Path(folder, "a.pdf")
            with path.open("wb") as copy:
                shutil.copyfileobj(content, copy, 1 << 20)
            front = apart.front(path)
        with self._lock:
            now = review.n_records, review.live.corrections
            if self._known is None or (self._known.n_records, self._known.corrections) != now:
                self._known = Known(self._project)
            return match(self._known, name, front)


def attachments_of(
    project: Project, live: CurrentState, record_ids: list[int]
) -> dict[int, list[fulltext.AttachedFile]]:
    """Return what is attached to each of these records."""
    given = {i: live.attachments(i) for i in record_ids}
    sizes = project.attachments.sizes({e.reason for events in given.values() for e in events})
    return {
        i: [replace(one, name=line(one.name)) for one in fulltext.attached_files(events, sizes)]
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
        Form(
            ge=1, le=2**31, description="By default as the file's name and first page say: by number, DOI, PMID, title."
        ),
    ] = None,
    replaces: Annotated[
        list[int] | None, Form(max_length=100, description="Events of attachments that it takes the place of.")
    ] = None,
) -> dict[str, object]:
    """Attach a PDF to a record. It is on the disk when this answers; sent again, it is attached once.

    Where neither the file's name nor its first page identifies the record, nothing is written, and `message` says so.
    """
    project, name = project_of(request), file_name(file.filename)
    fulltext.check_pdf(name, file.file.read(1_024), file.size or 0)
    file.file.seek(0)
    found = Match(record_id)
    if record_id is None:
        found = request.app.state.matching.match(review, name, file.file)
        file.file.seek(0)
        if found.record_id is None:
            return as_json(
                {
                    "file": name,
                    "record_id": None,
                    "message": found.message,
                    "files": [],
                    "by": "",
                    "candidates": found.candidates,
                    "unread": found.unread,
                }
            )
        record_id = found.record_id
    record_id = review.live.kept(record_id)
    _, is_new = fulltext.attach(project, record_id, name, file.file.read(), reviewer=who.name, replaces=replaces or ())
    return as_json(
        {
            "file": name,
            "record_id": record_id,
            "message": "" if is_new else "It was attached already.",
            "files": attachments_of(project, project.live(), [record_id])[record_id],
            "by": found.by,
            "candidates": (),
            "unread": found.unread,
        }
    )


@router.get("/attachments", tags=["full texts"])
def attachments(
    request: Request, review: Review, who: Anyone, record_id: Annotated[int, Query(ge=1, le=2**31)]
) -> dict[str, object]:
    """List the PDFs of a record."""
    kept = review.live.kept(record_id)
    return as_json({"record_id": kept, "files": attachments_of(project_of(request), review.live, [kept])[kept]})


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
    """Return an attached PDF, also one that was taken off since: the log still lists it."""
    found = next((e for e in review.events_between(event - 1, event) if e.kind is Kind.ATTACHED), None)
    content = project_of(request).attachments.content(found.reason) if found is not None else None
    if found is None or content is None:
        raise HTTPException(404, "There is no such PDF.")
    how = "attachment" if save else "inline"
    return Response(
        content,
        media_type="application/pdf",
        headers={"content-disposition": f"{how}; filename*=UTF-8''{quote(found.note, safe='')}"},
    )


@router.delete("/attachments/{event}", tags=["full texts"])
def detach(request: Request, review: Review, who: Anyone, event: RecordId) -> dict[str, object]:
    """Take a PDF off its record; the log keeps both. Sent again, it is taken off once."""
    project = project_of(request)
    found = next((e for e in review.events_between(event - 1, event) if e.kind is Kind.ATTACHED), None)
    if found is None:
        raise InputError(f"Event {event} attached no file.")
    if fulltext.attached_by(review.live, event) is not None:
        fulltext.detach(project, event, reviewer=who.name)
    kept = review.live.kept(found.about)
    return as_json({"record_id": kept, "files": attachments_of(project, project.live(), [kept])[kept]})


@router.get("/missing", tags=["full texts"])
def missing(request: Request, review: Review, who: Anyone, stage: StageName = "") -> dict[str, object]:
    """List the records of a stage, the last when none is named, that have no PDF: at most 200 of them."""
    return missing_full_texts(review, who, stage)


def missing_full_texts(review: Snapshot, who: Visitor, stage_name: str = "") -> dict[str, object]:
    """Return how many records of a stage have a PDF, and those that have none."""
    stage = fulltext.stage_of_full_texts(review, stage_name or None, viewer=who.viewer)
    ids = fulltext.without(stage)
    records = review.records.shown(stage, stage.rows_of(ids[:LISTED])) if ids else []
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
