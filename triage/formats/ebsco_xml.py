"""EBSCO's XML: CINAHL, APA PsycInfo and its other databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from ..records import Record, normal_doi, normal_pmid
from .common import Item, Problem, Tally, first_year, split_abstract
from .facts import completed
from .xml_records import add, elements, paragraphs_of, text_of

_TAKEN = frozenset({"atl", "au", "ab", "jtl", "subj", "doctype", "language", "dt"})


def records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read EBSCO's XML."""
    for line, found in elements(path, tally, "rec"):
        record = found if isinstance(found, Problem) else _record(found)
        if isinstance(record, Record) and not (record.title or record.abstract or record.authors):
            record = Problem(line, "this record has no title, abstract or author; there is nothing to screen")
        yield Item(line, record)


def _record(found: Element) -> Record:
    header = found.find("header")
    header = found if header is None else header
    article = header.find("controlInfo/artinfo")
    article = header if article is None else article
    extra: dict[str, tuple[str, ...]] = {}
    for name in ("uiTerm", "longDbName", "shortDbName"):
        add(extra, name, header.get(name, ""))
    for leaf in header.iter():
        if len(leaf) or leaf.tag in _TAKEN:
            continue
        kind = leaf.get("type", "")
        add(extra, f"{leaf.tag} {kind}" if kind else leaf.tag, text_of(leaf))
    titles = [text_of(e) for e in (*article.findall("tig/atl"), *article.iter("atl")) if text_of(e)]
    book = [text_of(e) for e in header.iter("btl") if text_of(e)]
    title = titles[0] if titles else book[0] if book else ""
    if extra.get("btl") == (title,):  # EBSCO repeats an article's title there
        del extra["btl"]
    abstract, others = split_abstract(paragraphs_of(e) for e in article.iter("ab"))
    for text in others:
        add(extra, "ab", text)
    authors = [text_of(e) for e in article.findall("aug/au")] or [text_of(e) for e in header.iter("au")]
    dates = [e.get("year") or text_of(e) for e in header.iter("dt")]
    year = first_year(dates)
    for e in header.iter("dt"):
        text = text_of(e)
        add(extra, "dt", "" if text == str(year) else text)
    doi = next((d for value in extra.get("ui doi", ()) if (d := normal_doi(value))), "")
    if extra.get("ui doi") == (doi,):
        del extra["ui doi"]
    pmid = next((p for value in extra.get("ui pmid", ()) if (p := normal_pmid(value.removeprefix("NLM")))), "")
    if extra.get("ui pmid") == (pmid,):
        del extra["ui pmid"]
    kinds = tuple(filter(None, (text_of(e) for e in header.iter("doctype")))) or extra.get("pubtype", ())
    record = Record(
        title=title,
        abstract=abstract,
        authors=tuple(filter(None, authors)),
        year=year,
        journal=next((text_of(e) for e in header.iter("jtl")), ""),
        doi=doi,
        pmid=pmid,
        language="; ".join(filter(None, (text_of(e) for e in header.iter("language")))),
        type="; ".join(kinds),
        keywords=tuple(filter(None, (text_of(e) for e in header.iter("subj")))),
        extra=extra,
    )
    return completed(record)
