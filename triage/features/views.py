"""Views of records: matrices of their words and meanings, which a ranking is made of."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

import numpy as np

from ..errors import InputError
from ..progress import Progress, no_progress
from .kept import KeptViews
from .terms import CharacterTerms, Counts, StemTerms, TermView, Tfidf, WordTerms, in_order

if TYPE_CHECKING:
    from .terms import Matrix

PACKAGED_MODEL = "all-minilm-l6-v2"
_LETTERS_AT_ONCE = 1 << 22


def _no_nearness(texts: Sequence[str]) -> np.ndarray:
    raise ValueError("these views do not know how near a record is to a text")


@dataclass(frozen=True, slots=True)
class Views:
    """Several matrices that describe the same records, row by row.

    Attributes
    ----------
    matrices : mapping of str to matrix, each (n, d)
        Sparse or dense, rows of length one, or of length zero where a record has nothing.
    criteria : mapping of str to ndarray of float32, shape (n,)
        How near each record is to the criteria, by name of the comparison; empty without criteria.
    names : mapping of str to callable
        For the views of terms: from a record's text to the names of the columns that it has.
    nearness : callable
        From texts such as criteria to the nearness of each record to each of them, ndarray of float32,
        shape (n, n_texts): cosines of sentence vectors where there are some, else of terms.
    suggested : mapping of str to ndarray, shape (n,)
        What each machine that screens says of the records (see `ranking.opinions`); made from the log and never kept.
    """

    matrices: Mapping[str, Matrix]
    criteria: Mapping[str, np.ndarray] = field(default_factory=dict)
    names: Mapping[str, Callable[[str], Mapping[int, str]]] = field(default_factory=dict)
    nearness: Callable[[Sequence[str]], np.ndarray] = _no_nearness
    suggested: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Records."""
        n: int = next(iter(self.matrices.values())).shape[0]
        return n


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts that views are made of, read only when a view is made.

    Attributes
    ----------
    n : int
        Records.
    read : callable
        Gives an iterator of (title, abstract) in the order of the rows.
    fingerprint : str
        Differs whenever a text does: what kept views go by. None are kept without it.
    """

    n: int
    read: Callable[[], Iterable[tuple[str, str]]]
    fingerprint: str = ""

    @classmethod
    def of(cls, titles: Sequence[str], abstracts: Sequence[str]) -> Texts:
        """Return texts that are in memory."""
        return cls(len(titles), lambda: zip(titles, abstracts, strict=True))


def build_views(
    texts: Texts,
    views: Sequence[str],
    *,
    encoder: str = PACKAGED_MODEL,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    question: str = "",
    device: str = "auto",
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Views:
    """Describe records by the named views, and by how near they are to the criteria.

    Views that were kept are used again, and no text is read; else the texts are read once for all others
    together, and once for the sentence embeddings.

    Parameters
    ----------
    texts : Texts
    views : sequence of str
        Of the rows of `_VECTORIZERS` and `_VECTORS`, and "embedding".
    encoder : str
        `PACKAGED_MODEL`, or the folder of a model.
    include, exclude : sequence of str
        Inclusion and exclusion criteria, each its own query.
    question : str
        The review's question; it belongs to what is included.
    device : {"auto", "cpu", "cuda"}
    cache_dir : Path, optional
        Where vectors, and the views of texts that have a fingerprint, are kept.
    progress : callable, optional
        Called as progress(description), gives a context manager of a callback (done, total).

    Returns
    -------
    Views

    Raises
    ------
    InputError
        When there is no such view, the encoder cannot be used, or the folder not be written.
    """
    progress = progress or no_progress
    known = [*_VECTORIZERS, *_VECTORS, "embedding"]
    if unknown := next((name for name in views if name not in known), None):
        raise InputError(f"There is no view {unknown!r} to rank by; the views are {', '.join(known)}.")
    kept = KeptViews(cache_dir, texts.fingerprint)
    matrices: dict[str, Matrix] = {}
    extractor = None
    if "embedding" in views:
        # Loaded here: it needs scikit-learn, and what reads no vectors does without.
        from .encoder.cache import embed
        from .encoder.sentence import SentenceEmbedding

        extractor = SentenceEmbedding(encoder, device=device)
        name, as_read = f"embedding-{extractor.key()}", extractor.recipe().text  # what cannot be used is told at once
    terms, vectors = _read(texts, [view for view in views if view != "embedding"], kept, progress)
    if extractor is not None:
        if (found := kept.load(name)) is None:
            with progress("Encoding abstracts") as tick:
                encoded = embed(
                    [as_read(title, abstract) for title, abstract in texts.read()],
                    extractor,
                    cache_dir=cache_dir,
                    progress=tick,
                )
            with kept.make(name) as new:
                new("vectors", encoded.shape, encoded.dtype)[...] = encoded
        else:
            encoded = np.asarray(found["vectors"])
        vectors["embedding"] = encoded
    for name in views:
        matrices[name] = terms[name].matrix if name in terms else centred(vectors[name])

    def nearness(queries: Sequence[str]) -> np.ndarray:
        if extractor is not None:
            by = embed(queries, extractor.of_queries(), cache_dir=cache_dir)
            if by.shape[1] != encoded.shape[1]:
                raise InputError(
                    f"The query encoder of {encoder} gives vectors of {by.shape[1]} numbers, and the records have "
                    f"{encoded.shape[1]}; they must belong together."
                )
            near: np.ndarray = encoded @ by.T
            return near
        whole_texts = [terms[name] for name in views if name in terms and name != "titles"]
        return whole_texts[0].cosines(queries) if whole_texts else np.zeros((texts.n, len(queries)), np.float32)

    criteria: dict[str, np.ndarray] = {}
    wanted = [text for text in (question, *include) if text.strip()]
    whole = " ".join(wanted)
    if wanted or exclude:
        for name in {"words", "stems", "letters"} & terms.keys():
            if whole:
                criteria[name] = terms[name].cosines([whole])[:, 0]
            if exclude:
                criteria[f"{name}_excluded"] = terms[name].cosines(list(exclude)).max(axis=1)
        if extractor is not None:
            near = nearness([whole, *wanted, *exclude])
            if wanted:
                criteria["whole"] = near[:, 0]
                criteria["each"] = near[:, 1 : 1 + len(wanted)].mean(axis=1)
            if exclude:
                criteria["excluded"] = near[:, 1 + len(wanted) :].max(axis=1)
    return Views(
        matrices,
        {name: np.ascontiguousarray(values, np.float32) for name, values in criteria.items()},
        {name: view.names for name, view in terms.items() if isinstance(view.terms, WordTerms | StemTerms)},
        nearness,
    )


def are_encoded(texts: Texts, *, encoder: str, device: str, cache_dir: Path | None) -> bool:
    """Tell whether the sentence embeddings of texts are kept, so that their view is made at once.

    Raises
    ------
    InputError
        When the encoder cannot be used.
    """
    from .encoder.sentence import SentenceEmbedding

    extractor = SentenceEmbedding(encoder, device=device)
    extractor.recipe()
    return KeptViews(cache_dir, texts.fingerprint).load(f"embedding-{extractor.key()}") is not None


class Vectors(Protocol):
    """What makes a vector of every record, page by page, in the one reading of the texts for all views.

    Attributes
    ----------
    VERSION : int
        Counted up when the vectors change: those that were kept are then made anew.
    width : int
        Numbers in a vector.
    """

    VERSION: ClassVar[int]
    width: int

    @classmethod
    def packaged(cls) -> Self:
        """Return one ready to use; asked for only where no vectors were kept."""

    def transform(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts, shape (n, width), float32; several threads call it at a time."""


