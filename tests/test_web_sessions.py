"""Screening in the pages: each change is made once, and people share the pool blind to each other."""

import re
import threading
import time

from conftest import PROTOCOL, sample_ris
from web_helpers import TEAM, alone, client, csrf, decided, decisions, joined, opened, team_app

from triage import intake, screening
from triage.errors import InputError
from triage.log import Kind, Label
from triage.project import Project, Role
from triage.protocol import parse
from triage.second_look import second_looks
from triage.web import sessions
from triage.web.sessions import AHEAD

# -- one reviewer ---------------------------------------------------------------------------------


def test_decisions_are_those_of_the_terminals_session_and_the_next_record_comes_with_each(review):
    with review() as project, alone(project) as ann:
        first, second = opened(ann)
        answer = decided(ann, first["record_id"], "exclude", "key-00000001", reason="CHILD", note="about schools")
        assert answer.status_code == 200
        assert answer.json()["records"][0]["record_id"] == second["record_id"]
        assert len(answer.json()["records"]) == AHEAD
        (event,) = decisions(project)
        assert (event.record_id, event.label, event.reason, event.note, event.reviewer) == (
            first["record_id"],
            Label.EXCLUDE,
            "CHILD",
            "about schools",
            "ann",
        )
        shown = [e for e in project.log.events() if e.kind is Kind.SHOWN]
        assert [e.record_id for e in shown[:2]] == [first["record_id"], second["record_id"]]
        assert event.origin is shown[0].origin


def test_a_change_that_is_sent_again_is_made_once_and_has_the_first_answer(review):
    with review() as project, alone(project) as ann:
        first, _second = opened(ann)
        answers = [decided(ann, first["record_id"], "include", "key-00000001").json()["done"] for _ in range(3)]
        assert answers[0] == answers[1] == answers[2] and len(decisions(project)) == 1
        head = csrf(ann)
        undone = [ann.post("/api/undo", headers=head, json={"key": "key-00000002"}).json()["done"] for _ in range(2)]
        assert undone[0] == undone[1] and undone[0]["record_id"] == first["record_id"]
        assert sum(e.kind is Kind.UNDO for e in project.log.events()) == 1


def test_a_change_that_is_sent_again_to_a_server_started_anew_is_made_once(review):
    with review() as project:
        with alone(project) as ann:
            first, second = opened(ann)
            decided(ann, first["record_id"], "include", "key-00000001")
            decided(ann, second["record_id"], "maybe", "key-00000002")
            ann.post("/api/undo", headers=csrf(ann), json={"key": "key-00000003", "record_id": second["record_id"]})
        with alone(project) as ann:
            opened(ann)
            before = len(project.log.events())
            decided(ann, first["record_id"], "include", "key-00000001")
            told = ann.post(
                "/api/undo", headers=csrf(ann), json={"key": "key-00000003", "record_id": second["record_id"]}
            )
            assert told.json()["done"]["record_id"] is None
            assert [e.kind for e in project.log.events()[before:] if e.kind is not Kind.SHOWN] == []


def test_undo_shows_the_record_again_with_its_note_and_skip_sets_it_aside(review):
    with review() as project, alone(project) as ann:
        first, second = opened(ann)
        decided(ann, first["record_id"], "exclude", "key-00000001", note="a note")
        back = ann.post("/api/undo", headers=csrf(ann), json={"key": "key-00000002"}).json()
        assert back["done"] == {"record_id": first["record_id"], "label": "exclude", "note": "a note", "reason": ""}
        assert back["records"][0]["record_id"] == first["record_id"]
        after = ann.post(
            "/api/skips", headers=csrf(ann), json={"key": "key-00000003", "record_id": first["record_id"]}
        ).json()
        assert after["records"][0]["record_id"] == second["record_id"]
        assert not list(project.live().decisions.values())


