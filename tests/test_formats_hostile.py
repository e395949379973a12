"""Files that are damaged or made to harm: a clear refusal within bounded memory, and never a lost record."""

import json
import os
import struct
import subprocess
import sys
import textwrap
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from triage import formats
from triage.errors import InputError

FILES = Path(__file__).parent / "files"


def read(tmp_path, content, name="x.txt", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return formats.read(path, **options)


# -- XML --------------------------------------------------------------------------------------

RECORD = '<record><ref-type name="Journal Article">17</ref-type><titles><title>{}</title></titles></record>'


@pytest.mark.parametrize(
    "declared",
    [
        '<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">',
        '<!ENTITY c SYSTEM "file:///etc/passwd">',
        '<!ENTITY % p SYSTEM "http://127.0.0.1:1/x.dtd"> %p;',
    ],
)
def test_a_file_that_declares_entities_is_refused(tmp_path, declared):
    with pytest.raises(InputError, match="declares XML entities"):
        read(
            tmp_path,
            f"<?xml version='1.0'?><!DOCTYPE xml [{declared}]><xml><records>{RECORD.format('&c;')}</records></xml>",
            "x.xml",
        )


def test_entities_declared_where_none_may_be_do_nothing(tmp_path):
    text = f"<xml><records>{RECORD.format('One')}<!DOCTYPE x [<!ENTITY c 'ha'>]>{RECORD.format('&c;')}</records></xml>"
    assert [r.title for r in read(tmp_path, text, "x.xml").records] == ["One", "&c;"]


def test_an_unknown_document_type_is_never_fetched(tmp_path):
    text = f"<!DOCTYPE xml SYSTEM 'http://127.0.0.1:1/x.dtd'><xml><records>{RECORD.format('One')}</records></xml>"
    assert read(tmp_path, text, "x.xml").records[0].title == "One"


@pytest.mark.parametrize("depth", [150, 50_000])
def test_deep_nesting_is_a_problem_of_its_record(tmp_path, depth):
    deep = RECORD.format("<b>" * depth + "x" + "</b>" * depth)
    reading = read(tmp_path, f"<xml><records>{deep}{RECORD.format('One')}</records></xml>", "x.xml")
    assert reading.announced == 2 and [r.title for r in reading.records] == ["One"]
    assert "nested deeper" in reading.problems[0].message


def test_elements_of_records_in_one_another(tmp_path):
    reading = read(tmp_path, "<xml><records>" + "<record><titles>" * 500, "x.xml")
    assert reading.announced == 500 == len(reading.problems)


def test_nothing_but_nesting_is_refused(tmp_path):
    with pytest.raises(InputError, match="XML of no kind"):
        read(tmp_path, "<a>" * 300_000, "x.xml")


# -- sizes ------------------------------------------------------------------------------------

LONG = "x " * 3000
SAMPLES = {
    "x.ris": "TY  - JOUR\nTI  - One\nAB  - {}\nER  - \n\nTY  - JOUR\nTI  - Two\nER  - \n",
    "x.nbib": "PMID- 1\nTI  - One\nAB  - {}\n\nPMID- 2\nTI  - Two\n",
    "x.enw": "%0 Journal Article\n%T One\n%X {}\n\n%0 Book\n%T Two\n",
    "x.bib": "@article{{a, title = {{One}}, abstract = {{{}}}}}\n@article{{b, title = {{Two}}}}\n",
    "x.ciw": "FN X\nVR 1.0\nPT J\nTI One\nAB {}\nER\n\nPT J\nTI Two\nER\nEF\n",
    "x.xml": "<xml><records><record><titles><title>One</title></titles><abstract>{}</abstract></record>"
    "<record><titles><title>Two</title></titles></record></records></xml>",
    "x.csv": "title,abstract\nOne,{}\nTwo,b\n",
}
OPENINGS = {
    ".ris": "\nTY  - ",
    ".nbib": "\nPMID- ",
    ".enw": "\n%0 ",
    ".bib": "\n@",
    ".ciw": "\nPT J",
    ".xml": "<record>",
    ".csv": "\n",
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("text", [LONG, LONG.replace(" ", "\n   ")], ids=["line", "record"])
def test_a_line_or_record_past_the_limit_is_refused(tmp_path, monkeypatch, name, text):
    assert [r.title for r in read(tmp_path, SAMPLES[name].format("short"), name).records] == ["One", "Two"]
    if name == "x.csv":
        text = f'"{text}"'
    assert len(read(tmp_path, SAMPLES[name].format(text), name).records) == 2
    for module in ("text", "tagged", "xml_records", "tables"):
        monkeypatch.setattr(f"triage.formats.{module}.LONGEST", 2000)
    monkeypatch.setattr("triage.formats.text._CHUNK", 500)
    with pytest.raises(InputError, match="longer than 2,000 characters|2,000 characters without a tag"):
        read(tmp_path, SAMPLES[name].format(text), name)


BOUNDED = """
    import resource, sys, time
    resource.setrlimit(resource.RLIMIT_AS, (1_500 * 2**20, 1_500 * 2**20))
    from pathlib import Path
    from triage import formats
    from triage.errors import InputError
    try:
        formats.read(Path(sys.argv[1]))
    except InputError as error:
        print(error)
"""


def refused_within_bounds(path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BOUNDED), path], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and not done.stderr, done.stderr[-500:]
    return done.stdout


@pytest.mark.parametrize(
    "name, start",
    [
        ("x.ris", "TY  - JOUR\nTI  - "),
        ("x.csv", "title,abstract\nOne,"),
        ("x.xml", "<xml><records><record><title>"),
        ("x.bib", "@article{a, title = {"),
        ("x.nbib", "PMID- 1\nTI  - "),
    ],
)
def test_a_line_of_two_gigabytes(tmp_path, name, start):
    path = tmp_path / name
    path.write_text(start + "x" * 70_000)
    os.truncate(path, 2 * 2**30)  # a hole in the file: the rest reads as zeros
    assert "characters" in refused_within_bounds(path)


def bomb(path, member, *, gib, others=()):
    """Write a zip whose member is `gib` GiB of blanks, packed a thousandfold, and says that it is 1,000 bytes."""
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = pack.compress(b" " * 2**24) + pack.flush(zlib.Z_FULL_FLUSH)
    packed = block * (gib * 2**30 // 2**24) + pack.flush()
    with path.open("wb") as file:
        central = []
        for name, content, size in [(n, c, len(c)) for n, c in others] + [(member, packed, 1000)]:
            method = 8 if content is packed else 0
            central.append((name, file.tell(), method, len(content), size))
            file.write(
                struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, method, 0, 0, 0, len(content), size, len(name), 0)
                + name.encode()
                + content
            )
        start = file.tell()
        for name, at, method, packed_size, size in central:
            file.write(
                struct.pack(
                    "<4s6H3I5H2I",
                    b"PK\1\2",
                    20,
                    20,
                    0,
                    method,
                    0,
                    0,
                    0,
                    packed_size,
                    size,
                    len(name),
                    0,
                    0,
                    0,
                    0,
                    0,
                    at,
                )
                + name.encode()
            )
        file.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(central), len(central), file.tell() - start, start, 0))


