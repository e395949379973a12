"""How an endpoint is asked over and over again: in its own time, and until it answers or is given up.

Nothing but the endpoint is ever spoken to: no redirection is followed, and to this machine itself no proxy is used.
The key is in the header of each request and nowhere else; what comes back is freed of it.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from ..errors import InputError
from ..text import plain
from ..wording import span
from .endpoint import KEY_VARIABLES, Endpoint, Key
from .prompt import Message

FIRST_WAIT = 1.0  # seconds before a request is made again; each wait after it is twice as long
_LONGEST_WAIT = 60.0
_LONGEST_TOLD_WAIT = 600.0  # a server that asks for a longer one is to be asked another day
_TRIES = 5
_TRIES_TO_CONNECT = 3  # where no request has ever got through
_MOST_BYTES = 4_000_000  # of one answer
_SYSTEM_ROLE = re.compile(r"\bsystem\b.*\brole\b|\broles?\b.*\bsystem\b", re.DOTALL | re.IGNORECASE)


class NoAnswer(Exception):
    """A request that has come to nothing; the message says why, as the end of a sentence."""


class Stopped(Exception):
    """The run is over, so this request is not made any more."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model wrote.

    Attributes
    ----------
    text : str
    version : str
        What the server calls the model.
    is_whole : bool
        False where it ran into the limit of tokens.
    without : str
        What the server did not take of the request, as a list in words.
    """

    text: str
    version: str
    is_whole: bool
    without: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that the server says were used.

    Attributes
    ----------
    tokens_in, tokens_out : int
    replies : int
        Replies that came, those that were no valid answer among them.
    told : int
        Replies that said what they used.
    """

    tokens_in: int = 0
    tokens_out: int = 0
    replies: int = 0
    told: int = 0


