"""What a team has to know of itself: where its members disagree, and how well they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from . import agreement as coefficients
from .as_json import INLINE, OMIT_NONE
from .errors import InputError, checked_share
from .log import Event, Label, Stage, independent, visible
from .project import Project, Snapshot
from .wording import plural, printable


@dataclass(frozen=True, slots=True)
class GivenDecision:
    """A decision or a settlement, and who made it."""

    seq: int
    reviewer: str
    label: str
    reason: str
    note: str
    decided_at: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """A record that reviewers disagree on, or that somebody settled."""

    record_id: int
    title: str
    stage: str
    decisions: list[GivenDecision]
    settled: GivenDecision | None = field(default=None, metadata=OMIT_NONE)


@dataclass(frozen=True, slots=True)
class Conflicts:
    """The records in conflict at a stage, and those settled; what `triage conflicts --json` prints."""

    stage: str
    conflicts: list[Conflict]
    settled: list[Conflict]


@dataclass(frozen=True, slots=True)
class Coefficients:
    """How well all reviewers agree together."""

    observed: float | None
    fleiss_kappa: coefficients.Agreement
    gwet_ac1: coefficients.Agreement
    krippendorff_alpha: coefficients.Agreement


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """How well two reviewers agree."""

    reviewers: list[str]
    labels: coefficients.Agreement
    passing: coefficients.Agreement


@dataclass(frozen=True, slots=True)
class Agreeing:
    """How well the reviewers of some records agree."""

    records: int
    labels: Coefficients
    passing: Coefficients
    pairs: list[PairAgreement]


@dataclass(frozen=True, slots=True)
class CalibrationAgreement:
    """How well the reviewers agree in the calibration round."""

    size: int
    judged_by: dict[str, int]
    measured: Agreeing = field(metadata=INLINE)


@dataclass(frozen=True, slots=True)
class TeamAgreement:
    """How well the reviewers agree at a stage; what `triage agreement --json` prints.

    `after_discussion` is of the newest decisions; None where none was changed after another's could be seen.
    """

    stage: str
    confidence: float
    reviewers: list[str]
    measured: Agreeing = field(metadata=INLINE)
    calibration: CalibrationAgreement | None
    after_discussion: Agreeing | None = field(default=None)


def conflicts(
    review: Snapshot, stage_name: str | None = None, *, viewer: str | None = None, settles: bool = False
) -> Conflicts:
    """Return the records whose reviewers disagree.

    Parameters
    ----------
    review : Snapshot
    stage_name : str, optional
        The first stage when left out.
    viewer : str, optional
        Who asks: a reviewer sees the conflicts of records that they have judged too, and no decision before
        all that the protocol asks for are there; everything when left out.
    settles : bool
        Whether they may settle conflicts, and so see those of records that they have not judged.
    """
    stage = review.stage(stage_name)
    seen = _decisions(review, stage, viewer, settles)
    agreed = stage.consensus

    def listed(record_ids: Sequence[int]) -> list[Conflict]:
        here = [r for r, row in zip(record_ids, stage.rows_of(record_ids).tolist(), strict=True) if row >= 0]
        titles = {r.id: r.title for r in review.records.shown(stage, stage.rows_of(here))}
        return [
            Conflict(
                r,
                titles[r],
                stage.name,
                [_given(e) for e in seen[r]],
                _given(agreed.settled[r]) if r in agreed.settled else None,
            )
            for r in here
        ]

    return Conflicts(
        stage=stage.name,
        conflicts=listed(_open(stage, seen)),
        settled=listed(sorted(agreed.settled.keys() & seen.keys())),
    )


def open_conflicts(
    review: Snapshot, stage_name: str | None = None, *, viewer: str | None = None, settles: bool = False
) -> int | None:
    """Return how many conflicts `conflicts` lists as open; None where there can be none, as only one person judges."""
    reviewers = {who for _, _, who in review.live.decisions}
    if review.protocol.reviewers_per_record == 1 and len(reviewers) < 2:
        return None
    stage = review.stage(stage_name)
    return int((stage.rows_of(_open(stage, _decisions(review, stage, viewer, settles))) >= 0).sum())


def _open(stage: Stage, seen: Mapping[int, Sequence[Event]]) -> list[int]:
    """Return the records in conflict, by id, whose disagreement is among the decisions seen."""
    return sorted(r for r in stage.consensus.conflicts & seen.keys() if len({e.label for e in seen[r]}) > 1)


def _decisions(review: Snapshot, stage: Stage, viewer: str | None, settles: bool) -> dict[int, list[Event]]:
    if viewer is None:
        return visible(stage.live, stage.name, "", reviewers_per_record=1)
    return visible(
        stage.live, stage.name, viewer, reviewers_per_record=review.protocol.reviewers_per_record, settles=settles
    )


def _given(event: Event) -> GivenDecision:
    return GivenDecision(
        seq=event.seq,
        reviewer=event.reviewer,
        label=str(event.label),
        reason=event.reason,
        note=event.remark,
        decided_at=event.at.isoformat(timespec="seconds"),
    )


def settle(
    project: Project,
    record_id: int,
    label: str,
    *,
    reviewer: str,
    stage_name: str | None = None,
    reason: str = "",
    note: str = "",
) -> Event:
    """Settle what the reviewers of a record disagree on.

    Raises
    ------
    InputError
        When the record is in no conflict, there is no such label, or the person may not settle.
    """
    if label not in list(Label):
        raise InputError(f"{label!r} is not a label; the labels are: {', '.join(Label)}.")
    stage = project.snapshot().stage_name(stage_name)
    return project.log.settle(stage, record_id, Label(label), reviewer=reviewer, reason=reason, note=note)


def agreement(review: Snapshot, stage_name: str | None = None, *, confidence: float = 0.95) -> TeamAgreement:
    """Return how well the reviewers agree at a stage.

    The decisions are compared as they stood before the reviewers could see each other's (see `log.state.independent`);
    `after_discussion` compares the newest ones. Neither a settlement counts as a decision, nor an exclusion by somebody who
    has not read the record. `labels` takes include, maybe and exclude as three labels; `passing` takes maybe for include,
    since both pass a record on. `calibration` is of the protocol's calibration round only.

    Raises
    ------
    InputError
        When there is no such stage, or the confidence does not lie between 0 and 1.
    """
    checked_share("--confidence", confidence)
    protocol = review.protocol
    stage = review.stage(stage_name)
    # By age: where a copy was judged apart before it was linked, the newest counts.
    newest = {
        record_id: {e.reviewer: e.label for e in events if e.label is not None and not e.is_unread}
        for record_id, events in visible(stage.live, stage.name, "", reviewers_per_record=1).items()
    }
    first = independent(stage.live, review.events, stage.name, needed=max(2, protocol.reviewers_per_record))
    reviewers = sorted({who for by in (*newest.values(), *first.values()) for who in by})
    column = {name: i for i, name in enumerate(reviewers)}
    labels, after = (_table(stage, given, column) for given in (first, newest))
    calibration = None
    if protocol.calibration:
        sample = stage.calibration(protocol.calibration)
        judged_by = {name: int((labels[sample, i] >= 0).sum()) for name, i in column.items()}
        calibration = CalibrationAgreement(len(sample), judged_by, _measured(labels[sample], reviewers, confidence))
    return TeamAgreement(
        stage.name,
        confidence,
        reviewers,
        _measured(labels, reviewers, confidence),
        calibration,
        None if np.array_equal(labels, after) else _measured(after, reviewers, confidence),
    )


def _table(stage: Stage, given: Mapping[int, Mapping[str, Label]], column: Mapping[str, int]) -> np.ndarray:
    """Return the labels of a stage's records by reviewer, shape (n, n_reviewers), numbered; -1 where there is none."""
    codes = {label: i for i, label in enumerate(Label)}
    labels = np.full((len(stage.record_ids), len(column)), -1)
    for row, by in zip(stage.rows_of(given).tolist(), given.values(), strict=True):
        if row >= 0:
            for who, label in by.items():
                labels[row, column[who]] = codes[label]
    return labels


