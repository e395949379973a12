"""Commands that rank and screen."""

from __future__ import annotations

import json
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..as_json import as_json as to_json
from ..wording import agree, is_are, plural, printable, was_were
from .app import app
from .output import (
    AsJson,
    Device,
    DeviceOption,
    Encoding,
    MachineName,
    Model,
    OfAPerson,
    PromptFile,
    Review,
    Reviewer,
    ReviewerColumn,
    StageName,
    browser_here,
    machine_named,
    open_review,
    print,
    print_json,
    quoted,
    say,
    short,
    take_labels,
    user_name,
    warn_if_unranked,
)

if TYPE_CHECKING:
    from ..log import CurrentState, Stage
    from ..project import Project
    from ..ranking import answers
    from ..screening import Session


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
    was learned from the decisions does. Suggestions of machines move them, as far as decisions bear them out, unless
    the protocol says otherwise. A ranking older than the newest decision is made anew first.

    Columns, the best record first:

        1        its place among the unscreened records
        +4.376   its score: the higher, the likelier relevant; only the order means something
        986      its number, which --explain and the other commands take
        Title    the first 90 letters of its title

    For example:

        triage rank review.triage --top 20
        triage rank review.triage --explain 986
    """
    from .. import terminal
    from ..machines import MOST_SHOWN, shown_suggestions
    from ..ranking import answers

    with open_review(review) as project:
        warnings = warn_if_unranked(project, stage)
        if explain is not None:
            told = answers.explain(
                project, explain, stage_name=stage, preset=model, device=device, progress=terminal.progress_bar
            )
            now = project.snapshot()
            suggested = shown_suggestions(
                now.live,
                now.stage_name(stage),
                told.record_id,
                viewer=None,
                blind=now.protocol.machines.blind,
                needed=now.protocol.reviewers_per_record,
            )
            if as_json:
                print_json(told, {"suggestions": [one.as_json() for one in suggested], "warnings": warnings})
            else:
                _print_explanation(told)
                for one in suggested:
                    print(f"  {short(str(one), MOST_SHOWN)}")
            return
        facts = answers.rank(
            project, top=top, stage_name=stage, preset=model, device=device, progress=terminal.progress_bar
        )
    if as_json:
        print_json(facts, {"warnings": warnings})
    else:
        for record in facts.records:
            print(f"{record.rank:5}  {record.score:+7.3f}  {record.record_id:6}  {short(record.title)}")
        if facts.basis == "order" and not warnings:
            say(
                f"The model {facts.model['name']} does not read the criteria, so this is the order of import until "
                "there are an include and an exclude to learn from."
            )
        if facts.criteria is not None and facts.criteria.poor:
            words = facts.criteria.words
            say(
                f"Only {plural(words, 'different word')} of criteria {agree(words, 'ranks', 'rank')} these records, hardly "
                "more than a title: say in the protocol file whom, what, compared with what, and which studies you include. "
                "What they match now:"
            )
            for match in facts.criteria.matches:
                unknown = f"; hardly a record says {', '.join(map(printable, match.unknown))}" if match.unknown else ""
                say(f"  {short(match.text)}: nearest is record {match.record_id}, {short(match.title)}{unknown}")


@app.command()
def doubts(
    review: Review,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Records to list of each kind.")] = 10,
    model: Model = None,
    stage: StageName = None,
    device: DeviceOption = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """List the records that were most likely excluded or included by mistake, to be looked at again.

    Each is scored by a model that has not seen its label. Change your own decision with `triage label`, or by opening
    the record in the browser; another reviewer's excluded record may be judged again there as well. These records are
    chosen: what you find among them corrects the labels, and says nothing about the others. That is what
    `triage screen --second-look` is for.

    Columns, the greatest doubt first:

        97%    by the model it lies beyond this share of the records that were decided the other way
        986    the record's number
        ann    who decided on it
        Title  the first 90 letters of its title

    For example:

        triage doubts review.triage
        triage doubts review.triage --top 25 --stage full-text
    """
    from .. import terminal
    from ..ranking import answers

    with open_review(review) as project:
        found = answers.doubts(
            project, top=top, stage_name=stage, preset=model, device=device, progress=terminal.progress_bar
        )
    if as_json:
        print_json(found)
        return
    for kind, some, other, would in (
        ("excluded", found.excluded, "included", "more"),
        ("included", found.included, "excluded", "less"),
    ):
        print(f"{kind.capitalize()}, and by the model {would} likely relevant than this share of the {other}:")
        for one in some:
            who = ", ".join(map(printable, one.reviewers))
            print(f"{one.beyond:6.0%}  {one.record_id:6}  {who}  {short(one.title)}")
        if not some:
            print("  none")
    say("Chosen, and no random sample: what a second look at these finds proves nothing about the others.")


def _print_explanation(facts: answers.Explained) -> None:
    print(short(facts.title))
    if facts.score is None:
        print("  Nothing ranks this record yet: neither criteria that the model reads nor an include and an exclude.")
        return
    print(f"  score {facts.score:+.4f}, the sum of")
    for name, adds in facts.parts.items():
        print(f"    {adds:+.4f}  {printable(name)}")
    if facts.left_out:
        names = ", ".join(map(printable, facts.left_out))
        print(f"  without what suggestions of {names} add, which stay hidden until the record is decided")
    if facts.criteria:
        print("  its nearness to the criteria, and the records that are less near")
    for one in facts.criteria:
        print(f"    {one.nearness:.3f}  {one.less_near:4.0%}  {one.kind}: {short(one.text)}")
    for title, sign in (("for", 1), ("against", -1)):
        terms = [term for term in facts.terms if sign * term.weight > 0]
        known = [record for record in facts.known if sign * record.weight > 0]
        if terms or known:
            print(f"  {title}")
        for term in terms:
            print(f"    {term.weight:+.4f}  {printable(term.term)}")
        for record in known:
            print(f"    {record.weight:+.4f}  record {record.record_id} ({record.in_words}): {short(record.title)}")
    if not facts.known:
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
            help="Judge again, in place of new records, excluded ones that are drawn at random and that others excluded.",
        ),
    ] = False,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default=False,
            help="How many second looks; when left out those that are asked for already, 100 where none is.",
        ),
    ] = None,
) -> None:
    """Screen in the terminal: one record, one key.

    i includes, e excludes with a reason, m is maybe, u undoes, ? shows every key. The best records
    come first, and each decision is safe on the disk before the next record is shown; once nothing
    turns up any more, some come at random among them: these are what certifies the recall.

    --second-look puts excluded records before you that were drawn at random and that another reviewer excluded,
    without what was said of them: `triage status` then tells what is proven of recall when wrong exclusions are
    counted. What so many more of them prove, if no mistake turns up, is printed first; --size N asks for more.

    For example:

        triage screen review.triage
        triage screen review.triage --stage full-text --reviewer ann
        triage screen review.triage --second-look --size 250 --reviewer bob
    """
    from .. import intake, recall, screening, status as facts, terminal
    from ..highlights import Highlights
    from ..machines import shown_suggestions
    from ..second_look import ask_for_second_looks, price_in_words, price_of_second_looks
    from ..session_state import StateOf, recall_for

    who = user_name(reviewer)
    if second_look and model is not None:
        raise typer.BadParameter("it cannot be combined with --second-look, which ranks nothing", param_hint="--model")
    if size is not None and not second_look:
        raise typer.BadParameter("it belongs to --second-look", param_hint="--size")
    with open_review(review) as project:
        if second_look:
            before = project.snapshot()
            price = price_in_words(price_of_second_looks(before, stage), before.protocol.stopping.confidence)
            ids = ask_for_second_looks(project, who, size, stage)
            if price:
                print("\n".join(price))
            opened = screening.open_second_look(project, ids, stage_name=stage, reviewer=who)
        else:
            warn_if_unranked(project, stage)
            opened = screening.open_session(
                project, stage_name=stage, reviewer=who, preset=model, device=device, progress=terminal.progress_bar
            )
        with (
            opened as (session, records),
            tempfile.TemporaryDirectory(prefix="triage-", ignore_cleanup_errors=True) as folder,
        ):
            at_start = project.snapshot()
            protocol, stage_now = at_start.protocol, at_start.asked(stage)
            weights, studies = recall.logged_parameters(at_start.events, stage_now.name), intake.StudiesBeside()
            named = f"{stage_now.name} | " if len(protocol.stages) > 1 else ""
            state = StateOf(
                session, lambda history: recall_for(project.snapshot(), stage_now.name, who, history, weights)
            )
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
                else lambda: f"{named}{state()}",
                tags=protocol.tags,
                suggestions=lambda row: shown_suggestions(
                    project.live(), stage_now.name, records[row].number, viewer=who, blind=protocol.machines.blind
                ),
                beside=(
                    lambda row: str(
                        studies.of(project.snapshot(), stage_now.name, records[row].number, viewer=who) or ""
                    )
                )
                if stage_now.name != protocol.stages[0].name
                else lambda row: "",
                nothing_left="No record awaits your second look any more." if second_look else terminal.NOTHING_LEFT,
                why=(lambda row: [("A second look ranks nothing.", [])])
                if second_look
                else lambda row: _why(project, stage_now.name, records[row].number, session, who),
                open_pdfs=lambda row: _open_pdfs(project, records[row].number, Path(folder)),
                maybes=(lambda: ()) if second_look else lambda: _own_maybes(project.live(), who, records.stage),
                words=Highlights().of(at_start, project.own_highlights(who)),
            )
        print(f"{plural(summary.decided, 'decision')} this time, {summary.included:,} of them include or maybe.")
        if not second_look and summary.decided:
            _offer_to_stop(project, stage_now.name, who)
    print(f"Next: triage status {quoted(review)}")


def _why(
    project: Project, stage_name: str, record_id: int, session: Session, reviewer: str
) -> list[tuple[str, list[str]]]:
    """Return what speaks for and against a record: neither its score nor its rank, which would give an audit draw away."""
    from ..ranking import answers

    facts = answers.explain(project, record_id, stage_name=stage_name, session=session, viewer=reviewer)
    facts = answers.known_to(project.snapshot(), stage_name, facts, reviewer)
    if facts.score is None:
        return [("Nothing ranks this record yet: the protocol has no criteria, and there are no labels.", [])]
    lists = [
        ("Words that speak for it", [one.term for one in facts.terms if one.weight > 0]),
        ("Words that speak against it", [one.term for one in facts.terms if one.weight <= 0]),
        (
            "Near the criteria",
            [f"nearer than {one.less_near:.0%} of the records: {one.kind}: {one.text}" for one in facts.criteria],
        ),
        (
            "Records judged before, and key papers",
            [f"{'for' if one.weight > 0 else 'against'}: {one.title} ({one.in_words})" for one in facts.known],
        ),
    ]
    return [(heading, lines) for heading, lines in lists if lines]


def _open_pdfs(project: Project, record_id: int, folder: Path) -> str:
    """Open the PDFs of a record with the viewer of this machine; say what was done."""
    from .. import terminal

    files = project.live().attachments(record_id)
    if not files:
        return "This record has no PDF; `triage attach` adds them."
    for number, file in enumerate(files, 1):
        # The name that came with the file is not used: it may be anything.
        path = folder / f"record-{record_id}-{number}.pdf"
        if not path.exists():
            path.write_bytes(project.attachments.content(file.reason) or b"")
        if not terminal.open_file(path):
            return f"No viewer was found on this machine; the file is {path} while this goes on."
    return f"{plural(len(files), 'PDF')} opened."


def _own_maybes(live: CurrentState, reviewer: str, stage: Stage) -> list[tuple[int, str]]:
    """Return the rows that are maybe by a reviewer's decision in force, with its note, in the order of the decisions."""
    from ..log import Label

    mine = [
        e for (name, _, who), e in live.decisions.items() if (name, who, e.label) == (stage.name, reviewer, Label.MAYBE)
    ]
    notes = {live.kept(e.about): e.note for e in sorted(mine, key=lambda e: e.seq)}
    rows: list[int] = stage.rows_of(notes).tolist()
    return [(row, note) for row, note in zip(rows, notes.values(), strict=True) if row >= 0]


