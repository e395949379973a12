"""The records of one stage in memory: what was shown, in which order, and judged how."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..log import Event, History, Kind, Origin, PastDraws, Stage


class Pool:
    """The records of one stage in memory: what was shown, in which order, and judged how.

    Parameters
    ----------
    n : int
        Records, known by their rows 0 to n - 1.
    strata : sequence of ndarray
        The audit permutations: each a stratum's rows in the order of its draws.
    past : PastDraws
        Audit draws of records that have left.
    """

    def __init__(self, n: int, strata: Sequence[np.ndarray], past: PastDraws = PastDraws.of()) -> None:
        self.n = n
        self.strata = list(strata)
        self.stratum_of = np.zeros(n, np.int64)
        self._position = np.zeros(n, np.int64)
        for number, rows in enumerate(self.strata):
            self.stratum_of[rows] = number
            self._position[rows] = np.arange(len(rows))
        self.shown = np.zeros(n, bool)
        self.y = np.full(n, -1, np.int8)
        self._past = past
        self._left = np.array([len(rows) for rows in self.strata] or [0])
        self._drawn = np.bincount(past.stratum, minlength=len(self._left))
        self._cursor = [0] * len(self.strata)
        self._order = np.empty(n, np.int64)
        self._origin = np.empty(n, "<U8")
        self._chosen = np.zeros(n, bool)  # by a person, after the permutation was committed
        self._pool_size = np.empty(n, np.int64)
        self._n_shown = 0

    @classmethod
    def of(cls, stage: Stage, history: History | None = None) -> Pool:
        """Build the pool of a review's stage as its log has it; `history` is the stage's, where it is there already."""
        history = stage.history() if history is None else history
        pool = cls(len(stage.record_ids), stage.strata, history.past)
        chosen = history.chosen if len(history.chosen) else np.zeros(len(history.rows), bool)
        for row, y, origin, size in zip(history.rows, history.y, history.origin, history.pool_size, strict=True):
            pool._append(int(row), str(origin), int(size))
            pool.y[row] = y
        pool._chosen[: len(chosen)] = chosen
        return pool

    @property
    def n_shown(self) -> int:
        """Records shown."""
        return self._n_shown

    def left(self, row: int) -> int:
        """Return how many records of the row's stratum have not been shown."""
        return int(self._left[self.stratum_of[row]])

    def show(self, row: int, origin: Origin) -> None:
        """Mark a record as shown."""
        self._append(row, origin, self.left(row))

    def show_as(self, row: int, event: Event) -> None:
        """Mark a record as shown the way an event of the log says (see `Stage.history`)."""
        origin, size = event.origin or Origin.CHOSEN, self.left(row)
        if origin is Origin.AUDIT and event.kind is Kind.SHOWN:
            size = event.pool
        elif origin is Origin.AUDIT or (event.kind is Kind.DECISION and origin is Origin.RANKED):
            origin = Origin.CHOSEN
        self._append(row, origin, size)

    def _append(self, row: int, origin: str, size: int) -> None:
        at = self._n_shown
        self._order[at], self._origin[at], self._pool_size[at] = row, origin, size
        self._chosen[at] = origin in (Origin.CHOSEN, Origin.IMPORTED)
        self._left[self.stratum_of[row]] -= 1
        self._drawn[self.stratum_of[row]] += origin == Origin.AUDIT
        self.shown[row] = True
        self._n_shown += 1

    def audit_row(self) -> int:
        """Return the next audit draw: the next record not yet shown in the committed permutation.

        With several strata `recall.next_stratum` chooses, knowing only the past, so that each draw is
        uniform on what its stratum has left.
        """
        from .. import recall

        stratum = recall.next_stratum(self._left, self._drawn)
        rows, cursor = self.strata[stratum], self._cursor[stratum]
        while self.shown[rows[cursor]]:
            cursor += 1
        self._cursor[stratum] = cursor
        return int(rows[cursor])

    def labelled(self) -> np.ndarray:
        """Return the judged rows in the order of first showing."""
        order = self._order[: self._n_shown]
        return order[self.y[order] >= 0]

    def outstanding(self) -> list[int]:
        """Return the rows shown and not judged, in the order of first showing."""
        order = self._order[: self._n_shown]
        rows: list[int] = order[self.y[order] < 0].tolist()
        return rows

    def in_order(self, which: np.ndarray) -> np.ndarray:
        """Return the rows of a mask over all records that were shown, in the order of first showing."""
        order = self._order[: self._n_shown]
        rows: np.ndarray = order[which[order]]
        return rows

    def history(self) -> History:
        """Return what the mathematics may see."""
        end = self._n_shown
        order = self._order[:end]
        sizes = np.array([len(rows) for rows in self.strata] or [0])
        return History(
            order.view(),
            self.y[order],
            self._origin[:end].view(),
            self._pool_size[:end].view(),
            self.stratum_of[order],
            sizes,
            self._past,
        ).guarded(self._chosen[:end], self._position)
