"""Who may come in: people and roles, invitations, sessions and tokens of programs."""

import json
import os
import sqlite3
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import both_storages
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from triage import cli, protocol as protocols
from triage.errors import InputError
from triage.log import Label, Origin
from triage.project import SCHEMA_VERSION, AccessKind, By, Project, Role, Scope, copy, schema

SOON = timedelta(days=7)
storage = both_storages


@pytest.fixture
def project(place):
    with Project.create(place("team"), protocols.template()) as made:
        yield made


def writing(project):
    return project._database.engine.execution_options(write=True).begin()


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


def invited(project, name, role="reviewer"):
    return project.people.accept(project.people.invite(name, role, datetime.now(UTC) + SOON), f"hash of {name}")


def test_withdrawn_access_ends_all_ways_in_until_it_is_given_back(project):
    invited(project, "ann", "owner")
    bob = invited(project, "bob")
    session, token = project.people.start_session("bob"), project.people.create_api_token("bob", "a program")
    invitation = project.people.invite("bob", "reviewer", datetime.now(UTC) + SOON)
    later = project.people.start_session("bob"), project.people.create_api_token("bob", "another")
    assert project.people.session(session).ended_at and not project.people.api_token(token).in_use
    project.people.withdraw("bob", by=By("ann", "10.0.0.1"))
    assert project.people.named("bob").withdrawn_at is not None and len(project.people.all()) == 2
    assert project.people.session(later[0]).ended_at is not None
    assert not project.people.api_token(later[1]).in_use and not project.people.invitation(invitation).open
    for call in (
        lambda: project.people.start_session("bob"),
        lambda: project.people.create_api_token("bob", "third"),
        lambda: project.people.accept(invitation, "mine"),
    ):
        with pytest.raises(InputError, match="withdrawn|was used"):
            call()
    project.people.give_back("bob", by=By("ann"))
    assert project.people.named("bob") == bob  # with the password that he had
    assert project.people.session(later[0]).ended_at is not None  # what has ended stays so
    assert not project.people.api_token(later[1]).in_use and not project.people.invitation(invitation).open
    project.people.withdraw("bob")
    back = invited(project, "bob", "owner")
    assert (back.withdrawn_at, back.role) == (None, Role.REVIEWER)  # invited again he keeps his role


def test_who_is_removed_comes_back_by_an_invitation_alone_and_with_nothing_of_before(project):
    invited(project, "ann", "owner")
    invited(project, "bob", "owner")
    project.people.set_second_factor("bob", "A" * 32)
    session, token = project.people.start_session("bob"), project.people.create_api_token("bob", "a program")
    project.people.remove("bob", by=By("ann"))
    assert [p.name for p in project.people.all()] == ["ann"] and project.people.named("bob") is None
    assert project.people.session(session) is None and project.people.api_token(token) is None
    for call in (
        lambda: project.people.start_session("bob"),
        lambda: project.people.create_api_token("bob", "x"),
        lambda: project.people.set_password_hash("bob", "mine"),
        lambda: project.people.set_second_factor("bob", None),
        lambda: project.people.set_role("bob", "owner"),
        lambda: project.people.give_back("bob"),
        lambda: project.people.withdraw("bob"),
        lambda: project.people.remove("bob"),
        lambda: project.people.end_sessions("bob"),
    ):
        with pytest.raises(InputError, match="nobody named 'bob'"):
            call()
    for name in ("Bob", "BOB"):  # the name in the log stays one person's
        with pytest.raises(InputError, match="'bob' already"):
            project.people.invite(name, "reviewer", datetime.now(UTC) + SOON)
    again = invited(project, "bob", "reviewer")
    assert (again.role, again.totp_secret, again.password_hash) == (Role.REVIEWER, None, "hash of bob")
    assert project.people.session(session).ended_at is not None and not project.people.api_token(token).in_use
    assert len([p.name for p in project.people.all()]) == 2


