"""Walk one project of any size from its export to its report: seconds and peak memory of every command.

    python scripts/benchmarks/bench.py walk --texts FOLDER --work FOLDER [--sizes 1000,10000] [--steps status,report]
        [--json FILE] [--plot FILE.png]

Each step is a process of its own, and each step that changes the review leaves a copy of it in the work
folder, so that `--steps` runs some of them again alone. The records are made from the labelled tables (CSV
with title, abstract, label) below --texts. A record is made of real ones: half a title of each of two,
sentences of several abstracts, and two names that no other record need have (the head of one real word and
the tail of another), so that the words grow with the records as they do in life. Every tenth is an
altered copy of an earlier one, one in fifty tells of what the review looks for, one in eleven is too old or not
in English.
"""

from __future__ import annotations

import argparse
import csv
import errno
import functools
import json
import math
import os
import pty
import re
import select
import shutil
import statistics
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "data" / "demo"
BATCH = 200  # records handed out in a file
SCREENED = 20  # records judged in the terminal
PATIENCE = 7_200  # seconds that a page may take
COPY, FOUND = 10, 50  # every so many records is a copy, tells of what is looked for
_ESCAPE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
_HOME = "\x1b[H"  # begins a page
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


# -- the records ------------------------------------------------------------------------------


@dataclass
class Sources:
    """What records are made of: titles and abstracts in sentences, of what is looked for and of the rest."""

    titles: dict[bool, list[list[str]]] = field(default_factory=lambda: {True: [], False: []})
    abstracts: dict[bool, list[list[str]]] = field(default_factory=lambda: {True: [], False: []})
    words: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, review: str = "menon_2022") -> Sources:
        """Read every labelled table below a folder; what is looked for is what one review included."""
        csv.field_size_limit(10**9)
        found = cls()
        for table in sorted(folder.rglob("*.csv")):
            with table.open(newline="", encoding="utf-8-sig") as file:
                for row in csv.DictReader(file):
                    wanted = table.stem == review and row["label"] == "1"
                    if wanted or table.stem != review:
                        words = row["title"].split()
                        if len(words) > 6:
                            found.titles[wanted].append(words)
                        if len(row["abstract"]) > 200:
                            found.abstracts[wanted].append(_SENTENCE.split(" ".join(row["abstract"].split())))
                            found.words += [w for w in words if w.isalpha() and len(w) > 6]
        if not all((*found.titles.values(), *found.abstracts.values())):
            sys.exit(f"{folder} holds no labelled tables, {review}.csv among them; name their folder with --texts.")
        return found


