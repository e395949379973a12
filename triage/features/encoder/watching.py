"""An encoding that makes no progress is given up, and done by torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

import numpy as np

from ... import ending
from .tokens import Encoder, Made, Text, load_lock, logger

_STUCK_SECONDS = 60.0  # without progress, after which encoding by OpenVINO is given up
_LOADING_SECONDS = 300.0  # the same for loading, which may convert the model first and reports no progress


class WatchedEncoder:
    """Encodes by OpenVINO while that makes progress, and by torch from then on.

    Parameters
    ----------
    load, instead : callable
        Each loads an encoder: OpenVINO's, and torch's to replace it.
    """

    def __init__(self, load: Callable[[], Encoder], instead: Callable[[], Encoder]) -> None:
        self._instead = instead
        self._gave_up = False
        try:
            self._encode = _watched(lambda _: load(), _ignore, _LOADING_SECONDS)
            # The first inference is over before two threads can ask for one.
            _watched(partial(self._encode, ["a"]), _ignore, _STUCK_SECONDS)
        except _Stuck:
            self._give_up()

    def __call__(self, texts: Sequence[Text], tick: Callable[[int], None]) -> np.ndarray:
        if not self._gave_up:
            try:
                return _watched(partial(self._encode, texts), tick, _STUCK_SECONDS)
            except _Stuck:
                with load_lock:
                    if not self._gave_up:  # by another thread
                        self._give_up()
        return self._encode(texts, tick)

    def _give_up(self) -> None:
        logger.warning("OpenVINO has stopped making progress; abstracts are now encoded with torch, which is slower.")
        self._encode = self._instead()
        self._gave_up = True


def _ignore(done: int) -> None:
    pass


class _Stuck(Exception):
    """A call has made no progress for too long."""


def _watched(work: Callable[[Callable[[int], None]], Made], tick: Callable[[int], None], seconds: float) -> Made:
    """Return what a call makes in a thread of its own, and report its progress from this one.

    A native call cannot be stopped from outside, so a thread that is stuck in one is left behind.

    Parameters
    ----------
    work : callable of a callable of (done)
        Calls that whenever it has made progress.
    tick : callable of (done)
    seconds : float
        How long to wait for progress.

    Raises
    ------
    _Stuck
    """
    reports: SimpleQueue[int | None] = SimpleQueue()
    outcome: Future[Made] = Future()
    abandoned = threading.Event()

    def progress(done: int) -> None:
        if abandoned.is_set():
            raise _Stuck
        reports.put(done)

    def run() -> None:
        try:
            outcome.set_result(work(progress))
        except BaseException as error:
            outcome.set_exception(error)
        reports.put(None)

    threading.Thread(target=run, name=ending.NATIVE, daemon=True).start()
    try:
        while (done := _next_report(reports, seconds)) is not None:
            tick(done)
        return outcome.result()
    finally:
        abandoned.set()


def _next_report(reports: SimpleQueue[int | None], seconds: float) -> int | None:
    for _ in range(60):  # in short waits, so that a process stopped by Ctrl-Z does not count as stuck afterwards
        with suppress(Empty):
            return reports.get(timeout=seconds / 60)
    raise _Stuck
