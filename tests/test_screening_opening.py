"""Before a session shows anything: the order committed, rankings, batches, second looks."""

import contextlib
import csv
import hashlib
import json

import numpy as np
import pytest
from conftest import PROTOCOL, both_storages, sample_ris
from screening_helpers import EXCLUDE, INCLUDE, TWO, answer, at_desk, is_relevant, taken
from sqlalchemy import select

from triage import cli, intake, ranking, status, team
from triage.errors import InputError
from triage.log import Kind, Origin
from triage.project import Project, schema
from triage.ranking import answers
from triage.screening.journal import commit_audit
from triage.screening.opening import hand_out, open_second_look
from triage.second_look import ask_for_second_looks, second_looks

storage = both_storages


# -- the order committed, and second looks --------------------------------------------------------


def screened_by_ann(review, n=120, protocol=PROTOCOL):
    """Return a review that ann has screened, and six records that await bob's second look."""
    project = review(n, protocol)
    commit_audit(project)
    project.log.decide(
        "abstract",
        [{"record_id": i, "label": INCLUDE if is_relevant(i) else EXCLUDE, "note": "by ann"} for i in range(1, n + 1)],
        reviewer="ann",
    )
    return project, ask_for_second_looks(project, "bob", 6)


def test_second_looks_come_in_the_order_of_the_sample_and_are_counted(review):
    project, waiting = screened_by_ann(review)
    before = project.snapshot().history()
    assert len(waiting) == 6 and project.protocol().reviewers_per_record == 1
    with open_second_look(project, waiting, reviewer="bob") as (session, records):
        assert [r.id for r in records] == waiting and session.undo() is None
        rows = [session.next().row]
        session.decide(rows[0], INCLUDE, note="on second look", tags=["a"])
        assert session.tags(rows[0]) == ["a"]
        aside = session.next().row
        session.skip(aside)
        rows.append(session.next().row)
        session.decide(rows[1], EXCLUDE, "CHILD")
        assert session.undo() == rows[1] == session.next().row
        session.decide(rows[1], EXCLUDE, "ONLINE")
        while (showing := session.next()) is not None:
            rows.append(showing.row)
            session.decide(showing.row, EXCLUDE)
        assert [records[row].id for row in rows] == [waiting[0], *waiting[2:], waiting[1]]
    told = [e for e in project.log.events() if e.reviewer == "bob"]
    assert {e.kind for e in told} == {Kind.SECOND_LOOK_PLAN, Kind.DECISION, Kind.TAG, Kind.UNDO}
    assert project.live().decisions["abstract", waiting[2], "bob"].reason == "ONLINE"
    # The order of first showing is as it was; the overturned record is in conflict, and relevant until it is settled.
    after = project.snapshot().history()
    assert after.rows.tolist() == before.rows.tolist() and after.n_found == before.n_found + 1
    assert [one.record_id for one in team.conflicts(project.snapshot()).conflicts] == [waiting[0]]
    noise = status.status(project.snapshot()).label_noise
    assert (noise.judged_twice, noise.overturned, noise.pending) == (len(waiting), 1, [])
    assert noise.sensitivity < 1
    looks = second_looks(project.snapshot(), "bob")
    assert (looks.sample, looks.judged, looks.waiting, looks.own) == (len(waiting), len(waiting), (), 0)


