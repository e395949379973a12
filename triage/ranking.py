"""From labels and views to a ranking: presets, the blend of views, the criteria before the labels."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from . import bundled
from .errors import InputError
from .learning import LinearMachine, NearestFound

LONE_TERMS = "(terms of this record alone)"
_RANK_OFFSET = 20.0  # reciprocal rank fusion, 1 / (20 + rank)


class Views(Protocol):
    """What a learner reads: named matrices of the same records, and their nearness to the criteria."""

    matrices: Mapping[str, object]
    criteria: Mapping[str, np.ndarray]
    names: Mapping[str, Callable[[str], Mapping[int, str]]]
    n: int


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

    def begin(self, matrix) -> LinearMachine | NearestFound:
        """Return what scores the view's matrix, before any label."""
        return NearestFound(matrix) if self.score == "nearest" else LinearMachine(matrix, self.C)


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


class Learner:
    """Scores the records of one review by what is known: the criteria, the labels, or both.

    Before both labels are known the criteria alone rank; from then on a blend of views does, each scored on
    its own and put on one scale, and the criteria fade as relevant records are found. With z the
    standardised score and r the rank of a record among those not labelled, by term of the preset:

        learned = z(sum of weight z) + rank_weight z(sum of 1 / (20 + r))
        score = z(learned) + criteria_weight k / (k + relevant found) criteria

    A learner remembers what it learned last, so that one more label costs a few products and no new
    training; the scores are those of a new learner up to the solver's tolerance.

    Parameters
    ----------
    preset : Preset
    views : Views
        Views of n records.
    """

    def __init__(self, preset: Preset, views: Views) -> None:
        self._preset = preset
        self._views = views
        self._by_criteria = criteria_scores(preset, views)
        self._terms: list[LinearMachine | NearestFound] | None = None

    def __call__(self, rows: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        """Score every record.

        Parameters
        ----------
        rows : ndarray of int, shape (n_labelled,)
        y : ndarray of int, shape (n_labelled,)
            1 relevant, 0 not.

        Returns
        -------
        ndarray of float, shape (n,), or None
            None when there is neither a criterion nor both labels: nothing to rank by.
        """
        found = int((y == 1).sum())
        if not 0 < found < len(y):
            return self._by_criteria
        # The products are many and small: a second thread costs more than it brings, and all on a busy machine.
        with _threads().limit(limits=1, user_api="blas"):
            learned = self._learned(np.asarray(rows), np.asarray(y))
        if self._by_criteria is None:
            return learned
        fade = self._preset.criteria_fade
        return standardised(learned) + self._preset.criteria_weight * fade / (fade + found) * self._by_criteria

    def _learned(self, rows: np.ndarray, y: np.ndarray) -> np.ndarray:
        preset = self._preset
        if self._terms is None:
            self._terms = [term.begin(self._views.matrices[term.view]) for term in preset.scores]
        weights = balanced_weights(y, preset.balance)
        by_term = [term.fit(rows, y, weights).scores_ for term in self._terms]
        if len(by_term) == 1 and not preset.rank_weight:
            return by_term[0]
        total = sum(term.weight * standardised(values) for term, values in zip(preset.scores, by_term, strict=True))
        if not preset.rank_weight:
            return total
        open_rows = np.ones(self._views.n, bool)
        open_rows[rows] = False
        fused = sum(1.0 / (_RANK_OFFSET + _ranks(values, open_rows)) for values in by_term)
        return standardised(total) + preset.rank_weight * standardised(fused)


@lru_cache(maxsize=1)
def _threads():
    """Return what limits the threads of the linear algebra; to find the libraries takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


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
    order = np.argsort(values)
    ascending = values[order]
    not_above = np.cumsum(open_rows[order])                  # open ones up to this place,
    last = np.flatnonzero(np.append(ascending[1:] != ascending[:-1], True))
    ranks = np.empty(len(values))                            # and with all that are as high
    ranks[order] = 1.0 + not_above[-1] - np.repeat(not_above[last], np.diff(last, prepend=-1))
    return ranks


def criteria_scores(preset: Preset, views: Views) -> np.ndarray | None:
    """Score records by the criteria alone, shape (n,); None when there are none."""
    parts = [
        weight * standardised(views.criteria[name])
        for name, weight in preset.criteria.items() if name in views.criteria and weight
    ]
    return standardised(sum(parts)) if parts else None


def explain(
    preset: Preset, views: Views, text: str, rows: np.ndarray, y: np.ndarray, row: int, n: int = 20,
) -> list[tuple[str, float]]:
    """Return the terms that move one record's score most, with their contributions, by the first view of terms.

    A contribution is the machine's weight of a term times its value in the record; with the
    intercept they add up to the view's score.

    Parameters
    ----------
    preset, views, rows, y
        As for `Learner`.
    text : str
        The record's.
    row : int
        The record.
    n : int
        Terms to return, by size of their contribution.
    """
    by_terms = next((s for s in preset.scores if s.view in views.names and s.score == "svm"), None)
    if by_terms is None or not 0 < int(y.sum()) < len(y):
        return []
    names, matrix = views.names[by_terms.view](text), views.matrices[by_terms.view]
    machine = LinearMachine(matrix, by_terms.C).fit(rows, y, balanced_weights(y, preset.balance))
    start, end = matrix.indptr[row: row + 2]
    columns = matrix.indices[start:end]
    parts = matrix.data[start:end] * machine.coef_[columns]
    order = np.argsort(-np.abs(parts), kind="stable")[:n]
    return [(names.get(int(columns[i]), LONE_TERMS), float(parts[i])) for i in order]
