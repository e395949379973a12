"""The pages and the interface to programs: who gets in, what each role may, and that a change is made once."""

import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import PROTOCOL, sample_ris
from fastapi.testclient import TestClient

from triage import intake, screening, web
from triage.errors import InputError
from triage.log import Kind, Label
from triage.project import Project, Role
from triage.ranking import answers
from triage.records import Record
from triage.second_look import second_looks
from triage.text import CriteriaWords
from triage.web.gate import POLICY, ServerOrigin, is_loopback
from triage.web.limits import Attempts, Limit, Refused
from triage.web.reading import as_read, marked
from triage.web.sessions import AHEAD

LOCAL = "http://127.0.0.1:8765"
TEAM = "https://review.example.org"
PASSWORD = "correct horse battery staple"
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"


def client(app, base=LOCAL, **options):
    return TestClient(app, base_url=base, raise_server_exceptions=False, follow_redirects=False, **options)


def alone(project, **options):
    return client(web.make_app(project, ServerOrigin.of("127.0.0.1", 8765, tls=False), reviewer="ann", **options))


def team_app(project):
    return web.make_app(project, ServerOrigin.of("127.0.0.1", 8765, tls=False, public=TEAM), reviewer="olga")


def joined(app, name, role):
    """Return the client of a person who used an invitation."""
    visitor = client(app, TEAM)
    token = app.state.project.people.invite(name, role, datetime.now(UTC) + timedelta(days=1))
    page = visitor.get(f"/join/{token}")
    done = visitor.post(f"/join/{token}", data={"csrf": hidden(page), "password": PASSWORD, "again": PASSWORD})
    assert done.status_code == 303, done.text
    return visitor


def hidden(page):
    """Return the token of a page's form."""
    return re.search(r'name="csrf" (?:value|content)="([0-9a-f]+)"', page.text)[1]


def csrf(visitor):
    return {"x-csrf-token": visitor.get("/api/session").json()["csrf"]}


def opened(visitor):
    """Wait until the visitor's session is open; return what is before the reviewer."""
    for _ in range(200):
        told = visitor.get("/api/queue")
        assert told.status_code == 200, told.text
        queue = told.json()
        if not queue["preparing"]:
            return queue["records"]
        time.sleep(0.05)
    raise AssertionError("the session did not open")


def decided(visitor, record_id, label, key, **facts):
    return visitor.post(
        "/api/decisions", headers=csrf(visitor), json={"key": key, "record_id": record_id, "label": label, **facts}
    )


def decisions(project):
    return [e for e in project.log.events() if e.kind is Kind.DECISION]


# -- screening ----------------------------------------------------------------------------------


def test_decisions_are_those_of_the_terminals_session_and_the_next_record_comes_with_each(review):
    with review() as project, alone(project) as ann:
        first, second = opened(ann)
        answer = decided(ann, first["record_id"], "exclude", "key-00000001", reason="CHILD", note="about schools")
        assert answer.status_code == 200
        assert answer.json()["records"][0]["record_id"] == second["record_id"]
        assert len(answer.json()["records"]) == AHEAD
        (event,) = decisions(project)
        assert (event.record_id, event.label, event.reason, event.note, event.reviewer) == (
            first["record_id"],
            Label.EXCLUDE,
            "CHILD",
            "about schools",
            "ann",
        )
        shown = [e for e in project.log.events() if e.kind is Kind.SHOWN]
        assert [e.record_id for e in shown[:2]] == [first["record_id"], second["record_id"]]
        assert event.origin is shown[0].origin


def test_a_change_that_is_sent_again_is_made_once_and_has_the_first_answer(review):
    with review() as project, alone(project) as ann:
        first, _second = opened(ann)
        answers = [decided(ann, first["record_id"], "include", "key-00000001").json()["done"] for _ in range(3)]
        assert answers[0] == answers[1] == answers[2] and len(decisions(project)) == 1
        head = csrf(ann)
        undone = [ann.post("/api/undo", headers=head, json={"key": "key-00000002"}).json()["done"] for _ in range(2)]
        assert undone[0] == undone[1] and undone[0]["record_id"] == first["record_id"]
        assert sum(e.kind is Kind.UNDO for e in project.log.events()) == 1


def test_a_change_that_is_sent_again_to_a_server_started_anew_is_made_once(review):
    with review() as project:
        with alone(project) as ann:
            first, second = opened(ann)
            decided(ann, first["record_id"], "include", "key-00000001")
            decided(ann, second["record_id"], "maybe", "key-00000002")
            ann.post("/api/undo", headers=csrf(ann), json={"key": "key-00000003", "record_id": second["record_id"]})
        with alone(project) as ann:
            opened(ann)
            before = len(project.log.events())
            decided(ann, first["record_id"], "include", "key-00000001")
            told = ann.post(
                "/api/undo", headers=csrf(ann), json={"key": "key-00000003", "record_id": second["record_id"]}
            )
            assert told.json()["done"]["record_id"] is None
            assert [e.kind for e in project.log.events()[before:] if e.kind is not Kind.SHOWN] == []


def test_undo_shows_the_record_again_with_its_note_and_skip_sets_it_aside(review):
    with review() as project, alone(project) as ann:
        first, second = opened(ann)
        decided(ann, first["record_id"], "exclude", "key-00000001", note="a note")
        back = ann.post("/api/undo", headers=csrf(ann), json={"key": "key-00000002"}).json()
        assert back["done"] == {"record_id": first["record_id"], "label": "exclude", "note": "a note", "reason": ""}
        assert back["records"][0]["record_id"] == first["record_id"]
        after = ann.post(
            "/api/skips", headers=csrf(ann), json={"key": "key-00000003", "record_id": first["record_id"]}
        ).json()
        assert after["records"][0]["record_id"] == second["record_id"]
        assert not list(project.live().decisions.values())


def test_what_is_wrong_is_said_and_nothing_is_written(review):
    with review() as project, alone(project) as ann:
        first, _ = opened(ann)
        for facts, said in (
            ({"label": "exclude", "reason": "NOSUCH"}, "NOSUCH"),
            ({"label": "include", "reason": "CHILD"}, "CHILD"),
            ({"label": "perhaps"}, "label"),
            ({"label": "include", "tags": ["new"]}, "new"),
        ):
            told = decided(ann, first["record_id"], key="key-00000001", **facts)
            assert told.status_code == 422 and said in told.json()["detail"]
        assert decided(ann, 10_000, "include", "key-00000001").status_code == 422
        assert not decisions(project)


