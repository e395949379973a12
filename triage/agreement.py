"""How well reviewers agree beyond chance: kappa, AC1 and alpha of unordered labels, with intervals.

No kept library does it: irrCAC 0.4.4 (November 2024) has all four, right with missing labels, but holds numpy
below 2; krippendorff 0.9 gives alpha without an interval; statsmodels takes no missing labels. The tests hold
this module against published tables and against what the first two compute of them.

Sources: Cohen 1960, with the variance of Fleiss, Cohen and Everitt 1969 (Psychological Bulletin 72:323); for
several reviewers and missing labels the estimators and variances of Gwet 2014 (Handbook of Inter-Rater
Reliability, 4th edition, chapters 2, 3 and 5), of which AC1 is Gwet 2008 (British Journal of Mathematical and
Statistical Psychology 61:29); alpha is Krippendorff 2011 (Computing Krippendorff's Alpha-Reliability). An
interval is the estimate and its standard error times a quantile of Student's t with n - 1 degrees of freedom,
cut at 1 and -1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Agreement:
    """One coefficient of agreement.

    Attributes
    ----------
    value : float or None
        1 is perfect agreement, 0 what chance gives; None where it is not defined: nobody judged a record
        that another judged, or all labels are the same, so that chance alone explains them.
    lower, upper : float or None
        Its interval; None where it is not defined: fewer than two records, or no variation to judge by
        (as when all agree), from which nothing is known of what the next records bring.
    records : int
        Records judged by two or more.
    observed : float or None
        The share of pairs of labels that agree.
    """

    value: float | None
    lower: float | None
    upper: float | None
    records: int
    observed: float | None


def cohen_kappa(first: np.ndarray, second: np.ndarray, confidence: float = 0.95) -> Agreement:
    """Return Cohen's kappa of two reviewers.

    Parameters
    ----------
    first, second : ndarray of int, shape (n,)
        Labels numbered from 0; -1 where one has not judged the record, which is then left out.
    confidence : float
    """
    both = (first >= 0) & (second >= 0)
    first, second = first[both], second[both]
    n = len(first)
    if not n:
        return Agreement(None, None, None, 0, None)
    q = int(max(first.max(), second.max())) + 1
    p = np.zeros((q, q))
    np.add.at(p, (first, second), 1 / n)
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    observed, chance = float(np.trace(p)), float(rows @ columns)
    if math.isclose(chance, 1):
        return Agreement(None, None, None, n, observed)
    kappa = (observed - chance) / (1 - chance)
    agree = np.diag(p) @ (1 - (rows + columns) * (1 - kappa)) ** 2
    off = p * (columns[:, None] + rows[None, :]) ** 2
    apart = (1 - kappa) ** 2 * (off.sum() - np.trace(off))
    variance = (agree + apart - (kappa - chance * (1 - kappa)) ** 2) / (n * (1 - chance) ** 2)
    return _with_interval(kappa, variance, n, n, observed, confidence)


def fleiss_kappa(labels: np.ndarray, confidence: float = 0.95) -> Agreement:
    """Return Fleiss' kappa of several reviewers (see `gwet_ac1` for the parameters)."""
    return _by_records(labels, confidence, lambda share: (float(share @ share), share))


def gwet_ac1(labels: np.ndarray, confidence: float = 0.95) -> Agreement:
    """Return Gwet's AC1 of several reviewers: unlike kappa, it does not fall where one label is rare.

    Parameters
    ----------
    labels : ndarray of int, shape (n, r)
        Each reviewer's label of each record, numbered from 0; -1 for no label. What nobody judged, or
        a single reviewer, counts for how often each label is given.
    confidence : float
    """

    def chance(share: np.ndarray) -> tuple[float, np.ndarray]:
        others = max(1, len(share) - 1)
        return float(share @ (1 - share)) / others, (1 - share) / others

    return _by_records(labels, confidence, chance)


def krippendorff_alpha(labels: np.ndarray, confidence: float = 0.95) -> Agreement:
    """Return Krippendorff's alpha of several reviewers, for unordered labels (see `gwet_ac1`)."""
    counts = _counts(labels)
    counts = counts[counts.sum(axis=1) >= 2]
    n = len(counts)
    if not n:
        return Agreement(None, None, None, 0, None)
    judged = counts.sum(axis=1)
    mean = judged.mean()
    pairs = (counts * (counts - 1)).sum(axis=1) / (judged - 1)
    observed = float((pairs / judged).mean())
    share = counts.sum(axis=0) / judged.sum()
    chance = float(share @ share)
    if math.isclose(chance, 1):
        return Agreement(None, None, None, n, observed)
    agreeing = float((pairs / mean).mean())
    of_few = 1 / judged.sum()  # Krippendorff's correction for a small sample
    corrected = (1 - of_few) * agreeing + of_few
    alpha, plain = (corrected - chance) / (1 - chance), (agreeing - chance) / (1 - chance)
    more = (judged - mean) / mean
    part = (pairs / mean - corrected * more - chance) / (1 - chance)
    by_chance = counts @ share / mean - chance * more
    part = part - 2 * (1 - plain) * (by_chance - chance) / (1 - chance)
    return _with_interval(alpha, _variance(part, plain), n, n, observed, confidence)


def _by_records(
    labels: np.ndarray, confidence: float, chance_of: Callable[[np.ndarray], tuple[float, np.ndarray]]
) -> Agreement:
    """Return (observed - chance) / (1 - chance) with the variance of its linearization over the records.

    `chance_of` gives, from the share of each label, the agreement by chance and each label's part in it.
    """
    counts = _counts(labels)
    counts = counts[counts.sum(axis=1) >= 1]
    judged = counts.sum(axis=1)
    twice = judged >= 2
    n, known = len(counts), int(twice.sum())
    if not known:
        return Agreement(None, None, None, 0, None)
    agreeing = np.where(twice, (counts * (counts - 1)).sum(axis=1) / np.where(twice, judged * (judged - 1), 1), 0)
    observed = float(agreeing.sum() / known)
    chance, parts = chance_of((counts / judged[:, None]).mean(axis=0))
    if (counts > 0).any(axis=0).sum() < 2:
        return Agreement(None, None, None, known, observed)
    value = (observed - chance) / (1 - chance)
    part = n / known * (agreeing - chance * twice) / (1 - chance)
    part = part - 2 * (1 - value) * (counts @ parts / judged - chance) / (1 - chance)
    return _with_interval(value, _variance(part, value), n, known, observed, confidence)


def _counts(labels: np.ndarray) -> np.ndarray:
    """Return how many reviewers gave each record each label that was given at all."""
    labels = np.asarray(labels)
    given = np.unique(labels[labels >= 0])
    return (
        np.stack([(labels == label).sum(axis=1) for label in given], axis=1).astype(float)
        if len(given)
        else (np.zeros((len(labels), 1)))
    )


def _variance(part: np.ndarray, value: float) -> float:
    n = len(part)
    return float(((part - value) ** 2).sum() / (n * (n - 1))) if n > 1 else math.nan


def _with_interval(value: float, variance: float, n: int, known: int, observed: float, confidence: float) -> Agreement:
    from scipy import stats

    if n < 2 or not variance > 1e-12:
        return Agreement(value, None, None, known, observed)
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * math.sqrt(variance)
    return Agreement(value, max(-1.0, value - half), min(1.0, value + half), known, observed)