def test_what_is_wrong_is_said_and_nothing_is_written(review):
    with review() as project, alone(project) as ann:
        first, _ = opened(ann)
        for facts, said in (
            ({"label": "exclude", "reason": "NOSUCH"}, "NOSUCH"),
            ({"label": "include", "reason": "CHILD"}, "CHILD"),
            ({"label": "perhaps"}, "label"),
            ({"label": "include", "tags": ["new"]}, "new"),
        ):
            told = decided(ann, first["record_id"], key="key-00000001", **facts)
            assert told.status_code == 422 and said in told.json()["detail"]
        assert decided(ann, 10_000, "include", "key-00000001").status_code == 422
        assert not decisions(project)


def test_records_that_are_imported_meanwhile_come_into_the_open_session(review, tmp_path):
    with review(12) as project, alone(project) as ann:
        opened(ann)
        more = "TY  - JOUR\nTI  - peer support of adults, a new one\nAB  - peer support\nER  - \n"
        told = ann.post(
            "/api/import", headers=csrf(ann), files={"files": ("../../new<b>.ris", more)}, data={"source": "Embase"}
        )
        assert told.status_code == 200 and told.json()["records"] == 13
        (file,) = told.json()["files"]
        assert (file["file"], file["announced"], file["kept"], file["source"]) == ("new_b_.ris", 1, 1, "Embase")
        while len(records := opened(ann)) and 13 not in [r["record_id"] for r in records]:
            answer = decided(ann, records[0]["record_id"], "exclude", f"key-{records[0]['record_id']:08}")
            assert answer.status_code in (200, 409)
        assert records


def test_why_a_session_cannot_be_opened_is_told_and_it_is_opened_once_there_are_records(tmp_path):
    intake.new(tmp_path / "r.triage", None)
    with Project.open(tmp_path / "r.triage") as project, alone(project, preset="fast") as ann:
        told = [ann.get("/api/queue")]
        while told[-1].status_code == 200 and len(told) < 200:
            time.sleep(0.02)
            told.append(ann.get("/api/queue"))
        assert told[-1].status_code == 422 and "import some first" in told[-1].json()["detail"]
        ann.post("/api/import", headers=csrf(ann), files={"files": ("a.ris", sample_ris(6))})
        while (again := ann.get("/api/queue")).status_code == 422 or again.json()["preparing"]:
            time.sleep(0.02)
        assert len(again.json()["records"]) == AHEAD


# -- several --------------------------------------------------------------------------------------


def test_two_reviewers_are_blind_to_each_other_and_a_third_decision_is_refused(review):
    with review(12, PROTOCOL.replace('model = "fast"', 'model = "fast"\nreviewers_per_record = 2')) as project:
        app = team_app(project)
        with client(app, TEAM):
            joined(app, "olga", Role.OWNER)
            rita, rosa, rolf = (joined(app, name, Role.REVIEWER) for name in ("rita", "rosa", "rolf"))
            first = opened(rita)[0]["record_id"]
            assert decided(rita, first, "exclude", "key-00000001", note="seen by rita").status_code == 200
            opened(rosa)
            for told in (
                rosa.get(f"/api/records/{first}"),
                rosa.get(f"/records/{first}"),
                rosa.get("/api/history"),
                rosa.get("/api/search?q=peer"),
                rosa.get("/api/queue"),
                rosa.get(f"/api/why/{first}"),
            ):
                assert told.status_code == 200 and "rita" not in told.text
            assert [one["reviewer"] for one in rosa.get("/api/status").json()["pace"]] == ["rosa"]
            assert decided(rosa, first, "include", "key-00000001").status_code == 200  # the same key, another person
            # Each counts their own decision, not what the other's has made of the record.
            for who, relevant in ((rita, 0), (rosa, 1)):
                assert who.get("/api/queue").json()["counts"] == {
                    "records": 12,
                    "screened": 1,
                    "relevant": relevant,
                    "left": 11,
                    "unread": 0,
                }
            opened(rolf)
            assert decided(rolf, first, "include", "key-00000001").status_code == 422
            assert {e.reviewer for e in decisions(project)} == {"rita", "rosa"}
            # Now that both are there, those who judged the record see that they disagree; an adjudicator settles.
            assert [one["record_id"] for one in rita.get("/api/conflicts").json()["conflicts"]] == [first]
            assert rolf.get("/api/conflicts").json()["conflicts"] == [] and "rita" not in rolf.get("/conflicts").text
            ada = joined(app, "ada", Role.ADJUDICATOR)
            page = ada.get("/conflicts").text
            assert "seen by rita" in page and "rosa" in page and ada.get("/api/agreement").json()["records"] == 1
            for _ in range(2):
                told = ada.post("/api/settlements", headers=csrf(ada), json={"record_id": first, "label": "include"})
                assert told.status_code == 200 and told.json()["conflicts"] == []
            assert len([e for e in project.log.events() if e.kind is Kind.SETTLED]) == 1
            assert "Settled" in ada.get("/conflicts").text


