"""Where a review stands: every key, counted by hand; and no word that claims more than its promise."""

import json
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from conftest import PROTOCOL, STATUS_KEYS, Log
from sqlalchemy import select

from triage import recall, status
from triage.as_json import as_json
from triage.errors import InputError
from triage.flow import NO_REASON, flow
from triage.log import History, Kind, Label, Origin
from triage.project import Project, schema
from triage.project.log import commitment
from triage.protocol.parsing import parse
from triage.ranking.scores import Ranking
from triage.records import Record
from triage.screening.journal import commit_audit
from triage.screening.opening import hand_out
from triage.screening.pool import Pool
from triage.second_look import Looks, ask_for_second_looks, price_in_words, price_of_second_looks, second_looks
from triage.session_state import recall_in_words, rule_says_stop
from triage.status import Percentiles, VerdictFacts, seconds_per_record
from triage.stopping_rules import RULES
from triage.wording import floor_percent

WEIGHTS = recall.AuditE()
INCLUDE, EXCLUDE, MAYBE = Label.INCLUDE, Label.EXCLUDE, Label.MAYBE
STAGES = '\n[[stages]]\nname = "abstract"\n\n[[stages]]\nname = "full-text"\n'
KEYS = {
    "": STATUS_KEYS,
    "certificate": {"method", "recall_lower", "missed_upper", "audit_draws", "certified"},
    "estimate": {"method", "recall", "lower", "upper", "relevant_total", "assumes"},
    "workload": {"records_to_certificate", "seconds_per_record", "hours"},
    "verdict": {"stop", "why"},
}


def new(tmp_path, n, protocol=PROTOCOL):
    project = Project.create(tmp_path / "r.triage", protocol)
    if n:
        records = [Record(title=f"Title {i}", abstract=f"Abstract {i}") for i in range(n)]
        add(project, records, "pubmed")
    return project


def add(project, records, source):
    project.records.add(
        records,
        range(len(records)),
        name=f"{source}.ris",
        source=source,
        format="ris",
        sha256=source,
        announced=len(records),
        problems=[],
    )


@pytest.fixture
def project(tmp_path):
    with new(tmp_path, 10, PROTOCOL + STAGES) as made:
        yield made


def decide(project, label, *record_ids, reviewer="ann", stage="abstract"):
    project.log.decide(stage, [{"record_id": i, "label": label} for i in record_ids], reviewer=reviewer)


def screened(tmp_path, relevant, ranked, draws, n, protocol=PROTOCOL):
    """Make a review of n records: the relevant ones found first, then irrelevant ranked ones, then audit misses."""
    project = new(tmp_path, n, protocol)
    pool = Pool.of(commit_audit(project).stage())
    rows, origins, sizes = [], [], []
    for k in range(ranked + draws):
        origins.append(Origin.RANKED if k < ranked else Origin.AUDIT)
        rows.append(int(np.flatnonzero(~pool.shown)[0]) if k < ranked else pool.audit_row())
        sizes.append(pool.left(rows[-1]))
        pool.show(rows[-1], origins[-1])
    project.log.show("abstract", [row + 1 for row in rows], origins, sizes, reviewer="ann")
    decide(project, INCLUDE, *[row + 1 for row in rows[:relevant]])
    decide(project, EXCLUDE, *[row + 1 for row in rows[relevant:]])
    return project


def facts_of(project, stage=None, **options):
    facts = status.status(project.snapshot(), stage, **options)
    told = json.loads(json.dumps(as_json(facts), allow_nan=False))
    assert KEYS[""] <= set(told)
    for part, keys in KEYS.items():
        assert not part or keys <= set(told[part])
    for rule in told["rules"]:
        assert {"name", "stop", "promise", "why"} <= set(rule)
    assert set(told["workload"]["records_to_certificate"]) == {"p10", "p50", "p90"}
    assert facts.screened + facts.unscreened == facts.records
    assert status.in_words(facts)
    return facts


def test_an_empty_review_says_nothing_and_stops_nothing(tmp_path):
    with new(tmp_path, 0) as project:
        facts = facts_of(project)
        assert (facts.records, facts.screened, facts.relevant_found) == (0, 0, 0)
        assert not facts.verdict.stop and not any(rule.stop for rule in facts.rules)
        assert not facts.certificate.certified


