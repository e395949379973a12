"""What is known of the records of a review that a PDF's name or first page may hold: identifiers, titles, authors."""

from __future__ import annotations

import re
import unicodedata
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from urllib.parse import unquote

import numpy as np

from ..dedupe.forms import author_names
from ..progress import Progress, no_progress
from ..project import Project
from ..records import Record, normal_title

LEAST_TITLE = 20  # letters that a title must have, so as not to be a word such as "Editorial"
_CJK = 2  # letters more that one of Chinese, Japanese or Korean counts for
_LEAST_OPENING = 30  # of a title that was cut, as reference managers cut them
GRAM = 10  # letters of a title that are looked up together
_LETTERS_A_FAULT = 25  # a title may differ from its record's by one letter in so many
_LONGEST_VALUE = 500  # characters of a field that may name the record itself; lists of references are longer
_NAMES_OTHERS = ("cr", "ref", "cited", "n2", "ab")  # how the names of fields begin that speak of other papers
_PDF_NAME = re.compile(r"[^/\\:;{}\"<>|*?]+\.pdf", re.IGNORECASE)
_PII = re.compile(
    r"(?<![^\W_])(?:S\s?(\d{4})[-\s]?(\d{3}[\dX])\s?\(?(\d\d)\)?\s?(\d{5})-?([\dX])|B(97[89]-?(?:\d-?){9}[\dX])\D?(\d{5})-?([\dX]))(?![^\W_])",
    re.IGNORECASE,
)
_ARXIV = re.compile(
    r"arxiv(?:\.org)?\s?[.:/]?\s?(?:abs/|pdf/)?(\d{4}\.\d{4,5}|[a-z-]{2,12}(?:\.[a-z]{2})?/\d{7})(?!\d)", re.IGNORECASE
)
_GREEK = {chr(c): unicodedata.name(chr(c)).split()[-1].lower() for c in range(0x3B1, 0x3CA)}
GREEK = re.compile("alpha|beta|gamma|delta|epsilon|kappa|lambda|sigma|omega")
_LOST = re.compile(f"f+[il]?|{GREEK.pattern}")
_PARTICLES = frozenset("van von der den de del della di da dos du la le el al ten ter bin ibn zu zur".split())


class Known:
    """What identifies the records of a review, kept while a folder of PDFs is matched.

    Parameters
    ----------
    project : Project
    progress : callable
        See `ranking.review.ReviewModel`.

    Attributes
    ----------
    n_records : int
        How many records the review had when they were read.
    corrections : mapping
        The corrections that they had then (see `log.CurrentState`).
    """

    def __init__(self, project: Project, progress: Progress = no_progress) -> None:
        review = project.snapshot()
        self.n_records, self.corrections = review.n_records, review.live.corrections
        self._project = project
        self._by: dict[str, tuple[int, ...]] = {}
        by_title: dict[str, tuple[int, ...]] = {}
        grams, owners = array("q"), array("q")
        self._least_hits = array("H", [0] * (self.n_records + 1))
        with progress("Reading the records") as tick:
            for record in review.records.read():
                if record.number > self.n_records:  # imported since
                    break
                for name in _keys(record):
                    _put(self._by, name, record.number)
                title = normal_title(record.title)
                if is_long(title):
                    _put(by_title, title, record.number)
                    plain, _ = without_lost(letters(record.title))
                    self._least_hits[record.number] = _least_hits(plain)
                    for gram in _grams(plain):
                        grams.append(hash(gram))
                        owners.append(record.number)
                if record.number % 1_000 == 0:
                    tick(record.number, self.n_records)
        self._by_title = by_title
        self._titles = sorted(by_title)
        hashes, numbers = np.array(grams, dtype=np.int64), np.array(owners, dtype=np.int64)
        order = np.argsort(hashes, kind="stable")
        self._grams, self._owners = hashes[order], numbers[order]

    def kept(self, record_ids: Iterable[int]) -> list[int]:
        """Return the records that stand for these, over duplicate groups, ascending."""
        live = self._project.live()
        return sorted({live.kept(record_id) for record_id in record_ids})

    def copies(self, record_id: int) -> list[Record]:
        """Return a record and those of its duplicate group."""
        live = self._project.live()
        return self.read(live.members(record_id))

    def read(self, record_ids: Iterable[int]) -> list[Record]:
        """Return these records."""
        return list(self._project.records.read(record_ids))

    def by(self, kind: str, value: str) -> tuple[int, ...]:
        """Return the records that have an identifier: a doi, a doi's end, a pmid, pii, arxiv, file or author and year."""
        return self._by.get(f"{kind} {value}", ())

    def numbered(self, number: str) -> tuple[int, ...]:
        """Return the record of our number."""
        return (int(number),) if 1 <= int(number) <= self.n_records else ()

    def titled(self, title: str) -> tuple[int, ...]:
        """Return the records of a title in its normal form."""
        return self._by_title.get(title, ())

    def opening(self, wanted: str) -> tuple[int, ...]:
        """Return the records whose titles begin so, where that is long enough to say something."""
        if len(wanted) < _LEAST_OPENING:
            return ()
        found: list[int] = []
        at = bisect_left(self._titles, wanted)
        while at < len(self._titles) and self._titles[at].startswith(wanted):
            found += self._by_title[self._titles[at]]
            at += 1
        return tuple(found)

    def titles_within(self, text: str) -> list[Record]:
        """Return the records whose titles may stand in a text of letters: enough of each title's pieces do."""
        text, _ = without_lost(text)
        hashes = np.array(sorted({hash(text[i : i + GRAM]) for i in range(len(text) - GRAM + 1)}), dtype=np.int64)
        first, last = (np.searchsorted(self._grams, hashes, side) for side in ("left", "right"))
        hits: Counter[int] = Counter()
        for start, end in zip(first[first < last], last[first < last], strict=True):
            hits.update(self._owners[start:end].tolist())
        return self.read(number for number, n in hits.items() if n >= self._least_hits[number])


