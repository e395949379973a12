"""The shape that RIS and MEDLINE text share: "TAG - value" lines with continuations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .common import Problem


@dataclass(slots=True)
class Entry:
    """One record's tags and values in the order of the file."""

    line: int
    values: dict[str, list[str]] = field(default_factory=dict)

    def add(self, tag: str, value: str) -> None:
        self.values.setdefault(tag, []).append(value)

    def go_on(self, tag: str, value: str) -> None:
        """Continue the last value of a tag on a further line."""
        values = self.values[tag]
        values[-1] = f"{values[-1]}\n{value}" if values[-1] else value


def entries(
    lines: Iterable[str], tag_line: re.Pattern[str], *, opens: str, closes: str = "", lists: frozenset[str] = frozenset(),
    by_blank_lines: bool = False, warnings: list[Problem],
) -> Iterator[Entry]:
    """Yield the entries of a tagged text.

    Parameters
    ----------
    lines : iterable of str
    tag_line : pattern
        Matches a line that begins a value: group 1 the tag, group 2 the value.
    opens, closes : str
        The tag that begins an entry, whether or not the last one was closed, and the one that ends it.
    lists : frozenset of str
        Tags whose continuation lines are further values.
    by_blank_lines : bool
        A blank line ends an entry, and any tag begins one (MEDLINE text without PMID lines).
    warnings : list of Problem
        Lines that belong to no record are told here.
    """
    entry: Entry | None = None
    tag = ""
    for number, raw in enumerate(lines, 1):
        line = raw.lstrip("\ufeff")
        found = tag_line.match(line)
        if found is not None:
            tag, value = found.group(1), found.group(2).strip()
            if tag == opens or (by_blank_lines and entry is None):
                if entry is not None:
                    yield entry
                entry = Entry(number)
            if entry is None:
                warnings.append(Problem(number, f"this line stands outside any record: {line.strip()[:60]!r}"))
            elif tag == closes:
                yield entry
                entry = None
            else:
                entry.add(tag, value)
        elif not line.strip():
            if by_blank_lines and entry is not None:
                yield entry
                entry = None
        elif entry is None:
            # Ovid numbers its records ("1.", "<1>") and that says nothing.
            if not re.fullmatch(r"\W*\d+\W*", line.strip()):
                warnings.append(Problem(number, f"this line stands outside any record: {line.strip()[:60]!r}"))
        elif tag in entry.values:
            if tag in lists:
                entry.add(tag, line.strip())
            else:
                entry.go_on(tag, line.strip())
    if entry is not None:
        yield entry
