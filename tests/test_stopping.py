"""The stop of a stage: an event of the log, with its evidence, taken back like a decision."""

import json

import numpy as np
import pytest
from conftest import sample_ris
from web_helpers import alone, csrf, hidden, joined, team_app

from triage import cli, intake, report, stopping, stops
from triage.errors import InputError
from triage.flow import flow
from triage.log import Kind, Label, Origin
from triage.project import Project, Role
from triage.project.reading import insert_events
from triage.screening import open_session
from triage.screening.journal import commit_audit
from triage.status import in_words, status


def judge(project, ids, origin=None):
    decisions = [{"record_id": i, "label": Label.INCLUDE if i % 6 == 1 else Label.EXCLUDE} for i in ids]
    if origin is not None:
        commit_audit(project)
        left = project.stage().history().n_unscreened
        sizes = [left - n for n in range(len(ids))]
        project.log.show("abstract", ids, [origin] * len(ids), sizes, reviewer="ann")
    project.log.decide("abstract", decisions, reviewer="ann")


def certified(project):
    """Screen until 95 % are certified: the relevant by rank, then all but a few of the others at random."""
    relevant = [i for i in range(1, 301) if i % 6 == 1]
    judge(project, relevant, Origin.RANKED)
    order = project.stage().record_ids[project.stage().strata[0]].tolist()
    judge(project, [i for i in order if i not in relevant][:240], Origin.AUDIT)


@pytest.fixture
def screened(review):
    with review(300) as project:
        certified(project)
        assert status(project.snapshot()).verdict.stop
        yield project


def test_a_stop_holds_who_when_by_which_rule_on_which_bound_and_at_which_event(screened):
    newest = screened.log.events()[-1].seq
    made = stopping.stop(screened, reviewer="olga", note="agreed on Monday")
    event = screened.log.events()[-1]
    assert (event.kind, event.stage, event.reviewer, event.seq) == (Kind.STOP, "abstract", "olga", newest + 1)
    note = json.loads(event.note)
    facts = status(screened.snapshot())
    assert note["as_of"] == newest and note["rule"] == "audit-e" and note["rule_met"] and note["certified"]
    assert note["recall_lower"] == facts.certificate.recall_lower >= 0.95
    assert (note["records"], note["screened"], note["relevant_found"], note["unscreened"]) == (300, 290, 50, 10)
    assert note["note"] == "agreed on Monday" and note["triage_version"] and note["protocol_version"] == 1
    assert made.stands and stops.newest(screened.snapshot()) == made
    assert f"Stopped      {made.in_words}" in in_words(facts)
    assert "olga stopped the stage 'abstract'" in made.in_words and "certified)" in made.in_words


def test_report_and_figure_speak_of_the_stop_and_not_of_the_last_look(screened, tmp_path):
    stopping.stop(screened, reviewer="olga")
    now = screened.snapshot()
    day = stops.newest(now).at.strftime("%Y-%m-%d")
    page = report.render(now, status(now))
    assert f"Screening was stopped on {day}, certified." in page and "olga stopped the stage" in page
    figure = report.flow_figure(
        flow(now), {}, stopped=report.stopped_stages(status(now), report.stops_of(now)), standalone=True
    )
    assert f"Not screened, screening was stopped on {day}" in figure
    assert "Not yet screened" not in figure


def test_the_rule_has_to_allow_it_or_the_log_says_that_it_did_not(review):
    with review(60) as project:
        judge(project, range(1, 31))
        with pytest.raises(InputError, match="says to go on.*--anyway"):
            stopping.stop(project, reviewer="ann")
        assert all(e.kind is not Kind.STOP for e in project.log.events())
        made = stopping.stop(project, reviewer="ann", anyway=True)
        assert not made.rule_met and not made.certified and "although the rule said to go on" in made.in_words
        with pytest.raises(InputError, match=f"triage undo --event {made.event}"):
            stopping.stop(project, reviewer="ann", anyway=True)


