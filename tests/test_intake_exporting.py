"""Files out: what comes back changes nothing, page by page in every format."""

import csv
from dataclasses import replace

import pytest
from intake_helpers import TAGGED, WITH_TAGS, decisions_file, tags_of

from triage import formats, intake
from triage.errors import InputError


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".xlsx"])
def test_what_was_exported_and_comes_back_changes_nothing(review, tmp_path, ending):
    project = review(8, TAGGED)
    intake.label(
        project,
        decisions_file(
            tmp_path / "d.csv",
            [
                [1, "include", "", "=SUM(A1) of it", "review; case report"],
                [2, "exclude", "CHILD", "", "=1+1; x"],
                [3, "maybe", "", "", ""],
            ],
            ("record_id", "label", "reason", "note", "tags"),
        ),
        reviewer="ann",
    )
    seen = project.log.events()
    intake.export(project.snapshot(), tmp_path / f"e{ending}", only=["included", "excluded", "maybe"])
    counts = intake.label(project, tmp_path / f"e{ending}", reviewer="ann")
    assert counts.unchanged == 3 and project.log.events() == seen
    assert tags_of(project) == {1: ["Review", "case report"], 2: ["=1+1", "x"]}


def test_every_format_is_written_with_the_tags_and_read_without_them(review, tmp_path):
    project = review(8, TAGGED)
    intake.label(project, decisions_file(tmp_path / "d.csv", [[1, "1", "review; pilot"]], WITH_TAGS), reviewer="ann")
    whole = next(project.records.read([1]))
    for ending, said in (
        (".ris", '"tags": "Review; pilot"'),
        (".csv", "Review; pilot"),
        (".bib", "Review; pilot"),
        (".xlsx", ""),
    ):
        path = tmp_path / f"e{ending}"
        intake.export(project.snapshot(), path, only=["included"])
        assert said.encode() in path.read_bytes()
        (record,) = formats.read(path).records
        assert replace(record, id=whole.id, source=whole.source) == whole


def test_without_tags_no_export_has_a_column_for_them(review, tmp_path):
    intake.export(review(8).snapshot(), tmp_path / "e.csv")
    assert "tags" not in (tmp_path / "e.csv").read_text("utf-8").splitlines()[0].split(",")


@pytest.mark.parametrize("ending", sorted(formats.WRITERS))
def test_an_export_is_written_page_by_page_in_the_order_asked_for(review, tmp_path, monkeypatch, ending):
    project = review(11)
    project.log.link([(9, 4, "same title")], reviewer="ann")
    asked, read = [], project.records.read

    def counted(ids=None):
        ids = set(ids)
        asked.append(len(ids))
        return read(ids)

    monkeypatch.setattr(project.records, "read", counted)
    batch = [11, 2, 7, 4, 1, 3, 10]
    intake.export(project.snapshot(), tmp_path / f"whole{ending}", record_ids=batch)
    assert asked[0] == 8  # with the copy of record 4
    asked.clear()
    monkeypatch.setattr("triage.project.records.PAGE", 3)
    assert intake.export(project.snapshot(), tmp_path / f"pages{ending}", record_ids=batch) == 7
    assert max(asked) <= 4
    whole, pages = (formats.read(tmp_path / f"{name}{ending}").records for name in ("whole", "pages"))
    assert pages == whole and [r.title for r in pages] == [r.title for r in map(project.records.one, batch)]
    with pytest.raises(InputError, match="taken out of the stage"):
        intake.export(project.snapshot(), tmp_path / f"none{ending}", record_ids=[1, 9])
    assert not (tmp_path / f"none{ending}").exists()


def test_each_standing_is_exported_alone(review, tmp_path):
    project = review(8)
    intake.label(
        project,
        decisions_file(
            tmp_path / "d.csv", [[1, "include"], [2, "exclude"], [3, "maybe"], [4, "include"]], ("record_id", "label")
        ),
        reviewer="ann",
    )
    intake.label(project, decisions_file(tmp_path / "e.csv", [[4, "exclude"]], ("record_id", "label")), reviewer="bob")
    for only, expected in (
        (["included"], [1]),
        (["excluded"], [2]),
        (["maybe"], [3, 4]),
        (["unscreened"], [5, 6, 7, 8]),
        (["maybe", "unscreened"], [3, 4, 5, 6, 7, 8]),
        ([], list(range(1, 9))),
    ):
        path = tmp_path / f"only-{'-'.join(only)}.csv"
        assert intake.export(project.snapshot(), path, only=only) == len(expected)
        with path.open(newline="", encoding="utf-8-sig") as file:
            assert [int(row["record_id"]) for row in csv.DictReader(file)] == expected
