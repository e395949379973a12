"""The review's protocol: question, sources, limits, criteria, stages, stopping rule (protocol.toml)."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from .errors import InputError
from .stopping_rules import DEFAULT_RULE, PROMISES, RULES


@dataclass(frozen=True, slots=True)
class Criterion:
    """One inclusion or exclusion criterion, or a reason: a short code, and the text in full."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """One database searched."""

    name: str
    search: str = ""
    searched_on: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a record must be to be screened at all; an empty field sets no limit.

    Attributes
    ----------
    languages : tuple of str
        Allowed languages, by English name or ISO 639 code; `parse` gives English names.
    published_from, published_to : date or None
        First and last allowed day of publication.
    exclude_types : tuple of str
        Publication types that are not wanted, such as "editorial".
    """

    languages: tuple[str, ...] = ()
    published_from: date | None = None
    published_to: date | None = None
    exclude_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of screening and the reasons offered there for excluding a record.

    Attributes
    ----------
    name : str
    reasons : tuple of Criterion
        In the order of their priority.
    not_retrieved : str
        The code of the reason by which a record leaves whose full text could not be had; empty where there is none.
    """

    name: str
    reasons: tuple[Criterion, ...] = ()
    not_retrieved: str = ""


_FIRST_STAGE = "abstract"


@dataclass(frozen=True, slots=True)
class Stopping:
    """The one rule that decides when screening can stop, named before screening.

    Attributes
    ----------
    rule : str
        One of `stopping_rules.RULES`.
    target, confidence : float
        The recall to reach, and the confidence of every bound.
    audit_size : int or None
        Draws of the one sample of a rule that looks once.
    """

    rule: str = DEFAULT_RULE
    target: float = 0.95
    confidence: float = 0.95
    audit_size: int | None = None


@dataclass(frozen=True, slots=True)
class Protocol:
    """A review's protocol. `Protocol()` is what holds where a protocol says nothing."""

    title: str = ""
    question: str = ""
    sources: tuple[Source, ...] = ()
    limits: Limits = field(default_factory=Limits)
    include: tuple[Criterion, ...] = ()
    exclude: tuple[Criterion, ...] = ()
    stages: tuple[Stage, ...] = (Stage(_FIRST_STAGE),)
    tags: tuple[str, ...] = ()
    stopping: Stopping = field(default_factory=Stopping)
    model: str = "default"
    learn_from: str = "stage"
    reviewers_per_record: int = 1
    calibration: int = 0

    @property
    def queries(self) -> tuple[str, ...]:
        """What can rank records before any label: the question and the inclusion criteria, where they hold a word."""
        return tuple(text for text in (self.question, *(c.text for c in self.include)) if has_word(text))

    def nothing_to_rank_by(self, file: str, learned: bool) -> str:
        """Say that the ranking finds nothing to go by in this protocol, and what to do; "" where it does.

        Parameters
        ----------
        file : str
            What to call the protocol's file.
        learned : bool
            Whether the ranking learns from labels, an include and an exclude at least.
        """
        if self.queries:
            return ""
        lacks = "neither a question nor an inclusion criterion"
        if self == Protocol():
            lacks = f"is still an empty template, with {lacks}"
        elif self.exclude:
            lacks = f"has exclusion criteria, but {lacks} to rank by"
        else:
            lacks = f"has {lacks}"
        then = (
            "the ranking learns from the decisions alone"
            if learned
            else "records come in the order of import until there are an include and an exclude to learn from"
        )
        return f"{file} {lacks}, so {then}: write the question and the criteria into that file."


def has_word(text: str) -> bool:
    """Tell whether a text holds a letter or a digit, without which nothing can be compared with it."""
    return any(map(str.isalnum, text))


