"""Records, searched and looked back at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ... import intake, screening
from ...as_json import INLINE, as_json
from ...errors import InputError
from ...found import Wanted, excludable, excluded_unread, found_records
from ...fulltext import AttachedFile
from ...log import Event
from ...project import Role, Snapshot
from ...records import CORRECTABLE
from ...searching import parse
from ..access import Visitor
from ..reading import AsRead, SuggestedAsRead, as_read
from ..sessions import Desk
from .common import (
    LISTED,
    SEARCHED,
    Anyone,
    Key,
    RecordId,
    Review,
    StageName,
    beside,
    decision_as_json,
    desk_of,
    listed,
    project_of,
    router,
)
from .full_texts import attachments_of


@dataclass(frozen=True, slots=True)
class ShownRecord:
    """A record as reviewers see it, the reviewer's own decision on it, and what machines suggest as far as it may be seen.

    At full text, `same_study` names the other reports of its study. `fields` are what may be corrected, `corrections`
    those in force.
    """

    record: AsRead = field(metadata=INLINE)
    at_stage: bool
    tags: list[str]
    files: list[AttachedFile]
    decision: dict[str, object] | None
    suggestions: list[SuggestedAsRead]
    same_study: list[dict[str, object]]
    fields: dict[str, str | list[str]]
    corrections: list[intake.Correction]


class Corrected(BaseModel):
    """What fields of a record are to hold; those left out stay as they are. What is there already is not written again."""

    model_config = ConfigDict(extra="forbid")

    title: str | None = Field(None, max_length=10_000)
    abstract: str | None = Field(None, max_length=200_000)
    authors: list[Annotated[str, Field(max_length=1_000)]] | None = Field(None, max_length=5_000)
    year: str | None = Field(None, max_length=20, description="Four digits, or nothing.")
    journal: str | None = Field(None, max_length=2_000)
    doi: str | None = Field(None, max_length=1_000)
    pmid: str | None = Field(None, max_length=100)
    language: str | None = Field(None, max_length=200)
    type: str | None = Field(None, max_length=500)
    keywords: list[Annotated[str, Field(max_length=1_000)]] | None = Field(None, max_length=5_000)


class Withdrawn(BaseModel):
    """A correction that is to be taken back."""

    model_config = ConfigDict(extra="forbid")

    event: int = Field(ge=1, le=2**31)


@router.post("/records/{record_id}/corrections", tags=["records"])
def correct(request: Request, review: Review, who: Anyone, record_id: RecordId, wanted: Corrected) -> dict[str, object]:
    """Correct fields of a record; the log keeps what they held, and the ranking reads them anew."""
    values = wanted.model_dump(exclude_none=True)
    written = intake.correct(project_of(request), record_id, values, reviewer=who.name)
    return {"record_id": record_id, "events": [event.seq for event in written]}


@router.post("/records/{record_id}/corrections/take-back", tags=["records"])
def take_correction_back(
    request: Request, review: Review, who: Anyone, record_id: RecordId, wanted: Withdrawn
) -> dict[str, object]:
    """Take a correction back; the log keeps both."""
    if wanted.event not in [one.event for one in intake.corrections(review.records, review.live, record_id)]:
        raise InputError(f"Event {wanted.event} corrects nothing of record {record_id}; look at the record again.")
    return {"event": project_of(request).log.undo(wanted.event, reviewer=who.name).seq}


@router.get("/records/{record_id}", tags=["records"])
def record(
    request: Request, review: Review, who: Anyone, record_id: RecordId, stage: StageName = ""
) -> dict[str, object]:
    """Return a record as reviewers see it, and the reviewer's own decision on it."""
    return as_json(shown_record(request, review, who, record_id, stage))


def shown_record(request: Request, review: Snapshot, who: Visitor, record_id: int, stage: str) -> ShownRecord:
    """Return a record as reviewers see it, with its files and the visitor's own decision on it."""
    desk = desk_of(request, review, who, stage)
    here = review.stage(desk.stage_name, viewer=who.viewer)
    kept = here.live.kept(record_id)
    row = int(here.rows_of([kept])[0])
    found = review.records.shown(here, [row])[0] if row >= 0 else review.records.one(kept)
    tags = here.live.tagged(desk.stage_name, who.name).get(kept, ())
    return ShownRecord(
        record=as_read(found, desk.words(review)),
        at_stage=row >= 0,
        tags=[e.reason for e in tags],
        files=attachments_of(project_of(request), review.live, [kept])[kept],
        decision=decision_as_json(desk.mine(review.live, kept)),
        suggestions=desk.suggestions(review.live, kept, blind=review.protocol.machines.blind),
        same_study=beside(request, review, who, desk.stage_name, kept) if row >= 0 else [],
        fields={name: _as_typed(getattr(found, name)) for name in CORRECTABLE},
        corrections=intake.corrections(review.records, review.live, kept),
    )


def _as_typed(value: object) -> str | list[str]:
    return list(value) if isinstance(value, tuple) else "" if value is None else str(value)


def search_results(
    review: Snapshot, desk: Desk, wanted: Wanted, most: int = SEARCHED
) -> tuple[list[dict[str, object]], bool]:
    """Return the first records found, and whether there are more."""
    ids: list[int] = []
    if not wanted.says_nothing:
        for kept in found_records(review, wanted, desk.stage_name, desk.reviewer):
            if len(ids) == most:
                return listed(review, desk, ids), True
            ids.append(kept)
    return listed(review, desk, ids), False


Words = Annotated[str, Query(max_length=300)]
Source = Annotated[str, Query(max_length=300, description="The database that the records came from.")]
Years = Annotated[str, Query(max_length=20, description="Of publication: 2010, 2010-2015, -2015 or 2010-.")]
TagName = Annotated[str, Query(max_length=200, description="A tag that you gave them.")]


