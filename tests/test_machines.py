"""Machines as screeners: their labels are suggestions, shown when they may be, and no decision anywhere."""

import csv
import hashlib
import io
import json
import re
import sys
from dataclasses import replace

import pytest
from cli_helpers import a_review, a_triage, labels, write
from conftest import PROTOCOL, Log, sample_ris
from rich.console import Console
from terminal_helpers import MemoryJournal, ScriptedKeys, real_session, some_records
from web_helpers import alone, csrf, decided, opened

from triage import cli, intake, screening, terminal
from triage.errors import InputError
from triage.flow import flow
from triage.intake.suggestions import machine_columns
from triage.log import Kind, Label, LogFold, Origin, fold
from triage.machines import Suggestion, names_a_tool, shown_suggestions
from triage.project import Project
from triage.project.reading import Reader
from triage.screeners import exact_share, screeners
from triage.status import in_words, status

GPT = "gpt-x 2025-01"


triage = a_triage
review = a_review


def suggest(log, record_id, label, machine=GPT, stage="abstract", **fields):
    return log.add(Kind.SUGGESTION, stage=stage, record_id=record_id, reviewer=machine, label=label, **fields)


def machine_file(path, rows, columns=("record_id", "label", "score", "rationale")):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


# -- the log --------------------------------------------------------------------------------------


def newest(live, stage="abstract"):
    return {m: {r: str(e.label) for r, e in given.items()} for m, given in live.suggested(stage).items()}


def test_the_newest_suggestion_of_each_machine_holds_over_duplicates_and_is_undone():
    log = Log()
    log.add(Kind.MACHINE, reviewer=GPT)
    log.add(Kind.MACHINE, reviewer="other 1")
    suggest(log, 1, Label.INCLUDE)
    second = suggest(log, 1, Label.EXCLUDE)
    suggest(log, 1, Label.MAYBE, "other 1")
    suggest(log, 2, Label.INCLUDE, stage="full-text")
    assert newest(fold(log.events)) == {GPT: {1: "exclude"}, "other 1": {1: "maybe"}}
    suggest(log, 3, Label.INCLUDE)
    log.link(3, 1)
    live = fold(log.events)
    assert newest(live) == {GPT: {1: "include"}, "other 1": {1: "maybe"}}
    assert [str(e.label) for e in live.suggestions_on("abstract", 1)] == ["maybe", "include"]
    suggest(log, 3, Label.MAYBE)  # of the whole group from now on
    last = log.events[-1]
    assert newest(fold(log.events))[GPT] == {1: "maybe"}
    log.undo(last)
    assert newest(fold(log.events))[GPT] == {1: "include"}
    log.undo(second)
    assert newest(fold(log.events))[GPT] == {1: "include"}


def test_what_is_folded_on_is_what_is_folded_at_once():
    log = Log()
    log.add(Kind.MACHINE, reviewer=GPT)
    whole = LogFold()
    taken = 0
    for step in range(12):
        event = suggest(log, 1 + step % 4, list(Label)[step % 3])
        if step % 3 == 2:
            log.undo(event)
        if step == 6:
            log.link(4, 2)
        whole.apply(log.events[taken:])
        taken = len(log.events)
        assert whole.live == fold(log.events)


def test_a_machine_changes_nothing_that_is_counted():
    log = Log()
    log.plan(range(1, 9))
    log.show(3)
    log.decide(3, Label.INCLUDE, origin=None)
    before, history = fold(log.events), log.stage(8).history()
    log.add(Kind.MACHINE, reviewer=GPT)
    for record_id in range(1, 9):
        suggest(log, record_id, Label.EXCLUDE)
    after = fold(log.events)
    assert (after.decisions, after.shown, after.returned) == (before.decisions, before.shown, before.returned)
    now = log.stage(8)
    assert now.consensus.labels == {3: Label.INCLUDE} and not now.consensus.conflicts
    for name in ("rows", "y", "origin", "pool_size", "stratum", "n_records"):
        assert getattr(now.history(), name).tolist() == getattr(history, name).tolist()


# -- names ----------------------------------------------------------------------------------------


@pytest.fixture
def screened(review):
    """A review in which a machine has suggested labels for three records, and ann has decided on one."""
    triage = review()
    labels(triage, "ann.csv", [[2, "exclude"]])
    triage("label", "r.triage", "ann.csv", "--reviewer", "ann")
    machine_file(
        triage.folder / "m.csv", [[1, "include", 0.9, "peers"], [2, "include", 0.7, ""], [3, "exclude", "", ""]]
    )
    triage("label", "r.triage", "m.csv", "--machine", GPT)
    return triage


