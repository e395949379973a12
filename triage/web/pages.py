"""The pages: made here, filled from the same functions as the interface to programs.

Long, as every page is here: which there are, and what each needs of its visitor, is seen in one place.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .. import __version__, intake, report, screening, team
from ..as_json import as_json
from ..errors import InputError
from ..flow import flow
from ..formats import COLUMNS
from ..found import Wanted, excludable
from ..key_papers import in_words as papers_in_words
from ..log import Kind
from ..project import Project, Role, Snapshot, protocol_digest
from ..protocol import Limits
from ..ranking import answers
from ..searching import parse
from ..second_look import second_looks
from ..status import price_table
from ..stopping_rules import PROMISES, RULES
from ..text import plain
from ..wording import agree, floor_percent, plural, span
from .access import Access, Visitor, adjudicator, owner, review_of, visitor
from .api.common import desk_of, project_of
from .api.files import Questions
from .api.full_texts import attachments_of, missing_full_texts
from .api.records import (
    Exclusion,
    ExclusionBack,
    Source,
    TagName,
    Words,
    Years,
    exclude,
    exclusions_of,
    history as history_of,
    own_decisions,
    search_results,
    shown_record,
    take_exclusion_back,
)
from .api.review import Statuses, StopRequest, outlook, paces, stop, take_stop_back
from .api.team import (
    Asked,
    Assigned,
    AssignmentsBack,
    Batch,
    ask_for_second_look,
    assign,
    batches_of,
    conflicts_of,
    second_look as second_look_of,
    take_assignments_back,
    take_batch_back,
    viewer_of,
)
from .limits import Refused
from .protocol_form import Fields, checked, fields_of, sent_fields
from .reading import as_read, line
from .sessions import Desk
from .steps import steps

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["count"] = lambda n: f"{n:,}"
_templates.filters["plural"] = plural
_templates.filters["agree"] = agree
_templates.filters["span"] = span
_templates.filters["line"] = line
_templates.filters["path"] = lambda text: "".join(c if c.isprintable() else "\ufffd" for c in text)
_templates.filters["plain"] = plain
_templates.filters["percent"] = report.percent
_templates.filters["floor_percent"] = floor_percent
_templates.filters["spaced"] = lambda share: report.percent(share).replace("%", " %")  # as a bound is written
_templates.policies["json.dumps_kwargs"] = {"sort_keys": True, "default": as_json}

Review = Annotated[Snapshot, Depends(review_of)]
Anyone = Annotated[Visitor, Depends(visitor)]
Adjudicator = Annotated[Visitor, Depends(adjudicator)]
Owner = Annotated[Visitor, Depends(owner)]
Text = Annotated[str, Form(max_length=2_000)]
Names = Annotated[Sequence[str], Form(max_length=100)]
StageName = Annotated[str, Query(max_length=200)]


def access_of(request: Request) -> Access:
    """Return what lets people into this server's review."""
    access: Access = request.app.state.access
    return access


def posted(request: Request, csrf: Annotated[str, Form(max_length=200)] = "") -> Visitor:
    """Return who sent a form, and refuse one that did not come from one of their pages."""
    access = access_of(request)
    found = access.visitor(request)
    if found is None:
        raise Refused(401, "Log in first.", code="login")
    access.check_csrf(csrf, found.csrf)
    return found


def posted_by_owner(who: Annotated[Visitor, Depends(posted)]) -> Visitor:
    """Return the owner who sent a form."""
    if not who.may(Role.OWNER):
        raise Refused(403, f"This needs the role owner; yours is {who.role}.")
    return who


Posted = Annotated[Visitor, Depends(posted)]
PostedByOwner = Annotated[Visitor, Depends(posted_by_owner)]


