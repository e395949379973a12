"""The certificate against hand-computed values, an independent reference, and simulations on the boundary."""

import importlib.util
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import beta, hypergeom

from conftest import SHARED
from triage import recall
from triage.decisions import History, Origin

REFERENCE = SHARED / "checks" / "audit_e_reference.py"


def history(y, origin, n, **options):
    return History.of(range(len(y)), y, [{"r": "ranked", "a": "audit", "p": "prior"}[o] for o in origin], n_records=n, **options)


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


@pytest.mark.skipif(not REFERENCE.is_file(), reason="shared/checks is not there")
@settings(max_examples=150, deadline=None)
@given(st.integers(2, 200), st.floats(0, 0.6), st.integers(0, 2**32 - 1))
def test_agrees_with_an_independent_implementation(n, share, seed):
    spec = importlib.util.spec_from_file_location("reference", REFERENCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ours = recall.AuditE()
    module.AuditEvidence.C, module.AuditEvidence.V = np.array(ours.bets), np.array(ours.weights)
    module.AuditEvidence.DECAY = ours.decay
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < share).astype(int)[: rng.integers(1, n + 1)]
    origin = rng.choice(list("ra"), len(y))
    theirs, found = module.AuditEvidence(), 0
    for i, (label, how) in enumerate(zip(y, origin)):
        if how == "a":
            theirs.add(n - i, found, label)
        found += label
    h = history(y, origin, n)
    draws = recall.audit_draws(h)
    for r0 in {found, found + 1, (found + n) // 2, n}:
        with np.errstate(invalid="ignore"):
            expected = theirs.log_e(r0)
        value = float(recall.log_evidence(draws, float(r0)))
        # Where R0 makes a miss impossible the reference may give NaN: infinity minus infinity.
        assert (np.isnan(expected) and value == np.inf) or value == pytest.approx(expected, abs=1e-9)
    for alpha in (0.2, 0.05):
        with np.errstate(invalid="ignore"):
            upper = theirs.upper_R(found, n - len(y), alpha)
        assert recall.certificate(h, 0.95, 1 - alpha).relevant_upper == upper


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
    stalled = recall.certificate(history(y[:30] + [-1] + y[31:], origin, 200))
    assert stalled.relevant_upper > full.relevant_upper
    skipped = recall.certificate(history([1] * 19 + [-1] + [0] * 150, origin, 200))
    assert skipped.relevant_upper >= full.relevant_upper


def test_records_added_later_have_evidence_of_their_own():
    first = dict(y=[1] * 20 + [0] * 120, origin="r" * 20 + "a" * 120)
    alone = recall.certificate(history(**first, n=160))
    # The second stratum has no draw yet: every one of its records may be relevant.
    grown = recall.certificate(history(**first, n=[160, 30], stratum=[0] * 140))
    assert grown.relevant_upper == alone.relevant_upper + 30
    both = recall.certificate(history(
        first["y"] + [0] * 25, first["origin"] + "a" * 25, [160, 30], stratum=[0] * 140 + [1] * 25))
    assert alone.relevant_upper <= both.relevant_upper < grown.relevant_upper


# -- validity, by simulation, with the truth on the boundary -----------------------------------


def false_certification_rate(bound, runs, seed, n=120, relevant=12, found=9, share_audit=0.5, hidden=False, lucky=False):
    """Screen a pool with `found` relevant at the top and the rest at random or last; look after every record.

    `bound` gives the largest total not rejected. A run fails when the true total was rejected at any look.
    """
    rng = np.random.default_rng(seed)
    failed = 0
    for _ in range(runs):
        y = np.zeros(n, int)
        y[:found] = 1
        rest = np.arange(found, n)
        y[rest[-(relevant - found):] if hidden else rng.choice(rest, relevant - found, replace=False)] = 1
        shown, labels, origin, pool = [], [], [], []
        left = list(range(n))
        for k in range(70):
            audit = k >= 15 and rng.random() < share_audit
            if audit:
                row = left[rng.integers(len(left))]
                if lucky and y[row]:  # a permutation shuffled again until the draw is no hit
                    row = next(r for r in left if not y[r])
            else:
                row = left[0]
            pool.append(len(left))
            left.remove(row)
            shown.append(row)
            labels.append(y[row])
            origin.append("audit" if audit else "ranked")
        h = History.of(shown, labels, origin, n_records=n, pool_size=pool)
        if any(bound(_until(h, k)) < relevant for k in range(15, 71)):
            failed += 1
    return failed, beta.ppf(0.99, failed + 1, runs - failed) if failed < runs else 1.0, beta.ppf(0.01, max(failed, 1e-9), runs - failed + 1)


def _until(h, k):
    return History(h.rows[:k], h.y[:k], h.origin[:k], h.pool_size[:k], h.stratum[:k], h.n_records)


ALPHA = 0.2


def ours(h):
    return recall.certificate(h, 0.95, 1 - ALPHA).relevant_upper


def counted_after(h):
    draws = recall.audit_draws(h)
    return _bound(h, recall.Draws(draws.left, draws.found - 4, draws.unknown, draws.hit, draws.here))


def pool_too_small(h):
    draws = recall.audit_draws(h)
    return _bound(h, recall.Draws(np.maximum(draws.left * 0.4, 1), draws.found, draws.unknown, draws.hit, draws.here))


def point_estimate(h):
    audit = h.y[h.origin == Origin.AUDIT]
    return h.n_found + (h.n_unscreened * audit.mean() if len(audit) else h.n_unscreened)


def _bound(h, draws):
    totals = np.arange(h.n_found, h.n_found + h.n_unscreened + 1, dtype=float)
    below = totals[recall.log_evidence(draws, totals) < -math.log(ALPHA)]
    return below.max() if len(below) else h.n_found


@pytest.mark.parametrize("setting", [dict(), dict(hidden=True), dict(share_audit=1.0)], ids=["mixed", "hidden cluster", "audit alone"])
def test_the_true_total_is_rejected_no_more_often_than_promised(setting):
    """300 runs of 55 looks each: the lower bound of the rate (99 %) must not exceed alpha."""
    _, _, at_least = false_certification_rate(ours, 300, seed=1, **setting)
    assert at_least <= ALPHA


@pytest.mark.parametrize("broken", [counted_after, pool_too_small, point_estimate])
def test_a_broken_bound_turns_that_test_red(broken):
    _, _, at_least = false_certification_rate(broken, 150, seed=1, share_audit=1.0)
    assert at_least > ALPHA


def test_a_permutation_shuffled_until_it_suits_turns_that_test_red():
    _, _, at_least = false_certification_rate(ours, 100, seed=1, share_audit=1.0, lucky=True)
    assert at_least > ALPHA


# -- rules, estimates, workload ---------------------------------------------------------------


def test_the_price_of_certainty_is_the_published_table():
    expected = {10: (.63, .78, .95, .95), 20: (.39, .63, .78, .95), 50: (.21, .39, .63, .95), 100: (.11, .22, .39, .78),
                200: (.06, .12, .24, .63), 500: (.02, .05, .11, .39), 1000: (.01, .03, .05, .24)}
    for found, shares in expected.items():
        price = recall.price_of_certainty(found, 100_000)
        assert [round(draws / 100_000, 2) for draws in price.values()] == list(shares)


@pytest.mark.parametrize("found, left, target", [(10, 50, 0.8), (30, 200, 0.9), (100, 1000, 0.95), (3, 40, 0.95)])
def test_draws_needed_is_the_exact_test(found, left, target):
    missed = recall.least_missed(found, target)
    draws = recall.draws_needed(found, left, target, 0.95)
    assert hypergeom.pmf(0, left, missed, draws) <= 0.05 < hypergeom.pmf(0, left, missed, draws - 1)


def test_least_missed_survives_floating_point():
    assert recall.least_missed(19, 0.95) == 2 and recall.least_missed(20, 0.8) == 6 and recall.least_missed(0, 0.95) == 1


def test_elusion_is_the_exact_bound():
    upper = recall.elusion_upper(500, 100, 1, 0.05)
    assert hypergeom.cdf(1, 500, upper, 100) > 0.05 >= hypergeom.cdf(1, 500, upper + 1, 100)
    assert recall.elusion_upper(50, 50, 2, 0.05) == 2


def cmh_by_definition(y, total, target):
    """Callaghan & Mueller-Hansen for every i, as written."""
    n, found, smallest = len(y), sum(y), 1.0
    for i in range(1, n + 1):
        hits = sum(y[n - i:])
        k = math.floor(found / target + 1 - (found - hits) + 1e-9)
        smallest = min(smallest, hypergeom.cdf(hits, total - (n - i), min(k, total - (n - i)), i))
    return smallest


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=60), st.integers(5, 200), st.sampled_from([0.8, 0.95]))
def test_cmh_is_the_minimum_over_all_samples(y, more, target):
    if not sum(y):
        return
    rule = recall.CmhRule(target, 0.95)
    p = rule.p_value(history(y, "r" * len(y), len(y) + more))
    assert p == pytest.approx(cmh_by_definition(y, len(y) + more, target), abs=1e-12)


