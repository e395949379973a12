"""Files in: the same bytes once, one bad file keeps all out, decisions that come along."""

import json

import pytest
from conftest import PROTOCOL, sample_ris
from intake_helpers import WITH_TAGS, an_empty_review, decided, decisions_file
from sqlalchemy import event

from triage import formats, intake
from triage.errors import InputError
from triage.flow import flow
from triage.log import Kind, Label, Origin
from triage.project import Project

empty = an_empty_review


def table(path, rows, columns="title,abstract,verdict"):
    path.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("tags", ["", "tags = ['review']"])
def test_imported_columns_named_like_ours_are_no_decisions(tmp_path, tags):
    (tmp_path / "protocol.toml").write_text(f"{tags}\n{PROTOCOL}", encoding="utf-8")
    intake.new(tmp_path / "r.triage", tmp_path / "protocol.toml")
    with Project.open(tmp_path / "r.triage") as project:
        path = table(tmp_path / "a.csv", ["One,x,old,seen,tags too"], "title,abstract,Tags,Note,tags")
        intake.import_files(project, [path], reviewer="ann")
        intake.label(project, decisions_file(tmp_path / "d.csv", [[1, "1", "review"]], WITH_TAGS), reviewer="ann")
        seen = project.log.events()
        intake.export(project.snapshot(), tmp_path / "e.csv", only=["included"])
        assert intake.label(project, tmp_path / "e.csv", reviewer="ann").unchanged == 1
        assert project.log.events() == seen
        (record,) = formats.read(tmp_path / "e.csv").records
        assert record.extra == next(project.records.read([1])).extra


def test_the_same_bytes_again_are_there_already_and_under_another_source_are_kept(empty, tmp_path):
    (tmp_path / "a.ris").write_text(sample_ris(5), encoding="utf-8")
    first, second, third = (
        intake.import_files(empty, [tmp_path / "a.ris"], reviewer="ann", source=source)[0]
        for source in ("PubMed", "PubMed", "Scopus")
    )
    assert [(d.announced, d.kept, d.already_there) for d in (first, second, third)] == [(5, 5, 0), (5, 0, 5), (5, 5, 0)]
    assert empty.records.count() == 10 and [f.source for f in empty.snapshot().files] == ["PubMed", "Scopus"]
    twice = intake.import_files(empty, [tmp_path / "a.ris"] * 2, reviewer="ann", source="Embase")
    assert [(d.kept, d.already_there) for d in twice] == [(5, 0), (0, 5)]
    # A blank source is none.
    assert [
        intake.import_files(empty, [tmp_path / "a.ris"], reviewer="ann", source=blank)[0].already_there
        for blank in ("", " ", None)
    ] == [5, 5, 5]


def test_one_bad_file_keeps_all_out(empty, tmp_path):
    (tmp_path / "a.ris").write_text(sample_ris(5), encoding="utf-8")
    (tmp_path / "bad.ris").write_text("no export\n", encoding="utf-8")
    bad_label = table(tmp_path / "bad.csv", ["A,x,1", "B,y,", "C,z,perhaps"])
    with pytest.raises(InputError, match="bad.ris"):
        intake.import_files(empty, [tmp_path / "a.ris", tmp_path / "bad.ris"], reviewer="ann")
    with pytest.raises(InputError, match="bad.csv, line 4: 'perhaps' is not a label"):
        intake.import_files(empty, [bad_label], reviewer="ann", label_column="verdict")
    assert empty.records.count() == 0 and empty.snapshot().files == ()


def test_a_label_column_brings_decisions_of_origin_imported(empty, tmp_path):
    one = table(tmp_path / "one.csv", ["A title,x,1", "B title,y,Excluded", "C title,z,"])
    two = table(tmp_path / "two.csv", ["D title,x,maybe", "E title,y,0.0"])
    done = intake.import_files(empty, [one, two], reviewer="ann", label_column="verdict")
    assert [d.decisions for d in done] == [2, 2]
    assert {i: (e.label, e.origin, e.reviewer) for i, e in decided(empty).items()} == {
        1: (Label.INCLUDE, Origin.IMPORTED, "ann"),
        2: (Label.EXCLUDE, Origin.IMPORTED, "ann"),
        4: (Label.MAYBE, Origin.IMPORTED, "ann"),
        5: (Label.EXCLUDE, Origin.IMPORTED, "ann"),
    }
    # One permutation over the records of both files, committed before the first decision.
    assert [e.kind for e in empty.log.events()] == [Kind.PLAN] + [Kind.DECISION] * 4
    assert empty.stage().committed == 1 and len(empty.stage().strata[0]) == 5


