"""What is marked in the records of a review while they are read."""

from __future__ import annotations

import threading

from .project import Snapshot
from .text import CriteriaWords

_SAMPLED = 1_000  # records in which words are counted: a share is then known to within three percentage points
_KEPT = 8


class Highlights:
    """The words to mark in a review's records; they are counted once for each set of criteria and of records."""

    def __init__(self) -> None:
        self._known: dict[object, CriteriaWords] = {}
        self._turn = threading.Lock()

    def of(self, review: Snapshot) -> CriteriaWords:
        """Return the words of the criteria that distinguish records of this review."""
        include, exclude = (tuple(c.text for c in some) for some in (review.protocol.include, review.protocol.exclude))
        key = include, exclude, review.n_records
        with self._turn:
            if key not in self._known:
                # Spread over all files, each of which comes from another database.
                ids = range(1, review.n_records + 1, max(1, review.n_records // _SAMPLED))
                words = CriteriaWords(include, exclude)
                self._known[key] = words.distinguishing(record.text for record in review.records.read(ids))
                while len(self._known) > _KEPT:
                    del self._known[next(iter(self._known))]
            return self._known[key]
