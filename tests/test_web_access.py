"""Who gets in and what each role may: invitations, logging in, tokens, and when a session ends."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from web_helpers import (
    NEEDS,
    OWNER,
    PASSWORD,
    PDF,
    TEAM,
    Clock,
    client,
    csrf,
    decisions,
    hidden,
    joined,
    opened,
    routes,
    team_app,
)

from triage.project import Role
from triage.web.limits import Attempts


def test_off_this_machine_nobody_gets_in_without_logging_in(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM) as stranger:
            for method, path, needs in routes(app):
                told = stranger.request(method, path)
                if needs is None:
                    assert told.status_code in (200, 403, 404, 422), path
                elif path.startswith("/api/") or path == "/metrics":
                    assert told.status_code in (401, 422) and (told.status_code == 401 or "detail" in told.json()), path
                else:
                    assert (told.status_code, told.headers.get("location", "")[:6]) == (
                        303,
                        "/login",
                    ) or told.status_code == 422, path
            assert not decisions(project)
            assert stranger.get("/static/triage.css").status_code == 200
        with client(app, "https://127.0.0.1:8765") as near:  # a proxy on this machine is no way round it
            assert near.get("/api/session").status_code == 401


BODIES = {
    "/api/sources": {"file": 1, "source": "PubMed"},
    "/api/stop": {"anyway": True},
    "/api/decisions": {"key": "key-00000001", "record_id": 1, "label": "include"},
    "/api/skips": {"key": "key-00000002", "record_id": 1},
    "/api/undo": {"key": "key-00000003"},
    "/api/duplicates/answers": {"kept_id": 1, "copy_id": 2, "same": True},
    "/api/settlements": {"record_id": 1, "label": "include"},
    "/api/batches/take-back": {"event": 1},
    "/api/second-look": {"size": 1},
    "/api/reasons": {"text": "Only a protocol"},
    "/api/highlights": {"own": []},
    "/api/tags": {"tag": "cohort"},
    "/api/records/1/corrections": {"year": "2001"},
    "/api/exclusions": {"key": "key-00000004", "q": "peer", "confirmed": 1},
    "/api/assignments": {"people": ["rita"], "top": 1},
    "/api/assignments/take-back": {"reviewer": "rita"},
}
FORMS = {
    "/people/invitations": {"name": "carl", "role": "owner"},
    "/people/roles": {"name": "olga", "role": "owner"},
    "/people/access": {"name": "olga", "act": "end-sessions"},
    "/people/tokens/revoke": {"person": "olga", "name": "a program"},
    "/account/password": {"password": "x", "new": PASSWORD, "again": PASSWORD},
    "/account/tokens": {"name": "a program"},
    "/account/tokens/revoke": {"name": "a program"},
    "/account/second-factor": {"password": "x"},
    "/logout": {},
    "/batches/take-back": {"event": 1},
    "/overview/stop": {"anyway": "yes"},
    "/overview/stop/take-back": {},
    "/limits": {},
    "/limits/accept": {},
    "/limits/answers": {"record_id": 1, "remove": "no"},
    "/protocol": {"title": "Mine", "target": "95", "confidence": "95"},
    "/second-look": {"size": 1},
    "/search/exclude": {"sure": "yes", "confirmed": 1, "q": "peer"},
    "/search/take-back": {"event": 1},
    "/search/assign": {"to": ["rita"], "q": "peer"},
    "/people/assign": {"to": ["rita"], "top": 1},
    "/people/take-back": {"reviewer": "rita"},
}
# What may find nothing to do, whoever asks for it: which of them comes first is not the order of a review.
ANSWERS_TOO = (
    "/search/exclude",
    "/search/take-back",
    "/search/assign",
    "/people/assign",
    "/people/take-back",
    "/api/exclusions",
    "/api/exclusions/take-back",
    "/api/assignments",
    "/api/assignments/take-back",
    "/people/tokens/revoke",
    "/api/duplicates/answers",
    "/api/stop",
    "/overview/stop",
    "/overview/stop/take-back",
    "/limits/answers",
)


@pytest.mark.parametrize("role", list(Role))
def test_each_route_from_each_role(review, role):
    with review(12) as project:
        app = team_app(project)
        with client(app, TEAM):
            joined(app, "olga", Role.OWNER)
            visitor = joined(app, "rita" if role is not Role.OWNER else "otto", role)
            opened(visitor)
            for method, path, needs in routes(app):
                if needs is None:
                    continue
                may = list(Role).index(role) >= list(Role).index(needs)
                token = csrf(visitor)
                sent = {"headers": token}
                if path in BODIES:
                    sent["json"] = BODIES[path]
                elif path in FORMS:
                    sent["data"] = {**FORMS[path], "csrf": token["x-csrf-token"]}
                elif path == "/api/criteria":
                    sent["data"] = {"text": "Adults with depression"}
                elif path == "/api/import":
                    sent["files"] = {"files": ("a.ris", "TY  - JOUR\nTI  - one more\nER  - \n")}
                elif path == "/api/attachments" and method == "POST":
                    sent |= {"files": {"file": ("1.pdf", PDF)}, "data": {"record_id": 1}}
                elif path == "/api/attachments":
                    sent["params"] = {"record_id": 1}
                elif path == "/api/search":
                    sent["params"] = {"q": "peer"}
                if method != "GET":  # without what only a page of this session has, nothing is changed
                    wrong = {**sent, "headers": {"x-csrf-token": "0" * 64}} | (
                        {"data": {**sent["data"], "csrf": "0" * 64}} if path in FORMS else {}
                    )
                    before = len(project.log.events()), project.people.all(), len(project.people.invitations())
                    assert visitor.request(method, path, **wrong).status_code == 403, (method, path)
                    assert before == (
                        len(project.log.events()),
                        project.people.all(),
                        len(project.people.invitations()),
                    )
                told = visitor.request(method, path, **sent)
                if path == "/logout":
                    visitor = relogged(app, "rita" if role is not Role.OWNER else "otto")
                assert (told.status_code == 403) is not may, (method, path, told.status_code, told.text[:200])
                assert told.status_code < 500, (method, path, told.text[:300])
                if needs is OWNER and path not in ANSWERS_TOO and may:
                    assert told.status_code in (200, 303), (method, path, told.status_code, told.text[-600:])
            assert project.people.named("carl") is None
            assert {i.name for i in project.people.invitations() if i.open} == (
                {"carl"} if role is Role.OWNER else set()
            )


def relogged(app, name):
    visitor = client(app, TEAM)
    page = visitor.get("/login")
    done = visitor.post("/login", data={"csrf": hidden(page), "name": name, "password": PASSWORD, "then": "/history"})
    assert (done.status_code, done.headers["location"]) == (303, "/history")
    return visitor


def test_invitations_work_once_and_expire(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM) as visitor:
            joined(app, "olga", Role.OWNER)
            late = project.people.invite("rita", Role.REVIEWER, datetime.now(UTC) - timedelta(seconds=1))
            assert visitor.get(f"/join/{late}").status_code == 404
            token = project.people.invite("rosa", Role.REVIEWER, datetime.now(UTC) + timedelta(days=1))
            page = visitor.get(f"/join/{token}")
            send = {"csrf": hidden(page)}
            assert (
                visitor.post(f"/join/{token}", data={**send, "password": "short", "again": "short"}).status_code == 422
            )
            assert (
                visitor.post(f"/join/{token}", data={**send, "password": PASSWORD, "again": PASSWORD + "!"}).status_code
                == 422
            )
            assert (
                visitor.post(f"/join/{token}", data={"csrf": "", "password": PASSWORD, "again": PASSWORD}).status_code
                == 403
            )
            assert (
                visitor.post(f"/join/{token}", data={**send, "password": PASSWORD, "again": PASSWORD}).status_code
                == 303
            )
            assert (
                visitor.post(f"/join/{token}", data={**send, "password": PASSWORD, "again": PASSWORD}).status_code
                == 404
            )
            assert project.people.named("rosa").password_hash.startswith("$argon2id$")


def test_log_in_sessions_end_and_attempts_are_limited(review, monkeypatch):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            olga = joined(app, "olga", Role.OWNER)
            cookie = next(c for c in olga.cookies.jar if c.name == app.state.access.cookie)
            assert cookie.secure and cookie.has_nonstandard_attr("HttpOnly")
            told = olga.post("/logout", data={"csrf": csrf(olga)["x-csrf-token"]})
            assert told.status_code == 303
            olga.cookies.set(cookie.name, cookie.value, domain="review.example.org")
            assert olga.get("/api/session").status_code == 401  # the session ended, not its cookie alone
            stranger, clock = client(app, TEAM), Clock()
            app.state.access.attempts = Attempts(clock)
            token = hidden(stranger.get("/login"))
            for name in ("olga", "nobody"):
                codes = [
                    stranger.post("/login", data={"csrf": token, "name": name, "password": "wrong"}).status_code
                    for _ in range(6)
                ]
                assert codes == [401] * 5 + [429]
            right = stranger.post("/login", data={"csrf": token, "name": "olga", "password": PASSWORD})
            assert right.status_code == 429 and "1 second" in right.text
            clock.now += 1
            assert (
                stranger.post(
                    "/login", data={"csrf": token, "name": "olga", "password": PASSWORD, "then": "//evil.example"}
                ).headers["location"]
                == "/"
            )
            monkeypatch.setattr("triage.web.access._IDLE", timedelta(0))
            assert stranger.get("/api/session").status_code == 401


def test_a_program_with_a_token_has_its_persons_rights(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM) as program:
            joined(app, "olga", Role.OWNER)
            rita = joined(app, "rita", Role.REVIEWER)
            page = rita.post("/account/tokens", data={"csrf": csrf(rita)["x-csrf-token"], "name": "a script"})
            token = re.search(r"<code>([\w-]{20,})</code>", page.text)[1]
            bearer = {"authorization": f"Bearer {token}"}
            assert program.get("/api/session", headers=bearer).json()["reviewer"] == "rita"
            assert program.post("/api/undo", headers=bearer, json={"key": "key-00000001"}).status_code in (200, 409)
            assert program.get("/api/log", headers=bearer).status_code == 403
            rita.post("/account/tokens/revoke", data={"csrf": csrf(rita)["x-csrf-token"], "name": "a script"})
            assert program.get("/api/session", headers=bearer).status_code == 401
            assert program.get("/api/session", headers={"authorization": "Bearer x"}).status_code == 401


def test_a_new_password_ends_the_other_sessions(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            here = joined(app, "olga", Role.OWNER)
            there = relogged(app, "olga")
            form = {
                "csrf": csrf(here)["x-csrf-token"],
                "password": PASSWORD,
                "new": PASSWORD + "!",
                "again": PASSWORD + "!",
            }
            assert here.post("/account/password", data={**form, "password": "wrong"}).status_code == 422
            assert here.post("/account/password", data=form).status_code == 303
            assert here.get("/api/session").status_code == 200
            assert there.get("/api/session").status_code == 401


@pytest.mark.parametrize(
    "limit, later", [("_IDLE", timedelta(hours=12, seconds=1)), ("_LONGEST", timedelta(days=7, seconds=1))]
)
def test_a_session_ends_after_some_hours_alone_and_after_a_week_in_any_case(review, monkeypatch, limit, later):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            olga = joined(app, "olga", Role.OWNER)

            class Later(datetime):
                @classmethod
                def now(cls, tz=None):
                    return datetime.now(tz) + Later.by

            monkeypatch.setattr("triage.web.access.datetime", Later)
            if limit == "_LONGEST":
                monkeypatch.setattr("triage.web.access._IDLE", timedelta(days=30))
            Later.by = later - timedelta(minutes=1)
            assert olga.get("/api/session").status_code == 200
            if limit == "_LONGEST":
                Later.by = later
            else:  # the request before has renewed it, by the project's own clock
                Later.by = later + timedelta(seconds=1)
            assert olga.get("/api/session").status_code == 401
            Later.by = timedelta(0)
            assert olga.get("/api/session").status_code == 401  # it has ended for good


def test_the_page_on_security_counts_the_routes_that_are_tried():
    text = (Path(__file__).resolve().parents[1] / "docs" / "security.md").read_text(encoding="utf-8")
    strangers = sum(needs is None for needs in NEEDS.values())
    assert f"has {len(NEEDS)} addresses" in text and f"| the {len(NEEDS) - strangers} others, by each of the 3" in text
    assert f"| each of the {len(NEEDS)}, by a stranger | {strangers} answer" in text
    assert f"| each of the {len(NEEDS) - strangers} with a token to `read`" in text