def _measured(labels: np.ndarray, reviewers: list[str], confidence: float) -> Agreeing:
    maybe, include = (list(Label).index(label) for label in (Label.MAYBE, Label.INCLUDE))
    passing = np.where(labels == maybe, include, labels)
    return Agreeing(
        records=int(((labels >= 0).sum(axis=1) >= 2).sum()),
        labels=_coefficients(labels, confidence),
        passing=_coefficients(passing, confidence),
        pairs=[
            PairAgreement(
                reviewers=[reviewers[a], reviewers[b]],
                labels=coefficients.cohen_kappa(labels[:, a], labels[:, b], confidence),
                passing=coefficients.cohen_kappa(passing[:, a], passing[:, b], confidence),
            )
            for a, b in combinations(range(len(reviewers)), 2)
            if ((labels[:, a] >= 0) & (labels[:, b] >= 0)).any()
        ],
    )


def _coefficients(labels: np.ndarray, confidence: float) -> Coefficients:
    gwet_ac1 = coefficients.gwet_ac1(labels, confidence)
    return Coefficients(
        observed=gwet_ac1.observed,
        fleiss_kappa=coefficients.fleiss_kappa(labels, confidence),
        gwet_ac1=gwet_ac1,
        krippendorff_alpha=coefficients.krippendorff_alpha(labels, confidence),
    )


