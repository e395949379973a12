"""Checks of attention: known relevant records shown once more, told in the report and counted nowhere."""

import pytest
from conftest import PROTOCOL
from web_helpers import alone, decided, opened

from triage import report
from triage.log import Kind, Label, Origin
from triage.protocol import parse
from triage.screening import open_session
from triage.screening.journal import commit_audit
from triage.status import in_words, status

CHECKED = (
    PROTOCOL.replace("[", "attention_checks = 3\n[", 1) if "[" in PROTOCOL else PROTOCOL + "attention_checks = 3\n"
)


def auditing(project):
    """Find all relevant records and pass a plateau, so that an audit is under way."""
    commit_audit(project)
    ids = [i for i in range(1, 121) if i % 6 == 1] + [i for i in range(1, 61) if i % 6 != 1]
    left = [120 - n for n in range(len(ids))]
    project.log.show("abstract", ids, [Origin.RANKED] * len(ids), left, reviewer="ann")
    labels = [{"record_id": i, "label": Label.INCLUDE if i % 6 == 1 else Label.EXCLUDE} for i in ids]
    project.log.decide("abstract", labels, reviewer="ann")


def screen(project, count, answer):
    """Judge so many records; return the ids in their order."""
    shown = []
    with open_session(project, reviewer="ann", preset="fast", background=False) as (session, records):
        for _ in range(count):
            showing = session.next()
            record_id = int(records.stage.record_ids[showing.row])
            shown.append(record_id)
            session.decide(showing.row, answer(record_id))
    return shown


def kinds(project, kind):
    return [e for e in project.log.events() if e.kind is kind]


def test_after_so_many_draws_a_known_relevant_record_is_shown_and_what_is_said_of_it_is_no_decision(review):
    with review(120, CHECKED) as project:
        assert parse(CHECKED).attention_checks == 3
        auditing(project)
        before = project.stage().history()
        decisions = len(kinds(project, Kind.DECISION))
        shown = screen(project, 12, lambda record_id: Label.EXCLUDE)  # not attentive at all
        checks = kinds(project, Kind.CHECK)
        assert [e.record_id for e in checks] == [i for i in shown if i % 6 == 1] and len(checks) == 3
        draws = [e.record_id for e in kinds(project, Kind.SHOWN) if e.origin is Origin.AUDIT]
        assert [shown.index(e.record_id) for e in checks] == [3, 7, 11] and len(draws) == 9
        assert len(kinds(project, Kind.DECISION)) == decisions + 9
        after = project.stage().history()
        assert after.n_found == before.n_found == 20  # what was said wrongly took nothing away
        facts = status(project.snapshot())
        assert (facts.attention.checks, facts.attention.recognised) == (3, 0)
        assert "0 of 3 relevant records shown once more were recognised" in in_words(facts)
        assert "Of attention: 0 of 3 relevant" in report.render(project.snapshot(), facts)


def test_who_attends_is_told_so(review):
    with review(120, CHECKED) as project:
        auditing(project)
        screen(project, 12, lambda i: Label.INCLUDE if i % 6 == 1 else Label.EXCLUDE)
        assert status(project.snapshot()).attention.recognised == 3


def test_nobody_is_checked_unless_the_protocol_asks(review):
    with review(120) as project:
        auditing(project)
        screen(project, 12, lambda i: Label.EXCLUDE)
        assert not kinds(project, Kind.CHECK) and status(project.snapshot()).attention is None


def test_the_evidence_is_that_of_a_review_without_checks(review):
    with review(120, CHECKED) as project:
        auditing(project)
        screen(project, 12, lambda i: Label.EXCLUDE)
        evidence = status(project.snapshot()).certificate
        history = project.stage().history()
        assert evidence.audit_draws == 9 == int((history.origin == Origin.AUDIT).sum())
        assert history.n_screened == 70 + 9


@pytest.mark.parametrize("label", ["include", "exclude"])
def test_the_pages_take_a_check_for_what_it_is(review, label):
    with review(120, CHECKED) as project:
        auditing(project)
        with alone(project, preset="fast") as ann:
            for number in range(1, 14):
                (first, *_) = opened(ann)
                told = label if first["record_id"] % 6 == 1 else "exclude"
                assert decided(ann, first["record_id"], told, f"key-{number:08}").status_code == 200
        checks = kinds(project, Kind.CHECK)
        assert checks and {str(e.label) for e in checks} == {label}
        assert project.stage().history().n_found == 20


def test_others_writing_meanwhile_does_not_turn_a_check_into_a_decision(review):
    with review(120, CHECKED) as project:
        auditing(project)
        with open_session(project, reviewer="ann", preset="fast", background=False) as (session, _):
            while not session.is_check((showing := session.next()).row):
                session.decide(showing.row, Label.EXCLUDE)
            project.log.decide("abstract", [{"record_id": 119, "label": Label.EXCLUDE}], reviewer="bob")
            assert session.next().row == showing.row and session.is_check(showing.row)
            session.decide(showing.row, Label.EXCLUDE)
            assert not session.is_check(showing.row)
        assert len(kinds(project, Kind.CHECK)) == 1


def test_a_check_that_was_set_aside_is_still_one(review):
    with review(120, CHECKED) as project:
        auditing(project)
        with open_session(project, reviewer="ann", preset="fast", background=False) as (session, _):
            while not session.is_check((showing := session.next()).row):
                session.decide(showing.row, Label.EXCLUDE)
            before = len(kinds(project, Kind.DECISION))
            session.skip(showing.row)
            assert session.next().row != showing.row
            session.decide(showing.row, Label.EXCLUDE)
        assert len(kinds(project, Kind.CHECK)) == 1 and len(kinds(project, Kind.DECISION)) == before
        assert project.stage().history().n_found == 20
