"""Readers and writers of bibliographic files, one module a format, found by content."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..errors import InputError
from . import asreview, bibtex, ebsco_xml, endnote_tagged, endnote_xml, nbib, pubmed_xml, ris, tables, workbooks, wos
from .archives import kind_of_zip
from .columns import armed, letters
from .common import REMAINDER, ExportRow, Item, Problem, Reading, Stream, Tally
from .tables import rows_under_header
from .text import TextFile, known_encoding, read_head
from .votes import reason_in_notes, voters_in_notes

__all__ = [
    "FORMATS",
    "REMAINDER",
    "TABLES",
    "WRITERS",
    "ExportRow",
    "Item",
    "Problem",
    "Reading",
    "Stream",
    "armed",
    "check_writable",
    "detect",
    "letters",
    "open_records",
    "open_table",
    "read",
    "reason_in_notes",
    "rows_under_header",
    "voters_in_notes",
    "write",
]

TABLES = ("csv", "tsv", "xlsx", "xls", "parquet")
_READERS: dict[str, Callable[[Path, Tally], Iterator[Item]]] = {
    "ris": ris.records,
    "nbib": nbib.records,
    "pubmed-xml": pubmed_xml.records,
    "endnote-xml": endnote_xml.records,
    "enw": endnote_tagged.records,
    "bibtex": bibtex.records,
    "wos": wos.records,
    "ebsco-xml": ebsco_xml.records,
    "asreview": asreview.records,
}
FORMATS = (*_READERS, *TABLES)
WRITERS: dict[str, Callable[[Path, Iterable[ExportRow]], None]] = {
    ".ris": ris.write,
    ".csv": tables.write_delimited,
    ".tsv": tables.write_tsv,
    ".xlsx": workbooks.write,
    ".bib": bibtex.write,
}
_A_TABLE = "a table (CSV, TSV, Excel or Parquet)"
_READABLE = "RIS, PubMed nbib or XML, EndNote XML, BibTeX, Web of Science, CSV, Excel or Parquet"
_MAGIC = ((b"\xd0\xcf\x11\xe0", "xls"), (b"PAR1", "parquet"))
_NOT_EXPORTS = (
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"SQLite format 3", "a database, perhaps EndNote's own library"),
    (b"\x1f\x8b", "a packed file, to be unpacked first"),
    (b"7z\xbc\xaf", "a packed file, to be unpacked first"),
    (b"Rar!", "a packed file, to be unpacked first"),
)
_XML_RECORDS = (
    ("pubmed-xml", "PubmedArticleSet|PubmedArticle|PubmedBookArticle"),
    ("ebsco-xml", "rec"),
    ("endnote-xml", "record"),
)
# Texts that come from databases and hold records in a form for people, or none.
_NEAR_EXPORTS = (
    (
        "RefWorks' tagged format, which triage does not read; export the records as RIS.",
        re.compile(r"^RT [A-Z][A-Za-z ]{2,40}\n(?:[A-Z][A-Z0-9] .*\n){2}", re.MULTILINE),
    ),
    (
        "PubMed's format 'Abstract (text)', made for reading; save the search in the format 'PubMed'.",
        re.compile(r"^PMID: \d+", re.MULTILINE),
    ),
    (
        "a list of identifiers, no records; search for them in PubMed and save what it finds in the format 'PubMed'.",
        re.compile(r"\A(?:\d{1,9}\n){2,}\s*(?:\d{1,9})?\Z"),
    ),
)
_ENDNOTE = re.compile(r"<(?:xml|ref-type|contributors|titles|source-app)[\s>/]")  # others have <record> elements, too
_TEXTS = (
    ("ris", ris.looks_like),
    ("nbib", nbib.looks_like),
    ("wos", wos.looks_like),
    ("enw", endnote_tagged.looks_like),
    ("bibtex", bibtex.looks_like),
)


def detect(path: Path, encoding: str = "") -> str:
    """Return a file's format, one of `FORMATS`, by what is in it.

    Parameters
    ----------
    path : Path
    encoding : str
        Of its text, if it is one; found out by default.

    Raises
    ------
    InputError
        When it is not an export that can be read.
    """
    head = read_head(path)
    if head.startswith(b"PK\x03\x04"):
        return kind_of_zip(path, _READABLE)
    for magic, format in _MAGIC:
        if head.startswith(magic):
            return format
    for magic, kind in _NOT_EXPORTS:
        if head.startswith(magic):
            raise InputError(f"{path} is {kind}, no export; give {_READABLE}.")
    whole = TextFile(path, Tally(encoding=encoding)).head
    text = whole.lstrip()
    if re.match(r"<[A-Za-z!?]", text):
        return _detect_xml(path, text)
    text = whole[whole.rfind("\n", 0, len(whole) - len(text)) + 1 :]  # with the margin that the first line may have
    table = tables.detect(path, text)
    found = [(at, format) for format, looks_like in _TEXTS if (at := looks_like(text)) >= 0]
    # What comes first counts: a cell of a table may hold a line that looks like RIS.
    if table is not None and table.titles:
        found.append((table.at, table.format))
    if found:
        return min(found)[1]
    if nbib.looks_tagged(text):
        if (medline := ris.fits_medline(text)) is not None:
            return "nbib" if medline else "ris"
        raise InputError(
            f"{path} is tagged text that may be RIS or MEDLINE's (nbib): it has neither TY nor PMID lines, and its tags do not "
            f"decide it. Read as ris, JO and T2 are journals, PY is the year and KW keywords; read as nbib, these are JT, DP "
            f"and MH, and the others are kept as further fields. Give --format ris or --format nbib."
        )
    if text[:1] in "[{":
        raise InputError(f"{path} looks like JSON, which triage does not read; give {_READABLE}.")
    for kind, sign in _NEAR_EXPORTS:
        if sign.search(text):
            raise InputError(f"{path} is {kind}")
    if table is not None and (table.searches or path.suffix.lower() in (".csv", ".tsv", ".tab")):
        return table.format
    raise InputError(
        f"{path} is not an export that triage knows: no TY, PMID, PT or %0 line, no @entry, no table with titles; "
        f"give {_READABLE}."
    )


def _detect_xml(path: Path, text: str) -> str:
    start = text[:4000].lower()
    if "<html" in start or "<!doctype html" in start:
        kind = "a search history as a web page" if "search history" in start else "a web page"
        raise InputError(f"{path} is {kind}, no records; export the records themselves: {_READABLE}.")
    found = [(m.start(), format) for format, names in _XML_RECORDS if (m := re.search(rf"<(?:{names})[\s>/]", text))]
    if found and (min(found)[1] != "endnote-xml" or _ENDNOTE.search(text)):
        return min(found)[1]
    root = re.search(r"<([A-Za-z_][\w.-]*)", text)
    if "<!ENTITY" in text:
        return "endnote-xml"  # refused there, with the reason
    raise InputError(
        f"{path} is XML, but of a kind that triage does not read (its root is {root.group(1) if root else 'missing'!r}); "
        f"it reads that of PubMed, EndNote and EBSCO. Else give {_READABLE}."
    )


def open_table(
    path: Path, is_header: tables.IsHeader, encoding: str | None = None
) -> tuple[str, list[str], tables.Rows, Tally]:
    """Open a table of whatever, such as one of decisions.

    Parameters
    ----------
    path : Path
    is_header : callable of a row's cells
        Tells whether they name the columns.
    encoding : str, optional
        Of a text file; found out by default.

    Returns
    -------
    unit : str
        What its numbers count: "line" or "row".
    header : list of str
        The row that names the columns; without one, the first row with text.
    rows : iterator of (number, cells)
        What is under it.
    tally : Tally
        Its warnings are complete once the rows have been read.

    Raises
    ------
    InputError
        When the file is not a table; iterating raises it where the file is damaged.
    """
    head = read_head(path)
    for magic, kind in _NOT_EXPORTS:
        if head.startswith(magic):
            raise InputError(f"{path} is {kind}; give {_A_TABLE}.")
    format = next((format for magic, format in _MAGIC if head.startswith(magic)), "csv")
    if head.startswith(b"PK\x03\x04"):
        format = kind_of_zip(path, _A_TABLE)
    if format not in TABLES:
        raise InputError(f"{path} is not a table but a file of the kind {format}; give {_A_TABLE}.")
    tally = Tally(encoding=known_encoding(encoding) if encoding else "")
    header, rows = tables.under_header(path, format, tally, is_header)
    return "line" if format == "csv" else "row", header, rows, tally


def open_records(
    path: Path, format: str = "auto", label_column: str | None = None, encoding: str | None = None
) -> Stream:
    """Open a file of records, to be read one after the other in bounded memory.

    Parameters
    ----------
    path : Path
    format : str
        One of `FORMATS`, or "auto".
    label_column : str, optional
        A table's column whose text comes with each record.
    encoding : str, optional
        Of a text file, such as "gb18030"; found out by default.

    Returns
    -------
    Stream
        Of (line, Record or Problem, label); see its class.

    Raises
    ------
    InputError
        When the file cannot be read, or is not of that format; iterating raises it, too.
    """
    if format != "auto" and format not in FORMATS:
        raise InputError(f"unknown --format {format!r}; choose one of {', '.join(FORMATS)}.")
    path = Path(path)
    tally = Tally(encoding=known_encoding(encoding) if encoding else "")
    chosen = detect(path, tally.encoding) if format == "auto" else format
    if chosen in TABLES:
        return Stream(path, chosen, tables.records(path, chosen, tally, label_column), tally)
    if label_column is not None:
        raise InputError(f"{path} is a {chosen} file; a label column needs a table (CSV, Excel or Parquet).")
    return Stream(path, chosen, _READERS[chosen](path, tally), tally)


def read(path: Path, format: str = "auto", label_column: str | None = None, encoding: str | None = None) -> Reading:
    """Read a file of records whole; see `open_records` for files that may be large.

    Raises
    ------
    InputError
        When the file cannot be read, or is not of that format.
    """
    stream = open_records(path, format, label_column, encoding)
    reading = Reading(stream.format, 0, [], [])
    labels = []
    for line, found, label in stream:
        if isinstance(found, Problem):
            reading.problems.append(found)
        else:
            reading.records.append(found)
            reading.lines.append(line)
            labels.append(label)
    return Reading(
        stream.format,
        stream.announced,
        reading.records,
        reading.lines,
        reading.problems,
        stream.warnings,
        labels if label_column is not None or any(labels) else None,
    )


def check_writable(path: Path) -> None:
    """Refuse a path that exists, lies in no folder, or whose ending names no format.

    Raises
    ------
    InputError
    """
    if path.suffix.lower() not in WRITERS:
        raise InputError(f"{path} must end in one of {', '.join(WRITERS)}: the ending names the format.")
    if path.exists():
        raise InputError(f"{path} exists already; choose another name.")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist; make it first.")


def write(path: Path, rows: Iterable[ExportRow]) -> None:
    """Write records in the format that the path's ending names, under another name first.

    A table's columns depend on all its records, so `rows` may be read more than once; no row is kept in memory.

    Raises
    ------
    InputError
        See `check_writable`.
    """
    check_writable(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    try:
        WRITERS[path.suffix.lower()](unfinished, rows)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
