"""Key papers: found by DOI, PMID or title, reported where they are missing or rank badly; no evidence on recall."""

import json

import numpy as np
import pytest
from cli_helpers import a_review, a_triage
from conftest import PROTOCOL
from test_status import add, new
from web_helpers import alone

from triage.as_json import as_json
from triage.errors import InputError
from triage.key_papers import in_words
from triage.log import Label
from triage.protocol import Protocol, parse, write
from triage.ranking.scores import Ranking
from triage.records import Record
from triage.status import status
from triage.web.protocol_form import checked, fields_of

review_of, triage = a_review, a_triage
PAPERS = ("https://doi.org/10.1000/ABC", "PMID: 00123", "Peer support: a <trial>", "10.1000/none", "77", "TITLE 3")
LISTED = f"key_papers = {json.dumps(PAPERS)}\n"


@pytest.fixture
def project(tmp_path):
    with new(tmp_path, 6, LISTED + PROTOCOL) as made:
        records = [
            Record(title="a", doi="10.1000/abc"),
            Record(title="b", pmid="00123"),
            Record(title="Peer Support \u2013 A Trial"),
            Record(title="a, again", doi="10.1000/abc"),
        ]
        add(made, records, "scopus")
        yield made


def papers(project):
    return status(project.snapshot()).key_papers


def ranked(project, scores):
    ids = np.arange(1, len(scores) + 1)
    held_out = np.full(len(scores), np.nan, np.float32)
    project.rankings.save("abstract", Ranking(0, {}, ids, np.array(scores, np.float32), held_out))


def test_they_are_found_by_doi_pmid_or_title_and_what_is_missing_is_said(project):
    found = {one.named: (one.state, one.record_id) for one in papers(project)}
    assert found == {
        PAPERS[0]: ("unscreened", 7),  # the first of two
        PAPERS[1]: ("unscreened", 8),
        PAPERS[2]: ("unscreened", 9),
        PAPERS[3]: ("missing", None),
        PAPERS[4]: ("missing", None),
        PAPERS[5]: ("unscreened", 4),
    }
    assert in_words(papers(project)) == [
        "4 of 6 are among the records.",
        "Missing, so the search may miss others like them: 10.1000/none; 77.",
    ]


def test_one_that_half_of_the_records_rank_above_ranks_badly(project):
    ranked(project, [9, 8, 7, 0, 6, 5, 4, 10, 3, 2])
    badly = {one.named: (one.rank, one.ranks_badly) for one in papers(project) if one.record_id}
    assert badly == {PAPERS[0]: (7, True), PAPERS[1]: (1, False), PAPERS[2]: (8, True), PAPERS[5]: (10, True)}
    assert f"Ranks badly (7 of 10): {PAPERS[0]}. Do the criteria say it in its words?" in in_words(papers(project))


def test_a_copy_counts_as_its_kept_record_and_one_that_left_or_is_judged_has_no_rank(project):
    ranked(project, list(range(10)))
    project.log.link([(9, 7, "same DOI")], reviewer="ann")
    project.log.remove([(8, "language", "not English")], reviewer="ann")
    project.log.decide("abstract", [{"record_id": 4, "label": Label.EXCLUDE}], reviewer="ann")
    found = {one.named: (one.state, one.record_id, one.rank) for one in papers(project)}
    assert found[PAPERS[2]] == ("unscreened", 7, None)  # the ranking is of other records
    assert found[PAPERS[1]] == ("elsewhere", 8, None) and found[PAPERS[5]] == ("screened", 4, None)


def test_they_change_nothing_that_is_said_of_recall(project):
    with_papers = as_json(status(project.snapshot()))
    project.change_protocol(parse(PROTOCOL), reviewer="ann")
    without = as_json(status(project.snapshot()))
    assert with_papers.pop("key_papers") and without.pop("key_papers") == []
    assert with_papers == without


def test_the_protocol_keeps_them_and_the_form_shows_them():
    protocol = parse(LISTED)
    assert protocol.key_papers == PAPERS and parse(write("", protocol)) == protocol
    assert checked(fields_of(protocol, ""), protocol) == protocol
    with pytest.raises(InputError, match="key_papers must be a list of DOIs, PMIDs or titles"):
        parse('key_papers = ["--"]')
    assert in_words([]) == [] and Protocol().key_papers == ()


def test_status_and_the_overview_say_what_became_of_them(triage, review_of):
    made = review_of(30, 'key_papers = ["10.1000/none"]\n' + PROTOCOL)
    assert made.json("status", "r.triage")["key_papers"] == [
        {
            "named": "10.1000/none",
            "state": "missing",
            "record_id": None,
            "rank": None,
            "among": None,
            "ranks_badly": False,
        }
    ]
    said = made("status", "r.triage")
    assert "Key papers   0 of 1 is among the records." in said
    assert "Missing, so the search may miss others like it: 10.1000/none." in said


def test_the_overview_shows_them_as_text(review):
    with review(30, 'key_papers = ["<img src=x> none"]\n' + PROTOCOL) as project, alone(project) as ann:
        page = ann.get("/overview").text
        assert 'id="key-papers"' in page and "&lt;img" in page and "<img src=x" not in page
        project.change_protocol(parse(PROTOCOL), reviewer="ann")
        assert 'id="key-papers"' not in ann.get("/overview").text
