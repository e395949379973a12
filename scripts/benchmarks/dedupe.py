"""Measure `triage.dedupe` on labelled sets, beside bib-dedupe and splink, and on many records.

Usage:
    python scripts/benchmarks/dedupe.py FOLDER [--sets copper,stroke] [--bib-dedupe PYTHON] [--splink PYTHON]
        [--scale 10000,100000] [--json FILE]

Each folder in FOLDER holds a set: `records.csv`, and `clusters_derived.csv` or `pairs_or_clusters.csv`
(`cluster_id,record_id`; a record not listed is single). --bib-dedupe names the Python of an environment
with bib-dedupe (`python -m venv X; X/bin/pip install bib-dedupe==0.11.0`), --splink one with splink
(5.0.0, on DuckDB). --scale measures time and memory on so many records, recombined from those of the
sets, a quarter of them altered copies. Every measurement is a process of its own; its time is that of
the search alone (with --scale, in CPU seconds), its memory the peak of the largest process.

Removed is right when the record's group holds another of its cluster: a group of records from k clusters
counts k - 1 wrongly removed, and a cluster spread over k groups k - 1 missed. With the maybes: after a
person who answers every question rightly.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

Pairs = list[tuple[str, str]]
# Of .9, .99, ...: the least at which nothing wrong is joined on cytology_screening, respiratory and copper.
SPLINK_SURE = 0.999999


# -- in the measured process ------------------------------------------------------------------


def ours(folder: Path) -> dict:
    """Find duplicates with `triage`."""
    from triage import dedupe

    records = read(folder)
    start = time.perf_counter()
    links = dedupe.find_duplicates(records)
    seconds = time.perf_counter() - start
    name = {r.id: r.extra["record_id"][0] for r in records}
    return {
        "seconds": seconds,
        "sure": [(name[x.kept_id], name[x.copy_id]) for x in links if x.sure],
        "maybe": [(name[x.kept_id], name[x.copy_id]) for x in links if not x.sure],
    }


def read(folder: Path) -> list:
    """Read a set's records, numbered from 1."""
    from triage import formats

    return [replace(r, id=i) for i, r in enumerate(formats.read(folder / "records.csv").records, 1)]


def bib_dedupe(folder: Path) -> dict:
    """Find duplicates with bib-dedupe, as its documentation says."""
    import pandas as pd
    from bib_dedupe import verbose_print
    from bib_dedupe.bib_dedupe import block, cluster, match, prep

    verbose_print.verbosity_level = 0
    table = pd.read_csv(folder / "records.csv", dtype=str, keep_default_na=False)
    table = table.rename(columns={"record_id": "ID", "authors": "author", "issue": "number"})
    table["author"] = table["author"].str.replace("; ", " and ")
    known = (
        "ID",
        "ENTRYTYPE",
        "title",
        "author",
        "year",
        "journal",
        "booktitle",
        "volume",
        "number",
        "pages",
        "abstract",
        "doi",
    )
    table = table[[name for name in table.columns if name in known]]
    start = time.perf_counter()
    matched = match(block(prep(table)))
    groups = cluster(matched)
    seconds = time.perf_counter() - start
    maybe = matched[matched["duplicate_label"] == "maybe"]
    return {
        "seconds": seconds,
        "sure": [(group[0], other) for group in groups for other in group[1:]],
        "maybe": list(zip(maybe["ID_1"], maybe["ID_2"])),
    }


def splink(folder: Path) -> dict:
    """Find duplicates with splink: Fellegi and Sunter's model, its weights learnt from the set itself."""
    import logging

    import duckdb
    import splink.comparison_library as compare
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    logging.disable(logging.CRITICAL)
    with (folder / "records.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    start = time.perf_counter()
    table = duckdb.connect()
    table.execute(
        "CREATE TABLE records (unique_id int, title text, author text, year int, journal text, volume text, page text)"
    )
    table.executemany(
        "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                i,
                *(
                    value or None
                    for value in (
                        "".join(re.findall(r"\w", row["title"].lower())),
                        " ".join(re.findall(r"\w+", row["authors"].lower())[:1]),
                        row["year"],
                        " ".join(re.findall(r"\w+", row["journal"].lower())),
                        " ".join(re.findall(r"\d+", row["volume"])[:1]),
                        " ".join(re.findall(r"\d+", row["pages"])[:1]),
                    )
                ),
            )
            for i, row in enumerate(rows)
        ],
    )
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            compare.JaroWinklerAtThresholds("title", [0.98, 0.94, 0.88]),
            compare.ExactMatch("year"),
            compare.JaroWinklerAtThresholds("author", [0.92, 0.8]),
            compare.ExactMatch("volume"),
            compare.JaroWinklerAtThresholds("journal", [0.92, 0.8]),
            compare.ExactMatch("page"),
        ],
        blocking_rules_to_generate_predictions=[
            block_on("substr(title, 1, 20)"),
            block_on("substr(title, -20)"),
            block_on("volume", "page"),
            block_on("author", "year"),
        ],
    )
    api = DuckDBAPI(connection=table)
    linker = Linker(api.register("records"), settings)
    linker.training.estimate_probability_two_random_records_match([block_on("title", "volume")], recall=0.8)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for rule in (block_on("title"), block_on("volume", "page")):
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    pairs = linker.inference.predict(threshold_match_probability=0.5).as_record_list()
    found = [(*(rows[p[f"unique_id_{side}"]]["record_id"] for side in "lr"), p["match_probability"]) for p in pairs]
    return {
        "seconds": time.perf_counter() - start,
        "sure": [(a, b) for a, b, p in found if p >= SPLINK_SURE],
        "maybe": [(a, b) for a, b, p in found if p < SPLINK_SURE],
    }


