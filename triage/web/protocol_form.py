"""The protocol as a form: what it says as fields, and the fields made a protocol again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import InputError
from ..protocol import FIRST_STAGE, Criterion, Limits, Protocol, Source, Stage, has_word, parse, with_code, write

_BLANK_ROWS = 2  # of sources and stages, to be filled in


@dataclass(frozen=True, slots=True)
class SourceFields:
    """One database searched, as it is typed."""

    name: str = ""
    searched_on: str = ""
    search: str = ""


@dataclass(frozen=True, slots=True)
class StageFields:
    """One stage, as it is typed: its reasons one a line."""

    name: str = ""
    reasons: str = ""
    not_retrieved: str = ""


@dataclass(frozen=True, slots=True)
class Fields:
    """Everything that the form holds, as text."""

    title: str = ""
    question: str = ""
    include: str = ""
    exclude: str = ""
    tags: str = ""
    key_papers: str = ""
    sources: tuple[SourceFields, ...] = ()
    languages: str = ""
    published_from: str = ""
    published_to: str = ""
    exclude_types: str = ""
    stages: tuple[StageFields, ...] = ()
    reviewers_per_record: str = "1"
    calibration: str = ""
    rule: str = ""
    target: str = "95"
    confidence: str = "95"
    audit_size: str = ""
    seen: str = ""  # the digest of the TOML that the form was made from


def fields_of(protocol: Protocol, seen: str) -> Fields:
    """Return a protocol as the form shows it."""
    limits, stopping = protocol.limits, protocol.stopping
    return Fields(
        title=protocol.title,
        question=protocol.question,
        include=_lines(protocol.include),
        exclude=_lines(protocol.exclude),
        tags=", ".join(protocol.tags),
        key_papers="\n".join(protocol.key_papers),
        sources=(
            *(SourceFields(s.name, s.searched_on, s.search) for s in protocol.sources),
            *[SourceFields()] * _BLANK_ROWS,
        ),
        languages=", ".join(limits.languages),
        published_from="" if limits.published_from is None else limits.published_from.isoformat(),
        published_to="" if limits.published_to is None else limits.published_to.isoformat(),
        exclude_types=", ".join(limits.exclude_types),
        stages=(
            *(
                StageFields(
                    s.name, "" if not n and s.reasons == protocol.exclude else _lines(s.reasons), s.not_retrieved
                )
                for n, s in enumerate(protocol.stages)
            ),
            *[StageFields()] * (_BLANK_ROWS - 1),
        ),
        reviewers_per_record=str(protocol.reviewers_per_record),
        calibration=str(protocol.calibration or ""),
        rule=stopping.rule,
        target=f"{100 * stopping.target:g}",
        confidence=f"{100 * stopping.confidence:g}",
        audit_size=str(stopping.audit_size or ""),
        seen=seen,
    )


def _lines(criteria: Sequence[Criterion]) -> str:
    return "\n".join(f"{c.code}: {c.text}" for c in criteria)


def sent_fields(sent: Mapping[str, Sequence[str]]) -> Fields:
    """Return the fields as a browser sent them; what is missing is empty."""

    def one(name: str) -> str:
        return (sent.get(name) or [""])[0].replace("\r\n", "\n").strip()

    def rows(*names: str) -> list[list[str]]:
        columns = [[value.replace("\r\n", "\n").strip() for value in sent.get(name, ())] for name in names]
        return [list(row) for row in zip(*columns)]

    return Fields(
        **{name: one(name) for name in _SINGLE},
        sources=tuple(SourceFields(*row) for row in rows("source_name", "source_day", "source_search")),
        stages=tuple(StageFields(*row) for row in rows("stage_name", "stage_reasons", "stage_lost")),
        seen=(sent.get("seen") or [""])[0],
    )


_SINGLE = tuple(name for name in Fields.__dataclass_fields__ if name not in ("sources", "stages", "seen"))


def protocol_from(fields: Fields, before: Protocol) -> Protocol:
    """Return the protocol that the fields say; what the form does not show stays as it was before.

    Raises
    ------
    InputError
        When a field says nothing that can be understood.
    """
    taken: set[str] = set()
    include = _criteria(fields.include, taken, "I", before.include)
    exclude = _criteria(fields.exclude, taken, "E", before.exclude)
    stages = _stages(fields, include, exclude, taken)
    wanted = replace(
        before,
        title=fields.title,
        question=fields.question if has_word(fields.question) else "",
        include=include,
        exclude=exclude,
        tags=_listed(fields.tags),
        key_papers=tuple(
            dict.fromkeys(" ".join(line.split()) for line in fields.key_papers.split("\n") if has_word(line))
        ),
        sources=tuple(Source(s.name, s.search, s.searched_on) for s in fields.sources if s.name or s.search),
        limits=Limits(languages=_listed(fields.languages), exclude_types=_listed(fields.exclude_types)),
        stages=stages,
        reviewers_per_record=_whole("Reviewers of each record", fields.reviewers_per_record) or 1,
        calibration=_whole("Records of the calibration round", fields.calibration) or 0,
        stopping=replace(
            before.stopping,
            rule=fields.rule or before.stopping.rule,
            target=_share("Recall to reach", fields.target),
            confidence=_share("Confidence", fields.confidence),
            audit_size=_whole("Size of the sample", fields.audit_size),
        ),
    )
    if nameless := next((s for s in wanted.sources if not s.name), None):
        raise InputError(f"The source searched with {nameless.search[:60]!r} has no name; give the database's.")
    return _with_days(wanted, fields)


def _with_days(wanted: Protocol, fields: Fields) -> Protocol:
    """Add the dates, which are read where a protocol's file is: a year, a month or a day."""
    said = {"published_from": fields.published_from, "published_to": fields.published_to}
    lines = "\n".join(f'{name} = "{text}"' for name, text in said.items() if text)
    for name, text in said.items():
        if text and not re.fullmatch(r"[\d-]{4,10}", text):
            what = "Published from" if name == "published_from" else "Published to"
            raise InputError(f"{what}: {text!r} is not a year, a month or a day, such as 1980, 1980-01 or 1980-01-31.")
    days = parse(f"[limits]\n{lines}\n", "Limits").limits
    return replace(
        wanted, limits=replace(wanted.limits, published_from=days.published_from, published_to=days.published_to)
    )


