"""Embeddings by every runtime, and the cache that lets them be interrupted."""

import csv
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from conftest import DEMO
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from triage import features
from triage.errors import InputError
from triage.features import seals
from triage.features.encoder import cache, packaged, runtime, sentence, tokens, watching
from triage.features.encoder.runtime import Runtime
from triage.records import content_hash

TEXTS = [
    "Peer support workers in mental health services.",
    "Steel bridges corrode in sea air.",
    "",
    "Peer support workers in mental health services.",
]
WORDS = "peer support steel bridge worker health recovery service bacteria soil".split()

needs_openvino = pytest.mark.skipif(not runtime._openvino_is_there(), reason="openvino is not installed")
needs_bfloat16 = pytest.mark.skipif("avx512_bf16" not in runtime.processor()[0], reason="a processor without bfloat16")


@pytest.fixture(autouse=True, scope="module")
def converted(tmp_path_factory):
    """Keep converted models of these tests in a folder of their own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIAGE_CACHE", str(folder))
        yield folder / "models"


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Start without converted models, and forget what is loaded afterwards."""
    sentence._encoder.cache_clear()
    monkeypatch.setenv("TRIAGE_CACHE", str(tmp_path / "own"))
    yield tmp_path / "own" / "models"
    sentence._encoder.cache_clear()


class Counting(sentence.SentenceEmbedding):
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
    return Counting()


def tiny_model(folder, pooling="mean", last=(), **settings):
    """Save a transformer of one layer with ten words; return its folder."""
    from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel, BertTokenizerFast

    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    import torch

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=15,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder / "bert")
    word = models.Transformer(str(folder / "bert"))
    modules = [word, models.Pooling(32, pooling_mode=pooling), *(make() for make in last)]
    SentenceTransformer(modules=modules, device="cpu", **settings).save(str(folder / "model"))
    return folder / "model"


def sentences(n):
    rng = np.random.default_rng(n)
    return [" ".join(rng.choice(WORDS, size)) for size in rng.integers(0, 90, n)]


def plain(folder, texts):
    """Encode by sentence-transformers alone, in float32."""
    from sentence_transformers import SentenceTransformer

    vectors = SentenceTransformer(str(folder), device="cpu", local_files_only=True).encode(
        texts, show_progress_bar=False
    )
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_packaged_model_tells_texts_apart():
    seen = []
    vectors = sentence.SentenceEmbedding().transform(TEXTS, lambda done, total: seen.append((done, total)))
    assert vectors.shape == (4, 384) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert vectors[0] @ vectors[1] < 0.3 and vectors[0] @ vectors[3] > 0.999
    assert seen[-1] == (4, 4)
    assert sentence.SentenceEmbedding().transform([]).shape == (0, 384)


@pytest.fixture(scope="module")
def abstracts():
    """Give 40 real abstracts with titles, and what float32 makes of them."""
    with (DEMO / "web_of_science.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Abstract"]][-40:]
    texts = [f"{row['Article Title']} {row['Abstract']}" for row in rows]
    return texts, plain(packaged.model_folder(features.PACKAGED_MODEL), texts)


@pytest.mark.parametrize(
    "library, precision",
    [
        ("torch", "float32"),
        pytest.param("torch", "bfloat16", marks=needs_bfloat16),
        pytest.param("openvino", "float32", marks=needs_openvino),
        pytest.param("openvino", "int8", marks=needs_openvino),
        pytest.param("openvino", "bfloat16", marks=[needs_openvino, needs_bfloat16]),
    ],
)
def test_every_runtime_agrees_with_float32(abstracts, converted, library, precision):
    texts, expected = abstracts
    vectors = sentence.SentenceEmbedding(runtime=Runtime(library, "cpu", precision)).transform(texts)
    cosines = (vectors * expected).sum(axis=1)
    assert cosines.min() >= (0.99999 if precision == "float32" else 0.999)
    if precision in ("int8", "bfloat16"):
        assert cosines.min() < 0.999999, "computed in float32"
    if library == "openvino":
        assert list(converted.glob(f"*-{precision}-openvino-*/model.xml"))


