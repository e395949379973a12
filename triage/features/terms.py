"""The terms of the records as TF-IDF: counted page by page, in bounded memory, onto the disk where there is a place."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np

from .. import bundled

if TYPE_CHECKING:
    from concurrent.futures import Future

    from scipy.sparse import csr_array

    Matrix: TypeAlias = np.ndarray | csr_array

Item = TypeVar("Item")
Value = TypeVar("Value")

New = Callable[[str, tuple[int, ...], type | np.dtype], np.ndarray]

_HASH_BITS = 52  # of a term's key: of 30 million terms two share one with a chance of one in ten
_PAGE_BITS = 64 - _HASH_BITS
_HASH = np.uint64((1 << _HASH_BITS) - 1)
_IN_MEMORY = 1 << 25  # counts held before they go to the disk
_SORTED_AT_ONCE = 1 << 25  # keys
_LARGE = 100_000  # records from which on single precision is enough
_ODD = np.uint64(0x9E3779B97F4A7C15)
_WORD = re.compile(r"\b\w\w+\b")

Counts = tuple[np.ndarray, np.ndarray, np.ndarray]


class Terms(Protocol):
    """What a text is taken apart into."""

    def keys(self, texts: Sequence[str]) -> np.ndarray:
        """Return the key of every term of some texts, as often as it is there, the text's place in the high bits."""


@runtime_checkable
class NamedTerms(Terms, Protocol):
    """Terms that can be shown."""

    def names(self, text: str) -> Mapping[int, str]:
        """Return the terms of a text by their keys."""


class WordTerms:
    """The words of a text and its pairs of neighbours, as scikit-learn's `TfidfVectorizer` takes them.

    Lower case, two letters or digits at least.
    """

    def keys(self, texts: Sequence[str]) -> np.ndarray:
        """Return the keys of some texts: those of all words, then those of all pairs."""
        word, text = _words(texts)
        same = text[1:] == text[:-1]
        pair = (word[:-1] * _ODD + (word[1:] ^ np.uint64(2)))[same]
        return np.concatenate([_placed(word, text), _placed(pair, text[1:][same])])

    def names(self, text: str) -> dict[int, str]:
        """Return the terms of a text by their keys."""
        words = _WORD.findall(text.lower())
        pairs = [f"{a} {b}" for a, b in pairwise(words)]
        return dict(zip(self.keys([text]).tolist(), [*words, *pairs], strict=True))


class StemTerms:
    """The first five characters of every word: one term for "depression", "depressed" and "depressive"."""

    _LONGEST = 5

    def keys(self, texts: Sequence[str]) -> np.ndarray:
        """Return the keys of some texts, word by word."""
        return _placed(*_words(texts, self._LONGEST))

    def names(self, text: str) -> dict[int, str]:
        """Return the terms of a text by their keys, each as the words of the text that have it."""
        words = _WORD.findall(text.lower())
        named: dict[int, dict[str, None]] = {}
        for key, word in zip(self.keys([text]).tolist(), words, strict=True):
            named.setdefault(key, {})[word] = None
        return {key: ", ".join(its) for key, its in named.items()}


class CharacterTerms:
    """Two to four characters in a row within a word and its blanks: scikit-learn's analyzer `char_wb`."""

    _MOST = 4

    def keys(self, texts: Sequence[str]) -> np.ndarray:
        """Return the keys of some texts, the shorter terms first."""
        # Two blanks part two words, so a window that holds both reaches over a word's end.
        codes, starts = _codes([f" {'  '.join(text.lower().split())} " for text in texts], "")
        text = np.repeat(np.arange(len(texts)), np.diff(starts, append=len(codes)))
        blank = codes == 32
        between = blank[1:] & blank[:-1]
        codes = _mixed(codes)
        made, found, key, over = len(codes), [], codes, np.zeros(len(codes), bool)
        for n in range(2, self._MOST + 1):
            made -= 1
            if made <= 0:
                break
            key = key[:made] * _ODD + codes[n - 1 :]
            over = over[:made] | between[n - 2 : n - 2 + made]
            found.append(_placed(key[~over] ^ np.uint64(n), text[:made][~over]))
        return np.concatenate(found) if found else np.zeros(0, np.uint64)


