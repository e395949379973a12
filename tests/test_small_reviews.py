"""Every state that a small review can be in, before everything that reads it or goes on with it.

A small review, and a stage of few records, meets states at once that a large one meets at its end: nothing left but
what is on a screen, all judged, all relevant, everything removed. And it has 0, 1 and 2 of everything, so its sentences
show whether they count right, and whether one says what another denies.
"""

import contextlib
import html
import io
import itertools
import json
import re
import time
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import typer.main
from conftest import TOPICS
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, example, given, settings, strategies as st
from rich.console import Console

from triage import cli, intake, recall, report, screening, simulation, status, terminal, web
from triage.as_json import as_json
from triage.errors import InputError
from triage.flow import flow
from triage.log import History, Label
from triage.project import Project
from triage.ranking import answers
from triage.records import Record
from triage.session_state import recall_in_words
from triage.stopping_rules import RULES
from triage.terminal import keys
from triage.web.gate import ServerOrigin

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

MOST = 12
LABELS = {"i": Label.INCLUDE, "e": Label.EXCLUDE, "m": Label.MAYBE}
PRESET = "elas-u4"  # no vectors to compute


# -- the arithmetic, over every count -----------------------------------------------------------


def histories(most=MOST):
    """Yield a history of each number of records, judged, relevant among them, and awaiting a label.

    The relevant ones come first, last or alternately; the draws are ranked, random, or random after a ranked half.
    """
    for n in range(most + 1):
        for judged in range(n + 1):
            for relevant, waiting in itertools.product(range(judged + 1), range(n - judged + 1)):
                how = relevant + waiting  # takes turns, so that all of them meet all
                y = [1] * relevant + [0] * (judged - relevant)
                y = [y, y[::-1], [*y[::2], *y[1::2]]][how % 3]
                y = [y + [-1] * waiting, [-1] * waiting + y][how // 3 % 2]
                half = len(y) // 2
                origin = [["ranked"] * len(y), ["audit"] * len(y), ["ranked"] * half + ["audit"] * (len(y) - half)]
                yield History.of(range(len(y)), y, origin[(n + judged) % 3], n_records=n)


def test_the_arithmetic_holds_for_every_count_of_a_small_review():
    for history in histories():
        certificate = recall.certificate(history, 0.95, 0.95)
        assert 0 <= certificate.missed_upper <= history.n_unscreened
        assert (certificate.recall_lower is None) == (not history.n_found)
        assert certificate.recall_lower is None or 0 < certificate.recall_lower <= 1
        estimate = recall.estimate_from_curve(history, 0.95)
        assert estimate is None or 0 <= estimate.lower <= estimate.recall <= estimate.upper <= 1
        for name, target, confidence in (("audit-e", 0.95, 0.95), ("fixed-audit", 0.5, 0.8), ("ranked-e", 0.9, 0.5)):
            policy, rng = recall.policy_of(name, target, confidence), np.random.default_rng(0)
            work = recall.forecast(history, target, confidence, rng, estimate=estimate, policy=policy)
            assert 0 <= work.p10 <= work.p50 <= work.p90 <= history.n_unscreened
            assert 0 <= work.zero_hit <= history.n_unscreened
        for rule in RULES:
            verdict = recall.rule_of(rule, 0.9, 0.8)(history)
            assert verdict.stop >= verdict.certified and not {"nan", "inf"} & set(verdict.why.lower().split())
            check_grammar(verdict.why)


# -- what sentences must be -----------------------------------------------------------------------

ONE = (
    "record decision duplicate pair draw problem reviewer tag event hit conflict parameter source label file cell word "
    "PDF note vote person hour minute second"
).split()
MANY = [f"{noun}s" for noun in ONE if noun != "person"] + ["people"]
VERBS = {"is": "are", "was": "were", "has": "have", "awaits": "await", "looks": "look", "stays": "stay"}
COUNTED = re.compile(
    r"(?:(?<![\d.,/#-])(\d[\d,]*) of )?(?<![\d.,/#=-])(\d[\d,]*) "
    r"(?:(?!(?:of|to|in|at|a|an|each|and|or|is|are|the) )[a-z-]+ ){0,2}?"
    rf"({'|'.join(map(re.escape, ONE + MANY))})\b(?! \d)(?: ({'|'.join([*VERBS, *VERBS.values()])})\b)?"
)


def check_grammar(text):
    """Check that what is counted stands in the number that its count asks for, and its verb too."""
    for found in COUNTED.finditer(text):
        part, n, noun, verb = found.groups()
        around = text[max(0, found.start() - 60) : found.end() + 40]
        assert noun in (ONE if n == "1" else MANY), f"{found[0]!r} in {around!r}"
        assert not verb or verb in (VERBS.keys() if (part or n) == "1" else VERBS.values()), (
            f"{found[0]!r} in {around!r}"
        )
    assert not (fraction := re.search(r"\d\.\d+ (relevant|records|more)", text)), fraction


def test_the_check_of_grammar_finds_what_is_wrong():
    for wrong in (
        "1 records",
        "2 record",
        "0 decision",
        "1 new duplicates",
        "1 of 3 records are left",
        "1 record were",
        "2 of 3 records is left",
        "5 records awaits",
        "of 1 records",
        "45.5 relevant in all",
    ):
        with pytest.raises(AssertionError):
            check_grammar(wrong)
    check_grammar(
        "1 record is, 0 of 1 record are, 1 of 2 records is, 11.2 seconds a record, record 2, 1,200 records were."
    )


def text_of(page):
    """Return the words of a page; what stands in different elements does not touch."""
    page = re.sub(r"(?s)<(style|script|svg|pre).*?</\1>", " ", page)
    return html.unescape(re.sub(r"<[^>]+>", " | ", page))


def check_told(facts, text):
    """Check that no sentence of a status, a report or the overview contradicts the numbers."""
    certified = facts["certificate"]["certified"] or facts["verdict"]["certified"]
    lower, unscreened = facts["certificate"]["recall_lower"], facts["unscreened"]
    if certified or lower is not None:
        assert "nothing is certified" not in text and "Nothing is certified" not in text
    if certified:
        assert "does not certify" not in text and "not certified" not in text
    else:
        assert not re.search(
            r"This certifies|was certified|(?<!nothing )is certified|can stop, certified|\(certified\)", text
        )
    if "can stop" in text:
        assert facts["verdict"]["stop"]
    if not unscreened:
        assert not re.search(r"more records? to a|is about .* away|No guarantee|is estimated at", text)
    if facts["records"] and not unscreened:
        assert "Go on screening" not in text and "Screening goes on" not in text
    irrelevant = facts["screened"] - facts["relevant_found"]
    if min(facts["relevant_found"], irrelevant) >= 2:
        assert "are needed, and" not in text
    counted = re.findall(r"(\d+) parameters?\b", text)
    assert len(set(counted)) <= 1


# -- a review, taken into any state -------------------------------------------------------------


class Review:
    """A review that is taken from state to state; a step that is not possible in one leaves it as it is."""

    def __init__(self, folder, stages=("abstract",), rule="audit-e", per_record=1):
        self.folder = folder
        self.stages = list(stages)
        protocol = (
            f'question = "Peer support of adults"\nmodel = "elas-u4"\nreviewers_per_record = {per_record}\n'
            + '[[include]]\ncode = "PEER"\ntext = "Peer support."\n[[exclude]]\ncode = "CHILD"\ntext = "Children."\n'
            + '[limits]\nlanguages = ["English"]\npublished_from = 1980\n'
            + f'[stopping]\nrule = "{rule}"\n'
            + ("audit_size = 3\n" if rule == "fixed-audit" else "")
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
        have = self.project.records.count()
        count = min(count, MOST - have)
        if not count:
            return
        records = [
            Record(
                title=f"{TOPICS[i % 3][:40]} {i}",
                abstract="" if kind == "bare" else f"{TOPICS[i % 3]} study {i}",
                year=1990 + i,
                language="German" if kind == "foreign" else "",
                doi="10.1000/same" if kind == "copies" else "",
            )
            for i in range(have, have + count)
        ]
        self.project.records.add(
            records,
            range(count),
            name=f"{have}.ris",
            source=f"source {have % 2}",
            format="ris",
            sha256=f"{have}",
            announced=count,
            problems=[],
        )

    def _screen(self, labels, stage=0, reviewer="ann"):
        """Judge the next records in a session; "s" leaves one on the screen, "u" takes the last decision back."""
        with screening.open_session(
            self.project, reviewer=reviewer, stage_name=self.stages[stage % len(self.stages)], background=False
        ) as (session, _):
            for label in labels:
                if label == "u":
                    session.undo()
                elif (showing := session.next()) is None:
                    return
                elif label != "s":
                    session.decide(showing.row, LABELS[label], "CHILD" if label == "e" else "")

    def _hand_out(self, count, stage=0, reviewer="ann"):
        screening.hand_out(
            self.project, count, file="next.csv", reviewer=reviewer, stage_name=self.stages[stage % len(self.stages)]
        )

    def _choose(self, record_id, label, stage=0, reviewer="bob"):
        stage = self.project.stage(self.stages[stage % len(self.stages)])
        if record_id in stage.record_ids:
            screening.commit_audit(self.project, stage.name)
            self.project.log.decide(stage.name, [{"record_id": record_id, "label": LABELS[label]}], reviewer=reviewer)

    def _link(self, one, other):
        if max(one, other) <= self.project.records.count() and one != other:
            self.project.log.link([(max(one, other), min(one, other), "same title")], reviewer="ann")

    def _remove(self, record_id):
        if record_id <= self.project.records.count():
            self.project.log.remove([(record_id, "language", "German")], reviewer="ann")

    def _settle(self, record_id, label):
        self.project.log.settle(self.stages[0], record_id, LABELS[label], reviewer="ann")

    def _dedupe(self):
        intake.find_duplicates(self.project, reviewer="ann")

    def _filter(self):
        intake.apply_limits(self.project, reviewer="ann", accept_proposals=True)

    def _undo(self, back):
        events = self.project.log.events()
        if events:
            self.project.log.undo(events[-1 - back % len(events)].seq, reviewer="ann")

    def _rank(self, stage=0):
        answers.rank(self.project, top=5, stage_name=self.stages[stage % len(self.stages)])

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
        if "log" not in arguments:
            check_grammar(out.getvalue() + err.getvalue())
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
    assert facts.screened + facts.unscreened == facts.records
    assert facts.relevant_found <= facts.screened and facts.maybe + facts.conflicts <= facts.relevant_found
    assert facts.awaiting_labels <= facts.unscreened
    certificate, work, verdict = facts.certificate, facts.workload.records_to_certificate, facts.verdict
    assert 0 <= certificate.missed_upper <= facts.unscreened
    assert (certificate.recall_lower is None) == (not facts.relevant_found)
    assert certificate.recall_lower is None or 0 < certificate.recall_lower <= 1
    assert 0 <= work.p10 <= work.p50 <= work.p90 <= facts.unscreened
    assert 0 <= facts.workload.zero_hit <= facts.unscreened
    assert verdict.stop >= verdict.certified
    if verdict.rule == "audit-e":
        assert verdict.certified == certificate.certified
    for share in (facts.estimate.recall, facts.estimate.lower, facts.estimate.upper):
        assert share is None or 0 <= share <= 1
    if not facts.records:
        assert not verdict.stop
    assert (hours := facts.workload.hours) is None or min(hours.p10, hours.p50, hours.p90) >= 0
    noise = facts.label_noise
    assert noise is None or (noise.overturned <= noise.judged_twice <= noise.sample <= noise.excluded)


def check_flow(project):
    """Check that every record is in one place of the flow figure, and that both agree with the status."""
    counted = flow(project.snapshot())
    left = counted.n_retrieved - counted.n_duplicates - counted.n_removed
    assert counted.n_retrieved == project.records.count()
    for stage in counted.stages:
        facts = status.status(project.snapshot(), stage.name)
        assert stage.entered == left == facts.records
        gone = sum(stage.excluded.values())
        assert stage.unscreened + stage.conflicts + gone + stage.included + stage.maybe == left
        assert stage.unscreened == facts.unscreened and stage.conflicts == facts.conflicts
        assert stage.included + stage.maybe + stage.conflicts == facts.relevant_found
        left = stage.included + stage.maybe


def check_words(project):
    """Check the status in numbers and in words, the report and the figures, of every stage."""
    check_flow(project)
    for stage in project.protocol().stages:
        for target, confidence in ((None, None), (0.5, 0.5), (0.99, 0.99)):
            facts = status.status(project.snapshot(), stage.name, target=target, confidence=confidence)
            json.dumps(as_json(facts), allow_nan=False)
            check_status(facts)
            said = status.in_words(facts)
            for text in (said, text_of(report.render(project.snapshot(), facts))):
                check_grammar(text)
                check_told(as_json(facts), text)
        ET.fromstring(report.discovery_curve(project.stage(stage.name).history(), facts) or "<svg/>")
        check_grammar(recall_in_words(project.stage(stage.name).history(), project.protocol(), recall.AuditE()))


def check_commands(review):
    """Run every command that reads the review."""
    path, n = review.path, review.project.records.count()
    for stage in review.stages:
        at = ("--stage", stage)
        facts = review.json("status", path, *at)
        review.json("status", path, *at, "--target", 0.5, "--confidence", 0.99)
        assert review.run("status", path, *at)
        review.run("status", path, *at, "--require", "certified", codes=(0, 1))
        empty = (0,) if facts["records"] else (2,)
        ranked = review.json("rank", path, *at, "--top", 50, codes=empty)
        assert ranked is None or len(ranked["records"]) == facts["unscreened"]
        review.run("rank", path, *at, codes=empty)
        for record_id in {1, n} - {0}:
            for how in ((), ("--json",)):
                review.run("rank", path, *at, "--explain", record_id, *how, codes=(0, 2))
        for which in ("", "included", "excluded", "maybe", "unscreened", "excluded,maybe"):
            review.run("export", path, *at, "-o", review.file("csv"), "--only", which)
        second = ("export", path, *at, "-o", review.file("csv"), "--only", "second-look", "--reviewer", "cora")
        review.run(*second, codes=(0, 2))
        for command in ("conflicts", "agreement"):
            assert review.json(command, path, *at)["stage"] == stage and review.run(command, path, *at)
        review.run("attach", path, *at)
        page = review.file("html")
        review.run("report", path, *at, "-o", page)
        check_told(facts, text_of(page.read_text(encoding="utf-8")))
    for ending in ("ris", "bib", "tsv"):
        review.run("export", path, "-o", review.file(ending))
    figure = review.file("svg")
    review.run("report", path, "-o", figure)
    ET.parse(figure)
    review.run("report", path, "-o", review.file("csv"), codes=(0, 2))
    assert len(review.json("log", path)["events"]) == review.run("log", path).count("\n") - 1
    review.run("people", path)
    for command in (("dedupe",), ("filter",), ("undo",)):
        review.run(*command, path, "--reviewer", "ann", codes=(0, 2))


def check_pages(review):
    """Open every page, and ask every address of the interface that changes nothing."""
    door = ServerOrigin.of("127.0.0.1", 8765, tls=False)
    app = web.make_app(review.project, door, reviewer="ann", preset="elas-u4")
    pages = ["/", "/history", "/search?q=support", "/second-look", "/overview", "/conflicts", "/files", "/duplicates"]
    mine = ["/people", "/account", "/api"]
    with TestClient(app, base_url="http://127.0.0.1:8765", follow_redirects=False) as ann:
        for stage in review.stages:
            for _ in range(400):
                told = ann.get("/api/queue", params={"stage": stage})
                if told.status_code != 200 or not told.json()["preparing"]:
                    break
                time.sleep(0.01)
            assert told.status_code == 200 or "holds no records yet" in told.json()["detail"], told.text
            records = [1, review.project.records.count()] if review.project.records.count() else [1]
            asked = pages + [f"/records/{i}" for i in records] + (mine if stage == review.stages[0] else [])
            for path, methods in app.openapi()["paths"].items():
                if "get" in methods and path != "/api/attachments":
                    asked += [path.format(record_id=i, event=i) for i in records] if "{" in path else [path]
            for path in asked:
                params = {"stage": stage} | ({"q": "peer"} if path == "/api/search" else {})
                got = ann.get(path, params=None if "?" in path else params)
                may_refuse = path[-1].isdigit() or path in ("/people", "/account", "/api/queue")
                allowed = (200, 303, 403, 404, 409, 422) if may_refuse else (200,)
                assert got.status_code in allowed, f"{path}: {got.status_code} {got.text[:300]}"
                if got.headers.get("content-type", "").startswith("application/json"):
                    json.loads(got.text, parse_constant=lambda name: pytest.fail(f"{name} in {path}"))
                elif path in pages:
                    check_grammar(text_of(got.text))
                if path == "/overview":
                    check_told(ann.get("/api/status", params={"stage": stage}).json(), text_of(got.text))


def check_goes_on(review):
    """Screen by lines to the end of every stage, with every key, and look again."""
    for stage in review.stages:
        lines = io.StringIO("?\nc\nx\ni\ne\n\nm\nu\ns\nn\na note\n" + "e\n\ni\n" * MOST * 2)
        said = io.StringIO()
        try:
            with screening.open_session(review.project, reviewer="ann", stage_name=stage, background=False) as (
                session,
                records,
            ):
                done = terminal.run(
                    session,
                    records,
                    reasons=[("CHILD", "Children.")],
                    criteria=(["Peer support."], ["Children."]),
                    state=lambda: recall_in_words(session.pool.history(), review.project.protocol(), recall.AuditE()),
                    console=Console(file=said, width=90),
                    keys=keys._LineKeys(lines),
                )
        except InputError as error:
            assert "holds no records yet" in str(error)
            continue
        assert done.included <= done.decided
        check_grammar(said.getvalue())
    check_words(review.project)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, MOST), st.sampled_from(["plain", "bare", "foreign", "copies"])),
        st.tuples(
            st.just("screen"), st.text("iiemesu", max_size=MOST), st.integers(0, 1), st.sampled_from(["ann", "bob"])
        ),
        st.tuples(st.just("hand_out"), st.integers(1, MOST), st.integers(0, 1), st.sampled_from(["ann", "bob"])),
        st.tuples(
            st.just("choose"),
            st.integers(1, MOST),
            st.sampled_from("iem"),
            st.integers(0, 1),
            st.sampled_from(["ann", "bob"]),
        ),
        st.tuples(st.just("link"), st.integers(1, MOST), st.integers(1, MOST)),
        st.tuples(st.just("remove"), st.integers(1, MOST)),
        st.tuples(st.just("settle"), st.integers(1, MOST), st.sampled_from("iem")),
        st.tuples(st.just("undo"), st.integers(0, 40)),
        st.tuples(st.just("rank"), st.integers(0, 1)),
        st.just(("dedupe",)),
        st.just(("filter",)),
    ),
    max_size=9,
)
kinds = st.fixed_dictionaries(
    {
        "stages": st.sampled_from([("abstract",), ("abstract", "full-text"), ("abstract", "quality", "full-text")]),
        "rule": st.sampled_from(list(RULES)),
        "per_record": st.sampled_from([1, 1, 2]),
    }
)
ON_THE_SCREEN = [("add", 12, "plain"), ("screen", "i" + "e" * 10 + "s", 0, "ann")]


