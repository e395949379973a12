"""The certificate: what a random audit proves about recall, whatever the ranking does."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..log import Event, History, Kind, Origin

SLACK = 1e-9  # 0.95 * 20 is 19.000000000000004


def least_missed(found: int, target: float) -> int:
    """Return the fewest missed relevant records that break a recall target, given those found."""
    return math.floor(found / target + SLACK) - found + 1


@dataclass(frozen=True, slots=True)
class AuditE:
    """Weights of the audit's evidence: logged before the first decision, never changed in a review.

    The evidence against "R0 records are relevant" after audit draws s = 1, 2, ... is

        E(R0) = sum_k w_k sum_c v_c prod_{s in epochs >= k} (hit: c; miss: (1 - c p_s) / (1 - p_s))

    with p_s = (R0 - relevant found before s) / (records left before s), epoch k beginning after the
    k-th hit and w_k = (1 - decay) decay^k. A draw is uniform on the records left whatever the model
    did before, so at the true R0 a factor has expectation p c + (1 - p) (1 - c p) / (1 - p) = 1 and E
    is a test martingale: by Ville's inequality it ever reaches 1 / alpha with probability alpha at
    most, in the finite population, at any number of looks (Ville 1939; Waudby-Smith & Ramdas 2020,
    arXiv 2006.04347).

    Attributes
    ----------
    bets : tuple of float
        The values of c, each in [0, 1).
    weights : tuple of float
        v, the weight of each bet, positive; they sum to 1.
    decay : float
        In (0, 1), and no more than the largest bet leaves of 1 (see `audit_draws`).

    Raises
    ------
    ValueError
        For weights that would not make a martingale.
    """

    bets: tuple[float, ...] = (0.0, 0.1, 0.3)
    weights: tuple[float, ...] = (0.4, 0.3, 0.3)
    decay: float = 0.25

    def __post_init__(self) -> None:
        if len(self.bets) != len(self.weights) or not all(0 <= c < 1 for c in self.bets):
            raise ValueError(f"bets {self.bets} must lie in [0, 1), with one weight each")
        if not all(v > 0 for v in self.weights) or abs(sum(self.weights) - 1) > SLACK:
            raise ValueError(f"weights {self.weights} must be positive and sum to 1")
        if not 0 < self.decay <= 1 - max(self.bets):
            raise ValueError(f"decay {self.decay} must lie between 0 and 1 - {max(self.bets)}, the largest bet")

    def parameters(self) -> dict[str, object]:
        """Return the weights, fit for the log."""
        return {"bets": list(self.bets), "weights": list(self.weights), "decay": self.decay}

    @classmethod
    def logged(cls, note: Mapping[str, Any]) -> AuditE:
        """Return the weights that `parameters` put in the log."""
        return cls(tuple(note["bets"]), tuple(note["weights"]), note["decay"])


def logged_parameters(events: Iterable[Event], stage: str) -> AuditE:
    """Return the weights of the evidence as logged with a stage's first permutation; today's before there is one."""
    first = next((e for e in events if e.kind is Kind.PLAN and e.stage == stage), None)
    return AuditE() if first is None else AuditE.logged(json.loads(first.note))


@dataclass(frozen=True, slots=True)
class Draws:
    """The audit draws of one stratum, in their order, up to the first in any stratum without a label.

    Attributes
    ----------
    left : ndarray of int, shape (n_draws,)
        Records of the stratum not shown before the draw.
    found : ndarray of int, shape (n_draws,)
        Relevant records among those of the stratum shown before the draw, found by either stream.
    unknown : ndarray of int, shape (n_draws,)
        Records shown before the draw that have no label yet.
    hit : ndarray of bool, shape (n_draws,)
    here : ndarray of bool, shape (n_draws,)
        Whether the record drawn is still one of the stratum's.
    """

    left: np.ndarray
    found: np.ndarray
    unknown: np.ndarray
    hit: np.ndarray
    here: np.ndarray

    def __len__(self) -> int:
        return len(self.hit)

    @property
    def known(self) -> int:
        """The relevant records that the draws and what came before them have shown."""
        return int(self.found[-1] + (self.hit[-1] and self.here[-1])) if len(self) else 0


def audit_draws(history: History, stratum: int = 0) -> Draws:
    """Collect one stratum's audit draws as evidence.

    Let E* be the evidence of the same review with every label known and, for each draw, the relevant
    records that it could truly have hit, H_s of L_s: p_s = H_s / L_s makes it a martingale, whose
    supremum over all draws is what Ville's inequality bounds. What is reported never exceeds it at the
    true total, since

    - records only ever leave a stratum (one that comes back joins a later permutation), so the relevant
      records that it has now and that were not shown before s were all among the H_s: the p_s used is at
      most the true one, and a miss's factor grows with p_s while a hit's does not depend on it;
    - L_s is what the log says was left at the draw, no matter who has left since;
    - a record shown before a draw without a label counts as relevant, which lowers p_s as well;
    - a draw whose record has left stays a draw, with its label; without one it counts as a hit (below);
    - so does a record that a person chose out of the draws' way (see `ChosenAhead`), relevant or without a label;
    - the draws of all strata are read up to the first without a label, so E is that of earlier moments
      of E*. (Leaving such a draw out and reading on would be a choice of draws, and no martingale; so
      would be the evidence of one stratum at one moment times that of another at a later.)

    A record that counts as a hit without being one is on the safe side: it lowers the p_s of later draws and
    puts c in the place of a miss's factor of at least 1; the epoch that it opens gives back `decay` of
    that term at most, no more than the 1 - c that it lost.
    """
    shown = history.sequence(guarded=True)
    audit = shown.origin == Origin.AUDIT
    waiting = np.flatnonzero(audit & (shown.y < 0))
    end = waiting[0] if len(waiting) else len(audit)
    mine, y = shown.stratum[:end] == stratum, shown.y[:end]
    at = np.flatnonzero(audit[:end] & mine)
    found = np.cumsum(mine & (y == 1) & shown.here[:end])
    unknown = np.cumsum(mine & (y < 0))
    hit, here = y[at] == 1, shown.here[at]
    return Draws(shown.pool_size[at].astype(np.int64), found[at] - (hit & here), unknown[at], hit, here)


def log_evidence(draws: Draws, total: np.ndarray | float, parameters: AuditE = AuditE()) -> np.ndarray:
    """Return log E(R0) after the last draw for each candidate number of relevant records, shape as `total`.

    Of the totals that the draws leave possible it is a convex function that never falls: a miss speaks
    more against many relevant records than against few.
    """
    at_end: np.ndarray = _by_epoch(draws, total, parameters)[..., -1]
    return at_end


def highest_log_evidence(draws: Draws, total: np.ndarray | float, parameters: AuditE = AuditE()) -> np.ndarray:
    """Return the highest log E(R0) that there was after any of the draws, shape as `total`.

    Ville's inequality bounds the supremum over time, so a total once rejected stays rejected, whatever
    the draws after it do. E falls only with hits, so the highest is that before a hit or after the last
    draw.
    """
    highest: np.ndarray = _by_epoch(draws, total, parameters).max(axis=-1)
    return highest


def _by_epoch(draws: Draws, total: np.ndarray | float, parameters: AuditE) -> np.ndarray:
    """Return log E(R0) at the end of each epoch, before the hit that ends it; shape of `total` + (n_epochs,)."""
    totals = np.atleast_1d(np.asarray(total, np.float64))[:, None]
    if not len(draws):
        return np.zeros((*np.shape(total), 1))
    p = np.clip((totals - draws.found - draws.unknown) / draws.left, 0.0, 1.0)
    # Of a total that cannot be, a miss where all that was left were relevant or a hit where nothing
    # was, the numbers would be 0 times infinity. (The hit of a record that has left is not of the total.)
    refuted = ((p >= 1) & ~draws.hit).any(axis=1) | ((totals <= draws.found) & draws.hit & draws.here).any(axis=1)
    p = np.where(draws.hit | refuted[:, None], 0.0, p)  # a hit's factor is put in below
    hits = int(draws.hit.sum())
    begins = np.concatenate([[0], np.flatnonzero(draws.hit) + 1])  # the first draw of each epoch
    inside = begins[begins < len(draws)]  # after a last draw that hits, the newest epoch has none
    weight = np.log1p(-parameters.decay) + math.log(parameters.decay) * np.arange(hits + 1)
    without = -np.log1p(-p)
    log_e = np.full((len(totals), hits + 1), -np.inf)
    for bet, v in zip(parameters.bets, parameters.weights, strict=True):
        misses = without + np.log1p(-bet * p) if bet else without
        gained = np.zeros((len(totals), hits + 1))
        gained[:, : len(inside)] = np.add.reduceat(misses, inside, axis=1)
        if bet:
            # sum_k w_k prod_{epochs k to j}, with the products as quotients of those from the first epoch on.
            so_far = np.cumsum(gained, axis=1) + math.log(bet) * np.arange(hits + 1)
            term = so_far + np.logaddexp.accumulate(weight - (so_far - gained), axis=1)
        else:
            term = gained + weight  # a hit ends all that was begun before it
        log_e = np.logaddexp(log_e, math.log(v) + term)
    log_e[refuted] = np.inf
    return log_e.reshape(*np.shape(total), hits + 1)


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


def next_stratum(left: np.ndarray, drawn: np.ndarray) -> int:
    """Return the stratum that the next audit draw comes from: that with the least share drawn.

    Any choice that depends only on the past keeps the evidence valid. This one makes it strong: a total is rejected
    only when every allocation of it is, to the stratum least looked into too.

    Parameters
    ----------
    left : ndarray of int, shape (n_strata,)
        Records not shown yet; one of them at least.
    drawn : ndarray of int, shape (n_strata,)
        Audit draws made.
    """
    share = np.where(left > 0, drawn / np.maximum(drawn + left, 1), np.inf)
    return int(np.lexsort((-left, share))[0])


def evenly(left: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return the stratum of every draw to come, as `next_stratum` takes them one by one."""
    stratum = np.repeat(np.arange(len(left)), left)
    nth = np.arange(len(stratum)) - np.repeat(np.cumsum(left) - left, left)
    share = (drawn[stratum] + nth) / (drawn + left)[stratum]
    return stratum[np.lexsort((stratum, nth - left[stratum], share))]


