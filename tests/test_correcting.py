"""Fields corrected by hand: what was imported stays, and everything reads and ranks what the record says now."""

import json
import re

import numpy as np
import pytest
from browser_helpers import a_browser, a_window, faults, served
from cli_helpers import a_review, a_triage
from test_status import add, new
from web_helpers import alone, csrf, opened, sent_pdf

from triage import intake, report
from triage.errors import InputError
from triage.intake import correct, corrections
from triage.log import Kind
from triage.project import Project
from triage.ranking import answers
from triage.ranking.review import fingerprint_of
from triage.records import Record, content_hash
from triage.status import status

browser, window, review_of, triage = a_browser, a_window, a_review, a_triage
WRONG = Record(
    title="Pear support",
    abstract="An abstract",
    authors=("Ann, A.",),
    year=1910,
    doi="10.1000/wrong",
    keywords=("a", "b"),
)
COPY = Record(title="Pear support", doi="10.1000/wrong", journal="The Journal")


@pytest.fixture
def project(tmp_path):
    with new(tmp_path, 3) as made:
        add(made, [WRONG, COPY], "scopus")  # records 4 and 5
        yield made


def test_everything_reads_what_a_record_says_now_and_what_was_imported_is_kept(project):
    (event,) = correct(
        project,
        4,
        {
            "title": " Peer\nsupport ",
            "abstract": "One.\n\nTwo. ",
            "authors": ["Ann, A.", " ", "Bob, B."],
            "year": "2010",
        },
        reviewer="ann",
    )
    assert json.loads(event.note) == {
        "title": "Peer support",
        "abstract": "One.\n\nTwo.",
        "authors": ["Ann, A.", "Bob, B."],
        "year": 2010,
    }
    now = project.records.one(4)
    assert (now.title, now.abstract, now.authors, now.year) == (
        "Peer support",
        "One.\n\nTwo.",
        ("Ann, A.", "Bob, B."),
        2010,
    )
    assert (now.doi, now.keywords) == (WRONG.doi, WRONG.keywords)
    assert [r.title for r in project.records.read()][3] == "Peer support"
    assert {i: title for i, _, _, title in project.records.identifiers()}[4] == "Peer support"
    stage = project.snapshot().stage()
    assert list(project.records.iter_texts(stage))[3] == ("Peer support", "One.\n\nTwo.")
    assert project.records.shown(stage)[3] == now
    ids = np.array([2, 4])
    assert [h.tobytes() for h in project.records.text_hashes(ids)] == [
        content_hash(project.records.one(i).text) for i in (2, 4)
    ]
    assert next(project.records.read([4], as_imported=True)).title == "Pear support"
    project.log.undo(event.seq, reviewer="ann")
    assert project.live().corrections == {} and project.records.one(4).title == "Pear support"
    assert [h.tobytes() for h in project.records.text_hashes(np.array([4]))] == [content_hash(WRONG.text)]


def test_the_newest_correction_of_each_field_counts_and_each_says_what_was_there_before(project):
    correct(project, 4, {"year": "2001", "journal": "A"}, reviewer="ann")
    (second,) = correct(project, 4, {"year": "2002"}, reviewer="bob")
    now = project.records.one(4)
    assert (now.year, now.journal) == (2002, "A")
    told = [(one.reviewer, one.was) for one in corrections(project.records, project.live(), 4)]
    assert told == [("ann", {"year": "1910", "journal": ""}), ("bob", {"year": "2001"})]
    project.log.undo(second.seq, reviewer="ann")
    project.snapshot()
    assert project.records.one(4).year == 2001
    # What is there already is not written again.
    assert correct(project, 4, {"year": "2001", "title": "Pear support"}, reviewer="ann") == []


