"""The pages in a real browser: keys alone, a narrow screen, dropped connections, dark mode, two people to the conflict list."""

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import BOTH, PROTOCOL

from triage import intake, screening, web
from triage.log import Kind, Label
from triage.project import Project, Role
from triage.second_look import second_looks
from triage.web.gate import ServerOrigin

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("there is no Chromium (Debian's package chromium)", allow_module_level=True)

AXE = (Path(__file__).parent / "files" / "axe.min.js").read_text(encoding="utf-8")
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        # Root in a container cannot have the sandbox; the pages come from this test alone.
        made = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield made
        made.close()


@pytest.fixture
def window(browser):
    """Give a function that opens a page; what its scripts complain of, or run that they must not, fails the test."""
    contexts, wrong = [], []

    def open_window(base, **options):
        context = browser.new_context(base_url=base, **{"viewport": {"width": 1100, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)  # a machine may be busy with much else: only what never comes fails
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(f"a dialog: {dialog.message}"), dialog.dismiss()))
        page.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
        # The browser's own viewer of PDFs is made of pages of its own.
        inside = (base, "data:", "blob:", "chrome:", "chrome-extension:")
        page.on("request", lambda request: None if request.url.startswith(inside) else wrong.append(request.url))
        return page

    yield open_window
    for context in contexts:
        context.close()
    assert wrong == []


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(project, public=False):
    """Serve a review on this machine; give its address and the application."""
    import uvicorn

    port = free_port()
    base = f"http://127.0.0.1:{port}"
    door = ServerOrigin.of("127.0.0.1", port, tls=False, public=base if public else "")
    app = web.make_app(project, door, reviewer="ann")
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield base, app
    finally:
        server.should_exit = True
        thread.join()


def title(page):
    return page.locator("#title").inner_text()


def next_record(page, before):
    """Wait until another record is shown; return its title."""
    page.wait_for_function(
        """before => {
        const now = document.getElementById('title')?.innerText ?? '';
        return now && now !== before && !now.startsWith('The next record is on its way');
    }""",
        arg=before,
    )
    return title(page)


def sent(page):
    """Wait until the browser holds nothing that the server has not answered."""
    page.wait_for_function(
        "() => Object.keys(localStorage).filter(k => k.endsWith(':queue')).every(k => localStorage[k] === '[]')"
    )


def standing(project):
    return {e.record_id: (e.label, e.reason, e.note) for e in project.live().decisions.values()}


