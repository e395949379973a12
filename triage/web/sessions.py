"""The screening sessions behind the pages: one for each reviewer and stage, kept open, one request at a time."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from .. import ending, recall, screening
from ..as_json import INLINE, as_json
from ..errors import InputError
from ..highlights import Highlights, Marks
from ..log import CurrentState, Event, Label
from ..project import Project, Snapshot
from ..project.stage_records import StageRecords
from ..protocol.model import Limits, Protocol, Stage, WordList
from ..ranking import answers
from ..ranking.review import model_of, to_begin_with
from ..session_state import State, StateOf, recall_for
from .progress import Opening
from .reading import AsRead, SuggestedAsRead, as_read, line, suggested_as_read

_log = logging.getLogger(__name__)  # shown on standard error, one line each
AHEAD = 2  # records before a reviewer: the one that is read, and the next
_KEPT_ANSWERS = 10_000  # to changes that may be sent again
_MOST_NOTE = 20_000  # characters


@dataclass(frozen=True, slots=True)
class InQueue:
    """A record before the reviewer, and the tags that they gave it."""

    record: AsRead = field(metadata=INLINE)
    tags: list[str]


@dataclass(frozen=True, slots=True)
class Queue:
    """What is before a reviewer, and where the review is; while the session is opened, how far that is.

    `improving` says how far the sentence embeddings are, while words alone rank.
    """

    records: list[InQueue]
    state: State | None
    preparing: Opening | None
    improving: Opening | None = None


@dataclass
class Desk:
    """One reviewer before one stage; made by `Desks.desk`."""

    project: Project
    reviewer: str
    stage_name: str
    preset: str | None = None
    device: str = "auto"
    beside: Callable[[str], screening.Session | None] = lambda stage_name: None
    highlights: Highlights = field(default_factory=Highlights)
    turn: threading.Lock = field(default_factory=threading.Lock)
    encoding: threading.Lock = field(default_factory=threading.Lock)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.opening: Opening | None = None
        self.improving: Opening | None = None
        self.failed: InputError | None = None
        self._closing: ExitStack | None = None
        self.session: screening.Session | None = None
        self._answers: OrderedDict[str, dict[str, object]] = OrderedDict()

    # -- life ---------------------------------------------------------------------------------

    def open_in_background(self, review: Snapshot | None = None) -> None:
        """Open the session in a thread, unless it is opening, or open with the protocol in force."""
        with self.lock:
            if review is not None and self.session is not None:
                self.take_over(review)
                if self._protocol != review.protocol or self._corrections != review.live.corrections:
                    self.close()
            if self.session is not None or self.opening is not None:
                return
            self.opening = Opening()
        threading.Thread(target=self._open, name=ending.NATIVE, daemon=True).start()

    def _open(self, *, at_once: bool = True) -> None:
        """Open the session, `at_once` by words alone where the sentence embeddings are still to be computed."""
        stack = ExitStack()
        try:
            # One after the other: the first makes the views and keeps them on the disk, and the others share them.
            with self.turn:
                review = self.project.snapshot()  # before the session: a protocol that changes meanwhile opens it again
                stage, begins = review.stage(self.stage_name), None
                if at_once and len(stage.record_ids):
                    begins = to_begin_with(review, stage, self.preset, self.device, self.project.cache_dir)
                opened = stack.enter_context(
                    screening.open_session(
                        self.project,
                        reviewer=self.reviewer,
                        stage_name=self.stage_name,
                        preset=begins or self.preset,
                        device=self.device,
                        progress=self._progress,
                        beside=self.beside(self.stage_name),
                    )
                )
                self._take(review, stack, opened, None if begins is None else Opening("Encoding abstracts"))
        except Exception as error:
            stack.close()
            with self.lock:
                self.failed = (
                    error
                    if isinstance(error, InputError)
                    else InputError(f"The session could not be opened ({type(error).__name__}: {error}).")
                )
                self.opening = None
            return
        if begins is not None:
            self._improve(review, opened[0])

    def _improve(self, review: Snapshot, begun: screening.Session) -> None:
        """Compute the sentence embeddings that a session began without, and open it again with them."""

        @contextmanager
        def progress(description: str) -> Iterator[Callable[[int, int], None]]:
            at = Opening(description)
            with self.lock:
                if self.session is begun:
                    self.improving = at
            yield at.tick

        try:
            with self.encoding:  # one desk computes them, and the others of the stage find them
                model_of(
                    review, review.stage(self.stage_name), self.preset, self.device, self.project.cache_dir, progress
                )
        except Exception as error:
            _log.warning("Records are ranked by words alone: %s", error)
            with self.lock:
                if self.session is begun:
                    self.improving = None
            return
        with self.lock:
            if self.session is not begun:  # it was closed, or opened again, meanwhile
                return
            self.close()
            self.opening = Opening("Ranking by what abstracts mean")
        self._open(at_once=False)

    def _take(
        self,
        review: Snapshot,
        closing: ExitStack,
        opened: tuple[screening.Session, StageRecords],
        improving: Opening | None,
    ) -> None:
        words = self.words(review)
        with self.lock:
            self.failed = None
            session, self._records = opened
            self._texts: dict[int, AsRead] = {}  # by row, of the records before the reviewer
            self._closing = closing
            self._protocol, self._version = review.protocol, len(review.protocol_versions)
            self._corrections = review.live.corrections
            self._words = words
            weights = recall.logged_parameters(review.events, self.stage_name)
            self._state = StateOf(
                session,
                lambda history: recall_for(self.project.snapshot(), self.stage_name, self.reviewer, history, weights),
            )
            self.session, self.opening, self.improving = session, None, improving

    def take_over(self, review: Snapshot) -> None:
        """Go on by the protocol in force, if what changed of it neither ranks records nor says which come here.

        Any other change waits until the page is loaded again, and then opens the session anew.
        """
        version = len(review.protocol_versions)
        if self.session is None:
            return
        if self._corrections != review.live.corrections:
            with self.lock:
                self._texts.clear()  # they are read as corrected at once, and ranked so from the next page on
        if version <= self._version:
            return
        words = self.words(review)
        with self.lock:
            if version > self._version and _asked_by_session(self._protocol) == _asked_by_session(review.protocol):
                self._protocol, self._version = review.protocol, version
                self._words = words
                self._texts.clear()

    @contextmanager
    def _progress(self, description: str) -> Iterator[Callable[[int, int], None]]:
        at = Opening(description)
        self.opening = at
        yield at.tick

    def words(self, review: Snapshot, own: Sequence[WordList] | None = None) -> Marks:
        """Return what is marked in the records that this reviewer reads; `own` are their lists, where they are at hand."""
        return self.highlights.of(review, self.project.own_highlights(self.reviewer) if own is None else own)

    def mark_anew(self, review: Snapshot) -> None:
        """Mark by the word lists as they are now."""
        words = self.words(review)
        with self.lock:
            if self.session is not None:
                self._words = words
                self._texts.clear()

    def close(self) -> None:
        """Close the session; it is opened again when it is asked for."""
        with self.lock:
            stack, self._closing, self.session, self.improving = self._closing, None, None, None
        if stack is not None:
            stack.close()

    def _opened(self) -> screening.Session:
        """Return the session; if it could not be opened, say why once, and try again."""
        with self.lock:
            if self.session is not None:
                return self.session
            if self.opening is None and self.failed is not None:
                failed, self.failed = self.failed, None
                raise failed
            self.open_in_background()
            raise NotOpen

    @contextmanager
    def _at_work(self) -> Iterator[screening.Session]:
        """Give the session to one request at a time.

        Where records have come to the stage, or left it, the session is closed, to be opened again.
        """
        with self.lock:
            session = self._opened()
            try:
                yield session
            except InputError:
                fresh = self.project.stage(self.stage_name).record_ids
                known = self._records.stage.record_ids
                if len(fresh) == len(known) and (fresh == known).all():
                    raise
                self.close()
                self.open_in_background()
                raise NotOpen from None

    # -- what is before the reviewer ----------------------------------------------------------

    def queue(self) -> Queue:
        """Return the records before the reviewer, in order; or how far the session is with opening."""
        try:
            with self._at_work() as session:
                rows = [one.row for one in session.ahead(AHEAD)]
                # The next record is put before the reviewer twice: first behind the present one, then as it.
                self._texts = {row: self._texts.get(row) or as_read(self._records[row], self._words) for row in rows}
                queue = [InQueue(self._texts[row], session.tags(row)) for row in rows]
                improving = None if self.improving is None else replace(self.improving)
                return Queue(queue, self._state(), None, improving)
        except NotOpen:
            return Queue([], None, replace(self.opening or Opening()))

    # -- what the reviewer does ---------------------------------------------------------------

    def once(self, key: str, change: Callable[[screening.Session], dict[str, object]]) -> dict[str, object]:
        """Make a change and return its answer; when it is sent again, the first answer and no second change."""
        with self._at_work() as session:
            if key not in self._answers:
                self._keep(key, change(session))
            return self._answers[key]

    def once_at_rest(self, key: str, change: Callable[[], dict[str, object]]) -> dict[str, object]:
        """Do so with a change that needs no session; one that is open takes it from the log."""
        with self.lock:
            if key not in self._answers:
                self._keep(key, change())
            return self._answers[key]

    def _keep(self, key: str, answer: dict[str, object]) -> None:
        self._answers[key] = answer
        while len(self._answers) > _KEPT_ANSWERS:
            self._answers.popitem(last=False)

    def decide(
        self,
        key: str,
        record_id: int,
        label: Label,
        reason: str,
        note: str,
        tags: Sequence[str] | None,
        protocol: Protocol | None = None,
    ) -> dict[str, object]:
        """Judge a record; durable when this returns. What is in force already is not written again."""
        protocol = self._in_force(protocol)
        stage = next((s for s in protocol.stages if s.name == self.stage_name), Stage(self.stage_name))
        codes = [c.code for c in stage.reasons]
        if reason and (label is not Label.EXCLUDE or (codes and reason not in codes)):
            raise InputError(f"{reason!r} is not a reason to exclude at this stage; choose one of {', '.join(codes)}.")
        if len(note) > _MOST_NOTE:
            raise InputError(f"A note has at most {_MOST_NOTE:,} characters; shorten it.")

        def change(session: screening.Session) -> dict[str, object]:
            live = self.project.live()
            row = self._row(live, record_id)
            mine = self.mine(live, record_id)
            has = session.tags(row)
            if tags is not None and (unknown := set(tags) - set(protocol.tags) - set(has)):
                raise InputError(f"{', '.join(sorted(unknown))} is not among the protocol's tags.")
            same = (
                mine is not None
                and not mine.is_unread
                and (mine.label, mine.reason, mine.note) == (label, reason, note)
            )
            if session.is_check(row) or not same or (tags is not None and list(tags) != has):
                session.decide(row, label, reason, note, tags)
            # From now on this reviewer may see them, whatever the protocol says.
            suggestions = [as_json(one) for one in self.suggestions(live, record_id, blind=False)]
            return {"record_id": record_id, "label": str(label), "reason": reason, "suggestions": suggestions}

        return self.once(key, change)

    def skip(self, key: str, record_id: int) -> dict[str, object]:
        """Set a record aside: it comes back after some decisions."""

        def change(session: screening.Session) -> dict[str, object]:
            session.skip(self._row(self.project.live(), record_id))
            return {"record_id": record_id, "skipped": True}

        return self.once(key, change)

    def undo(self, key: str, record_id: int | None) -> dict[str, object]:
        """Take the reviewer's last decision back, if it is the one on `record_id`, where that is given."""

        def change(session: screening.Session) -> dict[str, object]:
            live = self.project.live()
            last = self.last(live)
            if last is None or (record_id is not None and live.kept(last.about) != live.kept(record_id)):
                return {"record_id": None, "label": None, "note": "", "reason": ""}
            row = session.undo()
            return {
                "record_id": None if row is None else int(self._records.stage.record_ids[row]),
                "label": str(last.label),
                "note": last.note,
                "reason": last.reason,
            }

        return self.once(key, change)

    def why(self, record_id: int) -> dict[str, object]:
        """Return what speaks for and against a record; see `ranking.answers.explain`.

        Neither its score nor its rank: they would give an audit draw away. Where others judge the records too, only
        records that the reviewer has judged are named.
        """
        session = self._opened()  # explained beside the session: a decision must not wait
        facts = answers.explain(
            self.project, record_id, stage_name=self.stage_name, session=session, viewer=self.reviewer
        )
        facts = answers.known_to(self.project.snapshot(), self.stage_name, facts, self.reviewer)
        return {
            "record_id": record_id,
            "ranked": facts.score is not None,
            "terms": [{"term": one.term, "for": one.weight > 0} for one in facts.terms],
            "criteria": [{"kind": one.kind, "text": one.text, "nearer_than": one.less_near} for one in facts.criteria],
            "known": [
                {
                    "record_id": one.record_id,
                    "title": line(one.title),
                    "relevant": one.relevant,
                    "key_paper": one.key_paper,
                    "for": one.weight > 0,
                }
                for one in facts.known
            ],
        }

    # -- what is so ---------------------------------------------------------------------------

    def mine(self, live: CurrentState, record_id: int) -> Event | None:
        """Return the reviewer's own decision on a record that is in force."""
        for member in live.members(record_id):
            if event := live.decisions.get((self.stage_name, member, self.reviewer)):
                return event
        return None

    def suggestions(self, live: CurrentState, record_id: int, *, blind: bool) -> list[SuggestedAsRead]:
        """Return what machines suggest for a record; if `blind`, only once the reviewer has decided on it."""
        return suggested_as_read(live, self.stage_name, record_id, viewer=self.reviewer, blind=blind)

    def decisions(self, live: CurrentState) -> list[Event]:
        """Return the reviewer's decisions that are in force at this stage."""
        return [e for (stage, _, who), e in live.decisions.items() if stage == self.stage_name and who == self.reviewer]

    def last(self, live: CurrentState) -> Event | None:
        """Return the newest of the reviewer's decisions that are in force at this stage."""
        read = (e for e in self.decisions(live) if not e.is_unread)
        return max(read, key=lambda e: e.seq, default=None)

    def _in_force(self, protocol: Protocol | None) -> Protocol:
        """Return the protocol in force, once the session is open; what was added to it can be picked at once."""
        self._opened()
        return self.project.protocol() if protocol is None else protocol

    def _row(self, live: CurrentState, record_id: int) -> int:
        row = int(self._records.stage.rows_of([live.kept(record_id)])[0])
        if row < 0:
            raise InputError(f"Record {record_id} is not at the stage {self.stage_name!r}.")
        return row


