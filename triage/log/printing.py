"""Events of the log as they are printed."""

from __future__ import annotations

import json

from ..as_json import as_json
from . import Event, Kind

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
    """Return an event of the log as `triage log` prints it.

    Older logs hold the seed of a permutation in the event that committed it. It is left out: anyone who knows it can
    predict the audit draws to come.
    """
    facts = as_json(event)
    if event.kind is Kind.PLAN and '"seed"' in event.note:
        facts["note"] = json.dumps({name: value for name, value in json.loads(event.note).items() if name != "seed"})
    return {name: facts[name] for name in LOG_COLUMNS}
