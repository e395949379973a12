"""A protocol changed by a form: its file keeps what its author wrote, and says what was wanted."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from triage.errors import InputError
from triage.log import Kind
from triage.project import Project, protocol_digest
from triage.protocol import (
    Criterion,
    Limits,
    Machines,
    Protocol,
    Source,
    Stage,
    Stopping,
    WordList,
    parse,
    template,
    with_code,
    write,
)
from triage.web.protocol_form import checked, fields_of, sent_fields

EXCLUDE = (Criterion("E1", "Only online"), Criterion("KID", 'Children "under 12" \\ their parents'))
WHOLE = Protocol(
    title='Peer "support"',
    question="What works?\nFor whom?",
    sources=(Source("PubMed", "(a OR b)", "2010-08-31"), Source("Scopus", "", "in March")),
    limits=Limits(("English",), date(1980, 1, 1), date(2010, 8, 31), ("editorial",)),
    include=(Criterion("I1", "peer support"),),
    exclude=EXCLUDE,
    stages=(Stage("abstract", EXCLUDE), Stage("full-text", (Criterion("NO", "not to be had"), EXCLUDE[1]), "NO")),
    tags=("review", "trial"),
    stopping=Stopping(target=0.9),
    reviewers_per_record=2,
    calibration=20,
    machines=Machines(blind=False),
    key_papers=("10.1000/x", 'The "first" trial'),
    highlights=(WordList("design", "green", ("random*", 'a "blind" trial')), WordList("exclude", "orange", ("mice",))),
)
words = (
    st.text("abc \"'\\\n#[]=é", min_size=1, max_size=20).map(str.strip).filter(lambda text: any(map(str.isalnum, text)))
)
one_line = words.map(lambda text: " ".join(text.split()))
criteria = st.lists(one_line, max_size=3, unique=True)
protocols = st.builds(
    lambda title, question, include, exclude, tags, two: Protocol(
        title=title,
        question=question,
        include=tuple(Criterion(f"I{n}", text) for n, text in enumerate(include, 1)),
        exclude=(excluded := tuple(Criterion(f"E{n}", text) for n, text in enumerate(exclude, 1))),
        tags=tuple(tags),
        reviewers_per_record=1 + two,
        stages=(Stage("abstract", excluded), Stage("full-text", excluded)) if two else (Stage("abstract", excluded),),
    ),
    st.just("") | one_line,
    st.just("") | words,
    criteria,
    criteria,
    st.lists(st.sampled_from(["review", "trial", "cohort"]), unique=True, max_size=3),
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(protocols, protocols)
def test_what_is_written_says_what_was_wanted_whatever_was_there(first, second):
    text = write(template(), first)
    assert parse(text) == first
    assert parse(write(text, second)) == second
    assert write(text, first) == text


@pytest.mark.parametrize("before", ["", template(), "# mine\n[limits]\nlanguages = ['German']  # only these\n"])
def test_the_whole_protocol_can_be_written_and_taken_away_again(before):
    text = write(before, WHOLE)
    assert parse(text) == WHOLE
    assert parse(write(text, Protocol())) == Protocol()


def test_comments_and_order_stay_and_examples_give_way():
    mine = "# my notes\nquestion = 'What works?' # asked in 2024\n\n# the first\n[stopping]\ntarget = 0.9 # agreed\n"
    text = write(mine, replace(parse(mine), title="Peer support"))
    assert all(part in text for part in ("# my notes", "# asked in 2024", "# the first\n[stopping]", "# agreed"))
    text = write(template(), Protocol(title="Mine", question="Which?"))
    assert '\ntitle = "Mine"\n' in text and "# title" not in text and "What forms of support" not in text
    assert text.index('question = "Which?"') < text.index("## Tags to put on") < text.index("# [[sources]]")


def test_what_is_no_protocol_is_not_written():
    with pytest.raises(InputError, match="recall_of"):
        write("", Protocol(stopping=Stopping(rule="cmh", recall_of="corrected")))


def test_a_code_is_taken_from_the_line_or_made():
    taken = {"i1"}
    assert with_code("CHILD: Children", taken, "E") == Criterion("CHILD", "Children")
    assert with_code("Support by peers", taken, "I") == Criterion("I2", "Support by peers")
    assert with_code("Design: trials", taken, "I") == Criterion("I3", "Design: trials")
    assert taken == {"i1", "child", "i2", "i3"}


# -- the form -------------------------------------------------------------------------------------


def as_sent(fields):
    """Return fields as a browser sends them."""
    sent = {name: [getattr(fields, name)] for name in fields.__dataclass_fields__ if name not in ("sources", "stages")}
    for name, rows, own in (
        ("source", fields.sources, ("name", "searched_on", "search")),
        ("stage", fields.stages, ("name", "reasons", "not_retrieved")),
    ):
        for field, key in zip(own, {"source": ("name", "day", "search"), "stage": ("name", "reasons", "lost")}[name]):
            sent[f"{name}_{key}"] = [getattr(row, field).replace("\n", "\r\n") for row in rows]
    return sent


@settings(max_examples=100, deadline=None)
@given(protocols)
def test_a_form_that_is_sent_as_it_was_shown_changes_nothing(protocol):
    protocol = replace(protocol, question=protocol.question.strip())
    fields = fields_of(protocol, "toml")
    sent = sent_fields(as_sent(fields))
    assert checked(sent, protocol) == protocol and sent.seen == "toml"


def test_the_whole_protocol_goes_through_the_form():
    assert checked(sent_fields(as_sent(fields_of(WHOLE, ""))), WHOLE) == WHOLE


def test_a_criterion_keeps_its_code_and_a_new_one_gets_one():
    before = Protocol(include=(Criterion("I1", "peers"), Criterion("I2", "adults")))
    fields = replace(fields_of(before, ""), include="adults\nonly trials", exclude="KID: children\nletters")
    after = checked(fields, before)
    assert after.include == (Criterion("I2", "adults"), Criterion("I3", "only trials"))
    assert after.exclude == (Criterion("KID", "children"), Criterion("E1", "letters"))
    assert after.stages[0].reasons == after.exclude


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": "200"}, "Recall to reach: '200' is not a percentage"),
        ({"calibration": "many"}, "Records of the calibration round: 'many' is not a whole number"),
        ({"published_from": "May"}, "Published from: 'May' is not a year"),
        ({"published_from": "2010-13"}, "published_from"),
        ({"languages": "Klingon"}, "Klingon"),
        ({"exclude": "KID: children\nKID: adults"}, "appears twice"),
        ({"rule": "fixed-audit"}, "audit_size"),
    ],
)
def test_a_field_that_says_nothing_is_refused_in_words_of_the_form(changes, said):
    with pytest.raises(InputError, match=said) as refused:
        checked(replace(fields_of(Protocol(), ""), **changes), Protocol())
    assert "run the command" not in str(refused.value) and "protocol.toml" not in str(refused.value)


# -- the review -----------------------------------------------------------------------------------


def test_a_changed_protocol_is_in_its_file_and_a_version_in_the_log(tmp_path):
    file = tmp_path / "protocol.toml"
    file.write_text("# mine\ntitle = 'One'\n", encoding="utf-8")
    Project.create(tmp_path / "r.triage", file.read_text(encoding="utf-8"), file).close()
    with Project.open(tmp_path / "r.triage") as project:
        seen = protocol_digest(project.snapshot().protocol_versions[-1][1])
        assert project.change_protocol(replace(project.protocol(), title="Two"), reviewer="ann", seen=seen)
        assert not project.change_protocol(project.protocol(), reviewer="ann")
        assert project.protocol().title == "Two"
        assert file.read_text(encoding="utf-8") == '# mine\ntitle = "Two"\n'
        with pytest.raises(InputError, match="changed meanwhile"):
            project.change_protocol(replace(project.protocol(), title="Three"), reviewer="ann", seen=seen)
        file.write_text("title = 'Four'\n", encoding="utf-8")
        project.change_protocol(replace(project.protocol(), question="Which?"), reviewer="bob")
        # What was edited by hand meanwhile is taken over first, as a version of its own.
        assert [version for _, version in project.snapshot().protocol_versions] == [
            "# mine\ntitle = 'One'\n",
            '# mine\ntitle = "Two"\n',
            "title = 'Four'\n",
            'question = "Which?"\ntitle = "Two"\n',  # as it was wanted by somebody who had not seen Four
        ]
        kinds = [(e.kind, e.reviewer) for e in project.log.events()]
        assert kinds == [(Kind.PROTOCOL, "ann"), (Kind.PROTOCOL, ""), (Kind.PROTOCOL, "bob")]


def test_a_file_that_cannot_be_written_leaves_the_protocol_as_it_was(tmp_path, monkeypatch):
    file = tmp_path / "protocol.toml"
    file.write_text("title = 'One'\n", encoding="utf-8")
    Project.create(tmp_path / "r.triage", file.read_text(encoding="utf-8"), file).close()

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with Project.open(tmp_path / "r.triage") as project:
        with pytest.raises(InputError, match="stays as it was"):
            project.change_protocol(Protocol(title="Two"), reviewer="ann")
        assert project.protocol().title == "One" and not project.log.events()
    assert [path.name for path in tmp_path.glob(".protocol*")] == []
