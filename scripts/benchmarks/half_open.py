"""Measure decisions while one address holds as many unfinished requests as it can.

    python scripts/benchmarks/half_open.py [--connections 1100] [--decisions 100] [--reopen]

A server is started on 127.0.0.1 with the usual 1,024 open files. From 127.0.0.2 come connections that send half of their
headers; with --reopen one that is closed is opened again, as fast as that goes. Meanwhile a reviewer at 127.0.0.1
decides, each decision over a new connection.
Printed as JSON: how long decisions took, how many failed, and how many bytes the server wrote to its log.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

FILES = 1_024


class Attacker(threading.Thread):
    """Holds as many half-open requests as it can from one address."""

    def __init__(self, port: int, wanted: int, reopen: bool) -> None:
        super().__init__(daemon=True)
        self.port, self.wanted, self.reopen = port, wanted, reopen
        self.stopped = threading.Event()
        self.opened = 0
        self.held = 0

    def run(self) -> None:
        held: dict[socket.socket, None] = {}
        seen = selectors.DefaultSelector()
        while not self.stopped.is_set():
            for _ in range(50):
                if (len(held) if self.reopen else self.opened) >= self.wanted:
                    break
                one = socket.socket()
                one.settimeout(0.2)
                try:
                    one.bind(("127.0.0.2", 0))
                    one.connect(("127.0.0.1", self.port))
                    one.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ")
                except OSError:
                    one.close()
                    continue
                self.opened += 1
                held[one] = None
                seen.register(one, selectors.EVENT_READ)
            for key, _ in seen.select(0.02):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                seen.unregister(one)
                held.pop(one)
                one.close()
            self.held = len(held)
        for one in held:
            one.close()


def ask(port: int, method: str, path: str, cookie: str, body: object = None, csrf: str = "") -> dict[str, object]:
    """Send one request over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"cookie": cookie, "content-type": "application/json", "x-csrf-token": csrf}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise OSError(f"{answer.status}: {content[:200]!r}")
        found: dict[str, object] = json.loads(content)
        return found
    finally:
        connection.close()


def measure(connections: int, decisions: int, reopen: bool = False) -> dict[str, object]:
    """Return what was measured."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8_192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        folder = Path(name)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        rows = "".join(f"Title {i} on peer support,Abstract {i} of a trial\n" for i in range(decisions + 20))
        (folder / "a.csv").write_text("title,abstract\n" + rows, encoding="utf-8")
        for command in (["new", "r.triage"], ["import", "r.triage", "a.csv"]):
            subprocess.run([sys.executable, "-m", "triage", *command], cwd=folder, check=True, capture_output=True)
        log = (folder / "log").open("w+b")
        serve = ["serve", "r.triage", "--port", str(port), "--no-browser", "--no-token", "--model", "fast"]
        server = subprocess.Popen(
            [sys.executable, "-m", "triage", *serve],
            cwd=folder,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_NOFILE, (FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
            ),
        )
        attacker = Attacker(port, connections, reopen)
        try:
            csrf = ""
            for _ in range(300):
                try:
                    csrf = str(ask(port, "GET", "/api/session", "")["csrf"])
                    queue = ask(port, "GET", "/api/queue", "")
                    if queue["records"]:
                        break
                except OSError:
                    pass
                time.sleep(0.1)
            before = os.fstat(log.fileno()).st_size
            if connections:
                attacker.start()
                time.sleep(5)
            took, failed, began = [], 0, time.monotonic()
            for i in range(decisions):
                if failed >= 5:
                    break
                at = time.monotonic()
                try:
                    records = ask(port, "GET", "/api/queue", "")["records"]
                    assert isinstance(records, list)
                    body = {"key": f"key-{i:08}", "record_id": records[0]["record_id"], "label": "exclude"}
                    at = time.monotonic()
                    ask(port, "POST", "/api/decisions", "", body, csrf)
                    took.append(time.monotonic() - at)
                except OSError:
                    failed += 1
            seconds = time.monotonic() - began + (5 if connections else 0)
            found: dict[str, object] = {
                "held": attacker.held,
                "opened": attacker.opened,
                "decided": len(took),
                "failed": failed,
                "p50_ms": round(1000 * statistics.median(took), 1) if took else None,
                "p95_ms": round(1000 * sorted(took)[int(0.95 * len(took))], 1) if took else None,
                "seconds": round(seconds, 1),
                "log_bytes": os.fstat(log.fileno()).st_size - before,
            }
        finally:
            attacker.stopped.set()
            server.terminate()
            server.wait(20)
        log.seek(before)
        found["tracebacks"] = len(re.findall(rb"Traceback", log.read()))
        log.close()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1_100)
    parser.add_argument("--decisions", type=int, default=100)
    parser.add_argument("--reopen", action="store_true")
    given = parser.parse_args()
    print(json.dumps(measure(given.connections, given.decisions, given.reopen), indent=2))
