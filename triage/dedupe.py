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
import html
import re
import zlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from rapidfuzz import fuzz

from .records import Record, normal_title

# Why two records surely are one, as the log says it.
_PMID = "same PMID"
_DOI = "same DOI"
_TITLE_ABSTRACT = "same title and abstract"
_TITLE_PLACE = "same title, volume and first page"
_TITLE_ISSUE = "same title, authors and issue of a journal"
_TITLE_AUTHOR = "same title, year and first author"
_TITLE_YEAR = "same title, year and journal or first page"
_CLOSE_PLACE = "similar title, same volume, first page and first author"
_CLOSE_JOURNAL = "similar title, same year, authors and journal or first page"
_PLACE_AUTHORS = "same volume, pages, year and authors"
_ABSTRACT_AUTHORS = "same abstract and authors, similar title"

_LEAST_TITLE = 20           # letters of a title that may speak for itself
_LONG_TITLE = 40            # letters of a title that hardly anyone uses twice
_SMALL_BLOCK = 10           # up to so many records that share a key, each is compared with each
_NEIGHBOURS = 6             # in a larger block, each with so many that follow it in the order of titles
_SHARED_DOI = 8             # more titles under one DOI: it is then no identifier but a supplement's
_SHARED_TITLE = 8           # more years and places of one title: it then says nothing, as "Editorial" does
_LONGEST_TITLE = 1000       # characters of a title that are looked at
_LONGEST_NAME = 1000        # characters of an author or a journal that are looked at
_MOST_AUTHORS = 12
_LONGEST_PLACE = 100        # characters of a volume or of pages that are looked at
_SKETCHED = 3000            # characters of an abstract that its sketch covers
_LONG_WORD = 6              # letters of a word that counts where abstracts are compared
_LEAST_WORDS = 8            # such words of an abstract that identify it

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
# What databases put behind a title: "[Review] [45 refs]", "[Chinese]", "[Erratum appears in ... [...]]",
# "(Provisional abstract)", ": Original article".
_INNER = r"(?:[^\[\]]|\[[^\[\]]*\])*"
_MARK = re.compile(
    rf"[.\s]*(?:\[(?={_INNER}\b(?:review|letter|editorial|comment|abstract|refs?|references|published|errat\w+"
    rf"|corrigendum|corrected|retraction|retracted|process citation)\b){_INNER}\]|\[[a-z]{{4,}}\]"
    r"|\((?:(?:[a-z]+ )?(?:abstract|record)|review|letter|editorial|comment)\)"
    r"|:\s*original (?:article|paper|research))\W*$", re.IGNORECASE)
_MARK_ENDS = frozenset("])erhERH")     # the letters with which a mark ends: most titles need no search for one
_RETRACTED = re.compile(r"\W*(?:retracted(?: article)?|withdrawn)\W+", re.IGNORECASE)
_NOTICE = re.compile(
    r"\W*(?:(?:author(?:'s|s)? )?(?:correction|reply|response)|errat(?:um|a)|corrigend(?:um|a)|addendum"
    r"|retraction|expression of concern|comment(?:ary|s)?|letter|editorial|re)"
    r"(?:\s*[:.\]\u2013\u2014]|\s+-\s|\s+(?:to|on|for|regarding)\b)", re.IGNORECASE)
_NOTICE_END = re.compile(
    r"[-:.\u2013\u2014(\[]\s*(?:the )?(?:author\W{0,2}s?\W{0,2} )?(?:reply|response|rebuttal|correction|corrigendum"
    r"|erratum|expression of concern)\W*$|\((?:vol\b|volume\b|v)[^()]*\b\d{4}\)\W*$", re.IGNORECASE)
_ERRATUM = re.compile(
    r"\W*(?:(?:author(?:'s|s)? )?correction|errat(?:um|a)|corrigend(?:um|a))"
    r"(?:\s*[:.\]\u2013\u2014]|\s+-\s|\s+(?:to|for)\b:?)\s*", re.IGNORECASE)
# Web of Science's way to name an erratum: "... (vol 33, pg 717, 2019)".
_ERRATUM_END = re.compile(r"\s*\((?:vol\b|volume\b|v)[^()]*\b\d{4}\)\W*$", re.IGNORECASE)
_NOTICE_TYPES = re.compile(
    r"\b(?:errat(?:um|a)|corrigend(?:um|a)|correction|retraction (?:of publication|notice)"
    r"|expression of concern)\b", re.IGNORECASE)
_ABSTRACT_TYPES = re.compile(r"\b(?:conference|meeting|congress) abstract\b", re.IGNORECASE)
_PREPRINT = re.compile(
    r"\b(?:preprints?|(?:bio|med|psy|ar|chem|soc|edu?)a?r?xiv|ssrn|research square|osf)\b", re.IGNORECASE)
# bioRxiv and medRxiv share 10.1101 with journals.
_PREPRINT_DOI = re.compile(
    r"10\.(?:1101/(?:\d{4}\.\d\d\.\d\d\.)?\d{6,}|(?:2139|20944|21203|31219|31234|31235|48550)/)")
_GENERIC = re.compile(
    r"(?:a |an |the )?(?:abstracts?|announcements?|authors? |book reviews?|comment|correction|correspondence"
    r"|editorial|errat|foreword|from the|guest editor|in memoriam|in this issue|introduction|letters?|news"
    r"|obituary|preface|proceedings|program|reply|response|special issue|table of contents|this issue)")
# What one of two publications of a study has in its title: a protocol and its trial are two records.
_ANOTHER_REPORT = frozenset(
    "protocol protocols rationale design pilot feasibility follow followup update updated extension part interim "
    "secondary subgroup baseline reply comment commentary letter corrigendum erratum correction response preliminary "
    "final term supplement appendix abstract poster cost costs economic".split())
