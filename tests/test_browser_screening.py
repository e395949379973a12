"""Screening in a real browser: keys alone, dropped connections, counts, two people to the conflict list."""

import os
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from browser_helpers import PHONE, a_browser, a_window, faults, next_record, sent, served, standing, title
from conftest import BOTH, PROTOCOL
from web_helpers import PASSWORD, free_port

from triage import screening
from triage.log import Kind, Label
from triage.project import Project, Role
from triage.second_look import second_looks
from triage.web import sessions

browser, window = a_browser, a_window


def test_screening_with_the_keyboard_alone(review, window):
    protocol = PROTOCOL.replace('model = "fast"', 'model = "fast"\ntags = ["trial", "review"]')
    with review(60, protocol) as project, served(project) as (base, _):
        page = window(base)
        page.goto("/")
        page.wait_for_selector("#title")
        assert page.evaluate("document.activeElement.id") == "title"
        assert page.locator("#record mark.include").count() > 0
        shown = title(page)
        expected = []

        def press(*keys):
            for key in keys:
                page.keyboard.press(key)

        def decide(label, reason, *keys, note=""):
            nonlocal shown
            expected.append((label, reason, note))
            press(*keys)
            shown = next_record(page, shown)

        decide(Label.INCLUDE, "", "i")
        decide(Label.MAYBE, "", "m")
        decide(Label.EXCLUDE, "CHILD", "e", "1")  # a reason by its number,
        decide(Label.EXCLUDE, "ONLINE", "e", *"online")  # by its code,
        decide(Label.EXCLUDE, "ONLINE", "e", "o", "n", "Enter")  # by the beginning of its code,
        decide(Label.EXCLUDE, "", "e", "Enter")  # or none
        press("e", "Escape")  # back to the record: nothing is decided
        assert title(page) == shown and not page.locator("dialog[open]").count()
        press("n")
        assert page.locator("#note").is_visible()
        page.keyboard.type("by telephone e i m")  # letters of a note decide nothing
        press("Enter")
        press("t", "2", "Enter")
        decide(Label.INCLUDE, "", "i", note="by telephone e i m")
        sent(page)
        assert page.locator("#last").inner_text().startswith("Included: ")
        ids = [e.record_id for e in project.log.events() if e.kind is Kind.DECISION]
        assert [standing(project)[i] for i in ids] == expected
        assert [e.reason for e in project.live().tagged("abstract", "ann")[ids[-1]]] == ["review"]
        # Back: the record comes again, with its note, and another decision takes its place.
        press("u")
        page.wait_for_function("() => document.querySelector('#record .note')?.innerText.includes('by telephone')")
        sent(page)
        assert ids[-1] not in standing(project)
        shown = title(page)
        press("s")
        assert next_record(page, shown) != shown
        sent(page)
        # What only shows something.
        press("?")
        assert page.locator("#help").is_visible()
        press("Escape", "c")
        assert "Children and adolescents." in page.locator("#criteria").inner_text()
        press("Escape", "w")
        page.wait_for_selector("#why h3")
        press("Escape", "h")
        assert (
            page.evaluate("getComputedStyle(document.querySelector('#record mark')).backgroundColor")
            == "rgba(0, 0, 0, 0)"
        )
        press("q")
        page.wait_for_url("**/overview*")
        assert len(ids) == 7


def test_the_next_record_is_there_before_the_server_answers(review, window):
    with review(30) as project, served(project) as (base, _):
        page = window(base)
        page.goto("/")
        page.wait_for_selector("#title")
        held = []
        page.route("**/api/decisions", lambda route: held.append(route))
        before = title(page)
        page.keyboard.press("i")
        # It is there within the key's own event, whenever the server may answer.
        assert title(page) not in (before, "") and not title(page).startswith("The next record is on its way")
        while not held:
            page.wait_for_timeout(20)
        assert not standing(project)
        held[0].continue_()
        sent(page)
        assert len(standing(project)) == 1


def test_decisions_outlast_a_dropped_connection_and_a_reload_and_are_never_doubled(review, window):
    with review(60) as project, served(project) as (base, _):
        page = window(base)
        page.goto("/")
        page.wait_for_selector("#title")
        # The server takes the decision in, and its answer is lost.
        lost = []

        def lose(route):
            if len(lost) < 2:
                lost.append(route.fetch())
                route.abort()
            else:
                route.continue_()

        page.route("**/api/decisions", lose)
        first = title(page)
        page.keyboard.press("i")
        second = next_record(page, first)
        sent(page)
        assert len(lost) == 2 and len(standing(project)) == 1
        page.unroute("**/api/decisions")
        # No connection: two more are decided, and the page is loaded again when it is back.
        page.context.set_offline(True)
        page.keyboard.press("m")
        third = next_record(page, second)
        assert "waits in this browser" in page.locator("#connection").inner_text() or page.wait_for_selector(
            "#connection:not([hidden])"
        )
        page.keyboard.press("e")
        page.keyboard.press("1")
        page.wait_for_function(
            "() => document.getElementById('title').innerText.startsWith('The next record is on its way')"
        )
        assert len(standing(project)) == 1
        page.context.set_offline(False)
        page.reload()
        page.wait_for_selector("#title")
        sent(page)
        done = [(e.label, e.reason) for e in project.log.events() if e.kind is Kind.DECISION]
        assert done == [(Label.INCLUDE, ""), (Label.MAYBE, ""), (Label.EXCLUDE, "CHILD")]
        assert title(page) not in (first, second, third)
        assert page.locator("#connection").is_hidden()


