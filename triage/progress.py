"""Progress of long work: how it is reported, and a stand-in where nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

# Called with what is done and the total.
Tick = Callable[[int, int], None]
# Called with a description of the work, gives a context manager of the callback that its steps are reported to.
Progress = Callable[[str], AbstractContextManager[Tick]]


@contextmanager
def no_progress(description: str) -> Iterator[Tick]:
    """Stand in for a progress bar where none is wanted."""
    yield lambda done, total: None