@router.get("/search", tags=["records"])
def search(
    request: Request,
    review: Review,
    who: Anyone,
    q: Words = "",
    stage: StageName = "",
    source: Source = "",
    tag: TagName = "",
    count: bool = False,
) -> dict[str, object]:
    """Find records by words, "phrases", stem*, OR, -without and (groups).

    They are looked for in title, abstract, authors, journal, year, DOI, PMID and keywords, or in one field (`title:`,
    `author:`, `year:2010-2015` and others); `read_as` says how `q` was read. With `count` it says how many are at the
    stage (`at_stage`), and how many of these the visitor is still to judge (`to_judge`): `POST /api/exclusions` excludes
    them.
    """
    wanted = Wanted(q, source, tag)
    found, more = search_results(review, desk_of(request, review, who, stage), wanted)
    facts: dict[str, object] = {"records": found, "more": more, "read_as": parse(q).said}
    if count:
        all_of_it = excludable(review, wanted, reviewer=who.name, stage_name=stage or None)
        facts |= {"at_stage": all_of_it.found, "to_judge": len(all_of_it.record_ids)}
    return facts


_ANYTHING = Wanted()


def own_decisions(
    review: Snapshot, desk: Desk, label: str = "", reason: str = "", wanted: Wanted = _ANYTHING
) -> list[Event]:
    """Return the reviewer's decisions in force at a stage, the newest first; words are looked for in notes, too."""
    live = review.live
    mine = [
        e
        for e in desk.decisions(live)
        if (e.is_unread if label == "unread" else label in ("", str(e.label))) and reason in ("", e.reason)
    ]
    if not wanted.says_nothing:
        ids = set(found_records(review, wanted, desk.stage_name, desk.reviewer))
        in_notes = wanted.words.casefold() if not (wanted.source or wanted.tag or wanted.years) else ""
        mine = [e for e in mine if live.kept(e.about) in ids or (in_notes and in_notes in e.note.casefold())]
    return sorted(mine, key=lambda e: -e.seq)


@router.get("/history", tags=["records"])
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
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    years: Years = "",
) -> dict[str, object]:
    """List the reviewer's own decisions that are in force, the newest first; `unread` are those on records not read."""
    desk = desk_of(request, review, who, stage)
    mine = own_decisions(review, desk, label, reason, Wanted(q, source, tag, years))
    here = mine[(page - 1) * LISTED : page * LISTED]
    return {
        "total": len(mine),
        "page": page,
        "pages": -(-len(mine) // LISTED),
        "decisions": listed(review, desk, [review.live.kept(e.about) for e in here]),
    }


class Exclusion(BaseModel):
    """What a search finds, to be excluded without reading it."""

    model_config = ConfigDict(extra="forbid")

    key: Key
    stage: str = Field("", max_length=200)
    q: str = Field("", max_length=300)
    source: str = Field("", max_length=300)
    tag: str = Field("", max_length=200)
    reason: str = Field("", max_length=1_000)
    confirmed: int = Field(
        ge=1, le=screening.MOST_AT_ONCE, description="How many records are to be excluded at most, as `search` said."
    )

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.q, self.source, self.tag)


class ExclusionBack(BaseModel):
    """An exclusion of a search's result that is to be taken back."""

    model_config = ConfigDict(extra="forbid")

    event: RecordId = Field(description="The first event of the exclusion, as `GET /api/exclusions` gives it.")


def exclusions_of(review: Snapshot, stage_name: str, who: Visitor) -> list[dict[str, object]]:
    """Return the exclusions that a visitor can take back: an owner everybody's, others their own."""
    found = excluded_unread(review, stage_name, viewer=who.viewer)
    return [as_json(one) for one in found if who.may(Role.OWNER) or one.reviewer == who.name]


@router.get("/exclusions", tags=["records"])
def exclusions(request: Request, review: Review, who: Anyone, stage: StageName = "") -> dict[str, object]:
    """List what was excluded unread, by a search, and is in force: to an owner everybody's, to others their own."""
    return {"exclusions": exclusions_of(review, review.stage_name(stage or None), who)}


@router.post("/exclusions", tags=["records"])
def exclude(request: Request, review: Review, who: Anyone, given: Exclusion) -> dict[str, object]:
    """Exclude what a search finds and the visitor is still to judge, without anybody having read it.

    Each record has a decision of its own, all of them with the origin `bulk` and the search as their note. No bound on
    recall takes these records for irrelevant, and random draws still come from them.
    """
    desk = desk_of(request, review, who, given.stage)

    def change() -> dict[str, object]:
        done = screening.exclude_found(
            project_of(request),
            given.wanted,
            reviewer=who.name,
            stage_name=desk.stage_name,
            reason=given.reason,
            confirmed=given.confirmed,
        )
        return {"event": done.event, "read_as": done.read_as, "found": done.found, "excluded": done.excluded}

    return desk.once_at_rest(given.key, change)


@router.post("/exclusions/take-back", tags=["records"])
def take_exclusion_back(request: Request, review: Review, who: Anyone, given: ExclusionBack) -> dict[str, object]:
    """Take an exclusion of a search's result back as one, as far as it is in force."""
    stages = [one.name for one in review.protocol.stages]
    if given.event not in [one["event"] for name in stages for one in exclusions_of(review, name, who)]:
        raise InputError(f"Event {given.event} begins no exclusion that you can take back.")
    left = project_of(request).log.take_exclusion_back(given.event, reviewer=who.name)
    return {"taken_back": [e.record_id for e in left]}
