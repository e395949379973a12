"""The report: one page to attach to a paper, with the flow figure, the curve, and words to paste.

Nothing is estimated in here: the counts come from the log, and every statement on recall repeats
the status it is given, with its promise.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from .. import __version__
from ..errors import InputError
from ..flow import NO_REASON, Flow, flow, tags_of_records
from ..log import Kind, Label
from ..project import Snapshot
from ..records import Record
from ..status import Status
from ..stopping_rules import PROMISES, RULES
from ..team import agreement, agreement_table
from ..whole import written_whole
from ..wording import plural
from .curve import discovery_curve
from .drawing import UNPRINTABLE
from .figure import by_count, flow_figure, reason_texts
from .prisma import prisma_table
from .words import (
    REFERENCES,
    headline,
    limit_lines,
    methods_text,
    model_parameters,
    percent,
    statements,
    stopped_stages,
    stops_of,
)

__all__ = [
    "discovery_curve",
    "flow_figure",
    "headline",
    "percent",
    "reason_texts",
    "render",
    "statements",
    "stopped_stages",
    "stops_of",
    "write_report",
]
_MOST_PROBLEMS = 50  # problems of a file that are listed
_DOI = re.compile(r"10\.\d{4,9}/[^\s\"'<>\\^`{|}]+")
_PMID = re.compile(r"[1-9]\d{0,8}")


def write_report(
    review: Snapshot, path: str | Path, status: Status, *, notice: str = "", hide: Collection[str] = ()
) -> None:
    """Write the report, or just the flow figure.

    Parameters
    ----------
    review : Snapshot
    path : path
        Its ending decides: .html for the report; .svg, .png or .pdf for the flow figure; .csv for its
        counts as the R package PRISMA2020 reads them. It must not exist.
    status : Status
    notice : str
        Told at the top of the page, such as that the decisions are simulated.
    hide : collection of str
        What to leave out of the flow figure: see `figure.flow_figure`.

    Raises
    ------
    InputError
        When the path exists, lies in no folder or has another ending, the counts do not add up, or there
        is nothing of a name in `hide`; nothing is written.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".html", ".htm", ".svg", ".png", ".pdf", ".csv"):
        raise InputError(
            f"{path}: a report ends in .html; just the flow figure, in .svg, .png or .pdf, and its counts for the R "
            f"package PRISMA2020 in .csv; give one of these endings."
        )
    if path.exists():
        raise InputError(f"{path} exists already; choose another name, or remove it first.")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist; make it first, or choose another place.")
    if kind in (".html", ".htm"):
        made = render(review, status, notice, hide=hide).encode("utf-8")
    elif kind == ".csv":
        if hide:
            raise InputError(f"{path}: the boxes of PRISMA2020 are its own; leave --hide out.")
        made = prisma_table(
            flow(review), reason_texts(review.protocol), stopped_stages(status, stops_of(review))
        ).encode("utf-8")
    else:
        drawn = flow_figure(
            flow(review),
            reason_texts(review.protocol),
            stopped=stopped_stages(status, stops_of(review)),
            hide=hide,
            standalone=True,
        )
        made = drawn.encode("utf-8") if kind == ".svg" else _picture(drawn, kind)
    with written_whole(path) as unfinished:
        unfinished.write_bytes(made)


def _picture(drawn: str, kind: str) -> bytes:
    from .pictures import as_picture  # loads matplotlib

    return as_picture(drawn, kind.removeprefix("."))


