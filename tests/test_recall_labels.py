"""What wrong labels do to recall: the reviewers' sensitivity bounded."""

import numpy as np
from scipy.stats import beta, hypergeom

from triage import recall


def test_the_reviewers_sensitivity_is_bounded_exactly():
    # All 50 excluded ones judged again, 3 of them wrongly excluded: nothing is left to doubt.
    known = recall.sensitivity(10, 50, 50, 3)
    assert known.lower == known.estimate == known.upper == known.bound == 10 / 13
    some = recall.sensitivity(100, 1000, 50, 2, 0.9)
    most, least = (round(100 / value) - 100 for value in (some.lower, some.upper))
    assert some.estimate == 100 / 140
    assert hypergeom.cdf(2, 1000, most, 50) > 0.05 >= hypergeom.cdf(2, 1000, most + 1, 50)
    assert hypergeom.sf(1, 1000, least, 50) > 0.05 >= hypergeom.sf(1, 1000, least - 1, 50)
    assert recall.sensitivity(100, 1000, 50, 0).upper == 1.0


def test_the_sensitivity_bound_holds_as_often_as_promised():
    rng, failed = np.random.default_rng(1), 0
    for _ in range(600):
        wrong = rng.hypergeometric(30, 470, 60)
        failed += recall.sensitivity(100, 500, 60, int(wrong), 0.8).bound > 100 / 130
    assert beta.ppf(0.01, failed, 600 - failed + 1) <= 0.1
