"""How many connections a server holds, how long it waits for a request, and how much it writes of faults."""

import logging
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from web_helpers import Clock, serving

from triage import web
from triage.web import connections
from triage.web.connections import Sparing
from triage.web.limits import network_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts" / "benchmarks"))

HALF = b"GET / HTTP/1.1\r\nHost: x\r\n"
WHOLE = HALF + b"\r\n"
SOON = 0.5  # seconds that a request gets here


async def answering(scope, receive, send):
    """Take a whole request in and answer with its length; /large with 50 MB, /fault not at all."""
    if scope["type"] != "http":
        return
    if scope["path"] == "/fault":
        raise RuntimeError("a fault")
    taken, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        taken, more = taken + len(message["body"]), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(50 if scope["path"] == "/large" else 0):
        await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})
    await send({"type": "http.response.body", "body": b"taken %d" % taken})


def connected(listener, source="127.0.0.1", send=b""):
    found = socket.socket()
    found.settimeout(10)
    found.bind((source, 0))
    found.connect(listener.getsockname())
    found.sendall(send)
    return found


def ended(connection):
    """Return the seconds until a connection is closed, and what came before."""
    began, came = time.monotonic(), b""
    try:
        while part := connection.recv(1 << 16):
            came += part
    except ConnectionResetError:
        pass
    return time.monotonic() - began, came


def answer(connection, request=WHOLE):
    connection.sendall(request)
    came = b""
    while b"taken" not in came:
        part = connection.recv(1 << 16)
        assert part, "closed without an answer"
        came += part
    return came


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", SOON)
    monkeypatch.setattr(connections, "BODY_SECONDS", SOON)


def test_one_address_cannot_take_all_connections_and_gets_new_ones_for_those_it_closes(monkeypatch):
    monkeypatch.setattr(web, "MOST_PER_ADDRESS", 5)
    with serving(answering) as listener:
        held = [connected(listener, "127.0.0.2", HALF) for _ in range(5)]
        for _ in range(200):
            assert ended(connected(listener, "127.0.0.2"))[1] == b""
        assert (listener.n_open, listener.refused) == (5, 200)
        with connected(listener) as other:
            assert b"200 OK" in answer(other)
        held.pop().close()
        while listener.n_open > 4:
            time.sleep(0.01)
        with connected(listener, "127.0.0.2") as again:
            assert b"200 OK" in answer(again)
        for one in held:
            one.close()
        while listener.n_open:
            time.sleep(0.01)
        assert not listener._open


def test_of_all_addresses_together_come_no_more_than_the_system_has_files_for(monkeypatch):
    monkeypatch.setattr(web, "most_connections", lambda: 3)
    with serving(answering) as listener:
        held = [connected(listener, f"127.0.0.{i}", HALF) for i in range(2, 5)]
        assert ended(connected(listener, "127.0.0.9"))[1] == b""
        assert listener.refused == 1
        for one in held:
            one.close()


@pytest.mark.parametrize(
    "host, public, limited",
    [
        ("127.0.0.1", "https://review.example.org", False),
        ("127.0.0.1", "", True),
        ("0.0.0.0", "https://review.example.org", True),
    ],
)
def test_a_proxy_on_this_machine_is_the_one_visitor_that_has_no_limit_of_its_own(host, public, limited):
    with web._listening(host, 0, tls=False, public=public) as listener:
        assert listener.most_per_address == (connections.MOST_PER_ADDRESS if limited else 0)
        assert listener.most <= connections.MOST


@pytest.mark.parametrize("before", [b"", b"\r\n", b"GET", HALF, HALF + b"A: " + b"a" * 5_000])
@pytest.mark.parametrize("is_first", [True, False])
def test_headers_that_do_not_end_are_not_waited_for(soon, before, is_first):
    with serving(answering) as listener, connected(listener) as one:
        if not is_first:
            answer(one)
        one.sendall(before)
        seconds, _ = ended(one)
        assert seconds < (7 if before == b"" else 3)  # between two requests uvicorn waits five seconds


def test_headers_that_come_drop_by_drop_get_no_more_time(soon):
    with serving(answering) as listener, connected(listener) as one:
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 5:
                one.sendall(b"G" if time.monotonic() == began else b"A")
                time.sleep(0.05)
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("at_once, kept", [(10, False), (20_000, True)])
def test_a_body_may_take_its_time_but_has_to_come(soon, at_once, kept):
    length = 30 * at_once
    with serving(answering) as listener, connected(listener) as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length)
        if kept:
            for _ in range(30):
                one.sendall(b"x" * at_once)
                time.sleep(0.05)
            assert b"taken %d" % length in one.recv(1 << 16)
        else:
            with pytest.raises(OSError):
                for _ in range(30):
                    one.sendall(b"x" * at_once)
                    time.sleep(0.05)


