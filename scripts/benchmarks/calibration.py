"""Put the promises of `triage.recall` to the test: coverage and cost of every stopping rule.

Usage:
    python scripts/benchmarks/calibration.py FOLDER [--runs FOLDER] [--only replay,judge,synthetic,write] [--parts tune,report]
        [--seeds 5] [--permutations 20] [--stress 20000] [--doc docs/calibration.md]

FOLDER holds the parts, each a folder of CSV tables with title, abstract and label (0/1). Four steps, each
of which goes on where it was stopped, its results kept under --runs (build/calibration when left out):

replay     Each review is screened to exhaustion with ELAS u4 (batch auto, one relevant and one irrelevant
           prior drawn with the learner's seed), once by ranking alone, and with audits once for each target
           and permutation of the audit: the policy of when to audit depends on the target.
judge      Every rule is asked when it would first have stopped, at every target and confidence, and the
           estimates and forecasts are compared with what came.
synthetic  20,000 reviews a cell without a learner, side by side: rankings that are random, reversed or hide a
           cluster; from no relevant record to 300; labels that are wrong; a look after every record, every
           tenth and every fiftieth.
write      The tables and pictures of the document.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import gammaln

from triage import bundled, recall, simulation
from triage.log import History
from triage.ranking.held_out import held_out_scores
from triage.ranking.review import ReviewModel
from triage.screeners import exact_share
from triage.stopping_rules import RULES, promise_in_words

TARGETS = (0.8, 0.9, 0.95)  # each has replays of its own; .99 is judged on those of .95
JUDGED = (0.8, 0.9, 0.95, 0.99)
CONFIDENCES = (0.8, 0.9, 0.95)
LOOK = 25  # records between two looks of cmh
# The rules that need nothing but the run of the ranking: neither draws, nor scores, nor another level at each look.
ASKED_ALONE = [
    name
    for name, row in RULES.items()
    if name != "cmh" and not row.load().needs_scores and recall.policy_of(name, 0.95, 0.95) is None
]
SMALL = 500  # records: the costs are compared on reviews with as many


# -- replays of labelled reviews --------------------------------------------------------------


@dataclass(frozen=True)
class Review:
    """A labelled review and its ranking model."""

    part: str
    name: str
    y: np.ndarray
    model: ReviewModel

    def priors(self, seed: int) -> list[int]:
        """Return one relevant and one irrelevant row, drawn with the learner's seed."""
        rng = np.random.default_rng([seed, 0])
        return [int(rng.choice(np.flatnonzero(self.y == label))) for label in (1, 0)]


def reviews(folder: Path, parts: list[str]) -> Iterator[Review]:
    """Read the reviews of the parts, the smallest first."""
    from triage import features

    tables = [(part, table) for part in parts for table in (folder / part).glob("*.csv")]
    for part, table in sorted(tables, key=lambda t: t[1].stat().st_size):
        records, y = simulation.read_labelled(table, "label")
        texts = features.Texts.of([r.title for r in records], [r.abstract for r in records])
        yield Review(part, table.stem, y, ReviewModel(texts, "elas-u4", None, cache_dir=bundled.user_cache_dir()))


