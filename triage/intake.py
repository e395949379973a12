"""What happens to files: import, dedupe, filter, decisions made elsewhere, export."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import dedupe, eligibility, formats
from . import protocol as protocols
from .decisions import Event, Label, Origin, fold
from .errors import InputError
from .project import Project, Stage
from .screening import commit_audit

_LABELS = {
    "include": Label.INCLUDE, "included": Label.INCLUDE, "1": Label.INCLUDE, "1.0": Label.INCLUDE,
    "exclude": Label.EXCLUDE, "excluded": Label.EXCLUDE, "0": Label.EXCLUDE, "0.0": Label.EXCLUDE,
    "maybe": Label.MAYBE,
}
EXPORTABLE = ("included", "excluded", "maybe", "unscreened", "next")


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one file: announced = kept + already_there + len(problems)."""

    file: str
    format: str
    source: str
    announced: int
    kept: int
    already_there: int
    labels: int
    problems: list[formats.Problem]
    warnings: list[formats.Problem]


def as_json(done: Imported) -> dict[str, object]:
    """Return what `triage import --json` prints for a file."""
    return {
        "file": done.file, "format": done.format, "source": done.source, "announced": done.announced,
        "kept": done.kept, "already_there": done.already_there, "labels": done.labels,
        "problems": [{"line": p.line, "message": p.message} for p in done.problems],
        "warnings": [{"line": p.line, "message": p.message} for p in done.warnings],
    }


def new(review: Path, protocol: Path | None) -> Path | None:
    """Make a review; return the protocol template written beside it, None when one was given.

    Raises
    ------
    InputError
        When the review or, without `protocol`, its template exists, or the protocol is wrong; nothing
        is written.
    """
    if protocol is not None:
        Project.create(review, protocols.read_text(protocol), protocol).close()
        return None
    template = review.with_name("protocol.toml")
    if template.exists():  # of another review in the same folder
        template = review.with_name(f"{review.stem}.protocol.toml")
    if template.exists():
        raise InputError(f"{template} exists already; use it with --protocol \"{template}\", or choose another name.")
    text = protocols.template()
    Project.create(review, text, template).close()
    template.write_text(text, encoding="utf-8")
    return template


def parse_label(text: str, where: str) -> Label:
    """Return the label that `text` means.

    Raises
    ------
    InputError
        When it means none; `where` names the file and the line.
    """
    label = _LABELS.get(text.strip().lower())
    if label is None:
        raise InputError(f"{where}: {text!r} is no label; write include, exclude or maybe (or 1, 0).")
    return label


