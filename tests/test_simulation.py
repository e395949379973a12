"""Replays: what `triage simulate` promises, one by one, and no look at a label before its time."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import openpyxl
import pyarrow
import pyarrow.parquet
import pytest
from conftest import TOPICS
from scipy.stats import beta

from triage import recall, simulation
from triage.as_json import as_json
from triage.errors import InputError
from triage.log import History
from triage.ranking.held_out import held_out_scores
from triage.screening.session import Session
from triage.simulation import StopFacts, read_labelled, replay, simulate
from triage.stopping_rules import RULES


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIAGE_CACHE", str(tmp_path / "cache"))


def table(path, labels, header="title,abstract,label", seed=0):
    """Write a labelled review: the relevant records of one field, the others of two more."""
    rng = np.random.default_rng(seed)
    rows = [header]
    for i, label in enumerate(labels):
        words = rng.permutation(TOPICS[0 if label == 1 else 1 + i % 2].split())
        rows.append(f"{' '.join(words[:6])} n{i},{' '.join(words[::-1])}.,{label}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def other_tables(path, header, rows):
    """Write the same table as Excel and as Parquet."""
    book = openpyxl.Workbook()
    for row in (header, *rows):
        book.active.append(row)
    book.save(path.with_suffix(".xlsx"))
    columns = dict(zip(header, map(list, zip(*rows))))
    pyarrow.parquet.write_table(pyarrow.table(columns), path.with_suffix(".parquet"))


LABELS = [int(i % 9 == 5) for i in range(72)]  # the first relevant row is row 5; 8 in all


@pytest.fixture
def file(tmp_path):
    return table(tmp_path / "review.csv", LABELS)


def run_of(file, **options):
    facts = simulate(file, "label", **{"preset": "fast", **options})
    json.dumps(as_json(facts), allow_nan=False)
    return facts, facts.runs[0]


def without_times(facts):
    return replace(facts, runs=[replace(run, seconds=None) for run in facts.runs])


# -- what is printed --------------------------------------------------------------------------


def test_the_keys_and_what_they_mean(file):
    facts, run = run_of(file, prior_rows="5,0", seed=42)
    assert {"records", "relevant", "runs", "mean"} <= set(as_json(facts))
    assert (facts.records, facts.relevant) == (72, 8)  # the priors count
    assert {"seed", "prior_rows", "order", "labels", "origin", "metrics", "stop", "seconds"} <= set(as_json(run))
    assert (run.seed, run.prior_rows, run.stop) == (42, [5, 0], None)
    assert sorted([*run.order, 5, 0]) == list(range(72))
    assert run.labels == [LABELS[row] for row in run.order] and sum(run.labels) == 7
    assert set(run.origin) == {"ranked"} and len(run.origin) == 70
    assert {"features", "total"} <= set(as_json(run.seconds)) and run.seconds.features <= run.seconds.total
    found = [place for place, label in enumerate(run.labels, 1) if label]
    assert run.metrics["work@1.0"] == found[-1] / 70
    assert run.metrics["work@0.95"] == found[math.ceil(0.95 * 7) - 1] / 70
    assert run.metrics["wss@0.95"] == pytest.approx((70 - found[6]) / 70 - 0.05)
    assert run.metrics["atd"] == pytest.approx(sum(found) / 7 / 70)
    assert run.metrics["recall@0.1"] == sum(run.labels[:7]) / 7
    assert facts.mean == run.metrics
    assert found[-1] < 15  # the relevant ones are of one field: a ranking that works finds them


def test_the_mean_is_over_the_runs(file):
    facts, _ = run_of(file, priors="1,1", seeds=3)
    assert [run.seed for run in facts.runs] == [0, 1, 2]
    for name, value in facts.mean.items():
        assert value == pytest.approx(np.mean([run.metrics[name] for run in facts.runs]))


def test_in_words_it_says_the_same(file):
    facts, run = run_of(file, prior_rows="5,0", stop="audit-e", target=0.5, confidence=0.5)
    said = simulation.in_words(facts)
    assert f"audit-e at {run.stop.at}" in said and f"{run.metrics['atd']:.4f}" in said


# -- priors, starts and seeds -----------------------------------------------------------------


def test_priors_are_drawn_with_the_seed(file):
    drawn = [run.prior_rows for run in run_of(file, priors="2,3", seeds=4)[0].runs]
    for rows in drawn:
        assert [LABELS[row] for row in rows] == [1, 1, 0, 0, 0] and len(set(rows)) == 5
    assert len({tuple(rows) for rows in drawn}) > 1
    _facts, run = run_of(file, priors="8,64")  # nothing is left to screen
    assert run.order == [] and set(run.metrics.values()) == {None} and len(run.prior_rows) == 72
    assert run_of(file, priors="0,0")[1].prior_rows == []


@pytest.mark.parametrize(
    "options",
    [
        dict(priors="1,1"),
        dict(start="random"),
        dict(start="file"),
        dict(prior_rows="5,0", stop="audit-e"),
        dict(priors="1,1", stop="fixed-audit", batch="auto"),
        dict(start="random", stop="audit-e", batch="7"),
    ],
)
def test_the_same_seed_gives_the_same_run(file, options):
    several, _ = run_of(file, seed=3, seeds=2, **options)
    assert without_times(several) == without_times(run_of(file, seed=3, seeds=2, **options)[0])
    for run in several.runs:
        alone = run_of(file, seed=run.seed, **options)[1]
        assert replace(alone, seconds=None) == replace(run, seconds=None)


@pytest.mark.parametrize("processors", [1, 2])
def test_a_seed_gives_the_same_run_alone_or_beside_others(file, monkeypatch, processors):
    monkeypatch.setattr(simulation, "processors", lambda: processors)
    together = [run.order for run in simulate(file, "label", preset="fast", priors="1,1", seeds=3).runs]
    alone = [simulate(file, "label", preset="fast", priors="1,1", seed=k).runs[0].order for k in range(3)]
    assert together == alone


def test_without_priors_or_criteria_the_start_is_the_files_order_until_both_labels_are_known(file):
    _, run = run_of(file)
    assert run.order[:6] == [0, 1, 2, 3, 4, 5] and run.prior_rows == []
    assert run.labels[6] == 1  # from then on the ranking chooses
    assert run_of(file, start="file")[1].order == run.order


@pytest.mark.parametrize("batch", ["auto", "1", "40"])
def test_the_ranking_begins_as_soon_as_both_labels_are_known(tmp_path, batch):
    labels = [0] * 41 + [1] + [0] * 20 + [1] * 6
    _, run = run_of(table(tmp_path / "late.csv", labels), batch=batch)
    assert run.order[:42] == list(range(42)) and run.labels[42:45] == [1, 1, 1]


def test_a_random_start_differs_by_seed(file):
    starts = [run.order[:5] for run in run_of(file, start="random", seeds=3)[0].runs]
    assert len({tuple(start) for start in starts}) == 3


def test_with_criteria_they_are_the_start(file, tmp_path):
    (tmp_path / "criteria.txt").write_text("Peer support workers for adults with schizophrenia, to recover.\n")
    _facts, run = run_of(file, criteria=tmp_path / "criteria.txt")
    assert run.labels[:8] == [1] * 8
    assert run_of(file, criteria=tmp_path / "criteria.txt", start="criteria")[1].order == run.order
    # A file or random start knows nothing of the criteria before both labels are known.
    assert run_of(file, criteria=tmp_path / "criteria.txt", start="file")[1].order[:6] == [0, 1, 2, 3, 4, 5]
    (tmp_path / "protocol.toml").write_text('[[include]]\ncode = "P"\ntext = "Peer support workers help to recover."\n')
    assert run_of(file, criteria=tmp_path / "protocol.toml")[1].labels[0] == 1


def with_machine(file, cells):
    """Add a column of a machine to a table."""
    header, *rows = file.read_text(encoding="utf-8").splitlines()
    rows = [f"{row},{cell}" for row, cell in zip(rows, cells, strict=True)]
    file.write_text("\n".join([f"{header},gpt", *rows]) + "\n", encoding="utf-8")
    return file


def test_a_column_of_a_machine_is_part_of_the_ranking(file):
    alone = simulate(file, "label", preset="fast").runs[0]
    for cells in (["include" if y else "exclude" for y in LABELS], [0.1 + 0.5 * y for y in LABELS]):
        with_machine(table(file, LABELS), [*cells[:-1], ""])
        facts = simulate(file, "label", preset="fast", machine_column="gpt")
        assert list(facts.model["machines"]) == ["gpt"]
        assert facts.runs[0].labels[:6] == [1] * 6 and sum(alone.labels[:6]) == 1
        assert simulate(file, "label", preset="fast", start="file", machine_column="gpt").runs[0].order[:5] == [
            0,
            1,
            2,
            3,
            4,
        ]
    assert simulate(file, "label", preset="fast").runs[0].order == alone.order


def test_a_column_of_a_machine_holds_labels_or_numbers(file):
    with pytest.raises(InputError, match="has no column 'gpt'"):
        simulate(file, "label", machine_column="gpt")
    for rest, wrong, kind in (("exclude", ["0.5", "nan", "x!"], "label"), ("0.7", ["include", "inf", "?"], "number")):
        with_machine(table(file, LABELS), [*wrong, *[rest] * (len(LABELS) - 3)])
        with pytest.raises(InputError, match="labels alone, or its scores alone; a cell may be empty") as refused:
            simulate(file, "label", machine_column="gpt")
        assert all(f"line {i}: {cell!r} is no {kind}" in str(refused.value) for i, cell in enumerate(wrong, 2))
        assert "3 errors" in str(refused.value)


def test_tables_of_every_kind_give_the_same_run(file, tmp_path):
    with file.open(encoding="utf-8", newline="") as text:
        header, *rows = csv.reader(text)
    other_tables(tmp_path / "review", header, [[title, abstract, float(label)] for title, abstract, label in rows])
    paths = (file, tmp_path / "review.xlsx", tmp_path / "review.parquet")
    orders = [run_of(path, priors="1,1")[1].order for path in paths]
    assert orders[0] == orders[1] == orders[2]


# -- the loop, over made-up scores ------------------------------------------------------------


class Oracle:
    """Known labels that may be asked of shown records alone."""

    def __init__(self, y, priors=()):
        self.y, self.allowed = np.asarray(y), set(priors)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, row):
        assert np.ndim(row) == 0 and int(row) in self.allowed, f"looked at the label of row {row}, not shown yet"
        return self.y[row]


def noisy_model(y, rng, noise=1.0, seen=None):
    """A model whose scores know something of the labels whatever it is trained on."""
    scores = 2.0 * np.asarray(y) + noise * rng.normal(size=len(y))

    def model(rows, labels):
        if seen is not None:
            seen.append((rows.copy(), labels.copy()))
        if not 0 < labels.sum() < len(labels):
            return None
        return scores + 0.05 * np.sin(np.arange(len(y)) * len(rows))

    return model


def replayed(y, seed=0, stop="none", target=0.8, confidence=0.8, priors=(), batch="auto", model=None):
    rng = np.random.default_rng(seed)
    model = model or noisy_model(y, rng)
    return replay(
        y,
        model,
        prior_rows=list(priors),
        start=np.arange(len(y)),
        permutation=rng.permutation(len(y)),
        retrain_after=simulation._schedule(batch),
        rule=recall.rule_of(stop, target, confidence) if stop != "none" else None,
        policy=recall.policy_of(stop, target, confidence) if stop != "none" else None,
    )


def test_a_run_that_ends_with_the_last_relevant_record_is_the_same_up_to_it():
    y = some_labels(200, 12)
    trained = [], []
    whole, ended = (
        replay(
            y,
            noisy_model(y, np.random.default_rng(5), seen=seen),
            prior_rows=[],
            start=np.arange(200)[::-1],
            permutation=np.arange(200),
            retrain_after=simulation._schedule("1"),
            until_found=until,
        )
        for seen, until in zip(trained, (None, 12))
    )
    last = int(np.flatnonzero(whole.labels)[-1])
    assert ended.order[: last + 1].tolist() == whole.order[: last + 1].tolist()
    assert sorted(ended.order.tolist()) == list(range(200)) and ended.labels.tolist() == y[ended.order].tolist()
    assert set(ended.origin) == {"ranked"} and len(ended.origin) == 200
    assert len(trained[0]) == 201 and len(trained[1]) == last + 2


def test_a_run_that_ends_before_there_is_a_ranking_goes_on_in_the_order_of_the_start():
    y = np.zeros(6, np.int8)
    run = replay(
        y,
        lambda rows, labels: None,
        prior_rows=[2],
        start=np.array([3, 1, 0, 5, 4, 2]),
        permutation=np.arange(6),
        retrain_after=simulation._schedule("1"),
        until_found=0,
    )
    assert run.order.tolist() == [3, 1, 0, 5, 4] and run.labels.tolist() == [0] * 5


def some_labels(n=300, relevant=24, seed=1):
    y = np.zeros(n, np.int8)
    y[np.random.default_rng(seed).choice(n, relevant, replace=False)] = 1
    return y


@pytest.mark.parametrize("stop", ["none", *RULES])
def test_no_label_is_asked_for_before_its_record_is_shown(stop, monkeypatch):
    """Neither by the loop, nor by the model, the rule, its held-out scores or the audit policy."""
    y = some_labels(160, 16)
    priors = (int(np.flatnonzero(y)[0]), int(np.flatnonzero(y == 0)[0]))
    oracle, seen = Oracle(y, priors), []
    show = Session.next

    def next_and_allow(self):
        showing = show(self)
        assert showing.row not in oracle.allowed
        oracle.allowed.add(showing.row)
        return showing

    monkeypatch.setattr(Session, "next", next_and_allow)
    model = noisy_model(np.zeros(160), np.random.default_rng(3), seen=seen)

    def watched(rows, labels):
        assert set(rows.tolist()) <= oracle.allowed and labels.tolist() == y[rows].tolist()
        return model(rows, labels)

    rule = recall.rule_of(stop, 0.8, 0.8) if stop != "none" else None

    class Looking(recall.Rule):
        is_costly, needs_scores = getattr(rule, "is_costly", False), getattr(rule, "needs_scores", False)

        def __call__(self, history, *scores):
            assert (history.y >= 0).all() and len(history.y) == len(oracle.allowed) - 2
            assert history.n_found == int(y[list(oracle.allowed - set(priors))].sum())
            return rule(history, *scores)

        look = __call__

    run = replay(
        oracle,
        watched,
        prior_rows=list(priors),
        start=np.arange(160),
        permutation=np.random.default_rng(0).permutation(160),
        retrain_after=simulation._schedule("auto"),
        rule=None if rule is None else Looking(),
        policy=recall.policy_of(stop, 0.8, 0.8) if stop != "none" else None,
    )
    assert len(run.order) == 158 and seen and run.labels.tolist() == y[run.order].tolist()


def test_swapping_labels_not_yet_seen_changes_nothing_before_them():
    """Two reviews that differ in their last records alone run alike until the first of these is shown."""
    y = some_labels()
    scores = np.random.default_rng(4).normal(size=300)

    def model(rows, labels):
        return scores + labels.sum() * np.cos(np.arange(300)) / 5 if 0 < labels.sum() < len(labels) else None

    for stop in ("audit-e", "quant"):
        runs = []
        for flipped in (False, True):
            other = y.copy()
            if flipped:
                other[runs[0].order[150:]] ^= 1
            runs.append(replayed(other, stop=stop, model=model))
        assert runs[0].order[:151].tolist() == runs[1].order[:151].tolist()
        stops = [run.stop_at for run in runs]
        assert min(stops) > 150 or stops[0] == stops[1]


def looks(run, n_priors, total, batch):
    """Say after how many records a dear rule is asked: when the model was trained anew."""
    schedule, labels = simulation._schedule(batch), list(run.labels)
    prior = [1] * (n_priors // 2) + [0] * (n_priors - n_priors // 2)
    trained, changed, both, at = n_priors, 0, len(set(prior)) == 2, []
    for k in range(1, total + 1):
        changed += 1
        now = len(set(prior + labels[:k])) == 2
        if changed >= schedule(trained) or (now and not both):
            trained, changed, both = n_priors + k, 0, now
            at.append(k)
    return at


@pytest.mark.parametrize("stop", list(RULES))
@pytest.mark.parametrize("n_priors", [0, 6])
def test_every_rule_stops_where_it_first_says_so_of_what_was_screened(stop, n_priors):
    """Asked again of each beginning of the finished order, without the priors."""
    y = some_labels(1400, 60)
    priors = [*np.flatnonzero(y == 1)[: n_priors // 2].tolist(), *np.flatnonzero(y == 0)[: n_priors // 2].tolist()]
    target, confidence = 0.8, 0.8
    model = noisy_model(y, np.random.default_rng(2), noise=0.4)
    run = replayed(y, stop=stop, priors=priors, model=model, target=target, confidence=confidence)
    total = 1400 - n_priors
    assert len(run.order) == len(run.labels) == len(run.origin) == total
    rule = recall.rule_of(stop, target, confidence)
    rest = np.setdiff1d(np.arange(1400), priors)
    place = {row: i for i, row in enumerate(rest.tolist())}
    whole = History.of([place[row] for row in run.order.tolist()], run.labels, run.origin, n_records=total)
    always = ("audit-e", "fixed-audit", "knee", "consecutive")
    asked = range(1, total) if stop in always else looks(run, n_priors, total, "auto")
    first, certified = total, False
    for k in asked:
        begun = (whole.rows[:k], whole.y[:k], whole.origin[:k], whole.pool_size[:k], whole.stratum[:k])
        h = History(*begun, whole.n_records)
        if stop == "quant":
            known = np.array([*priors, *run.order[:k]])
            scores = model(known, y[known])
            if scores is None:
                continue
            verdict = rule(h, scores[rest], held_out_scores(model, 1400, known, y[known])[rest])
        else:
            verdict = rule(h)
        if verdict.stop and k < total:
            first, certified = k, verdict.certified
            break
    assert (run.stop_at, run.certified) == (first, certified)
    assert first < total  # each does stop on this review, so that the test says something
    assert certified == (RULES[stop].promise == "certificate")
    assert ("audit" in run.origin) == (recall.policy_of(stop, target, confidence) is not None)


def test_audit_draws_follow_the_permutation_after_the_stop_too():
    y = some_labels()
    run = replayed(y, stop="audit-e", seed=7)
    rng = np.random.default_rng(7)
    rng.normal(size=300)  # the model's
    permutation, shown = rng.permutation(300).tolist(), set()
    for row, origin in zip(run.order.tolist(), run.origin):
        if origin == "audit":
            assert row == next(r for r in permutation if r not in shown)
        shown.add(row)
    assert set(run.origin) == {"ranked", "audit"} and "audit" in run.origin[run.stop_at :]


def test_no_audit_draw_is_made_where_the_rule_wants_none():
    y = some_labels()
    for stop in ("none", "cmh", "knee"):
        assert set(replayed(y, stop=stop, seed=7).origin) == {"ranked"}


def test_a_rule_that_never_stops_is_told_so():
    y = some_labels(120, 6)
    run = replayed(y, stop="audit-e", target=0.99, confidence=0.99, priors=np.flatnonzero(y)[:1].tolist())
    stopped = simulation._facts_of(run, 0, "audit-e", 0.0, 0.0).stop
    assert stopped == StopFacts("audit-e", 119, 1.0, False)


def test_where_nothing_relevant_is_left_recall_is_null_and_nothing_is_certified():
    y = some_labels(120, 4)
    run = replayed(y, stop="audit-e", target=0.5, confidence=0.5, priors=np.flatnonzero(y).tolist())
    stopped = simulation._facts_of(run, 0, "audit-e", 0.0, 0.0).stop
    assert stopped.recall is None and not stopped.certified


def test_priors_count_on_neither_side():
    """18 of 20 relevant are priors, the other two out of the model's sight: the promise is about those two."""
    y = np.zeros(220, np.int8)
    y[:18] = 1
    y[-2:] = 1
    scores = -np.arange(220.0)
    run = replayed(
        y, stop="audit-e", target=0.8, confidence=0.8, priors=range(18), seed=1, model=lambda rows, labels: scores
    )
    found = int(run.labels[: run.stop_at].sum())
    assert not run.certified or found == 2  # four fifths of two are two
    # With the priors among what is found, a few draws would do.
    shown = [0] * 60
    origin = ["prior"] * 18 + ["ranked"] * 50 + ["audit"] * 10
    with_priors = History.of(range(78), [1] * 18 + shown, origin, n_records=220)
    assert recall.certificate(with_priors, 0.8, 0.2).relevant_upper < 40


