"""Screening in a terminal."""

from .keys import BACKSPACE, DOWN, END, ENTER, ESCAPE, HOME, PAGE_DOWN, PAGE_UP, UP, Keys, open_keys
from .progress import progress_bar
from .questions import ask_one_by_one, decide_maybes, decide_proposals, decide_studies, on_standard_error
from .screen import EXCLUDE_STYLE, INCLUDE_STYLE, Highlighter
from .sitting import NOTHING_LEFT, Item, Summary, run
from .viewer import open_file

__all__ = [
    "BACKSPACE",
    "DOWN",
    "END",
    "ENTER",
    "ESCAPE",
    "EXCLUDE_STYLE",
    "HOME",
    "Highlighter",
    "INCLUDE_STYLE",
    "Item",
    "Keys",
    "NOTHING_LEFT",
    "PAGE_DOWN",
    "PAGE_UP",
    "Summary",
    "UP",
    "ask_one_by_one",
    "decide_maybes",
    "decide_proposals",
    "decide_studies",
    "on_standard_error",
    "open_file",
    "open_keys",
    "progress_bar",
    "run",
]
