"""RIS, as databases and reference managers really write it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..records import Record, normal_doi, normal_pmid
from . import votes
from .common import (
    DECISION_FIELDS, REMAINDER, ExportRow, Item, Tally, doi_elsewhere, first_year, folded, one_line, pmid_in_notes,
    pmid_of, remainder, split_abstract, with_remainder,
)
from .details import details, is_medline
from .markup import readable
from .names import one_each
from .tagged import Opening, Outside, Values, doubt, first_paragraph, nothing_but, pieces, values_of
from .text import TextFile, lines_of

# A line that opens a record: "TY  - JOUR", or with other blanks where nothing but a type follows.
_OPENS = Opening(r"\nTY(?:  -| {0,4}-(?=[ \t]{0,9}[\w-]{0,20}[ \t]{0,99}(?:\n|\Z)))")
# Where no record has its type: a line that ends one, and what only RIS, or only MEDLINE, has at its lines' beginning.
_ENDS = Opening(r"\nER[ \t]{0,4}-[ \t]*(?=\n|\Z)")
_RIS_ALONE = frozenset("T1 T2 A1 N2 JO JF PY Y1 SP EP VL UR KW DO".split())
_MEDLINE_ALONE = frozenset("DP JT TA PT MH OT VN UI YR LG IP VI PG".split())
# What may follow text in the line of an end, as "ER  - End of reference" has it; else the line is an abstract's.
_AFTER_END = r"[^\n]{0,200}(?:\n?\Z|\n[ \t]*\n|\n[A-Z][A-Z0-9]  -|\n[^\w\n]{0,9}\d{1,9}[^\w\n]{0,9}(?:\n|\Z))"
# A line that begins a value. One that ends a record says nothing else: abstracts hold lines such as "ER-positive cells".
_TAG = re.compile(
    r"\n([A-Z][A-Z0-9](?:[A-Z0-9]{1,2}(?=  - ))?|PMID(?= ))(?:(?<!\nER)  - ?"
    rf"|(?<=\nER)(?:[ \t]{{0,4}}-[ \t]*(?=\n|\Z)|  -(?={_AFTER_END}))|(?<=\nPMID) - ?)"
)
_TWO_BLANKS = re.compile(r"\n(?!TY)[A-Z][A-Z0-9]  -")
_LOOSE_TAG = re.compile(
    rf"\n(ER(?=[ \t]{{0,4}}-[ \t]*(?:\n|\Z)|  -{_AFTER_END})|(?!ER)[A-Z][A-Z0-9](?:[A-Z0-9]{{1,2}}(?=  - ))?|PMID)"
    r"([ \t]{0,4})-(?: |(?<=  -)|(?=\s|\Z))"
)
# With one blank, in a record of two, a line opens a value only by these tags.
_ONE_BLANK = frozenset("TI T1 T2 AU A1 KW PY Y1 JO JF UR DO N2 PMID ER".split())
_PROSE = frozenset({"AB", "N2", "N1"})
_ENDED = re.compile(r"[.?!:;)\]\"'\u201d\u3002]\s*\Z")
_LOWER_WORD = re.compile(r"[a-z]+(?:[\s.,;:()-]|\Z)")
# Values that are no prose, whatever stands before them.
_PLAINLY = {
    **dict.fromkeys(("UR", "DO", "L1", "L2", "L3", "L4", "LK"), re.compile(r"https?:|www\.|doi|10\.|/")),
    **dict.fromkeys(("PY", "Y1", "Y2", "DA"), re.compile(r"\D{0,3}\d{4}")),
    **dict.fromkeys(("AU", "A1", "A2", "A3", "A4"), re.compile(r"[\w' -]{2,40}, ?[A-Z]")),
}
# The second count: lines that open, name or end a record, in whatever way these tags are written.
_SIGNS = re.compile(r"\n(TY|TI|T1|ER)[ \t]{0,4}-(?![\w-])")
# With them, lines that begin as a tag with one blank would: in a record that has one title and no such line, every
# line that looks like a tag is one.
_SIGNS_OR_ONE_BLANK = re.compile(r"\n((?:TY|TI|T1|ER)[ \t]{0,4}-(?![\w-])|[A-Z][A-Z0-9] - ?)")
_USUAL = (["TY  -", "TI  -", "ER  -"], ["TY  -", "T1  -", "ER  -"])
_TITLES = ("TI", "T1", "CT", "BT")
# Between records without an end, Ovid's number is the last thing of a record's text.
_NUMBERED = re.compile(r"\n[ \t]*\n[^\w\n]{0,9}\d{1,9}[^\w\n]{0,9}\Z")
_EBSCO_LANGUAGE = re.compile(r"(?:^|[.;] )Language: ([A-Z][a-z]+(?:[,/;] ?[A-Z][a-z]+)*)(?=[.;]|$)")
_EBSCO_TYPE = re.compile(r"(?:^|[.;] )Publication Type: ([^.:]{1,200}?)(?=; [A-Z][A-Za-z ]{2,40}: |\.|;?\s*$)")
_LISTS = frozenset({"KW", "AU", "A1", "A2", "A3", "A4"})
_DOI_TAGS = frozenset("UR L1 L2 L3 L4 LK M1 M3 AN ID C3 C7 U1 U2 U3 U4 U5".split())
_EARLY_ACCESS = re.compile(r"[A-Z]{3}(?:-[A-Z]{3})?(?: \d{1,2})? (?:19|20)\d\d", re.IGNORECASE)  # in C6, of Web of Science
_PUBMED_PAGE = re.compile(r"(?:ncbi\.nlm\.nih\.gov/pubmed|pubmed\.ncbi\.nlm\.nih\.gov)/(\d+)")
_OVID_MEDLINE = re.compile(r"ovid.*[?&]D=(?:med|prem|ppez)\w*&.*\bAN=(\d+)", re.IGNORECASE)
# PsycINFO's classification stands where others have the type: "Health Psychology & Medicine [3360]".
_CLASSIFICATION = re.compile(r".*\D\[?\d{4}\]?$")
_TYPE_CODES = {
    "JOUR": "Journal article", "JFULL": "Journal article", "EJOUR": "Journal article", "BOOK": "Book",
    "CHAP": "Book chapter", "CONF": "Conference paper", "CPAPER": "Conference paper", "THES": "Thesis",
    "RPRT": "Report", "NEWS": "News", "MGZN": "Magazine article",
}
_CODES = {
    "book": "BOOK", "book chapter": "CHAP", "book section": "CHAP", "conference paper": "CONF",
    "conference proceedings": "CONF", "thesis": "THES", "report": "RPRT", "misc": "GEN",
}
_DETAILS = {
    "volume": "VL", "issue": "IS", "first page": "SP", "last page": "EP", "issn": "SN", "publisher": "PB", "url": "UR",
    "short journal": "J2", "place": "CY", "address": "AD",
}
_NOT_TWICE = ("AU", "KW", "LA")  # other formats' further forms of what the record's own fields say
_MEDLINE_TOO = ("AB", "AD", "PB")  # of MEDLINE's tags, those that mean the same here


def looks_like(head: str) -> int:
    """Return where a text's first record begins, or -1."""
    text = f"\n{head}"
    opens = _opening(head)
    return -1 if opens is None else _OPENS.first(text) if opens is _OPENS else _TAG.search(text).start()


