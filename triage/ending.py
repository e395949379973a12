"""How the process ends: soon after Ctrl-C or SIGTERM, whatever its threads and native calls do.

The interpreter handles a signal between two steps of its main thread, so a native call that does not come back, or a
thread that waits for one, would keep the process alive. Three things see to it that it ends: the signal's own handler,
which lets every `finally` run; a thread that ends the process when that takes too long; and, on POSIX, a process beside
this one for the case that a native call holds the interpreter's lock, so that no thread of Python runs any more. What
was decided is on the disk by then, since each decision is a transaction of its own.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

INTERRUPTED, TERMINATED = 130, 143   # exit codes: 128 and the signal's number
_ENDING = (signal.SIGINT, signal.SIGTERM)
_UNWINDING_SECONDS = 1.2     # for every `finally` together
_LAST_SECONDS = 1.6          # after which the process is killed from outside

_stuck: list[threading.Thread] = []
_listeners: list[int] = []
_lock = threading.Lock()     # of the listeners
_watched = False


def watch(farewell: str) -> None:
    """Have Ctrl-C raise KeyboardInterrupt and SIGTERM raise SystemExit, and end the process when that does not.

    To be called once, by the main thread, before there are others.

    Parameters
    ----------
    farewell : str
        What is said on standard error when the process does not come to say so itself.
    """
    global _watched
    # Set even where a shell had us ignore them, as for a job in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)
    heard, told = os.pipe()
    os.set_blocking(told, False)
    with suppress(OSError):      # no room for one more process: the thread alone must do
        heard = _beside(heard, told, farewell)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    threading.Thread(target=_listen, args=(heard, farewell, _mode_of_terminal()), name="signals", daemon=True).start()
    _watched = True


def _terminate(number: int, _: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # a second one must not cut the closing short
    sys.exit(TERMINATED)


@contextmanager
def hearing(listener: int) -> Iterator[None]:
    """Have the number of each signal that comes written to a pipe, too, which must not block."""
    if not _watched:
        before = signal.set_wakeup_fd(listener, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
        return
    with _lock:
        _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            _listeners.remove(listener)


def leave_behind(threads: Iterable[threading.Thread], seconds: float = 0.5) -> None:
    """Wait for daemon threads that were asked to end; those that do not must not hold up the end of the process."""
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            _stuck.append(thread)


def leave(code: int) -> NoReturn:
    """End the process.

    After an interrupt, or with a thread left behind, it ends at once: the interpreter would wait for threads, or tear
    down what a native call still uses.
    """
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    if code in (INTERRUPTED, TERMINATED) or any(thread.is_alive() for thread in _stuck):
        os._exit(code)
    for number in _ENDING:  # all is done, and nothing left to unwind, should the interpreter wait for a thread now
        signal.signal(number, lambda number, _: os._exit(128 + number))
    sys.exit(code)


def _listen(heard: int, farewell: str, restore: Callable[[], None]) -> None:
    """Pass signals on, and end the process when it has not ended soon after one that is to end it."""
    while numbers := os.read(heard, 64):
        with _lock:
            for listener in _listeners:
                with suppress(OSError):
                    os.write(listener, numbers)
        if ending := [number for number in numbers if number in _ENDING]:
            time.sleep(_UNWINDING_SECONDS)
            restore()
            _say(farewell)
            os._exit(128 + ending[0])


def _say(farewell: str) -> None:
    with suppress(OSError):  # not by sys.stderr, whose lock may be held
        os.write(2, ("\x1b[?25h" if os.isatty(2) else "").encode() + f"{farewell}\n".encode())


def _mode_of_terminal() -> Callable[[], None]:
    """Return what gives the terminal, if there is one, the mode that it has now."""
    if os.name != "posix" or not os.isatty(0):
        return lambda: None
    import termios

    mode = termios.tcgetattr(0)

    def restore() -> None:
        with suppress(OSError, termios.error):
            if os.tcgetpgrp(0) == os.getpgrp():  # one in the background would be stopped for it
                termios.tcsetattr(0, termios.TCSANOW, mode)

    return restore


def _beside(heard: int, told: int, farewell: str) -> int:
    """Start a process that passes signals on and kills this one should it not end; return where they come now."""
    if not hasattr(os, "fork"):
        return heard
    passed_on, passing = os.pipe()
    parent = os.getpid()
    if os.fork():
        os.close(heard)
        os.close(passing)
        return passed_on
    try:
        _see_to_the_end(parent, heard, passing, farewell)
    finally:
        os._exit(0)


def _see_to_the_end(parent: int, heard: int, passing: int, farewell: str) -> None:
    os.setsid()  # signals of the terminal are not meant for this process, nor are those to all of a service's
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    at = 3  # whoever waits for the end of what the parent writes must not wait for this process
    for kept in sorted((heard, passing)):
        os.closerange(at, kept)
        at = kept + 1
    os.closerange(at, 65_536)
    os.set_blocking(passing, False)
    until = None
    while True:
        if not select.select([heard], [], [], until and max(0.0, until - time.monotonic()))[0]:
            if os.getppid() == parent:
                os.kill(parent, signal.SIGKILL)
                _say(farewell)
            return
        if not (numbers := os.read(heard, 64)):
            return  # the parent has ended
        with suppress(OSError):
            os.write(passing, numbers)
        if until is None and any(number in _ENDING for number in numbers):
            until = time.monotonic() + _LAST_SECONDS