def test_a_zip_bomb_as_a_workbook(tmp_path):
    bomb(tmp_path / "x.xlsx", "xl/worksheets/sheet1.xml", gib=3, others=[("xl/workbook.xml", b"<workbook/>")])
    assert (tmp_path / "x.xlsx").stat().st_size < 2**23
    assert "unpacks more than 500-fold" in refused_within_bounds(tmp_path / "x.xlsx")


def test_a_zip_bomb_as_a_project(tmp_path):
    project = json.dumps({"version": "3.0", "reviews": [], "datasets": [{"name": "x.csv"}]}).encode()
    bomb(tmp_path / "x.asreview", "results.db", gib=3, others=[("project.json", project)])
    assert "unpacks more than 500-fold" in refused_within_bounds(tmp_path / "x.asreview")
    bomb(tmp_path / "y.asreview", "project.json", gib=1)
    assert "unpacks to more than" in refused_within_bounds(tmp_path / "y.asreview")


def test_archives_are_bounded_whatever_they_say_of_themselves(tmp_path, monkeypatch):
    make_table(tmp_path / "x.xlsx")
    monkeypatch.setattr("triage.formats.workbooks._BYTES", 1000)
    with pytest.raises(InputError, match="unpacks to more than"):
        formats.read(tmp_path / "x.xlsx")
    monkeypatch.setattr("triage.formats.asreview._LARGEST", 10_000)
    with pytest.raises(InputError, match="unpacks to more than"):
        formats.read(FILES / "version3.asreview")


def test_archives_that_are_locked_or_packed_as_none_is_are_refused(tmp_path):
    """Neither a workbook nor a project packs by anything but deflation, and none that is encrypted can be read."""
    for name in ("x.xlsx", "x.asreview"):
        with (
            zipfile.ZipFile(FILES / "version2.asreview") as project,
            zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_BZIP2) as packed,
        ):
            for info in project.infolist() if name.endswith("asreview") else ():
                packed.writestr(info.filename, project.read(info))
            if name.endswith("xlsx"):
                packed.writestr("[Content_Types].xml", "<Types/>")
                packed.writestr("xl/workbook.xml", "<workbook/>")
                packed.writestr("xl/worksheets/sheet1.xml", "<worksheet/>")
        with pytest.raises(InputError, match="encrypted or packed in an unusual way"):
            formats.read(tmp_path / name)


