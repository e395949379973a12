"""Full texts: PDFs attached to the records that their names identify."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

from .as_json import key
from .errors import InputError
from .log import CurrentState, Event, Stage
from .progress import Progress, no_progress
from .project import Project, Snapshot
from .records import normal_title

MOST_BYTES = 100_000_000
_HEAD = 1_024  # bytes in which a reader of PDF looks for the beginning
_SAID = 40  # characters shown of what a file is instead
_LEAST_SUFFIX = 6  # characters that the end of a DOI must have, so as not to be a word
_LEAST_TITLE = 20  # characters that a title must have, so as not to be a word such as "Editorial"
_LEAST_OPENING = 30  # of a title that was cut, as reference managers cut them
_RECORD = re.compile(r"(?:record|rec|id|#)[\s_#-]*0*([1-9]\d{0,9})", re.IGNORECASE)
_PMID = re.compile(r"pmid[\s_:-]*0*([1-9]\d{0,8})", re.IGNORECASE)
_NUMBER = re.compile(r"0*([1-9]\d{0,9})")
_DOI = re.compile(r"(?:doi[\s_:.-]*)?10\.\d{4,9}\D", re.IGNORECASE)
_AGAIN = re.compile(r"\s*\(\d{1,2}\)$")  # what a browser adds to a file that is there already
_YEAR = re.compile(r"(?:^|\s)(?:19|20)\d\d(?=\s)")
_PDF_NAME = re.compile(r"[^/\\:;{}\"<>|*?]+\.pdf", re.IGNORECASE)


def check_pdf(name: str, head: bytes, size: int) -> None:
    """Refuse what is not a PDF by its first bytes, or too large.

    Raises
    ------
    InputError
        One sentence that says what it is instead.
    """
    if size > MOST_BYTES:
        raise InputError(f"{name} has {size:,} bytes, and at most {MOST_BYTES:,} can be attached; make it smaller.")
    before, mark, _ = head[:_HEAD].partition(b"%PDF-")
    if mark and not before.removeprefix(b"\xef\xbb\xbf").strip():
        return
    if not size:
        raise InputError(f"{name} is empty; download it again.")
    begins = "".join(c for c in head[:_SAID].decode("latin-1") if c.isprintable())
    hint = "; a web page was saved instead" if head.lstrip()[:1] == b"<" else ""
    raise InputError(f"{name} is not a PDF: it begins with {begins!r}{hint}; download it again.")


def attach(
    project: Project, record_id: int, name: str, content: bytes, *, reviewer: str, replaces: Iterable[int] = ()
) -> tuple[Event, bool]:
    """Attach a PDF to a record (see `Attachments.attach`).

    Raises
    ------
    InputError
        When it is not a PDF or too large, or there is no such record; nothing is written.
    """
    check_pdf(name, content[:_HEAD], len(content))
    return project.attachments.attach(record_id, name, content, reviewer=reviewer, replaces=replaces)


def detach(project: Project, seq: int, *, reviewer: str) -> Event:
    """Take a file off its record; the log and the review keep it. Return the event that had attached it.

    Raises
    ------
    InputError
        When the event attached no file, or the file was taken off before.
    """
    event = attached_by(project.live(), seq)
    if event is None:
        raise InputError(f"Event {seq} attached no file that is there; look at the record again.")
    project.log.undo(seq, reviewer=reviewer)
    return event


def attached_by(live: CurrentState, seq: int) -> Event | None:
    """Return the event of this number where it attached a file that is still attached."""
    return next((e for given in live.attached.values() for e in given if e.seq == seq), None)


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """What pages and programs learn about an attached file."""

    event: int
    name: str
    size: int = field(metadata=key("bytes"))
    sha256: str
    reviewer: str
    at: str


def attached_files(events: Sequence[Event], sizes: dict[str, int]) -> list[AttachedFile]:
    """Return what pages and programs learn about the files that these events attached; `sizes` by their SHA-256."""
    return [
        AttachedFile(e.seq, e.note, sizes[e.reason], e.reason, e.reviewer, e.at.isoformat(timespec="seconds"))
        for e in events
    ]


def stage_of_full_texts(review: Snapshot, name: str | None = None, *, viewer: str | None = None) -> Stage:
    """Return the stage whose full texts are asked about, the last when none is named; see `Snapshot.stage`."""
    return review.stage(name or review.protocol.stages[-1].name, viewer=viewer)


def without(stage: Stage) -> list[int]:
    """Return the records of a stage that have no file, ascending."""
    has = {stage.live.kept(record_id) for record_id in stage.live.attached}
    return [i for i in stage.record_ids.tolist() if i not in has]


def write_files(project: Project, folder: Path, *, progress: Progress = no_progress) -> list[Path]:
    """Write the attached files into a folder, each named by its record's number, by which it can be attached again.

    A file of the same bytes that is there already is left as it is.

    Raises
    ------
    InputError
        When the folder cannot be made or written to, or holds another file of that name.
    """
    live = project.live()
    wanted = [(live.kept(record_id), event) for record_id, events in sorted(live.attached.items()) for event in events]
    written: list[Path] = []
    of_record: Counter[int] = Counter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with progress("Writing PDFs") as tick:
            for done, (record_id, event) in enumerate(wanted, 1):
                of_record[record_id] += 1
                again = f" ({of_record[record_id]})" if of_record[record_id] > 1 else ""
                content = project.attachments.content(event.reason) or b""
                path = folder / f"record {record_id}{again}.pdf"
                if not path.exists():
                    path.write_bytes(content)
                elif path.read_bytes() != content:
                    raise InputError(f"{path} is another file; choose an empty folder.")
                written.append(path)
                tick(done, len(wanted))
    except OSError as error:
        raise InputError(f"{error.filename or folder} cannot be written ({error.strerror}).") from error
    return written


# -- which record a file is of ------------------------------------------------------------------


class Names:
    """Tells by a file's name which record it is of.

    In this order: "record 12" or "12" by our number (or a PubMed number); a name that the record itself gives,
    as exports of reference managers do; a DOI, its "/" written in any way, or the part after it; "pmid 123"; the
    title, by itself or after the year ("Smith et al. - 2001 - Title").
    """

    def __init__(self, project: Project, progress: Progress = no_progress) -> None:
        review = project.snapshot()
        self.n_records = review.n_records
        self._project = project
        self._by_doi: dict[str, set[int]] = defaultdict(set)
        self._by_suffix: dict[str, set[int]] = defaultdict(set)
        self._by_pmid: dict[str, set[int]] = defaultdict(set)
        self._by_name: dict[str, set[int]] = defaultdict(set)
        by_title: dict[str, set[int]] = defaultdict(set)
        with progress("Reading the records") as tick:
            for record in review.records.read():
                if record.doi:
                    self._by_doi[_letters(record.doi)].add(record.number)
                    self._by_suffix[_letters(record.doi.partition("/")[2])].add(record.number)
                if record.pmid:
                    self._by_pmid[record.pmid].add(record.number)
                by_title[normal_title(record.title)].add(record.number)
                for values in record.extra.values():
                    for value in values:
                        if ".pdf" in value.lower():
                            for name in _PDF_NAME.findall(unquote(value)):
                                self._by_name[name.strip().casefold()].add(record.number)
                if record.number % 1_000 == 0:
                    tick(record.number, self.n_records)
        self._by_title = dict(by_title)
        self._titles = sorted(self._by_title)

    def records_of(self, name: str) -> list[int]:
        """Return the records, over duplicate groups, that a file of this name may be of; one where it is clear."""
        live = self._project.live()
        stem = _AGAIN.sub("", Path(name).stem.strip())
        for found in self._found(Path(name).name.casefold(), stem):
            if found:
                return sorted({live.kept(record_id) for record_id in found})
        return []

    def _found(self, name: str, stem: str) -> Iterator[set[int]]:
        if number := _RECORD.fullmatch(stem):
            yield self._numbered(number[1])
        if number := _NUMBER.fullmatch(stem):
            yield self._numbered(number[1]) | self._by_pmid.get(number[1], set())
        yield self._by_name.get(name, set())
        letters = _letters(unquote(stem))
        if _DOI.match(unquote(stem)):
            yield self._by_doi.get(letters.removeprefix("doi"), set())
        if len(letters) >= _LEAST_SUFFIX and any(c.isdigit() for c in letters):
            yield self._by_suffix.get(letters, set())
        if number := _PMID.fullmatch(stem):
            yield self._by_pmid.get(number[1], set())
        title = normal_title(stem)
        after_year = _YEAR.search(title)
        for wanted in (title, title[after_year.end() :].strip() if after_year else ""):
            if len(wanted) >= _LEAST_TITLE:
                yield self._by_title.get(wanted, set())
                yield self._opening(wanted)

    def _numbered(self, number: str) -> set[int]:
        return {int(number)} if int(number) <= self.n_records else set()

    def _opening(self, wanted: str) -> set[int]:
        found: set[int] = set()
        if len(wanted) < _LEAST_OPENING:
            return found
        at = bisect_left(self._titles, wanted)
        while at < len(self._titles) and self._titles[at].startswith(wanted):
            found |= self._by_title[self._titles[at]]
            at += 1
        return found


def _letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


# -- files and folders of them ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attached:
    """What became of one file: attached by an event, there already, or why not."""

    file: str
    record_id: int | None
    event: int | None = None
    already_there: bool = False
    message: str = ""


def match(name: str, names: Names) -> Attached:
    """Return which record a file is of, or why that cannot be known."""
    found = names.records_of(name)
    if len(found) == 1:
        return Attached(name, found[0])
    if found:
        some = ", ".join(map(str, found[:5])) + (" and others" if len(found) > 5 else "")
        return Attached(name, None, message=f"may be of the records {some}; attach it to one by its number")
    return Attached(name, None, message="no record has this number, DOI, PMID or title; attach it to one by its number")


def attach_files(
    project: Project,
    paths: Sequence[Path],
    *,
    reviewer: str,
    record_id: int | None = None,
    replace_all: bool = False,
    progress: Progress = no_progress,
) -> list[Attached]:
    """Attach PDFs, and those in folders, each to the record of its name or all to `record_id`.

    Every file named is looked at before the first is attached; one in a folder that cannot be attached is reported,
    and does not stop the others. Each file is one transaction, and done again changes nothing.

    Parameters
    ----------
    project : Project
    paths : sequence of Path
        Files, and folders whose PDFs are found at any depth.
    reviewer : str
    record_id : int, optional
    replace_all : bool
        Whether they take the place of the files that their records have.
    progress : callable
        See `ranking.review.ReviewModel`.

    Raises
    ------
    InputError
        When a file that was named is not a PDF, or there is no such record; nothing is attached.
    """
    if record_id is not None:
        project.records.one(record_id)
        record_id = project.live().kept(record_id)
    files = list(_pdfs(paths))
    names = None if record_id is not None else Names(project, progress)
    matched = [
        replace(match(path.name, names), file=str(path)) if names else Attached(str(path), record_id)
        for path, _ in files
    ]
    before = project.live()
    done: list[Attached] = []
    with progress("Attaching") as tick:
        for number, ((path, message), one) in enumerate(zip(files, matched, strict=True), 1):
            if message:
                one = Attached(str(path), None, message=message)
            elif one.record_id is not None:
                replaced = [e.seq for e in project.live().attachments(one.record_id) if e.seq <= before.last_seq]
                event, is_new = attach(
                    project,
                    one.record_id,
                    path.name,
                    path.read_bytes(),
                    reviewer=reviewer,
                    replaces=replaced if replace_all else (),
                )
                one = replace(one, event=event.seq, already_there=not is_new)
            done.append(one)
            tick(number, len(files))
    return done


def _pdfs(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each PDF and, for a file in a folder that is not one, why."""
    for path in paths:
        if path.is_dir():
            for inside in sorted(path.rglob("*")):
                if inside.suffix.lower() == ".pdf" and inside.is_file() and not inside.name.startswith("."):
                    try:
                        _look(inside)
                    except InputError as error:
                        yield inside, str(error)
                    else:
                        yield inside, ""
        else:
            _look(path)
            yield path, ""


def _look(path: Path) -> None:
    try:
        with path.open("rb") as file:
            check_pdf(str(path), file.read(_HEAD), path.stat().st_size)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