def test_right_after_an_import(project):
    facts = facts_of(project)
    assert (facts.stage, facts.records, facts.unscreened, facts.screened) == ("abstract", 10, 10, 0)
    assert as_json(facts.certificate) == {
        "method": "audit-e",
        "recall_lower": None,
        "missed_upper": 10,
        "audit_draws": 0,
        "certified": False,
        "among": "all",
        "known_before": 0,
        "recall_lower_all": None,
    }
    assert set(as_json(facts.estimate).values()) == {None}
    assert facts.workload.records_to_certificate == Percentiles(10, 10, 10)
    assert facts.workload.seconds_per_record is None and facts.workload.hours is None
    assert [rule.name for rule in facts.rules] == list(RULES)
    assert facts.warnings == []


def test_what_is_counted(project):
    decide(project, INCLUDE, 1, 2)
    decide(project, MAYBE, 3)
    decide(project, EXCLUDE, 4, 5, 9)
    decide(project, EXCLUDE, 2, reviewer="bob")  # a conflict with ann
    project.log.link([(8, 4, "same DOI"), (10, 7, "same DOI")], reviewer="ann")
    project.log.remove([(9, "language", "Spanish")], reviewer="ann")
    facts = facts_of(project)
    # Of 10 records: 8 and 10 are copies, 9 is removed. Judged are 1 to 5; relevant are 1, 2 (in conflict) and 3.
    assert (facts.records, facts.screened, facts.unscreened) == (7, 5, 2)
    assert (facts.relevant_found, facts.maybe, facts.conflicts) == (3, 1, 1)
    assert facts.certificate.recall_lower == pytest.approx(3 / 5) and facts.certificate.missed_upper == 2
    later = facts_of(project, "full-text")
    assert (later.stage, later.records) == ("full-text", 2)  # the conflict is not passed on


def test_all_excluded_is_no_recall(project):
    decide(project, EXCLUDE, *range(1, 11))
    facts = facts_of(project)
    assert facts.certificate.recall_lower is None and not facts.certificate.certified
    assert set(as_json(facts.estimate).values()) == {None}
    assert facts.verdict.stop and not facts.verdict.certified
    assert facts.verdict.why == "Every record is screened."


def test_everything_screened_is_all_of_the_recall(project):
    decide(project, INCLUDE, 1)
    decide(project, EXCLUDE, *range(2, 11))
    facts = facts_of(project)
    assert (facts.certificate.recall_lower, facts.certificate.missed_upper) == (1.0, 0)
    assert facts.certificate.certified and facts.verdict.stop
    assert facts.workload.records_to_certificate == Percentiles(0, 0, 0)


def test_with_a_ranking_the_estimate_is_the_models(tmp_path):
    """And everything can be printed as JSON: a rule's answer is a bool of Python's own."""
    rng = np.random.default_rng(0)
    with screened(tmp_path, 20, 120, 0, 300) as project:
        y = np.r_[np.ones(20), np.zeros(280)]
        scores = (3 * y + rng.normal(size=300)).astype(np.float32)
        project.rankings.save("abstract", Ranking(1, {"name": "m"}, np.arange(1, 301), scores, scores))
        facts = facts_of(project)
        assert facts.estimate.method == "calibrated scores" and facts.estimate.assumes
        assert facts.estimate.lower <= facts.estimate.recall <= facts.estimate.upper <= 1
        assert 20 <= facts.estimate.relevant_total < 40
        assert {type(rule.stop) for rule in facts.rules} == {bool}
        # A ranking of other records is of no use.
        project.rankings.save("abstract", Ranking(1, {"name": "m"}, np.arange(2, 301), scores[1:], scores[1:]))
        assert facts_of(project).estimate.method == "discovery curve"


def test_the_certificate_is_that_of_the_log(tmp_path):
    with screened(tmp_path, 30, 80, 120, 300) as project:
        facts = facts_of(project, target=0.8, confidence=0.9)
        c = recall.certificate(project.snapshot().history(), 0.8, 0.9)
        assert as_json(facts.certificate) == {
            "method": "audit-e",
            "recall_lower": c.recall_lower,
            "missed_upper": c.missed_upper,
            "audit_draws": 120,
            "certified": c.certified,
            "among": "all",
            "known_before": 0,
            "recall_lower_all": c.recall_lower,
        }
        assert c.certified and facts.verdict.stop and facts.verdict.certified
        assert facts.workload.records_to_certificate == Percentiles(0, 0, 0)
        strict = facts_of(project, target=0.99)
        assert not strict.certificate.certified and not strict.verdict.stop
        assert strict.certificate.recall_lower < c.recall_lower  # at 95 % confidence
        assert strict.workload.records_to_certificate.p50 > 0
        assert facts_of(project, target=0.8, confidence=0.9) == facts  # the same log, the same forecast


