"""Teams that move over: each person's vote in an export of Rayyan or Covidence becomes a decision of their own."""

import csv

import pytest
from conftest import PROTOCOL
from hypothesis import given, settings, strategies as st
from intake_helpers import tags_of

from triage import formats, intake, protocol as protocols, team
from triage.errors import InputError
from triage.flow import flow
from triage.formats.votes import Vote, rayyan_note, votes_of, without_rayyan
from triage.log import Kind, Label, Origin
from triage.machines import Machine
from triage.project import Project
from triage.records import Record


@pytest.fixture
def empty(tmp_path):
    """Give a function that makes a review without records."""
    made = []

    def make(protocol=PROTOCOL):
        (tmp_path / "protocol.toml").write_text(protocol, encoding="utf-8")
        intake.new(tmp_path / "r.triage", tmp_path / "protocol.toml")
        made.append(Project.open(tmp_path / "r.triage"))
        return made[-1]

    yield make
    for project in made:
        project.close()


def table(path, rows, columns="key,title,notes"):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns.split(","), *rows])
    return path


def rayyan(path, *notes):
    return table(path, [(f"rayyan-{n}", f"Study number {n}", note) for n, note in enumerate(notes, 1)])


def decided(project):
    """Return by record and person the label, the reason and the note of the decisions in force."""
    live = project.live()
    return {(i, who): (str(e.label), e.reason, e.note) for (_, i, who), e in live.decisions.items()}


TEAM = (
    'RAYYAN-INCLUSION: {"Ann"=>"Included", "Bob"=>"Included"} | RAYYAN-LABELS: rct,pilot study',
    'RAYYAN-INCLUSION: {"Ann"=>"Included", "Bob"=>"Excluded"} | RAYYAN-EXCLUSION-REASONS: wrong population'
    ' | USER-NOTES: {"Bob"=>["only in part", "see p. 3"]}',
    'RAYYAN-INCLUSION: {"Ann"=>"Excluded", "Bob"=>"Maybe"}',
    'RAYYAN-INCLUSION: {"Ann"=>"Excluded", "Bob"=>"Undecided"} | RAYYAN-EXCLUSION-REASONS: children and Adolescents.',
    "a note of the database",
    'RAYYAN-INCLUSION: {"Ann"=>"Excluded", "Bob"=>"Excluded"}',
)


@pytest.mark.parametrize("reviewers", [1, 2])
def test_each_vote_is_kept_as_a_decision_of_whoever_gave_it(empty, tmp_path, reviewers):
    project = empty(f"reviewers_per_record = {reviewers}\ntags = ['RCT']\n{PROTOCOL}")
    [done] = intake.import_files(project, [rayyan(tmp_path / "a.csv", *TEAM)], reviewer="owner")
    assert (done.decisions, done.people, done.conflicts) == (9, {"Ann": 5, "Bob": 4}, 2)
    assert decided(project) == {
        (1, "Ann"): ("include", "", ""),
        (1, "Bob"): ("include", "", ""),
        (2, "Ann"): ("include", "", ""),
        (2, "Bob"): ("exclude", "wrong population", "only in part; see p. 3"),
        (3, "Ann"): ("exclude", "", ""),
        (3, "Bob"): ("maybe", "", ""),
        (4, "Ann"): ("exclude", "CHILD", ""),
        (6, "Ann"): ("exclude", "", ""),
        (6, "Bob"): ("exclude", "", ""),
    }
    events = [e for e in project.log.events() if e.kind is Kind.DECISION]
    assert {e.origin for e in events} == {Origin.IMPORTED} and len({e.at for e in events}) == 1
    assert tags_of(project) == {1: ["RCT", "pilot study", "RCT", "pilot study"]}
    assert done.unlisted_reasons == {"wrong population": 1}
    # A disagreement is a conflict whatever the protocol asks for, and kappa is that of the votes.
    review = project.snapshot()
    assert review.stage().consensus.conflicts == {2, 3} and team.open_conflicts(review) == 2
    measured = team.agreement(review).measured
    assert measured.records == 4 and measured.pairs[0].reviewers == ["Ann", "Bob"]
    assert measured.labels.observed == 0.5


