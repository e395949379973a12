"""Count first rankings that do not come to an end: whole processes, each on a fresh review without vectors.

Each run copies a review of 41 records that was never ranked and calls `triage rank`, so that OpenVINO, where it is
installed, is loaded and infers for the first time; the converted model is there but for runs --from-nothing. Busy
loops beside it make the threads meet in every order. A run past --limit seconds counts as hung and is killed.

    python scripts/bench.py first --runs 100 --load 2
"""

import argparse
import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DEMO = Path(__file__).resolve().parents[1] / "data" / "demo"
_RECORDS = 41


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bench.py first`."""
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--load", type=int, default=2, help="busy loops beside each run")
    parser.add_argument("--limit", type=float, default=120, help="seconds after which a run counts as hung")
    parser.add_argument("--from-nothing", action="store_true", help="convert the model in every run, too")


def triage(*arguments: str | Path, cache: Path, limit: float | None = None) -> subprocess.CompletedProcess:
    """Run a command in a process of its own, with its caches in a folder; kill it at the limit."""
    return subprocess.run(
        [sys.executable, "-m", "triage", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=limit,
        env={**os.environ, "TRIAGE_CACHE": str(cache)},
        check=True,
    )


def made_review(folder: Path) -> Path:
    """Make a review that was never ranked."""
    review, table = folder / "fresh.triage", folder / "records.csv"
    with (
        (DEMO / "web_of_science.csv").open(encoding="utf-8-sig", newline="") as source,
        table.open("w", encoding="utf-8", newline="") as target,
    ):
        rows = csv.DictReader(source)
        writer = csv.writer(target)
        writer.writerow(["title", "abstract"])
        writer.writerows((row["Article Title"], row["Abstract"]) for row, _ in zip(rows, range(_RECORDS), strict=False))
    triage("new", review, "--protocol", DEMO / "protocol.toml", cache=folder)
    triage("import", review, table, cache=folder)
    return review


def count_hung(runs: int, load: int, limit: float, from_nothing: bool, say=print) -> tuple[int, list[float]]:
    """Return how many of the runs hung, and the seconds of the others; another ending is an error."""
    hung, seconds, rankings = 0, [], set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        review, kept = made_review(folder), folder / "kept"
        if not from_nothing:
            triage("rank", shutil.copy(review, folder / "first.triage"), cache=kept)
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(load)]
        try:
            for number in range(runs):
                place = folder / f"run {number}"
                place.mkdir()
                began = time.perf_counter()
                try:
                    done = triage(
                        "rank",
                        shutil.copy(review, place),
                        "--top",
                        "41",
                        limit=limit,
                        cache=place / "cache" if from_nothing else kept,
                    )
                    seconds.append(time.perf_counter() - began)
                    rankings.add(done.stdout)
                    if "torch" in done.stderr:
                        say(f"run {number}: {done.stderr}")
                except subprocess.TimeoutExpired:
                    hung += 1
                    say(f"run {number} hung")
                shutil.rmtree(place)
        finally:
            for process in busy:
                process.kill()
                process.wait()
    if len(rankings) > 1:
        say(f"{len(rankings)} different rankings")
    return hung, seconds


def run(args: argparse.Namespace) -> None:
    """Print how many runs hung."""
    from triage.features import PACKAGED_MODEL, embedding

    runtime = embedding.fastest_runtime(embedding.model_folder(PACKAGED_MODEL))
    hung, seconds = count_hung(
        args.runs, args.load, args.limit, args.from_nothing, lambda text: print(text, flush=True)
    )
    print(
        f"{runtime.library} {runtime.precision}, {bool(args.from_nothing) * 'converting, '}{args.load} busy loops: "
        f"{hung} of {args.runs} runs hung; the others took {statistics.median(seconds):.1f} s (median), "
        f"{max(seconds):.1f} s at most"
    )