def test_a_workbook_of_two_cells_far_apart(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    book.active["A1"], book.active["XFD1048576"] = "title", "x"
    book.save(tmp_path / "x.xlsx")
    with pytest.raises(InputError, match="1,048,576 rows and 16,384 columns"):
        formats.read(tmp_path / "x.xlsx")


@pytest.mark.parametrize(
    "name, kind",
    [
        ("word/document.xml", "Word document"),
        ("content.xml", "OpenDocument"),
        ("a.ris", "zip archive"),
        ("xl/workbook.bin", "binary Excel"),
    ],
)
def test_other_zip_archives_are_named(tmp_path, name, kind):
    with zipfile.ZipFile(tmp_path / "x.xlsx", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(InputError, match=kind):
        formats.read(tmp_path / "x.xlsx")


def test_a_project_writes_nowhere_but_in_its_own_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.asreview", "w") as archive:
        archive.writestr("project.json", json.dumps({"version": "1.0", "reviews": [], "dataset_path": "../../out.csv"}))
        archive.writestr("data/../../out.csv", "title\nOne\n")
    assert formats.read(tmp_path / "x.asreview").records[0].title == "One"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.asreview"] and not (tmp_path.parent / "out.csv").exists()


# -- anything at all --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rest",
    [
        "[" * 100_000,
        '{"title": ' * 50_000,
        '{"year": 1e999}',
        '{"year": -5}',
        '{"extra": {"a": 1}}',
        "null",
        '{"title": {"a": 1}}',
    ],
)
def test_a_remainder_that_we_did_not_write_is_a_note(tmp_path, rest):
    record = read(tmp_path, f"TY  - JOUR\nTI  - One\nN1  - triage_fields {rest}\nER  - \n", "x.ris").records[0]
    assert record.title in ("One", "{'a': 1}") and record.year is None


def holds_or_is_refused(path):
    try:
        reading = formats.read(path)
    except InputError as error:
        assert str(path) in str(error)
        return None
    assert reading.announced == len(reading.records) + len(reading.problems) > 0
    assert len(reading.lines) == len(reading.records) and all(n > 0 for n in reading.lines)
    assert reading.labels is None or len(reading.labels) == len(reading.records)
    return reading


PIECES = st.sampled_from(
    [
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        " ",
        "  - ",
        "TY  - JOUR\n",
        "\nTY - JOUR",
        "ER  - \n",
        "\nTI  - x",
        "\nPMID- 1\n",
        "\nPT J\n",
        "\nER\n",
        "EF",
        "\n%0 Book\n",
        "\n%T x",
        "\n@article{a,\n",
        "}",
        "{",
        "\n@string{",
        "\\",
        '"',
        "title = {x}",
        "<record>",
        "</record>",
        "<titles><title>x</title></titles>",
        "<!--",
        "-->",
        "&",
        "&x;",
        "<![CDATA[",
        "]]>",
        "<rec ",
        "</rec>",
        "<PubmedArticle>",
        "</PubmedArticle>",
        ",",
        ";",
        "\t",
        "title,abstract\n",
        '"a\nb"',
        "\ufeff",
        "\x00",
        "\u2028",
        "\x85",
        "\ud800",
        "\u540c",
        "'",
        "=1+1",
        "1.\n",
        "<1>\n",
        "N1  - triage_fields {}",
        "RAYYAN-INCLUSION: {",
        "ASReview_relevant",
    ]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=25).map("".join)


@settings(max_examples=400, deadline=None)
@given(text=TEXTS, name=st.sampled_from(list(SAMPLES)))
def test_any_text_is_read_whole_or_refused(tmp_path_factory, text, name):
    path = tmp_path_factory.getbasetemp() / f"any {name}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    holds_or_is_refused(path)


@settings(max_examples=400, deadline=None)
@given(data=st.data(), name=st.sampled_from(list(SAMPLES)))
def test_damage_hides_no_record(tmp_path_factory, data, name):
    """Pieces put into a good file, or cut out of it: what opens a record still counts, and is told."""
    text = SAMPLES[name].format("an abstract") * 3
    for _ in range(data.draw(st.integers(1, 4))):
        at, length = data.draw(st.integers(0, len(text))), data.draw(st.sampled_from([0, 0, 1, 5, 30]))
        text = text[:at] + data.draw(st.one_of(st.just(""), PIECES)) + text[at + length :]
    path = tmp_path_factory.getbasetemp() / f"damaged {name}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    holds_or_is_refused(path)


@settings(max_examples=300, deadline=None)
@given(
    content=st.binary(max_size=300),
    name=st.sampled_from([*SAMPLES, "x.xlsx", "x.xls", "x.parquet", "x.asreview"]),
    start=st.sampled_from(
        [
            b"",
            b"PK\3\4",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            b"PAR1",
            b"\xff\xfe",
            b"\xfe\xff",
            b"\xef\xbb\xbf",
            b"TY  - \xe9\n",
        ]
    ),
)
def test_any_bytes_are_read_whole_or_refused(tmp_path_factory, content, name, start):
    path = tmp_path_factory.getbasetemp() / f"bytes {name}"
    path.write_bytes(start + content)
    holds_or_is_refused(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), kind=st.sampled_from(["xlsx", "parquet", "asreview"]))
