"""Ctrl-C and SIGTERM end every command soon, and nothing decided is lost."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager

import pytest
from conftest import PROTOCOL, sample_ris
from web_helpers import free_port

from triage.project import Project

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

SOON = 2.0
SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])

# A native call that never comes back: a mutex that its own thread holds.
BLOCK = """
import ctypes, sys, threading, time
from concurrent.futures import ThreadPoolExecutor

def block(library):
    mutex = ctypes.create_string_buffer(128)
    while True:
        library.pthread_mutex_lock(mutex)

def ready():
    print("READY", file=sys.stderr, flush=True)

def on_workers(library):
    ready()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(block, [library] * 2))

def beside(function, *arguments):
    threading.Thread(target=function, args=arguments).start()

free, holding = ctypes.CDLL(None), ctypes.PyDLL(None)   # with the interpreter's lock let go, and held
"""
IN_RANK = (
    BLOCK
    + """
from triage import cli
from triage.ranking import answers

def stuck(*arguments, **options):
    {how}

answers.rank = stuck
cli.main()
"""
)


IN_TRAINING = (
    BLOCK
    + """
from triage import cli
from triage.ranking import review

class Stuck(review.ReviewModel):
    def __call__(self, rows, y):
        if len(rows):
            ready()
            block(free)
        return super().__call__(rows, y)

review.ReviewModel = Stuck
cli.main()
"""
)

# OpenVINO that loads and then never comes back from an encoding.
STUCK_OPENVINO = (
    BLOCK
    + """
import numpy as np
from triage import cli
from triage.features.encoder import runtime, sentence, watching

def stuck(texts, tick):
    if texts != ["a"]:
        block(free)
    return np.zeros((len(texts), 384), np.float32)

