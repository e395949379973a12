"""Where two judge each record, nobody learns what the other decided before they have decided themselves."""

import json
import re
import time

import pytest
from conftest import PROTOCOL
from web_helpers import csrf, decided, joined, opened, routes, sent_pdf, team_app

from triage import cli, recall, screening, status, team
from triage.errors import InputError
from triage.flow import flow
from triage.log import Kind, Label
from triage.project import Role
from triage.second_look import ask_for_second_looks, second_looks
from triage.session_state import StateOf, recall_for
from triage.web.sessions import AHEAD

INCLUDE, EXCLUDE = Label.INCLUDE, Label.EXCLUDE
TWO = (
    PROTOCOL.replace('model = "fast"', 'model = "fast"\nreviewers_per_record = 2\ntags = ["trial"]')
    + '\n[[stages]]\nname = "abstract"\n\n[[stages]]\nname = "full-text"\n'
)
BOTH_STAGES = "abstract", "full-text"


def told(app, visitor, records, pdf, stages):
    """Return what every GET of the application answers to a visitor: its status, its headers and its bytes.

    What is asked of one record is asked of each of these.
    """
    answers, target = {}, records[0]
    paths = {
        re.sub(r"(?<=/records/)1|(?<=/why/)1", str(record_id), re.sub(r"(?<=/attachments/)1", str(pdf), path))
        for method, path, _ in routes(app)
        if method == "GET"
        for record_id in records
    }
    for path in sorted(paths):
        for stage in stages:
            asked = {"stage": stage}
            if path.endswith("/search"):
                asked |= {"q": "study OR peer", "act": "exclude", "count": True}
            elif path == "/api/attachments":
                asked["record_id"] = target
            elif path.startswith("/records/"):
                asked["second-look"] = 1
            answers[path, stage] = visitor.get(path, params=asked)
        answers[path, None] = visitor.get(path, params={key: value for key, value in asked.items() if key != "stage"})
    return {
        one: (
            answer.status_code,
            sorted((k, v) for k, v in answer.headers.items() if k != "set-cookie"),
            answer.content,
        )
        for one, answer in answers.items()
    }


def at_rest(app):
    """Wait until nothing is being opened or trained, and have every session tell its state anew."""
    for desk in list(app.state.desks._desks.values()):
        while desk.opening is not None:
            time.sleep(0.02)
        with desk.lock:
            if desk.session is not None:
                desk.session.wait()
                desk._state._renew()


class Team:
    """Rita and rosa judge the same records; olga owns the review, and carl has finished some records with rita."""

    def __init__(self, project):
        self.project, self.app = project, team_app(project)
        names = {"olga": Role.OWNER, "rita": Role.REVIEWER, "rosa": Role.REVIEWER, "carl": Role.ADJUDICATOR}
        self.people = {name: joined(self.app, name, role) for name, role in names.items()}
        self.keys = 0
        for name in ("rita", "rosa", "carl"):
            opened(self.people[name])

    def decide(self, name, record_id, label, **facts):
        self.keys += 1
        answer = decided(self.people[name], record_id, str(label), f"key-{self.keys:08}", next=False, **facts)
        assert answer.status_code == 200, answer.text

    def told(self, name, records, pdf, stages=("abstract",)):
        told(self.app, self.people[name], records[:1], pdf, stages)  # may open a session, or show a record
        at_rest(self.app)
        return told(self.app, self.people[name], records, pdf, stages)


def on_screen(project, name, stage="abstract"):
    live = project.live()
    return [
        e.record_id
        for e in project.log.events()
        if (e.reviewer, e.stage, e.kind) == (name, stage, Kind.SHOWN)
        and (stage, e.record_id, name) not in live.decisions
    ]


def differing(before, after):
    assert before.keys() == after.keys()
    return [one for one in before if before[one] != after[one]]


@pytest.fixture
def a_team(review):
    return Team(review(60, TWO))


