"""The screening session is killed again and again; the check itself is shown to find every kind of loss."""

import importlib.util
import random
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from triage.log import Label, Origin
from triage.project import Project
from triage.screening.journal import commit_audit

pytest.importorskip("pty", reason="there are no pseudo-terminals on Windows")

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "benchmarks" / "kill_session.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("kill_session", SCRIPT)
    module = sys.modules["kill_session"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["kill_session"]


@pytest.fixture(scope="module")
def template(script, tmp_path_factory):
    """A review of real records whose audit permutation is committed, with three decisions of an earlier day."""
    review = script.make_review(tmp_path_factory.mktemp("template"))
    with Project.open(review) as project:
        stage = commit_audit(project).stage()
        decide(project, stage.name, range(1, 4))
    return review


@pytest.fixture
def review(template, tmp_path):
    return Path(shutil.copy(template, tmp_path / "review.triage"))


def decide(project, stage, record_ids, label=Label.EXCLUDE, reason="HOUSING"):
    for record_id in record_ids:
        project.log.show(stage, [record_id], [Origin.RANKED], [100], reviewer="ann")
        project.log.decide(
            stage, [{"record_id": record_id, "label": label, "reason": reason, "note": "n"}], reviewer="ann"
        )


def test_no_acknowledged_decision_is_lost(script, tmp_path):
    outcomes = script.kill_at_once(tmp_path, kills=20, seed=0, at_once=2)
    assert [problem for outcome in outcomes for problem in outcome.problems] == []
    assert len(outcomes) == 20
    # The kills came when it matters.
    assert sum(len(outcome.acknowledged) for outcome in outcomes) >= 20
    assert sum(outcome.in_a_write for outcome in outcomes) >= 2
    assert sum(outcome.typed is not None for outcome in outcomes) >= 2


FORGETFUL = """
import dataclasses
from triage.cli import main
from triage.log import Kind
from triage.project import Log

def decide(self, stage, decisions, *, reviewer, tags=None, in_place_of=()):
    return [dataclasses.replace(self.events()[-1], kind=Kind.DECISION, **d) for d in decisions]

Log.decide = decide
main()
"""


def test_a_program_that_acknowledges_what_it_does_not_keep_is_found_out(script, review):
    before = script.snapshot(review)
    sitting = script.Sitting(review, random.Random(1), "at an answer", [sys.executable, "-c", FORGETFUL])
    assert sitting.run() == []  # on the screen all is well
    assert sitting.acknowledged
    problems = script.examine(review, before, sitting.acknowledged, sitting.typed)
    assert len(problems) == len(sitting.acknowledged) and all("LOST" in problem for problem in problems)


@pytest.fixture
def sat(script, review):
    """A review after a sitting: (its path, the snapshot before, what was acknowledged)."""
    before = script.snapshot(review)
    with Project.open(review) as project:
        decide(project, "abstract", [4, 5], Label.INCLUDE, "")
        project.log.undo(project.log.events()[-1].seq, reviewer="ann")
        titles = {record.id: script.shown_title(record.title) for record in project.records.read()}
    said = [
        script.Said(Label.INCLUDE, titles[4], "", "n"),
        script.Said(Label.INCLUDE, titles[5], "", "n"),
        script.Said(None, titles[5]),
    ]
    return review, before, said


def test_the_check_takes_what_is_right(script, sat):
    review, before, said = sat
    assert script.examine(review, before, said, None) == []
    assert script.examine(review, before, said, script.Said(Label.MAYBE, "typed, never written")) == []
    assert script.examine(review, before, said[:2], script.Said(None, "?")) == []  # written, not answered


def test_the_check_finds_what_is_not_in_the_log(script, sat):
    review, before, said = sat
    more = script.Said(Label.MAYBE, "one more")
    problems = script.examine(review, before, [*said, more], None)
    assert problems == [f"LOST: {more} was acknowledged and is not in the log"]
    problems = script.examine(review, before, [more, *said[1:]], None)
    assert len(problems) == 1 and "in its place the log has" in problems[0]


def test_the_check_finds_what_nobody_typed(script, sat):
    review, before, said = sat
    for acknowledged, typed in ((said[:2], None), (said[:2], said[0]), (said[:1], said[1]), (said[:1], None)):
        problems = script.examine(review, before, acknowledged, typed)
        assert len(problems) == 1 and "without an answer" in problems[0]


def test_the_check_finds_another_note_or_reason(script, sat):
    review, before, (first, *others) = sat
    for changed in (script.Said(first.label, first.title, "OTHER", "n"), script.Said(first.label, first.title, "", "")):
        assert len(script.examine(review, before, [changed, *others], None)) == 1


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)", "LOST"),
        ("DELETE FROM events WHERE seq = 3", "rows of the table events"),
        ("UPDATE events SET reason = 'OTHER' WHERE seq = 3", "rows of the table events"),
        ("UPDATE events SET seq = seq + 1 WHERE seq = (SELECT max(seq) FROM events)", "gaps"),
        ("UPDATE records SET title = 'x' WHERE id = 9", "rows of the table records"),
        ("UPDATE plans SET permutation = zeroblob(length(permutation))", "audit permutation 0"),
        ("UPDATE plans SET permutation = zeroblob(length(permutation))", "rows of the table plans"),
        ("DELETE FROM protocols", "does not open"),
    ],
)
def test_the_check_finds_a_log_that_was_rewritten(script, sat, statement, found):
    review, before, said = sat
    connection = sqlite3.connect(review, isolation_level=None)
    for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute(statement)
    connection.close()
    problems = script.examine(review, before, said, None)
    assert any(found in problem for problem in problems), problems


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:4096] + b"\xff" * 8192 + content[12288:],
        lambda content: b"",
    ],
)
def test_the_check_finds_a_file_that_does_not_open(script, sat, damage):
    review, before, said = sat
    review.write_bytes(damage(review.read_bytes()))
    assert script.examine(review, before, said, None)
