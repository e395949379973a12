"""The certificate against hand-computed values, an independent reference, and simulations on the boundary."""

import importlib.util
import itertools
import math

import numpy as np
import pytest
from conftest import SHARED, Log
from hypothesis import given, settings, strategies as st
from scipy.stats import beta, hypergeom

from triage import recall
from triage.log import History, Label, Origin, PastDraws, stage as stages
from triage.recall.rules import exact, ranked_e
from triage.screening.pool import Pool
from triage.stopping_rules import RULES

REFERENCE = SHARED / "checks" / "audit_e_reference.py"


def history(y, origin, n, **options):
    how = {"r": "ranked", "a": "audit", "p": "prior"}
    return History.of(range(len(y)), y, [how[o] for o in origin], n_records=n, **options)


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


# -- validity, exactly ------------------------------------------------------------------------


def expectation(n, relevant, plan, seen=lambda draws: draws, shuffled_again=False):
    """Return the mean of the evidence at the true total over all orders of the labels, all equally likely.

    `plan` says of each record shown whether it is an audit draw ("a") or ranked ("r"). With
    `shuffled_again` an order whose first audit draw hits is thrown away.
    """
    values = []
    for places in itertools.combinations(range(n), relevant):
        y = [int(i in places) for i in range(n)]
        if shuffled_again and y[plan.index("a")]:
            continue
        draws = seen(recall.audit_draws(history(y[: len(plan)], plan, n)))
        values.append(math.exp(float(recall.log_evidence(draws, float(relevant)))))
    return sum(values) / len(values)


PLANS = [(9, 3, "aaaa"), (10, 2, "raara"), (10, 4, "aarra"), (11, 1, "rraaaa"), (11, 3, "ararar")]


def counted_after_the_draw(d):
    return recall.Draws(d.left, d.found + (d.hit & d.here), d.unknown, d.hit, d.here)


def one_too_few_left(d):
    return recall.Draws(d.left - 1, d.found, d.unknown, d.hit, d.here)


def one_too_many_left(d):
    return recall.Draws(d.left + 1, d.found, d.unknown, d.hit, d.here)


def found_by_the_audit_alone(d):
    return recall.Draws(d.left, np.cumsum(d.hit) - d.hit, d.unknown, d.hit, d.here)


@pytest.mark.parametrize("plan", PLANS, ids=[p[2] for p in PLANS])
def test_the_evidence_at_the_truth_is_a_fair_game(plan):
    """Its mean over all orders is exactly what the weights of the epochs begun or yet to begin add up to.

    An epoch that has not begun is worth the weight it will begin with, which is what keeps the mean at 1.
    """
    n, relevant, shown = plan
    decay = recall.AuditE().decay
    outstanding = np.mean(
        [
            decay ** (1 + sum(1 for i, how in enumerate(shown) if how == "a" and i in places))
            for places in itertools.combinations(range(n), relevant)
        ]
    )
    assert expectation(*plan) + outstanding == pytest.approx(1, abs=1e-12)


def test_a_look_at_the_wrong_moment_is_not():
    def unfair(plan, **options):
        fair = expectation(*plan)
        return abs(expectation(*plan, **options) - fair) > 1e-3

    plan = (10, 2, "raara")
    for broken in (counted_after_the_draw, one_too_few_left, one_too_many_left, found_by_the_audit_alone):
        assert unfair(plan, seen=broken), broken.__name__
    assert expectation(*plan, seen=one_too_few_left) > expectation(*plan)
    assert expectation(*plan, shuffled_again=True) > expectation(*plan) + 0.01


# -- validity, by simulation, with the truth on the boundary -----------------------------------


def false_certification_rate(
    bound, runs, seed, n=120, relevant=12, found=9, share_audit=0.5, hidden=False, lucky=False
):
    """Screen a pool with `found` relevant at the top and the rest at random or last; look after every record.

    `bound` gives the largest total not rejected. A run fails when the true total was rejected at any look.
    Returned is the lower bound (99 %) of the rate of such runs.
    """
    rng = np.random.default_rng(seed)
    failed = 0
    for _ in range(runs):
        y = np.zeros(n, int)
        y[:found] = 1
        rest = np.arange(found, n)
        y[rest[-(relevant - found) :] if hidden else rng.choice(rest, relevant - found, replace=False)] = 1
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
    return beta.ppf(0.01, max(failed, 1e-9), runs - failed + 1)


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


@pytest.mark.parametrize(
    "setting", [dict(), dict(hidden=True), dict(share_audit=1.0)], ids=["mixed", "hidden cluster", "audit alone"]
)
def test_the_true_total_is_rejected_no_more_often_than_promised(setting):
    """300 runs of 55 looks each: the lower bound of the rate (99 %) must not exceed alpha."""
    assert false_certification_rate(ours, 300, seed=1, **setting) <= ALPHA


@pytest.mark.parametrize("broken", [counted_after, pool_too_small, point_estimate])
def test_a_broken_bound_turns_that_test_red(broken):
    assert false_certification_rate(broken, 150, seed=1, share_audit=1.0) > ALPHA


def test_a_permutation_shuffled_until_it_suits_turns_that_test_red():
    assert false_certification_rate(ours, 100, seed=1, share_audit=1.0, lucky=True) > ALPHA


