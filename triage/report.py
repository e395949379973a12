"""The report: one page to attach to a paper, with the flow figure, the curve, and words to paste.

Nothing is estimated in here: the counts come from the log, and every statement on recall repeats
the status it is given, with its promise.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import html
import json
import math
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import numpy as np

from . import __version__
from .decisions import History, Kind, Label, Origin
from .errors import InputError
from .project import Project
from .protocol import Limits, Protocol
from .records import Record
from .status import NO_REASON, Flow, StageFlow, flow

_PROMISES = {
    "certificate": "holds whatever the ranking does",
    "conditional": "holds only if its assumption does",
    "estimate": "a model's figure, no guarantee",
    "heuristic": "a rule of thumb, says nothing of recall",
}
_RULES = {
    "audit-e": "an audit of random draws whose evidence may be looked at any time",
    "fixed-audit": "one look at a random sample of a size set beforehand",
    "cmh": "a hypergeometric test that takes ranked records for random draws",
    "quant": "a model's estimate of recall",
    "ip-p": "a fitted curve of the finds",
    "knee": "the bend of the curve of finds",
    "consecutive": "a run of irrelevant records",
}
_REFERENCES = {
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
_MOST_PARAMETERS = 12      # more of them go to the report's table, not into the methods paragraph
_MOST_PROBLEMS = 50        # problems of a file that are listed
_DOI = re.compile(r"10\.\d{4,9}/[^\s\"'<>\\^`{|}]+")
_PMID = re.compile(r"[1-9]\d{0,8}")
# What XML forbids, and the marks that turn the direction of the text after them.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def write_report(project: Project, path: str | Path, status: dict, *, notice: str = "") -> None:
    """Write the report, or the flow figure alone.

    Parameters
    ----------
    project : Project
    path : path
        Its ending decides: .html for the report, .svg for the flow figure. It must not exist.
    status : dict
        What `triage status --json` prints.
    notice : str
        Told at the top of the page, such as that the decisions are simulated.

    Raises
    ------
    InputError
        When the path exists, lies in no folder or has another ending, or the counts do not add up;
        nothing is written.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".html", ".htm", ".svg"):
        raise InputError(
            f"{path}: a report ends in .html, the flow figure alone in .svg; give one of these endings."
        )
    if path.exists():
        raise InputError(f"{path} exists already; choose another name, or remove it first.")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist; make it first, or choose another place.")
    if kind == ".svg":
        text = flow_figure(
            flow(project), _reason_texts(project.protocol()), stopped=_stopped(status), standalone=True,
        )
    else:
        text = render(project, status, notice)
    # Written under another name first: a crash half-way must not leave half a report.
    unfinished = path.with_name(path.name + ".new")
    try:
        unfinished.write_bytes(text.encode("utf-8"))
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


def render(project: Project, status: dict, notice: str = "") -> str:
    """Return the report as one HTML page that needs nothing else: no script, no file, no network.

    Parameters
    ----------
    project : Project
    status : dict
        What `triage status --json` prints; recall keys may be None.
    notice : str
        Told at the top of the page; when empty, `status["answers"]` is, if it is there.

    Raises
    ------
    InputError
        When the counts of the flow do not add up.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    protocol = project.protocol()
    counted = flow(project)
    stage = project.stage(status["stage"])
    history = stage.history()
    ranking = project.ranking(stage.name)
    model = None if ranking is None else ranking.model
    curve = discovery_curve(history, status)
    texts = {s.name: {c.code: c.text for c in (*protocol.exclude, *s.reasons)} for s in protocol.stages}
    methods = methods_text(protocol, counted, history, status, model)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=lambda value: _UNPRINTABLE.sub("", value) if type(value) is str else value,
    )
    environment.filters["count"] = lambda n: f"{n:,}"
    environment.filters["percent"] = _percent
    environment.filters["sha256"] = _sha256
    return environment.get_template("report.html").render(
        version=__version__,
        review=project.path.name,
        made=datetime.now(UTC),
        last_event=stage.live.last_seq,
        notice=notice or str(status.get("answers") or ""),
        protocol=protocol,
        limits=_limit_lines(protocol.limits),
        rules=_RULES,
        promises=_PROMISES,
        versions=_protocol_versions(project),
        flow=counted,
        flow_figure=Markup(flow_figure(counted, _reason_texts(protocol), stopped=_stopped(status))),
        curve=Markup(curve),
        status=status,
        headline=_headline(status),
        statements=statements(status),
        reasons=[(s, _by_count(s.excluded), texts[s.name]) for s in counted.stages if s.excluded],
        no_reason=NO_REASON,
        included=_included(project, counted),
        files=project.files(),
        most_problems=_MOST_PROBLEMS,
        parameters=[] if model is None else _parameters(model),
        methods=methods,
        references=[text for key, text in _REFERENCES.items() if key in methods],
    )


# -- what is shown ----------------------------------------------------------------------------


def _sha256(text: str) -> str:
    """Return the digest by which a content security policy knows a style sheet."""
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _stopped(status: dict) -> frozenset[str]:
    verdict = status.get("verdict") or {}
    return frozenset([status["stage"]] if verdict.get("stop") else [])


def _reason_texts(protocol: Protocol) -> dict[str, str]:
    texts: dict[str, set[str]] = {}
    for criterion in (*protocol.exclude, *(reason for stage in protocol.stages for reason in stage.reasons)):
        texts.setdefault(criterion.code, set()).add(criterion.text)
    # A code that two stages use in two senses stands for itself.
    return {code: next(iter(meant)) for code, meant in texts.items() if len(meant) == 1}


def _by_count(excluded: Mapping[str, int]) -> list[tuple[str, int]]:
    """Sort reasons by count, the largest first; records without a reason come last."""
    return sorted(excluded.items(), key=lambda item: (item[0] == NO_REASON, -item[1], item[0]))


@dataclass(frozen=True, slots=True)
class _Included:
    """A record of the table of included records."""

    record: Record
    maybe: bool
    doi_link: str
    pmid_link: str


def _included(project: Project, counted: Flow) -> tuple[str, bool, list[_Included]]:
    """Return the last stage that has decisions, whether it is the review's last, and who passed it."""
    begun = [s for s in counted.stages if s.unscreened < s.entered] or counted.stages[:1]
    stage = project.stage(begun[-1].name)
    labels = stage.consensus.labels
    passed = (Label.INCLUDE, Label.MAYBE)
    rows = [i for i, r in enumerate(stage.record_ids.tolist()) if labels.get(r) in passed]
    table = [
        _Included(record, labels[record.id] is Label.MAYBE, doi_link(record.doi), pmid_link(record.pmid))
        for record in project.shown_records(stage, rows)
    ]
    return stage.name, begun[-1] is counted.stages[-1], table


