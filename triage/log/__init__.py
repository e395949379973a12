"""The append-only log of a review, what is current in it, and what the mathematics may see of it."""

from .batches import Batch, Exclusion, batches, exclusions
from .events import Event, Kind, Origin, taken_back
from .history import ChosenAhead, Counts, History, PastDraws, Shown
from .labels import Label, label_of, without_quotes
from .stage import Stage, stage_of
from .state import (
    Consensus,
    CurrentState,
    LogFold,
    Showings,
    audited,
    awaits_second_look,
    consensus,
    entered,
    fold,
    folded_name,
    independent,
    seen_by,
    visible,
)

__all__ = [
    "Batch",
    "ChosenAhead",
    "Consensus",
    "Counts",
    "Event",
    "Exclusion",
    "LogFold",
    "History",
    "Kind",
    "Label",
    "CurrentState",
    "Origin",
    "PastDraws",
    "Showings",
    "Shown",
    "Stage",
    "audited",
    "awaits_second_look",
    "batches",
    "consensus",
    "entered",
    "exclusions",
    "fold",
    "folded_name",
    "label_of",
    "seen_by",
    "stage_of",
    "taken_back",
    "independent",
    "visible",
    "without_quotes",
]
