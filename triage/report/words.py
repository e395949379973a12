"""The report's sentences: what a status says, each with its promise, and a methods paragraph to paste.

Nothing is estimated in here, and every statement on recall repeats the status it is given.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .. import __version__
from ..flow import Flow, StageFlow
from ..log import History, Origin
from ..project import Snapshot
from ..protocol.model import Limits, Protocol
from ..status import CertificateFacts, EstimateFacts, Status, WorkloadFacts, attention_in_words, audit_in_words
from ..stopping_rules import RULES
from ..stops import Stop, newest as newest_stop
from ..wording import agree, is_are, plural, span, was_were

REFERENCES = {
    "Cormack & Grossman 2016": "Cormack GV, Grossman MR. Scalability of continuous active learning for "
    "reliable high-recall text classification. CIKM 2016, 1039–1048. doi:10.1145/2983323.2983776",
    "Page et al. 2021": "Page MJ, McKenzie JE, Bossuyt PM, et al. The PRISMA 2020 statement: an updated "
    "guideline for reporting systematic reviews. BMJ 2021;372:n71. doi:10.1136/bmj.n71",
    "Reimers & Gurevych 2019": "Reimers N, Gurevych I. Sentence-BERT: sentence embeddings using Siamese "
    "BERT-networks. EMNLP-IJCNLP 2019, 3982–3992. doi:10.18653/v1/D19-1410",
    "Ville 1939": "Ville J. Étude critique de la notion de collectif. Paris: Gauthier-Villars, 1939.",
    "Waudby-Smith & Ramdas 2020": "Waudby-Smith I, Ramdas A. Confidence sequences for sampling without "
    "replacement. Advances in Neural Information Processing Systems 33 (2020). arXiv:2006.04347",
}
_MOST_PARAMETERS = 12  # more of them go to the report's table, not into the methods paragraph


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence on the state of the review and what it rests on: "count" or one of the promises."""

    promise: str
    text: str


def statements(status: Status) -> list[Statement]:
    """Say in plain sentences what a status says, each with its promise and claiming no more than it.

    Parameters
    ----------
    status : Status
    """
    screened, unscreened = status.screened, status.unscreened
    found, maybe = status.relevant_found, status.maybe
    text = (
        f"{screened:,} of {plural(status.records, 'record')} {is_are(screened)} screened "
        f"at the stage “{status.stage}”, and {found:,} of them {is_are(found)} relevant"
    )
    text += f" ({maybe:,} labelled maybe)." if maybe else "."
    said = [Statement("count", text)]
    if status.stop is not None:
        said.append(Statement("count", status.stop.in_words))
    if not status.records:
        return said
    if unscreened == 0:
        said.append(Statement("count", "Every record is screened, so nothing is left to estimate."))
        return said
    said.append(Statement("certificate", _certificate_now(status, status.certificate)))
    estimate = status.estimate
    if estimate.recall is not None:
        said.append(Statement("estimate", _estimate_now(status, estimate)))
    else:
        said.append(Statement("estimate", "There is no estimate of recall yet."))
    if not _is_certified(status):
        said.append(Statement("estimate", _work_ahead(status.workload)))
    said += [Statement("count", f"{audit_in_words(one)}.") for one in status.machines]
    return said


def headline(status: Status) -> str:
    """Say in a few words whether screening can stop, and without a certificate that there is none."""
    if not status.records:
        return "No record has come to this stage."
    if status.unscreened == 0:
        return "Every record is screened."
    if status.stop is not None:
        if not status.stop.stands:
            return f"The stop of {status.stop.at:%Y-%m-%d} no longer stands."
        how = "certified" if status.stop.certified else "without a certificate"
        return f"Screening was stopped on {status.stop.at:%Y-%m-%d}, {how}."
    if not status.verdict.stop:
        return "Screening goes on."
    if _is_certified(status):
        return f"Screening can stop, certified {status.verdict.of_which}."
    return "The stopping rule is met, without a certificate."


def _is_certified(status: Status) -> bool:
    # The review's own rule may have certified its stop by other evidence than the running certificate.
    if status.verdict.recall_of == "corrected":
        return status.verdict.certified
    return status.certificate.certified or status.verdict.certified


