"""Exports for other programs: each record's fields in the format's own tags, the decision where the program looks.

Nothing of ours is in them but the decisions: what a format cannot hold is left out, and the export without a program
is the one that gives back everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..records import Record
from . import ris, tables, workbooks
from .common import ExportRow, one_line
from .details import details
from .votes import note_fields, rayyan_note, without_rayyan

Lines = list[tuple[str, str]]
Writer = Callable[[Path, Iterable[ExportRow]], None]

_DONE = {"include": "included", "exclude": "excluded", "maybe": "maybe", "conflict": "in conflict"}


@dataclass(frozen=True, slots=True)
class Program:
    """A program that a review is handed over to.

    Attributes
    ----------
    name : str
        As it calls itself.
    writers : mapping of str to callable
        By a file's ending.
    hint : str
        Where the decisions are once the file is imported there.
    one_list : bool
        Whether it takes records only, so that a file may hold those of one decision alone.
    """

    name: str
    writers: Mapping[str, Writer] = field(compare=False, repr=False)
    hint: str
    one_list: bool = False


def _words(row: ExportRow) -> list[str]:
    """Return the decision as tags, and the tags that the record was given."""
    label, reasons = row.decision.get("label", ""), _several(row.decision.get("reason", ""))
    if not label:
        return _several(row.decision.get("tags", ""))
    excluded = [f"triage: {label}: {reason}" for reason in reasons] if label == "exclude" else []
    return [f"triage: {label}", *excluded, *_several(row.decision.get("tags", ""))]


def _several(cell: str) -> list[str]:
    return [word for part in cell.split(";") if (word := one_line(part))]


def _sentence(row: ExportRow) -> str:
    """Return the decision for a person; "" where there is none."""
    said = row.decision
    if not said.get("label"):
        return ""
    parts = [
        f"triage: {_DONE.get(said['label'], said['label'])}",
        f"reason {said['reason']}" if said.get("reason") else "",
        f"by {said['reviewer']}" if said.get("reviewer") else "",
        f"note: {one_line(said['note'])}" if said.get("note") else "",
    ]
    return "; ".join(filter(None, parts))


def _tagged(row: ExportRow) -> Lines:
    """Return RIS with the decision as keywords, which are tags elsewhere, and as a note."""
    lines = ris.standard_lines(row.record)
    lines += [("KW", word) for word in _words(row) if word not in row.record.keywords]
    if sentence := _sentence(row):
        lines.append(("N1", sentence))
    return lines


_ENDNOTES = ("LB", "C4", "C5")


def _endnote(row: ExportRow) -> Lines:
    """Return RIS with the decision in EndNote's Label, the reason and the tags in two of its custom fields."""
    said = row.decision
    lines = [line for line in ris.standard_lines(row.record) if line[0] not in _ENDNOTES or not said.get("label")]
    if said.get("label"):
        values = (said["label"], said.get("reason", ""), said.get("tags", ""))
        lines += [(tag, value) for tag, value in zip(_ENDNOTES, values) if value]
        lines.append(("RN", _sentence(row)))
    return lines


def _rayyan(row: ExportRow) -> Lines:
    lines = []
    for tag, value in ris.standard_lines(row.record):
        own = without_rayyan(value) if tag == "N1" else value
        if own:
            lines.append((tag, own))
    if note := rayyan_note(row.votes):
        lines.append(("N1", note))
    return lines


def _records_only(row: ExportRow) -> Lines:
    return ris.standard_lines(row.record)


_ASREVIEWS = {"include": "ASReview_relevant", "maybe": "ASReview_relevant", "exclude": "ASReview_irrelevant"}


def _asreview(row: ExportRow) -> Lines:
    lines = [line for line in ris.standard_lines(row.record) if not (line[0] == "N1" and "ASReview_" in line[1])]
    lines.append(("N1", _ASREVIEWS.get(row.decision.get("label", ""), "ASReview_not_seen")))
    if sentence := _sentence(row):
        lines.append(("N1", sentence))
    return lines


def _as_ris(lines_of: Callable[[ExportRow], Lines]) -> Writer:
    return lambda path, rows: ris.write_lines(path, map(lines_of, rows))


# -- tables -----------------------------------------------------------------------------------

Cells = Mapping[str, Callable[[ExportRow], str]]


def _detail(*names: str) -> Callable[[ExportRow], str]:
    return lambda row: "-".join(found[name] for found in [details(row.record.extra)] for name in names if name in found)