def test_records_that_are_imported_meanwhile_come_into_the_open_session(review, tmp_path):
    with review(12) as project, alone(project) as ann:
        opened(ann)
        more = "TY  - JOUR\nTI  - peer support of adults, a new one\nAB  - peer support\nER  - \n"
        told = ann.post(
            "/api/import", headers=csrf(ann), files={"files": ("../../new<b>.ris", more)}, data={"source": "Embase"}
        )
        assert told.status_code == 200 and told.json()["records"] == 13
        (file,) = told.json()["files"]
        assert (file["file"], file["announced"], file["kept"], file["source"]) == ("new_b_.ris", 1, 1, "Embase")
        while len(records := opened(ann)) and 13 not in [r["record_id"] for r in records]:
            answer = decided(ann, records[0]["record_id"], "exclude", f"key-{records[0]['record_id']:08}")
            assert answer.status_code in (200, 409)
        assert records


def test_why_a_session_cannot_be_opened_is_told_and_it_is_opened_once_there_are_records(tmp_path):
    intake.new(tmp_path / "r.triage", None)
    with Project.open(tmp_path / "r.triage") as project, alone(project, preset="fast") as ann:
        told = [ann.get("/api/queue")]
        while told[-1].status_code == 200 and len(told) < 200:
            time.sleep(0.02)
            told.append(ann.get("/api/queue"))
        assert told[-1].status_code == 422 and "import some first" in told[-1].json()["detail"]
        ann.post("/api/import", headers=csrf(ann), files={"files": ("a.ris", sample_ris(6))})
        while (again := ann.get("/api/queue")).status_code == 422 or again.json()["preparing"]:
            time.sleep(0.02)
        assert len(again.json()["records"]) == AHEAD


def test_the_pages_say_that_nothing_ranks_until_the_protocol_is_filled_in(review, tmp_path):
    with review(12, "") as project, alone(project, preset="fast") as ann:
        assert [one["record_id"] for one in opened(ann)] == [1, 2]
        for address in ("/", "/overview"):
            assert "protocol.toml is still an empty template" in ann.get(address).text, address
        (tmp_path / "protocol.toml").write_text("question = 'unclosed\n", encoding="utf-8")
        told = ann.get("/overview").text
        assert "is not readable as TOML" in told and "order of import" not in told
        # Filled in and loaded again: the session is opened anew, with the new criteria.
        wanted = 'question = "Steel beams of bridges corrode in sea air and lose strength"\n'
        (tmp_path / "protocol.toml").write_text(wanted, encoding="utf-8")
        for address in ("/", "/overview"):
            page = ann.get(address).text
            assert "protocol.toml" not in page and "order of import" not in page, address
        assert next(one["record_id"] for one in opened(ann)) == 1  # was put before ann already, and stays there
        for record_id in (1, 2):
            decided(ann, record_id, "exclude", f"key-0000000{record_id}")
        assert opened(ann)[0]["record_id"] % 2 == 0  # of steel; by import 3 would come next


def test_the_pages_tell_a_blind_reviewer_nothing_of_what_others_decided(review):
    with review(12, "reviewers_per_record = 2\n") as project:
        app = team_app(project)
        visitor = joined(app, "bob", Role.REVIEWER)
        before = visitor.get("/overview").text
        assert "order of import" in before
        screening.commit_audit(project)
        for record_id, label in ((1, Label.INCLUDE), (2, Label.EXCLUDE)):
            project.log.decide("abstract", [{"record_id": record_id, "label": label}], reviewer="ann")
        assert "learns from the decisions alone" in answers.nothing_to_rank_by(project.snapshot())
        assert "order of import" in visitor.get("/overview").text


def test_wrong_invitations_from_one_address_keep_nobody_else_out(review):
    with review(6) as project:
        app = team_app(project)
        near, far = (
            TestClient(app, base_url=TEAM, client=(host, 1), follow_redirects=False)
            for host in ("10.0.0.1", "10.0.0.2")
        )
        token = project.people.invite("olga", Role.OWNER, datetime.now(UTC) + timedelta(days=1))
        pages = [one.get(f"/join/{token}") for one in (near, far)]
        codes = [
            near.post(
                "/join/wrong", data={"csrf": hidden(pages[0]), "password": PASSWORD, "again": PASSWORD}
            ).status_code
            for _ in range(6)
        ]
        assert codes == [404] * 5 + [429]
        assert (
            far.post(
                f"/join/{token}", data={"csrf": hidden(pages[1]), "password": PASSWORD, "again": PASSWORD}
            ).status_code
            == 303
        )


@pytest.mark.parametrize("name", ["a.xlsx", "2020-11 scopus.xlsx"])
def test_a_file_that_cannot_be_read_is_told_by_its_name_alone(review, name):
    with review(12) as project, alone(project) as ann:
        told = ann.post("/api/import", headers=csrf(ann), files={"files": (name, b"PK\3\4 broken")})
        assert told.status_code == 422 and told.json()["detail"].startswith(name)
        assert project.records.count() == 12


def test_what_speaks_for_a_record_tells_neither_score_nor_rank(review):
    with review() as project, alone(project) as ann:
        first, second = opened(ann)
        for n, (record, label) in enumerate(((first, "include"), (second, "exclude"))):
            decided(ann, record["record_id"], label, f"key-0000000{n}")
        why = ann.get(f"/api/why/{first['record_id']}").json()
        assert why["ranked"] and why["terms"] and why["criteria"]
        assert set(why) == {"record_id", "ranked", "terms", "criteria", "known"}
        assert all(set(one) == {"term", "for"} for one in why["terms"])


def test_a_records_way_is_not_told(review):
    with review() as project, alone(project) as ann:
        assert all(not {"origin", "rank", "score", "row"} & set(record) for record in opened(ann))


def test_history_search_and_status(review):
    with review() as project, alone(project) as ann:
        first, second = opened(ann)
        decided(ann, first["record_id"], "exclude", "key-00000001", reason="ONLINE", note="by telephone")
        decided(ann, second["record_id"], "include", "key-00000002")
        found = ann.get("/api/history", params={"label": "exclude", "reason": "ONLINE", "q": "telephone"}).json()
        assert [one["record_id"] for one in found["decisions"]] == [first["record_id"]]
        assert ann.get("/api/history").json()["total"] == 2
        assert ann.get("/api/search", params={"q": "number6"}).json()["records"][0]["record_id"] == 7
        assert len(ann.get("/api/search", params={"q": "study"}).json()["records"]) == 50
        facts = ann.get("/api/status").json()
        assert facts["screened"] == 2 and facts["pace"] == [
            {"reviewer": "ann", "decisions": 2, "seconds_per_record": None}
        ]
        changed = decided(ann, first["record_id"], "maybe", "key-00000003")
        assert changed.json()["done"]["label"] == "maybe"
        assert ann.get(f"/api/records/{first['record_id']}").json()["decision"]["label"] == "maybe"