def replay(review: Review, seed: int, permutation: int, policy: recall.Policy | None) -> dict[str, np.ndarray]:
    """Screen a review to its end; return its rows, labels and audit draws in the order of screening."""
    scorer = review.model.fresh()
    run = simulation.replay(
        review.y,
        lambda rows, y: scorer(rows, y) if 0 < y.sum() < len(y) else None,
        prior_rows=review.priors(seed),
        start=np.arange(len(review.y)),
        retrain_after=lambda labelled: max(1, labelled // 20),
        policy=policy,
        permutation=np.random.default_rng([seed, 2, permutation]).permutation(len(review.y)),
    )
    return {"rows": run.order.astype(np.int32), "y": run.labels.astype(np.int8), "audit": run.origin == "audit"}


def replay_all(args: argparse.Namespace) -> None:
    """Make every replay that is not there yet: all reviews with one permutation, then with the next."""
    known = list(reviews(args.folder, args.parts))
    for permutation in range(args.permutations):
        for review in known:
            for seed in range(args.seeds):
                file = args.runs / "replays" / f"{review.part}.{review.name}.{seed}.{permutation}.npz"
                if file.exists():
                    continue
                made = {}
                if permutation == 0:
                    made["ranking"] = replay(review, seed, 0, None)
                    for target in TARGETS:
                        for rule, name in (("fixed-audit", "fixed"), ("ranked-e", "ranked-e")):
                            policy = recall.policy_of(rule, target, 0.95)
                            made[f"{name} {target}"] = replay(review, seed, 0, policy)
                for target in TARGETS:
                    policy = recall.policy_of("audit-e", target, 0.95)
                    made[f"audit {target}"] = replay(review, seed, permutation, policy)
                _save(file, {f"{name}/{key}": value for name, run in made.items() for key, value in run.items()})
            print(f"replayed {review.name}, permutation {permutation}", file=sys.stderr, flush=True)


def _save(file: Path, arrays: dict[str, np.ndarray]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partly = file.with_suffix(".partly.npz")
    np.savez_compressed(partly, **arrays)
    partly.replace(file)


# -- judging the rules ------------------------------------------------------------------------


def as_history(run: dict[str, np.ndarray], end: int, total: int) -> History:
    """Return what a rule may see after so many records."""
    return History.of(np.arange(end), run["y"][:end], np.where(run["audit"][:end], "audit", "ranked"), n_records=total)


def first_stop(says_stop: Callable[[History], bool], run: dict[str, np.ndarray], looks: list[int]) -> int:
    """Return at which look a rule first says stop; the number of all records where it never does."""
    total = len(run["y"])
    return next((end for end in looks if end < total and says_stop(as_history(run, end, total))), total)


def first_stop_for_good(says_stop: Callable[[History], bool], run: dict[str, np.ndarray]) -> int:
    """Return when a rule that never takes a stop back first says it, looking after every record."""
    low, high = 1, len(run["y"])
    while low < high:
        middle = (low + high) // 2
        if says_stop(as_history(run, middle, len(run["y"]))):
            high = middle
        else:
            low = middle + 1
    return low


def judge(review: Review, seed: int, permutation: int, runs: dict[str, dict[str, np.ndarray]]) -> dict[str, list]:
    """Return when each rule would have stopped, and what the estimates and forecasts were worth."""
    stops, covered = [], []
    relevant, total = int(next(iter(runs.values()))["y"].sum()), len(next(iter(runs.values()))["y"])

    def note(rule: str, target: float, confidence: float, run: dict[str, np.ndarray], at: int) -> None:
        stops.append(
            {
                "rule": rule,
                "target": target,
                "confidence": confidence,
                "at": at,
                "recall": float(run["y"][:at].sum() / relevant),
                "audits": int(run["audit"][:at].sum()),
            }
        )

    every = list(range(LOOK, total, LOOK))
    for target in JUDGED:
        run = runs[f"audit {min(target, TARGETS[-1])}"]
        for confidence in CONFIDENCES:
            note(
                "audit-e",
                target,
                confidence,
                run,
                first_stop_for_good(lambda h: recall.evidence.is_certified(h, target, confidence), run),
            )
        if target in TARGETS:
            draws = recall.audit_draws(as_history(run, total, total))
            covered.append({"target": target, "highest": float(recall.highest_log_evidence(draws, float(relevant)))})
    if "ranking" not in runs:
        return {"stops": stops, "covered": covered}
    ranked = runs["ranking"]
    gain = np.cumsum(ranked["y"])
    scored = _scored(review, seed, ranked, [round(share * total) for share in np.arange(0.05, 1, 0.05)])
    for target in JUDGED:
        note("oracle", target, 1.0, ranked, int(np.searchsorted(gain, math.ceil(target * relevant - 1e-9))) + 1)
        drawn = runs[f"ranked-e {min(target, TARGETS[-1])}"]
        for confidence in CONFIDENCES:
            rule = recall.RankedERule(target, confidence)
            note("ranked-e", target, confidence, drawn, first_stop_for_good(lambda h: rule(h).stop, drawn))
            note(
                "ranked-e without draws",
                target,
                confidence,
                ranked,
                first_stop_for_good(lambda h: rule(h).stop, ranked),
            )
        for title, run in (("cmh", ranked), ("cmh on the audited run", runs[f"audit {min(target, TARGETS[-1])}"])):
            p = [recall.CmhRule(target, 0.95).p_value(as_history(run, end, total)) for end in every]
            for confidence in CONFIDENCES:
                low = [end for end, value in zip(every, p, strict=True) if value < 1 - confidence]
                note(title, target, confidence, run, min(low, default=total))
                low = [
                    end
                    for look, (end, value) in enumerate(zip(every, p, strict=True), 1)
                    if value < (1 - confidence) / (look * (look + 1))
                ]
                if run is ranked:
                    note("cmh, looks corrected", target, confidence, run, min(low, default=total))
        for name in ASKED_ALONE:
            rule = recall.rule_of(name, target, 0.95)
            note(name, target, 0.95, ranked, first_stop(lambda h: rule(h).stop, ranked, every))
        rule = recall.QuantRule(target, 0.95)
        note(
            "quant",
            target,
            0.95,
            ranked,
            next(
                (
                    end
                    for end, (scores, held_out) in scored.items()
                    if rule(as_rows(ranked, end, total), scores, held_out).stop
                ),
                total,
            ),
        )
        if target in TARGETS:
            fixed = runs[f"fixed {target}"]
            rule = recall.FixedAuditRule(target, 0.95)
            note("fixed-audit", target, 0.95, fixed, first_stop_for_good(lambda h: rule(h).stop, fixed))
    return {"stops": stops, "covered": covered, "points": points(review, seed, runs)}


def as_rows(run: dict[str, np.ndarray], end: int, total: int) -> History:
    """Return a history that knows the rows, which scores need."""
    place = np.argsort(np.argsort(run["rows"]))
    return History.of(place[:end], run["y"][:end], np.where(run["audit"][:end], "audit", "ranked"), n_records=total)


def _scored(
    review: Review, seed: int, run: dict[str, np.ndarray], ends: list[int]
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return the scores and held-out scores of a model trained after so many records, by the run's own rows."""
    rest, made = np.sort(run["rows"]), {}
    priors = np.array(review.priors(seed))
    for end in ends:
        rows = np.concatenate([priors, run["rows"][:end]])
        labels = review.y[rows]
        scores = review.model.fresh()(rows, labels)
        if scores is not None:
            held_out = held_out_scores(review.model.fresh(), len(review.y), rows, labels)
            made[end] = (scores[rest], held_out[rest])
    return made


def points(review: Review, seed: int, runs: dict[str, dict[str, np.ndarray]]) -> list[dict]:
    """Compare estimates and forecasts with what came, from the first audit draw to the certificate.

    They are taken at the first audit draw and after every further 5 % of the records.
    """
    told = []
    for target in TARGETS:
        run = runs[f"audit {target}"]
        total, relevant = len(run["y"]), int(run["y"].sum())
        end = first_stop_for_good(lambda h: recall.evidence.is_certified(h, target, 0.95), run)
        begin = int(np.argmax(run["audit"])) if run["audit"].any() else end
        step = max(10, total // 20)
        for at, (scores, held_out) in _scored(review, seed, run, list(range(begin, end, step))).items():
            history = as_rows(run, at, total)
            estimates = {
                "scores": recall.estimate_from_scores(history, scores, held_out, 0.9),
                "curve": recall.estimate_from_curve(history, 0.9),
            }
            one = {"target": target, "at": at, "left": end - at, "found": history.n_found, "relevant": relevant}
            for name, e in estimates.items():
                if e is not None:
                    one[name] = [e.relevant_total, history.n_found / e.upper, history.n_found / max(e.lower, 1e-9)]
            ahead = recall.forecast(
                history,
                target,
                0.95,
                np.random.default_rng(0),
                estimate=estimates["scores"],
                policy=recall.policy_of("audit-e", target, 0.95),
            )
            one["forecast"] = [ahead.p10, ahead.p50, ahead.p90, ahead.zero_hit]
            told.append(one)
    return told


def judge_all(args: argparse.Namespace) -> None:
    """Judge every replay that is not judged yet."""
    for review in reviews(args.folder, args.parts):
        for file in sorted((args.runs / "replays").glob(f"{review.part}.{review.name}.*.npz")):
            to = args.runs / "judged" / f"{file.stem}.json"
            if to.exists() or file.stem.endswith(".partly"):
                continue
            runs: dict[str, dict[str, np.ndarray]] = {}
            with np.load(file) as arrays:
                for key in arrays.files:
                    name, part = key.split("/")
                    runs.setdefault(name, {})[part] = arrays[key]
            seed, permutation = map(int, file.stem.split(".")[-2:])
            about = {
                "part": review.part,
                "set": review.name,
                "seed": seed,
                "permutation": permutation,
                "records": len(runs["audit 0.95"]["y"]),
                "relevant": int(runs["audit 0.95"]["y"].sum()),
            }
            _write(to, {**about, **judge(review, seed, permutation, runs)})
        print(f"judged {review.name}", file=sys.stderr, flush=True)


def _write(file: Path, facts: dict) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partly = file.with_suffix(".partly")
    partly.write_text(json.dumps(facts), encoding="utf-8")
    partly.replace(file)


# -- many reviews without a learner, side by side ---------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One condition of the synthetic reviews.

    Attributes
    ----------
    ranking : {"good", "random", "reversed", "hidden"}
    records, relevant : int
    hidden : float
        The share of the relevant records that the ranking puts last.
    false_negative, false_positive : float
        The shares of relevant and irrelevant records with the wrong label.
    target : float
        That of the policy.
    """

    ranking: str
    records: int
    relevant: int
    hidden: float = 0.0
    false_negative: float = 0.0
    false_positive: float = 0.0
    target: float = 0.95

    @property
    def no_worse(self) -> bool:
        """Whether no ranked record is less likely relevant than a random one."""
        return self.ranking in ("good", "random")

    @property
    def name(self) -> str:
        shown = f"{self.ranking}{f' {100 * self.hidden:.2g} %' if self.hidden else ''}"
        if self.false_negative or self.false_positive:
            shown += f", flips {100 * self.false_negative:g}/{100 * self.false_positive:g} %"
        return f"{shown} | {self.records} | {self.relevant} | {self.target:g}"


SIZES = ((300, 0), (1000, 1), (1000, 3), (1000, 10), (1000, 30), (300, 30), (500, 100), (1500, 300))


def cells() -> list[Cell]:
    """Return every condition."""
    made = [Cell(ranking, n, r) for ranking in ("good", "random", "reversed") for n, r in SIZES]
    made += [Cell("hidden", n, r, share) for share in (0.05, 0.12, 0.25) for n, r in SIZES if share * r >= 1]
    made += [Cell("random", 500, 100, target=t) for t in (0.8, 0.99)]
    made += [Cell("reversed", 500, 100, target=t) for t in (0.8, 0.99)]
    made += [
        Cell(ranking, 1000, 30, share, fn, fp)
        for ranking, share in (("good", 0.0), ("hidden", 0.12))
        for fn, fp in ((0.05, 0.0), (0.1, 0.01))
    ]
    # The truth on the boundary: with all found but the hidden ones, one more missed than the target allows.
    for target, found in ((0.8, 80), (0.9, 90), (0.95, 95)):
        missed = recall.least_missed(found, target)
        made.append(Cell("hidden", 1000, found + missed, missed / (found + missed), target=target))
    return made


class Batch:
    """Reviews of one cell side by side: one number of each array is one review's."""

    def __init__(self, cell: Cell, runs: int, rng: np.random.Generator) -> None:
        n = cell.records
        truth = np.zeros((runs, n), bool)
        truth[:, : cell.relevant] = True
        noise = rng.standard_normal((runs, n))
        hidden = round(cell.hidden * cell.relevant)
        lift = {"random": 0.0, "reversed": -50.0}.get(cell.ranking, 2.5)
        scores = noise + lift * truth
        scores[:, :hidden] -= 50.0
        flipped = rng.random((runs, n)) < np.where(truth, cell.false_negative, cell.false_positive)
        order = np.argsort(-scores, axis=1)
        self.y = np.take_along_axis(truth ^ flipped, order, axis=1)
        self.truth = np.take_along_axis(truth, order, axis=1)
        self.permutation = np.argsort(rng.random((runs, n)), axis=1).astype(np.int16)
        self.cell, self.runs, self.n = cell, runs, n

    def screen(self, trace: int = 0) -> dict[str, np.ndarray]:
        """Screen all to exhaustion; return the highest evidence against the true total, by how often one looks.

        The first `trace` reviews are returned record by record too.
        """
        cell, runs, n = self.cell, self.runs, self.n
        weights, policy = recall.AuditE(), recall.Policy(cell.target, 0.95)
        bets, v, decay = np.array(weights.bets), np.array(weights.weights), weights.decay
        each = np.arange(runs)
        total = self.y.sum(axis=1).astype(float)  # of the labels given
        shown = np.zeros((runs, n), bool)
        by_rank, by_draw = np.zeros(runs, np.int64), np.zeros(runs, np.int64)
        found, run = np.zeros(runs), np.zeros(runs)
        auditing, again = np.zeros(runs, bool), np.zeros(runs, bool)
        plateau = np.full(runs, float(max(50, math.ceil(n / 20))))
        grown = np.full((runs, len(bets)), 1 - decay)
        epoch = np.zeros(runs)
        conditional = Runs(runs, cell, int(total.max()))
        highest = {every: np.zeros(runs) for every in (1, 10, 50)}
        below = np.zeros(runs)  # the highest evidence while recall was still below the target
        steps = []
        for at in range(n):
            auditing |= run >= plateau
            place = np.empty(runs, np.int64)
            for which, cursor, row_of in (
                (~auditing, by_rank, lambda rows, c: c),
                (auditing, by_draw, lambda rows, c: self.permutation[rows, c]),
            ):
                rows = np.flatnonzero(which)
                pending = rows
                while len(pending):
                    taken = shown[pending, row_of(pending, cursor[pending])]
                    pending = pending[taken]
                    cursor[pending] += 1
                place[rows] = row_of(rows, cursor[rows])
            hit = self.y[each, place]
            shown[each, place] = True
            p = (total - found) / (n - at)
            miss = ~hit
            safe = np.where(miss, p, 0.0)[:, None]
            growth = np.where(hit[:, None], bets, (1 - bets * safe) / (1 - safe))
            began = np.where(hit, (1 - decay) * decay ** (epoch + 1), 0.0)[:, None]
            grown = np.where(auditing[:, None], grown * growth + began, grown)
            epoch += auditing & hit
            evidence = grown @ v
            for every in (1, 10, 50):
                if (at + 1) % every == 0:
                    np.maximum(highest[every], evidence, out=highest[every])
            found += hit
            missing = found < cell.target * total - 1e-9
            below = np.where(missing, np.maximum(below, highest[1]), below)
            if cell.no_worse:
                conditional.screen(hit, found.astype(np.int64), n - at - 1, missing)
            steps.append((place[:trace].copy(), auditing[:trace].copy()))
            again |= auditing
            run = np.where(hit, 0.0, run + ~auditing)
            auditing &= ~hit
            if hit.any():
                missed = np.minimum(np.floor(found / cell.target + 1e-9) - found + 1, n - at - 1)
                share = -np.expm1(math.log(0.05) / np.maximum(missed, 1))
                audit = np.clip((n - at - 1 - (missed - 1) / 2) * share, 0, n)
                full = np.maximum(policy.least, np.ceil(policy.share * audit))
                plateau = np.where(hit, np.where(again, np.ceil(policy.again * full), full), plateau)
        return {"highest": highest, "below": below, "total": total, "steps": steps, "conditional": conditional}


class Runs:
    """The runs of ranked-e, side by side, at 95 % confidence.

    Attributes
    ----------
    needed, left : ndarray of int, shape (runs, most relevant records + 1)
        Of the run that began with each number of relevant records found: its length, and the records left then.
    false : ndarray of bool, shape (runs,)
        Whether the rule stopped while recall was below the target.
    """

    def __init__(self, runs: int, cell: Cell, most: int) -> None:
        self.target = cell.target
        self.log_factorial = gammaln(np.arange(cell.records + 2) + 1.0)
        self.needed, self.left = (np.zeros((runs, most + 1), np.int64) for _ in range(2))
        self.misses, self.false = np.zeros(runs, np.int64), np.zeros(runs, bool)

    def screen(self, hit: np.ndarray, found: np.ndarray, left: int, missing: np.ndarray) -> None:
        """Take one record of every review in; `found` and `left` are those after it."""
        self.misses = np.where(hit, 0, self.misses + 1)
        if hit.any():
            self._begin(np.flatnonzero(hit), found[hit], left)
        needed = self.needed[np.arange(len(found)), found]
        self.false |= (self.misses >= needed) & (needed > 0) & missing

    def _begin(self, review: np.ndarray, found: np.ndarray, left: int) -> None:
        least = np.floor(found / self.target + 1e-9).astype(np.int64) + 1
        before = np.arange(1, found.max())
        chance = np.exp(
            self._log_no_hit(
                self.left[review[:, None], before], least[:, None] - before, self.needed[review[:, None], before]
            )
        )
        spent = np.where(before < found[:, None], chance, 0.0).sum(axis=1)
        relevant = least - found
        low, high = np.ones_like(found), left - relevant + 1
        possible = relevant <= left
        while (going := possible & (low < high)).any():
            draws = np.where(going, (low + high) // 2, 1)
            enough = np.exp(self._log_no_hit(np.full_like(found, left), relevant, draws)) <= 0.05 - spent
            low, high = np.where(going & ~enough, draws + 1, low), np.where(going & enough, draws, high)
        self.left[review, found], self.needed[review, found] = left, np.where(possible, low, left + 1)

    def _log_no_hit(self, left: np.ndarray, relevant: np.ndarray, draws: np.ndarray) -> np.ndarray:
        possible = draws <= left - relevant
        short, relevant = np.where(possible, draws, 0), np.minimum(relevant, left)
        log_p = (
            self.log_factorial[left - relevant]
            - self.log_factorial[left - relevant - short]
            - self.log_factorial[left]
            + self.log_factorial[left - short]
        )
        return np.where(possible, log_p, -np.inf)


def stress_cell(cell: Cell, runs: int, seed: int) -> dict:
    """Screen so many reviews of a cell; count those in which the true total was ever rejected."""
    rng = np.random.default_rng([seed, runs])
    rejected: dict[str, dict[str, int]] = {}
    false, conditional, agreed, done = 0, 0, 0.0, 0
    while done < runs:
        batch = Batch(cell, min(2000, runs - done), rng)
        seen = batch.screen(trace=3 if done == 0 else 0)
        if done == 0:
            agreed = _disagreement(batch, seen)
        done += batch.runs
        for every, highest in seen["highest"].items():
            for confidence in CONFIDENCES:
                where = rejected.setdefault(str(every), {})
                bad = int((highest >= 1 / (1 - confidence) * (1 - 1e-12)).sum())
                where[str(confidence)] = where.get(str(confidence), 0) + bad
        false += int((seen["below"] >= 20 * (1 - 1e-12)).sum())
        conditional += int(seen["conditional"].false.sum())
    return {
        "cell": cell.name,
        "runs": runs,
        "rejected": rejected,
        "false": false,
        "conditional": conditional if cell.no_worse else None,
        "disagreement": agreed,
    }


def _disagreement(batch: Batch, seen: dict) -> float:
    """Return by how much the evidence here differs from the package's, in the traced reviews."""
    largest = 0.0
    for review in range(len(seen["steps"][0][0])):
        places = np.array([place[review] for place, _ in seen["steps"]])
        audit = np.array([auditing[review] for _, auditing in seen["steps"]])
        run = {"y": batch.y[review][places].astype(np.int8), "audit": audit}
        history, total = as_history(run, batch.n, batch.n), float(seen["total"][review])
        if audit.any():
            ours = float(recall.highest_log_evidence(recall.audit_draws(history), total))
            largest = max(largest, abs(math.log(max(seen["highest"][1][review], 1e-300)) - ours))
        if batch.cell.no_worse:
            rule, needed = recall.RankedERule(batch.cell.target, 0.95), seen["conditional"].needed[review]
            for found, theirs in enumerate(rule.runs(history), 1):
                if (theirs.needed or needed[found]) != needed[found]:
                    raise RuntimeError(f"{batch.cell.name}: a run of {needed[found]} here, of {theirs.needed} there")
    return largest


def stress_all(args: argparse.Namespace) -> None:
    """Screen every cell that is not there yet."""
    for number, cell in enumerate(cells()):
        file = args.runs / "stress" / f"{number}.{args.stress}.json"
        if not file.exists():
            began = time.perf_counter()
            _write(file, stress_cell(cell, args.stress, number))
            print(f"{cell.name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


# -- the document -----------------------------------------------------------------------------

EARLY_STOP_IMPOSSIBLE = ("chou_2004", "oud_2018")
PROMISES = {
    "oracle": "none: it knows the labels",
    **{name: promise_in_words(row) for name, row in RULES.items()},
    "ranked-e without draws": "conditional, any look",
    "cmh, looks corrected": "conditional, any look",
    "cmh on the audited run": promise_in_words(RULES["cmh"]),
}


def interval(bad: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of 1 - bad / n."""
    kept = exact_share(n - bad, n, confidence)
    return kept.lower, kept.upper


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in [head, *rows]]
    return [lines[0], "|" + "---|" * len(head), *lines[1:], ""]


def _by_set(judged: list[dict], rule: str, target: float, confidence: float) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for one in judged:
        for stop in one["stops"]:
            if (stop["rule"], stop["target"], stop["confidence"]) == (rule, target, confidence):
                found.setdefault(one["set"], []).append(stop | {"records": one["records"]})
    return found


def _cost(by_set: dict[str, list[dict]], names: list[str]) -> float:
    return float(np.mean([np.mean([s["at"] / s["records"] for s in by_set[name]]) for name in names]))


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def write(args: argparse.Namespace) -> None:
    """Write the tables of the document between its markers, and the pictures beside it."""
    judged = [json.loads(f.read_text(encoding="utf-8")) for f in sorted((args.runs / "judged").glob("*.json"))]
    stress = [
        json.loads(f.read_text(encoding="utf-8"))
        for f in sorted((args.runs / "stress").glob(f"*.{args.stress}.json"), key=lambda f: int(f.name.split(".")[0]))
    ]
    parts = {
        "synthetic": stress_tables(stress),
        "coverage": coverage_tables(judged),
        "cost": cost_tables(judged),
        "rules": rule_tables(judged),
        "points": point_tables(judged),
    }
    text = args.doc.read_text(encoding="utf-8")
    for name, lines in parts.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        head, rest = text.split(begin)
        text = head + begin + "\n" + "\n".join(lines).rstrip() + "\n" + end + rest.split(end)[1]
    args.doc.write_text(text, encoding="utf-8")
    pictures(judged, args.doc.parent)


def _covered(bad: int, runs: int) -> str:
    return f"{100 * (1 - bad / runs):.2f} ({100 * interval(bad, runs)[0]:.2f})"


def stress_tables(stress: list[dict]) -> list[str]:
    """Return the coverage of every synthetic cell, the worst looks first."""
    rows, runs = [], stress[0]["runs"]
    worst: dict[float, tuple[float, str]] = {}
    for one in stress:
        cells_of = []
        for confidence in CONFIDENCES:
            bad = one["rejected"]["1"][str(confidence)]
            low, _ = interval(bad, one["runs"])
            if confidence not in worst or low < worst[confidence][0]:
                worst[confidence] = (low, one["cell"])
            cells_of.append(_covered(bad, one["runs"]))
        ten, fifty = (one["rejected"][every]["0.95"] for every in ("10", "50"))
        conditional = one["conditional"]
        rarer = [f"{100 * (1 - bad / one['runs']):.2f}" for bad in (ten, fifty)]
        rows.append(
            [
                *one["cell"].split(" | "),
                *cells_of,
                *rarer,
                f"{100 * one['false'] / one['runs']:.2f}",
                "–" if conditional is None else _covered(conditional, one["runs"]),
            ]
        )
    lines = [
        f"{len(stress)} cells, {runs:,} runs in each. The lowest lower bounds (95 % Clopper-Pearson) of the "
        "time-uniform coverage with a look after every record: "
        + "; ".join(
            f"{100 * low:.2f} % for a promise of {100 * c:g} % ({cell.replace(' | ', ', ')})"
            for c, (low, cell) in sorted(worst.items())
        )
        + ". The vectorised evidence differs from the package's "
        f"own by {max(one['disagreement'] for one in stress):.1e} at most (three runs of each cell).",
        "",
    ]
    return lines + table(
        [
            "ranking",
            "records",
            "relevant",
            "policy's target",
            "80 %",
            "90 %",
            "95 %",
            "95 %, look every 10",
            "every 50",
            "false at 95 %",
            "ranked-e, 95 %",
        ],
        rows,
    )


def coverage_tables(judged: list[dict]) -> list[str]:
    """Return how often the truth was never rejected, review by review."""
    rows = []
    for name in dict.fromkeys(one["set"] for one in judged):
        mine = [one for one in judged if one["set"] == name]
        row = [name, mine[0]["part"], str(mine[0]["records"]), str(mine[0]["relevant"]), str(len(mine))]
        for target in TARGETS:
            bad = [
                c["highest"] >= -math.log(0.05) - 1e-12 for one in mine for c in one["covered"] if c["target"] == target
            ]
            low, high = interval(sum(bad), len(bad))
            row.append(f"{100 * (1 - np.mean(bad)):.1f} ({100 * low:.1f} to {100 * high:.1f})")
        for confidence in CONFIDENCES[:2]:
            bad = [c["highest"] >= -math.log1p(-confidence) - 1e-12 for one in mine for c in one["covered"]]
            row.append(f"{100 * (1 - np.mean(bad)):.1f}")
        early = [s for t in TARGETS for s in _by_set(mine, "audit-e", t, 0.95)[name] if s["at"] < s["records"]]
        short = sum(1 for s in early if s["recall"] < s["target"] - 1e-9)
        least = min((s["recall"] - s["target"] for s in early), default=math.nan)
        row += [f"{short} of {len(early)}", f"{least:+.3f}"]
        rows.append(row)
    return table(
        [
            "review",
            "part",
            "records",
            "relevant",
            "permutations",
            "95 %, target 80 %",
            "95 %, target 90 %",
            "95 %, target 95 %",
            "80 %, all targets",
            "90 %, all targets",
            "early stops below the target",
            "least recall over target",
        ],
        rows,
    )


def cost_tables(judged: list[dict]) -> list[str]:
    """Return the mean share screened on the larger reviews."""
    lines = []
    big = {
        part: list(dict.fromkeys(o["set"] for o in judged if part in ("both", o["part"]) and o["records"] >= SMALL))
        for part in ("tune", "report", "both")
    }
    groups = [
        ("tune", big["tune"]),
        ("report", big["report"]),
        ("tune and report", big["both"]),
        ("tune and report without chou_2004 and oud_2018", [n for n in big["both"] if n not in EARLY_STOP_IMPOSSIBLE]),
    ]
    for title, names in groups:
        lines += [f"**{title}**: " + ", ".join(names), ""]
        rows = []
        for rule in (
            "oracle",
            "cmh",
            "audit-e",
            "fixed-audit",
            "ranked-e",
            "ranked-e without draws",
            "cmh, looks corrected",
            "cmh on the audited run",
        ):
            costs = []
            for target in JUDGED:
                by_set = _by_set(judged, rule, target, 1.0 if rule == "oracle" else 0.95)
                costs.append(_cost(by_set, names) if by_set else None)
            rows.append([rule, PROMISES[rule], *map(_share, costs)])
            if rule == "cmh":
                plain = costs
            if rule == "audit-e":
                over = ["–" if a is None or b is None else f"{100 * (a - b):+.1f}" for a, b in zip(costs, plain)]
        rows.append(["audit-e less cmh", "points", *over])
        lines += table(["rule", "promise", *(f"{100 * t:g} %" for t in JUDGED)], rows)
    lines += ["Review by review, audit-e at 95 % confidence, and what it costs over plain cmh in points:", ""]
    rows = []
    for name in dict.fromkeys(o["set"] for o in judged):
        row = [name]
        for target in TARGETS:
            ours = _by_set(judged, "audit-e", target, 0.95)[name]
            theirs = _by_set(judged, "cmh", target, 0.95)[name]
            best = _by_set(judged, "oracle", target, 1.0)[name]
            mean, cmh, oracle = (np.mean([s["at"] / s["records"] for s in some]) for some in (ours, theirs, best))
            longest = max(s["at"] / s["records"] for s in ours)
            row += [
                f"{100 * mean:.1f}",
                f"{100 * longest:.1f}",
                f"{100 * (mean - cmh):+.1f}",
                f"{100 * (mean - oracle):.1f}",
                f"{np.mean([s['audits'] for s in ours]):.0f}",
            ]
        rows.append(row)
    return lines + table(
        [
            "review",
            *(
                f"{100 * t:g} %: {what}"
                for t in TARGETS
                for what in ("mean", "worst run", "over cmh", "over the oracle", "audit draws")
            ),
        ],
        rows,
    )


def rule_tables(judged: list[dict]) -> list[str]:
    """Return all rules side by side."""
    lines = []
    names = list(dict.fromkeys(o["set"] for o in judged))
    for target in JUDGED:
        rows = []
        for rule, promise in PROMISES.items():
            by_set = _by_set(judged, rule, target, 1.0 if rule == "oracle" else 0.95)
            if not by_set:
                continue
            runs = [s for name in names for s in by_set[name]]
            reached = {name: np.mean([s["recall"] >= target - 1e-9 for s in by_set[name]]) for name in names}
            worst = min(reached, key=reached.__getitem__)
            oracle = _cost(_by_set(judged, "oracle", target, 1.0), names)
            early = [s for s in runs if s["at"] < s["records"]]
            rows.append(
                [
                    rule,
                    promise,
                    str(len(runs)),
                    _share(float(np.mean(list(reached.values())))),
                    f"{_share(reached[worst])} ({worst})" if reached[worst] < 1 else "100.0",
                    f"{min(s['recall'] for s in runs):.3f}",
                    _share(_cost(by_set, names)),
                    f"{100 * (_cost(by_set, names) - oracle):+.1f}",
                    _share(len(early) / len(runs)),
                    f"{np.mean([s['audits'] for s in runs]):.0f}",
                ]
            )
        lines += [f"Target {100 * target:g} %, confidence 95 %, all {len(names)} reviews:", ""]
        lines += table(
            [
                "rule",
                "promise",
                "runs",
                "target reached, % of runs",
                "worst review",
                "lowest recall",
                "screened, %",
                "over the oracle, points",
                "stopped early, %",
                "audit draws",
            ],
            rows,
        )
    return lines


def point_tables(judged: list[dict]) -> list[str]:
    """Return the worth of estimates and forecasts."""
    rows = []
    for part in ("tune", "report"):
        found = [(one, p) for one in judged if one["part"] == part for p in one.get("points", ())]
        for name in ("scores", "curve"):
            some = [(one, p) for one, p in found if name in p]
            error = [abs(p[name][0] - p["relevant"]) / p["relevant"] for _, p in some]
            covers = [p[name][1] - 1e-9 <= p["relevant"] <= p[name][2] + 1e-9 for _, p in some]
            by_set: dict[str, list[bool]] = {}
            for (one, _), held in zip(some, covers):
                by_set.setdefault(one["set"], []).append(held)
            worst = min(by_set, key=lambda n: np.mean(by_set[n]))
            rows.append(
                [
                    part,
                    f"relevant in all, by {name}, 90 %",
                    str(len(some)),
                    f"{100 * np.median(error):.1f}",
                    f"{100 * np.mean(covers):.1f}",
                    f"{100 * np.mean(by_set[worst]):.0f} ({worst})",
                ]
            )
        error = [abs(p["forecast"][1] - p["left"]) / max(p["left"], 1) for _, p in found]
        covers = [p["forecast"][0] <= p["left"] <= p["forecast"][2] for _, p in found]
        by_set = {}
        for (one, _), held in zip(found, covers):
            by_set.setdefault(one["set"], []).append(held)
        worst = min(by_set, key=lambda n: np.mean(by_set[n]))
        rows.append(
            [
                part,
                "records to the certificate, 80 %",
                str(len(found)),
                f"{100 * np.median(error):.1f}",
                f"{100 * np.mean(covers):.1f}",
                f"{100 * np.mean(by_set[worst]):.0f} ({worst})",
            ]
        )
    return table(
        ["part", "what, and its interval", "looks", "median relative error, %", "covered, %", "worst review"], rows
    )


def pictures(judged: list[dict], folder: Path) -> None:
    """Draw what each rule costs against what it reaches."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(o["set"] for o in judged))
    rules = list(PROMISES)[::-1]
    figure, axes = pyplot.subplots(1, len(TARGETS), figsize=(11, 4), sharey=True)
    for axis, target in zip(axes, TARGETS, strict=True):
        for height, rule in enumerate(rules):
            by_set = _by_set(judged, rule, target, 1.0 if rule == "oracle" else 0.95)
            reached = min(np.mean([s["recall"] >= target - 1e-9 for s in by_set[name]]) for name in names)
            cost = 100 * _cost(by_set, names)
            axis.barh(height, cost, color="#1b6f5c" if "certificate" in PROMISES[rule] else "#b9c0c4")
            axis.text(101, height, f"{100 * reached:.0f}", va="center", fontsize=8)
        axis.set_title(f"target {100 * target:g} %", fontsize=9)
        axis.set_xlabel("screened, % of the records", fontsize=8)
        axis.set_xlim(0, 112)
    axes[0].set_yticks(range(len(rules)), rules, fontsize=8)
    figure.suptitle(
        "What is screened, and (right) the runs that reach the target in the worst review, %; certificates in green",
        fontsize=9,
    )
    figure.tight_layout()
    figure.savefig(folder / "calibration.png", dpi=130)
    pyplot.close(figure)


STEPS = {"replay": replay_all, "judge": judge_all, "synthetic": stress_all, "write": write}


def main() -> None:
    """Run the steps asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--runs", type=Path, default=Path("build/calibration"))
    parser.add_argument("--only", default=",".join(STEPS))
    parser.add_argument("--parts", default="tune,report", type=lambda text: text.split(","))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--permutations", type=int, default=20)
    parser.add_argument("--stress", type=int, default=20_000)
    parser.add_argument("--doc", type=Path, default=Path("docs/calibration.md"))
    args = parser.parse_args()
    for step in args.only.split(","):
        STEPS[step](args)


if __name__ == "__main__":
    main()
