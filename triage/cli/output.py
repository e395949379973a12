"""What commands share: options, how they print, how they open a review."""

from __future__ import annotations

import builtins
import json
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from .. import preset_catalogue
from ..as_json import as_json
from ..errors import InputError
from ..wording import printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from _typeshed import DataclassInstance

    from ..formats import NoTitleColumn
    from ..machines import Machine
    from ..project import Project

Taken = TypeVar("Taken")

Review = Annotated[
    str,
    typer.Argument(
        metavar="REVIEW",
        show_default=False,
        help="The review's file, such as review.triage, or a team's address: "
        "postgresql://USER@HOST/DATABASE?review=NAME.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")]
Reviewer = Annotated[str | None, typer.Option(metavar="NAME", help="Who decides; by default your user name.")]
StageName = Annotated[
    str | None, typer.Option("--stage", metavar="NAME", help="A stage of the protocol; by default the first.")
]
Model = Annotated[
    str | None,
    typer.Option(metavar="PRESET", help=f"The ranking: {preset_catalogue.in_words()}; by default the protocol's."),
]


MachineName = Annotated[
    str | None,
    typer.Option(
        "--machine",
        metavar="NAME",
        show_default=False,
        help="The labels are those of a machine, such as a language model, of this name and version: suggestions, which "
        "never count as decisions.",
    ),
]
PromptFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        show_default=False,
        help="The prompt that the machine was asked with; the log keeps its text and its SHA-256.",
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The encoding of a text file, such as gb18030 or windows-1251, where it is not UTF-8 and cannot be told.",
    ),
]
OfAPerson = Annotated[
    bool, typer.Option("--person", help="The labels are a person's, although the file names a tool that screens.")
]


ReviewerColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        show_default=False,
        help="The column of a table that says whose decision a row holds, where several people's are in one table, a row "
        "for each decision.",
    ),
]


class Device(StrEnum):
    """Where vectors are computed."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


DeviceOption = Annotated[Device, typer.Option(metavar="auto|cpu|cuda", help="Where vectors are computed.")]


def short(title: str, most: int = 90) -> str:
    """Return a title in one line of at most 90 characters, or another text of at most so many."""
    line = printable(title) or "(no title)"
    return line if len(line) <= most else f"{line[: most - 1]}…"


def print(*parts: object, sep: str = " ", end: str = "\n") -> None:
    """Print on standard output, as Python does, but nothing that would steer the terminal.

    What commands print holds names and texts of others. Every module of the command line takes this function for
    Python's own.
    """
    builtins.print(printable_lines(sep.join(map(str, parts))), end=end)


def say(message: str) -> None:
    """Print a message for a person on standard error."""
    builtins.print(printable_lines(message), file=sys.stderr)


def print_json(*parts: DataclassInstance | Mapping[str, object]) -> None:
    """Print results as one JSON object on standard output: the keys of each after those of the one before."""
    facts: dict[str, object] = {}
    for part in parts:
        facts |= as_json(part)
    # In ASCII, so that it reads the same in whatever encoding standard output has.
    print(json.dumps(facts, allow_nan=False))


def user_name(reviewer: str | None) -> str:
    """Return the reviewer who was named, else the operating system's user."""
    import getpass

    if reviewer is not None and not printable(reviewer):
        raise typer.BadParameter("a name is needed", param_hint="--reviewer")
    try:
        return printable(reviewer or "") or getpass.getuser()
    except (OSError, KeyError) as error:  # a container without a user of this number
        raise InputError("Your user name is not known on this system; give --reviewer NAME.") from error


def machine_named(name: str | None, prompt_file: Path | None, of_a_person: bool) -> Machine | None:
    """Return the machine that was named with its prompt; None where the labels are a person's."""
    from ..machines import Machine

    if name is not None and of_a_person:
        raise typer.BadParameter("give one of them, not both", param_hint="--machine, --person")
    if name is None and prompt_file is not None:
        raise typer.BadParameter("name the machine that it was given to, too", param_hint="--machine")

    return None if name is None else Machine.of(name, prompt_file)


