"""Walk through a review in a browser, in this program and in ASReview LAB in turn, and count clicks, keys and seconds.

ASReview LAB 3 stands in an environment of its own. The walks are those of tests/test_browser_walks.py, and clicks and keys
are counted by the same code: a field filled in is a click and its letters, files chosen are two clicks. Each tool is
driven by its shortest way and by its keys where it has some. LAB reads neither PubMed's format nor several files, so it is
given one RIS file of all exports, made beforehand; what else has to be done outside the browser is told in the last column.

    python scripts/benchmarks/asreview_walk.py --asreview PATH/TO/bin/asreview [--rounds 3] [--model fast]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browser_helpers import CHROMIUM, next_record, playwright, sent, title
from conftest import PROTOCOL, sample_ris
from test_browser_walks import EXPORTS, Walk, join
from web_helpers import free_port

QUESTION = "How rigorous are systematic reviews in environmental health?"
INCLUDE = "Systematic reviews\nEnvironmental exposures and health"
EXCLUDE = "PRIMARY: Primary studies"
PASSWORD = "Correct-horse-1"  # LAB wants a capital and a number
OWNER = "owner: account, invitation, 3 decisions, a conflict settled"
JOINED = "invited: account, 3 decisions"
UPDATE = "update: 3 decisions, new exports, 3 decisions, flow figure"
RECORD = '[aria-label="record title abstract"] h5'


@dataclass(frozen=True)
class Counted:
    """What one person's walk took, and what of it is done outside the browser or cannot be done."""

    walk: str
    tool: str
    clicks: int
    keys: int
    first: float  # seconds to the first record, and to the end
    seconds: float
    beside: str


Window = Callable[[str], object]


def passed(walk: Walk) -> float:
    return time.monotonic() - walk.began


def counted(name: str, tool: str, walk: Walk, first: float, beside: str) -> Counted:
    return Counted(name, tool, walk.clicks, walk.keys, first, passed(walk), beside)


@contextmanager
def answering(command: list[str], folder: Path, env: dict[str, str], address: str) -> Iterator[str]:
    """Run a server in a folder until the block ends; give what it had printed once it answered."""
    said = folder / "said.txt"
    with (
        said.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "HOME": str(folder), "PYTHONUNBUFFERED": "1", **env},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as server,
    ):
        try:
            until = time.monotonic() + 120
            while not answers(address):
                if server.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f"{command[0]} did not start: {said.read_text(encoding='utf-8')[-500:]}")
                time.sleep(0.1)
            yield said.read_text(encoding="utf-8")
        finally:
            end(server)


