"""Texts made for reading, whose lines name their fields: CENTRAL, ProQuest, the EU's register, RefWorks, PubMed, Embase."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import nested, tables
from .columns import COLUMNS, letters
from .common import Doubt, Item, Problem, Tally
from .tagged import Opening, Outside, pieces
from .text import TextFile

Said = dict[str, list[str]]
_APART = r"(?!)"  # what opens a record may also end the file, so that records are counted as they are found


@dataclass(frozen=True, slots=True)
class _Shape:
    """A kind of text.

    Attributes
    ----------
    signs : re.Pattern
        Matches a text of this kind.
    opens : Opening
        What begins a record.
    named : re.Pattern
        Matches the line feed before a line that begins a field, with the field's name as its first group.
    names : dict of str to str
        What its names mean, where a table's columns would not be called so.
    once : re.Pattern
        The second count: lines that come once in a record.
    routine : re.Pattern
        What a file holds beside records.
    """

    signs: re.Pattern[str]
    opens: Opening
    named: re.Pattern[str]
    names: dict[str, str] = field(default_factory=dict)
    once: re.Pattern[str] = re.compile(r"(?!)()")
    routine: re.Pattern[str] = re.compile(r"(?!)")


_CENTRAL = _Shape(
    signs=re.compile(r"^(?:Record #\d+ of \d+\n)?ID: \S+\n(?:[A-Z][A-Z0-9]{1,2}: )", re.MULTILINE),
    opens=Opening(r"\n(?=ID: \S+[ \t]*(?:\n|\Z))", counts=_APART),
    named=re.compile(r"\n([A-Z][A-Z0-9]{1,2}): "),
    names={
        "TI": "title",
        "AU": "authors",
        "SO": "journal",
        "YR": "year",
        "AB": "abstract",
        "PM": "pmid",
        "DOI": "doi",
        "PT": "type",
        "KY": "keywords",
        "LA": "language",
        "VL": "volume",
        "NO": "issue",
        "PG": "pages",
        "US": "url",
    },
    once=re.compile(r"\n(TI|AB|YR): "),
    routine=re.compile(
        r"(?:\n|\A)[ \t]*(?:Record #\d+ of \d+|Cochrane (?:Library|Central).*|Export date.*)[ \t]*(?=\n|\Z)"
    ),
)
_PROQUEST = _Shape(
    signs=re.compile(r"^_{20,}\s*\n(?:.*\n){1,80}?(?:Title|Author|Abstract|Publication title): ", re.MULTILINE),
    opens=Opening(r"\n_{20,}[ \t]*(?=\n)", counts=_APART),
    # After a blank line, as an abstract's headings may be, too.
    named=re.compile(
        r"\n[ \t]*\n(?!(?:Background|Context|Introduction|Purpose|Aims?|Objectives?|Design|Setting|Participants|Methods?"
        r"|Measures?|Findings|Results?|Discussion|Conclusions?|Limitations|Implications|Interpretation)\b)"
        r"([A-Z][A-Za-z/ ()-]{1,40}): ",
        re.IGNORECASE,
    ),
    names={"Publication title": "journal", "Subject": "keywords", "Identifier / keyword": "more keywords"},
    once=re.compile(r"\n(Title|Publication year|ProQuest document ID): "),
    routine=re.compile(
        r"\n(?:Document \d+ of \d+|(?:Full text|ProQuest) document link|Contact us at: .*|Database copyright.*"
        r"|Terms and Conditions.*|_{20,})[ \t]*(?=\n|\Z)"
    ),
)
_EU_REGISTER = _Shape(
    signs=re.compile(r"^EudraCT Number: +\d{4}-\d{6}-\d\d", re.MULTILINE),
    opens=Opening(r"\n(?=EudraCT Number: )", counts=_APART),
    named=re.compile(r"\n([A-Z][A-Za-z/ ()-]{1,40})\*?: "),
    names={"Full Title": "title", "Start Date": "date", "Sponsor Name": "sponsor"},
    once=re.compile(r"\n(Full Title|Sponsor Protocol Number): "),
)
_REFWORKS_NAMES = {
    "RT": "type",
    "T1": "title",
    "A1": "authors",
    "JF": "journal",
    "JO": "journal abbreviation",
    "YR": "year",
    "FD": "publication date, free form",
    "AB": "abstract",
    "DO": "doi",
    "K1": "keywords",
    "LA": "language",
    "VO": "volume",
    "IS": "issue",
    "SP": "pages",
    "OP": "end page",
    "SN": "issn",
    "PB": "publisher",
    "UL": "url",
    "AD": "address",
    "NO": "notes",
}
_REFWORKS = _Shape(
    signs=re.compile(r"^RT [A-Z][A-Za-z,/ -]{2,40}\n(?:[A-Z][A-Z0-9] .*\n){2}", re.MULTILINE),
    opens=Opening(r"\n(?=RT [A-Z])", counts=_APART),
    named=re.compile(
        r"\n(RT|SR|ID|[AKTU][1-9]|J[FO]|YR|FD|VO|IS|SP|OP|AB|NO|PB|PP|SN|A[DNV]|LA|CL|SF|OT|LK|DO|CN|DB|DS|IP|RD|ST|UL"
        r"|URL|WV|WP|PM(?:ID)?|ED|CR|OL|ER) "
    ),
    names=_REFWORKS_NAMES,
    once=re.compile(r"\n(T1|YR|AB) "),
)
_SHAPES = (_CENTRAL, _PROQUEST, _EU_REGISTER, _REFWORKS)


def shape_of(head: str) -> _Shape | None:
    """Return the kind of a text by its beginning; None when it is none of these."""
    return next((shape for shape in _SHAPES if shape.signs.search(head)), None)


def looks_like(head: str) -> int:
    """Return where a text's first record begins, or -1."""
    found = [m.start() for shape in _SHAPES if (m := shape.signs.search(head))]
    return min(found, default=-1)


