"""Readers and writers of bibliographic files, one module a format, found by content."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from ..errors import InputError
from ..whole import written_whole
from . import (
    asreview,
    bibtex,
    ebsco_xml,
    endnote_tagged,
    endnote_xml,
    labelled,
    nbib,
    nested,
    pubmed_xml,
    ris,
    tables,
    workbooks,
    wos,
)
from .archives import kind_of_zip
from .columns import COLUMNS, armed, letters
from .common import REMAINDER, ExportRow, Item, Problem, Reading, Stream, Tally, Vote
from .handover import PROGRAMS, Program
from .tables import NoTitleColumn, rows_under_header
from .text import TextFile, read_head, tally_of
from .votes import Votes, votes_of

__all__ = [
    "COLUMNS",
    "FORMATS",
    "NoTitleColumn",
    "REMAINDER",
    "TABLES",
    "WRITERS",
    "PROGRAMS",
    "ExportRow",
    "Item",
    "Problem",
    "Program",
    "Reading",
    "Stream",
    "Vote",
    "Votes",
    "armed",
    "check_writable",
    "detect",
    "first_rows",
    "letters",
    "open_records",
    "open_table",
    "read",
    "rows_under_header",
    "votes_of",
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
    "json": nested.json_records,
    "registry-xml": nested.xml_records,
    "labelled-text": labelled.records,
    "pubmed-text": labelled.pubmed_records,
    "embase-lines": labelled.field_by_line,
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
_READABLE = "RIS, PubMed nbib or XML, EndNote XML, BibTeX, Web of Science, JSON, CSV, Excel or Parquet"
_MAGIC = ((b"\xd0\xcf\x11\xe0", "xls"), (b"PAR1", "parquet"))
_NOT_EXPORTS = (
    (b"%PDF", "a PDF"),
    (b"{\\rtf", "a document of a word processor"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"SQLite format 3", "a database, perhaps EndNote's own library"),
    (b"\x1f\x8b", "a packed file, to be unpacked first"),
    (b"7z\xbc\xaf", "a packed file, to be unpacked first"),
    (b"Rar!", "a packed file, to be unpacked first"),
)
_XML_RECORDS = (
    ("pubmed-xml", "PubmedArticleSet|PubmedArticle|PubmedBookArticle"),
    ("registry-xml", "Trials_downloaded_from_ICTRP|Trial|clinical_study|responseWrapper|resultList"),
    ("ebsco-xml", "rec"),
    ("endnote-xml", "record"),
)
# Texts that come from databases and hold records in a form for people, or none.
_NEAR_EXPORTS = (
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
    ("labelled-text", labelled.looks_like),
)


def detect(path: Path, columns: Mapping[str, str] = MappingProxyType({}), encoding: str = "") -> str:
    """Return a file's format, one of `FORMATS`, by what is in it.

    Parameters
    ----------
    path : Path
    columns : mapping of str to str
        Columns of a table that were named: a text that has them is one.
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
    if text[:1] in "[{" and not columns:
        return "json"
    text = whole[whole.rfind("\n", 0, len(whole) - len(text)) + 1 :]  # with the margin that the first line may have
    table = tables.detect(path, text, columns)
    if table is not None and table.titles and columns:
        return table.format
    if labelled.is_field_by_line(text):
        return "embase-lines"
    found = [(at, format) for format, looks_like in _TEXTS if (at := looks_like(text)) >= 0]
    # What comes first counts: a cell of a table may hold a line that looks like RIS.
    if table is not None and table.titles:
        found.append((table.at, table.format))
    if found:
        return min(found)[1]
    if labelled.looks_like_pubmed(text):
        return "pubmed-text"
    if nbib.looks_tagged(text):
        if (medline := ris.fits_medline(text)) is not None:
            return "nbib" if medline else "ris"
        raise InputError(
            f"{path} is tagged text that may be RIS or MEDLINE's (nbib): it has neither TY nor PMID lines, and its tags do not "
            f"decide it. Read as ris, JO and T2 are journals, PY is the year and KW keywords; read as nbib, these are JT, DP "
            f"and MH, and the others are kept as further fields. Give --format ris or --format nbib."
        )
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
        f"it reads that of PubMed, EndNote, EBSCO, WHO ICTRP, ClinicalTrials.gov and Europe PMC. Else give {_READABLE}."
    )


