"""The review's file: append-only, durable, one live decision for each stage, record and reviewer."""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import both_storages
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from triage import protocol as protocols
from triage.errors import InputError
from triage.log import Kind, Label, Origin, consensus, fold
from triage.project import SCHEMA_VERSION, Project
from triage.project.making import copy
from triage.ranking.scores import Ranking
from triage.records import Record, content_hash

STAGES = protocols.template() + '\n[[stages]]\nname = "abstract"\n\n[[stages]]\nname = "full-text"\n'


def add(project, n=5, source="pubmed", sha="0"):
    records = [Record(title=f"Title {i}", abstract=f"Abstract {i}", extra={"XX": (f"{i}", "b")}) for i in range(n)]
    return project.records.add(
        records,
        list(range(1, n + 1)),
        name=f"{source}.ris",
        source=source,
        format="ris",
        sha256=sha,
        announced=n,
        problems=[],
    )


storage = both_storages


@pytest.fixture
def project(place):
    with Project.create(place(), STAGES) as made:
        add(made)
        yield made


file_only = pytest.mark.parametrize("storage", ["file"])


def raw(project):
    return sqlite3.connect(project.path)


def test_records_come_back_as_they_were_added(project):
    records = list(project.records.read())
    assert [r.id for r in records] == [1, 2, 3, 4, 5]
    assert records[2] == Record(title="Title 2", abstract="Abstract 2", source="pubmed", id=3, extra={"XX": ("2", "b")})
    assert project.records.one(3) == records[2]
    with pytest.raises(InputError, match="no record 6"):
        project.records.one(6)


@file_only
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET label = 'exclude'",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events (seq, kind, at, stage, reviewer, reason, note) VALUES (1, 'decision', '', '', '', '', '')",
        "INSERT OR REPLACE INTO events (kind, at, stage, reviewer, reason, note, undoes) VALUES ('undo', '', '', '', '', '', 1)",
        "REPLACE INTO events SELECT * FROM events",
        "UPDATE OR REPLACE events SET seq = 9",
        "UPDATE records SET title = ''",
        "DELETE FROM records",
        "INSERT OR REPLACE INTO plans (seq, stage, stratum, permutation) VALUES (9, 'abstract', 0, x'00')",
        "DELETE FROM plans",
        "DELETE FROM protocols",
        "UPDATE files SET source = 'other'",
    ],
)
def test_nobody_rewrites_history(project, statement):
    project.log.commit_plan(project.stage(), 1, {})
    first = project.log.decide("abstract", [{"record_id": 1, "label": Label.INCLUDE}], reviewer="ann")[0]
    project.log.undo(first.seq, reviewer="ann")
    before = project.log.events()
    with raw(project) as connection, pytest.raises(sqlite3.DatabaseError, match="append-only"):
        connection.execute(
            statement.replace(
                "undoes) VALUES ('undo', '', '', '', '', '', 1)",
                f"undoes) VALUES ('undo', '', '', '', '', '', {first.seq})",
            )
        )
    assert project.log.events() == before


@pytest.mark.parametrize("storage", ["postgresql"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET label = 'exclude'",
        "DELETE FROM events",
        "UPDATE records SET title = ''",
        "DELETE FROM records",
        "DELETE FROM plans",
        "DELETE FROM protocols",
        "UPDATE files SET source = 'other'",
        "TRUNCATE events CASCADE",
        "INSERT INTO events SELECT * FROM events ON CONFLICT (seq) DO UPDATE SET label = 'exclude'",
    ],
)
def test_nobody_rewrites_history_on_a_server(project, statement):
    project.log.commit_plan(project.stage(), 1, {})
    project.log.decide("abstract", [{"record_id": 1, "label": Label.INCLUDE}], reviewer="ann")
    before = project.log.events()
    with (
        pytest.raises((DBAPIError, InputError), match="append-only|is not the next"),
        project._database.write() as connection,
    ):
        connection.execute(text(statement))
    with Project.open(project.path) as again:
        assert again.log.events() == before


