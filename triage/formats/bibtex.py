"""BibTeX, written for reference managers; what it cannot say stands in a field of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..records import Record
from .common import DECISION_FIELDS, REMAINDER, ExportRow, remainder

_TYPES = {"book": "book", "chapter": "incollection", "conference": "inproceedings", "thesis": "phdthesis", "report": "techreport"}


def write(path: Path, rows: Sequence[ExportRow]) -> None:
    """Write BibTeX, one entry a record, its key made of the first author, the year and the id."""
    import bibtexparser
    from bibtexparser.model import Entry, Field

    library = bibtexparser.Library()
    keys: set[str] = set()
    for number, row in enumerate(rows, 1):
        r = row.record
        kind = next((entry for word, entry in _TYPES.items() if word in r.type.lower()), "article")
        plain = {
            "title": r.title, "author": " and ".join(r.authors), "year": "" if r.year is None else str(r.year),
            ("booktitle" if kind in ("incollection", "inproceedings") else "journal"): r.journal, "abstract": r.abstract,
            "doi": r.doi, "pmid": r.pmid, "language": r.language, "keywords": "; ".join(r.keywords),
            "note": r.type, REMAINDER: remainder(r, Record()),
        }
        plain |= {f"triage_{name}": row.decision.get(name, "") for name in DECISION_FIELDS}
        fields = [Field(name, _escaped(value)) for name, value in plain.items() if value]
        library.add(Entry(kind, _key(r, number, keys), fields))
    path.write_text(bibtexparser.write_string(library), encoding="utf-8")


def _escaped(value: str) -> str:
    """Return a value with the characters escaped that BibTeX and LaTeX would act on."""
    # Braces must balance whatever the text says, so a brace is written as its LaTeX name.
    marks = {"\\": r"{\textbackslash}", "{": r"{\textbraceleft}", "}": r"{\textbraceright}", "&": r"\&", "%": r"\%",
             "$": r"\$", "#": r"\#", "_": r"\_", "~": r"{\textasciitilde}", "^": r"{\textasciicircum}"}
    return "".join(marks.get(c, c) for c in value)


def _key(record: Record, number: int, keys: set[str]) -> str:
    family = re.split(r"[,\s]", record.authors[0])[0] if record.authors else ""
    base = re.sub(r"[^A-Za-z0-9]", "", family) + ("" if record.year is None else str(record.year))
    key = f"{base or 'record'}_{record.id or number}"
    while key in keys:
        key += "x"
    keys.add(key)
    return key