def _opening(head: str) -> Opening | None:
    """Return what parts a text's records: their types, else their ends, else blank lines; None where it is no RIS."""
    text = f"\n{head}"
    if _OPENS.first(text) >= 0:
        return _OPENS
    tags = _TAG.findall(text)
    if "ER" in tags and any(tag in tags for tag in _TITLES):
        return _ENDS
    if len(_RIS_ALONE.intersection(tags)) > 1 and not _MEDLINE_ALONE.intersection(tags) and "\nPMID" not in text:
        return Opening(rf"\n[ \t]*\n(?={tags[0]}  - )", feeds=2)
    return None


def records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read a RIS file."""
    file = TextFile(path, tally)
    outside = Outside(tally)
    opens = _opening(file.head) or _OPENS
    for line, values in (_by_type(file, outside) if opens is _OPENS else _without_types(file, opens, outside)):
        if (problem := nothing_but("TY", values, line)) is not None:
            yield problem
        else:
            label = votes.in_notes(values["N1"], line, tally) if "N1" in values else ""
            yield Item(line, _record(values), label)
    outside.tell()


def _by_type(file: TextFile, outside: Outside) -> Iterator[tuple[int, Values]]:
    """Yield each record's line and values.

    A record begins with its type, with tags that stand directly before its type, or after the end of the one before.
    """
    found = pieces(file, _OPENS)
    line, before = next(found)
    following = next(found, None)
    parts = _split(before)
    rest = _Rest(["", "ER", *parts], 1, line, following is not None, True, outside)
    for tag, text in rest.stray:  # of no record
        outside.note(line + _lines_before(parts, parts.index(tag)), f"{tag}  - {text}")
    file.tally.announced += len(rest.records)
    yield from rest.records
    lead, at, first = rest.lead, rest.line, rest.first
    while following is not None:
        line, piece = following
        following = next(found, None)
        if not lead:
            parts = _TAG.split(piece)
            if (values := _plain_values(parts)) is not None:
                yield line, values
                continue
            parts[:0] = ("", "TY")
        text = f"{lead}\nTY  -{piece}"
        start = at if lead else line
        signs = _SIGNS_OR_ONE_BLANK.findall(text)
        if lead or signs not in _USUAL:
            parts = _split(text)
            signs = _SIGNS.findall(text)
        lead = ""
        end = parts.index("ER") if "ER" in parts else -1
        n = 1
        if end < 0 and first and following is not None and (cut := _last_line(text, first)) > text.find("\nTY  -"):
            at = start + text.count("\n", 0, cut)
            lead = text[cut:]
            parts = _split(text[:cut])
        elif end < 0:
            parts[-1] = _NUMBERED.sub("", parts[-1].rstrip())
        elif end == len(parts) - 2 and not parts[-1].strip():
            del parts[end:]
        else:
            rest = _Rest(parts, end, start, following is not None, bool(first), outside)
            lead, at, n = rest.lead, rest.line, 1 + len(rest.records)
            parts = [*parts[:end], *(part for pair in rest.stray for part in pair)]
            file.tally.announced += len(rest.records)
        if signs not in _USUAL:
            doubt(signs, n + bool(lead), start, file.tally)
        yield start, values_of(parts, _LISTS)
        if n > 1:
            yield from rest.records


def _plain_values(parts: list[str]) -> Values | None:
    """Return the values of a record as most are: one title, each value on its line, and nothing after its end."""
    if "ER" not in parts or parts.index("ER") != len(parts) - 2:
        return None
    texts = list(map(str.strip, parts[2::2]))
    if texts.pop() or "\n" in "|".join(texts):
        return None
    values: Values = defaultdict(list)
    values["TY"].append(parts[0].strip())
    for tag, text in zip(parts[1::2], texts):
        values[tag].append(text)
    titles = len(values["TI"]) if "TI" in values else 0
    titles += len(values["T1"]) if "T1" in values else 0
    if titles != 1 or "\n" in parts[0].strip():
        return None
    if "" in texts or not values["TY"][0]:
        for tag in list(values):
            values[tag] = [text for text in values[tag] if text]
            if not values[tag]:
                del values[tag]
    return values


class _Rest:
    """What stands after a record's end and before the next type.

    Attributes
    ----------
    records : list of (int, Values)
        Records without a type, each with its line.
    lead, line : str, int
        The tags with which the next record begins before its type, and their line.
    first : str
        The first of these tags.
    stray : list of (str, str)
        Tags and texts that belong to the record before: Ovid writes some after the end.
    """

    def __init__(self, parts: list[str], end: int, line: int, followed: bool, leads: bool, outside: Outside):
        self.records: list[tuple[int, Values]] = []
        self.stray: list[tuple[str, str]] = []
        self.lead, self.line, self.first = "", 0, ""
        ends = [i for i in range(end, len(parts), 2) if parts[i] == "ER"]
        for at, until in zip(ends, [*ends[1:], len(parts)]):
            last = until == len(parts)
            begin, apart = at + 2, _has_blank_line(parts[at + 1])
            stop = until
            if last and followed:
                # Directly before a type, after a blank line: the next record begins there.
                begin = next((i + 2 for i in range(until - 2, at, -2) if _has_blank_line(parts[i + 1])), at + 2)
                whole = leads or begin > at + 2 or apart or any(tag in parts[begin:until:2] for tag in _TITLES)
                if leads and begin < until:
                    begin = at + 2
                if whole and begin < until:
                    stop = begin
                    self.first, self.line = parts[begin], line + _lines_before(parts, begin)
                    self.lead = "".join(f"\n{tag}  - {text}" for tag, text in zip(parts[begin::2], parts[begin + 1::2]))
            elif any(tag in parts[begin:until:2] for tag in _TITLES):
                stop = begin
                self.records.append((line + _lines_before(parts, begin), values_of(["", *parts[begin:until]], _LISTS)))
            for i in range(at, stop, 2):
                text, beyond = parts[i + 1], ""
                if parts[i] == "ER":
                    # What stands in the line itself says nothing: "End of reference".
                    text, _, beyond = text.partition("\n")
                else:
                    text, beyond = first_paragraph(text)
                    self.stray.append((parts[i], text))
                if beyond and not beyond.isspace():
                    here = line + _lines_before(parts, i) + parts[i + 1].count("\n") - beyond.count("\n")
                    outside.note(here, beyond)


def _lines_before(parts: list[str], i: int) -> int:
    """Return how many lines of a record stand before the line of a tag."""
    return "".join(parts[:i]).count("\n") + i // 2


def _has_blank_line(text: str) -> bool:
    return first_paragraph(text)[0] != text


def _last_line(text: str, tag: str) -> int:
    """Return where the last line of a tag begins, or -1."""
    return max(text.rfind(f"\n{tag}  -"), text.rfind(f"\n{tag} -"), text.rfind(f"\n{tag}-"))


def _without_types(file: TextFile, opens: Opening, outside: Outside) -> Iterator[tuple[int, Values]]:
    """Yield each record's line and values where the file gives no types: records part at their ends, or at blank lines."""
    found = pieces(file, opens)
    if opens is not _ENDS:
        outside.note(*next(found))
    following = next(found, None)
    while following is not None:
        line, piece = following
        following = next(found, None)
        if opens is not _ENDS:
            line, piece = line - 1, f"\n{piece}"
        elif following is None:
            if len(parts := _split(piece)) == 1:
                outside.note(line, parts[0])
                return
            file.tally.announced += 1
        # Where types do come, and ends are missing, each opens a record but the first.
        first, *others = _OPENS.split(piece)
        texts = ["\nTY  -".join((first, *others[:1])), *(f"\nTY  -{other}" for other in others[1:])]
        file.tally.announced += len(texts) - 1
        for text in texts:
            parts = _split(text)
            outside.note(line, parts[0])
            here = line + 1 + parts[0].count("\n")
            doubt(_SIGNS.findall(text), 1, here, file.tally)
            yield here, values_of(parts, _LISTS)
            line += text.count("\n")


