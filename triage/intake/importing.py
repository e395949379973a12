"""Files of records read into a review, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from .. import formats, protocol as protocols
from ..errors import Faults, InputError
from ..formats import apart
from ..log import Event, Kind, Label, Origin, label_of, without_quotes
from ..machines import Machine, Suggestion
from ..progress import Progress, no_progress
from ..project import File, Project, Role, place_of
from ..records import Record
from ..screening.journal import log_decisions
from ..whole import written_whole
from ..wording import plural, printable
from .labels import LABEL_VALUES, codes_of, folded
from .naming import tidy
from .suggestions import ask_whose, machine_columns, new_suggestions, reviewer_columns, suggestion_of
from .voting import Given, named_in, of_the_machine, reason_among, with_names


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one file: announced = kept + already_there + len(problems); and the labels it brought.

    `triage import --json` prints it for each file.

    Attributes
    ----------
    decisions : int
        Decisions written, of everybody.
    people : dict of str to int
        By whom they are.
    conflicts : int
        Records whose votes in the file differ, and that it does not settle itself.
    settled : int
        Records whose votes differ, written with the decision that the file names as agreed.
    unlisted_reasons : dict of str to int
        Reasons that the first stage does not have, and how many of the file's votes give each.
    added_reasons : dict of str to str
        Those that were added to the protocol: the text by its new code.
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
    people: dict[str, int] = field(default_factory=dict)
    conflicts: int = 0
    settled: int = 0
    unlisted_reasons: dict[str, int] = field(default_factory=dict)
    added_reasons: dict[str, str] = field(default_factory=dict)


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
    place.check_free()
    written = False
    try:
        if template.parent.is_dir():
            written = _written_new(template, text)  # first: a file is taken back more easily than a review
        Project.create(review, text, template).close()
    except BaseException:
        if written and not (isinstance(place, File) and place.path.exists()):  # another program may follow it by now
            template.unlink(missing_ok=True)
        raise
    return template, True


def _written_new(path: Path, text: str) -> bool:
    """Write a file that is not there yet; return False where another program made it meanwhile."""
    try:
        with written_whole(path, only_new=True) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    except FileExistsError:
        return False
    return True


def import_files(
    project: Project,
    paths: Sequence[Path],
    *,
    reviewer: str,
    source: str | None = None,
    sources: Mapping[Path, str] = MappingProxyType({}),
    format: str = "auto",
    label_column: str | None = None,
    columns: Mapping[str, str] = MappingProxyType({}),
    sheet: str = "",
    reviewer_column: str | None = None,
    add_reasons: bool = False,
    machine: Machine | None = None,
    of_a_person: bool = False,
    encoding: str | None = None,
    progress: Progress = no_progress,
) -> list[Imported]:
    """Read exports and add their records, each file whole or not at all.

    Every file is read before the first is added, so that one that cannot be read stops the import
    with nothing written. Equal records are all kept: `find_duplicates` links them.

    What a screening program wrote into its export as people's votes becomes their decisions, each under the name that
    it has there, with its reason, note and tags; where they differ the record is in conflict, whatever the protocol
    asks for. A decision that names nobody is the reviewer's.

    Parameters
    ----------
    project : Project
    paths : sequence of Path
    reviewer : str
        Whose decisions are those that name nobody, and who brings a machine's labels in.
    source : str, optional
        The database that the files came from; the file's name without its ending when left out.
    sources : mapping of Path to str
        The databases of single files, where they differ.
    format : str
        One of `formats.FORMATS`, or "auto".
    label_column : str, optional
        Column of a table that holds decisions; they become decisions of origin `imported` at the
        first stage.
    columns : mapping of str to str
        Columns of a table by the field of a record that they hold (`formats.COLUMNS`); of several files they are those
        of the tables that have them. They are logged, and hold for later files of the same header, too.
    sheet : str
        The sheet of a workbook to read, where it is not the first that has titles.
    reviewer_column : str, optional
        Column of a table that says whose decision a row holds.
    add_reasons : bool
        Whether the reasons in the files that the first stage does not have are added to the protocol's file.
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
        When a file cannot be read, a label is not one, or a reviewer is a machine.
    WhoseLabels
        When a file with labels names a tool that screens, and neither `machine` nor `of_a_person` is given.
    """
    project.log.check_person(reviewer)
    if machine is not None:
        project.log.check_machine(machine.name)
    named = {path: printable(sources.get(path, source or "")) or None for path in paths}
    asked = _Asked(format, label_column, reviewer_column, machine, of_a_person, columns, sheet, encoding)
    plain = replace(asked, columns={})
    notes = [json.loads(e.note) for e in reversed(project.snapshot().events) if e.kind is Kind.COLUMNS]
    tables = [path for path in paths if columns and _rows_with_columns(path, asked)] or (paths if columns else ())
    hows = [asked if path in tables else _as_before(path, plain, notes) for path in paths]
    looked = with_names(project, [_look(path, how, progress) for path, how in zip(paths, hows, strict=True)])
    if machine is not None and not any(look.suggestions for look in looked):
        raise InputError(
            f"{', '.join(str(path) for path in paths)}: no label of {machine.name!r} was found; name the --label-column "
            "that holds its labels, or leave --machine out."
        )
    review = project.snapshot()
    for look in looked:
        before = review.imported(look.sha256, named[look.path])
        if before is not None and before.kept != len(look.lines):
            raise InputError(
                f"{look.path} was imported before as {before.format}, and gave {plural(before.kept, 'record')}; read "
                f"as {look.format} it gives {len(look.lines):,}: leave --format out."
            )
    added_reasons = _add_reasons(project, looked, reviewer) if add_reasons else ()
    added, suggested, finals = [], [], []
    for look in looked:
        review = project.snapshot()  # the same file may be named twice
        before = review.imported(look.sha256, named[look.path])
        if before is None:
            with progress(f"Storing {look.path.name}") as tick:
                ids: Sequence[int] = project.records.add(
                    look.records(tick),
                    look.lines,
                    name=printable(look.path.name),
                    source=named[look.path] or look.source,
                    format=look.format,
                    sha256=look.sha256,
                    announced=look.announced,
                    problems=[(p.line, p.message) for p in look.problems],
                )
        else:
            ids = (np.flatnonzero(review.record_files() == before.id) + 1).tolist()  # ids run from 1
        given = {ids[n]: one for n, one in look.suggestions.items()}
        suggested.append(0 if machine is None else _suggest(project, look.path, machine, given, reviewer))
        added.append((before, {ids[n]: votes for n, votes in look.votes.items()}))
        finals.append({ids[n]: label for n, label in look.final.items()})
    if columns:
        for header in dict.fromkeys(look.header for look in looked if look.header):
            project.log.name_columns(header, columns, reviewer=reviewer)
    # Once, when the records of all files are there: each permutation is a stratum of the audit.
    missing = _undecided(project, [votes for _, votes in added])
    _write_votes(project, missing, reviewer)
    settled = [_settle(project, final, reviewer) for final in finals]
    unlisted = [_unlisted(project, look) for look in looked]
    return [
        Imported(
            file=str(look.path),
            format=look.format,
            source=before.source if before else named[look.path] or look.source,
            announced=look.announced,
            kept=0 if before else len(look.lines),
            already_there=len(look.lines) if before else 0,
            decisions=sum(map(len, decided.values())),
            problems=look.problems,
            warnings=look.warnings,
            suggestions=suggestions,
            people=dict(Counter(one.reviewer or reviewer for votes in decided.values() for one in votes)),
            conflicts=len(
                [i for i, votes in decided.items() if len({one.label for one in votes}) > 1 and i not in final]
            ),
            settled=len(final),
            unlisted_reasons=reasons,
            added_reasons={r.code: r.text for r in added_reasons if r.text in look.reasons()},
        )
        for look, (before, _), decided, suggestions, final, reasons in zip(
            looked, added, missing, suggested, settled, unlisted, strict=True
        )
    ]


@dataclass(frozen=True, slots=True)
class _Asked:
    """How a file is to be read, as it was asked for; see `formats.open_records`."""

    format: str
    label_column: str | None
    reviewer_column: str | None
    machine: Machine | None
    of_a_person: bool
    columns: Mapping[str, str]
    sheet: str
    encoding: str | None
    as_before: bool = False  # its columns are those of an earlier file

    def open(self, path: Path) -> formats.Stream:
        return apart.open_records(
            path, self.format, self.label_column, columns=self.columns, sheet=self.sheet, encoding=self.encoding
        )

    def rows(self, path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
        """Return the names of a table's columns, and the rows under them."""
        return apart.rows_under_header(
            path, self.format, columns=self.columns, sheet=self.sheet, encoding=self.encoding
        )

    def first_rows(self, path: Path) -> list[list[str]]:
        """Return the first rows of a table, none of any other file."""
        return apart.first_rows(path, self.format, columns=self.columns, sheet=self.sheet, encoding=self.encoding)


