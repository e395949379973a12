"""Excel workbooks and Parquet files: their rows as text, and the writing of workbooks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from ..errors import ExtraNeeded, InputError
from ..records import Record
from ..wording import plural
from . import archives
from .columns import Columns, Layout
from .common import REMAINDER, ExportRow, Tally, remainder

Rows = Iterator[tuple[int, list[str]]]

_CELL = 32_767  # characters that an Excel cell holds
_MOST_CELLS = 20_000_000  # of a sheet, empty ones among them: more than that fills the memory
_BYTES = 2 * 2**30  # of a file once unpacked
_ROWS = 50_000_000
_PARQUET_ROWS = 100  # read together
# Where a cell is, and a row whose first cell does not say where: in any quotes, among any attributes, with or without
# the prefix of a name space.
_CELL_AT = re.compile(rb"<(?:\w{1,20}:)?c\s[^<>]{0,400}?\br\s{0,9}=\s{0,9}[\"']\s{0,9}([A-Za-z]{1,99})(\d{1,99})")
_ROW_AT = re.compile(
    rb"<(?:\w{1,20}:)?row\s[^<>]{0,400}?\br\s{0,9}=\s{0,9}[\"']\s{0,9}(\d{1,99})[^<>]{0,400}>\s{0,99}"
    rb"<(?:\w{1,20}:)?c(?=[\s/>])(?![^<>]{0,400}?\br\s{0,9}=)"
)
_FARTHEST = 10**9  # where a reference of more digits than any workbook has is taken to be
_TAG_LENGTH = 1500
# A cell with a value, in a sheet's XML; blanks and errors are values, too, so that a record's row has two at least.
_VALUE = re.compile(rb"<(?:v|t)(?: [^<>]{0,40})?>[^<#]")
_ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")


def rows(
    path: Path, format: str, tally: Tally, is_header: Callable[[Sequence[str]], bool], sheet: str = ""
) -> tuple[Rows, int]:
    """Return a file's rows with their numbers, and how many have text, counted apart.

    Parameters
    ----------
    path : Path
    format : str
        xlsx, xls or parquet.
    tally : Tally
    is_header : callable
        Tells a row of column names, by which the sheet of records is chosen.
    sheet : str
        The name of the sheet to read; "" chooses by `is_header`.
    """
    if format == "parquet":
        return _parquet(path, tally)
    return _excel(path, tally, is_header, _size(path) if format == "xlsx" else 0, sheet)


def _size(path: Path) -> int:
    """Refuse a workbook that unpacks to more than memory holds, before it is unpacked; return its rows of several values."""
    rows = 0
    with archives.opened(path) as archive:
        unpacked = 0
        for info in archive.infolist():
            columns = last = 0
            rest = tail = b""
            for chunk in archives.inflated(path, archive, info):
                unpacked += len(chunk)
                if unpacked > _BYTES:
                    raise InputError(
                        f"{path} unpacks to more than {_BYTES >> 30} GiB; it is not a workbook of records."
                    )
                # Whatever a member is called, it may be a sheet; a tag may begin in one chunk and end in the next.
                text = tail + chunk
                tail = text[-_TAG_LENGTH:]
                for letters, number in _CELL_AT.findall(text):
                    columns, last = max(columns, _column(letters)), max(last, min(int(number), _FARTHEST))
                last = max([last, *(min(int(number), _FARTHEST) for number in _ROW_AT.findall(text))])
                if columns * last > _MOST_CELLS:
                    raise InputError(
                        f"{path} spans {plural(last, 'row')} and {plural(columns, 'column')}, more than {_MOST_CELLS:,} "
                        f"cells; delete what lies far outside the table, or save it as CSV."
                    )
                if "worksheets/" in info.filename:
                    *whole, rest = (rest + chunk).split(b"</row>")
                    rows += sum(len(_VALUE.findall(row)) > 1 for row in whole)
                    rest = rest[-_CELL * 100 :]

    return rows


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return min(number, _FARTHEST)


def _excel(
    path: Path, tally: Tally, is_header: Callable[[Sequence[str]], bool], written: int, sheet: str
) -> tuple[Rows, int]:
    """Return the rows of the sheet of records; `written` rows have several values by a count of their own."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(str(path))
        sheets = [(name, book.get_sheet_by_name(name).to_python(skip_empty_area=False)) for name in book.sheet_names]
    except (CalamineError, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as an Excel workbook ({error}).") from error
    except BaseException as error:
        # What the library's own code trips over comes as none of the usual exceptions.
        if type(error).__name__ != "PanicException":
            raise
        raise InputError(f"{path} cannot be read as an Excel workbook; it is damaged.") from None
    filled = [(name, found) for name, found in sheets if any(cell not in ("", None) for row in found for cell in row)]
    if not filled:
        raise InputError(f"{path} holds no cell with text.")
    if sheet and sheet not in (name for name, _ in filled):
        raise InputError(f"{path} has no sheet {sheet!r} with text; its sheets are: {', '.join(n for n, _ in filled)}.")
    # A header is near the top, but not always in the first row.
    headed = (s for s in filled if any(is_header([_text(c) for c in row]) for row in s[1][:20]))
    chosen = next((s for s in filled if s[0] == sheet), None) or next(headed, filled[0])
    name, found = chosen
    others = [n for n, _ in filled if n != name]
    if others and not sheet:
        tally.warn(1, f"read the sheet {name!r}; not read: {', '.join(others)} (--sheet NAME reads another one)")
    read = sum(any(cell not in ("", None) for cell in row) for _, sheet in filled for row in sheet)
    if written > read:
        tally.warn(
            1,
            f"the workbook has {plural(written, 'row')} of several values, but {read:,} were read; save it again in Excel, or "
            f"as CSV, and compare",
        )
    count = sum(any(_text(cell).strip() for cell in row) for row in found)
    return ((number, [_text(cell) for cell in row]) for number, row in enumerate(found, 1)), count


def _parquet(path: Path, tally: Tally) -> tuple[Rows, int]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ExtraNeeded(f"{path}: reading Parquet", "parquet") from error
    try:
        file = pyarrow.parquet.ParquetFile(path)
        meta = file.metadata
        unpacked = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        names = file.schema_arrow.names
    except MemoryError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as Parquet ({str(error).splitlines()[0]}).") from error
    if meta.num_rows > _ROWS or unpacked > 8 * _BYTES:
        raise InputError(
            f"{path} holds {plural(meta.num_rows, 'row')} of {unpacked >> 20:,} MiB; it is too large for a review."
        )

    def all_rows() -> Rows:
        yield 1, list(names)
        number = 1
        try:
            # A few rows at once, and in this thread: a text that a file holds once may stand in every row.
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS, use_threads=False):
                for row in zip(*(column.to_pylist() for column in batch.columns)):
                    number += 1
                    yield number, [_text(value) for value in row]
                tally.fraction = (number - 1) / max(meta.num_rows, 1)
        except MemoryError:
            raise
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            fault = str(error).splitlines()[0]
            raise InputError(f"{path}, row {number}: not readable as Parquet ({fault}).") from error

    return all_rows(), meta.num_rows + 1


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
        day: str = value.isoformat()
        return day
    return str(value)


