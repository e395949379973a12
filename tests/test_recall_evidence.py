"""The evidence of the audit against hand-computed values and an independent reference."""

import importlib.util
import itertools
import math

import numpy as np
import pytest
from conftest import SHARED
from hypothesis import given, settings, strategies as st
from recall_helpers import history
from scipy.stats import hypergeom

from triage import recall
from triage.log import History, PastDraws

REFERENCE = SHARED / "checks" / "audit_e_reference.py"


def test_evidence_by_hand():
    # 10 records, none found. Two misses: with R0 = 2, p = 2/10 and 2/9.
    draws = recall.audit_draws(history([0, 0], "aa", 10))
    one_bet = recall.AuditE(bets=(0.0,), weights=(1.0,), decay=0.2)
    assert recall.log_evidence(draws, 2.0, one_bet) == pytest.approx(math.log(0.8 / ((8 / 10) * (7 / 9))))
    # With c = .5 a miss multiplies by (1 - p/2) / (1 - p) and a hit by .5; the epoch after it begins at 1.
    draws = recall.audit_draws(history([0, 1], "aa", 10))
    half = recall.AuditE(bets=(0.5,), weights=(1.0,), decay=0.2)
    expected = 0.8 * ((1 - 0.1) / (1 - 0.2)) * 0.5 + 0.8 * 0.2
    assert recall.log_evidence(draws, 2.0, half) == pytest.approx(math.log(expected))


def test_a_miss_that_a_total_makes_impossible_refutes_it():
    draws = recall.audit_draws(history([0], "a", 3))
    assert recall.log_evidence(draws, 3.0) == math.inf
    assert np.isfinite(recall.log_evidence(draws, 2.0))


def test_zero_hits_is_the_exact_hypergeometric_test_at_any_look():
    only_zero = recall.AuditE(bets=(0.0,), weights=(1.0,), decay=1e-12)
    for n, misses, r0 in ((50, 20, 3), (400, 100, 5)):
        draws = recall.audit_draws(history([0] * misses, "a" * misses, n))
        assert recall.log_evidence(draws, float(r0), only_zero) == pytest.approx(-hypergeom.logpmf(0, n, r0, misses))


