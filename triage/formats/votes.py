"""Decisions that other screening programs write into their exports: ASReview, Rayyan and Covidence."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..records import Record
from .columns import letters
from .common import Tally, Vote, one_line

_QUOTED = r'"((?:[^"\\]|\\.)*+)"'
# One vote: "Ann"=>"Included", as Ruby writes a hash, or with a colon.
_RAYYAN_VOTE = re.compile(rf"{_QUOTED}\s*(?:=>|:)\s*(?:{_QUOTED}|([\w-]+))", re.DOTALL)
_RAYYAN_NOTES = re.compile(
    rf'{_QUOTED}\s*(?:=>|:)\s*(?:\[((?:\s*"(?:[^"\\]|\\.)*+"\s*,?)*+)\s*\]|{_QUOTED})', re.DOTALL
)
_STRING = re.compile(_QUOTED, re.DOTALL)
# The names of the parts of a note, but not inside a quoted text: a user's own note may hold anything.
_PART = re.compile(
    r'[{\[,>:]\s*"(?:[^"\\]|\\.)*+"|\b(RAYYAN-(?:INCLUSION|LABELS|EXCLUSION-REASONS)|USER-NOTES)\s*:', re.DOTALL
)
_PARTS = ("RAYYAN-INCLUSION", "RAYYAN-LABELS", "RAYYAN-EXCLUSION-REASONS", "USER-NOTES")
_RAYYAN = "RAYYAN-INCLUSION"
_REASON_AS_LABEL = "__EXR__"  # as Rayyan's programming interface marks a reason among the labels
_NO_VOTE = frozenset(("undecided", "pending", "none", "null", "nil", "not_reviewed", ""))
_ASREVIEW = re.compile(r"ASReview_(relevant|irrelevant)\b")
# Fields that notes come in, by the letters of their names: RIS, EndNote (tagged, XML), BibTeX, tables.
_NOTE_FIELDS = frozenset(("n1", "rn", "z", "note", "notes", "annote", "researchnotes"))
_REASON = re.compile(r"Exclusion reason:\s*([^;\s][^;]{0,500})(?:;|$)\s*", re.IGNORECASE)
# Only its file's name says which list Covidence exported: review_1234_irrelevant_csv_2024.csv.
_COVIDENCE_LIST = re.compile(r"review_\d+_(irrelevant|select|included|excluded)_csv", re.IGNORECASE)
# The same of its other formats, with the time of the export.
_COVIDENCE_FILE = re.compile(
    r"review_\d+_(irrelevant|select|included|excluded)(?:_[a-z]{2,12})?_\d{8,14}", re.IGNORECASE
)
# A column with one person's vote or note: "Reviewer 1 vote", "Ann Lee decision", "Vote (Ann Lee)", "Reviewer 2".
_A_PERSONS = re.compile(
    r"(?P<who>.{1,100}?)(?:'s)?[\s:_-]{1,3}\(?(?P<what>vote|decision|notes?)\)?"
    r"|(?P<what_of>vote|decision|notes?)\s{0,2}(?:by |of |[:(-]\s?)(?P<of>[^()]{1,100}?)\)?"
    r"|(?P<alone>(?:reviewer|screener|rater|voter)\s?[0-9A-Z])",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(?:reviewer|screener|rater|voter)\s?[0-9A-Z]?", re.IGNORECASE)
_EVERYBODYS = frozenset(
    "final consensus consensusscreening screening screen titleandabstract titleabstract fulltext abstract overall "
    "current team agreed exclusion".split()
)
_COVIDENCE_COLUMNS = (
    "decision",
    "finaldecision",
    "consensusdecision",
    "consensus",
    "screeningdecision",
    "status",
    "screeningstatus",
    "vote",
    "finalvote",
    "outcome",
    "list",
    "tags",
)
_WORDS = {
    "included": "include",
    "include": "include",
    "yes": "include",
    "selected": "include",
    "select": "include",
    "relevant": "include",
    "excluded": "exclude",
    "exclude": "exclude",
    "no": "exclude",
    "irrelevant": "exclude",
    "maybe": "maybe",
    "true": "include",
    "false": "exclude",
}


@dataclass(frozen=True, slots=True)
class Votes:
    """What a file says was decided on a record.

    Attributes
    ----------
    given : tuple of Vote
        At most one of a name.
    final : str
        The label that a program names beside the people's votes, as agreed in the end; "" where it names none.
    doubts : tuple of str
        What could not be taken as it is, each as a sentence without its end.
    """

    given: tuple[Vote, ...] = ()
    final: str = ""
    doubts: tuple[str, ...] = ()


_NONE = Votes()


def in_notes(notes: Iterable[str], line: int, tally: Tally) -> str:
    """Return the label that ASReview or Rayyan wrote into a record's notes, or "".

    Where Rayyan's reviewers disagree there is no one label, and a warning says so: `votes_of` has each one's vote.
    """
    for note in notes:
        if _RAYYAN in note and _RAYYAN in (parts := _parts(note)):
            votes = _rayyan(parts).given
            labels = {vote.label for vote in votes}
            if len(labels) > 1:
                given = ", ".join(f"{vote.reviewer}: {vote.label}" for vote in votes)
                tally.warn(line, f"the reviewers disagree ({given[:200]}): a conflict, to be settled")
                return ""
            return labels.pop() if labels else ""
        if "ASReview_" in note and (found := _ASREVIEW.search(note)):
            return "1" if found.group(1) == "relevant" else "0"
    return ""


def votes_of(record: Record, label: str, path: Path) -> Votes:
    """Return what other programs' fields of a record say was decided on it, and by whom.

    Parameters
    ----------
    record : Record
        As it was read.
    label : str
        What its reader gave as the one label, or "".
    path : Path
        Its file, whose name may say which of Covidence's lists it is.
    """
    noted, has_columns = _telling(tuple(record.extra))
    notes = [value for name in noted for value in record.extra[name]]
    for note in notes:
        if _RAYYAN in note and _RAYYAN in (parts := _parts(note)):
            return _rayyan(parts)
    if has_columns:
        fields = _named(record.extra)
        if "rayyaninclusion" in fields:  # a column for each part
            return _rayyan({part: " ".join(fields.get(letters(part), ())) for part in _PARTS})
        return _covidence(record.extra, fields, label)
    if not label and (its_list := _list_of(path)):
        reasons, note = _covidence_reasons(notes)
        return Votes((Vote("", its_list, reasons if its_list == "exclude" else (), note),))
    return Votes((_of_asreview(label, _named(record.extra), notes),)) if label else _NONE


def note_fields(record: Record) -> list[str]:
    """Return what is in the fields of a record that notes come in."""
    return [value for name in _telling(tuple(record.extra))[0] for value in record.extra[name]]


@lru_cache(1_000)
def _telling(names: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """Return which fields hold notes, and whether a program has columns of its own for votes among them."""
    has_columns = not {"rayyaninclusion", "covidence", "covidenceid"}.isdisjoint(map(letters, names))
    return tuple(name for name in names if letters(name) in _NOTE_FIELDS), has_columns


@lru_cache(16)
def _list_of(path: Path) -> str:
    """Return the decision that Covidence's name of a list's file says, or ""."""
    found = _COVIDENCE_FILE.search(path.name)
    return _WORDS[found.group(1).lower()] if found else ""


def _named(extra: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {letters(name): values for name, values in extra.items()}


# -- Rayyan -----------------------------------------------------------------------------------


def _parts(note: str) -> dict[str, str]:
    """Return what follows each of Rayyan's names in a note; of a name that comes twice the first."""
    marks = [found for found in _PART.finditer(note) if found.group(1)]
    ends = [found.start() for found in marks[1:]] + [len(note)]
    parts: dict[str, str] = {}
    for found, end in zip(marks, ends):
        parts.setdefault(found.group(1), note[found.end() : end].strip().removesuffix("|").strip())
    return parts