def _rows_with_columns(path: Path, asked: _Asked) -> list[list[str]]:
    """Return those of a table's first rows that have all the columns that were named; none of any other file."""
    try:
        rows = asked.first_rows(path)
    except InputError:
        return []  # what is wrong with it is said when it is read
    return [row for row in rows if {*asked.columns.values()} <= {*row}]


def _as_before(path: Path, asked: _Asked, notes: Sequence[Mapping[str, Any]]) -> _Asked:
    """Return how to read a file: with the columns that somebody named for another one of the same header, if any."""
    for named in notes:
        found = replace(asked, columns=named["columns"], as_before=True)
        if named["header"] in _rows_with_columns(path, found):
            return found
    return asked


@dataclass(frozen=True, slots=True)
class Look:
    """What a first reading of a file found; its records are read again when they are stored.

    A file of a million records so needs no room for them, neither in memory nor on the disk.
    """

    path: Path
    asked: _Asked  # with the format that it was found to have
    header: tuple[str, ...]  # of a table whose columns are named now
    sha256: str
    announced: int
    lines: list[int]
    votes: dict[int, tuple[Given, ...]]  # by the record's place in `lines`
    final: dict[int, Label]  # what was agreed where votes differ, by the record's place
    problems: list[formats.Problem]
    warnings: list[formats.Problem]
    suggestions: dict[int, Suggestion]  # of a machine, by the record's place; its labels are not in `votes`

    @property
    def format(self) -> str:
        """One of `formats.FORMATS`."""
        return self.asked.format

    @property
    def source(self) -> str:
        """The database that it is taken to come from where none was named."""
        return printable(self.path.stem) or "a file"

    def reasons(self) -> Counter[str]:
        """Return how often each reason is given: of several at once, each."""
        return Counter(reason for votes in self.votes.values() for one in votes for reason in one.reasons)

    def renamed(self, names: Mapping[str, str]) -> Look:
        """Return it with other names for some people."""
        if not names:
            return self
        votes = {
            place: tuple(one._replace(reviewer=names.get(one.reviewer, one.reviewer)) for one in given)
            for place, given in self.votes.items()
        }
        return replace(self, votes=votes)

    def records(self, tick: Callable[[int, int], None]) -> Iterator[Record]:
        """Yield the records that are kept.

        Raises
        ------
        InputError
            At the end, when the file is no longer the one that was looked at.
        """
        done = 0
        for _, found, _ in self.asked.open(self.path):
            if isinstance(found, Record):
                done += 1
                if done <= len(self.lines):
                    yield found
                tick(done, len(self.lines))
        if done != len(self.lines) or _sha256(self.path) != self.sha256:
            raise InputError(
                f"{self.path} was changed while it was being read, so nothing was taken from it; import it again."
            )


