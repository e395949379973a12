"""Decisions made elsewhere, taken from a table."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import formats, protocol as protocols
from ..as_json import OMIT_NONE
from ..errors import Faults, InputError
from ..formats import apart
from ..log import Event, Kind, Label, Origin, Stage, label_of, without_quotes
from ..machines import Machine
from ..project import Project
from ..screening.journal import log_decisions
from ..wording import agree, is_are, plural
from .naming import one_of
from .suggestions import ask_whose, machine_columns, new_suggestions, reviewer_columns, suggestion_of

LABEL_VALUES = "write include, exclude or maybe (yes and no, or 1 and 0, will do)"
CONFLICT = "conflict"  # what an export says where reviewers disagree


@dataclass(frozen=True, slots=True)
class Tagged:
    """How many tags were given, and how many taken back."""

    given: int
    taken_back: int


@dataclass(frozen=True, slots=True)
class Labelled:
    """What came of a table of decisions; what `triage label --json` prints.

    Attributes
    ----------
    decisions : int
        Decisions written.
    machine : str or None
        Whose labels they are, where they are a machine's.
    suggestions : int
        Suggestions of it that were written.
    unchanged : int
        Decisions or suggestions in force already.
    include, exclude, maybe : int
        How many records the table decides on so.
    blank, repeated : int
        Rows without a label, and rows that repeat an earlier one.
    unlisted_reasons, unlisted_tags : dict of str to int
        How often each reason was given that the stage does not have, and each tag that the protocol does not have.
    tags : Tagged
    warnings : list of str
    people : dict of str to int or None
        By whom the decisions written are, where the table says whose they are.
    """

    decisions: int
    machine: str | None
    suggestions: int
    unchanged: int
    include: int
    exclude: int
    maybe: int
    blank: int
    repeated: int
    unlisted_reasons: dict[str, int]
    tags: Tagged
    unlisted_tags: dict[str, int]
    warnings: list[str]
    people: dict[str, int] | None = field(default=None, metadata=OMIT_NONE)


def label(
    project: Project,
    path: Path,
    *,
    reviewer: str,
    stage_name: str | None = None,
    reviewer_column: str | None = None,
    machine: Machine | None = None,
    of_a_person: bool = False,
    encoding: str | None = None,
) -> Labelled:
    """Take decisions made elsewhere: a table with `record_id`, `label` and optional `reason`, `note`, `tags`.

    The whole file is checked first and written in one transaction. A row without a label is not decided. A
    record that was handed out keeps the origin with which it was; any other is `chosen`. A decision equal to the
    one in force is not written again. A reason that is a code of the stage, or its text, becomes that code, in
    whatever case; any other is kept as it is written. So it is with tags ("review; qualitative") and the
    protocol's; a record's tags take the place of those that the reviewer had given it at the stage, and
    without a column `tags` they stay.

    The labels of a machine are not decisions: each becomes a suggestion, with the machine's reason as it gave it, its
    score and its rationale where the table has columns for them. A row with a score needs no label.

    Parameters
    ----------
    project : Project
    path : Path
    reviewer : str
        Who decided, or brings a machine's labels in.
    stage_name : str, optional
        The first stage when left out.
    reviewer_column : str, optional
        The column that says whose decision each row holds: a record then has a row for each person.
    machine : Machine, optional
        Whose labels they are, where they are a machine's.
    of_a_person : bool
        Whether the user says that they are a person's, whatever names the file holds.
    encoding : str, optional
        Of a file of text; found out by default.

    Raises
    ------
    InputError
        With every line at fault, or when the reviewer is a machine; nothing is written.
    WhoseLabels
        When the file names a tool that screens, and neither `machine` nor `of_a_person` is given.
    """
    project.log.check_person(reviewer)
    if machine is not None:
        project.log.check_machine(machine.name)
    review = project.snapshot()
    stage = review.stage(stage_name)
    faults = Faults(str(path))
    table = _read_decisions(path, faults, machine is not None, reviewer_column, encoding)
    if machine is None and not of_a_person:
        ask_whose(path, [table.labels], table.reviewers)
    if machine is not None:
        return _suggest(project, path, stage, machine, reviewer, table, faults)
    by_person: dict[str, dict[int, _Given]] = {}
    rows: Counter[str] = Counter()
    for person, part in table.by_person(reviewer).items():
        project.log.check_person(person)
        by_person[person], counted = _checked(part, stage, faults)
        rows.update(counted)
    faults.refuse()
    every = [(person, kept, given) for person, taken in by_person.items() for kept, given in taken.items()]
    rows["reasoned"] = sum(given.label is Label.INCLUDE and bool(given.reason) for _, _, given in every)
    warnings = [*table.warnings, *(said(rows[kind]) for kind, said in _TOLD_OF_ROWS.items() if rows[kind])]
    codes = codes_of(review.asked(stage.name).reasons)
    in_force: dict[tuple[str, int], list[Event]] = defaultdict(list)
    for (name, record_id, who), event in stage.live.decisions.items():
        if name == stage.name and who in by_person:
            in_force[who, stage.live.kept(record_id)].append(event)
    protocol_tags = {folded(tag): tag for tag in review.protocol.tags}
    decisions, unchanged = [], 0
    counts: Counter[str] = Counter()
    unlisted: Counter[str] = Counter()
    unlisted_tags: Counter[str] = Counter()
    tags: dict[str, dict[int, list[str]]] = {}
    for who, kept, given in every:
        reason = given.reason
        if reason and codes:
            if folded(reason) not in codes:
                unlisted[reason] += 1
            reason = codes.get(folded(reason), reason)
        if given.tags is not None:
            wanted = {folded(tag): tag for tag in _split(given.tags)}
            if protocol_tags:
                unlisted_tags.update(tag for key, tag in wanted.items() if key not in protocol_tags)
            tags.setdefault(who, {})[kept] = [protocol_tags.get(key, tag) for key, tag in wanted.items()]
        counts[str(given.label)] += 1
        before = in_force[who, kept]
        if before and all(_is_said(e, given, reason) for e in before):
            unchanged += 1
            continue
        decisions.append(
            {
                "record_id": kept,
                "reviewer": who,
                "label": given.label,
                "reason": reason,
                "note": given.note,
                "origin": _origin_of(stage, kept),
            }
        )
    written = Counter(e.kind for e in log_decisions(project, stage, decisions, reviewer=reviewer, tags_by=tags))
    return Labelled(
        decisions=len(decisions),
        machine=None,
        suggestions=0,
        unchanged=unchanged,
        include=counts[Label.INCLUDE],
        exclude=counts[Label.EXCLUDE],
        maybe=counts[Label.MAYBE],
        blank=rows["blank"],
        repeated=rows["repeated"],
        unlisted_reasons=dict(unlisted.most_common()),
        tags=Tagged(written[Kind.TAG], written[Kind.UNDO]),
        unlisted_tags=dict(unlisted_tags.most_common()),
        warnings=warnings,
        people=None if reviewer_column is None else dict(Counter(str(one["reviewer"]) for one in decisions)),
    )


def _suggest(
    project: Project, path: Path, stage: Stage, machine: Machine, reviewer: str, table: _Decisions, faults: Faults
) -> Labelled:
    """Write a machine's labels as suggestions."""
    taken, rows = _checked(table, stage, faults)
    given = {
        kept: suggestion_of(machine.name, one.label, one.said(), f"{table.unit} {one.line}", faults)
        for kept, one in taken.items()
    }
    faults.refuse()
    warnings = [*table.warnings, *(said(rows[kind]) for kind, said in _TOLD_OF_ROWS.items() if rows[kind])]
    counts = Counter(str(one.label) for one in given.values())
    new = new_suggestions(project, stage.name, given)
    if new:
        project.log.suggest(stage.name, new, machine=machine.name, known=machine.known(path, reviewer))
    return Labelled(
        decisions=0,
        machine=machine.name,
        suggestions=len(new),
        unchanged=len(given) - len(new),
        include=counts[Label.INCLUDE],
        exclude=counts[Label.EXCLUDE],
        maybe=counts[Label.MAYBE],
        blank=rows["blank"],
        repeated=rows["repeated"],
        unlisted_reasons={},
        tags=Tagged(0, 0),
        unlisted_tags={},
        warnings=warnings,
    )


