"""The review's protocol: question, sources, limits, criteria, stages, stopping rule (protocol.toml)."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from .errors import InputError

RULES = ("audit-e", "fixed-audit", "cmh", "quant", "ip-p", "knee", "consecutive")


@dataclass(frozen=True, slots=True)
class Criterion:
    """One inclusion or exclusion criterion, or a reason: a short code, and the text in full."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """One database searched."""

    name: str
    search: str = ""
    searched_on: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a record must be to be screened at all; an empty field sets no limit.

    Attributes
    ----------
    languages : tuple of str
        Allowed languages, by English name or ISO 639 code.
    published_from, published_to : date or None
        First and last allowed day of publication.
    exclude_types : tuple of str
        Publication types that are not wanted, such as "editorial".
    """

    languages: tuple[str, ...] = ()
    published_from: date | None = None
    published_to: date | None = None
    exclude_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of screening and the reasons offered there for excluding a record."""

    name: str
    reasons: tuple[Criterion, ...] = ()


@dataclass(frozen=True, slots=True)
class Stopping:
    """The one rule that decides when screening can stop, named before screening.

    Attributes
    ----------
    rule : str
        One of `RULES`.
    target, confidence : float
        The recall to reach, and the confidence of every bound.
    audit_size : int or None
        Draws of the single look of `fixed-audit`.
    """

    rule: str = "audit-e"
    target: float = 0.95
    confidence: float = 0.95
    audit_size: int | None = None


@dataclass(frozen=True, slots=True)
class Protocol:
    """A review's protocol. `Protocol()` is what holds where a protocol says nothing."""

    title: str = ""
    question: str = ""
    sources: tuple[Source, ...] = ()
    limits: Limits = field(default_factory=Limits)
    include: tuple[Criterion, ...] = ()
    exclude: tuple[Criterion, ...] = ()
    stages: tuple[Stage, ...] = (Stage("abstract"),)
    tags: tuple[str, ...] = ()
    stopping: Stopping = field(default_factory=Stopping)
    model: str = "default"
    reviewers_per_record: int = 1


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
        When there is none, or it is not UTF-8.
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
        raise InputError(f"{name} is not readable as TOML: {error}; look for a missing quote or bracket there.") from error
    top = _Table(table, name, "")
    limits, stopping = top.table("limits"), top.table("stopping")
    exclude = top.criteria("exclude")
    protocol = Protocol(
        title=top.text("title"),
        question=top.text("question"),
        sources=tuple(
            Source(t.text("name", required=True), t.text("search"), t.day_or_text("searched_on"))
            for t in top.tables("sources", ("name", "search", "searched_on"))
        ),
        limits=Limits(
            languages=limits.texts("languages"),
            published_from=limits.day("published_from", first=True),
            published_to=limits.day("published_to", first=False),
            exclude_types=limits.texts("exclude_types"),
        ),
        include=top.criteria("include"),
        exclude=exclude,
        stages=_stages(top, exclude),
        tags=top.texts("tags"),
        stopping=Stopping(
            rule=stopping.choice("rule", RULES, "audit-e"),
            target=stopping.share("target", 0.95),
            confidence=stopping.share("confidence", 0.95),
            audit_size=stopping.count("audit_size"),
        ),
        model=top.text("model") or "default",
        reviewers_per_record=top.count("reviewers_per_record") or 1,
    )
    top.only("title", "question", "sources", "limits", "include", "exclude", "stages", "tags", "stopping", "model",
             "reviewers_per_record")
    limits.only("languages", "published_from", "published_to", "exclude_types")
    stopping.only("rule", "target", "confidence", "audit_size")
    first, last = protocol.limits.published_from, protocol.limits.published_to
    if first and last and first > last:
        limits.wrong("published_to", f"a day not before published_from ({first})")
    if protocol.stopping.rule == "fixed-audit" and protocol.stopping.audit_size is None:
        stopping.wrong("audit_size", 'the number of audit draws, set beforehand, as rule = "fixed-audit" needs it')
    if protocol.reviewers_per_record > 2:
        top.wrong("reviewers_per_record", "1 or 2")
    return protocol