def test_importing_again_writes_nothing_twice_and_nothing_that_was_taken_back(empty, tmp_path):
    project = empty()
    path = rayyan(tmp_path / "a.csv", *TEAM)
    intake.import_files(project, [path], reviewer="owner")
    intake.undo(project, reviewer="Bob")
    project.log.decide("abstract", [{"record_id": 1, "label": Label.EXCLUDE}], reviewer="Ann")
    seen = project.log.events()
    [again] = intake.import_files(project, [path], reviewer="owner")
    assert (again.decisions, again.people, again.conflicts, again.already_there) == (0, {}, 0, 6)
    assert project.log.events() == seen


def test_votes_come_where_others_have_decided_and_under_the_name_that_is_there(empty, tmp_path):
    project = empty()
    path = rayyan(tmp_path / "a.csv", 'RAYYAN-INCLUSION: {"Ann Lee"=>"Included"}')
    (tmp_path / "plain.csv").write_text("title\nStudy number 1\n", encoding="utf-8")
    intake.import_files(project, [tmp_path / "plain.csv"], reviewer="owner")
    project.log.decide("abstract", [{"record_id": 1, "label": Label.EXCLUDE}], reviewer="ann  lee")
    intake.import_files(project, [path], reviewer="owner")
    assert {who for _, who in decided(project)} == {"ann  lee"}
    # Two spellings in one file are two people's.
    both = rayyan(tmp_path / "b.csv", 'RAYYAN-INCLUSION: {"Cy"=>"Included", "cy"=>"Excluded"}')
    assert intake.import_files(project, [both], reviewer="owner")[0].people == {"Cy": 1, "cy": 1}


@pytest.mark.parametrize(
    ("note", "votes"),
    [
        ('RAYYAN-INCLUSION: {"Zo\u00eb O\'Neil-\u674e"=>"Included"}', {"Zo\u00eb O'Neil-\u674e": "include"}),
        (r'RAYYAN-INCLUSION: {"Ann \"Annie\" Lee"=>"Excluded"}', {'Ann "Annie" Lee': "exclude"}),
        (r'RAYYAN-INCLUSION: {"Zo\u00eb"=>"Maybe"}', {"Zo\u00eb": "maybe"}),
        ('RAYYAN-INCLUSION: {"a.b+c@example.org": "Included", "d@e.org": "Excluded"}',
         {"a.b+c@example.org": "include", "d@e.org": "exclude"}),
        ('RAYYAN-INCLUSION: {"Ann" => "Included","Bob" =>"Undecided"}', {"Ann": "include"}),
        ('RAYYAN-INCLUSION: {"Ann"=>true, "Bob"=>false}', {"Ann": "include", "Bob": "exclude"}),
        ('RAYYAN-INCLUSION: {"Ann"=&gt;"Included"}', {"Ann": "include"}),
        (r'RAYYAN-INCLUSION: \{\"Ann\"=\>\"Included\", \"Bob\"=\>\"Excluded\"\}', {"Ann": "include", "Bob": "exclude"}),
        ('RAYYAN-INCLUSION: "Ann"=>"Included" | RAYYAN-LABELS: x', {"Ann": "include"}),
        ("RAYYAN-INCLUSION: Excluded", {"": "exclude"}),
        ("RAYYAN-INCLUSION: {}", {}),
        ('text | RAYYAN-INCLUSION: {"Team | RAYYAN-LABELS: x"=>"Included"}', {"Team | RAYYAN-LABELS: x": "include"}),
        ('RAYYAN-INCLUSION: {"Ann"=>"Included"} | USER-NOTES: {"Ann"=>["RAYYAN-INCLUSION: {\\"Bob\\"=>\\"Excluded\\"}"]}',
         {"Ann": "include"}),
        ('RAYYAN-INCLUSION: {"Ann"=>"Included", "Ann"=>"Excluded"}', {"Ann": "include", "Ann (2)": "exclude"}),
        ('RAYYAN-INCLUSION: {"Ann"=>"perhaps", "Bob"=>"Included"}', {"Bob": "include"}),
    ],
)  # fmt: skip
def test_every_way_in_which_rayyan_writes_votes(tmp_path, note, votes):
    found = votes_of(Record(title="x", extra={"notes": (note,)}), "", tmp_path / "x.csv")
    assert {vote.reviewer: vote.label for vote in found.given} == votes
    assert bool(found.doubts) == ("perhaps" in note or "Ann (2)" in votes)


