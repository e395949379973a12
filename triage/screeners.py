"""How well each screener tells the relevant records, machine or person, measured on random draws alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from .errors import checked_share
from .log import Event, Label, Origin, Stage
from .project import Snapshot
from .wording import plural

ASSUMES = (
    "Each interval is exact (Clopper-Pearson) and speaks for the records that nobody had been shown when the draws were "
    "made: what the ranking had brought up before is not among them. Audit draws stop when people's labels allow it. "
    "That leaves sensitivity and specificity, which are counted among draws of one label, as they are; the interval of "
    "the precision assumes that the number of draws did not depend on what they found."
)


@dataclass(frozen=True, slots=True)
class Share:
    """A share of some draws, with its exact interval.

    Attributes
    ----------
    value : float or None
        None where there is nothing to take a share of.
    lower, upper : float
        0 and 1 where there is nothing.
    hits, of : int
    """

    value: float | None
    lower: float
    upper: float
    hits: int
    of: int


@dataclass(frozen=True, slots=True)
class Screener:
    """How a machine or a person did on the random draws that others judged.

    Attributes
    ----------
    name : str
    labelled : int
        Records of the stage that it labelled.
    records, relevant : int
        Draws that it labelled and that others judged, and how many of them are relevant by these.
    sensitivity : Share
        Of the relevant draws, those that it would include (maybe counts).
    specificity : Share
        Of the others, those that it would exclude.
    precision : Share
        Of those that it would include, the relevant ones.
    """

    name: str
    labelled: int
    records: int
    relevant: int
    sensitivity: Share
    specificity: Share
    precision: Share


@dataclass(frozen=True, slots=True)
class Pair:
    """On how many of the records that two machines have both labelled they agree whether it passes."""

    machines: tuple[str, str]
    records: int
    agree: int
    share: float | None


@dataclass(frozen=True, slots=True)
class Screeners:
    """What `triage screeners` says of a stage.

    Attributes
    ----------
    stage : str
    confidence : float
    draws : int
        Random audit draws that people have judged.
    machines, people : tuple of Screener
    pairs : tuple of Pair
    assumes : str
    """

    stage: str
    confidence: float
    draws: int
    machines: tuple[Screener, ...]
    people: tuple[Screener, ...]
    pairs: tuple[Pair, ...]
    assumes: str = ASSUMES


def screeners(review: Snapshot, stage_name: str | None = None, *, confidence: float = 0.95) -> Screeners:
    """Measure each screener of a stage on its random audit draws.

    A machine is held against the label that the people agree on, without the draws that they are in conflict about.
    A person is held, on the draws that others judged too, against what was settled, or else what the others agree on.

    Raises
    ------
    InputError
        When the stage is none, or the confidence does not lie between 0 and 1.
    """
    checked_share("--confidence", confidence)
    stage, history = review.stage(stage_name), review.history(stage_name)
    drawn = history.rows[(history.origin == str(Origin.AUDIT)) & history.judged]
    ids: list[int] = stage.record_ids[drawn].tolist()
    agreed = stage.consensus
    truth = {r: label is not Label.EXCLUDE for r in ids if (label := agreed.labels.get(r)) is not None}
    suggested = {
        machine: {r: e.label is not Label.EXCLUDE for r, e in given.items() if e.label is not None}
        for machine, given in stage.live.suggested(stage.name).items()
    }
    here = set(stage.record_ids.tolist())
    suggested = {machine: {r: p for r, p in given.items() if r in here} for machine, given in suggested.items()}
    votes = _votes(stage)
    people = {who for given in votes.values() for who in given}
    return Screeners(
        stage.name,
        confidence,
        len(ids),
        tuple(_measured(name, given, truth, confidence) for name, given in sorted(suggested.items())),
        tuple(one for name in sorted(people) if (one := _person(name, stage, votes, ids, confidence)).records),
        tuple(_pair(a, b, suggested) for a, b in combinations(sorted(suggested), 2)),
    )


def _votes(stage: Stage) -> dict[int, dict[str, Label]]:
    """Return by record, over duplicate groups, what each person who has read it says of it: the newest decision."""
    newest: dict[int, dict[str, Event]] = {}
    for (name, record_id, who), event in stage.live.decisions.items():
        if name == stage.name and not event.is_unread:
            given = newest.setdefault(stage.live.kept(record_id), {})
            if who not in given or given[who].seq < event.seq:
                given[who] = event
    return {r: {who: e.label for who, e in given.items() if e.label is not None} for r, given in newest.items()}


def _person(
    name: str, stage: Stage, votes: Mapping[int, Mapping[str, Label]], drawn: list[int], confidence: float
) -> Screener:
    truth: dict[int, bool] = {}
    for r in drawn:
        others = {label is not Label.EXCLUDE for who, label in votes.get(r, {}).items() if who != name}
        settled = stage.consensus.settled.get(r)
        if others and settled is not None:
            truth[r] = settled.label is not Label.EXCLUDE
        elif len(others) == 1:
            truth[r] = others.pop()
    said = {r: given[name] is not Label.EXCLUDE for r, given in votes.items() if name in given}
    return _measured(name, said, truth, confidence)


def _measured(name: str, said: Mapping[int, bool], truth: Mapping[int, bool], confidence: float) -> Screener:
    """Hold what a screener said of the records, whether each passes, against what they are."""
    common = [(said[r], relevant) for r, relevant in truth.items() if r in said]
    both = np.array(common, bool).reshape(-1, 2)
    passes, relevant = both[:, 0], both[:, 1]

    def share(of: np.ndarray, hit: np.ndarray) -> Share:
        return exact_share(int((of & hit).sum()), int(of.sum()), confidence)

    return Screener(
        name,
        len(said),
        len(common),
        int(relevant.sum()),
        share(relevant, passes),
        share(~relevant, ~passes),
        share(passes, relevant),
    )


def exact_share(hits: int, of: int, confidence: float) -> Share:
    """Return a share with the interval of Clopper and Pearson (1934, Biometrika 26:404).

    Examples
    --------
    >>> found = exact_share(5, 5, 0.95)
    >>> round(found.lower, 4), found.upper
    (0.4782, 1.0)
    """
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    lower = float(betaincinv(hits, of - hits + 1, tail)) if hits else 0.0
    upper = float(betaincinv(hits + 1, of - hits, 1 - tail)) if hits < of else 1.0
    return Share(hits / of if of else None, lower, upper, hits, of)


def _pair(a: str, b: str, suggested: Mapping[str, Mapping[int, bool]]) -> Pair:
    one, other = suggested[a], suggested[b]
    common = one.keys() & other.keys()
    agree = sum(one[r] == other[r] for r in common)
    return Pair((a, b), len(common), agree, agree / len(common) if common else None)


def in_words(found: Screeners) -> str:
    """Return what was measured as lines for a person; the names in it are as they were given."""
    lines = [
        f"Stage {found.stage}: {plural(found.draws, 'random audit draw')} judged by people, which every figure but the "
        f"last rests on; intervals hold at {100 * found.confidence:g} %."
    ]
    if not (found.machines or found.people):
        return "\n".join(
            [*lines, "No machine has labelled a record of the stage, and no draw was judged by two people."]
        )
    for heading, some in (
        ("Machines, against what people decided", found.machines),
        ("People, against the others who judged the same draws", found.people),
    ):
        if some:
            lines += ["", heading]
        for one in some:
            lines.append(
                f"  {one.name}: {plural(one.labelled, 'record')} labelled, {plural(one.records, 'draw')} to judge it by, "
                f"{one.relevant:,} of them relevant"
            )
            for what, share in (
                ("sensitivity", one.sensitivity),
                ("specificity", one.specificity),
                ("precision", one.precision),
            ):
                lines.append(f"    {what:<12}{_in_words(share)}")
    if found.pairs:
        lines += ["", "Machines among each other, over all records that both labelled"]
    for pair in found.pairs:
        said = (
            "none in common" if pair.share is None else f"{100 * pair.share:.1f} % of {plural(pair.records, 'record')}"
        )
        lines.append(f"  {pair.machines[0]} and {pair.machines[1]} agree on {said}")
    return "\n".join([*lines, "", found.assumes])


def _in_words(share: Share) -> str:
    if share.value is None:
        return "not known: no such draw (0 to 100 %)"
    return (
        f"{100 * share.value:5.1f} % ({100 * share.lower:.1f} to {100 * share.upper:.1f} %), "
        f"{share.hits:,} of {share.of:,}"
    )
