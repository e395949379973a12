"""Keys on a pseudo-terminal, typed as bytes to this file run as a program."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from terminal_helpers import CRITERIA, HOSTILE, REASONS, SHOWN, MemoryJournal, pages_of, real_session, some_records

from triage import ending, terminal
from triage.records import Record

ROOT = Path(__file__).resolve().parents[1]
pseudo_terminal = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals on Windows")


class Child:
    """This file run as a program, with a pseudo-terminal for its screen and keyboard."""

    def __init__(self, tmp_path):
        import pty
        import termios

        self.log = tmp_path / "log.json"
        self.master, self.slave = pty.openpty()
        self.resize(100, 40)
        self.mode = termios.tcgetattr(self.slave)
        self.said = ""
        self.read_to = 0  # how far what was said has been waited for
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, __file__, self.log],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            env=environment,
        )

    def resize(self, width, height):
        import termios

        termios.tcsetwinsize(self.slave, (height, width))

    def _read(self, seconds):
        ready, _, _ = select.select([self.master], [], [], max(0, seconds))
        if ready:
            self.said += os.read(self.master, 65536).decode("utf-8", "replace")
        return bool(ready)

    def wait_for(self, *texts, seconds=60):
        """Read the screen until it has shown the texts, in this order, after those waited for before."""
        until, begin = time.monotonic() + seconds, self.read_to
        for text in texts:
            while (at := self.said.find(text, self.read_to)) < 0:
                came = self._read(until - time.monotonic())
                assert came, f"{text!r} did not come; the screen has: {self.said[begin:][-3000:]!r}"
            self.read_to = at + len(text)
        self.after = self.said[begin : self.read_to]

    def wait_for_keys(self, *texts):
        """Wait until a page that has these texts is complete: its question comes last."""
        self.wait_for(*texts, " quit  ")

    def type(self, keys):
        os.write(self.master, keys)

    def decisions(self):
        return json.loads(self.log.read_text())

    def end(self):
        """Wait for the program's end, reading on: it could not write into a full pseudo-terminal."""
        import termios

        until = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < until, "the program did not end"
            self._read(0.05)
        assert termios.tcgetattr(self.slave) == self.mode, "the terminal has not its mode back"
        return self.process.returncode


@pytest.fixture
def child(tmp_path):
    made = Child(tmp_path)
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()
    os.close(made.master)
    os.close(made.slave)


def takes_single_keys(child):
    import termios

    return not termios.tcgetattr(child.slave)[3] & (termios.ECHO | termios.ICANON)


@pseudo_terminal
def test_keys_on_a_terminal(child):
    child.wait_for_keys("Title 0")
    assert takes_single_keys(child)
    child.type(b"\x1b[A\x1bOA\x1bi\x1b[1;5Ci")  # arrows, and Alt with i, are no commands
    child.wait_for_keys("Included: Title 0", "Title 1")
    child.type(b"e")
    child.wait_for("Reason:")
    child.type(b"\x1b")  # Esc alone
    child.wait_for_keys("Title 1")
    child.type(b"e1")
    child.wait_for("Reason: 1")
    child.type(b"\r")
    child.wait_for_keys("Excluded (R1): Title 1", "Title 2")
    child.type("n\u00fcber\u4f60x\x7f\r".encode())
    child.wait_for_keys("Note  ", "\u00fcber\u4f60")
    child.type(b"m")
    child.wait_for_keys("Maybe: Title 2")
    child.type(b"u")
    child.wait_for_keys("Taken back: Title 2", "Note  ", "\u00fcber\u4f60")
    child.type(b"m")
    child.wait_for_keys("Maybe: Title 2")
    child.type(b"q")
    assert child.end() == 0
    assert child.decisions() == [[0, "include", "", ""], [1, "exclude", "R1", ""], [2, "maybe", "", "\u00fcber\u4f60"]]


