"""The terminal: the screening session, the questions that commands ask, and the progress bar.

Whatever comes from a record is hostile here: an escape sequence in a title could retitle the window,
clear the screen or hide a word. Everything imported goes through `plain` and is printed as
`rich.text.Text`, never as markup.
"""

from __future__ import annotations

import codecs
import os
import re
import select
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TextIO, TypeVar
from typing import Protocol as Interface

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.control import Control
from rich.segment import ControlType, Segment, Segments
from rich.table import Table
from rich.text import Text

from . import ending
from .decisions import Label
from .reading import CriteriaWords, plain, untagged
from .records import Record
from .wording import agree, plural, rate, span

if TYPE_CHECKING:
    from .dedupe import FieldPair
    from .eligibility import Proposal
    from .screening import Session

Item = TypeVar("Item")

ENTER, ESCAPE, BACKSPACE = "\n", "\x1b", "\x7f"
UP, DOWN, PAGE_UP, PAGE_DOWN, HOME, END = "\x1b[A", "\x1b[B", "\x1b[5~", "\x1b[6~", "\x1b[H", "\x1b[F"
_CLEAR_LINE, _REDRAW, _END_OF_FILE = "\x15", "\x0c", "\x04"  # Ctrl-U, Ctrl-L, Ctrl-D

# Blue and orange stay apart under every common colour blindness, and bold against underlined stays
# apart without colour.
INCLUDE_STYLE = "bold color(33)"
EXCLUDE_STYLE = "underline color(208)"

NOTHING_LEFT = "Nothing is left for you to judge at this stage."
_WIDEST = 100  # longer lines are hard to read
_LEAST_READ = 6  # lines of a record that stay beside a list; a longer list takes their place
_AUTHORS_NAMED = 3
_PACE_OVER = 50  # decisions
_LEAST_TIMED = 5  # decisions that a pace is measured on, at least
_BREAK_SECONDS = 300  # longer on one record is a pause, not reading
_ESCAPE_SECONDS = 0.05  # the bytes of one key come together
_QUIET_SECONDS = 1.0  # work that is over sooner shows no progress
_PLAIN_SECONDS = 10.0  # between two lines of progress in a file


@dataclass(frozen=True, slots=True)
class Summary:
    """What was done in one sitting.

    Attributes
    ----------
    decided : int
        Decisions that stand: those taken back are not counted.
    included : int
        Include or maybe among them.
    finished : bool
        Whether nothing was left to judge.
    """

    decided: int
    included: int
    finished: bool


# -- keys ---------------------------------------------------------------------------------------


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
    return _WindowsKeys() if sys.platform == "win32" else _PosixKeys(sys.stdin.fileno())


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
    _OTHER_NAMES = {"\x1b[1~": HOME, "\x1b[7~": HOME, "\x1b[4~": END, "\x1b[8~": END}

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

    def key(self) -> str:
        while not self._typed:
            self._read()
        if self._typed[0] == ESCAPE and (special := self._special()):
            self._typed = self._typed[len(special) :]
            if special.startswith("\x1bO"):  # how some terminals send the arrows
                special = "\x1b[" + special[2:]
            return self._OTHER_NAMES.get(special, special)
        key, self._typed = self._typed[0], self._typed[1:]
        if key == _END_OF_FILE:
            raise EOFError
        return BACKSPACE if key == "\b" else key

    def _special(self) -> str:
        """Return the sequence of a special key that stands next: its letters are no commands."""
        found = self._SPECIAL.match(self._typed)
        if found is None and select.select([self._fd], [], [], _ESCAPE_SECONDS)[0]:
            self._read()
            found = self._SPECIAL.match(self._typed)
        return found.group() if found else ""

    def _read(self) -> None:
        ready, _, _ = select.select([self._fd, self._signals], [], [])
        if self._signals in ready:
            if {signal.SIGCONT, signal.SIGWINCH} & set(os.read(self._signals, 1024)):
                self._typed += _REDRAW
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


