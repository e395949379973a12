"""The Python interface: tables in, tables out, and the same numbers as the commands."""

import doctest
import hashlib
import importlib
import pickle
import re
import shlex
import shutil
import statistics
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import DEMO, PROTOCOL, TOPICS
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import triage
from triage import recall, simulation, status
from triage.errors import InputError
from triage.interface.frames import labels_of
from triage.log import History, Kind, Label, Origin
from triage.project import SCHEMA_VERSION, Project
from triage.ranking import answers

ROOT = Path(__file__).resolve().parents[1]
INCLUDE = ["Peer support of adults with mental health difficulties."]


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIAGE_CACHE", str(tmp_path / "cache"))


def table(n=36, relevant_every=6):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        topic = TOPICS[0] if i % relevant_every == 0 else TOPICS[1 + i % 2]
        words = rng.permutation(topic.split())
        rows.append(
            (f"{' '.join(words[:6])} n{i}", f"{' '.join(words[::-1])}.", int(i % relevant_every == 0), f"kept {i}")
        )
    frame = pd.DataFrame(rows, columns=["title", "abstract", "included", "note"])
    return frame.set_index(pd.Index([f"r{i}" for i in range(n)]))


@pytest.fixture
def X():
    return table()


def ranker(**parameters):
    return triage.Ranker(**{"model": "fast", "include": INCLUDE, **parameters})


# -- the package ------------------------------------------------------------------------------


