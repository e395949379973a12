"""Progress at the terminal: a bar that goes away, and lines in a file."""

import io
import re
import threading
import time

import pytest
from rich.console import Console

from triage import terminal
from triage.as_json import as_json
from triage.web.progress import Opening


def test_short_work_shows_no_progress(capfd):
    with terminal.progress_bar("Encoding") as tick:
        for done in range(100):
            tick(done, 100)
    assert capfd.readouterr() == ("", "")


def test_progress_in_a_file_is_a_line_now_and_then(capfd, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with terminal.progress_bar("Encoding") as tick:
        for second in range(31):
            now[0] = float(second)
            tick(20 * second, 600)
    out, err = capfd.readouterr()
    assert out == "" and err.splitlines() == [
        "Encoding: 20 of 600, 20 records a second, 29 s left",
        "Encoding: 220 of 600, 20 records a second, 19 s left",
        "Encoding: 420 of 600, 20 records a second, 9 s left",
        "Encoding: 600 of 600, 20 records a second",
    ]


def wait_until(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.01)


def test_progress_on_a_terminal_is_a_bar_that_goes_away(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr("triage.terminal.progress._QUIET_SECONDS", 0.05)
    monkeypatch.setattr(
        "triage.terminal.progress.Console",
        lambda **_: Console(file=file, force_terminal=True, width=100, _environ={"TERM": "xterm"}),
    )
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), terminal.progress_bar("Encoding [b]") as tick:
        tick(0, 600)
        wait_until(lambda: "Encoding [b]" in file.getvalue())
        tick(100, 600)
        wait_until(lambda: "100/600" in file.getvalue())
        raise KeyboardInterrupt
    said = file.getvalue()
    assert re.search(r"records a second, \d+ s left|records a second, \S+ (min|h) left", said)
    assert said.rindex("\x1b[?25h") > said.rindex("\x1b[?25l")  # the cursor is there again
    assert said.endswith("\x1b[2K")  # and the bar's line is empty
    wait_until(lambda: threading.active_count() == before)  # the bar's thread sees the end at its next turn


def test_a_page_is_told_how_far_it_is_and_what_time_is_left(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    opening = Opening("Encoding")
    told = []
    for second, done in ((0, 0), (10, 50), (100, 500), (120, 600)):
        now[0] = float(second)
        opening.tick(done, 600)
        told.append((opening.done, opening.total, opening.left))
    assert told == [(0, 600, ""), (50, 600, "2 min"), (500, 600, "20 s"), (600, 600, "")]
    assert as_json(opening) == {"what": "Encoding", "done": 600, "total": 600, "left": ""}
