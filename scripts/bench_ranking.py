"""Replay labelled reviews with ranking presets, and compare each with ELAS u4 under the same priors.

Usage:
    python scripts/bench_ranking.py FOLDER [--presets elas-u4,default,fast] [--extra FILE.toml]
        [--seeds 5] [--batch auto|1] [--criteria FOLDER] [--cache FOLDER] [--json FILE]

FOLDER holds CSV tables with title, abstract and label (0/1). Each seed draws one relevant and one
irrelevant prior. With --criteria, NAME.txt of that folder gives the criteria of NAME.csv, and a run
starts from them with no priors; ELAS u4 then starts from a random file order, drawn with the seed.
--extra names more presets, written as in models/presets.toml: candidates to be measured.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triage import features, metrics, protocol, ranking

BASELINE = "elas-u4"
SHOWN = ("work@0.95", "work@1.0", "atd")


@dataclass(frozen=True)
class Review:
    """A labelled review: its texts, labels, and the criteria where they are given."""

    name: str
    titles: list[str]
    abstracts: list[str]
    y: np.ndarray
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def read(table: Path, criteria: Path | None) -> Review:
    """Read one labelled review."""
    csv.field_size_limit(10**9)
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    text = criteria / f"{table.stem}.txt" if criteria is not None else None
    queries = protocol.criteria_from_text(text.read_text(encoding="utf-8")) if text is not None and text.exists() else ()
    return Review(
        table.stem, [r["title"] for r in rows], [r["abstract"] for r in rows],
        np.array([int(r["label"]) for r in rows], np.int8), *queries,
    )


def draw_priors(y: np.ndarray, seed: int) -> list[int]:
    """Draw one relevant and one irrelevant row."""
    rng = np.random.default_rng([seed, 0])
    return [int(rng.choice(np.flatnonzero(y == label))) for label in (1, 0)]


def replay(
    y: np.ndarray, model: Callable[[np.ndarray, np.ndarray], np.ndarray | None], priors: list[int],
    start: np.ndarray, batch: str,
) -> np.ndarray:
    """Screen every record, the best ranked first; return the labels in screening order, priors left out."""
    rows = np.empty(len(y), np.int64)
    rows[: len(priors)] = priors
    is_open = np.ones(len(y), bool)
    is_open[priors] = False
    scores, retrain_at = None, 0
    for done in range(len(priors), len(y)):
        if done >= retrain_at:
            scores = model(rows[:done], y[rows[:done]])
            retrain_at = done + (max(1, done // 20) if batch == "auto" else int(batch))
        if scores is None:
            row = start[is_open[start].argmax()]
        else:
            row = np.where(is_open, scores, -np.inf).argmax()
        rows[done] = row
        is_open[row] = False
    return y[rows[len(priors):]]


def measure(review: Review, preset: ranking.Preset, options: argparse.Namespace) -> list[dict[str, float]]:
    """Return the metrics and seconds of each seed."""
    began = time.perf_counter()
    views = features.build_views(
        features.Texts.of(review.titles, review.abstracts), preset.views, encoder=preset.encoder,
        include=review.include, exclude=review.exclude, cache_dir=options.cache,
    )
    features_seconds = time.perf_counter() - began
    runs = []
    for seed in range(options.seeds):
        began = time.perf_counter()
        from_criteria = options.criteria is not None
        start = np.random.default_rng([seed, 1]).permutation(len(review.y)) if from_criteria else np.arange(len(review.y))
        labels = replay(
            review.y, ranking.Learner(preset, views),
            [] if from_criteria else draw_priors(review.y, seed), start, options.batch,
        )
        runs.append({
            **metrics.summary(labels), "features": features_seconds, "seconds": time.perf_counter() - began,
        })
        if from_criteria and preset.criteria:
            break   # nothing is left to chance
    return runs


def mean(runs: list[dict[str, float]], name: str) -> float:
    """Return the mean of one figure over seeds."""
    return sum(run[name] for run in runs) / len(runs)


def main() -> None:
    """Measure and print; with --json keep every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--presets", default="elas-u4,default,fast")
    parser.add_argument("--extra", type=Path)
    parser.add_argument("--sets", default="", help="only these tables of the folder")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--batch", default="auto")
    parser.add_argument("--criteria", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    known = ranking.presets() | (ranking.presets(options.extra) if options.extra else {})
    chosen = options.presets.split(",")
    figures: dict[str, dict[str, list[dict[str, float]]]] = {name: {} for name in chosen}
    tables = [t for t in sorted(options.folder.glob("*.csv")) if not options.sets or t.stem in options.sets.split(",")]
    for table in tables:
        review = read(table, options.criteria)
        print(f"{review.name}: {len(review.y)} records, {int(review.y.sum())} relevant", flush=True)
        for name in chosen:
            runs = figures[name][review.name] = measure(review, known[name], options)
            told = "  ".join(f"{figure} {mean(runs, figure):.3f}" for figure in SHOWN)
            print(f"  {name:24} {told}  {mean(runs, 'seconds'):.1f} s a run, features {mean(runs, 'features'):.1f} s", flush=True)
    if BASELINE in figures:
        print(f"geometric means over {len(tables)} reviews of the ratio to {BASELINE}")
        for name in chosen:
            ratios = {
                figure: math.exp(sum(
                    math.log(mean(runs, figure) / mean(figures[BASELINE][review], figure))
                    for review, runs in figures[name].items()
                ) / len(tables))
                for figure in SHOWN
            }
            print(f"  {name:24} " + "  ".join(f"{figure} {ratio:.3f}" for figure, ratio in ratios.items()))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
