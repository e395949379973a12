"""Kill the screening session at random moments and check that no acknowledged decision is lost.

A review of real records is screened by the real program on a pseudo-terminal. Decisions are typed at
random moments, the screen tells which of them were acknowledged, and SIGKILL comes at a random moment,
often within a write. Then the review is opened and compared with what the screen had said. The next
sitting goes on with the same review, so that every recovery is built upon.

Usage: python scripts/benchmarks/kill_session.py [--kills 200] [--seed 0] [--at-once 2]
Exit code 1 when anything acknowledged is lost, or a review does not open.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import hashlib
import json
import os
import pty
import random
import re
import select
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from triage import intake
from triage.log import Event, Kind, Label
from triage.project import Project
from triage.text import plain, untagged

DEMO = ROOT / "data" / "demo"
RECORDS = 120
REVIEWER = "ann"
PROGRAM = (sys.executable, "-m", "triage")
WIDTH, HEIGHT = 100, 70
APPEND_ONLY = ("events", "plans", "seeds", "protocols", "files", "records")
LEAST_OPEN = 50  # records without a decision that another sitting needs
PATIENCE = 90  # seconds for whatever the program does: the machine may be busy
START, SITTING = 4.0, 1.5  # seconds, at most, to a kill at any time, and from the first page to one while typing
MOMENTS = {"at any time": 2, "while typing": 4, "within a write": 5, "at an answer": 1}  # how often each
DONE = {Label.INCLUDE: "Included", Label.EXCLUDE: "Excluded", Label.MAYBE: "Maybe", None: "Taken back"}


@dataclass(frozen=True)
class Said:
    """A decision, or that one was taken back (no label): as typed, or as the log has it."""

    label: Label | None
    title: str
    reason: str = ""
    note: str = ""


@dataclass
class Outcome:
    """What one kill brought to light."""

    moment: str
    acknowledged: list[Said] = field(default_factory=list)
    typed: Said | None = None  # and not answered when the kill came
    in_a_write: bool = False  # whether a rollback journal was left
    unanswered: bool = False  # whether what was typed last is in the log all the same
    problems: list[str] = field(default_factory=list)


# -- the review -------------------------------------------------------------------------------


def make_review(folder: Path) -> Path:
    """Make a review of some of the demonstration's records, for the ranking that loads no transformer."""
    folder.mkdir(parents=True, exist_ok=True)
    protocol = folder / "protocol.toml"
    protocol.write_text('model = "fast"\n' + (DEMO / "protocol.toml").read_text(encoding="utf-8"), encoding="utf-8")
    export = folder / "scopus.ris"
    records = (DEMO / "scopus.ris").read_text(encoding="utf-8").split("ER  - \n")[:RECORDS]
    export.write_text("".join(f"{record}ER  - \n" for record in records), encoding="utf-8")
    review = folder / "review.triage"
    intake.new(review, protocol)
    with Project.open(review) as project:
        intake.import_files(project, [export], reviewer=REVIEWER)
    return review


def snapshot(review: Path) -> dict[str, list[tuple]]:
    """Return every row of the tables that may only grow."""
    with contextlib.closing(sqlite3.connect(review)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in APPEND_ONLY}


def shown_title(title: str) -> str:
    """Return a title as the session shows it."""
    return untagged(" ".join(plain(title).split()))


# -- what must hold after a kill ----------------------------------------------------------------


