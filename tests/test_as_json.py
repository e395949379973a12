"""Results as JSON: the keys are the fields in their order, but where a field says otherwise."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

from triage.as_json import INLINE, OMIT_NONE, as_json, key
from triage.log import Label


@dataclass(frozen=True, slots=True)
class Part:
    size: int = field(metadata=key("bytes"))
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    name: str
    part: Part = field(metadata=INLINE)
    others: tuple[Part, ...]
    by_name: dict[str, list[Part]]
    at: datetime
    note: str | None = field(default=None, metadata=OMIT_NONE)
    none: str | None = None


def test_a_result_has_its_fields_in_their_order():
    whole = Whole("a", Part(1, Label.MAYBE), (Part(2),), {"x": [Part(3)]}, datetime(2026, 1, 2, tzinfo=UTC))
    assert json.dumps(as_json(whole)) == (
        '{"name": "a", "bytes": 1, "label": "maybe", "others": [{"bytes": 2, "label": null}], '
        '"by_name": {"x": [{"bytes": 3, "label": null}]}, "at": "2026-01-02T00:00:00+00:00", "none": null}'
    )


def test_a_key_that_is_left_out_where_there_is_no_value_is_there_with_one():
    whole = Whole("a", Part(1), (), {}, datetime(2026, 1, 2, tzinfo=UTC), note="")
    assert list(as_json({"whole": whole})["whole"]) == [
        *("name", "bytes", "label", "others", "by_name", "at", "note", "none")
    ]
