"""Records of an XML file, one by one: cut out at their elements, each parsed on its own.

No DOCTYPE ever reaches the parser, because what is parsed begins at a record's own element: entities and
external references cannot be declared, whatever the file says. A broken record is a problem of its own and
hides no other, and memory holds one record at a time.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ..errors import InputError
from ..wording import plural
from . import markup
from .common import Doubt, Problem, Tally, one_line
from .tagged import Others
from .text import LONGEST, TextFile

_DEEPEST = 100
_APART = markup.BLOCKS | markup.HEADINGS | {"sup"}
_MARKUP = re.compile(r"<(/?)[A-Za-z_][^<>]*?(/?)>")
# Characters and references that XML forbids and exports hold, and ampersands that are meant literally.
_ILLEGAL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]"
    "|&#(?:x0*(?:[0-8bcef]|1[0-9a-f]|d[89a-f][0-9a-f]{2}|fff[ef])|0*(?:[0-8]|1[124-9]|2[0-9]|3[01]));",
    re.IGNORECASE,
)
_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)(\w{2,31};)?")


def elements(path: Path, tally: Tally, *names: str) -> Iterator[tuple[int, ElementTree.Element | Problem]]:
    """Yield each element of some names with its line; what cannot be parsed comes as a problem.

    Parameters
    ----------
    path : Path
    tally : Tally
        `announced` grows by every start tag of these names, counted apart.
    names : str
        They do not nest.

    Raises
    ------
    InputError
        When the file declares entities, or a record is longer than `LONGEST`.
    """
    opens = re.compile(rf"<({'|'.join(names)})(?=[\s/>])")
    # The second count: records of another case, or with the prefix of a name space.
    loosely = re.compile(rf"<(?:[\w.-]{{1,40}}:)?(?:{'|'.join(names)})(?=[\s/>])", re.IGNORECASE)
    others = Others(path, names[0])
    rest, line, repaired = "", 1, 0
    doubt = Doubt(tally)
    before_first = True
    for text in _whole_tags(TextFile(path, tally)):
        tally.announced += len(opens.findall(text))
        for like in loosely.finditer(text):
            if opens.match(text, like.start()) is None:
                doubt.note(line + rest.count("\n") + text.count("\n", 0, like.start()), like.group())
        text = rest + text
        at = 0
        while (found := opens.search(text, at)) is not None:
            start = found.start()
            if before_first:
                _refuse_entities(path, text[:start])
                before_first = False
            others.refuse(text[at:start], line)
            following = opens.search(text, found.end())
            close = text.find(f"</{found.group(1)}>", start, len(text) if following is None else following.start())
            end = close + len(found.group(1)) + 3
            if close < 0:
                if following is None:
                    break  # it goes on
                end = following.start()
            line += text.count("\n", at, start)
            element, mended = _parsed(text[start:end], line)
            repaired += mended
            yield line, element
            line += text.count("\n", start, end)
            at = end
        start = len(text) if found is None else found.start()
        if before_first:
            _refuse_entities(path, text)
        others.refuse(text[at:start], line)
        line += text.count("\n", at, start)
        rest = text[start:]
        if len(rest) > LONGEST:
            raise InputError(
                f"{path}: the record that begins in line {line} is longer than {LONGEST:,} characters, "
                f"which no record is; the file is damaged. Export it again."
            )
    if rest:
        element, mended = _parsed(rest, line)
        repaired += mended
        yield line, element
    doubt.warn()
    if repaired:
        tally.warn(0, f"{plural(repaired, 'record')} held characters that XML forbids, which were mended")


def _whole_tags(file: TextFile) -> Iterator[str]:
    """Yield the text cut after a tag's end, so that no start tag is cut in two."""
    rest = ""
    for chunk in file.chunks():
        cut = chunk.rfind(">") + 1
        if cut:
            yield rest + chunk[:cut]
            rest = chunk[cut:]
        else:
            rest += chunk
        if len(rest) > LONGEST:
            raise InputError(
                f"{file.path} holds {LONGEST:,} characters without a tag, which no XML export does; it is damaged. "
                f"Export it again."
            )
    if rest:
        yield rest


def _refuse_entities(path: Path, text: str) -> None:
    if "<!ENTITY" in text:
        raise InputError(
            f"{path} declares XML entities, which no database's export does and which can do harm; "
            f"it is not read. Export the records again, as RIS where XML comes so."
        )


def _parsed(text: str, line: int) -> tuple[ElementTree.Element | Problem, bool]:
    if text.count("</") > _DEEPEST and _depth(text) > _DEEPEST:
        return Problem(line, f"this record's XML is nested deeper than {_DEEPEST} elements, which no export is"), False
    try:
        return ElementTree.fromstring(text), False
    except (ElementTree.ParseError, ValueError) as error:
        fault = str(error).split(":")[0]
    mended = _ILLEGAL.sub(" ", text)
    mended = _AMPERSAND.sub(_character, mended)
    if mended != text:
        try:
            return ElementTree.fromstring(mended), True
        except (ElementTree.ParseError, ValueError) as error:
            fault = str(error).split(":")[0]
    return Problem(line, f"this record's XML is broken ({fault}); mend it, or export the record again"), False


def _character(found: re.Match[str]) -> str:
    """Return an entity of HTML as its character; anything else as what it says."""
    name = found.group(1) or ""
    character = html.unescape(f"&{name}") if name else ""
    known = name and character != f"&{name}"
    return html.escape(character) if known else f"&amp;{name}"


def _depth(text: str) -> int:
    depth = deepest = 0
    for closes, empty in _MARKUP.findall(text):
        if closes:
            depth -= 1
        elif not empty:
            depth += 1
            deepest = max(deepest, depth)
    return deepest


def text_of(element: ElementTree.Element | None) -> str:
    """Return an element's text on one line, markup left out; "" for none."""
    return "" if element is None else one_line(_text(element))


def paragraphs_of(element: ElementTree.Element | None) -> str:
    """Return an element's text with its line ends, each line folded."""
    if element is None:
        return ""
    lines = _text(element).replace("\r", "\n").split("\n")
    return "\n".join(folded for part in lines if (folded := one_line(part)))


def _text(element: ElementTree.Element) -> str:
    """Return an element's text: paragraphs in it apart, headings before what they name, powers as powers."""
    if not len(element):
        return element.text or ""
    if not any(_local(child) in _APART for child in element.iter() if child is not element):
        return "".join(element.itertext())
    said = element.text or ""
    for child in element:
        name, inner = _local(child), _text(child)
        if name in markup.HEADINGS:
            inner = f"\n{markup.heading(inner)}"
        elif name in markup.BLOCKS:
            inner = f"{inner}\n" if said.endswith(": ") else f"\n{inner}\n"
        elif name == "sup" and said[-1:].isdigit() and inner.strip().lstrip("-+\u2212").isdigit():
            inner = f"^{inner.strip()}"
        said += inner + ("" if name in markup.HEADINGS and not (child.tail or "").strip() else child.tail or "")
    return said


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def add(extra: dict[str, tuple[str, ...]], name: str, value: str) -> None:
    """Add a value to extra fields, where it says anything."""
    if value:
        extra[name] = (*extra.get(name, ()), value)
