"""The screening loop: what comes next, for whom and why; and that the log alone says where a review stands."""

import contextlib
import csv
import hashlib
import json
import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest
from conftest import BOTH, PROTOCOL, sample_ris
from sqlalchemy import select

from triage import cli, intake, ranking, recall, screening, status, team
from triage.errors import InputError
from triage.log import Kind, Label, Origin, PastDraws, fold
from triage.project import Project, schema
from triage.ranking import answers
from triage.ranking.answers import rank
from triage.ranking.held_out import held_out_scores
from triage.ranking.review import ReviewModel
from triage.screening.journal import commit_audit
from triage.screening.opening import hand_out, open_second_look, open_session
from triage.screening.pool import Pool
from triage.screening.session import SKIP_DISTANCE, Assignment, Session
from triage.second_look import ask_for_second_looks, second_looks

INCLUDE, EXCLUDE, MAYBE = Label.INCLUDE, Label.EXCLUDE, Label.MAYBE


@pytest.fixture(params=BOTH)
def storage(request):
    return request.param


# -- a session over a pool, without a project ---------------------------------------------------


class Paper:
    """A journal on paper: it forgets nothing, and others may write into it."""

    def __init__(self, **options):
        self.shown, self.decisions, self.saved = [], [], []
        self.fresh_desk = None
        self.overtaken = 0
        self.newest = 0  # a log only grows

    def news(self):
        desk, self.fresh_desk = self.fresh_desk, None
        return desk

    def turn(self):
        return nullcontext((True, None))

    def left_behind(self, row):
        return True

    def show(self, row, origin, pool_size, ranking_id):
        if self.overtaken:
            self.overtaken -= 1
            return True
        self.shown.append((row, origin, pool_size, ranking_id))
        return False

    def decide(self, row, label, reason, note, tags):
        self.decisions.append((row, label))
        self.newest += 1
        return int(label is not EXCLUDE)

    def undo(self):
        self.newest += 1
        return (self.decisions.pop()[0], -1) if self.decisions else None

    def mark(self):
        return self.newest

    def save(self, scores, held_out, as_of):
        self.saved.append((as_of, scores.copy(), held_out.copy()))
        return len(self.saved)


def desk_of(pool, mine=(), elsewhere=(), second=()):
    more = np.zeros(pool.n, bool)
    more[list(second)] = True
    return Assignment(pool, list(mine), list(elsewhere), more)


def new_session(n=8, scorer=lambda rows, y: None, permutation=None, desk=None, **options):
    pool = Pool(n, [np.arange(n)[::-1] if permutation is None else np.array(permutation)])
    journal = Paper()
    return Session(desk or desk_of(pool), scorer, **{"journal": journal, **options}), journal


def by_row(rows, y):
    """Score the last row highest."""
    return np.arange(8.0)


def test_without_a_ranking_the_order_is_the_files_or_the_start_given():
    session, journal = new_session()
    assert [session.next().row for _ in range(3)] == [0, 0, 0]  # until it is judged
    session.decide(0, EXCLUDE)
    assert session.next().row == 1 and session.next().rank is None
    session, _ = new_session(start=np.array([5, 2, 7, 0, 1, 3, 4, 6]))
    for row in (5, 2, 7):
        assert session.next().row == row
        session.decide(row, EXCLUDE)
    assert [row for row, *_ in journal.shown] == [0, 1]  # each logged once


def test_the_best_scored_comes_next_with_its_rank_among_those_not_shown():
    session, journal = new_session(scorer=by_row)
    session.retrain()
    for row in (7, 6, 5):
        showing = session.next()
        assert (showing.row, showing.origin, showing.rank) == (row, Origin.RANKED, 1)
        session.decide(row, EXCLUDE)
    assert [ranking_id for *_, ranking_id in journal.shown] == [1, 2, 3]
    assert [as_of for as_of, *_ in journal.saved] == [0, 1, 2, 3]


def test_the_policy_calls_for_audit_draws_in_the_order_of_the_permutation():
    session, journal = new_session(
        scorer=by_row,
        permutation=[3, 7, 0, 6, 1, 2, 5, 4],
        next_origin=lambda history: Origin.AUDIT if len(history.y) % 2 else Origin.RANKED,
    )
    session.retrain()
    seen = []
    while (showing := session.next()) is not None:
        seen.append((showing.row, str(showing.origin), showing.rank))
        session.decide(showing.row, EXCLUDE)
    # The second draw skips row 7, which the ranking has shown before.
    assert seen == [
        (7, "ranked", 1),
        (3, "audit", 4),
        (6, "ranked", 1),
        (0, "audit", 5),
        (5, "ranked", 1),
        (1, "audit", 3),
        (4, "ranked", 1),
        (2, "audit", 1),
    ]
    assert [size for _, _, size, _ in journal.shown] == [8, 7, 6, 5, 4, 3, 2, 1]


def test_a_skipped_record_comes_back_and_is_never_dropped():
    n = SKIP_DISTANCE + 5
    session, _ = new_session(n)
    session.skip(session.next().row)
    seen = []
    for _ in range(SKIP_DISTANCE + 1):
        seen.append(session.next().row)
        session.decide(seen[-1], EXCLUDE)
    assert seen == [*range(1, SKIP_DISTANCE + 1), 0]


def test_what_is_skipped_to_the_very_end_is_asked_for_again_in_turn():
    session, _ = new_session(4)
    for _ in range(4):
        session.skip(session.next().row)
    asked = []
    for _ in range(8):
        asked.append(session.next().row)
        session.skip(asked[-1])
    assert asked == [0, 1, 2, 3] * 2
    for row in (0, 1, 2, 3):
        session.decide(row, MAYBE)
    assert session.next() is None


def test_records_that_await_a_file_come_last_and_can_be_skipped():
    pool = Pool(4, [np.arange(4)])
    for row in (1, 2):
        pool.show(row, Origin.RANKED)
    session, _ = new_session(4, desk=desk_of(pool, elsewhere=[1, 2]))
    for row in (0, 3):
        assert session.next().row == row
        session.decide(row, EXCLUDE)
    assert session.next().row == 1
    session.skip(1)
    assert session.next().row == 2
    session.decide(2, EXCLUDE)
    assert session.next().row == 1
    session.decide(1, EXCLUDE)
    assert session.next() is None


def test_what_awaits_this_reviewer_comes_first():
    pool = Pool(5, [np.arange(5)])
    for row in (3, 1):
        pool.show(row, Origin.AUDIT if row == 1 else Origin.RANKED)
    session, journal = new_session(5, desk=desk_of(pool, mine=[3, 1]))
    assert session.next().row == 3
    session.decide(3, EXCLUDE)
    showing = session.next()
    assert (showing.row, showing.origin, showing.rank) == (1, Origin.AUDIT, None)
    assert journal.shown == []  # they were logged when first shown


def test_undo_puts_the_record_back_first():
    session, _ = new_session()
    for row in (0, 1):
        session.next()
        session.decide(row, INCLUDE)
    assert session.next().row == 2
    assert session.undo() == 1 and session.pool.y[1] == -1
    assert session.next().row == 1
    session.decide(1, EXCLUDE)
    assert session.next().row == 2  # which was on the screen before
    assert session.pool.history().rows.tolist() == [0, 1, 2] and session.pool.history().y.tolist() == [1, 0, -1]
    assert session.undo() == 1 and session.undo() == 0 and session.undo() is None


def test_the_second_reviewers_records_are_asked_for_once_and_skipped_ones_come_back():
    pool = Pool(3, [np.arange(3)])
    for row in (0, 1):
        pool.show(row, Origin.RANKED)
        pool.y[row] = 0
    session, journal = new_session(3, desk=desk_of(pool, second=[0, 1]))
    assert session.next().row == 0
    session.skip(0)
    for row in (1, 2):
        assert session.next().row == row
        session.decide(row, EXCLUDE)
    assert session.next().row == 0
    session.decide(0, EXCLUDE)
    assert session.next() is None
    assert [row for row, *_ in journal.shown] == [0, 1, 2] and pool.history().rows.tolist() == [0, 1, 2]


