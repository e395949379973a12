"""Progress of long work: how it is reported, and a stand-in where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

# Called with what is done and the total.
Tick = Callable[[int, int], None]
# Called with a description of the work, gives a context manager of the callback that its steps are reported to.
Progress = Callable[[str], AbstractContextManager[Tick]]


class Pace:
    """Steps a second and the time left, measured from the first call: loading is not part of it."""

    def __init__(self) -> None:
        self._from: tuple[int, float] | None = None

    def __call__(self, done: int, total: int) -> tuple[float, float] | None:
        """Return steps a second and the seconds left; None before there are two times to measure by."""
        now = time.monotonic()
        if self._from is None or done < self._from[0]:
            self._from = done, now
        first, began = self._from
        if done == first or now == began:
            return None
        per_second = (done - first) / (now - began)
        return per_second, (total - done) / per_second


@contextmanager
def no_progress(description: str) -> Iterator[Tick]:
    """Stand in for a progress bar where none is wanted."""
    yield lambda done, total: None