def _words(texts: Sequence[str], longest: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return a hash of every word of some texts, of so many of its first characters, and the text it is in."""
    codes, starts = _codes([text.lower() for text in texts], "\n")
    letter = _is_letter(codes)
    edge = np.diff(letter.view(np.int8), prepend=0, append=0)
    start, end = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
    is_word = end - start > 1
    start, end = start[is_word], end[is_word]
    if longest is not None:
        end = np.minimum(end, start + longest)
    # Horner's rule from the first letter on, by differences of sums: sum of mixed(letter) r^k, modulo 2^64.
    power, inverse = _powers(1 << max(len(codes) - 1, 1).bit_length())
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(_mixed(codes) * power[: len(codes)], out=sums[1:])
    return (sums[end] - sums[start]) * inverse[start], np.searchsorted(starts, start, side="right") - 1


def _codes(texts: Sequence[str], between: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the characters of texts one after the other, and where each text begins."""
    lengths = np.array([len(text) + len(between) for text in texts])
    joined = between.join([*texts, ""])
    return np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32), np.cumsum(lengths) - lengths


def _is_letter(codes: np.ndarray) -> np.ndarray:
    r"""Tell which characters the pattern `\w` takes."""
    table = _letters()
    if not len(codes) or codes.max() < len(table):
        known: np.ndarray = table[codes]
        return known
    is_far = codes >= len(table)
    letter = table[np.where(is_far, 0, codes)]
    kinds, which = np.unique(codes[is_far], return_inverse=True)
    letter[is_far] = np.array([chr(c).isalnum() for c in kinds])[which]
    return letter


@lru_cache(maxsize=1)
def _letters() -> np.ndarray:
    return np.array([chr(c).isalnum() or c == 95 for c in range(1 << 16)])


@lru_cache(maxsize=2)
def _powers(n: int) -> tuple[np.ndarray, np.ndarray]:
    base = 0xBF58476D1CE4E5B9
    both = []
    for factor in (base, pow(base, -1, 1 << 64)):
        factors = np.full(n, factor, np.uint64)
        factors[0] = 1
        both.append(np.multiply.accumulate(factors))
    return both[0], both[1]


def _mixed(values: np.ndarray) -> np.ndarray:
    """Return numbers that look random, one for each value (Steele et al. 2014, SplitMix64)."""
    mixed = (values.astype(np.uint64) + np.uint64(1)) * _ODD
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _placed(hashes: np.ndarray, text: np.ndarray) -> np.ndarray:
    return (_mixed(hashes) & _HASH) | (text.astype(np.uint64) << np.uint64(_HASH_BITS))


