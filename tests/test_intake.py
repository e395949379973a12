"""Files in and out: imported decisions, decisions made elsewhere, and what counts for a duplicate group."""

import csv
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import PROTOCOL, sample_ris
from hypothesis import given, settings, strategies as st

from triage import formats, intake
from triage.errors import InputError
from triage.log import Kind, Label, Origin, fold, label_of, without_quotes
from triage.project import Project
from triage.records import Record

LABELS = {
    **dict.fromkeys(("include", "included", "yes", "y", "true", "1", "1.0", "relevant", "x", "✓"), Label.INCLUDE),
    **dict.fromkeys(("exclude", "excluded", "no", "n", "false", "0", "0.0", "irrelevant"), Label.EXCLUDE),
    **dict.fromkeys(("maybe", "unsure", "unclear", "?"), Label.MAYBE),
}


def table(path, rows, columns="title,abstract,verdict"):
    path.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return path


def decided(project):
    return {e.record_id: e for e in project.log.events() if e.kind is Kind.DECISION}


def decisions_file(path, rows, columns=("record_id", "label", "reason", "note")):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture
def empty(tmp_path):
    """A review without records."""
    (tmp_path / "protocol.toml").write_text(PROTOCOL, encoding="utf-8")
    intake.new(tmp_path / "r.triage", tmp_path / "protocol.toml")
    with Project.open(tmp_path / "r.triage") as project:
        yield project


# -- labels -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.sampled_from(sorted(LABELS)), st.data(), st.text(' \t\n\u00a0"“', max_size=2), st.text(' \n"”', max_size=2))
def test_a_label_means_the_same_in_any_case(word, data, before, after):
    cased = "".join(data.draw(st.sampled_from([c.lower(), c.upper()])) for c in word)
    assert label_of(before + cased + after) is LABELS[word]


near = st.sampled_from(["includ", "2", "-1", "01", "1.5", "10", "0.1", "perhaps", "nan", "none", "xx", "yes/no", ""])


@settings(deadline=None)
@given(near)
def test_any_other_text_is_no_label(text):
    assert label_of(text) is None


@pytest.mark.parametrize(
    "column, text, label",
    [
        ("Included", "x", Label.INCLUDE),
        ("label", "X", Label.INCLUDE),
        ("decision", "yes", Label.INCLUDE),
        ("Excluded", "x", None),
        ("exclude?", "1", None),
        ("“Exclude”", "no", None),
        ("excluded", "Included", Label.INCLUDE),
        ("excluded", "exclude", Label.EXCLUDE),
        ("excluded", "maybe", Label.MAYBE),
    ],
)
def test_a_yes_in_a_column_about_exclusion_is_never_taken_for_an_include(column, text, label):
    assert label_of(text, column) is label


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
                assert counts["decisions"] == len(rows)
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
    assert intake.label(project, tmp_path / "d.csv", reviewer="ann")["decisions"] == 2
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
    assert (counts["blank"], counts["warnings"]) == (1, [])


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
    assert ["Windows-1252" in warning for warning in counts["warnings"]] == [True] * (encoding == "cp1252")


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
    assert (counts["decisions"], counts["blank"], set(decided(project))) == (1, 6, {1, 6})
    assert [warning.split(" ", 1)[0] for warning in counts["warnings"]] == ["1", "3"]
    assert "conflict" in counts["warnings"][0] and "no label" in counts["warnings"][1]


