"""Files read in a process of their own: the same records, and whatever happens to that process, one clear sentence."""

import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from itertools import islice
from pathlib import Path

import pytest
from cli_helpers import *  # noqa: F403
from conftest import sample_ris
from test_formats_hostile import FILES, SAMPLES, make_table

from triage import formats
from triage.errors import InputError
from triage.formats import Problem, apart, child
from triage.records import Record


@pytest.fixture
def triage(a_triage):
    return a_triage


@pytest.fixture
def review(a_review):
    return a_review


@pytest.fixture(autouse=True)
def _no_process_left():
    yield
    apart.end_idle()


def ris(tmp_path, n=3, name="a.ris"):
    path = tmp_path / name
    path.write_text(sample_ris(n), encoding="utf-8")
    return path


# -- the same as here --------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SAMPLES, "x.xlsx", "x.parquet", "x.asreview", "odd.csv", "latin.ris"])
def test_what_is_read_apart_is_what_is_read_here(tmp_path, name):
    path = tmp_path / name
    if name in SAMPLES:
        path.write_text(SAMPLES[name].format("an abstract"), encoding="utf-8")
    elif name.endswith((".xlsx", ".parquet")):
        make_table(path)
    elif name == "x.asreview":
        path = FILES / "version3.asreview"
    elif name == "odd.csv":  # a problem, warnings, blank rows, and labels
        path.write_text("title,abstract,label\nOne,a,1\n\n,,,,\nonly words here\nTwo,b,0,more\n", encoding="utf-8")
    else:
        path.write_bytes("TY  - JOUR\nTI  - Caf\xe9\nXX  - \nER  - \n".encode("cp1252"))
    assert apart.read(path) == formats.read(path)
    if path.suffix in (".csv", ".xlsx", ".parquet"):
        kind = path.suffix[1:]
        labelled = apart.read(path, kind, "title"), formats.read(path, kind, "title")
        assert labelled[0] == labelled[1] and labelled[0].labels
        header, rows = apart.rows_under_header(path, kind)
        assert [header, *rows] == [(found := formats.rows_under_header(path, kind))[0], *found[1]]
        assert apart.blank_rows(path, kind) == formats.tables.blank_rows(path, kind)

        def is_header(cells):
            return "title" in cells

        (unit, names, rows, tally), here = apart.open_table(path, is_header), formats.open_table(path, is_header)
        assert (unit, names, list(rows)) == (here[0], here[1], list(here[2])) and tally.warnings == here[3].warnings


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("none.ris", None),
        ("empty.ris", b""),
        ("x.pdf", b"%PDF-1.4"),
        ("x.xlsx", b"PK\3\4 no"),
        ("half.csv", b'title\n"a'),
    ],
)
def test_what_is_refused_here_is_refused_apart_in_the_same_words(tmp_path, name, content):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    for read in (
        lambda there: there.read(path),
        lambda there: list(there.open_records(path, "ris")),
        lambda there: there.open_table(path, any),
    ):
        said = []
        for there in (formats, apart):
            try:
                said.append(read(there) and "read")
            except InputError as error:
                said.append((error.message, error.details))
        assert said[0] == said[1]