def faults(page):
    """Return the serious faults that axe-core finds on a page."""
    page.evaluate(AXE)
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        (one["id"], [node["html"][:120] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


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


def test_a_server_that_is_killed_loses_nothing(review, window, tmp_path):
    with review(60) as project:
        path = project.path
    port = free_port()

    def start():
        command = [sys.executable, "-m", "triage", "serve", str(path), "--port", str(port), "--reviewer", "ann"]
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


# -- a phone: touch alone -----------------------------------------------------------------------

PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}
WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
LONG = f"""TY  - JOUR
TI  - {WORD} peer support
AB  - {"Peer support of adults in mental health care was studied at length. " * 60}
AU  - {WORD}, A
JO  - {WORD}
DO  - 10.1000/{"x" * 90}
KW  - {WORD}
ER  -

TY  - JOUR
TI  - A title alone
ER  -
"""
REASONS = "".join(
    f'\n[[exclude]]\ncode = "R{n}"\ntext = "Another reason, number {n}, told at such length that it takes lines"\n'
    for n in range(12)
)
TAGS = ["trial", "review", WORD, *(f"t{n}" for n in range(12))]
TAGGED = PROTOCOL.replace('model = "fast"', f'model = "fast"\ntags = {json.dumps(TAGS)}')


_TOO_WIDE = """width => document.scrollingElement.scrollWidth <= width && innerWidth <= width ? [] :
    [document.scrollingElement.scrollWidth, ...[...document.querySelectorAll('main *, header *')].filter(
        (one) => one.getBoundingClientRect().right > width && !one.closest('.scroll'),
    ).map((one) => one.outerHTML.slice(0, 80))]"""


def fits(page):
    """Check that a page does not scroll sideways, and that what is pressed has room for a finger."""
    # Not innerWidth: where something is too wide, a phone makes that as wide.
    width = page.viewport_size["width"]
    for _ in range(30):  # a busy machine lays out late
        if not (wide := page.evaluate(_TOO_WIDE, width)):
            break
        page.wait_for_timeout(100)
    low = page.evaluate("""() => [...document.querySelectorAll('button')].filter(
        (one) => one.offsetParent && one.offsetHeight < 44).map((one) => one.outerHTML)""")
    assert (wide, low) == ([], []), page.url


def opened(page, name):
    """Open a dialog by a tap on its button; return it."""
    page.locator(f"#do-{name}").tap()
    dialog = page.locator("dialog[open]")
    dialog.wait_for()
    fits(page)
    box = dialog.bounding_box()
    assert box["x"] >= 0 and box["y"] >= 0 and box["x"] + box["width"] <= 360 and box["y"] + box["height"] <= 640
    return dialog


def leave(page, dialog, by):
    """Leave a dialog by one of its buttons, which is in view however long the dialog is, or by a tap beside it."""
    if by == "beside":
        box = dialog.bounding_box()
        page.touchscreen.tap(180, 620 if box["y"] + box["height"] < 600 else box["y"] / 2)
    else:
        button = dialog.get_by_role("button", name=by, exact=True)
        box = button.bounding_box()
        assert box["height"] >= 44 and box["y"] + box["height"] <= 640
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("dialog[open]", state="detached")


def test_on_a_phone_each_dialog_is_used_and_left_by_touch_alone(review, window, tmp_path):
    with review(30, TAGGED + REASONS) as project:
        (tmp_path / "long.ris").write_text(LONG, encoding="utf-8")
        intake.import_files(project, [tmp_path / "long.ris"], reviewer="ann")
        with served(project) as (base, _):
            page = window(base, **PHONE)
            page.goto("/")
            page.wait_for_selector("#title")
            fits(page)
            shown = title(page)

            def goes_on():
                nonlocal shown
                shown = next_record(page, shown)
                sent(page)
                return list(standing(project).values())[-1]

            # Looked at and left: the record stays, and nothing is decided.
            for name, ways in {
                "exclude": ["Back", "beside"],
                "tags": ["Done", "beside"],
                "note": ["Keep", "Cancel", "beside"],
                "why": ["Close", "beside"],
                "criteria": ["Close", "beside"],
                "help": ["Close", "beside"],
            }.items():
                for by in ways:
                    dialog = opened(page, name)
                    assert by != ways[0] or faults(page) == []
                    leave(page, dialog, by)
                    assert title(page) == shown
            # A second tap that comes too fast to be meant chooses none of what the first has opened.
            box = page.locator("#do-exclude").bounding_box()
            for _ in range(2):
                page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            assert not page.locator("dialog[open]").count() and title(page) == shown
            sent(page)
            assert standing(project) == {}
            # Reasons: one that must be scrolled to, and none.
            opened(page, "exclude").get_by_role("button", name=re.compile("R11")).tap()
            assert goes_on() == (Label.EXCLUDE, "R11", "")
            leave(page, opened(page, "exclude"), "No reason")
            assert goes_on() == (Label.EXCLUDE, "", "")
            # Tags are given and taken off; what was given is kept with the decision.
            dialog = opened(page, "tags")
            for tag in ("trial", "t11", "review", "trial"):
                dialog.get_by_role("button", name=tag, exact=True).tap()
            pressed = [
                dialog.get_by_role("button", name=tag, exact=True).get_attribute("aria-pressed") for tag in TAGS[:2]
            ]
            assert pressed == ["false", "true"]
            leave(page, dialog, "Done")
            # A note: cancelled, kept by a tap beside it, changed.
            for by, text, there in (("Cancel", "not this", ""), ("beside", "this", "this"), ("Keep", "that", "that")):
                opened(page, "note").locator("textarea").fill(text)
                leave(page, page.locator("dialog[open]"), by)
                page.wait_for_function(
                    """there => [...document.querySelectorAll('#record .note')].map((one) => one.innerText)
                    .filter((text) => text.startsWith('Note')).join() === (there && `Note ${there}`)""",
                    arg=there,
                )
            page.locator("#do-include").tap()
            assert goes_on() == (Label.INCLUDE, "", "that")
            assert [
                e.reason for [(_, tags)] in [list(project.live().tagged("abstract", "ann").items())] for e in tags
            ] == ["t11", "review"]
            # Back, again, later, and without the marks.
            page.locator("#do-undo").tap()
            page.wait_for_function("() => document.querySelector('#record .note')?.innerText === 'Note that'")
            shown = title(page)
            page.locator("#do-maybe").tap()
            assert goes_on() == (Label.MAYBE, "", "that")
            page.locator("#do-skip").tap()
            goes_on()
            page.locator("#do-marks").tap()
            assert page.locator("#do-marks").get_attribute("aria-pressed") == "false"
            assert len(standing(project)) == 3


def test_on_a_phone_full_texts_are_attached_and_taken_off_by_touch_alone(review, window, tmp_path):
    with review(30, TWO_STAGES) as project, served(project) as (base, _):
        at_full_text(project)
        (tmp_path / f"{WORD}.pdf").write_bytes(pdf("The full text"))
        page = window(base, **PHONE)
        page.goto("/?stage=full-text")
        page.wait_for_selector("#title")
        record_id = int(page.locator("#title").get_attribute("data-record"))
        for by in ("Close", "beside"):
            leave(page, opened(page, "pdf"), by)
        dialog = opened(page, "pdf")
        dialog.locator("input[type=file]").set_input_files(tmp_path / f"{WORD}.pdf")
        dialog.get_by_role("button", name="Attach").tap()
        dialog.get_by_role("button", name="Take off").tap()
        dialog.get_by_role("button", name="Put it back").tap()
        page.wait_for_function("() => document.querySelectorAll('#files li').length === 1")
        fits(page)
        leave(page, dialog, "Close")
        assert page.locator("#record a[href^='/api/attachments/']").count() == 1
        shown = title(page)
        opened(page, "exclude").get_by_role("button", name=re.compile("DATA")).tap()
        next_record(page, shown)
        sent(page)
        assert project.live().decisions["full-text", record_id, "ann"].reason == "DATA"
        page.goto(f"/records/{record_id}?stage=full-text")
        page.get_by_role("button", name="Take off").tap()
        page.get_by_role("button", name="Put it back").wait_for()
        fits(page)


@pytest.mark.parametrize("width, height", [(360, 640), (640, 360), (1100, 800)])
def test_the_buttons_that_decide_stay_in_one_place_and_hide_nothing(review, window, tmp_path, width, height):
    with review(6) as project:
        (tmp_path / "long.ris").write_text(LONG, encoding="utf-8")
        intake.import_files(project, [tmp_path / "long.ris"], reviewer="ann")
        with served(project) as (base, _):
            page = window(base, **{**(PHONE if width < 1000 else {}), "viewport": {"width": width, "height": height}})
            page.goto("/")
            page.wait_for_selector("#title")
            places, lengths = set(), set()
            for _ in range(8):
                shown = title(page)
                length = page.evaluate("document.scrollingElement.scrollHeight")
                lengths.add(length)
                for top in (None, 0, length // 2, length):  # as it comes, at the beginning, in the middle, at the end
                    if top is not None:
                        page.evaluate("top => scrollTo({top, behavior: 'instant'})", top)
                    boxes = [
                        page.locator(f"#do-{name}").bounding_box() for name in ("include", "exclude", "maybe", "note")
                    ]
                    assert all(box["height"] >= 44 and box["width"] >= 60 for box in boxes)
                    places.add(tuple((round(box["x"]), round(box["y"])) for box in boxes))
                assert height - 20 < boxes[-1]["y"] + boxes[-1]["height"] + (50 if width > 1000 else 0) <= height
                # Scrolled to the end, what is last of the record, and of the other buttons, is above them.
                last = page.locator("#record > :last-child").bounding_box()
                assert last["y"] + last["height"] <= boxes[0]["y"]
                if width < 1000:
                    other = page.locator("#do-help").bounding_box()
                    assert other["y"] + other["height"] <= boxes[0]["y"]
                page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
                page.locator("#do-maybe").click()
                if next_record(page, shown).startswith("Nothing is left"):
                    break
            assert len(places) == 1 and max(lengths) > 2 * height and len(lengths) > 1


def test_the_buttons_keep_clear_of_what_a_phone_covers(review, window):
    with review(6) as project, served(project) as (base, _):
        page = window(base, **PHONE)
        covered = page.context.new_cdp_session(page)
        covered.send(
            "Emulation.setSafeAreaInsetsOverride", {"insets": {"top": 40, "bottom": 34, "left": 20, "right": 20}}
        )
        page.goto("/")
        page.wait_for_selector("#title")
        fits(page)
        for name in ("include", "note"):
            box = page.locator(f"#do-{name}").bounding_box()
            assert box["x"] >= 20 and box["x"] + box["width"] <= 340 and box["y"] + box["height"] <= 640 - 34
        leave(page, opened(page, "exclude"), "Back")


def test_every_page_is_gone_through_by_touch_and_none_scrolls_sideways(review, window, tmp_path):
    protocol = (
        TAGGED.replace('model = "fast"', 'model = "fast"\nreviewers_per_record = 2')
        + REASONS
        + TWO_STAGES.removeprefix(PROTOCOL)
    )
    with review(12, protocol) as project, served(project, public=True) as (base, _app):
        source = tmp_path / f"PubMed_{WORD}.ris"
        pair = "".join(
            f"TY  - JOUR\nTI  - Lessons of peer support in {WORD} wards\nAU  - Sono, T\nPY  - {year}\nER  -\n\n"
            for year in (2007, 2008)
        )
        source.write_text(LONG + pair, encoding="utf-8")
        page = window(base, **PHONE)

        def goes(name):
            with page.expect_event("load"):
                page.locator(".top nav").get_by_role("link", name=name, exact=True).tap()
            fits(page)

        def presses(name, at=None):
            (at or page).get_by_role("button", name=name, exact=True).first.tap()

        page.goto(f"/join/{project.people.invite('olga', Role.OWNER, datetime.now(UTC) + timedelta(days=1))}")
        for field in ("password", "again"):
            page.locator(f"[name={field}]").tap()
            page.locator(f"[name={field}]").fill(PASSWORD)
        fits(page)
        presses("Join")
        page.wait_for_selector("#title")
        goes("Files")
        page.locator("#chosen").set_input_files(source)
        presses("Import")
        page.wait_for_selector("#report section")
        fits(page)
        page.reload()
        fits(page)
        page.locator(".top nav").get_by_role("link", name="Duplicates").tap()
        presses("Look for duplicates")
        page.wait_for_selector(".pair")
        fits(page)
        presses("Two records")
        page.wait_for_function("() => document.getElementById('said').innerText.includes('open')")
        goes("People")
        page.locator("form.filters [name=name]").fill(WORD)
        presses("Make a link")
        page.wait_for_selector(".notice code")
        fits(page)
        link = page.locator(".notice code").inner_text()
        other = window(base, **PHONE)
        other.goto(link)
        fits(other)
        for field in ("password", "again"):
            other.locator(f"[name={field}]").fill(PASSWORD)
        other.get_by_role("button", name="Join").tap()
        other.wait_for_selector("#title")
        fits(other)
        goes("People")
        page.get_by_label(f"Role of {WORD}").select_option("adjudicator")
        with page.expect_event("load"):
            presses("Change", page.locator("tr", has_text=WORD))
        assert project.people.named(WORD).role is Role.ADJUDICATOR
        goes("Account")
        page.locator("form.filters [name=name]").fill(WORD)
        presses("Make a token")
        page.wait_for_selector("[role=status] code")
        fits(page)
        page.get_by_role("link", name="the interface").tap()
        page.wait_for_selector(".operation")
        fits(page)
        for who, relevant in (("olga", 9), (WORD, 4)):
            project.log.decide(
                "abstract",
                [
                    {
                        "record_id": i,
                        "label": Label.INCLUDE if i < relevant else Label.EXCLUDE,
                        "note": WORD,
                        "reason": "" if i < relevant else "R3",
                    }
                    for i in range(1, 13)
                ],
                reviewer=who,
            )
        page.locator(".top nav").get_by_role("link", name="Conflicts").tap()
        page.locator("section.conflict summary").first.tap()
        fits(page)
        form = page.locator("form.settle").first
        form.locator("[name=label]").select_option("exclude")
        form.locator("[name=reason]").select_option("R7")
        presses("Settle", form)
        page.wait_for_function("() => document.getElementById('said').innerText.includes('Settled: exclude')")
        fits(page)
        goes("Overview")
        for scroll in page.locator(".scroll").all():
            scroll.scroll_into_view_if_needed()
        goes("My decisions")
        page.locator("form.filters [name=label]").select_option("include")
        presses("Show")
        page.wait_for_url("**label=include**")
        fits(page)
        page.locator(".records a").first.tap()
        page.wait_for_selector("#change")
        fits(page)
        record_id = int(page.locator("#change").get_attribute("data-record"))
        page.locator("#change [name=label]").select_option("exclude")
        page.locator("#change [name=reason]").select_option("R1")
        page.get_by_label("review", exact=True).tap()
        presses("Save")
        page.wait_for_function("() => document.getElementById('said').innerText === 'Kept: exclude (R1)'")
        assert project.live().decisions["abstract", record_id, "olga"].reason == "R1"
        fits(page)
        goes("Search")
        page.locator("main [name=q]").fill(WORD)
        presses("Search")
        page.wait_for_selector(".records a")
        fits(page)
        page.locator(".records a").first.tap()
        page.wait_for_selector("#change")
        fits(page)
        for path in ("/second-look", "/overview?stage=full-text", "/nowhere"):
            page.goto(path)
            fits(page)
        page.goto("/?stage=full-text")
        page.wait_for_selector("#title")
        fits(page)
        page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
        presses("Log out")
        page.wait_for_url("**/login")
        fits(page)
        page.locator("[name=name]").fill("olga")
        page.locator("[name=password]").fill("wrong wrong wrong")
        presses("Log in")
        page.wait_for_selector("[role=alert]")
        fits(page)


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_fault_keeps_people_from_the_pages(review, window, scheme):
    with (
        review(30, PROTOCOL.replace('model = "fast"', 'model = "fast"\ntags = ["trial"]')) as project,
        served(project) as (base, _),
    ):
        page = window(base, color_scheme=scheme)
        page.goto("/")
        page.wait_for_selector("#title")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        assert dark is (scheme == "dark")
        assert faults(page) == []
        page.keyboard.press("e")
        page.wait_for_selector("#reasons[open]")
        assert faults(page) == []
        page.keyboard.press("1")
        page.keyboard.press("i")
        sent(page)
        for path in (
            "/overview",
            "/history",
            "/search?q=peer",
            "/records/1",
            "/files",
            "/duplicates",
            "/account",
            "/api",
        ):
            page.goto(path)
            assert faults(page) == [], path


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
        olga.get_by_role("button", name="Log out").click()
        olga.wait_for_url("**/login")
        assert faults(olga) == []
        olga.goto("/history")
        assert "/login" in olga.url


def pdf(text, action=""):
    """Return a PDF of one page, with something to run when it is opened."""
    shown = f"BT /F1 28 Tf 40 400 Td ({text}) Tj ET"
    objects = [
        f"<</Type/Catalog/Pages 2 0 R{action}>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 500]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        f"<</Length {len(shown)}>>stream\n{shown}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    made, places = "%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(made))
        made += f"{number} 0 obj\n{one}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 6\n0000000000 65535 f \n{table}trailer<</Size 6/Root 1 0 R>>\nstartxref\n{len(made)}\n%%EOF\n"
    return (made + end).encode("ascii")


TWO_STAGES = (
    PROTOCOL
    + """
[[stages]]
name = "abstract"
[[stages]]
name = "full-text"
reasons = [{ code = "DESIGN", text = "No trial" }, { code = "DATA", text = "No data" }]
"""
)


def at_full_text(project, n=6):
    """Pass the first records on to the full text."""
    project.log.decide("abstract", [{"record_id": i, "label": Label.INCLUDE} for i in range(1, n + 1)], reviewer="ann")


def viewed(page):
    """Wait until the browser's viewer shows a PDF in the frame, read by it from our server; return its address."""
    # The viewer asks for the file anew, in a frame of its own within its page.
    page.wait_for_function("() => document.querySelector('#fulltext iframe')")
    for _ in range(1_200):
        addresses = [frame.url for frame in page.frames]
        if (
            any(url.startswith("chrome-extension:") for url in addresses)
            and sum("/api/attachments/" in url for url in addresses) > 1
        ):
            return next(url for url in addresses if "/api/attachments/" in url)
        page.wait_for_timeout(50)
    raise AssertionError(f"no viewer: {addresses}")


def test_a_full_text_is_attached_and_read_beside_the_form(review, window, tmp_path):
    with review(30, TWO_STAGES) as project, served(project) as (base, _):
        at_full_text(project)
        (tmp_path / "Smith 2001.pdf").write_bytes(pdf("The full text"))
        (tmp_path / "supplement.pdf").write_bytes(pdf("The supplement"))
        (tmp_path / "page.pdf").write_bytes(b"<html>Log in")
        page = window(base)
        page.goto("/?stage=full-text")
        page.wait_for_selector("#title")
        assert page.locator("iframe").count() == 0 and "No PDF yet" in page.locator("#record").inner_text()
        first = title(page)
        record_id = int(page.locator("#title").get_attribute("data-record"))
        # What is no PDF is refused in words.
        page.keyboard.press("p")
        page.set_input_files("#files input[type=file]", tmp_path / "page.pdf")
        page.get_by_role("button", name="Attach").click()
        page.wait_for_function("() => document.querySelector('#files [role=status]').innerText.includes('is no PDF')")
        assert not project.live().attached
        page.set_input_files("#files input[type=file]", tmp_path / "Smith 2001.pdf")
        page.get_by_role("button", name="Attach").click()
        page.wait_for_function(
            "() => document.querySelector('#files [role=status]').innerText.includes('Attached: Smith 2001.pdf')"
        )
        assert faults(page) == []
        page.keyboard.press("Escape")
        event = project.live().attachments(record_id)[0]
        assert f"/api/attachments/{event.seq}" in viewed(page)
        box, form = page.locator("#fulltext iframe").bounding_box(), page.locator("#do-include").bounding_box()
        assert box["x"] > form["x"] + form["width"] and box["height"] > 500 and box["y"] + box["height"] <= 801
        assert page.get_by_role("link", name="Smith 2001.pdf (1 kB)").get_attribute("target") == "_blank"
        assert faults(page) == []
        # The viewer takes no key that is not meant for it: once it was clicked on, the page says so, and the
        # pointer back at the record takes the keys back.
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_function(
            "() => document.activeElement.tagName === 'IFRAME' && !document.querySelector('#fulltext .notice').hidden"
        )
        page.keyboard.press("i")
        page.mouse.move(form["x"], form["y"] - 60)
        page.wait_for_function("() => document.activeElement.id === 'title'")
        assert title(page) == first and not any(stage == "full-text" for stage, *_ in project.live().decisions)
        # A second one, dropped on the record; either is shown.
        data = page.evaluate_handle(
            """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "supplement.pdf", {type: "application/pdf"}));
            return data;
        }""",
            list(pdf("The supplement")),
        )
        page.dispatch_event("#reading", "drop", {"dataTransfer": data})
        page.wait_for_function("() => document.querySelectorAll('#files li').length === 2")
        page.keyboard.press("Escape")
        page.locator("#fulltext").get_by_role("button", name="supplement.pdf").click()
        page.wait_for_function("() => document.querySelector('#fulltext iframe').title === 'PDF: supplement.pdf'")
        # Taken off, and put back.
        page.keyboard.press("p")
        page.get_by_role("button", name="Take off Smith 2001.pdf").click()
        page.get_by_role("button", name="Put it back").wait_for()
        assert [e.note for e in project.live().attachments(record_id)] == ["supplement.pdf"]
        page.get_by_role("button", name="Put it back").click()
        page.wait_for_function("() => document.querySelectorAll('#files li').length === 2")
        assert [e.note for e in project.live().attachments(record_id)] == ["supplement.pdf", "Smith 2001.pdf"]
        page.keyboard.press("Escape")
        # And the decision, with a reason of this stage; the next record brings no frame of this one's.
        page.keyboard.press("e")
        page.keyboard.press("2")
        next_record(page, first)
        sent(page)
        assert project.live().decisions["full-text", record_id, "ann"].reason == "DATA"
        assert page.locator("iframe").count() == 0
        page.goto(f"/records/{record_id}?stage=full-text")
        viewed(page)
        assert page.locator("#files li").count() == 2 and faults(page) == []
        page.goto("/overview?stage=full-text")
        assert "1 of 6 records at this stage has a PDF" in page.locator("main").inner_text() and faults(page) == []


def test_a_folder_of_pdfs_goes_to_the_records_of_their_names(review, window, tmp_path):
    with review(12, TWO_STAGES) as project, served(project) as (base, _):
        folder = tmp_path / "pdfs"
        folder.mkdir()
        for name in ("3.pdf", "record 7.pdf", "who knows.pdf"):
            (folder / name).write_bytes(pdf(name))
        (folder / "notes.txt").write_text("none")
        page = window(base)
        page.goto("/files")
        page.set_input_files("#folder", folder)
        page.wait_for_function(
            "() => document.getElementById('said').innerText.includes('2 of 3 PDFs attached, 1 not')"
        )
        assert "who knows.pdf: no record has" in page.locator("#report").inner_text()
        assert set(project.live().attached) == {3, 7} and faults(page) == []


def test_on_a_phone_a_full_text_is_a_link_and_one_that_runs_something_reaches_nothing(review, window):
    with review(30, TWO_STAGES) as project, served(project) as (base, _):
        at_full_text(project)
        for record_id in range(1, 7):
            project.attachments.attach(
                record_id,
                "<img src=x onerror=alert(1)>.pdf",
                pdf("hostile", "/OpenAction<</S/URI/URI(https://evil.example/)>>"),
                reviewer="ann",
            )
        page = window(base, viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
        page.goto("/?stage=full-text")
        page.wait_for_selector("#title")
        assert page.locator("iframe").count() == 0 and page.locator("#record img").count() == 0
        assert page.locator("#record a[href^='/api/attachments/']").count() == 1
        fits(page)
        assert faults(page) == []
        wide = window(base)  # where a request to anywhere else fails the test
        wide.goto("/?stage=full-text")
        viewed(wide)
        wide.wait_for_timeout(500)
        assert wide.url.startswith(base) and wide.locator("#fulltext img").count() == 0


HOSTILE = """TY  - JOUR
TI  - <script>alert(1)</script> peer support <img src=x onerror=alert(2)>
AB  - <svg onload=alert(3)> adults &lt;script&gt;alert(4)&lt;/script&gt; <a href="javascript:alert(5)">x</a>
DO  - javascript:alert(6)
JO  - "><script>alert(7)</script>
KW  - <iframe src="javascript:alert(8)">
ER  -
"""


def test_hostile_text_is_only_text(review, window, tmp_path):
    with review(6) as project:
        (tmp_path / "h.ris").write_text(HOSTILE * 1, encoding="utf-8")
        intake.import_files(project, [tmp_path / "h.ris"], reviewer="ann")
        with served(project) as (base, _):
            page = window(base)
            page.goto("/")
            page.wait_for_selector("#title")
            for _ in range(7):
                if "<script>" in title(page):
                    break
                shown = title(page)
                page.keyboard.press("m")
                next_record(page, shown)
            assert "<script>alert(1)</script>" in title(page)
            page.keyboard.press("n")
            page.keyboard.type("<img src=x onerror=alert(9)>")
            page.keyboard.press("Enter")
            assert (
                page.locator(
                    "#record script, #record img, #record svg, #record iframe, #record a[href^=javascript]"
                ).count()
                == 0
            )
            page.keyboard.press("w")
            page.wait_for_selector("#why-text > *:not(:empty)")
            page.keyboard.press("Escape")
            page.keyboard.press("i")
            sent(page)
            for path in ("/history", "/records/7", "/search?q=alert"):
                page.goto(path)
                assert (
                    page.locator("main script, main img, main svg, main iframe, main a[href^=javascript]").count() == 0
                )


def test_files_are_imported_by_drag_and_drop(review, window):
    with review(12) as project, served(project) as (base, _):
        page = window(base)
        page.goto("/files")
        data = page.evaluate_handle("""() => {
            const data = new DataTransfer();
            data.items.add(new File(["TY  - JOUR\\nTI  - one more\\nER  - \\n"], "<b>embase.ris"));
            return data;
        }""")
        page.dispatch_event("#import", "drop", {"dataTransfer": data})
        page.wait_for_selector("#report section")
        assert "1 announced = 1 kept + 0 already there + 0 problems" in page.locator("#report").inner_text()
        assert project.records.count() == 13
