"""Where a stage stands: recall, the work that is left, the rules, the warnings.

The longest module: the numbers, and the sentences that give each number its promise, so that none is shown without it.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np

from . import recall
from .assigning import AssignedTo, assigned
from .errors import checked_share
from .flow import judged_records
from .found import ExcludedUnread, excluded_unread
from .key_papers import KeyPaper, in_words as papers_in_words, key_papers
from .log import Event, History, Kind, Label, Origin, Stage
from .machines import prompts_of, versions_of
from .project import Snapshot
from .protocol.model import Stopping
from .protocol.parsing import parse
from .ranking.scores import Ranking
from .recall.verdict import Estimate, Verdict
from .second_look import Looks
from .stopping_rules import RULES
from .stops import Stop, newest as newest_stop, revealed_seeds
from .wording import about, agree, floor_percent, is_are, plural, span, was_were

_BREAK_SECONDS = 300  # a longer gap between showing and deciding is a pause, not reading
_LEAST_TIMED = 5  # decisions that a pace is measured on, at least
_CERTIFICATE = "the certificate"
_SAFE_RUN, _SAFE_SHARE, _SAFE_TIMES = 50, 0.1, 2  # see `_safe_checks`
_FORECAST_SEED = 20_240_612  # the same log always gives the same forecast


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What is certified of a stage."""

    method: str
    recall_lower: float | None
    missed_upper: int
    audit_draws: int
    certified: bool
    among: str = "all"  # of which records `recall_lower` is: all, or those "screened" here
    known_before: int = 0  # relevant records that came with their labels
    recall_lower_all: float | None = None  # of all records, those among them


@dataclass(frozen=True, slots=True)
class EstimateFacts:
    """What is estimated of a stage; a method that has no valid interval gives none."""

    method: str
    recall: float
    lower: float | None
    upper: float | None
    relevant_total: float
    assumes: str


@dataclass(frozen=True, slots=True)
class NoEstimate:
    """The same while nothing can be estimated."""

    method: None = None
    recall: None = None
    lower: None = None
    upper: None = None
    relevant_total: None = None
    assumes: None = None


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """What a stopping rule says."""

    name: str
    stop: bool
    promise: str
    why: str


@dataclass(frozen=True, slots=True)
class VerdictFacts:
    """What the protocol's stopping rule says."""

    rule: str
    stop: bool
    certified: bool
    promise: str
    why: str
    recall_of: str = "labels"

    @property
    def of_which(self) -> str:
        """Of which labels its recall is, in words."""
        return "of the labels corrected" if self.recall_of == "corrected" else "of the labels given"


Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Percentiles(Generic[Number]):
    """What a forecast expects: 1 time in 10 it is at most `p10`, as often as not `p50`, 9 times in 10 `p90`."""

    p10: Number
    p50: Number
    p90: Number


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """The work that is left."""

    until: str
    records_to_certificate: Percentiles[int]
    zero_hit: int
    seconds_per_record: float | None
    hours: Percentiles[float] | None