@pytest.mark.parametrize("act", ["withdraw", "remove"])
def test_the_last_owner_who_can_come_in_cannot_be_shut_out(project, act):
    for name in ("ann", "bob"):
        invited(project, name, "owner")
    invited(project, "eve")
    project.people.withdraw("bob")
    session = project.people.start_session("ann")
    with pytest.raises(InputError, match="only owner"):
        getattr(project.people, act)("ann")
    with pytest.raises(InputError, match="only owner"):
        project.people.set_role("ann", "adjudicator")
    assert project.people.named("ann").withdrawn_at is None and project.people.session(session).ended_at is None
    assert project.people.access_log()[-1].kind is AccessKind.LOGGED_IN  # nothing of it is written
    project.people.give_back("bob")
    getattr(project.people, act)("ann")
    with pytest.raises(InputError, match="only owner"):
        getattr(project.people, act)("bob")


def test_what_the_password_was_looked_at_for_may_have_changed(project):
    invited(project, "ann", "owner")
    bob = invited(project, "bob")
    project.people.set_password_hash("bob", "new")
    with pytest.raises(InputError, match="log in again"):
        project.people.start_session("bob", seen=bob)
    bob = project.people.named("bob")
    project.people.set_second_factor("bob", "A" * 32)
    with pytest.raises(InputError, match="log in again"):
        project.people.start_session("bob", seen=bob)
    assert project.people.start_session("bob", seen=project.people.named("bob"))


def test_only_the_newest_invitation_is_valid_and_what_the_old_password_made_meanwhile_is_void(project):
    invited(project, "ann", "owner")
    first, second = (project.people.invite("ann", "reviewer", datetime.now(UTC) + SOON) for _ in range(2))
    assert not project.people.invitation(first).open and project.people.invitation(second).open
    with pytest.raises(InputError, match="was used or has expired"):
        project.people.accept(first, "x")
    # The old password still lets in until the invitation is used.
    session, token = project.people.start_session("ann"), project.people.create_api_token("ann", "kept for later")
    project.people.accept(second, "new")
    assert project.people.session(session).ended_at is not None and not project.people.api_token(token).in_use
    third = project.people.invite("eve", "reviewer", datetime.now(UTC) + SOON)
    project.people.cancel_invitations("eve")
    with pytest.raises(InputError, match="was used or has expired"):
        project.people.accept(third, "x")
    with pytest.raises(InputError, match="no open invitation"):
        project.people.cancel_invitations("eve")


def test_a_new_password_ends_tokens_as_well(project):
    invited(project, "ann", "owner")
    token = project.people.create_api_token("ann", "a program")
    project.people.set_password_hash("ann", "new")
    assert not project.people.api_token(token).in_use


def test_a_token_has_a_scope_and_an_end(project):
    invited(project, "ann", "owner")
    past, soon = datetime.now(UTC) - timedelta(seconds=1), datetime.now(UTC) + SOON
    late = project.people.create_api_token("ann", "late", "read", past)
    good = project.people.create_api_token("ann", "good", Scope.SCREEN, soon)
    assert not project.people.api_token(late).in_use and project.people.api_token(good).in_use
    assert (project.people.api_token(good).scope, project.people.api_token(good).expires_at) == (Scope.SCREEN, soon)
    for person, name, scope, said in (
        ("ann", "x", "all", "read, screen, owner"),
        ("ann", "", "read", "1 to 100"),
        ("eve", "x", "read", "nobody named"),
    ):
        with pytest.raises(InputError, match=said):
            project.people.create_api_token(person, name, scope)
    assert len(project.people.api_tokens()) == 2


def test_a_code_is_used_once_also_the_one_that_proved_it(project):
    invited(project, "ann", "owner")
    project.people.set_second_factor("ann", "A" * 32, step=100)
    assert [project.people.use_second_factor("ann", step) for step in (99, 100, 101, 101, 100, 102)] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    assert not project.people.use_second_factor("eve", 1)


