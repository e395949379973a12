"""Events of the log as they are printed."""

from __future__ import annotations

from ..as_json import as_json
from . import Event

LOG_COLUMNS = (
    "seq",
    "at",
    "kind",
    "stage",
    "record_id",
    "reviewer",
    "label",
    "reason",
    "note",
    "origin",
    "pool_size",
    "ranking_id",
    "other_id",
    "undoes",
)


def event_as_json(event: Event) -> dict[str, object]:
    """Return an event of the log as `triage log` prints it."""
    facts = as_json(event)
    return {name: facts[name] for name in LOG_COLUMNS}
