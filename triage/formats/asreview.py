"""ASReview projects (.asreview): their data set and their labels, of versions 1, 2 and 3."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ..errors import InputError
from ..records import Record, normal_doi, normal_title
from ..wording import plural
from . import archives
from .common import Item, Problem, Tally, first_year, one_line, split_abstract
from .facts import completed
from .text import LONGEST

_LARGEST = 2**31  # bytes of one member, unpacked
_SETTINGS = 2**24
# What a database may take: steps of SQLite's machine, a hundred or so for each row that there can be in its bytes.
_STEPS, _STEPS_OF_A_BYTE, _STEPS_AT_ONCE = 20_000_000, 10, 100_000
_NO_TABLES = "SELECT 1 FROM sqlite_master WHERE type = 'view' OR upper(sql) LIKE 'CREATE VIRTUAL%'"
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,10}")
# Fields of a record as versions 2 and 3 keep it, and what a decision has beside its label.
_FIELDS = ("record_id", "dataset_row", "title", "abstract", "authors", "keywords", "year", "doi", "url")
_DECISION = ("note", "notes", "tags", "time", "labeling_time")


def records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read an ASReview project: the records of its data set, each with its label, "1" or "0"."""
    with archives.opened(path) as archive, tempfile.TemporaryDirectory(prefix=f"triage-{os.getpid()}-") as folder:
        project = _Project(path, archive, Path(folder))
        if project.version < 1:
            raise InputError(
                f"{path} is a project of ASReview {project.config.get('version', '0')}, older than version 1; "
                f"open it in ASReview 1 and save it again, or import its data set."
            )
        yield from _with_records(project, tally) if project.version >= 2 else _of_version_1(project, tally)


class _Project:
    """A project's parts, unpacked as they are asked for."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, folder: Path):
        self.path, self._archive, self._folder = path, archive, folder
        self.names = set(archive.namelist())
        settings = self.file("project.json", _SETTINGS)
        try:
            self.config = json.loads(settings.read_text(encoding="utf-8"))
            self.version = int(str(self.config.get("version", "0")).split(".")[0])
            reviews = self.config.get("reviews") or []
            self.reviews = [str(review["id"]) for review in reviews]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{path} is damaged: its project.json cannot be read. Export the project again."
            ) from error

    def file(self, name: str, limit: int | None = None) -> Path:
        """Unpack a member and return where it lies, under a name that is ours but for its ending."""
        ending = PurePosixPath(name).suffix
        to = self._folder / f"{len(list(self._folder.iterdir()))}{ending if _ENDING.fullmatch(ending) else ''}"
        archives.extract(self.path, self._archive, name, to, limit or _LARGEST)
        return to

    def data(self) -> Path | None:
        """Return the imported data set's file, None when the project has none."""
        names = [str(self.config.get("dataset_path") or "")]
        names += [str(d.get("name", "")) for d in self.config.get("datasets") or [] if isinstance(d, dict)]
        name = next((f"data/{n}" for n in names if n and f"data/{n}" in self.names), None)
        return None if name is None else self.file(name)

    @contextmanager
    def database(self, *names: str) -> Iterator[sqlite3.Connection]:
        """Open the first of some databases that there is, for as long as it is read, within limits.

        Raises
        ------
        InputError
            When there is none, or it is damaged or made to do harm; also for what goes wrong while it is read.
        """
        name = next((name for name in names if name in self.names), None)
        if name is None:
            raise InputError(
                f"{self.path} lacks {names[0]}, where ASReview keeps its records; export the project again."
            )
        file = self.file(name)
        left = (_STEPS + _STEPS_OF_A_BYTE * file.stat().st_size) // _STEPS_AT_ONCE

        def is_over() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        try:
            with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as connection:
                connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
                connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
                connection.set_progress_handler(is_over, _STEPS_AT_ONCE)
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.row_factory = sqlite3.Row
                if connection.execute(_NO_TABLES).fetchone() is not None:
                    raise InputError(
                        f"{self.path} was not read: its database holds views, which can run for ever and which ASReview "
                        "does not write. Export the project again."
                    )
                yield connection
        except InputError:
            raise
        except (sqlite3.Error, IndexError, ValueError, TypeError, OverflowError) as error:
            if left < 0:
                raise InputError(
                    f"{self.path} was not read: its database takes far more work than one of its size should, so it is "
                    "damaged or made to do harm. Export the project again."
                ) from error
            raise InputError(
                f"{self.path} is damaged: its database cannot be read ({error}). Export the project again."
            ) from error


