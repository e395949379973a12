"""How imported text is read by a person: printable, untagged, the words of the criteria found in it.

What comes from a record is hostile: it goes through `plain` before it is shown anywhere.
"""

from __future__ import annotations

import copy
import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from .log import Label

_BREAKS = re.compile(r"[ \t]*(?:\r\n|[\r\n\v\f\x85\u2028\u2029])\s*")
# Marks that reorder the text around them, and such as only hide in it. Joiners stay: scripts need them.
_INVISIBLE = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u00ad\u200b\u2060\ufeff"
)


def plain(text: str, encoding: str = "utf-8") -> str:
    r"""Return imported text with only printable characters and line breaks.

    Control characters go, and so do the marks that reorder text on the screen; HTML's escapes, which
    databases leave behind ("p &amp;lt; 0.05"), become the characters they mean; what the terminal's encoding
    cannot say becomes a question mark.

    Examples
    --------
    >>> plain("a\x1b[2Jb")
    'a[2Jb'
    """
    # Before anything else: an escape can mean a control character.
    text = html.unescape(html.unescape(text))
    lines = _BREAKS.sub("\n", text).replace("\t", " ")
    kept = (c for c in lines if c == "\n" or (unicodedata.category(c) != "Cc" and c not in _INVISIBLE))
    return "".join(kept).encode(encoding, "replace").decode(encoding)


_HEADING = re.compile(
    r"\s*<((?:jats:)?(?:h[1-6]|title))>\s*([^<>]*?)[\s.:]*</\1>\s*(?:<(?:jats:)?p>\s*)?", re.IGNORECASE
)
_BLOCKS = re.compile(r"(?:\s*</?(?:jats:)?(?:p|sec|div|br|ul|ol|li|list|list-item)\s*/?>)+\s*", re.IGNORECASE)
_RAISED = re.compile(r"<(?:jats:)?sup>", re.IGNORECASE)
_INLINE = re.compile(r"</?(?:jats:)?(?:i|b|u|em|strong|italic|bold|sub|sup|sc|scp|span|inline-formula)>", re.IGNORECASE)


def untagged(text: str) -> str:
    """Return plain text without the tags that publishers leave in titles and abstracts.

    Only tags that are known go: "p<b and c>d" stays.

    Examples
    --------
    >>> untagged("<h3>Methods</h3> PM<sub>10</sub>, 10<sup>3</sup> m, p<b and c>d")
    'Methods: PM10, 10^3 m, p<b and c>d'
    """
    text = _HEADING.sub(lambda heading: f"\n{heading[2]}: " if heading[2] else "\n", text)
    return _INLINE.sub("", _RAISED.sub("^", _BLOCKS.sub("\n", text))).strip()


_WORD = re.compile(r"[^\W\d_]+\*?")
_ENDINGS = (
    "ements",
    "ement",
    "ments",
    "ment",
    "ings",
    "ions",
    "ives",
    "ing",
    "ion",
    "ive",
    "ies",
    "ied",
    "ed",
    "es",
    "is",
    "ly",
    "e",
    "s",
    "y",
)
_IRREGULAR = {"children": "child", "women": "woman", "men": "man"}
_LEAST_STEM = 3  # letters
_COMMON = 1 / 3  # a word that a larger share of a review's records has distinguishes none of them
_LEAST_COUNTED = 30  # records; the share among fewer says little
_STOP_WORDS = frozenset(
    "a about above across after against all also although always am among an and any apart are as at be because been "
    "before being below between both but by can cannot could did do does doing done due during each either etc every "
    "few for from further given gives had has have having he her here hers him his how however i if in instead into "
    "is it its itself just least less like made mainly many may might more moreover most much must neither no nor not "
    "of off often on once one only or other others otherwise our out over own per rather same she should since so "
    "some such than that the their them themselves then there these they this those three through thus to too toward "
    "towards two under unless until up upon us use used uses using very via was we were what when where whether which "
    "while who whom whose why will with within without would yet you your "
    # words of every protocol
    "article articles based criteria criterion eligible exclude excluded excludes excluding exclusion include "
    "included includes including inclusion paper papers published record records report reported reporting reports "
    "review reviews studied studies study".split()
)


