"""What `triage rank` answers: the best records left, and why a record has its score."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ..as_json import OMIT_NONE
from ..errors import InputError
from ..log import Label, Stage
from ..machines import may_see_suggestions
from ..progress import Progress
from ..project import Project, Snapshot
from ..project.stage_records import StageRecords
from .learner import machines_may_begin
from .review import ReviewModel, Teaching, criteria_of, has_both, judged_rows, model_of, newest_ranking_of, suggested_at

if TYPE_CHECKING:
    from ..screening import Session

_TERMS_TOLD, _KNOWN_TOLD = 20, 5  # what explains a record
# Thai, Lao, Burmese, Khmer, kana, Han: scripts without blanks between words.
_UNSPACED_LETTERS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_SPACED_WORD = re.compile(rf"[^\W{_UNSPACED_LETTERS}]{{3,}}")
_UNSPACED = re.compile(rf"[{_UNSPACED_LETTERS}]{{2}}")
_FEW_WORDS = 12  # criteria of fewer different words are hardly more than a title, and find little


@dataclass(frozen=True, slots=True)
class RankedRecord:
    """A record among the best."""

    record_id: int
    rank: int
    score: float
    title: str


@dataclass(frozen=True, slots=True)
class Match:
    """The record that a criterion is nearest to, and those of its words that no record has."""

    text: str
    record_id: int
    title: str
    nearness: float
    unknown: list[str]


@dataclass(frozen=True, slots=True)
class Matches:
    """What the criteria match among the records."""

    words: int
    poor: bool
    matches: list[Match]


@dataclass(frozen=True, slots=True)
class Answer:
    """The best records left, and by what they are ranked; what `triage rank --json` prints (see `rank`)."""

    records: list[RankedRecord]
    model: Mapping[str, object]
    as_of: int
    basis: str
    stage: str
    criteria: Matches | None = field(default=None, metadata=OMIT_NONE)


@dataclass(frozen=True, slots=True)
class Adds:
    """What a term of the record adds to its score."""

    term: str
    weight: float


@dataclass(frozen=True, slots=True)
class KnownRecord:
    """What a judged record adds to the score, or a key paper that nobody has judged yet."""

    record_id: int
    title: str
    relevant: bool
    weight: float
    key_paper: bool = False

    @property
    def in_words(self) -> str:
        """What is known of it, as the program says it."""
        return "a key paper" if self.key_paper else "relevant" if self.relevant else "not relevant"


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near a record is to a criterion, and the share of all records that are less near."""

    kind: str
    text: str
    nearness: float
    less_near: float


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a record has its score; what `triage rank --explain --json` prints (see `explain`).

    `left_out` are the machines that are part of the ranking and of which nothing is said here, since whoever asks
    may not see yet what they suggest.
    """

    record_id: int
    title: str
    score: float | None = None
    parts: dict[str, float] = field(default_factory=dict)
    terms: list[Adds] = field(default_factory=list)
    known: list[KnownRecord] = field(default_factory=list)
    criteria: list[Nearness] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A judged record whose label a model that has not seen it would not have expected.

    `beyond` is the share of the records of the other label that the model would sooner have given theirs.
    """

    record_id: int
    score: float
    beyond: float
    reviewers: list[str]
    title: str


@dataclass(frozen=True, slots=True)
class Doubts:
    """Likely mistakes, the likeliest first; what `triage doubts --json` prints (see `doubts`)."""

    stage: str
    excluded: list[Doubt]
    included: list[Doubt]
    model: Mapping[str, object]
    as_of: int