def _put(into: dict[str, tuple[int, ...]], name: str, number: int) -> None:
    before = into.get(name, ())
    if number not in before[-1:]:
        into[name] = (*before, number)


def _grams(title: str) -> Iterator[str]:
    """Yield the pieces of a title, one after the other."""
    yield from (title[at : at + GRAM] for at in range(0, len(title) - GRAM + 1, GRAM))


def most_faults(title: str) -> int:
    """Return by how many letters a title in a PDF may differ from that of its record."""
    return len(title) // _LETTERS_A_FAULT if len(title) >= _LEAST_OPENING else 0


def _least_hits(title: str) -> int:
    """Return how many pieces of a title are whole where it has as many faults as it may."""
    return min(max(1, len(set(_grams(title))) - most_faults(title)), 2**16 - 1)


def letters(text: str) -> str:
    """Return the letters and digits of a text as one word: case, accents, ligatures, hyphens and line ends dropped."""
    if text.isascii():
        return "".join(filter(str.isalnum, text.lower()))
    return "".join(_letter(c) for c in text)


def lettered(text: str) -> tuple[str, list[int]]:
    """Return `letters` of a text, and where in it each of them stands."""
    found: list[str] = []
    places: list[int] = []
    for at, c in enumerate(text):
        for letter in _letter(c):
            found.append(letter)
            places.append(at)
    return "".join(found), places


def without_lost(text: str) -> tuple[str, list[int]]:
    """Return a text of letters without what is set in a font of its own and may be missing, and where each was.

    That is f with i or l, which many fonts have as one sign, and Greek letters. The f of "of" goes with them, since "of
    flu" and "offlu" are one here.
    """
    places: list[int] = []
    last = 0
    for found in _LOST.finditer(text):
        places += range(last, found.start())
        last = found.end()
    places += range(last, len(text))
    return "".join(text[at] for at in places), places


def _letter(c: str) -> str:
    if c.isascii():
        return c.lower() if c.isalnum() else ""
    plain = "".join(filter(str.isalnum, unicodedata.normalize("NFKD", c).casefold()))
    return "".join(_GREEK.get(letter, letter) for letter in plain)


def is_latin(title: str) -> bool:
    """Whether a title is in letters, not in the signs of Chinese, Japanese or Korean, each of which says more."""
    return not any("\u2e80" <= c <= "\ud7a3" for c in title)


def is_long(title: str) -> bool:
    """Whether a title in its normal form says enough to speak for itself."""
    return len(title) + _CJK * sum("\u2e80" <= c <= "\ud7a3" for c in title) >= LEAST_TITLE


def piis_in(text: str) -> Iterator[tuple[str, int]]:
    """Yield each publisher's number of an article (PII) that a text holds, in letters, and where it stands."""
    for found in _PII.finditer(text):
        yield ("s" if found[1] else "b") + letters("".join(filter(None, found.groups()))), found.start()


def arxivs_in(text: str) -> Iterator[tuple[str, int]]:
    """Yield each arXiv number that a text holds, and where it stands."""
    for found in _ARXIV.finditer(text):
        yield found[1].lower(), found.start()


def families(author: str) -> set[str]:
    """Return the family name of an author as files may be named by it: whole, and its first and last words."""
    found = {letters(part) for part in author.split() if not part.isalpha() and len(letters(part)) > 2}
    if "," in author:
        words = normal_title(author.partition(",")[0]).split()
        found |= {"".join(words), *(word for word in words[:1] + words[-1:] if word not in _PARTICLES)}
    return {name for name in (*found, *(name[0] for name in author_names([author]))) if name}


def bare_family(words: list[str]) -> list[str]:
    """Return the words of a name without the particles and initials before the family name."""
    at = 0
    while at < len(words) - 1 and (len(words[at]) <= 2 or words[at] in _PARTICLES):
        at += 1
    return words[at:]


def _keys(record: Record) -> Iterator[str]:
    if record.doi:
        yield f"doi {letters(record.doi)}"
        yield f"end {letters(record.doi.partition('/')[2])}"
    if record.pmid:
        yield f"pmid {record.pmid}"
    if record.authors and record.year:
        # "Smith, J and Wu, L" is what a table made from BibTeX has.
        for family in families(record.authors[0].split(" and ")[0]):
            yield f"author {family} {record.year}"
    own = {record.doi, *_own_values(record.extra)}
    yield from {f"pii {number}" for value in own for number, _ in piis_in(unquote(value))}
    yield from {f"arxiv {number}" for value in own for number, _ in arxivs_in(value)}
    for values in record.extra.values():
        for value in values:
            if ".pdf" in value.lower():
                for name in _PDF_NAME.findall(unquote(value)):
                    yield f"file {name.strip().casefold()}"


def _own_values(extra: Mapping[str, Collection[str]]) -> Iterator[str]:
    for name, values in extra.items():
        if not name.lower().startswith(_NAMES_OTHERS) and len(values) <= 10:
            yield from (value for value in values if len(value) <= _LONGEST_VALUE)
