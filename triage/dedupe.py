"""Duplicates: which records are copies of which, surely.

Sure are the same PMID; the same DOI with titles that do not contradict it; and the same title together
with the same abstract, the same volume and first page, or the same year and first author. What speaks
against it (another DOI, another PMID, other pages) keeps records apart. Only records that share a key
are compared, so the time grows with the number of records and not with its square.
"""

from __future__ import annotations

import html
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from .records import Record, normal_title

# Why two records are one, as the log says it, the strongest first.
_PMID = "same PMID"
_DOI = "same DOI"
_TITLE_ABSTRACT = "same title and abstract"
_TITLE_PLACE = "same title, volume and first page"
_TITLE_AUTHOR = "same title, year and first author"

_LEAST_TITLE = 20           # letters of a title that may speak for itself
_LEAST_ABSTRACT = 150       # letters of an abstract that identifies
_MOST_DISTINCT = 50         # contradicting records that share a key: it is then no identifier, but a
                            # conference supplement's DOI or a title that many records have
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
# What databases put behind a title: "[Review] [45 refs]", "[Chinese]", "[Erratum appears in ...]",
# "(Provisional abstract)".
_MARK = re.compile(
    r"[.\s]*(?:\[[^\[\]]*\b(?:review|letter|editorial|comment|abstract|refs?|references|published|errat\w+"
    r"|corrigendum|retraction|retracted|process citation)\b[^\[\]]*\]|\[[a-z]{4,}\]"
    r"|\((?:(?:[a-z]+ )?abstract|review|letter|editorial|comment)\))\W*$", re.IGNORECASE)
_RETRACTED = re.compile(r"^\W*(?:retracted(?: article)?|withdrawn)\W+", re.IGNORECASE)
_NOTICE = re.compile(
    r"\W*(?:(?:author(?:'s|s)? )?(?:correction|reply|response)|errat(?:um|a)|corrigend(?:um|a)|addendum"
    r"|retraction|expression of concern|comment(?:ary|s)?|letter|editorial|re)"
    r"(?:\s*[:.\]]|\s+(?:to|on|for|regarding)\b)", re.IGNORECASE)
_NOTICE_TYPES = re.compile(
    r"\b(?:errat(?:um|a)|corrigend(?:um|a)|correction|retraction (?:of publication|notice)"
    r"|expression of concern)\b", re.IGNORECASE)
_ABSTRACT_TYPES = re.compile(r"\b(?:conference|meeting|congress) abstract\b", re.IGNORECASE)
_GENERIC = re.compile(
    r"(?:a |an |the )?(?:abstracts?|announcements?|authors? |book reviews?|comment|correction|correspondence"
    r"|editorial|errat|foreword|from the|guest editor|in memoriam|in this issue|introduction|letters?|news"
    r"|obituary|preface|proceedings|program|reply|response|special issue|table of contents|this issue)")
_PAGE_FIELDS = (
    "SP", "PG", "BP", "Pages", "pages", "Page start", "Start Page", "start_page", "Beginning Page",
)
_VOLUME_FIELDS = ("VL", "VI", "Volume", "volume", "Journal Volume")
_INITIALS = re.compile(r"[^\W\d_]\.?|[A-Z]{2,3}|[A-Z]\.?-[A-Z]\.?")
_SUFFIXES = frozenset({"jr", "sr", "ii", "iii", "iv"})


@dataclass(frozen=True, slots=True)
class Link:
    """A copy, the record kept (the lowest id of its group), whether that is sure, and why."""

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
    described = [_Described(record) for record in sorted(records, key=lambda r: r.id)]
    times = Counter(d.title for d in described)
    same_title = [d for d in described if d.title and times[d.title] > 1]
    groups = _Groups(described)
    for why, key, pool in (
        (_PMID, lambda d: d.record.pmid or None, described),
        (_DOI, lambda d: d.record.doi or None, described),
        (_TITLE_ABSTRACT, _title_and_abstract, same_title),
        (_TITLE_PLACE, _title_and_place, same_title),
        (_TITLE_AUTHOR, _title_and_author, same_title),
    ):
        for bucket in _buckets(pool, key):
            _link_within(bucket, groups, why)
    return [Link(copy, kept, True, why) for copy, kept, why in groups.links()]


def _buckets(
    pool: Iterable[_Described], key: Callable[[_Described], Hashable | None],
) -> Iterator[list[_Described]]:
    buckets: defaultdict[Hashable, list[_Described]] = defaultdict(list)
    for d in pool:
        if (k := key(d)) is not None:
            buckets[k].append(d)
    return (bucket for bucket in buckets.values() if len(bucket) > 1)


