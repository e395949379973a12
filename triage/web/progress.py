"""How far long work is, as a page shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Opening:
    """How far something is that takes a while.

    Attributes
    ----------
    what : str
    done, total : int
        Steps; a total of 0 where they are not known.
    """

    what: str = "Opening the review"
    done: int = 0
    total: int = 0
