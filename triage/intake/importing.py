"""Files of records read into a review, whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from .. import formats, protocol as protocols
from ..errors import Faults, InputError
from ..log import Kind, Label, Origin, label_of, without_quotes
from ..machines import Machine, Suggestion
from ..progress import Progress, no_progress
from ..project import File, Project, place_of
from ..records import Record
from ..screening.journal import log_decisions
from ..wording import plural
from .labels import LABEL_VALUES, codes_of, folded
from .suggestions import ask_whose, machine_columns, new_suggestions, reviewer_columns, suggestion_of


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one file: announced = kept + already_there + len(problems); and the labels it brought.

    `triage import --json` prints it for each file.
    """

    file: str
    format: str
    source: str
    announced: int
    kept: int
    already_there: int
    decisions: int
    problems: list[formats.Problem]
    warnings: list[formats.Problem]
    suggestions: int = 0


def new(review: str | Path, protocol: Path | None) -> tuple[Path, bool]:
    """Make a review; return the file of its protocol, and whether that was written as a template to fill in.

    Without `protocol` the review takes the protocol that lies beside it: NAME.protocol.toml by the review's own
    name, or else protocol.toml. A template is written where there is neither.

    Raises
    ------
    InputError
        When the review exists or the protocol is wrong; nothing is written.
    """
    place = place_of(review)
    beside = Path(review) if isinstance(place, File) else Path.cwd() / place.name
    template = beside.with_name("protocol.toml")
    if protocol is None:
        own = beside.with_name(f"{beside.stem}.protocol.toml")
        protocol = next((there for there in (own, template) if there.exists()), None)
    if protocol is not None:
        Project.create(review, protocols.read_text(protocol), protocol).close()
        return protocol, False
    text = protocols.template()
    try:
        if template.parent.is_dir():
            template.write_text(text, encoding="utf-8")  # first: a file is taken back more easily than a review
        Project.create(review, text, template).close()
    except BaseException:
        template.unlink(missing_ok=True)
        raise
    return template, True


