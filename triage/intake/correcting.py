"""Fields of records, corrected by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError
from ..log import CurrentState, Event
from ..project import Project, Records
from ..project.records import corrected_fields
from ..records import CORRECTABLE, Record, filled, normal_doi, normal_pmid

_YEARS = range(1000, 2101)
Value = str | Sequence[str]


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction in force: the event, who made it and when, and what each field that it changed held before."""

    event: int
    record_id: int
    reviewer: str
    at: str
    was: dict[str, str]


def correct(project: Project, record_id: int, wanted: Mapping[str, Value], *, reviewer: str) -> list[Event]:
    """Write what fields of a record are to hold, in one transaction; nothing of those that hold it already.

    What was imported is kept, and each correction can be undone. The correction is that of the record which is shown
    for a group of copies; where a field is to be empty, it is emptied in the copies, too, which would fill it.

    Parameters
    ----------
    project : Project
    record_id : int
    wanted : mapping of str to str or sequence of str
        Of `records.CORRECTABLE`; authors and keywords are sequences, the year is in digits, and what is to be empty "".
    reviewer : str

    Raises
    ------
    InputError
        When there is no such record, or a value is not of its field; nothing is written.
    """
    live = project.live()
    members = _members(project.records, live, record_id)
    shown = filled(members[0], members[1:])
    changed = {
        name: value
        for name, text in wanted.items()
        if (value := _FIELDS[name](text)) != getattr(shown, name) and (value or getattr(shown, name))
    }
    texts = {"title": shown.title, "abstract": shown.abstract} | changed
    if not (texts["title"] or texts["abstract"]):
        raise InputError(f"Record {record_id} would have neither a title nor an abstract; give one of them.")
    of_record: dict[int, dict[str, object]] = {}
    for name, value in changed.items():
        for member in members if not value else members[:1]:
            if getattr(member, name) != value:
                of_record.setdefault(member.number, {})[name] = value
    return project.log.correct(of_record, reviewer=reviewer)


def fields_now(records: Records, live: CurrentState, record_id: int) -> tuple[dict[str, object], list[Correction]]:
    """Return what the fields of a record hold as it is shown, and its corrections in force.

    Raises
    ------
    InputError
        When there is no such record.
    """
    members = _members(records, live, record_id)
    shown = filled(members[0], members[1:])
    return {name: getattr(shown, name) for name in CORRECTABLE}, corrections(records, live, record_id)


def corrections(records: Records, live: CurrentState, record_id: int) -> list[Correction]:
    """Return the corrections in force of a record and its copies, in the order of the log."""
    found: list[Correction] = []
    for member in live.members(record_id):
        events = live.corrections.get(member, ())
        if not events:
            continue
        before = next(records.read([member], as_imported=True))
        so_far = {name: getattr(before, name) for name in CORRECTABLE}
        for event in events:
            now = corrected_fields([event])
            was = {name: in_words(so_far[name]) for name in now}
            found.append(Correction(event.seq, member, event.reviewer, event.at.isoformat(timespec="seconds"), was))
            so_far |= now
    return sorted(found, key=lambda one: one.event)


def in_words(value: object) -> str:
    """Return a field's value as text: of several, one beside the other."""
    return "; ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)


def _members(records: Records, live: CurrentState, record_id: int) -> list[Record]:
    """Return the record that is shown, first, and its copies."""
    kept, *copies = live.members(record_id)
    return [records.one(kept), *records.read(copies)]


def _line(value: Value) -> str:
    return " ".join(_text(value).split())


def _text(value: Value) -> str:
    return value.strip() if isinstance(value, str) else "\n".join(value).strip()


def _several(value: Value) -> tuple[str, ...]:
    lines = value.splitlines() if isinstance(value, str) else value
    return tuple(one for line in lines if (one := _line(line)))


def _year(value: Value) -> int | None:
    text = _line(value)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:9]) in _YEARS):
        raise InputError(
            f"The year {text[:40]!r} should be four digits, such as 2010; leave it empty where none is known."
        )
    return int(text)


def _doi(value: Value) -> str:
    text = _line(value)
    if text and not normal_doi(text):
        raise InputError(f"{text[:80]!r} is no DOI; one begins with 10., such as 10.1176/ps.2006.57.8.1179.")
    return normal_doi(text)


def _pmid(value: Value) -> str:
    text = _line(value)
    if text and not normal_pmid(text):
        raise InputError(f"{text[:40]!r} is no PubMed number; one has up to nine digits, such as 16870971.")
    return normal_pmid(text)


_FIELDS: Mapping[str, Callable[[Value], object]] = {
    "title": _line,
    "abstract": _text,
    "authors": _several,
    "year": _year,
    "journal": _line,
    "doi": _doi,
    "pmid": _pmid,
    "language": _line,
    "type": _line,
    "keywords": _several,
}
