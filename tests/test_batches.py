"""Batches that are handed out and taken back: what returns to the pool, and that the certificate stays valid."""

import json
import math

import numpy as np
import pytest
from conftest import PROTOCOL, Log, both_storages

from triage import cli, intake, recall, status
from triage.errors import InputError
from triage.log import Kind, Label, LogFold, Origin, audited, batches, fold
from triage.project import Project
from triage.recall.evidence import audit_draws, highest_log_evidence
from triage.screening.journal import commit_audit
from triage.screening.opening import hand_out, open_session

INCLUDE, EXCLUDE = Label.INCLUDE, Label.EXCLUDE
TWO = PROTOCOL.replace('model = "fast"', 'model = "fast"\nreviewers_per_record = 2')
storage = both_storages


def handed(log, record_id, origin=Origin.RANKED, pool_size=1, reviewer="ann"):
    return log.add(
        Kind.SHOWN,
        stage=log.name,
        record_id=record_id,
        reviewer=reviewer,
        origin=origin,
        pool_size=pool_size,
        note="next.csv",
    )


def live_of(log):
    """Fold the log at once and event by event; both must say the same."""
    at_once, one_by_one = fold(log.events), LogFold()
    for e in log.events:
        one_by_one.apply([e])
    assert one_by_one.live == at_once
    return at_once


def shown(log):
    live = live_of(log)
    return {r: e.seq for (_, r), e in live.shown.items()}, {r for _, r in live.returned}


# -- the log ------------------------------------------------------------------------------------


def test_a_record_that_a_batch_alone_has_shown_returns_to_the_pool_and_is_shown_anew():
    log = Log()
    first, second = handed(log, 1), handed(log, 2)
    log.undo(first)
    assert shown(log) == ({2: second.seq}, set())
    again = log.show(1)
    assert shown(log) == ({1: again.seq, 2: second.seq}, set())


@pytest.mark.parametrize("meanwhile", ["decided", "decided and undone", "on a screen", "in another's file"])
def test_what_somebody_has_judged_or_holds_stays_where_it_is(meanwhile):
    log = Log()
    first = handed(log, 1)
    if meanwhile == "in another's file":
        other = handed(log, 1, reviewer="bob")
    elif meanwhile == "on a screen":
        log.show(1, reviewer="bob")
    else:
        decision = log.decide(1, EXCLUDE, reviewer="bob")
        if meanwhile == "decided and undone":
            log.undo(decision)
    log.undo(first)
    assert shown(log) == ({1: first.seq}, set())
    if meanwhile == "in another's file":
        log.undo(other)
        assert shown(log) == ({}, set())


def test_an_audit_draw_stays_a_draw_and_is_marked_until_somebody_is_shown_it_again():
    log = Log()
    log.plan([1, 2, 3])
    drawn = handed(log, 1, Origin.AUDIT, 3)
    log.undo(drawn)
    assert shown(log) == ({1: drawn.seq}, {1})
    again = handed(log, 1, Origin.AUDIT, 2, reviewer="bob")
    assert shown(log) == ({1: drawn.seq}, set())
    log.undo(again)
    assert shown(log) == ({1: drawn.seq}, {1})
    log.decide(1, INCLUDE)
    assert shown(log) == ({1: drawn.seq}, set())
    assert [(e.seq, number) for e, number in log.stage(3).draws] == [(drawn.seq, 0)]


def test_a_copy_is_taken_back_with_its_group():
    log = Log()
    first, second = handed(log, 1), handed(log, 2)
    log.link(2, 1)
    log.undo(second)
    assert shown(log)[0] == {1: first.seq}
    log.undo(first)
    assert shown(log)[0] == {}


def test_a_record_that_a_draw_passed_by_while_it_was_out_joins_the_next_permutation():
    log = Log()
    log.plan([1, 2, 3, 4])
    early, late = handed(log, 3), None
    log.show(1, Origin.AUDIT, 3)
    late = handed(log, 4)
    for batch in (early, late):
        log.undo(batch)
    assert audited(log.events, log.name, (), log.plans)[1] == [{3}]
    assert [rows.tolist() for rows in log.stage(4).strata] == [[0, 1, 3], [2]]


def test_a_batch_is_what_was_logged_at_once_less_what_its_reviewer_has_ever_decided_on():
    log = Log()
    showings = [handed(log, i) for i in (1, 2, 3, 4)]
    log.decide(1, INCLUDE)
    log.decide(2, INCLUDE, reviewer="bob")
    log.undo(log.decide(3, INCLUDE))
    (batch,) = batches(log.events, live_of(log))
    assert (batch.first, batch.size, [e.record_id for e in batch.left]) == (showings[0], 4, [2, 4])
    for e in batch.left:
        log.undo(e)
    assert batches(log.events, live_of(log)) == []


