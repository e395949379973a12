"""Results as JSON: the keys are the fields in their order, but where a field says otherwise."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from triage.agreement import Agreement
from triage.as_json import INLINE, OMIT_NONE, as_json, key
from triage.fulltext import AttachedFile
from triage.intake.undoing import Undone
from triage.log import Label
from triage.ranking.answers import Answer, Matches
from triage.status import NoEstimate
from triage.team import Agreeing, CalibrationAgreement, Coefficients, Conflict, GivenDecision, TeamAgreement


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


SOME = Agreement(1.0, None, None, 2, 1.0)
TOGETHER = Agreeing(2, Coefficients(1.0, SOME, SOME, SOME), Coefficients(1.0, SOME, SOME, SOME), [])


@pytest.mark.parametrize(
    "result, keys",
    [
        (AttachedFile(1, "a.pdf", 9, "0", "ann", "now"), "event name bytes sha256 reviewer at"),
        (Undone(7, "decision", 1, "include", "", "ann"), "undone kind record_id label reason reviewer"),
        (Conflict(1, "a", "abstract", []), "record_id title stage decisions"),
        (Answer([], {}, 1, "labels", "abstract"), "records model as_of basis stage"),
        (
            TeamAgreement("abstract", 0.95, [], TOGETHER, None),
            "stage confidence reviewers records labels passing pairs calibration after_discussion",
        ),
        (CalibrationAgreement(2, {}, TOGETHER), "size judged_by records labels passing pairs"),
        (NoEstimate(), "method recall lower upper relevant_total assumes"),
    ],
)
def test_the_keys_are_those_that_programs_know(result, keys):
    assert list(as_json(result)) == keys.split()


def test_a_settlement_and_what_the_criteria_match_are_there_where_they_are_known():
    given = GivenDecision(1, "ann", "include", "", "", "now")
    assert as_json(Conflict(1, "a", "abstract", [given], given))["settled"]["reviewer"] == "ann"
    assert as_json(Answer([], {}, 1, "criteria", "abstract", Matches(3, True, [])))["criteria"]["poor"] is True
