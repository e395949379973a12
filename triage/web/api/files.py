"""Files read in, and duplicates answered."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from fastapi import File, Form, Request, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from ... import dedupe, intake
from ...as_json import as_json
from ...errors import InputError
from ...formats import NoTitleColumn
from ...machines import Machine
from ...protocol import criteria_from_text
from ..progress import Opening
from ..reading import line
from .common import Owner, RecordId, Review, project_of, router


class Answer(BaseModel):
    """Whether two records are one."""

    model_config = ConfigDict(extra="forbid")

    kept_id: RecordId
    copy_id: RecordId
    same: bool | None = Field(description="true links the copy, false keeps the two apart, null takes the answer back.")


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
    sources: Annotated[
        list[str] | None, Form(max_length=100, description="The source of each file, in their order.")
    ] = None,
    columns: Annotated[
        str, Form(max_length=10_000, description='As JSON, the columns of a table by field: {"title": "Study name"}.')
    ] = "",
    sheet: Annotated[str, Form(max_length=200)] = "",
    encoding: Annotated[str, Form(max_length=40)] = "",
    machine: Annotated[str, Form(max_length=200)] = "",
    person: Annotated[bool, Form()] = False,
) -> dict[str, object]:
    """Read exports into the review, all of them or none; say per file what was announced, kept and at fault.

    Labels in them are decisions of the visitor's; with `machine`, the name and version of a machine, they are its
    suggestions. A file that names a tool that screens is refused unless `machine` or `person` says whose they are.
    """
    project = project_of(request)
    progress: ImportProgress = request.app.state.importing
    named = _columns(columns)
    with progress.of_one_import(), tempfile.TemporaryDirectory(prefix="triage-") as folder:
        paths = []
        for number, file in enumerate(files):
            place = Path(folder, str(number))
            place.mkdir()
            path = place / file_name(file.filename)
            with path.open("wb") as written:
                shutil.copyfileobj(file.file, written, 1 << 20)
            paths.append(path)
        try:
            done = intake.import_files(
                project,
                paths,
                reviewer=who.name,
                source=source or None,
                sources={path: given for path, given in zip(paths, sources or ()) if given.strip()},
                columns=named,
                sheet=sheet,
                encoding=encoding.strip() or None,
                progress=progress.report,
                machine=Machine.of(machine) if machine.strip() else None,
                of_a_person=person,
            )
        except InputError as error:
            said = str(error)
            if isinstance(error, intake.WhoseLabels):
                said = (
                    f"{error.doubt}: name the machine if one gave them, or say that a person did, and import it again."
                )
            for path in paths:
                said = said.replace(str(path), path.name)
            if isinstance(error, NoTitleColumn):
                raise NoTitleColumn(said, error.header, error.rows) from error
            raise InputError(said) from error
    return {
        "files": [as_json(replace(one, file=Path(one.file).name)) for one in done],
        "records": project.snapshot().n_records,
    }


@router.post("/criteria", tags=["files"])
def criteria(
    request: Request,
    review: Review,
    who: Owner,
    text: Annotated[str, Form(max_length=500_000)] = "",
    file: UploadFile | None = None,
) -> dict[str, list[str]]:
    """Split a text, or a document that is a PDF, Word or text file, into inclusion and exclusion criteria.

    Nothing is written: they are there to be corrected, and saved with the protocol.
    """
    if file is not None:
        with tempfile.TemporaryDirectory(prefix="triage-") as folder:
            path = Path(folder) / file_name(file.filename)
            with path.open("wb") as written:
                shutil.copyfileobj(file.file, written, 1 << 20)
            try:
                text = f"{text}\n{intake.text_of(path)}"
            except InputError as error:
                raise InputError(str(error).replace(str(path), path.name)) from error
    include, exclude = criteria_from_text(text)
    if not (include or exclude):
        raise InputError("No criterion was found in this text; write them down, one a line.")
    return {"include": [line(one) for one in include], "exclude": [line(one) for one in exclude]}


def _columns(given: str) -> dict[str, str]:
    if not given.strip():
        return {}
    try:
        found = json.loads(given)
        if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
            raise ValueError
    except (ValueError, RecursionError) as error:
        raise InputError('The columns are given as JSON, such as {"title": "Study name"}.') from error
    return {str(field): name for field, name in found.items() if name}


class ImportProgress:
    """How far the import is that is under way; one at a time."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self.now: Opening | None = None

    @contextmanager
    def of_one_import(self) -> Iterator[None]:
        """Keep another import waiting until this one ends."""
        with self._turn:
            self.now = Opening("Receiving")
            try:
                yield
            finally:
                self.now = None

    @contextmanager
    def report(self, description: str) -> Iterator[Callable[[int, int], None]]:
        """Take the progress of one step; see `progress.Progress`."""
        at = self.now = Opening(description)
        yield at.tick


@router.get("/import", tags=["files"])
def import_progress(request: Request, who: Owner) -> dict[str, object]:
    """Say how far the import is that is under way; `under_way` is null where there is none."""
    progress: ImportProgress = request.app.state.importing
    return {"under_way": None if progress.now is None else as_json(progress.now)}


class NamedSource(BaseModel):
    """What an imported file's source is to be called."""

    model_config = ConfigDict(extra="forbid")

    file: Annotated[int, Field(ge=1, le=2**31)]
    source: Annotated[str, Field(min_length=1, max_length=200)]


@router.post("/sources", tags=["files"])
def name_source(request: Request, review: Review, who: Owner, given: NamedSource) -> dict[str, object]:
    """Name an imported file's source anew; files of one source are counted together."""
    event = project_of(request).log.name_source(given.file, given.source, reviewer=who.name)
    return {"event": event.seq}


class Questions:
    """The pairs of records that may be one, as they were last looked for."""

    def __init__(self) -> None:
        self.found: intake.Deduped | None = None
        self.answers: dict[tuple[int, int], bool] = {}
        self.lock = threading.Lock()

    @property
    def open(self) -> int:
        """How many pairs wait for an answer."""
        return 0 if self.found is None else len(self.found.maybes) - len(self.answers)

    def as_json(self, first: int = 0, most: int = 20) -> dict[str, object]:
        """Return the open questions, each pair's fields side by side."""
        if self.found is None:
            return {"looked": False, "open": 0, "pairs": []}
        pairs = [m for m in self.found.maybes if (m.kept.number, m.copy.number) not in self.answers]
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
def duplicates(request: Request, review: Review, who: Owner) -> dict[str, object]:
    """List pairs of records that may be one, side by side, as they were last looked for."""
    questions: Questions = request.app.state.questions
    return questions.as_json()


@router.post("/duplicates", tags=["files"])
def find_duplicates(request: Request, review: Review, who: Owner) -> dict[str, object]:
    """Link the records that are surely duplicates, and look for those that may be."""
    questions: Questions = request.app.state.questions
    with questions.lock:
        questions.found, questions.answers = intake.find_duplicates(project_of(request), reviewer=who.name), {}
        return questions.as_json()


@router.post("/duplicates/answers", tags=["files"])
def answer(request: Request, review: Review, who: Owner, given: Answer) -> dict[str, object]:
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
            raise InputError("This pair is not an open question; look for duplicates again.")
        if questions.answers.get(pair) != given.same:
            if pair in questions.answers:
                intake.settle_maybe(project_of(request), maybe, None, reviewer=who.name)
                del questions.answers[pair]
            if given.same is not None:
                intake.settle_maybe(project_of(request), maybe, given.same, reviewer=who.name)
                questions.answers[pair] = given.same
        return questions.as_json()