def _own(name: str) -> Callable[[ExportRow], str]:
    return lambda row: row.decision.get(name, "")


def _nothing(row: ExportRow) -> str:
    return ""


def _year(row: ExportRow) -> str:
    return "" if row.record.year is None else str(row.record.year)


def _notes(record: Record) -> str:
    return " | ".join(own for value in note_fields(record) if (own := without_rayyan(value)))


_OF_RAYYAN: Cells = {
    "key": lambda row: f"triage-{row.decision.get('record_id', '')}",
    "title": lambda row: row.record.title,
    "year": _year,
    "month": _nothing,
    "day": _nothing,
    "journal": lambda row: row.record.journal,
    "issn": _detail("issn"),
    "volume": _detail("volume"),
    "issue": _detail("issue"),
    "pages": _detail("first page", "last page"),
    "authors": lambda row: " and ".join(row.record.authors),
    "url": _detail("url"),
    "language": lambda row: row.record.language,
    "publisher": _detail("publisher"),
    "location": _detail("place"),
    "abstract": lambda row: row.record.abstract,
    "notes": lambda row: rayyan_note(row.votes, _notes(row.record)),
    "doi": lambda row: row.record.doi,
    "keywords": lambda row: ";".join(row.record.keywords),
    "pubmed_id": lambda row: row.record.pmid,
    "pmc_id": _nothing,
}
_OF_ASREVIEW: Cells = {
    "title": lambda row: row.record.title,
    "abstract": lambda row: row.record.abstract,
    "authors": lambda row: ";".join(row.record.authors),
    "keywords": lambda row: ";".join(row.record.keywords),
    "year": _year,
    "doi": lambda row: row.record.doi,
    "url": _detail("url"),
    "journal": lambda row: row.record.journal,
    "language": lambda row: row.record.language,
    "pmid": lambda row: row.record.pmid,
    "included": lambda row: {"include": "1", "maybe": "1", "exclude": "0"}.get(row.decision.get("label", ""), ""),
    "triage_record_id": _own("record_id"),
    "triage_label": _own("label"),
    "triage_reason": _own("reason"),
    "triage_tags": _own("tags"),
    "triage_note": _own("note"),
}


def _cells(columns: Cells, rows: Iterable[ExportRow]) -> Iterator[Sequence[str]]:
    plain = re.compile(r"\r\n?|\0")
    yield list(columns)
    for row in rows:
        yield [plain.sub("\n", cell(row)) for cell in columns.values()]


def _as_csv(columns: Cells, delimiter: str = ",") -> Writer:
    return lambda path, rows: tables.write_cells(path, _cells(columns, rows), delimiter, marked=False)


def _as_workbook(columns: Cells) -> Writer:
    return lambda path, rows: workbooks.write_cells(path, _cells(columns, rows))


PROGRAMS: Mapping[str, Program] = {
    "zotero": Program(
        "Zotero",
        {".ris": _as_ris(_tagged)},
        'the decisions are tags that begin with "triage: ", and a note of each item',
    ),
    "endnote": Program(
        "EndNote",
        {".ris": _as_ris(_endnote)},
        "the decisions are in the field Label, the reasons in Custom 4, the tags in Custom 5, and all of it in Research "
        "Notes",
    ),
    "rayyan": Program(
        "Rayyan",
        {".ris": _as_ris(_rayyan), ".csv": _as_csv(_OF_RAYYAN)},
        "each person's vote is in the record's notes, written as Rayyan's own exports write it",
    ),
    "covidence": Program(
        "Covidence",
        {".ris": _as_ris(_records_only)},
        "it takes no decision from a file: choose the list that these records belong to as you import them",
        one_list=True,
    ),
    "eppi": Program(
        "EPPI-Reviewer",
        {".ris": _as_ris(_tagged)},
        'the decisions are keywords that begin with "triage: ": search the keywords, and assign your codes to what is found',
    ),
    "asreview": Program(
        "ASReview",
        {
            ".csv": _as_csv(_OF_ASREVIEW),
            ".tsv": _as_csv(_OF_ASREVIEW, "\t"),
            ".xlsx": _as_workbook(_OF_ASREVIEW),
            ".ris": _as_ris(_asreview),
        },
        "it takes include and maybe for relevant, exclude for irrelevant, and the others for not seen",
    ),
}