def test_nothing_is_done_about_access_in_secret(project):
    by = By("ann", "10.0.0.1")
    token = project.people.invite("ann", "owner", datetime.now(UTC) + SOON, by=By("ann"))
    project.people.accept(token, "hash", address="10.0.0.9")
    for act in (
        lambda: project.people.invite("bob", "reviewer", datetime.now(UTC) + SOON, by=by),
        lambda: project.people.cancel_invitations("bob", by=by),
        lambda: project.people.accept(project.people.invite("bob", "owner", datetime.now(UTC) + SOON), "hash"),
        lambda: project.people.set_role("bob", "reviewer", by=by),
        lambda: project.people.create_api_token("bob", "a program", "read", by=by),
        lambda: project.people.revoke_api_token("bob", "a program", by=by),
        lambda: project.people.set_password_hash("bob", "x", by=by),
        lambda: project.people.set_second_factor("bob", "A" * 32, by=by),
        lambda: project.people.set_second_factor("bob", None, by=by),
        lambda: project.people.end_session(project.people.start_session("bob", address="10.0.0.2"), by=By("bob")),
        lambda: project.people.end_sessions("bob", by=by),
        lambda: project.people.withdraw("bob", by=by),
        lambda: project.people.give_back("bob", by=by),
        lambda: project.people.remove("bob", by=by),
        lambda: project.people.note(AccessKind.FAILED, By("x\n\0\ud800" + "y" * 5000, "z" * 5000)),
    ):
        before = len(project.people.access_log())
        act()
        assert len(project.people.access_log()) > before
    found = project.people.access_log()
    assert [one.seq for one in found] == list(range(1, len(found) + 1))
    assert {one.kind for one in found} == set(AccessKind) - {AccessKind.EXPORTED}
    said = {one.kind: (one.person, one.about, one.address, one.note) for one in found}
    assert said[AccessKind.ROLE] == ("ann", "bob", "10.0.0.1", "owner to reviewer")
    assert said[AccessKind.TOKEN_MADE] == ("ann", "bob", "10.0.0.1", "a program, to read")
    assert said[AccessKind.LOGGED_IN] == ("bob", "", "10.0.0.2", "")
    name, _, address, _ = said[AccessKind.FAILED]
    assert name.startswith("x\n\\x00\\ud800y") and len(name) < 220 and len(address) == 200
    assert project.people.access_log(2, 3) == found[2:5]
    assert project.people.access_log(most=2, newest_first=True) == found[:-3:-1]
    for wrong in ("UPDATE access_log SET person = 'eve'", "DELETE FROM access_log"):
        with pytest.raises(DBAPIError, match="append-only"), writing(project) as connection:
            connection.exec_driver_sql(wrong)
    assert project.people.access_log() == found


def test_what_is_assigned_to_somebody_who_is_shut_out_is_free_again(review):
    with review(12) as project:
        invited(project, "ann", "owner")
        for name, act in (("bob", project.people.withdraw), ("eve", project.people.remove)):
            invited(project, name)
            first = 1 if name == "bob" else 4
            some = [(record_id, name, Origin.ASSIGNED) for record_id in range(first, first + 3)]
            project.log.assign("abstract", some, note="a search", reviewer="ann")
            project.log.decide("abstract", [{"record_id": first, "label": Label.INCLUDE}], reviewer=name)
            act(name, by=By("ann"))
            left = {r: [e.reason for e in to] for (_, r), to in project.live().assigned.items() if to}
            assert left == {first: [name]}  # what is judged stays as it is
            assert project.live().decisions["abstract", first, name].label is Label.INCLUDE
            assert [e.reviewer for e in project.log.events()[-2:]] == ["ann"] * 2
            project.log.undo(next(e.seq for e in project.live().assigned["abstract", first]), reviewer="ann")


