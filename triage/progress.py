"""Progress of long work, where nobody is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def no_progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """Stand in for a progress bar where none is wanted."""
    yield lambda done, total: None
