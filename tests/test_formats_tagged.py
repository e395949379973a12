"""Texts with tags: EndNote, Web of Science, Ovid."""

import rispy
from formats_helpers import EXPORTS, needs_exports, read

from triage import formats
from triage.records import Record, normal_title

# -- EndNote ----------------------------------------------------------------------------------


def test_endnote_tagged_text(tmp_path):
    text = """%0 Journal Article
%T A title
%A Doe, Jane
%A Roe, R
%J A journal
%D 2019
%K one
two
%X First.

%X Second, of 95 %
%R https://doi.org/10.1000/X
%M 123
%~ PubMed
%G eng
%9 Review

%0 Book
%T B
%B A series
"""
    reading = read(tmp_path, text, "x.enw")
    assert reading.format == "enw" and reading.announced == 2 and reading.lines == [1, 18]
    first, second = reading.records
    assert first.title == "A title" and first.authors == ("Doe, Jane", "Roe, R") and first.keywords == ("one", "two")
    assert first.abstract == "First.\nSecond, of 95 %" and (first.doi, first.pmid) == ("10.1000/x", "123")
    assert (first.year, first.language, first.type) == (2019, "eng", "Review")
    assert (second.title, second.journal, second.type) == ("B", "A series", "Book")


def test_endnote_tagged_text_without_types(tmp_path):
    reading = read(tmp_path, "%T One\n%0 Journal Article\n%D 2001\n\n\n%T Two\n%D 2002\n\n%T Three\n", "x.enl")
    assert reading.announced == 3 and [r.title for r in reading.records] == ["One", "Two", "Three"]
    assert reading.lines == [1, 6, 9] and [r.type for r in reading.records] == ["Journal Article", "", ""]


# -- Web of Science, Ovid -------------------------------------------------------------------------


def test_web_of_science(tmp_path):
    text = """\ufeffFN Clarivate Analytics Web of Science
VR 1.0
PT J
AU Doe, J
   Roe, R
AF Doe, Jane
   Roe, Richard
TI A title
   that goes on
SO A JOURNAL
LA English
DT Article; Early Access
DE peer support; recovery
ID MENTAL-HEALTH; PEOPLE
AB One
   two.
CR Smith J, 2001, X
   Poe E, 2002, Y
PY 2019
DI 10.1000/ABC
PM 123
UT WOS:1
ER

PT B
TI Second
ER

EF"""
    reading = read(tmp_path, text, "savedrecs.ciw")
    assert (reading.format, reading.announced, reading.lines, reading.warnings) == ("wos", 2, [3, 25], [])
    first, second = reading.records
    assert first == Record(
        title="A title that goes on",
        abstract="One two.",
        authors=("Doe, Jane", "Roe, Richard"),
        year=2019,
        journal="A JOURNAL",
        doi="10.1000/abc",
        pmid="123",
        language="English",
        type="Article; Early Access",
        keywords=("peer support", "recovery", "MENTAL-HEALTH", "PEOPLE"),
        extra=first.extra,
    )
    assert first.extra["CR"] == ("Smith J, 2001, X", "Poe E, 2002, Y") and first.extra["AU"] == ("Doe, J", "Roe, R")
    assert (second.title, second.type) == ("Second", "Book")


@needs_exports
def test_web_of_science_as_rispy_reads_it():
    path = EXPORTS / "rispy" / "example_wos.ris"
    theirs = rispy.loads(path.read_text(encoding="utf-8-sig"), implementation=rispy.WokParser)
    ours = formats.read(path).records
    assert [normal_title(r.title) for r in ours] == [normal_title(e["document_title"]) for e in theirs]


def test_ovid_medline_text_is_numbered(tmp_path):
    text = "<1>\nVN  - Ovid Technologies\nDB  - Ovid MEDLINE(R)\nUI  - 17\nTI  - One\nAB  - Text\nLG  - English\nYR  - 2001\n\n<2>\nVN  - Ovid\nTI  - Two\n"
    reading = read(tmp_path, text)
    assert (reading.format, reading.announced) == ("nbib", 2) and [r.title for r in reading.records] == ["One", "Two"]
    assert (reading.records[0].pmid, reading.records[0].language, reading.records[0].year) == ("17", "English", 2001)
