"""What the mathematics may see of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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
    cursor : ndarray of int, shape (n_past,)
        Records that are in the permutation now and come before the one drawn.
    """

    place: np.ndarray
    hit: np.ndarray
    pool_size: np.ndarray
    stratum: np.ndarray
    cursor: np.ndarray

    def __post_init__(self) -> None:
        for name in ("place", "hit", "pool_size", "stratum", "cursor"):
            getattr(self, name).setflags(write=False)

    @classmethod
    def of(cls, draws: Sequence[tuple[int, bool, int, int]] = (), cursor: Sequence[int] | None = None) -> PastDraws:
        """Build them from (place, hit, pool size, stratum), in the order of the draws; no cursor counts as the first."""
        table = np.array(draws, np.int64).reshape(-1, 4)
        at = np.zeros(len(table), np.int64) if cursor is None else np.array(cursor, np.int64)
        return cls(table[:, 0].copy(), table[:, 1].astype(bool), table[:, 2].copy(), table[:, 3].copy(), at)

    def __len__(self) -> int:
        return len(self.place)


@dataclass(frozen=True, slots=True)
class ChosenAhead:
    """Records that a person chose after their permutation was committed, and that the audit's cursor passed later.

    Anyone who knew the permutation could take relevant records out of the draws' way. So one that is relevant, or has
    no label yet, is a draw in all but name: it counts as a hit where the cursor passed it. Further hits only lower the
    evidence (see `recall.evidence.audit_draws`), so nobody gains by such a choice, and one in good faith costs little.

    Attributes
    ----------
    place : ndarray of int, shape (n_ahead,)
        Records of the history that were shown before the cursor passed it.
    pool_size, stratum : ndarray of int, shape (n_ahead,)
        Those of the draw that passed it.
    """

    place: np.ndarray
    pool_size: np.ndarray
    stratum: np.ndarray

    def __post_init__(self) -> None:
        for name in ("place", "pool_size", "stratum"):
            getattr(self, name).setflags(write=False)

    def __len__(self) -> int:
        return len(self.place)

    @classmethod
    def none(cls) -> ChosenAhead:
        """Return an empty one."""
        return cls(*(np.empty(0, np.int64) for _ in range(3)))

    @classmethod
    def among(
        cls,
        y: np.ndarray,
        origin: np.ndarray,
        pool_size: np.ndarray,
        stratum: np.ndarray,
        guarded: np.ndarray,
        position: np.ndarray,
        past: PastDraws,
    ) -> ChosenAhead:
        """Find them.

        Parameters
        ----------
        y, origin, pool_size, stratum : ndarray, shape (n_shown,)
            As in a History.
        guarded : ndarray of bool, shape (n_shown,)
            Whether a person chose the record after its permutation had been committed.
        position : ndarray of int, shape (n_shown,)
            The record's place in its permutation.
        past : PastDraws
        """
        places, sizes, strata = [], [], []
        for s in np.unique(stratum[guarded & (y != 0)]).tolist():
            chosen = np.flatnonzero(guarded & (y != 0) & (stratum == s))
            drawn, left = np.flatnonzero((origin == Origin.AUDIT) & (stratum == s)), past.stratum == s
            place = np.concatenate([past.place[left], drawn])
            order = np.argsort(place, kind="stable")
            place = place[order]
            cursor = np.maximum.accumulate(np.concatenate([past.cursor[left], position[drawn]])[order])
            # The first draw that came later and stood behind it.
            by = np.maximum(np.searchsorted(cursor, position[chosen], "right"), np.searchsorted(place, chosen, "right"))
            by = np.sort(by[by < len(place)])
            places.append(place[by])
            sizes.append(np.concatenate([past.pool_size[left], pool_size[drawn]])[order][by])
            strata.append(np.full(len(by), s))
        if not places:
            return cls.none()
        return cls(*(np.concatenate(parts).astype(np.int64) for parts in (places, sizes, strata)))


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
    unread : int
        Records that were excluded without having been read.
    """

    records: int
    screened: int
    relevant: int
    unread: int = 0

    @property
    def left(self) -> int:
        """Records that are neither judged nor excluded unread."""
        return self.records - self.screened - self.unread


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
    ahead : ChosenAhead
        Records that a person took out of the draws' way.
    chosen : ndarray of bool, shape (n_shown,) or (0,)
        Whether a person chose the record after its permutation had been committed; empty where none was.
    """

    rows: np.ndarray
    y: np.ndarray
    origin: np.ndarray
    pool_size: np.ndarray
    stratum: np.ndarray
    n_records: np.ndarray
    past: PastDraws = PastDraws.of()
    ahead: ChosenAhead = field(default_factory=ChosenAhead.none)
    chosen: np.ndarray = field(default_factory=lambda: np.empty(0, bool))

    def __post_init__(self) -> None:
        for name in ("rows", "y", "origin", "pool_size", "stratum", "n_records", "chosen"):
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

    @property
    def known_before(self) -> np.ndarray:
        """Mask of the records that came with their labels, judged before the screening, shape (n_shown,)."""
        mask: np.ndarray = (self.origin == Origin.IMPORTED) | (self.origin == Origin.PRIOR)
        return mask

    def among(self, which: str) -> tuple[History, np.ndarray | None]:
        """Return what a stopping rule goes by: "all", or what is "screened" here (see `of_screening`)."""
        return self.of_screening() if which == "screened" else (self, None)

    def of_screening(self) -> tuple[History, np.ndarray | None]:
        """Return the history of the records that are screened here: without those that came with their labels.

        What was known beforehand is not evidence of what the screening finds: 200 known includes would let 95 % of all
        be reached with every relevant one of the other records missed.

        Returns
        -------
        history : History
            Its rows are positions among the records that are left.
        rows : ndarray of int or None
            Which records of the stage these are; None where all are.
        """
        gone = self.known_before
        if not gone.any():
            return self, None
        left = np.ones(self.n_total, bool)
        left[self.rows[gone]] = False
        rows, place = np.flatnonzero(left), np.cumsum(left) - 1
        before = np.concatenate([[0], np.cumsum(gone)])  # gone among the first so many
        keep = ~gone
        here = History(
            place[self.rows[keep]],
            self.y[keep],
            self.origin[keep],
            self.pool_size[keep],
            self.stratum[keep],
            self.n_records - np.bincount(self.stratum[gone], minlength=len(self.n_records)),
            replace(self.past, place=self.past.place - before[self.past.place]),
            replace(self.ahead, place=self.ahead.place - before[self.ahead.place]),
            self.chosen[keep] if len(self.chosen) else self.chosen,
        )
        return here, rows

    def guarded(self, chosen: np.ndarray, position: np.ndarray) -> History:
        """Return the history with what a person took out of the draws' way (see `ChosenAhead`).

        Parameters
        ----------
        chosen : ndarray of bool, shape (n_shown,)
            Whether a person chose the record after its permutation had been committed.
        position : ndarray of int, shape (n,)
            The place of each record of the stage in its permutation.
        """
        if not chosen.any():
            return self
        at = position[self.rows]
        ahead = ChosenAhead.among(self.y, self.origin, self.pool_size, self.stratum, chosen, at, self.past)
        return replace(self, chosen=chosen, ahead=ahead)

    def sequence(self, guarded: bool = False) -> Shown:
        """Return all that was shown in its order, the draws of records that have left among it.

        With `guarded` the records that a person took out of the draws' way are there once more, as draws that hit.
        """
        here = np.ones(len(self.y), bool)
        past, ahead = self.past, self.ahead if guarded else ChosenAhead.none()
        if not len(past) and not len(ahead):
            return Shown(self.y, self.origin, self.pool_size, self.stratum, here)
        at = np.concatenate([ahead.place, past.place])  # of one place, in this order
        hit = np.concatenate([np.ones(len(ahead), np.int8), past.hit.astype(np.int8)])
        return Shown(
            np.insert(self.y, at, hit),
            np.insert(self.origin, at, str(Origin.AUDIT)),
            np.insert(self.pool_size, at, np.concatenate([ahead.pool_size, past.pool_size])),
            np.insert(self.stratum, at, np.concatenate([ahead.stratum, past.stratum])),
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
