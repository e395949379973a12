"""The work left: what a certificate will cost from here, told before it is paid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..decisions import Estimate, History, Origin
from .evidence import SLACK, AuditE, is_certified
from .rules import Policy, draws_needed


@dataclass(frozen=True, slots=True)
class Workload:
    """Records still to be screened until the certificate: quantiles over simulated continuations.

    `zero_hit` is what it takes when no further relevant record turns up: those that await a label, the
    ranked ones up to the plateau, and the audit draws after it.
    """

    p10: int
    p50: int
    p90: int
    zero_hit: int


_PRIOR_DRAWS = 20.0  # how many audit draws the estimate is worth in the forecast
_CONTINUATIONS = 200


def forecast(
    history: History, target: float, confidence: float, rng: np.random.Generator, *, estimate: Estimate | None = None,
    parameters: AuditE = AuditE(), policy: Policy = Policy(),
) -> Workload:
    """Forecast the records to the certificate by simulating the rest of the review.

    The share of relevant records among the unscreened is drawn from a beta whose mean starts at the
    estimate and moves with the audit draws; the policy is then carried on: the plateau, audit draws
    until one hits, half a plateau, and so on. Ranked records are taken to be no better than random
    there, and the evidence after a hit is that of the bet c = 0, so the forecast errs on the dear side.

    Parameters
    ----------
    history : History
    target, confidence : float
    rng : Generator
    estimate : Estimate, optional
        What is thought to be missed; one record when left out.
    parameters : AuditE
    policy : Policy
    """
    left, found = history.n_unscreened, history.n_found
    if not left or is_certified(history, target, confidence, parameters):
        return Workload(0, 0, 0, 0)
    shown = history.sequence()
    audit = shown.origin == Origin.AUDIT
    hits_so_far, misses = (int((audit & (shown.y == label)).sum()) for label in (1, 0))
    settled = _carried_on(history, int((history.y < 0).sum()), 0)
    auditing = policy.next_origin(settled) is Origin.AUDIT
    ahead = 0 if auditing else min(left, max(0, policy.wanted(settled) - policy.run(settled)))
    zero_hit = _zero_hit(history, ahead, target, confidence, parameters)
    thought = 1.0 if estimate is None else max(estimate.relevant_total - found, 0.5)
    mean = min(0.5, thought / left)
    share = rng.beta(hits_so_far + _PRIOR_DRAWS * mean, misses + _PRIOR_DRAWS * (1 - mean), _CONTINUATIONS)
    missed = rng.binomial(left, share).astype(float)
    log_level = math.log1p(-confidence) + math.log1p(-parameters.decay) + math.log(
        sum(v for c, v in zip(parameters.bets, parameters.weights, strict=True) if c == min(parameters.bets))
    )
    # All continuations go on side by side, hit by hit.
    remaining, known = np.full(_CONTINUATIONS, float(left)), np.full(_CONTINUATIONS, float(found))
    epoch, spent = np.full(_CONTINUATIONS, float(hits_so_far)), np.zeros(_CONTINUATIONS)
    going = np.ones(_CONTINUATIONS, bool)
    ranked = np.full(_CONTINUATIONS, float(ahead))
    need = np.full(_CONTINUATIONS, float(zero_hit)) if auditing else None  # misses so far count for the first
    while going.any():
        ranked = np.minimum(ranked, remaining)
        seen = rng.hypergeometric(missed.astype(int), (remaining - missed).astype(int), ranked.astype(int))
        remaining, known, missed = remaining - ranked, known + seen, missed - seen
        spent = np.where(going, spent + ranked, spent)
        if need is None:
            need = _to_go(remaining, known, log_level + epoch * math.log(parameters.decay), target)
        # The first of M relevant records in a random order of m: drawn by inversion, as a beta share.
        gap = np.where(missed > 0, np.ceil(rng.beta(1, np.maximum(missed, 1)) * remaining), np.inf)
        done = need < gap  # the draw that hits is not one of the misses needed
        spent = np.where(going, spent + np.where(done, need, gap), spent)
        going &= ~done
        hit = ~done
        remaining = np.where(hit, np.maximum(remaining - gap, 0), remaining)
        known, missed, epoch = known + hit, missed - hit, epoch + hit
        missed = np.clip(missed, 0, remaining)
        ranked, need = np.full(_CONTINUATIONS, float(-(-policy.plateau(history.n_total) // 2))), None
        going &= remaining > 0
    p10, p50, p90 = np.quantile(np.minimum(spent, left), [0.1, 0.5, 0.9])
    return Workload(math.ceil(p10), math.ceil(p50), math.ceil(p90), int(min(zero_hit, left)))


def _zero_hit(history: History, ahead: int, target: float, confidence: float, parameters: AuditE) -> int:
    """Return the records to the certificate when none is relevant, by bisection; all while nothing is found."""
    low, high = 0, history.n_unscreened
    if not history.n_found:
        return high
    while low < high:
        middle = (low + high) // 2
        if is_certified(_carried_on(history, middle, ahead), target, confidence, parameters):
            high = middle
        else:
            low = middle + 1
    return low


def _carried_on(history: History, more: int, ahead: int) -> History:
    """Return a history after so many more records, none relevant, without their rows.

    First those that await a label, then `ahead` ranked ones, then audit draws. Which stratum a ranked
    record will come from nobody knows; they are taken evenly.
    """
    y = history.y.copy()
    waiting = np.flatnonzero(y < 0)[:more]
    y[waiting] = 0
    strata = np.arange(len(history.n_records))
    left = history.n_records - np.bincount(history.stratum, minlength=len(strata))
    more -= len(waiting)
    ranked = _evenly(left, np.zeros_like(left))[: min(more, ahead)]
    left = left - np.bincount(ranked, minlength=len(strata))
    shown = history.sequence()
    drawn = np.bincount(shown.stratum[shown.origin == Origin.AUDIT], minlength=len(strata))
    stratum = np.concatenate([ranked, _evenly(left, drawn)[: more - len(ranked)]])
    # The n-th of a stratum finds n fewer records left than the first does.
    earlier = np.zeros(len(stratum), np.int64)
    for s in strata:
        mine = stratum == s
        earlier[mine] = np.arange(mine.sum())
    before = history.n_records - np.bincount(history.stratum, minlength=len(strata))
    origin = np.full(len(stratum), str(Origin.AUDIT), "<U8")
    origin[: len(ranked)] = str(Origin.RANKED)
    return History(
        np.concatenate([history.rows, np.full(len(stratum), -1)]), np.concatenate([y, np.zeros(len(stratum), np.int8)]),
        np.concatenate([history.origin, origin]), np.concatenate([history.pool_size, before[stratum] - earlier]),
        np.concatenate([history.stratum, stratum]), history.n_records, history.past,
    )


def _evenly(left: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return the stratum of every draw to come, as `next_stratum` takes them one by one."""
    stratum = np.repeat(np.arange(len(left)), left)
    nth = np.arange(len(stratum)) - np.repeat(np.cumsum(left) - left, left)
    share = (drawn[stratum] + nth) / (drawn + left)[stratum]
    return stratum[np.lexsort((stratum, nth - left[stratum], share))]