def test_target_and_confidence_are_the_protocols(tmp_path):
    stopping = "\n[stopping]\ntarget = 0.8\nconfidence = 0.9\n"
    with new(tmp_path, 5, PROTOCOL + stopping) as project:
        facts = facts_of(project)
        assert (facts.target, facts.confidence) == (0.8, 0.9)
        facts = facts_of(project, target=0.9)
        assert (facts.target, facts.confidence) == (0.9, 0.9)
        for wrong in (0, 1, 1.5, -0.1, float("nan")):
            with pytest.raises(InputError, match="--target .* between 0 and 1"):
                status.status(project.snapshot(), target=wrong)
            with pytest.raises(InputError, match="--confidence .* between 0 and 1"):
                status.status(project.snapshot(), confidence=wrong)
        with pytest.raises(InputError, match="no stage 'x'"):
            status.status(project.snapshot(), "x")


def test_without_a_protocol_they_are_95_percent(tmp_path):
    with new(tmp_path, 5, "") as project:
        facts = facts_of(project)
        assert (facts.target, facts.confidence) == (0.95, 0.95)


@pytest.mark.parametrize("rule", list(RULES))
def test_the_verdict_is_the_protocols_rule_with_its_promise(tmp_path, rule):
    stopping = f'\n[stopping]\nrule = "{rule}"\ntarget = 0.8\nconfidence = 0.8\n'
    if rule == "fixed-audit":
        stopping += "audit_size = 100\n"
    with screened(tmp_path, 30, 100, 150, 400, PROTOCOL + stopping) as project:
        facts = facts_of(project)
        mine = next(r for r in facts.rules if r.name == rule)
        assert facts.verdict == VerdictFacts(rule, mine.stop, facts.verdict.certified, mine.promise, mine.why)
        promises = {r.name: r.promise for r in facts.rules}
        assert promises == {
            "audit-e": "certificate",
            "fixed-audit": "certificate",
            "ranked-e": "conditional",
            "cmh": "conditional",
            "quant": "estimate",
            "ip-p": "estimate",
            "knee": "heuristic",
            "consecutive": "heuristic",
        }
        if facts.verdict.certified:
            assert RULES[rule].promise == "certificate" and facts.verdict.stop
        said = status.in_words(facts)
        assert ("(certified, of the labels given)" in said) == facts.verdict.certified
        if facts.verdict.stop and RULES[rule].promise != "certificate":
            assert f"(promise: {mine.promise})" in said
        elsewhere = next(r for r in facts.rules if r.name == "fixed-audit")
        assert (rule == "fixed-audit") == ("Not set up" not in elsewhere.why)


def test_the_evidence_is_weighed_as_logged(tmp_path):
    """A version with other weights must not change the certificate of a review that has begun."""
    logged = recall.AuditE(bets=(0.9,), weights=(1.0,), decay=0.05)
    with new(tmp_path, 40) as project:
        project.log.commit_plan(project.stage(), 1, logged.parameters())
        pool = Pool.of(project.stage())
        decide(project, INCLUDE, 1, 2, 3)
        for row in range(3):
            pool.show(row, Origin.CHOSEN)
        for _ in range(25):
            row = pool.audit_row()
            project.log.show("abstract", [row + 1], [Origin.AUDIT], [pool.left(row)], reviewer="ann")
            pool.show(row, Origin.AUDIT)
            decide(project, EXCLUDE, row + 1)
        history = project.snapshot().history()
        facts = facts_of(project)
        assert facts.certificate.missed_upper == recall.certificate(history, 0.95, 0.95, logged).missed_upper
        assert facts.certificate.missed_upper != recall.certificate(history, 0.95, 0.95).missed_upper


def test_the_line_and_the_stop_weigh_the_evidence_as_logged(tmp_path):
    with screened(tmp_path, 60, 100, 200, 400) as project:
        history, protocol = project.snapshot().history(), project.protocol()
        blind = recall.AuditE(bets=(0.99,), weights=(1.0,), decay=0.005)  # weights that see next to nothing
        assert "CERTIFIED" in recall_in_words(history, protocol, WEIGHTS)
        assert rule_says_stop(history, protocol.stopping, WEIGHTS)
        assert "CERTIFIED" not in recall_in_words(history, protocol, blind)
        assert not rule_says_stop(history, protocol.stopping, blind)