def test_a_record_that_somebody_else_judged_is_not_asked_for_again():
    session, journal = new_session(4)
    session.skip(session.next().row)
    assert session.next().row == 1
    pool = Pool(4, [np.arange(4)])
    for row in (0, 1):
        pool.show(row, Origin.RANKED)
        pool.y[row] = 1
    journal.fresh_desk = desk_of(pool)
    assert session.next().row == 2
    for row in (2, 3):
        session.next()
        session.decide(row, EXCLUDE)
    assert session.next() is None


def test_a_choice_that_the_log_has_overtaken_is_made_anew():
    session, journal = new_session(4)
    pool = Pool(4, [np.arange(4)])
    pool.show(0, Origin.RANKED)  # by somebody else, just now
    journal.overtaken = 1
    news = journal.news

    def late_news():
        if not journal.overtaken and session.pool is not pool:
            return desk_of(pool, elsewhere=[0])
        return news()

    journal.news = late_news
    assert session.next().row == 1 and journal.shown == [(1, Origin.RANKED, 3, None)]
    assert pool.history().rows.tolist() == [0, 1]


def test_a_record_that_somebody_chose_is_shown_and_judged_at_once():
    session, _ = new_session(4)
    session.decide(2, INCLUDE)
    assert session.pool.history().rows.tolist() == [2] and session.pool.history().origin.tolist() == ["chosen"]
    seen = []
    while (showing := session.next()) is not None:
        seen.append(showing.row)
        session.decide(showing.row, EXCLUDE)
    assert seen == [0, 1, 3]


# -- training -----------------------------------------------------------------------------------


