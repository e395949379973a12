"""Texts cut into tokens and encoded in batches of about one size, by several workers."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ...errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

Text = str | tuple[str, str]  # or title and abstract, as two segments
Made = TypeVar("Made")
Encoder = Callable[[Sequence[Text], Callable[[int], None]], np.ndarray]
PROCESSOR_TOKENS = 1024  # in a batch: four long abstracts, with all that is made of them, stay in a core's cache
DEVICE_TOKENS = 65_536
MOST_WORKERS = 16
LONGEST = 512  # tokens, where a model does not say
logger = logging.getLogger(__name__)  # shown on standard error, one line each
load_lock = threading.Lock()  # not every library can be initialised in two threads at once


class TokenEncoder:
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
        self,
        tokenizer: Tokenizer,
        run: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
        width: int,
        workers: int,
        most_tokens: int,
        on_worker: Callable[[], object] | None = None,
        after: Callable[[], object] | None = None,
        prompt: str = "",
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
            shortest = min(texts, key=length_of)
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
            if (segment_ids := segments[row]) is not None:
                segment[i, : len(ids[row])] = segment_ids
        return rows, self._run(padded, mask, segment)


def fast_tokenizer(tokenizer: PreTrainedTokenizerBase, longest: int) -> Tokenizer | None:
    """Return a copy of a tokenizer of transformers that cuts and pads as its model wants it, or None."""
    from tokenizers import Tokenizer

    if not getattr(tokenizer, "is_fast", False) or tokenizer.padding_side != "right" or tokenizer.pad_token_id is None:
        return None
    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.enable_truncation(longest, direction=tokenizer.truncation_side)
    copy.enable_padding(pad_id=tokenizer.pad_token_id)
    return copy


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Tell in one sentence what the libraries say of a folder that they cannot load."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with quiet():
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
            raise InputError(f"{folder} is not a model that sentence-transformers can load ({reason}).") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the loading library's own bars and notices off the terminal."""
    from transformers.utils import logging as transformers_logging

    libraries = [logging.getLogger(name) for name in ("sentence_transformers", "transformers")]
    levels = [library.level for library in libraries]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it has no annotation
    for library in libraries:
        library.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for library, level in zip(libraries, levels, strict=True):
            library.setLevel(level)


def length_of(text: Text) -> int:
    """Return the characters of a text, or of its parts."""
    return len(text) if isinstance(text, str) else sum(map(len, text))