def test_undo_brings_the_earlier_label_back(project):
    project.log.decide("abstract", [{"record_id": 1, "label": Label.INCLUDE, "note": "first"}], reviewer="ann")
    second = project.log.decide("abstract", [{"record_id": 1, "label": Label.EXCLUDE, "reason": "W"}], reviewer="ann")[
        0
    ]
    assert fold(project.log.events()).decisions["abstract", 1, "ann"].label is Label.EXCLUDE
    project.log.undo(second.seq, reviewer="ann")
    assert fold(project.log.events()).decisions["abstract", 1, "ann"].note == "first"
    with pytest.raises(InputError, match="undone already"):
        project.log.undo(second.seq, reviewer="ann")
    with pytest.raises(InputError, match="cannot be undone"):
        project.log.undo(99, reviewer="ann")


def test_tags_take_the_place_of_those_before_in_one_transaction_with_the_decisions(project):
    include = [{"record_id": 1, "label": Label.INCLUDE}]
    kinds = [str(e.kind) for e in project.log.decide("abstract", include, reviewer="ann", tags={1: ["b", "a"], 2: []})]
    assert kinds == ["decision", "tag", "tag"]
    written = project.log.decide("abstract", [], reviewer="ann", tags={1: ["a", "c"]})
    assert [(str(e.kind), e.reason, e.undoes) for e in written] == [("undo", "", 2), ("tag", "c", None)]
    assert project.log.decide("abstract", [], reviewer="ann", tags={1: ["c", "a", "c"]}) == []
    project.log.decide("abstract", include, reviewer="bob", tags={1: ["d"]})
    tags = fold(project.log.events()).tagged("abstract", "ann")
    assert {i: [e.reason for e in given] for i, given in tags.items()} == {1: ["a", "c"]}


def test_tags_of_a_copy_count_for_its_group_and_are_replaced_with_it(project):
    project.log.decide("abstract", [{"record_id": 4, "label": Label.INCLUDE}], reviewer="ann", tags={4: ["a", "b"]})
    project.log.link([(4, 2, "same DOI")], reviewer="ann")
    project.log.decide("abstract", [], reviewer="ann", tags={2: ["b", "c"]})
    assert [e.reason for e in fold(project.log.events()).tagged("abstract")[2]] == ["b", "c"]


def test_tags_go_with_the_last_decision_that_is_taken_back_and_not_before(project):
    first = project.log.decide("abstract", [{"record_id": 1, "label": Label.INCLUDE}], reviewer="ann", tags={1: ["a"]})
    project.log.decide("abstract", [{"record_id": 1, "label": Label.MAYBE}], reviewer="bob", tags={1: ["b"]})
    second = project.log.decide(
        "abstract", [{"record_id": 1, "label": Label.EXCLUDE}], reviewer="ann", tags={1: ["a", "c"]}
    )
    project.log.undo(second[0].seq, reviewer="ann")
    assert [e.reason for e in fold(project.log.events()).tagged("abstract", "ann")[1]] == ["a", "c"]
    project.log.undo(first[0].seq, reviewer="eve")
    live = fold(project.log.events())
    assert {key: [e.reason for e in given] for key, given in live.tags.items()} == {("abstract", 1, "bob"): ["b"]}
    assert [e.undoes for e in project.log.events() if e.undoes] == [
        second[0].seq,
        first[0].seq,
        first[1].seq,
        second[1].seq,
    ]


def test_one_tag_can_be_taken_back(project):
    _, tag = project.log.decide("abstract", [{"record_id": 1, "label": Label.INCLUDE}], reviewer="ann", tags={1: ["a"]})
    project.log.undo(tag.seq, reviewer="ann")
    live = fold(project.log.events())
    assert live.tags == {} and len(live.decisions) == 1