def test_damaged_archives_are_read_whole_or_refused(tmp_path_factory, data, kind):
    folder = tmp_path_factory.getbasetemp()
    good = folder / f"good.{kind}"
    if kind == "asreview":
        good = FILES / "version3.asreview"
    elif not good.exists():
        make_table(good)
    content = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = folder / f"damaged.{kind}"
    path.write_bytes(content)
    holds_or_is_refused(path)


def make_table(path):
    if path.suffix == ".xlsx":
        from openpyxl import Workbook

        book = Workbook()
        for row in (["title", "abstract"], ["One", "a"], ["Two", "b"]):
            book.active.append(row)
        book.save(path)
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table({"title": ["One", "Two"], "abstract": ["a", "b"]}), path)


@settings(max_examples=150, deadline=None)
@given(
    titles=st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12), min_size=1, max_size=6),
    ends=st.lists(
        st.sampled_from(["ER  - \n", "ER  -\n", "ER -\n", "", "ER  - \n\n", "ER  - \n\nLink to x\n\n"]),
        min_size=6,
        max_size=6,
    ),
    opens=st.sampled_from(["TY  - JOUR\n", "TY  -JOUR\n", "TY - JOUR\n"]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
    numbered=st.booleans(),
)
def test_ris_in_any_dress_keeps_every_title(tmp_path_factory, titles, ends, opens, line_end, encoding, numbered):
    text = ""
    for i, (title, end) in enumerate(zip(titles, ends), 1):
        text += (
            f"\n{i}.\n" if numbered else ""
        ) + f"{opens}TI  - {title}\nAB  - BACKGROUND: a.\nAB  - RESULTS: b.\n{end}"
    path = tmp_path_factory.getbasetemp() / "dress.ris"
    path.write_bytes(text.replace("\n", line_end).encode(encoding))
    reading = holds_or_is_refused(path)
    assert [r.title for r in reading.records] == titles
    assert all(r.abstract == "BACKGROUND: a.\nRESULTS: b." for r in reading.records)


def test_what_was_read_and_what_was_announced_must_agree(tmp_path, monkeypatch):
    from triage.formats import ris

    lost = ris.records
    monkeypatch.setitem(
        formats._READERS, "ris", lambda path, tally: (item for n, item in enumerate(lost(path, tally)) if n != 1)
    )
    with pytest.raises(InputError, match="announces 2 records as ris, but 1 was found"):
        read(tmp_path, SAMPLES["x.ris"].format("a"), "x.ris")


# What makes a pattern try again and again, were one careless.
TIRING = [
    " ",
    "\n",
    "\t\n",
    "-",
    ")",
    "$\\aa",
    "$ {x}",
    "@a{",
    "@a{b,",
    "{",
    "}",
    '"',
    "'",
    "\\'",
    " and",
    "<record>",
    "<record><titles>",
    "</record>",
    "&",
    "&a",
    ";",
    ",",
    "1.\n\n",
    "\n\n1.",
    "TY - ",
    "\nTY -  ",
    "PMID-",
    "\n%0 ",
    "\nPT J",
    "10.1000/",
    "&D=med&",
    "ovid?D=med&",
    "Language: A,",
    "Publication Type: ",
    "PMID: 1 ",
    "['a' ",
    'RAYYAN-INCLUSION: {"a"',
    "no abstract ",
    "(",
    "x",
    "\ufeff",
    "=",
    "a = ",
    "AU  -\n",
    "\nER",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_no_text_takes_long(tmp_path, name):
    """60,000 characters of anything, at once a value and by themselves, in a second or so."""
    import time

    for piece in TIRING:
        tiring = piece * (60_000 // len(piece))
        for text in (
            SAMPLES[name].replace("{}", "{0}").replace("One", "One {0}").format(tiring),
            SAMPLES[name].format("a") + tiring,
            tiring,
        ):
            path = tmp_path / name
            path.write_text(text, encoding="utf-8")
            started = time.process_time()
            holds_or_is_refused(path)
            assert time.process_time() - started < 10, (name, piece)
