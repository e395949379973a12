"""Make data/demo from the labelled review Menon 2022 of SYNERGY (CC0).

Usage: python scripts/tools/make_demo_data.py [MENON_2022.csv]

The review's records are spread over three export files, as three databases would give them, one record
in ten being in two of them and told there a little differently. What the source does not hold and a
format needs (PubMed identifiers) is made up and marked so. The same source always gives the same files.
"""

import csv
import re
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT.parent / "shared" / "data" / "screening" / "tune" / "menon_2022.csv"
OUT = ROOT / "data" / "demo"
SEED = 2022
SHARES = (0.45, 0.35, 0.2)  # of PubMed, Scopus and Web of Science
MADE = "The PMID is made for the demonstration; it is no PubMed identifier."
FIRST_PMID = 90_000_000
COLUMNS = (
    "Article Title",
    "Authors",
    "Source Title",
    "Publication Year",
    "DOI",
    "Abstract",
    "Document Type",
    "OpenAlex",
)
PARTICLES = frozenset("al da de del den der di do dos du el la le ten ter van von".split())


def main(source: Path = SOURCE) -> None:
    """Write the three exports and the known labels."""
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["doi"] = re.sub(r"^https?://doi\.org/", "", row["doi"])
        row["pmid"] = str(FIRST_PMID + number)
    rng = np.random.default_rng(SEED)
    home = rng.choice(3, len(rows), p=SHARES)
    files: list[list[dict]] = [[], [], []]
    for row, at in zip(rows, home, strict=True):
        files[at].append(row)
    for i in sorted(rng.choice(len(rows), len(rows) // 10, replace=False)):
        other = (home[i] + 1 + rng.integers(2)) % 3
        files[other].append(differently(rows[i], int(rng.integers(4))))
    for records in files:
        rng.shuffle(records)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "pubmed.nbib").write_text("\n".join(map(nbib, files[0])), encoding="utf-8")
    (OUT / "scopus.ris").write_text("\n".join(map(ris, files[1])), encoding="utf-8")
    with (OUT / "web_of_science.csv").open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(map(web_of_science, files[2]))
    with (OUT / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("openalex", "label", "doi", "title"))
        table.writerows((row["record_id"], row["label"], row["doi"], row["title"]) for row in rows)
    relevant = sum(row["label"] == "1" for row in rows)
    print(f"{' + '.join(str(len(records)) for records in files)} records; {relevant} relevant of {len(rows)}")


def differently(row: dict, how: int) -> dict:
    """Tell a record as another database does; each change is one that real exports show."""
    if how == 0:
        return {**row, "abstract": ""}
    if how == 1:
        return {**row, "doi": ""}
    if how == 2:
        return {**row, "doi": row["doi"].upper()}
    return {**row, "title": re.sub(r"</?i>|</?su[bp]>", "", row["title"]).upper() + "."}


def family_and_given(name: str) -> tuple[str, list[str]]:
    """Split "Ana de la Cruz" into ("de la Cruz", ["Ana"])."""
    words = name.split()
    at = len(words) - 1
    while at > 1 and words[at - 1].lower() in PARTICLES:
        at -= 1
    return " ".join(words[at:]), words[:at]


def authors(row: dict, initials: bool) -> list[str]:
    """Return the authors as "Family, Given", or with initials for the given names."""
    names = [family_and_given(name) for name in row["authors"].split("; ") if name.strip()]
    return [
        f"{family}, {' '.join(word[0] + '.' if initials else word for word in given)}" if given else family
        for family, given in names
    ]


def nbib(row: dict) -> str:
    """Write one record as PubMed does: tags of four characters, lines indented by six."""
    fields = [
        ("PMID", row["pmid"]),
        ("OWN", "DEMO"),
        ("GN", MADE),
        ("TI", row["title"]),
        ("AB", row["abstract"]),
        *(("FAU", name) for name in authors(row, initials=False)),
        ("PT", "Journal Article"),
        ("DP", row["year"]),
        ("JT", row["journal"]),
        ("AID", row["doi"] and f"{row['doi']} [doi]"),
        ("OID", row["record_id"]),
    ]
    return "".join(f"{tag:<4}- {wrapped(value)}\n" for tag, value in fields if value)


def wrapped(value: str) -> str:
    """Break a text into lines of some 80 characters, each but the first indented."""
    lines = [""]
    for word in value.split():
        if lines[-1] and len(lines[-1]) + len(word) > 80:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n      ".join(lines)


def ris(row: dict) -> str:
    """Write one record as Scopus does."""
    fields = [
        ("TY", "JOUR"),
        ("TI", row["title"]),
        *(("AU", name) for name in authors(row, initials=True)),
        ("PY", row["year"]),
        ("T2", row["journal"]),
        ("DO", row["doi"]),
        ("AB", row["abstract"]),
        ("M3", "Article"),
        ("DB", "Scopus"),
        ("C1", row["record_id"]),
    ]
    return "".join(f"{tag}  - {value}\n" for tag, value in fields if value) + "ER  - \n"


def web_of_science(row: dict) -> tuple[str, ...]:
    """Return one row of a Web of Science table."""
    names = "; ".join(authors(row, initials=False))
    return (row["title"], names, row["journal"], row["year"], row["doi"], row["abstract"], "Article", row["record_id"])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