def end(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:  # LAB, while a browser still asks
            os.killpg(server.pid, signal.SIGKILL)


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


# This program


@contextmanager
def triage(folder: Path, preset: str | None) -> Iterator[tuple[str, str]]:
    """Serve the start page as the program alone does; give the address of the server and the one that lets a browser in."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    code = f"from triage import web; web.serve(None, reviewer='ann', port={port}, preset={preset!r}, say=print)"
    env = {"PYTHONPATH": str(ROOT), "TRIAGE_CACHE": str(folder / "cache")}
    with answering([sys.executable, "-c", code], folder, env, base) as said:
        entrance = re.search(r"http://\S+enter\S+", said)
        assert entrance is not None
        yield base, entrance[0]


def begin(walk: Walk, entrance: str, name: str) -> None:
    walk.page.goto(entrance)
    walk.fill("input[name=name]", name)
    walk.click("button.primary")
    walk.page.wait_for_url("**/protocol")


def bring_in(walk: Walk, exports: list[Path]) -> None:
    """Import on the page of files, link duplicates on theirs, and go on to the first record."""
    walk.choose("#chosen", exports)
    walk.click("#import button.primary")
    walk.page.wait_for_selector("#said a")
    walk.click("#said a")
    walk.page.wait_for_url("**/duplicates")
    walk.link_and_screen()


def decide(walk: Walk, n: int, *, reason: bool) -> None:
    """Decide on n records, two included for each excluded."""
    for one in range(n):
        before = title(walk.page)
        if one % 3:
            walk.press("i")
        else:
            walk.press("e")
            if reason:
                walk.page.wait_for_selector("#reasons[open]")
                walk.press("1")
        next_record(walk.page, before)
    sent(walk.page)


def our_first(window: Window, folder: Path, preset: str | None, *, criteria: bool) -> Iterator[Counted]:
    with triage(folder, preset) as (base, entrance):
        walk = Walk(window(base))
        begin(walk, entrance, "Rigour of reviews")
        if criteria:
            walk.fill("textarea[name=question]", QUESTION)
            walk.fill("textarea[name=include]", INCLUDE)
            walk.fill("textarea[name=exclude]", EXCLUDE)
            walk.click("button.primary")
            walk.page.wait_for_selector(".done")
            walk.click(".done a")
        else:
            walk.go("Files")
        walk.page.wait_for_url("**/files")
        bring_in(walk, EXPORTS)
        first = passed(walk)
        decide(walk, 30, reason=criteria)
        walk.go("Overview")
        assert walk.page.inner_text(".tile .big").startswith("30")
        with walk.page.expect_download() as download:
            walk.click("#exports button")
        assert download.value.path().stat().st_size
        yield counted(
            "to 30 decisions and their export, "
            + ("with question and criteria" if criteria else "by the shortest way"),
            "triage",
            walk,
            first,
            "10 of the keys are reasons" if criteria else "",
        )


def our_team(window: Window, folder: Path) -> Iterator[Counted]:
    (folder / "a.ris").write_text(sample_ris(6), encoding="utf-8")
    review_of(folder, f"reviewers_per_record = 2\n{PROTOCOL}", [folder / "a.ris"])
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "triage",
        "serve",
        "r.triage",
        "--public",
        base,
        "--port",
        str(port),
        "--no-browser",
    ]
    env = {"PYTHONPATH": str(ROOT), "TRIAGE_CACHE": str(folder / "cache")}
    with answering([*command, "--reviewer", "olga"], folder, env, base) as said:
        link = re.search(r"http://\S+join\S+", said)
        assert link is not None, said
        olga = Walk(window(base))
        join(olga, link[0])
        olga.go("People")
        olga.fill("input[name=name]:visible", "bob")
        olga.click("button:text-is('Make a link')")
        invitation = olga.page.inner_text(".notice code")
        bob = Walk(window(base))
        join(bob, invitation)
        firsts = {}
        for name, person, key in (("olga", olga, "i"), ("bob", bob, "e")):
            person.page.goto("/")
            person.page.wait_for_selector("#title:not(:empty)")
            firsts[name] = passed(person)
            for n in range(3):
                before = title(person.page)
                person.press(key if n == 0 else "i")
                if key == "e" and n == 0:
                    person.page.wait_for_selector("#reasons[open]")
                    person.press("1")
                next_record(person.page, before)
            sent(person.page)
        joined = counted(JOINED, "triage", bob, firsts["bob"], "")
        olga.page.reload()  # the link to the conflicts tells how many are open
        olga.click('nav[aria-label="Pages"] a:has-text("Conflicts")')
        olga.clicks += 1
        olga.page.locator("form.settle select[name=label]").select_option("include")
        olga.click("form.settle button")
        olga.page.locator("#said:has-text('Settled: include')").wait_for()
        yield counted(OWNER, "triage", olga, firsts["olga"], "1 command serves it")
        yield joined


def our_update(window: Window, folder: Path, preset: str | None) -> Iterator[Counted]:
    with triage(folder, preset) as (base, entrance):
        walk = Walk(window(base))
        begin(walk, entrance, "Update")
        first = 0.0
        for exports, kept in ((EXPORTS[:1], "475"), (EXPORTS[1:], "1,072")):
            walk.go("Files")
            bring_in(walk, exports)
            first = first or passed(walk)
            decide(walk, 3, reason=False)
            walk.go("Overview")
            assert f"n = {kept}" in walk.page.inner_text("section:has(#flow-heading)")
        yield counted(UPDATE, "triage", walk, first, "")


# ASReview LAB


@contextmanager
def lab(program: str, folder: Path, *extra: str) -> Iterator[str]:
    port = free_port()
    base = f"http://localhost:{port}"  # where LAB sends a browser itself
    command = [program, "lab", "--no-browser", "--skip-update-check", "--port", str(port), *extra]
    env = {"ASREVIEW_PATH": str(folder), "ASREVIEW_LAB_ALLOW_ACCOUNT_CREATION": "true"}
    with answering(command, folder, env, base):
        yield base


def lab_project(walk: Walk, file: Path) -> None:
    """Make a project of a file, and go on to the first record."""
    walk.choose("input[type=file]", file)
    walk.click("[role=dialog] button:text-is('Screen')")
    walk.page.wait_for_selector(RECORD)


def lab_next(page, before: str) -> None:  # type: ignore[no-untyped-def]
    page.wait_for_function(
        "([where, before]) => { const now = document.querySelector(where)?.innerText; return now && now !== before; }",
        arg=[RECORD, before],
    )


def lab_decide(walk: Walk, n: int) -> None:
    """Decide on n records, two relevant for each that is not."""
    for one in range(n):
        before = walk.page.inner_text(RECORD)
        walk.press("r" if one % 3 else "i")
        lab_next(walk.page, before)


def lab_export(walk: Walk, where: Path, *, whole: bool) -> Path:
    """Export the decisions as a table, or all records with them as RIS; return the file."""
    walk.press("c")
    walk.click("button:has-text('Export')")
    walk.page.wait_for_selector("[role=dialog]")
    walk.click("[role=dialog] input[name=irrelevant]")
    if whole:
        walk.click("[role=dialog] input[name=not_seen]")
        walk.click("#export-format-select")
        walk.click("li:has-text('RIS')")
    with walk.page.expect_download() as download:
        walk.click("[role=dialog] button:text-is('Export')")
    download.value.save_as(where)
    return where


def lab_first(program: str, window: Window, folder: Path, file: Path, *, priors: bool) -> Iterator[Counted]:
    with lab(program, folder) as base:
        walk = Walk(window(base))
        walk.page.goto("/")
        if priors:
            lab_priors(walk, file)
        else:
            lab_project(walk, file)
        first = passed(walk)
        lab_decide(walk, 28 if priors else 30)
        walk.press("d")
        walk.page.locator("text=Progress").first.wait_for()
        labelled = walk.page.evaluate(
            "() => fetch(location.href.replace('/reviews/', '/api/projects/') + '/progress').then(r => r.json())"
        )
        assert labelled["n_included"] + labelled["n_excluded"] == 30, labelled
        lab_export(walk, folder / "decisions.csv", whole=False)
        yield counted(
            "to 30 decisions and their export, " + ("with prior knowledge" if priors else "by the shortest way"),
            "ASReview LAB",
            walk,
            first,
            "the exports are made one file beforehand; duplicates are hidden by equal text only; no reasons",
        )


def lab_priors(walk: Walk, file: Path) -> None:
    """Make a project of a file with one relevant and one irrelevant record found by their titles."""
    walk.choose("input[type=file]", file)
    walk.click("[role=dialog] button:text-is('Show options')")
    walk.click("#add-prior-search")
    search = walk.page.locator("[role=dialog]").last
    for words, label in (("environmental health", "Relevant"), ("psoriasis", "Not relevant")):
        walk.clicks += 1
        walk.keys += len(words) + 1
        search.locator("input").first.fill(words)
        with walk.page.expect_response("**/search?*"):
            walk.page.keyboard.press("Enter")
        walk.clicks += 1
        with walk.page.expect_response("**/record/*"):
            search.locator(f"button:text-is('{label}')").first.click()
    walk.click("[role=dialog] button:text-is('Return')")
    walk.click("[role=dialog] button:text-is('Screen')")
    walk.page.wait_for_selector(RECORD)


def sign_up(walk: Walk, name: str) -> None:
    walk.click("text=Create profile")
    for field, text in (
        ("email", f"{name}@example.org"),
        ("password", PASSWORD),
        ("confirmPassword", PASSWORD),
        ("name", name),
    ):
        walk.fill(f"#{field}", text)
    walk.click("button:text-is('Create')")
    walk.page.wait_for_url("**/reviews")


def lab_team(program: str, window: Window, folder: Path, file: Path) -> Iterator[Counted]:
    with lab(program, folder, "--enable-auth", "--secret-key", "a", "--salt", "b") as base:
        olga = Walk(window(base))
        olga.page.goto("/")
        sign_up(olga, "olga")
        uncounted = Walk(olga.page)  # the review is there when our walk begins
        lab_project(uncounted, file)
        olga.began += time.monotonic() - uncounted.began
        olga.press("t")
        olga.click("button:has-text('Generate Invitation Link')")
        link = olga.page.locator("input[value*='/join/']").input_value()
        bob = Walk(window(base))
        bob.page.goto(link)
        sign_up(bob, "bob")
        bob.page.goto(link)  # LAB forgets it while an account is made
        bob.click("button:has-text('Join')")
        bob.page.wait_for_url(re.compile("/reviews/."))
        firsts, shown = {}, []
        for name, person in (("olga", olga), ("bob", bob)):
            person.press("r")
            person.page.wait_for_selector(RECORD)
            firsts[name] = passed(person)
            for n in range(3):
                before = person.page.inner_text(RECORD)
                shown.append(before)
                person.press("r" if n else "i")
                lab_next(person.page, before)
        assert len(set(shown)) == 6
        joined = counted(JOINED, "ASReview LAB", bob, firsts["bob"], "the invitation is opened twice")
        beside = "1 command serves it; no conflict to settle: no record is shown to both"
        yield counted(OWNER, "ASReview LAB", olga, firsts["olga"], beside)
        yield joined


def lab_update(program: str, window: Window, folder: Path, before: Path, later: Path) -> Iterator[Counted]:
    with lab(program, folder) as base:
        walk = Walk(window(base))
        walk.page.goto("/")
        lab_project(walk, before)
        first = passed(walk)
        lab_decide(walk, 3)
        exported = lab_export(walk, folder / "exported.ris", whole=True)
        joined = folder / "joined.ris"  # the command of a person: cat exported.ris later.ris > joined.ris
        joined.write_bytes(exported.read_bytes() + b"\n" + later.read_bytes())
        walk.click("text=Reviews")
        walk.page.wait_for_url("**/reviews")
        walk.click("[role=tab]:has-text('File')")
        lab_project(walk, joined)
        lab_decide(walk, 3)
        walk.press("d")
        walk.page.locator("text=Progress").first.wait_for()
        assert "flow" not in walk.page.inner_text("body").lower()
        yield counted(
            UPDATE, "ASReview LAB", walk, first, "1 command joins the files, for a second project; no flow figure"
        )


# Both


def review_of(folder: Path, protocol: str, exports: list[Path]) -> Path:
    from triage import intake
    from triage.project import Project

    (folder / "protocol.toml").write_text(protocol, encoding="utf-8")
    intake.new(folder / "r.triage", folder / "protocol.toml")
    with Project.open(folder / "r.triage") as project:
        intake.import_files(project, exports, reviewer="olga")
    return folder / "r.triage"


def one_file(exports: list[Path], path: Path) -> Path:
    """Write exports to one RIS file, as a reference manager would."""
    from triage import intake
    from triage.project import Project

    folder = path.parent / f"of {path.stem}"
    folder.mkdir()
    with Project.open(review_of(folder, PROTOCOL, exports)) as project:
        intake.export(project.snapshot(), path)
    return path


def asreview_version(program: str) -> str:
    """Return the version of ASReview that a program is of, or end with what is missing."""
    if shutil.which(program) is None:
        raise SystemExit(
            f"there is no ASReview at {program}: make an environment of its own with `pip install asreview`, "
            "and give the path of its bin/asreview as --asreview."
        )
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    version = re.search(r"asreview\D*(\d+)[.\d]*", done.stdout, re.IGNORECASE)
    if version is None or int(version[1]) < 3:
        raise SystemExit(f"{program} is no ASReview of version 3 or later, whose pages these walks know.")
    return version[0].split()[-1]


def told(walks: list[Counted]) -> None:
    """Print a table of the walks, each over its rounds."""
    print(
        "| walk | tool | clicks | keys | seconds to the first record | to the end | outside the browser, or not possible |"
    )
    print("|---|---|---|---|---|---|---|")
    names = list(dict.fromkeys(one.walk for one in walks))
    for name, tool in sorted(
        dict.fromkeys((one.walk, one.tool) for one in walks), key=lambda pair: names.index(pair[0])
    ):
        rounds = [one for one in walks if (one.walk, one.tool) == (name, tool)]
        figures = [
            span([one.clicks for one in rounds]),
            span([one.keys for one in rounds]),
            span([round(one.first, 1) for one in rounds]),
            span([round(one.seconds, 1) for one in rounds]),
        ]
        print("| " + " | ".join([name, tool, *figures, rounds[0].beside]) + " |")


def span(values: list[float]) -> str:
    least, most = min(values), max(values)
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"


def main() -> None:
    """Walk every walk in both tools, round by round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--asreview", required=True, help="the program of an environment of its own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", help="our ranking; by default the protocol's")
    options = parser.parse_args()
    version = asreview_version(options.asreview)
    program = str(Path(shutil.which(options.asreview) or options.asreview).resolve())
    walks: list[Counted] = []
    with tempfile.TemporaryDirectory() as made, playwright.sync_playwright() as started:
        folder = Path(made)
        everything, first, later = (
            one_file(exports, folder / f"{name}.ris")
            for name, exports in (("all", EXPORTS), ("first", EXPORTS[:1]), ("later", EXPORTS[1:]))
        )
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])

        def window(base: str):  # type: ignore[no-untyped-def]
            page = browser.new_context(base_url=base, viewport={"width": 1440, "height": 900}).new_page()
            page.set_default_timeout(300_000)  # the first ranking encodes every abstract
            return page

        for turn in range(options.rounds):
            for name, walk in {
                "short": lambda here: our_first(window, here, options.model, criteria=False),
                "lab-short": lambda here: lab_first(program, window, here, everything, priors=False),
                "full": lambda here: our_first(window, here, options.model, criteria=True),
                "lab-full": lambda here: lab_first(program, window, here, everything, priors=True),
                "team": lambda here: our_team(window, here),
                "lab-team": lambda here: lab_team(program, window, here, everything),
                "update": lambda here: our_update(window, here, options.model),
                "lab-update": lambda here: lab_update(program, window, here, first, later),
            }.items():
                here = folder / f"{name}-{turn}"
                here.mkdir()
                for one in walk(here):
                    walks.append(one)
                    print(
                        f"{one.tool}, {one.walk}: {one.clicks} clicks, {one.keys} keys, {one.seconds:.1f} s",
                        file=sys.stderr,
                        flush=True,
                    )
        browser.close()
    print(f"ASReview LAB {version}, Chromium without a window, {options.rounds} rounds\n")
    told(walks)


if __name__ == "__main__":
    main()
