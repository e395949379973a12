"""What is on the screen: a record, its pages, the lines around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.control import Control
from rich.segment import ControlType, Segment, Segments
from rich.table import Table
from rich.text import Text

from ..log import Label
from ..records import Record
from ..text import Words, plain, untagged
from .keys import DOWN, END, HOME, PAGE_DOWN, PAGE_UP, REDRAW, UP, Keys

# Blue and orange stay apart under every common colour blindness, and bold against underlined stays
# apart without colour.
INCLUDE_STYLE = "bold color(33)"
EXCLUDE_STYLE = "underline color(208)"
STYLES: dict[str, str] = {
    Label.INCLUDE: INCLUDE_STYLE,
    Label.EXCLUDE: EXCLUDE_STYLE,
    "violet": "italic color(135)",
    "green": "italic color(35)",
    "yellow": "italic color(178)",
    "pink": "italic color(205)",
}  # by how a word is marked
_WIDEST = 100  # longer lines are hard to read
_LEAST_READ = 6  # lines of a record that stay beside a list; a longer list takes their place
_AUTHORS_NAMED = 3


class Highlighter:
    """Marks words in a text.

    Parameters
    ----------
    words : Words
        What finds them.
    """

    def __init__(self, words: Words) -> None:
        self._words = words

    def mark(self, text: Text) -> Text:
        """Add the styles to a text, and return it."""
        for begins, ends, kind in self._words.find(text.plain):
            text.stylize(STYLES[kind], begins, ends)
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


class Screen:
    """A page with one question at its end, which what comes next replaces.

    With single keys on a terminal the page fills the window and the question is on its last
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
        """Close the list; return whether one was open."""
        if self._page.listed is None:
            return False
        self._page.listed = None
        self._draw()
        return True

    def turn(self, key: str) -> bool:
        """Show another part of the page, or the page again, if the key asks for it; return whether it does."""
        if key == REDRAW:
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


def keys_line(*keys: tuple[str, str]) -> Text:
    """Return one line of keys and what each does."""
    line = Text()
    for key, does in keys:
        line.append(key, "bold").append(f" {does}  ")
    return line


def record_text(screen: Screen, record: Record, mark: Callable[[Text], Text] = lambda text: text) -> Group:
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


def two_columns(rows: Sequence[tuple[str, str]]) -> Table:
    """Return a table of two columns, the first in bold."""
    table = Table.grid(padding=(0, 2))
    for left, right in rows:
        table.add_row(Text(left, "bold"), Text(right))
    return table
