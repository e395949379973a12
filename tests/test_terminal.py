"""The screening session driven by keys: scripted ones, lines from a pipe, and bytes on a pseudo-terminal."""

import contextlib
import io
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
import unicodedata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from rich.console import Console
from rich.text import Text

from triage import ending, terminal
from triage.dedupe import Agreement, FieldPair
from triage.eligibility import Proposal
from triage.log import Label, Origin
from triage.protocol.parsing import parse
from triage.recall import AuditE
from triage.records import Record
from triage.screening.pool import Pool
from triage.screening.session import SKIP_DISTANCE, Assignment, Session, Showing
from triage.session_state import StateOf, recall_in_words
from triage.terminal import keys, sitting
from triage.terminal.keys import BACKSPACE, ENTER, ESCAPE
from triage.terminal.screen import EXCLUDE_STYLE, INCLUDE_STYLE
from triage.text import plain, untagged

ROOT = Path(__file__).resolve().parents[1]
REASONS = [(f"R{n}", f"Reason text {n}") for n in range(1, 13)]
CRITERIA = (["Support given by peers, face to face."], ["Support at school, or for children only."])
HOSTILE = "A\x1b]0;owned\x07B \x1b[2JC [red]markup[/red] \x9b31mD \u202eE :smile: &#27;[31mF"
SHOWN = "A]0;ownedB [2JC [red]markup[/red] 31mD E :smile: "


class MemoryJournal:
    """A log in memory, which a session writes to as it would to a project."""

    def __init__(self):
        self.decisions = []  # (row, label, reason, note), those taken back removed
        self.given = {}  # the tags of each row
        self.shown = []

    def turn(self):
        return contextlib.nullcontext((True, None))

    def left_behind(self, row):
        return True

    def news(self):
        return None

    def show(self, row, origin, pool_size, ranking_id):
        self.shown.append((row, origin))

    def decide(self, row, label, reason, note, tags):
        self.decisions.append((row, label, reason, note))
        if tags is not None:
            self.given[row] = list(tags)
        return int(label is not Label.EXCLUDE)

    def tags(self, row):
        return list(self.given.get(row, ()))

    def undo(self):
        return (self.decisions.pop()[0], -1) if self.decisions else None

    def mark(self):
        return len(self.decisions)

    def save(self, scores, held_out, as_of):
        return 1


def real_session(n, journal, scorer=lambda rows, y: None, **options):
    pool = Pool(n, [np.arange(n)[::-1]])
    return Session(Assignment(pool, [], [], np.zeros(n, bool)), scorer, journal=journal, **options)


def some_records(n):
    return [Record(title=f"Title {i}", abstract=f"Abstract {i}.", id=i + 1) for i in range(n)]


class ScriptedKeys:
    """Keys given in advance; each must be asked for."""

    whole_lines = False

    def __init__(self, *keys):
        self.left = list(keys)
        self.flushes = 0
        self.open = False

    def __enter__(self):
        self.open = True
        return self

    def __exit__(self, *exception):
        self.open = False

    def key(self):
        if not self.left:
            raise EOFError
        key = self.left.pop(0)
        if isinstance(key, BaseException):
            raise key
        return key

    def flush(self):
        self.flushes += 1


def paper(width=80, terminal_like=False, height=40):
    return Console(
        file=io.StringIO(),
        width=width,
        height=height,
        highlight=False,
        force_terminal=terminal_like,
        color_system="256" if terminal_like else None,
    )


def screen_with(
    keys, session, records, *, reasons=REASONS, criteria=CRITERIA, state=lambda: "the state", tags=(), console=None
):
    console = console or paper()
    keys = keys if hasattr(keys, "key") else ScriptedKeys(*keys)
    summary = terminal.run(
        session, records, reasons=reasons, criteria=criteria, state=state, tags=tags, console=console, keys=keys
    )
    return summary, console.file.getvalue()


# -- the session ------------------------------------------------------------------------------


def test_every_key_of_a_session_over_a_real_pool():
    journal = MemoryJournal()
    keys = ["i", "e", "1", "0", "m", "e", ENTER, "q"]
    summary, said = screen_with(keys, real_session(6, journal), some_records(6))
    assert journal.decisions == [
        (0, Label.INCLUDE, "", ""),
        (1, Label.EXCLUDE, "R10", ""),
        (2, Label.MAYBE, "", ""),
        (3, Label.EXCLUDE, "", ""),
    ]
    assert (summary.decided, summary.included, summary.finished) == (4, 2, False)
    assert "Excluded (R10): Title 1" in said and "4 decided, 2 include or maybe" in said
    assert "Title 4" in said and "Title 5" not in said  # the record that was shown is not decided