@pytest.mark.parametrize(
    "able, is_intel, with_openvino, without",
    [
        ({"avx2", "avx512_bf16", "avx512_vnni", "amx_bf16"}, True, "bfloat16", "bfloat16"),
        ({"avx2", "avx512_bf16", "avx512_vnni"}, True, "int8", "float32"),
        ({"avx2", "avx512_bf16", "avx512_vnni"}, False, "bfloat16", "bfloat16"),
        ({"avx2", "avx_vnni"}, True, "int8", "float32"),
        ({"avx2"}, False, "float32", "float32"),
    ],
)
def test_the_runtime_follows_the_processor(monkeypatch, able, is_intel, with_openvino, without):
    folder = packaged.model_folder(features.PACKAGED_MODEL)
    monkeypatch.setattr("triage.features.encoder.runtime.processor", lambda: (frozenset(able), is_intel))
    monkeypatch.setattr("triage.features.encoder.runtime._cuda_is_there", lambda: False)
    for there, precision in ((True, with_openvino), (False, without)):
        monkeypatch.setattr("triage.features.encoder.runtime._openvino_is_there", lambda there=there: there)
        expected = Runtime("openvino" if there else "torch", "cpu", precision)
        assert runtime.fastest_runtime(folder) == runtime.fastest_runtime(folder, "cpu") == expected
    monkeypatch.setattr("triage.features.encoder.runtime.processor", lambda: (frozenset({"asimd"}), False))
    monkeypatch.setattr("triage.features.encoder.runtime._openvino_is_there", lambda: True)
    assert runtime.fastest_runtime(folder) == Runtime("torch", "cpu", "float32")


def test_what_this_processor_can_do_is_read_alike_from_linux_and_from_torch(monkeypatch):
    import torch

    if not hasattr(torch.cpu, "get_capabilities") or not Path("/proc/cpuinfo").exists():
        pytest.skip("one of the two is not there")
    told, is_intel = runtime.processor.__wrapped__()
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError()))
    asked, is_intel_too = runtime.processor.__wrapped__()
    names = {"avx2", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16"}
    assert told & names == asked & names and is_intel == is_intel_too


def dense():
    from sentence_transformers import models

    return models.Dense(32, 16)


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "cls"},
        {"pooling": "max"},
        {"pooling": ("mean", "max")},
        {"last": [dense]},
        {"prompts": {"all": "peer support peer support "}, "default_prompt_name": "all"},
    ],
    ids=str,
)
def test_a_model_of_another_kind_stays_with_torch(tmp_path, options):
    folder = tiny_model(tmp_path, **options)
    assert runtime.fastest_runtime(folder).library == "torch"
    texts = [*sentences(70), ""]
    made = sentence.SentenceEmbedding(str(folder), max_tokens=64, runtime=Runtime("torch", "cpu", "float32")).transform(
        texts
    )
    assert (made * plain(folder, texts)).sum(axis=1).min() > 0.99999


@pytest.mark.parametrize("library", ["torch", pytest.param("openvino", marks=needs_openvino)])
def test_a_local_folder_is_a_model(tmp_path, library):
    folder = tiny_model(tmp_path)
    texts = [*sentences(70), "", "Unheard PEER"]

    def vectors(max_tokens):
        return sentence.SentenceEmbedding(
            str(folder), max_tokens, runtime=Runtime(library, "cpu", "float32")
        ).transform(texts)

    short, whole = vectors(16), vectors(256)
    assert (whole * plain(folder, texts)).sum(axis=1).min() > 0.99999, "64 tokens, as the model says"
    assert (short * whole).sum(axis=1).min() < 0.999
    assert short == pytest.approx(vectors(16), abs=1e-6)
    backwards = sentence.SentenceEmbedding(str(folder), runtime=Runtime(library, "cpu", "float32")).transform(
        texts[::-1]
    )
    assert backwards[::-1] == pytest.approx(whole, abs=1e-5)