def _certificate_now(status: Status, certificate: CertificateFacts) -> str:
    unscreened, target = status.unscreened, percent(status.target)
    missed, lower, drawn = certificate.missed_upper, certificate.recall_lower, certificate.audit_draws
    if lower is None and not drawn:
        return "No record has been drawn at random yet, and no relevant one is known, so nothing is certified."
    among = f"at most {missed:,} {is_are(missed)} missed among the {plural(unscreened, 'record')} not screened"
    if lower is None:
        return f"No relevant record is known yet, so recall is undefined; {among} ({_held_how(status, certificate)})."
    held = _held_how(status, certificate) if drawn else "by arithmetic alone: no record has been drawn at random yet"
    certifies = "certifies" if certificate.certified else "does not certify"
    return (
        f"At least {percent(lower, math.floor)} of the records you would label relevant are found "
        f"({held}); {among}. This {certifies} the target of {target}."
    )


def _held_how(status: Status, certificate: CertificateFacts) -> str:
    when = {"audit-e": ", holds whenever you look", "fixed-audit": ", holds for one look only"}
    return f"{percent(status.confidence)} confidence{when.get(certificate.method, '')}"


def _estimate_now(status: Status, estimate: EstimateFacts) -> str:
    between = (
        f" ({percent(status.confidence)} interval {percent(estimate.lower, math.floor)} to "
        f"{percent(estimate.upper, math.ceil)})"
        if estimate.lower is not None and estimate.upper is not None
        else ""
    )
    text = (
        f"Recall is estimated at {percent(estimate.recall)}{between}, of "
        f"{plural(round(estimate.relevant_total), 'relevant record')} in all. "
        f"This is a point estimate ({estimate.method}) with no guarantee"
    )
    assumes = estimate.assumes.strip().rstrip(".")
    return f"{text}; it assumes{'' if assumes.startswith('that ') else ':'} {assumes}."


def _work_ahead(workload: WorkloadFacts) -> str:
    records, pace, until = workload.records_to_certificate, workload.seconds_per_record, workload.until
    until = "A certified stop" if until == "the certificate" else until[0].upper() + until[1:]
    text = f"{until} is about {plural(records.p50, 'record')} away"
    if records.p10 != records.p90:
        text += f" (8 times in 10 between {records.p10:,} and {records.p90:,})"
    if pace is not None:
        text += f", or {span(pace * records.p50)} at {pace:,.1f} seconds a record"
    return text + ". This is a forecast with no guarantee."


def methods_text(
    protocol: Protocol, counted: Flow, history: History, status: Status, model: Mapping[str, object] | None
) -> str:
    """Return a methods paragraph to paste: what was done, with which figures and which promise.

    Parameters
    ----------
    protocol : Protocol
    counted : Flow
    history : History
        Of the stage that `status` speaks of.
    status : Status
    model : mapping or None
        Name and parameters of the ranking model; None when no ranking was made.
    """
    at = next(i for i, s in enumerate(counted.stages) if s.name == status.stage)
    later = counted.stages[at + 1 :]
    complete = bool(status.records) and not status.unscreened
    over = complete or bool(stopped_stages(status, {})) or any(s.unscreened < s.entered for s in later)
    said = [
        f"Screening {'was' if over else 'is being'} done with triage {__version__}, and the flow of records "
        f"is reported after PRISMA 2020 (Page et al. 2021).",
        *_said_of_search(protocol, counted),
        *_said_of_screening(protocol, history, status, counted.stages[at].conflicts, model, over),
        *_said_of_unread(status, counted.stages[at]),
        *_said_of_machines(protocol, status, counted.stages[at]),
        *(_said_of_recall(protocol, status, over) if status.records else ()),
        *(_said_of_stage(s) for i, s in enumerate(counted.stages) if i != at and s.unscreened < s.entered),
        *_said_of_studies(counted),
    ]
    return " ".join(said)


