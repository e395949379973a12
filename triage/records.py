"""A bibliographic record, and the normal forms by which two of them are compared."""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

_DOI = re.compile(r"10\.\d{4,9}/\S{1,500}", re.IGNORECASE)
_PLAIN_DOI = re.compile(r"10\.\d{4,9}/[a-zA-Z0-9._-]{1,200}(?<=[a-zA-Z0-9])")
# What addresses add to a DOI, and what no DOI ends with.
_DOI_TAIL = re.compile(
    r"(?:/(?:full|pdf|epdf|abstract|abs|fulltext|full-text|full/html|html|meta|summary|references|citation|suppl_file)"
    r"|;jsessionid=.*|[?&][\w.%-]{1,40}=.*|\?via.*|\?|#(?=[a-z]{3}).*|\[doi\]?|\s)+\Z"
)
_TAILED = re.compile(r"[?#&;[]")
_PMID = re.compile(r"^\s*(?:pmid:?\s*)?0*([1-9]\d{0,8})(?:\.0)?\s*(?:\[pmid\])?\s*$", re.IGNORECASE)
_NO_ABSTRACT = re.compile(
    r"\W*(?:n\.?/?a\.?|none|null|nan|(?:abstract )?(?:not available|unavailable|not applicable)|none available"
    r"|(?:abstract:? )?(?:(?:there is|this \w+ has) )?no (?:abstract|summary)"
    r"(?: (?:is )?(?:available|provided|supplied|present|found))?(?: for this \w+)?)?\W*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Record:
    """One retrieved record, as one source described it.

    Attributes
    ----------
    title, abstract, journal, language, type : str
        As imported, outer white space removed; empty when missing. A placeholder such as
        "[No abstract available]" is not an abstract: it is kept in `extra`.
    authors, keywords : tuple of str
        In the order of the source.
    year : int or None
        Year of publication.
    doi, pmid : str
        In their normal forms (`normal_doi`, `normal_pmid`), or empty.
    source : str
        The database or file that the record came from.
    extra : mapping of str to tuple of str
        Every imported field that has no place above, under the name it had, in the order of
        the file, so that an export gives back what was imported.
    id : int or None
        The project's number, from 1 in the order of import; None before import.
    """

    title: str = ""
    abstract: str = ""
    authors: tuple[str, ...] = ()
    year: int | None = None
    journal: str = ""
    doi: str = ""
    pmid: str = ""
    language: str = ""
    type: str = ""
    keywords: tuple[str, ...] = ()
    source: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    id: int | None = None

    @property
    def number(self) -> int:
        """The id, of a record that has been imported."""
        if self.id is None:
            raise ValueError("the record has not been imported, so it has no number yet")
        return self.id

    @property
    def text(self) -> str:
        """Title and abstract, one blank between them: what the models read."""
        return f"{self.title} {self.abstract}"


def normal_doi(text: str) -> str:
    """Return the bare lower-case DOI found in `text`, or "" if it has none.

    Resolver addresses, "doi:" prefixes, escapes of addresses, HTML and BibTeX, closing punctuation, and what an address
    adds ("/full", "?via=ihub", ";jsessionid=1", "#abstract") are dropped.

    Examples
    --------
    >>> normal_doi("https://doi.org/10.1002/CPP.2398.")
    '10.1002/cpp.2398'
    """
    if _PLAIN_DOI.fullmatch(text):  # as most are
        return text.lower()
    if "%" in text:
        text = unquote(text)
        if "%" in text:  # escaped twice
            text = unquote(text)
    if "&" in text:
        text = html.unescape(text)
    if "\\" in text:  # of BibTeX; no DOI holds one
        text = text.replace("\\", "")
    found = _DOI.search(text)
    if found is None:
        return ""
    doi = found.group().lower().rstrip(".,;:/'\"")
    if "/" in doi.partition("/")[2] or not doi[-1].isalnum() or _TAILED.search(doi):
        doi = _DOI_TAIL.sub("", doi).rstrip(".,;:'\"")
    # A closing bracket belongs to the DOI only when the DOI opened it: 10.1016/s0140(05)1-x.
    while doi and doi[-1] in ")]>" and doi.count(doi[-1]) > doi.count({")": "(", "]": "[", ">": "<"}[doi[-1]]):
        doi = doi[:-1].rstrip(".,;:'\"")
    return doi


def normal_pmid(text: str) -> str:
    """Return the digits of a PubMed identifier, or "" when `text` is not one."""
    found = _PMID.match(text)
    return found.group(1) if found else ""


def normal_title(text: str) -> str:
    """Return `text` as lower-case words with single blanks: accents, marks and case dropped.

    Letters of every script are kept, so two titles in Chinese still differ.
    """
    decomposed = unicodedata.normalize("NFKD", text)
    letters = "".join(c if c.isalnum() else " " for c in decomposed if not unicodedata.combining(c))
    return " ".join(letters.casefold().split())


def is_placeholder(text: str) -> bool:
    """Whether an abstract only says that there is no abstract ("NA", "[No abstract available]")."""
    text = text.strip()
    return not text or (len(text) < 200 and _NO_ABSTRACT.fullmatch(text) is not None)


def content_hash(text: str) -> bytes:
    """Return the 16-byte BLAKE2b digest of `text`: the key under which its vector is cached."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def filled(record: Record, copies: Iterable[Record]) -> Record:
    """Return `record` with its empty fields taken from its copies, the first that has one winning.

    Only what the record lacks is filled: nothing it says itself is ever replaced, and `extra`,
    `source` and `id` stay its own.
    """
    missing = [name for name in CORRECTABLE if not getattr(record, name)]
    found: dict[str, Any] = {}
    for copy in copies:
        for name in missing:
            if name not in found and getattr(copy, name):
                found[name] = getattr(copy, name)
    return replace(record, **found) if found else record


CORRECTABLE = ("title", "abstract", "authors", "year", "journal", "doi", "pmid", "language", "type", "keywords")
