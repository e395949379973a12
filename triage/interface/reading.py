"""A review on the disk as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import status as statuses
from ..errors import InputError
from ..log import Event, History
from ..project import SCHEMA_VERSION, Project, Snapshot, place_of
from ..project.database import Database

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = ("record_id", "pool_size", "ranking_id", "other_id", "undoes", "year", "duplicate_of")


class Review:
    """A review as it was when it was opened: tables made when they are first asked for, and never written back.

    It sees everything, also what reviewers who are to decide blind may not see of each other.

    Attributes
    ----------
    stage : str
        The stage of `ranking`, `history` and `status`.
    """

    def __init__(self, snapshot: Snapshot, stage: str | None = None) -> None:
        self.stage = snapshot.stage_name(stage)
        self._opened: Snapshot | None = snapshot

    def __repr__(self) -> str:
        where = "closed" if self._opened is None else str(self._opened.path)
        return f"<Review {where}, stage {self.stage}>"

    @property
    def _snapshot(self) -> Snapshot:
        if self._opened is None:
            raise InputError("The review is closed; read what you need inside the with block.")
        return self._opened

    def _close(self) -> None:
        self._opened = None

    @cached_property
    def records(self) -> pd.DataFrame:
        """Every record that was imported, by its `record_id`.

        As imported, so with what its copies say not filled in: title, abstract, authors and keywords (joined by "; "),
        year, journal, doi, pmid, language, type, source. Of a copy, `duplicate_of` is the record it is linked to;
        `removed` says by which limit a record was removed, and is empty where it was not.
        """
        live, ids = self._snapshot.live, range(1, self._snapshot.n_records + 1)
        rows = []
        # What was imported after the moment of the snapshot is not part of it.
        for record_id, record in zip(ids, self._snapshot.records.read(ids), strict=True):
            removal = live.removals.get(record_id)
            rows.append(
                (
                    record_id,
                    record.title,
                    record.abstract,
                    "; ".join(record.authors),
                    record.year,
                    record.journal,
                    record.doi,
                    record.pmid,
                    record.language,
                    record.type,
                    "; ".join(record.keywords),
                    record.source,
                    live.duplicates.get(record_id),
                    "" if removal is None else removal.reason,
                )
            )
        names = ("record_id", "title", "abstract", "authors", "year", "journal", "doi", "pmid", "language", "type")
        return _table((*names, "keywords", "source", "duplicate_of", "removed"), rows).set_index("record_id")

    @cached_property
    def decisions(self) -> pd.DataFrame:
        """The decisions in force: of each reviewer on each record at each stage the newest that was not undone.

        Their columns are stage, record_id, reviewer, label, reason, note, origin, at and seq, their place in the log.
        """
        names = ("stage", "record_id", "reviewer", "label", "reason", "note", "origin", "at", "seq")
        return _events(names, sorted(self._snapshot.live.decisions.values(), key=lambda e: e.seq))

    @cached_property
    def events(self) -> pd.DataFrame:
        """The whole log in its order, by `seq`, with what was undone and what undid it."""
        return _events(tuple(f.name for f in fields(Event)), self._snapshot.events).set_index("seq")

    @cached_property
    def ranking(self) -> pd.DataFrame:
        """The newest saved ranking of the stage, the best record first: `rank`, `score` and `held_out`, by `record_id`.

        `held_out` is the score of a judged record, or a key paper, by a model that had not seen its label, and NaN
        elsewhere. Without a
        ranking the table is empty. `ranking.attrs` has the ranking's `model` and `as_of`, the newest event that it had
        seen: where the log has newer decisions, it has not learned from them.
        """
        import pandas as pd

        saved = self._snapshot.rankings.newest(self.stage)
        names = ["record_id", "rank", "score", "held_out"]
        if saved is None:
            return (
                pd.DataFrame({name: np.empty(0) for name in names})
                .astype({names[0]: "int64", names[1]: "int64"})
                .set_index("record_id")
            )
        order = np.argsort(-saved.scores, kind="stable")
        columns = (saved.record_ids[order], np.arange(1, len(order) + 1), saved.scores[order], saved.held_out[order])
        frame = pd.DataFrame(dict(zip(names, columns, strict=True))).set_index("record_id")
        frame.attrs = {"as_of": saved.as_of, "model": saved.model}
        return frame

    @property
    def history(self) -> History:
        """What the mathematics may see of the stage: what was shown in which order, how it came, and the labels."""
        return self._snapshot.history(self.stage)

    def status(self, *, target: float | None = None, confidence: float | None = None) -> statuses.Status:
        """Return where the stage is: what `triage status` says.

        Parameters
        ----------
        target, confidence : float, optional
            The protocol's when left out.
        """
        return statuses.status(self._snapshot, self.stage, target=target, confidence=confidence)


@contextmanager
def open_review(path: str | Path, stage: str | None = None) -> Iterator[Review]:
    """Open a review to read it, as it is now.

    Nothing is written. What others decide meanwhile is not seen; open the review again for that.

    Parameters
    ----------
    path : path or address
        The file that `triage new` made, or the address of a review on a server.
    stage : str, optional
        The protocol's first when left out.

    Yields
    ------
    Review

    Raises
    ------
    InputError
        When there is no such review, or an older version of triage made it, or it has no such stage.

    Examples
    --------
    >>> import triage
    >>> with triage.open_review("review.triage") as review:  # doctest: +SKIP
    ...     left = review.status().unscreened
    ...     included = review.decisions.query("label == 'include'")
    """
    place = place_of(path)
    with Database(place) as database:
        if database.version() < SCHEMA_VERSION:
            raise InputError(
                f"{place} was made by an older version of triage; bring it up to date with `triage status {place}`, "
                "which writes to it, and open it again."
            )
    with Project.open(path) as project:
        review = Review(project.snapshot(), stage)
        try:
            yield review
        finally:
            review._close()


def _events(names: Sequence[str], events: Sequence[Event]) -> pd.DataFrame:
    return _table(names, [tuple(getattr(event, name) for name in names) for event in events])


def _table(names: Sequence[str], rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    """Return rows as a table with the same kinds of columns whether it is empty or not."""
    import pandas as pd

    columns = dict(zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True))
    return pd.DataFrame({name: _column(name, values) for name, values in columns.items()})


def _column(name: str, values: Sequence[object]) -> pd.Series:
    import pandas as pd

    if name == "seq":
        return pd.Series(values, dtype="int64")
    if name in _NUMBERS:
        return pd.Series(values, dtype="Int64")
    if name == "at":
        return pd.to_datetime(pd.Series(values, dtype="object"), utc=True).dt.as_unit("us")
    return pd.Series(["" if value is None else str(value) for value in values], dtype="str")