def at_scale(folder: Path, n: int) -> dict:
    """Find duplicates among n records made from those of the sets."""
    from triage import dedupe

    sources = [record for name in sets_in(folder) for record in read(folder / name)]
    copies: dict[int, int] = {}
    making, clock = 0.0, time.process_time  # on a machine that others share, the fairer one

    def timed() -> Iterator:
        nonlocal making
        records = recombined(sources, n, copies)
        while True:
            began = clock()
            record = next(records, None)
            making += clock() - began
            if record is None:
                return
            yield record

    start = clock()
    links = dedupe.find_duplicates(timed())
    seconds = clock() - start - making
    sure = [(x.copy_id, x.kept_id) for x in links if x.sure]
    right = sum(copies.get(copy, copy) == copies.get(kept, kept) for copy, kept in sure)
    return {
        "seconds": seconds,
        "copies": len(copies),
        "right": right,
        "wrong": len(sure) - right,
        "maybe": sum(not x.sure for x in links),
    }


def recombined(sources: Sequence, n: int, copies: dict[int, int]) -> Iterator:
    """Yield n records one by one; every fourth alters an earlier one, told in `copies`."""
    rng = Random(1)
    titles = [r.title.split() for r in sources if len(r.title.split()) > 7]
    abstracts = [r.abstract.split(". ") for r in sources if r.abstract]
    names = sorted({name for r in sources for author in r.authors for name in author.split(" and ")})
    journals = sorted({r.journal for r in sources})
    recent: list = []
    for i in range(1, n + 1):
        if i % 4 == 0:
            original = rng.choice(recent)
            copies[i] = original.id
            yield altered(original, i, rng)
            continue
        one, two = rng.choice(titles), rng.choice(titles)
        abstract = ". ".join(rng.choice(rng.choice(abstracts)) for _ in range(8)) if rng.random() < 0.9 else ""
        record = replace(
            sources[0],
            id=i,
            title=" ".join(one[: len(one) // 2] + two[len(two) // 2 :]),
            abstract=abstract,
            authors=tuple(rng.choice(names) for _ in range(rng.randint(1, 6))),
            year=rng.randint(1980, 2024),
            journal=rng.choice(journals),
            doi=f"10.1000/{i}" if rng.random() < 0.7 else "",
            pmid=str(i) if rng.random() < 0.3 else "",
            extra={"VL": (str(rng.randint(1, 120)),), "SP": (str(rng.randint(1, 1500)),)} if rng.random() < 0.9 else {},
        )
        recent.append(record)
        if len(recent) > 2000:
            recent.pop(rng.randrange(2000))
        yield record


def altered(record, i: int, rng: Random):
    """Return a record as another database might give it."""
    changes = {"id": i}
    if rng.random() < 0.4:
        changes["doi"] = ""
    if rng.random() < 0.6:
        changes["pmid"] = ""
    if rng.random() < 0.3:
        changes["abstract"] = record.abstract[: rng.choice((0, 250, 600))]
    if rng.random() < 0.3:
        title = record.title
        changes["title"] = rng.choice((title.upper(), f"[{title}]", f"{title}. [Review] [12 refs]"))
    if rng.random() < 0.3:
        changes["journal"] = " ".join(word[:4] for word in record.journal.split())
    if rng.random() < 0.1:
        changes["extra"] = {}
    return replace(record, **changes)


# -- outside it -------------------------------------------------------------------------------


def sets_in(folder: Path) -> list[str]:
    """Name the sets of a folder."""
    return sorted(path.parent.name for path in folder.glob("*/records.csv"))


def gold(folder: Path) -> dict[str, str]:
    """Give each record's cluster; a single record's is its own."""
    with (folder / "records.csv").open(newline="", encoding="utf-8-sig") as file:
        cluster_of = {row["record_id"]: f"single {row['record_id']}" for row in csv.DictReader(file)}
    clusters = folder / "clusters_derived.csv"
    if not clusters.exists():
        clusters = folder / "pairs_or_clusters.csv"
    with clusters.open(newline="", encoding="utf-8-sig") as file:
        cluster_of.update((row["record_id"], row["cluster_id"]) for row in csv.DictReader(file))
    return cluster_of


def score(cluster_of: dict[str, str], sure: Pairs, maybe: Pairs) -> dict:
    """Count what was removed rightly and wrongly, without the maybes and with those that are true."""
    group_of, members = {r: r for r in cluster_of}, {r: [r] for r in cluster_of}

    def join(one: str, other: str) -> None:
        x, y = group_of[one], group_of[other]
        if x != y:
            for r in members[y]:
                group_of[r] = x
            members[x] += members.pop(y)

    def counts() -> tuple[int, int]:
        groups: defaultdict[str, set[str]] = defaultdict(set)
        for r, c in cluster_of.items():
            groups[c].add(group_of[r])
        wrong = sum(len({cluster_of[r] for r in group}) - 1 for group in members.values())
        return sum(len(group) - 1 for group in groups.values()), wrong

    for one, other in sure:
        join(one, other)
    to_remove = len(cluster_of) - len(set(cluster_of.values()))
    missed, wrong = counts()
    # One question for each pair of groups.
    questions = {frozenset((group_of[a], group_of[b])) for a, b in maybe if group_of[a] != group_of[b]}
    true = 0
    for x, y in map(sorted, questions):
        if {cluster_of[r] for r in members[group_of[x]]} & {cluster_of[r] for r in members[group_of[y]]}:
            true += 1
            join(x, y)
    missed_after, _ = counts()
    return {
        "records": len(cluster_of),
        "to_remove": to_remove,
        "found": to_remove - missed,
        "wrong": wrong,
        "found_with_maybes": to_remove - missed_after,
        "maybes": len(questions),
        "maybes_true": true,
    }


def measured(python: str, *arguments: str) -> dict:
    """Run this file in a process of its own; return what it says."""
    done = subprocess.run([python, __file__, "--worker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def work(task: str, folder: str, *arguments: str) -> None:
    """Do one measurement in this process."""
    tasks: dict[str, Callable[..., dict]] = {
        "triage": ours,
        "bib-dedupe": bib_dedupe,
        "splink": splink,
        "scale": at_scale,
    }
    result = tasks[task](Path(folder), *map(int, arguments))
    kib = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({**result, "mib": kib / 1024}))


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        work(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", help="names, with commas; all when left out")
    parser.add_argument("--bib-dedupe", metavar="PYTHON")
    parser.add_argument("--splink", metavar="PYTHON")
    parser.add_argument("--scale", default="", help="numbers of records, with commas")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    tools = {"triage": sys.executable, "bib-dedupe": options.bib_dedupe, "splink": options.splink}
    print("| set | records | to remove | tool | found | recall | wrong | with maybes | maybes | true | s | MiB |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name in options.sets.split(",") if options.sets else sets_in(options.folder):
        cluster_of = gold(options.folder / name)
        for tool, python in ((tool, python) for tool, python in tools.items() if python):
            got = measured(python, tool, str(options.folder / name))
            row = {
                "set": name,
                "tool": tool,
                **score(cluster_of, got["sure"], got["maybe"]),
                "seconds": got["seconds"],
                "mib": got["mib"],
            }
            results.append(row)
            print(
                f"| {name} | {row['records']} | {row['to_remove']} | {tool} | {row['found']} "
                f"| {row['found'] / row['to_remove']:.4f} | {row['wrong']} "
                f"| {row['found_with_maybes'] / row['to_remove']:.4f} | {row['maybes']} | {row['maybes_true']} "
                f"| {row['seconds']:.2f} | {row['mib']:.0f} |",
                flush=True,
            )
    if options.scale:
        print("\n| records | copies | rightly removed | wrongly | maybes | CPU s | records/s | MiB |")
        print("|---|---|---|---|---|---|---|---|")
    for n in filter(None, options.scale.split(",")):
        got = measured(sys.executable, "scale", str(options.folder), n)
        results.append({"records": int(n), **got})
        print(
            f"| {n} | {got['copies']} | {got['right']} | {got['wrong']} | {got['maybe']} | {got['seconds']:.1f} "
            f"| {int(n) / got['seconds']:.0f} | {got['mib']:.0f} |",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
