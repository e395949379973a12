"""What a reviewer reads by, in a real browser: criteria beside the record, word lists, keys of one's own."""

import pytest
from browser_helpers import PHONE, TWO_STAGES, a_browser, a_window, at_full_text, faults, pdf, served, title, viewed
from conftest import PROTOCOL

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