def import_files(
    project: Project,
    paths: Sequence[Path],
    *,
    reviewer: str,
    source: str | None = None,
    format: str = "auto",
    label_column: str | None = None,
    machine: Machine | None = None,
    of_a_person: bool = False,
    encoding: str | None = None,
    progress: Progress = no_progress,
) -> list[Imported]:
    """Read exports and add their records, each file whole or not at all.

    Every file is read before the first is added, so that one that cannot be read stops the import
    with nothing written. Equal records are all kept: `find_duplicates` links them.

    Parameters
    ----------
    project : Project
    paths : sequence of Path
    reviewer : str
        Whose decisions a label column holds, or who brings a machine's labels in.
    source : str, optional
        The database that the files came from; the file's name without its ending when left out.
    format : str
        One of `formats.FORMATS`, or "auto".
    label_column : str, optional
        Column of a table that holds decisions; they become decisions of origin `imported` at the
        first stage.
    machine : Machine, optional
        Whose labels the files hold, where they are a machine's: they become suggestions, with its score and rationale
        where a table has columns for them.
    of_a_person : bool
        Whether the user says that they are a person's, whatever names the files hold.
    encoding : str, optional
        Of files of text; found out by default.
    progress : callable
        See `ranking.review.ReviewModel`.

    Raises
    ------
    InputError
        When a file cannot be read, a label is not one, or the reviewer is a machine.
    WhoseLabels
        When a file with labels names a tool that screens, and neither `machine` nor `of_a_person` is given.
    """
    project.log.check_person(reviewer)
    if machine is not None:
        project.log.check_machine(machine.name)
    source = (source or "").strip() or None
    looked = [_look(path, format, label_column, machine, of_a_person, encoding, progress) for path in paths]
    if machine is not None and not any(look.suggestions for look in looked):
        raise InputError(
            f"{', '.join(str(path) for path in paths)}: no label of {machine.name!r} was found; name the --label-column "
            "that holds its labels, or leave --machine out."
        )
    review = project.snapshot()
    for look in looked:
        before = review.imported(look.sha256, source)
        if before is not None and before.kept != len(look.lines):
            raise InputError(
                f"{look.path} was imported before as {before.format}, and gave {plural(before.kept, 'record')}; read "
                f"as {look.format} it gives {len(look.lines):,}: leave --format out."
            )
    added, suggested = [], []
    reasons: dict[int, str] = {}
    for look in looked:
        review = project.snapshot()  # the same file may be named twice
        before = review.imported(look.sha256, source)
        if before is None:
            with progress(f"Storing {look.path.name}") as tick:
                ids: Sequence[int] = project.records.add(
                    look.records(label_column, tick),
                    look.lines,
                    name=look.path.name,
                    source=source or look.path.stem,
                    format=look.format,
                    sha256=look.sha256,
                    announced=look.announced,
                    problems=[(p.line, p.message) for p in look.problems],
                )
        else:
            ids = (np.flatnonzero(review.record_files() == before.id) + 1).tolist()  # ids run from 1
        reasons |= {ids[n]: reason for n, reason in look.reasons.items()}
        given = {ids[n]: one for n, one in look.suggestions.items()}
        suggested.append(0 if machine is None else _suggest(project, look.path, machine, given, reviewer))
        added.append((before, {i: label for i, label in zip(ids, look.labels, strict=True) if label is not None}))
    missing = _undecided(project, [labelled for _, labelled in added])
    if any(missing):
        codes = codes_of(review.asked().reasons)
        reasons = {i: codes.get(folded(reason), reason) for i, reason in reasons.items()}
        # Once, when the records of all files are there: each permutation is a stratum of the audit.
        log_decisions(
            project,
            project.stage(),
            [
                {"record_id": i, "label": label, "origin": Origin.IMPORTED, "reason": reasons.get(i, "")}
                for labelled in missing
                for i, label in labelled.items()
            ],
            reviewer=reviewer,
        )
    return [
        Imported(
            file=str(look.path),
            format=look.format,
            source=before.source if before else source or look.path.stem,
            announced=look.announced,
            kept=0 if before else len(look.lines),
            already_there=len(look.lines) if before else 0,
            decisions=len(decided),
            problems=look.problems,
            warnings=look.warnings,
            suggestions=suggestions,
        )
        for look, (before, _), decided, suggestions in zip(looked, added, missing, suggested, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Look:
    """What a first reading of a file found; its records are read again when they are stored.

    A file of a million records so needs no room for them, neither in memory nor on the disk.
    """

    path: Path
    format: str
    sha256: str
    announced: int
    lines: list[int]
    labels: list[Label | None]
    reasons: dict[int, str]  # of exclusions, by the record's place in `labels`
    problems: list[formats.Problem]
    warnings: list[formats.Problem]
    suggestions: dict[int, Suggestion]  # of a machine, by the record's place; its labels are not in `labels`
    encoding: str | None

    def records(self, label_column: str | None, tick: Callable[[int, int], None]) -> Iterator[Record]:
        """Yield the records that are kept.

        Raises
        ------
        InputError
            At the end, when the file is no longer the one that was looked at.
        """
        done = 0
        for _, found, _ in formats.open_records(self.path, self.format, label_column, self.encoding):
            if isinstance(found, Record):
                done += 1
                if done <= len(self.lines):
                    yield found
                tick(done, len(self.lines))
        if done != len(self.lines) or _sha256(self.path) != self.sha256:
            raise InputError(
                f"{self.path} was changed while it was being read, so nothing was taken from it; import it again."
            )


def _look(
    path: Path,
    format: str,
    label_column: str | None,
    machine: Machine | None,
    of_a_person: bool,
    encoding: str | None,
    progress: Progress,
) -> _Look:
    """Read a file to its end, keep none of its records, and check every label, and whose they are."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the export files in it.")
    stream = formats.open_records(path, format, label_column, encoding)
    look = _Look(path, stream.format, _sha256(path), 0, [], [], {}, [], [], {}, encoding)
    voters: dict[str, str] = {}
    faults = Faults(str(path))
    with progress(f"Reading {path.name}") as tick:
        for line, found, label in stream:
            if isinstance(found, Record):
                look.lines.append(line)
                judged = label_of(label, label_column or "")
                if judged is None and without_quotes(label):
                    faults.add(f"line {line}", f"{label!r} is not a label", f"{LABEL_VALUES}, or leave the cell blank")
                if judged is Label.EXCLUDE and label_column is None:
                    if reason := formats.reason_in_notes(v for values in found.extra.values() for v in values):
                        look.reasons[len(look.labels)] = reason
                if judged is not None:
                    for name in formats.voters_in_notes(v for values in found.extra.values() for v in values):
                        voters.setdefault(name, f"the notes in line {line}")
                look.labels.append(judged)
            else:
                look.problems.append(found)
            if stream.fraction:
                tick(stream.announced, max(stream.announced, int(stream.announced / stream.fraction)))
    faults.refuse()
    look = replace(look, announced=stream.announced, warnings=stream.warnings)
    if machine is not None:
        return _of_a_machine(look, machine, label_column)
    if any(look.labels) and not of_a_person:
        reviewers = [(where, name) for name, where in voters.items()]
        ask_whose(path, [label_column or ""], chain(reviewers, _named_reviewers(look)))
    return look


def _named_reviewers(look: _Look) -> Iterator[tuple[str, str]]:
    """Yield who a table names as having given its labels, and where."""
    if look.format not in formats.TABLES:
        return
    labelled = {line for line, label in zip(look.lines, look.labels, strict=True) if label is not None}
    header, rows = formats.rows_under_header(look.path, look.format, look.encoding)
    columns = reviewer_columns(header)
    for line, cells in rows if columns else ():
        if line in labelled:
            yield from ((f"line {line}, column {header[at]!r},", cells[at]) for at in columns if at < len(cells))


def _of_a_machine(look: _Look, machine: Machine, label_column: str | None) -> _Look:
    """Return what was found with the labels as a machine's suggestions, and none that could be decisions."""
    said: dict[int, dict[str, str]] = {}  # by line
    if look.format in formats.TABLES:
        header, rows = formats.rows_under_header(look.path, look.format, look.encoding)
        columns = {name: at for name, at in machine_columns(header).items() if header[at] != label_column}
        for line, cells in rows if columns else ():
            said[line] = {name: cells[at] for name, at in columns.items() if at < len(cells)}
    faults = Faults(str(look.path))
    suggestions = {}
    for place, (line, label) in enumerate(zip(look.lines, look.labels, strict=True)):
        beside = {"reason": look.reasons.get(place, ""), **said.get(line, {})}
        one = suggestion_of(machine.name, label, beside, f"line {line}", faults)
        if one.label is not None or one.score is not None:
            suggestions[place] = one
    faults.refuse()
    return replace(look, labels=[None] * len(look.labels), reasons={}, suggestions=suggestions)


def _suggest(project: Project, path: Path, machine: Machine, given: Mapping[int, Suggestion], reviewer: str) -> int:
    """Write what a machine suggests at the first stage, and return how many suggestions are new."""
    stage = project.snapshot().stage_name()
    new = new_suggestions(project, stage, given)
    if new:
        project.log.suggest(stage, new, machine=machine.name, known=machine.known(path, reviewer))
    return len(new)


def _undecided(project: Project, files: Sequence[Mapping[int, Label]]) -> list[dict[int, Label]]:
    """Return of each file's labels those of records that nobody has decided on at the first stage, ever.

    A file that is imported again so brings the decisions that an interrupted import left out, and
    none that was changed, or taken back, since.
    """
    if not any(files):
        return [{} for _ in files]
    review = project.snapshot()
    stage = review.stage()
    decided = {stage.live.kept(e.about) for e in review.events if e.kind is Kind.DECISION and e.stage == stage.name}
    missing = []
    for labels in files:
        missing.append({i: label for i, label in labels.items() if stage.live.kept(i) not in decided})
        decided.update(missing[-1])  # the same file may be named twice
    return missing


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
