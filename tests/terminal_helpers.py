"""What the tests of the terminal share: keys given in advance, a journal in memory, a screen of text."""

import contextlib
import io
import re

import numpy as np
from rich.console import Console

from triage import terminal
from triage.log import Label
from triage.records import Record
from triage.screening.pool import Pool
from triage.screening.session import Assignment, Session

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


def pages_of(said):
    """Return what stood in the window after each page was drawn, as bare lines; the last one is the question."""
    pages = []
    for page in said.replace("\r\n", "\n").split("\x1b[H")[1:]:
        asked = re.sub(r"(?:\r\x1b\[2K)?\n*$", "", page)  # up to where the next page begins
        asked = re.sub(r"[^\n]*\r\x1b\[2K", "", asked)  # a question that another one took the place of
        pages.append(re.sub(r"\x1b\[[\d;]*[mK]", "", asked).split("\n"))
    return pages
