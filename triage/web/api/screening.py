"""Screening: the records before a reviewer, and what is decided on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from ...as_json import as_json
from ...errors import InputError
from ...log import Label
from ...project import Project, Role, Snapshot, protocol_digest
from ...protocol import COLOURS, Protocol, WordList, has_word, with_reason_at, with_tag
from ...text import plain
from ..access import Visitor
from ..limits import Refused
from ..reading import line
from ..sessions import Desk
from .common import (
    Anyone,
    Key,
    Owner,
    RecordId,
    Review,
    Screener,
    StageName,
    beside,
    decision_as_json,
    desk_of,
    desks_of,
    project_of,
    read_by,
    router,
)
from .full_texts import attachments_of

T = TypeVar("T")


class Change(BaseModel):
    """What every change of a stage says: its stage, and a key by which it is made once."""

    model_config = ConfigDict(extra="forbid")

    key: Key
    stage: str = Field("", max_length=200)


class Decision(Change):
    """A judgement of one record."""

    record_id: RecordId
    label: Label
    reason: str = Field("", max_length=1_000)
    note: str = Field("", max_length=20_000)
    tags: list[Annotated[str, Field(max_length=200)]] | None = Field(None, max_length=200)
    next: bool = Field(True, description="Whether to put the next records before the reviewer, too.")


class Skip(Change):
    """A record to be set aside."""

    record_id: RecordId


class Undo(Change):
    """The last decision, to be taken back; only if it is the one on `record_id`, where that is given."""

    record_id: RecordId | None = None


class NewReason(BaseModel):
    """A reason to exclude, to be offered at a stage from now on."""

    model_config = ConfigDict(extra="forbid")

    stage: str = Field("", max_length=200)
    text: str = Field(max_length=300)


class ListOfWords(BaseModel):
    """Words to mark in one colour: words, phrases, and stems with an asterisk."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    colour: Literal["blue", "orange", "violet", "green", "yellow", "pink"]
    words: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(max_length=500)


class WordLists(BaseModel):
    """Word lists that take the place of those before: one's own, and, from an owner, those for everybody."""

    model_config = ConfigDict(extra="forbid")

    stage: str = Field("", max_length=200)
    own: list[ListOfWords] | None = Field(None, max_length=20)
    shared: list[ListOfWords] | None = Field(None, max_length=20)


class NewTag(BaseModel):
    """A tag, to be offered from now on."""

    model_config = ConfigDict(extra="forbid")

    tag: str = Field(max_length=100)


@router.get("/session", tags=["screening"])
def session(request: Request, review: Review, who: Anyone, stage: StageName = "") -> dict[str, object]:
    """Say who is asking, and what the protocol asks at a stage: reasons, criteria, tags.

    `too_common` are words of the criteria that are not marked, since more than a third of the records have them.
    """
    return asked(request, review, who, stage)


def asked(request: Request, review: Snapshot, who: Visitor, stage: str) -> dict[str, object]:
    """Return what the protocol asks at a stage, as the screening page needs it."""
    protocol, now = review.protocol, review.asked(stage or None)
    own = project_of(request).own_highlights(who.name)
    return {
        "reviewer": who.name,
        "role": str(who.role),
        "csrf": who.csrf,
        "stage": now.name,
        "stages": [s.name for s in protocol.stages],
        "reasons": [{"code": line(c.code), "text": plain(c.text)} for c in now.reasons],
        "include": [plain(c.text) for c in protocol.include],
        "exclude": [plain(c.text) for c in protocol.exclude],
        "question": plain(protocol.question),
        "too_common": list(desk_of(request, review, who, now.name).words(review, own).too_common),
        "highlights": [as_json(one) for one in protocol.highlights],
        "own_highlights": [as_json(one) for one in own],
        "colours": list(COLOURS),
        "tags": list(protocol.tags),
        "protocol_version": len(review.protocol_versions),
    }


@router.post("/reasons", tags=["screening"])
def new_reason(request: Request, review: Review, who: Owner, reason: NewReason) -> dict[str, object]:
    """Offer one more reason at a stage: a version of the protocol. Answers as `session` does, with its code as `made`."""
    project, stage = project_of(request), review.asked(reason.stage or None).name
    review, made = _changed(project, who, lambda protocol: with_reason_at(protocol, stage, reason.text))
    return {"made": made.code, **asked(request, review, who, stage)}


@router.post("/tags", tags=["screening"])
def new_tag(request: Request, review: Review, who: Owner, tag: NewTag) -> dict[str, object]:
    """Offer one more tag: a version of the protocol. Answers as `session` does, with the tag as `made`."""
    review, made = _changed(project_of(request), who, lambda protocol: with_tag(protocol, tag.tag))
    return {"made": made, **asked(request, review, who, "")}


@router.post("/highlights", tags=["screening"])
def new_word_lists(request: Request, review: Review, who: Anyone, lists: WordLists) -> dict[str, object]:
    """Keep word lists: one's own, which nobody else sees, and, from an owner, those of the protocol. Answers as `session`."""
    project, desks = project_of(request), desks_of(request)
    if lists.shared is not None and not who.may(Role.OWNER):
        raise Refused(403, f"Word lists for everybody are an owner's to change; your role is {who.role}.")
    own, shared = (None if some is None else _word_lists(some) for some in (lists.own, lists.shared))
    if shared is not None:
        review, _ = _changed(project, who, lambda protocol: (replace(protocol, highlights=shared), None))
    if own is not None:
        project.keep_own_highlights(own, reviewer=who.name)
        desks.mark_anew(review, who.name)
    return asked(request, review, who, lists.stage)


