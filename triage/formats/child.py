"""The process that reads other people's files for this one: it is asked through a pipe, and answers through another.

Messages are what `marshal` writes, with their length before them: unlike pickles they hold data only, so whatever a
file does to the process that reads it, nothing of it runs in the process that asked. `apart` starts this one.
"""

from __future__ import annotations

import gc
import marshal
import os
import re
import select
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import attrgetter
from pathlib import Path
from typing import IO, Any

from .. import formats
from ..errors import InputError
from ..records import Record
from ..wording import printable
from .common import Item, Problem
from .pdf import Front, front_of
from .tables import NoTitleColumn, blank_rows

LARGEST = 2**28  # bytes of a message
OUT_OF_MEMORY = 71  # exit code
# Of a record: its fields in the order in which `Record` takes them.
FIELDS = tuple("title abstract authors year journal doi pmid language type keywords source extra".split())
_BATCH = 2**18  # bytes of records that go together
_SECONDS = 0.2  # after which they go, however few they are
_RECORD = LARGEST // 4  # bytes
IDLE_SECONDS = 60
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")  # as `marshal` writes one
_LENGTH = struct.Struct(">I")
_fields_of = attrgetter(*FIELDS)
_front_fields = attrgetter(*Front.__slots__)


def temporary(pid: int) -> str:
    """Return how the names of a process's temporary folders begin."""
    return f"triage-{pid}-"


def send(to: IO[bytes], message: Any) -> None:
    """Write a message."""
    content = marshal.dumps(message)
    to.write(_LENGTH.pack(len(content)))
    to.write(content)
    to.flush()


def receive(source: IO[bytes]) -> Any:
    """Return the next message, None where nobody writes any more.

    Raises
    ------
    ValueError
        When it is not one.
    """
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    size = _LENGTH.unpack(head)[0]
    if size > LARGEST:
        raise ValueError(f"a message of {size:,} bytes")
    content = source.read(size)
    if len(content) < size:
        return None
    try:
        return marshal.loads(content)
    except (EOFError, TypeError) as error:
        raise ValueError(str(error)) from error