def test_each_reviewer_has_a_label_of_their_own(project):
    project.log.decide(
        "abstract", [{"record_id": 1, "label": Label.INCLUDE}, {"record_id": 2, "label": Label.EXCLUDE}], reviewer="ann"
    )
    project.log.decide(
        "abstract", [{"record_id": 1, "label": Label.EXCLUDE}, {"record_id": 2, "label": Label.EXCLUDE}], reviewer="bob"
    )
    agreed = consensus(fold(project.log.events()), "abstract")
    assert agreed.conflicts == {1} and agreed.labels == {2: Label.EXCLUDE}
    assert agreed.relevant(1) is True and agreed.relevant(2) is False and agreed.relevant(3) is None


def test_a_decision_on_a_copy_counts_for_its_group(project):
    link = project.log.link([(4, 2, "same DOI")], reviewer="ann")[0]
    assert project.stage().record_ids.tolist() == [1, 2, 3, 5]
    project.log.decide("abstract", [{"record_id": 4, "label": Label.INCLUDE}], reviewer="ann")
    assert project.stage().consensus.labels == {2: Label.INCLUDE}
    assert project.snapshot().history().rows.tolist() == [1]
    project.log.undo(link.seq, reviewer="ann")
    assert project.stage().record_ids.tolist() == [1, 2, 3, 4, 5]
    assert project.stage().consensus.labels == {4: Label.INCLUDE}


def test_a_later_stage_holds_what_passed_the_earlier(project):
    labels = [Label.INCLUDE, Label.EXCLUDE, Label.MAYBE]
    project.log.decide("abstract", [{"record_id": i + 1, "label": v} for i, v in enumerate(labels)], reviewer="ann")
    assert project.stage("full-text").record_ids.tolist() == [1, 3]
    with pytest.raises(InputError, match="no stage 'title'.*abstract, full-text"):
        project.stage("title")


def test_a_plan_is_committed_once(project):
    plan = project.log.commit_plan(project.stage(), 7, {"bets": [0]})
    assert plan.kind is Kind.PLAN and '"bets": [0]' in plan.note
    stage = project.stage()
    assert stage.committed == 1 and len(stage.to_commit) == 0
    assert stage.strata[0].tolist() == np.random.default_rng(7).permutation(5).tolist()
    permutation = stage.record_ids[stage.strata[0]].astype("<i8").tobytes()
    assert json.loads(plan.note)["commitment"] == hashlib.sha256(b"7:" + permutation).hexdigest()
    assert "seed" not in plan.note
    assert project.log.commit_plan(stage, 8, {}) is None


def test_a_plan_is_not_committed_over_a_log_that_has_moved_on(project):
    stage = project.stage()
    project.log.decide("abstract", [{"record_id": 1, "label": Label.INCLUDE}], reviewer="ann")
    assert project.log.commit_plan(stage, 7, {}) is None and project.stage().committed == 0


def test_new_records_get_a_permutation_of_their_own_once_the_first_is_drawn_from(project):
    project.log.commit_plan(project.stage(), 7, {})
    project.log.show("abstract", [int(project.stage().strata[0][0]) + 1], [Origin.AUDIT], [5], reviewer="ann")
    add(project, 3, "scopus", "1")
    grown = project.stage()
    assert grown.committed == 1 and [len(s) for s in grown.strata] == [5, 3] and grown.to_commit.tolist() == [6, 7, 8]
    project.log.commit_plan(grown, 9, {})
    assert project.stage().committed == 2
    assert project.snapshot().history().n_records.tolist() == [5, 3]


def test_a_permutation_that_nobody_has_drawn_from_gives_way_to_one_of_all(project):
    project.log.commit_plan(project.stage(), 7, {})
    project.log.show("abstract", [4], [Origin.RANKED], [5], reviewer="ann")
    add(project, 3, "scopus", "1")
    assert project.stage().to_commit.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    project.log.commit_plan(project.stage(), 9, {})
    stage = project.stage()
    assert stage.committed == len(stage.strata) == 2
    assert stage.strata[1].tolist() == np.random.default_rng(9).permutation(8).tolist()
    history = stage.history()
    assert history.n_records.tolist() == [0, 8]
    assert history.stratum.tolist() == [1] and history.pool_size.tolist() == [8]