def in_a_new_process(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.split()


def test_importing_the_package_is_quick_and_loads_nothing_heavy():
    code = (
        "import sys, time; before = set(sys.modules); began = time.perf_counter(); import triage; "
        "print(time.perf_counter() - began, *sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    times = []
    for _ in range(5):
        seconds, *loaded = in_a_new_process(code)
        times.append(float(seconds))
        assert not {"numpy", "scipy", "torch", "sklearn", "pandas", "sqlalchemy", "matplotlib", "joblib"} & set(loaded)
    assert statistics.median(times) < 0.1


def test_names_are_found_lazily_and_modules_still_are():
    assert set(triage.__all__) <= set(dir(triage)) and "__version__" in dir(triage)
    assert all(callable(getattr(triage, name)) for name in triage.__all__)
    with pytest.raises(AttributeError, match="module 'triage' has no attribute 'rank_all'"):
        triage.rank_all
    told = in_a_new_process("import triage; triage.certificate; import sys; print('sklearn' in sys.modules)")
    assert told == ["False"]
    assert in_a_new_process("from triage import errors, Ranker; print(errors.__name__)") == ["triage.errors"]
    assert in_a_new_process("from triage import *; print(Ranker.__name__)") == ["Ranker"]


def test_the_wheel_would_carry_the_marker_of_types():
    wheel = pytest.importorskip("hatchling.builders.wheel")
    paths = {file.distribution_path for file in wheel.WheelBuilder(str(ROOT)).recurse_included_files()}
    assert "triage/py.typed" in paths and "triage/interface/ranker.py" in paths


@pytest.mark.parametrize("module", ["certifying", "ranker", "reading", "simulating"])
def test_the_examples_of_the_docstrings_hold(module):
    done = doctest.testmod(importlib.import_module(f"triage.interface.{module}"))
    assert done.attempted and not done.failed


def test_the_page_about_python_can_be_typed_along(tmp_path, monkeypatch):
    shutil.copytree(DEMO, tmp_path / "data" / "demo")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(pycon|sh)\n(.*?)^```$", page, re.M | re.S)
    assert {kind for kind, _ in blocks} == {"pycon", "sh"} and len(blocks) == page.count("```") // 2
    names, parser, runner = {}, doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    for number, (kind, text) in enumerate(blocks):
        if kind == "pycon":
            test = parser.get_doctest(text, names, f"docs/python.md, block {number}", None, 0)
            runner.run(test, clear_globs=False)
            names = test.globs
            continue
        for command in text.splitlines():
            program, *arguments = shlex.split(command)
            assert program == "triage"
            subprocess.run([sys.executable, "-m", "triage", *arguments], check=True, capture_output=True)
    assert runner.tries > 20 and not runner.failures


# -- Ranker: what it ranks --------------------------------------------------------------------


def test_criteria_alone_rank_and_every_column_stays(X):
    before = X.copy()
    ranked = ranker().fit(X).rank(X)
    assert list(ranked.columns) == ["rank", "score", *X.columns]
    assert ranked["rank"].to_list() == list(range(1, 37)) and ranked["score"].is_monotonic_decreasing
    assert ranked["included"].head(6).sum() == 6
    pd.testing.assert_frame_equal(ranked.loc[X.index, list(X.columns)], X)
    pd.testing.assert_frame_equal(X, before)


def decide(project, record_id, label, **fields):
    [event] = project.log.decide("abstract", [{"record_id": record_id, "label": label, **fields}], reviewer="ann")
    return event


def test_a_ranking_is_that_of_the_review(review):
    project = review(60)
    told = answers.rank(project, top=60)
    with triage.open_review(project.path) as opened:
        by_criteria = ranker(
            question="Peer support of adults in mental health care",
            exclude=["Children and adolescents.", "Support over the internet."],
        ).fit(opened.records)
    ranked = by_criteria.rank(opened.records)
    assert ranked.index.to_list() == [record.record_id for record in told.records]
    assert ranked["score"].to_numpy() == pytest.approx([record.score for record in told.records], abs=1e-5)
    assert by_criteria.parameters_ == {**told.model, "queries": by_criteria.parameters_["queries"]}
    decide(project, 1, Label.INCLUDE)
    decide(project, 2, Label.EXCLUDE)
    decide(project, 3, Label.EXCLUDE)
    answers.rank(project, top=1)
    with triage.open_review(project.path) as opened:
        labels = opened.decisions.set_index("record_id")["label"].reindex(opened.records.index)
        learned = by_criteria.fit(opened.records, labels)
        saved = opened.ranking["score"].sort_index()
        assert learned.n_labelled_ == 3 and opened.ranking["held_out"].isna().sum() == 60
    assert learned.scores_ == pytest.approx(saved.to_numpy(), abs=1e-5)


MISSING = pd.NA, None, np.nan, -1, "", " ", "-1", -1.0, pd.NaT


def test_labels_are_understood_in_all_their_ways(X):
    plain = [1, 0, 0, *[-1] * 33]
    scores = ranker().fit(X, plain).scores_
    assert not np.array_equal(scores, ranker().fit(X).scores_)
    assert np.array_equal(ranker().fit(X, ["yes", "no", "no", *[None] * 33]).scores_, scores)
    for missing in MISSING:
        for relevant, irrelevant in (
            (1, 0),
            (True, False),
            (1.0, 0.0),
            ("include", "exclude"),
            ("Maybe", "no"),
            ("1", "0"),
        ):
            y = [relevant, irrelevant, irrelevant, *[missing] * 33]
            assert np.array_equal(labels_of(y, 36, "y"), plain)
    for y in (
        np.array(plain),
        np.array([1, 0, 0, *[np.nan] * 33]),
        pd.Series([1, 0, 0, *[None] * 33], index=X.index, dtype="Int64"),
        pd.Series([True, False, False, *[None] * 33], dtype="boolean"),
        pd.Series(plain, dtype="category"),
    ):
        assert np.array_equal(labels_of(y, 36, "y"), plain)


def test_one_label_alone_leaves_the_ranking_to_the_criteria(X):
    assert np.array_equal(ranker().fit(X, [1] + [None] * 35).scores_, ranker().fit(X).scores_)


def test_rows_go_by_their_place_not_by_their_name(X):
    same_names = X.set_index(pd.Index(["same"] * 36))
    y = [1, 0, 0, *[None] * 33]
    assert np.array_equal(ranker().fit(same_names, y).scores_, ranker().fit(X, y).scores_)
    assert len(ranker().fit(same_names, y).rank(same_names)) == 36


def test_texts_may_be_missing_numbers_or_hold_anything():
    X = pd.DataFrame(
        {
            "title": ["peer support", None, 1984, "\ud800\0", np.nan, "<b>"],
            "abstract": [pd.NA, "", np.nan, "a", "NA", "b"],
        }
    )
    scores = ranker().fit(X, [1, 0, None, None, None, None]).decision_function(X)
    assert np.isfinite(scores).all() and scores.argmax() == 0
    one = X.iloc[:1]
    assert ranker().fit(one).rank(one)["rank"].to_list() == [1]


# -- Ranker: the contract of an estimator -----------------------------------------------------


def test_parameters_go_round(X):
    include = ["Adults.", "Trials."]
    one = triage.Ranker("fast", "Does it help?", include, ("Animals.",), "cpu")
    parameters = one.get_params()
    assert parameters == {
        "model": "fast",
        "question": "Does it help?",
        "include": include,
        "exclude": ("Animals.",),
        "device": "cpu",
    }
    assert parameters["include"] is include  # stored as given, checked in fit
    other = clone(one)
    assert other is not one and other.get_params() == parameters and not hasattr(other.fit(X), "fit_")
    assert triage.Ranker().set_params(**parameters).get_params() == parameters
    with pytest.raises(ValueError, match="Invalid parameter 'preset'"):
        one.set_params(preset="fast")
    assert repr(triage.Ranker(model="fast")) == "Ranker(model='fast')"


def test_before_fit_it_says_that_it_is_not_fitted(X):
    for ask in (ranker().decision_function, ranker().rank):
        with pytest.raises(NotFittedError):
            ask(X)
    fitted = ranker().fit(X)
    with pytest.raises(NotFittedError):
        clone(fitted).rank(X)


def test_fit_again_gives_the_same_and_forgets_what_it_knew(X):
    y = [1, 0, 0, 1, *[None] * 32]
    one = ranker().fit(X, y)
    first = one.scores_.copy()
    assert one.fit(X, y) is one and np.array_equal(one.scores_, first)
    assert np.array_equal(one.fit(X).scores_, ranker().fit(X).scores_) and one.n_labelled_ == 0
    with pytest.raises(InputError):
        one.set_params(include=()).fit(X)
    assert one.n_labelled_ == 0 and len(one.decision_function(X)) == 36  # a fit that failed changed nothing


def test_some_of_what_was_fitted_in_any_order_has_the_scores_of_the_fit(X):
    one = ranker().fit(X, [1, 0, 0, *[None] * 33])
    order = np.random.default_rng(1).permutation(36)[:10]
    assert np.array_equal(one.decision_function(X.iloc[order]), one.scores_[order])
    assert one.rank(X.iloc[order])["rank"].to_list() == list(range(1, 11))


def test_other_records_are_scored_with_those_that_were_fitted(X):
    known, new = X.iloc[:18], X.iloc[18:]
    one = ranker(include=(), question="").fit(known, known["included"])
    scores = one.decision_function(new)
    together = ranker(include=()).fit(X, [*known["included"], *[None] * 18]).scores_
    assert np.array_equal(scores, together[18:])
    assert new["included"].to_numpy()[np.argsort(-scores)][:3].sum() == 3
    one.set_params(model="elas-u4")  # for the next fit
    assert np.array_equal(one.decision_function(new), scores)


def test_it_goes_into_pipelines_and_scorers_and_pickles(X):
    pipeline = make_pipeline(FunctionTransformer(lambda frame: frame.rename(columns=str.lower)), ranker())
    shouting = X.rename(columns=str.upper)
    assert np.array_equal(pipeline.fit(shouting, X["included"]).decision_function(shouting), pipeline[-1].scores_)
    clone(pipeline).set_params(ranker__include=["Soil."]).fit(shouting)
    assert cross_val_score(ranker(), X, X["included"], scoring="average_precision", cv=3).mean() > 0.9
    one = ranker().fit(X, X["included"])
    again = pickle.loads(pickle.dumps(one))
    assert np.array_equal(again.decision_function(X), one.scores_)


# -- Ranker: what it refuses ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        (dict(model="fats"), "There is no model preset 'fats'"),
        (dict(model=None), "model must be the name of a preset or the folder of a model, and is None"),
        (dict(device="gpu"), "device must be one of 'auto', 'cpu', 'cuda', and is 'gpu'"),
        (dict(device=["cpu"]), "device must be one of"),
        (dict(include="Adults."), "include must be a list of texts"),
        (dict(include=None), "include must be a list of texts"),
        (dict(exclude=["Animals.", 3]), "exclude must be a list of texts"),
        (dict(question=["Does it help?"]), "question must be a text"),
        (dict(include=()), "There is nothing to rank by: give a question or an inclusion criterion, or y"),
        (dict(include=["..."], exclude=["Animals."]), "There is nothing to rank by"),
    ],
)
def test_wrong_parameters_are_told_in_fit(X, parameters, told):
    one = ranker(**parameters)
    with pytest.raises(InputError, match=re.escape(told)):
        one.fit(X)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda X: X["title"], "X must be a pandas DataFrame with the columns title and abstract, and is a Series"),
        (lambda X: X.to_numpy(), "is a ndarray"),
        (
            lambda X: X.drop(columns="abstract"),
            "X has no column 'abstract'; add one, empty where a record has no abstract",
        ),
        (lambda X: X.rename(columns={"title": "Title "}), "rename 'Title ' by X.rename(columns={'Title ': \"title\"})"),
        (lambda X: pd.concat([X, X["title"]], axis=1), "X has 2 columns named 'title'"),
        (lambda X: X.iloc[:0], "X holds no records"),
        (lambda X: X.assign(title=[["a"]] + ["b"] * 35), "X, row 'r0': the title is a list; each must be a text"),
    ],
)
def test_wrong_tables_are_told(X, change, told):
    with pytest.raises(InputError, match=re.escape(told)):
        ranker().fit(change(X))
    with pytest.raises(InputError, match=re.escape(told)):
        ranker().fit(X).decision_function(change(X))


