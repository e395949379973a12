"""Web of Science plain text and .ciw: two-letter tags, continuations indented, from PT to ER."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..records import Record, normal_doi, normal_pmid
from .common import UNOPENED, Doubt, Item, Tally, first_year, one_line, split_abstract
from .facts import completed
from .markup import plain
from .names import one_each
from .tagged import Opening, Others, Outside, Values, apart, nothing_but, pieces, values_of
from .text import TextFile

_TAG = re.compile(r"\n([A-Z][A-Z0-9])(?: |(?=\n|\Z))")
_OPENS = Opening(r"\n(?=PT [A-Z]{1,2}[ \t]*(?:\n|\Z))")
_PARTS = Opening(
    r"\n(?=PT [A-Z]{1,2}[ \t]*(?:\n|\Z))|\nER[ \t]*(?=\n|\Z)", counts=r"\n(?=PT [A-Z]{1,2}[ \t]*(?:\n|\Z))"
)
_TYPE_ALONE = re.compile(r"PT [A-Z]{1,2}\s*")
_TITLE_LINE = re.compile(r"\nTI ")
_SIGNS = re.compile(r"\n(PT|TI|UT|ER)(?=[ \t\n]|\Z)")  # the second count
_FILE_LINES = re.compile(r"(?:(?:\A|(?<=\n))(?:FN|VR|EF)\b[^\n]*)")
# One value a line; in the others a line goes on with the one before it.
_LISTS = frozenset({"AU", "AF", "BA", "BF", "BE", "GP", "CA", "CR", "C1", "C3"})
_TYPES = {"J": "Journal", "B": "Book", "S": "Series", "P": "Patent"}


def looks_like(head: str) -> int:
    """Return where a text's first record begins, or -1."""
    text = f"\n{head}"
    found = _OPENS.first(text)
    if found < 0 or not (text.lstrip().startswith("FN ") or re.search(r"\n(?:AU|TI|SO|ER)\b", text)):
        return -1
    return found


def records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read Web of Science plain text."""
    outside, doubt, unopened, others = Outside(tally), Doubt(tally), Doubt(tally, UNOPENED), Others(path, "wos")
    found = pieces(TextFile(path, tally), _PARTS)
    following = next(found, None)
    while following is not None:
        line, piece = following
        following = next(found, None)
        text = f"\n{piece}"
        if _OPENS.first(text) < 0:
            others.refuse(text, line - 1)
            text = _FILE_LINES.sub("", text)
            first = _TAG.search(text)
            if first is None or not _TITLE_LINE.search(text):
                outside.note(line - 1, text)
                continue
            outside.note(line - 1, text[: first.start()])
            line, text = line + text.count("\n", 0, first.start()), text[first.start() :]
            unopened.note(line, text[1:].partition("\n")[0])
            if following is not None and _TYPE_ALONE.fullmatch(following[1]):  # which comes last in such a record
                text, following = f"{text}\n{following[1]}", next(found, None)
            else:
                tally.announced += 1
        for n, part in enumerate(apart(text, _TITLE_LINE, _TAG)):
            if n:
                tally.announced += 1
                unopened.note(line, part.strip().partition("\n")[0])
            doubt.repeated(_SIGNS, part, line - 1)
            values = values_of(_TAG.split(part), _LISTS)
            yield nothing_but("PT", values, line) or Item(line, _record(values))
            line += part.count("\n")
    for each in (outside, doubt, unopened):
        each.warn()


def _record(values: Values) -> Record:
    def take(tag: str) -> str:
        return one_line(" ".join(values.pop(tag, ())))

    def words(tag: str) -> tuple[str, ...]:
        return tuple(
            word for part in plain(one_line(" ".join(values.pop(tag, ())))).split(";") if (word := part.strip())
        )

    abstract, others = split_abstract(one_line(value) for value in values.pop("AB", ()))
    dates = values.get("PY", [])
    year = first_year(dates) or first_year(values.get("EA", ()))
    if year is not None and dates == [str(year)]:
        del values["PY"]
    doi, pmid = take("DI"), take("PM")
    kept = {"DI": doi} if doi and doi != normal_doi(doi) else {}
    if pmid and pmid != normal_pmid(pmid):
        kept["PM"] = pmid
    # The full names where there are any; the short ones stay, for an export.
    authors = values.pop("AF", None) or values.pop("AU", [])
    code = take("PT")
    keywords = words("DE")
    plus = words("ID")
    extra = {tag: tuple(found) for tag, found in values.items()}
    if plus:
        extra["ID"] = plus
    record = Record(
        title=take("TI"),
        abstract=abstract,
        authors=one_each(authors),
        year=year,
        journal=take("SO"),
        doi=normal_doi(doi),
        pmid=normal_pmid(pmid),
        language=take("LA"),
        type=take("DT") or _TYPES.get(code, code),
        keywords=(*keywords, *plus),
        extra={
            **({"AB": others} if others else {}),
            **{tag: (value,) for tag, value in kept.items()},
            **{tag: found for tag, found in extra.items() if tag not in ("TI", "SO", "LA", "DT")},
        },
    )
    return completed(record)