def test_a_session_ends_when_nothing_is_left():
    summary, said = screen_with(["i", "m"], real_session(2, MemoryJournal()), some_records(2))
    assert summary == terminal.Summary(decided=2, included=2, finished=True)
    assert "Nothing is left for you to judge" in said


def test_undo_shows_the_record_again_with_its_note():
    journal = MemoryJournal()
    keys = ["u", "n", *"odd", ENTER, "i", "u", "e", "2", "q"]
    # "2" is complete: no reason has a longer number that begins with it.
    summary, said = screen_with(keys, real_session(3, journal), some_records(3))
    assert journal.decisions == [(0, Label.EXCLUDE, "R2", "odd")]
    assert summary.decided == 1 and summary.included == 0
    assert "You have no decision to take back." in said
    assert re.findall(r"record \d+ ", said) == ["record 1 ", "record 1 ", "record 2 ", "record 1 ", "record 2 "]


def test_undo_of_an_earlier_sitting_leaves_the_count_alone():
    journal = MemoryJournal()
    session = real_session(4, journal)
    screen_with(["i", "q"], session, some_records(4))
    summary, _ = screen_with(["u", "q"], session, some_records(4))
    assert journal.decisions == [] and summary.decided == 0


def test_a_skipped_record_comes_back():
    n = SKIP_DISTANCE + 5
    journal = MemoryJournal()
    screen_with(["s", *["i"] * (SKIP_DISTANCE + 1), "q"], real_session(n, journal), some_records(n))
    rows = [row for row, *_ in journal.decisions]
    assert rows == [*range(1, SKIP_DISTANCE + 1), 0]


def test_a_note_can_be_edited_given_up_and_lost():
    journal = MemoryJournal()
    keys = ["n", *"abx", BACKSPACE, "c", ENTER, "n", *"zzz", ESCAPE, "i", "n", *"lost", ENTER, "q"]
    _, said = screen_with(keys, real_session(3, journal), some_records(3))
    assert journal.decisions == [(0, Label.INCLUDE, "", "abc")]
    assert "Not kept: the note of 1 record without a decision." in said


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (["1", ENTER], "R1"),  # 1 alone could become 10
        (["1", "2"], "R12"),
        (["9"], "R9"),
        (["1", "x", BACKSPACE, "4"], "R4"),  # x is refused, so the backspace takes the 1 away
        (["r", "1", "1"], "R11"),
        (["R", "3"], "R3"),
        (["\x1b[A", "7"], "R7"),  # an arrow key is no answer
        (["r", ENTER, BACKSPACE, ENTER], ""),  # "r" alone fits all of them
        ([ENTER], ""),
    ],
)
def test_a_reason_is_picked_by_number_or_code(keys, reason):
    journal = MemoryJournal()
    screen_with(["e", *keys, "q"], real_session(2, journal), some_records(2))
    assert journal.decisions == [(0, Label.EXCLUDE, reason, "")]


def test_the_letters_of_a_code_never_reach_the_next_record():
    journal = MemoryJournal()
    reasons = [("CHILD", "Children"), ("ONLINE", "Internet")]
    # One letter would name CHILD, but then "h", "i" and the rest would be keys on the next record.
    screen_with(["e", *"chil", "d", "q"], real_session(2, journal), some_records(2), reasons=reasons)
    screen_with(["e", *"on", ENTER, "q"], real_session(2, journal), some_records(2), reasons=reasons)
    assert [d[:3] for d in journal.decisions] == [(0, Label.EXCLUDE, "CHILD"), (0, Label.EXCLUDE, "ONLINE")]


@pytest.mark.parametrize("back", [[ESCAPE], [BACKSPACE], ["1", BACKSPACE, BACKSPACE]])
def test_going_back_from_the_reasons_decides_nothing(back):
    journal = MemoryJournal()
    screen_with(["e", *back, "m", "q"], real_session(2, journal), some_records(2))
    assert journal.decisions == [(0, Label.MAYBE, "", "")]


