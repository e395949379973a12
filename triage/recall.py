"""Recall: the certificate, estimates, stopping rules and the forecast of the work left.

All of it sees a `History` alone (and scores handed in): neither features nor rankings. Every claim
carries its promise:

certificate   holds at its confidence whatever the ranking does
conditional   holds if the ranking is no worse than random
estimate      a model's best guess, no guarantee
heuristic     a rule of thumb
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .decisions import Estimate, History, Origin, Verdict

_WORTHLESS = -1e30  # a log so low that its number is zero
_SLACK = 1e-9  # 0.95 * 20 is 19.000000000000004


def least_missed(found: int, target: float) -> int:
    """Return the fewest missed relevant records that break a recall target, given those found."""
    return math.floor(found / target + _SLACK) - found + 1


# -- the certificate --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AuditE:
    """Weights of the audit's evidence: logged before the first decision, never changed in a review.

    The evidence against "R0 records are relevant" after audit draws s = 1, 2, ... is

        E(R0) = sum_k w_k sum_c v_c prod_{s in epochs >= k} (hit: c; miss: (1 - c p_s) / (1 - p_s))

    with p_s = (R0 - relevant found before s) / (records left before s), epoch k beginning after the
    k-th hit and w_k = (1 - decay) decay^k. A draw is uniform on the records left whatever the model
    did before, so at the true R0 each product has expectation one and E is a test martingale: by
    Ville's inequality it ever reaches 1 / alpha with probability alpha at most, in the finite
    population, at any number of looks (Ville 1939; Waudby-Smith & Ramdas 2020, arXiv 2006.04347).

    Attributes
    ----------
    bets : tuple of float
        The values of c, each in [0, 1).
    weights : tuple of float
        v, the weight of each bet; they sum to 1.
    decay : float
    """

    bets: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5)
    weights: tuple[float, ...] = (0.7, 0.1, 0.1, 0.1)
    decay: float = 0.2

    def parameters(self) -> dict[str, object]:
        """Return the weights, fit for the log."""
        return {"bets": list(self.bets), "weights": list(self.weights), "decay": self.decay}

    @classmethod
    def logged(cls, note: Mapping[str, object]) -> AuditE:
        """Return the weights that `parameters` put in the log."""
        return cls(tuple(note["bets"]), tuple(note["weights"]), note["decay"])


@dataclass(frozen=True, slots=True)
class Draws:
    """The audit draws of one stratum, in their order, up to the first without a label.

    Attributes
    ----------
    left : ndarray of int, shape (n_draws,)
        Records of the stratum not shown before the draw.
    gone : ndarray of int, shape (n_draws,)
        Records of the stratum shown before the draw that are relevant or not judged yet.
    hit : ndarray of bool, shape (n_draws,)
    """

    left: np.ndarray
    gone: np.ndarray
    hit: np.ndarray


def audit_draws(history: History, stratum: int = 0) -> Draws:
    """Collect one stratum's audit draws as evidence.

    A record shown before a draw and not judged yet is no longer in the pool, and may be relevant. It
    counts as relevant here: that makes p_s, and so every factor, smaller than the truth would, and
    the evidence stays a supermartingale. A draw without a label ends the evidence, since what comes
    after it was drawn in its knowledge.
    """
    mine = history.stratum == stratum
    y, audit = history.y[mine], history.origin[mine] == Origin.AUDIT
    before = np.concatenate([[0], np.cumsum(y != 0)[:-1]]) if len(y) else np.zeros(0, np.int64)
    at = np.flatnonzero(audit)
    unlabelled = np.flatnonzero(y[at] < 0)
    if len(unlabelled):
        at = at[: unlabelled[0]]
    return Draws(history.pool_size[mine][at].astype(np.float64), before[at].astype(np.float64), y[at] == 1)


def log_evidence(draws: Draws, total: np.ndarray | float, parameters: AuditE = AuditE()) -> np.ndarray:
    """Return log E(R0) for each candidate number of relevant records, shape as `total`.

    It grows with R0: a miss speaks more against many relevant records than against few.
    """
    totals = np.atleast_1d(np.asarray(total, np.float64))
    if not len(draws.hit):
        return np.zeros(np.shape(total))
    p = np.clip((totals[:, None] - draws.gone) / draws.left, 0.0, 1.0)
    epoch = np.concatenate([[0], np.cumsum(draws.hit)[:-1]])
    first_of_epoch = np.searchsorted(epoch, np.arange(int(draws.hit.sum()) + 1))
    terms = []
    with np.errstate(divide="ignore"):
        for bet, weight in zip(parameters.bets, parameters.weights, strict=True):
            # A hit makes the bet c = 0 worthless. A finite log for it, since a miss that R0 made impossible
            # is +inf: R0 is refuted then, and -inf + inf would be no number.
            lost = math.log(bet) if bet else _WORTHLESS
            factors = np.where(draws.hit, lost, np.log1p(-bet * p) - np.log1p(-p))
            tails = np.zeros((len(totals), len(draws.hit) + 1))
            tails[:, :-1] = np.cumsum(factors[:, ::-1], axis=1)[:, ::-1]
            for k, first in enumerate(first_of_epoch):
                terms.append(math.log(weight * (1 - parameters.decay) * parameters.decay**k) + tails[:, first])
        stacked = np.stack(terms)
        top = stacked.max(axis=0)
        safe = np.where(np.isfinite(top), top, 0.0)
        log_e = np.where(np.isfinite(top), safe + np.log(np.exp(stacked - safe).sum(axis=0)), top)
    return log_e.reshape(np.shape(total))


@lru_cache(maxsize=256)
def _most_not_rejected(left: bytes, gone: bytes, hit: bytes, limit: int, log_level: float, parameters: AuditE) -> int:
    """Return the largest R0 up to `limit` with log E(R0) below the level (bisection; -1: none)."""
    draws = Draws(np.frombuffer(left), np.frombuffer(gone), np.frombuffer(hit, bool))
    low, high = -1, limit  # `low` is not rejected or -1; everything above `high` is out of reach
    while low < high:
        middle = (low + high + 1) // 2
        if log_evidence(draws, float(middle), parameters) < log_level:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the audit guarantees, at every look at once.

    Attributes
    ----------
    recall_lower : float or None
        At least this share of the relevant records is found; None while none is found.
    missed_upper : int
        At most so many relevant records are not found.
    relevant_upper : int
        At most so many records are relevant in all.
    audit_draws : int
        Draws made.
    certified : bool
        Whether the target is reached.
    """

    recall_lower: float | None
    missed_upper: int
    relevant_upper: int
    audit_draws: int
    certified: bool
    method: str = "audit-e"


