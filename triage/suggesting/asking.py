"""Asking a language model about the records of a stage: what it will take, and doing it so that nothing is lost.

Long, as what is asked, kept and logged of one record is one course of events, which nobody should have to put together.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .. import bundled
from ..as_json import INLINE
from ..errors import ExtraNeeded, InputError
from ..log import Event, Label, Stage
from ..machines import Suggestion
from ..progress import Progress, no_progress
from ..project import Project, Snapshot
from ..ranking.review import judged_rows, no_records, order_without_machines
from ..wording import is_are, plural, was_were
from .answers import Answer, KeptAnswers, NotAnAnswer, tokens_of
from .endpoint import Endpoint, Key
from .prompt import Prompt, record_text

if TYPE_CHECKING:
    from .client import Client, Usage

_SEED = 0
_ATTEMPTS = 3  # answers about one record that may be invalid
_MOST_ECHOED = 2_000  # characters of an invalid answer that the model is shown again
_TOKENS_OUT = 120  # of a usual answer
_AROUND_A_MESSAGE = 8  # tokens
_AT_ONCE, _SECONDS = 25, 2.0  # suggestions are written when there are so many, or the first has waited so long
_GIVE_UP_AFTER, _GIVE_UP_AT_ONCE = 10, 3  # records in a row without an answer; where there has been none yet


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is asked.

    Attributes
    ----------
    endpoint : Endpoint
    key : Key or None
    model : str
        As the server calls it.
    name : str
        As the log calls the machine.
    template : str or None
        A prompt of one's own.
    max_tokens : int
        The most that an answer may take.
    timeout : float
        Seconds to wait for one.
    per_minute : float or None
        The most requests in a minute.
    parallel : int
        Requests under way at once.
    prices : tuple of float or None
        For a million tokens in and out, in whatever currency.
    """

    endpoint: Endpoint
    key: Key | None
    model: str
    name: str
    template: str | None = None
    max_tokens: int = 1_000
    timeout: float = 120.0
    per_minute: float | None = None
    parallel: int = 1
    prices: tuple[float, float] | None = None

    @property
    def parameters(self) -> dict[str, object]:
        """What is asked of the model beside the messages."""
        return {"temperature": 0, "seed": _SEED, "max_tokens": self.max_tokens}

    def cost(self, tokens_in: int, tokens_out: int) -> float | None:
        """Return what so many tokens cost; None where no prices are known."""
        if self.prices is None:
            return None
        return (tokens_in * self.prices[0] + tokens_out * self.prices[1]) / 1e6


@dataclass(frozen=True, slots=True)
class Plan:
    """What asking will take, told before anything is sent.

    Attributes
    ----------
    endpoint : str
    key : str or None
        The variable of the environment that the key is in.
    machine, model, stage, prompt_sha256 : str
    records : int
        Records that a suggestion is wanted for.
    screened : int
        Those of them that people have judged already.
    in_force : int
        Those that have one of this model and prompt.
    cached : int
        Those that the model has answered about before.
    to_ask : int
        Those left, which will be sent.
    cut : int
        Those of them whose text is too long and will be cut.
    estimated_tokens_in, estimated_tokens_out : int
        A rule of thumb for the requests, without any that has to be made again.
    most_tokens_out : int
        What the answers can take at most.
    estimated_cost, most_cost : float or None
        By the prices, where they are known; the second with the most tokens out.
    """

    endpoint: str
    key: str | None
    machine: str
    model: str
    stage: str
    prompt_sha256: str
    records: int
    screened: int
    in_force: int
    cached: int
    to_ask: int
    cut: int
    estimated_tokens_in: int
    estimated_tokens_out: int
    most_tokens_out: int
    estimated_cost: float | None
    most_cost: float | None


