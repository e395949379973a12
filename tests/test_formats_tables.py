"""Tables: where the header is, and which column is which."""

import pytest
from formats_helpers import FILES, read

from triage import formats
from triage.errors import InputError


@pytest.mark.parametrize(
    "above", ["", "About the data: Exported on Nov 1, 2025. Criteria: 'peer'.\n", "\n\nSearch: peer\n"]
)
def test_a_header_below_what_is_said_of_the_export(tmp_path, above):
    reading = read(tmp_path, f"{above}Title,Abstract,PubYear\nOne,a,2001\nTwo,b,2002\n", "x.csv")
    assert (reading.announced, [r.title for r in reading.records]) == (2, ["One", "Two"])
    assert reading.lines == [2 + above.count("\n"), 3 + above.count("\n")]


def test_a_table_of_web_of_science(tmp_path):
    reading = read(
        tmp_path,
        'PT\tAU\tTI\tSO\tLA\tDT\tDE\tAB\tPY\tDI\tPM\nJ\tDoe, J; Roe, R\t"Peer" support: a "study\tX\tEnglish\tArticle\ta; b\tText "q\t2019\t10.1000/a\t7\n'
        "J\tDoe, J\tSecond\tX\tEnglish\tArticle\ta\tText\t2019\t\t\n",
        "savedrecs.txt",
    )
    first = reading.records[0]
    assert reading.format == "tsv" and reading.announced == 2 and first.title == '"Peer" support: a "study'
    assert (first.year, first.doi, first.pmid, first.language) == (2019, "10.1000/a", "7", "English")
    assert first.journal == "X" and first.type == "Article" and first.keywords == ("a", "b")


def test_quotation_marks_that_are_not_csv_lose_no_row(tmp_path):
    reading = read(tmp_path, 'title,abstract\n"He said "yes" to me",a\nTwo,b\n', "x.csv")
    assert [r.title for r in reading.records] == ['He said "yes" to me', "Two"]
    text = 'id,title,year\n1,"One,2001\n2,"Two",2002\n3,Three,2003\n'
    assert [r.title for r in read(tmp_path, text, "x.csv").records] == ['"One', "Two", "Three"]
    reading = read(tmp_path, text + '4,"Four, and\nmore",2004\n5,"Five" 5,2005\n6,"Six,2006\n', "x.csv")
    assert [r.title for r in reading.records] == ['"One', "Two", "Three", "Four, and more", '"Five" 5', '"Six']
    assert (
        reading.announced == 6
        and reading.lines == [2, 3, 4, 5, 7, 8]
        and [w.line for w in reading.warnings] == [2, 7, 8]
    )


def test_the_first_column_of_several_that_has_something(tmp_path):
    text = "Title,Type,Item Type,Date,Publication Year,Extra\nA,,journalArticle,2019-05,2020,Place: x PMID: 35319117\n"
    record = read(tmp_path, text, "x.csv").records[0]
    assert (record.type, record.year, record.pmid) == ("journalArticle", 2020, "35319117") and record.extra["Date"] == (
        "2019-05",
    )


def test_embase_tells_journal_and_year_in_its_source(tmp_path):
    record = read(
        tmp_path, "Title,Author Names,Source\nA,Liu R.,Gut (2014) 3:3 (152-160). Date of Publication: 2014\n", "x.csv"
    ).records[0]
    assert (record.journal, record.year) == ("Gut", 2014)


@pytest.mark.parametrize(
    "content, told",
    [
        (b"%PDF-1.7\n", r"x\.csv is a PDF; give a table"),
        (b"PAR1", r"x\.csv cannot be read as Parquet"),
        (b"PK\x03\x04" + bytes(40), "not a zip file"),
        ((FILES / "version2.asreview").read_bytes(), "not a table but a file of the kind asreview"),
    ],
    ids=["pdf", "parquet", "zip", "asreview"],
)
def test_what_is_no_table_is_refused_whatever_its_name(tmp_path, content, told):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=told):
        formats.open_table(path, lambda cells: "label" in cells)


def test_a_table_of_anything_without_its_header_has_no_row_under_it(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("\nnotes,of,mine\n1,include\n", encoding="utf-8")
    unit, header, rows, _ = formats.open_table(path, lambda cells: "label" in cells)
    assert (unit, header, list(rows)) == ("line", ["notes", "of", "mine"], [])
    path.write_text("notes,of,mine\n\nrecord_id,label\n\n1,include\n", encoding="utf-8")
    _, header, rows, _ = formats.open_table(path, lambda cells: "label" in cells)
    assert header == ["record_id", "label"] and list(rows) == [(5, ["1", "include"])]


def test_lists_as_python_writes_them(tmp_path):
    record = read(
        tmp_path, 'title,authors,keywords\nA,"[\'Marx, Karl\', \'O\\\'Neil, A\']","[\'x\', ""y""]"\n', "x.csv"
    ).records[0]
    assert record.authors == ("Marx, Karl", "O'Neil, A") and record.keywords == ("x", "y")