def test_a_stop_is_taken_back_like_a_decision(screened):
    made = stopping.stop(screened, reviewer="olga")
    screened.log.undo(made.event, reviewer="olga")
    assert stops.newest(screened.snapshot()) is None and status(screened.snapshot()).stop is None
    again = stopping.stop(screened, reviewer="bob")
    assert stops.newest(screened.snapshot()).event == again.event


def test_what_comes_after_a_stop_ends_it_unless_its_evidence_knew_of_it(screened, tmp_path):
    stopping.stop(screened, reviewer="olga")
    # One more record judged adds to what was found.
    judge(screened, [int(i) for i in np.setdiff1d(range(1, 301), list(judged(screened)))[:1]])
    assert stops.newest(screened.snapshot()).stands
    screened.log.decide("abstract", [{"record_id": 1, "label": Label.EXCLUDE}], reviewer="ann")
    (file,) = [tmp_path / "more.ris"]
    file.write_text(sample_ris(7, first=300))
    intake.import_files(screened, [file], reviewer="ann")
    stop = stops.newest(screened.snapshot())
    assert stop.no_longer == ("7 records have come to the stage", "1 judged record counts otherwise than then")
    facts = status(screened.snapshot())
    assert "no longer stands, because since then 7 records have come" in facts.warnings[0]
    assert report.headline(facts) == f"The stop of {stop.at:%Y-%m-%d} no longer stands."
    assert "abstract" not in report.stopped_stages(facts, report.stops_of(screened.snapshot())) or facts.verdict.stop


def judged(project):
    return {e.about for e in project.log.events() if e.kind is Kind.DECISION}


def test_the_seeds_are_revealed_after_a_stop_alone_and_what_is_left_is_drawn_anew_once_it_is_taken_back(screened):
    with pytest.raises(InputError, match="Stop it first"):
        screened.log.reveal("abstract", reviewer="olga")
    made = stopping.stop(screened, reviewer="olga")
    event = screened.log.reveal("abstract", reviewer="olga")
    (seed,) = json.loads(event.note)["seeds"].values()
    ids = screened.stage().record_ids
    drawn = ids[screened.stage().strata[0]]
    assert np.random.default_rng(int(seed)).permutation(ids).tolist() == drawn.tolist()
    assert screened.stage().to_commit.tolist() == []
    now = screened.snapshot()
    assert stops.revealed_seeds(now, "abstract") == {1: True} and status(now).seeds_revealed
    assert "give the permutations that had been committed" in report.render(now, status(now))
    before = status(screened.snapshot()).certificate
    with pytest.raises(InputError, match="public.*undo --event"):
        commit_audit(screened)
    screened.log.undo(made.event, reviewer="olga")
    left = set(ids.tolist()) - judged(screened)
    assert set(screened.stage().to_commit.tolist()) == left and len(left) == 10
    commit_audit(screened)
    stage = screened.stage()
    assert set(stage.record_ids[stage.strata[1]].tolist()) == left
    # Nothing is known of the ten any more: the old draws could not have hit them.
    assert status(screened.snapshot()).certificate.missed_upper == 10 >= before.missed_upper


def test_a_seed_that_is_not_the_one_committed_is_named(screened):
    stopping.stop(screened, reviewer="olga")
    with screened._database.write() as connection:
        wrong = json.dumps({"seeds": {"1": "12345"}})
        insert_events(connection, [{"kind": Kind.REVEAL, "stage": "abstract", "reviewer": "olga", "note": wrong}])
    facts = status(screened.snapshot())
    assert facts.seeds_revealed is False and any("permutation of event 1 is not the one" in w for w in facts.warnings)