def agreement_in_words(facts: TeamAgreement) -> str:
    """Return what `agreement` found as lines for a person."""
    lines = [
        f"Stage {facts.stage}: {plural(len(facts.reviewers), 'reviewer')}, "
        f"{plural(facts.measured.records, 'record')} judged by two or more."
    ]
    lines += _part_in_words(facts.measured, facts.confidence)
    if facts.after_discussion is not None:
        lines += ["", "After discussion, by the decisions as they are now:"]
        lines += _part_in_words(facts.after_discussion, facts.confidence)
    if (round_ := facts.calibration) is not None:
        judged = ", ".join(f"{printable(name)} {count:,}" for name, count in round_.judged_by.items()) or "nobody yet"
        lines += ["", f"Calibration round of {plural(round_.size, 'record')}, judged by: {judged}."]
        lines += _part_in_words(round_.measured, facts.confidence)
    return "\n".join(lines)


def _part_in_words(facts: Agreeing, confidence: float) -> list[str]:
    if not facts.records:
        return ["No record has two decisions yet, so nothing can be said of agreement."]
    lines = [f"{'':34}{'three labels':32}{'maybe as include':32}".rstrip()]
    labels, passing = facts.labels, facts.passing
    rows = [
        ("Fleiss' kappa", labels.fleiss_kappa, passing.fleiss_kappa),
        ("Gwet's AC1", labels.gwet_ac1, passing.gwet_ac1),
        ("Krippendorff's alpha", labels.krippendorff_alpha, passing.krippendorff_alpha),
    ]
    rows += [(f"Cohen's kappa, {' and '.join(map(printable, p.reviewers))}", p.labels, p.passing) for p in facts.pairs]
    lines += [f"{name:34}{_in_words(one):32}{_in_words(other)}" for name, one, other in rows]
    lines.append(
        f"They agree on {100 * (labels.observed or 0):.1f} % of the pairs of labels; intervals hold at "
        f"{100 * confidence:g} %, as far as the records speak for others."
    )
    return lines


@dataclass(frozen=True, slots=True)
class AgreementLine:
    """A coefficient, maybe taken for include, in words: independently, and after discussion where that differs."""

    name: str
    independent: str
    after: str


def agreement_table(facts: TeamAgreement) -> list[AgreementLine]:
    """Return the coefficients of a stage as a page shows them; none while no record has two decisions."""
    if not facts.measured.records:
        return []
    after = {} if facts.after_discussion is None else dict(_passing(facts.after_discussion))
    return [
        AgreementLine(name, _in_words(one), _in_words(after[name]) if name in after else "")
        for name, one in _passing(facts.measured)
    ]


def _passing(facts: Agreeing) -> list[tuple[str, coefficients.Agreement]]:
    return [
        ("Fleiss' kappa", facts.passing.fleiss_kappa),
        ("Gwet's AC1", facts.passing.gwet_ac1),
        ("Krippendorff's alpha", facts.passing.krippendorff_alpha),
        *((f"Cohen's kappa, {' and '.join(map(printable, pair.reviewers))}", pair.passing) for pair in facts.pairs),
    ]


def _in_words(found: coefficients.Agreement) -> str:
    if found.value is None:
        return "not defined (only one label)" if found.records else "none in common"
    if found.lower is None:
        return f"{found.value:.2f} (no interval)"
    return f"{found.value:.2f} ({found.lower:.2f} to {found.upper:.2f})"