class _WindowsKeys:
    whole_lines = False
    _SPECIAL = {"H": UP, "P": DOWN, "I": PAGE_UP, "Q": PAGE_DOWN, "G": HOME, "O": END}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def key(self) -> str:
        import msvcrt

        key = msvcrt.getwch()
        if key == "\x03":  # getwch takes Ctrl-C for a key like any other
            signal.raise_signal(signal.SIGINT)
        if key in ("\x00", "\xe0"):
            key = msvcrt.getwch()
            return self._SPECIAL.get(key, ESCAPE + key)
        if key in (_END_OF_FILE, "\x1a"):
            raise EOFError
        return {"\r": ENTER, "\b": BACKSPACE}.get(key, key)

    def flush(self) -> None:
        import msvcrt

        while msvcrt.kbhit():
            msvcrt.getwch()


# -- text ---------------------------------------------------------------------------------------


class Highlighter:
    """Marks the content words of the criteria in a text (see `reading.CriteriaWords`).

    Parameters
    ----------
    include, exclude : sequence of str
        Texts of the criteria.
    """

    _STYLES = {Label.INCLUDE: INCLUDE_STYLE, Label.EXCLUDE: EXCLUDE_STYLE}

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._words = CriteriaWords(include, exclude)

    def mark(self, text: Text) -> Text:
        """Add the styles to a text, and return it."""
        for begins, ends, kind in self._words.find(text.plain):
            text.stylize(self._STYLES[kind], begins, ends)
        return text


@dataclass
class _Part:
    """A text of which the window shows a part.

    Attributes
    ----------
    text : renderable
    top, shown, total : int
        The first line that is shown, how many are, and how many there are.
    """

    text: RenderableType
    top: int = 0
    shown: int = 0
    total: int = 0
    _above: int = 0

    @property
    def hides(self) -> bool:
        """Whether there is more than is shown."""
        return self.shown < self.total

    @property
    def where(self) -> str:
        """What part is shown, and how to see the next; empty when all of it is."""
        if not self.hides:
            return ""
        end = self.top + self.shown
        turn = "more" if end < self.total else "back to the top"
        return f"Space: {turn} | lines {self.top + 1}-{end} of {self.total}"

    def cut(self, lines: list[list[Segment]], room: int, title: list[list[Segment]]) -> list[list[Segment]]:
        """Return the lines that fit the room; below the title when their beginning is not among them."""
        self._above = len(title) if room > len(title) + 1 else 0
        self.total = len(lines)
        if self.total <= room or self.top <= self._above:
            self.top, self.shown = 0, min(room, self.total)
            return lines[:room]
        self.shown = room - self._above
        self.top = min(self.top, self.total - self.shown)
        return title[: self._above] + lines[self.top : self.top + self.shown]

    def turn(self, key: str) -> None:
        """Move as a key says; a line of the old part stays to read on from."""
        step = max(1, self.shown - 1)
        to = {
            " ": self.top + step if self.top + self.shown < self.total else 0,
            PAGE_DOWN: self.top + step,
            PAGE_UP: self.top - step,
            # The title takes the place of a line as soon as the first is not shown.
            DOWN: self.top + 1 if self.top else 1 + self._above,
            UP: self.top - 1,
            HOME: 0,
            END: self.total,
        }
        self.top = max(0, to[key])


@dataclass
class _Page:
    """What is before the reviewer: a body, and at times a list beside it."""

    head: RenderableType
    number: str  # what the line between head and body says
    title: str
    body: _Part
    name: str = ""  # of the list
    listed: _Part | None = None


