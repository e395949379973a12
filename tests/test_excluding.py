"""What a search finds can be excluded unread: told apart everywhere, taken back as one, and no evidence of anything."""

import json
from dataclasses import replace

import numpy as np
import pytest
import typer
from conftest import PROTOCOL, Log
from screening_helpers import answer
from web_helpers import alone, csrf, decided, joined, opened, team_app

from triage import cli, intake, recall, report, screening, status, team
from triage.errors import InputError
from triage.flow import flow
from triage.found import Wanted, excludable, excluded_unread
from triage.log import Kind, Label, LogFold, Origin, exclusions, fold, visible
from triage.project import Role
from triage.ranking import answers
from triage.ranking.review import final_labels, newest_ranking_of
from triage.report import words
from triage.second_look import Looks, second_looks

INCLUDE, EXCLUDE, MAYBE = Label.INCLUDE, Label.EXCLUDE, Label.MAYBE
STEEL = Wanted("steel")  # a third of the records of `sample_ris`: 2, 4, 6, ... without those of the first topic
TWO = PROTOCOL.replace('model = "fast"', 'model = "fast"\nreviewers_per_record = 2')


def steel(n):
    return [i for i in range(1, n + 1) if i % 6 in (0, 2, 4)]


def unread(log, record_id, reviewer="ann", **fields):
    return log.decide(record_id, EXCLUDE, reviewer, origin=Origin.BULK, note="steel", **fields)


def screened(project, reviewer, count=None):
    with screening.open_session(project, reviewer=reviewer, background=False) as (session, records):
        return [(records[one.row].id, one.origin) for one in answer(session, records, count)]


# -- what is agreed, and what the mathematics sees --------------------------------------------


def test_a_record_excluded_unread_is_excluded_and_has_no_label_for_the_mathematics():
    log = Log()
    log.plan([3, 1, 2, 4])
    unread(log, 1)
    log.show(2)
    log.decide(2, INCLUDE, origin=Origin.RANKED)
    stage = log.stage(4)
    assert stage.consensus.labels == {1: EXCLUDE, 2: INCLUDE} and stage.consensus.unread == {1}
    assert stage.consensus.relevant(1) is None
    history = stage.history()
    assert history.rows.tolist() == [1] and (history.n_screened, history.n_unscreened) == (1, 3)
    assert recall.certificate(history).missed_upper == 3  # by arithmetic: 1, 3 and 4 may all be relevant


def test_a_reading_takes_the_place_of_ones_own_exclusion_and_beside_anothers_it_is_a_vote():
    log = Log()
    first = unread(log, 1)
    unread(log, 2, "bob")
    unread(log, 3, "bob")
    log.decide(1, INCLUDE)
    log.decide(2, INCLUDE)
    log.decide(3, EXCLUDE)
    agreed = log.stage(3).consensus
    assert agreed.labels == {1: INCLUDE, 3: EXCLUDE} and agreed.conflicts == {2} and not agreed.unread
    assert [agreed.relevant(i) for i in (1, 2, 3)] == [True, True, False]
    (mine, bobs) = exclusions(log.events, fold(log.events))
    assert (mine.first, mine.size, mine.left) == (first, 1, ()) and [e.record_id for e in bobs.left] == [2, 3]


def test_an_audit_draw_of_a_record_excluded_unread_waits_for_somebody_who_reads_it():
    log = Log()
    log.plan([1, 2, 3])
    unread(log, 1)
    log.show(1, Origin.AUDIT, 3)
    assert log.stage(3).history().y.tolist() == [-1]
    read = log.decide(1, INCLUDE, origin=Origin.AUDIT)
    history = log.stage(3).history()
    assert history.y.tolist() == [1] and history.origin.tolist() == ["audit"] and len(recall.audit_draws(history)) == 1
    log.undo(read)  # what was excluded unread comes back as such, and the draw waits again
    stage = log.stage(3)
    assert stage.consensus.unread == {1} and stage.history().y.tolist() == [-1]


