"""What is written of log-ins that fail, for an owner and for fail2ban, and that it can neither be forged nor fill a disk."""

import logging
import re
import stat
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from web_helpers import PASSWORD, TEAM, Clock, client, free_port, hidden, joined, team_app

from triage import web
from triage.errors import InputError
from triage.project import AccessKind, Role
from triage.web.access import address_of
from triage.web.limits import PER_ADDRESS, Attempts, Ration, network_of

SERVER = (Path(__file__).resolve().parents[1] / "docs" / "server.md").read_text(encoding="utf-8")
HOSTILE = [
    "ann",
    "x' from 1.2.3.4",
    'x" from 1.2.3.4',
    "x' from 1.2.3.4\n2026-11-29 19:56:03 triage[1]: failed log-in for 'y' from 1.2.3.4",
    "x\r\n\u2028\u2029\x85 from 1.2.3.4",
    " from 1.2.3.4",
    "from 1.2.3.4",
    "\x1b[2J\0",
    "\\' from 1.2.3.4",
    "😀" * 60,
    "y" * 1_900 + " from 1.2.3.4",
]


def fails(visitor, name):
    form = {"csrf": hidden(visitor.get("/login")), "name": name, "password": "wrong"}
    return visitor.post("/login", data=form).status_code


def found_by_fail2ban(text):
    """Return the addresses that the filter of docs/server.md finds, line by line, as fail2ban does."""
    pattern = re.search(r"(?m)^failregex = (.+)$", SERVER)[1]
    date = re.search(r"(?m)^datepattern = \^(.+)$", SERVER)[1]
    assert date == "%%Y-%%m-%%d %%H:%%M:%%S"
    pattern = pattern.replace("<HOST>", r"(?:\[?(?P<host>(?:\d{1,3}\.){3}\d{1,3}|[\da-fA-F:]+|[\w\-.^_]*\w)\]?)")
    found = []
    for written in text.split("\n"):
        at = re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", written)
        if at and (match := re.search(pattern, written[: at.start()] + written[at.end() :])):
            found.append(match["host"])
    return found