def test_an_answer_that_nobody_takes_is_not_kept(soon):
    with serving(answering) as listener, connected(listener) as one:
        one.sendall(WHOLE.replace(b"GET /", b"GET /large"))
        time.sleep(3 * SOON)
        assert listener.n_open == 0
        assert len(ended(one)[1]) < 50_000_000


def test_an_answer_that_takes_long_to_make_or_to_read_is_kept(soon):
    async def slow(scope, receive, send):
        if scope["type"] == "http":
            time.sleep(3 * SOON)
            await answering(scope, receive, send)

    with serving(slow) as listener, connected(listener) as one:
        assert b"200 OK" in answer(one)
    with serving(answering) as listener, connected(listener) as one:
        one.sendall(WHOLE.replace(b"GET /", b"GET /large"))
        came = 0
        for _ in range(25):  # longer than a pause may be, and never as long at once
            came += len(one.recv(1 << 20, socket.MSG_WAITALL))
            time.sleep(0.06)
        while part := one.recv(1 << 20):
            came += len(part)
            if came > 50_000_000:
                break
        assert came > 50_000_000


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to make a certificate with")
def test_who_does_not_begin_with_tls_is_not_waited_for(soon, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    subprocess.run([*make, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    trusted = ssl.create_default_context(cafile=cert)
    trusted.check_hostname = False
    with serving(answering, tls=(cert, key)) as listener:
        with connected(listener) as silent:
            assert ended(silent)[0] < 3
        with trusted.wrap_socket(connected(listener)) as one:
            assert b"200 OK" in answer(one)
            time.sleep(2 * SOON)
            assert b"200 OK" in answer(one), "TLS has begun, and the time between requests is another"
        while listener.n_open:
            time.sleep(0.01)
        assert not listener._unread


# -- the log ------------------------------------------------------------------------------------


def record(message="a fault"):
    return logging.LogRecord("uvicorn.error", logging.ERROR, "x", 1, "%s", (message,), None)


def test_a_log_takes_so_many_lines_in_a_minute_and_in_an_hour_and_says_how_many_it_left_out():
    clock = Clock()
    sparing = Sparing(clock)
    assert sum(sparing.filter(record()) for _ in range(1_000)) == 10
    clock.now += 60
    first = record()
    assert sparing.filter(first) and first.getMessage() == "a fault (990 lines before it were left out)"
    second = record()
    assert sparing.filter(second) and second.getMessage() == "a fault"
    taken = 12
    for _ in range(58):
        clock.now += 60
        taken += sum(sparing.filter(record()) for _ in range(1_000))
    assert taken == 100
    clock.now += 60
    assert sparing.filter(record())


class Kept(logging.Handler):
    """Keeps what a log was given, past its filters."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record.getMessage())


def test_faults_that_visitors_bring_about_do_not_fill_the_log():
    kept = Kept()
    with serving(answering) as listener:
        for name in ("uvicorn.error", "asyncio"):
            logging.getLogger(name).addHandler(kept)
        try:
            for _ in range(30):
                with connected(listener, send=b"no request\r\n\r\n") as one:
                    ended(one)
                with connected(listener, send=WHOLE.replace(b"GET /", b"GET /fault")) as one:
                    one.recv(1_000)
        finally:
            for name in ("uvicorn.error", "asyncio"):
                logging.getLogger(name).removeHandler(kept)
    assert len(kept.records) == 10
    assert {said.strip() for said in kept.records} == {
        "Invalid HTTP request received.",
        "Exception in ASGI application",
    }


def test_half_open_requests_lock_nobody_out():
    import half_open

    found = half_open.measure(1_100, 20)
    assert (found["decided"], found["failed"], found["tracebacks"]) == (20, 0, 0)
    assert found["opened"] == 1_100 and found["log_bytes"] < 10_000


# -- what the system allows ---------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows counts no open files")
@pytest.mark.parametrize("soft, hard, most", [(1_024, 20_000, 1_000), (256, 512, 256), (100, 100, 16), (-1, -1, 1_000)])
def test_as_many_files_are_asked_for_as_the_system_gives(monkeypatch, soft, hard, most):
    import resource

    now = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda which: tuple(now))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: now.__setitem__(slice(None), limits))
    assert connections.most_connections() == most
    assert now[1] == hard


def test_an_address_of_version_4_is_the_same_over_a_socket_for_both():
    assert network_of("::ffff:203.0.113.9") == "203.0.113.9" != network_of("::ffff:203.0.113.8")
    assert network_of("2001:db8::1") == network_of("2001:db8::2") == "2001:db8::/64"
