"""Ending the screening of a stage."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from . import __version__, recall
from .errors import InputError
from .project import Project, Snapshot
from .second_look import corrected_recall
from .session_state import rule_says_stop
from .status import status
from .stops import Stop

_TRIES = 20  # while others write, the evidence is looked at anew


def rule_allows(review: Snapshot, stage_name: str, reviewer: str) -> bool:
    """Tell a reviewer whether the protocol's rule says that screening can stop, as far as they may know it."""
    if review.protocol.stopping.recall_of == "corrected":
        return corrected_recall(review, stage_name, viewer=reviewer).certified
    history = review.history(stage_name, viewer=reviewer)
    weights = recall.logged_parameters(review.events, stage_name)
    return history.n_found > 0 and rule_says_stop(history, review.protocol.stopping, weights)


def stop(
    project: Project, *, reviewer: str, stage_name: str | None = None, note: str = "", anyway: bool = False
) -> Stop:
    """End the screening of a stage: log who stopped it, by which rule and on which evidence.

    Nothing is locked: whoever goes on screening may, and the stop can be taken back like a decision.

    Parameters
    ----------
    project : Project
    reviewer : str
    stage_name : str, optional
        The first stage when left out.
    note : str
    anyway : bool
        Stop although the protocol's rule says to go on; the log then says so.

    Raises
    ------
    InputError
        When the stage is stopped already, no record has come to it, or the rule says to go on.
    """
    for _ in range(_TRIES):
        review = project.snapshot()
        facts = status(review, stage_name)
        before = facts.stop
        if before is not None and before.stands:
            raise InputError(f"{before.in_words} That stop stands; `triage undo --event {before.event}` takes it back.")
        if not facts.records:
            raise InputError(f"No record has come to the stage {facts.stage!r}, so there is nothing to stop.")
        verdict, certificate = facts.verdict, facts.certificate
        if not verdict.stop and facts.unscreened and not anyway:
            raise InputError(
                f"The stopping rule {verdict.rule} says to go on: {verdict.why} To stop all the same, and have the log "
                "say so, add --anyway."
            )
        ranking = review.rankings.newest(facts.stage)
        model = {} if ranking is None else ranking.model
        made = Stop(
            event=0,
            as_of=review.live.last_seq,
            stage=facts.stage,
            reviewer=reviewer,
            at=datetime.min,
            note=note,
            rule=verdict.rule,
            promise=verdict.promise,
            why=verdict.why,
            rule_met=verdict.stop or not facts.unscreened,
            certified=verdict.certified or (certificate.certified and verdict.recall_of == "labels"),
            target=facts.target,
            confidence=facts.confidence,
            recall_lower=certificate.recall_lower
            if verdict.recall_of == "labels" or facts.label_noise is None
            else facts.label_noise.recall_lower,
            missed_upper=certificate.missed_upper,
            audit_draws=certificate.audit_draws,
            estimate=facts.estimate.recall,
            records=facts.records,
            screened=facts.screened,
            relevant_found=facts.relevant_found,
            unscreened=facts.unscreened,
            imported=review.n_records,
            protocol_version=len(review.protocol_versions),
            triage_version=__version__,
            recall_of=verdict.recall_of,
            model=str(model.get("preset") or model.get("name") or ""),
        )
        if (event := project.log.stop(made.stage, made.facts(), reviewer=reviewer, after=made.as_of)) is not None:
            return replace(made, event=event.seq, at=event.at)
    raise InputError("Others keep writing to the review, so no moment could be found to stop it; try again.")