def test_trainings_follow_the_schedule_and_see_only_labels_given():
    seen = []
    session, _ = new_session(
        30,
        scorer=lambda rows, y: seen.append((rows.tolist(), y.tolist())),
        journal=None,
        retrain_after=lambda labelled: max(1, labelled // 2),
    )
    for _ in range(10):
        row = session.next().row
        session.decide(row, INCLUDE if row == 0 else EXCLUDE)
    assert [len(rows) for rows, _ in seen] == [1, 2, 3, 4, 6, 9]
    assert all(rows == list(range(len(rows))) and y == [1] + [0] * (len(y) - 1) for rows, y in seen)


def test_the_first_label_of_the_other_kind_trains_at_once():
    seen = []
    session, _ = new_session(
        30, scorer=lambda rows, y: seen.append(len(rows)), journal=None, retrain_after=lambda labelled: 9
    )
    for row in range(12):
        session.next()
        session.decide(row, INCLUDE if row == 4 else EXCLUDE)
    assert seen == [5]


def test_an_undo_and_a_changed_label_train_too():
    seen = []
    session, _ = new_session(8, scorer=lambda rows, y: seen.append(dict(zip(rows.tolist(), y.tolist()))))
    session.next()
    session.decide(0, INCLUDE)
    session.undo()
    session.decide(0, EXCLUDE)
    session.decide(0, INCLUDE)
    assert seen == [{0: 1}, {}, {0: 0}, {0: 1}]


class SlowScorer:
    """A scorer that trains until it is let go."""

    def __init__(self):
        self.go, self.begun, self.seen = threading.Event(), threading.Event(), []

    def __call__(self, rows, y):
        self.begun.set()
        assert self.go.wait(30)
        self.seen.append(len(rows))
        return np.arange(100.0) + len(rows) * 1000


def test_training_in_the_background_keeps_nobody_waiting():
    scorer = SlowScorer()
    session, journal = new_session(100, scorer=scorer, background=True)
    try:
        longest, rows = 0.0, []
        for _ in range(20):
            began = time.perf_counter()
            rows.append(session.next().row)
            longest = max(longest, time.perf_counter() - began)
            session.decide(rows[-1], EXCLUDE)
        assert longest < 1 and rows == list(range(20)) and scorer.begun.is_set() and scorer.seen == []
        scorer.go.set()
        session.wait()
        # The labels given meanwhile are learned from in one more training, not in nineteen.
        assert scorer.seen == [1, 20] and session.ranking_id == 2 and [as_of for as_of, *_ in journal.saved] == [1, 20]
        assert session.next().row == 99
    finally:
        scorer.go.set()
        session.close()


def test_a_training_that_fails_is_told_and_loses_no_decision():
    def scorer(rows, y):
        raise RuntimeError("no memory")

    session, journal = new_session(8, scorer=scorer, background=True)
    session.next()
    session.decide(0, INCLUDE)
    with pytest.raises(RuntimeError, match="no memory"):
        session.wait()
    session.close()
    assert journal.decisions == [(0, INCLUDE)]


def test_held_out_scores_come_from_models_that_did_not_see_the_label():
    rows, y = np.array([4, 0, 7, 2, 9, 5]), np.array([1, 0, 0, 1, 0, 1])

    def scorer(known, labels):
        assert len(set(labels.tolist())) == 2
        scores = np.full(10, 1.0)
        scores[known] = 100
        return scores

    scores = held_out_scores(scorer, 10, rows, y)
    assert (scores[rows] == 1).all() and np.isnan(np.delete(scores, rows)).all()
    for too_few in ([1, 0, 0, 0, 0, 0], [0] * 6, [1] * 6):
        assert np.isnan(held_out_scores(scorer, 10, rows, np.array(too_few))).all()


# -- the pool -----------------------------------------------------------------------------------


def test_a_pool_draws_each_stratum_in_its_own_order():
    pool = Pool(10, [np.array([2, 0, 1, 3, 4]), np.array([9, 5, 8, 6, 7])], PastDraws.of([(0, True, 5, 0)]))
    pool.show(9, Origin.RANKED)
    drawn = []
    while not pool.shown.all():
        drawn.append(pool.audit_row())
        assert pool.left(drawn[-1]) == sum(1 for row in range(10) if not pool.shown[row] and row // 5 == drawn[-1] // 5)
        pool.show(drawn[-1], Origin.AUDIT)
    assert [row for row in drawn if row < 5] == [2, 0, 1, 3, 4] and [row for row in drawn if row >= 5] == [5, 8, 6, 7]
    assert drawn[0] == 5  # a draw was made from the first already
    assert pool.history().pool_size.tolist()[0] == 5 and len(pool.history().past) == 1


def test_what_the_mathematics_sees_cannot_be_written_and_does_not_change():
    pool = Pool(4, [np.arange(4)])
    pool.show(2, Origin.RANKED)
    before = pool.history()
    with pytest.raises(ValueError, match="read-only"):
        before.rows[0] = 1
    pool.y[2] = 1
    pool.show(0, Origin.AUDIT)
    assert before.y.tolist() == [-1] and before.rows.tolist() == [2]
    assert pool.history().y.tolist() == [1, -1]


# -- over a project -----------------------------------------------------------------------------


def same(a, b):
    """Tell whether two histories are equal, their strata and past draws included."""
    fields = ("rows", "y", "origin", "pool_size", "stratum", "n_records")
    past = ("place", "hit", "pool_size", "stratum")
    return all(getattr(a, f).tolist() == getattr(b, f).tolist() for f in fields) and all(
        getattr(a.past, f).tolist() == getattr(b.past, f).tolist() for f in past
    )


def is_relevant(record_id):
    return record_id % 6 == 1


def answer(session, records, count=None):
    """Judge records by their known labels; return the showings."""
    seen = []
    while (count is None or len(seen) < count) and (showing := session.next()) is not None:
        seen.append(showing)
        session.decide(showing.row, INCLUDE if is_relevant(records[showing.row].id) else EXCLUDE)
    return seen


def at_desk(project, reviewer="ann", **options):
    return open_session(project, reviewer=reviewer, background=False, **options)


def test_tags_are_written_with_the_decision_and_go_with_it(review):
    project = review(20)
    with at_desk(project) as (session, _):
        row = session.next().row
        session.decide(row, INCLUDE, tags=["a", "b"])
        assert session.tags(row) == ["a", "b"]
        assert session.undo() == row and session.tags(row) == [] and session.next().row == row
        session.decide(row, INCLUDE, tags=["b"])
        other = session.next().row
        session.decide(other, EXCLUDE)
        session.decide(row, EXCLUDE, tags=None)  # untouched, they stay
        assert session.tags(row) == ["b"] and session.tags(other) == []
        session.decide(row, MAYBE, tags=[])
    assert fold(project.log.events()).tags == {}
    assert same(session.pool.history(), project.snapshot().history())


def test_a_tag_makes_no_ranking_stale(review):
    project = review(20)
    project.log.decide(
        "abstract", [{"record_id": 1, "label": INCLUDE}, {"record_id": 2, "label": EXCLUDE}], reviewer="ann"
    )
    before = rank(project, top=1)["as_of"]
    project.log.decide("abstract", [], reviewer="ann", tags={1: ["a"]})
    assert rank(project, top=1)["as_of"] == before


def test_a_whole_review(review):
    """To the last record: every one once, audit draws by the permutation, and what the log says is what was seen."""
    project = review(150)
    with at_desk(project, retrain_after=lambda labelled: 15) as (session, records):
        seen = answer(session, records)
        assert same(session.pool.history(), project.snapshot().history())
    stage = project.stage()
    assert sorted(showing.row for showing in seen) == list(range(150))
    order, left = stage.strata[0].tolist(), []
    for showing in seen:
        if showing.origin is Origin.AUDIT:
            assert showing.row == next(row for row in order if row not in left)
        left.append(showing.row)
    audits = [s for s in seen if s.origin is Origin.AUDIT]
    assert audits and seen.index(audits[0]) > 25 + 20 - 1  # the relevant ones, then a plateau
    shown = [e for e in project.log.events() if e.kind is Kind.SHOWN]
    assert [e.pool_size for e in shown] == list(range(150, 0, -1))
    assert [e.record_id - 1 for e in shown] == left and all(e.ranking_id is not None for e in shown)
    history = project.snapshot().history()
    assert history.n_found == 25 and history.n_unscreened == 0
    # The ranking puts the relevant ones first, long before chance would.
    assert np.flatnonzero(history.y == 1)[:20].max() < 40


def screened_by_ann(review, n=120, protocol=PROTOCOL):
    """Return a review that ann has screened, and six records that await bob's second look."""
    project = review(n, protocol)
    screening.commit_audit(project)
    project.log.decide(
        "abstract",
        [{"record_id": i, "label": INCLUDE if is_relevant(i) else EXCLUDE, "note": "by ann"} for i in range(1, n + 1)],
        reviewer="ann",
    )
    return project, ask_for_second_looks(project, "bob", 6)


def test_second_looks_come_in_the_order_of_the_sample_and_are_counted(review):
    project, waiting = screened_by_ann(review)
    before = project.snapshot().history()
    assert len(waiting) == 6 and project.protocol().reviewers_per_record == 1
    with open_second_look(project, waiting, reviewer="bob") as (session, records):
        assert [r.id for r in records] == waiting and session.undo() is None
        rows = [session.next().row]
        session.decide(rows[0], INCLUDE, note="on second look", tags=["a"])
        assert session.tags(rows[0]) == ["a"]
        aside = session.next().row
        session.skip(aside)
        rows.append(session.next().row)
        session.decide(rows[1], EXCLUDE, "CHILD")
        assert session.undo() == rows[1] == session.next().row
        session.decide(rows[1], EXCLUDE, "ONLINE")
        while (showing := session.next()) is not None:
            rows.append(showing.row)
            session.decide(showing.row, EXCLUDE)
        assert [records[row].id for row in rows] == [waiting[0], *waiting[2:], waiting[1]]
    told = [e for e in project.log.events() if e.reviewer == "bob"]
    assert {e.kind for e in told} == {Kind.SECOND_LOOK_PLAN, Kind.DECISION, Kind.TAG, Kind.UNDO}
    assert project.live().decisions["abstract", waiting[2], "bob"].reason == "ONLINE"
    # The order of first showing is as it was; the overturned record is in conflict, and relevant until it is settled.
    after = project.snapshot().history()
    assert after.rows.tolist() == before.rows.tolist() and after.n_found == before.n_found + 1
    assert [one["record_id"] for one in team.conflicts(project.snapshot())["conflicts"]] == [waiting[0]]
    noise = status.status(project.snapshot())["label_noise"]
    assert (noise["judged_twice"], noise["overturned"], noise["pending"]) == (len(waiting), 1, [])
    assert noise["sensitivity"] < 1
    looks = second_looks(project.snapshot(), "bob")
    assert (looks.sample, looks.judged, looks.waiting, looks.own) == (len(waiting), len(waiting), (), 0)


def test_one_second_look_is_enough_and_one_may_be_chosen(review):
    project, waiting = screened_by_ann(review)
    elsewhere = next(i for i in range(1, 121) if not is_relevant(i) and i not in waiting)
    with at_desk(project, "bob") as (bob, _), open_second_look(project, waiting, reviewer="carl") as (carl, records):
        assert bob.next() is None
        first = carl.next().row
        bob.decide(waiting[0] - 1, EXCLUDE)
        bob.decide(elsewhere - 1, EXCLUDE)  # a second look that nobody drew
        with pytest.raises(InputError, match="As many reviewers"):
            bob.decide(0, EXCLUDE)  # what ann included
        with pytest.raises(InputError, match="As many reviewers"):  # on carl's screen, but judged by bob
            carl.decide(first, INCLUDE)
        second = carl.next().row
        assert (first, second) == (0, 1)
        carl.decide(second, EXCLUDE)
        bob.decide(waiting[2] - 1, EXCLUDE)
        assert records[carl.next().row].id == waiting[3]
    given = [(e.record_id, e.reviewer) for e in project.log.events() if e.kind is Kind.DECISION and e.reviewer != "ann"]
    assert given == [(waiting[0], "bob"), (elsewhere, "bob"), (waiting[1], "carl"), (waiting[2], "bob")]
    noise = status.status(project.snapshot())["label_noise"]
    assert (noise["judged_twice"], noise["sample"]) == (3, 6)  # the one that was chosen is no evidence


def test_an_exclusion_that_is_taken_back_awaits_no_second_look(review):
    project, waiting = screened_by_ann(review)
    with open_second_look(project, waiting, reviewer="bob") as (session, records):
        project.log.decide("abstract", [{"record_id": waiting[0], "label": INCLUDE}], reviewer="ann")
        assert records[session.next().row].id == waiting[1]
    assert second_looks(project.snapshot(), "ann").own == len(waiting) - 1


def committed_before_all(project):
    """Check that the first permutation was committed before anything was shown or decided; return its records."""
    events = project.log.events()
    kinds = [e.kind for e in events]
    plan = kinds.index(Kind.PLAN)
    assert not set(kinds[:plan]) & {Kind.SHOWN, Kind.DECISION} and set(kinds[plan:]) & {Kind.SHOWN, Kind.DECISION}
    note = json.loads(events[plan].note)
    with project._database.engine.connect() as connection:
        plans = schema.plans.c
        blob = connection.execute(select(plans.permutation).where(plans.seq == events[plan].seq)).scalar()
        seed = connection.execute(select(schema.seeds.c.seed).where(schema.seeds.c.seq == events[plan].seq)).scalar()
    assert "seed" not in note and note["bets"] and note["decay"] == 0.25
    assert note["commitment"] == hashlib.sha256(f"{seed}:".encode() + blob).hexdigest()
    ids = np.frombuffer(blob, "<i8")
    assert np.random.default_rng(int(seed)).permutation(np.sort(ids)).tolist() == ids.tolist()
    return sorted(ids.tolist())


def test_the_permutation_is_committed_before_a_session_shows(review):
    project = review(12)
    with at_desk(project) as (session, _):
        session.next()
    assert committed_before_all(project) == list(range(1, 13))


def test_the_permutation_is_committed_before_a_batch_is_handed_out(review):
    project = review(12)
    hand_out(project, 3, file="next.csv", reviewer="ann")
    assert committed_before_all(project) == list(range(1, 13))


def test_the_permutation_is_committed_before_decisions_made_elsewhere(review, tmp_path):
    project = review(12)
    (tmp_path / "d.csv").write_text("record_id,label\n3,include\n")
    intake.label(project, tmp_path / "d.csv", reviewer="ann")
    assert committed_before_all(project) == list(range(1, 13))


def test_the_permutation_is_committed_before_imported_decisions(tmp_path, place):
    (tmp_path / "a.csv").write_text("title,abstract,mine\nOne,a,1\nTwo,b,0\nThree,c,\n")
    with Project.create(place(), PROTOCOL) as project:
        intake.import_files(project, [tmp_path / "a.csv"], reviewer="ann", label_column="mine")
        assert committed_before_all(project) == [1, 2, 3]
        assert project.snapshot().history().origin.tolist() == ["imported", "imported"]


def test_the_permutation_of_a_later_stage_is_committed_before_it_begins(tmp_path, review):
    project = review(12, PROTOCOL + '\n[[stages]]\nname = "abstract"\n\n[[stages]]\nname = "full-text"\n')
    with at_desk(project) as (session, records):
        answer(session, records)
    with at_desk(project, stage_name="full-text") as (session, records):
        assert [r.id for r in records] == [1, 7]
        answer(session, records)
    plans = [e for e in project.log.events() if e.kind is Kind.PLAN]
    later = next(e for e in project.log.events() if e.kind is Kind.SHOWN and e.stage == "full-text")
    assert [e.stage for e in plans] == ["abstract", "full-text"] and plans[1].seq < later.seq


def test_every_decision_is_durable_at_once_and_a_session_goes_on_where_it_was_left(review):
    project = review(20)
    with at_desk(project) as (session, _records):
        first = session.next().row
        session.decide(first, INCLUDE, note="a note")
        with Project.open(project.path) as other:
            assert other.snapshot().history().rows.tolist() == [first] and other.log.events()[-1].note == "a note"
        second = session.next().row
    with at_desk(project) as (session, _records):
        assert session.next().row == second  # shown and not judged
        session.decide(second, EXCLUDE)
    with at_desk(project, "bob") as (session, _):
        assert session.next().row not in (first, second)


def test_what_one_reviewer_has_on_the_screen_another_gets_only_when_they_are_away(review, monkeypatch):
    project = review(6)
    with at_desk(project) as (session, _):
        on_screen = session.next().row
        with Project.open(project.path) as other, at_desk(other, "bob") as (bobs, records):
            assert on_screen not in [s.row for s in answer(bobs, records)] and bobs.pool.y.tolist().count(-1) == 1
            monkeypatch.setattr("triage.screening.journal._AWAY_SECONDS", -1)
            assert bobs.next().row == on_screen
            bobs.decide(on_screen, EXCLUDE)
        assert session.next() is None


def test_an_undo_brings_back_what_the_log_says(review):
    """An earlier label of an earlier sitting, too."""
    project = review(12)
    with at_desk(project) as (session, _):
        row = session.next().row
        session.decide(row, INCLUDE)
        session.decide(row, EXCLUDE)
    with at_desk(project) as (session, _):
        assert session.undo() == row and session.pool.y[row] == 1
        assert same(session.pool.history(), project.snapshot().history())
        assert session.undo() == row and session.pool.y[row] == -1
        assert session.undo() is None
        assert same(session.pool.history(), project.snapshot().history()) and session.next().row == row


def test_a_record_chosen_in_a_session_is_chosen_in_the_log(review):
    project = review(12)
    with at_desk(project) as (session, _):
        session.decide(7, INCLUDE)
        session.decide(7, EXCLUDE)
        assert same(
            session.pool.history(), project.snapshot().history()
        ) and project.snapshot().history().origin.tolist() == ["chosen"]


def test_what_others_only_looked_at_trains_nobody(review):
    project = review(12)
    with at_desk(project) as (session, records), Project.open(project.path) as other:
        answer(session, records, 2)
        session.next()
        saved = project.rankings.newest("abstract").id
        with at_desk(other, "bob") as (bobs, _):
            made = project.rankings.newest("abstract").id - saved
            bobs.next()
            session.next()
            assert project.rankings.newest("abstract").id == saved + made


def test_nobody_undoes_what_another_decided(review):
    project = review(12)
    with at_desk(project) as (session, records):
        answer(session, records, 2)
    with at_desk(project, "bob") as (session, _):
        assert session.undo() is None
    assert not any(e.kind is Kind.UNDO for e in project.log.events())


def test_what_others_write_is_taken_up_while_screening(review):
    project = review(20)
    with at_desk(project) as (session, records), Project.open(project.path) as other:
        mine = session.next().row
        with at_desk(other, "bob") as (bobs, _):
            theirs = [s.row for s in answer(bobs, records, 3)]
            with pytest.raises(InputError, match="have taken this record"):
                bobs.decide(mine, MAYBE)
            # Somebody else was faster, elsewhere.
            other.log.decide("abstract", [{"record_id": mine + 1, "label": MAYBE}], reviewer="bob")
        following = session.next().row
        assert following not in (mine, *theirs) and session.pool.n_shown == 5
        assert same(session.pool.history(), project.snapshot().history())
        last = max(e.seq for e in other.log.events() if e.kind is Kind.DECISION)
        other.log.undo(last, reviewer="bob")
        session.decide(following, EXCLUDE)
        session.next()
        assert session.pool.y[mine] == -1 and same(session.pool.history(), project.snapshot().history())


def test_nobody_writes_between_the_choice_of_a_record_and_its_showing(review):
    """Another program that shows the same record in that moment waits, and is told that the log has moved on."""
    project = review(12)
    told, begun = [], threading.Event()

    def show_the_first(after, row):
        with Project.open(project.path) as other:
            begun.set()
            told.append(other.log.show("abstract", [row + 1], [Origin.RANKED], [12], reviewer="bob", after=after))

    with at_desk(project) as (session, _records):
        threads = []

        def choose(history):
            threads.append(threading.Thread(target=show_the_first, args=(project.live().last_seq, 0)))
            threads[-1].start()
            begun.wait()
            time.sleep(0.1)
            return Origin.AUDIT

        session._next_origin = choose
        session.next()
        threads[0].join()
        assert told == [[]] and len(threads) == 1 and same(session.pool.history(), project.snapshot().history())
    assert project.snapshot().history().origin.tolist() == ["audit"]


def test_an_undo_of_what_another_program_took_back_already_is_no_error(review):
    project = review(12)
    with at_desk(project) as (session, records):
        rows = [s.row for s in answer(session, records, 2)]
        with Project.open(project.path) as other:
            other.log.undo(other.log.events()[-1].seq, reviewer="ann")
        assert session.undo() == rows[0] and same(session.pool.history(), project.snapshot().history())


def test_records_added_while_screening_stop_the_session_and_lose_nothing(review, tmp_path):
    project = review(12)
    with at_desk(project) as (session, records):
        answer(session, records, 4)
        (tmp_path / "more.ris").write_text(sample_ris(6, first=100))
        with Project.open(project.path) as other:
            intake.import_files(other, [tmp_path / "more.ris"], reviewer="bob")
        # An import writes no event; whatever comes first tells of it.
        with Project.open(project.path) as other:
            commit_audit(other)
        with pytest.raises(InputError, match="added to or removed from this stage.*start the session again"):
            session.next()
    with at_desk(project) as (session, records):
        assert len(records) == 18 and session.pool.n_shown == 4
        answer(session, records)
    assert project.snapshot().history().n_screened == 18


def test_each_record_is_judged_by_two_where_the_protocol_asks_for_two(review):
    project = review(10, PROTOCOL.replace('model = "fast"', 'model = "fast"\nreviewers_per_record = 2'))
    with at_desk(project) as (session, records):
        assert len(answer(session, records, 6)) == 6
    with Project.open(project.path) as other, at_desk(other, "bob") as (session, records):
        assert len(answer(session, records)) == 10
    with at_desk(project) as (session, records):
        assert len(answer(session, records)) == 4
    with at_desk(project, "eve") as (session, _):
        assert session.next() is None
    judged = {}
    for e in project.log.events():
        if e.kind is Kind.DECISION:
            judged.setdefault(e.record_id, []).append(e.reviewer)
    assert {tuple(sorted(who)) for who in judged.values()} == {("ann", "bob")} and len(judged) == 10
    assert project.snapshot().history().rows.tolist() == [e.record_id - 1 for e in project.stage().live.shown.values()]


def test_a_conflict_counts_as_relevant_until_it_is_settled(review):
    project = review(10, PROTOCOL.replace('model = "fast"', 'model = "fast"\nreviewers_per_record = 2'))
    with at_desk(project) as (session, _):
        row = session.next().row
        session.decide(row, EXCLUDE)
        assert session.pool.y[row] == 0
    with at_desk(project, "bob") as (session, _):
        session.decide(row, INCLUDE)
        assert session.pool.y[row] == 1
        session.decide(row, EXCLUDE)
        assert session.pool.y[row] == 0 and same(session.pool.history(), project.snapshot().history())


def counted(session):
    counts = session.counts()
    return counts.screened, counts.relevant, counts.left


def test_what_is_counted_is_exact_after_each_change(review):
    project = review(30)
    with at_desk(project) as (session, _):
        assert counted(session) == (0, 0, 30)
        decided = {}
        for n in range(12):
            row = session.next().row
            decided[row] = [INCLUDE, EXCLUDE, MAYBE][n % 3]
            session.decide(row, decided[row])
            relevant = sum(label is not EXCLUDE for label in decided.values())
            assert counted(session) == (n + 1, relevant, 30 - n - 1)
        session.skip(session.next().row)
        assert counted(session) == (12, 8, 18)
        session.decide(row, INCLUDE)  # another label,
        assert counted(session) == (12, 8, 18)
        session.decide(row, EXCLUDE)
        assert counted(session) == (12, 7, 18)
        session.undo()  # and back, one by one
        assert counted(session) == (12, 8, 18)
        session.undo()
        session.undo()
        assert counted(session) == (11, 7, 19) and session.changes == 17
    with at_desk(project) as (session, _):
        assert counted(session) == (11, 7, 19) and session.changes == 0


@pytest.mark.parametrize("calibration", ["", "calibration = 4"])
def test_what_is_counted_tells_nothing_of_how_others_judged_a_record_that_is_open(review, calibration):
    project = review(12, TWO.replace('model = "fast"', 'model = "fast"\n' + calibration))
    with at_desk(project, "bob") as (bob, _):
        theirs = [bob.next().row]
        bob.decide(theirs[0], INCLUDE)
        for _ in range(5):
            theirs.append(bob.next().row)
            bob.decide(theirs[-1], EXCLUDE)
        with at_desk(project, "ann") as (ann, _):
            assert counted(ann) == (0, 0, 12)
            for n, row in enumerate(theirs):
                ann.decide(row, EXCLUDE)
                assert counted(ann) == (n + 1, 0, 11 - n)  # although bob included one of them
            assert counted(bob) == (6, 1, 6)
            bob.next()
            assert counted(bob) == (6, 1, 6)
            team.settle(project, int(project.stage().record_ids[theirs[0]]), "exclude", reviewer="olga")
            bob.next()
            ann.next()
            assert counted(ann) == counted(bob) == (6, 0, 6)
        with at_desk(project, "eve") as (eve, _):
            # What is done: of the calibration round only what is settled, for she is to judge the others herself.
            screened = 6 if not calibration else 3
            assert counted(eve) == (screened, 0, 12 - screened)


def test_counting_costs_next_to_nothing():
    n = 50_000
    session = Session(Assignment(Pool(n, [np.arange(n)]), [], [], np.zeros(n, bool)), lambda rows, y: None)
    session.pool.y[: n // 2] = 0
    began = time.perf_counter()
    for _ in range(100):
        session.counts()
    assert (time.perf_counter() - began) / 100 < 0.002  # measured: 0.000006


# -- a team -----------------------------------------------------------------------------------

TWO = PROTOCOL.replace('model = "fast"', 'model = "fast"\nreviewers_per_record = 2')


def a_desk(project, reviewer, stage=None):
    """Open a session that ranks by the records' rows, so that all want the same record."""
    journal = screening.ProjectJournal(project, commit_audit(project, stage), stage or "abstract", reviewer, {})
    return Session(
        journal.desk(),
        lambda rows, y: None,
        journal=journal,
        next_origin=lambda history: Origin.AUDIT if len(history.y) % 3 == 2 else Origin.RANKED,
    )


def taken(project):
    """Return who was shown each record and who decided on it, by record."""
    shown, decided = {}, {}
    for e in project.log.events():
        if e.kind in (Kind.SHOWN, Kind.DECISION):
            (shown if e.kind is Kind.SHOWN else decided).setdefault(e.record_id, []).append(e.reviewer)
    return shown, decided


def test_two_share_a_pool_without_waiting_for_each_other(review):
    project = review(6, TWO)
    with Project.open(project.path) as other:
        ann, bob = a_desk(project, "ann"), a_desk(other, "bob")
        first = ann.next().row
        assert bob.next().row == first  # the best for both, before either has judged it
        eve = a_desk(project, "eve")
        assert eve.next().row != first
        for _ in range(3):
            row = bob.next().row
            bob.decide(row, EXCLUDE)
        assert ann.next().row == first
        assert same(bob.pool.history(), project.snapshot().history())


@pytest.mark.parametrize("per_record, at", [(1, "programs"), (2, "programs"), (2, "one server of pages")])
def test_twenty_reviewers_at_once(review, per_record, at):
    """Nothing is lost, doubled or shown to one too many, and every audit draw is the next of the permutation."""
    project = review(60, PROTOCOL.replace('model = "fast"', f'model = "fast"\nreviewers_per_record = {per_record}'))
    commit_audit(project)
    failed = []

    def work(number):
        try:
            with nullcontext(project) if at == "one server of pages" else Project.open(project.path) as mine:
                session, rng = a_desk(mine, f"r{number}"), np.random.default_rng(number)
                while (showing := session.next()) is not None:
                    session.decide(showing.row, rng.choice([INCLUDE, EXCLUDE]))
                    if rng.random() < 0.05:
                        session.undo()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    shown, _ = taken(project)
    assert sorted(shown) == list(range(1, 61))
    assert all(len(who) == len(set(who)) == per_record for who in shown.values())
    stage = project.stage()
    votes = {}
    for _, record_id, who in stage.live.decisions:
        votes.setdefault(record_id, set()).add(who)
    assert votes == {record_id: set(who) for record_id, who in shown.items()}
    events = project.log.events()
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    history, permutation = project.snapshot().history(), stage.strata[0].tolist()
    assert (history.origin == "audit").sum() == 20
    for place in np.flatnonzero(history.origin == "audit"):
        before = set(history.rows[:place].tolist())
        assert history.rows[place] == next(row for row in permutation if row not in before)
        assert history.pool_size[place] == 60 - place


def test_a_record_of_somebody_who_is_away_is_taken_over_by_one(review, monkeypatch):
    project = review(4, TWO)
    ann, bob = a_desk(project, "ann"), a_desk(project, "bob")
    left = ann.next().row
    answer_all(bob)
    eve = a_desk(project, "eve")
    answer_all(eve)
    joe = a_desk(project, "joe")
    assert eve.next() is None and joe.next() is None  # ann may come back
    monkeypatch.setattr("triage.screening.journal._AWAY_SECONDS", -1)
    assert eve.next().row == left
    monkeypatch.undo()
    assert joe.next() is None
    eve.decide(left, EXCLUDE)
    assert ann.next() is None and joe.next() is None


def answer_all(session):
    while (showing := session.next()) is not None:
        session.decide(showing.row, EXCLUDE)


def test_the_calibration_round_comes_first_to_everybody_and_is_random(review):
    project = review(30, TWO.replace("[[include]]", "calibration = 4\n\n[[include]]", 1))
    names = ["ann", "bob", "eve", "joe"]
    sample = commit_audit(project).stage().strata[0][:4].tolist()
    for name in names:
        session = a_desk(project, name)
        assert [decided(session, EXCLUDE) for _ in range(4)] == sample
        assert session.next().row not in sample
        assert same(session.pool.history(), project.snapshot().history())
    shown, decisions = taken(project)
    assert all(decisions[row + 1] == names for row in sample)
    assert all(len(shown[record_id]) <= 2 for record_id in shown if record_id - 1 not in sample)
    assert project.snapshot().history().origin[:4].tolist() == ["audit"] * 4
    found = team.agreement(project.snapshot())["calibration"]
    assert found["size"] == found["records"] == 4 and found["judged_by"] == dict.fromkeys(names, 4)


def decided(session, label):
    row = session.next().row
    session.decide(row, label)
    return row


def test_a_settlement_is_taken_up_while_screening(review):
    project = review(6, TWO)
    ann, bob = a_desk(project, "ann"), a_desk(project, "bob")
    row = decided(ann, INCLUDE)
    assert decided(bob, EXCLUDE) == row
    settled = project.log.settle("abstract", row + 1, EXCLUDE, reviewer="eve")
    ann.next()
    assert ann.pool.y[row] == 0 and same(ann.pool.history(), project.snapshot().history())
    project.log.undo(settled.seq, reviewer="eve")
    ann.next()
    assert ann.pool.y[row] == 1 and same(ann.pool.history(), project.snapshot().history())


# -- batches ------------------------------------------------------------------------------------


def test_a_batch_holds_audit_draws_and_keeps_their_origin_when_its_labels_come_back(review, tmp_path):
    project = review(150)
    with at_desk(project, retrain_after=lambda labelled: 15) as (session, records):
        while session._next_origin(session.pool.history()) is not Origin.AUDIT:
            answer(session, records, 1)
        screened = session.pool.n_shown
    batch = hand_out(project, 20, file="next.csv", reviewer="ann")
    assert len(set(batch)) == 20
    history = project.snapshot().history()
    assert history.origin[screened:].tolist() == ["audit"] * 20 and (history.y[screened:] == -1).all()
    assert [e.note for e in project.log.events() if e.kind is Kind.SHOWN][screened:] == ["next.csv"] * 20
    order = [row + 1 for row in project.stage().strata[0].tolist()]
    seen = set((history.rows[:screened] + 1).tolist())
    assert batch == [record_id for record_id in order if record_id not in seen][:20]
    (tmp_path / "d.csv").write_text("record_id,label\n" + "".join(f"{i},{int(is_relevant(i))}\n" for i in batch[::-1]))
    intake.label(project, tmp_path / "d.csv", reviewer="ann")
    labelled = project.snapshot().history()
    assert labelled.origin.tolist() == history.origin.tolist() and labelled.rows.tolist() == history.rows.tolist()
    assert (labelled.y >= 0).all()


def test_a_record_goes_into_one_batch_until_no_other_is_left(review):
    project = review(10)
    first, second = (hand_out(project, 4, file=f"{i}.csv", reviewer="ann") for i in (1, 2))
    third = hand_out(project, 4, file="3.csv", reviewer="ann")
    assert not set(first) & set(second) and len(third) == 4
    assert third == [*sorted(set(range(1, 11)) - {*first, *second}, key=third.index), *first[:2]]
    for record_id in range(1, 11):
        project.log.decide("abstract", [{"record_id": record_id, "label": EXCLUDE}], reviewer="ann")
    with pytest.raises(InputError, match="is judged; there is no next batch"):
        hand_out(project, 4, file="4.csv", reviewer="ann")


def from_a_spreadsheet(project, tmp_path, reviewer, count, judge):
    """Hand a batch out, fill in its column label as a spreadsheet would, and take it; return the batch."""
    made = len(list(tmp_path.glob("*.csv")))
    batch, filled = tmp_path / f"{made} {reviewer}.csv", tmp_path / f"{made} {reviewer} filled.csv"
    assert (
        cli.run(
            [
                "export",
                str(project.path),
                "-o",
                str(batch),
                "--only",
                "next",
                "--top",
                str(count),
                "--reviewer",
                reviewer,
            ]
        )
        == 0
    )
    with batch.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row[name] == "" for row in rows for name in ("label", "reason", "note", "reviewer", "tags"))
    with filled.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, **judge(int(row["record_id"]))} for row in rows)
    assert cli.run(["label", str(project.path), str(filled), "--reviewer", reviewer]) == 0
    return [int(row["record_id"]) for row in rows]


