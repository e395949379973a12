"""Machines as screeners, such as language models: what one is, what it suggests, and who may see it when.

A machine's label is never a decision: it is an event of its own, which nothing that is counted, agreed on or
proved ever reads. Text that came from a machine is hostile, like any other that was imported.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import InputError
from .log import CurrentState, Event, Label

MOST_SHOWN = 600  # characters of a rationale, where one is shown beside a record

# Words in the names of tools that screen. Each is looked for as a word of its own, before or after which digits and
# signs may stand ("gpt-4o", "llama3"). People have some of these names, so a name alone is asked about, never refused.
_TOOLS = (
    "gpt",
    "chatgpt",
    "openai",
    "claude",
    "anthropic",
    "gemini",
    "gemma",
    "llama",
    "mistral",
    "mixtral",
    "deepseek",
    "qwen",
    "grok",
    "copilot",
    "perplexity",
    "llm",
    "language model",
    "ai",
    "bot",
    "elicit",
    "asreview",
    "robotsearch",
    "robotreviewer",
    "robotanalyst",
    "rct classifier",
)
_TOOL = re.compile(
    r"(?<![^\W\d_])(?:" + "|".join(name.replace(" ", r"[ _-]?") for name in _TOOLS) + r")(?![^\W\d_])", re.IGNORECASE
)


def names_a_tool(text: str) -> bool:
    """Tell whether the name of a reviewer, or of a column, holds that of a tool known to screen.

    Examples
    --------
    >>> [names_a_tool(name) for name in ("gpt-4o", "ChatGPT_decision", "Claude Bernard", "Claudette", "Kai")]
    [True, True, True, False, False]
    """
    return _TOOL.search(text) is not None


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that screens, as the person who brings its labels in names it.

    Attributes
    ----------
    name : str
        Its name and version.
    prompt, prompt_sha256 : str or None
        The text by which it was asked to screen, and the SHA-256 of the file that holds it.
    """

    name: str
    prompt: str | None = None
    prompt_sha256: str | None = None

    @classmethod
    def of(cls, name: str, prompt_file: Path | None = None) -> Machine:
        """Return a machine with the prompt that a file holds.

        Raises
        ------
        InputError
            When there is no name, or the file is no UTF-8 text.
        """
        name = " ".join(name.split())
        if not name:
            raise InputError('A machine needs a name, with its version, such as --machine "gpt-4o 2024-08-06".')
        if prompt_file is None:
            return cls(name)
        try:
            content = prompt_file.read_bytes()
            return cls(name, content.decode("utf-8-sig"), hashlib.sha256(content).hexdigest())
        except UnicodeDecodeError as error:
            raise InputError(f"{prompt_file} is not UTF-8 text; save it as UTF-8.") from error
        except OSError as error:
            raise InputError(f"{prompt_file} cannot be read ({error.strerror}).") from error

    def known(self, file: Path, reviewer: str) -> dict[str, object]:
        """Return what the log keeps of it: the file that its labels came in, who brought that in, and its prompt."""
        facts = {"file": file.name, "by": reviewer, "prompt_sha256": self.prompt_sha256, "prompt": self.prompt}
        return {name: value for name, value in facts.items() if value is not None}


def prompts_of(declared: Iterable[Event]) -> list[str]:
    """Return the SHA-256 of each prompt that a machine was declared with, the newest last."""
    found = (json.loads(e.note).get("prompt_sha256") for e in declared)
    return list(dict.fromkeys(one for one in found if one))


def versions_of(declared: Iterable[Event]) -> list[str]:
    """Return each version that a machine's server called it, the newest last."""
    found = (json.loads(e.note).get("version") for e in declared)
    return list(dict.fromkeys(one for one in found if one))


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a machine says of a record.

    Attributes
    ----------
    machine : str
    label : Label or None
        None where it gives a score alone.
    reason : str
        As the machine gave it; perhaps none of the protocol's.
    score : float or None
        The higher, the more likely relevant.
    confidence : float or str or None
        How sure the machine is of its own label, in a number or a word.
    rationale, note : str
    """

    machine: str
    label: Label | None
    reason: str = ""
    score: float | None = None
    confidence: float | str | None = None
    rationale: str = ""
    note: str = ""

    @classmethod
    def of(cls, event: Event) -> Suggestion:
        """Return what a suggestion of the log says."""
        said = json.loads(event.note) if event.note else {}
        return cls(
            event.reviewer,
            event.label,
            event.reason,
            said.get("score"),
            said.get("confidence"),
            said.get("rationale", ""),
            said.get("note", ""),
        )

    def event_note(self) -> str:
        """Return what the log keeps beside label and reason, as JSON; "" where there is nothing."""
        facts = {name: getattr(self, name) for name in ("score", "confidence", "rationale", "note")}
        said = {name: value for name, value in facts.items() if value not in (None, "")}
        return json.dumps(said, ensure_ascii=False) if said else ""

    def __str__(self) -> str:
        """Say it in a line, such as "gpt-x suggests exclude (CHILD): children only"; to be made printable."""
        said = f"{self.machine} suggests {self.label}" if self.label else f"{self.machine} suggests no label"
        if self.reason:
            said += f" ({self.reason})"
        if self.score is not None:
            said += f", score {self.score:g}"
        why = self.rationale or self.note
        return f"{said}: {why}" if why else said

    def as_json(self) -> dict[str, object]:
        """Return it for a program."""
        return {
            "machine": self.machine,
            "label": None if self.label is None else str(self.label),
            "reason": self.reason,
            "score": self.score,
            "confidence": self.confidence,
            "rationale": self.rationale,
            "note": self.note,
        }


def shown_suggestions(
    live: CurrentState, stage: str, record_id: int, *, viewer: str | None, blind: bool, needed: int = 1
) -> list[Suggestion]:
    """Return what machines suggest for a record, as far as somebody may see it now.

    Parameters
    ----------
    live : CurrentState
    stage : str
    record_id : int
    viewer : str or None
        Whoever is to see it, by the name under which they decide; None for somebody who decides nothing, who sees
        it once those have decided who are to.
    blind : bool
        What the protocol says: whether it stays hidden until the viewer has decided on the record.
    needed : int
        Without a viewer: how many are to have decided on it.
    """
    found = live.suggestions_on(stage, live.kept(record_id))
    if found and not may_see_suggestions(live, stage, record_id, viewer=viewer, blind=blind, needed=needed):
        return []
    return [Suggestion.of(e) for e in found]


def may_see_suggestions(
    live: CurrentState, stage: str, record_id: int, *, viewer: str | None, blind: bool, needed: int = 1
) -> bool:
    """Tell whether somebody may see now what machines suggest for a record; see `shown_suggestions`."""
    if not blind:
        return True
    kept = live.kept(record_id)
    members = live.members(kept)
    if viewer is None:
        here = set(members)
        given = ((who, e) for (name, one, who), e in live.decisions.items() if name == stage and one in here)
        return len({who for who, e in given if not e.is_unread}) >= needed
    own = (live.decisions.get((stage, one, viewer)) for one in members)
    return any(e is not None and not e.is_unread for e in own)