def certificate(
    history: History, target: float = 0.95, confidence: float = 0.95, parameters: AuditE = AuditE(),
) -> Certificate:
    """Bound recall from below by the audit draws.

    With several strata (records added later have a permutation of their own) the product of their
    evidence is a test martingale at the true allocation; a total is rejected when every allocation
    of it is. The bound is the largest total that is not.

    Parameters
    ----------
    history : History
    target, confidence : float
    parameters : AuditE
        As logged with the permutation.
    """
    log_level = -math.log1p(-confidence)
    found = history.n_found
    strata = [_Stratum.of(history, s) for s in range(len(history.n_records))]
    audited = [s for s in strata if len(s.draws.hit)]
    unaudited = sum(s.most for s in strata if not len(s.draws.hit))
    if len(audited) <= 1:
        upper = unaudited + sum(_upper(s, log_level, parameters) for s in audited)
    else:
        upper = unaudited + _upper_of_sum(audited, log_level, parameters)
    upper = max(upper, found)
    lower = found / upper if found else None
    return Certificate(
        recall_lower=lower, missed_upper=upper - found, relevant_upper=upper,
        audit_draws=int((history.origin == Origin.AUDIT).sum()),
        certified=lower is not None and lower >= target - _SLACK,
    )


@dataclass(frozen=True, slots=True)
class _Stratum:
    draws: Draws
    found: int
    most: int  # relevant records at the very most: found, and all that are not judged

    @classmethod
    def of(cls, history: History, stratum: int) -> _Stratum:
        y = history.y[history.stratum == stratum]
        found = int((y == 1).sum())
        return cls(audit_draws(history, stratum), found, int(history.n_records[stratum]) - int((y == 0).sum()))


