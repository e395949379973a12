"""RIS, as databases and reference managers really write it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..records import Record, normal_doi, normal_pmid
from .common import (
    DECISION_FIELDS, REMAINDER, ExportRow, Problem, Reading, decode, first_year, lines_of, one_line, read_bytes,
    remainder, split_abstract, with_remainder,
)
from .tagged import Entry, entries

_STRICT = re.compile(r"([A-Z][A-Z0-9])(?:  |(?<=ER) ?)-(?: |$)?(.*)$")
_LOOSE = re.compile(r"([A-Z][A-Z0-9]) {0,4}-(?: |$)?(.*)$")
_OPENS = re.compile(r"^\ufeff?TY {0,4}-", re.MULTILINE)
_LISTS = frozenset({"KW", "AU", "A1", "A2", "A3", "A4"})
_JOURNALS = ("JF", "T2", "JO", "JA", "J2")
_DOI_TAGS = ("DO", "UR", "L3", "M3", "AN", "N1")
_TYPE_CODES = {
    "JOUR": "Journal article", "JFULL": "Journal article", "EJOUR": "Journal article", "BOOK": "Book",
    "CHAP": "Book chapter", "CONF": "Conference paper", "CPAPER": "Conference paper", "THES": "Thesis",
    "RPRT": "Report", "NEWS": "News", "MGZN": "Magazine article",
}


def announces(text: str) -> int:
    """Count the records that a text announces: its TY lines."""
    return len(_OPENS.findall(text.replace("\r\n", "\n").replace("\r", "\n")))


def read(path: Path) -> Reading:
    """Read a RIS file."""
    text, warnings = decode(read_bytes(path), path)
    # Abstracts hold lines such as "US - based studies": one blank makes a tag only in files that
    # write their TY lines so.
    tag_line = _STRICT if re.search(r"^\ufeff?TY  -", text, re.MULTILINE) else _LOOSE
    records, lines, problems = [], [], []
    for entry in entries(lines_of(text), tag_line, opens="TY", closes="ER", lists=_LISTS, warnings=warnings):
        if not any(value for tag, values in entry.values.items() if tag != "TY" for value in values):
            problems.append(Problem(entry.line, "this record has no field but its type; there is nothing to screen"))
            continue
        records.append(_record(entry))
        lines.append(entry.line)
    return Reading("ris", announces(text), records, lines, problems, warnings)


def _record(entry: Entry) -> Record:
    values = {tag: [v for v in found if v] for tag, found in entry.values.items()}
    values = {tag: found for tag, found in values.items() if found}

    def take(*tags: str) -> list[str]:
        """Take the first of some tags that has values; the others stay extra fields."""
        return next((values.pop(tag) for tag in tags if tag in values), [])

    kept = {}
    code = " ".join(values.get("TY", []))
    kind = one_line("; ".join(v for v in values.get("M3", []) if not normal_doi(v)))
    if kind:
        values["M3"] = [v for v in values["M3"] if normal_doi(v)]
    else:
        kind = _TYPE_CODES.get(code, code)
    if code == "JOUR":
        values.pop("TY", None)
    titles = take("TI", "T1", "CT", "BT")
    if len(titles) > 1:
        kept["TI"] = tuple(titles[1:])
    abstract, placeholders = split_abstract(take("AB", "N2"))
    if placeholders:
        kept["AB"] = placeholders
    journals = take(*_JOURNALS)
    if len(journals) > 1:
        kept["T2"] = tuple(journals[1:])
    dates = next(((tag, values[tag]) for tag in ("PY", "Y1", "DA") if tag in values), ("", []))
    year = first_year(dates[1])
    if year is not None and dates[1] == [str(year)]:
        del values[dates[0]]
    doi = next((d for tag in _DOI_TAGS for v in values.get(tag, []) if (d := _doi(tag, v))), "")
    if doi and values.get("DO") == [doi]:
        del values["DO"]
    pmid = _pmid(values)
    languages = take("LA")
    record = Record(
        title=one_line(" ".join(titles[:1])), abstract=abstract,
        authors=tuple(map(one_line, take("AU", "A1") or take("A2", "A3", "A4"))), year=year,
        journal=one_line(" ".join(journals[:1])), doi=doi, pmid=pmid, language=one_line("; ".join(languages)),
        type=kind, keywords=tuple(map(one_line, take("KW"))),
    )
    left_over = ""
    notes = values.get("N1", [])
    for note in notes:
        if note.startswith(f"{REMAINDER} "):
            left_over = note.removeprefix(f"{REMAINDER} ")
    values["N1"] = [n for n in notes if not n.startswith((f"{REMAINDER} ", "triage: "))]
    extra = {tag: tuple(found) for tag, found in values.items() if found}
    for tag, found in kept.items():
        extra[tag] = found + extra.get(tag, ())
    record = replace(record, extra=extra)
    return with_remainder(record, left_over) if left_over else record


def _doi(tag: str, value: str) -> str:
    """Return the DOI in a value; outside DO only where the value is one, or its resolver address."""
    if tag == "DO" or re.match(r"\s*(?:doi:?\s*|https?://(?:dx\.)?doi\.org/)?10\.\d{4,9}/\S+\s*$", value, re.IGNORECASE):
        return normal_doi(value)
    return ""


def _pmid(values: dict[str, list[str]]) -> str:
    database = " ".join(v for tag in ("DB", "DP") for v in values.get(tag, ())).lower()
    if "pubmed" in database or "medline" in database:
        for value in values.get("AN", ()):
            if found := normal_pmid(value):
                return found
    for value in values.get("UR", ()):
        if found := re.search(r"(?:ncbi\.nlm\.nih\.gov/pubmed|pubmed\.ncbi\.nlm\.nih\.gov)/(\d+)", value):
            return normal_pmid(found.group(1))
    return ""


def write(path: Path, rows: Sequence[ExportRow]) -> None:
    """Write RIS; every field comes back when the file is read again."""
    with path.open("w", encoding="utf-8", newline="\r\n") as file:
        for row in rows:
            plain = _lines(row.record)
            rest = remainder(row.record, _again(plain))
            if rest:
                plain.append(("N1", f"{REMAINDER} {rest}"))
            told = {k: row.decision[k] for k in DECISION_FIELDS if row.decision.get(k)}
            if told:
                plain.append(("N1", f"triage: {json.dumps(told, ensure_ascii=False)}"))
            for tag, value in plain:
                file.write(_as_lines(tag, value))
            file.write("ER  - \n\n")


def _as_lines(tag: str, value: str) -> str:
    # Indented, a further line cannot be taken for a tag, whatever it says.
    parts = [part for part in lines_of(value.replace("\0", "\ufffd")) if part.strip()] or [""]
    return f"{tag}  - {parts[0].strip()}\n" + "".join(f"      {part.strip()}\n" for part in parts[1:])


def _lines(record: Record) -> list[tuple[str, str]]:
    extra = {tag: list(found) for tag, found in record.extra.items() if re.fullmatch(r"[A-Z][A-Z0-9]", tag)}
    code = (extra.pop("TY", None) or ["JOUR"])[0]
    lines = [("TY", code), ("TI", record.title), *(("TI", v) for v in extra.pop("TI", []))]
    lines += [("AU", name) for name in record.authors]
    if record.year is not None and not any(tag in extra for tag in ("PY", "Y1", "DA")):
        lines.append(("PY", str(record.year)))
    lines += [("T2", record.journal), *(("T2", v) for v in extra.pop("T2", []))]
    lines += [("AB", record.abstract), *(("AB", v) for v in extra.pop("AB", []))]
    if record.doi and not any(normal_doi(v) == record.doi for tag in _DOI_TAGS for v in extra.get(tag, ())):
        lines.append(("DO", record.doi))
    if record.type and record.type != _TYPE_CODES.get(code, code):
        lines.append(("M3", record.type))
    lines += [("LA", record.language), *(("KW", word) for word in record.keywords)]
    if record.pmid and not any(tag in extra for tag in ("AN", "DB", "DP")):
        lines += [("AN", record.pmid), ("DB", "PubMed")]
    lines += [(tag, value) for tag, found in extra.items() for value in found if tag not in ("ER", "TY")]
    return [(tag, value) for tag, value in lines if value or tag == "TY"]


def _again(lines: list[tuple[str, str]]) -> Record:
    text = "".join(_as_lines(tag, value) for tag, value in lines)
    entry = next(entries(lines_of(text), _STRICT, opens="TY", closes="ER", lists=_LISTS, warnings=[]))
    return _record(entry)
