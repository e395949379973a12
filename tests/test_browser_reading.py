"""What a reviewer reads by, in a real browser: criteria beside the record, word lists, keys of one's own."""

import re

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

from triage.log import Label

browser, window = a_browser, a_window
WIDE = {"viewport": {"width": 1280, "height": 800}}
COMMON = """
[[include]]
code = "FIELD"
text = "Beams that corrode."
"""


def open_screening(window, base, **options):
    page = window(base, **options)
    page.goto("/")
    page.wait_for_selector("#title")
    return page


# -- criteria -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_wide_screen_the_criteria_are_beside_the_record_until_they_are_folded_away(review, window, scheme):
    with review(60, PROTOCOL + COMMON) as project, served(project) as (base, _):
        page = open_screening(window, base, color_scheme=scheme, **WIDE)
        panel = page.locator("#criteria-beside")
        assert panel.get_by_text("Children and adolescents.").is_visible()
        assert "Not marked, as more than a third of the records have them: Beams, corrode." in panel.inner_text()
        record, beside = page.locator("#record").bounding_box(), panel.bounding_box()
        assert beside["x"] >= record["x"] + record["width"] and beside["x"] + beside["width"] <= 1280
        assert page.locator("#do-include").bounding_box()["y"] > 600  # where it is without them
        assert faults(page) == []
        page.keyboard.press("c")
        assert not panel.get_by_text("Children and adolescents.").is_visible()
        assert not page.locator("dialog[open]").count()
        page.reload()
        page.wait_for_selector("#title")
        assert not panel.get_by_text("Children and adolescents.").is_visible()
        panel.get_by_text("Criteria").click()
        assert panel.get_by_text("Children and adolescents.").is_visible()
        before = title(page)
        page.keyboard.press("i")  # what was clicked does not take the keys
        assert title(page) != before


def test_where_there_is_no_room_the_criteria_are_a_dialog(review, window):
    with review(30, TWO_STAGES) as project, served(project) as (base, _):
        page = open_screening(window, base, **PHONE)
        assert page.locator("#criteria-beside").is_hidden()
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
        at_full_text(project)
        project.attachments.attach(1, "a.pdf", pdf("The full text"), reviewer="ann")
        page = window(base, **WIDE)
        page.goto("/?stage=full-text")
        viewed(page)  # the PDF has the place
        assert page.locator("#criteria-beside").is_hidden()
        page.locator("#do-criteria").click()
        assert page.locator("#criteria").get_by_text("Children and adolescents.").is_visible()


# -- reasons and tags made while screening --------------------------------------------------------


def test_a_reason_and_a_tag_are_made_by_the_keyboard_without_losing_the_record(review, window):
    with review(40) as project, served(project) as (base, _):
        page = open_screening(window, base)
        shown = title(page)
        page.keyboard.press("e")
        page.keyboard.press("+")
        page.keyboard.type("Only a protocol, 1 e i")  # no letter or number of it picks or decides
        assert faults(page) == []
        page.keyboard.press("Enter")
        next_record(page, shown)
        sent(page)
        assert list(standing(project).values()) == [(Label.EXCLUDE, "ONLY-A-PROTOCOL", "")]
        shown = title(page)
        page.keyboard.press("t")  # there is none yet: the first is made
        page.keyboard.press("+")
        page.keyboard.type("a;b")
        page.keyboard.press("Enter")
        page.get_by_text("A tag is a word or a few").wait_for()
        page.locator("#tags input").fill("cohort")
        page.keyboard.press("Enter")
        page.locator("#tags .options [aria-pressed=true]").wait_for()
        page.keyboard.press("Enter")
        assert "cohort" in page.locator("#record .note").inner_text()
        page.keyboard.press("e")
        page.locator("#reasons").get_by_role("button", name=re.compile("ONLY-A-PROTOCOL")).click()
        next_record(page, shown)
        sent(page)
        tags = project.live().tagged("abstract", "ann")
        assert [[e.reason for e in events] for events in tags.values()] == [["cohort"]]
        assert [r.text for r in project.protocol().stages[0].reasons][-1] == "Only a protocol, 1 e i"


def test_on_a_phone_a_reason_is_made_by_touch_and_one_that_is_given_up_is_not(review, window):
    with review(30) as project, served(project) as (base, _):
        page = open_screening(window, base, **PHONE)
        shown = title(page)
        for ends in ("Back", "Add"):
            page.locator("#do-exclude").tap()
            dialog = page.locator("#reasons")
            dialog.get_by_role("button", name="Another reason …").tap()
            dialog.locator("input").fill("No trial")
            assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
            dialog.get_by_role("button", name=ends, exact=True).tap()
        next_record(page, shown)
        sent(page)
        assert list(standing(project).values()) == [(Label.EXCLUDE, "NO-TRIAL", "")]
        assert len(project.snapshot().protocol_versions) == 2


