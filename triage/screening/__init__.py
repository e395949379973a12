"""The screening loop, and the sessions over a review."""

from .excluding import MOST_AT_ONCE, Excluded, exclude_found
from .journal import ProjectJournal, commit_audit
from .opening import hand_out, open_second_look, open_session
from .pool import Pool
from .session import SKIP_DISTANCE, Assignment, Journal, Session, Showing
from .training import Training

__all__ = [
    "Assignment",
    "Excluded",
    "Journal",
    "MOST_AT_ONCE",
    "Pool",
    "ProjectJournal",
    "SKIP_DISTANCE",
    "Session",
    "Showing",
    "Training",
    "commit_audit",
    "exclude_found",
    "hand_out",
    "open_second_look",
    "open_session",
]