def doi_link(doi: str) -> str:
    """Return the resolver's address of a DOI, or "" when `doi` is none."""
    return "https://doi.org/" + quote(doi, safe="/:;().,-_+=@!$*~") if _DOI.fullmatch(doi) else ""


def pmid_link(pmid: str) -> str:
    """Return PubMed's address of a record, or "" when `pmid` is no PubMed identifier."""
    return f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/" if _PMID.fullmatch(pmid) else ""


def _limit_lines(limits: Limits) -> list[tuple[str, str]]:
    lines = []
    if limits.languages:
        lines.append(("Language", ", ".join(limits.languages)))
    if limits.published_from or limits.published_to:
        lines.append(("Published", " ".join(
            [f"from {limits.published_from}"] * bool(limits.published_from)
            + [f"to {limits.published_to}"] * bool(limits.published_to)
        )))
    if limits.exclude_types:
        lines.append(("Types not wanted", ", ".join(limits.exclude_types)))
    return lines


@dataclass(frozen=True, slots=True)
class _Version:
    """A protocol that was in force: since when, after how many decisions, and what it changed."""

    at: datetime
    decisions: int
    change: str


def _protocol_versions(project: Project) -> list[_Version]:
    decided = [e.at for e in project.events() if e.kind is Kind.DECISION]
    versions, before = [], None
    for at, text in project.protocol_versions():
        lines = text.splitlines()
        change = lines if before is None else list(difflib.unified_diff(before, lines, lineterm="", n=1))[2:]
        versions.append(_Version(at, sum(t < at for t in decided), "\n".join(change)))
        before = lines
    return versions


def _parameters(model: Mapping[str, object]) -> list[tuple[str, str]]:
    """Flatten a model's parameters to names such as `criteria.whole` and `scores[1]`, with their values."""
    flat = []
    for name, value in model.items():
        if isinstance(value, Mapping):
            flat += [(f"{name}.{inner}", text) for inner, text in _parameters(value)]
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            for i, entry in enumerate(value, 1):
                flat.append((f"{name}[{i}]", ", ".join(f"{k} {text}" for k, text in _parameters(entry))))
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            flat.append((str(name), text))
    return flat


# -- words ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence on the state of the review and what it rests on: "count" or one of the promises."""

    promise: str
    text: str


def statements(status: dict) -> list[Statement]:
    """Say in plain sentences what a status says, each with its promise and claiming no more than it.

    Parameters
    ----------
    status : dict
        What `triage status --json` prints; recall keys may be None.
    """
    screened, unscreened = status["screened"], status["unscreened"]
    found, maybe = status["relevant_found"], status["maybe"]
    text = (f"{screened:,} of {_count(status['records'], 'record')} {_were(screened, 'is', 'are')} screened "
            f"at the stage “{status['stage']}”, and {found:,} of them {_were(found, 'is', 'are')} relevant")
    text += f" ({maybe:,} labelled maybe)." if maybe else "."
    said = [Statement("count", text)]
    if not status["records"]:
        return said
    if unscreened == 0:
        said.append(Statement("count", "Every record is screened, so nothing is left to estimate."))
        return said
    certificate = status.get("certificate")
    if certificate:
        said.append(Statement("certificate", _certificate_now(status, certificate)))
    estimate = status.get("estimate")
    if estimate and estimate.get("recall") is not None:
        said.append(Statement("estimate", _estimate_now(status, estimate)))
    else:
        said.append(Statement("estimate", "There is no estimate of recall yet."))
    ahead = _work_ahead(status.get("workload") or {})
    if ahead and not _is_certified(status):
        said.append(Statement("estimate", ahead))
    return said


def _headline(status: dict) -> str:
    """Say in a few words whether screening can stop, and without a certificate that there is none."""
    if not status["records"]:
        return "No record has come to this stage."
    if status["unscreened"] == 0:
        return "Every record is screened."
    if not (status.get("verdict") or {}).get("stop"):
        return "Screening goes on."
    if _is_certified(status):
        return "Screening can stop, certified."
    return "The stopping rule is met, without a certificate."


