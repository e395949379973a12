"""What it costs to mix ranked records among the audit draws, on reviews that no result is reported on.

The program's own replay of the screening, with a ranking that stays as it was when the whole review had been screened
by rank, so that ranked records and draws are all that differs. Usage:

    python scripts/benchmarks/mixing.py FOLDER      (a folder with tune/*.csv: title, abstract, label)
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from calibration import TARGETS, first_stop_for_good, replay, reviews

from triage import recall, simulation

MIXES = (0, 10, 20, 40)
SEEDS, PERMUTATIONS, LEAST_RECORDS = 3, 4, 500


def cost(ranking: np.ndarray, target: float, mix: int, seed: int, permutation: int) -> float:
    """Return the share of records that are screened until the certificate, in percent."""
    n = len(ranking)
    policy = replace(recall.Policy(target, 0.95), mix=mix)
    order = np.random.default_rng([seed, 2, permutation]).permutation(n)
    run = simulation.replay(
        ranking,
        lambda rows, y: None,
        prior_rows=[],
        start=np.arange(n),
        retrain_after=lambda labelled: n,
        policy=policy,
        permutation=order,
    )
    rule = recall.rule_of("audit-e", target, 0.95)
    arrays = {"y": run.labels.astype(np.int8), "audit": run.origin == "audit"}
    return 100 * first_stop_for_good(lambda history: rule(history).stop, arrays) / n


def main() -> None:
    """Print the mean over the reviews, for each target and rate."""
    found: dict[tuple[float, int], list[float]] = {}
    for review in reviews(Path(sys.argv[1]), ["tune"]):
        if len(review.y) < LEAST_RECORDS:
            continue
        for target in TARGETS:
            for mix in MIXES:
                found.setdefault((target, mix), []).append(
                    float(
                        np.mean(
                            [
                                cost(ranking, target, mix, seed, permutation)
                                for seed, ranking in enumerate(
                                    replay(review, seed, 0, None)["y"] for seed in range(SEEDS)
                                )
                                for permutation in range(PERMUTATIONS)
                            ]
                        )
                    )
                )
        print(f"{review.name} done", file=sys.stderr, flush=True)
    for (target, mix), costs in found.items():
        print(
            f"target {target:.0%}, a ranked record after each {mix or 'no'} draws: {np.mean(costs):.2f} % of the records"
        )


if __name__ == "__main__":
    main()
