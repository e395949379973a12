"""Tables: CSV and TSV read and written, and the rows of any table made records."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from shlex import quote
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import InputError
from ..wording import plural
from . import votes, workbooks
from .columns import COLUMNS, Columns, Layout, disarmed, letters
from .common import REMAINDER, Doubt, ExportRow, Item, Problem, Tally
from .tagged import is_of_another
from .text import LONGEST, TextFile, tally_of

if TYPE_CHECKING:
    import _csv

_HEADER_WITHIN = 20  # rows: Dimensions, Embase and others put a line or two about the export first
_LINES_OF_A_ROW, _LENGTH_OF_A_ROW = 100, 2**20
_SHOWN = 3  # rows of a table whose columns are asked about
_TITLE_LENGTH = 95  # characters, about the mean of titles in medicine
Rows = Iterator[tuple[int, list[str]]]
IsHeader = Callable[[Sequence[str]], bool]


@dataclass(frozen=True, slots=True)
class Table:
    """What the beginning of a text says of it as a table."""

    format: str
    delimiter: str
    at: int  # where its header begins
    titles: bool  # its header names titles or abstracts
    searches: bool  # its header is that of a search history


class NoTitleColumn(InputError):
    """A table of which no column is known to hold titles; somebody who sees it can name one.

    Attributes
    ----------
    header : tuple of str
        The first row with text, which names the columns as a rule.
    rows : tuple of tuple of str
        The first rows under it.
    """

    def __init__(self, message: str, header: Sequence[str] = (), rows: Sequence[Sequence[str]] = ()):
        super().__init__(message)
        self.header, self.rows = tuple(header), tuple(map(tuple, rows))

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.message, self.header, self.rows)


def detect(path: Path, head: str, named: Mapping[str, str] = MappingProxyType({})) -> Table | None:
    """Return what kind of table a text is, judged by its first lines; None when it is not a table.

    A row that has all columns that are `named` is its header.
    """
    first, at = None, 0
    for line in head.split("\n")[:_HEADER_WITHIN]:
        cells, delimiter = _cells_of(line)
        names = [letters(cell) for cell in cells]
        known = sum(any(name in aliases for aliases in COLUMNS.values()) for name in names)
        is_first = first is None and path.suffix.lower() in (".csv", ".tsv", ".tab")
        # Below the first line a single title is not a header: other formats have lines that look like it.
        titles = _names_titles(names) and (len(names) > 1 or is_first) and (first is None or known >= 3)
        titles = _has(cells, named) if named else titles
        table = Table("tsv" if delimiter == "\t" else "csv", delimiter, at, titles, _is_search_history(names))
        if table.titles or table.searches:
            return table
        if line.strip():
            first = first or table
        at += len(line) + 1
    return first


def _cells_of(line: str) -> tuple[list[str], str]:
    outside_quotes = re.sub(r'"[^"]*"', "", line)
    delimiter = max(",;\t|", key=outside_quotes.count)
    try:
        return next(csv.reader([line], delimiter=delimiter), []), delimiter
    except csv.Error:
        return line.split(delimiter), delimiter


def _names_titles(names: Sequence[str]) -> bool:
    return any(name in COLUMNS["title"] or name == "abstract" for name in names)


def _has(cells: Sequence[str], named: Mapping[str, str]) -> bool:
    return {*named.values()} <= {cell.strip() for cell in cells}


def _is_search_history(names: Sequence[str]) -> bool:
    return "results" in names and any(name in names for name in ("query", "searchnumber", "searchterms", "searches"))


def records(
    path: Path,
    format: str,
    tally: Tally,
    label_column: str | None = None,
    named: Mapping[str, str] = MappingProxyType({}),
    sheet: str = "",
) -> Iterator[Item]:
    """Read a table; `format` is csv, tsv, xlsx, xls or parquet, `named` are the columns of fields, where somebody said."""
    rows, count = _table_rows(path, format, tally, sheet=sheet, named=named)
    header, above = _header(path, rows, named)
    tally.announced = count - above
    columns = Columns(header, named)
    if "title" not in columns.at:
        raise _without_titles(path, header, [cells for _, cells in islice(rows, _SHOWN)])
    label = _labeller(path, header, label_column, tally)
    doubt = Doubt(tally)
    short = Doubt(
        tally,
        "begins a row with fewer cells than the header names; a line's end inside a cell may have cut a record in two",
    )
    if not tally.announced:
        raise InputError(f"{path} has a header but no record under it.")
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            if format == "parquet":
                yield Item(line, Problem(line, "this row is empty; there is nothing to screen"))
            continue
        if len(header) > 1 and not any(cells[1:]) and is_of_another(cells[0]):
            raise InputError(
                f"{path}, line {line:,}: {cells[0].strip()[:60]!r} is no row of the table above it; several exports were "
                f"joined. Put what begins in that line into a file of its own, and import both."
            )
        if (again := _header_again(cells, header)) is not None:
            if not again:
                raise InputError(
                    f"{path}, line {line:,}: another header, with other columns ({', '.join(filter(None, cells))[:200]}); "
                    f"several tables were joined. Put what begins in that line into a file of its own, and import both."
                )
            yield Item(line, Problem(line, "this row is the header once more; there is nothing to screen"))
            continue
        if len(cells) > len(header):
            tally.warn(line, f"{plural(len(cells), 'cell')} where the header has {len(header)}; all are kept")
        if len(cells) - cells.count("") == 1 and len(header) > 2:
            at, said = next((at, cell) for at, cell in enumerate(cells) if cell)
            if " " in said.strip() and not columns.knows(at):  # a line of words, as Abstrackr writes
                message = f"this row holds only {said.strip()[:60]!r}; there is nothing to screen"
                yield Item(line, Problem(line, message))
                continue
        if len(cells) < len(header) and format in ("csv", "tsv"):
            short.note(line, next(filter(None, map(str.strip, cells)), ""))
        if "\n" in "".join(cells):
            for at, text in _inner_lines(cells):
                inner, _ = _cells_of(text)
                if len(inner) == len(header) and columns.looks_like_a_row(inner):
                    doubt.note(line + at, text)
        yield Item(line, columns.record(cells), label(cells, line))
    doubt.warn()
    short.warn()


def _header_again(cells: Sequence[str], header: Sequence[str]) -> bool | None:
    """Return True for the header once more, False for another one, and None for a row."""
    if not any(letters(cell) in COLUMNS["title"] for cell in cells if len(cell) < 40):
        return None
    said = [cell.strip() for cell in cells]
    if said == list(header):
        return True
    known = sum(any(letters(cell) in names for names in COLUMNS.values()) for cell in said if cell)
    return False if known > 2 and known >= len(list(filter(None, said))) / 2 else None


def _inner_lines(cells: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines inside a row's cells, but for the first of each, with how far they are from the row's first."""
    at = 0
    for cell in cells:
        for text in cell.split("\n")[1:]:
            at += 1
            yield at, text