def _is_certified(status: dict) -> bool:
    # The review's own rule may have certified its stop by other evidence than the running certificate.
    return any((status.get(key) or {}).get("certified") for key in ("certificate", "verdict"))


def _certificate_now(status: dict, certificate: dict) -> str:
    unscreened, target = status["unscreened"], _percent(status["target"])
    missed, lower = certificate.get("missed_upper"), certificate.get("recall_lower")
    if not certificate.get("audit_draws"):
        return "No record has been drawn at random yet, so nothing is certified."
    if missed is None:
        return "Nothing is certified yet."
    among = (f"at most {missed:,} {_were(missed, 'is', 'are')} missed among the "
             f"{_count(unscreened, 'record')} not screened")
    if lower is None:
        return (f"No relevant record is known yet, so recall is undefined; {among} "
                f"({_held_how(status, certificate)}).")
    certifies = "certifies" if certificate.get("certified") else "does not certify"
    return (f"At least {_percent(lower, math.floor)} of the records you would label relevant are found "
            f"({_held_how(status, certificate)}); {among}. This {certifies} the target of {target}.")


def _held_how(status: dict, certificate: dict) -> str:
    when = {"audit-e": ", holds whenever you look", "fixed-audit": ", holds for one look only"}
    return f"{_percent(status['confidence'])} confidence{when.get(certificate.get('method', ''), '')}"


def _estimate_now(status: dict, estimate: dict) -> str:
    text = f"Recall is estimated at {_percent(estimate['recall'])}"
    lower, upper = estimate.get("lower"), estimate.get("upper")
    if lower is not None and upper is not None:
        text += (f" ({_percent(status['confidence'])} interval {_percent(lower, math.floor)} to "
                 f"{_percent(upper, math.ceil)})")
    if (total := estimate.get("relevant_total")) is not None:
        text += f", of {_count(round(total), 'relevant record')} in all"
    text += f". This is a point estimate{_by_method(estimate)} with no guarantee"
    assumes = (estimate.get("assumes") or "").strip().rstrip(".")
    if not assumes:
        return f"{text}."
    return f"{text}; it assumes{'' if assumes.startswith('that ') else ':'} {assumes}."


def _by_method(estimate: dict) -> str:
    return f" ({estimate['method']})" if estimate.get("method") else ""


def _work_ahead(workload: dict) -> str:
    records, hours = workload.get("records_to_certificate"), workload.get("hours")
    pace = workload.get("seconds_per_record")
    if not records or records.get("p50") is None:
        return ""
    text = f"A certified stop is about {_count(round(records['p50']), 'record')} away"
    if records.get("p10") is not None and records.get("p90") is not None:
        text += f" (8 times in 10 between {round(records['p10']):,} and {round(records['p90']):,})"
    if hours and hours.get("p50") is not None:
        text += f", or {hours['p50']:,.1f} hours"
        if pace is not None:
            text += f" at {pace:,.1f} seconds a record"
    return text + ". This is a forecast with no guarantee."


def methods_text(
    protocol: Protocol, counted: Flow, history: History, status: dict, model: Mapping[str, object] | None,
) -> str:
    """Return a methods paragraph to paste: what was done, with which figures and which promise.

    Parameters
    ----------
    protocol : Protocol
    counted : Flow
    history : History
        Of the stage that `status` speaks of.
    status : dict
        What `triage status --json` prints.
    model : mapping or None
        Name and parameters of the ranking model; None when no ranking was made.
    """
    at = next(i for i, s in enumerate(counted.stages) if s.name == status["stage"])
    later = counted.stages[at + 1:]
    complete = bool(status["records"]) and not status["unscreened"]
    over = complete or bool(_stopped(status)) or any(s.unscreened < s.entered for s in later)
    said = [
        f"Screening {'was' if over else 'is being'} done with triage {__version__}, and the flow of records "
        f"is reported after PRISMA 2020 (Page et al. 2021).",
        *_said_of_search(protocol, counted),
        *_said_of_screening(protocol, history, status, counted.stages[at].conflicts, model, over),
        *(_said_of_recall(protocol, status, over) if status["records"] else ()),
        *(_said_of_stage(s) for i, s in enumerate(counted.stages) if i != at and s.unscreened < s.entered),
    ]
    return " ".join(said)


def _said_of_search(protocol: Protocol, counted: Flow) -> list[str]:
    dates = {s.name.casefold(): s.searched_on for s in protocol.sources}
    sources = [
        f"{name} (" + (f"searched on {day}, " if (day := dates.get(name.casefold())) else "") + f"n = {n:,})"
        for name, n in counted.retrieved.items()
    ]
    n = counted.n_retrieved
    said = [f"{_count(n, 'record')} {_were(n)} imported from {_count(len(sources), 'source')}"
            + (f": {_listed(sources)}." if sources else ".")]
    copies, removed = counted.n_duplicates, counted.n_removed
    if copies:
        said.append(f"{_count(copies, 'duplicate')} {_were(copies)} linked to the record kept, which left "
                    f"{_count(n - copies, 'record')}.")
    else:
        said.append("No duplicates were found.")
    if removed:
        kinds = [f"{sum(counts.values()):,} by the {kind} limit" for kind, counts in counted.removed.items()]
        said.append(f"{_count(removed, 'record')} {_were(removed)} removed before screening "
                    f"({_listed(kinds)}), which left {_count(n - copies - removed, 'record')}.")
    elif _limit_lines(protocol.limits):
        said.append("No record was removed by the limits of the protocol.")
    return said