TAGS = ("review", "case report", "qualitative", "quantitative")


@pytest.mark.parametrize(
    "keys, tags",
    [
        ([*"t1", ENTER], ["review"]),
        ([*"t3", *"1", ENTER], ["qualitative", "review"]),
        ([*"t1", *"1", ENTER], []),
        ([*"t", *"case report", ENTER], ["case report"]),
        ([*"t", *"Quan", ENTER, ESCAPE], ["quantitative"]),
        ([*"t", *"qua", ENTER, BACKSPACE, BACKSPACE, BACKSPACE, ENTER], []),
        ([*"t1", ENTER, *"t2", ENTER], ["review", "case report"]),
        ([*"tx", ENTER], []),
        ([], None),
    ],
)
def test_tags_are_given_and_taken_off_and_kept_with_the_decision(keys, tags):
    journal = MemoryJournal()
    screen_with([*keys, "i", "q"], real_session(3, journal), some_records(3), tags=TAGS)
    assert journal.decisions == [(0, Label.INCLUDE, "", "")]
    assert journal.given == ({} if tags is None else {0: tags})


def test_tags_given_before_are_shown_and_go_on_from_there():
    journal = MemoryJournal()
    journal.given[0] = ["review"]
    _, said = screen_with(
        ["t", "2", ENTER, "e", ENTER, "u", "m", "q"], real_session(3, journal), some_records(3), tags=TAGS
    )
    assert journal.given[0] == ["review", "case report"] and "Tags  review; case report" in said


def test_tags_come_as_lines_from_a_pipe():
    journal = MemoryJournal()
    lines = keys._LineKeys(io.StringIO("t\n2\nQuali\n\ni\n"))
    screen_with(lines, real_session(3, journal), some_records(3), tags=TAGS)
    assert journal.given == {0: ["case report", "qualitative"]} and len(journal.decisions) == 1


def test_tags_without_a_decision_are_told_to_be_lost():
    assert (
        "Not kept: the tags of 1 record"
        in screen_with(["t", "1", ENTER, "q"], real_session(3, MemoryJournal()), some_records(3), tags=TAGS)[1]
    )


def test_without_tags_in_the_protocol_there_is_no_key_for_them():
    _, said = screen_with(["t", "?", "q"], OneByOne([Showing(0, Origin.RANKED, 1)]), some_records(1))
    assert "'t' is no key here." in said and "tags" not in said


def test_without_reasons_none_is_asked():
    journal = MemoryJournal()
    screen_with(["e", "i", "q"], real_session(3, journal), some_records(3), reasons=[])
    assert [d[1] for d in journal.decisions] == [Label.EXCLUDE, Label.INCLUDE]


@pytest.mark.parametrize("key", [ENTER, " ", "x", "\x1b[A", ESCAPE, BACKSPACE, "\x0c", "ii"])
def test_other_keys_decide_nothing(key):
    journal = MemoryJournal()
    screen_with([key, "c", "?", "h", "q"], real_session(2, journal), some_records(2))
    assert journal.decisions == []


class OneByOne:
    """A session with given rows and origins, which keeps what it was told and when it was asked."""

    def __init__(self, showings):
        self.showings = list(showings)
        self.calls = []

    def next(self):
        self.calls.append("next")
        return self.showings[0] if self.showings else None

    def decide(self, row, label, reason="", note="", tags=None):
        self.calls.append(f"decide {row} {label}")
        self.showings.pop(0)

    def undo(self):
        return None


def test_the_next_record_is_asked_for_only_after_the_decision_is_kept():
    session = OneByOne([Showing(0, Origin.RANKED, 1), Showing(1, Origin.AUDIT, 7)])
    screen_with(["i", "m"], session, some_records(2))
    assert session.calls == ["next", "decide 0 include", "next", "decide 1 maybe", "next"]


def test_an_audit_draw_looks_like_any_other_record():
    said = [
        screen_with(["q"], OneByOne([showing]), some_records(900))[1]
        for showing in (
            Showing(811, Origin.RANKED, 1),
            Showing(811, Origin.AUDIT, 345),
            Showing(811, Origin.AUDIT, None),
        )
    ]
    assert said[0] == said[1] == said[2]
    assert "345" not in said[0] and "812" not in said[0]  # neither its rank nor its number in the review


