"""The command line's help and usage: every command explains itself, and bad usage is one sentence."""

import re
import shlex
import subprocess
import sys
import time

import pytest
import typer
from cli_helpers import a_review, a_triage, write

from triage import cli, metrics
from triage.cli import running
from triage.formats.common import DECISION_FIELDS
from triage.log.printing import LOG_COLUMNS

triage, review = a_triage, a_review
COMMANDS = typer.main.get_command(cli.app).commands


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


def examples(help_text):
    """Return the lines of a command's help that can be typed."""
    return [line.strip() for line in help_text.splitlines() if re.match(r" +triage \w+ ", f"{line} ")]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_shows_two_examples_that_can_be_typed(triage, name):
    told = examples(triage(name, "--help").split("Arguments:")[0])
    assert len([line for line in told if line.split()[1] == name]) >= 2, told
    for line in told:
        _, command, *arguments = shlex.split(line)
        # It reads the options, and runs nothing.
        with COMMANDS[command].make_context(command, arguments):
            pass


def test_an_example_with_a_wrong_option_would_be_seen():
    [line] = examples("  triage rank review.triage --tip 5\n  says triage rank and more\n")
    with pytest.raises(Exception, match="--tip"), COMMANDS["rank"].make_context("rank", shlex.split(line)[2:]):
        pass


@pytest.mark.parametrize(
    "name", ["import", "dedupe", "filter", "rank", "doubts", "status", "export", "log", "conflicts"]
)
def test_what_a_command_prints_in_columns_is_explained(triage, name):
    assert re.search(r"^ {6,}\S+( \S+)* {2,}\S", triage(name, "--help").split("Arguments:")[0], re.MULTILINE)


def test_the_help_explains_every_column_of_the_log_and_of_a_replay(triage):
    assert all(re.search(rf"^ +{name}  +\w", triage("log", "--help"), re.MULTILINE) for name in LOG_COLUMNS)
    told = triage("simulate", "--help")
    assert all(re.search(rf"^ +{re.escape(name)} +\w", told, re.MULTILINE) for name in metrics.summary([1, 0]))
    exported = triage("export", "--help")
    assert all(re.search(rf"^ +{name}  +\w", exported, re.MULTILINE) for name in DECISION_FIELDS)
