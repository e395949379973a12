"""RIS, as databases and reference managers really write it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..records import Record, normal_doi, normal_pmid
from . import votes
from .common import (
    DECISION_FIELDS,
    REMAINDER,
    ExportRow,
    Item,
    Tally,
    first_year,
    folded,
    one_line,
    pmid_in_notes,
    remainder,
    split_abstract,
    with_remainder,
)
from .details import details, is_medline
from .tagged import Opening, Outside, Values, first_paragraph, nothing_but, pieces, values_of
from .text import TextFile, lines_of

# A line that opens a record: "TY  - JOUR", or with other blanks where nothing but a type follows.
_OPENS = Opening(r"\nTY(?:  -| {0,4}-(?=[ \t]{0,9}[\w-]{0,20}[ \t]{0,99}(?:\n|\Z)))")
# A line that begins a value. Abstracts hold lines such as "US - based studies", so one blank makes a
# tag only for tags that no abstract's line begins with, or in records that are written so throughout.
_TAG = re.compile(
    r"\n([A-Z][A-Z0-9](?:[A-Z0-9]{1,2}(?=  - ))?|PMID(?= ))"
    r"(?:  |(?<=\nER) ?|(?<=\n(?:TI|T1|T2|AU|A1|KW|PY|Y1|JO|JF|UR|DO|N2)) |(?<=\nPMID) )- ?"
)
_TWO_BLANKS = re.compile(r"\n[A-Z][A-Z0-9]  -")
_LOOSE_TAG = re.compile(r"\n([A-Z][A-Z0-9]|PMID) {0,4}-(?: |(?=\n|\Z))")
_TITLES = ("TI", "T1", "CT", "BT")
# Between records without an end, Ovid's number is the last thing of a record's text.
_NUMBERED = re.compile(r"\n[ \t]*\n[^\w\n]{0,9}\d{1,9}[^\w\n]{0,9}\Z")
_EBSCO_LANGUAGE = re.compile(r"(?:^|[.;] )Language: ([A-Z][a-z]+(?:[,/;] ?[A-Z][a-z]+)*)(?=[.;]|$)")
_EBSCO_TYPE = re.compile(r"(?:^|[.;] )Publication Type: ([^.:]{1,200}?)(?=; [A-Z][A-Za-z ]{2,40}: |\.|;?\s*$)")
_LISTS = frozenset({"KW", "AU", "A1", "A2", "A3", "A4"})
_DOI_TAGS = ("DO", "UR", "L3", "M3", "AN", "N1")
_DOI = re.compile(r"\s*(?:doi:?\s*|https?://(?:dx\.)?doi\.org/)?10\.\d{4,9}/\S+\s*$", re.IGNORECASE)
_PUBMED_PAGE = re.compile(r"(?:ncbi\.nlm\.nih\.gov/pubmed|pubmed\.ncbi\.nlm\.nih\.gov)/(\d+)")
_OVID_MEDLINE = re.compile(r"ovid.*[?&]D=(?:med|prem|ppez)\w*&.*\bAN=(\d+)", re.IGNORECASE)
# PsycINFO's classification stands where others have the type: "Health Psychology & Medicine [3360]".
_CLASSIFICATION = re.compile(r".*\D\[?\d{4}\]?$")
_TYPE_CODES = {
    "JOUR": "Journal article",
    "JFULL": "Journal article",
    "EJOUR": "Journal article",
    "BOOK": "Book",
    "CHAP": "Book chapter",
    "CONF": "Conference paper",
    "CPAPER": "Conference paper",
    "THES": "Thesis",
    "RPRT": "Report",
    "NEWS": "News",
    "MGZN": "Magazine article",
}
_CODES = {
    "book": "BOOK",
    "book chapter": "CHAP",
    "book section": "CHAP",
    "conference paper": "CONF",
    "conference proceedings": "CONF",
    "thesis": "THES",
    "report": "RPRT",
    "misc": "GEN",
}
_DETAILS = {
    "volume": "VL",
    "issue": "IS",
    "first page": "SP",
    "last page": "EP",
    "issn": "SN",
    "publisher": "PB",
    "url": "UR",
    "short journal": "J2",
    "place": "CY",
    "address": "AD",
}
_NOT_TWICE = ("AU", "KW", "LA")  # other formats' further forms of what the record's own fields say
_MEDLINE_TOO = ("AB", "AD", "PB")  # of MEDLINE's tags, those that mean the same here


def looks_like(head: str) -> int:
    """Return where a text's first TY line begins, or -1."""
    return _OPENS.first(f"\n{head}")


