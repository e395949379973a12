"""What commands share: options, how they print, how they open a review."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from .. import preset_catalogue
from ..as_json import as_json
from ..errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from ..project import Project


Review = Annotated[
    str,
    typer.Argument(
        metavar="REVIEW",
        show_default=False,
        help="The review's file, such as review.triage, or a team's address: "
        "postgresql://USER@HOST/DATABASE?review=NAME.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else there.")]
Reviewer = Annotated[str | None, typer.Option(metavar="NAME", help="Who decides; your user name when left out.")]
StageName = Annotated[
    str | None, typer.Option("--stage", metavar="NAME", help="A stage of the protocol; the first when left out.")
]
Model = Annotated[
    str | None,
    typer.Option(metavar="PRESET", help=f"The ranking: {preset_catalogue.in_words()}; the protocol's when left out."),
]


class Device(StrEnum):
    """Where vectors are computed."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


DeviceOption = Annotated[Device, typer.Option(metavar="auto|cpu|cuda", help="Where vectors are computed.")]


def printable_line(text: str) -> str:
    """Return text of a file as one line without what would steer the terminal."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(c for c in line if c.isprintable())


def short(title: str) -> str:
    """Return a title in one line of at most 90 characters."""
    line = printable_line(title) or "(no title)"
    return line if len(line) <= 90 else f"{line[:89]}…"


def say(message: str) -> None:
    """Print a message for a person on standard error."""
    print(message, file=sys.stderr)


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

    if reviewer is not None and not reviewer.strip():
        raise typer.BadParameter("a name is needed", param_hint="--reviewer")
    try:
        return reviewer or getpass.getuser()
    except (OSError, KeyError) as error:  # a container without a user of this number
        raise InputError("Your user name is not known here; give --reviewer NAME.") from error


def quoted(path: str) -> str:
    """Return a path as a shell takes it, for a command in a message."""
    path = shown_place(path)
    return f'"{path}"' if " " in path or "&" in path or "?" in path else path


def shown_place(review: str) -> str:
    """Return where a review is, without a password in its address."""
    from ..project import shown

    return shown(review)


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
        say(printable_line(said))
    return [said] if said else []