def test_the_name_of_a_machine_is_nobodys(screened):
    triage = screened
    labels(triage, "d.csv", [[3, "exclude"]])
    for name in (GPT, "GPT-X  2025-01"):
        for arguments in (
            ["label", "r.triage", "d.csv", "--person"],
            ["import", "r.triage", "a.ris", "--person"],
            ["export", "r.triage", "-o", "x.csv", "--only", "next"],
            ["undo", "r.triage", "--event", "2"],
            ["screen", "r.triage", "--second-look"],
            ["screen", "r.triage"],
        ):
            said = triage.refused(*arguments, "--reviewer", name)
            assert f"'{GPT}' is a machine in this review" in said or "No excluded record" in said, arguments
        assert "is a machine" in triage.refused("invite", "r.triage", name)
    with Project.open(triage.folder / "r.triage") as project:
        for write_it in (
            lambda: project.log.decide("abstract", [{"record_id": 3, "label": Label.INCLUDE}], reviewer=GPT),
            lambda: project.log.decide("abstract", [], reviewer=GPT, tags={1: ["review"]}),
            lambda: project.log.show("abstract", [3], ["ranked"], [9], reviewer=GPT),
            lambda: project.log.link([(3, 1, "same DOI")], reviewer=GPT),
            lambda: project.attachments.attach(3, "a.pdf", b"%PDF", reviewer=GPT),
            lambda: project.people.add(GPT, "owner"),
            lambda: screening.open_session(project, reviewer=GPT).__enter__(),
        ):
            n = len(project.log.events())
            with pytest.raises(InputError, match="a machine decides nothing"):
                write_it()
            assert len(project.log.events()) == n


def test_who_has_worked_as_a_person_is_no_machine(screened):
    triage = screened
    machine_file(triage.folder / "d.csv", [[3, "exclude", "", ""]])
    assert "'ann' has worked on this review as a person" in triage.refused(
        "label", "r.triage", "d.csv", "--machine", "Ann"
    )
    write(triage, "more.csv", "title,verdict\nAnother title,1\n")
    assert "has worked" in triage.refused(
        "import", "r.triage", "more.csv", "--label-column", "verdict", "--machine", "ann"
    )
    triage("invite", "r.triage", "bob")
    assert "is a person of this review" in triage.refused("label", "r.triage", "d.csv", "--machine", "bob")
    assert "letters" in triage.refused("label", "r.triage", "d.csv", "--machine", "x" * 101)
    assert "needs a name" in triage.refused("label", "r.triage", "d.csv", "--machine", " ")


# -- files of labels ------------------------------------------------------------------------------


def suggestions_of(triage):
    events = triage.json("log", "r.triage")["events"]
    said = [
        (e["record_id"], e["label"], e["reason"], json.loads(e["note"] or "{}"))
        for e in events
        if e["kind"] == "suggestion"
    ]
    return said, [(e["reviewer"], json.loads(e["note"])) for e in events if e["kind"] == "machine"]


def test_a_machines_labels_are_suggestions_and_nothing_is_screened(review):
    triage = review()
    before = triage.json("status", "r.triage")
    prompt = "Is this about péer support?\n"
    write(triage, "prompt.txt", prompt)
    rows = [[1, "Include", "0.93", "peers, adults"], [2, "no", "12 %", ""], [3, "", "0,5", "?"], [4, "", "", ""]]
    machine_file(triage.folder / "m.csv", rows)
    done = triage.json("label", "r.triage", "m.csv", "--machine", GPT, "--prompt-file", "prompt.txt")
    counts = ("machine", "decisions", "suggestions", "unchanged", "include", "exclude", "maybe", "blank")
    assert [done[key] for key in counts] == [GPT, 0, 3, 0, 1, 1, 0, 1]
    said, machines = suggestions_of(triage)
    assert said == [
        (1, "include", "", {"score": 0.93, "rationale": "peers, adults"}),
        (2, "exclude", "", {"score": 0.12}),
        (3, None, "", {"score": 0.5, "rationale": "?"}),
    ]
    known = {"file": "m.csv", "prompt": prompt, "prompt_sha256": hashlib.sha256(prompt.encode()).hexdigest()}
    assert [(name, {k: v for k, v in note.items() if k != "by"}) for name, note in machines] == [(GPT, known)]
    after = triage.json("status", "r.triage")
    for key in ("screened", "relevant_found", "unscreened", "certificate", "verdict"):
        assert after[key] == before[key]
    again = triage.json("label", "r.triage", "m.csv", "--machine", GPT.upper())
    assert (again["suggestions"], again["unchanged"]) == (0, 3) and suggestions_of(triage)[0] == said
    rows[1][1] = "yes"
    machine_file(triage.folder / "m.csv", rows)
    assert triage.json("label", "r.triage", "m.csv", "--machine", GPT)["suggestions"] == 1
    assert "None of them is a decision" in triage("label", "r.triage", "m.csv", "--machine", GPT)


