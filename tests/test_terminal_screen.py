"""What the terminal shows of a record: in full, within any width, and never interpreted."""

import io
import re
import time
from itertools import pairwise

import pytest
from rich.console import Console
from rich.text import Text
from terminal_helpers import (
    CRITERIA,
    HOSTILE,
    REASONS,
    SHOWN,
    MemoryJournal,
    ScriptedKeys,
    full_record,
    pages_of,
    paper,
    real_session,
    screen_with,
    some_records,
)

from triage import terminal
from triage.log import Label
from triage.records import Record
from triage.terminal import sitting
from triage.terminal.keys import ENTER, ESCAPE
from triage.terminal.screen import EXCLUDE_STYLE, INCLUDE_STYLE
from triage.text import CriteriaWords


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_a_record_is_shown_in_full_within_the_width(width):
    _, said = screen_with(["q"], real_session(1, MemoryJournal()), [full_record()], console=paper(width))
    lines = said.splitlines()
    assert max(map(len, lines)) <= min(width, 100)
    assert re.findall(r"word\d+", said) == [f"word{i}" for i in range(600)]
    flat = " ".join(said.split())
    for part in (
        "the state",
        "Peer support",
        "Smith J, Jones K, Lee P and 2 more",
        "| Psychiatric Services | 2009",
        "source pubmed",
        "doi 10.1000/x",
        "PMID 12345",
        "Keywords peers; recovery",
        "language eng | type journal article",
    ):
        assert part in flat, part


@pytest.mark.parametrize(("width", "height"), [(40, 8), (80, 24), (120, 40)])
def test_a_long_record_is_read_part_by_part_below_its_title(width, height):
    console = paper(width, terminal_like=True, height=height)
    _, said = screen_with([*" " * 70, "q"], real_session(1, MemoryJournal()), [full_record()], console=console)
    first, *later = pages_of(said)
    for page in (first, *later):
        assert len(page) == height and max(map(len, page)) <= width
        assert "Peer support" in page and page[-1].startswith("i include") and "? help  q quit" in page[-1]
    read = [re.findall(r"word\d+", "\n".join(page)) for page in (first, *later)]
    back = next(i for i, page in enumerate(later, 1) if page == first)
    for before, after in pairwise(read[:back]):
        assert not before or before[-1] in after or int(after[0][4:]) == int(before[-1][4:]) + 1  # nothing is jumped
    assert {word for page in read[:back] for word in page} == {f"word{i}" for i in range(600)}
    assert "Space: more" in first[-2] and "Space: back to the top" in later[back - 2][-2]
    assert any("language eng" in line for line in later[back - 2])


def test_a_list_stands_beside_the_record_or_below_its_title():
    long = [(f"R{n}", f"Reason text {n}") for n in range(1, 41)]
    for reasons, room in ((REASONS, True), (long, False)):
        console = paper(80, terminal_like=True, height=24)
        journal = MemoryJournal()
        _, said = screen_with(
            ["e", " ", " ", "3", ENTER, "q"],
            real_session(2, journal),
            [full_record()] * 2,
            reasons=reasons,
            console=console,
        )
        opened, moved, moved_on = pages_of(said)[1:4]
        assert all(len(page) == 24 and "Peer support" in page for page in (opened, moved, moved_on))
        assert opened[-1].startswith("Reason:") and "Reason text 1" in "\n".join(opened)
        assert ("word0" in "\n".join(opened)) == room
        if room:  # the space bar moves in the record, the list stands still
            assert all("12 R12 Reason text 12" in page for page in (opened, moved))
            assert opened != moved
        else:  # and in the list where that is the longer one
            assert "40 R40 Reason text 40" not in moved and "40 R40 Reason text 40" in moved_on
        assert journal.decisions == [(0, Label.EXCLUDE, "R3", "")]


@pytest.mark.parametrize(("open_key", "name"), [("?", "The keys"), ("c", "The criteria")])
def test_a_list_is_closed_by_its_key_or_escape(open_key, name):
    for close_key in (open_key, ESCAPE):
        console = paper(80, terminal_like=True)
        _, said = screen_with(
            [open_key, close_key, "q"], real_session(1, MemoryJournal()), [full_record()], console=console
        )
        before, opened, closed = pages_of(said)
        assert closed == before and any(name in line for line in opened) and not any(name in line for line in before)


def test_a_new_record_leaves_the_page_before_in_the_scroll_back():
    console = paper(80, terminal_like=True, height=24)
    _, said = screen_with(["h", "i", "q"], real_session(2, MemoryJournal()), some_records(2), console=console)
    parts = said.split("\x1b[H")
    assert ["\n" * 24 in part for part in parts[:-1]] == [True, False, True]  # not when a page is drawn again


def test_the_keys_fit_a_narrow_window():
    for width, left_out in ((40, ("note", "skip", "undo")), (80, ("criteria",)), (100, ())):
        _, said = screen_with(["q"], real_session(1, MemoryJournal()), some_records(1), console=paper(width))
        line = said.splitlines()[-1]
        shown = [does for _, does in sitting._COMMANDS if f" {does}" in line]
        assert len(line) <= width and {"include", "exclude", "help", "quit"} <= set(shown)
        assert not set(left_out) & set(shown)
        assert width < 100 or len(shown) == len(sitting._COMMANDS)