def test_two_work_from_spreadsheets_blind_to_each_other(review, tmp_path):
    project = review(24, TWO.replace("reviewers_per_record", 'tags = ["trial"]\nreviewers_per_record'))

    def anns(record_id):
        return {"label": "include" if is_relevant(record_id) else "exclude", "note": "ann was here", "tags": "trial"}

    def bobs(record_id):
        return {"label": "exclude", "reason": "CHILD"}

    first = from_a_spreadsheet(project, tmp_path, "ann", 8, anns)
    assert set(from_a_spreadsheet(project, tmp_path, "bob", 5, bobs)) & set(first)  # the best are so for both
    # Whoever comes third is given what fewer than two have taken.
    shown, _ = taken(project)
    eves = from_a_spreadsheet(project, tmp_path, "eve", 4, bobs)
    assert not {i for i in eves if len(shown.get(i, [])) == 2}
    for reviewer, judge in (("ann", anns), ("bob", bobs)) * 8:
        with contextlib.suppress(AssertionError):  # none is left for them
            from_a_spreadsheet(project, tmp_path, reviewer, 4, judge)
    shown, decided = taken(project)
    assert sorted(shown) == list(range(1, 25)) and shown == decided
    assert all(len(who) == len(set(who)) == 2 for who in shown.values())
    assert len(set(first)) == 8 and all(e.note.endswith(".csv") for e in project.log.events() if e.kind is Kind.SHOWN)
    for reviewer in ("ann", "bob", "eve"):
        with pytest.raises(InputError, match="is judged; there is no next batch"):
            hand_out(project, 4, file="x.csv", reviewer=reviewer)
    disagree = {i for i, who in shown.items() if "ann" in who and is_relevant(i)}
    assert {one["record_id"] for one in team.conflicts(project.snapshot())["conflicts"]} == disagree != set()
    draws = [e.record_id for e, _ in project.stage().draws]
    order = [row + 1 for row in project.stage().strata[0].tolist()]
    assert draws == [i for i in order if i in draws]  # whoever drew them


