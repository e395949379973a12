"""The events of the append-only log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .labels import Label

UNREAD = "excluded unread, found by a search"


class Origin(StrEnum):
    """How a record came before the reviewer."""

    PRIOR = "prior"
    RANKED = "ranked"
    AUDIT = "audit"
    CHOSEN = "chosen"
    IMPORTED = "imported"
    ASSIGNED = "assigned"  # to this reviewer by a person, who found it by a search
    BULK = "bulk"  # of a decision: on what a search found, nobody having read it; the record was not shown


class Kind(StrEnum):
    """What an event of the log says."""

    SHOWN = "shown"  # a record was put before a reviewer, or handed out in a file
    DECISION = "decision"  # a reviewer judged a record
    SETTLED = "settled"  # a person settled what the reviewers of a record disagree on
    TAG = "tag"  # a reviewer gave record_id the tag that `reason` holds
    DUPLICATE = "duplicate"  # record_id is a copy of other_id
    APART = "apart"  # a person said that record_id is not a copy of other_id
    SAME_STUDY = "same_study"  # a person said that record_id and other_id are reports of one study
    OTHER_STUDY = "other_study"  # a person said that record_id and other_id are reports of two studies
    REMOVAL = "removal"  # record_id leaves before screening (language, date, type)
    STAYS = "stays"  # a person rejected a proposed removal of record_id
    ASSIGNED = "assigned"  # a person gave record_id to the reviewer that `reason` names, to be judged at a stage
    ATTACHED = "attached"  # a file, of the name `note` and the SHA-256 `reason`, was attached to record_id
    CORRECTED = "corrected"  # a person corrected fields of record_id: `note` has their values now
    PLAN = "plan"  # an audit permutation was committed for a stage
    SECOND_LOOK_PLAN = "second_look_plan"  # a permutation of excluded records was committed, to be judged again
    MACHINE = "machine"  # a machine was declared as a screener: `reviewer` is its name, `note` what is known of it
    CHECK = "check"  # a known relevant record was shown again, and judged `label`: of attention, no decision
    SUGGESTION = "suggestion"  # a machine suggested a label for a record; nobody's decision
    SOURCE = "source"  # a person named the source of an imported file: `note` has the file's number and the name
    PROTOCOL = "protocol"  # the protocol was changed: `note` has the version's number and SHA-256
    COLUMNS = "columns"  # a person said which columns of a table hold what: `note` has its header and the fields
    STOP = "stop"  # a person ended the screening of a stage; `note` says on which evidence
    REVEAL = "reveal"  # the seeds of a stage's audit permutations were made public
    UNDO = "undo"  # takes back the event that `undoes` names


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the append-only log. Fields that a kind has no use for are None or ""."""

    seq: int
    kind: Kind
    at: datetime
    stage: str = ""
    record_id: int | None = None
    reviewer: str = ""
    label: Label | None = None
    reason: str = ""
    note: str = ""
    origin: Origin | None = None
    pool_size: int | None = None
    ranking_id: int | None = None
    other_id: int | None = None
    undoes: int | None = None

    @property
    def is_unread(self) -> bool:
        """Whether it excludes a record that its reviewer has not read: what a search found was excluded at once."""
        return self.kind is Kind.DECISION and self.origin is Origin.BULK

    @property
    def remark(self) -> str:
        """The note as people read it: of what was excluded unread, how it was found."""
        return f"{UNREAD}: {self.note}" if self.is_unread else self.note

    @property
    def about(self) -> int:
        """The id of the record, of an event of a kind that always has one."""
        if self.record_id is None:
            raise ValueError(f"event {self.seq}, {self.kind}, is about no record")
        return self.record_id

    @property
    def pool(self) -> int:
        """The size of the pool, of an event that has one: a showing."""
        if self.pool_size is None:
            raise ValueError(f"event {self.seq}, {self.kind}, has no pool size")
        return self.pool_size


def taken_back(event: Event, reviewer: str) -> dict[str, object]:
    """Return the fields of an event that undoes another."""
    return {
        "kind": Kind.UNDO,
        "stage": event.stage,
        "record_id": event.record_id,
        "reviewer": reviewer,
        "undoes": event.seq,
    }
