"""Commands that set up a review and bring records into it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..wording import agree, is_are, plural
from .app import app
from .output import (
    AsJson,
    Encoding,
    MachineName,
    OfAPerson,
    PromptFile,
    Review,
    Reviewer,
    machine_named,
    open_review,
    print_json,
    printable_line,
    quoted,
    short,
    shown_place,
    take_labels,
    user_name,
    warn_if_unranked,
)


@app.command()
def new(
    review: Review,
    protocol: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The review's protocol; by default the protocol.toml beside the review, "
            "which is written as a commented template if it does not exist.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a review: one file for records, decisions and rankings.

    A protocol.toml that is already beside the review is used; if there is none, a commented one is
    written, and the review works with defaults. Fill in the question and the criteria at any time: the
    next command takes them over.
    """
    from .. import intake

    file, is_template = intake.new(review, protocol)
    if as_json:
        print_json({"review": shown_place(review), "protocol": str(file)})
        return
    print(f"Made {shown_place(review)}.")
    if is_template:
        print(f"Wrote {file}: fill in the question and the criteria; they rank the records before any label.")
    elif protocol is None:
        print(f"Its protocol is {file}, which was here already; --protocol FILE takes another one.")
    print(f"Next: triage import {quoted(review)} EXPORT-FILES...")


@app.command("import")
def import_(
    review: Review,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="Exports of databases and reference managers: RIS, PubMed, EndNote, "
            "BibTeX, Web of Science, CSV, Excel and others.",
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The database they came from, for the flow figure; by default the file's name."
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(metavar="NAME", help="What the files are, such as ris or csv, if their content does not show it."),
    ] = "auto",
    label_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The column of a table that holds decisions "
            "already made (include, exclude or maybe, yes or no, "
            "1 or 0, or blank).",
        ),
    ] = None,
    encoding: Encoding = None,
    reviewer: Reviewer = None,
    machine: MachineName = None,
    prompt_file: PromptFile = None,
    person: OfAPerson = False,
    as_json: AsJson = False,
) -> None:
    """Read exports into the review; no record is dropped.

    Every record that a file announces is kept, was there already (the same file again), or is named
    as a problem with its line. Nothing is removed: equal records wait for `triage dedupe`. When one
    file cannot be read, none is taken.

    With --machine NAME the labels in the files are suggestions of a machine, such as a language model, which count
    nowhere as decisions; its score and rationale are kept where a table has columns for them. A file that names such
    a tool as a reviewer is asked about: --machine or --person answers beforehand.
    """
    from .. import intake, terminal

    screener = machine_named(machine, prompt_file, person)
    with open_review(review) as project:
        warnings = warn_if_unranked(project)
        done = take_labels(
            lambda machine, of_a_person: intake.import_files(
                project,
                files,
                reviewer=user_name(reviewer if machine is None or screener else None),
                source=source,
                format=format,
                label_column=label_column,
                machine=machine,
                of_a_person=of_a_person,
                encoding=encoding,
                progress=terminal.progress_bar,
            ),
            screener,
            person,
            reviewer,
        )
        total = project.records.count()
    if as_json:
        print_json({"files": done, "records": total, "warnings": warnings})
        return
    for file in done:
        print(
            f"{file.file} ({file.format}, source {file.source}): {file.announced:,} announced = {file.kept:,} kept + "
            f"{file.already_there:,} already there + {plural(len(file.problems), 'problem')}"
            + (f"; {plural(file.decisions, 'decision')} taken" if file.decisions else "")
            + (f"; {plural(file.suggestions, 'suggestion')} taken, no decision" if file.suggestions else "")
        )
        for problem in (*file.problems, *file.warnings):
            print(f"  line {problem.line}: {printable_line(problem.message)}")
    print(f"The review holds {plural(total, 'record')}. Next: triage dedupe {quoted(review)}")


