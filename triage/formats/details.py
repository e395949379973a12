"""Volume, pages and the like, which every format names in its own way: for writing one format's fields in another."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

# What the names of extra fields mean, as letters only, in lower case: RIS, Web of Science, EndNote, BibTeX, tables.
_NAMES = {
    "volume": ("vl", "volume", "%v", "vid"),
    "issue": ("is", "number", "issue", "%n", "iid"),
    "first page": ("sp", "bp", "pages", "startpage", "pagestart", "%p"),
    "last page": ("ep", "endpage", "pageend"),
    "issn": ("sn", "issn", "isbn", "%@"),
    "publisher": ("pb", "pu", "publisher", "%i"),
    "url": ("ur", "url", "%u"),
    "short journal": ("j2", "ja", "j9", "ji", "abbr1", "journalabbreviation"),
    "place": ("cy", "pi", "placepublished", "%c"),
    "address": ("ad", "c1", "authaddress", "affiliations", "affiliation", "%+"),
}
# MEDLINE text and PubMed XML use some of the same tags for other things.
_MEDLINE = {
    "volume": ("vi",),
    "issue": ("ip",),
    "first page": ("pg",),
    "issn": ("is", "issn"),
    "publisher": ("pb",),
    "short journal": ("ta",),
    "place": ("pl",),
    "address": ("ad",),
}


def is_medline(extra: Mapping[str, tuple[str, ...]]) -> bool:
    """Tell whether extra fields have MEDLINE's names."""
    return any(name in extra for name in ("JID", "OWN", "STAT", "PST"))


@lru_cache(1_000)
def _letters(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum() or c in "%@+")


def details(extra: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return what extra fields say of volume, issue, pages and so on, under one set of names."""
    by_name = {_letters(name): values for name, values in extra.items()}
    found = {}
    for detail, names in (_MEDLINE if is_medline(extra) else _NAMES).items():
        said = (" ".join(values[0].split()) for name in names if (values := by_name.get(name)))
        if value := next(filter(None, said), ""):
            found[detail] = value
    return found