_TOLD_OF_ROWS: Mapping[str, Callable[[int], str]] = {
    "repeated": lambda n: (
        f"{plural(n, 'row')} {agree(n, 'repeats', 'repeat')} what an earlier row decides on the same "
        "record; each record counts once."
    ),
    "conflict": lambda n: (
        f"{plural(n, 'row')} {agree(n, 'says', 'say')} that reviewers are in conflict, which is no "
        f"decision; nothing was taken from {agree(n, 'it', 'them')} (see `triage conflicts`)."
    ),
    "overlooked": lambda n: (
        f"{plural(n, 'row')} {agree(n, 'has', 'have')} a reason, note or tags but no label; nothing was "
        f"taken from {agree(n, 'it', 'them')}."
    ),
    "reasoned": lambda n: (
        f"{plural(n, 'record')} {is_are(n)} included although a reason to exclude "
        f"{agree(n, 'it', 'them')} is given; the {agree(n, 'decision was', 'decisions were')} taken: "
        f"check {agree(n, 'it', 'them')}."
    ),
}


def _checked(table: _Decisions, stage: Stage, faults: Faults) -> tuple[dict[int, _Given], Counter[str]]:
    """Return what each record was given, and how many rows are "blank", "conflict", "overlooked" or "repeated"."""
    taken: dict[int, _Given] = {}
    rows: Counter[str] = Counter()
    tagged = stage.live.tagged(stage.name)
    for line, row in table.rows:
        where, label = f"{table.unit} {line}", row.get("label", "")
        record_id = _record_id(row["record_id"])
        kept = 0 if record_id is None else stage.live.kept(record_id)
        given = _Given(
            line,
            record_id or 0,
            label_of(label, table.labels),
            row.get("reason", "").strip(),
            row.get("note", "").strip(),
            row.get("tags"),
            row.get("score", "").strip(),
            row.get("confidence", "").strip(),
            row.get("rationale", "").strip(),
        )
        said = without_quotes(label).casefold()
        if said in ("", CONFLICT) and not (given.score and not said):
            rows[said or "blank"] += 1
            new_tags = {*map(folded, _split(given.tags or ""))} - {folded(e.reason) for e in tagged.get(kept, ())}
            rows["overlooked"] += not said and bool(given.reason or given.note or new_tags)
            continue
        if given.label is None and said:
            faults.add(where, f"{label!r} is not a label", f"{LABEL_VALUES}, or leave the cell blank")
        if record_id is None:
            faults.add(
                where,
                f"{row['record_id']!r} is not a record_id",
                "a record_id is a whole number from 1, as `triage export` wrote it",
            )
        elif stage.rows_of([kept])[0] < 0:
            faults.add(
                where,
                f"record {record_id} is not at the stage {stage.name!r} (never imported, removed, or not "
                "included at a stage before)",
                "use the record_id that `triage export` wrote",
            )
        elif given.label is not None or not said:
            before = taken.setdefault(kept, given)
            if before is not given:
                rows["repeated"] += 1
                taken[kept] = before.completed(given)
                if differs := before.differs(given):
                    there, here = (str(getattr(one, differs)) for one in (before, given))
                    linked = f", for its duplicate {before.record_id}," * (before.record_id != record_id)
                    faults.add(
                        where,
                        f"record {record_id} has the {differs} {here!r} here, but{linked} {there!r} in "
                        f"{table.unit} {before.line}",
                        "keep one row for each record",
                    )
    return taken, rows


