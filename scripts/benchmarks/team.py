"""Let many reviewers decide at once, kill the server in the middle, and check that the log is whole.

Usage:
    python scripts/benchmarks/team.py [--records 10000] [--reviewers 20] [--per-record 2] [--where postgresql|file] [--kills 1]
    python scripts/benchmarks/team.py --through pages [--model fast] [--pause 0] [the options above]

Through sessions (the default) each reviewer is a process with a session of its own, which decides as fast as it
can. The order is that of fixed scores, the same for all, so that all want the same record; nothing is trained, since
what is measured is how they share. Audit draws are every tenth record.

Through pages there is one `triage serve`, as a team has it: each reviewer logs in with a password and decides over
HTTP on what is put before them, and the ranking learns from every decision. A decision is sent until it is answered,
as the page in a browser does. --pause is the mean of the seconds that a reviewer takes for a record.

A real PostgreSQL is started for it in a folder under /tmp, and crashed (`pg_ctl -m immediate`) and started again
--kills times while they work; so often, through pages, `triage serve` is killed (SIGKILL) and started again, too.
Afterwards every record must have --per-record decisions of different reviewers, have been shown to nobody else, and
every decision acknowledged must be in the log, whose numbers have no gap.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from next_record import made_up

from triage.errors import InputError
from triage.log import Kind, Label, Origin
from triage.project import Project, Role
from triage.records import Record
from triage.screening.journal import ProjectJournal, commit_audit
from triage.screening.session import Session

PASSWORD = "correct horse battery staple"
RELEVANT = 0.1  # of the decisions
PATIENCE = 600  # seconds for an answer, or for the server to be there again
BAD = (
    "gaps",
    "lost",
    "doubled",
    "shown to too many",
    "shown twice to one",
    "not decided by all",
    "wrong audit draws",
    "failed",
)


def review_of(address, records: Sequence[Record], per_record: int) -> None:
    """Make the review, its audit permutation committed."""
    with Project.create(address, f"reviewers_per_record = {per_record}\n") as project:
        project.records.add(
            records,
            range(1, len(records) + 1),
            name="made.ris",
            source="made",
            format="ris",
            sha256="0",
            announced=len(records),
            problems=[],
        )
        commit_audit(project)


def judged(rng: np.random.Generator) -> Label:
    """Return what a hasty reviewer says of a record."""
    return Label.INCLUDE if rng.random() < RELEVANT else Label.EXCLUDE


def wait_and_kill(done: Callable[[], int], wanted: int, killings: Sequence[Callable[[], None]]) -> None:
    """Call each of the functions when its share of the work is done."""
    begun = told = time.monotonic()
    for number in range(1, len(killings) + 2):
        while (n := done()) < wanted * number / (len(killings) + 1):
            if time.monotonic() > told + 30:
                told = time.monotonic()
                print(f"{told - begun:.0f} s: {n} of {wanted}", file=sys.stderr, flush=True)
            time.sleep(0.05)
        if number <= len(killings):
            killings[number - 1]()


# -- through sessions -----------------------------------------------------------------------------


def decide_all(address, number: int, told: Path) -> None:
    """Decide on whatever comes, until nothing does; tell each acknowledged decision."""
    rng = np.random.default_rng(number)
    with told.open("w") as out:
        while True:
            try:
                with Project.open(address) as project:
                    work(project, f"reviewer {number}", rng, out)
                    return
            except InputError as error:
                if "broke off" not in str(error):
                    raise
                time.sleep(0.2)


def work(project: Project, reviewer: str, rng, out) -> None:
    journal = ProjectJournal(project, commit_audit(project), "abstract", reviewer, {"name": "fixed"})
    desk = journal.desk()
    scores = np.random.default_rng(0).random(desk.pool.n)
    session = Session(
        desk,
        lambda rows, y: None,
        journal=journal,
        start=np.argsort(scores),
        retrain_after=lambda labelled: 10**9,
        next_origin=lambda history: Origin.AUDIT if len(history.y) % 10 == 9 else Origin.RANKED,
    )
    session._saw_both = True
    while (showing := session.next()) is not None:
        begun = time.perf_counter()
        session.decide(showing.row, judged(rng))
        seconds = time.perf_counter() - begun
        out.write(f"{json.dumps([reviewer, int(journal.stage.record_ids[showing.row]), seconds])}\n")
        out.flush()


def through_sessions(address, reviewers: int, wanted: int, killings: Sequence[Callable[[], None]]) -> tuple[list, int]:
    """Let processes decide; return (reviewer, record, seconds) of each decision acknowledged, and how many failed."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.jsonl" for i in range(reviewers)]
        workers = [multiprocessing.Process(target=decide_all, args=(address, *one)) for one in enumerate(files)]
        for worker in workers:
            worker.start()
        wait_and_kill(lambda: sum(file.read_bytes().count(b"\n") for file in files if file.exists()), wanted, killings)
        for worker in workers:
            worker.join()
        acknowledged = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return acknowledged, sum(worker.exitcode != 0 for worker in workers)


