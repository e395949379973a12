"""Language, date and type limits: what a record must be to be screened at all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from .protocol import Limits
from .records import Record

# ISO 639 codes (two letters; both three-letter forms) and names of the languages that bibliographic
# databases hold in number; a language not listed is compared as it is written.
_LANGUAGES = """
en eng English|fr fre fra French|de ger deu German|es spa Spanish Castilian|it ita Italian|pt por Portuguese
nl dut nld Dutch Flemish|da dan Danish|sv swe Swedish|no nor nob nno Norwegian|fi fin Finnish|is ice isl Icelandic
pl pol Polish|cs cze ces Czech|sk slo slk Slovak|sl slv Slovenian Slovene|hr hrv scr Croatian|sr srp scc Serbian
bs bos Bosnian|mk mac mkd Macedonian|bg bul Bulgarian|ro rum ron Romanian|hu hun Hungarian|el gre ell Greek
ru rus Russian|uk ukr Ukrainian|be bel Belarusian|lt lit Lithuanian|lv lav Latvian|et est Estonian
tr tur Turkish|az aze Azerbaijani|ka geo kat Georgian|hy arm hye Armenian|he heb Hebrew|ar ara Arabic
fa per fas Persian Farsi|ur urd Urdu|hi hin Hindi|bn ben Bengali|ta tam Tamil|te tel Telugu|th tha Thai
vi vie Vietnamese|id ind Indonesian|ms may msa Malay|tl tgl Tagalog|zh chi zho Chinese Mandarin|ja jpn Japanese
ko kor Korean|mn mon Mongolian|ca cat Catalan|eu baq eus Basque|gl glg Galician|ga gle Irish|cy wel cym Welsh
af afr Afrikaans|sq alb sqi Albanian|sw swa Swahili|am amh Amharic
"""
_NAME_OF = {
    word.casefold(): words[-1] if len(words) < 4 else next(w for w in words if w[0].isupper())
    for entry in _LANGUAGES.replace("\n", "|").split("|") if (words := entry.split())
    for word in words
}
_UNKNOWN_LANGUAGE = {"", "und", "mul", "mis", "zxx", "undetermined", "unknown", "multiple", "multilingual"}
_TYPE_WORDS = {
    "letter": ("letter", "correspondence"),
    "comment": ("comment", "commentary"),
    "erratum": ("erratum", "errata", "corrigendum", "correction", "published erratum"),
    "retraction": ("retraction", "retracted publication", "retraction of publication", "retracted"),
    "protocol": ("protocol", "study protocol", "clinical trial protocol"),
    "editorial": ("editorial", "editorial material"),
    "conference abstract": ("conference abstract", "meeting abstract", "congress"),
    "note": ("note",),
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LEAST_CHARACTERS = 40      # a shorter text is too little for a detector
_LEAST_PROBABILITY = 0.95


@dataclass(frozen=True, slots=True)
class Removal:
    """A limit that a record breaks by its own fields: its kind (language, date, type) and why."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A limit that a record seems to break by a detector alone: a person decides."""

    kind: str
    reason: str


def check(record: Record, limits: Limits) -> Removal | Proposal | None:
    """Hold a record against the limits; None when it breaks none, or nothing is known against it.

    The record's own fields go first. A language detector speaks only where the language is missing,
    and then only proposes.
    """
    return _language(record, limits) or _date(record, limits) or _type(record, limits)


def language_names(text: str) -> tuple[str, ...]:
    """Return the English names of the languages in a field such as "eng; fre" or "English"."""
    words = [w.strip().casefold() for w in re.split(r"[;,/|&]|\band\b", re.sub(r"[\[\]()]", " ", text))]
    # "en-US" and "zh_CN" name a country after the language.
    short = [re.sub(r"^([a-z]{2,3})[-_][a-z]{2,4}$", r"\1", w) for w in words]
    return tuple(dict.fromkeys(_NAME_OF.get(w, w.title()) for w in short if w not in _UNKNOWN_LANGUAGE))


def _language(record: Record, limits: Limits) -> Removal | Proposal | None:
    if not limits.languages:
        return None
    allowed = {name for text in limits.languages for name in language_names(text)}
    told = f"the protocol allows {', '.join(sorted(allowed))}"
    found = language_names(record.language)
    if found:
        if allowed.intersection(found):
            return None
        return Removal("language", f"written in {', '.join(found)}; {told}")
    # Databases put a translated title in brackets, "[Effets de ...]", and the abstract in English.
    detected = _detected(record.abstract or record.title)
    if detected is not None and detected not in allowed:
        return Proposal("language", f"no language given, and a detector takes it for {detected}; {told}")
    return None


def _detected(text: str) -> str | None:
    """Return the language that a detector is sure of, None otherwise."""
    if len(text) < _LEAST_CHARACTERS:
        return None
    code, probability = _detector().classify(text)
    return _NAME_OF.get(code, code) if probability >= _LEAST_PROBABILITY else None


@lru_cache(maxsize=1)
def _detector():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _date(record: Record, limits: Limits) -> Removal | None:
    if record.year is None:
        return None
    month = _month(record)
    earliest = date(record.year, month or 1, 1)
    latest = date(record.year, month or 12, 31 if (month or 12) == 12 else 28)
    if limits.published_from is not None and latest < limits.published_from.replace(day=1):
        return Removal("date", f"published {_when(record.year, month)}, before {limits.published_from.isoformat()}")
    if limits.published_to is not None and earliest > limits.published_to:
        return Removal("date", f"published {_when(record.year, month)}, after {limits.published_to.isoformat()}")
    return None


def _when(year: int, month: int | None) -> str:
    return str(year) if month is None else f"{year}-{month:02}"


def _month(record: Record) -> int | None:
    """Return the month that a date field gives for the record's year, such as "2010 Aug 3"."""
    for name in ("DP", "DA", "PY", "Y1", "Date", "date"):
        for value in record.extra.get(name, ()):
            found = re.match(rf"\s*{record.year}\s*[-/ ]\s*(\d{{1,2}}|[A-Za-z]{{3}})", value)
            if found is None:
                continue
            word = found.group(1).lower()
            month = int(word) if word.isdigit() else _MONTHS.index(word) + 1 if word in _MONTHS else 0
            if 1 <= month <= 12:
                return month
    return None


def _type(record: Record, limits: Limits) -> Removal | None:
    types = [" ".join(part.casefold().split()) for part in re.split(r"[;|]", record.type) if part.strip()]
    for excluded in limits.exclude_types:
        for word in _synonyms(excluded):
            for found in types:
                if found == word or found == f"{word}s":
                    return Removal("type", f"its type is {found!r}; the protocol excludes {excluded!r}")
    return None


def _synonyms(excluded: str) -> Iterable[str]:
    name = excluded.casefold().strip()
    for key, words in _TYPE_WORDS.items():
        if name in (key, f"{key}s", *words):
            return words
    return (name, name.removesuffix("s"))