def _split(text: str) -> list[str]:
    """Split a record at its tags, where not every line that looks like one is one."""
    strict = _TWO_BLANKS.search(text) is not None
    parts = _tags_of(text, strict)
    if strict and not any(tag in parts for tag in _TITLES):
        loose = _tags_of(text, False)
        parts = loose if any(tag in loose for tag in _TITLES) else parts
    return parts


def _tags_of(text: str, strict: bool) -> list[str]:
    parts, tag, at = [], "", 0
    for found in _LOOSE_TAG.finditer(text):
        name, blanks = found.groups()
        if name != "ER" and not (strict and blanks == "  "):
            if strict and (name not in _ONE_BLANK or blanks != " "):
                continue
            line = text[found.end():].partition("\n")[0] if len(text) < 10_000 else text[found.end(): found.end() + 200]
            if _is_text(name, line, tag, text[at: found.start()], strict and f"\n{name}  -" in text):
                continue
        parts += [text[at: found.start()], name]
        tag, at = name, found.end()
    return [*parts, text[at:]]


def _is_text(name: str, line: str, tag: str, before: str, elsewhere: bool) -> bool:
    """Tell whether a line goes on with the value before it, though it begins as a tag may: "T2 - weighted images".

    Parameters
    ----------
    name, line : str
        The tag that it would be, and what follows it.
    tag, before : str
        The tag that is open, and its value so far.
    elsewhere : bool
        The record has this tag with two blanks.
    """
    if tag not in _PROSE and "\n" not in before:
        return False
    if (plainly := _PLAINLY.get(name)) is not None:
        return plainly.match(line) is None
    goes_on = _ENDED.search(before[-20:]) is None
    lower = _LOWER_WORD.match(line) is not None
    if name == "KW":
        return elsewhere and goes_on and lower
    return lower or (elsewhere and goes_on)


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
    if year is None and "C6" in values:
        year = first_year(v for v in values["C6"] if _EARLY_ACCESS.fullmatch(v))
    doi = ""
    if "DO" in values:
        doi = next((d for v in values["DO"] if (d := normal_doi(v))), "")
        if doi and values["DO"] == [doi]:
            del values["DO"]
    if not doi:
        doi = doi_elsewhere([v for tag in values if tag in _DOI_TAGS for v in values[tag]], values.get("N1", ()))
    pmid = _pmid(values)
    languages = pop("LA", None) or pop("LG", None)
    language = one_line("; ".join(languages)) if languages else ""
    left_over = ""
    if "N1" in values:
        notes = pop("N1")
        language, kind = _from_ebsco(notes, language, kind)
        pmid = pmid or pmid_in_notes(notes)
        left_over = next((n for n in notes if n.startswith(f"{REMAINDER} ")), "").removeprefix(f"{REMAINDER} ")
        notes = [n for n in notes if not n.startswith((f"{REMAINDER} ", "triage: "))]
        if notes:
            values["N1"] = notes
    authors = _authors(values)
    words = pop("KW", ())
    extra = {tag: tuple(found) for tag, found in values.items()}
    for tag, found in kept.items():
        extra[tag] = found + extra.get(tag, ())
    record = readable(Record(
        title=one_line(titles[0]), abstract=abstract, authors=authors, year=year, journal=one_line(journals[0]),
        doi=doi, pmid=pmid, language=language, type=kind or _TYPE_CODES.get(code, code), keywords=folded(words),
        extra=extra,
    ))
    return with_remainder(record, left_over) if left_over else record