def test_a_pooling_of_another_kind_is_cut_where_asked(tmp_path):
    folder = tiny_model(tmp_path, pooling="cls")
    runtime = Runtime("torch", "cpu", "float32")
    texts = sentences(40)
    whole = sentence.SentenceEmbedding(str(folder), 64, runtime=runtime).transform(texts)
    sentence.SentenceEmbedding(str(folder), 8, runtime=runtime).transform(texts)
    assert sentence.SentenceEmbedding(str(folder), 64, runtime=runtime).transform(texts) == pytest.approx(
        whole, abs=1e-6
    )


@pytest.mark.parametrize("able", [{"avx2"}, set()], ids=["openvino", "torch"])
def test_the_key_covers_the_runtime_and_its_version(monkeypatch, able):
    monkeypatch.setattr("triage.features.encoder.runtime.processor", lambda: (frozenset(able), True))
    version = metadata.version
    versions = {"openvino": "2026.4.1", "torch": "2.13.0+cpu"}
    monkeypatch.setattr(metadata, "version", lambda name: versions.get(name) or version(name))
    extractor, library = sentence.SentenceEmbedding(), "openvino" if able else "torch"
    before = extractor.key()
    assert before == extractor.key() != sentence.SentenceEmbedding(max_tokens=128).key()
    assert before != sentence.SentenceEmbedding(runtime=Runtime(library, "cpu", "bfloat16")).key()
    versions[library] = "9999+cpu"
    assert extractor.key() != before


@pytest.mark.parametrize(
    "version, is_there",
    [("2026.4.1-22982", True), ("2027.0", True), ("2024.6.0", False), ("odd", False), (None, False)],
)
def test_an_openvino_that_is_too_old_is_left_alone(monkeypatch, version, is_there):
    def told(name):
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", told)
    assert runtime._openvino_is_there() is is_there


@needs_openvino
def test_a_converted_model_needs_torch_no_more(abstracts):
    texts, _expected = abstracts
    runtime = Runtime("openvino", "cpu", "float32")
    sentence.SentenceEmbedding(runtime=runtime).transform(texts[:1])
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import sys; from triage.features.encoder import Runtime, SentenceEmbedding; "
                "print(SentenceEmbedding(runtime=Runtime('openvino', 'cpu', 'float32')).transform(['peer support']).shape, "
                "*({'torch', 'sentence_transformers', 'transformers'} & set(sys.modules)))"
            ),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "(1, 384)\n" and not told.stderr


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-40])


def zeroed(path):
    """Do what a crash of the machine does: the file has its length and nothing in it."""
    path.write_bytes(bytes(path.stat().st_size))


