"""What is current in a log: cases by hand, and random logs against a naive reading of the same words."""

import numpy as np
import pytest
from conftest import Log
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from triage.log import (
    Counts,
    History,
    Kind,
    Label,
    LogFold,
    Origin,
    PastDraws,
    audited,
    awaits_second_look,
    consensus,
    entered,
    fold,
    seen_by,
)

INCLUDE, EXCLUDE, MAYBE = Label.INCLUDE, Label.EXCLUDE, Label.MAYBE


def labels(log):
    return {(r, who): e.label for (stage, r, who), e in fold(log.events).decisions.items() if stage == log.name}


def current(live):
    return live.decisions, live.duplicates, live.removals, live.tags, live.settled


# -- fold -------------------------------------------------------------------------------------


def test_an_empty_log():
    live = fold([])
    assert current(live) == ({}, {}, {}, {}, {}) and (live.shown, live.last_seq) == ({}, 0)


def test_the_newest_decision_holds_and_an_undo_brings_back_the_one_before():
    log = Log()
    log.decide(1, INCLUDE)
    second, third = log.decide(1, EXCLUDE), log.decide(1, MAYBE)
    assert labels(log) == {(1, "ann"): MAYBE}
    log.undo(second)  # one in the midst: nothing changes
    assert labels(log) == {(1, "ann"): MAYBE}
    log.undo(third)
    assert labels(log) == {(1, "ann"): INCLUDE}
    assert fold(log.events).last_seq == 5


def test_stages_and_reviewers_keep_apart():
    log = Log()
    log.decide(1, INCLUDE)
    log.decide(1, EXCLUDE, reviewer="bob")
    log.decide(1, MAYBE, stage="full-text")
    decisions = fold(log.events).decisions
    assert {key: e.label for key, e in decisions.items()} == {
        ("abstract", 1, "ann"): INCLUDE,
        ("abstract", 1, "bob"): EXCLUDE,
        ("full-text", 1, "ann"): MAYBE,
    }


def test_a_record_once_shown_stays_shown_when_its_decision_is_undone():
    log = Log()
    log.undo(log.decide(2, INCLUDE))
    shown = log.show(1, Origin.AUDIT)
    log.show(1, reviewer="bob")
    log.decide(1, EXCLUDE)
    live = fold(log.events)
    assert live.shown == {("abstract", 2): log.events[0], ("abstract", 1): shown}
    assert list(live.decisions) == [("abstract", 1, "ann")]


def test_links_form_chains_and_the_lowest_id_is_kept():
    log = Log()
    links = [log.link(5, 4), log.link(9, 7), log.link(7, 5)]
    assert fold(log.events).duplicates == {5: 4, 7: 4, 9: 4}
    log.link(4, 2)
    assert fold(log.events).duplicates == {4: 2, 5: 2, 7: 2, 9: 2}
    log.undo(links[2])
    assert fold(log.events).duplicates == {4: 2, 5: 2, 9: 7}
    assert fold(log.events).kept(9) == 7 and fold(log.events).kept(7) == 7


def test_a_link_named_the_other_way_round_keeps_the_lowest_all_the_same():
    log = Log()
    log.link(2, 8)
    assert fold(log.events).duplicates == {8: 2}


def test_a_group_is_shown_at_the_place_of_its_first_member():
    log = Log()
    copy = log.show(6)
    log.show(3)
    root = log.show(2)
    link = log.link(6, 2)
    assert fold(log.events).shown["abstract", 2] == copy and ("abstract", 6) not in fold(log.events).shown
    log.undo(link)
    assert fold(log.events).shown["abstract", 2] == root and fold(log.events).shown["abstract", 6] == copy


def test_what_was_decided_on_a_group_settles_what_the_reviewer_said_of_its_members():
    log = Log()
    log.decide(1, INCLUDE)
    log.decide(2, EXCLUDE)
    log.decide(2, EXCLUDE, reviewer="bob")
    link = log.link(2, 1)
    both = consensus(fold(log.events), "abstract")
    assert both.conflicts == {1} and both.labels == {}  # ann said both
    settled = log.decide(1, EXCLUDE)
    assert consensus(fold(log.events), "abstract").labels == {1: EXCLUDE}
    log.undo(settled)
    assert consensus(fold(log.events), "abstract").conflicts == {1}
    log.undo(link)
    assert consensus(fold(log.events), "abstract").labels == {1: INCLUDE, 2: EXCLUDE}


