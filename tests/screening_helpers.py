"""What the tests of screening share: a journal on paper, and sessions over it or a review."""

from contextlib import nullcontext

import numpy as np
from conftest import PROTOCOL

from triage.log import Kind, Label
from triage.screening.opening import open_session
from triage.screening.pool import Pool
from triage.screening.session import Assignment, Session

INCLUDE, EXCLUDE, MAYBE = Label.INCLUDE, Label.EXCLUDE, Label.MAYBE


class Paper:
    """A journal on paper: it forgets nothing, and others may write into it."""

    def __init__(self, **options):
        self.shown, self.decisions, self.saved = [], [], []
        self.fresh_desk = None
        self.overtaken = 0
        self.newest = 0  # a log only grows

    def news(self):
        desk, self.fresh_desk = self.fresh_desk, None
        return desk

    def turn(self):
        return nullcontext((True, None))

    def left_behind(self, row):
        return True

    def show(self, row, origin, pool_size, ranking_id):
        if self.overtaken:
            self.overtaken -= 1
            return True
        self.shown.append((row, origin, pool_size, ranking_id))
        return False

    def decide(self, row, label, reason, note, tags):
        self.decisions.append((row, label))
        self.newest += 1
        return int(label is not EXCLUDE)

    def undo(self):
        self.newest += 1
        return (self.decisions.pop()[0], -1) if self.decisions else None

    def mark(self):
        return self.newest

    def save(self, scores, held_out, as_of):
        self.saved.append((as_of, scores.copy(), held_out.copy()))
        return len(self.saved)


def desk_of(pool, mine=(), elsewhere=(), second=()):
    more = np.zeros(pool.n, bool)
    more[list(second)] = True
    return Assignment(pool, list(mine), list(elsewhere), more)


def new_session(n=8, scorer=lambda rows, y: None, permutation=None, desk=None, **options):
    pool = Pool(n, [np.arange(n)[::-1] if permutation is None else np.array(permutation)])
    journal = Paper()
    return Session(desk or desk_of(pool), scorer, **{"journal": journal, **options}), journal


def is_relevant(record_id):
    return record_id % 6 == 1


def answer(session, records, count=None):
    """Judge records by their known labels; return the showings."""
    seen = []
    while (count is None or len(seen) < count) and (showing := session.next()) is not None:
        seen.append(showing)
        session.decide(showing.row, INCLUDE if is_relevant(records[showing.row].id) else EXCLUDE)
    return seen


def at_desk(project, reviewer="ann", **options):
    return open_session(project, reviewer=reviewer, background=False, **options)


TWO = PROTOCOL.replace('model = "fast"', 'model = "fast"\nreviewers_per_record = 2')


def taken(project):
    """Return who was shown each record and who decided on it, by record."""
    shown, decided = {}, {}
    for e in project.log.events():
        if e.kind in (Kind.SHOWN, Kind.DECISION):
            (shown if e.kind is Kind.SHOWN else decided).setdefault(e.record_id, []).append(e.reviewer)
    return shown, decided
