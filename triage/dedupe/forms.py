"""The normal forms in which records are compared."""

from __future__ import annotations

import html
import re
import zlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from ..records import Record, normal_title
from ..registrations import entry_number

LEAST_TITLE = 20  # letters of a title that may speak for itself
_LONGEST_TITLE = 1000  # characters of a title that are looked at
_LONGEST_NAME = 1000  # characters of an author or a journal that are looked at
_MOST_AUTHORS = 12
_LONGEST_PLACE = 100  # characters of a volume or of pages that are looked at
_SKETCHED = 3000  # characters of an abstract that its sketch covers
_LONG_WORD = 6  # letters of a word that counts where abstracts are compared

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
# What databases put behind a title: "[Review] [45 refs]", "[Chinese]", "[Erratum appears in ... [...]]",
# "(Provisional abstract)", ": Original article".
_INNER = r"(?:[^\[\]]|\[[^\[\]]*\])*"
_MARK = re.compile(
    rf"[.\s]*(?:\[(?={_INNER}\b(?:review|letter|editorial|comment|abstract|refs?|references|published|errat\w+"
    rf"|corrigendum|corrected|retraction|retracted|process citation)\b){_INNER}\]|\[[a-z]{{4,}}\]"
    r"|\(multiple letters\)(?:\s*\[\d\])?|\((?:(?:[a-z]+ )?(?:abstract|record)|review|letter|editorial|comment)\)"
    r"|:\s*original (?:article|paper|research)|\]\s*LA:\s*[a-z]{3})\W*$",
    re.IGNORECASE,
)
_MARK_ENDS = frozenset("])erhERH")  # the letters with which a mark ends: most titles need no search for one
_OR_EQUAL = re.compile(r"[<>]\s*or\b(?=\s*=)")  # as Ovid writes a sign that ASCII lacks
_RETRACTED = re.compile(r"\W*(?:retracted(?: article)?|withdrawn)\W+", re.IGNORECASE)
_NOTICE = re.compile(
    r"\W*(?:(?:author(?:'s|s)? )?(?:correction|reply|response)|errat(?:um|a)|corrigend(?:um|a)|addendum"
    r"|retraction|expression of concern|comment(?:ary|s)?|letter|editorial|re)"
    r"(?:\s*[:.\]\u2013\u2014]|\s+-\s|\s+(?:to|on|for|regarding)\b)",
    re.IGNORECASE,
)
_NOTICE_END = re.compile(
    r"[-:.\u2013\u2014(\[]\s*(?:the )?(?:author\W{0,2}s?\W{0,2} )?(?:reply|response|rebuttal|correction|corrigendum"
    r"|erratum|expression of concern)\W*$|\((?:vol\b|volume\b|v)[^()]*\b\d{4}\)\W*$",
    re.IGNORECASE,
)
_ERRATUM = re.compile(
    r"\W*(?:(?:author(?:'s|s)? )?correction|errat(?:um|a)|corrigend(?:um|a))"
    r"(?:\s*[:.\]\u2013\u2014]|\s+-\s|\s+(?:to|for)\b:?)\s*",
    re.IGNORECASE,
)
# Web of Science's way to name an erratum: "... (vol 33, pg 717, 2019)".
_ERRATUM_END = re.compile(r"\s*\((?:vol\b|volume\b|v)[^()]*\b\d{4}\)\W*$", re.IGNORECASE)
_NOTICE_TYPES = re.compile(
    r"\b(?:errat(?:um|a)|corrigend(?:um|a)|correction|retraction (?:of publication|notice)"
    r"|expression of concern)\b",
    re.IGNORECASE,
)
_ABSTRACT_TYPES = re.compile(r"\b(?:conference|meeting|congress) abstract\b", re.IGNORECASE)
_PROCEEDINGS = re.compile(
    r"\b(?:conf|cpaper|cproc|inproceedings|proceedings|conference|symposium|workshop|congress|lecture notes)\b",
    re.IGNORECASE,
)
_PREPRINT = re.compile(
    r"\b(?:preprints?|(?:bio|med|psy|ar|chem|soc|edu?)a?r?xiv|ssrn|research square|osf)\b", re.IGNORECASE
)
# bioRxiv and medRxiv share 10.1101 with journals.
_PREPRINT_DOI = re.compile(r"10\.(?:1101/(?:\d{4}\.\d\d\.\d\d\.)?\d{6,}|(?:2139|20944|21203|31219|31234|31235|48550)/)")
_GENERIC = re.compile(
    r"(?:a |an |the )?(?:abstracts?|announcements?|authors? |book reviews?|comment|correction|correspondence"
    r"|editorial|errat|foreword|from the|guest editor|in memoriam|in this issue|introduction|letters?|news"
    r"|obituary|preface|proceedings|program|reply|response|special issue|table of contents|this issue"
    r"|(?:editors?|editor s|presidents?|president s|chairs?|chair s|directors?|director s|guest|publishers?|publisher s)"
    r" (?:\w+ )?(?:address|choice|column|comments?|corner|desk|editorial|introduction|letter|message|notes?|overview"
    r"|page|perspective|picks?|preface|remarks|report|statement|view|viewpoint|welcome|words?)"
    r"|(?:message|notes?|remarks|words?|welcome|letter|greetings|thoughts|comments?|report) (?:from|of|by) (?:the|our|your)"
    r" (?:\w+ ){0,2}(?:editors?|presidents?|chair\w*|directors?|board|publishers?|secretary|treasurer)"
    r"|(?:case|image|picture|paper|article|quiz|drug|book|photo) of the (?:day|week|month|quarter|year|issue)"
    r"|research (?:highlights|round ?up|briefs?)|highlights (?:of|from|in) this|journal club|clinical pearls?"
    r"|calendar$|whats new|what s new|in brief|ask the|call for papers|list of reviewers|reviewers|acknowledge?ments?"
    r"|instructions (?:for|to) authors|notice$|issue information|masthead|cover$|index$)"
)
# Signs behind a word ("HER2+", "CD4-negative" has none) and before a number ("< 65 years").
_SIGN_HINT = re.compile(r"\w[+\u2212-](?![\w+-])|[<>\u2264\u2265&]")
_SIGN = re.compile(r"(?<=\w)[+\u2212-](?![\w+-])|[<>\u2264\u2265](?=[\s=/or]{0,6}\d)")
_SIGNS = {"+": "+", "-": "-", "\u2212": "-", "<": "<", "\u2264": "<", ">": ">", "\u2265": ">"}
ENTRY = "entry"  # the kind of a record that is a register's entry
_INITIALS = re.compile(r"[^\W\d_]\.?|[A-Z]{2,3}|[A-Z]\.?-[A-Z]\.?")
_NO_NAMES = frozenset({"anonymous", "anon", "al", "none", "unknown", "na"})
_SUFFIXES = frozenset({"jr", "sr", "ii", "iii", "iv", "2nd", "3rd"})
_SPELT = str.maketrans(
    {
        "\u03b1": " alpha ",
        "\u03b2": " beta ",
        "\u03b3": " gamma ",
        "\u03b4": " delta ",
        "\u03b5": " epsilon ",
        "\u03ba": " kappa ",
        "\u03bb": " lambda ",
        "\u00b5": " mu ",
        "\u03bc": " mu ",
        "\u03c9": " omega ",
        "\u0131": "i",  # which has no accent to drop; so have these
        "\u00f8": "o",
        "\u00d8": "o",
        "\u0142": "l",
        "\u0141": "l",
        "\u0111": "d",
        "\u0110": "d",
    }
)
# Lower case, and a blank for all but letters and digits: for ASCII, ten times as fast as `normal_title`.
_ASCII_LETTERS = bytes(ord(c.lower()) if c.isalnum() else 32 for c in map(chr, range(128))) + bytes(128)
_DIGITS = re.compile(r"\d{1,9}")
# "Phase II", "phase 2" and "phase two"; by themselves, "i", "v" and "x" are letters.
_CARDINALS = {
    word: str(i)
    for words in (
        ("", "ii", "iii", "iv", "", "vi", "vii", "viii", "ix"),
        ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    )
    for i, word in enumerate(words, 1)
    if word
}
_ORDINALS = {word: str(i) for i, word in enumerate(("first", "second", "third", "fourth", "fifth"), 1)}
_LETTERS = {"i": "1", "v": "5", "x": "10"}
_COUNTED = frozenset({"part", "study", "experiment", "trial", "paper", "report", "group", "appendix", "chapter"})
# Words by which a short text is known to be in English, or in another language of Latin letters.
_ENGLISH = frozenset("the of and for with by from versus among during its their how what who why about between".split())
_FOREIGN = frozenset(
    "de la le les des du un une el los las del der das und ein eine bei von mit im zur zum il dei nel nella nei degli "
    "gli da dos das em na para por con en et au aux chez sur dans och av med til hos det een van het bij nach uber "
    "para une como entre y ou oder beim eines einer allo alla".split()
)
SMALL_WORDS = frozenset(
    "a an the of and or in on for to with by from at as is are "
    "la le les de des der die das und et en el del di il".split()
)
_LONG_WORDS = re.compile(rf"[^\W_]{{{_LONG_WORD},}}")
_HEADING = re.compile(
    r"\W*(?:abstract|summary)?\W*(?:background|objectives?|introduction|aims?|purpose|importance|context)?"
    r"(?:\W+(?:and|/|&)\W+(?:objectives?|aims?|purpose|hypothesis))?\W*:?\s*",
    re.IGNORECASE,
)

