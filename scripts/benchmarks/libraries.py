"""Put the package's own solver and its own TF-IDF beside those of scikit-learn.

`vectors`, in a process of its own for each: the words of the pooled tables, read by `Tfidf` and by `TfidfVectorizer`
with the same options; seconds, processor seconds and the memory that it takes beyond the texts. `retrain`: one label
more on each view, by `LinearMachine`, `LinearSVC` (the same problem) and `LogisticRegression`; seconds of a fit with
the scores of all records, and how far the ranks of the unlabelled are from those of the exact solution. Everything
runs on one thread of linear algebra.

    python scripts/benchmarks/bench.py libraries FOLDER [--records 10000] [--labels 2000] [--texts 50000]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

C, RATIO, PAGE = 0.11, 9.8, 2048


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("folder", type=Path)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--labels", type=int, default=2_000)
    parser.add_argument("--retrains", type=int, default=20)
    parser.add_argument("--texts", type=int, default=50_000)
    parser.add_argument("--by", choices=["triage", "scikit-learn"], help=argparse.SUPPRESS)  # what a child counts by


def run(options: argparse.Namespace) -> None:
    """Print both comparisons."""
    if options.by:
        print(json.dumps(vectors(options)))
        return
    for by in ("triage", "scikit-learn") * 3:
        command = [sys.executable, str(Path(__file__).with_name("bench.py")), "libraries", str(options.folder)]
        done = subprocess.run(
            [*command, "--texts", str(options.texts), "--by", by], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout)
        print(
            f"vectors of {options.texts} texts by {by}: {found['seconds']:.1f} s ({found['processor']:.1f} s of processor), "
            f"{found['mib']:.0f} MiB beyond the texts, {found['columns']} columns, {found['entries']} entries",
            flush=True,
        )
    retrain(options)


def pooled_texts(folder: Path, n: int) -> list[str]:
    """Return titles with abstracts of n records; a copy beyond the first has words of its own."""
    from bench import pooled

    titles, abstracts, _ = pooled(folder, n)
    return [f"{title} {abstract}" for title, abstract in zip(titles, abstracts)]


def vectors(options: argparse.Namespace) -> dict[str, float]:
    """Make one matrix of words."""
    texts = pooled_texts(options.folder, options.texts)
    if options.by == "triage":
        from scipy import sparse  # noqa: F401 (its loading is no part of the counting)

        from triage.features.terms import Tfidf, WordTerms, in_order

        def make():
            maker = Tfidf(WordTerms(), largest=0.95)
            pages = (texts[at : at + PAGE] for at in range(0, len(texts), PAGE))
            for counts in in_order(maker.count, pages):
                maker.take(counts)
            return maker.finish(lambda name, shape, dtype: np.empty(shape, dtype)).matrix
    else:
        from sklearn.feature_extraction.text import TfidfVectorizer

        def make():
            return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_df=0.95).fit_transform(texts)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, processor = time.perf_counter(), time.process_time()
    matrix = make()
    return {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - processor,
        "mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
        "columns": matrix.shape[1],
        "entries": int(matrix.nnz),
    }


def retrain(options: argparse.Namespace) -> None:
    """Time one label more, view by view."""
    from bench import pooled
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC
    from threadpoolctl import threadpool_limits

    from triage import features, ranking
    from triage.ranking.machine import LinearMachine

    titles, abstracts, y = pooled(options.folder, options.records)
    views = features.build_views(features.Texts.of(titles, abstracts), ["words", "stems", "static"])
    labelled = np.random.default_rng(0).permutation(len(y))[: options.labels + options.retrains]
    theirs = {
        "LinearSVC": lambda: LinearSVC(loss="squared_hinge", C=C),
        "LogisticRegression": lambda: LogisticRegression(C=C, max_iter=1000),
    }
    with threadpool_limits(limits=1, user_api="blas"):
        for name, matrix in views.matrices.items():
            machine = LinearMachine(matrix, C)
            seconds: dict[str, list[float]] = {"LinearMachine": [], **{one: [] for one in theirs}}
            for n in range(options.labels, len(labelled) + 1):
                rows = labelled[:n]
                weights = ranking.balanced_weights(y[rows], RATIO)
                scores = {}
                began = time.perf_counter()
                scores["LinearMachine"] = machine.fit(rows, y[rows], weights).scores_.copy()
                seconds["LinearMachine"].append(time.perf_counter() - began)
                for one, make in theirs.items():
                    began = time.perf_counter()
                    model = make().fit(matrix[rows], y[rows], sample_weight=weights)
                    scores[one] = model.decision_function(matrix)
                    seconds[one].append(time.perf_counter() - began)
            exact = LinearSVC(loss="squared_hinge", C=C, tol=1e-9, max_iter=1_000_000)
            place = places(exact.fit(matrix[rows], y[rows], sample_weight=weights).decision_function(matrix), rows)
            for one, values in scores.items():
                moved = np.abs(places(values, rows) - place)
                print(
                    f"{name}, {views.n} records, {options.labels} labels, {one}: first {seconds[one][0]:.3f} s, one label "
                    f"more {statistics.median(seconds[one][1:]):.4f} s; {(moved > 0).mean():.1%} of the unlabelled at "
                    f"another rank than exactly solved, by {moved.max()} at most",
                    flush=True,
                )


def places(scores: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Return the ranks of the unlabelled records."""
    left = np.delete(scores, labelled)
    ranks = np.empty(len(left), np.int64)
    ranks[np.argsort(-left, kind="stable")] = np.arange(len(left))
    return ranks
