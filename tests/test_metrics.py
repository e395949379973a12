"""Metrics by their formulas, on lists short enough to count by hand."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st

from triage import metrics

# Ten records, the relevant ones at places 1, 2, 5 and 9 (from 1).
TEN = [1, 1, 0, 0, 1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize(
    "recall, work",
    [
        (0.25, 0.1),  # 1 of 4 at place 1
        (0.26, 0.2),  # ceil(1.04) = 2
        (0.5, 0.2),
        (0.75, 0.5),
        (0.76, 0.9),  # ceil(3.04) = 4
        (0.95, 0.9),
        (1.0, 0.9),
        (0.0, 0.0),  # nothing is needed
    ],
)
def test_work_to_recall(recall, work):
    assert metrics.work_to_recall(TEN, recall) == pytest.approx(work, abs=1e-15)


@pytest.mark.parametrize("recall, saved", [(0.5, 0.8 - 0.5), (0.75, 0.5 - 0.25), (0.95, 0.1 - 0.05), (1.0, 0.1)])
def test_wss_is_cohens(recall, saved):
    """(N - k) / N - (1 - r): at r = .75, k = 5, so (10 - 5) / 10 - .25."""
    assert metrics.wss(TEN, recall) == pytest.approx(saved, abs=1e-15)


def test_wss_is_negative_where_ranking_is_worse_than_chance():
    assert metrics.wss([0, 0, 0, 0, 1], 0.95) == pytest.approx(-0.05, abs=1e-15)


def test_average_time_to_discovery_counts_from_one():
    assert metrics.average_time_to_discovery(TEN) == pytest.approx((1 + 2 + 5 + 9) / 4 / 10, abs=1e-15)
    assert metrics.average_time_to_discovery([1] + [0] * 99) == pytest.approx(0.01, abs=1e-15)


@pytest.mark.parametrize(
    "fraction, recall",
    [
        (0.1, 0.25),
        (0.2, 0.5),
        (0.5, 0.75),
        (0.9, 1.0),
        (1.0, 1.0),
        (0.49, 0.5),  # floor(4.9) = 4 records
        (0.01, 0.25),  # one record at least
        (0.0, 0.25),
    ],
)
def test_recall_at(fraction, recall):
    assert metrics.recall_at(TEN, fraction) == recall


@pytest.mark.parametrize("y", [[], [0], [0, 0, 0]])
def test_nothing_relevant_gives_no_number(y):
    assert set(metrics.summary(y).values()) == {None}


def test_one_record():
    assert metrics.summary([1]) == {
        "work@0.95": 1.0,
        "work@1.0": 1.0,
        "wss@0.95": pytest.approx(-0.05),
        "atd": 1.0,
        "recall@0.1": 1.0,
        "recall@0.2": 1.0,
    }


def test_the_summary_has_the_names_that_programs_read():
    y = [1] * 19 + [0] * 80 + [1]
    assert metrics.summary(y) == {
        "work@0.95": 0.19,  # ceil(.95 x 20) = 19, though .95 * 20 is 19.000000000000004 in some orders
        "work@1.0": 1.0,
        "wss@0.95": pytest.approx(0.81 - 0.05),
        "atd": pytest.approx((sum(range(1, 20)) + 100) / 20 / 100),
        "recall@0.1": 0.5,
        "recall@0.2": 0.95,
    }


@given(st.integers(1, 100_000), st.integers(1, 100))
def test_what_is_needed_survives_floating_point(relevant, percent):
    exact = -(-relevant * percent // 100)
    assert metrics.relevant_needed(relevant, percent / 100) == exact


@given(st.lists(st.integers(0, 1), min_size=1, max_size=120), st.integers(1, 100))
def test_every_metric_by_its_definition(y, percent):
    """Against the definitions written out in whole numbers and fractions."""
    n, total = len(y), sum(y)
    places = [i for i, label in enumerate(y, 1) if label]
    share = Fraction(percent, 100)
    if not total:
        assert metrics.work_to_recall(y, float(share)) is None
        return
    k = next(i for i in range(1, n + 1) if sum(y[:i]) >= math.ceil(share * total))
    assert metrics.work_to_recall(y, percent / 100) == pytest.approx(k / n, abs=1e-12)
    assert metrics.wss(y, percent / 100) == pytest.approx(float(Fraction(n - k, n) - (1 - share)), abs=1e-12)
    assert metrics.average_time_to_discovery(y) == pytest.approx(sum(places) / total / n, abs=1e-12)
    first = max(1, math.floor(share * n))
    assert metrics.recall_at(np.array(y, np.int8), percent / 100) == pytest.approx(sum(y[:first]) / total, abs=1e-12)
