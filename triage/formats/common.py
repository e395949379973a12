"""What every reader and writer shares: what reading gives, and the lossless remainder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError
from ..records import Record, is_placeholder, normal_doi, normal_pmid
from ..wording import plural, was_were

# Under this name a writer keeps what its format cannot hold, as JSON, so that reading it again
# gives the same record.
REMAINDER = "triage_fields"
DECISION_FIELDS = ("record_id", "label", "reason", "tags", "note", "reviewer", "decided_at")
_FIELDS = tuple(f.name for f in fields(Record) if f.name not in ("id", "source"))
_TUPLES = ("authors", "keywords")
_CHANGED = "changed"  # under which a remainder has the extra fields that differ; null for one that was not imported
_WARNINGS = 100
_LINES = 10  # of a warning that names lines
_UNFOLDED = re.compile(r"[^\S ]|  ")
_YEAR = re.compile(r"(?<!\d)(1[5-9]\d\d|20\d\d)(?:(?!\d)|(?=(?:0[1-9]|1[0-2])[0-3]\d(?!\d)))")  # 2019, 20190231
_PMID_NOTE = re.compile(r"(?<!\S)PMID: ?(?:NLM)?([1-9]\d{0,8})(?!\d)")
_PUBMED = re.compile(
    r"(?:\bPUBMED[ :]{1,2}|ncbi\.nlm\.nih\.gov/pubmed/|pubmed\.ncbi\.nlm\.nih\.gov/)0*([1-9]\d{0,8})(?!\d)",
    re.IGNORECASE,
)
# A value that is a DOI and nothing else, or its address, at the resolver or by way of a library's proxy.
_DOI_LINK = re.compile(
    r"\s*(?:doi:?\s*|https?://(?:[\w-]{1,40}\.){0,3}doi[.-]org(?:[.-][\w.-]{1,80})?(?::\d{1,5})?/(?:doi:)?)?"
    r"(10\.\d{4,9}(?:/|%2f)\S{1,300})\s*",
    re.IGNORECASE,
)
_DOI_ASKED = re.compile(
    r"https?://\S{1,300}?[?&]doi=(10\.\d{4,9}(?:/|%2f)[^&\s]{1,300})(?:&\S*)?\s*", re.IGNORECASE
)  # Scopus
_DOI_NOTE = re.compile(
    r"(?:^|[;.\n]\s{0,9}|\|\s?)(?:doi\s?[:=]\s?|doi (?=10\.)|https?://(?:dx\.)?doi\.org/)(10\.\d{4,9}(?:/|%2f)[^\s;|]{1,300})",
    re.IGNORECASE,
)
# Notes with such words may name another article's.
_ANOTHERS = re.compile(
    r"\b(?:comment|errat|correct|retract|republi|updat|cite|cited|refer|reply|response|supplement|preprint)",
    re.IGNORECASE,
)
_BOILERPLATE = re.compile(r"Copyright of .{1,300}? is the property of ")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to report about a file, with its line (of a table: its row, the header being 1)."""

    line: int
    message: str


class Item(NamedTuple):
    """One announced record of a file: kept, or a problem; `label` is what the file decided on it, or ""."""

    line: int
    found: Record | Problem
    label: str = ""


@dataclass(slots=True)
class Tally:
    """What a reader counts and reports as it reads; `announced` is counted apart from parsing.

    `encoding` is the one that the user gave for the file's text, "" where it is to be found out.
    """

    announced: int = 0
    warnings: list[Problem] = field(default_factory=list)
    fraction: float = 0.0
    untold: int = 0
    encoding: str = ""

    def warn(self, line: int, message: str) -> None:
        """Keep a warning; after the first hundred only their number, so that no file fills the memory."""
        if len(self.warnings) < _WARNINGS:
            self.warnings.append(Problem(line, message))
        else:
            self.untold += 1


UNOPENED = "begins a record of its own, though the line that should open it is missing"