def test_a_certified_run_has_its_recall_as_often_as_promised():
    """Models that are of no use, priors that were found otherwise, the target asked for after every record."""
    certified = failed = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        y = np.zeros(90, np.int8)
        y[rng.choice(90, 16, replace=False)] = 1
        priors = np.flatnonzero(y)[:6].tolist()
        scores = rng.normal(size=90) + y * (rng.random(90) < 0.7)
        run = replay(
            y,
            lambda rows, labels: scores,
            prior_rows=priors,
            start=np.arange(90),
            permutation=rng.permutation(90),
            retrain_after=lambda labelled: 1000,
            rule=recall.AuditRule(0.8, 0.8),
            policy=recall.Policy(least=4, share=0.0),
        )
        if run.certified:
            certified += 1
            failed += run.labels[: run.stop_at].sum() < 0.8 * run.labels.sum()
    assert certified > 25
    assert beta.ppf(0.01, max(failed, 1e-9), 80 - failed + 1) <= 0.2


@pytest.mark.parametrize(
    "batch, sizes", [("1", list(range(2, 31))), ("5", [2, 7, 12, 17, 22, 27]), ("auto", [*range(2, 31)])]
)
def test_trainings_follow_batch(batch, sizes):
    seen = []
    y = some_labels(30, 5)
    priors = [int(np.flatnonzero(y == label)[0]) for label in (1, 0)]
    replayed(y, priors=priors, batch=batch, model=noisy_model(y, np.random.default_rng(0), seen=seen))
    assert [len(rows) for rows, _ in seen] == sizes