_FIELDS = {
    "volume": ("vl", "vi", "volume", "journalvolume", "v", "vol"),
    "page": ("sp", "pg", "bp", "pages", "page", "pagestart", "startpage", "beginningpage", "firstpage", "p"),
    "last page": ("ep", "endpage", "pageend", "endingpage", "lastpage"),
    "issue": ("is", "ip", "issue", "number", "journalissue", "n"),
}
_FIELD_OF = {name: field for field, names in _FIELDS.items() for name in names}
_PAGES = re.compile(
    r"\W*(?:pp?\b\.?|pages?\b)?\s*(?P<prefix>[A-Za-z]{0,6})(?P<first>\d{1,9})(?P<suffix>[A-Za-z]?)"
    r"(?:\s*[-\u2010-\u2015\u2212]+\s*[A-Za-z]*(?P<last>\d{1,9}))?"
)
# Where a volume or an issue should be: "Suppl. 1", "S2", "Supplement", and what is left of "128 (3 Suppl 1)".
_SUPPLEMENT = re.compile(r"\W*(?:s|supp?l?\w*)\b[\W_]*\w{0,3}\W*$|\W*s\d{1,3}\W*$|[^()]*\)\s*$", re.IGNORECASE)
_MONTH_NAME = re.compile(
    r"\W*(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|spring|summer|autumn|fall|winter)", re.IGNORECASE
)
_LENGTH = re.compile(r"\s*\d+\s*(?:p(?:p|ages)?\.?|page\(s\))\s*", re.IGNORECASE)
_MONTH = re.compile(r"\s*\d{1,4}-[A-Z][a-z]{2}\s*|\s*[A-Z][a-z]{2}-\d{1,4}\s*")