@pytest.mark.parametrize("name", list(recall.RULES))
def test_rules_at_their_edges(name):
    rule = recall.RULES[name](0.95, 0.95)
    for h in (History.of([], [], n_records=10), history([0] * 8, "r" * 8, 10), history([1], "r", 10)):
        verdict = rule(h)
        assert verdict.name == name and not verdict.stop and not verdict.certified and verdict.why
    done = rule(history([1, 0, 0], "rrr", 3))
    assert done.stop and done.certified == (name in recall.AUDITED)


def test_only_the_audits_certify():
    y = [1] * 60 + [0] * 900
    found = {name: recall.RULES[name](0.9, 0.95)(history(y, "r" * 300 + "a" * 660, 1000)) for name in recall.RULES}
    assert [name for name, v in found.items() if v.certified] == ["audit-e", "fixed-audit"]
    assert found["cmh"].stop and found["cmh"].promise == "conditional" and "not corrected" in found["cmh"].why
    assert found["consecutive"].stop and found["consecutive"].promise == "heuristic"


def test_the_fixed_audit_looks_once():
    rule = recall.FixedAuditRule(0.9, 0.95, size=100)
    y = [1] * 60 + [0] * 40
    assert "99 of 100" in rule(history(y + [0] * 99, "r" * 100 + "a" * 99, 1000)).why
    look = rule(history(y + [0] * 100, "r" * 100 + "a" * 100, 1000))
    again = rule(history(y + [0] * 100 + [0] * 300, "r" * 100 + "a" * 100 + "r" * 300, 1000))
    assert not look.stop and "spent" in look.why and not again.stop