def test_the_workload_of_a_fixed_audit_speaks_of_its_one_look(tmp_path):
    stopping = '\n[stopping]\nrule = "fixed-audit"\naudit_size = 120\n'
    with screened(tmp_path, 30, 100, 50, 400, PROTOCOL + stopping) as project:
        facts = facts_of(project)
        assert facts.workload.until == "the one look of fixed-audit"
        assert facts.workload.records_to_certificate == Percentiles(70, 70, 70)
        assert "70 more records to the one look of fixed-audit" in status.in_words(facts)


@pytest.mark.parametrize("rule", ["ranked-e", "cmh", "quant", "knee"])
def test_the_workload_of_a_rule_without_random_draws_promises_no_certificate(tmp_path, rule):
    with screened(tmp_path, 30, 100, 0, 400, PROTOCOL + f'\n[stopping]\nrule = "{rule}"\n') as project:
        facts, said = facts_of(project), status.in_words(facts_of(project))
        if rule == "ranked-e":
            assert facts.workload.until == "the certificate" and "more records to a certified 95 %" in said
        else:
            assert f"more records to a certificate by random draws (the rule {rule} makes none)" in said
            assert "to a certified" not in said


def test_the_price_of_certainty_is_told_before_screening(tmp_path):
    with new(tmp_path, 400) as project:
        facts = facts_of(project)
        assert facts.price_table["20"] == {
            f"{t:g}": draws for t, draws in recall.price_of_certainty(20, 380, 0.95).items()
        }
        assert list(facts.price_table) == ["10", "20", "50", "100", "200"]
        said = status.in_words(facts)
        assert "What certainty costs at 95 % confidence" in said and f"{facts.price_table['50']['0.9']} (" in said
        decide(project, INCLUDE, 1)
        assert facts_of(project).price_table == {} and "What certainty costs" not in status.in_words(facts_of(project))


# -- wrong labels -----------------------------------------------------------------------------


def looked_again(project, ids, label=EXCLUDE, reviewer="bob"):
    decide(project, label, *ids, reviewer=reviewer)
    return facts_of(project).label_noise


def test_second_looks_tell_what_is_proven_of_corrected_labels(tmp_path):
    with screened(tmp_path, 30, 230, 60, 300) as project:
        noise = facts_of(project).label_noise
        assert (noise.excluded, noise.sample, noise.judged_twice, noise.pending) == (260, 0, 0, [])
        assert noise.sensitivity is noise.recall_lower is noise.lower is None
        assert "nobody has judged any of 260 excluded records again" in status.in_words(facts_of(project))
        waiting = ask_for_second_looks(project, "bob", 80)
        looks = Looks.of(project.snapshot())
        draws, sampled = looks.draws, looks.sampled
        assert len(waiting) == 80 == looks.asked + len(sampled) and waiting == looks.in_turn(
            draws[: looks.asked], sampled
        )
        # A pool of 70 at the first draw, and 200 other exclusions: looks in the ratio of the roots.
        assert abs(looks.asked / len(sampled) - (70 / 200) ** 0.5) < 0.05
        noise = facts_of(project).label_noise
        assert noise.pending == waiting and noise.sample == 80 and noise.judged_twice == 0
        noise = looked_again(project, waiting)
        assert (noise.judged_twice, noise.overturned, noise.pending) == (80, 0, [])
        snapshot = project.snapshot()
        told = recall.adjudicated(snapshot.history(), Looks.of(snapshot).corrections(), 0.95, 0.95, WEIGHTS)
        assert told.draws == looks.asked and noise.recall_lower == told.recall_lower == 30 / told.relevant_upper
        assert told.recall_lower < facts_of(project).certificate.recall_lower
        assert noise.sensitivity == noise.upper == 1.0
        assert noise.lower == 30 / (30 + told.wrong_upper + 60 - looks.asked)
        said = status.in_words(facts_of(project))
        assert f"at least {floor_percent(told.recall_lower)} of the relevant records are included" in said
        assert "both together" not in said
        # A disagreement counts against the labels. One beyond a gap is known, and no evidence.
        overturned = looked_again(project, sampled[:1], INCLUDE)
        assert overturned.overturned == 1 and overturned.recall_lower < noise.recall_lower
        more = ask_for_second_looks(project, "bob", 40)
        beyond = looked_again(project, [more[0], *more[2:]])
        assert beyond.pending == [more[1]] and beyond.judged_twice < 80 + len(more) - 1
        assert looked_again(project, [more[1]]).judged_twice == 120


