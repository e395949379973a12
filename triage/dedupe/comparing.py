"""What two records have in common, what contradicts, and what follows."""

from __future__ import annotations

import enum
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rapidfuzz import fuzz

from ..registrations import are_of_one_register
from .differences import Difference, difference, is_beginning, is_one_word_exchanged
from .forms import ENTRY, LEAST_TITLE, Described, Pages

# Why two records surely are one, as the log says it.
_PMID = "same PMID"
_DOI = "same DOI"
_TITLE_ABSTRACT = "same title and abstract"
_TITLE_PLACE = "same title, volume and first page"
_TITLE_ISSUE = "same title, authors and issue of a journal"
_TITLE_AUTHOR = "same title, year and first author"
_TITLE_YEAR = "same title, year and journal or first page"
_CLOSE_PLACE = "similar title, same volume, first page and first author"
_CLOSE_ISSUE = "similar title, same authors and issue of a journal, pages that overlap"
_CLOSE_JOURNAL = "similar title, same year, authors and journal or first page"
_PLACE_AUTHORS = "same volume, pages, year and authors"
_REGISTRATION = "same title and trial registration"
_ABSTRACT_AUTHORS = "same abstract and authors, similar title"

_LONG_TITLE = 40  # letters of a title that hardly anyone uses twice
_LEAST_WORDS = 8  # long words of an abstract that identify it

# What one of two publications of a study has in its title: a protocol and its trial are two records.
_ANOTHER_REPORT = frozenset(
    "protocol protocols rationale design pilot feasibility follow followup update updated extension part interim "
    "secondary subgroup baseline reply comment commentary letter corrigendum erratum correction response preliminary "
    "final term supplement appendix abstract poster cost costs economic".split()
)


class Title(enum.IntEnum):
    """How near two titles are."""

    OTHER = 0
    LOOSE = 1  # half of the letters: perhaps another translation
    SIMILAR = 2  # most letters, some words exchanged
    PART = 3  # one is the other cut short, or with a subtitle or translation added
    CLOSE = 4  # but for typing
    EQUAL = 5


class Authors(enum.IntEnum):
    """How far the authors of two records agree."""

    OTHER = 0
    UNKNOWN = 1
    SOME = 2  # the first, or half of them
    SAME = 3  # the first, and most others


class Finding(NamedTuple):
    """What a comparison of two records says."""

    strength: int  # 3 and more sure: 5 an identifier, 4 a place or an abstract, 3 the rest; 0 maybe
    why: str
    tolerates: frozenset[str]  # fields in which the two's groups may differ nevertheless


IDENTIFIED, PLACED, DESCRIBED, MAYBE = 5, 4, 3, 0
NOTHING: frozenset[str] = frozenset()
ANY_PLACE = frozenset({"volume", "page"})