@dataclass(slots=True)
class Described:
    """The normal forms of a record."""

    id: int
    title: str  # words
    letters: str  # the title without blanks: "well-being", "wellbeing", "H 2 O"
    numbers: tuple[str, ...]  # that the title holds, "part II" and "part B" too
    generic: bool  # "Editorial", "Reply": a title that says nothing
    telling: bool  # whether few other records can have this title
    first_author: tuple[str, ...]  # the words of the first author's name, family name first
    families: frozenset[str]
    year: int | None
    journal: tuple[tuple[str, ...], ...]  # the words of its name, and of its name without a subtitle
    volume: str
    issue: str
    pages: Pages
    doi: str
    pmid: str
    abstract: bytes  # sketch: hashes of its long words
    beginning: str  # of the abstract
    is_notice: bool  # an erratum, a reply, ... of the article whose title it bears
    kind: str  # "abstract" of a congress, "preprint", "other"; "" when not known
    registration: str  # the number of the register's entry that it is
    signs: tuple[str, ...] = ()  # of the title: "CD4+", "CD4-", "< 65"
    language: str = ""  # of the title, by its small words: "en", "other", or not known
    in_proceedings: bool = False  # a paper of a congress, not the abstract of one
    shares_doi: bool = False  # with more than one other title: a supplement's
    is_translated: bool = False  # the title is in brackets, as databases mark those that they translated
    source: str = ""
    at: int = 0

    def place_in_order(self) -> tuple[object, ...]:
        return (
            self.letters,
            self.first_author,
            self.year or 0,
            self.volume,
            self.pages,
            self.doi,
            self.pmid,
            self.abstract,
            self.journal,
            self.issue,
            self.kind,
            self.is_notice,
            sorted(self.families),
            self.id,
        )


