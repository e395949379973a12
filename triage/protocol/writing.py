"""A protocol written back as TOML: what changed is put in its place, and the rest of the text stays as its author wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from .model import FIRST_STAGE, Protocol, Stage
from .parsing import PLAIN_KEYS, parse

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

_TABLES = ("limits", "stopping", "machines")


def write(text: str, wanted: Protocol) -> str:
    """Return a protocol's TOML, changed so that it says what is wanted.

    Comments, order and layout of what does not change are kept. A key whose commented example the template still has
    takes the place of the example.

    Parameters
    ----------
    text : str
        A valid protocol.
    wanted : Protocol

    Raises
    ------
    InputError
        When what is wanted is no valid protocol.
    """
    import tomlkit

    before = _as_tables(parse(text))
    after = _as_tables(wanted)
    changed = {key: after.get(key) for key in (*before, *after) if before.get(key) != after.get(key)}
    there = tomlkit.parse(text)
    for key in reversed(PLAIN_KEYS):
        if key in after and key not in there:
            text = _with_place(text, key, after[key])
    document = tomlkit.parse(text)
    for key, value in changed.items():
        _put(document, key, value)
    written = tomlkit.dumps(document)
    parse(written)
    return written


def _with_place(text: str, key: str, value: object) -> str:
    """Put a line that can be filled in where the template has a key's example, which gives way; else at the top.

    Anywhere below it may come between a comment and what it is about.
    """
    example = '"""\n(?:#.*\n)*?# """' if key == "question" else ".*"
    found = re.search(rf"^# {key} = {example}$", text, re.MULTILINE)
    place = f"{key} = {type(value)()!r}"  # an empty value of its kind
    return f"{place}\n{text}" if found is None else f"{text[: found.start()]}{place}{text[found.end() :]}"


def _as_tables(protocol: Protocol) -> dict[str, Any]:
    """Return what a protocol says as TOML has it, without what is said by saying nothing."""
    nothing = Protocol()
    found: dict[str, Any] = {
        key: _value(getattr(protocol, key)) for key in PLAIN_KEYS if getattr(protocol, key) != getattr(nothing, key)
    }
    for source in protocol.sources:
        one = {"name": source.name, "search": source.search, "searched_on": _day(source.searched_on)}
        found.setdefault("sources", []).append({key: value for key, value in one.items() if value})
    for key, criteria in (("include", protocol.include), ("exclude", protocol.exclude)):
        if criteria:
            found[key] = [{"code": c.code, "text": c.text} for c in criteria]
    if protocol.highlights:
        found["highlights"] = [
            {"name": one.name, "colour": one.colour, "words": list(one.words)} for one in protocol.highlights
        ]
    for key in _TABLES:
        table, default = getattr(protocol, key), getattr(nothing, key)
        said = {
            name: _value(getattr(table, name))
            for name in type(table).__dataclass_fields__
            if getattr(table, name) != getattr(default, name)
        }
        if said:
            found[key] = said
    if protocol.stages != (Stage(FIRST_STAGE, protocol.exclude),) and protocol.stages != (Stage(FIRST_STAGE),):
        known = {c.code for c in protocol.exclude}
        found["stages"] = [_stage(stage, known) for stage in protocol.stages]
    return found


def _stage(stage: Stage, known: set[str]) -> dict[str, Any]:
    reasons = [r.code if r.code in known else {"code": r.code, "text": r.text} for r in stage.reasons]
    one: dict[str, Any] = {"name": stage.name, "reasons": reasons}
    if stage.not_retrieved:
        one["not_retrieved"] = stage.not_retrieved
    return one


def _value(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _day(text: str) -> str | date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return text


def _put(document: TOMLDocument, key: str, value: Any) -> None:
    if value is None:
        document.remove(key)
    elif isinstance(value, dict):
        _put_table(document, key, value)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        _put_tables(document, key, value)
    else:
        _set(document, key, value)


def _set(table: Any, name: str, value: Any) -> None:
    """Set a value; a list that only grows keeps what is written between its members."""
    import tomlkit

    before = table.get(name)
    if isinstance(before, tomlkit.items.Array) and isinstance(value, list) and value[: len(before)] == list(before):
        for one in value[len(before) :]:
            before.append(_item([one])[0] if isinstance(one, dict) else one)
    else:
        table[name] = _item(value)


def _put_tables(document: TOMLDocument, key: str, value: Sequence[Mapping[str, Any]]) -> None:
    """Change the entries that there are where they differ, so that their comments stay, and add or remove the last ones."""
    import tomlkit

    if not isinstance(document.get(key), tomlkit.items.AoT):
        if key in document:
            document.remove(key)
        document.append(key, tomlkit.aot())
    entries: Any = document[key]
    while len(entries) > len(value):
        del entries[-1]
    for at, wanted in enumerate(value):
        if at == len(entries):
            entries.append(tomlkit.table())
        _fill(entries[at], wanted)


def _put_table(document: TOMLDocument, key: str, value: Mapping[str, Any]) -> None:
    import tomlkit

    if key not in document:
        document.append(key, tomlkit.table())
    _fill(document[key], value)


def _fill(table: Any, wanted: Mapping[str, Any]) -> None:
    """Change what differs in a table, and take out what is not wanted."""
    for name in [name for name in table if name not in wanted]:
        table.remove(name)
    for name, said in wanted.items():
        if name not in table or table[name] != said:
            _set(table, name, said)


def _item(value: Any) -> Any:
    import tomlkit

    if isinstance(value, str):
        return tomlkit.string(value, multiline="\n" in value)
    if isinstance(value, Sequence) and any(isinstance(one, dict) for one in value):
        entries = tomlkit.array()
        for one in value:
            if isinstance(one, dict):
                table = tomlkit.inline_table()
                table.update(one)
                one = table
            entries.append(one)
        return entries.multiline(True)
    return value
