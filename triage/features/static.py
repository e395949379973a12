"""Vectors of texts from one fixed vector for each word piece: a mean, no transformer and no torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .. import bundled
from .views import of_length_one

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class StaticEmbedding:
    """The sum of the vectors of a text's word pieces, each times 1 + ln of how often it is there, of length one.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n_pieces, d)
        Row i is the vector of the piece that the tokenizer numbers i.
    tokenizer : tokenizers.Tokenizer
    """

    VERSION = 1  # counted up when the vectors, or what is made of them, change

    def __init__(self, vectors: np.ndarray, tokenizer: Tokenizer) -> None:
        self._vectors = vectors
        self._tokenizer = tokenizer
        self.width = vectors.shape[1]

    @classmethod
    def packaged(cls) -> StaticEmbedding:
        """Return the one that comes with triage, made from the default sentence encoder."""
        return _packaged()

    def transform(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts, shape (n, d), float32; zeros for a text without any piece."""
        from scipy import sparse

        pieces = [
            np.array(found.ids, np.int64)
            for found in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        ]
        n_pieces = len(self._vectors)
        text = np.repeat(np.arange(len(texts)), [len(found) for found in pieces])
        keys, times = np.unique(text * n_pieces + np.concatenate([*pieces, np.zeros(0, np.int64)]), return_counts=True)
        ends = np.searchsorted(keys, np.arange(len(texts) + 1) * n_pieces)
        weights = (1 + np.log(times)).astype(np.float32)
        counted = sparse.csr_array((weights, keys % n_pieces, ends), shape=(len(texts), n_pieces))
        return of_length_one(counted @ self._vectors)


@lru_cache(maxsize=1)
def _packaged() -> StaticEmbedding:
    from tokenizers import Tokenizer

    with np.load(bundled.path("models/static.npz")) as file:
        tokenizer = Tokenizer.from_str(file["tokenizer"].tobytes().decode())
        vectors = file["vectors"].astype(np.float32) * file["scale"][:, None]
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return StaticEmbedding(vectors, tokenizer)
