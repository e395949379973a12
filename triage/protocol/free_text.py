"""Criteria found in free text, as a published protocol writes them."""

from __future__ import annotations

import re

_BULLET = re.compile(r"\s*(?:[-*•–·]|\(?\d{1,2}[.)]|\(?(?:[a-z]|[ivx]{2,4})\))\s+", re.IGNORECASE)
_INLINE_NUMBER = re.compile(r"(?:^|(?<=\s))\(?(\d{1,2})\)\s")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z“\"(])")
# "e.g." and the like end no sentence.
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|vs|cf|approx|etc|no|Fig|U\.S)\.$", re.IGNORECASE)
_HEADING = re.compile(
    r"\W*(?:(?:key|main|study|the|criteria|for)\s+)*"
    r"(?:(inclusion|eligibility|include[ds]?)|(exclusion|exclude[ds]?|ineligible))"
    r"(?:\s+criteria)?\s*(?:\([^()]*\))?\W*",
    re.IGNORECASE,
)
_EXCLUDES = re.compile(
    r"\bwe (?:also |then )?exclude|\b(?:is|are|was|were|be|been) (?:\w+ )?excluded\b"
    r"|^\W*exclu(?:de|ded|ding|sion)\b"
    r"|\bexcludes\b|\bexclusion criteria (?:are|were)\b|\b(?:not|in)[ -]?eligible\b"
    r"|\bdid not (?:\w+ )?(?:include|consider|review)\b|\b(?:was|were|are) not included\b",
    re.IGNORECASE,
)
_NOT_EXCLUDED = re.compile(r"\b(?:not|never) (?:\w+ ){0,2}?(?:excluded|exclusion)\b", re.IGNORECASE)
_INCLUDES = re.compile(
    r"\bwe (?:\w+ ){0,2}include|\b(?:is|are|was|were|be) (?:\w+ )?included\b|^\W*inclu(?:de|ded|ding|sion)\b"
    r"|\binclusion criteria (?:\w+ ){0,5}(?:are|were)\b|\beligible\b|\beligibility\b",
    re.IGNORECASE,
)
_OF_BOTH = re.compile(r"\binclusion (?:and|or|/) exclusion criteria\b", re.IGNORECASE)
_TURNS = re.compile(r",?\s+(?:and|but)\s+(?=(?:we\s+)?exclud)", re.IGNORECASE)
_LEADS_IN = re.compile(r"inclu|exclu|eligib|criteria|following", re.IGNORECASE)


def criteria_from_text(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split free text into inclusion and exclusion criteria: sentences, bullets, and parts of lists.

    A heading ("Exclusion criteria") or a lead-in ("Trials were excluded if:") governs what follows it;
    elsewhere a sentence that says "excluded" is an exclusion criterion, with all parts of its list, and
    every other one an inclusion criterion.

    Parameters
    ----------
    text : str
        Criteria as a protocol or an article gives them.

    Returns
    -------
    include, exclude : tuple of str
        Each entry a criterion on one line, without its bullet or number, in the order of the text.
    """
    found: dict[bool, dict[str, None]] = {False: {}, True: {}}
    section = False  # what the last heading says; True is exclusion
    listing: bool | None = None  # what the lead-in of the current list says
    for line in _unwrapped(text):
        heading = _HEADING.fullmatch(line)
        if heading:
            section, listing = heading.group(2) is not None, None
            continue
        bullet = _unmarked(line) != line
        if not bullet:
            listing = None
        for sentence in _sentences(_unmarked(line)):
            if _OF_BOTH.search(sentence):
                continue  # it is about the criteria and not one of them
            for clause in _TURNS.split(sentence):
                said = _polarity(clause)
                # One or two words that say nothing, in no list: "Study types."
                is_label = said is None and not bullet and len(clause.split()) < 3
                if said is None:
                    said = section if listing is None else listing
                for part in _parts(clause):
                    if part.endswith(":") and _LEADS_IN.search(part):
                        listing = said
                    elif not (is_label and part == clause.strip(" ;,")):
                        found[said][part] = None
    return tuple(found[False]), tuple(found[True])


def _unwrapped(text: str) -> list[str]:
    """Return the paragraphs, headings and bullets of a text, sentences over several lines joined again.

    A line that begins with a capital may be a criterion of its own, so only one that cannot is joined.
    """
    joined: list[str] = []
    last = ""
    for line in text.splitlines():
        line = line.strip()
        begins = _BULLET.match(line) or _HEADING.fullmatch(line)
        goes_on = last and last[-1] not in ".:;!?" and not _HEADING.fullmatch(last)
        unfinished = last.endswith((",", " and", " or", " of"))
        if line and not begins and goes_on and (line[0].islower() or unfinished):
            joined[-1] += f" {line}"
        elif line:
            joined.append(" ".join(line.split()))
        last = line
    return joined


def _sentences(line: str) -> list[str]:
    sentences: list[str] = []
    for piece in _SENTENCE_END.split(line):
        if sentences and _ABBREVIATION.search(sentences[-1]):
            sentences[-1] += f" {piece}"
        else:
            sentences.append(piece)
    return sentences


def _polarity(clause: str) -> bool | None:
    """Tell whether a clause excludes (True) or includes (False) what it names; None when it says neither."""
    if _NOT_EXCLUDED.search(clause):
        return False
    if _EXCLUDES.search(clause):
        return True
    return False if _INCLUDES.search(clause) else None


def _unmarked(text: str) -> str:
    """Return a text without its bullet or number."""
    mark = _BULLET.match(text)
    return text[mark.end() :] if mark else text


def _parts(clause: str) -> list[str]:
    """Split a clause at its numbers and semicolons, and take off what only joins the parts."""
    cuts = [0]
    expected = None
    for mark in _INLINE_NUMBER.finditer(clause):
        # Numbers in sequence: "(1) adults (aged 18 to 65) in care, (2) ..."
        if expected is None or int(mark.group(1)) == expected:
            cuts.append(mark.start())
            expected = int(mark.group(1)) + 1
    pieces = [clause[a:b] for a, b in zip(cuts, [*cuts[1:], None])] if len(cuts) > 2 else [clause]
    parts = []
    for piece in pieces:
        for part in piece.split(";"):
            part = re.sub(r"^and\s+|[,;\s]+(?:and|or)?\s*$", "", _unmarked(part.strip()))
            if any(c.isalpha() for c in part):
                parts.append(part)
    return parts
