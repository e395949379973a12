"""What the formats of tagged lines share: cutting a text into records, and a record into values."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from ..errors import InputError
from .common import Item, Problem, Tally
from .text import LONGEST, TextFile

Values = dict[str, list[str]]
# What databases write between records and what says nothing of them: numbers ("1.", "<1>", "Record #1 of 2"), Ovid's
# address of the record, and the header of PsycNET and JSTOR.
_ROUTINE = re.compile(
    r"\W*\d+\W*|Record #?\d+(?: of \d+)?\W*|Link to the Ovid Full Text or citation:.*|https?://\S{0,40}\bovid\S*"
    r"|(?:Provider|Database): .{1,100}|Content: [\w.+-]+/[\w.+-]+(?:; ?charset=\S+)?"
)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


class Opening:
    """Lines that open a record.

    Parameters
    ----------
    pattern : str
        Begins with the line feed before that line, or with two where a blank line must precede
        it; what it matches is left out of the pieces.
    feeds : int
        How many line feeds it matches.
    counts : str, optional
        Matches the lines that announce a record, where not all of them do.
    """

    def __init__(self, pattern: str, *, feeds: int = 1, counts: str = ""):
        self._pattern, self.feeds = re.compile(pattern), feeds
        self._counts = re.compile(counts or pattern)

    def count(self, text: str) -> int:
        """Count the records that a text announces."""
        return len(self._counts.findall(text))

    def split(self, text: str) -> list[str]:
        """Cut a text at the openings."""
        return self._pattern.split(text)

    def first(self, text: str) -> int:
        """Return the position of the first opening, or -1."""
        found = self._pattern.search(text)
        return -1 if found is None else found.start()


def pieces(file: TextFile, opens: Opening) -> Iterator[tuple[int, str]]:
    """Cut a text before each line that opens a record; such lines are counted apart, into the tally.

    Yields
    ------
    line, text : int, str
        First the text before the first record, then each record.

    Raises
    ------
    InputError
        At a record of more than `LONGEST` characters.
    """
    rest = before = "\n" * opens.feeds
    line = 1 - opens.feeds
    for block in file.blocks():
        file.tally.announced += opens.count(before + block)
        before = (before if block.isspace() else "") + block[len(block.rstrip()) :]
        found = opens.split(rest + block)
        rest = found.pop()
        for piece in found:
            yield line, piece
            line += piece.count("\n") + opens.feeds
        if len(rest) > LONGEST:
            raise InputError(
                f"{file.path}: the record that begins in line {line} is longer than {LONGEST:,} characters, "
                f"which no record is; the file is damaged. Export it again."
            )
    yield line, rest


def nothing_but(opening: str, values: Values, line: int, what: str = "type") -> Item | None:
    """Return the problem that a record has no field but the one that opens it; None where it has."""
    if len(values) > (opening in values):
        return None
    return Item(line, Problem(line, f"this record has no field but its {what}; there is nothing to screen"))


def values_of(parts: list[str], lists: frozenset[str] = frozenset()) -> Values:
    """Return the values of a record that was split at its tags: text, tag, value, tag, value, ...

    Further lines continue a value, but are values of their own for the tags in `lists`.
    """
    values: Values = defaultdict(list)
    texts = list(map(str.strip, parts[2::2]))
    if "" not in texts and "\n" not in "|".join(texts):  # as in most records
        for tag, text in zip(parts[1::2], texts):
            values[tag].append(text)
        return values
    for tag, text in zip(parts[1::2], texts):
        if "\n" in text:
            lines = [line for part in text.split("\n") if (line := part.strip())]
            if tag in lists:
                values[tag].extend(lines)
            else:
                values[tag].append("\n".join(lines))
        elif text:
            values[tag].append(text)
    return values


def first_paragraph(text: str) -> tuple[str, str]:
    """Cut a text at its first blank line."""
    found = _BLANK_LINE.search(text)
    return (text, "") if found is None else (text[: found.start()], text[found.end() :])


class Outside:
    """Lines outside any record: one warning, with their number."""

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
            if part and not _ROUTINE.fullmatch(part):
                self._n += 1
                self._first = self._first or (number, part)

    def warn(self) -> None:
        """Add the warning, when there was any such line."""
        if self._first is not None:
            line, text = self._first
            n = "this line is" if self._n == 1 else f"{self._n} lines are"
            self._tally.warn(line, f"{n} outside any record, such as {text[:60]!r}")
