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
from .protocol import Criterion, Limits, Protocol
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
    "Cormack & Grossman 2016": "Cormack GV, Grossman MR. Scalability of continuous active learning for reliable "
    "high-recall text classification. CIKM 2016, 1039–1048. doi:10.1145/2983323.2983776",
    "Page et al. 2021": "Page MJ, McKenzie JE, Bossuyt PM, et al. The PRISMA 2020 statement: an updated guideline "
    "for reporting systematic reviews. BMJ 2021;372:n71. doi:10.1136/bmj.n71",
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
        raise InputError(f"{path}: a report ends in .html, the flow figure alone in .svg; give one of these endings.")
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
        loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=lambda v: _UNPRINTABLE.sub("", v) if type(v) is str else v,
    )
    environment.filters["count"] = lambda n: f"{n:,}"
    environment.filters["sha256"] = lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
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
    rows = [i for i, r in enumerate(stage.record_ids.tolist()) if labels.get(r) in (Label.INCLUDE, Label.MAYBE)]
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
    """Flatten a model's parameters to names such as `views.words.C` and their values."""
    flat = []
    for name, value in model.items():
        if isinstance(value, Mapping) and value:
            flat += [(f"{name}.{inner}", text) for inner, text in _parameters(value)]
        else:
            flat.append((str(name), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return flat