def _split(tags: str) -> list[str]:
    return [tag.strip() for tag in tags.split(";") if tag.strip()]


@dataclass(frozen=True, slots=True)
class _Given:
    """What a row of a file of decisions says of a record; `tags` is None where the file has no column for them."""

    line: int
    record_id: int
    label: Label | None
    reason: str
    note: str
    tags: str | None
    score: str = ""  # this and what follows only of a machine
    confidence: str = ""
    rationale: str = ""

    def said(self) -> dict[str, str]:
        """Return what it says beside the label."""
        return {name: getattr(self, name) for name in _BESIDE_LABEL}

    def differs(self, other: _Given) -> str | None:
        """Name what two rows on one record say differently; a blank cell says nothing."""
        if self.label is not other.label:
            return "label"
        pairs = ((name, getattr(self, name) or "", getattr(other, name) or "") for name in (*_BESIDE_LABEL, "tags"))
        return next((name for name, a, b in pairs if a.strip() and b.strip() and folded(a) != folded(b)), None)

    def completed(self, other: _Given) -> _Given:
        """Return this with what the other row says where this one is blank."""
        said = {name: getattr(self, name) or getattr(other, name) for name in (*_BESIDE_LABEL, "tags")}
        return replace(self, **said)


def folded(reason: str) -> str:
    """Return a reason as it is compared: without case or extra spaces."""
    return " ".join(reason.casefold().split())