def _upper(s: _Stratum, log_level: float, parameters: AuditE) -> int:
    found = _most_not_rejected(
        s.draws.left.tobytes(), s.draws.gone.tobytes(), s.draws.hit.tobytes(), s.most, log_level, parameters,
    )
    return max(found, s.found)


_BLOCKS = 400


def _upper_of_sum(strata: Sequence[_Stratum], log_level: float, parameters: AuditE) -> int:
    """Return the largest sum of totals whose evidence, added up over strata, is below the level.

    Totals are taken in blocks: the evidence at a block's lowest total stands for all of it, and its
    highest is what counts, so the bound can only be too cautious, by a block at most.
    """
    evidence, totals = np.zeros(1), np.zeros(1, np.int64)
    for s in strata:
        edges = np.unique(np.linspace(s.found, s.most + 1, min(_BLOCKS, s.most - s.found + 1) + 1).astype(np.int64))
        step = log_evidence(s.draws, edges[:-1].astype(float), parameters)
        evidence = np.add.outer(evidence, step).ravel()
        totals = np.add.outer(totals, edges[1:] - 1).ravel()
        # Only a higher total for more evidence is of use: sort, then keep the record highs, thinned
        # by giving each kept point the highest total of the points that it stands for.
        order = np.argsort(evidence, kind="stable")
        evidence, totals = evidence[order], np.maximum.accumulate(totals[order])
        starts = np.unique(np.linspace(0, len(evidence), min(_BLOCKS, len(evidence)) + 1).astype(np.int64))
        evidence, totals = evidence[starts[:-1]], totals[starts[1:] - 1]
    allowed = evidence < log_level
    return int(totals[allowed].max()) if allowed.any() else sum(s.found for s in strata)