@dataclass(frozen=True, eq=False)
class Work:
    """A plan and what carries it out.

    Attributes
    ----------
    plan : Plan
    settings : Settings
    prompt : Prompt
    stage : Stage
    cached, to_ask : ndarray of int
        Rows of the stage, in the order in which they are taken.
    reviewer : str
        Who asks.
    """

    plan: Plan
    settings: Settings
    prompt: Prompt
    review: Snapshot
    stage: Stage
    cached: np.ndarray
    to_ask: np.ndarray
    reviewer: str

    def texts(self, rows: np.ndarray) -> Iterator[tuple[int, str]]:
        """Yield the id and the text of each record."""
        for record in self.review.records.iter_shown(self.stage, rows):
            yield record.number, record_text(record)[0]


@dataclass(frozen=True, slots=True)
class Failed:
    """A record that got no valid answer, and why."""

    record_id: int
    why: str


@dataclass(frozen=True, slots=True)
class Suggested:
    """What came of asking; what `triage suggest --json` prints.

    Attributes
    ----------
    plan : Plan
    suggestions : int
        Suggestions written, those from earlier answers among them.
    include, exclude, maybe : int
        Of these, by label.
    versions : list of str
        What the server called the model.
    failed : list of Failed
        Records without a valid answer; they have no suggestion.
    replies : int
        Replies that came, those that were no valid answer among them.
    replies_with_usage : int
        Those that said how many tokens they took.
    tokens_in, tokens_out : int
        What these took together.
    cost : float or None
        By the prices, where they are known.
    warnings : list of str
    """

    plan: Plan = field(metadata=INLINE)
    suggestions: int
    include: int
    exclude: int
    maybe: int
    versions: list[str]
    failed: list[Failed]
    replies: int
    replies_with_usage: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    warnings: list[str]


def plan(
    project: Project,
    settings: Settings,
    *,
    reviewer: str,
    stage_name: str | None = None,
    top: int | None = None,
    record_id: int | None = None,
    progress: Progress = no_progress,
) -> Work:
    """Find what there is to ask; nothing is sent or written to the review.

    The records come in the order of the ranking as it is without suggestions. The random draws have no part in it:
    nobody learns from the suggestions which records those will be.

    Parameters
    ----------
    project : Project
    settings : Settings
    reviewer : str
        Who asks.
    stage_name : str, optional
        The first stage when left out.
    top : int, optional
        So many of the unscreened records, the best first; all records of the stage when left out, the screened ones
        last.
    record_id : int, optional
        This record alone.
    progress : callable

    Raises
    ------
    ExtraNeeded
        When the client library is not installed.
    InputError
        When a name is wrong, the protocol says nothing to judge by, or the stage has no such records.
    """
    _load_client()
    project.log.check_person(reviewer)
    project.log.check_machine(settings.name)
    review = project.snapshot()
    asked = review.asked(stage_name)
    prompt = Prompt.of(review.protocol, asked, settings.template)
    if record_id is not None:
        stage, rows = review.stage(stage_name), _row_of(review, stage_name, record_id)
        unscreened = _unscreened(review, stage)
    else:
        review, stage, order = order_without_machines(project, stage_name, progress)
        unscreened = _unscreened(review, stage)
        rows = order[unscreened[order]]
        rows = np.concatenate([rows, order[~unscreened[order]]]) if top is None else rows[:top]
    in_force = _in_force(stage, settings, prompt)
    wanted = rows[[int(i) not in in_force for i in stage.record_ids[rows]]]
    is_cached, cut, tokens_in = np.zeros(len(wanted), bool), 0, 0
    constant = tokens_of(prompt.text) + 2 * _AROUND_A_MESSAGE
    with closing(_kept(settings, prompt)) as kept:
        for place, record in enumerate(review.records.iter_shown(stage, wanted)):
            text, was_cut = record_text(record)
            is_cached[place] = kept.get(text) is not None
            if not is_cached[place]:
                cut += was_cut
                tokens_in += constant + tokens_of(text)
    to_ask = int((~is_cached).sum())
    tokens_out, most = _TOKENS_OUT * to_ask, settings.max_tokens * to_ask
    facts = Plan(
        endpoint=settings.endpoint.url,
        key=None if settings.key is None else settings.key.variable,
        machine=settings.name,
        model=settings.model,
        stage=stage.name,
        prompt_sha256=prompt.sha256,
        records=len(rows),
        screened=int((~unscreened[rows]).sum()),
        in_force=len(rows) - len(wanted),
        cached=len(wanted) - to_ask,
        to_ask=to_ask,
        cut=cut,
        estimated_tokens_in=tokens_in,
        estimated_tokens_out=tokens_out,
        most_tokens_out=most,
        estimated_cost=settings.cost(tokens_in, tokens_out),
        most_cost=settings.cost(tokens_in, most),
    )
    return Work(facts, settings, prompt, review, stage, wanted[is_cached], wanted[~is_cached], reviewer)