def test_every_page_answers_and_runs_nothing_of_its_own(review):
    with review() as project, alone(project) as ann:
        first, _ = opened(ann)
        decided(ann, first["record_id"], "include", "key-00000001")
        for path in (
            "/",
            "/history",
            "/search?q=peer",
            "/overview",
            "/files",
            "/duplicates",
            "/account",
            "/api",
            "/records/1",
            "/second-look",
            "/records/1?second-look=1",
        ):
            page = ann.get(path)
            assert page.status_code == 200, path
            assert not re.search(
                r"<script(?![^>]*src=\"/static/)|<style|\sstyle=|\son[a-z]+=|https?://(?!www.w3.org)",
                page.text.replace("https://doi.org", ""),
            ), path
            policy = page.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy
            assert page.headers["x-content-type-options"] == "nosniff" and page.headers["cache-control"] == "no-store"


def test_exports_are_files_to_be_saved(review):
    with review() as project, alone(project) as ann:
        for path, start in (
            ("/api/export?format=ris", b"TY  - "),
            ("/api/report?format=svg", b"<svg"),
            ("/api/report", b"<!doctype html>"),
            ("/api/export?format=csv&only=unscreened", b"\xef\xbb\xbf"),
        ):
            told = ann.get(path)
            assert told.status_code == 200 and told.headers["content-disposition"].startswith("attachment"), path
            assert told.content.lstrip(b"\xef\xbb\xbf").startswith(start.lstrip(b"\xef\xbb\xbf")), path


def test_pairs_that_may_be_one_record_are_answered_once(review, tmp_path):
    with review(6) as project:
        for n, journal in enumerate(("Lancet", "BMJ")):
            (tmp_path / f"{n}.ris").write_text(
                "TY  - JOUR\nTI  - A trial of peer support for adults with psychosis\n"
                f"AU  - Smith, A\nAU  - Jones, B\nPY  - {2001 + n}\nJO  - {journal}\nER  - \n"
            )
            intake.import_files(project, [tmp_path / f"{n}.ris"], reviewer="ann")
        with alone(project) as ann:
            found = ann.post("/api/duplicates", headers=csrf(ann)).json()
            (pair,) = found["pairs"]
            assert {"title", "year"} <= {field["name"] for field in pair["fields"]}
            given = {"kept_id": pair["kept_id"], "copy_id": pair["copy_id"], "same": True}
            for _ in range(2):
                assert ann.post("/api/duplicates/answers", headers=csrf(ann), json=given).json()["open"] == 0
            assert sum(e.kind is Kind.DUPLICATE for e in project.log.events()) == 1
            ann.post("/api/duplicates/answers", headers=csrf(ann), json={**given, "same": False})
            assert not project.live().duplicates


# -- full texts ---------------------------------------------------------------------------------


def sent_pdf(visitor, content=PDF, name="a.pdf", **facts):
    return visitor.post("/api/attachments", headers=csrf(visitor), files={"file": (name, content)}, data=facts)


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
    "content, said", [(b"", "empty"), (b"<html>", "web page"), (b"MZ\x90", "no PDF"), (b"\0%PDF-", "no PDF")]
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


# -- hostile text -------------------------------------------------------------------------------

HOSTILE = """TY  - JOUR
TI  - <script>alert(1)</script> peer \u202esupport"><img src=x onerror=alert(1)>
AB  - <svg onload=alert(2)> adults &lt;script&gt;alert(3)&lt;/script&gt; {{ 7 * 7 }} \u2066hidden\u2069
AU  - =HYPERLINK("http://evil.example"), A
DO  - javascript:alert(4)
UR  - javascript:alert(5)
JO  - </title><script>alert(6)</script>
KW  - "><script>alert(7)</script>
ER  -
"""


def test_nothing_in_a_record_runs(review, tmp_path):
    with review(6) as project:
        (tmp_path / "<img src=x onerror=alert(8)>.ris").write_text(HOSTILE, encoding="utf-8")
        intake.import_files(project, [tmp_path / "<img src=x onerror=alert(8)>.ris"], reviewer="ann")
        with alone(project) as ann:
            opened(ann)
            assert decided(ann, 7, "maybe", "key-00000001", note="<script>alert(9)</script> =1+1").status_code == 200
            for path in (
                "/history",
                "/search?q=alert",
                "/records/7",
                "/files",
                "/overview",
                "/search?q=<script>alert(1)</script>",
            ):
                page = ann.get(path)
                assert page.status_code == 200
                assert "<script>alert" not in page.text and "<img" not in page.text and "<svg onload" not in page.text
                assert "javascript:" not in page.text.replace("&", "") or 'href="javascript:' not in page.text
                assert not any(mark in page.text for mark in "\u202e\u2066\u2069") and "{{" not in page.text.replace(
                    "{{ 7 * 7 }}", ""
                )
            read = ann.get("/api/records/7").json()
            assert read["doi_link"] == "" and read["pmid_link"] == ""
            exported = ann.get("/api/export?format=csv").content.decode("utf-8-sig")
            assert not re.search(r'(?:^|,)"?[=+@]', exported, re.MULTILINE)


@pytest.mark.parametrize(
    "doi, link",
    [
        ("10.1000/x", "https://doi.org/10.1000/x"),
        ("javascript:alert(1)", ""),
        ('10.1000/"><script>', ""),
        ("10.1000/x y", ""),
        ("//evil.example", ""),
    ],
)
def test_only_what_is_a_doi_becomes_a_link(doi, link):
    assert as_read(Record(title="t", doi=doi, id=1), None)["doi_link"] == link


def test_texts_are_cut_into_pieces_that_make_the_text_again():
    words = CriteriaWords(["peer support of adults"], ["children"])
    text = "Peers supporting adults & <b>children</b>, childless"
    pieces = marked(text, words)
    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, kind in pieces if kind == "exclude"] == ["children"]
    assert [piece for piece, kind in pieces if kind == "include"] == ["Peers", "supporting", "adults"]


