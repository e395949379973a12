"""Questions asked one by one: proposals to remove, pairs that may be duplicates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..records import Record
from .keys import Keys, open_keys
from .screen import EXCLUDE_STYLE, Screen, keys_line, record_text
from .sitting import Item

if TYPE_CHECKING:
    from ..dedupe import FieldPair
    from ..eligibility import Proposal


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
        screen = Screen(console, typed)
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
    screen: Screen, keys: Keys, question: str, answers: list[bool], keep: Callable[[int, bool | None], None]
) -> bool:
    """Add an answer, or take the last one back; return False to quit."""
    while True:
        screen.ask(Text(f"{question}  ") + keys_line(("y", "yes"), ("n", "no"), ("u", "back"), ("q", "quit")))
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
    screen = Screen(console)

    def show(proposal: tuple[Record, Proposal]) -> RenderableType:
        record, found = proposal
        return Group(Text(screen.line(found.reason), "bold"), Text(), record_text(screen, record))

    return ask_one_by_one(proposals, show, "Remove this record?", keep=keep, console=screen.console, keys=keys)


_AGREEMENT_STYLES = {"same": "dim", "alike": "", "different": EXCLUDE_STYLE, "only one": "italic"}


def decide_maybes(
    pairs: Sequence[tuple[str, Sequence[FieldPair]]],
    *,
    keep: Callable[[int, bool | None], None],
    console: Console | None = None,
    keys: Keys | None = None,
) -> list[bool | None]:
    """Show two records side by side and ask whether they are one: True links them, False keeps them apart.

    Each pair comes as the reason why it is asked about and its fields compared. Parameters and the answers
    are otherwise those of `ask_one_by_one`.
    """
    screen = Screen(console)

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


def decide_studies(
    questions: Sequence[tuple[str, Sequence[Record]]],
    *,
    keep: Callable[[int, bool | None], None],
    console: Console | None = None,
    keys: Keys | None = None,
) -> list[bool | None]:
    """Show reports one below the other and ask whether they are of one study: True groups them, False splits them.

    Each question comes as the reason why it is asked and the records. Parameters and the answers are otherwise those of
    `ask_one_by_one`.
    """
    screen = Screen(console)

    def show(question: tuple[str, Sequence[Record]]) -> RenderableType:
        why, records = question
        parts: list[RenderableType] = [Text(screen.line(why), "bold")]
        for record in records:
            parts += [Text(), Text(f"Record {record.number}", "dim"), record_text(screen, record)]
        return Group(*parts)

    return ask_one_by_one(
        questions, show, "Are these reports of one study?", keep=keep, console=screen.console, keys=keys
    )
