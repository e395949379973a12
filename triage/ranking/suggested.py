"""What machines that screen, such as language models, add to a ranking: as much as people's labels bear out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

PATIENCE = 30  # records: when as many were judged and none is relevant, machines no longer order the rest
_LARGEST = 3.0  # of a machine's standardised opinions: no single one outweighs everything else
_SLOPE = 1.5  # log odds by standard deviation of the learned scores, presumed before labels say more
_PRESUMED_SPREAD = 0.5  # of what a machine's opinion adds to the log odds, before labels say more
_LEAST_SLOPE = 0.7
_HEAVIEST = 2.0  # a machine's weight, beside 1 for all that was learned from the texts
_MOST_ROUNDS = 50
_TOLERANCE = 1e-8


def opinions(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return what a machine says of each record on one scale, shape (n,): higher is more likely relevant.

    Parameters
    ----------
    columns : sequence of ndarray, shape (n,)
        Its labels as numbers and its scores, each NaN where it gave none.

    Returns
    -------
    ndarray
        The mean of the columns, each standardised, then standardised itself: 0 where the machine said nothing, and
        for every record where it says the same of all.
    """
    scaled = np.array([_standardised(column) for column in columns])
    known = ~np.isnan(scaled)
    total = np.where(known, scaled, 0.0).sum(axis=0)
    mean = np.divide(total, known.sum(axis=0), out=np.full(total.shape, np.nan), where=known.any(axis=0))
    clipped: np.ndarray = np.clip(np.nan_to_num(_standardised(mean)), -_LARGEST, _LARGEST)
    return clipped


def _standardised(values: np.ndarray) -> np.ndarray:
    known = values[~np.isnan(values)]
    if not len(known):
        return values
    # Scores may be of any size; the largest double has no square.
    values = values / (np.abs(known).max() or 1.0)
    known = values[~np.isnan(values)]
    spread = known.std()
    return (values - known.mean()) / spread if spread > 1e-12 else np.where(np.isnan(values), np.nan, 0.0)


def weights(learned: np.ndarray, given: np.ndarray, y: np.ndarray, presumed: float) -> np.ndarray:
    """Weigh machines by the labels that people gave.

    The log odds that a record is relevant are taken as a + s t + sum of u v, with t what was learned from the texts
    without the record's own label, and v what the machines say of it. Given t, it matters little that the records
    judged are those ranked first. The weight of a machine is u / s, with u one standard error below its likeliest
    value: a machine that tells no more than chance, or the reverse, gets none.

    Parameters
    ----------
    learned : ndarray, shape (n_labelled,)
        t, in standard deviations over all records.
    given : ndarray, shape (n_labelled, n_machines)
    y : ndarray of int, shape (n_labelled,)
        1 relevant, 0 not.
    presumed : float
        The weight of all machines together that is presumed before labels say more.

    Returns
    -------
    ndarray, shape (n_machines,)
        Each from 0 to `_HEAVIEST`, beside 1 for `learned`.
    """
    n_machines = given.shape[1]
    design = np.column_stack([np.ones(len(y)), learned, given]).astype(np.float64)
    middle = np.array([-1.0, _SLOPE, *[presumed * _SLOPE / n_machines] * n_machines])
    precision = np.array([0.01, 1.0, *[1 / _PRESUMED_SPREAD**2] * n_machines])
    found = middle
    for _ in range(_MOST_ROUNDS):
        odds = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        curvature = (design * (odds * (1 - odds))[:, None]).T @ design + np.diag(precision)
        step = np.linalg.solve(curvature, design.T @ (y - odds) - precision * (found - middle))
        found = found + step * min(1.0, 2 / max(np.abs(step).max(), _TOLERANCE))
        if np.abs(step).max() < _TOLERANCE:
            break
    spread = np.sqrt(np.diag(np.linalg.inv(curvature))[2:])
    worth: np.ndarray = np.clip((found[2:] - spread) / max(found[1], _LEAST_SLOPE), 0.0, _HEAVIEST)
    return worth


def matrix_of(suggested: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Return the opinions of several machines side by side, shape (n, n_machines); None without any."""
    return np.column_stack(list(suggested.values())) if suggested else None
