"""The protocol of a review, kept as protocol.toml."""

from .adding import as_toml, new_reasons, with_reasons
from .free_text import criteria_from_text
from .languages import language_name
from .model import Criterion, Limits, Protocol, Source, Stage, Stopping, has_word
from .parsing import load, parse, read_text
from .template import template

__all__ = [
    "Criterion",
    "Limits",
    "Protocol",
    "Source",
    "Stage",
    "Stopping",
    "as_toml",
    "criteria_from_text",
    "has_word",
    "language_name",
    "load",
    "new_reasons",
    "parse",
    "read_text",
    "template",
    "with_reasons",
]
