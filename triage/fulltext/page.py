"""A page of a PDF: where titles stand on it, and what speaks against its being the paper of that title."""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

from ..dedupe.forms import author_names
from ..records import Record, normal_title
from .known import GRAM, GREEK, lettered, letters, most_faults, without_lost

LEAST_TEXT = 250  # letters that a page must have to say something
TOP = 1_500  # letters at the beginning of a page among which its title stands
NEAR = 300  # characters before a title or a DOI, and after it, that are looked at
_NOTICED = 140  # characters before a title in which it may be said that it is another paper's
_HEADER = 600  # characters in which a page of abstracts says so
_TOP_LINES = 1_000  # characters in which a page says what it is
_MOST_PLACES = 20  # at which a title that was misread is looked for
_LEAST_MISREAD = 5  # letters of a word in which one may be misread, without its being another word

_LEAST_NAME = 4  # letters of a family name that are looked for anywhere
_SHORT_TITLE = 60  # letters up to which a title may well be the end of another

# What a page is that speaks of another paper.
_ABOUT = (
    r"(?:(?:author|publisher)\W?s?\W? )?(?:erratum|errata|corrigend(?:um|a)|correction|retraction(?: note)?"
    r"|retracted(?: article)?|addendum|expression of concern)"
)
_PAPER = r"(?: the| an?)?(?: article| paper| editorial| manuscript)?"
_MATERIALS = r"(?:appendix|materials?|information|data|files?|tables?|methods)(?: \w{1,3})?"
_SUPPLEMENT = rf"(?:supplement(?:ary|al)?|supporting|additional|online|web) {_MATERIALS}"
_NOTICE = re.compile(
    rf"(?:\b{_ABOUT}(?:\s*(?:to|for|of|on|in))?{_PAPER}"
    r"|\b(?:comment(?:ary|s)?|reply|response|rejoinder|letter|remarks?|discussion)\W{1,3}"
    rf"(?:to|on|of|regarding|about|concerning|re)\b{_PAPER}"
    r"|\b(?:re|regarding|concerning|in response to|review of)"
    rf"|\b{_SUPPLEMENT}(?: to| for| of)?{_PAPER}"
    r"|\b(?:appendix|supplement|checklist) (?:to|for|of)"
    r"|\b(?:article|paper|study|report|work|manuscript|editorial|trial|review) (?:entitled|titled|called|by [^.]{1,60}?)"
    r"|\b(?:entitled|titled))"
    r"\s*[.:;,\u2013\u2014\u201c\u2018\"'(\[\u00ab-]*\s*$",
    re.IGNORECASE,
)
_NOTICE_LINE = re.compile(
    rf"^\W{{0,20}}(?:{_ABOUT}|(?:electronic |online )?{_SUPPLEMENT}|appendix(?: \w{{1,3}})?"
    r"|peer review (?:file|history|information)|(?:consort|prisma) (?:20\d\d )?checklist[^\n]{0,40})\W{0,20}$",
    re.IGNORECASE | re.MULTILINE,
)
_NOTICE_TITLE = re.compile(
    rf"\b(?:{_ABOUT}|comment(?:ary)?|reply|response|rejoinder|letter|supplement\w*|appendix)\b", re.IGNORECASE
)
_QUOTES = {"\u201c": "\u201d", "\u2018": "\u2019", '"': '"', "'": "'", "\u00ab": "\u00bb", "\u201e": "\u201c"}
_REFERENCES = re.compile(
    r"^\W{0,20}(?:\d{1,2}\W{1,3})?(?:references|bibliography|literature(?: cited)?|works cited|reference list|literatur"
    r"|r\u00e9f\u00e9rences)\W{0,20}$",
    re.IGNORECASE | re.MULTILINE,
)
# Before a title in a list of references stand initials, "et al." or a year; a page may cite itself so.
_CITED_BEFORE = re.compile(
    r"(?:\b[A-Z](?:\.?[ -]?[A-Z]){0,2}\.|\bet al[.,:]?|\b[A-Z]{1,3}[.:]|\((?:19|20)\d\d[a-z]?\)[.:,]?"
    r"|\b(?:19|20)\d\d[a-z]?[.:]|\b(?:19|20)\d\d[a-z]?,? )\s*[\"\u201c\u2018']?$"
)
# And after it a journal with a volume and pages.
_CITED_AFTER = re.compile(
    r"^\s?[.?!,\"\u201d\u2019']{1,3}\s(?:In:\s|[A-Z][\w&.,:\s-]{1,80}?(?:\b(?:19|20)\d\d\b[^\n]{0,12};"
    r"|\d{1,4}\s?(?:\(\d{1,4}(?:[-\u2013]\d{1,4})?\)\s?)?[:;,]\s?[eE]?\d{1,6}\s?[-\u2013]\s?\d))"
)
CITE_THIS = re.compile(
    r"cite (?:this|the|as|it)|to cite|citation\s?:|cited as|suggested citation|please cite|reprint", re.IGNORECASE
)
_CITED_END = re.compile(r"\bdoi\b|\d;\s?\d|\n\W{0,9}\d{1,2}[.)\]] ", re.IGNORECASE)
_ABSTRACT = re.compile(
    r"^\W{0,20}(?:abstract|summary|introduction|background|objectives?|key ?words|zusammenfassung|r\u00e9sum\u00e9|resumen)\b",
    re.IGNORECASE | re.MULTILINE,
)
_HEADING_LINE = re.compile(
    r"[\d.;:\u00a9@]|journal|annals|archives|contents|article|review|original|research|report|available|published"
    r"|vol|http|official|university|society",
    re.IGNORECASE,
)
_BOOK = re.compile(
    r"\babstracts? (?:book|of the|from the|presented|submitted)\b|\bbook of abstracts\b"
    r"|\b(?:meeting|conference|congress|poster|oral) abstracts\b|\b(?:poster|oral) (?:presentations?|sessions?)\b"
    r"|\bscientific program(?:me)?\b|\btable of contents\b|\bin this issue\b|^\W{0,20}(?:contents|abstracts)\W{0,20}$",
    re.IGNORECASE | re.MULTILINE,
)
_HEADINGS = re.compile(r"\b(conclusion|result|method)s?\s*:", re.IGNORECASE)
_LEADERS = re.compile(r"(?:\. ?){5,60}\s?\d{1,4}")
_SMALL = r"(?:a|an|and|as|at|by|for|from|in|into|of|on|or|the|to|versus|vs|with|after|during|between|among)"
_GOES_ON_BEFORE = re.compile(rf"(?:[^\W_][ \t]+|[:\u2013\u2014(,&/-]\s*|\b{_SMALL}\s*)$", re.IGNORECASE)
_GOES_ON = re.compile(
    r"^(?:\s?[*\u2020\u2021\u00a7#\d,\u2606]{1,4})?(?:\s?[:\u2013\u2014(\[/]|\s[-\u2010]\s|\s?,\s[a-z]"
    r"|\s{1,2}(?!(?:by|von|van|de|della|di|el|al)\b)[a-z]{2,}|\.\s{1,2}(?:Part|A|An|I|II|III|IV|V|[2-9])\s)"
)
# Words of a subtitle, where they stand between a title and its first author.
_SUBTITLE = re.compile(
    r"\b(?:trials?|study|studies|reviews?|analys[ie]s|protocol|part|results|follow|pilot|randomi[sz]ed|evidence|cohort"
    r"|survey|report|case|controlled|systematic|perspectives?|approach|implications?|the|of|and|for|in|with|a|an|on|to"
    r"|from)\b"
)


