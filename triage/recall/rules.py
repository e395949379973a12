"""When to audit, and the stopping rules: small frozen objects that ask one history."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from ..decisions import Estimate, History, Origin, Verdict
from ..wording import about, agree, plural
from .estimates import calibrated, curve_of, poisson_quantile
from .evidence import SLACK, AuditE, certificate, least_missed


@dataclass(frozen=True, slots=True)
class Policy:
    """When to audit: after a plateau of the ranking, until an audit draw hits.

    It moves the cost of a certificate and never its validity. An audit that hits has to begin again, so it
    pays to rank on while the ranking still finds something; how long depends on what is at stake. The
    plateau is a share of the audit that would certify without a hit: long where that audit is long, as for
    a high target or few relevant records, and short where it is short. The numbers were chosen on reviews
    that no result is reported on (docs/calibration.md).

    Attributes
    ----------
    target, confidence : float
        What is to be certified.
    share : float
        The plateau, in irrelevant ranked records in a row, as a share of the zero-hit audit.
    again : float
        The plateau after an audit draw has hit, as a share of the first.
    least : int
        No plateau but one after a hit is shorter.
    fixed : FixedAuditRule or None
        The audit is one sample of the rule's size, and no more.
    """

    target: float = 0.95
    confidence: float = 0.95
    share: float = 0.2
    again: float = 0.5
    least: int = 20
    fixed: FixedAuditRule | None = None

    def plateau(self, found: int, left: int, total: int) -> int:
        """Return the length of the first plateau.

        Parameters
        ----------
        found, left : int
            Relevant records found, and records left when the last of them was.
        total : int
            Records; the plateau is 5 % of them while nothing is found.
        """
        if not found:
            return max(50, math.ceil(total / 20))
        return max(self.least, math.ceil(self.share * _zero_hit_audit(found, left, self.target, self.confidence)))

    def wanted(self, history: History) -> int:
        """Return the length of the plateau that the next audit waits for."""
        left = history.n_total - after_last_relevant(history)
        full = self.plateau(history.n_found, left, history.n_total)
        return full if first_audit(history.origin) is None else math.ceil(self.again * full)

    def next_origin(self, history: History) -> Origin:
        """Tell whether the next record is the best ranked or an audit draw.

        One pass over the labels, and one over the origins since the last relevant record.
        """
        if self.fixed is not None and (sample := self.fixed.sample(history)) is not None:
            return Origin.AUDIT if len(sample.y) < sample.size else Origin.RANKED
        first, since = first_audit(history.origin), after_last_relevant(history)
        if first is not None and (history.origin[max(first, since):] == Origin.AUDIT).any():
            return Origin.AUDIT
        return Origin.AUDIT if self.run(history) >= self.wanted(history) else Origin.RANKED

    @staticmethod
    def run(history: History) -> int:
        """Return how many ranked records in a row were irrelevant, to the last one."""
        since = after_last_relevant(history)
        return int(((history.origin[since:] == Origin.RANKED) & (history.y[since:] == 0)).sum())


@lru_cache(maxsize=64)
def _zero_hit_audit(found: int, left: int, target: float, confidence: float) -> int:
    return min(left, draws_needed(found, left, target, confidence))


def after_last_relevant(history: History) -> int:
    relevant = np.flatnonzero(history.y == 1)
    return int(relevant[-1]) + 1 if len(relevant) else 0


def first_audit(origin: np.ndarray) -> int | None:
    """Return the place of the first audit draw after a ranked record; those before it are a random start."""
    audit = origin == Origin.AUDIT
    if not audit.any():
        return None
    ranked = np.flatnonzero(origin == Origin.RANKED)
    later = np.flatnonzero(audit[ranked[0]:]) if len(ranked) else ranked
    return int(ranked[0] + later[0]) if len(later) else None


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _floor_percent(bound: float) -> str:
    """A lower bound is cut, never rounded up."""
    return f"{math.floor(1000 * bound + SLACK) / 10:g} %"


def _exhausted(name: str, promise: str, history: History, certified: bool) -> Verdict | None:
    if history.n_unscreened or not history.n_total:
        return None
    return Verdict(name, True, certified and history.n_found > 0, promise, "Every record is screened.")


@dataclass(frozen=True, slots=True)
class AuditRule:
    """audit-e: stop when the certificate's bound reaches the target."""

    target: float
    confidence: float
    parameters: AuditE = AuditE()

    def __call__(self, history: History) -> Verdict:
        done = _exhausted("audit-e", "certificate", history, True)
        if done is not None:
            return done
        c = certificate(history, self.target, self.confidence, self.parameters)
        if c.recall_lower is None:
            most = plural(c.relevant_upper, "record")
            why = f"Nothing relevant is found yet; at most {most} {agree(c.relevant_upper, 'is', 'are')} relevant."
        else:
            why = (f"At least {_floor_percent(c.recall_lower)} of the relevant records are found, "
                   f"at most {c.missed_upper:,} missed; the target is {_percent(self.target)}.")
        return Verdict("audit-e", c.certified, c.certified, "certificate", why)


