"""Three walks through a review in a real browser, without a terminal, as people make them; their clicks and keys are counted."""

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from browser_helpers import a_browser, a_window, faults, next_record, running, sent, served, title
from web_helpers import PASSWORD, free_port

from triage import web
from triage.project import Role
from triage.web.front import Entrance, Front
from triage.web.gate import ServerOrigin

browser, window = a_browser, a_window
EXPORTS = [Path(__file__).parents[1] / "data" / "demo" / n for n in ("pubmed.nbib", "scopus.ris", "web_of_science.csv")]


@dataclass
class Walk:
    """A person at a page, whose clicks and keys are counted."""

    page: object
    clicks: int = 0
    keys: int = 0
    began: float = field(default_factory=time.monotonic)

    def click(self, what):
        self.clicks += 1
        self.page.locator(what).first.click()

    def fill(self, what, text):
        self.clicks += 1
        self.keys += len(text)
        self.page.locator(what).first.fill(text)

    def press(self, key):
        self.keys += 1
        self.page.keyboard.press(key)

    def choose(self, what, files):
        self.clicks += 2  # the button, and the files in the system's window
        self.page.locator(what).first.set_input_files(files)

    def go(self, link):
        self.click(f'nav[aria-label="Pages"] a:text-is("{link}")')
        self.page.wait_for_load_state()

    def begin(self, entrance, name):
        """Come in by the address that was given, and make a review."""
        self.page.goto(entrance)
        assert faults(self.page) == []
        self.fill("input[name=name]", name)
        self.click("button.primary")

    def link_and_screen(self):
        """Look for duplicates on their page, and go on to the first record."""
        self.click("#look")
        self.page.locator("#said:has-text('linked')").wait_for()
        self.go("Screen")
        self.page.wait_for_selector("#title:not(:empty)")

    def told(self, what):
        seconds = time.monotonic() - self.began
        print(f"{what}: {self.clicks} clicks, {self.keys} keys, {seconds:.0f} s")