def test_a_score_alone_will_do_and_a_wrong_one_is_named(review):
    triage = review()
    machine_file(triage.folder / "m.csv", [[1, 0.25], [2, 1]], ("record_id", "gpt_score"))
    assert triage.json("label", "r.triage", "m.csv", "--machine", GPT)["suggestions"] == 2
    assert [note for *_, note in suggestions_of(triage)[0]] == [{"score": 0.25}, {"score": 1.0}]
    machine_file(triage.folder / "n.csv", [[1, "include", "high", ""], [2, "x?!", "nan", ""]])
    before = triage("log", "r.triage")
    said = triage("label", "r.triage", "n.csv", "--machine", GPT, code=2)
    assert "'high' is not a score" in said and "'x?!' is not a label" in said and triage("log", "r.triage") == before
    machine_file(triage.folder / "o.csv", [[1, "include", "high"]], ("record_id", "label", "Confidence"))
    triage("label", "r.triage", "o.csv", "--machine", GPT)
    assert suggestions_of(triage)[0][-1] == (1, "include", "", {"confidence": "high"})
    assert "needs" not in triage.refused("label", "r.triage", "m.csv")  # of a person there is no label


def test_columns_are_found_by_their_names_in_any_case():
    header = ["title", "Altmetric score", "GPT-4 Score", "Explanation", "Confidence (0-1)", "label"]
    assert machine_columns(header) == {"score": 2, "rationale": 3}
    assert machine_columns(["Probability", "relevance", "reason", "CONFIDENCE"]) == {
        "score": 0,
        "confidence": 3,
        "rationale": 2,
    }
    assert machine_columns(["Impact score", "title"]) == {}


def test_imported_labels_of_a_machine_are_suggestions(review):
    triage = review(0)
    rows = ["title,abstract,verdict,probability,justification"]
    rows += [
        f"Title {i},Text {i},{'include' if i < 3 else 'exclude' if i < 6 else ''},{i / 10},because {i}"
        for i in range(7)
    ]
    write(triage, "m.csv", "\n".join(rows) + "\n")
    options = ("--label-column", "verdict", "--machine", GPT)
    done = triage.json("import", "r.triage", "m.csv", *options)["files"][0]
    assert (done["kept"], done["decisions"], done["suggestions"]) == (7, 0, 7)
    said, _ = suggestions_of(triage)
    assert said[0] == (1, "include", "", {"score": 0.0, "rationale": "because 0"})
    assert said[6] == (7, None, "", {"score": 0.6, "rationale": "because 6"})
    assert triage.json("status", "r.triage")["screened"] == 0
    again = triage.json("import", "r.triage", "m.csv", *options)["files"][0]
    assert (again["already_there"], again["suggestions"]) == (7, 0)
    kept = [r["extra"] for r in exported(triage)]
    assert kept[0] == {"verdict": "include", "probability": "0.0", "justification": "because 0"}
    write(triage, "plain.csv", "title\nA title\n")
    assert f"no label of '{GPT}' was found" in triage.refused("import", "r.triage", "plain.csv", "--machine", GPT)


def exported(triage):
    with Project.open(triage.folder / "r.triage") as project:
        return [{"extra": {k: v[0] for k, v in r.extra.items()}} for r in project.records.read()]


# -- files that do not say whose labels they hold ----------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("gpt-4o", True),
        ("GPT4", True),
        ("ChatGPT (4o)", True),
        ("Claude Bernard", True),
        ("meta-llama/Llama-3-70b", True),
        ("AI", True),
        ("screening_bot_2", True),
        ("a language model", True),
        ("Claudette Colbert", False),
        ("Kai", False),
        ("Ann", False),
        ("Geminiani", False),
        ("", False),
    ],
)
def test_names_of_tools_are_words_of_their_own(name, known):
    assert names_a_tool(name) == known


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ("record_id,label,reviewer", [[1, "include", "gpt-4o"], [2, "exclude", "gpt-4o"]]),
        ("record_id,label,Reviewer", [[1, "include", "ann"], [2, "exclude", "Claude Bernard"]]),
        ("record_id,label,Model name", [[1, "include", "Mistral large"]]),
    ],
)
def test_a_file_that_names_a_tool_is_asked_about(review, columns, rows):
    triage = review()
    labels(triage, "d.csv", rows, columns)
    said = triage.refused("label", "r.triage", "d.csv")
    assert "--machine NAME" in said and "--person" in said and "d.csv" in said
    assert triage.json("label", "r.triage", "d.csv", "--person")["decisions"] == len(rows)
    labels(triage, "e.csv", [[9, "include", ""]], "record_id,label,reviewer")
    assert triage.json("label", "r.triage", "e.csv")["decisions"] == 1


