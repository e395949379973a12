"""Time what a reviewer waits for: views, the first training, and each retrain after one label more.

Usage:
    python scripts/benchmarks/bench.py retrain FOLDER [--records 10000] [--labels 2000] [--presets default,fast]
    python scripts/benchmarks/bench.py retrain --review FILE [--labels 5000] [--presets fast]
    python scripts/benchmarks/bench.py asreview TABLE --priors 25,0 --asreview PATH/TO/bin/asreview [--rounds 3]
    python scripts/benchmarks/bench.py encode FOLDER [--records 2000] [--chunk 250] [--runtimes torch-bfloat16,...]
    python scripts/benchmarks/bench.py libraries FOLDER [--records 10000] [--labels 2000] [--texts 50000]
    python scripts/benchmarks/bench.py first [--runs 100] [--load 2] [--from-nothing]
    python scripts/benchmarks/bench.py next [--records 10000] [--labels 2000] [--model fast]
    python scripts/benchmarks/bench.py reading CHECKOUT [CHECKOUT...] [--records 50000] [--labels 5000] [--rounds 5]
    python scripts/benchmarks/bench.py web [--records 50000] [--labels 5000] [--model fast]
    python scripts/benchmarks/bench.py import [--records 100000] [--exports FOLDER] [--repeats 3]
    python scripts/benchmarks/bench.py walk --texts FOLDER --work FOLDER [--sizes 1000,10000,100000,1000000] [--plot FILE.png]

`retrain` pools the labelled tables (CSV with title, abstract, label) of FOLDER, and repeats them with a
number appended where more records are asked for; sentence vectors, which are taken to be there, are drawn
at random. With --review it takes the records of a review, such as `walk` makes, and draws one label in ten
relevant among those whose words are nearest to one record's. `asreview` replays TABLE by `asreview simulate` (an
installation of its own) and by `triage simulate --model elas-u4 --batch 1`, whole processes in turn, and
compares their seconds and the positions at which they find the relevant records. `encode` encodes
records of FOLDER that have an abstract, drawn at random, by plain `SentenceTransformer.encode` in float32
and by the runtimes that triage chooses with OpenVINO and without: each chunk by each of them in turn, so
that other work on the machine slows all alike. `libraries`, `first`, `next`, `reading`, `web`, `import` and `walk` are
described in `libraries.py`, `first.py`, `next_record.py`, `reading.py`, `web.py`, `imports.py` and `walk.py`; ranking
and duplicates are measured by `ranking.py` and `dedupe.py`.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import first
import imports
import libraries
import next_record
import numpy as np
import reading
import walk
import web


def labelled(folder: Path) -> list[dict[str, str]]:
    """Return the rows of every table of a folder."""
    csv.field_size_limit(10**9)
    rows = []
    for table in sorted(folder.glob("*.csv")):
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows += list(csv.DictReader(file))
    if not rows:
        raise SystemExit(f"{folder} holds no labelled tables (CSV with title, abstract, label).")
    return rows


def pooled(folder: Path, n: int) -> tuple[list[str], list[str], np.ndarray]:
    """Return titles, abstracts and labels of n records."""
    rows = labelled(folder)
    copies = [(row, i // len(rows)) for i, row in zip(range(n), rows * (1 + n // len(rows)))]
    return (
        [row["title"] + (f" {k}" if k else "") for row, k in copies],
        [row["abstract"] for row, _ in copies],
        np.array([int(row["label"]) for row, _ in copies]),
    )


def made_views(options: argparse.Namespace, preset):
    """Return the views of a review, or of the pooled tables, and labels in the order in which they come."""
    from triage import features, project
    from triage.ranking.review import model_of

    rng = np.random.default_rng(0)
    count = options.labels + options.retrains
    if options.review:
        with project.Project.open(options.review) as opened:
            review = opened.snapshot()
            views = model_of(review, review.stage(), preset.name, "cpu", opened.cache_dir, None).views
        terms = next(matrix for name, matrix in views.matrices.items() if name in ("words", "stems"))
        near = terms @ terms[[views.n // 2]].toarray().ravel()
        relevant = rng.permutation(np.argsort(-near)[: count // 5])[: count // 10]
        others = rng.choice(np.setdiff1d(np.arange(views.n), relevant), count - len(relevant), replace=False)
        labelled = rng.permutation(np.concatenate([relevant, others]))
        return views, labelled, np.isin(labelled, relevant).astype(int)
    titles, abstracts, y = pooled(options.folder, options.records)
    named = [name for name in preset.views if name != "embedding"]
    views = features.build_views(features.Texts.of(titles, abstracts), named, include=["Adults in mental health care"])
    if "embedding" in preset.views:
        vectors = features.of_length_one(rng.normal(size=(len(y), 384)).astype(np.float32))
        views = features.Views({**views.matrices, "embedding": vectors}, views.criteria, views.names)
    labelled = rng.permutation(len(y))[:count]
    return views, labelled, y[labelled]


def retrain(options: argparse.Namespace) -> None:
    """Print seconds for the views, the first training, a retrain after one label, and held-out scores."""
    from triage import ranking
    from triage.ranking.held_out import held_out_scores

    for name in options.presets.split(","):
        preset = ranking.load_preset(name)
        began = time.perf_counter()
        views, labelled, y = made_views(options, preset)
        built = time.perf_counter() - began
        learner = ranking.Learner(preset, views)
        began = time.perf_counter()
        learner(labelled[: options.labels], y[: options.labels])
        first = time.perf_counter() - began
        seconds = []
        for n in range(options.labels + 1, len(labelled) + 1):
            began = time.perf_counter()
            learner(labelled[:n], y[:n])
            seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        held_out_scores(ranking.Learner(preset, views), views.n, labelled[: options.labels], y[: options.labels])
        held_out = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{name}: {views.n} records, {options.labels} labels: views {built:.1f} s, first training {first:.2f} s, "
            f"retrain median {statistics.median(seconds):.3f} s, largest {max(seconds):.3f} s, held-out scores "
            f"{held_out:.2f} s, peak {peak:.2f} GiB",
            flush=True,
        )


def seconds_of(command: list[str], cwd: Path | None = None) -> tuple[float, float, str]:
    """Run a command; return its wall and processor seconds, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def asreview_positions(project: Path) -> list[int]:
    """Return where an ASReview project found its relevant records, counted from 0 after the priors."""
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(project).extractall(folder)
        with sqlite3.connect(next(Path(folder).rglob("results.db"))) as database:
            found = database.execute("SELECT label FROM results WHERE querier IS NOT NULL ORDER BY rowid").fetchall()
    return [i for i, (label,) in enumerate(found) if label]