# -- the policy -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Policy:
    """When to audit: after a plateau of the ranking, until an audit draw hits.

    It moves the cost of a certificate and never its validity.

    Attributes
    ----------
    least, share : int, float
        The first plateau is max(least, share of all records) irrelevant ranked records in a row;
        after an audit hit half of it.
    fixed : FixedAuditRule or None
        The audit is one sample of the rule's size, and no more.
    """

    least: int = 50
    share: float = 0.05
    fixed: FixedAuditRule | None = None

    def plateau(self, n_total: int) -> int:
        """Return the length of the first plateau."""
        return max(self.least, math.ceil(self.share * n_total))

    def next_origin(self, history: History) -> Origin:
        """Tell whether the next record is the best ranked or an audit draw."""
        audit, relevant = history.origin == Origin.AUDIT, history.y == 1
        audited = int(audit.sum())
        if self.fixed is not None and audited:
            return Origin.AUDIT if audited < self.fixed.planned(history) else Origin.RANKED
        last = np.flatnonzero(relevant)
        since = int(last[-1]) + 1 if len(last) else 0
        if audit[since:].any():
            return Origin.AUDIT
        wanted = self.plateau(history.n_total)
        if audited:
            wanted = -(-wanted // 2)
        return Origin.AUDIT if self.run(history) >= wanted else Origin.RANKED

    def run(self, history: History) -> int:
        """Return how many ranked records in a row were irrelevant, to the last one."""
        last = np.flatnonzero(history.y == 1)
        since = int(last[-1]) + 1 if len(last) else 0
        return int(((history.origin[since:] == Origin.RANKED) & (history.y[since:] == 0)).sum())


# -- stopping rules ---------------------------------------------------------------------------


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _floor_percent(bound: float) -> str:
    """A lower bound is cut, never rounded up."""
    return f"{math.floor(1000 * bound + _SLACK) / 10:g} %"


def _exhausted(name: str, promise: str, history: History, certified: bool) -> Verdict | None:
    if history.n_unscreened:
        return None
    return Verdict(name, True, certified and history.n_found > 0, promise, "Every record is screened.")


@dataclass(frozen=True, slots=True)
class AuditRule:
    """audit-e: stop when the certificate's bound reaches the target."""

    target: float
    confidence: float
    parameters: AuditE = AuditE()

    def __call__(self, history: History) -> Verdict:
        c = certificate(history, self.target, self.confidence, self.parameters)
        done = _exhausted("audit-e", "certificate", history, True)
        if done is not None:
            return done
        if c.recall_lower is None:
            why = f"Nothing relevant is found yet; at most {c.relevant_upper} records are relevant."
        else:
            why = (f"At least {_floor_percent(c.recall_lower)} of the relevant records are found, "
                   f"at most {c.missed_upper} missed; the target is {_percent(self.target)}.")
        return Verdict("audit-e", c.certified, c.certified, "certificate", why)


@dataclass(frozen=True, slots=True)
class FixedAuditRule:
    """fixed-audit: the exact hypergeometric elusion test, its size set before its first draw, one look.

    Without a size it is the number of draws that would certify if none hits, from what is found when
    the audit begins: a function of the past alone.
    """

    target: float
    confidence: float
    size: int | None = None

    def __call__(self, history: History) -> Verdict:
        done = _exhausted("fixed-audit", "certificate", history, True)
        if done is not None:
            return done
        size = self.planned(history)
        if size is None:
            return self._not_yet("The audit has not begun; it does after a plateau of the ranking.")
        at = np.flatnonzero(history.origin == Origin.AUDIT)
        left, found = self._beginning(history)
        sample = history.y[at[:size]]
        if len(sample) < size or (sample < 0).any():
            return self._not_yet(f"{int((sample >= 0).sum())} of {size} audit draws are judged; there is one look, at the end.")
        hits = int((sample == 1).sum())
        missed = min(elusion_upper(left, size, hits, 1 - self.confidence) - hits, history.n_unscreened)
        lower = (found + hits) / (found + hits + missed) if found + hits else None
        passed = lower is not None and lower >= self.target - _SLACK
        told = "nothing relevant is found" if lower is None else f"recall is at least {_floor_percent(lower)}"
        return Verdict("fixed-audit", passed, passed, "certificate",
                       f"The one look: {hits} hits in {size} draws from {left}, so {told}; the test is spent.")

    def planned(self, history: History) -> int | None:
        """Return the size of the audit; None before its first draw."""
        beginning = self._beginning(history)
        if beginning is None:
            return None
        left, found = beginning
        return min(left, self.size or max(1, draws_needed(found, left, self.target, self.confidence)))

    @staticmethod
    def _beginning(history: History) -> tuple[int, int] | None:
        """Return the records left and those found when the audit began."""
        at = np.flatnonzero(history.origin == Origin.AUDIT)
        if not len(at):
            return None
        return int(history.pool_size[at[0]]), int((history.y[: at[0]] == 1).sum())

    @staticmethod
    def _not_yet(why: str) -> Verdict:
        return Verdict("fixed-audit", False, False, "certificate", why)


def draws_needed(found: int, left: int, target: float, confidence: float) -> int:
    """Return the draws without a hit that reject a broken target: the exact hypergeometric test.

    The smallest s with C(m - M0, s) / C(m, s) <= alpha, M0 the fewest missed that break the target.
    """
    missed = least_missed(found, target)
    if missed > left:
        return 0
    return _draws(float(left), float(missed), math.log1p(-confidence))


def _draws(left, missed, log_alpha):
    """Smallest s with log C(left - missed, s) - log C(left, s) <= log_alpha; arrays are allowed."""
    from scipy.special import gammaln

    left, missed, log_alpha = np.broadcast_arrays(*(np.asarray(v, float) for v in (left, missed, log_alpha)))
    low, high = np.zeros(left.shape), np.maximum(left - missed + 1, 0)
    while (low < high).any():
        s = np.floor((low + high) / 2)
        inside = np.minimum(s, np.maximum(left - missed, 0))
        log_p = (gammaln(left - missed + 1) - gammaln(left - missed - inside + 1)
                 - gammaln(left + 1) + gammaln(left - inside + 1))
        enough = (log_p <= log_alpha + _SLACK) | (s > left - missed)
        low, high = np.where(enough, low, np.minimum(s + 1, high)), np.where(enough, s, high)
    return int(high) if high.ndim == 0 else high


def elusion_upper(left: int, drawn: int, hits: int, alpha: float) -> int:
    """Return the most relevant records among `left` not rejected by `hits` in `drawn` uniform draws."""
    from scipy.stats import hypergeom

    low, high = hits, left - (drawn - hits)
    while low < high:
        middle = (low + high + 1) // 2
        if hypergeom.cdf(hits, left, middle, drawn) > alpha:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(frozen=True, slots=True)
class CmhRule:
    """cmh: Callaghan & Mueller-Hansen 2020 (10.1186/s13643-020-01521-4), not corrected for repeated looks.

    For every i the last i records screened are taken as a random sample of themselves and all
    unscreened ones; the smallest p-value of "the target is missed" is reported.
    """

    target: float
    confidence: float

    def __call__(self, history: History) -> Verdict:
        done = _exhausted("cmh", "conditional", history, False)
        if done is not None:
            return done
        if not history.n_found:
            return Verdict("cmh", False, False, "conditional", "Nothing relevant is found yet.")
        p = self.p_value(history)
        return Verdict("cmh", bool(p < 1 - self.confidence), False, "conditional",
                       f"p = {p:.3g} that recall is below {_percent(self.target)}, if the ranking is no worse than "
                       "random; not corrected for repeated looks.")

    def p_value(self, history: History) -> float:
        """Return the smallest p-value over all i; 0 where the target is met by arithmetic."""
        from scipy.stats import hypergeom

        y = history.y[history.judged]
        n, found, total = len(y), int(y.sum()), history.n_total
        if least_missed(found, self.target) > total - n:
            return 0.0
        # With the number of hits in the sample fixed, a longer sample gives a smaller p: only the
        # samples that end just short of the next hit matter, one for each relevant record.
        ends = n - 1 - np.flatnonzero(y)[::-1]
        sample = np.append(ends, n)
        hits = np.arange(len(sample))
        relevant = np.floor(found / self.target + 1 - (found - hits) + _SLACK).astype(np.int64)
        urn = total - (n - sample)
        use = sample > 0
        p = hypergeom.cdf(hits[use], urn[use], np.minimum(relevant[use], urn[use]), sample[use])
        return float(p.min()) if len(p) else 1.0


@dataclass(frozen=True, slots=True)
class QuantRule:
    """quant: Yang, Lewis & Frieder 2021 (arXiv 2106.09871), recall from calibrated probabilities."""

    target: float
    confidence: float

    def __call__(self, history: History, scores: np.ndarray | None = None, held_out: np.ndarray | None = None) -> Verdict:
        done = _exhausted("quant", "estimate", history, False)
        if done is not None:
            return done
        estimate = None if scores is None else estimate_from_scores(history, scores, held_out, self.confidence)
        if estimate is None or estimate.lower is None:
            return Verdict("quant", False, False, "estimate", "There is no model estimate yet: both labels are needed.")
        return Verdict("quant", estimate.lower >= self.target - _SLACK, False, "estimate",
                       f"The model puts recall at {_percent(round(estimate.recall, 3))}, at least "
                       f"{_percent(round(estimate.lower, 3))}.", estimate)


@dataclass(frozen=True, slots=True)
class IpPRule:
    """ip-p: a power-law point process fitted to the discovery curve (10.1145/3631990)."""

    target: float
    confidence: float

    def __call__(self, history: History) -> Verdict:
        done = _exhausted("ip-p", "estimate", history, False)
        if done is not None:
            return done
        estimate = estimate_from_curve(history, self.confidence)
        if estimate is None:
            return Verdict("ip-p", False, False, "estimate", "Too few relevant records are found to fit the curve.")
        return Verdict("ip-p", estimate.lower >= self.target - _SLACK, False, "estimate",
                       f"The discovery curve puts recall at {_percent(round(estimate.recall, 3))}, at least "
                       f"{_percent(round(estimate.lower, 3))}.", estimate)


@dataclass(frozen=True, slots=True)
class KneeRule:
    """knee: the gain curve bends (Cormack & Grossman 2016): slope ratio 156 - min(found, 150)."""

    target: float
    confidence: float
    least: int = 1000

    def __call__(self, history: History) -> Verdict:
        done = _exhausted("knee", "heuristic", history, False)
        if done is not None:
            return done
        y = history.y[history.judged]
        n, found = len(y), int(y.sum())
        if n < self.least or not found:
            return Verdict("knee", False, False, "heuristic", f"It looks from {self.least} screened records on.")
        gain = np.cumsum(y)
        i = np.arange(1, n + 1)
        knee = int(np.argmax(gain / found - i / n))
        if knee + 1 >= n:
            return Verdict("knee", False, False, "heuristic", "The curve has not bent yet.")
        ratio = (gain[knee] / (knee + 1)) / ((1 + found - gain[knee]) / (n - knee - 1))
        bound = 156 - min(found, 150)
        return Verdict("knee", bool(ratio >= bound), False, "heuristic",
                       f"The curve is {ratio:.1f} times flatter after its bend; the rule asks for {bound}.")


@dataclass(frozen=True, slots=True)
class ConsecutiveRule:
    """consecutive: so many irrelevant ranked records in a row."""

    target: float
    confidence: float
    length: int = 50

    def __call__(self, history: History) -> Verdict:
        done = _exhausted("consecutive", "heuristic", history, False)
        if done is not None:
            return done
        run = Policy().run(history)
        return Verdict("consecutive", bool(history.n_found) and run >= self.length, False, "heuristic",
                       f"{run} irrelevant records in a row; the rule asks for {self.length}.")


RULES: Mapping[str, Callable[[float, float], object]] = {
    "audit-e": AuditRule, "fixed-audit": FixedAuditRule, "cmh": CmhRule, "quant": QuantRule, "ip-p": IpPRule,
    "knee": KneeRule, "consecutive": ConsecutiveRule,
}
AUDITED = ("audit-e", "fixed-audit")


def rule_of(name: str, target: float, confidence: float, *, audit_size: int | None = None, parameters: AuditE = AuditE()):
    """Return the rule of that name, one of `RULES`, with what only some rules take."""
    if name == "audit-e":
        return AuditRule(target, confidence, parameters)
    if name == "fixed-audit":
        return FixedAuditRule(target, confidence, audit_size)
    return RULES[name](target, confidence)


def policy_of(name: str, target: float, confidence: float, *, audit_size: int | None = None) -> Policy | None:
    """Return when a rule wants audit draws; None for a rule that wants none."""
    if name not in AUDITED:
        return None
    return Policy(fixed=FixedAuditRule(target, confidence, audit_size) if name == "fixed-audit" else None)


# -- estimates --------------------------------------------------------------------------------


def _estimate(history: History, missed: float, variance: float, confidence: float, method: str, assumes: str) -> Estimate:
    """Turn a mean and the variance of the mean into an estimate with an interval.

    The number missed is Poisson about an uncertain mean: a negative binomial, whose quantiles are
    whole records and never negative.
    """
    from scipy.stats import nbinom, poisson

    found, most = history.n_found, history.n_unscreened
    missed = float(np.clip(missed, 0, most))
    tail = (1 - confidence) / 2
    if missed <= 0:
        low, high = 0.0, 0.0
    elif variance <= 1e-9 * missed * missed:
        low, high = poisson.ppf([tail, 1 - tail], missed)
    else:
        shape = missed * missed / variance
        low, high = nbinom.ppf([tail, 1 - tail], shape, shape / (shape + missed))
    # However sure the model is, one more cannot be ruled out while records are unscreened.
    high = float(np.clip(max(high, missed), min(1, most), most))
    low = float(min(low, missed))
    return Estimate(
        method=method, recall=found / (found + missed), lower=found / (found + high), upper=found / (found + low),
        relevant_total=found + missed, confidence=confidence, assumes=assumes,
    )


def estimate_from_scores(
    history: History, scores: np.ndarray, held_out: np.ndarray | None, confidence: float = 0.95,
) -> Estimate | None:
    """Estimate the number of relevant records by calibrated probabilities; no guarantee.

    A logistic curve maps scores to probabilities (Platt 1999). It is fitted on the scores that judged
    records got from models that had not seen their label, and then shifted so that the audit draws,
    the only uniform look at what is left, get as many hits as they had.

    Parameters
    ----------
    history : History
    scores : ndarray of float, shape (n_records,)
        The newest score of every record of the stage.
    held_out : ndarray of float, shape (n_records,)
        NaN where there is none.
    confidence : float

    Returns
    -------
    Estimate or None
        None while there is nothing to calibrate on: nothing found, or one label only.
    """
    judged = history.judged
    rows, y = history.rows[judged], history.y[judged].astype(float)
    if held_out is None:
        return None
    known = np.isfinite(held_out[rows])
    s, t = held_out[rows][known], y[known]
    if not 0 < t.sum() < len(t):
        return None
    centre, spread = s.mean(), s.std() or 1.0
    design = np.column_stack([np.ones(len(s)), (s - centre) / spread])
    # Platt's targets keep a perfectly separated sample from an infinite slope.
    n1, n0 = t.sum(), len(t) - t.sum()
    target = np.where(t == 1, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))
    beta, covariance = _logistic(design, target)
    is_audit = (history.origin[judged] == Origin.AUDIT)[known]
    if is_audit.any():
        beta = beta + [_audit_shift(design[is_audit] @ beta, t[is_audit]), 0.0]
    open_rows = np.ones(len(scores), bool)
    open_rows[rows] = False
    tail = np.column_stack([np.ones(open_rows.sum()), (scores[open_rows] - centre) / spread])
    p = 1 / (1 + np.exp(-np.clip(tail @ beta, -40, 40)))
    slope = tail.T @ (p * (1 - p))
    return _estimate(
        history, float(p.sum()), float(slope @ covariance @ slope), confidence, "calibrated scores",
        "that a record's score tells its chance of being relevant as well in the part not screened as in the part "
        "screened; a cluster that the model does not know is not counted",
    )


