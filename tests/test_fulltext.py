"""PDFs attached to records: what is a PDF, which record its name means, and that nothing of it is lost."""

import csv
import hashlib
import json
import re
import sqlite3

import pytest
from conftest import PROTOCOL, Log, both_storages, sample_ris
from hypothesis import given, strategies as st
from sqlalchemy.exc import DBAPIError

from triage import cli, fulltext, intake
from triage.errors import InputError
from triage.fulltext.known import Known
from triage.fulltext.matching import match
from triage.fulltext.names import record_named
from triage.log import Kind, Label, LogFold, fold
from triage.project import Project, copy, schema

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"

RECORDS = """TY  - JOUR
TI  - Peer support workers in community mental health: a randomised trial
AU  - Smith, A
PY  - 2001
DO  - 10.1016/S0140-6736(05)17709-5
AN  - 11111111
ER  -
TY  - JOUR
TI  - Recovery colleges and what their students say about them
PY  - 2012
DO  - 10.1186/s12888-020-02923-8
L1  - internal-pdf://1234/Jones-2012-Recovery colleges.pdf
ER  -
TY  - JOUR
TI  - Editorial
PY  - 1999
ER  -
TY  - JOUR
TI  - Editorial
PY  - 2000
ER  -
"""
storage = both_storages


@pytest.fixture
def project(place, tmp_path):
    with Project.create(place("full texts"), PROTOCOL) as made:
        (tmp_path / "pubmed.ris").write_text(RECORDS, encoding="utf-8")
        intake.import_files(made, [tmp_path / "pubmed.ris"], reviewer="ann")
        yield made


def attached(project, record_id=1):
    return [(e.note, e.reviewer) for e in project.live().attachments(record_id)]


def test_a_file_is_attached_replaced_and_taken_off_and_the_log_keeps_all(project):
    first, is_new = project.attachments.attach(1, "a.pdf", PDF, reviewer="ann")
    assert (
        is_new and first.reason == hashlib.sha256(PDF).hexdigest() and project.attachments.content(first.reason) == PDF
    )
    assert project.attachments.attach(1, "b.pdf", PDF, reviewer="bob") == (first, False)
    project.attachments.attach(1, "s.pdf", PDF + b"supplement", reviewer="bob")
    assert attached(project) == [("a.pdf", "ann"), ("s.pdf", "bob")]
    better, _ = project.attachments.attach(1, "better.pdf", PDF + b"better", reviewer="ann", replaces=[first.seq])
    assert attached(project) == [("s.pdf", "bob"), ("better.pdf", "ann")]
    with pytest.raises(InputError, match="no file that record 1 has"):
        project.attachments.attach(1, "late.pdf", PDF + b"late", reviewer="bob", replaces=[first.seq])
    fulltext.detach(project, better.seq, reviewer="bob")
    with pytest.raises(InputError, match="no file that is there"):
        fulltext.detach(project, better.seq, reviewer="bob")
    assert attached(project) == [("s.pdf", "bob")]
    # What was replaced or taken off is in the review still, and comes back with its bytes.
    assert (
        project.attachments.content(better.reason) == PDF + b"better"
        and project.attachments.content(first.reason) == PDF
    )
    again, is_new = project.attachments.attach(1, "a.pdf", PDF, reviewer="ann")
    assert is_new and attached(project) == [("s.pdf", "bob"), ("a.pdf", "ann")] and again.seq > first.seq
    kinds = [e.kind for e in project.log.events()]
    assert kinds.count(Kind.ATTACHED) == 4 and kinds.count(Kind.UNDO) == 2
    assert project.attachments.sizes([PDF.hex(), again.reason]) == {again.reason: len(PDF)}


def test_bytes_are_kept_once_and_never_change(project):
    for record_id in (1, 2, 3):
        event, _ = project.attachments.attach(record_id, f"{record_id}.pdf", PDF, reviewer="ann")
    with project._database.engine.connect() as connection:
        assert len(connection.execute(schema.attachments.select()).all()) == 1
    for change in (schema.attachments.update().values(content=b"x"), schema.attachments.delete()):
        with pytest.raises((DBAPIError, InputError), match="append-only"), project._database.write() as connection:
            connection.execute(change)
    assert project.attachments.content(event.reason) == PDF


