"""The way of a review from its protocol to its report: what is done, what comes next, what waits for somebody."""

from __future__ import annotations

from dataclasses import dataclass

from ..log import Kind
from ..project import Role, Snapshot
from ..protocol import Limits, Protocol
from ..status import Status
from ..wording import agree, plural
from .access import Visitor


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way.

    Attributes
    ----------
    name : str
    address : str
        The page where it is taken.
    state : str
        "done", "next" (the one to take now), "waits" (something waits there), or "later".
    text : str
        What is so, in a few words.
    """

    name: str
    address: str
    state: str
    text: str


def steps(review: Snapshot, status: Status, who: Visitor, *, conflicts: int, looks: int, questions: int) -> list[Step]:
    """Return the steps that a visitor can see, in their order.

    Parameters
    ----------
    review : Snapshot
    status : Status
        Of the stage that is looked at, as the visitor may know it.
    who : Visitor
    conflicts, looks, questions : int
        Open conflicts, records that await the visitor's second look, and pairs that may be duplicates.
    """
    protocol, stage = review.protocol, status.stage
    kinds = {e.kind for e in review.events}
    at = f"?stage={stage}"
    owner = who.may(Role.OWNER)
    found: list[tuple[str, str, bool, str, bool]] = []  # name, address, done, text, waits
    if owner:
        asked = bool(protocol.queries)
        found.append(("Protocol", "/protocol", asked, _asked(protocol), False))
        files = len(review.files)
        found.append(
            ("Import", "/files", files > 0, f"{plural(review.n_records, 'record')} from {plural(files, 'file')}", False)
        )
        looked = bool({Kind.DUPLICATE, Kind.APART} & kinds)
        text = f"{plural(len(review.live.duplicates), 'duplicate')} linked" if looked else "not looked for yet"
        if questions:
            text += f", {plural(questions, 'pair')} to look at"
        found.append(("Duplicates", "/duplicates", looked and not questions, text, bool(questions)))
        if protocol.limits != Limits():
            removed = len(review.live.removals)
            applied = bool({Kind.REMOVAL, Kind.STAYS} & kinds)
            text = f"{plural(removed, 'record')} removed" if applied else "not applied yet"
            found.append(("Limits", "/limits", applied, text, False))
    left = status.unscreened
    done = bool(status.records) and (not left or status.stop is not None or status.verdict.stop)
    screened = f"{status.screened:,} of {plural(status.records, 'record')}"
    found.append(("Screen", f"/{at}", done, screened if status.records else "no records yet", False))
    if conflicts:
        text = f"{plural(conflicts, 'record')} {agree(conflicts, 'is', 'are')} judged differently"
        found.append(("Conflicts", f"/conflicts{at}", False, text, True))
    if looks:
        found.append(("Second look", f"/second-look{at}", False, f"{plural(looks, 'record')} to look at again", True))
    if owner:
        stopped = status.stop is not None and status.stop.stands
        text = "stopped" if stopped else "the rule is met" if status.verdict.stop and status.records else "not yet"
        found.append(("Stop", f"/overview{at}#stop", stopped, text, bool(status.verdict.stop and not stopped and left)))
        found.append(("Report", f"/overview{at}#exports", False, "flow figure, methods, exports", False))
    return _with_states(found)


def _asked(protocol: Protocol) -> str:
    n = len(protocol.include) + len(protocol.exclude)
    if not protocol.queries:
        return "neither a question nor an inclusion criterion yet"
    return plural(n, "criterion", "criteria") if n else "a question, no criterion"


def _with_states(found: list[tuple[str, str, bool, str, bool]]) -> list[Step]:
    made = []
    next_is_known = False
    for name, address, done, text, waits in found:
        state = "done" if done else "waits" if waits else "later"
        if not done and not waits and not next_is_known:
            state, next_is_known = "next", True
        made.append(Step(name, address, state, text))
    return made
