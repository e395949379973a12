"""What is marked in the records of a review while they are read: words of the criteria, and lists of one's own."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence

from .project import Snapshot
from .protocol import COLOURS, WordList
from .searching import folded, pattern_of
from .text import CriteriaWords

_SAMPLED = 1_000  # records in which words are counted: a share is then known to within three percentage points
_KEPT = 8
KINDS = dict(zip(COLOURS, ("include", "exclude", *COLOURS[2:]), strict=True))  # how each colour is marked


class Marks:
    """Finds what is marked in a text: the words of some lists, and elsewhere those of the criteria.

    Attributes
    ----------
    lists : sequence of WordList
    too_common : tuple of str
        See `CriteriaWords`.
    """

    def __init__(self, criteria: CriteriaWords, lists: Sequence[WordList] = ()) -> None:
        self._criteria = criteria
        self.lists = tuple(one for one in lists if one.words)
        self.too_common = criteria.too_common
        patterns: dict[str, list[str]] = {}
        for one in self.lists:
            patterns.setdefault(KINDS[one.colour], []).extend(
                pattern.pattern for word in one.words if (pattern := pattern_of(word)) is not None
            )
        # Of two that begin at one place the longer is found.
        self._patterns = [
            (kind, re.compile("|".join(sorted(some, key=len, reverse=True)))) for kind, some in patterns.items() if some
        ]

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield where each word begins and ends, in order and apart from each other, and how it is marked."""
        if not self._patterns:
            yield from self._criteria.find(text)
            return
        letters, places = _folded_with_places(text)
        found = [
            (places[match.start()], -max(places[match.end()], places[match.end() - 1] + 1), kind)
            for kind, pattern in self._patterns
            for match in pattern.finditer(letters)
            if match.end() > match.start()
        ]
        at, own = 0, list[tuple[int, int, str]]()
        for begins, ends, kind in sorted(found):
            if begins >= at:
                own.append((begins, at := -ends, kind))
        others = [
            (begins, ends, str(kind))
            for begins, ends, kind in self._criteria.find(text)
            if not any(begins < until and since < ends for since, until, _ in own)
        ]
        yield from sorted([*own, *others])


def _folded_with_places(text: str) -> tuple[str, Sequence[int]]:
    """Return a text as words are looked up in it (see `searching.folded`), and where each of its letters comes from."""
    if text.isascii():
        return folded(text), range(len(text) + 1)
    letters, places = [], []
    for place, character in enumerate(text):
        some = folded(character)
        letters.append(some)
        places += [place] * len(some)
    return "".join(letters), [*places, len(text)]


class Highlights:
    """The words to mark in a review's records; they are counted once for each set of criteria and of records."""

    def __init__(self) -> None:
        self._known: dict[object, CriteriaWords] = {}
        self._turn = threading.Lock()

    def of(self, review: Snapshot, own: Sequence[WordList] = ()) -> Marks:
        """Return what to mark: a reviewer's own lists, the protocol's, and words of the criteria that distinguish records."""
        return Marks(self._criteria(review), (*own, *review.protocol.highlights))

    def _criteria(self, review: Snapshot) -> CriteriaWords:
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
