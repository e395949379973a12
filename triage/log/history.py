"""What the mathematics may see of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .events import Origin


@dataclass(frozen=True, slots=True)
class PastDraws:
    """Audit draws of records that are no longer in the permutation they were drawn from.

    They have become copies of others, were removed, or were not passed on any more. The draws stay
    evidence: leaving them out would be a choice of draws.

    Attributes
    ----------
    place : ndarray of int, shape (n_past,)
        Records of the history that were shown before the draw.
    hit : ndarray of bool, shape (n_past,)
        False where the record is agreed to be irrelevant; a record that left without a label counts
        as a hit, the safe side.
    pool_size, stratum : ndarray of int, shape (n_past,)
        As in a History.
    """

    place: np.ndarray
    hit: np.ndarray
    pool_size: np.ndarray
    stratum: np.ndarray

    def __post_init__(self) -> None:
        for name in ("place", "hit", "pool_size", "stratum"):
            getattr(self, name).setflags(write=False)

    @classmethod
    def of(cls, draws: Sequence[tuple[int, bool, int, int]] = ()) -> PastDraws:
        """Build them from (place, hit, pool size, stratum), in the order of the draws."""
        table = np.array(draws, np.int64).reshape(-1, 4)
        return cls(table[:, 0].copy(), table[:, 1].astype(bool), table[:, 2].copy(), table[:, 3].copy())

    def __len__(self) -> int:
        return len(self.place)


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown at a stage, in its order: records of the history, and draws of records that left.

    Attributes
    ----------
    y, origin, pool_size, stratum : ndarray, shape (n,)
        As in a History.
    here : ndarray of bool, shape (n,)
        False for a draw whose record has left.
    """

    y: np.ndarray
    origin: np.ndarray
    pool_size: np.ndarray
    stratum: np.ndarray
    here: np.ndarray


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a stage is screened, as far as one reviewer may know: their own decisions, and records that are done.

    Attributes
    ----------
    records : int
    screened, relevant : int
        Judged records, and those of them that are relevant.
    """

    records: int
    screened: int
    relevant: int

    @property
    def left(self) -> int:
        """Records that are not judged."""
        return self.records - self.screened


@dataclass(frozen=True, slots=True)
class History:
    """What the mathematics sees of one stage: arrays in the order of first showing, read-only.

    Attributes
    ----------
    rows : ndarray of int, shape (n_shown,)
        Positions among the stage's records (0 to n_records - 1).
    y : ndarray of int8, shape (n_shown,)
        1 relevant (maybe and open conflicts too), 0 not, -1 shown and not yet judged.
    origin : ndarray of str, shape (n_shown,)
        How the record was first shown (values of `Origin`).
    pool_size : ndarray of int, shape (n_shown,)
        Records of its stratum not yet shown, just before this one was.
    stratum : ndarray of int, shape (n_shown,)
        The audit permutation that the record belongs to: 0 for the first, 1 for the records
        added after it was drawn from, and so on.
    n_records : ndarray of int, shape (n_strata,)
        Records in each stratum.
    past : PastDraws
        Audit draws of records that have left since.
    """

    rows: np.ndarray
    y: np.ndarray
    origin: np.ndarray
    pool_size: np.ndarray
    stratum: np.ndarray
    n_records: np.ndarray
    past: PastDraws = PastDraws.of()

    def __post_init__(self) -> None:
        for name in ("rows", "y", "origin", "pool_size", "stratum", "n_records"):
            getattr(self, name).setflags(write=False)

    @classmethod
    def of(
        cls,
        rows: Sequence[int],
        y: Sequence[int],
        origin: Sequence[str] | None = None,
        *,
        n_records: int | Sequence[int],
        pool_size: Sequence[int] | None = None,
        stratum: Sequence[int] | None = None,
        past: PastDraws = PastDraws.of(),
    ) -> History:
        """Build a history from plain sequences; pool sizes follow from the order when left out."""
        sizes = np.atleast_1d(np.asarray(n_records, dtype=np.int64)).copy()
        strata = np.zeros(len(rows), np.int64) if stratum is None else np.array(stratum, np.int64)
        if pool_size is None:
            pool = np.empty(len(rows), np.int64)
            for s in range(len(sizes)):
                mine = strata == s
                pool[mine] = sizes[s] - np.arange(mine.sum())
        else:
            pool = np.array(pool_size, np.int64)
        if origin is None:
            origin = [Origin.RANKED] * len(rows)
        return cls(
            np.array(rows, np.int64),
            np.array(y, np.int8),
            np.array([str(o) for o in origin], dtype="<U8"),
            pool,
            strata,
            sizes,
            past,
        )

    def sequence(self) -> Shown:
        """Return all that was shown in its order, the draws of records that have left among it."""
        here = np.ones(len(self.y), bool)
        if not len(self.past):
            return Shown(self.y, self.origin, self.pool_size, self.stratum, here)
        at, past = self.past.place, self.past
        return Shown(
            np.insert(self.y, at, past.hit.astype(np.int8)),
            np.insert(self.origin, at, str(Origin.AUDIT)),
            np.insert(self.pool_size, at, past.pool_size),
            np.insert(self.stratum, at, past.stratum),
            np.insert(here, at, False),
        )

    @property
    def judged(self) -> np.ndarray:
        """Mask of the shown records that have a label, shape (n_shown,)."""
        return self.y >= 0

    @property
    def n_found(self) -> int:
        """Relevant records found."""
        return int((self.y == 1).sum())

    @property
    def n_screened(self) -> int:
        """Records judged."""
        return int(self.judged.sum())

    @property
    def n_total(self) -> int:
        """Records of the stage."""
        return int(self.n_records.sum())

    @property
    def n_unscreened(self) -> int:
        """Records not yet judged: never shown, or shown and skipped."""
        return self.n_total - self.n_screened