def _authors(values: Values) -> tuple[str, ...]:
    pop = values.pop
    authors = pop("AU", None)
    if authors is None:
        authors = pop("A1", None) or pop("A2", None) or pop("A3", None) or pop("A4", ())
    elif "A1" in values and not {_family(name) for name in values["A1"]} & {_family(name) for name in authors}:
        authors = pop("A1") + authors  # the first author has a tag of its own
    joined = "|".join(authors)
    commas = joined.count(",")
    if ";" in joined or commas > len(authors) or (commas and len(authors) == 1 and joined[-1].isupper()):
        return one_each(authors)
    return folded(authors)


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


def _pmid(values: Values) -> str:
    for tag in ("PMID", "U1"):
        if tag in values:
            for value in values[tag]:
                # Dimensions writes "35957633 [PMID]"; a bare number in U1 may be anything.
                if (tag == "PMID" or "pmid" in value.lower()) and (found := normal_pmid(value.partition("\n")[0])):
                    return found
    if "DB" in values or "DP" in values:
        database = " ".join((*values.get("DB", ()), *values.get("DP", ()))).lower()
        tag = "AN" if "pubmed" in database or "medline" in database else ""
        # Elsewhere this tag holds any number.
        other = "ID" if any(value.lower().startswith("ovid medline(r)") for value in values.get("DB", ())) else ""
        for value in (*values.get(tag, ()), *values.get(other, ())):
            if found := normal_pmid(value):
                return found
    for tag in ("UR", "L2"):
        if tag in values:
            for value in values[tag]:
                if "pubmed" in value and (found := _PUBMED_PAGE.search(value)):
                    return normal_pmid(found.group(1))
                # The address names the segment of MEDLINE, with or without the database's name in the record.
                if "ovid" in value and len(value) < 2000 and (found := _OVID_MEDLINE.search(value)):
                    return normal_pmid(found.group(1))
    # As the Cochrane Library has it: "PUBMED 21314913,EMBASE 361".
    if "C3" in values:
        return next((pmid for value in values["C3"] if value.startswith("PUBMED ") and (pmid := pmid_of(value))), "")
    return ""


