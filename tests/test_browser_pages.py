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
    title,
    viewed,
)
from conftest import PROTOCOL
from pdf_helpers import article

from triage import intake

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
