"""What the models read of a record: word and character counts, sentence embeddings, nearness to the criteria."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

PACKAGED_MODEL = "all-minilm-l6-v2"
LONE_TERMS = "(terms of this record alone)"


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
    cache_dir: Path | None = None, progress: Callable[[int, int], None] | None = None,
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
            # Loaded here: it needs scikit-learn, and what reads no vectors does without.
            from .embedding import SentenceEmbedding, embed

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
    return of_length_one(vectors - vectors.mean(axis=0, keepdims=True))


def of_length_one(rows: np.ndarray) -> np.ndarray:
    """Return rows of length one; a row of zeros stays."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)