def certificate(
    history: History, target: float = 0.95, confidence: float = 0.95, parameters: AuditE = AuditE()
) -> Certificate:
    """Bound recall from below by the audit draws, in terms of the current labels.

    A total is rejected once its evidence has reached the level, after whichever draw that was. With
    several strata (records added later have a permutation of their own) the product of their evidence
    is a test martingale at the true allocation; a total is rejected when every allocation of it is, by
    the evidence as it is now. The bound is the largest total that is not, and never more than arithmetic allows:
    the records found and all those without a label.

    Parameters
    ----------
    history : History
    target, confidence : float
    parameters : AuditE
        As logged with the permutation.
    """
    upper = upper_of(_strata(history), -math.log1p(-confidence), parameters)
    found = history.n_found
    lower = found / upper if found else None
    return Certificate(
        recall_lower=lower,
        missed_upper=upper - found,
        relevant_upper=upper,
        audit_draws=int((history.origin == Origin.AUDIT).sum()) + len(history.past),
        certified=lower is not None and lower >= target - SLACK,
    )


def is_certified(history: History, target: float, confidence: float, parameters: AuditE = AuditE()) -> bool:
    """Tell whether the certificate reaches the target, without looking for its bound where that is dearer."""
    strata = _strata(history)
    if len(strata) != 1:
        return certificate(history, target, confidence, parameters).certified
    found = history.n_found
    broken = found + least_missed(found, target)
    if not found or broken > strata[0].most:
        return found > 0
    return bool(highest_log_evidence(strata[0].draws, float(broken), parameters) >= -math.log1p(-confidence))