def test_auto_batches_grow_by_a_twentieth_of_what_is_labelled():
    seen = []
    y = some_labels(400, 30)
    priors = [int(np.flatnonzero(y == label)[0]) for label in (1, 0)]
    replayed(y, priors=priors, model=noisy_model(y, np.random.default_rng(0), seen=seen))
    sizes = np.array([len(rows) for rows, _ in seen])
    steps = np.diff(sizes)
    assert (steps == np.maximum(1, sizes[:-1] // 20)).all() and steps.max() == 18


# -- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(prior_rows="3", priors="1,1"), "not both"),
        (dict(prior_rows="72"), "'72' is not a row.*from 0 to 71"),
        (dict(prior_rows="-1"), "'-1' is not a row"),
        (dict(prior_rows="3,x"), "'x' is not a row"),
        (dict(prior_rows=""), "is not a row"),
        (dict(prior_rows="3,3"), "row 3 twice"),
        (dict(priors="9,1"), "9 relevant records; the file has 8"),
        (dict(priors="1"), "two numbers"),
        (dict(priors="1,1,1"), "two numbers"),
        (dict(priors="a,b"), "two numbers"),
        (dict(priors="-1,1"), "two numbers"),
        (dict(start="criteria"), "needs --criteria"),
        (dict(start="best"), "unknown .*'best'; choose one of"),
        (dict(stop="luck"), "unknown stopping rule 'luck'; choose one of"),
        (dict(batch="0"), "--batch '0'"),
        (dict(batch="1.5"), "--batch"),
        (dict(target=1.0), "--target 1.0"),
        (dict(confidence=0.0), "--confidence 0.0"),
        (dict(target=float("nan")), "--target"),
        (dict(preset="none-such"), "no model preset"),
    ],
)
def test_options_that_make_no_sense(file, options, message):
    with pytest.raises(InputError, match=message):
        run_of(file, **options)


