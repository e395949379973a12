"""Measure how long a browser waits for the next record while the ranking is retrained.

A review of made-up abstracts is filled with decisions and served by `triage serve` on this machine. One reviewer
goes on deciding over one connection, and a retrain is under way after every decision. Printed are the waits from
sending a decision to the answer that holds the next records; a page has the next one already, and waits for none.

    python scripts/benchmarks/bench.py web --records 50000 --labels 5000 --model fast
"""

import argparse
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np
from next_record import made_review


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bench.py web`."""
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--labels", type=int, default=5_000)
    parser.add_argument("--decisions", type=int, default=300)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds that the reviewer takes for a record")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--port", type=int, default=8799)


class _Client:
    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._csrf = ""
        self._csrf = self.ask("/api/session")["csrf"]

    def ask(self, path: str, body: dict | None = None) -> dict:
        self._connection.request(
            "GET" if body is None else "POST",
            path,
            None if body is None else json.dumps(body),
            {"content-type": "application/json", "x-csrf-token": self._csrf},
        )
        answer = self._connection.getresponse()
        told = json.loads(answer.read())
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {told}")
        return told


def run(args: argparse.Namespace) -> None:
    """Print the waits."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.triage"
        made_review(path, args.records, args.labels).close()
        command = [
            sys.executable,
            "-m",
            "triage",
            "serve",
            str(path),
            "--no-token",
            "--port",
            str(args.port),
            "--reviewer",
            "ann",
            "--model",
            args.model,
        ]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            try:
                if not re.search("http://", server.stderr.readline()):
                    raise SystemExit("the server did not start")
                _measure(args, _Client(args.port))
            finally:
                server.kill()


def _measure(args: argparse.Namespace, client: _Client) -> None:
    began = time.perf_counter()
    while (queue := client.ask("/api/queue"))["preparing"]:
        time.sleep(0.2)
    print(f"opened in {time.perf_counter() - began:.1f} s")
    waits = []
    for i in range(args.decisions):
        body = {
            "key": uuid.uuid4().hex,
            "record_id": queue["records"][0]["record_id"],
            "label": "include" if i % 10 == 0 else "exclude",
        }
        start = time.perf_counter()
        queue = client.ask("/api/decisions", body)
        waits.append(time.perf_counter() - start)
        time.sleep(args.pause)
    low, high = np.percentile(waits, [50, 95])
    print(
        f"{args.records:,} records, {args.labels:,} labels, {args.model}: {args.decisions} decisions answered with the next "
        f"records in {1000 * low:.0f} ms (median), {1000 * high:.0f} ms (p95), {1000 * max(waits):.0f} ms (longest)"
    )