def test_a_second_look_is_listed_to_others_blind_and_its_decision_counts(review):
    with review(120) as project:
        app = team_app(project)
        with client(app, TEAM):
            joined(app, "olga", Role.OWNER)
            rita, rosa, rolf = (joined(app, name, Role.REVIEWER) for name in ("rita", "rosa", "rolf"))
            assert "no record has been excluded" in rosa.get("/second-look").text
            screening.commit_audit(project)
            project.log.decide(
                "abstract",
                [
                    {"record_id": i, "label": Label.INCLUDE if i % 6 == 1 else Label.EXCLUDE, "note": "seen by rita"}
                    for i in range(1, 121)
                ],
                reviewer="rita",
            )
            asked = {"stage": "abstract", "size": 6}
            refused = rita.post("/api/second-look", headers=csrf(rita), json=asked)
            assert refused.status_code == 422 and "rita excluded all 100 records" in refused.json()["detail"]
            assert "second look is another reviewer" in rita.get("/second-look").text
            found = rosa.get("/api/second-look").json()
            assert (found["sample"], found["waiting"], found["more"], found["records"]) == (0, 0, 100, [])
            assert [one["looks"] for one in found["price"]] == [25, 50, 100] and found["price"][2]["recall_lower"] == 1
            page = rosa.get("/second-look").text
            assert "What second looks prove at 95" in page and 'max="100"' in page
            assert rosa.post("/api/second-look", json=asked).status_code == 403  # from elsewhere
            assert rosa.post("/api/second-look", headers=csrf(rosa), json=asked).json() == {"waiting": 6}
            form = {"csrf": csrf(rosa)["x-csrf-token"], "stage": "abstract", "size": 6}
            sent = rosa.post("/second-look", data=form, follow_redirects=False)
            assert (
                sent.status_code == 303
                and len([e for e in project.log.events() if e.kind is Kind.SECOND_LOOK_PLAN]) == 1
            )
            own = rita.get("/api/second-look").json()
            assert own["waiting"] == own["judged"] == 0 and own["own"] == own["sample"] == 6 and own["records"] == []
            assert "a second look is another reviewer" in rita.get("/second-look").text
            assert (
                "/second-look?stage=" not in rita.get("/overview").text
                and "/second-look?stage=" in rosa.get("/overview").text
            )
            found = rosa.get("/api/second-look?stage=abstract").json()
            waiting = [one["record_id"] for one in found["records"]]
            assert waiting == list(second_looks(project.snapshot(), "rosa").waiting) and found["own"] == 0
            assert set(found["records"][0]) == {"record_id", "title", "year", "journal"}
            page = rosa.get("/second-look")
            hrefs = re.findall(r'href="(/records/\d+\?stage=abstract&amp;second-look=1)"', page.text)
            assert [int(re.findall(r"\d+", href)[0]) for href in hrefs] == waiting
            opened(rosa)
            before = len(project.log.events())
            for at, record_id in enumerate(waiting):
                shown = rosa.get(f"/records/{record_id}?stage=abstract&second-look=1")
                following = [*waiting[at + 1 :], *waiting[:at]]
                for text in (shown.text, page.text, rosa.get(f"/api/records/{record_id}").text):
                    assert "rita" not in text
                assert "not judged by you" in shown.text
                assert (f"/records/{following[0]}?" in shown.text) == (at < len(waiting) - 1)
                label = "include" if at == 0 else "exclude"
                told = decided(rosa, record_id, label, f"key-{at:08}", next=False)
                assert told.status_code == 200 and set(told.json()) == {"done"}
                assert rosa.get("/api/second-look").json()["judged"] == at + 1
                page = rosa.get("/second-look")
            assert "No other record awaits your second look" in shown.text and "has had its second look" in page.text
            assert {e.kind for e in project.log.events()[before:]} == {Kind.DECISION}
            opened(rolf)
            assert decided(rolf, waiting[0], "include", "key-00000001").status_code == 422
            assert [one["record_id"] for one in rosa.get("/api/conflicts").json()["conflicts"]] == [waiting[0]]
            noise = rosa.get("/api/status").json()["label_noise"]
            assert (noise["judged_twice"], noise["overturned"], noise["pending"]) == (len(waiting), 1, [])
            assert (
                rosa.get("/second-look?stage=none").status_code
                == rosa.get("/api/second-look?stage=none").status_code
                == 422
            )


