"""Reasons added to a protocol's file, whose other lines stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..errors import InputError
from .model import Criterion, Protocol
from .parsing import parse

_WORDS_OF_A_CODE = 3
_LONGEST_CODE = 24
_BEFORE_A_LIST = re.compile(r"^[ \t]*\[\[\s*stages\s*\]\][^\[]*?^[ \t]*reasons[ \t]*=[ \t]*\[", re.MULTILINE)
_IN_A_LIST = re.compile(r"\"(?:[^\"\\\n]|\\.)*+\"|'[^'\n]*'|#[^\n]*|[\[\]]")


def new_reasons(protocol: Protocol, texts: Iterable[str]) -> tuple[Criterion, ...]:
    """Return reasons with these texts, each with a code that the protocol does not have."""
    taken = {c.code.casefold() for c in (*protocol.include, *protocol.exclude)}
    taken |= {c.code.casefold() for stage in protocol.stages for c in stage.reasons}
    made = []
    for text in texts:
        words = re.findall(r"[^\W_]+", text.upper())[:_WORDS_OF_A_CODE]
        base = "-".join(words)[:_LONGEST_CODE].rstrip("-") or "REASON"
        code, number = base, 2
        while code.casefold() in taken:
            code, number = f"{base}-{number}", number + 1
        taken.add(code.casefold())
        made.append(Criterion(code, text))
    return tuple(made)


def as_toml(reasons: Sequence[Criterion]) -> str:
    """Return the lines that make reasons part of a protocol."""
    return "\n".join(f"[[exclude]]\ncode = {_quoted(r.code)}\ntext = {_quoted(r.text)}\n" for r in reasons)


def with_reasons(text: str, reasons: Sequence[Criterion], name: str) -> str:
    """Return a protocol's text with more exclusion criteria, which its first stage offers as reasons.

    Parameters
    ----------
    text : str
        TOML.
    reasons : sequence of Criterion
    name : str
        What to call the protocol in a message.

    Raises
    ------
    InputError
        When the text is written in a way in which they cannot be added without changing anything else.
    """
    before = parse(text, name)
    first, *others = before.stages
    wanted = replace(
        before,
        exclude=(*before.exclude, *reasons),
        stages=(replace(first, reasons=(*first.reasons, *reasons)), *others),
    )
    added = f"{text.rstrip()}\n\n{as_toml(reasons)}"
    for candidate in (added, _listed(added, reasons)):
        try:
            if parse(candidate, name) == wanted:
                return candidate
        except InputError:
            continue
    raise InputError(
        f"{name} is written in a way that reasons cannot be added to by themselves; write them into it by hand:\n"
        + as_toml(reasons)
    )


def _listed(text: str, reasons: Sequence[Criterion]) -> str:
    """Return the text with the codes at the end of the first stage's own list of reasons."""
    begin = _BEFORE_A_LIST.search(text)
    if begin is None:
        return text
    depth = 1
    for mark in _IN_A_LIST.finditer(text, begin.end()):
        depth += {"[": 1, "]": -1}.get(mark.group(), 0)
        if not depth:
            inside = re.sub(r"#[^\n]*", "", text[begin.end() : mark.start()]).rstrip()
            comma = ", " if inside and not inside.endswith(",") else " " if inside else ""
            codes = ", ".join(_quoted(r.code) for r in reasons)
            return f"{text[: mark.start()]}{comma}{codes}{text[mark.start() :]}"
    return text


def _quoted(text: str) -> str:
    # A basic string of TOML is one of JSON, for text that can be printed.
    return json.dumps("".join(c for c in text if c.isprintable()), ensure_ascii=False)