def test_a_file_that_decides_nothing_is_no_error(review, tmp_path):
    project = review(8)
    path = decisions_file(tmp_path / "d.csv", [[1, "", "", ""], [2, "", "", ""]])
    counts = intake.label(project, path, reviewer="ann")
    assert (counts["decisions"], counts["blank"], project.log.events()) == (0, 2, [])


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
    assert "'perhaps' is no label" in str(told.value) and "'exclude' here, but 'include' in line 5" in str(told.value)
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
    assert (counts["decisions"], counts["repeated"], counts["exclude"]) == (2, 2, 1)
    assert counts["warnings"] and counts["warnings"][0].startswith("2 rows")
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
    assert counts["decisions"] == 4 and len(counts["warnings"]) == 1 and counts["warnings"][0].startswith("2 records")


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
    assert counts["blank"] == 1


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
    assert counts == {
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


def tags_of(project, stage=None):
    live = project.stage(stage).live
    return {i: [e.reason for e in given] for i, given in live.tagged(stage or "abstract").items()}


TAGGED = 'tags = ["Review", "case report", "qualitative"]' + PROTOCOL
WITH_TAGS = ("record_id", "label", "tags")


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
    assert (counts["tags"], counts["unlisted_tags"]) == ({"given": 4, "taken_back": 0}, {"pilot": 1})
    times = {e.at for e in project.log.events() if e.kind in (Kind.DECISION, Kind.TAG)}
    assert len(times) == 1  # one transaction


def test_tags_of_a_file_take_the_place_of_the_reviewers_and_of_no_one_elses(review, tmp_path):
    project = review(8, TAGGED)

    def label(rows, columns=WITH_TAGS, reviewer="ann"):
        return intake.label(project, decisions_file(tmp_path / "d.csv", rows, columns), reviewer=reviewer)

    label([[1, "1", "review; qualitative"], [2, "1", "review"]])
    label([[1, "1", "Pilot"]], reviewer="bob")
    seen = len(project.log.events())
    assert label([[1, "1", "Qualitative;Review"], [2, "1", "REVIEW"]])["tags"] == {"given": 0, "taken_back": 0}
    assert label([[1, "1"], [2, "1"]], ("record_id", "label"))["unchanged"] == 2
    assert len(project.log.events()) == seen
    counts = label([[1, "1", "case report; review"], [2, "0", ""]])
    assert (counts["decisions"], counts["tags"]) == (1, {"given": 1, "taken_back": 2})
    assert tags_of(project) == {1: ["Review", "Pilot", "case report"]}


def test_a_protocol_without_tags_takes_any(review, tmp_path):
    project = review(8)
    counts = intake.label(project, decisions_file(tmp_path / "d.csv", [[1, "1", "a; B"]], WITH_TAGS), reviewer="ann")
    assert tags_of(project) == {1: ["a", "B"]} and counts["unlisted_tags"] == {}


def test_an_undone_decision_takes_its_tags_along(review, tmp_path):
    project = review(8, TAGGED)
    intake.label(
        project, decisions_file(tmp_path / "d.csv", [[1, "1", "review"], [2, "1", "review"]], WITH_TAGS), reviewer="ann"
    )
    assert intake.undo(project, reviewer="ann")["record_id"] == 2 and tags_of(project) == {1: ["Review"]}
    tag = next(e for e in project.log.events() if e.kind is Kind.TAG and e.record_id == 1)
    undone = intake.undo(project, reviewer="ann", seq=tag.seq)
    assert (undone["kind"], undone["reason"], undone["label"]) == ("tag", "Review", None)
    assert tags_of(project) == {} and len(project.stage().live.decisions) == 1


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".xlsx"])
def test_what_was_exported_and_comes_back_changes_nothing(review, tmp_path, ending):
    project = review(8, TAGGED)
    intake.label(
        project,
        decisions_file(
            tmp_path / "d.csv",
            [
                [1, "include", "", "=SUM(A1) of it", "review; case report"],
                [2, "exclude", "CHILD", "", "=1+1; x"],
                [3, "maybe", "", "", ""],
            ],
            ("record_id", "label", "reason", "note", "tags"),
        ),
        reviewer="ann",
    )
    seen = project.log.events()
    intake.export(project.snapshot(), tmp_path / f"e{ending}", only=["included", "excluded", "maybe"])
    counts = intake.label(project, tmp_path / f"e{ending}", reviewer="ann")
    assert counts["unchanged"] == 3 and project.log.events() == seen
    assert tags_of(project) == {1: ["Review", "case report"], 2: ["=1+1", "x"]}


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
        assert intake.label(project, tmp_path / "e.csv", reviewer="ann")["unchanged"] == 1
        assert project.log.events() == seen
        (record,) = formats.read(tmp_path / "e.csv").records
        assert record.extra == next(project.records.read([1])).extra