def test_a_reviewer_who_sounds_like_a_tool_is_asked_about(review):
    triage = review()
    labels(triage, "d.csv", [[1, "include"]])
    assert "--person" in triage.refused("label", "r.triage", "d.csv", "--reviewer", "GPT-4o")
    assert triage.json("label", "r.triage", "d.csv", "--reviewer", "Claude", "--person")["decisions"] == 1
    assert "not both" in triage.refused("label", "r.triage", "d.csv", "--machine", "gpt", "--person")
    assert "name the machine" in triage.refused("label", "r.triage", "d.csv", "--prompt-file", "d.csv")


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("title,verdict,screener\nA title,1,Gemini 2.5\nAnother,0,Gemini 2.5\n", ("--label-column", "verdict")),
        ("title,gpt4_decision\nA title,1\nAnother,0\n", ("--label-column", "gpt4_decision")),
        ('title,notes\nA title,"RAYYAN-INCLUSION: {""AI""=>""Included""}"\nAnother,\n', ()),
        (
            "record_id,label,title,reviewer,triage_fields\n1,include,A title,qwen3,\n2,,Another,,\n",
            ("--label-column", "label"),
        ),
    ],
)
def test_an_import_that_names_a_tool_is_asked_about(review, content, options):
    triage = review(0)
    write(triage, "f.csv", content)
    said = triage.refused("import", "r.triage", "f.csv", *options)
    assert "--machine NAME" in said and "--person" in said
    assert triage.json("import", "r.triage", "f.csv", "--machine", GPT, *options)["files"][0]["suggestions"] > 0


def test_a_file_without_labels_is_not_asked_about(review):
    triage = review(0)
    write(triage, "f.csv", "title,reviewer,model\nA title,gpt-4o,Claude\n")
    assert triage.json("import", "r.triage", "f.csv")["records"] == 1


@pytest.mark.parametrize(
    ("typed", "code", "decisions", "suggestions"),
    [("m\n\n", 0, 0, 1), ("m\ngpt-4o 2024-08\n", 0, 0, 1), ("p\n", 0, 1, 0), ("\n", 2, 0, 0)],
)
def test_whoever_is_there_is_asked(review, monkeypatch, typed, code, decisions, suggestions):
    triage = review()
    labels(triage, "d.csv", [[1, "include", "gpt-4o"]], "record_id,label,reviewer")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert cli.run(["label", "r.triage", "d.csv", "--json"]) == code
    out, err = triage._capsys.readouterr()
    assert "--machine NAME" in err
    kinds = [e["kind"] for e in triage.json("log", "r.triage")["events"]]
    assert (kinds.count("decision"), kinds.count("suggestion")) == (decisions, suggestions)
    if code == 0:
        assert json.loads(out)["suggestions"] == suggestions


# -- screeners ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hits", "of", "lower", "upper"),
    [
        (0, 0, 0, 1),
        (0, 10, 0, 0.308497),
        (10, 10, 0.691503, 1),
        (3, 10, 0.066740, 0.652453),
        (48, 50, 0.862862, 0.995119),
    ],
)
def test_the_interval_is_that_of_clopper_and_pearson(hits, of, lower, upper):
    """The figures are those of scipy.stats.binomtest(hits, of).proportion_ci(method="exact")."""
    found = exact_share(hits, of, 0.95)
    assert (found.lower, found.upper) == pytest.approx((lower, upper), abs=1e-6)
    assert found.value == (hits / of if of else None)


