"""Every state that a small review can be in, before everything that reads it or goes on with it.

A small review, and a stage of few records, meets states at once that a large one meets at its end: nothing left but what
is on a screen, all judged, all relevant, everything removed.
"""

import contextlib
import io
import itertools
import json
import math
import time
import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from conftest import TOPICS
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings, strategies as st
from rich.console import Console

from triage import cli, intake, recall, report, screening, status, terminal, web
from triage.decisions import History, Label, Origin
from triage.errors import InputError
from triage.project import Project
from triage.records import Record
from triage.web.access import Door

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

MOST = 12
LABELS = {"i": Label.INCLUDE, "e": Label.EXCLUDE, "m": Label.MAYBE}
PRESET = "elas-u4"      # no vectors to compute


# -- the arithmetic, over every count -----------------------------------------------------------


def histories(most=MOST):
    """Yield a history of each number of records, judged, relevant among them, and awaiting a label.

    The relevant ones come first, last, or spread; the draws are ranked, random, or random after a ranked half.
    """
    for n in range(most + 1):
        for judged in range(n + 1):
            for relevant, waiting in itertools.product(range(judged + 1), range(n - judged + 1)):
                how = relevant + waiting   # takes turns, so that all of them meet all
                y = [1] * relevant + [0] * (judged - relevant)
                y = [y, y[::-1], [*y[::2], *y[1::2]]][how % 3]
                y = [y + [-1] * waiting, [-1] * waiting + y][how // 3 % 2]
                half = len(y) // 2
                origin = [["ranked"] * len(y), ["audit"] * len(y), ["ranked"] * half + ["audit"] * (len(y) - half)]
                yield History.of(range(len(y)), y, origin[(n + judged) % 3], n_records=n)


def test_the_arithmetic_holds_for_every_count_of_a_small_review():
    for history in histories():
        for name, target, confidence in (("audit-e", 0.95, 0.95), ("fixed-audit", 0.5, 0.8), ("ranked-e", 0.9, 0.5)):
            certificate = recall.certificate(history, target, confidence)
            assert 0 <= certificate.missed_upper <= history.n_unscreened
            assert (certificate.recall_lower is None) == (not history.n_found)
            assert certificate.recall_lower is None or 0 < certificate.recall_lower <= 1
            estimate = recall.estimate_from_curve(history, confidence)
            assert estimate is None or 0 <= estimate.lower <= estimate.recall <= estimate.upper <= 1
            for policy in (None, recall.policy_of(name, target, confidence)):
                work = recall.forecast(history, target, confidence, np.random.default_rng(0), estimate=estimate, policy=policy)
                assert 0 <= work.p10 <= work.p50 <= work.p90 <= history.n_unscreened
                assert 0 <= work.zero_hit <= history.n_unscreened
            for rule in recall.RULES:
                verdict = recall.rule_of(rule, target, confidence)(history)
                assert verdict.stop >= verdict.certified and not {"nan", "inf"} & set(verdict.why.lower().split())


# -- a review, taken into any state -------------------------------------------------------------


class Review:
    """A review that is taken from state to state; a step that is not possible in one leaves it as it is."""

    def __init__(self, folder, stages=("abstract",), rule="audit-e", per_record=1):
        self.folder = folder
        self.stages = list(stages)
        protocol = (
            'question = "Peer support of adults"\nmodel = "elas-u4"\nreviewers_per_record = %d\n' % per_record
            + '[[include]]\ncode = "PEER"\ntext = "Peer support."\n[[exclude]]\ncode = "CHILD"\ntext = "Children."\n'
            + '[limits]\nlanguages = ["English"]\npublished_from = 1980\n'
            + f'[stopping]\nrule = "{rule}"\n' + ("audit_size = 3\n" if rule == "fixed-audit" else "")
            + "".join(f'[[stages]]\nname = "{name}"\n' for name in stages)
        )
        self.path = folder / "r.triage"
        self.project = Project.create(self.path, protocol)

    def close(self):
        self.project.close()

    def step(self, what, *how):
        with contextlib.suppress(InputError):
            getattr(self, f"_{what}")(*how)

    def _add(self, count, kind="plain"):
        have = self.project.n_records()
        count = min(count, MOST - have)
        if not count:
            return
        records = [Record(
            title=f"{TOPICS[i % 3][:40]} {i}", abstract="" if kind == "bare" else f"{TOPICS[i % 3]} study {i}", year=1990 + i,
            language="German" if kind == "foreign" else "", doi="10.1000/same" if kind == "copies" else "",
        ) for i in range(have, have + count)]
        self.project.add(records, range(count), name=f"{have}.ris", source=f"source {have % 2}", format="ris",
                         sha256=f"{have}", announced=count, problems=[])

    def _screen(self, labels, stage=0, reviewer="ann"):
        """Judge the next records in a session; "s" leaves one on the screen, "u" takes the last decision back."""
        with screening.open_session(self.project, reviewer=reviewer, stage_name=self.stages[stage % len(self.stages)],
                                    background=False) as (session, _):
            for label in labels:
                if label == "u":
                    session.undo()
                elif (showing := session.next()) is None:
                    return
                elif label != "s":
                    session.decide(showing.row, LABELS[label], "CHILD" if label == "e" else "")

    def _hand_out(self, count, stage=0, reviewer="ann"):
        screening.hand_out(self.project, count, file="next.csv", reviewer=reviewer,
                           stage_name=self.stages[stage % len(self.stages)])

    def _choose(self, record_id, label, stage=0, reviewer="bob"):
        stage = self.project.stage(self.stages[stage % len(self.stages)])
        if record_id in stage.record_ids:
            screening.commit_audit(self.project, stage.name)
            self.project.decide(stage.name, [{"record_id": record_id, "label": LABELS[label]}], reviewer=reviewer)

    def _link(self, one, other):
        if max(one, other) <= self.project.n_records() and one != other:
            self.project.link([(max(one, other), min(one, other), "same title")], reviewer="ann")

    def _remove(self, record_id):
        if record_id <= self.project.n_records():
            self.project.remove([(record_id, "language", "German")], reviewer="ann")

    def _settle(self, record_id, label):
        self.project.settle(self.stages[0], record_id, LABELS[label], reviewer="ann")

    def _dedupe(self):
        intake.find_duplicates(self.project, reviewer="ann")

    def _filter(self):
        intake.apply_limits(self.project, reviewer="ann", accept_proposals=True)

    def _undo(self, back):
        events = self.project.events()
        if events:
            self.project.undo(events[-1 - back % len(events)].seq, reviewer="ann")

    def _rank(self, stage=0):
        screening.rank(self.project, top=5, stage_name=self.stages[stage % len(self.stages)])

    # -- what reads it --------------------------------------------------------------------------

    def run(self, *arguments, codes=(0,)):
        """Run a command in this process; nothing but an answer or one sentence may come of it."""
        out, err = io.StringIO(), io.StringIO()
        out.reconfigure = err.reconfigure = lambda **_: None
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.run([str(a) for a in arguments])
        assert code in codes, f"{arguments}: {code} {out.getvalue()}{err.getvalue()}"
        if code == 2:
            assert not out.getvalue() and err.getvalue().startswith("triage: ") and err.getvalue().count("\n") == 1
        return out.getvalue() if code != 2 else ""

    def json(self, *arguments, codes=(0,)):
        told = self.run(*arguments, "--json", codes=codes)
        return json.loads(told, parse_constant=lambda name: pytest.fail(f"{name} in JSON")) if told else None

    def file(self, ending):
        path = self.folder / f"out.{ending}"
        path.unlink(missing_ok=True)
        return path


def check_status(facts):
    """Check what a status says against itself."""
    assert facts["screened"] + facts["unscreened"] == facts["records"]
    assert facts["relevant_found"] <= facts["screened"] and facts["maybe"] + facts["conflicts"] <= facts["relevant_found"]
    assert facts["awaiting_labels"] <= facts["unscreened"]
    certificate, work, verdict = facts["certificate"], facts["workload"]["records_to_certificate"], facts["verdict"]
    assert 0 <= certificate["missed_upper"] <= facts["unscreened"]
    assert (certificate["recall_lower"] is None) == (not facts["relevant_found"])
    assert certificate["recall_lower"] is None or 0 < certificate["recall_lower"] <= 1
    assert 0 <= work["p10"] <= work["p50"] <= work["p90"] <= facts["unscreened"]
    assert 0 <= facts["workload"]["zero_hit"] <= facts["unscreened"]
    assert verdict["stop"] >= verdict["certified"]
    if verdict["rule"] == "audit-e":
        assert verdict["certified"] == certificate["certified"]
    for share in [facts["estimate"][key] for key in ("recall", "lower", "upper")]:
        assert share is None or 0 <= share <= 1
    if not facts["records"]:
        assert not verdict["stop"]
    for hours in (facts["workload"]["hours"] or {}).values():
        assert hours >= 0
    noise = facts["label_noise"]
    assert noise is None or (noise["overturned"] <= noise["judged_twice"] <= noise["sample"] <= noise["excluded"])


def check_flow(project):
    """Check that every record is in one place of the flow figure, and that both agree with the status."""
    counted = status.flow(project)
    left = counted.n_retrieved - counted.n_duplicates - counted.n_removed
    assert counted.n_retrieved == project.n_records()
    for stage in counted.stages:
        facts = status.status(project, stage.name)
        assert stage.entered == left == facts["records"]
        gone = sum(stage.excluded.values())
        assert stage.unscreened + stage.conflicts + gone + stage.included + stage.maybe == left
        assert stage.unscreened == facts["unscreened"] and stage.conflicts == facts["conflicts"]
        assert stage.included + stage.maybe + stage.conflicts == facts["relevant_found"]
        left = stage.included + stage.maybe


def check_readers(review):
    """Run every command that reads the review."""
    path, project = review.path, review.project
    n = project.n_records()
    check_flow(project)
    for stage in review.stages:
        at = ("--stage", stage)
        for target, confidence in ((None, None), (0.5, 0.5), (0.99, 0.99)):
            given = () if target is None else ("--target", target, "--confidence", confidence)
            facts = review.json("status", path, *at, *given)
            check_status(facts)
            assert review.run("status", path, *at, *given)
        review.run("status", path, *at, "--require", "certified", codes=(0, 1))
        empty = (2,) if not facts["records"] else (0,)
        ranked = review.json("rank", path, *at, "--top", 50, codes=empty)
        assert ranked is None or len(ranked["records"]) == facts["unscreened"]
        review.run("rank", path, *at, codes=empty)
        for record_id in {1, n} - {0}:
            for how in ((), ("--json",)):
                review.run("rank", path, *at, "--explain", record_id, *how, codes=(0, 2))
        for which in ("", "included", "excluded", "maybe", "unscreened", "excluded,maybe"):
            review.json("export", path, *at, "-o", review.file("csv"), "--only", which)
        review.run("export", path, *at, "-o", review.file("csv"), "--only", "second-look", "--reviewer", "cora", codes=(0, 2))
        for found in (review.json("conflicts", path, *at), review.json("agreement", path, *at)):
            assert found["stage"] == stage
        assert review.run("conflicts", path, *at) and review.run("agreement", path, *at)
        review.run("attach", path, *at)
        review.run("report", path, *at, "-o", review.file("html"))
        assert review.file("html")
    for ending in ("ris", "bib", "tsv"):
        review.run("export", path, "-o", review.file(ending))
    svg = review.file("svg")
    review.run("report", path, "-o", svg)
    ET.parse(svg)
    review.run("report", path, "-o", review.file("csv"), codes=(0, 2))
    assert len(review.json("log", path)["events"]) == review.run("log", path).count("\n") - 1
    review.run("people", path)


def check_pages(review):
    """Open every page, and ask every address of the interface that changes nothing."""
    app = web.make_app(review.project, Door.of("127.0.0.1", 8765, tls=False), reviewer="ann", preset=PRESET)
    schema = app.openapi()["paths"]
    pages = ["/", "/history", "/search?q=support", "/second-look", "/overview", "/conflicts", "/files", "/duplicates",
             "/account", "/people", "/api"]
    with TestClient(app, base_url="http://127.0.0.1:8765", follow_redirects=False) as ann:
        for stage in review.stages:
            for _ in range(400):
                told = ann.get("/api/queue", params={"stage": stage})
                if told.status_code != 200 or not told.json()["preparing"]:
                    break
                time.sleep(0.01)
            assert told.status_code == 200 or (told.status_code == 422 and "holds no records yet" in told.text), told.text
            records = [1, review.project.n_records()] if review.project.n_records() else [1]
            asked = pages + [f"/records/{i}" for i in records]
            for path, methods in schema.items():
                if "get" in methods and path != "/api/attachments":
                    asked += [path.format(record_id=i, event=i) for i in records] if "{" in path else [path]
            for path in asked:
                params = {"stage": stage} | ({"q": "peer"} if path == "/api/search" else {})
                got = ann.get(path, params=params if "?" not in path else None)
                may_refuse = path[-1].isdigit() or path in ("/people", "/account", "/api/queue")
                allowed = (200, 303, 403, 404, 409, 422) if may_refuse else (200,)
                assert got.status_code in allowed, f"{path}: {got.status_code} {got.text[:300]}"
                if got.headers.get("content-type", "").startswith("application/json"):
                    json.loads(got.text, parse_constant=lambda name: pytest.fail(f"{name} in {path}"))


def check_goes_on(review):
    """Screen by lines to the end of every stage, take one back, and hand out what is left."""
    for stage in review.stages:
        lines = io.StringIO("?\nc\nx\ni\ne\n\nm\nu\ns\nn\na note\n" + "e\n\ni\n" * MOST * 2)
        try:
            with screening.open_session(review.project, reviewer="ann", stage_name=stage, background=False) as (session, records):
                done = terminal.run(
                    session, records, reasons=[("CHILD", "Children.")], criteria=(["Peer support."], ["Children."]),
                    state=lambda: status.one_line(session.pool.history(), review.project.protocol(), recall.AuditE()),
                    console=Console(file=io.StringIO(), width=90), keys=terminal._LineKeys(lines),
                )
        except InputError as error:
            assert "holds no records yet" in str(error)
            continue
        assert done.included <= done.decided
        check_status(status.status(review.project, stage))
    check_flow(review.project)


steps = st.lists(st.one_of(
    st.tuples(st.just("add"), st.integers(1, MOST), st.sampled_from(["plain", "bare", "foreign", "copies"])),
    st.tuples(st.just("screen"), st.text("iiemesu", max_size=MOST), st.integers(0, 1), st.sampled_from(["ann", "bob"])),
    st.tuples(st.just("hand_out"), st.integers(1, MOST), st.integers(0, 1), st.sampled_from(["ann", "bob"])),
    st.tuples(st.just("choose"), st.integers(1, MOST), st.sampled_from("iem"), st.integers(0, 1), st.sampled_from(["ann", "bob"])),
    st.tuples(st.just("link"), st.integers(1, MOST), st.integers(1, MOST)),
    st.tuples(st.just("remove"), st.integers(1, MOST)),
    st.tuples(st.just("settle"), st.integers(1, MOST), st.sampled_from("iem")),
    st.tuples(st.just("undo"), st.integers(0, 40)),
    st.tuples(st.just("rank"), st.integers(0, 1)),
    st.just(("dedupe",)), st.just(("filter",)),
), max_size=9)
kinds = st.fixed_dictionaries({
    "stages": st.sampled_from([("abstract",), ("abstract", "full-text"), ("abstract", "quality", "full-text")]),
    "rule": st.sampled_from(list(recall.RULES)), "per_record": st.sampled_from([1, 1, 2]),
})
ALL_BUT_ONE_AND_THAT_ON_THE_SCREEN = [("add", 12, "plain"), ("screen", "i" + "e" * 10 + "s", 0, "ann")]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(kinds, steps)
@example({}, [])
@example({}, ALL_BUT_ONE_AND_THAT_ON_THE_SCREEN)
def test_every_reader_answers_in_every_state(tmp_path_factory, kind, taken):
    review = Review(tmp_path_factory.mktemp("small"), **kind)
    try:
        for what, *how in taken:
            review.step(what, *how)
        check_readers(review)
        check_pages(review)
        check_goes_on(review)
        check_readers(review)
    finally:
        review.close()