def test_a_path_is_that_of_the_folder_at_the_time(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.ris").write_text(f"TY  - JOUR\nTI  - {name}\nER  - \n", encoding="utf-8")
        monkeypatch.chdir(tmp_path / name)
        assert [r.title for r in apart.read(Path("a.ris")).records] == [name]


def test_records_stream_in_bounded_memory(tmp_path):
    """Of 60 MiB of records the reading program never holds more than a few batches, and it sees how far it is."""
    path = tmp_path / "big.ris"
    record = f"TY  - JOUR\nTI  - One\nAB  - {'word ' * 2000}\nER  - \n\n"
    path.write_text(record * 6000, encoding="utf-8")
    code = """
        import resource, sys
        from pathlib import Path
        from triage.formats import apart
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        stream = apart.open_records(Path(sys.argv[1]))
        parts = [stream.fraction for _ in stream]
        assert len(parts) == 6000 == stream.announced and parts == sorted(parts) and 0 < parts[3000] < 1
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 20


def test_one_process_serves_small_files_and_several_at_the_same_time_have_their_own(tmp_path):
    path = ris(tmp_path)
    apart.read(path)
    process = apart._Process.idle[0]
    apart.read(path)
    assert apart._Process.idle == [process]
    streams = [iter(apart.open_records(path)) for _ in range(3)]
    firsts = [next(stream).found.title for stream in streams]
    assert len(set(firsts)) == 1 and not apart._Process.idle
    assert [len(list(stream)) for stream in streams] == [2, 2, 2]
    assert len(apart._Process.idle) == 1
    found = []
    threads = [threading.Thread(target=lambda: found.append(apart.read(path).announced)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [3] * 4


def test_a_process_that_ended_meanwhile_is_replaced(tmp_path):
    path = ris(tmp_path)
    apart.read(path)
    apart._Process.idle[0]._popen.kill()
    apart._Process.idle[0]._popen.wait()
    assert apart.read(path).announced == 3
    apart._Process.idle[0]._idle_since = -1e9  # it is about to end by itself
    assert apart.read(path).announced == 3


def test_a_reading_that_is_given_up_leaves_no_process(tmp_path):
    path = ris(tmp_path, 2000)
    stream = apart.open_records(path)
    process = stream_process(stream)
    assert len(list(islice(stream, 5))) == 5
    assert process.poll() is None
    del stream
    assert process.poll() is not None
    _, rows = apart.rows_under_header(FILES / "asreview_data.csv", "csv")  # never begun
    del rows
    assert not apart._Process.idle


def stream_process(stream):
    reading = stream._items.__reduce__()[1][1].gi_frame.f_locals["self"]
    return reading._process._popen


# -- what may happen ----------------------------------------------------------------------------

# Put in the place of the reader of RIS in the other process.
READERS = {
    "memory": "held = [bytes(2**20) for _ in range(10_000)]",
    "abort": "os.abort()",
    "crash": "import ctypes; ctypes.string_at(8)",
    "exit": "os._exit(3)",
    "killed": "os.kill(os.getpid(), 9)",
    "time": "while True: pass",
    "deaf": "import ctypes; ctypes.PyDLL(None).sleep(600)",  # the interpreter's lock is held
    "fault": "raise KeyError('a part')",
    "panic": "raise type('PanicException', (BaseException,), dict())('index out of range')",
    "disk": "raise OSError(28, 'No space left on device')",
    "print": "print('TY  - JOUR'); os.write(1, b'xxxxxxxxxxxxxxxx'); input()",
    "huge": "yield Item(7, Record(title='x' * 2**27), '')",
    "endless": "while True: tally.announced += 1; yield Item(7, Record(title='x' * 2**20), '')",
    "message": "yield Item(7, Record(title=object()), '')",
}


@pytest.fixture
def reader(monkeypatch):
    """Give a function that puts another reader in the place of that of RIS, in the other process."""

    def put(body, before=""):
        code = f"""
import os, sys; sys.path[:] = {{path!r}}
from triage import formats; from triage.formats import child; from triage.formats.common import Item
from triage.records import Record
def records(path, tally):
    if 'bad' not in path.name:
        yield from good(path, tally)
        return
    {body}
    yield
good = formats._READERS['ris']; formats._READERS['ris'] = records
{before}
child.main(); os._exit(0)
"""
        monkeypatch.setattr(apart, "_CODE", code)

    return put


def limits(monkeypatch, **changes):
    whole = apart.Limits.of(0)
    least = {name: changes.get(name, getattr(whole, name)) for name in ("memory", "seconds", "silence", "written")}
    monkeypatch.setattr(apart.Limits, "of", classmethod(lambda cls, size: cls(**least)))


@pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("memory", "more memory than a file of its size should, over 384 MiB"),
        ("abort", "more memory than"),
        ("killed", "more memory than"),
        ("crash", r"broke off \(signal 11\)"),
        ("exit", r"broke off \(exit code 3\)"),
        ("time", "more time than a file of its size should, over 1 seconds? of computing"),
        ("deaf", "over 1 seconds? without any progress"),
        ("fault", r"damaged in a way that its reader does not know \(KeyError: 'a part'\)"),
        ("panic", r"PanicException: index out of range"),
        ("disk", "No space left on device"),
        ("print", "EOFError|EOF when"),
        ("huge", "line 7: a record of 128 MiB"),
        ("endless", "holds more than 128 MiB of records"),
        ("message", "ValueError: unmarshallable object"),
    ],
)
def test_whatever_becomes_of_the_reader_it_is_said_in_a_sentence(tmp_path, monkeypatch, reader, kind, said):
    reader(READERS[kind])
    if kind in ("time", "deaf"):
        limits(monkeypatch, **{"seconds" if kind == "time" else "silence": 1.0})
    bad, good = ris(tmp_path, name="bad.ris"), ris(tmp_path)
    started = time.monotonic()
    with pytest.raises(InputError, match=said) as refused:
        apart.read(bad, "ris")
    assert time.monotonic() - started < 20
    message = str(refused.value)
    assert str(bad) in message and "\n" not in message and len(message) < 400 and "xport" in message
    assert apart.read(good).announced == 3  # a bad file ends no reading but its own


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_system_without_a_limit_for_memory_is_watched(tmp_path, reader):
    reader(
        "held = [b'x' * 2**20 for _ in range(1000)]\n    import time; time.sleep(60)",
        before="child.address_space = lambda: None",
    )
    started = time.monotonic()
    with pytest.raises(InputError, match="more memory than a file of its size should"):
        apart.read(ris(tmp_path, name="bad.ris"), "ris")
    assert time.monotonic() - started < 30


def test_the_limits_grow_with_the_file():
    small, large = apart.Limits.of(1000), apart.Limits.of(50 * 2**20)
    assert small.seconds < 10 and small.memory < 400 * 2**20
    assert large.memory + 100 * 2**20 < 2**30 and large.written < 2**30
    assert small.seconds < large.seconds < large.silence and small.written < large.written


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("kind", ["time", "deaf"])
def test_an_import_ends_at_an_interrupt_within_two_seconds(triage, review, reader, kind):
    review(3)
    before = (triage.folder / "r.triage").read_bytes()
    ris(triage.folder, name="bad.ris")
    reader(f"open('begun', 'w').close(); print(end='')\n    {READERS[kind]}")
    program = f"""
import sys; from triage.formats import apart; apart._CODE = {apart._CODE!r}
sys.argv = ['triage', 'import', 'r.triage', 'bad.ris', '--format', 'ris']
from triage.cli import main; main()
"""
    running = subprocess.Popen(
        [sys.executable, "-c", program], cwd=triage.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while not (triage.folder / "begun").exists() and time.monotonic() < until:
        time.sleep(0.02)
    others = children(running.pid)
    started = time.monotonic()
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert time.monotonic() - started < 2
    assert (running.returncode, out) == (130, "") and "Interrupted" in err and "Traceback" not in err
    assert others and not any(map(alive, others))
    assert (triage.folder / "r.triage").read_bytes() == before


def children(pid):
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(word) for word in listed.stdout.split()]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return not state.startswith("Z") and bool(state.strip())


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_what_a_killed_reader_unpacked_is_removed(tmp_path, monkeypatch, reader):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    reader(
        "", before="import triage.formats.asreview as a\na._results = lambda project, tally: os.kill(os.getpid(), 9)"
    )
    with pytest.raises(InputError, match="memory"):
        apart.read(FILES / "version3.asreview")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_halves_of_characters_come_as_a_mark_and_can_be_written_again(triage, review):
    """JSON may name what no encoding can hold; such a title could be imported but never exported."""
    rest = json.dumps({"title": "One \ud83d", "extra": {"A\udc00": ["\ud83d\ude00 \ud800", "\ud55c\uad6d"]}})
    (triage.folder / "s.ris").write_text(f"TY  - JOUR\nTI  - x\nN1  - triage_fields {rest}\nER  - \n", encoding="utf-8")
    project(
        triage.folder / "s.asreview",
        f"{RESULTS} {RECORD} INSERT INTO record (record_id, title, authors) VALUES (1, 'Two', '[\"\\ud800x\"]')",
    )
    record = apart.read(triage.folder / "s.ris").records[0]
    assert record.title == "One \ufffd" and record.extra == {"A\ufffd": ("\U0001f600 \ufffd", "\ud55c\uad6d")}
    review(2)
    triage("import", "r.triage", "s.ris", "s.asreview")
    for ending in ("ris", "csv", "bib", "xlsx"):
        triage("export", "r.triage", "-o", f"o.{ending}")
    assert "\ufffdx" in (triage.folder / "o.csv").read_text(encoding="utf-8")


# -- the other side, in this process --------------------------------------------------------------


def asked(work, path, *arguments, answers=()):
    """Return the messages that the other side gives to one question."""
    questions, told = io.BytesIO(), io.BytesIO()
    for one in answers:
        child.send(questions, one)
    questions.seek(0)
    child.answer((work, os.getcwd(), str(path), arguments, {}, 2**30, 1000.0, 2**20), questions, told)
    told.seek(0)
    return list(iter(lambda: child.receive(told), None))


def test_the_messages_of_the_other_side(tmp_path):
    path = ris(tmp_path)
    begin, found, end = asked("records", path, "auto", None)
    assert begin == ("begin", ("ris",)) and found[0] == "found" and found[2:] == (3, 1.0) and end == ("end", [])
    items = [child.item_of(child.marshal.loads(one)) for one in found[1]]
    assert items == list(formats.open_records(path))
    (tmp_path / "d.csv").write_text("about\nrecord_id,label\n1,include\n", encoding="utf-8")
    said = asked("table", tmp_path / "d.csv", answers=(False, True))
    assert [one[0] for one in said] == ["ask", "ask", "begin", "found", "end"]
    assert said[2] == ("begin", ("line", ["record_id", "label"]))
    assert asked("rows", FILES / "asreview_data.csv", "csv")[0][1][0][:2] == ["title", "abstract"]
    assert [one[0] for one in asked("blank", tmp_path / "d.csv", "csv")] == ["begin", "found", "end"]
    assert asked("records", tmp_path / "none.ris", "auto", None)[0][0] == "refused"
    assert asked("nothing of the kind", path) == [("failed", "KeyError: 'nothing of the kind'")]


def test_the_other_side_gives_up_on_memory_and_on_records_past_measure(tmp_path, monkeypatch):
    path = ris(tmp_path)

    def greedy(path, tally):
        yield from ()
        raise MemoryError

    monkeypatch.setitem(formats._READERS, "ris", greedy)
    assert asked("records", path, "ris", None)[-1] == ("memory",)
    for record in (Record(title="x" * 2**22), Record(title="x" * 2**20)):
        monkeypatch.setattr(child, "_RECORD", 2**21)
        monkeypatch.setitem(formats._READERS, "ris", lambda path, tally: iter([formats.Item(1, record)]))
        assert asked("records", path, "ris", None)[-1][0] == "refused"
    problem = formats.Item(4, Problem(5, "broken"), "")
    assert child.item_of(child.flat(problem)) == problem


def test_a_broken_message_is_no_message():
    for content in (b"", b"\0\0", b"\0\0\0\5ab"):
        assert child.receive(io.BytesIO(content)) is None
    for content in (b"\xff\xff\xff\xff", b"\0\0\0\1(", b"\0\0\0\2\0\0"):
        with pytest.raises(ValueError):
            child.receive(io.BytesIO(content))


def test_the_program_answers_until_nobody_asks(tmp_path):
    path = ris(tmp_path)
    code = "from triage.formats import child; child.main()"
    questions = io.BytesIO()
    for name in ("a.ris", "none.ris"):
        child.send(questions, ("records", str(path.parent), name, ("auto", None), {}, 2**30, 1000.0, 2**20))
    done = subprocess.run([sys.executable, "-c", code], input=questions.getvalue(), capture_output=True, timeout=60)
    told = io.BytesIO(done.stdout)
    assert [one[0] for one in iter(lambda: child.receive(told), None)] == ["begin", "found", "end", "refused"]
    assert (done.returncode, done.stderr) == (0, b"")


# -- files made to do harm, through the commands -----------------------------------------------------


def laughing(path):
    macros = "@string{m0 = {abcdefghij}}\n" + "".join(
        f"@string{{m{i} = {' # '.join([f'm{i - 1}'] * 10)}}}\n" for i in range(1, 12)
    )
    path.write_text(f"{macros}@article{{x, title = m11}}\n", encoding="utf-8")


def laughing_wide(path):
    """Many values of a macro that is short enough by itself."""
    macros = f"@string{{m = {{{'x' * 90_000}}}}}\n"
    path.write_text(macros + "".join(f"@article{{a{i}, title = m}}\n" for i in range(2000)), encoding="utf-8")


def workbook(path, sheet, strings="<si><t>title</t></si><si><t>One</t></si>", place="xl/worksheets/sheet1.xml"):
    names = "http://schemas.openxmlformats.org"
    main, rels = f"{names}/spreadsheetml/2006/main", f"{names}/officeDocument/2006/relationships"
    kinds = f"{names}/package/2006/relationships"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("[Content_Types].xml", f'<Types xmlns="{names}/package/2006/content-types"/>')
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{kinds}"><Relationship Id="a" Type="{rels}/officeDocument" Target="xl/workbook.xml"/>'
            "</Relationships>",
        )
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{rels}"><sheets><sheet name="s" sheetId="1" r:id="b"/></sheets></workbook>',
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{kinds}"><Relationship Id="b" Type="{rels}/worksheet" Target="{place[3:]}"/>'
            f'<Relationship Id="c" Type="{rels}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
        )
        book.writestr("xl/sharedStrings.xml", f'<sst xmlns="{main}">{strings}</sst>')
        book.writestr(place, f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>')


FIRST = "<row r='1'><c r='A1' t='s'><v>0</v></c></row>"


def repeated_string(path):
    cells = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>1</v></c></row>' for n in range(2, 40_000))
    workbook(path, FIRST + cells, f"<si><t>title</t></si><si><t>{'x' * 30_000}</t></si>")


def dictionary(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    n = 50_000
    abstracts = pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), pa.array(["x" * 100_000]))
    pq.write_table(pa.table({"title": [str(i) for i in range(n)], "abstract": abstracts}), path, compression="zstd")


RECORD = "CREATE TABLE record (record_id, dataset_row, title, abstract, authors, keywords, year, doi, url);"
RESULTS = "CREATE TABLE results (record_id, label);"


def project(path, script, damage=lambda content: content):
    database = path.with_suffix(".db")
    with sqlite3.connect(database) as connection:
        connection.executescript(script)
    connection.close()
    content = damage(database.read_bytes())
    database.unlink()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("project.json", json.dumps({"version": "3.0", "reviews": [], "datasets": []}))
        archive.writestr("results.db", content)


def endless_view(path):
    project(
        path,
        f"{RESULTS} CREATE VIEW record AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS "
        "record_id, x AS dataset_row, 't' title, '' abstract, '' authors, '' keywords, 2020 year, '' doi, '' url FROM c",
    )


def view_of_labels(path):
    project(
        path,
        f"{RECORD} CREATE VIEW results AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
        "SELECT x AS record_id, 1 AS label FROM c WHERE x < 0",
    )


def computed_column(path):
    """A column of a gigabyte that is computed when it is read."""
    project(
        path,
        f"{RESULTS} CREATE TABLE record (record_id, dataset_row, title AS (hex(zeroblob(400000000))), abstract, authors, "
        "keywords, year, doi, url); INSERT INTO record (record_id) VALUES (1)",
    )


def slow_column(path):
    """A column that takes hours to compute, of few bytes."""
    title = "x"
    for _ in range(7):
        title = f"replace(hex({title}), '7', hex({title}))" if len(title) < 40_000 else title
    rows = "INSERT INTO record (record_id, abstract) WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c"
    project(
        path,
        f"{RESULTS} CREATE TABLE record (record_id, dataset_row, x, title AS ({title}), abstract, authors, keywords, year, "
        f"doi, url); {rows} WHERE x < 5) SELECT x, 'a' FROM c; UPDATE record SET x = hex(zeroblob(1000))",
    )


def broken_text(path):
    project(
        path,
        f"{RESULTS} {RECORD} INSERT INTO record (record_id, title) VALUES (1, 'brokentext')",
        lambda content: content.replace(b"brokentext", b"\xff\xfe\xc3\xc3roken"),
    )


def broken_schema(path):
    project(
        path,
        f"{RESULTS} {RECORD} INSERT INTO record (record_id, title) VALUES (1, 'x')",
        lambda content: content.replace(b"CREATE TABLE record", b"CREATE T\xff\xfe\xc3\xc3 ecord"),
    )


def nested_authors(path):
    project(path, f"{RESULTS} {RECORD} INSERT INTO record (record_id, authors) VALUES (1, '{'[' * 100_000}')")


def far_cell(place):
    def make(path):
        workbook(path, f"{FIRST}{place}")

    return make


HOSTILE = {
    "nested.bib": (laughing, "macros"),
    "wide.bib": (laughing_wide, "macros"),
    "single quotes.xlsx": (far_cell("<row r='1048576'><c r='XFD1048576' t='s'><v>1</v></c></row>"), "spans"),
    "late attribute.xlsx": (
        far_cell(f"<row><c t='s' s='{'0' * 300}1' r = \"XFD1048576\" ><v>1</v></c></row>"),
        "spans",
    ),
    "cut in two.xlsx": (
        lambda path: workbook(path, FIRST + " " * (2**20 - 230) + "<row><c r='XFD1048576' t='s'><v>1</v></c></row>"),
        "spans",
    ),
    "elsewhere.xlsx": (
        lambda path: workbook(path, f"{FIRST}<row><c r='XFD1048576' t='s'><v>1</v></c></row>", place="xl/a.xml"),
        "spans",
    ),
    "overflow.xlsx": (far_cell(f"<row><c r='B{'2' * 50}'><v>1</v></c></row>"), "spans"),
    "letters.xlsx": (far_cell(f"<row><c r='{'A' * 40}2'><v>1</v></c></row>"), "spans"),
    "rows.xlsx": (
        lambda path: workbook(
            path, f"<row><c r='AAA1' t='s'><v>0</v></c></row><row r='1048576'>{'<c><v>1</v></c>' * 800}</row>"
        ),
        "spans",
    ),
    "repeated.xlsx": (repeated_string, "memory"),
    "dictionary.parquet": (dictionary, "MiB of records"),
    "endless.asreview": (endless_view, "views"),
    "labels.asreview": (view_of_labels, "views"),
    "computed.asreview": (computed_column, "too big"),
    "broken text.asreview": (broken_text, "damaged"),
    "broken schema.asreview": (broken_schema, "damaged"),
    "authors.asreview": (nested_authors, ""),
}


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_made_to_do_harm_is_refused_in_a_sentence(triage, review, name):
    make, said = HOSTILE[name]
    make(triage.folder / name)
    review(2)
    assert (triage.folder / name).stat().st_size < 2**20
    started = time.monotonic()
    if not said:
        assert triage.json("import", "r.triage", name)["files"][0]["announced"] == 1
    else:
        told = triage.refused("import", "r.triage", name)
        assert name in told and re.search(said, told), told
    assert time.monotonic() - started < 10


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize(
    "command",
    [
        ("label", "r.triage", "repeated.xlsx"),
        ("simulate", "repeated.xlsx", "--label-column", "title"),
        ("import", "r.triage", "a.ris", "repeated.xlsx"),
        ("import", "r.triage", "--machine", "m 1", "repeated.xlsx"),
    ],
)
def test_every_command_that_reads_files_of_others_refuses_one(triage, review, command):
    repeated_string(triage.folder / "repeated.xlsx")
    review(2)
    assert "repeated.xlsx was not read" in triage.refused(*command)


def test_a_sheet_whose_last_rows_are_merely_formatted_is_read(tmp_path):
    cells = "".join(f"<c r='{letter}1' t='s'><v>0</v></c>" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    rows = f"<row r='1'>{cells}</row><row r='2'><c r='A2' t='s'><v>1</v></c></row><row r='1048576' ht='20'></row>"
    workbook(tmp_path / "x.xlsx", rows)
    assert [record.title for record in formats.read(tmp_path / "x.xlsx").records] == ["One"]