def _offer_to_stop(project: Project, stage_name: str, reviewer: str) -> None:
    """Ask whether to stop the stage, where its rule says that screening can stop and nobody has stopped it."""
    from .. import stopping, stops

    review = project.snapshot()
    before = stops.newest(review, stage_name)
    if (before is not None and before.stands) or not stopping.rule_allows(review, stage_name, reviewer):
        return
    rule = review.protocol.stopping.rule
    if typer.confirm(f"The stopping rule {rule} says that screening can stop. Stop the stage {stage_name!r} now?"):
        print(stopping.stop(project, reviewer=reviewer, stage_name=stage_name).in_words)


@app.command()
def serve(
    review: Annotated[
        str | None,
        typer.Argument(
            metavar="[REVIEW]",
            show_default=False,
            help="The review's file, or a team's address; left out, the browser opens a page where one is made or opened.",
        ),
    ] = None,
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
    no_token: Annotated[
        bool,
        typer.Option(
            "--no-token",
            help="Let in every account of this machine, and not only the browser that opens the printed address.",
        ),
    ] = False,
    access_log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Write each log-in, and each that fails, there, as fail2ban reads it.",
        ),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no browser.")] = False,
    reviewer: Reviewer = None,
    model: Model = None,
    device: DeviceOption = Device.AUTO,
) -> None:
    """Screen in the browser: the same session as in the terminal, with the same keys.

    Alone, on this machine, nobody logs in: the address that is printed, and opened in the browser, lets that browser
    in and no other. With --host or --public a team works on one review: the owner's invitation is printed, and the
    owner invites the others.

    For example:

        triage serve review.triage
        triage serve review.triage --port 9000 --no-browser
        triage serve review.triage --host 0.0.0.0 --public https://review.example.org:8765 --certificate c.pem --key k.pem
    """
    from .. import web

    with nullcontext() if review is None else open_review(review) as project:
        if project is not None:
            warn_if_unranked(project)
        web.serve(
            project,
            reviewer=user_name(reviewer),
            host=host,
            port=port,
            certificate=certificate,
            key=key,
            public=public,
            preset=model,
            device=device,
            with_token=not no_token,
            access_log=access_log,
            open_browser=None if no_browser else browser_here(),
            say=say,
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
    reviewer_column: ReviewerColumn = None,
    stage: StageName = None,
    encoding: Encoding = None,
    machine: MachineName = None,
    prompt_file: PromptFile = None,
    person: OfAPerson = False,
    as_json: AsJson = False,
) -> None:
    """Take decisions made elsewhere, such as in a spreadsheet, or a machine's labels.

    The table has a row for each record: its record_id as `triage export` wrote it, and under label
    (or decision, or include) what was decided: include, exclude or maybe; included, excluded, yes, no,
    y, n, true, false, 1, 0, unsure and ? will do, in any case, and x for include. A row whose label is
    blank is not decided, never excluded, even where the others have an x: it is counted and left as it is.

    The whole file is checked first, and everything wrong in it is told at once; then it is written in one
    go. A decision that is in force already is not written again. A column tags ("review; qualitative")
    replaces the tags that you gave these records at this stage. `triage label review.triage decided.csv` takes
    decisions of one person; with `--reviewer-column NAME` a table holds those of several, a row for each decision.

    With --machine NAME the labels are suggestions of a machine, such as a language model: they are shown on the
    records and checked by `triage screeners`, and count nowhere as decisions. Columns of a score (score, probability,
    confidence) and of a rationale are kept, and a row with a score needs no label. A file whose reviewers have the
    name of such a tool is asked about: --machine or --person answers beforehand.

    For example:

        triage label review.triage decided.csv --reviewer ann
        triage label review.triage votes.csv --reviewer-column screener
        triage label review.triage labelled.csv --machine "qwen3 8b" --prompt-file prompt.txt
    """
    from .. import intake

    screener = machine_named(machine, prompt_file, person)
    if screener and reviewer_column is not None:
        raise typer.BadParameter("a machine's labels are its own", param_hint="--reviewer-column, --machine")
    with open_review(review) as project:
        counts = take_labels(
            lambda machine, of_a_person: intake.label(
                project,
                decisions,
                reviewer=user_name(reviewer if machine is None or screener else None),
                stage_name=stage,
                reviewer_column=reviewer_column,
                machine=machine,
                of_a_person=of_a_person,
                encoding=encoding,
            ),
            screener,
            person,
            reviewer,
        )
    for what, whose, unlisted in (
        ("reason", "the stage's codes", counts.unlisted_reasons),
        ("tag", "the protocol's", counts.unlisted_tags),
    ):
        if unlisted:
            named = ", ".join(f"{text!r} ({count:,})" for text, count in list(unlisted.items())[:5])
            n = sum(unlisted.values())
            say(
                f"{plural(n, what)} {is_are(n)} none of {whose} and {was_were(n)} kept as written: "
                f"{printable(named)}" + (", ..." if len(unlisted) > 5 else "") + "."
            )
    for warning in counts.warnings:
        say(printable(warning))
    if as_json:
        print_json(counts)
        return
    if counts.machine is not None:
        n = counts.suggestions
        print(
            f"{plural(n, 'suggestion')} of {printable(counts.machine)} written ({counts.unchanged:,} "
            f"{was_were(counts.unchanged)} there already): {counts.include:,} include, {counts.maybe:,} maybe, "
            f"{counts.exclude:,} exclude in the file. None of them is a decision: every record stays to be screened."
        )
    else:
        print(
            f"{plural(counts.decisions, 'decision')} written ({counts.unchanged:,} "
            f"{was_were(counts.unchanged)} there already): "
            f"{counts.include:,} include, {counts.maybe:,} maybe, {counts.exclude:,} exclude in the file."
        )
    if counts.people:
        print(f"By {', '.join(f'{printable(name)} {n:,}' for name, n in sorted(counts.people.items()))}.")
    if counts.blank:
        print(
            f"{plural(counts.blank, 'row')} {agree(counts.blank, 'has', 'have')} no label: nothing was decided on "
            f"{agree(counts.blank, 'its record', 'their records')}."
        )
    if counts.tags.given or counts.tags.taken_back:
        print(f"{plural(counts.tags.given, 'tag')} given, {counts.tags.taken_back:,} taken back.")


