"""Commands that set up a review and bring records into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..wording import agree, is_are, plural, printable
from .app import app
from .output import (
    AsJson,
    Encoding,
    MachineName,
    OfAPerson,
    PromptFile,
    Review,
    Reviewer,
    ReviewerColumn,
    ask_for_columns,
    columns_named,
    machine_named,
    open_review,
    print,
    print_json,
    quoted,
    short,
    shown_place,
    take_labels,
    user_name,
    warn_if_unranked,
)

if TYPE_CHECKING:
    from ..intake import Imported
    from ..machines import Machine
    from ..protocol import Protocol


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

    For example:

        triage new review.triage
        triage new review.triage --protocol peer-support.toml
    """
    from .. import intake

    file, is_template = intake.new(review, protocol)
    if as_json:
        print_json({"review": shown_place(review), "protocol": str(file)})
        return
    print(f"Made {shown_place(review)}.")
    if is_template:
        print(
            f"Wrote {printable(str(file))}: fill in the question and the criteria; they rank the records before any label."
        )
    elif protocol is None:
        print(f"Its protocol is {printable(str(file))}, which was here already; --protocol FILE takes another one.")
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
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar='FIELD="HEADER"',
            show_default=False,
            help="The column of a table that holds a field, such as title, abstract or year, where it is not found by its "
            "name; once for each. Later files of the same header are read likewise.",
        ),
    ] = None,
    sheet: Annotated[
        str,
        typer.Option(metavar="NAME", show_default=False, help="The sheet of a workbook, if not the first with titles."),
    ] = "",
    reviewer_column: ReviewerColumn = None,
    add_reasons: Annotated[
        bool,
        typer.Option(
            "--add-reasons", help="Add the reasons in the files that the protocol lacks to the protocol's file."
        ),
    ] = False,
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

    The votes in an export of Rayyan or Covidence become decisions, each under the name that it has there, with its
    reason, note and labels; where they differ, the record is a conflict to settle. `triage import review.triage
    articles.csv --add-reasons` takes their reasons over as well. A table of your own may say who decided:
    `triage import review.triage votes.csv --label-column vote --reviewer-column screener`.

    With --machine NAME the labels in the files are suggestions of a machine, such as a language model, which count
    nowhere as decisions; its score and rationale are kept where a table has columns for them. A file that names such
    a tool as a reviewer is asked about: --machine or --person answers beforehand. Among the votes of several people
    those under the machine's name are its suggestions, and the others stay decisions.

    For each file it prints:

        announced      records that the file holds
        kept           of these, the ones that are new in the review
        already there  the same records of the same file, imported before
        problems       what could not be read as a record, each with its line below

    For example:

        triage import review.triage pubmed.nbib scopus.ris
        triage import review.triage search2.ris --source "PubMed, searched 12 March"
        triage import review.triage register.csv --column title="Study name"
    """
    from .. import intake, terminal
    from ..formats import NoTitleColumn

    screener = machine_named(machine, prompt_file, person)
    columns = columns_named(column or ())
    with open_review(review) as project:
        warnings = warn_if_unranked(project)

        def take(machine: Machine | None, of_a_person: bool) -> list[intake.Imported]:
            return intake.import_files(
                project,
                files,
                reviewer=user_name(reviewer if machine is None or screener else None),
                source=source,
                format=format,
                label_column=label_column,
                columns=columns,
                sheet=sheet,
                reviewer_column=reviewer_column,
                add_reasons=add_reasons,
                machine=machine,
                of_a_person=of_a_person,
                encoding=encoding,
                progress=terminal.progress_bar,
            )

        while True:
            try:
                done = take_labels(take, screener, person, reviewer)
                break
            except NoTitleColumn as error:
                columns = ask_for_columns(error)
        total = project.records.count()
        protocol = project.protocol()
    if as_json:
        print_json({"files": done, "records": total, "warnings": warnings})
        return
    for file in done:
        print(
            f"{printable(file.file)} ({file.format}, source {printable(file.source)}): "
            f"{file.announced:,} announced = {file.kept:,} kept + "
            f"{file.already_there:,} already there + {plural(len(file.problems), 'problem')}"
            + (f"; {plural(file.decisions, 'decision')} taken" if file.decisions else "")
            + (f"; {plural(file.suggestions, 'suggestion')} taken, no decision" if file.suggestions else "")
        )
        for problem in (*file.problems, *file.warnings):
            print(f"  {f'line {problem.line}: ' if problem.line else ''}{printable(problem.message)}")
        _print_votes(file)
    missing = dict.fromkeys(reason for file in done for reason in file.unlisted_reasons)
    if missing:
        _offer_reasons(protocol, list(missing))
    if any(file.conflicts for file in done):
        print(f"Reviewers disagree on some records: triage conflicts {quoted(review)}")
    print(f"The review holds {plural(total, 'record')}. Next: triage dedupe {quoted(review)}")


def _print_votes(file: Imported) -> None:
    """Say whose decisions a file brought, where it names several people, and what it has of their reasons."""
    if len(file.people) > 1:
        given = ", ".join(f"{printable(name)} {n:,}" for name, n in sorted(file.people.items()))
        settled = f", {file.settled:,} settled as the file says" if file.settled else ""
        print(f"  decisions of {given}; {plural(file.conflicts, 'conflict')} to settle{settled}")
    for code, text in file.added_reasons.items():
        print(f"  added to the protocol: {code}, {printable(text)}")
    if file.unlisted_reasons:
        given = ", ".join(f"{printable(reason)} ({n:,})" for reason, n in list(file.unlisted_reasons.items())[:20])
        print(f"  reasons that are not in the protocol, kept as they are written: {given}")


def _offer_reasons(protocol: Protocol, texts: list[str]) -> None:
    from .. import protocol as protocols

    print("To be offered these reasons while screening, import again with --add-reasons, or write into protocol.toml:")
    for line in protocols.as_toml(protocols.new_reasons(protocol, texts[:20])).splitlines():
        print(f"  {printable(line)}".rstrip())
    if len(texts) > 20:
        print(f"  and {len(texts) - 20:,} more; --json lists all.")


@app.command()
def sources(
    review: Review,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW",
            show_default=False,
            help="A source, or the number of one file, and what it is to be called; two of one name are one source.",
        ),
    ] = None,
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """List the imported files with their sources, or name sources anew.

    The flow figure and the methods count records by source. Files of one source are counted together, and a source of
    the protocol's [[sources]] has its date of search from there. A line is a file: its number, its source, its name and
    format, and how many of its records were kept.

        triage sources review.triage
        triage sources review.triage --rename pubmed_2=PubMed --rename 3=Scopus
    """
    from .. import intake

    with open_review(review) as project:
        intake.rename_sources(project, rename or (), reviewer=user_name(reviewer))
        snapshot = project.snapshot()
    if as_json:
        print_json(
            {
                "files": [
                    {"id": f.id, "name": f.name, "source": f.source, "format": f.format, "kept": f.kept, "at": f.at}
                    for f in snapshot.files
                ]
            }
        )
        return
    for file in snapshot.files:
        print(
            f"{file.id:>3}  {printable(file.source)}: {printable(file.name)} ({file.format}), "
            f"{plural(file.kept, 'record')}"
        )


def _field(metavar: str, help: str) -> Any:
    return typer.Option(metavar=metavar, show_default=False, help=help)


@app.command()
def correct(
    review: Review,
    record_id: Annotated[int, typer.Argument(metavar="RECORD", help="The record's number.", show_default=False)],
    title: Annotated[str | None, _field("TEXT", "Its title.")] = None,
    abstract: Annotated[str | None, _field("TEXT", "Its abstract.")] = None,
    author: Annotated[
        list[str] | None, _field("NAME", "An author, as Family, Given; once for each, in their order.")
    ] = None,
    year: Annotated[str | None, _field("YEAR", "The year of publication, four digits.")] = None,
    journal: Annotated[str | None, _field("TEXT", "The journal.")] = None,
    doi: Annotated[str | None, _field("DOI", "The DOI.")] = None,
    pmid: Annotated[str | None, _field("PMID", "The PubMed number.")] = None,
    language: Annotated[str | None, _field("TEXT", "The language.")] = None,
    publication_type: Annotated[
        str | None, typer.Option("--type", metavar="TEXT", show_default=False, help="The type of publication.")
    ] = None,
    keyword: Annotated[list[str] | None, _field("TEXT", "A keyword; once for each.")] = None,
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """Correct fields of a record by hand, or show what they hold.

    What was imported is kept, and each correction is an event of the log that `triage undo --event` takes back. Reviewers
    read the record as corrected, it is ranked anew, and exports hold what it says now. A field given as "" is emptied.
    Without a field to correct, each is printed with what it holds, and each correction in force with what was there
    before.

        triage correct review.triage 12 --year 2010 --doi 10.1176/ps.2006.57.8.1179
        triage correct review.triage 12
    """
    from .. import intake

    given: dict[str, str | list[str] | None] = {
        "title": title,
        "abstract": abstract,
        "authors": author,
        "year": year,
        "journal": journal,
        "doi": doi,
        "pmid": pmid,
        "language": language,
        "type": publication_type,
        "keywords": keyword,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    with open_review(review) as project:
        written = intake.correct(project, record_id, wanted, reviewer=user_name(reviewer)) if wanted else []
        holds, made = intake.fields_now(project.records, project.live(), record_id)
    if as_json:
        print_json({"events": [event.seq for event in written], "fields": holds, "corrections": made})
        return
    if wanted:
        names = ", ".join(dict.fromkeys(name for event in written for name in json.loads(event.note)))
        print(f"Corrected in record {record_id}: {names}." if written else f"Record {record_id} says so already.")
        return
    for name, value in holds.items():
        print(f"{name:<9} {printable(intake.in_words(value))}".rstrip())
    for one in made:
        for name, was in one.was.items():
            by = f"event {one.event}: {printable(one.reviewer)} corrected {name} on {one.at[:10]}"
            print(f"{by}; before: {short(was) or 'nothing'}")


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

    It prints:

        new duplicates    copies linked by this run
        in all            copies linked so far
        left              records that remain when each group of copies counts once
        a number, a why   how many of the links rest on which likeness
        records 7 and 12  a pair that only may be copies: the record kept, the copy, why | the title

    For example:

        triage dedupe review.triage
        triage dedupe review.triage --decide
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
        print(f"  {count:6,}  {printable(why)}")
    if done.maybes:
        print(f"{plural(len(done.maybes), 'more pair')} may be duplicates:")
        for maybe in done.maybes[:10]:
            print(f"  records {maybe.kept.id} and {maybe.copy.id}: {printable(maybe.why)} | {short(maybe.kept.title)}")
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

    It prints:

        checked   records that were looked at: those that are no duplicates
        removed   how many left, by the limit that they break: language, date or type
        left      records that go on to screening
        record 7  a record that a detector doubts: why | its title

    For example:

        triage filter review.triage
        triage filter review.triage --decide
        triage filter review.triage --accept-proposals
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
            print(f"  record {record.id}: {printable(proposal.reason)} | {short(record.title)}")
        print("Decide on each with --decide, or remove all with --accept-proposals.")
    print(f"Next: triage screen {quoted(review)}")


@app.command()
def studies(
    review: Review,
    decide: Annotated[
        bool,
        typer.Option("--decide", help="Ask about each group that nobody has confirmed, and each that is proposed."),
    ] = False,
    join: Annotated[
        list[str] | None,
        typer.Option(metavar="ID,ID", show_default=False, help="These records are reports of one study, such as 3,7."),
    ] = None,
    split: Annotated[
        list[int] | None,
        typer.Option(min=1, metavar="ID", show_default=False, help="This record is a study of its own, or of another."),
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage", metavar="NAME", show_default=False, help="The stage whose reports are grouped; the last."
        ),
    ] = None,
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """Group the reports of one study: a protocol, an entry in a register, its articles.

    They are no duplicates, and nothing is removed: each is screened by itself. At full text they are shown beside each
    other, and the flow figure counts studies and reports. Reports that name one registration number count as one study
    unless you split them; others, with a common acronym or a like title and authors in common, are proposed, and count
    once you join them. Each answer is in the log, and `triage undo REVIEW --event SEQ` takes it back.

    For example:

        triage studies review.triage --decide
        triage studies review.triage --join 3,7 --split 12
    """
    from .. import intake

    who = user_name(reviewer)
    joins = [_record_ids(text) for text in join or ()]
    with open_review(review) as project:
        if joins or split:
            intake.tell_studies(project, joined=joins, split=split or (), reviewer=who, stage_name=stage)
        now = project.snapshot()
        found = intake.find_studies(now, stage)
        if decide and (questions := intake.study_questions(now, found)):
            from .. import terminal

            terminal.decide_studies(
                [(one.why, one.records) for one in questions],
                keep=lambda place, answer: intake.settle_study(project, questions[place], answer, reviewer=who),
                console=terminal.on_standard_error() if as_json else None,
            )
            now = project.snapshot()
            found = intake.find_studies(now, stage)
        name = now.asked(stage or now.protocol.stages[-1].name).name
    if as_json:
        print_json(
            {
                "stage": name,
                "reports": found.reports,
                "studies": found.studies,
                "groups": found.groups,
                "proposed": found.proposed,
            }
        )
        return
    print(
        f"{plural(found.reports, 'report')} at the stage {name!r} {is_are(found.reports)} of "
        f"{plural(found.studies, 'study', 'studies')}."
    )
    for group in found.groups:
        how = "" if group.confirmed else "; nobody has confirmed it"
        print(f"  records {', '.join(map(str, group.record_ids))}: {printable('; '.join(group.why))}{how}")
    if found.proposed:
        print(f"{plural(len(found.proposed), 'more pair')} may be of one study, and count as two until you join them:")
        for pair in found.proposed[:10]:
            of_one, of_other = (" and ".join(map(str, some)) for some in (pair.record_ids, pair.other_ids))
            print(f"  records {of_one} with {of_other}: {printable(pair.why)}")
    if found.proposed or found.unconfirmed:
        print("Decide on each with --decide, or by --join and --split.")


def _record_ids(text: str) -> list[int]:
    """Read "3,7"."""
    ids = [part.strip() for part in text.split(",")]
    if len(ids) < 2 or not all(part.isascii() and part.isdigit() and 0 < int(part) < 2**31 for part in ids):
        raise typer.BadParameter(f"{printable(text)!r} is not a list of records such as 3,7", param_hint="--join")
    return [int(part) for part in ids]
