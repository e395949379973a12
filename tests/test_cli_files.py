"""The commands that make a review and read files into it: what is refused is left as it was."""

import io
import os
import shutil
import sqlite3
import sys

import pytest
from cli_helpers import a_review, a_triage, write
from conftest import PROTOCOL, sample_ris

from triage import cli
from triage.project import Project

triage, review = a_triage, a_review


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


# -- dedupe, filter -------------------------------------------------------------------------------


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


# -- columns --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "code", "kept"), [("2\n3\n", 0, ("A trial", "Text")), ("2\n\n", 0, ("A trial", "")), ("\n", 2, None)]
)
def test_whoever_is_there_is_asked_for_the_columns(review, monkeypatch, typed, code, kept):
    triage = review(0)
    write(triage, "t.csv", "Ref,Study name,About\n1,A trial,Text\n")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert cli.run(["import", "r.triage", "t.csv", "--json"]) == code
    _, err = triage._capsys.readouterr()
    assert "2  Study name" in err and "A trial" in err
    with Project.open(triage.folder / "r.triage") as project:
        records = [(record.title, record.abstract) for record in project.records.read()]
    assert records == ([kept] if kept else [])


def test_columns_are_named_on_the_command_line(review):
    triage = review(0)
    write(triage, "t.csv", "Ref,Study name,About\n1,A trial,Text\n")
    assert "--column title='Study name'" in triage.refused("import", "r.triage", "t.csv")
    for option, said in (
        ("title", "FIELD=HEADER"),
        ("titel=About", "called 'titel'"),
        ("title=Name", "no column 'Name'"),
    ):
        assert said in triage.refused("import", "r.triage", "t.csv", "--column", option)
    twice = ("--column", "title=About", "--column", "title=Ref")
    assert "twice" in triage.refused("import", "r.triage", "t.csv", *twice)
    done = triage.json("import", "r.triage", "t.csv", "--column", "title=Study name")
    assert done["files"][0]["kept"] == 1
    assert [e["kind"] for e in triage.json("log", "r.triage")["events"]] == ["columns"]


def test_the_votes_of_a_team_are_told_with_their_reasons(review):
    triage = review(0)
    notes = '"RAYYAN-INCLUSION: {""Ann\x1b[2J""=>""Included"", ""Bob""=>""Excluded""} | RAYYAN-EXCLUSION-REASONS: no \x1bdata"'
    write(triage, "a.csv", f"key,title,notes\n1,A title,{notes}\n2,B title,{notes}\n")
    said = triage("import", "r.triage", "a.csv")
    assert "decisions of Ann[2J 2, Bob 2; 2 conflicts to settle" in said and "\x1b" not in said
    assert "kept as they are written: no data (2)" in said and 'code = "NO-DATA"' in said and "--add-reasons" in said
    assert "triage conflicts r.triage" in said
    [file] = triage.json("import", "r.triage", "a.csv", "--add-reasons")["files"]
    assert file["added_reasons"] == {"NO-DATA": "no data"} and file["unlisted_reasons"] == {} == file["people"]
    write(triage, "d.csv", "record_id,label,who\n1,include,Cy\n2,no,Di\n")
    assert "By Cy 1, Di 1." in triage("label", "r.triage", "d.csv", "--reviewer-column", "who")
    assert "people" not in triage.json("label", "r.triage", "d.csv")
    triage("label", "r.triage", "d.csv", "--reviewer-column", "who", "--machine", "gpt", code=2)