class _Screen:
    """A page with one question at its end, which what comes next replaces.

    With single keys on a terminal the page fills the window and the question stands in its last
    line, so that nothing scrolls away: what is longer is read part by part, its title above.
    Elsewhere everything is printed in full, one after the other.

    Parameters
    ----------
    console : Console, optional
        Standard output when left out.
    keys : Keys, optional
        What the reviewer types on.
    """

    def __init__(self, console: Console | None = None, keys: Keys | None = None) -> None:
        self.console = console or Console(highlight=False)
        addressable = self.console.is_terminal and not self.console.is_dumb_terminal
        self._in_parts = addressable and keys is not None and not keys.whole_lines
        self._asking = False
        self._page = _Page(Text(), "", "", _Part(Text()))
        self._moving = self._page.body  # what the keys of `turn` move

    @property
    def width(self) -> int:
        return min(self.console.width, _WIDEST)

    def plain(self, text: str) -> str:
        return plain(text, self.console.encoding)

    def line(self, text: str) -> str:
        """Return imported text on one line."""
        return " ".join(self.plain(text).split())

    def cut(self, text: Text) -> Text:
        """Cut a text to one line."""
        text.truncate(self.width - 1, overflow="crop")
        return text

    def rule(self, name: str = "") -> Text:
        """Return a line across the page, with a name in it."""
        line = "\u2500" if self.console.encoding.startswith("utf") else "-"
        rule = Text().append(2 * line, "dim").append(f" {name} " if name else "")
        rule.truncate(self.width, overflow="crop")
        return rule.append(line * (self.width - rule.cell_len), "dim")

    def say(self, *parts: RenderableType) -> None:
        self.settle()
        for part in parts:
            self.console.print(part, width=self.width, highlight=False)

    def ask(self, question: Text) -> None:
        self.settle()
        self.cut(question)
        self._asking = self.console.is_terminal
        self.console.print(question, end=" " if self._asking else "\n", no_wrap=True, highlight=False)

    def settle(self) -> None:
        """Take the question off the screen."""
        if self._asking:
            self._asking = False
            self.console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))

    # -- the page -----------------------------------------------------------------------------

    def page(
        self, *head: RenderableType, number: str, title: str = "", body: RenderableType, again: bool = False
    ) -> None:
        """Show a body below a head; the page before stays in the scroll-back.

        With `again` the body is the one before in another form: it takes its place, and is read on
        from the same line.
        """
        top = self._page.body.top if again else 0
        self._page = _Page(Group(*head), number, title, _Part(body, top))
        if self._in_parts and not again:
            self.settle()
            self.console.print("\n" * (self.console.height - 1))
        self._show()

    def open_list(self, name: str, content: RenderableType) -> None:
        """Show a list below the body until it is closed or another page comes; close it when it is shown."""
        if self._page.name == name and self.close_list():
            return
        if not self._in_parts:
            self.say(Text(), Text(name, "bold"), content, Text())
            return
        self._page.name, self._page.listed = name, _Part(content)
        self._draw()

    def close_list(self) -> bool:
        """Close the list; tell whether there was one."""
        if self._page.listed is None:
            return False
        self._page.listed = None
        self._draw()
        return True

    def turn(self, key: str) -> bool:
        """Show another part of the page, or the page anew, if the key says so; tell whether it does."""
        if key == _REDRAW:
            self._show()
            return True
        if not self._in_parts or key not in (" ", UP, DOWN, PAGE_UP, PAGE_DOWN, HOME, END):
            return False
        if self._moving.hides:
            self._moving.turn(key)
            self._draw()
        return True

    def _show(self) -> None:
        if self._in_parts:
            self._draw()
        else:
            self.say(self._page.head, self.rule(self._page.number), self._page.body.text, self.rule())

    def _draw(self) -> None:
        """Draw the page over what is in the window, all but the line of the question."""
        page, height = self._page, max(4, self.console.height)
        title = self._lines(self.cut(Text(page.title, "bold"))) if page.title else []
        head = self._lines(page.head)[: max(0, height - _LEAST_READ - 3)] + self._lines(self.rule(page.number))
        body = self._lines(page.body.text)
        room = height - len(head) - 2
        self._moving = page.body
        if page.listed is None:
            shown = page.body.cut(body, room, title)
        else:
            rule, listed = self._lines(self.rule(page.name)), self._lines(page.listed.text)
            beside = room - len(rule) - len(listed)
            if beside >= min(len(body), _LEAST_READ):
                shown = page.body.cut(body, beside, title)
                shown += [[]] * (beside - len(shown)) + rule + page.listed.cut(listed, len(listed), [])
            else:
                self._moving = page.listed
                shown = title + rule + page.listed.cut(listed, room - len(title) - len(rule), [])
        shown += [[]] * (room - len(shown)) + self._lines(self.rule(self._moving.where))
        erase = Control((ControlType.ERASE_IN_LINE, 2)).segment
        self.settle()
        self.console.print(
            Segments(
                [Control.home().segment, *(s for line in head + shown for s in (erase, *line, Segment.line())), erase]
            ),
            end="",
            crop=False,
        )

    def _lines(self, part: RenderableType) -> list[list[Segment]]:
        return self.console.render_lines(part, self.console.options.update(width=self.width), pad=False)


def _keys_line(*keys: tuple[str, str]) -> Text:
    line = Text()
    for key, does in keys:
        line.append(key, "bold").append(f" {does}  ")
    return line


