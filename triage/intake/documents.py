"""The text of a document that somebody wrote: a registered protocol as PDF, Word or plain text."""

from __future__ import annotations

import re
import tempfile
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from ..errors import InputError
from ..formats import archives

_LARGEST = 2**26  # bytes of a Word document's text, unpacked
_PAGES = 200
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def text_of(path: Path) -> str:
    """Return the text of a PDF, Word or text file, a line for each of its lines or paragraphs.

    Raises
    ------
    InputError
        When it is none of these, is damaged, or holds no text.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    if head.startswith(b"%PDF"):
        text = _of_pdf(path)
    elif head.startswith(b"PK\x03\x04"):
        text = _of_word(path)
    else:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path} is not a PDF, a Word document (.docx) or UTF-8 text; save it as one of these, or paste its text."
            ) from error
    if not text.strip():
        raise InputError(f"{path} holds no text, as a scanned page does not; paste the text instead.")
    return text


def _of_pdf(path: Path) -> str:
    import pypdf

    try:
        reader = pypdf.PdfReader(path)
        if len(reader.pages) > _PAGES:
            raise InputError(f"{path} has more than {_PAGES} pages; paste the paragraph with the criteria instead.")
        return "\n".join(page.extract_text() for page in reader.pages)
    except (pypdf.errors.PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError) as error:
        raise InputError(f"{path} cannot be read as a PDF ({str(error)[:80]}); paste its text instead.") from error


def _of_word(path: Path) -> str:
    with archives.opened(path) as archive, tempfile.TemporaryDirectory(prefix="triage-") as folder:
        body = Path(folder, "document.xml")
        archives.extract(path, archive, "word/document.xml", body, _LARGEST)
        if re.search(rb"<!(?:DOCTYPE|ENTITY)", body.read_bytes()[:100_000]):
            raise InputError(f"{path} declares XML entities, which no word processor writes; paste its text instead.")
        try:
            return "\n".join(_paragraphs(body))
        except (ElementTree.ParseError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is a damaged Word document ({error}); paste its text instead.") from error


def _paragraphs(body: Path) -> list[str]:
    """Return the paragraphs; those of a list begin with a dash, so that each is seen to be an item of its own."""
    found = []
    for _, element in ElementTree.iterparse(body):
        if element.tag == f"{_W}p":
            text = "".join(
                piece.text or "" if piece.tag == f"{_W}t" else " " if piece.tag in (f"{_W}tab", f"{_W}br") else ""
                for piece in element.iter()
            )
            if text.strip():
                found.append(f"- {text}" if element.find(f"{_W}pPr/{_W}numPr") is not None else text)
            element.clear()
    return found