def test_the_price_of_second_looks_is_what_they_prove_if_no_mistake_turns_up(tmp_path):
    with screened(tmp_path, 30, 230, 60, 300) as project:
        price = price_of_second_looks(project.snapshot())
        assert [one.looks for one in price] == [25, 50, 100, 260]
        assert [one.recall_lower for one in price] == sorted(one.recall_lower for one in price)
        assert price_in_words(price, 0.95)[2].startswith("     50 more: at least ")
        looked_again(project, ask_for_second_looks(project, "bob", 50))
        assert facts_of(project).label_noise.recall_lower == pytest.approx(price[1].recall_lower, abs=0.02)
        noise = looked_again(project, ask_for_second_looks(project, "bob", 1000))
        assert noise.recall_lower == price[-1].recall_lower and price_of_second_looks(project.snapshot()) == []


def test_what_was_judged_again_before_any_second_look_is_in_no_sample_and_is_known(tmp_path):
    with screened(tmp_path, 30, 230, 60, 300) as project:
        before = Looks.of(project.snapshot())
        draw, other = before.draws[0], before.others[0]
        looked_again(project, [draw, other])
        waiting = ask_for_second_looks(project, "bob", 1000)
        looks = Looks.of(project.snapshot())
        assert len(waiting) == 258 and draw not in waiting and other not in looks.samples[0].order
        assert draw in looks.draws and looks.counted()[0] == [draw]


def test_a_second_look_is_for_somebody_else(tmp_path):
    with screened(tmp_path, 30, 230, 60, 300) as project:
        with pytest.raises(InputError, match="ann excluded all 260"):
            ask_for_second_looks(project, "ann", 10)
        assert not project.snapshot().second_look_plans  # and nothing was committed for it
        pending = ask_for_second_looks(project, "bob", 10)
        assert second_looks(project.snapshot(), "bob").waiting == tuple(pending) and len(pending) == 10
        decide(project, EXCLUDE, pending[1], reviewer="bob")
        assert second_looks(project.snapshot(), "bob").waiting == (pending[0], *pending[2:])
        assert ask_for_second_looks(project, "bob") == [pending[0], *pending[2:]]  # those that are asked for already
        decide(project, INCLUDE, *pending, reviewer="bob")
        assert second_looks(project.snapshot(), "bob").waiting == ()
        assert second_looks(project.snapshot(), "bob").more == 250


def test_of_the_exclusions_of_two_each_gets_the_others(tmp_path):
    with screened(tmp_path, 30, 230, 60, 300) as project:
        others = Looks.of(project.snapshot()).others
        for record_id in others[::2]:
            (event,) = Looks.of(project.snapshot()).given[record_id]
            project.log.undo(event.seq, reviewer="ann")
        decide(project, EXCLUDE, *others[::2], reviewer="bob")
        mine = ask_for_second_looks(project, "bob", 20)
        given = Looks.of(project.snapshot()).given
        assert len(mine) == 20 and {given[i][0].reviewer for i in mine} == {"ann"}
        looks = second_looks(project.snapshot(), "ann")
        assert looks.own == 20 and set(looks.waiting).isdisjoint(mine)
        assert ask_for_second_looks(project, "ann") == list(looks.waiting) and looks.waiting


def test_later_exclusions_join_the_next_sample(tmp_path):
    with screened(tmp_path, 30, 230, 10, 300) as project:
        first = ask_for_second_looks(project, "bob", 60)
        looked_again(project, first)
        unscreened = sorted(set(range(1, 301)) - set(Looks.of(project.snapshot()).given))
        decide(project, EXCLUDE, *unscreened[:40])
        wrong = recall.adjudicated(
            (snapshot := project.snapshot()).history(), Looks.of(snapshot).corrections()
        ).wrong_upper
        second = ask_for_second_looks(project, "bob", 30)
        assert set(second) & set(unscreened[:40])
        looked_again(project, second)
        snapshot = project.snapshot()
        assert recall.adjudicated(snapshot.history(), Looks.of(snapshot).corrections()).wrong_upper < wrong - 10
        assert [len(plans) for plans in snapshot.second_look_plans.values()] == [2]
        assert snapshot.as_of(snapshot.second_look_plans["abstract"][0][0]).second_look_plans["abstract"][1:] == []


def test_the_seed_of_a_second_look_is_kept_apart_and_its_order_is_committed_to(tmp_path):
    with screened(tmp_path, 30, 230, 10, 300) as project:
        ask_for_second_looks(project, "bob", 30)
        (plan,) = [e for e in project.log.events() if e.kind is Kind.SECOND_LOOK_PLAN]
        note = json.loads(plan.note)
        (seq, order) = project.snapshot().second_look_plans["abstract"][0]
        with project._database.engine.connect() as connection:
            seed = int(connection.execute(select(schema.seeds.c.seed).where(schema.seeds.c.seq == plan.seq)).scalar())
        assert seq == plan.seq and plan.reviewer == "bob" and str(seed) not in plan.note
        assert note["commitment"] == commitment(seed, order) and note["records"] == len(order) == 200
        again = recall.fresh_order([], Looks.of(project.snapshot()).others, np.random.default_rng(seed))
        assert again.tolist() == order.tolist()


