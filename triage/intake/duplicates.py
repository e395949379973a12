"""Duplicates of a review: linked where sure, asked about where not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from .. import dedupe
from ..log import Kind
from ..project import Project
from ..records import Record
from .undoing import undo_answer


@dataclass(frozen=True, slots=True)
class Maybe:
    """Two records that look like copies, and why; a person decides."""

    kept: Record
    copy: Record
    why: str


@dataclass(frozen=True, slots=True)
class Deduped:
    """What `find_duplicates` did: new links, the records left, and the questions that are open."""

    records: int
    linked: int
    duplicates: int
    reasons: dict[str, int]
    maybes: list[Maybe]


def find_duplicates(project: Project, *, reviewer: str) -> Deduped:
    """Link the sure duplicates that are not linked yet; nothing is deleted, each link can be undone.

    A link that somebody took back is not made again, nor are records asked about that a person judged distinct.
    """
    review = project.snapshot()
    events, live = review.events, review.live
    undone = {e.undoes for e in events}
    apart = [
        (e.about, e.other_id)
        for e in events
        if e.other_id is not None
        and ((e.kind is Kind.DUPLICATE and e.seq in undone) or (e.kind is Kind.APART and e.seq not in undone))
    ]
    found = dedupe.find_duplicates(project.records.read(), apart)
    links = [link for link in found if link.sure and live.kept(link.copy_id) != live.kept(link.kept_id)]
    project.log.link(((link.copy_id, link.kept_id, link.why) for link in links), reviewer=reviewer)
    live = project.live()
    open_pairs = {
        (min(pair), max(pair)): link.why
        for link in found
        if not link.sure and len(pair := {live.kept(link.copy_id), live.kept(link.kept_id)}) == 2
    }
    records = {r.id: r for r in project.records.read({i for pair in open_pairs for i in pair})} if open_pairs else {}
    return Deduped(
        records=review.n_records,
        linked=len(links),
        duplicates=len(live.duplicates),
        reasons=dict(Counter(link.why for link in links)),
        maybes=[Maybe(records[kept], records[copy], why) for (kept, copy), why in open_pairs.items()],
    )


def settle_maybe(project: Project, maybe: Maybe, answer: bool | None, *, reviewer: str) -> None:
    """Write a person's answer: True links the copy, False keeps the two apart, None takes the answer back."""
    pair = maybe.copy.number, maybe.kept.number
    if answer:
        project.log.link([(*pair, f"{maybe.why}; a person decided")], reviewer=reviewer)
    elif answer is False:
        project.log.tell_apart(*pair, reviewer=reviewer)
    else:
        undo_answer(
            project, lambda e: e.kind in (Kind.DUPLICATE, Kind.APART) and (e.record_id, e.other_id) == pair, reviewer
        )


def after_answers(project: Project, before: Deduped, *, reviewer: str) -> Deduped:
    """Return what was found once the answers to the questions of `before` are settled, all links counted."""
    now = find_duplicates(project, reviewer=reviewer)
    reasons = Counter(before.reasons) + Counter(now.reasons)
    reasons["a person decided"] = now.duplicates - before.duplicates - now.linked
    return replace(now, linked=before.linked + now.duplicates - before.duplicates, reasons=dict(+reasons))