def blank_rows(path: Path, format: str, encoding: str | None = None) -> list[int]:
    """Return the lines of the empty rows among a table's records.

    `records` passes them over. A line of a text file with nothing on it is not a row.
    """
    blank: list[int] = []
    since: list[int] = []
    begun = False
    for line, cells in _table_rows(path, format, tally_of(encoding))[0]:
        if any(cell.strip() for cell in cells):
            blank += since
            since, begun = [], True
        elif cells and begun:
            since.append(line)
    return blank


def _table_rows(
    path: Path,
    format: str,
    tally: Tally,
    is_header: IsHeader | None = None,
    sheet: str = "",
    named: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Rows, int]:
    """Return a table's rows with their lines, and how many have text, counted apart.

    `is_header` recognizes the row of column names, by which a workbook's sheet is chosen where `sheet` does not name it;
    without it, one with the columns that are named, else one with titles.
    """
    if sheet and format not in ("xlsx", "xls"):
        raise InputError(f"{path} is a {format} file, which has no sheets; leave --sheet out.")
    if format in ("csv", "tsv"):
        return _delimited(path, "\t" if format == "tsv" else None, tally)

    def names_columns(cells: Sequence[str]) -> bool:
        return _has(cells, named) if named else _names_titles([letters(c) for c in cells])

    return workbooks.rows(path, format, tally, is_header or names_columns, sheet)


def under_header(path: Path, format: str, tally: Tally, is_header: IsHeader) -> tuple[list[str], Rows]:
    """Return the row that names the columns of a table of anything, and the rows with text under it.

    Where none of the first rows is a header, the very first comes back, and no row under it.
    """
    every, _ = _table_rows(path, format, tally, is_header)
    rows = ((line, cells) for line, cells in every if any(map(str.strip, cells)))
    above: list[list[str]] = []
    for _, cells in rows:
        if is_header(cells):
            return cells, rows
        above.append(cells)
        if len(above) == _HEADER_WITHIN:
            break
    return (above[0] if above else []), iter(())


def rows_under_header(
    path: Path,
    format: str,
    *,
    columns: Mapping[str, str] = MappingProxyType({}),
    sheet: str = "",
    encoding: str | None = None,
) -> tuple[list[str], Rows]:
    """Return the row that names the columns of a table of records, and the rows under it, as they are written."""
    rows, _ = _table_rows(path, format, tally_of(encoding), sheet=sheet, named=columns)
    return _header(path, rows, columns)[0], rows


