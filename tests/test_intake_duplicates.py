"""What counts for a duplicate group, and the questions about pairs."""

import pytest
from intake_helpers import an_empty_review, decided, decisions_file

from triage import intake
from triage.errors import InputError
from triage.log import Label, fold
from triage.records import Record

empty = an_empty_review


# -- duplicate groups ---------------------------------------------------------------------------


def test_a_decision_on_a_copy_counts_for_its_group(review, tmp_path):
    project = review(10)
    project.log.link([(7, 2, "same DOI")], reviewer="ann")
    intake.label(project, decisions_file(tmp_path / "d.csv", [[7, "include", "", ""]]), reviewer="ann")
    assert project.stage().consensus.labels == {2: Label.INCLUDE}
    with pytest.raises(InputError, match="line 3: record 7 .* 'exclude' here, but, for its duplicate 2, 'include' in"):
        intake.label(project, decisions_file(tmp_path / "e.csv", [[2, "1", "", ""], [7, "0", "", ""]]), reviewer="ann")
    path = decisions_file(tmp_path / "f.csv", [[2, "1", "", ""], [7, "1", "", ""]])
    both = intake.label(project, path, reviewer="ann")
    assert (both.unchanged, both.repeated, len(decided(project))) == (1, 1, 1)


def test_deciding_on_a_group_settles_what_was_said_of_its_members_before(review, tmp_path):
    project = review(10)
    intake.label(project, decisions_file(tmp_path / "d.csv", [[2, "1", "", ""], [7, "0", "", ""]]), reviewer="ann")
    intake.label(project, decisions_file(tmp_path / "e.csv", [[7, "maybe", "", ""]]), reviewer="bob")
    link = project.log.link([(7, 2, "same DOI")], reviewer="ann")[0]
    assert project.stage().consensus.conflicts == {2}  # ann said both: she must say which
    path = decisions_file(tmp_path / "f.csv", [[2, "maybe", "", ""]])
    assert intake.label(project, path, reviewer="ann").decisions == 1
    assert project.stage().consensus.labels == {2: Label.MAYBE} and not project.stage().consensus.conflicts
    # Taken back, both of her earlier labels are there again, and so they are without the link.
    intake.undo(project, reviewer="ann")
    assert project.stage().consensus.conflicts == {2}
    project.log.undo(link.seq, reviewer="ann")
    assert {(r, who): e.label for (_, r, who), e in project.stage().live.decisions.items()} == {
        (2, "ann"): Label.INCLUDE,
        (7, "ann"): Label.EXCLUDE,
        (7, "bob"): Label.MAYBE,
    }


def test_links_of_one_copy_to_two_records_make_one_group(review):
    project = review(10)
    project.log.link([(9, 4, "a"), (9, 2, "b"), (8, 9, "c")], reviewer="ann")
    assert fold(project.log.events()).duplicates == {4: 2, 8: 2, 9: 2}


# -- questions about duplicates ----------------------------------------------------------------------


@pytest.fixture
def maybes(empty):
    """Two records that differ in the page, and one of another work."""
    records = [
        Record(
            title="Peer support for adults with severe mental illness: a randomised trial",
            year=2009,
            authors=("Smith, J",),
            journal="Psychiatric Services",
            extra={"VL": ("60",), "SP": ("11",)},
        ),
        Record(
            title="Peer support for adults with severe mental illness: a randomised trial",
            year=2009,
            authors=("Smith, J",),
            journal="Psychiatric Services",
            extra={"VL": ("60",), "SP": ("19",)},
        ),
        Record(title="Soil bacteria of legumes in dry land farming", year=2009, authors=("Jones, A",)),
    ]
    empty.records.add(records, [1, 2, 3], name="a.ris", source="a", format="ris", sha256="0", announced=3, problems=[])
    return empty


def test_what_may_be_a_duplicate_is_asked_and_the_answer_kept(maybes):
    (question,) = intake.find_duplicates(maybes, reviewer="ann").maybes
    assert (question.kept.id, question.copy.id) == (1, 2) and question.why
    intake.settle_maybe(maybes, question, False, reviewer="ann")
    assert intake.find_duplicates(maybes, reviewer="ann").maybes == []
    intake.settle_maybe(maybes, question, None, reviewer="ann")  # the answer taken back: asked again
    assert len(intake.find_duplicates(maybes, reviewer="ann").maybes) == 1
    intake.settle_maybe(maybes, question, True, reviewer="ann")
    done = intake.find_duplicates(maybes, reviewer="ann")
    assert (done.duplicates, done.maybes) == (1, []) and maybes.stage().record_ids.tolist() == [1, 3]
    intake.settle_maybe(maybes, question, None, reviewer="ann")
    assert maybes.stage().record_ids.tolist() == [1, 2, 3]
    assert [str(e.kind) for e in maybes.log.events()] == ["apart", "undo", "duplicate", "undo"]


def test_a_pair_told_apart_is_not_linked_by_a_later_import_either(maybes):
    (question,) = intake.find_duplicates(maybes, reviewer="ann").maybes
    intake.settle_maybe(maybes, question, False, reviewer="ann")
    maybes.records.add(
        [question.copy], [1], name="b.ris", source="b", format="ris", sha256="1", announced=1, problems=[]
    )
    intake.find_duplicates(maybes, reviewer="ann")
    live = maybes.stage().live
    assert live.kept(1) != live.kept(2)