@app.command()
def stop(
    review: Review,
    reviewer: Reviewer = None,
    stage: StageName = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="A sentence to go with it.", show_default=False)] = "",
    anyway: Annotated[bool, typer.Option("--anyway", help="Stop although the stopping rule says to go on.")] = False,
    reveal: Annotated[
        bool,
        typer.Option(
            "--reveal",
            help="Then make the seeds of the random draws public, so that anybody can check them. Screening that "
            "goes on later needs a new audit.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """End the screening of a stage, and log on which evidence.

    The log says who stopped, when, by which rule, on which bound and with which versions; the report and the flow
    figure speak of this stop. `triage undo --event N` takes it back. When records come or labels change later,
    `triage status` says that the stop no longer stands.

    For example:

        triage stop review.triage
        triage stop review.triage --anyway --note "no time left"
    """
    from .. import stopping, stops

    with open_review(review) as project:
        name = user_name(reviewer)
        standing = stops.newest(project.snapshot(), stage)
        if standing is None or not standing.stands or not reveal:
            standing = stopping.stop(project, reviewer=name, stage_name=stage, note=note, anyway=anyway)
        revealed = project.log.reveal(standing.stage, reviewer=name) if reveal else None
    seeds = {} if revealed is None else json.loads(revealed.note)["seeds"]
    if as_json:
        print_json({**to_json(standing), "stands": standing.stands, "seeds": seeds})
        return
    print(f"{standing.in_words} Event {standing.event} of the log.")
    for event, seed in seeds.items():
        print(f"Seed of the permutation that event {event} committed: {seed}")


@app.command()
def exclude(
    review: Review,
    query: Annotated[
        str, typer.Argument(metavar="QUERY", show_default=False, help="As on the search page, such as 'rat OR mice'.")
    ],
    stage: StageName = None,
    reason: Annotated[str, typer.Option(metavar="CODE", help="The reason, where the stage has some.")] = "",
    reviewer: Reviewer = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Exclude all records that a search finds, without anybody having read them.

    It says how the search was read, how many records it finds and how many of these you are still to judge, shows the
    first titles, and asks before it writes anything. What you have decided on stays as it is, and so does what is
    before somebody. Each record gets a decision of its own, all in one go, and `triage undo --bulk` takes them back as
    one.

    They are told apart wherever decisions are counted. The certificate takes none of these records for irrelevant: to
    it they are unscreened, random draws still come from them, and whoever reads one decides anew. The ranking does not
    learn from them.

    All words must be there; "quotation marks" hold words together, OR, -without, stem*, (groups) and fields such as
    title: and year:2010-2015 do what they do on the search page.

    For example:

        triage exclude review.triage "title:rat OR title:mice" --reason ANIMAL
        triage exclude review.triage "year:-1989" --reviewer ann --yes --json
    """
    from .. import screening
    from ..found import Wanted, excludable

    if as_json and not yes:
        raise typer.BadParameter("add --yes: with --json nothing is asked", param_hint="--json")
    who, wanted = user_name(reviewer), Wanted(query)
    with open_review(review) as project:
        project.log.check_person(who)
        now = project.snapshot()
        found = excludable(now, wanted, reviewer=who, stage_name=stage)
        n = len(found.record_ids)
        if not as_json:
            print(f"Read as: {found.read_as}")
            print(
                f"{plural(found.found, 'record')} of the stage {found.stage!r} {is_are(found.found)} found; {n:,} of them "
                f"{is_are(n)} still to be judged by {who}."
            )
            first = sorted(found.record_ids[:_TITLES])
            for record in now.records.read(first) if first else ():
                print(f"{record.id:7}  {short(record.title)}")
            if n > len(first):
                print(f"         and {n - len(first):,} more")
        if n and not yes:
            typer.confirm(f"Exclude {plural(n, 'record')} that nobody has read?", abort=True)
        done = screening.exclude_found(
            project, wanted, reviewer=who, stage_name=stage, reason=reason, confirmed=None if yes else n
        )
    if as_json:
        print_json(done)
    else:
        back = f"; triage undo {quoted(review)} --bulk takes that back" if done.excluded else ""
        print(f"{plural(done.excluded, 'record')} excluded unread{back}.")


_TITLES = 10  # of the records to be excluded, shown before they are


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
    bulk: Annotated[
        bool, typer.Option("--bulk", help="Take back all of the reviewer's last `triage exclude` instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take the reviewer's last decision back, or a batch that was handed out.

    The log keeps both, and the label that the record had before is in force again; without one before,
    its tags go too. Called again, it takes back the decision before that.

    --batch takes back the last batch of `triage export --only next`: what the reviewer has decided on since stays
    decided, and the other records return to the pool. Its random draws are the next to be shown, to whoever comes
    next, so that taking back a batch is no way to choose among them.

    --bulk takes back the last exclusion of a search's result as one, as far as it is in force; --event takes back one
    of its decisions.

    For example:

        triage undo review.triage
        triage undo review.triage --event 412
        triage undo review.triage --batch --reviewer ann
        triage undo review.triage --bulk
    """
    from .. import intake

    if sum((batch, bulk, event is not None)) > 1:
        raise typer.BadParameter("give one of them", param_hint="--event, --batch, --bulk")
    with open_review(review) as project:
        if batch:
            back = intake.take_back(project, reviewer=user_name(reviewer))
            if as_json:
                print_json(back)
            else:
                print(
                    f"Took back {len(back.record_ids)} of the {plural(back.handed_out, 'record')} handed out to "
                    f"{printable(back.reviewer)} as {printable(back.file)}."
                )
            return
        if bulk:
            gone = intake.take_exclusion_back(project, reviewer=user_name(reviewer))
            if as_json:
                print_json(gone)
            else:
                print(
                    f"Took back {plural(len(gone.record_ids), 'exclusion')} of what the search “{printable(gone.query)}” "
                    f"found, made by {printable(gone.reviewer)}."
                )
            return
        undone = intake.undo(project, reviewer=user_name(reviewer), seq=event)
    if as_json:
        print_json(undone)
    else:
        what = f"{undone.kind} {undone.label or (undone.reason if undone.kind == 'tag' else '')}".strip()
        print(f"Took back event {undone.seq}: {printable(what)} on record {undone.record_id}.")
