"""Readers lose nothing, writers give everything back."""

import json
import re
from pathlib import Path

import pytest
import rispy
from hypothesis import given, settings, strategies as st

from triage import formats
from triage.errors import InputError
from triage.formats import markup
from triage.records import Record, normal_doi, normal_pmid, normal_title

FILES = Path(__file__).parent / "files"
EXPORTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "exports"
ENDINGS = [".ris", ".csv", ".xlsx", ".tsv", ".bib"]
needs_exports = pytest.mark.skipif(not EXPORTS.is_dir(), reason="shared/data/exports is not there")


def read(tmp_path, content, name="x.ris", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return formats.read(path, **options)


RIS = "TY  - JOUR\nTI  - One\nAB  - First.\nAU  - Smith, J\nPY  - 2019\nER  - \n\nTY  - JOUR\nTI  - Two\nER  - \n"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: t.encode("utf-8-sig"), id="bom"),
        pytest.param(lambda t: t.encode("utf-16"), id="utf-16"),
        pytest.param(lambda t: t.encode("utf-16-le"), id="utf-16 without its mark"),
        pytest.param(lambda t: t.replace("\n", "\r").encode(), id="CR alone"),
        pytest.param(lambda t: t.replace("\n", "\r\n").encode(), id="CRLF"),
        pytest.param(lambda t: t.replace("  - ", " - ").encode(), id="one blank"),
        pytest.param(lambda t: t.replace("ER  - \n\n", "\n").encode(), id="missing ER"),
        pytest.param(lambda t: t.removesuffix("ER  - \n").encode(), id="missing last ER"),
        pytest.param(lambda t: t.replace("TY", "1.\nTY", 1).replace("\n\nTY", "\n\n2.\nTY").encode(), id="numbered"),
        pytest.param(lambda t: t.replace("\n\nTY", "\n\nLink to the Ovid full text\nTY").encode(), id="a line between"),
        pytest.param(
            lambda t: (t[: t.index("TY", 5)] + "\ufeff" + t[t.index("TY", 5) :]).encode(), id="bom in the middle"
        ),
    ],
)
def test_ris_in_every_dress(tmp_path, change):
    reading = read(tmp_path, change(RIS))
    assert (reading.format, reading.announced, reading.problems) == ("ris", 2, [])
    assert [r.title for r in reading.records] == ["One", "Two"]
    assert reading.records[0] == Record(
        title="One", abstract="First.", authors=("Smith, J",), year=2019, type="Journal article"
    )


def test_ris_fields(tmp_path):
    record = read(
        tmp_path,
        """TY  - JOUR
T1  - A title
 that goes on
A1  - Doe, Jane
A1  - Roe, R
Y1  - 2019/12/30
N2  - BACKGROUND: One.
AB  - METHODS: Two.
AB  - RESULTS: Three.
US - based, and no tag.
JF  - A Journal
JA  - J
DO  - https://doi.org/10.1000/ABC.1
UR  - https://pubmed.ncbi.nlm.nih.gov/123/
KW  - one
two
LA  - eng
M3  - Editorial
U1  - kept
U1  - twice
ER  -
""",
    ).records[0]
    assert record.title == "A title that goes on" and record.authors == ("Doe, Jane", "Roe, R")
    assert record.abstract == "METHODS: Two.\nRESULTS: Three.\nUS - based, and no tag."
    assert (record.year, record.journal, record.doi, record.pmid) == (2019, "A Journal", "10.1000/abc.1", "123")
    assert (record.language, record.type, record.keywords) == ("eng", "Editorial", ("one", "two"))
    assert record.extra["U1"] == ("kept", "twice") and record.extra["N2"] == ("BACKGROUND: One.",)
    assert record.extra["Y1"] == ("2019/12/30",) and record.extra["JA"] == ("J",)


@pytest.mark.parametrize(
    "placeholder",
    [
        "NA",
        "N/A",
        "[No abstract available]",
        "No abstract available.",
        "none",
        "-",
        "[Abstract unavailable]",
        "This article has no abstract.",
        "Abstract: No abstract available",
        "(No Abstract)",
    ],
)
def test_a_placeholder_is_no_abstract(tmp_path, placeholder):
    record = read(tmp_path, f"TY  - JOUR\nTI  - x\nAB  - {placeholder}\nER  - \n").records[0]
    assert record.abstract == "" and record.extra["AB"] == (placeholder,)


def test_windows_dashes_are_read_and_told(tmp_path):
    reading = read(tmp_path, RIS.replace("One", "One \u2013 \u201ctwo\u201d").encode("cp1252"))
    assert reading.records[0].title == "One \u2013 \u201ctwo\u201d"
    assert [(w.line, "Windows-1252" in w.message) for w in reading.warnings] == [(2, True)]


