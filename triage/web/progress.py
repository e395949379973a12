"""How far long work is, as a page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from ..progress import Pace
from ..wording import span


@dataclass
class Opening:
    """How far something is that takes a while.

    Attributes
    ----------
    what : str
    done, total : int
        Steps; a total of 0 where they are not known.
    left : str
        The time left, in words; empty while it is not known.
    """

    what: str = "Opening the review"
    done: int = 0
    total: int = 0
    left: str = ""

    def __post_init__(self) -> None:
        self._pace = Pace()

    def tick(self, done: int, total: int) -> None:
        """Take in how far it is; see `progress.Tick`."""
        self.done, self.total = done, total
        known = self._pace(done, total)
        self.left = span(known[1]) if known is not None and done < total else ""
