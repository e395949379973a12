"""Which record a PDF's first page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from ..formats.pdf import Front
from ..records import Record, normal_doi, normal_title
from .known import Known, arxivs_in, is_latin, is_long, letters, piis_in
from .page import CITE_THIS, LEAST_TEXT, NEAR, TOP, Page, Stand, Title

_TOP_OF_SECOND = 1_000
_LEAST_ALONE = 30  # letters of a title that counts by itself
_AS_TITLE = 0.6  # of a title's words together on the page: it may well be the title, written otherwise
_MOST_IDENTIFIERS = 50
_MOST_ASKED = 3  # records that a page may be of; more are a list
_WORDS = {"doi": "DOI", "pmid": "PMID", "pii": "publisher's number", "arxiv": "arXiv number"}
_BY_TITLE = "its title on its first page"
_DOI = re.compile(r"10\.\d{4,9}/\s?\S{1,200}(?:\s?\n\s?\S{1,100})?")
_GLUED = re.compile(r"(?<=[\dxX])(?=[A-Z][a-z]{2})")  # "10.1016/j.x.2010.01.001Available online"
_PMID = re.compile(r"\bPMID\s?:?\s?(\d{5,8})\b|pubmed(?:\.ncbi\.nlm\.nih\.gov)?/(\d{5,8})\b", re.IGNORECASE)
_CITED = 600  # characters before a DOI in which its reference began
# "Smith A, Jones B. Title. Lancet 2001;358:12-5. doi:" has a volume and pages right before the DOI.
_CITED_PLACE = re.compile(
    r"[\s;:,.]\d{1,4}\s?(?:\(\d{1,4}(?:[-\u2013]\d{1,4})?\))?\s?[:,]\s?[eE]?\d{1,6}\s?(?:[-\u2013]\s?[eE]?\d{1,6})?[.,;)]?\s*"
    r"(?:\[?(?:https?://)?(?:dx\.)?doi\S{0,6}:?\s*|https?://\S{0,20})?$"
)
_CITED_AUTHORS = re.compile(r"\bet al\b|\b[A-Z][\w'-]+,? [A-Z]{1,3}\b[.,]|\b[A-Z]\., |[A-Z]\.? \((?:19|20)\d\d[a-z]?\)")
_BOOK_TITLE = re.compile(
    r"\b(?:abstracts|posters|proceedings|contents|scientific program(?:me)?|conference|congress|meeting)\b",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"\b(?:abstract|summary|introduction|background|key ?words)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the first pages of a PDF show.

    Attributes
    ----------
    records : list of int
        Over duplicate groups, those that it is of; one where it is clear, and none where nothing is.
    by : str
        What shows it.
    doubtful : dict of int to str
        Records that it has something to do with, and what: as the end of a sentence about the file.
    weak : frozenset of int
        Those of them that it is of where the file's name says so, too.
    dois : tuple of str
        Those in the metadata.
    """

    records: list[int] = field(default_factory=list)
    by: str = ""
    doubtful: dict[int, str] = field(default_factory=dict)
    weak: frozenset[int] = frozenset()
    dois: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Identifier:
    """An identifier on the page or in the metadata."""

    kind: str
    value: str
    records: tuple[int, ...]
    is_cited: bool = False
    places: tuple[int, ...] = field(default=(), compare=False)


def _identifiers(known: Known, text: str, page: Page | None = None) -> list[_Identifier]:
    """Return the identifiers that a text holds, each once, those of no record too."""
    found: dict[tuple[str, str], _Identifier] = {}
    for kind, forms, at in _candidates(text):
        known_forms = ((form, known.by(kind, letters(form) if kind == "doi" else form)) for form in forms)
        value, records = next((one for one in known_forms if one[1]), (forms[0], ()))
        cited = page is not None and _is_cited(page, at)
        before = found.get((kind, value))
        found[kind, value] = _Identifier(
            kind,
            value,
            records,
            cited and (before is None or before.is_cited),
            (*(before.places if before else ()), at),
        )
        if len(found) >= _MOST_IDENTIFIERS:
            break
    return list(found.values())


def _candidates(text: str) -> Iterator[tuple[str, list[str], int]]:
    """Yield each identifier's kind, the ways to read it, and where it stands."""
    for found in _DOI.finditer(text):
        head, _, more = found[0].partition("\n")
        head = head.strip()
        # A line may end within it, and words may follow without a blank.
        ways = [_GLUED.split(head, maxsplit=1)[0], head]
        if more.strip():
            ways.append("".join(head.split()) + more.strip())
        forms = [doi for way in ways if (doi := normal_doi("".join(way.split())))]
        if forms:
            yield "doi", list(dict.fromkeys(forms)), found.start()
    for found in _PMID.finditer(text):
        yield "pmid", [str(int(found[1] or found[2]))], found.start()
    within = [found.span() for found in _DOI.finditer(text)]
    for kind, numbers in (("pii", piis_in(text)), ("arxiv", arxivs_in(text))):
        for value, at in numbers:
            yield kind, [value], next((start for start, end in within if start <= at < end), at)


