"""Studies and their reports: which records are of one study, surely, as a person said, or perhaps.

A study may have a protocol, an entry in a register and several articles. They are no duplicates: each is screened,
judged and counted by itself, and nothing in here removes any. They are grouped, so that they can be read beside each
other at full text and counted as PRISMA 2020 asks, as studies and as reports.

- Reports that name one registration number, and no other of its register, count as one study unless a person told
  them apart.
- Others that look like it, such as a protocol and its results, are proposed, and count once a person joined them.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product

from .dedupe.forms import describe
from .log import CurrentState, Event, Kind
from .project import Records
from .records import Record, normal_title
from .registrations import are_of_one_register, registrations_in

_MOST_NAMING = 40  # reports of one number or acronym that are compared with each other: more are no single study's
_LEAST_ALIKE = 0.6  # of the words of a protocol's title and its results'
# "the PREDIMED trial", "PREDIMED: a trial", "(PREDIMED)", "ASCOT-LLA": capitals that name a study.
_ACRONYM = re.compile(
    r"(?<![\w-])(?P<name>[A-Z][A-Za-z]*[A-Z][A-Za-z]*[A-Z0-9][A-Za-z0-9]*(?:[- ]\d{1,2}|-[A-Z][A-Z0-9]{1,9})*)(?![\w-])"
)
_NAMES_A_STUDY = re.compile(
    r"\W{0,3}(?:(?:randomi[sz]ed|controlled|clinical|cohort|pilot|phase \w+|birth|prospective|observational)\s+){0,3}"
    r"(?:trials?|study|studies|cohorts?|project|program(?:me)?|registry|investigators|collaborat\w+|group|consortium"
    r"|survey|intervention)\b",
    re.IGNORECASE,
)
# Capitals in titles that name no study.
_NO_STUDIES = frozenset(
    "AIDS HIV COVID COPD ADHD PTSD NSCLC SCLC STEMI NSTEMI MRSA ARDS GERD NAFLD NASH ESRD CABG PCI ECMO DSMIV DSM "
    "CBT MBCT IPT EMDR NICE WHO NHS USA UK EU BRCA EGFR HER2 VEGF SGLT2 GLP1 DPP4 TNF ACE ARB NOAC DOAC SSRI SNRI RCT "
    "RCTS IPD PRISMA CONSORT STROBE MRI FMRI EEG ECG PET CT BMI LDL HDL QALY ICER EQ5D SF36 HADS PHQ9 GAD7 NYHA LVEF "
    "CKD CVD CHD CAD PAD TIA DVT VTE IBD IBS MDD OCD BPD ASD MCI ALS SLE IVF ART PCOS HPV HCV HBV HSV CMV EBV RSV SARS "
    "MERS SARSCOV2 COV2 DNA RNA MRNA PCR ELISA NIH NHANES UKBIOBANK MEDLINE EMBASE PUBMED COCHRANE GRADE PICO ICU NICU "
    "ICD10 ICD MMSE MOCA COVID19".split()
)
_PROTOCOL = re.compile(
    r"\b(?:study |trial |review )?protocols?\b|\brationale\b|\b(?:study|trial) design\b|\bdesign (?:and|of)\b", re.I
)
_EMPTY = frozenset(
    "a an the of and or in on for to with by from at as is study studies trial trials protocol protocols rationale "
    "design randomised randomized controlled clinical results result outcomes outcome effect effects methods".split()
)


@dataclass(frozen=True, slots=True)
class Clues:
    """What of a record, and of its copies, tells the study that it is of.

    Attributes
    ----------
    registrations : frozenset of str
        Numbers of registers that it names anywhere.
    acronyms : frozenset of str
        Of studies, in its title.
    families : frozenset of str
        Family names of its authors.
    words : frozenset of str
        Of its title, but those that a protocol and its results may differ in.
    is_protocol : bool
    """

    registrations: frozenset[str] = frozenset()
    acronyms: frozenset[str] = frozenset()
    families: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    is_protocol: bool = False

    def __or__(self, copy: Clues) -> Clues:
        return Clues(
            self.registrations | copy.registrations,
            self.acronyms | copy.acronyms,
            self.families | copy.families,
            self.words or copy.words,
            self.is_protocol or copy.is_protocol,
        )

    @property
    def own_numbers(self) -> frozenset[str]:
        """The numbers of registers of which it names no other: a pooled analysis names those of several trials."""
        return frozenset(
            n for n in self.registrations if sum(are_of_one_register(n, other) for other in self.registrations) == 1
        )


def clues_of(record: Record) -> Clues:
    """Return what of one record tells its study."""
    told = [record.title, record.abstract, record.journal, record.doi, *record.keywords]
    told += [value for values in record.extra.values() for value in values]
    title = record.title[:1000]
    return Clues(
        registrations=frozenset(registrations_in("\n".join(told))),
        acronyms=frozenset(_acronyms(title)),
        families=describe(record).families,
        words=frozenset(normal_title(title).split()) - _EMPTY,
        is_protocol=_PROTOCOL.search(title) is not None,
    )


def _acronyms(title: str) -> Iterable[str]:
    if title.isupper():
        return
    for found in _ACRONYM.finditer(title):
        name = found["name"].replace(" ", "-")
        letters = sum(c.isupper() for c in name)
        plain = re.sub(r"[^A-Z0-9]", "", name.upper())
        if letters < 3 or plain in _NO_STUDIES or len(plain) < 4:
            continue
        in_brackets = title[: found.start()].rstrip()[-1:] == "(" and title[found.end() :].lstrip()[:1] == ")"
        leads = found.start() == 0 and title[found.end() :].lstrip()[:1] == ":"
        if in_brackets or leads or _NAMES_A_STUDY.match(title, found.end()):
            yield name.upper()


class KnownClues:
    """The clues of a review's records, each record read once: what was imported never changes."""

    def __init__(self) -> None:
        self._known: dict[int, Clues] = {}
        self._lock = threading.Lock()

    def of(self, records: Records, live: CurrentState, record_ids: Iterable[int]) -> dict[int, Clues]:
        """Return the clues of each of these kept records, what its copies say among them."""
        members = {int(i): list(live.groups.get(int(i), (int(i),))) for i in record_ids}
        with self._lock:
            missing = {m for ids in members.values() for m in ids} - self._known.keys()
            if missing:
                for record in records.read(sorted(missing)):
                    self._known[record.number] = clues_of(record)
            found = {}
            for kept, ids in members.items():
                clues = self._known[kept]
                for member in ids:
                    clues = clues | self._known[member]
                found[kept] = clues
        return found