def test_the_policy_audits_after_a_plateau_until_a_hit():
    policy = recall.Policy(least=4, share=0.0)
    def after(y, origin):
        return policy.next_origin(history(y, origin, 100))

    assert after([1, 0, 0, 0], "rrrr") is Origin.RANKED
    assert after([1, 0, 0, 0, 0], "rrrrr") is Origin.AUDIT
    assert after([1, 0, 0, 0, 0, 0, 0], "rrrrraa") is Origin.AUDIT
    assert after([1, 0, 0, 0, 0, 0, 1], "rrrrraa") is Origin.RANKED
    assert after([1, 0, 0, 0, 0, 0, 1, 0], "rrrrraar") is Origin.RANKED
    assert after([1, 0, 0, 0, 0, 0, 1, 0, 0], "rrrrraarr") is Origin.AUDIT
    assert after([1, 0, 0, 0, -1, -1], "rrrrrr") is Origin.RANKED
    assert after([], "") is Origin.RANKED


def simulated_review(rng, n=1500, share=0.08):
    """Return a history of a good ranking stopped half-way, its scores, and the true total."""
    y = (rng.random(n) < share).astype(int)
    scores = 2.5 * y + rng.normal(size=n)
    order = np.argsort(-scores)[: n // 2]
    return History.of(order, y[order], n_records=n), scores, int(y.sum())


def test_estimates_are_near_the_truth_and_say_what_they_assume():
    """40 simulated reviews: both estimates near, and their 95 % intervals mostly cover."""
    rng = np.random.default_rng(5)
    errors, covered = {"s": [], "c": []}, {"s": 0, "c": 0}
    for _ in range(40):
        h, scores, total = simulated_review(rng)
        for kind, estimate in (("s", recall.estimate_from_scores(h, scores, scores)), ("c", recall.estimate_from_curve(h))):
            errors[kind].append(abs(estimate.relevant_total - total) / total)
            covered[kind] += estimate.lower <= h.n_found / total <= estimate.upper
            assert estimate.lower <= estimate.recall <= estimate.upper and estimate.assumes
    assert np.median(errors["s"]) < 0.05 and covered["s"] >= 34
    # Scores like these give no power law: the curve says too much is left, and never too little.
    assert np.median(errors["c"]) < 0.25


def test_estimates_are_none_where_nothing_can_be_said():
    h = history([0, 0, 0], "rrr", 10)
    assert recall.estimate_from_scores(h, np.zeros(10), np.zeros(10)) is None
    assert recall.estimate_from_scores(h, np.zeros(10), None) is None
    assert recall.estimate_from_curve(h) is None


def test_audit_hits_raise_the_estimate():
    rng = np.random.default_rng(6)
    h, scores, _ = simulated_review(rng)
    rest = np.setdiff1d(np.arange(1500), h.rows)[:40]
    y, origin = [*h.y, *([1] * 10 + [0] * 30)], [*h.origin, *["audit"] * 40]
    surprised = History.of([*h.rows, *rest], y, origin, n_records=1500)
    calm = History.of([*h.rows, *rest], [*h.y, *[0] * 40], origin, n_records=1500)
    totals = [recall.estimate_from_scores(x, scores, scores).relevant_total - x.n_found for x in (surprised, calm)]
    assert totals[0] > 2 * totals[1]


def test_the_forecast_ends_where_the_certificate_does():
    done = history([1] * 60 + [0] * 900, "r" * 300 + "a" * 660, 1000)
    assert recall.forecast(done, 0.9, 0.95, np.random.default_rng(0)) == recall.Workload(0, 0, 0, 0)
    begun = history([1] * 60 + [0] * 100, "r" * 160, 1000)
    work = recall.forecast(begun, 0.9, 0.95, np.random.default_rng(0))
    assert 0 < work.zero_hit <= work.p50 and work.p10 <= work.p50 <= work.p90 <= 840
    assert work == recall.forecast(begun, 0.9, 0.95, np.random.default_rng(0))
    # The zero-hit forecast carried out: so many audit misses do certify, and far fewer do not.
    draws = work.zero_hit
    assert recall.certificate(history([1] * 60 + [0] * (100 + draws), "r" * 160 + "a" * draws, 1000), 0.9, 0.95).certified
    assert not recall.certificate(history([1] * 60 + [0] * (100 + draws // 2), "r" * 160 + "a" * (draws // 2), 1000), 0.9).certified
    nothing = recall.forecast(history([0] * 10, "r" * 10, 100), 0.9, 0.95, np.random.default_rng(0))
    assert nothing.p90 <= 90
