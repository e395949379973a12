"""A stage's records by row, each read when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from ..log import Stage
from ..records import Record
from . import Records


class StageRecords(Sequence[Record]):
    """A stage's records by row, as a reviewer sees them, each read when it is asked for.

    Parameters
    ----------
    records : Records
    stage : Stage
    rows : sequence of int, optional
        Some of the stage's rows, to be counted anew in this order.
    """

    def __init__(self, records: Records, stage: Stage, rows: Sequence[int] | None = None) -> None:
        self._records = records
        self.stage = stage
        self._rows = range(len(stage.record_ids)) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, row: int) -> Record: ...
    @overload
    def __getitem__(self, row: slice) -> StageRecords: ...
    def __getitem__(self, row: int | slice) -> Record | StageRecords:
        if isinstance(row, slice):
            return StageRecords(self._records, self.stage, self._rows[row])
        return self._records.shown(self.stage, [self._rows[row]])[0]
