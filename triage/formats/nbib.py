"""PubMed nbib and MEDLINE text (also ERIC's): tags of up to four letters, indented continuations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..records import Record, normal_doi, normal_pmid
from .common import Doubt, Item, Tally, first_year, one_line, split_abstract
from .markup import readable
from .tagged import Opening, Outside, Values, first_paragraph, nothing_but, pieces, values_of
from .text import TextFile

_TAG = re.compile(r"\n([A-Z][A-Z0-9]{1,4}) {0,3}- ?")
_OPENS = Opening(r"\n(?=PMID ?-)")
_SIGNS = re.compile(r"\n[ \t]{0,3}(PMID|TI|BTI)[ \t]{0,4}[-:](?![\w-])")  # the second count
# Without PMID lines, a record is what comes between blank lines and begins with a tag, or with Ovid's
# number and a tag.
_OPENS_BLOCK = Opening(r"\n[ \t]*\n(?=(?:[^\w\n]{0,9}\d{1,9}[^\w\n]{0,9}\n)?[A-Z][A-Z0-9]{1,4} {0,3}- )", feeds=2)


def looks_like(head: str) -> int:
    """Return where a text's first PMID line begins, or -1."""
    return _OPENS.first(f"\n{head}")


def looks_tagged(head: str) -> bool:
    """Tell whether a text without PMID lines is MEDLINE's all the same: several of its lines have tags."""
    return len(_TAG.findall(f"\n{head[:4000]}")) >= 4


def records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read PubMed nbib or MEDLINE text."""
    file = TextFile(path, tally)
    outside, doubt = Outside(tally), Doubt(tally)
    # A record that does not begin with its PMID begins after a blank line: by PMIDs it would get the next one's tags.
    head = f"\n{file.head}"
    first = _OPENS.first(head)
    by_pmid = first >= 0 and not _TAG.search(head[:first])
    found = pieces(file, _OPENS if by_pmid else _OPENS_BLOCK)
    outside.note(*next(found))
    for line, piece in found:
        if not by_pmid:
            piece, beyond = first_paragraph(piece)
            outside.note(line + piece.count("\n") + 2, beyond)
        doubt.repeated(_SIGNS, f"\n{piece}", line - 1)
        values = values_of(_TAG.split(f"\n{piece}"))
        yield nothing_but("PMID", values, line, "PMID") or Item(line, _record(values))
    outside.warn()
    doubt.warn()


def _record(values: Values) -> Record:
    extra_first: dict[str, tuple[str, ...]] = {}
    pmid = normal_pmid(" ".join(values.get("PMID", [])))
    if pmid and values["PMID"] == [pmid]:
        del values["PMID"]
    if not pmid and "medline" in " ".join(values.get("DB", [])).lower():  # as Ovid has it
        pmid = normal_pmid(" ".join(values.get("UI", [])))
    abstract, placeholders = split_abstract(one_line(v) for v in values.pop("AB", []))
    if placeholders:
        extra_first["AB"] = placeholders
    titles = values.pop("TI", None) or values.pop("BTI", None) or values.pop("TT", None) or []
    authors = values.pop("FAU", None) or values.pop("AU", None) or values.pop("CN", None) or []
    journal = values.pop("JT", None) or values.pop("TA", None) or []
    dates = values.get("DP", [])
    year = first_year(dates) or first_year(v for tag in ("YR", "DEP", "DG") for v in values.get(tag, []))
    if year is not None and dates == [str(year)]:
        del values["DP"]
    marked = [v for tag in ("AID", "LID") for v in values.get(tag, []) if v.endswith("[doi]")]
    bare = [v for tag in ("AID", "LID") for v in values.get(tag, []) if "doi.org/" in v]
    doi = next((d for v in (*marked, *bare, *values.get("DO", [])) if (d := normal_doi(v.removesuffix("[doi]")))), "")
    languages = values.pop("LA", None) or values.pop("LG", [])
    types = values.pop("PT", [])
    words = values.pop("OT", [])
    headings = values.pop("MH", [])
    extra = {tag: tuple(found) for tag, found in values.items()}
    for tag, found in (("MH", headings), ("OT", words)):
        if found:  # both are keywords; which is which is kept for the export
            extra[tag] = tuple(found)
    record = Record(
        title=one_line(" ".join(titles)),
        abstract=abstract,
        authors=tuple(map(one_line, authors)),
        year=year,
        journal=one_line(" ".join(journal)),
        doi=doi,
        pmid=pmid,
        language=one_line("; ".join(languages)),
        type=one_line("; ".join(types)),
        keywords=tuple(map(one_line, (*headings, *words))),
        extra={**extra_first, **extra},
    )
    return readable(record)