def page(
    request: Request, template: str, who: Visitor | None, facts: Mapping[str, object], code: int = 200
) -> HTMLResponse:
    """Fill a template."""
    review = review_of(request)
    protocol = review.protocol
    facts = {"stage": "", **facts}
    if "open_conflicts" not in facts:
        facts["open_conflicts"] = None if who is None else _open_conflicts(review, who, str(facts["stage"]))
    html = _templates.get_template(template).render(
        who=who,
        review=line(protocol.title) or line(review.path.name),
        path=request.url.path,
        version=__version__,
        team=access_of(request).must_log_in(review),
        starts=access_of(request).entrance is not None and who is not None,
        Role=Role,
        stages=[s.name for s in protocol.stages],
        **facts,
    )
    return HTMLResponse(html, code)


def _open_conflicts(review: Snapshot, who: Visitor, stage_name: str) -> int | None:
    return team.open_conflicts(
        review, stage_name or None, viewer=viewer_of(review, who), settles=who.may(Role.ADJUDICATOR)
    )


def alone(template: str, facts: Mapping[str, object], code: int = 200) -> HTMLResponse:
    """Fill a template that needs no review."""
    html = _templates.get_template(template).render(
        who=None, review="triage", path="", version=__version__, team=False, Role=Role, stages=[], open_conflicts=None,
        stage="", starts=False, **facts,
    )  # fmt: skip
    return HTMLResponse(html, code)


def message(request: Request, code: int, heading: str, text: str) -> HTMLResponse:
    """Return a page that only says something."""
    return page(request, "message.html", None, {"heading": heading, "text": text}, code)


def _later(request: Request) -> str:
    return quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""), safe="")


def to_log_in(request: Request) -> Response:
    """Send a visitor to the log-in, and back afterwards; where nobody has an account, to the address in the terminal."""
    access = access_of(request)
    if access.entrance is not None and not access.must_log_in(review_of(request)):
        return message(
            request, 403, "Open the address that the terminal shows", "It lets this browser in; other people of this "
            "machine stay outside. The terminal is the one in which the program was started."
        )  # fmt: skip
    return RedirectResponse(f"/login?then={_later(request)}", 303)


def nothing_to_rank_by(request: Request, review: Snapshot, stage_name: str, who: Visitor) -> tuple[str, Snapshot]:
    """Say that the protocol gives the ranking nothing to go by (see `ranking.answers.nothing_to_rank_by`).

    While that is so the protocol's file is looked at again, so that the page, loaded once more, takes over what was
    filled in; the review is returned as it is then, and is that of the request from then on.
    """
    said = answers.nothing_to_rank_by(review, stage_name, viewer=who.viewer)
    if said:
        try:
            if project_of(request).refresh_protocol():
                request.state.review = review = project_of(request).snapshot()
                said = answers.nothing_to_rank_by(review, stage_name, viewer=who.viewer)
        except InputError as error:
            said = str(error)
    return said, review


# -- screening ----------------------------------------------------------------------------------


@router.get("/")
def screen(request: Request, review: Review, who: Anyone, stage: StageName = "") -> HTMLResponse:
    """Return the screening page; its script asks for the records."""
    desk = desk_of(request, review, who, stage)
    unranked, review = nothing_to_rank_by(request, review, desk.stage_name, who)
    desk.open_in_background(review)
    protocol = review.protocol
    return page(
        request,
        "screen.html",
        who,
        {
            "stage": desk.stage_name,
            "unranked": unranked,
            "reviews_key": request.app.state.key,
            "tags": protocol.tags,
            "full_text": desk.stage_name != protocol.stages[0].name,
        },
    )


@router.get("/history")
def history(
    request: Request,
    review: Review,
    who: Anyone,
    stage: StageName = "",
    label: Literal["", "include", "exclude", "maybe", "unread"] = "",
    reason: Annotated[str, Query(max_length=1_000)] = "",
    q: Words = "",
    source: Source = "",
    tag: TagName = "",
    years: Years = "",
    number: Annotated[int, Query(ge=1, le=1_000_000, alias="page")] = 1,
) -> HTMLResponse:
    """List the reviewer's own decisions, each to be changed."""
    desk = desk_of(request, review, who, stage)
    found = history_of(request, review, who, desk.stage_name, label, reason, q, source, tag, number, years)
    reasons = sorted({e.reason for e in own_decisions(review, desk) if e.reason})
    return page(
        request,
        "history.html",
        who,
        {
            "stage": desk.stage_name,
            "found": found,
            "label": label,
            "reason": reason,
            "reasons": reasons,
            "exclusions": exclusions_of(review, desk.stage_name, who),
            **_looked_for(review, desk, Wanted(q, source, tag, years)),
        },
    )


