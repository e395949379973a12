"""Tables: where the header is, and which column is which."""

import pickle

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


STUDIES = (
    "Export of a register\n"
    "Ref,Study name long,What it is about,When\n"
    "1,A randomised trial of peer support for adults,We did this and that.,2019\n"
    "2,Another trial of peer support,Text,2020\n"
)


def test_a_table_without_a_known_title_column_says_which_one_it_may_be(tmp_path):
    with pytest.raises(formats.NoTitleColumn, match="--column title='Study name long'") as refused:
        read(tmp_path, STUDIES, "x.csv")
    assert refused.value.header == ("Ref", "Study name long", "What it is about", "When")
    assert [row[0] for row in refused.value.rows] == ["1", "2"]
    again = pickle.loads(pickle.dumps(refused.value))
    assert (str(again), again.header, again.rows) == (str(refused.value), refused.value.header, refused.value.rows)


def named(path, **options):
    return [item.found for item in formats.open_records(path, **options)]


@pytest.mark.parametrize("name", ["x.csv", "x.txt"])
def test_columns_can_be_named(tmp_path, name):
    (tmp_path / name).write_text(STUDIES, encoding="utf-8")
    columns = {"title": "Study name long", "abstract": "What it is about", "year": "When"}
    first, second = named(tmp_path / name, columns=columns)
    assert (first.title, first.abstract, first.year) == (
        "A randomised trial of peer support for adults",
        "We did this and that.",
        2019,
    )
    assert first.extra == {"Ref": ("1",)} and second.year == 2020


def test_a_named_column_goes_before_one_that_is_known_by_its_name(tmp_path):
    (tmp_path / "x.csv").write_text("Title,Title in English,Year\nUn essai,A trial,2019\n", encoding="utf-8")
    (record,) = named(tmp_path / "x.csv", columns={"title": "Title in English"})
    assert record.title == "A trial" and record.extra == {"Title": ("Un essai",)} and record.year == 2019


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"title": "Name"}, "no column 'Name'; its columns are: Ref, Study name long"),
        ({"titel": "When"}, "no field of a record is called 'titel'"),
    ],
)
def test_a_column_that_is_not_there_is_refused(tmp_path, columns, said):
    (tmp_path / "x.csv").write_text(STUDIES, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        named(tmp_path / "x.csv", columns=columns)


def test_only_tables_have_columns_and_sheets(tmp_path):
    (tmp_path / "x.ris").write_text("TY  - JOUR\nTI  - One\nER  - \n", encoding="utf-8")
    for options, said in (({"columns": {"title": "TI"}}, "--column needs a table"), ({"sheet": "a"}, "--sheet needs")):
        with pytest.raises(InputError, match=said):
            named(tmp_path / "x.ris", **options)


def test_the_sheet_of_a_workbook_can_be_chosen(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    book.active.title = "Scopus"
    for sheet, title in ((book.active, "One"), (book.create_sheet("IEEE"), "Two")):
        sheet.append(["Title", "Year"])
        sheet.append([title, 2019])
    book.save(tmp_path / "x.xlsx")
    assert [record.title for record in named(tmp_path / "x.xlsx")] == ["One"]
    assert [record.title for record in named(tmp_path / "x.xlsx", sheet="IEEE")] == ["Two"]
    with pytest.raises(InputError, match="no sheet 'ACM' with text; its sheets are: Scopus, IEEE"):
        named(tmp_path / "x.xlsx", sheet="ACM")
    (tmp_path / "x.csv").write_text("title\nOne\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no sheets"):
        named(tmp_path / "x.csv", sheet="IEEE")


def test_columns_of_other_languages_and_of_one_name(tmp_path):
    reading = read(tmp_path, "题名,作者,摘要,年,备注,备注\n题,张三,文,2020,a,b\n", "x.csv")
    (record,) = reading.records
    assert (record.title, record.authors, record.abstract, record.year) == ("题", ("张三",), "文", 2020)
    assert record.extra == {"备注": ("a", "b")}
