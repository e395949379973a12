"""The demonstration: the folder that it may replace, the whole way in short, and what an installed package carries."""

import csv
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from triage import bundled, cli, demo
from triage.errors import InputError
from triage.log import Kind
from triage.project import Project

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def short(tmp_path, monkeypatch):
    """Make the demonstration short: the fast model, and a stop after so many decisions."""
    shutil.copytree(bundled.path("data/demo"), tmp_path / "bundle" / "data" / "demo")
    protocol = tmp_path / "bundle" / "data" / "demo" / "protocol.toml"
    protocol.write_text('model = "fast"\n' + protocol.read_text(encoding="utf-8"), encoding="utf-8")
    path, copy = bundled.path, tmp_path / "bundle"
    monkeypatch.setattr(bundled, "path", lambda name: copy / name if name.startswith("data") else path(name))
    monkeypatch.setattr("triage.demo.rule_says_stop", lambda history, stopping, weights: history.n_screened >= 40)
    monkeypatch.chdir(tmp_path)


def test_the_whole_way_outside_the_clone(short, tmp_path, capsys):
    here = tmp_path / "here"  # as an earlier demonstration left it
    here.mkdir()
    (here / ".triage-demo").write_text("", encoding="utf-8")
    (here / "old").write_text("", encoding="utf-8")
    assert cli.run(["demo", "here"]) == 0
    assert (here / ".triage-demo").is_file() and not (here / "old").exists()
    told = capsys.readouterr().out
    assert told.startswith("This is a demonstration: nobody screened these records.")
    assert told.rstrip().endswith(f"The report is {Path('here') / 'report.html'}")
    steps = [line.split()[0] for line in told.splitlines() if line[:1].islower()]
    assert list(dict.fromkeys(steps)) == ["import", "dedupe", "filter", "rank", "screen", "stop", "export"]
    page = (here / "report.html").read_text(encoding="utf-8")
    assert "This is a demonstration" in page and "<svg" in page
    with Project.open(here / "review.triage") as project:
        decisions = [e for e in project.log.events() if e.kind is Kind.DECISION]
        assert len(decisions) == 40 and {e.reviewer for e in decisions} == {"known labels"}
        found = sum(e.label == "include" for e in decisions)
        assert f"40 decisions, {found} relevant found" in told and found >= 10
    assert (here / "included.ris").read_text(encoding="utf-8").count("TY  - ") == found
    with (here / "decisions.csv").open(encoding="utf-8-sig", newline="") as file:
        assert sum(row["label"] != "" for row in csv.DictReader(file)) == 40


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file"])
def test_what_is_not_its_own_is_refused_and_left_alone(tmp_path, kind):
    place = tmp_path / "mine"
    if kind == "file":
        place.write_text("mine", encoding="utf-8")
    else:
        place.mkdir()
        if kind == "folder":
            (place / "review.triage").write_text("mine", encoding="utf-8")
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises(InputError, match="mine exists and is not a demonstration's folder"):
        demo.run(place, device="cpu", progress=None, say=print)
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_the_wheel_carries_what_a_command_reads(tmp_path):
    pytest.importorskip("hatchling", reason="the wheel is built without the network")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "-w", str(tmp_path)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("abstract_triage-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("models", "data/demo", "data/peer_support"):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file():
                assert f"triage/_bundled/{file.relative_to(ROOT).as_posix()}" in names
    assert {
        "triage/templates/report.html",
        "triage/cli/files.py",
        "triage/web/templates/screen.html",
        "triage/web/static/screen.js",
    } <= names
    assert not [name for name in names if not name.startswith(("triage/", "abstract_triage-"))]