def test_removals_are_undone_like_anything_else():
    log = Log()
    first, second = log.remove(3), log.remove(3)
    log.undo(second)
    assert fold(log.events).removals == {3: first}
    log.undo(first)
    assert fold(log.events).removals == {}


def test_tags_stand_for_each_reviewer_and_stage_until_they_are_taken_back():
    log = Log()
    review, qualitative = log.tag(1, "review"), log.tag(1, "qualitative")
    bobs, later = log.tag(1, "review", "bob"), log.tag(1, "review", stage="full-text")
    assert fold(log.events).tags == {
        ("abstract", 1, "ann"): (review, qualitative),
        ("abstract", 1, "bob"): (bobs,),
        ("full-text", 1, "ann"): (later,),
    }
    log.undo(review)
    assert fold(log.events).tagged("abstract") == {1: [qualitative, bobs]}
    log.undo(later)
    assert fold(log.events).tagged("full-text") == {}


def test_a_group_has_the_tags_of_its_members():
    log = Log()
    copys, kepts, bobs = log.tag(5, "review"), log.tag(2, "qualitative"), log.tag(5, "review", "bob")
    link = log.link(5, 2)
    assert fold(log.events).tagged("abstract") == {2: [copys, kepts, bobs]}
    assert fold(log.events).tagged("abstract", "ann") == {2: [copys, kepts]}
    log.undo(link)
    assert fold(log.events).tagged("abstract") == {5: [copys, bobs], 2: [kepts]}


def test_files_stand_in_the_order_in_which_they_came_until_they_are_taken_off():
    log, one_by_one = Log(), LogFold()
    copys = log.add(Kind.ATTACHED, record_id=5, reason="a.pdf")
    kepts = log.add(Kind.ATTACHED, record_id=2, reason="b.pdf")
    later = log.add(Kind.ATTACHED, record_id=5, reason="c.pdf")
    assert fold(log.events).attached == {5: (copys, later), 2: (kepts,)}
    assert fold(log.events).attachments(5) == [copys, later] and fold(log.events).attachments(9) == []
    log.link(5, 2)
    assert fold(log.events).attachments(2) == fold(log.events).attachments(5) == [copys, kepts, later]
    for e in log.events:
        one_by_one.apply([e])
    taken_off = [log.undo(copys), log.undo(kepts)]
    assert fold(log.events).attachments(2) == [later] and fold(log.events).attached == {5: (later,)}
    one_by_one.apply(taken_off)
    assert one_by_one.live == fold(log.events)


def test_an_event_without_a_record_or_a_pool_is_not_asked_for_one():
    log = Log()
    assert (log.show(7, pool_size=3).about, log.events[0].pool) == (7, 3)
    with pytest.raises(ValueError, match=r"event 2, .*plan.*, is about no record"):
        _ = log.plan([1, 2]).about
    with pytest.raises(ValueError, match=r"event 3, .*decision.*, has no pool size"):
        _ = log.decide(1, INCLUDE).pool


def test_what_is_left_is_what_is_not_judged():
    assert Counts(records=30, screened=12, relevant=8).left == 18


# -- consensus and entering a stage -----------------------------------------------------------


@pytest.mark.parametrize(
    "votes, label, relevant",
    [
        ([INCLUDE], INCLUDE, True),
        ([EXCLUDE], EXCLUDE, False),
        ([MAYBE], MAYBE, True),
        ([EXCLUDE, EXCLUDE], EXCLUDE, False),
        ([INCLUDE, EXCLUDE], None, True),
        ([EXCLUDE, MAYBE], None, True),
        ([INCLUDE, MAYBE], None, True),
        ([], None, None),
    ],
)
def test_consensus(votes, label, relevant):
    log = Log()
    for who, vote in zip(("ann", "bob"), votes):
        log.decide(1, vote, reviewer=who)
    agreed = consensus(fold(log.events), "abstract")
    assert agreed.labels.get(1) == label and agreed.relevant(1) is relevant
    assert (1 in agreed.conflicts) == (len(set(votes)) > 1)
    assert consensus(fold(log.events), "full-text").labels == {}


