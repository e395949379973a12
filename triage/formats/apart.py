"""Files of others read in a process of their own, so that one made to do harm, or damaged, harms nothing else.

The functions are those of the package and of `tables`, with the same arguments and results; records come in batches,
so that memory stays bounded on both sides. The process may take memory and time by the file's size, and where it takes
more, or breaks off, an `InputError` says in a sentence which file it was and what to do. One process serves the files
of a command one after the other, and any that are read at the same time have one each.
"""

from __future__ import annotations

import atexit
import marshal
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, ClassVar, cast

from ..errors import InputError
from ..wording import printable
from . import child
from .common import Problem, Reading, Stream, Tally
from .pdf import Front
from .tables import IsHeader, NoTitleColumn, Rows

_MIB = 2**20
_PIPE = _MIB  # bytes
_REUSED = 4 * _MIB  # a process that has read a larger file may hold much memory, and is ended
_CODE = "import os, sys; sys.path[:] = {path!r}; from triage.formats import child; child.main(); os._exit(0)"
_APART_ON_WINDOWS = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)
_AGAIN = "Export it again, or in another format such as RIS or CSV; if it is good, cut it into several files."


@dataclass(frozen=True, slots=True)
class Limits:
    """What the reading of a file may take.

    Attributes
    ----------
    memory : int
        Bytes, beyond what the process needs before it reads.
    seconds : float
        Of computing.
    silence : float
        Seconds without a word from the process, whether it computes or waits.
    written : int
        Bytes of records that it may give.
    """

    memory: int
    seconds: float
    silence: float
    written: int

    @classmethod
    def of(cls, size: int) -> Limits:
        """Return the limits for a file of so many bytes: several times what the slowest real files need."""
        seconds = 8 + 3 * size / _MIB
        return cls(384 * _MIB + 10 * size, seconds, 60 + 2 * seconds, 128 * _MIB + 12 * size)

    @property
    def given(self) -> tuple[int, float, int]:
        """What the process itself is to keep to."""
        return self.memory, self.seconds, self.written


# Two pages need the same however large the file is. Those of real articles take a second at most.
_OF_A_FRONT = Limits(512 * _MIB, 10, 30, _MIB)


def open_records(
    path: Path,
    format: str = "auto",
    label_column: str | None = None,
    *,
    columns: Mapping[str, str] = MappingProxyType({}),
    sheet: str = "",
    encoding: str | None = None,
) -> Stream:
    """Open a file of records, to be read one after the other; see `formats.open_records`.

    Raises
    ------
    InputError
        When the file cannot be read, is not of that format, or takes more than its size allows.
    """
    reading = _Reading(path, "records", (format, label_column), _told(columns, sheet, encoding))
    (chosen,) = reading.begin()
    return Stream(Path(path), chosen, map(child.item_of, reading), reading.tally)


def read(path: Path, format: str = "auto", label_column: str | None = None, encoding: str | None = None) -> Reading:
    """Read a file of records whole; see `formats.read`."""
    return Reading.of(open_records(path, format, label_column, encoding=encoding), labelled=label_column is not None)


def open_table(path: Path, is_header: IsHeader, encoding: str | None = None) -> tuple[str, list[str], Rows, Tally]:
    """Open a table of whatever, such as one of decisions; see `formats.open_table`."""
    reading = _Reading(path, "table", (), {"encoding": encoding}, is_header)
    unit, header = reading.begin()
    return unit, header, iter(reading), reading.tally


def rows_under_header(
    path: Path,
    format: str,
    *,
    columns: Mapping[str, str] = MappingProxyType({}),
    sheet: str = "",
    encoding: str | None = None,
) -> tuple[list[str], Rows]:
    """Return the row that names the columns of a table of records, and the rows under it."""
    reading = _Reading(path, "rows", (format,), _told(columns, sheet, encoding))
    (header,) = reading.begin()
    return header, iter(reading)


def first_rows(
    path: Path,
    format: str = "auto",
    *,
    columns: Mapping[str, str] = MappingProxyType({}),
    sheet: str = "",
    encoding: str | None = None,
) -> list[list[str]]:
    """Return the first rows with text of a table; see `formats.first_rows`."""
    reading = _Reading(path, "first", (format,), _told(columns, sheet, encoding))
    reading.begin()
    return list(reading)