def records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read a RIS file."""
    outside = Outside(tally)
    found = pieces(TextFile(path, tally), _OPENS)
    outside.note(*next(found))
    for line, piece in found:
        values = _values(piece, line, outside)
        if (problem := nothing_but("TY", values, line)) is not None:
            yield problem
        else:
            label = votes.in_notes(values.get("N1", ()), line, tally)
            yield Item(line, _record(values), label)
    outside.tell()


def _values(piece: str, line: int, outside: Outside) -> Values:
    """Return a record's values by tag; `piece` begins after "TY  -", in a line of the file."""
    parts = (_TAG if _TWO_BLANKS.search(piece) else _LOOSE_TAG).split(piece)
    if not any(tag in parts for tag in _TITLES):
        loose = _LOOSE_TAG.split(piece)
        parts = loose if any(tag in loose for tag in _TITLES) else parts
    if "ER" in parts:
        parts = _closed(parts, line, outside)
    else:
        parts[-1] = _NUMBERED.sub("", parts[-1].rstrip())
    parts[:0] = ("", "TY")
    return values_of(parts, _LISTS)


def _closed(parts: list[str], line: int, outside: Outside) -> list[str]:
    """Leave out what follows a record's end, but for tags: Ovid writes some after it."""
    at = parts.index("ER", 1)
    if at == len(parts) - 2 and not parts[-1].strip():
        del parts[at:]
        return parts
    kept = parts[:at]
    for i in range(at, len(parts), 2):
        text, beyond = parts[i + 1], ""
        if parts[i] == "ER":
            # What stands in the line itself says nothing: "End of reference".
            text, _, beyond = text.partition("\n")
        else:
            text, beyond = first_paragraph(text)
            kept += [parts[i], text]
        if beyond and not beyond.isspace():
            before = "".join(parts[: i + 1]).count("\n") + (i + 1) // 2
            outside.note(line + before + parts[i + 1].count("\n") - beyond.count("\n"), beyond)
    return kept


def _record(values: Values) -> Record:
    pop = values.pop
    kept = {}
    code = " ".join(values.get("TY", ()))
    kind = ""
    if "M3" in values:
        kind = one_line("; ".join(v for v in values["M3"] if not (_CLASSIFICATION.match(v) or normal_doi(v))))
        if kind:
            other = [v for v in pop("M3") if _CLASSIFICATION.match(v) or normal_doi(v)]
            if other:
                values["M3"] = other
    if code == "JOUR":
        del values["TY"]
    # Of each field's tags the first that is there is taken; the others stay extra fields.
    titles = pop("TI", None) or pop("T1", None) or pop("CT", None) or pop("BT", None) or ("",)
    if len(titles) > 1:
        kept["TI"] = tuple(titles[1:])
    abstract, others = split_abstract(pop("AB", ()))
    if not abstract and "N2" in values:
        abstract, more = split_abstract(pop("N2"))
        if more:
            values["N2"] = list(more)
    if others:
        kept["AB"] = others
    journals = pop("JF", None) or pop("T2", None) or pop("JO", None) or pop("JA", None) or pop("J2", None) or ("",)
    if len(journals) > 1:
        kept["T2"] = tuple(journals[1:])
    tag = "PY" if "PY" in values else "Y1" if "Y1" in values else "DA"
    year = None
    if tag in values:
        dates = values[tag]
        year = first_year(dates)
        if year is not None and len(dates) == 1 and dates[0] == str(year):
            del values[tag]
    doi = ""
    for tag in _DOI_TAGS:
        if tag in values and not doi:
            # Outside DO only where the value is a DOI, or its resolver's address.
            doi = next((d for v in values[tag] if (tag == "DO" or _DOI.match(v)) and (d := normal_doi(v))), "")
    if doi and values.get("DO") == [doi]:
        del values["DO"]
    pmid = _pmid(values)
    languages = pop("LA", None) or pop("LG", None)
    language = one_line("; ".join(languages)) if languages else ""
    left_over = ""
    if "N1" in values:
        notes = pop("N1")
        language, kind = _from_ebsco(notes, language, kind)
        pmid = pmid or pmid_in_notes(notes)
        left_over = next((n for n in notes if n.startswith(f"{REMAINDER} ")), "").removeprefix(f"{REMAINDER} ")
        notes = [n for n in notes if not n.startswith((f"{REMAINDER} ", "triage: "))]
        if notes:
            values["N1"] = notes
    authors = pop("AU", None) or pop("A1", None) or pop("A2", None) or pop("A3", None) or pop("A4", ())
    words = pop("KW", ())
    extra = {tag: tuple(found) for tag, found in values.items()}
    for tag, found in kept.items():
        extra[tag] = found + extra.get(tag, ())
    record = Record(
        title=one_line(titles[0]),
        abstract=abstract,
        authors=folded(authors),
        year=year,
        journal=one_line(journals[0]),
        doi=doi,
        pmid=pmid,
        language=language,
        type=kind or _TYPE_CODES.get(code, code),
        keywords=folded(words),
        extra=extra,
    )
    return with_remainder(record, left_over) if left_over else record