def reference():
    """Return the independent implementation, set to the weights of this one."""
    spec = importlib.util.spec_from_file_location("reference", REFERENCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ours = recall.AuditE()
    module.AuditEvidence.C, module.AuditEvidence.V = np.array(ours.bets), np.array(ours.weights)
    module.AuditEvidence.DECAY = ours.decay
    return module.AuditEvidence()


def log_e(theirs, total):
    # Where a total makes a miss impossible the reference may give NaN: infinity minus infinity.
    with np.errstate(invalid="ignore", divide="ignore"):
        value = theirs.log_e(total)
    return np.inf if np.isnan(value) else value


def once_rejected(theirs, found, unscreened, alpha):
    """Return the least upper bound that the reference gave after any of the draws."""
    bounds = [found + unscreened]
    for end in range(1, len(theirs.m) + 1):
        so_far = reference()
        for row in list(zip(theirs.m, theirs.r, theirs.y))[:end]:
            so_far.add(*row)
        with np.errstate(invalid="ignore", divide="ignore"):
            bounds.append(so_far.upper_R(found, unscreened, alpha))
    return max(min(bounds), found)  # what is found was there, whatever the evidence says


with_reference = pytest.mark.skipif(not REFERENCE.is_file(), reason="shared/checks is not there")


@with_reference
@settings(max_examples=150, deadline=None)
@given(st.integers(2, 200), st.floats(0, 0.6), st.integers(0, 2**32 - 1))
def test_agrees_with_an_independent_implementation(n, share, seed):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < share).astype(int)[: rng.integers(1, n + 1)]
    origin = rng.choice(list("ra"), len(y))
    theirs, found = reference(), 0
    for i, (label, how) in enumerate(zip(y, origin)):
        if how == "a":
            theirs.add(n - i, found, label)
        found += label
    h = history(y, origin, n)
    draws = recall.audit_draws(h)
    for r0 in {found, found + 1, (found + n) // 2, n}:
        assert float(recall.log_evidence(draws, float(r0))) == pytest.approx(log_e(theirs, r0), abs=1e-9)
    for alpha in (0.2, 0.05):
        upper = once_rejected(theirs, found, n - len(y), alpha)
        assert recall.certificate(h, 0.95, 1 - alpha).relevant_upper == upper
        for target in (0.5, 0.8, 0.95):
            certified = found > 0 and found / upper >= target - 1e-9
            assert recall.certificate(h, target, 1 - alpha).certified == certified
            assert recall.evidence.is_certified(h, target, 1 - alpha) == certified


@with_reference
def test_a_total_once_rejected_stays_rejected():
    """Misses reject a total; the hit after them would take the evidence back, and does not."""
    y = [1] * 20 + [0] * 60 + [1] * 2
    before, after = (history(y[:end], "r" * 20 + "a" * (end - 20), 120) for end in (80, 82))
    bound = recall.certificate(before).relevant_upper
    now = recall.audit_draws(after)
    assert recall.log_evidence(now, bound + 1.0) < -math.log(0.05) <= recall.highest_log_evidence(now, bound + 1.0)
    assert recall.certificate(after).relevant_upper == bound
    assert recall.highest_log_evidence(recall.audit_draws(before), 30.0) == recall.log_evidence(
        recall.audit_draws(before), 30.0
    )


@with_reference
def test_that_comparison_sees_hits_and_several_epochs():
    """The random histories above have many hits; here is one whose evidence turns on them."""
    theirs, y = reference(), [1, 0, 1, 0, 0, 1, 1, 0, 0, 0]
    for i, label in enumerate(y):
        theirs.add(30 - i, sum(y[:i]), label)
    assert theirs.epoch == 4
    draws = recall.audit_draws(history(y, "a" * 10, 30))
    for r0 in (4, 5, 6, 10, 20, 24):
        assert float(recall.log_evidence(draws, float(r0))) == pytest.approx(log_e(theirs, r0), abs=1e-9)
    assert float(recall.log_evidence(draws, 25.0)) == log_e(theirs, 25) == np.inf
    assert float(recall.log_evidence(draws, 3.0)) == log_e(theirs, 3) == np.inf


@with_reference
@settings(max_examples=80, deadline=None)
@given(st.integers(5, 100), st.integers(0, 2**32 - 1))
def test_what_awaits_a_label_is_read_as_the_reference_would_read_it(n, seed):
    """Draws up to the first without a label; a record shown before a draw without one counts as found."""
    rng = np.random.default_rng(seed)
    y = rng.choice([0, 0, 0, 0, 1, -1], rng.integers(1, n + 1))
    origin = rng.choice(list("ra"), len(y))
    theirs = reference()
    for i, (label, how) in enumerate(zip(y, origin)):
        if how == "a":
            if label < 0:
                break
            theirs.add(n - i, int((y[:i] != 0).sum()), label)
    draws = recall.audit_draws(history(y, origin, n))
    most = int((y != 0).sum())
    for r0 in {most + 1, (most + n) // 2, n}:
        assert float(recall.log_evidence(draws, float(r0))) == pytest.approx(log_e(theirs, r0), abs=1e-9)


@with_reference
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 3), st.sampled_from([0.2, 0.05]))
def test_the_bound_of_several_strata_is_the_largest_sum_that_some_allocation_allows(seed, n_strata, alpha):
    """Every allocation tried, with the reference's evidence for each stratum."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 14, n_strata)
    stratum = rng.permutation(np.repeat(np.arange(n_strata), sizes))[: rng.integers(2, sizes.sum() + 1)]
    y = (rng.random(len(stratum)) < 0.2).astype(int)
    origin = rng.choice(list("raaa"), len(y))
    evidence, possible, audited = [], [], 0
    for s in range(n_strata):
        theirs, mine = reference(), np.flatnonzero(stratum == s)
        for i, at in enumerate(mine):
            if origin[at] == "a":
                theirs.add(sizes[s] - i, int(y[mine[:i]].sum()), y[at])
        found = int(y[mine].sum())
        totals = range(found, int(sizes[s] - len(mine)) + found + 1)
        possible.append(totals)
        evidence.append({total: log_e(theirs, total) if len(theirs.m) else 0.0 for total in totals})
        audited += bool(theirs.m)
    allowed = [
        sum(totals)
        for totals in itertools.product(*possible)
        if sum(e[total] for e, total in zip(evidence, totals)) < math.log(1 / alpha) - 1e-12
    ]
    h = history(y, origin, sizes, stratum=stratum)
    upper = recall.certificate(h, 0.95, 1 - alpha).relevant_upper
    # With draws from one stratum alone a total once rejected stays so, which other tests are about.
    by_now = max(allowed, default=int(y.sum()))
    assert upper == by_now if audited > 1 else upper <= by_now


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 120), st.integers(0, 2**32 - 1))
def test_the_evidence_grows_with_the_total(n, seed):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.2).astype(int)[: rng.integers(1, n + 1)]
    draws = recall.audit_draws(history(y, rng.choice(list("ra"), len(y)), n))
    log_e = recall.log_evidence(draws, np.arange(int(y.sum()), n + 1, dtype=float))
    assert (np.diff(log_e[np.isfinite(log_e)]) >= -1e-9).all()


def test_edges_of_the_certificate():
    nothing = recall.certificate(history([0, 0], "ra", 10))
    assert nothing.recall_lower is None and not nothing.certified and nothing.missed_upper <= 8
    everything = recall.certificate(history([1, 0], "rr", 2))
    assert (everything.recall_lower, everything.missed_upper, everything.certified) == (1.0, 0, True)
    assert not recall.certificate(history([0, 0], "rr", 2)).certified
    # 19 found, one unscreened: 19/20 = .95 even if it is relevant.
    assert recall.certificate(history([1] * 19, "r" * 19, 20)).certified
    assert not recall.certificate(history([1] * 18, "r" * 18, 19)).certified
    assert recall.certificate(History.of([], [], n_records=5)).missed_upper == 5


def test_what_awaits_a_label_never_helps():
    y = [1] * 20 + [0] * 150
    origin = "r" * 20 + "a" * 150
    full = recall.certificate(history(y, origin, 200))
    # An audit draw without a label ends the evidence there; a skipped ranked record may be relevant.
    stalled = recall.certificate(history([*y[:30], -1, *y[31:]], origin, 200))
    assert stalled.relevant_upper > full.relevant_upper
    skipped = recall.certificate(history([1] * 19 + [-1] + [0] * 150, origin, 200))
    assert skipped.relevant_upper >= full.relevant_upper


def test_records_added_later_have_evidence_of_their_own():
    first = dict(y=[1] * 20 + [0] * 120, origin="r" * 20 + "a" * 120)
    alone = recall.certificate(history(**first, n=160))
    # The second stratum has no draw yet: every one of its records may be relevant.
    grown = recall.certificate(history(**first, n=[160, 30], stratum=[0] * 140))
    assert grown.relevant_upper == alone.relevant_upper + 30
    both = recall.certificate(
        history(first["y"] + [0] * 25, first["origin"] + "a" * 25, [160, 30], stratum=[0] * 140 + [1] * 25)
    )
    assert alone.relevant_upper <= both.relevant_upper < grown.relevant_upper


def test_a_draw_without_a_label_ends_the_evidence_of_every_stratum():
    y = [1] * 20 + [0] * 40 + [-1] + [0] * 40
    stratum = [0] * 20 + [0, 1] * 20 + [0] + [0, 1] * 20
    h = history(y, "r" * 20 + "a" * 81, [80, 60], stratum=stratum)
    assert [len(recall.audit_draws(h, s)) for s in (0, 1)] == [20, 20]


def test_the_draws_of_records_that_left_stay_evidence():
    # Of 10 records, one found; the draws: a miss, a hit that became a copy, a miss. All at R0 = 3.
    h = history([1, 0, 0], "raa", 9, pool_size=[9, 9, 7], past=PastDraws.of([(2, True, 8, 0)]))
    draws = recall.audit_draws(h)
    assert (draws.left.tolist(), draws.found.tolist()) == ([9, 8, 7], [1, 1, 1])
    assert (draws.hit.tolist(), draws.here.tolist(), draws.known) == ([False, True, False], [True, False, True], 1)
    one_bet = recall.AuditE(bets=(0.5,), weights=(1.0,), decay=0.2)
    first, last = (1 - 1 / 9) / (1 - 2 / 9), (1 - 1 / 7) / (1 - 2 / 7)
    expected = 0.8 * first * 0.5 * last + 0.8 * 0.2 * last
    assert recall.log_evidence(draws, 3.0, one_bet) == pytest.approx(math.log(expected))
    # A hit that left does not refute that nothing but what is found is relevant; one that stayed does.
    assert np.isfinite(recall.log_evidence(draws, 1.0))
    assert recall.log_evidence(recall.audit_draws(history([1, 1], "ra", 9)), 1.0) == np.inf
    assert recall.certificate(h).audit_draws == 3


def test_a_record_that_left_costs_evidence_and_never_gives_any():
    y, origin = [1] * 12 + [0] * 60, "r" * 12 + "a" * 60
    whole = recall.certificate(history(y, origin, 120))
    for hit, compare in ((False, "eq"), (True, "gt")):
        past = PastDraws.of([(40, hit, 81, 0)])
        h = history(y[:40] + y[41:], origin[:-1], 119, pool_size=[*range(120, 80, -1), *range(80, 49, -1)], past=past)
        left = recall.certificate(h)
        assert left.missed_upper == whole.missed_upper if compare == "eq" else left.missed_upper > whole.missed_upper


@pytest.mark.parametrize(
    "weights",
    [
        dict(bets=(0.0, 1.0), weights=(0.5, 0.5)),
        dict(bets=(0.0,), weights=(0.5, 0.5)),
        dict(decay=0.0),
        dict(decay=1.0),
        dict(bets=(0.0, 0.1), weights=(0.5, 0.6)),
        dict(bets=(0.0, 0.1), weights=(1.0, 0.0)),
        dict(bets=(0.9,), weights=(1.0,), decay=0.2),
    ],
)
def test_weights_that_make_no_martingale_are_refused(weights):
    with pytest.raises(ValueError):
        recall.AuditE(**weights)


def test_the_weights_come_back_from_the_log():
    weights = recall.AuditE(bets=(0.0, 0.3), weights=(0.6, 0.4), decay=0.25)
    assert recall.AuditE.logged({"seed": 1, **weights.parameters()}) == weights


def test_draws_go_to_the_stratum_least_looked_into():
    left, drawn, taken = np.array([90, 0, 30]), np.array([10, 5, 0]), []
    for _ in range(44):
        taken.append(recall.next_stratum(left, drawn))
        left[taken[-1]] -= 1
        drawn[taken[-1]] += 1
    assert taken[:4] == [2, 2, 2, 0] and 1 not in taken  # 3 of 30 is as much as 10 of 100
    assert abs(drawn[0] / 100 - drawn[2] / 30) < 1 / 30
