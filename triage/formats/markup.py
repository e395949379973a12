"""HTML, JATS and PubMed's own markup in titles and abstracts, read as the text that it represents."""

from __future__ import annotations

import html
import re
from dataclasses import replace

from ..records import Record, is_placeholder
from .common import one_line

# Elements that begin and end a line, those that name what follows, and those that are part of a line.
BLOCKS = frozenset(
    "p para div br sec section list list-item ul ol li dl dt dd tr table tbody td th hr blockquote abstract "
    "abstracttext trans-abstract disp-formula disp-quote".split()
)
HEADINGS = frozenset({"title", "h1", "h2", "h3", "h4", "h5", "h6"})
_INLINE = frozenset(
    "i b u s a q p em strong italic bold underline sub sup inf small big span font tt sc strike monospace cite xref "
    "ext-link uri email named-content styled-content inline-formula tex-math alternatives img graphic inline-graphic "
    "sans-serif roman overline fn wbr center label math mrow mi mo mn msub msup msubsup mfrac mtext mstyle mspace "
    "mover munder mfenced msqrt semantics annotation copyrightinformation copyright-statement".split()
)
_NAMES = BLOCKS | HEADINGS | _INLINE
_PREFIX = r"(?:(?:jats|mml|xhtml|html|ns\d?|ce):)?"
_ATTRIBUTES = (
    r"(?:\s{1,9}[A-Za-z_:][\w:.-]{0,40}\s{0,3}=\s{0,3}(?:\"[^\"<>]{0,500}\"|'[^'<>]{0,500}'|[\w#.%-]{1,60})){0,12}"
)
_TAG = re.compile(rf"<(/?)({_PREFIX})([A-Za-z][\w-]{{0,24}})({_ATTRIBUTES})\s{{0,9}}(/?)>")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ANGLE, _AMPERSAND = re.compile(r"<[/!]?[A-Za-z\[-]"), re.compile(r"&[#\w]{2,32};")
_COMMENT = re.compile(r"<!--.{0,2000}?-->|<!\[CDATA\[|\]\]>", re.DOTALL)
_NOTICE = re.compile(
    rf"<({_PREFIX}(?:CopyrightInformation|copyright-statement)){_ATTRIBUTES}\s{{0,9}}>(.{{0,2000}}?)</\1\s{{0,9}}>",
    re.IGNORECASE | re.DOTALL,
)
_HEADING = re.compile(
    rf"<({_PREFIX}(?:title|h[1-6])){_ATTRIBUTES}\s{{0,9}}>(.{{0,300}}?)</\1\s{{0,9}}>\s*(?:<{_PREFIX}(?:p|div){_ATTRIBUTES}>)?",
    re.IGNORECASE | re.DOTALL,
)
_LABEL = re.compile(r"\blabel\s{0,3}=\s{0,3}[\"']([^\"']{1,200})[\"']", re.IGNORECASE)
_NO_LABELS = frozenset({"unlabelled", "unassigned"})
_FIELD_NAMES = frozenset({"abstract", "summary"})
# As an exponent: "10<sup>5</sup>" is no 105.
_POWER = re.compile(rf"<({_PREFIX}sup)>(?=[-+\u2212]?\d{{1,3}}</\1>)", re.IGNORECASE)
_ROUNDS = 4  # text that was escaped three times needs four
NOTICE = "CopyrightInformation"


def readable(record: Record) -> Record:
    """Return a record whose texts hold no markup; a copyright notice that is marked as one becomes an extra field."""
    short = "\n".join((record.title, record.journal, *record.authors, *record.keywords))
    if not _is_marked(record.abstract) and not _is_marked(short):
        return record
    notices: list[str] = []
    extra = dict(record.extra)
    abstract = plain(record.abstract, notices)
    if abstract != record.abstract and is_placeholder(abstract):
        if abstract:
            extra["abstract"] = (*extra.get("abstract", ()), abstract)
        abstract = ""
    if notices:
        extra[NOTICE] = (*extra.get(NOTICE, ()), *map(plain, notices))
    return replace(
        record,
        title=_line(record.title),
        abstract=abstract,
        journal=_line(record.journal),
        authors=_lines(record.authors),
        keywords=_lines(record.keywords),
        extra=extra,
    )


def _is_marked(text: str) -> bool:
    return ("<" in text and _ANGLE.search(text) is not None) or ("&" in text and _AMPERSAND.search(text) is not None)


def _lines(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_line, texts)) if _is_marked("\n".join(texts)) else texts


def _line(text: str) -> str:
    found = plain(text)
    return text if found == text else one_line(found)


def plain(text: str, notices: list[str] | None = None) -> str:
    """Return a text without its markup: paragraphs and labelled sections a line each, entities as their characters.

    What is not markup, such as "p < 0.05", "<18 years" or "a<b and c>d", stays as it is.

    Parameters
    ----------
    text : str
    notices : list of str, optional
        Copyright notices that are marked as such are moved there.
    """
    if not _is_marked(text):
        return text
    for _ in range(_ROUNDS):
        if "<" in text:
            text = _without_tags(text, notices)
        before = text
        if "&" in text:
            text = _ENTITY.sub(_character, text)
        if text == before:
            break
    return text.strip()


def heading(text: str) -> str:
    """Return a section's heading as the label before its text; "" for the name of the field itself."""
    text = one_line(text)
    if not text or text.lower().rstrip(":.") in _FIELD_NAMES:
        return ""
    return f"{text} " if text.endswith((":", ".", "?", "!")) else f"{text}: "


def _without_tags(text: str, notices: list[str] | None) -> str:
    if notices is not None and "opyright" in text:
        notices += [one_line(_TAG.sub("", found.group(2))) for found in _NOTICE.finditer(text)]
        text = _NOTICE.sub("\n", text)
    original = text
    if "<!" in text or "]]>" in text:
        text = _COMMENT.sub("", text)
    lower = text.lower()
    if "title>" in lower or "</h" in lower:
        text = _HEADING.sub(lambda found: f"\n{heading(_TAG.sub('', found.group(2)))}", text)
    if "sup>" in lower:
        text = _POWER.sub(lambda found: "^" if found.string[found.start() - 1 : found.start()].isdigit() else "", text)
    paired: dict[str, bool] = {}

    def said(found: re.Match[str]) -> str:
        closes, prefix, name, attributes, empty = found.groups()
        name = name.lower()
        if name not in _NAMES and prefix.lower() not in ("jats:", "mml:"):
            return found.group()
        if len(name) == 1 and not prefix and not attributes and not empty:
            # One letter may be a quantity, as in "a<b>c", where its other half is not there; only paragraphs lack it.
            half = f"<{name}" if closes else f"</{name}"
            if half not in paired:
                paired[half] = re.search(rf"{half}\b", text, re.IGNORECASE) is not None
            paragraph = name == "p" and (not found.start() or text[found.start() - 1] in "\n.>;:")
            if not paired[half] and not paragraph:
                return found.group()
        if name not in BLOCKS:
            return ""
        label = _LABEL.search(attributes) if name == "abstracttext" else None
        named = "" if label is None or label.group(1).lower() in _NO_LABELS else heading(html.unescape(label.group(1)))
        return f"\n{named}"

    text = _TAG.sub(said, text)
    if text == original:
        return text
    return "\n".join(folded for part in text.split("\n") if (folded := one_line(part)))


def _character(found: re.Match[str]) -> str:
    character = html.unescape(found.group())
    return {"\xa0": " ", "\r": "\n", "\x00": ""}.get(character, character)
