"""Count first rankings that do not end: whole processes, each on a fresh review without vectors.

Each run copies a review of 41 records that was never ranked and calls `triage rank`, so that OpenVINO, where it is
installed, is loaded and infers for the first time; the converted model is there, except with --from-nothing. Busy
processes beside it make its threads meet in every order. A run that takes longer than --limit seconds counts as hung;
Ctrl-C ends the series and reports what it has.

    python scripts/benchmarks/bench.py first --runs 100 --load 2
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "data" / "demo"
_RECORDS = 41


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bench.py first`."""
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--load", type=int, default=2, help="busy processes beside each run")
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


@contextmanager
def busy(n: int) -> Iterator[None]:
    """Keep so many processes busy."""
    # In sessions of their own, so that Ctrl-C ends this process and not each loop.
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(n)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def first_rankings(
    runs: int, limit: float, from_nothing: bool, folder: Path, say: Callable[[str], None]
) -> Iterator[float | None]:
    """Yield the seconds of each run; None for one that hung. Any other failure is an error."""
    review, kept, rankings = made_review(folder), folder / "kept", set()
    if not from_nothing:
        triage("rank", shutil.copy(review, folder / "first.triage"), cache=kept)
    for number in range(runs):
        place = folder / f"run {number}"
        place.mkdir()
        copy, cache = shutil.copy(review, place), place / "cache" if from_nothing else kept
        began = time.perf_counter()
        try:
            done = triage("rank", copy, "--top", str(_RECORDS), limit=limit, cache=cache)
        except subprocess.TimeoutExpired:
            say(f"run {number} hung")
            yield None
        else:
            yield time.perf_counter() - began
            if "torch" in done.stderr:
                say(f"run {number}: {done.stderr}")
            if done.stdout not in rankings and rankings:
                say(f"run {number} ranks otherwise than those before")
            rankings.add(done.stdout)
        shutil.rmtree(place)


def run(args: argparse.Namespace) -> None:
    """Print how many runs ended."""
    from triage.features.encoder import packaged, runtime
    from triage.features.views import PACKAGED_MODEL

    def say(text: str) -> None:
        print(text, flush=True)

    runtime = runtime.fastest_runtime(packaged.model_folder(PACKAGED_MODEL))
    with tempfile.TemporaryDirectory() as folder, busy(args.load):
        found: list[float | None] = []
        with suppress(KeyboardInterrupt):  # reports the runs so far
            for seconds in first_rankings(args.runs, args.limit, args.from_nothing, Path(folder), say):
                found.append(seconds)
    ended = [seconds for seconds in found if seconds is not None]
    converting = ", each converting the model" if args.from_nothing else ""
    say(
        f"{runtime.library} {runtime.precision}, {args.load} busy processes: {len(ended)} of {len(found)} runs{converting} "
        f"ended, in {statistics.median(ended):.1f} s (median) and {max(ended):.1f} s at most"
        if ended
        else f"none of {len(found)} runs ended"
    )
