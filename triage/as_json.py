"""Results as JSON: what every `--json` prints and the interface to programs answers.

The keys are the names of a result's fields, in their order. A field whose key is another says so by its metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

INLINE = MappingProxyType({"inline": True})  # the keys of the field's value take the place of its own
OMIT_NONE = MappingProxyType({"omit_none": True})  # the key is there only where there is a value


def key(name: str) -> Mapping[str, str]:
    """Return the metadata of a field whose key in JSON is not its name."""
    return MappingProxyType({"key": name})


def as_json(result: DataclassInstance | Mapping[str, object]) -> dict[str, object]:
    """Return a result, and all that it holds, as the dict that `json` writes as one object.

    Parameters
    ----------
    result : dataclass or mapping
    """
    if isinstance(result, Mapping):
        return {name: _plain(value) for name, value in result.items()}
    converted: dict[str, object] = {}
    for name, named, is_inline, omits_none in _fields_of(type(result)):
        value = getattr(result, name)
        if is_inline:
            converted |= as_json(value)
        elif value is not None or not omits_none:
            converted[named] = _plain(value)
    return converted


@cache
def _fields_of(kind: type[DataclassInstance]) -> list[tuple[str, str, bool, bool]]:
    """Return of each field of a class its name, its key, and whether it is inline, or left out where it is None."""
    return [
        (f.name, f.metadata.get("key", f.name), "inline" in f.metadata, "omit_none" in f.metadata) for f in fields(kind)
    ]


def _plain(value: object) -> object:
    if value is None or isinstance(value, (str, int, float)):  # most are, and lists of them are long
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping) or (is_dataclass(value) and not isinstance(value, type)):
        return as_json(value)
    return value.isoformat() if isinstance(value, datetime) else value
