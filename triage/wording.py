"""How numbers and names are written in sentences, everywhere the same: 1 record, 12,000 records, 1,900 a second."""

from __future__ import annotations

import math

_JOINERS = "\u200c\u200d"  # they have no width; Persian and the scripts of India need them


def printable(text: str) -> str:
    r"""Return text of a file, a name or a title as one line without what would steer a terminal or reorder what it shows.

    Examples
    --------
    >>> printable("a\x1b[2Jb\nc")
    'a[2Jb c'
    """
    return " ".join(printable_lines(text).split())


def printable_lines(text: str) -> str:
    """Return text without what would steer a terminal, its line ends and tabs kept."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _instead(c) for c in text)


def _instead(character: str) -> str:
    if character in _JOINERS:
        return character
    if "\ud800" <= character <= "\udfff":  # a byte of a file's name that is no UTF-8
        return character.encode("utf-8", "backslashreplace").decode("ascii")
    return " " if character.isspace() else ""


def plural(n: int, one: str, many: str = "") -> str:
    """Write a count and what is counted: `plural(1, "record")` is "1 record", `plural(0, "record")` "0 records".

    Parameters
    ----------
    n : int
    one : str
        The noun for one, with what comes before it, such as "audit draw".
    many : str
        That for any other number; `one` and an s when left out.
    """
    return f"{n:,} {agree(n, one, many or one + 's')}"


def agree(n: int, one: str, many: str) -> str:
    """Return the form that goes with a count, such as "it" or "them"."""
    return one if n == 1 else many


def is_are(n: int) -> str:
    """Return the verb of what is counted: 1 is, 0 or 12 are."""
    return agree(n, "is", "are")


def was_were(n: int) -> str:
    """Return the verb of what was counted: 1 was, 0 or 12 were."""
    return agree(n, "was", "were")


def about(n: float, one: str, many: str = "") -> str:
    """Write an estimated count as the whole number that it is a guess of.

    `about(2.6, "relevant record")` is "about 3 relevant records", and `about(0.2, ...)` "fewer than 1 relevant record".
    """
    return f"about {plural(round(n), one, many)}" if round(n) else f"fewer than 1 {one}"


def rate(per_second: float) -> str:
    """Write a rate with two figures that mean something: 0.25, 3.4, 48, 520, 510,000."""
    if per_second <= 0:
        return "0"
    rounded = float(f"{per_second:.1e}")
    return f"{rounded:,.{max(0, 1 - math.floor(math.log10(rounded)))}f}"


def span(seconds: float) -> str:
    """Write how long something takes, in the unit that fits: 40 s, 12 min, 2.5 h, 120 h."""
    if seconds < 89.5:
        return f"{seconds:.0f} s"
    if seconds < 89.5 * 60:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 9.95 else f"{hours:,.0f} h"


def percent(share: float) -> str:
    """Write a share, such as a target."""
    return f"{100 * share:.4g} %"


def floor_percent(bound: float) -> str:
    """Write a lower bound: it is cut, never rounded up."""
    # 0.57 * 1000 is 569.9999999999999: a bound must not lose a tenth to that.
    return f"{math.floor(1000 * bound + 1e-9) / 10:g} %"
