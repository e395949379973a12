"""Replay labelled reviews with ranking presets, and compare each with ELAS u4 under the same priors.

Usage:
    python scripts/benchmarks/ranking.py FOLDER [--presets elas-u4,default,fast] [--extra FILE.toml] [--sets A,B]
        [--seeds 20] [--batch auto|1] [--criteria FOLDER] [--asreview PATH/TO/bin/asreview] [--jobs 2]
        [--picture FILE.png] [--json FILE]

FOLDER holds CSV tables with title, abstract and label (0/1). Each seed draws one relevant and one
irrelevant prior, the same for every preset. With --criteria, NAME.txt of that folder gives the criteria
of NAME.csv: a second comparison gives them to the presets that read criteria, beside the same priors; a
third starts from them alone with no priors, and ELAS u4 from a random file order, drawn with the seed.
--asreview replays each table of at most 3,000 records by `asreview simulate`
too (an installation of its own), with the priors of the first seed, and compares the positions of the
relevant records with those of the preset elas-u4, one record at a time. --extra names more presets,
written as in models/presets.toml: candidates to be measured. --json keeps every run; a run that is there
already is not made again, so that a comparison that was stopped goes on.

Ratios are of means over seeds, and geometric means over reviews; the interval is a bootstrap over
reviews and seeds (2,000 draws). Tables are printed as Markdown.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from triage import bundled, features, metrics, protocol, ranking

BASELINE = "elas-u4"
FIGURES = ("work@0.95", "work@1.0", "atd", "recall@0.1")
RATIOS = FIGURES[:3]
DRAWS = 2_000
GRID = np.linspace(0, 1, 201)  # shares screened, of the curves
STARTS = {
    "priors": "Started from one relevant and one irrelevant record, {seeds} seeds, --batch {batch}",
    "both": "The same priors, and the criteria for the presets that read them",
    "cold": "Started from the criteria alone; {baseline} from a random file order",
}


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
    queries = (
        protocol.criteria_from_text(text.read_text(encoding="utf-8")) if text is not None and text.exists() else ()
    )
    return Review(
        table.stem,
        [r["title"] for r in rows],
        [r["abstract"] for r in rows],
        np.array([int(r["label"]) for r in rows], np.int8),
        *queries,
    )


def draw_priors(y: np.ndarray, seed: int) -> list[int]:
    """Draw one relevant and one irrelevant row."""
    rng = np.random.default_rng([seed, 0])
    return [int(rng.choice(np.flatnonzero(y == label))) for label in (1, 0)]


def replay(
    y: np.ndarray,
    model: Callable[[np.ndarray, np.ndarray], np.ndarray | None],
    priors: list[int],
    start: np.ndarray,
    batch: str,
) -> np.ndarray:
    """Screen, the best ranked first, up to the last relevant record; return all labels in order, priors left out."""
    rows = np.empty(len(y), np.int64)
    rows[: len(priors)] = priors
    is_open = np.ones(len(y), bool)
    is_open[priors] = False
    scores, retrain_at, left = None, 0, int(y[is_open].sum())
    for done in range(len(priors), len(y)):
        if not left:
            rows[done:] = np.flatnonzero(is_open)
            break
        if done >= retrain_at:
            scores = model(rows[:done], y[rows[:done]])
            retrain_at = done + (max(1, done // 20) if batch == "auto" else int(batch))
        if scores is None:
            row = start[is_open[start].argmax()]
        else:
            row = np.where(is_open, scores, -np.inf).argmax()
        rows[done] = row
        is_open[row] = False
        left -= int(y[row])
    return y[rows[len(priors) :]]


def curve(labels: np.ndarray) -> list[float]:
    """Return the recall at each share screened of the grid."""
    found = np.concatenate([[0], np.cumsum(labels)]) / labels.sum()
    return np.round(found[np.floor(GRID * len(labels)).astype(int)], 4).tolist()


def one_run(review: Review, preset: ranking.Preset, views, seed: int, start: str, batch: str) -> dict[str, object]:
    """Replay a review once."""
    began = time.perf_counter()
    n = len(review.y)
    cold = start == "cold"
    order = np.random.default_rng([seed, 1]).permutation(n) if cold else np.arange(n)
    learner = ranking.Learner(preset, views)
    labels = replay(review.y, learner, [] if cold else draw_priors(review.y, seed), order, batch)
    return {**metrics.summary(labels), "seconds": time.perf_counter() - began, "curve": curve(labels)}


def measure(review: Review, preset: ranking.Preset, starts: list[str], options: argparse.Namespace) -> dict[str, list]:
    """Return the runs of every start."""
    reads = {start: bool(start != "priors" and preset.criteria) for start in starts}
    views = {
        criteria: features.build_views(
            features.Texts.of(review.titles, review.abstracts),
            preset.views,
            encoder=preset.encoder,
            include=review.include if criteria else (),
            exclude=review.exclude if criteria else (),
            cache_dir=options.cache or bundled.user_cache_dir(),
        )
        for criteria in set(reads.values())
    }
    runs = {}
    for start in starts:
        cold = start == "cold"
        # From the criteria alone nothing is left to chance.
        seeds = [0] if cold and preset.criteria else range(options.seeds)
        if start == "both" and not preset.criteria:
            runs[start] = runs["priors"]
            continue
        job = partial(one_run, review, preset, views[reads[start]], start=start, batch=options.batch)
        runs[start] = Parallel(options.jobs)(delayed(job)(seed=seed) for seed in seeds)
    return runs


def mean(runs: list[dict], name: str) -> float:
    """Return the mean of one figure over seeds."""
    return float(np.mean([run[name] for run in runs]))


def interval(runs: list[list[dict]], base: list[list[dict]], name: str) -> tuple[float, float, float]:
    """Return the geometric mean over reviews of the ratio of two presets, and its 95 % interval."""
    ours, theirs = ([np.array([run[name] for run in of_review]) for of_review in all_runs] for all_runs in (runs, base))
    rng = np.random.default_rng(0)
    ratio = np.exp(np.mean([np.log(a.mean() / b.mean()) for a, b in zip(ours, theirs)]))
    drawn = np.empty((DRAWS, len(ours)))
    for i, (a, b) in enumerate(zip(ours, theirs)):
        same = len(a) == len(b)  # then a seed has the same priors in both
        k = rng.integers(len(a), size=(DRAWS, len(a)))
        m = k if same else rng.integers(len(b), size=(DRAWS, len(b)))
        drawn[:, i] = np.log(a[k].mean(axis=1) / b[m].mean(axis=1))
    chosen = rng.integers(len(ours), size=(DRAWS, len(ours)))
    low, high = np.exp(np.quantile(np.take_along_axis(drawn, chosen, axis=1).mean(axis=1), (0.025, 0.975)))
    return float(ratio), float(low), float(high)


def seeds_interval(runs: list[dict], base: list[dict], name: str) -> tuple[float, float]:
    """Return the 95 % interval over seeds of one review's ratio."""
    return interval([runs], [base], name)[1:]


