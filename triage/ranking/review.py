"""The ranking of a review: its model, and the newest ranking of a stage."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..key_papers import at_stage
from ..log import History, Kind, Label, Stage, consensus
from ..machines import Suggestion
from ..progress import Progress
from ..project import Project, Records, Snapshot
from ..protocol.model import Protocol, has_word
from .held_out import Scorer, held_out_scores
from .scores import Ranking

if TYPE_CHECKING:
    from ..features import Texts
    from .learner import Explanation
    from .presets import Criteria, Preset

AS_NUMBER = {Label.INCLUDE: 1.0, Label.MAYBE: 0.5, Label.EXCLUDE: 0.0}  # what a machine suggests


@dataclass(frozen=True, slots=True, eq=False)
class Teaching:
    """What the ranking of a stage learns from beside the labels of the stage.

    Attributes
    ----------
    final : ndarray of int8, shape (n,), or None
        Labels that take the place of those of the stage (see `final_labels`); -1 where there is none.
    key_papers : mapping of int to int
        Record ids, by their rows, of what is known to be relevant beforehand; once judged, the label counts instead.
    key_papers_wait : bool
        Whether they teach only once people's labels do, since until then criteria rank, and rank better.
    suggested : mapping of str to ndarray, shape (n,)
        What each machine that screens says of the records (see `suggested_at`).
    """

    final: np.ndarray | None = None
    key_papers: Mapping[int, int] = field(default_factory=dict)
    key_papers_wait: bool = False
    suggested: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, review: Snapshot, stage: Stage) -> Teaching:
        """Return what teaches the ranking of a stage, by the protocol and the log."""
        protocol = review.protocol
        return cls(
            final_labels(protocol, stage),
            at_stage(review, stage),
            key_papers_wait=bool(protocol.queries),
            suggested=suggested_at(protocol, stage),
        )

    def labels(self, rows: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows to learn from and their labels, from those of the stage: 1 relevant, 0 not."""
        if has_both(y) or not self.key_papers_wait:
            unjudged = np.setdiff1d(list(self.key_papers), rows).astype(np.int64)
            rows = np.concatenate([rows, unjudged])
            y = np.concatenate([y, np.ones(len(unjudged), np.asarray(y).dtype)])
        return rows, y if self.final is None else np.where(self.final[rows] >= 0, self.final[rows], y)

    def parameters(self) -> dict[str, object]:
        """Return what differs whenever this does, to be kept with a ranking; of a machine, a hash of what it says."""
        return {
            "learn_from": "stage" if self.final is None else "final",
            "key_papers": sorted(self.key_papers.values()),
            "machines": _digests(self.suggested),
        }

    def is_as(self, other: Teaching) -> bool:
        """Tell whether the same is learned from another."""
        if self.parameters() != other.parameters():
            return False
        return self.final is None or other.final is None or np.array_equal(self.final, other.final)


