"""Reports of one study: proposed, joined and split by a person, shown beside each other, and counted apart."""

import csv
import re

import pytest
from cli_helpers import a_triage
from conftest import PROTOCOL
from hypothesis import given, strategies as st
from terminal_helpers import ScriptedKeys, paper
from web_helpers import alone, opened

from triage import intake, terminal
from triage.flow import flow
from triage.log import Kind, Label, fold
from triage.project import Project
from triage.records import Record
from triage.studies import Clues, clues_of, studies_among, told_of

triage = a_triage
STAGES = PROTOCOL + '\n[[stages]]\nname = "abstract"\n\n[[stages]]\nname = "full-text"\n'
RECORDS = [
    (
        "Rationale and design of the BRIGHT trial of light therapy for depression in adolescents",
        "Roe, Ann; Poe, Bo",
        "",
    ),
    (
        "Light therapy for depression in adolescents: the BRIGHT randomised trial",
        "Poe, Bo; Roe, Ann",
        "ISRCTN12345678.",
    ),
    ("Five years after light therapy", "Moe, Cy", "Registered as ISRCTN 12345678"),
    ("Soil bacteria of legumes", "Zoe, Di", "No trial."),
    ("Pooled analysis of two trials of light", "Moe, Cy", "Of ISRCTN12345678 and ISRCTN87654321."),
    ("Protocol of a cohort study of sleep and mood in young nurses", "Koe, Ed; Loe, Flo", ""),
    ("Sleep and mood in young nurses: five waves", "Loe, Flo; Koe, Ed", ""),
]


@pytest.fixture
def at_full_text(triage):
    """A review of seven records, all of which came to the full text."""
    (triage.folder / "protocol.toml").write_text(STAGES, encoding="utf-8")
    triage("new", "r.triage")
    with (triage.folder / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("title", "authors", "abstract"), *RECORDS])
    triage("import", "r.triage", "a.csv")
    decide(triage, "abstract", dict.fromkeys(range(1, 8), "include"))
    return triage


def decide(triage, stage, labels):
    with (triage.folder / f"{stage}.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("record_id", "label"), *labels.items()])
    triage("label", "r.triage", f"{stage}.csv", "--reviewer", "ann", "--stage", stage)


def groups(said):
    return [(one["record_ids"], one["confirmed"]) for one in said["groups"]]


def proposed(said):
    return [(one["record_ids"], one["other_ids"]) for one in said["proposed"]]


# -- what is of one study -------------------------------------------------------------------------


def test_one_registration_number_counts_and_the_rest_is_proposed(at_full_text):
    said = at_full_text.json("studies", "r.triage")
    assert (said["stage"], said["reports"], said["studies"]) == ("full-text", 7, 6)
    assert groups(said) == [([2, 3], False)]
    # A common acronym with common authors, a number beside another of its register, a protocol and its results.
    assert proposed(said) == [([1], [2, 3]), ([2, 3], [5]), ([6], [7])]
    shown = at_full_text("studies", "r.triage")
    assert "7 reports at the stage 'full-text' are of 6 studies." in shown
    assert "records 2, 3: same registration number ISRCTN12345678; nobody has confirmed it" in shown


def test_a_person_joins_and_splits_and_each_answer_is_an_event(at_full_text):
    triage = at_full_text
    triage("studies", "r.triage", "--join", "1,3", "--reviewer", "ann")
    said = triage.json("studies", "r.triage")
    assert groups(said) == [([1, 2, 3], True)] and said["studies"] == 5
    said = triage.json("studies", "r.triage", "--split", "3", "--reviewer", "bob")
    assert groups(said) == [([1, 2], True)] and said["studies"] == 6
    assert ([1, 2], [5]) in proposed(said)  # the number of record 2 still speaks for it, and 3 is not asked about again
    assert all(3 not in ids for pair in proposed(said) for ids in pair)
    events = triage.json("log", "r.triage")["events"]
    kinds = [(e["kind"], e["record_id"], e["other_id"], e["reviewer"]) for e in events if "study" in e["kind"]]
    assert kinds == [
        ("same_study", 1, 2, "ann"),
        ("same_study", 1, 3, "ann"),
        ("other_study", 3, 1, "bob"),
        ("other_study", 3, 2, "bob"),
        ("other_study", 3, 5, "bob"),
    ]
    assert groups(triage.json("studies", "r.triage", "--join", "2,3")) == [([1, 2, 3], True)]  # the newest word counts
    for event in reversed([e["seq"] for e in triage.json("log", "r.triage")["events"] if "study" in e["kind"]]):
        triage("undo", "r.triage", "--event", event)
    assert groups(triage.json("studies", "r.triage")) == [([2, 3], False)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--join", "2,99"], "no record 99"),
        (["--join", "2"], "not a list of records such as 3,7"),
        (["--join", "2,2"], "two records or more"),
        (["--split", "4"], "Record 4 is in no group"),
        (["--join", "1,3", "--split", "4"], "Record 4 is in no group"),
        (["--join", "1,3", "--stage", "none"], "none"),
    ],
)
def test_what_cannot_be_joined_or_split_writes_nothing(at_full_text, arguments, said):
    assert said in at_full_text.refused("studies", "r.triage", *arguments)