def test_without_label_column_the_labels_of_a_table_are_a_field_and_no_decision(empty, tmp_path):
    path = table(tmp_path / "one.csv", ["A title,x,1"])
    assert intake.import_files(empty, [path], reviewer="ann")[0].decisions == 0
    assert empty.log.events() == [] and empty.records.one(1).extra["verdict"] == ("1",)


def test_importing_again_writes_the_decisions_that_are_missing(empty, tmp_path):
    """An import that died between the records and their decisions, and one that was made without the option."""
    path = table(tmp_path / "one.csv", ["A title,x,1", "B title,y,0", "C title,z,1", "D title,z,0"])
    intake.import_files(empty, [path], reviewer="ann")
    changed = decisions_file(tmp_path / "d.csv", [[2, "include", "", ""], [3, "include", "", ""]])
    intake.label(empty, changed, reviewer="bob")
    intake.undo(empty, reviewer="bob")  # of record 3
    for decisions in (2, 0):
        again = intake.import_files(empty, [path], reviewer="ann", label_column="verdict")[0]
        assert (again.kept, again.already_there, again.decisions) == (0, 4, decisions)
    # What anybody decided, or decided and took back, stays as it was.
    assert {(i, e.reviewer): e.label for i, e in decided(empty).items()} == {
        (1, "ann"): Label.INCLUDE,
        (2, "bob"): Label.INCLUDE,
        (3, "bob"): Label.INCLUDE,
        (4, "ann"): Label.EXCLUDE,
    }


def test_a_file_read_again_as_another_format_is_refused_where_it_gives_other_records(empty, tmp_path):
    path = tmp_path / "a.ris"
    path.write_text(sample_ris(3).replace("\n\n", "\n"), encoding="utf-8")
    intake.import_files(empty, [path], reviewer="ann")
    with pytest.raises(InputError, match="a.ris"):
        intake.import_files(empty, [path], reviewer="ann", format="nbib")
    assert empty.records.count() == 3


def test_a_changed_imported_decision_is_the_reviewers_choice(empty, tmp_path):
    intake.import_files(empty, [table(tmp_path / "one.csv", ["A title,x,1"])], reviewer="ann", label_column="verdict")
    intake.label(empty, decisions_file(tmp_path / "d.csv", [[1, "0", "", ""]]), reviewer="ann")
    assert [e.origin for e in empty.log.events() if e.kind is Kind.DECISION] == [Origin.IMPORTED, Origin.CHOSEN]


def test_columns_that_were_named_hold_for_later_files_of_the_same_header(empty, tmp_path):
    first = table(tmp_path / "a.csv", ["One trial,x"], "Study name,About")
    later = table(tmp_path / "b.csv", ["Two trials,y"], "Study name,About")
    other = table(tmp_path / "c.csv", ["Three trials,z"], "Study name,Other")
    columns = {"title": "Study name", "abstract": "About"}
    with pytest.raises(formats.NoTitleColumn):
        intake.import_files(empty, [first], reviewer="ann")
    intake.import_files(empty, [first], reviewer="ann", columns=columns)
    (event,) = empty.log.events()
    assert event.kind is Kind.COLUMNS and event.reviewer == "ann"
    assert json.loads(event.note) == {"header": ["Study name", "About"], "columns": columns}
    (done,) = intake.import_files(empty, [later], reviewer="bob")
    assert "title from 'Study name'" in done.warnings[0].message
    assert [(r.title, r.abstract) for r in empty.records.read()] == [("One trial", "x"), ("Two trials", "y")]
    with pytest.raises(formats.NoTitleColumn):
        intake.import_files(empty, [other], reviewer="ann")
    ris = tmp_path / "d.ris"
    ris.write_text(sample_ris(2), encoding="utf-8")
    assert intake.import_files(empty, [ris], reviewer="ann")[0].kept == 2


