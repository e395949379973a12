"""Duplicates: which records are copies of which, surely.

Sure are the same PMID, the same DOI with titles that do not contradict it, and the same normal title
with the same year and first author or with the same abstract. Everything is hashed, so the time grows
with the number of records and not with its square.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from .records import Record, normal_title

_LEAST_TITLE = 20           # letters of a title that may speak for itself
_LEAST_ABSTRACT = 200       # characters of an abstract that identifies
_LARGEST_GROUP = 50         # records that share a key: more are a generic title, not one record


@dataclass(frozen=True, slots=True)
class Link:
    """A copy, the record kept (the lower id), whether that is sure, and why."""

    copy_id: int
    kept_id: int
    sure: bool
    why: str


def find_duplicates(records: Sequence[Record]) -> list[Link]:
    """Find copies among records that have ids.

    Parameters
    ----------
    records : sequence of Record
        With `id` set.

    Returns
    -------
    list of Link
        Each links a record to the lowest id of its group, in the order of the copies' ids.
    """
    described = [_Described.of(record) for record in sorted(records, key=lambda r: r.id)]
    groups = _Groups()
    for why, key in _RULES:
        buckets: defaultdict[Hashable, list[_Described]] = defaultdict(list)
        for d in described:
            if (k := key(d)) is not None:
                buckets[k].append(d)
        for bucket in buckets.values():
            if not 1 < len(bucket) <= _LARGEST_GROUP:
                continue
            for i, later in enumerate(bucket[1:], 1):
                first = next((d for d in bucket[:i] if _agree(d, later, why)), None)
                if first is not None:
                    groups.join(first.id, later.id, why)
    return [Link(copy, kept, True, why) for copy, kept, why in groups.links()]


@dataclass(frozen=True, slots=True)
class _Described:
    id: int
    title: str
    family: str
    year: int | None
    abstract: str
    doi: str
    pmid: str
    pages: str

    @classmethod
    def of(cls, record: Record) -> _Described:
        return cls(
            record.id, _without_marks(record.title), _family(record.authors[0]) if record.authors else "", record.year,
            normal_title(record.abstract)[:2000], record.doi, record.pmid, _first_page(record),
        )


def _without_marks(title: str) -> str:
    """Return the normal title without what databases add: a final "[Review]", brackets, "The"."""
    bare = re.sub(r"\s*[\[(](?:review|letter|editorial|comment|abstract|retracted article|see comment)[^\])]*[\])]\s*$", "",
                  title.strip(), flags=re.IGNORECASE)
    return normal_title(bare)


def _family(author: str) -> str:
    """Return a family name: before the comma, else the longest word ("Smith JA", "J. A. Smith")."""
    if "," in author:
        return normal_title(author.split(",")[0])
    words = normal_title(author).split()
    return max(words, key=len) if words else ""


def _first_page(record: Record) -> str:
    for name in ("SP", "PG", "Pages", "pages", "start_page", "Page start"):
        for value in record.extra.get(name, ()):
            if found := re.search(r"\d+", value):
                return found.group().lstrip("0")
    return ""


def _by_title_and_author(d: _Described) -> Hashable | None:
    long_enough = len(d.title.replace(" ", "")) >= _LEAST_TITLE and d.title.count(" ") >= 2
    return (d.title, d.year, d.family) if long_enough and d.year is not None and d.family else None


def _by_title_and_abstract(d: _Described) -> Hashable | None:
    return (d.title, d.abstract) if d.title and len(d.abstract) >= _LEAST_ABSTRACT else None


_RULES: tuple[tuple[str, Callable[[_Described], Hashable | None]], ...] = (
    ("same PMID", lambda d: d.pmid or None),
    ("same DOI", lambda d: d.doi or None),
    ("same title and abstract", _by_title_and_abstract),
    ("same title, year and first author", _by_title_and_author),
)


def _agree(a: _Described, b: _Described, why: str) -> bool:
    """Tell whether nothing speaks against two records that share a key being one."""
    if a.pmid and b.pmid and a.pmid != b.pmid:
        return False
    if why == "same PMID":
        return True
    if why == "same DOI":
        # All abstracts of a conference supplement may carry the supplement's DOI, and an erratum its
        # paper's: then the titles differ.
        return _titles_match(a.title, b.title)
    if a.doi and b.doi and a.doi != b.doi:
        return False
    if why == "same title, year and first author":
        if a.pages and b.pages and a.pages != b.pages:
            return False
        # Parts of a series ("Annual report") share title, author and even year; abstracts tell.
        return not (a.abstract and b.abstract) or _abstracts_match(a.abstract, b.abstract)
    return True


def _titles_match(a: str, b: str) -> bool:
    """Tell whether one title is the other, or the other cut short, or nearly its words."""
    if not a or not b or a == b or a.startswith(b) or b.startswith(a):
        return True
    words_a, words_b = set(a.split()), set(b.split())
    return len(words_a & words_b) >= 0.6 * len(words_a | words_b)


def _abstracts_match(a: str, b: str) -> bool:
    words_a, words_b = set(a[:600].split()), set(b[:600].split())
    return len(words_a & words_b) >= 0.5 * min(len(words_a), len(words_b))


class _Groups:
    """Union-find that remembers for every record why it was first joined."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}
        self._why: dict[int, str] = {}

    def _find(self, i: int) -> int:
        while (up := self._parent.setdefault(i, i)) != i:
            self._parent[i] = self._parent[up]
            i = up
        return i

    def join(self, first: int, later: int, why: str) -> None:
        a, b = sorted((self._find(first), self._find(later)))
        if a != b:
            self._parent[b] = a
            self._why[b] = why

    def links(self) -> list[tuple[int, int, str]]:
        members = sorted(self._parent)
        return [(i, root, self._why[i]) for i in members if (root := self._find(i)) != i]