def taken(folder, kind, steps_taken):
    review = Review(folder, **kind)
    for what, *how in steps_taken:
        review.step(what, *how)
    return review


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=set(Phase) - {Phase.explain},
)
@given(kinds, steps)
@example({}, ON_THE_SCREEN)
def test_numbers_and_words_hold_in_every_state(tmp_path_factory, kind, steps_taken):
    with contextlib.closing(taken(tmp_path_factory.mktemp("small"), kind, steps_taken)) as review:
        check_words(review.project)


TWO_STAGES = {"stages": ("abstract", "full-text")}
STATES = {
    "nothing imported": ({}, []),
    "a later stage that nobody reached": (TWO_STAGES, [("add", 2, "plain")]),
    "one record": ({"rule": "cmh"}, [("add", 1, "plain"), ("screen", "i", 0, "ann")]),
    "two records, one irrelevant": ({"rule": "quant"}, [("add", 2, "bare"), ("screen", "e", 0, "ann")]),
    "all but one decided, and that on the screen": ({}, ON_THE_SCREEN),
    "all but one decided, and that handed out": (
        {"rule": "ranked-e"},
        [("add", 12, "plain"), ("screen", "i" + "e" * 10, 0, "ann"), ("hand_out", 1, 0, "bob")],
    ),
    "all handed out": ({"rule": "fixed-audit"}, [("add", 12, "plain"), ("hand_out", 12, 0, "ann")]),
    "all irrelevant": ({"rule": "knee"}, [("add", 12, "plain"), ("screen", "e" * 12, 0, "ann")]),
    "all relevant": ({"rule": "ip-p"}, [("add", 12, "plain"), ("screen", "i" * 11 + "m", 0, "ann")]),
    "all removed": ({}, [("add", 2, "foreign"), ("filter",)]),
    "all copies of one": ({"rule": "consecutive"}, [("add", 3, "copies"), ("dedupe",), ("screen", "i", 0, "ann")]),
    "at the later stage all but one, on the screen": (
        TWO_STAGES,
        [("add", 12, "plain"), ("screen", "iiieee" + "e" * 6, 0, "ann"), ("screen", "ies", 1, "ann")],
    ),
    "two reviewers, one conflict, one judged once": (
        {"per_record": 2},
        [("add", 3, "plain"), ("screen", "iie", 0, "ann"), ("screen", "ie", 0, "bob"), ("choose", 1, "m", 0, "bob")],
    ),
    "added to after screening": (
        {"rule": "quant"},
        [("add", 8, "plain"), ("screen", "ieieieie", 0, "ann"), ("rank", 0), ("add", 4, "plain")],
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_every_command_and_page_answers(tmp_path, state, monkeypatch):
    made = typer.main.get_command(cli.app)  # otherwise made anew for each command
    monkeypatch.setattr(typer.main, "get_command", lambda app: made)
    with contextlib.closing(taken(tmp_path, *STATES[state])) as review:
        check_words(review.project)
        check_pages(review)
        check_commands(review)
        check_goes_on(review)


def test_records_that_came_after_the_ranking_are_no_lack_of_labels(tmp_path):
    with contextlib.closing(taken(tmp_path, *STATES["added to after screening"])) as review:
        told = {rule.name: rule.why for rule in status.status(review.project.snapshot()).rules}
        assert "no ranking covers the records as they are now" in told["quant"] and "needed" not in told["quant"]
        answers.rank(review.project, top=1)
        assert "no model estimate" not in status.status(review.project.snapshot()).rules[4].why


@pytest.mark.parametrize("labels", ["0", "1", "01", "10", "111", "000", "0110", "100000000001", "1" * 12])
def test_a_small_table_is_replayed_by_every_rule(tmp_path, monkeypatch, labels):
    monkeypatch.setenv("TRIAGE_CACHE", str(tmp_path / "cache"))
    table = tmp_path / "t.csv"
    rows = "".join(f"{TOPICS[i % 3][:40]} {i},{TOPICS[i % 3]},{label}\n" for i, label in enumerate(labels))
    table.write_text("title,abstract,label\n" + rows, encoding="utf-8")
    for rule in ("none", *RULES):
        facts = simulation.simulate(table, "label", preset="elas-u4", stop=rule, target=0.9)
        json.dumps(as_json(facts), allow_nan=False)
        (run,) = facts.runs
        assert sorted(run.order) == list(range(len(labels))) and (facts.records, facts.relevant) == (
            len(labels),
            labels.count("1"),
        )
        check_grammar(simulation.in_words(facts))