class ReviewModel:
    """The ranking model over one set of records: its views are made once, its labels vary.

    Parameters
    ----------
    texts : features.Texts
    preset : str or Preset
        A preset, or its name, or a model's folder, or both as NAME:FOLDER.
    criteria : ranking.Criteria or None
    device : str
    cache_dir : Path or None
        Where vectors and views are kept.
    teaching : Teaching, optional
        What it learns from beside the labels.
    progress : callable or None
        Called as progress(description), gives a context manager of a callback (done, total).
    """

    def __init__(
        self,
        texts: Texts,
        preset: str | Preset,
        criteria: Criteria | None,
        *,
        device: str = "auto",
        cache_dir: Path | None = None,
        progress: Progress | None = None,
        teaching: Teaching | None = None,
    ) -> None:
        from .. import features, ranking

        self.teaching = teaching or Teaching()
        self.preset = ranking.load_preset(preset) if isinstance(preset, str) else preset
        criteria = criteria or ranking.Criteria()
        self._queries = asdict(criteria)
        self._fingerprint = texts.fingerprint
        views = features.build_views(
            texts,
            self.preset.views,
            encoder=self.preset.encoder,
            include=criteria.include,
            exclude=criteria.exclude,
            question=criteria.question,
            device=self.preset.device if device == "auto" else device,
            cache_dir=cache_dir,
            progress=progress,
        )
        self.views = replace(views, suggested=self.teaching.suggested)
        self._learner, self._aside = (ranking.Learner(self.preset, self.views) for _ in range(2))

    @property
    def parameters(self) -> dict[str, object]:
        """The preset's name and full parameters."""
        return parameters_of(self.preset, self._queries, self.teaching)

    def __call__(self, rows: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        return self._learner(*self.teaching.labels(rows, y))

    def held_out(self, rows: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Score what is learned from by models that have not seen its label (see `held_out.held_out_scores`).

        Key papers among it, judged or not; before there is anything to learn from, by what ranks them then.
        """
        known, labels = self.teaching.labels(rows, y)
        scores = held_out_scores(self._aside, self.views.n, known, labels)
        if not has_both(labels) and (ranked := self._aside(known, labels)) is not None:
            rows_of_papers = list(self.teaching.key_papers)
            scores[rows_of_papers] = ranked[rows_of_papers]
        return scores

    def explain(self, rows: np.ndarray, y: np.ndarray, row: int) -> Explanation | None:
        """Take the score of one record apart (see `ranking.Learner.explain`); the model stays where it was."""
        from .. import ranking

        return ranking.Learner(self.preset, self.views).explain(*self.teaching.labels(rows, y), row)

    def fresh(self) -> Scorer:
        """Return a scorer that has learned nothing, over the same views: what is asked of it leaves the model alone."""
        from .. import ranking

        learner = ranking.Learner(self.preset, self.views)
        return lambda rows, y: learner(*self.teaching.labels(rows, y))

    def is_of(self, fingerprint: str, criteria: Criteria, preset: Preset) -> bool:
        """Tell whether this is the model of a preset over texts with this fingerprint, and of these criteria."""
        mine = self._fingerprint, self._queries, self.preset.parameters()
        return mine == (fingerprint, asdict(criteria), preset.parameters())

    def sharing_views(self, teaching: Teaching) -> ReviewModel:
        """Return a model that has learned nothing and shares the views, which are most of what one takes."""
        from .. import ranking

        other = copy.copy(self)
        other.teaching = teaching
        other.views = replace(self.views, suggested=teaching.suggested)
        other._learner, other._aside = (ranking.Learner(self.preset, other.views) for _ in range(2))
        return other


def has_both(y: np.ndarray) -> bool:
    """Tell whether there are relevant and irrelevant labels, so that the ranking learns from them."""
    return bool(0 < y.sum() < len(y))


def parameters_of(preset: Preset, queries: Mapping[str, object], teaching: Teaching) -> dict[str, object]:
    """Return all that a ranking depends on beside the labels, to be kept with it."""
    return {**preset.parameters(), "queries": queries, **teaching.parameters()}


def _digests(suggested: Mapping[str, np.ndarray]) -> dict[str, str]:
    return {
        name: hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=16).hexdigest()
        for name, values in suggested.items()
    }


def suggested_at(protocol: Protocol, stage: Stage) -> dict[str, np.ndarray]:
    """Return what each machine says of the records of a stage, by name, shape (n,) each (see `ranking.opinions`).

    Empty where the protocol keeps machines out of the ranking.
    """
    from .. import ranking

    if not protocol.machines.rank:
        return {}
    found: dict[str, np.ndarray] = {}
    for machine, given in sorted(stage.live.suggested(stage.name).items()):
        labels, scores = np.full((2, len(stage.record_ids)), np.nan)
        for row, event in zip(stage.rows_of(given).tolist(), given.values(), strict=True):
            if row >= 0:
                said = Suggestion.of(event)
                labels[row] = np.nan if said.label is None else AS_NUMBER[said.label]
                scores[row] = np.nan if said.score is None else said.score
        if not np.isnan([labels, scores]).all():
            found[machine] = ranking.opinions([labels, scores])
    return found


def criteria_of(protocol: Protocol) -> Criteria:
    """Return what the ranking reads of a protocol: question, inclusion and exclusion criteria."""
    from .. import ranking

    # A text without a word is as near to one record as to any other, and would only seem to rank them.
    return ranking.Criteria(
        protocol.question if has_word(protocol.question) else "",
        tuple(c.text for c in protocol.include if has_word(c.text)),
        tuple(c.text for c in protocol.exclude if has_word(c.text)),
    )


def fingerprint_of(records: Records, stage: Stage) -> str:
    """Return what differs whenever a text of the stage does, those of the copies that fill gaps among them."""
    ids, copies = stage.record_ids, stage.live.copies_of(stage.record_ids)
    digest = hashlib.blake2b(records.text_hashes(ids).tobytes(), digest_size=16)
    if copies:
        pairs = np.array([(kept, copy) for kept in sorted(copies) for copy in copies[kept]])
        digest.update(np.searchsorted(ids, pairs[:, 0]).tobytes())
        digest.update(records.text_hashes(np.unique(pairs[:, 1])).tobytes())
    return digest.hexdigest()


def texts_of(review: Snapshot, stage: Stage) -> Texts:
    """Return the texts of a stage's records, that views are made of."""
    from .. import features

    records = review.records
    return features.Texts(len(stage.record_ids), lambda: records.iter_texts(stage), fingerprint_of(records, stage))


def to_begin_with(review: Snapshot, stage: Stage, preset: str | None, device: str, cache_dir: Path) -> Preset | None:
    """Return what ranks a stage by words, while the sentence embeddings of its model are computed; None where it has all.

    Raises
    ------
    InputError
        When there is no such preset, or its encoder cannot be used.
    """
    from .. import features, ranking

    wanted = ranking.load_preset(preset or review.protocol.model)
    if "embedding" not in wanted.views:
        return None
    device = wanted.device if device == "auto" else device
    if features.are_encoded(texts_of(review, stage), encoder=wanted.encoder, device=device, cache_dir=cache_dir):
        return None
    return wanted.by_words()


def model_of(
    review: Snapshot, stage: Stage, preset: str | Preset | None, device: str, cache_dir: Path, progress: Progress | None
) -> ReviewModel:
    """Return the model of a stage, its preset the one asked for or else the protocol's."""
    protocol = review.protocol
    return ReviewModel(
        texts_of(review, stage),
        preset or protocol.model,
        criteria_of(protocol),
        device=device,
        cache_dir=cache_dir,
        progress=progress,
        teaching=Teaching.of(review, stage),
    )


def final_labels(protocol: Protocol, stage: Stage) -> np.ndarray | None:
    """Return what later stages say of each record, shape (n,): 1 included to the end, 0 excluded, -1 not yet known.

    None where the protocol does not want the ranking to learn from them.
    """
    if protocol.learn_from == "stage":
        return None
    names = [s.name for s in protocol.stages]
    later = names[names.index(stage.name) + 1 :]
    final = np.full(len(stage.record_ids), -1, np.int8)
    for name in later:
        agreed = consensus(stage.live, name)
        labels = {r: label for r, label in agreed.labels.items() if r not in agreed.unread}
        for row, label in zip(stage.rows_of(labels).tolist(), labels.values(), strict=True):
            if row >= 0 and (label is Label.EXCLUDE or name == later[-1]):
                final[row] = label is not Label.EXCLUDE
    return final


def no_records(review: Snapshot, stage: Stage) -> InputError:
    """Return the error that a stage has no records, with what to do about it."""
    before = review.earlier(stage.name)
    if not review.n_records:
        why = "import some first"
    elif before and len(review.stage(before[0]).record_ids):
        why = f"none has passed the stage {before[-1]!r}"
    else:
        why = "every record imported is linked to another or was removed; `triage undo --event` takes that back"
    return InputError(f"The stage {stage.name!r} of {review.path} holds no records yet: {why}.")


@dataclass(frozen=True, slots=True)
class Ranked:
    """A stage and its ranking; the model that made it, where it was made just now."""

    review: Snapshot
    stage: Stage
    ranking: Ranking
    model: ReviewModel | None = None

    @property
    def order(self) -> np.ndarray:
        """The rows of the stage, the best first."""
        return np.argsort(-self.ranking.scores, kind="stable")


# Events that leave a ranking as it is; what machines suggest is among its parameters, where it ranks.
_OF_NO_RANKING = frozenset(
    (
        Kind.SHOWN,
        Kind.PLAN,
        Kind.SECOND_LOOK_PLAN,
        Kind.TAG,
        Kind.ATTACHED,
        Kind.MACHINE,
        Kind.SUGGESTION,
        Kind.CHECK,
        Kind.COLUMNS,
        Kind.SOURCE,
        Kind.PROTOCOL,  # what it says of the ranking is among the parameters
        Kind.STOP,
        Kind.REVEAL,
        Kind.ASSIGNED,
    )
)


def newest_ranking_of(
    project: Project, stage_name: str | None, preset: str | None, device: str, progress: Progress | None
) -> Ranked:
    """Rank a stage: by its saved ranking, or anew when that is stale."""
    from .. import ranking as models

    review = project.snapshot()
    stage, protocol = review.stage(stage_name), review.protocol
    if not len(stage.record_ids):
        raise no_records(review, stage)
    saved = review.rankings.newest(stage.name)
    wanted = parameters_of(
        models.load_preset(preset or protocol.model), asdict(criteria_of(protocol)), Teaching.of(review, stage)
    )
    newest = max((e.seq for e in review.events if e.kind not in _OF_NO_RANKING and not e.is_unread), default=0)
    if (
        saved is not None
        and saved.as_of >= newest
        and saved.model == json.loads(json.dumps(wanted))
        and np.array_equal(saved.record_ids, stage.record_ids)
    ):
        return Ranked(review, stage, saved)
    model = model_of(review, stage, preset, device, project.cache_dir, progress)
    rows, y = judged_rows(review.history(stage.name))
    scores = _scores(model, stage, rows, y)
    fresh = Ranking(stage.live.last_seq, model.parameters, stage.record_ids, scores, model.held_out(rows, y))
    return Ranked(review, stage, replace(fresh, id=project.rankings.save(stage.name, fresh)), model)


def _scores(model: ReviewModel, stage: Stage, rows: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the scores of a stage's records; without anything to rank by they are in the order of import."""
    scores = model(rows, y)
    return (-np.arange(len(stage.record_ids)) if scores is None else scores).astype(np.float32)


def order_without_machines(
    project: Project, stage_name: str | None, progress: Progress | None
) -> tuple[Snapshot, Stage, np.ndarray]:
    """Return a stage and its rows, the best first, as they are ranked without what machines suggest.

    So a machine that is asked about the best records has no part in which these are, and an interrupted run goes on
    with the same ones.
    """
    review = project.snapshot()
    stage, protocol = review.stage(stage_name), review.protocol
    if not suggested_at(protocol, stage):
        ranked = newest_ranking_of(project, stage_name, None, "auto", progress)
        return ranked.review, ranked.stage, ranked.order
    model = model_of(review, stage, None, "auto", project.cache_dir, progress)
    model = model.sharing_views(replace(model.teaching, suggested={}))
    scores = _scores(model, stage, *judged_rows(review.history(stage.name)))
    return review, stage, np.argsort(-scores, kind="stable")


def judged_rows(history: History) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that have a label, and their labels."""
    return history.rows[history.judged], history.y[history.judged]