def test_every_format_is_written_with_the_tags_and_read_without_them(review, tmp_path):
    project = review(8, TAGGED)
    intake.label(project, decisions_file(tmp_path / "d.csv", [[1, "1", "review; pilot"]], WITH_TAGS), reviewer="ann")
    whole = next(project.records.read([1]))
    for ending, said in (
        (".ris", '"tags": "Review; pilot"'),
        (".csv", "Review; pilot"),
        (".bib", "Review; pilot"),
        (".xlsx", ""),
    ):
        path = tmp_path / f"e{ending}"
        intake.export(project.snapshot(), path, only=["included"])
        assert said.encode() in path.read_bytes()
        (record,) = formats.read(path).records
        assert replace(record, id=whole.id, source=whole.source) == whole


def test_without_tags_no_export_has_a_column_for_them(review, tmp_path):
    intake.export(review(8).snapshot(), tmp_path / "e.csv")
    assert "tags" not in (tmp_path / "e.csv").read_text("utf-8").splitlines()[0].split(",")


@pytest.mark.parametrize("ending", sorted(formats.WRITERS))
def test_an_export_is_written_page_by_page_in_the_order_asked_for(review, tmp_path, monkeypatch, ending):
    project = review(11)
    project.log.link([(9, 4, "same title")], reviewer="ann")
    asked, read = [], project.records.read

    def counted(ids=None):
        ids = set(ids)
        asked.append(len(ids))
        return read(ids)

    monkeypatch.setattr(project.records, "read", counted)
    batch = [11, 2, 7, 4, 1, 3, 10]
    intake.export(project.snapshot(), tmp_path / f"whole{ending}", record_ids=batch)
    assert asked[0] == 8  # with the copy of record 4
    asked.clear()
    monkeypatch.setattr("triage.project.records.PAGE", 3)
    assert intake.export(project.snapshot(), tmp_path / f"pages{ending}", record_ids=batch) == 7
    assert max(asked) <= 4
    whole, pages = (formats.read(tmp_path / f"{name}{ending}").records for name in ("whole", "pages"))
    assert pages == whole and [r.title for r in pages] == [r.title for r in map(project.records.one, batch)]
    with pytest.raises(InputError, match="taken out of the stage"):
        intake.export(project.snapshot(), tmp_path / f"none{ending}", record_ids=[1, 9])
    assert not (tmp_path / f"none{ending}").exists()


def test_each_standing_is_exported_alone(review, tmp_path):
    project = review(8)
    intake.label(
        project,
        decisions_file(
            tmp_path / "d.csv", [[1, "include"], [2, "exclude"], [3, "maybe"], [4, "include"]], ("record_id", "label")
        ),
        reviewer="ann",
    )
    intake.label(project, decisions_file(tmp_path / "e.csv", [[4, "exclude"]], ("record_id", "label")), reviewer="bob")
    for only, expected in (
        (["included"], [1]),
        (["excluded"], [2]),
        (["maybe"], [3, 4]),
        (["unscreened"], [5, 6, 7, 8]),
        (["maybe", "unscreened"], [3, 4, 5, 6, 7, 8]),
        ([], list(range(1, 9))),
    ):
        path = tmp_path / f"only-{'-'.join(only)}.csv"
        assert intake.export(project.snapshot(), path, only=only) == len(expected)
        with path.open(newline="", encoding="utf-8-sig") as file:
            assert [int(row["record_id"]) for row in csv.DictReader(file)] == expected


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
    assert (again["decisions"], again["unchanged"], len(project.log.events())) == (0, 2, seen)
    for changed in ([1, "include", "", "another note"], [2, "exclude", "ONLINE", ""], [2, "maybe", "", ""]):
        assert intake.label(project, decisions_file(tmp_path / "f.csv", [changed]), reviewer="ann")["decisions"] == 1
    # Another reviewer's equal decision is a decision of its own.
    path = decisions_file(tmp_path / "g.csv", [[2, "maybe", "", ""]])
    assert intake.label(project, path, reviewer="bob")["decisions"] == 1


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
    assert (both["unchanged"], both["repeated"], len(decided(project))) == (1, 1, 1)