@pytest.mark.parametrize("storage", ["file"])
def test_a_file_that_was_moved_is_told_and_what_was_decided_is_sent_when_it_is_back(review, window, tmp_path):
    with review(60) as project, served(project) as (base, _):
        page = window(base)
        page.goto("/")
        page.wait_for_selector("#title")
        first = title(page)
        os.rename(project.path, tmp_path / "elsewhere")
        page.keyboard.press("i")
        next_record(page, first)
        page.wait_for_selector("#connection:not([hidden])")
        said = page.locator("#connection").inner_text()
        assert "no longer there: it was moved" in said and "1 change waits in this browser" in said
        page.reload()
        assert "no longer there: it was moved" in page.locator("body").inner_text()
        os.rename(tmp_path / "elsewhere", project.path)
        page.reload()
        page.wait_for_selector("#title")
        sent(page)
        assert len(standing(project)) == 1


def test_a_server_that_is_killed_loses_nothing(review, window, tmp_path):
    with review(60) as project:
        path = project.path
    port = free_port()

    def start():
        command = [
            sys.executable,
            "-m",
            "triage",
            "serve",
            str(path),
            "--no-token",
            "--port",
            str(port),
            "--reviewer",
            "ann",
        ]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert f"http://127.0.0.1:{port}/" in process.stderr.readline()
        return process

    server = start()
    try:
        page = window(f"http://127.0.0.1:{port}")
        page.goto("/")
        page.wait_for_selector("#title")
        page.keyboard.press("i")
        next_record(page, "")
        sent(page)
        server.kill()
        server.wait()
        before = title(page)
        page.keyboard.press("m")
        page.wait_for_selector("#connection:not([hidden])")
        assert next_record(page, before) != before
        server = start()
        page.wait_for_selector("#connection", state="hidden")
        sent(page)
        with Project.open(path) as again:
            assert [e.label for e in again.log.events() if e.kind is Kind.DECISION] == [Label.INCLUDE, Label.MAYBE]
    finally:
        server.kill()
        server.wait()


def test_a_decision_is_changed_with_its_reason_note_and_tags(review, window):
    with (
        review(12, PROTOCOL.replace('model = "fast"', 'model = "fast"\ntags = ["trial", "review"]')) as project,
        served(project) as (base, _),
    ):
        project.log.decide(
            "abstract",
            [{"record_id": 3, "label": Label.INCLUDE, "note": "at first"}],
            reviewer="ann",
            tags={3: ["trial"]},
        )
        page = window(base)
        page.goto("/history?q=first")
        page.locator(".records a").click()
        assert page.get_by_label("trial").is_checked() and not page.get_by_label("review").is_checked()
        page.locator("#change [name=label]").select_option("exclude")
        page.locator("#change [name=reason]").select_option("CHILD")
        page.locator("#change [name=note]").fill("on second thoughts")
        page.get_by_label("trial").uncheck()
        page.get_by_label("review").check()
        page.get_by_role("button", name="Save", exact=True).click()
        page.wait_for_function("() => document.getElementById('said').innerText === 'Kept: exclude (CHILD)'")
        assert standing(project) == {3: (Label.EXCLUDE, "CHILD", "on second thoughts")}
        assert [e.reason for e in project.live().tagged("abstract", "ann")[3]] == ["review"]


