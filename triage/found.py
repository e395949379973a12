"""The records that a search finds: which of them a person can exclude unread, and which were excluded so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from .errors import InputError
from .log import Kind, Stage, exclusions
from .project import Snapshot
from .searching import Query, parse
from .wording import plural, was_were


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records are looked for.

    Attributes
    ----------
    words : str
        See `searching.parse`.
    source, tag : str
        The database they came from, and a tag that whoever asks gave them; "" for any.
    years : str
        Those of publication: 2010, 2010-2015, -2015 or 2010-; "" for any.
    """

    words: str = ""
    source: str = ""
    tag: str = ""
    years: str = ""

    @property
    def says_nothing(self) -> bool:
        """Whether every record would be found."""
        return parse(self.words).is_empty and not (self.source or self.tag or self.years)

    def check(self) -> None:
        """Refuse a search that says nothing.

        Raises
        ------
        InputError
        """
        if self.says_nothing:
            raise InputError("A search that says nothing finds every record; give it a word that can be found.")

    @property
    def read_as(self) -> str:
        """How it was read, for the log and for whoever typed it."""
        parts = [
            parse(self.words).said,
            self.source and f"from {self.source}",
            self.tag and f"tagged “{self.tag}”",
            self._of_years.said,
        ]
        return ", ".join(part for part in parts if part)

    @property
    def _of_years(self) -> Query:
        years = self.years.replace('"', "").strip()
        return parse(f'year:"{years}"' if years else "")


def found_records(review: Snapshot, wanted: Wanted, stage_name: str, reviewer: str) -> Iterator[int]:
    """Yield the ids under which the records are shown that are looked for."""
    query, of_years, live = parse(wanted.words), wanted._of_years, review.live
    tagged = live.tagged(stage_name, reviewer) if wanted.tag else {}
    has_tag = {live.kept(i) for i, events in tagged.items() if any(e.reason == wanted.tag for e in events)}
    seen = set()
    for one in review.records.read():
        kept = live.kept(one.number)
        if kept in seen or (wanted.tag and kept not in has_tag) or (wanted.source and one.source != wanted.source):
            continue
        if query.matches(one) and of_years.matches(one):
            seen.add(kept)
            yield kept


def holders(review: Snapshot, stage: Stage) -> dict[int, set[str]]:
    """Return who has been shown a record of a stage, or has judged or excluded it, by record, over duplicate groups."""
    taken_back = {e.undoes for e in review.events if e.kind is Kind.UNDO}
    found: dict[int, set[str]] = {}
    for e in review.events:
        if e.kind in (Kind.SHOWN, Kind.DECISION) and e.stage == stage.name and e.seq not in taken_back:
            found.setdefault(stage.live.kept(e.about), set()).add(e.reviewer)
    return found


@dataclass(frozen=True, slots=True)
class Excludable:
    """What a search finds at a stage, and which of it a person can exclude unread.

    Attributes
    ----------
    stage, read_as : str
    found : int
        Records of the stage.
    record_ids : tuple of int
        Those of them that this person is still to judge.
    """

    stage: str
    read_as: str
    found: int
    record_ids: tuple[int, ...]


def excludable(review: Snapshot, wanted: Wanted, *, reviewer: str, stage_name: str | None = None) -> Excludable:
    """Return which records of a search's result a person can exclude unread, as far as they may know.

    What they have decided on, or have on the screen or in a file, stays as it is; so do the records that are done,
    those that somebody else is reading, and those of the calibration round, which everybody reads.

    Raises
    ------
    InputError
        When the search says nothing, so that it would find every record, or there is no such stage.
    """
    wanted.check()
    protocol = review.protocol
    stage = review.stage(stage_name, viewer=reviewer)
    here = set(stage.record_ids.tolist())
    found = [i for i in found_records(review, wanted, stage.name, reviewer) if i in here]
    not_theirs = {record_id for record_id, by in holders(review, stage).items() if reviewer in by}
    not_theirs |= {*stage.consensus.labels, *stage.consensus.conflicts}
    not_theirs |= set(stage.record_ids[stage.calibration(protocol.calibration)].tolist())
    if protocol.reviewers_per_record == 1:
        not_theirs |= {i for name, i in stage.live.shown if name == stage.name}
    return Excludable(stage.name, wanted.read_as, len(found), tuple(i for i in found if i not in not_theirs))


@dataclass(frozen=True, slots=True)
class ExcludedUnread:
    """What one person excluded unread at once.

    Attributes
    ----------
    event : int
        The first of its events; `triage undo --bulk` takes all of it back.
    stage, reviewer : str
    at : datetime
    query : str
        How the search was read.
    reason : str
    records : int
        Exclusions that are in force.
    unread : int
        Of these, the records that nobody has read since.
    """

    event: int
    stage: str
    reviewer: str
    at: datetime
    query: str
    reason: str
    records: int
    unread: int

    @property
    def in_words(self) -> str:
        """Say so in a line."""
        since = self.records - self.unread
        return (
            f"“{self.query}”: {plural(self.records, 'record')}, by {self.reviewer} on {self.at:%Y-%m-%d}"
            + (f", as {self.reason}" if self.reason else "")
            + (f"; {since:,} {was_were(since)} read since" if since else "")
        )


def excluded_unread(
    review: Snapshot, stage_name: str | None = None, *, viewer: str | None = None
) -> list[ExcludedUnread]:
    """Return what was excluded unread at a stage and is in force, the newest first; to a viewer who is blind their own."""
    stage = review.stage(stage_name, viewer=viewer)
    is_blind = viewer is not None and review.protocol.reviewers_per_record > 1
    return [
        ExcludedUnread(
            one.first.seq,
            one.first.stage,
            one.first.reviewer,
            one.first.at,
            one.first.note,
            one.first.reason,
            len(one.left),
            sum(stage.live.kept(e.about) in stage.consensus.unread for e in one.left),
        )
        for one in reversed(exclusions(review.events, review.live))
        if one.left and one.first.stage == stage.name and (not is_blind or one.first.reviewer == viewer)
    ]
