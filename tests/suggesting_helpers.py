"""What the tests of a language model as a screener share: a stub of a server, and what it was sent."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from triage import cli
from triage.log import Kind
from triage.project import Project
from triage.suggesting import client as _client

KEY = "sk-secret-0123456789"

KEY = "sk-secret-0123456789"


class Server:
    """A server with OpenAI's interface; `reply` says what it does with the n-th request, by default it answers well."""

    def __init__(self):
        self.requests = []  # each (time, headers, body)
        self.reply = lambda n, asked: self.good(asked)
        self.release = threading.Event()
        self._turn = threading.Lock()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with stub._turn:
                    stub.requests.append((time.monotonic(), {k.lower(): v for k, v in self.headers.items()}, body))
                    n = len(stub.requests)
                status, headers, content = stub.reply(n, asked_about(body))
                if status is None:  # the connection is closed without a word
                    self.close_connection = True
                    return
                pieces = content if isinstance(content, Iterator) else None
                content = content if isinstance(content, bytes) or pieces else json.dumps(content).encode()
                length = {"Connection": "close"} if pieces else {"Content-Length": str(len(content))}
                self.close_connection = "Content-Length" in headers or pieces is not None  # fewer bytes than were told
                self.send_response(status)
                for name, value in {**length, **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(OSError):
                    for piece in pieces or [content]:
                        self.wfile.write(piece)

            def log_message(self, *_):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_):
                pass

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.release.set()
        self._http.shutdown()
        self._http.server_close()

    @property
    def titles(self):
        """The titles that were asked about, in the order of the requests."""
        return [asked_about(body) for _, _, body in self.requests]

    def good(self, asked, text=None, **fields):
        relevant = asked.endswith(tuple(f"number{i}" for i in range(0, 60, 6)))  # as in the sample
        said = {
            "rationale": f"On {asked}",
            "label": "include" if relevant else "exclude",
            "score": 0.9 if relevant else 0.1,
        }
        said |= {"reason": "" if relevant else "CHILD"} | fields
        return completion(json.dumps(said) if text is None else text)


def completion(text, **beside):
    message = {"role": "assistant", "content": text}
    return (
        200,
        {"Content-Type": "application/json"},
        {
            "model": "stub-2026-01",
            "choices": [{"message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 300, "completion_tokens": 40},
            **beside,
        },
    )


def asked_about(body):
    return next(
        (
            line.removeprefix("Title: ")
            for message in body.get("messages", ())
            for line in message["content"].splitlines()
            if line.startswith("Title: ")
        ),
        "",
    )


@pytest.fixture
def a_server():
    made = Server()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def an_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TRIAGE_CACHE", str(tmp_path / "own.cache"))
    monkeypatch.setenv("TRIAGE_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_client, "FIRST_WAIT", 0.01)


def to(server, *more, model="m"):
    return ["suggest", "r.triage", "--endpoint", server.url, "--model", model, "--reviewer", "ann", *map(str, more)]


def events(folder, kind):
    with Project.open(folder / "r.triage") as project:
        return [e for e in project.log.events() if e.kind is kind]


def suggested(folder):
    """Return the suggestions by record, each record once."""
    found = events(folder, Kind.SUGGESTION)
    assert len({e.record_id for e in found}) == len(found)
    return {e.record_id: e for e in found}


def declared(folder):
    return [json.loads(e.note) for e in events(folder, Kind.MACHINE)]


def ended(triage, capsys, arguments):
    """Run a command; give its exit code and what it wrote."""
    code = cli.run([str(a) for a in arguments])
    return code, *capsys.readouterr()