def test_files_of_copies_are_the_groups(project):
    project.attachments.attach(2, "two.pdf", PDF, reviewer="ann")
    project.log.link([(2, 1, "same DOI")], reviewer="ann")
    project.attachments.attach(1, "one.pdf", PDF + b"1", reviewer="ann")
    assert [e.note for e in project.live().attachments(1)] == ["two.pdf", "one.pdf"]
    assert project.attachments.attach(1, "again.pdf", PDF, reviewer="ann")[1] is False
    stage = project.stage()
    assert fulltext.without(stage) == [3, 4]


def test_an_attached_file_makes_no_ranking_stale_and_changes_nothing_that_is_counted(project):
    from triage import status
    from triage.ranking import answers

    project.log.decide("abstract", [{"record_id": 1, "label": Label.INCLUDE}], reviewer="ann")
    as_of = answers.rank(project, top=3, preset="fast").as_of
    before = status.status(project.snapshot())
    project.attachments.attach(1, "a.pdf", PDF, reviewer="ann")
    assert answers.rank(project, top=3, preset="fast").as_of == as_of
    assert status.status(project.snapshot()) == before


@given(
    st.lists(st.tuples(st.sampled_from(["attach", "undo", "link"]), st.integers(0, 20), st.integers(1, 4)), max_size=25)
)
def test_folding_on_is_folding_anew(steps):
    log, folding = Log(), LogFold()
    for what, n, record_id in steps:
        if what == "attach":
            log.add(Kind.ATTACHED, record_id=record_id, reviewer="ann", reason=f"{n:064x}", note="a.pdf")
        elif what == "link" and record_id > 1:
            log.link(record_id, record_id - 1)
        else:
            undone = {e.undoes for e in log.events}
            left = [e for e in log.events if e.kind is not Kind.UNDO and e.seq not in undone]
            if left:
                log.undo(left[n % len(left)])
        folding.apply(log.events[folding.last_seq :])
        assert folding.live == fold(log.events)
    undone = {e.undoes for e in log.events}
    expected = [e for e in log.events if e.kind is Kind.ATTACHED and e.seq not in undone]
    assert sorted((e for given in fold(log.events).attached.values() for e in given), key=lambda e: e.seq) == expected


@pytest.mark.parametrize("storage", ["file"])
def test_a_review_of_an_earlier_version_gets_the_table(project):
    project.close()
    with sqlite3.connect(project.path) as connection:
        connection.execute("DROP TABLE attachments")
        connection.execute("PRAGMA user_version = 3")
    with Project.open(project.path) as opened:
        opened.attachments.attach(1, "a.pdf", PDF, reviewer="ann")
        with pytest.raises((DBAPIError, InputError), match="append-only"), opened._database.write() as connection:
            connection.execute(schema.attachments.delete())


def test_full_texts_come_along_in_a_copy(project, tmp_path):
    event, _ = project.attachments.attach(1, "a.pdf", PDF, reviewer="ann")
    copy(project.path, tmp_path / "copied.triage")
    with Project.open(tmp_path / "copied.triage") as copied:
        assert copied.live().attachments(1) == [event] and copied.attachments.content(event.reason) == PDF


# -- what is a PDF ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "is empty"),
        (b"<!doctype html><title>Log in", "web page was saved"),
        (b"PK\3\4", "not a PDF"),
        (b"GIF89a %PDF-1.4", "not a PDF"),
        (b"\xef\xbb\xbf<html>%PDF-1.4", "not a PDF"),
        (b"x" * 2_000 + b"%PDF-1.4", "not a PDF"),
    ],
)
@pytest.mark.parametrize("storage", ["file"])
def test_what_is_no_pdf_is_refused_and_nothing_written(project, content, said):
    with pytest.raises(InputError, match=said):
        fulltext.attach(project, 1, "a.pdf", content, reviewer="ann")
    assert not project.log.events()


@pytest.mark.parametrize("storage", ["file"])
def test_a_review_keeps_so_many_bytes_of_files_and_says_so(project, monkeypatch):
    monkeypatch.setenv("TRIAGE_ATTACHMENTS_GB", str((2 * len(PDF) + 1) / 1e9))
    fulltext.attach(project, 1, "a.pdf", PDF, reviewer="ann")
    second, _ = fulltext.attach(project, 1, "b.pdf", PDF + b"b", reviewer="ann")
    for record_id in (1, 2):
        with pytest.raises(InputError, match=r"at most 71 are kept; .*TRIAGE_ATTACHMENTS_GB"):
            fulltext.attach(project, record_id, "c.pdf", PDF + b"c", reviewer="ann")
    # What is there already takes no more room, and what was taken off is still there.
    fulltext.attach(project, 2, "a.pdf", PDF, reviewer="ann")
    fulltext.detach(project, second.seq, reviewer="ann")
    with pytest.raises(InputError, match="taken off are kept too"):
        fulltext.attach(project, 1, "c.pdf", PDF + b"c", reviewer="ann")
    assert attached(project) == [("a.pdf", "ann")] and attached(project, 2) == [("a.pdf", "ann")]
    for wrong in ("many", "-1", "nan", "inf"):
        monkeypatch.setenv("TRIAGE_ATTACHMENTS_GB", wrong)
        with pytest.raises(InputError, match="give a number of gigabytes, such as 20"):
            fulltext.attach(project, 1, "c.pdf", PDF + b"c", reviewer="ann")
    monkeypatch.delenv("TRIAGE_ATTACHMENTS_GB")
    fulltext.attach(project, 1, "c.pdf", PDF + b"c", reviewer="ann")