class Pair:
    """What two records have in common and what contradicts; the costly parts are made on demand."""

    __slots__ = (
        "a",
        "b",
        "other_doi",
        "title",
        "numbers_clash",
        "numbers_added",
        "authors",
        "volume",
        "page",
        "years_apart",
        "_journal",
        "_abstract",
        "_difference",
    )

    def __init__(self, a: Described, b: Described, title: Title) -> None:
        self.a, self.b, self.title = a, b, title
        self.other_doi = compare_values(a.doi, b.doi) == -1
        self.numbers_clash, self.numbers_added = _compare_numbers(a.numbers, b.numbers)
        self.authors = _compare_authors(a, b)
        self.volume = compare_values(a.volume, b.volume)
        self.page = compare_pages(a.pages, b.pages)
        self.years_apart = 0 if a.year is None or b.year is None else abs(a.year - b.year)
        self._journal: int | None = None
        self._abstract: int | None = None
        self._difference: Difference | None = None

    @property
    def journal(self) -> int:
        """1 the same, -1 another, 0 unknown; so are `volume`, `page`, `abstract` and `kind`."""
        if self._journal is None:
            self._journal = _compare_journals(self.a.journal, self.b.journal)
        return self._journal

    @property
    def abstract(self) -> int:
        if self._abstract is None:
            self._abstract = _compare_abstracts(self.a, self.b)
        return self._abstract

    @property
    def one_abstract(self) -> bool:
        """Whether all the long words of the shorter abstract are in the other."""
        if self.abstract != 1:
            return False
        one, other = (frozenset(array("I", d.abstract)) for d in (self.a, self.b))
        return one <= other or other <= one

    @property
    def difference(self) -> Difference:
        """What the two titles say differently."""
        if self._difference is None:
            self._difference = difference(self.a.title, self.b.title)
        return self._difference

    @property
    def opposed(self) -> bool:
        """Whether the titles are alike but say opposite things, as those of companion papers do: never surely one."""
        if self.a.signs and self.b.signs and self.a.signs != self.b.signs:
            return True  # "CD4+" and "CD4-", "< 65" and "> 65"
        if self.title is Title.PART and self.a.language != self.b.language:
            return False  # a title and its translation
        alike = self.title in (Title.SIMILAR, Title.PART) or (
            self.title is Title.LOOSE and _share_words(self.a, self.b)
        )
        return alike and self.difference is Difference.MEANING

    @property
    def same_place(self) -> bool:
        """Whether both have one volume, or one issue of a journal that counts no volumes, and one first page."""
        if self.page != 1 or self.volume == -1:
            return False
        return self.volume == 1 or (self.a.issue == self.b.issue != "" and self.journal == 1)

    @property
    def same_range(self) -> bool:
        """Whether both are on the same pages of a volume, more than one: no room for two articles."""
        last = self.a.pages.last
        return self.same_place and last == self.b.pages.last != "" and last not in self.a.pages.first

    @property
    def same_issue(self) -> bool:
        return self.volume == 1 and self.a.issue == self.b.issue != "" and self.journal == 1

    @property
    def other_issue(self) -> bool:
        """Whether the two are in two issues of one volume, or of one journal and year where the volume is not known."""
        if self.a.issue == self.b.issue or not (may_be_issue(self.a.issue) and may_be_issue(self.b.issue)):
            return False
        if self.a.issue.isdigit() != self.b.issue.isdigit():
            return False  # a number and a month may be one issue
        return self.volume == 1 or (self.volume == 0 and self.same_year and self.journal == 1)

    @property
    def other_place(self) -> bool:
        return self.volume == -1 or self.page == -1

    @property
    def same_year(self) -> bool:
        return self.years_apart == 0 and self.a.year is not None and self.b.year is not None

    @property
    def other_journal(self) -> bool:
        """Whether a congress abstract and its article are likelier than one journal under two names."""
        has_place = any(d.volume or d.pages != Pages() for d in (self.a, self.b))
        return self.journal == -1 and self.page != 1 and has_place

    @property
    def kind(self) -> int:
        kinds = {self.a.kind, self.b.kind}
        if len(kinds) == 1 or kinds == {"", "other"}:
            return 1
        return 0 if kinds in ({"", "abstract"}, {"", ENTRY}) else -1