@pytest.mark.parametrize("on", ["a computer", "a phone"])
def test_the_counts_are_exact_after_each_decision(review, window, on):
    with review(40, PROTOCOL) as project, served(project) as (base, _):
        page = window(base, **(PHONE if on == "a phone" else {}))
        page.goto("/")
        page.wait_for_selector("#title")
        decided = []

        def press(name):
            if on == "a phone":
                page.locator(f"#do-{name}").tap()
            else:
                page.keyboard.press(name[0])
            if name == "exclude":
                if on == "a phone":
                    page.locator("#reasons .none").tap()
                else:
                    page.keyboard.press("Enter")

        def told():
            return page.locator("#counts").inner_text()

        def expected():
            return f"{len(decided)} of 40 screened | {sum(decided)} relevant found | {40 - len(decided)} left"

        page.wait_for_function("() => document.getElementById('counts').innerText")
        assert told() == expected() == "0 of 40 screened | 0 relevant found | 40 left"
        assert page.locator("#state").bounding_box()["y"] >= 0  # in view, on a phone too
        for n in range(12):
            shown = title(page)
            name = ["include", "exclude", "maybe"][n % 3]
            decided.append(name != "exclude")
            press(name)
            assert told() == expected()  # before the server has answered,
            next_record(page, shown)
            sent(page)
            assert told() == expected()  # and after
        assert page.locator("#recall").inner_text() == "recall at least 18.9 %, target 95 % (2 decisions ago)"
        shown = title(page)
        press("skip")
        next_record(page, shown)
        sent(page)
        assert told() == expected()
        for _ in range(2):
            page.wait_for_timeout(50)
            press("undo")
            decided.pop()
            page.wait_for_function("told => document.getElementById('counts').innerText === told", arg=expected())
            sent(page)
        # A decision that is changed on the page of its record: counted with the next one here.
        first = next(e for e in project.log.events() if e.kind is Kind.DECISION)
        other = page.context.new_page()
        other.goto(f"/records/{first.record_id}")
        other.locator("#change [name=label]").select_option("exclude")
        other.get_by_role("button", name="Save", exact=True).click()
        other.wait_for_function("() => document.getElementById('said').innerText === 'Kept: exclude'")
        decided[0] = False
        shown = title(page)
        press("include")
        decided.append(True)
        next_record(page, shown)
        sent(page)
        assert told() == expected()
        # Undone, a changed decision is as it was before; without a connection what is decided counts, and is sent later.
        page.context.set_offline(True)
        shown = title(page)
        press("maybe")
        decided.append(True)
        assert told() == expected()
        page.wait_for_selector("#connection:not([hidden])")
        page.context.set_offline(False)
        sent(page)
        assert told() == expected()
        page.reload()
        page.wait_for_selector("#title")
        page.wait_for_function("told => document.getElementById('counts').innerText === told", arg=expected())
        assert sum(e.label is not Label.EXCLUDE for e in project.live().decisions.values()) == sum(decided)


def test_second_looks_are_taken_one_after_the_other_by_the_keyboard(review, window):
    with review(90) as project:
        screening.commit_audit(project)
        excluded = [{"record_id": i, "label": Label.EXCLUDE, "note": "by carl"} for i in range(1, 91)]
        project.log.decide("abstract", excluded, reviewer="carl")
        with served(project) as (base, _):
            page = window(base, viewport={"width": 360, "height": 640})
            page.goto("/overview")
            page.get_by_role("link", name="Take a second look", exact=True).click()
            assert "What second looks prove" in page.locator("main").inner_text() and faults(page) == []
            page.get_by_label("Second looks", exact=True).fill("5")
            page.get_by_role("button", name="Take so many").click()
            page.wait_for_url("**/second-look?*")
            waiting = list(second_looks(project.snapshot(), "ann").waiting)
            assert len(waiting) == 5
            page.goto("/overview")
            page.get_by_role("link", name=re.compile("5 excluded records await your second look")).click()
            assert faults(page) == [] and "0 of 5 are judged again; 5 await you" in page.locator("main").inner_text()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.locator(".records a").first.focus()
            page.keyboard.press("Enter")
            for at, record_id in enumerate(waiting):
                page.wait_for_url(f"**/records/{record_id}?*")
                assert faults(page) == [] and "carl" not in page.locator("main").inner_text()
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                page.locator("#change [name=label]").focus()
                page.keyboard.type("include" if at == 0 else "exclude")
                page.get_by_role("button", name="Save", exact=True).focus()
                page.keyboard.press("Enter")
                page.wait_for_function("() => document.activeElement.matches('.looks a')")
                page.keyboard.press("Enter")
            page.wait_for_url("**/second-look?*")
            assert "5 of 5 are judged again" in page.locator("main").inner_text()
        assert [project.live().decisions["abstract", i, "ann"].label for i in waiting] == [
            Label.INCLUDE,
            *[Label.EXCLUDE] * 4,
        ]
        assert not [e for e in project.log.events() if e.kind is Kind.SHOWN]