@app.command()
def dedupe(
    review: Review,
    decide: Annotated[
        bool, typer.Option("--decide", help="Ask about each pair that may be copies, side by side.")
    ] = False,
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """Link the records that are surely duplicates, and list those that may be.

    Nothing is deleted: the copies of a record are shown as one, with their gaps filled from each
    other, and each link is in the log. `triage undo REVIEW --event SEQ` takes one back.
    """
    from .. import intake

    who = user_name(reviewer)
    with open_review(review) as project:
        done = intake.find_duplicates(project, reviewer=who)
        if decide and done.maybes:
            from .. import dedupe as duplicates, terminal

            terminal.decide_maybes(
                [(maybe.why, duplicates.side_by_side(maybe.kept, maybe.copy)) for maybe in done.maybes],
                keep=lambda place, answer: intake.settle_maybe(project, done.maybes[place], answer, reviewer=who),
                console=terminal.on_standard_error() if as_json else None,
            )
            done = intake.after_answers(project, done, reviewer=who)
    if as_json:
        print_json(
            {
                "records": done.records,
                "linked": done.linked,
                "duplicates": done.duplicates,
                "left": done.records - done.duplicates,
                "reasons": done.reasons,
                "maybes": [{"kept_id": m.kept.id, "copy_id": m.copy.id, "why": m.why} for m in done.maybes],
            }
        )
        return
    left = done.records - done.duplicates
    print(
        f"{plural(done.linked, 'new duplicate')} linked, {done.duplicates:,} in all; "
        f"{left:,} of {plural(done.records, 'record')} {is_are(left)} left."
    )
    for why, count in done.reasons.items():
        print(f"  {count:6,}  {why}")
    if done.maybes:
        print(f"{plural(len(done.maybes), 'more pair')} may be duplicates:")
        for maybe in done.maybes[:10]:
            print(
                f"  records {maybe.kept.id} and {maybe.copy.id}: {printable_line(maybe.why)} | {short(maybe.kept.title)}"
            )
        print("Decide on each with --decide; until then both are kept.")
    print(f"Next: triage filter {quoted(review)}")


@app.command()
def filter(
    review: Review,
    decide: Annotated[
        bool, typer.Option("--decide", help="Ask about each record that only a detector doubts.")
    ] = False,
    accept_proposals: Annotated[bool, typer.Option("--accept-proposals", help="Remove all of these records.")] = False,
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """Apply the protocol's limits: language, dates, publication types.

    Each removal is logged with its reason and can be undone. Where a record names no language, a
    detector only proposes: the record stays unless you decide otherwise.
    """
    from .. import intake

    if decide and accept_proposals:
        raise typer.BadParameter("give one of them, not both", param_hint="--decide, --accept-proposals")
    who = user_name(reviewer)
    with open_review(review) as project:
        done = intake.apply_limits(project, reviewer=who, accept_proposals=accept_proposals)
        if decide and done.proposed:
            from .. import terminal

            answers = terminal.decide_proposals(
                done.proposed,
                keep=lambda place, answer: intake.settle(project, done.proposed[place], answer, reviewer=who),
                console=terminal.on_standard_error() if as_json else None,
            )
            done = intake.accept(done, answers)
    if as_json:
        print_json(
            {
                "checked": done.checked,
                "removed": done.removed,
                "left": done.left,
                "proposed": [
                    {"record_id": r.id, "title": r.title, "kind": p.kind, "reason": p.reason} for r, p in done.proposed
                ],
            }
        )
        return
    removed = ", ".join(f"{count:,} by {kind}" for kind, count in done.removed.items()) or "none"
    print(f"{plural(done.checked, 'record')} checked, removed: {removed}; {done.left:,} left.")
    if done.proposed:
        n = len(done.proposed)
        print(f"{n:,} more {agree(n, 'looks', 'look')} ineligible to a detector only:")
        for record, proposal in done.proposed[:10]:
            print(f"  record {record.id}: {printable_line(proposal.reason)} | {short(record.title)}")
        print("Decide on each with --decide, or remove all with --accept-proposals.")
    print(f"Next: triage screen {quoted(review)}")
