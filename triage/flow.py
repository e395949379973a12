"""The way of the records through a review, from the files to the last stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from .log import Event, Label, Stage
from .project import Snapshot
from .protocol.model import Stage as AskedStage
from .studies import KnownClues, Studies, studies_among, told_of

NO_REASON = "no reason given"


@dataclass(frozen=True, slots=True)
class StageFlow:
    """What became of the records at one stage: entered = unscreened + conflicts + excluded + passed.

    Attributes
    ----------
    excluded : dict of str to int
        By reason; `NO_REASON` where none was given.
    included, maybe : int
        Records that pass on to the next stage.
    not_retrieved : str
        The reason that counts those of the excluded whose full text could not be obtained; may be empty.
    machines : tuple of str
        Machines that labelled records of the stage.
    marked : int
        Those of the unscreened that a machine would exclude and none would let pass, and that were never put before
        anybody. Only once screening has stopped do they leave by this.
    unread : int
        Those of the excluded that were found by a search, and that nobody who decided on them has read.
    """

    name: str
    entered: int
    unscreened: int
    conflicts: int
    excluded: dict[str, int]
    included: int
    maybe: int
    not_retrieved: str = ""
    machines: tuple[str, ...] = ()
    marked: int = 0
    unread: int = 0

    @property
    def n_not_retrieved(self) -> int:
        """Records excluded because their full text could not be had."""
        return self.excluded.get(self.not_retrieved, 0) if self.not_retrieved else 0

    @property
    def judged_out(self) -> dict[str, int]:
        """The excluded records but those whose full text could not be had, by reason."""
        return {code: n for code, n in self.excluded.items() if not (self.not_retrieved and code == self.not_retrieved)}


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
    tags : dict of str to int
        Records included at the last stage, by tag, those of the protocol first and in its order. A record
        with two tags counts in both; where it was tagged at several stages, the last of them counts.
    studies : Studies or None
        The records included at the last stage, as reports of studies; None where each is a study of its own.
    """

    retrieved: dict[str, int]
    duplicates: dict[str, int]
    removed: dict[str, dict[str, int]]
    stages: tuple[StageFlow, ...]
    tags: dict[str, int] = field(default_factory=dict)
    studies: Studies | None = None

    @property
    def n_studies(self) -> int:
        """Studies included at the last stage, whose records are their reports."""
        return self.stages[-1].included if self.studies is None else self.studies.studies

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


def flow(review: Snapshot, *, viewer: str | None = None, known: KnownClues | None = None) -> Flow:
    """Count the way of every record, from the files to the last stage; as a reviewer may know it (see `Snapshot.stage`).

    A copy that was also removed counts only as a duplicate, so that the boxes always add up. What is `known` of the
    records' studies is not read again.
    """
    sources = {file.id: file.source for file in review.files}
    file_ids = review.record_files()

    def source_of(record_id: int) -> str:
        return sources[int(file_ids[record_id - 1])]  # ids run from 1

    protocol = review.protocol
    stages = [review.stage(s.name, viewer=viewer) for s in protocol.stages]
    live = stages[0].live
    tags_of, last = tags_of_records(stages), stages[-1]
    included = [record_id for record_id, label in judged_records(last) if label is Label.INCLUDE]
    tagged = Counter(tag for record_id in included for tag in tags_of.get(record_id, ()))
    retrieved: Counter[str] = Counter()
    for file_id, kept in zip(*np.unique(file_ids, return_counts=True), strict=True):
        retrieved[sources[int(file_id)]] += int(kept)
    removed: dict[str, Counter[str]] = {}
    for record_id, event in live.removals.items():
        if record_id not in live.duplicates:
            removed.setdefault(event.reason, Counter())[source_of(record_id)] += 1
    return Flow(
        retrieved=dict(retrieved),
        duplicates=dict(Counter(map(source_of, live.duplicates))),
        removed={kind: dict(counts) for kind, counts in sorted(removed.items())},
        stages=tuple(map(_stage_flow, stages, protocol.stages)),
        studies=_studies(review, last, included, known or KnownClues()),
        tags={tag: tagged[tag] for tag in dict.fromkeys([*protocol.tags, *sorted(tagged)]) if tagged[tag]},
    )


