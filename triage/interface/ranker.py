"""The ranking of a table of records as an estimator of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..bundled import user_cache_dir
from ..errors import InputError
from ..features import Texts
from ..ranking import Criteria
from ..ranking.review import ReviewModel
from .frames import criteria, labels_of, preset_of, texts_of

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.utils import Tags


class Ranker(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Ranks records by criteria, by labels, or by both: the model of `triage rank`.

    Until both a relevant and an irrelevant label are known, only the criteria rank; from then on the labels do, and
    the criteria fade as relevant records are found.

    Parameters
    ----------
    model : str
        A preset, such as "default" or "fast" (`triage rank --help` lists them), the folder of a sentence-transformers
        model, or both as "default:FOLDER".
    question : str
        The review's question.
    include, exclude : sequence of str
        Inclusion and exclusion criteria, one text each.
    device : {"auto", "cpu", "cuda"}
        Where sentence vectors are computed.

    Attributes
    ----------
    scores_ : ndarray of float, shape (n_records,)
        The score of each record that was fitted; higher is more likely relevant. A score orders the records of one
        fit and is not a probability.
    n_labelled_ : int
        Records that had a label.
    classes_ : ndarray of int, shape (2,)
        0 and 1; `decision_function` is higher for 1.
    parameters_ : dict
        The preset with every number, and the criteria: what it takes to make the same ranking again.

    Notes
    -----
    `X` is a DataFrame with the columns title and abstract (others are ignored). The estimator follows the contract
    of scikit-learn as far as text allows: `get_params`, `set_params`, `clone`, pipelines, scorers that ask for
    `decision_function` (such as "average_precision" and "roc_auc"), pickling, `NotFittedError`. It does not pass
    `sklearn.utils.estimator_checks.check_estimator`, which fits arrays of numbers; and it has no `predict`, since
    a ranking by itself does not say where to stop (see `triage.certificate`).

    The model describes a record in relation to the others of its table. So `decision_function` gives the records that
    were fitted the scores of the fit, whatever else is in `X`; where `X` holds others too, all are described anew,
    together with those that were fitted, and learned from the same labels.

    Examples
    --------
    >>> import pandas as pd
    >>> from triage import Ranker
    >>> X = pd.DataFrame(
    ...     {
    ...         "title": ["Soil bacteria in drought", "Peer support in schizophrenia", "Peer workers in recovery"],
    ...         "abstract": ["Legumes.", "A trial among adults.", None],
    ...     }
    ... )
    >>> ranker = Ranker(model="fast", include=["Peer support of adults with schizophrenia"])
    >>> ranker.fit(X).rank(X)[["rank", "title"]]
       rank                          title
    1     1  Peer support in schizophrenia
    2     2       Peer workers in recovery
    0     3       Soil bacteria in drought
    >>> ranker.fit(X, y=[0, None, 1]).n_labelled_
    2
    """

    _estimator_type = "classifier"  # for scikit-learn before 1.6; newer versions read the tags

    def __init__(
        self,
        model: str = "default",
        question: str = "",
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        device: str = "auto",
    ) -> None:
        self.model = model
        self.question = question
        self.include = include
        self.exclude = exclude
        self.device = device

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import ClassifierTags

        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        tags.classifier_tags = ClassifierTags(multi_class=False)
        tags.target_tags.required = False
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: pd.DataFrame, y: Sequence[object] | None = None) -> Ranker:
        """Learn to rank the records of a table.

        Parameters
        ----------
        X : DataFrame of n_records rows
            With the columns title and abstract; a cell may be missing.
        y : array-like, shape (n_records,), optional
            1 relevant, 0 not; None, NaN or -1 for a record without a label. The words include, exclude and maybe (which
            counts as relevant) are understood, too. Labels go to the rows of X in their order. When left out,
            only the criteria rank.

        Returns
        -------
        Ranker
            The estimator itself.

        Raises
        ------
        InputError
            A `ValueError`: for a wrong parameter, table or label, or when there is nothing to rank by.
        """
        titles, abstracts = texts_of(X, "X")
        labels = np.full(len(titles), -1, np.int8)
        if y is not None:
            _check_order(X, y)
            labels = labels_of(y, len(titles), "y", str(getattr(y, "name", None) or ""))
        preset = preset_of(self.model, self.device)
        settings = preset, criteria(self.question, self.include, self.exclude), self.device
        scores, parameters = _scored(settings, titles, abstracts, labels)
        if scores is None:
            raise InputError(
                "There is nothing to rank by: give a question or an inclusion criterion, or y with at least one 1 and "
                "one 0."
            )
        self.scores_ = scores
        self.parameters_ = parameters
        self.n_labelled_ = int((labels >= 0).sum())
        self.classes_ = np.array([0, 1])
        # What was fitted, with the settings at the time: the present ones may be meant for the next fit.
        self._titles, self._abstracts, self._labels, self._settings = titles, abstracts, labels, settings
        return self

    def decision_function(self, X: pd.DataFrame) -> np.ndarray:
        """Return the score of each record of a table, shape (n,); higher is more likely relevant.

        Parameters
        ----------
        X : DataFrame
            The records that were fitted, some of them, or others (see Notes of the class).

        Raises
        ------
        NotFittedError
            When `fit` was not called.
        InputError
            When X is not a table with the columns title and abstract.
        """
        check_is_fitted(self)
        texts = list(zip(*texts_of(X, "X"), strict=True))
        known = {text: row for row, text in enumerate(zip(self._titles, self._abstracts, strict=True))}
        scores: np.ndarray | None = self.scores_
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known |= {text: row for row, text in enumerate(new, len(self._titles))}
            titles, abstracts = zip(*new, strict=True)
            labels = np.concatenate([self._labels, np.full(len(new), -1, np.int8)])
            scores, _ = _scored(self._settings, [*self._titles, *titles], [*self._abstracts, *abstracts], labels)
        return np.asarray(scores)[[known[text] for text in texts]]

    def rank(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return a table with the most likely relevant record first.

        Parameters
        ----------
        X : DataFrame
            As for `decision_function`.

        Returns
        -------
        DataFrame
            All rows and columns of X with their index, and before them `rank`, from 1, and `score`. Records of the
            same score stay in their order.

        Raises
        ------
        NotFittedError
            When `fit` was not called.
        InputError
            When X is not a table with the columns title and abstract, or has a column of one of these names already.
        """
        scores = self.decision_function(X)
        for name in ("rank", "score"):
            if name in X.columns:
                raise InputError(f"X has a column {name!r} already; rename or drop it.")
        order = np.argsort(-scores, kind="stable")
        ranked = X.iloc[order].copy()
        ranked.insert(0, "rank", np.arange(1, len(order) + 1))
        ranked.insert(1, "score", scores[order])
        return ranked


def _scored(
    settings: tuple[str, Criteria, str], titles: list[str], abstracts: list[str], labels: np.ndarray
) -> tuple[np.ndarray | None, dict[str, object]]:
    """Return the score of each record, None where there is nothing to rank by; and the model's parameters."""
    preset, queries, device = settings
    model = ReviewModel(Texts.of(titles, abstracts), preset, queries, device=device, cache_dir=user_cache_dir())
    rows = np.flatnonzero(labels >= 0)
    return model(rows, labels[rows]), model.parameters


def _check_order(X: pd.DataFrame, y: object) -> None:
    """Refuse labels that hold the index of the table in another order, which would go to the wrong records."""
    import pandas as pd

    if not isinstance(y, pd.Series) or y.index.equals(X.index) or len(y) != len(X):
        return
    if y.index.is_unique and X.index.is_unique and not len(y.index.symmetric_difference(X.index)):
        raise InputError("y has the index of X in another order; give y.reindex(X.index).")
