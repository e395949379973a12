"""Recall: the certificate, estimates, stopping rules and the forecast of the work left.

All of it sees a `History` only (scores handed in, and the weights that the log keeps): neither features nor rankings.
Every claim carries its promise, one of `stopping_rules.PROMISES`.
"""

from .adjudicated import (
    Adjudicated,
    Corrections,
    Sample,
    adjudicated,
    corrected_verdict,
    exclusions,
    fresh_order,
    in_turn,
)
from .estimates import calibrated, estimate_from_curve, estimate_from_scores
from .evidence import (
    AuditE,
    Certificate,
    Draws,
    audit_draws,
    certificate,
    highest_log_evidence,
    least_missed,
    log_evidence,
    logged_parameters,
    next_stratum,
)
from .forecast import Workload, forecast, price_of_certainty
from .rules import Policy, Rule, policy_of, rule_of
from .rules.audit_e import AuditRule
from .rules.cmh import CmhRule
from .rules.consecutive import ConsecutiveRule
from .rules.exact import draws_needed, elusion_upper
from .rules.fixed_audit import FixedAuditRule
from .rules.ip_p import IpPRule
from .rules.knee import KneeRule
from .rules.quant import QuantRule
from .rules.ranked_e import RankedERule

__all__ = [
    "Adjudicated",
    "AuditE",
    "AuditRule",
    "Certificate",
    "CmhRule",
    "ConsecutiveRule",
    "Corrections",
    "Draws",
    "FixedAuditRule",
    "IpPRule",
    "KneeRule",
    "Policy",
    "QuantRule",
    "RankedERule",
    "Rule",
    "Sample",
    "Workload",
    "adjudicated",
    "audit_draws",
    "calibrated",
    "certificate",
    "corrected_verdict",
    "draws_needed",
    "elusion_upper",
    "estimate_from_curve",
    "estimate_from_scores",
    "exclusions",
    "forecast",
    "fresh_order",
    "highest_log_evidence",
    "in_turn",
    "least_missed",
    "log_evidence",
    "logged_parameters",
    "next_stratum",
    "policy_of",
    "price_of_certainty",
    "rule_of",
]