def test_a_record_has_so_many_files_and_one_can_take_the_place_of_another(project, monkeypatch):
    monkeypatch.setattr("triage.project.attachments.MOST_OF_RECORD", 2)
    first, _ = fulltext.attach(project, 1, "a.pdf", PDF, reviewer="ann")
    fulltext.attach(project, 1, "b.pdf", PDF + b"b", reviewer="ann")
    with pytest.raises(InputError, match="Record 1 has 2 files, and at most 2 can be attached to one"):
        fulltext.attach(project, 1, "c.pdf", PDF + b"c", reviewer="ann")
    assert not fulltext.attach(project, 1, "a.pdf", PDF, reviewer="ann")[1]
    fulltext.attach(project, 1, "c.pdf", PDF + b"c", reviewer="ann", replaces=[first.seq])
    assert [name for name, _ in attached(project)] == ["b.pdf", "c.pdf"]


@pytest.mark.parametrize("storage", ["file"])
def test_the_last_of_a_disk_is_left_to_decisions(project, monkeypatch):
    full = type("Usage", (), {"free": 500_000_000})
    monkeypatch.setattr("triage.project.attachments.shutil.disk_usage", lambda path: full)
    with pytest.raises(InputError, match="500,000,000 bytes left, which are kept for decisions"):
        fulltext.attach(project, 1, "a.pdf", PDF, reviewer="ann")
    assert not attached(project)
    project.log.decide("abstract", [{"record_id": 1, "label": Label.INCLUDE}], reviewer="ann")


def test_a_file_that_is_too_large_is_refused(project, monkeypatch):
    monkeypatch.setattr(fulltext, "MOST_BYTES", len(PDF))
    fulltext.attach(project, 1, "a.pdf", b"\xef\xbb\xbf\n " + PDF[5:0] + PDF[: len(PDF) - 5], reviewer="ann")
    with pytest.raises(InputError, match="make it smaller"):
        fulltext.attach(project, 1, "a.pdf", PDF + b" ", reviewer="ann")


# -- which record a file is of ------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, records",
    [
        ("1.pdf", [1]),
        ("0002.pdf", [2]),
        ("record 3.pdf", [3]),
        ("Record_4.PDF", [4]),
        ("#2.pdf", [2]),
        ("99.pdf", []),
        ("0.pdf", []),
        ("10.1016_S0140-6736(05)17709-5.pdf", [1]),
        ("10.1016%2FS0140-6736%2805%2917709-5.pdf", [1]),
        ("doi 10.1016-s0140-6736(05)17709-5 (1).pdf", [1]),
        ("S0140-6736(05)17709-5.pdf", [1]),
        ("s12888-020-02923-8.pdf", [2]),
        ("10.1016_S0140-6736.pdf", []),
        ("Jones-2012-Recovery colleges.pdf", [2]),
        ("Smith - 2001 - Peer support workers in community mental health a randomised trial.pdf", [1]),
        ("Smith_2001_Peer support workers in community mental.pdf", [1]),
        ("Recovery colleges and what their students say about them.pdf", [2]),
        ("Peer support.pdf", []),
        ("Editorial.pdf", []),
        ("1-s2.0-S0140673605177095-main.pdf", [1]),
        ("1-s2.0-S0140673605177096-main.pdf", []),
        ("Smith 2001.pdf", [1]),
        ("Smith et al., 2001.pdf", [1]),
        ("smith2001.pdf", [1]),
        ("Smith & Jones, 2001.pdf", [1]),
        ("Smith_2001a.pdf", [1]),
        ("Smith et al. (2001) [2].pdf", [1]),
        ("2001 Smith.pdf", [1]),
        ("Smith 2002.pdf", []),
        ("Peer 2001.pdf", []),
        ("2001.pdf", []),
        (".pdf", []),
        ("\u202e.pdf", []),
    ],
)
@pytest.mark.parametrize("storage", ["file"])
def test_which_record_a_files_name_means(project, name, records):
    assert record_named(Known(project), name).records == records


