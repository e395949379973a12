"""Embeddings by the packaged model and by local folders, and the cache that lets them be interrupted."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from conftest import DEMO
from triage import features
from triage.errors import InputError
from triage.records import content_hash

TEXTS = ["Peer support workers in mental health services.", "Steel bridges corrode in sea air.", "", "Peer support workers in mental health services."]


class Counting(features.SentenceEmbedding):
    """An extractor without a model that counts what it is asked and can be interrupted."""

    encoded: list[str] = []
    fail_after: int | None = None

    def key(self):
        return f"counting-{self.max_tokens}"

    def transform(self, texts, progress=None):
        if self.fail_after is not None and len(self.encoded) >= self.fail_after:
            raise KeyboardInterrupt
        self.encoded.extend(texts)
        if progress is not None:
            progress(len(texts), len(texts))
        return np.array([np.frombuffer(content_hash(t), np.uint8)[:4] for t in texts], np.float32)


@pytest.fixture
def counting(monkeypatch):
    monkeypatch.setattr(Counting, "encoded", [])
    monkeypatch.setattr(Counting, "fail_after", None)
    return Counting(batch_size=1)


def test_the_packaged_model_tells_texts_apart():
    seen = []
    vectors = features.SentenceEmbedding().transform(TEXTS, lambda done, total: seen.append((done, total)))
    assert vectors.shape == (4, 384) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=2e-3)
    assert vectors[0] @ vectors[1] < 0.3 and vectors[0] @ vectors[3] > 0.999
    assert seen[-1] == (4, 4)


def test_bfloat16_agrees_with_float32(monkeypatch):
    texts = [f"{t} {i}" for i in range(4) for t in TEXTS[:2]]
    fast = features.SentenceEmbedding().transform(texts)
    monkeypatch.setattr(features.SentenceEmbedding, "_dtype_name", lambda self: "float32")
    exact = features.SentenceEmbedding().transform(texts)
    assert (fast * exact).sum(axis=1).min() > 0.999


def test_a_local_folder_is_a_model(tmp_path):
    from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel, BertTokenizerFast

    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "peer", "support", "steel"]))
    BertTokenizerFast(vocab_file=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "bert")
    config = BertConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    BertModel(config).save_pretrained(tmp_path / "bert")
    word = models.Transformer(str(tmp_path / "bert"))
    SentenceTransformer(modules=[word, models.Pooling(8)], device="cpu").save(str(tmp_path / "model"))
    extractor = features.SentenceEmbedding(str(tmp_path / "model"))
    assert extractor.transform(["peer support", "steel"]).shape == (2, 8)
    assert extractor.key() != features.SentenceEmbedding().key() != features.SentenceEmbedding(max_tokens=128).key()


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="no model folder"):
        features.SentenceEmbedding(str(tmp_path / "none")).transform(["x"])
    with pytest.raises(InputError, match="no model that sentence-transformers can load"):
        features.SentenceEmbedding(str(tmp_path)).transform(["x"])
    with pytest.raises(InputError, match="no CUDA device"):
        features.SentenceEmbedding(device="cuda").transform(["x"])


def test_changed_weights_are_noticed(tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(b"other")
    monkeypatch.setattr(features, "_packaged_weights", lambda: [tmp_path / "model.safetensors"])
    with pytest.raises(InputError, match="not the model that triage was tested with"):
        features.SentenceEmbedding().key()


def test_the_cache_encodes_each_text_once(tmp_path, counting):
    first = features.embed(TEXTS, counting, cache_dir=tmp_path)
    assert sorted(counting.encoded) == sorted(set(TEXTS))
    again = features.embed(["new", *TEXTS], counting, cache_dir=tmp_path)
    assert counting.encoded[3:] == ["new"] and np.array_equal(again[1:], first)
    assert not list(tmp_path.glob("*.tmp"))


def test_another_parameter_is_another_cache(tmp_path, counting):
    features.embed(TEXTS, counting, cache_dir=tmp_path)
    features.embed(TEXTS, Counting(batch_size=1, max_tokens=128), cache_dir=tmp_path)
    assert len(counting.encoded) == 6


def test_an_interrupted_encoding_goes_on_where_it_was(tmp_path, counting, monkeypatch):
    monkeypatch.setattr(features, "_SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(features, "_SAVE_SHARE", np.inf)
    texts = [f"text {i}" for i in range(200)]
    monkeypatch.setattr(Counting, "fail_after", 100)
    with pytest.raises(KeyboardInterrupt):
        features.embed(texts, counting, cache_dir=tmp_path)
    done = len(counting.encoded)
    monkeypatch.setattr(Counting, "fail_after", None)
    out = features.embed(texts, counting, cache_dir=tmp_path)
    assert done >= 100 and len(counting.encoded) == 200
    assert np.array_equal(out, Counting(batch_size=1).transform(texts))


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY broken", b"x" * 500])
def test_a_damaged_cache_is_made_anew(tmp_path, counting, damage):
    expected = features.embed(TEXTS, counting, cache_dir=tmp_path)
    (path,) = tmp_path.glob("*.npy")
    path.write_bytes(damage)
    assert np.array_equal(features.embed(TEXTS, counting, cache_dir=tmp_path), expected)


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