def _look(path: Path, asked: _Asked, progress: Progress) -> Look:
    """Read a file to its end, keep none of its records, and check every label, and whose they are."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the export files in it.")
    label_column = asked.label_column
    stream = asked.open(path)
    asked = replace(asked, format=stream.format)
    header = tuple(asked.rows(path)[0]) if asked.columns and not asked.as_before else ()
    look = Look(path, asked, header, _sha256(path), 0, [], {}, {}, [], [], {})
    if asked.reviewer_column is not None:
        _check_column(look, asked.reviewer_column)
    doubts: list[formats.Problem] = []
    voters: dict[str, str] = {}
    faults = Faults(str(path))
    is_ours: bool | None = None  # whether it is a table that we wrote, whose decisions come by `label`
    with progress(f"Reading {path.name}") as tick:
        for line, found, label in stream:
            if isinstance(found, Record):
                look.lines.append(line)
                if label_column is not None:
                    votes = formats.Votes((formats.Vote("", label),) if without_quotes(label) else ())
                else:
                    votes = formats.votes_of(found, label, path)
                    if votes.given and is_ours is None:
                        is_ours = look.format in formats.TABLES and formats.REMAINDER in _header(look)
                if (votes.given or votes.doubts) and not is_ours:
                    _keep(votes, found, look, asked, faults, voters)
                    doubts += [formats.Problem(line, doubt) for doubt in votes.doubts]
            else:
                look.problems.append(found)
            if stream.fraction:
                tick(stream.announced, max(stream.announced, int(stream.announced / stream.fraction)))
    faults.refuse()
    look = replace(look, announced=stream.announced, warnings=[*stream.warnings, *_most(doubts)])
    if asked.as_before:
        named = ", ".join(f"{field} from {name!r}" for field, name in asked.columns.items())
        look.warnings.append(formats.Problem(1, f"columns as named for an earlier file of this header: {named}"))
    if asked.machine is not None:
        look = _of_a_machine(look, asked.machine)
    elif look.votes and not asked.of_a_person:
        reviewers = [(where, name) for name, where in voters.items()]
        ask_whose(path, [label_column or ""], chain(reviewers, _named_reviewers(look)))
    return look


def _keep(
    votes: formats.Votes, found: Record, look: Look, asked: _Asked, faults: Faults, voters: dict[str, str]
) -> None:
    """Keep what was decided on the record read last, and where each voter was first named."""
    place, where, column = len(look.lines) - 1, f"line {look.lines[-1]}", asked.label_column or ""
    given = []
    for vote in votes.given:
        if (judged := label_of(vote.label, column)) is None:
            faults.add(where, f"{vote.label!r} is not a label", f"{LABEL_VALUES}, or leave the cell blank")
            continue
        named = named_in(found, vote, asked.reviewer_column, where, faults)
        reasons, tags = (tuple(filter(None, map(tidy, some))) for some in (vote.reasons, vote.tags))
        given.append(Given(named, judged, reasons, vote.note, tags))
        if vote.reviewer:
            voters.setdefault(named, where)
    if given:
        look.votes[place] = tuple(given)
    if votes.final and (final := label_of(votes.final)) is not None:
        look.final[place] = final


def _most(doubts: Sequence[formats.Problem], most: int = 20) -> list[formats.Problem]:
    rest = len(doubts) - most
    return [*doubts[:most], *([formats.Problem(0, plural(rest, "more vote") + " like these")] if rest > 0 else [])]


def _header(look: Look) -> list[str]:
    return look.asked.rows(look.path)[0]


def _check_column(look: Look, name: str) -> None:
    """Refuse a file without the column that says whose decision a row holds."""
    if look.format not in formats.TABLES:
        raise InputError(
            f"{look.path} is a {look.format} file; --reviewer-column needs a table (CSV, Excel or Parquet)."
        )
    if name not in (header := _header(look)):
        named = ", ".join(filter(None, header))[:200]
        raise InputError(f"{look.path} has no column {name!r}; its columns are: {named}.")


def _named_reviewers(look: Look) -> Iterator[tuple[str, str]]:
    """Yield who a table names as having given its labels, and where."""
    if look.format not in formats.TABLES:
        return
    labelled = {look.lines[place] for place in look.votes}
    header, rows = look.asked.rows(look.path)
    columns = reviewer_columns(header)
    for line, cells in rows if columns else ():
        if line in labelled:
            yield from ((f"line {line}, column {header[at]!r},", cells[at]) for at in columns if at < len(cells))


def _of_a_machine(look: Look, machine: Machine) -> Look:
    """Return what was found with the machine's labels as suggestions; what other voters say stays as it is."""
    said: dict[int, dict[str, str]] = {}  # by line
    if look.format in formats.TABLES:
        header, rows = look.asked.rows(look.path)
        columns = {name: at for name, at in machine_columns(header).items() if header[at] != look.asked.label_column}
        for line, cells in rows if columns else ():
            said[line] = {name: cells[at] for name, at in columns.items() if at < len(cells)}
    faults = Faults(str(look.path))
    suggestions = {}
    theirs, others = of_the_machine(look.votes, machine.name)
    for place, line in enumerate(look.lines):
        label, reason = theirs.get(place, (None, ""))
        one = suggestion_of(machine.name, label, {"reason": reason, **said.get(line, {})}, f"line {line}", faults)
        if one.label is not None or one.score is not None:
            suggestions[place] = one
    faults.refuse()
    return replace(
        look, votes=others, final={n: label for n, label in look.final.items() if n in others}, suggestions=suggestions
    )


