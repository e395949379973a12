"""What the formats of tagged lines share: cutting a text into records, and a record into values."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from .common import Item, Problem, Tally
from .text import LONGEST, TextFile

Values = dict[str, list[str]]
# What databases write between records and what says nothing of them: numbers ("1.", "<1>", "Record #1 of 2"), Ovid's
# address of the record, and the header of PsycNET and JSTOR.
_ROUTINE = re.compile(
    r"\W*\d+\W*|Record #?\d+(?: of \d+)?\W*|Link to the Ovid Full Text or citation:.*|https?://\S{0,40}\bovid\S*"
    r"|(?:Provider|Database): .{1,100}|Content: [\w.+-]+/[\w.+-]+(?:; ?charset=\S+)?"
)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
# Blanks and dashes as editors, web pages and word processors make them of a tag line's, some of which do not show.
UNSEEN = "\ufeff\u200b-\u200d\u2060\u00ad"
BLANK = rf"(?:[^\S\n]|[{UNSEEN}])"
DASH = "[-\u2010-\u2015\u2212\ufe58\ufe63\uff0d]"
NOT_USUAL = "is not how this format writes a tag (four places, a hyphen, a blank); it was read as if it were"
_LOOSE_OPENER = re.compile(rf"\n({BLANK}{{0,40}}+)(TY|PMID|TI|T1)({BLANK}{{0,4}})({DASH}|:)(?=\s)", re.IGNORECASE)
_LOOSE_TITLE = re.compile(rf"\n{BLANK}{{0,40}}+(?:TI|T1){BLANK}{{0,4}}(?:{DASH}|:)\s", re.IGNORECASE)
_USUAL = re.compile(r"\n(?:(?:T[YI1]) {1,2}-|PMID ?-)")
_FULL_LINES = 3  # that a text written in another manner has at least
# What begins a record of each format, with the line after it, so that no text of an abstract is taken for one.
_RECORDS_OF = {
    "ris": r"TY {1,2}- [A-Z]{3,6}[ \t]*\n\s*[A-Z][A-Z0-9] {1,2}- ",
    "nbib": r"PMID- ?\d{1,9}[ \t]*\n[A-Z]{2,4} {0,2}- ",
    "wos": r"PT [JBSPC][ \t]*\n(?:AU|AF|BA|BE|CA|GP|TI|SO|DT) ",
    "enw": r"%0 [A-Z][^\n]{2,40}\n%[A-Z0-9@] ",
    "bibtex": r"@[A-Za-z]{3,30}\{[^\n,{}\"=]{0,100},\s*[A-Za-z_-]{2,40}[ \t]*=[ \t]*[{\"\d]",
    "record": r"[ \t]*(?:<xml>)?<records>\s*<record\b",
    "rec": r"[ \t]*<rec [^<>\n]{0,200}resultID",
    "PubmedArticle": r"[ \t]*<PubmedArticle(?:Set)?\b",
}
_LINE_OF_ANOTHER = re.compile(
    r"\s*(?:TY {1,2}- [A-Z]{3,6}|PMID- ?\d{1,9}|PT [JBSPC]|FN (?:Clarivate|Thomson|ISI)\b.*|%0 [A-Z][\w ]{2,40}"
    r"|@[A-Za-z]{3,30}\{[^\s,{}]{1,100}|<\?xml .*|<(?:PubmedArticleSet|xml|records)\b.*)\s*\Z"
)
_NAMES = {
    "ris": "RIS",
    "nbib": "PubMed's nbib",
    "wos": "Web of Science",
    "enw": "EndNote's tagged format",
    "bibtex": "BibTeX",
    "record": "EndNote's XML",
    "rec": "EBSCO's XML",
    "PubmedArticle": "PubMed's XML",
}


class Opening:
    """Lines that open a record.

    Parameters
    ----------
    pattern : str
        Begins with the line feed before that line, or with two where a blank line must precede
        it; what it matches is left out of the pieces.
    feeds : int
        How many line feeds it matches.
    counts : str, optional
        Matches the lines that announce a record, where not all of them do.
    """

    def __init__(self, pattern: str, *, feeds: int = 1, counts: str = ""):
        self._pattern, self.feeds = re.compile(pattern), feeds
        self._counts = re.compile(counts or pattern)

    def count(self, text: str) -> int:
        """Count the records that a text announces."""
        return len(self._counts.findall(text))

    def split(self, text: str) -> list[str]:
        """Cut a text at the openings."""
        return self._pattern.split(text)

    def first(self, text: str) -> int:
        """Return the position of the first opening, or -1."""
        found = self._pattern.search(text)
        return -1 if found is None else found.start()


def is_of_another(line: str) -> bool:
    """Tell whether a line by itself begins a record of a text format, and so is no row of a table."""
    return _LINE_OF_ANOTHER.match(line) is not None


class Manner:
    """A way of writing tag lines that is not the usual one: how to make them the usual ones.

    Indented, in lower case, with tabs, blanks that do not break, or dashes: so they come out of editors, web pages
    and mail.

    Parameters
    ----------
    opener : re.Match
        Of `_LOOSE_OPENER`.
    """

    def __init__(self, opener: re.Match[str]):
        self._margin, tag, gap, dash = opener.groups()
        letters = "[A-Z][A-Z0-9]" if tag.isupper() else "[a-z][a-z0-9]" if tag.islower() else "[A-Z][a-z0-9]"
        gap = rf"{BLANK}{{0,3}}" if tag.upper() == "PMID" else re.escape(gap)
        self._lines = re.compile(rf"\n{re.escape(self._margin)}({letters}(?:[A-Za-z0-9]{{0,2}})){gap}{dash}[^\S\n]?")
        self.example = opener.group().strip("\n")

    def fits(self, text: str) -> bool:
        """Tell whether a text has records that are written so."""
        tags = [tag.upper() for tag in self._lines.findall(text)]
        return len(tags) >= _FULL_LINES and bool({"TI", "T1", "BTI"}.intersection(tags))

    def usual(self, text: str) -> str:
        """Return a text, which begins with a line feed, with its tag lines as they are usually written."""
        text = self._lines.sub(lambda found: f"\n{found.group(1).upper():<4}- ", text)
        return text.replace(f"\n{self._margin}", "\n") if self._margin else text


class Indented:
    """A file all of whose lines are indented."""

    def __init__(self, margin: str):
        self._margin = margin

    def usual(self, text: str) -> str:
        """Return a text, which begins with a line feed, without the margin."""
        return text.replace(f"\n{self._margin}", "\n")


def manner(text: str) -> Manner | None:
    """Return how a text that has no usual tag lines writes them; None where it has none at all.

    The text begins with a line feed.
    """
    if not _LOOSE_TITLE.search(text) or (opener := _LOOSE_OPENER.search(text)) is None:
        return None
    found = Manner(opener)
    return found if not _USUAL.match(opener.group()) and found.fits(text) else None


def with_usual_tags(text: str) -> str:
    """Return a text as its reader takes it, whatever its manner."""
    found = manner(f"\n{text}")
    return text if found is None else found.usual(f"\n{text}").removeprefix("\n")


def odd_tags(tag: str) -> re.Pattern[str]:
    """Return what finds tag lines with unusual blanks or dashes among usual ones, each as wide as a usual one.

    Parameters
    ----------
    tag : str
        Matches a tag.
    """
    return re.compile(
        rf"\n(?=[{UNSEEN}\xa0]|{tag} {{0,2}}[^ \w\n-])[{UNSEEN}\xa0]{{0,3}}({tag})({BLANK}{{0,6}})({DASH})[^\S\n]?"
    )


def _usual_width(found: re.Match[str]) -> str:
    tag, gap, dash = found.groups()
    width = len(tag) + len(re.sub(f"[{UNSEEN}]", "", gap))
    usual = gap.isascii() and dash == "-" and found.start(1) == found.start() + 1
    return found.group() if width != 4 or usual else f"\n{tag:<4}- "


class Others:
    """Records of other formats in a file of one: several exports were joined, and it is not read.

    Parameters
    ----------
    path : Path
    format : str
        The file's own.
    """

    def __init__(self, path: Path, format: str):
        self._path, self._own = path, format
        self._begin = re.compile(
            "\n(?:" + "|".join(f"(?P<{name}>{sign})" for name, sign in _RECORDS_OF.items() if name != format) + ")"
        )

    def refuse(self, text: str, line: int) -> None:
        """Look through a text that begins with the line feed that ends a line.

        Raises
        ------
        InputError
            Where a record of another format begins.
        """
        if (found := self._begin.search(text)) is not None:
            here = line + text.count("\n", 0, found.start()) + 1
            own = _NAMES.get(self._own, self._own)
            raise InputError(
                f"{self._path}, line {here:,}: here begins {_NAMES[found.lastgroup or self._own]}, but the file begins as "
                f"{own}; several exports were joined. Put what begins in that line into a file of its own, and import both."
            )


def pieces(
    file: TextFile, opens: Opening, mended: Manner | Indented | None = None, odd: re.Pattern[str] | None = None
) -> Iterator[tuple[int, str]]:
    """Cut a text before each line that opens a record; such lines are counted apart, into the tally.

    Parameters
    ----------
    file : TextFile
    opens : Opening
    mended : Manner or Indented, optional
        How the whole file writes its tags.
    odd : re.Pattern, optional
        See `odd_tags`.

    Yields
    ------
    line, text : int, str
        First the text before the first record, then each record.

    Raises
    ------
    InputError
        At a record of more than `LONGEST` characters.
    """
    rest = before = "\n" * opens.feeds
    line = 1 - opens.feeds
    for block in file.blocks():
        if mended is not None:
            block = mended.usual(f"\n{block}")[1:]
        elif odd is not None and not block.isascii() and (odd.search(block) or odd.match(f"\n{block[:20]}")):
            block = odd.sub(_usual_width, f"\n{block}")[1:]
        file.tally.announced += opens.count(before + block)
        before = (before if block.isspace() else "") + block[len(block.rstrip()) :]
        found = opens.split(rest + block)
        rest = found.pop()
        for piece in found:
            yield line, piece
            line += piece.count("\n") + opens.feeds
        if len(rest) > LONGEST:
            raise InputError(
                f"{file.path}: the record that begins in line {line} is longer than {LONGEST:,} characters, "
                f"which no record is; the file is damaged. Export it again."
            )
    yield line, rest


def nothing_but(opening: str, values: Values, line: int, what: str = "type") -> Item | None:
    """Return the problem that a record has no field but the one that opens it; None where it has."""
    if len(values) > (opening in values):
        return None
    return Item(line, Problem(line, f"this record has no field but its {what}; there is nothing to screen"))


def values_of(parts: list[str], lists: frozenset[str] = frozenset()) -> Values:
    """Return the values of a record that was split at its tags: text, tag, value, tag, value, ...

    Further lines continue a value, but are values of their own for the tags in `lists`.
    """
    values: Values = defaultdict(list)
    texts = list(map(str.strip, parts[2::2]))
    if "" not in texts and "\n" not in "|".join(texts):  # as in most records
        for tag, text in zip(parts[1::2], texts):
            values[tag].append(text)
        return values
    for tag, text in zip(parts[1::2], texts):
        if "\n" in text:
            lines = [line for part in text.split("\n") if (line := part.strip())]
            if tag in lists:
                values[tag].extend(lines)
            else:
                values[tag].append("\n".join(lines))
        elif text:
            values[tag].append(text)
    return values


def apart(text: str, titles: re.Pattern[str], tag: re.Pattern[str]) -> list[str]:
    """Cut a record's text at blank lines where a tag follows and a title comes again: records that run together.

    Parameters
    ----------
    text : str
    titles : re.Pattern
        Matches a line's end and a title's tag.
    tag : re.Pattern
        Matches a line's end and any tag.
    """
    places = [found.start() for found in titles.finditer(text)]
    if len(places) < 2:
        return [text]
    found, begin, named = [], 0, 0
    for blank in re.finditer(r"\n[ \t]*(?=\n\S)", text):
        at = blank.end()
        before = bisect_left(places, at)
        if named < before < len(places) and tag.match(text, at):
            found.append(text[begin:at])
            begin, named = at, before
    return [*found, text[begin:]]


def first_paragraph(text: str) -> tuple[str, str]:
    """Cut a text at its first blank line."""
    found = _BLANK_LINE.search(text)
    return (text, "") if found is None else (text[: found.start()], text[found.end() :])


class Outside:
    """Lines outside any record: one warning, with their number."""

    def __init__(self, tally: Tally):
        self._tally = tally
        self._first: tuple[int, str] | None = None
        self._n = 0

    def note(self, line: int, text: str) -> None:
        """Look at text between records that begins in a line."""
        if not text or text.isspace():
            return
        for number, part in enumerate(text.split("\n"), line):
            part = part.strip()
            if part and not _ROUTINE.fullmatch(part):
                self._n += 1
                self._first = self._first or (number, part)

    def warn(self) -> None:
        """Add the warning, when there was any such line."""
        if self._first is not None:
            line, text = self._first
            n = "this line is" if self._n == 1 else f"{self._n} lines are"
            self._tally.warn(line, f"{n} outside any record, such as {text[:60]!r}")
