"""The stopping rules, one in a file: small frozen objects that are asked with a history.

Their catalogue, with all that the rest of the program says about them, is `triage.stopping_rules`.
"""

from ...stopping_rules import RULES
from ..evidence import AuditE
from .base import Rule
from .policy import Policy

__all__ = ["Policy", "Rule", "policy_of", "rule_of"]


def rule_of(
    name: str, target: float, confidence: float, *, audit_size: int | None = None, parameters: AuditE = AuditE()
) -> Rule:
    """Return the rule of that name, one of the catalogue's.

    Parameters
    ----------
    name : str
    target, confidence : float
    audit_size : int, optional
        For a rule whose catalogue row takes one.
    parameters : AuditE
        The weights of the evidence in force, for a rule whose row takes them.
    """
    row = RULES[name]
    options: dict[str, object] = {"audit_size": audit_size, "parameters": parameters}
    return row.load()(target, confidence, *(options[option] for option in row.options))


def policy_of(name: str, target: float, confidence: float, *, audit_size: int | None = None) -> Policy | None:
    """Return when a rule wants audit draws; None for a rule that wants none."""
    return rule_of(name, target, confidence, audit_size=audit_size).policy()