def _read(
    texts: Texts, names: Sequence[str], kept: KeptViews, progress: Progress
) -> tuple[dict[str, TermView], dict[str, np.ndarray]]:
    """Return the views of terms and those of vectors: those kept, and the others made in one reading."""
    terms: dict[str, TermView] = {}
    vectors: dict[str, np.ndarray] = {}
    makers: dict[str, Tfidf] = {}
    extractors: dict[str, Vectors] = {}
    kept_as: dict[str, str] = {}
    for name in names:
        if name in _VECTORIZERS:
            maker = _VECTORIZERS[name]()
            if found := kept.load(name):
                terms[name] = TermView.of(found, maker.terms)
            else:
                makers[name] = maker
            continue
        of_records: type[Vectors] = pkgutil.resolve_name(_VECTORS[name])
        kept_as[name] = f"{name}-{of_records.VERSION}"
        if found := kept.load(kept_as[name]):
            vectors[name] = np.asarray(found["vectors"])
        else:
            extractors[name] = of_records.packaged()
    if not makers and not extractors:
        return terms, vectors

    def seen(page: list[tuple[str, str]]) -> tuple[dict[str, Counts], dict[str, np.ndarray], int]:
        titles = [title for title, _ in page]
        whole = [f"{title} {abstract}" for title, abstract in page]
        counts = {name: maker.count(titles if name == "titles" else whole) for name, maker in makers.items()}
        return counts, {name: extractor.transform(whole) for name, extractor in extractors.items()}, len(page)

    done = 0
    with progress("Reading titles and abstracts") as tick, ExitStack() as stack:
        for name, extractor in extractors.items():
            new = stack.enter_context(kept.make(kept_as[name]))
            vectors[name] = new("vectors", (texts.n, extractor.width), np.float32)
        for counts, made, n in in_order(seen, _pages(texts.read())):
            for name, maker in makers.items():
                maker.take(counts[name], kept.folder)
            for name, values in made.items():
                vectors[name][done : done + n] = values
            done += n
            tick(done, texts.n)
    for name, maker in makers.items():
        with kept.make(name) as new:
            terms[name] = maker.finish(new)
    return terms, vectors


def _pages(texts: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    page, letters = [], 0
    for title, abstract in texts:
        page.append((title, abstract))
        letters += len(title) + len(abstract)
        if len(page) == Tfidf.PAGE or letters > _LETTERS_AT_ONCE:
            yield page
            page, letters = [], 0
    if page:
        yield page


# The words as ASReview's ELAS u4 has them: the parameters were tuned by its authors on SYNERGY.
_VECTORIZERS: Mapping[str, Callable[[], Tfidf]] = {
    "words": lambda: Tfidf(WordTerms(), largest=0.95),
    "stems": lambda: Tfidf(StemTerms(), largest=0.95, dtype=np.float32),
    # For every script: two letters are a word where none is set apart by blanks.
    "letters": lambda: Tfidf(CharacterTerms(), fewest=2, largest=0.95, dtype=np.float32),
    "titles": lambda: Tfidf(WordTerms()),
}
# Loaded when a preset reads them, each by its class.
_VECTORS: Mapping[str, str] = {"static": "triage.features.static:StaticEmbedding"}


def centred(vectors: np.ndarray) -> np.ndarray:
    """Subtract the review's mean vector and give every row length one.

    All records of a review are alike; what the classifier needs is how they differ.
    """
    return of_length_one(vectors - vectors.mean(axis=0, keepdims=True))


def of_length_one(rows: np.ndarray) -> np.ndarray:
    """Return rows of length one; a row of zeros stays."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)