# -- validity when records leave the stage and come back --------------------------------------

LEVEL = 0.1


def screen_while(adversary, seed, *, n, found, missed, draws, seen=lambda history: history):
    """Audit a stage whose records somebody links, removes and brings back; tell whether the truth was ever rejected.

    `adversary` is a generator that is sent (stage, pool, record drawn) after each draw, and yields
    whether it moved records. `seen` is what the certificate sees of the history.
    """
    rng = np.random.default_rng(seed)
    log = Log()
    y = np.zeros(n + 1, int)
    y[1 : found + 1] = 1
    y[rng.choice(np.arange(found + 1, n + 1), missed, replace=False)] = 1
    log.plan(rng.permutation(np.arange(1, n + 1)))
    for record_id in range(1, found + 1):
        log.show(record_id)
        log.decide(record_id, Label.INCLUDE)
    moves = adversary(log, y)
    next(moves)

    def sit():
        if len(more := log.stage(n).to_commit):
            log.plan(rng.permutation(more))
        stage = log.stage(n)
        return stage, Pool.of(stage)

    stage, pool = sit()
    for _ in range(draws):
        row = pool.audit_row()
        record_id = int(stage.record_ids[row])
        log.show(record_id, Origin.AUDIT, pool.left(row))
        pool.show(row, Origin.AUDIT)
        log.decide(record_id, Label.INCLUDE if y[record_id] else Label.EXCLUDE)
        pool.y[row] = y[record_id]
        if moves.send((stage, pool, record_id)):
            stage, pool = sit()
        if recall.certificate(seen(pool.history()), 0.95, 1 - LEVEL).relevant_upper < y[stage.record_ids].sum():
            return True
    return False


def hits_become_copies(log, y):
    """Whatever the audit finds turns out to be a copy of a record found before."""
    got = yield
    while True:
        if y[got[2]]:
            log.link(got[2], 1)
        got = yield bool(y[got[2]])


def away_and_back(wanted, most, after):
    """Some records are removed after the first draw and brought back some draws later."""

    def moves(log, y):
        stage, pool, _ = yield
        unshown = [int(r) for r in stage.record_ids[~pool.shown] if y[r] == wanted]
        removals = [log.remove(record_id) for record_id in unshown[:most]]
        for draw in range(after):
            yield draw == 0
        for removal in removals:
            log.undo(removal)
        yield True
        while True:
            yield False

    return moves


ADVERSARIES = {
    "hits become copies": (hits_become_copies, dict(n=66, found=6, missed=5, draws=40)),
    "irrelevant away and back": (away_and_back(0, 174, 5), dict(n=200, found=6, missed=4, draws=70)),
    "relevant away and back": (away_and_back(1, 3, 25), dict(n=66, found=6, missed=5, draws=40)),
}


def rejected(name, runs, **options):
    adversary, setting = ADVERSARIES[name]
    failed = sum(screen_while(adversary, seed, **setting, **options) for seed in range(runs))
    return beta.ppf(0.01, max(failed, 1e-9), runs - failed + 1)


@pytest.mark.parametrize("name", list(ADVERSARIES))
def test_the_truth_is_rejected_no_more_often_when_records_come_and_go(name):
    assert rejected(name, 30) <= LEVEL


def test_a_draw_forgotten_when_its_record_left_turns_that_test_red():
    def forgetful(h):
        return History(h.rows, h.y, h.origin, h.pool_size, h.stratum, h.n_records)

    assert rejected("hits become copies", 150, seen=forgetful) > LEVEL


@pytest.mark.parametrize("name", ["irrelevant away and back", "relevant away and back"])
def test_a_place_kept_while_away_turns_that_test_red(name, monkeypatch):
    audited = stages.audited
    monkeypatch.setattr(stages, "audited", lambda *log: (audited(*log)[0], [set() for _ in log[3]]))
    assert rejected(name, 150) > LEVEL


# -- rules, estimates, workload ---------------------------------------------------------------


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


def test_least_missed_survives_floating_point():
    assert [recall.least_missed(*case) for case in ((19, 0.95), (20, 0.8), (0, 0.95))] == [2, 6, 1]


def test_elusion_is_the_exact_bound():
    upper = recall.elusion_upper(500, 100, 1, 0.05)
    assert hypergeom.cdf(1, 500, upper, 100) > 0.05 >= hypergeom.cdf(1, 500, upper + 1, 100)
    assert recall.elusion_upper(50, 50, 2, 0.05) == 2


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
        carried_on = history([1] * 60 + [0] * (100 + draws), "r" * 160 + "a" * draws, 1000)
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


# -- wrong labels -----------------------------------------------------------------------------


def test_hypergeometric_chances_are_those_of_scipy():
    rng = np.random.default_rng(0)
    total = rng.integers(5, 300, 200)
    relevant, drawn = rng.integers(0, total + 1), rng.integers(0, total + 1)
    most = rng.integers(-1, np.minimum(relevant, drawn) + 1)
    ours = exact.hypergeometric(most, total, relevant, drawn)
    assert ours == pytest.approx(hypergeom.cdf(most, total, relevant, drawn), abs=1e-12)