@pseudo_terminal
def test_a_pasted_text_is_a_note_and_decides_nothing(child):
    child.wait_for_keys("\x1b[?2004h", "Title 0")  # the terminal is asked to mark what is pasted
    child.type(b"\x1b[200~include me\riii\x1b[201~")
    child.wait_for("A pasted text is not a key here.")
    child.type(b"n")
    child.wait_for("Note:")
    child.type("\x1b[200~of two lines,\r\nincl\u00fcding one \x1b[20".encode())  # it comes in pieces
    time.sleep(0.2)
    child.type(b"1~more\r")
    child.wait_for_keys("Note  ", "of two lines, incl\u00fcding one more", "Title 0")
    child.type(b"m")
    child.wait_for_keys("Maybe: Title 0")
    child.type(b"q")
    assert child.end() == 0
    assert child.decisions() == [[0, "maybe", "", "of two lines, incl\u00fcding one more"]]
    assert child.said.rindex("\x1b[?2004l") > child.said.rindex("\x1b[?2004h")


@pseudo_terminal
def test_keys_typed_ahead_decide_no_record_that_was_not_seen(child):
    child.wait_for_keys("Title 0")
    child.type(b"iiiiii")
    child.wait_for_keys("Included: Title 0", "Title 1")
    child.type(b"q")
    assert child.end() == 0
    assert child.decisions() == [[0, "include", "", ""]]


@pseudo_terminal
@pytest.mark.parametrize(("end", "code"), [(b"\x03", -signal.SIGINT), (b"\x04", 0), (None, 128 + 15)])
def test_the_terminal_gets_its_mode_back(child, end, code):
    child.wait_for_keys("Title 0")
    child.type(b"i")
    child.wait_for_keys("Included: Title 0")
    if end is None:
        child.process.send_signal(signal.SIGTERM)
    else:
        child.type(end)
    assert child.end() == code
    assert child.decisions() == [[0, "include", "", ""]]


@pseudo_terminal
def test_the_page_follows_the_size_of_the_window(child):
    child.wait_for_keys("record 1 ")
    for width, height in ((60, 12), (80, 50)):
        child.resize(width, height)
        child.wait_for_keys("\x1b[H", "record 1 ")
        page = pages_of(child.after)[-1]
        assert len(page) == height and max(map(len, page)) == width
    child.type(b"q")
    assert child.end() == 0


@pseudo_terminal
def test_the_page_comes_back_after_a_stop(child):
    import termios

    child.wait_for_keys("Title 0")
    for _ in range(5):  # whichever of its threads the system wakes
        child.process.send_signal(signal.SIGSTOP)
        os.waitpid(child.process.pid, os.WUNTRACED)
        termios.tcsetattr(child.slave, termios.TCSADRAIN, child.mode)  # as a shell does
        child.process.send_signal(signal.SIGCONT)
        child.wait_for_keys("\x1b[H", "Title 0")
        assert takes_single_keys(child)
    child.type(b"i")
    child.wait_for_keys("Included: Title 0")
    child.type(b"q")
    assert child.end() == 0


@pseudo_terminal
def test_hostile_text_on_a_terminal(child):
    for title in ("Title 0", "Title 1", "Title 2"):
        child.wait_for_keys(f"{title}")
        child.type(b"i")
        child.wait_for(f"Included: {title}")
    child.wait_for_keys()
    child.type(b"q")
    assert child.end() == 0
    assert SHOWN.strip() in child.said and "\x1b]" not in child.said and "\x1b[2J" not in child.said


def _child(log: Path) -> None:
    """Screen on the terminal this program runs on; write the decisions that stand after each change."""
    import fcntl
    import termios

    with contextlib.suppress(OSError):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # Ctrl-C interrupts only from a controlling terminal

    class FileJournal(MemoryJournal):
        def decide(self, *decision):
            relevance = super().decide(*decision)
            self.write()
            return relevance

        def undo(self):
            undone = super().undo()
            self.write()
            return undone

        def write(self):
            log.write_text(json.dumps(self.decisions))

    for _ in range(3):  # as many idle threads as a training leaves
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    records = [*some_records(3), Record(title=HOSTILE, abstract=HOSTILE), *some_records(9)]
    terminal.run(
        real_session(len(records), FileJournal()),
        records,
        reasons=REASONS,
        criteria=CRITERIA,
        state=lambda: "the state",
    )


if __name__ == "__main__":
    ending.watch("Interrupted.")
    _child(Path(sys.argv[1]))
