"""Decisions made elsewhere: taken as they are written, or not at all."""

import csv
import tempfile
from pathlib import Path

import pytest
from conftest import PROTOCOL, sample_ris
from hypothesis import given, settings, strategies as st
from intake_helpers import TAGGED, WITH_TAGS, decided, decisions_file, tags_of
from test_log_labels import LABELS

from triage import intake
from triage.as_json import as_json
from triage.errors import InputError
from triage.intake.labels import Tagged
from triage.log import Kind, Label, Origin, label_of, without_quotes
from triage.project import Project

# -- labels -------------------------------------------------------------------------------------


cell = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(LABELS)), cell), min_size=1, max_size=6, unique_by=lambda row: row),
    st.integers(0, 5),
    st.one_of(st.none(), cell.filter(lambda text: without_quotes(text) and label_of(text) is None)),
)
def test_a_file_of_decisions_is_taken_as_it_is_written_or_not_at_all(rows, place, wrong):
    """Through a real file: notes with quotes, commas and line breaks; one wrong label refuses it with its line."""
    rows = [[str(i), label, "", note] for i, (label, note) in enumerate(rows, 1)]
    at = place % len(rows)
    if wrong is not None:
        rows[at][1] = wrong
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "a.ris").write_text(sample_ris(6), encoding="utf-8")
        Project.create(folder / "r.triage", PROTOCOL).close()
        with Project.open(folder / "r.triage") as project:
            intake.import_files(project, [folder / "a.ris"], reviewer="ann")
            path = decisions_file(folder / "d.csv", rows)
            if wrong is not None:
                line = 2 + sum(_lines(row) for row in rows[:at])
                with pytest.raises(InputError, match=rf"d\.csv, line {line}: .*label"):
                    intake.label(project, path, reviewer="ann")
                assert project.log.events() == []
            else:
                counts = intake.label(project, path, reviewer="ann")
                assert counts.decisions == len(rows)
                assert {i: (e.label, e.note) for i, e in decided(project).items()} == {
                    int(i): (LABELS[label], "\n".join(_breaks(note)).strip()) for i, label, _, note in rows
                }


def _breaks(cell):
    return cell.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _lines(row):
    return 1 + sum(len(_breaks(cell)) - 1 for cell in row)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1_0", "1e0", "", "x", "nan", "inf", "１", "99", "9" * 30])
def test_what_is_no_record_is_refused_with_its_line(review, tmp_path, text):
    project = review(20)
    with pytest.raises(InputError, match="line 3"):
        rows = [["2.0", "1", "", ""], [text, "1", "", ""]]
        intake.label(project, decisions_file(tmp_path / "d.csv", rows), reviewer="ann")
    assert project.log.events() == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_decisions_come_in_any_order_of_columns_and_with_the_delimiters_of_spreadsheets(review, tmp_path, delimiter):
    project = review(6)
    lines = [["Title", "LABEL", " Record_ID "], ["a", "Include", "3"], ["", "", ""], ["b", "0", "4"]]
    text = "\ufeff" + "\r\n".join(delimiter.join(row) for row in lines)
    (tmp_path / "d.csv").write_text(text, encoding="utf-8", newline="")
    assert intake.label(project, tmp_path / "d.csv", reviewer="ann").decisions == 2
    assert {i: e.label for i, e in decided(project).items()} == {3: Label.INCLUDE, 4: Label.EXCLUDE}


# -- what people send back ----------------------------------------------------------------------


def sheet(path, rows):
    """Write a workbook as a person's program does: numbers are numbers, a blank cell is empty."""
    from openpyxl import Workbook

    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_a_workbook_is_taken_with_its_numbers_booleans_and_blank_cells(review, tmp_path):
    project = review(8)
    path = sheet(
        tmp_path / "d.xlsx",
        [
            ["Screened by Ann"],
            [],
            ["Title", "Record ID", "Label", "Note"],
            ["a", 1.0, True, None],
            ["b", 2, False, 3],
            ["c", 3.0, None, None],
            ["d", "4.0", " “Included” ", None],
            ["e", 5, 0, None],
            ["f", 6, "?", None],
            ["g", 7, "x", None],
        ],
    )
    counts = intake.label(project, path, reviewer="ann")
    assert {i: (str(e.label), e.note) for i, e in decided(project).items()} == {
        1: ("include", ""),
        2: ("exclude", "3"),
        4: ("include", ""),
        5: ("exclude", ""),
        6: ("maybe", ""),
        7: ("include", ""),
    }
    assert (counts.blank, counts.warnings) == (1, [])