def test_missing_fields_say_so():
    _, said = screen_with(["q"], real_session(1, MemoryJournal()), [Record(source="x")])
    assert "(no title)" in said and "No abstract." in said and "None" not in said


def test_hostile_text_is_shown_and_never_interpreted():
    fields = ("title", "abstract", "journal", "language", "type", "source", "doi")
    hostile = full_record(**dict.fromkeys(fields, HOSTILE), authors=(HOSTILE,), keywords=(HOSTILE,))
    console = paper(200, terminal_like=True)
    _, said = screen_with(
        ["e", ESCAPE, "c", "i", "q"],
        real_session(2, MemoryJournal()),
        [hostile] * 2,
        console=console,
        reasons=[(HOSTILE, HOSTILE)],
        criteria=([HOSTILE], [HOSTILE]),
        state=lambda: HOSTILE,
    )
    # All that remains of escapes is the program's own: colours, a cleared line, the top of the screen.
    assert re.findall(r"\x1b(?!\[[\d;]*m|\[2K|\[H)", said) == []
    assert "\x07" not in said and "\x9b" not in said and "\u202e" not in said and "[red]" in said
    bare = re.sub(r"\x1b\[[\d;]*[mKH]", "", said)
    assert bare.count(SHOWN) >= 8


@pytest.mark.parametrize("on_terminal", [False, True])
def test_a_terminal_without_unicode_is_no_obstacle(on_terminal):
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(file=file, width=80, height=24, highlight=False, force_terminal=on_terminal, color_system=None)
    record = full_record(title="\u03b2-blockers \u2265 placebo", abstract="\u4f60\u597d")
    journal = MemoryJournal()
    terminal.run(
        real_session(2, journal),
        [record] * 2,
        reasons=[("\u00dc", "\u00dcber")],
        criteria=(["\u03b2"], []),
        state=lambda: "\u2265 83 %",
        console=console,
        keys=ScriptedKeys("c", "?", "\u03b2", "n", "\u03b2", ENTER, "e", "\u03b2", "1", "q"),
    )
    file.flush()
    assert b"?-blockers ? placebo" in file.buffer.getvalue()
    assert journal.decisions == [(0, Label.EXCLUDE, "\u00dc", "\u03b2")]


def marked(text, include, exclude):
    """Return the (word, style) that a highlighter marks."""
    styled = terminal.Highlighter(CriteriaWords(include, exclude)).mark(Text(text))
    return [(styled.plain[s.start : s.end], s.style) for s in styled.spans]


@pytest.mark.parametrize(
    ("criterion", "text", "words"),
    [
        ("Support by peers", "Supports, supported: PEER-run, by the supporter", ["Supports", "supported", "PEER"]),
        ("therapy", "therapies and therapists", ["therapies"]),
        ("randomised trials of behaviour", "A randomized trial of behavior", ["randomized", "trial", "behavior"]),
        ("meta-analyses", "meta-analysis", ["meta", "analysis"]),
        ("children, women", "a child; a woman", ["child", "woman"]),
        ("psychiatr*", "psychiatrists in psychiatry", ["psychiatrists", "psychiatry"]),
        ("The studies of a review with it", "The studies of a review with it", []),
        ("\u00dcbung", "\u00fcbung", ["\u00fcbung"]),
    ],
)
def test_words_of_the_criteria_match_by_their_stem(criterion, text, words):
    assert marked(text, [criterion], []) == [(word, INCLUDE_STYLE) for word in words]
    assert marked(text, [], [criterion]) == [(word, EXCLUDE_STYLE) for word in words]


def test_a_word_of_both_kinds_does_not_speak_against_a_record():
    assert marked("support at school", *CRITERIA) == [("support", INCLUDE_STYLE), ("school", EXCLUDE_STYLE)]


def test_marking_is_switched_off_and_on():
    console = paper(terminal_like=True)
    record = Record(title="T", abstract="support")
    _, said = screen_with(["h", "h", "q"], real_session(1, MemoryJournal()), [record], console=console)
    pages = said.split("record 1 ")[1:]
    assert ["\x1b[1;38;5;33msupport" in page for page in pages] == [True, False, True]


def test_a_page_is_drawn_fast():
    """Under 100 ms from a decision to the next record, a long abstract and many criteria included."""
    record = full_record(abstract="support of peers in schools " * 150)
    criteria = ([f"criterion word{chr(97 + i)}" for i in range(26)] * 4, CRITERIA[1])
    journal = MemoryJournal()
    began = time.thread_time()  # what other programs take does not count
    screen_with(
        [*"i" * 20, "q"],
        real_session(50, journal),
        [record] * 50,
        criteria=criteria,
        console=paper(80, terminal_like=True, height=24),
    )
    assert (time.thread_time() - began) / 21 < 0.1