@pytest.mark.parametrize(
    ("y", "told"),
    [
        ([1, 0], "y has 2 labels for 36 records"),
        (
            [2, *[0] * 35],
            "y, row 0: 2 is not a label; a label is 1 or 0, or one of the words include, exclude and maybe",
        ),
        ([0.5, *[0] * 35], "0.5 is not a label"),
        ([1 + 1e-9, *[0] * 35], "is not a label"),
        (["perhaps", *[0] * 35], "'perhaps' is not a label"),
        ([[1], None, *[0] * 34], "[1] is not a label"),
        ([None, [1], *[0] * 34], "[1] is not a label"),
        ([1j, *[0] * 35], "1j is not a label"),
        ([3, 4, *[0] * 34], "y has 2 errors"),
        ("1" * 36, "y must be a list or an array of one dimension"),
        (np.zeros((36, 1)), "y must be a list or an array of one dimension"),
        (pd.Series([1, *[0] * 35], name="Excluded"), "1 is not a label in a column 'Excluded'"),
    ],
)
def test_wrong_labels_are_told(X, y, told):
    with pytest.raises(InputError, match=re.escape(told)):
        ranker().fit(X, y)


def test_labels_in_another_order_are_not_given_to_other_records(X):
    with pytest.raises(InputError, match="y has the index of X in another order; give y.reindex"):
        ranker().fit(X, X["included"].iloc[::-1])


