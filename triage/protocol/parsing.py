"""A protocol read from TOML, each mistake reported with its table and key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from ..errors import InputError
from ..stopping_rules import DEFAULT_RULE, RULES
from .languages import LANGUAGE_NAMES, language_name
from .model import (
    COLOURS,
    FIRST_STAGE,
    Criterion,
    Limits,
    Machines,
    Protocol,
    Source,
    Stage,
    Stopping,
    WordList,
    has_word,
    usual_colour,
)

T = TypeVar("T")


def load(path: Path) -> Protocol:
    """Read a protocol file.

    Raises
    ------
    InputError
        When it cannot be read or is wrong, with the key at fault.
    """
    return parse(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Read a UTF-8 text file that the user wrote.

    Raises
    ------
    InputError
        When the file is missing or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error


def parse(text: str, name: str = "protocol.toml") -> Protocol:
    """Read a protocol from TOML.

    Parameters
    ----------
    text : str
    name : str
        What to call it in a message.

    Raises
    ------
    InputError
        One sentence with the key at fault, what was expected and what to do.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"{name} is not readable as TOML: {error}; look for a missing quote or bracket there."
        ) from error
    top = _Table(table, name, "")
    top.only(*_KEYS)
    limits = top.table("limits", ("languages", "published_from", "published_to", "exclude_types"))
    stopping = top.table("stopping", ("rule", "target", "confidence", "audit_size", "recall_among", "recall_of"))
    machines = top.table("machines", ("blind", "rank"))
    include, exclude = top.criteria("include"), top.criteria("exclude")
    _no_code_twice(top, "exclude", (*include, *exclude))
    protocol = Protocol(
        title=top.text("title"),
        question=top.text("question"),
        sources=tuple(
            Source(t.text("name", required=True), t.text("search"), t.day_or_text("searched_on"))
            for t in top.tables("sources", ("name", "search", "searched_on"))
        ),
        limits=Limits(
            languages=limits.languages("languages"),
            published_from=limits.day("published_from", first=True),
            published_to=limits.day("published_to", first=False),
            exclude_types=limits.texts("exclude_types"),
        ),
        include=include,
        exclude=exclude,
        stages=_stages(top, exclude),
        tags=_tags(top),
        stopping=Stopping(
            rule=stopping.choice("rule", tuple(RULES), DEFAULT_RULE),
            target=stopping.share("target", 0.95),
            confidence=stopping.share("confidence", 0.95),
            audit_size=stopping.count("audit_size"),
            recall_among=stopping.choice("recall_among", ("screened", "all"), "screened"),
            recall_of=stopping.choice("recall_of", ("labels", "corrected"), "labels"),
        ),
        model=top.text("model") or "default",
        learn_from=top.choice("learn_from", ("stage", "final"), "stage"),
        reviewers_per_record=top.count("reviewers_per_record") or 1,
        calibration=top.count("calibration") or 0,
        attention_checks=top.count("attention_checks") or 0,
        machines=Machines(blind=machines.yes_or_no("blind", True), rank=machines.yes_or_no("rank", True)),
        highlights=_highlights(top),
        key_papers=_key_papers(top),
    )
    first, last = protocol.limits.published_from, protocol.limits.published_to
    if first and last and first > last:
        limits.wrong("published_to", f"a day not before published_from ({first})")
    rule = RULES[protocol.stopping.rule]
    if rule.needs_audit_size and protocol.stopping.audit_size is None:
        stopping.wrong("audit_size", f'the number of audit draws, set beforehand, for rule = "{rule.name}"')
    if not rule.needs_audit_size and protocol.stopping.audit_size is not None:
        with_size = ", ".join(row.name for row in RULES.values() if row.needs_audit_size)
        stopping.wrong("audit_size", f"left out, as {rule.name} has none ({with_size} has)")
    if protocol.stopping.recall_of == "corrected" and rule.name != DEFAULT_RULE:
        stopping.wrong("recall_of", f'"labels" for rule = "{rule.name}": only {DEFAULT_RULE} counts wrong labels')
    if protocol.reviewers_per_record > 2:
        top.wrong("reviewers_per_record", "1 or 2")
    return protocol


