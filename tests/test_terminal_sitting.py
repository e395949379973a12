"""A sitting at the terminal: what each key does, from scripted keys and from lines of a pipe."""

import io
import re
import threading
import time

import numpy as np
import pytest
from terminal_helpers import (
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
from triage.log import Label, Origin
from triage.protocol.parsing import parse
from triage.recall import AuditE
from triage.screening.session import SKIP_DISTANCE, Showing
from triage.session_state import StateOf, recall_in_words
from triage.terminal import keys
from triage.terminal.keys import BACKSPACE, ENTER, ESCAPE


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
    assert "'t' is not a key here." in said and "tags" not in said


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
    assert not summary.finished and "'something' is not a key here." in said


def test_the_pace_is_the_median_of_this_sitting(monkeypatch):
    clock = iter([0, 4, 4, 10, 10, 1000, 1000, 1008, 1008, 1020, 1020, 1030, 1030])  # 4, 6, a pause, 8, 12, 10
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    _, said = screen_with([*"iiiiii", "q"], real_session(9, MemoryJournal()), some_records(9))
    assert said.count("8 s a record") == 1 and "990" not in said


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


# -- maybes, why, PDFs ----------------------------------------------------------------------------


def sitting(keys, n, journal, **options):
    """Screen n records with a journal whose maybes can be gone through."""

    def maybes():
        last = {row: (label, note) for row, label, _, note in journal.decisions}
        return [(row, note) for row, (label, note) in last.items() if label is Label.MAYBE]

    console = paper()
    summary = terminal.run(
        real_session(n, journal),
        some_records(n),
        reasons=[],
        criteria=([], []),
        state=lambda: "the state",
        maybes=maybes,
        console=console,
        keys=ScriptedKeys(*keys),
        **options,
    )
    return summary, console.file.getvalue()


def test_ones_own_maybes_are_gone_through_when_nothing_else_is_left():
    journal = MemoryJournal()
    keys = ["n", *"dose", ENTER, "m", "m", "i", "r", "e", "s", "x"]
    summary, said = sitting(keys, 3, journal)
    assert "2 maybes of yours: r goes through them" in said
    last = {row: (label, note) for row, label, _, note in journal.decisions}
    assert last == {0: (Label.EXCLUDE, "dose"), 1: (Label.MAYBE, ""), 2: (Label.INCLUDE, "")}  # its note is kept
    assert "1 maybe of yours" in said and summary.finished


def test_ones_own_maybes_are_gone_through_by_a_key_and_the_record_comes_back():
    journal = MemoryJournal()
    _, said = sitting(["r", "m", "r", "i", "q"], 3, journal)
    assert "You have no maybe at this stage." in said
    assert [(row, label) for row, label, *_ in journal.decisions] == [(0, Label.MAYBE), (0, Label.INCLUDE)]
    assert re.findall(r"Title (\d) *\n", said)[-1] == "1"


def test_why_and_pdfs_are_a_key_away():
    asked = []
    _, said = sitting(
        ["w", "p", "q"],
        2,
        MemoryJournal(),
        why=lambda row: [("Words that speak for it", ["<b>peer</b>", "support\x1b[2J"])],
        open_pdfs=lambda row: asked.append(row) or "1 PDF opened.",
    )
    assert "Why this record ranks here" in said and "- peer" in said and "support[2J" in said
    assert asked == [0] and "1 PDF opened." in said