# -- writing ----------------------------------------------------------------------------------


def write(path: Path, rows: Iterable[ExportRow]) -> None:
    """Write an Excel workbook: every cell is text, and what a cell cannot hold is in the last columns."""
    layout = Layout(rows)
    header = [_ILLEGAL.sub("\ufffd", name)[:_CELL] for name in layout.header]
    columns = Columns([name.strip() for name in header])
    wide = max((len(_fit(row.record, columns, layout.cells(row))[1]) for row in rows), default=1)
    names = [*header, *(f"{REMAINDER}_{i}" for i in range(2, wide + 1))]
    fitted = (_fit(row.record, columns, layout.cells(row)) for row in rows)
    write_cells(path, chain([names], ((*cells, *parts, *[""] * (wide - len(parts))) for cells, parts in fitted)))


def write_cells(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write the rows of a table, its header first, as text; what is too long for a cell is cut."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("records")
    sheet.freeze_panes = "A2"

    def text(value: str) -> object:
        cell = WriteOnlyCell(sheet, value=None)
        # As text: openpyxl takes a leading "=" for a formula. Excel reads "_x0041_" as an escaped
        # character, so an underscore that would begin one is escaped itself.
        cell._value, cell.data_type = _ESCAPE.sub("_x005F_", _ILLEGAL.sub("\ufffd", value)[:_CELL]), "s"
        return cell

    for cells in rows:
        sheet.append([text(value) for value in cells])
    book.save(path)


def _fit(record: Record, columns: Columns, cells: list[str]) -> tuple[list[str], list[str]]:
    """Cut what a cell cannot hold, and keep the whole of it in the remainder, cut into cells too."""
    short = [_ILLEGAL.sub("\ufffd", cell)[:_CELL] for cell in cells[:-1]]
    rest = remainder(record, columns.record([*short, ""]))
    return short, [rest[i : i + _CELL] for i in range(0, len(rest), _CELL)] or [""]