@dataclass(frozen=True, slots=True)
class LabelNoise:
    """What second judgements say of the labels; None for what they cannot say yet."""

    excluded: int
    sample: int
    judged_twice: int
    overturned: int
    pending: list[int]
    confidence: float
    sensitivity: float | None = None
    lower: float | None = None
    upper: float | None = None
    recall_lower: float | None = None
    relevant_upper: int | None = None
    wrong_upper: int | None = None


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What a machine suggests at the stage, and what people found where they read some of it at random.

    Attributes
    ----------
    name : str
    prompts : list of str
        The SHA-256 of each prompt that it was declared with.
    versions : list of str
        What the server that it was asked at called it.
    include, exclude, maybe : int
        Records of the stage by its label.
    unread : int
        Records that it would leave unread: those that it would exclude.
    read_at_random, relevant_at_random : int
        Of these, the random audit draws that people have judged, and how many of them are relevant.
    recall_lower : float or None
        What people's draws prove of what people have found, whatever any machine does: the certificate's bound.
    confidence : float
    """

    name: str
    prompts: list[str]
    include: int
    exclude: int
    maybe: int
    unread: int
    read_at_random: int
    relevant_at_random: int
    recall_lower: float | None
    confidence: float
    versions: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AttentionFacts:
    """Known relevant records that were shown once more, as checks of attention."""

    checks: int
    recognised: int


@dataclass(frozen=True, slots=True)
class Status:
    """Where a stage is; `triage status --json` prints these fields (see `as_json`)."""

    stage: str
    records: int
    screened: int
    relevant_found: int
    maybe: int
    conflicts: int
    unscreened: int
    awaiting_labels: int
    target: float
    confidence: float
    certificate: CertificateFacts
    estimate: EstimateFacts | NoEstimate
    rules: list[RuleFacts]
    workload: WorkloadFacts
    label_noise: LabelNoise | None
    price_table: dict[str, dict[str, int]]
    price_of_certainty: dict[str, int]
    verdict: VerdictFacts
    warnings: list[str]
    stop: Stop | None = None
    attention: AttentionFacts | None = None
    seeds_revealed: bool | None = None  # whether they give what was committed; None while they are secret
    machines: list[MachineFacts] = field(default_factory=list)
    key_papers: list[KeyPaper] = field(default_factory=list)
    excluded_unread: int = 0  # of the unscreened, those that a search found and that were excluded unread
    exclusions: list[ExcludedUnread] = field(default_factory=list)
    assigned: list[AssignedTo] = field(default_factory=list)


def seconds_per_record(events: Iterable[Event], stage: str) -> float | None:
    """Return the median time from showing a record to deciding on it, in seconds.

    A record that was put up while the one before it was being read is timed from the decision on that one.
    Decisions made in a file, and gaps too long to be reading, are left out; None while fewer than
    five decisions can be timed.
    """
    shown: dict[tuple[int, str], Event] = {}
    decided: dict[str, Event] = {}
    times = []
    for e in events:
        if e.stage != stage or e.record_id is None:
            continue
        if e.kind is Kind.SHOWN and e.note == "":
            shown[e.record_id, e.reviewer] = e
        elif e.kind is Kind.DECISION:
            if (start := shown.pop((e.record_id, e.reviewer), None)) is not None:
                before = decided.get(e.reviewer, start)
                seconds = (e.at - max(start.at, before.at)).total_seconds()
                if seconds <= _BREAK_SECONDS:
                    times.append(seconds)
            decided[e.reviewer] = e
    return statistics.median(times) if len(times) >= _LEAST_TIMED else None


def status(
    review: Snapshot,
    stage_name: str | None = None,
    *,
    target: float | None = None,
    confidence: float | None = None,
    viewer: str | None = None,
) -> Status:
    """Return where a stage stands.

    Parameters
    ----------
    review : Snapshot
    stage_name : str, optional
        The first stage when left out.
    target, confidence : float, optional
        The protocol's when left out.
    viewer : str, optional
        A reviewer who is to stay blind (see `Snapshot.stage`). The ranking, which has learned from everybody, says
        nothing to them: the estimate is that of the curve, the pace is their own.

    Raises
    ------
    InputError
        When the stage is none, or a number does not lie between 0 and 1.
    """
    protocol = review.protocol
    target = protocol.stopping.target if target is None else checked_share("--target", target)
    confidence = protocol.stopping.confidence if confidence is None else checked_share("--confidence", confidence)
    stage = review.stage(stage_name, viewer=viewer)
    history = review.history(stage_name, viewer=viewer)
    events = review.events_between(until=stage.live.last_seq)
    parameters = recall.logged_parameters(events, stage.name)
    is_blind = viewer is not None and protocol.reviewers_per_record > 1
    ranking = None if is_blind else review.rankings.newest(stage.name)
    if ranking is not None and not np.array_equal(ranking.record_ids, stage.record_ids):
        ranking = None
    estimate = None
    if ranking is not None:
        estimate = recall.estimate_from_scores(history, ranking.scores, ranking.held_out, confidence)
    estimate = estimate or recall.estimate_from_curve(history, confidence)
    # The rules and the certificate go by the records whose recall the protocol asks for.
    evidence, rows = history.among(protocol.stopping.recall_among)
    certificate = recall.certificate(evidence, target, confidence, parameters)
    verdicts = [
        _ask(name, protocol.stopping, evidence, target, confidence, parameters, ranking, rows) for name in RULES
    ]
    chosen = next(v for v in verdicts if v.name == protocol.stopping.rule)
    looks = Looks.of(review, stage_name, viewer=viewer)
    corrected = recall.adjudicated(looks.history, looks.corrections(), target, confidence, parameters)
    if protocol.stopping.recall_of == "corrected":
        verdicts = [
            recall.corrected_verdict(corrected, target) if v.name == protocol.stopping.rule else v for v in verdicts
        ]
        chosen = next(v for v in verdicts if v.name == protocol.stopping.rule)
    known = history.n_found - evidence.n_found
    policy = recall.policy_of(chosen.name, target, confidence, audit_size=protocol.stopping.audit_size)
    workload = recall.forecast(
        evidence,
        target,
        confidence,
        np.random.default_rng(_FORECAST_SEED),
        estimate=estimate,
        parameters=parameters,
        policy=policy,
    )
    seconds = seconds_per_record((e for e in events if not is_blind or e.reviewer == viewer), stage.name)
    labels = judged_records(stage)
    judged = Counter(label for _, label in labels)
    unread = sum(r in stage.consensus.unread for r, _ in labels)
    noise = _label_noise(looks, corrected, confidence)
    warnings = _warnings(review, events, stage, labels, history, estimate, certificate, viewer)
    if unread:
        warnings.append(_of_unread(unread, chosen.promise))
    if RULES[chosen.name].needs_audit_size:
        warnings.append(
            f"The running certificate and the rule {chosen.name} each hold with {100 * confidence:g} % confidence, not both "
            f"together; the protocol names {chosen.name}, so that is the one to report."
        )
    revealed = revealed_seeds(review, stage.name)
    warnings += [
        f"The seed that was revealed for the permutation of event {event} is not the one that was committed there: the "
        "certificate, which rests on it, cannot be trusted."
        for event, is_right in revealed.items()
        if not is_right
    ]
    stop = newest_stop(review, stage.name)
    if stop is not None and is_blind:  # its counts are of what everybody has decided
        warnings.insert(0, f"{stop.reviewer} stopped this stage on {stop.at:%Y-%m-%d}.")
        stop = None
    if stop is not None and not stop.stands:
        warnings.insert(
            0,
            f"The stop of {stop.at:%Y-%m-%d} no longer stands, because since then {'; '.join(stop.no_longer)}. Screen "
            "on, or stop anew (`triage stop`).",
        )
    if is_blind:
        warnings.insert(
            0,
            "So that you decide blind, all of this is of your own decisions and of the records that "
            f"{plural(protocol.reviewers_per_record, 'reviewer')} have judged; an owner of the review sees more.",
        )
    if history.n_unscreened and (chosen.stop or _plateau_is_reached(evidence, target, confidence)):
        warnings += _safe_checks(review, stage, history, estimate, noise)
    return Status(
        stage=stage.name,
        records=history.n_total,
        screened=history.n_screened,
        relevant_found=history.n_found,
        maybe=judged[Label.MAYBE],
        conflicts=judged[None],
        unscreened=history.n_unscreened,
        awaiting_labels=_waiting(stage, history),
        target=target,
        confidence=confidence,
        certificate=CertificateFacts(
            method=certificate.method,
            recall_lower=certificate.recall_lower,
            missed_upper=certificate.missed_upper,
            audit_draws=certificate.audit_draws,
            certified=certificate.certified,
            among="all" if rows is None else "screened",
            known_before=known,
            recall_lower_all=history.n_found / (history.n_found + certificate.missed_upper)
            if history.n_found
            else None,
        ),
        estimate=_estimate_facts(estimate),
        rules=[RuleFacts(v.name, v.stop, v.promise, v.why) for v in verdicts],
        workload=WorkloadFacts(
            until=_until(chosen.name, policy),
            records_to_certificate=Percentiles(workload.p10, workload.p50, workload.p90),
            zero_hit=workload.zero_hit,
            seconds_per_record=seconds,
            hours=None
            if seconds is None
            else Percentiles(*(round(n * seconds / 3600, 2) for n in (workload.p10, workload.p50, workload.p90))),
        ),
        label_noise=noise,
        price_table={} if history.n_found else price_table(history.n_total, confidence),
        price_of_certainty={}
        if certificate.certified
        else {
            f"{t:g}": draws
            for t, draws in recall.price_of_certainty(evidence.n_found, history.n_unscreened, confidence).items()
        },
        verdict=VerdictFacts(
            chosen.name, chosen.stop, chosen.certified, chosen.promise, chosen.why, protocol.stopping.recall_of
        ),
        warnings=warnings,
        stop=stop,
        seeds_revealed=all(revealed.values()) if revealed else None,
        attention=_attention([e for e in events if not is_blind or e.reviewer == viewer], stage.name),
        machines=_machines(stage, history, certificate, confidence),
        key_papers=key_papers(review, stage, history, ranking),
        excluded_unread=unread,
        exclusions=excluded_unread(review, stage_name, viewer=viewer),
        assigned=assigned(review, stage_name, viewer=viewer),
    )


def _of_unread(unread: int, promise: str) -> str:
    """Say what records that were excluded unread mean for the numbers."""
    said = (
        f"{plural(unread, 'record')} {was_were(unread)} excluded unread, because a search found "
        f"{agree(unread, 'it', 'them')}. The certificate and the forecast count {agree(unread, 'it', 'them')} as unscreened, "
        "so the bound holds whatever the search found; random draws still come from there."
    )
    if promise == "certificate":
        return said
    return (
        f"{said} The ranking does not bring {agree(unread, 'it', 'them')} up any more, so the estimates and all rules but "
        "those that promise a certificate are wrong where the search found relevant records."
    )


def _machines(stage: Stage, history: History, certificate: recall.Certificate, confidence: float) -> list[MachineFacts]:
    """Return what each machine that labelled records of the stage would leave unread, and what draws among it found.

    The bound is the certificate's. It rests on people's draws from all that nobody had been shown, what the machine
    would exclude among it, so nothing that the machine says can weaken it.
    """
    drawn = (history.origin == str(Origin.AUDIT)) & history.judged
    relevant = dict(zip(history.rows[drawn].tolist(), (history.y[drawn] == 1).tolist(), strict=True))
    found = []
    for name, given in sorted(stage.live.suggested(stage.name).items()):
        rows = stage.rows_of(given).tolist()
        labels = {row: e.label for row, e in zip(rows, given.values(), strict=True) if row >= 0}
        unread = [row for row, label in labels.items() if label is Label.EXCLUDE]
        counts = Counter(labels.values())
        read = [relevant[row] for row in unread if row in relevant]
        found.append(
            MachineFacts(
                name=name,
                prompts=prompts_of(stage.live.machines[name]),
                include=counts[Label.INCLUDE],
                exclude=counts[Label.EXCLUDE],
                maybe=counts[Label.MAYBE],
                unread=len(unread),
                read_at_random=len(read),
                relevant_at_random=sum(read),
                recall_lower=certificate.recall_lower,
                confidence=confidence,
                versions=versions_of(stage.live.machines[name]),
            )
        )
    return found


def _attention(events: Iterable[Event], stage: str) -> AttentionFacts | None:
    """Count the checks of attention; None where there was none. They are never evidence of recall."""
    labels = [e.label for e in events if e.kind is Kind.CHECK and e.stage == stage]
    return AttentionFacts(len(labels), sum(label is not Label.EXCLUDE for label in labels)) if labels else None


def _waiting(stage: Stage, history: History) -> int:
    """Return how many records somebody has on the screen or in a file and has not judged."""
    return int((history.y < 0).sum()) - len(_returned(stage))


def _returned(stage: Stage) -> list[int]:
    """Return the audit draws that came back from a batch and wait to be shown again."""
    returned = [record_id for name, record_id in stage.live.returned if name == stage.name]
    return [r for r, row in zip(returned, stage.rows_of(returned).tolist(), strict=True) if row >= 0]


def _until(rule: str, policy: recall.Policy | None) -> str:
    """Say what the forecast of the work is a forecast of."""
    if RULES[rule].needs_audit_size:
        return f"the one look of {rule}"
    return f"a certificate by random draws (the rule {rule} makes none)" if policy is None else _CERTIFICATE


def price_table(records: int, confidence: float) -> dict[str, dict[str, int]]:
    """Return what certainty will cost, told before screening begins.

    For each number of relevant records that may come to be found, and each target, the audit draws without
    a hit that any certificate without assumptions needs, were they found one after the other.
    """
    return {
        str(found): {
            f"{t:g}": draws for t, draws in recall.price_of_certainty(found, records - found, confidence).items()
        }
        for found in (10, 20, 50, 100, 200, 500, 1000)
        if 2 * found <= records
    }


def price_in_words(records: int, confidence: float) -> list[str]:
    """Return the table as lines for a person; none where a review is too small for it."""
    table = price_table(records, confidence)
    if not table:
        return []
    targets = list(next(iter(table.values())))
    lines = [
        f"What certainty costs at {100 * confidence:g} % confidence with any tool: records to draw at random,",
        f"none of them relevant, of {records:,}, once so many relevant ones are found, by the recall to be certified.",
        "  found" + "".join(f"{f'{100 * float(t):g} %':>16}" for t in targets),
    ]
    for found, price in table.items():
        cells = (f"{draws:,} ({100 * draws / records:.0f} %)" for draws in price.values())
        lines.append(f"{int(found):>7,}" + "".join(f"{cell:>16}" for cell in cells))
    return lines


def _label_noise(looks: Looks, told: recall.Adjudicated, confidence: float) -> LabelNoise | None:
    """Return what second looks say of the labels; None while nothing is excluded.

    The bounds hold at every look. The sensitivity is what the second looks that count, which are at random ones of
    the excluded audit draws and of the other exclusions, tell of all of each kind.
    """
    draws, others = looks.draws, looks.others
    excluded = len(draws) + len(others)
    if not excluded:
        return None
    counted = looks.counted()
    overturned = [sum(1 for record_id in ids if looks.is_overturned(record_id)) for ids in counted]
    noise = LabelNoise(
        excluded=excluded,
        sample=len({*looks.so_far, *counted[0], *counted[1]}),
        judged_twice=sum(map(len, counted)),
        overturned=sum(overturned),
        pending=[record_id for record_id in looks.so_far if looks.awaits(record_id)],
        confidence=confidence,
    )
    if not any(counted):
        return noise
    noise = replace(
        noise, recall_lower=told.recall_lower, relevant_upper=told.relevant_upper, wrong_upper=told.wrong_upper
    )
    included = looks.n_included
    if not included:
        return noise
    known = sum(1 for record_id in (*draws, *others) if looks.is_overturned(record_id))
    # Of the audit draws no more can be wrong than those known to be, and those without a second look.
    among_draws = sum(1 for record_id in draws if looks.is_overturned(record_id) or looks.awaits(record_id))
    noise = replace(
        noise, lower=included / (included + told.wrong_upper + among_draws), upper=included / (included + known)
    )
    if any(everything and not ids for ids, everything in zip(counted, (draws, others), strict=True)):
        return noise
    wrong = sum(
        wrong_ones / len(ids) * len(everything)
        for wrong_ones, ids, everything in zip(overturned, counted, (draws, others), strict=True)
        if ids
    )
    return replace(noise, sensitivity=included / (included + wrong))


def _ask(
    name: str,
    chosen: Stopping,
    history: History,
    target: float,
    confidence: float,
    parameters: recall.AuditE,
    ranking: Ranking | None,
    rows: np.ndarray | None,
) -> Verdict:
    """Ask one rule; `chosen` is the protocol's, whose policy the audit draws followed."""
    rule = recall.rule_of(name, target, confidence, audit_size=chosen.audit_size, parameters=parameters)
    if RULES[name].needs_audit_size and name != chosen.rule:
        return Verdict(
            name,
            False,
            False,
            RULES[name].promise,
            "Not set up: its sample must be named in the protocol before screening begins.",
        )
    if rule.needs_scores and ranking is not None:
        of_these = slice(None) if rows is None else rows
        return rule(history, ranking.scores[of_these], ranking.held_out[of_these])
    return rule(history)


