"""Static vectors by hand, page by page, without torch; stems."""

import subprocess
import sys
import types
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from triage import features, ranking
from triage.errors import InputError
from triage.features import views
from triage.features.static import StaticEmbedding
from triage.features.terms import StemTerms

TEXTS = ["Peer support, peer workers", "", "Steel bridges in sea air", "depression, depressed and Depressive moods"]


@pytest.fixture(scope="module")
def tiny():
    """Four pieces with vectors of two numbers."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "peer": 1, "support": 2, "steel": 3}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    return StaticEmbedding(np.array([[0, 0], [1, 0], [0, 2], [-3, 4]], np.float32), tokenizer)


def test_vectors_by_hand(tiny):
    # peer twice: (1 + ln 2)(1, 0); support once: (0, 2).
    twice = np.array([1 + np.log(2), 2.0])
    made = tiny.transform(["Peer support PEER", "", "steel", "steel and steel", "unknown"])
    assert made == pytest.approx(
        np.array([twice / np.linalg.norm(twice), [0, 0], [-0.6, 0.8], [-0.6, 0.8], [0, 0]]), abs=1e-6
    )
    assert made.dtype == np.float32 and tiny.transform([]).shape == (0, 2)


def test_pages_give_the_rows_that_one_page_gives(monkeypatch):
    texts = [f"{text} {n}" for n in range(40) for text in TEXTS]
    whole = features.build_views(features.Texts.of(texts, texts), ["static", "titles"])
    monkeypatch.setattr("triage.features.views._LETTERS_AT_ONCE", 300)
    parts = features.build_views(features.Texts.of(texts, texts), ["static", "titles"])
    assert np.array_equal(whole.matrices["static"], parts.matrices["static"])
    assert (whole.matrices["titles"] != parts.matrices["titles"]).nnz == 0


def test_the_packaged_vectors_know_what_is_alike():
    illness, disease, bridge = StaticEmbedding.packaged().transform(
        ["mental illness", "psychiatric disorder", "steel bridge"]
    )
    assert illness @ disease > illness @ bridge + 0.1


def test_long_texts_are_read_to_their_end():
    words = "support " * 3000
    one, other = StaticEmbedding.packaged().transform([words, words + "steel"])
    assert not np.array_equal(one, other)


def test_the_view_is_centred_and_kept(tmp_path):
    texts = features.Texts(4, lambda: iter([(text, "") for text in TEXTS]), "of these texts")
    view = features.build_views(texts, ["static"], cache_dir=tmp_path).matrices["static"]
    plain = StaticEmbedding.packaged().transform([f"{text} " for text in TEXTS])
    assert view == pytest.approx(features.centred(plain), abs=1e-6)

    def unreadable():
        raise AssertionError("the texts were read again")

    again = features.build_views(features.Texts(4, unreadable, "of these texts"), ["static"], cache_dir=tmp_path)
    assert np.array_equal(again.matrices["static"], view)


class Lengths:
    """Two numbers of a text: its letters and its words."""

    VERSION = 1
    width = 2

    @classmethod
    def packaged(cls):
        return cls()

    def transform(self, texts):
        return np.array([[len(text), len(text.split())] for text in texts], np.float32).reshape(-1, 2)


def test_a_view_of_vectors_in_its_row_alone_is_made_kept_and_ranked_by(tmp_path, monkeypatch):
    """A class and a row: read in one reading with the others, kept, made anew when it changes, and part of a ranking."""
    module = types.ModuleType("a_view_of_a_test")
    module.Lengths = Lengths
    monkeypatch.setitem(sys.modules, "a_view_of_a_test", module)
    monkeypatch.setitem(views._VECTORS, "lengths", "a_view_of_a_test:Lengths")
    reads = []

    def read():
        reads.append(1)
        return iter([(text, "") for text in TEXTS])

    def build(names=("stems", "static", "lengths")):
        return features.build_views(features.Texts(4, read, "of these texts"), names, cache_dir=tmp_path)

    made = build()
    expected = features.centred(Lengths().transform([f"{text} " for text in TEXTS]))
    assert made.matrices["lengths"] == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(build().matrices["lengths"], made.matrices["lengths"]) and len(reads) == 1
    monkeypatch.setattr(Lengths, "VERSION", 2)
    build()
    assert len(reads) == 2
    preset = replace(
        ranking.load_preset("fast"), scores=(ranking.Score("stems", 0.1, 1.0), ranking.Score("lengths", 0.1, 1.0))
    )
    rows, y = np.array([0, 2]), np.array([1, 0])
    assert ranking.Learner(preset, made).explain(rows, y, 3).parts["lengths"] != 0
    with pytest.raises(
        InputError, match=r"no view 'nope' to rank by; the views are words, .*static, lengths, embedding"
    ):
        build(["nope"])


def test_no_torch_for_the_fast_views():
    code = (
        "import sys; from triage import features; features.build_views(features.Texts.of(['peer support'], ['a b']), "
        "['stems', 'titles', 'static']); print([m for m in ('torch', 'transformers', 'sklearn') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_stems_are_the_first_five_characters_of_words():
    terms = StemTerms()
    keys, stems = terms.keys(TEXTS), Counter()
    for text in TEXTS:
        for word in text.replace(",", "").lower().split():
            stems[word[:5]] += 1
    assert len(keys) == sum(stems.values())
    alone = {text: terms.keys([text]) for text in ("depression", "depre", "depr", "depressed moods")}
    assert alone["depression"] == alone["depre"] == alone["depressed moods"][0] != alone["depr"]
    assert sorted(terms.names(TEXTS[3]).values()) == ["and", "depression, depressed, depressive", "moods"]
