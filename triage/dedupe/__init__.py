"""Duplicates: which records are copies of which, surely or maybe.

Records that share a key (an identifier, a title or its beginning or end, a place in print, the first
author and a year, an abstract's first words) are compared; the rest never are, and a key that many
records share is searched among neighbours in the order of their titles, so the time grows with the
number of records and not with its square. A comparison looks at what agrees and at what contradicts:

- sure: an identifier agrees, or the title with enough else, and nothing speaks against it;
- maybe: most agrees, but something contradicts or too little is known; a person decides;
- apart: another PMID, an erratum or a reply and its article, two parts of one series.

Sure pairs become groups, unless two members of a group would contradict each other; a record that could
be a copy of two records that contradict each other joins neither, and becomes two maybes.

Only normal forms are kept of a record, so `find_duplicates` can read a stream.
"""

from __future__ import annotations

import enum
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..records import Record
from .comparing import (
    ANY_PLACE,
    DESCRIBED,
    IDENTIFIED,
    MAYBE,
    NOTHING,
    PLACED,
    Authors,
    Finding,
    Pair,
    Title,
    compare,
    compare_pages,
    compare_titles,
    compare_values,
    may_be_issue,
)
from .forms import LEAST_TITLE, Described, describe, places

_SMALL_BLOCK = 10  # up to so many records that share a key, each is compared with each
_NEIGHBOURS = 6  # in a larger block, each with so many that follow it in the order of titles
_SHARED_DOI = 8  # more titles under one DOI: it is then no identifier but a supplement's
_PLACEHOLDERS = 3  # more records of one title, with nothing but the title
_SHARED_TITLE = 8  # more years and places of one title: it then says nothing, as "Editorial" does


@dataclass(frozen=True, slots=True)
class Link:
    """A copy, the record kept, whether that is sure, and why.

    A sure link names the lowest id of the group as kept. A link that is not sure is a question: it
    names the lowest ids of two groups, the lower of them as kept.
    """

    copy_id: int
    kept_id: int
    sure: bool
    why: str


def find_duplicates(records: Iterable[Record], apart: Iterable[tuple[int, int]] = ()) -> list[Link]:
    """Find copies among records that have ids.

    Parameters
    ----------
    records : iterable of Record
        With `id` set; read once, so a stream will do.
    apart : iterable of (int, int)
        Ids of which a person said that they are two records: they come into no group together, and
        nothing is asked about their groups.

    Returns
    -------
    list of Link
        The sure ones first, each linking a record to the lowest id of its group, in the order of the
        copies' ids; then the maybes, each pair of groups once, in the order of (kept, copy).
    """
    # By content, so that neither the order of the records nor their ids decide what joins what.
    described = sorted(map(describe, records), key=Described.place_in_order)
    findings = _findings(described)
    groups = _Groups(described, apart)
    maybes = _join_sure(groups, findings)
    links = [Link(copy, kept, True, why) for copy, kept, why in groups.links()]
    return links + [Link(copy, kept, False, why) for (kept, copy), why in _questions(groups, maybes)]


# -- for the person who decides ---------------------------------------------------------------


class Agreement(enum.StrEnum):
    """How a field of two records compares."""

    SAME = "same"  # but for the way it is written
    ALIKE = "alike"
    DIFFERENT = "different"
    ONE = "only one"  # of the two has it


@dataclass(frozen=True, slots=True)
class FieldPair:
    """A field of two records: its name, what each says as imported, and how the two compare."""

    name: str
    kept: str
    copy: str
    agreement: Agreement


def side_by_side(kept: Record, copy: Record) -> list[FieldPair]:
    """Compare two records field by field, as `find_duplicates` reads them; what both lack is left out."""
    a, b = describe(kept), describe(copy)
    pair = Pair(a, b, compare_titles(a, b))
    title = {Title.EQUAL: 1, Title.OTHER: -1, Title.LOOSE: -1}.get(pair.title, 0)
    authors = {Authors.OTHER: -1}.get(pair.authors, 1 if a.families == b.families else 0)
    of_kept, of_copy = places(kept.extra), places(copy.extra)
    shown: list[tuple[str, str, str, int]] = [
        ("title", kept.title, copy.title, title),
        ("authors", "; ".join(kept.authors), "; ".join(copy.authors), authors),
        ("year", str(kept.year or ""), str(copy.year or ""), 1 if kept.year == copy.year else -1),
        ("journal", kept.journal, copy.journal, pair.journal),
        *(
            (name, "; ".join(of_kept.get(field, ())), "; ".join(of_copy.get(field, ())), verdict)
            for name, field, verdict in (
                ("volume", "volume", pair.volume),
                ("issue", "issue", compare_values(a.issue, b.issue)),
                ("pages", "page", pair.page),
                ("last page", "last page", compare_values(a.pages.last, b.pages.last)),
            )
        ),
        *(
            (name, one, other, 1 if one.casefold() == other.casefold() else -1)
            for name, one, other in (
                ("DOI", kept.doi, copy.doi),
                ("PMID", kept.pmid, copy.pmid),
                ("type", kept.type, copy.type),
                ("language", kept.language, copy.language),
                ("source", kept.source, copy.source),
            )
        ),
        ("abstract", kept.abstract, copy.abstract, pair.abstract),
    ]
    named = {1: Agreement.SAME, 0: Agreement.ALIKE, -1: Agreement.DIFFERENT}
    return [
        FieldPair(name, one, other, named[1 if one == other else verdict] if one and other else Agreement.ONE)
        for name, one, other, verdict in shown
        if one or other
    ]