def test_a_review_of_version_5_keeps_its_people_and_tokens(project):
    invited(project, "ann", "owner")
    session, token = project.people.start_session("ann"), project.people.create_api_token("ann", "nightly", "read")
    invitation = project.people.invite("bob", "reviewer", datetime.now(UTC) + SOON)
    place = project.path if isinstance(project.path, Path) else project._database.place
    with writing(project) as connection:
        project._database.place.set_version(connection, 5)
        connection.exec_driver_sql("DROP TABLE access_log")
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("DROP TRIGGER events_are_next ON events")
        for column in ("people.withdrawn_at", "people.removed_at", "people.totp_secret", "people.totp_used"):
            connection.exec_driver_sql("ALTER TABLE {} DROP COLUMN {}".format(*column.split(".")))
        for column in ("invitations.cancelled_at", "api_tokens.scope", "api_tokens.expires_at"):
            connection.exec_driver_sql("ALTER TABLE {} DROP COLUMN {}".format(*column.split(".")))
    project.close()
    with Project.open(place) as opened:
        assert [(p.name, p.role, p.password_hash) for p in opened.people.all()] == [("ann", Role.OWNER, "hash of ann")]
        assert opened.people.session(session).ended_at is None and opened.people.invitation(invitation).open
        known = opened.people.api_token(token)
        assert known.in_use and (known.scope, known.expires_at) == (Scope.OWNER, None)  # as it was before
        assert opened.people.access_log() == []
        opened.people.withdraw(opened.people.accept(invitation, "x").name)
        assert [one.kind for one in opened.people.access_log()] == [AccessKind.JOINED, AccessKind.WITHDRAWN]
        with pytest.raises(DBAPIError, match="append-only"), writing(opened) as connection:
            connection.exec_driver_sql("DELETE FROM access_log")
        assert opened._database.version() == SCHEMA_VERSION
    with Project.open(place) as again:  # and only once
        assert len(again.people.access_log()) == 2


@pytest.mark.parametrize("storage", ["file"])
def test_a_review_is_made_for_its_owner_alone(project, tmp_path):
    before = os.umask(0o022)
    try:
        with Project.create(tmp_path / "b.triage", protocols.template()):
            pass
        copy(tmp_path / "b.triage", tmp_path / "c.triage")
    finally:
        os.umask(before)
    for name in ("b", "c"):
        assert stat.S_IMODE((tmp_path / f"{name}.triage").stat().st_mode) == 0o600


@pytest.mark.parametrize("storage", ["file"])
def test_the_command_changes_access_and_prints_its_log(project, capsys):
    def run(*arguments, code=0):
        got = cli.run([arguments[0], str(project.path), *arguments[1:]])
        out, err = capsys.readouterr()
        assert got == code, err
        return out + err

    invited(project, "ann", "owner")
    invited(project, "bob")
    token = project.people.create_api_token("bob", "a=program", "read", datetime(2099, 1, 2, tzinfo=UTC))
    assert run("people").splitlines()[-1] == "bob: token a=program, to read, until 2099-01-02"
    assert json.loads(run("people", "--json"))["tokens"][0] == {
        "person": "bob",
        "name": "a=program",
        "scope": "read",
        "expires_at": "2099-01-02T00:00:00+00:00",
    }
    run("people", "--revoke", "bob=a=program")
    assert not project.people.api_token(token).in_use
    session = project.people.start_session("bob")
    run("people", "--log-out", "bob")
    assert project.people.session(session).ended_at is not None
    assert "bob: reviewer, access withdrawn on 20" in run("people", "--withdraw", "bob")
    assert "withdrawn" not in run("people", "--give-back", "bob")
    run("invite", "eve")
    assert "eve" not in run("people", "--cancel", "eve")
    assert "bob" not in run("people", "--remove", "bob")
    assert "only owner" in run("people", "--remove", "ann", code=2)
    assert "nobody named 'carl'" in run("people", "--withdraw", "carl", code=2)
    project.people.note(AccessKind.FAILED, By("x\n9\t\x1b[2Jtoday", "10.0.0.1"))
    printed = run("log", "--access").splitlines()
    assert printed[0].split("\t") == ["seq", "at", "kind", "person", "about", "address", "note"]
    assert len(printed) == 1 + len(project.people.access_log()) and {line.count("\t") for line in printed} == {6}
    assert printed[-1].split("\t")[2:6] == ["log-in failed", "x 9 [2Jtoday", "", "10.0.0.1"]
    told = json.loads(run("log", "--access", "--json"))["access"]
    assert [one["kind"] for one in told] == [str(one.kind) for one in project.people.access_log()]
    assert told[-1]["person"] == "x\n9\t\x1b[2Jtoday"
    done = {
        "token revoked",
        "sessions ended",
        "access withdrawn",
        "access given back",
        "invitation cancelled",
        "removed",
    }
    assert done < {one["kind"] for one in told} and all(one["person"] for one in told if one["kind"] in done)