def examine(
    review: Path, before: dict[str, list[tuple]], acknowledged: Sequence[Said], typed: Said | None
) -> list[str]:
    """Return what is wrong with a review after a kill; nothing when all is well.

    Parameters
    ----------
    review : Path
    before : dict
        The snapshot from before the sitting.
    acknowledged : sequence of Said
        What the screen has said was done, in its order.
    typed : Said or None
        What was typed last and not answered: the one event that may be in the log or not.
    """
    try:
        with Project.open(review) as project:  # as a reviewer does: here a write that was cut short is rolled back
            project.stage().history()
            titles = {record.id: shown_title(record.title) for record in project.records.read()}
            new = project.log.events(since=len(before["events"]))
        after = snapshot(review)
        with contextlib.closing(sqlite3.connect(review)) as connection:
            state = connection.execute("PRAGMA integrity_check").fetchall()
            plans = connection.execute(
                "SELECT note, permutation, seed FROM plans JOIN events USING (seq) JOIN seeds USING (seq)"
            ).fetchall()
    except Exception as error:  # whatever it is: that the review does not open is what is looked for
        return [f"the review does not open: {error!r}"]
    problems = [] if state == [("ok",)] else [f"integrity check: {state}"]
    problems += [
        f"rows of the table {table} were rewritten or lost"
        for table, rows in before.items()
        if after[table][: len(rows)] != rows
    ]
    if [row[0] for row in after["events"]] != list(range(1, len(after["events"]) + 1)):
        problems.append("the numbers of the events have gaps")
    problems += [
        f"audit permutation {number} is not the one committed"
        for number, (note, permutation, seed) in enumerate(plans)
        if hashlib.sha256(f"{seed}:".encode() + permutation).hexdigest() != json.loads(note)["commitment"]
    ]
    logged = [Said(event.label, titles[event.record_id], event.reason, event.note) for event in new if _by_key(event)]
    for said, written in zip_longest(acknowledged, logged[: len(acknowledged)]):
        if written is None:
            problems.append(f"LOST: {said} was acknowledged and is not in the log")
        elif said != written:
            problems.append(f"{said} was acknowledged; in its place the log has {written}")
    unanswered = logged[len(acknowledged) :]
    # An undo that has no answer may have hit any record.
    if len(unanswered) > 1 or any(typed is None or (s != typed and (s.label or typed.label)) for s in unanswered):
        problems.append(f"in the log without an answer: {unanswered}; typed last: {typed}")
    return problems


def _by_key(event: Event) -> bool:
    return event.kind in (Kind.DECISION, Kind.UNDO)


# -- one sitting --------------------------------------------------------------------------------

_ESCAPE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
_RULE = re.compile(r"── record \d+ \|")
_HOME = "\x1b[H"  # begins a page


class TimeToKill(Exception):
    """The moment has come."""


class Fault(Exception):
    """The session does not do what it should, or cannot be understood."""


