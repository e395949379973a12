"""The command line as another program calls it: exit codes, both streams, and nothing written on bad input."""

import csv
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from conftest import PROTOCOL, STATUS_KEYS, sample_ris

from triage import cli, project as projects, protocol as protocols, second_look
from triage.cli import running
from triage.log import Kind

STAGES = PROTOCOL + '\n[[stages]]\nname = "abstract"\n\n[[stages]]\nname = "full-text"\n'


class Triage:
    """The command in one folder: within this process (`__call__`, `json`), or as a program (`program`)."""

    def __init__(self, folder, capsys):
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *arguments, code=0):
        """Run a command; give what it wrote to standard output, or on failure to standard error."""
        got = cli.run([str(a) for a in arguments])
        out, err = self._capsys.readouterr()
        assert got == code, f"{arguments}: {out}{err}"
        return out if code in (0, 1) else err

    def json(self, *arguments, code=0):
        """Run a command with --json; standard output must be one JSON object, and hold no NaN."""
        return one_object(self(*arguments, "--json", code=code))

    def _there(self):
        # What the models read may be kept beside a review that could not be written.
        return sorted(p.name for p in self.folder.iterdir() if p.suffix != ".cache")

    def refused(self, *arguments, unchanged=("r.triage",)):
        """Run a command that must fail as bad input: exit code 2, one sentence, nothing printed or written."""
        before = {name: (self.folder / name).read_bytes() for name in unchanged if (self.folder / name).is_file()}
        there = self._there()
        got = cli.run([str(a) for a in arguments])
        out, err = self._capsys.readouterr()
        assert (got, out) == (2, ""), f"{arguments}: {got} {out}{err}"
        assert re.fullmatch(r"triage: [^\n]{20,400}[^\s]\n", err) and "Traceback" not in err
        assert self._there() == there
        assert {name: (self.folder / name).read_bytes() for name in before} == before
        return err

    def program(self, *arguments, **options):
        """Run the command as a program of its own."""
        return subprocess.run(
            [sys.executable, "-m", "triage", *map(str, arguments)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            **options,
        )


def one_object(text):
    assert text.endswith("\n") and text.count("\n") == 1
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


@pytest.fixture
def triage(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Triage(tmp_path, capsys)


@pytest.fixture
def review(triage):
    """Give a function that makes `r.triage` with n records from `a.ris`; of peer support are 1, 7, 13 ..."""

    def make(n=30, protocol=PROTOCOL):
        (triage.folder / "protocol.toml").write_text(protocol, encoding="utf-8")
        (triage.folder / "a.ris").write_text(sample_ris(n), encoding="utf-8")
        triage("new", "r.triage", "--protocol", "protocol.toml")
        if n:
            triage("import", "r.triage", "a.ris")
        return triage

    return make


def write(triage, name, content):
    path = triage.folder / name
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content, encoding="utf-8")
    return path


def labels(triage, name, rows, columns="record_id,label"):
    return write(triage, name, "\n".join([columns, *(",".join(map(str, row)) for row in rows)]) + "\n")


# -- help and usage -----------------------------------------------------------------------------


def test_help_answers_at_once_and_loads_nothing_heavy(triage):
    command = [sys.executable, "-X", "importtime", "-m", "triage", "--help"]
    loaded = subprocess.run(command, capture_output=True, text=True)
    modules = {line.split("|")[-1].strip().split(".")[0] for line in loaded.stderr.splitlines()}
    assert loaded.returncode == 0 and "typer" in modules
    assert not modules & {
        "numpy",
        "scipy",
        "sklearn",
        "sqlalchemy",
        "torch",
        "transformers",
        "sentence_transformers",
        "pyarrow",
        "openpyxl",
        "jinja2",
        "rich",
    }
    took = []
    for _ in range(5):
        began = time.perf_counter()
        assert triage.program("--help").returncode == 0
        took.append(time.perf_counter() - began)
    assert min(took) < 0.4


def test_help_names_every_command_and_each_explains_itself(triage):
    told = triage("--help")
    commands = re.findall(r"^  (\w+)  ", told.split("Commands:")[1], re.MULTILINE)
    assert {
        "new",
        "import",
        "dedupe",
        "filter",
        "rank",
        "screen",
        "label",
        "undo",
        "status",
        "report",
        "export",
        "log",
        "simulate",
        "demo",
    } <= set(commands)
    for command in commands:
        own = triage(command, "--help")
        assert len(own.split("Arguments:")[0].splitlines()) >= 5, f"{command}: says too little"
    assert triage("--version").startswith("triage ")
    assert "Commands:" in triage(code=2)


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["bogus"], "bogus"),
        (["import"], "REVIEW"),
        (["import", "r.triage"], "FILE"),
        (["rank", "r.triage", "--bogus"], "--bogus"),
        (["rank", "r.triage", "--top", "0"], "--top"),
        (["rank", "r.triage", "--top", "many"], "--top"),
        (["rank", "r.triage", "--device", "tpu"], "tpu"),
        (["status", "r.triage", "--target", "high"], "--target"),
        (["status", "r.triage", "--require", "all"], "certified"),
        (["filter", "r.triage", "--decide", "--accept-proposals"], "both"),
        (["export", "r.triage"], "output"),
        (["export", "r.triage", "-o", "x.csv", "--only", "included,all"], "'all'"),
        (["export", "r.triage", "-o", "x.csv", "--only", "next,maybe"], "next"),
        (["undo", "r.triage", "--reviewer", " "], "name"),
        (["simulate", "a.ris"], "--label-column"),
        (["simulate", "a.ris", "--label-column", "y", "--seed", "-1"], "--seed"),
    ],
)
def test_bad_usage_is_one_sentence(review, arguments, named):
    assert named in review().refused(*arguments)


def test_a_pattern_is_opened_where_the_shell_does_not(triage):
    for name in ("b.ris", "a.ris", "c.csv"):
        write(triage, name, "")
    assert running._arguments(["import", "*.ris", "*.nbib"], windows=True) == ["import", "a.ris", "b.ris", "*.nbib"]
    assert running._arguments(["import", "*.ris"], windows=False) == ["import", "*.ris"]


# -- what is no review ----------------------------------------------------------------------------


def reviews_that_are_none(triage):
    """Name files that are no review, each with a word of its sentence."""
    with sqlite3.connect(triage.folder / "foreign.triage") as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE t (x)")
    other.close()
    shutil.copy(triage.folder / "r.triage", triage.folder / "newer.triage")
    with sqlite3.connect(triage.folder / "newer.triage") as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    write(triage, "cut.triage", (triage.folder / "r.triage").read_bytes()[:9000])
    write(triage, "text.triage", "record_id,label\n1,include\n")
    write(triage, "empty.triage", b"")
    (triage.folder / "folder").mkdir()
    return {
        "foreign.triage": "not a triage review",
        "newer.triage": "newer version",
        "cut.triage": "damaged",
        "text.triage": "not a triage review",
        "empty.triage": "not a triage review",
        "folder": "not a triage review",
        "missing.triage": "triage new missing.triage",
        "mysql://host/review": "address",
    }