def compare(a: Described, b: Described) -> Finding | None:
    """Tell whether two records are copies; None when they are not, or nothing says so."""
    same_pmid = compare_values(a.pmid, b.pmid)
    other_entry = compare_values(a.registration, b.registration) == -1
    if same_pmid == -1 or (other_entry and are_of_one_register(a.registration, b.registration)):
        return None
    if a.is_notice != b.is_notice and not same_pmid:
        return None
    same_doi = compare_values(a.doi, b.doi) == 1
    same_entry = a.registration == b.registration != ""
    title = compare_titles(a, b)
    if title is not Title.EQUAL and not (same_pmid or same_doi or same_entry):
        # Most comparisons end here.
        if title < Title.SIMILAR and not _may_be_under_another_title(a, b):
            return None
        if _compare_authors(a, b) is Authors.OTHER:
            return None
    pair = Pair(a, b, title)
    if same_pmid:
        return _by_pmid(pair)
    if same_doi and (found := _by_doi(pair)) is not None:
        return found
    if same_entry and pair.authors is not Authors.OTHER:
        return _by_registration(pair)
    why = _surely_equal(pair) if title is Title.EQUAL else _surely_similar(pair)
    if why is None:
        why = _perhaps_equal(pair) if title is Title.EQUAL and a.telling else _perhaps_similar(pair)
        return None if why is None else Finding(MAYBE, why, NOTHING)
    if pair.same_place:
        return Finding(PLACED, why, frozenset({"doi"}) if pair.abstract == 1 else NOTHING)
    tolerated = frozenset({"page"}) if pair.page == -1 else NOTHING
    return Finding(PLACED if pair.abstract == 1 else DESCRIBED, why, tolerated)


def _may_be_under_another_title(a: Described, b: Described) -> bool:
    """Tell whether two records of unlike titles are worth a comparison: one may be translated."""
    if a.beginning == b.beginning != "":
        return True
    same_page = compare_pages(a.pages, b.pages) == 1
    if a.volume == b.volume != "":
        return same_page or (a.issue == b.issue != "" and _is_translation(a, b))
    return same_page and a.year == b.year and _is_translation(a, b)


def _by_registration(pair: Pair) -> Finding:
    # A trial has a public title and a scientific one.
    agree = pair.title is Title.EQUAL or (pair.title >= Title.SIMILAR and not pair.opposed and not pair.numbers_clash)
    if agree:
        return Finding(DESCRIBED, _REGISTRATION, NOTHING)
    return Finding(MAYBE, "same trial registration, but another title", NOTHING)


def _titles_agree(pair: Pair) -> bool:
    """Tell whether two titles under one identifier may be one: "Part 1" and "Part 2" may not."""
    if not (pair.a.letters and pair.b.letters):
        return True
    return not pair.numbers_clash and (
        pair.title >= Title.SIMILAR or (pair.title is Title.LOOSE and _share_words(pair.a, pair.b))
    )


def _apart(pair: Pair) -> bool:
    return pair.authors is Authors.OTHER or pair.years_apart > 1 or pair.other_place


def _by_pmid(pair: Pair) -> Finding | None:
    if pair.opposed:
        return Finding(MAYBE, f"{_PMID}, {_against(pair)}", NOTHING)
    if _titles_agree(pair) or not (pair.other_doi or _apart(pair)):
        return Finding(IDENTIFIED, _PMID, ANY_PLACE | {"doi"})
    # One that went astray in a spreadsheet: nothing else agrees.
    astray = pair.other_doi and pair.authors < Authors.SOME
    return None if astray else Finding(MAYBE, f"{_PMID}, {_against(pair)}", NOTHING)


def _by_doi(pair: Pair) -> Finding | None:
    # The abstracts of a congress may have the DOI of their supplement.
    one_place = pair.same_range and pair.authors is Authors.SAME
    another_word = pair.title is Title.SIMILAR and is_one_word_exchanged(pair.a.title, pair.b.title)
    if pair.opposed or (another_word and not one_place):
        return Finding(MAYBE, f"{_DOI}, {_against(pair)}", NOTHING)
    if _titles_agree(pair) or one_place:
        return Finding(IDENTIFIED, _DOI, ANY_PLACE)
    against = (pair.authors is Authors.OTHER, pair.years_apart > 1, pair.other_place)
    if sum(against) > (0 if pair.a.shares_doi else 1) or (pair.numbers_clash and pair.title >= Title.SIMILAR):
        return None
    # A supplement's DOI, or a title in two languages.
    enough = pair.same_place or pair.authors is Authors.SAME or not pair.a.shares_doi
    return Finding(MAYBE, f"{_DOI}, {_against(pair)}", NOTHING) if enough else None


