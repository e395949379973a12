"""PubMed XML: a PubmedArticleSet, as PubMed's pages and E-utilities give it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from ..records import Record, normal_doi, normal_pmid
from .common import Item, Problem, Tally, first_year, split_abstract
from .facts import completed
from .xml_records import add, elements, text_of

# Texts that are fields of the record, or say nothing of it; every other text is kept as an extra field.
_SKIPPED = frozenset(
    {
        "ArticleTitle",
        "Abstract",
        "AuthorList",
        "Language",
        "PublicationTypeList",
        "MeshHeadingList",
        "KeywordList",
        "BookTitle",
        "PMID",
        "Title",
        "ELocationID",
        "ArticleIdList",
        "ReferenceList",
        "History",
        "OtherAbstract",
    }
)
# Names as MEDLINE text has them, so that one database gives one set of names whatever its format.
_NAMES = {
    "Volume": "VI",
    "Issue": "IP",
    "MedlinePgn": "PG",
    "ISSN": "IS",
    "ISOAbbreviation": "TA",
    "MedlineTA": "TA",
    "VernacularTitle": "TT",
    "Country": "PL",
    "NlmUniqueID": "JID",
    "GrantID": "GR",
    "PublicationStatus": "PST",
    "CopyrightInformation": "CI",
    "NameOfSubstance": "RN",
    "RegistryNumber": "RN",
}
_DATES = {
    "PubDate": "DP",
    "ArticleDate": "DEP",
    "DateRevised": "LR",
    "DateCompleted": "DCOM",
    "ContributionDate": "CTDT",
}


def records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read PubMed XML."""
    for line, found in elements(path, tally, "PubmedArticle", "PubmedBookArticle"):
        record = found if isinstance(found, Problem) else _record(found)
        if isinstance(record, Record) and not (record.title or record.abstract or record.authors):
            record = Problem(line, "this record has no title, abstract or author; there is nothing to screen")
        yield Item(line, record)


def _record(found: Element) -> Record:
    citation = next((e for e in found if e.tag in ("MedlineCitation", "BookDocument")), found)
    article = citation.find("Article")
    article = citation if article is None else article
    extra: dict[str, tuple[str, ...]] = {}
    vernacular = text_of(article.find("VernacularTitle"))
    title = text_of(article.find("ArticleTitle")) or text_of(article.find("Book/BookTitle")) or vernacular
    abstract, others = split_abstract([_abstract(article.find("Abstract"))])
    for text in others:
        add(extra, "AB", text)
    add(extra, "OAB", "\n".join(filter(None, (_abstract(other) for other in citation.findall("OtherAbstract")))))
    people = article.find("AuthorList")
    for address in () if people is None else people.iter("Affiliation"):
        add(extra, "AD", text_of(address))
    ids = [*found.findall("PubmedData/ArticleIdList/ArticleId"), *citation.findall("ArticleIdList/ArticleId")]
    for each in ids:
        if each.get("IdType") not in ("doi", "pubmed"):
            add(extra, "PMC" if each.get("IdType") == "pmc" else "AID", text_of(each))
    dois = [text_of(e) for e in ids if e.get("IdType") == "doi"]
    for place in article.findall("ELocationID"):
        if place.get("EIdType") == "doi":
            dois.append(text_of(place))
        else:
            add(extra, "LID", text_of(place))
    headings = [_heading(e) for e in citation.findall("MeshHeadingList/MeshHeading")]
    words = [text_of(e) for e in citation.findall("KeywordList/Keyword")]
    for tag, values in (("MH", headings), ("OT", words)):
        for value in values:
            add(extra, tag, value)
    date = article.find("Journal/JournalIssue/PubDate")
    date = article.find("Book/PubDate") if date is None else date
    years = [_date(d) for d in (date, article.find("ArticleDate"), citation.find("ContributionDate")) if d is not None]
    _keep(citation, extra)
    for each in found.findall("PubmedData/History/PubMedPubDate"):
        add(extra, "PHST", f"{_date(each)} [{each.get('PubStatus', '')}]")
    for each in found.findall("PubmedData/ReferenceList//Citation"):
        add(extra, "Reference", text_of(each))
    if (rest := found.find("PubmedData")) is not None:
        _keep(rest, extra)
    year = first_year(years)
    if extra.get("DP") == (str(year),):
        del extra["DP"]
    record = Record(
        title=title,
        abstract=abstract,
        authors=_authors(people),
        year=year,
        journal=text_of(article.find("Journal/Title")) or text_of(citation.find("MedlineJournalInfo/MedlineTA")),
        doi=next((d for value in dois if (d := normal_doi(value))), ""),
        pmid=normal_pmid(text_of(citation.find("PMID"))),
        language="; ".join(filter(None, map(text_of, article.findall("Language")))),
        type="; ".join(
            filter(
                None,
                map(
                    text_of,
                    (*article.findall("PublicationTypeList/PublicationType"), *article.findall("PublicationType")),
                ),
            )
        ),
        keywords=tuple(filter(None, (*headings, *words))),
        extra=extra,
    )
    return completed(record)


def _abstract(found: Element | None) -> str:
    """Return an abstract's sections, each on a line after its label."""
    lines = []
    for part in () if found is None else found.findall("AbstractText"):
        label, text = part.get("Label", ""), text_of(part)
        if text:
            lines.append(f"{label}: {text}" if label and label != "UNLABELLED" else text)
    return "\n".join(lines)


def _authors(people: Element | None) -> tuple[str, ...]:
    names = []
    for author in () if people is None else people.findall("Author"):
        given = text_of(author.find("ForeName")) or text_of(author.find("Initials"))
        name = ", ".join(filter(None, (text_of(author.find("LastName")), given)))
        names.append(name or text_of(author.find("CollectiveName")))
    return tuple(filter(None, names))


def _heading(found: Element) -> str:
    return "/".join(("*" if part.get("MajorTopicYN") == "Y" else "") + text_of(part) for part in found)


def _date(found: Element) -> str:
    return text_of(found.find("MedlineDate")) or " ".join(
        filter(None, (text_of(found.find(part)) for part in ("Year", "Month", "Season", "Day")))
    )


def _keep(element: Element, extra: dict[str, tuple[str, ...]]) -> None:
    """Keep every other text under the name that MEDLINE text has for it."""
    for child in element:
        if child.tag in _DATES:
            add(extra, _DATES[child.tag], _date(child))
        elif child.tag in _SKIPPED:
            continue
        elif len(child) and not (child.text or "").strip():
            _keep(child, extra)
        elif (value := text_of(child)) and value not in extra.get(_NAMES.get(child.tag, child.tag), ()):
            add(extra, _NAMES.get(child.tag, child.tag), value)
