"""Records of a review written to a file, with their decisions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import formats
from ..errors import InputError
from ..log import Event, Kind, Label, Origin, Stage
from ..project import Records, Snapshot
from .labels import CONFLICT

EXPORTABLE = ("included", "excluded", "maybe", "unscreened", "next", "second-look")


def export(
    review: Snapshot,
    path: Path,
    *,
    only: Iterable[str] = (),
    stage_name: str | None = None,
    record_ids: Sequence[int] | None = None,
    reviewer: str | None = None,
    program: str | None = None,
) -> int:
    """Write records with every imported field and their decisions; return how many.

    Parameters
    ----------
    review : Snapshot
    path : Path
        Its ending names the format: .ris, .csv, .tsv, .xlsx or .bib, or those of the program; it must not exist.
    only : iterable of str
        Of `included`, `excluded`, `maybe`, `unscreened`; every record of the stage when empty.
    stage_name : str, optional
        The first stage when left out.
    record_ids : sequence of int, optional
        Exactly these records, in this order: a batch to hand out, without anybody's decisions; goes before `only`.
    reviewer : str, optional
        To whom the batch is handed out: the tags in it are only theirs.
    program : str, optional
        One of `formats.PROGRAMS`, for which the decisions are to be where it looks for them.

    Raises
    ------
    InputError
        When the path exists or its ending names no format, or a program takes the records of one decision only and
        others were asked for.
    """
    formats.check_writable(path, program)
    if program is not None and formats.PROGRAMS[program].one_list and len(set(only)) != 1:
        name = formats.PROGRAMS[program].name
        raise InputError(
            f"{name} takes no decision from a file, so a file for it holds the records of one list: give --only included, "
            "excluded, maybe or unscreened, and write a file of each."
        )
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
    of_all = tags if tags or review.protocol.tags else None
    given = _votes(stage) if program is not None and record_ids is None else {}
    formats.write(path, _Rows(review.records, stage, rows, decisions, of_all, given), program)
    return len(rows)


def _rows_of(stage: Stage, only: Collection[str]) -> np.ndarray:
    """Return the rows of the records in these states; all when `only` is empty."""
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
    given: Mapping[int, tuple[formats.Vote, ...]]

    def __iter__(self) -> Iterator[formats.ExportRow]:
        for record in self.records.iter_shown(self.stage, self.rows):
            fields = {"record_id": str(record.number), **self.votes.get(record.number, _UNDECIDED)}
            if self.tags is not None:
                fields["tags"] = "; ".join(dict.fromkeys(e.reason for e in self.tags.get(record.number, ())))
            yield formats.ExportRow(record, fields, self.given.get(record.number, ()))


_UNDECIDED = {"label": "", "reason": "", "note": "", "reviewer": "", "decided_at": ""}


def _standing(stage: Stage, record_id: int) -> str:
    relevant = stage.consensus.relevant(record_id)
    if record_id in stage.consensus.conflicts or stage.consensus.labels[record_id] is Label.MAYBE:
        return "maybe"
    return "included" if relevant else "excluded"


def _votes(stage: Stage) -> dict[int, tuple[formats.Vote, ...]]:
    """Return what each person decided on each record, the newest of a person over duplicate groups."""
    newest: dict[int, dict[str, Event]] = {}
    for (name, record_id, who), event in stage.live.decisions.items():
        if name == stage.name and event.label is not None:
            given = newest.setdefault(stage.live.kept(record_id), {})
            if who not in given or given[who].seq < event.seq:
                given[who] = event
    tags = {who: stage.live.tagged(stage.name, who) for who in {who for given in newest.values() for who in given}}
    return {
        record_id: tuple(
            formats.Vote(
                who,
                str(e.label),
                (e.reason,) if e.reason else (),
                e.remark,
                tuple(dict.fromkeys(tag.reason for tag in tags[who].get(record_id, ()))),
            )
            for who, e in sorted(given.items(), key=lambda one: one[1].seq)
        )
        for record_id, given in newest.items()
    }


def _decision_fields(stage: Stage) -> dict[int, Mapping[str, str]]:
    """Give each judged record's decision as fields; with several reviewers, joined in one order."""
    by_record: dict[int, list[Event]] = {}
    for (name, record_id, _), event in stage.live.decisions.items():
        if name == stage.name:
            by_record.setdefault(stage.live.kept(record_id), []).append(event)
    for record_id, event in stage.consensus.settled.items():
        by_record.setdefault(record_id, []).append(event)
    fields: dict[int, Mapping[str, str]] = {}
    for record_id, events in by_record.items():
        events.sort(key=lambda e: (e.kind is not Kind.SETTLED, e.seq))
        agreed = stage.consensus.labels.get(record_id)
        # Votes that came with a file and differ are no label yet: it is for somebody here to screen the record, or settle it.
        unsettled = "" if all(e.origin is Origin.IMPORTED for e in events) else CONFLICT
        fields[record_id] = {
            "label": unsettled if agreed is None else str(agreed),
            "reason": "; ".join(dict.fromkeys(e.reason for e in events if e.reason)),
            "note": "; ".join(e.remark for e in events if e.note),
            "reviewer": "; ".join(e.reviewer for e in events),
            "decided_at": max(e.at for e in events).isoformat(timespec="seconds"),
        }
    return fields
