"""Records as a page shows them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..formats import letters
from ..formats.facts import REGISTRATION
from ..log import CurrentState
from ..machines import MOST_SHOWN, shown_suggestions
from ..records import Record
from ..registrations import page_of
from ..report import doi_link, pmid_link
from ..text import Words, plain, untagged

_AUTHORS_NAMED = 6
Pieces = list[tuple[str, str]]  # of a text, each with how it is marked: "include", "exclude", or a colour


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
    links: list[Link]


@dataclass(frozen=True, slots=True)
class Link:
    """A place where a record is to be found, and what to call it."""

    text: str
    href: str


_MOST_LINKS = 5
_ADDRESS = re.compile(r"https://[\w.-]{3,200}/[!-~]{0,1000}")
# Where sources name an address of the text, the likeliest first, by the letters of the field's name.
_ADDRESSES = (
    "bestoalocationpdfurl",
    "openaccessoaurl",
    "bestoalocationlandingpageurl",
    "openaccesspdfurl",
    "pdfurl",
    "fulltexturl",
    "fulltexturllistfulltexturlurl",
    "l1",
    "l2",
    "ur",
    "url",
    "link",
)


@dataclass(frozen=True, slots=True)
class SuggestedAsRead:
    """What a machine suggests for a record, as a page shows it; `text` says it in a line."""

    machine: str
    label: str | None
    reason: str
    score: float | None
    confidence: float | str | None
    rationale: str
    note: str
    text: str


def suggested_as_read(
    live: CurrentState, stage: str, record_id: int, *, viewer: str, blind: bool
) -> list[SuggestedAsRead]:
    """Return what machines suggest for a record, as far as a reviewer may see it now, in printable text."""
    return [
        SuggestedAsRead(
            line(one.machine),
            None if one.label is None else str(one.label),
            line(one.reason),
            one.score,
            line(one.confidence) if isinstance(one.confidence, str) else one.confidence,
            line(one.rationale),
            line(one.note),
            _cut(line(str(one))),
        )
        for one in shown_suggestions(live, stage, record_id, viewer=viewer, blind=blind)
    ]


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def line(text: str) -> str:
    """Return imported text on one line, without tags."""
    return " ".join(untagged(plain(text)).split())


def marked(text: str, words: Words | None) -> Pieces:
    """Cut a text into pieces, each with how it is marked; "" for all that is not."""
    if words is None:
        return [(text, "")] if text else []
    pieces, at = [], 0
    for begins, ends, kind in words.find(text):
        if begins > at:
            pieces.append((text[at:begins], ""))
        pieces.append((text[begins:ends], str(kind)))
        at = ends
    return [*pieces, (text[at:], "")] if at < len(text) else pieces


def as_read(record: Record, words: Words | None) -> AsRead:
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
        links=_links(record),
    )


def _links(record: Record) -> list[Link]:
    """Return where else a record is to be found: in registers, and at an address that it gives for its text."""
    extra = record.extra
    found = [Link(number, page) for number in extra.get(REGISTRATION, ()) if (page := page_of(number))]
    names = {letters(name): values for name, values in extra.items()}
    addresses = (
        address.strip() for name in _ADDRESSES for value in names.get(name, ()) for address in value.split(";")
    )
    known = (doi_link(record.doi), pmid_link(record.pmid), "https://doi.org/", "https://dx.doi.org/")
    for address in addresses:
        if _ADDRESS.fullmatch(address) and not address.startswith(tuple(filter(None, known))):
            host = address.split("/")[2].removeprefix("www.")
            return [*found[:_MOST_LINKS], Link(f"at {line(host)[:60]}", address)]
    return found[:_MOST_LINKS]
