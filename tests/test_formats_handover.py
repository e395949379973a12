"""What other programs read in what is written for them: by rispy, pandas and ASReview's own readers."""

import csv

import pytest
import rispy
from conftest import PROTOCOL
from formats_helpers import EXPORTS, needs_exports

from triage import cli, formats, intake
from triage.errors import InputError
from triage.log import Label
from triage.project import Project

NBIB = """PMID- 123
OWN - NLM
IS  - 1111-2222 (Print)
VI  - 7
IP  - 2
DP  - 2019 Mar
TI  - From PubMed.
PG  - 311-9
AB  - Text of the first.
FAU - Doe, Jane
LA  - eng
JT  - The journal
AID - 10.1000/abc [doi]
PT  - Journal Article
OT  - peer support
"""
RIS = """TY  - JOUR
TI  - From a database
AU  - Roe, R
AU  - Poe, B
Y1  - 2018/05/01/
T2  - Another journal
UR  - https://doi.org/10.1000/DEF
N1  - a note of the database
C4  - something of the database
KW  - old word
ER  -

TY  - JOUR
TI  - With a date in its year
PY  - 2017/03//
DO  - http://dx.doi.org/10.1000/ghi
N1  - RAYYAN-INCLUSION: {"Old"=>"Maybe"}
ER  -
"""
CSV = "Title,Authors,Year,DOI,Volume,Pages,ISSN,Publisher,URL\nFrom a table,\"Moe, M; Low, N\",2016,10.1000/jkl,3,10-12,1234-5678,The press,http://x.org/1\n"  # fmt: skip
DECIDED = {1: "include", 2: "exclude", 3: "maybe", 4: "conflict", 5: ""}


