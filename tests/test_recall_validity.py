"""That the certificate keeps its promise: exactly on small pools, and by simulation on the boundary."""

import itertools
import math

import numpy as np
import pytest
from conftest import Log
from recall_helpers import history
from scipy.stats import beta

from triage import recall
from triage.log import History, Label, Origin, stage as stages
from triage.screening.pool import Pool

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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("name", list(ADVERSARIES))
def test_the_truth_is_rejected_no_more_often_when_records_come_and_go(name):
    assert rejected(name, 30) <= LEVEL


@pytest.mark.slow
def test_a_draw_forgotten_when_its_record_left_turns_that_test_red():
    def forgetful(h):
        return History(h.rows, h.y, h.origin, h.pool_size, h.stratum, h.n_records)

    assert rejected("hits become copies", 150, seen=forgetful) > LEVEL


@pytest.mark.slow
@pytest.mark.parametrize("name", ["irrelevant away and back", "relevant away and back"])
def test_a_place_kept_while_away_turns_that_test_red(name, monkeypatch):
    audited = stages.audited
    monkeypatch.setattr(stages, "audited", lambda *log: (audited(*log)[0], [set() for _ in log[3]]))
    assert rejected(name, 150) > LEVEL