# -- who gets in --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1", "127.0.0.1:9", "127.0.0.1.nip.io:8765", ""]
)
def test_only_this_machines_names_are_answered(review, host):
    with review(6) as project, alone(project) as ann:
        assert ann.get("/", headers={"host": host}).status_code in (400, 421)
        assert ann.get("/api/session", headers={"host": "localhost:8765"}).status_code == 200


def test_a_change_from_elsewhere_is_refused(review):
    with review(6) as project, alone(project) as ann:
        first, _ = opened(ann)
        body = {"key": "key-00000001", "record_id": first["record_id"], "label": "include"}
        good = csrf(ann)
        for headers in (
            {},
            {"x-csrf-token": "0" * 64},
            {**good, "origin": "https://evil.example"},
            {**good, "origin": "null"},
            {**good, "sec-fetch-site": "cross-site"},
            {**good, "sec-fetch-site": "same-site"},
        ):
            assert ann.post("/api/decisions", json=body, headers=headers).status_code == 403
        assert not decisions(project)
        assert (
            ann.post(
                "/api/decisions", json=body, headers={**good, "origin": LOCAL, "sec-fetch-site": "same-origin"}
            ).status_code
            == 200
        )


def test_off_this_machine_nobody_gets_in_without_logging_in(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM) as stranger:
            for method, path, needs in routes(app):
                told = stranger.request(method, path)
                if needs is None:
                    assert told.status_code in (200, 403, 404, 422), path
                elif path.startswith("/api/"):
                    assert told.status_code in (401, 422) and (told.status_code == 401 or "detail" in told.json()), path
                else:
                    assert (told.status_code, told.headers.get("location", "")[:6]) == (
                        303,
                        "/login",
                    ) or told.status_code == 422, path
            assert not decisions(project)
            assert stranger.get("/static/triage.css").status_code == 200
        with client(app, "https://127.0.0.1:8765") as near:  # a proxy on this machine is no way round it
            assert near.get("/api/session").status_code == 401


# What each route needs: a role, or None where nobody is known yet. A route that is not named here fails the tests.
REVIEWER, ADJUDICATOR, OWNER = Role
NEEDS = {
    **dict.fromkeys(("GET /login", "POST /login", "GET /join/{token}", "POST /join/{token}")),
    **dict.fromkeys(
        (
            "GET /",
            "GET /history",
            "GET /search",
            "GET /records/{record_id}",
            "GET /second-look",
            "GET /overview",
            "GET /conflicts",
            "GET /account",
            "GET /api/batches",
            "POST /api/batches/take-back",
            "POST /batches/take-back",
            "POST /api/second-look",
            "POST /second-look",
            "POST /account/password",
            "POST /account/tokens",
            "POST /account/tokens/revoke",
            "POST /logout",
            "GET /api",
            "GET /api/session",
            "GET /api/queue",
            "POST /api/decisions",
            "POST /api/skips",
            "POST /api/undo",
            "GET /api/why/{record_id}",
            "GET /api/records/{record_id}",
            "GET /api/search",
            "GET /api/history",
            "GET /api/attachments",
            "POST /api/attachments",
            "GET /api/attachments/{event}",
            "DELETE /api/attachments/{event}",
            "GET /api/missing",
            "GET /api/second-look",
            "GET /api/status",
            "GET /api/flow",
            "GET /api/conflicts",
            "GET /api/openapi.json",
            "GET /api/version",
        ),
        REVIEWER,
    ),
    **dict.fromkeys(("POST /api/settlements", "GET /api/agreement"), ADJUDICATOR),
    **dict.fromkeys(
        (
            "GET /files",
            "GET /duplicates",
            "GET /people",
            "POST /people/invitations",
            "POST /people/roles",
            "GET /api/export",
            "GET /api/report",
            "GET /api/log",
            "POST /api/import",
            "GET /api/duplicates",
            "POST /api/duplicates",
            "POST /api/duplicates/answers",
        ),
        OWNER,
    ),
}


def _each(routes):
    for route in routes:
        included = getattr(route, "original_router", None)  # FastAPI keeps a router that it includes whole
        yield from [route] if included is None else _each(included.routes)


def routes(app):
    """Return method and path of every route, with something in place of each parameter, and what it needs."""
    every = list(_each(app.routes))
    found = {
        f"{method} {route.path}" for route in every for method in getattr(route, "methods", ()) if method != "HEAD"
    }
    assert found == NEEDS.keys(), "each route is named in NEEDS"
    assert [route.path for route in every if not hasattr(route, "methods")] == ["/static"]
    return [
        (*re.sub(r"\{token\}", "x", re.sub(r"\{\w+_?id\}|\{event\}", "1", one)).split(" "), NEEDS[one])
        for one in sorted(found)
    ]


BODIES = {
    "/api/decisions": {"key": "key-00000001", "record_id": 1, "label": "include"},
    "/api/skips": {"key": "key-00000002", "record_id": 1},
    "/api/undo": {"key": "key-00000003"},
    "/api/duplicates/answers": {"kept_id": 1, "copy_id": 2, "same": True},
    "/api/settlements": {"record_id": 1, "label": "include"},
    "/api/batches/take-back": {"event": 1},
    "/api/second-look": {"size": 1},
}
FORMS = {
    "/people/invitations": {"name": "carl", "role": "owner"},
    "/people/roles": {"name": "olga", "role": "owner"},
    "/account/password": {"password": "x", "new": PASSWORD, "again": PASSWORD},
    "/account/tokens": {"name": "a program"},
    "/account/tokens/revoke": {"name": "a program"},
    "/logout": {},
    "/batches/take-back": {"event": 1},
    "/second-look": {"size": 1},
}


