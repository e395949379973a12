"""The ranking of records by what labels and criteria teach."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .machine import LinearMachine
from .presets import Preset
from .suggested import PATIENCE, matrix_of, weights

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from threadpoolctl import ThreadpoolController

    from .machine import Matrix

_RANK_OFFSET = 20.0  # reciprocal rank fusion, 1 / (20 + rank)
_FEWEST_LIKE = 5  # more records than these to be judged among: with few the step moves few, and costs little
_PRESUMED_WEIGHT = 0.3  # of a record presumed irrelevant, beside one judged so
# What a record's own label adds to its score, by its dual: about so much less than its product with itself is left
# once the other labels have had their say. Few other records share a sparse row's terms; dense rows are all alike.
_OWN_SPARSE, _OWN_DENSE = 0.9, 0.4


class Views(Protocol):
    """What a learner reads: named matrices of the same records, and their nearness to the criteria."""

    @property
    def matrices(self) -> Mapping[str, Matrix]: ...
    @property
    def criteria(self) -> Mapping[str, np.ndarray]: ...
    @property
    def names(self) -> Mapping[str, Callable[[str], Mapping[int, str]]]: ...
    @property
    def suggested(self) -> Mapping[str, np.ndarray]: ...
    @property
    def n(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a record has its score, every number in the score's own units.

    Attributes
    ----------
    score : float
    parts : dict of str to float
        What each term of the blend adds, such as "words", "ranks", "length" or "criteria whole"; with what the
        machines add they sum to the score.
    terms : dict of str to list of (int, float)
        For each view of terms: the columns that the record has and what each adds to the view's part.
    known : list of (int, float)
        The labelled rows and what each adds to the parts of all views together.
    presumed : float
        What the records that are presumed irrelevant add to them.
    constant : dict of str to float
        For each view, what every record gets: with the terms, or with what the known and the presumed records
        add by this view, it sums to the view's part.
    suggested : dict of str to float
        What each machine's opinion of the record adds.
    """

    score: float
    parts: dict[str, float]
    terms: dict[str, list[tuple[int, float]]]
    known: list[tuple[int, float]]
    presumed: float
    constant: dict[str, float]
    suggested: dict[str, float]


