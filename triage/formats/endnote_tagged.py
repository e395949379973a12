"""EndNote's tagged text (.enw; .txt or .enl as some sites name it): "%0 Journal Article"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..records import Record, normal_doi, normal_pmid
from .common import UNOPENED, Doubt, Item, Tally, first_year, one_line, split_abstract
from .facts import completed
from .tagged import BLANK, Indented, Opening, Others, Outside, Values, apart, nothing_but, pieces, values_of
from .text import TextFile

_TAG = re.compile(r"\n(%[0-9A-Z!@?&+#$^~<>\[\]=|(){*:])(?:[ \t\xa0]|(?=\n|\Z))")
# Every record of EndNote's begins with its type. Other sites begin with the title, leave the type out
# where they have none, and put blank lines between records.
_OPENS = Opening(r"\n(?=%0[ \t\xa0])|(?<=\n)\n(?=%T[ \t\xa0])")
_OPENS_BLOCK = Opening(r"\n[ \t]*\n(?=%[0-9A-Z@][ \t\xa0])", feeds=2)
_SIGNS = re.compile(rf"(?:\n{BLANK}*+(?=[%\uff05])|(?<=\S)[ \t]*(?=%0 [A-Z]))[%\uff05]([0T])(?=\s)")  # the second count
_FIRST = re.compile(r"\n([^\S\n]*)(%[0-9A-Z@])[ \t\xa0]\S")
_TITLE_LINE = re.compile(r"\n%T[ \t\xa0]")
_LISTS = frozenset({"%A", "%E", "%K", "%Y", "%?"})


def looks_like(head: str) -> int:
    """Return the position of a text's first tag, or -1."""
    found = _FIRST.search(f"\n{head}")
    if found is None:
        return -1
    margin = found.group(1)
    return -1 if len(_TAG.findall(f"\n{head}".replace(f"\n{margin}", "\n"))) < 2 else found.start()


def records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read EndNote's tagged text."""
    file = TextFile(path, tally)
    outside, doubt, unopened = Outside(tally), Doubt(tally), Doubt(tally, UNOPENED)
    others = Others(path, "enw")
    head = f"\n{file.head}"
    first = _FIRST.search(head)
    margin = first.group(1) if first else ""
    found = pieces(file, _opens(head.replace(f"\n{margin}", "\n")), Indented(margin) if margin else None)
    outside.note(*next(found))
    for line, piece in found:
        others.refuse(f"\n{piece}", line - 1)
        for n, part in enumerate(apart(f"\n{piece}", _TITLE_LINE, _TAG)):
            if n:
                tally.announced += 1
                unopened.note(line, part.strip().partition("\n")[0])
            part = part.removeprefix("\n")
            doubt.repeated(_SIGNS, f"\n{part}", line - 1)
            values = values_of(_TAG.split(f"\n{part}"), _LISTS)
            yield nothing_but("%0", values, line) or Item(line, _record(values))
            line += part.count("\n") + 1
    for each in (outside, doubt, unopened):
        each.warn()


def _opens(head: str) -> Opening:
    """Return what opens the records of a text: their types, blank lines, or the first tag where there is neither."""
    first = _FIRST.search(head)
    if first is None or first.group(2) == "%0":
        return _OPENS
    tag = re.escape(first.group(2))
    lines = len(re.findall(rf"\n{tag}\s", head))
    if _OPENS_BLOCK.first(head[first.start() + 1 :]) < 0 and lines == len(_TITLE_LINE.findall(head)) > 1:
        return Opening(rf"\n(?={tag}[ \t\xa0])")
    return _OPENS_BLOCK


def _record(values: Values) -> Record:
    def take(tag: str) -> str:
        return one_line(" ".join(values.pop(tag, ())))

    abstract, others = split_abstract(values.pop("%X", ()))
    dates = values.get("%D", [])
    year = first_year(dates)
    if year is not None and dates == [str(year)]:
        del values["%D"]
    doi = next((d for v in values.get("%R", ()) if (d := normal_doi(v))), "")
    if doi and values["%R"] == [doi]:
        del values["%R"]
    database = " ".join(values.get("%~", [])).lower()
    pmid = ""
    if "pubmed" in database or "medline" in database or "nlm" in database:
        pmid = normal_pmid(" ".join(values.get("%M", ())))
    journal = take("%J") if "%J" in values else take("%B")
    record = Record(
        title=take("%T"),
        abstract=abstract,
        authors=tuple(map(one_line, values.pop("%A", ()))),
        year=year,
        journal=journal,
        doi=doi,
        pmid=pmid,
        language=take("%G"),
        type=take("%9") if "%9" in values else take("%0"),
        keywords=tuple(map(one_line, values.pop("%K", ()))),
        extra={**({"%X": others} if others else {}), **{tag: tuple(found) for tag, found in values.items()}},
    )
    return completed(record)
