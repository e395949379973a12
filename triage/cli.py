"""The command line: parse, call one function, print. No arithmetic in here."""

from __future__ import annotations

import json
import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from . import __version__
from .errors import InputError

if TYPE_CHECKING:
    from .project import Project

app = typer.Typer(
    name="triage", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Rank, screen and stop: abstract triage for systematic reviews.\n\n"
         "A review is one file. The usual way: new, import, dedupe, filter, screen, status, report, export. "
         "Every command prints its own help with --help; --json prints the same facts for a script.",
)

Review = Annotated[Path, typer.Argument(metavar="REVIEW", help="The review's file, such as review.triage.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")]
Reviewer = Annotated[str | None, typer.Option(help="Who decides; your user name when left out.")]
StageName = Annotated[str | None, typer.Option("--stage", help="A stage of the protocol; the first when left out.")]
Model = Annotated[
    str | None, typer.Option(metavar="PRESET", help="default, elas-u4, fast, or a folder of a sentence-transformers "
                                                    "model; the protocol's when left out.")
]


class Device(StrEnum):
    """Where vectors are computed."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


DeviceOption = Annotated[Device, typer.Option(help="Where vectors are computed.")]


def main() -> None:
    """Run the command line: 0 done, 1 a check not met, 2 bad usage or bad input, 130 interrupted."""
    signal.signal(signal.SIGINT, _interrupted)
    try:
        app()
    except InputError as error:
        _fail(str(error))
    except BrokenPipeError:  # `triage log review.triage | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _fail(f"{error.filename or 'A file'} could not be read or written: {error.strerror or error}.")


def _interrupted(*_: object) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not cut the closing short
    print("\nInterrupted; everything decided so far is kept.", file=sys.stderr)
    sys.exit(130)


def _fail(message: str) -> NoReturn:
    print(f"triage: {message}", file=sys.stderr)
    sys.exit(2)


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def _print_json(facts: object) -> None:
    print(json.dumps(facts, ensure_ascii=False, allow_nan=False))


def _user(reviewer: str | None) -> str:
    import getpass

    return reviewer or getpass.getuser()


def _open(review: Path) -> Project:
    """Open a review, taking over its protocol file when that has changed."""
    from .project import Project

    project = Project.open(review)
    if project.refresh_protocol():
        _say("The protocol file has changed: its new version is in force from now on, and the old one is kept.")
    return project


def _version(wanted: bool) -> None:
    if wanted:
        print(f"triage {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True,
                                          help="Print the version and exit.")] = False,
) -> None:
    pass


# -- set-up and files -------------------------------------------------------------------------


@app.command()
def new(
    review: Review,
    protocol: Annotated[Path | None, typer.Option(help="The protocol; a template is written beside REVIEW when "
                                                       "left out.")] = None,
) -> None:
    """Make a review.

    Without --protocol the review works with defaults, and a commented protocol.toml is written
    beside it: fill it in at any time, the next command takes it over.
    """
    from . import intake

    written = intake.new(review, protocol)
    print(f"Made {review}.")
    if written is not None:
        print(f"Wrote {written}: fill in the question and the criteria; they rank the records before any label.")
    print(f"Next: triage import {review} EXPORT-FILES...")


@app.command("import")
def import_(
    review: Review,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Exports: RIS, PubMed nbib, CSV, TSV, "
                                                                        "Excel, Parquet.")],
    source: Annotated[str | None, typer.Option(metavar="NAME", help="The database they came from; the file's "
                                                                    "name when left out.")] = None,
    format: Annotated[str, typer.Option(help="ris, nbib, csv, tsv, xlsx, xls, parquet; found by content when "
                                             "left out.")] = "auto",
    label_column: Annotated[str | None, typer.Option(metavar="NAME", help="A table's column that holds "
                                                                          "decisions already made.")] = None,
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """Read exports into the review; nothing is removed, each file is taken whole or not at all."""
    from . import intake

    with _open(review) as project:
        done = intake.import_files(project, files, reviewer=_user(reviewer), source=source, format=format,
                                   label_column=label_column)
        total = project.n_records()
    if as_json:
        _print_json({"files": [intake.as_json(file) for file in done], "records": total})
        return
    for file in done:
        print(f"{file.file} ({file.format}, source {file.source}): {file.announced} announced = {file.kept} kept + "
              f"{file.already_there} already there + {len(file.problems)} problems"
              + (f"; {file.labels} decisions" if file.labels else ""))
        for problem in (*file.problems, *file.warnings):
            print(f"  line {problem.line}: {problem.message}")
    print(f"The review holds {total} records. Next: triage dedupe {review}")


@app.command()
def dedupe(review: Review, reviewer: Reviewer = None, as_json: AsJson = False) -> None:
    """Link sure duplicates; nothing is deleted, and `triage undo --event` takes a link back."""
    from . import intake

    with _open(review) as project:
        done = intake.find_duplicates(project, reviewer=_user(reviewer))
    if as_json:
        _print_json({"records": done.records, "linked": done.linked, "duplicates": done.duplicates,
                     "left": done.records - done.duplicates, "reasons": done.reasons})
        return
    print(f"{done.linked} new duplicates linked, {done.duplicates} in all; "
          f"{done.records - done.duplicates} of {done.records} records are left.")
    for why, count in done.reasons.items():
        print(f"  {count:6}  {why}")
    print(f"Next: triage filter {review}")


@app.command()
def filter(
    review: Review,
    decide: Annotated[bool, typer.Option("--decide", help="Ask about each record that only a detector speaks "
                                                          "against.")] = False,
    accept_proposals: Annotated[bool, typer.Option("--accept-proposals", help="Remove all of them.")] = False,
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """Apply the protocol's language, date and type limits; each removal is logged with its reason."""
    from . import intake

    if decide and accept_proposals:
        raise typer.BadParameter("give either --decide or --accept-proposals.")
    who = _user(reviewer)
    with _open(review) as project:
        done = intake.apply_limits(project, reviewer=who, accept_proposals=accept_proposals)
        if decide and done.proposed:
            from . import terminal

            answers = terminal.decide_proposals(done.proposed)
            done = intake.accept(project, done, answers, reviewer=who)
    if as_json:
        _print_json({
            "checked": done.checked, "removed": done.removed, "left": done.left,
            "proposed": [{"record_id": r.id, "title": r.title, "kind": p.kind, "reason": p.reason}
                         for r, p in done.proposed],
        })
        return
    removed = ", ".join(f"{count} by {kind}" for kind, count in done.removed.items()) or "none"
    print(f"{done.checked} records checked, removed: {removed}; {done.left} left.")
    if done.proposed:
        print(f"{len(done.proposed)} more look ineligible to a detector only:")
        for record, proposal in done.proposed[:10]:
            print(f"  record {record.id}: {proposal.reason} | {record.title[:70]}")
        print("Decide on each with --decide, or remove all with --accept-proposals.")
    print(f"Next: triage screen {review}")