def test_what_is_no_review_is_refused_by_every_command_and_left_as_it_is(review):
    triage = review()
    for name, told in reviews_that_are_none(triage).items():
        assert told in triage.refused("status", name, unchanged=("r.triage", name))
    for command, *others in (
        ["import", "a.ris"],
        ["dedupe"],
        ["filter"],
        ["rank"],
        ["screen"],
        ["label", "a.ris"],
        ["undo"],
        ["report", "-o", "x.html"],
        ["log"],
        ["export", "-o", "x.csv"],
    ):
        assert "no review at missing.triage" in triage.refused(command, "missing.triage", *others)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_files_that_may_not_be_read_are_named(review):
    triage = review()
    (triage.folder / "a.ris").chmod(0)
    assert "a.ris" in triage.refused("import", "r.triage", "a.ris", "--source", "x", unchanged=())
    (triage.folder / "r.triage").chmod(0)
    assert "r.triage" in triage.refused("status", "r.triage", unchanged=())


@pytest.mark.parametrize("name", ["what? 100%25 #1.triage", "über.triage"])
def test_a_review_may_have_any_name(triage, name):
    triage("new", name)
    assert triage.json("status", name)["records"] == 0
    assert (triage.folder / name).is_file()


def test_new_says_what_it_wrote_and_never_writes_over_anything(triage):
    assert triage.json("new", "r.triage") == {"review": "r.triage", "protocol": "protocol.toml"}
    assert {p.name for p in triage.folder.iterdir()} == {"r.triage", "protocol.toml"}
    assert "r.triage exists already" in triage.refused("new", "r.triage", unchanged=("r.triage", "protocol.toml"))
    write(triage, "bad.toml", "[stopping]\ntarget = 2\n")
    assert "stopping.target" in triage.refused("new", "t.triage", "--protocol", "bad.toml")
    assert "none.toml" in triage.refused("new", "t.triage", "--protocol", "none.toml")
    assert "nowhere" in triage.refused("new", "nowhere/t.triage")


@pytest.mark.parametrize("name", ["protocol.toml", "r.protocol.toml"])
def test_new_takes_the_protocol_that_is_there_and_leaves_it_as_it_is(triage, name):
    before = write(triage, name, PROTOCOL).read_bytes()
    told = triage("new", "r.triage")
    assert f"Its protocol is {name}, which was here already" in told and "Wrote" not in told
    assert (triage.folder / name).read_bytes() == before
    assert {p.name for p in triage.folder.iterdir()} == {"r.triage", name}
    write(triage, name, PROTOCOL + "\n[stopping]\ntarget = 0.9\n")  # and its changes are taken over
    assert triage.json("status", "r.triage")["target"] == 0.9
    (triage.folder / "r.triage").unlink()
    assert triage.json("new", "r.triage") == {"review": "r.triage", "protocol": name}


def test_new_takes_the_protocol_of_its_own_name_first_and_the_one_that_is_named_before_both(triage):
    for name, target in (("protocol.toml", 0.7), ("r.protocol.toml", 0.8), ("other.toml", 0.9)):
        write(triage, name, f"[stopping]\ntarget = {target}\n")
    triage("new", "r.triage")
    triage("new", "s.triage")
    assert "which was here already" not in triage("new", "t.triage", "--protocol", "other.toml")
    assert [triage.json("status", f"{name}.triage")["target"] for name in "rst"] == [0.8, 0.7, 0.9]


@pytest.mark.parametrize("content", ["title = 'unclosed\n", "[stopping]\ntarget = 2\n", b"title = '\xff'\n", None])
def test_new_refuses_a_protocol_that_is_there_and_wrong_and_writes_nothing(triage, content):
    if content is None:
        (triage.folder / "protocol.toml").mkdir()
    else:
        write(triage, "protocol.toml", content)
    assert "protocol.toml" in triage.refused("new", "r.triage", unchanged=("protocol.toml",))


def test_a_protocol_that_breaks_later_stops_every_command_and_changes_nothing(review):
    triage = review()
    write(triage, "protocol.toml", PROTOCOL.replace('"Peer support"', '"Peer support'))
    assert "protocol.toml" in triage.refused("status", "r.triage")
    assert "protocol.toml" in triage.refused("import", "r.triage", "a.ris", "--source", "again")
    write(triage, "protocol.toml", PROTOCOL + "\n[stopping]\ntargett = 0.9\n")
    assert "did you mean target" in triage.refused("status", "r.triage")
    write(triage, "protocol.toml", PROTOCOL + "\n[stopping]\ntarget = 0.9\n")
    assert triage.json("status", "r.triage")["target"] == 0.9


# -- import -----------------------------------------------------------------------------------------