def test_a_stage_is_entered_by_what_every_earlier_one_passed():
    log = Log()
    ids = np.arange(1, 9)
    for record_id, label in enumerate([INCLUDE, MAYBE, EXCLUDE, INCLUDE, INCLUDE, INCLUDE, INCLUDE], 1):
        log.decide(record_id, label)
    log.decide(4, EXCLUDE, reviewer="bob")  # a conflict passes nothing on
    log.link(5, 1)
    log.remove(6)
    assert entered(ids, fold(log.events), []).tolist() == [1, 2, 3, 4, 7, 8]
    assert entered(ids, fold(log.events), ["abstract"]).tolist() == [1, 2, 7]
    log.decide(1, INCLUDE, stage="quality")
    log.decide(7, EXCLUDE, stage="quality")
    assert entered(ids, fold(log.events), ["abstract", "quality"]).tolist() == [1]


@pytest.mark.parametrize(
    "decisions, awaits",
    [
        ([], False),
        ([("ann", EXCLUDE)], True),
        ([("ann", INCLUDE)], False),
        ([("ann", MAYBE)], False),
        ([("ann", EXCLUDE), ("bob", EXCLUDE)], False),
        ([("ann", EXCLUDE), ("bob", INCLUDE)], False),
        ([("ann", EXCLUDE), ("ann", INCLUDE)], True),  # what somebody else would see first is the exclusion
    ],
)
def test_what_one_reviewer_alone_excluded_awaits_a_second_look(decisions, awaits):
    log = Log()
    assert awaits_second_look([log.decide(1, label, who) for who, label in decisions]) is awaits


# -- what one of two reviewers may know ---------------------------------------------------------


def known(log, viewer, stages=("abstract", "full-text"), **rounds):
    return seen_by(viewer, fold(log.events), log.events, 2, stages, rounds)


def judges(live):
    return sorted((stage, record_id, who) for stage, record_id, who in live.decisions)


def test_a_record_is_known_once_both_have_judged_it():
    log = Log()
    log.decide(1, INCLUDE)
    second = log.decide(1, EXCLUDE, "bob")
    log.decide(2, INCLUDE, "bob")
    bobs_tag = log.tag(2, "review", "bob")
    live = known(log, "ann")
    assert judges(live) == [("abstract", 1, "ann"), ("abstract", 1, "bob")]
    # Up to what completed record 1; that record 2 was put before bob came later.
    assert live.last_seq == second.seq and list(live.shown) == [("abstract", 1)] and live.tags == {}
    assert known(log, "bob").tags == {("abstract", 2, "bob"): (bobs_tag,)}
    mine = log.decide(3, EXCLUDE)
    live = known(log, "ann")
    # Record 2 is known as shown by now, and not as judged.
    assert live.last_seq == mine.seq and set(live.shown) == {("abstract", 1), ("abstract", 2), ("abstract", 3)}
    assert ("abstract", 2, "bob") not in live.decisions and live.tags == {}
    log.decide(2, EXCLUDE)
    assert ("abstract", 2, "bob") in known(log, "ann").decisions
    assert known(log, "ann").tags == {("abstract", 2, "bob"): (bobs_tag,)}


def test_a_done_record_is_known_to_others_but_for_whoever_is_still_to_judge_it():
    log = Log()
    log.decide(1, INCLUDE)
    log.decide(1, EXCLUDE, "bob")
    both = [("abstract", 1, "ann"), ("abstract", 1, "bob")]
    assert judges(known(log, "cyd")) == both
    assert judges(known(log, "cyd", abstract=[1])) == []  # of the calibration round, which everybody judges
    shown = log.show(1, reviewer="cyd")
    assert judges(known(log, "cyd")) == []
    log.undo(shown)
    assert judges(known(log, "cyd")) == both
    log.show(1, reviewer="cyd")
    log.decide(1, MAYBE, "cyd")
    assert judges(known(log, "cyd")) == [*both, ("abstract", 1, "cyd")]


