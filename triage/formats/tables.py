"""Tables: CSV, TSV, Excel and Parquet, with the column names that databases use."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import InputError
from ..records import Record, is_placeholder, normal_doi, normal_pmid
from .common import (
    DECISION_FIELDS, REMAINDER, ExportRow, Problem, Reading, decode, first_year, one_line, read_bytes, remainder,
    with_remainder,
)

# Column names as databases and reference managers write them, compared as letters alone; the first
# of a field's names that the table has is its column.
_COLUMNS = {
    "title": ("title", "primarytitle", "articletitle", "documenttitle", "itemtitle", "ti"),
    "abstract": ("abstract", "abstractnote", "abstracttext", "ab", "notesabstract"),
    "authors": ("authors", "author", "authornames", "authorfullnames", "firstauthors", "au"),
    "year": ("year", "publicationyear", "pubyear", "publishedyear", "py", "date"),
    "journal": ("journal", "journaltitle", "publicationtitle", "sourcetitle", "journalbook", "journalname",
                "publication", "secondarytitle"),
    "doi": ("doi", "itemdoi"),
    "pmid": ("pmid", "pubmedid"),
    "language": ("language", "languageoforiginaldocument", "la"),
    "type": ("type", "documenttype", "publicationtype", "itemtype", "typeofreference", "contenttype"),
    "keywords": ("keywords", "authorkeywords", "manualtags"),
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CELL = 32_767  # characters that an Excel cell holds
_ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_OURS = "imported "  # before an imported column's name that an export needs for itself


def _letters(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def read(path: Path, format: str, label_column: str | None = None) -> Reading:
    """Read a table; `format` is csv, tsv, xlsx, xls or parquet."""
    warnings: list[Problem] = []
    rows = _ROWS[format](path, warnings)
    _, header = next(rows, (1, []))
    header = [cell.strip() for cell in header]
    columns = _find_columns(header)
    if "title" not in columns:
        named = ", ".join(filter(None, header[:12])) or "none"
        raise InputError(
            f"{path} has no title column; its columns are: {named[:200]}. Rename the one that holds the titles to 'title'."
        )
    label_at = None
    if label_column is not None:
        if label_column not in header:
            raise InputError(f"{path} has no column {label_column!r}; its columns are: {', '.join(filter(None, header))[:200]}.")
        label_at = header.index(label_column)
    records, lines, labels = [], [], []
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(header):
            warnings.append(Problem(line, f"{len(cells)} cells where the header has {len(header)}; all are kept"))
        records.append(_record(header, columns, cells))
        lines.append(line)
        if label_at is not None:
            labels.append(cells[label_at].strip() if label_at < len(cells) else "")
    if not records:
        raise InputError(f"{path} has a header and no record under it.")
    return Reading(format, len(records), records, lines, [], warnings, labels if label_at is not None else None)


def _find_columns(header: Sequence[str]) -> dict[str, int]:
    names = [_letters(name) for name in header]
    return {
        field: names.index(alias)
        for field, aliases in _COLUMNS.items()
        for alias in [next((a for a in aliases if a in names), None)] if alias is not None
    }


def names_titles(line: str) -> bool:
    """Tell whether a first line is a table's header that has a title column."""
    cells = re.split(r"[,;\t|]", line)
    return len(cells) > 1 and any(_letters(cell) in _COLUMNS["title"] for cell in cells)


