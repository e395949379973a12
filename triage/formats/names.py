"""Authors that a source writes into one value, one each."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .common import one_line
from .markup import plain

_INITIALS = re.compile(r"(?:[A-Z]\.?[ -]?){1,4}")
_DOTTED = re.compile(r"(?:[A-Z]\.[ -]?){1,4}")
_VANCOUVER = re.compile(r"(?:[^\W\d_][\w'\u2019-]*\s){1,5}[A-Z]{1,4}")  # "van der Helm JJ"
_LEADING_AND = re.compile(r"and\s+", re.IGNORECASE)


def one_each(values: Iterable[str]) -> tuple[str, ...]:
    """Return authors one each: values that hold several are split at semicolons, else at commas between whole names."""
    found: list[str] = []
    for value in values:
        value = plain(value)
        parts = value.split(";") if ";" in value else _at_commas(value)
        found += [_LEADING_AND.sub("", name, count=1) if n else name for n, name in enumerate(map(one_line, parts)) if name]
    return tuple(found)


def _at_commas(text: str) -> list[str]:
    """Split "Roe RA, van der Poe B" and "Roe, R. A., Poe, B."; anything else is one name."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and all(_VANCOUVER.fullmatch(part) for part in parts):
        return parts
    families, initials = parts[0::2], parts[1::2]
    if (
        len(parts) > 3 and len(families) == len(initials) and all(map(_DOTTED.fullmatch, initials))
        and not any(map(_INITIALS.fullmatch, families))
    ):
        return [f"{family.removeprefix('& ').removeprefix('and ')}, {given}" for family, given in zip(families, initials)]
    return [text]