def first_record(
    review: Snapshot, *, template: str | None, stage_name: str | None = None, record_id: int | None = None
) -> tuple[int, Prompt, str]:
    """Return a record's id, the prompt, and the record's text as they would be sent.

    Parameters
    ----------
    review : Snapshot
    template, stage_name
        See `plan`.
    record_id : int, optional
        The first unscreened record, in the order of import, when left out.
    """
    prompt = Prompt.of(review.protocol, review.asked(stage_name), template)
    stage = review.stage(stage_name)
    if record_id is not None:
        row = _row_of(review, stage_name, record_id)
    else:
        if not len(stage.record_ids):
            raise no_records(review, stage)
        row = np.argsort(~_unscreened(review, stage), kind="stable")[:1]
    [record] = review.records.shown(stage, row)
    return record.number, prompt, record_text(record)[0]


def _row_of(review: Snapshot, stage_name: str | None, record_id: int) -> np.ndarray:
    stage = review.stage(stage_name)
    rows = stage.rows_of([stage.live.kept(record_id)])
    if rows[0] < 0:
        raise InputError(f"The stage {stage.name!r} of {review.path} has no record {record_id}.")
    return rows


def _unscreened(review: Snapshot, stage: Stage) -> np.ndarray:
    """Return which records nobody has judged, shape (n,)."""
    found = np.ones(len(stage.record_ids), bool)
    found[judged_rows(review.history(stage.name))[0]] = False
    return found


def _asked(settings: Settings, prompt: Prompt) -> dict[str, object]:
    """Return all that an answer depends on but for the record."""
    return {
        "endpoint": settings.endpoint.host,
        "model": settings.model,
        "parameters": settings.parameters,
        "prompt_sha256": prompt.sha256,
    }


def _in_force(stage: Stage, settings: Settings, prompt: Prompt) -> set[int]:
    """Return the records that have a suggestion of this machine, made by the same model with the same prompt."""
    name = stage.live.machine_named(settings.name)
    if name is None:
        return set()
    wanted = _asked(settings, prompt)
    declared = stage.live.machines[name]
    known = [json.loads(e.note or "{}") for e in declared]
    is_same = [all(one.get(fact) == value for fact, value in wanted.items()) for one in known]
    seqs = [e.seq for e in declared]
    given: Mapping[int, Event] = stage.live.suggested(stage.name).get(name, {})
    return {record_id for record_id, e in given.items() if is_same[bisect_right(seqs, e.seq) - 1]}


def _kept(settings: Settings, prompt: Prompt) -> KeptAnswers:
    return KeptAnswers(bundled.user_cache_dir() / "suggestions", _asked(settings, prompt), prompt.codes)


def _load_client() -> None:
    try:
        from . import client  # noqa: F401
    except ImportError as error:
        raise ExtraNeeded("Asking a language model", "llm") from error