# A trial's registration stands where an article has its journal.
_REGISTRATION = re.compile(
    r"(?:NCT|ISRCTN|ACTRN|DRKS|ChiCTR|CTRI|EUCTR|IRCT|JPRN|KCT|PACTR|UMIN)[-/\w]*\d{4,}[-/\w]*", re.IGNORECASE)
_INITIALS = re.compile(r"[^\W\d_]\.?|[A-Z]{2,3}|[A-Z]\.?-[A-Z]\.?")
_NO_NAMES = frozenset({"anonymous", "anon", "al", "none", "unknown", "na"})
_SUFFIXES = frozenset({"jr", "sr", "ii", "iii", "iv", "2nd", "3rd"})
_GREEK = str.maketrans({
    "\u03b1": " alpha ", "\u03b2": " beta ", "\u03b3": " gamma ", "\u03b4": " delta ", "\u03b5": " epsilon ",
    "\u03ba": " kappa ", "\u03bb": " lambda ", "\u00b5": " mu ", "\u03bc": " mu ", "\u03c9": " omega ",
})
# Lower case, and a blank for all but letters and digits: for ASCII, ten times as fast as `normal_title`.
_ASCII_LETTERS = bytes(ord(c.lower()) if c.isalnum() else 32 for c in map(chr, range(128))) + bytes(128)
_DIGITS = re.compile(r"\d{1,9}")
# "Phase II", "phase 2" and "phase two"; alone, "i", "v" and "x" are letters.
_CARDINALS = {
    word: str(i) for words in (
        ("", "ii", "iii", "iv", "", "vi", "vii", "viii", "ix"),
        ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    ) for i, word in enumerate(words, 1) if word
}
_ORDINALS = {word: str(i) for i, word in enumerate(("first", "second", "third", "fourth", "fifth"), 1)}
_LETTERS = {"i": "1", "v": "5", "x": "10"}
_COUNTED = frozenset({"part", "study", "experiment", "trial", "paper", "report", "group", "appendix", "chapter"})
_SMALL_WORDS = frozenset(
    "a an the of and or in on for to with by from at as is are "
    "la le les de des der die das und et en el del di il".split())
_LONG_WORDS = re.compile(rf"[^\W_]{{{_LONG_WORD},}}")
_HEADING = re.compile(
    r"\W*(?:abstract|summary)?\W*(?:background|objectives?|introduction|aims?|purpose|importance|context)?"
    r"(?:\W+(?:and|/|&)\W+(?:objectives?|aims?|purpose|hypothesis))?\W*:?\s*", re.IGNORECASE)

_FIELDS = {
    "volume": ("vl", "vi", "volume", "journalvolume", "v", "vol"),
    "page": ("sp", "pg", "bp", "pages", "page", "pagestart", "startpage", "beginningpage", "firstpage", "p"),
    "last page": ("ep", "endpage", "pageend", "endingpage", "lastpage"),
    "issue": ("is", "ip", "issue", "number", "journalissue", "n"),
}
_FIELD_OF = {name: field for field, names in _FIELDS.items() for name in names}
_PAGES = re.compile(
    r"\W*(?:pp?\b\.?|pages?\b)?\s*(?P<prefix>[A-Za-z]{0,6})(?P<first>\d{1,9})(?P<suffix>[A-Za-z]?)"
    r"(?:\s*[-\u2010-\u2015\u2212]+\s*[A-Za-z]*(?P<last>\d{1,9}))?")
_LENGTH = re.compile(r"\s*\d+\s*(?:p(?:p|ages)?\.?|page\(s\))\s*", re.IGNORECASE)
_MONTH = re.compile(r"\s*\d{1,4}-[A-Z][a-z]{2}\s*|\s*[A-Z][a-z]{2}-\d{1,4}\s*")


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
    described = sorted(map(_describe, records), key=_Described.place_in_order)
    findings = _findings(described)
    groups = _Groups(described, apart)
    maybes = _join_sure(groups, findings)
    links = [Link(copy, kept, True, why) for copy, kept, why in groups.links()]
    return links + [Link(copy, kept, False, why) for (kept, copy), why in _questions(groups, maybes)]


# -- for the person who decides ---------------------------------------------------------------


class Agreement(enum.StrEnum):
    """How a field of two records compares."""

    SAME = "same"           # but for the way it is written
    ALIKE = "alike"
    DIFFERENT = "different"
    ONE = "only one"        # of the two has it


@dataclass(frozen=True, slots=True)
class FieldPair:
    """A field of two records: its name, what each says as imported, and how the two compare."""

    name: str
    kept: str
    copy: str
    agreement: Agreement


def side_by_side(kept: Record, copy: Record) -> list[FieldPair]:
    """Compare two records field by field, as `find_duplicates` reads them; what both lack is left out."""
    a, b = _describe(kept), _describe(copy)
    pair = _Pair(a, b, _compare_titles(a, b))
    title = {_Title.EQUAL: 1, _Title.OTHER: -1, _Title.LOOSE: -1}.get(pair.title, 0)
    authors = {_Authors.OTHER: -1}.get(pair.authors, 1 if a.families == b.families else 0)
    places = _places(kept.extra), _places(copy.extra)
    shown = [
        ("title", kept.title, copy.title, title),
        ("authors", "; ".join(kept.authors), "; ".join(copy.authors), authors),
        ("year", str(kept.year or ""), str(copy.year or ""), 1 if kept.year == copy.year else -1),
        ("journal", kept.journal, copy.journal, pair.journal),
        *((name, *("; ".join(place.get(field, ())) for place in places), verdict) for name, field, verdict in (
            ("volume", "volume", pair.volume), ("issue", "issue", _compare_values(a.issue, b.issue)),
            ("pages", "page", pair.page), ("last page", "last page", _compare_values(a.pages.last, b.pages.last)),
        )),
        *((name, one, other, 1 if one.casefold() == other.casefold() else -1) for name, one, other in (
            ("DOI", kept.doi, copy.doi), ("PMID", kept.pmid, copy.pmid), ("type", kept.type, copy.type),
            ("language", kept.language, copy.language), ("source", kept.source, copy.source),
        )),
        ("abstract", kept.abstract, copy.abstract, pair.abstract),
    ]
    named = {1: Agreement.SAME, 0: Agreement.ALIKE, -1: Agreement.DIFFERENT}
    return [
        FieldPair(name, one, other, named[1 if one == other else verdict] if one and other else Agreement.ONE)
        for name, one, other, verdict in shown if one or other
    ]