def _looked_for(review: Snapshot, desk: Desk, wanted: Wanted) -> dict[str, object]:
    """Return what a form that looks for records shows: what was typed and chosen, and what there is to choose."""
    given = {e.reason for events in review.live.tagged(desk.stage_name, desk.reviewer).values() for e in events}
    return {
        "q": wanted.words,
        "source": wanted.source,
        "tag": wanted.tag,
        "years": wanted.years,
        "sources": sorted({file.source for file in review.files}),
        "tags": list(dict.fromkeys([*review.protocol.tags, *sorted(given)])),
        "read_as": parse(wanted.words).said,
    }


@router.get("/search")
def search(
    request: Request,
    review: Review,
    who: Anyone,
    stage: StageName = "",
    q: Words = "",
    source: Source = "",
    tag: TagName = "",
    act: Literal["", "exclude", "assign"] = "",
    done: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> HTMLResponse:
    """Find records; with `act` offer to exclude all of them unread, or to assign them."""
    desk = desk_of(request, review, who, stage)
    wanted = Wanted(q, source, tag)
    found, more = search_results(review, desk, wanted)
    offered = excludable(review, wanted, reviewer=who.name, stage_name=desk.stage_name) if act and found else None
    made = exclusions_of(review, desk.stage_name, who) if done else []
    facts = {
        "stage": desk.stage_name,
        "found": found,
        "more": more,
        "act": act if offered is not None and (act == "exclude" or who.may(Role.OWNER)) else "",
        "offered": offered,
        "reasons": review.asked(desk.stage_name).reasons,
        "names": names_of(review),
        "excluded": next((one for one in made if one["event"] == done), None),
        **_looked_for(review, desk, wanted),
    }
    return page(request, "search.html", who, facts)


@router.post("/search/exclude")
def found_excluded(
    request: Request,
    review: Review,
    who: Posted,
    sure: Annotated[Literal["yes"], Form()],
    confirmed: Annotated[int, Form(ge=1, le=screening.MOST_AT_ONCE)],
    stage: Text = "",
    q: Text = "",
    source: Text = "",
    tag: Text = "",
    reason: Text = "",
) -> Response:
    """Exclude what a search finds."""
    key = secrets.token_hex(16)  # sent twice, a form finds nothing left to exclude, and shows what it did at first
    given = Exclusion(key=key, stage=stage, q=q, source=source, tag=tag, reason=reason, confirmed=confirmed)
    made = exclude(request, review, who, given)
    before = exclusions_of(project_of(request).snapshot(), review.stage_name(stage or None), who)
    done = next((one["event"] for one in before if (one["query"], one["reviewer"]) == (made["read_as"], who.name)), 0)
    asked = {"stage": stage, "q": q, "source": source, "tag": tag, "done": done}
    return RedirectResponse(f"/search?{urlencode(asked)}", 303)


@router.post("/search/take-back")
def exclusion_taken_back(
    request: Request, review: Review, who: Posted, event: Annotated[int, Form(ge=1, le=2**31)], stage: Text = ""
) -> Response:
    """Take an exclusion of a search's result back."""
    take_exclusion_back(request, review, who, ExclusionBack(event=event))
    return RedirectResponse(f"/history?stage={quote(stage, safe='')}", 303)


def names_of(review: Snapshot) -> list[str]:
    """Return whom records can be assigned to: who has an account, and who has worked on the review or has some."""
    worked = {e.reviewer for e in review.events if e.kind in (Kind.SHOWN, Kind.DECISION)}
    given = {e.reason for to in review.live.assigned.values() for e in to}
    withdrawn = {person.name for person in review.people if person.withdrawn_at is not None}
    return sorted({*(person.name for person in review.people), *worked, *given} - withdrawn, key=str.casefold)


def _people_of(to: Sequence[str], others: str) -> list[str]:
    """Return who was chosen in a form, or typed with commas between."""
    people = [*to, *(name.strip() for name in others.split(",") if name.strip())]
    if not people:
        raise InputError("Choose at least one person to assign records to.")
    return people


@router.post("/search/assign")
def found_assigned(
    request: Request,
    review: Review,
    who: PostedByOwner,
    to: Names = (),
    others: Text = "",
    each: Annotated[int, Form(ge=1, le=10)] = 1,
    stage: Text = "",
    q: Text = "",
    source: Text = "",
    tag: Text = "",
) -> Response:
    """Assign what a search finds."""
    people = _people_of(to, others)
    assign(request, review, who, Assigned(stage=stage, people=people, q=q, source=source, tag=tag, each=each))
    return RedirectResponse(f"/people?stage={quote(stage, safe='')}", 303)


@router.post("/people/assign")
def next_assigned(
    request: Request,
    review: Review,
    who: PostedByOwner,
    top: Annotated[int, Form(ge=1, le=100_000)],
    to: Names = (),
    others: Text = "",
    each: Annotated[int, Form(ge=1, le=10)] = 1,
    stage: Text = "",
) -> Response:
    """Assign the ranking's next."""
    assign(request, review, who, Assigned(stage=stage, people=_people_of(to, others), top=top, each=each))
    return RedirectResponse(f"/people?stage={quote(stage, safe='')}", 303)


@router.post("/people/take-back")
def assignments_taken_back(
    request: Request, review: Review, who: PostedByOwner, reviewer: Text, stage: Text = ""
) -> Response:
    """Free what is assigned to a person and not judged."""
    take_assignments_back(request, review, who, AssignmentsBack(stage=stage, reviewer=reviewer))
    return RedirectResponse(f"/people?stage={quote(stage, safe='')}", 303)


@router.get("/second-look")
def second_look(request: Request, review: Review, who: Anyone, stage: StageName = "") -> HTMLResponse:
    """List the excluded records that await the reviewer's second look."""
    desk = desk_of(request, review, who, stage)
    desk.open_in_background(review)  # by the time a record is chosen, it can be decided on
    return page(
        request,
        "second_look.html",
        who,
        {
            "stage": desk.stage_name,
            "found": second_look_of(request, review, who, desk.stage_name),
            "judged_by_all": review.protocol.reviewers_per_record > 1,
            "confidence": review.protocol.stopping.confidence,
        },
    )


@router.get("/records/{record_id}")
def record(
    request: Request,
    review: Review,
    who: Anyone,
    record_id: int,
    stage: StageName = "",
    look: Annotated[bool, Query(alias="second-look")] = False,
) -> HTMLResponse:
    """Show one record, and let the reviewer decide on it or change the decision.

    One that is opened for its second look shows the way to the next.
    """
    if not 1 <= record_id <= 2**31:
        raise InputError(f"There is no record {record_id}.")
    desk = desk_of(request, review, who, stage)
    desk.open_in_background(review)
    protocol, now = review.protocol, review.asked(desk.stage_name)
    shown = shown_record(request, review, who, record_id, desk.stage_name)
    return page(
        request,
        "record.html",
        who,
        {
            "stage": desk.stage_name,
            "shown": shown,
            "record": shown.record,
            "reasons": now.reasons,
            "tags": list(dict.fromkeys([*protocol.tags, *shown.tags])),
            "look": look,
            "assigned_to": sorted(review.live.assigned_at(desk.stage_name).get(shown.record.record_id, ())),
            "next_look": _next_look(review, desk, shown.record.record_id) if look else None,
        },
    )


@router.post("/second-look")
def second_look_asked_for(
    request: Request, review: Review, who: Posted, size: Annotated[int, Form(ge=1, le=100_000)], stage: Text = ""
) -> Response:
    """Ask for second looks."""
    ask_for_second_look(request, review, who, Asked(stage=stage, size=size))
    return RedirectResponse(f"/second-look?stage={quote(stage, safe='')}", 303)


def _next_look(review: Snapshot, desk: Desk, record_id: int) -> int | None:
    """Return the record that awaits the reviewer's second look after this one, the first after the last."""
    waiting = second_looks(review, desk.reviewer, desk.stage_name).waiting
    at = waiting.index(record_id) if record_id in waiting else -1
    return next((other for other in (*waiting[at + 1 :], *waiting) if other != record_id), None)


# -- the state of the review --------------------------------------------------------------------


@router.get("/overview")
def overview(request: Request, review: Review, who: Anyone, stage: StageName = "") -> HTMLResponse:
    """Show recall, what is left, the pace, the curve and the flow figure."""
    name = review.stage_name(stage or None)
    unranked, review = nothing_to_rank_by(request, review, name, who)
    protocol = review.protocol
    statuses: Statuses = request.app.state.statuses
    facts = statuses.of(review, name, who.viewer)
    history = review.history(name, viewer=who.viewer)
    looks = second_looks(review, who.name, name)
    conflicts = _open_conflicts(review, who, name)
    questions: Questions = request.app.state.questions
    figure = report.flow_figure(
        flow(review, viewer=who.viewer, known=request.app.state.studies.known),
        report.reason_texts(protocol),
        stopped=report.stopped_stages(facts, report.stops_of(review)),
    )
    return page(
        request,
        "overview.html",
        who,
        {
            "stage": name,
            "open_conflicts": conflicts,
            "unranked": unranked,
            "status": facts,
            "papers_in_words": papers_in_words,
            "headline": report.headline(facts),
            "statements": report.statements(facts),
            "curve": Markup(report.discovery_curve(history, facts)),
            "flow": Markup(figure),
            "paces": paces(review, name, who),
            "batches": batches_of(review, who),
            "looks": looks,
            "steps": steps(
                review, facts, who, conflicts=conflicts or 0, looks=len(looks.waiting), questions=questions.open
            ),
            "outlook": outlook(review, name, who, facts),
            "full_texts": missing_full_texts(review, who, name) if _asks_for_full_texts(review, name) else None,
        },
    )


def _asks_for_full_texts(review: Snapshot, stage_name: str) -> bool:
    """Tell whether PDFs matter at a stage: after the first, or once somebody has attached one."""
    return stage_name != review.protocol.stages[0].name or bool(review.live.attached)


@router.post("/batches/take-back")
def batch_taken_back(
    request: Request, review: Review, who: Posted, event: Annotated[int, Form(ge=1, le=2**31)], stage: Text = ""
) -> Response:
    """Take a batch back."""
    take_batch_back(request, review, who, Batch(event=event))
    return RedirectResponse(f"/overview?stage={quote(stage, safe='')}", 303)


@router.post("/overview/stop")
def stopped(
    request: Request, review: Review, who: PostedByOwner, stage: Text = "", note: Text = "", anyway: Text = ""
) -> Response:
    """Stop a stage."""
    stop(request, review, who, StopRequest(stage=stage, note=note, anyway=bool(anyway)))
    return RedirectResponse(f"/overview?stage={quote(stage, safe='')}", 303)


@router.post("/overview/stop/take-back")
def stop_taken_back(request: Request, review: Review, who: PostedByOwner, stage: Text = "") -> Response:
    """Take the stop of a stage back."""
    take_stop_back(request, review, who, stage)
    return RedirectResponse(f"/overview?stage={quote(stage, safe='')}", 303)


@router.get("/conflicts")
def conflicts(request: Request, review: Review, who: Anyone, stage: StageName = "") -> HTMLResponse:
    """Show where reviewers disagree, with all reasons in view, and let who may settle it."""
    now = review.asked(stage or None)
    found = conflicts_of(review, now.name, who)
    ids = [one.record_id for one in found.conflicts]
    words = desk_of(request, review, who, now.name).words(review)
    agreeing = team.agreement(review, now.name) if who.may(Role.ADJUDICATOR) else None
    return page(
        request,
        "conflicts.html",
        who,
        {
            "stage": now.name,
            "found": found,
            "reasons": now.reasons,
            "records": {r.id: as_read(r, words) for r in review.records.read(ids)} if ids else {},
            "pdfs": attachments_of(project_of(request), review.live, ids),
            "agreement": agreeing,
            "agreement_lines": [] if agreeing is None else team.agreement_table(agreeing),
        },
    )


# -- the protocol -------------------------------------------------------------------------------


_DATABASES = (
    "PubMed", "MEDLINE (Ovid)", "Embase", "CENTRAL", "Web of Science", "Scopus", "CINAHL", "PsycINFO", "ERIC", "LILACS",
    "IEEE Xplore", "ACM Digital Library", "Google Scholar", "OpenAlex", "ClinicalTrials.gov", "WHO ICTRP",
)  # fmt: skip
_PRICED = 5_000  # records for which a certificate's price is shown while there are none


@router.get("/protocol")
def protocol(request: Request, review: Review, who: Owner, saved: bool = False) -> HTMLResponse:
    """Show the protocol as a form."""
    project = project_of(request)
    refused = ""
    try:
        if project.refresh_protocol():
            request.state.review = review = project.snapshot()
    except InputError as error:
        refused = str(error)
    fields = fields_of(review.protocol, protocol_digest(review.protocol_versions[-1][1]))
    return _protocol_page(request, review, who, fields, refused=refused, saved=saved)


def _protocol_page(
    request: Request, review: Snapshot, who: Visitor, fields: Fields, *, refused: str = "", saved: bool = False
) -> HTMLResponse:
    records = review.n_records
    file = project_of(request).protocol_file
    return page(
        request,
        "protocol.html",
        who,
        {
            "fields": fields,
            "refused": refused,
            "saved": saved,
            "records": records,
            "file": "" if file is None else line(str(file)),
            "databases": _DATABASES,
            "rules": list(RULES.values()),
            "promises": PROMISES,
            "prices": price_table(records or _PRICED, review.protocol.stopping.confidence),
            "price_of": records or _PRICED,
        },
        422 if refused else 200,
    )


async def sent_form(request: Request) -> dict[str, list[str]]:
    """Return every field of a form that was sent, each with all its values."""
    form = await request.form(max_fields=2_000)
    found: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, str):
            found.setdefault(name, []).append(value)
    return found


