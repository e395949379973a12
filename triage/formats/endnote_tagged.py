"""EndNote's tagged text (.enw; .txt or .enl as some sites name it): "%0 Journal Article"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..records import Record, normal_doi, normal_pmid
from .common import Doubt, Item, Tally, first_year, one_line, split_abstract
from .markup import readable
from .tagged import Opening, Outside, Values, nothing_but, pieces, values_of
from .text import TextFile

_TAG = re.compile(r"\n(%[0-9A-Z!@?&+#$^~<>\[\]=|(){*:])(?: |(?=\n|\Z))")
# Every record of EndNote's begins with its type. Other sites begin with the title, leave the type out
# where they have none, and put blank lines between records.
_OPENS = Opening(r"\n(?=%0 )|(?<=\n)\n(?=%T )")
_OPENS_BLOCK = Opening(r"\n[ \t]*\n(?=%[0-9A-Z@] )", feeds=2)
_SIGNS = re.compile(r"\n[ \t]*(%[0T])(?=\s)")  # the second count
_FIRST = re.compile(r"\n[ \t]*(%[0-9A-Z@]) \S")
_LISTS = frozenset({"%A", "%E", "%K", "%Y", "%?"})


def looks_like(head: str) -> int:
    """Return the position of a text's first tag, or -1."""
    found = _FIRST.search(f"\n{head}")
    return -1 if found is None or len(_TAG.findall(f"\n{head}")) < 2 else found.start()


def records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read EndNote's tagged text."""
    file = TextFile(path, tally)
    outside, doubt = Outside(tally), Doubt(tally)
    first = _FIRST.search(f"\n{file.head}")
    by_type = first is not None and first.group(1) == "%0"
    found = pieces(file, _OPENS if by_type else _OPENS_BLOCK)
    outside.note(*next(found))
    for line, piece in found:
        doubt.repeated(_SIGNS, f"\n{piece}", line - 1)
        values = values_of(_TAG.split(f"\n{piece}"), _LISTS)
        yield nothing_but("%0", values, line) or Item(line, _record(values))
    outside.warn()
    doubt.warn()


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
    return readable(record)
