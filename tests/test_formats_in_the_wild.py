"""Exports as they really come: records out of order, lines that look like tags, markup, columns of every name."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from triage import formats
from triage.errors import InputError
from triage.formats import markup
from triage.records import Record

EXPORTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "exports"


def read(tmp_path, content, name="x.ris", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    reading = formats.read(path, **options)
    assert reading.announced == len(reading.records) + len(reading.problems)
    return reading


def one(tmp_path, content, name="x.ris"):
    (record,) = read(tmp_path, content, name).records
    return record


# -- RIS: what begins a record, and what begins a field ---------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "ER-positive and node-negative",
        "ER - positive and node-negative",
        "TI-weighted scans",
        "T2 - weighted images of the brain",
        "AB- negative blood",
        "TY-specific antibodies",
        "KW-value of the sample",
        "PY - person years were counted",
        "US - based studies",
    ],
)
def test_a_line_of_an_abstract_that_begins_like_a_tag_is_part_of_it(tmp_path, line):
    text = f"TY  - JOUR\nTI  - One\nAB  - We studied\n{line}\nand more.\nPY  - 2019\nT2  - A journal\nER  - \n"
    reading = read(tmp_path, text + "TY  - JOUR\nTI  - Two\nER  - \n")
    first, second = reading.records
    assert first.abstract == f"We studied\n{line}\nand more." and second.title == "Two"
    assert (first.year, first.journal) == (2019, "A journal") and reading.warnings == []


def test_a_wrapped_title_goes_on_with_what_looks_like_a_tag(tmp_path):
    record = one(tmp_path, "TY  - JOUR\nTI  - Lesions seen by\nT1 - weighted imaging\nJO  - Radiology\nER  - \n")
    assert (record.title, record.journal) == ("Lesions seen by T1 - weighted imaging", "Radiology")


def test_a_field_of_one_blank_after_an_abstract_is_one_where_its_value_says_so(tmp_path):
    text = "TY  - JOUR\nTI  - One\nAB  - Text.\nPY - 2019\nKW - peers\nUR - https://x.org/1\nER  - \n"
    record = one(tmp_path, text)
    assert (record.abstract, record.year, record.keywords) == ("Text.", 2019, ("peers",))
    assert record.extra["UR"] == ("https://x.org/1",)


def test_a_record_written_with_one_blank_has_such_lines_in_its_abstract(tmp_path):
    text = "TY - JOUR\nTI - One\nAB - Scans were\nT2 - weighted images of it\nLA - eng\nKW - peers\nER -\n"
    record = one(tmp_path, text)
    assert record.abstract == "Scans were\nT2 - weighted images of it"
    assert (record.language, record.keywords) == ("eng", ("peers",))


def test_words_in_the_line_of_an_end_say_nothing(tmp_path):
    text = "TY  - JOUR\nTI  - {}\nY1  - 2019\nER  - End of Reference\n\n"
    reading = read(tmp_path, text.format("One") + text.format("Two"))
    assert [(r.title, r.year) for r in reading.records] == [("One", 2019), ("Two", 2019)] and not reading.warnings


LED = "DB  - x\nTI  - {0}\nAB  - Abstract of {0}.\nTY  - JOUR\nAU  - {0}, A.\nPY  - 2006\nER  - \n\n"


@pytest.mark.parametrize("between", ["", "1.\n\n", "Record #1 of 3\n\n"])
def test_tags_before_a_type_belong_to_the_record_that_it_opens(tmp_path, between):
    reading = read(tmp_path, "".join(between + LED.format(name) for name in ("Roe", "Poe", "Moe")))
    assert [(r.title, r.abstract, r.authors) for r in reading.records] == [
        (name, f"Abstract of {name}.", (f"{name}, A.",)) for name in ("Roe", "Poe", "Moe")
    ]
    first = between.count("\n") + 1
    assert reading.lines == [first, first + 8 + first - 1, first + 2 * (8 + first - 1)] and not reading.warnings


def test_one_record_whose_type_stands_in_the_middle(tmp_path):
    usual = "TY  - JOUR\nTI  - {}\nER  - \n\n"
    reading = read(tmp_path, usual.format("One") + LED.format("Roe") + usual.format("Three"))
    assert [r.title for r in reading.records] == ["One", "Roe", "Three"] and reading.lines == [1, 5, 13]
    assert reading.records[1].abstract == "Abstract of Roe." and "DB" not in reading.records[0].extra


def test_a_record_without_a_type_before_one_with_it_is_a_record(tmp_path):
    text = "TY  - JOUR\nTI  - One\nER  - \n\nTI  - Two\nPY  - 2001\n{}\nTY  - JOUR\nTI  - Three\nER  - \n"
    for end in ("ER  - \n", ""):
        reading = read(tmp_path, text.format(end))
        assert [(r.title, r.year) for r in reading.records] == [("One", None), ("Two", 2001), ("Three", None)]


UNTYPED = "AU  - Roe, A.\nTI  - {}\nPY  - 2021\nJO  - A journal\nAB  - Text.\n\nMore.\n{}\n"


@pytest.mark.parametrize("end", ["ER  - \n", ""])
def test_ris_without_types_is_ris(tmp_path, end):
    reading = read(tmp_path, UNTYPED.format("One", end) + UNTYPED.format("Two", end), "x.txt")
    assert reading.format == "ris" and reading.warnings == []
    assert [(r.title, r.year, r.journal) for r in reading.records] == [
        ("One", 2021, "A journal"),
        ("Two", 2021, "A journal"),
    ]
    assert all(r.abstract == "Text.\nMore." for r in reading.records)


def test_medline_text_without_pmids_stays_nbib(tmp_path):
    text = "TI  - One\nAB  - Text.\nDP  - 2001\nJT  - A journal\nFAU - Roe, A\n\nTI  - Two\nDP  - 2002\nJT  - B\n"
    assert read(tmp_path, text, "x.txt").format == "nbib"


# -- the second count -------------------------------------------------------------------------


def doubts(reading):
    return [w for w in reading.warnings if "was not read as one" in w.message]


TWO = {
    "lines.ris": "TY  - JOUR\nTI  - One\nAB  - a\n\n TY  - JOUR\n TI  - Two\n AB  - b\nER  - \n",
    "titles.ris": "TY  - JOUR\nTI  - One\nAB  - a\nTI  - Two\nAB  - b\nER  - \n",
    "x.nbib": "PMID- 1\nTI  - One\nAB  - a\n\nPMID : 2\nTI  - Two\nAB  - b\n",
    "x.enw": "%0 Journal Article\n%T One\n%X a\n\n %0 Journal Article\n%T Two\n",
    "x.ciw": "FN x\nPT J\nTI One\nAB a\nTI Two\nAB b\nER\n\nEF\n",
    "x.xml": "<xml><records><record><titles><title>One</title></titles></record>\n"
    "<Record><titles><title>Two</title></titles></Record></records></xml>",
    "x.bib": "@article{a, title = {One}}\n\n@art icle{b, title = {Two}}\n",
    "x.csv": 'title,abstract,year\nOne,"a\nTwo,b,2001\n",2000\nThree,c,2002\n',
}


@pytest.mark.parametrize("name", TWO)
def test_records_that_run_together_are_told_with_their_lines(tmp_path, name):
    reading = read(tmp_path, TWO[name], name)
    (told,) = doubts(reading)
    text = TWO[name].split("\n")
    assert "Two" in "".join(text[told.line - 1 : told.line + 1])
    assert re.search(r"\((?:line|\d+ such lines:) (\d+)", told.message).group(1) == str(told.line)


def test_many_doubts_are_one_warning(tmp_path):
    reading = read(tmp_path, TWO["titles.ris"] * 30)
    (told,) = doubts(reading)
    assert told.line == 4 and "(30 such lines: 4, 10, 16" in told.message and "and 20 more)" in told.message


def test_a_workbook_of_which_rows_are_missing_is_told(tmp_path, monkeypatch):
    import python_calamine
    from openpyxl import Workbook

    book = Workbook()
    for row in (["title", "year"], ["One", 2001], ["", ""], [" ", "#N/A"], ["Two", 2002]):
        book.active.append(row)
    book.save(tmp_path / "x.xlsx")
    assert formats.read(tmp_path / "x.xlsx").warnings == []

    class Sheet:
        def to_python(self, **options):
            return [["title", "year"], ["One", 2001]]

    class Short:
        sheet_names = ["Sheet"]

        @classmethod
        def from_path(cls, path):
            return cls()

        def get_sheet_by_name(self, name):
            return Sheet()

    monkeypatch.setattr(python_calamine, "CalamineWorkbook", Short)
    (told,) = formats.read(tmp_path / "x.xlsx").warnings
    assert "3 rows of several values, but 2 were read" in told.message


@pytest.mark.skipif(not EXPORTS.is_dir(), reason="shared/data/exports is not there")
def test_real_exports_raise_no_doubt():
    read_files = 0
    for path in sorted(EXPORTS.glob("*/*")):
        try:
            reading = formats.read(path)
        except InputError:
            continue
        read_files += 1
        assert not doubts(reading) and not any("several values" in w.message for w in reading.warnings), path
    assert read_files > 80


# -- markup -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw, text",
    [
        ('<AbstractText Label="METHODS" NlmCategory="METHODS">We did.</AbstractText>', "METHODS: We did."),
        (
            '<AbstractText Label="AIM">A.</AbstractText><AbstractText Label="UNLABELLED">B.</AbstractText>',
            "AIM: A.\nB.",
        ),
        ("<jats:title>Abstract</jats:title><jats:p>One.</jats:p><jats:p>Two.</jats:p>", "One.\nTwo."),
        ("<jats:sec>\n<jats:title>Aims</jats:title>\n<jats:p>One.</jats:p></jats:sec>", "Aims: One."),
        ("<h4>Background:</h4> We <i>did</i> it.<br/>Then more.", "Background: We did it.\nThen more."),
        ("<bold>Aims: </bold>One.", "Aims: One."),
        ("H<sub>2</sub>O, 10<sup>5</sup> cells, the 5<sup>th</sup>", "H2O, 10^5 cells, the 5th"),
        (
            "a &lt;b&gt;bold&lt;/b&gt; R&amp;D &amp;amp; more &#39;q&#39; &eacute;&#xe9;",
            "a bold R&D & more 'q' \u00e9\u00e9",
        ),
        ("p &lt; 0.05", "p < 0.05"),
        ("<p class='x'>One</p>\n<p>Two</p>", "One\nTwo"),
    ],
)
def test_markup_is_read_as_text(tmp_path, raw, text):
    assert markup.plain(raw) == text
    flat = text.replace("\n", " ")
    one_line = raw.replace("\n", " ")
    sources = {
        "x.ris": f"TY  - JOUR\nTI  - T\nAB  - {one_line}\nER  - \n",
        "x.nbib": f"PMID- 1\nTI  - T\nAB  - {one_line}\n",
        "x.enw": f"%0 Journal Article\n%T T\n%X {one_line}\n",
        "x.ciw": f"FN x\nPT J\nTI T\nAB {one_line}\nER\n\nEF\n",
        "x.csv": 'title,abstract\nT,"{}"\n'.format(one_line.replace('"', '""')),
        "x.bib": f"@article{{a, title = {{T}}, abstract = {{{one_line}}}}}\n",
        "x.xml": "<xml><records><record><titles><title>T</title></titles><abstract>"
        f"{one_line.replace('&', '&amp;').replace('<', '&lt;')}</abstract></record></records></xml>",
    }
    for name, content in sources.items():
        assert one(tmp_path, content, name).abstract.replace("\n", " ") == flat, name


@pytest.mark.parametrize(
    "text",
    [
        "p < 0.05 and n > 30",
        "CD4<200 cells and CD8>500",
        "a<b and c>d",
        "for i<j, x<i>j holds",
        "<18 years or >65",
        "AT&T; R&D; S&P500; Q&A",
        "if x <- 3 & y --> 4",
        "values <5% (n<10), <LOD and >LOQ",
        "the <unknown> element and <e@x.org>",
        "two  blanks   stay",
    ],
)
def test_text_that_is_no_markup_is_never_touched(text):
    assert markup.plain(text) == text


def test_paragraphs_of_ebscos_xml_are_lines(tmp_path):
    text = (
        '<records><rec resultID="1"><header><controlInfo><artinfo><tig><atl>T</atl></tig>'
        "<ab><p>One.</p><p>Two, 10<sup>5</sup>.</p></ab></artinfo></controlInfo></header></rec></records>"
    )
    assert one(tmp_path, text, "x.xml").abstract == "One.\nTwo, 10^5."


def test_a_copyright_notice_that_is_marked_is_kept_apart(tmp_path):
    text = (
        "TY  - JOUR\nTI  - T\nAB  - <p>One.</p><CopyrightInformation>\u00a9 A &amp; B</CopyrightInformation>\nER  - \n"
    )
    record = one(tmp_path, text)
    assert record.abstract == "One." and record.extra["CopyrightInformation"] == ("\u00a9 A & B",)
    nothing = one(tmp_path, "TY  - JOUR\nTI  - T\nAB  - <p>No abstract available.</p>\nER  - \n")
    assert nothing.abstract == "" and nothing.extra["abstract"] == ("No abstract available.",)


@pytest.mark.parametrize("ending", [".ris", ".csv", ".bib", ".xlsx"])
def test_our_own_export_gives_markup_back_as_it_was(tmp_path, ending):
    record = Record(title="The <i>x</i> &amp; y", abstract="<p>One</p>", keywords=("a &lt; b",))
    formats.write(tmp_path / f"x{ending}", [formats.ExportRow(record)])
    (again,) = formats.read(tmp_path / f"x{ending}").records
    assert (again.title, again.abstract, again.keywords) == (record.title, record.abstract, record.keywords)


# -- identifiers, years and authors -----------------------------------------------------------


@pytest.mark.parametrize(
    "lines, doi",
    [
        ("L3  - 10.1037/abc0000123", "10.1037/abc0000123"),
        ("L3  - https://doi.org/10.1037/ABC", "10.1037/abc"),
        ("UR  - https://doi-org.proxy.lib.edu/10.1037/abc", "10.1037/abc"),
        ("UR  - https://search.ebscohost.com/x?a=b\n  https://doi.org/10.1037/abc", "10.1037/abc"),
        ("N1  - Accession Number: 1. Date: 2020; DOI: 10.1037/abc", "10.1037/abc"),
        ("N1  - Comment on DOI: 10.1037/abc", ""),
        ("N1  - DOI: 10.1037/abc; DOI: 10.1037/def", ""),
        ("UR  - https://example.org/about/10.1037/abc", ""),
    ],
)
def test_a_doi_wherever_it_stands(tmp_path, lines, doi):
    assert one(tmp_path, f"TY  - JOUR\nTI  - x\n{lines}\nER  - \n").doi == doi


def test_a_doi_found_elsewhere_is_written_as_a_doi(tmp_path):
    record = one(tmp_path, "TY  - JOUR\nTI  - x\nUR  - https://doi.org/10.1000/abc\nER  - \n")
    formats.write(tmp_path / "out.ris", [formats.ExportRow(record)])
    assert "\nDO  - 10.1000/abc\n" in (tmp_path / "out.ris").read_text(encoding="utf-8").replace("\r\n", "\n")


@pytest.mark.parametrize(
    "name, text, pmid",
    [
        ("x.ris", "TY  - JOUR\nTI  - x\nC3  - PUBMED 21314913,EMBASE 361\nER  - \n", "21314913"),
        ("x.ris", "TY  - JOUR\nTI  - x\nC3  - EMBASE 361\nER  - \n", ""),
        (
            "x.ris",
            "TY  - JOUR\nTI  - x\nUR  - https://ovidsp.ovid.com/x?T=JS&D=prem&NEWS=N&AN=31853476\nER  - \n",
            "31853476",
        ),
        ("x.ris", "TY  - JOUR\nTI  - x\nUR  - https://ovidsp.ovid.com/x?T=JS&D=psyc&NEWS=N&AN=31853476\nER  - \n", ""),
        ("x.csv", "Title,Year,PubMed ID\nx,2019,PUBMED 21314913\n", "21314913"),
        ("x.csv", "title,ids.pmid\nx,https://pubmed.ncbi.nlm.nih.gov/12345678\n", "12345678"),
    ],
)
def test_pmids_with_a_name_or_an_address(tmp_path, name, text, pmid):
    assert one(tmp_path, text, name).pmid == pmid


def test_dois_escaped_twice(tmp_path):
    text = r"@misc{a, title={One}, doi={10.1007/978-3{\\_}129-1}}" + "\n"
    record = one(tmp_path, text, "x.bib")
    assert record.doi == "10.1007/978-3_129-1"


def test_early_access_gives_the_year_where_there_is_no_other(tmp_path):
    assert one(tmp_path, "@article{a, title={One}, EarlyAccessDate = {{FEB 2022}}}\n", "x.bib").year == 2022
    assert one(tmp_path, "@article{a, title={One}, year={2023}, EarlyAccessDate={{FEB 2022}}}\n", "x.bib").year == 2023
    assert one(tmp_path, "TY  - JOUR\nTI  - x\nC6  - MAR 2021\nER  - \n").year == 2021
    assert one(tmp_path, "TY  - JOUR\nTI  - x\nC6  - PMC2021\nER  - \n").year is None


@pytest.mark.parametrize(
    "written, authors",
    [
        (["Elliot, T; Almenar, JB; Rugani, B"], ("Elliot, T", "Almenar, JB", "Rugani, B")),
        (["Roe RCA, van der Helm JJ, de Vries HJC"], ("Roe RCA", "van der Helm JJ", "de Vries HJC")),
        (["Abramson, D. A., White, D. J., & Rhoads, T."], ("Abramson, D. A.", "White, D. J.", "Rhoads, T.")),
        (["Longrich, N.R.; and Pereda-Roe, X."], ("Longrich, N.R.", "Pereda-Roe, X.")),
        (["Patel, Anand B.", "Band, C."], ("Patel, Anand B.", "Band, C.")),
        (["Patel, Anand B.; Anders, C."], ("Patel, Anand B.", "Anders, C.")),
        (["King, M. L., Jr."], ("King, M. L., Jr.",)),
        (["Roe, Ann Maria"], ("Roe, Ann Maria",)),
        (["World Health Organization, Department of Health"], ("World Health Organization, Department of Health",)),
        (["M&uuml;ller, J"], ("M\u00fcller, J",)),
    ],
)
def test_several_authors_in_one_value(tmp_path, written, authors):
    lines = "".join(f"AU  - {name}\n" for name in written)
    assert one(tmp_path, f"TY  - JOUR\nTI  - x\n{lines}ER  - \n").authors == authors
    if len(written) == 1 and "Department" not in written[0]:
        assert one(tmp_path, f'title,authors\nx,"{written[0]}"\n', "x.csv").authors == authors
        assert one(tmp_path, f"FN x\nPT J\nTI x\nAU {written[0]}\nER\n\nEF\n", "x.ciw").authors == authors


def test_a_first_author_in_a_tag_of_its_own(tmp_path):
    text = "TY  - JOUR\nTI  - x\n{}\nER  - \n"
    assert one(tmp_path, text.format("A1  - Oudin A\nAU  - Braback L")).authors == ("Oudin A", "Braback L")
    repeated = one(tmp_path, text.format("A1  - Oudin, Ann\nAU  - Oudin A\nAU  - Braback L"))
    assert repeated.authors == ("Oudin A", "Braback L") and repeated.extra["A1"] == ("Oudin, Ann",)
    group = one(tmp_path, text.format("AU  - Roe A\nA1  - The Study Group"))
    assert group.authors == ("Roe A",) and group.extra["A1"] == ("The Study Group",)


def test_others_are_no_author(tmp_path):
    assert one(tmp_path, "@misc{a, title={x}, author={Roe, A. and others}}\n", "x.bib").authors == ("Roe, A.",)
    assert one(tmp_path, "@misc{a, title={x}, author={{others}}}\n", "x.bib").authors == ("others",)


# -- tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header, row, expected",
    [
        ("NCT Number,Study Title,Brief Summary,First Posted", "NCT1,A,B,2006-10-25", {"title": "A", "abstract": "B", "year": 2006}),
        ("TrialID,Public title,Scientific title,Date registration", "T1,A,B,2020-02-16", {"title": "A", "year": 2020}),
        ("TrialID,Public title,Scientific title", "T1,,B", {"title": "B"}),
        ("id,display_name,publication_year,primary_location.source.display_name", "W1,A,2019,J", {"title": "A", "year": 2019, "journal": "J"}),
        ("Cites,Authors,Title,Year,Source", "3,A Roe,A,2018,Sensors", {"journal": "Sensors"}),
        ("Title,Source,Year,Volume", "A,Trials,2019,12", {"journal": "Trials"}),
        ("Title,Source,Year", "A,PubMed,2019", {"journal": ""}),
        ("Title,Source,Source title,Volume", "A,Scopus,Trials,12", {"journal": "Trials"}),
        ("Title,pubtitle,pubdate", "A,Trials,Mar 2019", {"journal": "Trials", "year": 2019}),
        ("Article Title,Publication Date,Doctype,Subjects", 'A,"=""4/3/2024""",Article,B; C', {"year": 2024, "type": "Article", "keywords": ("B", "C")}),
        ("title,journal,language,keywords,authors,year", "A,NA,NA,NA,NA,NA", {"journal": "", "language": "", "keywords": (), "authors": (), "year": None}),
        ("title,container-title,DOI link", "A,J,https://doi.org/10.1000/x", {"journal": "J", "doi": "10.1000/x"}),
    ],
)  # fmt: skip
def test_columns_by_the_names_that_databases_give_them(tmp_path, header, row, expected):
    record = one(tmp_path, f"{header}\n{row}\n", "x.csv")
    assert {name: getattr(record, name) for name in expected} == expected


