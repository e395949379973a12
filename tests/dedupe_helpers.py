"""What the tests of duplicates share: one article, and how pairs are found."""

from dataclasses import replace

from triage.dedupe import find_duplicates
from triage.records import Record

TITLE = "Peer support for adults with schizophrenia: a randomised trial"
ABSTRACT = (
    "Background: peers are said to help. Methods: we drew lots for 120 adults with schizophrenia between peer support "
    "and usual care in four towns. Results: after a year, hope and days in hospital differed. Conclusions: peers help."
)


def article(**changes) -> Record:
    """A complete record, some of its fields changed."""
    whole = Record(title=TITLE, abstract=ABSTRACT, authors=("Smith, Jane A", "Wu, Li"), year=2010, journal="Recovery")
    return replace(whole, **changes)


def numbered(*records: Record) -> list[Record]:
    return [replace(record, id=i) for i, record in enumerate(records, 1)]


def pairs(*records: Record) -> set[tuple[int, int]]:
    """Link records numbered from 1; return (copy, kept) of the sure links."""
    return {(link.copy_id, link.kept_id) for link in find_duplicates(numbered(*records)) if link.sure}


def questions(*records: Record) -> list[tuple[int, int]]:
    """Link records numbered from 1; return (copy, kept) of those that a person must decide."""
    return [(link.copy_id, link.kept_id) for link in find_duplicates(numbered(*records)) if not link.sure]


def at(volume: str = "12", pages: str = "101-109", **changes) -> Record:
    """A record without abstract, that names where it stands in print."""
    return article(**{"abstract": "", "extra": {"VL": (volume,), "SP": (pages,)}} | changes)