def test_a_choice_from_a_pool_that_is_no_longer_so_is_not_logged(project):
    seen = project.log.show("abstract", [1], [Origin.RANKED], [5], reviewer="ann")[0].seq
    assert project.log.show("abstract", [2], [Origin.AUDIT], [4], reviewer="ann", after=seen - 1) == []
    assert len(project.log.events()) == seen
    assert project.log.show("abstract", [2], [Origin.AUDIT], [4], reviewer="ann", after=seen)[0].seq == seen + 1


def test_what_others_wrote_is_seen(project):
    """What was read of the log and of the records is kept in memory, and only what is newer is read."""
    with Project.open(project.path) as other:
        assert [e.seq for e in project.log.events()] == [] and project.snapshot().n_records == 5
        for i in (1, 2, 3):
            other.log.decide("abstract", [{"record_id": i, "label": Label.INCLUDE}], reviewer="bob")
            assert [e.record_id for e in project.log.events()] == list(range(1, i + 1))
        assert [e.seq for e in project.log.events(since=1)] == [2, 3] and [e.seq for e in project.log.events(1, 2)] == [
            2
        ]
        assert [e.seq for e in project.log.events(until=2)] == [1, 2] and project.log.events(since=9) == []
        add(other, 2, "scopus", "1")
        files = project.snapshot().record_files()
        assert project.snapshot().n_records == 7 and files.tolist() == [1, 1, 1, 1, 1, 2, 2]


def test_history_keeps_the_order_of_first_showing(project):
    project.log.commit_plan(project.stage(), 7, {})
    project.log.show("abstract", [3, 1], [Origin.AUDIT, Origin.RANKED], [5, 4], reviewer="ann")
    project.log.decide("abstract", [{"record_id": 1, "label": Label.INCLUDE, "origin": Origin.RANKED}], reviewer="ann")
    project.log.decide("abstract", [{"record_id": 5, "label": Label.EXCLUDE}], reviewer="ann")
    project.log.decide("abstract", [{"record_id": 1, "label": Label.EXCLUDE, "origin": Origin.RANKED}], reviewer="ann")
    history = project.snapshot().history()
    assert history.rows.tolist() == [2, 0, 4]
    assert history.y.tolist() == [-1, 0, 0]
    assert history.origin.tolist() == ["audit", "ranked", "chosen"]
    assert history.pool_size.tolist() == [5, 4, 3]
    earlier = project.snapshot().as_of(project.log.events()[-2].seq).history()
    assert earlier.y.tolist() == [-1, 1, 0]


def test_rankings_keep_their_parameters_and_only_the_newest_scores(project):
    for as_of in (1, 2):
        scores = np.array([as_of, 2.5], np.float32)
        unknown = np.full(2, np.nan, np.float32)
        project.rankings.save("abstract", Ranking(as_of, {"name": "m"}, np.array([4, 2]), scores, unknown))
    newest = project.rankings.newest("abstract")
    assert newest.as_of == 2 and newest.record_ids.tolist() == [4, 2] and newest.scores.tolist() == [2.0, 2.5]
    assert newest.id == 2 and np.isnan(newest.held_out).all()
    with project._database.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*), count(scores) FROM rankings")).one() == (2, 1)
    assert project.rankings.newest("full-text") is None


@file_only
def test_a_plain_copy_holds_every_acknowledged_decision(project, tmp_path):
    for i in range(1, 6):
        project.log.decide("abstract", [{"record_id": i, "label": Label.INCLUDE}], reviewer="ann")
        copy = tmp_path / f"copy{i}.triage"
        shutil.copyfile(project.path, copy)
        with Project.open(copy) as other:
            assert len(fold(other.log.events()).decisions) == i
    assert {p.name for p in tmp_path.iterdir() if "review" in p.name} == {"a review.triage"}


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "not a triage review"),
        (b"TY  - JOUR\nER  - \n", "not a triage review"),
        (b"SQLite format 3\0" + b"x" * 4096, "not a triage review"),
    ],
)
def test_what_is_no_review_is_refused(tmp_path, content, message):
    path = tmp_path / "x.triage"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        Project.open(path)
    assert path.read_bytes() == content