@contextmanager
def front(folder, *, public=False):
    """Serve the start page as `triage` alone does; give the address that lets a browser in, and the application."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    door = ServerOrigin.of("127.0.0.1", port, tls=False, public=base if public else "")
    entrance = Entrance(base, f"triage-{port}", lambda said: None)
    app = Front(
        door,
        entrance,
        lambda project: web.make_app(project, door, reviewer="ann", preset="fast", entrance=entrance),
        folder=folder,
    )
    try:
        with running(app, port):
            yield base, entrance
    finally:
        app.close()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIAGE_CACHE", str(tmp_path / "cache"))


def test_from_nothing_to_thirty_decisions_on_three_exports(window, tmp_path):
    with front(tmp_path) as (base, entrance):
        page = window(base)
        walk = Walk(page)
        walk.begin(entrance.address.removeprefix(base), "Rigour of reviews")
        page.wait_for_url("**/protocol")
        walk.fill("textarea[name=question]", "How rigorous are systematic reviews in environmental health?")
        walk.fill("textarea[name=include]", "Systematic reviews\nEnvironmental exposures and health")
        walk.fill("textarea[name=exclude]", "PRIMARY: Primary studies")
        walk.click("button.primary")
        page.wait_for_selector(".done")
        assert faults(page) == []
        walk.click(".done a")
        page.wait_for_url("**/files")
        walk.choose("#chosen", EXPORTS)
        assert page.locator("#named input").first.input_value() == "PubMed"
        assert faults(page) == []
        walk.click("#import button.primary")
        page.wait_for_selector("#said a")
        assert "1,072 records" in page.inner_text("#said")
        walk.click("#said a")
        page.wait_for_url("**/duplicates")
        walk.link_and_screen()
        for n in range(30):
            before = title(page)
            if n % 3:
                walk.press("i")
            else:
                walk.press("e")
                page.wait_for_selector("#reasons[open]")
                walk.press("1")
            next_record(page, before)
        sent(page)
        walk.go("Overview")
        assert page.inner_text(".tile .big").startswith("30")
        assert [one.inner_text().split("\n")[0] for one in page.locator(".steps li.done").all()][:3] == [
            "Protocol",
            "Import",
            "Duplicates",
        ]
        assert faults(page) == []
        walk.told("From nothing to thirty decisions")
        assert walk.clicks <= 20


def test_a_table_without_titles_is_asked_about_and_a_source_renamed(window, tmp_path):
    (tmp_path / "trials.csv").write_text("Ref,Study name,About\n1,A trial of peers,We did it.\n", encoding="utf-8")
    with front(tmp_path) as (base, entrance):
        page = window(base)
        walk = Walk(page)
        walk.begin(entrance.address.removeprefix(base), "Trials")
        page.goto("/files")
        walk.choose("#chosen", [tmp_path / "trials.csv"])
        walk.click("#import button.primary")
        page.wait_for_selector("#report form")
        assert "A trial of peers" in page.inner_text("#report form")
        assert faults(page) == []
        page.locator("#report select[name=title]").select_option("Study name")
        page.locator("#report select[name=abstract]").select_option("About")
        walk.click("#report form button.primary")
        page.wait_for_selector("#said a")
        page.goto("/files")
        walk.fill("form.source input", "ClinicalTrials.gov")
        walk.click("form.source button")
        page.locator("form.source input[value='ClinicalTrials.gov']").wait_for()
        page.wait_for_load_state()
        page.goto("/search?q=peers")
        assert "A trial of peers" in page.inner_text("main")


def test_two_people_from_invitation_to_settled_conflicts(window, tmp_path):
    from conftest import PROTOCOL, sample_ris

    from triage import intake
    from triage.project import Project

    (tmp_path / "protocol.toml").write_text(f"reviewers_per_record = 2\n{PROTOCOL}", encoding="utf-8")
    intake.new(tmp_path / "r.triage", tmp_path / "protocol.toml")
    (tmp_path / "a.ris").write_text(sample_ris(6), encoding="utf-8")
    with Project.open(tmp_path / "r.triage") as project:
        intake.import_files(project, [tmp_path / "a.ris"], reviewer="olga")
    with Project.open(tmp_path / "r.triage") as project, served(project, public=True) as (base, app):
        link = app.state.access.invite("olga", Role.OWNER, base)
        olga = Walk(window(base))
        join(olga, link)
        olga.go("People")
        olga.fill("input[name=name]:visible", "bob")
        olga.click("button:text-is('Make a link')")
        invitation = olga.page.inner_text(".notice code")
        bob = Walk(window(base))
        join(bob, invitation)
        for person, key in ((olga, "i"), (bob, "e")):
            person.page.goto("/")
            person.page.wait_for_selector("#title:not(:empty)")
            for n in range(3):
                before = title(person.page)
                person.press(key if n == 0 else "i")
                if key == "e" and n == 0:
                    person.page.wait_for_selector("#reasons[open]")
                    person.press("1")
                next_record(person.page, before)
            sent(person.page)
        olga.page.goto("/conflicts")
        assert faults(olga.page) == []
        assert "1 open" in olga.page.inner_text("#said")
        olga.clicks += 1
        olga.page.locator("form.settle select[name=label]").select_option("include")
        olga.click("form.settle button")
        olga.page.locator("#said:has-text('Settled: include')").wait_for()
        (settled,) = project.snapshot().stage().consensus.settled.values()
        assert (settled.reviewer, settled.label) == ("olga", "include")
        olga.told("The owner, from invitation to a settled conflict")
        bob.told("The reviewer, from invitation to three decisions")


def join(walk, link):
    walk.page.goto(link)
    for name in ("password", "again"):
        walk.fill(f"input[name={name}]", PASSWORD)
    walk.click("main form button")
    walk.page.wait_for_load_state()


def test_an_update_with_new_exports_to_the_new_flow_figure(window, tmp_path):
    with front(tmp_path) as (base, entrance):
        page = window(base)
        walk = Walk(page)
        walk.begin(entrance.address.removeprefix(base), "Update")
        page.goto("/files")
        for n, exports in enumerate((EXPORTS[:1], EXPORTS[1:])):
            walk.choose("#chosen", exports)
            walk.click("#import button.primary")
            page.wait_for_selector("#said a")
            walk.go("Duplicates")
            walk.link_and_screen()
            for _ in range(3):
                before = title(page)
                walk.press("i")
                next_record(page, before)
            sent(page)
            walk.go("Overview")
            figure = page.inner_text("section:has(#flow-heading)")
            assert ("n = 475" in figure) is (n == 0) and ("n = 1,072" in figure) is (n == 1)
            walk.go("Files")
        walk.told("An update with new exports")