@pytest.mark.parametrize("storage", ["file"])
def test_a_name_of_two_records_is_of_none_until_they_are_one(place, tmp_path):
    with Project.create(place("two"), PROTOCOL) as project:
        (tmp_path / "a.ris").write_text(RECORDS[: RECORDS.index("TY  - JOUR", 5)], encoding="utf-8")
        (tmp_path / "b.ris").write_text(RECORDS, encoding="utf-8")
        intake.import_files(project, [tmp_path / "a.ris", tmp_path / "b.ris"], reviewer="ann")
        known = Known(project)
        found = match(known, "10.1016_S0140-6736(05)17709-5.pdf")
        assert found.record_id is None and "records 1, 2;" in found.message
        project.log.link([(2, 1, "same DOI")], reviewer="ann")
        assert match(known, "10.1016_S0140-6736(05)17709-5.pdf").record_id == 1


# -- the command --------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["file"])
def test_a_folder_is_attached_by_its_names_and_what_is_left_is_told(project, tmp_path, capsys):
    folder = tmp_path / "pdfs" / "deep"
    folder.mkdir(parents=True)
    for name, content in (
        ("1.pdf", PDF),
        ("s12888-020-02923-8.pdf", PDF + b"2"),
        ("2.pdf", PDF + b"supplement"),
        ("who knows.pdf", PDF),
        ("3.pdf", b"<html>log in"),
        ("4.txt", PDF),
        (".5.pdf", PDF),
    ):
        (folder / name).write_bytes(content)

    def run(*arguments):
        code = cli.run(["attach", str(project.path), *map(str, arguments), "--reviewer", "ann", "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else said.err

    code, told = run(tmp_path / "pdfs")
    assert code == 0
    assert [(f["record_id"], f["file"].rsplit("/", 1)[-1]) for f in told["attached"]] == [
        (1, "1.pdf"),
        (2, "2.pdf"),
        (2, "s12888-020-02923-8.pdf"),
    ]
    assert [(f["file"].rsplit("/", 1)[-1], "web page" in f["message"]) for f in told["not_attached"]] == [
        ("3.pdf", True),
        ("who knows.pdf", False),
    ]
    assert (told["stage"], told["records"], told["without"]) == ("abstract", 4, [3, 4])
    n_events = len(project.log.events())
    code, told = run(tmp_path / "pdfs")
    assert (
        code == 0 and not told["attached"] and len(told["already_there"]) == 3 and len(project.log.events()) == n_events
    )
    # To a record, however the file is named.
    code, told = run(folder / "who knows.pdf", "--record", 3)
    assert code == 0 and [f["record_id"] for f in told["attached"]] == [3] and told["without"] == [4]
    code, told = run(folder / "1.pdf", folder / "who knows.pdf", "--record", 2, "--replace")
    assert attached(project, 2) == [("1.pdf", "ann")]
    before = len(project.log.events())
    for arguments, said in (
        ((folder / "3.pdf",), "not a PDF"),
        ((folder / "1.pdf", "--record", 99), "no record 99"),
        ((folder / "no.pdf",), "cannot be read"),
        ((folder / "2.pdf", folder / "4.txt", folder / "3.pdf"), "not a PDF"),
        (("--record", 1), "FILE"),
    ):
        code, err = run(*arguments)
        assert code == 2 and said in err and len(project.log.events()) == before
    # Without files: which records have none.
    assert run()[1]["without"] == [4]
    seq = project.live().attachments(1)[0].seq
    assert cli.run(["undo", str(project.path), "--event", str(seq)]) == 0
    capsys.readouterr()
    assert run()[1]["without"] == [1, 4]


# -- reasons at the full text, in the figure ----------------------------------------------------

TWO_STAGES = """
[[stages]]
name = "abstract"
[[stages]]
name = "full-text"
reasons = [{ code = "NOTEXT", text = "No full text" }, { code = "DESIGN", text = "No trial" }, { code = "DATA", text = "No data" }]
not_retrieved = "NOTEXT"
"""


@pytest.fixture
def at_full_text(place, tmp_path):
    with Project.create(place("stages"), TWO_STAGES) as project:
        (tmp_path / "pubmed.ris").write_text(sample_ris(8), encoding="utf-8")
        intake.import_files(project, [tmp_path / "pubmed.ris"], reviewer="ann")
        project.log.decide("abstract", [{"record_id": i, "label": Label.INCLUDE} for i in range(1, 9)], reviewer="ann")

        def exclude(record_id, reason, reviewer="ann"):
            project.log.decide(
                "full-text", [{"record_id": record_id, "label": Label.EXCLUDE, "reason": reason}], reviewer=reviewer
            )

        for record_id, reason in ((1, "NOTEXT"), (2, "NOTEXT"), (3, "DATA"), (4, "DESIGN"), (5, "my own"), (6, "")):
            exclude(record_id, reason)
        # Of two people's reasons the one of higher priority counts, whoever was first; one of the protocol's before any other.
        exclude(3, "DESIGN", "bob")
        exclude(4, "DATA", "bob")
        exclude(5, "DATA", "bob")
        project.log.decide("full-text", [{"record_id": i, "label": Label.INCLUDE} for i in (7, 8)], reviewer="ann")
        yield project


@pytest.mark.parametrize("storage", ["file"])
def test_reasons_count_by_their_priority_and_what_was_not_retrieved_apart(at_full_text):
    from triage import report
    from triage.flow import NO_REASON, flow

    counted = flow(at_full_text.snapshot())
    stage = counted.stages[1]
    assert stage.excluded == {"NOTEXT": 2, "DESIGN": 2, "DATA": 1, NO_REASON: 1} and stage.n_not_retrieved == 2
    assert counted.stages[0].n_not_retrieved == 0
    texts = report.reason_texts(at_full_text.protocol())
    figure = report.flow_figure(counted, texts)
    assert "Reports not retrieved" in figure and "No full text" not in figure
    said = re.sub("<[^>]+>", " ", figure)
    assert re.search(r"Reports not retrieved \(n\s=\s2\)", said) and re.search(r"Records excluded \(n\s=\s4\)", said)
    # The stages as one still tell them apart.
    assert "Reports not retrieved" in report.flow_figure(counted, texts, hide=["abstract"])


@pytest.mark.parametrize("storage", ["file"])
def test_the_table_for_prisma_counts_sought_not_retrieved_and_assessed(at_full_text, tmp_path):
    from triage import report, status

    report.write_report(at_full_text.snapshot(), tmp_path / "prisma.csv", status.status(at_full_text.snapshot()))
    with (tmp_path / "prisma.csv").open(encoding="utf-8", newline="") as file:
        n = {row["data"]: row["n"] for row in csv.DictReader(file)}
    assert [n[key] for key in ("dbr_sought_reports", "dbr_notretrieved_reports", "dbr_assessed", "new_studies")] == [
        "8",
        "2",
        "6",
        "2",
    ]
    assert "No full text" not in n["dbr_excluded"] and "No trial, 2" in n["dbr_excluded"]


@pytest.mark.parametrize("storage", ["file"])
def test_not_retrieved_names_a_reason_of_its_stage(place):
    with pytest.raises(InputError, match="not_retrieved must be the code of one of the stage's reasons"):
        Project.create(place("wrong"), TWO_STAGES.replace('"NOTEXT"\n', '"NOPDF"\n'))


def test_attached_files_are_written_out_and_can_be_attached_again(tmp_path):
    (tmp_path / "a.ris").write_text(RECORDS, encoding="utf-8")
    intake.new(tmp_path / "r.triage", None)
    with Project.open(tmp_path / "r.triage") as project:
        intake.import_files(project, [tmp_path / "a.ris"], reviewer="ann")
        for record_id, content in ((1, PDF), (1, PDF + b"%2\n"), (3, PDF)):
            project.attachments.attach(record_id, "x.pdf", content, reviewer="ann")
        out = tmp_path / "out"
        names = ["record 1.pdf", "record 1 (2).pdf", "record 3.pdf"]
        for _ in range(2):  # again, it writes nothing else
            assert [path.name for path in fulltext.write_files(project, out)] == names
        assert [(out / name).read_bytes() for name in names] == [PDF, PDF + b"%2\n", PDF]
        known = Known(project)
        assert [record_named(known, name).records for name in names] == [[1], [1], [3]]
        (out / "record 3.pdf").write_bytes(b"mine")
        with pytest.raises(InputError, match="another file"):
            fulltext.write_files(project, out)
        assert (out / "record 3.pdf").read_bytes() == b"mine"
        with pytest.raises(InputError, match="cannot be written"):
            fulltext.write_files(project, tmp_path / "a.ris" / "x")