BAD_FILES = {
    "notes.txt": (b"Just some notes.\nNothing more.\n", "notes.txt"),
    "empty.ris": (b"", "empty"),
    "blank.csv": (b" \n\n", "empty"),
    "binary.ris": (bytes(range(256)) * 40, "binary.ris"),
    "cut16.ris": ("TY  - JOUR\nTI  - caf\u00e9\nER  - \n".encode("utf-16") + b"\xd8", "cut16.ris"),
    "untitled.csv": (b"name,notes\nx,y\n", "title"),
    "header.csv": (b"title,abstract\n", "header.csv"),
    "picture.ris": (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "picture.ris"),
    "broken.xlsx": (b"PK\x03\x04" + b"\0" * 50, "broken.xlsx"),
    "page.html": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "page.html"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_no_export_is_refused_and_so_is_the_good_one_beside_it(review, name):
    triage = review()
    write(triage, "good.ris", sample_ris(3, first=90))
    content, told = BAD_FILES[name]
    write(triage, name, content)
    for files in ([name], ["good.ris", name], [name, "good.ris"]):
        assert told in triage.refused("import", "r.triage", *files)
    assert triage.json("status", "r.triage")["records"] == 30


def test_import_refuses_folders_missing_files_and_options_that_do_not_fit(review):
    triage = review()
    (triage.folder / "folder").mkdir()
    write(triage, "t.csv", "title,verdict\nA title,1\nB title,perhaps\n")
    for arguments, told in (
        (["folder"], "folder"),
        (["folder", "--format", "parquet"], "folder"),
        (["none.ris"], "none.ris"),
        (["a.ris", "--format", "docx"], "docx"),
        (["a.ris", "--format", "xlsx"], "a.ris"),
        (["a.ris", "--source", "new", "--label-column", "verdict"], "table"),
        (["t.csv", "--label-column", "none"], "'none'"),
        (["t.csv", "--label-column", "verdict"], "line 3"),
    ):
        assert told in triage.refused("import", "r.triage", *arguments)


def test_import_accounts_for_every_record(review):
    triage = review(0)
    write(triage, "p.ris", sample_ris(4) + "\nTY  - JOUR\nER  - \n" + sample_ris(2, first=50))
    first, again, other = (
        triage.json("import", "r.triage", "p.ris", "--source", source) for source in ("PubMed", "PubMed", "Scopus")
    )
    for told, counts in ((first, (7, 6, 0)), (again, (7, 0, 6)), (other, (7, 6, 0))):
        [file] = told["files"]
        assert {"file", "format", "announced", "kept", "already_there", "problems"} <= set(file)
        assert (file["announced"], file["kept"], file["already_there"]) == counts
        assert file["announced"] == file["kept"] + file["already_there"] + len(file["problems"])
        assert file["file"] == "p.ris" and file["format"] == "ris"
        [problem] = file["problems"]
        assert problem["line"] == 1 + sample_ris(4).count("\n") + 1 and problem["message"]
    assert triage.json("status", "r.triage")["records"] == 12
    assert "line 3" not in triage("import", "r.triage", "a.ris", "--source", "B", code=2)  # an empty file: refused


def test_a_label_column_brings_decisions_and_says_how_many(review):
    triage = review(0)
    write(triage, "t.csv", "title,verdict\nA title,1\nB title,\nC title,0\n")
    [plain] = triage.json("import", "r.triage", "t.csv")["files"]
    assert (plain["kept"], plain["decisions"]) == (3, 0)
    assert triage.json("status", "r.triage")["screened"] == 0
    [taken] = triage.json("import", "r.triage", "t.csv", "--label-column", "verdict", "--reviewer", "ann")["files"]
    assert (taken["already_there"], taken["decisions"]) == (3, 2)
    events = [e for e in triage.json("log", "r.triage")["events"] if e["kind"] == "decision"]
    assert [(e["record_id"], e["label"], e["origin"], e["reviewer"]) for e in events] == [
        (1, "include", "imported", "ann"),
        (3, "exclude", "imported", "ann"),
    ]
    assert "0 decisions" not in triage("import", "r.triage", "t.csv", "--label-column", "verdict")


def test_what_a_file_says_cannot_steer_the_terminal(review, monkeypatch):
    triage = review(0)
    write(triage, "t.csv", "title,abstract\n\x1b[2J\x1b]0;owned\x07A title\u202e,peer support of adults\n")
    triage("import", "r.triage", "t.csv")
    for arguments in (["rank", "r.triage"], ["label", "r.triage", "esc.csv"]):
        write(triage, "esc.csv", "record_id,label\n1,\x1b[31m\n")
        cli.run(arguments)
        told = "".join(triage._capsys.readouterr())
        assert told and "\x1b" not in told and "\x07" not in told and "\u202e" not in told


# -- decisions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, told",
    [
        ("record_id,label\n1,include\n2,perhaps\n", "line 3"),
        ("record_id,label\n1,\n2,perhaps\n", "line 3"),
        ("record_id,label\n1,include\n99,include\n", "line 3"),
        ("record_id,label\nx,include\n", "line 2"),
        ("id,label\n1,include\n", "record_id"),
        ("record_id,title\n1,x\n", "label"),
        ("record_id,label,label\n1,0,0\n", "label"),
        ("record_id,label\n1,include\n1,exclude\n", "line 3"),
        ("record_id,label\n1,include,x\n", "line 2"),
        ("record_id,label\n", "no decision"),
        ("", "empty"),
        (b"PK\x03\x04 no zip", "workbook"),
        (bytes(range(256)), "d.csv"),
    ],
)
def test_a_wrong_file_of_decisions_is_refused_whole(review, content, told):
    triage = review()
    write(triage, "d.csv", content)
    assert told in triage.refused("label", "r.triage", "d.csv")


def test_every_error_of_a_file_of_decisions_has_its_own_line_and_steers_no_terminal(review):
    triage = review()
    labels(triage, "d.csv", [[1, "include"], [2, "\x1b[31mno idea"], [99, "include"], [1, "exclude"]])
    told = triage("label", "r.triage", "d.csv", code=2).splitlines()
    assert told[0] == "triage: d.csv has 3 errors, so nothing of it was taken:" and "\x1b" not in "".join(told)
    assert [line.split(":")[0] for line in told[1:]] == ["  line 3", "  line 4", "  line 5", "  What to do"]
    assert triage.json("log", "r.triage")["events"] == []


def test_label_says_how_many_rows_have_no_label(review):
    triage = review()
    labels(triage, "d.csv", [[1, "x"], [2, ""], [3, ""]])
    assert "2 rows have no label: nothing was decided on their records." in triage("label", "r.triage", "d.csv")
    told = triage.json("label", "r.triage", "d.csv")
    assert (told["decisions"], told["unchanged"], told["blank"]) == (0, 1, 2)


def test_what_a_screened_review_exports_goes_into_simulate_and_into_another_review(review):
    triage = review(n=12)
    labels(triage, "d.csv", [[i, ("exclude", "include", "maybe")[(i % 6 == 1) + (i == 2)]] for i in range(1, 13)])
    for i, name in enumerate(("done.csv", "done.xlsx")):
        if not i:
            triage("label", "r.triage", "d.csv")
        triage("export", "r.triage", "-o", name)
        found = triage.json("simulate", name, "--label-column", "label", "--model", "fast")
        assert (found["records"], found["relevant"]) == (12, 3)  # a maybe counts as relevant
    triage("undo", "r.triage")
    triage("export", "r.triage", "-o", "part.csv")
    assert "there is no label" in triage.refused("simulate", "part.csv", "--label-column", "label")
    triage("new", "s.triage", "--protocol", "protocol.toml")
    [taken] = triage.json("import", "s.triage", "done.csv", "--label-column", "label")["files"]
    assert taken["decisions"] == 12


def test_label_refuses_missing_files_folders_and_stages(review):
    triage = review()
    labels(triage, "d.csv", [[1, "include"]])
    (triage.folder / "folder").mkdir()
    assert "none.csv" in triage.refused("label", "r.triage", "none.csv")
    assert "folder" in triage.refused("label", "r.triage", "folder")
    assert "abstract" in triage.refused("label", "r.triage", "d.csv", "--stage", "x")


