"""The pages People and Account in a real browser: access withdrawn and given back, tokens, the second factor."""

import time
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from browser_helpers import PHONE, a_browser, a_window, faults, served
from web_helpers import PASSWORD

from triage.project import AccessKind, Role, Scope

browser, window = a_browser, a_window
HOSTILE = 'x"><img src=/x onerror=alert(1)>'


def joins(page, project, name, role):
    page.goto(f"/join/{project.people.invite(name, role, datetime.now(UTC) + timedelta(days=1))}")
    for field in ("password", "again"):
        page.locator(f"[name={field}]").fill(PASSWORD)
    with page.expect_event("load"):
        page.get_by_role("button", name="Join").click()


def early():
    """Wait until a half minute is not about to end: a code would be of the one before."""
    if (left := 30 - time.time() % 30) < 10:
        time.sleep(left)


def presses(page, name):
    with page.expect_event("load"):
        page.get_by_role("button", name=name, exact=True).click()


def test_an_owner_withdraws_access_and_gives_it_back(review, window):
    with review(12) as project, served(project, public=True) as (base, _):
        olga, rita = window(base), window(base)
        joins(olga, project, "olga", Role.OWNER)
        joins(rita, project, "rita", Role.REVIEWER)
        rita.wait_for_selector("#title")
        olga.goto("/people")
        assert faults(olga) == []
        presses(olga, "Withdraw: rita")
        assert "withdrawn on" in olga.locator("tr", has_text="rita").first.inner_text()
        assert faults(olga) == []
        rita.goto("/history")
        assert "/login" in rita.url
        rita.get_by_label("Name").fill("rita")
        rita.get_by_label("Password").fill(PASSWORD)
        presses(rita, "Log in")
        assert "was withdrawn" in rita.get_by_role("alert").inner_text()
        presses(olga, "Give back: rita")
        rita.get_by_label("Password").fill(PASSWORD)
        presses(rita, "Log in")
        rita.wait_for_selector("nav")
        presses(olga, "End sessions: rita")
        rita.goto("/history")
        assert "/login" in rita.url
        presses(olga, "Withdraw: olga")
        assert "only owner" in olga.locator("main").inner_text()
        olga.goto("/people")
        form = olga.locator("form.filters[action='/people/invitations']")
        form.locator("[name=name]").fill("eve")
        with olga.expect_event("load"):
            form.get_by_role("button").click()
        presses(olga, "Cancel the invitation of eve")
        assert not any(one.open for one in project.people.invitations())
        presses(olga, "Remove: rita")
        assert olga.get_by_label("Role of rita").count() == 0
        shown = olga.locator("table", has_text="When (UTC)").locator("tbody tr").all_inner_texts()
        assert [one.split("\t")[1:4] for one in shown[:3]] == [
            ["removed", "olga", "rita"],
            ["invitation cancelled", "olga", "eve"],
            ["invited, as reviewer", "olga", "eve"],
        ]
        assert len(shown) == len(project.people.access_log())


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_a_person_makes_tokens_and_a_second_factor_and_logs_in_by_it(review, window, phone):
    with review(6) as project, served(project, public=True) as (base, _):
        page = window(base, **(PHONE if phone else {}))
        joins(page, project, "olga", Role.OWNER)
        page.goto("/account")
        assert faults(page) == []
        page.get_by_label("Name of the program").fill(HOSTILE)
        page.get_by_label("Scope").select_option("read")
        page.get_by_label("Days until it expires").fill("30")
        presses(page, "Make a token")
        token = project.people.api_token(page.locator(".notice code").inner_text())
        assert (token.name, token.scope) == (HOSTILE, Scope.READ)
        assert timedelta(days=29) < token.expires_at - datetime.now(UTC) < timedelta(days=31)
        page.goto("/people")
        assert HOSTILE in page.locator("main").inner_text() and page.locator("main img").count() == 0
        presses(page, f"Revoke the token {HOSTILE} of olga")
        assert not project.people.api_tokens()[0].in_use
        page.goto("/account")
        page.get_by_label("Present password, for the second factor").fill(PASSWORD)
        presses(page, "Set a second factor up")
        assert faults(page) == []
        secret = page.locator("#secret").inner_text()
        assert f"secret={secret}" in page.get_by_role("link", name="this address").get_attribute("href")
        page.get_by_label("Code that is shown now").fill("000000")
        page.get_by_label("Present password, to set it up").fill(PASSWORD)
        presses(page, "Log in with codes from now on")
        assert "another" in page.get_by_role("alert").inner_text() and page.locator("#secret").inner_text() != secret
        totp = pyotp.TOTP(page.locator("#secret").inner_text())
        early()
        # The half minute before, so that the code of now is left for the log-in.
        page.get_by_label("Code that is shown now").fill(totp.at(datetime.now(UTC) - timedelta(seconds=30)))
        page.get_by_label("Present password, to set it up").fill(PASSWORD)
        presses(page, "Log in with codes from now on")
        assert "password and a code" in page.get_by_role("alert").inner_text()
        assert faults(page) == []
        presses(page, "Log out")
        assert faults(page) == []
        page.get_by_label("Name").fill("olga")
        page.get_by_label("Password").fill(PASSWORD)
        presses(page, "Log in")
        assert "wrong" in page.get_by_role("alert").inner_text()
        page.get_by_label("Password").fill(PASSWORD)
        early()
        page.get_by_label("Code").fill(totp.now())
        presses(page, "Log in")
        page.goto("/account")
        assert page.locator("h1").inner_text() == "Account"
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.get_by_label("Present password, for the second factor").fill(PASSWORD)
        page.get_by_label("Code that is shown now").fill(totp.at(datetime.now(UTC) + timedelta(seconds=30)))
        presses(page, "Take the second factor away")
        assert project.people.named("olga").totp_secret is None
        kinds = [one.kind for one in project.people.access_log()]
        assert kinds.count(AccessKind.SECOND_FACTOR) == 2 and AccessKind.FAILED in kinds
