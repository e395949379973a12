"""From labels and views to a ranking: presets, the blend of views, the criteria before the labels."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from . import bundled
from .errors import InputError

_NEAREST = 3         # RANKING prototype: the mean of the three largest similarities
_RANK_OFFSET = 20.0  # reciprocal rank fusion, 1 / (20 + rank)


class Views(Protocol):
    """What a ranker reads: named matrices of the same records, and their nearness to the criteria."""

    matrices: Mapping[str, object]
    criteria: Mapping[str, np.ndarray]
    n: int

    def __getitem__(self, rows: np.ndarray) -> Views:
        """Return the views of some records."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """What the ranking reads of a protocol: the question, and each criterion as a text."""

    question: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """One term of a blend: a view, how it is scored, and its weight."""

    view: str
    score: str
    weight: float
    C: float = 0.0


@dataclass(frozen=True, slots=True)
class Preset:
    """A ranking model as data; every number's source stands in models/presets.toml."""

    name: str
    scores: tuple[Score, ...]
    balance: float
    rank_weight: float
    criteria_weight: float
    criteria_fade: float = 0.0
    criteria: Mapping[str, float] = field(default_factory=dict)
    encoder: str = "all-minilm-l6-v2"

    @property
    def views(self) -> tuple[str, ...]:
        """The views that the blend reads, each once."""
        return tuple(dict.fromkeys(score.view for score in self.scores))

    def parameters(self) -> dict[str, object]:
        """Return the name and every parameter, fit for JSON: a ranking's provenance."""
        return {**asdict(self), "scores": [asdict(score) for score in self.scores]}


def presets(path: Path | None = None) -> dict[str, Preset]:
    """Return the presets of a TOML file by name: the bundled ones when no file is named."""
    with (path or bundled.path("models/presets.toml")).open("rb") as file:
        tables = tomllib.load(file)
    return {
        name: Preset(
            name=name, scores=tuple(Score(**score) for score in table["scores"]),
            **{key: value for key, value in table.items() if key != "scores"},
        )
        for name, table in tables.items()
    }


def load_preset(name: str) -> Preset:
    """Return a preset by its name, or `default` with the encoder of a model's folder.

    Raises
    ------
    InputError
        When `name` is neither a preset nor a folder.
    """
    known = presets()
    if name in known:
        return known[name]
    if Path(name).is_dir():
        return replace(known["default"], name=f"default with {Path(name).name}", encoder=str(Path(name)))
    raise InputError(
        f"There is no model preset {name!r}, nor a folder of that name; the presets are {', '.join(known)}."
    )


class Ranker(ClassifierMixin, BaseEstimator):
    """A blend of views, each scored on its own and put on one scale.

    With z the standardised and r the rank of a record among those not labelled, by view:
    score = z(sum of weight z) + rank_weight z(sum of 1 / (20 + r)).

    Parameters
    ----------
    scores : sequence of Score
    balance : float
        Total weight of the relevant labels in units of that of the irrelevant (ASReview's `Balanced`).
    rank_weight : float
        Weight of the reciprocal ranks.

    Attributes
    ----------
    svms_ : dict of int to LinearSVC
        The fitted machine of each term of `scores` that has one, by its position.
    relevant_ : dict of int to matrix
        The relevant rows that each `nearest` term compares with.
    """

    def __init__(self, scores: Sequence[Score], balance: float = 9.8, rank_weight: float = 0.0) -> None:
        self.scores = scores
        self.balance = balance
        self.rank_weight = rank_weight

    def fit(self, X: Views, y: np.ndarray) -> Ranker:
        """Learn from labelled records.

        Parameters
        ----------
        X : Views
            Views of the labelled records.
        y : ndarray of int, shape (n_labelled,)
            1 relevant, 0 not.

        Raises
        ------
        ValueError
            When one of the labels is missing.
        """
        from sklearn import config_context
        from sklearn.svm import LinearSVC

        y = np.asarray(y)
        self.classes_ = np.array([0, 1])
        if not np.array_equal(np.unique(y), self.classes_):
            raise ValueError("a ranker learns from relevant and irrelevant records; one label is missing")
        self.svms_, self.relevant_ = {}, {}
        weights = balanced_weights(y, self.balance)
        for i, term in enumerate(self.scores):
            matrix = X.matrices[term.view]
            if term.score == "nearest":
                self.relevant_[i] = matrix[np.flatnonzero(y == 1)]
            else:
                # Fewer labels than terms: the dual problem is the small one. The seed only orders the
                # solver's passes. Our own matrices need no checks, which cost a tenth of a short fit.
                machine = LinearSVC(loss="squared_hinge", C=term.C, dual=True, random_state=0)
                with config_context(assume_finite=True, skip_parameter_validation=True):
                    self.svms_[i] = machine.fit(matrix, y, sample_weight=weights)
        return self

    def decision_function(self, X: Views, labelled: np.ndarray | None = None) -> np.ndarray:
        """Score records, higher more likely relevant.

        Parameters
        ----------
        X : Views
            Views of n records.
        labelled : ndarray of int, optional
            Rows that have a label; ranks are taken among the others.

        Returns
        -------
        ndarray of float, shape (n,)
        """
        by_term = [self._term(i, X.matrices[term.view]) for i, term in enumerate(self.scores)]
        if len(by_term) == 1 and not self.rank_weight:
            return by_term[0]
        total = sum(term.weight * standardised(values) for term, values in zip(self.scores, by_term, strict=True))
        if not self.rank_weight:
            return total
        open_rows = np.ones(X.n, bool)
        if labelled is not None:
            open_rows[labelled] = False
        fused = sum(1.0 / (_RANK_OFFSET + _ranks(values, open_rows)) for values in by_term)
        return standardised(total) + self.rank_weight * standardised(fused)

    def _term(self, i: int, matrix) -> np.ndarray:
        if i in self.svms_:
            machine = self.svms_[i]
            return matrix @ machine.coef_[0].astype(matrix.dtype, copy=False) + machine.intercept_[0]
        near = matrix @ self.relevant_[i].T
        near = np.asarray(near.todense() if hasattr(near, "todense") else near)
        k = min(_NEAREST, near.shape[1])
        return np.partition(near, near.shape[1] - k, axis=1)[:, -k:].mean(axis=1)