@pytest.mark.parametrize(
    "rows, message",
    [
        (["A,a,1", "B,b,"], "line 3: there is no label"),
        (["A,a,1", "B,b"], "line 3: there is no label"),
        (["A,a,2"], "line 2: '2' is not a label"),
        (["A,a,conflict"], "line 2: 'conflict' is not a label"),
        (["A,a,1.5", "B,b,1", "C,c,"], "2 errors.*\nline 2: '1.5' is not a label\nline 4: there is no label"),
        (['A,"a\nb\nc",1', "B,b,nan"], "line 5: 'nan' is not a label"),
        (["A,a,1", ",,", "B,b,0"], "line 3: the row is blank"),
        (["A,a,1", " , ,", "B,b,0"], "line 3: the row is blank"),
    ],
)
def test_every_row_is_a_record_with_a_label(tmp_path, rows, message):
    path = tmp_path / "t.csv"
    path.write_text("title,abstract,label\n" + "\n".join(rows) + "\n")
    with pytest.raises(InputError, match=message):
        read_labelled(path, "label")


def test_blank_rows_of_other_tables_are_told_too(tmp_path):
    other_tables(tmp_path / "t", ["title", "abstract", "label"], [["A", "a", 1], [None, None, None], ["B", "b", 0]])
    for name in ("t.xlsx", "t.parquet"):
        with pytest.raises(InputError, match="line 3"):
            read_labelled(tmp_path / name, "label")


def test_what_shifts_no_row_is_read(tmp_path):
    """A missing title or abstract, text over several lines, an empty line, blank rows after the last."""
    path = tmp_path / "t.csv"
    path.write_text('title,abstract,label\n"A\nB",a,1\n\n,b,0\nC,,1\n,,0\n,,\n,,\n')
    records, y = read_labelled(path, "label")
    assert y.tolist() == [1, 0, 1, 0] and [r.title for r in records] == ["A B", "", "C", ""]


def test_files_that_are_no_tables_or_have_no_such_column(tmp_path, file):
    (tmp_path / "a.ris").write_text("TY  - JOUR\nTI  - A\nER  - \n")
    with pytest.raises(InputError, match="ris file; a label column needs a table"):
        read_labelled(tmp_path / "a.ris", "label")
    with pytest.raises(InputError, match="no column 'included'.*title, abstract, label"):
        read_labelled(file, "included")
    for text in ("", "   \n"):
        (tmp_path / "none.txt").write_text(text)
        with pytest.raises(InputError, match="holds no criteria"):
            run_of(file, criteria=tmp_path / "none.txt")
