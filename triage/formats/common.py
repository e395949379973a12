"""What every reader and writer shares: the result of reading, decoding, and the lossless remainder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from ..errors import InputError
from ..records import Record, is_placeholder

# Under this name a writer keeps what its format cannot hold, as JSON, so that reading it again
# gives the same record.
REMAINDER = "triage_fields"
DECISION_FIELDS = ("record_id", "label", "reason", "note", "reviewer", "decided_at")
_FIELDS = tuple(f.name for f in fields(Record) if f.name not in ("id", "source"))
_TUPLES = ("authors", "keywords")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to tell about a file, with its line (of a table: its row, the header being 1)."""

    line: int
    message: str


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
        For a table read with a label column: its text for each record.
    """

    format: str
    announced: int
    records: list[Record]
    lines: list[int]
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    labels: list[str] | None = None


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One record to write, and the fields of its decision (names of `DECISION_FIELDS`)."""

    record: Record
    decision: Mapping[str, str] = field(default_factory=dict)


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises
    ------
    InputError
        When there is none, it is a folder, or it is empty.
    """
    try:
        content = path.read_bytes()
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder; give the export files in it.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    if not content.strip():
        raise InputError(f"{path} is empty; export it again from the database.")
    return content


def decode(content: bytes, path: Path) -> tuple[str, list[Problem]]:
    """Decode a text file: UTF-8, UTF-16, else Windows-1252, with a warning at the first odd byte.

    Raises
    ------
    InputError
        When the bytes are no text.
    """
    head = content[:4000]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    encoding = "utf-8-sig"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif max(even, odd) > len(head) // 8:
        # UTF-16 without its mark: Latin text has a zero in every other byte.
        if min(even, odd) > len(head) // 50:
            raise InputError(f"{path} is no text file, so it is no export that triage reads.")
        encoding = "utf-16-le" if odd > even else "utf-16-be"
    try:
        return content.decode(encoding), []
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise InputError(f"{path} is damaged: it is not the UTF-16 text that it begins as.") from error
        line = len(re.findall(rb"\r\n|\n|\r", content[: error.start])) + 1
    # Five bytes mean nothing in Windows-1252; as Latin-1 they are control characters, and kept.
    text = "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in content)
    return text, [Problem(line, "not UTF-8 from here on; read as Windows-1252: check accents and dashes")]


def lines_of(text: str) -> list[str]:
    """Split at line ends of any system, and at nothing else."""
    return re.split(r"\r\n|\n|\r", text)


def one_line(text: str) -> str:
    """Fold white space, as titles and names have it."""
    return " ".join(text.split())


def first_year(values: Iterable[str]) -> int | None:
    """Return the first plausible year of publication in some texts."""
    for value in values:
        if found := re.search(r"(?<!\d)(1[5-9]\d\d|20\d\d)(?!\d)", value):
            return int(found.group())
    return None


def split_abstract(values: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Return the abstract and, where a text only says that there is none, that text."""
    texts = [value.strip() for value in values if value.strip()]
    real = [text for text in texts if not is_placeholder(text)]
    return "\n".join(real), tuple(text for text in texts if is_placeholder(text))


def remainder(wanted: Record, got: Record) -> str:
    """Return as JSON the fields of a record that its format did not give back; "" when none."""
    lost = {}
    for name in _FIELDS:
        value = getattr(wanted, name)
        if name == "extra":
            value = {key: list(values) for key, values in value.items()}
            if value != {key: list(values) for key, values in got.extra.items()}:
                lost[name] = value
        elif value != getattr(got, name):
            lost[name] = value
    return json.dumps(lost) if lost else ""


def with_remainder(record: Record, text: str) -> Record:
    """Put back what `remainder` kept; a text that it did not write is left alone as an extra field."""
    try:
        kept = json.loads(text)
        if not isinstance(kept, dict) or not set(kept) <= set(_FIELDS):
            raise ValueError
        changes = {}
        for name, value in kept.items():
            if name == "extra":
                changes[name] = {str(k): tuple(map(str, v)) for k, v in value.items()}
            elif name in _TUPLES:
                changes[name] = tuple(map(str, value))
            elif name == "year":
                changes[name] = None if value is None else int(value)
            else:
                changes[name] = str(value)
    except (ValueError, TypeError, AttributeError):
        return replace(record, extra={**record.extra, REMAINDER: (text,)})
    return replace(record, **changes)