def take_labels(
    take: Callable[[Machine | None, bool], Taken], machine: Machine | None, of_a_person: bool, reviewer: str | None
) -> Taken:
    """Take labels from files, and ask whose they are where that is in doubt and somebody is there to answer.

    Parameters
    ----------
    take : callable
        Takes them as the machine's or, with True, as a person's whatever names the files hold.
    machine : Machine or None
    of_a_person : bool
    reviewer : str or None
        As it was given on the command line.

    Raises
    ------
    InputError
        When nobody is there to answer; nothing is written.
    """
    from ..intake import WhoseLabels
    from ..machines import Machine, names_a_tool

    if machine is None and not of_a_person and reviewer is not None and names_a_tool(reviewer):
        asked: InputError = InputError(
            f"--reviewer {reviewer!r} sounds like a machine, whose labels are not decisions: say --machine NAME if a "
            "machine gave them, or --person if a person did."
        )
        named = reviewer
    else:
        try:
            return take(machine, of_a_person)
        except WhoseLabels as error:
            asked, named = error, error.name
    if not sys.stdin.isatty():
        raise asked
    say(printable(str(asked)))
    answer = typer.prompt("A machine's or a person's (m, p; anything else stops)", default="", err=True).strip().lower()
    if answer in ("m", "machine"):
        name = typer.prompt("The machine's name, with its version", default=printable(named), err=True)
        from ..machines import Machine

        return take(Machine.of(name), False)
    if answer in ("p", "person"):
        return take(None, True)
    raise InputError("Nothing was taken.")


def quoted(path: str) -> str:
    """Return a path as a shell takes it, for a command in a message."""
    path = printable(shown_place(path))
    return f'"{path}"' if " " in path or "&" in path or "?" in path else path


def shown_place(review: str) -> str:
    """Return where a review is, without a password in its address."""
    from ..project import shown

    return printable(shown(review))


def open_review(review: str) -> Project:
    """Open a review, taking over its protocol file when that has changed."""
    from ..project import Project

    project = Project.open(review)
    if project.refresh_protocol():
        say("The protocol file has changed: its new version is in force from now on, and the old one is kept.")
    return project


def warn_if_unranked(project: Project, stage: str | None = None) -> list[str]:
    """Say, before any work, that the protocol gives the ranking nothing to go by; return what was said."""
    from ..ranking import answers

    said = answers.nothing_to_rank_by(project.snapshot(), stage)
    if said:
        say(printable(said))
    return [said] if said else []


def columns_named(given: Sequence[str]) -> dict[str, str]:
    """Return the columns of --column options by the field of a record that they hold.

    Raises
    ------
    InputError
        When one of them is not FIELD=HEADER, or names a field twice.
    """
    columns: dict[str, str] = {}
    for one in given:
        field, equals, name = one.partition("=")
        field, name = field.strip().lower(), name.strip()
        if not (field and equals and name):
            raise InputError(f"--column {one!r} should be FIELD=HEADER, such as title='Scientific title'.")
        if field in columns:
            raise InputError(f"--column names {field!r} twice; name one column for each field.")
        columns[field] = name
    return columns


def ask_for_columns(asked: NoTitleColumn) -> dict[str, str]:
    """Show the first rows of a table, and ask which columns hold titles and abstracts.

    Raises
    ------
    InputError
        What was `asked`, when nobody is there to answer.
    """
    if not (sys.stdin.isatty() and asked.header):
        raise asked
    say(printable(asked.message.partition(" Say ")[0]))
    for number, name in enumerate(asked.header, 1):
        cells = [cells[number - 1] for cells in asked.rows if number <= len(cells) and cells[number - 1].strip()]
        say(f"  {number:>3}  {printable(name or '(no name)'):<30}  {short(printable(' | '.join(cells)))}")
    columns = {}
    for field, question in (
        ("title", "Which column holds the titles (its number; anything else stops)"),
        ("abstract", "Which one holds the abstracts (its number, or Enter for none)"),
    ):
        answer = typer.prompt(question, default="", show_default=False, err=True).strip()
        if answer.isdecimal() and 1 <= int(answer) <= len(asked.header) and asked.header[int(answer) - 1]:
            columns[field] = asked.header[int(answer) - 1]
        elif field == "title":
            raise InputError("Nothing was taken.")
    return columns


def browser_here() -> Callable[[str], object] | None:
    """Return what opens a browser's window, where somebody sits before a screen that can show one."""
    has_screen = sys.platform in ("win32", "darwin") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    if not (has_screen and sys.stderr.isatty()):
        return None
    import webbrowser

    return webbrowser.open
