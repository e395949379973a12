"""Authors that a source writes into one value, one each."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .common import folded, one_line
from .markup import plain

_DOTTED = re.compile(r"(?:[^\W\d_]\.[ -]?){1,4}")  # "R. A."
_FAMILY_FIRST = re.compile(r"(?:[^\W\d_][\w'\u2019-]*\s){1,5}[^\W\d_a-z]{1,4}")  # "van der Helm JJ"
_AND = re.compile(r"\A(?:and|&)\s+", re.IGNORECASE)


def one_each(values: Sequence[str]) -> tuple[str, ...]:
    """Return authors one each: values that hold several are split at semicolons, else at commas between whole names."""
    joined = "|".join(values)
    if ";" not in joined and joined.count(",") <= len(values) - (len(values) == 1):  # as most are
        return folded(values, joined)
    found: list[str] = []
    for value in values:
        value = plain(value)
        parts = [one_line(part) for part in (value.split(";") if ";" in value else _at_commas(value))]
        found += [name for n, part in enumerate(parts) if (name := _AND.sub("", part, count=1) if n else part)]
    return tuple(found)


def _at_commas(text: str) -> list[str]:
    """Split "Roe RA, van der Poe B" and "Roe, R. A., Poe, B., & Doe, C."; anything else is one name."""
    parts = [part.strip() for part in text.split(",")]
    whole = [_AND.sub("", part, count=1) for part in parts]
    if len(parts) > 1 and all(map(_FAMILY_FIRST.fullmatch, whole)):
        return whole
    families, initials = parts[0::2], parts[1::2]
    several = len(parts) > 3 and len(families) == len(initials)
    if several and all(map(_DOTTED.fullmatch, initials)) and not any(map(_DOTTED.fullmatch, families)):
        return [f"{family}, {given}" for family, given in zip(families, initials)]
    return [text]