def _record(screen: _Screen, record: Record, mark: Callable[[Text], Text] = lambda text: text) -> Group:
    """Return what a reviewer reads of a record."""
    authors = ", ".join(record.authors[:_AUTHORS_NAMED])
    if len(record.authors) > _AUTHORS_NAMED:
        authors += f" and {len(record.authors) - _AUTHORS_NAMED} more"
    origin = " | ".join(filter(None, (authors, record.journal, "" if record.year is None else str(record.year))))
    ids = " | ".join(
        filter(
            None,
            (
                record.source and f"source {record.source}",
                record.doi and f"doi {record.doi}",
                record.pmid and f"PMID {record.pmid}",
            ),
        )
    )
    parts: list[RenderableType] = [mark(Text(untagged(screen.line(record.title)) or "(no title)", "bold"))]
    parts += [Text(screen.line(line), "dim") for line in (origin, ids) if line]
    parts.append(Text())
    if record.abstract:
        parts.append(mark(Text(untagged(screen.plain(record.abstract)))))
    else:
        parts.append(Text("No abstract.", "italic"))
    below = []
    if record.keywords:
        below.append(Text("Keywords  ", "dim") + mark(Text(screen.line("; ".join(record.keywords)))))
    kind = " | ".join(
        filter(None, (record.language and f"language {record.language}", record.type and f"type {record.type}"))
    )
    if kind:
        below.append(Text(screen.line(kind), "dim"))
    return Group(*parts, *([Text(), *below] if below else []))


# -- the screening session ----------------------------------------------------------------------

_COMMANDS = (
    ("i", "include"),
    ("e", "exclude"),
    ("m", "maybe"),
    ("u", "undo"),
    ("n", "note"),
    ("s", "skip"),
    ("c", "criteria"),
    ("?", "help"),
    ("q", "quit"),
)
_LESS_NEEDED = "csntum"  # on a narrow line they go in this order; the help names them too
_HELP = (
    ("i", "include"),
    ("e", "exclude; then the number or the code of the reason, Enter for none, Esc to go back"),
    ("m", "maybe: counts as relevant until it is settled, and is reported apart"),
    ("u", "undo: take your last decision back and see its record again; the log keeps both"),
    ("n", "note: a line of text that is kept with your decision on this record"),
    ("s", "skip: the record comes back later"),
    ("c", "show the criteria, or close them"),
    ("h", "mark the words of the criteria, or stop marking them"),
    ("Space", "more of a long record; arrows, Page Up and Page Down move in it too"),
    ("Esc", "close a list such as this one"),
    ("q", "quit; everything decided is kept, and this record comes first next time"),
)
_TAGS_COMMAND = ("t", "tags")
_TAGS_HELP = ("t", "tags, kept with your decision: the number or the name of one gives it or takes it off, Enter ends")
_PAST = {Label.INCLUDE: "Included", Label.EXCLUDE: "Excluded", Label.MAYBE: "Maybe"}


def run(
    session: Session,
    records: Sequence[Record],
    *,
    reasons: Sequence[tuple[str, str]],
    criteria: tuple[Sequence[str], Sequence[str]],
    state: Callable[[], object],
    tags: Sequence[str] = (),
    nothing_left: str = NOTHING_LEFT,
    console: Console | None = None,
    keys: Keys | None = None,
) -> Summary:
    """Put one record after the other before the reviewer until nothing is left, or the reviewer quits.

    The display is blind to how a record came: an audit draw looks like any other record. So neither
    its origin nor its rank is shown (an audit draw's rank, 812 of 3000 after 1, 1, 1, would tell),
    nor its number in the review, which tells while records come in the order of import. The number
    shown counts the records of this sitting.

    Parameters
    ----------
    session : Session
    records : sequence of Record
        By row.
    reasons : sequence of (code, text)
        Reasons to exclude at this stage; without any, excluding asks for none.
    criteria : (include, exclude)
        Texts of the criteria.
    state : callable
        Returns the state of the review, as a string in one line; asked whenever a record is shown. What it tells
        must be blind to how a record came and to what other reviewers decide (see `status.StateOf`).
    tags : sequence of str
        The protocol's; without any, none can be given.
    nothing_left : str
        What is said when the last record is judged.
    console : Console, optional
        Standard output when left out.
    keys : Keys, optional
        Standard input when left out.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C, after the terminal is as it was before; everything decided is kept.
    """
    with keys or open_keys() as typed:
        screen = _Screen(console, typed)
        try:
            return _Sitting(session, records, reasons, criteria, tags, state, nothing_left, screen, typed).go()
        finally:
            screen.settle()