def test_what_was_settled_is_known_though_one_alone_judged_it():
    log = Log()
    log.decide(1, INCLUDE, "bob")
    settled = log.add(Kind.SETTLED, stage="abstract", record_id=1, label=EXCLUDE, reviewer="eve")
    live = known(log, "ann")
    assert judges(live) == [("abstract", 1, "bob")] and live.settled == {("abstract", 1): settled}
    log.show(1)
    live = known(log, "ann")
    assert judges(live) == [] and live.settled == {}


def test_a_record_shown_at_a_later_stage_has_passed_the_earlier_one():
    log = Log()
    log.decide(1, INCLUDE, "bob")
    assert judges(known(log, "ann")) == []
    log.add(Kind.SHOWN, stage="full-text", record_id=1, reviewer="ann", origin=Origin.RANKED, pool_size=1)
    assert judges(known(log, "ann")) == [("abstract", 1, "bob")]
    log.decide(1, EXCLUDE, "bob", stage="full-text")
    assert judges(known(log, "ann")) == [("abstract", 1, "bob")]


def test_what_others_do_with_open_records_moves_nothing_and_what_is_of_no_stage_does():
    log = Log()
    first = log.decide(1, INCLUDE)
    log.plan([2, 3])  # committed by what somebody decided
    drawn = {"record_id": 2, "reviewer": "bob", "origin": Origin.AUDIT, "pool_size": 9, "note": "bob.csv"}
    log.undo(log.add(Kind.SHOWN, stage="abstract", **drawn))
    assert fold(log.events).returned == {("abstract", 2)}
    assert known(log, "ann").last_seq == first.seq and known(log, "ann").returned == frozenset()
    link = log.link(8, 7)
    assert known(log, "ann").last_seq == link.seq and known(log, "ann").returned == {("abstract", 2)}


# -- audit draws and who was away -------------------------------------------------------------


def draws_of(log):
    draws, passed_by = audited(log.events, log.name, log.earlier, log.plans)
    return [(e.record_id, number) for e, number in draws], passed_by


def test_only_what_was_first_shown_as_a_draw_after_a_permutation_is_one():
    log = Log()
    log.show(1, Origin.AUDIT)  # nothing was committed yet
    log.plan([4, 3, 2, 1])
    log.decide(2, INCLUDE, origin=Origin.AUDIT)  # decided on without having been shown
    log.show(2, Origin.AUDIT)
    log.show(4, Origin.AUDIT)
    log.show(4, Origin.AUDIT, reviewer="bob")
    log.show(3)
    log.show(3, Origin.AUDIT)
    log.show(9, Origin.AUDIT)  # in no permutation
    assert draws_of(log) == ([(4, 0)], [set()])


def test_a_draw_comes_from_the_newest_permutation_of_its_record():
    log = Log()
    log.plan([1, 2])
    log.plan([2, 3])
    for record_id in (3, 2, 1):
        log.show(record_id, Origin.AUDIT)
    assert draws_of(log)[0] == [(3, 1), (2, 1), (1, 0)]


def test_records_away_at_a_draw_are_passed_by():
    log = Log()
    log.plan([1, 2, 3, 4, 5, 6])
    gone = log.remove(2)
    log.undo(gone)  # back before the first draw
    removal, link = log.remove(3), log.link(6, 5)
    log.show(1, Origin.AUDIT)
    assert draws_of(log)[1] == [{3, 6}]
    log.undo(removal)
    log.undo(link)
    log.remove(4)  # no draw after it
    log.show(2)
    assert draws_of(log)[1] == [{3, 6}]


def test_at_a_later_stage_a_label_changed_earlier_takes_a_record_away():
    log = Log("full-text", ("abstract",))
    for record_id in (1, 2, 3):
        log.decide(record_id, INCLUDE, stage="abstract")
    log.plan([1, 2, 3])
    changed = log.decide(2, EXCLUDE, stage="abstract")
    log.decide(7, INCLUDE, stage="abstract")
    log.show(1, Origin.AUDIT)
    log.undo(changed)
    assert draws_of(log) == ([(1, 0)], [{2}])
    assert [rows.tolist() for rows in log.stage(8).strata] == [[0, 2], [1, 3]]


# -- History ----------------------------------------------------------------------------------