def test_columns_of_one_file_leave_the_others_alone(empty, tmp_path):
    named = table(tmp_path / "a.csv", ["One trial,x"], "Study name,About")
    known = table(tmp_path / "b.csv", ["Two trials,y"], "Title,About")
    ris = tmp_path / "c.ris"
    ris.write_text(sample_ris(2), encoding="utf-8")
    done = intake.import_files(empty, [ris, named, known], reviewer="ann", columns={"title": "Study name"})
    assert [file.kept for file in done] == [2, 1, 1]
    assert [json.loads(e.note)["header"] for e in empty.log.events()] == [["Study name", "About"]]
    with pytest.raises(InputError, match="no column 'Nope'"):
        intake.import_files(empty, [named, known], reviewer="ann", columns={"title": "Nope"})


# -- sources --------------------------------------------------------------------------------------


def test_a_source_can_be_named_anew_and_taken_back(empty, tmp_path):
    for name in ("pubmed", "pubmed_2", "scopus"):
        (tmp_path / f"{name}.ris").write_text(sample_ris(3).replace("study", name), encoding="utf-8")
    paths = [tmp_path / f"{name}.ris" for name in ("pubmed", "pubmed_2", "scopus")]
    intake.import_files(empty, paths, reviewer="ann", sources={paths[2]: " Scopus  2026 "})
    assert [f.source for f in empty.snapshot().files] == ["pubmed", "pubmed_2", "Scopus 2026"]
    assert intake.rename_sources(empty, ["pubmed_2=PubMed", "1=PubMed", "Scopus 2026=Scopus 2026"], reviewer="ann") == 2
    review = empty.snapshot()
    assert flow(review).retrieved == {"PubMed": 6, "Scopus 2026": 3}
    assert {r.source for r in empty.records.read()} == {"PubMed", "Scopus 2026"}
    assert next(iter(empty.records.read([4]))).source == "PubMed"
    # The same bytes are known by either name, and are not taken twice.
    for source in ("pubmed", "PubMed"):
        assert intake.import_files(empty, paths[:1], reviewer="ann", source=source)[0].already_there == 3
    last = empty.log.events()[-1]
    assert last.kind is Kind.SOURCE
    empty.log.undo(last.seq, reviewer="ann")
    assert [f.source for f in empty.snapshot().files] == ["PubMed", "pubmed_2", "Scopus 2026"]
    empty.log.undo(empty.log.events()[0].seq, reviewer="ann")
    assert [f.source for f in empty.snapshot().files] == ["pubmed", "pubmed_2", "Scopus 2026"]


@pytest.mark.parametrize(
    ("change", "said"), [("x=y", "no source 'x'"), ("pubmed", "OLD=NEW"), ("a= ", "OLD=NEW"), ("9=y", "no source '9'")]
)
def test_a_source_that_is_not_there_is_refused(empty, tmp_path, change, said):
    (tmp_path / "a.ris").write_text(sample_ris(2), encoding="utf-8")
    intake.import_files(empty, [tmp_path / "a.ris"], reviewer="ann")
    with pytest.raises(InputError, match=said):
        intake.rename_sources(empty, ["a=b", change], reviewer="ann")
    assert [f.source for f in empty.snapshot().files] == ["a"] and not empty.log.events()


def test_labels_of_very_many_records_are_taken(tmp_path):
    """The permutation of a million records is larger than SQLite's cache, which then locked the import out itself."""
    text = "".join(
        f'TY  - JOUR\nTI  - Title {n}\nN1  - RAYYAN-INCLUSION: {{"a"=>"Included"}}\nER  - \n' for n in range(9)
    )
    text += "".join(f"TY  - JOUR\nTI  - Title {n}\nER  - \n" for n in range(9, 20_000))
    (tmp_path / "many.ris").write_text(text, encoding="utf-8")
    intake.new(tmp_path / "r.triage", None)
    with Project.open(tmp_path / "r.triage") as project:
        event.listen(
            project._database.engine, "begin", lambda connection: connection.exec_driver_sql("PRAGMA cache_size = 10")
        )
        (done,) = intake.import_files(project, [tmp_path / "many.ris"], reviewer="ann")
    assert (done.kept, done.decisions) == (20_000, 9)
