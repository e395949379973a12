"""The curve of relevant records found against records screened."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..log import History, Origin
from ..status import Status
from ..wording import plural
from .drawing import WIDTH, set_text, svg

_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 210.0, 14.0, 62.0  # margins round the curve's axes
_CURVE_HEIGHT = 360.0
_MOST_POINTS = 1_000  # of the curve: more than it has columns of pixels
_BEYOND = 3.0  # a bound so many times the finds would flatten the curve; it is only given in words


def discovery_curve(history: History, status: Status) -> str:
    """Draw the relevant records found against the records screened, in the order of first showing.

    Parameters
    ----------
    history : History
    status : Status
        For the estimated total and the certificate's bound.

    Returns
    -------
    str
        SVG; "" while nothing is screened.
    """
    judged = history.judged
    n, found = history.n_screened, history.n_found
    if n == 0:
        return ""
    total, most = _totals(status, found)
    x_end = min(history.n_total, 4 * n)
    drawn = [v for v in (found, total, most) if v is not None and v <= _BEYOND * max(found, total or 0, 1)]
    y_step, x_step = _nice_step(max(drawn) * 1.04, 6), _nice_step(x_end, 6)
    y_end = max(1, math.ceil(max(drawn) * 1.04 / y_step)) * y_step
    bottom = _CURVE_HEIGHT - _BOTTOM

    def x_of(records: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * records / x_end

    def y_of(relevant: float) -> float:
        return bottom - (bottom - _TOP) * relevant / y_end

    body = []
    for tick in range(0, y_end + 1, y_step):
        body.append(
            f'<path d="M{_LEFT} {y_of(tick):.1f}H{WIDTH - _RIGHT}" stroke="currentColor" stroke-opacity="0.13"/>'
        )
        body.append(set_text(_LEFT - 8, y_of(tick) + 4, f"{tick:,}", anchor="end", size=11.5))
    for tick in range(0, x_end + 1, x_step):
        body.append(f'<path d="M{x_of(tick):.1f} {bottom:.1f}v5" stroke="currentColor"/>')
        body.append(set_text(x_of(tick), bottom + 19, f"{tick:,}", anchor="middle", size=11.5))
    body.append(f'<path d="M{_LEFT} {bottom:.1f}H{WIDTH - _RIGHT}" stroke="currentColor"/>')
    body.append(set_text((_LEFT + WIDTH - _RIGHT) / 2, bottom + 42, "Records screened", anchor="middle"))
    body.append(
        f'<g transform="rotate(-90 16 {(bottom + _TOP) / 2:.1f})">'
        f"{set_text(16, (bottom + _TOP) / 2, 'Relevant records found', anchor='middle')}</g>"
    )
    body += _rug(np.flatnonzero(history.origin[judged] == str(Origin.AUDIT)) + 1, x_of, bottom)
    labels = []
    if most is not None:
        colour, says = "var(--certificate, #000)", f"at most {most:,} relevant in all"
        if most <= y_end:
            body.append(_level(y_of(most), colour, "7 4"))
            labels.append((y_of(most), colour, "Certificate:", says))
        else:
            labels.append((y_of(y_end), colour, "Certificate (off the scale):", says))
    if total is not None:
        colour = "var(--estimate, #000)"
        body.append(_level(y_of(total), colour, "2 3"))
        labels.append((y_of(total), colour, "Estimate (no guarantee):", f"{total:,} relevant in all"))
    colour = "var(--curve, #000)"
    labels.append((y_of(found), colour, "Found so far:", f"{found:,} in {plural(n, 'record')}"))
    curve = np.concatenate(([0], np.cumsum(history.y[judged] == 1)))
    at = np.unique(np.linspace(0, n, min(n, _MOST_POINTS) + 1).round().astype(np.int64))
    points = " ".join(f"{x_of(i):.1f},{y_of(curve[i]):.1f}" for i in at.tolist())
    body.append(
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-linejoin="round"/>'
    )
    body.append(f'<circle cx="{x_of(n):.1f}" cy="{y_of(found):.1f}" r="3.5" fill="{colour}"/>')
    if x_of(n) < WIDTH - _RIGHT - 5:
        body.append(
            f'<path d="M{x_of(n):.1f} {y_of(found):.1f}H{WIDTH - _RIGHT}" stroke="{colour}" stroke-opacity="0.35"/>'
        )
    body += _margin_labels(labels)
    desc = f"{plural(found, 'relevant record')} found in {n:,} screened, of {history.n_total:,}." + "".join(
        f" {first} {second}." for _, _, first, second in labels[:-1]
    )
    return svg("curve", "Relevant records found against records screened", desc, _CURVE_HEIGHT, body)


def _totals(status: Status, found: int) -> tuple[int | None, int | None]:
    """Return the estimated number of relevant records and the certificate's upper bound on it."""
    total, certificate = status.estimate.relevant_total, status.certificate
    return None if total is None else round(
        total
    ), found + certificate.missed_upper if certificate.audit_draws else None


def _nice_step(end: float, ticks: int) -> int:
    """Return the least of 1, 2, 5, 10, 20, 50 ... that divides 0 to `end` by no more than `ticks` ticks."""
    power = 10 ** max(0, math.floor(math.log10(max(end, 1) / ticks)))
    step: int = next(m * power for m in (1, 2, 5, 10, 20) if m * power * ticks >= end)
    return step


def _level(y: float, colour: str, dashes: str) -> str:
    return (
        f'<path d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}" stroke="{colour}" stroke-width="1.6" '
        f'stroke-dasharray="{dashes}"/>'
    )


def _rug(draws: np.ndarray, x_of: Callable[[float], float], bottom: float) -> list[str]:
    if not len(draws):
        return []
    # One mark for each unit of width: more could not be told apart.
    columns = dict.fromkeys(round(x_of(i)) for i in draws.tolist())
    marks = "".join(f"M{x} {bottom - 7:.1f}v7" for x in columns)
    y = bottom - 4
    return [
        f'<path d="{marks}" stroke="currentColor" stroke-opacity="0.3"/>',
        set_text(WIDTH - _RIGHT + 14, y + 4, f"Marks: {plural(len(draws), 'audit draw')}", size=11.5),
    ]


def _margin_labels(labels: Sequence[tuple[float, str, str, str]]) -> list[str]:
    """Set two-line labels in the right margin beside their levels, moved apart where they would overlap.

    Parameters
    ----------
    labels : sequence of (level, colour, first line, second line)
    """
    x, room = WIDTH - _RIGHT, 34.0
    ordered = sorted(labels, key=lambda label: label[0])
    places: list[float] = []
    for level, *_ in ordered:
        places.append(max(level, places[-1] + room if places else _TOP + 8))
    # What was pushed below the axes' lowest third, where the marks are explained, moves back up.
    lowest = _CURVE_HEIGHT - _BOTTOM - 30
    for i in reversed(range(len(places))):
        places[i] = min(places[i], lowest)
        lowest = places[i] - room
    drawn = []
    for place, (level, colour, first, second) in zip(places, ordered, strict=True):
        drawn.append(f'<path d="M{x:.1f} {level:.1f}L{x + 10:.1f} {place:.1f}" stroke="{colour}"/>')
        drawn.append(set_text(x + 14, place - 2, first, size=11.5, fill=colour, bold=True))
        drawn.append(set_text(x + 14, place + 12, second, size=11.5))
    return drawn
