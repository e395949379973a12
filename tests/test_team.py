"""Several reviewers: what they may see of each other, where they disagree, and how that is settled."""

import json

import pytest
from conftest import Log, both_storages

from triage import cli, intake, report, status, team
from triage.errors import InputError
from triage.flow import flow
from triage.log import Kind, Label, LogFold, consensus, fold, independent, visible
from triage.project import Project

INCLUDE, EXCLUDE, MAYBE = Label.INCLUDE, Label.EXCLUDE, Label.MAYBE
TWO = 'reviewers_per_record = 2\nmodel = "fast"\n\n[[stages]]\nname = "abstract"\n\n[[stages]]\nname = "full-text"\n'
storage = both_storages


def settled(log, record_id, label, **fields):
    return log.add(Kind.SETTLED, stage=log.name, record_id=record_id, label=label, reviewer="eve", **fields)


def agreed(log):
    found = consensus(fold(log.events), log.name)
    one_by_one = LogFold()
    for e in log.events:
        one_by_one.apply([e])
    assert consensus(one_by_one.live, log.name) == found
    return found.labels, set(found.conflicts)


def disagreement():
    log = Log()
    log.decide(1, INCLUDE)
    log.decide(1, EXCLUDE, reviewer="bob")
    return log


# -- what is settled ----------------------------------------------------------------------------


def test_a_settlement_ends_a_conflict_and_an_undo_opens_it_again():
    log = disagreement()
    assert agreed(log) == ({}, {1})
    first = settled(log, 1, EXCLUDE)
    assert agreed(log) == ({1: EXCLUDE}, set()) and log.stage(2).history().y.tolist() == [0]
    second = settled(log, 1, MAYBE)
    assert agreed(log) == ({1: MAYBE}, set()) and log.stage(2).history().y.tolist() == [1]
    log.undo(second)
    assert agreed(log) == ({1: EXCLUDE}, set())
    log.undo(first)
    assert agreed(log) == ({}, {1})


def test_a_settlement_holds_whatever_the_reviewers_say_later():
    log = disagreement()
    settled(log, 1, EXCLUDE)
    log.decide(1, INCLUDE, reviewer="bob")
    assert agreed(log) == ({1: EXCLUDE}, set())


def test_a_settlement_goes_with_its_duplicate_group_and_the_newest_counts():
    log = disagreement()
    log.decide(2, EXCLUDE)
    settled(log, 1, EXCLUDE)
    link = log.link(2, 1)
    assert agreed(log) == ({1: EXCLUDE}, set())
    newest = settled(log, 2, INCLUDE)
    assert agreed(log) == ({1: INCLUDE}, set())
    log.undo(link)
    assert agreed(log) == ({1: EXCLUDE, 2: INCLUDE}, set())
    log.undo(newest)
    assert agreed(log) == ({1: EXCLUDE, 2: EXCLUDE}, set())


def test_a_record_passes_on_once_its_conflict_is_settled_so():
    log = Log("full-text", earlier=("abstract",))
    log.decide(1, INCLUDE, stage="abstract")
    log.decide(1, EXCLUDE, reviewer="bob", stage="abstract")
    log.plan([1, 2])
    assert log.stage(2).record_ids.tolist() == []
    told = log.add(Kind.SETTLED, stage="abstract", record_id=1, label=INCLUDE, reviewer="eve")
    assert log.stage(2).record_ids.tolist() == [1]
    log.undo(told)
    assert log.stage(2).record_ids.tolist() == []


# -- what each may see --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "viewer, settles, one, both",
    [
        ("ann", False, ["ann"], ["ann", "bob"]),
        ("bob", False, [], ["ann", "bob"]),
        ("eve", False, [], []),
        ("ann", True, ["ann"], ["ann", "bob"]),
        ("eve", True, [], ["ann", "bob"]),
    ],
)
def test_nobody_sees_anothers_decision_before_both_are_there(viewer, settles, one, both):
    log = Log()
    log.decide(1, INCLUDE)

    def seen():
        found = visible(fold(log.events), "abstract", viewer, reviewers_per_record=2, settles=settles)
        return [e.reviewer for e in found.get(1, [])]

    assert seen() == one
    second = log.decide(1, EXCLUDE, reviewer="bob")
    assert seen() == both
    log.undo(second)
    assert seen() == one


