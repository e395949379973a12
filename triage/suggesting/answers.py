"""What a language model answers, checked, and kept on the disk so that nothing is asked or paid for twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import InputError
from ..log import Label
from ..text import plain

_MOST_RATIONALE = 1_000  # characters that are kept
_THOUGHT = re.compile(r"\A\s*<think>.*</think>", re.DOTALL)
_FENCED = re.compile(r"\A```(?:json)?\s*(.*?)\s*```\Z", re.DOTALL | re.IGNORECASE)


class NotAnAnswer(Exception):
    """What came back is not an answer; the message says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A valid answer about one record.

    Attributes
    ----------
    label : Label
    score : float
        From 0 to 1.
    reason : str
        A code of the protocol, or "".
    rationale : str
    version : str
        What the server calls the model; "" where it does not say.
    without : str
        What the server did not take of the request, as a list in words.
    """

    label: Label
    score: float
    reason: str
    rationale: str
    version: str = ""
    without: str = ""

    @classmethod
    def read(
        cls, text: str, codes: Sequence[str], version: str = "", without: str = "", hide: Callable[[str], str] = str
    ) -> Answer:
        """Check what a model wrote.

        Parameters
        ----------
        text : str
            One JSON object. What a model thought before it, and a fence around it, are left aside.
        codes : sequence of str
            The reasons that it may give.
        version, without : str
        hide : callable
            Takes out of a text what must not be kept.

        Raises
        ------
        NotAnAnswer
        """
        text = _THOUGHT.sub("", text).strip()
        if fenced := _FENCED.match(text):
            text = fenced[1]
        try:
            said = json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            why = error.args[0] if isinstance(error, _Wrong) else "it is not one JSON object"
            raise NotAnAnswer(why) from error
        if not isinstance(said, dict):
            raise NotAnAnswer("it is not one JSON object")
        return cls._of(said, codes, version, without, hide)

    @classmethod
    def _of(
        cls,
        said: Mapping[str, object],
        codes: Sequence[str],
        version: str,
        without: str,
        hide: Callable[[str], str] = str,
    ) -> Answer:
        label, score, reason, rationale = (said.get(name) for name in ("label", "score", "reason", "rationale"))
        named = label.strip().lower() if isinstance(label, str) else ""
        if named not in list(Label):
            raise NotAnAnswer(f"its label is {_short(label)}, not include, exclude or maybe")
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise NotAnAnswer(f"its score is {_short(score)}, not a number from 0 to 1")
        reason = "" if reason is None else reason
        known = {"": "", **{code.casefold(): code for code in codes}}
        if not isinstance(reason, str) or reason.strip().casefold() not in known:
            raise NotAnAnswer(f"its reason is {_short(reason)}, which is not a code of the protocol")
        if not isinstance(rationale, str):
            raise NotAnAnswer("it has no rationale")
        # A reason is one to exclude; models give one beside "include" too, where it would mean nothing.
        code = "" if named == Label.INCLUDE else known[reason.strip().casefold()]
        return cls(
            Label(named), float(score), code, _bounded(hide(" ".join(plain(rationale).split()))), version, without
        )


class _Wrong(ValueError):
    """What JSON allows and an answer does not."""


def _each_once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Wrong("it says the same key twice")
    return found


def _no_number(name: str) -> float:
    raise _Wrong(f"it holds {name}, which is not a number")


def _short(value: object) -> str:
    told = "missing" if value is None else json.dumps(value)
    return told if len(told) <= 40 else f"{told[:39]}…"


def _bounded(text: str) -> str:
    return text if len(text) <= _MOST_RATIONALE else f"{text[: _MOST_RATIONALE - 1]}…"


class KeptAnswers:
    """Answers of one model to one prompt, by the record's text, in a file that is only ever added to.

    Each answer is a line, on the disk before the next is asked for. A line that a crash left half written counts as
    not there. Threads may share an object, and programs a file.

    Parameters
    ----------
    folder : Path
    asked : mapping
        All that the answers depend on but for the record, fit for JSON.
    codes : sequence of str
        The reasons that an answer may give.

    Raises
    ------
    InputError
        When the file cannot be read or written.
    """

    def __init__(self, folder: Path, asked: Mapping[str, object], codes: Sequence[str]) -> None:
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode("utf-8")).hexdigest()
        self.path = folder / f"{digest[:32]}.jsonl"
        self._codes = codes
        self._turn = threading.Lock()
        with self._faults():
            folder.mkdir(parents=True, exist_ok=True)
            lines = self.path.read_bytes().splitlines() if self.path.exists() else []
            self._file: int | None = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._known = dict(filter(None, map(self._read, lines)))

    def close(self) -> None:
        """Close the file; what comes after that is not kept."""
        with self._turn:
            # A request under way may still be answered: its thread must not write to whatever gets this number next.
            file, self._file = self._file, None
            if file is not None:
                os.close(file)

    def get(self, record: str) -> Answer | None:
        """Return the answer about a record that is sent as this text."""
        return self._known.get(_digest(record))

    def keep(self, record: str, answer: Answer) -> None:
        """Keep an answer; it is on the disk when this returns."""
        line = json.dumps({"record": _digest(record), **asdict(answer)})
        with self._turn, self._faults():
            if self._file is None:
                return
            # A line of its own, whatever a crash left behind.
            os.write(self._file, f"\n{line}\n".encode("ascii"))
            os.fsync(self._file)
            self._known[_digest(record)] = answer

    def _read(self, line: bytes) -> tuple[str, Answer] | None:
        try:
            said = json.loads(line)
            return said["record"], Answer._of(said, self._codes, str(said["version"]), str(said["without"]))
        except (ValueError, KeyError, TypeError, RecursionError, NotAnAnswer):
            return None

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"The cache {self.path.parent} cannot be used ({error.strerror}); make room, make the folder writable, "
                "or name another one in TRIAGE_CACHE."
            ) from error


def _digest(record: str) -> str:
    return hashlib.sha256(record.encode("utf-8")).hexdigest()


def tokens_of(text: str) -> int:
    """Return about how many tokens a text is: a rule of thumb, as each model cuts text in its own way."""
    return math.ceil(len(text.encode("utf-8")) / 4)
