"""Results as JSON: what every `--json` prints and the interface to programs answers.

The keys are the names of a result's fields, in their order. A field whose key is another says so by its metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
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
    told: dict[str, object] = {}
    for field in fields(result):
        value = getattr(result, field.name)
        if field.metadata.get("inline"):
            told |= as_json(value)
        elif value is not None or not field.metadata.get("omit_none"):
            told[field.metadata.get("key", field.name)] = _plain(value)
    return told


def _plain(value: object) -> object:
    if isinstance(value, Mapping) or (is_dataclass(value) and not isinstance(value, type)):
        return as_json(value)
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value