def _link_within(bucket: list[_Described], groups: _Groups, why: str) -> None:
    """Join the records of a bucket that agree; one that agrees with two that disagree stays alone."""
    firsts: list[_Described] = []
    # A record without identifiers comes last, when all that it could be a copy of have shown themselves.
    for d in sorted(bucket, key=lambda d: not (d.record.doi or d.record.pmid)):
        agreeing = [first for first in firsts if groups.same(first, d) or _agree(groups, first, d, why)]
        if len(agreeing) == 1:
            groups.join(agreeing[0], d, why)
        elif not any(groups.same(first, d) for first in agreeing):
            firsts.append(d)
            if len(firsts) > _MOST_DISTINCT:
                return


def _agree(groups: _Groups, a: _Described, b: _Described, why: str) -> bool:
    """Tell whether nothing speaks against two records that share a key, and their groups, being one."""
    differ = groups.differences(a, b)
    if why == _PMID:
        # A PMID that went astray in a spreadsheet: nothing else agrees.
        return "doi" not in differ or _titles_agree(a, b)
    if "pmid" in differ:
        return False
    if why == _DOI:
        # All abstracts of a supplement may carry its DOI, and an erratum its paper's.
        return _titles_agree(a, b)
    if a.is_notice != b.is_notice or a.is_conference_abstract != b.is_conference_abstract:
        return False
    same_abstract = _same_abstract(a, b)
    if why == _TITLE_PLACE:
        # A wrong DOI happens in one database; a text printed at one place is one text.
        doi_stands = "doi" not in differ or same_abstract
        return doi_stands and _years_apart(a, b) <= 1 and not _other_abstract(a, b)
    if differ:
        return False
    if why == _TITLE_ABSTRACT:
        return same_abstract and _years_apart(a, b) <= 1
    # Parts of a series ("Annual report") share title, author and even year; their abstracts tell.
    return not _other_abstract(a, b)


# -- what is compared -------------------------------------------------------------------------


class _Described:
    """A record and its normal forms, most of them made when they are first asked for."""

    def __init__(self, record: Record) -> None:
        bare = _RETRACTED.sub("", html.unescape(_TAG.sub("", record.title)))
        while (shorter := _MARK.sub("", bare)) != bare and shorter.strip(" ["):
            bare = shorter
        self.record = record
        self.title_words = normal_title(bare)
        # Databases disagree about hyphens and blanks: "well-being", "wellbeing", "H 2 O".
        self.title = self.title_words.replace(" ", "")

    @cached_property
    def telling(self) -> bool:
        """Whether few other records can have this title."""
        n_words = self.title_words.count(" ") + 1
        generic = n_words < 8 and _GENERIC.match(self.title_words)
        return len(self.title) >= _LEAST_TITLE and n_words >= 3 and not generic

    @cached_property
    def abstract(self) -> str:
        """The abstract's letters and digits, as `normal_title` has them."""
        text = self.record.abstract
        # Abstracts are long and mostly ASCII, where the same comes twenty times as fast.
        return re.sub(r"[\W_]+", "", text.lower()) if text.isascii() else normal_title(text).replace(" ", "")

    @cached_property
    def family(self) -> str:
        return _family(self.record.authors[0]) if self.record.authors else ""

    @cached_property
    def volume(self) -> str:
        return _number(self.record, _VOLUME_FIELDS)

    @cached_property
    def page(self) -> str:
        return _number(self.record, _PAGE_FIELDS)

    @cached_property
    def is_notice(self) -> bool:
        """Whether the record is an erratum, a reply, ... of the article whose title it bears."""
        return bool(_NOTICE.match(self.record.title) or _NOTICE_TYPES.search(self.record.type))

    @cached_property
    def is_conference_abstract(self) -> bool:
        return _ABSTRACT_TYPES.search(self.record.type) is not None


def _family(author: str) -> str:
    """Return the last word of a family name, one for "van Berg, J A", "van Berg JA" and "J. A. van Berg"."""
    if "," in author:
        words = normal_title(author.split(",")[0]).split()
    else:
        parts = author.replace(".", ". ").split()
        # "Smith JA Jr": capitals at the end are initials; else the family name comes last.
        while len(parts) > 1 and (
            _INITIALS.fullmatch(parts[-1]) or parts[-1].strip(".").casefold() in _SUFFIXES
        ):
            parts.pop()
        words = normal_title(parts[-1]).split() if parts else []
    while len(words) > 1 and words[-1] in _SUFFIXES:
        words.pop()
    return words[-1] if words else ""


def _number(record: Record, names: Sequence[str]) -> str:
    """Return the first number in the first of some fields that has one; "" when none has."""
    for value in (value for name in names for value in record.extra.get(name, ())):
        found = re.search(r"\d+", value)
        # "215 p" is the length of a thesis.
        if found and not re.fullmatch(r"\s*\d+\s*p(?:p|ages)?\.?\s*", value):
            return found.group().lstrip("0")
    return ""