@router.post("/protocol")
def protocol_changed(
    request: Request, review: Review, who: PostedByOwner, sent: Annotated[dict[str, list[str]], Depends(sent_form)]
) -> Response:
    """Put the protocol of the form in force; a wrong one comes back with what is wrong with it."""
    fields = sent_fields(sent)
    try:
        wanted = checked(fields, review.protocol)
        project_of(request).change_protocol(wanted, reviewer=who.name, seen=fields.seen or None)
    except InputError as error:
        return _protocol_page(request, review, who, fields, refused=str(error))
    return RedirectResponse("/protocol?saved=true", 303)


# -- limits -------------------------------------------------------------------------------------


class Proposals:
    """What was proposed for removal when the limits were applied last, less what was answered since."""

    def __init__(self) -> None:
        self.found: intake.Filtered | None = None
        self.lock = threading.Lock()

    def answer(self, project: Project, record_id: int, remove: bool, reviewer: str) -> None:
        """Write a person's answer to one of them.

        Raises
        ------
        InputError
            When it is not open.
        """
        with self.lock:
            found = self.found
            open_ = [] if found is None else [record.id for record, _ in found.proposed]
            if found is None or record_id not in open_:
                raise InputError("This record is not an open question; apply the limits again.")
            at = open_.index(record_id)
            intake.settle(project, found.proposed[at], remove, reviewer=reviewer)
            self.found = intake.accept(found, [remove if n == at else None for n in range(len(open_))])
            if not remove:
                left = [one for n, one in enumerate(found.proposed) if n != at]
                self.found = replace(self.found, proposed=left)