@pytest.mark.parametrize(
    "header",
    [
        "record_id,label",
        "Record ID,Label",
        "RECORD-ID,Decision",
        '"record id","Include?"',
        "\ufeff“Record_Id”,‘label’",
        "RecordID,INCLUDED",
        "record id , label ",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_the_headers_may_be_written_in_many_ways(review, tmp_path, header, encoding):
    project = review(6)
    text = f"{header},note\n2,yes,caf\u00e9\n3,n,\n"
    (tmp_path / "d.csv").write_bytes(text.encode(encoding, "ignore"))
    counts = intake.label(project, tmp_path / "d.csv", reviewer="ann")
    assert {i: (e.label, e.note) for i, e in decided(project).items()} == {
        2: (Label.INCLUDE, "caf\u00e9"),
        3: (Label.EXCLUDE, ""),
    }
    assert ["Windows-1252" in warning for warning in counts.warnings] == [True] * (encoding == "cp1252")


def test_rows_without_a_label_are_counted_and_what_they_say_besides_is_told(review, tmp_path):
    project = review(8, TAGGED)
    intake.label(project, decisions_file(tmp_path / "d.csv", [[6, "1", "review"]], WITH_TAGS), reviewer="ann")
    columns = ("record_id", "label", "reason", "note", "tags")
    counts = intake.label(
        project,
        decisions_file(
            tmp_path / "e.csv",
            [
                [1, "x", "", "", ""],
                [2, "", "", "", ""],
                ["", " ", "", "", ""],
                ["none", '""', "", "", ""],
                [3, "", "CHILD", "", ""],
                [4, "", "", "look again", ""],
                [5, "", "", "", "pilot"],
                [6, "", "", "", "Review"],
                [7, "conflict", "", "", ""],
            ],
            columns,
        ),
        reviewer="ann",
    )
    assert (counts.decisions, counts.blank, set(decided(project))) == (1, 6, {1, 6})
    assert [warning.split(" ", 1)[0] for warning in counts.warnings] == ["1", "3"]
    assert "conflict" in counts.warnings[0] and "no label" in counts.warnings[1]


def test_a_file_that_decides_nothing_is_no_error(review, tmp_path):
    project = review(8)
    path = decisions_file(tmp_path / "d.csv", [[1, "", "", ""], [2, "", "", ""]])
    counts = intake.label(project, path, reviewer="ann")
    assert (counts.decisions, counts.blank, project.log.events()) == (0, 2, [])


def test_everything_wrong_with_a_file_is_told_at_once(review, tmp_path):
    project = review(30)
    wrong = [
        ["1", "perhaps", "", ""],
        ["x", "1", "", ""],
        ["99", "1", "", ""],
        ["2", "1", "", ""],
        ["2", "0", "", ""],
        ["x", "dunno", "", ""],
        ["3", "1", "", "", "more"],
    ]
    with pytest.raises(InputError) as told:
        intake.label(project, decisions_file(tmp_path / "d.csv", wrong), reviewer="ann")
    assert told.value.message.endswith("d.csv has 7 errors, so nothing of it was taken:")
    lines = [detail.split(":")[0] for detail in told.value.details]
    assert sorted(lines[:-1]) == ["line 2", "line 3", "line 4", "line 6", "line 7", "line 7", "line 8"]
    assert "'perhaps' is not a label" in str(told.value) and "'exclude' here, but 'include' in line 5" in str(
        told.value
    )
    assert lines[-1] == "What to do" and project.log.events() == []


def test_a_long_list_of_errors_is_cut_short(review, tmp_path):
    project = review(30)
    path = sheet(tmp_path / "d.xlsx", [["record_id", "label"], *([i, "perhaps"] for i in range(1, 31))])
    with pytest.raises(InputError) as told:
        intake.label(project, path, reviewer="ann")
    assert [detail.split(":")[0] for detail in told.value.details[:20]] == [f"row {i}" for i in range(2, 22)]
    assert told.value.details[20] == "and 10 more" and len(told.value.details) == 22


def test_a_row_given_twice_counts_once_and_what_one_leaves_blank_the_other_says(review, tmp_path):
    project = review(8)
    rows = [[1, "exclude", "", "a"], [2, "include", "", ""], [1, "no", "child", "A"], [1.0, "0", "", ""]]
    counts = intake.label(project, decisions_file(tmp_path / "d.csv", rows), reviewer="ann")
    assert (counts.decisions, counts.repeated, counts.exclude) == (2, 2, 1)
    assert counts.warnings and counts.warnings[0].startswith("2 rows")
    assert (decided(project)[1].reason, decided(project)[1].note) == ("CHILD", "a")
    for what, *other in (
        ("reason", 1, "exclude", "ONLINE", ""),
        ("note", 1, "exclude", "", "b"),
        ("label", 1, "maybe", "", ""),
    ):
        with pytest.raises(InputError, match=f"line 6: record 1 has the {what} .* in line 2"):
            intake.label(project, decisions_file(tmp_path / "e.csv", [*rows, other]), reviewer="ann")


def test_a_reason_on_an_include_is_told_and_the_decision_taken(review, tmp_path):
    project = review(8)
    counts = intake.label(
        project,
        decisions_file(
            tmp_path / "d.csv",
            [[1, "include", "CHILD", ""], [2, "1", "ONLINE", ""], [3, "0", "CHILD", ""], [4, "maybe", "CHILD", ""]],
        ),
        reviewer="ann",
    )
    assert counts.decisions == 4 and len(counts.warnings) == 1 and counts.warnings[0].startswith("2 records")


@pytest.mark.parametrize("ending", [".xlsx", ".csv", ".tsv"])
def test_a_batch_comes_back_with_its_labels_filled_in(review, tmp_path, ending):
    """Filled in by the program that a spreadsheet is: read, changed and written again, whatever the cells hold."""
    project = review(12)
    intake.export(project.snapshot(), tmp_path / f"batch{ending}", record_ids=[5, 3, 9, 1])
    if ending == ".xlsx":
        from openpyxl import load_workbook

        book = load_workbook(tmp_path / "batch.xlsx")
        for row, label in ((2, "Include"), (3, "Exclude"), (4, "Maybe")):
            book.active.cell(row, 2).value = label
        book.save(tmp_path / "back.xlsx")
    else:
        delimiter = "\t" if ending == ".tsv" else ","
        with (tmp_path / f"batch{ending}").open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, delimiter=delimiter))
        for row, label in zip(rows[1:], ("Include", "Exclude", "Maybe")):
            row[1] = label
        with (tmp_path / f"back{ending}").open("w", encoding="cp1252", newline="") as file:
            # A spreadsheet of much of Europe writes semicolons into a CSV.
            csv.writer(file, delimiter=";" if ending == ".csv" else "\t").writerows(rows)
    counts = intake.label(project, tmp_path / f"back{ending}", reviewer="ann")
    assert {i: str(e.label) for i, e in decided(project).items()} == {5: "include", 3: "exclude", 9: "maybe"}
    assert counts.blank == 1


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("d.pdf", b"%PDF-1.7", "a PDF; give a table"),
        ("d.csv", b"\n \n", "empty"),
        ("d.csv", b"", "empty"),
        ("d.ris", b"TY  - JOUR\nER  - \n", "once each"),
        ("d.csv", b"label,decision\n1,1\n", "once each"),
        ("d.csv", b"record_id,Decision,Included\n1,1,1\n", "once each"),
        ("d.csv", b"record_id,excluded\n1,x\n", "once each"),
    ],
)
def test_what_is_no_table_of_decisions_is_refused(review, tmp_path, name, content, told):
    project = review(6)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=told):
        intake.label(project, tmp_path / name, reviewer="ann")
    assert project.log.events() == []


