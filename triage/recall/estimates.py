"""Estimates of what is missed: a model's best guess, with what it assumes and no guarantee."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..log import History, Origin
from .verdict import Estimate


def _estimate(
    history: History, missed: float, variance: float, confidence: float, method: str, assumes: str
) -> Estimate:
    """Turn a mean and the variance of the mean into an estimate with an interval.

    The number missed is Poisson about an uncertain mean: a negative binomial, whose quantiles are
    whole records and never negative.
    """
    found, most = history.n_found, history.n_unscreened
    missed = float(np.clip(missed, 0, most))
    tail = (1 - confidence) / 2
    if missed <= 0:
        low, high = 0.0, 0.0
    elif variance <= 1e-9 * missed * missed:
        low, high = (poisson_quantile(q, missed, most) for q in (tail, 1 - tail))
    else:
        shape = missed * missed / variance
        low, high = (_negative_binomial_quantile(q, shape, missed, most) for q in (tail, 1 - tail))
    # However sure the model is, one more cannot be ruled out while records are unscreened.
    high = float(np.clip(max(high, missed), min(1, most), most))
    low = float(min(low, missed))
    return Estimate(
        method=method,
        recall=found / (found + missed),
        lower=found / (found + high),
        upper=found / (found + low),
        relevant_total=found + missed,
        confidence=confidence,
        assumes=assumes,
    )


def poisson_quantile(share: float, mean: float, most: int) -> int:
    """Return the smallest number, `most` at most, that a Poisson variable exceeds with 1 - share or less."""
    from scipy.special import pdtr

    return _quantile(lambda k: pdtr(k, mean), share, most)


def _negative_binomial_quantile(share: float, shape: float, mean: float, most: int) -> int:
    from scipy.special import betainc

    return _quantile(lambda k: betainc(shape, k + 1, shape / (shape + mean)), share, most)


def _quantile(at_most: Callable[[int], float], share: float, most: int) -> int:
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if at_most(middle) >= share else (middle + 1, high)
    return low


# -- from a model's scores --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Calibration:
    """A logistic curve from scores to probabilities (Platt 1999).

    It is fitted on the scores that judged records got from models that had not seen their label.
    `shift` is added for what is not screened: labels were chosen by the ranking, and the audit draws are
    the only uniform look at the rest. It is the likeliest shift of the audit's logits under a normal
    prior, which without an audit leaves it at 0.
    """

    centre: float
    spread: float
    beta: np.ndarray
    covariance: np.ndarray
    shift: float
    shift_variance: float

    @classmethod
    def of(cls, history: History, held_out: np.ndarray) -> _Calibration | None:
        """Fit it; None while there is nothing to fit: nothing found, or one label only."""
        judged = history.judged
        rows, y = history.rows[judged], history.y[judged].astype(float)
        known = np.isfinite(held_out[rows])
        s, y = held_out[rows][known].astype(float), y[known]
        if not 0 < y.sum() < len(y):
            return None
        centre, spread = s.mean(), s.std() or 1.0
        design = np.column_stack([np.ones(len(s)), (s - centre) / spread])
        # Platt's targets keep a perfectly separated sample from an infinite slope.
        n1, n0 = y.sum(), len(y) - y.sum()
        beta, covariance = _logistic(design, np.where(y == 1, (n1 + 1) / (n1 + 2), 1 / (n0 + 2)))
        audit = (history.origin[judged] == Origin.AUDIT)[known]
        shift, variance = _audit_shift(design[audit] @ beta, y[audit])
        return cls(centre, spread, beta, covariance, shift, variance)

    def design(self, scores: np.ndarray) -> np.ndarray:
        return np.column_stack([np.ones(len(scores)), (scores.astype(float) - self.centre) / self.spread])


def calibrated(history: History, scores: np.ndarray, held_out: np.ndarray) -> np.ndarray | None:
    """Return each record's probability of being relevant, by the model.

    Parameters
    ----------
    history : History
    scores : ndarray of float, shape (n_records,)
        The newest score of every record of the stage.
    held_out : ndarray of float, shape (n_records,)
        For judged records the score of a model that had not seen their label; NaN for the others.

    Returns
    -------
    ndarray of float, shape (n_records,), or None
        A judged record's comes from its held-out score, its label where it has none; None while there
        is nothing to calibrate on: nothing found, or one label only.
    """
    fit = _Calibration.of(history, held_out)
    if fit is None:
        return None
    judged = history.judged
    rows = history.rows[judged]
    p = _expit(fit.design(scores) @ fit.beta + fit.shift)
    known = np.isfinite(held_out[rows])
    p[rows[known]] = _expit(fit.design(held_out[rows[known]]) @ fit.beta)
    p[rows[~known]] = history.y[judged][~known]
    return p


def estimate_from_scores(
    history: History, scores: np.ndarray, held_out: np.ndarray | None, confidence: float = 0.95
) -> Estimate | None:
    """Estimate the number of relevant records by calibrated probabilities; no guarantee.

    The relevant records are those found and the sum of the probabilities of all others. The interval
    adds the chance of each record to the doubt about the calibration.

    Parameters
    ----------
    history : History
    scores, held_out : ndarray of float, shape (n_records,)
        See `calibrated`.
    confidence : float

    Returns
    -------
    Estimate or None
        None while there is nothing to calibrate on: nothing found, or one label only.
    """
    fit = None if held_out is None or not history.n_found else _Calibration.of(history, held_out)
    if fit is None:
        return None
    open_rows = np.ones(len(scores), bool)
    open_rows[history.rows[history.judged]] = False
    design = fit.design(scores[open_rows])
    p = _expit(design @ fit.beta + fit.shift)
    slope = design.T @ (p * (1 - p))
    variance = slope @ fit.covariance @ slope + slope[0] ** 2 * fit.shift_variance
    return _estimate(
        history,
        float(p.sum()),
        float(variance),
        confidence,
        "calibrated scores",
        "that a record's score predicts its chance of being relevant as well in the part not screened as in the part "
        "screened; a cluster that the model does not know is not counted",
    )


def _expit(logits: np.ndarray) -> np.ndarray:
    p: np.ndarray = 1 / (1 + np.exp(-np.clip(logits, -40, 40)))
    return p


def _logistic(design: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit a logistic regression by Newton's method; return coefficients and their covariance."""
    beta = np.zeros(design.shape[1])
    ridge = 1e-3 * np.eye(len(beta))
    for _ in range(50):
        p = _expit(design @ beta)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + ridge
        step = np.linalg.solve(hessian, design.T @ (target - p) - ridge @ beta)
        beta = beta + np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-8:
            break
    return beta, np.linalg.inv(hessian)