def test_an_empty_record_is_counted_and_told(tmp_path):
    reading = read(tmp_path, "TY  - JOUR\nER  - \n\n" + RIS)
    assert reading.announced == 3 and len(reading.records) == 2
    assert [(p.line, "no field" in p.message) for p in reading.problems] == [(1, True)]
    assert reading.lines == [4, 11]


def test_nbib(tmp_path):
    reading = read(
        tmp_path,
        """
PMID- 0012345
OWN - NLM
DP  - 2020 Mar 3
TI  - A long title that
      goes on.
LID - 10.1000/xyz [doi]
AB  - First line
      second line.
FAU - Doe, Jane
AU  - Doe J
LA  - eng
LA  - fre
PT  - Journal Article
PT  - Review
JT  - The journal
MH  - Humans
OT  - peer support

PMID- 2
TI  - Other
""",
        "x.nbib",
    )
    first = reading.records[0]
    assert reading.announced == 2 and [r.title for r in reading.records] == ["A long title that goes on.", "Other"]
    assert (first.pmid, first.year, first.doi, first.language) == ("12345", 2020, "10.1000/xyz", "eng; fre")
    assert first.abstract == "First line second line." and first.authors == ("Doe, Jane",)
    assert first.type == "Journal Article; Review" and first.keywords == ("Humans", "peer support")
    assert first.extra["AU"] == ("Doe J",) and first.extra["DP"] == ("2020 Mar 3",)


def test_tables(tmp_path):
    text = 'Document Title;Abstract Note;AUTHOR NAMES;Publication Year;DOI;id;\n"=x; y";"a\nb";Liu R., Adler D.G.;2014;doi:10.1/none;7;z\n;;;;;;\n'
    reading = read(tmp_path, text, "x.csv")
    record = reading.records[0]
    assert reading.announced == 1 and reading.lines == [2]
    assert (record.title, record.abstract, record.year) == ("=x; y", "a\nb", 2014)
    assert record.authors == ("Liu R.", "Adler D.G.") and record.doi == ""
    assert record.extra == {"id": ("7",), "column 7": ("z",), "DOI": ("doi:10.1/none",)}


def test_a_label_column_is_given_apart_and_kept(tmp_path):
    text = "title,label\nA,1\nB,\n"
    assert read(tmp_path, text, "x.csv").labels is None
    reading = read(tmp_path, text, "x.csv", label_column="label")
    assert reading.labels == ["1", ""] and reading.records[0].extra == {"label": ("1",)}
    with pytest.raises(InputError, match="no column 'lable'; its columns are: title, label"):
        read(tmp_path, text, "x.csv", label_column="lable")


def test_excel_and_parquet(tmp_path):
    import pyarrow
    import pyarrow.parquet
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(["notes"])
    sheet = book.create_sheet("records")
    for row in ([None], ["Title", "Year", "label", "when"], ["One", 2019, 1, None], ["001", 2020.0, 0, None]):
        sheet.append(row)
    book.save(tmp_path / "x.xlsx")
    reading = formats.read(tmp_path / "x.xlsx", label_column="label")
    assert [(r.title, r.year) for r in reading.records] == [("One", 2019), ("001", 2020)]
    assert reading.labels == ["1", "0"] and reading.lines == [3, 4] and "records" in reading.warnings[0].message
    table = pyarrow.table({"title": ["NA", "Two"], "label": [1, None], "keywords": [["a", "b"], []]})
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    reading = formats.read(tmp_path / "x.parquet", label_column="label")
    assert [r.title for r in reading.records] == ["NA", "Two"] and reading.labels == ["1", ""]
    assert reading.records[0].keywords == ("a", "b")


