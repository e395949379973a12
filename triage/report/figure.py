"""The flow figure: boxes for the records that are left and, beside them, for those that leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from ..errors import InputError
from ..flow import NO_REASON, Flow, StageFlow
from ..protocol.model import Protocol
from ..wording import is_are, plural
from .drawing import BOLD, LINE, PAD, WIDTH, arrow, set_text, svg, text_width, wrapped

HIDEABLE = ("sources", "reasons", "tags", "steps")
_BAND = 24.0  # width of the strips that name the phases
_MAIN_X, _MAIN_WIDTH = 36.0, 332.0
_SIDE_X = 410.0
_SIDE_WIDTH = WIDTH - _SIDE_X - 1
_ROW_GAP = 28.0
_INDENT = 10.0  # of an entry's further lines


class _Line(NamedTuple):
    """A line of a box, and the count at its end."""

    text: str
    n: int | None = None
    bold: bool = False
    indent: float = 0.0


@dataclass(frozen=True, slots=True)
class _Box:
    """A box of the flow figure: a heading and n, perhaps a second, entries with their counts, dashed for what is open."""

    heading: str
    n: int
    entries: tuple[tuple[str, int], ...] = ()
    is_open: bool = False
    second: tuple[str, int] | None = None

    def lines(self, width: float) -> list[_Line]:
        """Return the lines to set in a box of this width."""
        inner = width - 2 * PAD
        lines = []
        for text, n in ((self.heading, self.n), *((self.second,) if self.second else ())):
            # Unbroken spaces keep the count on one line; a heading cut short must not lose it.
            count = f"(n\u00a0=\u00a0{n:,})"
            heading = wrapped(f"{text} {count}", inner / BOLD)
            if not heading[-1].endswith(count):
                heading.append(count)
            lines += [_Line(line, bold=True) for line in heading]
        for text, n in self.entries:
            first, *rest = wrapped(text, inner - text_width(f"{n:,}") - 14 - _INDENT)
            lines += [_Line(first, n), *(_Line(line, indent=_INDENT) for line in rest)]
        return lines

    def height(self, width: float) -> float:
        return len(self.lines(width)) * LINE + 2 * PAD - 4

    def draw(self, x: float, y: float, width: float, height: float) -> list[str]:
        lines = self.lines(width)
        dashes = ' stroke-dasharray="5 3"' if self.is_open else ""
        drawn = [
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'rx="2" fill="none" stroke="currentColor"{dashes}/>'
        ]
        first = y + PAD + 10 + (height - self.height(width)) / 2
        for i, line in enumerate(lines):
            baseline = first + i * LINE
            drawn.append(set_text(x + PAD + line.indent, baseline, line.text, bold=line.bold))
            if line.n is not None:
                drawn.append(set_text(x + width - PAD, baseline, f"{line.n:,}", anchor="end"))
        return drawn

    def __str__(self) -> str:
        counts = (*((self.second,) if self.second else ()), *self.entries)
        return f"{self.heading}: {self.n:,}" + "".join(f"; {text}: {count:,}" for text, count in counts)


@dataclass(frozen=True, slots=True)
class _Row:
    """A step of the flow figure: the records that are left, and beside them those that leave."""

    phase: str
    main: _Box
    sides: tuple[_Box, ...] = ()


def flow_figure(
    counted: Flow,
    reason_texts: Mapping[str, str],
    *,
    stopped: Mapping[str, str] = MappingProxyType({}),
    hide: Collection[str] = (),
    standalone: bool = False,
) -> str:
    """Draw the flow of records after PRISMA 2020, as SVG in black and white.

    Parameters
    ----------
    counted : Flow
    reason_texts : mapping of str to str
        What the codes of the reasons mean; a reason without an entry is shown as it is.
    stopped : mapping of str to str
        Stages where what is unscreened may stay so, and why: a person stopped them, or their stopping rule is met.
    hide : collection of str
        What to leave out: "sources", "reasons" and "tags", the counts by these; "steps", the boxes between what was
        retrieved and the first stage, so that all that leaves before screening is one box; the name of a
        stage, whose records are then counted with the stage before (for the first, with the one after), so
        that the boxes that are left still add up.
    standalone : bool
        For a file of its own: black on white, whatever the viewer's colours.

    Raises
    ------
    InputError
        When the numbers do not add up, with the sums, or there is nothing of a name in `hide`.
    """
    check_sums(counted)
    counted, stopped = _without_stages(counted, stopped, hide)
    rows = _rows(counted, reason_texts, stopped, hide)
    tops, heights = _row_places(rows)
    body = []
    for i, (row, top) in enumerate(zip(rows, tops, strict=True)):
        # Where a row was made higher for its phase's name and nothing is beside it, the box is, too.
        main_height = row.main.height(_MAIN_WIDTH) if row.sides else heights[i]
        body += row.main.draw(_MAIN_X, top, _MAIN_WIDTH, main_height)
        if i + 1 < len(rows):
            middle = _MAIN_X + _MAIN_WIDTH / 2
            body.append(arrow((middle, top + main_height), (middle, tops[i + 1])))
        side_top, trunk = top, (_MAIN_X + _MAIN_WIDTH + _SIDE_X) / 2
        leave = top + min([main_height, *(s.height(_SIDE_WIDTH) for s in row.sides[:1])]) / 2
        for n, side in enumerate(row.sides):
            side_height = side.height(_SIDE_WIDTH)
            enter = leave if n == 0 else side_top + side_height / 2
            body.append(arrow((_MAIN_X + _MAIN_WIDTH, leave), (trunk, leave), (trunk, enter), (_SIDE_X, enter)))
            body += side.draw(_SIDE_X, side_top, _SIDE_WIDTH, side_height)
            side_top += side_height + 10
    for phase in dict.fromkeys(row.phase for row in rows):
        mine = [i for i, row in enumerate(rows) if row.phase == phase]
        top, bottom = tops[mine[0]], tops[mine[-1]] + heights[mine[-1]]
        x, y = 1 + _BAND / 2, (top + bottom) / 2
        body.append(
            f'<rect x="1" y="{top:.1f}" width="{_BAND}" height="{bottom - top:.1f}" rx="2" '
            f'fill="currentColor" fill-opacity="0.09" stroke="currentColor"/>'
        )
        body.append(
            f'<g transform="rotate(-90 {x:.1f} {y:.1f})">{set_text(x, y + 4.4, phase, anchor="middle", bold=True)}</g>'
        )
    desc = ". ".join(str(box) for row in rows for box in (row.main, *row.sides)) + "."
    return svg(
        "flow", "Flow of records through the review", desc, tops[-1] + heights[-1] + 1, body, standalone=standalone
    )


def _without_stages(counted: Flow, stopped: Mapping[str, str], hide: Collection[str]) -> tuple[Flow, Mapping[str, str]]:
    """Count the records of the stages to hide with a stage beside them; and which stages are then stopped."""
    names = [s.name for s in counted.stages]
    for name in hide:
        if name not in (*HIDEABLE, *names):
            raise InputError(
                f"There is no {name!r} to hide in the flow figure; there are {', '.join(HIDEABLE)}, and the stages "
                f"{', '.join(map(repr, names))}."
            )
    hidden = set(hide) - set(HIDEABLE)
    groups: list[list[StageFlow]] = []
    for stage in counted.stages:
        # Nothing comes before the first, so what is hidden there waits for the next that is shown.
        if groups and (stage.name in hidden or all(s.name in hidden for s in groups[-1])):
            groups[-1].append(stage)
        else:
            groups.append([stage])
    why = {
        _as_one(group).name: next((stopped[s.name] for s in group if s.name in stopped), "")
        for group in groups
        if all(s.name in stopped for s in group if s.unscreened)
    }
    return replace(counted, stages=tuple(map(_as_one, groups))), why


def _as_one(stages: Sequence[StageFlow]) -> StageFlow:
    excluded: Counter[str] = Counter()
    for stage in stages:
        excluded.update(stage.excluded)
    return StageFlow(
        name=", ".join(s.name for s in stages),
        entered=stages[0].entered,
        excluded=dict(excluded),
        unscreened=sum(s.unscreened for s in stages),
        conflicts=sum(s.conflicts for s in stages),
        included=stages[-1].included,
        maybe=stages[-1].maybe,
        not_retrieved=next((s.not_retrieved for s in reversed(stages) if s.not_retrieved), ""),
        machines=tuple(dict.fromkeys(name for s in stages for name in s.machines)),
        marked=stages[0].marked,
        unread=sum(s.unread for s in stages),
    )


def _row_places(rows: Sequence[_Row]) -> tuple[list[float], list[float]]:
    """Return the top and the height of every row, so that each phase's name fits beside its rows."""
    heights = []
    for row in rows:
        side = sum(s.height(_SIDE_WIDTH) + 10 for s in row.sides) - 10
        heights.append(max(row.main.height(_MAIN_WIDTH), side))
    for phase in dict.fromkeys(row.phase for row in rows):
        mine = [i for i, row in enumerate(rows) if row.phase == phase]
        room = sum(heights[i] for i in mine) + _ROW_GAP * (len(mine) - 1)
        heights[mine[-1]] += max(0.0, BOLD * text_width(phase) + 12 - room)
    tops = [1.0]
    for height in heights[:-1]:
        tops.append(tops[-1] + height + _ROW_GAP)
    return tops, heights


