"""A session: what comes next, for whom and why, over a pool without a project."""

import time

import numpy as np
from conftest import both_storages
from screening_helpers import EXCLUDE, INCLUDE, MAYBE, desk_of, new_session

from triage.log import Kind, Origin
from triage.screening.opening import open_session
from triage.screening.pool import Pool
from triage.screening.session import SKIP_DISTANCE, Assignment, Session

storage = both_storages


# -- a session over a pool, without a project ---------------------------------------------------


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


def test_counting_costs_next_to_nothing():
    n = 50_000
    session = Session(Assignment(Pool(n, [np.arange(n)]), [], [], np.zeros(n, bool)), lambda rows, y: None)
    session.pool.y[: n // 2] = 0
    began = time.perf_counter()
    for _ in range(100):
        session.counts()
    assert (time.perf_counter() - began) / 100 < 0.002  # measured: 0.000006


# -- over a project -------------------------------------------------------------------------------


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