def test_the_counts_are_exact_after_each_key_and_only_recall_is_of_some_decisions_ago():
    asked = []

    def in_words(history):
        asked.append(history.n_screened)
        return f"recall at {history.n_screened}"

    session = real_session(40, MemoryJournal())
    keys = [*["i", "e", ENTER, "m", "s"] * 3, "u", "i", "h", *["e", ENTER, "m"] * 3, "u", "u", "i", "q"]
    _, said = screen_with(keys, session, some_records(40), state=StateOf(session, in_words))
    line = (
        r"(\d+) of 40 screened \| (\d+) relevant found \| (\d+) left \| recall at (\d+)(?: \((\d+) decisions? ago\))?\n"
    )
    told = re.findall(line, said)
    decided, expected = [], []
    for key in [None, *(key for key in keys if key not in (ENTER, "q"))]:
        if key == "u":
            decided.pop()
        elif key in ("i", "e", "m"):
            decided.append(key != "e")
        expected.append((len(decided), sum(decided), 40 - len(decided)))
    assert len(expected) >= 24 and [tuple(map(int, one[:3])) for one in told] == expected
    assert asked == [0, 8, 14]  # at the start, and whenever ten decisions were made or taken back since
    assert {one[3:] for one in told} >= {("0", ""), ("0", "1"), ("0", "9"), ("8", ""), ("8", "3")}
    assert "(1 decision ago)" in said and "(2 decisions ago)" in said


def test_the_state_says_what_is_screened_found_left_and_certified():
    protocol = parse("[stopping]\ntarget = 0.9")
    said = []
    for y in ([0] * 10, [1] * 3 + [0] * 7, [1] * 3 + [0] * 97):
        session = real_session(100, MemoryJournal())
        for row, relevant in enumerate(y):
            session.decide(row, Label.INCLUDE if relevant else Label.EXCLUDE)
        said.append(str(StateOf(session, lambda history: recall_in_words(history, protocol, AuditE()))()))
    assert said == [
        "10 of 100 screened | 0 relevant found | 90 left",
        "10 of 100 screened | 3 relevant found | 90 left | recall at least 3.2 %, target 90 %",  # 3 of 3 + 90, cut
        "100 of 100 screened | 3 relevant found | 0 left | recall at least 100 %, CERTIFIED",
    ]


def test_what_was_typed_before_a_record_was_shown_is_forgotten():
    keys = ScriptedKeys("i", "h", "i", "q")
    screen_with(keys, real_session(5, MemoryJournal()), some_records(5))
    assert keys.flushes == 3  # once for each record, not for what is shown again by a key


def test_the_next_record_comes_while_a_training_runs():
    hold, begun = threading.Event(), threading.Event()

    def scorer(rows, y):
        begun.set()
        hold.wait(20)
        return np.zeros(4)

    journal = MemoryJournal()
    session = real_session(4, journal, scorer, background=True)
    began = time.monotonic()
    try:
        screen_with(["i", "e", "3", "i", "q"], session, some_records(4))
        spent = time.monotonic() - began
        assert begun.is_set() and not hold.is_set()
    finally:
        hold.set()
        session.close()
    assert len(journal.decisions) == 3 and spent < 5


def test_an_interruption_passes_and_leaves_the_keys_closed():
    keys = ScriptedKeys("i", KeyboardInterrupt())
    journal = MemoryJournal()
    with pytest.raises(KeyboardInterrupt):
        screen_with(keys, real_session(3, journal), some_records(3))
    assert len(journal.decisions) == 1 and not keys.open


def test_lines_from_a_pipe():
    journal = MemoryJournal()
    lines = keys._LineKeys(io.StringIO("i\nn\nodd design\ne\n1\n\ne\n\nsomething\nm\n"))
    summary, said = screen_with(lines, real_session(6, journal), some_records(6))
    # A whole "1" is the first reason; a blank line gives none; a word is no key; the end quits.
    assert journal.decisions == [
        (0, Label.INCLUDE, "", ""),
        (1, Label.EXCLUDE, "R1", "odd design"),
        (2, Label.EXCLUDE, "", ""),
        (3, Label.MAYBE, "", ""),
    ]
    assert not summary.finished and "'something' is no key here." in said


