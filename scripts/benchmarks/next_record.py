"""Measure how long a reviewer waits for the next record while the ranking is retrained in the background.

A review of made-up abstracts is filled with decisions; then a session goes on deciding, with a retrain under way
at every moment. Printed are the waits from a decision to the next record on the screen, and the trainings' length.

    python scripts/benchmarks/bench.py next --records 10000 --labels 2000 --model fast
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from triage import protocol as protocols
from triage.log import Label, Origin
from triage.project import Project
from triage.records import Record
from triage.screening.journal import commit_audit
from triage.screening.opening import open_session


def made_up(n: int, rng: np.random.Generator) -> list[Record]:
    """Return records of about 200 words each, words as unevenly frequent as a language's."""
    words = np.array([f"w{i:x}" for i in range(30_000)])
    share = 1 / np.arange(1, len(words) + 1)
    share /= share.sum()
    records = []
    for i in range(n):
        text = rng.choice(words, 215, p=share)
        if i % 20 == 0:
            text[::9] = "recovery"
        records.append(Record(title=" ".join(text[:15]), abstract=" ".join(text[15:])))
    return records


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bench.py next`."""
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--labels", type=int, default=2_000)
    parser.add_argument("--decisions", type=int, default=200)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds that the reviewer takes for a record")
    parser.add_argument("--model", default="fast")


def made_review(path: Path, n_records: int, n_labels: int) -> Project:
    """Make a review of made-up records, so many of them judged by ann."""
    rng = np.random.default_rng(0)
    project = Project.create(path, protocols.template())
    project.records.add(
        made_up(n_records, rng),
        range(n_records),
        name="a.ris",
        source="a",
        format="ris",
        sha256="0",
        announced=n_records,
        problems=[],
    )
    stage = commit_audit(project).stage()
    ids = rng.permutation(stage.record_ids)[:n_labels].tolist()
    project.log.show(
        stage.name, ids, [Origin.RANKED] * len(ids), range(n_records, n_records - len(ids), -1), reviewer="ann"
    )
    project.log.decide(
        stage.name,
        [
            {"record_id": i, "label": Label.INCLUDE if i % 20 == 1 else Label.EXCLUDE, "origin": Origin.RANKED}
            for i in ids
        ],
        reviewer="ann",
    )
    return project


def run(args: argparse.Namespace) -> None:
    """Print the waits."""
    with tempfile.TemporaryDirectory() as folder:
        project = made_review(Path(folder) / "bench.triage", args.records, args.labels)
        began = time.perf_counter()
        with open_session(project, reviewer="ann", preset=args.model) as (session, _):
            print(f"opened in {time.perf_counter() - began:.1f} s")
            trainings, train = [], session._train

            def timed(*labels):
                start = time.perf_counter()
                made = train(*labels)
                trainings.append(time.perf_counter() - start)
                return made

            session._train = timed
            waits, decides, under_way = [], [], 0
            row = session.next().row
            for i in range(args.decisions):
                start = time.perf_counter()
                session.decide(row, Label.INCLUDE if i % 10 == 0 else Label.EXCLUDE)
                middle = time.perf_counter()
                row = session.next().row
                end = time.perf_counter()
                under_way += session._under_way is not None
                decides.append(middle - start)
                waits.append(end - middle)
                time.sleep(args.pause)
        both = np.array(waits) + np.array(decides)
        for name, seconds in (("next()", waits), ("decide() and next()", both), ("a training", trainings)):
            p50, p95, most = np.quantile(seconds, [0.5, 0.95, 1]) * 1000
            print(f"{name:20} median {p50:7.1f} ms, 95 % {p95:7.1f} ms, longest {most:7.1f} ms")
        print(f"a training was under way at {under_way} of {args.decisions} decisions; {len(trainings)} were done")