def _title_and_abstract(d: _Described) -> Hashable | None:
    # The beginning alone: one database cuts an abstract short, another adds a copyright line.
    return (d.title, d.abstract[:_LEAST_ABSTRACT]) if len(d.abstract) >= _LEAST_ABSTRACT else None


def _title_and_place(d: _Described) -> Hashable | None:
    if not (d.volume and d.page):
        return None
    # Of a title such as "Reply", a column may hold several by others.
    return (d.title, d.volume, d.page, "" if d.telling else d.family)


def _title_and_author(d: _Described) -> Hashable | None:
    known = d.telling and d.record.year is not None and d.family
    return (d.title, d.record.year, d.family) if known else None


def _same_abstract(a: _Described, b: _Described) -> bool:
    shorter, longer = sorted((a.abstract, b.abstract), key=len)
    return len(shorter) >= _LEAST_ABSTRACT and longer.startswith(shorter) and len(longer) < 1.5 * len(shorter)


def _other_abstract(a: _Described, b: _Described) -> bool:
    """Tell whether two abstracts, both there, have less than half of their words in common."""
    if not (a.abstract and b.abstract) or a.abstract[:100] == b.abstract[:100]:
        return False
    words_a, words_b = (set(normal_title(d.record.abstract[:1000]).split()) for d in (a, b))
    return len(words_a & words_b) < 0.5 * min(len(words_a), len(words_b))


def _years_apart(a: _Described, b: _Described) -> int:
    return 0 if a.record.year is None or b.record.year is None else abs(a.record.year - b.record.year)


def _titles_agree(a: _Described, b: _Described) -> bool:
    """Tell whether one title is the other, or the other cut short, or most of its words."""
    if a.is_notice != b.is_notice:
        return False
    if not a.title or not b.title or a.title == b.title:
        return True
    shorter, longer = sorted((a.title_words, b.title_words), key=len)
    if longer.startswith(f"{shorter} ") and len(shorter) >= _LEAST_TITLE:
        return True
    words_a, words_b = set(shorter.split()), set(longer.split())
    # "Part 1" and "Part 2" have all other words in common.
    numbers_a, numbers_b = ({w for w in words if w.isdecimal()} for words in (words_a, words_b))
    return numbers_a == numbers_b and len(words_a & words_b) >= 0.6 * len(words_a | words_b)


# -- groups -----------------------------------------------------------------------------------


class _Groups:
    """Groups of records held to be one, with all the values that their members have."""

    _FIELDS = ("doi", "pmid", "volume", "page")

    def __init__(self, described: Iterable[_Described]) -> None:
        self._parent: dict[int, int] = {}
        self._why: dict[int, str] = {}
        self._values: dict[int, dict[str, set[str]]] = {}
        for d in described:
            self._parent[d.record.id] = d.record.id

    def _root(self, d: _Described) -> int:
        i = d.record.id
        while (up := self._parent[i]) != i:
            self._parent[i] = self._parent[up]
            i = up
        return i

    def _of(self, d: _Described) -> dict[str, set[str]]:
        root = self._root(d)
        if root not in self._values:
            own = {"doi": d.record.doi, "pmid": d.record.pmid, "volume": d.volume, "page": d.page}
            self._values[root] = {name: {value} if value else set() for name, value in own.items()}
        return self._values[root]

    def same(self, a: _Described, b: _Described) -> bool:
        """Tell whether two records are in one group."""
        return self._root(a) == self._root(b)

    def differences(self, a: _Described, b: _Described) -> set[str]:
        """Name the fields of which both groups have values, and none in common."""
        of_a, of_b = self._of(a), self._of(b)
        return {name for name in self._FIELDS if of_a[name] and of_b[name] and not of_a[name] & of_b[name]}

    def join(self, a: _Described, b: _Described, why: str) -> None:
        """Make one group of two, under its lowest id."""
        kept, absorbed = sorted((self._root(a), self._root(b)))
        if kept == absorbed:
            return
        of_a, of_b = self._of(a), self._of(b)
        self._values[kept] = {name: of_a[name] | of_b[name] for name in self._FIELDS}
        self._parent[absorbed] = kept
        self._why[absorbed] = why

    def links(self) -> list[tuple[int, int, str]]:
        """Return (copy, kept, why) of every record that is not the lowest of its group, by id."""
        found = []
        for i in sorted(self._why):
            root = i
            while self._parent[root] != root:
                root = self._parent[root]
            found.append((i, root, self._why[i]))
        return found