def _record(header: Sequence[str], columns: dict[str, int], cells: Sequence[str]) -> Record:
    def cell(field: str) -> str:
        at = columns.get(field, -1)
        return _armed(cells[at]).strip() if 0 <= at < len(cells) else ""

    ours = REMAINDER in header
    used = set(columns.values())
    extra: dict[str, tuple[str, ...]] = {}
    left_over = ""
    for at, raw in enumerate(cells):
        name = header[at] if at < len(header) and header[at] else f"column {at + 1}"
        value = _armed(raw)
        if ours and name.startswith(REMAINDER):
            left_over += raw
        elif at in used or not value.strip() or (ours and name in (*DECISION_FIELDS, "source")):
            continue
        else:
            name = _armed(name).removeprefix(_OURS) if ours else name
            extra[name] = (*extra.get(name, ()), value)
    year, doi, pmid = first_year([cell("year")]), normal_doi(cell("doi")), normal_pmid(cell("pmid"))
    abstract = cell("abstract")
    for field, raw, clean in (("year", cell("year"), str(year)), ("doi", cell("doi"), doi), ("pmid", cell("pmid"), pmid),
                              ("abstract", abstract, "" if is_placeholder(abstract) else abstract)):
        if raw and raw != clean:
            extra[header[columns[field]]] = (raw,)
    record = Record(
        title=one_line(cell("title")), abstract="" if is_placeholder(abstract) else abstract,
        authors=_names(cell("authors")), year=year, journal=one_line(cell("journal")), doi=doi, pmid=pmid,
        language=one_line(cell("language")), type=one_line(cell("type")), keywords=_several(cell("keywords")),
        extra=extra,
    )
    return with_remainder(record, left_over) if left_over else record


def _several(text: str) -> tuple[str, ...]:
    return tuple(part for piece in re.split(r"[;\n|]", text) if (part := one_line(piece)))


def _names(text: str) -> tuple[str, ...]:
    """Split authors: at semicolons; else at commas, where these part "Liu R., Adler D.G."."""
    if ";" in text or "|" in text or "\n" in text:
        return _several(text)
    parts = [one_line(part) for part in text.split(",")]
    whole_names = len(parts) > 1 and all(" " in part for part in parts)
    return tuple(parts) if whole_names else tuple(filter(None, [one_line(text)]))


# -- rows of each kind of file ----------------------------------------------------------------