def test_a_column_of_the_table_is_not_overwritten(X):
    one = ranker().fit(X)
    with pytest.raises(InputError, match="X has a column 'score' already"):
        one.rank(X.assign(score=1))


# -- simulate ---------------------------------------------------------------------------------


def test_a_replay_is_that_of_the_command(X, tmp_path):
    file, criteria = tmp_path / "review.csv", tmp_path / "criteria.txt"
    X.to_csv(file, index=False)
    criteria.write_text(
        "Inclusion criteria\n- Peer support of adults with mental health difficulties.\n", encoding="utf-8"
    )
    options = dict(seeds=2, stop="audit-e", target=0.5, confidence=0.5)
    facts = simulation.simulate(file, "included", criteria=criteria, preset="fast", **options)
    done = triage.simulate(X, label="included", model="fast", include=INCLUDE, **options)
    assert (done.records, done.relevant, done.model) == (36, 6, facts.model)
    assert done.summary.index.to_list() == [0, 1]
    for run in facts.runs:
        curve = done.curve[done.curve["seed"] == run.seed]
        assert curve["record"].to_list() == [f"r{row}" for row in run.order]
        assert curve["relevant"].to_list() == run.labels and curve["origin"].to_list() == run.origin
        assert curve["found"].iloc[-1] == 6 and curve["recall"].iloc[-1] == 1
        assert curve["screened"].to_list() == list(range(1, 37))
        summary = done.summary.loc[run.seed]
        assert {name: summary[name] for name in run.metrics} == run.metrics
        stop = run.stop
        assert (summary["stop_at"], summary["stop_recall"], summary["certified"]) == (
            stop.at,
            stop.recall,
            stop.certified,
        )
    with pytest.raises(FrozenInstanceError):
        done.records = 0