def _said_of_screening(
    protocol: Protocol, history: History, status: dict, conflicts: int, model: Mapping[str, object] | None,
    over: bool,
) -> list[str]:
    n = status["screened"]
    done = _were(n) if over else _were(n, "has been", "have been")
    parts = [f"{k:,} {what}" for k, what in ((status["maybe"], "as maybe"), (conflicts, "in conflict")) if k]
    said = [f"At the stage “{status['stage']}”, {n:,} of {_count(status['records'], 'record')} {done} "
            f"screened and {status['relevant_found']:,} counted as relevant"
            + (f" ({_listed(parts)} among them)." if parts else ".")]
    if protocol.reviewers_per_record > 1:
        said.append(f"Every record needed the decisions of {protocol.reviewers_per_record} reviewers.")
    origins = history.origin[history.judged]
    n_audit, n_ranked = (int((origins == str(o)).sum()) for o in (Origin.AUDIT, Origin.RANKED))
    if n_ranked and model is not None:
        criteria = "the protocol's criteria and by " if protocol.include or protocol.exclude else ""
        said.append(
            f"{n_ranked:,} of them {_were(n_ranked)} shown in the order of a ranking by {criteria}what a "
            f"model learned from the decisions made so far, trained anew as screening went on (continuous "
            f"active learning, Cormack & Grossman 2016)."
        )
        said.append(_said_of_model(model))
    elif n_ranked:
        said.append(f"{n_ranked:,} of them {_were(n_ranked)} shown in the order of import, not ranked.")
    if n_audit:
        said.append(
            f"{n_audit:,} {_were(n_audit)} drawn at random from the records not yet shown, in an order "
            f"fixed in the log beforehand and not told to the reviewers (audit draws)."
        )
    return said


def _said_of_model(model: Mapping[str, object]) -> str:
    name = model.get("preset") or model.get("name") or ""
    parameters = [(k, v) for k, v in _parameters(model) if k not in ("preset", "name")]
    text = f"The model was the preset “{name}”" if name else "The model's preset has no name"
    if len(parameters) > _MOST_PARAMETERS:
        text += f", whose {len(parameters)} parameters are listed in the report"
    elif parameters:
        text += f" ({'; '.join(f'{k} = {v}' for k, v in parameters)})"
    scores = model.get("scores") or ()
    if any(isinstance(score, Mapping) and score.get("view") == "embedding" for score in scores):
        text += ", with sentence embeddings (Reimers & Gurevych 2019) among its features"
    return text + "."


def _said_of_recall(protocol: Protocol, status: dict, over: bool) -> list[str]:
    rule, verb = protocol.stopping.rule, "was" if over else "is"
    confidence = f"{_percent(status['confidence'])} confidence"
    said = [f"The stopping rule {verb} “{rule}” ({_RULES[rule]}), with a target recall of "
            f"{_percent(status['target'])} at {confidence}."]
    if not status["unscreened"]:
        return [*said, "Every record was screened, so no recall had to be estimated."]
    certificate, estimate = status.get("certificate") or {}, status.get("estimate") or {}
    lower, missed = certificate.get("recall_lower"), certificate.get("missed_upper")
    if certificate.get("audit_draws") and missed is not None:
        anytime = certificate.get("method") == "audit-e"
        bound = (f"at least {_percent(lower, math.floor)} of the records that the reviewers would label "
                 f"relevant were found, and " if lower is not None else "")
        said.append(
            f"By the audit, {bound}at most {missed:,} {_were(missed)} missed among the "
            f"{_count(status['unscreened'], 'record')} not screened ({confidence}"
            + (", a bound valid at any time and for any ranking; Ville 1939, Waudby-Smith & Ramdas 2020)."
               if anytime else ", a bound valid for one look).")
        )
    if _is_certified(status) and not certificate.get("certified"):
        said.append(f"By the stopping rule: {status['verdict']['why']}")
    met = "was" if _is_certified(status) else "was not"
    said.append(f"The target {met} certified{'' if over else ' at the time of writing'}.")
    if estimate.get("recall") is not None:
        said.append(f"The point estimate of recall{_by_method(estimate)}, which carries no guarantee, was "
                    f"{_percent(estimate['recall'])}.")
    said.append("Recall is relative to the reviewers' own decisions and to the records imported: it says "
                "nothing of records that the searches missed.")
    return said


def _said_of_stage(stage: StageFlow) -> str:
    excluded, assessed = sum(stage.excluded.values()), stage.entered - stage.unscreened
    parts = [f"{n:,} {what}" for n, what in (
        (excluded, "excluded"), (stage.included, "included"), (stage.maybe, "left as maybe"),
        (stage.conflicts, "in conflict"),
    ) if n]
    return (f"At the stage “{stage.name}”, {assessed:,} of {_count(stage.entered, 'record')} "
            f"{_were(assessed)} screened: {_listed(parts)}.")


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _were(n: int, one: str = "was", many: str = "were") -> str:
    return one if n == 1 else many


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _percent(share: float, rounding: Callable[[float], int] = round) -> str:
    """Write a share with one decimal at most; bounds are rounded away from the stronger claim.

    A share below 1 is never written as 100%, nor one above 0 as 0%.
    """
    # 0.57 * 1000 is 569.9999999999999: a bound must not lose a tenth to that.
    slack = {math.floor: 1e-9, math.ceil: -1e-9}.get(rounding, 0.0)
    tenths = rounding(share * 1000 + slack)
    if rounding is round and 0 < share < 1:
        tenths = min(max(tenths, 1), 999)
    return f"{tenths / 10:g}%"


