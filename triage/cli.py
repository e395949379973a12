"""The command line: parse, call one function, print. No arithmetic in here."""

from __future__ import annotations

import glob
import json
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import __version__, ending
from .errors import InputError
from .stopping_rules import RULES
from .wording import agree, is_are, plural, was_were

if TYPE_CHECKING:
    from .project import Project

app = typer.Typer(
    name="triage",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Rank, screen and stop: abstract triage for systematic reviews.\n\n"
    "A review is one file. The usual way:\n\n"
    "\b\n"
    "  triage new review.triage                    a review, and a protocol.toml to fill in\n"
    "  triage import review.triage pubmed.nbib scopus.ris\n"
    "  triage dedupe review.triage                 link duplicates; nothing is deleted\n"
    "  triage filter review.triage                 apply language, date and type limits\n"
    "  triage screen review.triage                 one record, one key; undo at any time\n"
    "  triage serve review.triage                  the same in the browser, alone or as a team\n"
    "  triage status review.triage                 found, left, and whether you can stop\n"
    "  triage report review.triage -o report.html  flow figure, estimates, methods text\n"
    "  triage export review.triage -o included.ris --only included\n\n"
    "See it all on a real review first: triage demo. Each command explains itself: triage screen --help.",
)

Review = Annotated[
    str,
    typer.Argument(
        metavar="REVIEW",
        show_default=False,
        help="The review's file, such as review.triage, or a team's address: "
        "postgresql://USER@HOST/DATABASE?review=NAME.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else there.")]
Reviewer = Annotated[str | None, typer.Option(metavar="NAME", help="Who decides; your user name when left out.")]
StageName = Annotated[
    str | None, typer.Option("--stage", metavar="NAME", help="A stage of the protocol; the first when left out.")
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="PRESET",
        help="The ranking: default, elas-u4, fast (no transformer), multilingual, "
        "heavy:FOLDER (on a GPU), or a model's folder; the protocol's "
        "when left out.",
    ),
]


class Device(StrEnum):
    """Where vectors are computed."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


DeviceOption = Annotated[Device, typer.Option(metavar="auto|cpu|cuda", help="Where vectors are computed.")]
_INTERRUPTED = "\nInterrupted; everything decided so far is kept."
_UsageError = typer.BadParameter.__base__  # of every wrong use of a command; typer gives it no name of its own


def main() -> None:
    """Run the command line: 0 done, 1 a check not met, 2 bad usage or bad input, 130 interrupted, 143 by SIGTERM."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a title may hold what the terminal cannot show
    ending.watch(_INTERRUPTED)
    try:
        code = run(_arguments(sys.argv[1:], windows=os.name == "nt"))
    except SystemExit as ended:  # by SIGTERM
        code = ended.code
    try:
        sys.stdout.flush()
    except OSError:
        # Nobody reads on (`triage log review.triage | head`), or it was told already. What is left in the
        # buffer goes nowhere, or Python would complain of it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    ending.leave(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; what went wrong is told on standard error."""
    try:
        with typer.main.get_command(app).make_context("triage", list(arguments)) as context:
            context.command.invoke(context)
        sys.stdout.flush()
        return 0
    except typer.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _say(_INTERRUPTED)
        return ending.INTERRUPTED
    except InputError as error:
        return _refuse(error.message, error.details)
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "triage"
        return _refuse(f"{error.format_message().rstrip('.')}; see `{command} --help`.")
    except BrokenPipeError:
        return 0
    except OSError as error:
        return _refuse(f"{error.filename or 'A file'} could not be read or written: {error.strerror or error}.")


def _arguments(arguments: Sequence[str], *, windows: bool) -> list[str]:
    """Name the files that a pattern such as *.ris means, where the shell does not."""
    if not windows:
        return list(arguments)
    return [name for argument in arguments for name in sorted(glob.glob(argument)) or [argument]]


def _refuse(message: str, details: Sequence[str] = ()) -> int:
    _say(f"triage: {_line(message)}")
    for detail in details:
        _say(f"  {_line(detail)}")
    return 2


