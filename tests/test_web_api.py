"""The interface to programs: files in and out, history, search and pairs."""

import os

import pytest
from test_formats_apart import repeated_string
from test_printing import EVIL
from web_helpers import alone, csrf, decided, opened

from triage import intake
from triage.log import Kind


@pytest.mark.parametrize("name", ["a.xlsx", "2020-11 scopus.xlsx"])
def test_a_file_that_cannot_be_read_is_told_by_its_name_alone(review, name):
    with review(12) as project, alone(project) as ann:
        told = ann.post("/api/import", headers=csrf(ann), files={"files": (name, b"PK\3\4 broken")})
        assert told.status_code == 422 and told.json()["detail"].startswith(name)
        assert project.records.count() == 12


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_file_made_to_do_harm_ends_no_server(review, tmp_path):
    repeated_string(tmp_path / "bomb.xlsx")
    with review(12) as project, alone(project) as ann:
        content = (tmp_path / "bomb.xlsx").read_bytes()
        told = ann.post("/api/import", headers=csrf(ann), files={"files": ("bomb.xlsx", content)})
        assert told.status_code == 422 and told.json()["detail"].startswith(
            "bomb.xlsx was not read: it takes more memory"
        )
        assert project.records.count() == 12 and opened(ann)


def test_nothing_in_a_file_or_its_name_is_said_back_that_steers_or_turns_text(review):
    text = f"TY  - JOUR\nTI  - Title {EVIL.splitlines()[0]}\nER  - \nTY  - JOUR\n{EVIL.splitlines()[0]}\nER  - \n"
    with review(12) as project, alone(project) as ann:
        for name, source, content in (
            ("a\u202e.ris", EVIL, text),
            ("b.ris", "", f"{EVIL} nothing"),
            (EVIL, "", b"PK\3\4"),
        ):
            told = ann.post("/api/import", headers=csrf(ann), files={"files": (name, content)}, data={"source": source})
            assert told.status_code == (200 if content == text else 422)
            assert not [c for c in told.text if c in "\x1b\x07\x08\x7f\x85\x9b\u202e\u2066"], told.text
            assert "\\u001b" not in told.text


def test_history_search_and_status(review):
    with review() as project, alone(project) as ann:
        first, second = opened(ann)
        decided(ann, first["record_id"], "exclude", "key-00000001", reason="ONLINE", note="by telephone")
        decided(ann, second["record_id"], "include", "key-00000002")
        found = ann.get("/api/history", params={"label": "exclude", "reason": "ONLINE", "q": "telephone"}).json()
        assert [one["record_id"] for one in found["decisions"]] == [first["record_id"]]
        assert ann.get("/api/history").json()["total"] == 2
        years = {one["record_id"]: one["year"] for one in ann.get("/api/history").json()["decisions"]}
        assert len(set(years.values())) == 2
        early, late = sorted(years, key=years.get)
        for asked, wanted in (
            (years[early], {early}),
            (f"{years[early]}-{years[late]}", {early, late}),
            (f" {years[late]}- ", {late}),
            (f"-{years[early]}", {early}),
            ('1900"', set()),
        ):
            given = {"years": asked}
            told = ann.get("/api/history", params=given).json()["decisions"]
            assert {one["record_id"] for one in told} == wanted, asked
            page = ann.get("/history", params=given).text
            assert page.count('<li><a href="/records/') == len(wanted)
        assert ann.get("/api/history", params={"years": years[late], "q": "telephone"}).json()["total"] == int(
            years[first["record_id"]] == years[late]
        )
        assert ann.get("/api/search", params={"q": "number6"}).json()["records"][0]["record_id"] == 7
        assert len(ann.get("/api/search", params={"q": "study*"}).json()["records"]) == 50
        facts = ann.get("/api/status").json()
        assert facts["screened"] == 2 and facts["pace"] == [
            {"reviewer": "ann", "decisions": 2, "seconds_per_record": None}
        ]
        changed = decided(ann, first["record_id"], "maybe", "key-00000003")
        assert changed.json()["done"]["label"] == "maybe"
        assert ann.get(f"/api/records/{first['record_id']}").json()["decision"]["label"] == "maybe"


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
