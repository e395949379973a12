"""Which requests are answered at all: names, origins, sizes, addresses and headers."""

import pytest
from fastapi.testclient import TestClient
from web_helpers import LOCAL, TEAM, alone, client, csrf, decisions, hidden, opened, team_app

from triage import web
from triage.errors import InputError
from triage.project import Role
from triage.web.gate import POLICY, ServerOrigin, is_loopback


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1", "127.0.0.1:9", "127.0.0.1.nip.io:8765", ""]
)
def test_only_this_machines_names_are_answered(review, host):
    with review(6) as project, alone(project) as ann:
        assert ann.get("/", headers={"host": host}).status_code in (400, 421)
        assert ann.get("/api/session", headers={"host": "localhost:8765"}).status_code == 200


def test_a_change_from_elsewhere_is_refused(review):
    with review(6) as project, alone(project) as ann:
        first, _ = opened(ann)
        body = {"key": "key-00000001", "record_id": first["record_id"], "label": "include"}
        good = csrf(ann)
        for headers in (
            {},
            {"x-csrf-token": "0" * 64},
            {**good, "origin": "https://evil.example"},
            {**good, "origin": "null"},
            {**good, "sec-fetch-site": "cross-site"},
            {**good, "sec-fetch-site": "same-site"},
        ):
            assert ann.post("/api/decisions", json=body, headers=headers).status_code == 403
        assert not decisions(project)
        assert (
            ann.post(
                "/api/decisions", json=body, headers={**good, "origin": LOCAL, "sec-fetch-site": "same-origin"}
            ).status_code
            == 200
        )


def test_bodies_are_bounded(review):
    with review(6) as project, alone(project) as ann:
        told = ann.post("/api/decisions", headers=csrf(ann), content=b"[" * 2_000_000)
        assert told.status_code == 413
        app = team_app(project)
        with client(app, TEAM) as stranger:
            told = stranger.post("/api/import", files={"files": ("a.ris", b"x" * 2_000_000)})
            assert told.status_code == 413


@pytest.mark.parametrize(
    "host, local",
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("127.8.8.8", True),
        ("0.0.0.0", False),
        ("192.168.1.2", False),
        ("example.org", False),
    ],
)
def test_which_addresses_are_this_machines_own(host, local):
    assert is_loopback(host) is local
    if host != "0.0.0.0":
        assert ServerOrigin.of(host, 80, tls=False).login is not local


def test_every_address_needs_a_public_one():
    with pytest.raises(InputError, match="--public"):
        ServerOrigin.of("0.0.0.0", 8765, tls=False)
    door = ServerOrigin.of("0.0.0.0", 8765, tls=False, public="http://10.0.0.5:8765")
    assert door.hosts == {"10.0.0.5:8765"} and door.login and not door.secure
    with pytest.raises(InputError, match="not an address"):
        ServerOrigin.of("127.0.0.1", 8765, tls=False, public="javascript:alert(1)")


def test_every_answer_has_the_headers(review):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM) as stranger:
            answers = [
                stranger.get("/"),
                stranger.get("/login"),
                stranger.get("/nothing"),
                stranger.get("/api/session"),
                stranger.get("/static/triage.css"),
                stranger.get("/", headers={"host": "evil.example"}),
                stranger.post("/login", content=b"x" * 2_000_000),
                stranger.post("/login", data={}),
                stranger.get("/", headers={"authorization": "Bearer x"}),
            ]
            assert [told.status_code for told in answers] == [303, 200, 404, 401, 200, 421, 413, 403, 401]
            for told in answers:
                assert told.headers["content-security-policy"] == POLICY and "unsafe" not in POLICY
                for name, value in (
                    ("x-content-type-options", "nosniff"),
                    ("x-frame-options", "DENY"),
                    ("referrer-policy", "same-origin"),
                    ("cross-origin-opener-policy", "same-origin"),
                    ("cross-origin-resource-policy", "same-origin"),
                    ("strict-transport-security", "max-age=31536000"),
                ):
                    assert told.headers[name] == value, (told.request.url, name)
                assert told.headers["cache-control"] in ("no-store", "no-cache") and "server" not in told.headers


@pytest.mark.parametrize(
    "public, peer, counted",
    [
        (TEAM, "127.0.0.1", "203.0.113.9"),
        (TEAM, "10.0.0.5", "10.0.0.5"),
        ("", "127.0.0.1", "127.0.0.1"),
        ("", "10.0.0.5", "10.0.0.5"),
    ],
)
def test_a_forwarded_address_is_believed_of_a_proxy_on_this_machine_and_only_when_asked(
    review, monkeypatch, public, peer, counted
):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # what other servers obey is nothing here
    with review(6) as project:
        project.people.add("olga", Role.OWNER)
        app = web.make_app(project, ServerOrigin.of("127.0.0.1", 8765, tls=False, public=public), reviewer="olga")
        served = web.configured(app, "127.0.0.1", 8765, certificate=None, key=None, public=public).loaded_app
        visitor = TestClient(served, base_url=public or LOCAL, client=(peer, 1), follow_redirects=False)
        forwarded = {
            "x-forwarded-for": "198.51.100.7, 203.0.113.9",
            "x-forwarded-proto": "https",
            "x-forwarded-host": "evil.example",
        }
        page = visitor.get("/login", headers=forwarded)
        assert "evil.example" not in page.text
        told = visitor.post(
            "/login", headers=forwarded, data={"csrf": hidden(page), "name": "olga", "password": "wrong"}
        )
        assert told.status_code == 401
        assert [key for key in app.state.access.attempts._failed if key[0] == "from"] == [("from", counted)]
