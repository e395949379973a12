"""How far long work is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from ..progress import Pace
from ..wording import printable, rate, span

_QUIET_SECONDS = 1.0  # work that is over sooner shows no progress
_PLAIN_SECONDS = 10.0  # between two lines of progress in a file


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show on standard error how far some work is; give the callback (done, total) that moves it.

    A bar with the pace and the time left on a terminal, now and then a line elsewhere, and nothing
    at all for work that is over within a second.
    """
    # Loaded here: a session does without.
    from rich.progress import BarColumn, Progress, TextColumn

    description = printable(description)  # it may name a file
    console = Console(stderr=True, highlight=False)
    pace = Pace()
    if not console.is_terminal or console.is_dumb_terminal:
        yield _plain_progress(description, console, pace)
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[so_far]}", markup=False),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = bar.add_task(description, total=None, so_far="")
    # A timer, since it may take long until the work first reports how far it is (a model is loaded).
    timer = threading.Timer(_QUIET_SECONDS, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda done, total: bar.update(
            task, completed=done, total=total, so_far=f"{done:,}/{total:,} {_in_words(pace(done, total))}".rstrip()
        )
    finally:
        timer.cancel()
        timer.join()
        bar.stop()


def _plain_progress(description: str, console: Console, pace: Pace) -> Callable[[int, int], None]:
    due = time.monotonic() + _QUIET_SECONDS
    begun = False

    def tick(done: int, total: int) -> None:
        nonlocal due, begun
        speed = _in_words(pace(done, total))
        if time.monotonic() >= due or (begun and done == total):
            begun, due = True, time.monotonic() + _PLAIN_SECONDS
            console.print(Text(f"{description}: {done:,} of {total:,}{speed and f', {speed}'}"), soft_wrap=True)

    return tick


def _in_words(pace: tuple[float, float] | None) -> str:
    if pace is None:
        return ""
    per_second, left = pace
    speed = f"{rate(per_second)} records a second"
    return f"{speed}, {span(left)} left" if left else speed