@pytest.mark.parametrize("role", list(Role))
def test_each_route_from_each_role(review, role):
    with review(12) as project:
        app = team_app(project)
        with client(app, TEAM):
            joined(app, "olga", Role.OWNER)
            visitor = joined(app, "rita" if role is not Role.OWNER else "otto", role)
            opened(visitor)
            for method, path, needs in routes(app):
                if needs is None:
                    continue
                may = list(Role).index(role) >= list(Role).index(needs)
                token = csrf(visitor)
                sent = {"headers": token}
                if path in BODIES:
                    sent["json"] = BODIES[path]
                elif path in FORMS:
                    sent["data"] = {**FORMS[path], "csrf": token["x-csrf-token"]}
                elif path == "/api/import":
                    sent["files"] = {"files": ("a.ris", "TY  - JOUR\nTI  - one more\nER  - \n")}
                elif path == "/api/attachments" and method == "POST":
                    sent |= {"files": {"file": ("1.pdf", PDF)}, "data": {"record_id": 1}}
                elif path == "/api/attachments":
                    sent["params"] = {"record_id": 1}
                elif path == "/api/search":
                    sent["params"] = {"q": "peer"}
                if method != "GET":  # without what only a page of this session has, nothing is changed
                    wrong = {**sent, "headers": {"x-csrf-token": "0" * 64}} | (
                        {"data": {**sent["data"], "csrf": "0" * 64}} if path in FORMS else {}
                    )
                    before = len(project.log.events()), project.people.all(), len(project.people.invitations())
                    assert visitor.request(method, path, **wrong).status_code == 403, (method, path)
                    assert before == (
                        len(project.log.events()),
                        project.people.all(),
                        len(project.people.invitations()),
                    )
                told = visitor.request(method, path, **sent)
                if path == "/logout":
                    visitor = relogged(app, "rita" if role is not Role.OWNER else "otto")
                assert (told.status_code == 403) is not may, (method, path, told.status_code, told.text[:200])
                assert told.status_code < 500, (method, path, told.text[:300])
                if needs is OWNER and path != "/api/duplicates/answers" and may:
                    assert told.status_code in (200, 303), (method, path, told.status_code, told.text[-600:])
            assert project.people.named("carl") is None
            assert {i.name for i in project.people.invitations() if i.open} == (
                {"carl"} if role is Role.OWNER else set()
            )


def relogged(app, name):
    visitor = client(app, TEAM)
    page = visitor.get("/login")
    done = visitor.post("/login", data={"csrf": hidden(page), "name": name, "password": PASSWORD, "then": "/history"})
    assert (done.status_code, done.headers["location"]) == (303, "/history")
    return visitor


def test_two_reviewers_are_blind_to_each_other_and_a_third_decision_is_refused(review):
    with review(12, PROTOCOL.replace('model = "fast"', 'model = "fast"\nreviewers_per_record = 2')) as project:
        app = team_app(project)
        with client(app, TEAM):
            joined(app, "olga", Role.OWNER)
            rita, rosa, rolf = (joined(app, name, Role.REVIEWER) for name in ("rita", "rosa", "rolf"))
            first = opened(rita)[0]["record_id"]
            assert decided(rita, first, "exclude", "key-00000001", note="seen by rita").status_code == 200
            opened(rosa)
            for told in (
                rosa.get(f"/api/records/{first}"),
                rosa.get(f"/records/{first}"),
                rosa.get("/api/history"),
                rosa.get("/api/search?q=peer"),
                rosa.get("/api/queue"),
                rosa.get(f"/api/why/{first}"),
            ):
                assert told.status_code == 200 and "rita" not in told.text
            assert [one["reviewer"] for one in rosa.get("/api/status").json()["pace"]] == ["rosa"]
            assert decided(rosa, first, "include", "key-00000001").status_code == 200  # the same key, another person
            # Each counts their own decision, not what the other's has made of the record.
            for who, relevant in ((rita, 0), (rosa, 1)):
                assert who.get("/api/queue").json()["counts"] == {
                    "records": 12,
                    "screened": 1,
                    "relevant": relevant,
                    "left": 11,
                }
            opened(rolf)
            assert decided(rolf, first, "include", "key-00000001").status_code == 422
            assert {e.reviewer for e in decisions(project)} == {"rita", "rosa"}
            # Now that both are there, those who judged the record see that they disagree; an adjudicator settles.
            assert [one["record_id"] for one in rita.get("/api/conflicts").json()["conflicts"]] == [first]
            assert rolf.get("/api/conflicts").json()["conflicts"] == [] and "rita" not in rolf.get("/conflicts").text
            ada = joined(app, "ada", Role.ADJUDICATOR)
            page = ada.get("/conflicts").text
            assert "seen by rita" in page and "rosa" in page and ada.get("/api/agreement").json()["records"] == 1
            for _ in range(2):
                told = ada.post("/api/settlements", headers=csrf(ada), json={"record_id": first, "label": "include"})
                assert told.status_code == 200 and told.json()["conflicts"] == []
            assert len([e for e in project.log.events() if e.kind is Kind.SETTLED]) == 1
            assert "Settled" in ada.get("/conflicts").text


def test_a_second_look_is_listed_to_others_blind_and_its_decision_counts(review):
    with review(120) as project:
        app = team_app(project)
        with client(app, TEAM):
            joined(app, "olga", Role.OWNER)
            rita, rosa, rolf = (joined(app, name, Role.REVIEWER) for name in ("rita", "rosa", "rolf"))
            assert "no record has been excluded" in rosa.get("/second-look").text
            screening.commit_audit(project)
            project.log.decide(
                "abstract",
                [
                    {"record_id": i, "label": Label.INCLUDE if i % 6 == 1 else Label.EXCLUDE, "note": "seen by rita"}
                    for i in range(1, 121)
                ],
                reviewer="rita",
            )
            asked = {"stage": "abstract", "size": 6}
            refused = rita.post("/api/second-look", headers=csrf(rita), json=asked)
            assert refused.status_code == 422 and "rita excluded all 100 records" in refused.json()["detail"]
            assert "second look is another reviewer" in rita.get("/second-look").text
            found = rosa.get("/api/second-look").json()
            assert (found["sample"], found["waiting"], found["more"], found["records"]) == (0, 0, 100, [])
            assert [one["looks"] for one in found["price"]] == [25, 50, 100] and found["price"][2]["recall_lower"] == 1
            page = rosa.get("/second-look").text
            assert "What second looks prove at 95" in page and 'max="100"' in page
            assert rosa.post("/api/second-look", json=asked).status_code == 403  # from elsewhere
            assert rosa.post("/api/second-look", headers=csrf(rosa), json=asked).json() == {"waiting": 6}
            form = {"csrf": csrf(rosa)["x-csrf-token"], "stage": "abstract", "size": 6}
            sent = rosa.post("/second-look", data=form, follow_redirects=False)
            assert (
                sent.status_code == 303
                and len([e for e in project.log.events() if e.kind is Kind.SECOND_LOOK_PLAN]) == 1
            )
            own = rita.get("/api/second-look").json()
            assert own["waiting"] == own["judged"] == 0 and own["own"] == own["sample"] == 6 and own["records"] == []
            assert "a second look is another reviewer" in rita.get("/second-look").text
            assert (
                "/second-look?stage=" not in rita.get("/overview").text
                and "/second-look?stage=" in rosa.get("/overview").text
            )
            found = rosa.get("/api/second-look?stage=abstract").json()
            waiting = [one["record_id"] for one in found["records"]]
            assert waiting == list(second_looks(project.snapshot(), "rosa").waiting) and found["own"] == 0
            assert set(found["records"][0]) == {"record_id", "title", "year", "journal"}
            page = rosa.get("/second-look")
            hrefs = re.findall(r'href="(/records/\d+\?stage=abstract&amp;second-look=1)"', page.text)
            assert [int(re.findall(r"\d+", href)[0]) for href in hrefs] == waiting
            opened(rosa)
            before = len(project.log.events())
            for at, record_id in enumerate(waiting):
                shown = rosa.get(f"/records/{record_id}?stage=abstract&second-look=1")
                following = [*waiting[at + 1 :], *waiting[:at]]
                for text in (shown.text, page.text, rosa.get(f"/api/records/{record_id}").text):
                    assert "rita" not in text
                assert "not judged by you" in shown.text
                assert (f"/records/{following[0]}?" in shown.text) == (at < len(waiting) - 1)
                label = "include" if at == 0 else "exclude"
                told = decided(rosa, record_id, label, f"key-{at:08}", next=False)
                assert told.status_code == 200 and set(told.json()) == {"done"}
                assert rosa.get("/api/second-look").json()["judged"] == at + 1
                page = rosa.get("/second-look")
            assert "No other record awaits your second look" in shown.text and "has had its second look" in page.text
            assert {e.kind for e in project.log.events()[before:]} == {Kind.DECISION}
            opened(rolf)
            assert decided(rolf, waiting[0], "include", "key-00000001").status_code == 422
            assert [one["record_id"] for one in rosa.get("/api/conflicts").json()["conflicts"]] == [waiting[0]]
            noise = rosa.get("/api/status").json()["label_noise"]
            assert (noise["judged_twice"], noise["overturned"], noise["pending"]) == (len(waiting), 1, [])
            assert (
                rosa.get("/second-look?stage=none").status_code
                == rosa.get("/api/second-look?stage=none").status_code
                == 422
            )