def codes_of(reasons: Iterable[protocols.Criterion]) -> dict[str, str]:
    """Map what names a reason, its text or its code, to the code; a code goes before another's text."""
    reasons = list(reasons)
    return {folded(r.text): r.code for r in reasons} | {folded(r.code): r.code for r in reasons}


def _is_said(e: Event, given: _Given, reason: str) -> bool:
    """Tell whether a row says what is in force already.

    The row of a record excluded unread, as it was exported or without a note of its own, does not make it a read one.
    """
    if e.is_unread and given.note in ("", e.note, e.remark):
        return given.label is Label.EXCLUDE and reason in ("", e.reason)
    return (e.label, e.reason, e.note) == (given.label, reason, given.note)


def _origin_of(stage: Stage, record_id: int) -> Origin:
    """Return how a record was handed out; nothing becomes an audit draw by being decided on."""
    shown = stage.live.shown.get((stage.name, record_id))
    return shown.origin if shown is not None and shown.kind is Kind.SHOWN and shown.origin else Origin.CHOSEN


@dataclass(frozen=True, slots=True)
class _Decisions:
    """A file of decisions as read.

    Attributes
    ----------
    unit : str
        What the numbers of its rows count: "line" or "row".
    labels : str
        The name of its column of labels.
    rows : list of (int, dict)
        Each row's number, and its cells by our names of the columns.
    reviewers : list of (str, str)
        Who is named as having given labels, each name once, with where that is.
    warnings : list of str
    """

    unit: str
    labels: str
    rows: list[tuple[int, dict[str, str]]]
    reviewers: list[tuple[str, str]]
    warnings: list[str]

    def by_person(self, reviewer: str) -> dict[str, _Decisions]:
        """Return the rows of each person whom they name; a row that names nobody is the reviewer's."""
        rows: dict[str, list[tuple[int, dict[str, str]]]] = {}
        for line, row in self.rows:
            rows.setdefault(row.get(_WHO, reviewer), []).append((line, row))
        return {person: replace(self, rows=some) for person, some in rows.items()}


_WHO = "by whom"  # among a row's cells
_DECISION_COLUMNS = ("record_id", "label", "reason", "note", "tags")
_BESIDE_LABEL = ("reason", "note", "score", "confidence", "rationale")
_NEEDED = ("record_id", "label")
_LABEL_COLUMNS = ("decision", "include", "included")  # where no column is named label