@pytest.mark.parametrize(
    "content, name, message",
    [
        (b"", "x.ris", "is empty"),
        (b"  \n", "x.csv", "is empty"),
        (b"<html><body>TY  - JOUR</body></html>", "x.ris", "web page"),
        (b"%PDF-1.7 ...", "x.ris", "a PDF"),
        (b"just words\n", "x.txt", "not an export that triage knows"),
        (b"a,b\n1,2\n", "x.csv", "no title column; its columns are: a, b"),
        (b"title,b\n", "x.csv", "no record under it"),
        (b'{"a": [1]}', "x.json", "JSON"),
        (b"\x1f\x8b..", "x.ris", "packed"),
        (b"123\n456\n789\n", "x.txt", "list of identifiers"),
        (b"<?xml version='1.0'?><OAI><record><header/></record></OAI>", "x.xml", "XML, but of a kind"),
        (b"Search number,Query,Results\n1,peer,20\n", "x.csv", "search history"),
        (b"<a><b/></a>", "x.xml", "its root is 'a'"),
        (bytes(range(256)) * 20, "x.ris", "no"),
        (b"PK\x03\x04 broken", "x.xlsx", "Excel"),
        (b"PAR1 broken", "x.parquet", "Parquet"),
        (b"\xff\xfeT\0Y", "x.ris", "damaged"),
    ],
)
def test_what_is_no_export_is_refused(tmp_path, content, name, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, content, name)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        formats.read(tmp_path / "none.ris")
    with pytest.raises(InputError, match="is a folder"):
        formats.read(tmp_path)
    with pytest.raises(InputError, match="choose one of ris, nbib"):
        read(tmp_path, RIS, format="endnote")


# What a text file announces, counted by lines alone.
ANNOUNCES = {
    "ris": r"^TY {1,2}-",
    "wos": r"^PT [A-Z]$",
    "bibtex": r"^\s*@(?!comment|string|preamble)\w+\s*\{",
    "nbib": r"^(?:PMID|OWN) ?-",
    "endnote-xml": r"<record>",
    "ebsco-xml": r"<rec ",
}
NO_RECORDS = {"md_data.md"}  # a list of references as prose


@needs_exports
@pytest.mark.parametrize("path", sorted(EXPORTS.glob("*/*")), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_real_exports_lose_no_record(path):
    if path.parent.name == "poc":
        with pytest.raises(InputError, match="search history"):
            formats.read(path)
        return
    if path.name in NO_RECORDS:
        with pytest.raises(InputError, match="not an export"):
            formats.read(path)
        return
    if "no_title" in path.name:
        with pytest.raises(InputError, match="no title column; its columns are: abstract"):
            formats.read(path)
        return
    reading = formats.read(path)
    assert reading.announced == len(reading.records) + len(reading.problems) and reading.records
    assert len(reading.lines) == len(reading.records)
    if reading.format in ANNOUNCES:
        raw = path.read_bytes().decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
        if reading.format == "bibtex":
            raw = raw.replace("\ufeff", "")
        assert reading.announced == len(re.findall(ANNOUNCES[reading.format], raw, re.MULTILINE))
        if "xml" not in reading.format:
            # Every record begins in the line that is told of it.
            lines = raw.split("\n")
            assert all(re.match(ANNOUNCES[reading.format], lines[n - 1].lstrip("\ufeff")) for n in reading.lines)


@needs_exports
@pytest.mark.parametrize("name", ["CAB", "GreenFile", "AGRIS", "EconLit"])
def test_na_is_no_abstract_in_real_exports(name):
    records = formats.read(EXPORTS / "citesource" / f"{name}.ris").records
    assert records and all(r.abstract == "" and r.extra["AB"] == ("NA",) for r in records)


@needs_exports
@pytest.mark.parametrize(
    "name",
    [
        "asreview/_baseline.ris",
        "asreview/scopus.ris",
        "asreview/proquest.ris",
        "asysd/wos_test.ris",
        "citesource/wos_278.ris",
        "citesource/medline_84.ris",
    ],
)
def test_titles_are_those_that_rispy_reads(name):
    path = EXPORTS / name
    with path.open(encoding="utf-8-sig") as file:
        theirs = [markup.plain(e.get("title") or e.get("primary_title") or "") for e in rispy.load(file)]
    assert [normal_title(r.title) for r in formats.read(path).records] == [normal_title(t) for t in theirs]


@needs_exports
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "name",
    [
        "asreview/embase.ris",
        "asreview/ovid_psycinfo.ris",
        "colrev/nbib_data.nbib",
        "asreview/embase.csv",
        "asreview/generic_labels.csv",
        "citesource/20221207_gambling-harms_lens_49.ris",
        "rispy/example_full.ris",
        "colrev/springer_csv.csv",
        "colrev/scopus_bib.bib",
        "colrev/ebsco_bib.bib",
        "colrev/web_of_science_bib.bib",
        "rispy/example_wos.ris",
        "colrev/ais_enl.txt",
        "asysd/wos_test.ris",
    ],
)
def test_real_records_survive_an_export(tmp_path, name, ending):
    records = formats.read(EXPORTS / name).records
    formats.write(
        tmp_path / f"x{ending}", [formats.ExportRow(r, {"record_id": "1", "label": "include"}) for r in records]
    )
    again = formats.read(tmp_path / f"x{ending}")
    assert again.records == records


