"""PubMed nbib and MEDLINE text (also ERIC's): tags of up to four letters, indented continuations."""

from __future__ import annotations

import re
from pathlib import Path

from ..records import Record, normal_doi, normal_pmid
from .common import Problem, Reading, decode, first_year, lines_of, one_line, read_bytes, split_abstract
from .tagged import Entry, entries

_TAG = re.compile(r"([A-Z][A-Z0-9]{1,4}) {0,3}- ?(.*)$")
_OPENS = re.compile(r"^\ufeff?PMID ?-", re.MULTILINE)


def _unified(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def announces(text: str) -> int:
    """Count the records that a text announces: its PMID lines, else its blocks of tag lines."""
    text = _unified(text)
    return len(_OPENS.findall(text)) or sum(
        1 for block in re.split(r"\n\s*\n", text) if any(_TAG.match(line) for line in block.split("\n"))
    )


def read(path: Path) -> Reading:
    """Read PubMed nbib or MEDLINE text."""
    text, warnings = decode(read_bytes(path), path)
    by_pmid = _OPENS.search(_unified(text)) is not None
    records, lines, problems = [], [], []
    for entry in entries(
        lines_of(text), _TAG, opens="PMID" if by_pmid else "", by_blank_lines=not by_pmid, warnings=warnings,
    ):
        if not any(value for tag, values in entry.values.items() if tag != "PMID" for value in values):
            problems.append(Problem(entry.line, "this record has no field but its PMID; there is nothing to screen"))
            continue
        records.append(_record(entry))
        lines.append(entry.line)
    return Reading("nbib", announces(text), records, lines, problems, warnings)


def _record(entry: Entry) -> Record:
    values = {tag: [v for v in found if v] for tag, found in entry.values.items()}
    values = {tag: found for tag, found in values.items() if found}
    extra_first: dict[str, tuple[str, ...]] = {}
    pmid = normal_pmid(" ".join(values.get("PMID", [])))
    if pmid and values["PMID"] == [pmid]:
        del values["PMID"]
    abstract, placeholders = split_abstract(one_line(v) for v in values.pop("AB", []))
    if placeholders:
        extra_first["AB"] = placeholders
    titles = values.pop("TI", None) or values.pop("BTI", None) or values.pop("TT", None) or []
    authors = values.pop("FAU", None) or values.pop("AU", None) or values.pop("CN", None) or []
    journal = values.pop("JT", None) or values.pop("TA", None) or []
    dates = values.get("DP", [])
    year = first_year(dates)
    if year is not None and dates == [str(year)]:
        del values["DP"]
    marked = [v for tag in ("AID", "LID") for v in values.get(tag, []) if v.endswith("[doi]")]
    bare = [v for tag in ("AID", "LID") for v in values.get(tag, []) if "doi.org/" in v]
    doi = next((d for v in (*marked, *bare) if (d := normal_doi(v.removesuffix("[doi]")))), "")
    languages = values.pop("LA", [])
    types = values.pop("PT", [])
    words = values.pop("OT", [])
    headings = values.pop("MH", [])
    extra = {tag: tuple(found) for tag, found in values.items()}
    for tag, found in (("MH", headings), ("OT", words)):
        if found:  # both are keywords; which is which is kept for the export
            extra[tag] = tuple(found)
    return Record(
        title=one_line(" ".join(titles)), abstract=abstract, authors=tuple(map(one_line, authors)), year=year,
        journal=one_line(" ".join(journal)), doi=doi, pmid=pmid, language=one_line("; ".join(languages)),
        type=one_line("; ".join(types)), keywords=tuple(map(one_line, (*headings, *words))), extra={**extra_first, **extra},
    )


def looks_like(text: str) -> bool:
    """Tell whether a text is MEDLINE tagged: PMID lines, or several tag lines at its start."""
    lines = [line for line in _unified(text).lstrip("\ufeff").split("\n")[:40] if line.strip()]
    return _OPENS.search(_unified(text)) is not None or sum(_TAG.match(line) is not None for line in lines) >= 4