def _csv_rows(path: Path, warnings: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    text, told = decode(read_bytes(path), path)
    warnings += told
    return _delimited(path, text, None)


def _tsv_rows(path: Path, warnings: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    text, told = decode(read_bytes(path), path)
    warnings += told
    return _delimited(path, text, "\t")


def _delimited(path: Path, text: str, delimiter: str | None) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(max(131_072, len(text)))
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if delimiter is None:
        outside_quotes = re.sub(r'"[^"]*"', "", text.split("\n", 1)[0])
        delimiter = max(",;\t|", key=outside_quotes.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    start = 1
    try:
        for cells in reader:
            yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not readable as a table ({error}).") from error


def _excel_rows(path: Path, warnings: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(str(path))
        sheets = [(name, book.get_sheet_by_name(name).to_python(skip_empty_area=False)) for name in book.sheet_names]
    except (CalamineError, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as an Excel workbook ({error}).") from error
    filled = [(name, rows) for name, rows in sheets if any(cell not in ("", None) for row in rows for cell in row)]
    chosen = next((s for s in filled if "title" in _find_columns([_text(c) for c in _header(s[1])[1]])), None)
    if chosen is None and not filled:
        raise InputError(f"{path} holds no cell with text.")
    name, rows = chosen or filled[0]
    others = [n for n, _ in filled if n != name]
    if others:
        warnings.append(Problem(1, f"read the sheet {name!r}; not read: {', '.join(others)}"))
    first, _ = _header(rows)
    for number, cells in enumerate(rows[first:], first + 1):
        yield number, [_text(cell) for cell in cells]


def _header(rows: Sequence[Sequence[object]]) -> tuple[int, Sequence[object]]:
    return next(((i, row) for i, row in enumerate(rows) if any(cell not in ("", None) for cell in row)), (0, []))


def _parquet_rows(path: Path, warnings: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read as Parquet ({str(error).splitlines()[0]}).") from error
    yield 1, list(table.column_names)
    number = 1
    for batch in table.to_batches(max_chunksize=10_000):
        for row in zip(*(column.to_pylist() for column in batch.columns)):
            number += 1
            yield number, [_text(value) for value in row]


_ROWS = {"csv": _csv_rows, "tsv": _tsv_rows, "xlsx": _excel_rows, "xls": _excel_rows, "parquet": _parquet_rows}


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return "" if value != value else str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, (list, tuple)):
        return "; ".join(map(_text, value))
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


# -- writing ----------------------------------------------------------------------------------


def _disarmed(value: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{value}" if value.startswith(_FORMULA) else value


def _plain(value: str) -> str:
    """Write every line end as one, and no zero byte: what a table can hold."""
    return value.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


def _armed(value: str) -> str:
    """Take the apostrophe off again."""
    return value[1:] if value.startswith("'") and value[1:].startswith(_FORMULA) else value


def _layout(rows: Sequence[ExportRow]) -> tuple[list[str], list[str], list[str]]:
    """Return the decision columns, the record's and the extra ones, each name once."""
    decisions = [name for name in DECISION_FIELDS if any(name in row.decision for row in rows)]
    taken = {*DECISION_FIELDS, "source", REMAINDER}
    aliases = {alias for names in _COLUMNS.values() for alias in names}
    extra = dict.fromkeys(name for row in rows for name in row.record.extra)
    # An imported column that would be read as a field, or that is named like one of ours, gets our
    # mark, which is taken off when the file is read again.
    named = [name if name not in taken and _letters(name) not in aliases else _OURS + name for name in extra]
    return decisions, named, list(extra)


def _cells(rows: Sequence[ExportRow]) -> Iterator[list[str]]:
    decisions, named, extra = _layout(rows)
    fields = ["title", "abstract", "authors", "year", "journal", "doi", "pmid", "language", "type", "keywords"]
    header = [*map(_plain, (*decisions, *fields, "source", *named)), REMAINDER]
    as_read = [_disarmed(name).strip() for name in header]
    columns = _find_columns(as_read)
    yield header
    for row in rows:
        r = row.record
        cells = [_plain(cell) for cell in (
            *(row.decision.get(name, "") for name in decisions), r.title, r.abstract, "; ".join(r.authors),
            "" if r.year is None else str(r.year), r.journal, r.doi, r.pmid, r.language, r.type, "; ".join(r.keywords),
            r.source, *("; ".join(r.extra.get(name, ())) for name in extra),
        )]
        got = _record(as_read, columns, [*map(_disarmed, cells), ""])
        yield [*cells, remainder(r, got)]


def write_delimited(path: Path, rows: Sequence[ExportRow], delimiter: str = ",") -> None:
    """Write CSV that Excel opens as UTF-8; no cell of it runs as a formula."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        for cells in _cells(rows):
            writer.writerow([_disarmed(cell) for cell in cells])


def write_tsv(path: Path, rows: Sequence[ExportRow]) -> None:
    """Write tab-separated text; see `write_delimited`."""
    write_delimited(path, rows, "\t")


def write_xlsx(path: Path, rows: Sequence[ExportRow]) -> None:
    """Write an Excel workbook: every cell is text, and what a cell cannot hold is in the last columns."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("records")
    sheet.freeze_panes = "A2"

    def text(value: str) -> object:
        cell = WriteOnlyCell(sheet, value=None)
        # As text: openpyxl takes a leading "=" for a formula. Excel reads "_x0041_" as an escaped
        # character, so an underscore that would begin one is escaped itself.
        cell._value, cell.data_type = _ESCAPE.sub("_x005F_", value), "s"
        return cell

    made = _cells(rows)
    header = [_ILLEGAL.sub("\ufffd", name)[:_CELL] for name in next(made)]
    fit = [_fit(row.record, header, cells) for row, cells in zip(rows, made, strict=True)]
    wide = max((len(parts) for _, parts in fit), default=1)
    names = [*header, *(f"{REMAINDER}_{i}" for i in range(2, wide + 1))]
    sheet.append([text(name) for name in names])
    for cells, parts in fit:
        sheet.append([text(value) for value in (*cells, *parts, *[""] * (wide - len(parts)))])
    book.save(path)


def _fit(record: Record, header: Sequence[str], cells: list[str]) -> tuple[list[str], list[str]]:
    """Cut what a cell cannot hold, and keep the whole of it in the remainder, cut into cells too."""
    short = [_ILLEGAL.sub("\ufffd", cell)[:_CELL] for cell in cells[:-1]]
    as_read = [name.strip() for name in header]
    rest = remainder(record, _record(as_read, _find_columns(as_read), [*short, ""]))
    return short, [rest[i: i + _CELL] for i in range(0, len(rest), _CELL)] or [""]


