"""The command line's help and usage: every command explains itself, and bad usage is one sentence."""

import re
import subprocess
import sys
import time

import pytest
from cli_helpers import a_review, a_triage, write

from triage.cli import running

triage, review = a_triage, a_review


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
        "httpx2",
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
        "suggest",
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