def _said_of_search(protocol: Protocol, counted: Flow) -> list[str]:
    dates = {s.name.casefold(): s.searched_on for s in protocol.sources}
    sources = [
        f"{name} (" + (f"searched on {day}, " if (day := dates.get(name.casefold())) else "") + f"n = {n:,})"
        for name, n in counted.retrieved.items()
    ]
    n = counted.n_retrieved
    said = [
        f"{plural(n, 'record')} {was_were(n)} imported from {plural(len(sources), 'source')}"
        + (f": {_listed(sources)}." if sources else ".")
    ]
    copies, removed = counted.n_duplicates, counted.n_removed
    if copies:
        said.append(
            f"{plural(copies, 'duplicate')} {was_were(copies)} linked to the record kept, which left "
            f"{plural(n - copies, 'record')}."
        )
    else:
        said.append("No duplicates were found.")
    if removed:
        kinds = [f"{sum(counts.values()):,} by the {kind} limit" for kind, counts in counted.removed.items()]
        said.append(
            f"{plural(removed, 'record')} {was_were(removed)} removed before screening "
            f"({_listed(kinds)}), which left {plural(n - copies - removed, 'record')}."
        )
    elif limit_lines(protocol.limits):
        said.append("No record was removed by the limits of the protocol.")
    return said


def _said_of_screening(
    protocol: Protocol, history: History, status: Status, conflicts: int, model: Mapping[str, object] | None, over: bool
) -> list[str]:
    n = status.screened
    done = was_were(n) if over else agree(n, "has been", "have been")
    parts = [f"{k:,} {what}" for k, what in ((status.maybe, "as maybe"), (conflicts, "in conflict")) if k]
    said = [
        f"At the stage “{status.stage}”, {n:,} of {plural(status.records, 'record')} {done} "
        f"screened and {status.relevant_found:,} counted as relevant"
        + (f" ({_listed(parts)} among them)." if parts else ".")
    ]
    if protocol.reviewers_per_record > 1:
        said.append(f"Every record needed the decisions of {plural(protocol.reviewers_per_record, 'reviewer')}.")
    origins = history.origin[history.judged]
    n_audit, n_ranked = (int((origins == str(o)).sum()) for o in (Origin.AUDIT, Origin.RANKED))
    if n_ranked and model is not None:
        criteria = "the protocol's criteria and by " if protocol.queries else ""
        said.append(
            f"{n_ranked:,} of them {was_were(n_ranked)} shown in the order of a ranking by {criteria}what a "
            f"model learned from the decisions made so far, trained anew as screening went on (continuous "
            f"active learning, Cormack & Grossman 2016)."
        )
        said.append(_said_of_model(model))
    elif n_ranked:
        said.append(f"{n_ranked:,} of them {was_were(n_ranked)} shown in the order of import, not ranked.")
    if n_audit:
        said.append(
            f"{n_audit:,} {was_were(n_audit)} drawn at random from the records not yet shown, in an order "
            f"fixed in the log beforehand and not revealed to the reviewers (audit draws)."
        )
    return said


def _said_of_unread(status: Status, stage: StageFlow) -> list[str]:
    """Say what was excluded by a search's result, by whom and when."""
    n, excluded = stage.unread, sum(stage.excluded.values())
    if not status.exclusions:
        return []
    return [
        f"Of the {plural(excluded, 'record')} excluded at this stage, {n:,} {was_were(n)} excluded by a search's result "
        f"without being read one by one ({'; '.join(one.in_words for one in status.exclusions)}). In every bound on recall "
        "they count as records that may be relevant."
    ]


def _said_of_model(model: Mapping[str, object]) -> str:
    name, parameters = model_parameters(model)
    text = f"The model was the preset “{name}”" if name else "The model's preset has no name"
    if len(parameters) > _MOST_PARAMETERS:
        text += f", whose {plural(len(parameters), 'parameter')} are listed in the report"
    elif parameters:
        text += f" ({'; '.join(f'{k} = {v}' for k, v in parameters)})"
    scores = model.get("scores")
    if isinstance(scores, Sequence) and any(
        isinstance(score, Mapping) and score.get("view") == "embedding" for score in scores
    ):
        text += ", with sentence embeddings (Reimers & Gurevych 2019) among its features"
    return text + "."


