"""The other pages in a real browser: no serious fault, full texts, hostile text, files dropped."""

import pytest
from browser_helpers import (
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
from pdf_helpers import article

from triage import intake, screening
from triage.found import Wanted
from triage.log import Label

browser, window = a_browser, a_window


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


def test_a_long_title_gives_way_to_the_links_and_controls_in_a_row_are_of_one_height(review, window):
    named = PROTOCOL.replace(
        "Peer support", "Peer support of adults with long-lasting mental health difficulties, " * 2, 1
    )
    with review(6, named) as project, served(project) as (base, _):
        page = window(base, viewport={"width": 1024, "height": 700})
        page.goto("/history")
        rows = {link.bounding_box()["y"] for link in page.locator('nav[aria-label="Pages"] a').all()}
        assert len(rows) == 1 and page.locator(".top .review").bounding_box()["width"] > 200
        assert "difficulties" in page.locator(".top .review").get_attribute("title")
        heights = {
            one.bounding_box()["height"] for one in page.locator(".filters :is(input, select, button):visible").all()
        }
        assert heights == {40}


def test_the_four_numbers_and_the_curve_are_seen_at_once_on_a_laptop(review, window):
    with review(30) as project, served(project) as (base, _):
        project.log.decide("abstract", [{"record_id": n, "label": Label.INCLUDE} for n in (1, 7)], reviewer="ann")
        page = window(base, viewport={"width": 1440, "height": 900})
        page.goto("/overview")
        curve = page.locator(".dashboard svg").bounding_box()
        assert curve["y"] + curve["height"] <= 900


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
        page.wait_for_function(
            "() => document.querySelector('#files [role=status]').innerText.includes('is not a PDF')"
        )
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
        # A page that says another record than the name does.
        (shown,) = project.records.read([5])
        (folder / "record 4.pdf").write_bytes(article(shown.title, ["A Author4"]))
        (folder / "notes.txt").write_text("none")
        page = window(base)
        page.goto("/files")
        page.set_input_files("#folder", folder)
        page.wait_for_function(
            "() => document.getElementById('said').innerText.includes('2 of 4 PDFs attached, 2 not')"
        )
        report = page.locator("#report").inner_text()
        assert "who knows.pdf: no record has" in report and "3.pdf: record 3, by its number" in report
        assert "record 4.pdf: its name says record 4 (its number), its first page record 5" in report
        assert page.locator("#report a[href='/records/5']").count() == 1
        assert set(project.live().attached) == {3, 7} and faults(page) == []


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
        source = page.locator("#named input")
        assert source.input_value() == "Embase" and "<b>embase.ris" in page.inner_text("#named")
        source.fill("Embase, searched 12 March")
        page.click("#import button.primary")
        page.wait_for_selector("#report section")
        assert project.snapshot().files[-1].source == "Embase, searched 12 March"
        assert "1 announced = 1 kept + 0 already there + 0 problems" in page.locator("#report").inner_text()
        assert project.records.count() == 13


def test_what_a_search_finds_is_excluded_unread_and_taken_back(review, window):
    protocol = PROTOCOL + '\n[[stages]]\nname = "abstract"\nreasons = [{ code = "STEEL", text = "Of steel" }]\n'
    with review(60, protocol) as project, served(project) as (base, _):
        project.log.decide("abstract", [{"record_id": 2, "label": Label.INCLUDE}], reviewer="ann")
        page = window(base)
        page.goto("/search?q=steel")
        page.get_by_role("link", name="Exclude all that is found, unread").click()
        offered = page.locator("#exclude")
        assert "“steel” finds 30 records; 29 of them are still to be judged by you." in offered.inner_text()
        assert faults(page) == []
        # Without the tick nothing is sent.
        page.get_by_role("button", name="Exclude 29 unread").click()
        assert page.url.endswith("act=exclude") and len(project.live().decisions) == 1
        page.get_by_label("Reason to exclude").select_option("STEEL")
        page.get_by_label("Yes, exclude 29 records that nobody has read").check()
        page.get_by_role("button", name="Exclude 29 unread").click()
        assert page.get_by_role("status").first.inner_text() == "29 records were excluded unread."
        unread = project.stage().consensus.unread
        assert len(unread) == 29 and {e.reason for e in project.live().decisions.values() if e.is_unread} == {"STEEL"}
        assert "unread, found by a search" in page.locator("ul.records").inner_text() and faults(page) == []
        # They are told apart on every page, and their form has no label chosen.
        page.goto("/overview")
        assert "29 records are excluded because a search found them" in page.locator("#unread").inner_text()
        assert "29 more excluded unread" in page.locator(".tiles").inner_text()
        assert page.get_by_text("of these, found by a search and not read", exact=True).count() == 1
        page.goto("/history?label=unread")
        assert "29 decisions" in page.get_by_role("status").inner_text() and faults(page) == []
        page.goto(f"/records/{min(unread)}")
        assert page.locator("#said").inner_text() == "exclude unread, found by a search STEEL"
        assert page.get_by_label("Label").input_value() == ""
        page.get_by_label("Label").select_option("include")
        page.get_by_role("button", name="Save").click()
        page.wait_for_function("() => document.getElementById('said').innerText === 'Kept: include'")
        # The rest is taken back as one; what was read since stays.
        page.goto("/history")
        assert "“steel”: 28 records, by ann on" in page.locator("#unread").inner_text()
        page.get_by_role("button", name="Take back 28").click()
        assert page.locator("#unread").count() == 0
        assert standing(project) == {2: (Label.INCLUDE, "", ""), min(unread): (Label.INCLUDE, "", "")}


def test_what_was_excluded_unread_leaves_the_screen_of_whoever_screens(review, window):
    with review(60) as project, served(project) as (base, _):
        page = window(base)
        page.goto("/")
        page.wait_for_selector("#title")
        page.keyboard.press("i")
        sent(page)
        screening.exclude_found(project, Wanted("steel OR soil"), reviewer="ann")
        page.reload()
        page.wait_for_selector("#title")
        left = project.stage().consensus.unread
        said = page.locator("#counts").inner_text()
        assert said == f"1 of 60 screened | 1 relevant found | {60 - 1 - len(left)} left"
        for _ in range(3):
            before = title(page)
            assert "peer" in before
            page.keyboard.press("i")
            next_record(page, before)
        sent(page)


def test_records_are_assigned_on_the_search_page_and_the_page_of_people(review, window):
    with review(60) as project, served(project) as (base, _):
        page = window(base)
        page.goto("/search?q=steel")
        page.get_by_role("link", name="Assign all that is found").click()
        assert faults(page) == []
        page.get_by_label("Others, with commas between").fill("ann, bob")
        page.get_by_role("button", name="Assign").click()
        page.wait_for_url("**/people*")
        assert "ann: 15 records, 0 judged" in page.locator("#assigned").inner_text() and faults(page) == []
        mine = {i for i, to in project.live().assigned_at("abstract").items() if "ann" in to}
        page.goto(f"/records/{min(mine)}")
        assert "Assigned to ann" in page.locator("main").inner_text()
        page.goto("/")
        page.wait_for_selector("#title")
        assert int(page.locator("#title").get_attribute("data-record")) in mine
        page.goto("/people")
        page.get_by_label("The ranking's next").fill("4")
        page.get_by_label("bob").check()
        page.get_by_role("button", name="Assign", exact=True).click()
        assert "bob: 19 records, 0 judged" in page.locator("#assigned").inner_text()
        page.get_by_role("button", name="Take back 19").click()
        page.wait_for_function("() => !document.getElementById('assigned').innerText.includes('bob:')")
        assert {name for to in project.live().assigned_at("abstract").values() for name in to} == {"ann"}