class Pace:
    """When the next request may be made; threads share one.

    Parameters
    ----------
    per_minute : float or None
    stop : threading.Event
    """

    def __init__(self, per_minute: float | None, stop: threading.Event) -> None:
        self._apart = 60 / per_minute if per_minute else 0.0
        self._stop = stop
        self._next = 0.0
        self._turn = threading.Lock()

    def wait(self) -> None:
        """Return when it is this thread's turn to make a request."""
        while True:
            with self._turn:
                now = time.monotonic()
                left = self._next - now
                if left <= 0:
                    self._next = now + self._apart
                    return
            self.sleep(left)

    def hold(self, seconds: float) -> None:
        """Have everybody wait so long."""
        with self._turn:
            self._next = max(self._next, time.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Wait, unless the run is over."""
        if self._stop.wait(seconds):
            raise Stopped


class Client:
    """Asks an endpoint; threads share one.

    Parameters
    ----------
    endpoint : Endpoint
    key : Key or None
    model : str
    parameters : mapping
        What is asked of the model beside the messages: temperature, seed, max_tokens.
    response_format : mapping
        The schema of an answer.
    timeout : float
        Seconds for one reply.
    pace : Pace

    Raises
    ------
    InputError
        When the endpoint is none that a request can be sent to.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        key: Key | None,
        model: str,
        parameters: Mapping[str, object],
        response_format: Mapping[str, object],
        *,
        timeout: float,
        pace: Pace,
    ) -> None:
        self._endpoint = endpoint
        self._key = key
        self._body = {"model": model, **parameters, "response_format": response_format}
        self._timeout = timeout
        self._pace = pace
        self._turn = threading.Lock()
        self._random = random.Random()  # spreads the waits of several programs; nothing that is kept depends on it
        self._is_reached = False
        self._refused: frozenset[str] = frozenset()
        self._usage = Usage()
        try:
            self._address = httpx2.URL(f"{endpoint.url}/chat/completions")
        except httpx2.InvalidURL as error:
            raise InputError(f"--endpoint {endpoint.url!r} is not an address.") from error
        self._http = httpx2.Client(
            follow_redirects=False,
            trust_env=not endpoint.is_here,
            timeout=httpx2.Timeout(timeout, connect=min(timeout, 20.0)),
            headers={"Authorization": f"Bearer {key.value}"} if key is not None else {},
        )

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    @property
    def usage(self) -> Usage:
        """What was used so far."""
        return self._usage

    def hide(self, text: str) -> str:
        """Return a text without the key."""
        return text if self._key is None else self._key.hidden_in(text)

    def ask(self, messages: Sequence[Message]) -> Reply:
        """Return the reply to some messages, asked for again while the server is busy or fails.

        Raises
        ------
        NoAnswer
            When these messages get none.
        InputError
            When no others would either: the key or the address is wrong.
        Stopped
            When the run is over.
        """
        refused = self._refused
        spent = 0
        while True:
            self._pace.wait()
            try:
                status, headers, content = self._send(messages, refused)
            except httpx2.TimeoutException:
                spent += 2  # each has taken long already
                why = f"it did not answer within {span(self._timeout)}"
            except (httpx2.TransportError, httpx2.DecodingError) as error:
                spent += 1
                why = f"the connection failed ({_told(str(error)) or type(error).__name__})"
                if isinstance(error, httpx2.ConnectError) and not self._is_reached and spent >= _TRIES_TO_CONNECT:
                    raise InputError(
                        f"{self._endpoint.host} cannot be reached ({self.hide(_told(str(error)))}); check --endpoint, and "
                        "whether the server is running."
                    ) from error
            else:
                self._is_reached = True
                said = _object(content)
                if status in (400, 422) and (more := self._to_leave_out(refused, said)):
                    refused = refused | more
                    continue
                if status == 200 and (reply := self._reply(said)) is not None:
                    with self._turn:
                        self._refused = self._refused | refused
                    return replace(reply, without=", ".join(sorted(refused)))
                why = self._judged(status, said)
                spent += 1
                if spent < _TRIES and status == 429:
                    self._pace.hold(self._told_wait(headers) or self._wait(spent))
                    continue
                if spent < _TRIES and (told := self._told_wait(headers)):
                    self._pace.sleep(told)
                    continue
            if spent >= _TRIES:
                raise NoAnswer(self.hide(why))
            self._pace.sleep(self._wait(spent))

    def _send(self, messages: Sequence[Message], refused: frozenset[str]) -> tuple[int, Mapping[str, str], bytes]:
        """Make one request; the whole reply must come in time and in bounds, however it drips in."""
        body = {name: value for name, value in self._body.items() if name not in refused}
        if "max_tokens" in refused:
            body["max_completion_tokens"] = self._body["max_tokens"]
        body["messages"] = [*messages]
        if "system" in refused:
            first, second, *rest = messages
            body["messages"] = [{"role": "user", "content": f"{first['content']}\n\n{second['content']}"}, *rest]
        until = time.monotonic() + self._timeout
        content = bytearray()
        with self._http.stream("POST", self._address, json=body) as response:
            for piece in response.iter_bytes():
                content += piece
                if len(content) > _MOST_BYTES:
                    raise NoAnswer(f"its answer is larger than {_MOST_BYTES // 1_000_000} MB")
                if time.monotonic() > until:
                    raise httpx2.ReadTimeout("it drips", request=response.request)
        return response.status_code, response.headers, bytes(content)

    def _to_leave_out(self, refused: frozenset[str], said: Mapping[str, object]) -> frozenset[str]:
        """Return what a server that refuses a request may take it without; nothing where all was tried."""
        param, message = _error_of(said)
        kept = [name for name in ("temperature", "seed", "max_tokens", "response_format") if name not in refused]
        if param in kept:
            return frozenset((param,))
        if named := frozenset(name for name in kept if re.search(rf"\b{name}\b", message, re.IGNORECASE)):
            return named
        if "system" not in refused and _SYSTEM_ROLE.search(message):
            return frozenset(("system",))
        return frozenset(("response_format",)) if "response_format" in kept else frozenset()

    def _reply(self, said: Mapping[str, object]) -> Reply | None:
        """Return what a server said, None where it is no reply, and count what it used."""
        choices = said.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            return None
        usage = said.get("usage")
        used = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(usage, dict) else []
        counts = [n for n in used if isinstance(n, int) and not isinstance(n, bool) and n >= 0]
        with self._turn:
            before = self._usage
            tokens_in, tokens_out = counts if len(counts) == 2 else (0, 0)
            self._usage = Usage(
                before.tokens_in + tokens_in,
                before.tokens_out + tokens_out,
                before.replies + 1,
                before.told + (len(counts) == 2),
            )
        version, text = said.get("model"), message.get("content")
        return Reply(
            text if isinstance(text, str) else "",
            self.hide(_told(version)) if isinstance(version, str) else "",
            choice.get("finish_reason") != "length",
        )

    def _judged(self, status: int, said: Mapping[str, object]) -> str:
        """Say why a request failed that may be made again.

        Raises
        ------
        InputError, NoAnswer
            When it may not.
        """
        host, (_, message) = self._endpoint.host, _error_of(said)
        told = f": {self.hide(message)}" if message else ""
        if status in (401, 403):
            which = f"the key in {self._key.variable}" if self._key is not None else f"no key (set {KEY_VARIABLES[0]})"
            raise InputError(f"{host} refuses {which}: it answered {status}.")
        if status in (404, 405, 410):
            raise InputError(
                f"{host} has no such address or model: it answered {status}{told}; check --endpoint, which mostly ends in "
                "/v1, and --model."
            )
        if status == 402 or (status == 429 and "insufficient_quota" in json.dumps(said)):
            raise InputError(f"What may be used of {host} is used up: it answered {status}{told}.")
        if 300 <= status < 400:
            raise InputError(
                f"{host} answered {status}, which sends requests to another address, and that is not followed; give the "
                "address itself as --endpoint."
            )
        if status in (408, 409, 425, 429) or status >= 500:
            return f"the server answered {status}{told}"
        if status == 200:
            return f"the server answered with no message{told}"
        raise NoAnswer(f"the server answered {status}{told}")

    def _wait(self, spent: int) -> float:
        with self._turn:
            return float(min(_LONGEST_WAIT, FIRST_WAIT * 2 ** (spent - 1)) * self._random.uniform(0.5, 1.0))

    def _told_wait(self, headers: Mapping[str, str]) -> float | None:
        """Return how many seconds the server asks to wait.

        Raises
        ------
        InputError
            When it is too long to be waited for.
        """
        told = headers.get("retry-after", "").strip()
        try:
            seconds = float(told)
        except ValueError:
            try:
                at = parsedate_to_datetime(told)
            except ValueError:
                return None
            seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        if not seconds < _LONGEST_TOLD_WAIT:  # NaN too
            raise InputError(
                f"{self._endpoint.host} asks to be left alone for {told[:40]!r}; run this again after that."
            )
        return max(0.0, seconds) or None


def _object(content: bytes) -> Mapping[str, object]:
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _error_of(said: Mapping[str, object]) -> tuple[str, str]:
    """Return the parameter that an error is about, and its message."""
    error = said.get("error", said.get("detail", said.get("message", "")))
    if isinstance(error, dict):
        return str(error.get("param") or ""), _told(str(error.get("message") or ""))
    return "", _told(error if isinstance(error, str) else json.dumps(error))


def _told(text: str) -> str:
    return " ".join(plain(text).split())[:300]
