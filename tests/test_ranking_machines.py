"""What machines suggest, as a part of the ranking: worth what people's labels bear out, and no evidence of anything."""

from dataclasses import replace

import numpy as np
import pytest
from cli_helpers import a_review, a_triage, labels, write
from conftest import PROTOCOL, Log

from triage import features, ranking, recall
from triage.log import Kind, Label, Origin
from triage.ranking import answers, suggested
from triage.ranking.learner import Learner
from triage.ranking.review import newest_ranking_of
from triage.screening import open_session

triage = a_triage
review_by_command = a_review
GPT = "gpt-x 2025-01"
INCLUDE, EXCLUDE, MAYBE = Label.INCLUDE, Label.EXCLUDE, Label.MAYBE
NAN = float("nan")


# -- on one scale ---------------------------------------------------------------------------------


def test_labels_and_scores_come_on_one_scale_and_silence_is_the_middle():
    said = suggested.opinions([np.array([1, 0, 0, 0.5, NAN, NAN]), np.array([NAN, NAN, 2, 3, 90, NAN])])
    assert said[5] == 0 and said[0] > said[3] > said[1] and said[4] > 0 > said[2]
    assert np.array_equal(suggested.opinions([np.full(4, 1.0)]), np.zeros(4))  # the same of all says nothing
    for scale in (1e-300, 1.0, 1e300):
        scores = np.array([0.1, 0.5, 0.9]) * scale
        assert suggested.opinions([scores]) == pytest.approx([-1.2247, 0, 1.2247], abs=1e-3)
    rare = np.zeros(10_000)
    rare[3] = 1
    assert suggested.opinions([rare]).max() == 3  # no opinion outweighs everything else


# -- worth ----------------------------------------------------------------------------------------


