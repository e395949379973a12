"""Compare the stopping rules of `triage.recall` with those of buscarpy and pyterrier-tar.

Usage:
    python scripts/benchmarks/compare_stopping.py [--runs 400] [--seed 0]

Neither is a dependency of ours; they want an environment of their own, with `triage` beside them:

    python -m venv ENVIRONMENT && . ENVIRONMENT/bin/activate
    pip install . buscarpy==0.0.2 pyterrier-tar==0.1.2

Each run is a random sequence of labels: 60 to 800 records, up to a sixth of them relevant, in an order that is
random, good or very good, at one of three targets; p-values are compared after a random number of records, stops
over the whole sequence. Printed is the table of docs/calibration.md.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections import Counter

import numpy as np
from buscarpy import calculate_h0
from pyterrier_tar.rules import AnytimeCMH, CMHHeuristic, ConsecutiveIrrelevant, PoissonPoint

from triage import recall
from triage.log import History

LOOK = 25  # records between two looks of cmh
ROW = 50  # irrelevant records in a row
CLOSE = 1e-9


def sequence(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return labels in the order of screening, and a target."""
    n = int(rng.integers(60, 801))
    y = np.zeros(n, np.int8)
    y[: rng.integers(0, n // 6 + 1)] = 1
    order = np.argsort(-(rng.choice([0.0, 1.5, 3.0]) * y + rng.standard_normal(n)))
    return y[order], float(rng.choice([0.8, 0.9, 0.95]))


def p_values(y: np.ndarray, seen: int, target: float) -> dict[str, str]:
    """Say of each package how its p after so many records compares with ours."""
    ours = recall.CmhRule(target, 0.95).p_value(History.of(range(seen), y[:seen], n_records=len(y)))
    found = int(y[:seen].sum())
    case = "differs"
    if not found:
        case = "nothing relevant is found"
    elif recall.least_missed(found, target) > len(y) - seen:
        case = "the target is met by arithmetic"
    told = {}
    for name, theirs in (
        ("buscarpy", calculate_h0(y[:seen], len(y), recall_target=target)),
        ("pyterrier-tar", CMHHeuristic(target, len(y))._score(y[:seen])),
    ):
        if theirs is not None and abs(theirs - ours) <= CLOSE:
            told[name] = "agrees"
        else:
            shown = theirs if theirs is None or math.isnan(theirs) else "a p below .05" if theirs < 0.05 else "a p"
            told[name] = f"{case}: ours is {ours:.3g}, theirs {shown}"
    return told


def stops(y: np.ndarray, target: float) -> dict[str, tuple[int | None, int | None]]:
    """Return where each rule first stops, ours and pyterrier-tar's; None for never before the last record."""
    n = len(y)
    looks = range(LOOK, n, LOOK)
    every = range(1, n)
    pairs = (
        ("cmh", recall.CmhRule(target, 0.95), looks, CMHHeuristic(target, n, batch_size=LOOK, initial_documents=LOOK)),
        (
            "cmh with alpha/(k(k+1))",
            recall.CmhRule(target, 0.95, look_every=LOOK),
            looks,
            AnytimeCMH(target, n, batch_size=LOOK, initial_documents=LOOK),
        ),
        ("consecutive", recall.ConsecutiveRule(target, 0.95, ROW), every, ConsecutiveIrrelevant(ROW)),
        ("ip-p", recall.IpPRule(target, 0.95), looks, PoissonPoint(target, n)),
    )
    return {
        name: (
            next((k for k in at if rule(History.of(range(k), y[:k], n_records=n)).stop), None),
            None if (theirs := other._stop_position(y)) is None or theirs >= n else theirs,
        )
        for name, rule, at, other in pairs
    }


def main() -> None:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")  # of their fits, and of probabilities that are NaN
    rng = np.random.default_rng(args.seed)
    counts: dict[str, Counter] = {}
    for _ in range(args.runs):
        y, target = sequence(rng)
        for name, case in p_values(y, int(rng.integers(1, len(y))), target).items():
            counts.setdefault(f"cmh's p against {name}'s", Counter())[case] += 1
        for name, (ours, theirs) in stops(y, target).items():
            found = (
                "nothing relevant is found where theirs stops"
                if theirs and not y[:theirs].any()
                else (
                    "theirs never stops"
                    if theirs is None
                    else "ours never stops"
                    if ours is None
                    else "ours stops earlier"
                    if ours < theirs
                    else "theirs stops earlier"
                )
            )
            counts.setdefault(f"where {name} stops", Counter())["agrees" if ours == theirs else found] += 1
    print("| rule | agree | differ | how |\n|---|---|---|---|")
    for name, cases in counts.items():
        agree = cases.pop("agrees", 0)
        print(
            f"| {name} | {agree} | {cases.total()} | "
            + "; ".join(f"{n}: {case}" for case, n in cases.most_common())
            + " |"
        )


if __name__ == "__main__":
    main()
