"""The pages themselves: what they say, and that they run nothing of their own."""

import re

from web_helpers import alone, decided, joined, opened, team_app

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