def test_reasons_labels_and_notes_of_rayyan(tmp_path):
    note = (
        'Pages 3 | RAYYAN-INCLUSION: {"Ann"=>"Excluded","Bob"=>"Included"} | RAYYAN-LABELS: rct, __EXR__wrong age ,2nd "look"'
        ' | RAYYAN-EXCLUSION-REASONS: wrong outcome,wrong population | USER-NOTES: {"Ann"=>["one", "two \\"2\\""]}'
    )
    ann, bob = votes_of(Record(extra={"N1": (note,)}), "", tmp_path / "x.ris").given
    assert ann == Vote(
        "Ann", "exclude", ("wrong outcome", "wrong population", "wrong age"), 'one; two "2"', ("rct", '2nd "look"')
    )
    assert bob == Vote("Bob", "include", (), "", ("rct", '2nd "look"'))
    assert without_rayyan(note) == "Pages 3"


NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12).map(lambda name: f"n{name}")
PLAIN = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9)


@settings(max_examples=200)
@given(
    st.dictionaries(
        NAMES, st.tuples(st.sampled_from(["include", "exclude", "maybe"]), st.text(max_size=15)), max_size=4
    ),
    st.lists(PLAIN, max_size=3, unique=True),
    st.lists(PLAIN, max_size=3, unique=True),
)
def test_what_is_written_for_rayyan_is_read_as_it_was(tmp_path_factory, people, tags, reasons):
    votes = tuple(
        Vote(name, label, tuple(reasons) if label == "exclude" else (), " ".join(note.split()), tuple(tags))
        for name, (label, note) in people.items()
    )
    note = rayyan_note(votes, "first")
    assert votes_of(Record(extra={"N1": (note,)}), "", tmp_path_factory.getbasetemp() / "x").given == votes
    assert without_rayyan(note) == "first"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.ris", "TY  - JOUR\nTI  - One\nN1  - {}\nER  - \n"),
        ("a.bib", "@article{{a, title={{One}}, note={{{}}}}}\n"),
        ("a.enw", "%0 Journal Article\n%T One\n%Z {}\n"),
        ("a.xml", "<xml><records><record><ref-type name='Journal Article'>17</ref-type><titles><title>One</title></titles>"
                  "<notes>{}</notes></record></records></xml>"),
        ("a.tsv", "title\tnotes\nOne\t{}\n"),
    ],
)  # fmt: skip
def test_votes_come_in_every_format_that_keeps_the_notes(empty, tmp_path, name, content):
    project = empty()
    note = 'RAYYAN-INCLUSION: {"Ann"=>"Included", "Bob"=>"Excluded"}'
    note = note.replace(">", "&gt;") if name.endswith("xml") else note
    (tmp_path / name).write_text(content.format(note), encoding="utf-8")
    [done] = intake.import_files(project, [tmp_path / name], reviewer="owner")
    assert (done.people, done.conflicts) == ({"Ann": 1, "Bob": 1}, 1)


def test_of_several_reasons_the_protocols_first_counts_and_the_others_are_noted(empty, tmp_path):
    project = empty(PROTOCOL + '[[exclude]]\ncode = "PART"\ntext = "Wrong, or only in part"\n')
    reasons = "wrong,or only in part,support over the internet.,something else"
    note = f'RAYYAN-INCLUSION: {{"Ann"=>"Excluded"}} | RAYYAN-EXCLUSION-REASONS: {reasons} | USER-NOTES: {{"Ann"=>["see"]}}'
    intake.import_files(project, [rayyan(tmp_path / "a.csv", note)], reviewer="owner")
    assert decided(project) == {(1, "Ann"): ("exclude", "ONLINE", "see\nFurther reasons: PART; something else.")}


