"""What a server gives to connections: so many at once, so long for a request, and so much of its log.

The limits are counted where a connection is accepted, before TLS and before a line is read. What uvicorn (tested with
0.54) has no setting for is added to its protocol.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .limits import network_of

MOST = 1_000  # connections at once
MOST_PER_ADDRESS = 200  # an office of thirty people whose browsers hold six each, and some to spare
HEADER_SECONDS = 20.0  # from the first moment of a request to the end of its headers; for TLS to begin, too
BODY_SECONDS = 30.0  # in which at least `_LEAST_BYTES` of a body come, or of an answer are taken
_LEAST_BYTES = 30_000
_REFUSED_AT_ONCE = 50
_SPARE_FILES = 256  # files beside the connections: the review, its journal, vectors, static files
_WINDOWS = ((60.0, 10), (3600.0, 100))  # in so many seconds a log takes so many lines


class Listener(socket.socket):
    """A listening socket that closes at once what is more than the limits allow.

    Attributes
    ----------
    most, most_per_address : int
        At once; 0 sets no limit for each address, as where a proxy is the only visitor.
    tls : bool
        Whether TLS has to begin before anything is read.
    """

    def __init__(self, family: int, most: int = MOST, most_per_address: int = MOST_PER_ADDRESS, tls: bool = False):
        super().__init__(family, socket.SOCK_STREAM)
        self.most, self.most_per_address, self.tls = most, most_per_address, tls
        self.refused = 0
        self._open: Counter[str] = Counter()
        self._all = 0
        self._unread: dict[int, _Connection] = {}

    @property
    def n_open(self) -> int:
        """How many connections are open."""
        return self._all

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection that is within the limits.

        Raises
        ------
        BlockingIOError
            When there is none just now, or so many were closed that the loop has to see to the others first.
        """
        for _ in range(_REFUSED_AT_ONCE):
            number, address = self._accept()  # type: ignore[attr-defined]  # as socket.socket.accept does
            source = network_of(address[0])
            connection = _Connection(self.family, self.type, self.proto, number)
            if self._all >= self.most or 0 < self.most_per_address <= self._open[source]:
                self.refused += 1
                connection.close()
                continue
            self._all += 1
            self._open[source] += 1
            connection.when_closed = lambda source=source: self._gone(source)
            if self.tls:
                self._unread[connection.fileno()] = connection
                asyncio.get_running_loop().call_later(HEADER_SECONDS, self._end_unread, connection.fileno(), connection)
            return connection, address
        raise BlockingIOError

    def arrived(self, number: int) -> None:
        """Take note that TLS has begun on a connection."""
        self._unread.pop(number, None)

    def _end_unread(self, number: int, connection: _Connection) -> None:
        if self._unread.get(number) is connection:
            del self._unread[number]
            with suppress(OSError):  # the loop, which owns it, sees that it has ended
                connection.shutdown(socket.SHUT_RDWR)

    def _gone(self, source: str) -> None:
        self._all -= 1
        self._open[source] -= 1
        if not self._open[source]:
            del self._open[source]


class _Connection(socket.socket):
    """A connection that says when it is closed."""

    when_closed: Callable[[], None] | None = None

    def close(self) -> None:
        super().close()
        closed, self.when_closed = self.when_closed, None
        if closed is not None:
            closed()


def most_connections() -> int:
    """Return how many connections the system lets this process hold beside its files, `MOST` at most."""
    try:
        import resource
    except ImportError:  # Windows counts them otherwise
        return MOST
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(
                resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
            )
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if soft == resource.RLIM_INFINITY else max(16, min(MOST, soft - _SPARE_FILES))


def protocol_of(listener: Listener | None) -> type[H11Protocol]:
    """Return the protocol of a server's connections."""

    class Protocol(TimedProtocol):
        accepted_by = listener

    return Protocol


class TimedProtocol(H11Protocol):
    """Uvicorn's protocol with an end to requests that do not come, and to answers that are not taken."""

    accepted_by: Listener | None = None
    _deadline: asyncio.TimerHandle | None = None
    _slow_reader: asyncio.TimerHandle | None = None
    _waits_for = ""
    _received = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        if self.accepted_by is not None and (opened := transport.get_extra_info("socket")) is not None:
            self.accepted_by.arrived(opened.fileno())
        self._wait("headers", HEADER_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Take in what came, and see what is waited for now."""
        self._received += len(data)
        super().data_received(data)
        self._wait_on()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._wait_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._wait("", 0)
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give the client its time to take what was written."""
        super().pause_writing()
        if self._slow_reader is None:
            self._slow_reader = self.loop.call_later(BODY_SECONDS, self._end)

    def resume_writing(self) -> None:
        """Go on: the client has taken what was written."""
        if self._slow_reader is not None:
            self._slow_reader.cancel()
            self._slow_reader = None
        super().resume_writing()

    def _wait_on(self) -> None:
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            self._wait("body", BODY_SECONDS)
        elif state is h11.IDLE and self.conn.trailing_data[0]:
            self._wait("headers", HEADER_SECONDS)
        else:  # the request is there, or the time between two of them is uvicorn's to end
            self._wait("", 0)

    def _wait(self, what: str, seconds: float) -> None:
        """Wait for something so long; what is waited for already gets no more time."""
        if what == self._waits_for:
            return
        if self._deadline is not None:
            self._deadline.cancel()
        self._waits_for, self._received = what, 0
        self._deadline = self.loop.call_later(seconds, self._late) if what else None

    def _late(self) -> None:
        # A body that is not read just now is not the client's fault.
        if self._waits_for == "body" and (self._received >= _LEAST_BYTES or self.flow.read_paused):
            self._waits_for = ""
            self._wait("body", BODY_SECONDS)
        else:
            self._end()

    def _end(self) -> None:
        self.transport.abort()


class Sparing(logging.Filter):
    """Lets so many lines through in a minute and in an hour, and counts the others.

    Parameters
    ----------
    clock : callable
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._since = [clock() for _ in _WINDOWS]
        self._lines = [0 for _ in _WINDOWS]
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is written; the first after others were left out says how many."""
        now = self._clock()
        for i, (seconds, _) in enumerate(_WINDOWS):
            if now - self._since[i] >= seconds:
                self._since[i], self._lines[i] = now, 0
        if any(lines >= most for lines, (_, most) in zip(self._lines, _WINDOWS, strict=True)):
            self._left_out += 1
            return False
        self._lines = [lines + 1 for lines in self._lines]
        if self._left_out:
            record.msg = f"{record.getMessage()} ({self._left_out:,} lines before it were left out)"
            record.args = ()
            self._left_out = 0
        return True
