"""Papers that are known to be relevant beforehand: whether the import holds them, and how they rank without being told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .log import History, Stage
from .project import Records, Snapshot
from .ranking.scores import Ranking
from .records import normal_doi, normal_title
from .wording import agree


@dataclass(frozen=True, slots=True)
class KeyPaper:
    """A key paper of the protocol.

    Attributes
    ----------
    named : str
        As the protocol names it.
    state : str
        "missing": no record is it; "elsewhere": its record is not at this stage; "screened"; or "unscreened".
    record_id : int or None
    rank : int or None
        Of an unscreened one, by a ranking that has not learned that it is relevant; None where there is none.
    among : int or None
        How many records are ranked.
    ranks_badly : bool
        Whether half of the stage's records rank above it.
    """

    named: str
    state: str
    record_id: int | None = None
    rank: int | None = None
    among: int | None = None
    ranks_badly: bool = False


def key_papers(review: Snapshot, stage: Stage, history: History, ranking: Ranking | None) -> list[KeyPaper]:
    """Return what became of each key paper; it says nothing of the evidence on recall, and changes none."""
    named, found = review.protocol.key_papers, _found_in(review)
    judged = set(history.rows[history.judged].tolist())
    papers = []
    for name in named:
        if name not in found:
            papers.append(KeyPaper(name, "missing"))
            continue
        record_id = review.live.kept(found[name])
        row = int(stage.rows_of([record_id])[0])
        if row < 0:
            papers.append(KeyPaper(name, "elsewhere", record_id))
        elif row in judged:
            papers.append(KeyPaper(name, "screened", record_id))
        elif ranking is None or np.isnan(score := _unaware_score(ranking, record_id, row)):
            papers.append(KeyPaper(name, "unscreened", record_id))
        else:
            rank = int(np.count_nonzero(ranking.scores > score)) + 1
            n = len(ranking.scores)
            papers.append(KeyPaper(name, "unscreened", record_id, rank, n, ranks_badly=2 * rank > n + 1))
    return papers


def _unaware_score(ranking: Ranking, record_id: int, row: int) -> float:
    """Return the score of a record that nobody has judged by what was not told that it is relevant; NaN without one."""
    told = record_id in ranking.model.get("key_papers", ())
    return float((ranking.held_out if told else ranking.scores)[row])


def at_stage(review: Snapshot, stage: Stage) -> dict[int, int]:
    """Return the record ids of the key papers that a stage has, by their rows."""
    ids = sorted({review.live.kept(record_id) for record_id in _found_in(review).values()})
    return {row: record_id for row, record_id in zip(stage.rows_of(ids).tolist(), ids, strict=True) if row >= 0}


def _found_in(review: Snapshot) -> dict[str, int]:
    if not (named := review.protocol.key_papers):
        return {}
    corrections = frozenset(e.seq for events in review.live.corrections.values() for e in events)
    return _found(review.records, review.n_records, corrections, named)


@lru_cache(maxsize=4)
def _found(records: Records, n_records: int, corrections: frozenset[int], named: tuple[str, ...]) -> dict[str, int]:
    """Return the first record that each name is the DOI, the PMID or the title of; read once for a set of records.

    `corrections` are the events by which they were corrected.
    """
    wanted: dict[tuple[str, str], list[str]] = {}
    for name in named:
        for key in _keys(normal_doi(name), _pmid(name), name):
            wanted.setdefault(key, []).append(name)
    found: dict[str, int] = {}
    for record_id, doi, pmid, title in records.identifiers():
        for key in _keys(normal_doi(doi), pmid.strip(), title):
            for name in wanted.get(key, ()):
                found.setdefault(name, record_id)
    return found


def _keys(doi: str, pmid: str, title: str) -> Sequence[tuple[str, str]]:
    """Return by what a paper is known; a title that is a DOI or a number is no title."""
    if doi and normal_doi(title) == doi:
        title = ""
    keys = (("doi", doi.casefold()), ("pmid", pmid), ("title", normal_title(title)))
    return [key for key in keys if key[1]]


def _pmid(name: str) -> str:
    digits = name.casefold().removeprefix("pmid").strip(" :")
    return digits if digits.isdecimal() and digits.isascii() and len(digits) < 10 else ""


def in_words(papers: Sequence[KeyPaper]) -> list[str]:
    """Say how many were found, which are missing, and which rank badly; a line each, none without key papers."""
    if not papers:
        return []
    missing = [one.named for one in papers if one.state == "missing"]
    there = len(papers) - len(missing)
    lines = [f"{there:,} of {len(papers):,} {agree(len(papers), 'is', 'are')} among the records."]
    if missing:
        lines.append(
            f"Missing, so the search may miss others like {agree(len(missing), 'it', 'them')}: {'; '.join(missing)}."
        )
    lines += [
        f"Ranks badly ({one.rank:,} of {one.among:,}): {one.named}. Do the criteria say it in its words?"
        for one in papers
        if one.ranks_badly and one.rank is not None and one.among is not None
    ]
    return lines