def test_many_taken_back_at_once_leave_what_each_reviewer_had_decided_before():
    log = Log()
    log.link(2, 1)
    before = log.decide(1, MAYBE)
    gone = [unread(log, i) for i in (2, 3, 4)]
    after = log.decide(4, INCLUDE)
    assert {key[1] for key in fold(log.events).decisions} == {2, 3, 4}
    step = LogFold(log.events)
    newest = [log.undo(e) for e in gone]
    step.apply(newest)
    assert step.live.decisions == fold(log.events).decisions
    assert step.live.decisions == {("abstract", 1, "ann"): before, ("abstract", 4, "ann"): after}


# -- that the bound holds ----------------------------------------------------------------------


def claims(origin, seed, n=150, relevant=15, hit=9):
    """Return the bound on recall and the truth after an audit, of a review of which a search's result was excluded.

    `hit` of the relevant records are among the 60 that the search found. With the origin `bulk` they were not read; with
    `chosen` they count as read, and the audit draws from the others.
    """
    rng = np.random.default_rng(seed)
    log = Log()
    log.plan(order := (rng.permutation(n) + 1))
    true = set(range(1, relevant + 1))
    found = set(range(1, hit + 1)) | set(range(relevant + 1, relevant + 1 + 60 - hit))
    for i in sorted(found):
        log.decide(i, EXCLUDE, origin=origin)
    left = [i for i in range(1, n + 1) if i not in found]
    shown = set()
    for i in left[:30]:  # a good ranking: what is relevant and was left comes first
        log.show(i)
        log.decide(i, INCLUDE if i in true else EXCLUDE, origin=Origin.RANKED)
        shown.add(i)
    shown |= found if origin is Origin.CHOSEN else set()
    draws = [i for i in order.tolist() if i not in shown][:55]
    for at, i in enumerate(draws):
        log.show(i, Origin.AUDIT, n - len(shown) - at)
        log.decide(i, INCLUDE if i in true else EXCLUDE, origin=Origin.AUDIT)
    history = log.stage(n).history()
    got = recall.certificate(history, 0.5, 0.95)
    return got.recall_lower, history.n_found / relevant


def test_the_bound_holds_when_what_was_excluded_unread_is_relevant():
    """300 runs: a search took 9 of the 15 relevant records. Counted as irrelevant the bound would be wrong in all."""
    runs = [claims(Origin.BULK, seed) for seed in range(300)]
    wrong = sum(lower > truth + 1e-9 for lower, truth in runs)
    assert wrong <= 24  # at the most 5 % of 300 are expected: 24 or more come once in 50 such tests
    assert 0.3 < np.mean([lower for lower, _ in runs]) < 0.9  # the bound is no empty one
    as_read = [claims(Origin.CHOSEN, seed) for seed in range(300)]
    assert sum(lower > truth + 1e-9 for lower, truth in as_read) == 300


def test_excluding_unread_never_makes_a_bound_or_a_rule_any_surer(review):
    project = review(60)
    screened(project, "ann", 12)
    before = status.status(project.snapshot())
    done = screening.exclude_found(project, STEEL, reviewer="ann")
    after = status.status(project.snapshot())
    assert done.excluded == after.excluded_unread > 15 and after.unscreened == before.unscreened == 48
    assert (after.certificate, after.rules, after.verdict) == (before.certificate, before.rules, before.verdict)
    assert (after.estimate, after.workload, after.label_noise) == (before.estimate, before.workload, before.label_noise)
    assert after.price_of_certainty == before.price_of_certainty and after.screened == before.screened == 12


@pytest.mark.parametrize("rule", ["cmh", "knee", "consecutive", "quant", "ip-p", "ranked-e", "audit-e"])
def test_status_warns_of_the_rules_that_rest_on_the_ranking(review, rule):
    project = review(60, PROTOCOL + f'\n[stopping]\nrule = "{rule}"\n')
    screening.exclude_found(project, STEEL, reviewer="ann")
    (said,) = [one for one in status.status(project.snapshot()).warnings if "excluded unread" in one]
    assert ("those that promise a certificate are wrong" in said) is (rule != "audit-e")


