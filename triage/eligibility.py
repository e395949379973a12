"""Language, date and type limits: what a record must be to be screened at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

from .protocol.languages import language_name
from .protocol.model import Limits
from .records import Record

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# What a language field holds where the source does not know, or does not name just one language.
_NO_LANGUAGE = frozenset(
    {
        "",
        "-",
        "na",
        "n/a",
        "nan",
        "nr",
        "none",
        "null",
        "other",
        "und",
        "undetermined",
        "unknown",
        "unspecified",
        "not specified",
        "not available",
        "mul",
        "mis",
        "zxx",
        "multiple",
        "multiple languages",
        "multilingual",
    }
)
_OF_THE_ABSTRACT = re.compile(r"\b(?:abstracts?|summary|summaries)\b")
# Each kind of publication under the names that databases give it (PubMed, Embase, Scopus, Web of
# Science, PsycINFO). A type that is not here is compared as it is written.
_TYPE_NAMES = (
    ("editorial", "editorial material"),
    ("letter", "letter to the editor", "correspondence"),
    ("comment", "commentary"),
    ("erratum", "errata", "corrigendum", "corrigenda", "correction", "published erratum"),
    (
        "retraction",
        "retracted",
        "retracted article",
        "retracted publication",
        "retraction of publication",
        "retraction notice",
    ),
    ("protocol", "study protocol", "trial protocol", "clinical trial protocol", "review protocol"),
    ("conference abstract", "meeting abstract", "congress abstract"),
    ("conference paper", "proceedings paper", "conference article"),
    ("review", "review article", "literature review"),
    ("case report", "clinical case report"),
    ("news", "news item", "newspaper article", "magazine article"),
    ("book chapter", "chapter", "book section"),
    ("thesis", "theses", "dissertation", "doctoral dissertation", "academic dissertation"),
    ("preprint", "posted content", "posted-content"),
)
_TYPE_FIELDS = frozenset({"pt", "m3", "dt", "publicationtype", "documenttype"})
_DATE_FIELDS = frozenset({"dp", "da", "py", "y1", "pd", "date", "publicationdate", "coverdate"})
_ONLINE_FIELDS = frozenset({"dep", "ea", "earlyaccessdate", "electronicdateofpublication", "edate"})
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LEAST_CHARACTERS = 40  # a shorter text is too little for a detector
_PIECE = 600  # characters that the detector is shown at a time
_LEAST_PROBABILITY = 0.95


@dataclass(frozen=True, slots=True)
class Removal:
    """A limit that a record breaks by its own fields: its kind (language, date, type) and why."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A limit that a record seems to break, though no field of it says so: a person decides."""

    kind: str
    reason: str


def check(record: Record, limits: Limits) -> Removal | Proposal | None:
    """Hold a record against the limits; None when it breaks none, or nothing is known against it.

    What the record's own fields say removes it. Where they do not say the language, its title and a
    language detector may propose, and never remove.

    Parameters
    ----------
    record : Record
    limits : Limits

    Returns
    -------
    Removal, Proposal or None
        The first limit broken, in the order language, date, type; a proposal only where no field
        removes the record.
    """
    stated = _stated_language(record, limits)
    if isinstance(stated, Removal):
        return stated
    return _date(record, limits) or _type(record, limits) or stated or _seeming_language(record, limits)


# -- language ---------------------------------------------------------------------------------


