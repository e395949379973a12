"""Names as files have them: of people, of reasons and tags."""

from __future__ import annotations

import unicodedata

from ..errors import Faults
from ..wording import printable

_LONGEST_NAME = 100


def tidy(text: str) -> str:
    """Return a text in one line, in the usual form of its characters, and without those that cannot be printed."""
    return unicodedata.normalize("NFC", printable(text))


def clean_name(name: str, where: str, faults: Faults) -> str:
    """Return a person's name as the log keeps it; `faults` gets one that nobody can have."""
    name = tidy(name)
    if not name or len(name) > _LONGEST_NAME:
        faults.add(
            where, f"{name[:40]!r} is no name of a reviewer", "a name has 1 to 100 letters; correct it in the file"
        )
    return name[:_LONGEST_NAME]


def one_of(cell: str, column: str, where: str, faults: Faults) -> str:
    """Return the one person whom a cell names; `faults` gets a cell that names nobody, or several."""
    if not cell.strip():
        faults.add(where, f"the column {column!r} names nobody", "write who decided, or leave the label blank, too")
        return ""
    if ";" in cell:
        faults.add(where, f"{cell[:60]!r} names several people", "write a row for each person's decision")
    return clean_name(cell, where, faults)