def _columns_of(header: Sequence[str]) -> dict[str, list[int]]:
    """Return where each column of a file of decisions may be, names compared as letters only."""
    names = [without_quotes(name) for name in header]
    own = formats.REMAINDER in names

    def named(*wanted: str) -> list[int]:
        return [at for at, name in enumerate(names) if formats.letters(name) in wanted]

    places = {}
    for wanted in _DECISION_COLUMNS:
        exact = [at for at, name in enumerate(names) if name == wanted]
        # In an export of our own, a column named in another case is an imported field.
        places[wanted] = exact if own and (exact or wanted not in _NEEDED) else named(formats.letters(wanted))
    places["label"] = places["label"] or named(*_LABEL_COLUMNS)
    return places


def _read_decisions(
    path: Path, faults: Faults, of_a_machine: bool, reviewer_column: str | None, encoding: str | None
) -> _Decisions:
    """Return the rows of a table of decisions, or of a machine's labels, without those that go to `faults`."""
    if path.is_file() and not path.stat().st_size:
        raise InputError(f"{path} is empty; write the columns record_id and label, and a row for each record.")
    unit, header, rows, tally = apart.open_table(
        path, lambda cells: all(_columns_of(cells)[name] for name in _needed(cells, of_a_machine)), encoding
    )
    places = _columns_of(header)
    once = _needed(header, of_a_machine)
    if any(len(places[name]) != 1 for name in once) or any(len(found) > 1 for found in places.values()):
        named = ", ".join(name.strip() for name in header if name.strip())
        raise InputError(
            f"{path}: the first row must name the columns record_id and label once each (and may name reason, note and "
            f"tags); it names: {named[:200] or 'nothing'}."
        )
    own = formats.REMAINDER in [without_quotes(name) for name in header]
    at = {name: found[0] for name, found in places.items() if found}
    by_whom = reviewer_columns(header)
    if reviewer_column is not None:
        columns = [without_quotes(name) for name in header]
        if reviewer_column not in columns:
            raise InputError(
                f"{path} has no column {reviewer_column!r}; its columns are: {', '.join(filter(None, columns))[:200]}."
            )
        at[_WHO] = columns.index(reviewer_column)
        by_whom = [*by_whom, at[_WHO]]
    if of_a_machine:
        at |= {name: place for name, place in machine_columns(header).items() if place not in at.values()}
    reviewers: dict[str, str] = {}
    taken, number = [], 0
    for number, (line, cells) in enumerate(rows, 1):
        if any(map(str.strip, cells[len(header) :])):
            faults.add(
                f"{unit} {line}",
                f"{plural(len(cells), 'cell')} where the header has {len(header)}",
                "put text that holds the separator in double quotes",
            )
            continue
        cells = [*cells, *[""] * (len(header) - len(cells))]  # Excel leaves the blank ones at the end of a line out
        for i in by_whom:
            reviewers.setdefault(cells[i], f"{unit} {line}, column {header[i].strip()!r},")
        # In an export of our own, formulas are disarmed.
        row = {name: formats.armed(cells[i]) if own else cells[i] for name, i in at.items()}
        if reviewer_column is not None and without_quotes(row.get("label", "")):
            row[_WHO] = one_of(row[_WHO], reviewer_column, f"{unit} {line}", faults)
        else:
            row.pop(_WHO, None)
        taken.append((line, row))
    if not number:
        raise InputError(f"{path} holds no decision; write one row for each record under the header.")
    warnings = [f"{unit} {warning.line}: {warning.message}." for warning in tally.warnings]
    labels = header[at["label"]] if "label" in at else ""
    return _Decisions(unit, labels, taken, [(where, name) for name, where in reviewers.items()], warnings)


def _needed(header: Sequence[str], of_a_machine: bool) -> tuple[str, ...]:
    """Return our names of the columns that there must be; a machine may give only scores."""
    return ("record_id",) if of_a_machine and "score" in machine_columns(header) else _NEEDED


def _record_id(text: str) -> int | None:
    # A spreadsheet may have made "7" into "7.0".
    number = re.fullmatch(r"([0-9]{1,15})(?:[.,]0*)?", without_quotes(text))
    return int(number[1]) if number is not None and int(number[1]) > 0 else None