def test_reviewers_at_once_share_the_pool(review):
    with review(48) as project:
        app = team_app(project)
        with client(app, TEAM):
            joined(app, "olga", Role.OWNER)
            people = {name: joined(app, name, Role.REVIEWER) for name in ("rita", "rosa", "rolf", "rene")}
            wrong = []

            def screen(name):
                visitor = people[name]
                token, records = csrf(visitor), opened(visitor)
                for n in range(12):
                    if not records:
                        break
                    record = records[0]
                    body = {"key": f"{name}-{n:08}", "record_id": record["record_id"], "label": "exclude"}
                    for _ in range(2):  # each is sent twice
                        told = visitor.post("/api/decisions", headers=token, json=body)
                        if told.status_code != 200:
                            wrong.append((name, told.status_code, told.text))
                            return
                    records = told.json()["records"]

            threads = [threading.Thread(target=screen, args=[name]) for name in people]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert wrong == []
            made = decisions(project)
            assert len({e.record_id for e in made}) == len(made) >= 40
            assert {e.reviewer for e in made} == set(people)


# -- a protocol that changes while sessions are open ----------------------------------------------


def made(visitor, what, **body):
    return visitor.post(f"/api/{what}", headers=csrf(visitor), json=body)


def test_a_reason_made_while_screening_is_a_version_of_the_protocol_and_opens_no_session_anew(review, monkeypatch):
    with review() as project, alone(project) as ann:
        first, _ = opened(ann)
        rankings = project.rankings.newest("abstract").id
        sessions, before = [], screening.open_session
        monkeypatch.setattr(screening, "open_session", lambda *a, **k: sessions.append(a) or before(*a, **k))
        answer = made(ann, "reasons", text="Only a protocol").json()
        assert answer["made"] == "ONLY-A-PROTOCOL" and answer["reasons"][-1]["text"] == "Only a protocol"
        assert project.log.events()[-1].kind is Kind.PROTOCOL and project.log.events()[-1].reviewer == "ann"
        told = made(ann, "tags", tag="cohort").json()
        assert told["made"] == "cohort" and told["tags"] == ["cohort"]
        assert ann.get("/").status_code == 200  # loaded again, the page goes on with the session, too
        queue = ann.get("/api/queue").json()
        assert queue["records"][0]["record_id"] == first["record_id"]
        assert queue["protocol_version"] == told["protocol_version"] == len(project.snapshot().protocol_versions) == 3
        done = decided(ann, first["record_id"], "exclude", "key-00000001", reason="ONLY-A-PROTOCOL", tags=["cohort"])
        assert done.status_code == 200, done.text
        assert decisions(project)[-1].reason == "ONLY-A-PROTOCOL"
        assert sessions == [] and project.rankings.newest("abstract").id - rankings <= 1


