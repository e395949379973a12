"""How access ends and is proved: withdrawn people, second factors, passwords that are guessed, cookies, exports."""

import re
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from web_helpers import LOCAL, PASSWORD, TEAM, Clock, client, csrf, hidden, joined, opened, team_app

from triage import web
from triage.log import Label
from triage.project import AccessKind, Role
from triage.web import access as access_module
from triage.web.gate import ServerOrigin
from triage.web.limits import Attempts

ANOTHER = "staple battery horse correct"


def entering(app, name, password=PASSWORD, base=TEAM, **facts):
    visitor = client(app, base)
    form = {"csrf": hidden(visitor.get("/login")), "name": name, "password": password, **facts}
    return visitor, visitor.post("/login", data=form)


def on_people(owner, name, act):
    told = owner.post("/people/access", data={"csrf": csrf(owner)["x-csrf-token"], "name": name, "act": act})
    assert told.status_code == 303, told.text


def test_who_is_withdrawn_is_out_at_once_and_told_so_only_with_the_right_password(review):
    with review(12) as project:
        app = team_app(project)
        with client(app, TEAM):
            olga, rita = joined(app, "olga", Role.OWNER), joined(app, "rita", Role.REVIEWER)
            record = opened(rita)[0]["record_id"]
            token = csrf(rita)
            on_people(olga, "rita", "withdraw")
            before = len(project.log.events())
            decision = {"key": "key-00000001", "record_id": record, "label": "include"}
            assert rita.post("/api/decisions", headers=token, json=decision).status_code == 401
            assert rita.get("/", follow_redirects=False).headers["location"].startswith("/login")
            assert len(project.log.events()) == before
            assert entering(app, "rita", "wrong")[1].status_code == 401
            visitor, told = entering(app, "rita")
            assert told.status_code == 403 and "was withdrawn" in told.text
            assert app.state.access.cookie not in visitor.cookies
            assert "withdrawn on 20" in olga.get("/people").text
            failed = [one for one in project.people.access_log() if one.kind is AccessKind.FAILED]
            assert [(one.person, one.note) for one in failed] == [("rita", ""), ("rita", "the access is withdrawn")]
            on_people(olga, "rita", "give-back")
            assert rita.get("/api/session").status_code == 401  # the session of before stays ended
            assert entering(app, "rita")[1].status_code == 303
            on_people(olga, "rita", "remove")
            assert entering(app, "rita")[1].status_code == 401  # as for a name that nobody has
            assert 'aria-label="Role of rita"' not in olga.get("/people").text


@pytest.mark.parametrize("act", ["withdraw", "remove", "set_password_hash"])
def test_nobody_slips_in_while_their_password_is_looked_at(review, monkeypatch, act):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            joined(app, "olga", Role.OWNER)
            rita = joined(app, "rita", Role.REVIEWER)
            looked_at = app.state.access.is_password

            def slow(person, password):
                right = looked_at(person, password)
                {
                    "withdraw": project.people.withdraw,
                    "remove": project.people.remove,
                    "set_password_hash": lambda name: project.people.set_password_hash(name, "another"),
                }[act]("rita")
                return right

            monkeypatch.setattr(app.state.access, "is_password", slow)
            visitor, told = entering(app, "rita")
            assert told.status_code == 422 and app.state.access.cookie not in visitor.cookies
            assert rita.get("/api/session").status_code == visitor.get("/api/session").status_code == 401


