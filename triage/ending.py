"""How the process ends: soon after Ctrl-C or SIGTERM, whatever its threads and native calls are doing.

Python handles a signal between two steps of its main thread. A native call that does not return in that thread, or a
thread that the interpreter waits for, would therefore keep the process alive. Three things end it:

- the handler of the signal, which unwinds the main thread, so that every `finally` runs;
- a thread, which exits with the right code when the handler has not run, or what it began takes too long;
- on POSIX a small process beside this one, which kills it when a native call holds the interpreter's lock, so that no
  thread of Python can run. It ends with this process, however that ends.

What was decided is on the disk by then, since each decision is a transaction of its own.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

INTERRUPTED, TERMINATED = 130, 143  # exit codes: 128 and the signal's number
_ENDING = (signal.SIGINT, signal.SIGTERM)
_UNWINDING_SECONDS = 1.2  # for every `finally` together
_LAST_SECONDS = 1.6
_THREAD = "signals"
NATIVE = "native calls"  # the name of threads that nobody waits for at the end

_listeners: list[int] = []
_lock = threading.Lock()  # of the listeners


def watch(farewell: str) -> None:
    """Have Ctrl-C raise KeyboardInterrupt and SIGTERM raise SystemExit, and end the process when that does not.

    To be called once, by the main thread, before there are others.

    Parameters
    ----------
    farewell : str
        Written to standard error when the process has to be ended without unwinding.
    """
    for number in _ENDING:  # even where a shell had us ignore them, as for a job in the background
        signal.signal(number, _unwind)
    heard, signalled = os.pipe()
    if hasattr(os, "set_blocking"):  # Windows has it from Python 3.12 on, and asks for it nowhere
        os.set_blocking(signalled, False)
    take_leave = _farewell(farewell)
    pipes = [heard]
    if hasattr(os, "fork"):
        with suppress(OSError):  # where no more processes are allowed the thread has to do
            pipes.insert(0, _beside(heard, signalled, take_leave))
    threading.Thread(target=_listen, args=(pipes, take_leave), name=_THREAD, daemon=True).start()
    signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)  # by the C code of the handler: it needs no lock


def _unwind(number: int, _: FrameType | None) -> NoReturn:
    for one in _ENDING:
        signal.signal(one, signal.SIG_IGN)  # a second one must not cut the unwinding short
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(TERMINATED)


def leave(code: int) -> NoReturn:
    """End the process, at once where a native call may still run in a thread that was left behind."""
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    if any(thread.name == NATIVE for thread in threading.enumerate()):
        os._exit(code)  # tearing the interpreter down under a native call can crash
    for number in _ENDING:  # nothing is left to unwind while the interpreter waits for its other threads
        signal.signal(number, lambda number, _: os._exit(128 + number))
    sys.exit(code)


@contextmanager
def hearing(listener: int) -> Iterator[None]:
    """Have the number of each signal written to a pipe, too, which must not block."""
    with _lock:
        _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            _listeners.remove(listener)


def _listen(pipes: list[int], take_leave: Callable[[], None]) -> None:
    """Pass signals on, and end the process when it does not end soon after one that is to end it.

    The signals come from the first pipe; from the next one when the first one's writer has gone.
    """
    for pipe in pipes:
        while numbers := os.read(pipe, 64):
            with _lock:
                for listener in _listeners:
                    with suppress(OSError):
                        os.write(listener, numbers)
            for number in numbers:
                if number in _ENDING:
                    time.sleep(_UNWINDING_SECONDS)
                    take_leave()
                    os._exit(128 + number)


def _beside(heard: int, signalled: int, take_leave: Callable[[], None]) -> int:
    """Start the process beside this one; return the pipe into which it passes signals on."""
    passed_on, passing = os.pipe()
    parent = os.getpid()
    if os.fork():
        os.close(passing)
        return passed_on
    try:
        os.setpgid(0, 0)  # Ctrl-C and Ctrl-Z are not meant for this process
        for number in (*_ENDING, signal.SIGHUP, signal.SIGTTOU):
            signal.signal(number, signal.SIG_IGN)
        os.close(signalled)  # only the parent can write now, so the end of the parent is the end of the pipe
        os.set_blocking(passing, False)
        _kill_when_late(parent, heard, passing)
        take_leave()
    finally:
        os._exit(0)


def _kill_when_late(parent: int, heard: int, passing: int) -> None:
    """Pass signals on; return after the parent had to be killed, and do not return when it ends by itself."""
    until = None
    while select.select([heard], [], [], until and max(0.0, until - time.monotonic()))[0]:
        if not (numbers := os.read(heard, 64)):
            os._exit(0)
        with suppress(OSError):
            os.write(passing, numbers)
        if until is None and any(number in _ENDING for number in numbers):
            until = time.monotonic() + _LAST_SECONDS
    if os.getppid() != parent:
        os._exit(0)
    os.kill(parent, signal.SIGKILL)


def _farewell(text: str) -> Callable[[], None]:
    """Return what gives the terminal back as it is now, and writes a text to standard error."""
    group = os.getpgrp() if hasattr(os, "getpgrp") else 0
    mode = None
    if hasattr(os, "tcgetpgrp") and os.isatty(0):
        import termios

        mode = termios.tcgetattr(0)

    def take_leave() -> None:
        with suppress(OSError):
            if mode is not None and os.tcgetpgrp(0) == group:  # else it is the shell's, or another program's
                with suppress(termios.error):
                    termios.tcsetattr(0, termios.TCSANOW, mode)
        with suppress(OSError):  # not by sys.stderr, whose lock may be held
            os.write(2, ("\x1b[?25h" if os.isatty(2) else "").encode() + f"{text}\n".encode())

    return take_leave