# -- word lists -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [WIDE, PHONE, {"color_scheme": "dark"}], ids=["wide", "phone", "dark"])
def test_word_lists_are_changed_while_a_record_is_read(review, window, options):
    with review(40) as project, served(project) as (base, _):
        page = open_screening(window, base, **options)
        shown = title(page)
        page.locator("#do-words").click()
        dialog = page.locator("#words")
        dialog.get_by_role("button", name="Another list").click()
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
        assert faults(page) == []
        last = dialog.locator(".row").last
        last.locator("[name=name]").fill("disorder")
        last.locator("[name=colour]").select_option("green")
        last.locator("[name=words]").fill("schizo*\nto recover\n")
        last.locator("[name=shared]").check()
        dialog.locator(".row").first.locator("[name=words]").fill("community")
        dialog.get_by_role("button", name="Save").click()
        page.locator("#record mark.green").first.wait_for()
        assert title(page) == shown and page.locator("#record mark.include", has_text="community").count()
        assert {text.casefold() for text in page.locator("#record mark.green").all_inner_texts()} >= {"schizophrenia"}
        assert faults(page) == []
        assert [(one.name, one.colour) for one in project.protocol().highlights] == [("disorder", "green")]
        assert [one.words for one in project.own_highlights("ann")] == [("community",)]
        if options is WIDE:
            assert "disorder" in page.locator("#criteria-beside").inner_text()
        page.keyboard.press("l")
        dialog.locator("[name=words]").last.fill("i e m *")  # typed there, no key decides
        page.keyboard.press("Escape")
        assert title(page) == shown and standing(project) == {}


# -- keys -----------------------------------------------------------------------------------------


def test_keys_are_chosen_by_the_reviewer_and_none_has_two_meanings(review, window):
    with review(40) as project, served(project) as (base, _):
        page = open_screening(window, base)
        page.keyboard.press("?")
        page.get_by_text("Choose keys of your own").click()
        field = page.locator("#help [data-action=include]")
        assert faults(page) == []
        field.press("e")
        assert "e is the key of “exclude”" in page.locator("#help .refused").inner_text()
        field.press("l")
        assert "l is the key of “words”" in page.locator("#help .refused").inner_text()
        assert field.input_value() == "i"
        field.press("j")
        assert field.input_value() == "j" and page.locator("#help [data-key=include]").inner_text() == "j"
        page.locator("#help [data-action=pdf]").press("i")  # free now
        page.keyboard.press("Escape")
        assert page.locator("#do-include").inner_text().split() == ["j", "Include"]
        page.reload()  # kept by the browser
        page.wait_for_selector("#title")
        shown = title(page)
        page.keyboard.press("i")
        page.locator("#files[open]").wait_for()
        page.keyboard.press("Escape")
        assert title(page) == shown
        page.keyboard.press("j")
        next_record(page, shown)
        sent(page)
        assert [label for label, _, _ in standing(project).values()] == [Label.INCLUDE]
        page.keyboard.press("?")
        page.get_by_text("Choose keys of your own").click()
        page.get_by_role("button", name="Back to the usual keys").click()
        assert page.locator("#help [data-action=include]").input_value() == "i"
        # Without single keys none decides, and the dialog can still be opened by its own.
        page.locator("#single-keys").uncheck()
        page.keyboard.press("Escape")
        shown = title(page)
        page.keyboard.press("i")
        page.keyboard.press("m")
        assert title(page) == shown
        page.keyboard.press("?")
        assert page.locator("#help").is_visible()


@pytest.mark.parametrize("kept", ["no JSON", '{"include": "e"}', '{"include": 5, "words": "i"}', "null"])
def test_keys_that_this_browser_holds_and_are_none_leave_the_usual_ones(review, window, kept):
    with review(30) as project, served(project) as (base, _):
        page = window(base)
        page.add_init_script(f"localStorage.setItem('triage:own-keys', {kept!r})")
        page.goto("/")
        page.wait_for_selector("#title")
        shown = title(page)
        page.keyboard.press("i")
        next_record(page, shown)
        sent(page)
        assert [label for label, _, _ in standing(project).values()] == [Label.INCLUDE]


def test_on_a_phone_keys_can_be_chosen_and_nothing_is_too_wide(review, window):
    with review(30) as project, served(project) as (base, _):
        page = open_screening(window, base, **PHONE)
        page.locator("#do-help").tap()
        page.get_by_text("Choose keys of your own").tap()
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
        box = page.locator("#help").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360