def test_reasons_that_the_protocol_lacks_are_added_to_it_when_asked(empty, tmp_path):
    protocol = (
        PROTOCOL
        + '# the end\n[[stages]]\nname = "abstract"\nreasons = [\n  "ONLINE",  # one ]\n]\n[[stages]]\nname = "ft"\n'
    )
    project = empty(protocol)
    note = 'RAYYAN-INCLUSION: {"Ann"=>"Excluded"} | RAYYAN-EXCLUSION-REASONS: wrong "age" group of all'
    path = rayyan(tmp_path / "a.csv", note)
    [done] = intake.import_files(project, [path], reviewer="owner", add_reasons=True)
    assert done.added_reasons == {"WRONG-AGE-GROUP": 'wrong "age" group of all'} and not done.unlisted_reasons
    assert decided(project)[1, "Ann"][1] == "WRONG-AGE-GROUP"
    review = project.snapshot()
    assert [r.code for r in review.asked().reasons] == ["ONLINE", "WRONG-AGE-GROUP"]
    assert len(review.protocol_versions) == 2 and review.protocol_versions[0][1] == protocol
    text = (tmp_path / "protocol.toml").read_text(encoding="utf-8")
    assert protocols.parse(text) == review.protocol and "# the end" in text and "# one ]" in text
    again = intake.import_files(project, [path], reviewer="owner", add_reasons=True)
    assert not again[0].added_reasons and len(project.snapshot().protocol_versions) == 2


def test_a_reason_given_in_words_counts_under_the_code_that_it_gets_later(empty, tmp_path):
    project = empty()
    notes = ['RAYYAN-INCLUSION: {"Ann"=>"Excluded"} | RAYYAN-EXCLUSION-REASONS: Wrong age'] * 2
    path = rayyan(tmp_path / "a.csv", *notes)
    intake.import_files(project, [path], reviewer="owner")
    assert flow(project.snapshot()).stages[0].excluded == {"Wrong age": 2}
    intake.import_files(project, [path], reviewer="owner", add_reasons=True)
    assert flow(project.snapshot()).stages[0].excluded == {"WRONG-AGE": 2}


def test_reasons_are_added_however_the_protocol_is_written(empty, tmp_path):
    project = empty('exclude = [{ code = "A", text = "a" }]  # mine\n')
    path = rayyan(tmp_path / "a.csv", 'RAYYAN-INCLUSION: {"Ann"=>"Excluded"} | RAYYAN-EXCLUSION-REASONS: wrong age')
    intake.import_files(project, [path], reviewer="owner", add_reasons=True)
    assert [r.code for r in project.snapshot().asked().reasons] == ["A", "WRONG-AGE"]


def test_a_machine_among_the_voters_decides_nothing(empty, tmp_path):
    project = empty()
    path = rayyan(tmp_path / "a.csv", 'RAYYAN-INCLUSION: {"Ann"=>"Included", "Rayyan AI"=>"Excluded"}')
    with pytest.raises(intake.WhoseLabels, match="Rayyan AI"):
        intake.import_files(project, [path], reviewer="owner")
    assert project.records.count() == 0
    [done] = intake.import_files(project, [path], reviewer="owner", machine=Machine("Rayyan AI"))
    assert (done.decisions, done.suggestions, done.people, done.conflicts) == (1, 1, {"Ann": 1}, 0)
    [(_, suggested)] = project.live().suggested("abstract")["Rayyan AI"].items()
    assert suggested.label is Label.EXCLUDE and decided(project) == {(1, "Ann"): ("include", "", "")}
    # Known as a machine, its votes are refused as a person's.
    other = rayyan(tmp_path / "b.csv", 'RAYYAN-INCLUSION: {"Rayyan  ai"=>"Excluded"}')
    with pytest.raises(InputError, match="is a machine in this review"):
        intake.import_files(project, [other], reviewer="owner", of_a_person=True)


@pytest.mark.parametrize("name", ["x" * 101, "\x1b\x07", " "])
def test_a_name_that_nobody_can_have_is_refused(empty, tmp_path, name):
    project = empty()
    path = rayyan(tmp_path / "a.csv", f'RAYYAN-INCLUSION: {{"{name}"=>"Included"}}')
    if name.strip():
        with pytest.raises(InputError, match=r"a.csv, line 2: .* is no name of a reviewer"):
            intake.import_files(project, [path], reviewer="owner")
        assert project.records.count() == 0
    else:  # it names nobody
        assert intake.import_files(project, [path], reviewer="owner")[0].people == {"owner": 1}