def main() -> None:
    """Answer what is asked until nobody asks any more, or for a minute."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):  # what a library reads or prints is no message
        os.dup2(nothing, standard)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # where memory runs out, this process is the one to end
    with suppress(BrokenPipeError):
        while _asked(questions) and (question := receive(questions)) is not None:
            answer(question, questions, answers)


def _asked(questions: IO[bytes]) -> bool:
    return os.name != "posix" or bool(select.select([questions], [], [], IDLE_SECONDS)[0])


def answer(question: Any, questions: IO[bytes], answers: IO[bytes]) -> None:
    """Read a file as it was asked for, and send what is in it, or why it cannot be read."""
    work, folder, path, arguments, options, memory, seconds, most = question
    to = _Answers(path, questions, answers, most)
    said: tuple[object, ...]
    try:
        with suppress(OSError):
            os.chdir(folder)
        with _within(memory, seconds):
            _WORK[work](Path(path), arguments, options, to)
            to.end()
        return
    except NoTitleColumn as error:
        said = ("columns", error.message, error.header, error.rows)
    except InputError as error:
        said = ("refused", error.message, list(error.details))
    except MemoryError:
        said = ("memory",)
    except BrokenPipeError:  # nobody listens any more
        raise
    except BaseException as error:  # also what a library's own code in another language raises
        said = ("failed", f"{type(error).__name__}: {error}"[:300])
    gc.collect()
    send(answers, said)


class _Answers:
    """Sends what a reader finds, many records together."""

    def __init__(self, path: str, questions: IO[bytes], answers: IO[bytes], most: int) -> None:
        self._path, self._questions, self._to, self._most = path, questions, answers, most
        self._batch: list[bytes] = []
        self._size = self._all = 0
        self._sent = time.monotonic()
        self._progress: Callable[[], tuple[int, float]] = lambda: (0, 0.0)
        self._warnings: Callable[[], list[Problem]] = list

    def ask(self, cells: Sequence[str]) -> bool:
        """Ask whether a row names the columns."""
        send(self._to, ("ask", list(cells)))
        return bool(receive(self._questions))

    def begin(
        self,
        facts: tuple[object, ...],
        progress: Callable[[], tuple[int, float]],
        warnings: Callable[[], list[Problem]],
    ) -> None:
        """Send what is known before the first record, and keep how to learn what is known later."""
        send(self._to, ("begin", facts))
        self._progress, self._warnings = progress, warnings

    def add(self, found: Any, at: int) -> None:
        """Take a record or row that begins in a line."""
        content = marshal.dumps(found)
        if b"\xed" in content and _SURROGATE.search(content):
            content = marshal.dumps(encodable(found))
        self._size += len(content)
        self._all += len(content)
        if len(content) > _RECORD:
            raise InputError(
                f"{self._path}, line {at}: a record of {len(content) >> 20:,} MiB, which no record is; the file is "
                "damaged. Export it again."
            )
        if self._all > self._most:
            raise InputError(
                f"{self._path} holds more than {self._most >> 20:,} MiB of records, far more than a file of its size "
                "does, so it is damaged or made to do harm, and was not read. Export it again, as RIS or CSV."
            )
        self._batch.append(content)
        if self._size > _BATCH or time.monotonic() > self._sent + _SECONDS:
            self._send()

    def _send(self) -> None:
        send(self._to, ("found", self._batch, *self._progress()))
        self._batch, self._size, self._sent = [], 0, time.monotonic()

    def end(self) -> None:
        """Send what is left, and the warnings."""
        self._send()
        send(self._to, ("end", [(warning.line, warning.message) for warning in self._warnings()]))


def _records(path: Path, arguments: tuple[Any, ...], options: dict[str, Any], to: _Answers) -> None:
    stream = formats.open_records(path, *arguments, **options)
    to.begin((stream.format,), lambda: (stream.announced, stream.fraction), lambda: stream.warnings)
    for item in stream:
        to.add(flat(item), item.line)


def _table(path: Path, arguments: tuple[Any, ...], options: dict[str, Any], to: _Answers) -> None:
    unit, header, rows, tally = formats.open_table(path, to.ask, **options)
    to.begin((unit, header), lambda: (tally.announced, tally.fraction), lambda: tally.warnings)
    for row in rows:
        to.add(row, row[0])


def _rows(path: Path, arguments: tuple[Any, ...], options: dict[str, Any], to: _Answers) -> None:
    header, rows = formats.rows_under_header(path, *arguments, **options)
    to.begin((header,), lambda: (0, 0.0), list)
    for row in rows:
        to.add(row, row[0])


def _first(path: Path, arguments: tuple[Any, ...], options: dict[str, Any], to: _Answers) -> None:
    to.begin((), lambda: (0, 0.0), list)
    for at, row in enumerate(formats.first_rows(path, *arguments, **options), 1):
        to.add(row, at)


def _blank(path: Path, arguments: tuple[Any, ...], options: dict[str, Any], to: _Answers) -> None:
    to.begin((), lambda: (0, 0.0), list)
    for line in blank_rows(path, *arguments):
        to.add(line, line)


def _front(path: Path, arguments: tuple[Any, ...], options: dict[str, Any], to: _Answers) -> None:
    to.begin((), lambda: (0, 0.0), list)
    to.add(_front_fields(front_of(path)), 0)


_WORK = {"front": _front, "first": _first, "records": _records, "table": _table, "rows": _rows, "blank": _blank}


def flat(item: Item) -> tuple[Any, ...]:
    """Return an item as plain values."""
    line, found, label = item
    if isinstance(found, Problem):
        return line, label, (found.line, found.message)
    for name in found.extra:
        sys.intern(name)  # so that records share the names of their fields where they arrive
    return line, label, _fields_of(found)


def encodable(value: Any) -> Any:
    """Return plain values with what no file can hold, halves of characters that JSON may name, as U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {encodable(name): encodable(one) for name, one in value.items()}
    return type(value)(map(encodable, value)) if isinstance(value, (tuple, list)) else value


def item_of(values: tuple[Any, ...]) -> Item:
    """Return the item that was made flat."""
    line, label, found = values
    return Item(line, Problem(found[0], printable(found[1])) if len(found) == 2 else Record(*found), label)


# -- limits -----------------------------------------------------------------------------------


@contextmanager
def _within(memory: int, seconds: float) -> Iterator[None]:
    """Limit this process to so many bytes more than it has now, and so many seconds of computing from now on.

    Past the one, allocating fails; past the other, the system ends the process. Where the system has no such limit for
    memory, a thread looks, and where it has none for time either, only the process that asked is left to end this one.
    """
    try:
        import resource
    except ImportError:  # Windows
        yield
        return
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_CPU, int(time.process_time() + seconds) + 1)
    over = threading.Event()
    if (now := address_space()) is not None:
        _set(resource.RLIMIT_AS, now + memory)
    else:
        threading.Thread(target=_watch_memory, args=(_resident() + memory, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        _set(resource.RLIMIT_AS, None)
        _set(resource.RLIMIT_CPU, None)


def _set(limit: int, value: int | None) -> None:
    """Set the soft limit, which can be raised again; None takes it off."""
    import resource

    hard = resource.getrlimit(limit)[1]
    if value is None or (hard != resource.RLIM_INFINITY and value > hard):
        value = hard
    with suppress(OSError, ValueError):
        resource.setrlimit(limit, (value, hard))


def address_space() -> int | None:
    """Return the bytes that this process has mapped; None where the system does not say so as Linux does."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _resident() -> int:
    """Return the bytes of memory that this process holds, the most so far where the system says no more.

    What Linux calls the most so far is at first that of the process which started this one.
    """
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def _watch_memory(most: int, over: threading.Event) -> None:
    while not over.wait(0.1):
        if _resident() > most:
            os._exit(OUT_OF_MEMORY)