def test_one_second_look_is_enough_and_one_may_be_chosen(review):
    project, waiting = screened_by_ann(review)
    elsewhere = next(i for i in range(1, 121) if not is_relevant(i) and i not in waiting)
    with at_desk(project, "bob") as (bob, _), open_second_look(project, waiting, reviewer="carl") as (carl, records):
        assert bob.next() is None
        first = carl.next().row
        bob.decide(waiting[0] - 1, EXCLUDE)
        bob.decide(elsewhere - 1, EXCLUDE)  # a second look that nobody drew
        with pytest.raises(InputError, match="As many reviewers"):
            bob.decide(0, EXCLUDE)  # what ann included
        with pytest.raises(InputError, match="As many reviewers"):  # on carl's screen, but judged by bob
            carl.decide(first, INCLUDE)
        second = carl.next().row
        assert (first, second) == (0, 1)
        carl.decide(second, EXCLUDE)
        bob.decide(waiting[2] - 1, EXCLUDE)
        assert records[carl.next().row].id == waiting[3]
    given = [(e.record_id, e.reviewer) for e in project.log.events() if e.kind is Kind.DECISION and e.reviewer != "ann"]
    assert given == [(waiting[0], "bob"), (elsewhere, "bob"), (waiting[1], "carl"), (waiting[2], "bob")]
    noise = status.status(project.snapshot()).label_noise
    assert (noise.judged_twice, noise.sample) == (3, 6)  # the one that was chosen is no evidence


def test_an_exclusion_that_is_taken_back_awaits_no_second_look(review):
    project, waiting = screened_by_ann(review)
    with open_second_look(project, waiting, reviewer="bob") as (session, records):
        project.log.decide("abstract", [{"record_id": waiting[0], "label": INCLUDE}], reviewer="ann")
        assert records[session.next().row].id == waiting[1]
    assert second_looks(project.snapshot(), "ann").own == len(waiting) - 1


def committed_before_all(project):
    """Check that the first permutation was committed before anything was shown or decided; return its records."""
    events = project.log.events()
    kinds = [e.kind for e in events]
    plan = kinds.index(Kind.PLAN)
    assert not set(kinds[:plan]) & {Kind.SHOWN, Kind.DECISION} and set(kinds[plan:]) & {Kind.SHOWN, Kind.DECISION}
    note = json.loads(events[plan].note)
    with project._database.engine.connect() as connection:
        plans = schema.plans.c
        blob = connection.execute(select(plans.permutation).where(plans.seq == events[plan].seq)).scalar()
        seed = connection.execute(select(schema.seeds.c.seed).where(schema.seeds.c.seq == events[plan].seq)).scalar()
    assert "seed" not in note and note["bets"] and note["decay"] == 0.25
    assert note["commitment"] == hashlib.sha256(f"{seed}:".encode() + blob).hexdigest()
    ids = np.frombuffer(blob, "<i8")
    assert np.random.default_rng(int(seed)).permutation(np.sort(ids)).tolist() == ids.tolist()
    return sorted(ids.tolist())


def test_the_permutation_is_committed_before_a_session_shows(review):
    project = review(12)
    with at_desk(project) as (session, _):
        session.next()
    assert committed_before_all(project) == list(range(1, 13))


def test_the_permutation_is_committed_before_a_batch_is_handed_out(review):
    project = review(12)
    hand_out(project, 3, file="next.csv", reviewer="ann")
    assert committed_before_all(project) == list(range(1, 13))


def test_the_permutation_is_committed_before_decisions_made_elsewhere(review, tmp_path):
    project = review(12)
    (tmp_path / "d.csv").write_text("record_id,label\n3,include\n")
    intake.label(project, tmp_path / "d.csv", reviewer="ann")
    assert committed_before_all(project) == list(range(1, 13))


def test_the_permutation_is_committed_before_imported_decisions(tmp_path, place):
    (tmp_path / "a.csv").write_text("title,abstract,mine\nOne,a,1\nTwo,b,0\nThree,c,\n")
    with Project.create(place(), PROTOCOL) as project:
        intake.import_files(project, [tmp_path / "a.csv"], reviewer="ann", label_column="mine")
        assert committed_before_all(project) == [1, 2, 3]
        assert project.snapshot().history().origin.tolist() == ["imported", "imported"]


def test_the_permutation_of_a_later_stage_is_committed_before_it_begins(tmp_path, review):
    project = review(12, PROTOCOL + '\n[[stages]]\nname = "abstract"\n\n[[stages]]\nname = "full-text"\n')
    with at_desk(project) as (session, records):
        answer(session, records)
    with at_desk(project, stage_name="full-text") as (session, records):
        assert [r.id for r in records] == [1, 7]
        answer(session, records)
    plans = [e for e in project.log.events() if e.kind is Kind.PLAN]
    later = next(e for e in project.log.events() if e.kind is Kind.SHOWN and e.stage == "full-text")
    assert [e.stage for e in plans] == ["abstract", "full-text"] and plans[1].seq < later.seq