def _logistic(design: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit a logistic regression by Newton's method; return coefficients and their covariance."""
    beta = np.zeros(design.shape[1])
    ridge = 1e-3 * np.eye(len(beta))
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -40, 40)))
        hessian = (design * (p * (1 - p))[:, None]).T @ design + ridge
        step = np.linalg.solve(hessian, design.T @ (target - p) - ridge @ beta)
        beta = beta + np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-8:
            break
    return beta, np.linalg.inv(hessian)


def _audit_shift(logits: np.ndarray, y: np.ndarray) -> float:
    """Return the shift of the logits that makes the audit likeliest, with a unit normal prior."""
    shift = 0.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(logits + shift, -40, 40)))
        step = ((y - p).sum() - shift) / ((p * (1 - p)).sum() + 1)
        shift += float(np.clip(step, -2, 2))
        if abs(step) < 1e-8:
            break
    return shift


_LEAST_FOUND = 5   # relevant records that a curve is fitted to, at least
_WINDOWS = 50


def estimate_from_curve(history: History, confidence: float = 0.95) -> Estimate | None:
    """Estimate what is missed by a power law, rate(x) = a x^k, fitted to the discovery curve.

    Windows of the screening order are Poisson counts whose rate falls with the position (Sneyd &
    Stevenson's inhomogeneous Poisson process, IP-P); its tail gives what is left.

    Returns
    -------
    Estimate or None
        None while fewer than five relevant records are found, or the curve does not fall.
    """
    y = history.y[history.judged]
    n, found, total = len(y), int(y.sum()), history.n_total
    if found < _LEAST_FOUND or n < 2 * _LEAST_FOUND:
        return None
    edges = np.unique(np.linspace(0, n, min(_WINDOWS, n) + 1).astype(np.int64))
    counts = np.add.reduceat(y.astype(float), edges[:-1])
    width = np.diff(edges)
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
    if beta[1] >= 0:
        return None
    tail = np.arange(n, total) + 0.5
    rates = np.exp(beta[0] + beta[1] * (np.log(tail) - centre))
    gradient = np.array([rates.sum(), (rates * (np.log(tail) - centre)).sum()])
    return _estimate(
        history, float(rates.sum()), float(gradient @ np.linalg.inv(hessian) @ gradient), confidence, "discovery curve",
        "that relevant records go on becoming rarer along the screening order as smoothly as they did so far",
    )


