"""ASReview's projects."""

import csv
import re
import sqlite3
import zipfile

import pytest
from formats_helpers import FILES

from triage import formats
from triage.errors import InputError


@pytest.mark.parametrize("version, n", [(1, 9), (2, 7), (3, 7)])
def test_asreview_projects(version, n):
    reading = formats.read(FILES / f"version{version}.asreview")
    with (FILES / "asreview_data.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert (reading.format, reading.announced, len(reading.records)) == ("asreview", 12, 12)
    assert [r.title for r in reading.records] == [row["title"] for row in rows]
    # The labels that were given, each the known one; fields that ASReview keeps nowhere are there, too.
    assert sum(label != "" for label in reading.labels) == n
    assert all(label in ("", row["label"]) for label, row in zip(reading.labels, rows))
    assert [r.extra["volume"] for r in reading.records] == [(row["volume"],) for row in rows]


def change(source, target, member, sql):
    """Write a project with a member's database changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if re.search(member, info.filename):
                (target.parent / "db").write_bytes(content)
                connection = sqlite3.connect(target.parent / "db")
                connection.executescript(sql)
                connection.close()
                content = (target.parent / "db").read_bytes()
            new.writestr(info, content)
    return target


def test_an_asreview_project_keeps_notes_and_goes_by_its_own_records(tmp_path):
    path = change(
        FILES / "version3.asreview",
        tmp_path / "x.asreview",
        r"results\.db",
        """
        UPDATE results SET note = 'ask Ann' WHERE record_id = 0;
        UPDATE record SET dataset_row = dataset_row + 100 WHERE record_id = 1;
        UPDATE record SET title = 'Another title' WHERE record_id = 2;
        DELETE FROM record WHERE record_id = 11;""",
    )
    reading = formats.read(path)
    assert reading.announced == 11 and reading.records[0].extra["asreview_note"] == ("ask Ann",)
    # Where the data set's row is another record, ASReview's own fields stand.
    assert reading.records[1].doi and "volume" not in reading.records[1].extra
    assert reading.records[2].title == "Another title" and "volume" not in reading.records[2].extra


def test_an_asreview_project_without_its_data_set(tmp_path):
    for version in (1, 2):
        with (
            zipfile.ZipFile(FILES / f"version{version}.asreview") as old,
            zipfile.ZipFile(tmp_path / f"{version}.asreview", "w") as new,
        ):
            for info in old.infolist():
                if not info.filename.startswith("data/"):
                    new.writestr(info, old.read(info))
    with pytest.raises(InputError, match="holds no data set"):
        formats.read(tmp_path / "1.asreview")
    reading = formats.read(tmp_path / "2.asreview")
    assert len(reading.records) == 12 and sum(map(bool, reading.labels)) == 7 and reading.records[0].authors


@pytest.mark.parametrize(
    "config, message",
    [
        ("{", "project.json cannot be read"),
        ('{"version": "0.19", "reviews": []}', "older than version 1"),
        ('{"version": "3.0", "reviews": []}', "lacks data_store.db"),
        ('{"reviews": 7}', "cannot be read"),
    ],
)
def test_a_damaged_asreview_project_is_refused(tmp_path, config, message):
    with zipfile.ZipFile(tmp_path / "x.asreview", "w") as archive:
        archive.writestr("project.json", config)
    with pytest.raises(InputError, match=message):
        formats.read(tmp_path / "x.asreview")
    with zipfile.ZipFile(tmp_path / "y.asreview", "w") as archive:
        archive.writestr("project.json", '{"version": "3.0", "reviews": []}')
        archive.writestr("results.db", b"no database at all" * 100)
    with pytest.raises(InputError, match="damaged: its database"):
        formats.read(tmp_path / "y.asreview")
