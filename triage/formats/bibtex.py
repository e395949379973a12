"""BibTeX: read entry by entry, so that a broken one hides no other, and written with its library.

bibtexparser fails entries with a key that came before or with unbalanced braces (EBSCO writes some), so the
reading is our own; the tests hold it against the library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from ..errors import InputError
from ..records import Record, normal_doi, normal_pmid
from . import latex, votes
from .common import (
    DECISION_FIELDS,
    REMAINDER,
    Doubt,
    ExportRow,
    Item,
    Problem,
    Tally,
    first_year,
    one_line,
    pmid_in_notes,
    remainder,
    split_abstract,
    with_remainder,
)
from .details import details
from .facts import completed
from .markup import plain as plain_text
from .tagged import BLANK, Opening, Others, pieces
from .text import TextFile

Fields = dict[str, str]

# An entry's type, as Mendeley and others write it, too: @book_section, @web-page, @journal.article.
_TYPE = r"[^\W_][\w.:+/-]{0,60}"
_OPENS = Opening(
    rf"\n[^\S\n]*@[ \t]*(?={_TYPE}\s*[{{(])",
    counts=rf"\n[^\S\n]*@[ \t]*(?!(?i:comment|preamble|string)\s*[{{(])(?={_TYPE}\s*[{{(])",
)
_BEGIN = re.compile(rf"({_TYPE})\s*([{{(])")
_ON_THE_LINE = re.compile(rf"@({_TYPE})[ \t]*([{{(])")
# The second count: anything at a line's beginning that may be meant for an entry.
_SIGN = re.compile(
    rf"\n{BLANK}*+[@\uff20\ufe6b]{BLANK}*+(?!(?:comment|preamble|string)\b)"
    r"([^\s{}()@,=\"][^\n{}()@,=\"]{0,60}?)\s{0,9}[{(]"
    r"|\n[%#]*[ \t]*+(?:@comment[ \t]*[{(][ \t]*@)?[A-Za-z][\w-]{0,60}[ \t]*[{(]"
    r"[^\s,{}()=\"]{1,100},\s*[A-Za-z][\w-]{1,30}[ \t]*=[ \t]*[{\"]",
    re.IGNORECASE,
)
# A title outside any entry: whatever was meant to open its entry was not recognised.
_TITLE = re.compile(r"(?:\n|,)[%#]?[ \t]*title[ \t]*=[ \t]*[{\"]", re.IGNORECASE)
_SPACE = re.compile(r"\s*")
_KEY_FIELD = "@"  # under which an entry's key is kept among its fields
_KEY = re.compile(r"\s*+([^,={}\"\n]*)(?:,|(?=[})]))")
_NAME = re.compile(r"[\s,]*([A-Za-z][^\s={}\",#]*(?:[ \t]+[^\s={}\",#]+)*)\s*=\s*")
_BETWEEN = re.compile(r"[\s,]*")
_BARE = re.compile(r"[^\s,{}\"#()]+")
_MARKS = re.compile(r"\\.|[{}\"]", re.DOTALL)
_NAME_OF_LINE = re.compile(r"\n[ \t]*([A-Za-z][\w-]{0,60})[ \t]*=[ \t]*(?=[{\"\w])")
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)
_WRAPPED = re.compile(r"\n[ \t]+")
_OUR_KEY = re.compile(r"\w*_triage\d+x*")
_CLOSES = {"{": "}", "(": ")"}
# Characters that a value may take from macros, and all values of a file for each of its bytes. Macros name journals and
# months; made of each other they grow tenfold with every line.
_OF_MACROS = 100_000
_OF_MACROS_IN_ALL, _OF_MACROS_FOR_A_BYTE = 2**26, 20
_MONTHS = {month: month for month in "jan feb mar apr may jun jul aug sep oct nov dec".split()}
_TYPES = {
    "book": "book",
    "chapter": "incollection",
    "conference": "inproceedings",
    "thesis": "phdthesis",
    "report": "techreport",
}
_DETAILS = {
    "volume": "volume",
    "issue": "number",
    "pages": "pages",
    "issn": "issn",
    "publisher": "publisher",
    "url": "url",
}
_KINDS = {
    "article": "Journal article",
    "book": "Book",
    "inbook": "Book chapter",
    "incollection": "Book chapter",
    "inproceedings": "Conference paper",
    "conference": "Conference paper",
    "proceedings": "Conference proceedings",
    "phdthesis": "Thesis",
    "mastersthesis": "Thesis",
    "thesis": "Thesis",
    "techreport": "Report",
    "report": "Report",
    "booksection": "Book chapter",
    "conferencepaper": "Conference paper",
    "conferenceproceedings": "Conference paper",
    "journalarticle": "Journal article",
}


def looks_like(head: str) -> int:
    """Return where a text's first entry begins, or -1."""
    found = re.search(rf"\n[ \t]*@{_TYPE}[ \t]*[{{(][^,=}}]{{0,300}}[,=}}]", f"\n{head}")
    return -1 if found is None else found.start()


