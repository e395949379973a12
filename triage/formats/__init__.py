"""Readers and writers of bibliographic files, one module a format, found by content."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import InputError
from . import bibtex, nbib, ris, tables
from .common import ExportRow, Problem, Reading, decode, read_bytes

__all__ = ["FORMATS", "WRITERS", "ExportRow", "Problem", "Reading", "check_writable", "detect", "read", "write"]

TABLES = ("csv", "tsv", "xlsx", "xls", "parquet")
FORMATS = ("ris", "nbib", *TABLES)
WRITERS: dict[str, Callable[[Path, Sequence[ExportRow]], None]] = {
    ".ris": ris.write, ".csv": tables.write_delimited, ".tsv": tables.write_tsv, ".xlsx": tables.write_xlsx,
    ".bib": bibtex.write,
}
_READABLE = "RIS, PubMed nbib, CSV, TSV, Excel or Parquet"
_MAGIC = ((b"PK\x03\x04", "xlsx"), (b"\xd0\xcf\x11\xe0", "xls"), (b"PAR1", "parquet"))
_NOT_EXPORTS = ((b"%PDF", "a PDF"), (b"\x89PNG", "a picture"), (b"\xff\xd8\xff", "a picture"), (b"SQLite format 3", "a database"))


def detect(path: Path) -> str:
    """Return a file's format, one of `FORMATS`, by what is in it.

    Raises
    ------
    InputError
        When it is no export that can be read.
    """
    content = read_bytes(path)
    for magic, format in _MAGIC:
        if content.startswith(magic):
            return format
    for magic, kind in _NOT_EXPORTS:
        if content.startswith(magic):
            raise InputError(f"{path} is {kind}, no export; give {_READABLE}.")
    text, _ = decode(content, path)
    head = text.lstrip("\ufeff \t\r\n")[:2000].lower()
    if head.startswith(("<!doctype", "<html", "<?xml", "<")):
        kind = "a web page" if "<html" in head or "<!doctype html" in head else "XML"
        raise InputError(f"{path} is {kind}, which this version does not read; export it as {_READABLE}.")
    first = text.lstrip("\ufeff").replace("\r", "\n").lstrip("\n").split("\n", 1)[0]
    table = "tsv" if "\t" in first and first.count("\t") >= first.count(",") else "csv"
    # A cell of a table may hold a line that looks like RIS, so a header that names titles goes first.
    if tables.names_titles(first):
        return table
    if ris.announces(text):
        return "ris"
    if nbib.looks_like(text):
        return "nbib"
    if path.suffix.lower() in (".csv", ".tsv", ".tab"):
        return table
    raise InputError(f"{path} is no export that triage knows: no TY or PMID line, no table; give {_READABLE}.")


def read(path: Path, format: str = "auto", label_column: str | None = None) -> Reading:
    """Read a file of records.

    Parameters
    ----------
    path : Path
    format : str
        One of `FORMATS`, or "auto".
    label_column : str, optional
        A table's column whose text is given back apart, too.

    Raises
    ------
    InputError
        When the file is none that can be read, or none of that format.
    """
    if format != "auto" and format not in FORMATS:
        raise InputError(f"--format {format!r} is none of {', '.join(FORMATS)}.")
    path = Path(path)
    chosen = detect(path) if format == "auto" else format
    if chosen in TABLES:
        return tables.read(path, chosen, label_column)
    if label_column is not None:
        raise InputError(f"{path} is a {chosen} file; a label column needs a table (CSV, Excel or Parquet).")
    reading = ris.read(path) if chosen == "ris" else nbib.read(path)
    if not reading.announced:
        raise InputError(f"{path} announces no record as {chosen}; leave --format out to have it found by content.")
    return reading


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


def write(path: Path, rows: Sequence[ExportRow]) -> None:
    """Write records in the format that the path's ending names, under another name first.

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