def test_the_pace_is_the_median_of_this_sitting(monkeypatch):
    clock = iter([0, 4, 4, 10, 10, 1000, 1000, 1008, 1008, 1020, 1020, 1030, 1030])  # 4, 6, a pause, 8, 12, 10
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    _, said = screen_with([*"iiiiii", "q"], real_session(9, MemoryJournal()), some_records(9))
    assert said.count("8 s a record") == 1 and "990" not in said


# -- what is shown ----------------------------------------------------------------------------


def full_record(**changes):
    fields = dict(
        title="Peer support",
        abstract=" ".join(f"word{i}" for i in range(600)),
        authors=("Smith J", "Jones K", "Lee P", "Wu X", "Roe R"),
        year=2009,
        journal="Psychiatric Services",
        doi="10.1000/x",
        pmid="12345",
        language="eng",
        type="journal article",
        keywords=("peers", "recovery"),
        source="pubmed",
        id=7,
    )
    return Record(**{**fields, **changes})


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


def pages_of(said):
    """Return what stood in the window after each page was drawn, as bare lines; the last one is the question."""
    pages = []
    for page in said.replace("\r\n", "\n").split("\x1b[H")[1:]:
        asked = re.sub(r"(?:\r\x1b\[2K)?\n*$", "", page)  # up to where the next page begins
        asked = re.sub(r"[^\n]*\r\x1b\[2K", "", asked)  # a question that another one took the place of
        pages.append(re.sub(r"\x1b\[[\d;]*[mK]", "", asked).split("\n"))
    return pages


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


def test_keys_move_in_a_long_record():
    def shown(*keys):
        console = paper(80, terminal_like=True, height=24)
        record = full_record(abstract="\n".join(f"line{i}" for i in range(60)), keywords=(), language="", type="")
        _, said = screen_with([*keys, "q"], real_session(1, MemoryJournal()), [record], console=console)
        found = re.findall(r"line(\d+)", "\n".join(pages_of(said)[-1]))
        return int(found[0]), int(found[-1])

    assert shown() == (0, 15)  # 24 lines less two above, four of the record, two below
    assert shown(terminal.DOWN) == (0, 16) and shown(terminal.DOWN, terminal.UP) == (0, 15)
    assert shown(terminal.PAGE_DOWN) == (15, 33)  # the last line read stands first, below the title
    assert shown(terminal.PAGE_DOWN, terminal.PAGE_UP) == (0, 15)
    assert shown(terminal.END) == shown(*[terminal.PAGE_DOWN] * 9) == (41, 59)
    assert shown(terminal.END, terminal.HOME) == (0, 15)
    assert shown("n", "a", " ", terminal.PAGE_DOWN, "b", ENTER) == (15, 32)  # in a note the space bar writes


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<h3>Methods</h3> We took PM<sub>2.5</sub>, 10<sup>3</sup> m", "Methods: We took PM2.5, 10^3 m"),
        ("One.<h2>Results:</h2>\nTwo", "One.\nResults: Two"),
        ("<jats:title>Aim</jats:title><jats:p>To <jats:italic>see</jats:italic>.</jats:p>", "Aim: To see."),
        ("<p>a</p><p>b<br/>c</p>", "a\nb\nc"),
        ("p<b and c>d; n<i; 3<4>2; <script>x</script>", "p<b and c>d; n<i; 3<4>2; <script>x</script>"),
        ("<h3></h3>a", "a"),
        ("", ""),
    ],
)
def test_tags_that_publishers_leave_are_not_shown(text, shown):
    assert untagged(text) == shown


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


def test_plain_keeps_text_and_breaks_alone():
    assert plain(HOSTILE).startswith(SHOWN)
    assert plain("a\r\n \n\tb\vc\u2028d") == "a\nb\nc\nd"
    assert plain("p &amp;lt; 0.05 &lt;b&gt;") == "p < 0.05 <b>"
    assert plain("caf\u00e9 \ud800") == "caf\u00e9 ?"
    assert plain("caf\u00e9 \u2265 1", "ascii") == "caf? ? 1"
    assert plain("\u4f60\u597d \u05e9\u05dc\u05d5\u05dd") == "\u4f60\u597d \u05e9\u05dc\u05d5\u05dd"


@given(st.text())
def test_plain_never_lets_a_control_character_through(text):
    assert not [c for c in plain(text) if c != "\n" and unicodedata.category(c) in ("Cc", "Cs")]


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
    styled = terminal.Highlighter(include, exclude).mark(Text(text))
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


# -- questions --------------------------------------------------------------------------------