def _rows(
    counted: Flow, reason_texts: Mapping[str, str], stopped: Mapping[str, str], hide: Collection[str]
) -> list[_Row]:
    left = counted.n_retrieved
    identified = _Box("Records identified", left, () if "sources" in hide else tuple(counted.retrieved.items()))
    gone = [("Duplicates removed", "duplicates removed", counted.n_duplicates)]
    gone += [
        (f"Removed by the {kind} limit", f"the {kind} limit", n)
        for kind, by in counted.removed.items()
        if (n := sum(by.values()))
    ]
    stages = list(counted.stages)
    if stages[0].name in stopped and (n := stages[0].marked):
        # They never came to be screened: PRISMA 2020 counts them among what is removed before screening.
        gone.append(("Records marked as ineligible by automation tools", "automation tools", n))
        stages[0] = replace(stages[0], entered=stages[0].entered - n, unscreened=stages[0].unscreened - n, marked=0)
    rows = []
    if "steps" in hide and len(gone) > 1:
        entries = tuple((what, n) for what, _, n in gone)
        before_screening = _Box("Records removed before screening", sum(n for _, n in entries), entries)
        rows.append(_Row("Identification", identified, (before_screening,)))
    else:
        for what, after, n in gone:
            rows.append(_Row("Identification", identified, (_Box(what, n),)))
            left -= n
            identified = _Box(f"Records after {after}", left)
    for before, stage in zip((None, *stages), stages):
        sides = _left_boxes(stage, reason_texts, stopped.get(stage.name, ""), "reasons" not in hide)
        rows.append(_Row("Screening", _screened_box(stage, before), sides))
    last = counted.stages[-1]
    # A review is open while any stage has records to settle; one that may stay unread is not.
    is_open = any(s.conflicts or (s.unscreened and s.name not in stopped) for s in counted.stages)
    entries = () if "tags" in hide else tuple(counted.tags.items())
    if last.maybe:
        entries += (("Maybe, to be settled", last.maybe),)
    # As PRISMA 2020 asks, studies are told from their reports; records are reports here.
    so_far = " so far" if is_open else ""
    included = _Box(
        f"Studies included{so_far or ' in review'}",
        counted.n_studies,
        entries,
        second=(f"Reports of included studies{so_far}", last.included),
    )
    rows.append(_Row("Included", included))
    return rows