def test_a_batch_in_somebodys_file_is_theirs_until_they_are_away_for_a_week(review, monkeypatch):
    project = review(6)
    assert len(hand_out(project, 6, file="a.csv", reviewer="ann")) == 6
    with pytest.raises(InputError, match="No record of the stage 'abstract' is left for bob; others have those"):
        hand_out(project, 6, file="b.csv", reviewer="bob")
    with at_desk(project, "bob") as (session, _):
        assert session.next() is None
    assert sorted(hand_out(project, 6, file="again.csv", reviewer="ann")) == list(range(1, 7))
    assert sum(e.kind is Kind.SHOWN for e in project.log.events()) == 6
    monkeypatch.setattr("triage.screening.journal._AWAY_WITH_FILE_SECONDS", 0)
    assert sorted(hand_out(project, 6, file="b.csv", reviewer="bob")) == list(range(1, 7))
    assert sum(e.kind is Kind.SHOWN and e.reviewer == "bob" for e in project.log.events()) == 6


def test_the_calibration_round_comes_first_in_a_batch_too(review):
    project = review(20, TWO.replace("reviewers_per_record", "calibration = 3\nreviewers_per_record"))
    sample = [row + 1 for row in commit_audit(project).stage().strata[0][:3].tolist()]
    batches = [hand_out(project, 5, file=f"{who}.csv", reviewer=who) for who in ("ann", "bob", "eve")]
    assert all(batch[:3] == sample for batch in batches)
    assert [e.origin for e in project.log.events() if e.kind is Kind.SHOWN][:3] == [Origin.AUDIT] * 3