def test_records_added_while_screening_stop_the_session_and_lose_nothing(review, tmp_path):
    project = review(12)
    with at_desk(project) as (session, records):
        answer(session, records, 4)
        (tmp_path / "more.ris").write_text(sample_ris(6, first=100))
        with Project.open(project.path) as other:
            intake.import_files(other, [tmp_path / "more.ris"], reviewer="bob")
        # An import writes no event; whatever comes first tells of it.
        with Project.open(project.path) as other:
            commit_audit(other)
        with pytest.raises(InputError, match="added to or removed from this stage.*start the session again"):
            session.next()
    with at_desk(project) as (session, records):
        assert len(records) == 18 and session.pool.n_shown == 4
        answer(session, records)
    assert project.snapshot().history().n_screened == 18


# -- batches ------------------------------------------------------------------------------------


def test_a_batch_holds_audit_draws_and_keeps_their_origin_when_its_labels_come_back(review, tmp_path):
    project = review(150)
    with at_desk(project, retrain_after=lambda labelled: 15) as (session, records):
        while session._next_origin(session.pool.history()) is not Origin.AUDIT:
            answer(session, records, 1)
        screened = session.pool.n_shown
    batch = hand_out(project, 20, file="next.csv", reviewer="ann")
    assert len(set(batch)) == 20
    history = project.snapshot().history()
    assert history.origin[screened:].tolist() == ["audit"] * 20 and (history.y[screened:] == -1).all()
    assert [e.note for e in project.log.events() if e.kind is Kind.SHOWN][screened:] == ["next.csv"] * 20
    order = [row + 1 for row in project.stage().strata[0].tolist()]
    seen = set((history.rows[:screened] + 1).tolist())
    assert batch == [record_id for record_id in order if record_id not in seen][:20]
    (tmp_path / "d.csv").write_text("record_id,label\n" + "".join(f"{i},{int(is_relevant(i))}\n" for i in batch[::-1]))
    intake.label(project, tmp_path / "d.csv", reviewer="ann")
    labelled = project.snapshot().history()
    assert labelled.origin.tolist() == history.origin.tolist() and labelled.rows.tolist() == history.rows.tolist()
    assert (labelled.y >= 0).all()


def test_a_record_goes_into_one_batch_until_no_other_is_left(review):
    project = review(10)
    first, second = (hand_out(project, 4, file=f"{i}.csv", reviewer="ann") for i in (1, 2))
    third = hand_out(project, 4, file="3.csv", reviewer="ann")
    assert not set(first) & set(second) and len(third) == 4
    assert third == [*sorted(set(range(1, 11)) - {*first, *second}, key=third.index), *first[:2]]
    for record_id in range(1, 11):
        project.log.decide("abstract", [{"record_id": record_id, "label": EXCLUDE}], reviewer="ann")
    with pytest.raises(InputError, match="is judged; there is no next batch"):
        hand_out(project, 4, file="4.csv", reviewer="ann")


def from_a_spreadsheet(project, tmp_path, reviewer, count, judge):
    """Hand a batch out, fill in its column label as a spreadsheet would, and take it; return the batch."""
    made = len(list(tmp_path.glob("*.csv")))
    batch, filled = tmp_path / f"{made} {reviewer}.csv", tmp_path / f"{made} {reviewer} filled.csv"
    assert (
        cli.run(
            [
                "export",
                str(project.path),
                "-o",
                str(batch),
                "--only",
                "next",
                "--top",
                str(count),
                "--reviewer",
                reviewer,
            ]
        )
        == 0
    )
    with batch.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row[name] == "" for row in rows for name in ("label", "reason", "note", "reviewer", "tags"))
    with filled.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, **judge(int(row["record_id"]))} for row in rows)
    assert cli.run(["label", str(project.path), str(filled), "--reviewer", reviewer]) == 0
    return [int(row["record_id"]) for row in rows]


