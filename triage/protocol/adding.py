"""Reasons added to a protocol."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from .model import Criterion, Protocol

_WORDS_OF_A_CODE = 3
_LONGEST_CODE = 24


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


def with_reasons(protocol: Protocol, reasons: Sequence[Criterion]) -> Protocol:
    """Return a protocol with more exclusion criteria, which its first stage offers as reasons."""
    first, *others = protocol.stages
    return replace(
        protocol,
        exclude=(*protocol.exclude, *reasons),
        stages=(replace(first, reasons=(*first.reasons, *reasons)), *others),
    )


def _quoted(text: str) -> str:
    # A basic string of TOML is one of JSON, for text that can be printed.
    return json.dumps("".join(c for c in text if c.isprintable()), ensure_ascii=False)
