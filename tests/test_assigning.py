"""Records are assigned to people: who gets them first, who gets them not, and that no sample follows it."""

import json

import numpy as np
import pytest
from conftest import PROTOCOL
from screening_helpers import answer
from web_helpers import alone, csrf, joined, team_app

from triage import assigning, cli, recall, screening, status
from triage.errors import InputError
from triage.found import Wanted
from triage.log import Kind, Label, Origin
from triage.project import Role
from triage.ranking.review import newest_ranking_of

INCLUDE, EXCLUDE = Label.INCLUDE, Label.EXCLUDE
TWO = PROTOCOL.replace('model = "fast"', 'model = "fast"\nreviewers_per_record = 2')
STEEL = Wanted("steel")


def steel(n):
    return [i for i in range(1, n + 1) if i % 6 in (0, 2, 4)]


def screened(project, reviewer, count=None):
    with screening.open_session(project, reviewer=reviewer, background=False) as (session, records):
        return [(records[one.row].id, one.origin) for one in answer(session, records, count)]


def held(project, stage="abstract"):
    given = project.live().assigned_at(stage)
    return {name: sorted(i for i, to in given.items() if name in to) for to in given.values() for name in to}


def test_the_rankings_next_go_in_turn_the_best_first(review):
    project = review(60)
    ranked = newest_ranking_of(project, None, None, "auto", None)
    best = ranked.stage.record_ids[ranked.order][:11].tolist()
    given = assigning.assign(project, ["ann", "bob"], reviewer="olga", top=11)
    assert (given.records, given.given, given.unknown) == (11, {"ann": 6, "bob": 5}, ("ann", "bob"))
    assert held(project) == {"ann": sorted(best[::2]), "bob": sorted(best[1::2])}
    made = [e for e in project.log.events() if e.kind is Kind.ASSIGNED]
    assert [(e.record_id, e.reason, e.reviewer, e.origin) for e in made[:2]] == [
        (best[0], "ann", "olga", Origin.RANKED),
        (best[1], "bob", "olga", Origin.RANKED),
    ]
    assert len({e.at for e in made}) == 1 and {e.note for e in made} == {"the ranking's next"}


def test_who_has_records_assigned_gets_them_first_and_nobody_else_does(review):
    project = review(60)
    assigning.assign(project, ["ann"], reviewer="olga", wanted=STEEL, top=8)
    mine = set(held(project)["ann"])
    others = [i for i, origin in screened(project, "bob", 30) if origin is Origin.RANKED]
    assert others and not mine & set(others)
    seen = screened(project, "ann", 12)
    drawn = {
        i for i, e in ((e.record_id, e) for e in project.log.events()) if e.kind is Kind.SHOWN and e.reviewer == "bob"
    }
    left = [i for i in mine if i not in drawn]
    assert {i for i, _ in seen[: len(left)]} == set(left) and {o for _, o in seen[: len(left)]} == {Origin.ASSIGNED}
    assert seen[len(left) :] and not {i for i, _ in seen[len(left) :]} & mine  # then the common queue
    assert Origin.ASSIGNED not in {o for _, o in seen[len(left) :]}
    (facts,) = status.status(project.snapshot()).assigned
    assert (facts.reviewer, facts.assigned, facts.done) == ("ann", 8, len(left))


def test_they_come_in_the_order_of_the_ranking(review):
    project = review(60)
    assigning.assign(project, ["ann"], reviewer="ann", wanted=STEEL)
    with screening.open_session(project, reviewer="ann", background=False) as (session, _):
        scores = session.scores.copy()
        first = session.next()
        wanted = max((row for row in range(60) if row + 1 in steel(60)), key=lambda row: scores[row])
        assert (first.row, first.origin) == (wanted, Origin.ASSIGNED)


def test_what_was_found_by_a_search_is_in_no_run_of_the_ranking(review):
    """The rules that rest on the ranking count no record that a person picked by a search."""
    project = review(60)
    assigning.assign(project, ["ann"], reviewer="ann", wanted=Wanted("soil"), top=10)
    assert {o for _, o in screened(project, "ann", 10)} == {Origin.ASSIGNED}
    history = project.stage().history()
    assert recall.Policy.run(history) == 0 and not len(history.ahead) and not history.chosen.any()


def test_the_rankings_next_are_shown_as_ranked(review):
    project = review(60)
    assigning.assign(project, ["ann"], reviewer="ann", top=10)
    assert {o for _, o in screened(project, "ann", 10)} == {Origin.RANKED}


def test_random_draws_come_in_their_order_whoever_has_what(review, monkeypatch):
    monkeypatch.setattr("triage.screening.opening._policy", lambda project: lambda history: Origin.AUDIT)
    project = review(30)
    order = screening.commit_audit(project).stage().strata[0]
    assigning.assign(project, ["ann"], reviewer="ann", wanted=STEEL)
    assert [i for i, _ in screened(project, "bob", 20)] == (order[:20] + 1).tolist()