def test_a_record_that_has_not_come_to_the_stage_is_in_no_group(at_full_text):
    decide(at_full_text, "abstract", {3: "exclude"})
    assert at_full_text.json("studies", "r.triage")["groups"] == []
    assert "has not come to the stage" in at_full_text.refused("studies", "r.triage", "--join", "2,3")


def test_nothing_leaves_screening_and_no_record_becomes_a_copy(at_full_text):
    before = at_full_text.json("status", "r.triage", "--stage", "full-text")
    at_full_text("studies", "r.triage", "--join", "1,2,3,5")
    after = at_full_text.json("status", "r.triage", "--stage", "full-text")
    assert after["records"] == before["records"] == 7 and after["unscreened"] == before["unscreened"]
    assert at_full_text.json("dedupe", "r.triage")["duplicates"] == 0


def test_copies_are_one_report_and_what_a_copy_says_counts_for_it():
    clues = clues_of(Record(title="A trial")) | clues_of(Record(title="A trial", abstract="NCT00392093"))
    assert clues.registrations == {"NCT00392093"}


@pytest.mark.parametrize(
    ("title", "acronyms"),
    [
        ("The PREDIMED trial of oil", {"PREDIMED"}),
        ("CANTOS: a randomised trial", {"CANTOS"}),
        ("A trial of salt (SPRINT)", {"SPRINT"}),
        ("Results of ASCOT-LLA cohort", {"ASCOT-LLA"}),
        ("The ProACT study", {"PROACT"}),
        ("The Bright study", set()),
        ("HIV in COPD trials: a COVID-19 cohort", set()),
        ("A TRIAL OF THE SPRINT STUDY IN CAPITALS", set()),
    ],
)
def test_acronyms_of_studies(title, acronyms):
    assert clues_of(Record(title=title)).acronyms == acronyms


def test_a_common_acronym_without_common_authors_says_nothing():
    one, other = (Clues(acronyms=frozenset({"SMART"}), families=frozenset({name})) for name in ("roe", "poe"))
    assert studies_among({1: one, 2: other}, [], fold([])).proposed == ()


some_clues = st.builds(
    Clues,
    registrations=st.frozensets(st.sampled_from(["NCT00000001", "NCT00000002", "ISRCTN00000003"]), max_size=2),
    acronyms=st.frozensets(st.sampled_from(["SPRINT", "CANTOS"]), max_size=1),
    families=st.frozensets(st.sampled_from(["roe", "poe", "moe"])),
    words=st.frozensets(st.sampled_from(["light", "sleep", "nurses", "mood"])),
    is_protocol=st.booleans(),
)


@given(st.lists(some_clues, max_size=8))
def test_every_record_is_of_one_study(clues):
    found = studies_among(dict(enumerate(clues, 1)), [], fold([]))
    grouped = [i for one in found.groups for i in one.record_ids]
    assert len(set(grouped)) == len(grouped)
    assert found.studies == len(clues) - len(grouped) + len(found.groups)
    assert all(len(one.record_ids) > 1 and not one.confirmed for one in found.groups)
    for one in found.proposed:
        assert {found.study_of(one.record_ids[0]), found.study_of(one.other_ids[0])} == {one.record_ids, one.other_ids}


# -- asked ----------------------------------------------------------------------------------------


def test_questions_about_studies_are_answered_and_taken_back(at_full_text):
    with Project.open(at_full_text.folder / "r.triage") as project:

        def ask(*keys):
            review = project.snapshot()
            questions = intake.study_questions(review, intake.find_studies(review))
            console = paper()
            terminal.decide_studies(
                [(one.why, one.records) for one in questions],
                keep=lambda place, answer: intake.settle_study(project, questions[place], answer, reviewer="ann"),
                console=console,
                keys=ScriptedKeys(*keys),
            )
            return console.file.getvalue()

        shown = ask("y", "u", "n", "q")
        assert "same registration number ISRCTN12345678" in shown and "Record 3" in shown
        assert [str(e.kind) for e in project.log.events()][-3:] == ["same_study", "undo", "other_study"]
        assert intake.find_studies(project.snapshot()).groups == ()
        ask("y", "n", "y", "q")
        found = intake.find_studies(project.snapshot())
        assert [(one.record_ids, one.confirmed) for one in found.groups] == [((1, 2), True), ((3, 5), True)]


# -- at full text ---------------------------------------------------------------------------------