def first_rows(path: Path, format: str, tally: Tally, sheet: str = "") -> list[list[str]]:
    """Return the first rows with text of a table, among which its header is."""
    rows, _ = _table_rows(path, format, tally, sheet=sheet)
    filled = ([cell.strip() for cell in cells] for _, cells in rows if any(map(str.strip, cells)))
    return list(islice(filled, _HEADER_WITHIN))


def _header(path: Path, rows: Rows, named: Mapping[str, str]) -> tuple[list[str], int]:
    """Return the row that names the columns, and how many rows with text it and those above it are."""
    seen: list[list[str]] = []
    for _, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        header = [cell.strip() for cell in cells]
        seen.append(header)
        names = [letters(cell) for cell in header]
        if _has(header, named) if named else _names_titles(names):
            return header, len(seen)
        if _is_search_history(names):
            raise InputError(
                f"{path} is a search history (its columns are: {', '.join(filter(None, header))[:200]}), not records; "
                f"export the records that the search found."
            )
        if len(seen) == _HEADER_WITHIN:
            break
    # What names the columns comes before the rows of as many cells.
    width = max(map(len, seen), default=0)
    at = next((at for at, cells in enumerate(seen) if len(cells) == width and all(cells)), 0)
    likely = seen[at] if seen else []
    if named:
        missing = next((name for name in named.values() if not any(name in header for header in seen)), "")
        wanted = f"no column {missing!r}" if missing else "no row that names all of these columns"
        raise InputError(f"{path} has {wanted}; its columns are: {_in_words(likely)}.")
    raise _without_titles(path, likely, seen[at + 1 : at + 1 + _SHOWN])


def _in_words(header: Sequence[str]) -> str:
    return (", ".join(filter(None, header[:12])) or "none")[:200]