def _is_contradicted(pair: Pair) -> bool:
    """Tell whether something forbids that two records without a common identifier surely are one."""
    if pair.other_doi and not (pair.same_place and pair.abstract == 1 and pair.title is Title.EQUAL):
        return True
    # A column that appears in every issue has one title, one author and often one page.
    if pair.opposed or pair.other_issue or compare_values(pair.a.registration, pair.b.registration) == -1:
        return True
    return pair.other_place or pair.other_journal or pair.abstract == -1 or (pair.kind != 1 and not pair.same_place)


def _surely_equal(pair: Pair) -> str | None:
    """Say why two records of one title surely are one; None when that is not sure."""
    a, authors = pair.a, pair.authors
    agree = authors is Authors.SAME and a.telling and not (pair.other_doi or pair.other_issue or pair.opposed)
    if agree and pair.years_apart <= 1:
        if pair.same_range:
            return _TITLE_PLACE  # though one abstract may be in another language
        if pair.same_issue and pair.kind == 1 and pair.abstract != -1 and (pair.page == 0 or pair.same_year):
            return _TITLE_ISSUE  # one has its pages, or its year, wrong
    if _is_contradicted(pair) or (pair.years_apart > 1 and not (pair.same_range and pair.abstract == 1)):
        return None
    if not a.telling:
        # Of a title such as "Reply", a column may hold several by others.
        same_first = a.first_author[:1] == pair.b.first_author[:1]
        if pair.same_place and same_first and (pair.journal != -1 or not a.generic):
            return _TITLE_PLACE
        if pair.abstract == 1 and authors >= Authors.SOME:
            return _TITLE_ABSTRACT
        in_volume = pair.same_year and pair.volume == 1 and pair.journal == 1
        return _TITLE_AUTHOR if in_volume and authors is Authors.SAME and not a.generic else None
    if pair.same_place:
        return _TITLE_PLACE
    if pair.abstract == 1 and (pair.years_apart == 0 or (pair.journal == 1 and pair.one_abstract)):
        return _TITLE_ABSTRACT
    if pair.same_year and authors >= Authors.SOME:
        return _TITLE_AUTHOR
    distinctive = authors is Authors.UNKNOWN and len(a.letters) >= _LONG_TITLE
    return _TITLE_YEAR if distinctive and pair.same_year and 1 in (pair.journal, pair.page) else None


def _surely_similar(pair: Pair) -> str | None:
    """Say why two records of two titles surely are one; None when that is not sure."""
    a, b, title = pair.a, pair.b, pair.title
    if a.generic or b.generic or pair.authors < Authors.SOME or pair.years_apart > 1 or _is_contradicted(pair):
        return None
    # Pages of a volume hold one article, but for the titles of companion papers: a word of one is another in the other.
    may_be_one = title is Title.CLOSE or not is_one_word_exchanged(a.title, b.title)
    if (
        pair.same_range
        and pair.authors is Authors.SAME
        and may_be_one
        and (title >= Title.SIMILAR or (pair.journal == 1 and (pair.same_issue or _is_translation(a, b))))
    ):
        return _CLOSE_PLACE if title >= Title.PART else _PLACE_AUTHORS
    overlap = pair.page == 0 and a.pages.first and b.pages.first
    if overlap and pair.same_issue and pair.same_year and pair.authors is Authors.SAME and title >= Title.PART:
        return None if pair.numbers_clash or pair.numbers_added or _is_another_report(a, b) else _CLOSE_ISSUE
    if pair.numbers_clash or pair.numbers_added:
        return _CLOSE_PLACE if pair.same_range and title is Title.PART else None
    # Two abstracts of a congress may be on one page.
    in_supplement = a.pages.in_supplement or b.pages.in_supplement
    if pair.same_place and (title is Title.CLOSE or (title is Title.PART and not in_supplement and may_be_one)):
        return _CLOSE_PLACE
    if pair.authors is not Authors.SAME or _is_another_report(a, b):
        return None
    # The abstract of a companion paper is like its sister's, but says what the title says.
    if title >= Title.PART and pair.one_abstract and pair.journal == 1:
        return _ABSTRACT_AUTHORS
    near = pair.journal == 1 or pair.page == 1
    return _CLOSE_JOURNAL if title is Title.CLOSE and pair.same_year and near else None


