"""Questions at the terminal: asked one by one, each answer kept before the next."""

import io

import pytest
from rich.text import Text
from terminal_helpers import HOSTILE, ScriptedKeys, full_record, paper

from triage import terminal
from triage.dedupe import Agreement, FieldPair
from triage.eligibility import Proposal
from triage.terminal import keys
from triage.terminal.keys import ENTER


def test_questions_are_asked_one_by_one():
    console = paper()
    keys = ScriptedKeys("u", "y", "x", "n", "u", "y", ENTER, "n", "q")
    kept = []
    answers = terminal.ask_one_by_one(
        ["a", "b", "c", "d"],
        Text,
        "Same?",
        console=console,
        keys=keys,
        keep=lambda place, answer: kept.append((place, answer)),
    )
    assert answers == [True, True, False, None]
    assert kept == [(0, True), (1, False), (1, None), (1, True), (2, False)]
    said = console.file.getvalue()
    assert "3 of 4" in said and said.count("2 of 4") == 2 and "Same?" in said


def test_an_answer_is_kept_before_the_next_question():
    kept = []
    with pytest.raises(KeyboardInterrupt):
        terminal.ask_one_by_one(
            ["a", "b"],
            Text,
            "Same?",
            console=paper(),
            keys=ScriptedKeys("y", KeyboardInterrupt()),
            keep=lambda place, answer: kept.append((place, answer)),
        )
    assert kept == [(0, True)]


def test_questions_end_with_the_lines():
    def keep(place, answer):
        pass

    answers = terminal.ask_one_by_one(
        [1, 2, 3], lambda i: Text(str(i)), "Same?", console=paper(), keep=keep, keys=keys._LineKeys(io.StringIO("y\n"))
    )
    assert answers == [True, None, None]
    assert terminal.ask_one_by_one([], Text, "Same?", console=paper(), keys=ScriptedKeys(), keep=keep) == []


def test_proposals_show_record_and_reason():
    console = paper()
    proposals = [
        (full_record(title=HOSTILE), Proposal("language", "a detector takes it for French")),
        (full_record(), Proposal("language", HOSTILE)),
    ]
    kept = []
    answers = terminal.decide_proposals(
        proposals, console=console, keys=ScriptedKeys("y", "n"), keep=lambda *answer: kept.append(answer)
    )
    assert answers == [True, False] and kept == [(0, True), (1, False)]
    said = console.file.getvalue()
    assert "a detector takes it for French" in said and "Remove this record?" in said and "PMID 12345" in said
    assert "\x1b" not in said and "\x07" not in said


def test_two_records_side_by_side():
    pairs = [
        (
            "one word of the title differs",
            [
                FieldPair("title", f"Kept {HOSTILE}", "Copy", Agreement.DIFFERENT),
                FieldPair("year", "2009", "2009", Agreement.SAME),
            ],
        ),
        ("the page differs", [FieldPair("pages", "1-9", "11-19", Agreement.DIFFERENT)]),
    ]
    kept, console = [], paper()
    answers = terminal.decide_maybes(
        pairs,
        keep=lambda place, answer: kept.append((place, answer)),
        console=console,
        keys=ScriptedKeys("x", "y", "u", "n", "q"),
    )
    said = console.file.getvalue()
    assert answers == [False, None] and kept == [(0, True), (0, None), (0, False)]
    assert "one word of the title differs" in said and "Are these one record?" in said and "11-19" in said
    assert "\x1b]0;owned" not in said and "\u202e" not in said