def test_a_small_review_all_excluded_unread_is_not_certified_by_arithmetic(review):
    project = review(12)
    screening.exclude_found(project, STEEL, reviewer="ann")
    project.log.decide("abstract", [{"record_id": 1, "label": INCLUDE}], reviewer="ann")
    for i in (3, 5, 7, 9, 11):
        project.log.decide("abstract", [{"record_id": i, "label": EXCLUDE}], reviewer="ann")
    facts = status.status(project.snapshot())
    assert (facts.unscreened, facts.certificate.missed_upper, facts.verdict.certified) == (6, 6, False)


# -- the session -------------------------------------------------------------------------------


def test_the_ranking_does_not_bring_them_up_and_random_draws_do(review):
    project = review(90)
    done = screening.exclude_found(project, STEEL, reviewer="ann")
    assert list(done.record_ids) == steel(90) and done.found == done.excluded == 45
    seen = screened(project, "ann")
    found = set(done.record_ids)
    assert not [i for i, origin in seen if origin is not Origin.AUDIT and i in found]
    assert {i for i, _ in seen} >= set(range(1, 91)) - found
    drawn = [i for i, origin in seen if origin is Origin.AUDIT and i in found]
    assert drawn and status.status(project.snapshot()).excluded_unread == 45 - len(drawn)
    live = project.live()
    assert all(live.decisions["abstract", i, "ann"].origin is Origin.AUDIT for i in drawn)


def test_once_the_queue_is_empty_they_are_drawn_until_the_target_is_certified(review, monkeypatch):
    monkeypatch.setattr("triage.screening.opening._policy", lambda project: lambda history: Origin.RANKED)
    project = review(180, PROTOCOL + "\n[stopping]\ntarget = 0.8\n")
    screening.exclude_found(project, STEEL, reviewer="ann")
    seen = screened(project, "ann")
    assert [origin for _, origin in seen[:90]] == [Origin.RANKED] * 90
    assert {origin for _, origin in seen[90:]} == {Origin.AUDIT} and len(seen) < 180
    facts = status.status(project.snapshot())
    assert facts.certificate.certified and facts.excluded_unread == 180 - len(seen)


def test_where_nothing_else_is_left_they_are_drawn_until_the_target_is_certified(review):
    project = review(24)
    screening.exclude_found(project, Wanted("peer OR bridges OR soil"), reviewer="ann")
    assert len(excluded_unread(project.snapshot())) == 1
    seen = screened(project, "ann")
    facts = status.status(project.snapshot())
    assert {origin for _, origin in seen} == {Origin.AUDIT} and facts.certificate.certified
    assert facts.excluded_unread == 24 - len(seen) < 3  # 4 are relevant: 95 % of them is all


def test_without_audit_draws_the_session_ends_with_the_queue(review):
    project = review(30, PROTOCOL + '\n[stopping]\nrule = "knee"\n')
    screening.exclude_found(project, STEEL, reviewer="ann")
    assert {i for i, _ in screened(project, "ann")} == set(range(1, 31)) - set(steel(30))


def test_anothers_reading_takes_the_place_where_one_judges_each_record(review):
    project = review(24)
    screening.exclude_found(project, STEEL, reviewer="bob")
    with screening.open_session(project, reviewer="ann", background=False) as (session, _):
        session.decide(1, INCLUDE)  # record 2, opened on its page
        session.decide(3, EXCLUDE)
        assert session.counts().unread == 10
    live = project.live()
    assert live.decisions["abstract", 2, "ann"].label is INCLUDE and ("abstract", 2, "bob") not in live.decisions
    stage = project.stage()
    assert not stage.consensus.conflicts and stage.consensus.relevant(4) is False
    table = project.path.parent / "votes.csv"
    table.write_text("record_id,label\n6,include\n8,exclude\n", encoding="utf-8")
    intake.label(project, table, reviewer="carl")
    stage = project.stage()
    assert stage.consensus.relevant(6) is True and stage.consensus.relevant(8) is False
    assert stage.consensus.unread == set(steel(24)) - {2, 4, 6, 8} and not stage.consensus.conflicts


