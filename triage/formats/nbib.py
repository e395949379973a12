"""PubMed nbib and MEDLINE text (also ERIC's): tags of up to four letters, indented continuations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..records import Record, normal_doi, normal_pmid
from .common import UNOPENED, Doubt, Item, Tally, first_year, one_line, split_abstract
from .facts import completed
from .tagged import (
    BLANK,
    DASH,
    NOT_USUAL,
    Manner,
    Opening,
    Others,
    Outside,
    Values,
    apart,
    first_paragraph,
    manner,
    nothing_but,
    odd_tags,
    pieces,
    values_of,
    with_usual_tags,
)
from .text import TextFile

_TAG = re.compile(r"\n([A-Z][A-Z0-9]{1,4}) {0,3}- ?")
# The line of an identifier, and no line of an abstract that is about one: another field follows, or nothing does.
_OPENS = Opening(r"\n(?=PMID ?-[^\n]*(?:\n[ \t]*)*(?:\n[A-Z][A-Z0-9]{1,4} {0,3}-|\n?\Z))")
# The second count: however they are written, and an identifier alone in its line however far that is indented.
_SIGNS = re.compile(
    rf"\n(?:{BLANK}{{0,3}}+(?=PMID|pmid|TI|BTI|DP|JT)|{BLANK}*+(?=PMID ?- ?\d{{1,9}}[ \t]*\n))(PMID|pmid|TI|BTI|DP|JT)"
    rf"{BLANK}{{0,4}}(?:{DASH}|:)(?![\w-])"
)
_TITLE_LINE = re.compile(r"\nB?TI {0,3}- ")
_ODD = odd_tags("[A-Z][A-Z0-9]{1,3}")
_BLOCKS = re.compile(r"(?:\A|\n[ \t]*\n)(?:[^\w\n]{0,9}\d{1,9}[^\w\n]{0,9}\n)?([A-Z][A-Z0-9]{1,4}) {0,3}- ")
# Without PMID lines, a record is what comes between blank lines and begins with a tag, or with Ovid's
# number and a tag.
_OPENS_BLOCK = Opening(r"\n[ \t]*\n(?=(?:[^\w\n]{0,9}\d{1,9}[^\w\n]{0,9}\n)?[A-Z][A-Z0-9]{1,4} {0,3}- )", feeds=2)


def looks_like(head: str) -> int:
    """Return where a text's first PMID line begins, or -1."""
    if (at := _OPENS.first(f"\n{head}")) >= 0:
        return at
    return _OPENS.first(f"\n{with_usual_tags(head)}")


def looks_tagged(head: str) -> bool:
    """Tell whether a text without PMID lines is MEDLINE's all the same: several of its lines have tags."""
    return len(_TAG.findall(f"\n{head[:4000]}")) >= 4


def records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read PubMed nbib or MEDLINE text."""
    file = TextFile(path, tally)
    outside, doubt, unopened, mended = Outside(tally), Doubt(tally), Doubt(tally, UNOPENED), Doubt(tally, NOT_USUAL)
    others = Others(path, "nbib")
    head = f"\n{file.head}"
    whole: Manner | None = None
    if _OPENS.first(head) < 0 and (whole := manner(head)) is not None:
        mended.note(1, whole.example)
        head = whole.usual(head)
    opens = _opens(head)
    found = pieces(file, opens, whole, _ODD)
    outside.note(*next(found))
    for line, piece in found:
        others.refuse(f"\n{piece}", line - 1)
        if opens is _OPENS_BLOCK:
            piece, beyond = first_paragraph(piece)
            outside.note(line + piece.count("\n") + 2, beyond)
        for n, part in enumerate(apart(f"\n{piece}", _TITLE_LINE, _TAG)):
            if n:
                tally.announced += 1
                unopened.note(line, part.strip().partition("\n")[0])
            part = part.removeprefix("\n")
            doubt.repeated(_SIGNS, f"\n{part}", line - 1)
            values = values_of(_TAG.split(f"\n{part}"))
            yield nothing_but("PMID", values, line, "PMID") or Item(line, _record(values))
            line += part.count("\n") + 1
    for each in (outside, doubt, unopened, mended):
        each.warn()


def _opens(head: str) -> Opening:
    """Return what opens the records of a text: their PMIDs, or blank lines where a record does not begin with its PMID."""
    first = _OPENS.first(head)
    if first >= 0 and not _TAG.search(head[:first]):
        return _OPENS
    # Where each record begins with the same tag, a blank line inside one opens none.
    begins = _BLOCKS.findall(head[1:])
    titles = len(_TITLE_LINE.findall(head))
    tag = begins[0] if begins else ""
    if len(begins) > titles > 0 and begins.count(tag) == titles:
        return Opening(rf"\n[ \t]*\n(?=(?:[^\w\n]{{0,9}}\d{{1,9}}[^\w\n]{{0,9}}\n)?{tag} {{0,3}}- )", feeds=2)
    lines = len(re.findall(rf"\n{tag} {{0,3}}-", head)) if tag else 0
    if len(begins) == 1 and lines == titles > 1:
        return Opening(rf"\n(?={tag} {{0,3}}-)")
    return _OPENS_BLOCK


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
    return completed(record)