def half_written(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


DAMAGES = pytest.mark.parametrize("damage", [cut_short, zeroed, half_written, Path.unlink])


@needs_openvino
@pytest.mark.parametrize("file", ["model.xml", "model.bin", "tokenizer.json", "whole"])
@DAMAGES
def test_a_damaged_converted_model_is_converted_again(tmp_path, own_cache, caplog, file, damage):
    extractor = sentence.SentenceEmbedding(str(tiny_model(tmp_path)), runtime=Runtime("openvino", "cpu", "float32"))
    expected = extractor.transform(TEXTS)
    (home,) = own_cache.iterdir()
    damage(home / file)
    sentence._encoder.cache_clear()
    assert np.array_equal(extractor.transform(TEXTS), expected)
    assert seals.files(home) and list(own_cache.iterdir()) == [home]
    told = [record.getMessage() for record in caplog.records if record.name.startswith("triage")]
    if file == "whole" and damage is Path.unlink:  # as if it had never been finished
        assert not told
    else:
        assert len(told) == 1 and str(home) in told[0] and "damaged" in told[0]


@needs_openvino
def test_where_no_cache_can_be_written_the_model_is_converted_each_time(tmp_path, monkeypatch):
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("TRIAGE_CACHE", str(tmp_path / "a file"))
    folder = tiny_model(tmp_path)
    made = sentence.SentenceEmbedding(str(folder), runtime=Runtime("openvino", "cpu", "float32")).transform(TEXTS)
    assert (made * plain(folder, TEXTS)).sum(axis=1).min() > 0.99999


def spoilt(model):
    """Stand in for rounding with one that loses too much."""
    from openvino import opset13 as operations

    for node in model.get_ordered_ops():
        if node.get_type_name() == "MatMul" and node.input_value(1).get_node().get_type_name() == "Constant":
            weight = node.input_value(1).get_node().get_data()
            node.input(1).replace_source_output(operations.constant(np.round(weight)).output(0))
    return 0


@needs_openvino
def test_a_precision_that_loses_too_much_is_not_used(tmp_path, own_cache, monkeypatch):
    monkeypatch.setattr("triage.features.encoder.on_openvino._to_int8", spoilt)
    folder = tiny_model(tmp_path)
    extractor = sentence.SentenceEmbedding(str(folder), runtime=Runtime("openvino", "cpu", "int8"))
    assert (extractor.transform(TEXTS) * plain(folder, TEXTS)).sum(axis=1).min() > 0.99999
    assert len(list(own_cache.iterdir())) == 1, "the float32 model in its place is kept"


@needs_openvino
def test_a_model_that_openvino_computes_otherwise_stays_with_torch(tmp_path, own_cache, monkeypatch):
    monkeypatch.setattr("triage.features.encoder.on_openvino._AGREES", 1.1)
    folder = tiny_model(tmp_path)
    extractor = sentence.SentenceEmbedding(str(folder), runtime=Runtime("openvino", "cpu", "float32"))
    assert (extractor.transform(TEXTS) * plain(folder, TEXTS)).sum(axis=1).min() > 0.999
    assert not own_cache.exists()


@needs_openvino
def test_a_conversion_reports_nothing_to_anyone(tmp_path, own_cache, monkeypatch):
    telemetry = pytest.importorskip("openvino_telemetry")
    started = []
    monkeypatch.setattr(telemetry.Telemetry, "init", lambda self, *args: started.append(args))
    sentence.SentenceEmbedding(str(tiny_model(tmp_path)), runtime=Runtime("openvino", "cpu", "float32")).transform(
        TEXTS
    )
    assert list(own_cache.iterdir()) and not started


@pytest.mark.parametrize("library", ["torch", pytest.param("openvino", marks=needs_openvino)])
def test_an_encoding_can_be_interrupted_between_batches(tmp_path, library):
    import torch

    extractor = sentence.SentenceEmbedding(str(tiny_model(tmp_path)), runtime=Runtime(library, "cpu", "float32"))
    texts, threads = sentences(400), torch.get_num_threads()
    expected = extractor.transform(texts)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extractor.transform(texts, interrupt)
    assert torch.get_num_threads() == threads
    assert extractor.transform(texts) == pytest.approx(expected, abs=1e-6)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="no model folder"):
        sentence.SentenceEmbedding(str(tmp_path / "none")).transform(["x"])
    with pytest.raises(InputError, match="not a model that sentence-transformers can load"):
        sentence.SentenceEmbedding(str(tmp_path)).transform(["x"])
    with pytest.raises(InputError, match="there are auto, cpu and cuda"):
        sentence.SentenceEmbedding(device="gpu").transform(["x"])


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("triage.features.encoder.runtime._cuda_is_there", lambda: False)
    with pytest.raises(InputError, match="no CUDA device"):
        sentence.SentenceEmbedding(device="cuda").transform(["x"])