def test_the_other_reports_are_shown_beside_a_record_at_full_text_alone(at_full_text):
    with Project.open(at_full_text.folder / "r.triage") as project:
        beside = intake.StudiesBeside()
        said = {i: str(beside.of(project.snapshot(), "full-text", i) or "") for i in (1, 3, 4, 6)}
        assert said == {
            1: "Other reports that may be of the same study: 2, 3",
            3: "Other reports that may be of the same study: 1, 2, 5",
            4: "",
            6: "Other reports that may be of the same study: 7",
        }
        assert beside.of(project.snapshot(), "abstract", 1) is None
        intake.tell_studies(project, joined=[(1, 3)], split=(5,), reviewer="ann")
        assert str(beside.of(project.snapshot(), "full-text", 1)) == "Other reports of the same study: 2, 3"
        assert beside.of(project.snapshot(), "full-text", 5) is None


def test_the_pages_show_the_other_reports_at_full_text(at_full_text):
    with Project.open(at_full_text.folder / "r.triage") as project, alone(project) as ann:
        wanted = [{"text": "Other reports that may be of the same study", "record_ids": [7]}]
        assert ann.get("/api/records/6?stage=full-text").json()["same_study"] == wanted
        assert ann.get("/api/records/6?stage=abstract").json()["same_study"] == []
        page = ann.get("/records/6?stage=full-text").text
        assert re.search(r'may be of the same study: <a href="/records/7\?stage=full-text">7</a>', page)
        assert all(one["same_study"] == [] for one in opened(ann))


def test_the_terminal_shows_the_other_reports_at_full_text(at_full_text):
    done = at_full_text.program("screen", "r.triage", "--stage", "full-text", "--reviewer", "ann", input="q\n")
    assert done.returncode == 0, done.stderr
    with_others = "may be of the same study: " in done.stdout
    # The first record is of no group only if it is the one about soil.
    assert with_others or "Soil bacteria" in done.stdout
    done = at_full_text.program("screen", "r.triage", "--reviewer", "bob", input="q\n")
    assert "same study" not in done.stdout


# -- counted --------------------------------------------------------------------------------------


def test_studies_and_reports_are_counted_apart(at_full_text):
    triage = at_full_text
    decide(
        triage,
        "full-text",
        {1: "include", 2: "include", 3: "include", 4: "exclude", 5: "exclude", 6: "maybe", 7: "exclude"},
    )
    assert boxes(triage) == {"Studies included in review": 2, "Reports of included studies": 3}
    # Reports 1 and 2 are joined by one that is itself excluded.
    triage("studies", "r.triage", "--join", "1,5", "--reviewer", "ann")
    triage("studies", "r.triage", "--join", "2,5", "--reviewer", "ann")
    assert boxes(triage, "after") == {"Studies included in review": 1, "Reports of included studies": 3}
    triage("studies", "r.triage", "--split", "2", "--reviewer", "ann")
    decide(triage, "full-text", {6: "exclude"})
    triage("report", "r.triage", "-o", "prisma.csv")
    with (triage.folder / "prisma.csv").open(encoding="utf-8") as file:
        counts = {row["data"]: row["n"] for row in csv.DictReader(file)}
    assert (counts["new_studies"], counts["new_reports"]) == ("2", "3")
    assert (counts["total_studies"], counts["total_reports"]) == ("2", "3")
    triage("report", "r.triage", "-o", "report.html")
    text = (triage.folder / "report.html").read_text(encoding="utf-8")
    assert (
        "The 3 included reports are of 2 studies. Reports that name one registration number count as one study" in text
    )
    assert "Other reports that may be of the same study: 3" in text or "Other reports of the same study: 3" in text
    with Project.open(triage.folder / "r.triage") as project:
        counted = flow(project.snapshot())
        assert (counted.n_studies, counted.stages[-1].included) == (2, 3)
        with alone(project) as ann:
            assert ann.get("/api/flow").json()["included"] == {"studies": 2, "reports": 3}


def boxes(triage, name="before"):
    triage("report", "r.triage", "-o", f"{name}.svg")
    text = " ".join(re.findall(r">([^<>]+)</text>", (triage.folder / f"{name}.svg").read_text(encoding="utf-8")))
    found = re.findall(r"((?:Studies|Reports)[\w ]*included[\w ]*) \(n\s=\s(\d+)\)", text)
    return {what: int(n) for what, n in found}


def test_an_answer_taken_back_joins_nothing_any_more(at_full_text):
    at_full_text("studies", "r.triage", "--join", "4,6", "--reviewer", "bob")
    with Project.open(at_full_text.folder / "r.triage") as project:
        assert told_of(project.log.events(), project.live()) == {4, 6}
        project.log.undo(project.log.events()[-1].seq, reviewer="bob")
        assert told_of(project.log.events(), project.live()) == set()


def test_what_people_said_of_studies_is_no_decision(at_full_text):
    at_full_text("studies", "r.triage", "--join", "1,2", "--reviewer", "ann")
    with Project.open(at_full_text.folder / "r.triage") as project:
        live = project.live()
        assert {e.kind for e in project.log.events()} == {Kind.PLAN, Kind.DECISION, Kind.SAME_STUDY}
        assert set(live.decisions) == {("abstract", i, "ann") for i in range(1, 8)}
        assert {e.label for e in live.decisions.values()} == {Label.INCLUDE}
