"""What a program may do with a token of each scope, and what it may not, whoever's it is."""

from datetime import UTC, datetime, timedelta

import pytest
from conftest import PROTOCOL
from sqlalchemy import select
from web_helpers import PASSWORD, TEAM, client, csrf, decided, hidden, joined, opened, routes, team_app

from triage.project import AccessKind, By, Role, Scope, schema

TWO = PROTOCOL.replace('model = "fast"', 'model = "fast"\nreviewers_per_record = 2')


def bearer(project, name, scope, **facts):
    token = project.people.create_api_token(name, f"to {scope}", scope, **facts)
    return {"authorization": f"Bearer {token}"}


def rows(project):
    """Return all that a review holds but for the access log."""
    with project._database.engine.connect() as connection:
        return {
            table.name: connection.execute(select(table)).all()
            for table in schema.metadata.sorted_tables
            if table is not schema.access_log
        }


ASKED = {"/api/search": {"q": "peer"}, "/api/attachments": {"record_id": 1}}


@pytest.mark.parametrize("role", list(Role))
def test_a_token_that_reads_changes_nothing_and_has_no_record_shown(review, role):
    with review(12) as project:
        app = team_app(project)
        with client(app, TEAM) as program:
            joined(app, "olga", Role.OWNER)
            if role is not Role.OWNER:
                joined(app, "rita", role)
            reads = bearer(project, "olga" if role is Role.OWNER else "rita", Scope.READ)
            before, answered = rows(project), set()
            for method, path, needs in routes(app):
                if needs is None:
                    continue
                told = program.request(method, path, headers=reads, params=ASKED.get(path))
                may = list(Role).index(role) >= list(Role).index(needs)
                is_of_programs = path.startswith("/api/") or path == "/metrics"
                if method != "GET" or path in ("/api/queue", "/api/why/1") or not is_of_programs or not may:
                    assert told.status_code == 403, (method, path, told.status_code)
                else:
                    assert told.status_code in (200, 404), (method, path, told.status_code, told.text[:300])
                    answered.add(path)
            assert {"/api/records/1", "/api/search", "/api/status", "/api/history"} < answered
            assert ("/api/export" in answered) is (role is Role.OWNER)
            for path in ("/api/queue/", "/api//queue", "/api/queue%0A", "/api/%71ueue", "/api/queue?stage=abstract"):
                assert program.get(path, headers=reads).status_code in (307, 403, 404), path
            assert all(desk.session is None and desk.opening is None for desk in app.state.desks._desks.values())
            assert rows(project) == before
            # The same with a session puts a record before its person, and says so in the log.
            visitor = joined(app, "sara", Role.REVIEWER)
            opened(visitor)
            assert len(rows(project)["events"]) > len(before["events"])


def test_a_token_that_screens_sees_no_more_than_a_reviewer_whoevers_it_is(review):
    with review(12, TWO) as project:
        app = team_app(project)
        with client(app, TEAM) as program:
            olga, rita, rosa = (
                joined(app, name, role)
                for name, role in (("olga", Role.OWNER), ("rita", Role.REVIEWER), ("rosa", Role.REVIEWER))
            )
            joined(app, "adam", Role.ADJUDICATOR)
            record = opened(rita)[0]["record_id"]
            opened(rosa)
            assert decided(rita, record, "include", "key-00000001").status_code == 200
            assert decided(rosa, record, "exclude", "key-00000002", reason="CHILD").status_code == 200
            assert [one["record_id"] for one in olga.get("/api/conflicts").json()["conflicts"]] == [record]
            assert [one["record_id"] for one in rita.get("/api/conflicts").json()["conflicts"]] == [record]
            other = next(one["record_id"] for one in opened(rita) if one["record_id"] != record)
            assert decided(rita, other, "include", "key-00000003").status_code == 200
            sara = joined(app, "sara", Role.REVIEWER)
            blind, whole = (one.get("/api/status").json() for one in (sara, olga))
            assert {one["reviewer"] for one in whole.pop("pace")} == {"rita", "rosa"}
            blind.pop("pace")
            assert (blind["screened"], whole["screened"], blind["relevant_found"], whole["relevant_found"]) == (
                1,
                2,
                1,
                2,
            )
            screens = {name: bearer(project, name, Scope.SCREEN) for name in ("olga", "adam")}
            for headers in screens.values():
                told = program.get("/api/conflicts", headers=headers).json()
                assert told["conflicts"] == [] and told["settled"] == []
                session = program.get("/api/session", headers=headers).json()
                assert session["role"] == "reviewer" and session["csrf"] == ""
                for method, path, needs in routes(app):
                    if path.startswith("/api/") and needs is not None and method == "GET":
                        told = program.get(path, headers=headers, params=ASKED.get(path))
                        assert (told.status_code == 403) is (needs is not Role.REVIEWER), path
                settle = {"record_id": record, "label": "include"}
                assert program.post("/api/settlements", headers=headers, json=settle).status_code == 403
                status = program.get("/api/status", headers=headers).json()
                assert [one["reviewer"] for one in status.pop("pace")] == [session["reviewer"]]
                assert status == blind  # what one of two has decided is not in it
                assert program.get("/api/flow", headers=headers).json() == sara.get("/api/flow").json()
            all_of_it = program.get("/api/conflicts", headers=bearer(project, "adam", Scope.OWNER)).json()
            assert [one["record_id"] for one in all_of_it["conflicts"]] == [record]