def test_nobody_is_bound_by_an_exclusion_that_is_taken_back(review):
    project = review(24)
    done = screening.exclude_found(project, STEEL, reviewer="ann")
    with screening.open_session(project, reviewer="bob", background=False) as (session, records):
        assert records[session.next().row].id not in done.record_ids
        assert len(project.log.take_exclusion_back(done.event, reviewer="ann")) == 12
        seen = {records[one.row].id for one in answer(session, records)}
    assert seen == set(range(1, 25))
    with pytest.raises(InputError, match="begins no exclusion"):
        project.log.take_exclusion_back(done.event, reviewer="ann")


def test_the_last_decision_is_the_last_that_was_read(review):
    project = review(24)
    project.log.decide("abstract", [{"record_id": 1, "label": INCLUDE}], reviewer="ann")
    screening.exclude_found(project, STEEL, reviewer="ann")
    assert intake.undo(project, reviewer="ann").record_id == 1
    with pytest.raises(InputError, match="has no decision"):
        intake.undo(project, reviewer="ann")
    with screening.open_session(project, reviewer="ann", background=False) as (session, _):
        assert session.undo() is None


# -- which records, and what is refused -------------------------------------------------------


def test_what_is_decided_on_shown_or_of_the_calibration_round_stays(review):
    project = review(60, PROTOCOL.replace('model = "fast"', 'model = "fast"\ncalibration = 6'))
    stage = screening.commit_audit(project).stage()
    sample = {int(i) for i in stage.record_ids[stage.calibration(6)]}
    free = [i for i in steel(60) if i not in sample]
    project.log.decide("abstract", [{"record_id": free[0], "label": INCLUDE}], reviewer="ann")
    project.log.decide("abstract", [{"record_id": free[1], "label": EXCLUDE}], reviewer="bob")
    project.log.show("abstract", [free[2]], [Origin.RANKED], [50], reviewer="ann")
    project.log.show("abstract", [free[3]], [Origin.RANKED], [49], reviewer="bob")
    offered = excludable(project.snapshot(), STEEL, reviewer="ann")
    done = screening.exclude_found(project, STEEL, reviewer="ann")
    assert offered.record_ids == done.record_ids == tuple(free[4:]) and offered.found == 30
    again = screening.exclude_found(project, STEEL, reviewer="ann")
    assert (again.event, again.excluded) == (None, 0)


def test_all_of_it_is_one_transaction_and_each_has_an_event(review):
    project = review(60)
    before = len(project.log.events())
    done = screening.exclude_found(project, STEEL, reviewer="ann")
    made = [e for e in project.log.events() if e.kind is Kind.DECISION]
    assert [e.record_id for e in made] == list(done.record_ids) and len({e.at for e in made}) == 1
    assert {(e.origin, e.note, e.label, e.reviewer) for e in made} == {(Origin.BULK, "steel", EXCLUDE, "ann")}
    assert len(project.log.events()) == before + len(made) + 1  # and the permutation


@pytest.mark.parametrize(
    "wanted, options, said",
    [
        (Wanted("  "), {}, "finds every record"),
        (Wanted("( )"), {}, "finds every record"),
        (STEEL, {"stage_name": "full-text"}, "no stage"),
        (STEEL, {"confirmed": 3}, "more than the 3 that were confirmed"),
    ],
)
def test_what_cannot_be_excluded_is_refused_and_nothing_is_written(review, wanted, options, said):
    project = review(24)
    with pytest.raises(InputError, match=said):
        screening.exclude_found(project, wanted, reviewer="ann", **options)
    assert not [e for e in project.log.events() if e.kind is Kind.DECISION]


def test_there_is_a_bound_on_how_many_and_a_machine_excludes_none(review, monkeypatch):
    project = review(24)
    monkeypatch.setattr("triage.screening.excluding.MOST_AT_ONCE", 5)
    with pytest.raises(InputError, match="12 records would be excluded, and 5 at once are the most"):
        screening.exclude_found(project, STEEL, reviewer="ann")
    project.log.suggest("abstract", [{"record_id": 1, "label": INCLUDE}], machine="llm 1", known={})
    with pytest.raises(InputError, match="is a machine"):
        screening.exclude_found(project, Wanted("soil"), reviewer="llm 1")


