"""A review's file that appears, is moved, replaced or put back as it was while somebody works with it."""

import errno
import os
import shutil
import sqlite3
import threading
from datetime import UTC, datetime, timedelta

import pytest
from conftest import PROTOCOL
from web_helpers import alone, csrf, decided, decisions, opened

from triage import intake, whole
from triage.errors import InputError, Unavailable
from triage.log import Label
from triage.project import Project, copy, schema


@pytest.fixture(params=["links", "no links"])
def links(request, monkeypatch):
    """Run a test also as on a file system that has no second name for a file."""
    if request.param == "no links":

        def refused(*_):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(whole.os, "link", refused)


def appears(monkeypatch, path):
    """Let a file appear at a place while a review is made for it."""
    migrate = schema.migrate

    def meanwhile(connection, version):
        migrate(connection, version)
        path.write_bytes(b"of somebody else")

    monkeypatch.setattr(schema, "migrate", meanwhile)


def test_what_appears_at_the_target_meanwhile_is_not_replaced(tmp_path, monkeypatch, links):
    Project.create(tmp_path / "a.triage", PROTOCOL).close()
    target = tmp_path / "b.triage"
    appears(monkeypatch, target)
    for make in (lambda: copy(tmp_path / "a.triage", target), lambda: Project.create(target, PROTOCOL)):
        with pytest.raises(InputError, match=r"b\.triage was made by another program meanwhile"):
            make()
        assert target.read_bytes() == b"of somebody else"
        assert {p.name for p in tmp_path.iterdir()} == {"a.triage", "b.triage"}
        target.unlink()


def test_of_many_that_make_the_same_review_at_once_one_does(tmp_path, links):
    for turn in range(5):
        path = tmp_path / str(turn) / "r.triage"
        path.parent.mkdir()
        made, refused, gate = [], [], threading.Barrier(6)

        def make(path=path, made=made, refused=refused, gate=gate):
            gate.wait()
            try:
                made.append(intake.new(path, None))
            except InputError as error:
                refused.append(str(error))

        threads = [threading.Thread(target=make) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 1 and len(refused) == 5 and all("r.triage" in said for said in refused)
        assert {p.name for p in path.parent.iterdir()} == {"r.triage", "protocol.toml"}
        with Project.open(path) as project:
            assert project.protocol_file == path.parent / "protocol.toml"


def test_what_was_left_by_one_that_was_stopped_goes_after_a_day(tmp_path):
    left, fresh = tmp_path / "r.triage.0.new", tmp_path / "r.triage.1.new-journal"
    for path in (left, fresh):
        path.write_bytes(b"x")
    os.utime(left, (1, 1))
    Project.create(tmp_path / "r.triage", PROTOCOL).close()
    assert not left.exists() and fresh.exists()


def test_a_journal_of_another_review_is_not_taken_for_the_new_ones(tmp_path):
    journal = tmp_path / "r.triage-journal"
    journal.write_bytes(b"x")
    with pytest.raises(InputError, match="put both together again"):
        intake.new(tmp_path / "r.triage", None)
    assert [p.name for p in tmp_path.iterdir()] == [journal.name]


# -- while it is open ---------------------------------------------------------------------------


@pytest.fixture
def storage():
    return "file"


def labelled(path):
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT count(*) FROM events WHERE kind = 'decision'").fetchone()
    connection.close()
    return found[0]


def put_in_its_place(older, path):
    os.replace(older, path)


def written_over(older, path):
    shutil.copyfile(older, path)


def test_a_file_that_was_moved_is_told_and_gone_on_with_when_it_is_back(review, tmp_path):
    with review(12) as project, alone(project) as ann:
        first, second = opened(ann)
        token = csrf(ann)
        assert decided(ann, first["record_id"], "include", "key-00000001").status_code == 200
        os.rename(project.path, tmp_path / "elsewhere")
        body = {"key": "key-00000002", "record_id": second["record_id"], "label": "include"}
        for told in (
            ann.get("/overview"),
            ann.get("/api/status"),
            ann.get("/api/queue"),
            ann.post("/api/decisions", headers=token, json=body),
        ):
            assert told.status_code == 503 and "no longer there: it was moved" in told.text
        assert not project.path.exists() and labelled(tmp_path / "elsewhere") == 1
        os.rename(tmp_path / "elsewhere", project.path)
        assert ann.post("/api/decisions", headers=token, json=body).status_code == 200
        assert labelled(project.path) == 2


@pytest.mark.parametrize("restore", [put_in_its_place, written_over])
def test_an_older_copy_that_was_put_back_is_told_and_nothing_is_written_to_it(review, tmp_path, restore):
    with review(12) as project, alone(project) as ann:
        first, second = opened(ann)
        token = csrf(ann)
        shutil.copyfile(project.path, tmp_path / "older")
        assert decided(ann, first["record_id"], "include", "key-00000001").status_code == 200
        restore(tmp_path / "older", project.path)
        body = {"key": "key-00000002", "record_id": second["record_id"], "label": "include"}
        for told in (
            ann.post("/api/decisions", headers=token, json=body),
            ann.get("/overview"),
            ann.get("/api/queue"),
            ann.get("/api/status"),
        ):
            assert told.status_code == 503 and "an older copy was put back" in told.text
        assert labelled(project.path) == 0
    with Project.open(project.path) as again, alone(again) as ann:
        opened(ann)
        assert decided(ann, second["record_id"], "include", "key-00000002").status_code == 200


def test_another_review_in_its_place_is_told(review, tmp_path):
    with review(12) as project, alone(project) as ann:
        opened(ann)
        Project.create(tmp_path / "other", PROTOCOL).close()
        os.replace(tmp_path / "other", project.path)
        assert "another file is in its place" in ann.get("/api/status").text
        (tmp_path / "text").write_text("no database")
        os.replace(tmp_path / "text", project.path)
        told = ann.get("/api/status")
        assert told.status_code == 503 and "damaged" in told.text


def test_a_file_that_holds_all_that_is_known_is_gone_on_with(review, tmp_path):
    """As one is that a program which keeps folders alike, or a move between disks, has written anew."""
    with review(12) as project, alone(project) as ann:
        first, second = opened(ann)
        assert decided(ann, first["record_id"], "include", "key-00000001").status_code == 200
        shutil.copyfile(project.path, tmp_path / "same")
        os.link(project.path, tmp_path / "former")
        os.replace(tmp_path / "same", project.path)
        assert decided(ann, second["record_id"], "include", "key-00000002").status_code == 200
        assert (labelled(project.path), labelled(tmp_path / "former")) == (2, 1)
        assert len(decisions(project)) == 2


def test_a_file_that_is_replaced_within_a_step_is_not_said_to_hold_it(review, tmp_path):
    with review(12) as project:
        shutil.copyfile(project.path, tmp_path / "same")
        os.link(project.path, tmp_path / "former")
        with pytest.raises(Unavailable, match="another file is in its place"), project.turn():
            project.log.decide("abstract", [{"record_id": 1, "label": Label.INCLUDE}], reviewer="ann")
            os.replace(tmp_path / "same", project.path)
        assert (labelled(project.path), labelled(tmp_path / "former")) == (0, 0)


def test_an_older_copy_is_told_by_what_was_done_about_access_too(review, tmp_path):
    with review(12) as project:
        shutil.copyfile(project.path, tmp_path / "older")
        project.people.invite("bob", "reviewer", datetime.now(UTC) + timedelta(days=1))
        shutil.copyfile(tmp_path / "older", project.path)
        with pytest.raises(Unavailable, match="older copy"):
            project.people.all()
