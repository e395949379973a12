"""What a row of a table means: the columns of a record's fields, and the row that gives a record back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from ..records import Record, is_placeholder, normal_doi
from .common import (
    DECISION_FIELDS,
    REMAINDER,
    ExportRow,
    first_year,
    one_line,
    pmid_in_notes,
    pmid_of,
    remainder,
    with_remainder,
)
from .facts import MISSING, completed
from .markup import plain
from .names import one_each

# Column names as databases and reference managers write them, compared by their letters only; the first
# of a field's names that the table has is its column. The two-letter names are those of Web of
# Science, Ovid and MEDLINE; some are those of sites in other languages.
COLUMNS = {
    "title": (
        "title",
        "primarytitle",
        "articletitle",
        "documenttitle",
        "itemtitle",
        "studytitle",
        "publictitle",
        "displayname",
        "brieftitle",
        "officialtitle",
        "scientifictitle",
        "papertitle",
        "titleprimary",
        "titel",
        "titre",
        "título",
        "titulo",
        "titolo",
        "题名",
        "标题",
        "篇名",
        "論文名",
        "fulltitle",
        "ti",
    ),
    "abstract": (
        "abstract",
        "abstractnote",
        "abstracttext",
        "notesabstract",
        "briefsummary",
        "summary",
        "zusammenfassung",
        "résumé",
        "resumen",
        "resumo",
        "riassunto",
        "摘要",
        "抄録",
        "ab",
    ),
    "authors": (
        "authors",
        "author",
        "authornames",
        "authorfullnames",
        "firstauthors",
        "authorlist",
        "creators",
        "authorshipsauthordisplayname",
        "authorsprimary",
        "authorstring",
        "autoren",
        "auteurs",
        "autores",
        "autori",
        "作者",
        "著者",
        "au",
    ),
    "year": (
        "year",
        "publicationyear",
        "pubyear",
        "publishedyear",
        "yearpublished",
        "jahr",
        "année",
        "año",
        "ano",
        "anno",
        "年",
        "出版年",
        "发表时间",
        "py",
        "issueddateparts",
        "publishedprintdateparts",
        "publisheddateparts",
        "publishedonlinedateparts",
        "issuedraw",
        "date",
        "publicationdate",
        "publisheddate",
        "datepublished",
        "pubdate",
        "firstposted",  # registers of trials
        "studyfirstpostdatestructdate",
        "studyfirstposted",
        "studyfirstsubmitdate",
        "dateregistration",
        "dateofregistration",
        "registrationdate",
        "startdatestructdate",
        "startdate",
    ),
    "journal": (
        "journal",
        "journaltitle",
        "publicationtitle",
        "sourcetitle",
        "journalbook",
        "journalname",
        "publication",
        "secondarytitle",
        "pubtitle",
        "containertitle",
        "venue",
        "primarylocationsourcedisplayname",
        "hostvenuedisplayname",
        "journalinfojournaltitle",
        "periodicalfull",
        "zeitschrift",
        "revue",
        "revista",
        "rivista",
        "刊名",
        "parenttitle",
        "so",
    ),
    "doi": ("doi", "itemdoi", "doilink", "doiurl", "externalidsdoi", "idsdoi", "di"),
    "pmid": ("pmid", "pubmedid", "medlinepmid", "idspmid", "externalidspubmed", "externalidspmid", "pm"),
    "language": ("language", "languages", "languageoforiginaldocument", "la"),
    "type": (
        "type",
        "documenttype",
        "publicationtype",
        "itemtype",
        "typeofreference",
        "referencetype",
        "contenttype",
        "doctype",
        "typename",
        "dt",
    ),
    "keywords": (
        "keywords",
        "keyword",
        "authorkeywords",
        "manualtags",
        "subjects",
        "subject",
        "subjectterms",
        "keywordsdisplayname",
        "keywordlistkeyword",
        "de",
    ),
}
_OF_JOURNALS = frozenset({"volume", "issue", "issn", "pages", "cites", "gsrank", "centralid"})
_NEVER_NA = frozenset({"authors", "journal", "language", "type", "keywords"})
_AS_FORMULA = re.compile(r'="([^"]*)"')  # as EBSCO has dates and numbers, so that Excel leaves them alone
_MARKED = ("=", "'")  # such cells may be more than they say
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SOURCE = re.compile(r"(.{1,300}?) \((1[5-9]\d\d|20\d\d)\) ")  # Embase: "Gut (2014) 63:1 (5-9). Date of ..."
_OURS = "imported "  # before an imported column's name that an export needs for itself
_LIST = re.compile(
    r"\[\s*+(?:(?:'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\")\s*+(?:,\s*+)?)*+\]"
)  # as pandas writes a list
_MEMBER = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")


@lru_cache(maxsize=10_000)
def letters(name: str) -> str:
    """Return a column's name reduced to letters and digits in lower case, as names are compared."""
    return "".join(c for c in name.lower() if c.isalnum())


