"""How attempts are slowed, and that nobody is kept out by what others do."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from web_helpers import PASSWORD, TEAM, Clock, client, hidden, joined, team_app

from triage.project import Role
from triage.web.limits import Attempts, Limit, Refused


def test_wrong_invitations_are_slowed_by_address_and_keep_nobody_out_who_is_invited(review):
    with review(6) as project:
        app = team_app(project)
        near, far = (
            TestClient(app, base_url=TEAM, client=(host, 1), follow_redirects=False)
            for host in ("10.0.0.1", "10.0.0.2")
        )
        token = project.people.invite("olga", Role.OWNER, datetime.now(UTC) + timedelta(days=1))
        pages = [one.get(f"/join/{token}") for one in (near, far)]
        codes = [
            near.post(
                "/join/wrong", data={"csrf": hidden(pages[0]), "password": PASSWORD, "again": PASSWORD}
            ).status_code
            for _ in range(6)
        ]
        assert codes == [404] * 5 + [429]
        for one, page, path, code in ((far, pages[1], "/join/wrong", 404), (near, pages[0], f"/join/{token}", 303)):
            form = {"csrf": hidden(page), "password": PASSWORD, "again": PASSWORD}
            assert one.post(path, data=form).status_code == code


def test_each_failure_doubles_the_wait_for_the_next_attempt():
    clock = Clock()
    attempts = Attempts(clock)
    ann = {("pair", "ann", "1"): Limit(3, 10)}
    assert [attempts.begin(ann) for _ in range(3)] == [0, 0, 0]
    waits = []
    for _ in range(6):
        waits.append(attempts.begin(ann))
        assert attempts.begin(ann) == waits[-1]  # what is not looked at is not counted
        clock.now += waits[-1] - 0.5
        assert attempts.begin(ann) == 1
        clock.now += 0.5
        assert attempts.begin(ann) == 0
    assert waits == [1, 2, 4, 8, 10, 10] and attempts.begin({("pair", "bob", "1"): Limit(3, 10)}) == 0
    clock.now += 3601
    assert attempts.begin(ann) == 0 and len(attempts._failed) == 1  # all that is an hour old is forgotten


def test_who_succeeds_starts_anew_and_is_not_counted_under_what_others_share():
    attempts, shared = Attempts(Clock()), {("from", "1"): Limit(3, 60)}
    for n in range(10):
        counted = {("pair", f"name {n}", "1"): Limit(2, 60), **shared}
        assert attempts.begin(counted) == 0
        attempts.succeed(counted)
    for n in range(3):
        assert attempts.begin({("pair", f"wrong {n}", "1"): Limit(2, 60), **shared}) == 0
    assert attempts.begin({("pair", "anybody", "1"): Limit(2, 60), **shared}) == 1


def from_address(app, address, device=""):
    visitor = TestClient(app, base_url=TEAM, client=(address, 1), follow_redirects=False)
    if device:
        visitor.cookies.set(f"{app.state.access.cookie}-device", device, domain="review.example.org")
    token = hidden(visitor.get("/login"))
    return lambda name, password: visitor.post("/login", data={"csrf": token, "name": name, "password": password})


def test_nobody_locks_a_colleague_out(review, monkeypatch):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            olga = joined(app, "olga", Role.OWNER)
            device = next(c for c in olga.cookies.jar if c.name.endswith("-device"))
            assert (
                device.secure
                and device.has_nonstandard_attr("HttpOnly")
                and device.expires > time.time() + 100 * 24 * 3600
            )
            clock = Clock()
            app.state.access.attempts = Attempts(clock)
            monkeypatch.setattr(
                app.state.access, "is_password", lambda person, password: bool(person) and password == PASSWORD
            )
            enemy = from_address(app, "10.0.0.66")
            assert [enemy("olga", "wrong").status_code for _ in range(6)] == [401] * 5 + [429]
            assert from_address(app, "10.0.0.2")("olga", PASSWORD).status_code == 303  # from elsewhere she gets in
            assert (
                from_address(app, "10.0.0.66", device.value)("olga", PASSWORD).status_code == 303
            )  # and from her own browser
            # With many addresses her name is slowed to an attempt a minute, but not in a browser of hers.
            codes = [from_address(app, f"10.0.1.{n}")("OLGA", "wrong").status_code for n in range(60)]
            assert codes.count(401) == 45 and set(codes[45:]) == {429}
            assert from_address(app, "10.0.0.3")("olga", PASSWORD).status_code == 429
            assert from_address(app, "10.0.0.3", device.value)("olga", PASSWORD).status_code == 303
            clock.now += 1
            assert from_address(app, "10.0.0.3")("olga", PASSWORD).status_code == 303
            for wrong in ("x", ".", device.value + "0", "0" + device.value):
                assert from_address(app, "10.0.0.66", wrong)("olga", PASSWORD).status_code == 429
            assert from_address(app, "10.0.0.66", device.value)("rita", PASSWORD).status_code == 401
            assert ("pair", "rita", "10.0.0.66") in app.state.access.attempts._failed  # it is no browser of hers
            # A browser that she has lost has attempts of its own, and none once she has another password.
            lost = from_address(app, "10.0.0.66", device.value)
            assert [lost("olga", "wrong").status_code for _ in range(6)] == [401] * 5 + [429]
            project.people.set_password_hash("olga", "another")
            assert from_address(app, "10.0.2.2", device.value)("olga", PASSWORD).status_code == 429


def test_a_network_of_ipv6_is_one_address_and_many_names_from_one_are_slowed(review, monkeypatch):
    with review(6) as project:
        app = team_app(project)
        with client(app, TEAM):
            app.state.access.attempts = Attempts(Clock())
            monkeypatch.setattr(app.state.access, "is_password", lambda person, password: False)
            codes = [from_address(app, f"2001:db8::{n:x}")(f"name {n}", "wrong").status_code for n in range(32)]
            assert codes == [401] * 30 + [429] * 2
            assert from_address(app, "2001:db8:0:1::1")("name", "wrong").status_code == 401


def test_passwords_that_wait_to_be_looked_at_leave_threads_for_others(review, monkeypatch):
    monkeypatch.setattr("triage.web.access._AT_ONCE", 1)
    with review(6) as project:
        access = team_app(project).state.access
        with access._looking(), pytest.raises(Refused, match="at this moment"):
            access.hashed(PASSWORD, "ann")
        assert access.hashed(PASSWORD, "ann").startswith("$argon2id$")