sentence.fastest_runtime = lambda *arguments, **options: runtime.Runtime("openvino", "cpu", "float32")
sentence.SentenceEmbedding.key = lambda self: "stuck"
sentence.openvino_encoder = lambda *arguments: stuck
watching._STUCK_SECONDS = 1.0
cli.main()
"""
)


@contextmanager
def started(*arguments, code=None, **options):
    """Start a command, or a program in its place, and kill it at the end."""
    command = ["-m", "triage"] if code is None else ["-c", code]
    with subprocess.Popen(
        [sys.executable, *command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    ) as running:
        late = threading.Timer(120, running.kill)
        late.start()
        try:
            yield running
        finally:
            late.cancel()
            running.kill()


def wait_for(running, text):
    while text not in (line := running.stderr.readline()):
        assert line, "the command ended"


def ends(running, number):
    """Send a signal; return the exit code, standard error, and whether it ended soon."""
    began = time.monotonic()
    running.send_signal(number)
    _, err = running.communicate(timeout=30)
    return running.returncode, err, time.monotonic() - began < SOON


@pytest.fixture
def path(review):
    with review(12) as project:
        return project.path


@SIGNALS
@pytest.mark.parametrize(
    "how",
    [
        "on_workers(free)",
        "ready(); block(free)",
        "ready(); threading.Event().wait()",
        "beside(time.sleep, 60); ready(); time.sleep(60)",
        "threading.Thread(target=block, args=[free], name='left alone').start(); ready(); sys.exit()",
    ],
    ids=["workers", "main thread", "a wait of Python's", "a worker that sleeps", "a thread left alone"],
)
def test_a_native_call_that_is_stuck_holds_up_no_end(path, number, code, how):
    with started("rank", path, code=IN_RANK.format(how=how)) as running:
        wait_for(running, "READY")
        time.sleep(0.3)
        found, err, soon = ends(running, number)
        assert found == code and soon, (found, err)
        assert "Traceback" not in err
        assert number == signal.SIGTERM or "left alone" in how or "everything decided so far is kept" in err


HOLDING = [
    "on_workers(holding)",
    "ready(); block(holding)",
    "beside(ready); time.sleep(0.1); beside(holding.sleep, 60)",
]


@SIGNALS
@pytest.mark.parametrize("how", HOLDING, ids=["workers", "main thread", "a worker that sleeps"])
def test_a_native_call_that_holds_the_interpreter_is_ended_too(path, number, code, how):
    with started("rank", path, code=IN_RANK.format(how=how)) as running:
        wait_for(running, "READY")
        time.sleep(0.3)
        found, err, soon = ends(running, number)
        # No code of Python runs any more that could choose an exit code.
        assert found == -signal.SIGKILL and soon and "everything decided so far is kept" in err


@SIGNALS
@pytest.mark.parametrize("how", ["on_workers(free)", HOLDING[0], "closing()"])
def test_a_second_signal_changes_nothing(path, number, code, how):
    more = """
    def closing():
        try:
            ready()
            time.sleep(60)
        finally:
            time.sleep(0.5)
            print("CLOSED", file=sys.stderr, flush=True)
    """
    with started("rank", path, code=IN_RANK.format(how=f"{more}\n    {how}")) as running:
        wait_for(running, "READY")
        time.sleep(0.3)
        began = time.monotonic()
        for _ in range(3):
            running.send_signal(number)
            time.sleep(0.1)
        _, err = running.communicate(timeout=30)
        assert running.returncode == (-signal.SIGKILL if "holding" in how else code)
        assert time.monotonic() - began < SOON and "Traceback" not in err
        assert how != "closing()" or "CLOSED" in err


@pytest.mark.parametrize("how", ["on_workers(free)", HOLDING[0]])
def test_a_command_that_is_killed_leaves_no_process(path, how):
    with started("rank", path, code=IN_RANK.format(how=how)) as running:
        wait_for(running, "READY")
        others = children(running.pid)
        assert len(others) == 1
        running.kill()
        assert not left_of(others)


def in_session(number):
    """Return the processes of a session that have not ended."""
    found = subprocess.run(["ps", "-eo", "sid=,stat=,pid="], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if line.split()[0] == str(number) and "Z" not in line]


def test_a_command_that_ends_leaves_no_process(path):
    with started("status", path, start_new_session=True) as running:
        _, err = running.communicate(timeout=120)
        assert running.returncode == 0 and not err
        until = time.monotonic() + 5  # the process beside it sees the end of the pipe, and ends
        while left := in_session(running.pid):
            assert time.monotonic() < until, left
            time.sleep(0.05)


@SIGNALS
@pytest.mark.parametrize("missing", ["del os.fork", "os.fork = lambda: os.open('/none', 0)"], ids=["none", "refused"])
def test_where_no_process_can_be_forked_the_rest_still_ends_it(path, number, code, missing):
    program = f"import os\n{missing}\n" + IN_RANK.format(how="on_workers(free)")
    with started("rank", path, code=program) as running:
        wait_for(running, "READY")
        assert not children(running.pid)
        found, _, soon = ends(running, number)
        assert found == code and soon


@SIGNALS
def test_where_the_process_beside_was_killed_the_rest_still_ends_it(path, number, code):
    with started("rank", path, code=IN_RANK.format(how="on_workers(free)")) as running:
        wait_for(running, "READY")
        for other in children(running.pid):
            os.kill(other, signal.SIGKILL)
        time.sleep(0.3)
        found, _, soon = ends(running, number)
        assert found == code and soon


@SIGNALS
@pytest.mark.parametrize("library", ["free", "holding"])
def test_the_terminal_gets_its_mode_back_from_a_training_that_is_stuck(path, number, code, library):
    import fcntl
    import pty
    import termios

    program = IN_TRAINING.replace("block(free)", f"block({library})")
    master, slave = pty.openpty()
    mode = termios.tcgetattr(slave)
    own_terminal = {
        "stdin": slave,
        "start_new_session": True,
        "preexec_fn": lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    }
    with started("screen", path, "--reviewer", "ann", code=program, **own_terminal) as running:
        until = time.monotonic() + 60
        while termios.tcgetattr(slave)[3] & termios.ICANON and time.monotonic() < until:
            time.sleep(0.05)
        while not decided(path) and time.monotonic() < until:
            os.write(master, b"i")  # until a record is there to decide on: what is typed ahead is dropped
            time.sleep(0.2)
        wait_for(running, "READY")
        time.sleep(0.3)
        kept = decided(path)
        assert kept[:1] == ["include"] and not termios.tcgetattr(slave)[3] & termios.ICANON
        if number == signal.SIGINT:
            os.write(master, b"\x03")
        else:
            running.send_signal(number)
        began = time.monotonic()
        assert running.wait(30) == (code if library == "free" else -signal.SIGKILL)
        assert time.monotonic() - began < SOON
        time.sleep(0.2)
        assert termios.tcgetattr(slave) == mode
    assert decided(path) == kept
    os.close(master)
    os.close(slave)


@SIGNALS
def test_a_program_that_catches_everything_ends(path, number, code):
    how = "ready()\n    while True:\n        try:\n            time.sleep(9)\n        except BaseException:\n            pass"
    with started("rank", path, code=IN_RANK.format(how=how)) as running:
        wait_for(running, "READY")
        found, _, soon = ends(running, number)
        assert found == code and soon


@SIGNALS
@pytest.mark.parametrize("command", ["import", "dedupe", "filter", "status", "export"])
def test_every_command_ends_while_the_review_is_read_or_written(path, tmp_path, number, code, command):
    more = {"import": [tmp_path / "more.ris"], "export": ["-o", tmp_path / "out.csv"]}.get(command, [])
    (tmp_path / "more.ris").write_text(sample_ris(3, first=70))
    program = (
        BLOCK
        + """
from triage import cli, project

def stuck(*arguments, **options):
    ready()
    block(free)