# -- the evidence -------------------------------------------------------------------------------


def judged_at_will(rng, keeps_its_place):
    """Return the evidence against the truth when somebody reads five draws, and delays them while none is relevant.

    While they are back in the pool the reader excludes by rank what they know to be irrelevant: few are left when
    the five are judged. Without `keeps_its_place` the draws are logged as made when they were judged.
    """
    n, relevant = 60, 10
    log, is_relevant = Log(), set(rng.permutation(np.arange(1, n + 1))[:relevant].tolist())
    permutation = rng.permutation(np.arange(1, n + 1)).tolist()
    log.plan(permutation)
    five = permutation[:5]
    if keeps_its_place or any(i in is_relevant for i in five):
        drawn = [handed(log, i, Origin.AUDIT, n - at) for at, i in enumerate(five)]
    if not any(i in is_relevant for i in five):
        if keeps_its_place:
            for e in drawn:
                log.undo(e)
        for i in permutation[5:]:
            if i not in is_relevant:
                log.show(i)
                log.decide(i, EXCLUDE)
        for at, i in enumerate(five):
            handed(log, i, Origin.AUDIT, relevant + 5 - at)
    for i in five:
        log.decide(i, INCLUDE if i in is_relevant else EXCLUDE)
    return highest_log_evidence(audit_draws(log.stage(n).history()), float(relevant))


@pytest.mark.parametrize("keeps_its_place", [True, False])
def test_nobody_can_choose_the_moment_at_which_a_draw_counts(keeps_its_place):
    """The promise of 95 % is broken in one run in 20 at most; drawing anew would break it in two of five."""
    rng = np.random.default_rng(11)
    broken = np.mean([judged_at_will(rng, keeps_its_place) >= math.log(20) for _ in range(300)])
    assert broken <= 0.05 if keeps_its_place else broken > 0.3


def at_random(rng, n, relevant, steps, take_back=True):
    """Return a log of two who hand out, decide on and take back batches, ranked and drawn, beside single records."""
    log = Log()
    log.plan(rng.permutation(np.arange(1, n + 1)))
    out: list[list] = []
    for _ in range(steps):
        stage = log.stage(n)
        if len(stage.to_commit):
            log.plan(rng.permutation(stage.to_commit))
            stage = log.stage(n)
        free = [r for r in range(1, n + 1) if (log.name, r) not in stage.live.shown]
        returned = [e.record_id for e, _ in stage.draws if (log.name, e.record_id) in stage.live.returned]
        what = rng.choice(["batch", "single", "decide", "decide", "back"])
        if what in ("batch", "single") and free:
            is_draw, showings = rng.random() < 0.5, []
            for _ in range(1 if what == "single" else rng.integers(2, 6)):
                stage = log.stage(n)
                owner = stage.stratum_of
                out_of = {r for (_, r) in stage.live.shown}
                left = [sum(1 for row in rows if row + 1 not in out_of) for rows in stage.strata]
                if is_draw and returned:
                    record_id, number = returned.pop(0), None
                elif is_draw and any(left[: stage.committed]):
                    number = max(range(stage.committed), key=left.__getitem__)
                    record_id = next(row + 1 for row in stage.strata[number] if row + 1 not in out_of)
                elif free := [r for r in range(1, n + 1) if r not in out_of]:
                    record_id = int(rng.choice(free))
                else:
                    break
                size = left[owner[record_id - 1]]
                origin = Origin.AUDIT if is_draw else Origin.RANKED
                showings.append(
                    handed(log, record_id, origin, size) if what == "batch" else log.show(record_id, origin, size)
                )
            out.append(showings)
        elif what == "decide" and out:
            showings = out[rng.integers(len(out))]
            if showings:
                e = showings.pop(rng.integers(len(showings)) if rng.random() < 0.3 else 0)
                log.decide(e.record_id, INCLUDE if e.record_id in relevant else EXCLUDE, origin=e.origin)
        elif what == "back" and take_back:
            for showings in out:
                if showings and showings[0].note and rng.random() < 0.7:
                    for e in showings:
                        log.undo(e)
                    showings.clear()
                    break
    return log