def test_other_databases_newer_versions_and_missing_files_are_refused(tmp_path):
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(InputError, match="not a triage review"):
        Project.open(foreign)
    with pytest.raises(InputError, match="There is no review at .*triage new"):
        Project.open(tmp_path / "none.triage")
    Project.create(tmp_path / "a.triage", STAGES).close()
    with pytest.raises(InputError, match="exists already"):
        Project.create(tmp_path / "a.triage", STAGES)
    with sqlite3.connect(tmp_path / "a.triage") as connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(InputError, match="newer version of triage"):
        Project.open(tmp_path / "a.triage")


def test_a_wrong_protocol_makes_no_file(tmp_path):
    with pytest.raises(InputError):
        Project.create(tmp_path / "a.triage", "nonsense = [")
    assert list(tmp_path.iterdir()) == []


def test_the_protocol_file_is_taken_over_when_it_changes(tmp_path):
    path = tmp_path / "protocol.toml"
    path.write_text(STAGES)
    with Project.create(tmp_path / "a.triage", STAGES, path) as project:
        assert project.refresh_protocol() is False
        path.write_text('title = "Changed"\n' + STAGES)
        assert project.refresh_protocol() is True
        assert project.protocol().title == "Changed"
        assert len(project.snapshot().protocol_versions) == 2
        path.write_text("nonsense = [")
        with pytest.raises(InputError):
            project.refresh_protocol()
        assert project.protocol().title == "Changed"


actions = st.lists(
    st.one_of(
        st.tuples(st.just("decide"), st.integers(1, 4), st.sampled_from(list(Label)), st.sampled_from(["ann", "bob"])),
        st.tuples(st.just("undo"), st.integers(0, 30), st.none(), st.sampled_from(["ann", "bob"])),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions)
def test_the_log_folds_like_a_stack_of_labels(place, steps):
    """Against a plain model: a stack of labels for each key, from which an undo takes one out."""
    with Project.create(place(None), STAGES) as project:
        add(project, 4)
        model: dict[tuple[int, str], list[tuple[int, Label]]] = {}
        for what, number, chosen, reviewer in steps:
            if what == "decide":
                seq = project.log.decide("abstract", [{"record_id": number, "label": chosen}], reviewer=reviewer)[0].seq
                model.setdefault((number, reviewer), []).append((seq, chosen))
                continue
            held = next((key for key, stack in model.items() if any(s == number for s, _ in stack)), None)
            if held is None:
                with pytest.raises(InputError):
                    project.log.undo(number, reviewer=reviewer)
            else:
                project.log.undo(number, reviewer=reviewer)
                model[held] = [entry for entry in model[held] if entry[0] != number]
        events = project.log.events()
        live = fold(events).decisions
        assert {(r, who): e.label for (_, r, who), e in live.items()} == {
            key: stack[-1][1] for key, stack in model.items() if stack
        }
        assert [e.seq for e in events] == list(range(1, len(events) + 1))


WRITER = """
import sys
from triage.log import Label
from triage.project import SCHEMA_VERSION, Project
project = Project.open(sys.argv[1])
for i in range(1, 100_000):
    event = project.log.decide("abstract", [{"record_id": 1 + i % 5, "label": Label.INCLUDE}], reviewer=f"r{i}")[0]
    print(event.seq, flush=True)
"""


def test_kill_9_loses_no_acknowledged_decision(project):
    """Twenty times, at a random moment: what was acknowledged is there, and the file opens."""
    rng = np.random.default_rng(20)
    for _ in range(20):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(project.path)], stdout=subprocess.PIPE, text=True)
        acknowledged = [int(writer.stdout.readline())]
        for _ in range(int(rng.integers(0, 8))):
            acknowledged.append(int(writer.stdout.readline()))
        # Without waiting for the next line: the kill falls anywhere within a write.
        writer.kill()
        acknowledged += [int(line) for line in writer.stdout.read().splitlines()]
        writer.wait()
        with Project.open(project.path) as reopened:
            seqs = {e.seq for e in reopened.log.events()}
            assert set(acknowledged) <= seqs
            if isinstance(project.path, Path):
                assert raw(project).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_hash_of_each_text_is_read_without_the_records(project, monkeypatch):
    monkeypatch.setattr("triage.project.records.PAGE", 2)
    add(project, 6, "scopus", "1")
    hashes = project.records.text_hashes(np.array([1, 2, 5, 6, 9, 11]))
    wanted = [content_hash(project.records.one(i).text) for i in (1, 2, 5, 6, 9, 11)]
    assert [bytes(row) for row in hashes] == wanted and wanted[0] == wanted[3] != wanted[1]
    assert project.records.text_hashes(np.empty(0, np.int64)).shape == (0, 16)