def _rayyan(parts: Mapping[str, str]) -> Votes:
    said = parts.get(_RAYYAN, "")
    pairs = [(_unescaped(name), _unescaped(text or word)) for name, text, word in _RAYYAN_VOTE.findall(said)]
    if not pairs and '"' in said:  # its marks escaped once more, as reference managers hand it on
        plain = re.sub(r"\\+(?=[\"{}=>\[\]|])", "", html.unescape(said))
        pairs = [(_unescaped(name), _unescaped(text or word)) for name, text, word in _RAYYAN_VOTE.findall(plain)]
    if not pairs:
        pairs = [("", re.sub(r"^\W*(\w*).*", r"\1", said, flags=re.DOTALL))]
    notes: dict[str, str] = {}
    for name, several, one in _RAYYAN_NOTES.findall(parts.get("USER-NOTES", "")):
        texts = [_unescaped(text) for text in _STRING.findall(several)] if several else [_unescaped(one)]
        notes[one_line(_unescaped(name))] = "; ".join(filter(None, map(str.strip, texts)))
    tags: list[str] = []
    marked: list[str] = []
    for word in re.split(r"[,;]", parts.get("RAYYAN-LABELS", "")):
        if word := one_line(word):
            (marked if word.startswith(_REASON_AS_LABEL) else tags).append(word.removeprefix(_REASON_AS_LABEL))
    reasons = [one_line(word) for word in parts.get("RAYYAN-EXCLUSION-REASONS", "").split(",")]
    return _collected(
        ((one_line(name), vote) for name, vote in pairs),
        tuple(dict.fromkeys(filter(None, (*reasons, *marked)))),
        notes,
        tuple(dict.fromkeys(tags)),
    )


