"""What scores one view of the records from the labels: it learns on from where it was, label by label."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from .. import bundled

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    Matrix: TypeAlias = np.ndarray | csr_array


class LinearMachine:
    """A linear support vector machine with squared hinge loss that learns on from where it was.

    It minimises |w|^2 / 2 + sum_i C s_i max(0, 1 - y_i (w x_i + b))^2, y in {-1, 1}, with b among the
    weights: the problem of scikit-learn's `LinearSVC(loss="squared_hinge")`. The dual solution solves
    (K + D) beta = y over the records whose margin is below one, K the inner products plus one and
    D = 1 / (2 C s); conjugate gradients take some five steps from the last solution to the next when one
    label more is there, where coordinate descent begins anew. Which records these are is found by Newton's
    method with an exact line search (Keerthi and DeCoste 2005), which ends after finitely many rounds.

    Parameters
    ----------
    matrix : sparse matrix or ndarray, shape (n, d)
        One row for each record.
    C : float

    Attributes
    ----------
    coef_ : ndarray, shape (d,)
    intercept_ : float
    scores_ : ndarray, shape (n,)
        The decision values of all records, higher more likely relevant.
    duals_ : ndarray, shape (n,)
        beta: the weight of each labelled record in `coef_`, zero for the others.
    """

    _TOLERANCE = 1e-5  # of a record's margin, which is about one: a tenth of LinearSVC's own
    _MOST_STEPS = 500
    _MOST_ROUNDS = 100

    def __init__(self, matrix: Matrix, C: float) -> None:
        n, d = matrix.shape
        self.C = C
        self._matrix = matrix
        self._rows = _Rows(matrix)
        self._labelled = _Labelled(matrix)
        self.duals_ = np.zeros(n)
        self.coef_ = np.zeros(d, matrix.dtype)
        self.intercept_ = 0.0
        self.scores_ = np.zeros(n, matrix.dtype)

    def fit(self, rows: np.ndarray, y: np.ndarray, weights: np.ndarray) -> LinearMachine:
        """Learn from labelled records.

        Parameters
        ----------
        rows : ndarray of int, shape (n_labelled,)
        y : ndarray of int, shape (n_labelled,)
            1 relevant, 0 not.
        weights : ndarray of float, shape (n_labelled,)
            s, the weight of each label.
        """
        sign = np.where(y == 1, 1.0, -1.0)
        beta = self._begin(rows, sign)
        products = self.scores_[rows].astype(np.float64)
        penalty = 1 / (2 * self.C * weights)
        active = sign * products < 1
        trial, outputs = beta, products
        if (column := self._labelled.last_column()) is not None and not beta[-1]:
            # One label more: nearly all that is wrong is its own.
            trial = beta.copy()
            trial[-1] = (sign[-1] - products[-1]) / (column[-1] + penalty[-1])
            outputs = products + trial[-1] * column
        for _ in range(self._MOST_ROUNDS):
            trial, outputs = self._solved(active, trial, outputs, sign, penalty)
            slack = 1 - sign * outputs
            if np.abs(slack, where=active != (slack > 0), out=np.zeros_like(slack)).max() < self._TOLERANCE:
                beta = np.where(trial * sign > 0, trial, 0.0)
                break
            step = _best_step(beta, products, trial - beta, outputs - products, sign, penalty)
            beta, products = beta + step * (trial - beta), products + step * (outputs - products)
            active = sign * products < 1
            trial, outputs = beta, products
        self._move(rows, beta - self.duals_[rows])
        return self

    def _solved(
        self, active: np.ndarray, beta: np.ndarray, products: np.ndarray, sign: np.ndarray, penalty: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Solve (K + D) beta = y over the active records, the others zero; return the duals and K beta."""
        if (out := ~active & (beta != 0)).any():
            products = products - self._labelled.inner(np.where(out, beta, 0.0))
            beta = np.where(out, 0.0, beta)
        scale = 1 / (penalty + 1)
        residual = np.where(active, sign - products - penalty * beta, 0.0)
        direction, before = np.zeros_like(residual), 1.0
        for _ in range(self._MOST_STEPS):
            if np.abs(residual).max() < self._TOLERANCE:
                break
            preconditioned = scale * residual
            size = float(residual @ preconditioned)
            direction = preconditioned + (size / before) * direction
            before = size
            change = self._labelled.inner(direction)
            curved = np.where(active, change + penalty * direction, 0.0)
            step = size / (direction @ curved)
            beta, products, residual = beta + step * direction, products + step * change, residual - step * curved
        return beta, products

    def _begin(self, rows: np.ndarray, sign: np.ndarray) -> np.ndarray:
        """Return the duals to begin with: the last ones of the records whose label has not changed."""
        beta: np.ndarray = self.duals_[rows]
        if self._labelled.extend(rows) and not (beta * sign < 0).any():
            return beta
        # A label was changed or taken back: what it taught goes with it.
        beta = np.where(beta * sign > 0, beta, 0.0)
        self._labelled = _Labelled(self._matrix)
        self._labelled.extend(rows)
        self.duals_[:], self.coef_[:], self.intercept_ = 0, 0, 0.0
        self._move(rows, beta)
        return beta

    def _move(self, rows: np.ndarray, change: np.ndarray) -> None:
        """Change the duals, and with them the weights and the scores."""
        self.duals_[rows] += change
        self.coef_ += self._labelled.weights(change)
        self.intercept_ += float(change.sum())
        self.scores_ = self._rows.times(self.coef_) + self.intercept_