def positions_of_asreview(program: str, table: Path, priors: list[int]) -> list[int]:
    """Return where `asreview simulate` found the relevant records, counted from 0 after the priors."""
    from bench import asreview_positions

    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "one.asreview"
        subprocess.run(
            [
                program,
                "simulate",
                str(table.resolve()),
                "--prior-idx",
                *map(str, priors),
                "--seed",
                "1",
                "-o",
                str(project),
            ],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        return asreview_positions(project)


def compare_with_asreview(program: str, table: Path, review: Review) -> str:
    """Return one line of the table that shows that elas-u4 is ASReview's."""
    priors = draw_priors(review.y, 0)
    theirs = positions_of_asreview(program, table, priors)
    preset = ranking.presets()[BASELINE]
    views = features.build_views(features.Texts.of(review.titles, review.abstracts), preset.views)
    labels = replay(review.y, ranking.Learner(preset, views), priors, np.arange(len(review.y)), "1")
    ours = np.flatnonzero(labels).tolist()
    same = sum(a == b for a, b in zip(ours, theirs))
    return f"| {review.name} | {len(review.y)} | {same} of {len(ours)} |"


def tell(runs: dict[str, dict[str, list[dict]]], reviews: list[str], names: list[str], out) -> None:
    """Print the tables of one start."""
    figure = RATIOS[0]
    out(f"\n| review | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for review in reviews:
        cells = []
        for name in names:
            own, base = runs[name][review], runs[BASELINE][review]
            cell = f"{mean(own, figure):.3f}"
            if name != BASELINE:
                low, high = seeds_interval(own, base, figure)
                cell += f" ({mean(own, figure) / mean(base, figure):.2f}, {low:.2f} to {high:.2f})"
            cells.append(cell)
        out(f"| {review} | {' | '.join(cells)} |")
    out(
        f"\n| preset | {' | '.join(RATIOS)} | better or as good | recall@0.1 | seconds a run |\n|---|---|---|---|---|---|---|"
    )
    for name in names:
        cells = []
        for ratio in RATIOS:
            middle, low, high = interval([runs[name][r] for r in reviews], [runs[BASELINE][r] for r in reviews], ratio)
            cells.append(f"{middle:.3f} ({low:.2f} to {high:.2f})")
        wins = sum(mean(runs[name][r], figure) <= mean(runs[BASELINE][r], figure) for r in reviews)
        early = np.mean([mean(runs[name][r], "recall@0.1") for r in reviews])
        took = np.mean([mean(runs[name][r], "seconds") for r in reviews])
        out(f"| {name} | {' | '.join(cells)} | {wins} of {len(reviews)} | {early:.3f} | {took:.1f} |")


def draw(figures: dict, reviews: list[str], names: list[str], starts: list[str], path: Path) -> None:
    """Draw recall against the share screened, a field for each review."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 4
    rows = -(-len(reviews) // columns)
    figure, fields = pyplot.subplots(
        rows, columns, figsize=(3 * columns, 2.6 * rows), sharex=True, sharey=True, squeeze=False
    )
    colours = dict(zip(names, ("#888888", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")))
    for field, review in zip(fields.flat, reviews):
        for name in names:
            for start in starts:
                if review not in figures[start].get(name, {}):
                    continue
                mean_curve = np.mean([run["curve"] for run in figures[start][name][review]], axis=0)
                field.plot(
                    GRID,
                    mean_curve,
                    color=colours[name],
                    linestyle="-" if start == "priors" else ":",
                    linewidth=1.4,
                    label=name if start == "priors" else f"{name}, no priors",
                )
        field.axhline(0.95, color="#cccccc", linewidth=0.7)
        field.set_title(review, fontsize=9)
        field.grid(alpha=0.2)
    for field in list(fields.flat)[len(reviews) :]:
        field.set_axis_off()
    figure.supxlabel("share of the records screened", fontsize=9)
    figure.supylabel("recall, mean over seeds", fontsize=9)
    handles, labels = fields.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower right", fontsize=8, frameon=False, ncols=2)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure and print; with --json keep every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--presets", default="elas-u4,default,fast")
    parser.add_argument("--extra", type=Path)
    parser.add_argument("--sets", default="", help="only these tables of the folder")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--batch", default="auto")
    parser.add_argument("--criteria", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--asreview")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    known = ranking.presets() | (ranking.presets(options.extra) if options.extra else {})
    names = list(dict.fromkeys([BASELINE, *options.presets.split(",")]))
    figures: dict[str, dict[str, dict[str, list[dict]]]] = {start: {} for start in STARTS}
    if options.json and options.json.exists():
        figures |= json.loads(options.json.read_text(encoding="utf-8"))
    tables = [t for t in sorted(options.folder.glob("*.csv")) if not options.sets or t.stem in options.sets.split(",")]
    reviews, same = [], []
    for table in tables:
        review = read(table, options.criteria)
        reviews.append(review.name)
        starts = list(STARTS) if review.include or review.exclude else ["priors"]
        for name in names:
            if all(review.name in figures[start].get(name, {}) for start in starts):
                continue
            for start, runs in measure(review, known[name], starts, options).items():
                figures[start].setdefault(name, {})[review.name] = runs
            told = "  ".join(f"{figure} {mean(figures['priors'][name][review.name], figure):.3f}" for figure in FIGURES)
            print(f"{review.name}, {name}: {told}", file=sys.stderr, flush=True)
            if options.json:
                options.json.write_text(json.dumps(figures), encoding="utf-8")
        if options.asreview and len(review.y) <= 3000:
            same.append(compare_with_asreview(options.asreview, table, review))
    for start, title in STARTS.items():
        told = [review for review in reviews if review in figures[start].get(BASELINE, {})]
        if told and (start == "priors" or options.criteria):
            title = title.format(seeds=options.seeds, batch=options.batch, baseline=BASELINE)
            print(f"\n{title}; {RATIOS[0]}, and in brackets its ratio to {BASELINE} with the interval over seeds:")
            tell(figures[start], told, names, print)
    if same:
        print("\n| review | records | relevant records at ASReview's positions |\n|---|---|---|")
        print("\n".join(same))
    if options.picture:
        draw(figures, reviews, names, ["priors", "cold"] if options.criteria else ["priors"], options.picture)


if __name__ == "__main__":
    main()