def test_reviewers_at_once_share_the_pool(review):
    with review(48) as project:
        app = team_app(project)
        with client(app, TEAM):
            joined(app, "olga", Role.OWNER)
            people = {name: joined(app, name, Role.REVIEWER) for name in ("rita", "rosa", "rolf", "rene")}
            wrong = []

            def screen(name):
                visitor = people[name]
                token, records = csrf(visitor), opened(visitor)
                for n in range(12):
                    if not records:
                        break
                    record = records[0]
                    body = {"key": f"{name}-{n:08}", "record_id": record["record_id"], "label": "exclude"}
                    for _ in range(2):  # each is sent twice
                        told = visitor.post("/api/decisions", headers=token, json=body)
                        if told.status_code != 200:
                            wrong.append((name, told.status_code, told.text))
                            return
                    records = told.json()["records"]

            threads = [threading.Thread(target=screen, args=[name]) for name in people]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert wrong == []
            made = decisions(project)
            assert len({e.record_id for e in made}) == len(made) >= 40
            assert {e.reviewer for e in made} == set(people)


def test_invitations_work_once_and_expire(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM) as visitor:
            joined(app, "olga", Role.OWNER)
            late = project.people.invite("rita", Role.REVIEWER, datetime.now(UTC) - timedelta(seconds=1))
            assert visitor.get(f"/join/{late}").status_code == 404
            token = project.people.invite("rosa", Role.REVIEWER, datetime.now(UTC) + timedelta(days=1))
            page = visitor.get(f"/join/{token}")
            send = {"csrf": hidden(page)}
            assert (
                visitor.post(f"/join/{token}", data={**send, "password": "short", "again": "short"}).status_code == 422
            )
            assert (
                visitor.post(f"/join/{token}", data={**send, "password": PASSWORD, "again": PASSWORD + "!"}).status_code
                == 422
            )
            assert (
                visitor.post(f"/join/{token}", data={"csrf": "", "password": PASSWORD, "again": PASSWORD}).status_code
                == 403
            )
            assert (
                visitor.post(f"/join/{token}", data={**send, "password": PASSWORD, "again": PASSWORD}).status_code
                == 303
            )
            assert (
                visitor.post(f"/join/{token}", data={**send, "password": PASSWORD, "again": PASSWORD}).status_code
                == 404
            )
            assert project.people.named("rosa").password_hash.startswith("$argon2id$")


def test_log_in_sessions_end_and_attempts_are_limited(review, monkeypatch):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            olga = joined(app, "olga", Role.OWNER)
            cookie = next(c for c in olga.cookies.jar if c.name == "__Host-triage")
            assert cookie.secure and cookie.has_nonstandard_attr("HttpOnly")
            told = olga.post("/logout", data={"csrf": csrf(olga)["x-csrf-token"]})
            assert told.status_code == 303
            olga.cookies.set("__Host-triage", cookie.value, domain="review.example.org")
            assert olga.get("/api/session").status_code == 401  # the session ended, not its cookie alone
            stranger, clock = client(app, TEAM), Clock()
            app.state.access.attempts = Attempts(clock)
            token = hidden(stranger.get("/login"))
            for name in ("olga", "nobody"):
                codes = [
                    stranger.post("/login", data={"csrf": token, "name": name, "password": "wrong"}).status_code
                    for _ in range(6)
                ]
                assert codes == [401] * 5 + [429]
            right = stranger.post("/login", data={"csrf": token, "name": "olga", "password": PASSWORD})
            assert right.status_code == 429 and "1 second" in right.text
            clock.now += 1
            assert (
                stranger.post(
                    "/login", data={"csrf": token, "name": "olga", "password": PASSWORD, "then": "//evil.example"}
                ).headers["location"]
                == "/"
            )
            monkeypatch.setattr("triage.web.access._IDLE", timedelta(0))
            assert stranger.get("/api/session").status_code == 401


def test_a_program_with_a_token_has_its_persons_rights(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM) as program:
            joined(app, "olga", Role.OWNER)
            rita = joined(app, "rita", Role.REVIEWER)
            page = rita.post("/account/tokens", data={"csrf": csrf(rita)["x-csrf-token"], "name": "a script"})
            token = re.search(r"<code>([\w-]{20,})</code>", page.text)[1]
            bearer = {"authorization": f"Bearer {token}"}
            assert program.get("/api/session", headers=bearer).json()["reviewer"] == "rita"
            assert program.post("/api/undo", headers=bearer, json={"key": "key-00000001"}).status_code in (200, 409)
            assert program.get("/api/log", headers=bearer).status_code == 403
            rita.post("/account/tokens/revoke", data={"csrf": csrf(rita)["x-csrf-token"], "name": "a script"})
            assert program.get("/api/session", headers=bearer).status_code == 401
            assert program.get("/api/session", headers={"authorization": "Bearer x"}).status_code == 401


