"""Recall in terms of corrected labels: what second looks at the excluded records prove, wherever the mistakes are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..log import History, Origin
from ..wording import floor_percent, percent
from .evidence import SLACK, AuditE, Draws, Stratum, certificate, evenly, upper_of
from .verdict import Verdict


@dataclass(frozen=True, slots=True)
class Corrections:
    """What second looks have shown of a stage's labels: arrays beside its History, read-only.

    Attributes
    ----------
    included : ndarray of bool, shape (n_shown,)
        Whether everybody who judged the record included it, or a settlement did.
    confirmed : ndarray of bool, shape (n_shown,)
        Whether the record is excluded and somebody else than its first reviewer has said so too.
    sampled : ndarray of bool, shape (n_shown,)
        Whether the record was in the pool of a committed sample of second looks.
    past_confirmed : ndarray of bool, shape (n_past,)
        The same as `confirmed`, of the audit draws of records that have left since.
    exclusions : History
        The records that second looks are sampled from, excluded and no audit draws, with the second looks as its
        audit draws: `y` is 1 where the label after the second look is relevant, 0 where it is not, -1 without one.
        A stratum holds the exclusions that were there when one sample was committed and in no earlier one's pool.
    """

    included: np.ndarray
    confirmed: np.ndarray
    sampled: np.ndarray
    past_confirmed: np.ndarray
    exclusions: History

    def __post_init__(self) -> None:
        for name in ("included", "confirmed", "sampled", "past_confirmed"):
            getattr(self, name).setflags(write=False)


@dataclass(frozen=True, slots=True)
class Adjudicated:
    """What the second looks guarantee of recall in terms of corrected labels, at every look at once.

    Attributes
    ----------
    recall_lower : float or None
        At least this share of the truly relevant records is included now, includes taken as right; None while
        nothing is included.
    found : int
        Records included, those that are maybe or in conflict not among them.
    relevant_upper : int
        At most so many records are truly relevant.
    wrong_upper : int
        At most so many of them were excluded by mistake, audit draws not counted.
    draws : int
        The audit draws that count: those before the first excluded one without a second look.
    certified : bool
        Whether the target is reached.
    """

    recall_lower: float | None
    found: int
    relevant_upper: int
    wrong_upper: int
    draws: int
    certified: bool


def corrected_verdict(told: Adjudicated, target: float) -> Verdict:
    """Return what audit-e says where the protocol asks for the recall of corrected labels."""
    if told.recall_lower is None:
        why = "Nothing is included yet."
    else:
        why = (
            f"At least {floor_percent(told.recall_lower)} of the relevant records are included, wrong exclusions counted; "
            f"the target is {percent(target)}."
        )
    return Verdict("audit-e", told.certified, told.certified, "certificate", why)


def adjudicated(
    history: History, looks: Corrections, target: float = 0.95, confidence: float = 0.95, parameters: AuditE = AuditE()
) -> Adjudicated:
    """Bound recall from below in terms of the labels as second looks correct them.

    Let z be the label that a record has after a second look, a fixed property of it, Z the number of records
    with z = 1 in the stage, and alpha = 1 - confidence. Both halves of the bound are AuditE's, each at alpha / 2:

    1. w, the most records with z = 1 among the exclusions that were no audit draws. The second looks at them are
       uniform draws without replacement, in an order committed after they were excluded: the audit draws of a
       population of their own (see `Corrections`), whose certificate is w. Exclusions that are in no committed pool
       yet, and have had no second look, are added to w one and all.
    2. Audit draws are read up to the first that was excluded and has had no second look. With K_s the records
       shown before draw s that are relevant as far as is known (and no part of w), u_s those without a label, c_s
       those excluded otherwise than by the audit and not confirmed, and left_s as logged,

           p_s(Z) = (Z - K_s - u_s - min(w, c_s)) / left_s,    hit_s = (z = 1).

       Z_u is the largest Z that AuditE's evidence with these p_s does not reject.

    Then recall >= included / Z_u with the confidence asked for, at every look at once.

    Proof. Call W_s the records with z = 1 among the c_s. On the event A that w was never below their number, the
    records with z = 1 that draw s could hit are Z - (those truly relevant in K_s and u_s) - W_s, which is at least
    Z - K_s - u_s - min(w, c_s): what is presumed relevant and is not only lowers it. So p_s(Z) is at most the true
    chance of a hit. A miss's factor grows with p_s and a hit's does not depend on it, so at the true Z the evidence
    is at most that with the true p_s, a test martingale. By Ville's inequality that ever reaches 2 / alpha with
    probability alpha / 2 at most; A fails with probability alpha / 2 at most, by the same inequality for w. Nothing
    is assumed of the ranking, of where the mistakes are, or of the part that nobody has screened, whose mistakes
    the audit draws meet as they meet its relevant records.

    Several strata of the audit: w may all be in any one of them, so each is charged all of it. The p_s of every
    stratum are then at most the true ones on the same event A, so the product of the strata's evidence, read up to
    one common draw, is at most the product with the true p_s, and that is a test martingale (see `certificate`).

    A record judged again out of its turn changes nothing in this: z is what it is, and counts when the order reaches
    it; known early, it only makes c_s and the arithmetic smaller. A draw whose record has left without a second look
    counts as a hit, the safe side, and so does a record that was chosen out of the draws' way while it is relevant or
    has no label (see `audit_draws`). That nobody knows the draws to come when excluding a record by choice, their
    seed is kept secret for. Until it is settled a maybe or a conflict is presumed
    relevant, and is not found.

    Parameters
    ----------
    history : History
    looks : Corrections
    target, confidence : float
    parameters : AuditE
        As logged with the permutation.

    References
    ----------
    Ville 1939; see `AuditE`.
    """
    half = (1 + confidence) / 2
    audit, excluded = history.origin == Origin.AUDIT, history.y == 0
    of_sample = looks.sampled & ~audit
    in_no_sample = excluded & ~looks.confirmed & ~looks.sampled & ~audit
    wrong = certificate(looks.exclusions, target, half, parameters).relevant_upper + int(in_no_sample.sum())
    strata = []
    for number, size in enumerate(history.n_records.tolist()):
        mine = history.stratum == number
        draws = _draws(history, looks, number, wrong)
        if size or len(draws):
            known = int((mine & (history.y == 1)).sum())
            strata.append(Stratum(draws, known, size - int((mine & looks.confirmed).sum()), size))
    upper = upper_of(strata, -math.log1p(-half), parameters)
    # On A arithmetic alone allows no more than this; where all is screened it is what counts.
    presumed = int(((history.y == 1) & ~of_sample).sum())
    drawn = int((audit & excluded & ~looks.confirmed).sum())
    upper = min(upper, presumed + wrong + drawn + history.n_unscreened)
    found = int(looks.included.sum())
    upper = max(upper, found)
    lower = found / upper if found else None
    return Adjudicated(
        recall_lower=lower,
        found=found,
        relevant_upper=upper,
        wrong_upper=wrong,
        draws=sum(len(s.draws) for s in strata),
        certified=lower is not None and lower >= target - SLACK,
    )


def _draws(history: History, looks: Corrections, stratum: int, wrong: int) -> Draws:
    """Collect one stratum's audit draws as evidence on the corrected labels (see `adjudicated`)."""
    shown = history.sequence(guarded=True)
    ahead = history.ahead
    at = np.concatenate([ahead.place, history.past.place])  # as the sequence has them
    confirmed = np.insert(looks.confirmed, at, np.concatenate([np.zeros(len(ahead), bool), looks.past_confirmed]))
    sampled = np.insert(looks.sampled, at, False)
    audit = shown.origin == Origin.AUDIT
    waiting = np.flatnonzero(audit & shown.here & ((shown.y < 0) | ((shown.y == 0) & ~confirmed)))
    end = waiting[0] if len(waiting) else len(audit)
    mine = (shown.stratum == stratum) & shown.here
    relevant = shown.y == 1
    of_sample = sampled & ~audit
    doubtful = mine & ~audit & (((shown.y == 0) & ~confirmed) | (relevant & of_sample))
    found = np.cumsum(mine & relevant & ~of_sample)
    unknown = np.cumsum(mine & (shown.y < 0)) + np.minimum(wrong, np.cumsum(doubtful))
    drawn = np.flatnonzero(audit[:end] & (shown.stratum[:end] == stratum))
    here = shown.here[drawn]
    hit = (shown.y[drawn] == 1) | ~confirmed[drawn]
    return Draws(
        shown.pool_size[drawn].astype(np.int64), found[drawn] - (hit & here), unknown[drawn].astype(np.int64), hit, here
    )