def test_what_ranks_records_opens_the_session_anew_and_keeps_the_record_before_the_reviewer(review, tmp_path):
    with review() as project, alone(project) as ann:
        first, _ = opened(ann)
        changed = PROTOCOL.replace("Support over the internet.", "Support over the telephone.")
        (tmp_path / "protocol.toml").write_text(changed, encoding="utf-8")
        # A reason can be picked at once although the session still ranks by the criteria as they were.
        assert made(ann, "reasons", text="Only a protocol").status_code == 200
        told = decided(ann, first["record_id"], "exclude", "key-00000001", reason="ONLY-A-PROTOCOL")
        assert told.status_code == 200, told.text
        (second, *_) = told.json()["records"]
        ann.get("/")
        assert opened(ann)[0]["record_id"] == second["record_id"]
        assert ann.get("/api/session").json()["exclude"][-1] == "Support over the telephone."


def test_only_an_owner_adds_to_the_protocol_and_what_is_added_is_offered_to_all(review):
    with review() as project:
        app = team_app(project)
        olga, ann = joined(app, "olga", Role.OWNER), joined(app, "ann", Role.REVIEWER)
        first, _ = opened(ann)
        for what, body in (("reasons", {"text": "Only a protocol"}), ("tags", {"tag": "cohort"})):
            assert made(ann, what, **body).status_code == 403
            assert made(olga, what, **body).status_code == 200
        assert 'class="make"' not in ann.get("/").text and 'class="make"' in olga.get("/").text
        done = decided(ann, first["record_id"], "exclude", "key-00000001", reason="ONLY-A-PROTOCOL", tags=["cohort"])
        assert done.status_code == 200, done.text
        app.state.desks.close()


def test_a_reason_or_tag_that_says_nothing_is_refused(review):
    with review() as project, alone(project) as ann:
        for what, body in (("reasons", {"text": "..."}), ("tags", {"tag": "a;b"}), ("reasons", {"text": "x" * 301})):
            assert made(ann, what, **body).status_code == 422
        assert made(ann, "reasons", text="a", stage="nowhere").status_code == 422
        assert len(project.snapshot().protocol_versions) == 1


def test_word_lists_are_ones_own_or_everybodys_and_mark_open_records_at_once(review):
    with review() as project:
        app = team_app(project)
        olga, ann = joined(app, "olga", Role.OWNER), joined(app, "ann", Role.REVIEWER)

        def marks(visitor):
            record = opened(visitor)[0]
            return {text for part in record["abstract"] for text, kind in part if kind == "green"}

        green = [{"name": "design", "colour": "green", "words": ["schizo*", " community  mental ", "schizo*"]}]
        assert marks(ann) == marks(olga) == set()
        assert made(ann, "highlights", shared=green).status_code == 403
        told = made(ann, "highlights", own=green).json()
        assert told["own_highlights"][0]["words"] == ["schizo*", "community mental"]
        assert marks(ann) and not marks(olga)
        assert olga.get("/api/session").json()["own_highlights"] == []
        assert "schizo" not in olga.get("/api/log").text
        assert made(ann, "highlights", own=[]).status_code == 200 and not marks(ann)
        assert made(olga, "highlights", shared=green).status_code == 200
        assert marks(ann) and marks(olga) and project.protocol().highlights[0].name == "design"
        for wrong in ([{**green[0], "words": ["*"]}], green * 2, [{**green[0], "colour": "mauve"}]):
            assert made(olga, "highlights", shared=wrong).status_code == 422
        app.state.desks.close()


