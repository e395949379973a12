"""Where a review lives: addresses, what goes wrong on a server, and copies between places."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest
from conftest import PROTOCOL, sample_ris
from sqlalchemy import select, text
from web_helpers import alone, csrf, decided, opened, sent_pdf

from triage import bundled, cli, intake
from triage.errors import InputError
from triage.log import Label, Origin
from triage.project import Project, copy, schema, shown
from triage.project.location import File, Server, place_of
from triage.protocol import parse
from triage.ranking.scores import Ranking
from triage.records import Record


def full(address) -> Project:
    """Make a review with something in every table."""
    project = Project.create(address, PROTOCOL)
    for sha in ("1", "2"):
        records = [Record(title="Überblick 你好", abstract=f"a {sha}", extra={"X": ("1",)}), Record(year=1999)]
        project.records.add(
            records,
            [1, 9],
            name="a.ris",
            source="pubmed",
            format="ris",
            sha256=sha,
            announced=3,
            problems=[(5, "no title")],
        )
    project.log.commit_plan(project.stage(), 1, {"bets": [1]})
    project.log.commit_second_look(project.stage(), 0, np.array([1]), 7, size=1, draws=0, reviewer="ann")
    project.log.show("abstract", [1], [Origin.AUDIT], [4], reviewer="ann")
    maybe = {"record_id": 1, "label": Label.MAYBE, "note": "ünïcode\n"}
    project.log.decide("abstract", [maybe], reviewer="ann", tags={1: ["t"]})
    project.log.link([(3, 1, "same text")], reviewer="ann")
    project.log.undo(project.log.events()[-1].seq, reviewer="bob")
    project.log.remove([(4, "dates", "1999")], reviewer="ann")
    project.rankings.save(
        "abstract", Ranking(1, {"name": "m"}, np.array([1, 2]), np.array([1.5, -2]), np.full(2, np.nan))
    )
    project.rankings.save(
        "abstract", Ranking(2, {"name": "m"}, np.array([1, 2]), np.array([0.5, -1]), np.full(2, np.nan))
    )
    project.people.add("ann", "owner", "hash")
    project.people.invite("bob", "reviewer", datetime.now(UTC) + timedelta(days=1))
    project.people.start_session("ann")
    project.people.create_api_token("ann", "nightly")
    for content in (b"%PDF-1.7 one\0\xff", b"%PDF-1.7 two"):
        project.attachments.attach(1, "ünïcode.pdf", content, reviewer="ann")
    return project


def held(project):
    """Return every row of every table, but for the version that a server's review keeps in a row."""
    with project._database.engine.connect() as connection:
        rows = {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=str)
            for table in schema.metadata.sorted_tables
        }
    rows["meta"] = [row for row in rows["meta"] if row[0] not in ("schema_version", "protocol_path")]
    return rows


@pytest.mark.parametrize("way", ["file to file", "file to server", "server to file", "server to server"])
def test_a_copy_holds_everything_and_goes_on(way, tmp_path, postgresql):
    source, target = (
        tmp_path / f"{i}.triage" if kind == "file" else postgresql.address() for i, kind in enumerate(way.split(" to "))
    )
    with full(source) as project:
        before = held(project)
        assert all(before.values())
        counts = copy(source, target)
        assert counts == {name: len(rows) for name, rows in before.items()}
        assert held(project) == before
        with Project.open(target) as copied:
            assert held(copied) == before
            assert copied.log.events() == project.log.events() and copied.stage().consensus == project.stage().consensus
            assert copied.rankings.newest("abstract").id == 2
            # What is written next has the next numbers.
            assert copied.log.decide("abstract", [{"record_id": 2, "label": Label.INCLUDE}], reviewer="ann")[0].seq == (
                len(before["events"]) + 1
            )
            assert copied.rankings.save("abstract", copied.rankings.newest("abstract")) == 3
            assert copied.records.add(
                [Record(title="x")], [1], name="b", source="b", format="ris", sha256="3", announced=1, problems=[]
            ) == range(5, 6)
        with pytest.raises(InputError, match="exists already"):
            copy(source, target)