@pytest.mark.parametrize("label", ["include", "exclude", "maybe"])
@pytest.mark.parametrize("which", ["late in the audit", "elsewhere", "on both screens"])
def test_nothing_that_a_reviewer_can_ask_for_tells_what_the_other_decided(a_team, label, which):
    """Every answer to every GET is the same, byte for byte, before and after; nothing but new cookies is left out.

    What is on the screen stays; what comes next may be another, as the ranking learns from everybody, and as a record
    comes to the next stage once one has included it. So rosa has as many records on both screens as a screen holds.
    """
    project = a_team.project
    screens = {i for name in ("rita", "rosa", "carl") for i in on_screen(project, name)}
    stage = project.stage()
    sample = [i for i in (stage.strata[0][::-1] + 1).tolist() if i not in screens][:3]
    free = [i for i in range(1, 61) if i not in screens | set(sample)]
    for name, record_id, given in [
        ("rita", free[0], INCLUDE),
        ("rosa", free[0], INCLUDE),
        ("rita", free[1], EXCLUDE),
        ("carl", free[1], EXCLUDE),
        ("rosa", free[2], EXCLUDE),
        ("rita", free[3], INCLUDE),
        ("rosa", free[3], EXCLUDE),
        ("rita", free[4], INCLUDE),
    ]:
        a_team.decide(name, record_id, given)
    target = {
        "late in the audit": sample[0],
        "elsewhere": free[5],
        "on both screens": next(i for i in on_screen(project, "rosa") if i in on_screen(project, "rita")),
    }[which]
    records = [target, free[0], free[4]]
    pdf = sent_pdf(a_team.people["olga"], record_id=target).json()["files"][0]["event"]
    a_team.told("rosa", records, pdf, BOTH_STAGES)
    assert len(on_screen(project, "rosa", "full-text")) == AHEAD
    before = a_team.told("rosa", records, pdf, BOTH_STAGES)
    assert {code for code, *_ in before.values()} >= {200, 403}
    a_team.decide("rita", target, label, note="an opinion of rita's", tags=["trial"])
    after = a_team.told("rosa", records, pdf, BOTH_STAGES)
    assert differing(before, after) == []
    a_team.decide("rosa", target, "include" if label == "exclude" else "exclude")
    seen = a_team.told("rosa", records, pdf, BOTH_STAGES)
    assert ("/api/status", None) in differing(after, seen) and ("/api/conflicts", None) in differing(after, seen)
    assert b"an opinion of rita" in seen["/api/conflicts", None][2] and b"an opinion of rita" not in b"".join(
        content for *_, content in after.values()
    )


def test_an_adjudicator_is_as_blind_but_for_pace_and_agreement_and_an_owner_sees_all(a_team):
    for record_id, given in ((50, INCLUDE), (51, EXCLUDE)):
        for name in ("rita", "carl"):
            a_team.decide(name, record_id, given)
    records = [52, 50]
    pdf = sent_pdf(a_team.people["olga"], record_id=52).json()["files"][0]["event"]
    owner, adjudicator = (a_team.told(name, records, pdf) for name in ("olga", "carl"))
    a_team.decide("rita", 52, "exclude")
    needed = {one for one in owner if one[0] in ("/overview", "/api/status", "/conflicts", "/api/agreement")}
    later = a_team.told("carl", records, pdf)
    assert set(differing(adjudicator, later)) <= needed
    before, after = (json.loads(answers["/api/status", None][2]) for answers in (adjudicator, later))
    assert before | {"pace": 0} == after | {"pace": 0} and before["pace"] != after["pace"]
    changed = differing(owner, a_team.told("olga", records, pdf))
    assert ("/api/status", None) in changed and ("/api/flow", None) in changed


def test_a_record_of_the_calibration_round_is_not_done_for_whoever_is_still_to_judge_it(review):
    a_team = Team(review(60, TWO.replace("reviewers_per_record", "calibration = 4\nreviewers_per_record")))
    target = int(a_team.project.stage().calibration(4)[3]) + 1
    records = [target, 60]
    pdf = sent_pdf(a_team.people["olga"], record_id=target).json()["files"][0]["event"]
    before = a_team.told("rosa", records, pdf, BOTH_STAGES)
    a_team.decide("rita", target, INCLUDE)
    a_team.decide("carl", target, EXCLUDE)
    assert a_team.project.stage().consensus.conflicts == {target}
    assert differing(before, a_team.told("rosa", records, pdf, BOTH_STAGES)) == []
    a_team.decide("rosa", target, EXCLUDE)
    assert [one["record_id"] for one in a_team.people["rosa"].get("/api/conflicts").json()["conflicts"]] == [target]


def test_the_terminal_is_as_blind(review, capsys):
    project = review(60, TWO)
    stage = screening.commit_audit(project).stage()
    target = int(stage.strata[0][-1]) + 1
    weights = recall.logged_parameters(project.log.events(), "abstract")

    def line():
        with screening.open_session(project, reviewer="bob", background=False) as (session, _):
            return str(
                StateOf(session, lambda history: recall_for(project.snapshot(), "abstract", "bob", history, weights))()
            )

    project.log.decide("abstract", [{"record_id": 60, "label": INCLUDE}], reviewer="bob")
    before = line()
    project.log.decide("abstract", [{"record_id": target, "label": EXCLUDE}], reviewer="ann")
    assert line() == before and before.startswith("1 of 60 screened | 1 relevant found | 59 left | recall")
    looks = second_looks(project.snapshot(), "bob")
    assert (looks.sample, looks.judged, looks.waiting, looks.own) == (0, 0, (), 0)
    with pytest.raises(InputError, match="ordinary screening"):
        ask_for_second_looks(project, "bob")
    for command in (
        ["screen", str(project.path), "--second-look"],
        ["export", str(project.path), "-o", f"{project.path}.csv", "--only", "second-look"],
    ):
        assert cli.run([*command, "--reviewer", "bob"]) == 2 and "ordinary screening" in capsys.readouterr().err
    assert status.status(project.snapshot()).screened == 2  # the file's owner sees all
    assert status.status(project.snapshot()).label_noise.pending == [target]
    project.log.decide("abstract", [{"record_id": target, "label": EXCLUDE}], reviewer="bob")
    assert line().startswith("2 of 60 screened") and second_looks(project.snapshot(), "bob").judged == 1


