"""What the tests of the pages share: visitors, their roles, and what they send."""

import re
import socket
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import uvicorn
from fastapi.testclient import TestClient

from triage import web
from triage.log import Kind
from triage.project import Role
from triage.web.gate import ServerOrigin

LOCAL = "http://127.0.0.1:8765"
TEAM = "https://review.example.org"
PASSWORD = "correct horse battery staple"
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(app, *, tls=None, public="", host="127.0.0.1"):
    """Serve an application from a thread as `web.serve` does; give the listener."""
    with web._listening(host, 0, tls=tls is not None, public=public) as listener:
        certificate, key = tls or (None, None)
        config = web.configured(app, host, 0, certificate=certificate, key=key, public=public, listener=listener)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            with web._log_bounded():
                yield listener
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def client(app, base=LOCAL, **options):
    return TestClient(app, base_url=base, raise_server_exceptions=False, follow_redirects=False, **options)


def alone(project, **options):
    return client(web.make_app(project, ServerOrigin.of("127.0.0.1", 8765, tls=False), reviewer="ann", **options))


def team_app(project):
    return web.make_app(project, ServerOrigin.of("127.0.0.1", 8765, tls=False, public=TEAM), reviewer="olga")


def joined(app, name, role):
    """Return the client of a person who used an invitation."""
    visitor = client(app, TEAM)
    token = app.state.project.people.invite(name, role, datetime.now(UTC) + timedelta(days=1))
    page = visitor.get(f"/join/{token}")
    done = visitor.post(f"/join/{token}", data={"csrf": hidden(page), "password": PASSWORD, "again": PASSWORD})
    assert done.status_code == 303, done.text
    return visitor


def hidden(page):
    """Return the token of a page's form."""
    return re.search(r'name="csrf" (?:value|content)="([0-9a-f]+)"', page.text)[1]


def csrf(visitor):
    return {"x-csrf-token": visitor.get("/api/session").json()["csrf"]}


def opened(visitor):
    """Wait until the visitor's session is open; return what is before the reviewer."""
    for _ in range(200):
        told = visitor.get("/api/queue")
        assert told.status_code == 200, told.text
        queue = told.json()
        if not queue["preparing"]:
            return queue["records"]
        time.sleep(0.05)
    raise AssertionError("the session did not open")


def decided(visitor, record_id, label, key, **facts):
    return visitor.post(
        "/api/decisions", headers=csrf(visitor), json={"key": key, "record_id": record_id, "label": label, **facts}
    )


def decisions(project):
    return [e for e in project.log.events() if e.kind is Kind.DECISION]


def sent_pdf(visitor, content=PDF, name="a.pdf", **facts):
    return visitor.post("/api/attachments", headers=csrf(visitor), files={"file": (name, content)}, data=facts)


# What each route needs: a role, or None where nobody is known yet. A route that is not named here fails the tests.
REVIEWER, ADJUDICATOR, OWNER = Role
NEEDS = {
    **dict.fromkeys(("GET /health", "GET /login", "POST /login", "GET /join/{token}", "POST /join/{token}")),
    **dict.fromkeys(
        (
            "GET /",
            "GET /history",
            "GET /search",
            "GET /records/{record_id}",
            "GET /second-look",
            "GET /overview",
            "GET /conflicts",
            "GET /account",
            "GET /api/batches",
            "GET /api/exclusions",
            "POST /api/exclusions",
            "POST /api/exclusions/take-back",
            "POST /search/exclude",
            "POST /search/take-back",
            "GET /api/assignments",
            "POST /api/batches/take-back",
            "POST /batches/take-back",
            "POST /api/second-look",
            "POST /second-look",
            "POST /account/password",
            "POST /account/tokens",
            "POST /account/tokens/revoke",
            "POST /account/second-factor",
            "POST /logout",
            "GET /api",
            "GET /api/session",
            "GET /api/queue",
            "POST /api/decisions",
            "POST /api/skips",
            "POST /api/highlights",
            "POST /api/undo",
            "GET /api/why/{record_id}",
            "GET /api/records/{record_id}",
            "POST /api/records/{record_id}/corrections",
            "POST /api/records/{record_id}/corrections/take-back",
            "GET /api/search",
            "GET /api/history",
            "GET /api/attachments",
            "POST /api/attachments",
            "GET /api/attachments/{event}",
            "DELETE /api/attachments/{event}",
            "GET /api/missing",
            "GET /api/second-look",
            "GET /api/status",
            "GET /api/flow",
            "GET /api/conflicts",
            "GET /api/openapi.json",
            "GET /api/version",
        ),
        REVIEWER,
    ),
    **dict.fromkeys(("POST /api/settlements", "GET /api/agreement"), ADJUDICATOR),
    **dict.fromkeys(
        (
            "GET /metrics",
            "GET /limits",
            "POST /limits",
            "POST /limits/accept",
            "POST /limits/answers",
            "GET /protocol",
            "POST /protocol",
            "POST /api/criteria",
            "GET /api/import",
            "POST /api/sources",
            "POST /api/reasons",
            "POST /api/tags",
            "GET /files",
            "GET /duplicates",
            "GET /people",
            "POST /people/invitations",
            "POST /people/roles",
            "POST /people/access",
            "POST /people/tokens/revoke",
            "GET /api/access",
            "GET /api/export",
            "GET /api/report",
            "GET /api/log",
            "POST /api/import",
            "GET /api/duplicates",
            "POST /api/duplicates",
            "POST /api/duplicates/answers",
            "POST /api/stop",
            "DELETE /api/stop",
            "POST /overview/stop",
            "POST /overview/stop/take-back",
            "POST /api/assignments",
            "POST /api/assignments/take-back",
            "POST /search/assign",
            "POST /people/assign",
            "POST /people/take-back",
        ),
        OWNER,
    ),
}


def _each(routes):
    for route in routes:
        included = getattr(route, "original_router", None)  # FastAPI keeps a router that it includes whole
        yield from [route] if included is None else _each(included.routes)


def routes(app):
    """Return method and path of every route, with something in place of each parameter, and what it needs."""
    every = list(_each(app.routes))
    found = {
        f"{method} {route.path}" for route in every for method in getattr(route, "methods", ()) if method != "HEAD"
    }
    assert found == NEEDS.keys(), "each route is named in NEEDS"
    assert [route.path for route in every if not hasattr(route, "methods")] == ["/static"]
    return [
        (*re.sub(r"\{token\}", "x", re.sub(r"\{\w+_?id\}|\{event\}", "1", one)).split(" "), NEEDS[one])
        for one in sorted(found)
    ]


class Clock:
    """A clock that a test moves on."""

    now = 1000.0

    def __call__(self):
        return self.now