def test_questions_are_asked_one_by_one():
    console = paper()
    keys = ScriptedKeys("u", "y", "x", "n", "u", "y", ENTER, "n", "q")
    kept = []
    answers = terminal.ask_one_by_one(
        ["a", "b", "c", "d"],
        Text,
        "Same?",
        console=console,
        keys=keys,
        keep=lambda place, answer: kept.append((place, answer)),
    )
    assert answers == [True, True, False, None]
    assert kept == [(0, True), (1, False), (1, None), (1, True), (2, False)]
    said = console.file.getvalue()
    assert "3 of 4" in said and said.count("2 of 4") == 2 and "Same?" in said


def test_an_answer_is_kept_before_the_next_question():
    kept = []
    with pytest.raises(KeyboardInterrupt):
        terminal.ask_one_by_one(
            ["a", "b"],
            Text,
            "Same?",
            console=paper(),
            keys=ScriptedKeys("y", KeyboardInterrupt()),
            keep=lambda place, answer: kept.append((place, answer)),
        )
    assert kept == [(0, True)]


def test_questions_end_with_the_lines():
    def keep(place, answer):
        pass

    answers = terminal.ask_one_by_one(
        [1, 2, 3], lambda i: Text(str(i)), "Same?", console=paper(), keep=keep, keys=keys._LineKeys(io.StringIO("y\n"))
    )
    assert answers == [True, None, None]
    assert terminal.ask_one_by_one([], Text, "Same?", console=paper(), keys=ScriptedKeys(), keep=keep) == []


def test_proposals_show_record_and_reason():
    console = paper()
    proposals = [
        (full_record(title=HOSTILE), Proposal("language", "a detector takes it for French")),
        (full_record(), Proposal("language", HOSTILE)),
    ]
    kept = []
    answers = terminal.decide_proposals(
        proposals, console=console, keys=ScriptedKeys("y", "n"), keep=lambda *answer: kept.append(answer)
    )
    assert answers == [True, False] and kept == [(0, True), (1, False)]
    said = console.file.getvalue()
    assert "a detector takes it for French" in said and "Remove this record?" in said and "PMID 12345" in said
    assert "\x1b" not in said and "\x07" not in said


# -- progress ---------------------------------------------------------------------------------


def test_short_work_shows_no_progress(capfd):
    with terminal.progress_bar("Encoding") as tick:
        for done in range(100):
            tick(done, 100)
    assert capfd.readouterr() == ("", "")


def test_progress_in_a_file_is_a_line_now_and_then(capfd, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with terminal.progress_bar("Encoding") as tick:
        for second in range(31):
            now[0] = float(second)
            tick(20 * second, 600)
    out, err = capfd.readouterr()
    assert out == "" and err.splitlines() == [
        "Encoding: 20 of 600, 20 records a second, 29 s left",
        "Encoding: 220 of 600, 20 records a second, 19 s left",
        "Encoding: 420 of 600, 20 records a second, 9 s left",
        "Encoding: 600 of 600, 20 records a second",
    ]


def wait_until(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.01)


def test_progress_on_a_terminal_is_a_bar_that_goes_away(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr("triage.terminal.progress._QUIET_SECONDS", 0.05)
    monkeypatch.setattr(
        "triage.terminal.progress.Console",
        lambda **_: Console(file=file, force_terminal=True, width=100, _environ={"TERM": "xterm"}),
    )
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), terminal.progress_bar("Encoding [b]") as tick:
        tick(0, 600)
        wait_until(lambda: "Encoding [b]" in file.getvalue())
        tick(100, 600)
        wait_until(lambda: "100/600" in file.getvalue())
        raise KeyboardInterrupt
    said = file.getvalue()
    assert re.search(r"records a second, \d+ s left|records a second, \S+ (min|h) left", said)
    assert said.rindex("\x1b[?25h") > said.rindex("\x1b[?25l")  # the cursor is there again
    assert said.endswith("\x1b[2K")  # and the bar's line is empty
    wait_until(lambda: threading.active_count() == before)  # the bar's thread sees the end at its next turn


# -- a real terminal --------------------------------------------------------------------------

pseudo_terminal = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals on Windows")


class Child:
    """This file run as a program, with a pseudo-terminal for its screen and keyboard."""

    def __init__(self, tmp_path):
        import pty
        import termios

        self.log = tmp_path / "log.json"
        self.master, self.slave = pty.openpty()
        self.resize(100, 40)
        self.mode = termios.tcgetattr(self.slave)
        self.said = ""
        self.read_to = 0  # how far what was said has been waited for
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, __file__, self.log],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            env=environment,
        )

    def resize(self, width, height):
        import termios

        termios.tcsetwinsize(self.slave, (height, width))

    def _read(self, seconds):
        ready, _, _ = select.select([self.master], [], [], max(0, seconds))
        if ready:
            self.said += os.read(self.master, 65536).decode("utf-8", "replace")
        return bool(ready)

    def wait_for(self, *texts, seconds=60):
        """Read the screen until it has shown the texts, in this order, after those waited for before."""
        until, begin = time.monotonic() + seconds, self.read_to
        for text in texts:
            while (at := self.said.find(text, self.read_to)) < 0:
                came = self._read(until - time.monotonic())
                assert came, f"{text!r} did not come; the screen has: {self.said[begin:][-3000:]!r}"
            self.read_to = at + len(text)
        self.after = self.said[begin : self.read_to]

    def wait_for_keys(self, *texts):
        """Wait until a page that has these texts is complete: its question comes last."""
        self.wait_for(*texts, " quit  ")

    def type(self, keys):
        os.write(self.master, keys)

    def decisions(self):
        return json.loads(self.log.read_text())

    def end(self):
        """Wait for the program's end, reading on: it could not write into a full pseudo-terminal."""
        import termios

        until = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < until, "the program did not end"
            self._read(0.05)
        assert termios.tcgetattr(self.slave) == self.mode, "the terminal has not its mode back"
        return self.process.returncode