# Text as hostile as it comes: tags, formulas, line ends of every kind, characters that no cell holds.
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(
        [
            "=1+1",
            "'=x",
            "@x",
            "+x\ty",
            "-1",
            "a\nTY  - JOUR\nER  - \nb",
            "NA",
            "x; y",
            '{"a": 1}',
            "a\r\nb",
            "\x00",
            "\x1c",
            "_x0041_",
            "  lead",
            "x" * 40_000,
        ]
    ),
)
names = st.one_of(
    texts.filter(bool), st.sampled_from(["TY", "DO", "N1", "AB", "label", "record_id", "title", "source", "PY", "M3"])
)
records = st.builds(
    Record,
    title=texts.map(lambda t: f"{t}T"),
    abstract=texts,
    authors=st.lists(texts, max_size=3).map(tuple),
    year=st.none() | st.integers(1000, 2100),
    journal=texts,
    doi=st.sampled_from(["", "10.1000/abc"]),
    pmid=st.sampled_from(["", "123"]),
    language=texts,
    type=texts,
    keywords=st.lists(texts, max_size=3).map(tuple),
    extra=st.dictionaries(names, st.lists(texts, min_size=1, max_size=2).map(tuple), max_size=3),
)


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=80, deadline=None)
@given(rows=st.lists(records, min_size=1, max_size=3))
def test_any_record_survives_an_export(tmp_path_factory, ending, rows):
    path = tmp_path_factory.mktemp("round") / f"x{ending}"
    decision = {"record_id": "1", "label": "include", "note": "=n"}
    formats.write(path, [formats.ExportRow(r, decision) for r in rows])
    reading = formats.read(path)
    assert reading.announced == len(rows) and reading.records == rows


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(records, min_size=1, max_size=2))
def test_bibtex_is_read_by_its_library_and_keeps_everything(tmp_path_factory, rows):
    import bibtexparser

    path = tmp_path_factory.mktemp("bib") / "x.bib"
    formats.write(path, [formats.ExportRow(r, {"label": "include"}) for r in rows])
    library = bibtexparser.parse_string(path.read_text(encoding="utf-8"))
    assert not library.failed_blocks and len(library.entries) == len(rows)
    assert all(e.fields_dict["triage_label"].value == "include" for e in library.entries)


def test_no_cell_of_a_table_runs_as_a_formula(tmp_path):
    import csv

    from openpyxl import load_workbook

    row = formats.ExportRow(
        Record(title="=HYPERLINK(1)", abstract="+1", authors=("@x",), extra={"=c": ("-2",)}), {"note": "=n"}
    )
    formats.write(tmp_path / "x.csv", [row])
    with (tmp_path / "x.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert "'=HYPERLINK(1)" in cells and not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    formats.write(tmp_path / "x.xlsx", [row])
    kinds = {cell.value: cell.data_type for line in load_workbook(tmp_path / "x.xlsx").active for cell in line}
    assert kinds["=HYPERLINK(1)"] == "s" and "f" not in kinds.values()


def test_an_export_never_overwrites_and_leaves_nothing_half_done(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        formats.write(path, [])
    with pytest.raises(InputError, match="must end in one of"):
        formats.write(tmp_path / "x.docx", [])
    with pytest.raises(InputError, match="folder .* does not exist"):
        formats.write(tmp_path / "no" / "x.csv", [])
    assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "text, doi",
    [
        ("http://dx.doi.org/10.1002/CPP.2398.", "10.1002/cpp.2398"),
        ("doi:10.1016/S0140-6736(05)1", "10.1016/s0140-6736(05)1"),
        ("(10.1/x)", ""),
        ("(see 10.1000/x)", "10.1000/x"),
        ("10.1000%2Fabc", "10.1000/abc"),
        ("none", ""),
    ],
)
def test_normal_doi(text, doi):
    assert normal_doi(text) == doi


def test_normal_forms():
    assert normal_pmid("PMID: 00123 [pmid]") == "123" and normal_pmid("123.0") == "123" and normal_pmid("PMC12") == ""
    assert (
        normal_title("Über  den Éclat\u2014\u03b2!") == "uber den eclat \u03b2"
        and normal_title("\u4e2d\u6587 \u7814\u7a76") == "\u4e2d\u6587 \u7814\u7a76"
    )


def test_the_remainder_is_json_that_hostile_text_cannot_forge(tmp_path):
    forged = {"title": "x", "extra": {"triage_fields": (json.dumps({"nonsense": 1}),)}}
    path = tmp_path / "x.csv"
    formats.write(path, [formats.ExportRow(Record(**forged))])
    assert formats.read(path).records == [Record(**forged)]
