"""The command line: what `triage` is without a command."""

from __future__ import annotations

import inspect
import re
from typing import Annotated

import typer

from .. import __version__
from .output import browser_here, print, say, user_name

app = typer.Typer(
    name="triage",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Rank, screen and stop: abstract triage for systematic reviews.\n\n"
    "Without a command it opens the browser, where a review is made or opened. With commands a review is one file, and "
    "the usual way:\n\n"
    "\b\n"
    "  triage new review.triage                    a review, and a protocol.toml to fill in\n"
    "  triage import review.triage pubmed.nbib scopus.ris\n"
    "  triage dedupe review.triage                 link duplicates; nothing is deleted\n"
    "  triage filter review.triage                 apply language, date and type limits\n"
    "  triage screen review.triage                 one record, one key; undo at any time\n"
    "  triage serve review.triage                  the same in the browser, alone or as a team\n"
    "  triage status review.triage                 found, left, and whether you can stop\n"
    "  triage report review.triage -o report.html  flow figure, estimates, methods text\n"
    "  triage export review.triage -o included.ris --only included\n\n"
    "See it all on a real review first: triage demo. Each command explains itself: triage screen --help.",
)


def keep_lines() -> None:
    """Have the help of every command keep the lines of indented paragraphs, such as examples; others are filled."""
    for command in app.registered_commands:
        command.help = re.sub(r"\n\n(?=    )", "\n\n\b\n", inspect.getdoc(command.callback) or "")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"triage {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        if (open_browser := browser_here()) is None:
            say(context.get_help())
            raise typer.Exit(2)
        from .. import web

        web.serve(None, reviewer=user_name(None), open_browser=open_browser, say=say)