def test_where_one_decides_nothing_is_hidden():
    log = disagreement()
    assert [e.reviewer for e in visible(fold(log.events), "abstract", "eve")[1]] == ["ann", "bob"]


# -- over a review ------------------------------------------------------------------------------


@pytest.fixture
def project(review):
    project = review(12, TWO)
    for reviewer, labels in {"ann": [INCLUDE, INCLUDE, EXCLUDE, EXCLUDE], "bob": [INCLUDE, EXCLUDE, EXCLUDE]}.items():
        project.log.decide(
            "abstract",
            [
                {"record_id": i, "label": label, "reason": "CHILD" if label is EXCLUDE else "", "note": f"{reviewer}'s"}
                for i, label in enumerate(labels, 1)
            ],
            reviewer=reviewer,
        )
    return project


def test_conflicts_are_listed_with_both_reasons(project):
    found = team.conflicts(project.snapshot())
    assert found.settled == [] and [c.record_id for c in found.conflicts] == [2]
    assert [(d.reviewer, d.label, d.reason, d.note) for d in found.conflicts[0].decisions] == [
        ("ann", "include", "", "ann's"),
        ("bob", "exclude", "CHILD", "bob's"),
    ]
    assert team.conflicts(project.snapshot(), "full-text").conflicts == []


def test_a_reviewer_sees_the_conflicts_they_are_in(project):
    seen = {
        name: [c.record_id for c in team.conflicts(project.snapshot(), viewer=name, settles=name == "joe").conflicts]
        for name in ("ann", "eve", "joe")
    }
    assert seen == {"ann": [2], "eve": [], "joe": [2]}


def test_a_settled_conflict_counts_everywhere(project, tmp_path):
    event = team.settle(project, 2, "exclude", reviewer="joe", reason="ONLINE", note="read it")
    found = team.conflicts(project.snapshot())
    assert found.conflicts == [] and found.settled[0].settled.note == "read it"
    facts = status.status(project.snapshot())
    assert (facts.conflicts, facts.relevant_found, facts.screened) == (0, 1, 4)
    assert flow(project.snapshot()).stages[0].excluded == {"CHILD": 2, "ONLINE": 1}
    intake.export(project.snapshot(), tmp_path / "out.csv", only=["excluded"])
    assert "exclude,ONLINE; CHILD" in (tmp_path / "out.csv").read_text()
    intake.undo(project, reviewer="joe", seq=event.seq)
    assert [c.record_id for c in team.conflicts(project.snapshot()).conflicts] == [2]


def test_only_conflicts_are_settled_and_only_by_who_may(project):
    before = project.log.events()
    project.people.add("ann", "reviewer")
    for record_id, label, who, message in [
        (1, "include", "joe", "in no conflict"),
        (4, "include", "joe", "in no conflict"),
        (2, "yes", "joe", "not a label"),
        (2, "include", "ann", "an adjudicator or an owner"),
    ]:
        with pytest.raises(InputError, match=message):
            team.settle(project, record_id, label, reviewer=who)
    assert project.log.events() == before
    team.settle(project, 2, "include", reviewer="joe")
    team.settle(project, 2, "exclude", reviewer="joe")  # anew
    assert project.stage().consensus.labels[2] is EXCLUDE


def test_the_command_lists_and_settles(project, capsys):
    def run(*arguments):
        code = cli.run(["conflicts", str(project.path), *arguments])
        return code, *capsys.readouterr()

    code, out, _ = run("--json")
    assert code == 0 and [c["record_id"] for c in json.loads(out)["conflicts"]] == [2]
    code, out, _ = run()
    assert code == 0 and "record 2" in out and "ann" in out and "CHILD" in out
    assert run("--settle", "1", "--label", "include")[0] == 2
    assert run("--settle", "2")[0] == 2
    code, out, _ = run("--settle", "2", "--label", "exclude", "--reason", "CHILD", "--reviewer", "joe")
    assert code == 0 and "record 2" in out
    code, out, _ = run("--json")
    told = json.loads(out)
    assert told["conflicts"] == [] and told["settled"][0]["settled"]["reviewer"] == "joe"
    with Project.open(project.path) as other:
        assert [str(e.kind) for e in other.log.events()][-1] == "settled"


