"""Wrong labels: what a second look at a random sample of the excluded records proves about the reviewers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .rules.exact import elusion_upper, hypergeometric

SAMPLE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The share of the relevant records among the screened that the reviewers included.

    Attributes
    ----------
    estimate, lower, upper : float
        The interval is exact for the finite number of excluded records, at the confidence asked for.
    bound : float
        The lower bound alone, at the confidence (1 + confidence) / 2.
    """

    estimate: float
    lower: float
    upper: float
    bound: float


def sensitivity(included: int, excluded: int, sampled: int, overturned: int, confidence: float = 0.95) -> Sensitivity:
    """Estimate the reviewers' sensitivity by a second judgement of a random sample of what was excluded.

    Parameters
    ----------
    included : int
        Relevant records that were included at the first look, at least one.
    excluded : int
        Records that were excluded at the first look.
    sampled, overturned : int
        How many of these were judged again, drawn at random, and how many of them count as relevant now.
    confidence : float
    """
    half = (1 - confidence) / 2
    most = elusion_upper(excluded, sampled, overturned, half)
    least = _elusion_lower(excluded, sampled, overturned, half)
    wrong = overturned / sampled * excluded
    return Sensitivity(
        included / (included + wrong),
        included / (included + most),
        included / (included + least),
        included / (included + most),
    )


def _elusion_lower(excluded: int, sampled: int, overturned: int, alpha: float) -> int:
    """Return the fewest wrong exclusions not rejected by so many overturned ones."""
    low, high = overturned, excluded - (sampled - overturned)
    while low < high:
        middle = (low + high) // 2
        fewer = hypergeometric(*(np.array([value]) for value in (overturned - 1, excluded, middle, sampled)))[0]
        if overturned and 1 - fewer <= alpha:
            low = middle + 1
        else:
            high = middle
    return low
