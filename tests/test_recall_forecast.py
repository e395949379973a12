"""The forecast of the work left: what it says is what it takes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from recall_helpers import history
from scipy.stats import hypergeom

from triage import recall
from triage.log import History, Origin, PastDraws


def test_the_price_of_certainty_is_the_published_table():
    expected = {
        10: (0.63, 0.78, 0.95, 0.95),
        20: (0.39, 0.63, 0.78, 0.95),
        50: (0.21, 0.39, 0.63, 0.95),
        100: (0.11, 0.22, 0.39, 0.78),
        200: (0.06, 0.12, 0.24, 0.63),
        500: (0.02, 0.05, 0.11, 0.39),
        1000: (0.01, 0.03, 0.05, 0.24),
    }
    for found, shares in expected.items():
        price = recall.price_of_certainty(found, 100_000)
        assert [round(draws / 100_000, 2) for draws in price.values()] == list(shares)


@pytest.mark.parametrize("found, left, target", [(10, 50, 0.8), (30, 200, 0.9), (100, 1000, 0.95), (3, 40, 0.95)])
def test_draws_needed_is_the_exact_test(found, left, target):
    missed = recall.least_missed(found, target)
    draws = recall.draws_needed(found, left, target, 0.95)
    assert hypergeom.pmf(0, left, missed, draws) <= 0.05 < hypergeom.pmf(0, left, missed, draws - 1)


def carried_out(h, target, confidence, policy):
    """Screen on with nothing relevant left, record by record, until the certificate is there."""
    y, origin, pool, stratum = list(h.y), list(h.origin), list(h.pool_size), list(h.stratum)
    done = 0
    while not recall.certificate(
        now := History.of(
            range(len(y)), y, origin, n_records=h.n_records, pool_size=pool, stratum=stratum, past=h.past
        ),
        target,
        confidence,
    ).certified:
        if not now.n_unscreened:
            break
        done += 1
        if -1 in y:
            y[y.index(-1)] = 0
            continue
        origin.append(policy.next_origin(now))
        shown = now.sequence()
        left = h.n_records - np.bincount(now.stratum, minlength=len(h.n_records))
        drawn = np.bincount(shown.stratum[shown.origin == Origin.AUDIT], minlength=len(h.n_records))
        # Which stratum a ranked record comes from is open where there are several: evenly, as forecast.
        evenly = drawn if origin[-1] is Origin.AUDIT else h.n_records - left
        stratum.append(recall.next_stratum(left, evenly))
        pool.append(left[stratum[-1]])
        y.append(0)
    return done


@settings(max_examples=120, deadline=None)
@given(
    st.integers(15, 140),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.5, 0.8, 0.9]),
    st.sampled_from([0.8, 0.95]),
    st.booleans(),
)
def test_the_zero_hit_forecast_carried_out(n, seed, target, confidence, open_labels):
    """On the very certificate: hits before, draws whose record left, plateaus begun, labels awaited."""
    rng = np.random.default_rng(seed)
    policy = recall.Policy(least=6, share=0.0)
    shown = int(rng.integers(3, n))
    y = [1] * int(rng.integers(1, 12))
    origin = ["ranked"] * len(y)
    while len(y) < shown:
        origin.append(str(policy.next_origin(History.of(range(len(y)), y, origin, n_records=n))))
        y.append(int(rng.random() < 0.06))
    y, origin = y[:n], origin[:n]
    if open_labels:
        for at in range(len(y) - 5, len(y)):
            y[at] = -1 if at > 0 and rng.random() < 0.5 else y[at]
    past = PastDraws.of([(len(y), bool(rng.random() < 0.3), n - len(y) + 1, 0)] if rng.random() < 0.3 else [])
    h = History.of(range(len(y)), y, origin, n_records=n, past=past)
    work = recall.forecast(h, target, confidence, np.random.default_rng(0), policy=policy)
    if not h.n_found:
        assert work.zero_hit == h.n_unscreened
    else:
        assert work.zero_hit == carried_out(h, target, confidence, policy)
    assert 0 <= work.p10 <= work.p50 <= work.p90 <= h.n_unscreened


@pytest.mark.parametrize("drawn", [(10, 10), (30, 5), (0, 0), (40, 0)])
def test_the_zero_hit_forecast_carried_out_over_two_strata(drawn):
    stratum = [0] * 30 + [0] * drawn[0] + [1] * drawn[1]
    y, origin = [1] * 10 + [0] * (len(stratum) - 10), "r" * 30 + "a" * sum(drawn)
    h = history(y, origin, [120, 50], stratum=stratum)
    policy = recall.Policy(least=20, share=0.0)
    work = recall.forecast(h, 0.8, 0.8, np.random.default_rng(0), policy=policy)
    assert work.zero_hit == carried_out(h, 0.8, 0.8, policy) > 0


def test_the_forecast_ends_where_the_certificate_does():
    done = history([1] * 60 + [0] * 900, "r" * 300 + "a" * 660, 1000)
    assert recall.forecast(done, 0.9, 0.95, np.random.default_rng(0)) == recall.Workload(0, 0, 0, 0)
    begun = history([1] * 60 + [0] * 100, "r" * 160, 1000)
    work = recall.forecast(begun, 0.9, 0.95, np.random.default_rng(0))
    assert 0 < work.zero_hit <= work.p50 and work.p10 <= work.p50 <= work.p90 <= 840
    assert work == recall.forecast(begun, 0.9, 0.95, np.random.default_rng(0))
    # The zero-hit forecast carried out: so many audit misses do certify, and far fewer do not.
    for draws, enough in ((work.zero_hit, True), (work.zero_hit - 1, False)):
        mixed = ("a" * 20 + "r") * 50  # a ranked record after each twenty draws
        carried_on = history([1] * 60 + [0] * (100 + draws), "r" * 160 + mixed[:draws], 1000)
        assert recall.certificate(carried_on, 0.9, 0.95).certified == enough
    nothing = recall.forecast(history([0] * 10, "r" * 10, 100), 0.9, 0.95, np.random.default_rng(0))
    assert nothing.p90 <= 90


def test_the_forecast_of_a_fixed_audit_is_that_of_its_one_look():
    policy = recall.policy_of("fixed-audit", 0.9, 0.95, audit_size=200)
    rng = np.random.default_rng(0)
    drawing = history([1] * 60 + [0] * 90, "r" * 100 + "a" * 50, 1000)
    assert recall.forecast(drawing, 0.9, 0.95, rng, policy=policy) == recall.Workload(150, 150, 150, 150)
    spent = history([1] * 60 + [0] * 240, "r" * 100 + "a" * 200, 1000)
    look = recall.FixedAuditRule(0.9, 0.95, 200)(spent)
    ahead = recall.forecast(spent, 0.9, 0.95, rng, policy=policy)
    assert ahead == (recall.Workload(0, 0, 0, 0) if look.stop else recall.Workload(700, 700, 700, 700))
    before = recall.forecast(history([1] * 60 + [0] * 10, "r" * 70, 1000), 0.9, 0.95, rng, policy=policy)
    assert 200 <= before.zero_hit <= before.p50 <= before.p90 <= 930


def test_the_plateau_follows_what_is_at_stake():
    policy = recall.Policy(0.9, 0.95)
    assert policy.plateau(50, 1000, 1100) == math.ceil(0.2 * recall.draws_needed(50, 1000, 0.9, 0.95))
    assert policy.plateau(500, 1000, 1100) == policy.least == 20
    assert policy.plateau(0, 4000, 4000) == 200
    lower, higher = recall.Policy(0.8, 0.95), recall.Policy(0.95, 0.95)
    assert lower.plateau(50, 1000, 1100) < policy.plateau(50, 1000, 1100) < higher.plateau(50, 1000, 1100)


def test_where_all_that_is_left_awaits_a_label_the_labels_are_the_work():
    # 8 of 10 judged, 4 of them relevant; the other two were shown and are not judged.
    h = history([1, 1, 1, 1, 0, 0, 0, 0, -1, -1], "r" * 10, 10)
    work = recall.forecast(h, 0.95, 0.95, np.random.default_rng(0))
    assert (work.p10, work.p50, work.p90) == (2, 2, 2) and work.zero_hit == 2
    assert recall.draws_needed(10, 0, 0.9, 0.95) == 0 == recall.draws_needed(10, 1, 0.9, 0.95)
    assert recall.draws_needed(10, 2, 0.9, 0.95) == 1  # both left would have to be relevant to break it


def test_after_so_many_draws_in_a_row_a_ranked_record_is_mixed_in_and_the_audit_goes_on():
    policy = recall.Policy(0.9, 0.95, mix=20)
    y, origin = [1] * 30 + [0] * 300, "r" * 330
    for _ in range(70):
        shown = history(y, origin, 2000)
        origin += "a" if policy.next_origin(shown) is Origin.AUDIT else "r"
        y.append(0)
    assert origin[330:] == ("a" * 20 + "r") * 3 + "a" * 7
    # A relevant one that is drawn ends the audit; before it goes on, a plateau of the ranking.
    assert policy.next_origin(history([*y[:-1], 1], origin, 2000)) is Origin.RANKED
    without = recall.Policy(0.9, 0.95, mix=0)
    assert without.next_origin(history(y[:350], origin[:350], 2000)) is Origin.AUDIT
    assert policy.next_origin(history(y[:350], origin[:350], 2000)) is Origin.RANKED