def test_a_copy_is_corrected_as_the_record_that_is_shown_and_does_not_fill_what_is_emptied(project):
    project.log.link([(5, 4, "same DOI")], reviewer="ann")
    (event,) = correct(project, 5, {"doi": "https://doi.org/10.1000/RIGHT"}, reviewer="ann")
    assert event.record_id == 4 and project.records.one(4).doi == "10.1000/right"
    written = correct(project, 4, {"doi": "", "journal": ""}, reviewer="ann")
    assert {e.record_id: json.loads(e.note) for e in written} == {4: {"doi": ""}, 5: {"doi": "", "journal": ""}}
    (shown,) = (r for r in project.records.shown(project.snapshot().stage()) if r.id == 4)
    assert (shown.doi, shown.journal) == ("", "")
    assert len({e.at for e in written}) == 1  # one transaction
    assert correct(project, 4, {"doi": ""}, reviewer="ann") == []


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"year": "19x", "title": "New"}, "The year '19x' should be four digits, such as 2010; leave it empty"),
        ({"year": "99999999999999999999"}, "should be four digits"),
        ({"year": "\u0661\u0669\u0669\u0669"}, "should be four digits"),
        ({"doi": "see the journal"}, "'see the journal' is no DOI; one begins with 10."),
        ({"pmid": "PMC12"}, "'PMC12' is no PubMed number"),
        ({"title": " ", "abstract": ""}, "Record 4 would have neither a title nor an abstract"),
    ],
)
def test_what_a_field_cannot_hold_is_refused_in_one_sentence_and_nothing_is_written(project, wanted, said):
    before = project.live().last_seq
    with pytest.raises(InputError, match=said.replace(".", r"\.")):
        correct(project, 4, wanted, reviewer="ann")
    with pytest.raises(InputError, match="There is no record 77"):
        correct(project, 77, {"year": "2000"}, reviewer="ann")
    assert project.live().last_seq == before


def test_a_corrected_record_is_ranked_anew(review):
    with review(30) as project:
        first = answers.rank(project, top=30)
        assert answers.rank(project, top=30).as_of == first.as_of
        last, stage = first.records[-1].record_id, project.snapshot().stage()
        before = fingerprint_of(project.records, stage)
        best = project.records.one(first.records[0].record_id)
        correct(project, last, {"title": best.title, "abstract": best.abstract}, reviewer="ann")
        assert fingerprint_of(project.records, stage) != before
        again = {record.record_id: record for record in answers.rank(project, top=30).records}
        assert again[last].score == pytest.approx(again[best.id].score) and again[last].rank <= 2
        (event,) = project.live().corrections[last]
        project.log.undo(event.seq, reviewer="ann")
        assert [r.record_id for r in answers.rank(project, top=30).records] == [r.record_id for r in first.records]


def test_it_decides_nothing_and_the_report_and_exports_tell_of_it(review, tmp_path):
    with review(12) as project:
        before = status(project.snapshot())
        title = project.records.one(3).title
        correct(project, 3, {"title": "Ribs of steel"}, reviewer="ann")
        after = status(project.snapshot())
        assert (after.screened, after.certificate) == (before.screened, before.certificate)
        page = report.render(project.snapshot(), after)
        assert "1 record corrected by hand" in page
        for name in ("all.csv", "all.ris", "all.bib"):
            intake.export(project.snapshot(), tmp_path / name)
            text = (tmp_path / name).read_text(encoding="utf-8-sig")
            assert "Ribs of steel" in text and title not in text


def test_the_command_corrects_shows_and_refuses(review_of):
    made = review_of(12)
    said = made(
        "correct", "r.triage", "3", "--year", "2010", "--author", "Ann, A.", "--author", "Bob, B.", "--reviewer", "ann"
    )
    assert said == "Corrected in record 3: authors, year.\n"
    assert made("correct", "r.triage", "3", "--year", "2010") == "Record 3 says so already.\n"
    told = made.json("correct", "r.triage", "3")
    assert (
        told["events"] == [] and told["fields"]["year"] == 2010 and told["fields"]["authors"] == ["Ann, A.", "Bob, B."]
    )
    assert [(one["reviewer"], set(one["was"])) for one in told["corrections"]] == [("ann", {"year", "authors"})]
    shown = made("correct", "r.triage", "3")
    assert "year      2010" in shown and "ann corrected year on" in shown
    assert "'none' is no DOI" in made.refused("correct", "r.triage", "3", "--doi", "none")
    seq = told["corrections"][0]["event"]
    made("undo", "r.triage", "--event", str(seq))
    assert made.json("correct", "r.triage", "3")["corrections"] == []