def compare_with_asreview(options: argparse.Namespace) -> None:
    """Replay one table by both programs in turn."""
    with tempfile.TemporaryDirectory() as folder:
        ratios = []
        for turn in range(options.rounds):
            project = Path(folder) / f"{turn}.asreview"
            theirs = seconds_of(
                [
                    options.asreview,
                    "simulate",
                    str(options.table.resolve()),
                    "--prior-idx",
                    *options.priors.split(","),
                    "--seed",
                    str(turn + 1),
                    "-o",
                    str(project),
                ],
                Path(folder),
            )
            ours = seconds_of(
                [
                    sys.executable,
                    "-m",
                    "triage",
                    "simulate",
                    str(options.table),
                    "--label-column",
                    "label",
                    "--prior-rows",
                    options.priors,
                    "--model",
                    "elas-u4",
                    "--batch",
                    "1",
                    "--json",
                ]
            )
            labels = json.loads(ours[2])["runs"][0]["labels"]
            here = [i for i, label in enumerate(labels) if label]
            there = asreview_positions(project)
            ratios.append(theirs[0] / ours[0])
            print(
                f"{options.table.stem}: asreview {theirs[0]:.1f} s ({theirs[1]:.1f} of processor, to its last relevant "
                f"record, {there[-1] + 1} screened), triage {ours[0]:.1f} s ({ours[1]:.1f}, the same): "
                f"{ratios[-1]:.1f} times as fast; {sum(a == b for a, b in zip(here, there))} of {len(there)} relevant "
                f"records at the same positions",
                flush=True,
            )
        print(f"median {statistics.median(ratios):.1f} times as fast")


