"""Replays of labelled tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import simulation
from ..errors import InputError
from ..features import Texts
from ..stopping_rules import RULES
from ..wording import plural
from .frames import criteria, labels_of, one_of, preset_of, share, texts_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """Replays of one labelled review.

    Attributes
    ----------
    records, relevant : int
        Of the table, priors among them.
    model : mapping
        The preset's name and full parameters.
    curve : DataFrame
        A row for each record screened, in the order of the screening: `seed`, `screened` (1, 2, ...), `record` (its
        name in the table's index), `relevant` (1 or 0), `origin` ("ranked", or "audit" for a random draw), `found`
        (relevant records so far) and `recall`. Priors are not in it, nor in what it counts.
    summary : DataFrame
        A row for each `seed`, its index: `priors`, the metrics of `triage simulate` (such as `work@0.95`, the share of
        the records screened when 95 % of the relevant are found), and where the stopping rule said stop: `stop_at`,
        `stop_recall`, `certified`; missing without a rule.
    """

    records: int
    relevant: int
    model: Mapping[str, object]
    curve: pd.DataFrame
    summary: pd.DataFrame


def simulate(
    frame: pd.DataFrame,
    *,
    label: str,
    model: str = "default",
    question: str = "",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    start: str | None = None,
    prior_rows: Sequence[int] | None = None,
    priors: tuple[int, int] | None = None,
    seed: int = 0,
    seeds: int = 1,
    batch: int | str = "auto",
    stop: str | None = None,
    target: float = 0.95,
    confidence: float = 0.95,
    device: str = "auto",
) -> Simulation:
    """Replay a labelled review as `triage simulate` does: each label is looked up only when its record's turn comes.

    Parameters
    ----------
    frame : DataFrame
        A record in each row, with the columns title and abstract.
    label : str
        The column of known labels: 1 and 0, or include, exclude and maybe (which counts as relevant).
    model, question, include, exclude, device
        As for `Ranker`.
    start : {"criteria", "file", "random"}, optional
        The order until both labels are known; by the criteria where there are some, else that of the table.
    prior_rows : sequence of int, optional
        Places of the rows, from 0, whose labels are known from the start.
    priors : (int, int), optional
        So many relevant and irrelevant rows, drawn with the seed, in their place.
    seed, seeds : int
        The seeds seed to seed + seeds - 1 are run.
    batch : int or "auto"
        New labels between trainings; auto: 5 % of what is labelled.
    stop : str, optional
        A stopping rule, such as "audit-e".
    target, confidence : float
        What the rule is to reach.

    Returns
    -------
    Simulation

    Raises
    ------
    InputError
        For options that contradict each other, and invalid labels or rows.

    Examples
    --------
    >>> import pandas as pd
    >>> import triage
    >>> frame = pd.DataFrame(
    ...     {
    ...         "title": [f"Soil bacteria in drought {i}" for i in range(6)] + ["Peer support", "Support by peers"],
    ...         "abstract": "",
    ...         "included": [0] * 6 + [1, 1],
    ...     }
    ... )
    >>> done = triage.simulate(frame, label="included", model="fast", include=["Peer support"])
    >>> done.curve[["screened", "record", "relevant", "recall"]].head(3)
       screened  record  relevant  recall
    0         1       6         1     0.5
    1         2       7         1     1.0
    2         3       0         0     1.0
    >>> float(done.summary.loc[0, "work@1.0"])
    0.25
    """
    titles, abstracts = texts_of(frame, "frame")
    y = _known_labels(frame, label)
    query = criteria(question, include, exclude)
    has_criteria = bool(query.question or query.include or query.exclude)
    start = ("criteria" if has_criteria else "file") if start is None else start
    one_of("start", start, simulation.STARTS)
    if start == "criteria" and not has_criteria:
        raise InputError('start="criteria" needs a question, include or exclude.')
    if stop is not None:
        one_of("stop", stop, tuple(RULES))
    if not _is_whole(seed, 0):
        raise InputError(f"seed must be a whole number from 0, and is {seed!r}.")
    if not _is_whole(seeds, 1):
        raise InputError(f"seeds must be a whole number from 1, and is {seeds!r}.")
    if batch != "auto" and not _is_whole(batch, 1):
        raise InputError(f'batch must be "auto" or a whole number from 1, and is {batch!r}.')
    if prior_rows is not None and priors is not None:
        raise InputError("Give either prior_rows or priors, not both.")
    facts = simulation.replays(
        Texts.of(titles, abstracts),
        y,
        query if has_criteria else None,
        start=start,
        prior_rows=None if prior_rows is None else _rows(prior_rows, len(y)),
        priors=None if priors is None else _counts(priors, y),
        seed=int(seed),
        seeds=int(seeds),
        preset=preset_of(model, device),
        batch=str(batch),
        stop=stop or "none",
        target=share("target", target),
        confidence=share("confidence", confidence),
        device=device,
    )
    return Simulation(facts.records, facts.relevant, facts.model, _curve(facts.runs, frame.index), _summary(facts.runs))


def _known_labels(frame: pd.DataFrame, label: str) -> np.ndarray:
    if int((frame.columns == label).sum()) != 1:
        named = ", ".join(map(str, frame.columns))[:200]
        raise InputError(f"label must name one column of frame, and is {label!r}; its columns are: {named}.")
    y = labels_of(frame[label], len(frame), "frame", str(label))
    if without := int((y < 0).sum()):
        first = frame.index[int(np.argmax(y < 0))]
        raise InputError(
            f"{plural(without, 'row')} of frame, row {first!r} the first, without a label in {label!r}; every "
            "record of a replay needs one."
        )
    return y


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= least


def _rows(rows: Sequence[int], n: int) -> list[int]:
    chosen = list(rows)
    for row in chosen:
        if not _is_whole(row, 0) or row >= n:
            raise InputError(f"prior_rows: {row!r} is not a row of frame; rows run from 0 to {n - 1}.")
    if len(set(chosen)) < len(chosen):
        raise InputError("prior_rows names a row twice.")
    return [int(row) for row in chosen]


def _counts(priors: Sequence[int], y: np.ndarray) -> tuple[int, int]:
    if not isinstance(priors, Sequence) or len(priors) != 2 or not all(_is_whole(count, 0) for count in priors):
        raise InputError(f"priors must be two numbers, relevant and irrelevant, such as (1, 1), and is {priors!r}.")
    for wanted, there, kind in zip(
        priors, (int(y.sum()), int((y == 0).sum())), ("relevant", "irrelevant"), strict=True
    ):
        if wanted > there:
            raise InputError(f"priors asks for {plural(wanted, f'{kind} record')}; frame has {there:,}.")
    return int(priors[0]), int(priors[1])


def _curve(runs: Sequence[simulation.RunFacts], index: pd.Index) -> pd.DataFrame:
    import pandas as pd

    parts = []
    for run in runs:
        labels = np.array(run.labels, np.int64)
        found = np.cumsum(labels)
        part = {
            "seed": run.seed,
            "screened": np.arange(1, len(labels) + 1),
            "record": index.to_flat_index().take(run.order),
            "relevant": labels,
            "origin": run.origin,
            "found": found,
            "recall": found / found[-1] if labels.any() else np.full(len(labels), np.nan),
        }
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def _summary(runs: Sequence[simulation.RunFacts]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for run in runs:
        stop = run.stop
        rows.append(
            {
                "priors": len(run.prior_rows),
                **run.metrics,
                "stop_at": None if stop is None else stop.at,
                "stop_recall": None if stop is None else stop.recall,
                "certified": None if stop is None else stop.certified,
            }
        )
    kinds = dict.fromkeys((*runs[0].metrics, "stop_recall"), "float64")
    seeds = pd.Index([run.seed for run in runs], name="seed")
    return pd.DataFrame(rows, index=seeds).astype({**kinds, "stop_at": "Int64", "certified": "boolean"})