def drawn_review(tmp_path, decisions, suggested, chosen=()):
    """Make a review in which the first audit draws get these labels of people; `chosen` ones are no draws."""
    write_protocol = tmp_path / "protocol.toml"
    write_protocol.write_text(PROTOCOL, encoding="utf-8")
    (tmp_path / "a.ris").write_text(sample_ris(40), encoding="utf-8")
    intake.new(tmp_path / "s.triage", write_protocol)
    project = Project.open(tmp_path / "s.triage")
    intake.import_files(project, [tmp_path / "a.ris"], reviewer="ann")
    stage = screening.commit_audit(project).stage()
    order = stage.record_ids[stage.strata[0]].tolist()
    for place, by_whom in enumerate(decisions):
        record_id = order[place]
        project.log.show("abstract", [record_id], [Origin.AUDIT], [40 - place], reviewer="ann")
        for who, label in by_whom.items():
            one = {"record_id": record_id, "label": label, "origin": Origin.AUDIT}
            project.log.decide("abstract", [one], reviewer=who)
    for record_id, label in zip(order[::-1], chosen, strict=False):
        project.log.decide("abstract", [{"record_id": record_id, "label": label}], reviewer="ann")
    for machine, said in suggested.items():
        rows = [{"record_id": order[place], "label": label} for place, label in said.items()]
        project.log.suggest("abstract", rows, machine=machine, known={})
    return project


def test_a_machine_is_measured_on_the_draws_that_people_judged(tmp_path):
    yes, no, maybe = Label.INCLUDE, Label.EXCLUDE, Label.MAYBE
    decisions = [{"ann": label} for label in (yes, yes, maybe, no, no, no, no, no)]
    gpt = {0: yes, 1: no, 2: yes, 3: no, 4: no, 5: maybe, 6: no, 39: no, 38: yes}
    other = {0: yes, 1: yes, 39: no}
    with drawn_review(tmp_path, decisions, {GPT: gpt, "other 1": other}, chosen=(yes, yes)) as project:
        found = screeners(project.snapshot())
    assert (found.draws, found.people) == (8, ())
    one, two = found.machines
    assert (one.name, one.labelled, one.records, one.relevant) == (GPT, 9, 7, 3)
    assert [(s.hits, s.of) for s in (one.sensitivity, one.specificity, one.precision)] == [(2, 3), (3, 4), (2, 3)]
    assert one.sensitivity == exact_share(2, 3, 0.95)
    assert (two.specificity.of, two.specificity.value, two.specificity.lower, two.specificity.upper) == (0, None, 0, 1)
    assert [(p.machines, p.records, p.agree) for p in found.pairs] == [((GPT, "other 1"), 3, 2)]


def test_a_person_is_measured_against_the_others_on_draws_judged_twice(tmp_path):
    yes, no = Label.INCLUDE, Label.EXCLUDE
    decisions = [{"ann": yes, "bob": yes}, {"ann": no, "bob": yes}, {"ann": no, "bob": no}, {"ann": yes}]
    with drawn_review(tmp_path, decisions, {}) as project:
        ann, bob = screeners(project.snapshot()).people
        assert (ann.records, ann.sensitivity.hits, ann.sensitivity.of) == (3, 1, 2)
        assert (bob.specificity.hits, bob.specificity.of, bob.precision.hits, bob.precision.of) == (1, 2, 1, 2)
        stage = project.stage()
        order = stage.record_ids[stage.strata[0]].tolist()
        project.log.settle("abstract", order[1], no, reviewer="eve")
        ann, bob = screeners(project.snapshot()).people
        assert (ann.specificity.hits, ann.specificity.of, bob.specificity.hits, bob.specificity.of) == (2, 2, 1, 2)


def test_screeners_are_told_to_people_and_programs(screened):
    triage = screened
    said = triage("screeners", "r.triage")
    assert f"{GPT}: 3 records labelled, 0 draws to judge it by" in said and "not known: no such draw" in said
    told = triage.json("screeners", "r.triage")
    assert told["machines"][0]["sensitivity"] == {"value": None, "lower": 0.0, "upper": 1.0, "hits": 0, "of": 0}
    assert "between 0 and 1" in triage.refused("screeners", "r.triage", "--confidence", "95")


# -- status, flow and report ----------------------------------------------------------------------


def test_the_status_says_what_a_machine_would_leave_unread_and_what_draws_among_it_found(tmp_path):
    yes, no = Label.INCLUDE, Label.EXCLUDE
    decisions = [{"ann": label} for label in (no, yes, no, no, no, yes)]
    gpt = dict.fromkeys(range(40), no) | {0: yes, 5: yes}
    with drawn_review(tmp_path, decisions, {GPT: gpt, "zeal 1": {0: yes}}, chosen=(no,)) as project:
        found = status(project.snapshot())
        one, two = found.machines
        assert (one.name, one.include, one.exclude, one.unread) == (GPT, 2, 38, 38)
        # Of the draws it would have left four were read, one of them relevant; what was chosen is no draw.
        assert (one.read_at_random, one.relevant_at_random) == (4, 1)
        assert (two.unread, two.read_at_random) == (0, 0)
        assert one.recall_lower == found.certificate.recall_lower
        said = in_words(found)
        assert (
            f"{GPT} would leave 38 records unread; 4 random ones of them were read by people, 1 was relevant;" in said
        )
        lower = f"at least {100 * one.recall_lower:.1f} % of the relevant records are found (95 % confidence)"
        assert lower[:12] in said and "of the relevant records are found (95 % confidence)." in said