def _screened_box(stage: StageFlow, before: StageFlow | None) -> _Box:
    entries = []
    if before is not None and before.maybe:
        entries.append((f"of these, maybe at the stage “{before.name}”", before.maybe))
    if stage.unscreened or stage.conflicts:
        entries.append(("of these, screened", stage.entered - stage.unscreened))
        return _Box(f"Records for screening: {stage.name}", stage.entered, tuple(entries))
    return _Box(f"Records screened: {stage.name}", stage.entered, tuple(entries))


def _left_boxes(
    stage: StageFlow, reason_texts: Mapping[str, str], stopped: str, with_reasons: bool
) -> tuple[_Box, ...]:
    reasons: tuple[tuple[str, int], ...] = ()
    excluded = stage.judged_out
    if with_reasons and set(excluded) != {NO_REASON}:
        reasons = tuple((reason_texts.get(code, "").rstrip(". ") or code, n) for code, n in by_count(excluded))
    if stage.unread:
        reasons += (("of these, found by a search and not read", stage.unread),)
    boxes = [_Box("Reports not retrieved", stage.n_not_retrieved)] if stage.n_not_retrieved else []
    # Where automation tools were used, PRISMA 2020 asks how many records were excluded by whom.
    boxes.append(_Box(f"Records excluded{' by a human' * bool(stage.machines)}", sum(excluded.values()), reasons))
    if stage.unscreened:
        what = f"Not screened, {stopped}" if stopped else "Not yet screened"
        marked = (("of these, marked as ineligible by automation tools", stage.marked),) * bool(
            stage.marked and stopped
        )
        boxes.append(_Box(what, stage.unscreened, marked, is_open=True))
    if stage.conflicts:
        boxes.append(_Box("Reviewers disagree, to be settled", stage.conflicts, is_open=True))
    return tuple(boxes)