class Columns:
    """The columns of a table, by the names in its header.

    Parameters
    ----------
    header : sequence of str
    named : mapping of str to str
        The columns of some fields by name, whatever else the table has for them.

    Attributes
    ----------
    at : dict of str to list of int
        Where each field of a record may be, the best place first.
    """

    def __init__(self, header: Sequence[str], named: Mapping[str, str] = MappingProxyType({})):
        names = [letters(name) for name in header]
        self.at = {
            field: places
            for field, aliases in COLUMNS.items()
            if (places := [names.index(alias) for alias in aliases if alias in names])
        }
        # A column of this name holds the database, as a rule; where volumes and the like have no other journal, that.
        if "journal" not in self.at and "source" in names and _OF_JOURNALS.intersection(names):
            self.at["journal"] = [names.index("source")]
        chosen = {field: [list(header).index(name)] for field, name in named.items()}
        taken = {at for places in chosen.values() for at in places}
        self.at = {
            field: left for field, places in self.at.items() if (left := [at for at in places if at not in taken])
        }
        self.at.update(chosen)
        self._header = list(header)
        self._ours = REMAINDER in header
        self._remainder: list[int] = []
        self._skipped: set[int] = set()
        if self._ours:
            # An export of our own: its decisions come by other ways, its remainder goes back into the record.
            self._remainder = [i for i, name in enumerate(header) if name.startswith(REMAINDER)]
            decided = {i for i, name in enumerate(header) if name in (*DECISION_FIELDS, "source")}
            self._skipped = decided.union(self._remainder)
        self._names = [
            (armed(name).removeprefix(_OURS) if self._ours else name) or f"column {i}"
            for i, name in enumerate(header, 1)
        ]
        self._notes = [i for i, name in enumerate(names) if name in ("extra", "notes", "note")]
        self._source = names.index("source") if "source" in names and not self._ours else -1

    def knows(self, at: int) -> bool:
        """Tell whether a column is one of a record's fields."""
        return any(at in places for places in self.at.values())

    def looks_like_a_row(self, cells: Sequence[str]) -> bool:
        """Tell whether the cells of a line have a title, and a year or an identifier, where the table has them."""

        def said(field: str) -> list[str]:
            return [cells[at].strip() for at in self.at.get(field, ()) if cells[at].strip()]

        known = (
            any(re.fullmatch(r"1[5-9]\d\d|20\d\d", text) for text in said("year")),
            any(map(normal_doi, said("doi"))),
            any(map(pmid_of, said("pmid"))),
        )
        return bool(said("title")) and any(known)

    def record(self, cells: Sequence[str]) -> Record:
        """Return the record that a row holds."""
        found: dict[str, str] = {}
        taken: dict[str, int] = {}
        for field, places in self.at.items():
            for at in places:
                if at < len(cells) and (text := cells[at]) and (text := self._said(text)):
                    if text.lower() in MISSING and field in _NEVER_NA:
                        continue
                    found[field], taken[field] = text, at
                    break
        cell = found.get
        year, doi, pmid = first_year([cell("year", "")]), normal_doi(cell("doi", "")), pmid_of(cell("pmid", ""))
        abstract = cell("abstract", "")
        if is_placeholder(abstract):
            abstract = ""
        extra: dict[str, tuple[str, ...]] = {}
        used = {*taken.values(), *self._skipped}
        for at, raw in enumerate(cells):
            if raw and at not in used and (value := self._said(raw, strip=False)).strip():
                name = self._names[at] if at < len(self._names) else f"column {at + 1}"
                extra[name] = (*extra.get(name, ()), value)
        for field, clean in (("year", str(year)), ("doi", doi), ("pmid", pmid), ("abstract", abstract)):
            if cell(field, clean) != clean:  # what it said is kept beside what was made of it
                extra[self._header[taken[field]]] = (found[field],)
        journal = one_line(cell("journal", ""))
        if not self._ours:
            pmid = pmid or pmid_in_notes(cells[at] for at in self._notes if at < len(cells))
            if 0 <= self._source < len(cells) and (source := _SOURCE.match(cells[self._source])):
                journal, year = journal or one_line(source.group(1)), year or int(source.group(2))
        record = Record(
            title=one_line(cell("title", "")),
            abstract=abstract,
            authors=_people(cell("authors", "")),
            year=year,
            journal=journal,
            doi=doi,
            pmid=pmid,
            language=one_line(cell("language", "")),
            type=one_line(cell("type", "")),
            keywords=_several(cell("keywords", "")),
            extra=extra,
        )
        record = completed(record)
        left_over = "".join(cells[at] for at in self._remainder if at < len(cells))
        return with_remainder(record, left_over) if left_over else record

    def _said(self, cell: str, *, strip: bool = True) -> str:
        if cell[:1] in _MARKED:
            if not self._ours and (formula := _AS_FORMULA.fullmatch(cell)):
                cell = formula.group(1)
            cell = armed(cell)
        return cell.strip() if strip else cell


