"""The protocol of a review, kept as protocol.toml."""

from .adding import as_toml, new_reasons, with_code, with_reason_at, with_reasons, with_tag
from .free_text import criteria_from_text
from .languages import language_name
from .model import (
    COLOURS,
    FIRST_STAGE,
    Criterion,
    Limits,
    Machines,
    Protocol,
    Source,
    Stage,
    Stopping,
    WordList,
    has_word,
    usual_colour,
)
from .parsing import PLAIN_KEYS, load, parse, read_text
from .template import template
from .writing import write

__all__ = [
    "COLOURS",
    "FIRST_STAGE",
    "PLAIN_KEYS",
    "Criterion",
    "Limits",
    "Machines",
    "Protocol",
    "Source",
    "Stage",
    "Stopping",
    "WordList",
    "as_toml",
    "criteria_from_text",
    "has_word",
    "language_name",
    "load",
    "new_reasons",
    "parse",
    "read_text",
    "template",
    "usual_colour",
    "with_code",
    "write",
    "with_reason_at",
    "with_reasons",
    "with_tag",
]