def test_label_takes_tags_and_warns_of_those_from_elsewhere(review):
    triage = review(protocol='tags = ["Review"]' + PROTOCOL)
    labels(triage, "d.csv", [[1, "include", "review; \x1b[2Jpilot"], [2, "include", "REVIEW"]], "record_id,label,tags")
    assert cli.run(["label", "r.triage", "d.csv", "--reviewer", "ann"]) == 0
    out, err = triage._capsys.readouterr()
    assert "3 tags given, 0 taken back." in out and err.count("\n") == 1
    assert err.startswith("1 tag is none of the protocol's and was kept as written:") and "\x1b[" not in err
    tag = next(e for e in triage.json("log", "r.triage")["events"] if e["kind"] == "tag" and e["record_id"] == 2)
    assert tag["reason"] == "Review" and tag["stage"] == "abstract" and tag["reviewer"] == "ann"
    said = triage("undo", "r.triage", "--event", str(tag["seq"]), "--reviewer", "ann")
    assert f"Took back event {tag['seq']}: tag Review on record 2." in said


def test_the_help_of_log_names_every_kind_of_event(review):
    said = review()("log", "--help")
    assert [kind for kind in Kind if f"{kind}" not in said] == []


def test_label_takes_any_case_keeps_reasons_from_elsewhere_and_warns(review):
    triage = review()
    rows = [[1, "Include", ""], [2, "EXCLUDE", "child"], [3, "mAyBe", ""], [4, 0, "Wrong dose"], [5, 1, ""]]
    labels(triage, "d.csv", rows, "record_id,label,reason")
    assert cli.run(["label", "r.triage", "d.csv", "--reviewer", "ann", "--json"]) == 0
    out, err = triage._capsys.readouterr()
    assert one_object(out) == {
        "decisions": 5,
        "unchanged": 0,
        "include": 2,
        "maybe": 1,
        "exclude": 2,
        "blank": 0,
        "repeated": 0,
        "unlisted_reasons": {"Wrong dose": 1},
        "tags": {"given": 0, "taken_back": 0},
        "unlisted_tags": {},
        "warnings": [],
    }
    assert "'Wrong dose' (1)" in err and err.count("\n") == 1
    taken = {e["record_id"]: e for e in triage.json("log", "r.triage")["events"] if e["kind"] == "decision"}
    assert {i: (e["label"], e["reason"]) for i, e in taken.items()} == {
        1: ("include", ""),
        2: ("exclude", "CHILD"),
        3: ("maybe", ""),
        4: ("exclude", "Wrong dose"),
        5: ("include", ""),
    }
    assert {e["origin"] for e in taken.values()} == {"chosen"} and {e["reviewer"] for e in taken.values()} == {"ann"}
    assert triage.json("label", "r.triage", "d.csv", "--reviewer", "ann")["unchanged"] == 5


def test_without_reviewer_it_is_the_user_of_the_machine(review, monkeypatch):
    monkeypatch.setenv("LOGNAME", "zoe")
    triage = review()
    triage("label", "r.triage", labels(triage, "d.csv", [[1, "include"]]))
    assert triage.json("undo", "r.triage")["reviewer"] == "zoe"


def test_undo_goes_back_step_by_step_and_says_why_it_cannot(review):
    triage = review()
    assert "ann has no decision" in triage.refused("undo", "r.triage", "--reviewer", "ann")
    triage("label", "r.triage", labels(triage, "d.csv", [[1, "include"], [2, "exclude"]]), "--reviewer", "ann")
    triage("label", "r.triage", labels(triage, "e.csv", [[2, "maybe"]]), "--reviewer", "ann")
    assert "bob has no decision" in triage.refused("undo", "r.triage", "--reviewer", "bob")
    undone = triage.json("undo", "r.triage", "--reviewer", "ann")
    assert undone == {
        "undone": 4,
        "kind": "decision",
        "record_id": 2,
        "label": "maybe",
        "reason": "",
        "reviewer": "ann",
    }
    exported = decisions_of(triage, "after.csv")
    assert exported[2] == "exclude"  # the earlier label is back
    assert "undone already, by event 5" in triage.refused("undo", "r.triage", "--event", "4")
    assert "decide again" in triage.refused("undo", "r.triage", "--event", "5")
    assert "plan" in triage("log", "r.triage").splitlines()[1]
    assert "cannot be undone" in triage.refused("undo", "r.triage", "--event", "1")
    assert "not in the log" in triage.refused("undo", "r.triage", "--event", "99")
    assert "exclude on record 2" in triage("undo", "r.triage", "--reviewer", "ann")
    assert "include on record 1" in triage("undo", "r.triage", "--reviewer", "ann")
    triage.refused("undo", "r.triage", "--reviewer", "ann")


def decisions_of(triage, name):
    triage("export", "r.triage", "-o", name)
    with open(triage.folder / name, encoding="utf-8-sig", newline="") as file:
        return {int(row["record_id"]): row["label"] for row in csv.DictReader(file)}


def test_the_log_only_grows_and_reads_the_same_as_a_table_and_as_json(review):
    triage = review()
    assert triage.json("log", "r.triage") == {"events": []}
    labels(triage, "d.csv", [[1, "include", "a\tb"], [2, "exclude", "x"]], "record_id,label,note")
    triage("label", "r.triage", "d.csv", "--reviewer", "ann")
    earlier = triage.json("log", "r.triage")["events"]
    triage("undo", "r.triage", "--reviewer", "ann")
    events = triage.json("log", "r.triage")["events"]
    assert events[: len(earlier)] == earlier
    assert (events[-1]["kind"], events[-1]["undoes"]) == ("undo", events[-2]["seq"])
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    header, *rows = [line.split("\t") for line in triage("log", "r.triage").splitlines()]
    assert header == list(events[0])
    assert rows == [["" if v is None else " ".join(str(v).split()) for v in e.values()] for e in events]


# -- status -------------------------------------------------------------------------------------------


def check_status(facts):
    assert STATUS_KEYS <= set(facts)
    assert {"method", "recall_lower", "missed_upper", "audit_draws", "certified"} <= set(facts["certificate"])
    assert {"method", "recall", "lower", "upper", "relevant_total", "assumes"} <= set(facts["estimate"])
    assert {"records_to_certificate", "seconds_per_record", "hours"} <= set(facts["workload"])
    assert {"stop", "why"} <= set(facts["verdict"])
    for rule in facts["rules"]:
        assert {"name", "stop", "promise", "why"} <= set(rule)
    assert facts["screened"] + facts["unscreened"] == facts["records"]
    if not facts["relevant_found"]:
        assert facts["certificate"]["recall_lower"] is None and not facts["certificate"]["certified"]
        assert all(facts["estimate"][key] is None for key in ("recall", "lower", "upper"))
    return facts


