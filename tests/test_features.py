"""Word and character counts beside those of scikit-learn."""

import csv
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import DEMO
from hypothesis import given, strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from triage import features
from triage.errors import InputError
from triage.features import terms, views


@pytest.mark.parametrize("texts", [["", ""], ["a"], ["the the", "the the"], ["x y"]])
def test_views_of_hardly_any_text(texts):
    views = features.build_views(
        features.Texts.of(texts, [""] * len(texts)), ["words", "letters", "titles"], include=["peer"]
    )
    assert views.n == len(texts) and all(m.shape[0] == len(texts) for m in views.matrices.values())


ODD_TEXTS = [
    "",
    "a",
    "ab",
    "abc  d\u00a0e\tf ab",
    "\u0130stanbul \u4e2d\u6587\u7814 \U0001f600x",
    "x" * 300,
    "peer-support of peers, peer support",
]


def real_texts():
    with (DEMO / "labels.csv").open(encoding="utf-8", newline="") as file:
        return [row["title"] for row in csv.DictReader(file)][:300]


@pytest.mark.parametrize(
    "view, options",
    [
        ("words", dict(ngram_range=(1, 2), min_df=1, max_df=0.95)),
        ("letters", dict(analyzer="char_wb", ngram_range=(2, 4), min_df=2, max_df=0.95)),
        ("titles", dict(ngram_range=(1, 2))),
    ],
)
def test_terms_and_weights_are_those_of_scikit_learn(view, options):
    texts = [*real_texts(), *ODD_TEXTS, "the same words here", "the same words here"]
    theirs = TfidfVectorizer(sublinear_tf=True, **options)
    ours, expected = counted(views._VECTORIZERS[view](), texts), theirs.fit_transform(texts)
    several = np.bincount(expected.indices, minlength=expected.shape[1]) > 1
    assert ours.matrix.shape[1] - len(texts) == several.sum()
    assert abs(ours.matrix @ ours.matrix.T - expected @ expected.T).max() < 1e-5
    queries = ["a systematic review of air pollution", "unheardof wordsonly", ""]
    assert abs(ours.cosines(queries) - expected @ theirs.transform(queries).T).max() < 1e-5
    if view != "letters":
        sums = np.asarray(ours.matrix.sum(axis=0)).ravel()
        names = {name: sums[column] for text in texts for column, name in ours.names(text).items()}
        expected_sums = np.asarray(expected.sum(axis=0)).ravel()
        expected_names = theirs.get_feature_names_out()
        assert names == pytest.approx(dict(zip(expected_names[several], expected_sums[several], strict=True)))


@given(st.lists(st.text(max_size=30), min_size=2, max_size=6))
def test_terms_of_any_text_are_those_of_scikit_learn(texts):
    texts = [*texts, "common words", "common words"]
    for view, options in (
        ("words", dict(ngram_range=(1, 2))),
        ("letters", dict(analyzer="char_wb", ngram_range=(2, 4))),
    ):
        ours = counted(features.terms.Tfidf(views._VECTORIZERS[view]().terms), texts)
        expected = TfidfVectorizer(sublinear_tf=True, **options).fit_transform(texts)
        assert abs(ours.matrix @ ours.matrix.T - expected @ expected.T).max() < 1e-6


def counted(maker, texts, page=100, folder=None):
    for start in range(0, len(texts), page):
        maker.take(maker.count(texts[start : start + page]), folder)
    return maker.finish(lambda name, shape, dtype: np.empty(shape, dtype))


def test_many_pages_on_the_disk_give_what_one_in_memory_gives(tmp_path, monkeypatch):
    texts = [*real_texts(), *ODD_TEXTS]
    whole = counted(views._VECTORIZERS["words"](), texts, page=1000)
    monkeypatch.setattr(terms, "_IN_MEMORY", 500)
    monkeypatch.setattr(terms, "_SORTED_AT_ONCE", 700)
    parts = counted(views._VECTORIZERS["words"](), texts, page=7, folder=tmp_path)
    assert (whole.matrix != parts.matrix).nnz == 0
    assert (whole.cosines(["peer support", "zzz"]) == parts.cosines(["peer support", "zzz"])).all()


def test_views_are_kept_and_no_text_is_read_again(tmp_path):
    titles, reads = [*real_texts(), *ODD_TEXTS], []

    def read():
        reads.append(1)
        return iter([(title, "") for title in titles])

    def build(fingerprint, question="support by peers"):
        return features.build_views(
            features.Texts(len(titles), read, fingerprint),
            ["words", "letters", "titles"],
            question=question,
            cache_dir=tmp_path,
        )

    fresh, again = build("a"), build("a")
    assert len(reads) == 1
    for name, matrix in fresh.matrices.items():
        assert (matrix != again.matrices[name]).nnz == 0
    assert (fresh.criteria["words"] == again.criteria["words"]).all()
    other = build("a", "air pollution")  # a criterion that is changed reads nothing either
    assert len(reads) == 1 and (other.criteria["words"] != fresh.criteria["words"]).any()
    plain = features.build_views(features.Texts.of(titles, [""] * len(titles)), ["words"], question="air pollution")
    assert (other.criteria["words"] == plain.criteria["words"]).all()
    assert again.names["words"]("systematic review of zebras").keys() <= set(range(again.matrices["words"].shape[1]))
    for number, fingerprint in enumerate("bcde", 2):  # only those of the last few texts stay
        build(fingerprint)
        assert len(reads) == number
    assert len(list((tmp_path / "views").glob("words.*"))) == 3
    build("a")
    assert len(reads) == 6


def test_a_view_half_made_or_cut_off_is_made_anew(tmp_path):
    texts = features.Texts(2, lambda: iter([("peer support", ""), ("peer review", "")]), "a")

    def build():
        return features.build_views(texts, ["words"], cache_dir=tmp_path).matrices["words"].toarray()

    expected = build()
    (folder,) = (tmp_path / "views").iterdir()
    (folder / "whole").unlink()
    (folder / "data.npy").write_bytes(b"")
    assert (build() == expected).all() and folder.exists()  # another program may be making it
    os.utime(folder, (0, 0))
    newer = next(other for other in (tmp_path / "views").iterdir() if other != folder)
    with (newer / "data.npy").open("r+b") as file:
        file.truncate(130)
    assert (build() == expected).all() and not folder.exists()  # a day later it was left behind


def test_a_cache_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "views").write_text("in the way")
    texts = features.Texts(1, lambda: iter([("peer support", "")]), "a")
    with pytest.raises(InputError, match="cache .* cannot be written"):
        features.build_views(texts, ["words"], cache_dir=tmp_path)


def test_many_at_once_make_and_read_the_same_views(tmp_path):
    """Threads that find nothing kept, and others that push the views of older texts out."""
    titles = real_texts()[:40]
    expected = features.build_views(features.Texts.of(titles, [""] * 40), ["words"]).matrices["words"].toarray()

    def build(number):
        texts = features.Texts(40, lambda: iter([(title, "") for title in titles]), f"texts {number % 5}")
        return features.build_views(texts, ["words", "titles"], cache_dir=tmp_path).matrices["words"].toarray()

    with ThreadPoolExecutor(8) as pool:
        for made in pool.map(build, range(80)):
            assert (made == expected).all()