def test_replays_with_priors_and_without_relevant_records(X):
    done = triage.simulate(X, label="included", model="elas-u4", prior_rows=[0, 1], batch=1)
    assert done.summary.loc[0, "priors"] == 2 and len(done.curve) == 34 and done.curve["found"].iloc[-1] == 5
    assert not {"r0", "r1"} & set(done.curve["record"]) and done.summary["stop_at"].isna().all()
    drawn = triage.simulate(X, label="included", model="elas-u4", priors=(1, 2), seed=3)
    assert drawn.summary.index.to_list() == [3] and len(drawn.curve) == 33
    none = triage.simulate(X.assign(included=0), label="included", model="elas-u4")
    assert none.relevant == 0 and none.curve["recall"].isna().all() and none.summary["atd"].isna().all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (dict(label="label"), "label must name one column of frame, and is 'label'; its columns are: title, abstract"),
        (dict(label="note"), "frame has 36 errors"),
        (dict(label="partly"), "18 rows of frame, row 'r1' the first, without a label in 'partly'"),
        (dict(model=3), "model must be"),
        (dict(start="best"), "start must be one of 'criteria', 'file', 'random', and is 'best'"),
        (dict(start="criteria"), 'start="criteria" needs a question, include or exclude'),
        (dict(stop="soon"), "stop must be one of 'audit-e'"),
        (dict(target=1), "target must lie between 0 and 1"),
        (dict(confidence="high"), "confidence must lie between 0 and 1"),
        (dict(seed=-1), "seed must be a whole number from 0"),
        (dict(seeds=0), "seeds must be a whole number from 1"),
        (dict(batch=0), 'batch must be "auto" or a whole number from 1'),
        (dict(batch="often"), 'batch must be "auto"'),
        (dict(prior_rows=[36]), "prior_rows: 36 is not a row of frame; rows run from 0 to 35"),
        (dict(prior_rows=[1, 1]), "prior_rows names a row twice"),
        (dict(prior_rows=[1], priors=(1, 1)), "Give either prior_rows or priors"),
        (dict(priors=(7, 1)), "priors asks for 7 relevant records; frame has 6"),
        (dict(priors=3), "priors must be two numbers"),
        (dict(device="tpu"), "device must be one of"),
    ],
)
def test_wrong_options_of_a_replay_are_told(X, options, told):
    X["partly"] = X["included"].where(np.arange(36) % 2 == 0)
    with pytest.raises(InputError, match=re.escape(told)):
        triage.simulate(X, **{"label": "included", "model": "elas-u4", **options})


