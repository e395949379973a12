"""Five exports as PubMed, Ovid, EBSCO and PsycNET write them, made from the shared data's real records.

The records are not those of the review that is replayed, whose exports were never published: they are real
records of other reviews. What is made up is the accession numbers of databases that the source does not tell,
and which database holds which record. A copy of a record differs from it only in ways in which databases do.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from triage import formats
from triage.protocol.languages import language_name
from triage.records import Record, is_placeholder, normal_doi, normal_title

SEED = 1980
# Works that a database is the first to bring, and copies that it brings of works brought before.
FIRSTS = {"PubMed": 2010, "Medline": 560, "CINAHL": 870, "PsycINFO": 1130, "PsycARTICLES": 221}
COPIES = {"PubMed": 0, "Medline": 620, "CINAHL": 330, "PsycINFO": 316, "PsycARTICLES": 200}
FILES = {
    "PubMed": "pubmed.nbib",
    "Medline": "medline_ovid.ris",
    "CINAHL": "cinahl_ebsco.ris",
    "PsycINFO": "psycinfo_ovid.ris",
    "PsycARTICLES": "psycarticles_psycnet.ris",
}
FOREIGN = 142  # works in another language than English
FOREIGN_COPIES = 30  # copies of these among the copies
# English works by what their source tells: an abstract and a place in print, an abstract without a place, and
# a place without an abstract.
KINDS = {"full": 800, "abstract": 2450, "bare": 1399}
YEARS = range(1980, 2011)  # of the search
FIRST_MADE_PMID = 90_000_000


@dataclass(frozen=True)
class Work:
    """A publication as its source tells it."""

    title: str
    abstract: str
    authors: tuple[tuple[str, str], ...]  # family name, given names
    year: int
    journal: str
    abbreviation: str
    volume: str
    issue: str
    first_page: str
    last_page: str
    doi: str
    pmid: str
    language: str  # English name; "" where only the title shows that it is another
    made_pmid: str = ""


@dataclass
class Exports:
    """The files, and what is known of them: ids of records are those of an import in the order of the files.

    Attributes
    ----------
    files : dict of str to Path
        By source, in the order of import.
    groups : list of list of int
        The ids of each work's records, the lowest first.
    foreign : set of int
        Ids of records of works that are not in English.
    works : dict of int to Work
        By the lowest id.
    changes : Counter
        How often each way of telling a copy differently was used.
    """

    files: dict[str, Path]
    groups: list[list[int]] = field(default_factory=list)
    foreign: set[int] = field(default_factory=set)
    works: dict[int, Work] = field(default_factory=dict)
    changes: Counter = field(default_factory=Counter)


# -- real records ------------------------------------------------------------------------------


def real_works(data: Path) -> tuple[dict[str, list[Work]], list[Work]]:
    """Return distinct real works: the English ones by kind, and those in other languages."""
    abbreviations: dict[str, str] = {}
    readers = (_exports, _labelled, _deduplication_sets)
    works = _distinct([work for read in readers for work in read(data, abbreviations)])
    english: dict[str, list[Work]] = {kind: [] for kind in KINDS}
    foreign = []
    for work in works:
        work = replace(work, abbreviation=work.abbreviation or abbreviations.get(normal_title(work.journal), ""))
        if work.language == "English":
            placed = work.volume and work.first_page
            kind = "bare" if not work.abstract else "full" if placed else "abstract"
            if kind != "bare" or work.first_page:
                english[kind].append(work)
        else:
            foreign.append(work)
    return english, foreign


def _exports(data: Path, abbreviations: dict[str, str]) -> Iterator[Work]:
    """Read the exports that tell most: with volume, pages and often the journal's abbreviation."""
    folder = data / "exports"
    for name in (
        "asysd/zotero_export.csv",
        "asysd/zotero_export.ris",
        "asysd/wos_test.ris",
        "wilddamon/psycinfo_export.xml",
        "citesource/20221207_gambling-harms_pubmed_176.ris",
        "citesource/20221207_gambling-harms_psycinfo_124.ris",
        "citesource/20221207_gambling-harms_scopus_255.ris",
        "citesource/medline_84.ris",
        "citesource/wos_278.ris",
        "citesource/Dimensions_246.ris",
        "vandeschoot/schoot-lgmm-ptsd-included-1.ris",
        "iebh/endnote20_tafenoquine.xml",
        "kwok/Virus_Metagenomics_in_Farm_Animals-INCLUDED-v2.txt",
    ):
        for record in formats.read(folder / name, "auto", None).records:
            extra = {"".join(c for c in k.casefold() if c.isalnum()): v[0] for k, v in record.extra.items() if v}
            abbreviation = next((extra[k] for k in ("journalabbreviation", "j2", "ja", "ji", "nl") if k in extra), "")
            if abbreviation and normal_title(abbreviation) != normal_title(record.journal):
                abbreviations.setdefault(normal_title(record.journal), abbreviation)
            pages = next((extra[k] for k in ("pages", "sp", "pg", "bp") if k in extra), "")
            pages = f"{pages}-{extra['ep']}" if "ep" in extra and "-" not in pages else pages
            volume = next((extra[k] for k in ("volume", "vl", "vid", "vi") if k in extra), "")
            issue = next((extra[k] for k in ("issue", "iid", "is", "number") if k in extra), "")
            found = re.search(r"PMID: (\d+)", extra.get("extra", ""))
            if work := _work(record, volume, issue, pages, record.pmid or (found.group(1) if found else "")):
                yield work


