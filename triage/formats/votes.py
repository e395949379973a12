"""Decisions that other screening programs write into their exports: ASReview, Rayyan and Covidence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from .common import Tally

_RAYYAN = re.compile(r"RAYYAN-INCLUSION:\s*(\{[^{}]*\}|\w+)")
_RAYYAN_VOTE = re.compile(r"(?:\"((?:[^\"\\]|\\.)*)\"\s*(?:=>|:)\s*)\"(\w+)\"")
_RAYYAN_REASONS = re.compile(r"RAYYAN-EXCLUSION-REASONS:\s*([^|\n]{1,500})")
_ASREVIEW = re.compile(r"ASReview_(relevant|irrelevant)\b")
_REASON = re.compile(r"Exclusion reason:\s*[^;\s]", re.IGNORECASE)
# Only its file's name says which list Covidence exported: review_1234_irrelevant_csv_2024.csv.
_COVIDENCE_LIST = re.compile(r"review_\d+_(irrelevant|select|included|excluded)_csv", re.IGNORECASE)
_COVIDENCE_COLUMNS = (
    "decision",
    "finaldecision",
    "consensusdecision",
    "screeningdecision",
    "status",
    "screeningstatus",
    "vote",
    "finalvote",
    "outcome",
    "list",
    "tags",
)
_WORDS = {
    "included": "include",
    "include": "include",
    "yes": "include",
    "selected": "include",
    "select": "include",
    "relevant": "include",
    "excluded": "exclude",
    "exclude": "exclude",
    "no": "exclude",
    "irrelevant": "exclude",
    "maybe": "maybe",
}


def in_notes(notes: Iterable[str], line: int, tally: Tally) -> str:
    """Return the label that ASReview or Rayyan wrote into a record's notes, or "".

    Where Rayyan's reviewers disagree there is no label, and a warning says so: the record is to be
    screened again, and the notes keep their votes.
    """
    for note in notes:
        if "RAYYAN-INCLUSION" in note and (found := _RAYYAN.search(note)):
            return _rayyan(found.group(1), line, tally)
        if "ASReview_" in note and (found := _ASREVIEW.search(note)):
            return "1" if found.group(1) == "relevant" else "0"
    return ""


def voters_in_notes(notes: Iterable[str]) -> list[str]:
    """Return the names of the reviewers whose decisions Rayyan wrote into a record's notes."""
    found = (_RAYYAN.search(note) for note in notes if "RAYYAN-INCLUSION" in note)
    return [name for votes in found if votes for name, _ in _RAYYAN_VOTE.findall(votes.group(1)) if name]


def reason_in_notes(notes: Iterable[str]) -> str:
    """Return the reason for an exclusion that Rayyan wrote into a record's notes, the first of several, or ""."""
    for note in notes:
        if "RAYYAN-EXCLUSION-REASONS" in note and (found := _RAYYAN_REASONS.search(note)):
            return next(filter(None, map(str.strip, found.group(1).split(","))), "")
    return ""


def _rayyan(text: str, line: int, tally: Tally) -> str:
    votes = [(name, _WORDS.get(vote.lower(), "")) for name, vote in _RAYYAN_VOTE.findall(text)]
    votes = votes or [("", _WORDS.get(text.strip("{} ").lower(), ""))]
    labels = {label for _, label in votes if label}
    if len(labels) > 1:
        given = ", ".join(f"{name}: {label}" for name, label in votes if label)
        tally.warn(line, f"Rayyan's reviewers disagree ({given[:200]}); no decision taken from it, screen it again")
        return ""
    return labels.pop() if labels else ""


class CovidenceLabels:
    """Reads the decisions of a Covidence export, row by row.

    An exclusion at full text counts as one here: the record is out, and needs no second screening.

    Parameters
    ----------
    path : Path
        Its name says which list it holds, where no column does.
    names : sequence of str
        The table's column names, as letters only.
    """

    def __init__(self, path: Path, names: Sequence[str]):
        self._columns = [names.index(name) for name in _COVIDENCE_COLUMNS if name in names]
        self._notes = names.index("notes") if "notes" in names else -1
        found = _COVIDENCE_LIST.search(path.name)
        self._list = _WORDS[found.group(1).lower()] if found else ""

    def __call__(self, cells: Sequence[str]) -> str:
        for at in self._columns:
            for word in re.split(r"[;,|]", cells[at]) if at < len(cells) else ():
                if label := _WORDS.get(word.strip().lower()):
                    return label
        if 0 <= self._notes < len(cells) and _REASON.search(cells[self._notes]):
            return "exclude"
        return self._list


def is_covidence(names: Sequence[str]) -> bool:
    """Whether column names, as letters only, are those of a Covidence export."""
    return "covidence" in names or "covidenceid" in names
