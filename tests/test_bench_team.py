"""Many decide at once through the pages while their servers are killed; the check itself is shown to find what goes wrong."""

import importlib.util
import sys
from pathlib import Path

import pytest
from conftest import BOTH

from triage.log import Label, Origin
from triage.project import Project
from triage.records import Record
from triage.screening.journal import commit_audit

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts" / "benchmarks"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(SCRIPTS))
    spec = importlib.util.spec_from_file_location("bench_team", SCRIPTS / "team.py")
    module = sys.modules["bench_team"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["bench_team"]
    sys.path.remove(str(SCRIPTS))


@pytest.mark.parametrize("storage", BOTH)
def test_a_team_on_the_pages_loses_and_doubles_nothing_when_servers_are_killed(
    script, storage, request, tmp_path, monkeypatch
):
    monkeypatch.setenv("TRIAGE_CACHE", str(tmp_path / "cache"))
    options = script.options_of(
        ["--through", "pages", "--records", "30", "--reviewers", "4", "--kills", "1", "--where", storage]
    )
    found = script.measure(options, request.getfixturevalue("postgresql") if storage == "postgresql" else None)
    assert {what: found[what] for what in script.BAD} == dict.fromkeys(script.BAD, 0)
    assert found["decisions"] == 60 and found["events"] >= 121


def test_the_check_finds_what_is_wrong(script, tmp_path):
    path, names = tmp_path / "a.triage", ("ann", "bob")
    script.review_of(path, [Record(title=f"Record {i}") for i in range(4)], 2)
    with Project.open(path) as project:

        def show(record_id, reviewer, origin=Origin.RANKED):
            project.log.show("abstract", [record_id], [origin], [4], reviewer=reviewer)

        def decide(record_id, reviewer):
            project.log.decide("abstract", [{"record_id": record_id, "label": Label.EXCLUDE}], reviewer=reviewer)

        for record_id in range(1, 5):
            for name in names:
                show(record_id, name)
                decide(record_id, name)
        told = [(name, record_id, 0.1) for name in names for record_id in range(1, 5)]
        assert not any(script.check(path, told, 4, 2)[what] for what in script.BAD if what != "failed")
        assert script.check(path, [*told, ("eve", 1, 0.1)], 4, 2)["lost"] == 1
        show(1, "ann")
        assert script.check(path, told, 4, 2)["shown twice to one"] == 1
        show(1, "eve")
        assert script.check(path, told, 4, 2)["shown to too many"] == 1
        decide(1, "ann")
        assert script.check(path, told, 4, 2)["doubled"] == 1
        decide(2, "eve")
        assert script.check(path, told, 4, 2)["not decided by all"] == 1
    script.review_of(tmp_path / "b.triage", [Record(title=f"Record {i}") for i in range(4)], 2)
    with Project.open(tmp_path / "b.triage") as project:
        order = commit_audit(project).stage().strata[0] + 1
        project.log.show("abstract", [int(order[1])], [Origin.AUDIT], [4], reviewer="ann")
    assert script.check(tmp_path / "b.triage", [], 4, 2)["wrong audit draws"] == 1
