"""What a server says of itself: whether it answers, and in Prometheus' text how it has done."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse

from ..errors import InputError
from ..log import Event, Kind
from .access import Visitor, owner, review_of
from .api.common import desks_of, project_of
from .connections import Listener
from .gate import HEALTH

METRICS = "/metrics"
_SLOWEST_OF_SECONDS = 600
_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

router = APIRouter(include_in_schema=False)


class Measures:
    """Counts what a server answers.

    Parameters
    ----------
    clock : callable
        Returns seconds.

    Attributes
    ----------
    listener : Listener or None
        Whose connections are reported too.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.listener: Listener | None = None
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._classes = Counter({f"{digit}xx": 0 for digit in (2, 3, 4, 5)})
        self._seconds = 0.0
        self._failed_log_ins = 0
        self._slowest = [0.0, 0.0]  # of the ten minutes before, and of these
        self._turned = self._began
        self._counted = 0, 0  # events, and the decisions among them

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count an answer."""
        with self._lock:
            self._turn()
            self._classes[f"{status // 100}xx"] += 1
            self._seconds += seconds
            self._slowest[1] = max(self._slowest[1], seconds)
            self._failed_log_ins += (method, path) == ("POST", "/login") and status in (401, 429)

    def _turn(self) -> None:
        if (past := self._clock() - self._turned) >= _SLOWEST_OF_SECONDS:
            self._slowest = [self._slowest[1] if past < 2 * _SLOWEST_OF_SECONDS else 0.0, 0.0]
            self._turned = self._clock()

    def _decisions(self, events: Sequence[Event]) -> int:
        read, found = self._counted
        if len(events) < read:
            read, found = 0, 0
        found += sum(event.kind is Kind.DECISION for event in events[read:])
        self._counted = len(events), found
        return found

    def text(self, events: Sequence[Event], sessions: int) -> str:
        """Return all that is counted, as Prometheus reads it.

        Parameters
        ----------
        events : sequence of Event
            The review's log.
        sessions : int
            How many screening sessions are open.
        """
        with self._lock:
            self._turn()
            answers = sum(self._classes.values())
            lines = [
                *_metric("uptime_seconds", "gauge", "Since the server began.", self._clock() - self._began),
                "# HELP triage_requests_total Requests answered, by the class of their status.",
                "# TYPE triage_requests_total counter",
                *(f'triage_requests_total{{class="{name}"}} {n}' for name, n in sorted(self._classes.items())),
                "# HELP triage_request_seconds From a request's headers to the end of its answer.",
                "# TYPE triage_request_seconds summary",
                f"triage_request_seconds_sum {self._seconds:.6f}",
                f"triage_request_seconds_count {answers}",
                *_metric(
                    "request_slowest_seconds",
                    "gauge",
                    "The slowest of the last ten to twenty minutes.",
                    max(self._slowest),
                ),
                *_metric(
                    "login_failures_total", "counter", "Log-ins that failed or came too soon.", self._failed_log_ins
                ),
                *_metric("decisions_total", "counter", "Decisions in the review's log.", self._decisions(events)),
                *_metric("open_sessions", "gauge", "Screening sessions that are open.", sessions),
            ]
            if self.listener is not None:
                lines += [
                    *_metric("connections", "gauge", "Connections that are open.", self.listener.n_open),
                    *_metric(
                        "connections_refused_total", "counter", "Connections beyond the limits.", self.listener.refused
                    ),
                ]
        return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, what: str, value: float) -> tuple[str, str, str]:
    shown = str(value) if isinstance(value, int) else f"{value:.6f}"
    return f"# HELP triage_{name} {what}", f"# TYPE triage_{name} {kind}", f"triage_{name} {shown}"


@router.get(HEALTH)
def health(request: Request) -> PlainTextResponse:
    """Tell anybody whether the review can be read, and nothing else."""
    try:
        project_of(request).snapshot()
    except InputError:
        return PlainTextResponse("The review cannot be read.\n", 503)
    return PlainTextResponse("ok\n")


@router.get(METRICS)
def metrics(request: Request, who: Annotated[Visitor, Depends(owner)]) -> PlainTextResponse:
    """Tell an owner how the server has done."""
    measures: Measures = request.app.state.measures
    return PlainTextResponse(measures.text(review_of(request).events, desks_of(request).n_open), media_type=_MEDIA_TYPE)