def _suggest(project: Project, path: Path, machine: Machine, given: Mapping[int, Suggestion], reviewer: str) -> int:
    """Write what a machine suggests at the first stage, and return how many suggestions are new."""
    stage = project.snapshot().stage_name()
    new = new_suggestions(project, stage, given)
    if new:
        project.log.suggest(stage, new, machine=machine.name, known=machine.known(path, reviewer))
    return len(new)


def _add_reasons(project: Project, looked: Sequence[Look], reviewer: str) -> tuple[protocols.Criterion, ...]:
    """Add the reasons in the files that the first stage does not have to the protocol."""
    project.refresh_protocol()
    review = project.snapshot()
    known = codes_of(review.asked().reasons)
    texts = {folded(reason): reason for look in looked for reason in look.reasons() if folded(reason) not in known}
    if not texts:
        return ()
    reasons = protocols.new_reasons(review.protocol, texts.values())
    project.change_protocol(protocols.with_reasons(review.protocol, reasons), reviewer=reviewer)
    return reasons


def _unlisted(project: Project, look: Look) -> dict[str, int]:
    known = codes_of(project.snapshot().asked().reasons)
    return {reason: n for reason, n in look.reasons().most_common() if folded(reason) not in known}


def _undecided(
    project: Project, files: Sequence[Mapping[int, tuple[Given, ...]]]
) -> list[dict[int, tuple[Given, ...]]]:
    """Return of each file's votes those on records that their people have never decided on at the first stage.

    A vote that names nobody is left out where anybody has decided. A file that is imported again so brings the
    decisions that an interrupted import left out, and none that was changed, or taken back, since.
    """
    if not any(files):
        return [{} for _ in files]
    review = project.snapshot()
    stage = review.stage()
    kept = stage.live.kept
    events = [e for e in review.events if e.kind is Kind.DECISION and e.stage == stage.name]
    decided = {(kept(e.about), name) for e in events for name in (e.reviewer, "")}
    missing: list[dict[int, tuple[Given, ...]]] = []
    for votes in files:
        new = {i: tuple(one for one in given if (kept(i), one.reviewer) not in decided) for i, given in votes.items()}
        missing.append({i: given for i, given in new.items() if given})
        # The same file may be named twice.
        decided.update((i, name) for i, given in missing[-1].items() for one in given for name in (one.reviewer, ""))
    return missing