def _estimate_facts(estimate: Estimate | None) -> EstimateFacts | NoEstimate:
    if estimate is None:
        return NoEstimate()
    return EstimateFacts(
        method=estimate.method,
        recall=estimate.recall,
        lower=estimate.lower if estimate.interval_holds else None,
        upper=estimate.upper if estimate.interval_holds else None,
        relevant_total=round(estimate.relevant_total, 1),
        assumes=estimate.assumes,
    )


def _warnings(
    review: Snapshot,
    events: Sequence[Event],
    stage: Stage,
    labels: list[tuple[int, Label | None]],
    history: History,
    estimate: Estimate | None,
    certificate: recall.Certificate,
    viewer: str | None,
) -> list[str]:
    """Tell what a reader of the numbers must know, each in a sentence."""
    told = []
    if history.n_found:
        told.append(
            f"Recall is that of the labels given at the stage {stage.name!r}: what is included on an abstract is "
            "much harder to exhaust than what a review includes in the end; nothing is said of records that the search "
            "did not retrieve, or that were labelled wrongly."
        )
    if review.protocol.learn_from == "final" and stage.name != review.protocol.stages[-1].name:
        told.append(
            f"The ranking learns from the decisions of later stages where there are some; recall stays that of the labels "
            f"of the stage {stage.name!r}, which are harder to exhaust."
        )
    conflicts = sum(1 for _, label in labels if label is None)
    if conflicts:
        told.append(
            f"{plural(conflicts, 'record')} {agree(conflicts, 'has', 'have')} conflicting decisions; "
            f"{agree(conflicts, 'it counts', 'they count')} as relevant until "
            f"{agree(conflicts, 'it is', 'they are')} settled."
        )
    waiting = _waiting(stage, history)
    if waiting:
        told.append(
            f"{plural(waiting, 'record')} {was_were(waiting)} shown or handed out and "
            f"{agree(waiting, 'awaits', 'await')} a label; the certificate counts {agree(waiting, 'it', 'them')} as "
            f"relevant, and the audit draws before {agree(waiting, 'it', 'the first of them')} alone."
        )
    if returned := len(_returned(stage)):
        told.append(
            f"{plural(returned, 'random draw')} came back with a batch that was taken back; "
            f"{agree(returned, 'it is', 'they are')} the next to be shown, and until then the certificate rests on the draws "
            f"before {agree(returned, 'it', 'them')}."
        )
    told += _unfinished(review, stage, labels, viewer)
    hits = history.rows[(history.origin == Origin.AUDIT) & (history.y == 1)]
    if len(hits):
        ids = ", ".join(str(i) for i in stage.record_ids[hits][:10]) + (" and more" if len(hits) > 10 else "")
        told.append(
            "The model disagrees with the audit, which may mean a hidden cluster: the audit found relevant records "
            f"that the ranking had left behind: {ids}."
        )
    if estimate is not None and estimate.relevant_total > history.n_found + certificate.missed_upper:
        told.append("The model disagrees with the audit: it expects more relevant records than the certificate allows.")
    first = next((e.at for e in events if e.kind is Kind.DECISION and e.stage == stage.name), None)
    if first is not None:
        before = [toml for at, toml in review.protocol_versions if at <= first]
        if before and parse(before[-1]).stopping != review.protocol.stopping:
            told.append("The stopping rule, its target or its confidence was changed after screening had begun.")
    return told