def check_sums(counted: Flow) -> None:
    """Check that every record of a flow is in exactly one place at every step.

    Raises
    ------
    InputError
        With the sum that does not hold.
    """
    counts = [
        *counted.retrieved.values(),
        *counted.duplicates.values(),
        *(n for by_source in counted.removed.values() for n in by_source.values()),
        *(
            n
            for s in counted.stages
            for n in (
                s.entered,
                s.unscreened,
                s.conflicts,
                s.included,
                s.maybe,
                s.marked,
                s.unread,
                *s.excluded.values(),
            )
        ),
        *counted.tags.values(),
    ]
    if min(counts, default=0) < 0:
        raise InputError(f"The flow figure cannot be drawn: a count is negative ({min(counts)}).")
    for source in {*counted.duplicates, *(s for by_source in counted.removed.values() for s in by_source)}:
        gone = counted.duplicates.get(source, 0) + sum(b.get(source, 0) for b in counted.removed.values())
        if gone > counted.retrieved.get(source, 0):
            raise InputError(
                f"The flow figure cannot be drawn: {plural(gone, 'record')} left from {source!r}, which gave "
                f"{counted.retrieved.get(source, 0):,}."
            )
    expected = counted.n_retrieved - counted.n_duplicates - counted.n_removed
    came = (
        f"{counted.n_retrieved:,} identified - {plural(counted.n_duplicates, 'duplicate')} - "
        f"{counted.n_removed:,} removed"
    )
    for stage in counted.stages:
        if stage.entered != expected:
            raise InputError(
                f"The flow figure cannot be drawn: {came} = {expected:,}, but {stage.entered:,} entered {stage.name!r}."
            )
        excluded = sum(stage.excluded.values())
        total = excluded + stage.unscreened + stage.conflicts + stage.included + stage.maybe
        if total != stage.entered:
            raise InputError(
                f"The flow figure cannot be drawn: at {stage.name!r} {excluded:,} excluded + "
                f"{stage.unscreened:,} unscreened + {stage.conflicts:,} in conflict + {stage.included:,} included + "
                f"{stage.maybe:,} maybe = {total:,}, but {stage.entered:,} entered."
            )
        if stage.unread > excluded:
            raise InputError(
                f"The flow figure cannot be drawn: at {stage.name!r} {plural(stage.unread, 'record')} would have been "
                f"excluded unread, but {excluded:,} are excluded."
            )
        if stage.marked > stage.unscreened:
            raise InputError(
                f"The flow figure cannot be drawn: at {stage.name!r} {stage.marked:,} unscreened records are marked by "
                f"automation tools, of {stage.unscreened:,} unscreened."
            )
        expected = stage.included + stage.maybe
        came = f"{stage.included:,} included + {stage.maybe:,} maybe at {stage.name!r}"
    last = counted.stages[-1]
    if not min(last.included, 1) <= counted.n_studies <= last.included:
        raise InputError(
            f"The flow figure cannot be drawn: {plural(last.included, 'report')} {is_are(last.included)} included, of "
            f"{plural(counted.n_studies, 'study', 'studies')}."
        )
    for tag, n in counted.tags.items():
        if n > counted.stages[-1].included:
            raise InputError(
                f"The flow figure cannot be drawn: {plural(n, 'record')} {is_are(n)} tagged {tag!r}, of "
                f"{counted.stages[-1].included:,} included."
            )


def reason_texts(protocol: Protocol) -> dict[str, str]:
    """Return what the codes of a protocol's reasons mean."""
    texts: dict[str, set[str]] = {}
    for criterion in (*protocol.exclude, *(reason for stage in protocol.stages for reason in stage.reasons)):
        texts.setdefault(criterion.code, set()).add(criterion.text)
    # A code that two stages use in two senses is shown as it is.
    return {code: next(iter(meant)) for code, meant in texts.items() if len(meant) == 1}


def by_count(excluded: Mapping[str, int]) -> list[tuple[str, int]]:
    """Sort reasons by count, the largest first; records without a reason come last."""
    return sorted(excluded.items(), key=lambda item: (item[0] == NO_REASON, -item[1], item[0]))