@pytest.fixture
def child(tmp_path):
    made = Child(tmp_path)
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()
    os.close(made.master)
    os.close(made.slave)


def takes_single_keys(child):
    import termios

    return not termios.tcgetattr(child.slave)[3] & (termios.ECHO | termios.ICANON)


@pseudo_terminal
def test_keys_on_a_terminal(child):
    child.wait_for_keys("Title 0")
    assert takes_single_keys(child)
    child.type(b"\x1b[A\x1bOA\x1bi\x1b[1;5Ci")  # arrows, and Alt with i, are no commands
    child.wait_for_keys("Included: Title 0", "Title 1")
    child.type(b"e")
    child.wait_for("Reason:")
    child.type(b"\x1b")  # Esc alone
    child.wait_for_keys("Title 1")
    child.type(b"e1")
    child.wait_for("Reason: 1")
    child.type(b"\r")
    child.wait_for_keys("Excluded (R1): Title 1", "Title 2")
    child.type("n\u00fcber\u4f60x\x7f\r".encode())
    child.wait_for_keys("Note  ", "\u00fcber\u4f60")
    child.type(b"m")
    child.wait_for_keys("Maybe: Title 2")
    child.type(b"u")
    child.wait_for_keys("Taken back: Title 2", "Note  ", "\u00fcber\u4f60")
    child.type(b"m")
    child.wait_for_keys("Maybe: Title 2")
    child.type(b"q")
    assert child.end() == 0
    assert child.decisions() == [[0, "include", "", ""], [1, "exclude", "R1", ""], [2, "maybe", "", "\u00fcber\u4f60"]]


@pseudo_terminal
def test_a_pasted_text_is_a_note_and_decides_nothing(child):
    child.wait_for_keys("\x1b[?2004h", "Title 0")  # the terminal is asked to mark what is pasted
    child.type(b"\x1b[200~include me\riii\x1b[201~")
    child.wait_for("A pasted text is no key here.")
    child.type(b"n")
    child.wait_for("Note:")
    child.type("\x1b[200~of two lines,\r\nincl\u00fcding one \x1b[20".encode())  # it comes in pieces
    time.sleep(0.2)
    child.type(b"1~more\r")
    child.wait_for_keys("Note  ", "of two lines, incl\u00fcding one more", "Title 0")
    child.type(b"m")
    child.wait_for_keys("Maybe: Title 0")
    child.type(b"q")
    assert child.end() == 0
    assert child.decisions() == [[0, "maybe", "", "of two lines, incl\u00fcding one more"]]
    assert child.said.rindex("\x1b[?2004l") > child.said.rindex("\x1b[?2004h")