def test_deciding_on_a_group_settles_what_was_said_of_its_members_before(review, tmp_path):
    project = review(10)
    intake.label(project, decisions_file(tmp_path / "d.csv", [[2, "1", "", ""], [7, "0", "", ""]]), reviewer="ann")
    intake.label(project, decisions_file(tmp_path / "e.csv", [[7, "maybe", "", ""]]), reviewer="bob")
    link = project.log.link([(7, 2, "same DOI")], reviewer="ann")[0]
    assert project.stage().consensus.conflicts == {2}  # ann said both: she must say which
    path = decisions_file(tmp_path / "f.csv", [[2, "maybe", "", ""]])
    assert intake.label(project, path, reviewer="ann")["decisions"] == 1
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


# -- import -------------------------------------------------------------------------------------


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
    with pytest.raises(InputError, match="bad.csv, line 4: 'perhaps' is no label"):
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


# -- origins ------------------------------------------------------------------------------------


def test_what_was_handed_out_keeps_its_origin_and_nothing_else_becomes_an_audit_draw(review, tmp_path):
    project = review(12)
    project.log.commit_plan(project.stage(), 1, {})
    project.log.show("abstract", [4, 5], [Origin.AUDIT, Origin.RANKED], [12, 11], reviewer="ann", file="batch.csv")
    path = decisions_file(tmp_path / "d.csv", [[4, "1", "", ""], [5, "0", "", ""], [6, "0", "", ""]])
    intake.label(project, path, reviewer="bob")
    assert {i: e.origin for i, e in decided(project).items()} == {4: Origin.AUDIT, 5: Origin.RANKED, 6: Origin.CHOSEN}


def test_a_changed_imported_decision_is_the_reviewers_choice(empty, tmp_path):
    intake.import_files(empty, [table(tmp_path / "one.csv", ["A title,x,1"])], reviewer="ann", label_column="verdict")
    intake.label(empty, decisions_file(tmp_path / "d.csv", [[1, "0", "", ""]]), reviewer="ann")
    assert [e.origin for e in empty.log.events() if e.kind is Kind.DECISION] == [Origin.IMPORTED, Origin.CHOSEN]


def test_each_answer_to_a_proposal_is_in_the_log_at_once_and_can_be_taken_back(tmp_path):
    titles = ("[Safety of cell salvage in tumor surgery]", "[Peer support in hospitals]")  # brackets: translated
    (tmp_path / "a.ris").write_text("".join(f"TY  - JOUR\nTI  - {t}\nER  - \n" for t in titles), encoding="utf-8")
    (tmp_path / "protocol.toml").write_text(PROTOCOL + '[limits]\nlanguages = ["English"]\n', encoding="utf-8")
    intake.new(tmp_path / "r.triage", tmp_path / "protocol.toml")
    with Project.open(tmp_path / "r.triage") as project:
        intake.import_files(project, [tmp_path / "a.ris"], reviewer="ann")
        filtered = intake.apply_limits(project, reviewer="ann")
        assert [record.title for record, _ in filtered.proposed] == list(titles)
        for place, answer, removed in ((0, True, [1]), (1, False, [1]), (1, None, [1]), (0, None, []), (1, True, [2])):
            intake.settle(project, filtered.proposed[place], answer, reviewer="ann")
            assert sorted(fold(project.log.events()).removals) == removed
    done = intake.accept(filtered, [False, True])
    assert (done.left, done.removed, done.proposed) == (1, {"language": 1}, [])
    assert intake.accept(filtered, [True, None]).proposed == filtered.proposed[1:]


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
