"""Full texts in the pages: attached, framed, sent by name, and read by people of the review alone."""

import pytest
from web_helpers import PDF, TEAM, alone, client, csrf, joined, opened, sent_pdf, team_app

from triage.log import Kind
from triage.project import Role


def test_a_pdf_is_attached_shown_replaced_and_taken_off(review):
    with review() as project, alone(project) as ann:
        record = opened(ann)[0]
        assert record["files"] == []
        told = sent_pdf(ann, name="../../Müller <b>.pdf", record_id=record["record_id"])
        assert told.status_code == 200, told.text
        (file,) = told.json()["files"]
        assert (file["name"], file["bytes"], file["reviewer"]) == ("Müller _b_.pdf", len(PDF), "ann")
        assert sent_pdf(ann, record_id=record["record_id"]).json()["files"] == [file]  # sent again, it is attached once
        assert opened(ann)[0]["files"] == [file] == ann.get(f"/api/records/{record['record_id']}").json()["files"]
        shown = ann.get(f"/api/attachments/{file['event']}")
        assert shown.content == PDF and shown.headers["content-type"] == "application/pdf"
        assert shown.headers["content-disposition"] == "inline; filename*=UTF-8''M%C3%BCller%20_b_.pdf"
        assert (
            ann.get(f"/api/attachments/{file['event']}?save=true")
            .headers["content-disposition"]
            .startswith("attachment")
        )
        other = sent_pdf(ann, PDF + b"better", "b.pdf", record_id=record["record_id"], replaces=[file["event"]]).json()[
            "files"
        ]
        assert [one["name"] for one in other] == ["b.pdf"]
        for _ in range(2):
            gone = ann.delete(f"/api/attachments/{other[0]['event']}", headers=csrf(ann))
            assert gone.status_code == 200 and gone.json()["files"] == []
        # What was taken off is told by the log, and can be read by it.
        assert ann.get(f"/api/attachments/{file['event']}").content == PDF
        assert [e.kind for e in project.log.events() if e.kind in (Kind.ATTACHED, Kind.UNDO)] == [
            Kind.ATTACHED,
            Kind.UNDO,
            Kind.ATTACHED,
            Kind.UNDO,
        ]


def test_a_pdf_may_be_framed_by_our_own_pages_alone_and_no_other_answer_may(review):
    with review() as project, alone(project) as ann:
        event = sent_pdf(ann, record_id=1).json()["files"][0]["event"]
        told = ann.get(f"/api/attachments/{event}").headers
        policy = told["content-security-policy"]
        assert (
            "default-src 'none'" in policy
            and "frame-ancestors 'self'" in policy
            and "unsafe" not in policy
            and "script" not in policy
        )
        assert told["x-frame-options"] == "SAMEORIGIN" and told["x-content-type-options"] == "nosniff"
        assert told["cross-origin-resource-policy"] == "same-origin" and told["cache-control"] == "no-store"
        for path in ("/", "/records/1", "/api/attachments?record_id=1", "/overview"):
            told = ann.get(path).headers
            assert told["x-frame-options"] == "DENY" and "frame-ancestors 'none'" in told["content-security-policy"]


@pytest.mark.parametrize(
    "content, said", [(b"", "empty"), (b"<html>", "web page"), (b"MZ\x90", "not a PDF"), (b"\0%PDF-", "not a PDF")]
)
def test_what_is_no_pdf_is_not_attached(review, content, said):
    with review(6) as project, alone(project) as ann:
        told = sent_pdf(ann, content, record_id=1)
        assert told.status_code == 422 and said in told.json()["detail"]
        assert sent_pdf(ann, record_id=99).status_code == 422 and ann.get("/api/attachments/1").status_code == 404
        assert not [e for e in project.log.events() if e.kind is Kind.ATTACHED]


def test_a_pdf_goes_to_the_record_of_its_name_and_those_without_are_listed(review):
    with review(6) as project, alone(project) as ann:
        told = sent_pdf(ann, name="4.pdf").json()
        assert told["record_id"] == 4 and [one["name"] for one in told["files"]] == ["4.pdf"]
        told = sent_pdf(ann, name="unknown.pdf").json()
        assert told["record_id"] is None and "no record has" in told["message"]
        missing = ann.get("/api/missing").json()
        assert (missing["stage"], missing["records"], missing["missing"]) == ("abstract", 6, 5)
        assert [one["record_id"] for one in missing["list"]] == [1, 2, 3, 5, 6]
        page = ann.get("/overview").text
        assert "1 of 6 records at this stage has a PDF" in page


def test_only_people_of_the_review_read_its_full_texts_and_none_sends_more_than_may_be(review, monkeypatch):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM) as stranger:
            joined(app, "olga", Role.OWNER)
            rita = joined(app, "rita", Role.REVIEWER)
            event = sent_pdf(rita, PDF + b" " * 3_000_000, record_id=1).json()["files"][0]["event"]
            assert stranger.get(f"/api/attachments/{event}").status_code == 401
            assert stranger.get("/api/attachments", params={"record_id": 1}).status_code == 401
            assert stranger.delete(f"/api/attachments/{event}").status_code == 401
            told = stranger.post("/api/attachments", files={"file": ("a.pdf", PDF + b" " * 3_000_000)})
            assert told.status_code == 413  # not even taken in
            assert rita.delete(f"/api/attachments/{event}").status_code == 403  # without what its page was given
            monkeypatch.setattr("triage.fulltext.MOST_BYTES", 1_000)
            told = sent_pdf(rita, PDF + b" " * 3_000, record_id=1)
            assert told.status_code == 422 and "at most 1,000" in told.json()["detail"]
            assert len(project.live().attachments(1)) == 1
