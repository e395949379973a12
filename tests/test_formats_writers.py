"""What others read in our exports: reference managers' formats by their libraries, workbooks by theirs."""

from pathlib import Path

import bibtexparser
import pytest
import rispy
from bibtexparser.middlewares import LatexDecodingMiddleware
from hypothesis import given, settings, strategies as st

from triage import formats
from triage.formats import latex
from triage.records import Record

EXPORTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "exports"
needs_exports = pytest.mark.skipif(not EXPORTS.is_dir(), reason="shared/data/exports is not there")

REAL = [
    "asreview/embase.ris",
    "colrev/nbib_data.nbib",
    "rispy/example_wos.ris",
    "asysd/zotero_export.csv",
    "colrev/ais_enl.txt",
    "colrev/acm_bib.bib",
    "wilddamon/psycinfo_export.xml",
    "iebh/endnote20_tafenoquine.xml",
    "asysd/zotero_export.bib",
]


def export(records, path):
    path.unlink(missing_ok=True)
    formats.write(
        path, [formats.ExportRow(r, {"record_id": str(i), "label": "include"}) for i, r in enumerate(records, 1)]
    )
    return path


def folded(text):
    return " ".join(text.split())


def by_bibtexparser(path):
    library = bibtexparser.parse_string(path.read_text(encoding="utf-8"), append_middleware=[LatexDecodingMiddleware()])
    assert not library.failed_blocks
    return library.entries


@needs_exports
@pytest.mark.parametrize("name", REAL)
def test_rispy_reads_our_ris(tmp_path, name):
    records = formats.read(EXPORTS / name).records[:150]
    with export(records, tmp_path / "x.ris").open(encoding="utf-8") as file:
        theirs = rispy.load(file)
    assert [folded(e.get("title", "")) for e in theirs] == [r.title for r in records]
    assert [tuple(e.get("authors", ())) for e in theirs] == [r.authors for r in records]
    assert [folded(e.get("abstract", "")) for e in theirs] == [folded(r.abstract) for r in records]
    assert all(
        r.year is None or str(r.year) in (e.get("year") or e.get("publication_year") or e["date"])
        for r, e in zip(records, theirs)
    )
    assert all(r.doi in e.get("doi", r.doi).lower() for r, e in zip(records, theirs))
    assert formats.read(tmp_path / "x.ris").records == records


@pytest.mark.slow
@needs_exports
@pytest.mark.parametrize("name", REAL)
def test_bibtexparser_reads_our_bibtex(tmp_path, name):
    records = formats.read(EXPORTS / name).records[:150]
    theirs = by_bibtexparser(export(records, tmp_path / "x.bib"))
    assert [
        folded(e["title"].replace("{", "").replace("}", "")) if "title" in e.fields_dict else "" for e in theirs
    ] == [r.title.replace("{", "").replace("}", "") for r in records]
    assert all(r.year is None or e["year"] == str(r.year) for r, e in zip(records, theirs))
    assert formats.read(tmp_path / "x.bib").records == records


def test_volume_and_pages_under_the_names_of_the_format_written(tmp_path):
    (tmp_path / "a.nbib").write_text(
        "PMID- 1\nOWN - NLM\nIS  - 1111-2222 (Print)\nVI  - 7\nIP  - 2\nPG  - 11-9\nTI  - One\nTA  - Jour\n"
    )
    (tmp_path / "b.ciw").write_text("FN X\nPT J\nAU A\nTI Two\nVL 7\nIS 2\nBP 11\nEP 19\nPG 8\nSN 1111-2222\nER\nEF\n")
    (tmp_path / "c.bib").write_text(
        "@article{c, title = {Three}, volume = {7}, number = {2}, pages = {11--19}, issn = {1111-2222}}\n"
    )
    (tmp_path / "d.enw").write_text("%0 Journal Article\n%T Four\n%V 7\n%N 2\n%P 11-19\n%@ 1111-2222\n")
    (tmp_path / "e.csv").write_text("Title,Volume,Issue,Start Page,End Page,ISSN\nFive,7,2,11,19,1111-2222\n")
    records = [
        r for name in ("a.nbib", "b.ciw", "c.bib", "d.enw", "e.csv") for r in formats.read(tmp_path / name).records
    ]
    with export(records, tmp_path / "x.ris").open(encoding="utf-8") as file:
        for entry in rispy.load(file):
            assert (entry["volume"], entry["number"], entry["start_page"][:2], entry["issn"][:9]) == (
                "7",
                "2",
                "11",
                "1111-2222",
            ), entry
    for entry in by_bibtexparser(export(records, tmp_path / "x.bib")):
        assert (entry["volume"], entry["number"], entry["pages"][:2], entry["issn"][:9]) == (
            "7",
            "2",
            "11",
            "1111-2222",
        ), entry
    assert formats.read(tmp_path / "x.ris").records == formats.read(tmp_path / "x.bib").records == records


