"""Second judgements of a random sample of the excluded records."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from . import recall
from .errors import InputError
from .log import Event, Label, Stage, awaits_second_look
from .project import Snapshot
from .wording import agree, plural


def judgements(stage: Stage, among: Collection[int] | None = None) -> dict[int, list[Event]]:
    """Return the decisions on each record of a stage, or on some, over duplicate groups, in the order of the log."""
    given: dict[int, list[Event]] = {}
    for (name, record_id, _), event in stage.live.decisions.items():
        if name == stage.name and (among is None or stage.live.kept(record_id) in among):
            given.setdefault(stage.live.kept(record_id), []).append(event)
    for events in given.values():
        events.sort(key=lambda e: e.seq)
    return given


def _sample(stage: Stage) -> list[int]:
    ids: list[int] = stage.record_ids[stage.to_judge_again(recall.SAMPLE_SHARE)].tolist()
    return ids


def excluded_of_sample(stage: Stage, given: Mapping[int, Sequence[Event]]) -> tuple[list[int], list[int]]:
    """Return the records first excluded among those to be judged again, in their order, and which await that still."""
    drawn = [r for r in _sample(stage) if r in given and given[r][0].label is Label.EXCLUDE]
    return drawn, [r for r in drawn if awaits_second_look(given[r])]


@dataclass(frozen=True, slots=True)
class SecondLooks:
    """Where the second judgements of a random sample of the excluded records stand, for one reviewer.

    Attributes
    ----------
    stage : str
    sample, judged : int
        Excluded records of the sample, and how many of them somebody else has judged again.
    waiting : tuple of int
        Those that this reviewer can judge again, in the order in which they count.
    own : int
        Those that this reviewer excluded, which await somebody else.
    """

    stage: str
    sample: int
    judged: int
    waiting: tuple[int, ...]
    own: int


def second_looks(review: Snapshot, reviewer: str, stage_name: str | None = None) -> SecondLooks:
    """Return where the second look at excluded records stands for a reviewer.

    What a reviewer has judged never awaits that reviewer: a second look is somebody else's. Where two are to judge
    each record anyway nothing ever awaits it: being listed would tell what the first has decided.
    """
    stage = review.stage(stage_name, viewer=reviewer)
    given = judgements(stage, set(_sample(stage)))
    drawn, pending = excluded_of_sample(stage, given)
    waiting = tuple(r for r in pending if given[r][0].reviewer != reviewer)
    return SecondLooks(stage.name, len(drawn), len(drawn) - len(pending), waiting, len(pending) - len(waiting))


def awaiting_second_look(review: Snapshot, reviewer: str, stage_name: str | None = None) -> list[int]:
    """Return the records that await a reviewer's second look (see `second_looks`).

    Raises
    ------
    InputError
        When there is none.
    """
    looks = second_looks(review, reviewer, stage_name)
    if (count := review.protocol.reviewers_per_record) > 1:
        raise InputError(
            f"The protocol asks {plural(count, 'reviewer')} to judge each record, so each has its second look in ordinary "
            "screening; a list of excluded records would tell you what the other decided."
        )
    if not looks.waiting and not looks.own:
        raise InputError(f"No excluded record of the random sample at the stage {looks.stage!r} awaits a second look.")
    if not looks.waiting:
        raise InputError(
            f"{reviewer} excluded {agree(looks.own, 'the one record', 'all ' + plural(looks.own, 'record'))} that "
            f"{agree(looks.own, 'awaits', 'await')} a second look; another reviewer is to judge "
            f"{agree(looks.own, 'it', 'them')} (--reviewer NAME)."
        )
    return list(looks.waiting)