def test_the_last_owner_stays_and_a_reviewer_changes_nobodys_access(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            olga, rita = joined(app, "olga", Role.OWNER), joined(app, "rita", Role.REVIEWER)
            for act in ("withdraw", "remove"):
                form = {"csrf": csrf(olga)["x-csrf-token"], "name": "olga", "act": act}
                told = olga.post("/people/access", data=form)
                assert told.status_code == 422 and "only owner" in told.text
                form = {"csrf": csrf(rita)["x-csrf-token"], "name": "olga", "act": act}
                assert rita.post("/people/access", data=form).status_code == 403
            assert olga.get("/people").status_code == 200


class Moved(datetime):
    """A clock that stands still, five seconds into a half minute, until a test moves it."""

    at = datetime.now(UTC)

    @classmethod
    def set(cls):
        cls.at = datetime.fromtimestamp(datetime.now(UTC).timestamp() // 30 * 30 + 5, UTC)

    @classmethod
    def now(cls, tz=None):
        return cls.at


def set_up(visitor):
    """Set a second factor up, and return it with the code that proved it."""
    form = {"csrf": hidden(visitor.get("/account")), "password": PASSWORD}
    secret = re.search(r'<code id="secret">(\w+)</code>', visitor.post("/account/second-factor", data=form).text)[1]
    code = pyotp.TOTP(secret).at(access_module.datetime.now(UTC))
    told = visitor.post("/account/second-factor", data={**form, "secret": secret, "code": code})
    assert told.status_code == 200 and "password and a code" in told.text
    return pyotp.TOTP(secret), code


def test_a_second_factor_is_asked_for_works_once_and_allows_for_slow_clocks(review, monkeypatch):
    monkeypatch.setattr(access_module, "datetime", Moved)
    Moved.set()
    with review(6) as project:
        app = team_app(project)
        app.state.access.attempts = Attempts(Clock())
        monkeypatch.setattr(app.state.access.attempts, "begin", lambda counted: 0)  # limits are tested apart
        with client(app, TEAM):
            olga = joined(app, "olga", Role.OWNER)
            totp, proved = set_up(olga)
            assert olga.get("/api/session").status_code == 200

            def at(seconds):
                return totp.at(Moved.now(UTC) + timedelta(seconds=seconds))

            assert entering(app, "olga")[1].status_code == 401  # without a code
            assert entering(app, "olga", code=proved)[1].status_code == 401  # it proved the set-up
            Moved.at += timedelta(minutes=5)
            for wrong in (
                "",
                "000000" if at(0) != "000000" else "111111",
                at(-61),
                at(61),
                at(0)[:5],
                at(0) + "0",
                "é",
            ):
                assert entering(app, "olga", code=wrong)[1].status_code == 401, wrong
            assert entering(app, "olga", "wrong password", code=at(0))[1].status_code == 401
            code = at(0)  # not used up by a wrong password
            assert entering(app, "olga", code=f" {code[:3]} {code[3:]} ")[1].status_code == 303
            assert entering(app, "olga", code=code)[1].status_code == 401
            assert entering(app, "olga", code=at(-30))[1].status_code == 401  # one before one that was used
            assert entering(app, "olga", code=at(30))[1].status_code == 303  # a phone that is ahead
            assert entering(app, "olga", code=at(30))[1].status_code == 401
            Moved.at += timedelta(minutes=5)
            assert entering(app, "olga", code=at(-30))[1].status_code == 303  # or behind


def test_a_second_factor_is_taken_away_with_a_code_or_by_an_invitation(review, monkeypatch):
    monkeypatch.setattr(access_module, "datetime", Moved)
    Moved.set()
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            olga = joined(app, "olga", Role.OWNER)
            form = {"csrf": hidden(olga.get("/account")), "password": PASSWORD}
            for secret, code in (("SHORT", "000000"), ("A" * 32, "1"), ("a" * 32, "000000"), ("A" * 65, "000000")):
                told = olga.post("/account/second-factor", data={**form, "secret": secret, "code": code})
                assert told.status_code == 422 and project.people.named("olga").totp_secret is None
            assert olga.post("/account/second-factor", data={**form, "password": "wrong"}).status_code == 422
            totp, _ = set_up(olga)
            Moved.at += timedelta(minutes=5)
            for wrong in ({}, {"code": "000000"}, {"code": totp.at(Moved.now(UTC)), "password": "wrong"}):
                assert olga.post("/account/second-factor", data={**form, **wrong}).status_code == 422
                assert project.people.named("olga").totp_secret == totp.secret
            # Six digits are not tried on and on by who knows the password.
            codes = [olga.post("/account/second-factor", data={**form, "code": "1"}).status_code for _ in range(3)]
            assert codes == [422, 422, 429]
            app.state.access.attempts = Attempts()
            told = olga.post("/account/second-factor", data={**form, "code": totp.at(Moved.now(UTC))})
            assert told.status_code == 200 and project.people.named("olga").totp_secret is None
            set_up(olga)
            joined(app, "olga", Role.OWNER)
            assert project.people.named("olga").totp_secret is None and project.people.access_log()[-2].note == (
                "the second factor is taken away"
            )


def test_the_same_is_done_for_every_log_in_that_fails(review, monkeypatch):
    """So that how long it takes tells neither whether there is such a person nor what was wrong."""
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            set_up(joined(app, "olga", Role.OWNER))
            joined(app, "rita", Role.REVIEWER)
            done = []
            verify, step_of = app.state.access._hasher.verify, access_module.step_of

            class Hasher:
                def verify(self, known, password):
                    done.append("a hash")
                    return verify(known, password)

            monkeypatch.setattr(app.state.access, "_hasher", Hasher())
            monkeypatch.setattr(access_module, "step_of", lambda *given: done.append("a code") or step_of(*given))
            for name, password in (("nobody", PASSWORD), ("olga", "wrong"), ("olga", PASSWORD), ("rita", "wrong")):
                for code in ("", "1"):
                    done.clear()
                    told = entering(app, name, password, code=code)[1]
                    said = "password or the code" if code else "name or the password"
                    assert (told.status_code, done) == (401, ["a hash", "a code"]) and said in told.text


@pytest.mark.parametrize(
    "easy",
    ["passwordpassword", "123456789012", "qwertyuiopasdf", "iloveyou2024", "rita-reviewer-rita", "aaaaaaaaaaaaaaaaaa"],
)
def test_a_password_that_is_easy_to_guess_is_refused_wherever_one_is_chosen(review, easy):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM) as visitor:
            joined(app, "olga", Role.OWNER)
            token = project.people.invite("rita-reviewer", Role.REVIEWER, datetime.now(UTC) + timedelta(days=1))
            form = {"csrf": hidden(visitor.get(f"/join/{token}")), "password": easy, "again": easy}
            told = visitor.post(f"/join/{token}", data=form)
            assert (
                told.status_code == 422
                and "easy to guess" in told.text
                and project.people.named("rita-reviewer") is None
            )
            rita = joined(app, "rita-reviewer", Role.REVIEWER)
            before = project.people.named("rita-reviewer")
            form = {"csrf": hidden(rita.get("/account")), "password": PASSWORD, "new": easy, "again": easy}
            told = rita.post("/account/password", data=form)
            assert told.status_code == 422 and "easy to guess" in told.text
            assert project.people.named("rita-reviewer") == before


def test_a_new_password_or_invitation_ends_every_session_and_token(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM) as program:
            olga, rita = joined(app, "olga", Role.OWNER), joined(app, "rita", Role.REVIEWER)
            elsewhere, _ = entering(app, "rita")
            bearer = {"authorization": f"Bearer {project.people.create_api_token('rita', 'x')}"}
            form = {"csrf": hidden(rita.get("/account")), "password": PASSWORD, "new": ANOTHER, "again": ANOTHER}
            assert rita.post("/account/password", data=form).status_code == 303
            assert rita.get("/api/session").status_code == 200
            assert elsewhere.get("/api/session").status_code == 401
            assert program.get("/api/session", headers=bearer).status_code == 401
            elsewhere, _ = entering(app, "rita", ANOTHER)
            form = {"csrf": hidden(olga.get("/people")), "name": "rita", "role": "owner"}
            links = [
                re.search(r"/join/([\w-]+)", olga.post("/people/invitations", data=form).text)[1] for _ in range(2)
            ]
            assert rita.get("/api/session").status_code == elsewhere.get("/api/session").status_code == 401
            assert [program.get(f"/join/{link}").status_code for link in links] == [404, 200]
            form = {"csrf": csrf(olga)["x-csrf-token"], "name": "rita", "act": "cancel-invitation"}
            assert olga.post("/people/access", data=form).status_code == 303
            assert program.get(f"/join/{links[1]}").status_code == 404


def test_two_reviews_on_one_host_do_not_log_each_other_out(review, tmp_path):
    with review(6) as one, web_copy(one, tmp_path) as two:
        apps = [
            web.make_app(project, ServerOrigin.of("127.0.0.1", port, tls=False, public=LOCAL), reviewer="olga")
            for project, port in ((one, 8765), (two, 8766), (two, 8765))
        ]
        names = {app.state.access.cookie for app in apps}
        assert len(names) == 3 and all(name.startswith("triage-876") for name in names)
        secure = ServerOrigin.of("127.0.0.1", 8765, tls=False, public=TEAM)
        assert web.make_app(one, secure, reviewer="x").state.access.cookie.startswith("__Host-triage-8765-")
        one.people.add("olga", "owner", apps[0].state.access.hashed(PASSWORD, "olga"))
        two.people.add("olga", "owner", apps[0].state.access.hashed(PASSWORD, "olga"))
        with client(apps[0]), client(apps[1]):
            here, told = entering(apps[0], "olga", base=LOCAL)
            assert told.status_code == 303
            # A browser that goes to the other port brings all cookies of the host along, and keeps what it is given.
            there = client(apps[1])
            there.cookies = here.cookies
            assert there.get("/api/session").status_code == 401
            form = {"csrf": hidden(there.get("/login")), "name": "olga", "password": PASSWORD}
            assert there.post("/login", data=form).status_code == 303
            here.cookies = there.cookies
            assert here.get("/api/session").status_code == there.get("/api/session").status_code == 200
            assert there.post("/logout", data={"csrf": csrf(there)["x-csrf-token"]}).status_code == 303
            assert there.get("/api/session").status_code == 401 and here.get("/api/session").status_code == 200


def web_copy(project, tmp_path):
    from triage.project import Project, copy

    copy(project.path, tmp_path / "two.triage")
    return Project.open(tmp_path / "two.triage")


def test_what_is_taken_out_is_in_the_access_log(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            olga = joined(app, "olga", Role.OWNER)
            project.log.decide("abstract", [{"record_id": 1, "label": Label.INCLUDE}], reviewer="olga")
            for path in ("/api/export?format=ris&only=included", "/api/report", "/api/report?format=svg", "/api/log"):
                assert olga.get(path).status_code == 200, path
            last = project.log.events()[-1].seq
            for _ in range(3):  # a program that waits for news
                assert olga.get(f"/api/log?since={last}").json() == {"events": []}
            out = [(one.person, one.note) for one in project.people.access_log() if one.kind is AccessKind.EXPORTED]
            assert out == [
                ("olga", "included.ris"),
                ("olga", "report.html"),
                ("olga", "flow.svg"),
                ("olga", "log, after event 0"),
            ]
