"""Running a command: exit codes, and what is said when something goes wrong."""

from __future__ import annotations

import glob
import io
import os
import sys
from collections.abc import Sequence

import typer

from .. import ending
from ..errors import InputError
from ..wording import printable
from .app import app
from .output import say

_INTERRUPTED = "\nInterrupted; everything decided so far is kept."
# The base of every wrong use of a command, to which typer gives no name of its own.
_UsageError: type[typer.BadParameter] = typer.BadParameter.__base__  # type: ignore[assignment]  # it is a class of errors


def main() -> None:
    """Run the command line: 0 done, 1 a check not met, 2 bad usage or bad input, 130 interrupted, 143 by SIGTERM."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a title may hold what the terminal cannot show
    ending.watch(_INTERRUPTED)
    try:
        code = run(_arguments(sys.argv[1:], windows=os.name == "nt"))
    except SystemExit as ended:  # by SIGTERM
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    try:
        sys.stdout.flush()
    except OSError:
        # Nobody reads on (`triage log review.triage | head`), or that was reported already. What is left in the
        # buffer goes nowhere, or Python would complain of it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    ending.leave(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; what went wrong is reported on standard error."""
    try:
        with typer.main.get_command(app).make_context("triage", list(arguments)) as context:
            context.command.invoke(context)
        sys.stdout.flush()
        return 0
    except typer.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, typer.Abort):
        say(_INTERRUPTED)
        return ending.INTERRUPTED
    except InputError as error:
        return _refuse(error.message, error.details)
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "triage"
        return _refuse(f"{error.format_message().rstrip('.')}; see `{command} --help`.")
    except BrokenPipeError:
        return 0
    except OSError as error:
        return _refuse(f"{error.filename or 'A file'} could not be read or written: {error.strerror or error}.")


def _arguments(arguments: Sequence[str], *, windows: bool) -> list[str]:
    """Name the files that a pattern such as *.ris means, where the shell does not."""
    if not windows:
        return list(arguments)
    return [name for argument in arguments for name in sorted(glob.glob(argument)) or [argument]]


def _refuse(message: str, details: Sequence[str] = ()) -> int:
    say(f"triage: {printable(message)}")
    for detail in details:
        say(f"  {printable(detail)}")
    return 2
