"""Take the pictures of the pages and of the report anew: docs/report, overview, screen, screen-phone, screen-full-text (.png).

    python scripts/tools/pictures.py [DEMO-FOLDER]

DEMO-FOLDER is what `triage demo` made; without it the demonstration is run first, which takes some minutes. The screening
pages are of the same records before the first decision, and of two of them at full text. Needs Chromium and playwright, as
the tests in a browser do. docs/flow.png is made by scripts/peer_support/replay.py, and the charts by scripts/benchmarks.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browser_helpers import CHROMIUM, pdf, playwright, viewed

DOCS = ROOT / "docs"
PORT = 8799
EXPORTS = ("pubmed.nbib", "scopus.ris", "web_of_science.csv")
FULL_TEXT = """
[[stages]]
name = "full-text"
reasons = [{ code = "DATA", text = "No original data." }]
"""


def triage(folder: Path, *arguments: str) -> str:
    """Run a command in a folder; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "triage", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the review of a folder; give the address that lets a browser in."""
    command = [sys.executable, "-m", "triage", "serve", "review.triage", "--no-browser", "--port", str(PORT)]
    with subprocess.Popen(
        [*command, "--reviewer", "ann", "--device", "cpu"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as server:
        try:
            assert server.stderr is not None
            address = next(found[0] for line in server.stderr if (found := re.search(r"http://\S+", line)))
            yield address
        finally:
            server.terminate()


def begun(folder: Path) -> Path:
    """Make the demonstration's review up to its first ranking, with two stages."""
    folder.mkdir()
    for name in (*EXPORTS, "protocol.toml"):
        shutil.copyfile(ROOT / "data" / "demo" / name, folder / name)
    protocol = folder / "protocol.toml"
    protocol.write_text(protocol.read_text(encoding="utf-8") + FULL_TEXT, encoding="utf-8")
    triage(folder, "new", "review.triage")
    triage(folder, "import", "review.triage", *EXPORTS)
    triage(folder, "dedupe", "review.triage")
    triage(folder, "filter", "review.triage")
    return folder


def to_full_text(folder: Path) -> None:
    """Pass the best ten records on to the full text, each with a PDF of a line."""
    best = json.loads(triage(folder, "rank", "review.triage", "--top", "10", "--json"))["records"]
    rows = "".join(f"{one['record_id']},include\n" for one in best)
    (folder / "decided.csv").write_text("record_id,label\n" + rows, encoding="utf-8")
    triage(folder, "label", "review.triage", "decided.csv", "--reviewer", "ann")
    (folder / "pdfs").mkdir()
    for one in best:
        (folder / "pdfs" / f"{one['record_id']}.pdf").write_bytes(pdf("The full text"))
    triage(folder, "attach", "review.triage", "pdfs")


def main(arguments: list[str]) -> None:
    """Take every picture."""
    with tempfile.TemporaryDirectory() as made, playwright.sync_playwright() as started:
        folder = Path(made)
        demo = Path(arguments[0]).resolve() if arguments else folder / "demo"
        if not arguments:
            triage(folder, "demo", "demo", "--device", "cpu")
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])

        def page_of(address: str, width: int, height: int, **options: bool):  # type: ignore[no-untyped-def]
            context = browser.new_context(viewport={"width": width, "height": height}, **options)
            page = context.new_page()
            page.set_default_timeout(120_000)  # the first ranking encodes every abstract
            page.goto(address)
            return page

        page_of((demo / "report.html").as_uri(), 1000, 1300).screenshot(path=DOCS / "report.png")
        with served(demo) as address:
            page = page_of(address, 1000, 900)
            page.goto(f"http://127.0.0.1:{PORT}/overview")
            page.wait_for_load_state("networkidle")
            page.screenshot(path=DOCS / "overview.png")
        review = begun(folder / "begun")
        for name, width, height, options in (
            ("screen", 1000, 760, {}),
            ("screen-phone", 390, 780, {"has_touch": True, "is_mobile": True}),
        ):
            with served(review) as address:  # its key lets one browser in
                page = page_of(address, width, height, **options)
                page.wait_for_function("() => /\\w/.test(document.getElementById('title')?.innerText ?? '')")
                page.screenshot(path=DOCS / f"{name}.png")
        to_full_text(review)
        with served(review) as address:
            page = page_of(address, 1400, 860)
            page.goto(f"http://127.0.0.1:{PORT}/?stage=full-text")
            viewed(page)
            page.wait_for_timeout(2_000)  # the browser's viewer says nothing when it has drawn the page
            page.screenshot(path=DOCS / "screen-full-text.png")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