# -- drawing ----------------------------------------------------------------------------------

_WIDTH = 760               # user units of both figures; about one CSS pixel each on a wide screen
_SIZE, _LINE = 12.5, 17.0  # font size and line height
_PAD = 10.0                # between a box's frame and its text
_BOLD = 1.1                # how much wider bold letters are
_MOST_LINES = 5            # that one entry of a box may take before it is cut short
_ROW_GAP = 28.0


def _clean(text: str) -> str:
    """Drop what XML forbids and what turns the text after it, and make one line of it."""
    return " ".join(re.split(r"[ \t\r\n]+", _UNPRINTABLE.sub("", text).strip()))


def _escaped(text: str) -> str:
    return html.escape(_clean(text).replace("\u00a0", " "))


def _text_width(text: str, size: float = _SIZE) -> float:
    """Return the room that `text` needs, in user units: a little more than Helvetica's, for wider fonts."""
    ems = 0.0
    for c in text:
        if unicodedata.combining(c):
            continue
        if unicodedata.east_asian_width(c) in "WF":
            ems += 1.0
        elif c in "iljtfrI.,:;'|!()[]/- ":
            ems += 0.35
        elif c in "mwMW@%&":
            ems += 0.92
        else:
            ems += 0.71 if c.isupper() else 0.57
    return ems * size


def _wrapped(text: str, width: float) -> list[str]:
    """Break `text` into `_MOST_LINES` lines at most, none wider than `width`, inside a word if need be."""
    lines, line = [], ""
    # No line holds more than 200 letters, so a text of any length costs no more than what is shown.
    for word in _clean(text)[: 200 * _MOST_LINES].split(" "):
        while word:
            joined = f"{line} {word}" if line else word
            if _text_width(joined) <= width:
                line, word = joined, ""
            elif line:
                lines.append(line)
                line = ""
            else:
                fits = 1
                while _text_width(word[: fits + 1]) <= width:
                    fits += 1
                lines.append(word[:fits])
                word = word[fits:]
    lines.append(line)
    if len(lines) <= _MOST_LINES:
        return lines
    last = lines[_MOST_LINES - 1]
    while last and _text_width(last + "…") > width:
        last = last[:-1]
    return [*lines[: _MOST_LINES - 1], last.rstrip() + "…"]


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False, size: float = _SIZE,
    fill: str = "currentColor",
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"{weight}>'
            f'{_escaped(text)}</text>')


def _arrow(*points: tuple[float, float]) -> str:
    """Draw a line through `points`, the last piece along an axis, with a head at its end."""
    (x0, _), (x, y) = points[-2:]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    if x == x0:
        head = f"{x - 4:.1f},{y - 8:.1f} {x + 4:.1f},{y - 8:.1f} {x:.1f},{y:.1f}"
    else:
        head = f"{x - 8:.1f},{y - 4:.1f} {x - 8:.1f},{y + 4:.1f} {x:.1f},{y:.1f}"
    return (f'<polyline points="{line}" fill="none" stroke="currentColor"/>'
            f'<polygon points="{head}" fill="currentColor"/>')


def _svg(
    key: str, title: str, desc: str, height: float, body: Iterable[str], *, standalone: bool = False,
) -> str:
    # Inside a page the figure takes the page's ink and paper; a file of its own brings black on white.
    margin, ink, paper = 0, "", ""
    if standalone:
        margin, ink = 12, ' color="#000"'
        paper = f'<rect x="-{margin}" y="-{margin}" width="100%" height="100%" fill="#fff"/>'
    return "\n".join((
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-margin} {-margin} {_WIDTH + 2 * margin} '
        f'{math.ceil(height) + 2 * margin}" width="100%" role="img" '
        f'aria-labelledby="{key}-title {key}-desc" font-family="Helvetica, Arial, sans-serif"{ink}>',
        f'<title id="{key}-title">{_escaped(title)}</title>',
        f'<desc id="{key}-desc">{_escaped(desc)}</desc>{paper}',
        *body, "</svg>\n",
    ))


# -- the flow figure --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Box:
    """A box of the flow figure: a heading and n, entries with their counts, dashed for what is still open."""

    heading: str
    n: int
    entries: tuple[tuple[str, int], ...] = ()
    is_open: bool = False

    def lines(self, width: float) -> list[tuple[str, int | None, bool]]:
        """Return the lines to set in a box of this width: text, the count beside it, whether bold."""
        inner = width - 2 * _PAD
        # Unbroken spaces keep the count on one line; a heading cut short must not lose it.
        count = f"(n\u00a0=\u00a0{self.n:,})"
        heading = _wrapped(f"{self.heading} {count}", inner / _BOLD)
        if not heading[-1].endswith(count):
            heading.append(count)
        lines: list[tuple[str, int | None, bool]] = [(line, None, True) for line in heading]
        for text, count in self.entries:
            first, *rest = _wrapped(text, inner - _text_width(f"{count:,}") - 14)
            lines += [(first, count, False), *((line, None, False) for line in rest)]
        return lines

    def height(self, width: float) -> float:
        return len(self.lines(width)) * _LINE + 2 * _PAD - 4

    def draw(self, x: float, y: float, width: float) -> list[str]:
        lines = self.lines(width)
        dashes = ' stroke-dasharray="5 3"' if self.is_open else ""
        drawn = [f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{self.height(width):.1f}" '
                 f'rx="2" fill="none" stroke="currentColor"{dashes}/>']
        for i, (line, count, bold) in enumerate(lines):
            baseline = y + _PAD + 10 + i * _LINE
            drawn.append(_text(x + _PAD, baseline, line, bold=bold))
            if count is not None:
                drawn.append(_text(x + width - _PAD, baseline, f"{count:,}", anchor="end"))
        return drawn

    def __str__(self) -> str:
        return f"{self.heading}: {self.n:,}" + "".join(f"; {text}: {count:,}" for text, count in self.entries)


