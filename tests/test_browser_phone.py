"""The pages on a phone, by touch alone: everything fits, and every dialog can be left."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from browser_helpers import (
    PHONE,
    TWO_STAGES,
    a_browser,
    a_window,
    at_full_text,
    faults,
    next_record,
    pdf,
    sent,
    served,
    standing,
    title,
    viewed,
)
from conftest import PROTOCOL
from web_helpers import PASSWORD

from triage import intake
from triage.log import Label
from triage.project import Role

browser, window = a_browser, a_window
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
                    places.add(tuple(place for box in boxes for place in (box["x"], box["y"])))
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
            # What is scrolled ends on halves of a pixel, which nobody sees.
            assert all(max(some) - min(some) <= 0.51 for some in zip(*places)), places
            assert max(lengths) > 2 * height and len(lengths) > 1


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