def _perhaps_equal(pair: Pair) -> str | None:
    """Say what speaks for and against two records of one telling title, where a person must decide."""
    strong = pair.same_place or pair.abstract == 1
    if (not strong and (pair.other_doi or pair.kind == -1)) or (pair.abstract == -1 and not pair.same_place):
        return None
    # Two comments on one article are two records, and so are a congress abstract and its article, or an article
    # in two journals; a journal under another name keeps its volumes, an updated review its number.
    if pair.authors is Authors.OTHER and pair.other_place:
        return None
    one_congress = pair.a.in_proceedings and pair.b.in_proceedings and pair.authors is Authors.SAME and pair.kind == 1
    if (pair.volume, pair.page, pair.journal).count(-1) > 1 and pair.volume != 1 and not one_congress:
        return None
    in_time = pair.years_apart <= 1 and (pair.authors >= Authors.SOME or strong or pair.journal == 1)
    no_year = pair.a.year is None or pair.b.year is None
    # Where the year is missing, the authors may be as wrong as the rest of the record.
    unknown = pair.authors is Authors.UNKNOWN or (no_year and len(pair.a.letters) >= 1.5 * _LONG_TITLE)
    distinctive = unknown and (pair.same_year or no_year) and len(pair.a.letters) >= _LONG_TITLE
    updated = pair.page == 1 and pair.journal == 1
    return f"{_for(pair)}, {_against(pair)}" if in_time or distinctive or updated else None


def _perhaps_similar(pair: Pair) -> str | None:
    """Say what speaks for and against two records of two titles, or short ones, where a person must decide."""
    a, b, title = pair.a, pair.b, pair.title
    strong = pair.same_place or pair.abstract == 1
    is_translation = title < Title.SIMILAR and _is_translation(a, b)
    in_two_languages = is_translation and pair.same_place  # and so may be the abstracts
    if pair.abstract == -1 and not in_two_languages:
        return None
    if (pair.other_doi and not pair.same_place) or (pair.kind == -1 and not strong):
        return None
    if (pair.years_apart > 1 or pair.numbers_clash) and not pair.same_place:
        return None
    contradictions = sum(
        (pair.other_place, pair.other_issue, pair.years_apart > 0, pair.numbers_added, pair.journal == -1)
    )
    if contradictions > 1 or (pair.volume == -1 and pair.page == -1):
        return None
    same_authors = pair.authors is Authors.SAME
    some_place = pair.volume == 1 or pair.page == 1
    if not (a.letters and b.letters):
        enough = pair.same_place and pair.authors >= Authors.SOME
    elif a.generic or b.generic:
        enough = False
    elif title is Title.EQUAL:
        enough = same_authors
    elif title >= Title.PART:
        near = some_place or (not _is_another_report(a, b) and (pair.abstract == 1 or pair.journal >= 0))
        enough = pair.authors >= Authors.SOME and near
    elif title is Title.SIMILAR:
        # A congress is in the volume of its year or of the year after.
        in_volume = contradictions == int(pair.years_apart > 0 and pair.volume == 1)
        near = strong or (in_volume and pair.journal == 1 and some_place)
        enough = (same_authors and near) or pair.same_place
    else:
        # Two abstracts of a congress may be on one page.
        in_supplement = a.pages.in_supplement or b.pages.in_supplement
        enough = title is Title.LOOSE and pair.same_place and not in_supplement
        if same_authors and not enough:
            enough = (
                pair.same_range
                or (pair.abstract == 1 and not pair.other_place)
                or (is_translation and pair.page == 1 and pair.same_year and not in_supplement)
                or (is_translation and pair.same_issue and pair.same_year and pair.page != -1)
            )
    return f"{_for(pair)}, {_against(pair)}" if enough else None