@pytest.fixture
def decided(tmp_path):
    """Give a review of records from PubMed, RIS and a table: an include, an exclude, a maybe, a conflict, and one left."""
    (tmp_path / "protocol.toml").write_text(PROTOCOL, encoding="utf-8")
    intake.new(tmp_path / "r.triage", tmp_path / "protocol.toml")
    for name, text in (("a.nbib", NBIB), ("b.ris", RIS), ("c.csv", CSV), ("d.csv", "title,year\nLeft,\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    with Project.open(tmp_path / "r.triage") as project:
        paths = [tmp_path / name for name in ("a.nbib", "b.ris", "c.csv", "d.csv")]
        intake.import_files(project, paths, reviewer="ann")

        def decide(record_id, label, who='Ann "A." Lee', reason="", note=""):
            row = {"record_id": record_id, "label": Label(label), "reason": reason, "note": note}
            project.log.decide("abstract", [row], reviewer=who, tags={record_id: ["rct", "pilot"]} if reason else None)

        decide(1, "include", note="see p. 3\nand on")
        decide(2, "exclude", reason="CHILD")
        decide(3, "maybe")
        decide(4, "include")
        decide(4, "exclude", who="Bob", reason="ONLINE")
        yield project


def written(project, path, program, **options):
    path.unlink(missing_ok=True)
    intake.export(project.snapshot(), path, program=program, **options)
    return path


def by_rispy(path):
    with path.open(encoding="utf-8") as file:
        return rispy.load(file)


EXPECTED = [
    {"title": "From PubMed.", "authors": ["Doe, Jane"], "year": "2019", "doi": "10.1000/abc", "abstract": "Text of the first.",
     "secondary_title": "The journal", "volume": "7", "number": "2", "start_page": "311", "end_page": "319",
     "issn": "1111-2222 (Print)", "language": "eng", "keywords": ["peer support"], "accession_number": "123"},
    {"title": "From a database", "authors": ["Roe, R", "Poe, B"], "year": "2018", "doi": "10.1000/def",
     "secondary_title": "Another journal", "keywords": ["old word"]},
    {"title": "With a date in its year", "year": "2017", "doi": "10.1000/ghi", "date": "2017/03//"},
    {"title": "From a table", "authors": ["Moe, M", "Low, N"], "year": "2016", "doi": "10.1000/jkl", "volume": "3",
     "start_page": "10", "end_page": "12", "issn": "1234-5678", "publisher": "The press", "urls": ["http://x.org/1"]},
    {"title": "Left"},
]  # fmt: skip


@pytest.mark.parametrize("program", [None, *formats.PROGRAMS])
def test_every_field_is_in_its_own_tag_wherever_it_came_from(decided, tmp_path, program):
    if program == "covidence":
        entries = [
            entry
            for only in ("included", "excluded", "maybe", "unscreened")
            for entry in by_rispy(written(decided, tmp_path / "x.ris", program, only=[only]))
        ]
        entries.sort(key=lambda entry: [one["title"] for one in EXPECTED].index(entry["title"]))
    else:
        entries = by_rispy(written(decided, tmp_path / "x.ris", program))
    for entry, expected in zip(entries, EXPECTED, strict=True):
        ours = [word for word in entry.get("keywords", []) if word in expected.get("keywords", [])]
        assert {**{name: entry.get(name) for name in expected}, **({"keywords": ours} if ours else {})} == expected
        text = " ".join(map(str, entry.get("notes", [])))
        assert program is None or "triage_fields" not in text
    if program is None:  # and what the tags cannot say comes back
        every = [r for name in ("a.nbib", "b.ris", "c.csv", "d.csv") for r in formats.read(tmp_path / name).records]
        assert formats.read(tmp_path / "x.ris").records == every


@pytest.mark.parametrize("program", ["zotero", "eppi"])
def test_decisions_as_tags(decided, tmp_path, program):
    first, second, third, fourth, left = by_rispy(written(decided, tmp_path / "x.ris", program))
    assert first["keywords"] == ["peer support", "triage: include"]
    assert first["notes"] == ['triage: included; by Ann "A." Lee; note: see p. 3 and on']
    assert second["keywords"] == ["old word", "triage: exclude", "triage: exclude: CHILD", "rct", "pilot"]
    assert second["notes"] == ["a note of the database", 'triage: excluded; reason CHILD; by Ann "A." Lee']
    assert third["keywords"] == ["triage: maybe"] and fourth["keywords"][0] == "triage: conflict"
    assert "keywords" not in left and "notes" not in left


def test_decisions_in_the_fields_of_endnote(decided, tmp_path):
    first, second, _, fourth, left = by_rispy(written(decided, tmp_path / "x.ris", "endnote"))
    assert first["label"] == "include" and "custom4" not in first
    assert (second["label"], second["custom4"], second["custom5"]) == ("exclude", "CHILD", "rct; pilot")
    assert second["research_notes"] == 'triage: excluded; reason CHILD; by Ann "A." Lee'
    assert second["notes"] == ["a note of the database"] and fourth["label"] == "conflict" and "label" not in left


@pytest.mark.parametrize("ending", [".ris", ".csv"])
def test_the_votes_of_rayyan_come_back_each_under_its_name(decided, tmp_path, ending):
    path = written(decided, tmp_path / f"x{ending}", "rayyan")
    assert path.read_text(encoding="utf-8").count("Old") == 1  # the imported vote, among the others
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "protocol.toml").write_text(PROTOCOL, encoding="utf-8")
    intake.new(tmp_path / "b" / "b.triage", tmp_path / "b" / "protocol.toml")
    with Project.open(tmp_path / "b" / "b.triage") as other:
        [done] = intake.import_files(other, [path], reviewer="zoe")
        assert (done.conflicts, done.unlisted_reasons) == (1, {})

        def facts(project):
            decisions = project.live().decisions.values()
            return {(e.record_id, e.reviewer, e.label, e.reason, e.note) for e in decisions}

        assert facts(other) == facts(decided)
        assert [r.title for r in other.records.read()] == [one["title"] for one in EXPECTED]
        assert [(r.year, r.doi, r.authors, r.pmid) for r in other.records.read()] == [
            (r.year, r.doi, r.authors, r.pmid if ending == ".csv" or r.pmid else "") for r in decided.records.read()
        ]


def test_covidence_takes_one_list_at_a_time(decided, tmp_path):
    for only in ([], ["included", "maybe"]):
        with pytest.raises(InputError, match="Covidence takes no decision from a file"):
            written(decided, tmp_path / "x.ris", "covidence", only=only)
    [entry] = by_rispy(written(decided, tmp_path / "x.ris", "covidence", only=["excluded"]))
    assert entry["title"] == "From a database" and entry["notes"] == ["a note of the database"]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".xlsx"])