def test_where_two_judge_each_record_their_judgements_are_the_second_looks(tmp_path):
    two = PROTOCOL.replace("[[include]]", "reviewers_per_record = 2\n\n[[include]]", 1)
    with screened(tmp_path, 30, 230, 60, 300, two) as project:
        excluded = [*Looks.of(project.snapshot()).draws, *Looks.of(project.snapshot()).others]
        with pytest.raises(InputError, match="ordinary screening"):
            ask_for_second_looks(project, "bob", 10)
        noise = looked_again(project, excluded[:60])
        assert (noise.sample, noise.judged_twice, len(noise.pending)) == (260, 60, 200)
        before = noise.recall_lower
        noise = looked_again(project, excluded[60:])
        assert noise.judged_twice == 260 and noise.recall_lower > before + 0.3 and noise.wrong_upper == 0
        assert price_of_second_looks(project.snapshot()) == []


# -- the pace ---------------------------------------------------------------------------------


def timed(*seconds, stage="abstract", reviewer="ann", file=""):
    """Return a log in which each record is judged so many seconds after it was shown."""
    log = Log(stage)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for i, taken in enumerate(seconds, 1):
        for kind, moment in ((Kind.SHOWN, at), (Kind.DECISION, at + timedelta(seconds=taken))):
            shown = kind is Kind.SHOWN
            event = log.add(
                kind,
                stage=stage,
                record_id=i,
                reviewer=reviewer,
                note=file if shown else "a note",
                label=None if shown else INCLUDE,
            )
            log.events[-1] = type(event)(**{f: getattr(event, f) for f in event.__slots__ if f != "at"}, at=moment)
        at += timedelta(seconds=taken)
    return log.events


def test_the_pace_is_the_median_of_the_time_from_showing_to_deciding():
    assert seconds_per_record(timed(4, 8, 6, 10, 100), "abstract") == 8
    assert seconds_per_record(timed(4, 8, 6, 10, 301, 100), "abstract") == 8  # a pause is not reading
    assert seconds_per_record(timed(4, 8, 6, 10), "abstract") is None  # too few
    assert seconds_per_record(timed(4, 8, 6, 10, 9), "full-text") is None  # another stage
    assert seconds_per_record(timed(4, 8, 6, 10, 9, file="next.csv"), "abstract") is None
    assert seconds_per_record([], "abstract") is None


def test_a_record_put_up_ahead_is_timed_from_the_decision_before_it():
    shown = [e for e in timed(4, 8, 6, 10, 100) if e.kind is Kind.SHOWN]
    decided = [e for e in timed(4, 8, 6, 10, 100) if e.kind is Kind.DECISION]
    # Each record is put up while the one before it is read: its SHOWN event has the time of that one's.
    early = [
        type(e)(**{f: getattr(e, f) for f in e.__slots__ if f != "at"}, at=shown[max(0, i - 1)].at)
        for i, e in enumerate(shown)
    ]
    assert (
        seconds_per_record([early[0], *(e for i in range(5) for e in (*early[i + 1 : i + 2], decided[i]))], "abstract")
        == 8
    )


def test_hours_are_records_at_that_pace(tmp_path, monkeypatch):
    with screened(tmp_path, 10, 60, 0, 200) as project:
        monkeypatch.setattr(status, "seconds_per_record", lambda events, stage: 12.0)
        work = facts_of(project).workload
        assert work.seconds_per_record == 12.0
        left = work.records_to_certificate
        assert work.hours == Percentiles(*(round(n * 12 / 3600, 2) for n in (left.p10, left.p50, left.p90)))


# -- warnings ---------------------------------------------------------------------------------


def told(project, stage=None):
    return " ".join(facts_of(project, stage).warnings)


def test_warned_of_what_the_numbers_do_not_say(project):
    decide(project, INCLUDE, 1)
    assert "nothing is said of records that the search did not retrieve" in told(project)
    decide(project, EXCLUDE, 1, reviewer="bob")
    assert "1 record has conflicting decisions" in told(project)
    commit_audit(project)
    project.log.show("abstract", [2, 3], [Origin.RANKED] * 2, [9, 8], reviewer="ann")
    facts = facts_of(project)
    assert facts.awaiting_labels == 2
    assert "2 records were shown or handed out and await a label" in " ".join(facts.warnings)