def _line(text: str) -> str:
    """Return text of a file as one line without what would steer the terminal."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(c for c in line if c.isprintable())


def _short(title: str) -> str:
    line = _line(title) or "(no title)"
    return line if len(line) <= 90 else f"{line[:89]}…"


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def _print_json(facts: object) -> None:
    # In ASCII, so that it reads the same in whatever encoding standard output has.
    print(json.dumps(facts, allow_nan=False))


def _user(reviewer: str | None) -> str:
    import getpass

    if reviewer is not None and not reviewer.strip():
        raise typer.BadParameter("a name is needed", param_hint="--reviewer")
    try:
        return reviewer or getpass.getuser()
    except (OSError, KeyError) as error:  # a container without a user of this number
        raise InputError("Your user name is not known here; give --reviewer NAME.") from error


def _quoted(path: str) -> str:
    path = _shown(path)
    return f'"{path}"' if " " in path or "&" in path or "?" in path else path


def _shown(review: str) -> str:
    from .project import shown

    return shown(review)


def _open(review: str) -> Project:
    """Open a review, taking over its protocol file when that has changed."""
    from .project import Project

    project = Project.open(review)
    if project.refresh_protocol():
        _say("The protocol file has changed: its new version is in force from now on, and the old one is kept.")
    return project


def _warn_if_unranked(project: Project, stage: str | None = None) -> list[str]:
    """Say, before any work, that the protocol gives the ranking nothing to go by; return what was said."""
    from . import screening

    said = screening.nothing_to_rank_by(project.snapshot(), stage)
    if said:
        _say(_line(said))
    return [said] if said else []


def _version(wanted: bool) -> None:
    if wanted:
        print(f"triage {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        _say(context.get_help())
        raise typer.Exit(2)


# -- set-up and files -------------------------------------------------------------------------


@app.command()
def new(
    review: Review,
    protocol: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The review's protocol; when left out, the protocol.toml beside the review, "
            "which is written as a commented template where there is none.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a review: one file for records, decisions and rankings.

    A protocol.toml that lies beside the review already is used; where there is none, a commented one is
    written, and the review works with defaults. Fill in the question and the criteria at any time: the
    next command takes them over.
    """
    from . import intake

    file, is_template = intake.new(review, protocol)
    if as_json:
        _print_json({"review": _shown(review), "protocol": str(file)})
        return
    print(f"Made {_shown(review)}.")
    if is_template:
        print(f"Wrote {file}: fill in the question and the criteria; they rank the records before any label.")
    elif protocol is None:
        print(f"Its protocol is {file}, which was here already; --protocol FILE takes another one.")
    print(f"Next: triage import {_quoted(review)} EXPORT-FILES...")


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
            metavar="NAME", help="The database they came from, for the flow figure; the file's name when left out."
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(metavar="NAME", help="What the files are, such as ris or csv, should their content not tell it."),
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
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """Read exports into the review; no record is dropped.

    Every record that a file announces is kept, was there already (the same file again), or is named
    as a problem with its line. Nothing is removed: equal records wait for `triage dedupe`. When one
    file cannot be read, none is taken.
    """
    from . import intake, terminal

    with _open(review) as project:
        warnings = _warn_if_unranked(project)
        done = intake.import_files(
            project,
            files,
            reviewer=_user(reviewer),
            source=source,
            format=format,
            label_column=label_column,
            progress=terminal.progress_bar,
        )
        total = project.records.count()
    if as_json:
        _print_json({"files": [intake.as_json(file) for file in done], "records": total, "warnings": warnings})
        return
    for file in done:
        print(
            f"{file.file} ({file.format}, source {file.source}): {file.announced:,} announced = {file.kept:,} kept + "
            f"{file.already_there:,} already there + {plural(len(file.problems), 'problem')}"
            + (f"; {plural(file.decisions, 'decision')} taken" if file.decisions else "")
        )
        for problem in (*file.problems, *file.warnings):
            print(f"  line {problem.line}: {_line(problem.message)}")
    print(f"The review holds {plural(total, 'record')}. Next: triage dedupe {_quoted(review)}")


