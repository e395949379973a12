"""The README and the tutorial, typed along: every command in its order prints what is shown, on a copy of their data."""

import csv
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from triage import cli, demo, protocol as protocols
from triage.formats import markup
from triage.project import Project

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The documents that are typed along, each in a folder with a copy of its data.
TOURS = {"README.md": "demo", "docs/tutorial.md": "peer_support"}
FENCED = re.compile(r"^```[^\n]*\n(.*?)^```$", re.M | re.S)

# Commands of blocks without a prompt, and why they are not run here.
NOT_RUN = {
    "uv tool install --python 3.12 PLACE": "downloads packages; test_demo.py builds the wheel",
    "pipx install PLACE": "downloads packages",
    "triage": "opens the browser; test_web_front.py runs it",
    "bash scripts/demo.sh": "installs the package, then runs `triage demo`",
    "bash scripts/test.sh": "runs these tests",
    "pip install torch==2.13.0": "downloads packages",
    "pip install -c constraints.txt '.[all]'": "downloads packages; test_demo.py builds the wheel",
    "triage demo": "takes minutes; test_demo.py runs it, shortened",
}
PORT = next(p.default for p in typer.main.get_command(cli.app).commands["serve"].params if p.name == "port")
PROGRESS = re.compile(r"(?:Reading|Storing|Encoding|Screening)\b.*: [\d,]+ of [\d,]+.*")
# A score's third decimal is the processor's: vectors are computed in what it is fastest in (see `Runtime`).
RANKED = re.compile(r"(?P<rank> +\d+ +)(?P<score>[+-]\d+\.\d{3})(?P<record> +\d+  .*)")
REPLAYED = re.compile(r" +(?:\d+|mean)(?: +\d\.\d{4}){6}.*")
FIGURE = re.compile(r"[+-]?\d+\.\d{3,4}")
SCORES_DIFFER_BY, REPLAYS_DIFFER_BY = 0.0095, 0.0045


@dataclass(frozen=True)
class Command:
    """One command of the README and the lines that it shows for it."""

    text: str
    shown: tuple[str, ...]


def commands(document):
    """Return the commands behind a prompt, in their order."""
    found = []
    for block in FENCED.findall((ROOT / document).read_text(encoding="utf-8")):
        if block.startswith("$ "):
            for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
                text, *shown = part.splitlines()
                found.append(Command(text, tuple(shown)))
    return found


COMMANDS = {document: commands(document) for document in TOURS}
EACH = [
    pytest.param(document, at, id=f"{document}: {command.text}")
    for document, some in COMMANDS.items()
    for at, command in enumerate(some)
]


def same_line(shown, printed):
    """Tell whether a line is printed as it is shown, but for the last digits that processors do not agree on."""
    shown, printed = shown.rstrip(), printed.rstrip()
    if shown == printed:
        return True
    if not (is_measured(shown) and FIGURE.sub("", shown) == FIGURE.sub("", printed)):
        return False
    pairs = zip(FIGURE.findall(shown), FIGURE.findall(printed), strict=True)
    most = SCORES_DIFFER_BY if RANKED.fullmatch(shown) else REPLAYS_DIFFER_BY
    return all(abs(float(one) - float(other)) <= most for one, other in pairs)


def is_measured(line):
    """Tell whether a line holds scores, or the figures of a replay."""
    return bool(RANKED.fullmatch(line) or REPLAYED.fullmatch(line))


def same(shown, printed):
    """Tell whether lines are printed as they are shown, where "..." stands for one line or more."""
    if not shown or not printed:
        return not shown and not printed
    if shown[0] == "...":
        return any(same(shown[1:], printed[at:]) for at in range(1, len(printed) + 1))
    return same_line(shown[0], printed[0]) and same(shown[1:], printed[1:])