def test_no_claim_about_recall_grows_with_what_a_machine_says(tmp_path):
    yes, no = Label.INCLUDE, Label.EXCLUDE
    decisions = [{"ann": label} for label in (no, yes, no, no)]
    with drawn_review(tmp_path, decisions, {}) as project:
        before = status(project.snapshot())
        ids = project.stage().record_ids.tolist()
        for machine, label in (("all 1", yes), ("none 1", no)):
            project.log.suggest("abstract", [{"record_id": i, "label": label} for i in ids], machine=machine, known={})
        after = status(project.snapshot())
        assert replace(after, machines=[]) == before
        assert {one.recall_lower for one in after.machines} == {before.certificate.recall_lower}


def test_the_report_names_tool_version_prompt_and_audit(screened):
    triage = screened
    write(triage, "p.txt", "Include peer support.")
    machine_file(triage.folder / "m.csv", [[4, "exclude", "", ""], [5, "exclude", "", ""]])
    triage("label", "r.triage", "m.csv", "--machine", GPT, "--prompt-file", "p.txt")
    triage("report", "r.triage", "-o", "r.html")
    page = " ".join((triage.folder / "r.html").read_text(encoding="utf-8").split())
    digest = hashlib.sha256(b"Include peer support.").hexdigest()
    assert f"{GPT} (prompt with the SHA-256 {digest}) made suggestions" in page
    assert "2 include and 3 exclude. No suggestion counted as a decision" in page
    assert "Suggestions were part of the ranking, as far as the reviewers' own labels bore them out." in page.replace(
        "&#39;", "'"
    )
    assert f"{GPT} would leave 3 records unread; 0 random ones of them were read by people" in page
    assert "Records excluded by a human" in page.replace("\u00a0", " ")


def test_once_screening_is_stopped_the_report_counts_what_machines_marked_and_the_stop_stands(screened):
    triage = screened
    assert "is a machine" in triage.refused("stop", "r.triage", "--anyway", "--reviewer", GPT)
    triage("stop", "r.triage", "--anyway", "--reviewer", "ann")
    machine_file(triage.folder / "m.csv", [[i, "exclude", "", ""] for i in range(2, 13)])
    triage("label", "r.triage", "m.csv", "--machine", GPT)
    assert triage.json("status", "r.triage")["stop"]["no_longer"] == []
    triage("report", "r.triage", "-o", "r.html")
    page = " ".join((triage.folder / "r.html").read_text(encoding="utf-8").replace("\u00a0", " ").split())
    # Eleven would be left unread; ann has read record 2.
    assert "Records marked as ineligible by automation tools: 10" in page
    assert "10 records that were suggested for exclusion and that nobody had read count as marked as ineligible" in page
    triage("report", "r.triage", "-o", "prisma.csv")
    assert re.search(r"^excluded_automatic.*,29$", (triage.folder / "prisma.csv").read_text(), re.MULTILINE)


def test_what_nobody_read_and_a_machine_would_exclude_is_counted_once_screening_has_stopped(tmp_path):
    yes, no = Label.INCLUDE, Label.EXCLUDE
    suggested = {GPT: dict.fromkeys(range(1, 40), no), "other 1": {5: yes, 6: no}}
    with drawn_review(tmp_path, [{"ann": yes}, {"ann": no}], suggested) as project:
        project.log.show("abstract", [project.stage().record_ids.tolist()[0]], [Origin.RANKED], [9], reviewer="ann")
        stage = flow(project.snapshot()).stages[0]
        first = project.stage().record_ids.tolist()[0]
        order = project.stage().record_ids[project.stage().strata[0]].tolist()
        # Drawn 0 and 1, let pass by one machine 5, put before ann the first record.
        assert stage.marked == 40 - len({order[0], order[1], order[5], first})
        assert stage.marked < stage.unscreened and stage.machines == (GPT, "other 1")


# -- shown on the record --------------------------------------------------------------------------

RATIONALE = "children only \x1b[2J\u202e<script>alert(1)</script>"
TEXT = "gpt-x 2025-01 suggests exclude, score 0.2: children only [2J<script>alert(1)</script>"


