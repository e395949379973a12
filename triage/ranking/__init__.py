"""Ranking: presets, the learner that blends their views, and the model of a review."""

from .learner import Explanation, Learner, Views, balanced_weights, criteria_scores, standardised
from .presets import Criteria, Preset, Score, load_preset, presets
from .scores import Ranking
from .suggested import opinions

__all__ = [
    "Ranking",
    "Criteria",
    "Explanation",
    "Learner",
    "Preset",
    "Score",
    "Views",
    "balanced_weights",
    "criteria_scores",
    "load_preset",
    "opinions",
    "presets",
    "standardised",
]
