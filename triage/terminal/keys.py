"""Keys, one at a time, from a terminal or from lines of text."""

from __future__ import annotations

import codecs
import os
import re
import select
import signal
import sys
import threading
from contextlib import ExitStack, suppress
from typing import ClassVar, Protocol as Interface, Self, TextIO

from .. import ending

ENTER, ESCAPE, BACKSPACE = "\n", "\x1b", "\x7f"
UP, DOWN, PAGE_UP, PAGE_DOWN, HOME, END = "\x1b[A", "\x1b[B", "\x1b[5~", "\x1b[6~", "\x1b[H", "\x1b[F"
CLEAR_LINE, REDRAW, END_OF_FILE = "\x15", "\x0c", "\x04"  # Ctrl-U, Ctrl-L, Ctrl-D
PASTE = "\x1b[200~"  # what a pasted text begins with, for the terminal and for who reads keys
_ESCAPE_SECONDS = 0.05  # the bytes of one key come together


class Keys(Interface):
    """Where a reviewer's keys come from.

    Attributes
    ----------
    whole_lines : bool
        Whether each answer is a whole line, typed with Enter; otherwise it is a single key.
    """

    whole_lines: bool

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def key(self) -> str:
        """Return the next key: a character, or the sequence that a special key sends.

        A text pasted into the terminal is one key, `PASTE` with the text in one line after it: its letters are no
        commands, and its line breaks do not end an answer.

        Ctrl-L, which asks for the page anew, also comes when the window has another size.

        Raises
        ------
        EOFError
            When no more can come.
        """

    def flush(self) -> None:
        """Forget what was typed and not read yet."""


def open_keys() -> Keys:
    """Return the keys of standard input: single keys on a terminal, lines from a file or a pipe."""
    if not sys.stdin.isatty():
        return _LineKeys(sys.stdin)
    if sys.platform == "win32":
        return _WindowsKeys()
    return _PosixKeys(sys.stdin.fileno())


class _LineKeys:
    whole_lines = True

    def __init__(self, lines: TextIO) -> None:
        self._lines = lines

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def key(self) -> str:
        line = self._lines.readline()
        if not line:
            raise EOFError
        return line.strip() or ENTER

    def flush(self) -> None:
        pass  # nobody types ahead into a file


class _PosixKeys:
    whole_lines = False
    _SPECIAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\x1b\[O])", re.DOTALL)
    _PASTE_END = "\x1b[201~"
    _PASTES_APART, _PASTES_AS_KEYS = b"\x1b[?2004h", b"\x1b[?2004l"  # xterm's bracketed paste
    _OTHER_NAMES: ClassVar = {"\x1b[1~": HOME, "\x1b[7~": HOME, "\x1b[4~": END, "\x1b[8~": END}

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._typed = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __enter__(self) -> Self:
        import termios

        self._before = termios.tcgetattr(self._fd)
        self._signals, self._signalled = os.pipe()
        os.set_blocking(self._signalled, False)
        self._handlers, self._hearing = {}, ExitStack()
        if threading.current_thread() is threading.main_thread():
            self._handlers = {
                signal.SIGCONT: signal.signal(signal.SIGCONT, self._single_keys),
                signal.SIGWINCH: signal.signal(signal.SIGWINCH, lambda *_: None),
            }
            # The system may give SIGCONT to the thread that trains, which would leave this one waiting
            # for a key: the pipe wakes it.
            self._hearing.enter_context(ending.hearing(self._signalled))
        self._single_keys()
        return self

    def __exit__(self, *exception: object) -> None:
        import termios

        self._tell_terminal(self._PASTES_AS_KEYS)
        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._hearing.close()
        os.close(self._signals)
        os.close(self._signalled)

    def _single_keys(self, *_: object) -> None:
        # Also after a stop by Ctrl-Z, when the shell has put its own mode in place. ISIG stays on,
        # so that Ctrl-C interrupts as it does anywhere.
        import termios

        mode = termios.tcgetattr(self._fd)
        mode[0] |= termios.ICRNL
        mode[3] &= ~(termios.ECHO | termios.ICANON)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)
        self._tell_terminal(self._PASTES_APART)

    def _tell_terminal(self, sequence: bytes) -> None:
        """Write to the terminal itself: standard output may go elsewhere, and the keys' descriptor only be read."""
        if os.environ.get("TERM", "dumb") == "dumb":
            return
        with suppress(OSError):  # a terminal that is gone needs no mode
            terminal = os.open(os.ttyname(self._fd), os.O_WRONLY | os.O_NOCTTY)
            try:
                os.write(terminal, sequence)
            finally:
                os.close(terminal)

    def key(self) -> str:
        while not self._typed:
            self._read()
        if self._typed[0] == ESCAPE and (special := self._special()):
            self._typed = self._typed[len(special) :]
            if special == PASTE:
                return PASTE + self._pasted()
            if special.startswith("\x1bO"):  # how some terminals send the arrows
                special = "\x1b[" + special[2:]
            return self._OTHER_NAMES.get(special, special)
        key, self._typed = self._typed[0], self._typed[1:]
        if key == END_OF_FILE:
            raise EOFError
        return BACKSPACE if key == "\b" else key

    def _special(self) -> str:
        """Return the sequence of a special key that comes next: its letters are not commands."""
        found = self._SPECIAL.match(self._typed)
        if found is None and select.select([self._fd], [], [], _ESCAPE_SECONDS)[0]:
            self._read()
            found = self._SPECIAL.match(self._typed)
        return found.group() if found else ""

    def _pasted(self) -> str:
        """Return the rest of a pasted text, in one line."""
        while self._PASTE_END not in self._typed:
            self._read()
        text, _, self._typed = self._typed.partition(self._PASTE_END)
        return "".join(c for c in re.sub(r"\s+", " ", text) if c.isprintable())

    def _read(self) -> None:
        ready, _, _ = select.select([self._fd, self._signals], [], [])
        if self._signals in ready:
            if {signal.SIGCONT, signal.SIGWINCH} & set(os.read(self._signals, 1024)):
                self._typed += REDRAW
            return
        data = os.read(self._fd, 1024)
        if not data:
            raise EOFError
        self._typed += self._decoder.decode(data)

    def flush(self) -> None:
        import termios

        termios.tcflush(self._fd, termios.TCIFLUSH)
        self._typed = ""
        self._decoder.reset()


if sys.platform == "win32":
    import msvcrt

    class _WindowsKeys:
        whole_lines = False
        _SPECIAL: ClassVar = {"H": UP, "P": DOWN, "I": PAGE_UP, "Q": PAGE_DOWN, "G": HOME, "O": END}

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *exception: object) -> None:
            pass

        def key(self) -> str:
            key = msvcrt.getwch()
            if key == "\x03":  # getwch takes Ctrl-C for a key like any other
                signal.raise_signal(signal.SIGINT)
            if key in ("\x00", "\xe0"):
                key = msvcrt.getwch()
                return self._SPECIAL.get(key, ESCAPE + key)
            if key in (END_OF_FILE, "\x1a"):
                raise EOFError
            return {"\r": ENTER, "\b": BACKSPACE}.get(key, key)

        def flush(self) -> None:
            while msvcrt.kbhit():
                msvcrt.getwch()