def import_files(
    project: Project, paths: Sequence[Path], *, reviewer: str, source: str | None = None,
    format: str = "auto", label_column: str | None = None,
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

    Raises
    ------
    InputError
        When a file is none that can be read, or a label is none.
    """
    read = []
    for path in paths:
        reading = formats.read(path, format, label_column)
        labels: list[Label | None] = []
        if reading.labels is not None:
            labels = [
                parse_label(text, f"{path}, line {line}") if text.strip() else None
                for text, line in zip(reading.labels, reading.lines, strict=True)
            ]
        read.append((path, reading, labels, _sha256(path)))
    done = []
    for path, reading, labels, sha256 in read:
        before = project.imported(sha256, source)
        if before is None:
            ids = project.add(
                reading.records, reading.lines, name=path.name, source=source or path.stem,
                format=reading.format, sha256=sha256, announced=reading.announced,
                problems=[(p.line, p.message) for p in reading.problems],
            )
            decisions = [
                {"record_id": i, "label": label, "origin": Origin.IMPORTED}
                for i, label in zip(ids, labels) if label is not None
            ]
            if decisions:
                stage = commit_audit(project)
                project.decide(stage.name, decisions, reviewer=reviewer)
        else:
            decisions = []
        done.append(Imported(
            file=str(path), format=reading.format, source=before.source if before else source or path.stem,
            announced=reading.announced, kept=0 if before else len(reading.records),
            already_there=len(reading.records) if before else 0, labels=len(decisions),
            problems=reading.problems, warnings=reading.warnings,
        ))
    return done


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- duplicates and eligibility ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deduped:
    """What `find_duplicates` did: new links, and the records left."""

    records: int
    linked: int
    duplicates: int
    reasons: dict[str, int]


def find_duplicates(project: Project, *, reviewer: str) -> Deduped:
    """Link the sure duplicates that are not linked yet; nothing is deleted, each link can be undone.

    A link that somebody took back is not made again.
    """
    stage = project.stage()
    events = project.events()
    undone = {e.undoes for e in events}
    refused = {
        frozenset((e.record_id, e.other_id)) for e in events if e.other_id is not None and e.seq in undone
    }
    links = [
        link for link in dedupe.find_duplicates(list(project.records()))
        if link.sure and stage.live.kept(link.copy_id) != stage.live.kept(link.kept_id)
        and frozenset((link.copy_id, link.kept_id)) not in refused
    ]
    project.link([(link.copy_id, link.kept_id, link.why) for link in links], reviewer=reviewer)
    live = project.stage().live
    return Deduped(
        records=project.n_records(), linked=len(links), duplicates=len(live.duplicates),
        reasons=dict(Counter(link.why for link in links)),
    )


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
    limits = project.protocol().limits
    stage = project.stage()
    removals, proposals = [], []
    for record in project.shown_records(stage):
        found = eligibility.check(record, limits)
        if isinstance(found, eligibility.Removal):
            removals.append((record.id, found.kind, found.reason))
        elif isinstance(found, eligibility.Proposal):
            proposals.append((record, found))
    if accept_proposals:
        removals += [(record.id, found.kind, found.reason) for record, found in proposals]
        proposals = []
    project.remove(removals, reviewer=reviewer)
    return Filtered(
        checked=len(stage.record_ids), removed=dict(Counter(kind for _, kind, _ in removals)),
        proposed=proposals, left=len(stage.record_ids) - len(removals),
    )


def accept(project: Project, filtered: Filtered, answers: Sequence[bool | None], *, reviewer: str) -> Filtered:
    """Remove the proposed records that a person agreed to remove; None leaves a proposal open."""
    pairs = list(zip(filtered.proposed, answers, strict=True))
    agreed = [(record.id, found.kind, found.reason) for (record, found), answer in pairs if answer]
    project.remove(agreed, reviewer=reviewer)
    removed = Counter(filtered.removed) + Counter(kind for _, kind, _ in agreed)
    return Filtered(
        checked=filtered.checked, removed=dict(removed), left=filtered.left - len(agreed),
        proposed=[proposal for proposal, answer in pairs if answer is None],
    )


# -- decisions made elsewhere -----------------------------------------------------------------


def label(project: Project, path: Path, *, reviewer: str, stage_name: str | None = None) -> dict[str, int]:
    """Take decisions made elsewhere: a CSV with `record_id`, `label` and optional `reason`, `note`.

    The whole file is checked first and written in one transaction. A record that was handed out
    keeps the origin with which it was; any other is `chosen`. A decision equal to the one in force
    is not written again.

    Returns
    -------
    dict
        `decisions` written, `unchanged` ones, and how many were `include`, `exclude` and `maybe`.

    Raises
    ------
    InputError
        With the line at fault; nothing is written.
    """
    stage = project.stage(stage_name)
    rows = _read_decisions(path)
    members = set(stage.record_ids.tolist())
    reasons = {r.code for s in project.protocol().stages if s.name == stage.name for r in s.reasons}
    decisions, seen, unchanged, counts = [], {}, 0, Counter()
    for line, row in rows:
        where = f"{path}, line {line}"
        record_id = _record_id(row["record_id"], where)
        kept = stage.live.kept(record_id)
        if kept not in members:
            raise InputError(
                f"{where}: there is no record {record_id} at the stage {stage.name!r}; use the record_id "
                f"that `triage export` wrote."
            )
        if kept in seen:
            raise InputError(f"{where}: record {record_id} was given a label in line {seen[kept]} already; keep one.")
        seen[kept] = line
        judged = parse_label(row["label"], where)
        reason = row.get("reason", "").strip()
        if reason and judged is Label.EXCLUDE and reasons and reason not in reasons:
            raise InputError(
                f"{where}: the stage {stage.name!r} has no reason {reason!r}; its reasons are: "
                f"{', '.join(sorted(reasons))}."
            )
        note = row.get("note", "").strip()
        counts[str(judged)] += 1
        current = stage.live.decisions.get((stage.name, kept, reviewer))
        if current is not None and (current.label, current.reason, current.note) == (judged, reason, note):
            unchanged += 1
            continue
        decisions.append({"record_id": kept, "label": judged, "reason": reason, "note": note,
                          "origin": _origin_of(stage, kept)})
    if decisions:
        commit_audit(project, stage.name)
        project.decide(stage.name, decisions, reviewer=reviewer)
    return {"decisions": len(decisions), "unchanged": unchanged, **{str(k): counts[str(k)] for k in Label}}


def _origin_of(stage: Stage, record_id: int) -> Origin:
    shown = stage.live.shown.get((stage.name, record_id))
    return Origin.CHOSEN if shown is None or shown.origin is None else shown.origin


def _read_decisions(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a CSV of decisions.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save the decisions as CSV in UTF-8.") from error
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        for wanted in ("record_id", "label"):
            if names.count(wanted) != 1:
                raise InputError(
                    f"{path}: the first line must name the columns record_id and label once each "
                    f"(and may name reason and note); it names: {', '.join(filter(None, names)) or 'nothing'}."
                )
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if len(cells) != len(names):
                    raise InputError(
                        f"{path}, line {reader.line_num}: {len(cells)} cells where the header has {len(names)}; "
                        f"put text that holds {delimiter!r} in double quotes."
                    )
                rows.append((reader.line_num, dict(zip(names, cells, strict=True))))
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not a readable CSV ({error}).") from error
    if not rows:
        raise InputError(f"{path} holds no decision; write one line for each record under the header.")
    return rows


def _record_id(text: str, where: str) -> int:
    try:
        number = float(text)
        if number != int(number) or number < 1:
            raise ValueError
    except (ValueError, OverflowError) as error:
        raise InputError(f"{where}: {text!r} is no record_id; it is a whole number from 1.") from error
    return int(number)


def undo(project: Project, *, reviewer: str, seq: int | None = None) -> dict[str, object]:
    """Take back the reviewer's last decision that stands, or the event `seq`.

    Raises
    ------
    InputError
        When the reviewer has no decision to take back, or the event cannot be undone.
    """
    if seq is None:
        mine = [e for e in fold(project.events()).decisions.values() if e.reviewer == reviewer]
        if not mine:
            raise InputError(f"{reviewer} has no decision in {project.path} to take back; name the --reviewer who has.")
        seq = max(e.seq for e in mine)
    project.undo(seq, reviewer=reviewer)
    undone = next(e for e in project.events(since=seq - 1, until=seq))
    return {"undone": seq, "kind": str(undone.kind), "record_id": undone.record_id,
            "label": None if undone.label is None else str(undone.label), "reviewer": undone.reviewer}


def event_as_json(event: Event) -> dict[str, object]:
    """Return an event of the log as `triage log` prints it."""
    return {
        "seq": event.seq, "at": event.at.isoformat(), "kind": str(event.kind), "stage": event.stage,
        "record_id": event.record_id, "reviewer": event.reviewer,
        "label": None if event.label is None else str(event.label), "reason": event.reason, "note": event.note,
        "origin": None if event.origin is None else str(event.origin), "pool_size": event.pool_size,
        "ranking_id": event.ranking_id, "other_id": event.other_id, "undoes": event.undoes,
    }


# -- export -----------------------------------------------------------------------------------


def export(
    project: Project, path: Path, *, only: Iterable[str] = (), stage_name: str | None = None,
    record_ids: Sequence[int] | None = None,
) -> int:
    """Write records with every imported field and their decisions; return how many.

    Parameters
    ----------
    project : Project
    path : Path
        Its ending names the format: .ris, .csv, .tsv, .xlsx or .bib; it must not exist.
    only : iterable of str
        Of `included`, `excluded`, `maybe`, `unscreened`; every record of the stage when empty.
    stage_name : str, optional
        The first stage when left out.
    record_ids : sequence of int, optional
        Exactly these records, in this order (a batch to hand out); goes before `only`.

    Raises
    ------
    InputError
        When the path exists or its ending names no format.
    """
    formats.check_writable(path)
    stage = project.stage(stage_name)
    row_of = {int(r): i for i, r in enumerate(stage.record_ids)}
    if record_ids is not None:
        ids = list(record_ids)
    else:
        wanted = set(only)
        ids = [r for r in row_of if not wanted or _standing(stage, r) in wanted]
    shown = {r.id: r for r in project.shown_records(stage, sorted(row_of[i] for i in ids))}
    votes = _decision_fields(stage)
    rows = [formats.ExportRow(shown[i], {"record_id": str(i), **votes.get(i, _UNDECIDED)}) for i in ids]
    formats.write(path, rows)
    return len(rows)


_UNDECIDED = {"label": "", "reason": "", "note": "", "reviewer": "", "decided_at": ""}


def _standing(stage: Stage, record_id: int) -> str:
    relevant = stage.consensus.relevant(record_id)
    if relevant is None:
        return "unscreened"
    if record_id in stage.consensus.conflicts or stage.consensus.labels[record_id] is Label.MAYBE:
        return "maybe"
    return "included" if relevant else "excluded"


def _decision_fields(stage: Stage) -> dict[int, Mapping[str, str]]:
    """Give each judged record's decision as fields; with several reviewers, joined in one order."""
    by_record: dict[int, list] = {}
    for (name, record_id, _), event in stage.live.decisions.items():
        if name == stage.name:
            by_record.setdefault(stage.live.kept(record_id), []).append(event)
    fields = {}
    for record_id, events in by_record.items():
        events.sort(key=lambda e: e.seq)
        agreed = stage.consensus.labels.get(record_id)
        fields[record_id] = {
            "label": "conflict" if agreed is None else str(agreed),
            "reason": "; ".join(dict.fromkeys(e.reason for e in events if e.reason)),
            "note": "; ".join(e.note for e in events if e.note),
            "reviewer": "; ".join(e.reviewer for e in events),
            "decided_at": events[-1].at.isoformat(timespec="seconds"),
        }
    return fields