def blank_rows(path: Path, format: str, encoding: str | None = None) -> list[int]:
    """Return the lines of the empty rows among a table's records."""
    reading = _Reading(path, "blank", (format, encoding))
    reading.begin()
    return list(reading)


def front(path: Path) -> Front:
    """Return the first pages of a PDF and what its metadata says; where they cannot be read, why not."""
    reading = _Reading(path, "front", (), limits=_OF_A_FRONT)
    try:
        reading.begin()
        (found,) = list(reading)
    except NotRead as error:
        return Front(unread=error.why)
    except InputError:  # by the limit on what it may hold
        return Front(unread="it holds far more than a PDF does")
    return Front(*found)


def _told(columns: Mapping[str, str], sheet: str, encoding: str | None) -> Mapping[str, object]:
    """Return what is said of a file, as plain values that another process can be sent."""
    return {"columns": dict(columns), "sheet": sheet, "encoding": encoding}


class NotRead(InputError):
    """A file that the other process could not read.

    Attributes
    ----------
    why : str
        Why, as the end of a sentence.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} was not read: {why}. {_AGAIN}")
        self.why = why


class _Reading:
    """One file that is being read apart: iterating gives what is found, as plain values."""

    def __init__(
        self,
        path: Path,
        work: str,
        arguments: tuple[object, ...],
        options: Mapping[str, object] = MappingProxyType({}),
        is_header: IsHeader | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._process: _Process | None = None
        self._path, self._is_header = Path(path), is_header
        try:
            size = self._path.stat().st_size
        except OSError:
            size = 0  # the reader says what is wrong
        self._is_small = size <= _REUSED
        self._limits = limits or Limits.of(size)
        self._question = (work, _folder(), _findable(self._path), arguments, dict(options), *self._limits.given)
        self.tally = Tally()

    def begin(self) -> tuple[Any, ...]:
        """Return what is known before the first record."""
        self._process = _Process.take()
        self._process.tell(self._question)
        self._process.watch(self._limits.silence)
        found: tuple[Any, ...] = self._next("begin")[1]
        return found

    def __iter__(self) -> Iterator[Any]:
        try:
            while (message := self._next("found", "end"))[0] == "found":
                self.tally.announced, self.tally.fraction = message[2:]
                yield from map(marshal.loads, message[1])
            self.tally.warnings = [Problem(line, printable(said)) for line, said in message[1]]
            process, self._process = self._process, None
            if process is not None:
                process.give_back(reusable=self._is_small)
        finally:
            self._close()

    def _next(self, *kinds: str) -> tuple[Any, ...]:
        """Return the next message of these kinds, having answered questions before it."""
        process = self._process
        if process is None:
            raise ValueError(f"{self._path} is closed")
        try:
            while True:
                message = process.message()
                if message is None:
                    raise self._broken_off(process)
                if message[0] in kinds:
                    return message
                if message[0] != "ask" or self._is_header is None:
                    raise self._refused(message)
                process.tell(self._is_header(message[1]))
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        """End the process where it has not read to the end."""
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def __del__(self) -> None:
        self._close()

    def _refused(self, message: tuple[Any, ...]) -> InputError:
        if message[0] == "refused":
            return InputError(printable(message[1]), [printable(detail) for detail in message[2]])
        if message[0] == "columns":
            return NoTitleColumn(printable(message[1]), *message[2:])
        if message[0] == "memory":
            return self._too_much("memory", f"{self._limits.memory // _MIB:,} MiB of memory")
        return NotRead(self._path, f"it is damaged in a way that its reader does not know ({printable(message[1])})")

    def _broken_off(self, process: _Process) -> InputError:
        code = process.end(wait=5)
        if process.is_late:
            return self._too_much("time", f"{self._limits.silence:.0f} seconds without any progress")
        if code == -getattr(signal, "SIGXCPU", 0):
            return self._too_much("time", f"{self._limits.seconds:.0f} seconds of computing")
        # What cannot have more memory often ends itself, and the system ends what takes the last of it.
        if code in (child.OUT_OF_MEMORY, -signal.SIGABRT, -getattr(signal, "SIGKILL", 9)):
            return self._too_much("memory", f"{self._limits.memory // _MIB:,} MiB of memory")
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return NotRead(self._path, f"the process that read it broke off ({how})")

    def _too_much(self, what: str, most: str) -> InputError:
        return NotRead(
            self._path,
            f"it takes more {what} than a file of its size should, over {most}, so it is damaged or made to do harm",
        )


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return os.curdir


def _findable(path: Path) -> str:
    """Return the path under which another process finds the file: its /dev/stdin is not ours."""
    name = str(path)
    return os.path.realpath(name) if name.startswith(("/dev/", "/proc/")) and path.is_file() else name


class _Process:
    """A process that reads files, one after the other."""

    idle: ClassVar[list[_Process]] = []
    lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self.is_late = False
        self._owner = os.getpid()
        self._waiting_since: float | None = None
        self._idle_since = 0.0
        self._over = threading.Event()
        self._popen = subprocess.Popen(
            [sys.executable, "-c", _CODE.format(path=[entry or _folder() for entry in sys.path])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Ctrl-C is for this process, which ends the other one.
            process_group=0 if os.name == "posix" else None,
            creationflags=0 if os.name == "posix" else _APART_ON_WINDOWS,
        )
        self._questions, self._answers = cast("IO[bytes]", self._popen.stdin), cast("IO[bytes]", self._popen.stdout)
        with suppress(ImportError, AttributeError, OSError):  # Linux: both sides work at once, a few batches apart
            import fcntl

            fcntl.fcntl(self._answers, fcntl.F_SETPIPE_SZ, _PIPE)

    @classmethod
    def take(cls) -> _Process:
        """Return a process that is free, or a new one."""
        with cls.lock:
            process = cls.idle.pop() if cls.idle else None
        if process is not None:
            if process._owner == os.getpid() and process._popen.poll() is None and process._is_fresh():
                return process
            process.end()
        return cls()

    def _is_fresh(self) -> bool:
        return time.monotonic() < self._idle_since + child.IDLE_SECONDS / 2

    def give_back(self, *, reusable: bool) -> None:
        """Keep the process for the next file, or end it."""
        self._over.set()
        self._idle_since = time.monotonic()
        with self.lock:
            if reusable and not self.idle:
                self.idle.append(self)
                return
        self.end()

    def tell(self, message: object) -> None:
        """Send a question or an answer; that the process has ended shows when it is listened to."""
        with suppress(OSError):
            child.send(self._questions, message)

    def message(self) -> tuple[Any, ...] | None:
        """Return its next message, None when it has ended."""
        self._waiting_since = time.monotonic()
        try:
            message: tuple[Any, ...] | None = child.receive(self._answers)
            return message
        except (ValueError, OSError):
            return None
        finally:
            self._waiting_since = None

    def watch(self, silence: float) -> None:
        """End the process when it is waited for longer than so many seconds."""
        self._over = threading.Event()
        threading.Thread(target=self._watch, args=(silence, self._over), name="reading apart", daemon=True).start()

    def _watch(self, silence: float, over: threading.Event) -> None:
        while not over.wait(min(1.0, silence / 2)):
            since = self._waiting_since
            if since is not None and time.monotonic() > since + silence:
                self.is_late = True
                self._popen.kill()
                return

    def end(self, wait: float = 0) -> int:
        """End the process, which may end by itself within some seconds, and return its exit code.

        What it left in the folder for temporary files is removed.
        """
        self._over.set()
        if self._owner != os.getpid():  # it is that of the process that this one was forked from
            return 0
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(wait)
        self._popen.kill()
        code = self._popen.wait()
        for pipe in (self._questions, self._answers):
            with suppress(OSError):
                pipe.close()
        for left in Path(tempfile.gettempdir()).glob(f"{child.temporary(self._popen.pid)}*"):
            shutil.rmtree(left, ignore_errors=True)
        return code


def end_idle() -> None:
    """End the process that is kept for the next file; the next file then has a new one."""
    with _Process.lock:
        idle, _Process.idle[:] = list(_Process.idle), []
    for process in idle:
        process.end()


atexit.register(end_idle)