def test_what_a_reviewer_reads_is_corrected_at_once_and_ranked_from_the_next_page_on(review):
    with review(30) as project, alone(project) as ann:
        first = opened(ann)[0]["record_id"]
        told = ann.post(f"/api/records/{first}/corrections", headers=csrf(ann), json={"title": "Ribs <b>of</b> steel"})
        assert told.status_code == 200 and len(told.json()["events"]) == 1
        assert opened(ann)[0]["title"] == [["Ribs of steel", ""]]
        before = project.rankings.newest("abstract").id
        ann.get("/")
        assert opened(ann)[0]["title"] == [["Ribs of steel", ""]]
        assert project.rankings.newest("abstract").id > before
        asked = ann.get(f"/api/records/{first}").json()
        (one,) = asked["corrections"]
        assert asked["fields"]["title"] == "Ribs <b>of</b> steel" and one["reviewer"] == "ann"
        elsewhere = ann.post(
            f"/api/records/{first + 1}/corrections/take-back", headers=csrf(ann), json={"event": one["event"]}
        )
        assert elsewhere.status_code == 422 and "corrects nothing of record" in elsewhere.json()["detail"]
        back = ann.post(f"/api/records/{first}/corrections/take-back", headers=csrf(ann), json={"event": one["event"]})
        assert back.status_code == 200 and project.live().corrections == {}
        for body in ({"source": "x"}, {"year": "1" * 30}, {"authors": "Ann"}):
            assert ann.post(f"/api/records/{first}/corrections", headers=csrf(ann), json=body).status_code == 422
        bad = ann.post(f"/api/records/{first}/corrections", headers=csrf(ann), json={"pmid": "none"})
        assert bad.status_code == 422 and "is no PubMed number" in bad.json()["detail"]


def test_a_pdf_is_matched_by_what_a_record_says_now(review):
    with review(12) as project, alone(project) as ann:
        first = sent_pdf(ann, name="10.1000_new.pdf")
        assert first.status_code == 200 and first.json()["record_id"] is None, first.text
        correct(project, 3, {"doi": "10.1000/new"}, reviewer="ann")
        assert sent_pdf(ann, name="10.1000_new.pdf").json()["record_id"] == 3


def test_two_programs_see_each_others_corrections(tmp_path, project):
    with Project.open(tmp_path / "r.triage") as other:
        assert other.records.one(4).year == 1910
        correct(project, 4, {"year": "2001"}, reviewer="ann")
        other.snapshot()
        assert other.records.one(4).year == 2001


@pytest.mark.parametrize("width", [360, 1280])
def test_a_record_is_corrected_on_its_page(review, window, width):
    with review(12) as project, served(project) as (base, _):
        page = window(base, viewport={"width": width, "height": 800})
        page.goto("/")
        page.get_by_role("link", name="correct this record").wait_for()
        href = page.get_by_role("link", name="correct this record").get_attribute("href")
        assert re.fullmatch(r"/records/\d+\?stage=abstract#correcting", href)
        page.goto(re.sub(r"\d+", "3", href, count=1))
        page.get_by_label("Title").wait_for()
        page.get_by_label("Title").fill('<img src=x onerror="alert(1)"> Ribs')
        page.get_by_label("Year").fill("20x")
        page.get_by_role("button", name="Correct", exact=True).click()
        page.get_by_text("Not kept: The year '20x' should be four digits").wait_for()
        page.get_by_label("Year").fill("2010")
        page.get_by_role("button", name="Correct", exact=True).click()
        page.get_by_role("button", name="Take back").wait_for()
        assert (
            page.locator("h1").inner_text() == '<img src=x onerror="alert(1)"> Ribs'
            and "ann corrected title, year on" in page.locator(".correction").inner_text()
        )
        assert faults(page) == []
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        (event,) = (e for e in project.log.events() if e.kind is Kind.CORRECTED)
        assert json.loads(event.note) == {"title": '<img src=x onerror="alert(1)"> Ribs', "year": 2010}
        page.get_by_role("button", name="Correct", exact=True).click()
        page.get_by_text("Nothing was changed.").wait_for()
        page.get_by_role("button", name="Take back").click()
        page.locator(".correction").wait_for(state="detached")
        assert project.live().corrections == {} and project.records.one(3).year != 2010