def test_a_new_password_ends_the_other_sessions(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            here = joined(app, "olga", Role.OWNER)
            there = relogged(app, "olga")
            form = {
                "csrf": csrf(here)["x-csrf-token"],
                "password": PASSWORD,
                "new": PASSWORD + "!",
                "again": PASSWORD + "!",
            }
            assert here.post("/account/password", data={**form, "password": "wrong"}).status_code == 422
            assert here.post("/account/password", data=form).status_code == 303
            assert here.get("/api/session").status_code == 200
            assert there.get("/api/session").status_code == 401


def test_bodies_are_bounded(review):
    with review(6) as project, alone(project) as ann:
        told = ann.post("/api/decisions", headers=csrf(ann), content=b"[" * 2_000_000)
        assert told.status_code == 413
        app = team_app(project)
        with client(app, TEAM) as stranger:
            told = stranger.post("/api/import", files={"files": ("a.ris", b"x" * 2_000_000)})
            assert told.status_code == 413


@pytest.mark.parametrize(
    "host, local",
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("127.8.8.8", True),
        ("0.0.0.0", False),
        ("192.168.1.2", False),
        ("example.org", False),
    ],
)
def test_which_addresses_are_this_machines_own(host, local):
    assert is_loopback(host) is local
    if host != "0.0.0.0":
        assert ServerOrigin.of(host, 80, tls=False).login is not local


def test_every_address_needs_a_public_one():
    with pytest.raises(InputError, match="--public"):
        ServerOrigin.of("0.0.0.0", 8765, tls=False)
    door = ServerOrigin.of("0.0.0.0", 8765, tls=False, public="http://10.0.0.5:8765")
    assert door.hosts == {"10.0.0.5:8765"} and door.login and not door.secure
    with pytest.raises(InputError, match="no address"):
        ServerOrigin.of("127.0.0.1", 8765, tls=False, public="javascript:alert(1)")


class Clock:
    """A clock that a test moves on."""

    now = 1000.0

    def __call__(self):
        return self.now


def test_each_failure_doubles_the_wait_for_the_next_attempt():
    clock = Clock()
    attempts = Attempts(clock)
    ann = {("pair", "ann", "1"): Limit(3, 10)}
    assert [attempts.begin(ann) for _ in range(3)] == [0, 0, 0]
    waits = []
    for _ in range(6):
        waits.append(attempts.begin(ann))
        assert attempts.begin(ann) == waits[-1]  # what is not looked at is not counted
        clock.now += waits[-1] - 0.5
        assert attempts.begin(ann) == 1
        clock.now += 0.5
        assert attempts.begin(ann) == 0
    assert waits == [1, 2, 4, 8, 10, 10] and attempts.begin({("pair", "bob", "1"): Limit(3, 10)}) == 0
    clock.now += 3601
    assert attempts.begin(ann) == 0 and len(attempts._failed) == 1  # all that is an hour old is forgotten


def test_who_succeeds_starts_anew_and_is_not_counted_under_what_others_share():
    attempts, shared = Attempts(Clock()), {("from", "1"): Limit(3, 60)}
    for n in range(10):
        counted = {("pair", f"name {n}", "1"): Limit(2, 60), **shared}
        assert attempts.begin(counted) == 0
        attempts.succeed(counted)
    for n in range(3):
        assert attempts.begin({("pair", f"wrong {n}", "1"): Limit(2, 60), **shared}) == 0
    assert attempts.begin({("pair", "anybody", "1"): Limit(2, 60), **shared}) == 1


def from_address(app, address, device=""):
    visitor = TestClient(app, base_url=TEAM, client=(address, 1), follow_redirects=False)
    if device:
        visitor.cookies.set("__Host-triage-device", device, domain="review.example.org")
    token = hidden(visitor.get("/login"))
    return lambda name, password: visitor.post("/login", data={"csrf": token, "name": name, "password": password})


def test_nobody_locks_a_colleague_out(review, monkeypatch):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            olga = joined(app, "olga", Role.OWNER)
            device = next(c for c in olga.cookies.jar if c.name == "__Host-triage-device")
            assert (
                device.secure
                and device.has_nonstandard_attr("HttpOnly")
                and device.expires > time.time() + 100 * 24 * 3600
            )
            clock = Clock()
            app.state.access.attempts = Attempts(clock)
            monkeypatch.setattr(
                app.state.access, "is_password", lambda person, password: bool(person) and password == PASSWORD
            )
            enemy = from_address(app, "10.0.0.66")
            assert [enemy("olga", "wrong").status_code for _ in range(6)] == [401] * 5 + [429]
            assert from_address(app, "10.0.0.2")("olga", PASSWORD).status_code == 303  # from elsewhere she gets in
            assert (
                from_address(app, "10.0.0.66", device.value)("olga", PASSWORD).status_code == 303
            )  # and from her own browser
            # With many addresses her name is slowed to an attempt a minute, but not in a browser of hers.
            codes = [from_address(app, f"10.0.1.{n}")("OLGA", "wrong").status_code for n in range(60)]
            assert codes.count(401) == 45 and set(codes[45:]) == {429}
            assert from_address(app, "10.0.0.3")("olga", PASSWORD).status_code == 429
            assert from_address(app, "10.0.0.3", device.value)("olga", PASSWORD).status_code == 303
            clock.now += 1
            assert from_address(app, "10.0.0.3")("olga", PASSWORD).status_code == 303
            for wrong in ("x", ".", device.value + "0", "0" + device.value):
                assert from_address(app, "10.0.0.66", wrong)("olga", PASSWORD).status_code == 429
            assert from_address(app, "10.0.0.66", device.value)("rita", PASSWORD).status_code == 401
            assert ("pair", "rita", "10.0.0.66") in app.state.access.attempts._failed  # it is no browser of hers
            # A browser that she has lost has attempts of its own, and none once she has another password.
            lost = from_address(app, "10.0.0.66", device.value)
            assert [lost("olga", "wrong").status_code for _ in range(6)] == [401] * 5 + [429]
            project.people.set_password_hash("olga", "another")
            assert from_address(app, "10.0.2.2", device.value)("olga", PASSWORD).status_code == 429


