"""EndNote XML, as EndNote, Zotero and Mendeley write it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from ..records import Record, normal_doi, normal_pmid
from .common import Item, Problem, Tally, first_year, pmid_in_notes, split_abstract
from .facts import completed
from .xml_records import add, elements, paragraphs_of, text_of

# Elements that become fields of a record; every other text is kept under its own element's name.
_TAKEN = (
    "ref-type",
    "contributors/authors/author",
    "titles/title",
    "titles/secondary-title",
    "dates/year",
    "abstract",
    "keywords/keyword",
    "language",
    "electronic-resource-num",
    "accession-num",
)
# Where an export gives only a type's number.
_TYPES = {
    "3": "Audiovisual Material",
    "5": "Book Section",
    "6": "Book",
    "9": "Computer Program",
    "10": "Conference Proceedings",
    "12": "Web Page",
    "13": "Generic",
    "17": "Journal Article",
    "19": "Magazine Article",
    "23": "Newspaper Article",
    "25": "Patent",
    "27": "Report",
    "28": "Edited Book",
    "32": "Thesis",
    "34": "Unpublished Work",
    "36": "Manuscript",
    "43": "Electronic Article",
    "44": "Electronic Book",
    "46": "Government Document",
    "47": "Conference Paper",
    "59": "Dataset",
    "60": "Electronic Book Section",
}
_PUBMED_PAGE = re.compile(r"(?:ncbi\.nlm\.nih\.gov/pubmed|pubmed\.ncbi\.nlm\.nih\.gov)/(\d+)")


def records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read EndNote XML."""
    for line, found in elements(path, tally, "record"):
        record = found if isinstance(found, Problem) else _record(found)
        if isinstance(record, Record) and not _says_anything(record):
            record = Problem(line, "this record has no title, abstract or author; there is nothing to screen")
        yield Item(line, record)


def _says_anything(record: Record) -> bool:
    return bool(record.title or record.abstract or record.authors or record.doi or record.pmid)


def _record(found: Element) -> Record:
    extra: dict[str, tuple[str, ...]] = {}
    values: dict[str, list[str]] = {}
    for where, leaf in _leaves(found):
        if where == "keywords/keyword":  # one each, or all in one, a line each
            values.setdefault(where, []).extend(paragraphs_of(leaf).split("\n"))
        elif where in _TAKEN:
            values.setdefault(where, []).append(paragraphs_of(leaf) if where == "abstract" else text_of(leaf))
        else:
            parent, _, name = where.rpartition("/")
            add(extra, parent.rpartition("/")[2] if name == "author" else name, paragraphs_of(leaf))

    def take(where: str) -> list[str]:
        return [value for value in values.get(where, ()) if value]

    titles, journals = take("titles/title"), take("titles/secondary-title")
    journal = journals[0] if journals else ""
    if not journal:
        journal = next(iter(extra.pop("full-title", ())), "")
    elif extra.get("full-title") == (journal,):
        del extra["full-title"]
    abstract, others = split_abstract(take("abstract"))
    years = take("dates/year")
    year = first_year(years)
    dois = take("electronic-resource-num")
    doi = next((d for value in dois if (d := normal_doi(value))), "")
    accession = take("accession-num")
    pages = [m.group(1) for value in extra.get("url", ()) if (m := _PUBMED_PAGE.search(value))]
    provider = " ".join((*extra.get("remote-database-name", ()), *extra.get("remote-database-provider", ()))).lower()
    pmid = normal_pmid(pages[0]) if pages else ""
    for value in accession:
        # A bare number names a record of PubMed only where the database is said to be PubMed.
        if not pmid and any(word in provider for word in ("pubmed", "medline", "nlm")):
            pmid = normal_pmid(value)
    pmid = pmid or pmid_in_notes(extra.get("notes", ()))
    kind = found.find("ref-type")
    name = "" if kind is None else (kind.get("name") or text_of(kind))
    name = _TYPES.get(name, name)
    work = next(iter(extra.pop("work-type", ())), "")
    for key, kept in (
        ("title", titles[1:]),
        ("secondary-title", journals[1:]),
        ("abstract", others),
        ("year", [] if years == [str(year)] else years),
        ("accession-num", accession),
        ("electronic-resource-num", [] if dois == [doi] else dois),
        ("ref-type", [name] if work else []),
    ):
        for value in kept:
            add(extra, key, value)
    record = Record(
        title=titles[0] if titles else "",
        abstract=abstract,
        authors=tuple(take("contributors/authors/author")),
        year=year,
        journal=journal,
        doi=doi,
        pmid=pmid,
        language="; ".join(take("language")),
        type=work or name,
        keywords=tuple(take("keywords/keyword")),
        extra=extra,
    )
    return completed(record)


def _leaves(element: Element, where: str = "") -> Iterator[tuple[str, Element]]:
    """Yield the elements that hold text, with their path; styles are part of the text."""
    for child in element:
        path = f"{where}/{child.tag}" if where else child.tag
        if path in _TAKEN or all(part.tag == "style" for part in child):
            yield path, child
        else:
            yield from _leaves(child, path)