# -- what does not go by them -----------------------------------------------------------------


def test_neither_the_ranking_learns_from_them_nor_doubts_agreement_or_second_looks_speak_of_them(review):
    project = review(60)
    screened(project, "ann", 20)
    ranked = newest_ranking_of(project, None, None, "auto", None)
    doubts = answers.doubts(project, top=50)
    looks, agreed = Looks.of(project.snapshot()), team.agreement(project.snapshot())
    screening.exclude_found(project, STEEL, reviewer="bob")
    again = newest_ranking_of(project, None, None, "auto", None)
    assert again.ranking.id == ranked.ranking.id and np.array_equal(again.ranking.scores, ranked.ranking.scores)
    assert answers.doubts(project, top=50) == doubts
    now = Looks.of(project.snapshot())
    assert (now.draws, now.others, now.pool) == (looks.draws, looks.others, looks.pool)
    assert second_looks(project.snapshot(), "carl").waiting == second_looks(project.snapshot(), "carl").waiting
    assert team.agreement(project.snapshot()) == agreed
    found = set(project.stage().consensus.unread)
    assert not found & {one.record_id for one in answers.rank(project, top=60).records}


def test_an_exclusion_unread_at_a_later_stage_teaches_the_first_nothing(review):
    project = review(12, PROTOCOL + '\n[[stages]]\nname = "abstract"\n\n[[stages]]\nname = "full-text"\n')
    project.log.decide("abstract", [{"record_id": i, "label": INCLUDE} for i in (2, 4)], reviewer="ann")
    project.log.decide("full-text", [{"record_id": 2, "label": EXCLUDE}], reviewer="ann")
    screening.exclude_found(project, STEEL, reviewer="ann", stage_name="full-text")
    final = final_labels(replace(project.protocol(), learn_from="final"), project.stage("abstract"))
    assert (final[1], final[3]) == (0, -1)


# -- counted apart -----------------------------------------------------------------------------


def test_every_count_tells_them(review, tmp_path):
    project = review(60)
    screened(project, "ann", 10)
    done = screening.exclude_found(project, STEEL, reviewer="ann")
    review_now = project.snapshot()
    facts = status.status(review_now)
    (one,) = facts.exclusions
    assert (one.event, one.query, one.reviewer, one.records, one.unread) == (
        done.event,
        "steel",
        "ann",
        done.excluded,
        done.excluded,
    )
    said = status.in_words(facts)
    assert f"50 unscreened ({done.excluded} of them excluded unread)" in said
    assert f"Unread       Excluded unread, by a search: “steel”: {done.excluded} records, by ann on 20" in said
    counted = flow(review_now).stages[0]
    assert counted.unread == done.excluded
    assert counted.entered == counted.unscreened + counted.conflicts + sum(counted.excluded.values()) + counted.included
    figure = report.flow_figure(flow(review_now), {})
    assert f"of these, found by a search and not read: {done.excluded}." in figure
    text = words.methods_text(project.protocol(), flow(review_now), review_now.history(), facts, None)
    assert (
        f"Of the {sum(counted.excluded.values())} records excluded at this stage, {done.excluded} were excluded by a search's "
        "result without being read one by one (“steel”:" in text
    )
    report.write_report(review_now, tmp_path / "report.html", facts)
    assert "without being read one by one" in (tmp_path / "report.html").read_text(encoding="utf-8")
    intake.export(review_now, tmp_path / "out.csv", only=("excluded",))
    rows = (tmp_path / "out.csv").read_text(encoding="utf-8-sig")
    assert rows.count("excluded unread, found by a search: steel") == done.excluded
    # The table given back says nothing new, and makes no record a read one.
    told = intake.label(project, tmp_path / "out.csv", reviewer="ann")
    assert told.decisions == 0 and project.stage().consensus.unread == set(done.record_ids)


def test_a_record_read_since_is_told_as_such(review):
    project = review(24, TWO)
    screening.exclude_found(project, STEEL, reviewer="ann")
    project.log.decide("abstract", [{"record_id": 2, "label": EXCLUDE}], reviewer="bob")
    (one,) = excluded_unread(project.snapshot())
    assert (one.records, one.unread) == (12, 11) and one.in_words.endswith("; 1 was read since")
    assert excluded_unread(project.snapshot(), viewer="bob") == []