def test_a_batch_is_chosen_anew_when_somebody_wrote_meanwhile(review, monkeypatch):
    project = review(10)
    show, interrupted = project.log.show, []

    def slow(stage, record_ids, *args, **kwargs):
        if not interrupted:
            interrupted.append(list(record_ids))
            with Project.open(project.path) as other:
                other.log.decide(stage, [{"record_id": record_ids[0], "label": EXCLUDE}], reviewer="bob")
        return show(stage, record_ids, *args, **kwargs)

    monkeypatch.setattr(project.log, "show", slow)
    batch = hand_out(project, 3, file="a.csv", reviewer="ann")
    assert interrupted[0][0] not in batch and len(batch) == 3
    assert [e.pool_size for e in project.log.events() if e.kind is Kind.SHOWN] == [9, 8, 7]


# -- rankings -----------------------------------------------------------------------------------


def test_a_ranking_is_made_anew_only_when_a_decision_or_the_protocol_changed(tmp_path, review):
    project = review(30)
    first = answers.rank(project, top=5)
    assert [r["rank"] for r in first["records"]] == [1, 2, 3, 4, 5] and first["basis"] == "criteria"
    assert all(is_relevant(r["record_id"]) for r in first["records"])
    hand_out(project, 2, file="a.csv", reviewer="ann")  # shown, and a permutation committed: no decision
    again = answers.rank(project, top=5)
    assert again["as_of"] == first["as_of"] and project.rankings.newest("abstract").id == 1
    decided = project.log.decide(
        "abstract", [{"record_id": 1, "label": INCLUDE}, {"record_id": 2, "label": EXCLUDE}], reviewer="ann"
    )
    learned = answers.rank(project, top=50)
    assert learned["as_of"] == decided[-1].seq and learned["basis"] == "labels" and len(learned["records"]) == 28
    project.log.undo(decided[-1].seq, reviewer="ann")
    assert answers.rank(project, top=5)["as_of"] == decided[-1].seq + 1
    (tmp_path / "protocol.toml").write_text(PROTOCOL.replace("Children and adolescents.", "Animals."))
    project.refresh_protocol()
    newest = project.rankings.newest("abstract").id
    answers.rank(project, top=5)
    assert project.rankings.newest("abstract").id == newest + 1