def _without_titles(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> NoTitleColumn:
    return NoTitleColumn(
        f"{path} has no title column; its columns are: {_in_words(header)}. Say which one holds the titles, such as "
        f"--column title={quote(_likeliest(header, rows))}; --column abstract=NAME and others likewise.",
        header,
        rows,
    )


def _likeliest(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the column that titles are in most likely: of texts as long as titles are."""

    def distance(at: int) -> float:
        lengths = [len(cells[at]) for cells in rows if at < len(cells) and " " in cells[at].strip()]
        return abs(sum(lengths) / len(lengths) - _TITLE_LENGTH) if lengths else float("inf")

    columns = [at for at, name in enumerate(header) if name]
    return header[min(columns, key=distance)] if columns else "NAME"


def _labeller(
    path: Path, header: Sequence[str], label_column: str | None, tally: Tally
) -> Callable[[Sequence[str], int], str]:
    """Return what gives a row's label: a column asked for, else a program's that writes decisions."""
    names = [letters(name) for name in header]

    def cell(at: int, cells: Sequence[str]) -> str:
        return cells[at].strip() if 0 <= at < len(cells) else ""

    if label_column is not None:
        if label_column not in header:
            named = ", ".join(filter(None, header))[:200]
            raise InputError(f"{path} has no column {label_column!r}; its columns are: {named}.")
        wanted = header.index(label_column)
        return lambda cells, line: cell(wanted, cells)
    if votes.is_covidence(names):
        covidence = votes.CovidenceLabels(path, names)
        return lambda cells, line: covidence(cells)
    if "asreviewlabel" in names:
        at = names.index("asreviewlabel")
        return lambda cells, line: {"1": "1", "1.0": "1", "0": "0", "0.0": "0"}.get(cell(at, cells), "")
    notes = [at for at, name in enumerate(names) if name in ("notes", "note", "rayyaninclusion")]
    if notes and REMAINDER not in header:
        return lambda cells, line: votes.in_notes([cell(at, cells) for at in notes], line, tally)
    return lambda cells, line: ""


# -- delimited text ---------------------------------------------------------------------------


def _delimited(path: Path, delimiter: str | None, tally: Tally) -> tuple[Rows, int]:
    """Return the rows of a text with their lines, and how many have text, counted before."""
    csv.field_size_limit(LONGEST)
    silent = Tally(encoding=tally.encoding)
    if delimiter is None:
        table = detect(path, TextFile(path, silent).head)
        delimiter = "," if table is None else table.delimiter
    count, uneven, quoted = 0, 0, True
    try:
        count, uneven = _count(_reader(path, silent, delimiter))
    except csv.Error as error:
        if "limit" in str(error):
            raise InputError(
                f"{path}: a cell is longer than {LONGEST:,} characters; a quotation mark may lack its end, "
                f"or it is not a table."
            ) from error
        uneven, count = -1, 0
    if uneven < 0 or (uneven and delimiter == "\t"):
        # Quotes that are literal: Web of Science's tables have no quoting at all.
        plain_count, plain_uneven = _count(_reader(path, silent, delimiter, quoted=False))
        if not plain_uneven:
            quoted, count = False, plain_count
        elif uneven < 0:
            count = _count(cells for _, cells in _mended(path, delimiter, silent))[0]
            return _mended(path, delimiter, tally), count
    rows = _rows(path, _reader(path, tally, delimiter, quoted))
    if not quoted and delimiter != "\t":
        rows = ((line, [_unquoted(cell) for cell in cells]) for line, cells in rows)
    return rows, count


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _count(rows: Iterable[Sequence[str]]) -> tuple[int, int]:
    """Return how many rows have text, and how many have another number of cells than most."""
    widths: dict[int, int] = {}
    for cells in rows:
        if any(cells) and any(cell.strip() for cell in cells):
            widths[len(cells)] = widths.get(len(cells), 0) + 1
    count = sum(widths.values())
    return count, count - max(widths.values(), default=0)


def _mended(path: Path, delimiter: str, tally: Tally) -> Rows:
    """Yield the rows of a text whose quotation marks do not all open and close cells.

    A row is as many lines as make cells as CSV has them; where none do, a line is cut at each delimiter,
    with a warning.
    """
    lines = _lines(path, tally)
    held: list[str] = []
    number, width = 1, 0
    while line := held.pop(0) if held else next(lines, ""):
        taken = [line]
        while True:
            try:
                cells = next(csv.reader(taken, delimiter=delimiter, strict=True), [])
                break
            except csv.Error as error:
                following = held[len(taken) - 1 : len(taken)] or [next(lines, "")]
                long = len(taken) == _LINES_OF_A_ROW or sum(map(len, taken)) > _LENGTH_OF_A_ROW
                if "end of data" not in str(error) or long or not following[0]:
                    held[len(taken) - 1 : len(taken)] = [text for text in following if text]
                    cells = line.rstrip("\n")[1:-1].split(f'"{delimiter}"')
                    if line[0] == line.rstrip("\n")[-1:] == '"' and len(cells) == width:
                        cells = [cell.replace('""', '"') for cell in cells]
                        tally.warn(number, "a cell holds quotation marks that are not doubled; they were kept as text")
                    else:
                        cells = [_unquoted(cell) for cell in line.rstrip("\n").split(delimiter)]
                        tally.warn(number, "its quotation marks do not enclose cells; it was split at each delimiter")
                    taken = [line]
                    break
                held[len(taken) - 1 : len(taken)] = following
                taken.append(following[0])
        del held[: len(taken) - 1]
        width = width or len(cells)
        yield number, cells
        number += len(taken)


def _lines(path: Path, tally: Tally) -> Iterator[str]:
    for block in TextFile(path, tally).blocks(marks=False):
        yield from io.StringIO(block, newline="\n")


def _reader(path: Path, tally: Tally, delimiter: str, quoted: bool = True) -> _csv.Reader:
    lines = _lines(path, tally)
    if quoted:
        return csv.reader(lines, delimiter=delimiter, strict=True)
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)


def _rows(path: Path, reader: _csv.Reader) -> Rows:
    start = 1
    try:
        for cells in reader:
            yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not readable as a table ({error}).") from error


def plain_rows(path: Path, tally: Tally) -> Rows:
    """Yield the rows of delimited text with their lines, whatever they hold; empty ones, too."""
    yield from _delimited(path, None, tally)[0]


# -- writing ----------------------------------------------------------------------------------


def write_delimited(path: Path, rows: Iterable[ExportRow], delimiter: str = ",") -> None:
    """Write CSV that Excel opens as UTF-8; no cell of it runs as a formula."""
    layout = Layout(rows)
    write_cells(path, chain([layout.header], map(layout.cells, rows)), delimiter)


def write_cells(path: Path, rows: Iterable[Sequence[str]], delimiter: str = ",", *, marked: bool = True) -> None:
    """Write the rows of a table, its header first; see `write_delimited`.

    Excel knows UTF-8 by a mark at the file's beginning, which other programs take for part of the first column's name.
    """
    with path.open("w", encoding="utf-8-sig" if marked else "utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([disarmed(cell) for cell in cells] for cells in rows)


def write_tsv(path: Path, rows: Iterable[ExportRow]) -> None:
    """Write tab-separated text; see `write_delimited`."""
    write_delimited(path, rows, "\t")