def test_our_own_table_brings_no_votes_of_an_earlier_move(empty, tmp_path):
    project = empty()
    intake.import_files(project, [rayyan(tmp_path / "a.csv", *TEAM)], reviewer="owner")
    intake.export(project.snapshot(), tmp_path / "ours.csv")
    [done] = intake.import_files(project, [tmp_path / "ours.csv"], reviewer="owner")
    assert (done.kept, done.decisions) == (6, 0)


# -- Covidence, ASReview, tables of one's own --------------------------------------------------------


COVIDENCE = (
    "Title,Covidence #,Reviewer 1,Reviewer 1 vote,Reviewer 2,Reviewer 2 vote,Consensus,Exclusion reason,Notes,Tags"
)


def test_covidences_votes_and_what_was_agreed_in_the_end(empty, tmp_path):
    project = empty()
    rows = [
        ("One", "#1", "Ann Lee", "Yes", "Bob", "Yes", "", "", "", "Ongoing study"),
        ("Two", "#2", "Ann Lee", "Yes", "Bob", "No", "Excluded", "wrong setting", "", ""),
        ("Three", "#3", "Ann Lee", "No", "Bob", "Maybe", "", "wrong dose", "near miss", ""),
        ("Four", "#4", "Ann Lee", "No", "Bob", "", "", "", "", ""),
    ]
    [done] = intake.import_files(project, [table(tmp_path / "c.csv", rows, COVIDENCE)], reviewer="owner")
    assert (done.people, done.conflicts, done.settled) == ({"Ann Lee": 4, "Bob": 3}, 1, 1)
    assert decided(project) == {
        (1, "Ann Lee"): ("include", "", ""),
        (1, "Bob"): ("include", "", ""),
        (2, "Ann Lee"): ("include", "", ""),
        (2, "Bob"): ("exclude", "wrong setting", ""),
        (3, "Ann Lee"): ("exclude", "wrong dose", "near miss"),
        (3, "Bob"): ("maybe", "", "near miss"),
        (4, "Ann Lee"): ("exclude", "", ""),
    }
    agreed = project.stage().consensus
    assert agreed.conflicts == {3} and agreed.labels[2] is Label.EXCLUDE and agreed.settled[2].reviewer == "owner"
    assert tags_of(project) == {1: ["Ongoing study", "Ongoing study"]}
    seen = project.log.events()
    intake.import_files(project, [tmp_path / "c.csv"], reviewer="owner")
    assert project.log.events() == seen


def test_columns_that_are_named_after_the_people(empty, tmp_path):
    project = empty()
    path = table(tmp_path / "c.csv", [("One", "#1", "Included", "No", "Included")],
                 "Title,Covidence #,Ann Lee vote,Vote (Bob),Final decision")  # fmt: skip
    intake.import_files(project, [path], reviewer="owner")
    assert decided(project) == {(1, "Ann Lee"): ("include", "", ""), (1, "Bob"): ("exclude", "", "")}
    assert project.stage().consensus.labels == {1: Label.INCLUDE}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("review_1234_excluded_csv_20240320131744.csv",
         "Title,Covidence #,Notes,Tags\nOne,#1,Exclusion reason: wrong study design; ,rct\n",
         ("exclude", "wrong study design", "")),
        ("review_1234_excluded_20240320131744.ris",
         "TY  - JOUR\nTI  - One\nN1  - Exclusion reason: wrong dose; not enough\nER  - \n",
         ("exclude", "wrong dose", "not enough")),
        ("x.csv", "title,asreview_label,asreview_note,asreview_time\nOne,1,see p. 3,1.5\n", ("include", "", "see p. 3")),
        ("x.ris", 'TY  - JOUR\nTI  - One\nN1  - ASReview_irrelevant\nN1  - asreview_note: "no \\"data\\""\nER  - \n',
         ("exclude", "", 'no "data"')),
    ],
)  # fmt: skip
def test_one_decision_without_a_name_is_the_importers_with_its_reason_and_note(
    empty, tmp_path, name, content, expected
):
    project = empty()
    (tmp_path / name).write_text(content, encoding="utf-8")
    [done] = intake.import_files(project, [tmp_path / name], reviewer="owner")
    assert done.people == {"owner": 1} and decided(project) == {(1, "owner"): expected}