# -- the work left ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Workload:
    """Records still to be screened until the certificate: quantiles over simulated continuations.

    `zero_hit` is what it takes when no further relevant record turns up.
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
    there, and the evidence is that of the bet c = 0, so the forecast errs on the dear side.

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
    if certificate(history, target, confidence, parameters).certified or not left:
        return Workload(0, 0, 0, 0)
    log_alpha = math.log1p(-confidence) + math.log(parameters.weights[0] * (1 - parameters.decay))
    hits_so_far = int(((history.origin == Origin.AUDIT) & (history.y == 1)).sum())
    misses = int(((history.origin == Origin.AUDIT) & (history.y == 0)).sum())
    auditing = policy.next_origin(history) is Origin.AUDIT
    plateau = policy.plateau(history.n_total)
    ahead = 0 if auditing else min(left, max(0, plateau - policy.run(history)))
    thought = 1.0 if estimate is None else max(estimate.relevant_total - found, 0.5)
    mean = min(0.5, thought / left)
    share = rng.beta(hits_so_far + _PRIOR_DRAWS * mean, misses + _PRIOR_DRAWS * (1 - mean), _CONTINUATIONS)
    missed = rng.binomial(left, share).astype(float)
    zero_hit = ahead + _to_go(left - ahead, found, log_alpha + hits_so_far * math.log(parameters.decay), target)
    # All continuations go on side by side, hit by hit.
    remaining, known = np.full(_CONTINUATIONS, float(left)), np.full(_CONTINUATIONS, float(found))
    epoch, spent = np.full(_CONTINUATIONS, float(hits_so_far)), np.zeros(_CONTINUATIONS)
    going = np.ones(_CONTINUATIONS, bool)
    ranked = np.full(_CONTINUATIONS, float(ahead))
    while going.any():
        ranked = np.minimum(ranked, remaining)
        seen = rng.hypergeometric(missed.astype(int), (remaining - missed).astype(int), ranked.astype(int))
        remaining, known, missed = remaining - ranked, known + seen, missed - seen
        spent = np.where(going, spent + ranked, spent)
        need = _to_go(remaining, known, log_alpha + epoch * math.log(parameters.decay), target)
        # The first of M relevant records in a random order of m: drawn by inversion, as a beta share.
        gap = np.where(missed > 0, np.ceil(rng.beta(1, np.maximum(missed, 1)) * remaining), np.inf)
        done = need <= gap
        spent = np.where(going, spent + np.where(done, need, gap), spent)
        going &= ~done
        hit = ~done
        remaining = np.where(hit, np.maximum(remaining - gap, 0), remaining)
        known, missed, epoch = known + hit, missed - hit, epoch + hit
        missed = np.clip(missed, 0, remaining)
        ranked = np.full(_CONTINUATIONS, float(-(-plateau // 2)))
        going &= remaining > 0
    p10, p50, p90 = np.quantile(np.minimum(spent, left), [0.1, 0.5, 0.9])
    return Workload(math.ceil(p10), math.ceil(p50), math.ceil(p90), int(min(zero_hit, left)))


def _to_go(left, found, log_alpha, target: float):
    """Draws without a hit to the certificate; all that is left while nothing is found."""
    left, found = np.asarray(left, float), np.asarray(found, float)
    missed = np.floor(found / target + _SLACK) - found + 1
    need = np.minimum(_draws(left, np.minimum(missed, left), log_alpha), left)
    need = np.where(found == 0, left, np.where(missed > left, 0, need))
    return float(need) if need.ndim == 0 else need


def price_of_certainty(
    found: int, unscreened: int, confidence: float = 0.95, targets: Sequence[float] = (0.8, 0.9, 0.95, 0.99),
) -> dict[float, int]:
    """Return, for each target, the audit draws without a hit that an exact test needs.

    It is the least that any assumption-free certificate can cost with so many found.
    """
    return {t: min(unscreened, draws_needed(found, unscreened, t, confidence)) for t in targets}
