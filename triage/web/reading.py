"""Records as a page shows them."""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol.model import Protocol
from ..records import Record
from ..report import doi_link, pmid_link
from ..text import CriteriaWords, plain, untagged

_AUTHORS_NAMED = 6
Pieces = list[tuple[str, str]]  # of a text, each with the kind of criteria that it is a word of


@dataclass(frozen=True, slots=True)
class AsRead:
    """A record as a page shows it."""

    record_id: int
    title: Pieces
    authors: str
    journal: str
    year: int | None
    source: str
    language: str
    type: str
    abstract: list[Pieces]
    keywords: Pieces
    doi: str
    doi_link: str
    pmid: str
    pmid_link: str


def words_of(protocol: Protocol) -> CriteriaWords:
    """Return the words of a protocol's criteria."""
    return CriteriaWords([c.text for c in protocol.include], [c.text for c in protocol.exclude])


def line(text: str) -> str:
    """Return imported text on one line, without tags."""
    return " ".join(untagged(plain(text)).split())


def marked(text: str, words: CriteriaWords | None) -> Pieces:
    """Cut a text into pieces, each with the kind of criteria that it is a word of; "" for all else."""
    if words is None:
        return [(text, "")] if text else []
    pieces, at = [], 0
    for begins, ends, kind in words.find(text):
        if begins > at:
            pieces.append((text[at:begins], ""))
        pieces.append((text[begins:ends], str(kind)))
        at = ends
    return [*pieces, (text[at:], "")] if at < len(text) else pieces


def as_read(record: Record, words: CriteriaWords | None) -> AsRead:
    """Return a record as a page shows it: printable text in pieces, and addresses that were checked.

    Nothing in it says how the record came before the reviewer.
    """
    authors = [line(author) for author in record.authors]
    more = len(authors) - _AUTHORS_NAMED
    abstract = untagged(plain(record.abstract))
    return AsRead(
        record_id=record.number,
        title=marked(line(record.title) or "(no title)", words),
        authors="; ".join(authors[:_AUTHORS_NAMED]) + (f"; and {more} more" if more > 0 else ""),
        journal=line(record.journal),
        year=record.year,
        source=line(record.source),
        language=line(record.language),
        type=line(record.type),
        abstract=[marked(part, words) for part in abstract.split("\n") if part.strip()],
        keywords=marked(line("; ".join(record.keywords)), words),
        doi=line(record.doi),
        doi_link=doi_link(record.doi),
        pmid=line(record.pmid),
        pmid_link=pmid_link(record.pmid),
    )