@app.command()
def dedupe(
    review: Review,
    decide: Annotated[
        bool, typer.Option("--decide", help="Ask about each pair that only looks like copies, side by side.")
    ] = False,
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """Link the records that are surely duplicates, and list those that may be.

    Nothing is deleted: the copies of a record are shown as one, with their gaps filled from each
    other, and each link is in the log. `triage undo REVIEW --event SEQ` takes one back.
    """
    from . import intake

    who = _user(reviewer)
    with _open(review) as project:
        done = intake.find_duplicates(project, reviewer=who)
        if decide and done.maybes:
            from . import dedupe as duplicates
            from . import terminal

            terminal.decide_maybes(
                [(maybe.why, duplicates.side_by_side(maybe.kept, maybe.copy)) for maybe in done.maybes],
                keep=lambda place, answer: intake.settle_maybe(project, done.maybes[place], answer, reviewer=who),
                console=terminal.on_standard_error() if as_json else None,
            )
            done = intake.after_answers(project, done, reviewer=who)
    if as_json:
        _print_json(
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
            print(f"  records {maybe.kept.id} and {maybe.copy.id}: {_line(maybe.why)} | {_short(maybe.kept.title)}")
        print("Decide on each with --decide; until then both are kept.")
    print(f"Next: triage filter {_quoted(review)}")


@app.command()
def filter(
    review: Review,
    decide: Annotated[
        bool, typer.Option("--decide", help="Ask about each record that only a detector speaks against.")
    ] = False,
    accept_proposals: Annotated[bool, typer.Option("--accept-proposals", help="Remove all of these records.")] = False,
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """Apply the protocol's limits: language, dates, publication types.

    Each removal is logged with its reason and can be undone. Where a record names no language, a
    detector only proposes: the record stays unless you decide otherwise.
    """
    from . import intake

    if decide and accept_proposals:
        raise typer.BadParameter("give one of them, not both", param_hint="--decide, --accept-proposals")
    who = _user(reviewer)
    with _open(review) as project:
        done = intake.apply_limits(project, reviewer=who, accept_proposals=accept_proposals)
        if decide and done.proposed:
            from . import terminal

            answers = terminal.decide_proposals(
                done.proposed,
                keep=lambda place, answer: intake.settle(project, done.proposed[place], answer, reviewer=who),
                console=terminal.on_standard_error() if as_json else None,
            )
            done = intake.accept(done, answers)
    if as_json:
        _print_json(
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
            print(f"  record {record.id}: {_line(proposal.reason)} | {_short(record.title)}")
        print("Decide on each with --decide, or remove all with --accept-proposals.")
    print(f"Next: triage screen {_quoted(review)}")


# -- ranking and screening --------------------------------------------------------------------


@app.command()
def rank(
    review: Review,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Records to list.")] = 10,
    model: Model = None,
    stage: StageName = None,
    explain: Annotated[
        int | None,
        typer.Option(
            metavar="ID", help="Show the words, criteria and judged records that speak for and against this one."
        ),
    ] = None,
    device: DeviceOption = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """List the unscreened records that are most likely relevant.

    Before any decision the protocol's criteria rank them; from the first include and exclude on, what
    was learned from the decisions does. A ranking older than the newest decision is made anew first.
    """
    from . import screening, terminal

    with _open(review) as project:
        warnings = _warn_if_unranked(project, stage)
        if explain is not None:
            facts = screening.explain(
                project, explain, stage_name=stage, preset=model, device=device, progress=terminal.progress_bar
            )
        else:
            facts = screening.rank(
                project, top=top, stage_name=stage, preset=model, device=device, progress=terminal.progress_bar
            )
    if as_json:
        _print_json(facts | {"warnings": warnings})
    elif explain is not None:
        _print_explanation(facts)
    else:
        for record in facts["records"]:
            print(f"{record['rank']:5}  {record['score']:+7.3f}  {record['record_id']:6}  {_short(record['title'])}")
        if facts["basis"] == "order" and not warnings:
            _say(
                f"The model {facts['model']['name']} does not read the criteria, so this is the order of import until "
                "there are an include and an exclude to learn from."
            )
        if facts["basis"] == "criteria" and facts["criteria"]["poor"]:
            words = facts["criteria"]["words"]
            _say(
                f"Only {plural(words, 'different word')} of criteria {agree(words, 'ranks', 'rank')} these records, hardly "
                "more than a title: say in the protocol file whom, what, compared with what, and which studies you include. "
                "What they match now:"
            )
            for match in facts["criteria"]["matches"]:
                unknown = (
                    f"; hardly a record says {', '.join(map(_line, match['unknown']))}" if match["unknown"] else ""
                )
                _say(
                    f"  {_short(match['text'])}: nearest is record {match['record_id']}, "
                    f"{_short(match['title'])}{unknown}"
                )


def _print_explanation(facts: dict) -> None:
    print(_short(facts["title"]))
    if facts["score"] is None:
        print("  Nothing ranks this record yet: neither criteria that the model reads nor an include and an exclude.")
        return
    print(f"  score {facts['score']:+.4f}, the sum of")
    for name, adds in facts["parts"].items():
        print(f"    {adds:+.4f}  {name}")
    if facts["criteria"]:
        print("  its nearness to the criteria, and the records that are less near")
    for one in facts["criteria"]:
        print(f"    {one['nearness']:.3f}  {one['less_near']:4.0%}  {one['kind']}: {_short(one['text'])}")
    for title, ours in (("for", lambda adds: adds > 0), ("against", lambda adds: adds < 0)):
        terms = [term for term in facts["terms"] if ours(term["weight"])]
        known = [record for record in facts["known"] if ours(record["weight"])]
        if terms or known:
            print(f"  {title}")
        for term in terms:
            print(f"    {term['weight']:+.4f}  {_line(term['term'])}")
        for record in known:
            verdict = "relevant" if record["relevant"] else "not relevant"
            print(f"    {record['weight']:+.4f}  record {record['record_id']} ({verdict}): {_short(record['title'])}")
    if not facts["known"]:
        print("  No label speaks yet: this record is ranked by the criteria alone.")


@app.command()
def screen(
    review: Review,
    reviewer: Reviewer = None,
    stage: StageName = None,
    model: Model = None,
    device: DeviceOption = Device.AUTO,
    second_look: Annotated[
        bool,
        typer.Option(
            "--second-look",
            help="Judge excluded records of a random sample that others excluded, in place of new ones.",
        ),
    ] = False,
) -> None:
    """Screen in the terminal: one record, one key.

    i includes, e excludes with a reason, m is maybe, u undoes, ? shows every key. The best records
    come first, and each decision is safe on the disk before the next record is shown; once nothing
    turns up any more, some come at random among them: these are what certifies the recall.

    --second-look puts excluded records before you that were drawn at random and that another reviewer excluded,
    without what was said of them: `triage status` then tells how often a relevant record is excluded by mistake.
    """
    from . import screening, status as facts, terminal

    who = _user(reviewer)
    if second_look and model is not None:
        raise typer.BadParameter("it goes not with --second-look, which ranks nothing", param_hint="--model")
    with _open(review) as project:
        if second_look:
            opened = screening.open_second_look(
                project, facts.second_look(project.snapshot(), who, stage), stage_name=stage, reviewer=who
            )
        else:
            _warn_if_unranked(project, stage)
            opened = screening.open_session(
                project, stage_name=stage, reviewer=who, preset=model, device=device, progress=terminal.progress_bar
            )
        with opened as (session, records):
            at_start = project.snapshot()
            protocol, stage_now = at_start.protocol, at_start.asked(stage)
            weights = facts.logged_parameters(at_start.events, stage_now.name)
            if not session.pool.n_shown:  # what a stop will cost is told before the first decision
                print("\n".join(facts.price_in_words(session.pool.n, protocol.stopping.confidence)))
            summary = terminal.run(
                session,
                records,
                reasons=[(c.code, c.text) for c in stage_now.reasons],
                criteria=([c.text for c in protocol.include], [c.text for c in protocol.exclude]),
                state=(
                    lambda: (
                        f"Second look at excluded records drawn at random: {len(session.pool.outstanding()):,} left."
                    )
                )
                if second_look
                else facts.StateOf(
                    session, lambda history: facts.recall_for(project.snapshot(), stage_now.name, who, history, weights)
                ),
                tags=protocol.tags,
                nothing_left="No record awaits your second look any more." if second_look else terminal.NOTHING_LEFT,
            )
    print(f"{plural(summary.decided, 'decision')} this time, {summary.included:,} of them include or maybe.")
    print(f"Next: triage status {_quoted(review)}")


@app.command()
def serve(
    review: Review,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Where to listen; on any address but this machine's own everybody has to log in."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="N", help="The port.")] = 8765,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False, help="A certificate in PEM, for TLS.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", show_default=False, help="The certificate's key.")] = None,
    public: Annotated[
        str,
        typer.Option(
            metavar="URL",
            show_default=False,
            help="The address under which a proxy offers the pages, or under which --host 0.0.0.0 is reached.",
        ),
    ] = "",
    reviewer: Reviewer = None,
    model: Model = None,
    device: DeviceOption = Device.AUTO,
) -> None:
    """Screen in the browser: the same session as in the terminal, with the same keys.

    Alone, on this machine, nobody logs in. With --host or --public a team works on one review: the owner's
    invitation is printed, and the owner invites the others.
    """
    from . import web

    with _open(review) as project:
        _warn_if_unranked(project)
        web.serve(
            project,
            reviewer=_user(reviewer),
            host=host,
            port=port,
            certificate=certificate,
            key=key,
            public=public,
            preset=model,
            device=device,
            say=_say,
        )


@app.command()
def label(
    review: Review,
    decisions: Annotated[
        Path,
        typer.Argument(
            metavar="DECISIONS.csv",
            show_default=False,
            help="CSV, TSV or Excel with the columns record_id and label, and if you like reason, note and tags.",
        ),
    ],
    reviewer: Reviewer = None,
    stage: StageName = None,
    as_json: AsJson = False,
) -> None:
    """Take decisions made elsewhere, such as in a spreadsheet.

    The table has a row for each record: its record_id as `triage export` wrote it, and under label
    (or decision, or include) what was decided: include, exclude or maybe; included, excluded, yes, no,
    y, n, true, false, 1, 0, unsure and ? will do, in any case, and x for include. A row whose label is
    blank is not decided, never excluded, even where the others have an x: it is counted and left as it is.

    The whole file is checked first, and everything wrong in it is told at once; then it is written in one
    go. A decision that is in force already is not written again. A column tags ("review; qualitative")
    replaces the tags that you gave these records at this stage.
    """
    from . import intake

    with _open(review) as project:
        counts = intake.label(project, decisions, reviewer=_user(reviewer), stage_name=stage)
    for what, whose, unlisted in (
        ("reason", "the stage's codes", counts["unlisted_reasons"]),
        ("tag", "the protocol's", counts["unlisted_tags"]),
    ):
        if unlisted:
            named = ", ".join(f"{text!r} ({count:,})" for text, count in list(unlisted.items())[:5])
            n = sum(unlisted.values())
            _say(
                f"{plural(n, what)} {is_are(n)} none of {whose} and {was_were(n)} kept as written: "
                f"{_line(named)}" + (", ..." if len(unlisted) > 5 else "") + "."
            )
    for warning in counts["warnings"]:
        _say(_line(warning))
    if as_json:
        _print_json(counts)
    else:
        print(
            f"{plural(counts['decisions'], 'decision')} written ({counts['unchanged']:,} "
            f"{was_were(counts['unchanged'])} there already): "
            f"{counts['include']:,} include, {counts['maybe']:,} maybe, {counts['exclude']:,} exclude in the file."
        )
        if counts["blank"]:
            print(
                f"{plural(counts['blank'], 'row')} {agree(counts['blank'], 'has', 'have')} no label: nothing was decided on "
                f"{agree(counts['blank'], 'its record', 'their records')}."
            )
        if any(counts["tags"].values()):
            print(f"{plural(counts['tags']['given'], 'tag')} given, {counts['tags']['taken_back']:,} taken back.")


@app.command()
def undo(
    review: Review,
    reviewer: Reviewer = None,
    event: Annotated[
        int | None,
        typer.Option(
            metavar="SEQ",
            help="Take back this event of `triage log` instead: a "
            "decision, a tag, a duplicate link, a removal "
            "or an answer.",
        ),
    ] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="Take back the last batch handed out to the reviewer instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take the reviewer's last decision back, or a batch that was handed out.

    The log keeps both, and the label that the record had before is in force again; without one before,
    its tags go too. Called again, it takes back the decision before that.

    --batch takes back the last batch of `triage export --only next`: what the reviewer has decided on since stays
    decided, and the other records return to the pool. Its random draws are the next to be shown, to whoever comes
    next, so that taking back a batch is no way to choose among them.
    """
    from . import intake

    if batch and event is not None:
        raise typer.BadParameter("it goes not with --event", param_hint="--batch")
    with _open(review) as project:
        if batch:
            undone = intake.take_back(project, reviewer=_user(reviewer))
        else:
            undone = intake.undo(project, reviewer=_user(reviewer), seq=event)
    if as_json:
        _print_json(undone)
    elif batch:
        print(
            f"Took back {len(undone['record_ids'])} of the {plural(undone['handed_out'], 'record')} handed out to "
            f"{_line(undone['reviewer'])} as {_line(undone['file'])}."
        )
    else:
        what = f"{undone['kind']} {undone['label'] or (undone['reason'] if undone['kind'] == 'tag' else '')}".strip()
        print(f"Took back event {undone['undone']}: {_line(what)} on record {undone['record_id']}.")


# -- where the review stands ------------------------------------------------------------------


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
    """
    from . import status as facts

    if require not in (None, "certified"):
        raise typer.BadParameter("only certified can be required", param_hint="--require")
    with _open(review) as project:
        found = facts.status(project.snapshot(), stage, target=target, confidence=confidence)
    if as_json:
        _print_json(found)
    else:
        print(facts.in_words(found))
    if require and not found["certificate"]["certified"]:
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
            help="report.html; flow.svg, flow.png or flow.pdf for the flow figure alone; "
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

    In the report: the PRISMA flow figure with counts by source and reason, the curve of relevant records
    found, the estimates with their promises, and a methods paragraph to paste. FILE's ending decides.
    """
    from . import report as reports, status as facts

    hidden = [part.strip() for part in hide.split(",") if part.strip()]
    with _open(review) as project:
        now = project.snapshot()
        reports.write_report(now, output, facts.status(now, stage), hide=hidden)
    if as_json:
        _print_json({"file": str(output)})
    else:
        print(f"Wrote {output}.")


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
            "another reviewer; every record of the stage when left out.",
        ),
    ] = "",
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Records of the next batch.")] = 50,
    stage: StageName = None,
    reviewer: Reviewer = None,
    model: Model = None,
    device: DeviceOption = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """Write records with every imported field, and the decisions.

    `--only next --top 50` hands out the next batch to screen elsewhere: fill in the column label of
    the CSV, and `triage label` takes it. A record that is handed out is not handed out again before
    all others are; `triage undo --batch` takes the batch back. Where two are to judge each record, each is given
    a batch of their own by --reviewer, and labels it by the same name.

    `--only second-look --reviewer NAME` writes the excluded records of a random sample that await another
    reviewer's judgement, without anybody's decisions: labelled by that name they tell `triage status` how
    many relevant records the first reviewers exclude.
    """
    from . import formats, intake, screening, status as facts, terminal

    wanted = [part.strip() for part in only.split(",") if part.strip()]
    for part in wanted:
        if part not in intake.EXPORTABLE:
            raise typer.BadParameter(f"{part!r} is none of {', '.join(intake.EXPORTABLE)}", param_hint="--only")
    for part in ("next", "second-look"):
        if part in wanted and len(wanted) > 1:
            raise typer.BadParameter(f"{part} goes with no other", param_hint="--only")
    with _open(review) as project:
        formats.check_writable(output)
        if wanted == ["next"]:
            _warn_if_unranked(project, stage)
            who = _user(reviewer)
            count = len(
                screening.hand_out(
                    project,
                    top,
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
            who = _user(reviewer)
            ids = facts.second_look(project.snapshot(), who, stage)
            count = intake.export(project.snapshot(), output, stage_name=stage, record_ids=ids, reviewer=who)
        else:
            count = intake.export(project.snapshot(), output, only=wanted, stage_name=stage)
    if as_json:
        _print_json({"file": str(output), "records": count})
    else:
        print(f"Wrote {plural(count, 'record')} to {output}.")


@app.command()
def attach(
    review: Review,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", show_default=False, help="PDFs, and folders of them.")
    ] = None,
    record: Annotated[
        int | None,
        typer.Option(metavar="ID", help="The record that all of them are of; each file's name tells when left out."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="They take the place of the PDFs that their records have.")
    ] = False,
    stage: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The stage whose records without a PDF are listed; the last when left out."),
    ] = None,
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """Attach PDFs to their records, and list the records that have none.

    A file's name says which record it is of: our number (12.pdf), its DOI with "/" written as it can be
    (10.1000_abc.pdf) or the part after it, pmid 123.pdf, its title, alone or as reference managers write it
    (Smith - 2001 - Title.pdf), or a name that the record itself gives. What is told by no name, or by two
    records' names, is listed and not attached. The PDFs are kept in the review, and shown beside the record in
    the browser. `triage undo REVIEW --event SEQ` takes one off.
    """
    from . import fulltext, terminal

    if not files and (record is not None or replace):
        raise typer.BadParameter("name the PDFs, too", param_hint="FILE")
    with _open(review) as project:
        now = project.snapshot()
        fulltext.stage_of_full_texts(now, stage)
        done = (
            fulltext.attach_files(
                project,
                files or [],
                reviewer=_user(reviewer),
                record_id=record,
                replace_all=replace,
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
        _print_json(
            {
                "attached": [{"file": one.file, "record_id": one.record_id, "event": one.event} for one in attached],
                "already_there": [{"file": one.file, "record_id": one.record_id, "event": one.event} for one in there],
                "not_attached": [{"file": one.file, "message": one.message} for one in left],
                "stage": asked.name,
                "records": len(asked.record_ids),
                "without": missing,
            }
        )
        return
    for one in attached:
        print(f"{_line(one.file)}: record {one.record_id}, event {one.event}")
    for one in left:
        print(f"{_line(one.file)}: not attached: {_line(one.message)}")
    if done:
        print(f"{len(attached):,} attached, {len(there):,} there already, {len(left):,} not attached.")
    records = len(asked.record_ids)
    has = records - len(missing)
    print(f"Stage {asked.name}: {has:,} of {plural(records, 'record')} {agree(has, 'has', 'have')} a PDF.")
    for record_id, title in titles.items():
        print(f"  none yet: record {record_id}: {_short(title)}")
    if len(missing) > len(titles):
        print(f"  and {len(missing) - len(titles):,} more; --json lists all.")


@app.command()
def log(review: Review, as_json: AsJson = False) -> None:
    """Print the log: every event in its order, for audit.

    Tab-separated, or with --json as one object. Events are only ever added: shown, decision, settled
    (a conflict, a person told), tag, attached (a PDF), duplicate, apart (no copy, a person told), removal, stays (no
    removal, a person told), plan (the order of the random draws, fixed beforehand) and undo.
    """
    from . import intake

    with _open(review) as project:
        events = project.log.events()
    if as_json:
        # Piece by piece: a long log as one text would be many times its size.
        print('{"events": [', end="")
        for place, e in enumerate(events):
            print(", " if place else "", json.dumps(intake.event_as_json(e), allow_nan=False), sep="", end="")
        print("]}")
    else:
        print("\t".join(intake.LOG_COLUMNS))
        for e in events:
            print("\t".join("" if v is None else _line(str(v)) for v in intake.event_as_json(e).values()))


# -- a team -----------------------------------------------------------------------------------


@app.command()
def conflicts(
    review: Review,
    stage: StageName = None,
    settle: Annotated[
        int | None, typer.Option(metavar="ID", help="Settle what is in conflict on this record, with --label.")
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="LABEL", help="include, exclude or maybe.")] = None,
    reason: Annotated[str, typer.Option(metavar="CODE", help="The reason of an exclusion.")] = "",
    note: Annotated[str, typer.Option(metavar="TEXT", help="Kept with the settlement.")] = "",
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """List the records whose reviewers disagree, or settle one.

    A settlement holds whatever the reviewers say later; `triage undo REVIEW --event SEQ` takes it back.
    Where the review has people, an adjudicator or an owner settles.
    """
    from . import team

    if (settle is None) != (label is None):
        raise typer.BadParameter("give both, a record and its label", param_hint="--settle, --label")
    with _open(review) as project:
        if settle is not None:
            event = team.settle(
                project,
                settle,
                label.strip().lower(),
                reviewer=_user(reviewer),
                stage_name=stage,
                reason=reason,
                note=note,
            )
            if not as_json:
                print(f"Settled record {event.record_id}: {event.label}, by event {event.seq}.")
                return
        found = team.conflicts(project.snapshot(), stage)
    if as_json:
        _print_json(found)
        return
    print(
        f"Stage {found['stage']}: {plural(len(found['conflicts']), 'record')} in conflict, "
        f"{len(found['settled']):,} settled."
    )
    for record in found["conflicts"]:
        print(f"record {record['record_id']}: {_short(record['title'])}")
        for one in record["decisions"]:
            why = " | ".join(_line(text) for text in (one["reason"], one["note"]) if text)
            print(f"  {_line(one['reviewer'])}: {one['label']}" + (f" | {why}" if why else ""))


@app.command()
def agreement(
    review: Review,
    stage: StageName = None,
    confidence: Annotated[float, typer.Option(metavar="SHARE", help="Confidence of the intervals.")] = 0.95,
    as_json: AsJson = False,
) -> None:
    """Say how well the reviewers agree, beyond chance.

    Cohen's kappa of each pair, and Fleiss' kappa, Gwet's AC1 and Krippendorff's alpha of all, with
    intervals; the calibration round, if the protocol has one, apart. Kappa falls where few records are
    relevant, however well reviewers agree; AC1 does not.
    """
    from . import team

    with _open(review) as project:
        found = team.agreement(project.snapshot(), stage, confidence=confidence)
    if as_json:
        _print_json(found)
    else:
        print(team.agreement_in_words(found))


@app.command()
def people(
    review: Review,
    role: Annotated[
        str | None,
        typer.Option(metavar="NAME=ROLE", help="Give somebody another role: reviewer, adjudicator or owner."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List who may come in over the network, and which invitations are open.

    A review of one person on one machine has nobody in the list and needs none.
    """
    with _open(review) as project:
        if role is not None:
            name, _, wanted = role.rpartition("=")
            project.people.set_role(name.strip(), wanted.strip().lower())
        found, invited = project.people.all(), [i for i in project.people.invitations() if i.open]
    if as_json:
        _print_json(
            {
                "people": [
                    {
                        "name": p.name,
                        "role": str(p.role),
                        "created_at": p.created_at.isoformat(),
                        "has_password": p.password_hash is not None,
                    }
                    for p in found
                ],
                "invitations": [
                    {"name": i.name, "role": str(i.role), "expires_at": i.expires_at.isoformat()} for i in invited
                ],
            }
        )
        return
    for person in found:
        print(f"{_line(person.name)}: {person.role}")
    for invitation in invited:
        until = f"{invitation.expires_at:%Y-%m-%d %H:%M} UTC"
        print(f"{_line(invitation.name)}: invited as {invitation.role}, until {until}")
    if not found and not invited:
        print(f"Nobody yet. Next: triage invite {_quoted(review)} NAME --role owner")


@app.command()
def invite(
    review: Review,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The person's name, which the log tells with each decision.")
    ],
    role: Annotated[
        str,
        typer.Option(
            metavar="ROLE",
            help="reviewer: decides, blind to the others; adjudicator: settles conflicts, too; owner: may all.",
        ),
    ] = "reviewer",
    days: Annotated[int, typer.Option(min=1, max=90, metavar="N", help="Days until it expires.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Invite a person: prints the token that lets them in once, to choose a password.

    The token is told this once. With `triage serve` running, the link is its address, /join/ and the token.
    """
    from datetime import UTC, datetime, timedelta

    with _open(review) as project:
        expires_at = datetime.now(UTC) + timedelta(days=days)
        token = project.people.invite(name, role.strip().lower(), expires_at)
    if as_json:
        _print_json({"name": name.strip(), "role": role, "token": token, "expires_at": expires_at.isoformat()})
        return
    print(f"Invited {_line(name)} as {role}, until {expires_at:%Y-%m-%d %H:%M} UTC. The link, told this once:")
    print(f"/join/{token}")


@app.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", show_default=False, help="A review's file or address.")],
    target: Annotated[str, typer.Argument(metavar="TO", show_default=False, help="Where there is no review yet.")],
    as_json: AsJson = False,
) -> None:
    """Copy a review between a file and a server, either way, without loss.

    Records, log, protocols, rankings and people, with their numbers and times; whole or not at all. The review
    at FROM stays as it is: agree on which of the two goes on.
    """
    from .project import copy as copy_review

    counts = copy_review(source, target)
    if as_json:
        _print_json({"from": _shown(source), "to": _shown(target), "rows": counts})
        return
    print(
        f"Copied {_shown(source)} to {_shown(target)}: {plural(counts['records'], 'record')}, "
        f"{plural(counts['events'], 'event')}, {plural(counts['people'], 'person', 'people')}."
    )


# -- simulation and demo ----------------------------------------------------------------------


@app.command()
def simulate(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, Excel or Parquet with title, abstract and a column of labels.")
    ],
    label_column: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The column of known labels: include, exclude and maybe (which counts as relevant), or 1 and 0.",
        ),
    ],
    criteria: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The review's criteria: a text, or a protocol.toml.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="ORDER",
            help="criteria, file or random: the order until both "
            "labels are known; criteria where they are given, else file.",
        ),
    ] = None,
    prior_rows: Annotated[str | None, typer.Option(metavar="3,17", help="Rows known from the start, from 0.")] = None,
    priors: Annotated[str | None, typer.Option(metavar="R,I", help="Draw R relevant and I irrelevant rows.")] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, metavar="S", help="The first seed: it fixes the priors, a random start and the audit draws."
        ),
    ] = 0,
    seeds: Annotated[int, typer.Option(min=1, metavar="K", help="Run the seeds S to S+K-1.")] = 1,
    model: Annotated[
        str,
        typer.Option(metavar="PRESET", help="default, elas-u4, fast, multilingual, heavy:FOLDER, or a model's folder."),
    ] = "default",
    batch: Annotated[
        str, typer.Option(metavar="1|auto", help="Labels between trainings; auto: 5 % of what is labelled.")
    ] = "auto",
    stop: Annotated[str, typer.Option(metavar="RULE", help=f"none, {', '.join(RULES)}.")] = "none",
    target: Annotated[float, typer.Option(metavar="SHARE", help="Recall that the stopping rule is to reach.")] = 0.95,
    confidence: Annotated[float, typer.Option(metavar="SHARE", help="Confidence of the stopping rule.")] = 0.95,
    device: DeviceOption = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """Replay a labelled review and measure the work.

    Each row of FILE is a record with its known label, which is looked up only when the record's turn
    comes. Use it to compare presets and stopping rules on a review that you have finished. Without a
    stopping rule training ends with the last relevant record, past which nothing is measured; the rest
    follows in the order of the last ranking.
    """
    from . import simulation, terminal

    facts = simulation.simulate(
        file,
        label_column,
        criteria=criteria,
        start=start,
        prior_rows=prior_rows,
        priors=priors,
        seed=seed,
        seeds=seeds,
        preset=model,
        batch=batch,
        stop=stop,
        target=target,
        confidence=confidence,
        device=device,
        progress=terminal.progress_bar,
    )
    if as_json:
        _print_json(facts)
    else:
        print(simulation.in_words(facts))


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the demo's review goes.")] = Path("demo-review"),
    device: DeviceOption = Device.AUTO,
) -> None:
    """Go the whole way on a bundled real review.

    Three exports are imported, deduplicated, filtered, ranked, screened (answered from the review's
    known labels), certified, reported and exported, in some minutes. DIR must not exist, or be a
    folder that an earlier demo made, which is replaced.
    """
    from . import demo as demonstration, terminal

    demonstration.run(folder, device=device, progress=terminal.progress_bar, say=print)