def test_status_after_an_import_with_nothing_relevant_with_maybe_and_at_the_end(review):
    triage = review(40)
    fresh = check_status(triage.json("status", "r.triage"))
    assert (fresh["records"], fresh["screened"], fresh["unscreened"], fresh["stage"]) == (40, 0, 40, "abstract")
    assert fresh["workload"]["hours"] is None and (fresh["target"], fresh["confidence"]) == (0.95, 0.95)
    triage("label", "r.triage", labels(triage, "d.csv", [[i, 0] for i in range(2, 7)]))
    nothing = check_status(triage.json("status", "r.triage", "--target", "0.8", "--confidence", "0.9"))
    assert (nothing["screened"], nothing["relevant_found"]) == (5, 0)
    assert (nothing["target"], nothing["confidence"]) == (0.8, 0.9)
    triage("label", "r.triage", labels(triage, "e.csv", [[1, "include"], [7, "maybe"], [13, "maybe"]]))
    maybe = check_status(triage.json("status", "r.triage"))
    assert (maybe["screened"], maybe["relevant_found"], maybe["maybe"]) == (8, 3, 2)
    before = triage.json("status", "r.triage", "--require", "certified", code=1)
    assert before["certificate"]["certified"] is False
    assert "Verdict" in triage("status", "r.triage", "--require", "certified", code=1)
    rest = [i for i in range(1, 41) if i not in (1, 7, 13, *range(2, 7))]
    triage("label", "r.triage", labels(triage, "f.csv", [[i, int(i % 6 == 1)] for i in rest]))
    done = check_status(triage.json("status", "r.triage", "--require", "certified"))
    assert (done["screened"], done["unscreened"], done["relevant_found"]) == (40, 0, 7)
    assert (done["certificate"]["recall_lower"], done["certificate"]["missed_upper"]) == (1, 0)
    assert done["verdict"]["stop"]


def test_status_of_a_review_without_anything_relevant_is_never_certified(review):
    triage = review(12)
    triage("label", "r.triage", labels(triage, "d.csv", [[i, 0] for i in range(1, 13)]))
    facts = check_status(triage.json("status", "r.triage", "--require", "certified", code=1))
    assert facts["unscreened"] == 0 and facts["certificate"]["missed_upper"] == 0


@pytest.mark.parametrize("option", ["--target", "--confidence"])
@pytest.mark.parametrize("number", ["1.5", "0", "1", "-0.2", "nan", "inf"])
def test_shares_lie_between_0_and_1(review, option, number):
    assert option in review().refused("status", "r.triage", option, number)


def test_a_later_stage_holds_what_the_earlier_one_passed(review):
    triage = review(12, STAGES)
    triage("label", "r.triage", labels(triage, "d.csv", [[i, int(i <= 3)] for i in range(1, 13)]))
    later = triage.json("status", "r.triage", "--stage", "full-text")
    assert (later["stage"], later["records"], later["screened"]) == ("full-text", 3, 0)
    told = triage.refused("label", "r.triage", labels(triage, "e.csv", [[2, 1], [4, 1]]), "--stage", "full-text")
    assert "line 3" in told and "record 4 is not at the stage 'full-text'" in told
    for command in ("status", "rank", "screen"):
        assert "its stages are: abstract, full-text" in triage.refused(command, "r.triage", "--stage", "fulltext")


def test_the_price_of_certainty_is_told_before_the_first_decision_alone(review):
    triage = review(60)
    first, second = (triage.program("screen", "r.triage", "--reviewer", "ann", input="i\nq\n") for _ in range(2))
    assert "What certainty costs at 95 % confidence" in first.stdout and first.returncode == second.returncode == 0
    assert "What certainty costs" not in second.stdout
    assert triage.json("status", "r.triage")["screened"] == 2


# -- dedupe, filter, rank ----------------------------------------------------------------------------


def test_dedupe_asks_with_keys_from_a_pipe_and_its_json_stays_alone(review, monkeypatch):
    triage = review(0)
    entry = "TY  - JOUR\nTI  - Lessons of peer support in wards {0}\nAU  - Sono, T\nPY  - {1}\nER  - \n"
    lines = [entry.format(ward, year) for ward in ("one", "two", "three") for year in (2007, 2008)]
    write(triage, "a.ris", "".join([*lines, *([entry.format("four", 2009)] * 2)]))
    triage("import", "r.triage", "a.ris")
    asked = [(m["kept_id"], m["copy_id"]) for m in triage.json("dedupe", "r.triage")["maybes"]]
    assert asked == [(1, 2), (3, 4), (5, 6)]
    monkeypatch.setattr("sys.stdin", io.StringIO("y\nn\n"))
    done = triage.json("dedupe", "r.triage", "--decide")
    assert (done["linked"], done["duplicates"], done["left"]) == (1, 2, 6)
    assert done["reasons"] == {"a person decided": 1}
    assert [(m["kept_id"], m["copy_id"]) for m in done["maybes"]] == [(5, 6)]


def test_dedupe_and_filter_tell_what_they_did_and_take_nothing_out_of_the_review(review):
    limits = '\n[limits]\nlanguages = ["English"]\npublished_from = 1995\n'
    triage = review(30, PROTOCOL + limits)
    triage("import", "r.triage", "a.ris", "--source", "Scopus")
    linked = triage.json("dedupe", "r.triage")
    assert (linked["records"], linked["duplicates"], linked["left"]) == (60, 30, 30)
    assert triage.json("dedupe", "r.triage")["linked"] == 0
    filtered = triage.json("filter", "r.triage")
    assert filtered["checked"] == 30 and filtered["removed"] == {"date": 5} and filtered["left"] == 25
    assert triage.json("filter", "r.triage")["removed"] == {}
    assert triage.json("status", "r.triage")["records"] == 25
    removal = next(e for e in triage.json("log", "r.triage")["events"] if e["kind"] == "removal")
    triage("undo", "r.triage", "--event", removal["seq"])
    assert triage.json("status", "r.triage")["records"] == 26


def test_rank_prints_the_best_unscreened_records(review):
    triage = review(60)
    triage("label", "r.triage", labels(triage, "d.csv", [[1, 1], [2, 0], [3, 0]]))
    told = triage.json("rank", "r.triage", "--top", "8")
    assert [r["rank"] for r in told["records"]] == list(range(1, 9)) and isinstance(told["as_of"], int)
    assert {"record_id", "rank", "score", "title"} <= set(told["records"][0]) and told["model"]["name"] == "fast"
    assert not {1, 2, 3} & {r["record_id"] for r in told["records"]}
    assert all(r["record_id"] % 6 == 1 for r in told["records"])
    scores = [r["score"] for r in told["records"]]
    assert scores == sorted(scores, reverse=True)
    assert len(triage("rank", "r.triage", "--top", "3").splitlines()) == 3
    told = triage.json("rank", "r.triage", "--explain", "7")
    ranked = triage.json("rank", "r.triage", "--top", "60")["records"]
    assert told["record_id"] == 7 and sum(told["parts"].values()) == pytest.approx(told["score"], abs=1e-5)
    assert told["score"] == pytest.approx(next(r["score"] for r in ranked if r["record_id"] == 7), abs=1e-4)
    assert {known["record_id"]: known["relevant"] for known in told["known"]} == {1: True, 2: False, 3: False}
    assert told["known"][0]["record_id"] == 1 and told["known"][0]["weight"] > 0  # the one that is like it
    assert all(term["weight"] for term in told["terms"])
    printed = triage("rank", "r.triage", "--explain", "7")
    assert "score" in printed and "record 1 (relevant)" in printed
    assert "no record 99" in triage.refused("rank", "r.triage", "--explain", "99", unchanged=())
    assert "elas-u4" in triage.refused("rank", "r.triage", "--model", "best")