def _stages(top: _Table, exclude: tuple[Criterion, ...]) -> tuple[Stage, ...]:
    tables = top.tables("stages", ("name", "reasons"))
    if not tables:
        return (Stage("abstract", exclude),)
    known = {c.code: c for c in exclude}
    stages: list[Stage] = []
    for t in tables:
        name = t.text("name", required=True)
        if name in (s.name for s in stages):
            t.wrong("name", f"a name that no other stage has ({name!r} is taken)")
        raw = t.get("reasons", [c.code for c in exclude] if not stages else [])
        if not isinstance(raw, list):
            t.wrong("reasons", "a list of exclusion codes, or of { code, text } tables")
        reasons = []
        for entry in raw:
            if isinstance(entry, str):
                if entry not in known:
                    t.wrong("reasons", f"codes of [[exclude]] ({', '.join(known) or 'there are none'}), or "
                                       f"{{ code, text }} tables; {entry!r} is neither")
                reasons.append(known[entry])
            elif isinstance(entry, dict):
                e = _Table(entry, t.name, t.key("reasons"))
                e.only("code", "text")
                reasons.append(Criterion(e.text("code", required=True), e.text("text", required=True)))
            else:
                t.wrong("reasons", "a list of exclusion codes, or of { code, text } tables")
        _no_code_twice(t, "reasons", reasons)
        stages.append(Stage(name, tuple(reasons)))
    return tuple(stages)


def _no_code_twice(table: _Table, key: str, criteria: Iterable[Criterion]) -> None:
    seen = set()
    for criterion in criteria:
        if criterion.code in seen:
            table.wrong(key, f"a code of its own for each entry ({criterion.code!r} stands twice)")
        seen.add(criterion.code)


class _Table:
    """A table of the file, read key by key, with a message that names the key at fault."""

    def __init__(self, values: dict, name: str, path: str) -> None:
        self._values = values
        self.name = name
        self._path = path

    def key(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def wrong(self, key: str, expected: str) -> None:
        raise InputError(f"{self.name}: {self.key(key)} must be {expected}; correct it and run the command again.")

    def get(self, key: str, default: object = None) -> object:
        return self._values.get(key, default)

    def only(self, *known: str) -> None:
        for key in self._values:
            if key not in known:
                close = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean {close[0]}?" if close else f"the keys here are {', '.join(known)}."
                raise InputError(f"{self.name}: the key {self.key(key)} is unknown; {hint}")

    def text(self, key: str, required: bool = False) -> str:
        value = self._values.get(key, "")
        if not isinstance(value, str) or (required and not value.strip()):
            self.wrong(key, "a text in quotes")
        return value.strip()

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
            self.wrong(key, 'a list of texts, such as ["English"]')
        return tuple(v.strip() for v in value)

    def choice(self, key: str, among: tuple[str, ...], default: str) -> str:
        value = self._values.get(key, default)
        if value not in among:
            self.wrong(key, f"one of {', '.join(among)} ({value!r} is not)")
        return value

    def share(self, key: str, default: float) -> float:
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
            self.wrong(key, "a number between 0 and 1, such as 0.95")
        return float(value)

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
            year, month, day_ = (int(part) if part else None for part in found.groups())
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

    def table(self, key: str) -> _Table:
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            self.wrong(key, f"a table that begins with [{key}]")
        return _Table(value, self.name, self.key(key))

    def tables(self, key: str, known: tuple[str, ...]) -> list[_Table]:
        value = self._values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            self.wrong(key, f"entries that each begin with [[{key}]]")
        tables = [_Table(v, self.name, f"{key}[{i}]") for i, v in enumerate(value, 1)]
        for table in tables:
            table.only(*known)
        return tables

    def criteria(self, key: str) -> tuple[Criterion, ...]:
        found = [
            Criterion(t.text("code") or f"{key[0].upper()}{i}", " ".join(t.text("text", required=True).split()))
            for i, t in enumerate(self.tables(key, ("code", "text")), 1)
        ]
        _no_code_twice(self, key, found)
        return tuple(found)


_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,2}[.)]|\(?[a-z][.)])\s+", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.;!?])\s+(?=[A-Z(])|;\s+|\s+(?=\(\d{1,2}\)\s)")
_EXCLUDES = re.compile(r"\b(exclu(?:de|des|ded|ding|sion)|ineligible|not eligible|did not (?:include|consider|review))\b", re.I)
_INCLUDES = re.compile(r"\b(inclu(?:de|des|ded|ding|sion)|eligible|eligibility)\b", re.IGNORECASE)
_HEADING = re.compile(r"^\W*(?:the\s+)?(?:key\s+)?(inclusion|exclusion)(?:\s+criteria)?\W*$", re.IGNORECASE)


