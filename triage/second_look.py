"""Second looks at excluded records: which, in which order, and what they say of wrong labels."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from . import recall
from .errors import InputError
from .log import Event, History, Label, Origin, Stage, awaits_second_look
from .project import Project, Snapshot
from .wording import agree, floor_percent, plural

DEFAULT_SIZE = 100
_ROUND = tuple(n * 10**k for k in range(1, 7) for n in (1, 2.5, 5))  # sizes of which the price is told


def judgements(stage: Stage, among: Collection[int] | None = None) -> dict[int, list[Event]]:
    """Return the decisions on each record of a stage, or on some, over duplicate groups, in the order of the log.

    Exclusions by people who have not read the record are none of these: they are neither a first look nor a second.
    """
    given: dict[int, list[Event]] = {}
    for (name, record_id, _), event in stage.live.decisions.items():
        if name == stage.name and not event.is_unread and (among is None or stage.live.kept(record_id) in among):
            given.setdefault(stage.live.kept(record_id), []).append(event)
    for events in given.values():
        events.sort(key=lambda e: e.seq)
    return given


@dataclass(frozen=True, slots=True)
class Price:
    """What second looks prove if none of them overturns an exclusion.

    Attributes
    ----------
    looks : int
        Second looks from here.
    recall_lower : float or None
        The bound on recall in terms of corrected labels; None while nothing is included.
    """

    looks: int
    recall_lower: float | None


@dataclass(frozen=True)
class Looks:
    """The second looks of a stage, as its log has them.

    They are of two kinds, each read up to its first gap (see `recall.adjudicated`): at the excluded audit draws in the
    order in which they were drawn, and at samples of the other exclusions, each committed after its records
    were excluded. How they take turns is `recall.in_turn`'s.

    Attributes
    ----------
    stage : Stage
    history : History
        What the stopping rules go by: of the records screened here, or of all (see `History.of_screening`).
    record_ids : sequence of int
        The records of the history, in its order.
    given : mapping of int to sequence of Event
        See `judgements`.
    samples : sequence of Sample
    asked : int
        So many of the excluded audit draws, from the first, are to be judged again.
    by_two : bool
        Whether two judge each record anyway: then every exclusion has its second look, and nothing is sampled.
    """

    stage: Stage
    history: History
    record_ids: Sequence[int]
    given: Mapping[int, Sequence[Event]]
    samples: Sequence[recall.Sample]
    asked: int
    by_two: bool

    @classmethod
    def of(cls, review: Snapshot, stage_name: str | None = None, *, viewer: str | None = None) -> Looks:
        """Return those of a stage, as one reviewer may know them (see `Snapshot.stage`)."""
        stage = review.stage(stage_name, viewer=viewer)
        samples, asked = [], 0
        for seq, order in review.second_look_plans.get(stage.name, ()):
            if seq <= stage.live.last_seq:
                (event,) = review.events_between(seq - 1, seq)
                note = json.loads(event.note)
                samples.append(recall.Sample(order, note["size"]))
                asked = note["draws"]
        history, rows = review.history(stage_name, viewer=viewer).among(review.protocol.stopping.recall_among)
        ids = (stage.record_ids if rows is None else stage.record_ids[rows])[history.rows].tolist()
        by_two = review.protocol.reviewers_per_record > 1
        return cls(stage, history, ids, judgements(stage), samples, asked, by_two)

    def awaits(self, record_id: int) -> bool:
        """Tell whether one reviewer alone has judged a record, and excluded it."""
        return awaits_second_look(self.given.get(record_id, ())) and record_id not in self.stage.consensus.settled

    def was_excluded(self, record_id: int) -> bool:
        """Tell whether the first to judge a record excluded it."""
        events = self.given.get(record_id, ())
        return len(events) > 0 and events[0].label is Label.EXCLUDE

    def is_overturned(self, record_id: int) -> bool:
        """Tell whether a record that was excluded at first counts as relevant now."""
        return self.was_excluded(record_id) and self.stage.consensus.relevant(record_id) is True

    @property
    def n_included(self) -> int:
        """Records that are included, and were so by the first who judged them."""
        labels = self.stage.consensus.labels
        return sum(1 for i in self.record_ids if labels.get(i) is Label.INCLUDE and not self.was_excluded(i))

    @property
    def draws(self) -> list[int]:
        """The audit draws that were excluded at first, in their order."""
        return [record_id for record_id in self._shown(audit=True) if self.was_excluded(record_id)]

    @property
    def others(self) -> list[int]:
        """The records excluded at first that are no audit draws, in the order in which they were shown."""
        return [record_id for record_id in self._shown(audit=False) if self.was_excluded(record_id)]

    def _shown(self, *, audit: bool) -> list[int]:
        is_draw = (self.history.origin == Origin.AUDIT).tolist()
        return [record_id for record_id, drawn in zip(self.record_ids, is_draw, strict=True) if drawn == audit]

    @property
    def sampled(self) -> list[int]:
        """The records of the samples, in their order, each under the id that it is shown under."""
        ids = dict.fromkeys(self.stage.live.kept(i) for sample in self.samples for i in sample.drawn)
        rows = self.stage.rows_of(ids).tolist()
        return [record_id for record_id, row in zip(ids, rows, strict=True) if row >= 0]

    @property
    def pool(self) -> list[int]:
        """The exclusions that a further sample is to be drawn from."""
        taken = {self.stage.live.kept(i) for sample in self.samples for i in sample.drawn}
        return [record_id for record_id in self.others if record_id not in taken and self.awaits(record_id)]

    def in_turn(self, draws: Sequence[int], sampled: Sequence[int]) -> list[int]:
        """Return records of both kinds in their common order."""
        audited = np.flatnonzero(self.history.origin == Origin.AUDIT)
        left = int(self.history.pool_size[audited[0]]) if len(audited) else 0
        ways = [iter(sampled), iter(draws)]
        which = recall.in_turn(len(draws), len(sampled), left, len(self.sampled) + len(self.pool))
        return [next(ways[int(one)]) for one in which]

    @property
    def so_far(self) -> list[int]:
        """The records that are to be judged again by now, in their order, whether or not they were."""
        if self.by_two:
            return [*self.draws, *self.others]
        return self.in_turn(self.draws[: self.asked], [i for i in self.sampled if self.was_excluded(i)])

    def to_come(self, fresh: Sequence[int]) -> list[int]:
        """Return the others that await a second look, in their order; `fresh` is the order of a further sample."""
        known = set(self.so_far)
        everything = self.in_turn(self.draws, [*self.sampled, *fresh])
        return [record_id for record_id in everything if record_id not in known and self.awaits(record_id)]

    def corrections(self, more: recall.Sample | None = None, assumed: Collection[int] = ()) -> recall.Corrections:
        """Return what the second looks have shown, for the mathematics.

        Parameters
        ----------
        more : Sample, optional
            A further sample.
        assumed : collection of int
            Records taken as confirmed by a second look.
        """
        stage, labels = self.stage, self.stage.consensus.labels
        samples = [*self.samples, *([] if more is None else [more])]

        def is_confirmed(record_id: int) -> bool:
            if labels.get(record_id) is not Label.EXCLUDE:
                return False
            by = {e.reviewer for e in self.given.get(record_id, ())}
            return len(by) > 1 or record_id in stage.consensus.settled or record_id in assumed

        pooled = sorted({i for sample in samples for i in sample.order.tolist()})
        rows = stage.rows_of(stage.live.kept(i) for i in pooled).tolist()
        after: dict[int, int] = {}
        for record_id, row in zip(pooled, rows, strict=True):
            kept = stage.live.kept(record_id)
            if is_confirmed(kept):
                after[record_id] = 0
            elif stage.consensus.relevant(kept):
                after[record_id] = 1
            elif row >= 0:
                after[record_id] = -1
        ids, in_pool = self.record_ids, {stage.live.kept(i) for i in pooled}
        return recall.Corrections(
            included=np.array([labels.get(i) is Label.INCLUDE for i in ids], bool),
            confirmed=np.array([is_confirmed(i) for i in ids], bool),
            sampled=np.array([i in in_pool for i in ids], bool),
            past_confirmed=np.array([is_confirmed(stage.live.kept(e.about)) for e, _ in stage.past_draws], bool),
            exclusions=recall.exclusions(samples, after),
        )

    def counted(self) -> tuple[list[int], list[int]]:
        """Return the audit draws and the others whose second look counts: those before the first gap of each."""
        if self.by_two:
            return self._up_to_gap(self.draws), [record_id for record_id in self.others if not self.awaits(record_id)]
        return self._up_to_gap(self.draws), self._up_to_gap(self.sampled)

    def _up_to_gap(self, ids: Sequence[int]) -> list[int]:
        end = next((at for at, i in enumerate(ids) if i not in self.given or self.awaits(i)), len(ids))
        return [record_id for record_id in ids[:end] if self.was_excluded(record_id)]

    def price(self, confidence: float, parameters: recall.AuditE) -> list[Price]:
        """Return what several numbers of second looks from here prove if none of them overturns an exclusion.

        The last is of all that await one; there is none when none does.
        """
        fresh = recall.fresh_order(self.samples, self.pool, np.random.default_rng(0))
        coming = [*filter(self.awaits, self.so_far), *self.to_come(fresh.tolist())]
        in_sample = set(fresh.tolist())
        sizes = [int(n) for n in _ROUND if 20 < n < 0.9 * len(coming)]
        told: list[Price] = []
        for size in sizes[-5:] + ([len(coming)] if coming else []):
            assumed = set(coming[:size])
            more = recall.Sample(fresh, len(assumed & in_sample))
            found = recall.adjudicated(
                self.history,
                self.corrections(more if more.size else None, assumed),
                confidence=confidence,
                parameters=parameters,
            )
            told.append(Price(size, found.recall_lower))
        return told


@dataclass(frozen=True, slots=True)
class SecondLooks:
    """Where the second looks at excluded records are, for one reviewer.

    Attributes
    ----------
    stage : str
    sample, judged : int
        Excluded records that are to be judged again by now, and how many of them somebody else has judged again.
    waiting : tuple of int
        Those that this reviewer can judge again, in the order in which they count.
    own : int
        Those that this reviewer excluded, which await somebody else.
    more : int
        Others that this reviewer could judge again, had more been asked for.
    """

    stage: str
    sample: int
    judged: int
    waiting: tuple[int, ...]
    own: int
    more: int


def second_looks(review: Snapshot, reviewer: str, stage_name: str | None = None) -> SecondLooks:
    """Return where the second look at excluded records is for a reviewer.

    What a reviewer has judged never awaits that reviewer: a second look is somebody else's. Where two are to judge
    each record anyway nothing ever awaits it: being listed would tell what the first has decided.
    """
    looks = Looks.of(review, stage_name, viewer=reviewer)
    so_far = looks.so_far
    pending = [record_id for record_id in so_far if looks.awaits(record_id)]
    waiting = tuple(r for r in pending if looks.given[r][0].reviewer != reviewer and not looks.by_two)
    more = 0
    if not looks.by_two:
        known = set(so_far)
        coming = (r for r in (*looks.draws, *looks.pool) if r not in known and looks.awaits(r))
        more = sum(1 for r in coming if looks.given[r][0].reviewer != reviewer)
    return SecondLooks(
        looks.stage.name, len(so_far), len(so_far) - len(pending), waiting, len(pending) - len(waiting), more
    )


def corrected_recall(
    review: Snapshot, stage_name: str | None = None, *, viewer: str | None = None
) -> recall.Adjudicated:
    """Return what is proven of recall in terms of corrected labels, at the protocol's target and confidence."""
    looks, stopping = Looks.of(review, stage_name, viewer=viewer), review.protocol.stopping
    weights = recall.logged_parameters(review.events, looks.stage.name)
    return recall.adjudicated(looks.history, looks.corrections(), stopping.target, stopping.confidence, weights)


