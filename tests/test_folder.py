"""Models of other kinds by their folder: pooling, prompts, title and abstract as pairs, another encoder for queries."""

import json
import shutil
from functools import partial
from importlib import metadata

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from triage import features
from triage.errors import InputError
from triage.features.encoder import cache, recipe, runtime
from triage.features.encoder.runtime import Runtime
from triage.features.encoder.sentence import SentenceEmbedding

WORDS = "peer support steel bridge worker health recovery service bacteria soil query passage : title".split()
EXACT = Runtime("torch", "cpu", "float32")
TITLES = ["peer support", "steel bridge bridge", "", "soil bacteria", "health"]
ABSTRACTS = ["worker health recovery " * 3, "steel steel", "peer worker", "", "service " * 80]


@pytest.fixture(autouse=True, scope="module")
def converted(tmp_path_factory):
    """Keep converted models of these tests in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIAGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def plain(path, seed=0, width=32, settings=""):
    """Save a transformer of two layers without a pooling; return its folder."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    path.mkdir(parents=True, exist_ok=True)
    (path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    BertTokenizerFast(vocab_file=str(path / "vocab.txt")).save_pretrained(path)
    torch.manual_seed(seed)
    BertModel(
        BertConfig(
            vocab_size=5 + len(WORDS),
            hidden_size=width,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.5,
        )
    ).save_pretrained(path)
    if settings:
        (path / "triage.toml").write_text(settings)
    return path


def whole(path, pooling="mean", prompts=None, **options):
    """Save a sentence-transformers folder."""
    from sentence_transformers import SentenceTransformer, models

    word = models.Transformer(str(plain(path / "parts")))
    model = SentenceTransformer(
        modules=[word, models.Pooling(32, pooling_mode=pooling)], prompts=prompts, device="cpu", **options
    )
    model.save(str(path / "model"))
    return path / "model"


def by_transformers(path, texts, pairs=None, pooling="cls", longest=64):
    """Encode by transformers' own tokenizer and model, one text at a time."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()
    rows = []
    for i, text in enumerate(texts):
        asked = [text] if pairs is None else [[text, pairs[i]]]
        given = tokenizer(asked, truncation=True, max_length=longest, return_tensors="pt")
        with torch.inference_mode():
            tokens = model(**given).last_hidden_state[0]
        rows.append({"cls": tokens[0], "mean": tokens.mean(0), "max": tokens.max(0).values}[pooling].numpy())
    return of_length_one(np.array(rows))


def of_length_one(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def records(path):
    """Encode the titles and abstracts as records."""
    extractor = SentenceEmbedding(str(path), runtime=EXACT)
    recipe = extractor.recipe()
    return extractor.transform([recipe.text(t, a) for t, a in zip(TITLES, ABSTRACTS, strict=True)])


def queries(path, texts):
    return SentenceEmbedding(str(path), runtime=EXACT).of_queries().transform(texts)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_a_plain_folder_is_pooled_as_its_settings_say(tmp_path, pooling):
    path = plain(tmp_path, settings=f'pooling = "{pooling}"')
    joined = [f"{t} {a}" for t, a in zip(TITLES, ABSTRACTS, strict=True)]
    expected = by_transformers(path, joined, pooling=pooling)
    assert records(path) == pytest.approx(expected, abs=2e-6)
    others = {"cls", "mean", "max"} - {pooling}
    assert all(np.abs(expected - by_transformers(path, joined, pooling=other)).max() > 0.01 for other in others)
    assert SentenceEmbedding(str(path), runtime=EXACT).transform([]).shape == (0, 32)


def test_pairs_are_the_two_segments_of_the_tokenizer(tmp_path):
    path = plain(tmp_path, settings='pooling = "cls"\npairs = true\nlongest = 40')
    expected = by_transformers(path, TITLES, ABSTRACTS, longest=40)
    assert records(path) == pytest.approx(expected, abs=2e-6)
    # Were the segments left out, or one text made of both, the vectors would be others.
    one = by_transformers(path, [f"{t}[SEP]{a}" for t, a in zip(TITLES, ABSTRACTS, strict=True)], longest=40)
    assert np.abs(expected[0] - one[0]).max() > 0.01


@pytest.mark.parametrize(
    "name, named",
    [
        ("specter2_base", ""),
        ("model", "allenai/specter2_aug2023refresh_base"),
        ("allenai-specter", ""),
        ("m", "malteos/scincl"),
        ("models--allenai--specter2_base/snapshots/3447645e1def9117997203454fa4495937bfbd83", ""),
    ],
)
def test_specter_and_its_like_are_known(tmp_path, name, named):
    path = plain(tmp_path / name)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"_name_or_path": named}))
    expected = by_transformers(path, [f"{t}[SEP]{a}" for t, a in zip(TITLES, ABSTRACTS, strict=True)])
    assert records(path) == pytest.approx(expected, abs=2e-6)
    assert queries(path, ["peer support"]) == pytest.approx(by_transformers(path, ["peer support"]), abs=2e-6)


@pytest.mark.parametrize(
    "articles, others",
    [
        ("MedCPT-Article-Encoder", "MedCPT-Query-Encoder"),
        ("models--ncbi--MedCPT-Article-Encoder/snapshots/aaa", "models--ncbi--MedCPT-Query-Encoder/snapshots/bbb"),
    ],
)
def test_medcpt_encodes_criteria_by_its_other_encoder(tmp_path, articles, others):
    path, other = plain(tmp_path / articles), plain(tmp_path / others, seed=1)
    found = by_transformers(path, TITLES, ABSTRACTS)
    asked = by_transformers(other, ["peer support", "health"])
    assert records(path) == pytest.approx(found, abs=2e-6)
    assert queries(path, ["peer support", "health"]) == pytest.approx(asked, abs=2e-6)
    assert np.abs(asked - by_transformers(path, ["peer support", "health"])).max() > 0.01
    with pytest.raises(InputError, match="MedCPT's encoder of queries; give the folder of MedCPT-Article-Encoder"):
        records(other)


def test_medcpt_without_its_encoder_of_queries_is_refused(tmp_path):
    with pytest.raises(InputError, match="put the folder MedCPT-Query-Encoder beside it"):
        records(plain(tmp_path / "MedCPT-Article-Encoder"))
    (tmp_path / "MedCPT-Article-Encoder" / "triage.toml").write_text('query_encoder = "../elsewhere"')
    with pytest.raises(InputError, match="query_encoder .*elsewhere is not a folder of a model"):
        records(tmp_path / "MedCPT-Article-Encoder")
    plain(tmp_path / "elsewhere", width=16)
    with pytest.raises(InputError, match="vectors of 16 numbers and .* of 32"):
        records(tmp_path / "MedCPT-Article-Encoder")
    plain(tmp_path / "elsewhere", seed=1)
    asked = by_transformers(tmp_path / "elsewhere", ["peer"])
    assert queries(tmp_path / "MedCPT-Article-Encoder", ["peer"]) == pytest.approx(asked, abs=2e-6)


def test_criteria_are_queries_and_records_are_documents(tmp_path, monkeypatch):
    monkeypatch.setattr("triage.features.encoder.sentence.fastest_runtime", lambda folder, device="auto": EXACT)
    path, other = plain(tmp_path / "MedCPT-Article-Encoder"), plain(tmp_path / "MedCPT-Query-Encoder", seed=1)
    build = partial(
        features.build_views,
        features.Texts.of(TITLES, ABSTRACTS),
        ["embedding"],
        encoder=str(path),
        question="peer support",
        include=["worker health"],
        exclude=["soil"],
        cache_dir=tmp_path / "cache",
    )
    made = build()
    found = by_transformers(path, TITLES, ABSTRACTS)
    asked = by_transformers(other, ["peer support worker health", "peer support", "worker health", "soil"])
    near = found @ asked.T
    assert made.criteria["whole"] == pytest.approx(near[:, 0], abs=1e-5)
    assert made.criteria["each"] == pytest.approx(near[:, 1:3].mean(axis=1), abs=1e-5)
    assert made.criteria["excluded"] == pytest.approx(near[:, 3], abs=1e-5)
    assert made.matrices["embedding"] == pytest.approx(features.centred(found), abs=1e-5)
    monkeypatch.setattr("triage.features.encoder.sentence._encoder", lambda *_: pytest.fail("encoded again"))
    again = build()
    assert np.array_equal(again.criteria["whole"], made.criteria["whole"])


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("name", ["passage", "document"])
@pytest.mark.parametrize("library", ["torch", "openvino"])
def test_prompts_are_those_of_sentence_transformers(tmp_path, pooling, name, library):
    from sentence_transformers import SentenceTransformer

    if library == "openvino" and (pooling != "mean" or not runtime._openvino_is_there()):
        pytest.skip("not computed by openvino")
    path = whole(tmp_path, pooling, {"query": "query : ", name: "passage : "})
    theirs = SentenceTransformer(str(path), device="cpu")
    joined = [f"{t} {a}" for t, a in zip(TITLES, ABSTRACTS, strict=True)]
    ours = SentenceEmbedding(str(path), runtime=Runtime(library, "cpu", "float32"))
    # With an empty prompt for documents of its own, version 6 never comes to that for passages.
    encode_document = theirs.encode_document if name == "document" else partial(theirs.encode, prompt_name=name)
    for texts, extractor, encode in ((joined, ours, encode_document), (TITLES, ours.of_queries(), theirs.encode_query)):
        made = extractor.transform(texts)
        assert (made * of_length_one(encode(texts))).sum(axis=1).min() > 0.99999
        assert (made * of_length_one(theirs.encode(texts))).sum(axis=1).min() < 0.999, "the prompt counts"


def test_settings_beside_a_sentence_transformers_folder_add_to_it(tmp_path):
    from sentence_transformers import SentenceTransformer

    path = whole(tmp_path, "cls")
    bare = records(path)
    (path / "triage.toml").write_text('separator = "[SEP]"\nquery_prompt = "query : "\ndocument_prompt = "title : "')
    theirs = SentenceTransformer(str(path), device="cpu")
    joined = [f"{t}[SEP]{a}" for t, a in zip(TITLES, ABSTRACTS, strict=True)]
    assert records(path) == pytest.approx(of_length_one(theirs.encode([f"title : {t}" for t in joined])), abs=2e-6)
    assert queries(path, ["peer"]) == pytest.approx(of_length_one(theirs.encode(["query : peer"])), abs=2e-6)
    assert np.abs(records(path) - bare).max() > 0.01


def test_a_prompt_may_be_left_out_of_the_mean(tmp_path):
    from sentence_transformers import SentenceTransformer

    path = whole(tmp_path, "mean", {"query": "query : ", "document": "passage : "})
    (config,) = path.glob("*Pooling/config.json")
    config.write_text(json.dumps(json.loads(config.read_text()) | {"include_prompt": False}))
    theirs = SentenceTransformer(str(path), device="cpu")
    texts = ["peer support worker", "soil"]
    assert runtime.fastest_runtime(path).library == "torch"
    made = SentenceEmbedding(str(path), runtime=EXACT).transform(texts)
    assert made == pytest.approx(of_length_one(theirs.encode_document(texts)), abs=2e-6)


def test_a_router_takes_criteria_and_records_apart(tmp_path):
    from sentence_transformers import SentenceTransformer, models

    def parts(name, seed):
        return [models.Transformer(str(plain(tmp_path / name, seed=seed))), models.Pooling(32)]

    path = tmp_path / "model"
    router = models.Router.for_query_document(parts("queries", 1), parts("documents", 2))
    SentenceTransformer(modules=[router], device="cpu").save(str(path))
    texts = ["peer support", "soil"]
    asked, found = queries(path, texts), SentenceEmbedding(str(path), runtime=EXACT).transform(texts)
    assert asked == pytest.approx(by_transformers(tmp_path / "queries", texts, pooling="mean"), abs=2e-6)
    assert found == pytest.approx(by_transformers(tmp_path / "documents", texts, pooling="mean"), abs=2e-6)
    assert key(path) != key(path, "query")


def test_weights_of_a_larger_model_are_read(tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    path = plain(tmp_path, settings='pooling = "cls"')
    BertForMaskedLM(BertConfig.from_pretrained(path)).save_pretrained(path)
    joined = [f"{t} {a}" for t, a in zip(TITLES, ABSTRACTS, strict=True)]
    assert records(path) == pytest.approx(by_transformers(path, joined), abs=2e-6)


def test_a_text_is_cut_to_the_places_that_a_model_has(tmp_path):
    path = plain(tmp_path, settings='pooling = "cls"')
    assert recipe.read_recipe(path).longest == 64
    # RoBERTa's first places, up to that of padding, are no text's.
    told(model_type="roberta", pad_token_id=1)(path)
    assert recipe.read_recipe(path).longest == 62
    told(max_position_embeddings=4096)(path)
    assert recipe.read_recipe(path).longest == 512


# -- keys of the cache --------------------------------------------------------------------------


@pytest.fixture
def versions(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "1.0")


def key(path, role="document", **options):
    return SentenceEmbedding(str(path), runtime=EXACT, role=role, **options).key()


def test_the_keys_of_models_that_need_nothing_are_what_they_were(tmp_path, versions):
    """Computed before there were recipes: vectors in reviews' caches stay valid."""
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert key(tmp_path) == key(tmp_path, "query") == "b6300a09c5965cbe516cf386"
    assert key(features.PACKAGED_MODEL) == key(features.PACKAGED_MODEL, "query") == "092ea6820d5ee892db4ca135"
    int8 = SentenceEmbedding(runtime=Runtime("openvino", "cpu", "int8"))
    assert int8.key() == int8.of_queries().key() == "7a4fe702e0fb158ae42dc68d"
    assert SentenceEmbedding().recipe().text("A title", "and more") == "A title and more"


def test_the_key_covers_what_the_settings_say(tmp_path):
    path = plain(tmp_path, settings='pooling = "cls"')
    keys = {key(path)}
    for settings in (
        'pooling = "mean"',
        'pooling = "cls"\nlongest = 32',
        'pooling = "cls"\ndocument_prompt = "title : "',
    ):
        (path / "triage.toml").write_text(settings)
        keys.add(key(path))
    assert len(keys) == 4
    assert key(path) != key(path, "query"), "one has a prompt"
    (path / "triage.toml").write_text('pooling = "cls"\nseparator = "[SEP]"')
    assert recipe.read_recipe(path).text("a", "b") == "a[SEP]b"


def test_the_key_of_queries_follows_their_own_encoder(tmp_path):
    path, other = plain(tmp_path / "MedCPT-Article-Encoder"), plain(tmp_path / "MedCPT-Query-Encoder", seed=1)
    before = key(path), key(path, "query")
    assert before[0] != before[1]
    plain(other, seed=2)
    assert key(path) == before[0] and key(path, "query") != before[1]


def test_prompts_of_a_sentence_transformers_folder_are_in_the_key(tmp_path):
    path = whole(tmp_path)
    assert key(path) == key(path, "query")
    told = path / "config_sentence_transformers.json"
    settings = json.loads(told.read_text())
    keys = set()
    for prompts in ({"query": "query : "}, {"query": "query : ", "passage": "passage : "}):
        told.write_text(json.dumps(settings | {"prompts": prompts}))
        keys |= {key(path), key(path, "query")}
    assert len(keys) == 4


# -- folders that are refused ---------------------------------------------------------------------


def no_tokenizer(path):
    for name in ("tokenizer.json", "vocab.txt"):
        (path / name).unlink(missing_ok=True)


def cut_off(path):
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def pickled(path):
    torch.save(load_file(path / "model.safetensors"), path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()


def of_git_lfs(path):
    (path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n")


def not_a_number(path):
    weights = load_file(path / "model.safetensors")
    save_file({name: value * torch.nan for name, value in weights.items()}, path / "model.safetensors")


def half_the_weights(path):
    weights = load_file(path / "model.safetensors")
    save_file({name: value for name, value in weights.items() if "layer.1" not in name}, path / "model.safetensors")


def told(**changes):
    def change(path):
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps(config | changes))

    return change


def written(settings):
    return lambda path: (path / "triage.toml").write_text(settings)


def adapter(path):
    shutil.rmtree(path)
    path.mkdir()
    (path / "adapter_config.json").write_text("{}")


@pytest.mark.parametrize(
    "damage, sentence",
    [
        (lambda path: (path / "triage.toml").unlink(), r'write .*triage.toml with pooling = "cls", "mean" or "max"'),
        (written("pooling = 3"), "pooling must be a text in quotes, and is 3"),
        (written('pooling = "last"'), """pooling = 'last'; there are "cls", "mean" and "max"."""),
        (written('poling = "cls"'), "no setting 'poling'; there are pooling"),
        (written("pooling = cls"), "cannot be read as TOML"),
        (written('pooling = "cls"\nlongest = true'), "longest must be a whole number"),
        (written('pooling = "cls"\nlongest = 512'), "longest = 512, but the model reads 64 tokens at most"),
        (written('pooling = "cls"\nlongest = 2'), "needs three tokens at least"),
        (written('pooling = "cls"\npairs = true\nseparator = "[SEP]"'), "no separator between them"),
        (adapter, "holds only an adapter"),
        (no_tokenizer, "holds no tokenizer"),
        (cut_off, r"model.safetensors is cut off or damaged: .* bytes of .*; copy it again"),
        (lambda path: (path / "model.safetensors").write_bytes(b"\x10"), "is cut off or damaged; copy it again"),
        (lambda path: (path / "model.safetensors").unlink(), "holds no weights"),
        (pickled, "pytorch_model.bin is a pickle, which can run any code"),
        (of_git_lfs, "a pointer of Git LFS"),
        (not_a_number, "gives vectors that are not numbers"),
        (half_the_weights, "The weights in .* are not those of its config.json: 16 tensors are missing"),
        (told(hidden_size=0), "is not a model that"),
        (told(hidden_size=64), "is not a model that"),
        (told(model_type="unheard-of"), "is not a model that"),
        (lambda path: (path / "config.json").write_text("{"), "config.json cannot be read as JSON"),
        (lambda path: (path / "config.json").write_text("[]"), "is not a table of settings"),
        (lambda path: (path / "tokenizer.json").write_text("{"), "is not a model that"),
    ],
)
def test_a_folder_that_is_no_model_is_refused_in_one_sentence(tmp_path, damage, sentence):
    path = plain(tmp_path / "model", settings='pooling = "cls"')
    damage(path)
    with pytest.raises(InputError, match=sentence) as caught:
        records(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "damage, sentence",
    [
        (written('pooling = "cls"'), "pooling is for a plain transformers folder"),
        (written("pairs = true"), "pairs is for a plain transformers folder"),
        (lambda path: (path / "modules.json").write_text("{"), "cannot be read as a list of modules"),
        (lambda path: (path / "modules.json").write_text('[{"type": 3}]'), "cannot be read as a list of modules"),
        (pickled, "is a pickle"),
        (cut_off, "is cut off or damaged"),
        (no_tokenizer, "holds no tokenizer"),
        (not_a_number, "gives vectors that are not numbers"),
    ],
)
def test_a_sentence_transformers_folder_is_refused_in_one_sentence(tmp_path, damage, sentence):
    path = whole(tmp_path)
    damage(path)
    with pytest.raises(InputError, match=sentence):
        records(path)


# -- folders that would run code ----------------------------------------------------------------


class Evil:
    """Leaves a trace where it is read as a pickle."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")


def modules_of(path, change):
    modules = json.loads((path / "modules.json").read_text())
    change(modules)
    (path / "modules.json").write_text(json.dumps(modules))


def own_code(path, trace):
    (path / "evil.py").write_text(f"open({str(trace)!r}, 'w')\nclass Module: pass\n")
    modules_of(path, lambda modules: modules[1].update(type="evil.Module"))


def of_another_package(path, trace):
    modules_of(path, lambda modules: modules[1].update(type="antigravity.Module"))


def reached_through(path, trace):
    """Name what sentence-transformers' own module imports: its `load` reads any pickle."""
    torch.save(Evil(trace), path / "model")
    modules_of(
        path, lambda modules: modules[1].update(type="sentence_transformers.base.modules.module.torch", path="model")
    )


def elsewhere(path, trace):
    modules_of(path, lambda modules: modules[1].update(path="../parts"))


def in_a_router(path, trace):
    own_code(path, trace)
    modules_of(path, lambda modules: modules[1].update(type="sentence_transformers.models.Router", path="router"))
    (path / "router").mkdir()
    types = {"query_0_M": "evil.Module"}
    settings = {"types": types, "structure": {"query": ["query_0_M"]}, "parameters": {}}
    (path / "router" / "router_config.json").write_text(json.dumps(settings))


def adapted(path, trace):
    (path / "adapter_config.json").write_text('{"base_model_name_or_path": "../parts"}')


def dense(path, trace):
    """Add a layer whose weights are a pickle beside other weights that are none."""
    (path / "2_Dense").mkdir()
    torch.save(Evil(trace), path / "2_Dense" / "pytorch_model.bin")
    shutil.copyfile(path / "model.safetensors", path / "2_Dense" / "other.safetensors")
    modules_of(
        path,
        lambda modules: modules.append(
            {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
        ),
    )


@pytest.mark.parametrize(
    "change, sentence",
    [
        (own_code, "module of the type 'evil.Module', which could run code"),
        (of_another_package, "module of the type 'antigravity.Module'"),
        (reached_through, "module of the type 'sentence_transformers.base.modules.module.torch'"),
        (in_a_router, "router_config.json names a module of the type 'evil.Module'"),
        (elsewhere, "a module outside its own folder"),
        (adapted, "holds an adapter"),
        (dense, "pytorch_model.bin is a pickle"),
    ],
)
def test_a_folder_that_would_run_code_is_refused_before_anything_is_loaded(tmp_path, change, sentence):
    path, trace = whole(tmp_path), tmp_path / "trace"
    change(path, trace)
    for ask in (lambda: SentenceEmbedding(str(path)).key(), lambda: records(path)):
        with pytest.raises(InputError, match=sentence) as caught:
            ask()
        assert "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("saved", ["model_args", "model_kwargs"])
def test_a_pickle_is_not_read_even_where_the_folder_asks_for_it(tmp_path, saved):
    path, trace = whole(tmp_path), tmp_path / "trace"
    expected = records(path)
    torch.save(Evil(trace), path / "pytorch_model.bin")
    asked = {"use_safetensors": False, "weights_only": False, "trust_remote_code": True}
    (path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 64, saved: asked}))
    assert records(path) == pytest.approx(expected, abs=1e-6)
    assert not trace.exists()
    torch.load(path / "pytorch_model.bin", weights_only=False)
    assert trace.exists(), "read, it runs what it holds"


def test_vectors_that_are_no_numbers_are_not_kept(tmp_path):
    path = plain(tmp_path / "model", settings='pooling = "cls"')
    not_a_number(path)
    with pytest.raises(InputError, match="not numbers"):
        cache.embed(["peer support"], SentenceEmbedding(str(path), runtime=EXACT), cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.npy"))