@pytest.mark.parametrize("preset", ["default", "fast"])
@pytest.mark.parametrize("stages", ["", '[[stages]]\nname = "abstract"\n\n[[stages]]\nname = "full text"\n'])
@pytest.mark.parametrize(
    ("criteria", "ranks"),
    [
        ("", False),
        ('question = "..."\n', False),
        ('[[exclude]]\ncode = "C"\ntext = "Children and adolescents."\n', False),
        ('[[include]]\ncode = "P"\ntext = "Steel beams of bridges corrode in sea air."\n', True),
        ('question = "How do steel beams of bridges corrode in sea air?"\n', True),
    ],
)
def test_the_order_of_import_is_told_where_it_is_the_order_and_nowhere_else(review, preset, stages, criteria, ranks):
    project = review(12, criteria + stages)

    def ranked_and_said():
        order = [r["record_id"] for r in answers.rank(project, top=12, preset=preset)["records"]]
        return order == sorted(order), answers.nothing_to_rank_by(project.snapshot())

    by_import, said = ranked_and_said()
    assert by_import is not ranks and ("order of import" in said) is by_import
    commit_audit(project)
    project.log.decide("abstract", [{"record_id": 2, "label": EXCLUDE}], reviewer="ann")
    by_import, said = ranked_and_said()
    assert by_import is not ranks and ("order of import" in said) is by_import
    project.log.decide("abstract", [{"record_id": 7, "label": INCLUDE}], reviewer="ann")
    by_import, said = ranked_and_said()
    assert not by_import and "order of import" not in said and bool(said) is not ranks
    if stages and not ranks:  # nobody has decided anything there
        assert "order of import" in answers.nothing_to_rank_by(project.snapshot(), "full text")


def test_a_protocol_whose_file_is_gone_or_unknown_is_named_as_well_as_can_be(review, tmp_path):
    project = review(6, "")
    (tmp_path / "protocol.toml").unlink()
    assert answers.nothing_to_rank_by(project.snapshot()).startswith(f"{tmp_path / 'protocol.toml'} is still an empty")
    with Project.create(tmp_path / "other.triage", "") as other:
        assert answers.nothing_to_rank_by(other.snapshot()).startswith(
            "The review's protocol is still an empty template"
        )


def test_a_session_ranks_before_it_shows_and_keeps_what_it_ranked_by(review):
    project = review(30)
    with at_desk(project) as (session, records):
        assert project.rankings.newest("abstract").as_of == project.stage().live.last_seq
        showing = session.next()
        assert is_relevant(records[showing.row].id) and showing.rank == 1
        answer(session, records, 3)
        saved = project.rankings.newest("abstract")
        assert saved.as_of == max(e.seq for e in project.log.events() if e.kind is Kind.DECISION)
        assert saved.record_ids.tolist() == list(range(1, 31)) and saved.model["name"] == "fast"


def test_a_ranking_can_learn_from_what_later_stages_decided(tmp_path, review, monkeypatch):
    """Of three records that the first stage included, the last stage excluded one and included one."""
    stages = 'model = "fast"\nlearn_from = "{}"\nstages = [{{ name = "abstract" }}, {{ name = "full text" }}]\n'
    project = review(30)
    path = tmp_path / "protocol.toml"
    path.write_text(stages.format("stage"))
    project.refresh_protocol()
    include = {"label": INCLUDE, "reason": ""}
    commit_audit(project, "abstract")
    project.log.decide(
        "abstract",
        [{"record_id": i, **include} for i in (1, 2, 3)] + [{"record_id": 4, "label": EXCLUDE, "reason": ""}],
        reviewer="ann",
    )
    commit_audit(project, "full text")
    project.log.decide(
        "full text", [{"record_id": 1, **include}, {"record_id": 2, "label": EXCLUDE, "reason": ""}], reviewer="ann"
    )
    seen = []
    call = ranking.Learner.__call__

    def watched(self, rows, y):
        seen.append(dict(zip((rows + 1).tolist(), y.tolist())))
        return call(self, rows, y)

    monkeypatch.setattr(ranking.Learner, "__call__", watched)
    answers.rank(project, top=3)
    assert seen[0] == {1: 1, 2: 1, 3: 1, 4: 0}
    path.write_text(stages.format("final"))
    project.refresh_protocol()
    seen.clear()
    told = answers.rank(project, top=3)
    assert seen[0] == {1: 1, 2: 0, 3: 1, 4: 0} and told["model"]["learn_from"] == "final"
    seen.clear()
    with at_desk(project):
        assert seen[0] == {1: 1, 2: 0, 3: 1, 4: 0}
    assert any("recall stays that of the labels" in line for line in status.status(project.snapshot())["warnings"])


def test_an_empty_stage_is_told(place):
    with Project.create(place(), PROTOCOL) as project:
        for use in (
            lambda: hand_out(project, 3, file="a", reviewer="ann"),
            lambda: answers.rank(project, top=3),
            lambda: at_desk(project).__enter__(),
        ):
            with pytest.raises(InputError, match="holds no records yet"):
                use()


