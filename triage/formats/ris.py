"""RIS, as databases and reference managers really write it."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TextIO

from ..records import Record, normal_doi, normal_pmid
from . import votes
from .common import (
    DECISION_FIELDS,
    REMAINDER,
    UNOPENED,
    Doubt,
    ExportRow,
    Item,
    Tally,
    first_year,
    folded,
    one_line,
    remainder,
    split_abstract,
    with_remainder,
)
from .details import details, is_medline
from .facts import completed
from .tagged import (
    BLANK,
    DASH,
    NOT_USUAL,
    Manner,
    Opening,
    Others,
    Outside,
    Values,
    apart,
    first_paragraph,
    manner,
    nothing_but,
    odd_tags,
    pieces,
    values_of,
    with_usual_tags,
)
from .text import TextFile, lines_of

# A line that opens a record: "TY  - JOUR", or with other blanks where nothing but a type follows.
_TYPE = r"TY(?:  -| {0,4}-(?=[ \t]{0,9}[\w-]{0,20}[ \t]{0,99}(?:\n|\Z)))"
_END = r"\nER[ \t]{0,4}-[ \t]*(?=\n|\Z)"  # that says anything else may be text, such as "ER-positive cells"
_PARTS = Opening(rf"\n(?={_TYPE})|{_END}", counts=rf"\n{_TYPE}")
_OPENS, _ENDS = Opening(rf"\n{_TYPE}"), Opening(_END)
# A line that begins a field as most files have it, and one that looks as if it did.
_TAG = re.compile(r"\n([A-Z][A-Z0-9](?:[A-Z0-9]{1,2}(?=  - ))?)  - ?")
_LINE = re.compile(r"\n([A-Z][A-Z0-9](?:[A-Z0-9]{1,2}(?=  - )|(?<=PM)ID(?= ))?)( {0,4})-(?: |(?<=  -)|(?=\n|\Z))")
# In a record of two blanks, fields that real files write with one. In the middle of a text only a value
# that plainly is such a field's makes it one, and none does where the tag may be a word: "T2 - weighted images".
_ONE_BLANK = {
    "KW": re.compile(""),
    "PMID": re.compile(r"\d"),
    **dict.fromkeys(("UR", "DO"), re.compile(r"https?:|www\.|doi|10\.", re.IGNORECASE)),
    **dict.fromkeys(("PY", "Y1"), re.compile(r"\d{4}")),
    **dict.fromkeys(("AU", "A1"), re.compile(r"[\w' -]{2,40}, ?[A-Z]")),
    **dict.fromkeys(("TI", "T1", "T2", "JO", "JF", "N2"), re.compile(r"(?!)")),
}
_PROSE = frozenset({"AB", "N2", "N1"})
# After a text, such a tag's value that goes on like one, on the next line, too, is part of it.
_NOT_IN_TEXT = frozenset("TI T1 T2 TY JO JF JA J2 PY Y1 AU A1 DA ST CY LA".split())
_IN_TEXT = re.compile(
    rf"\n(?:{'|'.join(sorted(_NOT_IN_TEXT))})  - [a-z][^\n]*\n(?![A-Z][A-Z0-9]{{1,3}} {{0,4}}-|\s*(?:\n|\Z))"
)
_TAG_FOLLOWS = re.compile(r"[^\n]*(?:\n[ \t]*)*(?:\n[A-Z][A-Z0-9] {0,4}-|\Z)")
_ODD = odd_tags("[A-Z][A-Z0-9]")
_TITLE_LINE = re.compile(r"\n(?:TI|T1) {0,4}- ")
_GOES_ON = re.compile(r"[a-z][a-z-]*[,;:.]? \S")
# What only RIS, or only MEDLINE, has at its lines' beginning: for files that give no types.
_RIS_ALONE = frozenset("T1 T2 A1 N2 JO JF PY Y1 SP EP VL UR KW DO".split())
_MEDLINE_ALONE = frozenset("DP JT TA PT MH OT VN UI YR LG IP VI PG FAU PMID OWN STAT".split())
_WIDE_TAG = re.compile(r"\n([A-Z]{3,4}) {0,1}- ")
# The second count: lines that open, name or end a record, in whatever way they are written.
_SIGNS = re.compile(
    rf"\n{BLANK}{{0,3}}+(TY|TI|T1|ER(?=[^\w\n]*(?:\n|\Z))|(?:(?i:TY|TI|T1)(?={BLANK}{{2}}{DASH}{BLANK}[A-Z])))"
    rf"{BLANK}{{0,6}}(?:(?:{DASH}|:)(?![\w-])(?! ?[a-z])|(?<=ER))"
)
# A type that does not begin its line, as where the line's end before it was lost, and tags inside such a line.
_GLUED = re.compile(r"(?<=[^\s])[ \t]*(?=TY  - [A-Z]{3,6}\b)")
_GLUED_TITLE = re.compile(r"\s(?:TI|T1)  - ")
_GLUED_TAG = re.compile(
    r"[ \t]+(?=(?:T[I12]|A[BUDN1]|PY|Y[12]|J[OF]|N[12]|VL|IS|SP|EP|SN|UR|DO|KW|DA|LA|PB|ER)  -(?: |$))"
)
_TITLES = ("TI", "T1", "CT", "BT")
# Between records without an end, Ovid's number is the last thing of a record's text.
_NUMBERED = re.compile(r"\n[ \t]*\n[^\w\n]{0,9}\d{1,9}[^\w\n]{0,9}\Z")
_EBSCO_LANGUAGE = re.compile(r"(?:^|[.;] )Language: ([A-Z][a-z]+(?:[,/;] ?[A-Z][a-z]+)*)(?=[.;]|$)")
_EBSCO_TYPE = re.compile(r"(?:^|[.;] )Publication Type: ([^.:]{1,200}?)(?=; [A-Z][A-Za-z ]{2,40}: |\.|;?\s*$)")
_LISTS = frozenset({"KW", "AU", "A1", "A2", "A3", "A4"})
# PsycINFO has its classification where others have the type: "Health Psychology & Medicine [3360]".
_CLASSIFICATION = re.compile(r".*\D\[?\d{4}\]?$")
_TYPE_CODES = {
    "JOUR": "Journal article",
    "JFULL": "Journal article",
    "EJOUR": "Journal article",
    "BOOK": "Book",
    "CHAP": "Book chapter",
    "CONF": "Conference paper",
    "CPAPER": "Conference paper",
    "THES": "Thesis",
    "RPRT": "Report",
    "NEWS": "News",
    "MGZN": "Magazine article",
}
_CODES = {
    "book": "BOOK",
    "book chapter": "CHAP",
    "book section": "CHAP",
    "conference paper": "CONF",
    "conference proceedings": "CONF",
    "thesis": "THES",
    "report": "RPRT",
    "misc": "GEN",
}
_PAGES = re.compile(r"([A-Za-z]{0,2}\d{1,9})\s{0,2}[-\u2013]{1,2}\s{0,2}([A-Za-z]{0,2}\d{1,9})")
_DETAILS = {
    "volume": "VL",
    "issue": "IS",
    "first page": "SP",
    "last page": "EP",
    "issn": "SN",
    "publisher": "PB",
    "url": "UR",
    "short journal": "J2",
    "place": "CY",
    "address": "AD",
}
_NOT_TWICE = ("AU", "KW", "LA")  # other formats' further forms of what the record's own fields say
_MEDLINE_TOO = ("AB", "AD", "PB")  # of MEDLINE's tags, those that mean the same here


def looks_like(head: str) -> int:
    """Return where a text's first record begins, or -1."""
    text = f"\n{head}"
    if (at := _OPENS.first(text)) >= 0:
        return at
    text = f"\n{with_usual_tags(head)}"
    if (at := _OPENS.first(text)) >= 0:
        return at
    # Without types: known by its ends, or by tags that MEDLINE's text does not have.
    first = _LINE.search(text)
    tags = {tag for tag, _ in _LINE.findall(text)}
    ends = _ENDS.first(text) >= 0 and any(tag in tags for tag in _TITLES)
    unmistakable = len(tags & _RIS_ALONE) > 1 and not tags & {*_MEDLINE_ALONE, "PMID"}
    return first.start() if first and (ends or unmistakable) else -1