class Pages(NamedTuple):
    """Where an article is printed: the first pages of its ranges, the last of the first, an article number."""

    first: tuple[str, ...] = ()
    last: str = ""
    article: str = ""
    in_supplement: bool = False


def describe(record: Record) -> Described:
    """Bring what is compared of a record into its normal forms."""
    whole_title = record.title[:_LONGEST_TITLE]
    words = [_CARDINALS.get(word, word) for word in _words(_bare_title(whole_title))]
    title, letters = " ".join(words), "".join(words)
    generic = not words or (len(words) < 8 and _GENERIC.match(title) is not None)
    extra = places(record.extra)
    journal = record.journal[:_LONGEST_NAME]
    notice_type, kind = _kind(record.type[:_LONGEST_NAME], journal)
    names = author_names(record.authors)
    volume, pages = _volume(extra.get("volume", ())), _pages(extra.get("page", ()), extra.get("last page", ()))
    is_article = bool(record.pmid or volume or pages != Pages())
    registration = entry_number(journal, record.doi, record.extra, is_article=is_article)
    return Described(
        id=record.id or 0,
        title=title,
        letters=letters,
        numbers=_numbers(words, letters),
        generic=generic,
        telling=not generic and _is_long(letters, len(words)),
        first_author=names[0] if names else (),
        families=frozenset(name[0] for name in names),
        year=record.year,
        journal=_journal_words(journal),
        volume="" if record.year is not None and volume == str(record.year) else volume,
        issue=_issue(extra.get("issue", ())),
        pages=pages,
        doi=record.doi,
        pmid=record.pmid,
        abstract=_sketch(record.abstract),
        beginning=_beginning(record.abstract),
        is_notice=bool(_NOTICE.match(whole_title) or _NOTICE_END.search(whole_title[-60:]) or notice_type),
        kind=ENTRY if registration else "preprint" if kind != "abstract" and _PREPRINT_DOI.match(record.doi) else kind,
        registration=registration,
        signs=_signs(whole_title),
        in_proceedings=kind != "abstract" and _PROCEEDINGS.search(f"{record.type[:99]} {journal}") is not None,
        language=_language(words, letters),
        source=record.source,
        is_translated=whole_title.lstrip().startswith("["),
    )


@lru_cache(maxsize=1 << 14)
def _kind(type_: str, journal: str) -> tuple[bool, str]:
    """Tell from type and journal whether a record is an erratum or the like, and its kind."""
    kind = "other" if type_.strip() else ""
    if _ABSTRACT_TYPES.search(type_):
        kind = "abstract"
    elif _PREPRINT.search(type_) or _PREPRINT.search(journal):
        kind = "preprint"
    return _NOTICE_TYPES.search(type_) is not None, kind


