"""What the status claims of recall is no more than its evidence holds."""

import json

import numpy as np
import pytest
from conftest import PROTOCOL

from triage import cli, recall
from triage.log import History, Label, Origin
from triage.project import Project
from triage.records import Record
from triage.screening.journal import commit_audit, log_decisions
from triage.status import in_words, is_certified, status
from triage.stopping_rules import RULES

STOPPING = "\n[stopping]\nrule = "


def made(tmp_path, n, protocol=PROTOCOL):
    project = Project.create(tmp_path / "r.triage", protocol)
    records = [Record(title=f"title {i}") for i in range(n)]
    project.records.add(records, range(n), name="a", source="s", format="ris", sha256="1", announced=n, problems=[])
    return project


def judge(project, ids, label, origin):
    left = project.stage().history().n_unscreened
    project.log.show("abstract", ids, [origin] * len(ids), [left - n for n in range(len(ids))], reviewer="ann")
    project.log.decide("abstract", [{"record_id": i, "label": label} for i in ids], reviewer="ann")


def brought_along(project, ids):
    """Give records the label that they came with."""
    decisions = [{"record_id": i, "label": Label.INCLUDE, "origin": Origin.IMPORTED} for i in ids]
    log_decisions(project, project.stage(), decisions, reviewer="ann")


# -- what was known beforehand ----------------------------------------------------------------


def test_known_includes_buy_no_recall_of_what_is_screened(tmp_path):
    """200 known includes and 800 new records: 95 % of all would allow to miss all ten relevant among the new."""
    with made(tmp_path, 1000) as project:
        brought_along(project, range(1, 201))
        order = [i for i in project.stage().record_ids[project.stage().strata[0]].tolist() if i > 200]
        judge(project, order[:240], Label.EXCLUDE, Origin.AUDIT)
        facts = status(project.snapshot())
        c = facts.certificate
        assert (c.among, c.known_before, c.recall_lower) == ("screened", 200, None)
        assert c.recall_lower_all == 200 / (200 + c.missed_upper) >= 0.95
        assert not c.certified and not facts.verdict.stop and not is_certified(facts)
        assert "nothing relevant is found yet" in in_words(facts)
        assert "200 relevant records came labelled, and with them it is at least 9" in in_words(facts)
        # One is found here: its recall is that of the records screened here, and the total is beside it.
        judge(project, order[240:241], Label.INCLUDE, Origin.RANKED)
        c = status(project.snapshot()).certificate
        assert c.recall_lower == 1 / (1 + c.missed_upper) and c.recall_lower_all == 201 / (201 + c.missed_upper)


def test_a_protocol_may_ask_for_the_recall_among_all(tmp_path):
    with made(tmp_path, 1000, PROTOCOL + STOPPING + '"audit-e"\nrecall_among = "all"\n') as project:
        brought_along(project, range(1, 201))
        order = [i for i in project.stage().record_ids[project.stage().strata[0]].tolist() if i > 200]
        judge(project, order[:240], Label.EXCLUDE, Origin.AUDIT)
        c = status(project.snapshot()).certificate
        assert c.among == "all" and c.recall_lower == c.recall_lower_all >= 0.95 and c.certified


def test_the_history_of_the_screening_is_that_of_a_review_without_the_known_records():
    y, origin = [1, 0, 1, 0, 0, 1], ["imported", "ranked", "prior", "audit", "ranked", "audit"]
    whole = History.of([7, 3, 1, 0, 5, 2], y, origin, n_records=9, pool_size=[9, 8, 7, 6, 5, 4])
    here, rows = whole.of_screening()
    assert rows.tolist() == [0, 2, 3, 4, 5, 6, 8] and here.n_total == 7 and here.n_found == 1
    assert here.rows.tolist() == [2, 0, 4, 1] and rows[here.rows].tolist() == [3, 0, 5, 2]
    assert here.pool_size.tolist() == [8, 6, 5, 4] and here.y.tolist() == [0, 0, 0, 1]
    none = History.of([0, 1], [1, 0], n_records=5)
    assert none.of_screening() == (none, None)