def test_a_placeholder_stays_an_extra_field_and_gives_way_to_another_column(tmp_path):
    record = one(tmp_path, "title,journal,source title\nNA,NA,Gut\n", "x.csv")
    assert (record.title, record.journal, record.extra["journal"]) == ("NA", "Gut", ("NA",))


def test_a_line_of_words_in_a_table_is_no_record(tmp_path):
    text = "id,title,abstract,doi\n1,A,B,\nnot yet labelled by anyone,,,\n2,,,10.1000/x\n"
    reading = read(tmp_path, text, "x.csv")
    assert [r.doi for r in reading.records] == ["", "10.1000/x"]
    assert [(p.line, "not yet labelled" in p.message) for p in reading.problems] == [(3, True)]


def test_quotation_marks_in_a_cell_that_are_not_doubled(tmp_path):
    text = 'title,venue,year,abstract\n"A","Conf on "Computers"","2007","One, two, and more."\n"B","C","2008","D"\n'
    reading = read(tmp_path, text, "x.csv")
    assert [(r.title, r.year, r.abstract) for r in reading.records] == [
        ("A", 2007, "One, two, and more."),
        ("B", 2008, "D"),
    ]
    assert reading.records[0].journal == 'Conf on "Computers"' and [w.line for w in reading.warnings] == [2]