def test_pandas_reads_what_is_written_for_asreview(decided, tmp_path, ending):
    import pandas as pd

    path = written(decided, tmp_path / f"x{ending}", "asreview")
    options = {".csv": {}, ".tsv": {"sep": "\t"}, ".xlsx": {"engine": "openpyxl"}}[ending]
    read = pd.read_excel if ending == ".xlsx" else pd.read_csv
    table = read(path, dtype=str, keep_default_na=False, **options)
    assert table["included"].tolist() == ["1", "0", "1", "", ""]
    assert table["title"].tolist() == [one["title"] for one in EXPECTED]
    assert table["year"].tolist() == ["2019", "2018", "2017", "2016", ""]
    assert table["doi"].tolist() == [one.get("doi", "") for one in EXPECTED]
    assert table["triage_label"].tolist() == list(DECIDED.values()) and table["triage_reason"][1] == "CHILD"
    assert table["triage_note"][0] == "see p. 3\nand on"


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".xlsx", ".ris"])
def test_asreviews_own_reader_reads_it(decided, tmp_path, ending, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what it imports leaves a file where it is
    loader = pytest.importorskip("asreview.data.loader", reason="ASReview is not installed (pip install asreview)")
    records = loader.load_records(written(decided, tmp_path / f"x{ending}", "asreview"))
    assert [r.included for r in records] == [1, 0, 1, None, None]
    assert [r.title for r in records] == [one["title"] for one in EXPECTED]
    assert [r.year for r in records] == [2019, 2018, 2017, 2016, None]
    assert [r.authors for r in records] == [one.get("authors", []) for one in EXPECTED]
    assert [r.doi for r in records] == [one.get("doi") for one in EXPECTED]
    assert records[0].abstract == "Text of the first." and records[1].keywords == ["old word"]


@needs_exports
@pytest.mark.parametrize("name", ["asreview/embase.ris", "colrev/nbib_data.nbib", "asysd/zotero_export.csv", "rispy/example_wos.ris",
                                  "asysd/zotero_export.ris", "rispy/example_basic.ris"])  # fmt: skip
def test_asreview_reads_the_export_for_everybody(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loader = pytest.importorskip("asreview.data.loader", reason="ASReview is not installed (pip install asreview)")
    records = formats.read(EXPORTS / name).records[:150]
    formats.write(tmp_path / "x.ris", [formats.ExportRow(r, {"record_id": "1", "label": "include"}) for r in records])
    theirs = loader.load_records(tmp_path / "x.ris")
    assert [" ".join((r.title or "").split()) for r in theirs] == [r.title for r in records]
    assert [r.year for r in theirs] == [r.year for r in records]
    assert [tuple(r.authors) for r in theirs] == [r.authors for r in records]
    assert [(r.doi or "").lower() for r in theirs] == [r.doi for r in records]


@needs_exports
def test_doi_and_year_of_every_real_export_are_in_do_and_py(tmp_path):
    wrong, n = [], 0
    for path in sorted(EXPORTS.rglob("*")):
        try:
            records = formats.read(path).records[:60] if path.is_file() else []
        except InputError:
            continue
        if not records:
            continue
        (tmp_path / "x.ris").unlink(missing_ok=True)
        formats.write(tmp_path / "x.ris", map(formats.ExportRow, records))
        with (tmp_path / "x.ris").open(encoding="utf-8") as file:
            entries = rispy.load(file, skip_unknown_tags=True)
        for record, entry in zip(records, entries, strict=True):
            n += 1
            said = (entry.get("doi", "").lower(), entry.get("year", ""))
            if said != (record.doi, str(record.year or "")) and (record.doi or record.year):
                wrong.append((path.name, record.title[:40], said, record.doi, record.year))
        assert formats.read(tmp_path / "x.ris").records == records
    assert n > 1000 and wrong == []


def test_the_command_says_where_the_decisions_are_and_refuses_what_a_program_does_not_take(decided, tmp_path, capsys):
    review = str(tmp_path / "r.triage")
    assert cli.run(["export", review, "-o", str(tmp_path / "z.ris"), "--for", "zotero"]) == 0
    assert 'In Zotero the decisions are tags that begin with "triage: "' in capsys.readouterr().out
    for name, program, said in (
        ("z.csv", "zotero", "must end in one of .ris for Zotero"),
        ("z2.ris", "mendeley", "choose one of zotero, endnote, rayyan, covidence, eppi, asreview"),
        ("z3.ris", "covidence", "--only included"),
    ):
        assert cli.run(["export", review, "-o", str(tmp_path / name), "--for", program]) == 2
        assert said in capsys.readouterr().err and not (tmp_path / name).exists()
    assert cli.run(["export", review, "-o", str(tmp_path / "n.csv"), "--only", "next", "--for", "asreview"]) == 2


def test_no_cell_for_another_program_runs_as_a_formula(tmp_path):
    from triage.records import Record

    row = formats.ExportRow(Record(title="=HYPERLINK(1)", abstract="-1\r\nx\0"), {"label": "include", "note": "@x"})
    formats.write(tmp_path / "x.csv", [row], "asreview")
    with (tmp_path / "x.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
