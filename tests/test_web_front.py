"""Who may enter, and the page where a review is made or opened."""

import json
import os
import re
import sys

import pytest
from conftest import PROTOCOL, sample_ris
from fastapi.testclient import TestClient

from triage import cli, intake, web
from triage.errors import InputError
from triage.project import Project, Role
from triage.web import front
from triage.web.gate import ServerOrigin

BASE = "http://127.0.0.1:8765"
DOOR = ServerOrigin.of("127.0.0.1", 8765, tls=False)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIAGE_CACHE", str(tmp_path / "cache"))


def browser(app):
    return TestClient(app, base_url=BASE, raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture
def served(tmp_path):
    """Give a function that makes the application as it is served, with the sentences that the terminal gets."""
    made = []

    def serve(project=None):
        said = []
        entrance = front.Entrance(BASE, "triage-8765", said.append)

        def of_review(opened):
            return web.make_app(opened, DOOR, reviewer="ann", entrance=entrance)

        app = front.Front(DOOR, entrance, of_review, project, tmp_path)
        made.append(app)
        return app, entrance, said

    yield serve
    for app in made:
        app.close()


def a_review(folder, name="r.triage"):
    folder.mkdir(exist_ok=True)
    (folder / "protocol.toml").write_text(PROTOCOL, encoding="utf-8")
    intake.new(folder / name, folder / "protocol.toml")
    (folder / "a.ris").write_text(sample_ris(6), encoding="utf-8")
    with Project.open(folder / name) as project:
        intake.import_files(project, [folder / "a.ris"], reviewer="ann")
    return folder / name


def token(page):
    return re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)[1]


def entered(app, entrance):
    visitor = browser(app)
    assert visitor.get(entrance.address.removeprefix(BASE)).status_code == 303
    return visitor


def test_only_the_printed_address_lets_a_browser_in_and_it_works_once(served, tmp_path):
    with Project.open(a_review(tmp_path)) as project:
        app, entrance, said = served(project)
        address = entrance.address.removeprefix(BASE)
        stranger, ann = browser(app), browser(app)
        for path in ("/", "/overview", "/files", "/start"):
            refused = stranger.get(path)
            assert refused.status_code == 403 and "address that the terminal shows" in refused.text, path
        for method, path in (("GET", "/api/status"), ("GET", "/api/export"), ("POST", "/api/decisions")):
            assert stranger.request(method, path).status_code == 401, path
        assert stranger.get("/enter?key=guessed").status_code == 403
        found = ann.get(address)
        assert (found.status_code, found.headers["location"]) == (303, "/")
        cookie = found.headers["set-cookie"]
        assert cookie.startswith("triage-8765=") and "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert ann.get("/overview").status_code == 200 and ann.get("/api/status").status_code == 200
        # Used, it lets nobody in; the terminal shows the next one.
        assert stranger.get(address).status_code == 403
        assert len(said) == 1 and said[0].endswith(entrance.address)
        assert stranger.get(entrance.address.removeprefix(BASE)).status_code == 303
        assert stranger.get("/overview").status_code == 200
        assert stranger.get("/overview", headers={"cookie": "triage-8765=x"}).status_code == 403


def test_a_review_is_made_and_opened_without_a_terminal(served, tmp_path):
    app, entrance, _ = served()
    ann = entered(app, entrance)
    assert ann.get("/").headers["location"] == "/start"
    start = ann.get("/start")
    made = ann.post("/start/new", data={"csrf": token(start), "name": "Peer/../support: 2026", "folder": ""})
    assert (made.status_code, made.headers["location"]) == (303, "/protocol")
    file = tmp_path / "Peer-..-support- 2026" / "Peer-..-support- 2026.triage"
    assert file.is_file() and (file.parent / "protocol.toml").is_file()
    assert "Protocol</h1>" in ann.get("/protocol").text
    # The other one takes its place, and this one is named among those that were open.
    other = a_review(tmp_path / "other")
    start = ann.get("/start")
    assert file.stem in start.text
    done = ann.post("/start/open", data={"csrf": token(start), "path": f' "{other}" '})
    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert ann.get("/api/status").json()["records"] == 6
    assert [entry.path for entry in front.remembered()] == [str(other), str(file)]