def languages_of(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read a language field such as "eng; fre", "English" or "Chinese (Simplified)".

    Returns
    -------
    names : tuple of str
        English names of the languages, in the order of the field.
    unknown : tuple of str
        Parts of the field that name no known language.
    """
    names: dict[str, None] = {}
    unknown: list[str] = []
    bare = re.sub(r"\([^()]*\)", " ", text.casefold())
    bare = " ".join(re.sub(r"[\[\]()\"']|\b(?:language|text|in)\b:?", " ", bare).split())
    for part in [bare] if bare in _NO_LANGUAGE else re.split(r"\s*(?:[;,/|&+\n]|\band\b)\s*", bare):
        # "en-US" and "zh_CN" name a country after the language; "English abstract" is not the text's.
        part = re.sub(r"^([a-z]{2,3})[-_][a-z]{2,4}$", r"\1", part.strip(" ."))
        if part in _NO_LANGUAGE or _OF_THE_ABSTRACT.search(part):
            continue
        whole = language_name(part)
        # "Brazilian Portuguese": one word of several; short ones are codes only when they are the whole value.
        worded = [name for word in part.split() if len(word) > 3 and (name := language_name(word))]
        if whole or worded:
            names[whole or worded[-1]] = None
        else:
            unknown.append(part)
    return tuple(names), tuple(unknown)


def _allowed(limits: Limits) -> dict[str, None]:
    return {language_name(text) or text: None for text in limits.languages}


def _allowing(limits: Limits) -> str:
    return f"the protocol allows {', '.join(_allowed(limits))}"


def _stated_language(record: Record, limits: Limits) -> Removal | Proposal | None:
    if not limits.languages:
        return None
    names, unknown = languages_of(record.language)
    if not (names or unknown) or any(name in _allowed(limits) for name in names):
        return None
    if unknown:
        return Proposal(
            "language",
            f"its language field says {record.language!r}, which is not a language known here; {_allowing(limits)}",
        )
    return Removal("language", f"written in {', '.join(names)}; {_allowing(limits)}")


def _seeming_language(record: Record, limits: Limits) -> Proposal | None:
    if not limits.languages or any(languages_of(record.language)):
        return None
    allowed = _allowed(limits)
    # MEDLINE and Embase put the English title of an article in another language into brackets, with
    # or without the language's name; its abstract is English too, so no detector can see it.
    marked = re.search(r"\[([A-Za-z ]+)\]\.?$", record.title)
    if marked and (named := language_name(marked.group(1))) and named not in allowed:
        return Proposal("language", f"no language given, and its title ends in [{named}]; {_allowing(limits)}")
    if list(allowed) == ["English"] and re.fullmatch(r"\[[^\[\]]+\]\W*", record.title):
        return Proposal(
            "language",
            f"no language given, and its title is in brackets, as databases mark a translated one; {_allowing(limits)}",
        )
    text = f"{record.title} {record.abstract}".strip()
    detected = _detected(text[:_PIECE])
    if detected is None or detected in allowed or _may_be_allowed(record.title, text[_PIECE:], detected, allowed):
        return None
    return Proposal("language", f"no language given, a detector takes it for {detected}; {_allowing(limits)}")


def _may_be_allowed(title: str, later: str, detected: str, allowed: Mapping[str, None]) -> bool:
    """Tell whether a text that begins in another language may be of an article in an allowed one.

    Journals of several languages print the abstract in each of them, in any order, and only the title
    is in the article's own: where it shows which of the two it is, that settles it, and else any part of
    the abstract does.
    """
    chances = _chances(title)
    one, other = sum(chances.get(name, 0.0) for name in allowed), chances.get(detected, 0.0)
    if max(one, other) >= _LEAST_PROBABILITY * (one + other) > 0:
        return one > other
    return any(_detected(later[at : at + _PIECE]) in allowed for at in range(0, len(later), _PIECE))


def _detected(text: str) -> str | None:
    """Return the language that a detector is sure of, None otherwise."""
    return next((name for name, chance in _chances(text).items() if chance >= _LEAST_PROBABILITY), None)


def _chances(text: str) -> dict[str, float]:
    """Return a detector's probability of each language; empty when the text is too short to judge."""
    if len(text) < _LEAST_CHARACTERS:
        return {}
    return {language_name(code) or code: float(chance) for code, chance in _detector().rank(text)}


@lru_cache(maxsize=1)
def _detector() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


# -- date -------------------------------------------------------------------------------------


def _date(record: Record, limits: Limits) -> Removal | None:
    if record.year is None or (limits.published_from is None and limits.published_to is None):
        return None
    first, last = _months(record)
    # Published online a year before the issue: the search that found the record took either date.
    online = [year for value in _values(record.extra, _ONLINE_FIELDS) for year in _years(value)]
    if limits.published_from is not None:
        after = (limits.published_from.year, limits.published_from.month)
        if (record.year, last or 12) < after and all((year, 12) < after for year in online):
            return Removal(
                "date",
                f"published {_when(record.year, last)}; the protocol begins with {limits.published_from.isoformat()}",
            )
    if limits.published_to is not None:
        earliest = date(record.year, first or 1, 1)
        if earliest > limits.published_to and all(date(year, 1, 1) > limits.published_to for year in online):
            return Removal(
                "date",
                f"published {_when(record.year, first)}; the protocol ends with {limits.published_to.isoformat()}",
            )
    return None


def _when(year: int, month: int | None) -> str:
    return str(year) if month is None else f"{year}-{month:02}"


def _months(record: Record) -> tuple[int | None, int | None]:
    """Return the first and last month that a date field gives for the record's year, or (None, None)."""
    for value in _values(record.extra, _DATE_FIELDS):
        years = _years(value)
        if years and record.year not in years:
            continue
        numeric = re.match(rf"\W*{record.year}(?:\W(\d{{1,2}})(?!\d)|(\d\d)\d\d$)", value.strip())
        words = [w for w in re.findall(r"\b([a-z]{3})[a-z]*", value.casefold()) if w in _MONTHS]
        if numeric and 1 <= (month := int(numeric.group(1) or numeric.group(2))) <= 12:
            return month, month
        if words:
            first, last = _MONTHS.index(words[0]) + 1, _MONTHS.index(words[-1]) + 1
            # "2010 Dec-2011 Jan" goes on into the next year.
            return first, last if last >= first else 12
    return None, None


def _years(text: str) -> list[int]:
    return [int(year) for year in re.findall(r"(?<!\d)(1[5-9]\d\d|20\d\d)(?=\D|$|\d{4}\b)", text)]


def _values(extra: Mapping[str, tuple[str, ...]], fields: frozenset[str]) -> Iterator[str]:
    """Yield the values of the fields of these names, compared as lower-case letters only."""
    for name, values in extra.items():
        if "".join(c for c in name.casefold() if c.isalnum()) in fields:
            yield from values


# -- publication type -------------------------------------------------------------------------


def _type(record: Record, limits: Limits) -> Removal | None:
    if not limits.exclude_types:
        return None
    fields = (record.type, *_values(record.extra, _TYPE_FIELDS))
    whole = [part.strip() for field in fields for part in re.split(r"[;|\n]", field)]
    # "Erratum/Correction", "Journal: Letter" and "Article, Editorial" hold two names each.
    types = {_singular(name): part for part in whole for name in (part, *re.split(r"[,:/]", part))}
    for excluded in limits.exclude_types:
        for name in _names_of(excluded):
            if name in types:
                return Removal("type", f"its type is {types[name]!r}; the protocol excludes {excluded!r}")
    return None


def _singular(text: str) -> str:
    words = " ".join(text.casefold().split())
    return words if words.endswith(("ss", "is", "us", "news")) else words.removesuffix("s")


def _names_of(excluded: str) -> list[str]:
    """Return the names under which databases know an excluded type."""
    wanted = _singular(excluded)
    kind = next((names for names in _TYPE_NAMES if wanted in map(_singular, names)), (wanted,))
    return [_singular(name) for name in kind]