def test_nothing_of_the_certificate_changes_by_assigning(review):
    project = review(60)
    screened(project, "ann", 30)
    before = status.status(project.snapshot())
    assigning.assign(project, ["ann", "bob"], reviewer="ann", top=10)
    after = status.status(project.snapshot())
    assert after.assigned and (after.certificate, after.rules, after.workload) == (
        before.certificate,
        before.rules,
        before.workload,
    )


def test_it_does_not_make_the_ranking_stale(review):
    project = review(30)
    before = newest_ranking_of(project, None, None, "auto", None).ranking.id
    assigning.assign(project, ["ann"], reviewer="ann", top=5)
    assert newest_ranking_of(project, None, None, "auto", None).ranking.id == before


def test_taking_back_frees_what_is_not_judged(review):
    project = review(30)
    assigning.assign(project, ["ann"], reviewer="ann", wanted=STEEL)
    with screening.open_session(project, reviewer="bob", background=False) as (session, records):
        assert records[session.next().row].id not in steel(30)
        done = screened(project, "ann", 3)
        left = assigning.take_back(project, "ann", reviewer="ann")
        assert {e.about for e in left} == set(steel(30)) - {i for i, _ in done}
        seen = {records[one.row].id for one in answer(session, records)}
    assert seen >= {e.about for e in left}
    assert status.status(project.snapshot()).assigned == [assigning.AssignedTo("ann", 3, 3)]
    with pytest.raises(InputError, match="No record is assigned to ann .* not judged"):
        assigning.take_back(project, "ann", reviewer="ann")


def test_one_is_undone_as_any_event(review):
    project = review(30)
    assigning.assign(project, ["ann", "bob"], reviewer="ann", wanted=STEEL, top=2)
    first = next(e for e in project.log.events() if e.kind is Kind.ASSIGNED)
    project.log.undo(first.seq, reviewer="ann")
    assert "ann" not in held(project) and len(held(project)["bob"]) == 1
    assert first.record_id in {i for i, _ in screened(project, "carl")}


def test_what_somebody_has_is_judged_or_excluded_unread_is_not_assigned(review):
    project = review(30)
    project.log.decide("abstract", [{"record_id": 2, "label": INCLUDE}], reviewer="ann")
    project.log.show("abstract", [4], [Origin.RANKED], [30], reviewer="bob")
    screening.exclude_found(project, Wanted("number5"), reviewer="ann")  # record 6
    given = assigning.assign(project, ["carl"], reviewer="ann", wanted=STEEL)
    assert held(project)["carl"] == [i for i in steel(30) if i > 6] and given.records == 12
    with pytest.raises(InputError, match="No record of the stage 'abstract' is left to be assigned"):
        assigning.assign(project, ["dora"], reviewer="ann", wanted=STEEL)


@pytest.mark.parametrize(
    "people, options, said",
    [
        ([], {"top": 5}, "at least one person"),
        (["ann"], {}, "so many of the ranking's next, or a search"),
        (["ann"], {"wanted": Wanted(" ")}, "finds every record"),
        (["ann", "bob"], {"top": 5, "each": 2}, "asks for 1 reviewer a record; 2 is not"),
        (["llm 1"], {"top": 5}, "is a machine"),
        (["ann\u0007"], {"top": 5}, "can be printed"),
        (["ann"], {"top": 5, "stage_name": "late"}, "no stage"),
    ],
)
def test_what_cannot_be_assigned_is_refused_and_nothing_is_written(review, people, options, said):
    project = review(24)
    project.log.suggest("abstract", [{"record_id": 1, "label": INCLUDE}], machine="llm 1", known={})
    with pytest.raises(InputError, match=said):
        assigning.assign(project, people, reviewer="ann", **options)
    assert not [e for e in project.log.events() if e.kind is Kind.ASSIGNED]


def test_two_reviewers_each_record_goes_to_two_of_three(review):
    project = review(60, TWO)
    given = assigning.assign(project, ["ann", "bob", "carl"], reviewer="olga", top=9, each=2)
    assert given.given == {"ann": 6, "bob": 6, "carl": 6} and given.records == 9
    to = project.live().assigned_at("abstract")
    assert {frozenset(one) for one in to.values()} == {
        frozenset(pair) for pair in (("ann", "bob"), ("ann", "carl"), ("bob", "carl"))
    }
    seen = [i for i, origin in screened(project, "dora", 20) if origin is Origin.RANKED]
    assert not set(seen) & set(to)


def test_a_record_assigned_to_one_of_two_is_still_offered_to_one_other(review):
    project = review(24, TWO)
    assigning.assign(project, ["ann"], reviewer="olga", wanted=STEEL)
    assert set(steel(24)) <= {i for i, _ in screened(project, "bob")}
    assert not set(steel(24)) & {i for i, o in screened(project, "carl") if o is not Origin.AUDIT}
    assert {i for i, _ in screened(project, "ann")} >= set(steel(24))


