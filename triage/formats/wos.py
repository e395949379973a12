"""Web of Science plain text and .ciw: two-letter tags, continuations indented, from PT to ER."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..records import Record, normal_doi, normal_pmid
from .common import Doubt, Item, Tally, first_year, one_line, split_abstract
from .markup import plain, readable
from .names import one_each
from .tagged import Opening, Outside, Values, nothing_but, pieces, values_of
from .text import TextFile

_TAG = re.compile(r"\n([A-Z][A-Z0-9])(?: |(?=\n|\Z))")
_OPENS = Opening(r"\n(?=PT [A-Z]{1,2}[ \t]*(?:\n|\Z))")
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
    outside, doubt = Outside(tally), Doubt(tally)
    found = pieces(TextFile(path, tally), _OPENS)
    line, before = next(found)
    outside.note(line, _FILE_LINES.sub("", before))
    for line, piece in found:
        doubt.repeated(_SIGNS, f"\n{piece}", line - 1)
        parts = _TAG.split(f"\n{piece}")
        if "ER" in parts:
            at = parts.index("ER", 1)
            beyond = "\n".join(filter(None, parts[at + 1 :]))
            if any(tag not in ("ER", "EF", "FN", "VR") for tag in parts[at::2]) or parts[at + 1].strip():
                outside.note(line + "".join(parts[:at]).count("\n") + at // 2, beyond)
            parts = parts[:at]
        values = values_of(parts, _LISTS)
        yield nothing_but("PT", values, line) or Item(line, _record(values))
    outside.warn()
    doubt.warn()


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
    return readable(record)
