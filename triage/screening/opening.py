"""Sessions over a review, and batches handed out to be screened elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ..errors import InputError
from ..log import History, Origin, Stage
from ..progress import Progress
from ..project import Project, Snapshot
from ..project.stage_records import StageRecords
from ..ranking.review import ReviewModel, Teaching, criteria_of, fingerprint_of, model_of, newest_ranking_of, no_records
from .journal import BatchJournal, ProjectJournal, SecondLookJournal, commit_audit
from .session import Journal, Session
from .training import Training

if TYPE_CHECKING:
    from ..ranking import Preset


def _training_of(
    review: Snapshot,
    stage: Stage,
    preset: str | Preset | None,
    device: str,
    cache_dir: Path,
    progress: Progress | None,
    beside: Session | None,
) -> tuple[Training, ReviewModel]:
    """Return what ranks a stage, and its model: those of a session beside it, as far as they are right here, too."""
    model, teaching = None, Teaching.of(review, stage)
    if beside is not None and isinstance(beside.training.scorer, ReviewModel):
        from .. import ranking

        protocol, there = review.protocol, beside.training.scorer
        wanted = preset if isinstance(preset, ranking.Preset) else ranking.load_preset(preset or protocol.model)
        if there.is_of(fingerprint_of(review.records, stage), criteria_of(protocol), wanted):
            if there.teaching.is_as(teaching):
                return beside.training, there
            model = there.sharing_views(teaching)
    model = model or model_of(review, stage, preset, device, cache_dir, progress)
    return Training(model, model.held_out), model


@contextmanager
def open_session(
    project: Project,
    *,
    reviewer: str,
    stage_name: str | None = None,
    preset: str | Preset | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    background: bool = True,
    retrain_after: Callable[[int], int] = lambda _: 1,
    beside: Session | None = None,
) -> Iterator[tuple[Session, StageRecords]]:
    """Open a screening session; give it and the stage's records by row.

    The audit permutation is committed, and the first ranking made, before anything is shown.

    Parameters
    ----------
    project : Project
    reviewer : str
    stage_name, preset, device : str, optional
        The first stage, the protocol's preset and the fastest device when left out.
    progress : callable, optional
        See `ReviewModel`.
    background, retrain_after
        See `Session`.
    beside : Session, optional
        Another reviewer's, of the same review and stage, opened with the same preset: while nothing that the views
        are made of has changed since, they are shared, and both learn as one.

    Raises
    ------
    InputError
        When the stage has no records, a name is wrong, or the reviewer is a machine.
    """
    project.log.check_person(reviewer)  # before anything is committed or ranked
    review = commit_audit(project, stage_name)
    stage = review.stage(stage_name)
    if not len(stage.record_ids):
        raise no_records(review, stage)
    training, model = _training_of(review, stage, preset, device, project.cache_dir, progress, beside)
    journal = ProjectJournal(project, review, stage.name, reviewer, model.parameters)
    session = Session(
        journal.desk(),
        training,
        next_origin=_policy(review),
        is_proven=_is_proven(review, stage.name),
        journal=journal,
        check_after=review.protocol.attention_checks,
        background=background,
        retrain_after=retrain_after,
    )
    try:
        session.retrain()
        if training.newest[0] is None:  # else there is a ranking to begin with, that of the session beside this one
            session.wait()
        yield session, StageRecords(review.records, stage)
    finally:
        session.close()


@contextmanager
def open_second_look(
    project: Project, record_ids: Sequence[int], *, reviewer: str, stage_name: str | None = None
) -> Iterator[tuple[Session, StageRecords]]:
    """Open a session over the records that await a second look; give it and the records by row.

    They come in their order: nothing is ranked, and none is drawn for the audit.

    Parameters
    ----------
    project : Project
    record_ids : sequence of int
        See `second_look.ask_for_second_looks`.
    reviewer : str
    stage_name : str, optional
        The first stage when left out.
    """
    project.log.check_person(reviewer)
    review = project.snapshot()
    stage = review.stage(stage_name)
    rows = [row for row in stage.rows_of(record_ids).tolist() if row >= 0]
    journal = SecondLookJournal(ProjectJournal(project, review, stage.name, reviewer, {}), rows)
    # Nothing is shown anew or ranked, so the journal has no more than such a session asks of it.
    session = Session(journal.desk(), lambda rows, y: None, journal=cast(Journal, journal))
    yield session, StageRecords(review.records, stage, rows)


def _policy(review: Snapshot) -> Callable[[History], Origin] | None:
    from .. import recall

    stopping = review.protocol.stopping
    policy = recall.policy_of(stopping.rule, stopping.target, stopping.confidence, audit_size=stopping.audit_size)
    return None if policy is None else lambda history: policy.next_origin(history.among(stopping.recall_among)[0])


def _is_proven(review: Snapshot, stage_name: str) -> Callable[[History], bool]:
    """Return what tells whether the stage's audit has reached its target, or, as a sample of a fixed size, its end."""
    from .. import recall

    stopping, weights = review.protocol.stopping, recall.logged_parameters(review.events, stage_name)
    policy = recall.policy_of(stopping.rule, stopping.target, stopping.confidence, audit_size=stopping.audit_size)

    def is_proven(history: History) -> bool:
        evidence, _ = history.among(stopping.recall_among)
        if policy is not None and policy.fixed is not None:
            sample = policy.fixed.sample(evidence)
            return sample is not None and len(sample.y) >= sample.size
        return recall.certificate(evidence, stopping.target, stopping.confidence, weights).certified

    return is_proven