def _criteria(text: str, taken: set[str], letter: str, before: Sequence[Criterion]) -> tuple[Criterion, ...]:
    """Return the criteria of some lines; one whose text was there before keeps its code."""
    codes = {c.text: c.code for c in before}
    found = []
    lines = [" ".join(line.split()) for line in text.split("\n") if has_word(line)]
    reserved = {c.casefold() for c in codes.values()}
    for line in lines:
        if line in codes and codes[line].casefold() not in taken:
            taken.add(codes[line].casefold())
            found.append(Criterion(codes[line], line))
        else:
            made = with_code(line, taken | reserved, letter)
            taken.add(made.code.casefold())
            found.append(made)
    return tuple(found)


def _stages(
    fields: Fields, include: Sequence[Criterion], exclude: tuple[Criterion, ...], taken: set[str]
) -> tuple[Stage, ...]:
    known = {c.code.casefold(): c for c in exclude}
    stages = []
    for n, row in enumerate(row for row in fields.stages if row.name or row.reasons):
        reasons: list[Criterion] = []
        for line in row.reasons.split("\n"):
            line = " ".join(line.split())
            if not line:
                continue
            code = line.partition(":")[0].casefold()
            reason = known.get(line.casefold()) or known.get(code) or with_code(line, taken, "R")
            known.setdefault(reason.code.casefold(), reason)
            reasons.append(reason)
        name = row.name or (FIRST_STAGE if not n else f"stage {n + 1}")
        stages.append(Stage(name, tuple(reasons) if row.reasons else exclude if not n else (), row.not_retrieved))
    return tuple(stages) or (Stage(FIRST_STAGE, exclude),)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for piece in re.split(r"[,;\n]", text) if (part := " ".join(piece.split()))))


def _whole(what: str, text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"\d{1,6}", text):
        raise InputError(f"{what}: {text!r} is not a whole number.")
    return int(text) or None


def _share(what: str, text: str) -> float:
    """Return a share that is typed as a percentage, or as a number below 1."""
    try:
        value = float(text.rstrip("% ").replace(",", "."))
    except ValueError:
        value = -1.0
    value = value / 100 if value > 1 else value
    if not 0 < value < 1:
        raise InputError(f"{what}: {text!r} is not a percentage between 0 and 100, such as 95.")
    return value


def checked(fields: Fields, before: Protocol) -> Protocol:
    """Return the protocol of some fields, checked as its file would be.

    Raises
    ------
    InputError
        In words for somebody who fills in a form.
    """
    try:
        wanted = protocol_from(fields, before)
        write("", wanted)
    except InputError as error:
        said = error.message.removeprefix("protocol.toml: ").removesuffix("; correct it and run the command again.")
        raise InputError(said if said.endswith(".") else f"{said}.") from error
    return wanted
