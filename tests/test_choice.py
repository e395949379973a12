"""Records that a person chose, perhaps knowing the audit permutation, win no evidence."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import PROTOCOL

from triage import intake, recall
from triage.log import ChosenAhead, Event, History, Kind, Label, Origin, PastDraws, stage_of
from triage.log.printing import event_as_json
from triage.project import Project
from triage.records import Record
from triage.screening.journal import commit_audit
from triage.screening.pool import Pool

R, A, C = Origin.RANKED, Origin.AUDIT, Origin.CHOSEN


def history_of(rows, y, origin, n, chosen):
    history = History.of(rows, y, origin, n_records=n)
    return history.guarded(np.array(chosen, bool), np.arange(n))


def test_a_relevant_record_chosen_ahead_is_a_hit_where_the_cursor_passes_it():
    # The permutation is 0, 1, 2, ...: record 2 is taken out of the way, and the draw of 3 passes it.
    history = history_of([2, 0, 1, 3, 4], [1, 0, 0, 0, 0], [C, A, A, A, A], 10, [1, 0, 0, 0, 0])
    assert history.ahead.place.tolist() == [3] and history.ahead.pool_size.tolist() == [7]
    draws = recall.audit_draws(history)
    assert draws.hit.tolist() == [False, False, True, False, False]
    assert draws.found.tolist() == [1, 1, 1, 1, 1]  # it is found once, when it was shown
    assert draws.left.tolist() == [9, 8, 7, 7, 6]
    # By hand, of five relevant records: misses at 4/9 and 4/8, a hit, misses at 4/7 and 4/6, and two epochs.
    p = [4 / 9, 4 / 8, None, 4 / 7, 4 / 6]
    weights = recall.AuditE()
    expected = 0.0
    for c, v in zip(weights.bets, weights.weights, strict=True):
        factors = [c if one is None else (1 - c * one) / (1 - one) for one in p]
        first = (1 - weights.decay) * math.prod(factors)
        second = (1 - weights.decay) * weights.decay * math.prod(factors[3:])
        expected += v * (first + second)
    assert recall.log_evidence(draws, 5.0) == pytest.approx(math.log(expected), rel=1e-12)
    assert recall.certificate(history).audit_draws == 4


@pytest.mark.parametrize(
    ("why", "y", "chosen", "rows", "places"),
    [
        ("irrelevant", 0, 1, [2, 0, 1, 3], []),
        ("without a label", -1, 1, [2, 0, 1, 3], [3]),
        ("chosen before the permutation was committed", 1, 0, [2, 0, 1, 3], []),
        ("not passed yet", 1, 1, [7, 0, 1, 3], []),
    ],
)
def test_when_a_chosen_record_counts(why, y, chosen, rows, places):
    history = history_of(rows, [y, 0, 0, 0], [C, A, A, A], 10, [chosen, 0, 0, 0])
    assert history.ahead.place.tolist() == places, why


def test_a_draw_of_a_record_that_has_left_passes_a_chosen_one_too():
    past = PastDraws.of([(2, False, 8, 0)], cursor=[5])  # it stood behind five of those that are here
    history = replace(History.of([4, 0, 1], [1, 0, 0], [C, A, A], n_records=9), past=past)
    ahead = history.guarded(np.array([1, 0, 0], bool), np.arange(9)).ahead
    assert ahead.place.tolist() == [2] and ahead.pool_size.tolist() == [8]


@pytest.fixture
def project(tmp_path):
    with Project.create(tmp_path / "r.triage", PROTOCOL) as made:
        records = [Record(title=f"title {n}") for n in range(600)]
        made.records.add(
            records, range(600), name="a.ris", source="s", format="ris", sha256="1", announced=600, problems=[]
        )
        yield made


def judge(project, ids, label, origin=None):
    if origin is not None:
        left = len(project.stage().record_ids) - project.stage().history().n_screened
        sizes = [left - n for n in range(len(ids))]
        project.log.show("abstract", ids, [origin] * len(ids), sizes, reviewer="ann")
    decisions = [{"record_id": i, "label": label, "origin": origin or Origin.CHOSEN} for i in ids]
    project.log.decide("abstract", decisions, reviewer="ann")


@pytest.mark.parametrize("read_ahead", [True, False])
def test_who_reads_the_permutation_ahead_and_takes_the_relevant_out_of_its_way_gets_no_certificate(project, read_ahead):
    commit_audit(project)
    order = project.stage().record_ids[project.stage().strata[0]].tolist()  # what only the review's file holds
    draws, rest = order[:280], order[280:]
    hidden = [*draws[5:285:40], *rest[:20]]  # 7 relevant records among the draws to come, 20 behind them
    judge(project, rest[100:140], Label.INCLUDE, Origin.RANKED)
    if read_ahead:
        judge(project, draws[5:285:40], Label.INCLUDE)
    judge(project, [i for i in draws if i not in hidden], Label.EXCLUDE, Origin.AUDIT)
    history = project.stage().history()
    found = 47 if read_ahead else 40
    assert history.n_found == found and history.n_found / 67 < 0.71
    assert len(history.ahead) == (7 if read_ahead else 0)
    honest = recall.certificate(history, 0.8, 0.95)
    if read_ahead:
        assert not honest.certified and honest.recall_lower <= 47 / 67
        # Without the guard the choice would have bought a certificate that is false.
        assert recall.certificate(replace(history, ahead=ChosenAhead.none()), 0.8, 0.95).certified
    assert Pool.of(project.stage()).history().ahead.place.tolist() == history.ahead.place.tolist()


def test_what_is_logged_with_the_permutation_was_chosen_by_nobody_who_knew_it(project, tmp_path):
    for name, ids in (("first", range(1, 300)), ("later", range(300, 560))):
        table = tmp_path / f"{name}.csv"
        table.write_text("record_id,label\n" + "".join(f"{i},include\n" for i in ids))
        intake.label(project, table, reviewer="ann")
    stage = project.stage()
    kinds = [e.kind for e in project.log.events()]
    assert kinds.index(Kind.PLAN) == 0 and kinds.count(Kind.PLAN) == 1
    chosen = stage.history().chosen
    assert chosen.tolist() == [False] * 299 + [True] * 260
    # A draw from the very end of the permutation passes all that were chosen later, and none of the first.
    unseen = [i for i in stage.record_ids[stage.strata[0]].tolist() if i >= 560]
    judge(project, unseen, Label.EXCLUDE, Origin.AUDIT)
    passed = project.stage().history().ahead
    position = {i: n for n, i in enumerate(stage.record_ids[stage.strata[0]].tolist())}
    assert len(passed) == sum(position[i] < position[unseen[-1]] for i in range(300, 560))


def test_no_command_prints_the_seed_of_an_older_log_either():
    note = json.dumps({"stratum": 0, "seed": 12345, "sha256": "ab", "bets": [0.0]})
    printed = event_as_json(Event(1, Kind.PLAN, at=_now(), stage="abstract", note=note))
    assert "12345" not in json.dumps(printed) and json.loads(printed["note"])["sha256"] == "ab"


def _now():
    from datetime import UTC, datetime

    return datetime.now(UTC)


def test_with_the_relevant_ones_chosen_ahead_the_evidence_is_never_above_that_of_nobody_choosing():
    """Random reviews, 300 of them: whoever takes relevant records out of the way gains nothing by it."""
    rng = np.random.default_rng(11)
    for _ in range(300):
        n = int(rng.integers(30, 90))
        y = np.zeros(n, int)
        y[rng.permutation(n)[: int(rng.integers(2, 10))]] = 1
        draws = int(rng.integers(10, n - 5))
        relevant = np.flatnonzero(y[:draws])
        taken = relevant[rng.random(len(relevant)) < 0.6].tolist()
        order = [*taken, *(i for i in range(draws) if i not in taken)]
        origin = [C] * len(taken) + [A] * (draws - len(taken))
        chosen = history_of(order, y[order].tolist(), origin, n, [i < len(taken) for i in range(draws)])
        bare = History.of(range(draws), y[:draws].tolist(), [A] * draws, n_records=n)
        for total in range(int(y.sum()), n, 7):
            ours = float(recall.highest_log_evidence(recall.audit_draws(chosen), float(total)))
            theirs = float(recall.highest_log_evidence(recall.audit_draws(bare), float(total)))
            if math.isfinite(theirs):
                assert ours <= theirs + 1e-9


def test_a_stage_without_a_permutation_guards_nothing():
    live_log = [Event(1, Kind.DECISION, _now(), "abstract", 3, "ann", Label.INCLUDE, origin=Origin.CHOSEN)]
    assert not stage_of("abstract", (), np.arange(1, 9), live_log, ()).history().chosen.any()