@pytest.fixture
def own_packaged(tmp_path, monkeypatch):
    """Give a folder like that of the packaged model, in its place."""
    (original,) = {path.parent for path in packaged.packaged_weights()[:1]}
    folder = tmp_path / "packaged"
    shutil.copytree(original, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    (folder / "model.safetensors").symlink_to(original / "model.safetensors")
    monkeypatch.setattr(packaged, "packaged_weights", lambda: [folder / "model.safetensors"])
    return folder


def test_of_the_packaged_model_a_change_to_any_file_is_noticed(own_packaged):
    assert packaged.model_folder(features.PACKAGED_MODEL) == own_packaged
    files = [file for file in own_packaged.rglob("*") if file.is_file()]
    read = [file for file in files if file.name not in ("README.md", ".gitattributes", "data_config.json")]
    assert len(read) == 10
    for file in read:
        content = file.read_bytes()
        file.unlink()
        with pytest.raises(InputError, match="is missing: it is not the model that triage was tested with"):
            sentence.SentenceEmbedding().key()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(InputError, match=f"{file.name} was changed"):
            sentence.SentenceEmbedding().transform(["x"])
        file.write_bytes(content)
        sentence.SentenceEmbedding().key()


@pytest.mark.parametrize("name", ["added_tokens.json", "adapter_config.json", "2_Normalize/config.json", "a.py"])
def test_what_is_put_beside_the_packaged_model_is_noticed(own_packaged, name):
    (own_packaged / name).parent.mkdir(exist_ok=True)
    (own_packaged / name).write_text("{}")
    with pytest.raises(InputError, match="does not belong there"):
        sentence.SentenceEmbedding().transform(["x"])


def test_the_cache_encodes_each_text_once(tmp_path, counting):
    first = cache.embed(TEXTS, counting, cache_dir=tmp_path)
    assert sorted(counting.encoded) == sorted(set(TEXTS))
    again = cache.embed(["new", *TEXTS], counting, cache_dir=tmp_path)
    assert counting.encoded[3:] == ["new"] and np.array_equal(again[1:], first)
    assert not list(tmp_path.glob("*.tmp"))


def test_another_parameter_is_another_cache(tmp_path, counting):
    cache.embed(TEXTS, counting, cache_dir=tmp_path)
    cache.embed(TEXTS, Counting(max_tokens=128), cache_dir=tmp_path)
    assert len(counting.encoded) == 6


def test_an_interrupted_encoding_goes_on_where_it_was(tmp_path, counting, monkeypatch):
    monkeypatch.setattr("triage.features.encoder.cache.PART", 64)
    monkeypatch.setattr("triage.features.encoder.cache._SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr("triage.features.encoder.cache._SAVE_SHARE", np.inf)
    texts = [f"text {i}" for i in range(200)]
    monkeypatch.setattr(Counting, "fail_after", 100)
    with pytest.raises(KeyboardInterrupt):
        cache.embed(texts, counting, cache_dir=tmp_path)
    done = len(counting.encoded)
    monkeypatch.setattr(Counting, "fail_after", None)
    out = cache.embed(texts, counting, cache_dir=tmp_path)
    assert done >= 100 and len(counting.encoded) == 200
    assert np.array_equal(out, Counting().transform(texts))


def damaged_head(path):
    """Spoil what numpy parses at the beginning of the file."""
    content = path.read_bytes()
    path.write_bytes(content[:20] + b"(\xff[" + content[23:])


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut_short, zeroed, half_written, damaged_head, emptied])
def test_a_damaged_cache_is_made_again(tmp_path, counting, caplog, damage):
    expected = cache.embed(TEXTS, counting, cache_dir=tmp_path)
    (path,) = tmp_path.glob("*.npy")
    damage(path)
    for _ in range(2):
        assert np.array_equal(cache.embed(TEXTS, counting, cache_dir=tmp_path), expected)
    assert len(counting.encoded) == 6, "encoded again once"
    assert [str(path) in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("field", ["hash", "vector", "checksum", slice(None)])
def test_vectors_that_were_never_written_are_computed_again_and_only_they(tmp_path, counting, caplog, field):
    texts = [f"text {i}" for i in range(20)]
    expected = cache.embed(texts, counting, cache_dir=tmp_path)
    (path,) = tmp_path.glob("*.npy")
    stored = np.load(path, mmap_mode="r+")
    if isinstance(field, str):
        stored[field][5:8] = np.zeros(3, stored.dtype)[field]
    else:
        stored[5:8] = np.zeros(3, stored.dtype)
    stored.flush()
    lost = len(texts)
    for _ in range(2):
        assert np.array_equal(cache.embed(texts, counting, cache_dir=tmp_path), expected)
    assert len(counting.encoded) == lost + 3
    assert len(caplog.records) == 1


def test_two_that_write_the_same_cache_at_once_both_get_their_vectors(tmp_path, counting, monkeypatch):
    """Another process replaces the file before and after this one does, each time without this one's vectors."""
    monkeypatch.setattr("triage.features.encoder.cache.PART", 4)
    monkeypatch.setattr("triage.features.encoder.cache._SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr("triage.features.encoder.cache._SAVE_SHARE", np.inf)
    texts = [f"text {i}" for i in range(12)]
    expected = Counting().transform(texts)
    others = tmp_path / "others"
    cache.embed(["another text"], counting, cache_dir=others)
    (theirs,) = others.glob("*.npy")
    replace = Path.replace

    def crossing(self, target):
        replace(self, target)
        copy = target.with_name("copy")
        copy.write_bytes(theirs.read_bytes())
        replace(copy, target)

    monkeypatch.setattr(Path, "replace", crossing)
    assert np.array_equal(cache.embed(texts, counting, cache_dir=tmp_path), expected)
    monkeypatch.setattr(Path, "replace", replace)
    again = cache.embed([*texts, "another text"], counting, cache_dir=tmp_path)
    assert np.array_equal(again[:-1], expected)


def test_the_first_inference_is_made_by_the_thread_that_asks_before_any_other():
    """What a runtime sets up once must not be set up by two threads at the same moment: OpenVINO then hangs for ever."""
    threads = []

    def run(ids, mask, segments):
        threads.append(threading.get_ident())
        return np.ones((len(ids), 4), np.float32)

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "a": 1}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    encode = tokens.TokenEncoder(tokenizer, run, 4, 2, 8)
    assert encode(["a a", "a a a a a a", "a"], lambda done: None).shape == (3, 4)
    assert threads[0] == threading.get_ident() and threading.get_ident() not in threads[1:]
    before = len(threads)
    encode(["a"], lambda done: None)
    assert len(threads) == before + 1 and threads[-1] != threading.get_ident()


class Slow:
    """An encoder that is stuck, or slow, for texts that say so."""

    def __init__(self):
        self.asked = 0

    def __call__(self, texts, tick):
        self.asked += 1
        for done, text in enumerate(texts, 1):
            time.sleep({"stuck": 60, "slow": 0.2}.get(text, 0))
            if text == "wrong":
                raise ValueError("wrong")
            tick(done)
        return np.zeros((len(texts), 2), np.float32)


@pytest.fixture
def watched(monkeypatch):
    """Give (the encoder under watch, what it watches), which is given up after half a second."""
    monkeypatch.setattr("triage.features.encoder.watching._STUCK_SECONDS", 0.5)
    slow = Slow()
    return watching.WatchedEncoder(lambda: slow, lambda: lambda texts, tick: np.ones((len(texts), 2))), slow


def test_an_encoding_without_progress_is_given_up_and_done_by_torch(watched, caplog):
    encode, slow = watched
    assert not encode(["a", "b"], lambda done: None).any()
    began = time.monotonic()
    assert encode(["a", "stuck"], lambda done: None).all()
    assert encode(["a", "stuck"], lambda done: None).all(), "and not tried again"
    assert 0.5 < time.monotonic() - began < 5
    assert slow.asked == 3  # the first of all, to have it initialised
    assert ["torch" in record.getMessage() for record in caplog.records] == [True]


def test_an_encoding_that_is_slow_is_not_given_up(watched, caplog):
    encode, _ = watched
    seen = []
    assert not encode(["slow"] * 5, seen.append).any() and seen == [1, 2, 3, 4, 5]
    assert not caplog.records


def test_threads_that_are_stuck_together_give_up_together(watched, caplog):
    encode, _ = watched
    with ThreadPoolExecutor(4) as pool:
        assert all(made.all() for made in pool.map(lambda _: encode(["stuck"], lambda done: None), range(4)))
    assert len(caplog.records) == 1


def test_what_goes_wrong_under_watch_is_raised_to_who_asked(watched):
    encode, _ = watched
    with pytest.raises(ValueError, match="wrong"):
        encode(["a", "wrong"], lambda done: None)


def test_a_model_that_does_not_load_is_given_up(monkeypatch, caplog):
    monkeypatch.setattr("triage.features.encoder.watching._LOADING_SECONDS", 0.2)
    encode = watching.WatchedEncoder(lambda: time.sleep(60), lambda: lambda texts, tick: np.ones((len(texts), 2)))
    assert encode(["a"], lambda done: None).all() and len(caplog.records) == 1