def _best_step(
    beta: np.ndarray, products: np.ndarray, change: np.ndarray, moved: np.ndarray, sign: np.ndarray, penalty: np.ndarray
) -> float:
    """Return how far to go along a change of the duals, `moved` its products, to where the objective is least.

    Along it the objective's derivative is piecewise linear and grows: it bends where a margin passes one.
    """
    slack, closing = 1 - sign * products, sign * moved
    cost = 1 / penalty  # 2 C s
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.where(closing != 0, slack / closing, -1.0)
    is_active = (slack > 0) | ((slack == 0) & (closing < 0))
    bends = np.flatnonzero(at > 0)
    bends = bends[np.argsort(at[bends], kind="stable")]
    turn = np.where(is_active[bends], 1.0, -1.0) * cost[bends] * closing[bends]
    height = np.cumsum(
        np.concatenate([[beta @ moved - (cost * closing * slack)[is_active].sum()], turn * slack[bends]])
    )
    slope = np.cumsum(
        np.concatenate([[change @ moved + (cost * closing * closing)[is_active].sum()], -turn * closing[bends]])
    )
    first = int(np.append(height[:-1] + slope[:-1] * at[bends] >= 0, True).argmax())
    return float(-height[first] / slope[first])


class _Labelled:
    """The labelled rows of a matrix, one after the other, and their inner products plus one.

    One more label copies one row, and computes one row of the products. They are kept from the first
    labels on while that is cheaper than multiplying by the rows twice: a product of theirs is read at
    memory's speed, an entry of a sparse row several times slower.
    """

    _MOST_KEPT = 4096  # rows: 64 MiB of products
    _SPARSE_COST = 14  # entries of the products read in the time of one of a sparse row, twice
    _START = 512  # rows up to which the products are made from any number at once
    _AT_ONCE = 16  # rows, each a vector of the width of the matrix

    def __init__(self, matrix: Matrix) -> None:
        n, d = matrix.shape
        self._matrix = matrix
        self._rows = np.zeros(0, np.int64)
        self._buffers: list[np.ndarray | None] = [None, None, None]
        self._is_dense = isinstance(matrix, np.ndarray)
        worth = 2 * d if isinstance(matrix, np.ndarray) else self._SPARSE_COST * matrix.nnz / max(n, 1)
        self._kept = min(self._MOST_KEPT, int(worth))
        self._products: np.ndarray | None = None

    def extend(self, rows: np.ndarray) -> bool:
        """Take the rows in; False, and nothing done, when they do not begin with those that are there."""
        old = len(self._rows)
        if len(rows) < old or not np.array_equal(rows[:old], self._rows):
            return False
        if len(rows) > old:
            fresh = self._matrix[rows[old:]]
            self._append(fresh, old)
            self._multiply(fresh, old)
            self._rows = np.array(rows)
        return True

    def _append(self, fresh: Matrix, old: int) -> None:
        if isinstance(fresh, np.ndarray):
            dense = _grown(self._buffers[0], fresh, old)
            self._buffers[0] = dense
            self._sub = dense[: old + len(fresh)]
            return
        data, indices, ends = self._buffers
        filled = int(ends[old - 1]) if ends is not None and old else 0
        data, indices = _grown(data, fresh.data, filled), _grown(indices, fresh.indices, filled)
        ends = _grown(ends, fresh.indptr[1:].astype(np.int64) + filled, old)
        self._buffers = [data, indices, ends]
        n, full = old + fresh.shape[0], filled + len(fresh.data)
        pointers = np.concatenate([[0], ends[:n]]).astype(indices.dtype if full < 2**31 else np.int64)
        self._sub = type(fresh)((data[:full], indices[:full], pointers), shape=(n, fresh.shape[1]), copy=False)
        self._transposed = self._sub.T

    def _multiply(self, fresh: Matrix, old: int) -> None:
        n = old + fresh.shape[0]
        # Many rows at once are a training from the beginning, which the rows themselves serve faster.
        few = n <= self._START or n - old <= self._AT_ONCE
        if n > self._kept or not few or (old and self._products is None):
            self._products = None
            return
        if self._products is None or len(self._products) < n:
            larger = np.empty((min(self._kept, 2 * n + 64),) * 2, np.float32)
            if self._products is not None:
                larger[:old, :old] = self._products[:old, :old]
            self._products = larger
        # Each by a whole vector: a product of two sparse matrices counts before it multiplies.
        for start in range(0, n - old, self._AT_ONCE):
            block = fresh[start : start + self._AT_ONCE]
            for i, row in enumerate(block if isinstance(block, np.ndarray) else block.toarray(), old + start):
                self._products[:n, i] = self._products[i, :n] = self._sub @ row + 1

    def last_column(self) -> np.ndarray | None:
        """Return the inner products plus one with the last row, shape (n_labelled,); None where none are kept."""
        n = len(self._rows)
        return None if self._products is None else self._products[:n, n - 1].astype(np.float64)

    def inner(self, duals: np.ndarray) -> np.ndarray:
        """Return the inner products plus one, times a vector of duals, shape (n_labelled,)."""
        if self._products is None:
            products: np.ndarray = self._sub @ self.weights(duals) + duals.sum()
            return products
        n = len(duals)
        return self._products[:n, :n] @ duals.astype(np.float32)

    def weights(self, duals: np.ndarray) -> np.ndarray:
        """Return the sum of the rows, each times its dual, shape (d,)."""
        duals = duals.astype(self._matrix.dtype, copy=False)
        weights: np.ndarray = duals @ self._sub if self._is_dense else self._transposed @ duals
        return weights