@dataclass(frozen=True, slots=True)
class _Row:
    """A step of the flow figure: the records that are left, and beside them those that leave."""

    phase: str
    main: _Box
    sides: tuple[_Box, ...] = ()


def flow_figure(
    counted: Flow, reason_texts: Mapping[str, str], *, stopped: Collection[str] = (),
    standalone: bool = False,
) -> str:
    """Draw the flow of records after PRISMA 2020, as SVG in black and white.

    Parameters
    ----------
    counted : Flow
    reason_texts : mapping of str to str
        What the codes of the reasons stand for; a reason without an entry is shown as it is.
    stopped : collection of str
        Stages whose stopping rule is met: what is unscreened there may stay so.
    standalone : bool
        For a file of its own: black on white, whatever the viewer's colours.

    Raises
    ------
    InputError
        When the numbers do not add up; the message holds the sums.
    """
    check_sums(counted)
    rows = _rows(counted, reason_texts, stopped)
    band, main_x, main_width, side_x = 24.0, 36.0, 318.0, 396.0
    side_width = _WIDTH - side_x - 1
    tops, heights = _row_places(rows, main_width, side_width)
    body = []
    for i, (row, top) in enumerate(zip(rows, tops, strict=True)):
        main_height = row.main.height(main_width)
        body += row.main.draw(main_x, top, main_width)
        if i + 1 < len(rows):
            middle = main_x + main_width / 2
            body.append(_arrow((middle, top + main_height), (middle, tops[i + 1])))
        side_top, trunk = top, (main_x + main_width + side_x) / 2
        leave = top + min([main_height, *(s.height(side_width) for s in row.sides[:1])]) / 2
        for n, side in enumerate(row.sides):
            enter = leave if n == 0 else side_top + side.height(side_width) / 2
            body.append(_arrow((main_x + main_width, leave), (trunk, leave), (trunk, enter), (side_x, enter)))
            body += side.draw(side_x, side_top, side_width)
            side_top += side.height(side_width) + 10
    for phase in dict.fromkeys(row.phase for row in rows):
        mine = [i for i, row in enumerate(rows) if row.phase == phase]
        top, bottom = tops[mine[0]], tops[mine[-1]] + heights[mine[-1]]
        x, y = 1 + band / 2, (top + bottom) / 2
        body.append(f'<rect x="1" y="{top:.1f}" width="{band}" height="{bottom - top:.1f}" rx="2" '
                    f'fill="currentColor" fill-opacity="0.09" stroke="currentColor"/>')
        body.append(f'<g transform="rotate(-90 {x:.1f} {y:.1f})">'
                    f'{_text(x, y + 4.4, phase, anchor="middle", bold=True)}</g>')
    desc = ". ".join(str(box) for row in rows for box in (row.main, *row.sides)) + "."
    return _svg("flow", "Flow of records through the review", desc, tops[-1] + heights[-1] + 1, body,
                standalone=standalone)


def _row_places(
    rows: Sequence[_Row], main_width: float, side_width: float,
) -> tuple[list[float], list[float]]:
    """Return the top and the height of every row, so that each phase's name fits beside its rows."""
    heights = []
    for row in rows:
        side = sum(s.height(side_width) + 10 for s in row.sides) - 10
        heights.append(max(row.main.height(main_width), side))
    for phase in dict.fromkeys(row.phase for row in rows):
        mine = [i for i, row in enumerate(rows) if row.phase == phase]
        room = sum(heights[i] for i in mine) + _ROW_GAP * (len(mine) - 1)
        heights[mine[-1]] += max(0.0, _BOLD * _text_width(phase) + 12 - room)
    tops = [1.0]
    for height in heights[:-1]:
        tops.append(tops[-1] + height + _ROW_GAP)
    return tops, heights


def _rows(counted: Flow, reason_texts: Mapping[str, str], stopped: Collection[str]) -> list[_Row]:
    left = counted.n_retrieved
    main = _Box("Records identified", left, tuple(counted.retrieved.items()))
    rows = [_Row("Identification", main, (_Box("Duplicates removed", counted.n_duplicates),))]
    left -= counted.n_duplicates
    after = "Records after duplicates removed"
    for kind, by_source in counted.removed.items():
        n = sum(by_source.values())
        if n:
            side = _Box(f"Removed by the {kind} limit", n)
            rows.append(_Row("Identification", _Box(after, left), (side,)))
            left -= n
            after = f"Records after the {kind} limit"
    for before, stage in zip((None, *counted.stages), counted.stages):
        sides = _left_boxes(stage, reason_texts, stage.name in stopped)
        rows.append(_Row("Screening", _screened_box(stage, before), sides))
    last = counted.stages[-1]
    # A review is open while any stage has records to settle; one that may stay unread is not.
    is_open = any(s.conflicts or (s.unscreened and s.name not in stopped) for s in counted.stages)
    maybe = (("Maybe, to be settled", last.maybe),) if last.maybe else ()
    rows.append(_Row("Included", _Box("Included so far" if is_open else "Included", last.included, maybe)))
    return rows