@pseudo_terminal
def test_keys_typed_ahead_decide_no_record_that_was_not_seen(child):
    child.wait_for_keys("Title 0")
    child.type(b"iiiiii")
    child.wait_for_keys("Included: Title 0", "Title 1")
    child.type(b"q")
    assert child.end() == 0
    assert child.decisions() == [[0, "include", "", ""]]


@pseudo_terminal
@pytest.mark.parametrize(("end", "code"), [(b"\x03", -signal.SIGINT), (b"\x04", 0), (None, 128 + 15)])
def test_the_terminal_gets_its_mode_back(child, end, code):
    child.wait_for_keys("Title 0")
    child.type(b"i")
    child.wait_for_keys("Included: Title 0")
    if end is None:
        child.process.send_signal(signal.SIGTERM)
    else:
        child.type(end)
    assert child.end() == code
    assert child.decisions() == [[0, "include", "", ""]]


@pseudo_terminal
def test_the_page_follows_the_size_of_the_window(child):
    child.wait_for_keys("record 1 ")
    for width, height in ((60, 12), (80, 50)):
        child.resize(width, height)
        child.wait_for_keys("\x1b[H", "record 1 ")
        page = pages_of(child.after)[-1]
        assert len(page) == height and max(map(len, page)) == width
    child.type(b"q")
    assert child.end() == 0


@pseudo_terminal
def test_the_page_comes_back_after_a_stop(child):
    import termios

    child.wait_for_keys("Title 0")
    for _ in range(5):  # whichever of its threads the system wakes
        child.process.send_signal(signal.SIGSTOP)
        os.waitpid(child.process.pid, os.WUNTRACED)
        termios.tcsetattr(child.slave, termios.TCSADRAIN, child.mode)  # as a shell does
        child.process.send_signal(signal.SIGCONT)
        child.wait_for_keys("\x1b[H", "Title 0")
        assert takes_single_keys(child)
    child.type(b"i")
    child.wait_for_keys("Included: Title 0")
    child.type(b"q")
    assert child.end() == 0


@pseudo_terminal
def test_hostile_text_on_a_terminal(child):
    for title in ("Title 0", "Title 1", "Title 2"):
        child.wait_for_keys(f"{title}")
        child.type(b"i")
        child.wait_for(f"Included: {title}")
    child.wait_for_keys()
    child.type(b"q")
    assert child.end() == 0
    assert SHOWN.strip() in child.said and "\x1b]" not in child.said and "\x1b[2J" not in child.said


def _child(log: Path) -> None:
    """Screen on the terminal this program runs on; write the decisions that stand after each change."""
    import fcntl
    import termios

    with contextlib.suppress(OSError):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # Ctrl-C interrupts only from a controlling terminal

    class FileJournal(MemoryJournal):
        def decide(self, *decision):
            relevance = super().decide(*decision)
            self.write()
            return relevance

        def undo(self):
            undone = super().undo()
            self.write()
            return undone

        def write(self):
            log.write_text(json.dumps(self.decisions))

    for _ in range(3):  # as many idle threads as a training leaves
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    records = [*some_records(3), Record(title=HOSTILE, abstract=HOSTILE), *some_records(9)]
    terminal.run(
        real_session(len(records), FileJournal()),
        records,
        reasons=REASONS,
        criteria=CRITERIA,
        state=lambda: "the state",
    )


if __name__ == "__main__":
    ending.watch("Interrupted.")
    _child(Path(sys.argv[1]))


def test_two_records_side_by_side():
    pairs = [
        (
            "one word of the title differs",
            [
                FieldPair("title", f"Kept {HOSTILE}", "Copy", Agreement.DIFFERENT),
                FieldPair("year", "2009", "2009", Agreement.SAME),
            ],
        ),
        ("the page differs", [FieldPair("pages", "1-9", "11-19", Agreement.DIFFERENT)]),
    ]
    kept, console = [], paper()
    answers = terminal.decide_maybes(
        pairs,
        keep=lambda place, answer: kept.append((place, answer)),
        console=console,
        keys=ScriptedKeys("x", "y", "u", "n", "q"),
    )
    said = console.file.getvalue()
    assert answers == [False, None] and kept == [(0, True), (0, None), (0, False)]
    assert "one word of the title differs" in said and "Are these one record?" in said and "11-19" in said
    assert "\x1b]0;owned" not in said and "\u202e" not in said