class Doubt:
    """A second, looser count of a file's records: one warning for what looks like one but was not read as one.

    Parameters
    ----------
    tally : Tally
    message : str
        What such a line may be, and what to do.
    """

    def __init__(
        self,
        tally: Tally,
        message: str = "may begin or end a record that was not read as one; check that no records run together there",
    ):
        self._tally, self._message = tally, message
        self._lines: list[int] = []
        self._n = 0
        self._said = ""

    def note(self, line: int, text: str) -> None:
        """Keep a line of the file that looks as if it began or ended a record of its own."""
        if line in self._lines:
            return
        self._n += 1
        self._said = self._said or text.strip()[:60]
        if len(self._lines) < _LINES:
            self._lines.append(line)
            self._lines.sort()

    def repeated(self, signs: re.Pattern[str], text: str, line: int) -> None:
        """Note the lines of one record's text that come once in a record, where they come again.

        Parameters
        ----------
        signs : re.Pattern
            Matches the line feed before such a line, and as its first group what comes once.
        text : str
            Begins with a line feed.
        line : int
            The line that it ends.
        """
        seen: set[str] = set()
        for found in signs.finditer(text):
            sign = found.group(1).upper()
            if sign in seen:
                self.note(line + text.count("\n", 0, found.end()), text[found.start() + 1 :].partition("\n")[0])
            seen.add(sign)

    def warn(self) -> None:
        """Add the warning, when there was any such line."""
        if self._n:
            more = f" and {self._n - len(self._lines):,} more" if self._n > len(self._lines) else ""
            such = "line" if self._n == 1 else f"{self._n:,} such lines:"
            lines = f"{such} {', '.join(f'{line:,}' for line in self._lines)}{more}"
            said = f"{self._said!r} " if self._said else ""
            self._tally.warn(self._lines[0], f"{said}{self._message} ({lines})")


class Stream:
    """A file being read: iterate once over its items, in the order of the file.

    The number of items equals `announced` at the end: iterating checks it, and raises where the file
    announces more or fewer records than were found, so nothing is ever lost silently.

    Attributes
    ----------
    path : Path
    format : str
    announced : int
        Records announced by what was read so far; the file's number once the iteration is over.
    fraction : float
        How much of the file was read, from 0 to 1: for a progress bar.
    warnings : list of Problem
        What is worth telling and lost no record; complete once the iteration is over.

    Examples
    --------
    >>> for line, found, label in open_records(path):  # doctest: +SKIP
    ...     if isinstance(found, Problem): ...
    """

    def __init__(self, path: Path, format: str, items: Iterator[Item], tally: Tally):
        self.path, self.format = path, format
        self._items, self._tally = items, tally

    @property
    def announced(self) -> int:
        return self._tally.announced

    @property
    def fraction(self) -> float:
        return self._tally.fraction

    @property
    def warnings(self) -> list[Problem]:
        rest = self._tally.untold
        more = [Problem(0, plural(rest, "more warning") + " like these")] if rest else []
        return [*self._tally.warnings, *more]

    def __iter__(self) -> Iterator[Item]:
        read = 0
        untitled = Doubt(self._tally, "this record has no title; compare it with the database")
        for item in self._items:
            read += 1
            if isinstance(item.found, Record) and not item.found.title:
                untitled.note(item.line, "")
            yield item
        untitled.warn()
        if read != self.announced:
            raise InputError(
                f"{self.path} announces {plural(self.announced, 'record')} as {self.format}, but {read:,} "
                f"{was_were(read)} found; it is damaged, so nothing was taken from it. Export it again, or in another "
                "format."
            )
        if not read:
            raise InputError(f"{self.path} announces no record as {self.format}; is it the right file?")


@dataclass(frozen=True, slots=True)
class Reading:
    """One file as read; announced = len(records) + len(problems), always.

    Attributes
    ----------
    format : str
    announced : int
        Records that the file announces, counted apart from parsing them.
    records : list of Record
    lines : list of int
        Where each record begins.
    problems : list of Problem
        Announced records that could not be kept.
    warnings : list of Problem
        What is worth telling and lost no record.
    labels : list of str or None
        Each record's label, "" where it has none: of the label column asked for, else of a format
        that is made to carry decisions (ASReview, Rayyan, Covidence); None when there are no labels at all.
    """

    format: str
    announced: int
    records: list[Record]
    lines: list[int]
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    labels: list[str] | None = None

    @classmethod
    def of(cls, stream: Stream, *, labelled: bool) -> Reading:
        """Read a stream to its end; `labelled` says that labels were asked for."""
        reading = cls(stream.format, 0, [], [])
        labels = []
        for line, found, label in stream:
            if isinstance(found, Problem):
                reading.problems.append(found)
            else:
                reading.records.append(found)
                reading.lines.append(line)
                labels.append(label)
        return replace(
            reading,
            announced=stream.announced,
            warnings=stream.warnings,
            labels=labels if labelled or any(labels) else None,
        )


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person decided on a record, as another program has it.

    Attributes
    ----------
    reviewer : str
        The name that the program has; "" where it names nobody.
    label : str
        include, exclude or maybe, or 1 or 0.
    reasons : tuple of str
        For excluding it, in the program's words.
    note : str
    tags : tuple of str
    """

    reviewer: str
    label: str
    reasons: tuple[str, ...] = ()
    note: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One record to write, the fields of its decision (names of `DECISION_FIELDS`), and what each person decided."""

    record: Record
    decision: Mapping[str, str] = field(default_factory=dict)
    votes: tuple[Vote, ...] = ()


