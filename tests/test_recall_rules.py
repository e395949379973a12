"""Stopping rules: at their edges, against their definitions, and as valid as they claim."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from recall_helpers import history
from scipy.stats import beta, hypergeom

from triage import recall
from triage.log import History, Origin, PastDraws
from triage.recall.rules import exact, ranked_e
from triage.stopping_rules import RULES

# -- each rule ------------------------------------------------------------------------------------


def cmh_by_definition(y, total, target):
    """Callaghan & Mueller-Hansen for every i, as written."""
    n, found, smallest = len(y), sum(y), 1.0
    for i in range(1, n + 1):
        hits = sum(y[n - i :])
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


def test_cmh_divides_its_error_over_its_looks():
    # One found in 101 records, and 80 % asked for: a single missed one breaks it, which the n - 1 records after the
    # first would all miss with 1 - (n - 1) / 100. The first look has half of the error: .025.
    published, divided = recall.CmhRule(0.8, 0.95), recall.CmhRule(0.8, 0.95, look_every=97)
    h = history([1] + [0] * 96, "r" * 97, 101)
    assert published.p_value(h) == pytest.approx(0.04)
    assert published(h).stop and not divided(h).stop and "look 1, at the level 0.025" in divided(h).why
    # What was screened after the last look is not looked at.
    later = history([1] + [0] * 98, "r" * 99, 101)
    assert published.p_value(later) == pytest.approx(0.02) and not divided(later).stop
    assert recall.CmhRule(0.8, 0.95, look_every=99)(later).stop
    assert "after every 97 records" in divided(history([1] + [0] * 95, "r" * 96, 101)).why
    assert published.p_value(history([0, 0], "rr", 10)) == 1.0
    assert published.p_value(history([1, 1, 1, 1, 0], "rrrrr", 6)) == 0.0  # the one that is left cannot break it


def test_the_knee_by_hand():
    rule = recall.KneeRule(0.95, 0.95, least=10)
    assert "it looks from 10 screened" in rule(history([1, 0, 0], "rrr", 1000)).why
    # Five found at once: a slope of 1 up to the bend at 5, and of 1 / (n - 5) after it, against 156 - 5.
    for n, ratio, stop in ((155, "150.0", False), (156, "151.0", True)):
        verdict = rule(history([1] * 5 + [0] * (n - 5), "r" * n, 1000))
        assert verdict.stop is stop and f"{ratio} times flatter" in verdict.why and "asks for 151" in verdict.why
    late = rule(history([0] * 9 + [1], "r" * 10, 1000))
    assert not late.stop and "not bent yet" in late.why


def test_quant_is_the_published_formula():
    rng = np.random.default_rng(3)
    truth = (rng.random(300) < 0.15).astype(int)
    scores = 3 * truth + rng.normal(size=300)
    rows = np.argsort(-scores)[:200]
    h = History.of(rows, truth[rows], n_records=300)
    p = recall.calibrated(h, scores, scores).tolist()
    screened = {int(row) for row in rows}
    known, total = sum(p[i] for i in screened), sum(p)
    variance = known**2 / total**4 * sum(x * (1 - x) for x in p)
    variance += sum(p[i] * (1 - p[i]) for i in screened) / total**2
    estimate = recall.QuantRule(0.5, 0.95)(h, scores, scores).estimate
    assert estimate.recall == pytest.approx(known / total) and estimate.relevant_total == pytest.approx(total)
    assert estimate.lower == pytest.approx(known / total - 1.959964 * variance**0.5)
    for target, stop in ((estimate.lower - 1e-6, True), (estimate.lower + 1e-6, False)):
        assert recall.QuantRule(target, 0.95)(h, scores, scores).stop is stop
    assert "no ranking covers the records" in recall.QuantRule(0.5, 0.95)(h).why
    older = recall.QuantRule(0.5, 0.95)(h, scores, np.full(300, np.nan))
    assert not older.stop and "older than the labels" in older.why


def test_too_few_left_to_break_the_target_need_no_run():
    # 10 found: two missed break 90 %, and one is left.
    rule = recall.RankedERule(0.9, 0.95)
    verdict = rule(history([0] * 3 + [1] * 10, "r" * 13, 14))
    assert verdict.stop and "Were the one record left relevant" in verdict.why
    assert not rule(history([0] * 3 + [1] * 10, "r" * 13, 15)).stop
    # A draw without a label ends the draws: here there is none, and no run.
    verdict = rule(history([-1, 1], "rp", 60))
    assert not verdict.stop and "No run of irrelevant records would do yet" in verdict.why
    assert (rule.policy().share, rule.policy().target, rule.policy().confidence) == (0.3, 0.9, 0.95)


@pytest.mark.parametrize("name", list(RULES))
def test_rules_at_their_edges(name):
    rule = recall.rule_of(name, 0.95, 0.95)
    for h in (History.of([], [], n_records=10), history([0] * 8, "r" * 8, 10), history([1], "r", 10)):
        verdict = rule(h)
        assert verdict.name == name and not verdict.stop and not verdict.certified and verdict.why
    done = rule(history([1, 0, 0], "rrr", 3))
    assert done.stop and done.certified == (RULES[name].promise == "certificate")


def test_only_the_audits_certify():
    y = [1] * 60 + [0] * 900
    found = {name: recall.rule_of(name, 0.9, 0.95)(history(y, "r" * 300 + "a" * 660, 1000)) for name in RULES}
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


def test_the_fixed_audit_when_nothing_is_left_to_draw():
    """Others chose most of the first stratum's records between two draws; a second stratum is still open."""
    rule = recall.FixedAuditRule(0.5, 0.8, size=20)
    y, origin = [1] * 10 + [0] + [0] * 18 + [0], "r" * 10 + "a" + "p" * 18 + "a"
    look = rule(history(y, origin, [30, 4], stratum=[0] * 30))
    assert "2 draws" in look.why and look.stop  # all of the first stratum is known: 10 of at most 14


