"""Make the small exports of docs/tutorial.md: data/peer_support/pubmed.nbib, psycinfo.ris and the decisions.

Usage: python scripts/peer_support/sample.py

The records of the published review are not public. These are real records of a review on personality disorders (SYNERGY,
Oud_2018, CC0), written as PubMed and Ovid write them; the decisions are rules on words (replay.py). With the full
replay they share the protocol and the stages, not the numbers.
"""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import replay
from exports import FIRST_MADE_PMID, SEED, Exports, Teller, Work, _distinct, _record, _rows, _work

DATA = replay.DATA / "screening"
FOLDER = replay.PROTOCOL.parent
WORKS, IN_PUBMED, COPIES = 160, 110, 30
STAGES = {"abstract": 40, "quality": 28, "full-text": 12}
TAGS = {"review": 3, "qualitative": 5, "quantitative": 4}


def works() -> list[Work]:
    """Return the records with an abstract, the same ones each time."""
    [path] = DATA.glob("*/oud_2018.csv")
    found = []
    for row in _rows(path):
        work = row.get("journal") and _work(_record(row, tuple(row["authors"].split(";"))), "", "", "", "")
        if work and work.abstract and work.language == "English":
            found.append(work)
    rng = np.random.default_rng(SEED)
    some = _distinct(found)
    return [some[i] for i in rng.choice(len(some), WORKS, replace=False)]


def main() -> None:
    """Write the files."""
    rng = np.random.default_rng(SEED)
    teller = Teller(rng)
    known = [replace(work, made_pmid=str(FIRST_MADE_PMID + i)) for i, work in enumerate(works())]
    pubmed = [teller.tell(work, "PubMed", False) for work in known[:IN_PUBMED]]
    (FOLDER / "pubmed.nbib").write_text("".join(pubmed), encoding="utf-8", newline="")
    copies = sorted(int(i) for i in rng.choice(IN_PUBMED, COPIES, replace=False))
    told = [(known[i], False) for i in range(IN_PUBMED, WORKS)] + [(known[i], True) for i in copies]
    ovid = [f"{n}.\r\n{teller.tell(work, 'PsycINFO', is_copy)}\r\n" for n, (work, is_copy) in enumerate(told, 1)]
    (FOLDER / "psycinfo.ris").write_text("".join(ovid), encoding="utf-8", newline="")
    exports = Exports({}, works=dict(enumerate(known, 1)))
    replay.STAGES, replay.TAGS = STAGES, TAGS
    for stage, rows in replay.decisions(exports).items():
        with (FOLDER / f"{stage}.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("record_id", "label", "reason", "tags"))
            table.writerows(rows)


if __name__ == "__main__":
    main()
