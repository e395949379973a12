"""What a review asks: question, criteria, sources, limits, stages, stopping rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from ..stopping_rules import DEFAULT_RULE


@dataclass(frozen=True, slots=True)
class Criterion:
    """One inclusion or exclusion criterion, or a reason: a short code, and the text in full."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """One database searched."""

    name: str
    search: str = ""
    searched_on: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a record must be to be screened at all; an empty field sets no limit.

    Attributes
    ----------
    languages : tuple of str
        Allowed languages, by English name or ISO 639 code; `parse` gives English names.
    published_from, published_to : date or None
        First and last allowed day of publication.
    exclude_types : tuple of str
        Publication types that are not wanted, such as "editorial".
    """

    languages: tuple[str, ...] = ()
    published_from: date | None = None
    published_to: date | None = None
    exclude_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of screening and the reasons offered there for excluding a record.

    Attributes
    ----------
    name : str
    reasons : tuple of Criterion
        In the order of their priority.
    not_retrieved : str
        The code of the reason for excluding a record whose full text could not be obtained; may be empty.
    """

    name: str
    reasons: tuple[Criterion, ...] = ()
    not_retrieved: str = ""


FIRST_STAGE = "abstract"


@dataclass(frozen=True, slots=True)
class Stopping:
    """The one rule that decides when screening can stop, named before screening.

    Attributes
    ----------
    rule : str
        One of `stopping_rules.RULES`.
    target, confidence : float
        The recall to reach, and the confidence of every bound.
    audit_size : int or None
        Draws of the one sample of a rule that looks once.
    recall_among : str
        "screened": the target is the recall among the records that are screened here, so those that came with their
        labels count neither as found nor as missed; "all": among all records.
    recall_of : str
        "labels": the target is the recall of the labels given; "corrected": that of the labels as second looks correct
        them (see `recall.adjudicated`).
    """

    rule: str = DEFAULT_RULE
    target: float = 0.95
    confidence: float = 0.95
    audit_size: int | None = None
    recall_among: str = "screened"
    recall_of: str = "labels"


@dataclass(frozen=True, slots=True)
class Machines:
    """How the suggestions of machines are dealt with.

    Attributes
    ----------
    blind : bool
        Whether a reviewer sees what machines suggest for a record only after deciding on it.
    rank : bool
        Whether what machines suggest is part of the ranking, as far as people's labels bear it out.
    """

    blind: bool = True
    rank: bool = True


COLOURS = ("blue", "orange", "violet", "green", "yellow", "pink")  # blue is that of inclusion, orange of exclusion


@dataclass(frozen=True, slots=True)
class WordList:
    """Words to mark in the records, in one colour.

    Attributes
    ----------
    name : str
    colour : str
        One of `COLOURS`.
    words : tuple of str
        Words, phrases, and stems with an asterisk (see `searching.pattern_of`).
    """

    name: str
    colour: str
    words: tuple[str, ...]


def usual_colour(name: str) -> str:
    """Return the colour of a list that names none."""
    return {"include": "blue", "exclude": "orange"}.get(name.casefold(), "violet")


@dataclass(frozen=True, slots=True)
class Protocol:
    """A review's protocol. `Protocol()` is what holds where a protocol says nothing."""

    title: str = ""
    question: str = ""
    sources: tuple[Source, ...] = ()
    limits: Limits = field(default_factory=Limits)
    include: tuple[Criterion, ...] = ()
    exclude: tuple[Criterion, ...] = ()
    stages: tuple[Stage, ...] = (Stage(FIRST_STAGE),)
    tags: tuple[str, ...] = ()
    stopping: Stopping = field(default_factory=Stopping)
    model: str = "default"
    learn_from: str = "stage"
    reviewers_per_record: int = 1
    calibration: int = 0
    attention_checks: int = 0
    machines: Machines = field(default_factory=Machines)
    highlights: tuple[WordList, ...] = ()
    key_papers: tuple[str, ...] = ()  # known to be relevant: a DOI, a PMID or a title each

    @property
    def queries(self) -> tuple[str, ...]:
        """What can rank records before any label: the question and the inclusion criteria, where they hold a word."""
        return tuple(text for text in (self.question, *(c.text for c in self.include)) if has_word(text))

    def nothing_to_rank_by(self, file: str, learned: bool) -> str:
        """Say that the ranking finds nothing to go by in this protocol, and what to do; "" where it does.

        Parameters
        ----------
        file : str
            What to call the protocol's file.
        learned : bool
            Whether the ranking learns from labels, an include and an exclude at least.
        """
        if self.queries:
            return ""
        lacks = "neither a question nor an inclusion criterion"
        if self == Protocol():
            lacks = f"is still an empty template, with {lacks}"
        elif self.exclude:
            lacks = f"has exclusion criteria, but {lacks} to rank by"
        else:
            lacks = f"has {lacks}"
        then = (
            "the ranking learns only from the decisions"
            if learned
            else "records come in the order of import until there are an include and an exclude to learn from"
        )
        return f"{file} {lacks}, so {then}: write the question and the criteria into that file."


def has_word(text: str) -> bool:
    """Tell whether a text holds a letter or a digit, without which nothing can be compared with it."""
    return any(map(str.isalnum, text))