def _listed(text: str) -> list[str] | None:
    """Return the members of a list as Python writes one, as ASReview's and pandas' tables hold; else None."""
    if not text.startswith("[") or not _LIST.fullmatch(text):
        return None
    return [re.sub(r"\\(.)", r"\1", a or b) for a, b in _MEMBER.findall(text)]


def _several(text: str) -> tuple[str, ...]:
    text = plain(text)
    members = _listed(text)
    pieces = re.split(r"[;\n|]", text) if members is None else members
    return tuple(part for piece in pieces if (part := one_line(piece)))


def _people(text: str) -> tuple[str, ...]:
    """Split authors: at semicolons; else at "and" or commas, where these part whole names."""
    text = plain(text)
    if ";" in text or "|" in text or "\n" in text or text.startswith("["):
        people = _several(text)
        return one_each(["; ".join(people)]) if "; and " in text or "; & " in text else people
    if len(apart := one_each([text])) > 1:
        return apart
    parts = [one_line(part) for part in text.split(",")]
    whole_names = len(parts) > 1 and all(" " in part for part in parts)
    return tuple(parts) if whole_names else tuple(filter(None, [one_line(text)]))


# -- writing ----------------------------------------------------------------------------------


def disarmed(value: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{value}" if value.startswith(_FORMULA) else value


def _plain(value: str) -> str:
    """Write every line end as one, and no zero byte: what a table can hold."""
    return value.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


def armed(value: str) -> str:
    """Take the apostrophe off again."""
    return value[1:] if value.startswith("'") and value[1:].startswith(_FORMULA) else value


class Layout:
    """The columns of an export: those of the decisions, the record's, the extra ones, each name once.

    Attributes
    ----------
    header : list of str
    """

    def __init__(self, rows: Iterable[ExportRow]) -> None:
        decided: dict[str, None] = {}
        extra: dict[str, None] = {}
        for row in rows:
            decided.update(dict.fromkeys(row.decision))
            extra.update(dict.fromkeys(row.record.extra))
        self._decisions = [name for name in DECISION_FIELDS if name in decided]
        self._extra = list(extra)
        taken = {*DECISION_FIELDS, "source", REMAINDER}
        aliases = {alias for names in COLUMNS.values() for alias in names}
        # An imported column that would be read as a field, or that is named like one of ours, gets our
        # mark, which is taken off when the file is read again.
        named = [name if name not in taken and letters(name) not in aliases else _OURS + name for name in extra]
        fields = ["title", "abstract", "authors", "year", "journal", "doi", "pmid", "language", "type", "keywords"]
        self.header = [*map(_plain, (*self._decisions, *fields, "source", *named)), REMAINDER]
        self._columns = Columns([disarmed(name).strip() for name in self.header])

    def cells(self, row: ExportRow) -> list[str]:
        """Return the cells of a row, what they cannot say in the last."""
        r = row.record
        cells = [
            _plain(cell)
            for cell in (
                *(row.decision.get(name, "") for name in self._decisions),
                r.title,
                r.abstract,
                "; ".join(r.authors),
                "" if r.year is None else str(r.year),
                r.journal,
                r.doi,
                r.pmid,
                r.language,
                r.type,
                "; ".join(r.keywords),
                r.source,
                *("; ".join(r.extra.get(name, ())) for name in self._extra),
            )
        ]
        return [*cells, remainder(r, self._columns.record([*map(disarmed, cells), ""]))]