def _plateau_is_reached(history: History, target: float, confidence: float) -> bool:
    """Tell whether the ranking has found nothing for so long that an audit would begin, or has begun."""
    policy = recall.Policy(target, confidence)
    return bool((history.origin == Origin.AUDIT).any()) or policy.next_origin(history) is Origin.AUDIT


def _safe_checks(
    review: Snapshot, stage: Stage, history: History, estimate: Estimate | None, noise: LabelNoise | None
) -> list[str]:
    """Tell which checks of the SAFE procedure are not met, in one sentence; nothing where all are.

    Boetje & van de Schoot 2024 (10.1186/s13643-024-02502-7) ask, before a stop, for a tenth of the records and
    twice the relevant records expected to be screened, 50 irrelevant ones in a row, the same by another
    model, and a look at what was excluded. That the key papers are found the log cannot tell.
    """
    missing = []
    if history.n_screened < _SAFE_SHARE * history.n_total:
        missing.append(f"fewer than {100 * _SAFE_SHARE:g} % of the records are screened")
    run = recall.Policy.run(history)
    if run < _SAFE_RUN:
        missing.append(f"{plural(run, 'ranked record')} in a row {was_were(run)} irrelevant, not {_SAFE_RUN}")
    if estimate is not None and history.n_screened < _SAFE_TIMES * estimate.relevant_total:
        missing.append(
            "fewer records are screened than twice as many as are expected to be relevant "
            f"({about(estimate.relevant_total, 'record')})"
        )
    names = {model.get("name") for model in review.rankings.models(stage.name)}
    if len(names) < 2:
        missing.append("no second model has ranked what is left (`triage rank --model`)")
    if noise is not None and (noise.pending or not noise.judged_twice):
        pending = len(noise.pending)
        missing.append(
            f"{pending:,} of {plural(noise.sample, 'excluded record')} drawn at random "
            f"{agree(pending, 'awaits', 'await')} a second look"
            if pending
            else "nobody has looked again at excluded records drawn at random (`triage screen --second-look`)"
        )
    if not missing:
        return []
    return [
        "Checks of the SAFE procedure that are not met: " + "; ".join(missing) + ". They are rules of thumb, and so is "
        "that the key papers known beforehand are among the included, which only you can tell; no stop rests on them."
    ]