class _Sitting:
    """One reviewer before one session, from the first record to the last of this time."""

    def __init__(
        self,
        session: Session,
        records: Sequence[Record],
        reasons: Sequence[tuple[str, str]],
        criteria: tuple[Sequence[str], Sequence[str]],
        tags: Sequence[str],
        state: Callable[[], object],
        nothing_left: str,
        screen: _Screen,
        keys: Keys,
    ) -> None:
        self._session = session
        self._records = records
        self._reasons = reasons
        self._criteria = criteria
        self._tags = tags
        self._state = state
        self._nothing_left = nothing_left
        self._screen = screen
        self._keys = keys
        self._highlighter = Highlighter(*criteria)
        self._marking = True
        self._numbers: dict[int, int] = {}  # row -> how many records were shown with it
        self._notes: dict[int, str] = {}  # by row; kept past a decision, for an undo
        self._tagged: dict[int, list[str]] = {}  # the same, of rows whose tags were looked at
        self._decided: list[tuple[int, Label]] = []  # the decisions that stand, in their order
        self._seconds: list[float] = []  # spent on each decision
        self._last = ""  # what the last key did

    def go(self) -> Summary:
        finished = False
        try:
            while True:
                showing = self._session.next()
                if showing is None:
                    finished = True
                    self._screen.say(Text(self._nothing_left))
                    break
                if not self._judge(showing.row):
                    break
        except EOFError:  # the terminal was closed, or the file of answers has ended
            pass
        standing = {row for row, _ in self._decided}
        for given, what in ((self._notes, ("note", "notes")), (self._tagged, ("tags", "tags"))):
            lost = sum(1 for row, text in given.items() if text and row not in standing)
            if lost:
                self._screen.say(
                    Text(f"Not kept: the {agree(lost, *what)} of {plural(lost, 'record')} without a decision.")
                )
        found = sum(1 for _, label in self._decided if label is not Label.EXCLUDE)
        return Summary(len(self._decided), found, finished)

    def _judge(self, row: int) -> bool:
        """Show a record and do what the keys say until the next is due; False to quit."""
        self._numbers.setdefault(row, len(self._numbers) + 1)
        self._show(row)
        self._keys.flush()  # a key typed before the record was on the screen decides nothing
        began = time.monotonic()
        hint = ""
        while True:
            self._screen.ask(Text(f"{hint}  ?: help", "bold") if hint else self._commands())
            hint = ""
            key = self._keys.key()
            if self._screen.turn(key):
                continue
            match key.casefold():
                case "i":
                    return self._decide(row, Label.INCLUDE, "", began)
                case "m":
                    return self._decide(row, Label.MAYBE, "", began)
                case "e":
                    reason = self._pick_reason()
                    if reason is not None:
                        return self._decide(row, Label.EXCLUDE, reason, began)
                    self._screen.close_list()
                case "u":
                    if self._undo():
                        return True
                    hint = "You have no decision to take back."
                case "s":
                    self._session.skip(row)
                    self._last = f"Skipped, to come back later: {self._title(row)}"
                    return True
                case "n":
                    note = self._edit("Note: ", self._notes.get(row, ""))
                    if note is not None:
                        self._notes[row] = note
                        self._show(row, again=True)
                case "t" if self._tags:
                    self._pick_tags(row)
                    self._show(row, again=True)
                case "h":
                    self._marking = not self._marking
                    self._show(row, again=True)
                case "c":
                    self._screen.open_list("The criteria", self._criteria_text())
                case "?":
                    self._screen.open_list("The keys", _two_columns(self._help()))
                case "q":
                    return False
                case "\x1b":
                    self._screen.close_list()
                case _ if key.isprintable():
                    hint = f"{self._screen.line(key)!r} is no key here."

    # -- what is done -------------------------------------------------------------------------

    def _decide(self, row: int, label: Label, reason: str, began: float) -> bool:
        self._session.decide(row, label, reason, self._notes.get(row, ""), self._tagged.get(row))
        self._decided.append((row, label))
        self._last = f"{_PAST[label]}{f' ({self._screen.line(reason)})' if reason else ''}: {self._title(row)}"
        spent = time.monotonic() - began
        if spent < _BREAK_SECONDS:
            self._seconds.append(spent)
        return True

    def _undo(self) -> bool:
        row = self._session.undo()
        if row is None:
            return False
        # It may be a decision of an earlier sitting: then none of these goes.
        self._decided = [decision for decision in self._decided if decision[0] != row]
        self._last = f"Taken back: {self._title(row)}"
        return True

    def _pick_reason(self) -> str | None:
        """Return the code of the reason picked, "" for none; None to go back to the record."""
        if not self._reasons:
            return ""
        self._screen.open_list("Why is it excluded?", self._reason_list())
        codes = [code for code, _ in self._reasons]
        return self._pick("Reason", "reason", codes, "number or code, Enter: no reason, Esc: back")

    def _pick_tags(self, row: int) -> None:
        """Give a record tags, or take them off, until the reviewer has done."""
        given = self._tagged.setdefault(row, self._session.tags(row))
        while True:
            self._screen.close_list()
            self._screen.open_list("Which tags?", self._tag_list(given))
            tag = self._pick("Tag", "tag", self._tags, "number or name gives it or takes it off, Enter: done")
            if not tag:
                self._screen.close_list()
                return
            if tag in given:
                given.remove(tag)
            else:
                given.append(tag)

    def _pick(self, prompt: str, what: str, names: Sequence[str], hint: str) -> str | None:
        """Return the name picked, by itself or by its number; "" for none, None to go back.

        A number or a name counts as soon as no longer one begins with it: were the letters of a code
        taken one by one, the rest of them would decide on the next record.
        """
        options = {self._letters(name): name for name in names}
        options |= {str(number): name for number, name in enumerate(names, 1)}
        typed = ""
        while True:
            self._screen.ask(Text(f"{prompt}: {typed}", "bold").append(f"   {hint}" if hint else "", "dim"))
            key = self._keys.key()
            if (typed == "" or key != " ") and self._screen.turn(key):
                continue
            hint = ""
            if key == ESCAPE or (key == BACKSPACE and not typed):
                return None
            if key == BACKSPACE:
                typed = typed[:-1]
                continue
            if key == ENTER and not typed:
                return ""
            if key != ENTER and not key.isprintable():
                continue
            complete = key == ENTER or self._keys.whole_lines
            text = typed if key == ENTER else (typed + self._screen.plain(key.casefold())).lstrip()
            wanted = self._letters(text)
            matching = [option for option in options if option.startswith(wanted)]
            if wanted in options and (complete or len(matching) == 1):
                return options[wanted]
            if complete and len({options[option] for option in matching}) == 1:
                return options[matching[0]]
            if not matching:
                hint = f"no {what} begins with {self._screen.line(text)!r}"
            elif complete:
                hint = f"several {what}s begin with {self._screen.line(text)!r}"
            else:
                typed = text

    def _letters(self, name: str) -> str:
        return "".join(self._screen.plain(name.casefold()).split())

    def _edit(self, prompt: str, text: str) -> str | None:
        """Let the reviewer write a line; None when it is given up."""
        if self._keys.whole_lines:
            self._screen.ask(Text(prompt, "bold"))
            line = self._keys.key()
            return "" if line == ENTER else line
        while True:
            room = self._screen.width - len(prompt) - 2
            shown = self._screen.line(text) + " " * text.endswith(" ")
            while cell_len(shown) > room:
                shown = shown[1:]
            self._screen.ask(Text(prompt, "bold").append(shown, "not bold"))
            key = self._keys.key()
            if key == ESCAPE:
                return None
            if key == ENTER:
                return text.strip()
            if key != " " and self._screen.turn(key):
                continue
            if key == BACKSPACE:
                text = text[:-1]
            elif key == _CLEAR_LINE:
                text = ""
            elif key.isprintable():
                text += key

    # -- what is shown ------------------------------------------------------------------------

    def _show(self, row: int, again: bool = False) -> None:
        screen = self._screen
        record = _record(screen, self._records[row], self._highlighter.mark if self._marking else lambda text: text)
        found = sum(1 for _, label in self._decided if label is not Label.EXCLUDE)
        sitting = f"record {self._numbers[row]} | this sitting: {len(self._decided)} decided, {found} include or maybe"
        if len(self._seconds) >= _LEAST_TIMED:
            sitting += f" | {statistics.median(self._seconds[-_PACE_OVER:]):.0f} s a record"
        head = [Text(screen.line(str(self._state())))]
        if self._last:
            head.append(Text(self._last, "dim", no_wrap=True, overflow="crop"))
        note = self._notes.get(row)
        if note:
            head.append(Text("Note  ", "bold").append(screen.line(note), "not bold"))
        if given := self._tagged.get(row):
            head.append(Text("Tags  ", "bold").append(screen.line("; ".join(given)), "not bold"))
        screen.page(*head, number=sitting, title=self._title(row), body=record, again=again)

    def _commands(self) -> Text:
        """Return what the keys do, as far as it has place on one line."""
        commands = [*_COMMANDS[:5], *([_TAGS_COMMAND] if self._tags else ()), *_COMMANDS[5:]]
        shown, left_out = _keys_line(*commands), ""
        for key in _LESS_NEEDED:
            if shown.cell_len < self._screen.width:
                break
            left_out += key
            shown = _keys_line(*(command for command in commands if command[0] not in left_out))
        return shown

    def _help(self) -> Sequence[tuple[str, str]]:
        return [*_HELP[:5], _TAGS_HELP, *_HELP[5:]] if self._tags else _HELP

    def _title(self, row: int) -> str:
        return untagged(self._screen.line(self._records[row].title)) or "(no title)"

    def _reason_list(self) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(justify="right")
        table.add_column()
        table.add_column()
        for number, (code, text) in enumerate(self._reasons, 1):
            code, text = self._screen.line(code), self._screen.line(text)
            table.add_row(Text(str(number), "bold"), Text(code), Text("" if text == code else text, "dim"))
        return table

    def _tag_list(self, given: Sequence[str]) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(justify="right")
        for number, tag in enumerate(self._tags, 1):
            mark = Text("x" if tag in given else " ", INCLUDE_STYLE)
            table.add_row(Text(str(number), "bold"), mark, Text(self._screen.line(tag)))
        return table

    def _criteria_text(self) -> Group:
        parts: list[RenderableType] = []
        for name, style, texts in zip(
            ("Include", "Exclude"), (INCLUDE_STYLE, EXCLUDE_STYLE), self._criteria, strict=True
        ):
            table = Table.grid(padding=(0, 1))
            for text in texts:
                table.add_row("-", self._highlighter.mark(Text(self._screen.line(text))))
            parts += [Text(name, style), table] if texts else []
        return Group(*parts) if parts else Group(Text("The protocol names no criteria."))


