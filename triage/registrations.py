"""Numbers under which trials and reviews are registered, in one form whoever wrote them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

# Each register: what stands before its numbers in their one form, how they are written in the wild, and the number.
# Leading zeros belong to the number, and so does its length: "NCT0123" is the beginning of another number.
_BETWEEN = r"[\s:#_\u2010-\u2015./-]{0,3}"
_REGISTERS = (
    ("NCT", f"NCT{_BETWEEN}", r"\d{8}", ""),
    ("ISRCTN", f"ISRCTN{_BETWEEN}", r"\d{8}", ""),
    ("EUCT", "", r"20\d\d-5\d{5}-\d\d", r"-\d\d(?:-[A-Z]{2})?"),
    ("EUCTR", "(?:EUDRACT|EUCTR)?", r"20\d\d-\d{6}-\d\d", r"(?:-[A-Z]{2,3})?"),
    ("ACTRN", f"ACTRN{_BETWEEN}", r"\d{14}", "p?"),
    ("CHICTR", f"ChiCTR{_BETWEEN}(?:[A-Z]{{2,5}}{_BETWEEN})?", r"\d{8,10}", ""),
    ("DRKS", f"DRKS{_BETWEEN}", r"\d{8}", ""),
    ("CTRI/", r"CTRI[\s:/-]{0,3}", r"\d{4}[/-]\d{2,3}[/-]\d{4,6}", ""),
    ("UMIN", f"UMIN{_BETWEEN}(?:CTR{_BETWEEN}(?:UMIN{_BETWEEN})?)?", r"\d{9}", ""),
    ("JRCT", f"jRCT{_BETWEEN}", r"s?\d{9,10}", ""),
    ("JAPICCTI", f"JapicCTI{_BETWEEN}", r"\d{6}", ""),
    ("NTR", f"NTR{_BETWEEN}", r"\d{2,5}", ""),
    ("NLOMON", f"NL-OMON{_BETWEEN}", r"\d{4,6}", ""),
    ("PACTR", f"PACTR{_BETWEEN}", r"\d{15,16}", ""),
    ("IRCT", f"IRCT{_BETWEEN}", r"\d{8,14}N\d{1,3}", ""),
    ("KCT", f"KCT{_BETWEEN}", r"\d{7}", ""),
    ("TCTR", f"TCTR{_BETWEEN}", r"\d{11}", ""),
    ("SLCTR/", r"SLCTR[\s:/-]{0,3}", r"\d{4}[/-]\d{3}", ""),
    ("RBR-", "RBR-", r"\d[0-9a-z]{4,7}", ""),
    ("RPCEC", f"RPCEC{_BETWEEN}", r"\d{8}", ""),
    ("CRD", f"CRD{_BETWEEN}", r"42\d{9,10}", ""),
)
_NUMBER = re.compile(
    r"(?<![0-9A-Za-z])(?:JPRN-)?(?:"
    + "|".join(f"{before}({number}){after}" for _, before, number, after in _REGISTERS)
    + r")(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_HINT = re.compile(r"NCT|CTR|CTI|RKS|UMIN|CRD|NTR|OMON|KCT|RBR-|PCEC|RCT|20\d\d-\d{6}-", re.IGNORECASE)

_REGISTER_HOSTS = re.compile(
    r"clinicaltrials\.gov|clinicaltrialsregister\.eu|euclinicaltrials\.eu|isrctn\.(?:com|org)|controlled-trials\.com"
    r"|anzctr\.org|chictr\.org|drks\.de|ctri\.(?:nic|icmr)|umin\.ac\.jp|jrct\.(?:niph|mhlw)|trialregister\.nl"
    r"|pactr\.(?:org|samrc)|irct\.ir|cris\.nih\.go\.kr|trialsearch\.who\.int|who\.int/(?:trialsearch|ictrp)"
    r"|thaiclinicaltrials|slctr\.lk|ensaiosclinicos|crd\.york\.ac\.uk",
    re.IGNORECASE,
)
_REGISTER_NAMES = re.compile(
    r"clinical ?trials?(?:\.gov| register| registry)|\bregist(?:er|ry|ries)\b|\bICTRP\b|\bISRCTN\b|\bPROSPERO\b|\bANZCTR\b"
    r"|\bEudraCT\b|\bDRKS\b|\bChiCTR\b",
    re.IGNORECASE,
)
# Where exports put a record's own number, or the address of its page. Letters of a field's name only.
_OWN_NUMBER = frozenset(
    "nctnumber nctid trialid trialids maintid registrationnumber registrynumber registernumber registryid studyid "
    "eudractnumber euctnumber isrctn isrctnnumber prosperoid trialnumber trialregistrationnumber "
    "trialregistryid clinicaltrialid an accessionnumber accession accessno id identifier recordid".split()
)
_ADDRESS = frozenset("ur url urls link links studyurl weblink webaddress weburl sourceurl l1 l2 l3 lk".split())


def registrations_in(text: str) -> tuple[str, ...]:
    """Return the registration numbers that a text names, each once, in the form that its register gives them.

    Examples
    --------
    >>> registrations_in("Registered at ClinicalTrials.gov (NCT 00392093) and as EudraCT: 2005-001234-12.")
    ('NCT00392093', 'EUCTR2005-001234-12')
    """
    if not _HINT.search(text):  # most have none, and to know that is ten times as fast
        return ()
    return tuple(dict.fromkeys(_normal(found) for found in _NUMBER.finditer(text)))


def _normal(found: re.Match[str]) -> str:
    which = found.lastindex or 1
    prefix, number = _REGISTERS[which - 1][0], found[which].upper()
    return prefix + (number.replace("-", "/") if prefix.endswith("/") else number)


def are_of_one_register(one: str, other: str) -> bool:
    """Tell whether two numbers are of one register, where two numbers are two registrations."""
    return _letters_before(one) == _letters_before(other)


def _letters_before(number: str) -> str:
    return number[: next((i for i, c in enumerate(number) if c.isdigit()), len(number))]


def entry_number(journal: str, doi: str, extra: Mapping[str, tuple[str, ...]], *, is_article: bool) -> str:
    """Return the number of a register's entry that a record is; "" when it is none.

    An article names the number of its trial too, and it is no entry: what is printed in a volume or has a PubMed
    number is an article, and so is what has a journal that is neither a register nor the number itself.

    Parameters
    ----------
    journal, doi : str
    extra : mapping of str to tuple of str
    is_article : bool
        Whether the record has a place in print, or a PubMed number.
    """
    if in_journal := registrations_in(journal):
        return in_journal[0]
    if is_article or (journal.strip() and not (_REGISTER_NAMES.search(journal) or _REGISTER_HOSTS.search(journal))):
        return ""
    if doi.startswith("10.1186/isrctn"):
        return next(iter(registrations_in(doi)), "")
    for is_there in (_own, _addressed):
        for name, values in extra.items():
            if number := is_there(_letters(name), values):
                return number
    return ""


@lru_cache(maxsize=1 << 12)
def _letters(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalpha())


def _own(field: str, values: Iterable[str]) -> str:
    if field not in _OWN_NUMBER:
        return ""
    for value in values:
        found = registrations_in(value[:200])
        # "NCT00392093" or "ClinicalTrials.gov: NCT00392093", but no sentence that names a trial.
        if found and len(value) < 60:
            return found[0]
    return ""


def _addressed(field: str, values: Iterable[str]) -> str:
    if field not in _ADDRESS:
        return ""
    return next((found[0] for v in values if _REGISTER_HOSTS.search(v) and (found := registrations_in(v[:500]))), "")


# The pages of numbers, where a register's address can be made of one.
_PAGES = (
    ("NCT", "https://clinicaltrials.gov/study/{number}"),
    ("ISRCTN", "https://www.isrctn.com/{number}"),
    ("EUCTR", "https://www.clinicaltrialsregister.eu/ctr-search/search?query={bare}"),
    ("EUCT", "https://euclinicaltrials.eu/ctis-public/view/{bare}"),
    ("ACTRN", "https://www.anzctr.org.au/{number}.aspx"),
    ("DRKS", "https://drks.de/search/en/trial/{number}"),
    ("CRD", "https://www.crd.york.ac.uk/prospero/display_record.php?RecordID={bare}"),
)


def page_of(number: str) -> str:
    """Return the address of a number's page in its register, "" where it cannot be made.

    Examples
    --------
    >>> page_of("NCT00392093")
    'https://clinicaltrials.gov/study/NCT00392093'
    """
    for prefix, address in _PAGES:
        if number.startswith(prefix) and number[len(prefix) :].replace("-", "").isdigit():
            return address.format(number=number, bare=number[len(prefix) :])
    return ""