class Reader:
    """Somebody who types a document's commands, in a shell that stays where the last one left it."""

    def __init__(self, folder, data):
        self.cwd = folder / "a clone"
        shutil.copytree(ROOT / "data" / data, self.cwd / "data" / data)
        program = folder / "bin" / "triage"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m triage "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        self.environment = os.environ | {
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUTF8": "1",
            "TRIAGE_CACHE": str(folder / "cache"),
            "COLUMNS": "80",
        }

    def type(self, command):
        """Run a command; return the lines that it printed."""
        keys = re.search(r"# keys: ([^(]+)", command.text)
        done = subprocess.run(
            ["bash", "-c", f'{command.text}\nended=$?; pwd >"$WHERE"; exit $ended'],
            cwd=self.cwd,
            env=self.environment | {"WHERE": str(self.cwd.parent / "where")},
            input="".join(f"{key}\n" for key in re.split(r"[,\s]+", keys[1].strip())) if keys else "",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=300,
        )
        assert done.returncode == 0, f"{command.text}: {done.stdout}"
        where = self.cwd.parent / "where"
        self.cwd = Path(where.read_text(encoding="utf-8").rstrip("\n"))
        return [line for line in done.stdout.splitlines() if not PROGRESS.fullmatch(line)]

    def serve(self, command):
        """Serve on a free port until a page has come; return the lines that were printed, as on the port that the README has."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        bare = command.text.partition(" #")[0]
        with subprocess.Popen(
            ["bash", "-c", f"exec {bare} --port {port}"],
            cwd=self.cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        ) as server:
            try:
                first = server.stdout.readline()
                assert f":{port}/" in first, first
                address = re.search(r"http://\S+", first)[0]
                browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
                with browser.open(address, timeout=30) as page:  # the key in it lets this browser in
                    assert page.status == 200
                server.send_signal(signal.SIGINT)
                rest = server.stdout.read()
                assert server.wait(60) in (0, 130), rest
            finally:
                server.kill()
        said = re.sub(r"key=\S+", "key=vK2e…", (first + rest).replace(f":{port}/", f":{PORT}/"))
        return said.splitlines()


@pytest.fixture(scope="module")
def tours(tmp_path_factory):
    """Give a function that types every command of a document, once; it says where that ended, and what each printed."""
    done = {}

    def typed(document):
        if document not in done:
            done[document] = None
            reader = Reader(tmp_path_factory.mktemp("tour"), TOURS[document])
            printed = []
            for command in COMMANDS[document]:
                serves = command.text.startswith("triage serve")
                printed.append(reader.serve(command) if serves else reader.type(command))
            done[document] = reader.cwd, printed
        assert done[document] is not None, "a command failed, as the first test of this document says"
        return done[document]

    return typed


@pytest.mark.parametrize("document, at", EACH)
def test_a_command_prints_what_is_shown(tours, document, at):
    command, printed = COMMANDS[document][at], tours(document)[1][at]
    assert same(command.shown, printed), "\n".join(["shown:", *command.shown, "printed:", *printed])


@pytest.mark.parametrize("document, at", EACH)
def test_any_wrong_digit_would_be_seen(tours, document, at):
    shown, printed = COMMANDS[document][at].shown, tours(document)[1][at]
    for row, line in enumerate(shown):
        figures = FIGURE.finditer(line) if is_measured(line) else ()
        last = {place for found in figures for place in (found.end() - 1, found.end() - 2)}
        for place in range(len(line)):
            if not line[place].isdecimal() or place in last:
                continue
            wrong = f"{line[:place]}{(int(line[place]) + 1) % 10}{line[place + 1 :]}"
            assert not same((*shown[:row], wrong, *shown[row + 1 :]), printed), wrong


def test_lines_left_out_are_marked():
    assert same(["a", "...", "c"], ["a", "b", "b", "c"]) and same(["..."], ["a"])
    assert not same(["a", "c"], ["a", "b", "c"]) and not same(["a", "...", "b"], ["a", "b"])
    assert not same(["a"], ["a", "b"]) and not same(["a", "b"], ["a"]) and not same(["a ..."], ["a b"])


def test_every_block_is_run_or_named_here_with_its_reason():
    unprompted = [block for block in FENCED.findall(README) if not block.startswith("$ ")]
    lines = [line.partition("#")[0].strip() for block in unprompted for line in block.splitlines()]
    assert sorted(filter(None, lines)) == sorted(NOT_RUN)
    assert {"new", "import", "dedupe", "filter", "rank", "screen", "serve", "label", "status", "report", "export"} <= {
        command.text.split()[1] for command in COMMANDS["README.md"] if command.text.startswith("triage ")
    }


def test_commands_within_the_text_are_commands_with_their_options():
    known = typer.main.get_command(cli.app).commands
    spans = re.findall(r"`(triage [^`]+)`", FENCED.sub("", README))
    assert len(spans) >= 8
    for span in spans:
        _, name, *rest = span.split()
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert {one for one in rest if one.startswith("-")} <= options, span


def lines_to_type(text):
    """Return the commands of a document that stand on a line of their own, fenced or indented."""
    lines = re.findall(r"^ *(?:\$ )?(triage \w+ .*)$", text, re.MULTILINE)
    return [line.partition("     #")[0] for line in lines]


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_the_commands_of_every_page_can_be_typed(path):
    known = typer.main.get_command(cli.app).commands
    for line in lines_to_type(path.read_text(encoding="utf-8")):
        _, name, *arguments = shlex.split(line)
        with known[name].make_context(name, arguments):  # it reads the options, and runs nothing
            pass


def test_a_command_that_cannot_be_typed_would_be_seen():
    [line] = lines_to_type("```\n$ triage rank review.triage --tip 3     # keys\n```\n")
    with pytest.raises(Exception, match="--tip"):
        typer.main.get_command(cli.app).commands["rank"].make_context("rank", shlex.split(line)[2:])


def test_the_protocol_and_the_decisions_that_it_shows_are_those_of_its_records(tours):
    folder, _ = tours("README.md")
    known = demo._known_labels()
    with Project.open(folder / "review.triage") as project:
        assert project.protocol() == protocols.load(ROOT / "data" / "demo" / "protocol.toml")
        by_id = {record.id: record for record in project.records.read()}
    with (folder / "decided.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["record_id"] for row in rows}) == 50
    for row in rows:
        record = by_id[int(row["record_id"])]
        assert " ".join(record.title.split()) == markup.plain(row["title"])
        assert row["label"] == ("include" if known[demo._identifier(record)] else "exclude")