def test_a_draw_whose_record_left_stays_in_the_fixed_sample():
    rule = recall.FixedAuditRule(0.9, 0.95, size=50)
    y = [1] * 60 + [0] * 89
    origin = "r" * 100 + "a" * 49
    sizes = [*range(600, 500, -1), *range(499, 450, -1)]
    for hit in (0, 1):
        past = PastDraws.of([(100, bool(hit), 500, 0)])
        sample = rule.sample(history(y, origin, 599, pool_size=sizes, past=past))
        assert (len(sample.y), sample.size, sample.left, int((sample.y == 1).sum())) == (50, 50, 500, hit)


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


# -- the conditional test that is valid at every look -----------------------------------------


def runs_of(y, n, origin=None, target=0.5, confidence=0.8, **options):
    return recall.RankedERule(target, confidence).runs(history(y, origin or "r" * len(y), n, **options))


def test_the_runs_by_hand():
    # Target 50 %, error .2. One found, ten left: three relevant in all break the target, so two are left.
    # Of 10, C(8, 5) / C(10, 5) = .222 of five draws miss them and C(8, 6) / C(10, 6) = .133 of six.
    first = ranked_e.Run(3, 6)
    assert runs_of([1, 0, 0, 0], 11) == [first]
    # Two found, six left, five in all break it. Had there been five, the first run had come with
    # C(6, 6) / C(10, 6) = 1 / 210, which is spent. Two draws miss three of six with .2, too much by now.
    assert runs_of([1, 0, 0, 0, 1, 0, 0], 11) == [first, ranked_e.Run(2, 3)]
    rule = recall.RankedERule(0.5, 0.8)
    assert not rule(history([1, 0, 0, 0, 1, 0, 0], "r" * 7, 11)).stop
    assert rule(history([1, 0, 0, 0, 1, 0, 0, 0], "r" * 8, 11)).stop
    # A stop is not taken back by what is found later.
    assert rule(history([1] + [0] * 6, "r" * 7, 11)).stop and rule(history([1] + [0] * 6 + [1], "r" * 8, 11)).stop


def test_what_is_a_draw_of_a_run():
    run = ranked_e.Run
    # Random draws count; records that somebody chose do not, and one that is relevant begins a run.
    assert runs_of([1, 0, 0, 0], 11, "rrar") == [run(3, 6)]
    assert runs_of([1, 0, 0, 0], 11, "rppr") == [run(1, 6)]
    assert [r.misses for r in runs_of([1, 0, 1, 0, 0], 11, "prprr")] == [1, 2]
    # The draws end at the first without a label; a chosen record without one may be relevant.
    assert runs_of([1, 0, -1, 0, 0, 0, 0], 11) == [run(1, 6)]
    assert [r.misses for r in runs_of([1, 0, -1, 0], 11, "rrpr")] == [1, 1]
    assert runs_of([-1, 0, 0], 11, "prr") == []
    # A draw whose record has left and that hit ends the run; it is none of the relevant records.
    left = runs_of([1, 0, 0, 0], 10, pool_size=[11, 10, 8, 7], past=PastDraws.of([(2, True, 9, 0)]))
    assert left == [run(1, 6), runs_of([1, 0, 0], 9, "rpr")[0].__class__(2, left[1].needed)]
    # Where records were added it begins with the first of them that is shown.
    assert runs_of([1, 0, 0, 0, 0], [11, 5], stratum=[0, 0, 0, 1, 0])[0].misses == 2
    assert runs_of([1, 0, 0, 0, 0], [11, 5], stratum=[0] * 5) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(10, 120), st.floats(0.02, 0.5), st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.8, 0.95]))
