"""Sentence vectors as a transformer of scikit-learn, by the runtime that is fastest on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import astuple
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone

from ...errors import InputError
from ...progress import Tick
from ..views import PACKAGED_MODEL, of_length_one
from .on_openvino import openvino_encoder
from .on_torch import plain_encoder, torch_encoder
from .packaged import model_digest, model_folder
from .recipe import Encoding, Recipe, read_recipe
from .runtime import Runtime, fastest_runtime, fastest_torch
from .tokens import Encoder, Text, load_lock
from .watching import WatchedEncoder

PART = 2048  # texts that are sorted by length, and encoded, together


class SentenceEmbedding(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
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
        other: SentenceEmbedding = clone(self).set_params(role="query")
        return other

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
            model_digest(folder),
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
            When the model cannot be found or read, or the device is not there, or what it gives is not a number.
        """
        folder, encoding, longest = self._way()
        runtime = self.runtime or fastest_runtime(folder, self.device)
        with load_lock:
            encode = _encoder(folder, model_digest(folder), runtime, longest, encoding)
        vectors = []
        for start in range(0, len(texts), PART):
            part = texts[start : start + PART]

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


@lru_cache(maxsize=2)
def _encoder(folder: Path, digest: str, runtime: Runtime, max_tokens: int, encoding: Encoding) -> Encoder:
    """Load a model; those of records and of criteria stay loaded. The digest distinguishes a folder's states."""
    if encoding.pooling:
        return plain_encoder(folder, runtime, max_tokens, encoding)
    if runtime.library == "openvino":

        def on_torch() -> Encoder:
            return torch_encoder(folder, digest, fastest_torch(), max_tokens, encoding)

        try:
            return WatchedEncoder(
                partial(openvino_encoder, folder, digest, runtime, max_tokens, encoding.prompt), instead=on_torch
            )
        except (RuntimeError, ImportError):
            # OpenVINO cannot take every model, nor be loaded on every system; torch always can.
            return on_torch()
    return torch_encoder(folder, digest, runtime, max_tokens, encoding)