# -- two reviewers -----------------------------------------------------------------------------


def test_it_is_one_reviewers_vote(review):
    project = review(24, TWO)
    screening.exclude_found(project, STEEL, reviewer="ann")
    seen = {i for i, _ in screened(project, "bob")}
    assert seen == set(range(1, 25))  # bob reads what ann has excluded
    stage = project.stage()
    assert stage.consensus.unread == set() and stage.history().n_screened == 24
    assert status.status(project.snapshot()).excluded_unread == 0
    mine = {i for i, origin in screened(project, "ann") if origin is not Origin.AUDIT}
    assert not mine & set(steel(24))


def test_two_who_exclude_a_record_unread_take_it_out_of_the_queue_and_not_out_of_the_audit(review):
    project = review(48, TWO)
    for name in ("ann", "bob"):
        assert screening.exclude_found(project, STEEL, reviewer=name).excluded == 24
    assert project.stage().consensus.unread == set(steel(48))
    assert screening.exclude_found(project, STEEL, reviewer="carl").excluded == 0
    drawn = [i for name in ("carl", "dora") for i, origin in screened(project, name) if i in steel(48)]
    assert drawn and all(e.origin is Origin.AUDIT for (_, i), e in project.live().shown.items() if i in set(drawn))


def test_who_reads_for_an_audit_what_they_excluded_unread_is_told_of_no_other_vote(review):
    project = review(24, TWO)
    screening.exclude_found(project, STEEL, reviewer="ann")
    screening.exclude_found(project, STEEL, reviewer="bob")
    stage = project.stage()
    target = int(stage.record_ids[next(row for row in stage.strata[0] if int(stage.record_ids[row]) in steel(24))])
    project.log.show("abstract", [target], [Origin.AUDIT], [24], reviewer="ann")
    seen = visible(project.live(), "abstract", "ann", reviewers_per_record=2)
    assert [e.reviewer for e in seen[target]] == ["ann"]
    as_ann = project.snapshot().stage(viewer="ann")
    assert ("abstract", target, "bob") not in as_ann.live.decisions


def test_an_exclusion_unread_confirms_no_reading_as_a_second_look_would(review):
    project = review(24, TWO)
    project.log.decide("abstract", [{"record_id": i, "label": EXCLUDE} for i in (2, 3)], reviewer="ann")
    project.log.decide("abstract", [{"record_id": 3, "label": EXCLUDE}], reviewer="bob")
    screening.exclude_found(project, STEEL, reviewer="bob")
    looks = Looks.of(project.snapshot())
    assert (looks.awaits(2), looks.awaits(3)) == (True, False)
    assert dict(zip(looks.record_ids, looks.corrections().confirmed.tolist(), strict=True)) == {2: False, 3: True}


def test_what_somebody_is_reading_is_not_open_to_a_second_reader_because_it_was_excluded_unread(review):
    project = review(24)
    screening.exclude_found(project, STEEL, reviewer="bob")
    project.log.show("abstract", [2], [Origin.AUDIT], [24], reviewer="ann")
    with (
        screening.open_session(project, reviewer="carl", background=False) as (session, _),
        pytest.raises(InputError, match="have taken this record"),
    ):
        session.decide(1, INCLUDE)


# -- programs ----------------------------------------------------------------------------------