@dataclass(frozen=True, slots=True)
class Sample:
    """The one sample of a fixed audit.

    Attributes
    ----------
    y : ndarray of int8, shape (n_drawn,)
        Labels of its draws so far, `size` at most; -1 where there is none yet.
    size : int
        The draws planned.
    left : int
        Records of its stratum not shown when it began.
    aside : int
        Records of its stratum, relevant or without a label, that were shown between its draws.
    outside : int
        Relevant records, or such without a label, that it could not have drawn.
    """

    y: np.ndarray
    size: int
    left: int
    aside: int
    outside: int


@dataclass(frozen=True, slots=True)
class FixedAuditRule:
    """fixed-audit: the exact hypergeometric elusion test, its size set before its first draw, one look.

    The look bounds the number of relevant records once and for all; relevant records found later count
    against that same bound, with no second look at the sample. Records that somebody chose between two
    draws do not spoil it: the sample holds all of the first draws of the permutation but those, so with
    them as hits it has no fewer hits than a sample that nobody touched.

    Attributes
    ----------
    target, confidence : float
    size : int or None
        Draws. Left out it is the number that would certify if none hits, from what is found when the
        audit begins; that moves if a label from before the audit is changed, so a review names its own.
    """

    target: float
    confidence: float
    size: int | None = None

    def __call__(self, history: History) -> Verdict:
        done = _exhausted("fixed-audit", "certificate", history, True)
        if done is not None:
            return done
        sample = self.sample(history)
        if sample is None:
            return self._not_yet("The audit has not begun; it does after a plateau of the ranking.")
        judged = int((sample.y >= 0).sum())
        if judged < sample.size:
            return self._not_yet(f"{judged:,} of {plural(sample.size, 'audit draw')} {agree(judged, 'is', 'are')} judged; there is "
                                 "one look, at the end.")
        hits, found = int((sample.y == 1).sum()), history.n_found
        most_hits = min(hits + sample.aside, sample.size)
        upper = sample.outside + elusion_upper(sample.left, sample.size, most_hits, 1 - self.confidence)
        upper = min(max(upper, found), found + history.n_unscreened)
        passed = found > 0 and found / upper >= self.target - SLACK
        told = f"recall is at least {_floor_percent(found / upper)}" if found else "nothing relevant is found"
        return Verdict("fixed-audit", passed, passed, "certificate",
                       f"The one look: {plural(hits, 'hit')} in {plural(sample.size, 'draw')} from "
                       f"{plural(sample.left, 'record')}, so {told}; "
                       "the test is spent.")

    def sample(self, history: History) -> Sample | None:
        """Return the sample so far; None before its first draw."""
        shown = history.sequence()
        first = first_audit(shown.origin)
        if first is None:
            return None
        stratum = shown.stratum[first]
        mine, open_or_relevant = shown.stratum == stratum, shown.y != 0
        left, found = int(shown.pool_size[first]), int(((shown.y == 1) & shown.here)[:first].sum())
        size = min(left, self.size or max(1, draws_needed(found, left, self.target, self.confidence)))
        later = np.arange(len(mine)) >= first
        draws = np.flatnonzero(mine & later & (shown.origin == Origin.AUDIT))
        # Where so many were shown between the draws that none is left, these are all there will be.
        size = min(size, len(draws) + int(history.n_records[stratum]) - int((mine & shown.here).sum()))
        draws = draws[:size]
        between = mine & later & shown.here
        between[draws] = False
        between[draws[-1]:] = False
        before = mine & ~later & shown.here
        cleared = int((~mine & shown.here & ~open_or_relevant).sum())
        others = history.n_total - int(history.n_records[stratum]) - cleared
        return Sample(
            shown.y[draws], size, left, aside=int((between & open_or_relevant).sum()),
            outside=int((before & open_or_relevant).sum()) + others,
        )

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
    log_factorial = _log_factorials(int(total.max()))

    def log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
        return log_factorial[n] - log_factorial[k] - log_factorial[n - k]

    fewest = np.maximum(0, drawn - (total - relevant))
    terms = np.maximum(np.minimum(most, np.minimum(drawn, relevant)) - fewest + 1, 0)
    chance = np.zeros(len(terms))
    # So many at a time that the terms of all stay small in memory.
    for some in np.array_split(np.arange(len(terms)), 1 + int(terms.sum()) // 1_000_000):
        each = np.repeat(some, terms[some])
        first = np.cumsum(terms[some]) - terms[some]
        k = fewest[each] + np.arange(len(each)) - np.repeat(first, terms[some])
        log_p = (log_choose(relevant[each], k) + log_choose((total - relevant)[each], drawn[each] - k)
                 - log_choose(total[each], drawn[each]))
        chance[some] = np.bincount(each - some[0], np.exp(log_p), len(some)) if len(some) else 0.0
    return np.minimum(chance, 1.0)


@dataclass(frozen=True, slots=True)
class CmhRule:
    """cmh: Callaghan & Mueller-Hansen 2020 (10.1186/s13643-020-01521-4).

    For every i the last i records screened are taken as a random sample of themselves and all
    unscreened ones; the smallest p-value of "the target is missed" is reported. That is the smallest
    of many tests, and nothing corrects for it.

    Attributes
    ----------
    target, confidence : float
    look_every : int or None
        Looks are made after so many judged records each, the k-th at the level alpha / (k (k + 1)),
        which sum to alpha. Left out, every look is at alpha: as published, not corrected for looking
        again and again.
    """

    target: float
    confidence: float
    look_every: int | None = None

    def __call__(self, history: History) -> Verdict:
        done = _exhausted("cmh", "conditional", history, False)
        if done is not None:
            return done
        y = history.y[history.judged]
        level, correction = 1 - self.confidence, "not corrected for repeated looks"
        if self.look_every is not None:
            look = len(y) // self.look_every
            if not look:
                return self._not_yet(f"It looks after every {plural(self.look_every, 'record')} screened.")
            y, level = y[: look * self.look_every], level / (look * (look + 1))
            correction = f"look {look}, at the level {level:.2g} for repeated looks"
        if not y.any():
            return self._not_yet("Nothing relevant is found yet.")
        p = self._smallest_p(y, history.n_total)
        return Verdict("cmh", bool(p < level), False, "conditional",
                       f"p = {p:.3g} that recall is below {_percent(self.target)}, if the ranking is no worse than "
                       f"random; {correction}.")

    def p_value(self, history: History) -> float:
        """Return the smallest p-value over all i; 0 where the target is met by arithmetic, 1 with nothing found."""
        return self._smallest_p(history.y[history.judged], history.n_total)

    def _smallest_p(self, y: np.ndarray, total: int) -> float:
        n, found = len(y), int(y.sum())
        if not found:
            return 1.0
        missed = least_missed(found, self.target)
        if missed > total - n:
            return 0.0
        # With the number of hits in the sample fixed, a longer sample gives a smaller p: only the
        # samples that end just short of the next hit matter, one for each relevant record.
        sample = np.append(n - 1 - np.flatnonzero(y)[::-1], n)
        hits = np.arange(len(sample))
        use = sample > 0
        return float(hypergeometric(hits[use], (total - n + sample)[use], (missed + hits)[use], sample[use]).min())

    @staticmethod
    def _not_yet(why: str) -> Verdict:
        return Verdict("cmh", False, False, "conditional", why)


@dataclass(frozen=True, slots=True)
class Run:
    """The draws since a relevant record, and how many of them without another rule out a broken target.

    Attributes
    ----------
    misses : int
        Irrelevant draws in a row, to the next relevant record, the first draw without a label, or the end.
    needed : int or None
        None where not even all that was left would do.
    """

    misses: int
    needed: int | None


@dataclass(frozen=True, slots=True)
class RankedERule:
    """ranked-e: a run of irrelevant records, valid at every look if no ranked record is worse than a random one.

    Every total R that breaks the target has alpha to spend. At the k-th relevant record, with r_k found and
    m_k left, the rule fixes a run of T_k irrelevant draws, ranked or random, after which it will stop. If each
    draw is at least as likely relevant as a random one of what is left, such a run comes by chance with
    probability C(m_k - (R - r_k), T_k) / C(m_k, T_k) at most, whatever came before: so much of the alpha of R
    is spent. T_k is the least run that the totals still in question can all pay for. Stops while R breaks the
    target then have probability alpha at most, by adding up: at any number of looks, whatever the rule for
    going from the ranking to random draws, in the finite population.

    The total that has spent most is the least that breaks the target, R_k = floor(r_k / target) + 1: what the
    k-th run or an earlier one costs a larger total is less. So a run is found from that total alone.

    What is found by choice or beforehand is found and no draw; a record without a label counts as relevant, and
    the draws end at the first of them. Where records were added, it begins when the first of them is shown.

    Attributes
    ----------
    target, confidence : float
    """

    target: float
    confidence: float

    def __call__(self, history: History) -> Verdict:
        done = _exhausted("ranked-e", "conditional", history, False)
        if done is not None:
            return done
        found = history.n_found
        if not found:
            return self._verdict(False, "Nothing relevant is found yet.")
        if least_missed(found, self.target) > history.n_unscreened:
            left = history.n_unscreened
            return self._verdict(True, f"Were {agree(left, 'the one record', f'all {left:,} records')} left relevant, recall "
                                       f"would still be at least {_percent(self.target)}.")
        runs = self.runs(history)
        if any(run.needed is not None and run.misses >= run.needed for run in runs):
            return self._verdict(True, "A run of irrelevant records is long enough that recall is at least "
                                       f"{_percent(self.target)}, at any look, {_NO_WORSE}.")
        if not runs or runs[-1].needed is None:
            return self._verdict(False, f"No run of irrelevant records would do yet, {_NO_WORSE}.")
        needed = runs[-1].needed
        return self._verdict(False, f"{plural(runs[-1].misses, 'irrelevant record')} in a row; {needed:,} "
                                    f"{agree(needed, 'is', 'are')} needed, {_NO_WORSE}.")

    @staticmethod
    def _verdict(stop: bool, why: str) -> Verdict:
        return Verdict("ranked-e", stop, False, "conditional", why)

    def runs(self, history: History) -> list[Run]:
        """Return the run after each relevant record."""
        shown = history.sequence()
        draw = (shown.origin == Origin.RANKED) | (shown.origin == Origin.AUDIT)
        waiting = np.flatnonzero(draw & (shown.y < 0))
        n = waiting[0] if len(waiting) else len(draw)
        y, draw, here, stratum = (a[:n] for a in (shown.y, draw, shown.here, shown.stratum))
        begin = _begun(stratum, history.n_records)
        known = np.cumsum((y == 1) & here)
        most = np.cumsum((y != 0) & here)   # without a label counts as relevant, the safe side
        left = _left_after(shown.pool_size[:n], stratum, history.n_records)
        misses = np.cumsum(draw & (y == 0))
        starts = np.flatnonzero((y != 0) & (known > 0))
        if begin and begin < n and known[begin - 1]:
            starts = np.append(begin - 1, starts[starts >= begin])
        starts = starts[starts >= begin - 1]
        ends = np.append(starts[1:], n - 1)[: len(starts)]
        alpha, log_factorial = 1 - self.confidence, _log_factorials(int(left.max(initial=0)))
        runs, pools, before, lengths = [], left[starts], most[starts], np.zeros(len(starts), np.int64)
        for k, (at, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            total = int(known[at]) + least_missed(int(known[at]), self.target)
            spent = np.exp(_log_no_hit(pools[:k], total - before[:k], lengths[:k], log_factorial)).sum()
            needed = _least_run(int(pools[k]), total - int(before[k]), alpha - spent)
            # A run that cannot come costs nothing.
            lengths[k] = pools[k] if needed is None else needed
            runs.append(Run(int(misses[end] - misses[at]), needed))
        return runs


_NO_WORSE = "if no ranked record is less likely relevant than a random one of those left"


def _begun(stratum: np.ndarray, sizes: np.ndarray) -> int:
    """Return from where on the records of all strata were there: the first shown of the last stratum."""
    filled = np.flatnonzero(sizes)
    last = int(filled[-1]) if len(filled) else 0
    if not last:
        return 0
    mine = np.flatnonzero(stratum == last)
    return int(mine[0]) if len(mine) else len(stratum)


def _left_after(pool_size: np.ndarray, stratum: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return how many records of all strata were left after each one shown, by the log."""
    left = np.zeros(len(stratum), np.int64)
    for s, size in enumerate(sizes.tolist()):
        newest = np.maximum.accumulate(np.where(stratum == s, np.arange(len(stratum)), -1))
        left += np.where(newest >= 0, pool_size[newest] - 1, size)
    return left


def _log_factorials(most: int) -> np.ndarray:
    from scipy.special import gammaln

    return gammaln(np.arange(most + 1) + 1.0)


def _log_no_hit(left: np.ndarray, relevant: np.ndarray, draws: np.ndarray, log_factorial: np.ndarray) -> np.ndarray:
    """Return the log chance that so many random draws of those left hit none of the relevant ones."""
    possible = draws <= left - relevant
    short, relevant = np.where(possible, draws, 0), np.minimum(relevant, left)
    log_p = (log_factorial[left - relevant] - log_factorial[left - relevant - short]
             - log_factorial[left] + log_factorial[left - short])
    return np.where(possible, log_p, -np.inf)


def _least_run(left: int, relevant: int, alpha: float) -> int | None:
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


@dataclass(frozen=True, slots=True)
class QuantRule:
    """quant: Yang, Lewis & Frieder 2021 (arXiv 2106.09871), recall from the probabilities of all records.

    With A the sum of the probabilities of the records screened and T that of all, recall is put at
    A / T with the variance A^2 / T^4 sum_all p (1 - p) + sum_screened p (1 - p) / T^2; it stops when the
    lower end of the normal interval reaches the target (the paper takes two standard deviations). The
    probabilities are calibrated first, and a screened record's comes from a model that had not seen its
    label.
    """

    target: float
    confidence: float

    def __call__(
        self, history: History, scores: np.ndarray | None = None, held_out: np.ndarray | None = None,
    ) -> Verdict:
        done = _exhausted("quant", "estimate", history, False)
        if done is not None:
            return done
        p = None if scores is None or held_out is None else calibrated(history, scores, held_out)
        if p is None:
            return Verdict("quant", False, False, "estimate", f"There is no model estimate yet: {_lacking(history, scores)}.")
        screened = np.zeros(len(p), bool)
        screened[history.rows[history.judged]] = True
        known, total, spread = p[screened].sum(), p.sum(), p * (1 - p)
        recall = float(known / total)
        deviation = math.sqrt(recall**2 * spread.sum() + spread[screened].sum()) / total
        reach = NormalDist().inv_cdf((1 + self.confidence) / 2) * deviation
        estimate = Estimate(
            "quant", recall, max(0.0, recall - reach), min(1.0, recall + reach), float(total), self.confidence,
            "that the model's probabilities are right and independent of each other",
        )
        return Verdict("quant", bool(estimate.lower >= self.target - SLACK), False, "estimate",
                       f"The model puts recall at {_floor_percent(recall)}, at least {_floor_percent(estimate.lower)} "
                       "if its probabilities are right.", estimate)


def _lacking(history: History, scores: np.ndarray | None) -> str:
    """Say why there are no probabilities: too few labels, or no ranking that learned from those there are."""
    relevant = history.n_found
    irrelevant = history.n_screened - relevant
    if min(relevant, irrelevant) < 2:
        return (f"two relevant and two irrelevant records are needed, and {relevant:,} and {irrelevant:,} "
                f"{agree(relevant + irrelevant, 'is', 'are')} judged so")
    if scores is None:
        return "no ranking covers the records as they are now; `triage rank` or a screening session makes one"
    return "the newest ranking is older than the labels; `triage rank` or a screening session makes it anew"


@dataclass(frozen=True, slots=True)
class IpPRule:
    """ip-p: a power-law point process fitted to the discovery curve (10.1145/3631990).

    It stops when the target is met even if as many are missed as the fitted process exceeds with
    probability 1 - confidence only.
    """

    target: float
    confidence: float

    def __call__(self, history: History) -> Verdict:
        done = _exhausted("ip-p", "estimate", history, False)
        if done is not None:
            return done
        curve = curve_of(history)
        if curve is None:
            return Verdict("ip-p", False, False, "estimate", "Too few relevant records are found to fit the curve.")
        found, most = history.n_found, history.n_unscreened
        fewest, largest = (
            min(poisson_quantile(q, curve.missed, most), most) for q in (1 - self.confidence, self.confidence)
        )
        expected = min(curve.missed, most)
        estimate = Estimate(
            "ip-p", found / (found + expected), found / (found + largest), found / (found + fewest), found + expected,
            self.confidence, "that relevant records go on becoming rarer by the fitted power law",
        )
        return Verdict("ip-p", bool(estimate.lower >= self.target - SLACK), False, "estimate",
                       f"The discovery curve leaves {about(expected, 'relevant record')}, at most {largest:,}: recall "
                       f"of at least {_floor_percent(estimate.lower)} if it goes on as it did.", estimate)


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
            return self._not_yet(f"{plural(n, 'record')} {agree(n, 'is', 'are')} screened and {found:,} {agree(found, 'is', 'are')} "
                                 f"relevant; it looks from {self.least:,} screened records and one relevant on.")
        gain = np.cumsum(y)
        i = np.arange(1, n + 1)
        knee = int(np.argmax(gain / found - i / n))
        if knee + 1 >= n:
            return self._not_yet("The curve has not bent yet.")
        ratio = (gain[knee] / (knee + 1)) / ((1 + found - gain[knee]) / (n - knee - 1))
        bound = 156 - min(found, 150)
        return Verdict("knee", bool(ratio >= bound), False, "heuristic",
                       f"The curve is {ratio:.1f} times flatter after its bend; the rule asks for {bound}.")

    @staticmethod
    def _not_yet(why: str) -> Verdict:
        return Verdict("knee", False, False, "heuristic", why)


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
        run = Policy.run(history)
        return Verdict("consecutive", bool(history.n_found) and run >= self.length, False, "heuristic",
                       f"{plural(run, 'irrelevant record')} in a row; the rule asks for {self.length:,}"
                       + ("." if history.n_found else " once something relevant is found."))


RULES: Mapping[str, Callable[[float, float], object]] = {
    "audit-e": AuditRule, "fixed-audit": FixedAuditRule, "ranked-e": RankedERule, "cmh": CmhRule, "quant": QuantRule,
    "ip-p": IpPRule, "knee": KneeRule, "consecutive": ConsecutiveRule,
}
CERTIFYING = ("audit-e", "fixed-audit")
AUDITED = (*CERTIFYING, "ranked-e")  # the rules that want audit draws


def rule_of(
    name: str, target: float, confidence: float, *, audit_size: int | None = None, parameters: AuditE = AuditE(),
):
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
    if name == "ranked-e":
        # The plateau counts too, so it may be longer.
        return Policy(target, confidence, share=0.3, again=0.75)
    fixed = FixedAuditRule(target, confidence, audit_size) if name == "fixed-audit" else None
    return Policy(target, confidence, fixed=fixed)