def _studies(review: Snapshot, stage: Stage, included: list[int], known: KnownClues) -> Studies:
    told = [i for i in told_of(review.events, stage.live) if i <= review.n_records]
    clues = known.of(review.records, stage.live, {*included, *told})
    return studies_among(clues, review.events, stage.live).among(included)


def tags_of_records(stages: Iterable[Stage]) -> dict[int, list[str]]:
    """Return the tags that all reviewers gave each record, at the last stage at which it was given any."""
    tags: dict[int, list[str]] = {}
    for stage in stages:
        for record_id, given in stage.live.tagged(stage.name).items():
            tags[record_id] = list(dict.fromkeys(e.reason for e in given))
    return tags


def judged_records(stage: Stage) -> list[tuple[int, Label | None]]:
    """Return the records of a stage that have a decision and their agreed labels, None in a conflict, by id."""
    agreed = stage.consensus
    judged = sorted([*agreed.labels, *agreed.conflicts])
    return [(r, agreed.labels.get(r)) for r, row in zip(judged, stage.rows_of(judged), strict=True) if row >= 0]


def _stage_flow(stage: Stage, asked: AskedStage) -> StageFlow:
    # A record that two people excluded for different reasons counts under the one of higher priority.
    priority = {reason.code: place for place, reason in enumerate(asked.reasons)}
    # One that was given in words before the protocol had a code for it counts under the code.
    codes = {" ".join(reason.text.casefold().split()): reason.code for reason in asked.reasons}

    def code_of(reason: str) -> str:
        return reason if reason in priority else codes.get(" ".join(reason.casefold().split()), reason)

    given = [
        (priority.get(code := code_of(event.reason), len(priority)), event.seq, stage.live.kept(record_id), code)
        for (name, record_id, _), event in stage.live.decisions.items()
        if name == stage.name and event.reason
    ]
    reasons: dict[int, str] = {}
    for _, _, record_id, reason in sorted(given):
        reasons.setdefault(record_id, reason)
    reasons |= {r: code_of(event.reason) for r, event in stage.consensus.settled.items() if event.reason}
    excluded: Counter[str] = Counter()
    labels: Counter[Label] = Counter()
    conflicts = 0
    for record_id, label in judged_records(stage):
        if label is None:
            conflicts += 1
        elif label is Label.EXCLUDE:
            excluded[reasons.get(record_id, NO_REASON)] += 1
        else:
            labels[label] += 1
    suggested = stage.live.suggested(stage.name)
    return StageFlow(
        name=stage.name,
        entered=len(stage.record_ids),
        conflicts=conflicts,
        unscreened=len(stage.record_ids) - conflicts - excluded.total() - labels.total(),
        excluded=dict(excluded.most_common()),
        included=labels[Label.INCLUDE],
        maybe=labels[Label.MAYBE],
        not_retrieved=asked.not_retrieved,
        machines=tuple(sorted(suggested)),
        marked=_marked(stage, suggested.values()),
        unread=sum(r in stage.consensus.unread for r, _ in judged_records(stage)),
    )


def _marked(stage: Stage, suggested: Iterable[Mapping[int, Event]]) -> int:
    """Count the records that machines would exclude, none would let pass, and nobody has been shown or has judged."""
    said: dict[int, set[bool]] = {}
    for given in suggested:
        for record_id, e in given.items():
            if e.label is not None:
                said.setdefault(record_id, set()).add(e.label is Label.EXCLUDE)
    left = [r for r, excludes in said.items() if excludes == {True} and _is_untouched(stage, r)]
    return int((stage.rows_of(left) >= 0).sum())


def _is_untouched(stage: Stage, record_id: int) -> bool:
    return (stage.name, record_id) not in stage.live.shown and record_id not in stage.consensus.unread