def _unfinished(
    review: Snapshot, stage: Stage, labels: list[tuple[int, Label | None]], viewer: str | None
) -> list[str]:
    """Tell what is still to come before the stage's labels are final, or its records complete."""
    protocol = review.protocol
    told = []
    judged = {(stage.live.kept(record_id), who) for name, record_id, who in stage.live.decisions if name == stage.name}
    reviewers = Counter(record_id for record_id, _ in judged)
    once = sum(1 for r, _ in labels if reviewers[r] < protocol.reviewers_per_record)
    if once:
        told.append(
            f"{plural(once, 'record')} {was_were(once)} judged by one of "
            f"{plural(protocol.reviewers_per_record, 'reviewer')} only; a label may change."
        )
    for earlier in [s.name for s in protocol.stages]:
        if earlier == stage.name:
            break
        before = review.stage(earlier, viewer=viewer)
        open_records = len(before.record_ids) - sum(1 for _, label in judged_records(before) if label is not None)
        if open_records:
            told.append(
                f"The stage {earlier!r} is not finished ({plural(open_records, 'record')} "
                f"{agree(open_records, 'has', 'have')} no agreed label), so more records "
                f"may come to {stage.name!r}; nothing is said of them."
            )
    return told


def attention_in_words(facts: AttentionFacts) -> str:
    """Return what the checks of attention say."""
    return (
        f"{facts.recognised:,} of {plural(facts.checks, 'relevant record')} shown once more {was_were(facts.recognised)} "
        "recognised, as a check of attention"
    )


