"""The facts of a review, read from its log: the flow of records, the pace, recall and what is left."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from . import recall
from .decisions import Event, History, Kind, Label, Ranking, Verdict
from .project import Project, Stage

NO_REASON = "no reason given"
_BREAK_SECONDS = 300        # a longer gap between showing and deciding is a pause, not reading
_LEAST_TIMED = 5            # decisions that a pace is measured on, at least
_FORECAST_SEED = 20_240_612  # the same log always gives the same forecast


@dataclass(frozen=True, slots=True)
class StageFlow:
    """What became of the records at one stage: entered = unscreened + conflicts + excluded + passed.

    Attributes
    ----------
    excluded : dict of str to int
        By reason; `NO_REASON` where none was given.
    included, maybe : int
        Records that pass on to the next stage.
    """

    name: str
    entered: int
    unscreened: int
    conflicts: int
    excluded: dict[str, int]
    included: int
    maybe: int


@dataclass(frozen=True, slots=True)
class Flow:
    """The way of the records through the review, for the flow figure.

    Attributes
    ----------
    retrieved : dict of str to int
        Records imported, by source.
    duplicates : dict of str to int
        Copies linked to another record, by the source of the copy.
    removed : dict of str to dict of str to int
        Records removed before screening, by kind of limit and then by source.
    stages : tuple of StageFlow
    """

    retrieved: dict[str, int]
    duplicates: dict[str, int]
    removed: dict[str, dict[str, int]]
    stages: tuple[StageFlow, ...]

    @property
    def n_retrieved(self) -> int:
        """Records imported."""
        return sum(self.retrieved.values())

    @property
    def n_duplicates(self) -> int:
        """Copies linked to another record."""
        return sum(self.duplicates.values())

    @property
    def n_removed(self) -> int:
        """Records removed before screening."""
        return sum(sum(by_source.values()) for by_source in self.removed.values())


def flow(project: Project) -> Flow:
    """Count the way of every record, from the files to the last stage.

    A copy that was also removed counts as a duplicate alone, so that the boxes always add up.
    """
    sources = {file.id: file.source for file in project.files()}
    ids, file_ids = project.record_files()
    source_of = dict(zip(ids.tolist(), (sources[f] for f in file_ids.tolist()), strict=True))
    stages = [project.stage(s.name) for s in project.protocol().stages]
    live = stages[0].live
    removed: dict[str, Counter] = {}
    for record_id, event in live.removals.items():
        if record_id not in live.duplicates:
            removed.setdefault(event.reason, Counter())[source_of[record_id]] += 1
    return Flow(
        retrieved=dict(Counter(source_of.values())),
        duplicates=dict(Counter(source_of[copy] for copy in live.duplicates)),
        removed={kind: dict(counts) for kind, counts in sorted(removed.items())},
        stages=tuple(map(_stage_flow, stages)),
    )


def _stage_flow(stage: Stage) -> StageFlow:
    reasons: dict[int, str] = {}
    for (name, record_id, _), event in sorted(stage.live.decisions.items(), key=lambda item: item[1].seq):
        if name == stage.name and event.reason:
            reasons.setdefault(stage.live.kept(record_id), event.reason)
    excluded, labels = Counter(), Counter()
    conflicts = 0
    for record_id in stage.record_ids.tolist():
        label = stage.consensus.labels.get(record_id)
        if record_id in stage.consensus.conflicts:
            conflicts += 1
        elif label is Label.EXCLUDE:
            excluded[reasons.get(record_id, NO_REASON)] += 1
        elif label is not None:
            labels[label] += 1
    return StageFlow(
        name=stage.name, entered=len(stage.record_ids), conflicts=conflicts,
        unscreened=len(stage.record_ids) - conflicts - excluded.total() - labels.total(),
        excluded=dict(excluded.most_common()), included=labels[Label.INCLUDE], maybe=labels[Label.MAYBE],
    )


def seconds_per_record(events: Iterable[Event], stage: str) -> float | None:
    """Return the median time from showing a record to deciding on it, in seconds.

    Decisions made in a file, and gaps too long to be reading, are left out; None while fewer than
    five decisions can be timed.
    """
    shown: dict[tuple[int, str], Event] = {}
    times = []
    for e in events:
        if e.stage != stage or e.record_id is None:
            continue
        if e.kind is Kind.SHOWN and e.note == "":
            shown[e.record_id, e.reviewer] = e
        elif e.kind is Kind.DECISION and (start := shown.pop((e.record_id, e.reviewer), None)) is not None:
            # The next record is put up as soon as the last is judged, so both clocks start together.
            seconds = (e.at - start.at).total_seconds()
            if seconds <= _BREAK_SECONDS:
                times.append(seconds)
    return statistics.median(times) if len(times) >= _LEAST_TIMED else None