# -- certificate ------------------------------------------------------------------------------


def test_a_certificate_is_that_of_the_history():
    y = [1, 1, 0, 1, 0, 0, 0, -1, 0, 0]
    drawn = np.array([0, 0, 0, 0, 1, 1, 1, 0, 1, 1], bool)
    words = ["audit" if one else "ranked" for one in drawn]
    history = History.of(range(10), y, words, n_records=14)
    wanted = recall.certificate(history, 0.8, 0.9)
    for labels in (y, ["include", "maybe", "no", 1, 0, 0, 0, None, 0, 0], np.array(y, float)):
        for origins in (drawn, drawn.tolist(), words, [Origin(word) for word in words], pd.Series(words)):
            found = triage.certificate(labels, origins, n_records=14, target=0.8, confidence=0.9, records=range(10))
            assert found == wanted
    assert triage.certificate(history, target=0.8, confidence=0.9) == wanted
    assert wanted.recall_lower is not None and 0 < wanted.recall_lower < 1 and wanted.audit_draws == 5
    none = triage.certificate([], [], n_records=5)
    assert (none.recall_lower, none.missed_upper, none.certified) == (None, 5, False)
    with pytest.raises(FrozenInstanceError):
        found.certified = True


def test_no_draw_proves_nothing_and_all_read_proves_all():
    assert triage.certificate([1] * 5, [False] * 5, n_records=100).recall_lower == 0.05
    assert triage.certificate([1, 0, 0], [False] * 3, n_records=3).certified


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (dict(history=[1, 0]), "Say in origins how each record came to be shown: one of prior, ranked, audit"),
        (dict(history=[1, 0], origins=[True, False]), "Say in n_records how many records there are"),
        (dict(history=[1, 0], origins=[True, False], n_records=True), "Say in n_records"),
        (dict(history=[1, 0], origins=[True, False], n_records=1), "n_records is 1, and 2 records were shown"),
        (dict(history=[1], origins=[True, False], n_records=9), "labels has 1 labels for 2 records"),
        (dict(history=[1, 0], origins=["random", True], n_records=9), "origins, place 0: 'random' is not an origin"),
        (dict(history=[1, 0], origins=[1, 0], n_records=9), "origins has 2 errors"),
        (dict(history=[1, 0], origins=[True] * 2, n_records=9, records=["a"]), "records has 1 names for 2 origins"),
        (
            dict(history=[1, 0], origins=[True] * 2, n_records=9, records=["a", "a"]),
            "records has 'a' at the places 0 and 1",
        ),
        (dict(history=[1, 0], origins=[True] * 2, n_records=9, target=95), "target must lie between 0 and 1"),
        (dict(history=[1, 0], origins=[True] * 2, n_records=9, confidence=0), "confidence must lie between 0 and 1"),
        (dict(history=History.of([0], [1], n_records=2), n_records=2), "A History says all about itself"),
    ],
)
def test_wrong_histories_are_told(arguments, told):
    with pytest.raises(InputError, match=re.escape(told)):
        triage.certificate(**arguments)


# -- open_review ------------------------------------------------------------------------------


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns


