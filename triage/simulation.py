"""Replays of labelled reviews: the live loop of `screening`, answered from known labels."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import features, metrics, protocol as protocols, ranking, recall
from .bundled import processors, user_cache_dir
from .errors import Faults, InputError, checked_share
from .formats import apart
from .log import History, Label, Origin, label_of, without_quotes
from .progress import Progress, Tick, no_progress
from .ranking.held_out import Scorer, held_out_scores
from .ranking.review import AS_NUMBER, ReviewModel, Teaching, criteria_of
from .records import Record
from .screening.pool import Pool
from .screening.session import Assignment, Session
from .stopping_rules import RULES, unknown
from .wording import plural

STARTS = ("criteria", "file", "random")


@dataclass(frozen=True, slots=True)
class Run:
    """One replay: the whole screening order after the priors, and where the rule stopped."""

    prior_rows: list[int]
    order: np.ndarray
    labels: np.ndarray
    origin: np.ndarray
    stop_at: int | None
    certified: bool


@dataclass(frozen=True, slots=True)
class StopFacts:
    """Where a rule stopped."""

    rule: str
    at: int
    recall: float | None
    certified: bool


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long a run took, and the features that it shares with the others."""

    features: float
    total: float


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One replay, and what it measures."""

    seed: int
    prior_rows: list[int]
    order: list[int]
    labels: list[int]
    origin: list[str]
    metrics: dict[str, float | None]
    stop: StopFacts | None
    seconds: Seconds


@dataclass(frozen=True, slots=True)
class Simulated:
    """Replays of one labelled review; what `triage simulate --json` prints."""

    records: int
    relevant: int
    model: dict[str, object]
    runs: list[RunFacts]
    mean: dict[str, float | None]


def replay(
    y: np.ndarray,
    model: Scorer,
    *,
    prior_rows: list[int],
    start: np.ndarray,
    permutation: np.ndarray,
    retrain_after: Callable[[int], int],
    rule: recall.Rule | None = None,
    policy: recall.Policy | None = None,
    tick: Callable[[int, int], None] | None = None,
    aside: Scorer | None = None,
    until_found: int | None = None,
) -> Run:
    """Screen a pool to its end, answering from `y`, and note where `rule` first said stop.

    The loop sees a label only when it has shown the record. The policy goes on past the stop, so one
    run serves every target. Rule and policy see a review without the priors: what was known beforehand
    is not evidence of what the screening finds, and the recall promised is that of the records screened.

    Parameters
    ----------
    y : ndarray of int, shape (n,)
        The known labels.
    model : callable of (rows, labels) to scores
    prior_rows : list of int
        Rows known from the start.
    start, permutation : ndarray of int, shape (n,)
        The order until the model knows both labels, and that of the audit draws.
    retrain_after : callable of int to int
        See `Session`.
    rule : StoppingRule, optional
    policy : Policy, optional
        When to make audit draws; none are made without one.
    tick : callable of (done, total), optional
    aside : callable of (rows, labels) to scores, optional
        Makes the held-out scores for a rule that asks for them; the model when left out.
    until_found : int, optional
        End the loop when so many relevant records are found, priors not counted; the rest follows in the
        order of the last ranking.
    """
    aside = aside or model
    pool = Pool(len(y), [permutation])
    for row in prior_rows:
        pool.show(row, Origin.PRIOR)
        pool.y[row] = y[row]
    rest = np.setdiff1d(np.arange(len(y)), prior_rows)
    place = np.full(len(y), -1)
    place[rest] = np.arange(len(rest))

    def without_priors(history: History) -> History:
        k = len(prior_rows)
        return History(
            place[history.rows[k:]],
            history.y[k:],
            history.origin[k:],
            history.pool_size[k:],
            history.stratum[k:],
            np.array([len(rest)]),
        )

    session = Session(
        Assignment(pool, [], [], np.zeros(len(y), bool)),
        model,
        start=start,
        retrain_after=retrain_after,
        next_origin=None if policy is None else lambda history: policy.next_origin(without_priors(history)),
    )
    session.retrain()
    total = len(rest)
    found = 0
    stop_at, certified, looked = None, False, -1
    for screened in range(1, total + 1):
        if found == until_found:
            break
        if (showing := session.next()) is None:
            break
        row = showing.row
        found += int(y[row])
        session.decide(row, Label.INCLUDE if y[row] else Label.EXCLUDE)
        if tick is not None:
            tick(screened, total)
        # The rules that cost little look after every record; the others when the model has been trained
        # anew, which is as often as a reviewer would learn something new.
        if rule is None or stop_at is not None or (rule.is_costly and session.trained_on == looked):
            continue
        looked = session.trained_on
        history = without_priors(pool.history())
        if rule.needs_scores and session.scores is not None:
            # Its probabilities come from models that had not seen the label.
            rows = pool.labelled()
            verdict = rule(history, session.scores[rest], held_out_scores(aside, pool.n, rows, pool.y[rows])[rest])
        else:
            verdict = rule(history)
        if verdict.stop and screened < total:
            stop_at, certified = screened, verdict.certified
    history = pool.history()
    order, labels, origin = (values[len(prior_rows) :] for values in (history.rows, history.y, history.origin))
    if len(left := np.flatnonzero(~pool.shown)):
        # As the session does: by score, or in the initial order while there are no scores.
        key = np.argsort(start) if session.scores is None else -session.scores
        left = left[np.argsort(key[left], kind="stable")]
        order, labels = np.concatenate([order, left]), np.concatenate([labels, y[left]])
        origin = np.concatenate([origin, np.full(len(left), Origin.RANKED, origin.dtype)])
    return Run(prior_rows, order, labels, origin, None if rule is None else stop_at or total, certified)


def simulate(
    file: Path,
    label_column: str,
    *,
    criteria: Path | None = None,
    start: str | None = None,
    prior_rows: str | None = None,
    priors: str | None = None,
    seed: int = 0,
    seeds: int = 1,
    preset: str = "default",
    batch: str = "auto",
    stop: str = "none",
    target: float = 0.95,
    confidence: float = 0.95,
    device: str = "auto",
    progress: Progress | None = None,
    machine_column: str | None = None,
    encoding: str | None = None,
) -> Simulated:
    """Replay a labelled review.

    Parameters
    ----------
    file : Path
        A CSV, Excel or Parquet table: each row is a record, rows count from 0.
    label_column : str
        The column of labels: include, exclude and maybe, as `export` writes them, or 1 and 0.
    criteria : Path, optional
        Free text, or a protocol.toml.
    start : {"criteria", "file", "random"}, optional
        The order until both labels are known.
    prior_rows, priors : str, optional
        "3,17": these rows; "1,1": so many relevant and irrelevant rows, drawn with the seed.
    seed, seeds : int
        The seeds seed to seed + seeds - 1 are run.
    preset : str
    batch : {"auto", "1", ...}
        New labels between trainings; auto: 5 % of what is labelled.
    stop : str
        "none" or one of `stopping_rules.RULES`.
    target, confidence : float
    device : str
    progress : callable, optional
        See `ReviewModel`.
    machine_column : str, optional
        A column of labels or scores of a machine that screens, to be part of the ranking; from the start on, where
        that is "criteria", as it then is when left out.
    encoding : str, optional
        Of a text file; found out by default.

    Raises
    ------
    InputError
        For options that contradict each other, and invalid rows or labels.
    """
    if prior_rows is not None and priors is not None:
        raise InputError("Give either --prior-rows or --priors, not both.")
    ranks_at_once = criteria is not None or machine_column is not None
    start = start or ("criteria" if ranks_at_once else "file")
    if start not in STARTS:
        raise InputError(f"unknown --start {start!r}; choose one of {', '.join(STARTS)}.")
    if start == "criteria" and not ranks_at_once:
        raise InputError("--start criteria needs --criteria: a text file, or a protocol.toml.")
    for name, value in (("--target", target), ("--confidence", confidence)):
        checked_share(name, value)
    if stop != "none" and stop not in RULES:
        raise InputError(f"--stop: {unknown(stop)}, or none.")
    _schedule(batch)  # a wrong one is refused before the file is read
    began = time.perf_counter()
    records, y = read_labelled(file, label_column, encoding)
    fixed = None if prior_rows is None else _row_numbers(prior_rows, len(y))
    wanted = None if priors is None else _two_counts(priors, y)
    query = read_criteria(criteria) if criteria is not None else None
    suggested = {machine_column: read_machine(file, machine_column, encoding)} if machine_column is not None else None
    texts = features.Texts.of([r.title for r in records], [r.abstract for r in records])
    return replays(
        texts,
        y,
        query,
        start=start,
        prior_rows=fixed,
        priors=wanted,
        seed=seed,
        seeds=seeds,
        preset=preset,
        batch=batch,
        stop=stop,
        target=target,
        confidence=confidence,
        device=device,
        progress=progress,
        began=began,
        suggested=suggested,
    )


def replays(
    texts: features.Texts,
    y: np.ndarray,
    criteria: ranking.Criteria | None,
    *,
    start: str,
    prior_rows: list[int] | None,
    priors: tuple[int, int] | None,
    seed: int,
    seeds: int,
    preset: str,
    batch: str,
    stop: str,
    target: float,
    confidence: float,
    device: str,
    progress: Progress | None = None,
    began: float | None = None,
    suggested: Mapping[str, np.ndarray] | None = None,
) -> Simulated:
    """Replay records whose labels are known, once for each seed.

    Parameters
    ----------
    texts : features.Texts
    y : ndarray of int8, shape (n,)
        The known labels: 1 relevant, 0 not.
    criteria : ranking.Criteria, optional
    start : {"criteria", "file", "random"}
    prior_rows : list of int, optional
        Rows known from the start, in place of those drawn.
    priors : (int, int), optional
        How many relevant and irrelevant rows to draw as priors.
    began : float, optional
        When the work began, as `time.perf_counter` has it; now when left out.
    suggested : mapping of str to ndarray, shape (n,), optional
        See `ReviewModel`.
    seed, seeds, preset, batch, stop, target, confidence, device, progress
        As for `simulate`.
    """
    began = time.perf_counter() if began is None else began
    rule = None if stop == "none" else recall.rule_of(stop, target, confidence)
    retrain_after = _schedule(batch)
    model = ReviewModel(
        texts,
        preset,
        criteria,
        device=device,
        cache_dir=user_cache_dir(),
        progress=progress,
        teaching=Teaching(suggested=suggested or {}),
    )
    features_seconds = time.perf_counter() - began

    def one(number: int, tick: Tick | None = None) -> RunFacts:
        """Replay with one seed; each run begins with a model that has learned nothing."""
        began = time.perf_counter()
        rng_priors, rng_order, rng_audit = (np.random.default_rng([number, use]) for use in range(3))
        known = prior_rows if prior_rows is not None else _draw_priors(y, priors, rng_priors) if priors else []
        order = rng_order.permutation(len(y)) if start == "random" else np.arange(len(y))
        scorer = model.fresh()
        run = replay(
            y,
            scorer if start == "criteria" else _once_both_are_known(scorer),
            prior_rows=known,
            start=order,
            permutation=rng_audit.permutation(len(y)),
            retrain_after=retrain_after,
            rule=rule,
            policy=None if rule is None else rule.policy(),
            tick=tick,
            aside=model.fresh(),
            # As `asreview simulate` does: without a rule nothing is measured past the last relevant record.
            until_found=int(y.sum() - y[known].sum()) if stop == "none" else None,
        )
        return _facts_of(run, number, stop, features_seconds, time.perf_counter() - began + features_seconds)

    runs = _side_by_side(one, range(seed, seed + seeds), len(y), progress or no_progress)
    return Simulated(len(y), int(y.sum()), model.parameters, runs, _mean([run.metrics for run in runs]))


def _side_by_side(one: Callable[..., RunFacts], numbers: range, n: int, progress: Progress) -> list[RunFacts]:
    """Run every seed, several at a time where there are processors for it."""
    workers = min(len(numbers), processors())
    if workers == 1:
        runs = []
        for number in numbers:
            with progress(f"Screening, seed {number}") as tick:
                runs.append(one(number, tick))
        return runs
    from joblib import Parallel, delayed

    with progress(f"Screening, {plural(len(numbers), 'seed')} on {plural(workers, 'processor')}") as tick:
        runs = []
        for run in Parallel(n_jobs=workers, return_as="generator")(delayed(one)(number) for number in numbers):
            runs.append(run)
            tick(len(runs) * n, len(numbers) * n)
        return runs


def _once_both_are_known(model: Scorer) -> Scorer:
    """Keep the criteria from ordering records before both labels are known."""
    return lambda rows, y: model(rows, y) if 0 < y.sum() < len(y) else None


def _schedule(batch: str) -> Callable[[int], int]:
    if batch == "auto":
        return lambda labelled: max(1, labelled // 20)
    if not batch.isdecimal() or int(batch) < 1:
        raise InputError(f"--batch {batch!r} must be auto or a number of records from 1.")
    return lambda labelled: int(batch)


def read_labelled(file: Path, label_column: str, encoding: str | None = None) -> tuple[list[Record], np.ndarray]:
    """Read a table of records with known labels.

    Returns
    -------
    records : list of Record
    y : ndarray of int8, shape (n,)

    Raises
    ------
    InputError
        When the file is not a table, or a label is missing or invalid, with its line.
    """
    reading = apart.read(file, label_column=label_column, encoding=encoding)
    if reading.labels is None:
        raise InputError(f"{file} is a {reading.format} file; simulate needs a CSV, Excel or Parquet table.")
    for line in apart.blank_rows(file, reading.format, encoding):
        raise InputError(
            f"{file}, line {line}: the row is blank; every row counts as a record, so give it its title and label, or "
            "take it out."
        )
    if reading.problems:
        problem = reading.problems[0]
        raise InputError(f"{file}, line {problem.line}: {problem.message}; every row must be a record.")
    faults = Faults(str(file))
    labels = [label_of(text, label_column) for text in reading.labels]
    for label, text, line in zip(labels, reading.labels, reading.lines, strict=True):
        if label is None:
            faults.add(
                f"line {line}",
                f"{text!r} is not a label" if without_quotes(text) else "there is no label",
                f"every row needs one in the column {label_column!r}: include, exclude or maybe, or 1 or 0",
            )
    faults.refuse()
    # A maybe counts as relevant, as it does in a review.
    return reading.records, np.array([label is not Label.EXCLUDE for label in labels], np.int8)


def read_machine(file: Path, column: str, encoding: str | None = None) -> np.ndarray:
    """Return what a machine says of each row of a table, shape (n,) (see `ranking.opinions`).

    Raises
    ------
    InputError
        When its column is missing, or holds neither labels nor numbers, with the line.
    """
    reading = apart.read(file, label_column=column, encoding=encoding)
    cells = [without_quotes(text) for text in reading.labels or ()]
    labels = [label_of(cell, column) for cell in cells]
    has_labels = sum(label is not None for label in labels) > sum(map(bool, cells)) / 2
    said, faults = np.full(len(cells), np.nan), Faults(str(file))
    for row, (cell, label, line) in enumerate(zip(cells, labels, reading.lines, strict=True)):
        number = _number(cell) if label is None or not has_labels else AS_NUMBER[label]
        if cell and (number is None or (has_labels and label is None)):
            kind = "label" if has_labels else "number"
            faults.add(
                f"line {line}",
                f"{cell[:40]!r} is no {kind}",
                f"the column {column!r} must hold a machine's labels alone, or its scores alone; a cell may be empty",
            )
        elif number is not None:
            said[row] = number
    faults.refuse()
    return ranking.opinions([said])


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def read_criteria(path: Path) -> ranking.Criteria:
    """Read criteria from a protocol.toml or a free text.

    Raises
    ------
    InputError
        When the file cannot be read, is a wrong protocol, or holds no criteria.
    """
    if path.suffix.lower() == ".toml":
        criteria = criteria_of(protocols.load(path))
    else:
        criteria = ranking.Criteria("", *protocols.criteria_from_text(protocols.read_text(path)))
    if not (criteria.include or criteria.exclude or criteria.question):
        raise InputError(f"{path} holds no criteria; write the inclusion and exclusion criteria into it.")
    return criteria


def _row_numbers(text: str, n: int) -> list[int]:
    rows = []
    for part in text.split(","):
        if not part.strip().isdecimal() or int(part) >= n:
            raise InputError(f"--prior-rows: {part.strip()!r} is not a row of the file; rows run from 0 to {n - 1}.")
        if int(part) in rows:
            raise InputError(f"--prior-rows names row {int(part)} twice.")
        rows.append(int(part))
    return rows


def _two_counts(text: str, y: np.ndarray) -> tuple[int, int]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise InputError(f"--priors {text!r} must be two numbers, relevant and irrelevant, such as 1,1.")
    counts = int(parts[0]), int(parts[1])
    for wanted, there, kind in zip(counts, (int(y.sum()), int((y == 0).sum())), ("relevant", "irrelevant")):
        if wanted > there:
            raise InputError(f"--priors asks for {plural(wanted, f'{kind} record')}; the file has {there:,}.")
    return counts


def _draw_priors(y: np.ndarray, counts: tuple[int, int], rng: np.random.Generator) -> list[int]:
    drawn = [rng.choice(np.flatnonzero(y == label), count, replace=False) for label, count in zip((1, 0), counts)]
    rows: list[int] = np.concatenate(drawn).astype(int).tolist()
    return rows


def _facts_of(run: Run, seed: int, stop: str, features: float, total: float) -> RunFacts:
    stopped = None
    if run.stop_at is not None:
        relevant = int(run.labels.sum())
        found = int(run.labels[: run.stop_at].sum())
        stopped = StopFacts(stop, run.stop_at, found / relevant if relevant else None, run.certified)
    return RunFacts(
        seed=seed,
        prior_rows=run.prior_rows,
        order=run.order.tolist(),
        labels=run.labels.tolist(),
        origin=run.origin.tolist(),
        metrics=metrics.summary(run.labels),
        stop=stopped,
        seconds=Seconds(round(features, 3), round(total, 3)),
    )


def _mean(all_metrics: list[dict[str, float | None]]) -> dict[str, float | None]:
    known = {name: [v for m in all_metrics if (v := m[name]) is not None] for name in all_metrics[0]}
    return {name: sum(values) / len(values) if values else None for name, values in known.items()}


def in_words(facts: Simulated) -> str:
    """Return a simulation's result as lines for a person."""
    lines = [f"{plural(facts.records, 'record')}, {facts.relevant:,} relevant, model {facts.model['name']}", ""]
    names = list(facts.mean)
    lines.append("  seed " + "".join(f"{name:>12}" for name in names) + "   stop")
    for run in facts.runs:
        stop = run.stop
        stopped = "-"
        if stop is not None:
            recall_then = "-" if stop.recall is None else f"{stop.recall:.3f}"
            certified = ", certified" if stop.certified else ""
            stopped = f"{stop.rule} at {stop.at:,}, recall {recall_then}{certified}"
        lines.append(f"{run.seed:6} " + "".join(_cell(run.metrics[name]) for name in names) + f"   {stopped}")
    lines.append("  mean " + "".join(_cell(facts.mean[name]) for name in names))
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.4f'):>12}"