def records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read a text whose lines name their fields."""
    file = TextFile(path, tally)
    shape = shape_of(file.head) or _CENTRAL
    outside, doubt = Outside(tally), Doubt(tally)
    found = pieces(file, shape.opens)
    line, before = next(found)
    outside.note(line, shape.routine.sub("", before))
    for line, piece in found:
        text = shape.routine.sub("", f"\n{piece}")
        said = _fields(text, shape)
        if not any(letters(name) in aliases for name in said for aliases in COLUMNS.values()):
            outside.note(line, text)
            continue
        doubt.repeated(shape.once, f"\n{piece}", line - 1)
        tally.announced += 1
        yield nested.record(said, line)
    outside.warn()
    doubt.warn()


def _fields(text: str, shape: _Shape) -> Said:
    said: Said = {}
    parts = shape.named.split(text)
    for name, value in zip(parts[1::2], parts[2::2]):
        lines = [line.strip() for line in value.split("\n")]
        known = shape.names.get(name, name)
        joined = "\n".join(filter(None, lines)) if letters(known) == "abstract" else " ".join(filter(None, lines))
        if joined:
            said.setdefault(known, []).append(joined)
    if said and parts[0].strip():
        said["heading"] = [" ".join(parts[0].split())]
    return said


# -- PubMed's texts ---------------------------------------------------------------------------

_SUMMARY = Opening(r"\n[ \t]*\n(?=[ \t]*\d{1,6}: \S)", feeds=2)
_ABSTRACTS = Opening(r"\n[ \t]*\n(?=\d{1,6}\. [^\n]{2,200}\. (?:1[89]|20)\d\d\b)", feeds=2)
_PMID = re.compile(r"\bPMID: *(\d{1,9})\b")
_CITED = re.compile(r"(?<=[.;])\s+PMID:\s*(\d{1,9})\b")
_NUMBERED = re.compile(r"^PMID: *(\d{1,9})\b", re.MULTILINE)
_DOI = re.compile(r"\bdoi: *(10\.\d{4,9}/\S+?)[.;]?(?=\s|\Z)", re.IGNORECASE)
_NAME = r"(?:[^\W\d_][\w'\u2019 -]{0,60} [A-Z\u00c0-\u00de]{1,4}(?: (?:Jr|Sr|2nd|3rd|4th))?)"
_PEOPLE = re.compile(rf"({_NAME}(?:, {_NAME})*(?:, et al)?(?:[;,] [^.]{{3,200}})?)\. ")
_DATED = re.compile(r"(?P<journal>[^.?!\]]{2,120}(?:\([^)]{1,80}\))?)\. (?P<date>(?:1[89]|20)\d\d\b[^;.]{0,40})")
_NOTES = re.compile(
    r"(?:Author information|Comment (?:in|on)|Erratum (?:in|for)|Update (?:in|of)|Retract\w+ (?:in|of)|Republished \w+"
    r"|Summary for patients in|Collaborators|Conflict of interest statement|Copyright|\u00a9|DOI|PMID|PMCID|Free PMC"
    r"|Original report in|Dataset described in|Corrected and \w+ (?:in|from))\b ?"
)


def looks_like_pubmed(head: str) -> bool:
    """Tell whether a text is what PubMed saves as "Summary (text)" or "Abstract (text)"."""
    text = f"\n\n{head}"
    return _PMID.search(head) is not None and (_SUMMARY.first(text) >= 0 or _ABSTRACTS.first(text) >= 0)


def pubmed_records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read PubMed's "Summary (text)" and "Abstract (text)"."""
    file = TextFile(path, tally)
    text = f"\n\n{file.head}"
    short = 0 <= _SUMMARY.first(text) and not 0 <= _ABSTRACTS.first(text) < _SUMMARY.first(text)
    outside = Outside(tally)
    doubt = Doubt(tally, "looks like a second record in one; check that none was lost there")
    found = pieces(file, _SUMMARY if short else _ABSTRACTS)
    outside.note(*next(found))
    for line, piece in found:
        numbers = (_CITED if short else _NUMBERED).findall(piece)
        if len(numbers) > 1:
            doubt.note(line, f"PMID: {numbers[1]}")
        said = _summary(piece) if short else _abstract(piece)
        yield nested.record(said, line) if said else Item(line, Problem(line, "no citation of PubMed's was found here"))
    outside.warn()
    doubt.warn()


