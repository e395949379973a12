"""Who may come in: people and roles, invitations, sessions and tokens of programs."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from conftest import both_storages
from sqlalchemy import select

from triage import cli, protocol as protocols
from triage.errors import InputError
from triage.project import SCHEMA_VERSION, Project, Role, schema

SOON = timedelta(days=7)
storage = both_storages


@pytest.fixture
def project(place):
    with Project.create(place("team"), protocols.template()) as made:
        yield made


def everything(project) -> str:
    with project._database.engine.connect() as connection:
        return str([connection.execute(select(table)).all() for table in schema.metadata.sorted_tables])


def test_a_review_has_nobody_in_it_until_somebody_is_added(project):
    assert project.people.all() == [] and project.people.named("ann") is None
    ann = project.people.add(" ann ", "owner")
    project.people.add("Bob", Role.REVIEWER, "hash")
    assert [(p.name, p.role, p.password_hash) for p in project.people.all()] == [
        ("Bob", Role.REVIEWER, "hash"),
        ("ann", Role.OWNER, None),
    ]
    assert project.people.named("ann") == ann and project.people.named("bob") is None


@pytest.mark.parametrize(
    "name, role, message",
    [
        ("", "owner", "1 to 100"),
        ("x" * 101, "owner", "1 to 100"),
        ("a\x1b[2J", "owner", "printed"),
        ("eve", "king", "reviewer, adjudicator, owner"),
        ("ANN", "owner", "'Ann' already"),
    ],
)
def test_wrong_names_and_roles_are_refused(project, name, role, message):
    project.people.add("Ann", "reviewer")
    for call in (
        lambda: project.people.add(name, role),
        lambda: project.people.invite(name, role, datetime.now(UTC) + SOON),
    ):
        with pytest.raises(InputError, match=message):
            call()
    assert len(project.people.all()) == 1 and project.people.invitations() == []


def test_a_review_keeps_an_owner(project):
    project.people.add("ann", "owner")
    project.people.add("bob", "reviewer")
    with pytest.raises(InputError, match="only owner"):
        project.people.set_role("ann", "reviewer")
    assert project.people.named("ann").role is Role.OWNER
    project.people.set_role("bob", "owner")
    project.people.set_role("ann", "adjudicator")
    assert [p.role for p in project.people.all()] == [Role.ADJUDICATOR, Role.OWNER]
    with pytest.raises(InputError, match="nobody named 'eve'"):
        project.people.set_role("eve", "owner")


def test_an_invitation_lets_one_person_in_once(project):
    token = project.people.invite("ann", "adjudicator", datetime.now(UTC) + SOON)
    assert project.people.invitation(token).open and project.people.invitation("other") is None
    ann = project.people.accept(token, "hash")
    assert (ann.name, ann.role, ann.password_hash) == ("ann", Role.ADJUDICATOR, "hash")
    assert project.people.named("ann") == ann and not project.people.invitation(token).open
    for wrong in (token, "other"):
        with pytest.raises(InputError, match="used or has expired"):
            project.people.accept(wrong, "another")
    assert project.people.named("ann").password_hash == "hash"


def test_an_invitation_that_has_expired_lets_nobody_in(project):
    token = project.people.invite("ann", "reviewer", datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(InputError, match="expired"):
        project.people.accept(token, "hash")
    assert project.people.all() == [] and project.people.invitation(token).used_at is None


def test_who_is_there_may_be_invited_to_a_new_password_and_keeps_the_role(project):
    project.people.add("ann", "owner", "old")
    session = project.people.start_session("ann")
    again = project.people.accept(project.people.invite("ann", "reviewer", datetime.now(UTC) + SOON), "new")
    assert (again.role, again.password_hash) == (Role.OWNER, "new") and project.people.all() == [again]
    assert project.people.session(session).ended_at is not None


def test_a_session_lasts_until_it_is_ended_or_the_password_changes(project):
    project.people.add("ann", "owner", "old")
    one, two = (project.people.start_session("ann") for _ in range(2))
    begun = project.people.session(one)
    assert (
        begun.person == project.people.named("ann") and begun.ended_at is None and project.people.session("x") is None
    )
    project.people.touch_session(one)
    assert project.people.session(one).last_seen > begun.last_seen
    project.people.end_session(one)
    ended = project.people.session(one).ended_at
    assert ended is not None and project.people.session(two).ended_at is None
    four = project.people.start_session("ann")
    project.people.set_password_hash("ann", "new")
    assert project.people.session(four).ended_at is not None and project.people.named("ann").password_hash == "new"
    with pytest.raises(InputError, match="nobody named"):
        project.people.set_password_hash("eve", "new")


def test_a_program_has_a_token_until_it_is_revoked(project):
    project.people.add("ann", "owner")
    project.people.add("bob", "reviewer")
    token = project.people.create_api_token("ann", "nightly export")
    project.people.create_api_token("bob", "nightly export")
    with pytest.raises(InputError, match="choose another name"):
        project.people.create_api_token("ann", "nightly export")
    found = project.people.api_token(token)
    assert (found.person.name, found.name, found.revoked_at) == ("ann", "nightly export", None)
    assert [t.person.name for t in project.people.api_tokens()] == ["ann", "bob"] and project.people.api_tokens(
        "ann"
    ) == [found]
    project.people.revoke_api_token("ann", "nightly export")
    assert (
        project.people.api_token(token).revoked_at is not None
        and project.people.api_tokens("bob")[0].revoked_at is None
    )
    with pytest.raises(InputError, match="no token"):
        project.people.revoke_api_token("ann", "nightly export")


def test_no_token_stands_in_the_file(project):
    project.people.add("ann", "owner")
    tokens = [
        project.people.invite("bob", "reviewer", datetime.now(UTC) + SOON),
        project.people.start_session("ann"),
        project.people.create_api_token("ann", "x"),
    ]
    held = everything(project)
    assert len(set(tokens)) == 3 and all(len(t) >= 40 and t not in held for t in tokens)


@pytest.mark.parametrize("storage", ["file"])
def test_a_review_of_an_earlier_version_gets_the_tables(project):
    project.close()
    with sqlite3.connect(project.path) as connection:
        for table in ("api_tokens", "web_sessions", "invitations", "people"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version = 2")
    with Project.open(project.path) as opened:
        opened.people.add("ann", "owner")
    with sqlite3.connect(project.path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


@pytest.mark.parametrize("storage", ["file"])
def test_the_commands_invite_and_list(project, capsys):
    def run(*arguments):
        code = cli.run([arguments[0], str(project.path), *arguments[1:]])
        return code, capsys.readouterr().out

    assert "invite" in run("people")[1]
    code, out = run("invite", "ann", "--role", "owner", "--json")
    told = json.loads(out)
    assert code == 0 and project.people.invitation(told["token"]).role is Role.OWNER
    code, out = run("people", "--json")
    assert [i["name"] for i in json.loads(out)["invitations"]] == ["ann"] and told["token"] not in out
    project.people.accept(told["token"], "hash")
    code, out = run("people")
    assert code == 0 and out == "ann: owner\n"
    assert run("people", "--role", "ann=reviewer")[0] == 2 and run("invite", "eve", "--role", "king")[0] == 2
    project.people.add("bob", "owner")
    assert run("people", "--role", "ann=adjudicator")[0] == 0 and project.people.named("ann").role is Role.ADJUDICATOR
