"""Write the tables that documents take from the program's own catalogues, between their marks.

    python scripts/tools/write_tables.py

README.md has the stopping rules by what they promise. tests/test_docs.py fails while a document is not what this script
makes of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from triage.stopping_rules import PROMISES, RULES

README = ROOT / "README.md"
BEGIN, END = "<!-- begin: made by scripts/tools/write_tables.py -->", "<!-- end -->"


def rules() -> Iterator[str]:
    """Yield the table of the stopping rules, a line for each promise."""
    yield "| promise | means | rules |"
    yield "|---|---|---|"
    for promise, means in PROMISES.items():
        rows = (row for row in RULES.values() if row.promise == promise)
        names = ", ".join(f"`{row.name}`" + (f" ({row.looks})" if row.looks else "") for row in rows)
        yield f"| {promise} | {means} | {names} |"


def page(text: str) -> str:
    """Return the README with what is between the marks made anew."""
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    table = "\n".join(rules())
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(page(README.read_text(encoding="utf-8")), encoding="utf-8")