def test_two_work_from_spreadsheets_blind_to_each_other(review, tmp_path):
    project = review(24, TWO.replace("reviewers_per_record", 'tags = ["trial"]\nreviewers_per_record'))

    def anns(record_id):
        return {"label": "include" if is_relevant(record_id) else "exclude", "note": "ann was here", "tags": "trial"}

    def bobs(record_id):
        return {"label": "exclude", "reason": "CHILD"}

    first = from_a_spreadsheet(project, tmp_path, "ann", 8, anns)
    assert set(from_a_spreadsheet(project, tmp_path, "bob", 5, bobs)) & set(first)  # the best are so for both
    # Whoever comes third is given what fewer than two have taken.
    shown, _ = taken(project)
    eves = from_a_spreadsheet(project, tmp_path, "eve", 4, bobs)
    assert not {i for i in eves if len(shown.get(i, [])) == 2}
    for reviewer, judge in (("ann", anns), ("bob", bobs)) * 8:
        with contextlib.suppress(AssertionError):  # none is left for them
            from_a_spreadsheet(project, tmp_path, reviewer, 4, judge)
    shown, decided = taken(project)
    assert sorted(shown) == list(range(1, 25)) and shown == decided
    assert all(len(who) == len(set(who)) == 2 for who in shown.values())
    assert len(set(first)) == 8 and all(e.note.endswith(".csv") for e in project.log.events() if e.kind is Kind.SHOWN)
    for reviewer in ("ann", "bob", "eve"):
        with pytest.raises(InputError, match="is judged; there is no next batch"):
            hand_out(project, 4, file="x.csv", reviewer=reviewer)
    disagree = {i for i, who in shown.items() if "ann" in who and is_relevant(i)}
    assert {one.record_id for one in team.conflicts(project.snapshot()).conflicts} == disagree != set()
    draws = [e.record_id for e, _ in project.stage().draws]
    order = [row + 1 for row in project.stage().strata[0].tolist()]
    assert draws == [i for i in order if i in draws]  # whoever drew them


def test_a_batch_in_somebodys_file_is_theirs_until_they_are_away_for_a_week(review, monkeypatch):
    project = review(6)
    assert len(hand_out(project, 6, file="a.csv", reviewer="ann")) == 6
    with pytest.raises(InputError, match="No record of the stage 'abstract' is left for bob; others have those"):
        hand_out(project, 6, file="b.csv", reviewer="bob")
    with at_desk(project, "bob") as (session, _):
        assert session.next() is None
    assert sorted(hand_out(project, 6, file="again.csv", reviewer="ann")) == list(range(1, 7))
    assert sum(e.kind is Kind.SHOWN for e in project.log.events()) == 6
    monkeypatch.setattr("triage.screening.journal._AWAY_WITH_FILE_SECONDS", 0)
    assert sorted(hand_out(project, 6, file="b.csv", reviewer="bob")) == list(range(1, 7))
    assert sum(e.kind is Kind.SHOWN and e.reviewer == "bob" for e in project.log.events()) == 6


def test_the_calibration_round_comes_first_in_a_batch_too(review):
    project = review(20, TWO.replace("reviewers_per_record", "calibration = 3\nreviewers_per_record"))
    sample = [row + 1 for row in commit_audit(project).stage().strata[0][:3].tolist()]
    batches = [hand_out(project, 5, file=f"{who}.csv", reviewer=who) for who in ("ann", "bob", "eve")]
    assert all(batch[:3] == sample for batch in batches)
    assert [e.origin for e in project.log.events() if e.kind is Kind.SHOWN][:3] == [Origin.AUDIT] * 3