# -- ranking and screening --------------------------------------------------------------------


@app.command()
def rank(
    review: Review,
    top: Annotated[int, typer.Option(min=1, help="Records to list.")] = 10,
    model: Model = None,
    stage: StageName = None,
    explain: Annotated[int | None, typer.Option(metavar="ID", help="Show the terms that speak for and against a "
                                                                   "record.")] = None,
    device: DeviceOption = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """Rank the unscreened records by the criteria and by what was learned from the decisions."""
    from . import screening, terminal

    with _open(review) as project:
        if explain is not None:
            facts = screening.explain(project, explain, stage_name=stage, preset=model, device=device,
                                      progress=terminal.progress_bar)
        else:
            facts = screening.rank(project, top=top, stage_name=stage, preset=model, device=device,
                                   progress=terminal.progress_bar)
    if as_json:
        _print_json(facts)
    elif explain is not None:
        print(facts["title"])
        for term in facts["terms"]:
            print(f"  {term['weight']:+.4f}  {term['term']}")
        if not facts["terms"]:
            print("  No label speaks yet: this record is ranked by the criteria alone.")
    else:
        for record in facts["records"]:
            print(f"{record['rank']:5}  {record['score']:+7.3f}  {record['record_id']:6}  {record['title'][:90]}")
        if facts["basis"] == "order":
            _say("Nothing to rank by: the protocol has no criteria and there are no labels, so this is the order of "
                 "import. Fill in the criteria in the protocol file.")


@app.command()
def screen(
    review: Review, reviewer: Reviewer = None, stage: StageName = None, model: Model = None,
    device: DeviceOption = Device.AUTO,
) -> None:
    """Screen in the terminal: one record, one key, undo, reasons, notes. Press ? there for the keys."""
    from . import screening, status as facts, terminal

    who = _user(reviewer)
    with _open(review) as project:
        with screening.open_session(project, stage_name=stage, reviewer=who, preset=model, device=device,
                                    progress=terminal.progress_bar) as (session, records):
            protocol = project.protocol()
            stage_now = next(s for s in protocol.stages if s.name == (stage or protocol.stages[0].name))
            summary = terminal.run(
                session, records,
                reasons=[(c.code, c.text) for c in stage_now.reasons],
                criteria=([c.text for c in protocol.include], [c.text for c in protocol.exclude]),
                state=lambda: facts.one_line(session.pool.history(), protocol),
            )
    print(f"{summary.decided} decisions this time, {summary.included} of them include or maybe.")
    print(f"Next: triage status {review}")


@app.command()
def label(
    review: Review,
    decisions: Annotated[Path, typer.Argument(metavar="DECISIONS.csv", help="Columns record_id and label (include, "
                                                                            "exclude, maybe, 1, 0), and reason, "
                                                                            "note.")],
    reviewer: Reviewer = None, stage: StageName = None, as_json: AsJson = False,
) -> None:
    """Take decisions made elsewhere; the whole file is checked first and written in one go."""
    from . import intake

    with _open(review) as project:
        counts = intake.label(project, decisions, reviewer=_user(reviewer), stage_name=stage)
    if as_json:
        _print_json(counts)
    else:
        print(f"{counts['decisions']} decisions written ({counts['unchanged']} were there already): "
              f"{counts['include']} include, {counts['maybe']} maybe, {counts['exclude']} exclude in the file.")


@app.command()
def undo(
    review: Review, reviewer: Reviewer = None,
    event: Annotated[int | None, typer.Option(metavar="SEQ", help="Take back this event of the log (a decision, a "
                                                                  "duplicate link, a removal).")] = None,
    as_json: AsJson = False,
) -> None:
    """Take the reviewer's last decision back; the log keeps both."""
    from . import intake

    with _open(review) as project:
        undone = intake.undo(project, reviewer=_user(reviewer), seq=event)
    if as_json:
        _print_json(undone)
    else:
        print(f"Took back event {undone['undone']}: {undone['kind']} on record {undone['record_id']}.")


# -- where the review stands ------------------------------------------------------------------


@app.command()
def status(
    review: Review, stage: StageName = None,
    target: Annotated[float | None, typer.Option(help="Recall to reach; the protocol's, else 0.95.")] = None,
    confidence: Annotated[float | None, typer.Option(help="Of every bound; the protocol's, else 0.95.")] = None,
    require: Annotated[str | None, typer.Option(metavar="certified", help="Exit with 1 unless the stop is "
                                                                          "certified.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is found, what is left, and whether screening can stop, and on what promise."""
    from . import status as facts

    if require not in (None, "certified"):
        raise typer.BadParameter("it can only be: certified", param_hint="--require")
    with _open(review) as project:
        found = facts.status(project, stage, target=target, confidence=confidence)
    if as_json:
        _print_json(found)
    else:
        print(facts.in_words(found))
    if require and not found["certificate"]["certified"]:
        raise typer.Exit(1)


@app.command()
def report(
    review: Review,
    output: Annotated[Path, typer.Option("-o", "--output", help="report.html, or flow.svg for the figure alone.")],
    stage: StageName = None,
) -> None:
    """Write the report: flow figure, curve, estimates, reasons, and a methods paragraph to paste."""
    from . import report as reports, status as facts

    with _open(review) as project:
        reports.write_report(project, output, facts.status(project, stage))
    print(f"Wrote {output}.")


@app.command()
def export(
    review: Review,
    output: Annotated[Path, typer.Option("-o", "--output", help="A file ending in .ris, .csv, .tsv, .xlsx or .bib.")],
    only: Annotated[str, typer.Option(help="included, excluded, maybe, unscreened (several with commas), or next: "
                                           "the next batch to screen.")] = "",
    top: Annotated[int, typer.Option(min=1, help="Records of the next batch.")] = 50,
    stage: StageName = None, reviewer: Reviewer = None, model: Model = None, device: DeviceOption = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """Write records with every imported field and the decisions added."""
    from . import formats, intake, screening, terminal

    wanted = [part.strip() for part in only.split(",") if part.strip()]
    for part in wanted:
        if part not in intake.EXPORTABLE:
            raise typer.BadParameter(f"{part!r} is none of {', '.join(intake.EXPORTABLE)}", param_hint="--only")
    if "next" in wanted and len(wanted) > 1:
        raise typer.BadParameter("next goes alone", param_hint="--only")
    with _open(review) as project:
        formats.check_writable(output)
        batch = None
        if wanted == ["next"]:
            batch = screening.hand_out(project, top, file=output.name, stage_name=stage, reviewer=_user(reviewer),
                                       preset=model, device=device, progress=terminal.progress_bar)
        count = intake.export(project, output, only=wanted, stage_name=stage, record_ids=batch)
    if as_json:
        _print_json({"file": str(output), "records": count})
    else:
        print(f"Wrote {count} records to {output}.")


@app.command()
def log(review: Review, as_json: AsJson = False) -> None:
    """Print the log: every event in its order, tab-separated, or as JSON."""
    from . import intake

    with _open(review) as project:
        events = [intake.event_as_json(e) for e in project.events()]
    if as_json:
        _print_json({"events": events})
    elif events:
        print("\t".join(events[0]))
        for e in events:
            print("\t".join("" if v is None else " ".join(str(v).split()) for v in e.values()))


# -- simulation and demo ----------------------------------------------------------------------


@app.command()
def simulate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, Excel or Parquet with title, abstract and a 0/1 "
                                                              "label column.")],
    label_column: Annotated[str, typer.Option(metavar="NAME", help="The column of known labels.")],
    criteria: Annotated[Path | None, typer.Option(help="criteria.txt or protocol.toml.")] = None,
    start: Annotated[str | None, typer.Option(help="criteria, file or random: the order until both labels are "
                                                   "known; criteria where they are given, else file.")] = None,
    prior_rows: Annotated[str | None, typer.Option(metavar="3,17", help="Rows known from the start, from 0.")] = None,
    priors: Annotated[str | None, typer.Option(metavar="R,I", help="Draw R relevant and I irrelevant rows.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    seeds: Annotated[int, typer.Option(min=1, metavar="K", help="Run the seeds S to S+K-1.")] = 1,
    model: Annotated[str, typer.Option(metavar="PRESET", help="default, elas-u4, fast, or a model's folder.")] = "default",
    batch: Annotated[str, typer.Option(metavar="1|auto", help="Labels between trainings; auto: 5 % of what is "
                                                              "labelled.")] = "auto",
    stop: Annotated[str, typer.Option(help="none, audit-e, fixed-audit, cmh, quant, ip-p, knee or consecutive.")] = "none",
    target: Annotated[float, typer.Option()] = 0.95,
    confidence: Annotated[float, typer.Option()] = 0.95,
    device: DeviceOption = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """Replay a labelled review as if its labels were not known, and measure the work."""
    from . import simulation, terminal

    facts = simulation.simulate(
        file, label_column, criteria=criteria, start=start, prior_rows=prior_rows, priors=priors, seed=seed,
        seeds=seeds, preset=model, batch=batch, stop=stop, target=target, confidence=confidence, device=device,
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
    """The whole way on a bundled real review, from three exports to the report."""
    from . import demo as demonstration, terminal

    demonstration.run(folder, device=device, progress=terminal.progress_bar, say=print)