@file_only
def test_a_review_of_the_first_version_is_brought_up_to_date(project):
    project.log.decide("abstract", [{"record_id": 2, "label": Label.INCLUDE}], reviewer="ann")
    project.close()
    with raw(project) as connection:
        connection.execute("DROP INDEX records_text_hashes")
        connection.execute("PRAGMA user_version = 1")
    with Project.open(project.path) as opened:
        assert bytes(opened.records.text_hashes(np.array([5]))) == content_hash("Title 4 Abstract 4")
        assert opened.stage().consensus.labels == {2: Label.INCLUDE}
    with raw(project) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_records_are_shown_page_by_page_in_the_order_asked_for(project, monkeypatch):
    monkeypatch.setattr("triage.project.records.PAGE", 2)
    project.records.add(
        [Record(doi="10.1/x", journal="J")],
        [1],
        name="b.ris",
        source="b",
        format="ris",
        sha256="1",
        announced=1,
        problems=[],
    )
    project.log.link([(6, 2, "same title"), (3, 2, "same title")], reviewer="ann")
    stage = project.stage()
    assert [r.id for r in project.records.iter_shown(stage)] == [1, 2, 4, 5]
    last_first = list(project.records.iter_shown(stage, [3, 1, 0]))
    assert [(r.id, r.doi, r.journal) for r in last_first] == [(5, "", ""), (2, "10.1/x", "J"), (1, "", "")]
    assert project.records.shown(stage, [1]) == last_first[1:2]
    assert list(project.records.iter_texts(stage)) == [(r.title, r.abstract) for r in project.records.iter_shown(stage)]


def test_gaps_in_a_text_are_filled_from_the_first_copy_that_has_it(project):
    project.records.add(
        [Record(title="Alone"), Record(abstract="Seen"), Record(title="Third", abstract="Unseen")],
        [1, 2, 3],
        name="b.ris",
        source="b",
        format="ris",
        sha256="1",
        announced=3,
        problems=[],
    )
    project.log.link([(8, 6, "same title"), (7, 6, "same title")], reviewer="ann")
    assert list(project.records.iter_texts(project.stage()))[5:] == [("Alone", "Seen")]


@pytest.mark.parametrize(
    "script",
    [
        "ALTER TABLE rankings RENAME TO old; DROP TRIGGER IF EXISTS rankings_no_update; CREATE VIEW rankings AS "
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS id FROM c",
        "CREATE TRIGGER other AFTER INSERT ON records BEGIN DELETE FROM records WHERE id < NEW.id; END",
        "DROP TRIGGER events_no_update; CREATE TRIGGER events_no_update AFTER INSERT ON events BEGIN SELECT 1; END",
    ],
)
def test_a_review_with_views_or_triggers_of_others_is_not_opened(tmp_path, script):
    """They could hide decisions, change them, or never end; a review may come by mail."""
    path = tmp_path / "r.triage"
    with Project.create(path, STAGES, None) as project:
        add(project)
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    before = path.read_bytes()
    for use in (Project.open, lambda path: copy(path, tmp_path / "new.triage")):
        with pytest.raises(InputError, match="that triage did not make"):
            use(path)
    assert path.read_bytes() == before