# -- what is compared -------------------------------------------------------------------------


@dataclass(slots=True)
class _Described:
    """The normal forms of a record."""

    id: int
    title: str                      # words
    letters: str                    # the title without blanks: "well-being", "wellbeing", "H 2 O"
    numbers: tuple[str, ...]        # that the title holds, "part II" and "part B" too
    generic: bool                   # "Editorial", "Reply": a title that says nothing
    telling: bool                   # whether few other records can have this title
    first_author: tuple[str, ...]   # the words of the first author's name, family name first
    families: frozenset[str]
    year: int | None
    journal: tuple[tuple[str, ...], ...]    # the words of its name, and of its name without a subtitle
    volume: str
    issue: str
    pages: _Pages
    doi: str
    pmid: str
    abstract: bytes                 # sketch: hashes of its long words
    beginning: str                  # of the abstract
    is_notice: bool                 # an erratum, a reply, ... of the article whose title it bears
    kind: str                       # "abstract" of a congress, "preprint", "other"; "" when not told
    registration: str               # of a trial
    at: int = 0

    def place_in_order(self) -> tuple:
        return (self.letters, self.first_author, self.year or 0, self.volume, self.pages, self.doi, self.pmid,
                self.abstract, self.journal, self.issue, self.kind, self.is_notice, sorted(self.families), self.id)


class _Pages(NamedTuple):
    """Where an article stands: the first pages of its ranges, the last of the first, an article number."""

    first: tuple[str, ...] = ()
    last: str = ""
    article: str = ""
    in_supplement: bool = False


def _describe(record: Record) -> _Described:
    whole_title = record.title[:_LONGEST_TITLE]
    words = [_CARDINALS.get(word, word) for word in _words(_bare_title(whole_title))]
    title, letters = " ".join(words), "".join(words)
    generic = not words or (len(words) < 8 and _GENERIC.match(title) is not None)
    extra = _places(record.extra)
    journal = record.journal[:_LONGEST_NAME]
    notice_type, kind, registration = _kind(record.type[:_LONGEST_NAME], journal)
    names = [name for author in _authors(record.authors) if (name := _name_words(author)) and name[0] not in _NO_NAMES]
    volume = _first_number(extra.get("volume", ()))
    return _Described(
        id=record.id, title=title, letters=letters, numbers=_numbers(words, letters),
        generic=generic, telling=not generic and _is_long(letters, len(words)),
        first_author=names[0] if names else (), families=frozenset(name[0] for name in names),
        year=record.year, journal=_journal_words(journal),
        volume="" if record.year is not None and volume == str(record.year) else volume,
        issue=_first_number(extra.get("issue", ())), pages=_pages(extra.get("page", ()), extra.get("last page", ())),
        doi=record.doi, pmid=record.pmid,
        abstract=_sketch(record.abstract), beginning=_beginning(record.abstract),
        is_notice=bool(_NOTICE.match(whole_title) or _NOTICE_END.search(whole_title[-60:]) or notice_type),
        kind="preprint" if kind != "abstract" and _PREPRINT_DOI.match(record.doi) else kind, registration=registration,
    )


@lru_cache(maxsize=1 << 14)
def _kind(type_: str, journal: str) -> tuple[bool, str, str]:
    """Tell from type and journal whether a record is an erratum or the like, its kind, and its registration."""
    kind = "other" if type_.strip() else ""
    if _ABSTRACT_TYPES.search(type_):
        kind = "abstract"
    elif _PREPRINT.search(type_) or _PREPRINT.search(journal):
        kind = "preprint"
    registered = _REGISTRATION.search(journal)
    return _NOTICE_TYPES.search(type_) is not None, kind, registered.group().lower() if registered else ""


def _bare_title(title: str) -> str:
    """Drop markup, "RETRACTED:", "Erratum for" and what databases put behind a title."""
    if "<" in title:
        title = _TAG.sub("", title)
    if "&" in title:
        title = html.unescape(title).replace("&", " and ")
    for prefix in (_RETRACTED, _ERRATUM):
        if found := prefix.match(title):
            title = title[found.end():]
    bare = _ERRATUM_END.sub("", title) if title[-8:].rstrip(" .").endswith(")") else title
    while bare.rstrip(" .\"'")[-1:] in _MARK_ENDS and (shorter := _MARK.sub("", bare)) != bare and shorter.strip(" ["):
        bare = shorter
    return bare


def _words(text: str) -> list[str]:
    """Split into words as `normal_title` has them, Greek letters spelt out."""
    if text.isascii():
        return text.encode("ascii").translate(_ASCII_LETTERS).decode("ascii").split()
    return normal_title(text.translate(_GREEK)).split()


def _numbers(words: Sequence[str], letters: str) -> tuple[str, ...]:
    found = _DIGITS.findall(letters)
    before = ""
    for word in words:
        if word in _ORDINALS:
            found.append(_ORDINALS[word])
        elif len(word) == 1 and before in _COUNTED and word.isalpha():
            found.append(_LETTERS.get(word, word))
        before = word
    return tuple(sorted(found))


def _is_long(letters: str, n_words: int) -> bool:
    if len(letters) >= _LEAST_TITLE and n_words >= 3:
        return True
    # Chinese and Japanese put no blanks between words, and say in a letter what takes others three.
    return sum("\u2e80" <= c <= "\ud7a3" for c in letters) >= _LEAST_TITLE // 2


def _authors(authors: Sequence[str]) -> list[str]:
    # "Smith, J and Wu, L": a table made from BibTeX.
    names = (name for author in authors[:_MOST_AUTHORS] for name in author[:_LONGEST_NAME].split(" and "))
    return list(islice(names, _MOST_AUTHORS))