def _from_ebsco(notes: Sequence[str], language: str, kind: str) -> tuple[str, str]:
    """Fill from EBSCO's note, where CINAHL and others keep what has a tag elsewhere."""
    for note in notes:
        if "Accession Number:" in note:
            if not language and (found := _EBSCO_LANGUAGE.search(note)):
                language = found.group(1)
            if not kind and (found := _EBSCO_TYPE.search(note)):
                kind = one_line(found.group(1))
    return language, kind


def _pmid(values: Values) -> str:
    for tag in ("PMID", "U1"):
        for value in values.get(tag, ()):
            # Dimensions writes "35957633 [PMID]"; a bare number in U1 may be anything.
            if (tag == "PMID" or "pmid" in value.lower()) and (found := normal_pmid(value.partition("\n")[0])):
                return found
    database = " ".join((*values.get("DB", ()), *values.get("DP", ()))).lower()
    medline = "pubmed" in database or "medline" in database
    if medline:
        for value in values.get("AN", ()):
            if found := normal_pmid(value):
                return found
    # Elsewhere this tag holds any number.
    if any(value.lower().startswith("ovid medline(r)") for value in values.get("DB", ())):
        for value in values.get("ID", ()):
            if found := normal_pmid(value):
                return found
    for tag in ("UR", "L2"):
        for value in values.get(tag, ()):
            if "pubmed" in value and (found := _PUBMED_PAGE.search(value)):
                return normal_pmid(found.group(1))
            if medline and len(value) < 2000 and (found := _OVID_MEDLINE.search(value)):
                return normal_pmid(found.group(1))
    return ""


def write(path: Path, rows: Iterable[ExportRow]) -> None:
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
    if "\n" not in value and "\r" not in value and "\0" not in value:  # as most are
        return f"{tag}  - {value.strip()}\n"
    # Indented, a further line cannot be taken for a tag, whatever it says.
    parts = [part for part in lines_of(value.replace("\0", "\ufffd")) if part.strip()] or [""]
    return f"{tag}  - {parts[0].strip()}\n" + "".join(f"      {part.strip()}\n" for part in parts[1:])


def _lines(record: Record) -> list[tuple[str, str]]:
    foreign = is_medline(record.extra)
    extra = {
        tag: list(found)
        for tag, found in record.extra.items()
        if re.fullmatch(r"[A-Z][A-Z0-9]", tag) and tag not in _NOT_TWICE and not (foreign and tag not in _MEDLINE_TOO)
    }
    if "UT" in extra:  # Web of Science's words, not a reference's number
        extra.pop("ID", None)
    code = (extra.pop("TY", None) or [_CODES.get(record.type.lower(), "JOUR")])[0]
    lines = [("TY", code), ("TI", record.title), *(("TI", v) for v in extra.pop("TI", []))]
    lines += [("AU", name) for name in record.authors]
    dates = next((extra[tag] for tag in ("PY", "Y1", "DA") if tag in extra), [])
    if record.year is not None and first_year(dates) != record.year:
        extra.pop("PY", None)
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
    # What other formats call by other names, so that a reference manager finds it; the names themselves are
    # kept in the remainder.
    said = details(record.extra)
    lines += [(tag, said[name]) for name, tag in _DETAILS.items() if name in said and tag not in extra]
    lines += [(tag, value) for tag, found in extra.items() for value in found if tag not in ("ER", "TY")]
    return [(tag, value) for tag, value in lines if value or tag == "TY"]


def _again(lines: list[tuple[str, str]]) -> Record:
    text = "".join(_as_lines(tag, value) for tag, value in lines)
    return _record(_values(_OPENS.split(f"\n{text}")[-1], 0, Outside(Tally())))