def test_a_program_excludes_once_for_a_key_and_takes_back_its_own(review):
    project = review(24, TWO)
    app = team_app(project)
    names = {"olga": Role.OWNER, "rita": Role.REVIEWER, "rosa": Role.REVIEWER}
    olga, rita, rosa = (joined(app, name, role) for name, role in names.items())
    told = rita.get("/api/search?q=steel&count=true").json()
    assert (told["read_as"], told["at_stage"], told["to_judge"]) == ("steel", 12, 12)
    assert "to_judge" not in rita.get("/api/search?q=steel").json()
    asked = {"key": "exclude-0001", "q": "steel", "confirmed": 11}
    refused = rita.post("/api/exclusions", headers=csrf(rita), json=asked)
    assert refused.status_code == 422 and "more than the 11" in refused.json()["detail"]
    asked["confirmed"] = 12
    first, again = (rita.post("/api/exclusions", headers=csrf(rita), json=asked) for _ in range(2))
    assert first.status_code == 200 and first.json() == again.json() and first.json()["excluded"] == 12
    assert len([e for e in project.log.events() if e.is_unread]) == 12
    (mine,) = rita.get("/api/exclusions").json()["exclusions"]
    assert mine["event"] == first.json()["event"] and rosa.get("/api/exclusions").json() == {"exclusions": []}
    assert olga.get("/api/exclusions").json()["exclusions"] == [mine]
    found = rita.get("/api/history?label=unread").json()
    assert found["total"] == 12 and found["decisions"][0]["decision"]["unread"] is True
    back = {"event": mine["event"]}
    assert rosa.post("/api/exclusions/take-back", headers=csrf(rosa), json=back).status_code == 422
    assert len(rita.post("/api/exclusions/take-back", headers=csrf(rita), json=back).json()["taken_back"]) == 12
    assert not project.live().decisions


def test_a_draw_that_was_excluded_unread_comes_without_that_decision(review, monkeypatch):
    monkeypatch.setattr("triage.screening.opening._policy", lambda project: lambda history: Origin.AUDIT)
    with review(24) as project, alone(project) as ann:
        screening.exclude_found(project, Wanted("peer OR bridges OR soil"), reviewer="ann")
        first = opened(ann)[0]
        assert first["decision"] is None
        same = decided(ann, first["record_id"], "exclude", "key-00000001", note="peer or bridges or soil")
        assert same.status_code == 200  # the same label and note, by somebody who has read it: written all the same
        assert not project.live().decisions["abstract", first["record_id"], "ann"].is_unread


# -- the command -------------------------------------------------------------------------------


def test_the_command_asks_shows_and_writes(review, capsys, monkeypatch):
    project = review(24)
    path = str(project.path)
    monkeypatch.setattr("typer.confirm", lambda text, abort: asked.append(text))
    asked = []
    assert cli.run(["exclude", path, "steel", "--reviewer", "ann"]) == 0
    said = capsys.readouterr().out
    assert asked == ["Exclude 12 records that nobody has read?"]
    assert said.startswith(
        "Read as: steel\n12 records of the stage 'abstract' are found; 12 of them are still to be judged by ann."
    )
    assert "and 2 more" in said and "12 records excluded unread; triage undo" in said
    assert cli.run(["undo", path, "--bulk", "--reviewer", "ann"]) == 0
    assert "Took back 12 exclusions of what the search “steel” found, made by ann." in capsys.readouterr().out
    assert cli.run(["undo", path, "--bulk", "--reviewer", "ann"]) == 2
    assert "excluded nothing unread that could be taken back" in capsys.readouterr().err
    assert cli.run(["undo", path, "--bulk", "--batch"]) == 2


def test_the_command_for_programs(review, capsys):
    project = review(24)
    path = str(project.path)
    assert cli.run(["exclude", path, "steel", "--json"]) == 2 and "--yes" in capsys.readouterr().err
    assert cli.run(["exclude", path, "title:steel", "--reviewer", "ann", "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["read_as"] == "steel in title" and told["excluded"] == len(told["record_ids"]) == told["found"] > 0
    assert cli.run(["log", path, "--json"]) == 0
    bulk = [e for e in json.loads(capsys.readouterr().out)["events"] if e["origin"] == "bulk"]
    assert [e["record_id"] for e in bulk] == told["record_ids"] and bulk[0]["seq"] == told["event"]
    assert cli.run(["undo", path, "--bulk", "--reviewer", "ann", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["record_ids"] == told["record_ids"]


def test_declined_nothing_is_written(review, monkeypatch):
    def no(text, abort):
        raise typer.Abort

    project = review(24)
    monkeypatch.setattr("typer.confirm", no)
    assert cli.run(["exclude", str(project.path), "steel"]) != 0
    assert not project.log.events()