def test_poor_criteria_are_told_with_what_they_match(review):
    triage = review(60, protocol='question = "peer support zebras"\n')
    told = triage.json("rank", "r.triage")
    assert told["basis"] == "criteria" and told["criteria"]["poor"] and told["criteria"]["words"] == 3
    (match,) = told["criteria"]["matches"]
    assert match["unknown"] == ["zebras"] and match["record_id"] % 6 == 1
    triage("label", "r.triage", labels(triage, "d.csv", [[1, 1], [2, 0]]))
    assert "criteria" not in triage.json("rank", "r.triage")


SAID = "records come in the order of import until there are an include and an exclude to learn from"
COMMANDS = [
    ("import", "r.triage", "b.ris"),
    ("import", "r.triage", "b.ris", "--json"),
    ("rank", "r.triage"),
    ("rank", "r.triage", "--json"),
    ("rank", "r.triage", "--explain", "1"),
    ("screen", "r.triage"),
    ("export", "r.triage", "-o", "next.csv", "--only", "next"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_protocol_to_rank_nothing_by_is_told_before_the_work_and_no_more_once_it_is_filled_in(
    review, capsys, monkeypatch, command
):
    triage = review(12, protocol=protocols.template())
    write(triage, "b.ris", sample_ris(3, first=20))

    def run():
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        (triage.folder / "next.csv").unlink(missing_ok=True)
        assert cli.run([*command, *(() if command[0] == "import" else ("--model", "fast"))]) == 0
        return capsys.readouterr()

    out, err = run()
    first = err.splitlines()[0]
    assert first.startswith("protocol.toml is still an empty template, with neither a question nor") and SAID in first
    assert err.count("order of import") == 1 and SAID not in out.replace(first, "")
    if "--json" in command:
        assert one_object(out)["warnings"] == [first]
    # The template's comments stay; an own criterion is added.
    write(triage, "protocol.toml", protocols.template() + '[[include]]\ncode = "P"\ntext = "Peer support"\n')
    out, err = run()
    assert "order of import" not in out + err and "an empty template" not in err
    if "--json" in command:
        assert one_object(out)["warnings"] == []


def test_serve_says_before_it_serves_that_nothing_ranks(review, capsys, monkeypatch):
    triage = review(6, protocol=protocols.template())
    seen = []
    monkeypatch.setattr("triage.web.serve", lambda project, **options: seen.append(capsys.readouterr().err))
    assert cli.run(["serve", "r.triage"]) == 0
    write(triage, "protocol.toml", PROTOCOL)
    assert cli.run(["serve", "r.triage"]) == 0
    assert seen[0].startswith("protocol.toml is still an empty template") and SAID in seen[0]
    assert "order of import" not in seen[1]


def test_an_export_that_is_no_batch_says_nothing_of_the_ranking(review, capsys):
    triage = review(6, protocol=protocols.template())
    triage("export", "r.triage", "-o", "all.csv", "--only", "unscreened")
    assert capsys.readouterr().err == ""


def test_once_the_ranking_learns_from_labels_the_warning_speaks_of_no_order_of_import(review, capsys):
    triage = review(12, protocol=protocols.template())
    triage("label", "r.triage", labels(triage, "d.csv", [[1, 1]]))
    assert triage.json("rank", "r.triage", "--model", "fast")["basis"] == "order"  # one label alone teaches nothing
    triage("label", "r.triage", labels(triage, "d.csv", [[2, 0]]))
    told = triage.json("rank", "r.triage", "--model", "fast")
    assert told["basis"] == "labels"
    assert "the ranking learns from the decisions alone: write the question" in told["warnings"][0]
    assert "order of import" not in told["warnings"][0]


def test_a_model_that_reads_no_criteria_is_not_laid_to_the_protocol(review, capsys):
    review(12)
    assert cli.run(["rank", "r.triage", "--model", "elas-u4"]) == 0
    err = capsys.readouterr().err
    assert "The model elas-u4 does not read the criteria" in err and "protocol" not in err


def test_criteria_in_a_script_without_blanks_are_counted_by_their_characters(review):
    triage = review(
        6,
        protocol='question = "\u7cbe\u795e\u5065\u5eb7\u670d\u52d9\u306b\u304a\u3051\u308b\u6210\u4eba\u306e\u76f8\u4e92\u652f\u63f4\u306e\u52b9\u679c\u306b\u95a2\u3059\u308b\u7814\u7a76"\n',
    )
    told = triage.json("rank", "r.triage")["criteria"]
    assert not told["poor"] and told["matches"][0]["unknown"] == []


# -- export and report ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".ris", ".csv", ".tsv", ".xlsx", ".bib"])
def test_export_writes_each_format_with_the_decisions_and_reads_back(review, ending):
    triage = review(12)
    labels(triage, "d.csv", [[1, "include"], [2, "exclude"], [3, "maybe"]])
    triage("label", "r.triage", "d.csv", "--reviewer", "ann")
    told = triage.json("export", "r.triage", "-o", f"x{ending}", "--only", "included,maybe")
    assert told == {"file": f"x{ending}", "records": 2}
    if ending != ".xlsx":
        text = (triage.folder / f"x{ending}").read_text(encoding="utf-8-sig")
        assert "include" in text and "maybe" in text and "ann" in text and "kept 0" in text and "number1 " not in text
    assert "exists already" in triage.refused("export", "r.triage", "-o", f"x{ending}", unchanged=(f"x{ending}",))
    if ending != ".bib":
        triage("new", "again.triage", "--protocol", "protocol.toml")
        assert triage.json("import", "again.triage", f"x{ending}")["files"][0]["kept"] == 2


def test_export_selects_by_decision(review):
    triage = review(12)
    triage("label", "r.triage", labels(triage, "d.csv", [[1, 1], [2, 0], [3, "maybe"], [4, 0]]))
    counts = {
        only: triage.json("export", "r.triage", "-o", f"{i}.csv", "--only", only)["records"]
        for i, only in enumerate(["included", "excluded", "maybe", "unscreened", "excluded, unscreened"])
    }
    assert counts == {"included": 1, "excluded": 2, "maybe": 1, "unscreened": 8, "excluded, unscreened": 10}
    assert triage.json("export", "r.triage", "-o", "all.csv")["records"] == 12
    for output, told in (("x.docx", ".docx"), ("a.ris", "exists already"), ("nowhere/x.csv", "nowhere")):
        for which in ([], ["--only", "next"]):
            assert told in triage.refused("export", "r.triage", "-o", output, *which, unchanged=("r.triage", "a.ris"))


def test_a_random_sample_of_the_excluded_goes_to_another_reviewer(review):
    """Blind: nothing in the file tells what the first reviewer said; its answers tell of wrong exclusions."""
    triage = review(60)
    first = [[i, "include" if i <= 3 else "exclude", "why-ann" if i > 3 else ""] for i in range(1, 61)]
    triage("label", "r.triage", labels(triage, "d.csv", first, "record_id,label,note"), "--reviewer", "ann")
    assert "ann excluded all" in triage.refused(
        "export", "r.triage", "-o", "x.csv", "--only", "second-look", "--reviewer", "ann"
    )
    assert "cannot be combined with another selection" in triage.refused(
        "export", "r.triage", "-o", "x.csv", "--only", "second-look,maybe"
    )
    second = "export", "r.triage", "-o", "second.csv", "--only", "second-look", "--reviewer", "bob"
    assert triage.json(*second, "--top", "7")["records"] == 7
    sample = triage.json("status", "r.triage")["label_noise"]["pending"]
    again = triage.program("export", "r.triage", "-o", "a.csv", "--only", "second-look", "--reviewer", "bob")
    assert len(sample) == 7 and "Wrote 7 records" in again.stdout  # those asked for already
    price = again.stderr
    assert "What second looks prove, at 95 % confidence" in price and "     57 more: at least 100 %" in price
    text = (triage.folder / "second.csv").read_text(encoding="utf-8-sig")
    assert "exclude" not in text and "ann" not in text
    assert answered(triage, "second.csv") == sample
    triage("label", "r.triage", "second.csv", "--reviewer", "bob")
    noise = triage.json("status", "r.triage")["label_noise"]
    assert noise["judged_twice"] == len(sample) and not noise["pending"]
    assert (
        triage.json("export", "r.triage", "-o", "x.csv", "--only", "second-look", "--reviewer", "bob")["records"] == 50
    )
    assert answered(triage, "x.csv")
    triage("label", "r.triage", "x.csv", "--reviewer", "bob")
    assert "awaits a second look" in triage.refused(
        "export", "r.triage", "-o", "y.csv", "--only", "second-look", "--reviewer", "bob"
    )


def test_a_second_look_is_taken_in_the_terminal_with_the_same_keys(review, monkeypatch):
    triage = review(120)
    first = [[i, "include" if i <= 3 else "exclude", "why-ann"] for i in range(1, 121)]
    triage("label", "r.triage", labels(triage, "d.csv", first, "record_id,label,note"), "--reviewer", "ann")
    second = "screen", "r.triage", "--second-look", "--reviewer"
    assert "ann excluded all" in triage.refused(*second, "ann")
    assert "belongs to --second-look" in triage("screen", "r.triage", "--size", "3", code=2)
    assert "no stage" in triage.refused(*second, "bob", "--stage", "none")
    assert "ranks nothing" in triage(*second, "bob", "--model", "fast", code=2)
    keys = ["i", "u", "n", "on second look", "m", "e", "1", "q"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(keys) + "\n"))
    said = triage(*second, "bob", "--size", "6")
    assert "why-ann" not in said and "6 left" in said
    assert said.index("What second looks prove, at 95 % confidence") < said.index("6 left")
    with projects.Project.open(triage.folder / "r.triage") as project:
        sample = second_look.Looks.of(project.snapshot()).so_far
    assert len(sample) == 6
    assert "2 decisions this time, 1 of them include or maybe." in said
    with projects.Project.open(triage.folder / "r.triage") as project:
        mine = {
            e.record_id: (e.label, e.reason, e.note) for e in project.live().decisions.values() if e.reviewer == "bob"
        }
        assert mine == {sample[0]: ("maybe", "", "on second look"), sample[1]: ("exclude", "CHILD", "")}
        assert not [e for e in project.log.events() if e.kind is Kind.SHOWN]
    monkeypatch.setattr("sys.stdin", io.StringIO("e\n\n" * len(sample)))
    said = triage(*second, "bob")
    assert "No record awaits your second look any more." in said and f"{len(sample) - 2} decisions this time" in said
    noise = triage.json("status", "r.triage")["label_noise"]
    assert (noise["judged_twice"], noise["overturned"], noise["pending"]) == (len(sample), 1, [])
    assert [one["record_id"] for one in triage.json("conflicts", "r.triage")["conflicts"]] == [sample[0]]


def test_audit_draws_are_handed_out_unmarked_and_keep_their_origin(review):
    """Nothing relevant in sixty records: the next batch is drawn at random, and nothing in the file says so."""
    triage = review(150)
    triage("export", "r.triage", "-o", "one.csv", "--only", "next", "--top", "60", "--reviewer", "ann")
    first = answered(triage, "one.csv")
    triage("label", "r.triage", "one.csv", "--reviewer", "bob")
    triage("export", "r.triage", "-o", "two.csv", "--only", "next", "--top", "20", "--reviewer", "ann")
    second = answered(triage, "two.csv")
    assert len(first) == 60 and len(second) == 20 and not set(first) & set(second)
    text = (triage.folder / "two.csv").read_text(encoding="utf-8").lower()
    assert not any(word in text for word in ("audit", "ranked", "origin", "score"))
    assert text.splitlines()[0] == (triage.folder / "one.csv").read_text(encoding="utf-8").lower().splitlines()[0]
    triage("label", "r.triage", "two.csv", "--reviewer", "bob")
    events = triage.json("log", "r.triage")["events"]
    shown = {e["record_id"]: e["origin"] for e in events if e["kind"] == "shown"}
    decided = {e["record_id"]: e["origin"] for e in events if e["kind"] == "decision"}
    assert shown == decided
    assert {shown[i] for i in first} == {"ranked"} and "audit" in {shown[i] for i in second}
    draws = sum(origin == "audit" for origin in shown.values())
    assert triage.json("status", "r.triage")["certificate"]["audit_draws"] == draws


def answered(triage, name):
    """Fill in the column label of a batch as a spreadsheet would; give the record ids."""
    path = triage.folder / name
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = list(csv.reader(file))
    for row in rows:
        assert row[header.index("label")] == ""
        row[header.index("label")] = "exclude"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return [int(row[header.index("record_id")]) for row in rows]


def test_report_is_written_once(review):
    triage = review(12)
    triage("label", "r.triage", labels(triage, "d.csv", [[1, 1], [2, 0]]))
    assert triage.json("report", "r.triage", "-o", "report.html") == {"file": "report.html"}
    assert "<svg" in (triage.folder / "report.html").read_text(encoding="utf-8")
    assert triage.json("report", "r.triage", "-o", "flow.svg", "--hide", " sources, reasons ") == {"file": "flow.svg"}
    for output, told in (("report.html", "report.html"), ("x.docx", ".html"), ("nowhere/x.html", "nowhere")):
        assert told in triage.refused("report", "r.triage", "-o", output, unchanged=("r.triage", "report.html"))
    assert "'colour'" in triage.refused("report", "r.triage", "-o", "x.svg", "--hide", "sources,colour")


# -- as a program ---------------------------------------------------------------------------------------


def test_a_program_finds_json_alone_on_standard_output_and_the_exit_codes(review):
    triage = review(12)
    write(triage, "protocol.toml", PROTOCOL + "\n[stopping]\ntarget = 0.9\n")
    done = triage.program("status", "r.triage", "--require", "certified", "--json")
    assert done.returncode == 1 and one_object(done.stdout)["target"] == 0.9
    assert "protocol file has changed" in done.stderr  # on standard error, and once
    bad = triage.program("label", "r.triage", "none.csv", "--json")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("triage: none.csv") and bad.stderr.count("\n") == 1


def test_titles_that_the_output_cannot_show_do_not_stop_a_command(review):
    triage = review(0)
    title = "\u0421\u0442\u0430\u0442\u044c\u044f"
    write(triage, "t.csv", f"title\n{title}\n")
    triage("import", "r.triage", "t.csv")
    narrow = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = triage.program("rank", "r.triage", env=narrow)
    assert done.returncode == 0 and "\\u0421" in done.stdout
    told = one_object(triage.program("rank", "r.triage", "--json", env=narrow).stdout)
    assert told["records"][0]["title"] == title


@pytest.mark.skipif(os.name == "nt", reason="pipes of a POSIX shell")
def test_a_reader_that_goes_away_is_no_failure(review):
    triage = review(30)
    triage("label", "r.triage", labels(triage, "d.csv", [[i, 0] for i in range(1, 31)]))
    for command in ("log", "--help"):
        arguments = [command] if command == "--help" else [command, "r.triage"]
        read, write_end = os.pipe()
        os.close(read)
        done = subprocess.run(
            [sys.executable, "-m", "triage", *arguments],
            cwd=triage.folder,
            stdout=write_end,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(write_end)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_told(review):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "triage", "status", "r.triage"],
            cwd=review().folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2 and done.stderr.startswith("triage: ") and done.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("command", ["import", "simulate"])
def test_an_interrupted_program_exits_130_and_keeps_what_was_decided(review, command):
    triage = review(30)
    triage("label", "r.triage", labels(triage, "d.csv", [[1, 1], [2, 0]]))
    before = (triage.folder / "r.triage").read_bytes()
    if command == "import":
        arguments = ["import", "r.triage", "endless.ris"]
        os.mkfifo(triage.folder / "endless.ris")
    else:
        arguments = ["simulate", "t.csv", "--label-column", "y", "--model", "fast", "--batch", "1", "--seeds", "500"]
        write(
            triage,
            "t.csv",
            "title,abstract,y\n"
            + "".join(
                f"title {i} {'peer support' if y else 'soil water'},abstract {i},{y}\n"
                for i in range(900)
                for y in [int(i % 5 == 0)]
            ),
        )
    running = subprocess.Popen(
        [sys.executable, "-m", "triage", *arguments],
        cwd=triage.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as a background job of a script
    )
    if command == "import":
        with open(triage.folder / "endless.ris", "w"):  # it waits for what never comes
            time.sleep(0.2)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=60)
    else:
        # A slow machine tells of the reading, too, before it.
        assert any(line.startswith("Screening") for line in iter(running.stderr.readline, ""))
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert err.endswith("Interrupted; everything decided so far is kept.\n") and "Traceback" not in err
    assert (triage.folder / "r.triage").read_bytes() == before