def is_certified(facts: Status) -> bool:
    """Tell whether the target is certified, by the protocol's rule where that is a certificate, else by the running one."""
    if facts.verdict.recall_of == "corrected":
        return facts.verdict.certified
    by_rule = facts.verdict.promise == "certificate"
    return facts.verdict.certified if by_rule and facts.unscreened else facts.certificate.certified


def in_words(facts: Status) -> str:
    """Return what `status` found as lines for a person, each number with its promise."""
    c, e, v = facts.certificate, facts.estimate, facts.verdict
    lines = [
        f"Stage {facts.stage}: {facts.screened:,} of {plural(facts.records, 'record')} screened, "
        f"{facts.relevant_found:,} relevant found"
        + (f" ({facts.maybe:,} of them maybe)" if facts.maybe else "")
        + f", {facts.unscreened:,} unscreened"
        + (f" ({facts.excluded_unread:,} of them excluded unread)." if facts.excluded_unread else "."),
        "",
    ]
    if not facts.records:
        return "\n".join(
            lines
            + ["Verdict      No record has come to this stage."]
            + [f"Note         {warning}" for warning in facts.warnings]
        )
    lines.append(_certificate_in_words(facts))
    if e.recall is not None and facts.unscreened:
        between = "" if e.lower is None or e.upper is None else f"({100 * e.lower:.1f} to {100 * e.upper:.1f} %), "
        lines.append(
            f"Estimate     about {100 * e.recall:.1f} % are found{' ' * bool(between) or ', '}{between}"
            f"{about(e.relevant_total, 'relevant record')} in all. No guarantee:\n             {e.method}, assuming "
            f"{e.assumes}."
        )
    if not facts.unscreened:
        lines.append("Workload     none: every record is screened.")
    elif c.certified and v.recall_of == "corrected" and not v.certified:
        lines.append("Workload     second looks (`triage screen --second-look` says what so many more would prove).")
    elif c.certified and not RULES[v.rule].needs_audit_size:
        lines.append(f"Workload     none: a recall of {100 * facts.target:g} % is certified.")
    else:
        lines.append(_workload_in_words(facts))
    if not facts.relevant_found and facts.unscreened:
        lines += ["", *price_in_words(facts.records, facts.confidence)]
    elif facts.unscreened and facts.price_of_certainty and not c.audit_draws:
        price = ", ".join(f"{100 * float(t):g} %: {n:,}" for t, n in facts.price_of_certainty.items())
        lines.append(
            f"Price        random draws from the start of an audit, none of them relevant, that any method needs, by "
            f"target:\n             {price}."
        )
    if facts.label_noise is not None:
        lines.append(_labels_in_words(facts.label_noise))
    lines += [
        f"Machine      {audit_in_words(one)};\n             {_found_in_words(facts, one)}." for one in facts.machines
    ]
    lines += [
        f"{'Unread' if not n else '':<13}Excluded unread, by a search: {one.in_words}"
        for n, one in enumerate(facts.exclusions)
    ]
    lines += [
        f"{'Assigned' if not n else '':<13}{one.reviewer}: {plural(one.assigned, 'record')}, {one.done:,} judged"
        for n, one in enumerate(facts.assigned)
    ]
    lines += [f"{'Key papers' if not n else '':<13}{line}" for n, line in enumerate(papers_in_words(facts.key_papers))]
    if facts.attention is not None:
        lines.append(f"Attention    {attention_in_words(facts.attention)}.")
    lines += ["", "Rules        (the protocol's decides; the others are shown beside it)"]
    for rule in facts.rules:
        mark = "*" if rule.name == v.rule else " "
        says = "stop" if rule.stop else "go on"
        lines.append(f"  {mark} {rule.name:<12}{says:<7}{rule.promise:<12}{rule.why}")
    promise = f" (certified, {v.of_which})" if v.certified else f" (promise: {v.promise})" if facts.unscreened else ""
    lines += ["", f"Verdict      {'Screening can stop' if v.stop else 'Go on screening'}{promise}. {v.why}"]
    if facts.stop is not None:
        lines.append(f"Stopped      {facts.stop.in_words}")
    return "\n".join(lines + [f"Note         {warning}" for warning in facts.warnings])