def _strata(history: History) -> list[Stratum]:
    """Return what is known of each stratum but those that hold nothing and never did."""
    strata = (Stratum.of(history, s) for s in range(len(history.n_records)))
    return [s for s in strata if s.size or len(s.draws)]


@dataclass(frozen=True, slots=True)
class Stratum:
    """What bounds the relevant records of one audit permutation.

    Attributes
    ----------
    draws : Draws
    found : int
        Relevant records that are known.
    most : int
        Relevant records at the very most: those known, and all that may be.
    size : int
        Records.
    """

    draws: Draws
    found: int
    most: int
    size: int

    @classmethod
    def of(cls, history: History, stratum: int) -> Stratum:
        y = history.y[history.stratum == stratum]
        size = int(history.n_records[stratum])
        return cls(audit_draws(history, stratum), int((y == 1).sum()), size - int((y == 0).sum()), size)

    def upper(self, log_level: float, parameters: AuditE) -> int:
        """Return the largest total whose evidence was below the level after every draw."""
        d = self.draws
        numbers = (a.astype(np.int64).tobytes() for a in (d.left, d.found, d.unknown))
        largest = _largest_not_rejected(*numbers, d.hit.tobytes(), d.here.tobytes(), self.size, log_level, parameters)
        return min(max(largest, self.found), self.most)