project.Log.events = project.Records.add = project.Project.snapshot = project.Project.live = stuck
cli.main()
"""
    )
    before = path.read_bytes()
    with started(command, path, *more, code=program) as running:
        wait_for(running, "READY")
        found, err, soon = ends(running, number)
        assert found == code and soon and "Traceback" not in err, (found, err)
    assert path.read_bytes() == before and not (tmp_path / "out.csv").exists()


@SIGNALS
def test_a_replay_ends_with_its_processes(tmp_path, number, code):
    (tmp_path / "t.csv").write_text(
        "title,abstract,y\n"
        + "".join(
            f"title {i} {'peer support' if y else 'soil water'},abstract {i},{y}\n"
            for i in range(900)
            for y in [int(i % 5 == 0)]
        )
    )
    own = {**os.environ, "TRIAGE_CACHE": str(tmp_path)}
    with started(
        "simulate",
        tmp_path / "t.csv",
        "--label-column",
        "y",
        "--model",
        "fast",
        "--batch",
        "1",
        "--seeds",
        "500",
        env=own,
    ) as running:
        wait_for(running, "Screening")
        others = children(running.pid)
        found, err, soon = ends(running, number)
        assert found == code and soon and "Traceback" not in err, (found, err)
        assert not left_of(others)


def children(parent):
    """Return the processes that a process has started, and they."""
    found = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
    of = {int(pid): int(ppid) for pid, ppid in zip(found[::2], found[1::2], strict=True)}
    here = [pid for pid, ppid in of.items() if ppid == parent]
    return [*here, *(deeper for pid in here for deeper in children(pid))]


def left_of(processes):
    """Return those that are still running after a while."""
    until = time.monotonic() + 5
    while (left := [pid for pid in processes if is_running(pid)]) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def is_running(pid):
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(told) and not told.startswith("Z")


@SIGNALS
def test_screening_ends_while_a_training_is_stuck_and_keeps_the_decisions(path, number, code):
    with started("screen", path, "--reviewer", "ann", code=IN_TRAINING, stdin=subprocess.PIPE) as running:
        running.stdin.write("i\nm\n")
        running.stdin.flush()
        wait_for(running, "READY")
        while len(decided(path)) < 2:
            time.sleep(0.1)
        began = time.monotonic()
        running.send_signal(number)
        assert running.wait(30) == code and time.monotonic() - began < SOON
    assert decided(path) == ["include", "maybe"]


def decided(path):
    with Project.open(path) as project:
        return [e.label for e in project.log.events() if e.kind == "decision"]


@SIGNALS
@pytest.mark.parametrize("how", ["open", "idle"])
def test_a_server_ends_while_a_session_is_stuck_or_a_browser_is_there(path, number, code, how):
    program = (
        BLOCK
        + """
from triage import cli, features

def stuck(*arguments, **options):
    ready()
    block(free)

features.build_views = stuck
cli.main()
"""
    )
    port = free_port()
    with started("serve", path, "--no-token", "--port", port, code=program) as running:
        wait_for(running, "The review is at")
        with socket.create_connection(("127.0.0.1", port), 10) as browser:
            browser.sendall(b"GET /static/none HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port)
            assert browser.recv(100)  # a connection that is kept open
            if how == "open":
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/queue", timeout=10).read()
                wait_for(running, "READY")
            found, err, soon = ends(running, number)
        assert found == code and soon and "Traceback" not in err, (found, err)


@pytest.fixture
def unencoded(review):
    """A review whose ranking needs vectors, which it does not have yet."""
    with review(12, PROTOCOL.replace('model = "fast"', "")) as project:
        return project.path


def test_rank_ends_though_openvino_is_stuck(unencoded):
    with started("rank", unencoded, "--json", code=STUCK_OPENVINO) as running:
        out, err = running.communicate(timeout=120)
    assert running.returncode == 0 and err.count("encoded with torch") == 1 and "Traceback" not in err
    assert {record["record_id"] for record in json.loads(out)["records"][:2]} == {1, 7}


def test_screening_goes_on_though_openvino_is_stuck(unencoded):
    with started("screen", unencoded, "--reviewer", "ann", code=STUCK_OPENVINO, stdin=subprocess.PIPE) as running:
        _, err = running.communicate("i\nm\nq\n", timeout=120)
    assert running.returncode == 0 and err.count("encoded with torch") == 1 and "Traceback" not in err
    assert decided(unencoded) == ["include", "maybe"]


def test_a_server_goes_on_though_openvino_is_stuck(unencoded):
    port = free_port()
    with started("serve", unencoded, "--no-token", "--port", port, code=STUCK_OPENVINO) as running:
        wait_for(running, "The review is at")
        queue = f"http://127.0.0.1:{port}/api/queue"
        urllib.request.urlopen(queue, timeout=30).read()
        wait_for(running, "encoded with torch")
        while not json.load(urllib.request.urlopen(queue, timeout=30))["records"]:
            time.sleep(0.2)
        found, err, soon = ends(running, signal.SIGTERM)
    assert found == 143 and soon and "torch" not in err and "Traceback" not in err