_SHIFT_VARIANCE = 1.0  # of the prior: unscreened records may differ by a factor of e in their odds


def _audit_shift(logits: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the likeliest shift of the audit's logits under a normal prior, and its variance."""
    shift = 0.0
    for _ in range(50):
        p = _expit(logits + shift)
        precision = (p * (1 - p)).sum() + 1 / _SHIFT_VARIANCE
        step = ((y - p).sum() - shift / _SHIFT_VARIANCE) / precision
        shift += float(np.clip(step, -2, 2))
        if abs(step) < 1e-8:
            break
    return shift, float(1 / precision)


# -- from the discovery curve -----------------------------------------------------------------

_LEAST_FOUND = 5  # relevant records that a curve is fitted to, at least
_WINDOWS = 50


@dataclass(frozen=True, slots=True)
class Curve:
    """The discovery curve as a Poisson process of rate a x^k, x the place in the screening order.

    Attributes
    ----------
    exponent : float
        k, 0 at most: relevant records do not become more frequent.
    missed : float
        The process's mean over what is not screened.
    variance : float
        Of that mean, by the doubt about a and k.
    """

    exponent: float
    missed: float
    variance: float


def curve_of(history: History) -> Curve | None:
    """Fit the curve to the counts of windows of the screening order, by maximum likelihood.

    Sneyd & Stevenson's inhomogeneous Poisson process with a power law (IP-P; 10.1145/3631990).

    Returns
    -------
    Curve or None
        None while the screening order has fewer than five relevant records.
    """
    # What somebody chose or brought along has no place in the screening order.
    in_order = history.judged & ((history.origin == Origin.RANKED) | (history.origin == Origin.AUDIT))
    y = history.y[in_order]
    n, found = len(y), int(y.sum())
    if found < _LEAST_FOUND or n < 2 * _LEAST_FOUND:
        return None
    edges = np.unique(np.linspace(0, n, min(_WINDOWS, n) + 1).astype(np.int64))
    counts, width = np.add.reduceat(y.astype(float), edges[:-1]), np.diff(edges)
    x = np.log((edges[:-1] + edges[1:]) / 2)
    centre = x.mean()
    design = np.column_stack([np.ones(len(x)), x - centre])
    beta = np.array([math.log(found / n), 0.0])
    for _ in range(100):
        rate = width * np.exp(np.clip(design @ beta, -30, 3))
        hessian = (design * rate[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.clip(np.linalg.solve(hessian, design.T @ (counts - rate)), -1, 1)
        beta = beta + step
        if np.abs(step).max() < 1e-9:
            break
    if beta[1] > 0:
        beta = np.array([math.log(found / n), 0.0])
    place = np.log(np.arange(n, n + history.n_unscreened) + 0.5) - centre
    rates = np.exp(beta[0] + beta[1] * place)
    gradient = np.array([rates.sum(), (rates * place).sum()])
    return Curve(float(beta[1]), float(rates.sum()), float(gradient @ np.linalg.inv(hessian) @ gradient))


def estimate_from_curve(history: History, confidence: float = 0.95) -> Estimate | None:
    """Estimate what is missed by the discovery curve; None while fewer than five relevant records are found."""
    curve = curve_of(history)
    if curve is None:
        return None
    estimate = _estimate(
        history,
        curve.missed,
        curve.variance,
        confidence,
        "discovery curve",
        "that relevant records go on becoming rarer along the screening order as smoothly as they did so far",
    )
    return replace(estimate, interval_holds=False)
