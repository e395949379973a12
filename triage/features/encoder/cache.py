"""Vectors kept on disk, by text."""

from __future__ import annotations

import os
import time
import tokenize
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...progress import Tick
from ...records import content_hash
from .. import seals
from ..kept import new_array
from .sentence import PART, SentenceEmbedding
from .tokens import Text, length_of, logger

_COPIED_AT_ONCE = 1 << 16  # rows
_SAVE_EVERY_SECONDS = 30.0
_SAVE_SHARE = 0.05  # of the time goes at most into saving what an interruption would lose


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
        The folder of the cache; when left out, vectors are kept in memory only.
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
    keys = sorted(missing, key=lambda h: -length_of(missing[h]))
    unsaved: dict[bytes, np.ndarray] = {}
    saved_at, pause = time.monotonic(), _SAVE_EVERY_SECONDS
    for start in range(0, len(keys), PART):
        part = keys[start : start + PART]

        def tick(done: int, _: int, start: int = start) -> None:
            if progress is not None:
                progress(start + done, len(keys))

        unsaved.update(zip(part, extractor.transform([missing[h] for h in part], tick), strict=True))
        if start + PART >= len(keys) or time.monotonic() - saved_at > pause:
            began = time.monotonic()
            cache.add(unsaved)
            unsaved, saved_at = {}, time.monotonic()
            # Each save writes the whole file: with a million vectors that takes seconds.
            pause = max(_SAVE_EVERY_SECONDS, (saved_at - began) / _SAVE_SHARE)
    return np.asarray(cache.vectors[[cache.rows[h] for h in hashes]])


class _Cache:
    """Vectors by content hash, in one memory-mapped file, or in memory when there is no path.

    Hash, vector and the checksum of both are in one row of one file, so neither a crash nor a second process that
    writes the same cache can part them. A file that cannot be read counts as empty, and a damaged row as not there.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._reported = False
        self._use(np.empty(0, _row_type(0)))
        self._read()

    def _use(self, stored: np.ndarray) -> None:
        self._stored = stored
        self.vectors: np.ndarray = stored["vector"]
        self.rows: dict[bytes, int] = {h.tobytes(): i for i, h in enumerate(stored["hash"])}

    def _read(self) -> None:
        if self._path is None:
            return
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
            logger.warning("The cached vectors %s are damaged; those that are lost are computed again.", self._path)
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
            if isinstance(made, np.memmap):
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
    data = np.ascontiguousarray(rows).view(np.uint8).data
    return np.array([zlib.crc32(data[at : at + size - 4]) for at in range(0, len(data), size)], np.uint32)


def _row_type(width: int) -> np.dtype:
    return np.dtype([("hash", "V16"), ("vector", np.float32, (width,)), ("checksum", np.uint32)])
