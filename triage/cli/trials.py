"""Commands that try things out on labelled reviews."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import preset_catalogue
from ..stopping_rules import RULES
from .app import app
from .output import AsJson, Device, DeviceOption, Encoding, print, print_json


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
    machine_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A column of a machine's labels or scores, to be part of the ranking."),
    ] = None,
    criteria: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The review's criteria: a text, or a protocol.toml.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="ORDER",
            help="criteria, file or random: the order until both "
            "labels are known; criteria where they or a machine's column are given, else file.",
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
        str, typer.Option(metavar="PRESET", help=f"The ranking: {preset_catalogue.in_words()}.")
    ] = "default",
    batch: Annotated[
        str, typer.Option(metavar="1|auto", help="Labels between trainings; auto: 5 % of what is labelled.")
    ] = "auto",
    stop: Annotated[str, typer.Option(metavar="RULE", help=f"none, {', '.join(RULES)}.")] = "none",
    target: Annotated[float, typer.Option(metavar="SHARE", help="Recall that the stopping rule is to reach.")] = 0.95,
    confidence: Annotated[float, typer.Option(metavar="SHARE", help="Confidence of the stopping rule.")] = 0.95,
    encoding: Encoding = None,
    device: DeviceOption = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """Replay a labelled review and measure the work.

    Each row of FILE is a record with its known label, which is looked up only when the record's turn
    comes. Use it to compare presets and stopping rules on a review that you have finished. Without a
    stopping rule training ends with the last relevant record, past which nothing is measured; the rest
    follows in the order of the last ranking. Recall is that of the labels in the file, also where the protocol
    asks for that of corrected labels (recall_of): nobody takes second looks in a replay.

    Columns, a row for each seed and their mean:

        work@0.95   share of the records read when 95 % of the relevant ones are found; lower is better
        work@1.0    the same for all of them
        wss@0.95    work saved over reading in random order, at 95 %; higher is better
        atd         mean place of the relevant records, as a share of all; lower is better
        recall@0.1  share of the relevant records that are among the first 10 % read
        recall@0.2  the same for the first 20 %
        stop        when the stopping rule stopped, the recall then, and whether it was certified

    For example:

        triage simulate labels.csv --label-column label --criteria protocol.toml
        triage simulate labels.csv --label-column label --model fast --stop audit-e --seeds 3
    """
    from .. import simulation, terminal

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
        machine_column=machine_column,
        encoding=encoding,
    )
    if as_json:
        print_json(facts)
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

    For example:

        triage demo
        triage demo elsewhere --device cpu
    """
    from .. import demo as demonstration, terminal

    demonstration.run(folder, device=device, progress=terminal.progress_bar, say=print)