def _tags(top: _Table) -> tuple[str, ...]:
    tags = top.texts("tags")
    # They are compared without regard to case, and are written side by side in one cell.
    if any(";" in tag for tag in tags) or len({" ".join(tag.casefold().split()) for tag in tags}) < len(tags):
        top.wrong("tags", 'a list of different texts without ";", such as ["review", "qualitative"]')
    return tags


def _key_papers(top: _Table) -> tuple[str, ...]:
    papers = tuple(" ".join(paper.split()) for paper in top.texts("key_papers"))
    if nothing := next((paper for paper in papers if not has_word(paper)), None):
        top.wrong(
            "key_papers", f'a list of DOIs, PMIDs or titles in quotes, such as ["10.1000/x"] ({nothing!r} is none)'
        )
    return tuple(dict.fromkeys(papers))


def _highlights(top: _Table) -> tuple[WordList, ...]:
    lists: list[WordList] = []
    for t in top.tables("highlights", ("name", "colour", "words")):
        name = " ".join(t.text("name", required=True).split())
        if name.casefold() in (one.name.casefold() for one in lists):
            t.wrong("name", f"a name that no other list has ({name!r} is taken)")
        words = tuple(" ".join(word.split()) for word in t.texts("words"))
        if nothing := next((word for word in words if not has_word(word)), None):
            t.wrong("words", f'a list of words, phrases or stems, such as ["cohort", "random*"] ({nothing!r} is none)')
        lists.append(WordList(name, t.choice("colour", COLOURS, usual_colour(name)), words))
    return tuple(lists)


def _stages(top: _Table, exclude: tuple[Criterion, ...]) -> tuple[Stage, ...]:
    tables = top.tables("stages", ("name", "reasons", "not_retrieved"))
    if not tables:
        return (Stage(FIRST_STAGE, exclude),)
    # A code means one thing in the whole review: the report names reasons by it.
    known = {c.code: c for c in exclude}
    texts = dict(known)
    stages: list[Stage] = []
    for t in tables:
        name = t.text("name", required=True)
        if name in (s.name for s in stages):
            t.wrong("name", f"a name that no other stage has ({name!r} is taken)")
        reasons = []
        entries: list[object] = [c.code for c in exclude] if not stages else []
        for entry in t.get("reasons", entries, list, _REASONS):
            if isinstance(entry, str):
                if entry not in known:
                    near = _nearest(entry, known)
                    t.wrong(
                        "reasons",
                        f"codes of [[exclude]] ({', '.join(known) or 'there are none'}) or "
                        f"{{ code, text }} tables; {entry!r} is neither{near}",
                    )
                reasons.append(known[entry])
            elif isinstance(entry, dict):
                e = _Table(entry, t.name, t.key("reasons"))
                e.only("code", "text")
                reason = Criterion(e.text("code", required=True), e.one_line("text"))
                if texts.setdefault(reason.code, reason) != reason:
                    t.wrong("reasons", f"of one text to a code ({reason.code!r} has another one elsewhere)")
                reasons.append(reason)
            else:
                t.wrong("reasons", _REASONS)
        _no_code_twice(t, "reasons", reasons)
        not_retrieved = t.text("not_retrieved")
        if not_retrieved and not_retrieved not in (r.code for r in reasons):
            t.wrong("not_retrieved", f"the code of one of the stage's reasons ({not_retrieved!r} is not)")
        stages.append(Stage(name, tuple(reasons), not_retrieved))
    return tuple(stages)


def _no_code_twice(table: _Table, key: str, criteria: Iterable[Criterion]) -> None:
    seen = set()
    for criterion in criteria:
        if criterion.code.casefold() in seen:
            table.wrong(key, f"a code of its own for each entry ({criterion.code!r} appears twice)")
        seen.add(criterion.code.casefold())


def _nearest(word: str, known: Iterable[str]) -> str:
    by_folded = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(word.casefold(), by_folded, 1)
    return f" (did you mean {by_folded[close[0]]}?)" if close else ""


PLAIN_KEYS = (  # above the tables
    "title",
    "question",
    "tags",
    "key_papers",
    "model",
    "learn_from",
    "reviewers_per_record",
    "calibration",
    "attention_checks",
)
_KEYS = (*PLAIN_KEYS, "sources", "limits", "include", "exclude", "stages", "stopping", "machines", "highlights")
_REASONS = "a list of exclusion codes, or of { code, text } tables"


