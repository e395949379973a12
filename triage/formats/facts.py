"""One fact, many places: years, identifiers and names, wherever and however a source writes them.

Every reader gives its records to `completed`, so that what one source's habit teaches holds for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from ..records import Record, normal_pmid
from ..registrations import registrations_in
from .common import doi_elsewhere, first_year, pmid_in_notes, pmid_of
from .markup import readable
from .names import one_each

# What programs write where a field is missing, such as R; in a title it may be the title.
MISSING = frozenset({"na", "n/a", "nan", "<na>", "none", "null", "-", "not available"})
REGISTRATION = "registration"  # the extra field of register numbers, each as it is compared
# Names of extra fields, by their letters and digits in lower case.
_YEARS = frozenset(
    "ea earlyaccess earlyaccessdate earlyaccessyear eadate c6 onlinedate dateonline onlinepublicationdate publishedonline "
    "datepublishedonline onlinepubdate publicationdateonline epub epubdate epubyear dep dateofelectronicpublication "
    "articledate electronicpublicationdate firstonline firstpublishedonline pubdate pubdates publicationdate "
    "dateofpublication date year et edition %7 7 %8 8 da".split()
)
_DATES_ALONE = frozenset({"c6", "et", "edition", "%7", "7"})  # they hold other things, too
_PMIDS = frozenset("pmid pm pubmedid pubmed medlinepmid idspmid pmidpubmed pubmednumber pmidnumber uipmid".split())
_LINKS = frozenset(
    "ur l1 l2 l3 l4 lk url urls link links weburl webaddress %u u itemurl articleurl articlelink fulltexturl fulltextlink "
    "relatedurls relatedurl pubmedlink linkout permalink plink m1 m3 an id c3 c7 u1 u2 u3 u4 u5 aid lid accessionnum "
    "accessionnumber %m m %r r electronicresourcenum doilink doiurl identifier identifiers otheridentifiers externalids "
    "ids alternateid alternativeid customid sourceid custom1 custom2 custom3 custom7 eprint ee howpublished".split()
)
_NOTES = frozenset("n1 notes note %z z so extra comment comments annote source citation researchnotes %< <".split())
_DATABASES = frozenset(
    "db dp database databasename remotedatabasename remotedatabaseprovider databaseprovider dataprovider %~ %w longdbname "
    "nameofdatabase".split()
)
_NUMBERS = frozenset("an accessionnum accessionnumber %m ui uniqueidentifier".split())
# Fields that name other records' numbers, or are long and name none.
_NOT_ITS_OWN = frozenset(
    "cr reference references citedreferences n2 ab abstract gr rf ad c1 af aff affiliation affiliations authaddress address "
    "authorswithaffiliations rp em jo ja j2 t2 sn issn vl is sp ep py ty cy pb st a1 a2 a3 a4 citekey ti kw de mh ot".split()
)
_LONGEST_NUMBERS = 500  # characters; a longer field is a text, which may name other trials
_DATE = re.compile(
    r"(?:[A-Za-z]{3,9}(?:-[A-Za-z]{3,9})?\.? (?:\d{1,2},? )?)?(?:19|20)\d\d(?:[-/ ](?:\d{1,2}|[A-Za-z]{3,9})){0,2}|\d{1,2}[-/ ]"
    r"(?:\d{1,2}|[A-Za-z]{3,9})[-/ ](?:19|20)\d\d"
)
_OVID_MEDLINE = re.compile(r"ovid.*[?&]D=(?:med|prem|ppez)\w*&.*\bAN=(\d+)", re.IGNORECASE)
_PMID_FIRST = re.compile(r"\s*pmid:?\s*(\d{1,9})\b", re.IGNORECASE)
_TAGGED_PMID = re.compile(r"(?:\A|[\n;,])\s*(\d{1,9})\s*\[pmid\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Places:
    """Which of a record's extra fields hold what, by their names."""

    years: tuple[str, ...]
    pmids: tuple[str, ...]
    links: tuple[str, ...]
    notes: tuple[str, ...]
    databases: tuple[str, ...]
    numbers: tuple[str, ...]
    own: tuple[str, ...]


