"""The first two pages of a PDF, and what its metadata says: read in a process of its own (see `apart.front`)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PAGES = 2
_MOST_TEXT = 20_000  # characters of a page: several times what the fullest has
_MOST_VALUE = 2_000  # characters of a value of the metadata
_MOST_XMP = 2**20  # bytes
_XMP_TITLE = re.compile(r"<dc:title\b[^>]{0,200}>.{0,400}?<rdf:li\b[^>]{0,200}>([^<]{1,2000})<", re.DOTALL)
_XMP_IDENTIFIER = re.compile(
    r"\b(?:prism:doi|pdfx:doi|crossmark:DOI|dc:identifier|prism:url|pdfx:WPS-ARTICLEDOI)"
    r"""(?:\b[^>]{0,200}>\s{0,20}(?:<rdf:\w+[^>]{0,200}>\s{0,20}){0,2}|\s{0,5}=\s{0,5}["'])([^<"']{1,300})""",
    re.IGNORECASE,
)
_INFO_IDENTIFIERS = ("/doi", "/DOI", "/WPS-ARTICLEDOI", "/Subject", "/Keywords")


@dataclass(frozen=True, slots=True)
class Front:
    """What a PDF says of itself before it is read.

    Attributes
    ----------
    pages : tuple of str
        The text of the first two pages.
    n_pages : int
    title : str
        Of the metadata.
    identifiers : tuple of str
        Values of the metadata that may hold a DOI.
    unread : str
        Why there is no text, as the end of a sentence; empty where there is some.
    """

    pages: tuple[str, ...] = ()
    n_pages: int = 0
    title: str = ""
    identifiers: tuple[str, ...] = ()
    unread: str = ""


def front_of(path: Path) -> Front:
    """Read the first pages of a PDF; what is wrong with it may show in any exception besides."""
    import pypdf

    with path.open("rb") as file:
        try:
            reader = pypdf.PdfReader(file)
            n_pages = len(reader.pages)
            identifiers = list(dict.fromkeys(_identifiers(reader)))
            title = next(_titles(reader), "")
            pages = tuple(reader.pages[i].extract_text()[:_MOST_TEXT] for i in range(min(n_pages, _PAGES)))
        except (pypdf.errors.FileNotDecryptedError, pypdf.errors.DependencyError):
            return Front(unread="it is encrypted")
        except (pypdf.errors.PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            return Front(unread=f"it is damaged ({type(error).__name__}: {str(error)[:80]})")
    unread = "" if any(page.strip() for page in pages) else "its first pages are pictures without text"
    return Front(pages, n_pages, title, tuple(identifiers), unread)


def _titles(reader: Any) -> Iterator[str]:
    for value in _XMP_TITLE.findall(_xmp(reader)):
        yield html.unescape(value).strip()
    if title := _info(reader, "/Title"):
        yield title


def _identifiers(reader: Any) -> Iterator[str]:
    for value in _XMP_IDENTIFIER.findall(_xmp(reader)):
        yield html.unescape(value)
    for name in _INFO_IDENTIFIERS:
        if value := _info(reader, name):
            yield value


def _info(reader: Any, name: str) -> str:
    """Return a value of the document's information, empty where it has none or it is no text."""
    with suppress(AttributeError, KeyError, TypeError, ValueError, IndexError):
        value = (reader.metadata or {}).get(name)
        return value.strip()[:_MOST_VALUE] if isinstance(value, str) else ""
    return ""


def _xmp(reader: Any) -> str:
    """Return the metadata that is written as XML; it is searched, not parsed, so nothing in it can be expanded."""
    with suppress(AttributeError, KeyError, TypeError, ValueError, IndexError):
        content: bytes = reader.trailer["/Root"]["/Metadata"].get_data()[:_MOST_XMP]
        wide = content[:2] in (b"\xfe\xff", b"\xff\xfe")
        return content.decode("utf-16" if wide else "utf-8", "replace")
    return ""