def _to_go(left: np.ndarray, found: np.ndarray, log_alpha: np.ndarray, target: float) -> np.ndarray:
    """Return the draws without a hit to the certificate; all that is left while nothing is found."""
    missed = np.floor(found / target + SLACK) - found + 1
    need = np.minimum(_draws(left, np.minimum(missed, left), log_alpha), left)
    return np.where(found == 0, left, np.where(missed > left, 0, need))


def _draws(left: np.ndarray, missed: np.ndarray, log_alpha: np.ndarray) -> np.ndarray:
    """Return the smallest s with log C(left - missed, s) - log C(left, s) <= log_alpha, for arrays."""
    from scipy.special import gammaln

    low, high = np.zeros(left.shape), np.maximum(left - missed + 1, 0)
    while (low < high).any():
        s = np.floor((low + high) / 2)
        inside = np.minimum(s, np.maximum(left - missed, 0))
        log_p = (gammaln(left - missed + 1) - gammaln(left - missed - inside + 1)
                 - gammaln(left + 1) + gammaln(left - inside + 1))
        enough = (log_p <= log_alpha + SLACK) | (s > left - missed)
        low, high = np.where(enough, low, np.minimum(s + 1, high)), np.where(enough, s, high)
    return high


def price_of_certainty(
    found: int, unscreened: int, confidence: float = 0.95, targets: Sequence[float] = (0.8, 0.9, 0.95, 0.99),
) -> dict[float, int]:
    """Return, for each target, the audit draws without a hit that an exact test needs.

    It is the least that any assumption-free certificate can cost with so many found.
    """
    return {t: min(unscreened, draws_needed(found, unscreened, t, confidence)) for t in targets}