def test_a_copy_that_fails_leaves_nothing(tmp_path, postgresql):
    with full(tmp_path / "a.triage") as project, project._database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO api_tokens (token_hash, person, name, created_at) VALUES ('x', 'ann', 'nul' || char(0), 'now')"
            )
        )
    target = postgresql.address()
    with pytest.raises(InputError, match="cannot keep a text"):
        copy(tmp_path / "a.triage", target)
    with pytest.raises(InputError, match="There is no review"):
        Project.open(target)
    (tmp_path / "no folder").touch()
    with pytest.raises(InputError, match="no review at"):
        copy(tmp_path / "none.triage", tmp_path / "b.triage")
    assert not (tmp_path / "b.triage").exists() and not (tmp_path / "b.triage.new").exists()


def test_the_protocol_file_is_followed_after_a_copy(tmp_path, postgresql):
    path = tmp_path / "protocol.toml"
    path.write_text(PROTOCOL)
    intake.new(tmp_path / "a.triage", path)
    (tmp_path / "other").mkdir()
    targets = [postgresql.address(), tmp_path / "other" / "b.triage"]
    for source, target in zip([tmp_path / "a.triage", *targets], targets):
        copy(source, target)
    path.write_text(PROTOCOL.replace("Peer support", "Changed"))
    for target in targets:
        with Project.open(target) as project:
            assert project.refresh_protocol() and project.protocol().title == "Changed"


def test_a_text_with_a_nul_or_half_a_letter_is_kept_in_both_places(tmp_path, postgresql):
    for address in (tmp_path / "a.triage", postgresql.address()):
        with Project.create(address, PROTOCOL) as project:
            project.records.add(
                [Record(title="a\0b\ud800", extra={"X": ("\0",)})],
                [1],
                name="a",
                source="a",
                format="ris",
                sha256="1",
                announced=1,
                problems=[],
            )
            project.log.decide("abstract", [{"record_id": 1, "label": Label.INCLUDE, "note": "c\0"}], reviewer="ann")
            assert project.records.one(1).title == "a\\x00b\\ud800" and project.records.one(1).extra == {"X": ("\0",)}
        with Project.open(address) as project:
            assert [e.note for e in project.log.events()][-1] == "c\\x00"


# -- addresses ----------------------------------------------------------------------------------