@lru_cache(10_000)
def _places(names: tuple[str, ...]) -> _Places:
    known = {name: _letters(name) for name in names}

    def among(known_ones: frozenset[str]) -> tuple[str, ...]:
        return tuple(name for name in names if known[name] in known_ones)

    return _Places(
        years=among(_YEARS),
        pmids=among(_PMIDS),
        links=among(_LINKS),
        notes=among(_NOTES),
        databases=among(_DATABASES),
        numbers=among(_NUMBERS),
        own=tuple(name for name in names if known[name] not in _NOT_ITS_OWN),
    )


def _letters(name: str) -> str:
    """Return a field's name as names are compared; EndNote's tags keep their mark."""
    kept = "".join(c for c in name.lower() if c.isalnum() or c in "%~<")
    return kept if kept.startswith("%") else "".join(c for c in kept if c.isalnum())


def completed(record: Record) -> Record:
    """Return a record with its markup read, its authors one each, and what it lacks taken from its other fields.

    A year, DOI or PubMed identifier that a field of its own gives is never replaced.
    """
    record = readable(record)
    changes: dict[str, Any] = {}
    extra = record.extra
    authors = one_each(record.authors)
    if authors != record.authors:
        changes["authors"] = authors
    places = _places(tuple(extra))
    if not record.year and (year := _year(extra, places)):
        changes["year"] = year
    if not record.doi and (doi := doi_elsewhere(_values(extra, places.links), _values(extra, places.notes))):
        changes["doi"] = doi
    if not record.pmid and (pmid := _pmid(extra, places)):
        changes["pmid"] = pmid
    missing: dict[str, str] = {}
    for name, value in (("journal", record.journal), ("language", record.language), ("type", record.type)):
        if len(value) < 14 and value.lower() in MISSING:
            missing[name], changes[name] = value, ""
    for name, values in (("authors", authors), ("keywords", record.keywords)):
        if len(values) == 1 and values[0].lower() in MISSING:
            missing[name], changes[name] = values[0], ()
    numbers = () if REGISTRATION in extra or not places.own else _registrations(_values(extra, places.own))
    if missing or numbers:
        kept = {name: (value,) for name, value in missing.items() if name not in extra}
        changes["extra"] = {**extra, **kept, **({REGISTRATION: numbers} if numbers else {})}
    return replace(record, **changes) if changes else record


def _registrations(values: Iterable[str]) -> tuple[str, ...]:
    return registrations_in("\n".join(value for value in values if len(value) < _LONGEST_NUMBERS))


def _values(extra: Mapping[str, tuple[str, ...]], names: Sequence[str]) -> list[str]:
    return [value for name in names for value in extra[name]]


def _year(extra: Mapping[str, tuple[str, ...]], places: _Places) -> int | None:
    for name in places.years:
        values: Iterable[str] = extra[name]
        if _letters(name) in _DATES_ALONE:
            values = (value for value in values if _DATE.fullmatch(value.strip()))
        if year := first_year(values):
            return year
    return None


def _pmid(extra: Mapping[str, tuple[str, ...]], places: _Places) -> str:
    for value in _values(extra, places.pmids):
        if found := pmid_of(value.partition("\n")[0]):
            return found
    if places.numbers and places.databases:
        said = " ".join(_values(extra, places.databases)).lower()
        if "pubmed" in said or "medline" in said or "nlm" in said:
            for value in _values(extra, places.numbers):
                if found := normal_pmid(value):
                    return found
    for name in places.links:
        for value in extra[name]:
            if ("p" in value or "P" in value or "ovid" in value) and (found := _pmid_of_link(value[:2_000])):
                return found
    return pmid_in_notes(_values(extra, places.notes)) if places.notes else ""


def _pmid_of_link(value: str) -> str:
    lower = value.lower()
    found: re.Match[str] | None = None
    if "pubmed" in lower and (pmid := pmid_of(value)):
        return pmid
    if "pmid" in lower:
        found = _TAGGED_PMID.search(value) or _PMID_FIRST.match(value)
    elif "ovid" in lower:  # whose address names the segment of MEDLINE
        found = _OVID_MEDLINE.search(value)
    return "" if found is None else normal_pmid(found.group(1))