def test_a_handed_out_batch_begins_with_what_is_assigned(review, tmp_path):
    project = review(30)
    assigning.assign(project, ["ann"], reviewer="ann", wanted=STEEL, top=3)
    ids = screening.hand_out(project, 5, file="next.csv", reviewer="ann")
    assert set(ids[:3]) == set(held(project)["ann"]) and not set(ids[3:]) & set(ids[:3])


def test_ten_thousand_are_assigned_in_seconds(review):
    import time

    project = review(10_000)
    began = time.perf_counter()
    assigning.assign(project, ["ann", "bob"], reviewer="ann", wanted=Wanted("steel OR soil"))
    assert time.perf_counter() - began < 15 and np.sum([len(i) for i in held(project).values()]) > 8_000


# -- the command, and programs -----------------------------------------------------------------


def test_the_command(review, capsys):
    project = review(30)
    path = str(project.path)
    assert cli.run(["assign", path]) == 0 and "No record is assigned to anybody." in capsys.readouterr().out
    assert cli.run(["assign", path, "--top", "4", "--to", "ann", "--to", "bob", "--reviewer", "ann"]) == 0
    assert capsys.readouterr().out == (
        "2 records assigned to ann.\n2 records assigned to bob; nobody of that name has worked here yet.\n"
    )
    assert cli.run(["assign", path, "--query", "steel", "--to", "carl", "--reviewer", "ann", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["records"] == told["given"]["carl"] and [one["reviewer"] for one in told["assigned"]] == [
        "ann",
        "bob",
        "carl",
    ]
    assert cli.run(["assign", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["assigned"] == told["assigned"]
    assert (
        cli.run(["status", path, "--json"]) == 0 and json.loads(capsys.readouterr().out)["assigned"] == told["assigned"]
    )
    assert cli.run(["status", path]) == 0 and "Assigned     ann: 2 records, 0 judged\n" in capsys.readouterr().out
    assert cli.run(["assign", path, "--take-back", "--to", "ann", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"taken_back": {"ann": 2}}
    for wrong in (["--top", "3"], ["--take-back"], ["--take-back", "--to", "ann", "--top", "3"]):
        assert cli.run(["assign", path, *wrong]) == 2
    assert cli.run(["assign", path, "--take-back", "--to", "ann"]) == 2


def test_an_owner_assigns_and_others_do_not(review):
    project = review(30, TWO)
    app = team_app(project)
    olga, rita = (joined(app, name, role) for name, role in (("olga", Role.OWNER), ("rita", Role.REVIEWER)))
    asked = {"people": ["rita", "rosa"], "top": 6}
    assert rita.post("/api/assignments", headers=csrf(rita), json=asked).status_code == 403
    given = olga.post("/api/assignments", headers=csrf(olga), json=asked)
    assert given.status_code == 200 and given.json()["given"] == {"rita": 3, "rosa": 3}
    assert [one["reviewer"] for one in olga.get("/api/assignments").json()["assigned"]] == ["rita", "rosa"]
    # How far another is would tell a reviewer who is to stay blind what others do.
    assert [one["reviewer"] for one in rita.get("/api/assignments").json()["assigned"]] == ["rita"]
    assert [one["reviewer"] for one in rita.get("/api/status").json()["assigned"]] == ["rita"]
    with pytest.raises(InputError, match="rita is no owner"):
        assigning.assign(project, ["rita"], reviewer="rita", top=3)
    back = olga.post("/api/assignments/take-back", headers=csrf(olga), json={"reviewer": "rosa"})
    assert len(back.json()["taken_back"]) == 3
    record = next(i for i, to in project.live().assigned_at("abstract").items())
    assert 'Assigned to <span dir="auto">rita</span>' in olga.get(f"/records/{record}").text


def test_the_one_person_of_a_review_assigns(review):
    with review(24) as project, alone(project) as ann:
        token = {"csrf": csrf(ann)["x-csrf-token"]}
        asked = {**token, "q": "steel", "others": "bob, carl"}
        done = ann.post("/search/assign", data=asked)
        assert (done.status_code, done.headers["location"]) == (303, "/people?stage=")
        assert {name: len(ids) for name, ids in held(project).items()} == {"bob": 6, "carl": 6}
        assert '<span dir="auto">bob</span>: 6 records, 0 judged' in ann.get("/people").text
        assert ann.post("/people/take-back", data={**token, "reviewer": "bob"}).status_code == 303
        assert ann.post("/people/assign", data={**token, "top": "3", "to": ["carl", "dora"]}).status_code == 303
        assert {name: len(ids) for name, ids in held(project).items()} == {"carl": 8, "dora": 1}
        assert ann.post("/people/assign", data={**token, "top": "3"}).status_code == 422