def _stem(word: str) -> str:
    word = _IRREGULAR.get(word.casefold(), word.casefold())
    endings = (e for e in _ENDINGS if word.endswith(e) and len(word) - len(e) >= _LEAST_STEM)
    stem = word.removesuffix(next(endings, ""))
    # One spelling for British and American: randomised, behaviour, paediatric.
    return stem.replace("is", "iz").replace("our", "or").replace("ae", "e")


class Words(Protocol):
    """Finds what is to be marked in a text."""

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield where each word begins and ends, in order and apart from each other, and how it is marked."""


class CriteriaWords:
    """Finds the content words of the criteria in a text.

    Words match by a light stem, so that "supports" is found for "support"; a word that ends in an
    asterisk ("psychiatr*") finds whatever begins so. A word of both kinds of criteria counts as
    one of inclusion: it does not speak against a record.

    Parameters
    ----------
    include, exclude : sequence of str
        Texts of the criteria.

    Attributes
    ----------
    too_common : tuple of str
        The words that are not marked, since too many records have them (see `distinguishing`).
    """

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._kinds: dict[str, Label] = {}
        self._openings: dict[str, Label] = {}
        self._written: dict[str, str] = {}  # each stem or opening as the criteria first spell it
        self.too_common: tuple[str, ...] = ()
        for texts, kind in ((exclude, Label.EXCLUDE), (include, Label.INCLUDE)):
            for word in _WORD.findall(" ".join(texts)):
                if word.endswith("*"):
                    self._openings[word[:-1].casefold()] = kind
                    self._written.setdefault(word.casefold(), word)
                elif len(word) >= _LEAST_STEM and word.casefold() not in _STOP_WORDS:
                    self._kinds[_stem(word)] = kind
                    self._written.setdefault(_stem(word), word)

    def distinguishing(self, texts: Iterable[str]) -> CriteriaWords:
        """Return the finder of those words that tell these texts, the records of a review, apart.

        A word that more than a third of the records have is left out, unless there are too few texts to tell. Among
        13 published reviews the words above a third are those of every abstract ("patients", "effects", "treatment",
        "outcomes", "groups") and of the topic that was searched for ("knee", "faults", "depression"), as frequent in
        relevant records as in others; just below it come words such as "exposure" and "originator", which two to
        three times as many of the relevant records have. A lower bound would lose these.
        """
        counts = dict.fromkeys(self._written, 0)
        n = 0
        for n, text in enumerate(texts, 1):
            words = {word.casefold() for word in _WORD.findall(text)}
            for entry in {entry for word in words if (entry := self._entry(word)) is not None}:
                counts[entry] += 1
        common = {entry for entry, times in counts.items() if n >= _LEAST_COUNTED and times > _COMMON * n}
        rest = copy.copy(self)
        rest._kinds = {stem: kind for stem, kind in self._kinds.items() if stem not in common}
        rest._openings = {begins: kind for begins, kind in self._openings.items() if f"{begins}*" not in common}
        rest.too_common = tuple(self._written[entry] for entry in counts if entry in common)
        return rest

    def find(self, text: str) -> Iterator[tuple[int, int, Label]]:
        """Yield where each word begins and ends, and whether it is one of inclusion or exclusion."""
        for word in _WORD.finditer(text):
            letters = word.group().rstrip("*")
            if (entry := self._entry(letters)) is not None:
                kind = self._openings[entry[:-1]] if entry.endswith("*") else self._kinds[entry]
                yield word.start(), word.start() + len(letters), kind

    def _entry(self, word: str) -> str | None:
        """Return the stem, or the opening with its asterisk, by which a word is found; None for any other word."""
        folded = word.casefold().rstrip("*")
        if folded in _STOP_WORDS:
            return None
        if (stem := _stem(folded)) in self._kinds:
            return stem
        return next((f"{begins}*" for begins in self._openings if folded.startswith(begins)), None)