def test_an_interrupt_during_a_ranking_is_told_and_the_ranking_comes_later(review, monkeypatch):
    triage = review(30)
    triage("label", "r.triage", labels(triage, "d.csv", [[1, 1], [2, 0]]))
    before = triage("log", "r.triage")
    with monkeypatch.context() as patch:
        patch.setattr(projects.Rankings, "save", lambda *arguments: signal.raise_signal(signal.SIGINT))
        patch.setattr(signal, "signal", lambda *arguments: None)  # the tests' own Ctrl-C stays
        assert "everything decided so far is kept" in triage("rank", "r.triage", code=130)
    assert triage("log", "r.triage") == before
    assert triage.json("rank", "r.triage")["records"]


# -- the disk -------------------------------------------------------------------------------------------


def test_a_locked_review_is_told_in_a_sentence(review, monkeypatch):
    triage = review()
    labels(triage, "d.csv", [[1, "include"]])
    write(triage, "b.ris", sample_ris(3, first=70))
    monkeypatch.setattr("triage.project.location._BUSY_SECONDS", 0.1)
    other = sqlite3.connect(triage.folder / "r.triage", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for arguments in (
        ["label", "r.triage", "d.csv"],
        ["import", "r.triage", "b.ris"],
        ["rank", "r.triage"],
        ["export", "r.triage", "-o", "x.csv", "--only", "next"],
    ):
        assert "locked" in triage.refused(*arguments)
    assert triage.json("status", "r.triage")["records"] == 30  # reading goes on beside a writer
    other.execute("ROLLBACK")
    other.execute("BEGIN EXCLUSIVE")
    assert "locked" in triage.refused("status", "r.triage")
    other.close()
    triage("label", "r.triage", "d.csv")


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_full_disk_is_told_in_a_sentence_and_loses_nothing(review):
    """A limit on the size of files stands in for the disk that is full."""
    import resource

    triage = review()
    triage("label", "r.triage", labels(triage, "d.csv", [[1, "include"]]))
    write(triage, "b.ris", sample_ris(400, first=70))
    before = triage("log", "r.triage")
    size = (triage.folder / "r.triage").stat().st_size
    done = triage.program(
        "import",
        "r.triage",
        "b.ris",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, size + 20_000)),
    )
    assert done.returncode == 2 and done.stdout == "" and re.fullmatch(r"triage: r\.triage [^\n]+\n", done.stderr)
    assert triage("log", "r.triage") == before and triage.json("status", "r.triage")["records"] == 30
    triage("import", "r.triage", "b.ris")


def test_a_review_that_may_only_be_read_is_read_and_a_write_is_told(review, monkeypatch):
    triage = review()
    labels(triage, "d.csv", [[1, "include"]])
    real = sqlite3.connect
    read_only = lambda name, **options: real(f"file:{name}?mode=ro", uri=True, **options)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", read_only)
    assert triage.json("status", "r.triage")["records"] == 30
    assert "may only be read" in triage.refused("label", "r.triage", "d.csv")
