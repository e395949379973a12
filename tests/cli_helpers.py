"""What the tests of the command line share: the command in one folder, and a review made by it."""

import json
import re
import subprocess
import sys

import pytest
from conftest import PROTOCOL, sample_ris

from triage import cli


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
def a_triage(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Triage(tmp_path, capsys)


@pytest.fixture
def a_review(triage):
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