def _grown(buffer: np.ndarray | None, fresh: np.ndarray, filled: int) -> np.ndarray:
    """Write `fresh` behind the filled part of a buffer, which doubles when it is full."""
    needed = filled + len(fresh)
    if buffer is None or len(buffer) < needed:
        larger = np.empty((max(needed, 2 * filled), *fresh.shape[1:]), fresh.dtype)
        if buffer is not None:
            larger[:filled] = buffer[:filled]
        buffer = larger
    buffer[filled:needed] = fresh
    return buffer


class _Rows:
    """The rows of a matrix; the products of a large one are computed by all processors.

    Parameters
    ----------
    matrix : sparse matrix or ndarray, shape (n, d)
    """

    _LARGE = 1 << 24  # entries from which on a second thread pays

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix
        self._parts = [matrix]
        if not isinstance(matrix, np.ndarray) and matrix.nnz >= self._LARGE:
            workers = min(16, bundled.processors())
            ends = np.searchsorted(matrix.indptr, np.linspace(0, matrix.nnz, workers + 1)[1:-1])
            self._parts = [_part(matrix, a, b) for a, b in zip([0, *ends], [*ends, matrix.shape[0]])]

    def times(self, right: np.ndarray) -> np.ndarray:
        """Return the product with a vector, shape (d,)."""
        if len(self._parts) == 1:
            product: np.ndarray = self._matrix @ right
            return product
        with ThreadPoolExecutor(len(self._parts)) as pool:
            return np.concatenate(list(pool.map(lambda part: part @ right, self._parts)))


def _part(matrix: csr_array, start: int, end: int) -> csr_array:
    """Return some rows of a csr matrix, whose entries are not copied."""
    first, last = int(matrix.indptr[start]), int(matrix.indptr[end])
    parts = matrix.data[first:last], matrix.indices[first:last], matrix.indptr[start : end + 1] - first
    return type(matrix)(parts, shape=(end - start, matrix.shape[1]), copy=False)