def test_a_token_is_no_way_to_what_outlives_it(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM) as program:
            joined(app, "olga", Role.OWNER)
            owns = bearer(project, "olga", Scope.OWNER)
            assert program.get("/api/log", headers=owns).status_code == 200
            people, before = project.people.all(), len(project.people.access_log())
            for path, data in (
                ("/people/invitations", {"name": "mallory", "role": "owner"}),
                ("/people/roles", {"name": "olga", "role": "reviewer"}),
                ("/people/access", {"name": "olga", "act": "end-sessions"}),
                ("/account/tokens", {"name": "another", "scope": "owner"}),
                ("/account/password", {"password": PASSWORD, "new": "x" * 20, "again": "x" * 20}),
                ("/account/second-factor", {"password": PASSWORD}),
                ("/protocol", {"title": "Mine"}),
            ):
                told = program.post(path, headers=owns, data={**data, "csrf": ""})
                assert told.status_code == 403 and "under /api/" in told.text, path
            assert project.people.all() == people and len(project.people.access_log()) == before
            assert [one.name for one in project.people.invitations() if one.open] == []


def test_a_token_ends_with_its_time_its_person_and_what_is_done_about_access(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM) as program:
            olga = joined(app, "olga", Role.OWNER)
            joined(app, "rita", Role.REVIEWER)
            late = bearer(project, "rita", Scope.READ, expires_at=datetime.now(UTC) - timedelta(seconds=1))
            assert program.get("/api/session", headers=late).status_code == 401

            def ended(act, name="rita"):
                headers = bearer(project, name, Scope.SCREEN)
                assert program.get("/api/session", headers=headers).status_code == 200
                act()
                assert program.get("/api/session", headers=headers).status_code == 401
                with project._database.engine.execution_options(write=True).begin() as connection:
                    connection.exec_driver_sql("DELETE FROM api_tokens")

            def on_people(act):
                form = {"csrf": csrf(olga)["x-csrf-token"], "name": "rita", "act": act}
                assert olga.post("/people/access", data=form).status_code == 303

            def revoke():
                form = {"csrf": csrf(olga)["x-csrf-token"], "person": "rita", "name": "to screen"}
                assert olga.post("/people/tokens/revoke", data=form).status_code == 303

            def invite():
                form = {"csrf": csrf(olga)["x-csrf-token"], "name": "rita", "role": "reviewer"}
                assert olga.post("/people/invitations", data=form).status_code == 200

            ended(revoke)
            ended(invite)
            ended(lambda: on_people("withdraw"))
            on_people("give-back")
            ended(lambda: on_people("remove"))
            kinds = [one.kind for one in project.people.access_log() if one.person == "olga" and one.about == "rita"]
            assert kinds == [
                AccessKind.TOKEN_REVOKED,
                AccessKind.INVITED,
                AccessKind.WITHDRAWN,
                AccessKind.GIVEN_BACK,
                AccessKind.REMOVED,
            ]


def test_who_has_a_token_makes_none_with_a_time_beyond_ten_years(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            olga = joined(app, "olga", Role.OWNER)
            for wrong in ({"days": 0}, {"days": 3_651}, {"scope": "all"}, {"name": " "}):
                form = {"csrf": hidden(olga.get("/account")), "name": "a program", **wrong}
                assert olga.post("/account/tokens", data=form).status_code == 422, wrong
            made = olga.post("/account/tokens", data={"csrf": hidden(olga.get("/account")), "name": "a program"})
            assert made.status_code == 200
            (known,) = project.people.api_tokens()
            assert known.scope is Scope.SCREEN  # the least that is of use is what the form offers
            assert timedelta(days=89) < known.expires_at - datetime.now(UTC) < timedelta(days=91)


def test_the_access_log_is_read_in_parts(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            olga = joined(app, "olga", Role.OWNER)
            for _ in range(5):
                project.people.note(AccessKind.FAILED, By("mallory"))
            told = olga.get("/api/access", params={"since": 3, "most": 2}).json()["access"]
            assert [(one["seq"], one["kind"], one["person"]) for one in told] == [
                (4, "log-in failed", "mallory"),
                (5, "log-in failed", "mallory"),
            ]