@lru_cache(maxsize=1 << 16)
def _name_words(author: str) -> tuple[str, ...]:
    """Return the words of a name, the last word of the family name first.

    One for "van Berg, J A", "van Berg JA" and "J. A. van Berg".
    """
    if "," in author:
        family, _, rest = author.partition(",")
        words, others = _words(family), _words(rest)
    else:
        parts = author.replace(".", ". ").split()
        # "Smith JA Jr": capitals at the end are initials; else the family name comes last.
        others = []
        while len(parts) > 1 and (_INITIALS.fullmatch(parts[-1]) or parts[-1].strip(".").casefold() in _SUFFIXES):
            others.append(parts.pop().strip(".").casefold())
        words = _words(parts[-1]) if parts else []
        others += [word for part in parts[:-1] for word in _words(part)]
    while len(words) > 1 and words[-1] in _SUFFIXES:
        words.pop()
    if not words:
        return ()
    return (words[-1], *(w for w in (*words[:-1], *others) if len(w) > 2 and w not in _SUFFIXES))


@lru_cache(maxsize=1 << 14)
def _journal_words(journal: str) -> tuple[tuple[str, ...], ...]:
    """Return the words of a journal's name, and of its shorter forms."""
    # "CMAJ : Canadian Medical Association journal = journal de ...", "Cancer (Philadelphia)".
    short = re.split(r"\s*(?:[=(\[/|]|\s:|:\s|\.\s(?=[A-Z]\w{3}))", journal.strip(" \"'"), maxsplit=1)[0]
    # Web of Science tells namesakes apart by a place: "FIRE-SWITZERLAND".
    without_place = journal.rpartition("-")[0] if journal.isupper() else ""
    forms = dict.fromkeys(
        tuple(w for w in _words(form.replace("&", " and ")) if w not in _SMALL_WORDS)
        for form in (journal, short, without_place)
    )
    return tuple(form for form in forms if form)


