"""Authors that a source writes into one value, one each."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .common import folded, one_line
from .markup import plain

_SIGNS = (";", "\u2026", "...", ". . .", "&", " and ", " et al")  # of several names in one value
_ELLIPSIS = re.compile(r",?\s*(?:\u2026|\.\s?\.\s?\.)\s*,?\s*(?:(?:&|and)\s+)?")
_OTHERS = re.compile(r"\s*(?:,\s*|\s)(?:et al\.?|and others)\s*\Z", re.IGNORECASE)
_BETWEEN = re.compile(r",?\s+(?:and|&)\s+")
_MONONYM = re.compile(r"[^\W\d_a-z][^\W\d_]{2,20}")
_DOTTED = re.compile(r"(?:[^\W\d_]\.[ -]?){1,4}")  # "R. A."
# "van der Helm JJ", "Roe R.-A."
_FAMILY_FIRST = re.compile(r"(?:[^\W\d_][\w'\u2019-]*\s){1,5}(?:[^\W\d_a-z]{1,4}|(?:[^\W\d_a-z]\.-?){1,4})")
_AND = re.compile(r"\A(?:and|&)\s+", re.IGNORECASE)


def one_each(values: Sequence[str]) -> tuple[str, ...]:
    """Return authors one each: values that hold several are split at semicolons, else at commas between whole names."""
    if not values:
        return ()
    joined = "|".join(values)
    few = joined.count(",") <= len(values) - (len(values) == 1)
    if few and not any(sign in joined for sign in _SIGNS):  # as most are
        return folded(values, joined)
    found: list[str] = []
    for value in values:
        value = _OTHERS.sub("", plain(value))
        if "," in value and ";" not in value:
            value = _ELLIPSIS.sub(", ", value)
        parts = [one_line(part) for part in (value.split(";") if ";" in value else _at_words(value))]
        found += [name for n, part in enumerate(parts) if (name := _AND.sub("", part, count=1) if n else part)]
    return tuple(found)


def _at_words(text: str) -> list[str]:
    """Split "Roe, A. and Poe, B.", "Roe RA, Poe B & Doe C" at the words between whole names; see `_at_commas`, too."""
    parts = _BETWEEN.split(text)
    if len(parts) > 1 and all("," in part or _FAMILY_FIRST.fullmatch(part.strip()) for part in parts):
        several = _at_commas(text)  # of initials alone, "Roe, R. A., & Doe, C." is one list
        return several if len(several) > len(parts) else [name for part in parts for name in _at_commas(part)]
    return _at_commas(text)


def _at_commas(text: str) -> list[str]:
    """Split "Roe RA, van der Poe B" and "Roe, R. A., Poe, B., & Doe, C."; anything else is one name."""
    parts = [part.strip() for part in text.split(",")]
    whole = [_AND.sub("", part, count=1) for part in parts]
    if len(parts) > 1 and all(map(_FAMILY_FIRST.fullmatch, whole)):
        return whole
    named = sum(_FAMILY_FIRST.fullmatch(part) is not None for part in whole)
    if (
        named > 1
        and len(parts) == named + 1
        and all(_FAMILY_FIRST.fullmatch(p) or _MONONYM.fullmatch(p) for p in whole)
    ):
        return whole
    families, initials = parts[0::2], parts[1::2]
    several = len(parts) > 3 and len(families) == len(initials)
    if several and all(map(_DOTTED.fullmatch, initials)) and not any(map(_DOTTED.fullmatch, families)):
        return [f"{family}, {given}" for family, given in zip(families, initials)]
    return [text]