def _said_of_machines(protocol: Protocol, status: Status, stage: StageFlow) -> list[str]:
    if not status.machines:
        return []
    hidden = (
        "and a reviewer saw it only after deciding on the record"
        if protocol.machines.blind
        else "and the reviewers could see it while they decided"
    )
    said = []
    for one in status.machines:
        known = []
        if versions := [version for version in one.versions if version != one.name]:
            known.append(f"version {_listed(versions)}")
        if one.prompts:
            known.append(f"prompt with the SHA-256 {', '.join(one.prompts)}")
        asked = f" ({'; '.join(known)})" if known else ""
        labels = [(one.include, "include"), (one.exclude, "exclude"), (one.maybe, "maybe")]
        parts = [f"{n:,} {label}" for n, label in labels if n] or ["scores only"]
        said.append(
            f"{one.name}{asked} made suggestions for the records of the stage “{status.stage}”: {_listed(parts)}. No "
            f"suggestion counted as a decision, {hidden}."
        )
        said.append(f"{audit_in_words(one)}.")
    if protocol.machines.rank:
        said.append("Suggestions were part of the ranking, as far as the reviewers' own labels bore them out.")
    if stage.marked and (status.verdict.stop or (status.stop is not None and status.stop.stands)):
        n = stage.marked
        said.append(
            f"When screening had stopped, {plural(n, 'record')} that {was_were(n)} suggested for exclusion and "
            f"that nobody had read {agree(n, 'counts', 'count')} as marked as ineligible by automation tools."
        )
    return said


def _said_of_recall(protocol: Protocol, status: Status, over: bool) -> list[str]:
    rule, verb = protocol.stopping.rule, "was" if over else "is"
    confidence = f"{percent(status.confidence)} confidence"
    said = [
        f"The stopping rule {verb} “{rule}” ({RULES[rule].described}), with a target recall of "
        f"{percent(status.target)} at {confidence}."
    ]
    if status.stop is not None and status.stop.stands:
        said.append(f"{status.stop.in_words} (Event {status.stop.event} of the log.)")
    if not status.unscreened:
        return [*said, "Every record was screened, so no recall had to be estimated."]
    certificate, estimate = status.certificate, status.estimate
    lower, missed, drawn = certificate.recall_lower, certificate.missed_upper, certificate.audit_draws
    if drawn or lower is not None:
        anytime = certificate.method == "audit-e"
        bound = (
            f"at least {percent(lower, math.floor)} of the records that the reviewers would label "
            f"relevant were found, and "
            if lower is not None
            else ""
        )
        held = (
            ""
            if not drawn
            else f" ({confidence}, a bound valid at any time and for any ranking; Ville 1939, "
            "Waudby-Smith & Ramdas 2020)"
            if anytime
            else f" ({confidence}, a bound valid for one look)"
        )
        said.append(
            f"By {'the audit' if drawn else 'arithmetic alone, without random draws'}, {bound}at most {missed:,} "
            f"{was_were(missed)} missed among the {plural(status.unscreened, 'record')} not screened{held}."
        )
    if status.verdict.recall_of == "corrected" or (_is_certified(status) and not certificate.certified):
        said.append(f"By the stopping rule: {status.verdict.why}")
    met = "was" if _is_certified(status) else "was not"
    said.append(f"The target {met} certified{'' if over else ' at the time of writing'}.")
    if estimate.recall is not None:
        said.append(
            f"The point estimate of recall ({estimate.method}), which carries no guarantee, was "
            f"{percent(estimate.recall)}."
        )
    if status.seeds_revealed:
        said.append(
            "The seeds of the random draws were made public after the stop, and give the permutations that had been "
            "committed before the first draw."
        )
    if status.attention is not None:
        said.append(f"Of attention: {attention_in_words(status.attention)}.")
    said.append(
        "Recall is relative to the reviewers' own decisions and to the records imported: it says "
        "nothing of records that the searches missed."
    )
    return said


def _said_of_stage(stage: StageFlow) -> str:
    excluded, assessed = sum(stage.judged_out.values()), stage.entered - stage.unscreened
    parts = [
        f"{n:,} {what}"
        for n, what in (
            (stage.n_not_retrieved, "not retrieved"),
            (excluded, "excluded"),
            (stage.included, "included"),
            (stage.maybe, "left as maybe"),
            (stage.conflicts, "in conflict"),
        )
        if n
    ]
    unread = stage.unread
    return (
        f"At the stage “{stage.name}”, {assessed:,} of {plural(stage.entered, 'record')} "
        f"{was_were(assessed)} screened: {_listed(parts)}."
        + (f" {unread:,} of the excluded {was_were(unread)} found by a search and not read." if unread else "")
    )


