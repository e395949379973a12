"""What the tests in a real browser share; without one they are skipped."""

import shutil
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import PROTOCOL
from web_helpers import free_port

from triage import web
from triage.log import Label
from triage.web.gate import ServerOrigin

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


if CHROMIUM is None:
    pytest.skip("there is no Chromium (Debian's package chromium)", allow_module_level=True)


AXE = (Path(__file__).parent / "files" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def a_browser():
    with playwright.sync_playwright() as started:
        # Root in a container cannot have the sandbox; the pages come from this test alone.
        made = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield made
        made.close()


@pytest.fixture
def a_window(browser):
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


@contextmanager
def running(app, port):
    """Answer at a port of this machine until the block ends."""
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def served(project, public=False):
    """Serve a review on this machine; give its address and the application."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    door = ServerOrigin.of("127.0.0.1", port, tls=False, public=base if public else "")
    app = web.make_app(project, door, reviewer="ann")
    with running(app, port):
        yield base, app


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


PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}


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