def carry_out(project: Project, work: Work, *, progress: Progress = no_progress) -> Suggested:
    """Ask what is to be asked, and write the suggestions.

    Each answer is on the disk as it comes, and the suggestions are written in small transactions: what came before an
    interruption, a crash or an error is kept, and the next run asks for the rest.

    Raises
    ------
    InputError
        When asking on would be of no use; what came before is kept.
    """
    from .client import Client, Pace, Usage

    settings, prompt = work.settings, work.prompt
    writer = _Writer(project, work)
    failed: list[Failed] = []
    usage = Usage()
    with closing(_kept(settings, prompt)) as kept:
        for record_id, text in work.texts(work.cached):
            if (answer := kept.get(text)) is not None:
                writer.add(record_id, answer)
        writer.flush()
        if len(work.to_ask):
            stop = threading.Event()
            client = Client(
                settings.endpoint,
                settings.key,
                settings.model,
                settings.parameters,
                prompt.schema(),
                timeout=settings.timeout,
                pace=Pace(settings.per_minute, stop),
            )
            try:
                with progress("Asking") as tick:
                    failed = _ask_all(work, client, kept, writer, tick)
            finally:
                stop.set()
                writer.flush()
            usage = client.usage
            client.close()
    return Suggested(
        plan=work.plan,
        suggestions=writer.counts.total(),
        include=writer.counts[Label.INCLUDE],
        exclude=writer.counts[Label.EXCLUDE],
        maybe=writer.counts[Label.MAYBE],
        versions=sorted({version for version, _ in writer.declared if version}),
        failed=sorted(failed, key=lambda one: one.record_id),
        replies=usage.replies,
        replies_with_usage=usage.told,
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        cost=settings.cost(usage.tokens_in, usage.tokens_out),
        warnings=list(_warnings(work, writer, usage)),
    )


def _warnings(work: Work, writer: _Writer, usage: Usage) -> Iterator[str]:
    left_out = sorted({name for _, names in writer.declared for name in names.split(", ") if name})
    if left_out:
        told = [_LEFT_OUT[name] for name in left_out]
        yield f"The server does not take everything that it was asked: {'; '.join(told)}."
    if usage.told < usage.replies:
        n = usage.replies - usage.told
        yield f"{plural(n, 'reply', 'replies')} did not say how many tokens {was_were(n)} used."
    if n := work.plan.cut:
        yield f"{plural(n, 'record')} {is_are(n)} longer than any abstract, and {was_were(n)} cut."


_LEFT_OUT = {
    "temperature": "a temperature of 0 (its answers may differ from run to run)",
    "seed": "a seed",
    "max_tokens": "max_tokens (max_completion_tokens was given)",
    "response_format": "a schema for the answers (they were checked all the same)",
    "system": "instructions in a message of their own (they came before the record)",
}


class _Writer:
    """Writes suggestions to the log, some at a time; the main thread's alone."""

    def __init__(self, project: Project, work: Work) -> None:
        self._project = project
        self._work = work
        self._waiting: list[tuple[int, Answer]] = []
        self._since = 0.0
        self.counts: Counter[Label] = Counter()
        self.declared: set[tuple[str, str]] = set()

    def add(self, record_id: int, answer: Answer) -> None:
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append((record_id, answer))
        if len(self._waiting) >= _AT_ONCE:
            self.flush()

    def flush_if_due(self) -> None:
        if self._waiting and time.monotonic() - self._since >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        by_version: dict[tuple[str, str], list[tuple[int, Answer]]] = {}
        for record_id, answer in waiting:
            by_version.setdefault((answer.version, answer.without), []).append((record_id, answer))
        for (version, without), given in by_version.items():
            settings, prompt = self._work.settings, self._work.prompt
            known = {
                **_asked(settings, prompt),
                "version": version,
                "without": without,
                "by": self._work.reviewer,
                "prompt": prompt.text,
            }
            rows = [
                {
                    "record_id": record_id,
                    "label": a.label,
                    "reason": a.reason,
                    "note": Suggestion(settings.name, a.label, a.reason, a.score, rationale=a.rationale).event_note(),
                }
                for record_id, a in given
            ]
            self._project.log.suggest(
                self._work.stage.name,
                rows,
                machine=settings.name,
                known={fact: value for fact, value in known.items() if value != ""},
            )
            self.declared.add((version, without))
            self.counts.update(a.label for _, a in given)