def _language(words: Sequence[str], letters: str) -> str:
    if any(c >= "\u0370" for c in letters) or not _FOREIGN.isdisjoint(words):
        return "other"
    return "" if _ENGLISH.isdisjoint(words) else "en"


def _signs(title: str) -> tuple[str, ...]:
    """Return the signs of a title that its letters lack and that say what it is about: "+", "-", "<" and ">"."""
    if not _SIGN_HINT.search(title):
        return ()
    text = html.unescape(_TAG.sub("", title))
    found = {_SIGNS[sign[-1] if sign[0] not in "<>\u2264\u2265" else sign[0]] for sign in _SIGN.findall(text)}
    return tuple(sorted(found))


def _bare_title(title: str) -> str:
    """Drop markup, "RETRACTED:", "Erratum for" and what databases put behind a title."""
    if "<" in title:
        title = _TAG.sub("", title)
    if "&" in title:
        title = html.unescape(title).replace("&", " and ")
    if ">" in title or "<" in title:
        title = _OR_EQUAL.sub(" ", title)
    for prefix in (_RETRACTED, _ERRATUM):
        if found := prefix.match(title):
            title = title[found.end() :]
    bare = _ERRATUM_END.sub("", title) if title[-8:].rstrip(" .").endswith(")") else title
    while bare.rstrip(" .\"'")[-1:] in _MARK_ENDS and (shorter := _MARK.sub("", bare)) != bare and shorter.strip(" ["):
        bare = shorter
    return bare


def _words(text: str) -> list[str]:
    """Split into words as `normal_title` has them, Greek letters spelt out."""
    if text.isascii():
        return text.encode("ascii").translate(_ASCII_LETTERS).decode("ascii").split()
    return normal_title(text.translate(_SPELT)).split()


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
    if len(letters) >= LEAST_TITLE and n_words >= 3:
        return True
    # Chinese and Japanese put no blanks between words, and say in a letter what takes others three.
    return sum("\u2e80" <= c <= "\ud7a3" for c in letters) >= LEAST_TITLE // 2


def author_names(authors: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the words of each author's name, the last word of the family name first."""
    return [name for author in _authors(authors) if (name := _name_words(author)) and name[0] not in _NO_NAMES]


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
        tuple(w for w in _words(form.replace("&", " and ")) if w not in SMALL_WORDS)
        for form in (journal, short, without_place)
    )
    return tuple(form for form in forms if form)


def places(extra: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return a file's own fields that say where a record was printed, by the field's usual name."""
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


def _volume(values: Sequence[str]) -> str:
    """Return a volume's number; "" where its field holds a supplement's ("Suppl 1", "S2", "1)")."""
    for value in values:
        if not _SUPPLEMENT.match(value[:_LONGEST_PLACE]) and (found := _first_number((value,))):
            return found
    return ""


def _issue(values: Sequence[str]) -> str:
    """Return an issue's number, or the month or season that stands for it; "" where only a supplement's is there."""
    for value in (value[:_LONGEST_PLACE] for value in values):
        if _SUPPLEMENT.match(value):
            continue
        if found := _first_number((value,)):
            return found
        if month := _MONTH_NAME.match(value):
            return month[1].lower()
    return ""


def _pages(values: Sequence[str], ends: Sequence[str]) -> Pages:
    """Read pages: "S417-S429", "742-8; discussion 748-9", "e12724", "233-238+230-235"."""
    first: list[str] = []
    last, article, in_supplement = "", "", False
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
                len(number) > 5
                or (prefix in ("e", "E", "CD") and len(number) > 3)
                or (len(prefix) == 1 and prefix.islower() and len(number) > 2)
            )
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
    return Pages(tuple(first), last, article, in_supplement)


def _sketch(abstract: str) -> bytes:
    """Return the hashes of an abstract's long words: enough to judge how much two have in common."""
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
    heading = _HEADING.match(text)
    return re.sub(r"[\W_]+", "", text[heading.end() if heading else 0 :].lower())[:50]