def without_what_came_back(log):
    """Return the log without the hand-outs of ranked records that were taken back, and without the undos."""
    kept, undone = Log(), {e.undoes for e in log.events if e.kind is Kind.UNDO}
    kept.plans = log.plans
    kept.events = [
        e for e in log.events if e.kind is not Kind.UNDO and not (e.seq in undone and e.origin is not Origin.AUDIT)
    ]
    return kept


@pytest.mark.parametrize("seed", range(40))
def test_draws_come_in_the_order_of_their_permutation_and_the_bound_is_never_better_for_a_batch_taken_back(seed):
    rng = np.random.default_rng(seed)
    n = 40
    relevant = set(rng.permutation(np.arange(1, n + 1))[:6].tolist())
    log = at_random(rng, n, relevant, 60)
    live_of(log)
    stage = log.stage(n)
    for number, rows in enumerate(stage.strata):
        ids = (rows + 1).tolist()
        drawn = [e.record_id for e, of in stage.draws if of == number and e.record_id in ids]
        assert drawn == [i for i in ids if i in drawn]  # in its order
        assert len(drawn) == len(set(drawn))
        rest = [i for i in ids if (log.name, i) not in stage.live.shown]
        assert not drawn or not rest or ids.index(drawn[-1]) < ids.index(rest[0])  # and none passed by
    history = stage.history()
    sizes = history.sequence()
    assert (sizes.pool_size >= 1).all()
    ours = recall.certificate(history)
    bare = recall.certificate(without_what_came_back(log).stage(n).history())
    assert ours.audit_draws == bare.audit_draws
    if not any(audited(log.events, log.name, (), log.plans)[1]):
        assert ours == bare  # as if nothing had been handed out
    assert ours.relevant_upper >= bare.relevant_upper  # else the safe side: see Showings and stage_of


@pytest.mark.slow
def test_the_truth_is_rejected_as_rarely_as_promised_whatever_is_taken_back():
    rng = np.random.default_rng(5)
    n, runs, broken = 30, 150, 0
    for _ in range(runs):
        relevant = set(rng.permutation(np.arange(1, n + 1))[:5].tolist())
        log = at_random(rng, n, relevant, 60)
        broken += recall.certificate(log.stage(n).history(), confidence=0.8).relevant_upper < 5
    assert broken <= 0.2 * runs


# -- over a review ------------------------------------------------------------------------------


def test_a_batch_taken_back_leaves_the_review_as_it_was(review):
    project = review(24)
    with open_session(project, reviewer="bob", background=False) as (session, _):
        session.decide(session.next().row, INCLUDE)
    before, facts = project.snapshot().history(), status.status(project.snapshot())
    ids = hand_out(project, 6, file="next.csv", reviewer="ann")
    assert status.status(project.snapshot()).awaiting_labels == 6 + facts.awaiting_labels
    with pytest.raises(InputError, match="with its whole batch"):
        project.log.undo(project.log.events()[-1].seq, reviewer="ann")
    (batch,) = batches(project.log.events(), project.live())
    assert [e.record_id for e in project.log.take_back(batch.first.seq, reviewer="olga")] == ids
    after = project.snapshot().history()
    assert after.rows.tolist() == before.rows.tolist() and after.pool_size.tolist() == before.pool_size.tolist()
    assert status.status(project.snapshot()) == facts
    assert hand_out(project, 6, file="again.csv", reviewer="bob") == ids
    with pytest.raises(InputError, match="begins no batch"):
        project.log.take_back(batch.first.seq, reviewer="olga")


def test_draws_taken_back_are_the_next_to_be_drawn_by_whoever_comes_next(review, monkeypatch):
    project = review(24)
    commit_audit(project)
    monkeypatch.setattr("triage.screening.opening._policy", lambda project: lambda history: Origin.AUDIT)
    before = recall.certificate(project.snapshot().history())
    drawn = hand_out(project, 4, file="next.csv", reviewer="ann")
    project.log.decide("abstract", [{"record_id": drawn[2], "label": EXCLUDE, "origin": Origin.AUDIT}], reviewer="ann")
    assert intake.take_back(project, reviewer="ann").record_ids == [drawn[0], drawn[1], drawn[3]]
    facts = status.status(project.snapshot())
    assert (
        facts.awaiting_labels == 0
        and recall.certificate(project.snapshot().history()).relevant_upper == before.relevant_upper - 1
    )
    assert any("3 random draws came back" in warning for warning in facts.warnings)
    with open_session(project, reviewer="bob", background=False) as (session, _):
        for record_id in (drawn[0], drawn[1], drawn[3]):
            showing = session.next()
            assert (showing.row + 1, showing.origin) == (record_id, Origin.AUDIT)
            session.decide(showing.row, EXCLUDE)
        new = session.next().row
    order = (project.stage().strata[0] + 1).tolist()
    assert [e.record_id for e, _ in project.stage().draws] == [*drawn, new + 1] == order[:5]
    assert project.snapshot().history().pool_size[:4].tolist() == [24, 23, 22, 21]


