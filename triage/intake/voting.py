"""Votes of several people in one file: who they are here, and what becomes of their reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .. import formats, protocol as protocols
from ..errors import Faults, InputError
from ..log import Label, folded_name
from ..machines import names_a_tool
from ..project import Project
from ..records import Record
from .labels import codes_of, folded
from .naming import clean_name, one_of

if TYPE_CHECKING:
    from .importing import Look


class Given(NamedTuple):
    """What one person decided on a record; `reviewer` is "" where the file names nobody."""

    reviewer: str
    label: Label
    reasons: tuple[str, ...] = ()
    note: str = ""
    tags: tuple[str, ...] = ()


def named_in(found: Record, vote: formats.Vote, column: str | None, where: str, faults: Faults) -> str:
    """Return whose vote on a record it is: as the vote says, or else the column that was asked for; or ""."""
    if vote.reviewer:
        return clean_name(vote.reviewer, where, faults)
    if column is None:
        return ""
    return one_of(" ".join(found.extra.get(column, ())), column, where, faults)


def with_names(project: Project, looked: Sequence[Look]) -> list[Look]:
    """Return what was found in files with each person under the name that they have here already, where they have one.

    A name is the same but for case; two such in one file are two people's.

    Raises
    ------
    InputError
        When one is a machine's.
    """
    review = project.snapshot()
    here = {person.name for person in review.people} | {who for _, _, who in review.live.decisions}
    known = {folded_name(name): name for name in here}
    done = []
    for look in looked:
        names = {one.reviewer for votes in look.votes.values() for one in votes} - {""}
        for name in sorted(names):
            if (machine := review.live.machine_named(name)) is not None:
                raise InputError(
                    f"{look.path} brings what {name!r} decided, which is a machine in this review, and a machine decides "
                    f"nothing: say --machine {machine!r}, and its labels are suggestions."
                )
        alike: dict[str, list[str]] = {}
        for name in names:
            alike.setdefault(folded_name(name), []).append(name)
        called = {some[0]: known.get(key, some[0]) for key, some in alike.items() if len(some) == 1}
        known = {folded_name(name): name for name in names} | known
        done.append(look.renamed({old: new for old, new in called.items() if old != new}))
    return done


def of_the_machine(
    votes: Mapping[int, tuple[Given, ...]], machine: str
) -> tuple[dict[int, tuple[Label | None, str]], dict[int, tuple[Given, ...]]]:
    """Tell the votes that are a machine's from those of other voters in the same file.

    Its votes are those under its own name, or else under one that names a tool; where there is neither, all are.

    Returns
    -------
    theirs : dict of int to (Label or None, str)
        Its label of each record, None where several votes of it differ, and its first reason.
    others : dict of int to tuple of Given
    """
    names = {one.reviewer for given in votes.values() for one in given} - {""}
    mine = {name for name in names if folded_name(name) == folded_name(machine)}
    mine = mine or {name for name in names if names_a_tool(name)}
    theirs: dict[int, tuple[Label | None, str]] = {}
    others: dict[int, tuple[Given, ...]] = {}
    for place, given in votes.items():
        its = [one for one in given if not mine or one.reviewer in mine or not one.reviewer]
        if its:
            label = its[0].label if len({one.label for one in its}) == 1 else None
            theirs[place] = label, next((reason for one in its for reason in one.reasons), "")
        if rest := tuple(one for one in given if one not in its):
            others[place] = rest
    return theirs, others


def reason_among(reasons: Iterable[protocols.Criterion], given: Given) -> tuple[str, str]:
    """Return the reason of a decision and its note: of several reasons the stage's first, and the others in the note."""
    reasons = list(reasons)
    codes, priority = codes_of(reasons), {reason.code: place for place, reason in enumerate(reasons)}
    said = [codes.get(folded(text), text) for text in _joined(given.reasons, codes)]
    said = sorted(dict.fromkeys(said), key=lambda reason: priority.get(reason, len(priority)))
    also = f"Further reasons: {'; '.join(said[1:])}." if len(said) > 1 else ""
    return (said[0] if said else ""), "\n".join(filter(None, (given.note, also)))


def _joined(parts: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """Join parts of a list that was split at commas to reasons that hold a comma themselves."""
    found, at = [], 0
    while at < len(parts):
        end = next((end for end in range(len(parts), at, -1) if folded(", ".join(parts[at:end])) in known), at + 1)
        found.append(", ".join(parts[at:end]))
        at = end
    return found