def one_line(text: str) -> str:
    """Fold white space, as titles and names have it."""
    return " ".join(text.split())


def folded(values: Sequence[str], joined: str = "") -> tuple[str, ...]:
    """Return texts with their white space folded: many at once, for most need nothing; `joined` saves joining them."""
    return tuple(values) if _UNFOLDED.search(joined or "|".join(values)) is None else tuple(map(one_line, values))


def first_year(values: Iterable[str]) -> int | None:
    """Return the first plausible year of publication in some texts."""
    for value in values:
        if len(value) == 4 and value.isascii() and value.isdigit() and "1500" <= value < "2100":
            return int(value)
        if found := _YEAR.search(value):
            return int(found.group())
    return None


def pmid_in_notes(values: Iterable[str]) -> str:
    """Return the PubMed identifier that notes name, as Zotero and EBSCO keep it; "" for none or several."""
    found = {pmid for value in values if "PMID:" in value for pmid in _PMID_NOTE.findall(value)}
    return found.pop() if len(found) == 1 else ""


def pmid_of(text: str) -> str:
    """Return the PubMed identifier that a value is, with PubMed's name or address before it, or ""."""
    return normal_pmid(text) or (found.group(1) if (found := _PUBMED.search(text)) else "")


def doi_elsewhere(links: Iterable[str], notes: Iterable[str] = ()) -> str:
    """Return the DOI that links or notes give where the field for it is missing; "" unless one plainly is the record's."""
    for value in links:
        if "10." in value and len(value) < 2000:
            for part in value.split("\n"):
                found = _DOI_LINK.fullmatch(part) or _DOI_ASKED.fullmatch(part)
                if found is not None and (doi := normal_doi(re.split(r"[?#]", found.group(1))[0])):
                    return doi
    dois = {
        normal_doi(found)
        for note in notes
        if "10." in note
        for found in _DOI_NOTE.findall(note[:10_000])
        if _ANOTHERS.search(note[:10_000]) is None
    }
    return dois.pop() if len(dois) == 1 else ""


def split_abstract(values: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Return the abstract, and the texts that are not one: a note that there is none, or just a copyright notice."""
    real: list[str] = []
    other: list[str] = []
    for value in values:
        if text := value.strip():
            none = is_placeholder(text) or _BOILERPLATE.match(text) is not None
            (other if none else real).append(text)
    return "\n".join(real), tuple(other)


def remainder(wanted: Record, got: Record) -> str:
    """Return as JSON the fields of a record that its format did not give back; "" when none."""
    lost: dict[str, Any] = {}
    for name in _FIELDS:
        value = getattr(wanted, name)
        if name == "extra":
            changed: dict[str, list[str] | None] = dict.fromkeys(sorted(got.extra.keys() - value.keys()))
            changed |= {key: list(values) for key, values in value.items() if tuple(values) != got.extra.get(key)}
            if changed:
                lost[_CHANGED] = changed
        elif value != getattr(got, name):
            lost[name] = value
    return json.dumps(lost) if lost else ""


def with_remainder(record: Record, text: str) -> Record:
    """Put back what `remainder` kept; a text that it did not write stays an extra field."""
    try:
        kept = json.loads(text)
        if not isinstance(kept, dict) or not set(kept) <= {*_FIELDS, _CHANGED}:
            raise ValueError
        changes: dict[str, Any] = {}
        for name, value in kept.items():
            if name == _CHANGED:
                extra = {k: v for k, v in record.extra.items() if k not in value}
                added = {str(k): tuple(map(str, v)) for k, v in value.items() if v is not None}
                changes["extra"] = extra | added
            elif name == "extra":  # as earlier versions wrote it
                changes[name] = {str(k): tuple(map(str, v)) for k, v in value.items()}
            elif name in _TUPLES:
                changes[name] = tuple(map(str, value))
            elif name == "year":
                changes[name] = None if value is None else int(value)
                if value is not None and not 0 < changes[name] < 10_000:
                    raise ValueError
            else:
                changes[name] = str(value)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return replace(record, extra={**record.extra, REMAINDER: (text,)})
    return replace(record, **changes)