def test_a_history_from_plain_lists():
    history = History.of([5, 3, 0], [1, -1, 0], n_records=[4, 2], stratum=[0, 1, 0])
    assert history.pool_size.tolist() == [4, 2, 3] and history.origin.tolist() == ["ranked"] * 3
    assert (history.n_found, history.n_screened, history.n_total, history.n_unscreened) == (1, 2, 6, 4)
    assert history.judged.tolist() == [True, False, True]
    with pytest.raises(ValueError, match="read-only"):
        history.y[0] = 0


def test_past_draws_stand_in_the_sequence_where_they_were_made():
    history = History.of(
        [7, 8],
        [0, 1],
        [Origin.RANKED, Origin.AUDIT],
        n_records=[5, 3],
        stratum=[0, 1],
        past=PastDraws.of([(0, True, 5, 0), (1, False, 4, 1), (1, True, 3, 0), (2, False, 2, 1)]),
    )
    shown = history.sequence()
    assert shown.y.tolist() == [1, 0, 0, 1, 1, 0]
    assert shown.origin.tolist() == ["audit", "ranked", "audit", "audit", "audit", "audit"]
    assert shown.here.tolist() == [False, True, False, False, True, False]
    assert shown.stratum.tolist() == [0, 0, 1, 0, 1, 1] and shown.pool_size.tolist() == [5, 5, 4, 3, 3, 2]
    assert history.n_found == 1 and history.n_screened == 2  # they are no records of the stage


# -- random logs ------------------------------------------------------------------------------

IDS = st.integers(1, 6)
WHO = st.sampled_from(["ann", "bob"])


