"""Put the bound on recall in terms of corrected labels to the test: coverage wherever the mistakes are, and price.

Usage:
    python scripts/benchmarks/second_looks.py [--runs 2000] [--large 200] [--seed 1] [--doc docs/calibration.md]

Each cell is a review without a learner: an order of ranking, true labels, first labels, and audit draws until a recall
of 90 % of the labels given is certified. Second looks then follow the program's own order, and the bound is
compared with the truth at several looks; a run fails when it was above the truth at any of them. The cells are
run at 1,000 records --runs times, the first five at 6,000 records --large times as well.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from triage import recall
from triage.log import History, Origin
from triage.recall.evidence import is_certified, next_stratum
from triage.screeners import exact_share

CONFIDENCE = 0.95
LOOKS = (0.04, 0.12, 0.2, 0.5, 1.0)  # after so many second looks, as a share of all records
LARGE_LOOKS = (250, 700, 1240)
Bound = Callable[..., recall.Adjudicated]


@dataclass
class Review:
    """A review that is simulated: records by row, in the order of the ranking.

    Attributes
    ----------
    truth : ndarray of bool, shape (n,)
        The labels after a second look.
    given : ndarray of bool, shape (n,)
        The labels after the first.
    rng : Generator
    """

    truth: np.ndarray
    given: np.ndarray
    rng: np.random.Generator
    strata: list[np.ndarray] = field(default_factory=list)  # the records of each permutation, in the order of the draws
    shown: list[int] = field(default_factory=list)
    origin: list[str] = field(default_factory=list)
    samples: list[recall.Sample] = field(default_factory=list)
    again: set[int] = field(default_factory=set)
    settles: bool = False  # whether an overturned exclusion counts as found

    def __post_init__(self) -> None:
        if not self.strata:
            self.strata = [self.rng.permutation(len(self.truth))]
        self.stratum = np.zeros(len(self.truth), int)
        for number, rows in enumerate(self.strata):
            self.stratum[rows] = number
        self._is_shown = np.zeros(len(self.truth), bool)
        self._audit = [0 for _ in self.strata]

    def show(self, row: int, origin: str) -> None:
        """Show a record, which gets its first label."""
        self.shown.append(row)
        self.origin.append(origin)
        self._is_shown[row] = True

    def rank(self, count: int) -> None:
        """Screen the next records of the ranking."""
        for row in np.flatnonzero(~self._is_shown)[:count].tolist():
            self.show(row, Origin.RANKED)

    def draw(self, count: int) -> list[int]:
        """Make audit draws."""
        drawn = []
        for _ in range(count):
            left = np.array([(~self._is_shown[rows]).sum() for rows in self.strata])
            if not left.sum():
                break
            number = next_stratum(left, np.array(self._audit))
            rows = self.strata[number]
            row = int(rows[~self._is_shown[rows]][0])
            self._audit[number] += 1
            self.show(row, Origin.AUDIT)
            drawn.append(row)
        return drawn

    def audit_to(self, target: float) -> None:
        """Draw until a recall of the labels given is certified."""
        while not self._is_shown.all():
            if is_certified(self.history(), target, CONFIDENCE, recall.AuditE()):
                return
            self.draw(max(1, len(self.truth) // 200))

    def label(self, row: int) -> bool:
        """Return a record's label now: a disagreement counts as relevant, and is settled to the truth if `settles`."""
        if row not in self.again:
            return bool(self.given[row])
        return bool(self.truth[row]) if self.settles else bool(self.truth[row] or self.given[row])

    def history(self) -> History:
        """Return what the mathematics may see."""
        return History.of(
            self.shown,
            [int(self.label(row)) for row in self.shown],
            self.origin,
            n_records=[len(rows) for rows in self.strata],
            stratum=self.stratum[self.shown],
        )

    def corrections(self) -> recall.Corrections:
        """Return what the second looks have shown."""
        shown = np.array(self.shown)
        label = np.array([self.label(row) for row in self.shown])
        again = np.isin(shown, list(self.again))
        agreed = self.given[shown] | self.settles
        sampled = {row for one in self.samples for row in one.order.tolist()}
        labels = {row: int(self.label(row)) if row in self.again else -1 for row in sampled}
        return recall.Corrections(
            included=label & agreed & (~again | self.truth[shown] | self.settles),
            confirmed=~label & again,
            sampled=np.isin(shown, list(sampled)),
            past_confirmed=np.zeros(0, bool),
            exclusions=recall.exclusions(self.samples, labels),
        )

    def waiting(self) -> list[int]:
        """Return the records that await a second look, in the order of the program; the exclusions in a fresh sample."""
        origin = dict(zip(self.shown, self.origin, strict=True))
        draws = [row for row in self.shown if origin[row] == Origin.AUDIT and not self.given[row]]
        sampled = [row for one in self.samples for row in one.drawn]
        pool = [
            row
            for row in self.shown
            if origin[row] != Origin.AUDIT and not self.given[row] and row not in self.again and row not in set(sampled)
        ]
        fresh = recall.fresh_order(self.samples, pool, self.rng)
        others = sampled + fresh.tolist()
        unscreened = len(self.truth) - next((i for i, o in enumerate(self.origin) if o == Origin.AUDIT), 0)
        which = recall.in_turn(len(draws), len(others), unscreened, len(others))
        draws_on, others_on = iter(draws), iter(others)
        self._fresh = fresh
        return [row for at in which if (row := next(draws_on if at else others_on)) not in self.again]

    def look_again(self, count: int) -> None:
        """Take so many second looks in their order, a new sample committed for them."""
        turn = self.waiting()[:count]
        size = len(set(turn) & set(self._fresh.tolist()))
        if size:
            self.samples.append(recall.Sample(self._fresh, size))
        self.again.update(turn)

    def recall(self) -> float:
        """Return the true recall: of the truly relevant records, those included."""
        included = self.corrections().included & self.truth[np.array(self.shown)]
        return float(included.sum() / self.truth.sum())

    def is_wrong(self, bound: Bound) -> bool:
        """Tell whether the bound is above the truth now."""
        told = bound(self.history(), self.corrections(), confidence=CONFIDENCE).recall_lower
        return told is not None and told > self.recall() + 1e-12