@dataclass(frozen=True, slots=True)
class Study:
    """A study with several reports.

    Attributes
    ----------
    record_ids : tuple of int
        Its reports, by the ids that they are shown under, ascending.
    confirmed : bool
        Whether people joined all of them; else some are joined by a registration number alone.
    why : tuple of str
    """

    record_ids: tuple[int, ...]
    confirmed: bool
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """Two studies that may be one; a person decides."""

    record_ids: tuple[int, ...]
    other_ids: tuple[int, ...]
    why: str

    def others(self, record_id: int) -> tuple[int, ...]:
        """Return the reports of the study that a record is not of; none when it is of neither."""
        if record_id in self.record_ids:
            return self.other_ids
        return self.record_ids if record_id in self.other_ids else ()


@dataclass(frozen=True, slots=True)
class Studies:
    """Records as studies and reports.

    Attributes
    ----------
    reports : int
        The records that were asked about.
    groups : tuple of Study
        Those with several reports, by their lowest ids.
    proposed : tuple of Proposal
    """

    reports: int
    groups: tuple[Study, ...]
    proposed: tuple[Proposal, ...]
    _group_of: dict[int, Study] = field(default_factory=dict, compare=False, repr=False)

    @property
    def studies(self) -> int:
        """How many studies the records are of; a record in no group is one."""
        return self.reports - sum(len(one.record_ids) - 1 for one in self.groups)

    @property
    def unconfirmed(self) -> int:
        """How many groups count by a registration number alone."""
        return sum(not one.confirmed for one in self.groups)

    def study_of(self, record_id: int) -> tuple[int, ...]:
        """Return the reports of a record's study, itself among them."""
        return self._group_of[record_id].record_ids if record_id in self._group_of else (record_id,)

    def among(self, record_ids: Collection[int]) -> Studies:
        """Return the same of these records alone; what joins two of them may be a report that is not among them."""
        wanted = set(record_ids)

        def left(ids: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(i for i in ids if i in wanted)

        groups = tuple(replace(one, record_ids=ids) for one in self.groups if len(ids := left(one.record_ids)) > 1)
        proposed = tuple(
            Proposal(left(one.record_ids), left(one.other_ids), one.why)
            for one in self.proposed
            if left(one.record_ids) and left(one.other_ids)
        )
        return Studies(len(wanted), groups, proposed, {i: one for one in groups for i in one.record_ids})

    def beside(self, record_id: int) -> Beside | None:
        """Return what is to be read beside a report; None when nothing is."""
        same = [i for i in self.study_of(record_id) if i != record_id]
        confirmed = record_id in self._group_of and self._group_of[record_id].confirmed
        perhaps = {i for one in self.proposed for i in one.others(record_id)}
        if not confirmed:
            same, perhaps = [], perhaps | set(same)
        return Beside(tuple(same), tuple(sorted(perhaps - set(same)))) if same or perhaps else None


@dataclass(frozen=True, slots=True)
class Beside:
    """The other reports of a record's study: those that a person joined with it, and those that may be."""

    same: tuple[int, ...]
    maybe: tuple[int, ...]

    @property
    def lines(self) -> list[tuple[str, tuple[int, ...]]]:
        """What to say, and of which records."""
        said = [
            ("Other reports of the same study", self.same),
            ("Other reports that may be of the same study", self.maybe),
        ]
        return [(text, ids) for text, ids in said if ids]

    def __str__(self) -> str:
        return ". ".join(f"{text}: {', '.join(map(str, ids))}" for text, ids in self.lines)


def studies_among(clues: Mapping[int, Clues], events: Sequence[Event], live: CurrentState) -> Studies:
    """Group records by the study that they are of.

    Parameters
    ----------
    clues : mapping of int to Clues
        Of the records asked about, by the ids that they are shown under.
    events : sequence of Event
        The log, with what people said of studies.
    live : CurrentState
        What is current in it.
    """
    said = _said(events, live)
    groups = _Groups(clues, {pair for pair, is_one in said.items() if not is_one})
    for one, other in (pair for pair, is_one in said.items() if is_one):
        if one in clues and other in clues:
            groups.join(one, other)
    by_people = {i: groups.root(i) for i in clues}
    why: defaultdict[int, list[str]] = defaultdict(list)
    numbered = list(_share(clues, lambda c: c.registrations))
    maybe: list[tuple[int, int, str]] = []
    for number, one, other in numbered:
        reason = f"same registration number {number}"
        if number in clues[one].own_numbers and number in clues[other].own_numbers:
            if groups.join(one, other):
                why[one].append(reason)
        else:
            maybe.append((one, other, reason))
    for acronym, one, other in _share(clues, lambda c: c.acronyms):
        if _share_authors(clues[one], clues[other]):
            maybe.append((one, other, f"both name {acronym} and have authors in common"))
    maybe += _protocols(clues)
    members: defaultdict[int, list[int]] = defaultdict(list)
    for i in sorted(clues):
        members[groups.root(i)].append(i)
    studies = tuple(
        sorted(
            (
                Study(
                    tuple(ids),
                    len({by_people[i] for i in ids}) == 1,
                    tuple(dict.fromkeys(reason for i in ids for reason in why[i])) or ("a person joined them",),
                )
                for ids in members.values()
                if len(ids) > 1
            ),
            key=lambda one: one.record_ids,
        )
    )
    proposed: dict[tuple[tuple[int, ...], tuple[int, ...]], str] = {}
    for one, other, reason in maybe:
        x, y = groups.root(one), groups.root(other)
        if x != y and not groups.told_apart(x, y):
            pair = sorted((tuple(members[x]), tuple(members[y])))
            proposed.setdefault((pair[0], pair[1]), reason)
    return Studies(
        len(clues),
        studies,
        tuple(Proposal(*pair, reason) for pair, reason in sorted(proposed.items())),
        {i: one for one in studies for i in one.record_ids},
    )


def _said(events: Sequence[Event], live: CurrentState) -> dict[tuple[int, int], bool]:
    """Return what people said last of each pair of records: True one study, False two; in the order of the log."""
    said: dict[tuple[int, int], bool] = {}
    for e in study_events(events):
        if e.other_id is not None:
            one, other = sorted((live.kept(e.about), live.kept(e.other_id)))
            if one != other:
                said.pop((one, other), None)
                said[one, other] = e.kind is Kind.SAME_STUDY
    return said


class _Groups:
    """Groups of records, none with two that a person told apart by the newest word on them."""

    def __init__(self, ids: Iterable[int], apart: Collection[tuple[int, int]]) -> None:
        self._parent = {i: i for i in ids}
        self._members = {i: [i] for i in self._parent}
        self._apart: defaultdict[int, set[int]] = defaultdict(set)
        for one, other in apart:
            self._apart[one].add(other)
            self._apart[other].add(one)

    def root(self, i: int) -> int:
        while self._parent[i] != i:
            i = self._parent[i]
        return i

    def told_apart(self, x: int, y: int) -> bool:
        return any(not self._apart[i].isdisjoint(self._members[y]) for i in self._members[x] if i in self._apart)

    def join(self, one: int, other: int) -> bool:
        """Make one group of two records'; return whether they are one now."""
        x, y = sorted((self.root(one), self.root(other)))
        if x == y:
            return True
        if self.told_apart(x, y):
            return False
        self._parent[y] = x
        self._members[x] += self._members.pop(y)
        return True


def _share(clues: Mapping[int, Clues], of: Callable[[Clues], Iterable[str]]) -> Iterable[tuple[str, int, int]]:
    having: defaultdict[str, list[int]] = defaultdict(list)
    for i in sorted(clues):
        for name in of(clues[i]):
            having[name].append(i)
    for name, ids in sorted(having.items()):
        if len(ids) <= _MOST_NAMING:
            yield from ((name, one, other) for one, other in combinations(ids, 2))


def _share_authors(one: Clues, other: Clues) -> bool:
    shared, fewer = len(one.families & other.families), min(len(one.families), len(other.families))
    return shared >= 2 or (shared == 1 and fewer <= 2)


def _protocols(clues: Mapping[int, Clues]) -> list[tuple[int, int, str]]:
    by_family: defaultdict[str, list[int]] = defaultdict(list)
    for i in sorted(clues):
        for family in clues[i].families:
            by_family[family].append(i)
    found = []
    for i in sorted(clues):
        protocol = clues[i]
        if not protocol.is_protocol or len(protocol.words) < 3:
            continue
        near = {other for family in protocol.families for other in by_family[family] if other != i}
        for other in sorted(near):
            results = clues[other]
            common = len(protocol.words & results.words)
            alike = common >= _LEAST_ALIKE * max(1, min(len(protocol.words), len(results.words))) and common >= 3
            if not results.is_protocol and alike and _share_authors(protocol, results):
                found.append((i, other, "a protocol and a report with a like title and authors in common"))
    return found


def study_events(events: Iterable[Event]) -> list[Event]:
    """Return the events that say something of studies and were not taken back, in the order of the log."""
    said: dict[int, Event] = {}
    for e in events:
        if e.kind in (Kind.SAME_STUDY, Kind.OTHER_STUDY):
            said[e.seq] = e
        elif e.undoes is not None:
            said.pop(e.undoes, None)
    return list(said.values())


def told_of(events: Iterable[Event], live: CurrentState) -> set[int]:
    """Return the records of which people said that they are of one study with others."""
    joined = (e for e in study_events(events) if e.kind is Kind.SAME_STUDY)
    return {live.kept(i) for e in joined for i in (e.about, e.other_id or e.about)}


# -- what a person says ---------------------------------------------------------------------------


def to_join(
    studies: Studies, record_ids: Collection[int], events: Sequence[Event], live: CurrentState
) -> list[tuple[int, int]]:
    """Return the pairs to be logged as one study, so that the studies of all these records become one.

    What a person had said against it is answered pair by pair.
    """
    members = sorted({i for record_id in record_ids for i in studies.study_of(record_id)})
    said = _said(events, live)
    pairs = {(members[0], i) for i in members[1:]}
    pairs |= {pair for pair in combinations(members, 2) if said.get(pair) is False}
    return sorted(pair for pair in pairs if not said.get(pair, False))


def to_split(studies: Studies, record_id: int) -> list[tuple[int, int]]:
    """Return the pairs to be logged as two studies, so that a record is of none of those that it may be of."""
    others = {i for i in studies.study_of(record_id) if i != record_id}
    others |= {i for one in studies.proposed for i in one.others(record_id)}
    return sorted((record_id, i) for i in others)


def to_keep_apart(proposal: Proposal) -> list[tuple[int, int]]:
    """Return the pairs to be logged as two studies, so that the two of a proposal stay so."""
    return list(product(proposal.record_ids, proposal.other_ids))