@pytest.mark.parametrize("name", [name for name in RULES if not RULES[name].needs_audit_size])
def test_a_rule_says_live_what_it_says_in_a_simulation_where_priors_are_left_out(name, tmp_path):
    rng = np.random.default_rng(3)
    with made(tmp_path, 300, PROTOCOL + STOPPING + f'"{name}"\n') as project:
        brought_along(project, range(1, 21))
        ids = rng.permutation(np.arange(21, 301))[:200].tolist()
        judge(project, ids[:30], Label.INCLUDE, Origin.RANKED)
        judge(project, ids[30:], Label.EXCLUDE, Origin.RANKED)
        verdict = status(project.snapshot()).verdict
    y = [1] * 30 + [0] * 170
    bare = History.of([i - 21 for i in ids], y, n_records=280)
    said = recall.rule_of(name, 0.95, 0.95)(bare)
    assert (verdict.stop, verdict.why) == (said.stop, said.why)


# -- estimates ----------------------------------------------------------------------------------


def test_the_discovery_curve_is_fitted_to_the_screening_order_alone_and_has_no_interval(tmp_path):
    with made(tmp_path, 5000) as project:
        brought_along(project, range(1, 1001))
        facts = status(project.snapshot())
        assert facts.estimate.recall is None and "Estimate" not in in_words(facts)
        commit_audit(project)
        judge(project, range(1001, 1041), Label.INCLUDE, Origin.RANKED)
        judge(project, range(1041, 1201), Label.EXCLUDE, Origin.RANKED)
        facts = status(project.snapshot())
        assert facts.estimate.method == "discovery curve" and 0 < facts.estimate.recall <= 1
        assert facts.estimate.lower is None and facts.estimate.upper is None
        line = next(line for line in in_words(facts).splitlines() if line.startswith("Estimate"))
        assert " % are found, about " in line and "(" not in line


# -- the price ------------------------------------------------------------------------------------


def test_the_price_is_that_of_the_start_of_an_audit_and_gone_once_it_has_begun_or_is_paid(tmp_path):
    with made(tmp_path, 1000) as project:
        commit_audit(project)
        order = project.stage().record_ids[project.stage().strata[0]].tolist()
        judge(project, order[-60:], Label.INCLUDE, Origin.RANKED)
        facts = status(project.snapshot())
        assert "from the start of an audit, none of them relevant, that any method needs" in in_words(facts)
        assert facts.price_of_certainty["0.95"] == recall.price_of_certainty(60, 940)[0.95]
        judge(project, order[:500], Label.EXCLUDE, Origin.AUDIT)
        assert "Price" not in in_words(status(project.snapshot()))
        # What is left, for this review and its target, is in the line of the work.
        facts = status(project.snapshot())
        assert f"{facts.workload.zero_hit:,} if nothing more turns up" in in_words(facts)
        judge(project, order[500:900], Label.EXCLUDE, Origin.AUDIT)
        facts = status(project.snapshot())
        assert facts.certificate.certified and facts.price_of_certainty == {}
        assert "Price" not in in_words(facts)


# -- what is certified --------------------------------------------------------------------------


def fixed(tmp_path, misses):
    project = made(tmp_path, 1000, PROTOCOL + STOPPING + '"fixed-audit"\ntarget = 0.8\naudit_size = 300\n')
    commit_audit(project)
    order = project.stage().record_ids[project.stage().strata[0]].tolist()
    judge(project, order[-60:], Label.INCLUDE, Origin.RANKED)
    judge(project, order[:misses], Label.EXCLUDE, Origin.AUDIT)
    return project


@pytest.mark.parametrize(("draws", "code"), [(299, 1), (300, 0)])
def test_required_is_what_the_protocols_rule_certifies(tmp_path, capsys, draws, code):
    with fixed(tmp_path, draws) as project:
        facts = status(project.snapshot())
        assert facts.verdict.certified is (draws == 300)
        assert any("not both together" in warning for warning in facts.warnings)
    assert cli.run(["status", str(tmp_path / "r.triage"), "--require", "certified", "--json"]) == code
    # The running certificate may say so earlier; it is not the one that the protocol named.
    assert json.loads(capsys.readouterr().out)["certificate"]["certified"]


def test_one_certificate_needs_no_such_sentence(tmp_path):
    with made(tmp_path, 100) as project:
        assert not any("not both together" in warning for warning in status(project.snapshot()).warnings)