# -- through pages --------------------------------------------------------------------------------


class Site:
    """`triage serve` in a process, which may be killed and started again."""

    def __init__(self, address, model: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._command = [
            sys.executable,
            "-m",
            "triage",
            "serve",
            str(address),
            "--port",
            str(self.port),
            "--model",
            model,
        ]
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 (read until the server ends)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            self._command, stdout=self.said, stderr=self.said, cwd=Path(__file__).resolve().parents[2]
        )
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"triage serve did not start: {self.log()[-2000:]}")

    def stop(self) -> None:
        """Kill it, with no time for a last word."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Kill it and start it again."""
        self.stop()
        self.start()

    def log(self) -> str:
        """Return what it has printed."""
        self.said.seek(0)
        return self.said.read().decode("utf-8", "replace")


class Client:
    """One reviewer's browser: logs in, and sends each change until it is answered."""

    def __init__(self, port: int, name: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._cookies: dict[str, str] = {}
        self._csrf = ""
        page = self._ask("GET", "/login")[1].decode()
        form = {
            "csrf": re.search(r'name="csrf" value="(\w+)"', page)[1],
            "name": name,
            "password": PASSWORD,
            "then": "/",
        }
        status, said = self._ask("POST", "/login", urlencode(form), "application/x-www-form-urlencoded")
        if status != 303:
            raise SystemExit(f"{name} could not log in: {status} {said[-2000:]}")

    def _ask(
        self, method: str, path: str, body: str | None = None, kind: str = "application/json"
    ) -> tuple[int, bytes]:
        headers = {
            "cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
            "content-type": kind,
            "x-csrf-token": self._csrf,
        }
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                self._connection.request(method, path, body, headers)
                answer = self._connection.getresponse()
                for cookie in answer.headers.get_all("set-cookie", []):
                    name, _, value = cookie.split(";")[0].partition("=")
                    self._cookies[name] = value
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                self._connection.close()
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.1)

    def ask(self, path: str, body: dict | None = None) -> dict:
        """Return an answer, sent for as often as the page would."""
        give_up = time.monotonic() + PATIENCE
        while True:
            status, said = self._ask(
                "GET" if body is None else "POST", path, None if body is None else json.dumps(body)
            )
            told = json.loads(said) if status < 500 or status == 503 else {"detail": said.decode("utf-8", "replace")}
            if status == 200:
                return told
            if status == 403 and told["code"] == "csrf":  # a server started anew has other tokens
                self._csrf = self.ask("/api/session")["csrf"]
            elif status not in (409, 503) or time.monotonic() > give_up:
                raise SystemExit(f"{path}: {status} {told}")
            else:
                time.sleep(0.1)

    def screen(self, rng: np.random.Generator, pause: float, tell: Callable[[int, float], object]) -> None:
        """Decide on whatever is put before the reviewer, until nothing is."""
        queue = self.ask("/api/queue")
        while True:
            while queue["preparing"]:
                time.sleep(0.1)
                queue = self.ask("/api/queue")
            if not queue["records"]:
                return
            if pause:
                time.sleep(rng.exponential(pause))
            record_id = queue["records"][0]["record_id"]
            body = {"key": uuid.uuid4().hex, "record_id": record_id, "label": str(judged(rng))}
            begun = time.perf_counter()
            queue = self.ask("/api/decisions", body)
            tell(record_id, time.perf_counter() - begun)