def _for(pair: Pair) -> str:
    titles = {
        Title.EQUAL: "same title",
        Title.CLOSE: "similar title",
        Title.PART: "one title within the other",
        Title.SIMILAR: "similar title",
        Title.LOOSE: "title somewhat alike",
    }
    named = [titles[pair.title]] if pair.title in titles else []
    if pair.same_place:
        named.append("volume and first page")
    elif pair.abstract == 1:
        named.append("abstract")
    elif pair.authors >= Authors.SOME:
        named.append("authors")
    elif pair.journal == 1:
        named.append("journal")
    return " and ".join(named)


def _against(pair: Pair) -> str:
    named = [
        name
        for name, speaks in (
            ("another title", pair.title is Title.OTHER and pair.a.letters and pair.b.letters),
            ("titles that say the opposite", pair.opposed),
            ("another DOI", pair.other_doi),
            ("another volume", pair.volume == -1),
            ("another issue", pair.other_issue),
            ("other pages", pair.page == -1),
            ("another year", pair.years_apart > 0),
            ("other authors", pair.authors is Authors.OTHER),
            ("another type", pair.kind == -1),
            ("another journal", pair.journal == -1),
            ("other numbers in the title", pair.numbers_clash or pair.numbers_added),
        )
        if speaks
    ]
    return "but " + " and ".join(named[:3]) if named else "but too little else is known"


def compare_titles(a: Described, b: Described) -> Title:
    """Say how close two titles are."""
    if a.letters == b.letters:
        return Title.EQUAL if a.letters else Title.OTHER
    shorter, longer = (a, b) if len(a.letters) <= len(b.letters) else (b, a)
    if not shorter.letters:
        return Title.OTHER
    ratio = fuzz.ratio(a.letters, b.letters, score_cutoff=50)
    if ratio >= 90 and difference(a.title, b.title) is Difference.SPELLING:
        return Title.CLOSE
    n = len(shorter.letters)
    if shorter.telling and n < 0.95 * len(longer.letters):
        if longer.letters.startswith(shorter.letters) or (
            fuzz.ratio(longer.letters[:n], shorter.letters, score_cutoff=95)
            and is_beginning(shorter.title, longer.title)
        ):
            return Title.PART
        # Titles are cut at their end; at the beginning a whole title in another language is put, and no word or two.
        put_before = len(longer.letters) - n
        if put_before >= LEAST_TITLE and longer.letters.endswith(shorter.letters):
            return Title.PART
    if ratio >= 75:
        return Title.SIMILAR
    return Title.LOOSE if ratio else Title.OTHER


def _share_words(a: Described, b: Described) -> bool:
    words_a, words_b = set(a.title.split()), set(b.title.split())
    return len(words_a & words_b) >= 0.6 * len(words_a | words_b)


def _is_another_report(a: Described, b: Described) -> bool:
    return not _ANOTHER_REPORT.isdisjoint(set(a.title.split()) ^ set(b.title.split()))


