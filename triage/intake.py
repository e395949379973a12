"""What happens to files: import, dedupe, filter, decisions made elsewhere, export."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from . import dedupe, eligibility, formats
from . import protocol as protocols
from .decisions import Batch, Event, Kind, Label, Origin, batches, label_of, without_quotes
from .errors import Faults, InputError
from .features import no_progress
from .project import File, Project, Records, Snapshot, Stage, place_of
from .records import Record
from .screening import commit_audit
from .wording import agree, is_are, plural

_LABELS = "write include, exclude or maybe (yes and no, or 1 and 0, will do)"
_CONFLICT = "conflict"  # what an export says where reviewers disagree
EXPORTABLE = ("included", "excluded", "maybe", "unscreened", "next", "second-look")


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one file: announced = kept + already_there + len(problems); and the decisions it brought."""

    file: str
    format: str
    source: str
    announced: int
    kept: int
    already_there: int
    decisions: int
    problems: list[formats.Problem]
    warnings: list[formats.Problem]


def as_json(done: Imported) -> dict[str, object]:
    """Return what `triage import --json` prints for a file."""
    return {
        "file": done.file,
        "format": done.format,
        "source": done.source,
        "announced": done.announced,
        "kept": done.kept,
        "already_there": done.already_there,
        "decisions": done.decisions,
        "problems": [{"line": p.line, "message": p.message} for p in done.problems],
        "warnings": [{"line": p.line, "message": p.message} for p in done.warnings],
    }


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
    progress=no_progress,
) -> list[Imported]:
    """Read exports and add their records, each file whole or not at all.

    Every file is read before the first is added, so that one that cannot be read stops the import
    with nothing written. Equal records are all kept: `find_duplicates` links them.

    Parameters
    ----------
    project : Project
    paths : sequence of Path
    reviewer : str
        Whose decisions a label column holds.
    source : str, optional
        The database that the files came from; the file's name without its ending when left out.
    format : str
        One of `formats.FORMATS`, or "auto".
    label_column : str, optional
        Column of a table that holds decisions; they become decisions of origin `imported` at the
        first stage.
    progress : callable
        See `screening.ReviewModel`.

    Raises
    ------
    InputError
        When a file is none that can be read, or a label is none.
    """
    source = (source or "").strip() or None
    looked = [_look(path, format, label_column, progress) for path in paths]
    for look in looked:
        before = project.snapshot().imported(look.sha256, source)
        if before is not None and before.kept != len(look.lines):
            raise InputError(
                f"{look.path} was imported before as {before.format}, and gave {plural(before.kept, 'record')}; read "
                f"as {look.format} it gives {len(look.lines):,}: leave --format out."
            )
    added = []
    reasons: dict[int, str] = {}
    for look in looked:
        before = project.snapshot().imported(look.sha256, source)
        if before is None:
            with progress(f"Storing {look.path.name}") as tick:
                ids = project.records.add(
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
            file_ids = project.snapshot().record_files()
            ids = (np.flatnonzero(file_ids == before.id) + 1).tolist()  # ids run from 1
        reasons |= {ids[n]: reason for n, reason in look.reasons.items()}
        added.append((before, {i: label for i, label in zip(ids, look.labels, strict=True) if label is not None}))
    missing = _undecided(project, [labelled for _, labelled in added])
    if any(missing):
        codes = _codes(project.protocol().stages[0].reasons)
        reasons = {i: codes.get(_folded(reason), reason) for i, reason in reasons.items()}
        # Once, when the records of all files are there: each permutation is a stratum of the audit.
        stage = commit_audit(project).stage()
        project.log.decide(
            stage.name,
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
        )
        for look, (before, _), decided in zip(looked, added, missing, strict=True)
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

    def records(self, label_column: str | None, tick: Callable[[int, int], None]) -> Iterator[Record]:
        """Yield the records that are kept.

        Raises
        ------
        InputError
            At the end, when the file is no longer the one that was looked at.
        """
        done = 0
        for _, found, _ in formats.open_records(self.path, self.format, label_column):
            if isinstance(found, Record):
                done += 1
                if done <= len(self.lines):
                    yield found
                tick(done, len(self.lines))
        if done != len(self.lines) or _sha256(self.path) != self.sha256:
            raise InputError(f"{self.path} was changed while it was read, so nothing of it was taken; import it again.")


def _look(path: Path, format: str, label_column: str | None, progress) -> _Look:
    """Read a file to its end, keep none of its records, and check every label."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the export files in it.")
    stream = formats.open_records(path, format, label_column)
    look = _Look(path, stream.format, _sha256(path), 0, [], [], {}, [], [])
    faults = Faults(str(path))
    with progress(f"Reading {path.name}") as tick:
        for line, found, label in stream:
            if isinstance(found, Record):
                look.lines.append(line)
                judged = label_of(label, label_column or "")
                if judged is None and without_quotes(label):
                    faults.add(f"line {line}", f"{label!r} is no label", f"{_LABELS}, or leave the cell blank")
                if judged is Label.EXCLUDE and label_column is None:
                    if reason := formats.reason_in_notes(v for values in found.extra.values() for v in values):
                        look.reasons[len(look.labels)] = reason
                look.labels.append(judged)
            else:
                look.problems.append(found)
            if stream.fraction:
                tick(stream.announced, max(stream.announced, int(stream.announced / stream.fraction)))
    faults.refuse()
    return replace(look, announced=stream.announced, warnings=stream.warnings)


def _undecided(project: Project, files: Sequence[Mapping[int, Label]]) -> list[dict[int, Label]]:
    """Return of each file's labels those of records that nobody has decided on at the first stage, ever.

    A file that is imported again so brings the decisions that an interrupted import left out, and
    none that was changed, or taken back, since.
    """
    if not any(files):
        return [{} for _ in files]
    review = project.snapshot()
    stage = review.stage()
    decided = {stage.live.kept(e.record_id) for e in review.events if e.kind is Kind.DECISION and e.stage == stage.name}
    missing = []
    for labels in files:
        missing.append({i: label for i, label in labels.items() if stage.live.kept(i) not in decided})
        decided.update(missing[-1])  # the same file may be named twice
    return missing


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- duplicates and eligibility ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Maybe:
    """Two records that look like copies, and why; a person decides."""

    kept: Record
    copy: Record
    why: str


@dataclass(frozen=True, slots=True)
class Deduped:
    """What `find_duplicates` did: new links, the records left, and the questions that are open."""

    records: int
    linked: int
    duplicates: int
    reasons: dict[str, int]
    maybes: list[Maybe]


def find_duplicates(project: Project, *, reviewer: str) -> Deduped:
    """Link the sure duplicates that are not linked yet; nothing is deleted, each link can be undone.

    A link that somebody took back is not made again, nor are records asked about that a person told apart.
    """
    review = project.snapshot()
    events, live = review.events, review.live
    undone = {e.undoes for e in events}
    apart = [
        (e.record_id, e.other_id)
        for e in events
        if (e.kind is Kind.DUPLICATE and e.seq in undone) or (e.kind is Kind.APART and e.seq not in undone)
    ]
    found = dedupe.find_duplicates(project.records.read(), apart)
    links = [link for link in found if link.sure and live.kept(link.copy_id) != live.kept(link.kept_id)]
    project.log.link(((link.copy_id, link.kept_id, link.why) for link in links), reviewer=reviewer)
    live = project.live()
    open_pairs = {
        (min(pair), max(pair)): link.why
        for link in found
        if not link.sure and len(pair := {live.kept(link.copy_id), live.kept(link.kept_id)}) == 2
    }
    records = {r.id: r for r in project.records.read({i for pair in open_pairs for i in pair})} if open_pairs else {}
    return Deduped(
        records=review.n_records,
        linked=len(links),
        duplicates=len(live.duplicates),
        reasons=dict(Counter(link.why for link in links)),
        maybes=[Maybe(records[kept], records[copy], why) for (kept, copy), why in open_pairs.items()],
    )


def settle_maybe(project: Project, maybe: Maybe, answer: bool | None, *, reviewer: str) -> None:
    """Write a person's answer: True links the copy, False tells the two apart, None takes the answer back."""
    pair = maybe.copy.id, maybe.kept.id
    if answer:
        project.log.link([(*pair, f"{maybe.why}; a person decided")], reviewer=reviewer)
    elif answer is False:
        project.log.tell_apart(*pair, reviewer=reviewer)
    else:
        _take_back(
            project, lambda e: e.kind in (Kind.DUPLICATE, Kind.APART) and (e.record_id, e.other_id) == pair, reviewer
        )


def after_answers(project: Project, before: Deduped, *, reviewer: str) -> Deduped:
    """Return what was found once the answers to the questions of `before` are settled, all links counted."""
    now = find_duplicates(project, reviewer=reviewer)
    reasons = Counter(before.reasons) + Counter(now.reasons)
    reasons["a person decided"] = now.duplicates - before.duplicates - now.linked
    return replace(now, linked=before.linked + now.duplicates - before.duplicates, reasons=dict(+reasons))


def _take_back(project: Project, is_answer: Callable[[Event], bool], reviewer: str) -> None:
    """Undo the newest event of a kind that is not undone."""
    events = project.log.events()
    undone = {e.undoes for e in events}
    for event in reversed(events):
        if event.seq not in undone and is_answer(event):
            project.log.undo(event.seq, reviewer=reviewer)
            return


@dataclass(frozen=True, slots=True)
class Filtered:
    """What `apply_limits` did: removals by kind, proposals that wait for a person, records left."""

    checked: int
    removed: dict[str, int]
    proposed: list[eligibility.Proposal]
    left: int


def apply_limits(project: Project, *, reviewer: str, accept_proposals: bool = False) -> Filtered:
    """Apply the protocol's language, date and type limits to the records not yet removed.

    Parameters
    ----------
    project : Project
    reviewer : str
    accept_proposals : bool
        Remove what only a language detector speaks against, too.
    """
    review = project.snapshot()
    limits, stage, events = review.protocol.limits, review.stage(), review.events
    undone = {e.undoes for e in events}
    stays = {(e.record_id, e.reason) for e in events if e.kind is Kind.STAYS and e.seq not in undone}
    removals, proposals = [], []
    for record in project.records.iter_shown(stage):
        found = eligibility.check(record, limits)
        if isinstance(found, eligibility.Removal):
            removals.append((record.id, found.kind, found.reason))
        elif isinstance(found, eligibility.Proposal) and (record.id, found.kind) not in stays:
            proposals.append((record, found))
    if accept_proposals:
        removals += [(record.id, found.kind, found.reason) for record, found in proposals]
        proposals = []
    project.log.remove(removals, reviewer=reviewer)
    return Filtered(
        checked=len(stage.record_ids),
        removed=dict(Counter(kind for _, kind, _ in removals)),
        proposed=proposals,
        left=len(stage.record_ids) - len(removals),
    )


def settle(
    project: Project, proposal: tuple[Record, eligibility.Proposal], answer: bool | None, *, reviewer: str
) -> None:
    """Write a person's answer to a proposal: True removes the record, False keeps it for good, None takes it back."""
    record, found = proposal
    if answer:
        project.log.remove([(record.id, found.kind, found.reason)], reviewer=reviewer)
    elif answer is False:
        project.log.let_stay(record.id, found.kind, reviewer=reviewer)
    else:
        _take_back(project, lambda e: e.kind in (Kind.REMOVAL, Kind.STAYS) and e.record_id == record.id, reviewer)


def accept(filtered: Filtered, answers: Sequence[bool | None]) -> Filtered:
    """Return what was filtered once the answers to its proposals are settled; None left one open."""
    pairs = list(zip(filtered.proposed, answers, strict=True))
    agreed = [found.kind for (_, found), answer in pairs if answer]
    removed = Counter(filtered.removed) + Counter(agreed)
    return Filtered(
        checked=filtered.checked,
        removed=dict(removed),
        left=filtered.left - len(agreed),
        proposed=[proposal for proposal, answer in pairs if answer is None],
    )


# -- decisions made elsewhere -----------------------------------------------------------------


def label(project: Project, path: Path, *, reviewer: str, stage_name: str | None = None) -> dict[str, object]:
    """Take decisions made elsewhere: a table with `record_id`, `label` and optional `reason`, `note`, `tags`.

    The whole file is checked first and written in one transaction. A row without a label is not decided. A
    record that was handed out keeps the origin with which it was; any other is `chosen`. A decision equal to the
    one in force is not written again. A reason that is a code of the stage, or its text, becomes that code, in
    whatever case; any other is kept as it is written. So it is with tags ("review; qualitative") and the
    protocol's; a record's tags take the place of those that the reviewer had given it at the stage, and
    without a column `tags` they stay.

    Returns
    -------
    dict
        `decisions` written, `unchanged` ones, how many were `include`, `exclude` and `maybe`, the rows that are
        `blank` and the `repeated` ones, `unlisted_reasons`: how often each reason was given that is none of the
        stage's, the `tags` given and taken back, `unlisted_tags`, and `warnings`.

    Raises
    ------
    InputError
        With every line at fault; nothing is written.
    """
    review = project.snapshot()
    stage = review.stage(stage_name)
    faults = Faults(str(path))
    table = _read_decisions(path, faults)
    taken, rows = _checked(table, stage, faults)
    faults.refuse()
    rows["reasoned"] = sum(given.label is Label.INCLUDE and bool(given.reason) for given in taken.values())
    warnings = [*table.warnings, *(said(rows[kind]) for kind, said in _TOLD_OF_ROWS.items() if rows[kind])]
    codes = _codes(review.asked(stage.name).reasons)
    in_force: dict[int, list[Event]] = defaultdict(list)
    for (name, record_id, who), event in stage.live.decisions.items():
        if name == stage.name and who == reviewer:
            in_force[stage.live.kept(record_id)].append(event)
    protocol_tags = {_folded(tag): tag for tag in review.protocol.tags}
    decisions, unchanged, counts, unlisted = [], 0, Counter(), Counter()
    tags, unlisted_tags = {}, Counter()
    for kept, given in taken.items():
        reason = given.reason
        if reason and codes:
            if _folded(reason) not in codes:
                unlisted[reason] += 1
            reason = codes.get(_folded(reason), reason)
        if given.tags is not None:
            wanted = {_folded(tag): tag for tag in _split(given.tags)}
            if protocol_tags:
                unlisted_tags.update(tag for key, tag in wanted.items() if key not in protocol_tags)
            tags[kept] = [protocol_tags.get(key, tag) for key, tag in wanted.items()]
        counts[str(given.label)] += 1
        before = in_force[kept]
        if before and all((e.label, e.reason, e.note) == (given.label, reason, given.note) for e in before):
            unchanged += 1
            continue
        decisions.append(
            {
                "record_id": kept,
                "label": given.label,
                "reason": reason,
                "note": given.note,
                "origin": _origin_of(stage, kept),
            }
        )
    if decisions:
        commit_audit(project, stage.name)
    written = Counter(e.kind for e in project.log.decide(stage.name, decisions, reviewer=reviewer, tags=tags))
    return {
        "decisions": len(decisions),
        "unchanged": unchanged,
        **{str(k): counts[str(k)] for k in Label},
        "blank": rows["blank"],
        "repeated": rows["repeated"],
        "unlisted_reasons": dict(unlisted.most_common()),
        "tags": {"given": written[Kind.TAG], "taken_back": written[Kind.UNDO]},
        "unlisted_tags": dict(unlisted_tags.most_common()),
        "warnings": warnings,
    }


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


def _checked(table: _Decisions, stage: Stage, faults: Faults) -> tuple[dict[int, _Given], Counter]:
    """Return what each record was given, and how many rows are "blank", "conflict", "overlooked" or "repeated"."""
    taken: dict[int, _Given] = {}
    rows: Counter = Counter()
    tagged = stage.live.tagged(stage.name)
    for line, row in table.rows:
        where = f"{table.unit} {line}"
        record_id = _record_id(row["record_id"])
        kept = 0 if record_id is None else stage.live.kept(record_id)
        given = _Given(
            line,
            record_id or 0,
            label_of(row["label"], table.labels),
            row.get("reason", "").strip(),
            row.get("note", "").strip(),
            row.get("tags"),
        )
        said = without_quotes(row["label"]).casefold()
        if said in ("", _CONFLICT):
            rows[said or "blank"] += 1
            new_tags = {*map(_folded, _split(given.tags or ""))} - {_folded(e.reason) for e in tagged.get(kept, ())}
            rows["overlooked"] += not said and bool(given.reason or given.note or new_tags)
            continue
        if given.label is None:
            faults.add(where, f"{row['label']!r} is no label", f"{_LABELS}, or leave the cell blank")
        if record_id is None:
            faults.add(
                where,
                f"{row['record_id']!r} is no record_id",
                "a record_id is a whole number from 1, as `triage export` wrote it",
            )
        elif stage.rows_of([kept])[0] < 0:
            faults.add(
                where,
                f"record {record_id} is not at the stage {stage.name!r} (never imported, removed, or not "
                "included at a stage before)",
                "use the record_id that `triage export` wrote",
            )
        elif given.label is not None:
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

    def differs(self, other: _Given) -> str | None:
        """Name what two rows on one record say differently; a blank cell says nothing."""
        if self.label is not other.label:
            return "label"
        pairs = ((name, getattr(self, name) or "", getattr(other, name) or "") for name in ("reason", "note", "tags"))
        return next((name for name, a, b in pairs if a.strip() and b.strip() and _folded(a) != _folded(b)), None)

    def completed(self, other: _Given) -> _Given:
        """Return this with what the other row says where this one is blank."""
        said = {name: getattr(self, name) or getattr(other, name) for name in ("reason", "note", "tags")}
        return replace(self, **said)


def _folded(reason: str) -> str:
    return " ".join(reason.casefold().split())


def _codes(reasons: Iterable[protocols.Criterion]) -> dict[str, str]:
    """Map what names a reason, its text or its code, to the code; a code goes before another's text."""
    reasons = list(reasons)
    return {_folded(r.text): r.code for r in reasons} | {_folded(r.code): r.code for r in reasons}


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
    warnings : list of str
    """

    unit: str
    labels: str
    rows: list[tuple[int, dict[str, str]]]
    warnings: list[str]


_DECISION_COLUMNS = ("record_id", "label", "reason", "note", "tags")
_NEEDED = ("record_id", "label")
_LABEL_COLUMNS = ("decision", "include", "included")  # where there is none named label


def _columns_of(header: Sequence[str]) -> dict[str, list[int]]:
    """Return where each column of a file of decisions may be, names compared as letters alone."""
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


def _read_decisions(path: Path, faults: Faults) -> _Decisions:
    """Return the rows of a table of decisions, without those that `faults` is told of."""
    if path.is_file() and not path.stat().st_size:
        raise InputError(f"{path} is empty; write the columns record_id and label, and a row for each record.")
    unit, header, rows, tally = formats.open_table(
        path, lambda cells: all(places for name, places in _columns_of(cells).items() if name in _NEEDED)
    )
    places = _columns_of(header)
    if any(len(places[name]) != 1 for name in _NEEDED) or any(len(found) > 1 for found in places.values()):
        named = ", ".join(name.strip() for name in header if name.strip())
        raise InputError(
            f"{path}: the first row must name the columns record_id and label once each (and may name reason, note and "
            f"tags); it names: {named[:200] or 'nothing'}."
        )
    own = formats.REMAINDER in [without_quotes(name) for name in header]
    at = {name: found[0] for name, found in places.items() if found}
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
        # In an export of our own, formulas are disarmed.
        taken.append((line, {name: formats.armed(cells[i]) if own else cells[i] for name, i in at.items()}))
    if not number:
        raise InputError(f"{path} holds no decision; write one row for each record under the header.")
    warnings = [f"{unit} {line}: {message}." for line, message in tally.warnings]
    return _Decisions(unit, header[at["label"]], taken, warnings)


def _record_id(text: str) -> int | None:
    # A spreadsheet may have made "7" into "7.0".
    number = re.fullmatch(r"([0-9]{1,15})(?:[.,]0*)?", without_quotes(text))
    return int(number[1]) if number is not None and int(number[1]) > 0 else None


def undo(project: Project, *, reviewer: str, seq: int | None = None) -> dict[str, object]:
    """Take back the reviewer's last decision that stands, or the event `seq`.

    Raises
    ------
    InputError
        When the reviewer has no decision to take back, or the event cannot be undone.
    """
    if seq is None:
        review = project.snapshot()
        mine = [e for e in review.live.decisions.values() if e.reviewer == reviewer]
        if not mine:
            out = _batches_of(review, reviewer)
            raise InputError(
                f"{reviewer} has no decision in {project.path} to take back; "
                + (
                    f"--batch takes back the batch handed out as {out[-1].first.note}."
                    if out
                    else "name the --reviewer who has."
                )
            )
        seq = max(e.seq for e in mine)
    project.log.undo(seq, reviewer=reviewer)
    undone = next(e for e in project.log.events(since=seq - 1, until=seq))
    return {
        "undone": seq,
        "kind": str(undone.kind),
        "record_id": undone.record_id,
        "label": None if undone.label is None else str(undone.label),
        "reason": undone.reason,
        "reviewer": undone.reviewer,
    }


def take_back(project: Project, *, reviewer: str) -> dict[str, object]:
    """Take back the newest batch handed out to a reviewer of which anything is left to take back.

    Raises
    ------
    InputError
        When there is none.
    """
    out = _batches_of(project.snapshot(), reviewer)
    if not out:
        raise InputError(
            f"No batch handed out to {reviewer} can be taken back: there is none, or {reviewer} has judged all of it; "
            "--reviewer NAME names somebody else."
        )
    batch = out[-1]
    left = project.log.take_back(batch.first.seq, reviewer=reviewer)
    return {
        "kind": "batch",
        "file": batch.first.note,
        "stage": batch.first.stage,
        "reviewer": reviewer,
        "handed_out": batch.size,
        "record_ids": [e.record_id for e in left],
    }


def _batches_of(review: Snapshot, reviewer: str) -> list[Batch]:
    """Return the batches handed out to a reviewer that can be taken back, the oldest first."""
    return [one for one in batches(review.events, review.live) if one.first.reviewer == reviewer]


LOG_COLUMNS = (
    "seq",
    "at",
    "kind",
    "stage",
    "record_id",
    "reviewer",
    "label",
    "reason",
    "note",
    "origin",
    "pool_size",
    "ranking_id",
    "other_id",
    "undoes",
)


def event_as_json(event: Event) -> dict[str, object]:
    """Return an event of the log as `triage log` prints it."""
    facts = {name: getattr(event, name) for name in LOG_COLUMNS}
    return {**facts, "at": event.at.isoformat()}


# -- export -----------------------------------------------------------------------------------


def export(
    review: Snapshot,
    path: Path,
    *,
    only: Iterable[str] = (),
    stage_name: str | None = None,
    record_ids: Sequence[int] | None = None,
    reviewer: str | None = None,
) -> int:
    """Write records with every imported field and their decisions; return how many.

    Parameters
    ----------
    review : Snapshot
    path : Path
        Its ending names the format: .ris, .csv, .tsv, .xlsx or .bib; it must not exist.
    only : iterable of str
        Of `included`, `excluded`, `maybe`, `unscreened`; every record of the stage when empty.
    stage_name : str, optional
        The first stage when left out.
    record_ids : sequence of int, optional
        Exactly these records, in this order: a batch to hand out, without anybody's decisions; goes before `only`.
    reviewer : str, optional
        To whom the batch is handed out: the tags in it are theirs alone.

    Raises
    ------
    InputError
        When the path exists or its ending names no format.
    """
    formats.check_writable(path)
    stage = review.stage(stage_name)
    if record_ids is None:
        rows = _rows_of(stage, set(only))
    else:
        rows = stage.rows_of(record_ids)
        if (rows < 0).any():
            raise InputError(f"Records were taken out of the stage {stage.name!r} meanwhile; hand out the batch again.")
    tags = stage.live.tagged(stage.name, reviewer)
    # Who is to judge a record, too, must not read what another said of it.
    decisions = _decision_fields(stage) if record_ids is None else {}
    formats.write(path, _Rows(review.records, stage, rows, decisions, tags if tags or review.protocol.tags else None))
    return len(rows)


def _rows_of(stage: Stage, only: Collection[str]) -> np.ndarray:
    """Return the rows of the records that stand so; all when `only` is empty."""
    wanted = np.full(len(stage.record_ids), not only or "unscreened" in only)
    if only:
        judged = [*stage.consensus.labels, *stage.consensus.conflicts]
        for row, record_id in zip(stage.rows_of(judged).tolist(), judged, strict=True):
            if row >= 0:
                wanted[row] = _standing(stage, record_id) in only
    return np.flatnonzero(wanted)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Records to write, read page by page each time that a writer goes over them."""

    records: Records
    stage: Stage
    rows: np.ndarray
    votes: Mapping[int, Mapping[str, str]]
    tags: Mapping[int, Sequence[Event]] | None  # None where the review has none

    def __iter__(self) -> Iterator[formats.ExportRow]:
        for record in self.records.iter_shown(self.stage, self.rows):
            fields = {"record_id": str(record.id), **self.votes.get(record.id, _UNDECIDED)}
            if self.tags is not None:
                fields["tags"] = "; ".join(dict.fromkeys(e.reason for e in self.tags.get(record.id, ())))
            yield formats.ExportRow(record, fields)


_UNDECIDED = {"label": "", "reason": "", "note": "", "reviewer": "", "decided_at": ""}


def _standing(stage: Stage, record_id: int) -> str:
    relevant = stage.consensus.relevant(record_id)
    if record_id in stage.consensus.conflicts or stage.consensus.labels[record_id] is Label.MAYBE:
        return "maybe"
    return "included" if relevant else "excluded"


def _decision_fields(stage: Stage) -> dict[int, Mapping[str, str]]:
    """Give each judged record's decision as fields; with several reviewers, joined in one order."""
    by_record: dict[int, list] = {}
    for (name, record_id, _), event in stage.live.decisions.items():
        if name == stage.name:
            by_record.setdefault(stage.live.kept(record_id), []).append(event)
    for record_id, event in stage.consensus.settled.items():
        by_record.setdefault(record_id, []).append(event)
    fields = {}
    for record_id, events in by_record.items():
        events.sort(key=lambda e: (e.kind is not Kind.SETTLED, e.seq))
        agreed = stage.consensus.labels.get(record_id)
        fields[record_id] = {
            "label": _CONFLICT if agreed is None else str(agreed),
            "reason": "; ".join(dict.fromkeys(e.reason for e in events if e.reason)),
            "note": "; ".join(e.note for e in events if e.note),
            "reviewer": "; ".join(e.reviewer for e in events),
            "decided_at": max(e.at for e in events).isoformat(timespec="seconds"),
        }
    return fields
