"""What installs and starts the program for people who do not program: start files, the container, the three systems."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
START = ROOT / "scripts" / "start"


def running_container_program():
    """Return podman or docker where it can build; None elsewhere."""
    for name in ("podman", "docker"):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return name
    return None


@pytest.mark.skipif(sys.platform == "win32", reason="the files for macOS and Linux")
@pytest.mark.parametrize("file", ["Start triage.command", "Start triage.desktop"])
def test_a_double_click_starts_triage_without_a_word(tmp_path, file):
    program = tmp_path / ".local" / "bin" / "triage"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$# arguments in $PWD"\n', encoding="utf-8")
    program.chmod(0o755)
    if file.endswith(".desktop"):
        entry = configparser.RawConfigParser()
        entry.optionxform = str
        entry.read(START / file, encoding="utf-8")
        command = shlex.split(entry["Desktop Entry"]["Exec"])
        assert entry["Desktop Entry"]["Terminal"] == "true"
    else:
        assert os.access(START / file, os.X_OK)
        command = [str(START / file)]
    done = subprocess.run(
        command, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stdout == f"0 arguments in {tmp_path}\n", done


def test_the_start_file_of_windows_has_its_line_ends_and_looks_where_uv_and_pipx_install():
    text = (START / "Start triage.bat").read_bytes().decode("ascii")
    assert text.count("\n") == text.count("\r\n") > 5
    assert r"%USERPROFILE%\.local\bin" in text and "\r\ntriage\r\n" in text


def test_every_start_file_is_named_in_the_documentation():
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert all(f"`{path.name}`" in page for path in START.iterdir())


def test_three_systems_run_the_readmes_command():
    said = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert all(f"{system}-latest" in said for system in ("ubuntu", "macos", "windows"))
    assert "run: bash scripts/test.sh" in said and "bash scripts/test.sh" in (ROOT / "README.md").read_text("utf-8")
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))[1]
    assert f'"{oldest}"' in said


def test_the_container_runs_as_a_user_without_rights():
    lines = (ROOT / "Containerfile").read_text(encoding="utf-8").splitlines()
    said = [line.split(maxsplit=1) for line in lines if line and not line.startswith(("#", " "))]
    names = [one[0] for one in said]
    assert ["USER", "10001:10001"] in said and ["ENTRYPOINT", '["triage"]'] in said
    assert "RUN" not in names[names.index("USER") :]  # nothing is installed after that
    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    assert "podman build -t triage -f Containerfile ." in page and "10001" in page


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@pytest.mark.skipif(running_container_program() is None, reason="neither podman nor docker runs here")
def test_the_container_is_built_and_works_without_a_network(tmp_path):
    program = running_container_program()
    subprocess.run([program, "build", "-q", "-t", "triage-test", "-f", "Containerfile", "."], cwd=ROOT, check=True)
    tmp_path.chmod(0o777)
    run = [program, "run", "--rm", "--network", "none", "-v", f"{tmp_path}:/reviews:Z", "triage-test"]
    subprocess.run([*run, "new", "review.triage"], check=True)
    done = subprocess.run([*run, "status", "review.triage"], check=True, capture_output=True, text=True)
    assert "No record has come to this stage" in done.stdout and (tmp_path / "review.triage").is_file()
