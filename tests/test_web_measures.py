"""Whether a server answers, and what it says of how it has done."""

import os
import re

from fastapi.testclient import TestClient
from web_helpers import LOCAL, TEAM, Clock, alone, client, decided, hidden, joined, opened, team_app

from triage import __version__, web
from triage.log import Label
from triage.project import Role, Scope
from triage.web import front, measures
from triage.web.gate import ServerOrigin


def numbers(answer):
    """Return the values of a text of Prometheus, each line of which must be one of its kinds."""
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text.endswith("\n")
    found, typed = {}, {}
    for line in answer.text.splitlines():
        if line.startswith("# HELP triage_"):
            continue
        if told := re.fullmatch(r"# TYPE (triage_\w+) (counter|gauge|summary)", line):
            typed[told[1]] = told[2]
            continue
        name, value = re.fullmatch(r'(triage_\w+(?:\{class="\dxx"\})?) (\d+(?:\.\d+)?)', line).groups()
        assert re.sub(r"\{.*|_(sum|count)$", "", name) in typed, line
        found[name] = float(value)
    return found


def test_what_was_answered_and_decided_is_counted(review):
    with review(12) as project, alone(project) as ann:
        before = numbers(ann.get("/metrics"))
        assert before["triage_decisions_total"] == before["triage_open_sessions"] == 0
        first, second = opened(ann)
        for i, one in enumerate((first, second)):
            assert decided(ann, one["record_id"], "include", f"key-0000000{i}").status_code == 200
        ann.get("/nothing")
        ann.get("/", headers={"host": "evil.example"})
        after = numbers(ann.get("/metrics"))
        assert after["triage_decisions_total"] == 2 and after["triage_open_sessions"] == 1
        assert after['triage_requests_total{class="4xx"}'] == before['triage_requests_total{class="4xx"}'] + 2
        assert after['triage_requests_total{class="5xx"}'] == 0
        assert after["triage_request_seconds_count"] == sum(v for k, v in after.items() if "class=" in k)
        assert after["triage_request_seconds_sum"] >= after["triage_request_slowest_seconds"] > 0
        assert after["triage_uptime_seconds"] > before["triage_uptime_seconds"]
        # What others decided is counted too.
        project.log.decide("abstract", [{"record_id": 5, "label": Label.EXCLUDE}], reviewer="bob")
        assert numbers(ann.get("/metrics"))["triage_decisions_total"] == 3


def test_only_owners_and_their_tokens_see_the_numbers(review):
    with review(6) as project:
        app = team_app(project)
        olga, bob, stranger = joined(app, "olga", Role.OWNER), joined(app, "bob", Role.REVIEWER), client(app, TEAM)
        page = stranger.get("/login")
        for password in ("wrong", "wrong as well"):
            form = {"csrf": hidden(page), "name": "olga", "password": password}
            assert stranger.post("/login", data=form).status_code == 401
        told = stranger.get("/metrics")
        assert told.status_code == 401 and "triage_" not in told.text
        assert bob.get("/metrics").status_code == 403
        assert numbers(olga.get("/metrics"))["triage_login_failures_total"] == 2
        for person, scope, status in (
            ("olga", Scope.READ, 200),
            ("olga", Scope.OWNER, 200),
            ("olga", Scope.SCREEN, 403),
            ("bob", Scope.READ, 403),
        ):
            token = project.people.create_api_token(person, f"{person} {scope}", scope=scope)
            bearer = {"authorization": f"Bearer {token}"}
            assert stranger.get("/metrics", headers=bearer).status_code == status, (person, scope)
        assert stranger.get("/metrics", headers={"authorization": "Bearer x"}).status_code == 401


def test_anybody_under_any_name_learns_that_the_server_answers_and_nothing_else(review, tmp_path):
    with review(6) as project, client(team_app(project), TEAM) as stranger:
        for host in ("review.example.org", "10.0.0.7:8765", "localhost"):
            told = stranger.get("/health", headers={"host": host})
            assert (told.status_code, told.text) == (200, "ok\n")
            assert __version__ not in str(told.headers) and "set-cookie" not in told.headers
        assert stranger.post("/health", headers={"host": "localhost"}).status_code == 421
        assert stranger.get("/health/", headers={"host": "localhost"}).status_code == 421
        os.rename(project.path, tmp_path / "elsewhere")
        told = stranger.get("/health")
        assert (told.status_code, told.text) == (503, "The review cannot be read.\n")
        os.rename(tmp_path / "elsewhere", project.path)
        assert stranger.get("/health").status_code == 200


def test_the_start_page_has_a_health_too(tmp_path):
    door = ServerOrigin.of("127.0.0.1", 8765, tls=False)
    app = front.Front(door, front.Entrance(LOCAL, "triage-8765", print), web.make_app, None, tmp_path)
    assert TestClient(app, base_url="http://10.0.0.7").get("/health").text == "ok\n"


def test_the_slowest_is_of_the_last_ten_to_twenty_minutes():
    clock = Clock()
    counted = measures.Measures(clock)

    def slowest():
        return float(re.search(r"^triage_request_slowest_seconds (\S+)$", counted.text([], 0), re.MULTILINE)[1])

    counted.answered("GET", "/", 200, 3.0)
    assert slowest() == 3
    clock.now += 600
    counted.answered("GET", "/", 200, 1.0)
    assert slowest() == 3
    clock.now += 600
    assert slowest() == 1
    clock.now += 1_200
    assert slowest() == 0
    assert "triage_request_seconds_sum 4.000000\ntriage_request_seconds_count 2\n" in counted.text([], 0)


def test_connections_are_reported_where_they_are_counted():
    counted = measures.Measures(Clock())
    assert "connections" not in counted.text([], 0)
    with web._listening("127.0.0.1", 0, tls=False, public="") as counted.listener:
        counted.listener.refused = 7
        text = counted.text([], 0)
    assert "\ntriage_connections 0\n" in text and "\ntriage_connections_refused_total 7\n" in text