# -- agreement ----------------------------------------------------------------------------------


def test_agreement_is_of_what_was_decided_independently_and_no_discussion_raises_it(project):
    """Both include 1, both exclude 3, apart on 2: po = 2/3, pe = 2/3 1/3 + 1/3 2/3 = 4/9, kappa = 2/5."""
    team.settle(project, 2, "exclude", reviewer="joe")
    found = team.agreement(project.snapshot())
    assert found.reviewers == ["ann", "bob"] and found.measured.records == 3 and found.calibration is None
    assert found.measured.pairs[0].reviewers == ["ann", "bob"]
    assert found.measured.pairs[0].labels.value == pytest.approx(0.4)
    assert found.measured.labels.observed == pytest.approx(2 / 3)
    assert found.after_discussion is None
    project.log.decide("abstract", [{"record_id": 2, "label": MAYBE}], reviewer="bob")
    found = team.agreement(project.snapshot())
    assert found.measured.pairs[0].labels.value == found.measured.pairs[0].passing.value == pytest.approx(0.4)
    after = found.after_discussion
    assert after.pairs[0].labels.value < 1 and after.pairs[0].passing.value == pytest.approx(1)
    assert after.passing.gwet_ac1.value == pytest.approx(1)
    lines = {one.name: (one.independent[:4], one.after[:4]) for one in team.agreement_table(found)}
    assert lines["Cohen's kappa, ann and bob"] == ("0.40", "1.00")
    said = team.agreement_in_words(found)
    assert "After discussion, by the decisions as they are now:" in said
    page = report.render(project.snapshot(), status.status(project.snapshot()))
    assert "After discussion" in page and "Cohen&#39;s kappa, ann and bob" in page


def independently(log, needed=2):
    return independent(fold(log.events), log.events, log.name, needed=needed)


def test_a_slip_that_is_mended_before_anything_could_be_seen_is_no_disagreement():
    log = Log()
    log.decide(1, EXCLUDE)
    log.decide(1, INCLUDE)  # before bob has judged it
    slip = log.decide(1, MAYBE, reviewer="bob")
    log.undo(slip)
    log.decide(1, INCLUDE, reviewer="bob")  # he may have seen ann's meanwhile
    assert independently(log) == {1: {"ann": INCLUDE, "bob": MAYBE}}
    log.decide(2, EXCLUDE)
    assert independently(log)[2] == {"ann": EXCLUDE}
    log.undo(log.events[-1])
    assert independently(log)[2] == {}


def test_of_three_each_counts_as_they_stood_when_they_could_see_the_others():
    log = disagreement()  # ann includes, bob excludes
    log.decide(1, EXCLUDE)
    log.decide(1, MAYBE, reviewer="eve")  # blind until she has judged it herself
    log.decide(1, EXCLUDE, reviewer="eve")
    assert independently(log) == {1: {"ann": INCLUDE, "bob": EXCLUDE, "eve": MAYBE}}
    assert independently(log, needed=3) == {1: {"ann": EXCLUDE, "bob": EXCLUDE, "eve": MAYBE}}


def test_a_copy_judged_apart_counts_once(project):
    project.log.decide("abstract", [{"record_id": 5, "label": EXCLUDE}], reviewer="ann")
    project.log.link([(5, 1, "same title")], reviewer="ann")
    found = team.agreement(project.snapshot())
    assert found.measured.records == 3 and found.measured.labels.observed == pytest.approx(2 / 3)
    assert found.after_discussion.records == 3 and found.after_discussion.labels.observed == pytest.approx(1 / 3)


def test_the_command_tells_the_agreement(project, capsys):
    assert cli.run(["agreement", str(project.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 3
    assert cli.run(["agreement", str(project.path)]) == 0
    out = capsys.readouterr().out
    assert "Gwet's AC1" in out and "ann and bob" in out and "0.40" in out
    assert cli.run(["agreement", str(project.path), "--stage", "full-text"]) == 0
    assert "nothing can be said" in capsys.readouterr().out
    assert cli.run(["agreement", str(project.path), "--confidence", "2"]) == 2
