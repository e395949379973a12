"""The work left: what a certificate will cost from here, known before it is paid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..log import History, Origin
from .evidence import SLACK, AuditE, evenly, is_certified, least_missed
from .rules.exact import draws_needed
from .rules.fixed_audit import FixedAuditRule
from .rules.policy import Policy, after_last_relevant, first_audit
from .verdict import Estimate


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


_CONTINUATIONS = 200
_SHAPE = 1.0  # of the gamma that says how many are missed, its mean the estimate
_LEAST_MISSED = 0.5  # that mean at least: no estimate is sure that nothing is left
_RECENT = 100  # ranked records that show how the ranking does now


def forecast(
    history: History,
    target: float,
    confidence: float,
    rng: np.random.Generator,
    *,
    estimate: Estimate | None = None,
    parameters: AuditE = AuditE(),
    policy: Policy | None = None,
) -> Workload:
    """Forecast the records to the certificate by simulating the rest of the review.

    How many are missed is drawn from a gamma and Poisson about the estimate, which the audit draws since
    the last relevant record move; the policy is then carried on with the certificate's own weights: a
    plateau, audit draws until one hits, a plateau, and so on. Ranked records hit as much more often than
    random ones as they did of late. With one fixed audit it is the records to its one look.

    Parameters
    ----------
    history : History
    target, confidence : float
    rng : Generator
    estimate : Estimate, optional
        What is thought to be missed; one record when left out.
    parameters : AuditE
    policy : Policy, optional
        That of the target and the confidence when left out.
    """
    policy = policy or Policy(target, confidence)
    if not history.n_unscreened or (
        is_certified(history, target, confidence, parameters) if policy.fixed is None else policy.fixed(history).stop
    ):
        return Workload(0, 0, 0, 0)
    settled = _carried_on(history, int((history.y < 0).sum()), 0)
    if not settled.n_unscreened:
        # All that is left was shown or handed out: the labels that it awaits are the work, and nothing is to be drawn.
        waiting = history.n_unscreened
        least = waiting if policy.fixed is not None else _zero_hit(history, 0, target, confidence, parameters)
        return Workload(waiting, waiting, waiting, least)
    if policy.fixed is not None:
        auditing = policy.next_origin(settled) is Origin.AUDIT
        return _to_the_look(history, settled, policy, policy.fixed, estimate, rng, auditing)
    auditing = policy.is_auditing(settled)
    left = settled.n_unscreened
    ahead = 0 if auditing else min(left, max(0, policy.wanted(settled) - policy.run(settled)))
    begun = policy.draws_in_a_row(settled) if auditing else 0
    zero_hit = _zero_hit(history, ahead, target, confidence, parameters, policy.mix, begun)
    review = _Reviews.of(settled, target, confidence, parameters, policy, estimate, rng)
    if not auditing:
        review.rank(policy.run(settled))
    while review.going.any():
        review.audit()
        review.rank(0)
    spent = np.minimum(review.spent, left) + (history.n_unscreened - left)
    p10, p50, p90 = np.quantile(spent, [0.1, 0.5, 0.9])
    return Workload(math.ceil(p10), math.ceil(p50), math.ceil(p90), int(min(zero_hit, history.n_unscreened)))


def _to_the_look(
    history: History,
    settled: History,
    policy: Policy,
    rule: FixedAuditRule,
    estimate: Estimate | None,
    rng: np.random.Generator,
    auditing: bool,
) -> Workload:
    """Forecast the records to the one look of a fixed audit; all that are left once it was in vain."""
    waiting = history.n_unscreened - settled.n_unscreened
    sample = rule.sample(settled)
    if sample is not None:
        more = sample.size - len(sample.y) if len(sample.y) < sample.size else settled.n_unscreened
        return Workload(*[waiting + more] * 4)
    review = _Reviews.of(settled, rule.target, rule.confidence, AuditE(), policy, estimate, rng)
    left = settled.n_unscreened
    ahead = 0
    if not auditing:
        ahead = min(left, max(0, policy.wanted(settled) - policy.run(settled)))
        review.rank(policy.run(settled))
    draws = rule.size or review.zero_hit_audit()
    p10, p50, p90 = np.ceil(np.quantile(np.minimum(review.spent + draws, left), [0.1, 0.5, 0.9])) + waiting
    first = rule.size or draws_needed(settled.n_found, left - ahead, rule.target, rule.confidence)
    return Workload(int(p10), int(p50), int(p90), waiting + min(left, ahead + first))


@dataclass(slots=True)
class _Reviews:
    """Continuations of one review, side by side: arrays of one number for each.

    The evidence of an epoch is kept as it would be at the total now in question: of each epoch the sums of
    its misses, in proportion to the relevant records then missing (log(1 - p) is nearly -p).
    """

    target: float
    confidence: float
    parameters: AuditE
    policy: Policy
    rng: np.random.Generator
    total: int
    left: np.ndarray
    found: np.ndarray
    missed: np.ndarray
    times: np.ndarray  # how much likelier than a random record a ranked one is to be relevant
    again: bool  # whether an audit has begun
    gained: list[np.ndarray]  # of each epoch: its misses, (n, n_bets)
    against: list[np.ndarray]  # of each epoch: the relevant records missing at its start, at the total it was summed at
    begun: list[np.ndarray]  # of each epoch: the relevant records found at its start
    spent: np.ndarray
    going: np.ndarray

    @classmethod
    def of(
        cls,
        history: History,
        target: float,
        confidence: float,
        parameters: AuditE,
        policy: Policy,
        estimate: Estimate | None,
        rng: np.random.Generator,
    ) -> _Reviews:
        n, left, found = _CONTINUATIONS, history.n_unscreened, history.n_found
        since = history.origin[after_last_relevant(history) :]
        drawn = int((since == Origin.AUDIT).sum())
        thought = 1.0 if estimate is None else max(estimate.relevant_total - found, 0.0)
        thought = max(thought, _LEAST_MISSED)
        rate = rng.gamma(_SHAPE, 1 / (_SHAPE * left / thought + drawn), n)
        missed = np.minimum(rng.poisson(rate * left), left).astype(float)
        ranked = history.y[history.origin == Origin.RANKED][-_RECENT:]
        times = (ranked.sum() + 0.5) / (len(ranked) + 1) * left / np.maximum(missed, thought)
        gained, against, begun = _epochs(history, least_missed(found, target), parameters)
        return cls(
            target,
            confidence,
            parameters,
            policy,
            rng,
            history.n_total,
            np.full(n, float(left)),
            np.full(n, float(found)),
            missed,
            np.maximum(times, 1.0),
            first_audit(history.origin) is not None,
            [np.tile(g, (n, 1)) for g in gained],
            [np.full(n, float(m)) for m in against],
            [np.full(n, float(r)) for r in begun],
            np.zeros(n),
            np.full(n, left > 0),
        )

    def least_missed(self) -> np.ndarray:
        missed: np.ndarray = np.floor(self.found / self.target + SLACK) - self.found + 1
        return missed

    def zero_hit_audit(self) -> np.ndarray:
        """Return the draws without a hit that an exact test needs, nearly."""
        missed = np.minimum(self.least_missed(), self.left)
        share = -np.expm1(math.log1p(-self.confidence) / np.maximum(missed, 1))
        return np.where(self.found == 0, self.left, np.clip((self.left - (missed - 1) / 2) * share, 0, self.left))

    def _spend(self, which: np.ndarray, records: np.ndarray, found: bool) -> None:
        self.spent = np.where(which, self.spent + records, self.spent)
        self.left = np.where(which, self.left - records, self.left)
        if found:
            self.found, self.missed = self.found + which, self.missed - which
        self.missed = np.clip(self.missed, 0, self.left)
        self.going = self.going & (self.left > 0)

    def rank(self, run: int) -> None:
        """Rank to the next plateau, of which so many records are behind."""
        self.going = self.going & (self.draws_to_go() > 0)
        behind, ranking = np.full(len(self.left), float(run)), self.going.copy()
        while ranking.any():
            plateau = np.maximum(self.policy.least, np.ceil(self.policy.share * self.zero_hit_audit()))
            plateau = np.where(self.found == 0, max(50, math.ceil(self.total / 20)), plateau)
            if self.again:
                plateau = np.ceil(self.policy.again * plateau)
            chance = np.clip(self.times * self.missed / np.maximum(self.left, 1), 0, 0.9)
            # The first success of a chance, by inversion; never of a chance of 0.
            gap = np.ceil(np.log(self.rng.random(len(chance))) / np.log1p(-np.maximum(chance, 1e-12)))
            wait = np.minimum(np.maximum(plateau - behind, 0), self.left)
            hits = ranking & (gap <= wait)
            self._spend(hits, np.where(hits, gap, 0), True)
            self._spend(ranking & ~hits, wait, False)
            behind, ranking = np.where(hits, 0.0, behind), hits & self.going

    def audit(self) -> None:
        """Draw until a hit or the certificate; a hit begins an epoch."""
        if not self.again:
            # The first epoch begins with the first draw.
            self.begun[-1], self.against[-1] = self.found.copy(), self.least_missed()
        self.again = True
        need = self.draws_to_go()
        first = self.rng.beta(1, np.maximum(self.missed, 1)) * self.left
        gap = np.where(self.missed > 0, np.ceil(first), np.inf)
        ends = need < gap
        records = np.where(ends, need, np.minimum(gap, self.left))
        self._add(np.where(ends, need, records - 1))
        hits = self.going & ~ends
        if self.policy.mix:
            records = np.minimum(records + records // self.policy.mix, self.left)
        self._spend(self.going & ends, records, False)
        self.going = self.going & hits
        self._spend(hits, records, True)
        self.gained.append(np.zeros((len(self.left), len(self.parameters.bets))))
        self.begun.append(self.found.copy())
        self.against.append(np.maximum(self.least_missed(), 1.0))

    def _misses(self, draws: np.ndarray) -> np.ndarray:
        """Return the evidence of so many misses from here, by bet: (n, n_bets)."""
        from scipy.special import gammaln

        missing = np.minimum(np.floor(self.found / self.target + SLACK) + 1 - self.begun[-1], self.left)
        end = np.minimum(draws, np.maximum(self.left - missing, 0))

        def log_ratio(short: np.ndarray) -> np.ndarray:
            ratio: np.ndarray = (
                gammaln(self.left - short + 1)
                - gammaln(self.left - short - end + 1)
                - gammaln(self.left + 1)
                + gammaln(self.left - end + 1)
            )
            return ratio

        return np.column_stack([log_ratio(c * missing) - log_ratio(missing) for c in self.parameters.bets])

    def _add(self, draws: np.ndarray) -> None:
        now = np.maximum(self._missing(len(self.gained) - 1), 1.0)
        self.gained[-1] = self._at_present(len(self.gained) - 1) + self._misses(draws)
        self.against[-1] = now

    def _missing(self, epoch: int) -> np.ndarray:
        missing: np.ndarray = np.floor(self.found / self.target + SLACK) + 1 - self.begun[epoch]
        return missing

    def _at_present(self, epoch: int) -> np.ndarray:
        gained: np.ndarray = self.gained[epoch] * (self._missing(epoch) / self.against[epoch])[:, None]
        return gained

    def draws_to_go(self) -> np.ndarray:
        """Return the draws without a hit to the certificate; 0 where it is there, all while nothing is found."""
        bets = np.array(self.parameters.bets)
        log_bet = np.log(bets, out=np.full(len(bets), -np.inf), where=bets > 0)
        log_v, level = np.log(self.parameters.weights), -math.log1p(-self.confidence)
        running = np.full((len(self.left), len(bets)), -np.inf)
        there = np.zeros(len(self.left), bool)
        for epoch in range(len(self.gained)):
            weight = math.log1p(-self.parameters.decay) + epoch * math.log(self.parameters.decay)
            begun = np.logaddexp(running + log_bet, weight) + log_v
            running = begun - log_v + self._at_present(epoch)
            there |= np.logaddexp.reduce(running + log_v, axis=1) >= level
        missing = self.least_missed()
        there |= missing > self.left
        low, high = np.zeros(len(self.left)), np.maximum(self.left - missing + 1, 0)
        while (low < high).any():
            middle = np.floor((low + high) / 2)
            enough = np.logaddexp.reduce(running + log_v + self._misses(middle), axis=1) >= level
            low, high = np.where(enough, low, np.minimum(middle + 1, high)), np.where(enough, middle, high)
        return np.where(self.found == 0, self.left, np.where(there, 0, high))


def _epochs(history: History, missing: int, parameters: AuditE) -> tuple[list[np.ndarray], list[int], list[int]]:
    """Return of each epoch so far its misses by bet, the relevant records missing at its start, and those found."""
    shown = history.sequence(guarded=True)
    audit = shown.origin == Origin.AUDIT
    found = np.cumsum(shown.y == 1) - (shown.y == 1)
    left = np.arange(len(audit), 0, -1) + history.n_unscreened
    total = history.n_found + missing
    at, bets = np.flatnonzero(audit), np.array(parameters.bets)
    hit = shown.y[at] == 1
    epoch = np.cumsum(hit) - hit
    gained, against, begun = [], [], []
    for number in range(int(hit.sum()) + 1):
        draws = at[(epoch == number) & ~hit]
        p = np.clip((total - found[draws]) / left[draws], 0, 1 - 1e-9)[:, None]
        gained.append((np.log1p(-bets * p) - np.log1p(-p)).sum(axis=0))
        before = at[epoch == number]
        began = int(found[before[0]]) if len(before) else history.n_found
        begun.append(began)
        against.append(max(total - began, 1))
    return gained, against, begun


def _zero_hit(
    history: History, ahead: int, target: float, confidence: float, parameters: AuditE, mix: int = 0, begun: int = 0
) -> int:
    """Return the records to the certificate when none is relevant, by bisection; all while nothing is found."""
    low, high = 0, history.n_unscreened
    if not history.n_found:
        return high
    while low < high:
        middle = (low + high) // 2
        if is_certified(_carried_on(history, middle, ahead, mix, begun), target, confidence, parameters):
            high = middle
        else:
            low = middle + 1
    return low


def _carried_on(history: History, more: int, ahead: int, mix: int = 0, begun: int = 0) -> History:
    """Return a history after so many more records, none relevant, without their rows.

    First those that await a label, then `ahead` ranked ones, then audit draws, with a ranked record after each `mix`
    of them, of which `begun` are behind. Which stratum a ranked record will come from nobody knows; they are taken
    evenly.
    """
    y = history.y.copy()
    waiting = np.flatnonzero(y < 0)[:more]
    y[waiting] = 0
    strata = np.arange(len(history.n_records))
    left = history.n_records - np.bincount(history.stratum, minlength=len(strata))
    more -= len(waiting)
    ranked = evenly(left, np.zeros_like(left))[: min(more, ahead)]
    left = left - np.bincount(ranked, minlength=len(strata))
    shown = history.sequence()
    drawn = np.bincount(shown.stratum[shown.origin == Origin.AUDIT], minlength=len(strata))
    stratum = np.concatenate([ranked, evenly(left, drawn)[: more - len(ranked)]])
    # The n-th of a stratum finds n fewer records left than the first does.
    earlier = np.zeros(len(stratum), np.int64)
    for s in strata:
        mine = stratum == s
        earlier[mine] = np.arange(mine.sum())
    before = history.n_records - np.bincount(history.stratum, minlength=len(strata))
    origin = np.full(len(stratum), str(Origin.AUDIT), "<U8")
    origin[: len(ranked)] = str(Origin.RANKED)
    if mix:
        origin[len(ranked) + mix - begun :: mix + 1] = str(Origin.RANKED)
    return History(
        np.concatenate([history.rows, np.full(len(stratum), -1)]),
        np.concatenate([y, np.zeros(len(stratum), np.int8)]),
        np.concatenate([history.origin, origin]),
        np.concatenate([history.pool_size, before[stratum] - earlier]),
        np.concatenate([history.stratum, stratum]),
        history.n_records,
        history.past,
        history.ahead,
    )


def price_of_certainty(
    found: int, unscreened: int, confidence: float = 0.95, targets: Sequence[float] = (0.8, 0.9, 0.95, 0.99)
) -> dict[float, int]:
    """Return, for each target, the audit draws without a hit that an exact test needs.

    It is the least that any assumption-free certificate can cost with so many found.
    """
    return {t: min(unscreened, draws_needed(found, unscreened, t, confidence)) for t in targets}