def write(path: Path, rows: Iterable[ExportRow]) -> None:
    """Write RIS; every field comes back when the file is read again."""
    with path.open("w", encoding="utf-8", newline="\r\n") as file:
        for row in rows:
            plain = _lines(row.record)
            rest = remainder(row.record, _again(plain))
            if rest:
                plain.append(("N1", f"{REMAINDER} {rest}"))
            told = {k: row.decision[k] for k in DECISION_FIELDS if row.decision.get(k)}
            if told:
                plain.append(("N1", f"triage: {json.dumps(told, ensure_ascii=False)}"))
            for tag, value in plain:
                file.write(_as_lines(tag, value))
            file.write("ER  - \n\n")


def _as_lines(tag: str, value: str) -> str:
    if "\n" not in value and "\r" not in value and "\0" not in value:  # as most are
        return f"{tag}  - {value.strip()}\n"
    # Indented, a further line cannot be taken for a tag, whatever it says.
    parts = [part for part in lines_of(value.replace("\0", "\ufffd")) if part.strip()] or [""]
    return f"{tag}  - {parts[0].strip()}\n" + "".join(f"      {part.strip()}\n" for part in parts[1:])


def _lines(record: Record) -> list[tuple[str, str]]:
    foreign = is_medline(record.extra)
    extra = {
        tag: list(found) for tag, found in record.extra.items()
        if re.fullmatch(r"[A-Z][A-Z0-9]", tag) and tag not in _NOT_TWICE and not (foreign and tag not in _MEDLINE_TOO)
    }
    if "UT" in extra:  # Web of Science's words, not a reference's number
        extra.pop("ID", None)
    code = (extra.pop("TY", None) or [_CODES.get(record.type.lower(), "JOUR")])[0]
    lines = [("TY", code), ("TI", record.title), *(("TI", v) for v in extra.pop("TI", []))]
    lines += [("AU", name) for name in record.authors]
    dates = next((extra[tag] for tag in ("PY", "Y1", "DA") if tag in extra), [])
    if record.year is not None and first_year(dates) != record.year:
        extra.pop("PY", None)
        lines.append(("PY", str(record.year)))
    lines += [("T2", record.journal), *(("T2", v) for v in extra.pop("T2", []))]
    lines += [("AB", record.abstract), *(("AB", v) for v in extra.pop("AB", []))]
    if record.doi and not any(normal_doi(v) == record.doi for v in extra.get("DO", ())):
        lines.append(("DO", record.doi))
    if record.type and record.type != _TYPE_CODES.get(code, code):
        lines.append(("M3", record.type))
    lines += [("LA", record.language), *(("KW", word) for word in record.keywords)]
    if record.pmid and not any(tag in extra for tag in ("AN", "DB", "DP")):
        lines += [("AN", record.pmid), ("DB", "PubMed")]
    # What other formats call by other names, so that a reference manager finds it; the names themselves are
    # kept in the remainder.
    said = details(record.extra)
    lines += [(tag, said[name]) for name, tag in _DETAILS.items() if name in said and tag not in extra]
    lines += [(tag, value) for tag, found in extra.items() for value in found if tag not in ("ER", "TY")]
    return [(tag, value) for tag, value in lines if value or tag == "TY"]


def _again(lines: list[tuple[str, str]]) -> Record:
    text = "".join(_as_lines(tag, value) for tag, value in lines)
    return _record(values_of(_split(f"\n{text}"), _LISTS))