def test_places():
    for name in ("a b?.triage", Path("postgresql:/x")):
        assert place_of(name) == File(Path(name))
    for address in (
        "postgresql://ann@host/db?review=peer-1&sslmode=require",
        "postgres://ann@host/db?sslmode=require&review=peer-1",
    ):
        place = place_of(address)
        assert isinstance(place, Server) and place.name == "peer-1" and place.url.query == {"sslmode": "require"}
    assert place_of("postgresql://host/db").name == "review"
    for wrong in (
        "mysql://x/y",
        "https://x/y.triage",
        "postgresql://x/y?review=a;b",
        "postgresql://a:b@c@d/y",
        "postgresql://x:port/y",
    ):
        with pytest.raises(InputError):
            place_of(wrong)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ann:s3cret@host/db?review=x",
        "postgresql://host/db?review=x&user=ann&password=s3cret",
        "postgresql://ann:s3c%72et@host/db",
        "postgresql://host/db?password=s3cret&review=x",
        "postgresql://ann:s3cret@x/y?review=a;b",
        "mysql://ann:s3cret@host/db",
        "postgresql://ann:s3cret@x:port/y",
        "postgresql://ann:pa@s3cret@host/db",
    ],
)
@pytest.mark.parametrize("command", ["status", "new", "import", "copy"])
def test_a_password_in_an_address_is_never_printed(address, command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.ris").write_text("TY  - JOUR\nER  - \n")
    more = {"import": ["a.ris"], "copy": ["b.triage"]}.get(command, [])
    assert cli.run([command, address, *more]) == 2
    out, err = capsys.readouterr()
    assert "s3c" not in out + err and err.startswith("triage: ") and err.count("\n") == 1
    assert not (tmp_path / "protocol.toml").exists()
    assert "s3c" not in shown(address)


def test_the_way_on_a_server_by_commands(postgresql, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("title,abstract\nPeer support,adults\nSteel,bridges\n")
    address = postgresql.address("by-commands").replace("triage@", "triage:s3cret@")

    def run(*arguments):
        code = cli.run(list(arguments))
        out, err = capsys.readouterr()
        assert code == 0, err
        assert "s3cret" not in out + err
        return out

    run("new", address)
    assert (tmp_path / "protocol.toml").exists()
    run("import", address, "a.csv")
    (tmp_path / "d.csv").write_text("record_id,label\n1,include\n")
    run("label", address, "d.csv", "--reviewer", "ann")
    assert json.loads(run("status", address, "--json"))["screened"] == 1
    run("report", address, "-o", "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "by-commands" in page and "s3cret" not in page
    told = json.loads(run("copy", address, "b.triage", "--json"))
    assert told["rows"]["records"] == 2 and told["to"] == "b.triage"
    assert json.loads(run("status", "b.triage", "--json"))["screened"] == 1
    assert json.loads(run("log", "b.triage", "--json")) == json.loads(run("log", address, "--json"))


# -- what goes wrong ----------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_told_in_a_sentence(tmp_path, capsys):
    assert cli.run(["status", f"postgresql://ann@/db?host={tmp_path}"]) == 2
    err = capsys.readouterr().err
    assert "cannot be reached" in err and err.count("\n") == 1


def test_what_a_user_may_not_do_is_told(postgresql, tmp_path):
    with Project.create(postgresql.address("ours"), PROTOCOL) as project, project._database.write() as connection:
        connection.execute(text("CREATE ROLE guest LOGIN"))
    for name in ("ours", "another"):
        with pytest.raises(InputError, match="may not do this|There is no review"):
            Project.open(postgresql.address(name).replace("triage@", "guest@"))
    with pytest.raises(InputError, match="may not do this"):
        Project.create(postgresql.address("mine").replace("triage@", "guest@"), PROTOCOL)


def test_without_the_package_the_extra_is_named(tmp_path):
    code = (
        "import sys; sys.modules['psycopg'] = None; from triage import cli; "
        "sys.exit(cli.run(['status', 'postgresql://x/y']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and "abstract-triage[team]" in done.stderr


def test_a_crash_of_the_server_loses_no_acknowledged_decision(postgresql):
    address = postgresql.address()
    with Project.create(address, PROTOCOL) as project:
        project.records.add(
            [Record(title="x")], [1], name="b", source="b", format="ris", sha256="3", announced=1, problems=[]
        )
        for crash in range(2):
            include = [{"record_id": 1, "label": Label.INCLUDE}]
            acknowledged = [project.log.decide("abstract", include, reviewer="ann")[0].seq for _ in range(5)]
            postgresql.stop("immediate")
            with pytest.raises(InputError, match="cannot be reached, or broke off"):
                project.log.decide("abstract", [{"record_id": 1, "label": Label.EXCLUDE}], reviewer="ann")
            postgresql.start()
            assert [e.seq for e in project.log.events()][-1] == acknowledged[-1] == 5 * (crash + 1)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows names the folder itself")
def test_the_users_cache_is_where_the_system_keeps_caches(tmp_path, monkeypatch):
    monkeypatch.delenv("TRIAGE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert bundled.user_cache_dir() == tmp_path / "caches" / "triage"
    # A relative path would be another folder for every folder that a command is run in: it says nothing.
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    home = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    assert bundled.user_cache_dir() == home / "triage"
    monkeypatch.setenv("TRIAGE_CACHE", str(tmp_path / "mine"))
    assert bundled.user_cache_dir() == tmp_path / "mine"


def session(place):
    """Open a session on a server that does what it is told, as somebody with psql would."""
    host = place.url.query["host"]
    return psycopg.connect(
        host=host,
        dbname=place.url.database,
        user=place.url.username,
        autocommit=True,
        options=f"-c search_path={place.schema}",
    )


RIGHTS = re.search(
    r"```sql\n(.*?)```", (Path(__file__).parents[1] / "docs" / "server.md").read_text(encoding="utf-8"), re.S
)[1]


def test_a_copy_keeps_the_times_of_what_was_decided_long_ago(tmp_path, postgresql, monkeypatch):
    monkeypatch.setattr("triage.project.reading.now", lambda: "2020-02-29T12:00:00+00:00")
    with full(tmp_path / "a.triage") as old:
        address = postgresql.address()
        copy(tmp_path / "a.triage", address)
        with Project.open(address) as there:
            assert held(there)["events"] == held(old)["events"]
            monkeypatch.undo()
            there.log.decide("abstract", [{"record_id": 2, "label": Label.INCLUDE}], reviewer="ann")
            assert there.log.events()[-1].at > there.log.events()[-2].at
            with session(place_of(address)) as connection, pytest.raises(psycopg.Error, match="is not the next"):
                connection.execute("INSERT INTO events SELECT * FROM events WHERE seq = 1")  # its guard is on again


@pytest.fixture
def server_role(postgresql):
    """Give a function that returns the address of a review as the role that docs/server.md makes for who serves it."""
    given = []

    def run(owner, statements):
        with session(owner._database.place) as connection:
            for statement in filter(str.strip, statements.split(";")):
                connection.execute(statement)

    def served_by(owner, address):
        given.append(owner)
        run(owner, RIGHTS.replace("triage_review", f"triage_{address.rpartition('review=')[2]}"))
        return address.replace("postgresql://triage@", "postgresql://triage_server@")

    yield served_by
    for owner in given:
        run(owner, "DROP OWNED BY triage_server; DROP ROLE triage_server")
        owner.close()


def test_the_role_of_the_server_does_all_that_serving_needs(server_role, postgresql, tmp_path):
    address = postgresql.address()
    owner = Project.create(address, PROTOCOL)
    (tmp_path / "a.ris").write_text(sample_ris(30), encoding="utf-8")
    intake.import_files(owner, [tmp_path / "a.ris"], reviewer="ann")
    with Project.open(server_role(owner, address)) as served, alone(served) as ann:
        first, second = opened(ann)
        assert decided(ann, first["record_id"], "include", "key-00000001").status_code == 200
        assert ann.post("/api/undo", headers=csrf(ann), json={"key": "key-00000002"}).status_code == 200
        assert decided(ann, second["record_id"], "exclude", "key-00000003", reason="CHILD").status_code == 200
        sent_pdf(ann, record_id=second["record_id"]).raise_for_status()
        told = ann.post(
            "/api/import", headers=csrf(ann), files={"files": ("more.ris", sample_ris(3))}, data={"source": "new"}
        )
        assert told.status_code == 200, told.text
        served.change_protocol(parse("title = 'New'\n"), reviewer="ann")
        served.people.add("olga", "owner", "hash")
        served.people.end_session(served.people.start_session("olga"))
        served.people.set_role("olga", "owner")
        served.people.revoke_api_token("olga", served.people.create_api_token("olga", "a program") and "a program")


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE events SET label = 'include'",
        "DELETE FROM events",
        "TRUNCATE events",
        "DROP TRIGGER events_no_update_or_delete ON events",
        "DROP TRIGGER events_are_next ON events",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "ALTER TABLE events DISABLE TRIGGER events_are_next",
        "DROP TABLE events CASCADE",
        "CREATE OR REPLACE FUNCTION next_event() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "SET session_replication_role = replica",
        "CREATE TRIGGER quiet BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION next_event()",
        "CREATE TABLE more (seq bigint)",
        "SET ROLE triage",
        "UPDATE records SET title = 'another'",
        "UPDATE plans SET permutation = ''",
        "DELETE FROM seeds",
        "UPDATE protocols SET text = ''",
        "UPDATE attachments SET content = ''",
        "DELETE FROM access_log",
        "UPDATE access_log SET person = 'eve'",
        "INSERT INTO events SELECT * FROM events WHERE seq = 1",
        "INSERT INTO events (seq, kind, at, stage, reviewer, reason, note) VALUES (9999, 'tag', '2020-01-01T00:00:00+00:00', '', '', '', '')",
    ],
)
def test_the_role_of_the_server_cannot_rewrite_the_log_nor_switch_its_guards_off(server_role, postgresql, attack):
    address = postgresql.address()
    owner = full(address)
    address = server_role(owner, address)
    before = [(e.seq, e.at, e.label, e.note) for e in owner.log.events()]
    with session(place_of(address)) as connection, pytest.raises(psycopg.Error):
        connection.execute(attack)
    assert [(e.seq, e.at, e.label, e.note) for e in owner.log.events()] == before


def test_the_database_times_and_numbers_an_event_whatever_the_server_says(server_role, postgresql):
    address = postgresql.address()
    owner = full(address)
    address = server_role(owner, address)
    newest = owner.live().last_seq
    place = place_of(address)
    values = (
        "(seq, kind, at, stage, reviewer, reason, note) VALUES ({}, 'tag', '2020-01-01T00:00:00+00:00', '', '', '', '')"
    )
    insert = f"INSERT INTO {place.schema}.events {values}"
    with session(place) as connection:
        connection.execute(
            "CREATE TEMPORARY TABLE events (seq bigint)"
        )  # in the place of the log, for what looks there
        connection.execute(insert.format(newest + 1))
        for seq in (1, newest + 1, newest + 3):
            with pytest.raises(psycopg.Error, match="is not the next of the log"):
                connection.execute(insert.format(seq))
    event = owner.log.events()[-1]
    assert event.seq == newest + 1 and abs((datetime.now(UTC) - event.at).total_seconds()) < 60
