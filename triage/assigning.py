"""Records assigned to people: what a search found, or the next of the ranking, spread among them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .errors import InputError
from .found import Wanted, found_records, holders
from .log import Event, Kind, Origin, Stage
from .progress import Progress
from .project import Project, Snapshot
from .ranking.review import newest_ranking_of
from .wording import plural

MOST_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class AssignedTo:
    """What is assigned to one person at a stage.

    Attributes
    ----------
    reviewer : str
    assigned : int
    done : int
        Of these, the records that they have decided on.
    """

    reviewer: str
    assigned: int
    done: int


@dataclass(frozen=True, slots=True)
class Given:
    """What was assigned just now; what `triage assign --json` prints.

    Attributes
    ----------
    stage : str
    records : int
        Records that were assigned.
    given : dict of str to int
        By person.
    unknown : tuple of str
        Those of them who have no account and have not worked on the review yet.
    assigned : list of AssignedTo
        What is assigned by now.
    """

    stage: str
    records: int
    given: dict[str, int]
    unknown: tuple[str, ...]
    assigned: list[AssignedTo]


def assigned(review: Snapshot, stage_name: str | None = None, *, viewer: str | None = None) -> list[AssignedTo]:
    """Return what is assigned at a stage, by person; to a viewer who is blind only their own."""
    stage = review.stage(stage_name)
    is_blind = viewer is not None and review.protocol.reviewers_per_record > 1
    judged = {(stage.live.kept(record_id), who) for name, record_id, who in stage.live.decisions if name == stage.name}
    counted: dict[str, list[int]] = {}
    given = stage.live.assigned_at(stage.name)
    for (record_id, to), row in zip(given.items(), stage.rows_of(given).tolist(), strict=True):
        for name in to if row >= 0 else ():
            if not is_blind or name == viewer:
                counts = counted.setdefault(name, [0, 0])
                counts[0] += 1
                counts[1] += (record_id, name) in judged
    return [AssignedTo(name, *counts) for name, counts in sorted(counted.items())]


def assign(
    project: Project,
    people: Sequence[str],
    *,
    reviewer: str,
    wanted: Wanted | None = None,
    top: int | None = None,
    each: int = 1,
    stage_name: str | None = None,
    progress: Progress | None = None,
) -> Given:
    """Assign records to people, in turn: the ranking's next, or those that a search finds.

    Whoever has records assigned gets them first, the best of the ranking before the others, and nobody else gets those
    that as many people have as are to judge each. Nothing that is proved of recall rests on it: random draws come from
    all records, no matter to whom they are assigned.

    Parameters
    ----------
    project : Project
    people : sequence of str
    reviewer : str
        Who assigns them.
    wanted : Wanted, optional
        The search.
    top : int, optional
        So many of the ranking in place of a search; with one, so many of what it finds at most.
    each : int
        To how many of the people each record is assigned.
    stage_name : str, optional
        The first stage when left out.
    progress : callable, optional
        See `ranking.review.ReviewModel`.

    Raises
    ------
    InputError
        When a name is a machine's, whoever assigns may not, `each` does not fit, or no record is left to be assigned.
    """
    people = list(dict.fromkeys(" ".join(name.split()) for name in people if name.strip()))
    if not people:
        raise InputError("Name at least one person to assign records to.")
    for name in people:
        project.log.check_person(name)
    review = project.snapshot()
    stage_name, needed = review.stage_name(stage_name), review.protocol.reviewers_per_record
    if not 1 <= each <= min(len(people), needed):
        raise InputError(
            f"Each record can be assigned to 1 to {min(len(people), needed)} of {plural(len(people), 'person', 'people')}, as "
            f"the protocol asks for {plural(needed, 'reviewer')} a record; {each} is not among these."
        )
    if wanted is not None:
        wanted.check()
    if wanted is None and top is None:
        raise InputError("Say which records: so many of the ranking's next, or a search.")
    if wanted is None or top is not None:
        ranked = newest_ranking_of(project, stage_name, None, "auto", progress)
        order = ranked.stage.record_ids[ranked.order].tolist()
    else:
        order = review.stage(stage_name).record_ids.tolist()
    if wanted is not None:
        found = set(found_records(review, wanted, stage_name, reviewer))
        order = [i for i in order if i in found]
    with project.turn():
        review = project.snapshot()
        stage = review.stage(stage_name)
        given = _spread(order, people, each, _holders(review, stage), needed, MOST_AT_ONCE if top is None else top)
        if not given:
            raise InputError(
                f"No record of the stage {stage.name!r} is left to be assigned: those that were meant are judged, before "
                "somebody, excluded unread, or assigned already."
            )
        origin = Origin.RANKED if wanted is None else Origin.ASSIGNED
        project.log.assign(
            stage.name,
            [(record_id, name, origin) for record_id, name in given],
            note="the ranking's next" if wanted is None else wanted.read_as,
            reviewer=reviewer,
        )
    review = project.snapshot()
    worked = {e.reviewer for e in review.events if e.kind in (Kind.SHOWN, Kind.DECISION)}
    known = worked | {person.name for person in review.people} | {reviewer}
    return Given(
        stage_name,
        len({record_id for record_id, _ in given}),
        {name: sum(to == name for _, to in given) for name in people},
        tuple(name for name in people if name not in known),
        assigned(review, stage_name),
    )


def _holders(review: Snapshot, stage: Stage) -> dict[int, set[str]]:
    """Return who has been shown a record, has judged or excluded it, or has it assigned."""
    found = holders(review, stage)
    for record_id, to in stage.live.assigned_at(stage.name).items():
        found.setdefault(record_id, set()).update(to)
    return found


def _spread(
    order: Sequence[int], people: Sequence[str], each: int, holders: dict[int, set[str]], needed: int, most: int
) -> list[tuple[int, str]]:
    """Give records to people in turn, each to those of them who have the fewest and do not have it."""
    given: list[tuple[int, str]] = []
    counts = dict.fromkeys(people, 0)
    records = 0
    for record_id in order:
        if records == most:
            break
        has: Collection[str] = holders.get(record_id, ())
        room = min(each, needed - len(has))
        chosen = sorted((name for name in people if name not in has), key=counts.__getitem__)[: max(0, room)]
        for name in chosen:
            counts[name] += 1
            given.append((record_id, name))
        records += bool(chosen)
    return given


def take_back(project: Project, person: str, *, reviewer: str, stage_name: str | None = None) -> list[Event]:
    """Free the records that are assigned to a person and that they have not judged; return these assignments.

    Raises
    ------
    InputError
        When there are none, or whoever takes them back may not.
    """
    name = project.snapshot().stage_name(stage_name)
    left = project.log.take_assignments_back(name, person, reviewer=reviewer)
    if not left:
        raise InputError(f"No record is assigned to {person} at the stage {name!r} that {person} has not judged.")
    return left
