"""The stop of a stage: who ended the screening, on which evidence, and whether that evidence is still that of the log."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from datetime import datetime

import numpy as np

from .log import Event, Kind
from .project import Snapshot, commitment
from .wording import agree, floor_percent, plural, was_were

_OF_THE_EVENT = ("event", "at", "stage", "reviewer", "no_longer")


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop of a stage, as the log has it.

    Attributes
    ----------
    event : int
        The event that stopped it.
    as_of : int
        The newest event that the evidence took into account.
    stage, reviewer : str
    at : datetime
    note : str
        What the person said about it.
    rule, promise, why : str
        The stopping rule, what it promises, and what it said.
    rule_met : bool
        Whether the rule said that screening can stop.
    certified : bool
    target, confidence : float
    recall_lower : float or None
        The certificate's bound.
    missed_upper, audit_draws : int
    estimate : float or None
        The recall estimated, without a guarantee.
    records, screened, relevant_found, unscreened : int
    imported : int
        Records of the whole review.
    protocol_version : int
        Counted from 1.
    triage_version, model : str
    recall_of : str
        Of which labels the bound is (see `protocol.model.Stopping`).
    no_longer : tuple of str
        Why it no longer stands, a sentence each; empty while it does.
    """

    event: int
    as_of: int
    stage: str
    reviewer: str
    at: datetime
    note: str
    rule: str
    promise: str
    why: str
    rule_met: bool
    certified: bool
    target: float
    confidence: float
    recall_lower: float | None
    missed_upper: int
    audit_draws: int
    estimate: float | None
    records: int
    screened: int
    relevant_found: int
    unscreened: int
    imported: int
    protocol_version: int
    triage_version: str
    model: str
    recall_of: str = "labels"
    no_longer: tuple[str, ...] = field(default=())

    def facts(self) -> dict[str, object]:
        """Return what the log keeps of it, beside what every event has."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _OF_THE_EVENT}

    @property
    def stands(self) -> bool:
        """Whether nothing has changed since that the evidence did not know of."""
        return not self.no_longer

    @property
    def in_words(self) -> str:
        """The stop in a sentence."""
        if not self.unscreened:
            held = "every record was screened"
        elif self.recall_lower is None:
            held = "nothing relevant was found"
        else:
            how = "certified" if self.certified else "not certified"
            held = (
                f"at least {floor_percent(self.recall_lower)} of the relevant records were found"
                f"{', wrong exclusions counted' if self.recall_of == 'corrected' else ''} "
                f"({100 * self.confidence:g} % confidence; the target of {100 * self.target:g} % was {how})"
            )
        met = "as the rule allows" if self.rule_met else "although the rule said to go on"
        return (
            f"{self.reviewer} stopped the stage {self.stage!r} on {self.at:%Y-%m-%d} by the rule {self.rule}, {met}: "
            f"{self.screened:,} of {plural(self.records, 'record')} {was_were(self.screened)} screened, and {held}."
        )


def newest(review: Snapshot, stage_name: str | None = None) -> Stop | None:
    """Return the stop of a stage that was not taken back, and whether it still stands; None without one."""
    name = review.stage_name(stage_name)
    event = review.live.stops.get(name)
    return None if event is None else _read(review, event)


def _read(review: Snapshot, event: Event) -> Stop:
    facts = json.loads(event.note)
    made = Stop(event=event.seq, at=event.at, stage=event.stage, reviewer=event.reviewer, **facts)
    return replace(made, no_longer=tuple(_changed(review, made)))


def _changed(review: Snapshot, made: Stop) -> list[str]:
    """Say what has changed since a stop that its evidence did not know of."""
    then = review.as_of(made.as_of, made.imported).stage(made.stage)
    now = review.stage(made.stage)
    before, after = set(then.record_ids.tolist()), set(now.record_ids.tolist())
    told = []
    if came := len(after - before):
        told.append(f"{plural(came, 'record')} {agree(came, 'has', 'have')} come to the stage")
    if left := len(before - after):
        told.append(f"{plural(left, 'record')} {agree(left, 'has', 'have')} left the stage")
    # A record that was judged only later adds to what was found and takes nothing from it.
    judged = [i for i in before & after if then.consensus.relevant(i) is not None]
    changed = sum(then.consensus.relevant(i) is not now.consensus.relevant(i) for i in judged)
    if changed:
        told.append(f"{plural(changed, 'judged record')} {agree(changed, 'counts', 'count')} otherwise than then")
    stopping = review.protocol.stopping
    now_asked = stopping.rule, stopping.target, stopping.confidence, stopping.recall_of
    if now_asked != (made.rule, made.target, made.confidence, made.recall_of):
        told.append("the protocol names another stopping rule, target or confidence")
    return told


def revealed_seeds(review: Snapshot, stage_name: str) -> dict[int, bool]:
    """Tell of each audit permutation whose seed was revealed whether it is the one that was committed.

    Returns
    -------
    dict of int to bool
        By the event that committed it. Whether the seed gives the permutation, and both the commitment of that event
        (`project.log.commitment`), or, in older logs, the permutation's digest and the seed itself.
    """
    seeds: dict[str, str] = {}
    for e in review.events:
        if e.kind is Kind.REVEAL and e.stage == stage_name:
            seeds |= json.loads(e.note)["seeds"]
    notes = {e.seq: json.loads(e.note) for e in review.events if e.kind is Kind.PLAN and e.stage == stage_name}
    found: dict[int, bool] = {}
    for seq, permutation in review.plans.get(stage_name, ()):
        if (seed := seeds.get(str(seq))) is None:
            continue
        found[seq] = False
        if not seed.isdecimal():
            continue
        drawn = np.random.default_rng(int(seed)).permutation(np.sort(permutation))
        said = notes[seq].get("commitment")
        kept = (
            said == commitment(int(seed), permutation)
            if said is not None
            else notes[seq].get("sha256") == hashlib.sha256(permutation.astype("<i8").tobytes()).hexdigest()
            and str(notes[seq].get("seed")) == seed
        )
        found[seq] = bool(kept and np.array_equal(drawn, permutation))
    return found
