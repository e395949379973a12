"""Draw docs/architecture.svg and the table of docs/architecture.md from the package itself.

    python scripts/tools/draw_architecture.py

The levels are those that tests/test_architecture.py holds the package to, the arrows are its imports, and the words are
the first sentences of its modules. tests/test_docs.py fails while the two files are not what this script makes of them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from test_architecture import LEVELS, MODULES, PACKAGE, imports, level, unit

PAGE = ROOT / "docs" / "architecture.md"
PICTURE = ROOT / "docs" / "architecture.svg"
BEGIN, END = "<!-- begin: made by scripts/tools/draw_architecture.py -->", "<!-- end -->"
NAMES = {
    6: "python -m",
    5: "commands",
    4: "interfaces",
    3: "a review at work",
    2: "storage",
    1: "methods",
    0: "vocabulary",
    -1: "used everywhere",
}
WIDTH, LEFT, ROW, BOX, LETTER, GAP = 1180, 150, 86, 30, 7.4, 16


def graph() -> dict[str, set[str]]:
    """Return which part of the package imports which."""
    found: dict[str, set[str]] = {name: set() for number in sorted(LEVELS) for name in sorted(LEVELS[number])}
    for path in MODULES:
        if (me := unit(path)) in found:
            found[me] |= {name for name, ours, _ in imports(path) if ours and name in found and name != me}
    return found


def without_detours(found: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Leave an import out where a longer way leads to the same part, and all that lead to the lowest level."""

    def reached(start: str, but: str) -> set[str]:
        seen: set[str] = set()
        ahead = [name for name in found[start] if name != but]
        while ahead:
            if (name := ahead.pop()) not in seen:
                seen.add(name)
                ahead += found[name]
        return seen

    lowest = LEVELS[min(LEVELS)]
    return {me: {name for name in names - lowest if name not in reached(me, name)} for me, names in found.items()}


def rows(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the parts in rows, the highest first: by level, and within a level below what imports them."""

    def depth(name: str) -> int:
        above = [me for me, names in arrows.items() if name in names and level(me) == level(name)]
        return max(map(depth, above), default=-1) + 1

    places = {name: (-level(name), depth(name)) for name in arrows}
    made = [sorted(name for name in places if places[name] == place) for place in sorted(set(places.values()))]
    # Each part goes towards the middle of those that it is joined to, some times up and down.
    at = {name: (i + 0.5) / len(row) for row in made for i, name in enumerate(row)}
    for _ in range(12):
        for row in made:
            middle = {}
            for name in row:
                near = [at[other] for other in arrows if other in arrows[name] or name in arrows[other]]
                middle[name] = sum(near) / len(near) if near else at[name]
            row.sort(key=lambda name: (middle[name], name))
            at |= {name: (i + 0.5) / len(row) for i, name in enumerate(row)}
    return made


def picture() -> str:
    """Return the picture: a row for each level, an arrow from each part to what it imports."""
    arrows = without_detours(graph())
    made = rows(arrows)
    box: dict[str, tuple[float, float, float]] = {}
    for n, row in enumerate(made):
        widths = [LETTER * len(name) + 22 for name in row]
        spare = (WIDTH - LEFT - 20 - sum(widths)) / (len(row) + 1)
        x = LEFT + max(spare, GAP / 2)
        for name, width in zip(row, widths, strict=True):
            box[name] = (x, 20 + n * ROW, width)
            x += width + max(spare, GAP / 2)
    height = len(made) * ROW + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
        "<title>Which part of triage imports which</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#5b6b7b"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for number in sorted(LEVELS, reverse=True):
        its = [n for n, row in enumerate(made) if level(row[0]) == number]
        top, tall = 6 + its[0] * ROW, len(its) * ROW - 6
        lines.append(
            f'<rect x="6" y="{top}" width="{WIDTH - 12}" height="{tall}" rx="6" fill="#f2f5f8"/>'
            f'<text x="18" y="{top + 24}" fill="#44525f">{NAMES[number]}</text>'
        )
    for me, names in arrows.items():
        x, y, width = box[me]
        for name in sorted(names):
            to_x, to_y, to_width = box[name]
            start, end = x + width / 2, to_x + to_width / 2
            bend = (to_y - y - BOX) / 2
            lines.append(
                f'<path d="M{start:.1f} {y + BOX}C{start:.1f} {y + BOX + bend:.1f} {end:.1f} {to_y - bend:.1f} '
                f'{end:.1f} {to_y}" fill="none" stroke="#5b6b7b" stroke-opacity=".6" marker-end="url(#tip)"/>'
            )
    for name, (x, y, width) in box.items():
        lines.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BOX}" rx="4" fill="#fff" stroke="#44525f"/>'
            f'<text x="{x + width / 2:.1f}" y="{y + 20}" text-anchor="middle">{escape(name)}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


def purpose(name: str) -> str:
    """Return the first sentence of the docstring of a part."""
    path = PACKAGE.joinpath(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())


def table() -> str:
    """Return a line for each part: its level, its name and what it is for."""
    lines = ["| level | part | what it is for |", "|---|---|---|"]
    for number in sorted(LEVELS, reverse=True):
        for n, name in enumerate(sorted(LEVELS[number])):
            path = PACKAGE.joinpath(*name.split("."))
            target = f"../triage/{name.replace('.', '/')}{'/' if path.is_dir() else '.py'}"
            lines.append(f"| {'' if n else NAMES[number]} | [`{name}`]({target}) | {purpose(name)} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """Return the page with what is between the marks made anew."""
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