def _summary(text: str) -> Said:
    cite = re.sub(r"\A\s*\d+: ", "", " ".join(text.split()))
    said = _identifiers(cite, _CITED)
    people = _PEOPLE.match(cite)
    # The journal is what comes just before the first year of publication that a title is left in front of.
    if people and not any(found.start() for found in _DATED.finditer(cite[people.end() :])):
        people = None
    rest = cite[people.end() :] if people else cite
    dated = next((found for found in _DATED.finditer(rest) if found.start()), None)
    said["title"] = [rest[: dated.start()].strip() if dated else rest.strip()]
    if people:
        said["authors"] = re.split(r", |; ", people.group(1).removesuffix(", et al"))
    if dated:
        said |= _printed(dated, rest)
    return said


def _abstract(text: str) -> Said:
    parts = [part.strip() for part in re.split(r"\n[ \t]*\n", text) if part.strip()]
    cite = re.sub(r"\A\d+\. ", "", " ".join(parts[0].split()))
    said = _identifiers(text, _NUMBERED)
    if dated := _DATED.search(cite):
        said |= _printed(dated, cite)
    body = parts[1:]
    if body:
        said["title"] = [" ".join(body.pop(0).split())]
    if body:
        names = re.sub(r"\((?:\d+,?)+\)|\(#\)", "", " ".join(body[0].split()))
        if people := _PEOPLE.fullmatch(f"{names} "):
            said["authors"] = re.split(r", |; ", people.group(1))
            body.pop(0)
    paragraphs = []
    for part in body:
        flat = " ".join(part.split())
        if noted := _NOTES.match(flat):
            said.setdefault(noted.group().strip(), []).append(flat)
        else:
            paragraphs.append(flat)
    if paragraphs:
        said["abstract"] = ["\n".join(paragraphs)]
    return said


def _identifiers(text: str, number: re.Pattern[str]) -> Said:
    pmids, dois = number.findall(text), _DOI.findall(text)
    # The first DOI is the citation's own; others are those of comments, corrections and the like.
    return {**({"pmid": [pmids[0]]} if pmids else {}), **({"doi": [dois[0]]} if dois else {})}


def _printed(dated: re.Match[str], text: str) -> Said:
    said: Said = {"journal": [dated["journal"].strip()], "date": [dated["date"].strip()]}
    if place := re.match(
        r";(?P<volume>[\w-]{1,20})?(?:\((?P<issue>[^)]{1,40})\))?(?::(?P<pages>[\w-]{1,30}))?", text[dated.end() :]
    ):
        said |= {name: [value] for name, value in place.groupdict().items() if value}
    return said


# -- Embase's field by line -------------------------------------------------------------------


def is_field_by_line(head: str) -> bool:
    """Tell whether each row of a CSV text is one field: its name, then its values."""
    rows = [row for row in _csv(head.split("\n")[:40]) if row]
    names = [letters(row[0]) for row in rows]
    known = {name for name in names if any(name in aliases for aliases in COLUMNS.values())}
    in_first = sum(any(letters(cell) in aliases for aliases in COLUMNS.values()) for cell in rows[0]) if rows else 0
    return len(known) >= 3 and in_first <= 1 and all(cell == cell.upper() for cell in (row[0] for row in rows[:5]))


def _csv(lines: list[str]) -> list[list[str]]:
    try:
        return list(csv.reader(lines))
    except csv.Error:
        return []


def field_by_line(path: Path, tally: Tally) -> Iterator[Item]:
    """Read Embase's CSV of one field a line."""
    said: Said = {}
    begun, first = 0, ""
    doubt = Doubt(tally)
    for line, cells in tables.plain_rows(path, tally):
        name = cells[0].strip() if cells else ""
        if not name or (name == first and said):
            if said:
                tally.announced += 1
                yield nested.record(said, begun)
            said = {}
        if not name:
            continue
        if not said:
            begun, first = line, first or name
            if name != first:
                doubt.note(line, name)
        said.setdefault(name, []).extend(value for cell in cells[1:] if (value := cell.strip()))
    if said:
        tally.announced += 1
        yield nested.record(said, begun)
    doubt.warn()
