"""A record as the pages show it: hostile text runs nothing, and neither score nor rank is told."""

import re

import pytest
from web_helpers import alone, decided, opened

from triage import intake
from triage.records import Record
from triage.text import CriteriaWords
from triage.web.reading import as_read, marked

# -- what is told and what is not -----------------------------------------------------------------


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
    assert as_read(Record(title="t", doi=doi, id=1), None).doi_link == link


def test_texts_are_cut_into_pieces_that_make_the_text_again():
    words = CriteriaWords(["peer support of adults"], ["children"])
    text = "Peers supporting adults & <b>children</b>, childless"
    pieces = marked(text, words)
    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, kind in pieces if kind == "exclude"] == ["children"]
    assert [piece for piece, kind in pieces if kind == "include"] == ["Peers", "supporting", "adults"]


def test_where_else_a_record_is_to_be_found():
    extra = {
        "registration": ("NCT00392093", "UMIN000012345"),
        "UR": ("https://doi.org/10.1000/abc", "javascript:alert(1)", "https://www.example.org/paper.pdf"),
    }
    links = as_read(Record(id=1, title="T", doi="10.1000/abc", extra=extra), None).links
    assert [(link.text, link.href) for link in links] == [
        ("NCT00392093", "https://clinicaltrials.gov/study/NCT00392093"),
        ("at example.org", "https://www.example.org/paper.pdf"),
    ]
    for address in (
        "http://example.org/x",
        "https://example.org/\u202ex",
        "https://e x.org/",
        "https://doi.org/10.1/x",
    ):
        assert as_read(Record(id=1, title="T", extra={"url": (address,)}), None).links == []