def price_of_second_looks(review: Snapshot, stage_name: str | None = None) -> list[Price]:
    """Return what second looks from here cost, told before they are taken; none where two judge each record."""
    looks = Looks.of(review, stage_name)
    if looks.by_two:
        return []
    weights = recall.logged_parameters(review.events, looks.stage.name)
    return looks.price(review.protocol.stopping.confidence, weights)


def price_in_words(price: Sequence[Price], confidence: float) -> list[str]:
    """Return the price as lines for a person; none where there is nothing to tell."""
    rows = [(one.looks, one.recall_lower) for one in price if one.recall_lower is not None]
    if not rows:
        return []
    return [
        f"What second looks prove, at {100 * confidence:g} % confidence, if none of them overturns an exclusion:",
        *(
            f"{looks:>7,} more: at least {floor_percent(bound)} of the relevant records are included"
            for looks, bound in rows
        ),
    ]


def ask_for_second_looks(
    project: Project, reviewer: str, count: int | None = None, stage_name: str | None = None
) -> list[int]:
    """Return the next excluded records that a reviewer is to judge again, in their order.

    Where fewer await the reviewer than are asked for, a further sample of the exclusions is committed, and the
    excluded audit draws go on in their order. Without a count it is those that are to be judged again by now; where
    there are none, `DEFAULT_SIZE`.

    Raises
    ------
    InputError
        When no excluded record awaits the reviewer, or each record is judged by two anyway.
    """
    while True:
        review = project.snapshot()
        _refuse_where_two_judge(review)
        here = second_looks(review, reviewer, stage_name)
        if here.waiting and (count is None or len(here.waiting) >= count):
            return list(here.waiting[:count])
        wanted = (DEFAULT_SIZE if count is None else count) - len(here.waiting)
        looks = Looks.of(review, stage_name)
        seed = secrets.randbits(128)
        fresh = recall.fresh_order(looks.samples, looks.pool, np.random.default_rng(seed))
        coming = looks.to_come(fresh.tolist())
        others = [at for at, record_id in enumerate(coming) if looks.given[record_id][0].reviewer != reviewer]
        if not others:
            if here.waiting:
                return list(here.waiting)
            raise _nothing_awaits(looks.stage.name, reviewer, here.own + len(coming))
        more = set(coming[: others[min(wanted, len(others)) - 1] + 1])
        draws = looks.draws
        project.log.commit_second_look(
            looks.stage,
            len(looks.samples),
            fresh,
            seed,
            size=len(more.intersection(fresh.tolist())),
            draws=max((at for at, record_id in enumerate(draws, 1) if record_id in more), default=looks.asked),
            reviewer=reviewer,
        )  # what somebody else wrote meanwhile is taken into account by the next turn


def _refuse_where_two_judge(review: Snapshot) -> None:
    if (count := review.protocol.reviewers_per_record) > 1:
        raise InputError(
            f"The protocol asks {plural(count, 'reviewer')} to judge each record, so each has its second look in ordinary "
            "screening; a list of excluded records would tell you what the other decided."
        )


def _nothing_awaits(stage_name: str, reviewer: str, own: int) -> InputError:
    if not own:
        return InputError(f"No excluded record at the stage {stage_name!r} awaits a second look.")
    return InputError(
        f"{reviewer} excluded {agree(own, 'the one record', 'all ' + plural(own, 'record'))} that "
        f"{agree(own, 'awaits', 'await')} a second look; another reviewer is to judge "
        f"{agree(own, 'it', 'them')} (--reviewer NAME)."
    )