def test_a_batch_is_chosen_anew_when_somebody_wrote_meanwhile(review, monkeypatch):
    project = review(10)
    show, interrupted = project.log.show, []

    def slow(stage, record_ids, *args, **kwargs):
        if not interrupted:
            interrupted.append(list(record_ids))
            with Project.open(project.path) as other:
                other.log.decide(stage, [{"record_id": record_ids[0], "label": EXCLUDE}], reviewer="bob")
        return show(stage, record_ids, *args, **kwargs)

    monkeypatch.setattr(project.log, "show", slow)
    batch = hand_out(project, 3, file="a.csv", reviewer="ann")
    assert interrupted[0][0] not in batch and len(batch) == 3
    assert [e.pool_size for e in project.log.events() if e.kind is Kind.SHOWN] == [9, 8, 7]


# -- rankings -----------------------------------------------------------------------------------


def test_a_ranking_is_made_anew_only_when_a_decision_or_the_protocol_changed(tmp_path, review):
    project = review(30)
    first = answers.rank(project, top=5)
    assert [r.rank for r in first.records] == [1, 2, 3, 4, 5] and first.basis == "criteria"
    assert all(is_relevant(r.record_id) for r in first.records)
    hand_out(project, 2, file="a.csv", reviewer="ann")  # shown, and a permutation committed: no decision
    again = answers.rank(project, top=5)
    assert again.as_of == first.as_of and project.rankings.newest("abstract").id == 1
    decided = project.log.decide(
        "abstract", [{"record_id": 1, "label": INCLUDE}, {"record_id": 2, "label": EXCLUDE}], reviewer="ann"
    )
    learned = answers.rank(project, top=50)
    assert learned.as_of == decided[-1].seq and learned.basis == "labels" and len(learned.records) == 28
    project.log.undo(decided[-1].seq, reviewer="ann")
    assert answers.rank(project, top=5).as_of == decided[-1].seq + 1
    (tmp_path / "protocol.toml").write_text(PROTOCOL.replace("Children and adolescents.", "Animals."))
    project.refresh_protocol()
    newest = project.rankings.newest("abstract").id
    answers.rank(project, top=5)
    assert project.rankings.newest("abstract").id == newest + 1


@pytest.mark.parametrize("preset", ["default", "fast"])
@pytest.mark.parametrize("stages", ["", '[[stages]]\nname = "abstract"\n\n[[stages]]\nname = "full text"\n'])
@pytest.mark.parametrize(
    ("criteria", "ranks"),
    [
        ("", False),
        ('question = "..."\n', False),
        ('[[exclude]]\ncode = "C"\ntext = "Children and adolescents."\n', False),
        ('[[include]]\ncode = "P"\ntext = "Steel beams of bridges corrode in sea air."\n', True),
        ('question = "How do steel beams of bridges corrode in sea air?"\n', True),
    ],
)
def test_the_order_of_import_is_told_where_it_is_the_order_and_nowhere_else(review, preset, stages, criteria, ranks):
    project = review(12, criteria + stages)

    def ranked_and_said():
        order = [r.record_id for r in answers.rank(project, top=12, preset=preset).records]
        return order == sorted(order), answers.nothing_to_rank_by(project.snapshot())

    by_import, said = ranked_and_said()
    assert by_import is not ranks and ("order of import" in said) is by_import
    commit_audit(project)
    project.log.decide("abstract", [{"record_id": 2, "label": EXCLUDE}], reviewer="ann")
    by_import, said = ranked_and_said()
    assert by_import is not ranks and ("order of import" in said) is by_import
    project.log.decide("abstract", [{"record_id": 7, "label": INCLUDE}], reviewer="ann")
    by_import, said = ranked_and_said()
    assert not by_import and "order of import" not in said and bool(said) is not ranks
    if stages and not ranks:  # nobody has decided anything there
        assert "order of import" in answers.nothing_to_rank_by(project.snapshot(), "full text")


def test_a_protocol_whose_file_is_gone_or_unknown_is_named_as_well_as_can_be(review, tmp_path):
    project = review(6, "")
    (tmp_path / "protocol.toml").unlink()
    assert answers.nothing_to_rank_by(project.snapshot()).startswith(f"{tmp_path / 'protocol.toml'} is still an empty")
    with Project.create(tmp_path / "other.triage", "") as other:
        assert answers.nothing_to_rank_by(other.snapshot()).startswith(
            "The review's protocol is still an empty template"
        )