def records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read BibTeX."""
    strings = _Macros(path)
    doubt = Doubt(
        tally,
        "looks like the beginning of an entry, but was not read as one; it should be @type{key, field = {text}, ...}",
    )
    others = Others(path, "bibtex")
    found = pieces(TextFile(path, tally), _OPENS)
    # Text outside entries is a comment, by BibTeX's own rule, unless it looks like one of them.
    line, piece = next(found)
    others.refuse(piece, line)
    _look_for_others(line, piece, 0, doubt)
    for line, piece in found:
        begin, at, here, counted = _BEGIN.match(piece), 0, line, 0
        while begin is not None:
            here, counted = here + piece.count("\n", counted, begin.start()), begin.start()
            # A second entry on the line where the first ends is announced by no line of its own.
            tally.announced += at > 0
            kind = begin.group(1).lower()
            fields, at, balanced = _entry(piece, begin, strings)
            if kind == "string":
                strings.known |= {name: latex.plain(value) for name, value in fields.items()}
            if kind in ("comment", "preamble", "string"):
                at = 0 if kind == "comment" else at
                break
            if not any(value.strip() for name, value in fields.items() if name != _KEY_FIELD):
                message = "this entry cannot be read; it should be @type{key, field = {text}, ...}"
                yield Item(here, Problem(here, message))
            else:
                if not balanced:
                    tally.warn(here, "this entry's braces or quotes do not balance; its fields were read line by line")
                label = votes.in_notes([fields.get("note", "")], here, tally)
                yield Item(here, _record(kind, fields), label)
            begin = _ON_THE_LINE.search(piece, at)
        others.refuse(f"\n{piece[at:]}", line + piece.count("\n", 0, at) - 1)
        _look_for_others(line, piece, at, doubt)
    doubt.warn()


class _Macros:
    """What `@string` has words stand for.

    Parameters
    ----------
    path : Path, optional
        The file that they are of, for what is said when they grow too long.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.known: dict[str, str] = dict(_MONTHS)
        self._path = path
        self._left = _OF_MACROS_IN_ALL + _OF_MACROS_FOR_A_BYTE * (0 if path is None else path.stat().st_size)

    def text(self, word: str) -> str:
        """Return what a word stands for, itself where it is no macro."""
        found = self.known.get(word.lower())
        if found is None:
            return word
        self._left -= len(found)
        if self._left < 0:
            self.refuse()
        return found

    def refuse(self) -> NoReturn:
        """Say that they become longer than any good file's do."""
        raise InputError(
            f"{self._path} was not read: its @string macros stand for far more text than any bibliography's do, so it is "
            "damaged or made to do harm. Export it again, or as RIS."
        )


def _look_for_others(line: int, piece: str, at: int, doubt: Doubt) -> None:
    """Note what looks like the beginning of an entry, and was not read as one; entries end at a place."""
    noted = 0
    for found in _SIGN.finditer(piece):
        doubt.note(line + piece.count("\n", 0, found.start()) + 1, found.group().strip()[:40])
        noted += found.start() >= at
    for found in () if noted else _TITLE.finditer(piece, at):
        doubt.note(line + piece.count("\n", 0, found.end()), found.group().strip(" ,\n"))


def _entry(text: str, begin: re.Match[str], strings: _Macros) -> tuple[Fields, int, bool]:
    """Return an entry's fields, where it ends, and whether its braces balance."""
    fields: Fields = {}
    at, closes = begin.end(), _CLOSES[begin.group(2)]
    if begin.group(1).lower() != "string" and (key := _KEY.match(text, at)):
        fields[_KEY_FIELD], at = key.group(1).strip(), key.end()
    while True:
        end = _past(_BETWEEN, text, at)
        if text[end : end + 1] == closes:
            return fields, end + 1, True
        name = _NAME.match(text, at)
        value, at = _value(text, name.end(), strings) if name else (None, at)
        if name is None or value is None:
            named = {_KEY_FIELD: fields.get(_KEY_FIELD, "")}
            return _line_by_line(text[begin.end() :]) | named, len(text), False
        _put(fields, name.group(1), value)