def test_fail2ban_finds_who_failed_and_nobody_else(review, tmp_path):
    file = tmp_path / "access.log"
    with review(6) as project, web._access_written(file):
        app = team_app(project)
        app.state.access.attempts.begin = lambda counted: 0
        with client(app, TEAM):
            joined(app, "olga", Role.OWNER)
            for n, name in enumerate(HOSTILE):
                host = f"10.0.0.{n}" if n % 2 else f"2001:db8::{n:x}"
                assert fails(TestClient(app, base_url=TEAM, client=(host, 1), follow_redirects=False), name) == 401, (
                    name
                )
            for host in ("testclient", "x from 1.2.3.4", "::1%x from 1.2.3.4", "::ffff:10.0.0.99"):
                assert fails(TestClient(app, base_url=TEAM, client=(host, 1), follow_redirects=False), "ann") == 401
            visitor = TestClient(app, base_url=TEAM, client=("10.0.0.100", 1), follow_redirects=False)
            form = {"csrf": hidden(visitor.get("/login")), "name": "olga", "password": PASSWORD}
            assert visitor.post("/login", data=form).status_code == 303
    text = file.read_text(encoding="utf-8")
    expected = [f"10.0.0.{n}" if n % 2 else f"2001:db8::{n:x}" for n in range(len(HOSTILE))]
    assert found_by_fail2ban(text) == [*(one.replace("db8::0", "db8::") for one in expected), "::1", "10.0.0.99"]
    lines = text.splitlines()  # by every line end that there is
    assert len(lines) == len(HOSTILE) + 5 and lines[-1].endswith("log-in of 'olga' from 10.0.0.100")
    assert max(map(len, lines)) < 1_200 and text.count("1.2.3.4") < text.count("\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_lines_that_the_guide_shows_are_those_that_are_written(tmp_path):
    shown = re.search(r"(?m)^(2026.*failed.*)\n(2026.*)$", SERVER)
    assert found_by_fail2ban(shown[0]) == ["203.0.113.7"]
    file = tmp_path / "access.log"
    with web._access_written(file):
        log = logging.getLogger("triage.access")
        log.warning("failed log-in for %r from %s", "ann", "203.0.113.7")
        file.rename(tmp_path / "put aside")
        log.info("log-in of %r from %s", "ann", "203.0.113.7")
    for path, guide in ((tmp_path / "put aside", shown[1]), (file, shown[2])):
        assert re.sub(r"\d", "0", path.read_text()).split(": ")[1] == re.sub(r"\d", "0", guide + "\n").split(": ")[1]
    with pytest.raises(InputError, match="cannot be written"), web._access_written(tmp_path / "none" / "a.log"):
        pass
    written = logging.getLogger("triage.access").handlers
    assert not [one for one in written if isinstance(one, logging.FileHandler)]


def test_who_tries_on_and_on_does_not_fill_the_review(review):
    with review(6) as project:
        app, clock = team_app(project), Clock()
        app.state.access.failures = Ration(3, clock)
        app.state.access.attempts.begin = lambda counted: 0
        with client(app, TEAM) as visitor:
            for n in range(10):
                assert fails(visitor, f"name {n}" + "x" * 1_900) == 401
            clock.now += 1_200
            assert fails(visitor, "one more") == fails(visitor, "and more") == 401
            noted = [one for one in project.people.access_log() if one.kind is AccessKind.FAILED]
            assert [(one.person[:6], one.note) for one in noted] == [
                ("name 0", ""),
                ("name 1", ""),
                ("name 2", ""),
                ("one mo", "and 7 before it that are not listed"),
            ]
            assert max(len(one.person) for one in noted) == 100


def test_a_ration_comes_back_with_time_and_never_beyond_its_size():
    clock = Clock()
    ration = Ration(2, clock)
    assert [ration.take() for _ in range(4)] == [0, 0, None, None]
    clock.now += 1_799
    assert ration.take() is None
    clock.now += 1
    assert [ration.take() for _ in range(2)] == [3, None]
    clock.now += 1e6
    assert [ration.take() for _ in range(3)] == [1, 0, None]


def test_what_is_refused_unlooked_at_is_not_written(review):
    with review(6) as project:
        app = team_app(project)
        app.state.access.attempts = Attempts(Clock())
        with client(app, TEAM) as visitor:
            assert [fails(visitor, "ann") for _ in range(20)] == [401] * 5 + [429] * 15
            assert len(project.people.access_log()) == 5


class From:
    def __init__(self, host):
        self.client = None if host is None else type("Client", (), {"host": host})


def test_an_address_is_one_or_nothing_and_ipv4_stays_apart_within_ipv6():
    for host, known in (
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1%x from 1.2.3.4", "::1"),
        ("1.2.3.4 from 5.6.7.8", ""),
        ("unix:", ""),
        (None, ""),
    ):
        assert address_of(From(host)) == known
    assert network_of("::ffff:10.0.0.1") == "10.0.0.1" != network_of("::ffff:10.0.0.2")
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff") == "2001:db8::/64" != network_of("2001:db8:0:1::1")


def test_an_office_behind_one_address_waits_a_minute_at_most_and_known_browsers_not_at_all(review, monkeypatch):
    with review(6) as project:
        app, clock = team_app(project), Clock()
        with client(app, TEAM):
            olga, _ = joined(app, "olga", Role.OWNER), joined(app, "rita", Role.REVIEWER)
            app.state.access.attempts = Attempts(clock)
            right = lambda person, password: person is not None and password == PASSWORD
            monkeypatch.setattr(app.state.access, "is_password", right)

            def office():
                return TestClient(app, base_url=TEAM, client=("198.51.100.20", 1), follow_redirects=False)

            def enters(visitor, name):
                form = {"csrf": hidden(visitor.get("/login")), "name": name, "password": PASSWORD}
                return visitor.post("/login", data=form).status_code

            for n in range(200):  # a program within the office that has any name fail, as fast as it may
                while fails(office(), f"name {n}") == 429:
                    clock.now += 1
                if n > 60:
                    break
            assert enters(office(), "rita") == 429
            own = office()
            own.cookies.set(
                f"{app.state.access.cookie}-device",
                olga.cookies[f"{app.state.access.cookie}-device"],
                domain="review.example.org",
            )
            assert enters(own, "olga") == 303  # the owner's own browser is not slowed
            clock.now += 60
            assert enters(office(), "rita") == 303 and PER_ADDRESS.longest == 60


def started(project, monkeypatch, **options):
    said = []
    monkeypatch.setattr(web.uvicorn.Server, "run", lambda self, sockets: None)
    web.serve(project, reviewer="olga", port=free_port(), public=TEAM, say=said.append, **options)
    return "\n".join(said)


def test_a_server_prints_one_invitation_of_an_owner_and_no_second(review, monkeypatch):
    with review(6) as project:
        project.people.invite(
            "rita", "reviewer", web.access.datetime.now(web.access.UTC) + web.access.timedelta(days=1)
        )
        (link,) = re.findall(r"/join/([\w-]+)", started(project, monkeypatch))
        again = started(project, monkeypatch)
        assert "/join/" not in again and "but olga" in again
        assert project.people.invitation(link).open and project.people.invitation(link).role is Role.OWNER
        project.people.cancel_invitations("olga")
        (link,) = re.findall(r"/join/([\w-]+)", started(project, monkeypatch))
        project.people.accept(link, "hash")
        assert "invitation" not in started(project, monkeypatch) and len(project.people.invitations()) == 3


def test_a_review_whose_people_are_no_owners_gets_one(review, monkeypatch):
    with review(6) as project:
        project.people.add("rita", "reviewer", "hash")
        assert len(re.findall(r"/join/[\w-]+", started(project, monkeypatch))) == 1
        project.people.cancel_invitations("olga")
        project.people.add("Olga", "reviewer", "hash")
        said = started(project, monkeypatch)
        assert "/join/" not in said and "NAME=owner" in said