TITLES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=25),
    st.sampled_from(
        [
            "a {b} c",
            "50% of $5 & #1_2 ~x^2",
            "\\alpha",
            "C:\\new {",
            "TY  - JOUR",
            "@article{a,",
            "a\n@b{",
            "ER  - ",
            '"',
            "~",
            "\u00e9\u540c",
            "a, and b",
        ]
    ),
)


@settings(max_examples=150, deadline=None)
@given(titles=st.lists(TITLES.map(lambda t: f"T{t}"), min_size=1, max_size=4))
def test_any_title_is_read_as_written(tmp_path_factory, titles):
    records = [Record(title=title, authors=("Doe, J",), year=2001) for title in titles]
    folder = tmp_path_factory.getbasetemp()
    with export(records, folder / "any.ris").open(encoding="utf-8") as file:
        assert [folded(e["title"]) for e in rispy.load(file)] == [folded(title) for title in titles]
    library = bibtexparser.parse_string(export(records, folder / "any.bib").read_text(encoding="utf-8"))
    assert not library.failed_blocks
    assert [folded(latex.plain(e["title"])) for e in library.entries] == [
        folded(title.replace("\0", "\ufffd")) for title in titles
    ]


def test_a_cell_holds_no_more_than_excel_takes_and_nothing_is_lost(tmp_path):
    from openpyxl import load_workbook

    record = Record(title="a\x0bb", abstract="x" * 70_000, extra={"Notes": ("=1+1\x00", "y" * 40_000)})
    path = export([record], tmp_path / "x.xlsx")
    cells = [cell for row in load_workbook(path).active.iter_rows() for cell in row if cell.value is not None]
    assert max(len(cell.value) for cell in cells) <= 32_767 and all(cell.data_type == "s" for cell in cells)
    assert formats.read(path).records == [record]


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
def test_no_cell_of_a_text_table_runs_as_a_formula(tmp_path, ending):
    import csv

    record = Record(
        title="=HYPERLINK(1)", abstract="-1", authors=("@x", "+y"), keywords=("\t=z",), extra={"=c": ("+2",)}
    )
    path = export([record], tmp_path / f"x{ending}")
    with path.open(encoding="utf-8-sig", newline="") as file:
        cells = [cell for row in csv.reader(file, delimiter="\t" if ending == ".tsv" else ",") for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    assert formats.read(path).records == [record]


def test_a_citation_key_and_an_entry_of_every_kind_come_back(tmp_path):
    text = "@article{doe2019, title={A}}\n@book{doe2019, title={B}}\n@misc{x, title={C}}\n@phdthesis{y z, title={D}}\n@inbook{z, title={E}}\n"
    (tmp_path / "a.bib").write_text(text)
    records = formats.read(tmp_path / "a.bib").records
    path = export(records, tmp_path / "x.bib")
    assert formats.read(path).records == records
    keys = [entry.key for entry in by_bibtexparser(path)]
    assert keys[:3] == ["doe2019", "doe2019x", "x"] and len(set(keys)) == 5
