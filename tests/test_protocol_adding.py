"""Reasons and tags added to a protocol while screening."""

import pytest

from triage.errors import InputError
from triage.protocol import Criterion, Protocol, Stage, parse, with_reason_at, with_tag, write

CHILD = Criterion("CHILD", "Children.")
TWO = Protocol(
    exclude=(CHILD,), stages=(Stage("abstract", (CHILD,)), Stage("full-text", (Criterion("DATA", "No data"),)))
)


def test_a_reason_is_offered_at_its_stage_and_is_no_criterion():
    after, reason = with_reason_at(TWO, "abstract", "  Only a\nprotocol ")
    assert reason == Criterion("ONLY-A-PROTOCOL", "Only a protocol")
    assert after.exclude == TWO.exclude and after.stages[0].reasons == (CHILD, reason)
    assert after.stages[1] == TWO.stages[1]
    assert parse(write("", after)) == after


@pytest.mark.parametrize("text", ["children.", "CHILD", " Children.  "])
def test_a_reason_that_is_known_is_taken_as_it_is(text):
    assert with_reason_at(TWO, "abstract", text) == (TWO, CHILD)
    after, reason = with_reason_at(TWO, "full-text", text)
    assert reason == CHILD and after.stages[1].reasons == (*TWO.stages[1].reasons, CHILD)


def test_codes_differ_from_those_of_any_stage():
    after, reason = with_reason_at(TWO, "abstract", "Data")
    assert reason.code == "DATA-2" or reason.text == "No data"
    assert parse(write("", after)) == after


def test_a_tag_is_added_once():
    after, tag = with_tag(Protocol(tags=("trial",)), " Cohort  study ")
    assert (after.tags, tag) == (("trial", "Cohort study"), "Cohort study")
    assert with_tag(after, "cohort study") == (after, "Cohort study")


@pytest.mark.parametrize("text", ["", "  ", "...", "a; b"])
def test_what_can_be_no_tag_is_refused(text):
    with pytest.raises(InputError, match="A tag is a word"):
        with_tag(Protocol(), text)


def test_a_reason_without_a_word_is_refused():
    with pytest.raises(InputError, match="in a few words"):
        with_reason_at(TWO, "abstract", " - ")