def test_no_total_that_breaks_the_target_spends_more_than_the_error(n, share, seed, target):
    """Every total tried, with the hypergeometric chance of each run by scipy."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < share).astype(int)[: rng.integers(1, n + 1)]
    runs, hits = runs_of(y, n, target=target), np.flatnonzero(y)
    assert len(runs) == len(hits)
    spent = np.zeros(n + 2)
    for found, (at, run) in enumerate(zip(hits, runs), 1):
        least, left = math.floor(found / target + 1e-9) + 1, n - at - 1
        totals = np.arange(least, found + left + 1)
        if run.needed is None:
            assert not len(totals) or spent[least] > 0
            continue
        spent[totals] += hypergeom.pmf(0, left, totals - found, run.needed)
        assert (spent[totals] <= 0.2 + 1e-9).all()
        shorter = spent[least] + hypergeom.pmf(0, left, least - found, run.needed - 1)
        shorter -= hypergeom.pmf(0, left, least - found, run.needed)
        assert shorter > 0.2 - 1e-9  # and it is the least run


def false_stops(n, relevant, lead, target, confidence):
    """Return the share of all orders, after `lead` relevant records at the top, with a stop below the target."""
    bad = orders = 0
    for places in itertools.combinations(range(lead, n), relevant - lead):
        y = np.zeros(n, int)
        y[:lead] = y[list(places)] = 1
        runs = runs_of(y, n, target=target, confidence=confidence)
        below = [run for found, run in enumerate(runs, 1) if found < target * relevant - 1e-9]
        bad += any(run.needed is not None and run.misses >= run.needed for run in below)
        orders += 1
    return bad / orders


RANKINGS = [(11, 4, 0, 0.9), (13, 5, 2, 0.9), (18, 9, 5, 0.8), (17, 9, 5, 0.8)]


@pytest.mark.parametrize("ranking", RANKINGS)
def test_the_conditional_test_is_valid_exactly(ranking):
    """All orders, a look after every record: random from the start, or after a ranking that began well."""
    assert false_stops(*ranking, 0.7) <= 0.3 + 1e-12


def test_runs_that_cost_nothing_are_not_valid(monkeypatch):
    monkeypatch.setattr(ranked_e, "log_no_hit", lambda left, *_: np.full(len(left), -np.inf))
    assert max(false_stops(*ranking, 0.7) for ranking in RANKINGS) > 0.33


def test_runs_from_a_pool_counted_too_small_are_not_valid(monkeypatch):
    left_after = ranked_e._left_after
    monkeypatch.setattr(ranked_e, "_left_after", lambda *a: left_after(*a) - 1)
    assert max(false_stops(*ranking, 0.7) for ranking in RANKINGS) > 0.33


def test_the_conditional_test_holds_where_the_ranking_is_random():
    """1,500 random orders with a look after every record: stops below the target are as rare as promised."""
    rng, n, relevant, failed = np.random.default_rng(3), 200, 30, 0
    for _ in range(1500):
        y = np.zeros(n, np.int8)
        y[rng.choice(n, relevant, replace=False)] = 1
        runs = runs_of(y, n, target=0.95, confidence=0.95)
        failed += any(run.needed is not None and run.misses >= run.needed for run in runs[:28])  # 29 are 96.7 %
    assert 0 < beta.ppf(0.01, failed, 1500 - failed + 1) <= 0.05


def test_hypergeometric_chances_are_those_of_scipy():
    rng = np.random.default_rng(0)
    total = rng.integers(5, 300, 200)
    relevant, drawn = rng.integers(0, total + 1), rng.integers(0, total + 1)
    most = rng.integers(-1, np.minimum(relevant, drawn) + 1)
    ours = exact.hypergeometric(most, total, relevant, drawn)
    assert ours == pytest.approx(hypergeom.cdf(most, total, relevant, drawn), abs=1e-12)