class Learner:
    """Scores the records of one review by what is known: the criteria, the labels, or both.

    Before both labels are known the criteria alone rank; from then on a blend of views does, each scored on
    its own and put on one scale, and the criteria fade as relevant records are found. With z the
    standardised score and r the rank of a record among those not labelled, by term of the preset:

        learned = z(among like(sum of weight z)) + rank_weight z(sum of 1 / (20 + r(among like(z))))
        score = z(learned) + criteria_weight k / (k + relevant found) criteria + sum of w opinions

    What machines say of the records, such as a language model that has screened them too, is added with weights w
    that people's labels bear out (see `suggested.weights`); all together they weigh `machine_weight` before both
    labels are known, and nothing while `PATIENCE` records or more were judged and none of them is relevant.

    A record without an abstract says little, so every view puts it in the middle or below. It is judged among
    its like by half: with `brief` terms at most, among like(t) is the mean of z(t) over all records and z(t)
    over those as brief, as for the others among themselves.

    Who has judged few records has judged those that are alike: what most of the review is about no label says.
    So a term may presume some records irrelevant, drawn at random once and weighing less than those judged so,
    until they are judged themselves (Cormack and Grossman 2015, arXiv:1504.06868, draw 100 anew each time).

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
        self._opinions = matrix_of(views.suggested)
        self._machines: list[LinearMachine] | None = None
        self._groups = _groups_by_length(views, preset.brief)
        self._presumed = {term.presumed: _Presumed(views.n, term.presumed) for term in preset.scores}

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
            None when there is no criterion, no machine's opinion and not both labels: nothing to rank by.
        """
        found = int((y == 1).sum())
        if not 0 < found < len(y):
            return self._before_labels(y)
        by_term = self._by_term(rows, y)
        return self._with_others(self._learned(by_term, rows), found, self._worth(by_term, rows, y))

    def _before_labels(self, y: np.ndarray) -> np.ndarray | None:
        """Return the scores by the criteria and what the machines say."""
        if (worth := self._presumed_worth(y)) is None:
            return self._by_criteria
        by_machines: np.ndarray = self._opinions @ worth
        return by_machines if self._by_criteria is None else self._by_criteria + by_machines

    def _presumed_worth(self, y: np.ndarray) -> np.ndarray | None:
        """Return the weight of each machine before both labels are known; None where they order nothing."""
        if self._opinions is None or not machines_may_begin(y):
            return None
        n_machines = self._opinions.shape[1]
        return np.full(n_machines, self._preset.machine_weight / n_machines)

    def _worth(self, by_term: list[np.ndarray], rows: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        """Return the weight of each machine by the labels, beside 1 for what was learned."""
        if self._opinions is None:
            return None
        total, own = self._weighed(by_term), np.zeros(len(rows))
        for term, machine, values in zip(self._preset.scores, self._machines or (), by_term, strict=True):
            share = _OWN_DENSE if isinstance(self._views.matrices[term.view], np.ndarray) else _OWN_SPARSE
            own += share * term.weight / _spread(values) * machine.duals_[rows]
        learned = (total[rows] - own) / _spread(total)
        return weights(learned, self._opinions[rows], np.asarray(y), self._preset.machine_weight)

    def _with_others(self, learned: np.ndarray, found: int, worth: np.ndarray | None) -> np.ndarray:
        if self._has_nothing_beside:
            return learned
        score = standardised(learned)
        if self._by_criteria is not None:
            score = score + self._fading(found) * self._by_criteria
        return score if worth is None else score + self._opinions @ worth

    @property
    def _has_nothing_beside(self) -> bool:
        """Whether what was learned is the whole score, in its own units."""
        return self._by_criteria is None and self._opinions is None

    def _fading(self, found: int) -> float:
        """Return what the criteria weigh beside what was learned."""
        fade = self._preset.criteria_fade
        return self._preset.criteria_weight * fade / (fade + found)

    def _by_term(self, rows: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
        """Return the scores of all records by each term of the blend."""
        if self._machines is None:
            self._machines = [LinearMachine(self._views.matrices[term.view], term.C) for term in self._preset.scores]
        rows, y = np.asarray(rows), np.asarray(y)
        weights = balanced_weights(y, self._preset.balance)
        taught = {count: presumed.beside(rows, y, weights) for count, presumed in self._presumed.items()}
        # The products are many and small: a second thread costs more than it brings, and all on a busy machine.
        with _threads().limit(limits=1, user_api="blas"):
            return [
                machine.fit(*taught[term.presumed]).scores_
                for term, machine in zip(self._preset.scores, self._machines, strict=True)
            ]

    @property
    def _is_plain(self) -> bool:
        """Whether the one term's scores are the blend's as they are."""
        return len(self._preset.scores) == 1 and not self._preset.rank_weight

    def _weighed(self, by_term: list[np.ndarray]) -> np.ndarray:
        return _sum(
            term.weight * standardised(values) for term, values in zip(self._preset.scores, by_term, strict=True)
        )

    def _learned(self, by_term: list[np.ndarray], rows: np.ndarray) -> np.ndarray:
        """Blend the scores of the terms."""
        if self._is_plain:
            return by_term[0]
        preset, total = self._preset, self._among_like(self._weighed(by_term))
        if not preset.rank_weight:
            return total
        open_rows = np.ones(self._views.n, bool)
        open_rows[rows] = False
        fused = _sum(1.0 / (_RANK_OFFSET + _ranks(self._among_like(values), open_rows)) for values in by_term)
        score: np.ndarray = standardised(total) + preset.rank_weight * standardised(fused)
        return score

    def _among_like(self, total: np.ndarray) -> np.ndarray:
        if not self._groups:
            return total
        apart = np.empty_like(total)
        for group in self._groups:
            apart[group] = standardised(total[group])
        mean: np.ndarray = (standardised(total) + apart) / 2
        return mean

    def explain(self, rows: np.ndarray, y: np.ndarray, row: int) -> Explanation | None:
        """Take the score of one record apart.

        Parameters
        ----------
        rows, y
            As for a call.
        row : int
            The record.

        Returns
        -------
        Explanation or None
            None when there is nothing to rank by.
        """
        preset, views = self._preset, self._views
        rows, y = np.asarray(rows), np.asarray(y)
        found = int((y == 1).sum())
        has_learned = 0 < found < len(y)
        if has_learned:
            by_term = self._by_term(rows, y)
            learned, worth = self._learned(by_term, rows), self._worth(by_term, rows, y)
            scores: np.ndarray | None = self._with_others(learned, found, worth)
        else:
            scores, worth = self._before_labels(y), self._presumed_worth(y)
        if scores is None:
            return None
        parts: dict[str, float] = {}
        if self._by_criteria is not None:
            fading = self._fading(found) if has_learned else 1.0
            near = _by_comparison(preset, views)
            spread = _sum(near.values()).std()
            parts |= {
                f"criteria {name}": float(fading * values[row] / spread) if spread else 0.0
                for name, values in near.items()
            }
        terms: dict[str, list[tuple[int, float]]] = {}
        constant: dict[str, float] = {}
        known, by_presumed = np.zeros(0), 0.0
        if has_learned:
            known = np.zeros(len(rows))
            plain, total = self._is_plain, self._weighed(by_term)
            blend = self._among_like(total)
            # The blend is linear in each term's scores but for its ranks: by these factors.
            outer = 1.0 if self._has_nothing_beside else 1 / _spread(learned)
            inner = outer / _spread(blend) if preset.rank_weight else outer
            if self._groups and not plain:
                like = total[next(group for group in self._groups if group[row])]
                parts["length"] = -inner * float(like.mean()) / _spread(like) / 2
                inner *= (1 / _spread(total) + 1 / _spread(like)) / 2
            for term, machine, values in zip(preset.scores, self._machines or (), by_term, strict=True):
                factor = outer if plain else inner * term.weight / _spread(values)
                middle = 0.0 if plain and self._has_nothing_beside else float(values.mean())
                matrix = views.matrices[term.view]
                parts[term.view] = factor * (float(values[row]) - middle)
                constant[term.view] = factor * (machine.intercept_ - middle)
                known += factor * _products(matrix, rows, row) * machine.duals_[rows]
                others = np.setdiff1d(self._presumed[term.presumed].rows, rows)
                by_presumed += factor * float(_products(matrix, others, row) @ machine.duals_[others])
                if not isinstance(matrix, np.ndarray):
                    start, end = matrix.indptr[row : row + 2]
                    columns = matrix.indices[start:end]
                    adds = factor * matrix.data[start:end] * machine.coef_[columns]
                    terms[term.view] = list(zip(columns.tolist(), adds.tolist(), strict=True))
            if preset.rank_weight:
                parts["ranks"] = outer * float(learned[row] - standardised(blend)[row])
        adds_by_machine = np.zeros(len(views.suggested))
        if self._opinions is not None and worth is not None:
            adds_by_machine = self._opinions[row] * worth
        return Explanation(
            float(scores[row]),
            parts,
            terms,
            list(zip(rows.tolist(), known.tolist())),
            by_presumed,
            constant,
            dict(zip(views.suggested, adds_by_machine.tolist())),
        )


class _Presumed:
    """Records that are presumed irrelevant until they are judged: half of all at most, and always the same."""

    def __init__(self, n: int, count: int) -> None:
        self.rows = np.random.default_rng(0).choice(n, min(count, n // 2), replace=False)
        self._place = np.full(n, -1, np.int64)
        self._place[self.rows] = np.arange(len(self.rows))

    def beside(self, rows: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the rows to learn from with the presumed first, so that further labels only follow."""
        at = self._place[rows]
        judged = at >= 0
        labels = np.concatenate([np.zeros(len(self.rows), y.dtype), y[~judged]])
        shares = np.concatenate([np.full(len(self.rows), _PRESUMED_WEIGHT * weights[y == 0].mean()), weights[~judged]])
        labels[at[judged]], shares[at[judged]] = y[judged], weights[judged]
        return np.concatenate([self.rows, rows[~judged]]), labels, shares


def _groups_by_length(views: Views, brief: int) -> tuple[np.ndarray, ...]:
    """Return masks of the brief records and of the others; nothing where either are too few to compare among."""
    if not brief or "stems" not in views.matrices:
        return ()
    stems: csr_array = views.matrices["stems"]
    is_brief = np.diff(stems.indptr) <= brief
    fewest = min(is_brief.sum(), len(is_brief) - is_brief.sum())
    return (is_brief, ~is_brief) if fewest > _FEWEST_LIKE else ()


def _spread(values: np.ndarray) -> float:
    return float(values.std()) or 1.0


def _products(matrix: Matrix, rows: np.ndarray, row: int) -> np.ndarray:
    """Return the inner products of some rows with one."""
    one = matrix[row] if isinstance(matrix, np.ndarray) else matrix[[row]].toarray().ravel()
    return np.asarray(matrix[rows] @ one, np.float64)


@lru_cache(maxsize=1)
def _threads() -> ThreadpoolController:
    """Return what limits the threads of the linear algebra; to find the libraries takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def balanced_weights(y: np.ndarray, ratio: float) -> np.ndarray:
    """Weigh labels so that the relevant weigh `ratio` times the irrelevant in all, n in sum.

    As ASReview's `Balanced`: 1 for the relevant, n1 / (ratio n0) for the others, rescaled.
    """
    relevant = y == 1
    weights = np.where(relevant, 1.0, relevant.sum() / (ratio * (~relevant).sum()))
    balanced: np.ndarray = weights * (len(y) / weights.sum())
    return balanced


def _sum(arrays: Iterable[np.ndarray]) -> np.ndarray:
    return reduce(np.add, arrays)


def standardised(values: np.ndarray) -> np.ndarray:
    """Return values with mean 0 and standard deviation 1; zeros when they are all equal."""
    spread = values.std()
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)


def _ranks(values: np.ndarray, open_rows: np.ndarray) -> np.ndarray:
    """Rank each record among the open ones, from 1 for the highest."""
    order = np.argsort(values)
    ascending = values[order]
    not_above = np.cumsum(open_rows[order])  # open ones up to this place,
    last = np.flatnonzero(np.append(ascending[1:] != ascending[:-1], True))
    ranks = np.empty(len(values))  # and with all that are as high
    ranks[order] = 1.0 + not_above[-1] - np.repeat(not_above[last], np.diff(last, prepend=-1))
    return ranks


def machines_may_begin(y: np.ndarray) -> bool:
    """Tell whether what machines say may order the records before both labels are known, y the labels so far.

    Whatever they say, they cost no more than so many irrelevant records read before the first relevant one.
    """
    return len(y) < PATIENCE or bool((y == 1).any())


def criteria_scores(preset: Preset, views: Views) -> np.ndarray | None:
    """Score records by the criteria alone, shape (n,); None when there are none."""
    parts = _by_comparison(preset, views)
    return standardised(_sum(parts.values())) if parts else None


def _by_comparison(preset: Preset, views: Views) -> dict[str, np.ndarray]:
    """Return what each comparison with the criteria gives every record, times its weight."""
    return {
        name: weight * standardised(views.criteria[name])
        for name, weight in preset.criteria.items()
        if name in views.criteria and weight
    }