def first_rows(
    path: Path,
    format: str = "auto",
    *,
    columns: Mapping[str, str] = MappingProxyType({}),
    sheet: str = "",
    encoding: str | None = None,
) -> list[list[str]]:
    """Return the first rows with text of a table, among which its header is; none of any other file.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    tally = tally_of(encoding)
    chosen = detect(path, columns, tally.encoding) if format == "auto" else format
    return tables.first_rows(path, chosen, tally, sheet) if chosen in TABLES else []


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
    tally = tally_of(encoding)
    header, rows = tables.under_header(path, format, tally, is_header)
    return "line" if format == "csv" else "row", header, rows, tally


def open_records(
    path: Path,
    format: str = "auto",
    label_column: str | None = None,
    *,
    columns: Mapping[str, str] = MappingProxyType({}),
    sheet: str = "",
    encoding: str | None = None,
) -> Stream:
    """Open a file of records, to be read one after the other in bounded memory.

    Files of others are read by `apart`, which takes the same arguments: what such a file does to its reader then does
    no harm.

    Parameters
    ----------
    path : Path
    format : str
        One of `FORMATS`, or "auto".
    label_column : str, optional
        A table's column whose text comes with each record.
    columns : mapping of str to str
        A table's columns of some of a record's fields (`COLUMNS`), where they are not found by their names.
    sheet : str
        The sheet of a workbook; "" takes the first that has a column of titles.
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
    if unknown := next((field for field in columns if field not in COLUMNS), None):
        raise InputError(f"no field of a record is called {unknown!r}; name the columns of {', '.join(COLUMNS)}.")
    path = Path(path)
    tally = tally_of(encoding)
    chosen = detect(path, columns, tally.encoding) if format == "auto" else format
    if chosen in TABLES:
        return Stream(path, chosen, tables.records(path, chosen, tally, label_column, columns, sheet), tally)
    for asked, what in ((label_column, "a label column"), (columns, "--column"), (sheet, "--sheet")):
        if asked:
            raise InputError(f"{path} is a {chosen} file; {what} needs a table (CSV, Excel or Parquet).")
    return Stream(path, chosen, _READERS[chosen](path, tally), tally)


def read(path: Path, format: str = "auto", label_column: str | None = None, encoding: str | None = None) -> Reading:
    """Read a file of records whole; see `open_records` for files that may be large.

    Raises
    ------
    InputError
        When the file cannot be read, or is not of that format.
    """
    return Reading.of(open_records(path, format, label_column, encoding=encoding), labelled=label_column is not None)


def check_writable(path: Path, program: str | None = None) -> None:
    """Refuse a path that exists, lies in no folder, or whose ending names no format, or none for a program.

    Raises
    ------
    InputError
    """
    if program is not None and program not in PROGRAMS:
        raise InputError(f"unknown --for {program!r}; choose one of {', '.join(PROGRAMS)}.")
    endings = WRITERS if program is None else PROGRAMS[program].writers
    if path.suffix.lower() not in endings:
        whose = "" if program is None else f" for {PROGRAMS[program].name}"
        raise InputError(f"{path} must end in one of {', '.join(endings)}{whose}: the ending names the format.")
    if path.exists():
        raise InputError(f"{path} exists already; choose another name.")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist; make it first.")


def write(path: Path, rows: Iterable[ExportRow], program: str | None = None) -> None:
    """Write records in the format that the path's ending names, under another name first.

    A table's columns depend on all its records, so `rows` may be read more than once; no row is kept in memory.
    With a program, one of `PROGRAMS`, the decisions are where it looks for them, and what its format cannot hold is
    left out.

    Raises
    ------
    InputError
        See `check_writable`.
    """
    check_writable(path, program)
    writers = WRITERS if program is None else PROGRAMS[program].writers
    with written_whole(path) as unfinished:
        writers[path.suffix.lower()](unfinished, rows)