class Tfidf:
    """TF-IDF as scikit-learn's `TfidfVectorizer(sublinear_tf=True)` computes it, of any number of texts.

    (1 + ln tf)(1 + ln((1 + n) / (1 + df))), rows of length one. Where no term is left (very few, or empty,
    texts) every term is kept. The terms that a single text has are joined into one column for each text,
    which holds the length of what it replaces: every inner product of two texts stays what it was, and
    with it what any linear machine learns and says of them, and three columns in four are saved.

    Parameters
    ----------
    terms : Terms
    fewest : {1, 2}
        A term is kept that so many texts hold at least,
    largest : float
        and no more than this share of them.
    dtype : type
        Single precision takes its place from 100,000 texts on.
    """

    PAGE = 1 << (_PAGE_BITS - 1)  # the most texts counted at a time

    def __init__(self, terms: Terms, fewest: int = 1, largest: float = 1.0, dtype: type = np.float64) -> None:
        self.terms = terms
        self._fewest, self._largest, self._dtype = fewest, largest, dtype
        self._counts = _Spill()

    def count(self, texts: Sequence[str]) -> Counts:
        """Count the terms of at most `PAGE` texts: keys, how often, and terms by text."""
        keys = self.terms.keys(texts)
        keys.sort()
        first = np.flatnonzero(np.diff(keys, prepend=keys[:1] ^ np.uint64(1)))
        times = np.diff(first, append=len(keys)).astype(np.float32)
        keys = keys[first]
        ends = np.searchsorted(keys, np.arange(1, len(texts), dtype=np.uint64) << np.uint64(_HASH_BITS))
        return keys & _HASH, times, np.diff(ends, prepend=0, append=len(keys))

    def take(self, counts: Counts, folder: Path | None = None) -> None:
        """Take in what `count` gave, page after page; many pages go to a file in `folder`."""
        self._counts.add(counts, folder)

    def finish(self, new: New) -> TermView:
        """Return the view of all texts taken in; `new` makes its arrays."""
        n = self._counts.texts
        keys, texts_with = self._vocabulary()
        allowed = (texts_with >= self._fewest) & (texts_with <= self._largest * n)
        if not allowed.any():
            allowed[:] = True
        is_column = allowed & (texts_with > 1)
        columns, lone = keys[is_column], bool((allowed & (texts_with == 1)).any())
        dropped = keys[~allowed & (texts_with > 1)]
        idf = 1 + np.log((1 + n) / (1 + texts_with[is_column]))
        lone_idf = 1 + np.log((1 + n) / 2)
        size = int(texts_with[is_column].sum()) + n
        del keys, texts_with, allowed, is_column
        data = new("data", (size,), self._dtype if n <= _LARGE else np.float32)
        indices = new("indices", (size,), np.int32)
        ends = np.zeros(n + 1, np.int64)

        def weighed(counts: Counts) -> tuple[np.ndarray, np.ndarray, np.ndarray, Counts]:
            key, times, sizes = counts
            at = np.minimum(np.searchsorted(columns, key), max(len(columns) - 1, 0))
            known = columns[at] == key if len(columns) else np.zeros(len(key), bool)
            alone = ~known & ~np.isin(key, dropped) if lone else np.zeros(len(key), bool)
            weight = 1 + np.log(times.astype(np.float64))
            weight *= np.where(alone, lone_idf, idf[at]) if len(columns) else lone_idf
            weight[~known & ~alone] = 0
            text = np.repeat(np.arange(len(sizes)), sizes)
            length = np.sqrt(np.bincount(text, weight * weight, minlength=len(sizes)))
            weight /= np.where(length > 0, length, 1)[text]
            return (
                at[known],
                weight[known],
                np.bincount(text[known], minlength=len(sizes)),
                (key[alone], text[alone], weight[alone]),
            )

        row = filled = 0
        alone_keys, alone_rows, alone_weights = [], [], []
        for column, weight, sizes, (key, text, lone_weight) in in_order(weighed, self._counts.pages()):
            last = np.cumsum(sizes + 1) - 1
            listed = np.ones(len(column) + len(sizes), bool)
            listed[last] = False
            end = filled + len(listed)
            data[filled:end][listed], indices[filled:end][listed] = weight, column
            data[filled:end][last] = np.sqrt(np.bincount(text, lone_weight * lone_weight, minlength=len(sizes)))
            indices[filled:end][last] = len(columns) + row + np.arange(len(sizes))
            ends[row + 1 : row + 1 + len(sizes)] = filled + last + 1
            alone_keys.append(key)
            alone_rows.append((text + row).astype(np.int32))
            alone_weights.append(lone_weight.astype(np.float32))
            row, filled = row + len(sizes), end
        self._counts = _Spill()
        alone = np.concatenate(alone_keys) if alone_keys else np.zeros(0, np.uint64)
        order = np.argsort(alone)
        kept = {
            "indptr": ends.astype(np.int32 if size < 2**31 else np.int64),
            "keys": columns,
            "idf": idf,
            "lone_keys": alone[order],
            "lone_rows": np.concatenate(alone_rows)[order] if alone_rows else np.zeros(0, np.int32),
            "lone_weights": np.concatenate(alone_weights)[order] if alone_weights else np.zeros(0, np.float32),
        }
        arrays = {"data": data, "indices": indices}
        for name, values in kept.items():
            arrays[name] = new(name, values.shape, values.dtype)
            arrays[name][...] = values
        return TermView.of(arrays, self.terms)

    def _vocabulary(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the keys of all texts, ascending, and how many texts have each."""
        keys, texts_with = np.zeros(0, np.uint64), np.zeros(0, np.int32)
        for some in _together((key for key, _, _ in self._counts.pages()), _SORTED_AT_ONCE):
            some.sort()
            first = np.flatnonzero(np.diff(some, prepend=some[:1] ^ np.uint64(1)))
            times = np.diff(first, append=len(some)).astype(np.int32)
            if not len(keys):
                keys, texts_with = some[first], times
                continue
            keys, texts_with = np.concatenate([keys, some[first]]), np.concatenate([texts_with, times])
            del some
            order = np.argsort(keys, kind="stable")
            keys, texts_with = keys[order], texts_with[order]
            first = np.flatnonzero(np.diff(keys, prepend=keys[:1] ^ np.uint64(1)))
            keys, texts_with = keys[first], np.add.reduceat(texts_with, first) if len(first) else texts_with
        return keys, texts_with


@dataclass(frozen=True, slots=True)
class TermView:
    """The terms of n records.

    Attributes
    ----------
    matrix : csr matrix, shape (n, n_columns + n)
        TF-IDF, rows of length one; the last n columns are for the terms that only one record has.
    terms : Terms
    """

    matrix: csr_array
    terms: Terms
    _arrays: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], terms: Terms) -> TermView:
        """Return the view of arrays that an earlier one was made of."""
        from scipy import sparse

        n = len(arrays["indptr"]) - 1
        parts = tuple(np.asarray(arrays[name]) for name in ("data", "indices", "indptr"))
        return cls(sparse.csr_array(parts, shape=(n, len(arrays["keys"]) + n), copy=False), terms, arrays)

    def cosines(self, texts: Sequence[str]) -> np.ndarray:
        """Return the cosines of the records with other texts, shape (n, n_texts), float32."""
        n = self.matrix.shape[0]
        keys, lone_keys = self._arrays["keys"], self._arrays["lone_keys"]
        near = np.zeros((n, len(texts)), np.float32)
        for column, text in enumerate(texts):
            query, times = np.unique(self.terms.keys([text]), return_counts=True)
            at, known = _places(keys, query)
            alone, is_alone = _places(lone_keys, query)
            weight = 1 + np.log(times)
            weight[known] *= self._arrays["idf"][at[known]]
            weight[is_alone] *= 1 + np.log((1 + n) / 2)
            weight[~known & ~is_alone] = 0
            length = np.sqrt((weight * weight).sum())
            if not length:
                continue
            weight /= length
            vector = np.zeros(self.matrix.shape[1], self.matrix.dtype)
            vector[at[known]] = weight[known]
            near[:, column] = self.matrix @ vector
            rows = self._arrays["lone_rows"][alone[is_alone]]
            np.add.at(near[:, column], rows, weight[is_alone] * self._arrays["lone_weights"][alone[is_alone]])
        return near

    def names(self, text: str) -> dict[int, str]:
        """Return the terms of a record's text by their columns."""
        if not isinstance(self.terms, NamedTerms):
            raise TypeError("these terms have no names")
        named = self.terms.names(text)
        query = np.array(list(named), np.uint64)
        at, known = _places(self._arrays["keys"], query)
        return {int(at[i]): named[int(query[i])] for i in np.flatnonzero(known)}


def _places(ascending: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the position of each number among others, and whether it is there at all."""
    if not len(ascending):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    at = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return at, np.asarray(ascending[at]) == wanted


class _Spill:
    """Pages of counts, in memory while they are few and in a file that nobody sees when they are many."""

    def __init__(self) -> None:
        self.texts = 0
        self._held: list[Counts] = []
        self._n_held = 0
        self._file: IO[bytes] | None = None
        self._written = 0

    def add(self, counts: Counts, folder: Path | None) -> None:
        self.texts += len(counts[2])
        self._held.append(counts)
        self._n_held += len(counts[0])
        if folder is not None and self._n_held > _IN_MEMORY:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (read after this)
            for page in self._held:
                for values in page:
                    np.save(self._file, values)
            self._written += len(self._held)
            self._held, self._n_held = [], 0

    def pages(self) -> Iterator[Counts]:
        if self._file is not None:
            self._file.seek(0)
            for _ in range(self._written):
                yield np.load(self._file), np.load(self._file), np.load(self._file)
        yield from self._held


def _together(arrays: Iterable[np.ndarray], least: int) -> Iterator[np.ndarray]:
    """Yield the arrays put together to so many values at least."""
    held: list[np.ndarray] = []
    for values in arrays:
        held.append(values)
        if sum(map(len, held)) >= least:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


def in_order(function: Callable[[Item], Value], items: Iterable[Item]) -> Iterator[Value]:
    """Yield a function's values for items, in their order, some computed at a time beside each other."""
    from collections import deque
    from concurrent.futures import ThreadPoolExecutor

    workers = min(4, bundled.processors())
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Value]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