def _compare_numbers(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[bool, bool]:
    """Tell whether each title has a number that the other lacks, and whether only one has."""
    if one == other:
        return False, False
    of_one, of_other = (bool(_less(x, y)) for x, y in ((one, other), (other, one)))
    return of_one and of_other, of_one != of_other


def _less(one: Sequence[str], other: Sequence[str]) -> list[str]:
    left, less = list(other), []
    for n in one:
        if n in left:
            left.remove(n)
        else:
            less.append(n)
    return less


def _compare_authors(a: Described, b: Described) -> Authors:
    if not a.families or not b.families:
        return Authors.UNKNOWN
    same_first = _same_name(a.first_author, b.first_author)
    shared, fewer = len(a.families & b.families), min(len(a.families), len(b.families))
    if same_first and max(shared, 1) >= 0.6 * fewer:
        return Authors.SAME
    return Authors.SOME if same_first or shared >= 0.5 * fewer else Authors.OTHER


def _same_name(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    # "Giorgi, Rossi P" and "Giorgi Rossi, P"; "Wei, Li" and "Li, Wei"; "Ostensson" and "Stensson".
    return (
        one[0] == other[0]
        or one[0] in other
        or other[0] in one
        or bool(min(len(one[0]), len(other[0])) > 3 and fuzz.ratio(one[0], other[0], score_cutoff=80))
    )


def may_be_issue(issue: str) -> bool:
    """Tell whether an issue's number may be one: past a weekly's it counts something else, such as an export's rows."""
    return bool(issue) and (not issue.isdigit() or (len(issue) < 3 and int(issue) <= 52))


def _is_translation(a: Described, b: Described) -> bool:
    """Tell whether two titles may be one in two languages: two that are in English are two titles."""
    return (a.language == "other") != (b.language == "other") or a.is_translated != b.is_translated


def compare_values(one: str, other: str) -> int:
    """Return 1 where two values are equal, -1 where they differ, 0 where one of them is missing."""
    return 0 if not one or not other else 1 if one == other else -1


def compare_pages(a: Pages, b: Pages) -> int:
    """Return 1 where two records begin on one page or have one article number, -1 where not, 0 where unknown."""
    if a.first and b.first:
        return 1 if not set(a.first).isdisjoint(b.first) else _compare_ranges(a, b)
    if a.article and b.article:
        return 1 if a.article == b.article else -1
    # An article number and printed pages may be one's two places.
    return 1 if (a.article and a.article in b.first) or (b.article and b.article in a.first) else 0


def _compare_ranges(a: Pages, b: Pages) -> int:
    (first_a, last_a), (first_b, last_b) = ((int(p.first[0]), int(p.last or p.first[0])) for p in (a, b))
    common = min(last_a, last_b) - max(first_a, first_b) + 1
    # "488" of 487-488 is where its summary is; and two articles have no more than one page in common.
    if common == 1 and "" in (a.last, b.last):
        return 1
    # An article ahead of print, or with a number for pages, is counted from 1.
    own_count = (first_a == 1 < last_a) != (first_b == 1 < last_b)
    return 0 if common > 1 or own_count else -1


@lru_cache(maxsize=1 << 14)
def _compare_journals(one: tuple[tuple[str, ...], ...], other: tuple[tuple[str, ...], ...]) -> int:
    if not one or not other:
        return 0
    return 1 if any(_is_abbreviation(x, y) for x in one for y in other) else -1


def _is_abbreviation(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Tell whether two names of a journal are one, or one the other abbreviated."""
    shorter, longer = sorted((one, other), key=len)
    if "".join(one) == "".join(other) or "".join(shorter) == "".join(w[0] for w in longer):
        return True
    # "J Trop Pediatr" and "Journal of Tropical Pediatrics": each word begins one of the other, in order.
    rest = iter(longer)
    abbreviates = all(any(w.startswith(s) or s.startswith(w) for w in rest) for s in shorter)
    return (abbreviates and len(shorter) >= 0.6 * len(longer)) or fuzz.ratio("".join(one), "".join(other)) >= 85


def _compare_abstracts(a: Described, b: Described) -> int:
    if a.abstract == b.abstract:
        return 1 if len(a.abstract) >= 4 * _LEAST_WORDS else 0
    words_a, words_b = (frozenset(array("I", d.abstract)) for d in (a, b))
    fewer = min(len(words_a), len(words_b))
    if fewer < _LEAST_WORDS:
        return 0
    common = len(words_a & words_b) / fewer
    return 1 if common >= 0.85 else -1 if common < 0.5 else 0