def test_a_reason_becomes_its_code_and_one_from_elsewhere_is_kept_as_written(review, tmp_path):
    project = review(8)
    counts = intake.label(
        project,
        decisions_file(
            tmp_path / "d.csv",
            [
                [1, "exclude", "child", ""],
                [2, "exclude", "Support  over the INTERNET.", ""],
                [5, "include", "", ""],
                [3, "exclude", "Wrong Dose", ""],
                [4, "exclude", "Wrong Dose", ""],
                [6, "exclude", "CHILD", ""],
            ],
        ),
        reviewer="ann",
    )
    assert {i: e.reason for i, e in decided(project).items()} == {
        1: "CHILD",
        2: "ONLINE",
        3: "Wrong Dose",
        4: "Wrong Dose",
        5: "",
        6: "CHILD",
    }
    assert as_json(counts) == {
        "decisions": 6,
        "machine": None,
        "suggestions": 0,
        "unchanged": 0,
        "include": 1,
        "exclude": 5,
        "maybe": 0,
        "blank": 0,
        "repeated": 0,
        "unlisted_reasons": {"Wrong Dose": 2},
        "tags": {"given": 0, "taken_back": 0},
        "unlisted_tags": {},
        "warnings": [],
    }


def test_tags_come_with_decisions_in_any_case_and_those_from_elsewhere_as_written(review, tmp_path):
    project = review(8, TAGGED)
    counts = intake.label(
        project,
        decisions_file(
            tmp_path / "d.csv",
            [[1, "include", "REVIEW;  Case  Report"], [2, "exclude", ""], [3, "include", "Pilot; pilot ; review"]],
            WITH_TAGS,
        ),
        reviewer="ann",
    )
    assert tags_of(project) == {1: ["Review", "case report"], 3: ["pilot", "Review"]}
    assert (counts.tags, counts.unlisted_tags) == (Tagged(4, 0), {"pilot": 1})
    times = {e.at for e in project.log.events() if e.kind in (Kind.DECISION, Kind.TAG)}
    assert len(times) == 1  # one transaction


