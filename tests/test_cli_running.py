"""The command as a program: both streams, exit codes, interrupts, and a disk that fails."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from cli_helpers import a_review, a_triage, labels, one_object, write
from conftest import PROTOCOL, sample_ris

from triage import project as projects

triage, review = a_triage, a_review


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
    assert "is read-only" in triage.refused("label", "r.triage", "d.csv")