class Stand(enum.IntEnum):
    """How a title stands on a page, the better the higher."""

    ABSENT = 0
    CITED = 1  # in a reference
    NOTICE = 2  # of what the page corrects, comments on or supplements
    LATE = 3  # far from the top
    LONGER = 4  # as a part of a longer one
    CLEAN = 5


@dataclass(frozen=True, slots=True)
class Title:
    """A record whose title stands on the page."""

    record: Record
    start: int  # among the page's letters
    end: int
    stand: Stand
    is_exact: bool


class Page:
    """A page's text, as it is searched.

    Parameters
    ----------
    text : str
    top : int
        The letters at its beginning among which its title stands.
    """

    def __init__(self, text: str, top: int = TOP) -> None:
        self.text = text.replace("\u00ad", "")
        self.letters, self._places = lettered(self.text)
        self._top = top

    def place(self, letter: int) -> int:
        """Return where in the text one of its letters stands."""
        return self._places[letter]

    @property
    def has_text(self) -> bool:
        """Whether it says enough to contradict a file's name."""
        return len(self.letters) >= LEAST_TEXT

    @cached_property
    def _words(self) -> list[str]:
        return normal_title(re.sub(r"(?<=\w)[-\u2010]\s*\n\s*(?=[a-z])", "", self.text[: self.references])).split()

    @cached_property
    def references(self) -> int:
        """Where a list of references begins."""
        found = _REFERENCES.search(self.text)
        return found.start() if found else len(self.text)

    @cached_property
    def _abstract(self) -> int:
        """Where the abstract begins, or else the text."""
        found = _ABSTRACT.search(self.text)
        return found.start() if found else len(self.text)

    @cached_property
    def is_notice(self) -> bool:
        """Whether it says at its top that it corrects or supplements another paper."""
        return _NOTICE_LINE.search(self.text[:_TOP_LINES]) is not None

    @cached_property
    def is_book(self) -> bool:
        """Whether it looks like a page of many abstracts, or a table of contents."""
        headings = Counter(found.casefold() for found in _HEADINGS.findall(self.text))
        several = sum(n > 1 for n in headings.values()) > 1
        return several or len(_LEADERS.findall(self.text)) > 3 or _BOOK.search(self.text[:_HEADER]) is not None

    def is_about_another(self, record: Record) -> bool:
        """Whether it corrects or supplements another paper, and the record does not."""
        return self.is_notice and not _NOTICE_TITLE.search(record.title)

    def share_of(self, title: str) -> float:
        """Return the largest share of a title's words that stand close together."""
        words = normal_title(title).split()
        if not words:
            return 0.0
        wanted, size = set(words), 3 + len(words) * 3 // 2
        at: dict[str, int] = {}
        best = 0
        for place, word in enumerate(self._words):
            if word in wanted:
                at[word] = place
                best = max(best, sum(place - last < size for last in at.values()))
        return best / len(wanted)

    def has_author(self, record: Record) -> bool:
        """Whether one of the first authors, or the last, is named; true where the record names none."""
        names = author_names(record.authors)
        # A short name such as Li is a part of many words.
        return not names or any(
            name[0] in (self.letters if len(name[0]) >= _LEAST_NAME else self._words)
            for name in (*names[:3], names[-1])
        )

    def title_of(self, record: Record) -> Title | None:
        """Return where a record's title stands at its best, None where it does not."""
        title = letters(record.title)
        words = [word for part in record.title.split() if (word := letters(part))]
        found = [
            Title(record, start, end, self._stand(record, start, end), self.letters[start:end] == title)
            for start, end in _occurrences(title, self.letters, words)
        ]
        if not found:
            return None
        noticed = [one for one in found if one.stand is Stand.NOTICE]
        return noticed[0] if noticed else max(found, key=lambda one: one.stand)

    def _stand(self, record: Record, start: int, end: int) -> Stand:
        first, last = self._places[start], self._places[end - 1] + 1
        before, after = self.text[max(0, first - NEAR) : first], self.text[last : last + NEAR]
        if before[-1:].isalnum() or after[:1].isalpha():
            return Stand.LONGER
        if before[-1:] == "[":  # a title that was translated
            before, after = before[:-1], after.lstrip(".]")
        is_top = start <= self._top and first < self._abstract
        if _cites_itself(before) and first < self.references:
            return Stand.CLEAN
        is_quoted = before.rstrip()[-1:] in _QUOTES and after.lstrip()[:1] in _QUOTES.values()
        if is_quoted or _NOTICE.search(" ".join(before[-_NOTICED:].split())):
            return Stand.NOTICE if is_top else Stand.CITED
        if first > self.references or _CITED_BEFORE.search(before) or _CITED_AFTER.search(after):
            return Stand.CITED
        is_longer = _GOES_ON_BEFORE.search(before) or self._goes_on(record, after)
        if is_longer or (end - start < _SHORT_TITLE and _may_begin_title(before)):
            return Stand.LONGER if is_top else Stand.CITED
        return Stand.CLEAN if is_top else Stand.LATE

    def _goes_on(self, record: Record, after: str) -> bool:
        """Whether a longer title begins with this one, by what stands between it and the first author."""
        if _GOES_ON.search(after):
            return True
        names = author_names(record.authors)
        if not names:
            return False
        given = normal_title(record.authors[0]).split()
        between = normal_title(after[:NEAR]).split()
        at = next((n for n, word in enumerate(between) if names[0][0] in word), None)
        if at is None:  # the authors stand above it: the line must end with it, and the next be no subtitle
            rest, _, following = after.partition("\n")
            return len(letters(rest)) > 2 or bool(_SUBTITLE.search(normal_title(following.partition("\n")[0])))
        return bool(
            _SUBTITLE.search(" ".join(word for word in between[:at] if word not in given and not word.isdigit()))
        )


