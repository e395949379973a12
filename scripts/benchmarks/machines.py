"""Measure what a machine that screens adds to the ranking: replays with machines made from the true labels.

Usage:
    python scripts/benchmarks/machines.py FOLDER [--presets fast,elas-u4] [--seeds 3] [--criteria FOLDER]
        [--machines .85/.7,random] [--cache FOLDER] [--json FILE]

FOLDER holds CSV tables with title, abstract and label (0/1). A machine is made anew for each seed. `.85/.7` is one
that labels a relevant record include with probability .85 and an irrelevant one exclude with probability .7; with
`scores` it gives normal scores instead, whose ROC curve goes through that point. `random` knows nothing and says
include of half of the records; the inverted ones are wrong more often than right. Each mistake is independent
of the text and of every other.

Presets that read criteria start from those and no label where --criteria has them; the others start from one relevant
and one irrelevant record, drawn with the seed. Every figure is the ratio to the same preset, with the same start,
without the machine: a geometric mean over reviews of means over seeds, then its 95 % interval (bootstrap over
reviews and seeds), and the worst single review. Tables are printed as Markdown; --json keeps every run, and a run that is
there is not made again.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
from ranking import RATIOS, Review, draw_priors, interval, mean, read, replay

from triage import bundled, features, metrics, ranking

Kinds = list[tuple[float, float, str]]  # sensitivity, specificity, labels or scores: of each machine of a review
GOOD = {
    f"{what} {sensitivity:g}/{specificity:g}".replace("0.", "."): [(sensitivity, specificity, what)]
    for what in ("labels", "scores")
    for sensitivity in (0.7, 0.85, 0.98)
    for specificity in (0.5, 0.7, 0.9)
}
MACHINES: dict[str, Kinds] = {
    **GOOD,
    "random labels": [(0.5, 0.5, "labels")],
    "random labels, a tenth include": [(0.1, 0.9, "labels")],
    "random scores": [(0.5, 0.5, "scores")],
    "inverted labels .7/.5": [(0.3, 0.5, "labels")],
    "inverted labels .85/.7": [(0.15, 0.3, "labels")],
    "inverted labels .98/.9": [(0.02, 0.1, "labels")],
    "inverted scores .85/.7": [(0.15, 0.3, "scores")],
    "two of labels .85/.7": [(0.85, 0.7, "labels")] * 2,
    "labels .85/.7, and two random ones": [(0.85, 0.7, "labels"), (0.5, 0.5, "labels"), (0.5, 0.5, "labels")],
}


def opinions(y: np.ndarray, kinds: Kinds, seed: int) -> dict[str, np.ndarray]:
    """Return what machines say of the records, by the ranking's own way of reading it."""
    made = {}
    for number, (sensitivity, specificity, what) in enumerate(kinds):
        rng = np.random.default_rng([seed, 2, number])
        if what == "labels":
            said = np.where(y == 1, rng.random(len(y)) < sensitivity, rng.random(len(y)) >= specificity).astype(float)
        else:
            apart = NormalDist().inv_cdf(sensitivity) + NormalDist().inv_cdf(specificity)
            said = rng.normal(size=len(y)) + apart * (y == 1)
        made[f"machine {number}"] = ranking.opinions([said])
    return made


def one_run(review: Review, preset: ranking.Preset, views: features.Views, kinds: Kinds, seed: int) -> dict:
    """Replay a review once."""
    cold = bool(views.criteria)
    views = replace(views, suggested=opinions(review.y, kinds, seed))
    order = np.random.default_rng([seed, 1]).permutation(len(review.y))
    priors = [] if cold else draw_priors(review.y, seed)
    return metrics.summary(replay(review.y, ranking.Learner(preset, views), priors, order, "auto"))


def main() -> None:
    """Measure and print; with --json keep every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--presets", default="fast,elas-u4")
    parser.add_argument("--machines", default=",".join(name.replace(", ", ";") for name in MACHINES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--criteria", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names = [name.replace(";", ", ") for name in options.machines.split(",")]
    names = [name if name in MACHINES else f"labels {name}" for name in names]
    runs: dict[str, dict[str, dict[str, list[dict]]]] = {}
    if options.json and options.json.exists():
        runs = json.loads(options.json.read_text(encoding="utf-8"))
    tables = sorted(options.folder.glob("*.csv"))
    for preset in (ranking.presets()[name] for name in options.presets.split(",")):
        of_preset = runs.setdefault(preset.name, {})
        for table in tables:
            missing = [name for name in ("", *names) if table.stem not in of_preset.get(name, {})]
            if not missing:
                continue
            review = read(table, options.criteria if preset.criteria else None)
            views = features.build_views(
                features.Texts.of(review.titles, review.abstracts),
                preset.views,
                encoder=preset.encoder,
                include=review.include,
                exclude=review.exclude,
                cache_dir=options.cache or bundled.user_cache_dir(),
            )
            for name in missing:
                of_preset.setdefault(name, {})[review.name] = [
                    one_run(review, preset, views, MACHINES.get(name, []), seed) for seed in range(options.seeds)
                ]
            print(f"{preset.name}, {review.name}", file=sys.stderr, flush=True)
            if options.json:
                options.json.write_text(json.dumps(runs), encoding="utf-8")
        tell(of_preset, names, [table.stem for table in tables], preset.name)


def tell(runs: dict[str, dict[str, list[dict]]], names: list[str], reviews: list[str], preset: str) -> None:
    """Print one preset's table."""
    print(
        f"\n| {preset} with | {' | '.join(RATIOS)} | worst review: {', '.join(RATIOS)} |\n|---|{'---|' * (len(RATIOS) + 1)}"
    )
    for name in names:
        cells, worst = [], []
        for figure in RATIOS:
            middle, low, high = interval([runs[name][r] for r in reviews], [runs[""][r] for r in reviews], figure)
            cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
            worst.append(f"{max(mean(runs[name][r], figure) / mean(runs[''][r], figure) for r in reviews):.2f}")
        print(f"| {name} | {' | '.join(cells)} | {', '.join(worst)} |")


if __name__ == "__main__":
    main()