class Logs(RuleBasedStateMachine):
    """Grow a log step by step; after each, `fold` must say what a naive reading of its words says."""

    def __init__(self):
        super().__init__()
        self.log = Log()
        self.copy = ()
        self.folding = LogFold()
        self.lazy = LogFold()  # takes several events at once

    @rule(record_id=IDS, reviewer=WHO, origin=st.sampled_from([Origin.RANKED, Origin.AUDIT]))
    def show(self, record_id, reviewer, origin):
        self.log.show(record_id, origin, reviewer=reviewer)

    @rule(record_id=IDS, reviewer=WHO, label=st.sampled_from(list(Label)), stage=st.sampled_from(["", "full-text"]))
    def decide(self, record_id, reviewer, label, stage):
        self.log.decide(record_id, label, reviewer, stage)

    @rule(record_id=IDS, reviewer=WHO, tag=st.sampled_from(["review", "qualitative"]))
    def tag(self, record_id, reviewer, tag):
        self.log.tag(record_id, tag, reviewer)

    @rule(record_id=IDS, label=st.sampled_from(list(Label)), stage=st.sampled_from(["abstract", "full-text"]))
    def settle(self, record_id, label, stage):
        self.log.add(Kind.SETTLED, stage=stage, record_id=record_id, reviewer="eve", label=label)

    @rule(copy=IDS, kept=IDS)
    def link(self, copy, kept):
        if copy != kept:
            self.log.link(copy, kept)

    @rule(record_id=IDS)
    def remove(self, record_id):
        self.log.remove(record_id)

    def to_undo(self):
        undone = {e.undoes for e in self.log.events}
        return [e for e in self.log.events if e.kind not in (Kind.UNDO, Kind.SHOWN) and e.seq not in undone]

    @precondition(lambda self: self.to_undo())
    @rule(data=st.data())
    def undo(self, data):
        event = data.draw(st.sampled_from(self.to_undo()))
        before = fold(self.log.events)
        self.log.undo(event)
        after = fold(self.log.events)
        never = fold([e for e in self.log.events if event.seq not in (e.seq, e.undoes)])
        # As if it had never been written; but what was shown stays shown.
        assert current(after) == current(never)
        if event.kind is not Kind.DUPLICATE:
            assert after.shown == before.shown

    @rule(record_id=IDS, reviewer=WHO, label=st.sampled_from(list(Label)))
    def decide_and_undo(self, record_id, reviewer, label):
        before = fold(self.log.events)
        self.log.undo(self.log.decide(record_id, label, reviewer))
        after = fold(self.log.events)
        assert current(after) == current(before)

    @invariant()
    def says_what_a_naive_reading_says(self):
        events = self.log.events
        undone = {e.undoes for e in events}
        standing = [e for e in events if e.seq not in undone and e.kind is not Kind.UNDO]
        live = fold(events)

        def group(record_id, before=len(events) + 1):
            members, grown = {record_id}, True
            while grown:
                ends = [{e.record_id, e.other_id} for e in standing if e.kind is Kind.DUPLICATE and e.seq < before]
                wider = members.union(*(pair for pair in ends if pair & members))
                members, grown = wider, wider != members
            return members

        assert live.duplicates == {i: min(group(i)) for i in range(1, 7) if min(group(i)) != i}
        assert live.removals == {e.record_id: e for e in standing if e.kind is Kind.REMOVAL}
        tags = [e for e in standing if e.kind is Kind.TAG]
        assert sorted((e for given in live.tags.values() for e in given), key=lambda e: e.seq) == tags
        assert all(key == (e.stage, e.record_id, e.reviewer) for key, given in live.tags.items() for e in given)
        tagged = {i: [e for e in tags if e.record_id in group(i)] for i in range(1, 7) if i == min(group(i))}
        assert live.tagged("abstract") == {i: given for i, given in tagged.items() if given}
        decided = [e for e in standing if e.kind is Kind.DECISION]
        expected = {}
        for e in decided:
            later = [d for d in decided if d.seq > e.seq and (d.stage, d.reviewer) == (e.stage, e.reviewer)]
            if not any(e.record_id in group(d.record_id, d.seq) for d in later):
                expected[e.stage, e.record_id, e.reviewer] = e
        assert live.decisions == expected
        settled = [e for e in standing if e.kind is Kind.SETTLED]
        assert live.settled == {(e.stage, e.record_id): e for e in settled}
        for stage in ("abstract", "full-text"):
            told = {min(group(e.record_id)): e for e in settled if e.stage == stage}
            votes = {}
            for (at, record_id, _), e in expected.items():
                if at == stage:
                    votes.setdefault(min(group(record_id)), set()).add(e.label)
            agreed = consensus(live, stage)
            assert agreed.settled == told
            assert agreed.conflicts == {r for r, v in votes.items() if len(v) > 1 and r not in told}
            assert agreed.labels == {r: min(v) for r, v in votes.items() if len(v) == 1} | {
                r: e.label for r, e in told.items()
            }
        seen = [e for e in events if e.kind in (Kind.SHOWN, Kind.DECISION)]
        for stage in ("abstract", "full-text"):
            for i in range(1, 7):
                first = next((e for e in seen if e.stage == stage and e.record_id in group(i)), None)
                assert live.shown.get((stage, live.kept(i))) == first

    @rule()
    def fold_on_after_a_while(self):
        self.lazy.apply(self.log.events[self.lazy.last_seq :])
        assert self.lazy.live == fold(self.log.events)

    @invariant()
    def folding_on_is_folding_anew(self):
        self.folding.apply(self.log.events[self.folding.last_seq :])
        live = self.folding.live
        assert live == fold(self.log.events)
        for e in live.decisions.values():
            group = {i for i in range(1, 7) if live.kept(i) == live.kept(e.record_id)}
            never = fold([other for other in self.log.events if e.seq not in (other.seq, other.undoes)])
            assert self.folding.without(e) == {
                key: d
                for key, d in never.decisions.items()
                if (key[0], key[2]) == (e.stage, e.reviewer) and key[1] in group
            }

    @invariant()
    def nothing_in_the_log_changes(self):
        assert tuple(self.log.events[: len(self.copy)]) == self.copy
        self.copy = tuple(self.log.events)

    @invariant()
    def a_record_once_shown_keeps_its_place(self):
        """The order of any two records that both stand for themselves is that in which they were shown."""
        live = fold(self.log.events)
        places = [
            live.kept(e.record_id)
            for e in self.log.events
            if e.kind in (Kind.SHOWN, Kind.DECISION) and e.stage == "abstract"
        ]
        order = [r for (stage, r), e in sorted(live.shown.items(), key=lambda item: item[1].seq) if stage == "abstract"]
        assert order == list(dict.fromkeys(places))


TestLogs = Logs.TestCase
TestLogs.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
