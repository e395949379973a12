"""Windows, as far as it can be known elsewhere: its modules imitated, those of POSIX gone, its consoles and its names."""

import importlib.util
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from triage.terminal import keys

ROOT = Path(__file__).resolve().parents[1]

# Libraries are loaded as they are; then the package again, and all it does, as if on Windows with Python 3.11. What
# pathlib is cannot be changed, so os.name stays.
AS_ON_WINDOWS = r"""
import importlib, os, pathlib, pkgutil, select, signal, subprocess, sys, types

def whole_package():
    import triage
    return [importlib.import_module(m.name) for m in pkgutil.walk_packages(triage.__path__, "triage.") if "__main__" not in m.name]

set_blocking, set_wakeup_fd = os.set_blocking, signal.set_wakeup_fd

def takes_any_pipe(fd, **options):  # as Windows does
    if fd >= 0:
        set_blocking(fd, False)
    return set_wakeup_fd(fd, **options)

signal.set_wakeup_fd = takes_any_pipe
whole_package()
for name in [name for name in sys.modules if name.partition(".")[0] == "triage"]:
    del sys.modules[name]
for name in ("fcntl", "termios", "resource", "pwd", "grp", "tty", "pty", "syslog"):
    sys.modules[name] = None  # an import of it fails
sys.modules["msvcrt"] = types.ModuleType("msvcrt")
sys.platform = "win32"
for module, names in (
    (os, "fork forkpty getpgrp setpgid tcgetpgrp getuid geteuid getgid ttyname set_blocking sched_getaffinity uname"),
    (os, "O_NOCTTY O_NONBLOCK O_CLOEXEC killpg"),
    (signal, "SIGHUP SIGCONT SIGWINCH SIGTTOU SIGKILL SIGALRM SIGUSR1"),
    (select, "poll epoll"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)

def rename(self, target):  # as Windows does
    if os.path.exists(target):
        raise FileExistsError(17, "The file exists already", str(target))
    os.rename(self, target)
    return type(self)(target)

pathlib.Path.rename = rename

def kill(self):  # Windows needs no signal for it
    if self.poll() is None:
        os.kill(self.pid, 9)

subprocess.Popen.kill = kill
modules = whole_package()
assert len(modules) > 150, len(modules)
"""


def as_on_windows(code, *arguments, cwd, encoding="cp1252", keys=""):
    """Run code after the imitation; return what it printed, as the console's encoding has it."""
    done = subprocess.run(
        [sys.executable, "-c", AS_ON_WINDOWS + code, *arguments],
        cwd=cwd,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": encoding,
            "PYTHONUTF8": "0",
            "COLUMNS": "80",
            "USERNAME": "ann",
        },
        input=keys,
        capture_output=True,
        encoding=encoding,
        errors="strict",
        timeout=280,
    )
    return done.returncode, done.stdout, done.stderr


def test_every_module_is_imported_where_posix_is_not(tmp_path):
    code, _, said = as_on_windows("", cwd=tmp_path)
    assert code == 0, said


@pytest.mark.parametrize("module", ["fcntl", "termios", "resource"])
def test_an_import_that_windows_lacks_would_be_seen(tmp_path, module):
    code, _, said = as_on_windows(f"import {module}", cwd=tmp_path)
    assert code == 1 and "ModuleNotFoundError" in said


LINES = [
    "new r.triage",
    "import r.triage a.ris",
    "dedupe r.triage",
    "rank r.triage",
    "screen r.triage --reviewer jörg",
    "status r.triage",
    "log r.triage",
    "export r.triage -o out.csv",
    "report r.triage -o report.html",
]
# As `main` does, for one command after the other; the last of them by `main` itself.
RUN = """
from triage.cli import running
sys.stdout.reconfigure(errors="backslashreplace")
sys.stderr.reconfigure(errors="backslashreplace")
for line in sys.argv[1:]:
    print("$", line, flush=True)
    assert running.run(line.split()) == 0, line
sys.argv = ["triage", "--version"]
running.main()
"""
RECORDS = "".join(
    f"TY  - JOUR\nTI  - {title}\nAB  - {title} in adults\nER  - \n" for title in ("Größe “α” 中文", "Peers", "Pain")
)


def test_a_review_goes_its_way_on_a_console_of_western_europe(tmp_path):
    """What the console lacks of a title is shown as codes; the files that are written have it whole."""
    folder = tmp_path / "Meine Prüfung"
    folder.mkdir()
    (folder / "a.ris").write_text(RECORDS, encoding="utf-8")
    (folder / "protocol.toml").write_text('question = "Peers in Größe"\nmodel = "fast"\n', encoding="utf-8")
    code, printed, said = as_on_windows(RUN, *LINES, cwd=folder, keys="i\ne\n\nq\n")
    assert code == 0 and "Traceback" not in said, said
    assert "Größe “\\u03b1” \\u4e2d\\u6587" in printed.split("$ rank")[1].split("$ screen")[0]
    assert "2 decisions this time" in printed and printed.rstrip().splitlines()[-1].startswith("triage ")
    assert "Größe “α” 中文" in (folder / "out.csv").read_text(encoding="utf-8-sig")


@pytest.fixture
def windows_keys(monkeypatch):
    """Give the keys of a console of Windows, which are typed into the list that comes with them."""
    typed = []
    msvcrt = types.ModuleType("msvcrt")
    msvcrt.getwch = lambda: typed.pop(0)
    msvcrt.kbhit = lambda: bool(typed)
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    monkeypatch.setattr(sys, "platform", "win32")
    spec = importlib.util.spec_from_file_location("triage.terminal.keys_on_windows", keys.__file__)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    terminal = types.SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    return typed, module.open_keys()


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("i", "i"),
        ("é", "é"),
        ("\r", keys.ENTER),
        ("\b", keys.BACKSPACE),
        ("\x1b", keys.ESCAPE),
        ("\xe0H", keys.UP),
        ("\x00P", keys.DOWN),
        ("\xe0I", keys.PAGE_UP),
        ("\xe0Q", keys.PAGE_DOWN),
        ("\xe0G", keys.HOME),
        ("\xe0O", keys.END),
    ],
)
def test_keys_of_a_console_of_windows(windows_keys, typed, key):
    waiting, console = windows_keys
    waiting.extend(typed)
    with console:
        assert not console.whole_lines and console.key() == key and not waiting


def test_a_key_without_a_meaning_is_no_command(windows_keys):
    waiting, console = windows_keys
    waiting.extend("\xe0K")  # an arrow to the left: its second half is no K
    assert console.key() not in ("K", "k")


@pytest.mark.parametrize("key", ["\x1a", "\x04"])
def test_the_end_of_input_and_ctrl_c_on_windows(windows_keys, key):
    waiting, console = windows_keys
    waiting.append(key)
    with pytest.raises(EOFError):
        console.key()
    waiting.append("\x03")
    with pytest.raises(KeyboardInterrupt):
        console.key()


def test_keys_typed_ahead_are_forgotten_on_windows(windows_keys):
    waiting, console = windows_keys
    waiting.extend("iii")
    console.flush()
    assert waiting == []