def render(review: Snapshot, status: Status, notice: str = "", *, hide: Collection[str] = ()) -> str:
    """Return the report as one HTML page that needs nothing else: no script, no file, no network.

    Parameters
    ----------
    review : Snapshot
    status : Status
    notice : str
        Told at the top of the page, such as that the decisions are simulated.
    hide : collection of str
        What to leave out of the flow figure: see `figure.flow_figure`.

    Raises
    ------
    InputError
        When the counts of the flow do not add up, or there is nothing of a name in `hide`.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    protocol = review.protocol
    counted = flow(review)
    stage = review.stage(status.stage)
    history = review.history(stage.name)
    ranking = review.rankings.newest(stage.name)
    model = None if ranking is None else ranking.model
    curve = discovery_curve(history, status)
    texts = {s.name: {c.code: c.text for c in (*protocol.exclude, *s.reasons)} for s in protocol.stages}
    agreeing = agreement(review, stage.name)
    methods = methods_text(protocol, counted, history, status, model)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: UNPRINTABLE.sub("", value) if type(value) is str else value,
    )
    environment.filters["count"] = lambda n: f"{n:,}"
    environment.filters["plural"] = plural
    environment.filters["percent"] = percent
    environment.filters["sha256"] = _sha256
    return environment.get_template("report.html").render(
        version=__version__,
        review=review.path.name,
        made=datetime.now(UTC),
        last_event=stage.live.last_seq,
        notice=notice,
        protocol=protocol,
        limits=limit_lines(protocol.limits),
        rules=RULES,
        promises=PROMISES,
        versions=_protocol_versions(review),
        flow=counted,
        flow_figure=Markup(
            flow_figure(counted, reason_texts(protocol), stopped=stopped_stages(status, stops_of(review)), hide=hide)
        ),
        curve=Markup(curve),
        status=status,
        headline=headline(status),
        statements=statements(status),
        reasons=[(s, by_count(s.excluded), texts[s.name]) for s in counted.stages if s.excluded],
        no_reason=NO_REASON,
        included=_included(review, counted),
        files=review.files,
        corrected=len(review.live.corrections),
        most_problems=_MOST_PROBLEMS,
        model=None if model is None else model_parameters(model),
        agreement=agreeing,
        agreement_lines=agreement_table(agreeing),
        methods=methods,
        references=[text for key, text in REFERENCES.items() if key in methods],
    )


# -- what is shown ----------------------------------------------------------------------------


def _sha256(text: str) -> str:
    """Return the digest by which a content security policy knows a style sheet."""
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


@dataclass(frozen=True, slots=True)
class _Included:
    """A record of the table of included records."""

    record: Record
    maybe: bool
    tags: tuple[str, ...]
    study: str  # which other reports are of its study, or may be
    doi_link: str
    pmid_link: str


def _included(review: Snapshot, counted: Flow) -> tuple[str, bool, list[_Included]]:
    """Return the last stage that has decisions, whether it is the review's last, and who passed it."""
    begun = [s for s in counted.stages if s.unscreened < s.entered] or counted.stages[:1]
    stage = review.stage(begun[-1].name)
    tags = tags_of_records(review.stage(s.name) for s in begun)
    labels = stage.consensus.labels
    passed = (Label.INCLUDE, Label.MAYBE)
    rows = sorted(
        row for row in stage.rows_of(r for r, label in labels.items() if label in passed).tolist() if row >= 0
    )
    table = [
        _Included(
            record,
            labels[record.number] is Label.MAYBE,
            tuple(tags.get(record.number, ())),
            _beside(counted, record.number),
            doi_link(record.doi),
            pmid_link(record.pmid),
        )
        for record in review.records.iter_shown(stage, rows)
    ]
    return stage.name, begun[-1] is counted.stages[-1], table


def _beside(counted: Flow, record_id: int) -> str:
    found = None if counted.studies is None else counted.studies.beside(record_id)
    return "" if found is None else str(found)


def doi_link(doi: str) -> str:
    """Return the resolver's address of a DOI, or "" when `doi` is not one."""
    return "https://doi.org/" + quote(doi, safe="/:;().,-_+=@!$*~") if _DOI.fullmatch(doi) else ""


def pmid_link(pmid: str) -> str:
    """Return PubMed's address of a record, or "" when `pmid` is not a PubMed identifier."""
    return f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/" if _PMID.fullmatch(pmid) else ""


@dataclass(frozen=True, slots=True)
class _Version:
    """A protocol that was in force: since when, after how many decisions, and what it changed."""

    at: datetime
    decisions: int
    change: str


def _protocol_versions(review: Snapshot) -> list[_Version]:
    decided = [e.at for e in review.events if e.kind is Kind.DECISION]
    versions, before = [], None
    for at, text in review.protocol_versions:
        lines = text.splitlines()
        change = lines if before is None else list(difflib.unified_diff(before, lines, lineterm="", n=1))[2:]
        versions.append(_Version(at, sum(t < at for t in decided), "\n".join(change)))
        before = lines
    return versions