def test_the_ticked_tags_of_asreview(empty, tmp_path):
    project = empty()
    tags = '[{"name":"Design","id":"d","values":[{"name":"RCT","id":"r","checked":true},{"name":"cohort","id":"c"}]}]'
    path = table(
        tmp_path / "x.csv", [("One", "1", tags), ("Two", "0", "nonsense")], "title,asreview_label,asreview_tags"
    )
    intake.import_files(project, [path], reviewer="owner")
    assert tags_of(project) == {1: ["RCT"]}


def test_a_table_with_a_row_for_each_vote(empty, tmp_path):
    project = empty()
    rows = [("One", "yes", "Ann"), ("One", "no", "Bob"), ("Two", "", ""), ("Three", "maybe", "Ann")]
    path = table(tmp_path / "x.csv", rows, "title,vote,screener")
    options = {"reviewer": "owner", "label_column": "vote", "reviewer_column": "screener"}
    [done] = intake.import_files(project, [path], **options)
    assert done.people == {"Ann": 2, "Bob": 1}
    project.log.link([(2, 1, "same title")], reviewer="owner")
    assert project.stage().consensus.conflicts == {1}
    assert intake.import_files(project, [path], **options)[0].decisions == 0
    for wrong, message in (("who", "has no column 'who'; its columns are: title, vote, screener"), ("title", None)):
        if message:
            with pytest.raises(InputError, match=message):
                intake.import_files(project, [path], **{**options, "reviewer_column": wrong})
    bad = table(tmp_path / "y.csv", [("One", "yes", ""), ("Two", "no", "Ann; Bob")], "title,vote,screener")
    with pytest.raises(InputError, match=r"(?s)line 2: the column 'screener' names nobody.*names several people"):
        intake.import_files(project, [bad], **options)


def test_a_table_of_decisions_may_hold_those_of_several_people(review, tmp_path):
    project = review(6)
    columns = "record_id,label,reason,screener,tags"
    rows = [
        (1, "include", "", "Ann", "a"),
        (1, "exclude", "child", "Bob", "b"),
        (2, "", "", "", ""),
        (2, "no", "", "Bob", ""),
    ]
    path = table(tmp_path / "d.csv", rows, columns)
    done = intake.label(project, path, reviewer="owner", reviewer_column="screener")
    assert (done.decisions, done.people, done.blank) == (3, {"Ann": 1, "Bob": 2}, 1)
    assert decided(project) == {
        (1, "Ann"): ("include", "", ""),
        (1, "Bob"): ("exclude", "CHILD", ""),
        (2, "Bob"): ("exclude", "", ""),
    }
    assert tags_of(project) == {1: ["a", "b"]} and project.stage().consensus.conflicts == {1}
    seen = project.log.events()
    assert intake.label(project, path, reviewer="owner", reviewer_column="screener").unchanged == 3
    assert project.log.events() == seen
    with pytest.raises(InputError, match="keep one row for each record"):  # one person's, without the column
        intake.label(project, path, reviewer="owner")
    twice = table(tmp_path / "e.csv", [(3, "yes", "", "Ann", ""), (3, "no", "", "Ann", "")], columns)
    with pytest.raises(InputError, match="'exclude' here, but 'include'"):
        intake.label(project, twice, reviewer="owner", reviewer_column="screener")
    with pytest.raises(InputError, match="has no column 'who'"):
        intake.label(project, path, reviewer="owner", reviewer_column="who")


def test_reading_a_disagreement_tells_it_without_a_label(tmp_path):
    reading = formats.read(rayyan(tmp_path / "a.csv", *TEAM))
    assert reading.labels == ["include", "", "", "exclude", "", "exclude"]
    assert [w.line for w in reading.warnings] == [3, 4] and "Ann: include, Bob: exclude" in reading.warnings[0].message