def hand_out(
    project: Project,
    count: int,
    *,
    file: str | Path,
    reviewer: str,
    write: Callable[[list[int]], object] | None = None,
    stage_name: str | None = None,
    preset: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> list[int]:
    """Hand out a reviewer's next batch to be screened outside, audit draws among it; return its ids.

    It holds what a session would put before the reviewer one after the other: where two are to judge each
    record, those come in that one other has taken, and none that is others' already.

    The file is there before the log says that it was handed out: were it the other way round, a full disk
    would leave records that wait for an answer from nobody.

    Parameters
    ----------
    project : Project
    count : int
    file : path
        The file of the batch, whose name goes into the log.
    reviewer : str
    write : callable, optional
        Writes the file: the records of these ids in the order in which they are to be screened. Those that the
        reviewer has already and has not judged come only when no others are left.
    stage_name, preset, device, progress : optional
        See `open_session`.

    Raises
    ------
    InputError
        When no record of the stage is left for the reviewer to judge, or the reviewer is a machine.
    """
    project.log.check_person(reviewer)
    while True:
        ranked = newest_ranking_of(project, stage_name, preset, device, progress)
        stage, ranking = ranked.stage, ranked.ranking
        committed = commit_audit(project, stage.name)
        if not np.array_equal(committed.stage(stage.name).record_ids, stage.record_ids):
            continue
        journal = ProjectJournal(project, committed, stage.name, reviewer, {})
        desk, batch = journal.desk(), BatchJournal(journal)
        has, training = desk.mine, Training(lambda rows, y: None)
        training.newest = ranking.scores, ranking.id
        session = Session(
            replace(desk, mine=[], elsewhere=[*has, *desk.elsewhere]),
            training,
            next_origin=_policy(committed),
            is_proven=_is_proven(committed, stage.name),
            journal=cast(Journal, batch),  # a batch is chosen and logged; nothing is decided in it
        )
        ids: list[int] = stage.record_ids[[showing.row for showing in session.ahead(count)]].tolist()
        if not ids:
            raise InputError(
                f"Every record of the stage {stage.name!r} is judged; there is no next batch."
                if (desk.pool.y >= 0).all()
                else f"No record of the stage {stage.name!r} is left for {reviewer}; others have those that are not judged."
            )
        if write is not None:
            write(ids)
        logged = False
        try:
            logged = not batch.taken or bool(
                project.log.show(
                    stage.name,
                    stage.record_ids[[row for row, *_ in batch.taken]].tolist(),
                    [origin for _, origin, _ in batch.taken],
                    [size for *_, size in batch.taken],
                    reviewer=reviewer,
                    ranking_id=ranking.id,
                    file=Path(file).name,
                    after=committed.live.last_seq,
                )
            )
        finally:
            if write is not None and not logged:  # or somebody wrote meanwhile, and the batch is chosen anew
                Path(file).unlink(missing_ok=True)
        if logged:
            return ids