class Sitting:
    """The program on a pseudo-terminal, the hasty reviewer who types, and what the screen has answered.

    Parameters
    ----------
    review : Path
    chance : random.Random
    moment : str
        When the kill is to come, one of `MOMENTS`.
    program : sequence of str
        The command line before `screen`.
    """

    def __init__(self, review: Path, chance: random.Random, moment: str, program: Sequence[str] = PROGRAM) -> None:
        with Project.open(review) as project:
            self._titles = sorted({shown_title(r.title) for r in project.records.read()}, key=len, reverse=True)
            self._reasons = [reason.code for reason in project.protocol().stages[0].reasons]
            self._standing = len(project.stage().live.decisions)
        self._journal = review.with_name(review.name + "-journal")
        self._chance = chance
        self._moment = moment
        self._decisions_left = chance.randint(1, 8)  # until the one that the kill is aimed at
        self._kill_at = float("inf")
        self._notes: dict[str, str] = {}  # by title
        self._said = ""
        self._pages_seen = 0  # when something was typed last
        self.acknowledged: list[Said] = []
        self.typed: Said | None = None
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (HEIGHT, WIDTH))
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        self._process = subprocess.Popen(
            [*program, "screen", str(review), "--reviewer", REVIEWER],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=environment,
        )
        os.close(slave)  # nobody but the program holds it: its end is the end of what can be read

    def run(self) -> list[str]:
        """Type until the moment has come, and kill; return what went wrong with the sitting itself."""
        try:
            if self._moment == "at any time":
                self._kill_at = time.monotonic() + self._chance.uniform(0, START)
            self._wait(self._asks)
            if self._moment == "while typing":
                self._kill_at = time.monotonic() + self._chance.uniform(0, SITTING)
            while True:
                self._pause(self._chance.expovariate(1 / 0.04))
                self._type()
                self._wait(lambda: self._n_pages > self._pages_seen and self._asks())
                self._take_answer()
                if self.typed is not None:
                    raise Fault(f"{self.typed} was typed; the screen answers: {self._tail}")
        except TimeToKill:
            return []
        except Fault as fault:
            return [str(fault)]
        finally:
            self._kill()

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()
        while self._read(1.0):  # what it wrote before it died counts
            pass
        os.close(self._master)
        self._take_answer()

    # -- the screen -----------------------------------------------------------------------------

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # so says Linux when the program is gone
                raise
            return False
        self._said += data.decode("utf-8", "replace")
        return bool(data)

    def _wait(self, condition: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE
        while not condition():
            left = self._kill_at - time.monotonic()
            if left <= 0:
                raise TimeToKill
            if time.monotonic() > give_up or (not self._read(min(left, 0.5)) and self._process.poll() is not None):
                raise Fault(f"the session stopped by itself or does not answer: {self._tail}")

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            if now >= self._kill_at:
                raise TimeToKill
            self._read(min(until, self._kill_at) - now)

    @property
    def _n_pages(self) -> int:
        return self._said.count(_HOME)

    @property
    def _tail(self) -> str:
        return repr(_ESCAPE.sub("", self._said)[-600:])

    def _page(self) -> tuple[list[str], list[str], str]:
        """Return the lines above the newest page's rule, those below it, and its last line, the question."""
        *lines, question = _ESCAPE.sub("", self._said.rpartition(_HOME)[2]).split("\r\n")
        rule = next((i for i, line in enumerate(lines) if _RULE.match(line)), None)
        if _HOME not in self._said or rule is None:
            return [], [], ""
        return lines[:rule], lines[rule + 1 :], question.rpartition("\r")[2].strip()

    def _asks(self) -> bool:
        return self._page()[2].endswith("q quit")

    def _title(self) -> str:
        body = " ".join(" ".join(self._page()[1]).split())
        for title in self._titles:
            if body.startswith(title):
                return title
        raise Fault(f"the screen shows no record of the review: {self._tail}")

    def _take_answer(self) -> None:
        """Take down what the newest page acknowledges, if it came after what was typed last."""
        if self.typed is None or self._n_pages <= self._pages_seen:
            return
        head = [line.rstrip() for line in self._page()[0]]
        # Which record an undo hits is told by its answer.
        asked = [self.typed] if self.typed.label else [Said(None, title) for title in self._titles]
        for said in asked:
            answer = f"{DONE[said.label]}{f' ({said.reason})' if said.reason else ''}: {said.title}"
            if answer[:WIDTH].rstrip() in head:
                self.acknowledged.append(said)
                self.typed = None
                return

    # -- the keyboard ---------------------------------------------------------------------------

    def _type(self) -> None:
        title, self._pages_seen = self._title(), self._n_pages
        note = self._notes.get(title, "")
        standing = self._standing + sum(1 if said.label else -1 for said in self.acknowledged)
        match self._chance.choices("iemunsh", (28, 30, 10, 10 if standing else 0, 10, 6, 6))[0]:
            case "i":
                self._decide(Said(Label.INCLUDE, title, "", note), "i")
            case "m":
                self._decide(Said(Label.MAYBE, title, "", note), "m")
            case "e":
                number = self._chance.randrange(len(self._reasons) + 1)
                reason = self._reasons[number - 1] if number else ""
                # A number that another one begins with is ended by Enter, and so is none at all.
                ended = number * 10 > len(self._reasons)
                self._decide(Said(Label.EXCLUDE, title, reason, note), f"e{number or ''}{'' if ended else chr(13)}")
            case "u":
                self._decide(Said(None, "?"), "u")
            case "n":
                self._notes[title] = f"note {self._chance.randrange(1000)} é"
                self._send(f"n\x15{self._notes[title]}\r")
            case key:
                self._send(key)

    def _decide(self, said: Said, keys: str) -> None:
        self.typed = said
        self._send(keys)
        self._decisions_left -= 1
        if self._decisions_left == 0 and self._moment == "within a write":
            give_up = time.monotonic() + 1
            while not self._journal.exists() and time.monotonic() < give_up:
                pass
            self._kill_after(self._chance.expovariate(1 / self._chance.choice((0.0005, 0.003, 0.015))))
        if self._decisions_left == 0 and self._moment == "at an answer":
            self._wait(lambda: self._n_pages > self._pages_seen)
            self._kill_after(0)

    def _kill_after(self, seconds: float) -> NoReturn:
        until = time.monotonic() + seconds
        while time.monotonic() < until:  # a sleep would be too coarse
            pass
        raise TimeToKill

    def _send(self, keys: str) -> None:
        os.write(self._master, keys.encode())


# -- many kills ---------------------------------------------------------------------------------


def kill_often(folder: Path, kills: int, seed: int, program: Sequence[str] = PROGRAM) -> Iterator[Outcome]:
    """Yield what each of many kills brings to light; in the end nothing is left in the folder but failures."""
    chance = random.Random(seed)
    template = make_review(folder / "template")
    review = folder / "review.triage"
    for number in range(kills):
        if not review.exists() or _n_open(review) < LEAST_OPEN:
            review.unlink(missing_ok=True)
            shutil.copy(template, review)
        before = snapshot(review)
        outcome = Outcome(chance.choices(list(MOMENTS), list(MOMENTS.values()))[0])
        sitting = Sitting(review, chance, outcome.moment, program)
        outcome.problems += sitting.run()
        outcome.in_a_write = review.with_name(review.name + "-journal").exists()
        outcome.acknowledged, outcome.typed = sitting.acknowledged, sitting.typed
        outcome.problems += examine(review, before, outcome.acknowledged, outcome.typed)
        if not outcome.problems:
            with Project.open(review) as project:
                logged = sum(map(_by_key, project.log.events(since=len(before["events"]))))
            outcome.unanswered = logged > len(outcome.acknowledged)
        if outcome.problems:
            review.rename(folder / f"kill-{number + 1}.triage")
        yield outcome


def _n_open(review: Path) -> int:
    with Project.open(review) as project:
        stage = project.stage()
        return len(stage.record_ids) - len(stage.consensus.labels)


def kill_at_once(
    folder: Path,
    kills: int,
    seed: int,
    at_once: int,
    program: Sequence[str] = PROGRAM,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Outcome]:
    """Kill sittings of some reviews side by side, which share the kills."""
    outcomes: list[Outcome] = []

    def one_after_the_other(number: int) -> None:
        share = kills // at_once + (number < kills % at_once)
        for outcome in kill_often(folder / str(number), share, seed * 1000 + number, program):
            outcomes.append(outcome)
            progress(len(outcomes))

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one_after_the_other, range(at_once)))
    return outcomes