def _cites_itself(before: str) -> bool:
    """Whether a page says right before a title how it is to be cited."""
    found = None
    for found in CITE_THIS.finditer(before):
        pass
    return found is not None and not _CITED_END.search(before[found.end() :])


def _may_begin_title(before: str) -> bool:
    """Whether the line before a title may be the beginning of it, and not a journal's name or a heading."""
    line = before.rstrip("\n ").rpartition("\n")[2]
    return len(line.split()) > 2 and line != line.upper() and not _HEADING_LINE.search(line)


def _occurrences(title: str, text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Return where a title, given in letters and in words, stands in a text of letters, or else where it nearly does."""
    found = [(m.start(), m.end()) for m in re.finditer(re.escape(title), text)] if title else []
    if found or not (most := most_faults(title)):
        return found
    bare, places = without_lost(text)
    found = [(places[m.start()], places[m.end() - 1] + 1) for m in re.finditer(re.escape(without_lost(title)[0]), bare)]
    found = [(start, end) for start, end in found if not GREEK.search(text[start:end])]
    near = None if found else _nearest(title, text, most)
    if near is not None and _is_misread(words, text[near[0] : near[1]]):
        found = [near]
    return found


def _is_misread(words: Sequence[str], found: str) -> bool:
    """Whether a text differs from these words only as one that was misread does: by a letter of a longer word.

    "Part I" and "Part II", "men" and "women", "phase 1" and "phase 2" are different papers.
    """
    word_at = [n for n, word in enumerate(words) for _ in word]
    wrong: set[int] = set()
    title = "".join(words)
    for what, a, b, c, d in SequenceMatcher(None, title, found, autojunk=False).get_opcodes():
        if what == "equal":
            continue
        word = word_at[min(a, len(word_at) - 1)]
        other = title[a:b] + found[c:d]
        if word in wrong or max(b - a, d - c) > 1 or len(words[word]) < _LEAST_MISREAD or any(map(str.isdigit, other)):
            return False
        wrong.add(word)
    return True


def _nearest(title: str, text: str, most: int) -> tuple[int, int] | None:
    """Return the place in a text that differs from a title by the fewest letters, None when by more than `most`."""
    found = sorted(
        m.start() - offset
        for offset in range(0, len(title) - GRAM + 1, GRAM)
        for m in re.finditer(re.escape(title[offset : offset + GRAM]), text)
    )
    whole = max(1, len(title) // GRAM - most)  # pieces that no fault can have touched
    best: tuple[int, int, int] | None = None
    done = tried = -1
    for first, last in zip(found, found[whole - 1 :], strict=False):
        if last - first > 2 * most or first <= done or tried >= _MOST_PLACES:
            continue
        done, tried = first + most, tried + 1
        low = max(0, first - most)
        faults, begin, end = _aligned(title, text[low : first + len(title) + 3 * most])
        if faults <= most and (best is None or faults < best[0]):
            best = faults, low + begin, low + end
    return None if best is None else best[1:]


def _aligned(title: str, window: str) -> tuple[int, int, int]:
    """Return by how many letters a title differs from the part of a window that is most like it, and that part."""
    row = [(0, at) for at in range(len(window) + 1)]  # faults, and where the part begins
    for i, letter in enumerate(title, 1):
        before, row = row, [(i, 0)]
        for j, other in enumerate(window, 1):
            row.append(
                min(
                    (before[j - 1][0] + (letter != other), before[j - 1][1]),
                    (before[j][0] + 1, before[j][1]),
                    (row[j - 1][0] + 1, row[j - 1][1]),
                )
            )
    end = min(range(len(row)), key=lambda at: row[at][0])
    return row[end][0], row[end][1], end