def test_warned_of_a_cluster_that_the_ranking_left_behind(tmp_path):
    with screened(tmp_path, 10, 60, 5, 200) as project:
        assert "left behind" not in told(project)
        drawn = [e.record_id for e in project.log.events() if e.origin is Origin.AUDIT and e.kind is Kind.SHOWN]
        decide(project, INCLUDE, drawn[1], drawn[3])
        assert f"left behind: {drawn[1]}, {drawn[3]}." in told(project)


def test_warned_of_a_model_that_expects_more_than_the_certificate_allows(tmp_path):
    with screened(tmp_path, 30, 60, 200, 300) as project:
        assert "disagrees" not in told(project)
        scores = np.r_[np.full(30, 1.0), np.full(230, -1.0), np.full(40, 1.0)].astype(np.float32)
        scores[project.snapshot().history().rows[30:]] = -1
        now = scores + np.linspace(0, 0.1, 300, dtype=np.float32)
        project.rankings.save("abstract", Ranking(1, {"name": "m"}, np.arange(1, 301), now, scores))
        facts = facts_of(project)
        allowed = facts.relevant_found + facts.certificate.missed_upper
        assert ("disagrees" in " ".join(facts.warnings)) == (facts.estimate.relevant_total > allowed)
        assert facts.estimate.relevant_total > allowed


def test_warned_of_the_safe_checks_that_are_not_met(tmp_path):
    with screened(tmp_path, 60, 105, 0, 1200) as project:
        # 45 irrelevant ones in a row: a plateau for a target of 80 %, none for one of 95 %.
        assert "SAFE" not in told(project)
        assert "SAFE procedure that are not met: fewer than 10 % of the records are screened; 45 ranked records" in (
            " ".join(facts_of(project, target=0.8).warnings)
        )
    (tmp_path / "b").mkdir()
    with screened(tmp_path / "b", 30, 180, 60, 300) as project:
        assert "nobody has looked again at excluded records drawn at random" in told(project)
        pending = len(ask_for_second_looks(project, "bob", 12))
        said = told(project)
        assert "fewer than 10 %" not in said and "in a row were irrelevant" not in said
        assert f"{pending} of {pending} excluded records drawn at random await a second look" in said
        assert "no second model has ranked" in said and "no stop rests on them" in said
        decide(project, EXCLUDE, *facts_of(project).label_noise.pending, reviewer="bob")
        assert "await a second look" not in told(project)
        for name in ("one", "two"):
            assert "no second model has ranked" in told(project)
            project.rankings.save(
                "abstract", Ranking(1, {"name": name}, np.arange(1, 301), *np.zeros((2, 300), np.float32))
            )
        assert "no second model has ranked" not in told(project) and "SAFE" not in told(project)


def test_no_safe_check_is_told_before_a_plateau_and_after_the_end(tmp_path):
    with new(tmp_path, 10) as project:
        decide(project, INCLUDE, 1)
        assert "SAFE" not in told(project)
        decide(project, EXCLUDE, *range(2, 11))
        assert "SAFE" not in told(project)


def test_warned_of_a_stopping_rule_changed_after_the_start(tmp_path):
    path = tmp_path / "protocol.toml"
    path.write_text(PROTOCOL)
    with Project.create(tmp_path / "r.triage", PROTOCOL, path) as project:
        add(project, [Record(title="A"), Record(title="B")], "a")
        path.write_text(PROTOCOL + "\n[stopping]\ntarget = 0.9\n")
        project.refresh_protocol()
        assert "was changed" not in told(project)
        decide(project, INCLUDE, 1)
        assert "was changed" not in told(project)
        path.write_text(PROTOCOL + "\n[stopping]\ntarget = 0.8\n")
        project.refresh_protocol()
        assert "was changed after screening had begun" in told(project)


def test_warned_that_an_earlier_stage_may_send_more(project):
    decide(project, INCLUDE, 1, 2)
    decide(project, EXCLUDE, *range(3, 10))
    assert "stage 'abstract' is not finished (1 record has" in told(project, "full-text")
    decide(project, EXCLUDE, 10)
    assert "not finished" not in told(project, "full-text")
    decide(project, EXCLUDE, 2, reviewer="bob")
    assert "stage 'abstract' is not finished (1 record has" in told(project, "full-text")