def _screened_box(stage: StageFlow, before: StageFlow | None) -> _Box:
    entries = []
    if before is not None and before.maybe:
        entries.append((f"of these, maybe at the stage “{before.name}”", before.maybe))
    if stage.unscreened or stage.conflicts:
        entries.append(("of these, screened", stage.entered - stage.unscreened))
        return _Box(f"Records for screening: {stage.name}", stage.entered, tuple(entries))
    return _Box(f"Records screened: {stage.name}", stage.entered, tuple(entries))


def _left_boxes(stage: StageFlow, reason_texts: Mapping[str, str], is_stopped: bool) -> tuple[_Box, ...]:
    reasons = tuple(
        (f"{code}: {reason_texts[code]}" if reason_texts.get(code) else code, n)
        for code, n in _by_count(stage.excluded)
    )
    if set(stage.excluded) == {NO_REASON}:
        reasons = ()
    boxes = [_Box("Records excluded", sum(stage.excluded.values()), reasons)]
    if stage.unscreened:
        what = "Not screened, the stopping rule is met" if is_stopped else "Not yet screened"
        boxes.append(_Box(what, stage.unscreened, is_open=True))
    if stage.conflicts:
        boxes.append(_Box("Reviewers disagree, to be settled", stage.conflicts, is_open=True))
    return tuple(boxes)


def check_sums(counted: Flow) -> None:
    """Check that every record of a flow is in exactly one place at every step.

    Raises
    ------
    InputError
        With the sum that does not hold.
    """
    counts = [
        *counted.retrieved.values(), *counted.duplicates.values(),
        *(n for by_source in counted.removed.values() for n in by_source.values()),
        *(n for s in counted.stages
          for n in (s.entered, s.unscreened, s.conflicts, s.included, s.maybe, *s.excluded.values())),
    ]
    if min(counts, default=0) < 0:
        raise InputError(f"The flow figure cannot be drawn: a count is negative ({min(counts)}).")
    for source in {*counted.duplicates, *(s for by_source in counted.removed.values() for s in by_source)}:
        gone = counted.duplicates.get(source, 0) + sum(b.get(source, 0) for b in counted.removed.values())
        if gone > counted.retrieved.get(source, 0):
            raise InputError(
                f"The flow figure cannot be drawn: {gone} records left from {source!r}, which gave "
                f"{counted.retrieved.get(source, 0)}."
            )
    expected = counted.n_retrieved - counted.n_duplicates - counted.n_removed
    came = (f"{counted.n_retrieved} identified - {counted.n_duplicates} duplicates - "
            f"{counted.n_removed} removed")
    for stage in counted.stages:
        if stage.entered != expected:
            raise InputError(f"The flow figure cannot be drawn: {came} = {expected}, but {stage.entered} "
                             f"entered {stage.name!r}.")
        excluded = sum(stage.excluded.values())
        total = excluded + stage.unscreened + stage.conflicts + stage.included + stage.maybe
        if total != stage.entered:
            raise InputError(
                f"The flow figure cannot be drawn: at {stage.name!r} {excluded} excluded + "
                f"{stage.unscreened} unscreened + {stage.conflicts} conflicts + {stage.included} included + "
                f"{stage.maybe} maybe = {total}, but {stage.entered} entered."
            )
        expected = stage.included + stage.maybe
        came = f"{stage.included} included + {stage.maybe} maybe at {stage.name!r}"


# -- the curve --------------------------------------------------------------------------------

_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 210.0, 14.0, 62.0   # margins round the curve's axes
_CURVE_HEIGHT = 360.0
_MOST_POINTS = 1_000       # of the curve: more than it has columns of pixels
_BEYOND = 3.0              # a bound so many times the finds would flatten the curve; it is only told


