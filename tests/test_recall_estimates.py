"""Estimates of recall and of what is missed, and what they assume."""

import numpy as np
import pytest
from recall_helpers import history
from scipy.stats import hypergeom

from triage import recall
from triage.log import History


def test_least_missed_survives_floating_point():
    assert [recall.least_missed(*case) for case in ((19, 0.95), (20, 0.8), (0, 0.95))] == [2, 6, 1]


def test_elusion_is_the_exact_bound():
    upper = recall.elusion_upper(500, 100, 1, 0.05)
    assert hypergeom.cdf(1, 500, upper, 100) > 0.05 >= hypergeom.cdf(1, 500, upper + 1, 100)
    assert recall.elusion_upper(50, 50, 2, 0.05) == 2


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
        estimates = {"s": recall.estimate_from_scores(h, scores, scores), "c": recall.estimate_from_curve(h)}
        for kind, estimate in estimates.items():
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


def test_where_everything_is_screened_nothing_is_missed():
    scores = np.array([3.0, 2.0, 1.0, 0.0, -1.0, -2.0])
    whole = recall.estimate_from_scores(history([1, 1, 0, 1, 0, 0], "r" * 6, 6), scores, scores)
    assert (whole.recall, whole.lower, whole.upper, whole.relevant_total) == (1, 1, 1, 3)


def test_a_curve_that_rises_is_taken_for_a_level_one():
    # 10 of 60, the later the more: the 60 records left are thought to hold as many.
    rising = recall.estimate_from_curve(history([0] * 50 + [1] * 10, "r" * 60, 120))
    assert rising.relevant_total == pytest.approx(20) and rising.recall == pytest.approx(0.5)
    assert rising.lower < 0.5 < rising.upper


def test_a_label_without_a_held_out_score_is_its_own_probability():
    scores = np.linspace(4, -4, 40)
    y = [1, 1, 1, 0, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    h = history(y, "r" * 20, 40)
    held_out = scores.copy()
    held_out[[2, 3]] = np.nan
    p = recall.calibrated(h, scores, held_out)
    assert p[2] == 1 and p[3] == 0
    assert ((p[4:] > 0) & (p[4:] < 1)).all() and (np.diff(p[20:]) <= 0).all()
    assert recall.calibrated(history([1, 1], "rr", 40), scores, held_out) is None