# -- the order in which second looks are taken --------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of exclusions that was committed to be judged again.

    Attributes
    ----------
    order : ndarray of int, shape (n_pool,)
        Every record that could have been sampled, in a random order: those that were excluded, by no audit draw, had
        had no second look, and were in no earlier sample.
    size : int
        The sample is the first so many.
    """

    order: np.ndarray
    size: int

    @property
    def drawn(self) -> list[int]:
        """The records to be judged again, in their order."""
        ids: list[int] = self.order[: self.size].tolist()
        return ids


def fresh_order(samples: Sequence[Sample], pool: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Return a random order of the exclusions that a new sample may hold, to be committed.

    It is uniform within each stratum (the exclusions that came between two samples); the strata take their turns by
    their sizes alone, that with the least share sampled first: of a product of evidence the least sampled stratum
    bounds the most.

    Parameters
    ----------
    samples : sequence of Sample
        Those committed before.
    pool : sequence of int
    rng : Generator
    """
    entries, home = _follow(samples)
    ids, strata = np.array(pool, np.int64), range(len(samples) + 1)
    stratum = np.array([home.get(record_id, len(samples)) for record_id in ids.tolist()], np.int64)
    left = np.bincount(stratum, minlength=len(strata))
    drawn = np.bincount(np.array([of for _, of, is_draw in entries if is_draw], np.int64), minlength=len(strata))
    turn = evenly(left, drawn)
    order = np.empty(len(ids), np.int64)
    for number in strata:
        order[turn == number] = rng.permutation(ids[stratum == number])
    return order


