"""Let many reviewers decide at once, kill the server in the middle, and check that the log is whole.

Usage:
    python scripts/bench_team.py [--records 10000] [--reviewers 20] [--per-record 2] [--where postgresql|file] [--kills 1]

Each reviewer is a process with a session of its own, which decides as fast as it can. The order is that of fixed
scores, the same for all, so that all want the same record; nothing is trained, since what is measured is how they
share. Audit draws are every tenth record. A real PostgreSQL is started for it in a folder under /tmp, and crashed
(`pg_ctl -m immediate`) and started again --kills times while they work; each reviewer then opens the review again.
Afterwards every record must have --per-record decisions of different reviewers, have been shown to nobody else, and
every decision acknowledged must be in the log, whose numbers have no gap.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from triage.decisions import Kind, Label, Origin
from triage.errors import InputError
from triage.project import Project
from triage.records import Record
from triage.screening import ProjectJournal, Session, commit_audit


def review_of(address, records: int, per_record: int) -> None:
    """Make the review, its audit permutation committed."""
    with Project.create(address, f"reviewers_per_record = {per_record}\n") as project:
        project.add([Record(title=f"Record {i}") for i in range(records)], range(1, records + 1), name="made.ris",
                    source="made", format="ris", sha256="0", announced=records, problems=[])
        commit_audit(project)


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
    journal = ProjectJournal(project, commit_audit(project), reviewer, {"name": "fixed"})
    desk = journal.desk()
    scores = np.random.default_rng(0).random(desk.pool.n)
    session = Session(
        desk, lambda rows, y: None, journal=journal, start=np.argsort(scores), retrain_after=lambda labelled: 10**9,
        next_origin=lambda history: Origin.AUDIT if len(history.y) % 10 == 9 else Origin.RANKED,
    )
    session._saw_both = True
    while (showing := session.next()) is not None:
        begun = time.perf_counter()
        session.decide(showing.row, Label.INCLUDE if rng.random() < 0.1 else Label.EXCLUDE)
        seconds = time.perf_counter() - begun
        out.write(f"{json.dumps([reviewer, int(journal.stage.record_ids[showing.row]), time.time(), seconds])}\n")
        out.flush()


def check(address, acknowledged: list, records: int, per_record: int) -> dict:
    """Hold the log against what was acknowledged; say what is wrong, by kind."""
    with Project.open(address) as project:
        events = project.events()
        shown, decided = {}, Counter()
        for e in events:
            if e.kind is Kind.SHOWN:
                shown.setdefault(e.record_id, []).append(e.reviewer)
            elif e.kind is Kind.DECISION:
                decided[e.reviewer, e.record_id] += 1
        votes = Counter(record_id for _, record_id in decided)
        history = project.history()
        permutation, before, wrong_draws = project.stage().strata[0].tolist(), set(), 0
        at = 0
        for row, origin in zip(history.rows.tolist(), history.origin.tolist()):
            while at < len(permutation) and permutation[at] in before:
                at += 1
            wrong_draws += origin == "audit" and row != permutation[at]
            before.add(row)
    return {
        "events": len(events), "gaps": sum(b.seq != a.seq + 1 for a, b in pairwise(events)),
        "lost": sum((who, record_id) not in decided for who, record_id, *_ in acknowledged),
        "doubled": sum(count - 1 for count in decided.values()),
        "shown to too many": sum(len(set(who)) > per_record for who in shown.values()),
        "shown twice to one": sum(len(who) - len(set(who)) for who in shown.values()),
        "not decided by all": sum(votes[i] != per_record for i in range(1, records + 1)),
        "wrong audit draws": wrong_draws,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--reviewers", type=int, default=20)
    parser.add_argument("--per-record", type=int, default=2)
    parser.add_argument("--where", choices=("postgresql", "file"), default="postgresql")
    parser.add_argument("--kills", type=int, default=1)
    options = parser.parse_args()
    server = None
    with tempfile.TemporaryDirectory() as folder:
        address: str | Path = Path(folder) / "team.triage"
        if options.where == "postgresql":
            from conftest import PostgreSQL

            found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
            server = PostgreSQL(found[-1])
            address = server.address()
        try:
            review_of(address, options.records, options.per_record)
            files = [Path(folder) / f"{i}.jsonl" for i in range(options.reviewers)]
            begun = time.time()
            workers = [multiprocessing.Process(target=decide_all, args=(address, *one)) for one in enumerate(files)]
            for worker in workers:
                worker.start()
            wanted = options.records * options.per_record
            for kill in range(options.kills if server else 0):
                while sum(file.read_bytes().count(b"\n") for file in files if file.exists()) < (
                    wanted * (kill + 1) / (options.kills + 1)
                ):
                    time.sleep(0.2)
                server.stop("immediate")
                time.sleep(1)
                server.start()
            for worker in workers:
                worker.join()
            seconds = time.time() - begun
            acknowledged = [json.loads(line) for file in files for line in file.read_text().splitlines()]
            waits = np.array([one[3] for one in acknowledged])
            found = check(address, acknowledged, options.records, options.per_record)
        finally:
            if server is not None:
                server.stop("immediate")
    print(json.dumps({
        **vars(options), "seconds": round(seconds, 1), "decisions": len(acknowledged),
        "a second": round(len(acknowledged) / seconds, 1),
        "decide p50": round(float(np.quantile(waits, 0.5)), 4), "decide p95": round(float(np.quantile(waits, 0.95)), 4),
        "failed": sum(worker.exitcode != 0 for worker in workers), **found,
    }))
    bad = ("gaps", "lost", "doubled", "shown to too many", "shown twice to one", "not decided by all",
           "wrong audit draws")
    return int(any(found[what] for what in bad) or any(worker.exitcode for worker in workers))


if __name__ == "__main__":
    sys.exit(main())