def in_words(outcomes: Sequence[Outcome]) -> str:
    """Return the summary of some kills."""
    moments = Counter(outcome.moment for outcome in outcomes)
    labels = Counter(said.label for outcome in outcomes for said in outcome.acknowledged)
    lines = [
        f"{len(outcomes)} times killed: " + ", ".join(f"{moments[moment]} {moment}" for moment in MOMENTS),
        f"{sum(outcome.in_a_write for outcome in outcomes)} fell within a write, which was rolled back",
        f"{sum(outcome.typed is not None for outcome in outcomes)} fell between the keys of a decision and its answer; "
        f"{sum(outcome.unanswered for outcome in outcomes)} of these decisions are in the log",
        f"{labels.total()} decisions acknowledged, each looked up in the log: "
        + ", ".join(f"{labels[label]} {name.lower()}" for label, name in DONE.items()),
    ]
    problems = [problem for outcome in outcomes for problem in outcome.problems]
    return "\n".join([*lines, f"{len(problems)} problems", *problems])


def main() -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=2, help="reviews that are screened side by side")
    given = parser.parse_args()
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="kill-session-"))
    outcomes = kill_at_once(
        folder,
        given.kills,
        given.seed,
        given.at_once,
        progress=lambda done: print(f"\r{done} of {given.kills}", end="", file=sys.stderr, flush=True),
    )
    print(file=sys.stderr)
    print(f"{in_words(outcomes)}\n{time.monotonic() - began:.0f} s, seed {given.seed}")
    if any(outcome.problems for outcome in outcomes):
        print(f"The reviews at fault are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