def new(n: int, found: int, missed: np.ndarray, rng: np.random.Generator, **options: object) -> Review:
    """Return a review of n records, the first `found` relevant and included, those `missed` relevant and excluded."""
    truth = np.zeros(n, bool)
    truth[:found] = truth[missed] = True
    given = truth.copy()
    given[missed] = False
    return Review(truth, given, rng, **options)  # type: ignore[arg-type]


def screened(n: int, missed: Callable[[int, np.random.Generator], np.ndarray], rng: np.random.Generator) -> Review:
    """Return a review of which 300 of 6,000 records are found, 2,500 ranked, and 90 % certified of the labels given."""
    review = new(n, n // 20, missed(n, rng), rng)
    review.rank(n * 5 // 12)
    review.audit_to(0.9)
    return review


def cluster(share: float) -> Callable[[int, np.random.Generator], np.ndarray]:
    """Return the records ranked last, as many as make such a share of those found."""
    return lambda n, rng: np.arange(n - round(share * (n // 20)), n)


MISTAKES: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "cluster ranked last, as many as are found": cluster(1),
    "cluster ranked last, two for three found": cluster(2 / 3),
    "right behind the includes": lambda n, rng: np.arange(n // 20, n // 15),
    "one in ten of the relevant, anywhere": lambda n, rng: rng.choice(np.arange(n // 20, n), n // 180, replace=False),
    "none": lambda n, rng: np.arange(0),
}


def by_looks(review: Review, bound: Bound) -> bool:
    """Look at several moments of the second looks; tell whether the bound was ever wrong."""
    n, done = len(review.truth), 0
    for share in LOOKS:
        review.look_again(round(share * n) - done)
        done = round(share * n)
        if review.is_wrong(bound):
            return True
    return False


def standard(name: str) -> Callable[[int, np.random.Generator, Bound], bool]:
    """Return a run of one of the five cells."""
    return lambda n, rng, bound: by_looks(screened(n, MISTAKES[name], rng), bound)


def among_draws(n: int, rng: np.random.Generator, bound: Bound) -> bool:
    """Run: relevant records are hidden among the unscreened, and excluded only where the audit draws them."""
    return by_looks(
        screened(n, lambda n, rng: rng.choice(np.arange(n * 5 // 12, n), n // 20, replace=False), rng), bound
    )


def screening_goes_on(n: int, rng: np.random.Generator, bound: Bound) -> bool:
    """Run: second looks, more of the ranking and more draws take turns; each sample finds later exclusions."""
    review = new(n, n // 20, rng.choice(np.arange(n // 20, n), n // 20, replace=False), rng, settles=True)
    review.rank(n // 6)
    for _ in range(6):
        review.draw(n // 20)
        review.look_again(n // 25)
        if review.is_wrong(bound):
            return True
        review.rank(n // 20)
    return by_looks(review, bound)


def chosen_looks(n: int, rng: np.random.Generator, bound: Bound) -> bool:
    """Run: whoever knows the truth looks again out of turn, at right exclusions or at wrong ones, and stops at will."""
    review = screened(n, lambda n, rng: rng.choice(np.arange(n // 20, n), n // 20, replace=False), rng)
    review.settles = True
    for _ in range(4):
        review.look_again(n // 25)
        if review.is_wrong(bound):
            return True
        excluded = [row for row in review.shown if not review.given[row] and row not in review.again]
        right = [row for row in excluded if not review.truth[row]]
        wrong = [row for row in excluded if review.truth[row]]
        review.again.update(right[: n // 25] if rng.random() < 0.5 else wrong[: len(wrong) // 2])
        if review.is_wrong(bound):
            return True
        review.rank(n // 25)
    return by_looks(review, bound)


def includes_thrown_out(n: int, rng: np.random.Generator, bound: Bound) -> bool:
    """Run: a third of the includes is wrong, and thrown out on a second look before the others are taken."""
    review = new(n, n // 20, np.arange(n // 20, n // 15), rng, settles=True)
    wrong = rng.choice(n // 20, n // 60, replace=False)
    review.truth[wrong] = False
    review.rank(n * 5 // 12)
    review.audit_to(0.9)
    review.again.update(wrong.tolist())
    return by_looks(review, bound)


def added_later(n: int, rng: np.random.Generator, bound: Bound) -> bool:
    """Run: a third of the records has an audit permutation of its own, and the mistakes are all among these."""
    rows = rng.permutation(n)
    strata = [rows[n // 3 :], rows[: n // 3]]
    missed = rng.choice(np.setdiff1d(strata[1], np.arange(n // 20)), n // 20, replace=False)
    review = new(n, n // 20, missed, rng, strata=strata)
    review.rank(n * 5 // 12)
    review.draw(n // 4)
    return by_looks(review, bound)


def few(n: int, rng: np.random.Generator, bound: Bound) -> bool:
    """Run: a twentieth of the records, three in a hundred of them relevant and all excluded by mistake but one."""
    n //= 20
    missed = rng.choice(np.arange(1, n), max(1, 3 * n // 100), replace=False)
    review = new(n, 1, missed, rng)
    review.rank(n // 2)
    review.draw(n // 2)
    return by_looks(review, bound)


OTHERS = {
    "only where the audit draws": among_draws,
    "anywhere, screening goes on between the looks": screening_goes_on,
    "anywhere, looks chosen by who knows the truth": chosen_looks,
    "behind the includes, a third of the includes thrown out": includes_thrown_out,
    "among records added later": added_later,
    "all but one, in a twentieth of the records": few,
}
CELLS = {name: standard(name) for name in MISTAKES} | OTHERS


def failures(name: str, n: int, runs: int, seed: int, bound: Bound = recall.adjudicated) -> int:
    """Return in how many runs of a cell the bound was above the truth at any look."""
    cell = list(CELLS).index(name)
    return sum(CELLS[name](n, np.random.default_rng([seed, cell, n, run]), bound) for run in range(runs))


def price(name: str, runs: int, seed: int) -> tuple[float, list[float], int]:
    """Return a cell's true recall, the mean bound after 250, 700 and 1,240 second looks, and the runs that failed."""
    n, bounds, failed, truth = 6000, [], 0, []
    for run in range(runs):
        review = screened(n, MISTAKES[name], np.random.default_rng([seed, run]))
        truth.append(review.recall())
        told, done = [], 0
        for looks in LARGE_LOOKS:
            review.look_again(looks - done)
            done = looks
            told.append(recall.adjudicated(review.history(), review.corrections(), confidence=CONFIDENCE).recall_lower)
        bounds.append(told)
        failed += max(told) > truth[-1] + 1e-12
    return float(np.mean(truth)), np.mean(bounds, axis=0).tolist(), failed


def main() -> None:
    """Run all cells, and write their table into the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--large", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--doc", type=Path)
    args = parser.parse_args()
    lines = ["| mistakes | runs of 1,000 records | above the truth | 95 % interval, % |", "|---|---|---|---|"]
    for name in CELLS:
        began = time.perf_counter()
        failed = failures(name, 1000, args.runs, args.seed)
        share = exact_share(failed, args.runs, 0.95)
        lines.append(f"| {name} | {args.runs:,} | {failed} | {100 * share.lower:.2f} to {100 * share.upper:.2f} |")
        print(f"{lines[-1]}  {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    heads = " | ".join(f"after {looks:,}" for looks in LARGE_LOOKS)
    lines += ["", f"| mistakes, 6,000 records | true recall | {heads} | above the truth |", "|---|---|---|---|---|---|"]
    for name in MISTAKES:
        truth, bounds, failed = price(name, args.large, args.seed)
        cells = " | ".join(f"{bound:.2f}" for bound in bounds)
        lines.append(f"| {name} | {truth:.2f} | {cells} | {failed} of {args.large} |")
        print(lines[-1], file=sys.stderr, flush=True)
    print("\n".join(lines))
    if args.doc:
        begin, end = "<!-- second looks -->", "<!-- end of second looks -->"
        head, rest = args.doc.read_text(encoding="utf-8").split(begin)
        args.doc.write_text(head + begin + "\n" + "\n".join(lines) + "\n" + end + rest.split(end)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
