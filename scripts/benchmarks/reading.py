"""Time what reads a large review: `triage status`, and the overview page, by several checkouts in turn.

Each round runs each checkout once, in a process of its own, on the same review: the command as a whole, and the page as
it comes after a decision ("after a decision") and when nothing is new ("again"). With the times go the transactions
begun. The last checkout's times are given as ratios to those of the first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from next_record import made_review

_PAGE = """
import json, sys, time
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event
from triage import web
from triage.project import Project
try:
    from triage.web.gate import ServerOrigin
except ImportError:
    from triage.web.access import Door as ServerOrigin  # as older checkouts call it

begun = []
event.listen(Engine, "begin", begun.append)
facts = {}
with Project.open(sys.argv[1]) as project:
    app = web.make_app(project, ServerOrigin.of("127.0.0.1", 8765, tls=False), reviewer="ann", preset="elas-u4")
    log = getattr(project, "log", project)
    with TestClient(app, base_url="http://127.0.0.1:8765") as ann:
        assert ann.get("/overview").status_code == 200  # what a server does once
        decided = log.decide("abstract", [{"record_id": 49000, "label": "exclude"}], reviewer="ann")[0]
        for name in ("after a decision", "again"):
            begun.clear()
            start = time.perf_counter()
            assert ann.get("/overview").status_code == 200
            facts[f"overview, {name}"] = time.perf_counter() - start
            facts[f"overview, {name}: transactions"] = len(begun)
        log.undo(decided.seq, reviewer="ann")
print(json.dumps(facts))
"""
_STATUS = """
import sys, time
from sqlalchemy import Engine, event
from triage import cli
begun = []
event.listen(Engine, "begin", begun.append)
cli.run(["status", sys.argv[1], "--json"])
print(len(begun), file=sys.stderr)
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bench.py reading`."""
    parser.add_argument("checkouts", nargs="+", type=Path)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--labels", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)


def run(options: argparse.Namespace) -> None:
    """Print the medians of each checkout, and the ratios of the last to the first."""
    with tempfile.TemporaryDirectory() as folder:
        review = Path(folder, "r.triage")
        made_review(review, options.records, options.labels).close()
        found: dict[Path, list[dict[str, float]]] = {checkout: [] for checkout in options.checkouts}
        for _ in range(options.rounds):
            for checkout in options.checkouts:
                run_here = {
                    "cwd": checkout,
                    "env": {**os.environ, "PYTHONPATH": str(checkout)},
                    "text": True,
                    "capture_output": True,
                }
                start = time.perf_counter()
                status = subprocess.run([sys.executable, "-c", _STATUS, str(review)], check=True, **run_here)
                facts = {"status": time.perf_counter() - start, "status: transactions": int(status.stderr.split()[-1])}
                page = subprocess.run([sys.executable, "-c", _PAGE, str(review)], check=True, **run_here)
                found[checkout].append(facts | json.loads(page.stdout.splitlines()[-1]))
    first, last = options.checkouts[0], options.checkouts[-1]
    for name in found[first][0]:
        medians = [statistics.median(one[name] for one in found[checkout]) for checkout in options.checkouts]
        shown = "  ".join(f"{m:8.3f}" if "transactions" not in name else f"{m:8.0f}" for m in medians)
        ratio = statistics.median(b[name] / a[name] for a, b in zip(found[first], found[last], strict=True))
        print(f"{name:40}{shown}   {ratio:.2f} times")