def test_tags_of_a_file_take_the_place_of_the_reviewers_and_of_no_one_elses(review, tmp_path):
    project = review(8, TAGGED)

    def label(rows, columns=WITH_TAGS, reviewer="ann"):
        return intake.label(project, decisions_file(tmp_path / "d.csv", rows, columns), reviewer=reviewer)

    label([[1, "1", "review; qualitative"], [2, "1", "review"]])
    label([[1, "1", "Pilot"]], reviewer="bob")
    seen = len(project.log.events())
    assert label([[1, "1", "Qualitative;Review"], [2, "1", "REVIEW"]]).tags == Tagged(0, 0)
    assert label([[1, "1"], [2, "1"]], ("record_id", "label")).unchanged == 2
    assert len(project.log.events()) == seen
    counts = label([[1, "1", "case report; review"], [2, "0", ""]])
    assert (counts.decisions, counts.tags) == (1, Tagged(1, 2))
    assert tags_of(project) == {1: ["Review", "Pilot", "case report"]}


def test_a_protocol_without_tags_takes_any(review, tmp_path):
    project = review(8)
    counts = intake.label(project, decisions_file(tmp_path / "d.csv", [[1, "1", "a; B"]], WITH_TAGS), reviewer="ann")
    assert tags_of(project) == {1: ["a", "B"]} and counts.unlisted_tags == {}


def test_an_undone_decision_takes_its_tags_along(review, tmp_path):
    project = review(8, TAGGED)
    intake.label(
        project, decisions_file(tmp_path / "d.csv", [[1, "1", "review"], [2, "1", "review"]], WITH_TAGS), reviewer="ann"
    )
    assert intake.undo(project, reviewer="ann").record_id == 2 and tags_of(project) == {1: ["Review"]}
    tag = next(e for e in project.log.events() if e.kind is Kind.TAG and e.record_id == 1)
    undone = intake.undo(project, reviewer="ann", seq=tag.seq)
    assert (undone.kind, undone.reason, undone.label) == ("tag", "Review", None)
    assert tags_of(project) == {} and len(project.stage().live.decisions) == 1


@pytest.mark.parametrize("columns", ["record_id,label,tags,tags", "record_id,label,note,Note"])
def test_a_column_named_twice_is_refused(review, tmp_path, columns):
    project = review(8)
    (tmp_path / "d.csv").write_text(f"{columns}\n1,1,a,b\n", encoding="utf-8")
    with pytest.raises(InputError, match="once each"):
        intake.label(project, tmp_path / "d.csv", reviewer="ann")
    assert project.log.events() == []


def test_an_equal_decision_is_not_written_again_and_a_changed_one_is(review, tmp_path):
    project = review(8)
    rows = [[1, "include", "", "a note"], [2, "exclude", "CHILD", ""]]
    intake.label(project, decisions_file(tmp_path / "d.csv", rows), reviewer="ann")
    seen = len(project.log.events())
    again = intake.label(project, decisions_file(tmp_path / "e.csv", [[2, "0", "child", ""], rows[0]]), reviewer="ann")
    assert (again.decisions, again.unchanged, len(project.log.events())) == (0, 2, seen)
    for changed in ([1, "include", "", "another note"], [2, "exclude", "ONLINE", ""], [2, "maybe", "", ""]):
        assert intake.label(project, decisions_file(tmp_path / "f.csv", [changed]), reviewer="ann").decisions == 1
    # Another reviewer's equal decision is a decision of its own.
    path = decisions_file(tmp_path / "g.csv", [[2, "maybe", "", ""]])
    assert intake.label(project, path, reviewer="bob").decisions == 1


# -- origins ------------------------------------------------------------------------------------


def test_what_was_handed_out_keeps_its_origin_and_nothing_else_becomes_an_audit_draw(review, tmp_path):
    project = review(12)
    project.log.commit_plan(project.stage(), 1, {})
    project.log.show("abstract", [4, 5], [Origin.AUDIT, Origin.RANKED], [12, 11], reviewer="ann", file="batch.csv")
    path = decisions_file(tmp_path / "d.csv", [[4, "1", "", ""], [5, "0", "", ""], [6, "0", "", ""]])
    intake.label(project, path, reviewer="bob")
    assert {i: e.origin for i, e in decided(project).items()} == {4: Origin.AUDIT, 5: Origin.RANKED, 6: Origin.CHOSEN}