def _results(project: _Project, tally: Tally) -> dict[int, tuple[str, dict[str, tuple[str, ...]]]]:
    """Return each judged record's label, with its note, tags and time as extra fields."""
    places = [f"reviews/{review}/results.{ending}" for review in project.reviews for ending in ("db", "sql")]
    places = [place for place in (*places, "results.db") if place in project.names]
    if len(places) > 1:
        tally.warn(0, f"{plural(len(places), 'review')} in one project; where two judge a record, the later one counts")
    found: dict[int, tuple[str, dict[str, tuple[str, ...]]]] = {}
    for place in places:
        with project.database(place) as connection:
            for row in connection.execute("SELECT * FROM results WHERE label IS NOT NULL"):
                keys = row.keys()
                kept = {name.rstrip("s") if name == "notes" else name: row[name] for name in _DECISION if name in keys}
                extra: dict[str, tuple[str, ...]] = {
                    f"asreview_{name}": (str(value),)
                    for name, value in kept.items()
                    if value not in (None, "", "[]", "null")
                }
                if row["label"] in (0, 1):
                    found[int(row["record_id"])] = (str(row["label"]), extra)
    return found


def _from_data(project: _Project, tally: Tally) -> list[tuple[int, Record | Problem]]:
    """Read the imported data set with our own readers: it has fields that ASReview does not keep."""
    from . import read

    data = project.data()
    if data is None:
        return []
    try:
        reading = read(data)
    except InputError:
        return []
    for warning in reading.warnings:
        tally.warn(warning.line, f"in its data set: {warning.message}")
    items: list[tuple[int, Record | Problem]] = [
        *zip(reading.lines, reading.records),
        *((problem.line, problem) for problem in reading.problems),
    ]
    return sorted(items, key=lambda item: item[0])


def _with_records(project: _Project, tally: Tally) -> Iterator[Item]:
    """Read a project of version 2 or 3, whose database has every record that ASReview took."""
    labels = _results(project, tally)
    data = _from_data(project, tally)
    with project.database("data_store.db", "results.db") as connection:
        tally.announced = connection.execute("SELECT count(*) FROM record").fetchone()[0]
        for n, row in enumerate(connection.execute(f"SELECT {', '.join(_FIELDS)} FROM record ORDER BY record_id"), 1):
            kept = _kept(row)
            at = row["dataset_row"]
            # By its place in the data set, and only where the title is the same: ASReview's reading
            # may have lost a record of it, and then the places no longer agree.
            whole = data[at][1] if isinstance(at, int) and 0 <= at < len(data) else None
            if isinstance(whole, Record) and normal_title(whole.title) == normal_title(kept.title):
                kept = whole
            label, extra = labels.get(row["record_id"], ("", {}))
            tally.fraction = n / max(tally.announced, 1)
            if not (kept.title or kept.abstract):
                yield Item(n, Problem(n, "this record has neither title nor abstract; there is nothing to screen"))
            else:
                yield Item(n, replace(kept, extra={**kept.extra, **extra}), label)


def _kept(row: sqlite3.Row) -> Record:
    """Return a record as ASReview itself keeps it."""

    def several(name: str) -> tuple[str, ...]:
        try:
            found = json.loads(row[name] or "[]")
        except (ValueError, TypeError, RecursionError):
            return ()
        return tuple(filter(None, map(one_line, map(str, found)))) if isinstance(found, list) else ()

    abstract, others = split_abstract([str(row["abstract"] or "")])
    extra = {"abstract": others} if others else {}
    if row["url"]:
        extra["url"] = (str(row["url"]),)
    record = Record(
        title=one_line(str(row["title"] or "")),
        abstract=abstract,
        authors=several("authors"),
        keywords=several("keywords"),
        year=first_year([str(row["year"])]),
        doi=normal_doi(str(row["doi"] or "")),
        extra=extra,
    )
    return completed(record)


def _of_version_1(project: _Project, tally: Tally) -> Iterator[Item]:
    """Read a project of version 1: its data set, its labels by the numbers it gave the rows."""
    labels = _results(project, tally)
    data = _from_data(project, tally)
    if not data:
        raise InputError(f"{project.path} holds no data set that triage reads; import the data set by itself.")
    tally.announced = len(data)
    numbers = _numbers(project)
    if len(numbers) != len(data):
        # Its reading of the data set and ours differ; a data set's own numbers are what is left to go by.
        numbers = [_own_number(found) for _, found in data]
        if labels and not set(labels) <= set(numbers):
            raise InputError(
                f"{project.path}: its data set has {plural(len(data), 'record')} but ASReview counted others, so "
                f"labels cannot be matched to it; export the labelled data set from ASReview as CSV and import that."
            )
    for (line, found), number in zip(data, numbers):
        label, extra = labels.get(number, ("", {}))
        if isinstance(found, Record) and extra:
            found = replace(found, extra={**found.extra, **extra})
        yield Item(line, found, label if isinstance(found, Record) else "")


def _numbers(project: _Project) -> list[int]:
    """Return the numbers of a data set's rows, in their order, as version 1 keeps them with each review."""
    for review in project.reviews:
        if (place := f"reviews/{review}/results.sql") in project.names:
            with project.database(place) as connection:
                return [int(row[0]) for row in connection.execute("SELECT record_id FROM record_table ORDER BY rowid")]
    return []


def _own_number(found: Record | Problem) -> int:
    text = found.extra.get("record_id", ("",))[0].strip() if isinstance(found, Record) else ""
    return int(text) if text.isdigit() and len(text) < 10 else -1