# -- the log alone ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_session_and_the_log_never_differ(review, seed, tmp_path):
    """Random use by two people, files and programs; after each step memory equals what the log says."""
    rng = np.random.default_rng(seed)
    project = review(24, PROTOCOL.replace('model = "fast"', f'model = "fast"\nreviewers_per_record = {1 + seed % 2}'))
    ids = np.arange(1, 25)
    order: list[int] = []
    untrained = dict(retrain_after=lambda labelled: 10**6)
    with (
        Project.open(project.path) as other,
        at_desk(project, **untrained) as (session, _),
        at_desk(other, "bob", **untrained) as (bobs, _),
    ):
        # Half of all records by audit draws, so that both streams mix.
        session._next_origin = bobs._next_origin = lambda history: Origin.AUDIT if len(history.y) % 2 else Origin.RANKED
        for step in range(60):
            desk, room = (session, project) if rng.random() < 0.6 else (bobs, other)
            what = rng.choice(["decide", "decide", "decide", "skip", "undo", "file", "hand out", "settle", "open up"])
            if what in ("decide", "skip"):
                if (showing := desk.next()) is None:
                    continue
                if what == "skip":
                    desk.skip(showing.row)
                else:
                    desk.decide(showing.row, rng.choice(list(Label)))
            elif what == "undo":
                desk.undo()
            elif what == "settle":
                for record_id in project.stage().consensus.conflicts:
                    room.log.settle("abstract", record_id, rng.choice(list(Label)), reviewer="eve")
            elif what == "open up":
                for event in list(project.stage().consensus.settled.values())[:1]:
                    room.log.undo(event.seq, reviewer="eve")
            elif what == "file":
                (tmp_path / "d.csv").write_text(f"record_id,label\n{rng.choice(ids)},{rng.choice(list(Label))}\n")
                intake.label(room, tmp_path / "d.csv", reviewer="ann")
            elif room.snapshot().history().n_total != len(room.snapshot().history().rows):
                hand_out(room, 2, file=f"{step}.csv", reviewer="bob")
            for one in (session, bobs):
                one._catch_up()
                assert same(one.pool.history(), project.snapshot().history())
            now = project.snapshot().history().rows.tolist()
            assert now[: len(order)] == order  # a record once shown keeps its place
            order = now
            permutation = project.stage().strata[0].tolist()
            history = project.snapshot().history()
            for at in np.flatnonzero(history.origin == "audit"):
                before = set(history.rows[:at].tolist())
                assert history.rows[at] == next(row for row in permutation if row not in before)
                assert history.pool_size[at] == 24 - at
    events = project.log.events()
    assert [e.seq for e in events] == list(range(1, len(events) + 1))


def test_a_batch_is_handed_out_only_when_its_file_is_there(review, tmp_path, monkeypatch):
    project, file = review(30), tmp_path / "next.csv"

    def full_disk(ids):
        raise OSError(28, "No space left on device")

    before = [e for e in project.log.events() if e.kind is Kind.SHOWN]
    with pytest.raises(OSError, match="No space"):
        hand_out(project, 3, file=file, reviewer="ann", write=full_disk)
    monkeypatch.setattr(project.log, "show", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        hand_out(project, 3, file=file, reviewer="ann", write=lambda ids: file.write_text(str(ids)))
    assert not file.exists() and [e for e in project.log.events() if e.kind is Kind.SHOWN] == before
    monkeypatch.undo()
    batch = hand_out(project, 3, file=file, reviewer="ann", write=lambda ids: file.write_text(str(ids)))
    shown = [e for e in project.log.events() if e.kind is Kind.SHOWN]
    assert file.read_text() == str(batch) and [e.record_id for e in shown] == batch and shown[0].note == "next.csv"


def test_records_put_up_ahead_are_those_that_come_next_and_keep_their_place(review):
    with review(60) as project, open_session(project, reviewer="ann") as (session, _):
        first, second, third = (one.row for one in session.ahead(3))
        shown = [e for e in project.log.events() if e.kind is Kind.SHOWN]
        assert [e.record_id - 1 for e in shown] == [first, second, third]
        assert session.next().row == first
        session.decide(second, EXCLUDE)
        assert [one.row for one in session.ahead(2)] == [first, third]
        session.skip(first)
        assert session.next().row == third
        assert session.undo() == second
        assert [one.row for one in session.ahead(2)] == [second, third]
    with open_session(project, reviewer="ann") as (session, _):  # nothing shown is lost
        assert {one.row for one in session.ahead(3)} == {first, second, third}


def test_sessions_beside_each_other_share_views_and_learn_as_one(review, tmp_path):
    with review(30) as project, open_session(project, reviewer="ann") as (ann, _):
        with open_session(project, reviewer="bob", beside=ann) as (bob, _):
            assert bob.training is ann.training
            for label in (INCLUDE, EXCLUDE):
                ann.decide(ann.next().row, label)
            ann.wait()
            bob.next()
            assert bob.scores is ann.training.newest[0] and bob.ranking_id == ann.training.newest[1]
            bob.wait()
            ann.next()
            with open_session(project, reviewer="cyd") as (apart, _):
                assert apart.training is not ann.training and np.allclose(ann.scores, apart.scores)
        with open_session(project, reviewer="bob", beside=ann, preset="elas-u4") as (other, _):
            assert other.training.scorer.views is not ann.training.scorer.views
        (tmp_path / "more.ris").write_text(sample_ris(3, first=30), encoding="utf-8")
        intake.import_files(project, [tmp_path / "more.ris"], reviewer="ann")
        with open_session(project, reviewer="bob", beside=ann) as (bob, _):
            assert bob.training.scorer.views is not ann.training.scorer.views and len(bob.scores) == 33


def test_of_labels_from_many_the_newest_alone_are_learned_from():
    learned = []

    def scorer(rows, y):
        learned.append((rows.tolist(), y.tolist()))
        return np.arange(8.0) * len(learned)

    training, saved = screening.Training(scorer), []

    def learn(rows, y, seen):
        training.learn(
            8, np.array(rows), np.array(y), seen, lambda scores, held_out, as_of: saved.append(as_of) or len(saved)
        )
        return len(saved)

    assert learn([0, 1], [1, 0], 5) == 1 and training.newest[1] == 1 and training.newest[0][7] == 7
    assert learn([0, 1], [1, 0], 9) == 1  # nothing new was decided
    assert learn([0], [1], 4) == 1  # somebody else was asked to learn more meanwhile
    assert learn([0, 1, 2], [1, 0, 0], 4) == 2  # the newest decision, whose number its session could not know yet
    assert learn([0, 1], [1, 0], 12) == 3  # it was taken back
    assert saved == [5, 4, 12] and training.newest[1] == 3


def test_a_session_beside_another_opens_with_its_ranking_and_waits_for_no_training(review, monkeypatch):
    held = threading.Event()
    real = ReviewModel.__call__
    with review(48) as project, open_session(project, reviewer="r0") as (first, _):
        for n in range(6):
            first.decide(first.next().row, INCLUDE if n % 3 == 0 else EXCLUDE)
        first.wait()
        monkeypatch.setattr(ReviewModel, "__call__", lambda *one: held.wait(60) and real(*one))
        first.decide(first.next().row, EXCLUDE)  # a training that takes its time
        try:
            with open_session(project, reviewer="r1", beside=first) as (second, _):
                assert not held.is_set() and second.next() is not None and second.ranking_id is not None
                held.set()
        finally:
            held.set()


def test_reviewers_at_once_cost_one_training_at_a_time_and_end_with_the_same_ranking(review, monkeypatch):
    at_once, most, learned = 0, 0, []
    real = ReviewModel.__call__

    def counted(model, rows, y):
        nonlocal at_once, most
        at_once += 1
        learned.append(dict(zip(rows.tolist(), y.tolist())))
        most = max(most, at_once)
        time.sleep(0.005)
        made = real(model, rows, y)
        at_once -= 1
        return made

    monkeypatch.setattr(ReviewModel, "__call__", counted)
    with review(48) as project, open_session(project, reviewer="r0") as (first, _):
        stack = [open_session(project, reviewer=f"r{i}", beside=first) for i in range(1, 4)]
        sessions = [first, *(one.__enter__()[0] for one in stack)]

        def screen(session):
            for n in range(6):
                session.decide(session.next().row, INCLUDE if n % 3 == 0 else EXCLUDE)

        threads = [threading.Thread(target=screen, args=[session]) for session in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for session in sessions:
            session.next()
            session.wait()
        made = {session.next() and session.ranking_id for session in sessions}
        decided = sum(e.kind is Kind.DECISION for e in project.log.events())
        assert (
            decided == 24
            and most == 1
            and len(learned) <= decided + 1
            and made == {project.rankings.newest("abstract").id}
        )
        with open_session(project, reviewer="alone") as (alone, _):
            # The last training knew every decision. Its scores are those of one made from nothing but where two
            # records that a view scores alike within the solver's tolerance change places, and with them ranks.
            assert learned[-1] == learned[-2] and len(learned[-1]) == 24
            assert np.median(np.abs(alone.scores - first.scores)) < 5e-3
            assert np.corrcoef(alone.scores, first.scores)[0, 1] > 0.9999
        for one in stack:
            one.__exit__(None, None, None)
