"""A review is read once for each command and each request: what is told belongs together, and costs one reading."""

import contextlib
import io
import threading
import time

import numpy as np
import pytest
from conftest import PROTOCOL
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event

from triage import cli, web
from triage.log import Label
from triage.project import Project
from triage.screening.journal import commit_audit
from triage.web.gate import ServerOrigin

TWO_STAGES = """
[[stages]]
name = "abstract"

[[stages]]
name = "full text"
"""


@contextlib.contextmanager
def begun():
    """Count the transactions that begin, in whatever thread."""
    found = []

    def count(connection):
        found.append(bool(connection.get_execution_options().get("write", False)))

    event.listen(Engine, "begin", count)
    try:
        yield found
    finally:
        event.remove(Engine, "begin", count)


@pytest.fixture
def screened(review):
    """Return a review of two stages, half screened."""
    project = review(60, PROTOCOL.replace('model = "fast"', 'model = "elas-u4"') + TWO_STAGES)
    commit_audit(project)
    decisions = [{"record_id": i, "label": Label.INCLUDE if i % 6 == 1 else Label.EXCLUDE} for i in range(1, 31)]
    project.log.decide("abstract", decisions, reviewer="ann")
    return project


@pytest.mark.parametrize("command", ["status", "status --json", "log --json", "conflicts", "agreement", "attach"])
def test_a_command_that_reads_begins_three_transactions_at_most(screened, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, *options = command.split()
    with begun() as transactions, contextlib.redirect_stdout(io.StringIO()):
        assert cli.run([name, str(screened.path), *options]) == 0
    assert len(transactions) <= 3 and not any(transactions)


def test_a_report_reads_the_text_of_its_records_besides(screened, tmp_path):
    with begun() as transactions:
        assert cli.run(["report", str(screened.path), "--output", str(tmp_path / "r.html")]) == 0
    # The file, the snapshot, the ranking twice (for the status and for the methods), the included records.
    assert len(transactions) <= 6 and not any(transactions)


def test_a_ranking_is_made_once_and_read_from_then_on(screened):
    with begun() as first, contextlib.redirect_stdout(io.StringIO()):
        assert cli.run(["rank", str(screened.path)]) == 0
    with begun() as second, contextlib.redirect_stdout(io.StringIO()):
        assert cli.run(["rank", str(screened.path)]) == 0
    assert sum(first) == 1 and sum(second) == 0 and len(second) <= 5, (len(first), len(second))


PAGES = {
    "/": 1,
    "/overview": 3,
    "/history": 2,
    "/search?q=peer": 4,
    "/second-look": 2,
    "/conflicts": 2,
    "/records/3": 3,
    "/files": 1,
    "/people": 4,  # who is in, invited or has tokens, and what was done about it: each its own table
    "/api/session": 2,  # a reviewer's own word lists, too
    "/api/status": 3,
    "/api/flow": 1,
    "/api/history": 2,
    "/api/conflicts": 1,
    "/api/second-look": 2,
    "/api/log": 1,
    "/api/missing": 2,
    "/api/batches": 1,
    "/api/records/3": 3,
}


@pytest.fixture
def ann(screened):
    """Open a reviewer's session over the pages."""
    app = web.make_app(screened, ServerOrigin.of("127.0.0.1", 8765, tls=False), reviewer="ann", preset="elas-u4")
    with TestClient(app, base_url="http://127.0.0.1:8765", follow_redirects=False) as client:
        deadline = time.monotonic() + 60
        while client.get("/api/queue").json()["preparing"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        client.headers["x-csrf-token"] = client.get("/api/session").json()["csrf"]
        app.state.desks.desk(screened.snapshot(), "ann").session.wait()
        yield client


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_page_begins_three_transactions_at_most(ann, page):
    with begun() as transactions:
        assert ann.get(page).status_code == 200
    assert len(transactions) <= PAGES[page] and not any(transactions)


def test_a_decision_begins_what_it_needs(ann):
    """To be let in, to choose, to write and to show the next; each retrain in the background reads nothing."""
    record_id = ann.get("/api/queue").json()["records"][0]["record_id"]
    with begun() as transactions:
        made = ann.post("/api/decisions", json={"key": "decision-1", "record_id": record_id, "label": "exclude"})
        assert made.status_code == 200 and made.json()["done"]["record_id"] == record_id
    assert len(transactions) <= 10


def test_a_snapshot_stays_what_it_was_and_is_the_same_while_nothing_is_new(screened):
    before = screened.snapshot()
    assert screened.snapshot() is before and before.history("abstract") is before.history("abstract")
    found = before.history("abstract").n_found
    screened.log.decide("abstract", [{"record_id": 31, "label": Label.INCLUDE}], reviewer="ann")
    after = screened.snapshot()
    assert after is not before and len(after.events) == len(before.events) + 1
    screened.log.remove([(40, "language", "German")], reviewer="ann")
    assert screened.live().removals.keys() == {40} and not after.live.removals
    screened.log.link([(42, 41, "same title")], reviewer="ann")
    assert screened.live().removals.keys() == {40} and screened.live().duplicates == {42: 41}
    assert not before.live.removals and not after.live.removals and not after.live.duplicates and not after.live.groups
    assert before.history("abstract").n_found == found and after.history("abstract").n_found == found + 1
    assert after.as_of(before.live.last_seq).history("abstract").n_found == found
    assert before.live.last_seq == before.events[-1].seq and after.live.last_seq == after.events[-1].seq


def test_snapshots_taken_while_others_write_belong_together(screened):
    """While a thread decides, no other ever sees an event that is not folded in, or folded that is not there."""
    stop, wrong = threading.Event(), []

    def look():
        while not stop.is_set():
            seen = screened.snapshot()
            decided = {e.record_id for e in seen.events if e.label is not None and e.stage == "abstract"}
            if {r for name, r, _ in seen.live.decisions if name == "abstract"} != decided:
                wrong.append(seen)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for record_id in range(31, 61):
        screened.log.decide("abstract", [{"record_id": record_id, "label": Label.EXCLUDE}], reviewer="ann")
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong and len(screened.snapshot().live.decisions) == 60


def test_a_person_who_comes_in_is_seen_although_the_log_has_not_moved(screened):
    assert screened.snapshot().people == ()
    screened.people.add("olga", "owner")
    assert [p.name for p in screened.snapshot().people] == ["olga"]
    with Project.open(screened.path) as other:
        other.people.add("rita", "reviewer")
    assert screened.snapshot().person("rita") is not None
    assert np.array_equal(screened.snapshot().record_files(), np.ones(60, int))