def _word_lists(lists: list[ListOfWords]) -> tuple[WordList, ...]:
    """Return word lists as they are kept: without those that hold nothing.

    Raises
    ------
    InputError
        When one is no word list, in words for somebody who types it into a page.
    """
    found: list[WordList] = []
    for one in lists:
        name = " ".join(one.name.split())
        words = tuple(dict.fromkeys(said for word in one.words if (said := " ".join(word.split()))))
        if not has_word(name) or any(name.casefold() == other.name.casefold() for other in found):
            raise InputError(f"Each word list has a name of its own; {name!r} is none or is given twice.")
        if nothing := next((word for word in words if not has_word(word)), None):
            raise InputError(f"{nothing!r}, in the list {name!r}, is no word that could be found in a record.")
        if words:
            found.append(WordList(name, one.colour, words))
    return tuple(found)


def _changed(project: Project, who: Visitor, change: Callable[[Protocol], tuple[Protocol, T]]) -> tuple[Snapshot, T]:
    """Put a changed protocol in force; return the review as it is then, and what was made."""
    project.refresh_protocol()  # what was changed in its file is changed further, and not taken back
    before = project.snapshot()
    wanted, made = change(before.protocol)
    project.change_protocol(wanted, reviewer=who.name, seen=protocol_digest(before.protocol_versions[-1][1]))
    return project.snapshot(), made


@router.get("/queue", tags=["screening"])
def queue(request: Request, review: Review, who: Screener, stage: StageName = "") -> dict[str, object]:
    """Put the next records before the reviewer: the one to judge now, and those to come after it.

    `counts` says what is screened, found relevant, excluded unread and left by now, as far as the reviewer's own
    decisions and records that are done allow; `recall` what was certified so many decisions ago; `state` both in one
    line. While the session is opened, `preparing` says how far it is; while words alone rank the records, `improving` says
    how far their sentence embeddings are. `suggestions` are those of machines; unless the protocol says otherwise there
    are none before the reviewer has decided on the record. When `protocol_version` changes, so may what `session` answers.
    """
    return queue_of(request, desk_of(request, review, who, stage), review, who)


def queue_of(request: Request, desk: Desk, review: Snapshot, who: Visitor) -> dict[str, object]:
    """Return the records before the reviewer, each with its PDFs, the other reports of its study, and their decision."""
    found = desk.queue()
    live, state = desk.project.live(), found.state
    ids = [one.record.record_id for one in found.records]
    files = attachments_of(desk.project, live, ids)
    return as_json(
        {
            "records": [
                {
                    **as_json(one),
                    "files": files[i],
                    "decision": decision_as_json(read_by(desk.mine(live, i))),
                    "suggestions": desk.suggestions(live, i, blind=review.protocol.machines.blind),
                    "same_study": beside(request, review, who, desk.stage_name, i),
                }
                for i, one in zip(ids, found.records, strict=True)
            ],
            "state": "" if state is None else str(state),
            "counts": None if state is None else {**as_json(state.counts), "left": state.counts.left},
            "recall": None if state is None else {"text": state.recall, "decisions_ago": state.decisions_ago},
            "preparing": found.preparing,
            "improving": found.improving,
            "protocol_version": len(review.protocol_versions),
        }
    )


@router.post("/decisions", tags=["screening"])
def decide(request: Request, review: Review, who: Anyone, decision: Decision) -> dict[str, object]:
    """Judge a record; the decision is on the disk when this answers. The next records come with it, unless not wanted.

    `done` says what was decided, and what machines suggest for the record: the reviewer has decided on it now.
    """
    desk = desk_of(request, review, who, decision.stage)
    done = desk.decide(
        decision.key, decision.record_id, decision.label, decision.reason, decision.note, decision.tags, review.protocol
    )
    return {"done": done, **(queue_of(request, desk, review, who) if decision.next else {})}


@router.post("/skips", tags=["screening"])
def skip(request: Request, review: Review, who: Anyone, change: Skip) -> dict[str, object]:
    """Set a record aside; it comes back after some decisions."""
    desk = desk_of(request, review, who, change.stage)
    return {"done": desk.skip(change.key, change.record_id), **queue_of(request, desk, review, who)}


@router.post("/undo", tags=["screening"])
def undo(request: Request, review: Review, who: Anyone, change: Undo) -> dict[str, object]:
    """Take the reviewer's last decision back; the log keeps both."""
    desk = desk_of(request, review, who, change.stage)
    return {"done": desk.undo(change.key, change.record_id), **queue_of(request, desk, review, who)}


@router.get("/why/{record_id}", tags=["screening"])
def why(
    request: Request, review: Review, who: Screener, record_id: RecordId, stage: StageName = ""
) -> dict[str, object]:
    """Say what speaks for and against a record: terms, criteria, records judged before."""
    return desk_of(request, review, who, stage).why(record_id)