def audit_in_words(machine: MachineFacts) -> str:
    """Say what a machine would leave unread, and what people found where they read some of it at random."""
    read, relevant = machine.read_at_random, machine.relevant_at_random
    return (
        f"{machine.name} would leave {plural(machine.unread, 'record')} unread; {read:,} random "
        f"{agree(read, 'one', 'ones')} of them {was_were(read)} read by people, {relevant:,} {was_were(relevant)} relevant"
    )


def _found_in_words(facts: Status, machine: MachineFacts) -> str:
    if not facts.unscreened:
        return "people have read every record"
    if machine.recall_lower is None:
        return "people have found nothing relevant yet, so no recall is certified"
    held = f"{100 * machine.confidence:g} % confidence" if facts.certificate.audit_draws else "by arithmetic alone"
    return f"at least {floor_percent(machine.recall_lower)} of the relevant records are found ({held})"


def _certificate_in_words(facts: Status) -> str:
    c, missed = facts.certificate, facts.certificate.missed_upper
    if c.recall_lower is None:
        told = (
            f"Certificate  nothing relevant is found yet; at most {plural(missed, 'record')} {is_are(missed)} relevant"
        )
    else:
        told = (
            f"Certificate  at least {floor_percent(c.recall_lower)} of the relevant records are found, at most "
            f"{missed:,} missed"
        )
    if not (c.audit_draws and facts.unscreened):
        why = "nothing has been drawn at random yet" if facts.unscreened else "every record is screened"
        return f"{told}\n             (by arithmetic alone: {why}).{_beside_all(facts)}"
    return (
        f"{told} ({100 * facts.confidence:g} % confidence,\n             whatever the ranking does and whenever "
        f"you look; {plural(c.audit_draws, 'audit draw')}).{_beside_all(facts)}"
    )