# -- by words first -------------------------------------------------------------------------------

MEANING = PROTOCOL.replace('model = "fast"\n', "")  # the default reads sentence embeddings


class Encoder:
    """Holds what computes the embeddings until it is let go, or has it fail."""

    def __init__(self, monkeypatch):
        self.go, self.asked, self.error = threading.Event(), 0, None
        real = sessions.model_of

        def held(*given):
            self.asked += 1
            assert self.go.wait(60)
            if self.error is not None:
                raise self.error
            return real(*given)

        monkeypatch.setattr(sessions, "model_of", held)


def ranked_by(project):
    return project.rankings.newest("abstract").model["name"]


def improved(visitor):
    """Wait until nothing is computed any more; return what is before the reviewer then."""
    for _ in range(400):
        queue = visitor.get("/api/queue").json()
        if not queue["preparing"] and not queue["improving"]:
            return queue["records"]
        time.sleep(0.05)
    raise AssertionError("it was not improved")


def test_records_come_by_words_at_once_and_by_what_they_mean_once_that_is_computed(review, monkeypatch):
    encoder = Encoder(monkeypatch)
    with review(30, MEANING) as project, alone(project) as ann:
        first, second = opened(ann)
        assert ranked_by(project) == "default, by words"
        assert decided(ann, first["record_id"], "include", "key-00000001").status_code == 200
        encoder.go.set()
        records = improved(ann)
        assert ranked_by(project) == "default" and encoder.asked == 1
        assert records[0]["record_id"] == second["record_id"]  # it was before the reviewer
        assert decided(ann, second["record_id"], "exclude", "key-00000002").status_code == 200
        assert [e.record_id for e in decisions(project)] == [first["record_id"], second["record_id"]]
        assert len({e.record_id for e in project.log.events() if e.kind is Kind.SHOWN}) == 4
        with alone(project) as again:  # another server: the embeddings are kept
            opened(again)
            assert again.get("/api/queue").json()["improving"] is None and encoder.asked == 1


def test_what_cannot_be_computed_leaves_the_session_as_it_is(review, monkeypatch, caplog):
    encoder = Encoder(monkeypatch)
    encoder.error = InputError("The cache cannot be written.")
    with review(30, MEANING) as project, alone(project) as ann:
        first, _ = opened(ann)
        encoder.go.set()
        improved(ann)
        assert "Records are ranked by words alone: The cache cannot be written." in caplog.text
        assert decided(ann, first["record_id"], "include", "key-00000001").status_code == 200
        assert ranked_by(project) == "default, by words"


def test_a_session_that_was_opened_anew_meanwhile_is_not_closed(review, monkeypatch):
    encoder = Encoder(monkeypatch)
    with review(30, MEANING) as project, alone(project) as ann:
        opened(ann)
        project.change_protocol(parse(PROTOCOL), reviewer="ann")  # the preset that reads none
        ann.get("/")
        opened(ann)
        (desk,) = ann.app.state.desks._desks.values()
        session = desk.session
        encoder.go.set()
        improved(ann)
        time.sleep(0.3)
        assert desk.session is session and ranked_by(project) == "fast"


def test_two_at_once_compute_the_embeddings_one_after_the_other_and_end_with_one_ranking(review, monkeypatch):
    encoder = Encoder(monkeypatch)
    with review(30, PROTOCOL.replace('model = "fast"', "reviewers_per_record = 2")) as project:
        app = team_app(project)
        rita, rosa = (joined(app, name, Role.REVIEWER) for name in ("rita", "rosa"))
        opened(rita), opened(rosa)
        assert encoder.asked == 1  # the other waits
        encoder.go.set()
        improved(rita), improved(rosa)
        first, other = app.state.desks._desks.values()
        assert ranked_by(project) == "default"
        assert first.session.training is other.session.training
