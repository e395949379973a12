"""The catalogue of stopping rules: one row, and the whole program knows a rule."""

import json
import re
import sys
import types
from dataclasses import dataclass
from typing import ClassVar

import pytest
from conftest import PROTOCOL
from typer.testing import CliRunner

from triage import cli, protocol, recall, stopping_rules
from triage.log import History, Label
from triage.recall.verdict import Verdict
from triage.stopping_rules import DEFAULT_RULE, PROMISES, RULES, StoppingRule, promise_in_words


@dataclass(frozen=True, slots=True)
class Thirty(recall.Rule):
    """Stop after thirty records."""

    name: ClassVar[str] = "thirty"
    promise: ClassVar[str] = "heuristic"
    target: float
    confidence: float

    def look(self, history: History) -> Verdict:
        return self.verdict(history.n_screened >= 30, f"{history.n_screened} of 30 records are screened.")


@pytest.fixture
def thirty(monkeypatch):
    """Add a rule to the catalogue, and nowhere else."""
    module = types.ModuleType("a_rule_of_a_test")
    module.Thirty = Thirty
    monkeypatch.setitem(sys.modules, "a_rule_of_a_test", module)
    row = StoppingRule("thirty", "heuristic", "thirty records, come what may", "a_rule_of_a_test:Thirty")
    monkeypatch.setitem(RULES, "thirty", row)


def run(*arguments) -> str:
    done = CliRunner().invoke(cli.app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("row", RULES.values(), ids=lambda row: row.name)
def test_a_row_agrees_with_the_class_that_it_names(row):
    rule = recall.rule_of(row.name, 0.9, 0.8, audit_size=7)
    assert isinstance(rule, recall.Rule) and type(rule) is row.load()
    assert (rule.target, rule.confidence, row.promise in PROMISES) == (0.9, 0.8, True)
    assert (rule.name, rule.promise) == (row.name, row.promise)
    empty = History.of([], [], [], n_records=10)
    assert (rule(empty).name, rule(empty).promise) == (row.name, row.promise)
    assert getattr(rule, "size", None) == (7 if row.needs_audit_size else None)


def test_the_default_certifies_and_makes_audit_draws():
    assert RULES[DEFAULT_RULE].promise == "certificate" and recall.policy_of(DEFAULT_RULE, 0.95, 0.95) is not None


def test_a_rule_in_the_catalogue_alone_goes_the_whole_way(thirty, review, tmp_path):
    criteria = '[stopping]\nrule = "thirty"\ntarget = 0.8\n'
    with review(40, PROTOCOL + criteria) as project:
        assert project.protocol().stopping.rule == "thirty"
        ids = project.stage().record_ids.tolist()
        project.log.decide(
            "abstract",
            [{"record_id": i, "label": Label.INCLUDE if i % 6 == 1 else Label.EXCLUDE} for i in ids[:31]],
            reviewer="ann",
        )
        path = project.path
    facts = json.loads(run("status", path, "--json"))
    assert facts["verdict"] == {
        "rule": "thirty",
        "stop": True,
        "certified": False,
        "promise": "heuristic",
        "why": "31 of 30 records are screened.",
        "recall_of": "labels",
    }
    assert "thirty" in run("status", path)
    run("report", path, "-o", tmp_path / "report.html")
    assert "thirty records, come what may" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(r"thirty +thirty records, come what may", protocol.template())
    table = tmp_path / "labelled.csv"
    rows = [f"title {i} peer support {i % 5},abstract of the study {i},{int(i % 6 == 1)}" for i in range(60)]
    table.write_text("title,abstract,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    done = json.loads(
        run(
            "simulate",
            table,
            "--label-column",
            "label",
            "--model",
            "elas-u4",
            "--priors",
            "1,1",
            "--stop",
            "thirty",
            "--json",
        )
    )
    assert done["runs"][0]["stop"]["at"] == 30


def test_an_unknown_rule_is_answered_with_those_that_there_are(tmp_path):
    table = tmp_path / "labelled.csv"
    table.write_text("title,abstract,label\na,b,1\nc,d,0\n", encoding="utf-8")
    done = CliRunner().invoke(cli.app, ["simulate", str(table), "--label-column", "label", "--stop", "nope"])
    assert "--stop: unknown stopping rule 'nope'; choose one of audit-e, " in str(done.exception or done.output)


def test_the_template_lists_every_rule_under_its_promise():
    text = protocol.template()
    for promise in PROMISES:
        for row in (row for row in RULES.values() if row.promise == promise):
            assert re.search(rf"{promise}: .*?\n(## ----  .*\n)*?## ----       {row.name} +{row.described}", text)


def test_a_promise_tells_how_often_one_may_look():
    assert promise_in_words(RULES["fixed-audit"]) == "certificate, one look"
    assert promise_in_words(RULES["knee"]) == "heuristic"
    assert stopping_rules.unknown("x").startswith("unknown stopping rule 'x'; choose one of audit-e, fixed-audit, ")
