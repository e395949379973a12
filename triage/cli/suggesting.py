"""The command that asks a language model."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from ..wording import agree, is_are, plural, printable, was_were
from .app import app
from .output import AsJson, Review, Reviewer, StageName, open_review, print, print_json, quoted, say, user_name

if TYPE_CHECKING:
    from ..suggesting import Plan, Suggested

_MOST_FAILED = 10  # named one by one


@app.command()
def suggest(
    review: Review,
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            show_default=False,
            help="The server's address, up to /chat/completions: http://localhost:11434/v1 is Ollama on this machine.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="The model, as the server calls it.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", show_default=False, help="What to call the machine in the log; the model when left out."
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", show_default=False, help="Ask about the N best of the unscreened records."),
    ] = None,
    all_records: Annotated[
        bool, typer.Option("--all", help="Ask about every record of the stage, the screened ones last.")
    ] = False,
    record: Annotated[
        int | None, typer.Option(metavar="ID", show_default=False, help="Ask about this record alone.")
    ] = None,
    stage: StageName = None,
    prompt_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="A prompt of your own, in which {question}, {include}, {exclude}, {reasons}, {stage} and {answer} are "
            "filled in; the record comes after it.",
        ),
    ] = None,
    show_prompt: Annotated[
        bool, typer.Option("--show-prompt", help="Print what would be sent for a record, and send nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Send without asking first.")] = False,
    rate: Annotated[
        float | None, typer.Option(min=0.01, metavar="N", show_default=False, help="At most N requests a minute.")
    ] = None,
    parallel: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Requests under way at once.")] = 1,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait for an answer.")] = 120,
    max_tokens: Annotated[
        int,
        typer.Option(min=16, metavar="N", help="The most tokens of an answer; a model that thinks first needs more."),
    ] = 1000,
    price_in: Annotated[
        float | None,
        typer.Option(min=0, metavar="PRICE", show_default=False, help="The price of a million tokens sent."),
    ] = None,
    price_out: Annotated[
        float | None,
        typer.Option(min=0, metavar="PRICE", show_default=False, help="The price of a million tokens answered."),
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Allow plain http to another machine.")] = False,
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """Ask a language model for suggestions, at any server with OpenAI's interface.

    The prompt is made from the protocol, and --show-prompt shows it. Titles and abstracts are sent to the server that
    you name and nowhere else, after you have seen how many and confirmed it; where nobody can be asked, --yes is
    needed. The key is read from TRIAGE_API_KEY, or else OPENAI_API_KEY, and kept nowhere.

    Suggestions are no decisions: they are shown on the records as the protocol says, and `triage screeners` measures
    them. Each answer is kept as it comes: interrupt the command as you like, and run it again for the rest. A record
    without a valid answer has no suggestion; the command names it and ends with exit code 1.

    For example:

        triage suggest review.triage --show-prompt
        triage suggest review.triage --endpoint http://localhost:11434/v1 --model qwen3 --top 200
    """
    from .. import suggesting, terminal

    template = None if prompt_file is None else suggesting.read_template(prompt_file)
    if sum((top is not None, all_records, record is not None)) > 1:
        raise typer.BadParameter("give one of them", param_hint="--top, --all, --record")
    if show_prompt:
        _show_prompt(review, template, stage, record, as_json)
        return
    if endpoint is None or model is None or not model.strip():
        missing = "--endpoint" if endpoint is None else "--model"
        raise typer.BadParameter("say which server and which model to ask", param_hint=missing)
    if not (all_records or top is not None or record is not None):
        raise typer.BadParameter("say which records: the N best, all, or one", param_hint="--top, --all, --record")
    for option, value in (
        ("--rate", rate),
        ("--timeout", timeout),
        ("--price-in", price_in),
        ("--price-out", price_out),
    ):
        if value is not None and not math.isfinite(value):
            raise typer.BadParameter("a number is needed", param_hint=option)
    if (price_in is None) != (price_out is None):
        raise typer.BadParameter("give both", param_hint="--price-in, --price-out")
    settings = suggesting.Settings(
        endpoint=suggesting.Endpoint.of(endpoint, insecure=insecure),
        key=suggesting.key_of_the_environment(),
        model=model.strip(),
        name=" ".join((name or model).split()),
        template=template,
        max_tokens=max_tokens,
        timeout=timeout,
        per_minute=rate,
        parallel=parallel,
        prices=None if price_in is None or price_out is None else (price_in, price_out),
    )
    with open_review(review) as project:
        work = suggesting.plan(
            project,
            settings,
            reviewer=user_name(reviewer),
            stage_name=stage,
            top=top,
            record_id=record,
            progress=terminal.progress_bar,
        )
        for line in _planned(work.plan):
            say(line)
        if work.plan.to_ask and not yes:
            if not sys.stdin.isatty():
                raise InputError("Nothing was sent: nobody is here to confirm it, so say --yes to send it.")
            if not typer.confirm("Send them?", err=True):
                raise InputError("Nothing was sent.")
        done = suggesting.carry_out(project, work, progress=terminal.progress_bar)
    for warning in done.warnings:
        say(warning)
    for one in done.failed[:_MOST_FAILED]:
        say(f"No suggestion for record {one.record_id}: {printable(one.why)}.")
    if len(done.failed) > _MOST_FAILED:
        say(f"And none for {len(done.failed) - _MOST_FAILED:,} more; --json lists all.")
    if as_json:
        print_json(done)
    else:
        for line in _told(done):
            print(line)
        if done.suggestions and not done.failed:
            print(f"Next: triage screeners {quoted(review)}")
    if done.failed:
        raise typer.Exit(1)


def _show_prompt(review: str, template: str | None, stage: str | None, record: int | None, as_json: bool) -> None:
    from .. import suggesting

    with open_review(review) as project:
        record_id, prompt, text = suggesting.first_record(
            project.snapshot(), template=template, stage_name=stage, record_id=record
        )
    messages = prompt.messages(text)
    if as_json:
        print_json({"record_id": record_id, "prompt_sha256": prompt.sha256, "messages": messages})
        return
    for message in messages:
        print(f"--- {message['role']}")
        for line in message["content"].split("\n"):
            print("".join(c for c in line if c.isprintable()))
    say(f"This is for record {record_id}; nothing was sent. SHA-256 of the prompt: {prompt.sha256}")


def _planned(plan: Plan) -> list[str]:
    """Say what will be sent where, and what it takes."""
    screened = f", {plan.screened:,} of them screened already" if plan.screened else ""
    lines = [
        f"{plural(plan.records, 'record')} at the stage {printable(plan.stage)}{screened}: "
        f"{plan.in_force:,} {agree(plan.in_force, 'has', 'have')} a suggestion of {printable(plan.machine)} by this "
        f"prompt, {plan.cached:,} {was_were(plan.cached)} answered before, {plan.to_ask:,} {is_are(plan.to_ask)} to be asked "
        "about."
    ]
    if not plan.to_ask:
        return lines
    lines.append(
        f"To be sent to {printable(plan.endpoint)}, model {printable(plan.model)}, "
        + (f"with the key in {plan.key}" if plan.key else "without a key")
        + f": titles and abstracts of {plural(plan.to_ask, 'record')}, one a request."
    )
    lines.append(
        f"Tokens: about {plan.estimated_tokens_in:,} in and {plan.estimated_tokens_out:,} out (at most "
        f"{plan.most_tokens_out:,} out, where no request has to be made again)."
    )
    if plan.estimated_cost is not None and plan.most_cost is not None:
        lines.append(
            f"Cost at your prices: about {_money(plan.estimated_cost)} (at most {_money(plan.most_cost)}, likewise)."
        )
    return lines


def _money(cost: float) -> str:
    return f"{cost:,.2f}" if cost >= 1 else f"{cost:.2g}"


def _told(done: Suggested) -> list[str]:
    n = done.suggestions
    version = ", ".join(printable(one) for one in done.versions if one != done.plan.machine)
    lines = [
        f"{plural(n, 'suggestion')} of {printable(done.plan.machine)}{f' ({version})' * bool(version)} written: "
        f"{done.include:,} include, {done.maybe:,} maybe, {done.exclude:,} exclude. None of them is a decision."
    ]
    if done.failed:
        lines.append(f"{plural(len(done.failed), 'record')} got no valid answer; run it again to ask anew.")
    if done.replies:
        cost = "" if done.cost is None else f", which cost {_money(done.cost)} at your prices"
        lines.append(
            f"{plural(done.replies, 'reply', 'replies')} came; {done.tokens_in:,} tokens in and {done.tokens_out:,} out "
            f"were used{cost}."
        )
    return lines