class _Table:
    """A table of the file, read key by key, with a message that names the key at fault."""

    def __init__(self, values: dict[str, Any], name: str, path: str) -> None:
        self._values = values
        self.name = name
        self._path = path

    def key(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def wrong(self, key: str, expected: str) -> NoReturn:
        raise InputError(f"{self.name}: {self.key(key)} must be {expected}; correct it and run the command again.")

    def get(self, key: str, default: T, kind: type[T], expected: str) -> T:
        value = self._values.get(key, default)
        if not isinstance(value, kind):
            self.wrong(key, expected)
        return value

    def only(self, *known: str) -> None:
        for key in self._values:
            if key in known:
                continue
            hint = _nearest(key, known)
            if self._path and key in _KEYS:
                # In TOML a key belongs to the table above it, which is easy to overlook.
                hint = f"; {key} is of the whole protocol, so move it above the first line that begins with ["
            raise InputError(
                f"{self.name}: the key {self.key(key)} is unknown{hint or '; the keys here are ' + ', '.join(known)}."
            )

    def text(self, key: str, required: bool = False) -> str:
        value = self._values.get(key, "")
        if not isinstance(value, str) or (required and not value.strip()):
            self.wrong(key, "a text in quotes")
        return value.strip()

    def one_line(self, key: str) -> str:
        """Return a text that must be there, its lines joined."""
        return " ".join(self.text(key, required=True).split())

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
            self.wrong(key, 'a list of texts, such as ["English"]')
        return tuple(v.strip() for v in value)

    def languages(self, key: str) -> tuple[str, ...]:
        found = []
        for text in self.texts(key):
            name = language_name(text)
            if name is None:
                self.wrong(
                    key,
                    'English names or ISO 639 codes, such as ["English"]; '
                    f"{text!r} is neither{_nearest(text, LANGUAGE_NAMES.values())}",
                )
            found.append(name)
        return tuple(dict.fromkeys(found))

    def choice(self, key: str, among: tuple[str, ...], default: str) -> str:
        value: str = self._values.get(key, default)
        if value not in among:
            self.wrong(key, f"one of {', '.join(among)} ({value!r} is not)")
        return value

    def share(self, key: str, default: float) -> float:
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
            self.wrong(key, "a number between 0 and 1, such as 0.95")
        return float(value)

    def yes_or_no(self, key: str, default: bool) -> bool:
        return self.get(key, default, bool, "true or false, without quotes")

    def count(self, key: str) -> int | None:
        value = self._values.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            self.wrong(key, "a whole number from 1")
        return value

    def day(self, key: str, first: bool) -> date | None:
        value = self._values.get(key)
        if value is None or type(value) is date:
            return value
        found = re.fullmatch(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?", str(value).strip())
        try:
            if found is None or isinstance(value, bool):
                raise ValueError
            year, month, day_ = (int(part or 0) for part in found.groups())
            if day_:
                return date(year, month, day_)
            if first:
                return date(year, month or 1, 1)
            # The last day of the month or year, as the day before the next one begins.
            following = date(year + (month or 12) // 12, (month or 12) % 12 + 1, 1)
            return date.fromordinal(following.toordinal() - 1)
        except ValueError:
            self.wrong(key, 'a day, a month or a year, such as "1980-01-31", "1980-01" or 1980')

    def day_or_text(self, key: str) -> str:
        value = self._values.get(key, "")
        return value.isoformat() if isinstance(value, date) else self.text(key)

    def table(self, key: str, known: tuple[str, ...]) -> _Table:
        table = _Table(self.get(key, {}, dict, f"a table that begins with [{key}]"), self.name, self.key(key))
        table.only(*known)
        return table

    def tables(self, key: str, known: tuple[str, ...]) -> list[_Table]:
        entries = f"entries that each begin with [[{key}]]"
        value = self.get(key, [], list, entries)
        if not all(isinstance(v, dict) for v in value):
            self.wrong(key, entries)
        tables = [_Table(v, self.name, f"{key}[{i}]") for i, v in enumerate(value, 1)]
        for table in tables:
            table.only(*known)
        return tables

    def criteria(self, key: str) -> tuple[Criterion, ...]:
        found = [
            Criterion(t.text("code") or f"{key[0].upper()}{i}", t.one_line("text"))
            for i, t in enumerate(self.tables(key, ("code", "text")), 1)
        ]
        _no_code_twice(self, key, found)
        return tuple(found)
