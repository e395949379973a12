"""Key papers: found by DOI, PMID or title, reported where they are missing or rank badly; no evidence on recall."""

import json

import numpy as np
import pytest
from cli_helpers import a_review, a_triage
from conftest import PROTOCOL
from screening_helpers import TWO, at_desk
from test_status import add, new
from web_helpers import alone, opened

from triage import ranking
from triage.as_json import as_json
from triage.errors import InputError
from triage.key_papers import in_words
from triage.log import Label
from triage.protocol import Protocol, parse, write
from triage.ranking import answers
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


@pytest.fixture
def lessons(monkeypatch):
    """All that a learner was taught, by record id, in the order of the lessons; `clear` it to begin anew."""
    seen = []
    call = ranking.Learner.__call__

    def watched(self, rows, y):
        seen.append(dict(zip((np.asarray(rows) + 1).tolist(), np.asarray(y).tolist(), strict=True)))
        return call(self, rows, y)

    monkeypatch.setattr(ranking.Learner, "__call__", watched)
    return seen


def judge(project, **labels):
    ids = {label: [{"record_id": i, "label": label, "reason": ""} for i in some] for label, some in labels.items()}
    for some in ids.values():
        project.log.decide("abstract", some, reviewer="ann")


TAUGHT = 'key_papers = ["title 3", "title 5"]\n' + PROTOCOL


def test_the_ranking_learns_from_them_until_they_are_judged(tmp_path, lessons):
    with new(tmp_path, 30, TAUGHT) as project:
        judge(project, exclude=(1, 2))
        told = answers.rank(project, top=30)
        assert lessons[0] == {1: 0, 2: 0} and told.basis == "criteria"  # which rank better than so few labels
        lessons.clear()
        judge(project, include=(3,))
        told = answers.rank(project, top=30)
        assert lessons[0] == {1: 0, 2: 0, 3: 1, 4: 1, 6: 1} and told.basis == "labels"
        assert told.model["key_papers"] == [4, 6]
        lessons.clear()
        with at_desk(project):
            assert lessons[0] == {1: 0, 2: 0, 3: 1, 4: 1, 6: 1}
        lessons.clear()
        judge(project, exclude=(4,))
        answers.rank(project, top=3)
        assert lessons[0] == {1: 0, 2: 0, 3: 1, 4: 0, 6: 1}
        lessons.clear()
        answers.rank(project, top=3)
        assert not lessons  # nothing is new
        project.change_protocol(parse(TAUGHT.replace(', "title 5"', "")), reviewer="ann")
        answers.rank(project, top=3)
        assert lessons[0] == {1: 0, 2: 0, 3: 1, 4: 0}


def test_without_criteria_they_are_the_first_that_is_known(tmp_path, lessons):
    with new(tmp_path, 30, 'model = "fast"\nkey_papers = ["title 3", "title 5"]\n') as project:
        assert answers.rank(project, top=30).basis == "order"
        judge(project, exclude=(1,))
        lessons.clear()
        assert answers.rank(project, top=30).basis == "labels"
        assert lessons[0] == {1: 0, 4: 1, 6: 1}


def test_no_score_for_the_estimates_comes_from_a_model_that_was_told(tmp_path, lessons):
    """Judged or not, a key paper is taught to none of the models by which it is scored itself."""
    with new(tmp_path, 30, TAUGHT) as project:
        judge(project, include=(4, 7), exclude=(1, 2, 3))
        lessons.clear()
        answers.rank(project, top=3)
        everything, folds = lessons[0], lessons[1:]
        assert everything == {1: 0, 2: 0, 3: 0, 4: 1, 6: 1, 7: 1} and len(folds) == 3
        for record_id in everything:
            assert sum(record_id not in taught for taught in folds) == 1, record_id
        held_out = project.rankings.newest("abstract").held_out
        assert np.flatnonzero(np.isfinite(held_out)).tolist() == [0, 1, 2, 3, 5, 6]
        lessons.clear()
        judge(project, exclude=(8,))
        with at_desk(project) as (session, _):
            session.wait()
        assert all(sum(i not in taught for taught in lessons[1:]) == 1 for i in lessons[0]), lessons


def test_how_one_ranks_is_told_by_what_was_not_told_that_it_is_relevant(project):
    scores, held_out = np.arange(10, 0, -1), np.full(10, np.nan, np.float32)
    held_out[6] = 4.5
    parameters = {"key_papers": [7, 8]}
    project.rankings.save("abstract", Ranking(0, parameters, np.arange(1, 11), scores.astype(np.float32), held_out))
    found = {one.named: (one.rank, one.ranks_badly) for one in papers(project) if one.record_id}
    assert found[PAPERS[0]] == (7, True)  # below 10, 9, 8, 7, 6 and 5
    assert found[PAPERS[1]] == (None, False)  # too few labels to score it without its own
    assert found[PAPERS[5]] == (4, False)  # the ranking has not learned from it


def test_before_there_are_labels_they_are_ranked_by_the_criteria(review):
    with review(30) as project:
        titles = [project.records.one(record_id).title for record_id in (1, 6)]
        project.change_protocol(parse(f"key_papers = {json.dumps(titles)}\n" + PROTOCOL), reviewer="ann")
        told = answers.rank(project, top=30)
        assert told.basis == "criteria"
        ranks = {record.record_id: record.rank for record in told.records}
        found = {one.record_id: (one.rank, one.ranks_badly) for one in papers(project)}
        assert found == {i: (ranks[i], ranks[i] > 15) for i in (1, 6)}


def test_what_they_add_is_explained_to_everybody(tmp_path):
    with new(tmp_path, 30, TAUGHT.replace(PROTOCOL, TWO)) as project:
        judge(project, include=(3,), exclude=(1, 2))
        project.log.decide("abstract", [{"record_id": 1, "label": Label.EXCLUDE}], reviewer="bob")
        facts = answers.explain(project, 10)
        known = {one.record_id: (one.relevant, one.key_paper) for one in facts.known}
        assert known == {1: (False, False), 2: (False, False), 3: (True, False), 4: (True, True), 6: (True, True)}
        for_eve = answers.known_to(project.snapshot(), "abstract", facts, "eve")
        assert {one.record_id for one in for_eve.known} == {4, 6}


def test_a_paper_named_while_screening_teaches_the_open_session(review):
    with review(30) as project, alone(project) as ann:
        opened(ann)
        before = project.rankings.newest("abstract").model["key_papers"]
        title = project.records.one(9).title
        project.change_protocol(parse(f"key_papers = [{json.dumps(title)}]\n" + PROTOCOL), reviewer="ann")
        ann.get("/")
        opened(ann)
        assert before == [] and project.rankings.newest("abstract").model["key_papers"] == [9]


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
