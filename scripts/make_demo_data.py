"""Make data/demo from the labelled review Menon 2022 of SYNERGY (CC0).

Usage: python scripts/make_demo_data.py MENON_2022.csv

The review's records are spread over three export files, as three databases would give them, with
some records in two of them in the way that databases differ. What the source does not hold and a
format needs (PubMed identifiers) is made up and marked so. The same source always gives the same files.
"""

import csv
import re
import sys
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parents[1] / "data" / "demo"
MADE = "made for the demonstration; not a PubMed identifier"
COLUMNS = ("Article Title", "Authors", "Source Title", "Publication Year", "DOI", "Abstract", "Document Type", "OpenAlex")


def main(source: Path) -> None:
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["doi"] = re.sub(r"^https?://doi\.org/", "", row["doi"])
    rng = np.random.default_rng(2022)
    home = rng.choice(3, len(rows), p=[0.45, 0.35, 0.2])
    files: list[list[dict]] = [[], [], []]
    for i, row in enumerate(rows):
        files[home[i]].append({**row, "number": i})
    # One record in ten is in a second database, told there a little differently.
    for i in sorted(rng.choice(len(rows), len(rows) // 10, replace=False)):
        other = (home[i] + 1 + rng.integers(2)) % 3
        files[other].append({**differently(rows[i], int(rng.integers(4))), "number": int(i)})
    for records in files:
        records.sort(key=lambda r: (r["number"] * 7919) % 10_007)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "pubmed.nbib").write_text("\n".join(map(nbib, files[0])), encoding="utf-8")
    (OUT / "scopus.ris").write_text("\n".join(map(ris, files[1])), encoding="utf-8")
    with (OUT / "web_of_science.csv").open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(map(wos, files[2]))
    with (OUT / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("openalex", "label"))
        table.writerows((row["record_id"], row["label"]) for row in rows)
    print([len(records) for records in files], sum(row["label"] == "1" for row in rows))


def differently(row: dict, how: int) -> dict:
    """Tell a record as another database does; each change is one that real exports show."""
    if how == 0 and row["abstract"]:
        return {**row, "abstract": ""}
    if how == 1 and row["authors"]:
        return {**row, "doi": "", "authors": "; ".join(map(initials, row["authors"].split("; ")))}
    if how == 2:
        return {**row, "doi": row["doi"].upper()}
    return {**row, "title": row["title"].rstrip(".") + "."}


def initials(name: str) -> str:
    *given, family = name.split()
    return f"{family}, {' '.join(part[0] + '.' for part in given)}" if given else family


def nbib(row: dict) -> str:
    lines = [
        ("PMID", str(90_000_000 + row["number"])), ("OWN", "DEMO"), ("GN", f"The PMID is {MADE}."), ("TI", row["title"]),
        ("AB", row["abstract"]), *(("FAU", name) for name in filter(None, row["authors"].split("; "))),
        ("DP", row["year"]), ("JT", row["journal"]), ("PT", "Journal Article"), ("AID", row["doi"] and f"{row['doi']} [doi]"),
        ("OID", row["record_id"]),
    ]
    return "".join(f"{tag:<4}- {wrapped(value)}\n" for tag, value in lines if value)


def wrapped(value: str) -> str:
    lines, line = [], ""
    for word in value.split():
        if line and len(line) + len(word) > 80:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return "\n      ".join([*lines, line])


def ris(row: dict) -> str:
    lines = [
        ("TY", "JOUR"), ("TI", row["title"]), *(("AU", name) for name in filter(None, row["authors"].split("; "))),
        ("PY", row["year"]), ("T2", row["journal"]), ("AB", row["abstract"]), ("DO", row["doi"]), ("M3", "Article"),
        ("DB", "Scopus"), ("C1", row["record_id"]),
    ]
    return "".join(f"{tag}  - {value}\n" for tag, value in lines if value) + "ER  - \n"


def wos(row: dict) -> tuple[str, ...]:
    return (row["title"], row["authors"], row["journal"], row["year"], row["doi"], row["abstract"], "Article",
            row["record_id"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