def load(path: Path) -> Protocol:
    """Read a protocol file.

    Raises
    ------
    InputError
        When it cannot be read or is wrong, with the key at fault.
    """
    return parse(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Read a UTF-8 text file that the user wrote.

    Raises
    ------
    InputError
        When there is none, or it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error


def parse(text: str, name: str = "protocol.toml") -> Protocol:
    """Read a protocol from TOML.

    Parameters
    ----------
    text : str
    name : str
        What to call it in a message.

    Raises
    ------
    InputError
        One sentence with the key at fault, what was expected and what to do.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"{name} is not readable as TOML: {error}; look for a missing quote or bracket there."
        ) from error
    top = _Table(table, name, "")
    top.only(*_KEYS)
    limits = top.table("limits", ("languages", "published_from", "published_to", "exclude_types"))
    stopping = top.table("stopping", ("rule", "target", "confidence", "audit_size"))
    include, exclude = top.criteria("include"), top.criteria("exclude")
    _no_code_twice(top, "exclude", (*include, *exclude))
    protocol = Protocol(
        title=top.text("title"),
        question=top.text("question"),
        sources=tuple(
            Source(t.text("name", required=True), t.text("search"), t.day_or_text("searched_on"))
            for t in top.tables("sources", ("name", "search", "searched_on"))
        ),
        limits=Limits(
            languages=limits.languages("languages"),
            published_from=limits.day("published_from", first=True),
            published_to=limits.day("published_to", first=False),
            exclude_types=limits.texts("exclude_types"),
        ),
        include=include,
        exclude=exclude,
        stages=_stages(top, exclude),
        tags=_tags(top),
        stopping=Stopping(
            rule=stopping.choice("rule", tuple(RULES), DEFAULT_RULE),
            target=stopping.share("target", 0.95),
            confidence=stopping.share("confidence", 0.95),
            audit_size=stopping.count("audit_size"),
        ),
        model=top.text("model") or "default",
        learn_from=top.choice("learn_from", ("stage", "final"), "stage"),
        reviewers_per_record=top.count("reviewers_per_record") or 1,
        calibration=top.count("calibration") or 0,
    )
    first, last = protocol.limits.published_from, protocol.limits.published_to
    if first and last and first > last:
        limits.wrong("published_to", f"a day not before published_from ({first})")
    rule = RULES[protocol.stopping.rule]
    if rule.needs_audit_size and protocol.stopping.audit_size is None:
        stopping.wrong("audit_size", f'the number of audit draws, set beforehand, for rule = "{rule.name}"')
    if not rule.needs_audit_size and protocol.stopping.audit_size is not None:
        with_size = ", ".join(row.name for row in RULES.values() if row.needs_audit_size)
        stopping.wrong("audit_size", f"left out, as {rule.name} has none ({with_size} has)")
    if protocol.reviewers_per_record > 2:
        top.wrong("reviewers_per_record", "1 or 2")
    return protocol


def _tags(top: _Table) -> tuple[str, ...]:
    tags = top.texts("tags")
    # They are told apart without regard to case, and stand side by side in one cell.
    if any(";" in tag for tag in tags) or len({" ".join(tag.casefold().split()) for tag in tags}) < len(tags):
        top.wrong("tags", 'a list of different texts without ";", such as ["review", "qualitative"]')
    return tags


def _stages(top: _Table, exclude: tuple[Criterion, ...]) -> tuple[Stage, ...]:
    tables = top.tables("stages", ("name", "reasons", "not_retrieved"))
    if not tables:
        return (Stage(_FIRST_STAGE, exclude),)
    # A code means one thing in the whole review: the report names reasons by it.
    known = {c.code: c for c in exclude}
    texts = dict(known)
    stages: list[Stage] = []
    for t in tables:
        name = t.text("name", required=True)
        if name in (s.name for s in stages):
            t.wrong("name", f"a name that no other stage has ({name!r} is taken)")
        reasons = []
        for entry in t.get("reasons", [c.code for c in exclude] if not stages else [], list, _REASONS):
            if isinstance(entry, str):
                if entry not in known:
                    near = _nearest(entry, known)
                    t.wrong(
                        "reasons",
                        f"codes of [[exclude]] ({', '.join(known) or 'there are none'}) or "
                        f"{{ code, text }} tables; {entry!r} is neither{near}",
                    )
                reasons.append(known[entry])
            elif isinstance(entry, dict):
                e = _Table(entry, t.name, t.key("reasons"))
                e.only("code", "text")
                reason = Criterion(e.text("code", required=True), e.one_line("text"))
                if texts.setdefault(reason.code, reason) != reason:
                    t.wrong("reasons", f"of one text to a code ({reason.code!r} has another one elsewhere)")
                reasons.append(reason)
            else:
                t.wrong("reasons", _REASONS)
        _no_code_twice(t, "reasons", reasons)
        not_retrieved = t.text("not_retrieved")
        if not_retrieved and not_retrieved not in (r.code for r in reasons):
            t.wrong("not_retrieved", f"the code of one of the stage's reasons ({not_retrieved!r} is none)")
        stages.append(Stage(name, tuple(reasons), not_retrieved))
    return tuple(stages)


def _no_code_twice(table: _Table, key: str, criteria: Iterable[Criterion]) -> None:
    seen = set()
    for criterion in criteria:
        if criterion.code.casefold() in seen:
            table.wrong(key, f"a code of its own for each entry ({criterion.code!r} stands twice)")
        seen.add(criterion.code.casefold())


def _nearest(word: str, known: Iterable[str]) -> str:
    by_folded = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(word.casefold(), by_folded, 1)
    return f" (did you mean {by_folded[close[0]]}?)" if close else ""


_KEYS = (
    "title",
    "question",
    "tags",
    "model",
    "learn_from",
    "reviewers_per_record",
    "calibration",
    "sources",
    "limits",
    "include",
    "exclude",
    "stages",
    "stopping",
)
_REASONS = "a list of exclusion codes, or of { code, text } tables"


class _Table:
    """A table of the file, read key by key, with a message that names the key at fault."""

    def __init__(self, values: dict, name: str, path: str) -> None:
        self._values = values
        self.name = name
        self._path = path

    def key(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def wrong(self, key: str, expected: str) -> None:
        raise InputError(f"{self.name}: {self.key(key)} must be {expected}; correct it and run the command again.")

    def get(self, key: str, default: object, kind: type, expected: str) -> object:
        value = self._values.get(key, default)
        if not isinstance(value, kind):
            self.wrong(key, expected)
        return value

    def only(self, *known: str) -> None:
        for key in self._values:
            if key in known:
                continue
            hint = _nearest(key, known)
            if self._path and key in _KEYS:
                # In TOML a key belongs to the table above it, which is easy to overlook.
                hint = f"; {key} is of the whole protocol, so move it above the first line that begins with ["
            raise InputError(
                f"{self.name}: the key {self.key(key)} is unknown{hint or '; the keys here are ' + ', '.join(known)}."
            )

    def text(self, key: str, required: bool = False) -> str:
        value = self._values.get(key, "")
        if not isinstance(value, str) or (required and not value.strip()):
            self.wrong(key, "a text in quotes")
        return value.strip()

    def one_line(self, key: str) -> str:
        """Return a text that must be there, its lines joined."""
        return " ".join(self.text(key, required=True).split())

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
            self.wrong(key, 'a list of texts, such as ["English"]')
        return tuple(v.strip() for v in value)

    def languages(self, key: str) -> tuple[str, ...]:
        found = []
        for text in self.texts(key):
            name = language_name(text)
            if name is None:
                self.wrong(
                    key,
                    'English names or ISO 639 codes, such as ["English"]; '
                    f"{text!r} is neither{_nearest(text, _LANGUAGE_NAMES.values())}",
                )
            found.append(name)
        return tuple(dict.fromkeys(found))

    def choice(self, key: str, among: tuple[str, ...], default: str) -> str:
        value = self._values.get(key, default)
        if value not in among:
            self.wrong(key, f"one of {', '.join(among)} ({value!r} is not)")
        return value

    def share(self, key: str, default: float) -> float:
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
            self.wrong(key, "a number between 0 and 1, such as 0.95")
        return float(value)

    def count(self, key: str) -> int | None:
        value = self._values.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            self.wrong(key, "a whole number from 1")
        return value

    def day(self, key: str, first: bool) -> date | None:
        value = self._values.get(key)
        if value is None or type(value) is date:
            return value
        found = re.fullmatch(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?", str(value).strip())
        try:
            if found is None or isinstance(value, bool):
                raise ValueError
            year, month, day_ = (int(part) if part else None for part in found.groups())
            if day_:
                return date(year, month, day_)
            if first:
                return date(year, month or 1, 1)
            # The last day of the month or year, as the day before the next one begins.
            following = date(year + (month or 12) // 12, (month or 12) % 12 + 1, 1)
            return date.fromordinal(following.toordinal() - 1)
        except ValueError:
            self.wrong(key, 'a day, a month or a year, such as "1980-01-31", "1980-01" or 1980')

    def day_or_text(self, key: str) -> str:
        value = self._values.get(key, "")
        return value.isoformat() if isinstance(value, date) else self.text(key)

    def table(self, key: str, known: tuple[str, ...]) -> _Table:
        table = _Table(self.get(key, {}, dict, f"a table that begins with [{key}]"), self.name, self.key(key))
        table.only(*known)
        return table

    def tables(self, key: str, known: tuple[str, ...]) -> list[_Table]:
        entries = f"entries that each begin with [[{key}]]"
        value = self.get(key, [], list, entries)
        if not all(isinstance(v, dict) for v in value):
            self.wrong(key, entries)
        tables = [_Table(v, self.name, f"{key}[{i}]") for i, v in enumerate(value, 1)]
        for table in tables:
            table.only(*known)
        return tables

    def criteria(self, key: str) -> tuple[Criterion, ...]:
        found = [
            Criterion(t.text("code") or f"{key[0].upper()}{i}", t.one_line("text"))
            for i, t in enumerate(self.tables(key, ("code", "text")), 1)
        ]
        _no_code_twice(self, key, found)
        return tuple(found)


# ISO 639: each language's codes (two letters; both three-letter forms where they differ, and withdrawn
# ones that old records hold), then its English names, the first being the one that is shown.
_LANGUAGES = """
aa aar Afar|ab abk Abkhazian|ae ave Avestan|af afr Afrikaans|ak aka Akan|am amh Amharic|an arg Aragonese
ar ara Arabic|as asm Assamese|av ava Avaric|ay aym Aymara|az aze Azerbaijani|ba bak Bashkir
be bel Belarusian|bg bul Bulgarian|bi bis Bislama|bm bam Bambara|bn ben Bengali|bo bod tib Tibetan
br bre Breton|bs bos Bosnian|ca cat Catalan/Valencian|ce che Chechen|ch cha Chamorro|co cos Corsican
cr cre Cree|cs ces cze Czech|cu chu Church Slavic|cv chv Chuvash|cy cym wel Welsh|da dan Danish
de deu ger German|dv div Divehi/Maldivian|dz dzo Dzongkha|ee ewe Ewe|el ell gre Greek|en eng English
eo epo Esperanto|es spa Spanish/Castilian|et est Estonian|eu eus baq Basque|fa fas per Persian/Farsi
ff ful Fulah|fi fin Finnish|fj fij Fijian|fo fao Faroese|fr fra fre French|fy fry Frisian/Western Frisian
ga gle Irish|gd gla Scottish Gaelic/Gaelic|gl glg Galician|gn grn Guarani|gu guj Gujarati|gv glv Manx
ha hau Hausa|he heb Hebrew|hi hin Hindi|ho hmo Hiri Motu|hr hrv scr Croatian|ht hat Haitian/Haitian Creole
hu hun Hungarian|hy hye arm Armenian|hz her Herero|ia ina Interlingua|id ind Indonesian|ie ile Interlingue
ig ibo Igbo|ii iii Sichuan Yi|ik ipk Inupiaq|io ido Ido|is isl ice Icelandic|it ita Italian|iu iku Inuktitut
ja jpn Japanese|jv jav Javanese|ka kat geo Georgian|kg kon Kongo|ki kik Kikuyu|kj kua Kuanyama|kk kaz Kazakh
kl kal Greenlandic/Kalaallisut|km khm Khmer|kn kan Kannada|ko kor Korean|kr kau Kanuri|ks kas Kashmiri
ku kur Kurdish|kv kom Komi|kw cor Cornish|ky kir Kyrgyz/Kirghiz|la lat Latin
lb ltz Luxembourgish/Letzeburgesch|lg lug Ganda|li lim Limburgish/Limburgan|ln lin Lingala|lo lao Lao
lt lit Lithuanian|lu lub Luba-Katanga|lv lav Latvian|mg mlg Malagasy|mh mah Marshallese|mi mri mao Maori
mk mkd mac Macedonian|ml mal Malayalam|mn mon Mongolian|mr mar Marathi|ms msa may Malay|mt mlt Maltese
my mya bur Burmese|na nau Nauru|nb nob Norwegian Bokmal/Bokmal|nd nde North Ndebele|ne nep Nepali
ng ndo Ndonga|nl nld dut Dutch/Flemish|nn nno Norwegian Nynorsk/Nynorsk|no nor Norwegian
nr nbl South Ndebele|nv nav Navajo|ny nya Chichewa|oc oci Occitan|oj oji Ojibwa|om orm Oromo
or ori Odia/Oriya|os oss Ossetian|pa pan Punjabi/Panjabi|pi pli Pali|pl pol Polish|ps pus Pashto/Pushto
pt por Portuguese|qu que Quechua|rm roh Romansh|rn run Rundi|ro ron rum mol Romanian/Moldavian/Moldovan
ru rus Russian|rw kin Kinyarwanda|sa san Sanskrit|sc srd Sardinian|sd snd Sindhi|se sme Northern Sami
sg sag Sango|sh hbs Serbo-Croatian|si sin Sinhala/Sinhalese|sk slk slo Slovak|sl slv Slovenian/Slovene
sm smo Samoan|sn sna Shona|so som Somali|sq sqi alb Albanian|sr srp scc Serbian|ss ssw Swati
st sot Southern Sotho|su sun Sundanese|sv swe Swedish|sw swa Swahili|ta tam Tamil|te tel Telugu|tg tgk Tajik
th tha Thai|ti tir Tigrinya|tk tuk Turkmen|tl tgl Tagalog/Filipino|tn tsn Tswana|to ton Tonga|tr tur Turkish
ts tso Tsonga|tt tat Tatar|tw twi Twi|ty tah Tahitian|ug uig Uyghur/Uighur|uk ukr Ukrainian|ur urd Urdu
uz uzb Uzbek|ve ven Venda|vi vie Vietnamese|vo vol Volapuk|wa wln Walloon|wo wol Wolof|xh xho Xhosa
yi yid Yiddish|yo yor Yoruba|za zha Zhuang|zh zho chi Chinese/Mandarin/Cantonese|zu zul Zulu
"""
_LANGUAGE_NAMES = {
    word.casefold(): names.split("/")[0]
    for entry in _LANGUAGES.strip().replace("\n", "|").split("|")
    for codes, names in [re.fullmatch(r"((?:[a-z]{2,3} )+)(.+)", entry).groups()]
    for word in (*codes.split(), *names.split("/"))
}


def language_name(text: str) -> str | None:
    """Return the English name of the language with this English name or ISO 639 code; None if there is none.

    Examples
    --------
    >>> language_name("ger"), language_name("DE"), language_name("Farsi"), language_name("Klingon")
    ('German', 'German', 'Persian', None)
    """
    return _LANGUAGE_NAMES.get(" ".join(text.casefold().replace("bokmål", "bokmal").split()))


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
                continue  # it speaks about the criteria and is none
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


def template() -> str:
    """Return a commented protocol.toml to fill in; as it stands it means `Protocol()`."""
    return _TEMPLATE.replace("@RULES@", "\n".join(_rules_by_promise())).replace("@DEFAULT@", DEFAULT_RULE)


def _rules_by_promise() -> Iterator[str]:
    for promise, means in PROMISES.items():
        yield f"## ----   {promise}: {means}"
        for row in RULES.values():
            if row.promise == promise:
                size = "; its size is audit_size = NUMBER" if row.needs_audit_size else ""
                yield f"## ----       {row.name:<12} {row.described}{size}"


_TEMPLATE = '''\
## The protocol of the review. Everything here is optional: a line that begins with # says nothing, so
## take the single # off the lines that you want and write your own words into them. Fill it in at any
## time: the next command takes the changes over, and the old version is kept in the review.

# title = "Peer support in mental health"

## The question, in a sentence or two. It is read together with the criteria for the first ranking.
# question = """
# What forms of support by and for adults with mental health difficulties have been studied, and
# with what results?
# """

## Tags to put on included records; the report counts them.
# tags = ["review", "qualitative"]

## The ranking: default, fast, elas-u4, multilingual, heavy:FOLDER, or the folder of a model.
# model = "default"

## What the ranking learns from: the decisions of the stage that is screened, or final: where a record has been
## judged at a later stage, that judgment. Recall is that of the stage's own decisions either way.
# learn_from = "stage"

## 2: every record needs the decisions of two reviewers, and their conflicts are settled.
# reviewers_per_record = 1

## A calibration round: so many records, drawn at random, that every reviewer gets first. `triage agreement` tells
## how well they agree on them.
# calibration = 20

## ---- From here on come tables. A key belongs to the line with [ above it, so what stands above goes
## ---- for the whole protocol and must stay above.

## ---- Sources: the databases searched, as the report's methods paragraph names them.
# [[sources]]
# name = "PubMed"
# search = "((peer OR consumer) AND support) AND (mental health OR psychiatr*)"
# searched_on = 2010-08-31

## ---- Criteria. Each is a query of its own for the first ranking, before any record is labelled: write
## ---- what a relevant abstract says, in its words. A text may go over several lines between three
## ---- quotes. You pick the code of an exclusion criterion as the reason when you exclude a record.
# [[include]]
# code = "PEER"
# text = "Support given by and for adults with mental health difficulties, face to face."

# [[exclude]]
# code = "ONLINE"
# text = "Support over the internet or the telephone only."

# [[exclude]]
# code = "CHILD"
# text = """
# Children and adolescents;
# support at school.
# """

## ---- Limits: what `triage filter` removes before screening, each removal with its reason in the log.
## ---- Languages by English name or ISO 639 code; a date may be a year, a month or a day.
# [limits]
# languages = ["English"]
# published_from = "1980-01"
# published_to = "2010-08"
# exclude_types = ["editorial", "letter", "comment"]

## ---- Stages: any number, named freely. Without any there is one, "abstract", whose reasons are the
## ---- exclusion criteria; so are the first stage's where it names none. Reasons are codes from above,
## ---- or new ones with a text, in the order of their priority: the first that holds is the one to give,
## ---- and of two people's the one that counts. The reason that not_retrieved names is counted apart in
## ---- the flow figure, as a report that could not be had.
# [[stages]]
# name = "abstract"
# reasons = ["ONLINE", "CHILD"]

# [[stages]]
# name = "full-text"
# reasons = [{ code = "NOTEXT", text = "No full text to be had." }, "CHILD", { code = "DATA", text = "No original data." }]
# not_retrieved = "NOTEXT"

## ---- Stopping. Name the rule and its target before screening begins, and leave them. The rules, by what they
## ---- promise:
@RULES@
# [stopping]
# rule = "@DEFAULT@"
# target = 0.95
# confidence = 0.95
'''
