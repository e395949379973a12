"""Records in nested shapes, JSON's and that of registers' XML: flattened into the cells of a table's row, and read as one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from . import markup
from .columns import COLUMNS, Columns, letters
from .common import Item, Problem, Tally
from .text import TextFile
from .xml_records import elements, paragraphs_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_DEEPEST = 60
_EVENTS = 200_000  # within which the list of records begins
_NOTHING = "this record has neither title nor abstract; there is nothing to screen"
_PEOPLE = frozenset({"author", "authors", "authorships", "creators"})
_FAMILY = ("family", "last_name", "lastName", "lastname", "surname")
_GIVEN = ("given", "first_name", "firstName", "firstname", "initials")
_WHOLE = ("literal", "fullName", "display_name", "name", "raw_author_name", "full_name", "collectiveName")
# Parts of a path that only group what is below them: ClinicalTrials.gov's modules and the like.
_GROUPS = re.compile(r"protocolSection|\w+Module|_source|textblock|bibjson")
_INVERTED = ("abstract_inverted_index", "InvertedIndex", "inverted_index")
_TYPED = ("value", "id")
# Of several values the first is the record's; of the others all are.
_LISTS = frozenset({"authors", "keywords", "type", "language"})
_INLINE = (frozenset("i b u em strong sub sup bold italic small span".split()) | markup.BLOCKS | markup.HEADINGS) - {
    "title"
}


class TooDeep(Exception):
    """A record nested deeper than any export is."""


def leaves(found: object) -> dict[str, list[str]]:
    """Return what a nested record says, each value under the path that leads to it ("biblio.volume").

    People become "family, given" under `authors`, identifiers that name their type are filed under it
    ("external_ids.doi"), and an abstract that is stored as each word's places becomes a text again.

    Raises
    ------
    TooDeep
    """
    said: dict[str, list[str]] = {}
    _walk(found, "", "", said, 0)
    return said


def _walk(found: object, path: str, key: str, said: dict[str, list[str]], depth: int) -> None:
    if depth > _DEEPEST:
        raise TooDeep
    if isinstance(found, Mapping):
        typed = found.get("type")
        if path and isinstance(typed, str) and len(found) <= 3 and any(isinstance(found.get(k), str) for k in _TYPED):
            value = next(v for k in _TYPED if isinstance(v := found.get(k), str))
            said.setdefault(f"{path}.{typed}", []).append(value)
            return
        for name, value in found.items():
            name = str(name)
            if name in _INVERTED and isinstance(value, Mapping):
                said.setdefault("abstract", []).append(_in_order(value))
            elif name in _PEOPLE and (people := _people(value)):
                said.setdefault("authors", []).extend(people)
            else:
                step = path if _GROUPS.fullmatch(name) else f"{path}.{name}" if path else name
                _walk(value, step, name, said, depth + 1)
    elif isinstance(found, (list, tuple)):
        for value in found:
            _walk(value, path, key, said, depth + 1)
    elif found is not None and (text := _scalar(found)):
        said.setdefault(path or key or "value", []).append(text)


def _scalar(found: object) -> str:
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, float) and found.is_integer() and abs(found) < 1e15:
        return str(int(found))
    return str(found).strip()


def _people(found: object) -> list[str]:
    """Return the names of authors, given as texts or in parts; none where it holds anything else."""
    if isinstance(found, Mapping):
        found = found.get("author") if isinstance(found.get("author"), list) else [found]
    if not isinstance(found, list) or not all(isinstance(person, (str, Mapping)) for person in found):
        return []
    if not any(isinstance(person, Mapping) for person in found):
        return [text for person in found if (text := str(person).strip())]
    return [name for person in found if (name := _name(person))]


def _name(person: object) -> str:
    if not isinstance(person, Mapping):
        return str(person).strip()
    if str(person.get("creatorType", "author")) != "author":
        return ""
    inner = person.get("author")  # OpenAlex's authorships
    if isinstance(inner, Mapping) and (name := _name(inner)):
        return name
    family, given = (next((str(v).strip() for k in keys if (v := person.get(k))), "") for keys in (_FAMILY, _GIVEN))
    if family:
        return f"{family}, {given}" if given else family
    return next((str(v).strip() for k in _WHOLE if isinstance(v := person.get(k), str)), "") or given


def _in_order(places: Mapping[str, object]) -> str:
    """Return a text that is stored as the places of each of its words, as OpenAlex has abstracts."""
    words = [
        (at, str(word))
        for word, found in places.items()
        for at in (found if isinstance(found, list) else ())
        if isinstance(at, int)
    ]
    return " ".join(word for _, word in sorted(words, key=lambda pair: pair[0]))


def record(said: Mapping[str, Sequence[str]], line: int) -> Item:
    """Return the record that named values make, by the names that tables' columns have; a problem where it is empty."""
    columns, joined = _columns(tuple(said))
    cells = ["; ".join(values) if all_of_them else values[0] for values, all_of_them in zip(said.values(), joined)]
    found = columns.record(cells)
    return Item(line, found if found.title or found.abstract else Problem(line, _NOTHING))


@lru_cache(maxsize=256)
def _columns(names: tuple[str, ...]) -> tuple[Columns, tuple[bool, ...]]:
    columns = Columns(names)
    first_only = {at for field, places in columns.at.items() if field not in _LISTS for at in places}
    return columns, tuple(at not in first_only for at in range(len(names)))


# -- JSON -------------------------------------------------------------------------------------