def test_a_session_ranks_before_it_shows_and_keeps_what_it_ranked_by(review):
    project = review(30)
    with at_desk(project) as (session, records):
        assert project.rankings.newest("abstract").as_of == project.stage().live.last_seq
        showing = session.next()
        assert is_relevant(records[showing.row].id) and showing.rank == 1
        answer(session, records, 3)
        saved = project.rankings.newest("abstract")
        assert saved.as_of == max(e.seq for e in project.log.events() if e.kind is Kind.DECISION)
        assert saved.record_ids.tolist() == list(range(1, 31)) and saved.model["name"] == "fast"


def test_a_ranking_can_learn_from_what_later_stages_decided(tmp_path, review, monkeypatch):
    """Of three records that the first stage included, the last stage excluded one and included one."""
    stages = 'model = "fast"\nlearn_from = "{}"\nstages = [{{ name = "abstract" }}, {{ name = "full text" }}]\n'
    project = review(30)
    path = tmp_path / "protocol.toml"
    path.write_text(stages.format("stage"))
    project.refresh_protocol()
    include = {"label": INCLUDE, "reason": ""}
    commit_audit(project, "abstract")
    project.log.decide(
        "abstract",
        [{"record_id": i, **include} for i in (1, 2, 3)] + [{"record_id": 4, "label": EXCLUDE, "reason": ""}],
        reviewer="ann",
    )
    commit_audit(project, "full text")
    project.log.decide(
        "full text", [{"record_id": 1, **include}, {"record_id": 2, "label": EXCLUDE, "reason": ""}], reviewer="ann"
    )
    seen = []
    call = ranking.Learner.__call__

    def watched(self, rows, y):
        seen.append(dict(zip((rows + 1).tolist(), y.tolist())))
        return call(self, rows, y)

    monkeypatch.setattr(ranking.Learner, "__call__", watched)
    answers.rank(project, top=3)
    assert seen[0] == {1: 1, 2: 1, 3: 1, 4: 0}
    path.write_text(stages.format("final"))
    project.refresh_protocol()
    seen.clear()
    told = answers.rank(project, top=3)
    assert seen[0] == {1: 1, 2: 0, 3: 1, 4: 0} and told.model["learn_from"] == "final"
    seen.clear()
    with at_desk(project):
        assert seen[0] == {1: 1, 2: 0, 3: 1, 4: 0}
    assert any("recall stays that of the labels" in line for line in status.status(project.snapshot()).warnings)


def test_an_empty_stage_is_told(place):
    with Project.create(place(), PROTOCOL) as project:
        for use in (
            lambda: hand_out(project, 3, file="a", reviewer="ann"),
            lambda: answers.rank(project, top=3),
            lambda: at_desk(project).__enter__(),
        ):
            with pytest.raises(InputError, match="holds no records yet"):
                use()


def test_a_batch_is_handed_out_only_when_its_file_is_there(review, tmp_path, monkeypatch):
    project, file = review(30), tmp_path / "next.csv"

    def full_disk(ids):
        raise OSError(28, "No space left on device")

    before = [e for e in project.log.events() if e.kind is Kind.SHOWN]
    with pytest.raises(OSError, match="No space"):
        hand_out(project, 3, file=file, reviewer="ann", write=full_disk)
    monkeypatch.setattr(project.log, "show", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        hand_out(project, 3, file=file, reviewer="ann", write=lambda ids: file.write_text(str(ids)))
    assert not file.exists() and [e for e in project.log.events() if e.kind is Kind.SHOWN] == before
    monkeypatch.undo()
    batch = hand_out(project, 3, file=file, reviewer="ann", write=lambda ids: file.write_text(str(ids)))
    shown = [e for e in project.log.events() if e.kind is Kind.SHOWN]
    assert file.read_text() == str(batch) and [e.record_id for e in shown] == batch and shown[0].note == "next.csv"