def discovery_curve(history: History, status: dict) -> str:
    """Draw the relevant records found against the records screened, in the order of first showing.

    Parameters
    ----------
    history : History
    status : dict
        What `triage status --json` prints, for the estimated total and the certificate's bound.

    Returns
    -------
    str
        SVG; "" while nothing is screened.
    """
    judged = history.judged
    n, found = history.n_screened, history.n_found
    if n == 0:
        return ""
    total, most = _totals(status, found)
    x_end = min(history.n_total, 4 * n)
    told = [v for v in (found, total, most) if v is not None and v <= _BEYOND * max(found, total or 0, 1)]
    y_step, x_step = _nice_step(max(told) * 1.04, 6), _nice_step(x_end, 6)
    y_end = max(1, math.ceil(max(told) * 1.04 / y_step)) * y_step
    bottom = _CURVE_HEIGHT - _BOTTOM

    def x_of(records: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * records / x_end

    def y_of(relevant: float) -> float:
        return bottom - (bottom - _TOP) * relevant / y_end

    body = []
    for tick in range(0, y_end + 1, y_step):
        body.append(f'<path d="M{_LEFT} {y_of(tick):.1f}H{_WIDTH - _RIGHT}" stroke="currentColor" '
                    f'stroke-opacity="0.13"/>')
        body.append(_text(_LEFT - 8, y_of(tick) + 4, f"{tick:,}", anchor="end", size=11.5))
    for tick in range(0, x_end + 1, x_step):
        body.append(f'<path d="M{x_of(tick):.1f} {bottom:.1f}v5" stroke="currentColor"/>')
        body.append(_text(x_of(tick), bottom + 19, f"{tick:,}", anchor="middle", size=11.5))
    body.append(f'<path d="M{_LEFT} {bottom:.1f}H{_WIDTH - _RIGHT}" stroke="currentColor"/>')
    body.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, bottom + 42, "Records screened", anchor="middle"))
    body.append(f'<g transform="rotate(-90 16 {(bottom + _TOP) / 2:.1f})">'
                f'{_text(16, (bottom + _TOP) / 2, "Relevant records found", anchor="middle")}</g>')
    body += _rug(np.flatnonzero(history.origin[judged] == str(Origin.AUDIT)) + 1, x_of, bottom)
    labels = []
    if most is not None:
        colour, says = "var(--certificate, #000)", f"at most {most:,} relevant in all"
        if most <= y_end:
            body.append(_level(y_of(most), colour, "7 4"))
            labels.append((y_of(most), colour, "Certificate:", says))
        else:
            labels.append((y_of(y_end), colour, "Certificate (off the scale):", says))
    if total is not None:
        colour = "var(--estimate, #000)"
        body.append(_level(y_of(total), colour, "2 3"))
        labels.append((y_of(total), colour, "Estimate (no guarantee):", f"{total:,} relevant in all"))
    colour = "var(--curve, #000)"
    labels.append((y_of(found), colour, "Found so far:", f"{found:,} in {_count(n, 'record')}"))
    curve = np.concatenate(([0], np.cumsum(history.y[judged] == 1)))
    at = np.unique(np.linspace(0, n, min(n, _MOST_POINTS) + 1).round().astype(np.int64))
    points = " ".join(f"{x_of(i):.1f},{y_of(curve[i]):.1f}" for i in at.tolist())
    body.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.2" '
                f'stroke-linejoin="round"/>')
    body.append(f'<circle cx="{x_of(n):.1f}" cy="{y_of(found):.1f}" r="3.5" fill="{colour}"/>')
    if x_of(n) < _WIDTH - _RIGHT - 5:
        body.append(f'<path d="M{x_of(n):.1f} {y_of(found):.1f}H{_WIDTH - _RIGHT}" stroke="{colour}" '
                    f'stroke-opacity="0.35"/>')
    body += _margin_labels(labels)
    desc = f"{found} relevant records found in {n} screened, of {history.n_total}." + "".join(
        f" {first} {second}." for _, _, first, second in labels[:-1]
    )
    return _svg("curve", "Relevant records found against records screened", desc, _CURVE_HEIGHT, body)


def _totals(status: dict, found: int) -> tuple[int | None, int | None]:
    """Return the estimated number of relevant records and the certificate's upper bound on it."""
    estimate, certificate = status.get("estimate") or {}, status.get("certificate") or {}
    total, missed = estimate.get("relevant_total"), certificate.get("missed_upper")
    certain = missed if certificate.get("audit_draws") else None
    return None if total is None else round(total), None if certain is None else found + certain


def _nice_step(end: float, ticks: int) -> int:
    """Return the least of 1, 2, 5, 10, 20, 50 ... that divides 0 to `end` by no more than `ticks` ticks."""
    power = 10 ** max(0, math.floor(math.log10(max(end, 1) / ticks)))
    return next(m * power for m in (1, 2, 5, 10, 20) if m * power * ticks >= end)


def _level(y: float, colour: str, dashes: str) -> str:
    return (f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="{colour}" stroke-width="1.6" '
            f'stroke-dasharray="{dashes}"/>')


def _rug(draws: np.ndarray, x_of: Callable[[float], float], bottom: float) -> list[str]:
    if not len(draws):
        return []
    # One mark for each unit of width: more could not be told apart.
    columns = dict.fromkeys(round(x_of(i)) for i in draws.tolist())
    marks = "".join(f"M{x} {bottom - 7:.1f}v7" for x in columns)
    y = bottom - 4
    return [f'<path d="{marks}" stroke="currentColor" stroke-opacity="0.3"/>',
            _text(_WIDTH - _RIGHT + 14, y + 4, f"Marks: {_count(len(draws), 'audit draw')}", size=11.5)]


def _margin_labels(labels: Sequence[tuple[float, str, str, str]]) -> list[str]:
    """Set two-line labels in the right margin beside their levels, moved apart where they would overlap.

    Parameters
    ----------
    labels : sequence of (level, colour, first line, second line)
    """
    x, room = _WIDTH - _RIGHT, 34.0
    ordered = sorted(labels, key=lambda label: label[0])
    places: list[float] = []
    for level, *_ in ordered:
        places.append(max(level, places[-1] + room if places else _TOP + 8))
    # What was pushed below the axes' lowest third, where the marks are told, moves back up.
    lowest = _CURVE_HEIGHT - _BOTTOM - 30
    for i in reversed(range(len(places))):
        places[i] = min(places[i], lowest)
        lowest = places[i] - room
    drawn = []
    for place, (level, colour, first, second) in zip(places, ordered, strict=True):
        drawn.append(f'<path d="M{x:.1f} {level:.1f}L{x + 10:.1f} {place:.1f}" stroke="{colour}"/>')
        drawn.append(_text(x + 14, place - 2, first, size=11.5, fill=colour, bold=True))
        drawn.append(_text(x + 14, place + 12, second, size=11.5))
    return drawn