# -- encodings and other formats --------------------------------------------------------------

RUSSIAN = (
    "\u041f\u043e\u0434\u0434\u0435\u0440\u0436\u043a\u0430 \u043f\u0430\u0446\u0438\u0435\u043d\u0442\u043e\u0432"
)


@pytest.mark.parametrize(
    "encoding, title",
    [
        ("cp1251", RUSSIAN),
        ("koi8-r", RUSSIAN),
        ("gbk", "\u540c\u4f34\u652f\u6301\u5bf9\u6291\u90c1\u75c7 \u60a3\u8005\u7684\u5f71\u54cd"),
        ("shift-jis", "\u540c\u50da\u306b\u3088\u308b\u652f\u63f4 \u306e\u52b9\u679c\u306b\u3064\u3044\u3066"),
        ("mac_roman", "\u00dcber M\u00fcller und caf\u00e9, fr\u00fcher in T\u00fcbingen"),
    ],
)
def test_a_title_in_another_encoding_is_read_right_or_asked_about(tmp_path, encoding, title):
    text = f"TY  - JOUR\nTI  - {title}\nER  - \n".encode(encoding)
    try:
        assert one(tmp_path, text).title == title
    except InputError as error:
        assert "neither UTF-8 nor Windows-1252" in str(error) and "--encoding NAME" in str(error)