def test_a_review_is_read_as_tables_and_stays_as_it_is(review):
    project = review(24)
    decide(project, 1, Label.INCLUDE)
    wrong = decide(project, 2, Label.INCLUDE)
    decide(project, 2, Label.EXCLUDE, reason="CHILD", note="schools")
    answers.rank(project, top=1)
    path = Path(project.path)
    before = digest(path)
    with triage.open_review(path) as opened:
        records, decisions, events, ranking = opened.records, opened.decisions, opened.events, opened.ranking
        assert opened.records is records
        told = opened.status()
        history = opened.history
    assert digest(path) == before
    snapshot = project.snapshot()
    assert records.index.to_list() == list(range(1, 25)) and records.index.name == "record_id"
    for record in project.records.read():
        row = records.loc[record.id]
        assert (row["title"], row["abstract"], row["year"]) == (record.title, record.abstract, record.year)
        assert row["authors"] == "; ".join(record.authors) and row["source"] == record.source
    assert decisions[["stage", "record_id", "label", "reason", "note"]].to_numpy().tolist() == [
        ["abstract", 1, "include", "", ""],
        ["abstract", 2, "exclude", "CHILD", "schools"],
    ]
    assert events.index.to_list() == [e.seq for e in snapshot.events] and wrong.seq in events.index
    assert events["kind"].to_list() == [str(e.kind) for e in snapshot.events]
    assert events["at"].dt.to_pydatetime().tolist() == [e.at for e in snapshot.events]
    saved = snapshot.rankings.newest("abstract")
    assert ranking["rank"].to_list() == list(range(1, 25)) and ranking["score"].is_monotonic_decreasing
    assert ranking["score"].sort_index().to_list() == saved.scores.tolist()
    assert ranking.attrs == {"as_of": saved.as_of, "model": saved.model}
    assert told == status.status(snapshot)
    assert triage.certificate(history, target=0.9).recall_lower == told.certificate.recall_lower


def test_copies_and_removed_records_are_told(review):
    project = review(12)
    project.log.link([(2, 1, "same DOI"), (5, 2, "same DOI")], reviewer="ann")
    project.log.remove([(3, "language", "German")], reviewer="ann")
    with triage.open_review(project.path) as opened:
        records = opened.records
    assert len(records) == 12 and records["duplicate_of"].dropna().to_dict() == {2: 1, 5: 1}
    assert records["removed"][records["removed"] != ""].to_dict() == {3: "language"}


def test_what_comes_later_is_not_seen_and_a_closed_review_says_so(review, tmp_path):
    project = review(6)
    with triage.open_review(project.path) as opened:
        decide(project, 1, Label.INCLUDE)
        assert opened.decisions.empty and opened.status().screened == 0
    assert opened.decisions.empty  # what was read can still be used
    with pytest.raises(InputError, match="The review is closed; read what you need inside the with block"):
        opened.status()
    with pytest.raises(InputError, match="is closed"):
        opened.records
    assert "closed" in repr(opened)


def test_an_empty_review_has_the_same_columns(review, place, tmp_path):
    full = review(6)
    decide(full, 1, Label.INCLUDE)
    answers.rank(full, top=1)
    with Project.create(tmp_path / "empty.triage", PROTOCOL) as project:
        path = project.path
    with triage.open_review(path) as empty, triage.open_review(full.path) as opened:
        for name in ("records", "decisions", "events"):
            mine, other = getattr(empty, name), getattr(opened, name)
            assert mine.empty and mine.dtypes.astype(str).to_dict() == other.dtypes.astype(str).to_dict()
        assert empty.ranking.empty and list(empty.ranking.columns) == list(opened.ranking.columns)
        assert opened.events["kind"].to_list() == [Kind.DECISION]


def test_what_cannot_be_opened_is_told(tmp_path, review):
    with pytest.raises(InputError, match="There is no review at"), triage.open_review(tmp_path / "none.triage"):
        pass
    project = review(6)
    with pytest.raises(InputError, match="no stage 'full-text'"), triage.open_review(project.path, stage="full-text"):
        pass


def test_an_older_review_is_not_brought_up_to_date(review):
    project = review(6)
    project.close()
    path = Path(project.path)
    with path.open("r+b") as file:
        file.seek(60)
        file.write((SCHEMA_VERSION - 1).to_bytes(4, "big"))
    before = digest(path)
    older = pytest.raises(InputError, match="was made by an older version of triage; bring it up to date")
    with older, triage.open_review(path):
        pass
    assert digest(path) == before