def test_what_a_reviewer_sees_claims_no_more_than_the_whole_log(review):
    """The certificate to a reviewer counts what is hidden as relevant, so its bound is never the better one."""
    project = review(60, TWO)
    stage = screening.commit_audit(project).stage()
    order = (stage.strata[0] + 1).tolist()
    project.log.decide("abstract", [{"record_id": order[-1], "label": INCLUDE}], reviewer="ann")  # found by search
    for at, record_id in enumerate(order[:40]):
        project.log.show("abstract", [record_id], ["audit"], [60 - at], reviewer="ann")
        for name in ("ann", "bob") if at % 9 else ("ann",):
            project.log.decide("abstract", [{"record_id": record_id, "label": EXCLUDE}], reviewer=name)
        told = [recall.certificate(project.stage(viewer=viewer).history()) for viewer in ("bob", None)]
        assert told[0].relevant_upper >= told[1].relevant_upper
    project.log.decide("abstract", [{"record_id": i, "label": EXCLUDE} for i in order[:40:9]], reviewer="bob")
    project.log.decide("abstract", [{"record_id": order[-1], "label": INCLUDE}], reviewer="bob")
    assert status.status(project.snapshot(), viewer="bob").certificate == status.status(project.snapshot()).certificate


def test_where_one_judges_each_record_everybody_sees_the_same(review):
    project = review(24)
    project.log.decide(
        "abstract", [{"record_id": 1, "label": INCLUDE}, {"record_id": 2, "label": EXCLUDE}], reviewer="ann"
    )
    assert status.status(project.snapshot(), viewer="bob") == status.status(project.snapshot())
    assert flow(project.snapshot(), viewer="bob") == flow(project.snapshot())


def test_conflicts_are_a_link_wherever_there_can_be_some_with_the_number_that_waits(review):
    from web_helpers import alone

    with review(12) as project, alone(project) as ann:
        assert "/conflicts" not in ann.get("/overview").text  # one judges alone
        project.log.decide("abstract", [{"record_id": 1, "label": INCLUDE}], reviewer="ann")
        assert team.open_conflicts(project.snapshot()) is None
        project.log.decide("abstract", [{"record_id": 1, "label": EXCLUDE}], reviewer="bob")
        page = ann.get("/overview").text
        assert ">Conflicts (1)</a>" in page and "1 record</a>" not in page and "1 record is in conflict" in page
        assert ">Conflicts (1)</a>" in ann.get("/").text
        team.settle(project, 1, "exclude", reviewer="ann")
        assert ">Conflicts</a>" in ann.get("/overview").text


def test_two_reviewers_on_one_machine_find_the_conflicts(review):
    from web_helpers import alone

    with review(12, TWO) as project, alone(project) as ann:
        assert ">Conflicts</a>" in ann.get("/overview").text


def test_a_batch_is_taken_back_on_the_overview(review):
    a_team = Team(review(60, TWO))
    project, rita, rosa, olga = a_team.project, *(a_team.people[name] for name in ("rita", "rosa", "olga"))
    ids = screening.hand_out(project, 5, file="next.csv", reviewer="rita")
    project.log.decide("abstract", [{"record_id": ids[-1], "label": EXCLUDE}], reviewer="rita")
    (batch,) = olga.get("/api/batches").json()["batches"]
    assert (batch["reviewer"], batch["file"]) == ("rita", "next.csv") and batch["left"] == batch["handed_out"] - 1
    assert rita.get("/api/batches").json()["batches"] == [batch] and rosa.get("/api/batches").json()["batches"] == []
    assert "Batches handed out" not in rosa.get("/overview").text
    refused = rosa.post("/api/batches/take-back", headers=csrf(rosa), json={"event": batch["event"]})
    assert refused.status_code == 422 and "no batch that you can take back" in refused.json()["detail"]
    page = olga.get("/overview").text
    assert re.search(
        rf'Batch of {batch["handed_out"]} handed out to <span dir="auto">rita</span> on \d{{4}}-\d\d-\d\d', page
    )
    done = olga.post(
        "/batches/take-back", data={"csrf": csrf(olga)["x-csrf-token"], "event": batch["event"], "stage": "abstract"}
    )
    assert (done.status_code, done.headers["location"]) == (303, "/overview?stage=abstract")
    assert olga.get("/api/batches").json() == {"batches": []} and "Batches handed out" not in olga.get("/overview").text
    assert project.live().decisions["abstract", ids[-1], "rita"].label is EXCLUDE
    assert olga.post("/api/batches/take-back", headers=csrf(olga), json={"event": batch["event"]}).status_code == 422