def _asked_by_session(protocol: Protocol) -> Protocol:
    """Return what a session asks of a protocol; the rest may change while it is open."""
    stages = tuple(Stage(stage.name) for stage in protocol.stages)
    return replace(protocol, title="", sources=(), limits=Limits(), tags=(), stages=stages, highlights=())


class NotOpen(Exception):
    """The session is not open, or not yet."""


class Desks:
    """All sessions of one review.

    Parameters
    ----------
    project : Project
    preset, device : str
        See `screening.open_session`.
    """

    def __init__(self, project: Project, preset: str | None = None, device: str = "auto") -> None:
        self.project = project
        self.highlights = Highlights()
        self._preset = preset
        self._device = device
        self._desks: dict[tuple[str, str], Desk] = {}
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # to open a session
        self._encoding = threading.Lock()  # to compute sentence embeddings

    def desk(self, review: Snapshot, reviewer: str, stage_name: str = "") -> Desk:
        """Return a reviewer's desk at a stage, the first when none is named, with the protocol in force (see `Desk.take_over`).

        Raises
        ------
        InputError
            When there is no such stage.
        """
        stage_name = review.stage_name(stage_name or None)
        with self._lock:
            key = (reviewer, stage_name)
            if key not in self._desks:
                self._desks[key] = Desk(
                    self.project,
                    reviewer,
                    stage_name,
                    self._preset,
                    self._device,
                    self._open_at,
                    self.highlights,
                    self._turn,
                    self._encoding,
                )
            desk = self._desks[key]
        desk.take_over(review)
        return desk

    def mark_anew(self, review: Snapshot, reviewer: str) -> None:
        """Mark what a reviewer reads by their word lists as they are now."""
        with self._lock:
            desks = [desk for (name, _), desk in self._desks.items() if name == reviewer]
        for desk in desks:
            desk.mark_anew(review)

    def _open_at(self, stage_name: str) -> screening.Session | None:
        """Return any session that is open at a stage: the views of its model serve the next, too."""
        with self._lock:
            desks = [desk for (_, stage), desk in self._desks.items() if stage == stage_name]
        return next((session for desk in desks if (session := desk.session) is not None), None)

    @property
    def n_open(self) -> int:
        """How many sessions are open."""
        with self._lock:
            return sum(desk.session is not None for desk in self._desks.values())

    def close(self) -> None:
        """Close every session."""
        with self._lock:
            desks, self._desks = list(self._desks.values()), {}
        for desk in desks:
            desk.close()