def _write_votes(project: Project, files: Sequence[Mapping[int, tuple[Given, ...]]], reviewer: str) -> None:
    """Write votes as decisions with their tags, in one transaction."""
    if not any(files):
        return
    review = project.snapshot()
    stage, reasons = review.stage(), review.asked().reasons
    own = {folded(tag): tag for tag in review.protocol.tags}
    has: dict[str, dict[int, list[Event]]] = {}
    decisions: list[dict[str, object]] = []
    tags_by: dict[str, dict[int, list[str]]] = {}
    for i, one in ((i, one) for votes in files for i, given in votes.items() for one in given):
        who = one.reviewer or reviewer
        reason, note = reason_among(reasons, one)
        decisions.append(
            {
                "record_id": i,
                "label": one.label,
                "origin": Origin.IMPORTED,
                "reviewer": who,
                "reason": reason,
                "note": note,
            }
        )
        if one.tags:
            if who not in has:
                has[who] = stage.live.tagged(stage.name, who)
            before = [e.reason for e in has[who].get(stage.live.kept(i), ())]
            tags_by.setdefault(who, {})[i] = [*before, *(own.get(folded(tag), tag) for tag in one.tags)]
    log_decisions(project, stage, decisions, reviewer=reviewer, tags_by=tags_by)


def _settle(project: Project, final: Mapping[int, Label], reviewer: str) -> dict[int, Label]:
    """Settle the conflicts that a file settles itself, but for records that somebody has ever settled here."""
    if not final:
        return {}
    review = project.snapshot()
    person = review.person(reviewer)
    if person is not None and person.role is Role.REVIEWER:
        return {}
    stage = review.stage()
    kept = stage.live.kept
    before = {kept(e.about) for e in review.events if e.kind is Kind.SETTLED and e.stage == stage.name}
    here = {i: label for i, label in final.items() if kept(i) in stage.consensus.conflicts and kept(i) not in before}
    project.log.settle_all(stage.name, here, reviewer=reviewer, note="as the imported file says")
    return here


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
