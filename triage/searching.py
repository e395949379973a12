"""What a reviewer types to find records: words, "phrases", stem*, OR, -without and (groups), and what it was read as."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .records import Record

FIELDS: dict[str, Callable[[Record], str]] = {
    "title": lambda r: r.title,
    "abstract": lambda r: r.abstract,
    "author": lambda r: "\n".join(r.authors),
    "journal": lambda r: r.journal,
    "year": lambda r: str(r.year or ""),
    "doi": lambda r: r.doi,
    "pmid": lambda r: r.pmid,
    "keyword": lambda r: "\n".join(r.keywords),
    "type": lambda r: r.type,
    "language": lambda r: r.language,
    "source": lambda r: r.source,
}
_EVERYWHERE = ("title", "abstract", "author", "journal", "year", "doi", "pmid", "keyword")
_TOKEN = re.compile(
    r"\s*(?P<minus>-(?=[^\s)]))?(?:(?P<paren>[()])|(?:(?P<field>[A-Za-z]{2,10}):(?=\S))?"
    r"(?:\"(?P<phrase>[^\"]*)\"?|(?P<word>[^\s()\"]+)))"
)
_YEARS = re.compile(r"(\d{4})?(?:-|\.\.)(\d{4})?")
_MOST_TERMS = 200
_DEEPEST = 20


def folded(text: str) -> str:
    """Return a text without case and accents, as terms are compared with it."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


@dataclass(frozen=True, slots=True)
class Query:
    """A search that can be asked of each record.

    Attributes
    ----------
    said : str
        How it was read, for the person who typed it; "" for an empty one.
    matches : callable of a Record
    is_empty : bool
    """

    said: str
    matches: Callable[[Record], bool]
    is_empty: bool = False


@dataclass(frozen=True, slots=True)
class _Node:
    said: str
    matches: Callable[[Record], bool]
    joined: str = ""  # "and" or "or", of a node with several parts


def parse(text: str) -> Query:
    """Read what was typed: all words must be there, in any order; OR joins the terms beside it.

    A word is found as a whole word; `stem*` finds every word that begins so, `wom?n` any letter. In "double quotation
    marks" words stand side by side. `-word` must not be there. `title:word`, `author:`, `journal:`, `year:2010-2015`,
    `source:` and others look in one field. Nothing that can be typed is refused: an unclosed quotation mark or bracket
    is closed at the end.
    """
    tokens = list(_tokens(text))[:_MOST_TERMS]
    if not tokens:
        return Query("", lambda record: True, is_empty=True)
    at = [0]
    node = _all(tokens, at, 0)
    return Query(node.said, node.matches, is_empty=not node.said)


def _tokens(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while (found := _TOKEN.match(text, at)) is not None and found.end() > at:
        yield found
        at = found.end()


def _all(tokens: list[re.Match[str]], at: list[int], depth: int) -> _Node:
    """Read terms up to the end of the group: all of them, those with OR between them as alternatives."""
    parts: list[_Node] = []
    alternatives: list[_Node] = []
    with_or = False
    while at[0] < len(tokens):
        token = tokens[at[0]]
        if token["paren"] == ")":
            break
        at[0] += 1
        if token["word"] == "OR":
            with_or = bool(alternatives)
            continue
        if token["word"] == "AND":
            continue
        negated = token["minus"] is not None
        if token["word"] == "NOT" and at[0] < len(tokens) and tokens[at[0]]["paren"] != ")":
            negated, token = True, tokens[at[0]]
            at[0] += 1
        if token["paren"] == "(":
            node = _all(tokens, at, depth + 1) if depth < _DEEPEST else _Node("", lambda record: True)
            if at[0] < len(tokens) and tokens[at[0]]["paren"] == ")":
                at[0] += 1
        else:
            node = _term(token)
        if not node.said:
            continue
        if negated:
            node = _without(node)
        if with_or:
            alternatives.append(node)
        else:
            if alternatives:
                parts.append(_joined(alternatives, "or"))
            alternatives = [node]
        with_or = False
    if alternatives:
        parts.append(_joined(alternatives, "or"))
    if depth == 0 and at[0] < len(tokens):  # a bracket that closes nothing
        at[0] += 1
        rest = _all(tokens, at, depth)
        parts += [rest] if rest.said else []
    return _joined(parts, "and")


def _joined(nodes: list[_Node], how: str) -> _Node:
    if not nodes:
        return _Node("", lambda record: True)
    if len(nodes) == 1:
        return nodes[0]
    combine = all if how == "and" else any
    tests = [node.matches for node in nodes]
    said = f" {how} ".join(f"({n.said})" if n.joined and n.joined != how else n.said for n in nodes)
    return _Node(said, lambda record: combine(test(record) for test in tests), how)


def _without(node: _Node) -> _Node:
    test = node.matches
    return _Node(f"not ({node.said})" if node.joined else f"not {node.said}", lambda record: not test(record))


def _term(token: re.Match[str]) -> _Node:
    field = (token["field"] or "").lower()
    phrase = token["phrase"]
    word = token["word"] if phrase is None else phrase
    if field and field not in FIELDS:  # "covid:19" is text
        word, field = f"{token['field']}:{word}", ""
    where = f" in {field}" if field else ""
    if field == "year" and (span := _YEARS.fullmatch(word)) and any(span.groups()):
        first, last = (int(year) if year else None for year in span.groups())
        said = (
            f"year from {first}" if last is None else f"year to {last}" if first is None else f"year {first} to {last}"
        )
        return _Node(
            said,
            lambda r: r.year is not None and (first is None or r.year >= first) and (last is None or r.year <= last),
        )
    pattern = pattern_of(word)
    if pattern is None:
        return _Node("", lambda record: True)
    fields = [FIELDS[name] for name in ((field,) if field else _EVERYWHERE)]
    shown = (
        f"\u201c{word.strip()}\u201d"
        if phrase is not None
        else f"{word.rstrip('*')}\u2026"
        if word.endswith("*")
        else word
    )
    return _Node(f"{shown}{where}", lambda r: any(pattern.search(folded(part)) for get in fields if (part := get(r))))


def pattern_of(text: str) -> re.Pattern[str] | None:
    """Return what finds a word or phrase in a `folded` text; None where it holds nothing that can be found.

    `*` at a word's end, or in it, is any letters, `?` one letter.
    """
    words = [word for word in folded(text).split() if any(map(str.isalnum, word))]
    if not words:
        return None
    pieces = [re.escape(word).replace(r"\*", r"\w*").replace(r"\?", r"\w") for word in words]
    # What is written without blanks between words, as Chinese is, has no words to be whole.
    begins = "" if _is_unspaced(words[0][0]) or not words[0][0].isalnum() else r"(?<!\w)"
    ends = "" if _is_unspaced(words[-1][-1]) or not words[-1][-1].isalnum() else r"(?!\w)"
    return re.compile(begins + r"\W+".join(pieces) + ends)


def _is_unspaced(character: str) -> bool:
    return "\u2e80" <= character <= "\ud7a3" or "\u0e00" <= character <= "\u0eff"