def _two_columns(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for left, right in rows:
        table.add_row(Text(left, "bold"), Text(right))
    return table


# -- questions ----------------------------------------------------------------------------------


def on_standard_error() -> Console:
    """Return where to ask while standard output is a program's."""
    return Console(stderr=True, highlight=False)


def ask_one_by_one(
    items: Sequence[Item],
    show: Callable[[Item], RenderableType],
    question: str,
    *,
    keep: Callable[[int, bool | None], None],
    console: Console | None = None,
    keys: Keys | None = None,
) -> list[bool | None]:
    """Show each item and ask one question about it.

    Parameters
    ----------
    items : sequence
    show : callable
        Returns what is printed of an item. Text in it that was imported must be `plain`.
    question : str
        To be answered by yes or no.
    keep : callable
        Called with an item's position and each answer as it is given, and with None when it is taken
        back: what is written here is safe whatever happens to the rest.
    console : Console, optional
        Standard output when left out.
    keys : Keys, optional
        Standard input when left out.

    Returns
    -------
    list of bool or None, one for each item
        None where the reviewer quit before.
    """
    answers: list[bool] = []
    with keys or open_keys() as typed:
        screen = _Screen(console, typed)
        try:
            while len(answers) < len(items):
                screen.page(number=f"{len(answers) + 1} of {len(items)}", body=show(items[len(answers)]))
                typed.flush()
                if not _answer(screen, typed, question, answers, keep):
                    break
        except EOFError:
            pass
        finally:
            screen.settle()
    return [*answers, *[None] * (len(items) - len(answers))]


def _answer(
    screen: _Screen, keys: Keys, question: str, answers: list[bool], keep: Callable[[int, bool | None], None]
) -> bool:
    """Add an answer, or take the last one back; return False to quit."""
    while True:
        screen.ask(Text(f"{question}  ") + _keys_line(("y", "yes"), ("n", "no"), ("u", "back"), ("q", "quit")))
        key = keys.key()
        if screen.turn(key):
            continue
        match key.casefold():
            case "y" | "n" as answer:
                keep(len(answers), answer == "y")
                answers.append(answer == "y")
            case "u" if answers:
                keep(len(answers) - 1, None)
                answers.pop()
            case "q":
                return False
            case _:
                continue
        return True


def decide_proposals(
    proposals: Sequence[tuple[Record, Proposal]],
    *,
    keep: Callable[[int, bool | None], None],
    console: Console | None = None,
    keys: Keys | None = None,
) -> list[bool | None]:
    """Ask about each record that only a detector speaks against: True removes it, None leaves it open.

    Parameters and the answers are those of `ask_one_by_one`.
    """
    screen = _Screen(console)

    def show(proposal: tuple[Record, Proposal]) -> RenderableType:
        record, found = proposal
        return Group(Text(screen.line(found.reason), "bold"), Text(), _record(screen, record))

    return ask_one_by_one(proposals, show, "Remove this record?", keep=keep, console=screen.console, keys=keys)


_AGREEMENT_STYLES = {"same": "dim", "alike": "", "different": EXCLUDE_STYLE, "only one": "italic"}


def decide_maybes(
    pairs: Sequence[tuple[str, Sequence[FieldPair]]],
    *,
    keep: Callable[[int, bool | None], None],
    console: Console | None = None,
    keys: Keys | None = None,
) -> list[bool | None]:
    """Show two records side by side and ask whether they are one: True links them, False tells them apart.

    Each pair comes as the reason why it is asked about and its fields compared. Parameters and the answers
    are otherwise those of `ask_one_by_one`.
    """
    screen = _Screen(console)

    def show(pair: tuple[str, Sequence[FieldPair]]) -> RenderableType:
        why, fields = pair
        table = Table(box=None, padding=(0, 2, 0, 0), expand=True, header_style="bold")
        table.add_column("")
        table.add_column("kept", ratio=1)
        table.add_column("copy", ratio=1)
        for field in fields:
            style = _AGREEMENT_STYLES.get(field.agreement, "")
            table.add_row(
                Text(field.name, "dim"), *(Text(screen.line(value), style) for value in (field.kept, field.copy))
            )
        return Group(Text(screen.line(why), "bold"), Text(), table)

    return ask_one_by_one(pairs, show, "Are these one record?", keep=keep, console=screen.console, keys=keys)


# -- progress -----------------------------------------------------------------------------------


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show on standard error how far some work is; give the callback (done, total) that moves it.

    A bar with the pace and the time left on a terminal, now and then a line elsewhere, and nothing
    at all for work that is over within a second.
    """
    # Loaded here: a session does without.
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True, highlight=False)
    pace = _Pace()
    if not console.is_terminal or console.is_dumb_terminal:
        yield _plain_progress(description, console, pace)
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[told]}", markup=False),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = bar.add_task(description, total=None, told="")
    # A timer, since the work may be long before it first tells how far it is (a model is loaded).
    timer = threading.Timer(_QUIET_SECONDS, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda done, total: bar.update(
            task, completed=done, total=total, told=f"{done:,}/{total:,} {pace(done, total)}".rstrip()
        )
    finally:
        timer.cancel()
        timer.join()
        bar.stop()


def _plain_progress(description: str, console: Console, pace: _Pace) -> Callable[[int, int], None]:
    due = time.monotonic() + _QUIET_SECONDS
    begun = False

    def tick(done: int, total: int) -> None:
        nonlocal due, begun
        told = pace(done, total)
        if time.monotonic() >= due or (begun and done == total):
            begun, due = True, time.monotonic() + _PLAIN_SECONDS
            console.print(Text(f"{description}: {done:,} of {total:,}{told and f', {told}'}"), soft_wrap=True)

    return tick


class _Pace:
    """Records a second and the time left, measured from the first call: loading is no part of it."""

    def __init__(self) -> None:
        self._from: tuple[int, float] | None = None

    def __call__(self, done: int, total: int) -> str:
        now = time.monotonic()
        if self._from is None or done < self._from[0]:
            self._from = done, now
        first, began = self._from
        if done == first or now == began:
            return ""
        per_second = (done - first) / (now - began)
        told = f"{rate(per_second)} records a second"
        return told if done == total else f"{told}, {span((total - done) / per_second)} left"