def doubts(
    project: Project,
    *,
    top: int,
    stage_name: str | None = None,
    preset: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Doubts:
    """List the records that were most likely excluded, or included, by mistake.

    A record is scored by a model that has not seen its label. They are chosen, and no random sample: what a second
    look at them finds corrects the labels, and proves nothing about the others. Those that more than one has
    judged are left out, as are those that were settled; where two are to judge each record, those that two have not
    judged yet, too.

    Parameters
    ----------
    project : Project
    top : int
        Records of each kind.
    stage_name, preset, device, progress : optional
        See `rank`.

    Raises
    ------
    InputError
        While fewer than two records are relevant, or irrelevant.
    """
    _, y = judged_rows(project.snapshot().history(stage_name))
    if min((y == 1).sum(), (y == 0).sum()) < 2:
        raise InputError(
            "Nothing can be doubted yet: a record is scored by a model that has not seen its label, and that needs two "
            "relevant and two irrelevant records at least."
        )
    ranked = newest_ranking_of(project, stage_name, preset, device, progress)
    stage, held_out = ranked.stage, ranked.ranking.held_out
    asked = ranked.review.protocol.reviewers_per_record
    by: dict[int, set[str]] = {}
    for (name, record_id, who), event in stage.live.decisions.items():
        if name == stage.name and not event.is_unread:
            by.setdefault(stage.live.kept(record_id), set()).add(who)
    agreed = {r: label for r, label in stage.consensus.labels.items() if r not in stage.consensus.settled}
    ids = [r for r in agreed if len(by.get(r, ())) == asked]
    rows = stage.rows_of(ids)
    here = [(r, row) for r, row in zip(ids, rows.tolist(), strict=True) if row >= 0 and np.isfinite(held_out[row])]
    score = {r: float(held_out[row]) for r, row in here}
    kinds = {label: [r for r, _ in here if agreed[r] is label] for label in (Label.EXCLUDE, Label.INCLUDE)}
    known = {label: np.sort([score[r] for r in some]) for label, some in kinds.items()}

    def worst(label: Label, other: Label, sign: int) -> list[Doubt]:
        first = sorted(kinds[label], key=lambda r: (-sign * score[r], r))[:top]
        titles = {r.id: r.title for r in ranked.review.records.read(first)} if first else {}
        of_other = known[other]
        found = []
        for r in first:
            below = np.searchsorted(of_other, score[r], "left" if sign > 0 else "right") / max(len(of_other), 1)
            beyond = float(below if sign > 0 else 1 - below) if len(of_other) else 0.0
            found.append(Doubt(r, score[r], beyond, sorted(by[r]), titles[r]))
        return found

    return Doubts(
        stage.name,
        worst(Label.EXCLUDE, Label.INCLUDE, 1),
        worst(Label.INCLUDE, Label.EXCLUDE, -1),
        ranked.ranking.model,
        ranked.ranking.as_of,
    )


def nothing_to_rank_by(review: Snapshot, stage_name: str | None = None, *, viewer: str | None = None) -> str:
    """Say that the protocol gives the ranking of a stage nothing to go by, and what to do; "" where it does.

    To a `viewer` who is to stay blind it is said by what they may know (see `Snapshot.stage`).
    """
    if review.protocol.queries:
        return ""
    stage, history = review.stage(stage_name, viewer=viewer), review.history(stage_name, viewer=viewer)
    _, labels = Teaching.of(review, stage).labels(*judged_rows(history))
    learns = has_both(labels)
    if not learns and machines_may_begin(labels) and suggested_at(review.protocol, stage):
        return ""
    return review.protocol.nothing_to_rank_by(review.protocol_file, learns)


def rank(
    project: Project,
    *,
    top: int,
    stage_name: str | None = None,
    preset: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Answer:
    """Rank the unscreened records and return the best.

    `basis` says what ranked them: labels; before there are any to learn from, criteria, or "machines" where there are no
    criteria and machines that screen have said something; or "order", that of import. While it is the criteria,
    `criteria` says whether they are too few words to find much by, and what each matches.
    """
    ranked = newest_ranking_of(project, stage_name, preset, device, progress)
    review, stage, ranking = ranked.review, ranked.stage, ranked.ranking
    protocol, scores, history = review.protocol, ranking.scores, review.history(stage.name)
    rows, _ = judged_rows(history)
    unscreened = np.ones(len(scores), bool)
    unscreened[rows] = False
    unscreened[[row for row in stage.rows_of(stage.consensus.unread).tolist() if row >= 0]] = False
    best = ranked.order[unscreened[ranked.order]][:top]
    records = dict(zip(np.sort(best).tolist(), review.records.shown(stage, np.sort(best)), strict=True))
    basis, (_, labels) = "order", Teaching.of(review, stage).labels(*judged_rows(history))
    if has_both(labels):
        basis = "labels"
    elif protocol.queries and ranking.model["criteria_weight"]:
        basis = "criteria"
    elif ranking.model["machines"] and machines_may_begin(labels):
        basis = "machines"
    criteria = None
    if basis == "criteria":
        model = ranked.model or model_of(review, stage, preset, device, project.cache_dir, progress)
        criteria = _matches(review, stage, model)
    return Answer(
        records=[
            RankedRecord(records[row].number, place, float(scores[row]), records[row].title)
            for place, row in enumerate(best.tolist(), 1)
        ],
        model=ranking.model,
        as_of=ranking.as_of,
        basis=basis,
        stage=stage.name,
        criteria=criteria,
    )


def _matches(review: Snapshot, stage: Stage, model: ReviewModel) -> Matches:
    """Say what the criteria, which alone rank the records, match among them."""
    texts = review.protocol.queries
    # Scripts that put no blanks between words are taken two characters for a word, and not looked up.
    words = {word for text in texts for word in [*_SPACED_WORD.findall(text.lower()), *_UNSPACED.findall(text)]}
    views, records = model.views, StageRecords(review.records, stage)
    near = views.nearness(texts)
    known_by = next(iter(views.names.values()))
    matches: list[Match] = []
    for i, text in enumerate(texts):
        known = {word for name in known_by(text).values() for word in name.split(", ")}
        best = int(near[:, i].argmax())
        matches.append(
            Match(
                text=text,
                record_id=int(stage.record_ids[best]),
                title=records[best].title,
                nearness=float(near[best, i]),
                unknown=[word for word in dict.fromkeys(_SPACED_WORD.findall(text.lower())) if word not in known],
            )
        )
    return Matches(len(words), len(words) < _FEW_WORDS, matches)


def explain(
    project: Project,
    record_id: int,
    *,
    stage_name: str | None = None,
    preset: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    session: Session | None = None,
    viewer: str | None = None,
) -> Explained:
    """Return why a record has its score.

    To a `viewer` who is to stay blind it is explained by what they may know (see `Snapshot.stage`), though the
    ranking has learned from everybody.

    With an open `session` of the stage the views need not be made: its own are used.

    `parts` sum to the score: what each term of the blend adds. What a machine's suggestion adds is left out of both
    while whoever asks may not see that suggestion yet (see `machines.may_see_suggestions`). `terms` are those of the
    record that add most to the linear views' parts, `known` the judged records that do, `criteria` how near the
    record is to each criterion, and the share of all records that are less near.

    Raises
    ------
    InputError
        When the stage has no such record.
    """
    review = project.snapshot()
    stage = review.stage(stage_name, viewer=viewer)
    row = int(stage.rows_of([stage.live.kept(record_id)])[0])
    if row < 0:
        raise InputError(f"The stage {stage.name!r} of {review.path} has no record {record_id}.")
    if (
        session is not None
        and isinstance(session.training.scorer, ReviewModel)
        and session.pool.n == len(stage.record_ids)
    ):
        model = session.training.scorer
        if viewer is not None:
            model = model.sharing_views(replace(Teaching.of(review, stage), suggested=model.teaching.suggested))
    else:
        model = model_of(review, stage, preset, device, project.cache_dir, progress)
    records = StageRecords(review.records, stage)
    record = records[row]
    rows, y = judged_rows(review.history(stage_name, viewer=viewer))
    if (told := model.explain(rows, y, row)) is None:
        return Explained(int(stage.record_ids[row]), record.title)
    by_machine, left_out, score = told.suggested, list[str](), told.score
    if by_machine and not may_see_suggestions(
        stage.live,
        stage.name,
        int(stage.record_ids[row]),
        viewer=viewer,
        blind=review.protocol.machines.blind,
        needed=review.protocol.reviewers_per_record,
    ):
        # All of them, whether they have said something of this record or not: that would tell, too.
        by_machine, left_out, score = {}, list(told.suggested), told.score - sum(told.suggested.values())
    by_name: dict[str, float] = {}
    for view, found in told.terms.items():
        if view in model.views.names:
            names = model.views.names[view](record.text)
            for column, adds in found:
                name = names.get(column, "(what no other record says)")
                name = f"{name} (title)" if view == "titles" else name
                by_name[name] = by_name.get(name, 0.0) + adds
    label_of = dict(zip(*(of_each.tolist() for of_each in model.teaching.labels(rows, y)), strict=True))
    unjudged = set(label_of) - set(rows.tolist())
    known = sorted(told.known, key=lambda found: -abs(found[1]))[:_KNOWN_TOLD]
    criteria = criteria_of(review.protocol)
    texts = [("question", criteria.question)] * bool(criteria.question) + [
        *(("include", text) for text in criteria.include),
        *(("exclude", text) for text in criteria.exclude),
    ]
    near = model.views.nearness([text for _, text in texts])
    return Explained(
        record_id=int(stage.record_ids[row]),
        title=record.title,
        score=score,
        parts={**told.parts, **{f"suggestion of {name}": adds for name, adds in by_machine.items()}},
        terms=[
            Adds(term, adds)
            for term, adds in sorted(by_name.items(), key=lambda item: -abs(item[1]))[:_TERMS_TOLD]
            if adds
        ],
        known=[
            KnownRecord(
                int(stage.record_ids[other]), records[other].title, bool(label_of[other]), adds, other in unjudged
            )
            for other, adds in known
        ],
        criteria=[
            Nearness(kind, text, float(near[row, i]), float((near[:, i] < near[row, i]).mean()))
            for i, (kind, text) in enumerate(texts)
        ],
        left_out=left_out,
    )


def known_to(review: Snapshot, stage_name: str, facts: Explained, reviewer: str) -> Explained:
    """Return an explanation without judged records that a reviewer has not judged, where others judge the records, too."""
    if review.protocol.reviewers_per_record == 1:
        return facts
    live = review.live

    def judged(record_id: int) -> bool:
        return any((stage_name, member, reviewer) in live.decisions for member in live.members(record_id))

    return replace(facts, known=[one for one in facts.known if one.key_paper or judged(one.record_id)])