@pytest.mark.parametrize(
    ("name", "said"),
    [("  ", "letters or digits"), ("../..", "letters or digits"), ("full", "are other files"), ("there", "already")],
)
def test_a_review_that_cannot_be_made_is_refused_and_the_name_kept(served, tmp_path, name, said):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine", encoding="utf-8")
    intake.new((tmp_path / "there").mkdir() or tmp_path / "there" / "there.triage", None)
    before = sorted(tmp_path.rglob("*"))
    app, entrance, _ = served()
    ann = entered(app, entrance)
    refused = ann.post("/start/new", data={"csrf": token(ann.get("/start")), "name": name})
    assert refused.status_code == 422 and said in refused.text
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_no_review_is_not_opened_and_the_open_one_stays(served, tmp_path):
    (tmp_path / "text.triage").write_text("no review", encoding="utf-8")
    with Project.open(a_review(tmp_path / "r")) as project:
        app, entrance, _ = served(project)
        ann = entered(app, entrance)
        for path, said in (("text.triage", "not a triage review"), ("none.triage", "none.triage")):
            form = {"csrf": token(ann.get("/start")), "path": str(tmp_path / path)}
            refused = ann.post("/start/open", data=form)
            assert refused.status_code == 422 and said in refused.text
        assert ann.get("/api/status").json()["records"] == 6


def test_the_start_page_wants_its_own_forms(served, tmp_path):
    app, entrance, _ = served()
    ann = entered(app, entrance)
    for path, data in (("/start/new", {"name": "x"}), ("/start/open", {"path": "x"})):
        assert ann.post(path, data=data).status_code == 403
        right = {**data, "csrf": token(ann.get("/start"))}
        assert ann.post(path, data=right, headers={"origin": "https://evil.example"}).status_code == 403
        assert browser(app).post(path, data=right).status_code == 403
    assert not (tmp_path / "x").exists()


def test_folders_are_walked_and_their_names_are_only_text(served, tmp_path):
    (tmp_path / "<b>folder").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "mine.triage").write_text("", encoding="utf-8")
    app, entrance, _ = served()
    ann = entered(app, entrance)
    page = ann.get("/start", params={"folder": str(tmp_path)}).text
    assert "&lt;b&gt;folder" in page and "<b>folder" not in page and "mine.triage" in page and ".hidden" not in page
    assert "cannot be read" in ann.get("/start", params={"folder": str(tmp_path / "none")}).text


def test_where_people_log_in_there_is_no_start_page(served, tmp_path):
    with Project.open(a_review(tmp_path)) as project:
        door = ServerOrigin.of("127.0.0.1", 8765, tls=False, public=BASE)
        app = front.Front(door, None, lambda opened: web.make_app(opened, door, reviewer="olga"), project)
        visitor = browser(app)
        assert visitor.get("/start").status_code == 404 and visitor.get("/enter?key=x").status_code == 403
        assert visitor.get("/").headers["location"].startswith("/login")
        assert app.invite("olga", Role.OWNER, BASE).startswith(f"{BASE}/join/")


def test_what_is_remembered_may_be_damaged_or_gone(tmp_path):
    path = a_review(tmp_path / "r")
    with Project.open(path) as project:
        front.remember(project)
    assert [entry.name for entry in front.remembered()] == ["r"]
    os.rename(path, tmp_path / "moved.triage")
    assert front.remembered() == []
    for text in ("not json", json.dumps({"a": 1}), json.dumps([1, None])):
        (tmp_path / "cache" / "reviews.json").write_text(text, encoding="utf-8")
        assert front.remembered() == []


def test_what_cannot_be_served_without_a_review_is_refused():
    for options, said in (
        ({"host": "0.0.0.0", "public": "http://192.0.2.1:8765"}, "name the review"),
        ({"with_token": False}, "--no-token needs a review"),
    ):
        with pytest.raises(InputError, match=said):
            web.serve(None, reviewer="ann", say=print, **options)


def test_triage_alone_opens_the_start_page_where_somebody_sits_before_a_screen(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr("triage.web.serve", lambda project, **options: seen.append((project, options)))
    assert cli.run([]) == 2 and "The usual way" not in capsys.readouterr().out and not seen
    monkeypatch.setattr(sys.modules["triage.cli.app"], "browser_here", lambda: print)
    assert cli.run([]) == 0
    assert seen[0][0] is None and seen[0][1]["open_browser"] is print
    assert cli.run(["serve", "--no-browser"]) == 0
    assert seen[1][0] is None and seen[1][1]["open_browser"] is None
