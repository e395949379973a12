"""Criteria, reasons and tags added to a protocol, with the codes that are made for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..errors import InputError
from .model import Criterion, Protocol, has_word
from .writing import write

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


def with_code(text: str, taken: set[str], first: str) -> Criterion:
    """Return a criterion from a line of text: "CODE: text", or a text for which a code is made.

    Parameters
    ----------
    text : str
    taken : set of str
        The codes that are in use, folded; the new one is added.
    first : str
        The letter of a code that is made: I for inclusion, E for exclusion.
    """
    found = re.fullmatch(r"\s*([A-Z][A-Z0-9_-]{0,19}):\s+(.*\S)\s*", text, re.DOTALL)
    code, said = found.groups() if found else ("", " ".join(text.split()))
    if not code:
        number = 1
        while f"{first}{number}".casefold() in taken:
            number += 1
        code = f"{first}{number}"
    taken.add(code.casefold())
    return Criterion(code, " ".join(said.split()))


def as_toml(reasons: Sequence[Criterion]) -> str:
    """Return the lines that make reasons part of a protocol."""
    return write("", Protocol(exclude=tuple(reasons)))


def with_reasons(protocol: Protocol, reasons: Sequence[Criterion]) -> Protocol:
    """Return a protocol with more exclusion criteria, which its first stage offers as reasons."""
    first, *others = protocol.stages
    return replace(
        protocol,
        exclude=(*protocol.exclude, *reasons),
        stages=(replace(first, reasons=(*first.reasons, *reasons)), *others),
    )


def with_reason_at(protocol: Protocol, stage_name: str, text: str) -> tuple[Protocol, Criterion]:
    """Return a protocol in which a stage offers one more reason, and the reason.

    The criteria stay as they were: they are what was registered, and what the ranking reads. A reason that is known
    under this text or code is taken as it is; where the stage offers it, the protocol is the same.

    Raises
    ------
    InputError
        When the text holds no word.
    """
    text = " ".join(text.split())
    if not has_word(text):
        raise InputError("Say in a few words why the record is excluded.")
    stage = next(s for s in protocol.stages if s.name == stage_name)
    known = (*stage.reasons, *protocol.exclude, *(r for s in protocol.stages for r in s.reasons))
    same = next((r for r in known if text.casefold() in (r.code.casefold(), r.text.casefold())), None)
    reason = same or new_reasons(protocol, [text])[0]
    if reason in stage.reasons:
        return protocol, reason
    wider = replace(stage, reasons=(*stage.reasons, reason))
    return replace(protocol, stages=tuple(wider if s is stage else s for s in protocol.stages)), reason


def with_tag(protocol: Protocol, text: str) -> tuple[Protocol, str]:
    """Return a protocol with one more tag, and the tag; one that is known in another spelling is taken as it is.

    Raises
    ------
    InputError
        When the text can be no tag.
    """
    tag = " ".join(text.split())
    if not has_word(tag) or ";" in tag:
        raise InputError('A tag is a word or a few, without ";".')
    same = next((t for t in protocol.tags if " ".join(t.casefold().split()) == tag.casefold()), None)
    return (protocol, same) if same else (replace(protocol, tags=(*protocol.tags, tag)), tag)
