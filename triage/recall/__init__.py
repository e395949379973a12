"""Recall: the certificate, estimates, stopping rules and the forecast of the work left.

All of it sees a `History` alone (and scores handed in): neither features nor rankings. Every claim
carries its promise:

certificate   holds at its confidence whatever the ranking does
conditional   holds if the ranking is no worse than random
estimate      a model's best guess, no guarantee
heuristic     a rule of thumb
"""

from .estimates import calibrated, estimate_from_curve, estimate_from_scores
from .evidence import (
    AuditE, Certificate, Draws, audit_draws, certificate, highest_log_evidence, least_missed, log_evidence,
    next_stratum,
)
from .forecast import Workload, forecast, price_of_certainty
from .labels import SAMPLE_SHARE, Sensitivity, sensitivity
from .rules import (
    AUDITED, CERTIFYING, RULES, AuditRule, CmhRule, ConsecutiveRule, FixedAuditRule, IpPRule, KneeRule, Policy,
    QuantRule, RankedERule, draws_needed, elusion_upper, policy_of, rule_of,
)

__all__ = [
    "AUDITED", "CERTIFYING", "RULES", "AuditE", "AuditRule", "Certificate", "CmhRule", "ConsecutiveRule", "Draws",
    "FixedAuditRule", "IpPRule", "KneeRule", "Policy", "QuantRule", "RankedERule",
    "SAMPLE_SHARE", "Sensitivity", "Workload", "audit_draws", "calibrated", "certificate",
    "draws_needed", "elusion_upper", "estimate_from_curve", "estimate_from_scores", "forecast",
    "highest_log_evidence", "least_missed", "log_evidence", "next_stratum", "policy_of", "price_of_certainty",
    "rule_of",
    "sensitivity",
]