def test_warned_that_the_second_reviewer_is_missing(tmp_path):
    with new(tmp_path, 4, PROTOCOL.replace('model = "fast"', 'model = "fast"\nreviewers_per_record = 2')) as project:
        decide(project, INCLUDE, 1, 2, 3)
        decide(project, INCLUDE, 1, reviewer="bob")
        assert "2 records were judged by one of 2 reviewers only" in told(project)
        decide(project, INCLUDE, 2, 3, reviewer="bob")
        assert "reviewers only" not in told(project)


# -- in words ---------------------------------------------------------------------------------


def test_a_bound_is_cut_and_never_rounded_up(tmp_path):
    with new(tmp_path, 3000) as project:
        decide(project, INCLUDE, *range(1, 2999))  # 2998 of at most 3000: .99933
        facts = facts_of(project)
        assert facts.certificate.recall_lower == pytest.approx(2998 / 3000)
        assert "at least 99.9 % of the relevant records" in status.in_words(facts)
        assert "recall at least 99.9 %, CERTIFIED" in recall_in_words(
            project.snapshot().history(), project.protocol(), WEIGHTS
        )


def test_what_is_certified_in_words():
    protocol = parse(PROTOCOL)
    assert recall_in_words(History.of([0, 1], [0, -1], n_records=9), protocol, WEIGHTS) == ""
    some = recall_in_words(History.of(range(4), [1, 1, 0, 0], n_records=8), protocol, WEIGHTS)
    assert "recall at least 33.3 %" in some and "CERTIFIED" not in some


# -- the flow ---------------------------------------------------------------------------------


def test_the_flow_adds_up(project):
    add(project, [Record(title="X"), Record(title="Y")], "scopus")
    project.log.link([(11, 1, "same DOI"), (6, 5, "same DOI")], reviewer="ann")
    project.log.remove(
        [(12, "language", "Spanish"), (9, "type", "editorial"), (6, "type", "editorial")], reviewer="ann"
    )
    project.log.decide("abstract", [{"record_id": 2, "label": EXCLUDE, "reason": "CHILD"}], reviewer="ann")
    decide(project, EXCLUDE, 3)
    decide(project, INCLUDE, 1, 4)
    decide(project, MAYBE, 5)
    decide(project, EXCLUDE, 4, reviewer="bob")
    decide(project, INCLUDE, 1, stage="full-text")
    counted = flow(project.snapshot())
    assert counted.retrieved == {"pubmed": 10, "scopus": 2} and counted.duplicates == {"scopus": 1, "pubmed": 1}
    # A copy that was removed as well counts as a duplicate alone.
    assert counted.removed == {"language": {"scopus": 1}, "type": {"pubmed": 1}}
    abstract, full_text = counted.stages
    assert counted.n_retrieved - counted.n_duplicates - counted.n_removed == abstract.entered == 8
    assert (abstract.excluded, abstract.included, abstract.maybe, abstract.conflicts, abstract.unscreened) == (
        {"CHILD": 1, NO_REASON: 1},
        1,
        1,
        1,
        3,
    )
    assert abstract.entered == abstract.unscreened + abstract.conflicts + 2 + abstract.included + abstract.maybe
    assert (full_text.entered, full_text.included, full_text.unscreened) == (2, 1, 1)


def test_records_that_came_back_to_nobody_are_no_evidence(tmp_path):
    """A batch that was handed out and never labelled holds the certificate where it was, and says so."""
    with screened(tmp_path, 30, 80, 100, 300) as project:

        def missed():
            return facts_of(project).certificate.missed_upper

        before = missed()
        batch = hand_out(project, 20, file="lost.csv", reviewer="ann")
        assert facts_of(project).awaiting_labels == 20 and missed() == before
        shown = {e.record_id: e.origin for e in project.log.events() if e.kind is Kind.SHOWN}
        first_draw = next(i for i in batch if shown[i] is Origin.AUDIT)
        decide(project, EXCLUDE, *(i for i in batch if i != first_draw))
        assert missed() == before
        decide(project, EXCLUDE, first_draw)
        assert missed() < before


# -- size -------------------------------------------------------------------------------------


def test_a_large_review_is_read_in_a_moment(tmp_path):
    """50,000 records and 5,000 decisions: under 2 s where nothing else runs, and far less the second time."""
    with screened(tmp_path, 300, 4000, 1000, 50_000) as project:
        json.dumps(as_json(status.status(project.snapshot())))
        began = time.perf_counter()
        with Project.open(project.path) as reopened:
            facts = status.status(reopened.snapshot())
        middle = time.perf_counter()
        Pool.of(project.stage())
        end = time.perf_counter()
    assert (facts.screened, facts.certificate.audit_draws) == (5000, 1000)
    assert middle - began < 6 and end - middle < 2