def _is_cited(page: Page, at: int) -> bool:
    before = page.text[max(0, at - _CITED) : at]
    if at < page.references and (own := CITE_THIS.search(before)) and not _DOI.search(before, own.end()):
        return False
    return at > page.references or bool(_CITED_PLACE.search(before) and _CITED_AUTHORS.search(before))


def record_shown(known: Known, front: Front) -> Shown:
    """Return the records, over duplicate groups, that the first pages of a PDF show it to be of.

    A DOI or another identifier counts where it stands in the metadata, where the record's title stands on the page,
    too, or where it is the only one and most of the title's words are there. A title counts by itself where it stands
    alone at the top with an author. Neither counts in a reference, a correction or a comment, or among other abstracts.
    """
    first, *more = _pages(front) or [Page("")]
    shown = _Looking(known, front, first).shown()
    if more and not shown.records and not shown.doubtful and not _ARTICLE.search(first.text):
        return _Looking(known, front, more[0], is_first=False).shown()  # a publisher's notice may stand before it
    return shown


def _pages(front: Front) -> list[Page]:
    texts = [text for text in front.pages if text.strip()]
    if len(texts) > 1 and len(letters(texts[0])) < LEAST_TEXT:
        return [Page("\n".join(texts))]
    return [Page(text, TOP if n == 0 else _TOP_OF_SECOND) for n, text in enumerate(texts)]


