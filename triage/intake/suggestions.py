"""Labels that a machine gave: the columns that hold them, and files that seem to hold some without saying so."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .. import formats
from ..errors import Faults, InputError
from ..log import Label, without_quotes
from ..machines import Suggestion, names_a_tool
from ..project import Project

# Names of columns, compared as letters only; the first that a table has is taken. One that begins with the name of
# a tool, or another of these words, counts too ("gpt4_score", "inclusion probability").
_COLUMNS = {
    "score": ("score", "relevancescore", "probability", "prob", "likelihood", "relevance"),
    "confidence": ("confidence", "confidencescore", "certainty"),
    "rationale": ("rationale", "explanation", "reasoning", "justification", "comment", "comments", "why", "reason"),
}
_BEFORE = frozenset("model machine predicted prediction include inclusion relevance relevant screening label".split())
_REVIEWERS = frozenset(
    "reviewer reviewers reviewername screener screeners screenedby rater annotator annotatedby labeler labeller "
    "labeledby labelledby decidedby judge assessor agent tool model modelname".split()
)
_NOTHING = frozenset(("", "na", "n/a", "nan", "none", "null", "-"))
_NUMBER = re.compile(r"([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d{1,3})?)\s*(%?)", re.IGNORECASE)


class WhoseLabels(InputError):
    """A file seems to hold the labels of a machine, and nobody said whether it does.

    Attributes
    ----------
    file : Path
    name : str
        What it names.
    doubt : str
        The sentence but for how to answer.
    """

    def __init__(self, file: Path, where: str, name: str) -> None:
        self.file = file
        self.name = " ".join(name.split())[:80]
        self.doubt = f"{file}: {where} names {self.name!r}, so these may be a machine's labels, which are not decisions"
        super().__init__(f"{self.doubt}: say --machine NAME if a machine gave them, or --person if a person did.")


def ask_whose(file: Path, columns: Iterable[str], reviewers: Iterable[tuple[str, str]]) -> None:
    """Refuse a file whose labels may be a machine's.

    Parameters
    ----------
    file : Path
    columns : iterable of str
        Names of columns that hold labels.
    reviewers : iterable of (where, name)
        Who is named as having given them.

    Raises
    ------
    WhoseLabels
    """
    for column in columns:
        if names_a_tool(column):
            raise WhoseLabels(file, "its column of labels", column)
    for where, name in reviewers:
        if names_a_tool(name):
            raise WhoseLabels(file, where, name)


def reviewer_columns(header: Sequence[str]) -> list[int]:
    """Return where the columns of a table are that say who gave its labels."""
    return [at for at, name in enumerate(header) if formats.letters(name) in _REVIEWERS]


def machine_columns(header: Sequence[str]) -> dict[str, int]:
    """Return where a table's "score", "confidence" and "rationale" are, as far as it has them."""
    found = {}
    for wanted, aliases in _COLUMNS.items():
        at = next((at for alias in aliases for at, name in enumerate(header) if _is_named(name, alias)), None)
        if at is not None:
            found[wanted] = at
    return found


def _is_named(name: str, alias: str) -> bool:
    if formats.letters(name) == alias:
        return True
    *before, last = re.findall(r"[^\W\d_]+", name.casefold()) or [""]
    return last == alias and bool(before) and all(word in _BEFORE or names_a_tool(word) for word in before)


def suggestion_of(machine: str, label: Label | None, said: Mapping[str, str], where: str, faults: Faults) -> Suggestion:
    """Return what a row of a machine's labels says; `faults` gets a score that is not a number.

    Parameters
    ----------
    machine : str
    label : Label or None
    said : mapping of str to str
        Its cells "reason", "score", "confidence", "rationale" and "note", as far as there are some.
    where : str
        Its line.
    faults : Faults
    """
    cells = {name: "" if text.strip().casefold() in _NOTHING else text.strip() for name, text in said.items()}
    score, confidence = _number(cells.get("score", "")), _number(cells.get("confidence", ""))
    if score is None and cells.get("score"):
        faults.add(where, f"{cells['score'][:40]!r} is not a score", "write a number, or rename the column")
    return Suggestion(
        machine,
        label,
        cells.get("reason", ""),
        score,
        cells.get("confidence") if confidence is None else confidence,
        cells.get("rationale", ""),
        cells.get("note", ""),
    )


def _number(text: str) -> float | None:
    found = _NUMBER.fullmatch(without_quotes(text))
    if found is None:
        return None
    number = float(found[1].replace(",", "."))
    number = number / 100 if found[2] else number
    return number if math.isfinite(number) else None


def new_suggestions(project: Project, stage_name: str, given: Mapping[int, Suggestion]) -> list[dict[str, object]]:
    """Return the fields of those suggestions of one machine, by record, that are not in force already."""
    live = project.live()
    name = next((live.machine_named(one.machine) for one in given.values()), None)
    in_force = live.suggested(stage_name).get(name, {}) if name else {}
    rows: list[dict[str, object]] = []
    for record_id, one in given.items():
        before, note = in_force.get(live.kept(record_id)), one.event_note()
        if before is None or (before.label, before.reason, before.note) != (one.label, one.reason, note):
            rows.append({"record_id": record_id, "label": one.label, "reason": one.reason, "note": note})
    return rows
