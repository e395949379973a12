"""Wrong labels through the program: what second looks prove, and which recall stops a review."""

import csv
import json

import numpy as np
import pytest
from conftest import PROTOCOL

from triage import cli, recall, report, second_look, status, stopping
from triage.errors import InputError
from triage.log import Label, Origin
from triage.project import Project
from triage.protocol.parsing import parse
from triage.records import Record
from triage.screening.pool import Pool
from triage.session_state import recall_for

N, FOUND, RANKED = 6000, 300, 2500


def screened(path, hidden, protocol=PROTOCOL, draws=None, seed=3):
    """Make a review of which the hidden records are relevant, ranked last, and excluded by mistake where they are shown.

    The relevant ones come first; the audit goes on until a recall of 90 % of the labels given is certified.
    """
    project = Project.create(path, protocol + "\n[stopping]\ntarget = 0.9\n" * ("[stopping]" not in protocol))
    records = [Record(title=f"Title {i}", abstract=f"Abstract {i}") for i in range(N)]
    project.records.add(records, range(N), name="a.ris", source="a", format="ris", sha256="a", announced=N, problems=[])
    project.log.commit_plan(project.stage(), seed, recall.AuditE().parameters())
    pool = Pool.of(project.snapshot().stage())
    rows, origins, sizes = [], [], []
    for k in range(RANKED + N):
        if k >= RANKED and (k - RANKED) % 20 == 0 and (draws is not None or pool.n_shown == N):
            if draws is None or k - RANKED >= draws:
                break
        if k >= RANKED and draws is None and (k - RANKED) % 20 == 0:
            if recall.certificate(pool.history(), 0.9, 0.95).certified:
                break
        origins.append(Origin.RANKED if k < RANKED else Origin.AUDIT)
        rows.append(k if k < RANKED else pool.audit_row())
        sizes.append(pool.left(rows[-1]))
        pool.show(rows[-1], origins[-1])
        pool.y[rows[-1]] = rows[-1] < FOUND
    project.log.show("abstract", [row + 1 for row in rows], origins, sizes, reviewer="ann")
    given = [{"record_id": r + 1, "label": Label.INCLUDE if r < FOUND else Label.EXCLUDE} for r in rows]
    project.log.decide("abstract", given, reviewer="ann")
    return project


def look_again(folder, path, relevant, run):
    """Take the second looks that the program asks for, in a file, as bob who is never wrong; return how many."""
    out = folder / f"second-{run}.csv"
    code = cli.run(["export", str(path), "-o", str(out), "--only", "second-look", "--reviewer", "bob"])
    if code:
        return 0
    with out.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = list(csv.reader(file))
    at, label = header.index("record_id"), header.index("label")
    for row in rows:
        row[label] = "include" if int(row[at]) in relevant else "exclude"
    with out.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    assert cli.run(["label", str(path), str(out), "--reviewer", "bob"]) == 0
    return len(rows)


