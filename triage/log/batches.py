"""What was done to many records at once and can be taken back as one: handed out in a file, or excluded unread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .events import Event, Kind
from .state import CurrentState


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that were handed out to one reviewer in one file.

    Attributes
    ----------
    first : Event
        The first of its events; its number is the batch's.
    size : int
        Records that were handed out.
    left : tuple of Event
        The showings that are taken back with it: those not taken back already, of records on which the reviewer
        has never decided.
    """

    first: Event
    size: int
    left: tuple[Event, ...]


def batches(events: Sequence[Event], live: CurrentState) -> list[Batch]:
    """Return the batches that can be taken back, the oldest first."""
    taken_back = {e.undoes for e in events if e.kind is Kind.UNDO}
    shown: dict[tuple[object, ...], list[Event]] = {}
    decided: set[tuple[str, int, str]] = set()
    for e in events:
        if e.kind is Kind.SHOWN and e.note:
            shown.setdefault((e.stage, e.reviewer, e.note, e.at), []).append(e)  # what was logged at once has one time
        elif e.kind is Kind.DECISION and shown:
            decided.add((e.stage, live.kept(e.about), e.reviewer))
    found = []
    for given in shown.values():
        left = tuple(
            e for e in given if e.seq not in taken_back and (e.stage, live.kept(e.about), e.reviewer) not in decided
        )
        if left:
            found.append(Batch(given[0], len(given), left))
    return found


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Records that a person excluded at once, unread, because a search found them.

    Attributes
    ----------
    first : Event
        The first of its events; its number is the exclusion's, and its note says how the search was read.
    size : int
        Records that were excluded.
    left : tuple of Event
        The decisions that are still in force: not taken back, and no other decision in their place.
    """

    first: Event
    size: int
    left: tuple[Event, ...]


def exclusions(events: Sequence[Event], live: CurrentState) -> list[Exclusion]:
    """Return what was excluded unread, the oldest first, taken back or not."""
    made: dict[tuple[object, ...], list[Event]] = {}
    for e in events:
        if e.is_unread:
            made.setdefault((e.stage, e.reviewer, e.note, e.at), []).append(e)  # what was logged at once has one time
    return [
        Exclusion(given[0], len(given), tuple(e for e in given if _is_in_force(e, live))) for given in made.values()
    ]


def _is_in_force(e: Event, live: CurrentState) -> bool:
    newest = live.decisions.get((e.stage, e.about, e.reviewer))
    return newest is not None and newest.seq == e.seq
