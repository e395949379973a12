"""Exact tests on random draws without replacement: how many are needed, and what they rule out."""

from __future__ import annotations

import math

import numpy as np

from ..evidence import SLACK, least_missed


def draws_needed(found: int, left: int, target: float, confidence: float) -> int:
    """Return the draws without a hit that reject a broken target: the exact hypergeometric test.

    The smallest s with C(m - M0, s) / C(m, s) <= alpha, M0 the fewest missed that break the target.
    """
    missed = least_missed(found, target)
    if missed > left:
        return 0
    from scipy.special import gammaln

    log_alpha = math.log1p(-confidence) + SLACK
    low, high = 0, left - missed + 1  # so many draws cannot all miss
    while low < high:
        s = (low + high) // 2
        log_p = gammaln(left - missed + 1) - gammaln(left - missed - s + 1) - gammaln(left + 1) + gammaln(left - s + 1)
        low, high = (low, s) if log_p <= log_alpha else (s + 1, high)
    return low


def elusion_upper(left: int, drawn: int, hits: int, alpha: float) -> int:
    """Return the most relevant records among `left` not rejected by `hits` in `drawn` uniform draws."""
    low, high = hits, left - (drawn - hits)
    while low < high:
        middle = (low + high + 1) // 2
        if hypergeometric(np.array([hits]), left, np.array([middle]), np.array([drawn]))[0] > alpha:
            low = middle
        else:
            high = middle - 1
    return low


def hypergeometric(most: np.ndarray, total: np.ndarray | int, relevant: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return the chance of `most` relevant records or fewer among `drawn` of `total`, for integer arrays.

    Term by term, all that can be: what scipy.stats would give, without the second that it takes to load.
    """
    total = np.broadcast_to(total, np.shape(most))
    log_factorial = log_factorials(int(total.max()))

    def log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
        log_p: np.ndarray = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
        return log_p

    fewest = np.maximum(0, drawn - (total - relevant))
    terms = np.maximum(np.minimum(most, np.minimum(drawn, relevant)) - fewest + 1, 0)
    chance = np.zeros(len(terms))
    # So many at a time that the terms of all stay small in memory.
    for some in np.array_split(np.arange(len(terms)), 1 + int(terms.sum()) // 1_000_000):
        each = np.repeat(some, terms[some])
        first = np.cumsum(terms[some]) - terms[some]
        k = fewest[each] + np.arange(len(each)) - np.repeat(first, terms[some])
        log_p = (
            log_choose(relevant[each], k)
            + log_choose((total - relevant)[each], drawn[each] - k)
            - log_choose(total[each], drawn[each])
        )
        chance[some] = np.bincount(each - some[0], np.exp(log_p), len(some)) if len(some) else 0.0
    return np.minimum(chance, 1.0)


def log_factorials(most: int) -> np.ndarray:
    """Return the logarithms of the factorials of 0 to `most`."""
    from scipy.special import gammaln

    log_factorial: np.ndarray = gammaln(np.arange(most + 1) + 1.0)
    return log_factorial


def log_no_hit(left: np.ndarray, relevant: np.ndarray, draws: np.ndarray, log_factorial: np.ndarray) -> np.ndarray:
    """Return the log chance that so many random draws of those left hit none of the relevant ones."""
    possible = draws <= left - relevant
    short, relevant = np.where(possible, draws, 0), np.minimum(relevant, left)
    log_p = (
        log_factorial[left - relevant]
        - log_factorial[left - relevant - short]
        - log_factorial[left]
        + log_factorial[left - short]
    )
    return np.where(possible, log_p, -np.inf)


def least_run(left: int, relevant: int, alpha: float) -> int | None:
    """Return the fewest random draws that all miss with probability alpha at most; None where none will do."""
    if not 0 < relevant <= left or alpha <= 0:
        return None
    level = math.log(alpha) + SLACK
    whole = math.lgamma(left - relevant + 1) - math.lgamma(left + 1)
    low, high = 1, left - relevant + 1  # so many cannot all miss
    while low < high:
        draws = (low + high) // 2
        log_p = whole - math.lgamma(left - relevant - draws + 1) + math.lgamma(left - draws + 1)
        low, high = (low, draws) if log_p <= level else (draws + 1, high)
    return low
