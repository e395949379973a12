"""The pages themselves: what they say, and that they run nothing of their own."""

import io
import re
import zipfile
from html.parser import HTMLParser

from web_helpers import alone, csrf, decided, joined, opened, team_app

from triage import screening
from triage.log import Label
from triage.project import Role
from triage.ranking import answers


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
        assert "learns only from the decisions" in answers.nothing_to_rank_by(project.snapshot())
        assert "order of import" in visitor.get("/overview").text


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


# -- the protocol ---------------------------------------------------------------------------------


def form_of(page):
    """Return the fields of the first form of a page that is sent by POST, as a browser would send them."""

    class Form(HTMLParser):
        def __init__(self):
            super().__init__()
            self.sent, self.area, self.select = {}, None, None

        def handle_starttag(self, tag, attributes):
            given = dict(attributes)
            name = given.get("name")
            if tag == "input" and name and (given.get("type") not in ("radio", "checkbox") or "checked" in given):
                self.sent.setdefault(name, []).append(given.get("value") or "")
            elif tag == "textarea" and name:
                self.area = name
                self.sent.setdefault(name, []).append("")
            elif tag == "select" and name:
                self.select = name
            elif tag == "option" and self.select and "selected" in given:
                self.sent[self.select] = [""]

        def handle_data(self, data):
            if self.area:
                self.sent[self.area][-1] += data
            elif self.select and self.sent.get(self.select) == [""]:
                self.sent[self.select] = [data]

        def handle_endtag(self, tag):
            self.area = None if tag == "textarea" else self.area
            self.select = None if tag == "select" else self.select

    form = Form()
    form.feed(page.text.partition('<form method="post" action="/protocol"')[2].partition("</form>")[0])
    return form.sent


def test_the_protocol_is_filled_in_on_its_page(review, tmp_path):
    with review(12, "# mine\n") as project, alone(project, preset="fast") as ann:
        sent = form_of(ann.get("/protocol"))
        assert ann.post("/protocol", data=sent).headers["location"] == "/protocol?saved=true"
        assert project.snapshot().protocol_versions[-1][1] == "# mine\n"  # sent as it was shown, it changes nothing
        sent |= {
            "title": ["Steel <b>bridges</b>"],
            "question": ["Steel beams of bridges that corrode"],
            "include": ["Steel in sea air"],
            "exclude": ["WOOD: Wooden bridges\r\nRailways"],
            "source_name": ["Scopus", ""],
            "source_day": ["2026-03-12", ""],
            "reviewers_per_record": ["2"],
            "target": ["90"],
        }
        assert ann.post("/protocol", data=sent).status_code == 303
        protocol = project.protocol()
        assert (protocol.title, protocol.reviewers_per_record, protocol.stopping.target) == (
            "Steel <b>bridges</b>",
            2,
            0.9,
        )
        assert [c.code for c in protocol.exclude] == ["WOOD", "E1"]
        assert [(s.name, s.searched_on) for s in protocol.sources] == [("Scopus", "2026-03-12")]
        assert (tmp_path / "protocol.toml").read_text(encoding="utf-8").startswith("title = ")
        shown = ann.get("/protocol?saved=true").text
        assert "Go on screening" in shown and "Steel &lt;b&gt;bridges" in shown
        # A page that was loaded before is told so, and what was typed into it is still there.
        refused = ann.post("/protocol", data=sent | {"title": ["Mine"]})
        assert refused.status_code == 422 and "changed meanwhile" in refused.text and 'value="Mine"' in refused.text
        wrong = form_of(ann.get("/protocol")) | {"languages": ["Klingon"]}
        refused = ann.post("/protocol", data=wrong)
        assert refused.status_code == 422 and "Klingon" in refused.text
        assert project.protocol() == protocol


def word_document(paragraphs):
    """Return a Word document; paragraphs that begin with a dash are items of a list."""
    body = "".join(
        f"<w:p>{'<w:pPr><w:numPr/></w:pPr>' if p.startswith('- ') else ''}<w:r><w:t>{p.removeprefix('- ')}</w:t></w:r></w:p>"
        for p in paragraphs
    )
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("word/document.xml", f"<w:document {space}><w:body>{body}</w:body></w:document>")
    return made.getvalue()


def test_criteria_are_split_from_a_text_or_a_document(review):
    lines = [
        "Inclusion criteria:",
        "- Adults with depression",
        "- Peer support",
        "Exclusion criteria:",
        "- Online only",
    ]
    expected = {"include": ["Adults with depression", "Peer support"], "exclude": ["Online only"]}
    with review(12, "") as project, alone(project) as ann:
        for data, files in (
            ({"text": "\n".join(lines)}, {}),
            ({}, {"file": ("p.txt", "\n".join(lines).encode())}),
            ({}, {"file": ("p.docx", word_document(lines))}),
        ):
            found = ann.post("/api/criteria", headers=csrf(ann), data=data, files=files or None)
            assert found.json() == expected
        for name, content, said in (
            ("p.pdf", b"%PDF-1.7\nbroken", "p.pdf cannot be read as a PDF"),
            ("p.docx", b"PK\x03\x04 broken", "p.docx"),
            ("p.doc", b"\xd0\xcf\x11\xe0\xff", "not a PDF, a Word document"),
            ("p.txt", b"  \n", "holds no text"),
        ):
            refused = ann.post("/api/criteria", headers=csrf(ann), files={"file": (name, content)})
            assert refused.status_code == 422 and said in refused.json()["detail"], refused.text
