"""What key papers change: labelled reviews screened from their criteria, with some relevant records named beforehand.

Usage:
    python scripts/benchmarks/key_papers.py FOLDER --criteria FOLDER [--named 1,3] [--seeds 6] [--preset default]
        [--jobs 2]

FOLDER holds CSV tables with title, abstract and label (0/1); NAME.txt of the other folder gives the criteria of
NAME.csv. Each seed draws the relevant records that are named; the rest of the relevant ones are looked for, and of these
the figures are. "Wait" is what the program does where criteria rank: the named records teach once people's labels do. "At
once" they teach from the first irrelevant record on. Ratios are to nothing named, of means over seeds; geometric means
over reviews.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from ranking import Review, read

from triage import bundled, features, ranking
from triage.ranking.review import ReviewModel, Teaching

WAYS = {"wait": True, "at once": False}


def screened(review: Review, model: ReviewModel) -> np.ndarray:
    """Screen, the best ranked first, trained anew on a twentieth more; return the rows in their order."""
    n = len(review.y)
    rows, is_open = np.empty(n, np.int64), np.ones(n, bool)
    left, retrain_at = int(review.y.sum()), 0
    scores = np.zeros(n)
    for done in range(n):
        if not left:
            rows[done:] = np.flatnonzero(is_open)
            break
        if done >= retrain_at:
            made = model(rows[:done], review.y[rows[:done]])
            scores = np.zeros(n) if made is None else made
            retrain_at = done + max(1, done // 20)
        row = int(np.where(is_open, scores, -np.inf).argmax())
        rows[done], is_open[row] = row, False
        left -= int(review.y[row])
    return rows


def figures(review: Review, rows: np.ndarray, named: np.ndarray) -> tuple[float, float]:
    """Return ATD and work@0.95, in records, of the relevant records that were not named."""
    wanted = (review.y[rows] == 1) & ~np.isin(rows, named)
    places = np.flatnonzero(wanted) + 1
    return float(places.mean()), float(places[int(np.ceil(0.95 * len(places))) - 1])


def measured(
    table: Path, criteria: Path, preset: str, numbers: list[int], seeds: int
) -> dict[tuple[int, str], np.ndarray]:
    """Return by how many are named, and how they teach, the ratios of both figures to nothing named."""
    review = read(table, criteria)
    model = ReviewModel(
        features.Texts.of(review.titles, review.abstracts),
        preset,
        ranking.Criteria("", review.include, review.exclude),
        cache_dir=bundled.user_cache_dir(),
    )
    plain = screened(review, model.sharing_views(Teaching()))
    found = {}
    for number in numbers:
        of: dict[str, list[tuple[float, float]]] = {"": [], **{way: [] for way in WAYS}}
        for seed in range(seeds):
            relevant = np.flatnonzero(review.y == 1)
            named = np.random.default_rng([seed, number]).choice(relevant, number, replace=False)
            of[""].append(figures(review, plain, named))
            for way, waits in WAYS.items():
                teaching = Teaching(key_papers={int(row): int(row) for row in named}, key_papers_wait=waits)
                of[way].append(figures(review, screened(review, model.sharing_views(teaching)), named))
        for way in WAYS:
            found[number, way] = np.mean(of[way], axis=0) / np.mean(of[""], axis=0)
    return found


def main() -> None:
    """Measure each table, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--criteria", type=Path, required=True)
    parser.add_argument("--named", default="1,3")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    tables = sorted(given.folder.glob("*.csv"))
    if not tables:
        sys.exit(f"{given.folder} holds no CSV table.")
    numbers = [int(number) for number in given.named.split(",")]
    found = Parallel(n_jobs=given.jobs)(
        delayed(measured)(table, given.criteria, given.preset, numbers, given.seeds) for table in tables
    )
    print("| review | " + " | ".join(f"{n} named, {way}: ATD | work@0.95" for n in numbers for way in WAYS) + " |")
    print("|---" * (1 + 2 * len(numbers) * len(WAYS)) + "|")
    cells = [[x for n in numbers for way in WAYS for x in one[n, way]] for one in found]
    for table, row in zip(tables, cells, strict=True):
        print(f"| {table.stem} | " + " | ".join(f"{x:.3f}" for x in row) + " |")
    print("| geometric mean | " + " | ".join(f"{x:.3f}" for x in np.exp(np.log(cells).mean(axis=0))) + " |")


if __name__ == "__main__":
    main()