@pytest.mark.parametrize("storage", BOTH)
def test_two_people_screen_a_review_blind_to_the_conflict_list(review, window):
    protocol = PROTOCOL.replace('model = "fast"', 'model = "fast"\nreviewers_per_record = 2')
    with review(12, protocol) as project, served(project, public=True) as (base, _app):
        pages = {}
        for name, role in (("olga", Role.OWNER), ("rita", Role.REVIEWER)):
            page = pages[name] = window(base)
            token = project.people.invite(name, role, datetime.now(UTC) + timedelta(days=1))
            page.goto(f"/join/{token}")
            assert faults(page) == []
            page.keyboard.type(PASSWORD)
            page.keyboard.press("Tab")
            page.keyboard.type(PASSWORD)
            page.keyboard.press("Enter")
            page.wait_for_selector("#title")
        for name, page in pages.items():
            page.reload()
            page.wait_for_selector("#title")
            for _ in range(12):
                shown = title(page)
                if shown.startswith("Nothing is left"):
                    break
                relevant = "peer" in page.locator("#record").inner_text()
                if (relevant and name == "olga") or (relevant and "number0" not in shown):
                    page.keyboard.press("i")
                else:
                    page.keyboard.press("e")
                    page.keyboard.press("1")
                next_record(page, shown)
                sent(page)
            page.wait_for_function("() => document.getElementById('title').innerText.startsWith('Nothing is left')")
            if name == "olga":
                assert not project.stage().consensus.conflicts
        assert len([e for e in project.log.events() if e.kind is Kind.DECISION]) == 24
        olga = pages["olga"]
        olga.goto("/conflicts")
        assert faults(olga) == []
        assert olga.locator("section.conflict").count() == 1 and "rita" in olga.locator("section.conflict").inner_text()
        olga.locator("section.conflict summary").click()
        assert "schizophrenia" in olga.locator("section.conflict details").inner_text()
        olga.locator("section.conflict select[name=label]").select_option("exclude")
        olga.locator("section.conflict button").click()
        olga.wait_for_function("() => document.getElementById('said').innerText.includes('0 open')")
        assert project.stage().consensus.labels[1] is Label.EXCLUDE
        olga.goto("/people")
        assert faults(olga) == []
        olga.get_by_role("button", name="Log out", exact=True).click()
        olga.wait_for_url("**/login")
        assert faults(olga) == []
        olga.goto("/history")
        assert "/login" in olga.url


def test_what_a_machine_suggests_appears_once_the_record_is_decided_on(review, window):
    with review(30) as project:
        rows = [{"record_id": i, "label": Label.EXCLUDE, "note": '{"rationale": "<b>soil</b>"}'} for i in range(1, 31)]
        project.log.suggest("abstract", rows, machine="gpt-x 1", known={})
        with served(project) as (base, _):
            page = window(base)
            page.goto("/")
            page.wait_for_selector("#title")
            shown = title(page)
            assert "gpt-x" not in page.content()
            page.keyboard.press("i")
            page.wait_for_selector("#suggested:not([hidden])")
            assert page.inner_text("#suggested") == f"On “{shown}”: gpt-x 1 suggests exclude: soil"
            next_record(page, shown)
            assert "gpt-x" not in page.inner_text("#record")
            page.keyboard.press("u")
            page.wait_for_selector("#suggested", state="hidden")


def test_while_a_review_is_opened_the_page_says_how_far_it_is_and_what_time_is_left(review, window):
    opening = {"what": "Encoding", "done": 1200, "total": 40000, "left": "3 min"}
    held = {"records": [], "state": None, "preparing": opening}
    with review(12) as project, served(project) as (base, _):
        page = window(base)
        page.route("**/api/queue*", lambda route: route.fulfill(json=held))
        page.goto("/")
        page.get_by_text("1,200 of 40,000, about 3 min left").wait_for()
        assert page.get_by_role("progressbar", name="Encoding").get_attribute("max") == "40000"
        opening["left"] = ""
        page.get_by_text("1,200 of 40,000", exact=True).wait_for()
        page.unroute("**/api/queue*")
        page.wait_for_selector("#title")


def test_records_are_there_at_once_and_the_page_says_what_ranks_them_until_they_are_ranked_by_meaning(
    review, window, monkeypatch
):
    go, real = threading.Event(), sessions.model_of

    def held(*given):
        assert go.wait(60)
        return real(*given)

    monkeypatch.setattr(sessions, "model_of", held)
    with review(30, PROTOCOL.replace('model = "fast"\n', "")) as project, served(project) as (base, _):
        page = window(base)
        page.goto("/")
        page.wait_for_selector("#title")
        page.get_by_text("Ranked by words until the meaning of the abstracts is computed.").wait_for()
        before = title(page)
        page.keyboard.press("i")
        shown = next_record(page, before)
        go.set()
        page.locator("#improving").wait_for(state="hidden")
        assert title(page) == shown and project.rankings.newest("abstract").model["name"] == "default"
        page.keyboard.press("e")
        page.keyboard.press("Enter")
        next_record(page, shown)
        page.wait_for_function("document.getElementById('counts').innerText.startsWith('2 of 30')")
