"""Studies of a review: reports grouped, asked about, joined and split by a person."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

from ..errors import InputError
from ..log import Event
from ..project import Project, Snapshot
from ..records import Record
from ..studies import (
    Beside,
    KnownClues,
    Proposal,
    Studies,
    Study,
    studies_among,
    study_events,
    to_join,
    to_keep_apart,
    to_split,
)


@dataclass(frozen=True, slots=True)
class StudyQuestion:
    """Reports that may be of one study, and why; a person decides.

    Attributes
    ----------
    about : Study or Proposal
        A group that counts as one by a registration number alone, or two studies that may be one.
    why : str
    records : list of Record
    """

    about: Study | Proposal
    why: str
    records: list[Record]


def find_studies(
    review: Snapshot, stage_name: str | None = None, *, viewer: str | None = None, known: KnownClues | None = None
) -> Studies:
    """Group the reports that have come to a stage, the last when none is named, by their studies.

    As a reviewer may know it (see `Snapshot.stage`). What is `known` of the records is not read again.
    """
    stage = review.stage(stage_name or review.protocol.stages[-1].name, viewer=viewer)
    clues = (known or KnownClues()).of(review.records, stage.live, stage.record_ids.tolist())
    return studies_among(clues, review.events, stage.live)


def study_questions(review: Snapshot, found: Studies) -> list[StudyQuestion]:
    """Return what is to be asked: groups that nobody has confirmed, then what is proposed."""
    asked: list[tuple[Study | Proposal, str, tuple[int, ...]]] = [
        (one, "; ".join(one.why), one.record_ids) for one in found.groups if not one.confirmed
    ]
    asked += [(one, one.why, (*one.record_ids, *one.other_ids)) for one in found.proposed]
    records = {r.number: r for r in review.records.read({i for *_, ids in asked for i in ids})} if asked else {}
    return [StudyQuestion(about, why, [records[i] for i in ids]) for about, why, ids in asked]


def settle_study(project: Project, question: StudyQuestion, answer: bool | None, *, reviewer: str) -> None:
    """Write a person's answer: True one study, False as many as were asked about, None takes the answer back."""
    about = question.about
    ids = about.record_ids if isinstance(about, Study) else (*about.record_ids, *about.other_ids)
    if isinstance(about, Proposal) and not answer:
        pairs = to_keep_apart(about)
    else:
        lowest, *others = sorted(ids)
        pairs = [(lowest, i) for i in others]
        if answer is False:
            pairs = list(combinations(ids, 2))
    if answer is not None:
        project.log.tell_studies([(*pair, answer) for pair in pairs], why=question.why, reviewer=reviewer)
        return
    wanted = set(map(frozenset, combinations(ids, 2)))
    given = [e for e in study_events(project.log.events()) if frozenset((e.about, e.other_id or 0)) in wanted]
    # What one answer wrote is the newest of these, written at one moment.
    for event in reversed(given):
        if event.at == given[-1].at:
            project.log.undo(event.seq, reviewer=reviewer)


def tell_studies(
    project: Project,
    *,
    joined: Sequence[Collection[int]] = (),
    split: Collection[int] = (),
    reviewer: str,
    stage_name: str | None = None,
) -> list[Event]:
    """Log, all in one transaction, which records are of one study, and which are not of the study they are grouped with.

    Parameters
    ----------
    project : Project
    joined : sequence of collections of int
        Records of one study each.
    split : collection of int
    reviewer : str
    stage_name : str, optional
        The stage whose reports are grouped, the last when left out.

    Raises
    ------
    InputError
        When there is no such record, it has not come to the stage, or there is nothing to join or to split; nothing is
        written.
    """
    review = project.snapshot()
    stage = review.stage(stage_name or review.protocol.stages[-1].name)
    kept = {
        i: review.live.kept(project.records.one(i).number)
        for i in sorted({*split, *(i for one in joined for i in one)})
    }
    for record_id, row in zip(kept, stage.rows_of(kept.values()).tolist(), strict=True):
        if row < 0:
            raise InputError(
                f"Record {record_id} has not come to the stage {stage.name!r}, where reports are grouped; name another "
                "stage with --stage."
            )
    found = find_studies(review, stage.name)
    said: list[tuple[int, int, bool]] = []
    for ids in joined:
        of_one = {kept[i] for i in ids}
        if len(of_one) < 2:
            raise InputError("A study is joined of two records or more, such as 3,7; the copies of a record are one.")
        said += [(*pair, True) for pair in to_join(found, of_one, review.events, review.live)]
    for i in split:
        if not (pairs := to_split(found, kept[i])):
            raise InputError(f"Record {i} is in no group of reports, and in none that is proposed.")
        said += [(*pair, False) for pair in pairs]
    return project.log.tell_studies(said, reviewer=reviewer)


class StudiesBeside:
    """Tells at full text what is to be read beside a record; kept while neither the records nor what was said are new."""

    def __init__(self) -> None:
        self.known = KnownClues()
        self._found: dict[tuple[str, str | None], tuple[tuple[object, ...], Studies]] = {}
        self._lock = threading.Lock()

    def of(self, review: Snapshot, stage_name: str, record_id: int, *, viewer: str | None = None) -> Beside | None:
        """Return the other reports of a record's study; None where there are none, and at the first stage of a review."""
        if stage_name == review.protocol.stages[0].name:
            return None
        stage = review.stage(stage_name, viewer=viewer)
        at = (stage.record_ids.tobytes(), len(stage.live.duplicates), tuple(e.seq for e in study_events(review.events)))
        with self._lock:
            known = self._found.get((stage_name, viewer))
            if known is None or known[0] != at:
                found = find_studies(review, stage_name, viewer=viewer, known=self.known)
                known = self._found[stage_name, viewer] = at, found
        return known[1].beside(stage.live.kept(record_id))