def suggesting(triage, *, records=range(1, 31)):
    """Let a machine suggest the exclusion of every record, for a hostile reason."""
    with Project.open(triage.folder / "r.triage") as project:
        note = json.dumps({"score": 0.2, "rationale": RATIONALE})
        rows = [{"record_id": i, "label": Label.EXCLUDE, "note": note} for i in records]
        project.log.suggest("abstract", rows, machine=GPT, known={})


def test_a_suggestion_is_one_line_and_kept_as_it_was_given():
    one = Suggestion("gpt-x", Label.INCLUDE, "PEER", 0.25, "high", "for adults", "")
    assert str(one) == "gpt-x suggests include (PEER), score 0.25: for adults"
    assert json.loads(one.event_note()) == {"score": 0.25, "confidence": "high", "rationale": "for adults"}
    assert str(Suggestion("gpt-x", None, score=0.5)) == "gpt-x suggests no label, score 0.5"
    assert Suggestion("gpt-x", Label.EXCLUDE).event_note() == ""


def test_the_pages_show_a_suggestion_only_once_the_reviewer_has_decided(review):
    triage = review()
    suggesting(triage)
    with Project.open(triage.folder / "r.triage") as project, alone(project) as visitor:
        first, second = opened(visitor)
        assert (first["suggestions"], second["suggestions"]) == ([], [])
        record_id = first["record_id"]
        for answer in (
            visitor.get(f"/api/records/{record_id}"),
            visitor.get(f"/records/{record_id}"),
            visitor.get("/"),
        ):
            assert answer.status_code == 200 and GPT not in answer.text
        done = decided(visitor, record_id, "include", "a-key-of-one").json()
        [told] = done["done"]["suggestions"]
        assert told["text"] == TEXT and told["rationale"] == "children only [2J<script>alert(1)</script>"
        assert (told["machine"], told["label"], told["score"]) == (GPT, "exclude", 0.2)
        assert all(one["suggestions"] == [] for one in done["records"])
        assert visitor.get(f"/api/records/{record_id}").json()["suggestions"] == [told]
        page = visitor.get(f"/records/{record_id}").text
        assert "suggests exclude, score 0.2: children only" in page and "<script>alert" not in page
        assert GPT not in visitor.get(f"/records/{second['record_id']}").text


def test_where_the_protocol_says_so_a_suggestion_is_seen_at_once(review):
    triage = review(protocol=PROTOCOL + "\n[machines]\nblind = false\n")
    suggesting(triage)
    with Project.open(triage.folder / "r.triage") as project, alone(project) as visitor:
        first, _ = opened(visitor)
        assert [one["text"] for one in first["suggestions"]] == [TEXT]
        assert "suggests exclude" in visitor.get(f"/records/{first['record_id']}").text


def test_the_other_reviewers_decision_shows_nothing_to_who_has_not_decided(review):
    triage = review(protocol=PROTOCOL + "\n[machines]\nblind = true\n")
    suggesting(triage, records=[5])
    labels(triage, "d.csv", [[5, "include"]])
    triage("label", "r.triage", "d.csv", "--reviewer", "bob")
    with Project.open(triage.folder / "r.triage") as project:
        live = project.live()
        assert shown_suggestions(live, "abstract", 5, viewer="ann", blind=True) == []
        assert len(shown_suggestions(live, "abstract", 5, viewer="bob", blind=True)) == 1
        assert len(shown_suggestions(live, "abstract", 5, viewer=None, blind=True)) == 1
        assert shown_suggestions(live, "abstract", 5, viewer=None, blind=True, needed=2) == []
        assert len(shown_suggestions(live, "abstract", 5, viewer="ann", blind=False)) == 1


@pytest.mark.parametrize("blind", [True, False])
def test_the_terminal_shows_it_after_the_decision_or_before(blind):
    journal = MemoryJournal()
    session = real_session(3, journal)
    output = io.StringIO()
    terminal.run(
        session,
        some_records(3),
        reasons=[],
        criteria=([], []),
        state=lambda: "",
        suggestions=lambda row: (
            [f"m says {row} {RATIONALE}"] if not blind or row in {d[0] for d in journal.decisions} else []
        ),
        console=Console(file=output, width=200, height=30, force_terminal=False),
        keys=ScriptedKeys("i", "q"),
    )
    said = output.getvalue()
    [row] = [d[0] for d in journal.decisions]
    assert "\x1b[2J" not in said and "\u202e" not in said
    before, _, after = said.partition("Included: ")
    assert (f"m says {row} children only" in before) == (not blind) and f"m says {row} children only" in after


