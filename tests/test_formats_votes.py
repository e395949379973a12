"""Other programs' decisions: Rayyan, Covidence, ASReview's tables."""

import csv

import pytest
from formats_helpers import read

from triage import formats


def test_rayyan_csv(tmp_path):
    notes = [
        'RAYYAN-INCLUSION: {"Ann"=>"Included"} | RAYYAN-LABELS: x',
        'RAYYAN-INCLUSION: {"Ann"=>"Excluded", "Bob"=>"Excluded"}',
        'RAYYAN-INCLUSION: {"Ann"=>"Maybe"}',
        'RAYYAN-INCLUSION: {"Ann"=>"Included", "Bob"=>"Excluded"}',
        "a note",
        "",
    ]
    path = tmp_path / "articles.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow("key title year journal authors abstract notes pubmed_id".split())
        writer.writerows(
            [f"rayyan-{i}", f"T{i}", 2001, "J", "Doe, Jane and Roe, R", "A", note, 7] for i, note in enumerate(notes)
        )
    reading = formats.read(path)
    assert reading.labels == ["include", "exclude", "maybe", "", "", ""]
    assert reading.records[0].authors == ("Doe, Jane", "Roe, R") and reading.records[0].pmid == "7"
    assert [w.line for w in reading.warnings] == [5] and "Ann: include, Bob: exclude" in reading.warnings[0].message
    assert reading.records[3].extra["notes"] == (notes[3],)


def test_rayyan_and_asreview_ris(tmp_path):
    text = "TY  - JOUR\nTI  - {}\nN1  - {}\nER  - \n"
    reading = read(
        tmp_path,
        text.format("A", 'RAYYAN-INCLUSION: {"Ann"=>"Included"}')
        + text.format("B", "ASReview_irrelevant")
        + text.format("C", "ASReview_not_seen")
        + text.format("D", "ASReview_relevant. More."),
        "x.ris",
    )
    assert reading.labels == ["include", "0", "", "1"]
    assert read(tmp_path, text.format("A", "nothing"), "x.ris").labels is None


COVIDENCE = "Title,Authors,Abstract,Published Year,Published Month,Journal,Volume,Issue,Pages,Accession Number,DOI,Ref,Covidence #,Study,Notes,Tags\n"


@pytest.mark.parametrize(
    "name, notes, tags, label",
    [
        ("review_1234_irrelevant_csv_20240320131744.csv", "", "", "exclude"),
        ("review_1234_select_csv_20240320131744.csv", "", "", "include"),
        ("review_1234_included_csv_20240320131744.csv", "", "Grey Literature", "include"),
        ("x.csv", "Exclusion reason: Wrong study design; ", "", "exclude"),
        ("review_1234_excluded_csv_20240320131744.csv", "", "", "exclude"),
        ("review_1234_screen_csv_20240320131744.csv", "", "", ""),
        ("x.csv", "", "Included", "include"),
        ("x.csv", "", "SRH; Irrelevant", "exclude"),
        ("x.csv", "", "", ""),
    ],
)
def test_covidence_csv(tmp_path, name, notes, tags, label):
    row = f'One,"Doe, J.; Roe, R.",Text,2001,Jan,J,1,2,3-4,99,10.1000/a,5,#1581,Doe 2001,{notes},{tags}\n'
    reading = read(tmp_path, COVIDENCE + row, name)
    assert reading.labels == ([label] if label else None)
    assert reading.records[0].extra["Covidence #"] == ("#1581",) and reading.records[0].year == 2001


@pytest.mark.parametrize("column", ["Decision", "Status", "Consensus decision"])
def test_covidence_columns_of_decisions(tmp_path, column):
    text = f"Title,Covidence #,{column}\nA,#1,Included\nB,#2,Excluded\nC,#3,Yes\nD,#4,Maybe\nE,#5,\nF,#6,awaiting\n"
    assert read(tmp_path, text, "x.csv").labels == ["include", "exclude", "include", "maybe", "", ""]
    # In a table of no screening program such a column is a field.
    assert read(tmp_path, text.replace("Covidence #", "n"), "x.csv").labels is None


def test_asreview_csv(tmp_path):
    reading = read(tmp_path, "title,asreview_label,included\nA,1,0\nB,0,1\nC,,1\nD,-1,1\n", "x.csv")
    assert reading.labels == ["1", "0", "", ""]
    # A column asked for goes before.
    assert formats.read(tmp_path / "x.csv", label_column="included").labels == ["0", "1", "1", "1"]