def records(sources: Sources, n: int) -> Iterator[dict[str, str | list[str]]]:
    """Yield n records as RIS fields."""
    rng = Random(n)
    recent: list[dict[str, str | list[str]]] = []
    for i in range(1, n + 1):
        if i % COPY == 0 and recent:
            yield altered(rng.choice(recent), rng)
            continue
        wanted = is_found(i)
        one, two = rng.choice(sources.titles[wanted]), rng.choice(sources.titles[wanted])
        sentences = [rng.choice(rng.choice(sources.abstracts[wanted])) for _ in range(rng.randint(5, 11))]
        names = [rng.choice(sources.words)[:4] + rng.choice(sources.words)[-4:].lower() for _ in range(2)]
        sentences[-1] += f" ({', '.join(names)})"
        page = rng.randint(1, 1500)
        record = {
            "TI": " ".join(one[: len(one) // 2] + two[len(two) // 2 :]),
            "AU": [
                f"{rng.choice(sources.words).title()}, {rng.choice('ABCDEFGHJKLMNPRSTW')}."
                for _ in range(rng.randint(1, 6))
            ],
            "PY": str(rng.randint(1990, 2024)),
            "T2": f"Journal of {rng.choice(sources.words).title()}",
            "VL": str(rng.randint(1, 120)),
            "SP": str(page),
            "EP": str(page + 9),
            "AB": " ".join(sentences) if rng.random() < 0.92 else "",
            "DO": f"10.1000/{i}" if rng.random() < 0.7 else "",
            "LA": rng.choices(("English", "German", "Chinese"), (94, 3, 3))[0],
            "KW": rng.sample(sources.words, 4),
        }
        recent.append(record)
        if len(recent) > 2000:
            recent.pop(rng.randrange(2000))
        yield record


def is_found(record_id: int) -> bool:
    """Tell whether the record of a number is made of what is looked for."""
    return record_id % FOUND == 1


def altered(record: dict[str, str | list[str]], rng: Random) -> dict[str, str | list[str]]:
    """Return a record as another database might give it."""
    changed = dict(record)
    if rng.random() < 0.3:
        changed["DO"] = ""
    if rng.random() < 0.3:
        changed["AB"] = str(record["AB"])[: rng.choice((0, 250, 600))]
    if rng.random() < 0.3:
        changed["TI"] = rng.choice((str(record["TI"]).upper(), f"{record['TI']}."))
    return changed


def write_ris(path: Path, sources: Sources, n: int) -> None:
    """Write n records as RIS, under another name first."""
    unfinished = path.with_suffix(".new")
    with unfinished.open("w", encoding="utf-8") as file:
        for record in records(sources, n):
            file.write("TY  - JOUR\n")
            for tag, values in record.items():
                for value in values if isinstance(values, list) else [values]:
                    if value:
                        file.write(f"{tag}  - {value}\n")
            file.write("ER  - \n\n")
    unfinished.rename(path)


# -- what is measured -------------------------------------------------------------------------


@dataclass
class Cost:
    """What a command took, and what it said of itself."""

    seconds: float
    processor: float
    peak_gib: float
    told: dict[str, float] = field(default_factory=dict)


def ended(process: subprocess.Popen, began: float) -> Cost:
    """Wait for a process to end; return its own cost, as the system counts it."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20)


class Walk:
    """One size's project in its folder, and the steps to run on it.

    A step that changes the review leaves a copy of it, so that any step can be run again alone.
    """

    def __init__(self, folder: Path, n: int, sources: Callable[[], Sources]) -> None:
        self.folder, self.n = folder / str(n), n
        self.review = self.folder / "review.triage"
        self._log = self.folder / "walk.json"
        self._sources = sources
        self.folder.mkdir(parents=True, exist_ok=True)
        self.costs: dict[str, dict] = json.loads(self._log.read_text()) if self._log.exists() else {}

    def run(self, steps: Sequence[str]) -> None:
        """Run steps in their order, from the state of the review that each is to find."""
        for name in [name for name in STEPS if name in steps]:
            before = [other for other in list(STEPS)[: list(STEPS).index(name)] if STEPS[other].changes]
            self._restore(before[-1] if before else None)
            cost = STEPS[name].run(self)
            if STEPS[name].changes:
                shutil.copyfile(self.review, self._copy(name))
                self._state(name)
            self.costs[name] = {
                "seconds": cost.seconds,
                "processor": cost.processor,
                "peak_gib": cost.peak_gib,
                **cost.told,
            }
            self._log.write_text(json.dumps(self.costs, indent=1))
            more = "".join(f", {what} {figure:,.3f}" for what, figure in cost.told.items())
            print(
                f"{self.n:>9,}  {name:20}{cost.seconds:9.2f} s {cost.processor:9.2f} s of processor "
                f"{cost.peak_gib:6.2f} GiB{more}",
                flush=True,
            )

    def _copy(self, step: str) -> Path:
        return self.folder / f"after-{step}.triage"

    def _state(self, step: str) -> None:
        (self.folder / "state").write_text(step)

    def _restore(self, step: str | None) -> None:
        """Bring the review to where a step left it."""
        state = self.folder / "state"
        if step is None:
            self.review.unlink(missing_ok=True)
        elif not state.exists() or state.read_text() != step:
            if not self._copy(step).exists():
                sys.exit(f"{self.folder}: run the step {step!r} first.")
            shutil.copyfile(self._copy(step), self.review)
            self._state(step)

    def triage(self, *arguments: str | Path, told: Callable[[Path], dict[str, float]] = lambda printed: {}) -> Cost:
        """Run a command of the program on the review; what it prints goes to a file."""
        printed = self.folder / "printed"
        command, *rest = arguments
        with printed.open("wb") as file, (self.folder / "errors").open("wb") as errors:
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "triage", str(command), str(self.review), *map(str, rest)],
                stdout=file,
                stderr=errors,
            )
            cost = ended(process, began)
        if process.returncode:
            sys.exit(f"{' '.join(map(str, arguments))}: {(self.folder / 'errors').read_text()[-2000:]}")
        cost.told = told(printed)
        return cost

    def fresh(self, name: str) -> Path:
        """Return the path of a file that a command is to write; an older one goes."""
        (self.folder / name).unlink(missing_ok=True)
        return self.folder / name


# -- the steps --------------------------------------------------------------------------------


def _new(walk: Walk) -> Cost:
    protocol = walk.folder / "protocol.toml"
    protocol.write_text(
        'model = "fast"\n'
        + (DEMO / "protocol.toml")
        .read_text(encoding="utf-8")
        .replace("published_from = 2019", "published_from = 1991"),
        encoding="utf-8",
    )
    return walk.triage("new", "--protocol", protocol)


def _import(walk: Walk) -> Cost:
    export = walk.folder / "big.ris"
    if not export.exists():
        write_ris(export, walk._sources(), walk.n)
    return walk.triage(
        "import",
        export,
        "--json",
        told=lambda printed: {
            "GiB of RIS": export.stat().st_size / 2**30,
            "GiB of review": walk.review.stat().st_size / 2**30,
        },
    )


def _json(*keys: str) -> Callable[[Path], dict[str, float]]:
    return lambda printed: {key: json.loads(printed.read_text())[key] for key in keys}


def _rank(walk: Walk) -> Cost:
    shutil.rmtree(walk.review.with_suffix(".cache"), ignore_errors=True)
    return walk.triage(
        "rank",
        "--top",
        "20",
        "--json",
        told=lambda printed: {
            "found in the first 20": sum(is_found(r["record_id"]) for r in json.loads(printed.read_text())["records"])
        },
    )


def _hand_out(walk: Walk) -> Cost:
    return walk.triage("export", "-o", walk.fresh("next.csv"), "--only", "next", "--top", str(BATCH))


def _handed_out(walk: Walk) -> list[int]:
    with (walk.folder / "next.csv").open(newline="", encoding="utf-8-sig") as file:
        return [int(row["record_id"]) for row in csv.DictReader(file)]


def _label(walk: Walk) -> Cost:
    ids = _handed_out(walk)
    answers = walk.fresh("answers.csv")
    answers.write_text("record_id,label\n" + "".join(f"{i},{int(is_found(i))}\n" for i in ids), encoding="utf-8")
    return walk.triage("label", answers, "--json", told=_json("include", "exclude"))


def _screen(walk: Walk) -> Cost:
    """Judge some records on a pseudo-terminal, as a hasty reviewer does."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (70, 100))
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "triage", "screen", str(walk.review), "--reviewer", "ann"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(slave)
    said = ""

    def read() -> bool:
        nonlocal said
        if select.select([master], [], [], 0.5)[0]:
            try:
                said += os.read(master, 65536).decode("utf-8", "replace")
            except OSError as error:
                if error.errno != errno.EIO:  # so says Linux when the program is gone
                    raise
                return False
        return process.poll() is None if not said else True

    def page_asks() -> bool:
        return _ESCAPE.sub("", said.rpartition(_HOME)[2]).rpartition("\r")[2].strip().endswith("q quit")

    def wait() -> float:
        until = time.perf_counter() + PATIENCE
        while not page_asks():
            if not read() or time.perf_counter() > until:
                sys.exit(f"the session stopped or does not answer: {_ESCAPE.sub('', said)[-1000:]}")
        return time.perf_counter()

    first, waits = wait() - began, []
    for number in range(SCREENED):
        said, pressed = "", time.perf_counter()
        os.write(master, b"i" if number % 4 == 0 else b"e\r")
        waits.append(wait() - pressed)
    os.write(master, b"q")
    while read():
        pass
    cost = ended(process, began)
    os.close(master)
    ordered = sorted(waits)
    cost.told = {
        "to the first record": first,
        "key to next record, median": statistics.median(waits),
        "key to next record, 95 %": ordered[math.ceil(0.95 * len(ordered)) - 1],
    }
    return cost


@dataclass(frozen=True)
class Step:
    """One command, and whether it changes the review."""

    run: Callable[[Walk], Cost]
    changes: bool = False


STEPS: dict[str, Step] = {
    "new": Step(_new, changes=True),
    "import": Step(_import, changes=True),
    "dedupe": Step(lambda walk: walk.triage("dedupe", "--json", told=_json("linked", "left")), changes=True),
    "filter": Step(lambda walk: walk.triage("filter", "--json", told=_json("left")), changes=True),
    "embed and rank": Step(_rank, changes=True),
    "rank again": Step(lambda walk: walk.triage("rank", "--top", "20", "--json")),
    "hand out 200": Step(_hand_out, changes=True),
    "label 200": Step(_label, changes=True),
    "rank after labels": Step(lambda walk: walk.triage("rank", "--top", "20", "--json"), changes=True),
    "explain one": Step(lambda walk: walk.triage("rank", "--explain", str(_handed_out(walk)[0]), "--json")),
    "screen 20": Step(_screen, changes=True),
    "undo": Step(lambda walk: walk.triage("undo", "--reviewer", "ann", "--json"), changes=True),
    "status": Step(lambda walk: walk.triage("status", "--json", told=_json("records", "screened", "relevant_found"))),
    "report": Step(lambda walk: walk.triage("report", "-o", walk.fresh("report.html"))),
    "flow figure": Step(lambda walk: walk.triage("report", "-o", walk.fresh("flow.svg"))),
    "export included": Step(lambda walk: walk.triage("export", "-o", walk.fresh("included.ris"), "--only", "included")),
    "export all as RIS": Step(lambda walk: walk.triage("export", "-o", walk.fresh("all.ris"))),
    "export all as CSV": Step(lambda walk: walk.triage("export", "-o", walk.fresh("all.csv"))),
    "log": Step(
        lambda walk: walk.triage("log", told=lambda printed: {"events": sum(1 for _ in printed.open("rb")) - 1})
    ),
}


# -- what comes out ---------------------------------------------------------------------------


def table(costs: dict[int, dict[str, dict]]) -> str:
    """Return seconds, those of the processor in brackets, and peak memory by step and size, in Markdown."""
    sizes = sorted(costs)
    lines = ["| step | " + " | ".join(f"{n:,}" for n in sizes) + " |", "|---|" + "---|" * len(sizes)]
    for step in STEPS:
        cells = [costs[n].get(step) for n in sizes]
        lines.append(
            f"| {step} | "
            + " | ".join(
                "" if c is None else f"{c['seconds']:.3g} ({c['processor']:.3g}) s, {c['peak_gib']:.2f} GiB"
                for c in cells
            )
            + " |"
        )
    return "\n".join(lines)


def plot(costs: dict[int, dict[str, dict]], path: Path) -> None:
    """Draw seconds of the processor against records, each step a line, beside n log n."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots()
    sizes = sorted(costs)
    last = costs[sizes[-1]]
    shown = sorted(last, key=lambda step: -last[step]["processor"])
    colours = colormaps["tab20"]
    for number, step in enumerate(shown):
        points = [(n, costs[n][step]["processor"]) for n in sizes if step in costs[n]]
        axes.plot(
            *zip(*points, strict=True),
            marker="os^Dv"[number % 5],
            markersize=5,
            linewidth=1.4,
            label=step,
            color=colours(number % 20),
        )
    grid = [sizes[0] * (sizes[-1] / sizes[0]) ** (i / 50) for i in range(51)]
    for scale, label in ((1.0, "n log n"), (0.05, None)):
        top = max(c["processor"] for c in last.values()) * scale
        unit = top / (sizes[-1] * math.log(sizes[-1]))
        axes.plot(grid, [unit * n * math.log(n) for n in grid], "k--", linewidth=1, alpha=0.6, label=label)
    axes.set(
        xscale="log", yscale="log", ylim=(0.4, None), xlabel="Records in the project", ylabel="Seconds of the processor"
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    figure.savefig(path, dpi=110)


# -- the command ------------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bench.py walk`."""
    parser.add_argument("--texts", type=Path, required=True, help="the folder of labelled tables whose texts are mixed")
    parser.add_argument("--work", type=Path, required=True, help="where the projects are kept")
    parser.add_argument("--sizes", default="1000,10000,100000,1000000")
    parser.add_argument("--steps", default="", help="names, with commas; all when left out, none with a blank")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)


def run(options: argparse.Namespace) -> None:
    """Run every command on projects of several sizes."""
    sources = functools.cache(lambda: Sources.of(options.texts))
    steps = [name for part in options.steps.split(",") if (name := part.strip())] if options.steps else list(STEPS)
    if unknown := [name for name in steps if name not in STEPS]:
        sys.exit(f"There is no step {unknown[0]!r}; the steps are: {', '.join(STEPS)}.")
    costs = {}
    for n in map(int, options.sizes.split(",")):
        one = Walk(options.work, n, sources)
        one.run(steps)
        costs[n] = one.costs
    print(table(costs))
    if options.json:
        options.json.write_text(json.dumps(costs, indent=1), encoding="utf-8")
    if options.plot:
        plot(costs, options.plot)
