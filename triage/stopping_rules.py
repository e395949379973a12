"""The catalogue of stopping rules: what the program checks, shows and writes about each, as data.

To add a rule, write its class in a file of its own under `recall/rules/` and add its row here. The protocol's check
and template, the help of the commands, the report's words and the README's table are made from these rows.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .recall import Rule

PROMISES = {
    "certificate": "holds at its confidence whatever the ranking does",
    "conditional": "holds only if the ranking is no worse than random",
    "estimate": "a model's best guess, no guarantee",
    "heuristic": "a rule of thumb, says nothing of recall",
}


@dataclass(frozen=True, slots=True)
class StoppingRule:
    """A row of the catalogue.

    Attributes
    ----------
    name : str
    promise : str
        One of `PROMISES`: what its verdict claims.
    described : str
        What it is, in the words of the report's methods paragraph.
    implemented_by : str
        Its class, as "module:name".
    looks : str
        How often its claim holds when it is asked again and again, for people; empty where it claims nothing.
    options : tuple of str
        What it takes besides target and confidence, in this order: "audit_size" (named in the protocol before
        screening begins; looked at once) or "parameters" (the weights of the evidence, as logged).
    """

    name: str
    promise: str
    described: str
    implemented_by: str
    looks: str = ""
    options: tuple[str, ...] = ()

    def load(self) -> Callable[..., Rule]:
        """Return its class."""
        rule: Callable[..., Rule] = pkgutil.resolve_name(self.implemented_by)
        return rule

    @property
    def needs_audit_size(self) -> bool:
        """Whether the protocol must name the size of its one sample."""
        return "audit_size" in self.options


DEFAULT_RULE = "audit-e"
RULES = {
    row.name: row
    for row in (
        StoppingRule(
            "audit-e",
            "certificate",
            "an audit of random draws whose evidence may be looked at any time",
            "triage.recall.rules.audit_e:AuditRule",
            "any look",
            options=("parameters",),
        ),
        StoppingRule(
            "fixed-audit",
            "certificate",
            "one look at a random sample of a size set beforehand",
            "triage.recall.rules.fixed_audit:FixedAuditRule",
            "one look",
            options=("audit_size",),
        ),
        StoppingRule(
            "ranked-e",
            "conditional",
            "a run of irrelevant records, ranked or drawn at random, that may be looked at any time",
            "triage.recall.rules.ranked_e:RankedERule",
            "any look",
        ),
        StoppingRule(
            "cmh",
            "conditional",
            "a hypergeometric test that takes ranked records for random draws",
            "triage.recall.rules.cmh:CmhRule",
            "not corrected for looks",
        ),
        StoppingRule("quant", "estimate", "a model's estimate of recall", "triage.recall.rules.quant:QuantRule"),
        StoppingRule("ip-p", "estimate", "a fitted curve of the finds", "triage.recall.rules.ip_p:IpPRule"),
        StoppingRule("knee", "heuristic", "the bend of the curve of finds", "triage.recall.rules.knee:KneeRule"),
        StoppingRule(
            "consecutive", "heuristic", "a run of irrelevant records", "triage.recall.rules.consecutive:ConsecutiveRule"
        ),
    )
}


def unknown(name: str) -> str:
    """Say that no rule has a name, and which there are."""
    return f"unknown stopping rule {name!r}; choose one of {', '.join(RULES)}"


def promise_in_words(row: StoppingRule) -> str:
    """Return a rule's promise, with how often it may be looked at."""
    return f"{row.promise}, {row.looks}" if row.looks else row.promise