def drawn(seed, n=400, share=0.1):
    """Return labels, and how well the texts tell them: a normal score, 1.5 apart."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < share).astype(int)
    return rng, y, rng.normal(size=n) + 1.5 * y


def labels_of(rng, y, sensitivity, specificity):
    says = np.where(y == 1, rng.random(len(y)) < sensitivity, rng.random(len(y)) >= specificity)
    return suggested.opinions([says.astype(float)])


@pytest.mark.parametrize("seed", range(5))
def test_a_good_machine_earns_weight_and_a_wrong_one_none(seed):
    rng, y, learned = drawn(seed)
    good, noise, inverted = (labels_of(rng, y, *kind) for kind in ((0.9, 0.8), (0.5, 0.5), (0.1, 0.2)))
    alone = [suggested.weights(learned, one[:, None], y, 0.3)[0] for one in (good, noise, inverted)]
    assert alone[0] > 0.5 and alone[1] < 0.2 and alone[2] == 0
    beside = suggested.weights(learned, np.column_stack([good, noise, inverted]), y, 0.3)
    assert beside[0] > 0.4 and beside[1] < 0.2 and beside[2] == 0
    assert suggested.weights(learned, np.column_stack([good, -good]), y, 0.3)[1] == 0


def test_the_records_that_were_ranked_first_make_no_machine_look_good():
    # Those judged are the first by texts and machine together: among them a random one says include of nearly all.
    rng, y, learned = drawn(1, 4000)
    noise = labels_of(rng, y, 0.5, 0.5)
    first = np.argsort(-(learned + 2 * noise))[:600]
    assert noise[first].mean() > 0.9
    assert suggested.weights(learned[first], noise[first][:, None], y[first], 0.3)[0] < 0.1


@pytest.mark.parametrize("seed", range(4))
def test_a_good_machine_keeps_its_weight_where_the_records_judged_are_those_that_it_put_first(seed):
    # Among these, what it says and what the texts say speak against each other: labels alone would show no worth.
    rng, y, learned = drawn(seed, 4000)
    good = labels_of(rng, y, 0.8, 0.6)
    first = np.argsort(-(learned + good))[:800]
    assert suggested.weights(learned[first], good[first][:, None], y[first], 0.3)[0] > 0.3
    assert suggested.weights(0 * learned[first], good[first][:, None], y[first], 0.3)[0] < 0.1


@pytest.mark.parametrize("labelled", [2, 3, 2000])
def test_worth_is_a_number_whatever_the_labels(labelled):
    y = np.arange(labelled) % 2
    for learned in (np.zeros(labelled), 1e6 * (y - 0.5), 1e-9 * y):
        for given in (np.zeros(labelled), 3.0 * (2 * y - 1), -3.0 * (2 * y - 1)):
            found = suggested.weights(learned, given[:, None], y, 0.3)
            assert np.isfinite(found).all() and (found >= 0).all() and (found <= 2).all()


# -- in the ranking -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def views():
    """A hundred records, every tenth relevant; texts tell them apart badly."""
    rng = np.random.default_rng(4)
    words = [f"{a}{b}{c}" for a in "bdgkmp" for b in "aeiou" for c in "lnrst"]
    y = (np.arange(100) % 10 == 0).astype(int)
    texts = [" ".join([*rng.choice(words, 30), *rng.choice(words[:9] if one else words, 4)]) for one in y]
    made = features.build_views(
        features.Texts.of([text[:40] for text in texts], texts),
        ["words", "stems", "titles", "static"],
        include=[" ".join(words[:9])],
    )
    return made, y


PRESETS = ("fast", "elas-u4")


def with_machines(views, *columns):
    return replace(views, suggested={f"m{i}": column for i, column in enumerate(columns)})


@pytest.mark.parametrize("name", PRESETS)
def test_without_a_machine_of_worth_the_order_is_that_without_it(views, name):
    made, y = views
    preset, rows = ranking.load_preset(name), np.arange(60)
    wrong = suggested.opinions([1.0 - y])
    alone = Learner(preset, made)(rows, y[:60])
    for column in (wrong, np.zeros(100)):
        beside = Learner(preset, with_machines(made, column))(rows, y[:60])
        assert np.array_equal(np.argsort(beside, kind="stable"), np.argsort(alone, kind="stable"))
    right = Learner(preset, with_machines(made, -wrong))(rows, y[:60])
    assert set(60 + np.argsort(-right[60:])[:4]) == {60, 70, 80, 90}


@pytest.mark.parametrize("name", PRESETS)
def test_what_the_texts_have_learned_by_heart_leaves_a_machine_its_worth(views, name):
    # Every record judged has its own label in its score, so that no machine could add anything to it.
    made, y = views
    column = labels_of(np.random.default_rng(1), y, 0.9, 0.8)
    learner = Learner(ranking.load_preset(name), with_machines(made, column))
    assert learner.explain(np.arange(60), y[:60], 70).suggested["m0"] > 0.2 * column[70] > 0


@pytest.mark.parametrize("name", PRESETS)
def test_before_any_label_a_machine_ranks_and_a_wrong_one_no_longer_than_its_patience(views, name):
    made, y = views
    preset, none = ranking.load_preset(name), np.zeros(0, int)
    column = suggested.opinions([y.astype(float)])
    machine, alone = Learner(preset, with_machines(made, column)), Learner(preset, made)
    assert y[np.argsort(-machine(none, none), kind="stable")[:10]].sum() > 0.7 * 10
    irrelevant = np.flatnonzero(y == 0)
    short, long = irrelevant[: suggested.PATIENCE - 1], irrelevant[: suggested.PATIENCE]
    assert np.array_equal(machine(short, y[short]), machine(none, none))
    without = alone(long, y[long])
    assert (without is None) == (name == "elas-u4")
    assert machine(long, y[long]) is None if without is None else np.array_equal(machine(long, y[long]), without)
    relevant = np.repeat(np.flatnonzero(y == 1), 4)  # only relevant ones so far speak for nobody's error
    assert np.array_equal(machine(relevant, y[relevant]), machine(none, none))


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("labelled", [0, 60])
def test_explanations_name_what_each_machine_adds_and_add_up(views, name, labelled):
    made, y = views
    rng = np.random.default_rng(2)
    machines = with_machines(made, suggested.opinions([y.astype(float)]), labels_of(rng, y, 0.6, 0.6))
    learner, rows = Learner(ranking.load_preset(name), machines), np.arange(labelled)
    for row in (0, 1, 70, 71):
        told = learner.explain(rows, y[:labelled], row)
        assert told.score == pytest.approx(learner(rows, y[:labelled])[row], abs=1e-5)
        assert sum(told.parts.values()) + sum(told.suggested.values()) == pytest.approx(told.score, abs=1e-5)
        assert list(told.suggested) == ["m0", "m1"] and (told.suggested["m0"] > 0) == bool(y[row])
    # One label more costs a few products; the scores are those of a new learner.
    new = Learner(ranking.load_preset(name), machines)
    assert learner(np.arange(65), y[:65]) == pytest.approx(new(np.arange(65), y[:65]), abs=2e-3)


# -- of a review ----------------------------------------------------------------------------------


def suggest(project, says, machine=GPT):
    rows = [{"record_id": i, "label": label} for i, label in says.items()]
    project.log.suggest("abstract", rows, machine=machine, known={})


def ranked(project):
    return newest_ranking_of(project, None, None, "cpu", None).ranking


def test_a_ranking_is_stale_once_a_machine_that_ranks_says_something_new(tmp_path, review):
    project = review(30)
    first = ranked(project)
    assert first.model["machines"] == {}
    suggest(project, dict.fromkeys(range(1, 31), EXCLUDE) | {20: INCLUDE})
    second = ranked(project)
    assert second.id > first.id and list(second.model["machines"]) == [GPT]
    assert second.scores[19] > first.scores[19] and ranked(project).id == second.id
    suggest(project, {20: EXCLUDE, 21: MAYBE})
    third = ranked(project)
    assert third.id > second.id and third.scores[19] < second.scores[19]
    suggest(project, {5: INCLUDE}, "other 1")
    assert list(ranked(project).model["machines"]) == [GPT, "other 1"]
    # Left out by the protocol, it is the ranking that it was.
    (tmp_path / "protocol.toml").write_text(PROTOCOL + "\n[machines]\nrank = false\n", encoding="utf-8")
    project.refresh_protocol()
    without = ranked(project)
    assert without.model["machines"] == {} and np.array_equal(without.scores, first.scores)
    suggest(project, {6: INCLUDE})
    assert ranked(project).id == without.id


def test_sessions_share_what_they_learn_only_while_machines_say_the_same(review):
    project = review(30)
    with open_session(project, reviewer="ann") as (first, _):
        with open_session(project, reviewer="bob", beside=first) as (second, _):
            assert second.training is first.training
        suggest(project, dict.fromkeys(range(1, 31), EXCLUDE) | {20: INCLUDE})
        with open_session(project, reviewer="bob", beside=first) as (second, _):
            assert second.training is not first.training
            before, after = first.training.newest[0], second.training.newest[0]
            assert after[19] > before[19] and after[18] == pytest.approx(before[18], abs=0.2)


def test_machines_alone_rank_where_the_protocol_names_nothing(review):
    project = review(60, protocol='title = "x"\nmodel = "fast"\n')
    assert answers.rank(project, top=3).basis == "order" and answers.nothing_to_rank_by(project.snapshot())
    suggest(project, {7: INCLUDE, 8: EXCLUDE})
    told = answers.rank(project, top=3)
    assert told.basis == "machines" and told.records[0].record_id == 7
    assert not answers.nothing_to_rank_by(project.snapshot())
    rows = [{"record_id": i, "label": EXCLUDE} for i in range(9, 9 + suggested.PATIENCE)]
    project.log.decide("abstract", rows, reviewer="ann")
    assert answers.rank(project, top=3).basis == "order" and answers.nothing_to_rank_by(project.snapshot())


@pytest.mark.parametrize("blind", [True, False])
def test_an_explanation_says_what_a_suggestion_adds_once_it_may_be_seen(review_by_command, blind):
    triage = review_by_command(30, PROTOCOL + f"\n[machines]\nblind = {str(blind).lower()}\n")
    write(triage, "m.csv", "record_id,label\n7,include\n8,exclude\n9,exclude\n")
    triage("label", "r.triage", "m.csv", "--machine", GPT)
    part = f"suggestion of {GPT}"
    for record in ("7", "10"):  # of the second it has said nothing, which is not to be told apart
        told = triage.json("rank", "r.triage", "--explain", record)
        assert (part in told["parts"]) != blind and told["left_out"] == ([GPT] if blind else [])
        assert sum(told["parts"].values()) == pytest.approx(told["score"], abs=1e-6)
    said = triage("rank", "r.triage", "--explain", "7")
    assert ("stay hidden until the record is decided" in said) == blind
    labels(triage, "d.csv", [[7, "include"]])
    triage("label", "r.triage", "d.csv")
    told = triage.json("rank", "r.triage", "--explain", "7")
    assert told["parts"][part] > 0 and told["left_out"] == []
    said = triage("rank", "r.triage", "--explain", "7")
    [line] = [line for line in said.splitlines() if line.endswith(part)]
    assert line.strip() == f"+{told['parts'][part]:.4f}  {part}"


# -- no evidence ----------------------------------------------------------------------------------


@pytest.mark.parametrize("says", ["the reverse", "all", "none"])
def test_the_certificate_of_the_same_draws_is_the_same_whatever_a_machine_says(says):
    """Evidence is read from draws, labels and pools alone; a machine moves only what is shown between them."""
    rng = np.random.default_rng(3)
    n, relevant = 200, set(range(1, 21))

    def log(with_machine):
        log = Log()
        log.plan(rng_order)
        if with_machine:
            log.add(Kind.MACHINE, reviewer=GPT)
        pool = n
        for at, record_id in enumerate(shown):
            if with_machine:
                for other in (record_id, shown[-1 - at]):
                    label = {"all": INCLUDE, "none": EXCLUDE}.get(says, EXCLUDE if other in relevant else INCLUDE)
                    log.add(Kind.SUGGESTION, stage="abstract", record_id=other, reviewer=GPT, label=label)
            origin = Origin.AUDIT if record_id in drawn_ids else Origin.RANKED
            log.show(record_id, origin, pool)
            log.decide(record_id, INCLUDE if record_id in relevant else EXCLUDE, origin=None)
            pool -= 1
        return log.stage(n).history()

    rng_order = rng.permutation(np.arange(1, n + 1)).tolist()
    ranked_ids = sorted(relevant)[:18]
    drawn_ids = [i for i in rng_order if i not in ranked_ids][:90]
    shown = [*ranked_ids, *drawn_ids]
    without, beside = log(False), log(True)
    assert without.origin.tolist() == beside.origin.tolist() and without.rows.tolist() == beside.rows.tolist()
    for confidence in (0.5, 0.9, 0.95):
        proved = recall.certificate(without, 0.9, confidence)
        assert recall.certificate(beside, 0.9, confidence) == proved and proved.recall_lower > 0.6
    draws, totals = recall.evidence.audit_draws(without), np.arange(21, 120)
    evidence = recall.evidence.log_evidence(draws, totals)
    assert evidence.max() > 1  # there is some to compare
    assert np.array_equal(recall.evidence.log_evidence(recall.evidence.audit_draws(beside), totals), evidence)