def test_a_network_of_ipv6_is_one_address_and_many_names_from_one_are_slowed(review, monkeypatch):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            app.state.access.attempts = Attempts(Clock())
            monkeypatch.setattr(app.state.access, "is_password", lambda person, password: False)
            codes = [from_address(app, f"2001:db8::{n:x}")(f"name {n}", "wrong").status_code for n in range(32)]
            assert codes == [401] * 30 + [429] * 2
            assert from_address(app, "2001:db8:0:1::1")("name", "wrong").status_code == 401


def test_passwords_that_wait_to_be_looked_at_leave_threads_for_others(review, monkeypatch):
    monkeypatch.setattr("triage.web.access._AT_ONCE", 1)
    with review(6) as project:
        access = team_app(project).state.access
        with access._looking(), pytest.raises(Refused, match="at this moment"):
            access.hashed(PASSWORD)
        assert access.hashed(PASSWORD).startswith("$argon2id$")


def test_every_answer_has_the_headers(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM) as stranger:
            answers = [
                stranger.get("/"),
                stranger.get("/login"),
                stranger.get("/nothing"),
                stranger.get("/api/session"),
                stranger.get("/static/triage.css"),
                stranger.get("/", headers={"host": "evil.example"}),
                stranger.post("/login", content=b"x" * 2_000_000),
                stranger.post("/login", data={}),
                stranger.get("/", headers={"authorization": "Bearer x"}),
            ]
            assert [told.status_code for told in answers] == [303, 200, 404, 401, 200, 421, 413, 403, 401]
            for told in answers:
                assert told.headers["content-security-policy"] == POLICY and "unsafe" not in POLICY
                for name, value in (
                    ("x-content-type-options", "nosniff"),
                    ("x-frame-options", "DENY"),
                    ("referrer-policy", "same-origin"),
                    ("cross-origin-opener-policy", "same-origin"),
                    ("cross-origin-resource-policy", "same-origin"),
                    ("strict-transport-security", "max-age=31536000"),
                ):
                    assert told.headers[name] == value, (told.request.url, name)
                assert told.headers["cache-control"] in ("no-store", "no-cache") and "server" not in told.headers


@pytest.mark.parametrize(
    "limit, later", [("_IDLE", timedelta(hours=12, seconds=1)), ("_LONGEST", timedelta(days=7, seconds=1))]
)
def test_a_session_ends_after_some_hours_alone_and_after_a_week_in_any_case(review, monkeypatch, limit, later):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            olga = joined(app, "olga", Role.OWNER)

            class Later(datetime):
                @classmethod
                def now(cls, tz=None):
                    return datetime.now(tz) + Later.by

            monkeypatch.setattr("triage.web.access.datetime", Later)
            if limit == "_LONGEST":
                monkeypatch.setattr("triage.web.access._IDLE", timedelta(days=30))
            Later.by = later - timedelta(minutes=1)
            assert olga.get("/api/session").status_code == 200
            if limit == "_LONGEST":
                Later.by = later
            else:  # the request before has renewed it, by the project's own clock
                Later.by = later + timedelta(seconds=1)
            assert olga.get("/api/session").status_code == 401
            Later.by = timedelta(0)
            assert olga.get("/api/session").status_code == 401  # it has ended for good


@pytest.mark.parametrize(
    "public, peer, counted",
    [
        (TEAM, "127.0.0.1", "203.0.113.9"),
        (TEAM, "10.0.0.5", "10.0.0.5"),
        ("", "127.0.0.1", "127.0.0.1"),
        ("", "10.0.0.5", "10.0.0.5"),
    ],
)
def test_a_forwarded_address_is_believed_of_a_proxy_on_this_machine_and_only_when_asked(
    review, monkeypatch, public, peer, counted
):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # what other servers obey is nothing here
    with review(6) as project:
        project.people.add("olga", Role.OWNER)
        app = web.make_app(project, ServerOrigin.of("127.0.0.1", 8765, tls=False, public=public), reviewer="olga")
        served = web.configured(app, "127.0.0.1", 8765, certificate=None, key=None, public=public).loaded_app
        visitor = TestClient(served, base_url=public or LOCAL, client=(peer, 1), follow_redirects=False)
        forwarded = {
            "x-forwarded-for": "198.51.100.7, 203.0.113.9",
            "x-forwarded-proto": "https",
            "x-forwarded-host": "evil.example",
        }
        page = visitor.get("/login", headers=forwarded)
        assert "evil.example" not in page.text
        told = visitor.post(
            "/login", headers=forwarded, data={"csrf": hidden(page), "name": "olga", "password": "wrong"}
        )
        assert told.status_code == 401
        assert [key for key in app.state.access.attempts._failed if key[0] == "from"] == [("from", counted)]


# -- the server ---------------------------------------------------------------------------------


def test_what_cannot_be_served_is_told(review):
    with review(6) as project, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for options, said in (
            ({"port": taken.getsockname()[1]}, "cannot be listened on"),
            ({"certificate": Path("a.pem")}, "go together"),
            ({"certificate": Path("no.pem"), "key": Path("no.pem")}, "no certificate"),
            ({"host": "0.0.0.0"}, "--public"),
        ):
            with pytest.raises(InputError, match=said):
                web.serve(project, reviewer="ann", say=print, **options)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to make a certificate with")
def test_a_team_is_served_over_tls_and_its_owner_invited(review, tmp_path):
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        str(tmp_path / "key.pem"),
        "-out",
        str(tmp_path / "cert.pem"),
    ]
    subprocess.run(make, check=True, capture_output=True)
    with review(6) as project:
        path = project.path
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "triage",
        "serve",
        str(path),
        "--port",
        str(port),
        "--reviewer",
        "olga",
        "--public",
        f"https://localhost:{port}",
        "--certificate",
        str(tmp_path / "cert.pem"),
        "--key",
        str(tmp_path / "key.pem"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            link = ""
            while "/join/" not in link:
                link = server.stderr.readline()
                assert link, "the server ended"
            trusted = ssl.create_default_context(cafile=tmp_path / "cert.pem")
            opened_page = urllib.request.urlopen(link.strip(), context=trusted)
            assert opened_page.headers["strict-transport-security"] and "olga" in opened_page.read().decode()
            cookie = opened_page.headers["set-cookie"]
            assert "Secure" in cookie and "HttpOnly" in cookie and "SameSite=strict" in cookie
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(f"https://localhost:{port}/api/session", context=trusted)
            server.send_signal(signal.SIGINT)
            assert server.wait(20) == 130
        finally:
            server.kill()