def _past(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return where the text between the parts of an entry ends."""
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _put(fields: Fields, name: str, value: str) -> None:
    name = name.lower()
    # A field given twice is kept twice: bibliographies joined by hand hold such.
    fields[name] = f"{fields[name]}\n{value}" if name in fields and value != fields[name] else value


def _value(text: str, at: int, strings: _Macros) -> tuple[str | None, int]:
    """Return the value at a place, its parts joined at "#", and where it ends; None when it does not end."""
    parts, of_macros = [], 0
    while True:
        opens = text[at : at + 1]
        if opens in ("{", '"'):
            end = _end(text, at)
            if end < 0:
                return None, at
            parts.append(text[at + 1 : end])
            at = end + 1
        elif found := _BARE.match(text, at):
            word = found.group()
            parts.append(strings.text(word))
            of_macros += len(parts[-1]) if parts[-1] is not word else 0
            if of_macros > _OF_MACROS:
                strings.refuse()
            at = found.end()
        else:
            return None, at
        at = _past(_SPACE, text, at)
        following = text[at : at + 1]
        if following != "#":
            return ("".join(parts) if following in (",", "}", ")") else None), at
        at = _past(_SPACE, text, at + 1)


def _end(text: str, at: int) -> int:
    """Return where the brace or quote that opens at a place closes, or -1."""
    quoted, depth = text[at] == '"', 0
    for mark in _MARKS.finditer(text, at + 1):
        found = mark.group()
        if found == "{":
            depth += 1
        elif found == "}":
            if depth == 0:
                return -1 if quoted else mark.start()
            depth -= 1
        elif found == '"' and quoted and depth == 0:
            return mark.start()
    return -1


def _line_by_line(text: str) -> Fields:
    """Read the fields of an entry whose braces do not balance: each begins a line."""
    _, *found = _NAME_OF_LINE.split(text)
    fields: Fields = {}
    for name, value in zip(found[0::2], found[1::2]):
        value = value.strip()
        if name is found[-2] and value.endswith(("}\n}", "},\n}", '"\n}', "}}", '"}', "},}")):
            value = value[:-1].rstrip()
        value = value.rstrip(",").rstrip()
        if value[:1] in ("{", '"') and value[-1:] in ("}", '"') and len(value) > 1:
            value = value[1:-1]
        _put(fields, name, value)
    return fields


def _record(kind: str, fields: Fields) -> Record:
    left_over = latex.plain(fields.pop(REMAINDER, ""))
    ours = {f"triage_{name}" for name in DECISION_FIELDS}
    extra: dict[str, tuple[str, ...]] = {}
    if (key := fields.pop(_KEY_FIELD, "")) and not _OUR_KEY.fullmatch(key):
        extra["citekey"] = (key,)

    def take(*names: str) -> str:
        """Take the first of some fields that says anything; the others stay extra fields."""
        return next((fields.pop(name) for name in names if fields.get(name, "").strip()), "")

    def plain(*names: str) -> str:
        return one_line(latex.plain(take(*names)))

    title = plain("title", "booktitle")
    abstract, others = split_abstract([latex.plain(_WRAPPED.sub(" ", take("abstract")))])
    abstract = "\n".join(folded for part in abstract.split("\n") if (folded := part.strip()))
    for text in others:
        extra["abstract"] = (text,)
    authors = tuple(name for part in _names(take("author")) if (name := one_line(latex.plain(part).replace("~", " "))))
    raw = {name: one_line(latex.plain(fields.get(name, ""))) for name in ("year", "date", "doi", "url", "pmid")}
    # Before an article has its volume, Web of Science gives its date in a field of its own.
    year = first_year((raw["year"], raw["date"], fields.get("earlyaccessdate", "")))
    # Exports that escape twice leave a backslash, which no DOI holds.
    doi = normal_doi(raw["doi"].replace("\\", "")) or (normal_doi(raw["url"]) if "doi.org/" in raw["url"] else "")
    pmid = normal_pmid(raw["pmid"])
    for name, value in (("year", str(year)), ("doi", doi), ("pmid", pmid)):
        if raw[name] == value:  # else the field stays, as it was
            fields.pop(name, None)
    # As Taylor & Francis and Zotero have it, and as Europe PMC has it in the key.
    pmid = pmid or pmid_in_notes([fields.get("note", "")]) or normal_pmid(key if key.startswith("PMID:") else "")
    words = plain_text(latex.plain(take("keywords", "author_keywords", "keyword")))
    parts = re.split(r"[;\n]" if ";" in words else r"[,\n]", words)
    keywords = tuple(word for part in parts if (word := one_line(part)))
    record = Record(
        title=title,
        abstract=abstract,
        authors=authors,
        year=year,
        journal=plain("journal", "journaltitle", "booktitle"),
        doi=doi,
        pmid=pmid,
        language=plain("language", "langid"),
        type=plain("document_type", "type") or _kind(kind),
        keywords=keywords,
        extra=extra
        | {
            name: (value,)
            for name, raw in fields.items()
            if name not in ours and (value := latex.plain(_WRAPPED.sub(" ", raw)).strip())
        },
    )
    record = completed(record)
    return with_remainder(record, left_over) if left_over else record


def _kind(entry: str) -> str:
    """Return what an entry's type is called: "book_section" is a book chapter, "web_page" a web page."""
    known = _KINDS.get(re.sub(r"[_-]", "", entry))
    return known or (re.sub(r"[_-]", " ", entry).strip().capitalize() if re.search(r"[_-]", entry) else entry)


def _names(text: str) -> list[str]:
    """Split authors at "and", but not inside braces: {Health and Care Council} is one."""
    text = one_line(text)
    names, begin, depth = [], 0, 0
    for found in re.finditer(r"\\.|[{}]| and ", text, re.IGNORECASE):
        mark = found.group()
        if mark == "{":
            depth += 1
        elif mark == "}":
            depth = max(depth - 1, 0)
        elif depth == 0 and mark[0] != "\\":
            names.append(text[begin : found.start()])
            begin = found.end()
    names.append(text[begin:])
    if len(names) > 1 and names[-1].strip() == "others":  # BibTeX's "et al."
        del names[-1]
    return names


# -- writing ----------------------------------------------------------------------------------


def write(path: Path, rows: Iterable[ExportRow]) -> None:
    """Write BibTeX, one entry a record, its key the imported one, else of the first author and the year."""
    from bibtexparser.entrypoint import write_string
    from bibtexparser.library import Library
    from bibtexparser.model import Entry, Field

    def text(kind: str, key: str, fields: Fields) -> str:
        written = [
            Field(name, latex.escaped(value, ligatures=name != "pages")) for name, value in fields.items() if value
        ]
        library = Library()
        library.add(Entry(kind, key, written))
        return write_string(library)

    keys: set[str] = set()
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number, row in enumerate(rows, 1):
            kind, fields = _entry_of(row.record)
            key = _key(row.record, number, keys)
            rest = remainder(row.record, _again(text(kind, key, fields)))
            decision = {f"triage_{name}": row.decision.get(name, "") for name in DECISION_FIELDS}
            file.write(text(kind, key, fields | decision | {REMAINDER: rest}) + "\n")


def _entry_of(r: Record) -> tuple[str, Fields]:
    kind = next((entry for word, entry in _TYPES.items() if word in r.type.lower()), "article")
    fields = {
        "title": r.title,
        "author": " and ".join(f"{{{name}}}" if _AND.search(name) else name for name in r.authors),
        "year": "" if r.year is None else str(r.year),
        ("booktitle" if kind in ("incollection", "inproceedings") else "journal"): r.journal,
        "abstract": r.abstract,
        "doi": r.doi,
        "pmid": r.pmid,
        "language": r.language,
        "keywords": "; ".join(r.keywords),
        "type": "" if r.type == _KINDS[kind] else r.type,
    }
    for name, values in r.extra.items():
        if re.fullmatch(r"[a-z][\w-]{0,60}", name) and name not in fields and not name.startswith("triage"):
            fields[name] = "\n".join(values)
    raw = r.extra.get("doi", ())
    if len(raw) == 1 and raw[0].lower() == r.doi:  # as it was imported
        fields["doi"] = raw[0]
    # What other formats call by other names, so that a reference manager finds it.
    elsewhere = details(r.extra)
    elsewhere["pages"] = "--".join(elsewhere[part] for part in ("first page", "last page") if part in elsewhere)
    for detail, name in _DETAILS.items():
        if elsewhere.get(detail) and name not in fields and not (detail == "issue" and "issue" in fields):
            fields[name] = elsewhere[detail]
    fields.pop("citekey", None)
    return kind, fields


def _again(text: str) -> Record:
    piece = _OPENS.split(f"\n{text}")[-1]
    begin = _BEGIN.match(piece)
    return Record() if begin is None else _record(begin.group(1).lower(), _entry(piece, begin, _Macros())[0])


def _key(record: Record, number: int, keys: set[str]) -> str:
    imported = "".join(record.extra.get("citekey", ()))
    family = re.split(r"[,\s]", record.authors[0])[0] if record.authors else ""
    base = re.sub(r"[^A-Za-z0-9]", "", family)[:40] + ("" if record.year is None else str(record.year))
    key = imported if re.fullmatch(r"[\w:./+-]{1,100}", imported) else f"{base or 'record'}_triage{record.id or number}"
    while key in keys:
        key += "x"
    keys.add(key)
    return key