def test_no_bound_that_counts_wrong_labels_is_above_the_truth(tmp_path, monkeypatch, capsys):
    """As many relevant records as are found are ranked last, and are excluded by mistake wherever they are shown."""
    monkeypatch.setattr("secrets.randbits", lambda bits: 11)
    path, hidden = tmp_path / "r.triage", range(N - FOUND, N)
    relevant = {row + 1 for row in (*range(FOUND), *hidden)}
    with screened(path, hidden):
        pass
    told, looks = [], 0
    for run in range(5):
        capsys.readouterr()
        assert cli.run(["status", str(path), "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert run or facts["verdict"]["certified"]  # of the labels given
        told.append(facts["label_noise"]["recall_lower"])
        taken = look_again(tmp_path, path, relevant, run)
        looks += taken
        if not taken:
            break
    assert looks > 10 and told[-1] is not None
    assert max(bound for bound in told if bound is not None) <= 0.5  # the truth: 300 of 600 are included


CORRECTED = PROTOCOL + '\n[stopping]\ntarget = 0.6\nrecall_of = "corrected"\n'


def test_the_protocol_says_which_recall_stops_a_review(tmp_path):
    for name, protocol in (("labels", PROTOCOL + "\n[stopping]\ntarget = 0.6\n"), ("corrected", CORRECTED)):
        with screened(tmp_path / f"{name}.triage", (), protocol) as project:
            facts = status.status(project.snapshot())
            said = status.in_words(facts)
            assert facts.certificate.certified and facts.verdict.recall_of == name
            if name == "labels":
                assert facts.verdict.certified and "Screening can stop (certified, of the labels given)" in said
                assert report.headline(facts) == "Screening can stop, certified of the labels given."
                continue
            assert not facts.verdict.stop and not facts.verdict.certified and not status.is_certified(facts)
            assert "Go on screening" in said and "Workload     second looks" in said
            assert report.headline(facts) == "Screening goes on."
            with pytest.raises(InputError, match="says to go on"):
                stopping.stop(project, reviewer="ann")
            assert not stopping.rule_allows(project.snapshot(), "abstract", "ann")
            price = second_look.price_of_second_looks(project.snapshot())
            enough = next(one.looks for one in price if one.recall_lower >= 0.6)
            ids = second_look.ask_for_second_looks(project, "bob", enough + 40)
            project.log.decide("abstract", [{"record_id": i, "label": Label.EXCLUDE} for i in ids], reviewer="bob")
            facts = status.status(project.snapshot())
            assert facts.verdict.certified and status.is_certified(facts)
            assert facts.label_noise.recall_lower >= 0.6 and "wrong exclusions counted" in facts.verdict.why
            assert "Screening can stop (certified, of the labels corrected)" in status.in_words(facts)
            assert report.headline(facts) == "Screening can stop, certified of the labels corrected."
            snapshot = project.snapshot()
            assert stopping.rule_allows(snapshot, "abstract", "ann")
            line = recall_for(snapshot, "abstract", "ann", snapshot.history(), recall.AuditE())
            assert line.startswith("recall of corrected labels at least ") and line.endswith("CERTIFIED")
            stop = stopping.stop(project, reviewer="ann")
            assert stop.certified and stop.recall_lower == facts.label_noise.recall_lower
            assert "wrong exclusions counted" in stop.in_words


def test_all_screened_is_no_recall_of_corrected_labels(tmp_path):
    with Project.create(tmp_path / "r.triage", CORRECTED) as project:
        records = [Record(title=f"Title {i}") for i in range(10)]
        project.records.add(
            records, range(10), name="a.ris", source="a", format="ris", sha256="a", announced=10, problems=[]
        )
        given = [{"record_id": i, "label": Label.INCLUDE if i < 3 else Label.EXCLUDE} for i in range(1, 11)]
        project.log.decide("abstract", given, reviewer="ann")
        facts = status.status(project.snapshot())
        assert facts.unscreened == 0 and facts.certificate.certified and not status.is_certified(facts)
        assert not facts.verdict.stop and "At least 20 %" in facts.verdict.why
        ids = second_look.ask_for_second_looks(project, "bob", 100)
        project.log.decide("abstract", [{"record_id": i, "label": Label.EXCLUDE} for i in ids], reviewer="bob")
        assert status.status(project.snapshot()).label_noise.recall_lower == 1.0


def test_a_maybe_and_a_conflict_are_presumed_relevant_and_not_found(tmp_path):
    with screened(tmp_path / "r.triage", ()) as project:
        ids = second_look.ask_for_second_looks(project, "bob", 200)
        project.log.decide("abstract", [{"record_id": i, "label": Label.EXCLUDE} for i in ids], reviewer="bob")

        def told():
            return second_look.corrected_recall(project.snapshot())

        before = told()
        project.log.decide("abstract", [{"record_id": 1, "label": Label.MAYBE}], reviewer="ann")
        project.log.decide("abstract", [{"record_id": 2, "label": Label.EXCLUDE}], reviewer="bob")
        doubt = told()
        assert (doubt.found, doubt.relevant_upper) == (before.found - 2, before.relevant_upper)
        project.log.settle("abstract", 2, Label.EXCLUDE, reviewer="ann")  # thrown out
        assert (told().found, told().relevant_upper) == (before.found - 2, before.relevant_upper - 1)


def test_the_recall_of_corrected_labels_is_audit_es_alone():
    for rule in ("knee", "fixed-audit"):
        size = "audit_size = 50\n" * (rule == "fixed-audit")
        with pytest.raises(InputError, match="only audit-e counts wrong labels"):
            parse(f'[stopping]\nrule = "{rule}"\n{size}recall_of = "corrected"\n')
    assert parse('[stopping]\nrecall_of = "corrected"\n').stopping.recall_of == "corrected"
    with pytest.raises(InputError, match="recall_of"):
        parse('[stopping]\nrecall_of = "truth"\n')


def test_known_before_is_no_part_of_what_is_bounded(tmp_path):
    """What came with its label is neither found nor looked at again, where the recall is that of the screened."""
    with screened(tmp_path / "r.triage", (), draws=100) as project:
        before = second_look.corrected_recall(project.snapshot())
        unscreened = sorted(set(range(1, N + 1)) - set(second_look.Looks.of(project.snapshot()).given))
        given = [{"record_id": i, "label": Label.EXCLUDE, "origin": Origin.IMPORTED} for i in unscreened[:50]]
        project.log.decide("abstract", given, reviewer="ann")
        after = second_look.corrected_recall(project.snapshot())
        assert after.wrong_upper == before.wrong_upper and after.relevant_upper == before.relevant_upper - 50
        assert not set(unscreened[:50]) & set(second_look.Looks.of(project.snapshot()).pool)
        assert np.isin(unscreened[:50], second_look.Looks.of(project.snapshot()).record_ids).sum() == 0
