"""Commands that say where a review is, and write it out."""

from __future__ import annotations

import json
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..wording import agree, plural, printable
from .app import app
from .output import (
    AsJson,
    Device,
    DeviceOption,
    Model,
    Review,
    Reviewer,
    StageName,
    open_review,
    print,
    print_json,
    say,
    short,
    user_name,
    warn_if_unranked,
)

if TYPE_CHECKING:
    from ..fulltext import Attached


@app.command()
def status(
    review: Review,
    stage: StageName = None,
    target: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Recall to reach; the protocol's, else 0.95.")
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Confidence of every bound; the protocol's, else 0.95.")
    ] = None,
    require: Annotated[
        str | None, typer.Option(metavar="certified", help="Exit with 1 unless the target is certified.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is found, what is left, and whether you can stop.

    The certificate is a lower bound on recall that holds whatever the ranking does and however often
    you look; the estimate is a model's and says what it assumes. Only a certified stop is a guarantee.

    It prints, where they apply:

        Certificate  at least this share of the relevant records is found, at the confidence asked for
        Estimate     a model's best guess of the same share, without a guarantee
        Workload     about how many more records until the target is certified
        Price        random draws that any method would need for a certificate, by target
        Labels       what second looks say of wrong decisions
        Machine      what a machine would leave unread, and what people found when they read some of it
        Unread       what was excluded unread because a search found it, by whom and when
        Assigned     records assigned to each person, and how many of them they have judged
        Attention    how often a known relevant record was recognized when it was shown again
        Rules        each stopping rule: stop or go on, its promise, why; * is the protocol's
        Verdict      what the protocol's rule says
        Stopped      who ended the stage, and whether that still stands
        Note         what to know before you rely on these numbers

    For example:

        triage status review.triage
        triage status review.triage --stage full-text --target 0.9
        triage status review.triage --require certified --json
    """
    from .. import status as facts

    if require not in (None, "certified"):
        raise typer.BadParameter("only certified can be required", param_hint="--require")
    with open_review(review) as project:
        found = facts.status(project.snapshot(), stage, target=target, confidence=confidence)
    if as_json:
        print_json(found)
    else:
        print(facts.in_words(found))
    if require and not facts.is_certified(found):
        raise typer.Exit(1)


@app.command()
def report(
    review: Review,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            show_default=False,
            help="report.html; flow.svg, flow.png or flow.pdf for just the flow figure; "
            "prisma.csv for its counts as the R package PRISMA2020 reads them.",
        ),
    ],
    hide: Annotated[
        str,
        typer.Option(
            metavar="PARTS",
            show_default=False,
            help="What the flow figure leaves out (several with commas): sources, reasons, "
            "tags, steps (all that leaves before screening is then one box), or a stage, "
            "whose records are then counted with the stage before.",
        ),
    ] = "",
    stage: StageName = None,
    as_json: AsJson = False,
) -> None:
    """Write the report, one HTML page, or the flow figure.

    The report holds the PRISMA flow figure with counts by source and reason, the curve of relevant records
    found, the estimates with their promises, and a methods paragraph to paste. FILE's ending decides.

    For example:

        triage report review.triage -o report.html
        triage report review.triage -o flow.svg --hide sources,tags
        triage report review.triage -o prisma.csv
    """
    from .. import report as reports, status as facts

    hidden = [part.strip() for part in hide.split(",") if part.strip()]
    with open_review(review) as project:
        now = project.snapshot()
        reports.write_report(now, output, facts.status(now, stage), hide=hidden)
    if as_json:
        print_json({"file": str(output)})
    else:
        print(f"Wrote {printable(str(output))}.")


@app.command()
def export(
    review: Review,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            show_default=False,
            help="It ends in .ris, .csv, .tsv, .xlsx or .bib, which names the format.",
        ),
    ],
    only: Annotated[
        str,
        typer.Option(
            metavar="WHICH",
            show_default=False,
            help="included, excluded, maybe, unscreened (several with commas); next: the "
            "next batch to screen; or second-look: excluded records drawn at random, for "
            "another reviewer; by default every record of the stage.",
        ),
    ] = "",
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default=False,
            help="Records of the next batch, by default 50; or second looks, by default those already asked for.",
        ),
    ] = None,
    program: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="PROGRAM",
            show_default=False,
            help="zotero, endnote, rayyan, covidence, eppi or asreview: the decisions are where that program looks for them, "
            "and nothing else of triage's is in the file.",
        ),
    ] = None,
    stage: StageName = None,
    reviewer: Reviewer = None,
    model: Model = None,
    device: DeviceOption = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """Write records with every imported field, and the decisions.

    `triage export review.triage -o mine.ris --for zotero` hands the review over to another program, with the decisions
    as its tags; `triage export review.triage -o included.ris --only included --for covidence` one list of it. Such a
    file has no more than that program takes; without --for everything comes back that was imported.

    `--only next --top 50` hands out the next batch to screen elsewhere: fill in the column label of
    the CSV, and `triage label` takes it. A record that is handed out is not handed out again before
    all others are; `triage undo --batch` takes the batch back. Where two are to judge each record, each is given
    a batch of their own by --reviewer, and labels it by the same name.

    `--only second-look --reviewer NAME` writes excluded records, drawn at random, that await another
    reviewer's judgement, without anybody's decisions: labelled by that name they show `triage status` what is
    proven of recall when wrong exclusions are counted. --top N asks for so many.

    Columns that a table has beside the imported fields (blank where nothing was decided):

        record_id   the record's number here, by which `triage label` finds it again
        label       include, exclude or maybe; conflict where reviewers disagree
        reason      the code of the exclusion's reason
        tags        separated by "; "
        note        what reviewers wrote
        reviewer    who decided
        decided_at  when, in UTC

    For example:

        triage export review.triage -o included.ris --only included
        triage export review.triage -o next.csv --only next --top 50 --reviewer ann
        triage export review.triage -o mine.ris --for zotero
    """
    from .. import formats, intake, screening, terminal
    from ..second_look import ask_for_second_looks, price_in_words, price_of_second_looks

    wanted = [part.strip() for part in only.split(",") if part.strip()]
    for part in wanted:
        if part not in intake.EXPORTABLE:
            raise typer.BadParameter(
                f"unknown selection {part!r}; choose from {', '.join(intake.EXPORTABLE)}", param_hint="--only"
            )
    for part in ("next", "second-look"):
        if part in wanted and len(wanted) > 1:
            raise typer.BadParameter(f"{part} cannot be combined with another selection", param_hint="--only")
        if part in wanted and program is not None:
            raise typer.BadParameter(f"what --only {part} hands out has no decisions", param_hint="--for")
    with open_review(review) as project:
        formats.check_writable(output, program)
        if wanted == ["next"]:
            warn_if_unranked(project, stage)
            who = user_name(reviewer)
            count = len(
                screening.hand_out(
                    project,
                    top or 50,
                    file=output,
                    stage_name=stage,
                    reviewer=who,
                    preset=model,
                    device=device,
                    progress=terminal.progress_bar,
                    write=lambda ids: intake.export(
                        project.snapshot(), output, stage_name=stage, record_ids=ids, reviewer=who
                    ),
                )
            )
        elif wanted == ["second-look"]:
            who = user_name(reviewer)
            before = project.snapshot()
            price = price_in_words(price_of_second_looks(before, stage), before.protocol.stopping.confidence)
            ids = ask_for_second_looks(project, who, top, stage)
            for line in price:
                say(line)
            count = intake.export(project.snapshot(), output, stage_name=stage, record_ids=ids, reviewer=who)
        else:
            count = intake.export(project.snapshot(), output, only=wanted, stage_name=stage, program=program)
    if as_json:
        print_json({"file": str(output), "records": count})
    else:
        print(f"Wrote {plural(count, 'record')} to {printable(str(output))}.")
        if program is not None:
            print(f"In {formats.PROGRAMS[program].name} {formats.PROGRAMS[program].hint}.")


class MatchedBy(StrEnum):
    """What says which record a PDF is of."""

    PAGE = "page"
    NAME = "name"


@app.command()
def attach(
    review: Review,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", show_default=False, help="PDFs, and folders of them.")
    ] = None,
    record: Annotated[
        int | None,
        typer.Option(
            metavar="ID",
            help="The record that all of them belong to; by default, as each one's name and first page say.",
        ),
    ] = None,
    by: Annotated[
        MatchedBy,
        typer.Option("--by", metavar="page|name", help="Read first pages, too, or go by names alone, which is faster."),
    ] = MatchedBy.PAGE,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the PDFs that their records have.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", show_default=False, help="Write the attached PDFs there, named by their records."
        ),
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The stage whose records without a PDF are listed; by default the last."),
    ] = None,
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """Attach PDFs to their records, and list the records that have none.

    A file's name and first page say which record it is of. Names: our number (12.pdf), its DOI with "/" written as it
    can be (10.1000_abc.pdf) or the part after it, pmid 123.pdf, 1-s2.0-S0140673605177095-main.pdf, its title, by itself
    or as reference managers write it (Smith - 2001 - Title.pdf), author and year (Smith et al 2001.pdf), or a name that
    the record itself gives. First pages: its DOI or another identifier with its title, or its title with an author.
    A file that fits no record, or two, or whose name and first page do not agree, is listed and not attached. The PDFs
    are kept in the review, and shown beside the record in the browser. `triage undo REVIEW --event SEQ` takes one off.

    For example:

        triage attach review.triage
        triage attach review.triage pdfs/
        triage attach review.triage pdfs/ --by name
        triage attach review.triage smith2001.pdf --record 12
        triage attach review.triage --out pdfs-of-the-review
    """
    from .. import fulltext, terminal

    if out is not None:
        if files or record is not None or replace:
            raise typer.BadParameter("--out only writes files out; attach some by a command of its own")
        with open_review(review) as project:
            written = fulltext.write_files(project, out, progress=terminal.progress_bar)
        if as_json:
            print_json({"written": [str(path) for path in written]})
        else:
            print(f"Wrote {plural(len(written), 'PDF')} to {printable(str(out))}.")
        return
    if not files and (record is not None or replace):
        raise typer.BadParameter("name the PDFs, too", param_hint="FILE")
    with open_review(review) as project:
        now = project.snapshot()
        fulltext.stage_of_full_texts(now, stage)
        done = (
            fulltext.attach_files(
                project,
                files or [],
                reviewer=user_name(reviewer),
                record_id=record,
                replace_all=replace,
                read_pages=by is MatchedBy.PAGE,
                progress=terminal.progress_bar,
            )
            if files
            else []
        )
        asked = fulltext.stage_of_full_texts(project.snapshot() if done else now, stage)
        missing = fulltext.without(asked)
        titles = {r.id: r.title for r in project.records.shown(asked, asked.rows_of(missing[:10]))} if missing else {}
    attached = [one for one in done if one.event is not None and not one.already_there]
    there = [one for one in done if one.already_there]
    left = [one for one in done if one.event is None]
    if as_json:
        print_json(
            {
                "attached": [_attached_as_json(one) for one in attached],
                "already_there": [_attached_as_json(one) for one in there],
                "not_attached": [
                    {
                        "file": one.file,
                        "message": one.match.message,
                        "candidates": one.match.candidates,
                        "unread": one.match.unread,
                    }
                    for one in left
                ],
                "stage": asked.name,
                "records": len(asked.record_ids),
                "without": missing,
            }
        )
        return
    for one in attached:
        unread = f" (its first page could not tell: {printable(one.match.unread)})" if one.match.unread else ""
        print(f"{printable(one.file)}: record {one.match.record_id}, event {one.event}, by {one.match.by}{unread}")
    for one in left:
        print(f"{printable(one.file)}: not attached: {printable(one.match.message)}")
    if done:
        print(f"{len(attached):,} attached, {len(there):,} there already, {len(left):,} not attached.")
    records = len(asked.record_ids)
    has = records - len(missing)
    print(f"Stage {printable(asked.name)}: {has:,} of {plural(records, 'record')} {agree(has, 'has', 'have')} a PDF.")
    for record_id, title in titles.items():
        print(f"  none yet: record {record_id}: {short(title)}")
    if len(missing) > len(titles):
        print(f"  and {len(missing) - len(titles):,} more; --json lists all.")


def _attached_as_json(one: Attached) -> dict[str, object]:
    return {
        "file": one.file,
        "record_id": one.match.record_id,
        "event": one.event,
        "by": one.match.by,
        "unread": one.match.unread,
    }


@app.command()
def log(
    review: Review,
    access: Annotated[
        bool, typer.Option("--access", help="The access log: who came in or tried to, and what was done about access.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the log: every event in its order, for audit.

    Tab-separated, or with --json as one object. Events are only ever added:

    shown (to a reviewer, or handed out), assigned (to a person), decision, settled (a conflict, by a person), tag,
        attached (a PDF);
    duplicate, apart (a person says: no copy), same_study, other_study (a person says: reports of one study, of two),
    removal (before screening), stays (a person says: not removed);
    plan (the order of the random draws, committed before the first; its seed stays secret until it is revealed),
    second_look_plan (the order in which excluded records are judged again), reveal (of the seeds);
    check (a relevant record shown once more, as a check of attention: no decision);
    machine (one was declared as a screener), suggestion (its label for a record, never a decision);
    source (an imported file's source was named anew),
    corrected (fields of a record, by hand), columns (a person said which columns of an imported table hold what),
    protocol (a new version of it is in force);
    stop (a person ended the screening of a stage), undo (of an earlier event).

    Columns (those that an event has no use for are blank):

        seq         its number, which `triage undo --event` takes
        at          when, in UTC
        kind        one of the words above
        stage       the stage of the protocol
        record_id   the record
        reviewer    who did it
        label       include, exclude or maybe
        reason      the code of an exclusion's reason, or a tag, a removal's limit, a link's likeness, to whom a
                    record is assigned
        note        what the reviewer wrote, or what a program has to know of the event
        origin      how the record came up: prior, ranked, audit, chosen, imported or assigned;
                    bulk where it was excluded unread
        pool_size   how many records were unscreened when it was drawn
        ranking_id  the ranking that brought it up
        other_id    the other record of a link
        undoes      the event that this one takes back

    For example:

        triage log review.triage
        triage log review.triage --access --json
    """
    from ..log.printing import LOG_COLUMNS, event_as_json

    if access:
        _print_access(review, as_json)
        return
    with open_review(review) as project:
        events = project.log.events()
    if as_json:
        # Piece by piece: a long log as one text would be many times its size.
        print('{"events": [', end="")
        for place, e in enumerate(events):
            print(", " if place else "", json.dumps(event_as_json(e), allow_nan=False), sep="", end="")
        print("]}")
    else:
        print("\t".join(LOG_COLUMNS))
        for e in events:
            print("\t".join("" if v is None else printable(str(v)) for v in event_as_json(e).values()))


def _print_access(review: str, as_json: bool) -> None:
    with open_review(review) as project:
        events = project.people.access_log()
    if as_json:
        print_json({"access": events})
        return
    from ..project import AccessEvent

    names = [field.name for field in fields(AccessEvent)]
    print("\t".join(names))
    for event in events:
        print("\t".join(printable(str(getattr(event, name))) for name in names))