def fits_medline(head: str) -> bool | None:
    """Tell whether tagged text without types or PubMed numbers is MEDLINE's (True) or RIS (False); None if either."""
    tags = {tag for tag, _ in _LINE.findall(f"\n{head}")} | set(_WIDE_TAG.findall(f"\n{head}"))
    ris, medline = bool(tags & _RIS_ALONE), bool(tags & _MEDLINE_ALONE)
    return medline if ris != medline else None


def records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read a RIS file."""
    reading = _Reading(TextFile(path, tally), tally)
    for line, values in reading.values():
        if (problem := nothing_but("TY", values, line)) is not None:
            yield problem
        else:
            label = votes.in_notes(values["N1"], line, tally) if "N1" in values else ""
            yield Item(line, _record(values), label)
    reading.warn()


class _Reading:
    """The reading of one file: what begins its records, and what is to be told about it."""

    def __init__(self, file: TextFile, tally: Tally):
        self._file, self._tally = file, tally
        self._outside, self._doubt = Outside(tally), Doubt(tally)
        self._untyped = Doubt(tally, UNOPENED)
        self._mended = Doubt(tally, NOT_USUAL)
        self._glued = Doubt(tally, "is not at the beginning of its line; it was read as the beginning of a record")
        self._others = Others(file.path, "ris")

    def warn(self) -> None:
        """Add what there is to tell."""
        for each in (self._outside, self._doubt, self._untyped, self._mended, self._glued):
            each.warn()

    def values(self) -> Iterator[tuple[int, Values]]:
        """Yield each record's line and values."""
        head = f"\n{self._file.head}"
        whole: Manner | None = None
        if _OPENS.first(head) < 0 and (whole := manner(head)) is not None:
            head = whole.usual(head)
            begin = _LINE.search(head)
            self._mended.note(head.count("\n", 0, begin.end()) if begin else 1, whole.example)
        typed, ended = _OPENS.first(head) >= 0, _ENDS.first(head) >= 0
        if not typed and not ended:
            return self._at(_between_blank_lines(head), whole)
        if typed and not ended and (first := _leads(head)):
            return self._at(Opening(rf"\n(?={first} {{0,4}}-)"), whole)
        return self._in_order(whole)

    def _in_order(self, whole: Manner | None) -> Iterator[tuple[int, Values]]:
        """Yield each record's line and values where types open records, or ends end them.

        A record begins after the end of the one before, with its type as a rule. Tags directly before a type belong to
        the record that it opens; other tags after an end, to the record that ended, as Ovid writes them.
        """
        source = pieces(self._file, _PARTS, whole, _ODD)
        again: deque[tuple[int, str]] = deque()

        def take() -> tuple[int, str] | None:
            return again.popleft() if again else next(source, None)

        # The record read last: tags may follow its end. Then the tags that come before the next one's type.
        last: tuple[int, Values] | None = None
        lead, lead_line = "", 0
        following = take()
        typed = False
        while following is not None:
            line, text = following
            following = take()
            if not text or text == "\n":
                continue
            here: list[tuple[int, Values]] = []
            if text.startswith("TY"):
                typed = True
                lines = [text]
                while following is not None and following[1].startswith("TY") and not _opens(following[1], lines[-1]):
                    # A line of the text before it: indented, it is taken for no tag.
                    self._doubt.note(following[0], following[1].partition("\n")[0])
                    self._tally.announced -= 1
                    lines.append(following[1])
                    following = take()
                text, line = "\n" + "\n ".join(lines), line - 1
                if lead:
                    if _names_title(lead) and _names_title(text):
                        here += self._several(lead, lead_line)
                        self._tally.announced += 1
                    else:
                        text, line = lead + text, lead_line
                    lead = ""
                plain = _each_line_a_field(text)
                here += self._several(text, line) if plain is None else [(line + 1, plain)]
            elif text.isspace():
                continue
            elif (first := _LINE.search(text)) is None or not _names_title(text):
                if (stray := manner(f"\n{text}")) is not None:
                    self._mended.note(line + text[: text.find(stray.example)].count("\n"), stray.example)
                    parts = _parts_of(stray.usual(f"\n{text}")[1:], line)
                    self._tally.announced += sum(part.startswith("TY") for _, part in parts)
                    again.extendleft(reversed([*parts, *([following] if following is not None else [])]))
                    following = take()
                    continue
                self._others.refuse(f"\n{text}", line - 1)
                if first is None:
                    self._outside.note(line, text)
                elif following is not None and following[1].startswith("TY"):
                    at = _last_paragraph(text)
                    self._add_strays(text[:at], line, last)
                    lead, lead_line = text[at:], line + text.count("\n", 0, at)
                elif not typed:
                    here += self._from_first_tag(text, line)
                else:
                    self._add_strays(text, line, last)
            elif following is not None and following[1].startswith("TY"):
                at = first.start()
                self._add_strays(text[:at], line, last)
                lead, lead_line = text[at:], line + text.count("\n", 0, at)
            else:
                here += self._from_first_tag(text, line)
            for record in here:
                if last is not None:
                    yield last
                last = record
        if last is not None:
            yield last

    def _at(self, opening: Opening, whole: Manner | None) -> Iterator[tuple[int, Values]]:
        """Yield each record's line and values where each begins with the same tag."""
        found = pieces(self._file, opening, whole, _ODD)
        self._outside.note(*next(found))
        for line, text in found:
            yield line, self._values(f"\n{text}", line - 1)

    def _from_first_tag(self, text: str, line: int) -> list[tuple[int, Values]]:
        self._others.refuse(f"\n{text}", line - 1)
        first = _LINE.search(text)
        at = first.start() if first else 0
        self._outside.note(line, text[:at])
        self._tally.announced += 1
        return self._several(text[at:], line + text.count("\n", 0, at))

    def _several(self, text: str, line: int) -> list[tuple[int, Values]]:
        """Return a record's line and values, or those of several that run together; see `_values` for `text`."""
        parts = [(text, line)]
        if text.count("TY  - ") > 1 and (glued := _glued(text)):
            parts = []
            for at, end in zip([0, *glued], [*glued, len(text)]):
                part = text[at:end].rstrip().removesuffix("ER  -") if end < len(text) else text[at:]
                first, feed, rest = part.removeprefix("\n").partition("\n")
                parts.append((f"\n{_GLUED_TAG.sub(chr(10), first)}{feed}{rest}", line - (at > 0)))
                if at:
                    here = text[text.rfind("\n", 0, at) + 1 : at].rstrip()
                    self._glued.note(line, here[-30:] + text[at : at + 9])
                line += text.count("\n", at, end)
        elif "\n\n" in text and len(records := apart(text, _TITLE_LINE, _LINE)) > 1:
            parts = []
            for part in records:
                if parts:
                    self._untyped.note(line + 1, part.strip().partition("\n")[0])
                parts.append((part, line))
                line += part.count("\n")
        self._tally.announced += len(parts) - 1
        if len(parts) == 1:
            return [(line + 1, self._closely(text, line))]
        return [(at + 1, self._values(part, at)) for part, at in parts]

    def _add_strays(self, text: str, line: int, last: tuple[int, Values] | None) -> None:
        """Give the tags after a record's end to it; anything else there is outside any record."""
        outside = self._outside
        parts = _split(text)
        outside.note(line, parts[0])
        line += parts[0].count("\n")
        for tag, value in zip(parts[1::2], parts[2::2]):
            line += 1
            kept, beyond = first_paragraph(value)
            if last is None:
                outside.note(line, f"{tag}  - {kept}")
            elif kept := kept.strip():
                last[1][tag].append(kept)
            outside.note(line + value.count("\n") - beyond.count("\n"), beyond)
            line += value.count("\n")

    def _values(self, text: str, line: int) -> Values:
        """Return a record's values by tag; `text` begins with the line feed before a line of the file."""
        plain = _each_line_a_field(text)
        return self._closely(text, line) if plain is None else plain

    def _closely(self, text: str, line: int) -> Values:
        """Return the values of a record whose lines are not each a field; see `_values`."""
        self._others.refuse(text, line)
        texts: list[int] = []
        parts = _split(text, texts)
        for at in texts:
            self._doubt.note(line + text.count("\n", 0, at) + 1, text[at + 1 :].partition("\n")[0])
        self._doubt.repeated(_SIGNS, text, line)
        if "ER" in parts:  # with words in its line, which say nothing: "End of reference"
            at = parts.index("ER", 1)
            beyond = parts[at + 1].partition("\n")[2]
            self._outside.note(line + "".join(parts[:at]).count("\n") + at // 2 + 2, beyond)
            del parts[at : at + 2]
        else:
            parts[-1] = _NUMBERED.sub("", parts[-1].rstrip())
        return values_of(parts, _LISTS)


def _each_line_a_field(text: str) -> Values | None:
    """Return a record's values where each line is a field, as in most records; None where it takes a closer look."""
    parts = _TAG.split(text)
    if text.count("\n") != len(parts) // 2 or len(parts) < 5:
        return None
    values: Values = defaultdict(list)
    for tag, value in zip(parts[1::2], map(str.strip, parts[2::2])):
        if value:
            values[tag].append(value)
    doubtful = "ER" in values or len(values.get("TI", "")) > 1 or len(values.get("T1", "")) > 1
    return None if doubtful else values


def _between_blank_lines(head: str) -> Opening:
    """Return what opens records that have neither types nor ends: their first tag, after a blank line if there are any."""
    tag = _LINE.search(head)
    if tag is None:
        return Opening(_TYPE)
    name = tag.group(1)
    after_blank = Opening(rf"\n[ \t]*\n(?={name} {{0,4}}-)", feeds=2)
    titles = len(_TITLE_LINE.findall(head))
    if after_blank.first(f"\n{head}"[tag.start() + 2 :]) < 0 and titles == len(re.findall(rf"\n{name} {{0,4}}-", head)):
        return Opening(rf"\n(?={name} {{0,4}}-)")
    return after_blank


def _leads(head: str) -> str:
    """Return the tag that each record begins with where that is not its type; "" where there is none such."""
    first = _LINE.search(head)
    if first is None or (tag := first.group(1)) == "TY":
        return ""
    both = re.findall(rf"\n({tag}|TY) {{0,4}}-", head)
    alternating = all(one != other for one, other in pairwise(both))
    return tag if alternating and len(both) > 1 else ""


def _glued(text: str) -> list[int]:
    """Return where in a record's text types stand inside a line, each between titles of its own."""
    if f"N1  - {REMAINDER}" in text:  # of our own, whose values may hold anything
        return []
    titles = [found.start() for found in _GLUED_TITLE.finditer(text)]
    found, named = [], 0
    for glued in _GLUED.finditer(text):
        before = bisect_left(titles, glued.start())
        if named < before < len(titles):
            found.append(glued.end())
            named = before
    return found


def _opens(piece: str, before: str) -> bool:
    """Tell whether a line with a type opens a record, and is no line of the text of the one before, which lacks its end."""
    if before.endswith("\n"):
        return True
    value = piece.partition("-")[2][:200].partition("\n")[0]
    return _TAG_FOLLOWS.match(piece) is not None and _GOES_ON.match(value.strip()) is None


def _parts_of(text: str, line: int) -> list[tuple[int, str]]:
    """Cut a text that was mended as `pieces` cuts a file."""
    found = []
    for part in _PARTS.split(f"\n{text}"):
        found.append((line, part))
        line += part.count("\n") + 1
    return found


def _names_title(text: str) -> bool:
    return any(tag in _TITLES for tag, _ in _LINE.findall(text))


def _last_paragraph(text: str) -> int:
    """Return where the last paragraph begins, if it begins with a tag and no blank line follows it; else the end."""
    begin = max((found.start() for found in re.finditer(r"\n(?=[ \t]*\n)", text)), default=-1) + 1
    begin = text.find("\n", begin) if begin else 0
    return begin if text[begin:].strip() and _LINE.match(text, begin) else len(text)


def _split(text: str, texts: list[int] | None = None) -> list[str]:
    """Split a record at the lines that begin a field: text, tag, value, tag, value, ...

    Such lines look the same throughout a record. A line of a text that only begins like one is part of the text; where
    it is written as tags are, its place is added to `texts`.
    """
    parts = _LINE.split(text)
    blanks = set(parts[2::3])
    if blanks <= {"  "} and "ER" not in parts and not _IN_TEXT.search(text):  # as in most records
        del parts[2::3]
        return parts
    strict = any(gap == "  " for tag, gap in zip(parts[1::3], parts[2::3]) if tag not in ("TY", "ER"))
    kept, tag, at = [], "", 0
    found = list(_LINE.finditer(text))
    for line in found:
        before, value = text[at : line.start()], text[line.end() : line.end() + 200].partition("\n")[0]
        its_tag, gap = line.groups()
        if its_tag in _NOT_IN_TEXT and tag in _PROSE and _IN_TEXT.match(text, line.start()):
            if texts is not None and gap == "  ":
                texts.append(line.start())
        elif _begins_field(its_tag, gap, value, strict, tag, before, line is found[-1]):
            kept += [before, its_tag]
            tag, at = its_tag, line.end()
    return [*kept, text[at:]]


def _begins_field(name: str, blanks: str, value: str, strict: bool, tag: str, before: str, is_last: bool) -> bool:
    """Tell whether a line begins a field, and does not go on with the one before.

    Parameters
    ----------
    name, blanks, value : str
        The tag that the line begins with, the blanks after it, and what follows.
    strict : bool
        The record has two blanks after its tags.
    tag, before : str
        The field that is open, and its text so far.
    is_last : bool
        No line after this one looks as if it began a field.
    """
    in_prose = tag in _PROSE or ("\n" in before and tag not in _LISTS)
    if strict and blanks != "  ":
        plainly = _ONE_BLANK.get(name)
        if blanks != " " or plainly is None:
            return False
        return plainly.match(value) is not None or not (in_prose or _GOES_ON.match(value))
    if name == "ER":
        return is_last or not in_prose
    return strict or name == "KW" or not (in_prose and _GOES_ON.match(value))


def _record(values: Values) -> Record:
    pop = values.pop
    kept = {}
    code = " ".join(values.get("TY", ()))
    kind = ""
    if "M3" in values:
        kind = one_line("; ".join(v for v in values["M3"] if not (_CLASSIFICATION.match(v) or normal_doi(v))))
        if kind:
            other = [v for v in pop("M3") if _CLASSIFICATION.match(v) or normal_doi(v)]
            if other:
                values["M3"] = other
    if code == "JOUR":
        del values["TY"]
    # Of each field's tags the first that is there is taken; the others stay extra fields.
    titles = pop("TI", None) or pop("T1", None) or pop("CT", None) or pop("BT", None) or ("",)
    if len(titles) > 1:
        kept["TI"] = tuple(titles[1:])
    abstract, others = split_abstract(pop("AB", ()))
    if not abstract and "N2" in values:
        abstract, more = split_abstract(pop("N2"))
        if more:
            values["N2"] = list(more)
    if others:
        kept["AB"] = others
    journals = pop("JF", None) or pop("T2", None) or pop("JO", None) or pop("JA", None) or pop("J2", None) or ("",)
    if len(journals) > 1:
        kept["T2"] = tuple(journals[1:])
    tag = "PY" if "PY" in values else "Y1" if "Y1" in values else "DA"
    year = None
    if tag in values:
        dates = values[tag]
        year = first_year(dates)
        if year is not None and len(dates) == 1 and dates[0] == str(year):
            del values[tag]
    doi = ""
    if "DO" in values:
        doi = next((d for v in values["DO"] if (d := normal_doi(v))), "")
        if doi and values["DO"] == [doi]:
            del values["DO"]
    # Ovid's MEDLINE has its number here, where others have a reference's; `facts` knows the other places.
    ovid = any(value.lower().startswith("ovid medline(r)") for value in values.get("DB", ()))
    pmid = next((found for value in values.get("ID", ()) if (found := normal_pmid(value))), "") if ovid else ""
    languages = pop("LA", None) or pop("LG", None)
    language = one_line("; ".join(languages)) if languages else ""
    left_over = ""
    if "N1" in values:
        notes = pop("N1")
        language, kind = _from_ebsco(notes, language, kind)
        left_over = next((n for n in notes if n.startswith(f"{REMAINDER} ")), "").removeprefix(f"{REMAINDER} ")
        notes = [n for n in notes if not n.startswith((f"{REMAINDER} ", "triage: "))]
        if notes:
            values["N1"] = notes
    authors = _authors(values)
    words = pop("KW", ())
    extra = {tag: tuple(found) for tag, found in values.items()}
    for tag, more in kept.items():
        extra[tag] = more + extra.get(tag, ())
    record = completed(
        Record(
            title=one_line(titles[0]),
            abstract=abstract,
            authors=authors,
            year=year,
            journal=one_line(journals[0]),
            doi=doi,
            pmid=pmid,
            language=language,
            type=kind or _TYPE_CODES.get(code, code),
            keywords=folded(words),
            extra=extra,
        )
    )
    return with_remainder(record, left_over) if left_over else record


def _authors(values: Values) -> tuple[str, ...]:
    pop = values.pop
    # A first author in a tag of its own comes before the others. After them, A1 holds a group's name.
    leads = "A1" in values and next(tag for tag in values if tag in ("AU", "A1")) == "A1"
    authors = pop("AU", None)
    if authors is None:
        authors = pop("A1", None) or pop("A2", None) or pop("A3", None) or pop("A4", [])
    elif leads and not {*map(_family, values["A1"])} & {*map(_family, authors)}:
        authors = pop("A1") + authors
    return tuple(authors)


def _family(name: str) -> str:
    family, comma, _ = name.partition(",")
    return (family if comma else re.sub(r"\s[A-Z.\s]{1,8}$", "", name.strip())).strip().lower()


def _from_ebsco(notes: Sequence[str], language: str, kind: str) -> tuple[str, str]:
    """Fill from EBSCO's note, where CINAHL and others keep what has a tag elsewhere."""
    for note in notes:
        if "Accession Number:" in note:
            if not language and (found := _EBSCO_LANGUAGE.search(note)):
                language = found.group(1)
            if not kind and (found := _EBSCO_TYPE.search(note)):
                kind = one_line(found.group(1))
    return language, kind


def write(path: Path, rows: Iterable[ExportRow]) -> None:
    """Write RIS; every field comes back when the file is read again."""
    with path.open("w", encoding="utf-8", newline="\r\n") as file:
        for row in rows:
            plain = standard_lines(row.record)
            rest = remainder(row.record, _again(plain))
            if rest:
                plain.append(("N1", f"{REMAINDER} {rest}"))
            decision = {k: row.decision[k] for k in DECISION_FIELDS if row.decision.get(k)}
            if decision:
                plain.append(("N1", f"triage: {json.dumps(decision, ensure_ascii=False)}"))
            _write_record(file, plain)


def write_lines(path: Path, records: Iterable[list[tuple[str, str]]]) -> None:
    """Write RIS of records given by their lines, as (tag, value)."""
    with path.open("w", encoding="utf-8", newline="\r\n") as file:
        for lines in records:
            _write_record(file, lines)


def _write_record(file: TextIO, lines: Iterable[tuple[str, str]]) -> None:
    file.writelines(_as_lines(tag, value) for tag, value in lines)
    file.write("ER  - \n\n")


def _as_lines(tag: str, value: str) -> str:
    if "\n" not in value and "\r" not in value and "\0" not in value:  # as most are
        return f"{tag}  - {value.strip()}\n"
    # Indented, a further line cannot be taken for a tag, whatever it says.
    parts = [part for part in lines_of(value.replace("\0", "\ufffd")) if part.strip()] or [""]
    return f"{tag}  - {parts[0].strip()}\n" + "".join(f"      {part.strip()}\n" for part in parts[1:])


def standard_lines(record: Record) -> list[tuple[str, str]]:
    """Return the lines of a record, as (tag, value), each field in the tag that is its own in RIS."""
    foreign = is_medline(record.extra)
    extra = {
        tag: list(found)
        for tag, found in record.extra.items()
        if re.fullmatch(r"[A-Z][A-Z0-9]", tag) and tag not in _NOT_TWICE and not (foreign and tag not in _MEDLINE_TOO)
    }
    if "UT" in extra:  # Web of Science's words, not a reference's number
        extra.pop("ID", None)
    code = (extra.pop("TY", None) or [_CODES.get(record.type.lower(), "JOUR")])[0]
    lines = [("TY", code), ("TI", record.title), *(("TI", v) for v in extra.pop("TI", []))]
    lines += [("AU", name) for name in record.authors]
    if record.year is not None:  # other programs take nothing but a year there
        dates = extra.pop("PY", [])
        lines.append(("PY", str(record.year)))
        if dates and first_year(dates) == record.year:
            extra.setdefault("DA", dates)
    lines += [("T2", record.journal), *(("T2", v) for v in extra.pop("T2", []))]
    lines += [("AB", record.abstract), *(("AB", v) for v in extra.pop("AB", []))]
    if record.doi and [v.lower() for v in extra.get("DO", ())] != [record.doi]:
        extra.pop("DO", None)
        lines.append(("DO", record.doi))
    if record.type and record.type != _TYPE_CODES.get(code, code):
        lines.append(("M3", record.type))
    lines += [("LA", record.language), *(("KW", word) for word in record.keywords)]
    if record.pmid and not any(tag in extra for tag in ("AN", "DB", "DP")):
        lines += [("AN", record.pmid), ("DB", "PubMed")]
    # What other formats call by other names, so that a reference manager finds it; the names themselves are
    # kept in the remainder.
    said = _with_last_page(details(record.extra))
    lines += [(tag, said[name]) for name, tag in _DETAILS.items() if name in said and tag not in extra]
    lines += [(tag, value) for tag, found in extra.items() for value in found if tag not in ("ER", "TY")]
    return [(tag, value) for tag, value in lines if value or tag == "TY"]


def _with_last_page(said: dict[str, str]) -> dict[str, str]:
    """Return details with a range of pages as the first and the last one, "307-15" as 307 and 315."""
    found = _PAGES.fullmatch(said.get("first page", ""))
    if found is None or "last page" in said:
        return said
    first, last = found.groups()
    return said | {"first page": first, "last page": first[: max(0, len(first) - len(last))] + last}


def _again(lines: list[tuple[str, str]]) -> Record:
    text = "".join(_as_lines(tag, value) for tag, value in lines)
    return _record(values_of(_split(f"\n{text}"), _LISTS))