class _Looking:
    """Weighs what one page and the metadata hold."""

    def __init__(self, known: Known, front: Front, page: Page, *, is_first: bool = True) -> None:
        self._known, self._page, self._is_first = known, page, is_first
        self._meta = [one for value in front.identifiers for one in _identifiers(known, value)]
        self._on_page = _identifiers(known, page.text, page)
        self._titles = {one.record.number: one for one in self._found_titles()}
        in_metadata = known.titled(normal_title(front.title))
        identified = {i for one in (*self._meta, *self._on_page) for i in one.records}
        self._records = {record.number: record for record in known.read({*identified, *in_metadata})}
        self._in_metadata = in_metadata
        self._sure: dict[int, str] = {}
        self._doubtful: dict[int, str] = {}
        self._weak: set[int] = set()

    def _found_titles(self) -> list[Title]:
        """Return the titles on the page, each that is no part of a longer one."""
        found = [
            one for record in self._known.titles_within(self._page.letters) if (one := self._page.title_of(record))
        ]
        kept: list[Title] = []
        for one in sorted(found, key=lambda one: (not one.is_exact, one.start - one.end)):
            inside = [o for o in kept if o.start <= one.start and one.end <= o.end]
            same = [o for o in inside if (o.start, o.end, o.is_exact) == (one.start, one.end, one.is_exact)]
            if not inside or same:
                kept.append(one)
        return kept

    def shown(self) -> Shown:
        """Return what is sure, or else what is doubtful."""
        for found, where in ((self._meta, "in its metadata"), (self._on_page, "on its first page")):
            for one in found:
                for i in one.records:
                    if i not in self._sure:
                        self._weigh(i, one, where)
        # Of two records of one title that which an identifier names.
        identified = {(title.start, title.end) for i in self._sure if (title := self._titles.get(i))}
        for i, shown in self._titles.items():
            if i not in self._sure and (shown.start, shown.end) not in identified:
                self._weigh_title(shown)
        for i in self._in_metadata:
            if not self._sure and i not in self._titles and i not in self._doubtful:
                self._weigh_title_in_metadata(i)
        records = self._known.kept(self._sure)
        doubtful = {self._known.kept([i])[0]: why for i, why in self._doubtful.items() if i not in self._sure}
        if records and (len(records) > _MOST_ASKED or self._is_of_many()):
            return Shown([], "", {**dict.fromkeys(records, "holds the titles of several papers"), **doubtful})
        by = next(iter(self._sure.values()), "")
        weak = frozenset(() if self._page.is_book else self._known.kept(self._weak))
        dois = tuple(one.value for one in self._meta if one.kind == "doi")
        return Shown(records, by, doubtful, weak, dois)

    def _is_of_many(self) -> bool:
        """Whether the page holds several papers, and what was found is not the whole of them."""
        return self._page.is_book and not any(
            _BOOK_TITLE.search(self._record(i).title) and by != _BY_TITLE for i, by in self._sure.items()
        )

    def _record(self, record_id: int) -> Record:
        title = self._titles.get(record_id)
        return title.record if title else self._records[record_id]

    def _weigh(self, i: int, found: _Identifier, where: str) -> None:
        """Weigh a record one of whose identifiers is there."""
        title, name, own = self._titles.get(i), _WORDS[found.kind], found in self._meta
        if title is not None and title.stand is Stand.CITED and not own:
            return
        if self._page.is_about_another(self._record(i)) or (title is not None and title.stand is Stand.NOTICE):
            self._doubtful[i] = f"holds its {name}, but seems to correct, supplement or comment on it"
        elif title is not None and title.stand is Stand.LATE and not own and self._follows(title, found):
            return  # as in a reference
        elif title is not None and title.stand < Stand.CLEAN and self._has_other(i, own=own):
            self._doubtful[i] = f"holds its {name} and its title, but has another DOI or title of its own"
        elif title is None and self._has_other(i, own=own):
            if own:
                self._doubtful[i] = f"has its {name} in the metadata, but also another DOI or title"
            elif not found.is_cited:
                self._doubtful[i] = f"holds its {name}, but not its title"
        elif title is None and own and not self._may_be_that_of_metadata(i):
            self._doubtful[i] = f"has its {name} in the metadata, but neither its title nor an author on its first page"
        elif title is None and not own and not self._may_be_only_sign(i, found):
            if not found.is_cited:
                self._doubtful[i] = f"holds its {name}, but not its title"
        else:
            self._sure[i] = f"its {name} {where}"
            self._doubtful.pop(i, None)

    def _follows(self, title: Title, found: _Identifier) -> bool:
        """Whether an identifier stands right after a title."""
        return any(0 <= at - self._page.place(title.end - 1) < NEAR for at in found.places)

    def _has_other(self, i: int, *, own: bool) -> bool:
        """Whether another title, or another DOI, may be the file's own."""
        of_group = {copy.number: letters(copy.doi) for copy in self._known.copies(i)}
        if any(one.stand is Stand.CLEAN and n not in of_group for n, one in self._titles.items()):
            return True
        found = self._meta if own else self._own_identifiers()
        return any(one.kind == "doi" and letters(one.value) not in of_group.values() for one in found)

    def _own_identifiers(self) -> list[_Identifier]:
        """Return the identifiers that may be the file's own: none of a reference."""
        cited = {n for n, title in self._titles.items() if title.stand is Stand.CITED}
        return [*self._meta, *(one for one in self._on_page if not one.is_cited and not cited & set(one.records))]

    def _may_be_that_of_metadata(self, i: int) -> bool:
        """Whether the page, where it has text, has anything of what the metadata say: a title may be translated."""
        page, record = self._page, self._record(i)
        has_author = bool(record.authors) and page.has_author(record)
        return not page.has_text or has_author or page.share_of(record.title) >= _AS_TITLE

    def _may_be_only_sign(self, i: int, found: _Identifier) -> bool:
        """Whether the only identifier on the page, without its title, says which record it is of."""
        page, record = self._page, self._record(i)
        if found.is_cited or not self._is_first:
            return False
        if not page.has_text:
            return True
        # A short title such as "Case report" stands anywhere.
        least = _AS_TITLE if is_long(record.title) else 1
        return bool(record.authors) and page.has_author(record) and page.share_of(record.title) >= least

    def _weigh_title(self, title: Title) -> None:
        """Weigh a record whose title is there, and no identifier of it."""
        record = title.record
        if title.stand is Stand.CITED or not self._page.has_author(record):
            return
        is_short = title.end - title.start < _LEAST_ALONE and is_latin(record.title)
        other = self._other_doi(record)
        if title.stand is Stand.NOTICE or self._page.is_about_another(record):
            self._doubtful[record.number] = "seems to correct, supplement or comment on it"
        elif title.stand is Stand.LONGER:
            self._doubtful[record.number] = "has its title only as a part of a longer one"
        elif other:
            self._doubtful[record.number] = f"has its title, but another DOI ({other})"
        elif title.stand is Stand.LATE:
            self._doubtful[record.number] = "has its title, but not at the top"
            self._weak.add(record.number)
        elif is_short:
            self._doubtful[record.number] = "has its title, which is short"
            self._weak.add(record.number)
        else:
            self._sure[record.number] = _BY_TITLE

    def _weigh_title_in_metadata(self, i: int) -> None:
        record, page = self._record(i), self._page
        agrees = not page.has_text or (page.has_author(record) and page.share_of(record.title) >= _AS_TITLE)
        denied = page.is_about_another(record) or self._other_doi(record) or self._has_other(i, own=True)
        if agrees and not denied:
            self._sure[i] = "its title in its metadata"

    def _other_doi(self, record: Record) -> str:
        """Return a DOI that the file has for itself and that is not the record's, where both have one."""
        dois = {letters(copy.doi) for copy in self._known.copies(record.number) if copy.doi}
        own = [one.value for one in self._own_identifiers() if one.kind == "doi"]
        return own[0] if dois and own and not dois & set(map(letters, own)) else ""


def has_text(front: Front) -> bool:
    """Whether the first pages hold enough text to speak for or against a file's name."""
    return any(page.has_text for page in _pages(front))


def shows_title(front: Front, record: Record, least: float) -> bool:
    """Whether a record's title stands on the first pages, or at least such a share of its words together."""
    return any(map(partial(_shows, record, least), _pages(front)))


def _shows(record: Record, least: float, page: Page) -> bool:
    title = page.title_of(record)
    is_shown = title.stand > Stand.NOTICE if title is not None else page.share_of(record.title) >= least
    return is_shown and page.has_author(record)
