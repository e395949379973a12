"""Full texts: PDFs attached to the records that their names and first pages identify."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..as_json import key
from ..errors import InputError
from ..formats import apart
from ..formats.pdf import Front
from ..log import CurrentState, Event, Stage
from ..progress import Progress, no_progress
from ..project import Project, Snapshot
from .known import Known
from .matching import Match, match

MOST_BYTES = 100_000_000
_HEAD = 1_024  # bytes in which a reader of PDF looks for the beginning
_SAID = 40  # characters shown of what a file is instead
READERS = 2  # PDFs that are read at the same time


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


# -- files and folders of them ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attached:
    """What became of one file: attached by an event, there already, or why not.

    Attributes
    ----------
    file : str
    match : Match
        The record that it is of, and what says so.
    event : int or None
    already_there : bool
    """

    file: str
    match: Match
    event: int | None = None
    already_there: bool = False


def attach_files(
    project: Project,
    paths: Sequence[Path],
    *,
    reviewer: str,
    record_id: int | None = None,
    replace_all: bool = False,
    read_pages: bool = True,
    progress: Progress = no_progress,
) -> list[Attached]:
    """Attach PDFs, and those in folders, each to the record that it is of or all to `record_id`.

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
    read_pages : bool
        Whether their first pages are read, too, or their names alone say which records they are of.
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
    if record_id is not None:
        matched = [Match(record_id, "the number that was given")] * len(files)
    else:
        known = Known(project, progress)
        fronts = _fronts([path for path, message in files if not message], progress) if read_pages else {}
        matched = [match(known, path.name, fronts.get(path)) for path, _ in files]
    before = project.live()
    done: list[Attached] = []
    with progress("Attaching") as tick:
        for number, ((path, message), found) in enumerate(zip(files, matched, strict=True), 1):
            one = Attached(str(path), Match(None, "", message) if message else found)
            if one.match.record_id is not None:
                replaced = [e.seq for e in project.live().attachments(one.match.record_id) if e.seq <= before.last_seq]
                event, is_new = attach(
                    project,
                    one.match.record_id,
                    path.name,
                    path.read_bytes(),
                    reviewer=reviewer,
                    replaces=replaced if replace_all else (),
                )
                one = replace(one, event=event.seq, already_there=not is_new)
            done.append(one)
            tick(number, len(files))
    return done


def _fronts(paths: Sequence[Path], progress: Progress) -> dict[Path, Front]:
    """Read the first pages of PDFs, a few at a time."""
    found: dict[Path, Front] = {}
    with progress("Reading first pages") as tick, ThreadPoolExecutor(READERS) as readers:
        try:
            for path, front in zip(paths, readers.map(apart.front, paths), strict=True):
                found[path] = front
                tick(len(found), len(paths))
        except BaseException:  # Ctrl-C: not first all that are left
            readers.shutdown(wait=False, cancel_futures=True)
            raise
    return found


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
