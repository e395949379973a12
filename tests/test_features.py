"""Word and character counts beside those of scikit-learn."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from conftest import DEMO
from triage import features


@pytest.mark.parametrize("texts", [["", ""], ["a"], ["the the", "the the"], ["x y"]])
def test_views_of_hardly_any_text(texts):
    views = features.build_views(texts, [""] * len(texts), ["words", "characters", "titles"], include=["peer"])
    assert views.n == len(texts) and all(m.shape[0] == len(texts) for m in views.matrices.values())


ODD_TEXTS = ["", "a", "ab", "abc  d\u00a0e\tf ab", "\u0130stanbul \u4e2d\u6587\u7814 \U0001f600x", "x" * 300, "peer-support of peers, peer support"]


def real_texts():
    with (DEMO / "labels.csv").open(encoding="utf-8", newline="") as file:
        return [row["title"] for row in csv.DictReader(file)][:300]


@pytest.mark.parametrize("view, options", [
    ("words", dict(ngram_range=(1, 2), min_df=1, max_df=0.95)),
    ("characters", dict(analyzer="char_wb", ngram_range=(3, 5), min_df=2, max_df=0.95)),
    ("titles", dict(ngram_range=(1, 2))),
])
def test_terms_and_weights_are_those_of_scikit_learn(view, options):
    texts = [*real_texts(), *ODD_TEXTS, "the same words here", "the same words here"]
    ours, theirs = features._VECTORIZERS[view](), TfidfVectorizer(sublinear_tf=True, **options)
    matrix, expected = ours.fit_transform(texts), theirs.fit_transform(texts)
    assert matrix.shape == expected.shape and matrix.nnz == expected.nnz
    assert abs(matrix @ matrix.T - expected @ expected.T).max() < 1e-5
    queries = ["a systematic review of air pollution", "unheardof wordsonly", ""]
    products = matrix @ ours.transform(queries).T
    assert abs(products - expected @ theirs.transform(queries).T).max() < 1e-5
    if view != "characters":
        names = dict(zip(ours.terms.names(ours.keys_), np.asarray(matrix.sum(axis=0)).ravel(), strict=True))
        sums = np.asarray(expected.sum(axis=0)).ravel()
        assert names == pytest.approx(dict(zip(theirs.get_feature_names_out(), sums, strict=True)))


@given(st.lists(st.text(max_size=30), min_size=2, max_size=6))
def test_terms_of_any_text_are_those_of_scikit_learn(texts):
    texts = [*texts, "common words", "common words"]
    for view, options in (("words", dict(ngram_range=(1, 2))), ("characters", dict(analyzer="char_wb", ngram_range=(3, 5)))):
        ours = features.Tfidf(features._VECTORIZERS[view]().terms)
        matrix, expected = ours.fit_transform(texts), TfidfVectorizer(sublinear_tf=True, **options).fit_transform(texts)
        assert matrix.shape == expected.shape and abs(matrix @ matrix.T - expected @ expected.T).max() < 1e-6