def exclusions(samples: Sequence[Sample], labels: Mapping[int, int]) -> History:
    """Return the second looks at exclusions as a history whose audit draws they are.

    Samples follow one another, each drawn from what was left when it was committed. A record that was no longer in a
    later pool had been judged again by choice, or had left: it counts as shown then, as a ranked record does in the
    audit. So no look that somebody chose, before a sample was committed or since, has a part in which records are
    draws, or in which order.

    Parameters
    ----------
    samples : sequence of Sample
    labels : mapping of int to int
        By record the label after a second look, 1 relevant or 0 not, -1 while there is none; none of a record that
        has left. A draw that has left without one counts as a hit.
    """
    entries, home = _follow(samples)
    entries += [(record_id, of, False) for record_id, of in home.items() if labels.get(record_id, -1) >= 0]
    stratum = [of for _, of, _ in entries]
    unseen = [of for record_id, of in home.items() if labels.get(record_id, -1) < 0]
    sizes = np.bincount(np.array(stratum + unseen, np.int64), minlength=max(len(samples), 1))
    return History.of(
        range(len(entries)),
        [labels.get(record_id, 1 if is_draw else -1) for record_id, _, is_draw in entries],
        [Origin.AUDIT if is_draw else Origin.CHOSEN for *_, is_draw in entries],
        n_records=sizes.tolist(),
        stratum=stratum,
    )


def _follow(samples: Sequence[Sample]) -> tuple[list[tuple[int, int, bool]], dict[int, int]]:
    """Return the records that left the pool, in order: (record, stratum, whether drawn), and the stratum of the others.

    A record that comes back to a later pool is one more record there: twice counted is on the safe side.
    """
    entries: list[tuple[int, int, bool]] = []
    home: dict[int, int] = {}
    for number, sample in enumerate(samples):
        order = sample.order.tolist()
        present = set(order)
        entries += [(record_id, of, False) for record_id, of in home.items() if record_id not in present]
        home = {record_id: of for record_id, of in home.items() if record_id in present}
        for record_id in order:
            home.setdefault(record_id, number)
        entries += [(record_id, home.pop(record_id), True) for record_id in order[: sample.size]]
    return entries, home


def in_turn(audit_draws: int, sampled: int, left: int, pool: int) -> np.ndarray:
    """Tell which of the second looks, in their common order, are at excluded audit draws, shape (n,).

    Each of the two is read up to its own first gap, so any order that looks at no label will do. What the bound leaves
    open is about left / a + pool / x, after a looks at draws from `left` unscreened records and x at a sample of
    `pool` exclusions: least when a and x are in the ratio of the square roots. Where one has no more the other goes on.
    """
    places = np.concatenate(
        [np.arange(1, audit_draws + 1) / math.sqrt(max(left, 1)), np.arange(1, sampled + 1) / math.sqrt(max(pool, 1))]
    )
    which: np.ndarray = np.argsort(places, kind="stable") < audit_draws
    return which
