"""The demonstration: a whole review on bundled real records, answered from its known labels."""

from __future__ import annotations

import csv
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path

from . import bundled, intake, recall, report, screening, status
from .errors import InputError
from .log import Label
from .progress import Progress
from .project import Project
from .ranking import answers
from .records import Record
from .session_state import rule_says_stop
from .stopping import stop as stop_stage
from .wording import agree, plural

_EXPORTS = ("pubmed.nbib", "scopus.ris", "web_of_science.csv")
_MARK = ".triage-demo"
_REVIEWER = "known labels"
NOTICE = (
    "This is a demonstration: nobody screened these records. The decisions were answered from the known "
    "labels of a published review (Menon et al. 2022, in the SYNERGY collection)."
)


def run(folder: Path, *, device: str, progress: Progress, say: Callable[[str], None]) -> Path:
    """Go the whole way, from three exports to the report; return the report's path.

    Parameters
    ----------
    folder : Path
        Made anew; a folder that an earlier demonstration made is replaced, any other is refused.
    device : str
    progress : callable
        See `ranking.review.ReviewModel`.
    say : callable of str
        Called with each line about the steps.

    Raises
    ------
    InputError
        When `folder` exists and is not a demonstration's.
    """
    _make(folder)
    source = bundled.path("data/demo")
    for name in (*_EXPORTS, "protocol.toml", "README.md"):
        shutil.copyfile(source / name, folder / name)
    review = folder / "review.triage"
    say(NOTICE)
    say("")
    intake.new(review, folder / "protocol.toml")
    with Project.open(review) as project:
        for done in intake.import_files(project, [folder / name for name in _EXPORTS], reviewer=_REVIEWER):
            say(
                f"import   {Path(done.file).name}: {plural(done.announced, 'record')} announced, {done.kept:,} kept, "
                f"{plural(len(done.problems), 'problem')}"
            )
        linked = intake.find_duplicates(project, reviewer=_REVIEWER)
        say(
            f"dedupe   {plural(linked.duplicates, 'duplicate')} linked, {linked.records - linked.duplicates:,} of "
            f"{plural(linked.records, 'record')} are left"
        )
        filtered = intake.apply_limits(project, reviewer=_REVIEWER)
        removed = ", ".join(f"{count:,} by {kind}" for kind, count in filtered.removed.items()) or "none"
        doubted = len(filtered.proposed)
        say(
            f"filter   removed: {removed}; {doubted:,} that a language detector doubts {agree(doubted, 'stays', 'stay')} in, "
            f"for a person to decide; {plural(filtered.left, 'record')} to screen"
        )
        first = answers.rank(project, top=3, device=device, progress=progress)
        say("rank     by the protocol's criteria alone, before any decision, these come first:")
        for record in first.records:
            say(f"         {textwrap.shorten(record.title, 90, placeholder=' ...')}")
        stopping = project.protocol().stopping
        say(f"screen   the best ranked record next, learning from each decision, until {stopping.rule} says stop:")
        found, decided = _screen(project, device, progress)
        say(
            f"         {plural(decided, 'decision')}, {found:,} relevant found, "
            f"{plural(filtered.left - decided, 'record')} never read"
        )
        made = stop_stage(project, reviewer=_REVIEWER, anyway=True)
        say(
            f"stop     event {made.event} of the log: by {made.rule}, {'certified' if made.certified else 'not certified'}"
        )
        say("")
        result = project.snapshot()
        facts = status.status(result)
        say(status.in_words(facts))
        page = folder / "report.html"
        report.write_report(result, page, facts, notice=NOTICE)
        included = intake.export(result, folder / "included.ris", only=["included", "maybe"])
        intake.export(result, folder / "decisions.csv")
    say("")
    say(f"export   included.ris ({plural(included, 'record')}) and decisions.csv, in {folder}")
    say("")
    say("Look around in it, or go on screening:")
    for command in ("status", "log", "rank", "screen"):
        say(f'  triage {command} "{review}"')
    say("")
    say(f"The report is {page}")
    return page


def _make(folder: Path) -> None:
    if folder.exists():
        if not (folder / _MARK).is_file():
            raise InputError(f"{folder} exists and is not a demonstration's folder; name another one: triage demo DIR.")
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be made ({error.strerror}); name another one.") from error
    (folder / _MARK).write_text("Made by `triage demo`, which may replace this folder.\n", encoding="utf-8")


def _screen(project: Project, device: str, progress: Progress) -> tuple[int, int]:
    """Answer from the known labels until the protocol's rule says stop; return relevant and decided."""
    known = _known_labels()
    stopping = project.protocol().stopping
    with (
        screening.open_session(
            project,
            reviewer=_REVIEWER,
            device=device,
            progress=progress,
            background=False,
            retrain_after=lambda labelled: max(1, labelled // 20),
        ) as (session, records),
        progress("Screening") as tick,
    ):
        decided, weights = 0, recall.logged_parameters(project.log.events(), project.stage().name)
        while (showing := session.next()) is not None:
            session.decide(showing.row, Label.INCLUDE if known[_identifier(records[showing.row])] else Label.EXCLUDE)
            decided += 1
            tick(decided, len(records))
            if rule_says_stop(session.pool.history(), stopping, weights):
                break
        return session.pool.history().n_found, decided


def _known_labels() -> dict[str, bool]:
    with bundled.path("data/demo/labels.csv").open(encoding="utf-8", newline="") as file:
        return {row["openalex"]: row["label"] == "1" for row in csv.DictReader(file)}


def _identifier(record: Record) -> str:
    return next(record.extra[name][0] for name in ("OID", "C1", "OpenAlex") if name in record.extra)
