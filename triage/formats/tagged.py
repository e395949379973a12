"""What the formats of tagged lines share: cutting a text into records, and a record into values."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import InputError
from .common import Tally
from .text import LONGEST, TextFile

Values = dict[str, list[str]]
_NUMBERING = re.compile(r"\W*\d+\W*")  # Ovid numbers its records ("1.", "<1>"), and that says nothing
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


def pieces(
    file: TextFile, opens: re.Pattern[str], *, feeds: int = 1, counts: re.Pattern[str] | None = None,
) -> Iterator[tuple[int, str]]:
    """Cut a text before each line that opens a record; such lines are counted apart, into the tally.

    Parameters
    ----------
    file : TextFile
    opens : pattern
        Begins with the line feed before that line, or with two where a blank line must stand before
        it; what it matches is left out of the pieces.
    feeds : int
        How many line feeds it matches.
    counts : pattern, optional
        Matches the opening lines that announce a record, where not all of them do.

    Yields
    ------
    line, text : int, str
        First what stands before the first record, then each record.

    Raises
    ------
    InputError
        At a record of more than `LONGEST` characters.
    """
    rest = before = "\n" * feeds
    line = 1 - feeds
    for block in file.blocks():
        file.tally.announced += len((counts or opens).findall(before + block))
        before = (before if block.isspace() else "") + block[len(block.rstrip()):]
        found = opens.split(rest + block)
        rest = found.pop()
        for piece in found:
            yield line, piece
            line += piece.count("\n") + feeds
        if len(rest) > LONGEST:
            raise InputError(
                f"{file.path}: the record that begins in line {line} is longer than {LONGEST:,} characters, "
                f"which no record is; the file is damaged. Export it again."
            )
    yield line, rest


def values_of(parts: list[str], lists: frozenset[str] = frozenset()) -> Values:
    """Return the values of a record that was split at its tags: text, tag, value, tag, value, ...

    Further lines continue a value, but are values of their own for the tags in `lists`.
    """
    values: Values = {}
    found = iter(parts)
    next(found)
    for tag, value in zip(found, found):
        value = value.strip()
        if "\n" in value:
            lines = [line for part in value.split("\n") if (line := part.strip())]
            if tag in lists:
                values.setdefault(tag, []).extend(lines)
                continue
            value = "\n".join(lines)
        if value:
            if tag in values:
                values[tag].append(value)
            else:
                values[tag] = [value]
    return values


def first_paragraph(text: str) -> tuple[str, str]:
    """Cut a text at its first blank line."""
    found = _BLANK_LINE.search(text)
    return (text, "") if found is None else (text[: found.start()], text[found.end():])


class Outside:
    """Lines that stand outside any record: told once, with their number."""

    def __init__(self, tally: Tally):
        self._tally = tally
        self._first: tuple[int, str] | None = None
        self._n = 0

    def note(self, line: int, text: str) -> None:
        """Look at text between records that begins in a line."""
        if not text or text.isspace():
            return
        for number, part in enumerate(text.split("\n"), line):
            part = part.strip()
            if part and not _NUMBERING.fullmatch(part):
                self._n += 1
                self._first = self._first or (number, part)

    def tell(self) -> None:
        """Add the warning, when there was any such line."""
        if self._first is not None:
            line, text = self._first
            n = "this line stands" if self._n == 1 else f"{self._n} lines stand"
            self._tally.warn(line, f"{n} outside any record, such as {text[:60]!r}")