@lru_cache(maxsize=32)
def _largest_not_rejected(
    left: bytes, found: bytes, unknown: bytes, hit: bytes, here: bytes, size: int, log_level: float, parameters: AuditE
) -> int:
    """Bisect for the largest R0 up to `size` whose log E(R0) was below the level after every draw.

    Nothing but the draws goes in, so a look after a ranked record, which leaves them as they are,
    costs nothing: the bound on the total stays, and what is missed falls with what is found.
    """
    draws = Draws(
        *(np.frombuffer(a, np.int64) for a in (left, found, unknown)), *(np.frombuffer(a, bool) for a in (hit, here))
    )
    low, high = draws.known, size  # `low` is not rejected, or the least there is; above `high` all are
    while low < high:
        middle = (low + high + 1) // 2
        if highest_log_evidence(draws, float(middle), parameters) < log_level:
            low = middle
        else:
            high = middle - 1
    return low


def upper_of(strata: Sequence[Stratum], log_level: float, parameters: AuditE) -> int:
    """Return the largest number of relevant records in all strata that the evidence does not reject."""
    audited = [s for s in strata if len(s.draws)]
    upper = sum(s.most for s in strata if not len(s.draws))
    if len(audited) == 1:
        upper += audited[0].upper(log_level, parameters)
    elif audited:
        upper += _upper_of_sum(audited, log_level, parameters)
    return upper


def _upper_of_sum(strata: Sequence[Stratum], log_level: float, parameters: AuditE) -> int:
    """Return the largest sum of totals whose evidence, added up over strata, is below the level.

    log E is convex in the total, so one more record costs the more evidence the more there are, and
    the largest sum is had by taking the cheapest records of all strata: all that cost at most a
    price, which is found by bisection.
    """
    known: list[dict[int, float]] = [{} for _ in strata]

    def value(i: int, total: int) -> float:
        if total not in known[i]:
            known[i][total] = float(log_evidence(strata[i].draws, float(total), parameters))
        return known[i][total]

    def at_price(i: int, price: float, low: int, high: int) -> int:
        """Return the largest total of a stratum, each record of which costs at most the price."""
        while low < high:
            middle = (low + high + 1) // 2
            if value(i, middle) < np.inf and value(i, middle) - value(i, middle - 1) <= price:
                low = middle
            else:
                high = middle - 1
        return low

    def cost(totals: Sequence[int]) -> float:
        return sum(value(i, total) for i, total in enumerate(totals))

    taken = [s.found for s in strata]
    spare = log_level - cost(taken)
    if spare <= 0:
        return sum(taken)
    # A price of all that is to be spent buys everything that can be bought.
    cheap, dear = -1.0, spare
    dearer = [at_price(i, dear, s.found, s.most) for i, s in enumerate(strata)]
    if cost(dearer) < log_level:
        return sum(dearer)
    while sum(dearer) - sum(taken) > 1 and dear - cheap > 1e-12 * spare:
        price = (cheap + dear) / 2
        totals = [at_price(i, price, low, high) for i, (low, high) in enumerate(zip(taken, dearer, strict=True))]
        if cost(totals) < log_level:
            cheap, taken = price, totals
        else:
            dear, dearer = price, totals
    # Between the two are records of the very same price, of which some can be had but not all.
    rest = log_level - cost(taken)
    return sum(taken) + min(sum(dearer) - sum(taken) - 1, math.floor(rest / dear + SLACK))