def _collected(
    pairs: Iterable[tuple[str, str]], reasons: tuple[str, ...], notes: Mapping[str, str], tags: tuple[str, ...]
) -> Votes:
    """Return votes; reasons and tags, which the file has once for a record, are those of everybody whom they suit."""
    given: dict[str, Vote] = {}
    doubts = []
    for name, word in pairs:
        said = " ".join(word.lower().split())
        if said in _NO_VOTE:
            continue
        if (label := _WORDS.get(said)) is None:
            doubts.append(f"{word[:40]!r}, which {name or 'somebody'} said, is no vote that is known; it was left out")
            continue
        reviewer, number = name, 2
        while reviewer in given and (number > 2 or given[reviewer].label != label):
            reviewer, number = f"{name} ({number})", number + 1
        if reviewer != name:
            doubts.append(f"two people are named {name!r}; the second is kept as {reviewer!r}")
        given[reviewer] = Vote(reviewer, label, reasons if label == "exclude" else (), notes.get(name, ""), tags)
    return Votes(tuple(given.values()), "", tuple(doubts))


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    spaces = {"n": "\n", "t": "\t", "r": "\n", "b": "\b", "f": "\f"}
    return re.sub(
        r"\\(?:u([0-9a-fA-F]{4})|(.))",
        lambda m: chr(int(m[1], 16)) if m[1] else spaces.get(m[2], m[2]),
        text,
        flags=re.DOTALL,
    )


def rayyan_note(votes: Iterable[Vote], note: str = "") -> str:
    """Return votes as Rayyan writes them into a record's notes, after a note that the record has.

    Examples
    --------
    >>> rayyan_note([Vote("Ann", "include", tags=("rct",)), Vote("Bob", "exclude", ("wrong outcome",), "a pilot")])
    'RAYYAN-INCLUSION: {"Ann"=>"Included", "Bob"=>"Excluded"} | RAYYAN-LABELS: rct | RAYYAN-EXCLUSION-REASONS: wrong \
outcome | USER-NOTES: {"Bob"=>["a pilot"]}'
    """
    votes = list(votes)
    words = {"include": "Included", "exclude": "Excluded", "maybe": "Maybe"}

    def quoted(text: str) -> str:
        return json.dumps(text, ensure_ascii=False)

    def listed(words: Iterable[str]) -> str:  # whose members are parted by commas
        return ",".join(dict.fromkeys(one_line(word.replace(",", " ").replace("|", " ")) for word in words))

    inclusion = ", ".join(f"{quoted(vote.reviewer)}=>{quoted(words[vote.label])}" for vote in votes)
    own = ", ".join(f"{quoted(vote.reviewer)}=>[{quoted(vote.note)}]" for vote in votes if vote.note)
    parts = {
        _RAYYAN: f"{{{inclusion}}}" if inclusion else "",
        "RAYYAN-LABELS": listed(tag for vote in votes for tag in vote.tags),
        "RAYYAN-EXCLUSION-REASONS": listed(reason for vote in votes for reason in vote.reasons),
        "USER-NOTES": f"{{{own}}}" if own else "",
    }
    return " | ".join(filter(None, (note, *(f"{name}: {said}" for name, said in parts.items() if said))))


def without_rayyan(note: str) -> str:
    """Return a note without the votes that Rayyan wrote into it."""
    found = next((found for found in _PART.finditer(note) if found.group(1)), None)
    return note if found is None else note[: found.start()].strip().removesuffix("|").strip()


# -- ASReview ---------------------------------------------------------------------------------


def _of_asreview(label: str, fields: Mapping[str, Sequence[str]], notes: Sequence[str]) -> Vote:
    """Return a label with the note and the tags that ASReview keeps beside it, in columns or in lines of notes."""
    said = {name.removeprefix("asreview"): value for name, (value, *_) in fields.items() if name.startswith("asreview")}
    for note in notes:
        if found := re.match(r"asreview_(\w+): (.*)", note, re.DOTALL):
            said.setdefault(found.group(1), _text_of(found.group(2)))
    return Vote("", label, note=said.get("note") or said.get("notes") or "", tags=_asreview_tags(said.get("tags", "")))


