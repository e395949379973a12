"""What both figures are drawn with: text that is measured and broken into lines, arrows, and the SVG around them."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Iterable

# What XML forbids, and the marks that turn the direction of the text after them.
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

WIDTH = 760  # user units of both figures; about one CSS pixel each on a wide screen
SIZE, LINE = 12.5, 17.0  # font size and line height
PAD = 10.0  # between a box's frame and its text
BOLD = 1.1  # how much wider bold letters are
_MOST_LINES = 5  # that one entry of a box may take before it is cut short


def clean(text: str) -> str:
    """Drop what XML forbids and what turns the text after it, and make one line of it."""
    return " ".join(re.split(r"[ \t\r\n]+", UNPRINTABLE.sub("", text).strip()))


def escaped(text: str) -> str:
    """Return text escaped for SVG."""
    return html.escape(clean(text).replace("\u00a0", " "))


def text_width(text: str, size: float = SIZE) -> float:
    """Return the room that `text` needs, in user units: a little more than Helvetica's, for wider fonts."""
    ems = 0.0
    for c in text:
        if unicodedata.combining(c):
            continue
        if unicodedata.east_asian_width(c) in "WF":
            ems += 1.0
        elif c in "iljtfrI.,:;'|!()[]/- ":
            ems += 0.35
        elif c in "mwMW@%&":
            ems += 0.92
        else:
            ems += 0.71 if c.isupper() else 0.57
    return ems * size


def wrapped(text: str, width: float) -> list[str]:
    """Break `text` into `_MOST_LINES` lines at most, none wider than `width`, inside a word if need be."""
    lines, line = [], ""
    # No line holds more than 200 letters, so a text of any length costs no more than what is shown.
    for word in clean(text)[: 200 * _MOST_LINES].split(" "):
        while word:
            joined = f"{line} {word}" if line else word
            if text_width(joined) <= width:
                line, word = joined, ""
            elif line:
                lines.append(line)
                line = ""
            else:
                fits = 1
                while text_width(word[: fits + 1]) <= width:
                    fits += 1
                lines.append(word[:fits])
                word = word[fits:]
    lines.append(line)
    if len(lines) <= _MOST_LINES:
        return lines
    last = lines[_MOST_LINES - 1]
    while last and text_width(last + "…") > width:
        last = last[:-1]
    return [*lines[: _MOST_LINES - 1], last.rstrip() + "…"]


def set_text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    bold: bool = False,
    size: float = SIZE,
    fill: str = "currentColor",
) -> str:
    """Set one line of text."""
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"{weight}>'
        f"{escaped(text)}</text>"
    )


def arrow(*points: tuple[float, float]) -> str:
    """Draw a line through `points`, the last piece along an axis, with a head at its end."""
    (x0, _), (x, y) = points[-2:]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    if x == x0:
        head = f"{x - 4:.1f},{y - 8:.1f} {x + 4:.1f},{y - 8:.1f} {x:.1f},{y:.1f}"
    else:
        head = f"{x - 8:.1f},{y - 4:.1f} {x - 8:.1f},{y + 4:.1f} {x:.1f},{y:.1f}"
    return (
        f'<polyline points="{line}" fill="none" stroke="currentColor"/><polygon points="{head}" fill="currentColor"/>'
    )


def svg(key: str, title: str, desc: str, height: float, body: Iterable[str], *, standalone: bool = False) -> str:
    """Put a figure's elements into an SVG that says itself in words, too.

    Inside a page the figure takes the page's ink, paper and width; a file of its own (`standalone`) brings black
    on white, and a size.
    """
    margin, size, paper = 0, 'width="100%"', ""
    if standalone:
        margin = 12
        size = f'width="{WIDTH + 2 * margin}" height="{math.ceil(height) + 2 * margin}" color="#000"'
        paper = f'<rect x="-{margin}" y="-{margin}" width="100%" height="100%" fill="#fff"/>'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-margin} {-margin} {WIDTH + 2 * margin} '
            f'{math.ceil(height) + 2 * margin}" {size} role="img" aria-labelledby="{key}-title {key}-desc" '
            'font-family="Helvetica, Arial, Liberation Sans, sans-serif">',
            f'<title id="{key}-title">{escaped(title)}</title>',
            f'<desc id="{key}-desc">{escaped(desc)}</desc>{paper}',
            *body,
            "</svg>\n",
        )
    )