def balanced_weights(y: np.ndarray, ratio: float) -> np.ndarray:
    """Weigh labels so that the relevant weigh `ratio` times the irrelevant in all, n in sum.

    As ASReview's `Balanced`: 1 for the relevant, n1 / (ratio n0) for the others, rescaled.
    """
    relevant = y == 1
    weights = np.where(relevant, 1.0, relevant.sum() / (ratio * (~relevant).sum()))
    return weights * (len(y) / weights.sum())


def standardised(values: np.ndarray) -> np.ndarray:
    """Return values with mean 0 and standard deviation 1; zeros when they are all equal."""
    spread = values.std()
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)


def _ranks(values: np.ndarray, open_rows: np.ndarray) -> np.ndarray:
    """Rank each record among the open ones, from 1 for the highest."""
    ascending = np.sort(values[open_rows])
    return 1.0 + len(ascending) - np.searchsorted(ascending, values, side="right")


def criteria_scores(preset: Preset, views: Views) -> np.ndarray | None:
    """Score records by the criteria alone, shape (n,); None when there are none."""
    parts = [
        weight * standardised(views.criteria[name])
        for name, weight in preset.criteria.items() if name in views.criteria and weight
    ]
    return standardised(sum(parts)) if parts else None


def score(preset: Preset, views: Views, rows: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Score every record by what is known: the criteria, the labels, or both.

    Before both labels are known the criteria alone rank; from then on the blend does, and the
    criteria fade as relevant records are found: weight k / (k + relevant found).

    Parameters
    ----------
    preset : Preset
    views : Views
        Views of n records.
    rows : ndarray of int, shape (n_labelled,)
    y : ndarray of int, shape (n_labelled,)

    Returns
    -------
    ndarray of float, shape (n,), or None
        None when there is neither a criterion nor both labels: nothing to rank by.
    """
    by_criteria = criteria_scores(preset, views)
    found = int(y.sum())
    if not 0 < found < len(y):
        return by_criteria
    ranker = Ranker(preset.scores, preset.balance, preset.rank_weight).fit(views[rows], y)
    learned = ranker.decision_function(views, rows)
    if by_criteria is None:
        return learned
    fading = preset.criteria_weight * preset.criteria_fade / (preset.criteria_fade + found)
    return standardised(learned) + fading * by_criteria


def best_first(scores: np.ndarray, n: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """Return the positions of the n highest scores, the highest first and ties in file order."""
    return np.argsort(-scores, kind="stable")[:n]


def explain(
    preset: Preset, views: Views, terms: np.ndarray, rows: np.ndarray, y: np.ndarray, row: int, n: int = 20,
) -> list[tuple[str, float]]:
    """Return the terms of the word view that move one record's score most, with their contributions.

    A contribution is the machine's weight of a term times its value in the record; with the
    intercept they add up to the word view's score.

    Parameters
    ----------
    preset, views, rows, y
        As for `score`.
    terms : ndarray of str
        Names of the columns of the word view.
    row : int
        The record.
    n : int
        Terms to return, by size of their contribution.
    """
    words = next((s for s in preset.scores if s.view == "words" and s.score == "svm"), None)
    if words is None or not 0 < int(y.sum()) < len(y):
        return []
    machine = Ranker([words], preset.balance).fit(views[rows], y).svms_[0]
    record = views.matrices["words"][row].tocoo()
    parts = record.data * machine.coef_[0, record.col]
    order = np.argsort(-np.abs(parts), kind="stable")[:n]
    return [(str(terms[record.col[i]]), float(parts[i])) for i in order]