@router.get("/limits")
def limits(request: Request, review: Review, who: Owner) -> HTMLResponse:
    """Show the protocol's limits, and the records that a person is to decide on."""
    proposals: Proposals = request.app.state.proposals
    found = proposals.found
    return page(
        request,
        "limits.html",
        who,
        {
            "limits": _limits_in_words(review.protocol.limits),
            "found": found,
            "open": len(found.proposed) if found is not None else 0,
            "proposals": [
                {
                    "record_id": record.id,
                    "title": line(record.title) or "(no title)",
                    "abstract": line(record.abstract)[:300],
                    "why": line(proposal.reason),
                }
                for record, proposal in (found.proposed[:_PROPOSED] if found is not None else ())
            ],
        },
    )


_PROPOSED = 20  # shown at once


def _limits_in_words(limits: Limits) -> list[str]:
    found = []
    if limits.languages:
        found.append(f"Languages: {', '.join(limits.languages)}")
    if limits.published_from or limits.published_to:
        days = [None if day is None else day.isoformat() for day in (limits.published_from, limits.published_to)]
        found.append("Published " + " ".join(f"{word} {day}" for word, day in zip(("from", "to"), days) if day))
    if limits.exclude_types:
        found.append(f"Not of the types: {', '.join(limits.exclude_types)}")
    return found