def test_the_command_line_explains_a_record_with_what_machines_suggest(review):
    triage = review()
    suggesting(triage)
    assert triage.json("rank", "r.triage", "--explain", "7")["suggestions"] == []
    labels(triage, "d.csv", [[7, "include"]])
    triage("label", "r.triage", "d.csv")
    assert triage.json("rank", "r.triage", "--explain", "7")["suggestions"][0]["label"] == "exclude"
    said = triage("rank", "r.triage", "--explain", "7")
    assert "suggests exclude, score 0.2: children only" in said and "\x1b" not in said and "\u202e" not in said


# -- the import that certified what a machine had said ------------------------------------------------


def test_labels_of_a_language_model_certify_nothing_that_people_have_not_proved(review):
    """258 records, of which 15 are relevant; the model finds ten of them and would leave the other five unread."""
    triage = review(0)
    relevant = set(range(1, 16))
    included = set(range(6, 16)) | set(range(101, 111))
    rows = ["title,abstract,verdict,confidence,reasoning"]
    rows += [
        f"Title {i} of a study,Abstract {i} of {'peer support' if i in relevant else 'soil and steel'},"
        f"{'include' if i in included else 'exclude'},0.{i % 10},because of {i}"
        for i in range(1, 259)
    ]
    write(triage, "llm.csv", "\n".join(rows) + "\n")
    options = ("--label-column", "verdict", "--machine", GPT)
    done = triage.program("import", "r.triage", "llm.csv", *options)
    assert done.returncode == 0 and "258 suggestions taken, no decision" in done.stdout
    told = triage.program("status", "r.triage", "--require", "certified")
    assert told.returncode == 1
    assert "0 of 258 records screened, 0 relevant found, 258 unscreened" in told.stdout
    assert "can stop" not in told.stdout and "100 %" not in told.stdout.partition("What certainty costs")[0]
    assert f"{GPT} would leave 238 records unread; 0 random ones of them were read by people" in told.stdout
    assert "no recall is certified" in told.stdout
    # People read some: what is certified is what their labels prove, and more labels of machines change nothing.
    triage("export", "r.triage", "-o", "next.csv", "--only", "next", "--top", "60")
    with (triage.folder / "next.csv").open(encoding="utf-8-sig", newline="") as file:
        ids = [int(row["record_id"]) for row in csv.DictReader(file)]
    labels(triage, "done.csv", [[i, "include" if i in relevant else "exclude"] for i in ids])
    triage("label", "r.triage", "done.csv")
    before = triage.json("status", "r.triage")
    found = len(relevant & set(ids))
    assert (before["screened"], before["relevant_found"]) == (60, found)
    assert before["certificate"]["recall_lower"] <= found / 15 and not before["verdict"]["certified"]
    labels(triage, "all.csv", [[i, "exclude"] for i in range(1, 259)])
    assert triage.json("label", "r.triage", "all.csv", "--machine", "says no 1")["suggestions"] == 258
    after = triage.json("status", "r.triage")
    for key in before.keys() - {"machines"}:
        assert after[key] == before[key], key
    one, other = after["machines"]
    assert one == before["machines"][0] and (one["unread"], other["unread"]) == (238, 258)
    assert {m["recall_lower"] for m in after["machines"]} == {before["certificate"]["recall_lower"]}


def test_the_page_of_files_asks_too(review):
    triage = review()
    content = b'title,RAYYAN-INCLUSION,notes\nA title,,"RAYYAN-INCLUSION: {""GPT-4""=>""Included""}"\n'
    with Project.open(triage.folder / "r.triage") as project, alone(project) as visitor:

        def send(**facts):
            files = {"files": ("f.csv", content)}
            return visitor.post("/api/import", headers=csrf(visitor), files=files, data=facts)

        refused = send()
        assert refused.status_code == 422
        assert "'GPT-4'" in refused.json()["detail"] and "name the machine" in refused.json()["detail"]
        assert "--" not in refused.json()["detail"] and project.records.count() == 30
        [done] = send(machine="GPT-4 2025").json()["files"]
        assert (done["decisions"], done["suggestions"]) == (0, 1)
        assert project.live().machines.keys() == {"GPT-4 2025"} and not project.live().decisions
        assert send(person="true").json()["files"][0]["decisions"] == 1


def test_the_log_is_read_once_however_many_decisions_are_written(screened, monkeypatch):
    with Project.open(screened.folder / "r.triage") as project:
        read = []
        live = Reader.live
        monkeypatch.setattr(Reader, "live", lambda self: read.append(1) or live(self))
        project.log.decide("abstract", [{"record_id": i, "label": Label.EXCLUDE} for i in range(1, 31)], reviewer="ann")
        assert len(read) <= 1