def _ask_all(
    work: Work, client: Client, kept: KeptAnswers, writer: _Writer, tick: Callable[[int, int], None]
) -> list[Failed]:
    """Ask about every record that is to be asked about; return those that got no answer."""
    total, done, in_a_row = len(work.to_ask), 0, 0
    failed: list[Failed] = []
    came: queue.SimpleQueue[tuple[int, Answer | str] | Exception | None] = queue.SimpleQueue()
    jobs, turn = work.texts(work.to_ask), threading.Lock()
    running = min(work.settings.parallel, total)
    for _ in range(running):
        # Not waited for at the end: one may be in the middle of a long request.
        threading.Thread(target=_keep_asking, args=(work, client, kept, jobs, turn, came), daemon=True).start()
    tick(0, total)
    while running:
        writer.flush_if_due()
        try:
            one = came.get(timeout=_SECONDS)
        except queue.Empty:
            continue
        if one is None:
            running -= 1
            continue
        if isinstance(one, InputError):
            raise InputError(f"{one.message}{_told_of_kept(done - len(failed), total)}")
        if isinstance(one, Exception):
            raise one
        record_id, answer = one
        done += 1
        if isinstance(answer, Answer):
            in_a_row = 0
            writer.add(record_id, answer)
        else:
            failed.append(Failed(record_id, answer))
            in_a_row += 1
            if in_a_row >= (_GIVE_UP_AT_ONCE if len(failed) == done else _GIVE_UP_AFTER) and done < total:
                raise InputError(
                    f"{plural(in_a_row, 'record')} in a row got no answer from {work.settings.endpoint.host}, so no more were "
                    f"asked about; the last, record {record_id}: {answer}.{_told_of_kept(done - len(failed), total)}"
                )
        tick(done, total)
    return failed


def _told_of_kept(answered: int, total: int) -> str:
    if not answered:
        return ""
    return f" The {plural(answered, 'answer')} that had come are kept; run it again for the other {total - answered:,}."


def _keep_asking(
    work: Work,
    client: Client,
    kept: KeptAnswers,
    jobs: Iterator[tuple[int, str]],
    turn: threading.Lock,
    came: queue.SimpleQueue[tuple[int, Answer | str] | Exception | None],
) -> None:
    """Ask about one record after the other, until there are no more or the run is over."""
    from .client import NoAnswer, Stopped

    try:
        while True:
            with turn:
                job = next(jobs, None)
            if job is None:
                break
            record_id, text = job
            try:
                came.put((record_id, _ask_about(work, client, kept, text)))
            except NoAnswer as error:
                came.put((record_id, str(error)))
    except Stopped:
        pass
    except Exception as error:  # the main thread says it, whatever it is
        came.put(error)
    came.put(None)


def _ask_about(work: Work, client: Client, kept: KeptAnswers, text: str) -> Answer:
    """Return the answer about one record; it is on the disk by then."""
    from .client import NoAnswer

    asked: Sequence[dict[str, str]] = work.prompt.messages(text)
    messages, why = asked, ""
    for _ in range(_ATTEMPTS):
        reply = client.ask(messages)
        try:
            answer = Answer.read(reply.text, work.prompt.codes, reply.version, reply.without, client.hide)
        except NotAnAnswer as error:
            limit = f"it was cut off after {work.settings.max_tokens:,} tokens (give more with --max-tokens)"
            why = client.hide(str(error)) if reply.is_whole else limit
            messages = [
                *asked,
                {"role": "assistant", "content": reply.text[:_MOST_ECHOED] or "(nothing)"},
                {
                    "role": "user",
                    "content": f"That answer was not accepted: {why}. Answer with the JSON object alone, as it was asked for.",
                },
            ]
            continue
        kept.keep(text, answer)
        return answer
    raise NoAnswer(f"no valid answer in {_ATTEMPTS} attempts: {why}")