@router.post("/limits")
def limits_applied(request: Request, review: Review, who: PostedByOwner) -> Response:
    """Apply the protocol's limits."""
    proposals: Proposals = request.app.state.proposals
    with proposals.lock:
        proposals.found = intake.apply_limits(project_of(request), reviewer=who.name)
    return RedirectResponse("/limits", 303)


@router.post("/limits/accept")
def proposals_accepted(request: Request, review: Review, who: PostedByOwner) -> Response:
    """Remove every record that is proposed for it."""
    proposals: Proposals = request.app.state.proposals
    with proposals.lock:
        proposals.found = intake.apply_limits(project_of(request), reviewer=who.name, accept_proposals=True)
    return RedirectResponse("/limits", 303)


@router.post("/limits/answers")
def proposal_answered(
    request: Request,
    review: Review,
    who: PostedByOwner,
    record_id: Annotated[int, Form(ge=1, le=2**31)],
    remove: Annotated[Literal["yes", "no"], Form()],
) -> Response:
    """Remove a record that is proposed for it, or keep it for good."""
    proposals: Proposals = request.app.state.proposals
    proposals.answer(project_of(request), record_id, remove == "yes", who.name)
    return RedirectResponse("/limits", 303)


# -- files --------------------------------------------------------------------------------------


@router.get("/files")
def files(request: Request, review: Review, who: Owner) -> HTMLResponse:
    """Show what was imported, and take more."""
    dates = {source.name.casefold(): source.searched_on for source in review.protocol.sources}
    facts = {
        "files": review.files,
        "searched": {file.id: dates.get(file.source.casefold(), "") for file in review.files},
        "databases": list(dict.fromkeys([*(s.name for s in review.protocol.sources), *_DATABASES])),
        "fields": list(COLUMNS),
    }
    return page(request, "files.html", who, facts)


@router.get("/duplicates")
def duplicates(request: Request, review: Review, who: Owner) -> HTMLResponse:
    """Show pairs of records that may be one, side by side."""
    return page(request, "duplicates.html", who, {})


@router.get("/api")
def interface(request: Request, review: Review, who: Anyone) -> HTMLResponse:
    """Describe the interface to programs."""
    return page(request, "api.html", who, {"description": request.app.openapi()})