def through_pages(
    address,
    reviewers: int,
    wanted: int,
    killings: Sequence[Callable[[], None]],
    *,
    model: str = "fast",
    pause: float = 0,
    site_kills: int = 0,
) -> tuple[list, int]:
    """Let people decide in their browsers; return what `through_sessions` does.

    The pages' server is killed and started again `site_kills` times, between the other killings.
    """
    from argon2 import PasswordHasher

    names = [f"reviewer {i}" for i in range(reviewers)]
    with Project.open(address) as project:
        hashed = PasswordHasher().hash(PASSWORD)
        for name in names:
            if project.people.named(name) is None:
                project.people.add(name, Role.REVIEWER, hashed)
    site, acknowledged, failed = Site(address, model), [], []

    def screen(number: int) -> None:
        try:
            Client(site.port, names[number]).screen(
                np.random.default_rng(number), pause, lambda *one: acknowledged.append((names[number], *one))
            )
        except (Exception, SystemExit) as error:
            failed.append(f"{names[number]}: {error!r}")

    try:
        threads = [threading.Thread(target=screen, args=[number], daemon=True) for number in range(reviewers)]
        for thread in threads:
            thread.start()
        both = [one for pair in zip([site.restart] * len(killings), killings) for one in pair]
        both += [site.restart] * (site_kills - len(killings))
        wait_and_kill(lambda: wanted if len(failed) == reviewers else len(acknowledged), wanted, both)
        for thread in threads:
            thread.join()
    finally:
        site.stop()
    for line in [*failed, *re.findall(r"\n(\w*(?:Error|Exception|Refused)\b.*)", site.log())[:20]]:
        print(line, file=sys.stderr)
    return acknowledged, len(failed)


# -- what the log says ----------------------------------------------------------------------------


def check(address, acknowledged: list, records: int, per_record: int) -> dict:
    """Hold the log against what was acknowledged; say what is wrong, by kind."""
    with Project.open(address) as project:
        events = project.log.events()
        shown, decided = {}, Counter()
        for e in events:
            if e.kind is Kind.SHOWN:
                shown.setdefault(e.record_id, []).append(e.reviewer)
            elif e.kind is Kind.DECISION:
                decided[e.reviewer, e.record_id] += 1
        votes = Counter(record_id for _, record_id in decided)
        history = project.snapshot().history()
        permutation, before, wrong_draws = project.stage().strata[0].tolist(), set(), 0
        at = 0
        for row, origin in zip(history.rows.tolist(), history.origin.tolist()):
            while at < len(permutation) and permutation[at] in before:
                at += 1
            wrong_draws += origin == "audit" and row != permutation[at]
            before.add(row)
    return {
        "events": len(events),
        "gaps": sum(b.seq != a.seq + 1 for a, b in pairwise(events)),
        "lost": sum((who, record_id) not in decided for who, record_id, *_ in acknowledged),
        "doubled": sum(count - 1 for count in decided.values()),
        "shown to too many": sum(len(set(who)) > per_record for who in shown.values()),
        "shown twice to one": sum(len(who) - len(set(who)) for who in shown.values()),
        "not decided by all": sum(votes[i] != per_record for i in range(1, records + 1)),
        "wrong audit draws": wrong_draws,
    }


def measure(options: argparse.Namespace, server=None) -> dict:
    """Let them decide, and return what came of it; `server` is the PostgreSQL that keeps the review, if one does."""
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder) / "team.triage" if server is None else server.address()
        pages = options.through == "pages"
        records = (
            made_up(options.records, np.random.default_rng(0))
            if pages
            else [Record(title=f"Record {i}") for i in range(options.records)]
        )
        review_of(address, records, options.per_record)

        def crash() -> None:
            server.stop("immediate")
            time.sleep(1)
            server.start()

        crashes, wanted = [crash] * (options.kills if server else 0), options.records * options.per_record
        begun = time.time()
        acknowledged, failed = (
            through_pages(
                address,
                options.reviewers,
                wanted,
                crashes,
                model=options.model,
                pause=options.pause,
                site_kills=options.kills,
            )
            if pages
            else through_sessions(address, options.reviewers, wanted, crashes)
        )
        seconds = time.time() - begun
        found = check(address, acknowledged, options.records, options.per_record)
    waits = np.array([one[2] for one in acknowledged])
    return {
        **vars(options),
        "seconds": round(seconds, 1),
        "decisions": len(acknowledged),
        "a second": round(len(acknowledged) / seconds, 1),
        **{
            f"wait {name}": round(float(np.quantile(waits, q)), 4)
            for name, q in (("p50", 0.5), ("p95", 0.95), ("longest", 1))
        },
        "failed": failed,
        **found,
    }


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--reviewers", type=int, default=20)
    parser.add_argument("--per-record", type=int, default=2)
    parser.add_argument("--where", choices=("postgresql", "file"), default="postgresql")
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--through", choices=("sessions", "pages"), default="sessions")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--pause", type=float, default=0)
    return parser.parse_args(arguments)


def main() -> int:
    """Run the script; return its exit code."""
    options = options_of()
    server = None
    if options.where == "postgresql":
        from conftest import PostgreSQL

        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
        server = PostgreSQL(found[-1])
    try:
        done = measure(options, server)
    finally:
        if server is not None:
            server.stop("immediate")
    print(json.dumps(done))
    return int(any(done[what] for what in BAD))


if __name__ == "__main__":
    sys.exit(main())