@pytest.mark.parametrize("seed", range(4))
def test_open_sessions_follow_what_is_handed_out_and_taken_back(review, seed):
    """Random use by two people and files; after each step memory equals the log, and nobody holds what came back."""
    rng = np.random.default_rng(seed)
    per_record = 1 + seed % 2
    project = review(24, PROTOCOL.replace('model = "fast"', f'model = "fast"\nreviewers_per_record = {per_record}'))
    untrained = dict(background=False, retrain_after=lambda labelled: 10**6)
    with (
        Project.open(project.path) as other,
        open_session(project, reviewer="ann", **untrained) as (anns, _),
        open_session(other, reviewer="bob", **untrained) as (bobs, _),
    ):
        policy = lambda history: Origin.AUDIT if len(history.y) % 2 else Origin.RANKED
        anns._next_origin = bobs._next_origin = policy
        for step in range(60):
            desk, room = (anns, project) if rng.random() < 0.6 else (bobs, other)
            what = rng.choice(["decide", "decide", "decide", "undo", "hand out", "take back", "take back"])
            if what == "decide":
                if (showing := desk.next()) is not None:
                    desk.decide(showing.row, rng.choice(list(Label)))
            elif what == "undo":
                desk.undo()
            elif what == "hand out":
                try:
                    hand_out(room, 3, file=f"{step}.csv", reviewer=rng.choice(["ann", "bob"]))
                except InputError:
                    continue
            else:
                for batch in batches(room.log.events(), room.live())[-1:]:
                    room.log.take_back(batch.first.seq, reviewer="olga")
            for one in (anns, bobs):
                one._catch_up()
                ours, logs = one.pool.history(), project.snapshot().history()
                for name in ("rows", "y", "origin", "pool_size", "stratum", "n_records"):
                    assert getattr(ours, name).tolist() == getattr(logs, name).tolist(), name
        while (batch := next(iter(batches(project.log.events(), project.live())), None)) is not None:
            project.log.take_back(batch.first.seq, reviewer="olga")
        for desk in (anns, bobs) * 2:  # nothing is lost: all can still be judged
            while (showing := desk.next()) is not None:
                desk.decide(showing.row, EXCLUDE)
        assert (project.snapshot().history().y >= 0).all() and len(project.snapshot().history().y) == 24
    events = project.log.events()
    assert [e.seq for e in events] == list(range(1, len(events) + 1))


def test_the_command_takes_the_last_batch_back_and_never_instead_of_a_decision(review, tmp_path, capsys):
    project = review(24)
    file = str(project.path)

    def run(*arguments):
        code = cli.run(list(arguments))
        return code, *capsys.readouterr()

    assert (
        run("export", file, "-o", str(tmp_path / "next.csv"), "--only", "next", "--top", "5", "--reviewer", "ann")[0]
        == 0
    )
    code, _, said = run("undo", file, "--reviewer", "ann")
    assert code == 2 and "--batch takes back the batch handed out as next.csv" in said
    assert run("undo", file, "--batch", "--event", "3")[0] == 2
    code, _, said = run("undo", file, "--batch", "--reviewer", "bob")
    assert code == 2 and "No batch handed out to bob" in said
    (batch,) = batches(project.log.events(), project.live())
    decided = batch.left[0].record_id
    project.log.decide("abstract", [{"record_id": decided, "label": EXCLUDE}], reviewer="ann")
    assert run("undo", file, "--reviewer", "ann")[1].startswith("Took back event")  # the decision
    project.log.decide("abstract", [{"record_id": decided, "label": EXCLUDE}], reviewer="ann")
    code, out, _ = run("undo", file, "--batch", "--reviewer", "ann", "--json")
    told = json.loads(out)
    assert (told["kind"], told["file"], told["handed_out"]) == ("batch", "next.csv", 5)
    assert told["record_ids"] == [e.record_id for e in batch.left[1:]]
    assert project.live().decisions["abstract", decided, "ann"].label is EXCLUDE
    code, out, _ = run("log", file, "--json")
    undone = [e["undoes"] for e in json.loads(out)["events"] if e["kind"] == "undo"]
    assert undone[-4:] == [e.seq for e in batch.left[1:]]
    assert run("undo", file, "--batch", "--reviewer", "ann")[0] == 2
