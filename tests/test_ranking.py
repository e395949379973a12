"""Presets, the blend, ASReview's ELAS u4 to the very position, the criteria before the labels."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone

from conftest import SHARED
from triage import features, metrics, ranking
from triage.errors import InputError

TUNE = SHARED / "data" / "screening" / "tune"
TITLES = ["peer support in mental health", "bacteria in soil", "peer workers and recovery", "steel bridges in sea air", "peer support online"]
ABSTRACTS = ["adults support each other", "nitrogen in roots", "", "beams corrode", "support over the internet of adults"]


@pytest.fixture(scope="module")
def views():
    return features.build_views(
        TITLES, ABSTRACTS, ["words", "characters", "titles"], include=["Peer support of adults"], exclude=["Over the internet"])


def test_presets_are_data_and_name_their_parameters():
    presets = ranking.presets()
    assert {"default", "elas-u4", "fast"} <= set(presets)
    elas = presets["elas-u4"]
    assert (elas.balance, elas.scores, elas.views) == (9.8, (ranking.Score("words", "svm", 1.0, 0.11),), ("words",))
    assert elas.parameters()["scores"] == [{"view": "words", "score": "svm", "weight": 1.0, "C": 0.11}]
    assert "embedding" not in presets["fast"].views
    with pytest.raises(InputError, match="no model preset 'nope'.*default"):
        ranking.load_preset("nope")


def test_a_folder_is_the_default_with_its_encoder(tmp_path):
    preset = ranking.load_preset(str(tmp_path))
    assert preset.encoder == str(tmp_path) and preset.scores == ranking.load_preset("default").scores


def test_balanced_weights_by_hand():
    # n1 = 1, n0 = 4, ratio 2: irrelevant 1/8 each, sum 1.5, rescaled to 5.
    weights = ranking.balanced_weights(np.array([1, 0, 0, 0, 0]), 2.0)
    assert weights == pytest.approx([10 / 3] + [5 / 12] * 4)
    assert weights[0] / weights[1:].sum() == pytest.approx(2.0)


def test_before_both_labels_the_criteria_rank(views):
    preset = ranking.load_preset("fast")
    nothing = np.array([], int)
    scores = ranking.score(preset, views, nothing, nothing)
    assert set(np.argsort(-scores)[:2]) == {0, 4} and scores.mean() == pytest.approx(0, abs=1e-6)
    assert np.array_equal(ranking.score(preset, views, np.array([0]), np.array([1])), scores)
    without = replace(views, criteria={})
    assert ranking.score(preset, without, np.array([0]), np.array([1])) is None
    assert ranking.score(ranking.load_preset("elas-u4"), views, nothing, nothing) is None


def test_exclusion_criteria_count_against(views):
    preset = replace(ranking.load_preset("fast"), criteria={"words": 1.0, "words_excluded": -1.0})
    scores = ranking.criteria_scores(preset, views)
    assert scores[4] < ranking.criteria_scores(replace(preset, criteria={"words": 1.0}), views)[4]


def test_the_criteria_fade_as_relevant_records_are_found(views):
    preset = ranking.load_preset("fast")
    rows, y = np.array([0, 2, 1]), np.array([1, 1, 0])
    learned = ranking.score(preset, replace(views, criteria={}), rows, y)
    added = ranking.score(preset, views, rows, y) - ranking.standardised(learned)
    k = preset.criteria_fade
    assert added == pytest.approx(preset.criteria_weight * k / (k + 2) * ranking.criteria_scores(preset, views), abs=1e-6)


def test_labels_teach(views):
    scores = ranking.score(ranking.load_preset("fast"), replace(views, criteria={}), np.array([0, 1]), np.array([1, 0]))
    assert set(np.argsort(-scores)[:3]) == {0, 2, 4}


def test_a_ranker_is_a_scikit_learn_estimator(views):
    preset = ranking.load_preset("fast")
    ranker = ranking.Ranker(preset.scores, preset.balance, preset.rank_weight)
    copy = clone(ranker).fit(views, np.array([1, 0, 1, 0, 1]))
    assert copy.get_params()["balance"] == 9.8 and not hasattr(ranker, "svms_")
    assert copy.decision_function(views).shape == (5,)


def test_nearest_by_hand(views):
    ranker = ranking.Ranker([ranking.Score("words", "nearest", 1.0)]).fit(views[[0, 1]], np.array([1, 0]))
    words = views.matrices["words"].toarray()
    assert ranker.decision_function(views) == pytest.approx(words @ words[0])


def test_ranks_are_among_the_open_records():
    assert ranking._ranks(np.array([5.0, 3.0, 9.0, 3.0]), np.array([True, True, False, True])).tolist() == [1, 2, 0, 2] or (
        ranking._ranks(np.array([5.0, 3.0, 9.0, 3.0]), np.array([True, True, False, True]))[[0, 1, 3]].tolist() == [1, 2, 2])


def test_explanations_add_up_to_the_score(views):
    preset = ranking.load_preset("elas-u4")
    rows, y = np.array([0, 1, 3]), np.array([1, 0, 0])
    parts = ranking.explain(preset, views, views.terms["words"](), rows, y, 2, n=1000)
    machine = ranking.Ranker(preset.scores, preset.balance).fit(views[rows], y)
    assert sum(w for _, w in parts) + machine.svms_[0].intercept_[0] == pytest.approx(machine.decision_function(views)[2])
    assert any(term == "peer" and weight > 0 for term, weight in parts)
    assert ranking.explain(preset, views, views.terms["words"](), rows[:1], y[:1], 2) == []


# The 36 positions at which ASReview 2.2 finds the relevant records of meijboom_2021 after the priors.
MEIJBOOM = [1, 2, 11, 13, 20, 26, 29, 33, 34, 35, 36, 37, 38, 40, 41, 44, 46, 51, 53, 55, 61, 64, 65, 67, 68, 69, 71, 72, 73, 79, 109,
            125, 141, 144, 203, 427]
# As `asreview simulate --prior-idx 1 0` found those of donners_2021 (version 2.2, seed 1).
DONNERS = [1, 2, 3, 5, 8, 14, 16, 18, 23, 32, 33, 35, 39, 95]


def screened(name, preset, priors, batch):
    """Screen a labelled review to its end; return the labels in screening order, priors left out."""
    csv.field_size_limit(10**9)
    with (TUNE / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    y = np.array([int(row["label"]) for row in table])
    preset = ranking.load_preset(preset)
    views = features.build_views([r["title"] for r in table], [r["abstract"] for r in table], preset.views)
    rows = list(priors)
    trained_on = 0
    while len(rows) < len(y):
        if len(rows) - trained_on >= batch(trained_on):
            scores = ranking.score(preset, views, np.array(rows), y[rows])
            trained_on = len(rows)
        scores[rows] = -np.inf
        rows += ranking.best_first(scores, 1).tolist()
    return y[rows[len(priors):]]


needs_tune = pytest.mark.skipif(not TUNE.is_dir(), reason="shared/data/screening is not there")


@needs_tune
@pytest.mark.parametrize("name, priors, expected", [("meijboom_2021", [65, 5], MEIJBOOM), ("donners_2021", [1, 0], DONNERS)])
def test_elas_u4_finds_every_record_where_asreview_does(name, priors, expected):
    labels = screened(name, "elas-u4", priors, lambda labelled: 1)
    assert np.flatnonzero(labels).tolist() == expected


@needs_tune
def test_more_views_save_work_on_a_tune_set():
    """The study over all sets is in docs/ranking-log.md; this one set guards against a slip."""
    work = {
        preset: metrics.work_to_recall(screened("meijboom_2021", preset, [65, 5], lambda labelled: max(1, labelled // 20)), 0.95)
        for preset in ("elas-u4", "fast")
    }
    assert work["fast"] <= work["elas-u4"]
