"""The log of a session: each decision durable at once, several people, and the log alone."""

import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest
from conftest import PROTOCOL, both_storages
from screening_helpers import EXCLUDE, INCLUDE, MAYBE, TWO, answer, at_desk, taken

from triage import intake, screening, team
from triage.errors import InputError
from triage.log import Kind, Label, Origin, fold
from triage.project import Project
from triage.ranking.answers import rank
from triage.screening.journal import commit_audit
from triage.screening.opening import hand_out
from triage.screening.session import Session

storage = both_storages


# -- over a project -----------------------------------------------------------------------------


def same(a, b):
    """Tell whether two histories are equal, their strata and past draws included."""
    fields = ("rows", "y", "origin", "pool_size", "stratum", "n_records")
    past = ("place", "hit", "pool_size", "stratum", "cursor")
    ahead = ("place", "pool_size", "stratum")
    return (
        all(getattr(a, f).tolist() == getattr(b, f).tolist() for f in fields)
        and all(getattr(a.past, f).tolist() == getattr(b.past, f).tolist() for f in past)
        and all(getattr(a.ahead, f).tolist() == getattr(b.ahead, f).tolist() for f in ahead)
    )


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
    before = rank(project, top=1).as_of
    project.log.decide("abstract", [], reviewer="ann", tags={1: ["a"]})
    assert rank(project, top=1).as_of == before


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


# -- a team -----------------------------------------------------------------------------------


def a_desk(project, reviewer, stage=None):
    """Open a session that ranks by the records' rows, so that all want the same record."""
    journal = screening.ProjectJournal(project, commit_audit(project, stage), stage or "abstract", reviewer, {})
    return Session(
        journal.desk(),
        lambda rows, y: None,
        journal=journal,
        next_origin=lambda history: Origin.AUDIT if len(history.y) % 3 == 2 else Origin.RANKED,
    )


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
    found = team.agreement(project.snapshot()).calibration
    assert found.size == found.measured.records == 4 and found.judged_by == dict.fromkeys(names, 4)


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
