"""The interface to programs, which the pages use too: JSON, described at /api."""

from . import description, files, full_texts, records, review, screening, team  # noqa: F401
from .common import router

__all__ = ["router"]