@pytest.mark.parametrize(
    "title",
    [
        "Caf\u00e9 \u2013 \u201cna\u00efve\u201d \u00c9cole \u2026\u201d\u2013\u201c",
        "\u0160koda \u017dena and M\u00fcller \u2013 a comparison",
        "M\u00fcller\u2020, Stra\u00dfe\u2021 and 5\u2030, \u00bb\u00dcber\u00ab",
        "cr\u00e9\u00e9e \u00e0 N\u00eemes \u2014\u2014\u2014\u2014 \xa0\xa0\xa0\xa0 fin",
    ],
)
def test_western_text_is_read_as_windows_1252(tmp_path, title):
    assert one(tmp_path, f"TY  - JOUR\nTI  - {title}\nER  - \n".encode("cp1252")).title == " ".join(title.split())


def test_the_number_of_an_endnote_type_is_read_as_its_name(tmp_path):
    text = "<xml><records><record><ref-type>17</ref-type><titles><title>x</title></titles></record></records></xml>"
    assert one(tmp_path, text, "x.xml").type == "Journal Article"


# -- decisions --------------------------------------------------------------------------------


def test_rayyans_reason_comes_with_its_exclusion(tmp_path):
    from triage.cli.app import app

    notes = '"RAYYAN-INCLUSION: {{""Ann""=>""{}""}} | RAYYAN-EXCLUSION-REASONS: wrong outcome,wrong population"'
    rows = [f"{n},Study {n},{notes.format(vote)}" for n, vote in enumerate(("Excluded", "Included"), 1)]
    (tmp_path / "rayyan.csv").write_text("key,title,notes\n" + "\n".join(rows) + "\n", encoding="utf-8")
    run = CliRunner().invoke
    review = str(tmp_path / "r.triage")
    assert run(app, ["new", review]).exit_code == 0
    told = json.loads(run(app, ["import", review, str(tmp_path / "rayyan.csv"), "--json"]).stdout)
    assert told["files"][0]["kept"] == 2
    assert run(app, ["export", review, "-o", str(tmp_path / "out.csv")]).exit_code == 0
    out = formats.open_table(tmp_path / "out.csv", lambda cells: "record_id" in cells)
    rows = [dict(zip(out[1], cells)) for _, cells in out[2]]
    assert [(row["label"], row["reason"]) for row in rows] == [("exclude", "wrong outcome"), ("include", "")]