def json_records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read JSON: a list of records wherever it lies in the file, or one record a line.

    CSL JSON, ClinicalTrials.gov, OpenAlex, Europe PMC, Lens, Semantic Scholar, Crossref and others like them.
    """
    if is_json_lines(path, tally.encoding):
        yield from _lines(path, tally)
        return
    import ijson

    place = _place_of_records(path, tally.encoding)
    if place is None:
        raise InputError(
            f"{path} is JSON, but no list of records with titles was found in it; export the records themselves, "
            "as RIS or CSV where JSON cannot be had so."
        )
    number = 0
    try:
        for found in ijson.items(_Bytes(path, tally), place, use_float=True):
            number += 1
            tally.announced += 1
            yield _item(found, number)
    except (ijson.JSONError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path} is damaged: it is not JSON after record {number:,} ({_first_line(error)}). Export it again."
        ) from error


def _item(found: object, line: int) -> Item:
    if not isinstance(found, Mapping):
        return Item(line, Problem(line, f"expected a record, found {_first_line(found)!r}"))
    try:
        return record(leaves(found), line)
    except TooDeep:
        return Item(line, Problem(line, f"this record is nested deeper than {_DEEPEST} levels, which no export is"))


def _first_line(found: object) -> str:
    return str(found).partition("\n")[0][:80]


def is_json_lines(path: Path, encoding: str = "") -> bool:
    """Tell whether each line of a JSON text is an object of its own."""
    first, *others = [
        line for line in next(TextFile(path, Tally(encoding=encoding)).blocks(), "").split("\n") if line.strip()
    ][:2] or [""]
    try:
        found = json.loads(first)
    except (ValueError, RecursionError):
        return False
    more = not others or others[0].lstrip().startswith("{")
    return isinstance(found, dict) and more and _best_place(_keys(found, "", 0)) == ""


def _keys(found: object, place: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(found, Mapping) and depth < _DEEPEST:
        for key, value in found.items():
            yield place, str(key)
            yield from _keys(value, f"{place}.{key}".lstrip("."), depth + 1)
    elif isinstance(found, list) and found:
        yield from _keys(found[0], f"{place}.item".lstrip("."), depth + 1)


def _best_place(keys: Iterable[tuple[str, str]]) -> str | None:
    """Return the shallowest place whose objects have a title and another field of a record."""
    fields: dict[str, set[str]] = {}
    for place, key in keys:
        name = letters(key)
        known = {field for field, aliases in COLUMNS.items() if name in aliases}
        if key == "protocolSection":
            known = {"title", "abstract"}
        if known:
            fields.setdefault(place, set()).update(known)
    titled = [place for place, known in fields.items() if "title" in known]
    whole = [place for place in titled if len(fields[place]) > 1]
    return min(whole or titled, key=lambda place: place.count(".") + bool(place), default=None)


def _place_of_records(path: Path, encoding: str) -> str | None:
    import ijson

    keys: dict[tuple[str, str], None] = {}
    try:
        for place, event, value in islice(ijson.parse(_Bytes(path, Tally(encoding=encoding))), _EVENTS):
            if event == "map_key":
                keys[place, value] = None
    except (ijson.JSONError, ValueError) as error:
        if not keys:
            raise InputError(f"{path} is not JSON, though it begins like it ({_first_line(error)}).") from error
    return _best_place(keys)


class _Bytes:
    """A text file as UTF-8, whatever its encoding, for a parser that reads bytes."""

    def __init__(self, path: Path, tally: Tally):
        self._chunks, self._rest = TextFile(path, tally).chunks(), b""

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, fewer where the text is cut; none at its end."""
        if not self._rest:
            self._rest = next(self._chunks, "").lstrip("\ufeff").encode("utf-8", "replace")
        size = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def _lines(path: Path, tally: Tally) -> Iterator[Item]:
    number, rest = 0, ""
    for block in TextFile(path, tally).blocks():
        *lines, rest = (rest + block).split("\n")
        for line in lines:
            number += 1
            yield from _line(line, number, tally)
    yield from _line(rest, number + 1, tally)


def _line(text: str, number: int, tally: Tally) -> Iterator[Item]:
    if not text.strip():
        return
    tally.announced += 1
    try:
        yield _item(json.loads(text), number)
    except (ValueError, RecursionError):
        yield Item(number, Problem(number, f"this line is not JSON: {text.strip()[:60]!r}; export the records again"))


# -- XML --------------------------------------------------------------------------------------

XML_RECORDS = ("Trial", "clinical_study", "result")


def xml_records(path: Path, tally: Tally) -> Iterator[Item]:
    """Read the XML of registers and sites whose records are plain fields: WHO ICTRP, ClinicalTrials.gov, Europe PMC."""
    names = [
        name
        for name in XML_RECORDS
        if re.search(rf"<{name}[\s/>]", TextFile(path, Tally(encoding=tally.encoding)).head)
    ]
    for line, found in elements(path, tally, *(names[:1] or XML_RECORDS)):
        yield Item(line, found) if isinstance(found, Problem) else _item(_plainly(found), line)


def _plainly(element: Element) -> dict[str, object]:
    """Return an element's children by name: texts, or their own children; several of one name as a list."""
    found: dict[str, list[object]] = {}
    for child in element:
        name = child.tag.rpartition("}")[2]
        text_alone = all(inner.tag.rpartition("}")[2].lower() in _INLINE for inner in child)
        found.setdefault(name, []).append(paragraphs_of(child) if text_alone else _plainly(child))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}