def _places(extra: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, values in extra.items():
        field = _field_of(name)
        if field and field not in found:
            found[field] = values
    return found


@lru_cache(maxsize=1 << 12)
def _field_of(name: str) -> str:
    return _FIELD_OF.get("".join(c for c in name.lower() if c.isalpha()), "")


def _first_number(values: Sequence[str]) -> str:
    for value in values:
        if found := _DIGITS.search(value[:_LONGEST_PLACE]):
            return found.group().lstrip("0")
    return ""


def _pages(values: Sequence[str], ends: Sequence[str]) -> _Pages:
    """Read pages: "S417-S429", "742-8; discussion 748-9", "e12724", "233-238+230-235"."""
    first, last, article, in_supplement = [], "", "", False
    for value in (value[:_LONGEST_PLACE] for value in values):
        # "215 p" is the length of a thesis, and "01-Jun" what a spreadsheet made of 1-6.
        if _LENGTH.fullmatch(value) or _MONTH.fullmatch(value):
            continue
        for piece in re.split(r"[;,+]", value):
            found = _PAGES.match(piece)
            if found is None:
                continue
            prefix, number, end = found["prefix"], found["first"].lstrip("0"), (found["last"] or "").lstrip("0")
            is_article = not end and (
                len(number) > 5 or (prefix in ("e", "E", "CD") and len(number) > 3)
                or (len(prefix) == 1 and prefix.islower() and len(number) > 2))
            if is_article:
                article = article or number
            elif number and number not in first:
                if not first:
                    in_supplement = prefix.isupper() or found["suffix"].isupper()
                    last = number[: max(0, len(number) - len(end))] + end if end else ""
                first.append(number)
        if first or article:
            break
    if first and not last:
        end = _first_number(ends)
        last = first[0][: max(0, len(first[0]) - len(end))] + end if end else ""
    return _Pages(tuple(first), last, article, in_supplement)


def _sketch(abstract: str) -> bytes:
    """Return the hashes of an abstract's long words: enough to tell how much two have in common."""
    if not abstract:
        return b""
    text = abstract[:_SKETCHED]
    if len(text.encode("utf-8", "surrogatepass")) < 1.3 * len(text):
        words = {w for w in text.encode("ascii", "replace").translate(_ASCII_LETTERS).split() if len(w) >= _LONG_WORD}
    else:
        words = {w.encode("utf-8", "surrogatepass") for w in _LONG_WORDS.findall(text.lower())}
    return array("I", sorted(map(zlib.crc32, words))).tobytes()


def _beginning(abstract: str) -> str:
    """Return the letters with which an abstract begins, its heading left out."""
    if len(abstract) < 120:
        return ""
    text = abstract[:160]
    return re.sub(r"[\W_]+", "", text[_HEADING.match(text).end():].lower())[:50]


# -- comparing two ----------------------------------------------------------------------------


class _Title(enum.IntEnum):
    """How near two titles are."""

    OTHER = 0
    LOOSE = 1       # half of the letters: perhaps another translation
    SIMILAR = 2     # most letters, some words exchanged
    PART = 3        # one is the other cut short, or with a subtitle or translation added
    CLOSE = 4       # but for typing
    EQUAL = 5


class _Authors(enum.IntEnum):
    OTHER = 0
    UNKNOWN = 1
    SOME = 2        # the first, or half of them
    SAME = 3        # the first, and most others


class _Finding(NamedTuple):
    """What a comparison of two records says."""

    strength: int               # 3 and more sure: 5 an identifier, 4 a place or an abstract, 3 the rest; 0 maybe
    why: str
    tolerates: frozenset[str]   # fields in which the two's groups may differ nevertheless


_IDENTIFIED, _PLACED, _DESCRIBED, _MAYBE = 5, 4, 3, 0
_NOTHING: frozenset[str] = frozenset()
_ANY_PLACE = frozenset({"volume", "page"})


class _Pair:
    """What two records have in common and what contradicts; the costly parts are made on demand."""

    __slots__ = ("a", "b", "other_doi", "title", "numbers_clash", "numbers_added", "authors", "volume", "page",
                 "years_apart", "_journal", "_abstract")

    def __init__(self, a: _Described, b: _Described, title: _Title) -> None:
        self.a, self.b, self.title = a, b, title
        self.other_doi = _compare_values(a.doi, b.doi) == -1
        self.numbers_clash, self.numbers_added = _compare_numbers(a.numbers, b.numbers)
        self.authors = _compare_authors(a, b)
        self.volume = _compare_values(a.volume, b.volume)
        self.page = _compare_pages(a.pages, b.pages)
        self.years_apart = 0 if a.year is None or b.year is None else abs(a.year - b.year)
        self._journal: int | None = None
        self._abstract: int | None = None

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
    def same_place(self) -> bool:
        """Whether both have one volume, or one issue of a journal that counts no volumes, and one first page."""
        if self.page != 1 or self.volume == -1:
            return False
        return self.volume == 1 or (self.a.issue == self.b.issue != "" and self.journal == 1)

    @property
    def same_range(self) -> bool:
        """Whether both stand on the same pages of a volume, more than one: no room for two articles."""
        last = self.a.pages.last
        return self.same_place and last == self.b.pages.last != "" and last not in self.a.pages.first

    @property
    def same_issue(self) -> bool:
        return self.volume == 1 and self.a.issue == self.b.issue != "" and self.journal == 1

    @property
    def other_place(self) -> bool:
        return self.volume == -1 or self.page == -1

    @property
    def same_year(self) -> bool:
        return self.years_apart == 0 and self.a.year is not None and self.b.year is not None

    @property
    def other_journal(self) -> bool:
        """Whether a congress abstract and its article are likelier than one journal under two names."""
        has_place = any(d.volume or d.pages != _Pages() for d in (self.a, self.b))
        return self.journal == -1 and self.page != 1 and has_place

    @property
    def kind(self) -> int:
        kinds = {self.a.kind, self.b.kind}
        if len(kinds) == 1 or kinds == {"", "other"}:
            return 1
        return 0 if kinds == {"", "abstract"} else -1


def _compare(a: _Described, b: _Described) -> _Finding | None:
    """Tell whether two records are copies; None when they are not, or nothing says so."""
    same_pmid = _compare_values(a.pmid, b.pmid)
    if same_pmid == -1 or _compare_values(a.registration, b.registration) == -1:
        return None
    if a.is_notice != b.is_notice and not same_pmid:
        return None
    same_doi = _compare_values(a.doi, b.doi) == 1
    title = _compare_titles(a, b)
    if title is not _Title.EQUAL and not (same_pmid or same_doi):
        # Most comparisons end here.
        if title < _Title.SIMILAR and not (a.volume == b.volume != "" and _compare_pages(a.pages, b.pages) == 1):
            return None
        if _compare_authors(a, b) is _Authors.OTHER:
            return None
    pair = _Pair(a, b, title)
    if same_pmid:
        return _by_pmid(pair)
    if same_doi and (found := _by_doi(pair)) is not None:
        return found
    why = _surely_equal(pair) if title is _Title.EQUAL else _surely_similar(pair)
    if why is None:
        why = _perhaps_equal(pair) if title is _Title.EQUAL and a.telling else _perhaps_similar(pair)
        return None if why is None else _Finding(_MAYBE, why, _NOTHING)
    if pair.same_place:
        return _Finding(_PLACED, why, frozenset({"doi"}) if pair.abstract == 1 else _NOTHING)
    tolerated = frozenset({"page"}) if pair.page == -1 else _NOTHING
    return _Finding(_PLACED if pair.abstract == 1 else _DESCRIBED, why, tolerated)


def _titles_agree(pair: _Pair) -> bool:
    """Tell whether two titles under one identifier may be one: "Part 1" and "Part 2" may not."""
    if not (pair.a.letters and pair.b.letters):
        return True
    return not pair.numbers_clash and (
        pair.title >= _Title.SIMILAR or (pair.title is _Title.LOOSE and _share_words(pair.a, pair.b)))


def _apart(pair: _Pair) -> bool:
    return pair.authors is _Authors.OTHER or pair.years_apart > 1 or pair.other_place


def _by_pmid(pair: _Pair) -> _Finding | None:
    if _titles_agree(pair) or not (pair.other_doi or _apart(pair)):
        return _Finding(_IDENTIFIED, _PMID, _ANY_PLACE | {"doi"})
    # One that went astray in a spreadsheet: nothing else agrees.
    astray = pair.other_doi and pair.authors < _Authors.SOME
    return None if astray else _Finding(_MAYBE, f"{_PMID}, {_against(pair)}", _NOTHING)


def _by_doi(pair: _Pair) -> _Finding | None:
    if _titles_agree(pair) or (pair.same_range and pair.authors is _Authors.SAME):
        return _Finding(_IDENTIFIED, _DOI, _ANY_PLACE)
    if _apart(pair) or (pair.numbers_clash and pair.title >= _Title.SIMILAR):
        return None
    # A supplement's DOI, or a title in two languages.
    enough = pair.same_place or pair.authors is _Authors.SAME
    return _Finding(_MAYBE, f"{_DOI}, {_against(pair)}", _NOTHING) if enough else None


def _is_contradicted(pair: _Pair) -> bool:
    """Tell whether something forbids that two records without a common identifier surely are one."""
    if pair.other_doi and not (pair.same_place and pair.abstract == 1):
        return True
    return pair.other_place or pair.other_journal or pair.abstract == -1 or (pair.kind != 1 and not pair.same_place)


def _surely_equal(pair: _Pair) -> str | None:
    """Say why two records of one title surely are one; None when that is not sure."""
    a, authors = pair.a, pair.authors
    if authors is _Authors.SAME and a.telling and not pair.other_doi and pair.years_apart <= 1:
        if pair.same_range:
            return _TITLE_PLACE     # though one abstract may be in another language
        if pair.page == -1 and pair.same_issue and pair.same_year and pair.kind == 1 and pair.abstract != -1:
            return _TITLE_ISSUE     # one has its pages wrong
    if _is_contradicted(pair) or (pair.years_apart > 1 and not (pair.same_range and pair.abstract == 1)):
        return None
    if not a.telling:
        # Of a title such as "Reply", a column may hold several by others.
        same_first = a.first_author[:1] == pair.b.first_author[:1]
        if pair.same_place and same_first and (pair.journal != -1 or not a.generic):
            return _TITLE_PLACE
        if pair.abstract == 1 and authors >= _Authors.SOME:
            return _TITLE_ABSTRACT
        in_volume = pair.same_year and pair.volume == 1 and pair.journal == 1
        return _TITLE_AUTHOR if in_volume and authors is _Authors.SAME and not a.generic else None
    if pair.same_place:
        return _TITLE_PLACE
    if pair.abstract == 1 and (pair.years_apart == 0 or pair.journal == 1):
        return _TITLE_ABSTRACT
    if pair.same_year and authors >= _Authors.SOME:
        return _TITLE_AUTHOR
    alone = authors is _Authors.UNKNOWN and len(a.letters) >= _LONG_TITLE
    return _TITLE_YEAR if alone and pair.same_year and 1 in (pair.journal, pair.page) else None


def _surely_similar(pair: _Pair) -> str | None:
    """Say why two records of two titles surely are one; None when that is not sure."""
    a, b, title = pair.a, pair.b, pair.title
    if a.generic or b.generic or pair.authors < _Authors.SOME or pair.years_apart > 1 or _is_contradicted(pair):
        return None
    if pair.same_range and pair.authors is _Authors.SAME and (title >= _Title.SIMILAR or pair.journal == 1):
        return _CLOSE_PLACE if title >= _Title.PART else _PLACE_AUTHORS
    if pair.numbers_clash or pair.numbers_added:
        return _CLOSE_PLACE if pair.same_range and title is _Title.PART else None
    # Two abstracts of a congress may stand on one page.
    if pair.same_place and (title is _Title.CLOSE or (title is _Title.PART and not a.pages.in_supplement)):
        return _CLOSE_PLACE
    if pair.authors is not _Authors.SAME or _is_another_report(a, b):
        return None
    if title >= _Title.PART and pair.abstract == 1 and pair.journal == 1:
        return _ABSTRACT_AUTHORS
    near = pair.journal == 1 or pair.page == 1
    return _CLOSE_JOURNAL if title is _Title.CLOSE and pair.same_year and near else None


def _perhaps_equal(pair: _Pair) -> str | None:
    """Say what speaks for and against two records of one telling title, where a person must decide."""
    strong = pair.same_place or pair.abstract == 1
    if not strong and (pair.other_doi or pair.kind == -1) or (pair.abstract == -1 and not pair.same_place):
        return None
    # Two comments on one article are two records, and so are a congress abstract and its article, or an article
    # in two journals; a journal under another name keeps its volumes, an updated review its number.
    if pair.authors is _Authors.OTHER and pair.other_place:
        return None
    if (pair.volume, pair.page, pair.journal).count(-1) > 1 and pair.volume != 1:
        return None
    in_time = pair.years_apart <= 1 and (pair.authors >= _Authors.SOME or strong or pair.journal == 1)
    alone = pair.authors is _Authors.UNKNOWN and pair.same_year and len(pair.a.letters) >= _LONG_TITLE
    updated = pair.page == 1 and pair.journal == 1
    return f"{_for(pair)}, {_against(pair)}" if in_time or alone or updated else None


def _perhaps_similar(pair: _Pair) -> str | None:
    """Say what speaks for and against two records of two titles, or short ones, where a person must decide."""
    a, b, title = pair.a, pair.b, pair.title
    strong = pair.same_place or pair.abstract == 1
    if pair.abstract == -1 or (pair.other_doi and not pair.same_place) or (pair.kind == -1 and not strong):
        return None
    if (pair.years_apart > 1 or pair.numbers_clash) and not pair.same_place:
        return None
    contradictions = sum((pair.other_place, pair.years_apart > 0, pair.numbers_added, pair.journal == -1))
    if contradictions > 1 or (pair.volume == -1 and pair.page == -1):
        return None
    same_authors = pair.authors is _Authors.SAME
    some_place = pair.volume == 1 or pair.page == 1
    if not (a.letters and b.letters):
        enough = pair.same_place and pair.authors >= _Authors.SOME
    elif a.generic or b.generic:
        enough = False
    elif title is _Title.EQUAL:
        enough = same_authors
    elif title >= _Title.PART:
        near = some_place or (not _is_another_report(a, b) and (pair.abstract == 1 or pair.journal >= 0))
        enough = pair.authors >= _Authors.SOME and near
    elif title is _Title.SIMILAR:
        near = strong or (contradictions == 0 and pair.journal == 1 and some_place)
        enough = (same_authors and near) or pair.same_place
    else:
        # Two abstracts of a congress may stand on one page.
        enough = title is _Title.LOOSE and pair.same_place and not a.pages.in_supplement
    return f"{_for(pair)}, {_against(pair)}" if enough else None


def _for(pair: _Pair) -> str:
    titles = {_Title.EQUAL: "same title", _Title.CLOSE: "similar title", _Title.PART: "one title within the other",
              _Title.SIMILAR: "similar title", _Title.LOOSE: "title somewhat alike"}
    named = [titles[pair.title]] if pair.title in titles else []
    if pair.same_place:
        named.append("volume and first page")
    elif pair.abstract == 1:
        named.append("abstract")
    elif pair.authors >= _Authors.SOME:
        named.append("authors")
    elif pair.journal == 1:
        named.append("journal")
    return " and ".join(named)


def _against(pair: _Pair) -> str:
    named = [name for name, speaks in (
        ("another title", pair.title is _Title.OTHER and pair.a.letters and pair.b.letters),
        ("another DOI", pair.other_doi), ("another volume", pair.volume == -1), ("other pages", pair.page == -1),
        ("another year", pair.years_apart > 0), ("other authors", pair.authors is _Authors.OTHER),
        ("another type", pair.kind == -1), ("another journal", pair.journal == -1),
        ("other numbers in the title", pair.numbers_clash or pair.numbers_added),
    ) if speaks]
    return "but " + " and ".join(named[:3]) if named else "but too little else is known"


def _compare_titles(a: _Described, b: _Described) -> _Title:
    if a.letters == b.letters:
        return _Title.EQUAL if a.letters else _Title.OTHER
    shorter, longer = (a, b) if len(a.letters) <= len(b.letters) else (b, a)
    if not shorter.letters:
        return _Title.OTHER
    ratio = fuzz.ratio(a.letters, b.letters, score_cutoff=50)
    if ratio >= 90 and not _words_exchanged(a, b):
        return _Title.CLOSE
    n = len(shorter.letters)
    if shorter.telling and n < 0.95 * len(longer.letters):
        ends = (longer.letters[:n], longer.letters[-n:])
        if any(end == shorter.letters or fuzz.ratio(end, shorter.letters, score_cutoff=95) for end in ends):
            return _Title.PART
    if ratio >= 75:
        return _Title.SIMILAR
    return _Title.LOOSE if ratio else _Title.OTHER


def _words_exchanged(a: _Described, b: _Described) -> bool:
    """Tell whether a word stands for another, not only mistyped, moved, split or left out."""
    words_a, words_b = a.title.split(), b.title.split()
    only_a = [w for w in words_a if w not in words_b and w not in _SMALL_WORDS]
    only_b = [w for w in words_b if w not in words_a and w not in _SMALL_WORDS]
    if not only_a or not only_b or "".join(only_a) == "".join(only_b):
        return False
    return fuzz.ratio("".join(only_a), "".join(only_b)) < 80


def _share_words(a: _Described, b: _Described) -> bool:
    words_a, words_b = set(a.title.split()), set(b.title.split())
    return len(words_a & words_b) >= 0.6 * len(words_a | words_b)


def _is_another_report(a: _Described, b: _Described) -> bool:
    return not _ANOTHER_REPORT.isdisjoint(set(a.title.split()) ^ set(b.title.split()))


def _compare_numbers(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[bool, bool]:
    """Tell whether each title has a number that the other lacks, and whether only one has."""
    if one == other:
        return False, False
    of_one, of_other = (bool(_less(x, y)) for x, y in ((one, other), (other, one)))
    return of_one and of_other, of_one != of_other


def _less(one: Sequence[str], other: Sequence[str]) -> list[str]:
    left = list(other)
    return [n for n in one if n not in left or left.remove(n)]


def _compare_authors(a: _Described, b: _Described) -> _Authors:
    if not a.families or not b.families:
        return _Authors.UNKNOWN
    same_first = _same_name(a.first_author, b.first_author)
    shared, fewer = len(a.families & b.families), min(len(a.families), len(b.families))
    if same_first and max(shared, 1) >= 0.6 * fewer:
        return _Authors.SAME
    return _Authors.SOME if same_first or shared >= 0.5 * fewer else _Authors.OTHER


def _same_name(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    # "Giorgi, Rossi P" and "Giorgi Rossi, P"; "Wei, Li" and "Li, Wei"; "Ostensson" and "Stensson".
    return one[0] == other[0] or one[0] in other or other[0] in one or bool(
        min(len(one[0]), len(other[0])) > 3 and fuzz.ratio(one[0], other[0], score_cutoff=80))


def _compare_values(one: str, other: str) -> int:
    return 0 if not one or not other else 1 if one == other else -1


def _compare_pages(a: _Pages, b: _Pages) -> int:
    if a.first and b.first:
        return 1 if not set(a.first).isdisjoint(b.first) else _compare_ranges(a, b)
    if a.article and b.article:
        return 1 if a.article == b.article else -1
    # An article number and printed pages may be one's two places.
    return 1 if (a.article and a.article in b.first) or (b.article and b.article in a.first) else 0


def _compare_ranges(a: _Pages, b: _Pages) -> int:
    (first_a, last_a), (first_b, last_b) = ((int(p.first[0]), int(p.last or p.first[0])) for p in (a, b))
    common = min(last_a, last_b) - max(first_a, first_b) + 1
    # "488" of 487-488 is where its summary stands; and two articles have no more than one page in common.
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


def _compare_abstracts(a: _Described, b: _Described) -> int:
    if a.abstract == b.abstract:
        return 1 if len(a.abstract) >= 4 * _LEAST_WORDS else 0
    words_a, words_b = (frozenset(array("I", d.abstract)) for d in (a, b))
    fewer = min(len(words_a), len(words_b))
    if fewer < _LEAST_WORDS:
        return 0
    common = len(words_a & words_b) / fewer
    return 1 if common >= 0.85 else -1 if common < 0.5 else 0


# -- who is compared with whom ----------------------------------------------------------------


def _findings(described: Sequence[_Described]) -> dict[tuple[int, int], _Finding]:
    """Compare the records that share a key; return what was found by positions, the lower first."""
    for at, d in enumerate(described):
        d.at = at
    _discount_what_many_share(described)
    found: dict[tuple[int, int], _Finding] = {}
    for key in _KEYS:
        for block in _blocks(described, key):
            reach = len(block) if len(block) <= _SMALL_BLOCK else _NEIGHBOURS
            for i, a in enumerate(block):
                for b in block[i + 1 : i + 1 + reach]:
                    if (a.at, b.at) not in found and (finding := _compare(a, b)) is not None:
                        found[a.at, b.at] = finding
    return found


def _discount_what_many_share(described: Sequence[_Described]) -> None:
    for block in _blocks(described, lambda d: d.doi or None):
        if len(block) > _SHARED_DOI and len({d.letters for d in block}) > _SHARED_DOI:
            for d in block:
                d.doi = ""
    for block in _blocks(described, lambda d: d.letters or None):
        if len(block) > _SHARED_TITLE and len({(d.year, d.volume, d.pages.first) for d in block}) > _SHARED_TITLE:
            for d in block:
                d.generic, d.telling = True, False


def _blocks(
    described: Iterable[_Described], key: Callable[[_Described], Hashable | None],
) -> Iterator[list[_Described]]:
    first: dict[Hashable, _Described] = {}
    blocks: defaultdict[Hashable, list[_Described]] = defaultdict(list)
    for d in described:
        if (k := key(d)) is None:
            continue
        if k in first:
            blocks[k].append(d)
        else:
            first[k] = d
    for k, others in blocks.items():
        yield [first[k], *others]


def _start_of_title(d: _Described) -> Hashable | None:
    return d.letters[:_LEAST_TITLE] if d.telling else None


def _end_of_title(d: _Described) -> Hashable | None:
    if not d.telling:
        return None
    # Not the very end, where many say "a randomised controlled trial".
    end = -_LEAST_TITLE if len(d.letters) >= 2 * _LEAST_TITLE else None
    return d.letters[-2 * _LEAST_TITLE : end]


def _place(d: _Described) -> Hashable | None:
    return (d.volume, d.pages.first[0], d.year) if d.volume and d.pages.first else None


def _author_and_page(d: _Described) -> Hashable | None:
    return (d.first_author[0], d.pages.first[0], d.year) if d.first_author and d.pages.first else None


def _author_and_year(d: _Described) -> Hashable | None:
    if not d.first_author or d.year is None:
        return None
    return (d.first_author[0], d.year, d.journal[0][0][0] if d.journal else "")


_KEYS: tuple[Callable[[_Described], Hashable | None], ...] = (
    lambda d: d.pmid or None, lambda d: d.doi or None, lambda d: d.letters or None,
    lambda d: d.beginning or None, _place, _author_and_page, _author_and_year, _start_of_title, _end_of_title,
)


# -- groups -----------------------------------------------------------------------------------


class _Groups:
    """Groups of records held to be one, with all the values that their members have."""

    _FIELDS = ("pmid", "doi", "volume", "page")

    def __init__(self, described: Sequence[_Described], apart: Iterable[tuple[int, int]]) -> None:
        self._described = described
        self._apart: defaultdict[int, set[int]] = defaultdict(set)
        at = {d.id: d.at for d in described} if (apart := list(apart)) else {}
        for one, other in apart:
            if one in at and other in at:
                self._apart[at[one]].add(at[other])
                self._apart[at[other]].add(at[one])
        self._parent = array("q", range(len(described)))
        self._why: dict[int, str] = {}
        self._values: dict[int, dict[str, set]] = {}

    def root(self, at: int) -> int:
        while (up := self._parent[at]) != at:
            self._parent[at] = self._parent[up]
            at = up
        return at

    def _of(self, root: int) -> dict[str, set]:
        if root not in self._values:
            d = self._described[root]
            own = {"pmid": d.pmid, "doi": d.doi, "volume": d.volume, "page": d.pages}
            self._values[root] = {name: {value} if any(value) else set() for name, value in own.items()}
        return self._values[root]

    def conflict(self, x: int, y: int, tolerated: frozenset[str] = _NOTHING) -> bool:
        """Tell whether two groups were told apart, or both have values of a field and none in common."""
        if x in self._apart and any(self.root(z) == y for z in self._apart[x]):
            return True
        of_x, of_y = self._of(x), self._of(y)
        for name in self._FIELDS:
            one, other = of_x[name], of_y[name]
            if one and other and name not in tolerated and one.isdisjoint(other):
                if name != "page" or all(_compare_pages(p, q) == -1 for p in one for q in other):
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


def _join_sure(groups: _Groups, findings: Mapping[tuple[int, int], _Finding]) -> dict[tuple[int, int], str]:
    """Join what surely is one, the strongest first; return the pairs that remain for a person."""
    maybes = {pair: finding.why for pair, finding in findings.items() if finding.strength == _MAYBE}
    for strength in (_IDENTIFIED, _PLACED, _DESCRIBED):
        edges = sorted(pair for pair, finding in findings.items() if finding.strength == strength)
        near: defaultdict[int, set[int]] = defaultdict(set)
        for a, b in edges:
            x, y = groups.root(a), groups.root(b)
            if x != y:
                near[x].add(y)
                near[y].add(x)
        # Told before any is joined, so that the order in which they are joined decides nothing.
        ambiguous = [
            pair for pair in edges
            if _is_ambiguous(groups, near, *map(groups.root, pair), findings[pair].tolerates)
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
    groups: _Groups, near: Mapping[int, Collection[int]], x: int, y: int, tolerated: frozenset[str],
) -> bool:
    """Tell whether one of two groups could as well be the same as a group that contradicts the other."""
    return x != y and any(
        z not in near[other] and z != other and groups.conflict(z, other, tolerated)
        for one, other in ((x, y), (y, x)) for z in near[one]
    )


def _questions(groups: _Groups, maybes: Mapping[tuple[int, int], str]) -> list[tuple[tuple[int, int], str]]:
    """Return ((kept, copy), why) of each pair of groups to decide on, once."""
    asked: dict[tuple[int, int], str] = {}
    for (a, b), why in sorted(maybes.items()):
        x, y = groups.root(a), groups.root(b)
        # What two records leave open, the identifiers of their copies may answer.
        tolerated = _ANY_PLACE | {"doi"} if groups.other_dois(a, b) else _ANY_PLACE
        if x != y and not groups.conflict(x, y, tolerated):
            kept, copy = sorted((groups.id_of(x), groups.id_of(y)))
            asked.setdefault((kept, copy), why)
    return sorted(asked.items())