def _text_of(written: str) -> str:
    try:
        value = json.loads(written)
    except (ValueError, RecursionError):
        return written.strip()
    return value if isinstance(value, str) else "" if value is None else written.strip()


def _asreview_tags(written: str) -> tuple[str, ...]:
    """Return the tags that are ticked in ASReview's groups of tags."""
    try:
        found = list(_ticked(json.loads(written), 0)) if written else []
    except (ValueError, RecursionError):
        return ()
    return tuple(dict.fromkeys(tag for name in found if (tag := one_line(name.replace(";", ",")))))


def _ticked(value: object, depth: int) -> Iterator[str]:
    if depth > 4:
        return
    if isinstance(value, list):
        for member in value:
            yield from [member] if isinstance(member, str) else _ticked(member, depth + 1)
    elif isinstance(value, dict):
        if value.get("checked") is True:
            yield str(value.get("label") or value.get("name") or value.get("id") or "")
        yield from _ticked(value.get("values"), depth + 1)


# -- Covidence --------------------------------------------------------------------------------


def _covidence(extra: Mapping[str, Sequence[str]], fields: Mapping[str, Sequence[str]], label: str) -> Votes:
    """Return the votes of a row of Covidence's, where it has columns for each person's; else its one decision."""

    def cell(name: str) -> str:
        return " ".join(fields.get(letters(name), ())).strip()

    beside = [value for name in ("notes", "note") for value in fields.get(name, ())]
    reasons, note = _covidence_reasons(beside)
    reasons = tuple(filter(None, (one_line(cell("Exclusion reason")), *reasons)))
    tags = tuple(
        dict.fromkeys(
            tag for word in re.split(r"[;,]", cell("Tags")) if (tag := one_line(word)) and tag.lower() not in _WORDS
        )
    )
    pairs, notes = [], {}
    for name in extra:
        if (found := _A_PERSONS.fullmatch(one_line(name))) is None:
            continue
        who, what = one_line(found["who"] or found["of"] or found["alone"]), found["what"] or found["what_of"] or ""
        if letters(who) in _EVERYBODYS or (found["alone"] and cell(name).lower() not in {*_WORDS, *_NO_VOTE}):
            continue
        person = who
        if _NUMBERED.fullmatch(who):
            named = cell(f"{who} name") or ("" if found["alone"] else cell(who))
            person = named if named and named.lower() not in _WORDS else who
        if what.lower().startswith("note"):
            notes[person] = cell(name)
        else:
            pairs.append((person, cell(name)))
    if not pairs:
        reasons = tuple(dict.fromkeys(reasons)) if label == "exclude" else ()
        return Votes((Vote("", label, reasons, note, tags),)) if label else _NONE
    votes = _collected(
        pairs, tuple(dict.fromkeys(reasons)), {who: notes.get(who, "") or note for who, _ in pairs}, tags
    )
    labels = {vote.label for vote in votes.given}
    if len(labels) == 1 and label and label not in labels:
        differs = f"every reviewer says {labels.pop()} and the file {label}; the reviewers' votes were taken"
        return Votes(votes.given, "", (*votes.doubts, differs))
    return Votes(votes.given, label if len(labels) > 1 else "", votes.doubts)


def _covidence_reasons(notes: Iterable[str]) -> tuple[tuple[str, ...], str]:
    """Return the reasons for exclusion in some notes, and what else these say."""
    text = "; ".join(notes)
    reasons = tuple(dict.fromkeys(one_line(found) for found in _REASON.findall(text)))
    return reasons, _REASON.sub("", text).strip(" ;")


class CovidenceLabels:
    """Reads the decisions of a Covidence export, row by row.

    An exclusion at full text counts as one here: the record is out, and needs no second screening.

    Parameters
    ----------
    path : Path
        Its name says which list it holds, where no column does.
    names : sequence of str
        The table's column names, as letters only.
    """

    def __init__(self, path: Path, names: Sequence[str]):
        self._columns = [names.index(name) for name in _COVIDENCE_COLUMNS if name in names]
        self._notes = names.index("notes") if "notes" in names else -1
        found = _COVIDENCE_LIST.search(path.name)
        self._list = _WORDS[found.group(1).lower()] if found else ""

    def __call__(self, cells: Sequence[str]) -> str:
        for at in self._columns:
            for word in re.split(r"[;,|]", cells[at]) if at < len(cells) else ():
                if label := _WORDS.get(word.strip().lower()):
                    return label
        if 0 <= self._notes < len(cells) and _REASON.search(cells[self._notes]):
            return "exclude"
        return self._list


def is_covidence(names: Sequence[str]) -> bool:
    """Whether column names, as letters only, are those of a Covidence export."""
    return "covidence" in names or "covidenceid" in names
