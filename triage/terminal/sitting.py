"""One sitting of a reviewer: a record, a key, the next."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..highlights import KINDS, Marks
from ..log import Label
from ..machines import MOST_SHOWN
from ..records import Record
from ..text import CriteriaWords, untagged
from ..wording import agree, plural
from .keys import BACKSPACE, CLEAR_LINE, ENTER, ESCAPE, PASTE, Keys, open_keys
from .screen import EXCLUDE_STYLE, INCLUDE_STYLE, STYLES, Highlighter, Screen, keys_line, record_text, two_columns

if TYPE_CHECKING:
    from ..screening.session import Session


Item = TypeVar("Item")
NOTHING_LEFT = "Nothing is left for you to judge at this stage."
_PACE_OVER = 50  # decisions
_LEAST_TIMED = 5  # decisions that a pace is measured on, at least
_BREAK_SECONDS = 300  # longer on one record is a pause, not reading


@dataclass(frozen=True, slots=True)
class Summary:
    """What was done in one sitting.

    Attributes
    ----------
    decided : int
        Decisions in force: those taken back are not counted.
    included : int
        Include or maybe among them.
    finished : bool
        Whether nothing was left to judge.
    """

    decided: int
    included: int
    finished: bool


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
    ("c", "show the criteria and your word lists, or close them"),
    ("h", "mark the words of the criteria, or stop marking them"),
    ("w", "why this record ranks here: what speaks for it and against it"),
    ("p", "open the record's PDFs"),
    ("r", "go through your maybes again, each to be decided or left (s)"),
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
    suggestions: Callable[[int], Sequence[object]] = lambda row: (),
    beside: Callable[[int], str] = lambda row: "",
    nothing_left: str = NOTHING_LEFT,
    words: Marks | None = None,
    why: Callable[[int], Sequence[tuple[str, Sequence[str]]]] = lambda row: (),
    open_pdfs: Callable[[int], str] = lambda row: "This record has no PDF.",
    maybes: Callable[[], Sequence[tuple[int, str]]] = lambda: (),
    console: Console | None = None,
    keys: Keys | None = None,
) -> Summary:
    """Put one record after the other before the reviewer until nothing is left, or the reviewer quits.

    The display is blind to how a record came: an audit draw looks like any other record. So neither
    its origin nor its rank is shown (an audit draw's rank, 812 of 3000 after 1, 1, 1, would give it away),
    nor its number in the review, which does so while records come in the order of import. The number
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
        Returns the state of the review, as a string in one line; asked whenever a record is shown. What it says
        must be blind to how a record came and to what other reviewers decide (see `session_state.StateOf`).
    tags : sequence of str
        The protocol's; without any, none can be given.
    suggestions : callable of int
        Returns what machines suggest for the record of a row, as far as the reviewer may see it now, each as a string;
        asked before and after each decision.
    beside : callable of int
        Returns a line on the other reports of the study of a row's record, or "".
    nothing_left : str
        What is said when the last record is judged.
    words : Marks, optional
        What is marked; all words of the criteria when left out.
    why : callable of int
        Returns what speaks for and against the record of a row: headings, each with its lines.
    open_pdfs : callable of int
        Opens the PDFs of a row's record, and returns what to say of it.
    maybes : callable
        Returns the rows that are maybe by this reviewer's decision in force, each with its note, to be gone through
        again.
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
        screen = Screen(console, typed)
        try:
            return _Sitting(
                session,
                records,
                reasons,
                criteria,
                tags,
                state,
                suggestions,
                beside,
                nothing_left,
                words or Marks(CriteriaWords(*criteria)),
                why,
                open_pdfs,
                maybes,
                screen,
                typed,
            ).go()
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
        suggestions: Callable[[int], Sequence[object]],
        beside: Callable[[int], str],
        nothing_left: str,
        words: Marks,
        why: Callable[[int], Sequence[tuple[str, Sequence[str]]]],
        open_pdfs: Callable[[int], str],
        maybes: Callable[[], Sequence[tuple[int, str]]],
        screen: Screen,
        keys: Keys,
    ) -> None:
        self._session = session
        self._records = records
        self._reasons = reasons
        self._criteria = criteria
        self._tags = tags
        self._state = state
        self._suggestions = suggestions
        self._beside = beside
        self._nothing_left = nothing_left
        self._screen = screen
        self._keys = keys
        self._why = why
        self._open_pdfs = open_pdfs
        self._maybes = maybes
        self._again = False  # whether what is shown is a maybe of the reviewer's own
        self._word_lists = words.lists
        self._highlighter = Highlighter(words)
        self._marking = True
        self._numbers: dict[int, int] = {}  # row -> how many records were shown with it
        self._notes: dict[int, str] = {}  # by row; kept past a decision, for an undo
        self._tagged: dict[int, list[str]] = {}  # the same, of rows whose tags were looked at
        self._decided: list[tuple[int, Label]] = []  # the decisions in force, in their order
        self._seconds: list[float] = []  # spent on each decision
        self._last = ""  # what the last key did
        self._suggested: list[Text] = []  # for the record that it decided on

    def go(self) -> Summary:
        finished = False
        try:
            while True:
                showing = self._session.next()
                if showing is None:
                    finished = True
                    self._screen.say(*self._suggested, Text(self._nothing_left))
                    left = len(self._maybes())
                    if left and self._wants(
                        f"{plural(left, 'maybe')} of yours: r goes through them, another key ends."
                    ):
                        self._go_through_maybes()
                        continue  # one that was taken back may be the next
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

    def _wants(self, question: str) -> bool:
        self._screen.ask(Text(question, "bold"))
        return self._keys.key().casefold() == "r"

    def _go_through_maybes(self) -> None:
        """Put each of the reviewer's maybes before them once more; they stay maybe until they are decided."""
        self._again = True
        try:
            for row, note in self._maybes():
                self._notes.setdefault(row, note)
                if not self._judge(row):
                    break
        finally:
            self._again = False

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
                case "s" if self._again:
                    self._last, self._suggested = f"Left as maybe: {self._title(row)}", []
                    return True
                case "s":
                    self._session.skip(row)
                    self._last, self._suggested = f"Skipped, to come back later: {self._title(row)}", []
                    return True
                case "r" if not self._again:
                    if self._maybes():
                        self._go_through_maybes()
                        return True
                    hint = "You have no maybe at this stage."
                case "q":
                    return False
                case "\x1b":
                    self._screen.close_list()
                case _:
                    hint = self._look(row, key)

    def _look(self, row: int, key: str) -> str:
        """Do what a key says that decides nothing; return what is to be said of it."""
        match key.casefold():
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
            case "w":
                self._screen.open_list("Why this record ranks here", self._why_text(row))
            case "p":
                return self._screen.line(self._open_pdfs(row))
            case "c":
                self._screen.open_list("The criteria", self._criteria_text())
            case "?":
                self._screen.open_list("The keys", two_columns(self._help()))
            case _:
                return self._no_key(key)
        return ""

    def _no_key(self, key: str) -> str:
        if key.startswith(PASTE):
            return "A pasted text is not a key here."
        return f"{self._screen.line(key)!r} is not a key here." if key.isprintable() else ""

    # -- what is done -------------------------------------------------------------------------

    def _decide(self, row: int, label: Label, reason: str, began: float) -> bool:
        self._session.decide(row, label, reason, self._notes.get(row, ""), self._tagged.get(row))
        self._decided.append((row, label))
        self._last = f"{_PAST[label]}{f' ({self._screen.line(reason)})' if reason else ''}: {self._title(row)}"
        self._suggested = self._suggestion_lines(row)
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
        self._last, self._suggested = f"Taken back: {self._title(row)}", []
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
            elif key == CLEAR_LINE:
                text = ""
            elif (typed := key.removeprefix(PASTE)).isprintable():
                text += typed

    # -- what is shown ------------------------------------------------------------------------

    def _show(self, row: int, again: bool = False) -> None:
        screen = self._screen
        record = record_text(screen, self._records[row], self._highlighter.mark if self._marking else lambda text: text)
        found = sum(1 for _, label in self._decided if label is not Label.EXCLUDE)
        sitting = f"record {self._numbers[row]} | this sitting: {len(self._decided)} decided, {found} include or maybe"
        if len(self._seconds) >= _LEAST_TIMED:
            sitting += f" | {statistics.median(self._seconds[-_PACE_OVER:]):.0f} s a record"
        head = [Text(screen.line(str(self._state())))]
        if self._last:
            head.append(Text(self._last, "dim", no_wrap=True, overflow="crop"))
        head += self._suggested
        head += [Text("This record: ", "bold").append_text(line) for line in self._suggestion_lines(row)]
        if others := self._beside(row):
            head.append(Text(screen.line(others), "not bold"))
        note = self._notes.get(row)
        if note:
            head.append(Text("Note  ", "bold").append(screen.line(note), "not bold"))
        if given := self._tagged.get(row):
            head.append(Text("Tags  ", "bold").append(screen.line("; ".join(given)), "not bold"))
        screen.page(*head, number=sitting, title=self._title(row), body=record, again=again)

    def _suggestion_lines(self, row: int) -> list[Text]:
        return [Text(self._screen.line(str(one))[:MOST_SHOWN], "not bold") for one in self._suggestions(row)]

    def _commands(self) -> Text:
        """Return what the keys do, as far as it has place on one line."""
        commands = [*_COMMANDS[:5], *([_TAGS_COMMAND] if self._tags else ()), *_COMMANDS[5:]]
        shown, left_out = keys_line(*commands), ""
        for key in _LESS_NEEDED:
            if shown.cell_len < self._screen.width:
                break
            left_out += key
            shown = keys_line(*(command for command in commands if command[0] not in left_out))
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

    def _why_text(self, row: int) -> Group:
        parts: list[RenderableType] = []
        for heading, lines in self._why(row):
            table = Table.grid(padding=(0, 1))
            for line in lines:
                table.add_row("-", Text(untagged(self._screen.line(line))))
            parts += [Text(self._screen.line(heading), "bold"), *([table] if lines else [])]
        return Group(*parts) if parts else Group(Text("Nothing ranks this record."))

    def _criteria_text(self) -> Group:
        parts: list[RenderableType] = []
        for name, style, texts in zip(
            ("Include", "Exclude"), (INCLUDE_STYLE, EXCLUDE_STYLE), self._criteria, strict=True
        ):
            table = Table.grid(padding=(0, 1))
            for text in texts:
                table.add_row("-", self._highlighter.mark(Text(self._screen.line(text))))
            parts += [Text(name, style), table] if texts else []
        for one in self._word_lists:
            heading = Text(self._screen.line(one.name), STYLES[KINDS[one.colour]])
            parts += [Text("Words: ").append_text(heading), Text(self._screen.line(", ".join(one.words)))]
        return Group(*parts) if parts else Group(Text("The protocol names no criteria."))