def _beside_all(facts: Status) -> str:
    """Say how the recall of the records screened here compares with that of all."""
    c = facts.certificate
    if c.among == "all":
        return ""
    told = f"\n             This is of the records screened here; {plural(c.known_before, 'relevant record')} came labelled"
    if c.recall_lower_all is None:
        return f"{told}."
    return f"{told}, and with {agree(c.known_before, 'it', 'them')} it is at least {floor_percent(c.recall_lower_all)}."


def _labels_in_words(noise: LabelNoise) -> str:
    judged = noise.judged_twice
    if not noise.sample and not judged:
        return (
            f"Labels       nobody has judged any of {plural(noise.excluded, 'excluded record')} again "
            "(`triage screen --second-look`)."
        )
    told = (
        f"Labels       {judged:,} of {plural(noise.excluded, 'excluded record')} {is_are(judged)} judged again in turn, "
        f"{noise.overturned:,} overturned"
    )
    if noise.sensitivity is not None:
        told += f": about {100 * noise.sensitivity:.1f} % of the relevant records that were screened were included"
    if noise.recall_lower is not None:
        told += (
            f".\n             Wrong exclusions counted, at least {floor_percent(noise.recall_lower)} of the relevant "
            f"records are included ({100 * noise.confidence:g} % confidence,\n             wherever the mistakes are "
            "and whenever you look; includes taken as right)"
        )
    if noise.pending:
        ids = ", ".join(map(str, noise.pending[:10])) + (" and more" if len(noise.pending) > 10 else "")
        told += f".\n             These await another reviewer's second look: {ids}"
    return told + "."


def _workload_in_words(facts: Status) -> str:
    work = facts.workload
    left = work.records_to_certificate
    until = f"a certified {100 * facts.target:g} %" if work.until == _CERTIFICATE else work.until
    told = (
        f"Workload     {_between(left.p10, left.p90)} more {agree(left.p90, 'record', 'records')} to {until}"
        f" (median {left.p50:,}; {work.zero_hit:,} if nothing more turns up)"
    )
    pace = work.seconds_per_record
    if pace is None:
        return told + "."
    hours = _between(span(left.p10 * pace), span(left.p90 * pace))
    return f"{told},\n             {hours} at your {pace:.1f} seconds a record."


def _between(least: int | str, most: int | str) -> str:
    least, most = (text if isinstance(text, str) else f"{text:,}" for text in (least, most))
    return most if least == most else f"{least} to {most}"