def test_the_command_stops_and_says_so(screened, tmp_path, capsys):
    path = str(tmp_path / "my review.triage")
    if not (tmp_path / "my review.triage").exists():
        pytest.skip("a review on a server; the command is tested on a file")
    assert cli.run(["stop", path, "--reviewer", "olga", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["stands"] and told["rule"] == "audit-e" and told["seeds"] == {} and told["reviewer"] == "olga"
    assert cli.run(["stop", path, "--reviewer", "olga"]) == 2
    assert "That stop stands" in capsys.readouterr().err
    assert cli.run(["stop", path, "--reviewer", "olga", "--reveal", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["seeds"]) == 1
    assert cli.run(["status", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stop"]["event"] == told["event"]


def test_owners_stop_on_the_page_and_over_the_interface_and_reviewers_do_not(screened):
    app = team_app(screened)
    olga, rita = joined(app, "olga", Role.OWNER), joined(app, "rita", Role.REVIEWER)
    assert rita.post("/api/stop", headers=csrf(rita), json={}).status_code == 403
    assert "Stop this stage" not in rita.get("/overview").text
    page = olga.get("/overview")
    assert "Stop this stage" in page.text
    assert olga.post("/overview/stop", data={"csrf": hidden(page), "note": "done"}).status_code == 303
    assert stops.newest(screened.snapshot()).note == "done"
    assert "olga stopped the stage" in olga.get("/overview").text
    assert olga.post("/api/stop", headers=csrf(olga), json={}).status_code == 422
    assert olga.delete("/api/stop", headers=csrf(olga)).status_code == 200
    assert stops.newest(screened.snapshot()) is None
    assert olga.delete("/api/stop", headers=csrf(olga)).status_code == 422
    assert olga.post("/api/stop", headers=csrf(olga), json={}).json()["stands"]


def test_a_blind_reviewer_hears_of_a_stop_and_nothing_of_its_counts(review):
    with review(30, "reviewers_per_record = 2\n") as project:
        judge(project, range(1, 20))
        stopping.stop(project, reviewer="olga", anyway=True)
        facts = status(project.snapshot(), viewer="bob")
        assert facts.stop is None and facts.warnings[1].startswith("olga stopped this stage on")


def test_a_stop_that_others_write_before_is_of_the_newest_evidence(screened, monkeypatch):
    real, raced = Project.snapshot, []

    def snapshot(project):
        found = real(project)
        if len(raced) < 2:
            raced.append(found)
            screened.log.decide("abstract", [{"record_id": 2, "label": Label.EXCLUDE}], reviewer=f"bob{len(raced)}")
        return found

    monkeypatch.setattr(Project, "snapshot", snapshot)
    made = stopping.stop(screened, reviewer="olga")
    assert made.event == made.as_of + 1 and len(raced) == 2


def test_the_terminal_asks_whether_to_stop(screened, monkeypatch, capsys):
    from triage.cli import screening as command

    asked = []
    monkeypatch.setattr("typer.confirm", lambda text: asked.append(text) or True)
    command._offer_to_stop(screened, "abstract", "ann")
    assert "audit-e says that screening can stop" in asked[0] and "ann stopped" in capsys.readouterr().out
    command._offer_to_stop(screened, "abstract", "ann")
    assert len(asked) == 1  # it is stopped
    screened.log.decide("abstract", [{"record_id": 1, "label": Label.EXCLUDE}], reviewer="ann")
    monkeypatch.setattr("typer.confirm", lambda text: asked.append(text))
    command._offer_to_stop(screened, "abstract", "ann")
    assert len(asked) == 1 + status(screened.snapshot()).verdict.stop


def test_a_stop_is_not_of_a_pool_so_a_session_goes_on(screened):
    with open_session(screened, reviewer="ann", preset="fast", background=False) as (session, _):
        session.next()
        stopping.stop(screened, reviewer="olga")
        assert session.next() is not None


def test_alone_on_this_machine_everybody_is_the_owner_and_may_stop(screened):
    with alone(screened, preset="fast") as ann:
        assert ann.post("/api/stop", headers=csrf(ann), json={"note": "n"}).json()["reviewer"] == "ann"