# -- who is compared with whom ----------------------------------------------------------------


def _findings(described: Sequence[Described]) -> dict[tuple[int, int], Finding]:
    """Compare the records that share a key; return what was found by positions, the lower first."""
    for at, d in enumerate(described):
        d.at = at
    _discount_rows_for_issues(described)
    _discount_what_many_share(described)
    found: dict[tuple[int, int], Finding] = {}
    for key in _KEYS:
        for block in _blocks(described, key):
            reach = len(block) if len(block) <= _SMALL_BLOCK else _NEIGHBOURS
            for i, a in enumerate(block):
                for b in block[i + 1 : i + 1 + reach]:
                    if (a.at, b.at) not in found and (finding := compare(a, b)) is not None:
                        found[a.at, b.at] = finding
    return found


def _discount_rows_for_issues(described: Sequence[Described]) -> None:
    """Forget the issues of sources that count something else there, such as the rows of an export."""
    counted: defaultdict[str, list[bool]] = defaultdict(list)
    for d in described:
        if d.issue:
            counted[d.source].append(may_be_issue(d.issue))
    wrong = {source for source, issues in counted.items() if sum(issues) < len(issues) / 2}
    for d in described:
        if d.source in wrong:
            d.issue = ""


def _discount_what_many_share(described: Sequence[Described]) -> None:
    for block in _blocks(described, lambda d: d.doi or None):
        if len(block) > _SHARED_DOI and len({d.letters for d in block}) > _SHARED_DOI:
            for d in block:
                d.doi = ""
        elif len(block) > 2 and len({d.letters for d in block}) > 2:
            for d in block:
                d.shares_doi = True
    for block in _blocks(described, lambda d: d.letters or None):
        if len(block) > _SHARED_TITLE and len({(d.year, d.volume, d.pages.first) for d in block}) > _SHARED_TITLE:
            for d in block:
                d.generic, d.telling = True, False
        # Of records that have a title and nothing else, many of one title are placeholders.
        bare = [d for d in block if not (d.families or d.year or d.journal or d.doi or d.abstract or d.volume)]
        if len(bare) > _PLACEHOLDERS:
            for d in bare:
                d.generic, d.telling = True, False


def _blocks(described: Iterable[Described], key: Callable[[Described], Hashable | None]) -> Iterator[list[Described]]:
    first: dict[Hashable, Described] = {}
    blocks: defaultdict[Hashable, list[Described]] = defaultdict(list)
    for d in described:
        if (k := key(d)) is None:
            continue
        if k in first:
            blocks[k].append(d)
        else:
            first[k] = d
    for k, others in blocks.items():
        yield [first[k], *others]


def _start_of_title(d: Described) -> Hashable | None:
    return d.letters[:LEAST_TITLE] if d.telling else None


def _end_of_title(d: Described) -> Hashable | None:
    if not d.telling:
        return None
    # Not the very end, where many say "a randomised controlled trial".
    end = -LEAST_TITLE if len(d.letters) >= 2 * LEAST_TITLE else None
    return d.letters[-2 * LEAST_TITLE : end]


def _place(d: Described) -> Hashable | None:
    return (d.volume, d.pages.first[0], d.year) if d.volume and d.pages.first else None


def _author_and_page(d: Described) -> Hashable | None:
    return (d.first_author[0], d.pages.first[0], d.year) if d.first_author and d.pages.first else None


def _author_and_year(d: Described) -> Hashable | None:
    if not d.first_author or d.year is None:
        return None
    return (d.first_author[0], d.year, d.journal[0][0][0] if d.journal else "")


_KEYS: tuple[Callable[[Described], Hashable | None], ...] = (
    lambda d: d.pmid or None,
    lambda d: d.doi or None,
    lambda d: d.registration or None,
    lambda d: d.letters or None,
    lambda d: d.beginning or None,
    _place,
    _author_and_page,
    _author_and_year,
    _start_of_title,
    _end_of_title,
)


# -- groups -----------------------------------------------------------------------------------