def criteria_from_text(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split free text into inclusion and exclusion criteria, each a sentence or a bullet.

    A heading such as "Exclusion criteria" or a line that ends in a colon and speaks of exclusion
    governs what follows it; elsewhere a sentence that says "excluded" is an exclusion criterion.

    Returns
    -------
    include, exclude : tuple of str
    """
    include: list[str] = []
    exclude: list[str] = []
    under_exclusion = False
    for line in text.splitlines():
        line = line.strip()
        if not line:
            continue
        if heading := _HEADING.match(line):
            under_exclusion = heading.group(1).lower() == "exclusion"
            continue
        bullet = _BULLET.match(line) is not None
        for sentence in _SENTENCE.split(_BULLET.sub("", line)):
            sentence = " ".join(sentence.split())
            if not any(c.isalpha() for c in sentence):
                continue
            excludes, includes = _EXCLUDES.search(sentence), _INCLUDES.search(sentence)
            if sentence.endswith(":") and (excludes or includes):
                under_exclusion = excludes is not None
            elif excludes and not (includes and includes.start() < excludes.start()):
                exclude.append(sentence)
            elif under_exclusion and (bullet or not includes):
                exclude.append(sentence)
            else:
                include.append(sentence)
    return tuple(include), tuple(exclude)


def template() -> str:
    """Return a commented protocol.toml to fill in; as it stands it means `Protocol()`."""
    return _TEMPLATE


_TEMPLATE = '''\
# The protocol of the review. Everything here is optional; a line that begins with # says nothing.
# Fill it in at any time: the next command takes the changes over, and the old version is kept in
# the review. Name the stopping rule and its target before screening begins, and leave them.

# title = "Peer support in mental health"
# question = """
# What forms of support by and for adults with mental health difficulties have been studied, and
# with what results?
# """

# ---- Sources: the databases searched. They are quoted in the report's methods paragraph.
# [[sources]]
# name = "PubMed"
# search = "(peer OR consumer) AND support AND (mental health OR psychiatr*)"
# searched_on = 2010-08-31

# ---- Criteria. Each is one query of the first ranking, before any record is labelled: write what a
# ---- relevant abstract says, in its words. The code is what you pick when you exclude a record.
# [[include]]
# code = "PEER"
# text = "Support given by and for adults with mental health difficulties, face to face."

# [[exclude]]
# code = "ONLINE"
# text = "Support over the internet or the telephone only."

# [[exclude]]
# code = "CHILD"
# text = "Children and adolescents; support at school."

# ---- Limits: what `triage filter` removes before screening, with the reason in the log.
# [limits]
# languages = ["English"]
# published_from = "1980-01"
# published_to = "2010-08"
# exclude_types = ["editorial", "letter", "comment"]

# ---- Stages: any number, named freely. Without any there is one, "abstract", whose reasons are the
# ---- exclusion criteria. Reasons are codes from above, or new ones with a text.
# [[stages]]
# name = "abstract"
# reasons = ["ONLINE", "CHILD"]
#
# [[stages]]
# name = "full-text"
# reasons = ["CHILD", { code = "DATA", text = "No original data." }]

# tags = ["review", "qualitative"]

# ---- Stopping. audit-e certifies recall whatever the ranking does; fixed-audit (with audit_size)
# ---- certifies at one look; cmh is conditional on the ranking being no worse than random; quant and
# ---- ip-p are estimates; knee and consecutive are rules of thumb.
# [stopping]
# rule = "audit-e"
# target = 0.95
# confidence = 0.95

# model = "default"              # the ranking: default, fast, elas-u4, or a model's folder
# reviewers_per_record = 1       # 2: every record needs the decisions of two reviewers
'''