def _labelled(data: Path, abbreviations: dict[str, str]) -> Iterator[Work]:
    for path in sorted((data / "screening").glob("*/*.csv")):
        for row in _rows(path):
            if row.get("journal"):
                if work := _work(_record(row, tuple(row["authors"].split(";"))), "", "", "", ""):
                    yield work


def _deduplication_sets(data: Path, abbreviations: dict[str, str]) -> Iterator[Work]:
    for name in ("copper", "cytology_screening", "haematology", "respiratory", "stroke"):
        folder = data / "dedupe" / name
        copies = {row["record_id"] for row in _rows(folder / "pairs_or_clusters.csv")}
        for row in _rows(folder / "records.csv"):
            if (row["record_id"] in copies and name != "copper") or row.get("is_duplicate") == "1":
                continue
            names = tuple(re.split(r" and |; ", row["authors"])) if row["authors"] else ()
            if work := _work(_record(row, names), row["volume"], row["issue"], row["pages"], ""):
                yield work


def _rows(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(10**7)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _record(row: dict[str, str], authors: tuple[str, ...]) -> Record:
    return Record(
        title=row["title"],
        abstract=row.get("abstract") or "",
        authors=authors,
        journal=row.get("journal") or "",
        year=int(row["year"]) if (row.get("year") or "").isdigit() else None,
        doi=normal_doi(row.get("doi") or ""),
    )


def _work(record: Record, volume: str, issue: str, pages: str, pmid: str) -> Work | None:
    """Return a record as a work, or None when it tells too little to be found again by a person."""
    title = _one_line(record.title)
    authors = tuple(_name(name) for name in record.authors if name.strip(" ,.") and "[" not in name)
    language = _language(title, record)
    if len(title) < 25 or not authors or record.year not in YEARS or language is None:
        return None
    found = re.match(r"\s*([A-Za-z]{0,3}\d+)(?:\s*[-\u2010-\u2015]+\s*([A-Za-z]{0,3}\d+))?\s*$", pages)
    first, last = (found.group(1), found.group(2) or "") if found else ("", "")
    if first.isdigit() and last.isdigit() and len(last) < len(first):
        last = first[: len(first) - len(last)] + last
    abstract = "" if is_placeholder(record.abstract) else _one_line(record.abstract)
    return Work(
        title=title,
        abstract=abstract if len(abstract) > 150 else "",
        authors=authors,
        year=record.year,
        journal=_one_line(record.journal),
        abbreviation="",
        volume=volume if len(volume) < 8 else "",
        issue=issue if len(issue) < 8 else "",
        first_page=first,
        last_page=last,
        doi=record.doi,
        pmid=pmid,
        language=language,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _name(name: str) -> tuple[str, str]:
    """Split "Sono, Tamaki", "Sono T" and "Tamaki Sono" into family and given names."""
    name = _one_line(name).strip(" ,;")
    if "," in name:
        family, _, given = name.partition(",")
        return family.strip(" ."), given.strip(" ,")
    words = name.split(" ")
    at = len(words)
    while at > 1 and re.fullmatch(r"[A-Z]{1,3}|(?:[A-Z]\.-?)+", words[at - 1]):
        at -= 1
    if at < len(words):
        return " ".join(words[:at]), " ".join(words[at:])
    return words[-1], " ".join(words[:-1])


# Words that a title or an abstract in English can hardly do without, and no text of another language holds
# in such numbers: a test of its own, so that the tool's detector is not asked to check itself.
_ENGLISH = frozenset("the of and in to with for a was were is are by from on that this at as an be or".split())


def _language(title: str, record: Record) -> str | None:
    """Return the work's language, "" where the title marks another without naming it, None when in doubt."""
    words = re.findall(r"[^\W\d_]+", f"{title} {record.abstract}".casefold())
    share = sum(word in _ENGLISH for word in words) / max(1, len(words))
    if record.language:
        names = {language_name(part.strip(" .")) for part in re.split(r"[;,/]", record.language)}
        if len(names) > 1 or (names == {"English"} and len(words) >= 60 and share < 0.2):
            return None
        return next(iter(names))
    if marked := re.search(r"\[([A-Z][a-z]+)\]\W*$", title):
        return language_name(marked.group(1)) or None
    if title.startswith("["):
        return "" if re.fullmatch(r"\[[^\[\]]+\]\W*", title) else None
    if len(words) >= 60 and share < 0.05:
        return ""
    in_title = set(re.findall(r"[a-z]+", title.casefold())) & (_ENGLISH - {"a", "in", "as", "was", "or", "on"})
    return "English" if (share > 0.2 if len(words) >= 60 else bool(in_title)) else None


def _distinct(works: Iterable[Work]) -> list[Work]:
    """Keep one of the works that share a DOI, a PMID, a title, or a place in print."""
    kept: dict[int, Work] = {}
    seen: dict[tuple, int] = {}
    for i, work in enumerate(works):
        keys = [("title", _letters(work.title)), ("title", _letters(work.title)[:70])]
        keys += [("doi", work.doi)] * bool(work.doi) + [("pmid", work.pmid)] * bool(work.pmid)
        if work.volume and work.first_page:
            keys.append(("place", work.year, work.volume, work.first_page, _letters(work.authors[0][0])))
        keys.append(("author", work.year, _letters(work.authors[0][0]), _letters(work.title)[:25]))
        if len(work.abstract) > 300:
            keys.append(("abstract", _letters(work.abstract[:200])))
        if not any(key in seen for key in keys):
            kept[i] = work
        seen.update(dict.fromkeys(keys, i))
    return list(kept.values())


def _letters(text: str) -> str:
    text = re.sub(r"\[[A-Z][a-z]+\]\W*$", "", text)
    return normal_title(text).replace(" ", "")


# -- how a database tells a work ---------------------------------------------------------------

LANGUAGE_CODES = {
    "English": "eng",
    "Bulgarian": "bul",
    "Chinese": "chi",
    "Czech": "cze",
    "Dutch": "dut",
    "French": "fre",
    "German": "ger",
    "Hungarian": "hun",
    "Italian": "ita",
    "Japanese": "jpn",
    "Lithuanian": "lit",
    "Norwegian": "nor",
    "Polish": "pol",
    "Portuguese": "por",
    "Romanian": "rum",
    "Russian": "rus",
    "Spanish": "spa",
    "Swedish": "swe",
    "Turkish": "tur",
}
_SPELT = str.maketrans(
    {
        "\u03b1": "alpha",
        "\u03b2": "beta",
        "\u03b3": "gamma",
        "\u03b4": "delta",
        "\u03ba": "kappa",
        "\u03bc": "mu",
        "\u00b5": "micro",
        "\u2265": ">=",
        "\u2264": "<=",
        "\u00b1": "+/-",
        "\u00d7": "x",
        "\u2013": "-",
        "\u2014": "-",
        "\u2010": "-",
        "\u2011": "-",
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2032": "'",
        "\u00df": "ss",
        "\u00f8": "o",
        "\u00d8": "O",
        "\u0142": "l",
        "\u0141": "L",
        "\u00e6": "ae",
        "\u0131": "i",
    }
)


class Teller:
    """Tells works as a database does, and counts the ways in which copies come to differ."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.changes: Counter = Counter()

    def tell(self, work: Work, source: str, is_copy: bool) -> str:
        """Return a work's record in a database's format."""
        told = replace(work, title=self._title(work, source))
        if is_copy:
            told = self._as_copy(told, source)
        return _WRITERS[source](told, work, self.rng)

    def _title(self, work: Work, source: str) -> str:
        """Mark a translated title as the database does, and end it with a full stop."""
        core = re.sub(r"\s*\[[A-Z][a-z]+\]\W*$", "", work.title).rstrip(". ")
        if work.language == "English":
            return core if core.endswith(("?", "!")) else f"{core}."
        is_translated = core.startswith("[") or work.language != ""
        if is_translated:
            core = f"[{core.strip('[].')}]."
        if source == "Medline" and work.language:
            core = f"{core} [{work.language}]"
        return core

    def _as_copy(self, told: Work, source: str) -> Work:
        """Change what this database tells otherwise than the first."""
        older = told.year < 2002
        if source == "Medline":
            told = self._maybe(0.5, "DOI missing", told, bool(told.doi), doi="")
            told = self._maybe(0.6, "journal abbreviated", told, bool(told.abbreviation), journal=told.abbreviation)
            told = self._spelt(told)
            if told.language == "English":
                told = self._maybe(
                    0.08,
                    "title marked as a review",
                    told,
                    len(told.abstract) > 400,
                    title=f"{told.title} [Review] [{self.rng.integers(20, 120)} refs]",
                )
            told = self._maybe(
                0.25 if older else 0.03,
                "abstract truncated",
                told,
                len(told.abstract.split()) > 250,
                abstract=" ".join(told.abstract.split()[:250]) + "(ABSTRACT TRUNCATED AT 250 WORDS)",
            )
        elif source == "CINAHL":
            told = self._maybe(0.6, "DOI missing", told, bool(told.doi), doi="")
            told = self._maybe(0.25, "abstract missing", told, bool(told.abstract), abstract="")
            told = self._maybe(
                0.15, "abstract truncated", told, len(told.abstract) > 600, abstract=_cut(told.abstract, 500) + "..."
            )
        else:
            told = self._maybe(0.3, "DOI missing", told, bool(told.doi), doi="")
            told = self._maybe(0.08, "abstract missing", told, bool(told.abstract), abstract="")
            told = self._maybe(
                0.12, "abstract truncated", told, len(told.abstract) > 900, abstract=_cut(told.abstract, 700)
            )
        told = self._maybe(
            0.5,
            "initials for given names",
            told,
            any(given for _, given in told.authors),
            authors=tuple((family, initials(given)) for family, given in told.authors),
        )
        told = self._maybe(0.05, "first authors only", told, len(told.authors) > 3, authors=told.authors[:3])
        told = self._maybe(0.03, "year of the online version", told, True, year=told.year - 1)
        told = self._maybe(
            0.3,
            "part of a double family name missing",
            told,
            " " in told.authors[0][0],
            authors=((told.authors[0][0].rsplit(" ", 1)[-1], told.authors[0][1]), *told.authors[1:]),
        )
        short = re.sub(r"^The |\s*(?:: .*|\([^()]*\))$", "", told.journal)
        told = self._maybe(
            0.5, "journal without article or subtitle", told, short not in ("", told.journal), journal=short
        )
        other = _otherwise_spelt(told.title)
        told = self._maybe(0.3, "British, American or numeral spelling", told, other != told.title, title=other)
        signs = (" & ", " and ") if " & " in told.journal else (" and ", " & ")
        swapped = told.journal.replace(*signs)
        told = self._maybe(0.4, "& for and in the journal", told, swapped != told.journal, journal=swapped)
        told = self._maybe(
            0.1,
            "title in other letters",
            told,
            ": " in told.title,
            title=re.sub(r": (\w)", lambda m: f": {m.group(1).upper()}", told.title, count=1),
        )
        told = self._maybe(
            0.1, "dash for colon in the title", told, ": " in told.title, title=told.title.replace(": ", " - ", 1)
        )
        return self._maybe(
            0.15,
            "pages missing",
            told,
            bool(told.first_page) and bool(told.abstract or told.doi),
            first_page="",
            last_page="",
        )

    def _spelt(self, told: Work) -> Work:
        """Spell out what a database that keeps to ASCII cannot write."""
        plain = replace(
            told,
            title=spelt(told.title),
            abstract=spelt(told.abstract),
            journal=spelt(told.journal),
            authors=tuple((spelt(family), spelt(given)) for family, given in told.authors),
        )
        if plain != told:
            self.changes["Unicode spelt out"] += 1
        return plain

    def _maybe(self, share: float, name: str, told: Work, applies: bool, /, **changed: object) -> Work:
        if not applies or self.rng.random() >= share:
            return told
        self.changes[name] += 1
        return replace(told, **changed)


_SPELLINGS = (
    ("haem", "hem"),
    ("paed", "ped"),
    ("behaviour", "behavior"),
    ("tumour", "tumor"),
    ("randomis", "randomiz"),
    ("hospitalis", "hospitaliz"),
    ("generalis", "generaliz"),
    ("programme ", "program "),
    ("oestrogen", "estrogen"),
    (" two ", " 2 "),
    (" three ", " 3 "),
    ("meta-analysis", "metaanalysis"),
    ("post-operative", "postoperative"),
)


def _otherwise_spelt(title: str) -> str:
    """Return a title as a database on the other side of the Atlantic, or of the house style, spells it."""
    for one, other in _SPELLINGS:
        if one in title:
            return title.replace(one, other)
        if other in title and not other.startswith(" "):
            return title.replace(other, one)
    return title


def spelt(text: str) -> str:
    """Return text in ASCII, as Ovid writes it: Greek letters by name, no accents."""
    plain = unicodedata.normalize("NFKD", text.translate(_SPELT))
    return "".join(c for c in plain if not unicodedata.combining(c))


def initials(given: str) -> str:
    """Return the initials of given names: "Larry J." gives "LJ"."""
    words = re.findall(r"[^\W\d_]+", given)
    return given.replace(".", "").replace(" ", "") if given.isupper() else "".join(word[0].upper() for word in words)


def _cut(text: str, length: int) -> str:
    return text[:length].rsplit(" ", 1)[0]


def _comma(author: tuple[str, str]) -> str:
    return ", ".join(filter(None, author))


def _short_pages(work: Work) -> str:
    """Write pages as PubMed does: 1023-95 for 1023-1095."""
    first, last = work.first_page, work.last_page
    if not last or last == first:
        return first
    if first.isdigit() and last.isdigit() and len(first) == len(last):
        same = next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), 0)
        last = last[same:]
    return f"{first}-{last}"


def _pubmed(told: Work, work: Work, rng: np.random.Generator) -> str:
    pages = _short_pages(told)
    doi = told.doi and f"{told.doi} [doi]"
    fields = [
        ("PMID", work.pmid or work.made_pmid),
        ("OWN", "NLM"),
        ("STAT", "MEDLINE"),
        ("VI", told.volume),
        ("IP", told.issue),
        ("DP", str(told.year)),
        ("TI", told.title),
        ("PG", pages),
        ("LID", doi),
        ("AB", told.abstract),
        *(
            (tag, value)
            for family, given in told.authors
            for tag, value in (
                ("FAU", ", ".join(filter(None, (family, given)))),
                ("AU", f"{family} {initials(given)}".strip()),
            )
        ),
        ("LA", LANGUAGE_CODES[told.language]),
        ("PT", "Journal Article"),
        ("TA", told.abbreviation),
        ("JT", told.journal),
        ("AID", doi),
        ("SO", f"{told.abbreviation or told.journal}. {told.year};{told.volume}({told.issue}):{pages}."),
    ]
    return "".join(f"{tag:<4}- {_wrapped(value)}\n" for tag, value in fields if value) + "\n"


def _wrapped(value: str) -> str:
    lines = [""]
    for word in value.split():
        if lines[-1] and len(lines[-1]) + len(word) > 80:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n      ".join(lines)


def _medline(told: Work, work: Work, rng: np.random.Generator) -> str:
    # A number that is made up must not tell that two records are one, so only a real one is written.
    link = "http://ovidsp.ovid.com/ovidweb.cgi?T=JS&PAGE=reference&D=med4&NEWS=N&AN="
    return _tagged(
        [
            ("TY", "JOUR"),
            ("DB", "Ovid MEDLINE(R) <1980 to August Week 4 2010>"),
            ("ID", work.pmid),
            ("T1", told.title),
            *(("A1", " ".join(author) if author[1].isupper() else _comma(author)) for author in told.authors),
            ("Y1", f"{told.year}//"),
            ("N2", told.abstract),
            ("JF", told.journal),
            ("JA", told.abbreviation),
            ("VL", told.volume),
            ("IS", told.issue),
            ("SP", told.first_page),
            ("EP", told.last_page),
            ("DO", told.doi and f"http://dx.doi.org/{told.doi}"),
            ("L2", work.pmid and link + work.pmid),
            ("ER", ""),
        ]
    )


_COPYRIGHT = (
    " is the property of its publisher and its content may not be copied or emailed to multiple sites without the "
    "copyright holder's express written permission. (Copyright applies to all Abstracts.)"
)


def _cinahl(told: Work, work: Work, rng: np.random.Generator) -> str:
    number = f"{rng.integers(100_000_000, 110_000_000)}"
    note = (
        f"Accession Number: {number}. Language: {told.language}. Entry Date: {told.year}0625. Revision Date: "
        f"20100831. Publication Type: Journal Article; research; tables/charts. Journal Subset: Biomedical; USA."
    )
    if work.pmid and rng.random() < 0.5:
        note += f" PMID: NLM{work.pmid}."
    return (
        _tagged(
            [
                ("TY", "JOUR"),
                *(("AU", _comma(author)) for author in told.authors),
                ("T1", told.title),
                ("JO", told.journal),
                ("JF", told.journal),
                ("Y1", f"{told.year}/{rng.integers(1, 13):02}//"),
                ("VL", told.volume),
                ("IS", told.issue),
                ("M3", "Article"),
                ("SP", told.first_page),
                ("EP", told.last_page),
                ("AB", told.abstract and f"{told.abstract} [ABSTRACT FROM AUTHOR]"),
                ("AB", told.abstract and f"Copyright of {told.journal}{_COPYRIGHT}"),
                ("N1", note),
                ("L3", told.doi),
                (
                    "UR",
                    f"https://search.ebscohost.com/login.aspx?direct=true&db=c8h&AN={number}&site=ehost-live&scope=site",
                ),
                ("DP", "EBSCOhost"),
                ("DB", "c8h"),
                ("ER", ""),
            ]
        )
        + "\r\n"
    )


def _psycinfo(told: Work, work: Work, rng: np.random.Generator) -> str:
    number = f"{told.year}-{rng.integers(1, 30_000):05}-{rng.integers(1, 30):03}"
    note = f" (PsycINFO Database Record (c) {max(told.year, 2003)} APA, all rights reserved)"
    paged = bool(told.first_page)
    return _tagged(
        [
            ("TY", "JOUR"),
            ("ID", number),
            ("T1", told.title),
            *(("A1", _comma(author)) for author in told.authors),
            ("Y1", f"{told.year}//"),
            ("N2", told.abstract and told.abstract + note),
            ("M3", "Health & Mental Health Treatment & Prevention [3300]"),
            ("JF", told.journal),
            ("VL", told.volume),
            ("IS", told.issue),
            ("SP", told.first_page if paged else "No"),
            ("EP", told.last_page if paged else "Specified"),
            ("DO", told.doi and f"http://dx.doi.org/{told.doi}"),
            ("L2", f"http://ovidsp.ovid.com/ovidweb.cgi?T=JS&PAGE=reference&D=psyc6&NEWS=N&AN={number}"),
            ("ER", ""),
            ("NL", told.abbreviation),
        ]
    ) + (
        "\r\nLink to the Ovid Full Text or citation: http://ovidsp.ovid.com/ovidweb.cgi?T=JS&CSC=Y&NEWS=N"
        f"&PAGE=fulltext&D=psyc6&AN={number}\r\n\r\n"
    )


def _psycarticles(told: Work, work: Work, rng: np.random.Generator) -> str:
    number = f"{told.year}-{rng.integers(1, 30_000):05}-{rng.integers(1, 30):03}"
    return (
        _tagged(
            [
                ("TY", "JOUR"),
                ("ID", number),
                ("T1", told.title),
                ("JF", told.journal),
                *(("A1", _comma(author)) for author in told.authors),
                ("VL", told.volume),
                ("IS", told.issue),
                ("SP", told.first_page),
                ("EP", told.last_page),
                ("Y1", str(told.year)),
                ("CY", "US"),
                ("PB", "American Psychological Association"),
                ("N2", told.abstract),
                ("M3", told.doi and f"doi:{told.doi}"),
                ("DO", told.doi),
                ("ER", ""),
            ],
            "\n",
        )
        + "\n"
    )


def _tagged(fields: Iterable[tuple[str, str]], end: str = "\r\n") -> str:
    return "".join(f"{tag}  - {value}{end}" for tag, value in fields if value or tag == "ER")


_WRITERS: dict[str, Callable[[Work, Work, np.random.Generator], str]] = {
    "PubMed": _pubmed,
    "Medline": _medline,
    "CINAHL": _cinahl,
    "PsycINFO": _psycinfo,
    "PsycARTICLES": _psycarticles,
}
_PSYCNET_HEAD = (
    "Provider: American Psychological Association\nDatabase: PsycARTICLES\n"
    "Content: application/x-research-info-systems\n\n"
)


# -- the five files ----------------------------------------------------------------------------


def build(data: Path, folder: Path) -> Exports:
    """Write the five exports into `folder`; the same data always give the same files."""
    rng = np.random.default_rng(SEED)
    english, foreign = real_works(data)
    chosen = [w for kind, n in KINDS.items() for w in _drawn(rng, english[kind], n)]
    rng.shuffle(chosen)
    named = [w for w in foreign if w.language in LANGUAGE_CODES]
    marked = [w for w in foreign if w.language == "" and w.journal]
    others = _drawn(rng, named, FOREIGN // 2) + _drawn(rng, marked, FOREIGN - FOREIGN // 2)
    works = [replace(w, made_pmid=str(FIRST_MADE_PMID + i)) for i, w in enumerate(chosen + others)]
    first_in, copies = _spread(rng, works)
    teller = Teller(rng)
    exports = Exports({source: folder / name for source, name in FILES.items()})
    members: dict[int, list[int]] = defaultdict(list)
    before = 0
    for source, path in exports.files.items():
        here = [(i, False) for i in first_in[source]] + [(i, True) for i in copies[source]]
        rng.shuffle(here)
        texts = [teller.tell(works[i], source, bool(is_copy)) for i, is_copy in here]
        if source in ("Medline", "PsycINFO"):  # Ovid numbers its records
            texts = [f"{n}.\r\n{text}\r\n" for n, text in enumerate(texts, 1)]
        head = _PSYCNET_HEAD if source == "PsycARTICLES" else ""
        path.write_text(head + "".join(texts), encoding="utf-8", newline="")
        for place, (i, _) in enumerate(here, 1):
            members[int(i)].append(before + place)
        before += len(here)
    for i, ids in members.items():
        exports.groups.append(ids)
        exports.works[ids[0]] = works[i]
        if works[i].language != "English":
            exports.foreign.update(ids)
    exports.groups.sort()
    exports.changes = teller.changes
    return exports


def _drawn(rng: np.random.Generator, works: list[Work], n: int) -> list[Work]:
    return [works[i] for i in rng.choice(len(works), n, replace=False)]


def _spread(rng: np.random.Generator, works: list[Work]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Choose of every work the first database that has it, and those that have copies of it."""
    first_in: dict[str, list[int]] = {source: [] for source in FILES}
    room = dict(FIRSTS)
    # A language that is known can stand in PubMed, Medline or CINAHL; one that only the title marks, where
    # the export has no field for it.
    for i in sorted(range(len(works)), key=lambda i: works[i].language == "English"):
        work = works[i]
        possible = list(FILES)
        if work.language != "English":
            possible = ["PubMed", "Medline", "CINAHL"] if work.language else ["Medline", "PsycINFO"]
        weights = np.array([room[source] for source in possible], dtype=float)
        source = possible[rng.choice(len(possible), p=weights / weights.sum())]
        first_in[source].append(i)
        room[source] -= 1
    copies: dict[str, list[int]] = {source: [] for source in FILES}
    sources = list(FILES)
    foreign_left = FOREIGN_COPIES
    for at, source in enumerate(sources):
        if not COPIES[source]:
            continue
        earlier = [i for name in sources[:at] for i in first_in[name]]
        foreign = [
            i
            for i in earlier
            if works[i].language != "English"
            and (
                (source in ("Medline", "CINAHL") and works[i].language)
                or (source == "PsycINFO" and not works[i].language)
            )
        ]
        n = min(len(foreign), foreign_left, FOREIGN_COPIES // 3 or 1)
        foreign_left -= n
        usable = [i for i in earlier if works[i].language == "English"]
        copies[source] = (
            [
                int(i)
                for i in (
                    *rng.choice(foreign, n, replace=False),
                    *rng.choice(usable, COPIES[source] - n, replace=False),
                )
            ]
            if n
            else [int(i) for i in rng.choice(usable, COPIES[source], replace=False)]
        )
    return first_in, copies
