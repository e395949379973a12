"""Which record a PDF's file name means."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from ..records import Record, normal_title
from .known import Known, bare_family, families, is_long, letters, piis_in

_LEAST_SUFFIX = 6  # characters that the end of a DOI must have, so as not to be a word
_MOST_NAMES = 8  # words before a year that may be authors
_RECORD = re.compile(r"(?:record|rec|id|#)[\s_#-]*0*([1-9]\d{0,9})", re.IGNORECASE)
_PMID = re.compile(r"pmid[\s_:-]*0*([1-9]\d{0,8})", re.IGNORECASE)
_NUMBER = re.compile(r"0*([1-9]\d{0,9})")
_DOI = re.compile(r"(?:doi[\s_:.-]*)?10\.\d{4,9}\D", re.IGNORECASE)
_PII_NAME = re.compile(r"(?:\d-s\d\.\d-)?([SB]\d[\dX() -]{14,30})(?:[-_ ]?main)?", re.IGNORECASE)
_ARXIV_NAME = re.compile(r"(?:arxiv[\s_:.-]*)?(\d{4}\.\d{4,5})(?:v\d{1,2})?", re.IGNORECASE)
_AGAIN = re.compile(r"\s*(?:\(\d{1,2}\)|\[\d{1,2}\]|- ?copy(?: \(\d+\))?)$", re.IGNORECASE)  # of a file that is there
_YEAR = re.compile(r"(?:^|\s)(?:19|20)\d\d(?=\s)")
# "Smith et al., 2010a", "smith2010peer": the authors, the year, the letter that tells papers of a year apart, the rest.
_AUTHOR_YEAR = re.compile(
    r"(?P<authors>[^\W\d_][^\d]{0,100}?)[\W_]*(?P<year>(?:19|20)\d\d)(?!\d)(?:(?P<letter>[a-h])(?![^\W_]))?(?P<rest>.*)",
    re.IGNORECASE,
)
_YEAR_AUTHOR = re.compile(
    r"(?P<year>(?:19|20)\d\d)(?P<letter>[a-h])?[\W_]+(?P<authors>[^\W\d_][^\d_]{0,100})(?P<rest>)", re.IGNORECASE
)
_OTHERS = re.compile(r"[\s_.,(]*(?:\bet[\s_.]*al\b|_et_?al(?=_|\W|$)|and others).*", re.IGNORECASE)
_BETWEEN = re.compile(r"\s*(?:&|;|,|_|\+|\band\b|\s-\s)\s*", re.IGNORECASE)


class Trust(enum.IntEnum):
    """How far a name alone is trusted."""

    GUESS = 1  # the first page must agree, where it has text
    LIKELY = 2  # the first page must not speak against it
    SURE = 3  # says which record it is


@dataclass(frozen=True, slots=True)
class Named:
    """What a file's name says.

    Attributes
    ----------
    records : list of int
        Over duplicate groups, those that it may mean; one where it is clear.
    by : str
        What in the name says so.
    trust : Trust
    is_half : bool
        Whether it says only half of it, so that it takes the first page to know.
    """

    records: list[int]
    by: str = ""
    trust: Trust = Trust.GUESS
    is_half: bool = False


def record_named(known: Known, name: str) -> Named:
    """Return the records, over duplicate groups, that a file of this name may be of.

    In this order: "record 12" or "12" by our number (or a PubMed number); a name that the record itself gives, as
    exports of reference managers do; a DOI, its "/" written in any way, or the part after it; "pmid 123"; a
    publisher's number ("1-s2.0-S0140673605177095-main") or that of arXiv; the title, by itself or after the year
    ("Smith et al. - 2001 - Title"); the first author and the year.
    """
    stem = Path(name).stem.strip()
    while (shorter := _AGAIN.sub("", stem).strip()) != stem:
        stem = shorter
    for found, by, trust, is_half in _meanings(known, Path(name).name.casefold(), stem):
        if found:
            return Named(known.kept(found), by, trust, is_half)
    return Named([])


def _meanings(known: Known, name: str, stem: str) -> Iterator[tuple[Sequence[int], str, Trust, bool]]:
    if number := _RECORD.fullmatch(stem):
        yield known.numbered(number[1]), "its number", Trust.SURE, False
    if number := _NUMBER.fullmatch(stem):
        both = {*known.numbered(number[1]), *known.by("pmid", number[1])}
        yield sorted(both), "its number", Trust.LIKELY, False
    yield known.by("file", name), "the name that the record gives", Trust.GUESS, False
    plain = letters(unquote(stem))
    if _DOI.match(unquote(stem)):
        yield known.by("doi", plain.removeprefix("doi")), "the DOI in its name", Trust.SURE, False
    if len(plain) >= _LEAST_SUFFIX and any(c.isdigit() for c in plain):
        yield known.by("end", plain), "the end of its DOI in its name", Trust.LIKELY, False
    if number := _PMID.fullmatch(stem):
        yield known.by("pmid", number[1]), "the PMID in its name", Trust.SURE, False
    if (number := _PII_NAME.fullmatch(stem)) and (pii := next(piis_in(number[1]), None)):
        yield known.by("pii", pii[0]), "the publisher's number in its name", Trust.SURE, False
    if number := _ARXIV_NAME.fullmatch(stem):
        yield known.by("arxiv", number[1]), "the arXiv number in its name", Trust.SURE, False
    title = normal_title(stem)
    after_year = _YEAR.search(title)
    for wanted, before in (
        (title, ""),
        (title[after_year.end() :].strip(), title[: after_year.end()]) if after_year else ("", ""),
    ):
        if is_long(wanted):
            titled, opening = known.titled(wanted), known.opening(wanted)
            is_others = not _is_by(known.read(titled or opening), before)
            yield titled, "the title in its name", Trust.LIKELY, is_others
            yield opening, "the beginning of its title in its name", Trust.GUESS, is_others
    for shape in (_AUTHOR_YEAR, _YEAR_AUTHOR):
        if found := shape.fullmatch(stem):
            records, is_half = _by_author(known, found)
            yield records, "author and year", Trust.GUESS, is_half


def _is_by(records: Sequence[Record], named: str) -> bool:
    """Whether one of these records may be by the authors and of the year that stand before a title."""
    year = int(named.split()[-1]) if named else None
    return any(
        (year is None or not record.year or abs(record.year - year) <= 1)
        and (
            not named.split()[:-1]
            or not record.authors
            or any(f in letters(named) for f in families(record.authors[0]))
        )
        for record in records
    )


def _by_author(known: Known, found: re.Match[str]) -> tuple[list[int], bool]:
    """Return the records of a first author and a year, and whether anything else that is said remains open."""
    names = [normal_title(one).split() for one in _BETWEEN.split(_OTHERS.sub("", found["authors"]))]
    first, *others = [words for words in names if words] or [[]]
    if not first or sum(map(len, names)) > _MOST_NAMES:
        return [], False
    bare = bare_family(first)
    for family in dict.fromkeys(("".join(first), "".join(bare), bare[0])):
        candidates = known.read(known.by("author", f"{family} {found['year']}"))
        if candidates:
            break
    # Of two authors "and" is between, and of one there may be given names: "Smith_John_2010".
    known_others = ["".join(bare_family(words)) for words in others if len("".join(words)) > 2]
    rest = [word for word in normal_title(found["rest"]).split() if len(word) > 2 and not word.isdigit()]
    fitting = [one for one in candidates if _fits(one, known_others, rest)]
    return [one.number for one in fitting or candidates], bool(found["letter"]) or not fitting


def _fits(record: Record, others: Sequence[str], rest: Sequence[str]) -> bool:
    """Whether a record has these authors besides the first, and these words in its title or journal."""
    written = letters(" ".join(record.authors))
    words = letters(f"{record.title} {record.journal}")
    return all(name in written for name in others) and all(word in words for word in rest)
