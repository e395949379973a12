"""When a session trains, what it learns from, and what sessions beside each other share."""

import threading
import time

import numpy as np
import pytest
from conftest import both_storages, sample_ris
from screening_helpers import EXCLUDE, INCLUDE, answer, at_desk, new_session

from triage import intake, screening
from triage.log import Kind
from triage.project import Project
from triage.ranking.held_out import held_out_scores
from triage.ranking.review import ReviewModel
from triage.screening.opening import open_session

storage = both_storages


# -- of one session -------------------------------------------------------------------------------


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


# -- of several -----------------------------------------------------------------------------------


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