class _Groups:
    """Groups of records held to be one, with all the values that their members have."""

    _FIELDS = ("pmid", "doi", "volume", "page")

    def __init__(self, described: Sequence[Described], apart: Iterable[tuple[int, int]]) -> None:
        self._described = described
        self._apart: defaultdict[int, set[int]] = defaultdict(set)
        at = {d.id: d.at for d in described} if (apart := list(apart)) else {}
        for one, other in apart:
            if one in at and other in at:
                self._apart[at[one]].add(at[other])
                self._apart[at[other]].add(at[one])
        self._parent = array("q", range(len(described)))
        self._why: dict[int, str] = {}
        self._values: dict[int, dict[str, set[Any]]] = {}  # texts, and pages

    def root(self, at: int) -> int:
        while (up := self._parent[at]) != at:
            self._parent[at] = self._parent[up]
            at = up
        return at

    def _of(self, root: int) -> dict[str, set[Any]]:
        if root not in self._values:
            d = self._described[root]
            own = {"pmid": d.pmid, "doi": d.doi, "volume": d.volume, "page": d.pages}
            self._values[root] = {name: {value} if any(value) else set() for name, value in own.items()}
        return self._values[root]

    def conflict(self, x: int, y: int, tolerated: frozenset[str] = NOTHING) -> bool:
        """Whether two groups were judged distinct, or both have values of a field and none in common."""
        if x in self._apart and any(self.root(z) == y for z in self._apart[x]):
            return True
        of_x, of_y = self._of(x), self._of(y)
        for name in self._FIELDS:
            one, other = of_x[name], of_y[name]
            if one and other and name not in tolerated and one.isdisjoint(other):
                if name != "page" or all(compare_pages(p, q) == -1 for p in one for q in other):
                    return True
        return False

    def other_dois(self, a: int, b: int) -> bool:
        """Tell whether two records themselves have two DOIs."""
        return "" != self._described[a].doi != self._described[b].doi != ""

    def id_of(self, root: int) -> int:
        """Return a group's lowest id."""
        return self._described[root].id

    def join(self, x: int, y: int, why: str) -> None:
        """Make one group of two, under its lowest id."""
        kept, absorbed = (x, y) if self.id_of(x) < self.id_of(y) else (y, x)
        of_kept, of_absorbed = self._of(kept), self._of(absorbed)
        for name in self._FIELDS:
            # The fewer into the more, so that a group of many costs no more than its members.
            fewer, more = sorted((of_kept[name], of_absorbed[name]), key=len)
            more |= fewer
            of_kept[name] = more
        del self._values[absorbed]
        if absorbed in self._apart:
            self._apart[kept] |= self._apart.pop(absorbed)
        self._parent[absorbed] = kept
        self._why[absorbed] = why

    def links(self) -> list[tuple[int, int, str]]:
        """Return (copy, kept, why) of every record that is not the lowest of its group, by id."""
        return sorted((self.id_of(at), self.id_of(self.root(at)), why) for at, why in self._why.items())


def _join_sure(groups: _Groups, findings: Mapping[tuple[int, int], Finding]) -> dict[tuple[int, int], str]:
    """Join what surely is one, the strongest first; return the pairs that remain for a person."""
    maybes = {pair: finding.why for pair, finding in findings.items() if finding.strength == MAYBE}
    for strength in (IDENTIFIED, PLACED, DESCRIBED):
        edges = sorted(pair for pair, finding in findings.items() if finding.strength == strength)
        near: defaultdict[int, set[int]] = defaultdict(set)
        for a, b in edges:
            x, y = groups.root(a), groups.root(b)
            if x != y:
                near[x].add(y)
                near[y].add(x)
        # Told before any is joined, so that the order in which they are joined decides nothing.
        ambiguous = [
            pair
            for pair in edges
            if _is_ambiguous(groups, near, groups.root(pair[0]), groups.root(pair[1]), findings[pair].tolerates)
        ]
        for pair in ambiguous:
            maybes[pair] = f"{findings[pair].why}, but another record could be the same as well"
        for pair in edges:
            x, y = map(groups.root, pair)
            if x == y or pair in maybes:
                continue
            if groups.conflict(x, y, findings[pair].tolerates):
                maybes[pair] = f"{findings[pair].why}, but copies of the two contradict each other"
            else:
                groups.join(x, y, findings[pair].why)
    return maybes


def _is_ambiguous(
    groups: _Groups, near: Mapping[int, Collection[int]], x: int, y: int, tolerated: frozenset[str]
) -> bool:
    """Tell whether one of two groups could as well be the same as a group that contradicts the other."""
    return x != y and any(
        z not in near[other] and z != other and groups.conflict(z, other, tolerated)
        for one, other in ((x, y), (y, x))
        for z in near[one]
    )


def _questions(groups: _Groups, maybes: Mapping[tuple[int, int], str]) -> list[tuple[tuple[int, int], str]]:
    """Return ((kept, copy), why) of each pair of groups to decide on, once."""
    asked: dict[tuple[int, int], str] = {}
    for (a, b), why in sorted(maybes.items()):
        x, y = groups.root(a), groups.root(b)
        # What two records leave open, the identifiers of their copies may answer.
        tolerated = ANY_PLACE | {"doi"} if groups.other_dois(a, b) else ANY_PLACE
        if x != y and not groups.conflict(x, y, tolerated):
            kept, copy = sorted((groups.id_of(x), groups.id_of(y)))
            asked.setdefault((kept, copy), why)
    return sorted(asked.items())