def _said_of_studies(counted: Flow) -> list[str]:
    n, studies = counted.stages[-1].included, counted.studies
    if not n or studies is None:
        return []
    said = [f"The {plural(n, 'included report')} {is_are(n)} of {plural(counted.n_studies, 'study', 'studies')}."]
    if studies.groups or studies.proposed:
        said.append(
            "Reports that name one registration number count as one study unless a person told them apart; others count "
            "as one study only where a person joined them."
        )
    open_questions = [
        f"{plural(k, what)} {agree(k, *verb)}"
        for k, what, verb in (
            (studies.unconfirmed, "group", ("counts by its number alone", "count by their numbers alone")),
            (len(studies.proposed), "proposed pair", ("is undecided", "are undecided")),
        )
        if k
    ]
    if open_questions:
        said.append(f"Not all of them are confirmed by a person: {_listed(open_questions)}.")
    return said


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def percent(share: float, rounding: Callable[[float], int] = round) -> str:
    """Write a share with one decimal at most; bounds are rounded away from the stronger claim.

    A share below 1 is never written as 100%, nor one above 0 as 0%.
    """
    # 0.57 * 1000 is 569.9999999999999: a bound must not lose a tenth to that.
    slack = 1e-9 if rounding is math.floor else -1e-9 if rounding is math.ceil else 0.0
    tenths = rounding(share * 1000 + slack)
    if rounding is round and 0 < share < 1:
        tenths = min(max(tenths, 1), 999)
    return f"{tenths / 10:g}%"


def stopped_stages(status: Status, stops: Mapping[str, Stop]) -> Mapping[str, str]:
    """Return the stages where what is unscreened may stay so, and why.

    Parameters
    ----------
    status : Status
        Of one stage, whose rule may be met though nobody has stopped it.
    stops : mapping of str to Stop
        By stage (see `stops_of`).
    """
    met = {status.stage: "the stopping rule is met"} if status.verdict.stop else {}
    stops = {status.stage: status.stop, **stops} if status.stop is not None else stops
    return {**met, **{name: f"screening was stopped on {one.at:%Y-%m-%d}" for name, one in stops.items() if one.stands}}


def stops_of(review: Snapshot) -> Mapping[str, Stop]:
    """Return the stop of each stage that has one."""
    found = {stage.name: newest_stop(review, stage.name) for stage in review.protocol.stages}
    return {name: one for name, one in found.items() if one is not None}


def limit_lines(limits: Limits) -> list[tuple[str, str]]:
    """Return the protocol's limits as lines of name and value."""
    lines = []
    if limits.languages:
        lines.append(("Language", ", ".join(limits.languages)))
    if limits.published_from or limits.published_to:
        lines.append(
            (
                "Published",
                " ".join(
                    [f"from {limits.published_from}"] * bool(limits.published_from)
                    + [f"to {limits.published_to}"] * bool(limits.published_to)
                ),
            )
        )
    if limits.exclude_types:
        lines.append(("Types not wanted", ", ".join(limits.exclude_types)))
    return lines


def model_parameters(model: Mapping[str, object]) -> tuple[str, list[tuple[str, str]]]:
    """Return the name of a model's preset, empty where it has none, and its parameters, flat, without that name."""
    named = {key: value for key, value in model.items() if key in ("preset", "name")}
    rest = {key: value for key, value in model.items() if key not in named}
    return str(named.get("preset") or named.get("name") or ""), flat_parameters(rest)


def flat_parameters(model: Mapping[str, object]) -> list[tuple[str, str]]:
    """Flatten a model's parameters to names such as `criteria.whole` and `scores[1]`, with their values."""
    flat = []
    for name, value in model.items():
        if isinstance(value, Mapping):
            flat += [(f"{name}.{inner}", text) for inner, text in flat_parameters(value)]
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            for i, entry in enumerate(value, 1):
                flat.append((f"{name}[{i}]", ", ".join(f"{k} {text}" for k, text in flat_parameters(entry))))
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            flat.append((str(name), text))
    return flat
