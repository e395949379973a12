"""The pool: which strata are drawn from, and what the mathematics sees of it."""

import numpy as np
import pytest

from triage.log import Origin, PastDraws
from triage.screening.pool import Pool


def test_a_pool_draws_each_stratum_in_its_own_order():
    pool = Pool(10, [np.array([2, 0, 1, 3, 4]), np.array([9, 5, 8, 6, 7])], PastDraws.of([(0, True, 5, 0)]))
    pool.show(9, Origin.RANKED)
    drawn = []
    while not pool.shown.all():
        drawn.append(pool.audit_row())
        assert pool.left(drawn[-1]) == sum(1 for row in range(10) if not pool.shown[row] and row // 5 == drawn[-1] // 5)
        pool.show(drawn[-1], Origin.AUDIT)
    assert [row for row in drawn if row < 5] == [2, 0, 1, 3, 4] and [row for row in drawn if row >= 5] == [5, 8, 6, 7]
    assert drawn[0] == 5  # a draw was made from the first already
    assert pool.history().pool_size.tolist()[0] == 5 and len(pool.history().past) == 1


def test_what_the_mathematics_sees_cannot_be_written_and_does_not_change():
    pool = Pool(4, [np.arange(4)])
    pool.show(2, Origin.RANKED)
    before = pool.history()
    with pytest.raises(ValueError, match="read-only"):
        before.rows[0] = 1
    pool.y[2] = 1
    pool.show(0, Origin.AUDIT)
    assert before.y.tolist() == [-1] and before.rows.tolist() == [2]
    assert pool.history().y.tolist() == [1, -1]