def encode(options: argparse.Namespace) -> None:
    """Print abstracts a second, times plain float32 and the least cosine to it, for each runtime."""
    from sentence_transformers import SentenceTransformer

    from triage import features
    from triage.features.encoder import packaged, runtime, sentence

    rows = [row for row in labelled(options.folder) if row["abstract"].strip()]
    chosen = np.random.default_rng(0).permutation(len(rows))[: options.records]
    texts = [f"{rows[i]['title']} {rows[i]['abstract']}" for i in chosen]
    folder = packaged.model_folder(features.PACKAGED_MODEL)
    if options.runtimes:
        runtimes = [
            runtime.Runtime(name.split("-")[0], "cpu", name.split("-")[1]) for name in options.runtimes.split(",")
        ]
    else:
        runtimes = list(dict.fromkeys((runtime.fastest_runtime(folder), runtime.fastest_torch())))
    plain = SentenceTransformer(str(folder), device="cpu")
    encoders = {"plain float32": lambda some: plain.encode(some, show_progress_bar=False)}
    for one in runtimes:
        encoders[f"{one.library} {one.precision}"] = sentence.SentenceEmbedding(runtime=one).transform
    for run in encoders.values():
        run(texts[:8])  # loads, and converts the first time
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    processor: dict[str, list[float]] = {name: [] for name in encoders}
    cosines: dict[str, list[float]] = {name: [] for name in encoders}
    for start in range(0, len(texts), options.chunk):
        chunk = texts[start : start + options.chunk]
        for name, run in encoders.items():
            began, began_processor = time.perf_counter(), time.process_time()
            vectors = run(chunk)
            seconds[name].append((time.perf_counter() - began) / len(chunk))
            processor[name].append((time.process_time() - began_processor) / len(chunk))
            if name == "plain float32":
                exact = vectors
            cosines[name] += list((vectors * exact).sum(axis=1))
    for name in encoders:
        times = statistics.median(a / b for a, b in zip(seconds["plain float32"], seconds[name], strict=True))
        less = statistics.median(a / b for a, b in zip(processor["plain float32"], processor[name], strict=True))
        print(
            f"{name}: {1 / statistics.median(seconds[name]):.1f} abstracts a second, {times:.2f} times plain (medians of "
            f"{len(seconds[name])} chunks; {less:.2f} times by processor seconds), least cosine {min(cosines[name]):.5f}, "
            f"mean {statistics.mean(cosines[name]):.5f}",
            flush=True,
        )


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("retrain")
    one.add_argument("folder", type=Path, nargs="?")
    one.add_argument("--review", type=Path)
    one.add_argument("--records", type=int, default=10_000)
    one.add_argument("--labels", type=int, default=2_000)
    one.add_argument("--retrains", type=int, default=20)
    one.add_argument("--presets", default="default,fast,elas-u4")
    one.set_defaults(run=retrain)
    one = commands.add_parser("asreview")
    one.add_argument("table", type=Path)
    one.add_argument("--priors", required=True)
    one.add_argument("--asreview", required=True)
    one.add_argument("--rounds", type=int, default=3)
    one.set_defaults(run=compare_with_asreview)
    one = commands.add_parser("encode")
    one.add_argument("folder", type=Path)
    one.add_argument("--records", type=int, default=2_000)
    one.add_argument("--chunk", type=int, default=250)
    one.add_argument("--runtimes", default="", help="such as openvino-int8,torch-float32; default: those chosen here")
    one.set_defaults(run=encode)
    for name, module in (
        ("libraries", libraries),
        ("first", first),
        ("next", next_record),
        ("reading", reading),
        ("web", web),
        ("import", imports),
        ("walk", walk),
    ):
        one = commands.add_parser(
            name, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_options(one)
        one.set_defaults(run=module.run)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
