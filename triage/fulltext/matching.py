"""Which record a PDF is of, by its name and its first page together."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..formats.pdf import Front
from ..wording import agree
from .fronts import Shown, has_text, record_shown, shows_title
from .known import Known
from .names import Named, Trust, record_named

_LISTED = 5
# The least share of a title's words that stand together on a page where the name is likely right. Where it is a guess
# the title itself must: papers of one author and year share most words.
_LEAST_SHARE = 0.5
_BY_NUMBER = "attach it to one by its number"


@dataclass(frozen=True, slots=True)
class Match:
    """Which record a PDF is of, or why that is not known.

    Attributes
    ----------
    record_id : int or None
    by : str
        What it was matched by.
    message : str
        Why it is of none.
    candidates : tuple of int
        The records that it may be of, where it is of none.
    unread : str
        Why its first pages could not be read; empty where they were, or were not asked for.
    """

    record_id: int | None
    by: str = ""
    message: str = ""
    candidates: tuple[int, ...] = ()
    unread: str = ""


def match(known: Known, name: str, front: Front | None = None) -> Match:
    """Return which record a PDF is of.

    Parameters
    ----------
    known : Known
    name : str
        Of the file.
    front : Front, optional
        Its first pages; left out, the name alone says it.
    """
    named = record_named(known, name)
    if front is None:
        return _by_name(named)
    return _by_both(known, named, record_shown(known, front), front)


def _by_name(named: Named, unread: str = "") -> Match:
    also = f" (its first page could not tell: {unread})" if unread else ""
    if len(named.records) == 1 and not named.is_half:
        return Match(named.records[0], named.by, unread=unread)
    if named.records:
        return Match(None, "", f"{_may_be(named.records)}{also}", tuple(named.records), unread)
    return Match(None, "", f"no record has this number, DOI, PMID or title{also}; {_BY_NUMBER}", (), unread)


def _by_both(known: Known, named: Named, shown: Shown, front: Front) -> Match:
    if shown.records:
        both = [i for i in named.records if i in shown.records]
        if named.records and not both:
            return _asked(
                f"its name says {_records(named.records)} ({named.by}), its first page {_records(shown.records)} ({shown.by})",
                [*named.records, *shown.records],
            )
        of = both or shown.records
        if len(of) == 1:
            return Match(of[0], f"{named.by}, and {shown.by}" if both else shown.by)
        return Match(None, "", _may_be(of), tuple(of))
    if len(named.records) == 1:
        return _by_name_unless_denied(known, named, shown, front)
    if shown.doubtful and not named.records:
        (i, why), *more = shown.doubtful.items()
        if more:
            return Match(None, "", _may_be(list(shown.doubtful)), tuple(shown.doubtful))
        return _asked(f"may be of record {i}, but it {why}", [i])
    return _by_name(named, front.unread)


def _by_name_unless_denied(known: Known, named: Named, shown: Shown, front: Front) -> Match:
    (i,) = named.records
    if named.trust is Trust.SURE:
        return Match(i, named.by, unread=front.unread)
    if i in shown.doubtful and i not in shown.weak:
        return _asked(f"its name says record {i} ({named.by}), but the file {shown.doubtful[i]}", [i])
    dois = {copy.doi for copy in known.copies(i) if copy.doi}
    if shown.dois and dois and not dois & set(shown.dois):
        return _asked(f"its name says record {i} ({named.by}), but its metadata another DOI ({shown.dois[0]})", [i])
    if not has_text(front):
        return _by_name(named, front.unread)
    least = _LEAST_SHARE if named.trust is Trust.LIKELY else math.inf
    if any(shows_title(front, record, least) for record in known.copies(i)):
        return Match(i, f"{named.by}, and its title on its first page" if named.trust is Trust.GUESS else named.by)
    said = f"its name says record {i} ({named.by}), but its first page does not show that title"
    return _asked(said, [i, *shown.doubtful])


def _asked(message: str, candidates: list[int]) -> Match:
    return Match(None, "", f"{message}; {_BY_NUMBER}", tuple(dict.fromkeys(candidates)))


def _records(found: list[int]) -> str:
    some = ", ".join(map(str, found[:_LISTED])) + (" and others" if len(found) > _LISTED else "")
    return f"{agree(len(found), 'record', 'the records')} {some}"


def _may_be(found: list[int]) -> str:
    return f"may be of {_records(found)}; {_BY_NUMBER}"
